/*
 * test_ddl.c - the short class: what it changes, how it is proved, what it refuses, and what it leaves alone.
 */
#include "tests/integration/postgresql/rig.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void users(struct rig *r)
{
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users SELECT g, 'n' || g FROM "
               "generate_series(1, 100) g");
}

static void add_column(struct rig *r, const char *sql)
{
    users(r);
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "full_name", NULL, sql);
    rig_accept(r, 1);
}

static void column_is_added_once_with_its_owner_and_the_journal(void **state)
{
    struct rig *r = *state;
    add_column(r, "ALTER TABLE public.users ADD COLUMN full_name varchar(255)");
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    assert_int_equal(r->journal_step, 2);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_ALREADY);
    assert_string_equal(rig_value(r, "SELECT substr(col_description('users'::regclass, 3), 5)"), r->plan->id);
}

static void column_of_somebody_else_is_foreign(void **state)
{
    struct rig *r = *state;
    add_column(r, "ALTER TABLE users ADD COLUMN full_name text DEFAULT 'x'");
    rig_sql(r, "ALTER TABLE users ADD full_name text");
    rig_inspect(r, 1, AGENT_PROOF_FOREIGN);
    rig_refused(r, AGENT_RUN_DDL, 1, "was not made by this migration");
}

static void rewrite_is_refused_by_trying_a_clone(void **state)
{
    struct rig *r = *state;
    add_column(r, "ALTER TABLE \"public\".\"users\" ADD COLUMN full_name float8 DEFAULT random()");
    rig_refused(r, AGENT_RUN_DDL, 1, "would write all of public.users anew");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname = 'clone'"), 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_attribute WHERE attname = 'full_name'"), 0);
}

static void statement_about_another_table_is_refused(void **state)
{
    struct rig *r = *state;
    add_column(r, "ALTER TABLE public.other ADD COLUMN full_name text");
    rig_refused(r, AGENT_RUN_DDL, 1, "no ALTER TABLE of public.users");
}

static void table_that_is_not_there_is_absent(void **state)
{
    struct rig *r = *state;
    rig_plan(r, "nowhere", 1);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "c", NULL, "ALTER TABLE nowhere ADD COLUMN c int");
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_ABSENT);
}

static void ddl_under_an_old_fence_changes_nothing(void **state)
{
    struct rig *r = *state;
    add_column(r, "ALTER TABLE users ADD COLUMN full_name text");
    struct zdm_fence old = r->fence;
    agent_result_free(rig_try_accept(r, 1, 2, 1, 2));
    r->fence = old;
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_FENCED);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_attribute WHERE attname = 'full_name'"), 0);
}

/* The chain of SET NOT NULL. */
static void not_null_chain(struct rig *r)
{
    users(r);
    rig_plan(r, "users", 4);
    rig_ddl(r, 1, ZDM_ACTION_ADD_CHECK, "name", "zdm_nn",
            "ALTER TABLE users ADD CONSTRAINT zdm_nn CHECK (name IS NOT NULL) NOT VALID");
    rig_ddl(r, 2, ZDM_ACTION_VALIDATE, NULL, "zdm_nn", "ALTER TABLE users VALIDATE CONSTRAINT zdm_nn");
    rig_ddl(r, 3, ZDM_ACTION_SET_NOT_NULL, "name", NULL, "ALTER TABLE users ALTER COLUMN name SET NOT NULL");
    rig_ddl(r, 4, ZDM_ACTION_DROP_CONSTRAINT, NULL, "zdm_nn", "ALTER TABLE users DROP CONSTRAINT zdm_nn");
    rig_accept(r, 1);
}

static void not_null_is_set_by_way_of_a_validated_check(void **state)
{
    struct rig *r = *state;
    not_null_chain(r);
    for (uint32_t i = 1; i <= 4; i++) {
        rig_inspect(r, i, AGENT_PROOF_NOT_DONE);
        rig_run(r, i == 2 ? AGENT_RUN_VALIDATE : AGENT_RUN_DDL, i, AGENT_OK);
        rig_inspect(r, i, AGENT_PROOF_DONE);
        assert_int_equal(r->journal_step, i + 1);
    }
    assert_string_equal(
        rig_value(r, "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'name'"),
        "t");
}

static void set_not_null_without_a_validated_check_is_refused(void **state)
{
    struct rig *r = *state;
    not_null_chain(r);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_STEP_DONE, 2, AGENT_OK);
    rig_refused(r, AGENT_RUN_DDL, 3, "no validated CHECK");
}

/* As long as it is there it makes the application's INSERTs fail: whoever holds the table, it goes in the end. */
static void check_that_rows_violate_goes_when_the_table_is_free_again_also_after_a_restart(void **state)
{
    struct rig *r = *state;
    not_null_chain(r);
    rig_sql(r, "UPDATE users SET name = NULL WHERE id = 50");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    PGconn *reader = rig_connect(r, "app_user");
    rig_exec(reader, "BEGIN; SELECT count(*) FROM users");
    struct agent_result *held = rig_do(r, AGENT_OP_RUN, AGENT_RUN_VALIDATE, 2, 0);
    assert_int_equal(held->outcome, AGENT_LOCK);
    assert_non_null(strstr(held->blocker, "BEGIN; SELECT count(*) FROM users"));
    assert_non_null(strstr(held->blocker, "constraint zdm_nn, which rows violate, binds until then"));
    assert_non_null(strstr(held->error.message, "is still there: could not lock public.users"));
    agent_result_free(held);
    assert_int_equal(r->journal_step, 2);
    rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
    /* Another agent takes over, and the rows are right by then: it is taken away all the same. */
    rig_sql(r, "UPDATE users SET name = 'x' WHERE id = 50");
    rig_connect_engine(r);
    rig_reload(r);
    rig_exec(reader, "COMMIT");
    rig_refused(r, AGENT_RUN_VALIDATE, 2, "rows of public.users violated constraint zdm_nn when");
    assert_string_equal(rig_app_fails(r, "INSERT INTO users VALUES (1000, NULL)"), "");
    rig_app(r, "DELETE FROM users WHERE id = 1000");
    assert_int_equal(r->journal_step, 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned"), 0);
    PQfinish(reader);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_VALIDATE, 2, AGENT_OK);
}

/* One of that name that is added anew is no leftover of the last time. */
static void check_that_was_taken_away_otherwise_is_validated_when_it_is_there_again(void **state)
{
    struct rig *r = *state;
    not_null_chain(r);
    rig_sql(r, "UPDATE users SET name = NULL WHERE id = 50");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    PGconn *reader = rig_connect(r, "app_user");
    rig_exec(reader, "BEGIN; SELECT count(*) FROM users");
    rig_run(r, AGENT_RUN_VALIDATE, 2, AGENT_LOCK);
    PQfinish(reader);
    rig_sql(r, "UPDATE users SET name = 'x' WHERE id = 50");
    rig_sql(r,
            "ALTER TABLE users DROP CONSTRAINT zdm_nn; ALTER TABLE users ADD CONSTRAINT zdm_nn CHECK (name IS NOT"
            " NULL) NOT VALID; COMMENT ON CONSTRAINT zdm_nn ON users IS 'zdm:%s'",
            r->plan->id);
    rig_run(r, AGENT_RUN_VALIDATE, 2, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned"), 0);
}

/* Readers that follow each other without a gap: the drop queues for a moment. */
static void *read_on_and_on(void *arg)
{
    PGconn *conn = rig_connect(arg, "app_user");
    for (int i = 0; i < 60; i++) {
        rig_exec(conn, "BEGIN; SELECT count(*) FROM users; SELECT pg_sleep(0.07); COMMIT");
    }
    PQfinish(conn);
    return NULL;
}

static void check_that_rows_violate_goes_between_readers_who_never_let_go(void **state)
{
    struct rig *r = *state;
    pthread_t readers[4];
    not_null_chain(r);
    rig_sql(r, "UPDATE users SET name = NULL WHERE id = 50");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_on_and_on, r), 0);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    struct agent_result *result = NULL;
    for (int tries = 0; tries < 5 && (result == NULL || result->outcome == AGENT_LOCK); tries++) {
        agent_result_free(result);
        result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_VALIDATE, 2, 0);
    }
    assert_int_equal(result->outcome, AGENT_FAIL);
    agent_result_free(result);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(readers[i], NULL);
    }
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_constraint WHERE conname = 'zdm_nn'"), 0);
}

static void check_that_rows_violate_is_dropped_again(void **state)
{
    struct rig *r = *state;
    not_null_chain(r);
    rig_sql(r, "UPDATE users SET name = NULL WHERE id = 50");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    assert_string_equal(rig_app_fails(r, "INSERT INTO users VALUES (1000, NULL)"), "23514");
    rig_refused(r, AGENT_RUN_VALIDATE, 2, "was dropped again");
    assert_string_equal(rig_app_fails(r, "INSERT INTO users VALUES (1000, NULL)"), "");
    assert_int_equal(r->journal_step, 1);
    r->journal_step = 2; /* as a core that has not looked at the result: accepting the retry tells it */
    rig_accept(r, 2);
    assert_int_equal(r->journal_step, 1);
    rig_sql(r, "UPDATE users SET name = '' WHERE name IS NULL");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_VALIDATE, 2, AGENT_OK);
}

static void column_is_added_to_a_partitioned_table_and_an_oddly_named_one(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE \"We \"\"ird.\" (id int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF \"We "
               "\"\"ird.\" DEFAULT");
    rig_plan(r, "We \"ird.", 1);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "c", NULL, "ALTER TABLE public . \"We \"\"ird.\" ADD COLUMN c int");
    rig_accept(r, 1);
    r->lock_wait_ms = 100;
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(column_is_added_once_with_its_owner_and_the_journal),
        RIG_TEST(column_of_somebody_else_is_foreign),
        RIG_TEST(rewrite_is_refused_by_trying_a_clone),
        RIG_TEST(statement_about_another_table_is_refused),
        RIG_TEST(table_that_is_not_there_is_absent),
        RIG_TEST(ddl_under_an_old_fence_changes_nothing),
        RIG_TEST(not_null_is_set_by_way_of_a_validated_check),
        RIG_TEST(set_not_null_without_a_validated_check_is_refused),
        RIG_TEST(check_that_rows_violate_is_dropped_again),
        RIG_TEST(check_that_rows_violate_goes_when_the_table_is_free_again_also_after_a_restart),
        RIG_TEST(check_that_was_taken_away_otherwise_is_validated_when_it_is_there_again),
        RIG_TEST(check_that_rows_violate_goes_between_readers_who_never_let_go),
        RIG_TEST(column_is_added_to_a_partitioned_table_and_an_oddly_named_one),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
