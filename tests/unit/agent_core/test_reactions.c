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

struct kind_row {
    enum agent_op_kind kind;
    enum agent_run run;
    bool absent_is_fine;
};

static const struct kind_row kinds[] = {
    {AGENT_OP_CONNECT, AGENT_RUN_NONE, true},
    {AGENT_OP_STORE_PLAN, AGENT_RUN_NONE, true},
    {AGENT_OP_ACCEPT, AGENT_RUN_NONE, true},
    {AGENT_OP_SIGNALS, AGENT_RUN_NONE, true},
    {AGENT_OP_INSPECT, AGENT_RUN_NONE, true},
    {AGENT_OP_RUN, AGENT_RUN_DDL, false},
    {AGENT_OP_RUN, AGENT_RUN_INSTALL_SYNC, false},
    {AGENT_OP_RUN, AGENT_RUN_BOUND, false},
    {AGENT_OP_RUN, AGENT_RUN_BATCH, false},
    {AGENT_OP_RUN, AGENT_RUN_CHECK_CHUNK, false},
    {AGENT_OP_RUN, AGENT_RUN_INDEX_DROP_INVALID, true},
    {AGENT_OP_RUN, AGENT_RUN_INDEX_BUILD, false},
    {AGENT_OP_RUN, AGENT_RUN_VALIDATE, false},
    {AGENT_OP_RUN, AGENT_RUN_HIDE, false},
    {AGENT_OP_RUN, AGENT_RUN_STEP_DONE, false},
};

static enum zdm_code code_of(enum agent_outcome outcome)
{
    static const enum zdm_code codes[] = {
        [AGENT_ABSENT] = ZDM_NOT_FOUND, [AGENT_RETRY] = ZDM_TIMEOUT,   [AGENT_LOCK] = ZDM_LOCK,
        [AGENT_FENCED] = ZDM_FENCED,    [AGENT_UNKNOWN] = ZDM_UNKNOWN, [AGENT_FAIL] = ZDM_DATABASE,
        [AGENT_BUG] = ZDM_BUG};
    return codes[outcome];
}

static bool stops(const struct kind_row *row, enum agent_outcome outcome)
{
    if (row->kind != AGENT_OP_RUN && row->kind != AGENT_OP_INSPECT)
        return false; /* without them there is no step that could fail */
    if (outcome == AGENT_ABSENT)
        return !row->absent_is_fine;
    return outcome == AGENT_FAIL || outcome == AGENT_BUG;
}

static void try_one(const struct kind_row *row, enum agent_outcome outcome)
{
    struct rig *rig = rig_new();
    rig->rows = 500;
    rig->leftover = row->run == AGENT_RUN_INDEX_DROP_INVALID;
    rig->fault.kind = row->kind;
    rig->fault.run = row->run;
    rig->fault.outcome = outcome;
    rig->fault.proof = outcome == AGENT_ABSENT ? AGENT_PROOF_NOT_DONE : AGENT_PROOF_NONE;
    rig->fault.code = code_of(outcome);
    rig->fault.times = 2;
    rig_ready(rig, ZDM_MODE_RUN, 4);
    for (int i = 0; i < 12; i++) {
        rig_plan_ready(rig);
        rig_run(rig, 10000);
    }
    struct agent_core_look look = rig_look(rig);
    bool good = stops(row, outcome) ? look.state == ZDM_AGENT_STOPPED
                                    : look.state == ZDM_AGENT_RESTING && look.proven_phase == 4;
    if (!good)
        print_error("kind %d run %d outcome %d: state %s, step %u\n", (int)row->kind, (int)row->run, (int)outcome,
                    zdm_agent_state_name(look.state), look.journal_step);
    assert_true(good);
    rig_free(rig);
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
        rig->plan->phases[0].approvals = 1; /* fails at its first step */
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
        cmocka_unit_test(every_outcome_of_every_kind_of_work_has_a_reaction),
        cmocka_unit_test(object_of_somebody_else_stops_the_shard),
        cmocka_unit_test(failure_that_cannot_be_journalled_is_tried_again_and_holds_the_work),
        cmocka_unit_test(step_that_never_shows_an_effect_is_our_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
