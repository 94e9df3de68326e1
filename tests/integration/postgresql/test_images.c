/*
 * test_images.c - before-images of a backfill that overwrites a column which existed before: written with the change,
 * written back where the application has not changed it since, never lost by a crash in between.
 */
#include "tests/integration/postgresql/rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 1000 };

static void plan_images(struct rig *r, const char *target, const char *expr, const char *expr_new,
                        const char *const *sources, size_t n_sources)
{
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, target, expr, expr_new, sources, n_sources);
    rig_step(r, 1)->derivation->assignments[0].added = false;
    rig_step(r, 1)->inverse = ZDM_INVERSE_IMAGES;
    rig_step(r, 1)->object = strdup("undo_0badcafe");
    rig_accept(r, 1);
}

/* status: NULL, '', 'a', 'B ', by turns; it becomes lower(btrim(…)), 'none' for NULL. */
static void statuses(struct rig *r)
{
    static const char *const sources[] = {"raw"};
    rig_sql(
        r,
        "CREATE TABLE users (id int, tenant text COLLATE \"C\", raw text, status varchar(10), n numeric, PRIMARY KEY"
        " (tenant, id)); INSERT INTO users SELECT g, 't' || g %% 3, 'R' || g, (ARRAY[NULL, '', 'a', 'B '])[g %% 4 +"
        " 1], 1.0 FROM generate_series(1, %d) g; CREATE TABLE was AS SELECT * FROM users",
        ROWS);
    rig_plan(r, "users", 2);
    plan_images(r, "status", "coalesce(lower(btrim(t.\"status\")), 'none')", NULL, sources, 1);
}

static long differing(struct rig *r)
{
    return rig_number(r, "SELECT count(*) FROM users u JOIN was w USING (tenant, id) WHERE record_image_ne(u, w)");
}

static void images_hold_only_rows_that_change(void **state)
{
    struct rig *r = *state;
    statuses(r);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    rig_walk(r, 1, 70);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.undo_0badcafe"), ROWS / 2);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.undo_0badcafe i JOIN was w ON (w.tenant, w.id) = (k0, k1) "
                                   "WHERE record_image_ne(ROW(o0), ROW(w.status)) OR n0 IS NOT DISTINCT FROM o0"),
                     0);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    struct agent_result *result = rig_do(r, AGENT_OP_SIGNALS, AGENT_RUN_NONE, 0, 0);
    assert_int_equal(result->n_hidden, 1);
    assert_non_null(strstr(result->hidden[0].what, "before-images of public.users ("));
    assert_false(result->hidden[0].by_rollback);
    agent_result_free(result);
}

static void images_are_written_back_except_where_rows_changed_since(void **state)
{
    struct rig *r = *state;
    statuses(r);
    rig_walk(r, 1, 100);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_app(r, "UPDATE users SET status = 'mine' WHERE id IN (3, 4, 7, 8, 9)"); /* all but 9 had images */
    rig_app(r, "DELETE FROM users WHERE id = 12; UPDATE users SET raw = 'new' WHERE id = 16");
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_IMAGES_BACK);
    memset(r->undo_nonce.bytes, 4, sizeof r->undo_nonce.bytes);
    rig_run(r, AGENT_RUN_UNDO_BEGIN, 0, AGENT_OK);
    rig_undo(r, 1);
    assert_int_equal(r->journal_step, 1);
    rig_reload(r);
    assert_string_equal(r->row.remark,
                        "4 rows were changed since and kept; 1 row was deleted or got another key since");
    assert_string_equal(r->remark, "4 rows were changed since and kept; 1 row was deleted or got another key since");
    assert_int_equal(differing(r), 6);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname = 'undo_0badcafe'"), 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    rig_run(r, AGENT_RUN_IMAGES_BACK, 1, AGENT_ALREADY);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    /* The next rollback has not said so. */
    memset(r->undo_nonce.bytes, 5, sizeof r->undo_nonce.bytes);
    rig_run(r, AGENT_RUN_UNDO_BEGIN, 0, AGENT_OK);
    r->remark[0] = '\0';
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    assert_string_equal(r->remark, "");
}

/* Two columns of one row: the application has written one of them since, the other comes back. */
static void of_a_row_that_changed_in_part_only_the_rest_comes_back(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, a text, b text); INSERT INTO users VALUES (1, 'x', 'y')");
    rig_plan(r, "users", 2);
    plan_images(r, "a", "upper('x')", NULL, NULL, 0);
    struct zdm_derivation *d = rig_step(r, 1)->derivation;
    struct zdm_assignment first = d->assignments[0];
    free(d->assignments);
    d->assignments = calloc(2, sizeof *d->assignments);
    d->assignments[0] = d->assignments[1] = first;
    d->assignments[1].target = strdup("b");
    d->assignments[1].expr = strdup("upper('y')");
    d->n_assignments = 2;
    rig_walk(r, 1, 10);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_app(r, "UPDATE users SET a = 'mine'");
    memset(r->undo_nonce.bytes, 4, sizeof r->undo_nonce.bytes);
    rig_run(r, AGENT_RUN_UNDO_BEGIN, 0, AGENT_OK);
    rig_undo(r, 1);
    assert_string_equal(rig_value(r, "SELECT a || ' ' || b FROM users"), "mine y");
}

static void half_a_backfill_is_undone(void **state)
{
    struct rig *r = *state;
    statuses(r);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 300));
    assert_non_null(r->cursor);
    rig_undo(r, 1);
    assert_null(r->cursor);
    assert_int_equal(differing(r), 0);
}

static void forward_again_in_the_middle_of_the_way_back_fills_all_rows(void **state)
{
    struct rig *r = *state;
    statuses(r);
    for (int i = 0; i < 2; i++) {
        rig_walk(r, 1, 200);
        rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_IMAGES_BACK, 1, 120);
        assert_int_equal(result->rows_walked, 120);
        assert_int_equal(result->rows_changed, 120);
        assert_int_equal(result->journal_step, 1);
        agent_result_free(result);
        rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    }
    rig_walk(r, 1, 200);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM users WHERE status IS NULL OR status ~ '[A-Z ]'"), 0);
    rig_undo(r, 1);
    assert_int_equal(differing(r), 0);
}

static void counter_is_never_counted_twice(void **state)
{
    struct rig *r = *state;
    rig_sql(r,
            "CREATE TABLE users (id int PRIMARY KEY, n int NOT NULL DEFAULT 7); INSERT INTO users SELECT g FROM "
            "generate_series(1, %d) g",
            ROWS);
    rig_plan(r, "users", 1);
    plan_images(r, "n", "t.\"n\" + 1", NULL, NULL, 0);
    rig_step(r, 1)->derivation->idempotent = false;
    rig_walk(r, 1, 150);
    agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_IMAGES_BACK, 1, 333));
    assert_int_equal(rig_number(r, "SELECT sum(n) FROM users"), ROWS * 8 - 333);
    rig_walk(r, 1, 150);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM users WHERE n <> 8"), 0);
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM users WHERE n <> 7"), 0);
}

/* 1.0 and 1.00 are equal, and not the same. */
static void comparison_is_byte_for_byte(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, n numeric); INSERT INTO users VALUES (1, 1.0), (2, 1.0)");
    rig_plan(r, "users", 1);
    plan_images(r, "n", "2.0", NULL, NULL, 0);
    rig_walk(r, 1, 10);
    rig_app(r, "UPDATE users SET n = 2.00 WHERE id = 2");
    rig_undo(r, 1);
    assert_string_equal(rig_value(r, "SELECT string_agg(n::text, ' ' ORDER BY id) FROM users"), "1.0 2.00");
    assert_string_equal(r->remark, "1 row was changed since and kept");
}

/* After a regression the journal may stand below a step whose images are there. */
static void images_of_a_later_step_do_not_move_the_journal_on(void **state)
{
    struct rig *r = *state;
    statuses(r);
    rig_derive(r, 2, ZDM_ACTION_BACKFILL, "raw", "lower(t.\"raw\")", NULL, NULL, 0);
    rig_step(r, 2)->derivation->assignments[0].added = false;
    rig_step(r, 2)->inverse = ZDM_INVERSE_IMAGES;
    rig_step(r, 2)->object = strdup("undo_00000002");
    rig_walk(r, 1, 1000);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_walk(r, 2, 1000);
    rig_run(r, AGENT_RUN_STEP_BACK, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_IMAGES_BACK, 2, AGENT_OK);
    assert_int_equal(r->journal_step, 1);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_undo(r, 1);
    assert_int_equal(differing(r), 0);
}

/* ---- Keys and kinds of columns ---- */

struct shape {
    const char *table, *fill, *target, *expr;
};

/* There and back again with every kind of key and column: byte for byte what it was. */
static void images_serve_every_kind_of_key_and_column(void **state)
{
    static const struct shape shapes[] = {
        {"(id uuid PRIMARY KEY, v text)", "gen_random_uuid(), nullif('v' || g % 3, 'v0')", "v",
         "coalesce(t.\"v\", 'x')"},
        {"(a text COLLATE \"de-x-icu\", b bytea, v text, PRIMARY KEY (a, b))",
         "chr(64 + g % 50), convert_to(g::text, 'UTF8'), repeat('w', g * 40)", "v", "t.\"v\" || '!'"},
        {"(\"no \"\" key\" int NOT NULL, v json, UNIQUE (\"no \"\" key\"))",
         "g, format('{\"a\": %s, \"a\": 1}', g)::json", "v", "'{}'::json"},
        {"(at timestamptz, n numeric(20, 5), v int[], PRIMARY KEY (n, at))", "to_timestamp(g), g / 7.0, ARRAY[g, NULL]",
         "v", "t.\"v\" || 1"},
        {"(id int, v text, PRIMARY KEY (id)) PARTITION BY HASH (id); CREATE TABLE users_0 PARTITION OF users FOR VALUES"
         " WITH (MODULUS 2, REMAINDER 0); CREATE TABLE users_1 PARTITION OF users FOR VALUES WITH (MODULUS 2, REMAINDER"
         " 1)",
         "g, repeat(md5(g::text), 300)", "v", "upper(t.\"v\")"},
    };
    struct rig *r = *state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        rig_sql(r, "DROP TABLE IF EXISTS users, was; CREATE TABLE users %s", shapes[i].table);
        rig_sql(r,
                "INSERT INTO users SELECT %s FROM generate_series(1, 300) g; CREATE TABLE was AS SELECT * FROM users",
                shapes[i].fill);
        rig_plan(r, "users", 1);
        rig_derive(r, 1, ZDM_ACTION_BACKFILL, shapes[i].target, shapes[i].expr, NULL, NULL, 0);
        rig_step(r, 1)->derivation->assignments[0].added = false;
        rig_step(r, 1)->inverse = ZDM_INVERSE_IMAGES;
        rig_step(r, 1)->object = strdup("undo_0badcafe");
        rig_accept(r, 1 + i);
        rig_walk(r, 1, 37);
        assert_true(rig_number(r, "SELECT count(*) FROM zdm.undo_0badcafe") >= 100);
        rig_undo(r, 1);
        assert_string_equal(r->remark, "");
        assert_int_equal(rig_number(r,
                                    "SELECT count(*) FROM (SELECT u::text COLLATE \"C\" FROM users u EXCEPT ALL SELECT"
                                    " w::text COLLATE \"C\" FROM was w) AS d"),
                         0);
        rig_sql(r, "DROP TABLE users CASCADE");
    }
}

/* With {sync} in both directions the triggers would carry the old values on into the source. */
static void triggers_go_before_the_old_values_come_back(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, a text, b text); INSERT INTO users VALUES (1, 'new', 'old')");
    rig_plan(r, "users", 2);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "b", "a");
    rig_copy(r, 2, ZDM_ACTION_BACKFILL, "b", "a");
    rig_step(r, 1)->derivation->assignments[0].added = rig_step(r, 2)->derivation->assignments[0].added = false;
    rig_step(r, 2)->inverse = ZDM_INVERSE_IMAGES;
    rig_step(r, 2)->object = strdup("undo_00000001");
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_walk(r, 2, 10);
    rig_back(r, 2, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNDO_SYNC);
    rig_undo(r, 2);
    assert_string_equal(rig_value(r, "SELECT a || b FROM users"), "newold");
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
}

static void images_of_another_migration_are_not_touched(void **state)
{
    struct rig *r = *state;
    statuses(r);
    rig_walk(r, 1, 1000);
    rig_exec(r->super, "UPDATE zdm.hidden SET migration = 'another'");
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    rig_run(r, AGENT_RUN_IMAGES_BACK, 1, AGENT_ALREADY);
    rig_run(r, AGENT_RUN_STEP_BACK, 1, AGENT_OK);
    rig_refused(r, AGENT_RUN_BOUND, 1, "already exists");
}

static void batch_back_is_fenced(void **state)
{
    struct rig *r = *state;
    statuses(r);
    rig_walk(r, 1, 1000);
    struct zdm_fence mine = r->fence;
    agent_result_free(rig_try_accept(r, 2, 1, 2, 9));
    r->fence = mine;
    rig_run(r, AGENT_RUN_IMAGES_BACK, 1, AGENT_FENCED);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.undo_0badcafe"), ROWS / 2);
}

/* ---- Writers: an image is the value at the moment of the change ---- */

struct writer {
    char dsn[512];
    atomic_bool stop;
    char error[256];
};

/* Each write raises the row's number and leaves a record of what it saw. */
static void *raise_numbers(void *arg)
{
    struct writer *w = arg;
    unsigned seed = 5;
    PGconn *conn = PQconnectdb(w->dsn);
    while (!atomic_load(&w->stop)) {
        char sql[128];
        snprintf(sql, sizeof sql, "UPDATE users SET n = n + 1 WHERE id BETWEEN %d AND %d", rand_r(&seed) % 200,
                 rand_r(&seed) % 200 + 5);
        PGresult *res = PQexec(conn, sql);
        const char *code = PQresultErrorField(res, PG_DIAG_SQLSTATE);
        if (code != NULL && strcmp(code, "40P01") != 0) {
            snprintf(w->error, sizeof w->error, "%s", PQresultErrorMessage(res));
        }
        PQclear(res);
    }
    PQfinish(conn);
    return NULL;
}

static void images_are_the_values_at_the_moment_of_the_change(void **state)
{
    struct rig *r = *state;
    struct writer w = {.stop = false};
    pthread_t thread;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO users SELECT g FROM "
               "generate_series(1, 200) g");
    rig_plan(r, "users", 1);
    plan_images(r, "n", "t.\"n\" + 1000000", NULL, NULL, 0);
    rig_step(r, 1)->derivation->idempotent = false;
    snprintf(w.dsn, sizeof w.dsn, "%s", test_pg_dsn(r->pg, "app_user", r->database));
    pthread_create(&thread, NULL, raise_numbers, &w);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    while (!r->walked) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 7);
        assert_true(result->outcome == AGENT_OK || result->outcome == AGENT_RETRY || result->outcome == AGENT_LOCK);
        agent_result_free(result);
    }
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    assert_string_equal(w.error, "");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.undo_0badcafe WHERE n0 <> o0 + 1000000"), 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.undo_0badcafe"), 200);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM users JOIN zdm.undo_0badcafe ON k0 = id WHERE n < n0"), 0);
    assert_true(rig_number(r, "SELECT sum(o0) FROM zdm.undo_0badcafe") > 0);
}

/* ---- By which key ---- */

/* Two unique keys, none primary: the walk takes "code". */
static void fill_status(struct rig *r)
{
    rig_sql(r, "CREATE TABLE users (code int NOT NULL UNIQUE, id int NOT NULL UNIQUE, status text); INSERT INTO users"
               " SELECT g, 11 - g, CASE WHEN g > 5 THEN 'active' END FROM generate_series(1, 10) g; CREATE TABLE was AS"
               " SELECT * FROM users");
    rig_plan(r, "users", 1);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "status", "coalesce(t.\"status\", 'active')", NULL, NULL, 0);
    rig_step(r, 1)->derivation->assignments[0].added = false;
    rig_step(r, 1)->inverse = ZDM_INVERSE_IMAGES;
    rig_step(r, 1)->object = strdup("undo_0badcafe");
    rig_accept(r, 1);
}

static long not_restored(struct rig *r)
{
    return rig_number(r,
                      "SELECT count(*) FROM users u JOIN was w USING (code) WHERE u.status IS DISTINCT FROM w.status");
}

static void goes_back_after(struct rig *r, const char *meanwhile)
{
    fill_status(r);
    rig_walk(r, 1, 3);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    assert_int_equal(not_restored(r), 5);
    rig_sql(r, "%s", meanwhile);
    rig_undo(r, 1);
    assert_int_equal(not_restored(r), 0);
    assert_string_equal(r->remark, "");
}

static void images_go_into_the_rows_that_they_are_of_after_a_reindex(void **state)
{
    goes_back_after(*state, "REINDEX INDEX CONCURRENTLY users_code_key");
}

static void images_go_into_the_rows_that_they_are_of_after_a_primary_key(void **state)
{
    goes_back_after(*state, "ALTER TABLE users ADD PRIMARY KEY (id)");
}

static void walk_keeps_its_key_in_the_middle(void **state)
{
    struct rig *r = *state;
    fill_status(r);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    rig_sql(r, "ALTER TABLE users ADD PRIMARY KEY (id); REINDEX INDEX users_code_key");
    rig_walk(r, 1, 4);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.undo_0badcafe i JOIN was w ON w.code = i.k0 WHERE i.o0 IS"
                                   " NOT DISTINCT FROM w.status"),
                     5);
    rig_undo(r, 1);
    assert_int_equal(not_restored(r), 0);
}

static void images_of_a_key_that_is_gone_are_refused_in_words(void **state)
{
    struct rig *r = *state;
    fill_status(r);
    rig_walk(r, 1, 3);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_sql(r, "ALTER TABLE users DROP CONSTRAINT users_code_key");
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_IMAGES_BACK, 1, 100);
    assert_int_equal(result->error.code, ZDM_REFUSED);
    assert_non_null(strstr(result->error.message, "known by (code integer), which is no key of it any more"));
    agent_result_free(result);
    assert_int_equal(not_restored(r), 5);
    rig_sql(r, "ALTER TABLE users ADD UNIQUE (code)");
    rig_undo(r, 1);
    assert_int_equal(not_restored(r), 0);
}

/* Of an agent that did not write it down, or restored without comments. */
static void images_without_a_word_of_their_key_go_back_by_the_one_that_fits(void **state)
{
    struct rig *r = *state;
    fill_status(r);
    rig_walk(r, 1, 3);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_exec(r->super, "COMMENT ON TABLE zdm.undo_0badcafe IS NULL");
    rig_sql(r, "ALTER TABLE users ALTER code TYPE bigint");
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_IMAGES_BACK, 1, 100);
    assert_int_equal(result->error.code, ZDM_REFUSED);
    assert_non_null(strstr(result->error.message, "its own key is not like (code bigint)"));
    assert_non_null(strstr(result->error.hint, "COMMENT ON TABLE zdm.undo_0badcafe IS 'rows are known by: "));
    agent_result_free(result);
    assert_int_equal(not_restored(r), 5);
    rig_sql(r, "ALTER TABLE users ALTER code TYPE int");
    rig_undo(r, 1);
    assert_int_equal(not_restored(r), 0);
}

static void image_that_the_table_refuses_by_now_is_kept_and_told(void **state)
{
    struct rig *r = *state;
    fill_status(r);
    rig_walk(r, 1, 3);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_sql(r, "ALTER TABLE users ADD CONSTRAINT whole CHECK (status IS NOT NULL OR code > 2)");
    rig_undo(r, 1);
    assert_int_equal(not_restored(r), 2);
    assert_non_null(strstr(r->remark, "2 rows were not changed back, since the table refuses what they held: "));
    assert_non_null(strstr(r->remark, "\"whole\""));
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden WHERE kind = 'images' AND by_rollback"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(images_hold_only_rows_that_change),
        RIG_TEST(images_are_written_back_except_where_rows_changed_since),
        RIG_TEST(of_a_row_that_changed_in_part_only_the_rest_comes_back),
        RIG_TEST(half_a_backfill_is_undone),
        RIG_TEST(forward_again_in_the_middle_of_the_way_back_fills_all_rows),
        RIG_TEST(counter_is_never_counted_twice),
        RIG_TEST(comparison_is_byte_for_byte),
        RIG_TEST(images_of_a_later_step_do_not_move_the_journal_on),
        RIG_TEST(images_serve_every_kind_of_key_and_column),
        RIG_TEST(triggers_go_before_the_old_values_come_back),
        RIG_TEST(images_of_another_migration_are_not_touched),
        RIG_TEST(batch_back_is_fenced),
        RIG_TEST(images_are_the_values_at_the_moment_of_the_change),
        RIG_TEST(images_go_into_the_rows_that_they_are_of_after_a_reindex),
        RIG_TEST(images_go_into_the_rows_that_they_are_of_after_a_primary_key),
        RIG_TEST(walk_keeps_its_key_in_the_middle),
        RIG_TEST(images_of_a_key_that_is_gone_are_refused_in_words),
        RIG_TEST(images_without_a_word_of_their_key_go_back_by_the_one_that_fits),
        RIG_TEST(image_that_the_table_refuses_by_now_is_kept_and_told),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
