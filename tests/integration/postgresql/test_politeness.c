/*
 * test_politeness.c - what the application may notice of a migration at work, as a review measured it (database.md 13,
 * 15 and 21): writers who lock rows in another order than the batches, rows of other tables that refer to those of a
 * batch, and upserts around a hide.
 */
#include "tests/integration/postgresql/rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WRITERS = 4, ROWS = 1200, AHEAD = 200, /* a multiple of WRITERS */ UPSERTS = 900, UPSERT_KEYS = 2000000 };

/* A session of the application: what its statements failed with. */
struct session {
    char dsn[512];
    unsigned number;
    atomic_bool *stop;
    long done, failed; /* failed: with the state that is looked for */
    const char *state;
    char other[256]; /* the last error of any other kind */
};

/* Runs it; false when it failed. */
static bool runs(struct session *s, PGconn *conn, const char *sql)
{
    PGresult *res = PQexec(conn, sql);
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    bool wanted = state != NULL && strcmp(state, s->state) == 0;
    s->done++;
    s->failed += wanted;
    if (state != NULL && !wanted) {
        snprintf(s->other, sizeof s->other, "%s", PQresultErrorMessage(res));
    }
    PQclear(res);
    return state == NULL;
}

static void begin(struct rig *r, struct session *sessions, pthread_t *threads, atomic_bool *stop, const char *state,
                  void *(*body)(void *))
{
    for (unsigned i = 0; i < WRITERS; i++) {
        sessions[i] = (struct session){.number = i, .stop = stop, .state = state};
        snprintf(sessions[i].dsn, sizeof sessions[i].dsn, "%s", test_pg_dsn(r->pg, "app_user", r->database));
        assert_int_equal(pthread_create(&threads[i], NULL, body, &sessions[i]), 0);
    }
}

/* How often the state was met. */
static long end(struct session *sessions, pthread_t *threads, atomic_bool *stop)
{
    long failed = 0;
    atomic_store(stop, true);
    for (unsigned i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        assert_string_equal(sessions[i].other, "");
        failed += sessions[i].failed;
    }
    return failed;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* Step 1 fills full_name, a millisecond a row: a batch of all of them takes longer than deadlock_timeout. */
static void slow_backfill(struct rig *r, const char *extra)
{
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, full_name text);"
               "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.001); RETURN NEW;"
               " END'; CREATE TRIGGER slow BEFORE UPDATE OF full_name ON users FOR EACH ROW EXECUTE FUNCTION slow()");
    rig_sql(r, "INSERT INTO users SELECT g, 's' || g FROM generate_series(1, %d) g; %s", ROWS, extra);
    rig_plan(r, "users", 1);
    rig_copy(r, 1, ZDM_ACTION_BACKFILL, "full_name", "name");
    r->time_limit_ms = 60000;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
}

/* ---- 21: rows in another order ---- */

/* The writer waits first, so that in a race of equals it would look first, and die. */
static void writer_that_locks_rows_in_another_order_is_not_the_victim(void **state)
{
    struct rig *r = *state;
    slow_backfill(r, "");
    rig_app(r, "BEGIN");
    rig_app(r, "UPDATE users SET name = 'x' WHERE id = 300");
    uint64_t batch = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, ROWS);
    pause_ms(150);
    rig_app(r, "UPDATE users SET name = 'x' WHERE id = 1"); /* which the batch holds by now */
    rig_app(r, "COMMIT");
    struct agent_result *result = rig_await(r, batch);
    assert_int_equal(result->outcome, AGENT_RETRY);
    assert_string_equal(result->error.sqlstate, "40P01");
    agent_result_free(result);
    rig_walk(r, 1, 300);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM users WHERE name IS DISTINCT FROM full_name"), 0);
}

/* Each has rows of its own, so that only the batch stands in its way. */
static void *write_downwards(void *arg)
{
    struct session *s = arg;
    PGconn *conn = PQconnectdb(s->dsn);
    unsigned seed = s->number + 1;
    while (!atomic_load(s->stop)) {
        char sql[400];
        int low = (int)(rand_r(&seed) % (ROWS - 2 * AHEAD)) / WRITERS * WRITERS + (int)s->number + 1;
        snprintf(sql, sizeof sql,
                 "BEGIN; UPDATE users SET name = name || 'y' WHERE id = %d; SELECT pg_sleep(0.01); UPDATE users SET"
                 " name = name || 'x' WHERE id = %d; COMMIT",
                 low + AHEAD, low);
        if (!runs(s, conn, sql)) {
            PQclear(PQexec(conn, "ROLLBACK"));
        }
    }
    PQfinish(conn);
    return NULL;
}

static void writers_in_another_order_never_meet_a_deadlock_error(void **state)
{
    struct rig *r = *state;
    struct session sessions[WRITERS];
    pthread_t threads[WRITERS];
    atomic_bool stop = false;
    unsigned victim = 0, rows = ROWS;
    slow_backfill(r, "");
    begin(r, sessions, threads, &stop, "40P01", write_downwards);
    while (!r->walked) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, rows);
        bool retry = result->outcome == AGENT_RETRY || result->outcome == AGENT_LOCK;
        assert_true(result->outcome == AGENT_OK || retry);
        victim += retry;
        rows = retry && rows > 20 ? rows / 2 : rows; /* as the core does */
        agent_result_free(result);
    }
    assert_int_equal(end(sessions, threads, &stop), 0);
    assert_true(victim > 0);
}

/* ---- 15: rows that refer to those of a batch ---- */

static void *insert_children(void *arg)
{
    struct session *s = arg;
    PGconn *conn = PQconnectdb(s->dsn);
    PQclear(PQexec(conn, "SET lock_timeout = 100"));
    for (unsigned i = 0; !atomic_load(s->stop); i++) {
        char sql[120];
        snprintf(sql, sizeof sql, "INSERT INTO orders VALUES (%u)", (i * 37 + s->number) % (ROWS / 3) + 1);
        runs(s, conn, sql);
    }
    PQfinish(conn);
    return NULL;
}

/* INSERTs of orders that had to wait for a batch over all users. */
static long children_that_waited(struct rig *r, const char *index)
{
    struct session sessions[WRITERS];
    pthread_t threads[WRITERS];
    atomic_bool stop = false;
    char extra[400];
    snprintf(extra, sizeof extra, "CREATE TABLE orders (user_id int REFERENCES users); %s", index);
    slow_backfill(r, extra);
    uint64_t batch = rig_begin(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, ROWS);
    pause_ms(500);
    begin(r, sessions, threads, &stop, "55P03", insert_children);
    struct agent_result *result = rig_await(r, batch);
    long waited = end(sessions, threads, &stop);
    rig_expect(result, AGENT_OK);
    agent_result_free(result);
    assert_true(rig_number(r, "SELECT count(*) FROM orders") > 0);
    return waited;
}

static void rows_that_refer_to_those_of_a_batch_are_inserted_beside_it(void **state)
{
    assert_int_equal(children_that_waited(*state, ""), 0);
}

/* Why the order of steps is a rule: that the experiment sees what it looks for. */
static void with_a_unique_index_on_the_target_they_would_wait(void **state)
{
    assert_true(children_that_waited(*state, "CREATE UNIQUE INDEX early ON users (full_name)") > 0);
}

/* ---- 13: upserts around a hide ---- */

static void *upsert(void *arg)
{
    struct session *s = arg;
    PGconn *conn = PQconnectdb(s->dsn);
    for (unsigned i = 0; i < UPSERTS || !atomic_load(s->stop); i++) {
        char sql[160];
        unsigned key = i / 2 * 2654435761u % UPSERT_KEYS; /* the same ones in all sessions, at about the same time */
        snprintf(sql, sizeof sql, "INSERT INTO users (full_name) VALUES ('m%u') ON CONFLICT (full_name) DO NOTHING",
                 key);
        runs(s, conn, sql);
    }
    PQfinish(conn);
    return NULL;
}

static long upserts_that_failed(struct rig *r, bool hide_meanwhile)
{
    struct session sessions[WRITERS];
    pthread_t threads[WRITERS];
    atomic_bool stop = false;
    begin(r, sessions, threads, &stop, "23505", upsert);
    if (hide_meanwhile) {
        r->lock_wait_ms = 2000;
        pause_ms(50);
        rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    }
    return end(sessions, threads, &stop);
}

/* As Rails leaves a table: both unique indexes are no constraints. */
static void upserts_do_not_fail_on_the_hidden_columns_index(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id bigserial PRIMARY KEY, name text NOT NULL, full_name text);"
               "CREATE UNIQUE INDEX index_users_on_name ON users (name)");
    rig_plan(r, "users", 2);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_ddl(r, 2, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL);
    rig_step(r, 2)->sync_step = 1;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_sql(r, "CREATE UNIQUE INDEX index_users_on_full_name ON users (full_name)");
    (void)upserts_that_failed(r, true); /* until it is hidden, both enforce */
    rig_sql(r, "TRUNCATE users");
    assert_int_equal(upserts_that_failed(r, false), 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM users WHERE zdm_h_name IS DISTINCT FROM full_name"), 0);
    rig_undo(r, 2);
    assert_string_equal(r->remark, "");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_index WHERE indrelid = 'users'::regclass AND indisunique"
                                   " AND indisvalid"),
                     3);
}

/* New code does not know `kind`: every row that it inserts holds the default. */
static void what_was_unique_over_the_column_and_others_lets_new_rows_in(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id bigserial PRIMARY KEY, user_id int, kind text NOT NULL DEFAULT 'home',"
               " CONSTRAINT one_of_a_kind UNIQUE (user_id, kind)); CREATE UNIQUE INDEX too ON users (user_id, kind)");
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "kind", "zdm_h_kind", NULL);
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (user_id) VALUES (1), (1), (2)");
    rig_undo(r, 1);
    assert_non_null(strstr(r->remark,
                           "unique constraint one_of_a_kind was not built again: rows [\"1\"], [\"2\"] share "
                           "a value"));
    assert_non_null(strstr(r->remark, "unique index too was not built again: rows"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(writer_that_locks_rows_in_another_order_is_not_the_victim),
        RIG_TEST(writers_in_another_order_never_meet_a_deadlock_error),
        RIG_TEST(rows_that_refer_to_those_of_a_batch_are_inserted_beside_it),
        RIG_TEST(with_a_unique_index_on_the_target_they_would_wait),
        RIG_TEST(upserts_do_not_fail_on_the_hidden_columns_index),
        RIG_TEST(what_was_unique_over_the_column_and_others_lets_new_rows_in),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
