/*
 * test_index.c - concurrent builds: owned from their intent on, leftovers cleaned up, duplicates named.
 */
#include "tests/integration/postgresql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void plan_index(struct rig *r, const char *sql)
{
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users SELECT g, 'n' || g FROM "
               "generate_series(1, 2000) g");
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_CREATE_INDEX, NULL, "users_name", sql);
    rig_accept(r, 1);
    r->time_limit_ms = 0;
}

static void index_is_built_once_and_marked(void **state)
{
    struct rig *r = *state;
    plan_index(r, "CREATE INDEX CONCURRENTLY users_name ON users (name)");
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
    assert_int_equal(r->journal_step, 2);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_ALREADY);
    assert_string_equal(
        rig_value(
            r, "SELECT obj_description('users_name'::regclass, 'pg_class') = 'zdm:' || migration FROM zdm.migration"),
        "t");
}

static void index_of_somebody_else_is_foreign(void **state)
{
    struct rig *r = *state;
    plan_index(r, "CREATE INDEX CONCURRENTLY users_name ON users (name)");
    rig_sql(r, "CREATE INDEX users_name ON users (id)");
    rig_inspect(r, 1, AGENT_PROOF_FOREIGN);
    rig_refused(r, AGENT_RUN_INDEX_BUILD, 1, "was not made by this migration");
    rig_refused(r, AGENT_RUN_INDEX_DROP_INVALID, 1, "was not made by this migration");
}

static void duplicates_are_named_and_leave_nothing_behind(void **state)
{
    struct rig *r = *state;
    plan_index(r, "CREATE UNIQUE INDEX CONCURRENTLY users_name ON users (name)");
    rig_sql(r, "INSERT INTO users VALUES (5000, 'n7')");
    rig_refused(r, AGENT_RUN_INDEX_BUILD, 1, "Key (name)=(n7) is duplicated");
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_sql(r, "DELETE FROM users WHERE id = 5000");
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
}

/* A person builds it then: that one is not ours, and stays. */
static void intent_of_a_build_that_failed_takes_nobody_elses_index_for_ours(void **state)
{
    struct rig *r = *state;
    plan_index(r, "CREATE UNIQUE INDEX CONCURRENTLY users_name ON users (name)");
    rig_sql(r, "INSERT INTO users VALUES (5000, 'n7')");
    rig_refused(r, AGENT_RUN_INDEX_BUILD, 1, "Key (name)=(n7) is duplicated");
    rig_sql(r, "DELETE FROM users WHERE id = 5000; CREATE UNIQUE INDEX users_name ON users (name)");
    rig_inspect(r, 1, AGENT_PROOF_FOREIGN);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
}

static void intent_of_a_build_that_was_refused_takes_nobody_elses_index_for_ours(void **state)
{
    struct rig *r = *state;
    plan_index(r, "CREATE INDEX CONCURRENTLY users_name ON users (nothing)");
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_INDEX_BUILD, 1, 0);
    assert_int_equal(result->error.code, ZDM_NOT_FOUND);
    assert_non_null(strstr(result->error.message, "nothing"));
    agent_result_free(result);
    rig_sql(r, "CREATE INDEX users_name ON users (name)");
    rig_inspect(r, 1, AGENT_PROOF_FOREIGN);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
}

static void build_that_was_cut_off_leaves_a_leftover_that_is_dropped(void **state)
{
    struct rig *r = *state;
    plan_index(r, "CREATE INDEX CONCURRENTLY users_name ON users (name)");
    rig_app(r, "BEGIN; UPDATE users SET name = 'x' WHERE id = 1");
    uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_INDEX_BUILD, 1, 0);
    while (rig_number(r, "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%%'") == 0) {
    }
    rig_exec(r->super, "SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index");
    struct agent_result *result = rig_await(r, op);
    assert_string_equal(agent_outcome_name(result->outcome), "unknown");
    agent_result_free(result);
    rig_app(r, "COMMIT");
    rig_inspect(r, 1, AGENT_PROOF_LEFTOVER);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_RETRY);
    rig_run(r, AGENT_RUN_INDEX_DROP_INVALID, 1, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned"), 0);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
}

static void build_is_cancelled_by_a_pause(void **state)
{
    struct rig *r = *state;
    plan_index(r, "CREATE INDEX CONCURRENTLY users_name ON users (name)");
    rig_app(r, "BEGIN; UPDATE users SET name = 'x' WHERE id = 1");
    uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_INDEX_BUILD, 1, 0);
    while (rig_number(r, "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting%%'") == 0) {
    }
    r->engine.ops->cancel(r->engine.self, op);
    struct agent_result *result = rig_await(r, op);
    assert_int_equal(result->error.code, ZDM_CANCELLED);
    agent_result_free(result);
    rig_inspect(r, 1, AGENT_PROOF_LEFTOVER);
    rig_app(r, "COMMIT");
}

static void fenced_agent_builds_nothing(void **state)
{
    struct rig *r = *state;
    plan_index(r, "CREATE INDEX CONCURRENTLY users_name ON users (name)");
    struct zdm_fence old = r->fence;
    agent_result_free(rig_try_accept(r, 1, 2, 1, 2));
    r->fence = old;
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_FENCED);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(index_is_built_once_and_marked),
        RIG_TEST(index_of_somebody_else_is_foreign),
        RIG_TEST(duplicates_are_named_and_leave_nothing_behind),
        RIG_TEST(intent_of_a_build_that_failed_takes_nobody_elses_index_for_ours),
        RIG_TEST(intent_of_a_build_that_was_refused_takes_nobody_elses_index_for_ours),
        RIG_TEST(build_that_was_cut_off_leaves_a_leftover_that_is_dropped),
        RIG_TEST(build_is_cancelled_by_a_pause),
        RIG_TEST(fenced_agent_builds_nothing),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
