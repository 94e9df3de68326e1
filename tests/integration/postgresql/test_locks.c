/*
 * test_locks.c - the short class against what holds a table: readers, writers, prepared transactions, vacuum; and what
 * the application feels meanwhile.
 */
#include "tests/integration/postgresql/rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void users(struct rig *r)
{
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users SELECT g, 'n' FROM "
               "generate_series(1, 2000) g");
    rig_plan(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "full_name", NULL, "ALTER TABLE public.users ADD COLUMN full_name text");
    rig_copy(r, 2, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_accept(r, 1);
}

static void expect_lock(struct rig *r, enum agent_run run, uint32_t step, const char *blocker)
{
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, run, step, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "lock");
    if (strstr(result->blocker, blocker) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", blocker, result->blocker);
    }
    agent_result_free(result);
}

static void reader_that_holds_the_table_is_named(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_app(r, "BEGIN; SELECT count(*) FROM users");
    expect_lock(r, AGENT_RUN_DDL, 1, "app_user@");
    expect_lock(r, AGENT_RUN_DDL, 1, "idle in transaction for 0 s: BEGIN; SELECT count(*) FROM users");
    r->lock_wait_ms = 60;
    expect_lock(r, AGENT_RUN_DDL, 1, "app_user@");
    rig_app(r, "COMMIT");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
}

static void reader_does_not_keep_triggers_away_but_a_writer_does(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_app(r, "BEGIN; UPDATE users SET name = 'x' WHERE id = 1");
    expect_lock(r, AGENT_RUN_INSTALL_SYNC, 2, "UPDATE users SET name");
    rig_app(r, "COMMIT; BEGIN; SELECT count(*) FROM users");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 2, AGENT_OK);
    rig_app(r, "COMMIT");
}

static void prepared_transaction_is_named(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_app(r, "BEGIN; INSERT INTO users VALUES (9999, 'x'); PREPARE TRANSACTION 'forgotten %s'", r->database);
    expect_lock(r, AGENT_RUN_DDL, 1, "prepared transaction 'forgotten");
    rig_app(r, "ROLLBACK PREPARED 'forgotten %s'", r->database);
}

/* Ours fails at once each time, and nobody else waits longer than it takes to say no. */
static void attempts_without_waiting_stall_nobody(void **state)
{
    struct rig *r = *state;
    users(r);
    PGconn *reader = rig_connect(r, "app_user");
    rig_exec(reader, "BEGIN; SELECT count(*) FROM users");
    long worst = 0;
    for (int i = 0; i < 10; i++) {
        uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_DDL, 1, 0);
        long begun = now_ms();
        rig_app(r, "UPDATE users SET name = 'y' WHERE id = %d", i);
        long took = now_ms() - begun;
        worst = took > worst ? took : worst;
        struct agent_result *result = rig_await(r, op);
        assert_string_equal(agent_outcome_name(result->outcome), "lock");
        assert_true(result->elapsed_ms < 1000);
        agent_result_free(result);
    }
    assert_true(worst < 500);
    rig_exec(reader, "COMMIT");
    PQfinish(reader);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
}

/* lock_timeout counts per lock; ours counts over all of them (database.md 14). */
static void budget_is_for_the_sum_of_all_partitions(void **state)
{
    enum { PARTITIONS = 4 };
    struct rig *r = *state;
    PGconn *holders[PARTITIONS];
    rig_sql(r, "CREATE TABLE users (id int, name text, PRIMARY KEY (id)) PARTITION BY RANGE (id)");
    for (int i = 0; i < PARTITIONS; i++) {
        rig_sql(r, "CREATE TABLE u%d PARTITION OF users FOR VALUES FROM (%d) TO (%d)", i, i * 10, i * 10 + 10);
    }
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "full_name", NULL, "ALTER TABLE public.users ADD COLUMN full_name text");
    rig_accept(r, 1);
    for (int i = 0; i < PARTITIONS; i++) {
        char sql[64];
        holders[i] = rig_connect(r, "app_user");
        snprintf(sql, sizeof sql, "BEGIN; SELECT count(*) FROM u%d", i);
        rig_exec(holders[i], sql);
    }
    r->lock_wait_ms = 400;
    uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_DDL, 1, 0);
    for (int i = 0; i < PARTITIONS; i++) {
        sleep_ms(200);
        rig_exec(holders[i], "COMMIT");
        PQfinish(holders[i]);
    }
    struct agent_result *result = rig_await(r, op);
    assert_string_equal(agent_outcome_name(result->outcome), "lock");
    assert_true(result->elapsed_ms < 750);
    agent_result_free(result);
}

enum { VACUUM_WAIT_MS = 40000 };

/* The launcher comes by once a second (autovacuum_naptime); a machine on which it does not come at all fails the test.
 */
static void wait_for_vacuum(struct rig *r)
{
    long until = now_ms() + VACUUM_WAIT_MS;
    while (rig_number(r, "SELECT count(*) FROM pg_stat_progress_vacuum WHERE relid = 'users'::regclass") == 0) {
        if (now_ms() > until) {
            fail_msg("no autovacuum worker came within %d ms", VACUUM_WAIT_MS);
        }
        sleep_ms(50);
    }
}

/* users with an autovacuum that takes minutes. */
static void users_under_autovacuum(struct rig *r)
{
    users(r);
    rig_sql(r, "ALTER TABLE users SET (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1,"
               " autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0);"
               "INSERT INTO users SELECT g, repeat('x', 200) FROM generate_series(3000, 40000) g; DELETE FROM users "
               "WHERE id %% 2 = 0");
    wait_for_vacuum(r);
}

/* An autovacuum is made to give way by waiting longer than our deadlock_timeout, which the grants let us shorten. */
static void autovacuum_in_the_way_gives_way(void **state)
{
    struct rig *r = *state;
    if (!rig_since(r, 15, "an autovacuum that gives way soon: nobody can grant it")) {
        return;
    }
    users_under_autovacuum(r);
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_DDL, 1, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "lock");
    assert_true(result->blocker_is_autovacuum);
    assert_non_null(strstr(result->blocker, "autovacuum: VACUUM"));
    agent_result_free(result);
    r->lock_wait_ms = 100;
    long begun = now_ms();
    do {
        result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_DDL, 1, 0);
        bool locked = result->outcome == AGENT_LOCK;
        agent_result_free(result);
        if (!locked) {
            break;
        }
    } while (now_ms() - begun < 5000);
    assert_int_equal(r->journal_step, 2);
    assert_true(now_ms() - begun < 5000);
}

static void grant_that_would_make_an_autovacuum_give_way_is_named(void **state)
{
    struct rig *r = *state;
    users_under_autovacuum(r);
    rig_may_set(r, "deadlock_timeout", false);
    rig_connect_engine(r);
    r->lock_wait_ms = 100;
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_DDL, 1, 0);
    rig_may_set(r, "deadlock_timeout", true);
    assert_string_equal(agent_outcome_name(result->outcome), "lock");
    assert_non_null(strstr(result->blocker, "autovacuum: VACUUM"));
    bool grantable = rig_since(r, 15, "the grant's name");
    assert_int_equal(strstr(result->blocker, "GRANT SET ON PARAMETER deadlock_timeout") != NULL, grantable);
    assert_non_null(strstr(result->blocker, "throttle: {max_stall: 1050ms}"));
    agent_result_free(result);
}

/* As any other client of the application would: it waits for as long as the server lets an autovacuum be in the way.
 * That is a stall, and so only where it is allowed. */
static void without_the_grant_an_attempt_that_may_stall_makes_an_autovacuum_give_way(void **state)
{
    struct rig *r = *state;
    users_under_autovacuum(r);
    rig_may_set(r, "deadlock_timeout", false);
    rig_connect_engine(r);
    r->lock_wait_ms = 50;
    r->max_stall_ms = 1049; /* less than deadlock_timeout and what the autovacuum needs to end */
    struct agent_result *parked = rig_do(r, AGENT_OP_RUN, AGENT_RUN_DDL, 1, 0);
    r->max_stall_ms = 1050;
    r->time_limit_ms = 5000;
    long begun = now_ms();
    struct agent_result *done = rig_do(r, AGENT_OP_RUN, AGENT_RUN_DDL, 1, 0);
    long long_ms = now_ms() - begun;
    rig_may_set(r, "deadlock_timeout", true);
    assert_string_equal(agent_outcome_name(parked->outcome), "lock");
    assert_true(parked->blocker_is_autovacuum);
    assert_string_equal(agent_outcome_name(done->outcome), "ok");
    assert_in_range(long_ms, 1000, 5000);
    agent_result_free(parked);
    agent_result_free(done);
}

/* With the grant nobody waits longer than the budget, whatever is allowed. */
static void with_the_grant_no_attempt_stalls_for_longer(void **state)
{
    struct rig *r = *state;
    if (!rig_since(r, 15, "what the grant does")) {
        return;
    }
    users(r);
    PGconn *holder = rig_connect(r, "app_owner");
    rig_exec(holder, "BEGIN; LOCK TABLE users IN ACCESS SHARE MODE");
    rig_exec(r->super, "ALTER ROLE zdm_agent SET deadlock_timeout = '4s'");
    rig_connect_engine(r);
    r->lock_wait_ms = 50;
    r->max_stall_ms = 8000;
    long begun = now_ms();
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_DDL, 1, 0);
    long took_ms = now_ms() - begun;
    rig_exec(r->super, "ALTER ROLE zdm_agent RESET deadlock_timeout");
    assert_in_range(took_ms, 40, 3900);
    assert_string_equal(agent_outcome_name(result->outcome), "lock");
    agent_result_free(result);
    PQfinish(holder);
}

/* One that keeps the database from running out of transaction ids is nobody's to cancel: named, and waited for. */
static void autovacuum_against_wraparound_is_named_and_left_alone(void **state)
{
    struct rig *r = *state;
    users(r);
    /* No ordinary one shall be there first. */
    rig_sql(r, "ALTER TABLE users SET (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1,"
               " autovacuum_freeze_max_age = 100000, autovacuum_vacuum_insert_threshold = -1,"
               " autovacuum_vacuum_threshold = 1000000);"
               "INSERT INTO users SELECT g, repeat('x', 200) FROM generate_series(3000, 40000) g");
    rig_exec(r->super, "DO $$BEGIN FOR i IN 1..101000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END$$");
    wait_for_vacuum(r);
    r->lock_wait_ms = 200;
    for (int i = 0; i < 3; i++) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_DDL, 1, 0);
        assert_string_equal(agent_outcome_name(result->outcome), "lock");
        assert_false(result->blocker_is_autovacuum);
        assert_non_null(strstr(result->blocker, "(to prevent wraparound)"));
        agent_result_free(result);
    }
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_stat_progress_vacuum WHERE relid = 'users'::regclass"), 1);
}

/* A VACUUM that a person runs is nobody's to cancel. */
static void vacuum_by_hand_is_named_and_waited_for(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_app(r, "BEGIN");
    PGconn *holder = rig_connect(r, "app_owner");
    rig_exec(holder, "BEGIN; LOCK TABLE users IN SHARE UPDATE EXCLUSIVE MODE");
    r->lock_wait_ms = 100;
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_DDL, 1, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "lock");
    assert_false(result->blocker_is_autovacuum);
    assert_non_null(strstr(result->blocker, "app_owner@"));
    agent_result_free(result);
    PQfinish(holder);
    rig_app(r, "COMMIT");
}

static void long_statement(struct rig *r, const char *sql, const char *proof)
{
    rig_plan(r, "users", 1);
    struct zdm_step *step = rig_ddl(r, 1, ZDM_ACTION_AS_IS, NULL, NULL, sql);
    step->lock = ZDM_LOCK_LONG;
    step->inverse = ZDM_INVERSE_IMPOSSIBLE;
    step->rewrite_ok = true;
    step->proof_sql = strdup(proof);
}

/* In the long class, a statement that takes a strong lock all the same: a SELECT must not queue behind it for as long
 * as somebody holds the table. */
static void strong_lock_of_a_long_statement_is_waited_for_only_a_moment_at_a_time(void **state)
{
    struct rig *r = *state;
    users(r);
    long_statement(r, "ALTER TABLE public.users ALTER COLUMN name TYPE varchar(40)",
                   "SELECT 1 FROM pg_attribute WHERE attrelid = 'public.users'::regclass AND attname = 'name' AND"
                   " atttypmod < 0");
    rig_accept(r, 2);
    PGconn *holder = rig_connect(r, "app_user");
    rig_exec(holder, "BEGIN; SELECT count(*) FROM users");
    long begun = now_ms();
    expect_lock(r, AGENT_RUN_LONG_SQL, 1, "BEGIN; SELECT count(*) FROM users");
    assert_true(now_ms() - begun < 5000);
    uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_LONG_SQL, 1, 0);
    rig_app(r, "SET statement_timeout = 3000; SELECT count(*) FROM users");
    struct agent_result *result = rig_await(r, op);
    assert_int_equal(result->outcome, AGENT_LOCK);
    agent_result_free(result);
    rig_exec(holder, "COMMIT");
    rig_run(r, AGENT_RUN_LONG_SQL, 1, AGENT_OK);
    PQfinish(holder);
}

/* One that runs beside reads and writes waits for the transactions that it must wait for. */
static void gentle_long_statement_waits_as_long_as_it_takes(void **state)
{
    struct rig *r = *state;
    users(r);
    long_statement(r, "CREATE INDEX CONCURRENTLY by_name ON public.users (name)",
                   "SELECT 1 WHERE to_regclass('public.by_name') IS NULL");
    rig_accept(r, 2);
    PGconn *holder = rig_connect(r, "app_user");
    rig_exec(holder, "BEGIN; UPDATE users SET name = 'x' WHERE id = 1");
    uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_LONG_SQL, 1, 0);
    sleep_ms(800);
    rig_exec(holder, "COMMIT");
    struct agent_result *result = rig_await(r, op);
    rig_expect(result, AGENT_OK);
    agent_result_free(result);
    PQfinish(holder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(reader_that_holds_the_table_is_named),
        RIG_TEST(reader_does_not_keep_triggers_away_but_a_writer_does),
        RIG_TEST(prepared_transaction_is_named),
        RIG_TEST(attempts_without_waiting_stall_nobody),
        RIG_TEST(budget_is_for_the_sum_of_all_partitions),
        RIG_TEST(autovacuum_in_the_way_gives_way),
        RIG_TEST(grant_that_would_make_an_autovacuum_give_way_is_named),
        RIG_TEST(autovacuum_against_wraparound_is_named_and_left_alone),
        RIG_TEST(vacuum_by_hand_is_named_and_waited_for),
        RIG_TEST(without_the_grant_an_attempt_that_may_stall_makes_an_autovacuum_give_way),
        RIG_TEST(with_the_grant_no_attempt_stalls_for_longer),
        RIG_TEST(strong_lock_of_a_long_statement_is_waited_for_only_a_moment_at_a_time),
        RIG_TEST(gentle_long_statement_waits_as_long_as_it_takes),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
