/*
 * test_orders_walk.c - every state of the agent's reconciler against every directive that a coordinator can send.
 *
 * Beyond its ten states, the reconciler is met on the way back, undone, and where people or time keep it waiting.
 *
 * The product: agent's state × mode × goal × attempt × actor × how the pair and the content compare with what was
 * accepted. What the agent accepts is protocol 3 rule 4, asserted for each by itself; where it is four seconds later is
 * written down below, one cell a mode: a change of one cell is a decision, not an accident.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/base/buffer.h"
#include "tests/unit/agent_core/rig.h"

enum { LATER_MS = 4000, GOALS = 4, MODES = 4 };
static const uint32_t goals[GOALS] = {0, 1, 2, 4};

/* Where the agent is met. */
enum { GOING_BACK = ZDM_AGENT_UNSURE + 1, UNDONE, FAILED_BACK, NOT_LET_IN, IN_GRACE, PURGED, PLACES = PURGED };

static const char *name_of(unsigned place)
{
    static const char *const names[] = {"going back", "undone", "failed back", "not let in", "in grace", "purged"};
    return place > ZDM_AGENT_UNSURE ? names[place - GOING_BACK] : zdm_agent_state_name((enum zdm_agent_state)place);
}

enum pair { LOWER, REPEATED, OTHER_CONTENT, OTHER_INSTANCE, NEWER, NEWER_EPOCH, PAIRS };

struct order {
    enum zdm_mode mode;
    enum pair pair;
    uint32_t goal;
    bool next_attempt, for_us;
};

static bool next(struct order *o, unsigned n)
{
    o->next_attempt = n & 1;
    o->for_us = n & 2;
    n >>= 2;
    o->goal = goals[n % GOALS];
    n /= GOALS;
    o->pair = (enum pair)(n % PAIRS);
    n /= PAIRS;
    o->mode = (enum zdm_mode)(ZDM_MODE_RUN + n % MODES);
    return n / MODES == 0;
}

/* ---- An agent in each of its states, which has accepted (1, 1) ---- */

static void fail_at(struct rig *rig, enum agent_op_kind kind, enum agent_run run, enum agent_outcome outcome)
{
    rig->fault.kind = kind;
    rig->fault.run = run;
    rig->fault.outcome = outcome;
    rig->fault.code = outcome == AGENT_LOCK ? ZDM_CONFLICT : ZDM_DATABASE;
    rig->fault.times = 1000;
}

static void restart(struct rig *rig)
{
    agent_core_free(rig->core);
    rig->core = agent_core_new(&rig->config);
    rig->n_ops = 0;
    rig_started(rig);
    rig_link(rig, true);
    rig_run(rig, 1000);
}

static struct rig *rig_in_state(struct rig *rig, enum zdm_agent_state state)
{
    if (state == ZDM_AGENT_WAITING)
        fail_at(rig, AGENT_OP_RUN, AGENT_RUN_DDL, AGENT_LOCK);
    if (state == ZDM_AGENT_STOPPED)
        fail_at(rig, AGENT_OP_RUN, AGENT_RUN_DDL, AGENT_FAIL);
    if (state == ZDM_AGENT_UNSURE) {
        fail_at(rig, AGENT_OP_INSPECT, 0, AGENT_OK);
        rig->fault.proof = AGENT_PROOF_UNKNOWN;
    }
    rig_ready(rig, state == ZDM_AGENT_PAUSED ? ZDM_MODE_PAUSE : ZDM_MODE_RUN, state == ZDM_AGENT_RESTING ? 1 : 2);
    if (state == ZDM_AGENT_WORKING)
        while (rig_in_flight(rig, AGENT_RUN_BATCH) == NULL && rig_answer(rig))
            ;
    else if (state != ZDM_AGENT_LOOKING)
        rig_run(rig, 3000);
    rig->fault.times = 0;
    if (state == ZDM_AGENT_ASKING)
        restart(rig);
    if (state == ZDM_AGENT_BLIND)
        rig->up = false;
    if (state == ZDM_AGENT_OBSERVING)
        rig->writable = false;
    if (state == ZDM_AGENT_BLIND || state == ZDM_AGENT_OBSERVING)
        rig_run(rig, 6000);
    return rig;
}

/* What two people sign for a door, with nonces of its own. */
static void let_in(struct rig *rig, uint32_t phase, uint8_t nonce, bool now)
{
    rig->n_approvals = 0;
    rig_approve(rig, RIG_ALICE, ZDM_APPROVE_PURGE, phase, nonce)->purge_now = now;
    rig_approve(rig, RIG_BOB, ZDM_APPROVE_PURGE, phase, (uint8_t)(nonce + 1))->purge_now = now;
}

static void second_order(struct rig *rig, enum zdm_mode mode, uint32_t goal)
{
    struct zdm_directive d = rig_order(1, 2, mode, goal);
    rig_send(rig, &d, 0);
}

static struct rig *rig_at_place(struct rig *rig, unsigned place)
{
    rig->rows = 200;
    rig_ready(rig, ZDM_MODE_RUN, 4);
    rig_run(rig, 30000);
    if (place == NOT_LET_IN || place == IN_GRACE || place == PURGED) {
        if (place != NOT_LET_IN)
            let_in(rig, 5, 1, place == PURGED);
        second_order(rig, ZDM_MODE_RUN, 5);
        rig_run(rig, 3000);
        return rig;
    }
    rig_undo(rig, 2, 1);
    if (place == FAILED_BACK)
        fail_at(rig, AGENT_OP_RUN, AGENT_RUN_UNHIDE, AGENT_FAIL);
    second_order(rig, ZDM_MODE_UNDO, 2);
    if (place == GOING_BACK)
        while (rig_in_flight(rig, AGENT_RUN_UNHIDE) == NULL && rig_answer(rig))
            ;
    else
        rig_run(rig, 3000);
    rig->fault.times = 0;
    return rig;
}

static struct rig *rig_in(unsigned place)
{
    static const enum zdm_agent_state states[] = {ZDM_AGENT_WORKING, ZDM_AGENT_RESTING, ZDM_AGENT_STOPPED,
                                                  ZDM_AGENT_WAITING, ZDM_AGENT_WAITING, ZDM_AGENT_RESTING};
    struct rig *rig = rig_new();
    enum zdm_agent_state state = place > ZDM_AGENT_UNSURE ? states[place - GOING_BACK] : (enum zdm_agent_state)place;
    rig->rows = 200000;
    rig = place > ZDM_AGENT_UNSURE ? rig_at_place(rig, place) : rig_in_state(rig, state);
    if (rig_look(rig).state != state)
        fail_msg("the rig is %s, not %s", zdm_agent_state_name(rig_look(rig).state), name_of(place));
    return rig;
}

/* ---- One order ---- */

static struct zdm_directive directive_of(const struct rig *rig, const struct order *o, uint8_t *content)
{
    struct zdm_directive d = rig_order(1, rig->row_order.fence.generation, o->mode, o->goal);
    d.actor = o->for_us ? rig_us : rig_other;
    d.attempt = rig->row_order.attempt + (o->next_attempt ? 1 : 0);
    *content = 0;
    switch (o->pair) {
    case LOWER:
        d.fence.epoch = 0;
        d.fence.generation = 9;
        break;
    case REPEATED: /* the very bytes that were accepted */
        d = rig->row_order;
        break;
    case OTHER_CONTENT:
        *content = 1;
        break;
    case OTHER_INSTANCE:
        d.fence.instance.bytes[5] ^= 1;
        *content = 1;
        break;
    case NEWER:
        d.fence.generation = rig->row_order.fence.generation + 1;
        d.fence.anchor.bytes[0]++;
        *content = 2;
        break;
    case NEWER_EPOCH:
        d = rig_order(2, 1, o->mode, o->goal);
        d.actor = o->for_us ? rig_us : rig_other;
        d.attempt = rig->row_order.attempt + (o->next_attempt ? 1 : 0);
        *content = 2;
        break;
    case PAIRS:
        break;
    }
    return d;
}

static void complain(unsigned place, const struct order *o, const char *what)
{
    fail_msg("%s; %s to phase %u, pair %d, next attempt %d, for us %d: %s", name_of(place), zdm_mode_name(o->mode),
             o->goal, (int)o->pair, o->next_attempt, o->for_us, what);
}

/* What was begun since the order came, a journalled stop left out. */
static struct {
    unsigned forward, back, leftovers;
} started;

static void count_starts(struct rig *rig, const struct agent_op *op)
{
    (void)rig;
    if (op->kind != AGENT_OP_RUN || op->run == AGENT_RUN_STOP)
        return;
    if (op->run == AGENT_RUN_UNDO_BEGIN || (op->run >= AGENT_RUN_UNDO_DDL && op->run <= AGENT_RUN_IMAGES_BACK))
        started.back++;
    else if (op->run == AGENT_RUN_PURGE_LEFTOVERS || (op->run == AGENT_RUN_SPEND_APPROVALS && op->spend_phase == 0))
        started.leftovers++;
    else
        started.forward += op->run != AGENT_RUN_STEP_BACK;
}

static void check_acceptance(struct rig *rig, unsigned place, const struct order *o, const struct zdm_fence *stood,
                             const struct zdm_directive *d)
{
    struct agent_core_look now = rig_look(rig);
    bool newer = o->pair == NEWER || o->pair == NEWER_EPOCH;
    bool equivocates = o->pair == OTHER_CONTENT || o->pair == OTHER_INSTANCE;
    bool can_accept = place != ZDM_AGENT_BLIND && place != ZDM_AGENT_OBSERVING;
    if (newer && can_accept && !zdm_fence_equal(&now.accepted, &d->fence))
        complain(place, o, "the newer order was not accepted");
    if ((!newer || !can_accept) && !zdm_fence_equal(&now.accepted, stood))
        complain(place, o, "an order was accepted that must not be");
    if (can_accept && rig_said(rig)->equivocation != equivocates)
        complain(place, o, "the alarm is wrong");
}

/* What of it must stand, wherever the agent was met. */
static void check_work(unsigned place, const struct order *o)
{
    bool newer = o->pair == NEWER || o->pair == NEWER_EPOCH;
    bool can_accept = place != ZDM_AGENT_BLIND && place != ZDM_AGENT_OBSERVING;
    bool stopped = place == ZDM_AGENT_STOPPED || place == FAILED_BACK;
    unsigned any = started.forward + started.back + started.leftovers;
    if (newer && (o->mode == ZDM_MODE_PAUSE || !o->for_us || !can_accept) && any > 0)
        complain(place, o, "something was started under an order to stand still");
    if (newer && o->mode != ZDM_MODE_UNDO && started.back > 0)
        complain(place, o, "something was undone without an order to go back");
    if (newer && o->mode != ZDM_MODE_PURGE && started.leftovers > 0)
        complain(place, o, "something was purged without an order to purge");
    if (newer && o->mode == ZDM_MODE_PURGE && started.forward > 0)
        complain(place, o, "who shall purge worked forward");
    if (place == ZDM_AGENT_ASKING && !newer && o->pair != REPEATED && any > 0)
        complain(place, o, "who asks was let go by an order that does not confirm");
    if (stopped && !o->next_attempt && any > 0)
        complain(place, o, "who has stopped went on without a higher attempt");
}

/* ---- Where each ends ---- */

/* For each place: after orders that must not be accepted; after a repeat; after newer ones to run, to pause, to undo,
 * to purge. O wherever another agent shall act. Letters: B blind, A asking, O observing, R resting, L looking, W
 * working, w waiting, P paused, S stopped, U unsure. */
static const char *const expected[PLACES] = {
    /* clang-format off */
    /* blind       */ "B B B B B B",
    /* asking      */ "A W ORW OP ORW OR",
    /* observing   */ "O O O O O O",
    /* resting     */ "R R ORW OP ORW OR",
    /* looking     */ "W W ORW OP ORW OR",
    /* working     */ "W W ORW OP ORW OR",
    /* waiting     */ "W W ORW OP ORW OR",
    /* paused      */ "P P ORW OP ORW OR",
    /* stopped     */ "S S ORWS OPS ORWS ORS",
    /* unsure      */ "U U ORW OP ORW OR",
    /* half of phase 4 is undone: who is told to be at its end, or to purge, does not decide that alone */
    /* going back  */ "R R ORU OP ORU OU",
    /* undone      */ "R R OR OP OR OR",
    /* failed back */ "S S ORS OPS ORS ORS",
    /* not let in  */ "w w OR OP OR OR",
    /* in grace    */ "w w OR OP OR OR",
    /* purged      */ "R R OR OP OS OR",
    /* clang-format on */
};

enum { COLUMNS = 6 };
static const char letters[] = "?BAORLWwPSU";

static void note(char *cell, enum zdm_agent_state state)
{
    size_t n = 0;
    char had[sizeof letters];
    (void)zdm_copy_text(had, sizeof had, cell);
    for (size_t i = 1; i < sizeof letters - 1; i++)
        if (i == (size_t)state || strchr(had, letters[i]) != NULL)
            cell[n++] = letters[i];
    cell[n] = '\0';
}

static size_t column_of(const struct order *o)
{
    if (o->pair == NEWER || o->pair == NEWER_EPOCH)
        return 1 + (size_t)o->mode;
    return o->pair == REPEATED ? 1 : 0;
}

/* What comes with a new order: an undo order that fits it, and what lets a purge of leftovers in at once. */
static void sign_for(struct rig *rig, const struct order *o)
{
    if (o->pair == REPEATED)
        return;
    rig->leftovers = 1;
    let_in(rig, 0, 21, true);
    if (o->mode == ZDM_MODE_UNDO)
        rig_undo(rig, o->goal, 9);
}

static void walk(unsigned place, char cells[COLUMNS][sizeof letters])
{
    struct order o;
    for (unsigned n = 0; next(&o, n); n++) {
        struct rig *rig = rig_in(place);
        struct zdm_fence stood = rig->row_order.fence;
        uint8_t content;
        struct zdm_directive d = directive_of(rig, &o, &content);
        memset(&started, 0, sizeof started);
        rig->watch = count_starts;
        sign_for(rig, &o);
        rig_send(rig, &d, content);
        rig_run(rig, LATER_MS);
        check_acceptance(rig, place, &o, &stood, &d);
        check_work(place, &o);
        note(cells[column_of(&o)], rig_look(rig).state);
        rig_free(rig);
    }
}

static void every_directive_in_every_state_is_accepted_or_refused_as_written(void **unused)
{
    (void)unused;
    bool same = true;
    for (unsigned place = 1; place <= PLACES; place++) {
        char cells[COLUMNS][sizeof letters] = {""}, row[128] = "";
        walk(place, cells);
        for (size_t c = 0; c < COLUMNS; c++)
            snprintf(row + strlen(row), sizeof row - strlen(row), "%s%s", c > 0 ? " " : "", cells[c]);
        if (strcmp(row, expected[place - 1]) == 0)
            continue;
        print_error("%s: \"%s\" is \"%s\"\n", name_of(place), expected[place - 1], row);
        same = false;
    }
    assert_true(same);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_directive_in_every_state_is_accepted_or_refused_as_written)};
    return cmocka_run_group_tests_name("orders against states", tests, NULL, NULL);
}
