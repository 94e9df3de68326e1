/*
 * test_writers.c - sync triggers and a backfill while several writers of the old and the new application go on:
 * upserts, deletes, keys that move, statements over many rows. At the end the columns are what the derivation means.
 */
#include "tests/integration/postgresql/rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WRITERS = 4, ROWS = 3000, WRITES_MIN = 100 };

/* Statements over $1: a key, $2: a number, $3: the key again. */
struct forms {
    const char *const *sql;
    unsigned n_old, n; /* those of old code, then those of new code: that one comes after the sync */
};

struct writer {
    char dsn[512];
    unsigned seed;
    const struct forms *forms;
    atomic_bool *stop, *new_code;
    long writes;
    char error[256];
};

static void *write_at_random(void *arg)
{
    struct writer *w = arg;
    PGconn *conn = PQconnectdb(w->dsn);
    while (!atomic_load(w->stop)) {
        char sql[512];
        int id = (int)(rand_r(&w->seed) % 500), n = rand_r(&w->seed) % 100000;
        unsigned form = (unsigned)rand_r(&w->seed) % (atomic_load(w->new_code) ? w->forms->n : w->forms->n_old);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(sql, sizeof sql, w->forms->sql[form], id, n, id);
#pragma GCC diagnostic pop
        PGresult *res = PQexec(conn, sql);
        const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
        /* Two writers may meet in a deadlock or move a key onto another: their own doing. */
        if (state != NULL && strcmp(state, "23505") != 0 && strcmp(state, "40P01") != 0) {
            snprintf(w->error, sizeof w->error, "%s", PQresultErrorMessage(res));
        }
        PQclear(res);
        w->writes++;
    }
    PQfinish(conn);
    return NULL;
}

/* Installs step 1 and walks step 2 while all write. */
static void backfill_under_writers(struct rig *r, const struct forms *forms)
{
    struct writer writers[WRITERS] = {0};
    pthread_t threads[WRITERS];
    atomic_bool stop = false, new_code = false;
    long writes = 0;
    for (int i = 0; i < WRITERS; i++) {
        snprintf(writers[i].dsn, sizeof writers[i].dsn, "%s", test_pg_dsn(r->pg, "app_user", r->database));
        writers[i].seed = (unsigned)i + 7;
        writers[i].forms = forms;
        writers[i].stop = &stop;
        writers[i].new_code = &new_code;
        pthread_create(&threads[i], NULL, write_at_random, &writers[i]);
    }
    r->lock_wait_ms = 2000;
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    atomic_store(&new_code, true);
    rig_run(r, AGENT_RUN_BOUND, 2, AGENT_OK);
    while (!r->walked) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 2, 40);
        assert_true(result->outcome == AGENT_OK || result->outcome == AGENT_RETRY || result->outcome == AGENT_LOCK);
        agent_result_free(result);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        writes += writers[i].writes;
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_string_equal(writers[i].error, "");
    }
    assert_true(writes > WRITES_MIN);
}

static void two_columns(struct rig *r, const char *name_type, const char *full_name_type)
{
    rig_sql(r, "CREATE TABLE users (id bigserial PRIMARY KEY, name %s, age int DEFAULT 0, full_name %s)", name_type,
            full_name_type);
    rig_sql(r, "INSERT INTO users (id, name) SELECT g, 's' || g FROM generate_series(1, %d) g", ROWS);
    rig_plan(r, "users", 2);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_copy(r, 2, ZDM_ACTION_BACKFILL, "full_name", "name");
    rig_accept(r, 1);
}

static void columns_are_identical_after_concurrent_writers_and_a_backfill(void **state)
{
    static const char *const sql[] = {
        "INSERT INTO users (id, name) VALUES (%d, 'n%d') ON CONFLICT (id) DO UPDATE SET name = excluded.name",
        "UPDATE users SET name = 'u%2$d' WHERE id = %1$d",
        "DELETE FROM users WHERE id = %d",
        "UPDATE users SET id = id + 3000 + %2$d WHERE id = %1$d",
        "UPDATE users SET age = age + 1 WHERE id = %d",
        "INSERT INTO users (id, full_name) VALUES (%1$d, 'f%2$d'), (1000 + %3$d, 'm') ON CONFLICT (id) DO NOTHING",
        "UPDATE users SET full_name = 'w%2$d' WHERE id BETWEEN %1$d AND %1$d + 5",
        "INSERT INTO users (id, full_name) VALUES (%d, 'x') ON CONFLICT (id) DO UPDATE SET full_name = 'y'",
    };
    struct rig *r = *state;
    two_columns(r, "text NOT NULL", "text");
    backfill_under_writers(r, &(struct forms){sql, 5, 8});
    assert_int_equal(rig_number(r, "SELECT count(*) FROM users WHERE record_image_ne(ROW(name), ROW(full_name))"), 0);
}

/* The old column holds five characters: where the new value is longer the two differ, and nowhere else. */
static void guarded_reverse_never_fails_a_writer_and_differs_only_where_it_must(void **state)
{
    static const char *const sql[] = {
        "INSERT INTO users (id, name) VALUES (%d, left('n%d', 5)) ON CONFLICT (id) DO UPDATE SET name = excluded.name",
        "UPDATE users SET name = left('u%2$d', 5) WHERE id = %1$d",
        "DELETE FROM users WHERE id = %d",
        "UPDATE users SET id = id + 3000 + %2$d WHERE id = %1$d",
        "UPDATE users SET age = age + 1 WHERE id = %d",
        "INSERT INTO users (id, full_name) VALUES (%1$d, 'f%2$d'), (1000 + %3$d, 'm') ON CONFLICT (id) DO NOTHING",
        "UPDATE users SET full_name = 'much too long %2$d' WHERE id BETWEEN %1$d AND %1$d + 5",
        "INSERT INTO users (id, full_name) VALUES (%d, 'x') ON CONFLICT (id) DO UPDATE SET full_name = 'longer than y'",
    };
    struct rig *r = *state;
    two_columns(r, "varchar(5) NOT NULL", "text");
    backfill_under_writers(r, &(struct forms){sql, 5, 8});
    assert_int_equal(rig_number(r, "SELECT count(*) FROM users WHERE full_name IS NULL OR (length(full_name) <= 5 AND "
                                   "record_image_ne(ROW(name::text), ROW(full_name)))"),
                     0);
    assert_true(rig_number(r, "SELECT count(*) FROM users WHERE length(full_name) > 5") > 0);
}

/* What the whole UPDATE would give if it ran at the end, row for row. */
static void forward_with_a_filter_is_what_the_update_would_give_at_the_end(void **state)
{
    static const char *const sql[] = {
        "INSERT INTO users (id, name, active) VALUES (%d, ' N%d ', true) ON CONFLICT (id) DO UPDATE SET name = "
        "excluded.name, active = NOT users.active",
        "UPDATE users SET name = ' U%2$d' WHERE id BETWEEN %1$d AND %1$d + 3",
        "DELETE FROM users WHERE id = %d",
        "UPDATE users SET id = id + 3000 + %2$d WHERE id = %1$d",
        "UPDATE users SET active = NOT active WHERE id = %d",
        "UPDATE users SET active = NULL, name = 'Z%2$d' WHERE id = %1$d",
        "INSERT INTO users (id, name, active) VALUES (%1$d, 'M%2$d', false), (1000 + %3$d, 'O', true) ON CONFLICT (id) "
        "DO UPDATE SET id = users.id + 5000 + %2$d",
    };
    static const char *const sources[] = {"name", "active"};
    struct rig *r = *state;
    rig_sql(r,
            "CREATE TABLE users (id bigserial PRIMARY KEY, name text, active bool, slug text);"
            "INSERT INTO users (id, name, active) SELECT g, ' S' || g, g %% 3 > 0 FROM generate_series(1, %d) g",
            ROWS);
    rig_plan(r, "users", 2);
    for (uint32_t i = 1; i <= 2; i++) {
        struct zdm_derivation *d = rig_derive(r, i, i == 1 ? ZDM_ACTION_SYNC_INSTALL : ZDM_ACTION_BACKFILL, "slug",
                                              "lower(btrim(t.\"name\"))", "lower(btrim(NEW.\"name\"))", sources, 2);
        d->filter = strdup("t.\"active\"");
        d->filter_new = strdup("NEW.\"active\"");
        d->filter_old = strdup("OLD.\"active\"");
    }
    rig_accept(r, 1);
    backfill_under_writers(r, &(struct forms){sql, 7, 7});
    assert_int_equal(rig_number(r, "SELECT count(*) FROM users WHERE slug IS DISTINCT FROM CASE WHEN active THEN "
                                   "lower(btrim(name)) END"),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(columns_are_identical_after_concurrent_writers_and_a_backfill),
        RIG_TEST(guarded_reverse_never_fails_a_writer_and_differs_only_where_it_must),
        RIG_TEST(forward_with_a_filter_is_what_the_update_would_give_at_the_end),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
