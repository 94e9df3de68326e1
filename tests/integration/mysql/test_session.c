/*
 * test_session.c - connections to MySQL and MariaDB: what is pinned, how statements and transactions end.
 */
#include "tests/integration/mysql/rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/engine/mysql/session/classify.h"

static struct mydb_session *opened(struct rig *r)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct mydb_session *s = rig_session(r, rig_dsn(r, ""));
    if (mydb_open(s, &err) != ZDM_OK) {
        fail_msg("%s (%s) %s", err.message, err.detail, err.hint);
    }
    return s;
}

/* What opening over that connection string gives; err says why not. */
static enum zdm_code try_open(struct rig *r, const char *dsn, struct zdm_error *err)
{
    struct mydb_session *s = rig_session(r, dsn);
    enum zdm_code code = mydb_open(s, err);
    rig_session_free(s);
    return code;
}

static void run(struct mydb_session *s, const char *sql)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    if (mydb_run(s, sql, NULL, &err) != ZDM_OK) {
        fail_msg("%s: %s", sql, err.message);
    }
}

static void says(struct mydb_session *s, const char *sql, const char *expected)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    struct zdm_error err = ZDM_ERROR_INIT;
    if (mydb_run(s, sql, &rows, &err) != ZDM_OK) {
        fail_msg("%s: %s", sql, err.message);
    }
    assert_string_equal(mydb_text(rows, 0, 0), expected);
}

/* A statement that runs for minutes and can be killed: SLEEP and BENCHMARK end with a value instead. */
#define LONG_SQL "SELECT COUNT(*) FROM n a, n b, n c, n d WHERE a.i + b.i + c.i + d.i = 7"

static void make_numbers(struct rig *r)
{
    rig_sql(r, "CREATE TABLE n (i int PRIMARY KEY)");
    rig_sql(r, "INSERT INTO n WITH RECURSIVE q AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM q WHERE i < 900) SELECT i "
               "FROM q");
}

/* ---- What is pinned ---- */

static void settings_of_the_server_do_not_change_the_session(void **state)
{
    struct rig *r = *state;
    if (rig_server(r) != NULL) {
        rig_sql(r, "SET GLOBAL init_connect = 'SET sql_mode = \"ANSI_QUOTES\", time_zone = \"+05:00\", autocommit = 0, "
                   "sql_select_limit = 1, foreign_key_checks = 0, tx_isolation = \"SERIALIZABLE\", NAMES latin1'");
    }
    struct mydb_session *s = opened(r);
    says(s, "SELECT @@sql_mode",
         "NO_AUTO_VALUE_ON_ZERO,STRICT_TRANS_TABLES,STRICT_ALL_TABLES,"
         "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION");
    says(s, rig_is_mariadb(r) ? "SELECT @@tx_isolation" : "SELECT @@transaction_isolation", "READ-COMMITTED");
    says(s,
         "SELECT CONCAT_WS(' ', @@time_zone, @@autocommit + 0, @@foreign_key_checks + 0, @@unique_checks + 0, "
         "@@lock_wait_timeout, @@innodb_lock_wait_timeout, @@sql_safe_updates + 0)",
         "+00:00 1 1 1 1 1 0");
    says(s, "SELECT @@sql_select_limit", "18446744073709551615");
    says(s, "SELECT CONCAT_WS(' ', @@character_set_client, @@collation_connection)", "utf8mb4 utf8mb4_bin");
    says(s, "SELECT 'a\\' AS x", "a\\");
    says(s, "SELECT @@local_infile IN (0, 1)", "1");
    rig_session_free(s);
    if (rig_server(r) != NULL) {
        rig_sql(r, "SET GLOBAL init_connect = ''");
    }
}

static void session_knows_where_it_is(void **state)
{
    struct rig *r = *state;
    struct mydb_session *s = opened(r);
    struct mydb_session *other = opened(r);
    assert_int_equal(s->mariadb, rig_is_mariadb(r));
    assert_true(s->version_num >= MYDB_MYSQL_MIN);
    assert_true(s->writable);
    assert_string_equal(s->database, r->database);
    assert_string_equal(s->identity, other->identity);
    assert_true(s->thread != other->thread);
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 200000000}, NULL);
    char before[sizeof s->identity];
    memcpy(before, s->identity, sizeof before);
    struct zdm_error err = ZDM_ERROR_INIT;
    assert_int_equal(mydb_identify(s, &err), ZDM_OK);
    assert_string_equal(s->identity, before);
    rig_session_free(s);
    rig_session_free(other);
}

/* ---- Statements ---- */

static void parameters_stand_outside_of_quotes_and_comments(void **state)
{
    struct rig *r = *state;
    struct mydb_session *s = opened(r);
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    struct zdm_error err = ZDM_ERROR_INIT;
    static const char sql[] = "SELECT $1, '$1 it''s', $2 AS `$1`, \"$2\" -- $9\n, a$1.x /* $8 */ FROM (SELECT $3 AS x) "
                              "a$1 # $7";
    const char *const params[] = {"it's \\ ü", NULL, "x"};
    if (mydb_query(s, sql, 3, params, &rows, &err) != ZDM_OK) {
        fail_msg("%s", err.message);
    }
    assert_string_equal(mydb_text(rows, 0, 0), "it's \\ ü");
    assert_string_equal(mydb_text(rows, 0, 1), "$1 it's");
    assert_null(mydb_text(rows, 0, 2));
    assert_string_equal(mydb_text(rows, 0, 3), "$2");
    assert_string_equal(mydb_text(rows, 0, 4), "x");
    assert_int_equal(mydb_query(s, "SELECT $2", 1, params, NULL, &err), ZDM_BUG);
    rig_session_free(s);
}

static void bytes_come_and_go_as_they_are_and_rows_found_are_counted(void **state)
{
    struct rig *r = *state;
    struct mydb_session *s = opened(r);
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct zdm_error err = ZDM_ERROR_INIT;
    run(s, "CREATE TABLE b (id int PRIMARY KEY, v varbinary(9), `we``ird` int) ENGINE=InnoDB");
    zdm_buffer_puts(&sql, "INSERT INTO b VALUES (0, ");
    mydb_put_bytes(&sql, "a\0'\\\xff", 5);
    zdm_buffer_puts(&sql, ", 1), (2, NULL, 1)");
    run(s, zdm_buffer_text(&sql));
    assert_int_equal(mydb_changed(s), 2);
    run(s, "UPDATE b SET `we``ird` = 1"); /* found, though not changed */
    assert_int_equal(mydb_changed(s), 2);
    assert_int_equal(mydb_run(s, "SELECT v, id FROM b ORDER BY id", &rows, &err), ZDM_OK);
    assert_int_equal(rows->n, 2);
    assert_int_equal(rows->len[0][0], 5);
    assert_memory_equal(rows->row[0][0], "a\0'\\\xff", 5);
    assert_null(mydb_text(rows, 1, 0));
    assert_int_equal(mydb_int(rows, 1, 1), 2);
    rig_session_free(s);
}

static void error_says_number_and_state(void **state)
{
    struct rig *r = *state;
    struct mydb_session *s = opened(r);
    struct zdm_error err = ZDM_ERROR_INIT;
    assert_int_equal(mydb_run(s, "SELECT 1 FROM nowhere", NULL, &err), ZDM_NOT_FOUND);
    assert_int_equal(err.number, 1146);
    assert_string_equal(err.sqlstate, "42S02");
    assert_non_null(strstr(err.detail, "1146"));
    run(s, "CREATE TABLE v (i int PRIMARY KEY, t varchar(3) NOT NULL)");
    run(s, "INSERT INTO v VALUES (1, 'a')");
    assert_int_equal(mydb_run(s, "INSERT INTO v VALUES (1, 'b')", NULL, &err), ZDM_DATABASE);
    assert_true(mydb_is_violation(&err));
    assert_int_equal(mydb_run(s, "INSERT INTO v VALUES (2, 'long')", NULL, &err), ZDM_DATABASE);
    assert_true(mydb_is_violation(&err));
    assert_int_equal(mydb_run(s, "ALTER TABLE v MODIFY i bigint, ALGORITHM=INPLACE, LOCK=NONE", NULL, &err),
                     ZDM_UNSUPPORTED);
    assert_true(mydb_is_not_online(&err));
    assert_int_equal(mydb_run(s, "SELECT * FROM mysql.user", NULL, &err), ZDM_REFUSED);
    assert_true(mydb_is_privilege(&err));
    assert_int_equal(mydb_run(s, "SELECT 1; SELECT 2", NULL, &err), ZDM_DATABASE); /* one statement a call */
    rig_session_free(s);
}

struct giving_up {
    struct mydb_session *s;
    unsigned after_ms;
};

static void *give_up(void *arg)
{
    const struct giving_up *g = arg;
    uint64_t one = 1;
    nanosleep(&(struct timespec){.tv_nsec = (long)g->after_ms * 1000000L}, NULL);
    atomic_store(g->s->give_up, true);
    assert_int_equal(write(g->s->wake_fd, &one, sizeof one), sizeof one);
    return NULL;
}

static void cancelled_statement_ends_soon_and_the_session_lives(void **state)
{
    struct rig *r = *state;
    pthread_t thread;
    struct zdm_error err = ZDM_ERROR_INIT;
    make_numbers(r);
    struct mydb_session *s = opened(r);
    struct giving_up g = {s, 200};
    int64_t begun_ms = mydb_now_ms();
    pthread_create(&thread, NULL, give_up, &g);
    assert_int_equal(mydb_run(s, LONG_SQL, NULL, &err), ZDM_CANCELLED);
    pthread_join(thread, NULL);
    assert_true(mydb_now_ms() - begun_ms < 6000);
    assert_true(s->gave_up);
    atomic_store(s->give_up, false);
    s->gave_up = false;
    assert_true(mydb_is_open(s));
    says(s, "SELECT 1", "1");
    rig_session_free(s);
}

static void deadline_stops_the_statement_in_the_server(void **state)
{
    struct rig *r = *state;
    struct zdm_error err = ZDM_ERROR_INIT;
    make_numbers(r);
    struct mydb_session *s = opened(r);
    s->deadline_ms = mydb_now_ms() + 200;
    assert_int_equal(mydb_run(s, LONG_SQL, NULL, &err), ZDM_TIMEOUT);
    assert_true(s->timed_out);
    long running = 1;
    for (int i = 0; i < 100 && running > 0; i++) {
        running =
            rig_number(r, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = %lu AND INFO IS NOT NULL",
                       (unsigned long)s->thread);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    assert_int_equal(running, 0);
    rig_session_free(s);
}

static bool at_the_third_look(void *ctx)
{
    unsigned *looks = ctx;
    return ++*looks == 3;
}

static void watched_statement_is_stopped_when_the_look_says_so(void **state)
{
    struct rig *r = *state;
    struct zdm_error err = ZDM_ERROR_INIT;
    unsigned looks = 0;
    make_numbers(r);
    struct mydb_session *s = opened(r);
    assert_int_equal(mydb_run_watched(s, LONG_SQL, 50, at_the_third_look, &looks, &err), ZDM_LOCK);
    assert_int_equal(looks, 3);
    says(s, "SELECT 1", "1");
    rig_session_free(s);
}

static void lock_wait_is_told_and_ends_after_a_second(void **state)
{
    struct rig *r = *state;
    struct zdm_error err = ZDM_ERROR_INIT;
    make_numbers(r);
    struct mydb_session *s = opened(r);
    rig_app(r, "START TRANSACTION");
    rig_app(r, "UPDATE n SET i = 1 WHERE i = 1");
    assert_int_equal(mydb_run(s, "UPDATE n SET i = 1 WHERE i = 1", NULL, &err), ZDM_LOCK);
    assert_int_equal(mydb_run(s, "ALTER TABLE n ADD x int", NULL, &err), ZDM_LOCK);
    rig_app(r, "ROLLBACK");
    rig_session_free(s);
}

/* ---- Transactions ---- */

static void killed_session_is_told_and_a_commit_without_answer_is_unknown(void **state)
{
    struct rig *r = *state;
    struct zdm_error err = ZDM_ERROR_INIT;
    make_numbers(r);
    struct mydb_session *s = opened(r);
    assert_int_equal(mydb_begin(s, &err), ZDM_OK);
    run(s, "DELETE FROM n WHERE i = 1");
    rig_sql(r, "KILL %lu", (unsigned long)s->thread);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    assert_int_equal(mydb_commit(s, &err), ZDM_UNKNOWN);
    assert_false(mydb_is_open(s));
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM n"), 900);
    assert_int_equal(mydb_open(s, &err), ZDM_OK);
    rig_sql(r, "KILL %lu", (unsigned long)s->thread);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    assert_false(mydb_is_open(s)); /* seen without a statement */
    assert_int_equal(mydb_run(s, "SELECT 1", NULL, &err), ZDM_CLOSED);
    rig_session_free(s);
}

static void rolled_back_transaction_leaves_nothing(void **state)
{
    struct rig *r = *state;
    struct zdm_error err = ZDM_ERROR_INIT;
    make_numbers(r);
    struct mydb_session *s = opened(r);
    assert_int_equal(mydb_begin(s, &err), ZDM_OK);
    run(s, "DELETE FROM n");
    mydb_rollback(s);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM n"), 900);
    assert_int_equal(mydb_begin_reading(s, &err), ZDM_OK);
    assert_int_equal(mydb_run(s, "DELETE FROM n", NULL, &err), ZDM_REFUSED);
    mydb_rollback(s);
    says(s, "SELECT @@autocommit", "1");
    rig_session_free(s);
}

static void beside_is_another_connection_to_the_same_server(void **state)
{
    struct rig *r = *state;
    struct zdm_error err = ZDM_ERROR_INIT;
    struct mydb_session *s = opened(r);
    struct mydb_session *b = mydb_beside(s, &err);
    assert_non_null(b);
    assert_true(b->thread != s->thread);
    assert_ptr_equal(mydb_beside(s, &err), b);
    rig_sql(r, "KILL %lu", (unsigned long)b->thread);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    b = mydb_beside(s, &err); /* opened anew */
    assert_non_null(b);
    says(b, "SELECT 1", "1");
    rig_session_free(s);
}

/* ---- Only on the private server, whose settings and life are ours ---- */

static void replica_takes_no_writes(void **state)
{
    struct rig *r = *state;
    struct zdm_error err = ZDM_ERROR_INIT;
    if (rig_server(r) == NULL) {
        skip();
    }
    struct mydb_session *s = opened(r);
    rig_sql(r, "SET GLOBAL read_only = 1");
    enum zdm_code code = mydb_begin(s, &err);
    bool identified = mydb_identify(s, &err) == ZDM_OK;
    rig_sql(r, "SET GLOBAL read_only = 0");
    assert_int_equal(code, ZDM_UNAVAILABLE);
    assert_true(identified);
    assert_false(s->writable);
    rig_session_free(s);
}

static void statement_binlog_is_refused(void **state)
{
    struct rig *r = *state;
    struct zdm_error err = ZDM_ERROR_INIT;
    if (rig_server(r) == NULL) {
        skip();
    }
    rig_sql(r, "SET GLOBAL binlog_format = 'STATEMENT'");
    enum zdm_code code = try_open(r, rig_dsn(r, ""), &err);
    rig_sql(r, "SET GLOBAL binlog_format = 'ROW'");
    assert_int_equal(code, ZDM_REFUSED);
    assert_string_equal(err.message, "binlog_format is STATEMENT");
}

static void restarted_server_has_another_identity(void **state)
{
    struct rig *r = *state;
    char before[64];
    struct zdm_error err = ZDM_ERROR_INIT;
    if (rig_server(r) == NULL) {
        skip();
    }
    struct mydb_session *s = opened(r);
    memcpy(before, s->identity, sizeof before);
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 100000000}, NULL);
    test_mysql_kill(rig_server(r));
    assert_int_equal(mydb_run(s, "SELECT 1", NULL, &err), ZDM_CLOSED);
    assert_int_equal(mydb_open(s, &err), ZDM_UNAVAILABLE);
    test_mysql_resume(rig_server(r));
    assert_int_equal(mydb_open(s, &err), ZDM_OK);
    assert_string_not_equal(s->identity, before);
    rig_session_free(s);
    rig_reconnect(r);
}

static void silent_server_is_hung_up_on(void **state)
{
    struct rig *r = *state;
    struct zdm_error err = ZDM_ERROR_INIT;
    if (rig_server(r) == NULL) {
        skip();
    }
    struct mydb_session *s = opened(r);
    kill(test_mysql_pid(rig_server(r)), SIGSTOP);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    int64_t begun_ms = mydb_now_ms();
    s->deadline_ms = begun_ms + 200;
    enum zdm_code code = mydb_run(s, "SELECT 1", NULL, &err);
    int64_t took_ms = mydb_now_ms() - begun_ms;
    kill(test_mysql_pid(rig_server(r)), SIGCONT);
    assert_int_equal(code, ZDM_CLOSED);
    assert_string_equal(err.message, "the database gave no answer in time");
    assert_true(took_ms < 2 * MYDB_GRACE_MS + 1000);
    rig_session_free(s);
}

RIG_MAIN(RIG_BASE_TEST(settings_of_the_server_do_not_change_the_session), RIG_BASE_TEST(session_knows_where_it_is),
         RIG_BASE_TEST(parameters_stand_outside_of_quotes_and_comments),
         RIG_BASE_TEST(bytes_come_and_go_as_they_are_and_rows_found_are_counted),
         RIG_BASE_TEST(error_says_number_and_state), RIG_BASE_TEST(cancelled_statement_ends_soon_and_the_session_lives),
         RIG_BASE_TEST(deadline_stops_the_statement_in_the_server),
         RIG_BASE_TEST(watched_statement_is_stopped_when_the_look_says_so),
         RIG_BASE_TEST(lock_wait_is_told_and_ends_after_a_second),
         RIG_BASE_TEST(killed_session_is_told_and_a_commit_without_answer_is_unknown),
         RIG_BASE_TEST(rolled_back_transaction_leaves_nothing),
         RIG_BASE_TEST(beside_is_another_connection_to_the_same_server), RIG_BASE_TEST(replica_takes_no_writes),
         RIG_BASE_TEST(statement_binlog_is_refused), RIG_BASE_TEST(restarted_server_has_another_identity),
         RIG_BASE_TEST(silent_server_is_hung_up_on))
