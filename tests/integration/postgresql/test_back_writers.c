/*
 * test_back_writers.c - the application goes on writing during every part of the way there and back, old code and new:
 * upserts, deletes, keys that move. No statement fails, and afterwards the old column holds what was written through
 * either.
 *
 * Every write sets `age` together with the name, so that each row says what its name must be.
 */
#include "tests/integration/postgresql/rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WRITERS = 3, ROWS = 1500, STEPS = 5, SETTLE_MS = 30000 };
enum { OLD_CODE = 1, BOTH_CODES = 2, NEW_CODE = 3 };

/* %1$d: a key, %2$d: a number; the column's name goes between. */
static const char *const forms[] = {
    "INSERT INTO users (id, %3$s, age) VALUES (%1$d, 'x%2$d', %2$d) ON CONFLICT (id) DO UPDATE SET %3$s = "
    "excluded.%3$s, age = excluded.age",
    "UPDATE users SET %3$s = 'x%2$d', age = %2$d WHERE id = %1$d",
    "UPDATE users SET %3$s = 'x' || age + 1, age = age + 1 WHERE id BETWEEN %1$d AND %1$d + 2 + %2$d %% 4",
    "DELETE FROM users WHERE id = %1$d",
    "UPDATE users SET id = id + 2000 + %2$d WHERE id = %1$d",
    "UPDATE users SET id = 2000 + %2$d, %3$s = 'x%2$d', age = %2$d WHERE id = %1$d",
    "UPDATE users SET status = 's' WHERE id = %1$d",
    "INSERT INTO users (id, %3$s, age) VALUES (%1$d, 'x%2$d', %2$d), (1700 + %1$d, 'x%2$d', %2$d) ON CONFLICT (id) DO "
    "NOTHING",
};

struct crew {
    char dsn[512];
    atomic_bool stop;
    atomic_int code;
    struct writer {
        struct crew *crew;
        unsigned seed;
        atomic_int code; /* that its last statement was of */
        long writes;
        char error[256];
        pthread_t thread;
    } writers[WRITERS];
};

static void write_once(struct writer *w, PGconn *conn, int code)
{
    char sql[512];
    bool new_code = code == NEW_CODE || (code == BOTH_CODES && rand_r(&w->seed) % 2 == 0);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(sql, sizeof sql, forms[(unsigned)rand_r(&w->seed) % (sizeof forms / sizeof *forms)],
             (int)(rand_r(&w->seed) % 600), rand_r(&w->seed) % 100000, new_code ? "full_name" : "name");
#pragma GCC diagnostic pop
    PGresult *res = PQexec(conn, sql);
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    /* Two writers may meet in a deadlock, move a key onto another, or a row away into another partition: their own
     * doing, since the agent moves no row. */
    bool own =
        state != NULL && (strcmp(state, "23505") == 0 || strcmp(state, "40P01") == 0 || strcmp(state, "40001") == 0);
    if (state != NULL && !own) {
        snprintf(w->error, sizeof w->error, "%.150s: %.100s", PQresultErrorMessage(res), sql);
    }
    PQclear(res);
    w->writes++;
}

static void *write_on(void *arg)
{
    struct writer *w = arg;
    PGconn *conn = PQconnectdb(w->crew->dsn);
    while (!atomic_load(&w->crew->stop)) {
        int code = atomic_load(&w->crew->code);
        atomic_store(&w->code, code);
        write_once(w, conn, code);
    }
    PQfinish(conn);
    return NULL;
}

static void begin_writing(struct rig *r, struct crew *crew)
{
    atomic_store(&crew->code, OLD_CODE);
    snprintf(crew->dsn, sizeof crew->dsn, "%s", test_pg_dsn(r->pg, "app_user", r->database));
    for (int i = 0; i < WRITERS; i++) {
        crew->writers[i].crew = crew;
        crew->writers[i].seed = (unsigned)i + 11;
        pthread_create(&crew->writers[i].thread, NULL, write_on, &crew->writers[i]);
    }
}

/* The flag is turned, and no statement of what ran before is under way any more. */
static void deploy(struct crew *crew, int code)
{
    atomic_store(&crew->code, code);
    for (int i = 0; i < WRITERS; i++) {
        for (int ms = 0; atomic_load(&crew->writers[i].code) != code; ms++) {
            assert_true(ms < SETTLE_MS);
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
    }
}

static void end_writing(struct crew *crew)
{
    atomic_store(&crew->stop, true);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(crew->writers[i].thread, NULL);
        assert_string_equal(crew->writers[i].error, "");
        assert_true(crew->writers[i].writes > 50);
    }
}

static void plan(struct rig *r)
{
    rig_plan(r, "users", STEPS);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "full_name", NULL, "ALTER TABLE users ADD COLUMN full_name text");
    rig_copy(r, 2, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_copy(r, 3, ZDM_ACTION_BACKFILL, "full_name", "name");
    rig_derive(r, 4, ZDM_ACTION_BACKFILL, "status", "coalesce(t.\"status\", 'none')", NULL, NULL, 0);
    rig_step(r, 4)->derivation->assignments[0].added = false;
    rig_step(r, 4)->inverse = ZDM_INVERSE_IMAGES;
    rig_step(r, 4)->object = strdup("undo_0badcafe");
    rig_ddl(r, 5, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL);
    rig_step(r, 5)->sync_step = 2;
    r->floor = 1;
    r->lock_wait_ms = 2000;
    rig_accept(r, 1);
}

static void walk(struct rig *r, uint32_t step)
{
    rig_run(r, AGENT_RUN_BOUND, step, AGENT_OK);
    while (!r->walked) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, step, 60);
        assert_true(result->outcome == AGENT_OK || result->outcome == AGENT_RETRY || result->outcome == AGENT_LOCK);
        agent_result_free(result);
    }
    rig_run(r, AGENT_RUN_STEP_DONE, step, AGENT_OK);
}

static long wrong_names(struct rig *r)
{
    return rig_number(r, "SELECT count(*) FROM users WHERE name IS DISTINCT FROM 'x' || age");
}

static void there_and_back(struct rig *r, struct crew *crew)
{
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 2, AGENT_OK);
    walk(r, 3);
    walk(r, 4);
    deploy(crew, BOTH_CODES);
    deploy(crew, NEW_CODE);
    rig_run(r, AGENT_RUN_HIDE, 5, AGENT_OK);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    rig_undo(r, 5);
    deploy(crew, BOTH_CODES);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    deploy(crew, OLD_CODE);
    for (uint32_t step = 4; step >= 1; step--) {
        rig_undo(r, step);
    }
}

static void drop_leftovers(struct rig *r)
{
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_OK);
    r->purge_now = false;
}

static void round_trips(struct rig *r, const char *create)
{
    struct crew crew = {.stop = false};
    rig_sql(r, "%s", create);
    rig_sql(r, "INSERT INTO users (id, name, age) SELECT g, 'x' || g, g FROM generate_series(1, %d) g", ROWS);
    plan(r);
    char *before = rig_dump(r, "users");
    begin_writing(r, &crew);
    for (int i = 0; i < 2; i++) {
        there_and_back(r, &crew);
        drop_leftovers(r);
    }
    end_writing(&crew);
    char *after = rig_dump(r, "users");
    assert_string_equal(after, before);
    free(before);
    free(after);
    assert_int_equal(wrong_names(r), 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
}

static void old_column_holds_what_was_written_through_either(void **state)
{
    struct rig *r = *state;
    round_trips(r, "CREATE TABLE users (id bigserial PRIMARY KEY, name text NOT NULL CHECK (name <> ''), age int NOT "
                   "NULL, status text)");
    /* What a key that moved took along cannot be told from what the application wrote; nothing else keeps our value. */
    assert_int_equal(rig_number(r, "SELECT count(*) FROM users WHERE status = 'none' AND id < 2000"), 0);
}

static void so_it_does_in_a_partitioned_table_in_which_rows_move(void **state)
{
    struct rig *r = *state;
    round_trips(r, "CREATE TABLE users (id bigserial PRIMARY KEY, name text NOT NULL, age int NOT NULL, status text)"
                   " PARTITION BY RANGE (id); CREATE TABLE users_1 PARTITION OF users FOR VALUES FROM (0) TO (300);"
                   "CREATE TABLE users_2 PARTITION OF users FOR VALUES FROM (300) TO (2100);"
                   "CREATE TABLE users_3 PARTITION OF users DEFAULT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(old_column_holds_what_was_written_through_either),
        RIG_TEST(so_it_does_in_a_partitioned_table_in_which_rows_move),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
