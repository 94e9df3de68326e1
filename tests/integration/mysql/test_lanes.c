/*
 * test_lanes.c - operations on lanes over MySQL and MariaDB: cancelled, out of time, after a lost session, after a
 * restart; and which engine a connection string names.
 */
#include "tests/integration/mysql/rig.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/engine/open.h"

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/* A plan of a check that runs for minutes. */
static void plan_long_check(struct rig *r)
{
    rig_sql(r, "CREATE TABLE n (i int PRIMARY KEY)");
    rig_sql(r, "INSERT INTO n WITH RECURSIVE q AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM q WHERE i < 900) SELECT i "
               "FROM q");
    rig_plan(r, "n", 2);
    rig_ddl(r, 1, ZDM_ACTION_CHECK_QUERY, NULL, NULL,
            "SELECT a.i FROM n a, n b, n c, n d WHERE a.i + b.i + c.i + d.i < 0");
    rig_ddl(r, 2, ZDM_ACTION_CHECK_QUERY, NULL, NULL, "SELECT i FROM n WHERE i < 0");
    rig_accept(r, 1);
}

static long running(struct rig *r)
{
    return rig_number(r,
                      "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = '%s' AND INFO LIKE '%%FROM n a, "
                      "n b%%' AND ID <> CONNECTION_ID()",
                      r->database);
}

static void cancelled_operation_ends_soon_in_the_server_too(void **state)
{
    struct rig *r = *state;
    plan_long_check(r);
    uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_CHECK_CHUNK, 1, 100);
    for (int i = 0; i < 200 && running(r) == 0; i++) {
        pause_ms(10);
    }
    int64_t begun_ms = mydb_now_ms();
    r->engine.ops->cancel(r->engine.self, op);
    struct agent_result *result = rig_await(r, op);
    rig_expect(result, AGENT_RETRY);
    assert_int_equal(result->error.code, ZDM_CANCELLED);
    assert_true(mydb_now_ms() - begun_ms < 6000);
    agent_result_free(result);
    for (int i = 0; i < 100 && running(r) > 0; i++) {
        pause_ms(10);
    }
    assert_int_equal(running(r), 0);
    /* The lane works on. */
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
}

static void operation_ends_at_its_time_limit(void **state)
{
    struct rig *r = *state;
    plan_long_check(r);
    r->time_limit_ms = 300;
    int64_t begun_ms = mydb_now_ms();
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_CHECK_CHUNK, 1, 100);
    rig_expect(result, AGENT_RETRY);
    assert_int_equal(result->error.code, ZDM_TIMEOUT);
    assert_true(mydb_now_ms() - begun_ms < 6000);
    agent_result_free(result);
}

static void lost_session_is_opened_again_for_the_next_operation(void **state)
{
    struct rig *r = *state;
    plan_long_check(r);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    MYSQL *conn = rig_connect(r, "root");
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '%s' AND USER = 'zdm_agent'",
             r->database);
    assert_int_equal(mysql_query(conn, sql), 0);
    MYSQL_RES *res = mysql_store_result(conn);
    for (MYSQL_ROW row; (row = mysql_fetch_row(res)) != NULL;) {
        rig_sql(r, "KILL %s", row[0]);
    }
    mysql_free_result(res);
    mysql_close(conn);
    pause_ms(100);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    struct agent_result *result = rig_do(r, AGENT_OP_SIGNALS, AGENT_RUN_NONE, 0, 0);
    rig_expect(result, AGENT_OK);
    assert_true(result->connected && result->writable);
    assert_int_equal(result->engine, ZDM_ENGINE_MYSQL);
    assert_true(result->identity[0] != '\0');
    agent_result_free(result);
}

static void after_a_restart_the_core_has_to_connect_anew(void **state)
{
    struct rig *r = *state;
    if (rig_server(r) == NULL) {
        skip();
    }
    plan_long_check(r);
    pause_ms(1100);
    test_mysql_kill(rig_server(r));
    struct agent_result *result = rig_do(r, AGENT_OP_INSPECT, AGENT_RUN_NONE, 1, 0);
    rig_expect(result, AGENT_RETRY);
    assert_false(result->connected);
    agent_result_free(result);
    test_mysql_resume(rig_server(r));
    rig_reconnect(r);
    result = rig_do(r, AGENT_OP_INSPECT, AGENT_RUN_NONE, 1, 0);
    rig_expect(result, AGENT_RETRY);
    assert_non_null(strstr(result->error.message, "connect anew"));
    agent_result_free(result);
    rig_reload(r);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
}

static void connection_string_names_the_engine(void **state)
{
    struct rig *r = *state;
    struct zdm_error err = ZDM_ERROR_INIT;
    struct agent_engine engine;
    const char *const other[] = {"host=127.0.0.1 dbname=shop"};
    const char *const bad[] = {"mysql:host=b password=s3cret"};
    struct agent_engine_config config = {.dsn = "mysql:host=a", .replicas = other, .n_replicas = 1};
    assert_int_equal(agent_engine_open(&config, &engine, &err), ZDM_INVALID);
    assert_string_equal(err.message, "replica 1 is of another engine than its node");
    config.replicas = bad;
    assert_int_equal(agent_engine_open(&config, &engine, &err), ZDM_INVALID);
    assert_null(strstr(err.message, "s3cret"));
    config.n_replicas = 0;
    config.owner = "shop_owner";
    assert_int_equal(agent_engine_open(&config, &engine, &err), ZDM_INVALID);
    assert_int_equal(agent_engine_check_dsn(rig_dsn(r, ""), &err), ZDM_OK);
    assert_int_equal(agent_engine_check_dsn("host=127.0.0.1 dbname=shop", &err), ZDM_OK);
    assert_int_equal(agent_engine_check_dsn("mysql:what=that", &err), ZDM_INVALID);
    assert_string_equal(r->engine.ops->name, "mysql");
}

RIG_MAIN(RIG_TEST(cancelled_operation_ends_soon_in_the_server_too), RIG_TEST(operation_ends_at_its_time_limit),
         RIG_TEST(lost_session_is_opened_again_for_the_next_operation),
         RIG_TEST(after_a_restart_the_core_has_to_connect_anew), RIG_TEST(connection_string_names_the_engine))
