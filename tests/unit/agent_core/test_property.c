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
    bool held; /* by the newest order that was heard */
    bool ours;
    bool confirmed; /* a live session has spoken since the last change of identity */
    int64_t lease_until;
    uint8_t nonces;
    bool amended; /* the plan of the orders that are given now */
};

static struct world *world; /* the watch of the rig has no context of its own */
static unsigned seen[AGENT_RUN_STOP + 1], seen_amendments;

enum { COMMON_PHASES = 2 /* the same in both plans */ };

static uint64_t roll(uint64_t n)
{
    return agent_random_next(&world->random) % n;
}

/* What stands in the row is what may be acted upon. */
static void follow_row(struct rig *rig)
{
    if (rig->has_row && rig->row_order.fence.generation >= world->stop_generation) {
        world->held = rig->row_order.mode == ZDM_MODE_PAUSE;
        world->ours = zdm_id_equal(&rig->row_order.actor, &rig_us);
    }
}

/* Who goes back, or purges, and has heard that it shall go forward, waits for that to be journalled. */
static bool is_about_to_turn(const struct rig *rig)
{
    bool elsewhere = rig->row_order.mode == ZDM_MODE_UNDO || rig->row_order.mode == ZDM_MODE_PURGE;
    return elsewhere && world->newest.mode == ZDM_MODE_RUN &&
           rig->row_order.fence.generation < world->newest.fence.generation;
}

static bool is_way_back(const struct agent_op *op)
{
    return op->run >= AGENT_RUN_UNDO_DDL && op->run <= AGENT_RUN_IMAGES_BACK;
}

/* Each mode does its own work and no other; what destroys was let in by two people. */
static void watch_mode(const struct rig *rig, const struct agent_op *op)
{
    enum zdm_mode mode = rig->row_order.mode;
    seen[op->run]++;
    if (is_way_back(op)) {
        assert_int_equal(mode, ZDM_MODE_UNDO);
        assert_false(zdm_id_equal(&rig->row_undo_nonce, &(struct zdm_id){.bytes = {0}}));
    } else if (op->run == AGENT_RUN_UNDO_BEGIN) {
        assert_int_equal(mode, ZDM_MODE_UNDO);
    } else if (op->run == AGENT_RUN_PURGE_LEFTOVERS) {
        assert_int_equal(mode, ZDM_MODE_PURGE);
        assert_int_equal(rig->row_purge_generation, rig->row_order.fence.generation);
    } else if (op->run == AGENT_RUN_SPEND_APPROVALS) {
        assert_int_equal(mode, op->spend_phase == 0 ? ZDM_MODE_PURGE : ZDM_MODE_RUN);
        assert_int_equal(op->n_spend, 2);
        assert_false(zdm_id_equal(&op->spend[0].approver, &op->spend[1].approver));
    } else if (op->run == AGENT_RUN_PURGE) {
        assert_int_equal(mode, ZDM_MODE_RUN);
        assert_int_equal(rig->row_entered, 5);
        assert_true(!op->purge_now || rig->row_purge_now);
    } else {
        assert_true(mode == ZDM_MODE_RUN || mode == ZDM_MODE_UNDO);
    }
}

/* Another plan than the row's is taken only where nothing of a phase that differs can be there. */
static void watch_plan(const struct rig *rig, const struct agent_op *op)
{
    if (!rig->has_row || zdm_hash_equal(&op->plan->hash, &rig->row_order.plan_hash))
        return;
    seen_amendments++;
    assert_true(rig->row_entered <= COMMON_PHASES);
    assert_true(rig->row_step <= STEP_FLAG);
    assert_false(rig->done[STEP_HIDE] || rig->done[STEP_PURGE]);
    assert_true(op->amends || rig->row_step == 1);
}

static void watch(struct rig *rig, const struct agent_op *op)
{
    unsigned in_lane = 0;
    for (size_t i = 0; i < rig->n_ops; i++)
        in_lane += rig->ops[i].lane == op->lane;
    assert_int_equal(in_lane, 1);
    if (op->kind == AGENT_OP_ACCEPT)
        watch_plan(rig, op);
    if (op->kind != AGENT_OP_RUN && op->kind != AGENT_OP_INSPECT)
        return;
    follow_row(rig);
    assert_true(world->confirmed);
    assert_true(rig->has_row);
    if (op->kind == AGENT_OP_INSPECT || op->run == AGENT_RUN_STOP)
        return;
    assert_false(world->held || is_about_to_turn(rig));
    assert_true(world->ours);
    assert_true(rig->now_ms < world->lease_until);
    watch_mode(rig, op);
}

/* Approvals of anybody for anything, some of which suffice. */
static void sign_something(struct rig *rig, uint32_t phase)
{
    rig->n_approvals = 0;
    for (uint64_t n = roll(5); n > 0; n--) {
        enum zdm_approval_action action = roll(3) == 0 ? ZDM_APPROVE_ENTER : ZDM_APPROVE_PURGE;
        struct zdm_approval *a = rig_approve(rig, roll(RIG_PEOPLE), action, phase, (uint8_t)roll(8));
        a->nonce.bytes[2] = roll(3) > 0 ? world->nonces++ : 0;
        a->nonce.bytes[3] = (uint8_t)rig->n_approvals;
        a->purge_now = roll(2) == 0;
        if (roll(8) == 0)
            a->expires_at_ms = rig_wall_ms(rig) - 1;
    }
}

/* Everything that is signed names one of the two plans. */
static void name_plan(struct rig *rig, struct zdm_directive *d, bool amended)
{
    const struct zdm_plan *plan = amended ? rig->amended : rig->plan;
    d->plan_hash = rig->undo.plan_hash = plan->hash;
    for (size_t i = 0; i < rig->n_approvals; i++) {
        struct zdm_approval *a = &rig->approvals[i].approval;
        a->plan_hash = plan->hash;
        if (a->phase != 0)
            a->phase_digest = zdm_plan_phase(plan, a->phase)->digest;
    }
}

static struct zdm_directive new_order(struct rig *rig)
{
    static const enum zdm_mode modes[] = {ZDM_MODE_RUN,  ZDM_MODE_RUN,  ZDM_MODE_RUN,  ZDM_MODE_PAUSE,
                                          ZDM_MODE_UNDO, ZDM_MODE_UNDO, ZDM_MODE_PURGE};
    enum zdm_mode mode = modes[roll(7)];
    struct zdm_directive d = rig_order(1, ++world->generation, mode, (uint32_t)roll(6));
    d.attempt = 1 + (uint32_t)d.fence.generation / 2;
    if (roll(10) == 0)
        d.actor = rig_other;
    sign_something(rig, mode == ZDM_MODE_PURGE ? 0 : 5);
    if (mode == ZDM_MODE_UNDO && roll(8) > 0)
        rig_undo(rig, d.goal_phase, roll(4) > 0 ? ++world->nonces : world->nonces);
    world->amended ^= roll(6) == 0;
    name_plan(rig, &d, world->amended);
    return d;
}

/* Stop orders count from the moment at which they are heard. */
static void note_heard(const struct rig *rig, const struct zdm_directive *d)
{
    bool ours = zdm_id_equal(&d->actor, &rig_us);
    bool same = rig->has_row && d->mode == rig->row_order.mode && d->mode != ZDM_MODE_PAUSE;
    bool other = d->mode != ZDM_MODE_RUN && !same;
    world->held = world->held || other;
    world->ours = world->ours && ours;
    if (other || !ours)
        world->stop_generation = d->fence.generation;
    world->newest = *d;
}

/* What a coordinator can send in a session: its newest order, again or changed; at the attacker's seat also old ones.
 */
static void send_order(struct rig *rig)
{
    struct zdm_directive d = world->newest;
    uint64_t kind = roll(4);
    if (kind < 2) {
        d = new_order(rig);
        note_heard(rig, &d);
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
    rig_replace_agent(rig);
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
        if (world->amended)
            rig_amended_ready(rig);
        else
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

/* A last order, with all that it needs; the shard must come to rest at its goal. */
static void order_and_rest(struct rig *rig, enum zdm_mode mode, uint32_t goal)
{
    struct zdm_directive d = rig_order(1, ++world->generation, mode, goal);
    d.attempt = 1000 + (uint32_t)world->generation;
    rig->n_approvals = 0;
    rig_approve(rig, RIG_ALICE, ZDM_APPROVE_PURGE, 5, 250)->purge_now = true;
    rig_approve(rig, RIG_BOB, ZDM_APPROVE_PURGE, 5, 251)->purge_now = true;
    rig_undo(rig, goal, ++world->nonces);
    rig->undo.nonce.bytes[5] = 1;
    name_plan(rig, &d, rig->has_row && zdm_hash_equal(&rig->row_order.plan_hash, &rig->amended->hash));
    world->newest = d;
    for (int i = 0; i < 4; i++) {
        rig_send(rig, &d, 0);
        rig_plan_ready(rig);
        rig_amended_ready(rig);
        world->held = false;
        world->stop_generation = 0;
        world->ours = true;
        rig_run(rig, 60000);
    }
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_RESTING);
    assert_int_equal(rig_look(rig).proven_phase, goal);
}

/* Wherever the faults have left it: the way back is always open, unless it was purged, and then forward. */
static void settle(struct rig *rig)
{
    rig->fault.times = 0;
    rig->up = rig->writable = true;
    rig->acks = true;
    world->lease_until = INT64_MAX;
    world->confirmed = true;
    rig_link(rig, true);
    for (unsigned n = 0; n < RIG_OPS_MAX && rig->n_ops > 0; n++)
        rig_answer(rig); /* an order that is being taken decides which plan stands */
    if (!rig->done[STEP_PURGE]) {
        order_and_rest(rig, ZDM_MODE_UNDO, 0);
        assert_true(rig_said(rig)->undone);
        assert_false(rig->done[STEP_COLUMN] || rig->done[STEP_SYNC] || rig->done[STEP_INDEX] || rig->done[STEP_HIDE]);
    }
    if (!rig->done[STEP_PURGE])
        order_and_rest(rig, ZDM_MODE_RUN, 2);
    order_and_rest(rig, ZDM_MODE_RUN, rig->done[STEP_PURGE] ? 5 : 4);
    assert_true(rig->done[STEP_COLUMN] && rig->done[STEP_INDEX] && rig->done[STEP_HIDE]);
}

/* In the place of the validation. */
static void choose_kind(struct rig *rig, uint64_t seed)
{
    static const struct {
        enum zdm_step_kind kind;
        enum zdm_action action;
    } kinds[] = {{ZDM_STEP_VALIDATE, ZDM_ACTION_VALIDATE}, {ZDM_STEP_DDL, ZDM_ACTION_AS_IS},
                 {ZDM_STEP_INDEX, ZDM_ACTION_REINDEX},     {ZDM_STEP_GATE, ZDM_ACTION_GATE_WAIT},
                 {ZDM_STEP_DDL, ZDM_ACTION_SET_DEFAULT},   {ZDM_STEP_DDL, ZDM_ACTION_LIFT_CONSTRAINT}};
    struct zdm_plan *plans[] = {rig->plan, rig->amended};
    size_t n = sizeof kinds / sizeof kinds[0];
    for (size_t i = 0; i < 2; i++) {
        struct zdm_step *step = &plans[i]->phases[1].steps[3];
        step->kind = kinds[seed % n].kind;
        step->action = kinds[seed % n].action;
        step->lock = seed / n % 2 == 0 ? ZDM_LOCK_LONG : ZDM_LOCK_SHORT;
        if (seed % 9 == 0)
            plans[i]->phases[1].steps[0].action = ZDM_ACTION_DELETE; /* in the place of the backfill */
    }
    rig->gate_open_ms = rig->now_ms + (int64_t)(seed % 7) * 1000;
}

/* Another one of the same migration, different from the third phase on. */
static void make_amended(struct rig *rig)
{
    rig->amended = rig_plan();
    rig->amended->hash.bytes[0]++;
    rig->amended->grace_ms = rig->plan->grace_ms;
    for (size_t i = 0; i < rig->plan->n_phases; i++) {
        rig->plan->phases[i].digest.bytes[0] = rig->amended->phases[i].digest.bytes[0] = (uint8_t)(i + 1);
        rig->amended->phases[i].digest.bytes[1] = i < COMMON_PHASES ? 0 : 1;
    }
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
        rig->restores = seed % 3 == 0;
        rig->triggers_only = seed % 5 == 0;
        rig->keeps_images = seed % 4 == 0;
        rig->plan->grace_ms = 5000;
        make_amended(rig);
        choose_kind(rig, seed);
        rig->one_transaction = seed % 2 == 0; /* both kinds of engine */
        rig_started(rig);
        rig_link(rig, true);
        for (int i = 0; i < MOVES; i++)
            move(rig);
        settle(rig);
        rig_free(rig);
    }
    /* It must not be about nothing. */
    for (int run = AGENT_RUN_UNDO_DDL; run <= AGENT_RUN_SPEND_APPROVALS; run++)
        assert_true(seen[run] > 0 || run == AGENT_RUN_UNDO_REMOVE);
    assert_true(seen[AGENT_RUN_PURGE] > 0 && seen[AGENT_RUN_PURGE_LEFTOVERS] > 0);
    assert_true(seen[AGENT_RUN_REINDEX] > 0 && seen[AGENT_RUN_LONG_SQL] > 0 && seen[AGENT_RUN_WAIT] > 0);
    assert_true(seen_amendments > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_hold_for_random_orders_results_and_restarts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
