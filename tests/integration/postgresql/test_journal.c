/*
 * test_journal.c - connecting, the pinned session, accepting directives, fencing, stops, standbys, signals.
 */
#include "tests/integration/postgresql/rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void table(struct rig *r)
{
    static const char *const sources[] = {"a"};
    rig_sql(r, "CREATE TABLE w (id int PRIMARY KEY, a text, b text); INSERT INTO w SELECT g, 'v' FROM "
               "generate_series(1, 100) g");
    rig_plan(r, "w", 3);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "b", "t.\"a\"", "NEW.\"a\"", sources, 1);
    rig_ddl(r, 2, ZDM_ACTION_ADD_COLUMN, "c", NULL, "ALTER TABLE w ADD COLUMN c int");
    rig_ddl(r, 3, ZDM_ACTION_CHECK_QUERY, NULL, NULL, "SELECT pg_sleep(30)");
}

static void accept_is(struct rig *r, uint64_t epoch, uint64_t generation, uint8_t instance, uint8_t digest,
                      const char *outcome)
{
    struct agent_result *result = rig_try_accept(r, epoch, generation, instance, digest);
    assert_string_equal(agent_outcome_name(result->outcome), outcome);
    agent_result_free(result);
}

static void only_a_rising_directive_of_one_instance_is_accepted(void **state)
{
    struct rig *r = *state;
    table(r);
    accept_is(r, 2, 10, 1, 1, "ok");
    accept_is(r, 2, 10, 1, 1, "already");
    accept_is(r, 2, 10, 1, 2, "fenced");
    accept_is(r, 2, 9, 1, 1, "fenced");
    accept_is(r, 2, 11, 9, 1, "fenced");
    accept_is(r, 1, 99, 1, 1, "fenced");
    accept_is(r, 2, 11, 1, 3, "ok");
    accept_is(r, 3, 5, 9, 4, "ok");
    assert_string_equal(rig_value(r, "SELECT epoch || '/' || generation FROM zdm.migration"), "3/5");
}

/* What the agent judged another plan by: the row's fence, and its step. */
static void another_plan_is_accepted_only_over_the_row_that_it_was_judged_by(void **state)
{
    struct rig *r = *state;
    table(r);
    rig_accept(r, 1);
    struct zdm_fence seen = r->fence;
    uint32_t step = r->journal_step;
    accept_is(r, 1, 2, 1, 2, "ok"); /* by another process with this agent's key */
    struct zdm_fence now = r->fence;
    r->fence = seen;
    memset(r->plan->hash.bytes, 99, sizeof r->plan->hash.bytes);
    accept_is(r, 1, 3, 1, 3, "fenced");
    r->fence = now;
    r->journal_step = step + 1;
    accept_is(r, 1, 3, 1, 3, "fenced");
    assert_string_equal(rig_value(r, "SELECT epoch || '/' || generation FROM zdm.migration"), "1/2");
    r->journal_step = step;
    accept_is(r, 1, 3, 1, 3, "ok");
}

static void journal_is_read_back_whole(void **state)
{
    struct rig *r = *state;
    table(r);
    rig_accept(r, 7);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 30));
    rig_run(r, AGENT_RUN_STOP, 1, AGENT_OK);
    struct agent_result *result = rig_do(r, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0, 0);
    assert_int_equal(result->n_journals, 1);
    const struct agent_journal *j = &result->journals[0];
    assert_string_equal(j->migration, r->plan->id);
    assert_true(zdm_fence_equal(&j->accepted, &r->fence));
    assert_true(zdm_hash_equal(&j->plan_hash, &r->plan->hash));
    assert_int_equal(j->directive.len, 3);
    assert_int_equal(j->plan.bytes[0], 9);
    assert_string_equal(j->cursor, "[\"30\"]");
    assert_string_equal(j->bound, "[\"100\"]");
    assert_int_equal(j->rows_done, 30);
    assert_int_equal(j->rows_total, 100);
    assert_int_equal(j->failed_attempt, 1);
    assert_string_equal(j->failed_text, "it broke");
    assert_false(j->walked);
    assert_true(result->writable && result->connected);
    assert_int_equal(result->timeline, 1);
    assert_int_equal(strncmp(result->server_version, "1", 1), 0);
    agent_result_free(result);
    r->attempt = 2;
    rig_run(r, AGENT_RUN_STEP_BACK, 1, AGENT_OK);
    assert_null(r->cursor);
}

/* Two processes with one agent's key: this one has not heard that the other stopped the attempt they both work on. */
static void stop_that_another_process_journalled_fences_the_attempt(void **state)
{
    struct rig *r = *state;
    table(r);
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 30));
    rig_exec(r->super,
             "UPDATE zdm.migration SET failed_attempt = 1, failed_step = 1, failed_code = 1, failed_text = 'no'");
    rig_run(r, AGENT_RUN_BATCH, 1, AGENT_FENCED);
    rig_run(r, AGENT_RUN_DDL, 2, AGENT_FENCED);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_FENCED);
    rig_run(r, AGENT_RUN_STEP_BACK, 1, AGENT_FENCED);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM w WHERE b = 'v'"), 30);
    rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_STOP, 1, AGENT_OK); /* its own failure is the same one */
    r->attempt = 2;
    rig_run(r, AGENT_RUN_BATCH, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_DDL, 2, AGENT_OK);
}

static void settings_of_role_and_database_are_pinned_over(void **state)
{
    struct rig *r = *state;
    table(r);
    char sql[512];
    snprintf(sql, sizeof sql,
             "ALTER DATABASE %s SET default_transaction_isolation = 'repeatable read'; ALTER DATABASE %s SET"
             " statement_timeout = '500ms'; ALTER DATABASE %s SET default_transaction_read_only = on;"
             "ALTER DATABASE %s SET search_path = 'nowhere'; ALTER DATABASE %s SET synchronous_commit = off",
             r->database, r->database, r->database, r->database, r->database);
    rig_exec(r->super, sql);
    rig_connect_engine(r);
    rig_accept(r, 1);
    rig_walk(r, 1, 30);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM w WHERE b = 'v'"), 100);
}

static void two_agents_make_the_journal_at_once(void **state)
{
    struct rig *r = *state;
    PGconn *agent = rig_connect(r, "zdm_agent");
    rig_exec(agent, "DROP TABLE zdm.meta, zdm.plan, zdm.migration, zdm.sync, zdm.owned, zdm.hidden");
    PQfinish(agent);
    uint64_t ops[4];
    for (int i = 0; i < 4; i++) {
        struct agent_op op = {.id = r->next_op++, .lane = (unsigned)i, .kind = AGENT_OP_CONNECT};
        struct zdm_error err = ZDM_ERROR_INIT;
        ops[i] = op.id;
        assert_int_equal(r->engine.ops->start(r->engine.self, &op, &err), ZDM_OK);
    }
    for (int i = 0; i < 4; i++) {
        struct agent_result *result = rig_await(r, ops[i]);
        assert_string_equal(result->error.message, "");
        assert_string_equal(agent_outcome_name(result->outcome), "ok");
        agent_result_free(result);
    }
}

static void journal_of_an_earlier_release_is_completed(void **state)
{
    struct rig *r = *state;
    rig_exec(r->super, "DROP TABLE zdm.former, zdm.index_scans; ALTER TABLE zdm.hidden DROP COLUMN scans;"
                       " ALTER TABLE zdm.migration DROP COLUMN reached_phase, DROP COLUMN switched_phase");
    agent_result_free(rig_do(r, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0, 0));
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_attribute WHERE attrelid IN ('zdm.hidden'::regclass,"
                                   " 'zdm.migration'::regclass) AND attname IN ('scans', 'reached_phase',"
                                   " 'switched_phase')"),
                     3);
    table(r);
    rig_accept(r, 1);
}

static void newer_journal_is_not_touched(void **state)
{
    struct rig *r = *state;
    rig_exec(r->super, "UPDATE zdm.meta SET format = 99");
    struct agent_result *result = rig_do(r, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "fail");
    assert_non_null(strstr(result->error.message, "newer release"));
    agent_result_free(result);
}

static void running_operation_is_cancelled(void **state)
{
    struct rig *r = *state;
    struct timespec begun, ended;
    table(r);
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_STEP_DONE, 2, AGENT_OK);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_CHECK_CHUNK, 3, 0);
    uint64_t behind = rig_begin(r, AGENT_OP_INSPECT, AGENT_RUN_NONE, 1, 0);
    while (rig_number(r,
                      "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT * FROM (%%' AND state = 'active' "
                      "AND datname = '%s'",
                      r->database) == 0) {
    }
    r->engine.ops->cancel(r->engine.self, op);
    r->engine.ops->cancel(r->engine.self, behind);
    r->engine.ops->cancel(r->engine.self, 99999);
    struct agent_result *result = rig_await(r, op);
    assert_string_equal(agent_outcome_name(result->outcome), "retry");
    assert_int_equal(result->error.code, ZDM_CANCELLED);
    agent_result_free(result);
    result = rig_await(r, behind);
    assert_int_equal(result->error.code, ZDM_CANCELLED);
    agent_result_free(result);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    assert_true(ended.tv_sec - begun.tv_sec < 5);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
}

static void attempt_ends_at_its_time_limit(void **state)
{
    struct rig *r = *state;
    table(r);
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    rig_sql(r, "BEGIN; UPDATE w SET b = 'x' WHERE id = 5");
    r->time_limit_ms = 300;
    rig_run(r, AGENT_RUN_BATCH, 1, AGENT_LOCK);
    rig_sql(r, "ROLLBACK");
    r->time_limit_ms = 10000;
    rig_run(r, AGENT_RUN_BATCH, 1, AGENT_OK);
}

/* A backend that is stopped answers nothing, not even a cancellation: it is hung up on after the grace. */
static void server_that_hangs_is_given_up(void **state)
{
    struct rig *r = *state;
    table(r);
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    pid_t pid = (pid_t)rig_number(r,
                                  "SELECT pid FROM pg_stat_activity WHERE query LIKE '%%COMMIT%%' AND usename ="
                                  " 'zdm_agent' AND datname = '%s' ORDER BY backend_start DESC",
                                  r->database);
    kill(pid, SIGSTOP);
    r->time_limit_ms = 300;
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 10);
    kill(pid, SIGCONT);
    assert_string_equal(agent_outcome_name(result->outcome), "retry");
    assert_int_equal(result->error.code, ZDM_CLOSED);
    assert_true(result->elapsed_ms < 10000);
    agent_result_free(result);
    r->time_limit_ms = 10000;
    rig_run(r, AGENT_RUN_BATCH, 1, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT rows_done FROM zdm.migration"), 100);
}

static void closing_delivers_every_result(void **state)
{
    struct rig *r = *state;
    table(r);
    rig_accept(r, 1);
    r->time_limit_ms = 0;
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_STEP_DONE, 2, AGENT_OK);
    for (int i = 0; i < 5; i++) {
        rig_begin(r, AGENT_OP_RUN, AGENT_RUN_CHECK_CHUNK, 3, 0);
    }
    struct agent_engine_config config = {.dsn = "host=/nowhere", .sink = {0}};
    struct agent_engine other;
    struct zdm_error err = ZDM_ERROR_INIT;
    assert_int_equal(agent_postgresql_open(&config, &other, &err), ZDM_OK);
    struct agent_engine mine = r->engine;
    r->engine = other;
    mine.ops->close(mine.self);
    assert_int_equal(r->n_results, 5);
}

static void lost_backend_is_a_retry_and_the_next_operation_reconnects(void **state)
{
    struct rig *r = *state;
    table(r);
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    rig_exec(r->super, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'zdm_agent'");
    rig_run(r, AGENT_RUN_BATCH, 1, AGENT_RETRY);
    rig_run(r, AGENT_RUN_BATCH, 1, AGENT_OK);
}

static struct zdm_signal replica_lag(struct rig *r)
{
    struct agent_result *result = rig_do(r, AGENT_OP_SIGNALS, AGENT_RUN_NONE, 0, 0);
    struct zdm_signal signal = result->signals[0];
    assert_int_equal(result->n_signals, 1);
    agent_result_free(result);
    return signal;
}

static int64_t since_ms(const struct timespec *begun)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - begun->tv_sec) * 1000 + (now.tv_nsec - begun->tv_nsec) / 1000000;
}

/* Writes until the signal is beyond the limit (or below it); false when it takes too long. */
static bool lag_becomes(struct rig *r, bool above, int64_t limit_ms, int64_t patience_ms)
{
    struct timespec begun;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    while (since_ms(&begun) < patience_ms) {
        rig_sql(r, "INSERT INTO w SELECT generate_series(1, 10)");
        if ((replica_lag(r).value > limit_ms) == above) {
            return true;
        }
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    return false;
}

/* One that receives and does not replay, and one that does not even answer any more. */
static void replica_that_stands_still_or_hangs_is_seen_to_lag(void **state)
{
    enum { LIMIT_MS = 1000, PATIENCE_MS = 10000, SILENCE_MS = 20000 };
    struct rig *r = *state;
    struct test_pg *standby = test_pg_replica(r->pg);
    PGconn *on_standby = PQconnectdb(test_pg_dsn(standby, "postgres", "postgres"));
    rig_sql(r, "CREATE TABLE w (id int)");
    assert_true(lag_becomes(r, false, LIMIT_MS, PATIENCE_MS));
    rig_exec(on_standby, "SELECT pg_wal_replay_pause()");
    assert_true(lag_becomes(r, true, LIMIT_MS, PATIENCE_MS));
    rig_exec(on_standby, "SELECT pg_wal_replay_resume()");
    assert_true(lag_becomes(r, false, LIMIT_MS, PATIENCE_MS));
    PGresult *res = PQexec(on_standby, "SELECT pid FROM pg_stat_wal_receiver");
    assert_int_equal(PQntuples(res), 1);
    pid_t receiver = (pid_t)strtol(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);
    assert_int_equal(kill(receiver, SIGSTOP), 0);
    bool seen = lag_becomes(r, true, LIMIT_MS, SILENCE_MS);
    assert_int_equal(kill(receiver, SIGCONT), 0);
    assert_true(seen);
    assert_true(lag_becomes(r, false, LIMIT_MS, PATIENCE_MS));
    PQfinish(on_standby);
    test_pg_free(standby);
}

/* The standby has the journal, takes no writes, and says so; the primary shows its lag. */
static void await_replay(struct rig *r)
{
    while (rig_number(r, "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()") == 0) {
    }
}

/* The engine is on a standby: it may not complete the journal, and the primary's agent is of an earlier release. */
static void reads_a_journal_without_the_mark(struct rig *r)
{
    rig_exec(r->super, "ALTER TABLE zdm.migration DROP COLUMN switched_phase; CHECKPOINT");
    await_replay(r);
    struct agent_result *result = rig_do(r, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "ok");
    assert_false(result->writable);
    assert_int_equal(result->n_journals, 1);
    assert_int_equal(result->journals[0].switched_phase, 0);
    agent_result_free(result);
}

static struct zdm_signal slot_signal(struct rig *r, size_t *n)
{
    struct agent_result *result = rig_do(r, AGENT_OP_SIGNALS, AGENT_RUN_NONE, 0, 0);
    struct zdm_signal signal = result->signals[result->n_signals - 1];
    *n = result->n_signals;
    agent_result_free(result);
    return signal;
}

static void wal_that_a_slot_keeps_holds_batches_back(void **state)
{
    struct rig *r = *state;
    size_t n = 0;
    (void)slot_signal(r, &n);
    assert_int_equal(n, 1);
    rig_exec(r->super, "CHECKPOINT");
    rig_exec(r->super, "SELECT pg_create_physical_replication_slot('old', true)");
    r->max_slot_wal_mb = 10;
    struct zdm_signal signal = slot_signal(r, &n);
    assert_int_equal(n, 2);
    assert_string_equal(signal.name, "slot_wal_mb:old");
    assert_int_equal(signal.state, ZDM_SIGNAL_OK);
    rig_sql(r, "CREATE TABLE wide (t text); INSERT INTO wide SELECT repeat('x', 1000) FROM generate_series(1, 12000)");
    signal = slot_signal(r, &n);
    r->max_slot_wal_mb = 0;
    assert_int_equal(slot_signal(r, &n).state, ZDM_SIGNAL_OK);
    rig_exec(r->super, "SELECT pg_drop_replication_slot('old')");
    assert_int_equal(signal.state, ZDM_SIGNAL_BAD);
    assert_true(signal.value >= 11);
    assert_int_equal(signal.limit, 10);
}

static void standby_reads_the_journal_and_refuses_work(void **state)
{
    struct rig *r = *state;
    table(r);
    rig_accept(r, 1);
    rig_exec(r->super, "UPDATE zdm.migration SET switched_phase = 1");
    struct test_pg *primary = r->pg, *standby = test_pg_replica(primary);
    struct agent_result *signals = rig_do(r, AGENT_OP_SIGNALS, AGENT_RUN_NONE, 0, 0);
    assert_true(signals->writable);
    assert_int_equal(signals->n_signals, 1);
    assert_string_equal(signals->signals[0].name, "replica_lag_ms");
    assert_int_equal(signals->signals[0].state, ZDM_SIGNAL_OK);
    agent_result_free(signals);
    rig_exec(r->super, "CHECKPOINT");
    await_replay(r);
    char dsn[512];
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(standby, "zdm_agent", r->database));
    struct agent_engine_config config = {.dsn = dsn, .sink = {.op_done = NULL}};
    struct agent_engine on_primary = r->engine;
    struct zdm_error err = ZDM_ERROR_INIT;
    config.sink = rig_sink(r);
    assert_int_equal(agent_postgresql_open(&config, &r->engine, &err), ZDM_OK);
    struct agent_result *result = rig_do(r, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0, 0);
    assert_string_equal(agent_outcome_name(result->outcome), "ok");
    assert_false(result->writable);
    assert_int_equal(result->n_journals, 1);
    assert_int_equal(result->journals[0].switched_phase, 1);
    agent_result_free(result);
    rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_DDL, 2, AGENT_RETRY);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_RETRY);
    reads_a_journal_without_the_mark(r);
    /* After a promotion nothing moves until the core has connected anew. */
    test_pg_stop(primary);
    test_pg_promote(standby);
    result = rig_do(r, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0, 0);
    assert_true(result->writable);
    assert_int_equal(result->timeline, 2);
    agent_result_free(result);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    r->engine.ops->close(r->engine.self);
    r->engine = on_primary;
    test_pg_resume(primary);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_RETRY);
    test_pg_free(standby);
}

static void trust_version_is_only_ever_raised(void **state)
{
    static const uint32_t versions[][2] = {{2, 2}, {5, 5}, {3, 5}};
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY)");
    rig_plan(r, "users", 1);
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        r->trust_version = versions[i][0];
        rig_accept(r, 10 + (uint64_t)i);
        assert_int_equal(rig_number(r, "SELECT trust_version FROM zdm.migration"), versions[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(trust_version_is_only_ever_raised),
        RIG_TEST(only_a_rising_directive_of_one_instance_is_accepted),
        RIG_TEST(another_plan_is_accepted_only_over_the_row_that_it_was_judged_by),
        RIG_TEST(journal_is_read_back_whole),
        RIG_TEST(stop_that_another_process_journalled_fences_the_attempt),
        RIG_TEST(settings_of_role_and_database_are_pinned_over),
        RIG_TEST(two_agents_make_the_journal_at_once),
        RIG_TEST(journal_of_an_earlier_release_is_completed),
        RIG_TEST(newer_journal_is_not_touched),
        RIG_TEST(running_operation_is_cancelled),
        RIG_TEST(attempt_ends_at_its_time_limit),
        RIG_TEST(server_that_hangs_is_given_up),
        RIG_TEST(closing_delivers_every_result),
        RIG_TEST(lost_backend_is_a_retry_and_the_next_operation_reconnects),
        RIG_TEST(replica_that_stands_still_or_hangs_is_seen_to_lag),
        RIG_TEST(wal_that_a_slot_keeps_holds_batches_back),
        RIG_TEST(standby_reads_the_journal_and_refuses_work),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
