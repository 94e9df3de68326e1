/*
 * test_check.c - comparisons find every row that differs, cry no wolf under writers, and run on a replica where one is
 * near enough (database.md 24).
 */
#include "tests/integration/postgresql/rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/buffer.h"

enum {
    ROWS = 2000,
    RESERVED_EVERY = 10,
    DAMAGES = 200,
    CLEAN_RUNS = 10,
    CHUNK = 700,
    DSN_SIZE = 512,
    PATIENCE_MS = 20000
};

static struct test_pg *standby; /* one for all tests, under the name b2 */

static int teardown(void **state)
{
    test_pg_free(standby);
    return rig_group_teardown(state);
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void open_with_standby(struct rig *r)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    char dsn[DSN_SIZE], there[DSN_SIZE];
    if (standby == NULL) {
        standby = test_pg_standby(r->pg, "b2", NULL);
    }
    for (long waited = 0; rig_number(r, "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn ="
                                        " pg_current_wal_lsn()") == 0;
         waited += 20) {
        assert_true(waited < PATIENCE_MS);
        sleep_ms(20);
    }
    r->engine.ops->close(r->engine.self);
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(r->pg, "zdm_agent", r->database));
    snprintf(there, sizeof there, "%s", test_pg_dsn(standby, "zdm_agent", r->database));
    const char *replicas[] = {there};
    struct agent_engine_config config = {
        .dsn = dsn, .connect_timeout_ms = 5000, .replicas = replicas, .n_replicas = 1, .sink = rig_sink(r)};
    assert_int_equal(agent_postgresql_open(&config, &r->engine, &err), ZDM_OK);
    rig_connect_engine(r);
}

/* Where did the last check run? */
static bool ran_there(struct rig *r)
{
    struct agent_result *result = rig_do(r, AGENT_OP_SIGNALS, AGENT_RUN_NONE, 0, 0);
    bool seen = false;
    for (size_t i = 0; i < result->n_signals; i++) {
        seen = seen || strcmp(result->signals[i].name, "check on b2") == 0;
    }
    agent_result_free(result);
    return seen;
}

/* ---- 200 damages ---- */

/* A type, a value, and what is not byte for byte the same. */
struct pair {
    const char *type, *value, *damaged;
};

static const struct pair pairs[] = {
    {"text", "'Ann'", "'ann'"},
    {"text", "'Ann'", "'Ann '"},
    {"varchar(40)", "'x'", "NULL"},
    {"int", "7", "8"},
    {"bigint", "9223372036854775807", "9223372036854775806"},
    {"numeric", "1.0", "1.00"},
    {"boolean", "true", "false"},
    {"bytea", "'\\x00ff00'::bytea", "'\\x00fe00'::bytea"},
    {"json", "'{\"a\":1}'", "'{\"a\": 1}'"},
    {"jsonb", "'{\"a\":1}'", "'{\"a\":1.0}'"},
    {"timestamptz", "'2024-01-01 00:00:00+00'", "'2024-01-01 00:00:00.000001+00'"},
    {"date", "'2024-01-01'", "'2024-01-02'"},
    {"uuid", "'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-000000000002'"},
    {"float8", "0", "'-0'::float8"},
    {"interval", "'24 hours'", "'1 day'"},
    {"text", "NULL", "''"},
    {"int[]", "'{1,2}'", "'{2,1}'"},
    {"text COLLATE blind", "'STRASSE'", "'strasse'"},
    {"char(5)", "'ab'", "'ac'"},
    {"inet", "'10.0.0.1'", "'10.0.0.1/31'"},
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

static void wide_table(struct rig *r)
{
    char columns[4096], values[4096];
    size_t n = 0, used = 0;
    for (size_t i = 0; i < PAIRS; i++) {
        n +=
            (size_t)snprintf(columns + n, sizeof columns - n, ", a%zu %s, b%zu %s", i, pairs[i].type, i, pairs[i].type);
        used += (size_t)snprintf(values + used, sizeof values - used, ", %s, %s", pairs[i].value, pairs[i].value);
    }
    rig_sql(r, "CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
    rig_sql(r, "CREATE TABLE wide (id int PRIMARY KEY%s)", columns);
    rig_sql(r, "INSERT INTO wide SELECT g%s FROM generate_series(1, %d) g", values, ROWS);
    rig_plan(r, "wide", 1);
    struct zdm_step *step = rig_step(r, 1);
    struct zdm_derivation *d = step->derivation = calloc(1, sizeof *d);
    step->action = ZDM_ACTION_CHECK_COMPARE;
    d->assignments = calloc(PAIRS, sizeof *d->assignments);
    d->sources = calloc(PAIRS + 1, sizeof *d->sources);
    d->n_assignments = d->n_sources = PAIRS;
    d->idempotent = true;
    for (size_t i = 0; i < PAIRS; i++) {
        char text[32];
        snprintf(text, sizeof text, "b%zu", i);
        d->assignments[i].target = zdm_strdup(text);
        snprintf(text, sizeof text, "t.\"a%zu\"", i);
        d->assignments[i].expr = zdm_strdup(text);
        snprintf(text, sizeof text, "a%zu", i);
        d->assignments[i].copy_of = zdm_strdup(text);
        d->sources[i] = zdm_strdup(text);
    }
    rig_accept(r, 1);
}

/* One whole comparison, from a bound of its own: NULL, or the message that it failed with; the caller frees. */
static char *compare(struct rig *r)
{
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BOUND, 1, 0);
    char *message = NULL;
    assert_string_equal(agent_outcome_name(result->outcome), "ok");
    agent_result_free(result);
    while (message == NULL && !r->walked) {
        result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_CHECK_CHUNK, 1, CHUNK);
        if (result->outcome == AGENT_FAIL) {
            message = zdm_strdup(result->error.message);
        } else if (result->outcome != AGENT_OK && result->outcome != AGENT_RETRY) {
            fail_msg("%s: %s", agent_outcome_name(result->outcome), result->error.message);
        }
        agent_result_free(result);
    }
    return message;
}

/* Writers keep the two columns of each pair in step, as triggers would, on rows that are not reserved for damages. */
struct writers {
    PGconn *conn;
    pthread_t thread;
    atomic_bool stop;
    unsigned long writes;
};

static void *write_rows(void *arg)
{
    struct writers *w = arg;
    unsigned seed = 1;
    while (!atomic_load(&w->stop)) {
        char sql[512];
        seed = seed * 1103515245u + 12345u;
        unsigned id = seed / 65536u % ROWS;
        id += id % RESERVED_EVERY == 0;
        snprintf(sql, sizeof sql,
                 "UPDATE wide SET a0 = 'v%u', b0 = 'v%u', a5 = %u.50, b5 = %u.50 WHERE id = %u;"
                 "DELETE FROM wide WHERE id = %u; INSERT INTO wide (id, a3, b3) VALUES (%u, %u, %u)"
                 " ON CONFLICT DO NOTHING; UPDATE wide SET id = %u WHERE id = %u AND NOT EXISTS"
                 " (SELECT FROM wide WHERE id = %u)",
                 seed, seed, id, id, id, id + ROWS, id + ROWS, seed & 0xff, seed & 0xff, id + 2 * ROWS, id + ROWS,
                 id + 2 * ROWS);
        PQclear(PQexec(w->conn, sql));
        w->writes++;
    }
    return NULL;
}

static void begin_writing(struct rig *r, struct writers *w)
{
    *w = (struct writers){.conn = rig_connect(r, "app_user")};
    assert_int_equal(pthread_create(&w->thread, NULL, write_rows, w), 0);
}

static void end_writing(struct writers *w)
{
    atomic_store(&w->stop, true);
    pthread_join(w->thread, NULL);
    PQfinish(w->conn);
    assert_true(w->writes > 100);
}

/* Plants damages from..to one at a time; each must be the one that is found. */
static void find_damages(struct rig *r, int from, int to)
{
    for (int i = from; i < to; i++) {
        const struct pair *p = &pairs[i % PAIRS];
        int id = RESERVED_EVERY * (1 + (i * 37) % (ROWS / RESERVED_EVERY - 1));
        char wanted[64];
        rig_sql(r, "UPDATE wide SET b%d = %s WHERE id = %d", i % PAIRS, p->damaged, id);
        char *found = compare(r);
        snprintf(wanted, sizeof wanted, "row [\"%d\"] of", id);
        if (found == NULL || strstr(found, wanted) == NULL) {
            fail_msg("damage %d (%s: %s for %s) in row %d: %s", i, p->type, p->damaged, p->value, id,
                     found == NULL ? "not found" : found);
        }
        free(found);
        rig_sql(r, "UPDATE wide SET b%d = a%d WHERE id = %d", i % PAIRS, i % PAIRS, id);
    }
}

static void expect_clean(struct rig *r, int runs)
{
    for (int i = 0; i < runs; i++) {
        char *found = compare(r);
        if (found != NULL) {
            fail_msg("a false alarm: %s", found);
        }
    }
}

static void damages_are_found_under_writers(void **state)
{
    struct rig *r = *state;
    struct writers writers;
    wide_table(r);
    begin_writing(r, &writers);
    find_damages(r, 0, DAMAGES / 4);
    expect_clean(r, CLEAN_RUNS);
    end_writing(&writers);
    assert_false(ran_there(r));
}

static void damages_are_found_on_a_replica_under_writers(void **state)
{
    struct rig *r = *state;
    struct writers writers;
    wide_table(r);
    open_with_standby(r);
    begin_writing(r, &writers);
    find_damages(r, DAMAGES / 4, DAMAGES * 3 / 4);
    expect_clean(r, CLEAN_RUNS);
    assert_true(ran_there(r));
    end_writing(&writers);
}

static void damages_are_found_where_the_replica_does_not_replay(void **state)
{
    struct rig *r = *state;
    struct writers writers;
    wide_table(r);
    open_with_standby(r);
    PGconn *there = PQconnectdb(test_pg_dsn(standby, "postgres", "postgres"));
    rig_exec(there, "SELECT pg_wal_replay_pause()");
    begin_writing(r, &writers);
    find_damages(r, DAMAGES * 3 / 4, DAMAGES);
    assert_false(ran_there(r));
    expect_clean(r, CLEAN_RUNS);
    end_writing(&writers);
    rig_exec(there, "SELECT pg_wal_replay_resume()");
    PQfinish(there);
}

/* It waits for a replica that is a little behind, and certifies nothing old. */
static void replica_that_is_behind_is_waited_for(void **state)
{
    struct rig *r = *state;
    wide_table(r);
    open_with_standby(r);
    PGconn *there = PQconnectdb(test_pg_dsn(standby, "postgres", "postgres"));
    rig_exec(there, "ALTER SYSTEM SET recovery_min_apply_delay = '400ms'; ");
    rig_exec(there, "SELECT pg_reload_conf()");
    sleep_ms(200);
    find_damages(r, 0, 3);
    assert_true(ran_there(r));
    rig_exec(there, "ALTER SYSTEM RESET recovery_min_apply_delay");
    rig_exec(there, "SELECT pg_reload_conf()");
    PQfinish(there);
}

/* What only the replica sees does not count. */
static void what_is_found_on_a_replica_is_looked_up_again(void **state)
{
    struct rig *r = *state;
    static const char *const sources[] = {"name"};
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text, copy text); INSERT INTO users"
               " SELECT g, 'n', 'n' FROM generate_series(1, 50) g");
    rig_plan(r, "users", 1);
    rig_derive(r, 1, ZDM_ACTION_CHECK_COMPARE, "copy", "CASE WHEN pg_is_in_recovery() THEN 'x' ELSE t.\"name\" END",
               "NEW.name", sources, 1);
    rig_accept(r, 1);
    open_with_standby(r);
    expect_clean(r, 3);
    assert_true(ran_there(r));
    rig_sql(r, "UPDATE users SET copy = 'm' WHERE id = 31");
    char *found = compare(r);
    assert_non_null(found);
    assert_non_null(strstr(found, "row [\"31\"] of"));
    free(found);
}

/* UPDATE … SET locale = lower(country) WHERE locale IS NULL without triggers, with all of its condition in the filter.
 */
static void what_the_application_wrote_beside_an_update_of_rows_without_a_value_is_right(void **state)
{
    struct rig *r = *state;
    static const char *const sources[] = {"country"};
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, country text, locale text); INSERT INTO users"
               " SELECT g, 'DE', CASE WHEN g %% 7 = 0 THEN 'fr-CA' END FROM generate_series(1, 50) g");
    rig_plan(r, "users", 1);
    struct zdm_derivation *d =
        rig_derive(r, 1, ZDM_ACTION_CHECK_COMPARE, "locale", "lower(t.\"country\")", "NEW.country", sources, 1);
    zdm_freep(&d->assignments[0].expr_new);
    d->filter = zdm_strdup("(t.\"locale\" IS NULL)");
    rig_accept(r, 1);
    char *found = compare(r);
    assert_non_null(found);
    assert_non_null(strstr(found, "row [\"1\"] of"));
    free(found);
    rig_sql(r, "UPDATE users SET locale = 'de' WHERE locale IS NULL");
    found = compare(r);
    assert_null(found);
    rig_sql(r, "INSERT INTO users VALUES (51, 'US', 'en-US'), (52, NULL, NULL)");
    assert_null(compare(r));
    rig_sql(r, "INSERT INTO users VALUES (53, 'US', NULL)");
    found = compare(r);
    assert_non_null(found);
    assert_non_null(strstr(found, "row [\"53\"] of"));
    free(found);
}

static void query_check_runs_on_a_replica_and_is_asked_again(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY)");
    rig_plan(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_CHECK_QUERY, NULL, NULL, "SELECT 'there' WHERE pg_is_in_recovery();");
    rig_ddl(r, 2, ZDM_ACTION_CHECK_QUERY, NULL, NULL, "SELECT id FROM users");
    rig_accept(r, 1);
    open_with_standby(r);
    rig_run(r, AGENT_RUN_CHECK_CHUNK, 1, AGENT_OK);
    assert_true(ran_there(r));
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_sql(r, "INSERT INTO users VALUES (42)");
    rig_refused(r, AGENT_RUN_CHECK_CHUNK, 2, "found a row: id=42");
}

/* Replay cancels it once: a smaller chunk; twice: the primary. */
static void check_that_replay_cancels_ends_on_the_primary(void **state)
{
    struct rig *r = *state;
    static const char *const sources[] = {"name"};
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text, copy text); INSERT INTO users"
               " SELECT g, 'n', 'n' FROM generate_series(1, 5) g");
    rig_plan(r, "users", 1);
    rig_derive(r, 1, ZDM_ACTION_CHECK_COMPARE, "copy",
               "t.\"name\" || CASE WHEN pg_is_in_recovery() THEN pg_sleep(1)::text ELSE '' END", "NEW.name", sources,
               1);
    rig_accept(r, 1);
    open_with_standby(r);
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BOUND, 1, 0);
    agent_result_free(result);
    PGconn *there = PQconnectdb(test_pg_dsn(standby, "postgres", "postgres"));
    for (int i = 0; i < 2; i++) {
        uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_CHECK_CHUNK, 1, 100);
        sleep_ms(400);
        rig_exec(there, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'zdm_agent' AND query LIKE"
                        " '%pg_sleep%'");
        result = rig_await(r, op);
        assert_string_equal(agent_outcome_name(result->outcome), i == 0 ? "retry" : "ok");
        assert_true(i == 1 || strstr(result->error.message, "replica b2 broke off a check") != NULL);
        agent_result_free(result);
    }
    assert_true(r->walked);
    assert_false(ran_there(r));
    PQfinish(there);
}

/* ---- Replicas that go, or are none any more ---- */

static void open_with(struct rig *r, struct test_pg *there, const char *role, const char *database)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    char dsn[DSN_SIZE], other[DSN_SIZE];
    r->engine.ops->close(r->engine.self);
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(r->pg, "zdm_agent", r->database));
    snprintf(other, sizeof other, "%s", test_pg_dsn(there, role, database));
    const char *replicas[] = {other};
    struct agent_engine_config config = {
        .dsn = dsn, .connect_timeout_ms = 5000, .replicas = replicas, .n_replicas = 1, .sink = rig_sink(r)};
    assert_int_equal(agent_postgresql_open(&config, &r->engine, &err), ZDM_OK);
    rig_connect_engine(r);
}

static void wait_until_replayed(struct rig *r, const char *name)
{
    char sql[192];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM pg_stat_replication WHERE application_name = '%s' AND replay_lsn ="
             " pg_current_wal_lsn()",
             name);
    for (long waited = 0; rig_number(r, "%s", sql) == 0; waited += 20) {
        assert_true(waited < PATIENCE_MS);
        sleep_ms(20);
    }
}

static void small_table(struct rig *r, const char *expr)
{
    static const char *const sources[] = {"name"};
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text, copy text); INSERT INTO users"
               " SELECT g, 'n', 'n' FROM generate_series(1, 50) g");
    rig_plan(r, "users", 1);
    rig_derive(r, 1, ZDM_ACTION_CHECK_COMPARE, "copy", expr, "NEW.name", sources, 1);
    rig_accept(r, 1);
}

static void expect_damage(struct rig *r, const char *row)
{
    char *found = compare(r);
    if (found == NULL || strstr(found, row) == NULL) {
        fail_msg("%s was not found: %s", row, found == NULL ? "a pass" : found);
    }
    free(found);
}

/* Killed while it looks: the chunk is looked at on the primary, where the damage is, and nobody waits for long. */
static void replica_that_dies_in_a_chunk_passes_nothing(void **state)
{
    struct rig *r = *state;
    small_table(r, "t.\"name\" || CASE WHEN pg_is_in_recovery() THEN pg_sleep(0.2)::text ELSE '' END");
    struct test_pg *dying = test_pg_standby(r->pg, "b6", NULL);
    wait_until_replayed(r, "b6");
    open_with(r, dying, "zdm_agent", r->database);
    rig_sql(r, "UPDATE users SET copy = 'm' WHERE id = 31");
    agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_BOUND, 1, 0));
    struct timespec begun, ended;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_CHECK_CHUNK, 1, 100);
    sleep_ms(1000);
    test_pg_kill(dying);
    struct agent_result *result = rig_await(r, op);
    for (int i = 0; i < 5 && result->outcome == AGENT_RETRY; i++) {
        agent_result_free(result);
        result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_CHECK_CHUNK, 1, 100);
    }
    clock_gettime(CLOCK_MONOTONIC, &ended);
    assert_string_equal(agent_outcome_name(result->outcome), "fail");
    assert_non_null(strstr(result->error.message, "row [\"31\"] of"));
    assert_true(ended.tv_sec - begun.tv_sec < 15);
    agent_result_free(result);
    test_pg_free(dying);
}

/* On a server of its own it holds what this primary does not: its position is not past what it was then, and here
 * nothing is written meanwhile. */
static void replica_that_was_promoted_passes_nothing(void **state)
{
    struct rig *r = *state;
    small_table(r, "t.\"name\"");
    struct test_pg *leaving = test_pg_standby(r->pg, "b7", NULL);
    wait_until_replayed(r, "b7");
    open_with(r, leaving, "zdm_agent", r->database);
    expect_clean(r, 1);
    rig_sql(r, "UPDATE users SET copy = 'm' WHERE id = 31");
    wait_until_replayed(r, "b7");
    test_pg_promote(leaving);
    PGconn *there = PQconnectdb(test_pg_dsn(leaving, "postgres", r->database));
    rig_exec(there, "UPDATE users SET copy = 'n'");
    PQfinish(there);
    expect_damage(r, "row [\"31\"] of");
    test_pg_free(leaving);
}

static void server_of_another_system_passes_nothing(void **state)
{
    struct rig *r = *state;
    small_table(r, "t.\"name\"");
    struct test_pg *stranger = test_pg_start(NULL);
    struct test_pg *standby_of_stranger = test_pg_standby(stranger, "b8", NULL);
    PGconn *there = PQconnectdb(test_pg_dsn(stranger, "postgres", "postgres"));
    rig_exec(there, "CREATE TABLE users (id int PRIMARY KEY, name text, copy text); INSERT INTO users"
                    " SELECT g, 'n', 'n' FROM generate_series(1, 50) g");
    PQfinish(there);
    open_with(r, standby_of_stranger, "postgres", "postgres");
    rig_sql(r, "UPDATE users SET copy = 'm' WHERE id = 31");
    expect_damage(r, "row [\"31\"] of");
    assert_false(ran_there(r));
    test_pg_free(standby_of_stranger);
    test_pg_free(stranger);
}

/* After the switch the old column may be unable to follow: counted, no failure; where it could, it must. */
static void rows_that_the_old_column_cannot_follow_are_counted(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name varchar(5) NOT NULL, full_name text); INSERT INTO users"
               " SELECT g, 'n', 'n' FROM generate_series(1, 900) g");
    rig_sql(r, "UPDATE users SET full_name = 'longer than five' WHERE id IN (3, 850, 851);"
               "UPDATE users SET full_name = NULL WHERE id = 7");
    rig_plan(r, "users", 1);
    rig_copy(r, 1, ZDM_ACTION_CHECK_COMPARE, "full_name", "name");
    rig_step(r, 1)->sync_step = 1;
    rig_accept(r, 1);
    char *found = compare(r);
    assert_non_null(found); /* before the switch NULL is a row that nobody filled */
    free(found);
    r->plan->phases[0].class = ZDM_PHASE_CONTRACT;
    memset(r->plan->hash.bytes, 99, sizeof r->plan->hash.bytes);
    rig_accept(r, 2);
    assert_null(compare(r));
    assert_non_null(strstr(r->remark, "in 4 rows of public.users the old column cannot hold what the new one has"));
    rig_sql(r, "UPDATE users SET full_name = 'm' WHERE id = 500");
    found = compare(r);
    assert_non_null(found);
    assert_non_null(strstr(found, "row [\"500\"] of"));
    free(found);
}

/* Nobody fills them, and the triggers take back what they filled. */
static void rows_outside_of_the_filter_have_what_they_were_added_with(void **state)
{
    static const char *const sources[] = {"name", "active"};
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text, active boolean, copy text); INSERT INTO users"
               " SELECT g, 'n', CASE g %% 3 WHEN 0 THEN true WHEN 1 THEN false END, CASE g %% 3 WHEN 0 THEN 'N' END"
               " FROM generate_series(1, 900) g");
    rig_plan(r, "users", 2);
    for (uint32_t step = 1; step <= 2; step++) {
        enum zdm_action action = step == 1 ? ZDM_ACTION_CHECK_COMPARE : ZDM_ACTION_SYNC_INSTALL;
        rig_derive(r, step, action, "copy", "upper(t.\"name\")", "upper(NEW.\"name\")", sources, 2);
        struct zdm_derivation *d = rig_step(r, step)->derivation;
        d->filter = zdm_strdup("t.\"active\"");
        d->filter_new = zdm_strdup("NEW.\"active\"");
        d->filter_old = zdm_strdup("OLD.\"active\"");
        d->assignments[0].added = true;
    }
    rig_accept(r, 1);
    assert_null(compare(r));
    for (int row = 601; row <= 602; row++) { /* of both: false, and NULL */
        rig_sql(r, "UPDATE users SET copy = 'wrong' WHERE id = %d", row);
        char text[32];
        snprintf(text, sizeof text, "row [\"%d\"] of", row);
        expect_damage(r, text);
        rig_sql(r, "UPDATE users SET copy = NULL WHERE id = %d", row);
    }
    assert_null(compare(r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(damages_are_found_under_writers),
        RIG_TEST(damages_are_found_on_a_replica_under_writers),
        RIG_TEST(damages_are_found_where_the_replica_does_not_replay),
        RIG_TEST(replica_that_is_behind_is_waited_for),
        RIG_TEST(what_is_found_on_a_replica_is_looked_up_again),
        RIG_TEST(query_check_runs_on_a_replica_and_is_asked_again),
        RIG_TEST(check_that_replay_cancels_ends_on_the_primary),
        RIG_TEST(replica_that_dies_in_a_chunk_passes_nothing),
        RIG_TEST(replica_that_was_promoted_passes_nothing),
        RIG_TEST(server_of_another_system_passes_nothing),
        RIG_TEST(rows_that_the_old_column_cannot_follow_are_counted),
        RIG_TEST(rows_outside_of_the_filter_have_what_they_were_added_with),
        RIG_TEST(what_the_application_wrote_beside_an_update_of_rows_without_a_value_is_right),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, teardown);
}
