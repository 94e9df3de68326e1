/*
 * test_rules.c - what is known of each action, and what a step leaves behind for the next one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/internal.h"

enum { WALK = 1, LONG = 2, ADDS = 4 };

/* Written a second time, so that no row of rules.c changes by itself; actions of runs that the sequences and the
 * simulation see anyway are left out. */
static const struct {
    enum zdm_action action;
    enum agent_run run;
    unsigned is;
} expected[] = {
    {ZDM_ACTION_ADD_COLUMN, AGENT_RUN_DDL, ADDS},
    {ZDM_ACTION_ADD_CHECK, AGENT_RUN_DDL, ADDS},
    {ZDM_ACTION_SET_NOT_NULL, AGENT_RUN_DDL, ADDS},
    {ZDM_ACTION_DROP_CONSTRAINT, AGENT_RUN_DDL, 0},
    {ZDM_ACTION_VALIDATE, AGENT_RUN_VALIDATE, LONG},
    {ZDM_ACTION_CREATE_INDEX, AGENT_RUN_INDEX_BUILD, LONG | ADDS},
    {ZDM_ACTION_BACKFILL, AGENT_RUN_BATCH, WALK | ADDS},
    {ZDM_ACTION_CHECK_QUERY, AGENT_RUN_CHECK_CHUNK, LONG},
    {ZDM_ACTION_CHECK_COMPARE, AGENT_RUN_CHECK_CHUNK, WALK},
    {ZDM_ACTION_GATE_FLAG, AGENT_RUN_NONE, 0},
    {ZDM_ACTION_ADD_FOREIGN_KEY, AGENT_RUN_DDL, ADDS},
    {ZDM_ACTION_ADD_UNIQUE, AGENT_RUN_DDL, ADDS},
    {ZDM_ACTION_ADD_PRIMARY_KEY, AGENT_RUN_DDL, ADDS},
    {ZDM_ACTION_LIFT_CONSTRAINT, AGENT_RUN_DDL, 0},
    {ZDM_ACTION_DROP_NOT_NULL, AGENT_RUN_DDL, 0},
    {ZDM_ACTION_SET_DEFAULT, AGENT_RUN_DDL, ADDS},
    {ZDM_ACTION_SET_STORAGE, AGENT_RUN_DDL, ADDS},
    {ZDM_ACTION_COMMENT, AGENT_RUN_DDL, ADDS},
    {ZDM_ACTION_WIDEN_TYPE, AGENT_RUN_DDL, 0},
    {ZDM_ACTION_CREATE_TABLE, AGENT_RUN_DDL, ADDS},
    {ZDM_ACTION_CREATE_TYPE, AGENT_RUN_DDL, ADDS},
    {ZDM_ACTION_ADD_VALUE, AGENT_RUN_DDL, 0},
    {ZDM_ACTION_HIDE_TABLE, AGENT_RUN_HIDE, 0},
    {ZDM_ACTION_PURGE_TABLE, AGENT_RUN_PURGE, 0},
    {ZDM_ACTION_HIDE_INDEX, AGENT_RUN_HIDE, 0},
    {ZDM_ACTION_PURGE_INDEX, AGENT_RUN_PURGE, LONG},
    {ZDM_ACTION_REINDEX, AGENT_RUN_REINDEX, LONG},
    {ZDM_ACTION_ADD_PARTITION_CHECK, AGENT_RUN_DDL, ADDS},
    {ZDM_ACTION_ATTACH_PARTITION, AGENT_RUN_DDL, ADDS},
    {ZDM_ACTION_DETACH_PARTITION, AGENT_RUN_DDL, ADDS},
    {ZDM_ACTION_DELETE, AGENT_RUN_BATCH, WALK | ADDS},
    {ZDM_ACTION_AS_IS, AGENT_RUN_DDL, 0},
    {ZDM_ACTION_GATE_WAIT, AGENT_RUN_WAIT, 0},
    {ZDM_ACTION_SHOW_COLUMN, AGENT_RUN_DDL, 0},
};

static void each_action_has_its_run_its_class_and_what_it_leaves(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const struct zdm_step step = {.action = expected[i].action, .lock = ZDM_LOCK_SHORT};
        unsigned is = (agent_action_rule(&step)->walk ? WALK : 0u) | (agent_is_long(&step) ? LONG : 0u) |
                      (agent_action_rule(&step)->adds ? ADDS : 0u);
        if (agent_action_run(&step) != expected[i].run || is != expected[i].is)
            fail_msg("%s: run %d, %u", zdm_action_name(step.action), (int)agent_action_run(&step), is);
        assert_int_equal(agent_is_bulk(&step), (is & (WALK | LONG)) != 0);
    }
}

static void every_action_but_a_flag_runs_something_of_this_agent(void **state)
{
    (void)state;
    for (unsigned a = 1; a <= ZDM_ACTION_LAST; a++) {
        const struct zdm_step step = {.action = (enum zdm_action)a};
        bool runs = agent_action_run(&step) != AGENT_RUN_NONE;
        if (runs == (step.action == ZDM_ACTION_GATE_FLAG))
            fail_msg("%s runs %s", zdm_action_name(step.action), runs ? "something" : "nothing");
    }
}

static void a_long_statement_as_it_is_has_no_limit_and_a_newer_action_no_run(void **state)
{
    (void)state;
    const struct zdm_step statement = {.action = ZDM_ACTION_AS_IS, .lock = ZDM_LOCK_LONG};
    const struct zdm_step newer = {.action = (enum zdm_action)(ZDM_ACTION_LAST + 1)};
    assert_int_equal(agent_action_run(&statement), AGENT_RUN_LONG_SQL);
    assert_true(agent_is_long(&statement) && agent_is_bulk(&statement));
    assert_int_equal(agent_action_run(&newer), AGENT_RUN_NONE);
}

static void a_rebuild_of_the_table_has_no_limit_and_waits_for_the_signals(void **state)
{
    static const enum zdm_action actions[] = {ZDM_ACTION_SET_NOT_NULL, ZDM_ACTION_DROP_NOT_NULL};
    (void)state;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        const struct zdm_step rebuild = {.action = actions[i], .lock = ZDM_LOCK_LONG, .rewrite_ok = true};
        assert_int_equal(agent_action_run(&rebuild), AGENT_RUN_DDL);
        assert_true(agent_is_long(&rebuild) && agent_is_bulk(&rebuild));
    }
}

static void the_next_step_begins_with_nothing_of_the_one_before(void **state)
{
    (void)state;
    struct agent_migration m = {.proof = AGENT_PROOF_DONE,
                                .ran = true,
                                .futile = 1,
                                .deadlocks = 2,
                                .locked_form = true,
                                .batch_rows = 3,
                                .unknowns = 4,
                                .failures = 5,
                                .next_ms = 6,
                                .backing_off = true,
                                .throttled = true,
                                .early_ms = 7,
                                .lock.tries = 8,
                                .blocked_by = "pid 9"};
    m.progress.rows_done = 10;
    agent_step_reset(&m);
    assert_int_equal(m.proof, AGENT_PROOF_NONE);
    assert_false(m.ran || m.locked_form || m.backing_off || m.throttled);
    assert_true(m.futile == 0 && m.deadlocks == 0 && m.batch_rows == 0);
    assert_true(m.unknowns == 0 && m.failures == 0 && m.next_ms == 0 && m.early_ms == 0);
    assert_int_equal(m.lock.tries, 0);
    assert_string_equal(m.blocked_by, "");
    assert_int_equal(m.progress.rows_done, 0);
}

static void a_path_that_is_begun_again_trusts_nothing_it_saw(void **state)
{
    (void)state;
    struct agent_migration m = {.looked = 5,
                                .proven = true,
                                .proven_phase = 2,
                                .regress_to = 3,
                                .phase_checked = 2,
                                .ran_step = 4,
                                .vanished = 4,
                                .unsure = true,
                                .unknowns = 3,
                                .stop_wanted = true,
                                .purged = true};
    agent_path_reset(&m);
    assert_int_equal(m.looked, 1);
    assert_false(m.proven || m.unsure || m.stop_wanted || m.purged);
    assert_true(m.proven_phase == 0 && m.regress_to == 0 && m.phase_checked == 0);
    assert_true(m.ran_step == 0 && m.vanished == 0 && m.unknowns == 0);
}

static void a_step_is_begun_once_its_walk_has_anything(void **state)
{
    (void)state;
    char place[] = "[7]";
    assert_false(agent_is_begun(&(struct agent_migration){.step = 2}));
    assert_true(agent_is_begun(&(struct agent_migration){.cursor = place}));
    assert_true(agent_is_begun(&(struct agent_migration){.bound = place}));
    assert_true(agent_is_begun(&(struct agent_migration){.walked = true}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_action_has_its_run_its_class_and_what_it_leaves),
        cmocka_unit_test(every_action_but_a_flag_runs_something_of_this_agent),
        cmocka_unit_test(a_long_statement_as_it_is_has_no_limit_and_a_newer_action_no_run),
        cmocka_unit_test(a_rebuild_of_the_table_has_no_limit_and_waits_for_the_signals),
        cmocka_unit_test(the_next_step_begins_with_nothing_of_the_one_before),
        cmocka_unit_test(a_path_that_is_begun_again_trusts_nothing_it_saw),
        cmocka_unit_test(a_step_is_begun_once_its_walk_has_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
