/*
 * test_crash.c - a change of the catalogue that is cut off, at each of its parts: what is found afterwards, and that
 * the step is then done once.
 *
 * A reader keeps the statement from its lock, so that the intent is written and nothing else; then a lock on the
 * journal's row keeps the confirmation back, so that the statement is through and nobody has said so. At each of both
 * the server is killed, or the agent's connections are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/integration/mysql/rig.h"

static void pause_ms(long ms)
{
    (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L}, NULL);
}

static void users(struct rig *r)
{
    rig_sql(r, "CREATE TABLE places (id int PRIMARY KEY)");
    rig_sql(r, "INSERT INTO places VALUES (1), (2)");
    rig_sql(r,
            "CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, name varchar(100), place int, KEY by_name (name), "
            "KEY by_place (place))");
    rig_sql(r, "INSERT INTO users (name, place) VALUES ('a', 1), ('b', 2), ('c', 1), ('d', NULL)");
}

/* ---- Kinds ---- */

static const struct kind {
    enum zdm_action action;
    enum agent_run run;
    const char *column, *object, *sql, *parent, *before;
    bool twice; /* a second statement shows what the first one made */
} kinds[] = {
    {ZDM_ACTION_ADD_COLUMN, AGENT_RUN_DDL, "c", NULL, "ALTER TABLE `users` ADD COLUMN `c` int", NULL, NULL, false},
    {ZDM_ACTION_CREATE_INDEX, AGENT_RUN_INDEX_BUILD, NULL, "i", "ALTER TABLE `users` ADD INDEX `i` (`name`, `place`)",
     NULL, NULL, true},
    {ZDM_ACTION_ADD_FOREIGN_KEY, AGENT_RUN_DDL, NULL, "fk",
     "ALTER TABLE `users` ADD CONSTRAINT `fk` FOREIGN KEY (`place`) REFERENCES `places` (`id`)", "places", NULL, false},
    {ZDM_ACTION_LIFT_CONSTRAINT, AGENT_RUN_DDL, NULL, "old", NULL, NULL,
     "ALTER TABLE users ADD CONSTRAINT old FOREIGN KEY (place) REFERENCES places (id)", false},
    {ZDM_ACTION_SET_DEFAULT, AGENT_RUN_DDL, "name", NULL, "ALTER TABLE `users` ALTER COLUMN `name` SET DEFAULT 'x'",
     NULL, NULL, false},
    {ZDM_ACTION_WIDEN_TYPE, AGENT_RUN_DDL, "name", NULL, "ALTER TABLE `users` MODIFY COLUMN `name` varchar(120)", NULL,
     NULL, false},
    {ZDM_ACTION_COMMENT, AGENT_RUN_DDL, NULL, NULL, "ALTER TABLE `users` COMMENT 'new'", NULL, NULL, false},
    {ZDM_ACTION_HIDE_TABLE, AGENT_RUN_HIDE, NULL, "zdm_trash_00000000_users", NULL, NULL, NULL, false},
    {ZDM_ACTION_HIDE_INDEX, AGENT_RUN_HIDE, NULL, "by_name", NULL, NULL, NULL, false},
};

static void plan_of(struct rig *r, const struct kind *kind)
{
    users(r);
    if (kind->before != NULL) {
        rig_sql(r, "%s", kind->before);
    }
    rig_plan(r, "users", 1);
    struct zdm_step *step = rig_ddl(r, 1, kind->action, kind->column, kind->object, kind->sql);
    if (kind->parent != NULL) {
        step->others = calloc(1, sizeof *step->others);
        step->others[0] = (struct zdm_table){.schema = zdm_strdup(""), .name = zdm_strdup(kind->parent)};
        step->n_others = 1;
    }
    rig_accept(r, 1);
}

/* ---- Cutting off ---- */

/* Until a statement of the agent is at that point. */
static void await_agent(struct rig *r, const char *condition)
{
    for (int i = 0; i < 1000; i++) {
        if (rig_number(r,
                       "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'zdm_agent' AND DB = "
                       "DATABASE() AND %s",
                       condition) > 0) {
            return;
        }
        pause_ms(5);
    }
    fail_msg("the agent never came to: %s", condition);
}

static void kill_agents_connections(struct rig *r)
{
    static const char of_agent[] = "FROM information_schema.PROCESSLIST WHERE USER = 'zdm_agent' AND DB = DATABASE()";
    for (int i = 0; i < 100 && rig_number(r, "SELECT COUNT(*) %s", of_agent) > 0; i++) {
        char sql[64];
        (void)snprintf(sql, sizeof sql, "KILL %ld", rig_number(r, "SELECT COALESCE(MIN(ID), 0) %s", of_agent));
        MYSQL *conn = rig_connect(r, "root");
        (void)!mysql_query(conn, sql); /* it may be gone by now */
        mysql_close(conn);
        pause_ms(20);
    }
}

static void strike(struct rig *r, bool server)
{
    if (server) {
        test_mysql_kill(rig_server(r));
    } else {
        kill_agents_connections(r);
    }
}

static void recover(struct rig *r, bool server)
{
    if (server) {
        test_mysql_resume(rig_server(r));
        rig_reconnect(r);
    }
    rig_connect_engine(r);
    rig_reload(r);
}

static MYSQL *reader(struct rig *r)
{
    MYSQL *conn = rig_connect(r, "app_user");
    rig_exec(conn, "BEGIN");
    rig_exec(conn, "SELECT id FROM users WHERE id = 1");
    return conn;
}

static void cut_off(struct rig *r, const struct kind *kind, bool server, bool after)
{
    MYSQL *holder = reader(r), *journal = rig_connect(r, "root");
    r->lock_wait_ms = 4000;
    r->time_limit_ms = 20000;
    uint64_t op = rig_begin(r, AGENT_OP_RUN, kind->run, 1, 0);
    await_agent(r, "STATE LIKE 'Waiting for table metadata lock' AND INFO LIKE 'ALTER%'");
    if (after) {
        rig_exec(journal, "BEGIN");
        rig_exec(journal, "SELECT step FROM zdm.migration FOR UPDATE");
        rig_exec(holder, "COMMIT");
        await_agent(r, "INFO LIKE '%zdm.migration%' AND COMMAND = 'Query'");
    }
    strike(r, server);
    mysql_close(holder);
    mysql_close(journal);
    struct agent_result *result = rig_await(r, op);
    print_message("   %s, %s killed: %s\n", after ? "before the confirmation" : "before the statement",
                  server ? "server" : "session", agent_outcome_name(result->outcome));
    assert_int_not_equal(result->outcome, AGENT_OK);
    assert_int_not_equal(result->outcome, AGENT_FAIL);
    agent_result_free(result);
    recover(r, server);
}

static void start_anew(struct rig *r)
{
    rig_sql(r, "DROP TABLE IF EXISTS users, zdm_trash_00000000_users");
    rig_sql(r, "DROP TABLE places");
}

static void each_kind(struct rig *r, bool server, bool after)
{
    if (!rig_is_mariadb(r)) {
        print_message("over MySQL an attempt is not made while a reader is seen: see the build below\n");
        return;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct kind *kind = &kinds[i];
        print_message("%s\n", zdm_action_name(kind->action));
        plan_of(r, kind);
        cut_off(r, kind, server, after);
        r->lock_wait_ms = 0;
        bool done = after && !kind->twice;
        rig_inspect(r, 1, done ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE);
        rig_run(r, kind->run, 1, done ? AGENT_ALREADY : AGENT_OK);
        rig_inspect(r, 1, AGENT_PROOF_DONE);
        assert_int_equal(r->journal_step, 2);
        assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.hidden WHERE home = DATABASE() AND state = 'hiding'"),
                         0);
        rig_sql(r, "DELETE FROM zdm.migration WHERE home = DATABASE()");
        rig_sql(r, "DELETE FROM zdm.owned WHERE home = DATABASE()");
        rig_sql(r, "DELETE FROM zdm.former WHERE home = DATABASE()");
        rig_sql(r, "DELETE FROM zdm.hidden WHERE home = DATABASE()");
        start_anew(r);
    }
}

static void server_that_dies_before_the_statement_has_done_nothing(void **state)
{
    each_kind(*state, true, false);
}

static void server_that_dies_before_the_confirmation_has_done_it(void **state)
{
    each_kind(*state, true, true);
}

static void session_that_dies_before_the_statement_has_done_nothing(void **state)
{
    each_kind(*state, false, false);
}

static void session_that_dies_before_the_confirmation_has_done_it(void **state)
{
    each_kind(*state, false, true);
}

/* ---- In the middle of a long one ---- */

static void big_users(struct rig *r)
{
    users(r);
    for (int i = 0; i < 16; i++) {
        rig_sql(r, "INSERT INTO users (name, place) SELECT REPEAT('n', 90), place FROM users");
    }
}

static void cut_build(struct rig *r, bool server)
{
    big_users(r);
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_CREATE_INDEX, NULL, "i", "ALTER TABLE `users` ADD INDEX `i` (`name`, `place`)");
    rig_accept(r, 1);
    uint64_t op = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_INDEX_BUILD, 1, 0);
    await_agent(r, "INFO LIKE 'ALTER TABLE `users`%' AND STATE NOT LIKE 'Waiting%'");
    pause_ms(60);
    strike(r, server);
    agent_result_free(rig_await(r, op));
    recover(r, server);
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_INDEX_BUILD, 1, 0);
    assert_true(result->outcome == AGENT_OK || result->outcome == AGENT_ALREADY);
    print_message("   %s killed in the build; then: %s\n", server ? "server" : "session",
                  agent_outcome_name(result->outcome));
    agent_result_free(result);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_sql(r, "CHECK TABLE users");
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND "
                                   "TABLE_NAME LIKE '#%%'"),
                     0);
}

static void build_leaves_nothing_when_its_session_dies(void **state)
{
    cut_build(*state, false);
}

static void build_leaves_nothing_when_the_server_dies(void **state)
{
    struct rig *r = *state;
    if (rig_server(r) != NULL) {
        cut_build(r, true);
    }
}

/* ---- A table ---- */

static void table_that_an_interrupted_agent_made_is_its_own(void **state)
{
    struct rig *r = *state;
    rig_plan(r, "made", 1);
    rig_ddl(r, 1, ZDM_ACTION_CREATE_TABLE, NULL, NULL, "CREATE TABLE `made` (`id` int PRIMARY KEY)");
    rig_accept(r, 1);
    rig_sql(r, "INSERT INTO zdm.owned (home, migration, step, kind, object) SELECT home, migration, 1, 'table', 'made' "
               "FROM zdm.migration WHERE home = DATABASE()");
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_sql(r, "CREATE TABLE made (id int PRIMARY KEY)");
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_ALREADY);
    assert_int_equal(r->journal_step, 2);
}

static const char *const durable[] = {"--innodb-flush-log-at-trx-commit=1", NULL};

RIG_MAIN_WITH(durable, RIG_TEST(session_that_dies_before_the_statement_has_done_nothing),
              RIG_TEST(session_that_dies_before_the_confirmation_has_done_it),
              RIG_TEST(server_that_dies_before_the_statement_has_done_nothing),
              RIG_TEST(server_that_dies_before_the_confirmation_has_done_it),
              RIG_TEST(build_leaves_nothing_when_its_session_dies), RIG_TEST(build_leaves_nothing_when_the_server_dies),
              RIG_TEST(table_that_an_interrupted_agent_made_is_its_own))
