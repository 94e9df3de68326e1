/*
 * test_replica.c - replicas of the node: their lag, readers there before DDL, checks there, and those nobody looks at.
 */
#include "tests/integration/mysql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/engine/open.h"

enum { TRIES = 300 };

static struct test_mysql *replica; /* of the private server, for all tests of the program */

static void pause_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

static MYSQL *connect_replica(const char *database)
{
    MYSQL *conn = mysql_init(NULL);
    if (mysql_real_connect(conn, NULL, "root", "", database, 0, test_mysql_socket(replica), 0) == NULL) {
        fail_msg("replica: %s", mysql_error(conn));
    }
    return conn;
}

static void on_replica(const char *sql)
{
    MYSQL *conn = connect_replica(NULL);
    rig_exec(conn, sql);
    mysql_close(conn);
}

static void start_replica(struct rig *r)
{
    static const char *const args[] = {"--server-id=2", "--read-only=1", "--slave-parallel-threads=0", NULL};
    char sql[512];
    replica = test_mysql_start(args);
    snprintf(
        sql, sizeof sql,
        "CHANGE MASTER TO master_host = '127.0.0.1', master_port = %d, master_user = 'repl', master_password = 'r', "
        "master_use_gtid = slave_pos, master_connect_retry = 1",
        rig_port(r));
    rig_sql(r, "CREATE USER repl@'%%' IDENTIFIED BY 'r'");
    rig_sql(r, "GRANT REPLICATION SLAVE ON *.* TO repl@'%%'");
    on_replica(sql);
    on_replica("START SLAVE");
}

/* Until the replica has what the primary has now. */
static void catch_up(struct rig *r)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT MASTER_GTID_WAIT('%s', 20)", rig_value(r, "SELECT @@gtid_binlog_pos"));
    MYSQL *conn = connect_replica(NULL);
    rig_exec(conn, sql);
    mysql_close(conn);
}

/* An engine that knows the replica at that port (0: of none). */
static void open_engine(struct rig *r, int port)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    char dsn[512], more[32], there[512];
    snprintf(more, sizeof more, "port=%d", port);
    snprintf(there, sizeof there, "%s", rig_dsn(r, more));
    snprintf(dsn, sizeof dsn, "%s", rig_dsn(r, ""));
    const char *const replicas[] = {there};
    const struct agent_engine_config config = {.dsn = dsn,
                                               .application_name = "zdm-agent test",
                                               .connect_timeout_ms = 3000,
                                               .replicas = replicas,
                                               .n_replicas = port == 0 ? 0 : 1,
                                               .sink = rig_sink(r)};
    if (agent_engine_open(&config, &r->engine, &err) != ZDM_OK) {
        fail_msg("%s", err.message);
    }
    rig_connect_engine(r);
}

static int setup(void **state)
{
    rig_base_setup(state);
    struct rig *r = *state;
    if (rig_server(r) == NULL) {
        return 0;
    }
    if (replica == NULL) {
        start_replica(r);
    }
    rig_sql(r, "CREATE TABLE u (id int PRIMARY KEY, a int NOT NULL)");
    rig_sql(r, "INSERT INTO u VALUES (1, 1), (2, 2)");
    catch_up(r);
    open_engine(r, test_mysql_port(replica));
    rig_plan(r, "u", 2);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "b", NULL, "ALTER TABLE `u` ADD COLUMN `b` int");
    rig_ddl(r, 2, ZDM_ACTION_CHECK_QUERY, NULL, NULL, "SELECT id FROM u WHERE a < 0");
    rig_accept(r, 1);
    catch_up(r);
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    if (r->engine.ops != NULL) {
        r->engine.ops->close(r->engine.self);
    }
    return rig_base_teardown(state);
}

#define NEEDS_REPLICA(r)                                                                                               \
    if (rig_server(r) == NULL) {                                                                                       \
        skip();                                                                                                        \
    }

/* The signal of SIGNALS with that name; value -1: there is none. */
static struct zdm_signal signal_of(struct rig *r, const char *name)
{
    struct zdm_signal found = {.value = -1};
    struct agent_result *result = rig_do(r, AGENT_OP_SIGNALS, AGENT_RUN_NONE, 0, 0);
    rig_expect(result, AGENT_OK);
    for (size_t i = 0; i < result->n_signals; i++) {
        if (strcmp(result->signals[i].name, name) == 0) {
            found = result->signals[i];
        }
    }
    agent_result_free(result);
    return found;
}

/* Runs the DDL once; the blocker goes to r->text. */
static void expect_blocked(struct rig *r, const char *who)
{
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_DDL, 1, 0);
    rig_expect(result, AGENT_LOCK);
    assert_true(result->blocker_is_elsewhere);
    if (strstr(result->blocker, who) == NULL) {
        fail_msg("\"%s\" is not in: %s", who, result->blocker);
    }
    agent_result_free(result);
    assert_int_equal(rig_number(r,
                                "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = '%s' AND "
                                "TABLE_NAME = 'u' AND COLUMN_NAME = 'b'",
                                r->database),
                     0);
}

static void lag_is_a_signal_and_grows_while_the_replica_does_not_run(void **state)
{
    struct rig *r = *state;
    NEEDS_REPLICA(r)
    struct zdm_signal signal = signal_of(r, "replica_lag_ms");
    assert_int_equal(signal.value, 0);
    assert_int_equal(signal.state, ZDM_SIGNAL_OK);
    assert_true(signal_of(r, "threads_running").value >= 1);
    assert_true(signal_of(r, "history_length").value >= 0);
    on_replica("STOP SLAVE SQL_THREAD");
    (void)signal_of(r, "replica_lag_ms");
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    signal = signal_of(r, "replica_lag_ms");
    on_replica("START SLAVE SQL_THREAD");
    assert_true(signal.value >= 300);
    for (int i = 0; i < TRIES && signal.value > 0; i++) {
        pause_a_little();
        signal = signal_of(r, "replica_lag_ms");
    }
    assert_int_equal(signal.value, 0);
}

static void replica_that_cannot_be_reached_is_stale_and_stops_ddl(void **state)
{
    struct rig *r = *state;
    NEEDS_REPLICA(r)
    r->engine.ops->close(r->engine.self);
    open_engine(r, 1);
    assert_int_equal(signal_of(r, "replica_lag_ms").state, ZDM_SIGNAL_STALE);
    expect_blocked(r, "replica 127.0.0.1:1 is not guarded");
    rig_step(r, 1)->unguarded = true;
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
}

static void replica_that_nobody_named_stops_ddl(void **state)
{
    struct rig *r = *state;
    NEEDS_REPLICA(r)
    r->engine.ops->close(r->engine.self);
    open_engine(r, 0);
    expect_blocked(r, "1 sessions read the binary log");
    rig_step(r, 1)->unguarded = true;
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
}

static void server_that_follows_another_one_is_no_replica(void **state)
{
    struct rig *r = *state;
    NEEDS_REPLICA(r)
    r->engine.ops->close(r->engine.self);
    open_engine(r, rig_port(r)); /* the primary itself */
    expect_blocked(r, "it does not replicate from this server");
}

static void reader_on_the_replica_holds_ddl_back(void **state)
{
    struct rig *r = *state;
    NEEDS_REPLICA(r)
    MYSQL *reader = connect_replica(r->database);
    rig_exec(reader, "START TRANSACTION");
    rig_exec(reader, "SELECT * FROM u");
    expect_blocked(r, "root@localhost, idle in transaction");
    rig_exec(reader, "COMMIT");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    mysql_close(reader);
}

static void check_runs_on_the_replica_once_it_has_caught_up(void **state)
{
    struct rig *r = *state;
    char name[48];
    NEEDS_REPLICA(r)
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    snprintf(name, sizeof name, "check on 127.0.0.1:%d", test_mysql_port(replica));
    rig_sql(r, "INSERT INTO u (id, a) VALUES (3, 3)");
    rig_run(r, AGENT_RUN_CHECK_CHUNK, 2, AGENT_OK);
    assert_true(signal_of(r, name).value >= 0);
    /* What the replica has is looked up on the primary before it counts, and what it has not is waited for. */
    on_replica("STOP SLAVE SQL_THREAD");
    rig_sql(r, "INSERT INTO u (id, a) VALUES (4, -1)");
    on_replica("START SLAVE SQL_THREAD");
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_CHECK_CHUNK, 2, 100);
    rig_expect(result, AGENT_FAIL);
    assert_non_null(strstr(result->error.message, "found a row"));
    agent_result_free(result);
}

static void check_runs_on_the_primary_while_the_replica_stands_still(void **state)
{
    struct rig *r = *state;
    NEEDS_REPLICA(r)
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    on_replica("STOP SLAVE SQL_THREAD");
    int64_t begun_ms = mydb_now_ms();
    rig_run(r, AGENT_RUN_CHECK_CHUNK, 2, AGENT_OK);
    on_replica("START SLAVE SQL_THREAD");
    assert_true(mydb_now_ms() - begun_ms < 4000);
}

static int group_teardown(void **state)
{
    test_mysql_free(replica);
    replica = NULL;
    return rig_group_teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lag_is_a_signal_and_grows_while_the_replica_does_not_run),
        TEST(replica_that_cannot_be_reached_is_stale_and_stops_ddl),
        TEST(replica_that_nobody_named_stops_ddl),
        TEST(server_that_follows_another_one_is_no_replica),
        TEST(reader_on_the_replica_holds_ddl_back),
        TEST(check_runs_on_the_replica_once_it_has_caught_up),
        TEST(check_runs_on_the_primary_while_the_replica_stands_still),
    };
    (void)rig_turn(0, NULL); /* MariaDB alone: a second server of MySQL is nobody's to start here */
    return cmocka_run_group_tests_name(rig_turn_name(), tests, rig_group_setup, group_teardown);
}
