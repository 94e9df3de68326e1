/*
 * test_property.c - random orders, results, faults, restarts and time over many seeds; the rules are checked at every
 * operation that is started, and after the faults end everything must come to rest at the goal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/pacing.h"
#include "tests/unit/agent_core/rig.h"

enum { SEEDS = 2000, MOVES = 400 };

struct world {
    struct rig *rig;
    uint64_t random;
    uint64_t generation;      /* of the newest order that was sent */
    uint64_t stop_generation; /* of the newest one that takes the right to go on away */
    struct zdm_directive newest;
    bool paused; /* by the newest order that was heard */
    bool ours;
    bool confirmed; /* a live session has spoken since the last change of identity */
    int64_t lease_until;
};

static struct world *world; /* the watch of the rig has no context of its own */

static uint64_t roll(uint64_t n)
{
    return agent_random_next(&world->random) % n;
}

/* What stands in the row is what may be acted upon. */
static void follow_row(struct rig *rig)
{
    if (rig->has_row && rig->row_order.fence.generation >= world->stop_generation) {
        world->paused = rig->row_order.mode != ZDM_MODE_RUN;
        world->ours = zdm_id_equal(&rig->row_order.actor, &rig_us);
    }
}

static void watch(struct rig *rig, const struct agent_op *op)
{
    unsigned in_lane = 0;
    for (size_t i = 0; i < rig->n_ops; i++)
        in_lane += rig->ops[i].lane == op->lane;
    assert_int_equal(in_lane, 1);
    if (op->kind != AGENT_OP_RUN && op->kind != AGENT_OP_INSPECT)
        return;
    follow_row(rig);
    assert_true(world->confirmed);
    assert_true(rig->has_row);
    if (op->kind == AGENT_OP_INSPECT || op->run == AGENT_RUN_STOP)
        return;
    assert_false(world->paused);
    assert_true(world->ours);
    assert_true(rig->now_ms < world->lease_until);
}

/* What a coordinator can send in a session: its newest order, again or changed; at the attacker's seat also old ones.
 */
static void send_order(struct rig *rig)
{
    struct zdm_directive d = world->newest;
    uint64_t kind = roll(4);
    if (kind < 2) {
        d = rig_order(1, ++world->generation, roll(3) == 0 ? ZDM_MODE_PAUSE : ZDM_MODE_RUN, 1 + (uint32_t)roll(4));
        d.attempt = 1 + (uint32_t)d.fence.generation / 4;
        if (roll(10) == 0)
            d.actor = rig_other;
        world->newest = d;
        /* Stop orders count from the moment at which they are heard. */
        bool ours = zdm_id_equal(&d.actor, &rig_us);
        world->paused = world->paused || d.mode != ZDM_MODE_RUN;
        world->ours = world->ours && ours;
        if (d.mode != ZDM_MODE_RUN || !ours)
            world->stop_generation = d.fence.generation;
    } else if (kind == 2 && rig->has_row && rig->row_order.fence.generation > 1) {
        d = rig_order(1, 1 + roll(rig->row_order.fence.generation - 1), ZDM_MODE_RUN, 4);
    }
    if (d.fence.generation == 0)
        return;
    if (d.fence.generation == world->generation)
        world->confirmed = true;
    rig_send(rig, &d, 0);
}

static void break_something(struct rig *rig)
{
    static const enum agent_outcome outcomes[] = {AGENT_RETRY,  AGENT_LOCK, AGENT_UNKNOWN,
                                                  AGENT_FENCED, AGENT_FAIL, AGENT_BUG};
    rig->fault.kind = (enum agent_op_kind)(1 + roll(6));
    rig->fault.run = (enum agent_run)(1 + roll(AGENT_RUN_STOP));
    rig->fault.outcome = outcomes[roll(6)];
    rig->fault.code = roll(2) == 0 ? ZDM_UNAVAILABLE : ZDM_CONFLICT;
    rig->fault.applied = rig->fault.outcome == AGENT_UNKNOWN && roll(2) == 0;
    rig->fault.times = 1 + (unsigned)roll(2);
}

static void restart_database(struct rig *rig)
{
    snprintf(rig->identity, sizeof rig->identity, "start-%u", (unsigned)roll(1000000));
    rig->up = roll(2) == 0;
}

static void restart_agent(struct rig *rig)
{
    agent_core_free(rig->core);
    rig->core = agent_core_new(&rig->config);
    rig->n_ops = 0;
    world->confirmed = false;
    world->lease_until = 0;
    rig_started(rig);
    rig_link(rig, true);
}

static void acknowledge(struct rig *rig)
{
    (void)rig_said(rig);
    struct agent_input ack = {.kind = AGENT_IN_ACKED, .u.acked = {.number = rig->report.number}};
    ack.u.acked.lease_ms = (uint32_t)roll(20000);
    if (rig->now_ms + ack.u.acked.lease_ms > world->lease_until)
        world->lease_until = rig->now_ms + ack.u.acked.lease_ms;
    rig_input(rig, &ack);
}

static void move(struct rig *rig)
{
    switch (roll(16)) {
    case 0:
        send_order(rig);
        break;
    case 1:
        rig_plan_ready(rig);
        break;
    case 2:
        acknowledge(rig);
        break;
    case 3:
        rig_link(rig, roll(3) > 0);
        break;
    case 4:
        if (roll(4) == 0)
            break_something(rig);
        break;
    case 5:
        if (roll(8) == 0)
            restart_database(rig);
        rig->up = rig->up || roll(3) == 0;
        break;
    case 6:
        if (roll(12) == 0)
            restart_agent(rig);
        break;
    case 7:
        if (roll(10) == 0)
            rig->writable = !rig->writable;
        break;
    case 8:
        rig_wait(rig, (int64_t)roll(3000));
        break;
    default:
        if (!rig_answer(rig))
            rig_wait(rig, (int64_t)roll(200));
        break;
    }
    follow_row(rig);
}

static void settle(struct rig *rig)
{
    rig->fault.times = 0;
    rig->up = rig->writable = true;
    rig->acks = true;
    world->lease_until = INT64_MAX;
    world->confirmed = true;
    rig_link(rig, true);
    struct zdm_directive d = rig_order(1, ++world->generation, ZDM_MODE_RUN, 4);
    d.attempt = 1000;
    for (int i = 0; i < 4; i++) {
        rig_send(rig, &d, 0);
        rig_plan_ready(rig);
        world->paused = false;
        world->ours = true;
        rig_run(rig, 60000);
    }
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_RESTING);
    assert_int_equal(rig_look(rig).proven_phase, 4);
    assert_int_equal(rig->runs[AGENT_RUN_HIDE], 1);
}

static void rules_hold_for_random_orders_results_and_restarts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world one = {.random = seed};
        world = &one;
        struct rig *rig = one.rig = rig_new();
        rig->random = seed;
        rig->acks = false;
        rig->watch = watch;
        rig->rows = 300;
        rig->one_transaction = seed % 2 == 0; /* both kinds of engine */
        rig_started(rig);
        rig_link(rig, true);
        for (int i = 0; i < MOVES; i++)
            move(rig);
        settle(rig);
        rig_free(rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_hold_for_random_orders_results_and_restarts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
