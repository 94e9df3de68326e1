/*
 * test_orders_walk.c - every state of the agent's reconciler against every directive that a coordinator can send.
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

enum { STATES = ZDM_AGENT_UNSURE, LATER_MS = 4000, GOALS = 3, MODES = 3 };
static const uint32_t goals[GOALS] = {1, 2, 4};

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

static struct rig *rig_in(enum zdm_agent_state state)
{
    struct rig *rig = rig_new();
    rig->rows = 200000;
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
    if (rig_look(rig).state != state)
        fail_msg("the rig is %s, not %s", zdm_agent_state_name(rig_look(rig).state), zdm_agent_state_name(state));
    return rig;
}

/* ---- One order ---- */

static struct zdm_directive directive_of(const struct rig *rig, const struct order *o, uint8_t *content)
{
    struct zdm_directive d = rig_order(1, 1, o->mode, o->goal);
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
        d.fence.generation = 2;
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

static void complain(enum zdm_agent_state state, const struct order *o, const char *what)
{
    fail_msg("%s; %s to phase %u, pair %d, next attempt %d, for us %d: %s", zdm_agent_state_name(state),
             zdm_mode_name(o->mode), o->goal, (int)o->pair, o->next_attempt, o->for_us, what);
}

static unsigned started; /* batches and DDL that were begun since the order came */

static void count_starts(struct rig *rig, const struct agent_op *op)
{
    (void)rig;
    started += op->kind == AGENT_OP_RUN &&
               (op->run == AGENT_RUN_BATCH || op->run == AGENT_RUN_DDL || op->run == AGENT_RUN_HIDE ||
                op->run == AGENT_RUN_INDEX_BUILD || op->run == AGENT_RUN_UNDO_DDL);
}

/* What of it must stand, whatever the state was. */
static void check(struct rig *rig, enum zdm_agent_state before, const struct order *o, const struct zdm_directive *d)
{
    const struct zdm_fence first = rig_order(1, 1, ZDM_MODE_RUN, 1).fence;
    struct agent_core_look now = rig_look(rig);
    bool newer = o->pair == NEWER || o->pair == NEWER_EPOCH;
    bool equivocates = o->pair == OTHER_CONTENT || o->pair == OTHER_INSTANCE;
    bool can_accept = before != ZDM_AGENT_BLIND && before != ZDM_AGENT_OBSERVING;
    if (newer && can_accept && !zdm_fence_equal(&now.accepted, &d->fence))
        complain(before, o, "the newer order was not accepted");
    if ((!newer || !can_accept) && !zdm_fence_equal(&now.accepted, &first))
        complain(before, o, "an order was accepted that must not be");
    if (can_accept && rig_said(rig)->equivocation != equivocates)
        complain(before, o, "the alarm is wrong");
    if (newer && (o->mode == ZDM_MODE_PAUSE || !o->for_us || !can_accept) && started > 0)
        complain(before, o, "something was started under an order to stand still");
    if (o->mode == ZDM_MODE_UNDO && newer && started > 0)
        complain(before, o, "an undo did something, which this release refuses");
    if ((before == ZDM_AGENT_ASKING) && !newer && o->pair != REPEATED && started > 0)
        complain(before, o, "who asks was let go by an order that does not confirm");
    if (before == ZDM_AGENT_STOPPED && !o->next_attempt && started > 0)
        complain(before, o, "who has stopped went on without a higher attempt");
}

/* ---- Where each ends ---- */

/* For each state: after orders that must not be accepted; after a repeat; after newer ones to run, to pause, to undo.
 * An undo is refused in this release by stopping; O wherever another agent shall act. Letters: B blind, A asking, O
 * observing, R resting, L looking, W working, w waiting, P paused, S stopped, U unsure. */
static const char *const expected[STATES] = {
    /* clang-format off */
    /* blind     */ "B B B B B",
    /* asking    */ "A W ORW OP OS",
    /* observing */ "O O O O O",
    /* resting   */ "R R ORW OP OS",
    /* looking   */ "W W ORW OP OS",
    /* working   */ "W W ORW OP OS",
    /* waiting   */ "W W ORW OP OS",
    /* paused    */ "P P ORW OP OS",
    /* stopped   */ "S S ORWS OPS OS",
    /* unsure    */ "U U ORW OP OS",
    /* clang-format on */
};

enum { COLUMNS = 5 };
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
        return o->mode == ZDM_MODE_RUN ? 2 : o->mode == ZDM_MODE_PAUSE ? 3 : 4;
    return o->pair == REPEATED ? 1 : 0;
}

static void walk(enum zdm_agent_state state, char cells[COLUMNS][sizeof letters])
{
    struct order o;
    for (unsigned n = 0; next(&o, n); n++) {
        struct rig *rig = rig_in(state);
        uint8_t content;
        struct zdm_directive d = directive_of(rig, &o, &content);
        started = 0;
        rig->watch = count_starts;
        rig_send(rig, &d, content);
        rig_run(rig, LATER_MS);
        check(rig, state, &o, &d);
        note(cells[column_of(&o)], rig_look(rig).state);
        rig_free(rig);
    }
}

static void every_directive_in_every_state_is_accepted_or_refused_as_written(void **unused)
{
    (void)unused;
    for (unsigned state = 1; state <= STATES; state++) {
        char cells[COLUMNS][sizeof letters] = {""}, row[128] = "";
        walk((enum zdm_agent_state)state, cells);
        for (size_t c = 0; c < COLUMNS; c++)
            snprintf(row + strlen(row), sizeof row - strlen(row), "%s%s", c > 0 ? " " : "", cells[c]);
        if (strcmp(row, expected[state - 1]) != 0)
            fail_msg("%s: \"%s\" is \"%s\"", zdm_agent_state_name((enum zdm_agent_state)state), expected[state - 1],
                     row);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_directive_in_every_state_is_accepted_or_refused_as_written)};
    return cmocka_run_group_tests_name("orders against states", tests, NULL, NULL);
}
