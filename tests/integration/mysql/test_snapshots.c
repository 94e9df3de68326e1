/*
 * test_snapshots.c - a transaction that began before a change goes on reading after it.
 *
 * A REPEATABLE READ transaction that has read another table holds nothing of this one. What it must never meet is error
 * 1412, of an index that is younger than its snapshot, or of a table that was written anew meanwhile: the step waits,
 * and names it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/integration/mysql/rig.h"

static void pause_ms(long ms)
{
    (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L}, NULL);
}

static void tables(struct rig *r)
{
    rig_sql(r, "CREATE TABLE other (id int PRIMARY KEY)");
    rig_sql(r, "INSERT INTO other VALUES (1), (2)");
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, name varchar(100), age int)");
    rig_sql(r, "INSERT INTO users (name, age) VALUES ('a', 1), ('b', 2), ('c', 3), ('d', 4)");
    for (int i = 0; i < 8; i++) {
        rig_sql(r, "INSERT INTO users (name, age) SELECT name, age + 4 * (SELECT COUNT(*) FROM other) FROM users");
    }
}

/* Begins, and reads anything but the table. */
static MYSQL *reader(struct rig *r)
{
    MYSQL *conn = rig_connect(r, "app_user");
    rig_exec(conn, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    rig_exec(conn, "BEGIN");
    rig_exec(conn, "SELECT * FROM other");
    return conn;
}

/* By whichever index the optimizer takes; fails the test on an error. */
static void reads_on(MYSQL *conn)
{
    rig_exec(conn, "SELECT COUNT(*) FROM users WHERE age = 3");
    rig_exec(conn, "SELECT COUNT(name), SUM(age) FROM users");
}

static void end(MYSQL *conn)
{
    rig_exec(conn, "COMMIT");
    mysql_close(conn);
}

static struct zdm_step *plan_of(struct rig *r, enum zdm_action action, const char *column, const char *object,
                                const char *sql)
{
    rig_plan(r, "users", 1);
    return rig_ddl(r, 1, action, column, object, sql);
}

static void plan_of_index(struct rig *r, const char *sql)
{
    plan_of(r, ZDM_ACTION_CREATE_INDEX, NULL, "i", sql);
    rig_accept(r, 1);
}

static void step_waits_for(struct rig *r, enum agent_run run, uint32_t step, MYSQL *holder)
{
    char thread[32];
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, run, step, 0);
    (void)snprintf(thread, sizeof thread, "thread %lu ", mysql_thread_id(holder));
    rig_expect(result, AGENT_LOCK);
    assert_non_null(strstr(result->blocker, thread));
    agent_result_free(result);
}

static void waits_for(struct rig *r, enum agent_run run, MYSQL *holder)
{
    step_waits_for(r, run, 1, holder);
}

/* 0: not there; 1: out of the optimizer's sight; 2: shown. */
static long sight(struct rig *r)
{
    return rig_number(r,
                      "SELECT COALESCE(MAX(IF(%s, 2, 1)), 0) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = "
                      "DATABASE() AND TABLE_NAME = 'users' AND INDEX_NAME = 'i'",
                      rig_is_mariadb(r) ? "ignored = 'NO'" : "is_visible = 'YES'");
}

static long notes(struct rig *r)
{
    return rig_number(r, "SELECT COUNT(*) FROM zdm.former WHERE home = DATABASE()");
}

/* ---- An index ---- */

static void index_is_shown_when_older_transactions_are_over(void **state)
{
    struct rig *r = *state;
    tables(r);
    plan_of_index(r, "ALTER TABLE `users` ADD INDEX `i` (`age`)");
    MYSQL *older = reader(r);
    waits_for(r, AGENT_RUN_INDEX_BUILD, older);
    assert_int_equal(sight(r), 1);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    reads_on(older);
    pause_ms(1100); /* the server tells when a transaction began in seconds */
    MYSQL *younger = reader(r);
    rig_connect_engine(r); /* another agent finds it so */
    waits_for(r, AGENT_RUN_INDEX_BUILD, older);
    reads_on(older);
    end(older);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
    assert_int_equal(sight(r), 2);
    assert_int_equal(notes(r), 0);
    reads_on(younger);
    end(younger);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_ALREADY);
}

static void index_that_is_not_shown_is_dropped_on_the_way_back(void **state)
{
    struct rig *r = *state;
    tables(r);
    plan_of_index(r, "ALTER TABLE `users` ADD UNIQUE INDEX `i` (`age`, `id`)");
    MYSQL *older = reader(r);
    waits_for(r, AGENT_RUN_INDEX_BUILD, older);
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_INDEX_DROP);
    assert_int_equal(rig_undo(r, 1), 1);
    reads_on(older);
    end(older);
    assert_int_equal(sight(r), 0);
    assert_int_equal(notes(r), 0);
}

static void unique_index_holds_before_it_is_shown(void **state)
{
    struct rig *r = *state;
    tables(r);
    rig_sql(r, "UPDATE users SET age = id");
    plan_of_index(r, "ALTER TABLE `users` ADD UNIQUE INDEX `i` (`age`) COMMENT 'not INVISIBLE, not IGNORED'");
    MYSQL *older = reader(r);
    waits_for(r, AGENT_RUN_INDEX_BUILD, older);
    assert_int_equal(rig_app_fails(r, "INSERT INTO users (age) VALUES (1)"), 1062);
    reads_on(older);
    end(older);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
    assert_int_equal(sight(r), 2);
}

/* As an agent leaves it that is cut off after its second statement: the confirmation is all that is to be done. */
static void index_that_was_shown_is_done(void **state)
{
    struct rig *r = *state;
    tables(r);
    plan_of_index(r, "ALTER TABLE `users` ADD INDEX `i` (`age`)");
    MYSQL *older = reader(r);
    waits_for(r, AGENT_RUN_INDEX_BUILD, older);
    rig_sql(r, "ALTER TABLE users ALTER INDEX i %s", rig_is_mariadb(r) ? "NOT IGNORED" : "VISIBLE");
    end(older);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_ALREADY);
    assert_int_equal(notes(r), 0);
}

static void hidden_index_of_somebody_else_is_foreign(void **state)
{
    struct rig *r = *state;
    tables(r);
    rig_sql(r, "ALTER TABLE users ADD INDEX i (age) %s", rig_is_mariadb(r) ? "IGNORED" : "INVISIBLE");
    plan_of_index(r, "ALTER TABLE `users` ADD INDEX `i` (`age`)");
    rig_inspect(r, 1, AGENT_PROOF_FOREIGN);
}

/* ---- Built in sight ---- */

static void waits_before_the_build(struct rig *r, const char *sql)
{
    plan_of_index(r, sql);
    MYSQL *older = reader(r);
    waits_for(r, AGENT_RUN_INDEX_BUILD, older);
    assert_int_equal(sight(r), 0);
    reads_on(older);
    end(older);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
    assert_int_equal(sight(r), 2);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
}

static void index_of_a_foreign_key_that_would_go_is_replaced_in_sight(void **state)
{
    struct rig *r = *state;
    tables(r);
    rig_sql(r, "UPDATE users SET age = 1");
    rig_sql(r, "ALTER TABLE users ADD CONSTRAINT fk FOREIGN KEY (age) REFERENCES other (id)");
    waits_before_the_build(r, "ALTER TABLE `users` ADD INDEX `i` (`age`, `name`)");
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() "
                                   "AND INDEX_NAME = 'fk'"),
                     0);
}

/* Only a copy of the table could take it away again. */
static void key_of_a_table_without_one_is_refused(void **state)
{
    struct rig *r = *state;
    tables(r);
    rig_sql(r, "ALTER TABLE users MODIFY id int NOT NULL, DROP PRIMARY KEY");
    plan_of_index(r, "ALTER TABLE `users` ADD UNIQUE INDEX `i` (`id`)");
    rig_refused(r, AGENT_RUN_INDEX_BUILD, 1, "which has no primary key");
    assert_int_equal(sight(r), 0);
    assert_int_equal(notes(r), 0);
}

/* ---- The table written anew ---- */

static void rebuild_waits_for_older_transactions(void **state)
{
    struct rig *r = *state;
    tables(r);
    plan_of(r, ZDM_ACTION_SET_NOT_NULL, "age", NULL, "ALTER TABLE `users` MODIFY COLUMN `age` int NOT NULL")
        ->rewrite_ok = true;
    rig_accept(r, 1);
    (void)rig_number(r,
                     "SELECT COUNT(*) FROM information_schema.INNODB_TRX"); /* the server gives it again for 100 ms */
    MYSQL *older = reader(r);
    waits_for(r, AGENT_RUN_DDL, older);
    waits_for(r, AGENT_RUN_DDL, older); /* what was judged is remembered */
    reads_on(older);
    end(older);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
}

/* One short transaction after the other, each of which reads by a snapshot. */
struct readers {
    MYSQL *conn;
    pthread_t thread;
    atomic_bool stop;
};

static void *read_shortly(void *ctx)
{
    struct readers *readers = ctx;
    while (!atomic_load(&readers->stop)) {
        rig_exec(readers->conn, "BEGIN");
        rig_exec(readers->conn, "SELECT * FROM other");
        pause_ms(20);
        rig_exec(readers->conn, "COMMIT");
    }
    return NULL;
}

static void short_transactions_hold_nothing_up(void **state)
{
    struct rig *r = *state;
    struct readers readers = {.conn = NULL};
    tables(r);
    plan_of(r, ZDM_ACTION_SET_NOT_NULL, "age", NULL, "ALTER TABLE `users` MODIFY COLUMN `age` int NOT NULL")
        ->rewrite_ok = true;
    rig_accept(r, 1);
    readers.conn = rig_connect(r, "app_user");
    assert_int_equal(pthread_create(&readers.thread, NULL, read_shortly, &readers), 0);
    pause_ms(100);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    atomic_store(&readers.stop, true);
    pthread_join(readers.thread, NULL);
    mysql_close(readers.conn);
}

static void statement_as_it_is_waits_for_older_transactions(void **state)
{
    struct rig *r = *state;
    static const char proof[] =
        "SELECT 1 FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM information_schema.STATISTICS WHERE "
        "TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'users' AND INDEX_NAME = 'i')";
    tables(r);
    struct zdm_step *step = plan_of(r, ZDM_ACTION_AS_IS, NULL, NULL, "create index i on users (age)");
    step->lock = ZDM_LOCK_LONG;
    step->proof_sql = zdm_strdup(proof);
    step->inverse = ZDM_INVERSE_NONE;
    rig_accept(r, 1);
    MYSQL *older = reader(r);
    waits_for(r, AGENT_RUN_LONG_SQL, older);
    reads_on(older);
    end(older);
    rig_run(r, AGENT_RUN_LONG_SQL, 1, AGENT_OK);
}

static void instant_column_waits_where_the_server_forgets_older_rows(void **state)
{
    struct rig *r = *state;
    tables(r);
    plan_of(r, ZDM_ACTION_ADD_COLUMN, "c", NULL, "ALTER TABLE `users` ADD COLUMN `c` int DEFAULT 5");
    rig_accept(r, 1);
    MYSQL *older = reader(r);
    if (rig_is_mariadb(r)) {
        rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    } else {
        waits_for(r, AGENT_RUN_DDL, older);
    }
    reads_on(older);
    end(older);
}

/* ---- Beside emojis ---- */

enum { TALKERS = 3, GARBLED = 3854 };

/* At every moment one of several sessions runs a statement that MySQL's information_schema cannot show. */
struct talkers {
    struct readers each[TALKERS];
};

static void *talk(void *ctx)
{
    struct readers *talker = ctx;
    while (!atomic_load(&talker->stop)) {
        rig_exec(talker->conn, "SELECT id, SLEEP(0.05), '😀' FROM other LIMIT 1");
    }
    return NULL;
}

static void begin_talk(struct rig *r, struct talkers *t)
{
    for (size_t i = 0; i < TALKERS; i++) {
        t->each[i].conn = rig_connect(r, "app_user");
        rig_exec(t->each[i].conn, "SET NAMES utf8mb4");
        assert_int_equal(pthread_create(&t->each[i].thread, NULL, talk, &t->each[i]), 0);
        pause_ms(20);
    }
}

static void end_talk(struct talkers *t)
{
    for (size_t i = 0; i < TALKERS; i++) {
        atomic_store(&t->each[i].stop, true);
        pthread_join(t->each[i].thread, NULL);
        mysql_close(t->each[i].conn);
    }
}

/* Is it so? */
static void expect_garbled(struct rig *r)
{
    MYSQL *root = rig_connect(r, "root");
    assert_true(mysql_query(root, "SELECT COUNT(*) INTO @n FROM information_schema.INNODB_TRX") != 0);
    assert_int_equal(mysql_errno(root), GARBLED);
    assert_true(mysql_query(root, "SELECT COUNT(*) INTO @n FROM information_schema.PROCESSLIST") != 0);
    assert_int_equal(mysql_errno(root), GARBLED);
    mysql_close(root);
}

/* The step's own statement has one, too. */
static void plan_beside_emojis(struct rig *r)
{
    tables(r);
    rig_sql(r, "ALTER TABLE users ADD COLUMN full_name varchar(100)");
    rig_plan(r, "users", 5);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "c", NULL, "ALTER TABLE `users` ADD COLUMN `c` varchar(9) DEFAULT '😀'");
    rig_ddl(r, 2, ZDM_ACTION_CREATE_INDEX, NULL, "i", "ALTER TABLE `users` ADD INDEX `i` (`age`)");
    rig_copy(r, 3, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_copy(r, 4, ZDM_ACTION_BACKFILL, "full_name", "name");
    struct zdm_step *hide = rig_ddl(r, 5, ZDM_ACTION_HIDE_COLUMN, "name", "name", NULL);
    hide->sync_step = 3;
    hide->inverse = ZDM_INVERSE_UNHIDE;
    rig_accept(r, 1);
}

/* Each step at its first attempt, but for the one that a snapshot is in the way of. */
static void statements_with_emojis_hold_nothing_up(void **state)
{
    struct rig *r = *state;
    struct talkers talkers = {0};
    plan_beside_emojis(r);
    begin_talk(r, &talkers);
    if (!rig_is_mariadb(r)) {
        expect_garbled(r);
    }
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    MYSQL *older = reader(r);
    step_waits_for(r, AGENT_RUN_INDEX_BUILD, 2, older);
    reads_on(older);
    end(older);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 2, AGENT_OK);
    assert_int_equal(sight(r), 2);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 3, AGENT_OK);
    rig_walk(r, 4, 500);
    rig_run(r, AGENT_RUN_STEP_DONE, 4, AGENT_OK);
    rig_run(r, AGENT_RUN_HIDE, 5, AGENT_OK);
    end_talk(&talkers);
}

/* Seen by the table's lock, whatever its statement says. */
static void holder_is_named_beside_emojis(void **state)
{
    struct rig *r = *state;
    struct talkers talkers = {0};
    plan_beside_emojis(r);
    begin_talk(r, &talkers);
    MYSQL *holder = rig_connect(r, "app_user");
    rig_exec(holder, "BEGIN");
    rig_exec(holder, "SELECT * FROM users WHERE id = 1");
    step_waits_for(r, AGENT_RUN_DDL, 1, holder);
    end(holder);
    end_talk(&talkers);
}

/* Where events tell of not all sessions, the server is asked until it can answer. */
static void statement_with_an_emoji_is_waited_for_where_nothing_else_tells(void **state)
{
    struct rig *r = *state;
    struct talkers talkers = {0};
    if (rig_is_mariadb(r)) {
        return;
    }
    plan_beside_emojis(r);
    MYSQL *root = rig_connect(r, "root");
    rig_exec(root, "UPDATE performance_schema.threads SET INSTRUMENTED = 'NO' WHERE PROCESSLIST_ID = CONNECTION_ID()");
    begin_talk(r, &talkers);
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_DDL, 1, 0);
    end_talk(&talkers);
    assert_string_equal(agent_outcome_name(result->outcome), agent_outcome_name(AGENT_RETRY));
    agent_result_free(result);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    mysql_close(root);
}

RIG_MAIN(RIG_TEST(statements_with_emojis_hold_nothing_up), RIG_TEST(holder_is_named_beside_emojis),
         RIG_TEST(statement_with_an_emoji_is_waited_for_where_nothing_else_tells),
         RIG_TEST(index_is_shown_when_older_transactions_are_over),
         RIG_TEST(index_that_is_not_shown_is_dropped_on_the_way_back), RIG_TEST(unique_index_holds_before_it_is_shown),
         RIG_TEST(index_that_was_shown_is_done), RIG_TEST(hidden_index_of_somebody_else_is_foreign),
         RIG_TEST(index_of_a_foreign_key_that_would_go_is_replaced_in_sight),
         RIG_TEST(key_of_a_table_without_one_is_refused), RIG_TEST(rebuild_waits_for_older_transactions),
         RIG_TEST(short_transactions_hold_nothing_up), RIG_TEST(statement_as_it_is_waits_for_older_transactions),
         RIG_TEST(instant_column_waits_where_the_server_forgets_older_rows))
