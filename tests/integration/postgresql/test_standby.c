/*
 * test_standby.c - what reads on a standby keeps exclusive locks away on the primary, and standbys that nobody can look
 * at (database.md 1).
 */
#include "tests/integration/postgresql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OLD_MS = 150, DSN_SIZE = 512, PATIENCE_MS = 20000 };

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

static void have_standby(struct rig *r)
{
    if (standby == NULL) {
        standby = test_pg_standby(r->pg, "b2", NULL);
    }
    for (long waited = 0; rig_number(r, "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn ="
                                        " pg_current_wal_lsn()") == 0;
         waited += 20) {
        assert_true(waited < PATIENCE_MS);
        sleep_ms(20);
    }
}

/* A standby has said how far it is a moment after it began to stream. */
static void wait_for_streams(struct rig *r, long n)
{
    for (long waited = 0; rig_number(r, "SELECT count(replay_lsn) FROM pg_stat_replication") < n; waited += 20) {
        assert_true(waited < PATIENCE_MS);
        sleep_ms(20);
    }
}

static PGconn *read_there(struct rig *r, const char *sql)
{
    PGconn *conn = PQconnectdb(test_pg_dsn(standby, "app_user", r->database));
    assert_int_equal(PQstatus(conn), CONNECTION_OK);
    rig_exec(conn, sql);
    sleep_ms(OLD_MS);
    return conn;
}

/* The test's engine, opened anew with these replicas. */
static void open_with(struct rig *r, const char *const *replicas, size_t n)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    char dsn[DSN_SIZE];
    r->engine.ops->close(r->engine.self);
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(r->pg, "zdm_agent", r->database));
    struct agent_engine_config config = {
        .dsn = dsn, .connect_timeout_ms = 5000, .replicas = replicas, .n_replicas = n, .sink = rig_sink(r)};
    assert_int_equal(agent_postgresql_open(&config, &r->engine, &err), ZDM_OK);
    rig_connect_engine(r);
}

static void open_with_standby(struct rig *r)
{
    char dsn[DSN_SIZE];
    have_standby(r);
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(standby, "zdm_agent", r->database));
    open_with(r, (const char *const[]){dsn}, 1);
}

static void users(struct rig *r, const char *how)
{
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text) %s; CREATE TABLE other (id int)", how);
    if (how[0] != '\0') {
        rig_sql(r, "CREATE TABLE u1 PARTITION OF users FOR VALUES FROM (1) TO (10)");
    }
    rig_sql(r, "INSERT INTO users SELECT g, 'n' FROM generate_series(1, 9) g");
    rig_plan(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "full_name", NULL, "ALTER TABLE public.users ADD COLUMN full_name text");
    rig_copy(r, 2, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_accept(r, 1);
}

static void expect_blocker(struct rig *r, enum agent_run run, uint32_t step, const char *const *texts)
{
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, run, step, 0);
    if (result->outcome != AGENT_LOCK) {
        fail_msg("%s: %s", agent_outcome_name(result->outcome), result->error.message);
    }
    for (; *texts != NULL; texts++) {
        if (strstr(result->blocker, *texts) == NULL) {
            fail_msg("\"%s\" is not in \"%s\"", *texts, result->blocker);
        }
    }
    agent_result_free(result);
}

#define BLOCKED(r, ...) expect_blocker(r, AGENT_RUN_DDL, 1, (const char *const[]){__VA_ARGS__, NULL})

static void reader_on_a_standby_parks_the_step_and_is_named(void **state)
{
    struct rig *r = *state;
    users(r, "");
    open_with_standby(r);
    PGconn *reader = read_there(r, "BEGIN; SELECT count(*) FROM users");
    BLOCKED(r, "replica b2: pid ", " app_user@", "idle in transaction for 0 s: BEGIN; SELECT count(*) FROM users");
    r->lock_wait_ms = 60;
    BLOCKED(r, "replica b2: pid ");
    PGconn *second = read_there(r, "BEGIN; SELECT count(*) FROM users");
    BLOCKED(r, "(and 1 more)");
    PQfinish(second);
    rig_exec(reader, "COMMIT; BEGIN; SELECT count(*) FROM other");
    sleep_ms(OLD_MS);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    /* Triggers need a lock that no standby replays. */
    rig_exec(reader, "COMMIT; BEGIN; SELECT count(*) FROM users");
    sleep_ms(OLD_MS);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 2, AGENT_OK);
    PQfinish(reader);
}

static void reader_on_a_standby_is_in_the_way_of_a_long_statement_too(void **state)
{
    struct rig *r = *state;
    users(r, "");
    open_with_standby(r);
    rig_plan(r, "users", 1);
    struct zdm_step *step = rig_ddl(r, 1, ZDM_ACTION_AS_IS, NULL, NULL, "ALTER TABLE public.users DROP COLUMN name");
    step->lock = ZDM_LOCK_LONG;
    step->inverse = ZDM_INVERSE_IMPOSSIBLE;
    step->proof_sql = strdup("SELECT 1 FROM pg_attribute WHERE attrelid = 'public.users'::regclass AND attname ="
                             " 'name'");
    rig_accept(r, 2);
    PGconn *reader = read_there(r, "BEGIN; SELECT count(*) FROM users");
    expect_blocker(r, AGENT_RUN_LONG_SQL, 1, (const char *const[]){"replica b2: pid ", "FROM users", NULL});
    PQfinish(reader);
    sleep_ms(50);
    rig_run(r, AGENT_RUN_LONG_SQL, 1, AGENT_OK);
}

static void reader_of_a_partition_is_in_the_way_of_its_parent(void **state)
{
    struct rig *r = *state;
    users(r, "PARTITION BY RANGE (id)");
    open_with_standby(r);
    PGconn *reader = read_there(r, "BEGIN; SELECT count(*) FROM u1");
    BLOCKED(r, "replica b2: pid ", "FROM u1");
    PQfinish(reader);
    sleep_ms(50);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
}

static void standby_that_the_settings_do_not_name_is_not_guarded(void **state)
{
    struct rig *r = *state;
    users(r, "");
    have_standby(r);
    BLOCKED(r, "replica b2 ",
            "is not guarded: name it in the agent's setting `replicas`, or write {unguarded-replicas}");
    rig_step(r, 1)->unguarded = true;
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
}

static void second_standby_is_not_guarded_by_the_first(void **state)
{
    struct rig *r = *state;
    users(r, "");
    open_with_standby(r);
    struct test_pg *other = test_pg_standby(r->pg, "b3", NULL);
    wait_for_streams(r, 2);
    have_standby(r);
    BLOCKED(r, "replica b3 ", "is not guarded");
    rig_step(r, 1)->unguarded = true;
    /* What can be looked at is looked at all the same. */
    PGconn *reader = read_there(r, "BEGIN; SELECT count(*) FROM users");
    BLOCKED(r, "replica b2: pid ");
    PQfinish(reader);
    sleep_ms(50);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    test_pg_free(other);
}

static void base_backups_and_receivers_of_wal_are_no_standbys(void **state)
{
    struct rig *r = *state;
    char dsn[DSN_SIZE + 32], start[128];
    users(r, "");
    open_with_standby(r);
    snprintf(dsn, sizeof dsn, "%s replication=true", test_pg_dsn(r->pg, "postgres", "postgres"));
    PGconn *receiver = PQconnectdb(dsn);
    snprintf(start, sizeof start, "START_REPLICATION PHYSICAL %s", rig_value(r, "SELECT pg_current_wal_lsn()"));
    PGresult *res = PQexec(receiver, start);
    assert_int_equal(PQresultStatus(res), PGRES_COPY_BOTH);
    PQclear(res);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_stat_replication"), 2);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    PQfinish(receiver);
}

static void replica_that_cannot_be_reached_is_not_guarded(void **state)
{
    struct rig *r = *state;
    char dsn[DSN_SIZE];
    users(r, "");
    struct test_pg *away = test_pg_standby(r->pg, "b4", NULL);
    wait_for_streams(r, 2);
    have_standby(r);
    snprintf(dsn, sizeof dsn, "%s", test_pg_tcp_dsn(away, "zdm_agent", r->database));
    char first[DSN_SIZE];
    snprintf(first, sizeof first, "%s", test_pg_dsn(standby, "zdm_agent", r->database));
    open_with(r, (const char *const[]){first, dsn}, 2);
    test_pg_stop(away);
    BLOCKED(r, "replica 127.0.0.1:", " is not guarded: Connection refused, or write {unguarded-replicas}");
    test_pg_resume(away);
    sleep_ms(4500); /* it is tried again after a pause */
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    test_pg_free(away);
}

static void what_is_no_standby_of_this_server_is_not_guarded(void **state)
{
    struct rig *r = *state;
    char dsn[DSN_SIZE];
    users(r, "");
    have_standby(r);
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(r->pg, "zdm_agent", r->database));
    open_with(r, (const char *const[]){dsn}, 1);
    BLOCKED(r, "is not guarded: it is not a standby");
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(standby, "zdm_agent", "shop"));
    open_with(r, (const char *const[]){dsn}, 1);
    BLOCKED(r, "is not guarded: its connection is to database shop, not ");
    struct test_pg *stranger = test_pg_start(NULL);
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(stranger, "postgres", "postgres"));
    open_with(r, (const char *const[]){dsn}, 1);
    BLOCKED(r, "is not guarded: it belongs to another database system");
    test_pg_free(stranger);
}

/* One entry of the settings must not stand for two standbys. */
static void replica_that_is_named_twice_counts_once(void **state)
{
    struct rig *r = *state;
    char socket[DSN_SIZE], tcp[DSN_SIZE];
    users(r, "");
    have_standby(r);
    struct test_pg *other = test_pg_standby(r->pg, "b2", NULL); /* of the same name */
    have_standby(r);
    snprintf(socket, sizeof socket, "%s", test_pg_dsn(standby, "zdm_agent", r->database));
    snprintf(tcp, sizeof tcp, "%s", test_pg_tcp_dsn(standby, "zdm_agent", r->database));
    open_with(r, (const char *const[]){socket, tcp}, 2);
    while (rig_number(r, "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn IS NOT NULL") < 2) {
        sleep_ms(20);
    }
    BLOCKED(r, "replica b2", "is not guarded: name it");
    snprintf(tcp, sizeof tcp, "%s", test_pg_tcp_dsn(other, "zdm_agent", r->database));
    open_with(r, (const char *const[]){socket, tcp}, 2);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    test_pg_free(other);
}

/* Who reads on the other one is seen by nobody. */
static void one_of_two_standbys_of_the_same_name_does_not_stand_for_the_other(void **state)
{
    struct rig *r = *state;
    users(r, "");
    open_with_standby(r);
    struct test_pg *other = test_pg_standby(r->pg, "b2", NULL);
    wait_for_streams(r, 2);
    have_standby(r);
    PGconn *reader = PQconnectdb(test_pg_dsn(other, "app_user", r->database));
    rig_exec(reader, "BEGIN; SELECT count(*) FROM users");
    sleep_ms(OLD_MS);
    BLOCKED(r, "replica b2", "is not guarded: name it, too, in the agent's setting `replicas` (a namesake is there)");
    /* The one that is guarded goes away: its place is not the other's. */
    char dsn[DSN_SIZE];
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(other, "zdm_agent", r->database));
    open_with(r, (const char *const[]){dsn}, 1);
    BLOCKED(r, "replica b2", "is not guarded: name it, too");
    char first[DSN_SIZE];
    snprintf(first, sizeof first, "%s", test_pg_dsn(standby, "zdm_agent", r->database));
    open_with(r, (const char *const[]){first, dsn}, 2);
    BLOCKED(r, "replica b2: pid ", "SELECT count(*) FROM users");
    PQfinish(reader);
    sleep_ms(50);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    test_pg_free(other);
}

/* From now on it streams from the first. */
static void put_behind(struct rig *r, struct test_pg *behind)
{
    char sql[DSN_SIZE + 64];
    PGconn *super = PQconnectdb(test_pg_dsn(behind, "postgres", "postgres"));
    snprintf(sql, sizeof sql, "ALTER SYSTEM SET primary_conninfo = $$%s$$",
             test_pg_dsn(standby, "postgres", "postgres"));
    rig_exec(super, sql);
    rig_exec(super, "SELECT pg_reload_conf()");
    PQfinish(super);
    for (long waited = 0; rig_number(r, "SELECT count(*) FROM pg_stat_replication") > 1; waited += 20) {
        assert_true(waited < PATIENCE_MS);
        sleep_ms(20);
    }
    PGconn *reading = PQconnectdb(test_pg_dsn(behind, "postgres", "postgres"));
    for (long waited = 0, streams = 0; streams == 0; waited += 20) {
        PGresult *res = PQexec(reading, "SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'");
        streams = PQntuples(res);
        PQclear(res);
        assert_true(waited < PATIENCE_MS);
        sleep_ms(20);
    }
    PQfinish(reading);
}

/* It streams from the first, and its name is the same: it says nothing of who reads there. */
static void standby_of_a_standby_does_not_guard_its_namesake(void **state)
{
    struct rig *r = *state;
    users(r, "");
    have_standby(r);
    struct test_pg *behind = test_pg_standby(r->pg, "b2", NULL);
    wait_for_streams(r, 2);
    char dsn[DSN_SIZE];
    put_behind(r, behind);
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(behind, "zdm_agent", r->database));
    open_with(r, (const char *const[]){dsn}, 1);
    BLOCKED(r, "replica b2", "is not guarded: its namesake streams from ",
            "; name it, too, or give it a slot, or write {unguarded-replicas}");
    char first[DSN_SIZE];
    snprintf(first, sizeof first, "%s", test_pg_dsn(standby, "zdm_agent", r->database));
    open_with(r, (const char *const[]){dsn, first}, 2);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    test_pg_free(behind);
}

/* The lock is replayed there, too, when the one between has replayed it. */
static void standby_behind_a_standby_is_guarded_like_the_others(void **state)
{
    struct rig *r = *state;
    users(r, "");
    open_with_standby(r);
    struct test_pg *behind = test_pg_standby(r->pg, "b9", NULL);
    wait_for_streams(r, 2);
    put_behind(r, behind);
    PGconn *between = PQconnectdb(test_pg_dsn(standby, "postgres", "postgres"));
    for (long waited = 0, streams = 0; streams == 0; waited += 20) {
        PGresult *res = PQexec(between, "SELECT FROM pg_stat_replication WHERE replay_lsn IS NOT NULL");
        streams = PQntuples(res);
        PQclear(res);
        assert_true(waited < PATIENCE_MS);
        sleep_ms(20);
    }
    PQfinish(between);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_stat_replication"), 1);
    PGconn *reader = PQconnectdb(test_pg_dsn(behind, "app_user", r->database));
    rig_exec(reader, "BEGIN; SELECT count(*) FROM users");
    sleep_ms(OLD_MS);
    BLOCKED(r, "replica b9", "is not guarded: it streams from b2; name it in the agent's setting `replicas`");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname ="
                                   " 'full_name'"),
                     0);
    char first[DSN_SIZE], dsn[DSN_SIZE];
    snprintf(first, sizeof first, "%s", test_pg_dsn(standby, "zdm_agent", r->database));
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(behind, "zdm_agent", r->database));
    open_with(r, (const char *const[]){first, dsn}, 2);
    BLOCKED(r, "replica b9: pid ", "SELECT count(*) FROM users");
    struct agent_result *survey = rig_do(r, AGENT_OP_SURVEY, AGENT_RUN_NONE, 0, 0);
    rig_expect(survey, AGENT_OK);
    assert_int_equal(survey->survey->replicas, 2);
    assert_int_equal(survey->survey->guarded, 2);
    agent_result_free(survey);
    PQfinish(reader);
    sleep_ms(50);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    test_pg_free(behind);
}

/* The agent would look at a server that waits for nobody any more. */
static void standby_that_was_promoted_is_not_guarded(void **state)
{
    struct rig *r = *state;
    char dsn[DSN_SIZE];
    users(r, "");
    struct test_pg *leaving = test_pg_standby(r->pg, "b5", NULL);
    wait_for_streams(r, 2);
    have_standby(r);
    char first[DSN_SIZE];
    snprintf(first, sizeof first, "%s", test_pg_dsn(standby, "zdm_agent", r->database));
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(leaving, "zdm_agent", r->database));
    open_with(r, (const char *const[]){first, dsn}, 2);
    PGconn *reader = read_there(r, "BEGIN; SELECT count(*) FROM users");
    BLOCKED(r, "replica b2: pid ");
    PQfinish(reader);
    test_pg_promote(leaving);
    BLOCKED(r, "replica b5 is not guarded: it is not a standby any more");
    test_pg_free(leaving);
}

/* DROP INDEX CONCURRENTLY locks the index on standbys at its end. */
static void index_is_dropped_when_nobody_reads_it_there(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text); CREATE INDEX users_name ON users (name)");
    rig_plan(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_INDEX, NULL, "users_name", NULL);
    rig_ddl(r, 2, ZDM_ACTION_PURGE_INDEX, NULL, "users_name", NULL);
    r->purge_now = true;
    rig_accept(r, 1);
    open_with_standby(r);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    have_standby(r);
    PGconn *reader = read_there(r, "BEGIN; SELECT count(*) FROM users");
    expect_blocker(r, AGENT_RUN_PURGE, 2, (const char *const[]){"replica b2: pid ", "FROM users", NULL});
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname = 'users_name'"), 1);
    PQfinish(reader);
    sleep_ms(50);
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname = 'users_name'"), 0);
}

static void index_is_built_anew_when_nobody_reads_it_there(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text); CREATE INDEX users_name ON users (name)");
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_REINDEX, NULL, "users_name", NULL);
    rig_accept(r, 1);
    open_with_standby(r);
    PGconn *reader = read_there(r, "BEGIN; SELECT count(*) FROM users");
    expect_blocker(r, AGENT_RUN_REINDEX, 1, (const char *const[]){"replica b2: pid ", "FROM users", NULL});
    PQfinish(reader);
    sleep_ms(50);
    rig_run(r, AGENT_RUN_REINDEX, 1, AGENT_OK);
}

/* Attaching the leaf's index locks it wholly: a reader of the leaf there holds it, and all others would wait behind. */
static void index_of_a_partition_is_attached_when_nobody_reads_the_partition_there(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int, name text) PARTITION BY RANGE (id); CREATE TABLE u1 PARTITION OF users FOR"
               " VALUES FROM (1) TO (10); INSERT INTO users VALUES (1, 'n')");
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_CREATE_INDEX, NULL, "users_name",
            "CREATE INDEX CONCURRENTLY users_name ON public.users (name)");
    rig_accept(r, 1);
    open_with_standby(r);
    PGconn *reader = read_there(r, "BEGIN; SELECT count(*) FROM users");
    expect_blocker(r, AGENT_RUN_INDEX_BUILD, 1, (const char *const[]){"replica b2: pid ", "FROM users", NULL});
    PQfinish(reader);
    sleep_ms(50);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_index WHERE indexrelid = 'users_name'::regclass AND"
                                   " indisvalid"),
                     1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(reader_on_a_standby_parks_the_step_and_is_named),
        RIG_TEST(reader_on_a_standby_is_in_the_way_of_a_long_statement_too),
        RIG_TEST(reader_of_a_partition_is_in_the_way_of_its_parent),
        RIG_TEST(standby_that_the_settings_do_not_name_is_not_guarded),
        RIG_TEST(second_standby_is_not_guarded_by_the_first),
        RIG_TEST(base_backups_and_receivers_of_wal_are_no_standbys),
        RIG_TEST(replica_that_cannot_be_reached_is_not_guarded),
        RIG_TEST(what_is_no_standby_of_this_server_is_not_guarded),
        RIG_TEST(replica_that_is_named_twice_counts_once),
        RIG_TEST(one_of_two_standbys_of_the_same_name_does_not_stand_for_the_other),
        RIG_TEST(standby_of_a_standby_does_not_guard_its_namesake),
        RIG_TEST(standby_behind_a_standby_is_guarded_like_the_others),
        RIG_TEST(standby_that_was_promoted_is_not_guarded),
        RIG_TEST(index_is_dropped_when_nobody_reads_it_there),
        RIG_TEST(index_is_built_anew_when_nobody_reads_it_there),
        RIG_TEST(index_of_a_partition_is_attached_when_nobody_reads_the_partition_there),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, teardown);
}
