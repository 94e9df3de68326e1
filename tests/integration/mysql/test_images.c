/*
 * test_images.c - before-images of a backfill that overwrites a column which existed before: written with the change,
 * written back where the application has not changed it since, never lost by a crash in between.
 */
#include "tests/integration/mysql/walk_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 1000 };

#define OBJECT "undo_0badcafe"

static void plan_images(struct rig *r, const char *target, const char *expr, const char *const *sources,
                        size_t n_sources)
{
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, target, expr, NULL, sources, n_sources);
    rig_keep_images(r, 1, OBJECT);
    rig_accept(r, 1);
}

/* status: NULL, '', 'a', 'B ', by turns; it becomes lower(trim(…)), 'none' for NULL. */
static void statuses(struct rig *r)
{
    static const char *const sources[] = {"raw"};
    rig_numbers(r);
    rig_sql(r,
            "CREATE TABLE users (id int, tenant varchar(20) COLLATE utf8mb4_general_ci, raw varchar(20), status"
            " varchar(100) COLLATE utf8mb4_general_ci, n decimal(9,2), PRIMARY KEY (tenant, id)); INSERT INTO users"
            " SELECT g, CONCAT('t', g %% 3), CONCAT('R', g), ELT(1 + g %% 4, NULL, '', 'a', 'B '), 1.0 FROM n WHERE g"
            " BETWEEN 1 AND %d; CREATE TABLE was AS SELECT * FROM users",
            ROWS);
    rig_plan(r, "users", 2);
    plan_images(r, "status", "coalesce(lower(trim(t.`status`)), 'none')", sources, 1);
}

static long differing(struct rig *r)
{
    return rig_number(r, "SELECT COUNT(*) FROM users u JOIN was w USING (tenant, id) WHERE NOT (CAST(CONCAT_WS('|',"
                         " u.status IS NULL, u.raw, u.status, u.n) AS BINARY) <=> CAST(CONCAT_WS('|', w.status IS NULL,"
                         " w.raw, w.status, w.n) AS BINARY))");
}

static long kept(struct rig *r)
{
    return rig_number(r, "SELECT COUNT(*) FROM %s", rig_images(r, OBJECT));
}

static long tables_of_zdm(struct rig *r)
{
    return rig_number(r, "SELECT COUNT(*) FROM zdm.hidden h JOIN information_schema.tables t ON t.table_schema = 'zdm'"
                         " AND t.table_name = h.hidden_name WHERE h.home = DATABASE()");
}

static void begin_undo(struct rig *r, uint8_t nonce)
{
    memset(r->undo_nonce.bytes, nonce, sizeof r->undo_nonce.bytes);
    rig_run(r, AGENT_RUN_UNDO_BEGIN, 0, AGENT_OK);
}

static void images_hold_only_rows_that_change(void **state)
{
    struct rig *r = *state;
    statuses(r);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    rig_walk(r, 1, 70);
    assert_int_equal(kept(r), ROWS / 2);
    assert_int_equal(rig_number(r,
                                "SELECT COUNT(*) FROM %s i JOIN was w ON w.tenant = i.k0 AND w.id = i.k1 WHERE NOT"
                                " (CAST(o0 AS BINARY) <=> CAST(w.status AS BINARY)) OR CAST(n0 AS BINARY) <=> CAST(o0"
                                " AS BINARY)",
                                rig_images(r, OBJECT)),
                     0);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    struct agent_result *result = rig_do(r, AGENT_OP_SIGNALS, AGENT_RUN_NONE, 0, 0);
    assert_int_equal(result->n_hidden, 1);
    assert_non_null(strstr(result->hidden[0].what, "before-images of users"));
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
    begin_undo(r, 4);
    rig_undo(r, 1);
    assert_int_equal(r->journal_step, 1);
    rig_reload(r);
    assert_string_equal(r->row.remark,
                        "4 rows were changed since and kept; 1 row was deleted or got another key since");
    assert_string_equal(r->remark, "4 rows were changed since and kept; 1 row was deleted or got another key since");
    assert_int_equal(differing(r), 6);
    assert_int_equal(tables_of_zdm(r), 0);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.hidden WHERE home = DATABASE()"), 0);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    rig_run(r, AGENT_RUN_IMAGES_BACK, 1, AGENT_ALREADY);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    /* The next rollback has not said so. */
    begin_undo(r, 5);
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
    plan_images(r, "a", "upper('x')", NULL, 0);
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
    begin_undo(r, 4);
    rig_undo(r, 1);
    assert_string_equal(rig_value(r, "SELECT CONCAT(a, ' ', b) FROM users"), "mine y");
}

/* The server assigns from left to right, also in a batch that keeps images. */
static void assignments_are_made_in_their_order(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, a int, b int); INSERT INTO users VALUES (1, 1, 0), (2, 5, 0)");
    rig_plan(r, "users", 1);
    plan_images(r, "a", "t.`a` + 1", NULL, 0);
    struct zdm_derivation *d = rig_step(r, 1)->derivation;
    struct zdm_assignment first = d->assignments[0];
    free(d->assignments);
    d->assignments = calloc(2, sizeof *d->assignments);
    d->assignments[0] = d->assignments[1] = first;
    d->assignments[1].target = strdup("b");
    d->assignments[1].expr = strdup("t.`a`");
    d->n_assignments = 2;
    d->idempotent = false;
    rig_walk(r, 1, 10);
    assert_string_equal(rig_value(r, "SELECT GROUP_CONCAT(a, ' ', b ORDER BY id) FROM users"), "2 2,6 6");
    rig_undo(r, 1);
    assert_string_equal(rig_value(r, "SELECT GROUP_CONCAT(a, ' ', b ORDER BY id) FROM users"), "1 0,5 0");
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
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM users WHERE status IS NULL OR status COLLATE utf8mb4_bin RLIKE"
                                   " '[A-Z ]'"),
                     0);
    rig_undo(r, 1);
    assert_int_equal(differing(r), 0);
}

static void counter_is_never_counted_twice(void **state)
{
    struct rig *r = *state;
    rig_numbers(r);
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, n int NOT NULL DEFAULT 7); INSERT INTO users (id) SELECT g FROM"
               " n WHERE g < 1000");
    rig_plan(r, "users", 1);
    plan_images(r, "n", "t.`n` + 1", NULL, 0);
    rig_step(r, 1)->derivation->idempotent = false;
    rig_walk(r, 1, 150);
    agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_IMAGES_BACK, 1, 333));
    assert_int_equal(rig_number(r, "SELECT SUM(n) FROM users"), ROWS * 8 - 333);
    rig_walk(r, 1, 150);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM users WHERE n <> 8"), 0);
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM users WHERE n <> 7"), 0);
}

/* To the collation 'x' and 'X' are equal: they are not the same. */
static void comparison_is_byte_for_byte(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, s varchar(9) COLLATE utf8mb4_general_ci); INSERT INTO users"
               " VALUES (1, 'X'), (2, 'X')");
    rig_plan(r, "users", 1);
    plan_images(r, "s", "'x'", NULL, 0);
    rig_walk(r, 1, 10);
    rig_app(r, "UPDATE users SET s = 'X ' WHERE id = 2");
    rig_undo(r, 1);
    assert_string_equal(rig_value(r, "SELECT GROUP_CONCAT(s ORDER BY id SEPARATOR '|') FROM users"), "X|X ");
    assert_string_equal(r->remark, "1 row was changed since and kept");
}

/* After a regression the journal may stand below a step whose images are there. */
static void images_of_a_later_step_do_not_move_the_journal_on(void **state)
{
    struct rig *r = *state;
    statuses(r);
    rig_derive(r, 2, ZDM_ACTION_BACKFILL, "raw", "lower(t.`raw`)", NULL, NULL, 0);
    rig_keep_images(r, 2, "undo_00000002");
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
        {"(id binary(16) PRIMARY KEY, v text)", "UNHEX(LEFT(SHA2(g, 256), 32)), NULLIF(CONCAT('v', g % 3), 'v0')", "v",
         "coalesce(t.`v`, 'x')"},
        {"(a varchar(20) CHARACTER SET latin1, b varbinary(9), v varchar(10000) CHARACTER SET utf8mb3, PRIMARY KEY (a,"
         " b))",
         "CONCAT(ELT(1 + g % 3, 'é', 'Z', 'ü'), g % 50), CAST(g AS BINARY), REPEAT('w', g * 20)", "v",
         "concat(t.`v`, '!')"},
        {"(`no `` key` int NOT NULL, v json, UNIQUE (`no `` key`))", "g, CONCAT('{\"a\": ', g, '}')", "v", "'{}'"},
        {"(at timestamp(6) NOT NULL DEFAULT '2000-01-01', n decimal(20,5), v timestamp"
         " NULL, PRIMARY KEY (n, at))",
         "'2024-01-01' + INTERVAL g SECOND, g / 7, IF(g % 2, NULL, '2024-02-03 04:05:06')", "v",
         "'2024-10-27 00:30:00'"},
        {"(id int, v enum('b', 'a', 'it''s'), PRIMARY KEY (id)) PARTITION BY HASH (id) PARTITIONS 2",
         "g, ELT(1 + g % 4, 'b', 'a', 'it''s', NULL)", "v", "'a'"},
        {"(m enum('z', 'a'), id int, v bit(9), PRIMARY KEY (m, id))", "1 + g % 2, g, g", "v", "b'101'"},
        {"(id int PRIMARY KEY, v double)", "g, g / 7", "v", "t.`v` * 3"},
        {"(id int PRIMARY KEY, v mediumblob)", "g, UNHEX(SHA2(g, 256))", "v", "concat(t.`v`, X'00ff')"},
        /* MariaDB alone: */
        {"(id uuid PRIMARY KEY, v inet6)", RIG_UUID("g") ", CONCAT('2001:db8::', g)", "v", "'::1'"},
        {"(id inet6 PRIMARY KEY, v uuid)", "CONCAT('2001:db8::', g), IF(g % 3, " RIG_UUID("g") ", NULL)", "v",
         "coalesce(t.`v`, '0190163d-8694-739b-aea5-966c26f8ad91')"},
    };
    struct rig *r = *state;
    rig_numbers(r);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes - (rig_is_mariadb(r) ? 0 : 2); i++) {
        rig_sql(r, "DROP TABLE IF EXISTS users, was; CREATE TABLE users %s", shapes[i].table);
        rig_sql(r,
                "INSERT INTO users SELECT %s FROM n WHERE g BETWEEN 1 AND 300; CREATE TABLE was AS SELECT * FROM users",
                shapes[i].fill);
        rig_plan(r, "users", 1);
        rig_derive(r, 1, ZDM_ACTION_BACKFILL, shapes[i].target, shapes[i].expr, NULL, NULL, 0);
        rig_keep_images(r, 1, OBJECT);
        rig_accept(r, 1 + i);
        rig_walk(r, 1, 37);
        assert_true(kept(r) >= 100);
        rig_undo(r, 1);
        assert_string_equal(r->remark, "");
        char *sum = strdup(rig_value(r, "SELECT CONCAT(COUNT(*), ' ', SUM(CRC32(HEX(v))), ' ', COUNT(v)) FROM was"));
        assert_string_equal(rig_value(r, "SELECT CONCAT(COUNT(*), ' ', SUM(CRC32(HEX(v))), ' ', COUNT(v)) FROM users"),
                            sum);
        free(sum);
    }
}

/* ---- By which key ---- */

/* Two unique keys, none primary: the walk takes the one that stands first. */
static void fill_status(struct rig *r)
{
    rig_sql(r,
            "CREATE TABLE users (code int NOT NULL, id int NOT NULL, status varchar(9), UNIQUE `a` (code), UNIQUE z"
            " (id)); INSERT INTO users VALUES (1, 10, NULL), (2, 9, NULL), (3, 8, NULL), (4, 7, NULL), (5, 6, NULL),"
            " (6, 5, 'active'), (7, 4, 'active'), (8, 3, 'active'), (9, 2, 'active'), (10, 1, 'active'); CREATE TABLE"
            " was AS SELECT * FROM users");
    rig_plan(r, "users", 1);
    plan_images(r, "status", "coalesce(t.`status`, 'active')", NULL, 0);
}

static long not_restored(struct rig *r)
{
    return rig_number(r, "SELECT COUNT(*) FROM users u JOIN was w USING (code) WHERE NOT u.status <=> w.status");
}

static void go_there(struct rig *r)
{
    fill_status(r);
    rig_walk(r, 1, 3);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    assert_int_equal(not_restored(r), 5);
}

static void images_go_into_the_rows_that_they_are_of(struct rig *r, const char *meanwhile)
{
    go_there(r);
    rig_sql(r, "%s", meanwhile);
    rig_undo(r, 1);
    assert_int_equal(not_restored(r), 0);
    assert_string_equal(r->remark, "");
}

static void primary_key_that_is_added_meanwhile_does_not_matter(void **state)
{
    images_go_into_the_rows_that_they_are_of(*state, "ALTER TABLE users ADD PRIMARY KEY (id)");
}

static void other_name_of_the_index_does_not_matter(void **state)
{
    images_go_into_the_rows_that_they_are_of(*state, "ALTER TABLE users DROP INDEX `a`, ADD UNIQUE zz (code)");
}

static void walk_keeps_its_key_in_the_middle(void **state)
{
    struct rig *r = *state;
    fill_status(r);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 3));
    rig_sql(r, "ALTER TABLE users ADD PRIMARY KEY (id)");
    rig_kill_agent(r);
    rig_reload(r);
    rig_walk(r, 1, 4);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM %s i JOIN was w ON w.code = i.k0 WHERE i.o0 <=> w.status",
                                rig_images(r, OBJECT)),
                     5);
    rig_undo(r, 1);
    assert_int_equal(not_restored(r), 0);
}

static void images_of_a_key_that_is_gone_are_refused_in_words(void **state)
{
    struct rig *r = *state;
    go_there(r);
    rig_sql(r, "ALTER TABLE users DROP INDEX `a`");
    rig_refused(r, AGENT_RUN_IMAGES_BACK, 1, "known by (`code` int), which is no key of it any more");
    assert_int_equal(not_restored(r), 5);
    rig_sql(r, "ALTER TABLE users ADD UNIQUE (code)");
    rig_undo(r, 1);
    assert_int_equal(not_restored(r), 0);
}

/* Of an agent that did not write it down, or restored without comments. */
static void images_without_a_word_of_their_key_go_back_by_the_one_that_fits(void **state)
{
    struct rig *r = *state;
    go_there(r);
    rig_sql(r, "ALTER TABLE %s COMMENT = ''", rig_images(r, OBJECT));
    rig_sql(r, "ALTER TABLE users MODIFY code bigint NOT NULL");
    rig_refused(r, AGENT_RUN_IMAGES_BACK, 1, "its own key is not like (`code` bigint)");
    assert_int_equal(not_restored(r), 5);
    rig_sql(r, "ALTER TABLE users MODIFY code int NOT NULL");
    rig_undo(r, 1);
    assert_int_equal(not_restored(r), 0);
}

static void image_that_the_table_refuses_by_now_is_kept_and_told(void **state)
{
    struct rig *r = *state;
    go_there(r);
    rig_app(r, "DELETE FROM users WHERE code = 3");
    rig_sql(r, "ALTER TABLE users ADD CONSTRAINT whole CHECK (status IS NOT NULL OR code > 2)");
    agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_IMAGES_BACK, 1, 2));
    rig_kill_agent(r);
    rig_reload(r);
    rig_undo(r, 1);
    assert_int_equal(not_restored(r), 2);
    assert_non_null(strstr(r->remark, "1 row was deleted or got another key since; 2 rows were not changed back, since"
                                      " the table refuses what they held: "));
    assert_non_null(strstr(r->remark, "whole"));
    assert_int_equal(tables_of_zdm(r), 1);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.hidden WHERE home = DATABASE() AND by_rollback"), 1);
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_OK);
    assert_int_equal(tables_of_zdm(r), 0);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.walk_back WHERE home = DATABASE()"), 0);
}

/* ---- Others ---- */

/* With {sync} in both directions the triggers would carry the old values on into the source. */
static void triggers_go_before_the_old_values_come_back(void **state)
{
    struct rig *r = *state;
    rig_sql(r,
            "CREATE TABLE users (id int PRIMARY KEY, a varchar(9), b varchar(9)); INSERT INTO users VALUES (1, 'new',"
            " 'old')");
    rig_plan(r, "users", 2);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "b", "a");
    rig_copy(r, 2, ZDM_ACTION_BACKFILL, "b", "a");
    rig_step(r, 1)->derivation->assignments[0].added = false;
    rig_keep_images(r, 2, "undo_00000001");
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_walk(r, 2, 10);
    rig_back(r, 2, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNDO_SYNC);
    rig_undo(r, 2);
    assert_string_equal(rig_value(r, "SELECT CONCAT(a, b) FROM users"), "newold");
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
}

static void images_of_another_migration_are_not_touched(void **state)
{
    struct rig *r = *state;
    statuses(r);
    rig_walk(r, 1, 1000);
    rig_sql(r, "UPDATE zdm.hidden SET migration = 'another' WHERE home = DATABASE()");
    rig_back(r, 1, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    rig_run(r, AGENT_RUN_IMAGES_BACK, 1, AGENT_ALREADY);
    assert_int_equal(tables_of_zdm(r), 1);
    rig_sql(r, "UPDATE users SET status = 'B '");
    rig_run(r, AGENT_RUN_STEP_BACK, 1, AGENT_OK);
    rig_walk(r, 1, 1000);
    assert_int_equal(tables_of_zdm(r), 2);
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
    assert_int_equal(kept(r), ROWS / 2);
}

static void images_are_dropped_when_they_are_purged(void **state)
{
    struct rig *r = *state;
    statuses(r);
    rig_walk(r, 1, 1000);
    rig_step(r, 1)->action = ZDM_ACTION_PURGE_IMAGES;
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    r->grace_ms = 3600 * 1000;
    rig_run(r, AGENT_RUN_PURGE, 1, AGENT_EARLY);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE, 1, AGENT_OK);
    assert_int_equal(tables_of_zdm(r), 0);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
}

/* Killed at any moment, there and back: nothing is lost and nothing done twice. */
static void agent_that_is_killed_goes_on_both_ways(void **state)
{
    struct rig *r = *state;
    statuses(r);
    for (int i = 0; i < 60 && !r->walked; i++) {
        agent_result_free(rig_do(r, AGENT_OP_RUN, r->bound == NULL ? AGENT_RUN_BOUND : AGENT_RUN_BATCH, 1, 70));
        if (i % 3 == 0) {
            rig_kill_agent(r);
        }
        rig_reload(r);
    }
    assert_int_equal(kept(r), ROWS / 2);
    for (int i = 0; i < 5; i++) {
        agent_result_free(rig_do(r, AGENT_OP_RUN, AGENT_RUN_IMAGES_BACK, 1, 70));
        rig_kill_agent(r);
        rig_reload(r);
    }
    rig_undo(r, 1);
    assert_int_equal(differing(r), 0);
}

/* ---- Writers: an image is the value at the moment of the change ---- */

static void raise_numbers(struct rig_writer *w, MYSQL *conn)
{
    char sql[128];
    snprintf(sql, sizeof sql, "UPDATE users SET n = n + 1 WHERE id BETWEEN %d AND %d", rand_r(&w->seed) % 200,
             rand_r(&w->seed) % 200 + 5);
    rig_write(w, conn, sql);
}

static void images_are_the_values_at_the_moment_of_the_change(void **state)
{
    struct rig *r = *state;
    struct rig_writer w = {.rig = r, .write = raise_numbers, .seed = 5};
    rig_numbers(r);
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO users (id) SELECT g FROM"
               " n WHERE g BETWEEN 1 AND 200");
    rig_plan(r, "users", 1);
    plan_images(r, "n", "t.`n` + 1000000", NULL, 0);
    rig_step(r, 1)->derivation->idempotent = false;
    rig_writer_start(&w);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
    while (!r->walked) {
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 1, 7);
        assert_true(result->outcome == AGENT_OK || result->outcome == AGENT_RETRY || result->outcome == AGENT_LOCK);
        agent_result_free(result);
    }
    rig_writer_stop(&w, 100);
    char *images = strdup(rig_images(r, OBJECT));
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM %s WHERE NOT n0 <=> o0 + 1000000", images), 0);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM %s", images), 200);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM users JOIN %s ON k0 = id WHERE n < n0", images), 0);
    assert_true(rig_number(r, "SELECT SUM(o0) FROM %s", images) > 0);
    free(images);
}

RIG_MAIN(RIG_TEST(images_hold_only_rows_that_change), RIG_TEST(images_are_written_back_except_where_rows_changed_since),
         RIG_TEST(of_a_row_that_changed_in_part_only_the_rest_comes_back),
         RIG_TEST(assignments_are_made_in_their_order), RIG_TEST(half_a_backfill_is_undone),
         RIG_TEST(forward_again_in_the_middle_of_the_way_back_fills_all_rows), RIG_TEST(counter_is_never_counted_twice),
         RIG_TEST(comparison_is_byte_for_byte), RIG_TEST(images_of_a_later_step_do_not_move_the_journal_on),
         RIG_TEST(images_serve_every_kind_of_key_and_column),
         RIG_TEST(primary_key_that_is_added_meanwhile_does_not_matter),
         RIG_TEST(other_name_of_the_index_does_not_matter), RIG_TEST(walk_keeps_its_key_in_the_middle),
         RIG_TEST(images_of_a_key_that_is_gone_are_refused_in_words),
         RIG_TEST(images_without_a_word_of_their_key_go_back_by_the_one_that_fits),
         RIG_TEST(image_that_the_table_refuses_by_now_is_kept_and_told),
         RIG_TEST(triggers_go_before_the_old_values_come_back), RIG_TEST(images_of_another_migration_are_not_touched),
         RIG_TEST(batch_back_is_fenced), RIG_TEST(images_are_dropped_when_they_are_purged),
         RIG_TEST(agent_that_is_killed_goes_on_both_ways), RIG_TEST(images_are_the_values_at_the_moment_of_the_change))
