/*
 * test_reactions.c - every outcome of every kind of work has a reaction: the shard goes on, or stops where a person has
 * to decide, and never hangs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/agent_core/rig.h"

/* Where the shard is taken. */
enum way { FORWARD, THROUGH_THE_PURGE, BACK, LEFTOVERS };

struct kind_row {
    enum agent_op_kind kind;
    enum agent_run run;
    enum way way;
    bool absent_is_fine;
};

static const struct kind_row kinds[] = {
    {AGENT_OP_CONNECT, AGENT_RUN_NONE, FORWARD, true},
    {AGENT_OP_STORE_PLAN, AGENT_RUN_NONE, FORWARD, true},
    {AGENT_OP_ACCEPT, AGENT_RUN_NONE, FORWARD, true},
    {AGENT_OP_SIGNALS, AGENT_RUN_NONE, FORWARD, true},
    {AGENT_OP_INSPECT, AGENT_RUN_NONE, FORWARD, true},
    {AGENT_OP_RUN, AGENT_RUN_DDL, FORWARD, false},
    {AGENT_OP_RUN, AGENT_RUN_INSTALL_SYNC, FORWARD, false},
    {AGENT_OP_RUN, AGENT_RUN_REMOVE_SYNC, FORWARD, true},
    {AGENT_OP_RUN, AGENT_RUN_BOUND, FORWARD, false},
    {AGENT_OP_RUN, AGENT_RUN_BATCH, FORWARD, false},
    {AGENT_OP_RUN, AGENT_RUN_CHECK_CHUNK, FORWARD, false},
    {AGENT_OP_RUN, AGENT_RUN_INDEX_DROP_INVALID, FORWARD, true},
    {AGENT_OP_RUN, AGENT_RUN_INDEX_BUILD, FORWARD, false},
    {AGENT_OP_RUN, AGENT_RUN_VALIDATE, FORWARD, false},
    {AGENT_OP_RUN, AGENT_RUN_REINDEX, FORWARD, false},
    {AGENT_OP_RUN, AGENT_RUN_LONG_SQL, FORWARD, false},
    {AGENT_OP_RUN, AGENT_RUN_WAIT, FORWARD, false},
    {AGENT_OP_RUN, AGENT_RUN_HIDE, FORWARD, false},
    {AGENT_OP_RUN, AGENT_RUN_STEP_DONE, FORWARD, false},
    {AGENT_OP_RUN, AGENT_RUN_SPEND_APPROVALS, THROUGH_THE_PURGE, false},
    {AGENT_OP_RUN, AGENT_RUN_PURGE, THROUGH_THE_PURGE, true},
    {AGENT_OP_RUN, AGENT_RUN_UNDO_BEGIN, BACK, false},
    {AGENT_OP_RUN, AGENT_RUN_UNDO_END, BACK, false},
    {AGENT_OP_RUN, AGENT_RUN_UNHIDE, BACK, false},
    {AGENT_OP_RUN, AGENT_RUN_RESTORE, BACK, false},
    {AGENT_OP_RUN, AGENT_RUN_UNDO_REMOVE, BACK, false},
    {AGENT_OP_RUN, AGENT_RUN_INDEX_DROP, BACK, true},
    {AGENT_OP_RUN, AGENT_RUN_IMAGES_BACK, BACK, false},
    {AGENT_OP_RUN, AGENT_RUN_UNDO_SYNC, BACK, true},
    {AGENT_OP_RUN, AGENT_RUN_UNDO_DDL, BACK, true},
    {AGENT_OP_RUN, AGENT_RUN_STEP_BACK, BACK, false},
    {AGENT_OP_INSPECT, AGENT_RUN_NONE, BACK, true},
    {AGENT_OP_RUN, AGENT_RUN_SPEND_APPROVALS, LEFTOVERS, false},
    {AGENT_OP_RUN, AGENT_RUN_PURGE_LEFTOVERS, LEFTOVERS, true},
};

static enum zdm_code code_of(enum agent_outcome outcome)
{
    static const enum zdm_code codes[] = {
        [AGENT_ABSENT] = ZDM_NOT_FOUND, [AGENT_RETRY] = ZDM_TIMEOUT,   [AGENT_LOCK] = ZDM_LOCK,
        [AGENT_FENCED] = ZDM_FENCED,    [AGENT_UNKNOWN] = ZDM_UNKNOWN, [AGENT_EARLY] = ZDM_REFUSED,
        [AGENT_FAIL] = ZDM_DATABASE,    [AGENT_BUG] = ZDM_BUG};
    return codes[outcome];
}

static bool stops(const struct kind_row *row, enum agent_outcome outcome)
{
    bool in_time = row->run == AGENT_RUN_PURGE || row->run == AGENT_RUN_PURGE_LEFTOVERS || row->run == AGENT_RUN_WAIT;
    if (row->kind != AGENT_OP_RUN && row->kind != AGENT_OP_INSPECT)
        return false; /* without them there is no step that could fail */
    if (outcome == AGENT_ABSENT)
        return !row->absent_is_fine;
    return outcome == AGENT_FAIL || outcome == AGENT_BUG || (outcome == AGENT_EARLY && !in_time);
}

/* What stands in the place of the validation. */
static const struct {
    enum agent_run run;
    enum zdm_step_kind kind;
    enum zdm_action action;
} places[] = {
    {AGENT_RUN_VALIDATE, ZDM_STEP_VALIDATE, ZDM_ACTION_VALIDATE},
    {AGENT_RUN_REINDEX, ZDM_STEP_INDEX, ZDM_ACTION_REINDEX},
    {AGENT_RUN_LONG_SQL, ZDM_STEP_DDL, ZDM_ACTION_AS_IS},
    {AGENT_RUN_WAIT, ZDM_STEP_GATE, ZDM_ACTION_GATE_WAIT},
    {AGENT_RUN_NONE, ZDM_STEP_SYNC, ZDM_ACTION_SYNC_REMOVE},
};

static void put_in_place(struct rig *rig, enum agent_run run)
{
    struct zdm_step *step = &rig->plan->phases[1].steps[3];
    size_t i = 0;
    while (places[i].run != run && places[i].run != AGENT_RUN_NONE)
        i++;
    step->kind = places[i].kind;
    step->action = places[i].action;
    step->lock = ZDM_LOCK_LONG;
}

static struct rig *rig_with_all_of_it(void)
{
    struct rig *rig = rig_new();
    rig->rows = 500;
    rig->restores = 1;
    rig->triggers_only = true;
    return rig;
}

static void approve(struct rig *rig, uint32_t phase)
{
    rig_approve(rig, RIG_ALICE, ZDM_APPROVE_PURGE, phase, 1)->purge_now = true;
    rig_approve(rig, RIG_BOB, ZDM_APPROVE_PURGE, phase, 2)->purge_now = true;
}

static void break_it(struct rig *rig, const struct kind_row *row, enum agent_outcome outcome)
{
    rig->leftover = row->run == AGENT_RUN_INDEX_DROP_INVALID;
    rig->fault.kind = row->kind;
    rig->fault.run = row->run;
    rig->fault.outcome = outcome;
    rig->fault.proof = outcome == AGENT_ABSENT && row->way != BACK ? AGENT_PROOF_NOT_DONE : AGENT_PROOF_NONE;
    rig->fault.code = code_of(outcome);
    rig->fault.times = 2;
}

static void set_out(struct rig *rig, const struct kind_row *row)
{
    uint32_t goal = row->way == THROUGH_THE_PURGE ? 5 : row->way == FORWARD ? 4 : 0;
    struct zdm_directive d = rig_order(1, 2, row->way == LEFTOVERS ? ZDM_MODE_PURGE : ZDM_MODE_RUN, goal);
    if (row->way == BACK) {
        d.mode = ZDM_MODE_UNDO;
        rig->images = 100;
        rig_undo(rig, 0, 1);
    }
    if (row->way != FORWARD)
        rig_send(rig, &d, 0);
    for (int i = 0; i < 12; i++) {
        rig_plan_ready(rig);
        rig_run(rig, 10000);
    }
}

static bool has_arrived(struct rig *rig, enum way way)
{
    const struct zdm_migration_report *said = rig_said(rig);
    if (said->state != ZDM_AGENT_RESTING)
        return false;
    if (way == BACK)
        return said->undone && said->proven_phase == 0;
    return way == LEFTOVERS ? said->purged : said->proven_phase == (way == FORWARD ? 4 : 5);
}

static void try_one(const struct kind_row *row, enum agent_outcome outcome)
{
    struct rig *rig = rig_with_all_of_it();
    put_in_place(rig, row->run);
    if (row->way == FORWARD)
        break_it(rig, row, outcome);
    else
        approve(rig, row->way == LEFTOVERS ? 0 : 5);
    rig->leftovers = 1;
    rig_ready(rig, ZDM_MODE_RUN, row->way == LEFTOVERS ? 0 : 4);
    if (row->way != FORWARD) {
        rig_run(rig, 30000);
        break_it(rig, row, outcome);
    }
    set_out(rig, row);
    bool good = stops(row, outcome) ? rig_look(rig).state == ZDM_AGENT_STOPPED : has_arrived(rig, row->way);
    if (!good || rig->fault.times == 2)
        print_error("kind %d run %d outcome %d, %u left: state %s, step %u\n", (int)row->kind, (int)row->run,
                    (int)outcome, rig->fault.times, zdm_agent_state_name(rig_look(rig).state),
                    rig_look(rig).journal_step);
    assert_true(good && rig->fault.times < 2);
    rig_free(rig);
}

static void every_run_is_tried(void **state)
{
    (void)state;
    for (int run = AGENT_RUN_DDL; run < AGENT_RUN_STOP; run++) {
        bool found = false;
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            found = found || (kinds[i].kind == AGENT_OP_RUN && (int)kinds[i].run == run);
        if (!found)
            fail_msg("run %d", run);
    }
}

static void every_outcome_of_every_kind_of_work_has_a_reaction(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        for (int outcome = AGENT_ABSENT; outcome <= AGENT_BUG; outcome++)
            try_one(&kinds[i], (enum agent_outcome)outcome);
}

static void object_of_somebody_else_stops_the_shard(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    rig->fault.kind = AGENT_OP_INSPECT;
    rig->fault.outcome = AGENT_OK;
    rig->fault.proof = AGENT_PROOF_FOREIGN;
    rig->fault.times = 1;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 3000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_STOPPED);
    rig_free(rig);
}

static void failure_that_cannot_be_journalled_is_tried_again_and_holds_the_work(void **state)
{
    (void)state;
    for (int outcome = AGENT_ABSENT; outcome <= AGENT_BUG; outcome++) {
        struct rig *rig = rig_new();
        rig->plan->phases[0].steps[0].kind = ZDM_STEP_REBUILD; /* fails before its first step */
        rig->fault.kind = AGENT_OP_RUN;
        rig->fault.run = AGENT_RUN_STOP;
        rig->fault.outcome = (enum agent_outcome)outcome;
        rig->fault.code = code_of((enum agent_outcome)outcome);
        rig->fault.times = 3;
        rig_ready(rig, ZDM_MODE_RUN, 1);
        rig_run(rig, 30000);
        assert_int_equal(rig_look(rig).state, ZDM_AGENT_STOPPED);
        assert_int_equal(rig->runs[AGENT_RUN_DDL], 0);
        rig_free(rig);
    }
}

static void step_that_never_shows_an_effect_is_our_bug(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    rig->fault.kind = AGENT_OP_INSPECT;
    rig->fault.outcome = AGENT_OK;
    rig->fault.proof = AGENT_PROOF_NOT_DONE;
    rig->fault.times = 100;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 30000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_STOPPED);
    assert_int_equal(rig->row_failed_code, ZDM_BUG);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 3);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_run_is_tried),
        cmocka_unit_test(every_outcome_of_every_kind_of_work_has_a_reaction),
        cmocka_unit_test(object_of_somebody_else_stops_the_shard),
        cmocka_unit_test(failure_that_cannot_be_journalled_is_tried_again_and_holds_the_work),
        cmocka_unit_test(step_that_never_shows_an_effect_is_our_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
