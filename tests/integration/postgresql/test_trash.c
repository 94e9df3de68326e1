/*
 * test_trash.c - what a DROP of a plan takes out of sight comes back byte for byte, twice and after being killed, and
 * is really dropped only after its grace: tables, types, constraints and indexes.
 */
#include "tests/integration/postgresql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_same_dump(struct rig *r, const char *table, const char *before)
{
    char *after = rig_dump(r, table);
    assert_string_equal(after, before);
    free(after);
}

static char *digest(struct rig *r, const char *table)
{
    return strdup(rig_value(r, "SELECT md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), '')) FROM %s t", table));
}

static struct zdm_step *step_of(struct rig *r, uint32_t ordinal, enum zdm_action action, const char *object)
{
    struct zdm_step *step = rig_ddl(r, ordinal, action, NULL, object, NULL);
    step->kind = action == ZDM_ACTION_PURGE_TABLE || action == ZDM_ACTION_PURGE_INDEX ? ZDM_STEP_PURGE : ZDM_STEP_HIDE;
    return step;
}

/* 1 hides orders, 2 purges it. */
static void orders(struct rig *r)
{
    rig_sql(r,
            "CREATE TABLE users (id serial PRIMARY KEY, name text); INSERT INTO users (name) VALUES ('Ann'), ('Beth');"
            "CREATE TABLE orders (id serial PRIMARY KEY, \"user\" int NOT NULL REFERENCES users ON DELETE RESTRICT,"
            " up int REFERENCES orders, note text DEFAULT 'n' CHECK (note <> ''), total numeric GENERATED ALWAYS AS"
            " (id * 2) STORED, UNIQUE (note, id)); CREATE INDEX by_note ON orders (lower(note));"
            "COMMENT ON TABLE orders IS 'the ''old'' orders'; COMMENT ON CONSTRAINT orders_user_fkey ON orders IS 'u';"
            "GRANT SELECT (note) ON orders TO app_user;"
            "INSERT INTO orders (\"user\", up, note) SELECT 1 + g %% 2, nullif(g - 1, 0), 'n' || g FROM"
            " generate_series(1, 500) g");
    rig_plan(r, "orders", 2);
    step_of(r, 1, ZDM_ACTION_HIDE_TABLE, "zdm_trash_00c0ffee");
    step_of(r, 2, ZDM_ACTION_PURGE_TABLE, "zdm_trash_00c0ffee");
    r->lock_wait_ms = 1000;
    rig_accept(r, 1);
}

static void table_is_the_same_after_two_hides_and_their_ways_back(void **state)
{
    struct rig *r = *state;
    orders(r);
    char *before = rig_dump(r, "orders"), *rows = digest(r, "orders");
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    for (int i = 0; i < 2; i++) {
        rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
        rig_inspect(r, 1, AGENT_PROOF_DONE);
        assert_string_equal(rig_app_fails(r, "SELECT * FROM orders"), "42P01");
        assert_string_equal(rig_app_fails(r, "SELECT * FROM zdm_trash_00c0ffee.orders"), "42501");
        /* Its foreign key binds nobody meanwhile, and its names are free. */
        rig_app(r, "INSERT INTO users (name) VALUES ('Cleo'); DELETE FROM users WHERE name = 'Cleo'");
        rig_sql(r, "CREATE TABLE orders_pkey (); DROP TABLE orders_pkey");
        rig_run(r, AGENT_RUN_HIDE, 1, AGENT_ALREADY);
        rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNHIDE);
        assert_int_equal(rig_undo(r, 1), 2); /* unhide; the foreign key */
        assert_same_dump(r, "orders", before);
        assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
        assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'zdm_trash%%'"), 0);
    }
    char *again = digest(r, "orders");
    assert_string_equal(again, rows);
    free(again);
    free(rows);
    free(before);
}

static void row_whose_parent_went_meanwhile_leaves_the_foreign_key_not_valid(void **state)
{
    struct rig *r = *state;
    orders(r);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_app(r, "DELETE FROM users WHERE id = 1");
    rig_undo(r, 1);
    assert_non_null(strstr(r->remark, "orders_user_fkey stays NOT VALID: rows [\"2\"]"));
    /* Forward and back again, put right: it is whole. */
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (id, name) VALUES (1, 'Ann')");
    r->remark[0] = '\0';
    rig_undo(r, 1);
    assert_string_equal(r->remark, "");
    assert_string_equal(rig_value(r, "SELECT convalidated FROM pg_constraint WHERE conname = 'orders_user_fkey'"), "t");
}

/* DROP TABLE orders, lines, and the other way round: what refers goes first. */
static void tables_that_refer_to_each_other_go_from_the_last_to_the_first(void **state)
{
    struct rig *r = *state;
    orders(r);
    rig_sql(r, "CREATE TABLE lines (id int PRIMARY KEY, o int CONSTRAINT of_order REFERENCES orders (id));"
               "INSERT INTO lines SELECT g, g FROM generate_series(1, 9) g");
    char *before = rig_dump(r, "lines");
    rig_plan(r, "orders", 2);
    step_of(r, 1, ZDM_ACTION_HIDE_TABLE, "zdm_trash_00c0ffee");
    struct zdm_step *second = step_of(r, 2, ZDM_ACTION_HIDE_TABLE, "zdm_trash_00c0ffe1");
    free(second->table.name);
    second->table.name = strdup("lines");
    rig_accept(r, 2);
    rig_refused(r, AGENT_RUN_HIDE, 1, "table lines refers to orders and is dropped behind it");
    char *lines = second->table.name;
    second->table.name = rig_step(r, 1)->table.name;
    rig_step(r, 1)->table.name = lines;
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    rig_undo(r, 2);
    rig_undo(r, 1);
    assert_same_dump(r, "lines", before);
    assert_string_equal(rig_value(r, "SELECT convalidated FROM pg_constraint WHERE conname = 'of_order'"), "t");
    free(before);
}

static void table_that_something_depends_on_is_not_hidden(void **state)
{
    static const struct {
        const char *make, *drop, *says;
    } cases[] = {
        {"CREATE VIEW v AS SELECT note FROM orders", "DROP VIEW v", "view public.v depends on table"},
        {"CREATE TABLE lines (o int CONSTRAINT of_order REFERENCES orders)", "DROP TABLE lines",
         "constraint of_order on table public.lines depends on"},
        {"CREATE TABLE x (n int DEFAULT nextval('orders_id_seq'))", "DROP TABLE x", "depends on sequence"},
        {"CREATE FUNCTION f(orders) RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION f", "function public.f"},
        {"CREATE TABLE child () INHERITS (orders)", "DROP TABLE child", "inheritance"},
    };
    struct rig *r = *state;
    orders(r);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig_sql(r, "%s", cases[i].make);
        rig_refused(r, AGENT_RUN_HIDE, 1, cases[i].says);
        rig_sql(r, "%s", cases[i].drop);
    }
    rig_exec(r->super, "CREATE PUBLICATION p FOR TABLE orders");
    rig_refused(r, AGENT_RUN_HIDE, 1, "is published in p");
    rig_step(r, 1)->publication_ok = true;
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_undo(r, 1);
    rig_app(r, "SELECT 1 FROM orders");
}

static void name_that_was_taken_meanwhile_stops_the_way_back(void **state)
{
    struct rig *r = *state;
    orders(r);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_sql(r, "CREATE TABLE orders (x int)");
    rig_back(r, 1, AGENT_PROOF_FOREIGN, AGENT_RUN_UNHIDE);
    rig_refused(r, AGENT_RUN_UNHIDE, 1, "is there and is not the one that was hidden");
    rig_sql(r, "DROP TABLE orders");
    rig_undo(r, 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM orders"), 500);
}

static void table_goes_for_good_after_its_grace_and_not_before(void **state)
{
    struct rig *r = *state;
    orders(r);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    r->grace_ms = 3600 * 1000;
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_EARLY);
    rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
    rig_exec(r->super, "UPDATE zdm.hidden SET hidden_at = hidden_at - interval '1 hour'");
    rig_exec(r->super, "CREATE VIEW v AS SELECT note FROM zdm_trash_00c0ffee.orders");
    rig_refused(r, AGENT_RUN_PURGE, 2, "view public.v depends on");
    rig_exec(r->super, "DROP VIEW v");
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_OK);
    rig_inspect(r, 2, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_STEP_BACK, 2, AGENT_OK);
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname = 'orders'"), 0);
}

static void partitioned_table_goes_and_comes_back_with_its_tree(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE orders (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);"
               "CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM ('2024-01-01') TO ('2024-02-01') PARTITION BY"
               " HASH (id); CREATE TABLE orders_1a PARTITION OF orders_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
               "CREATE TABLE orders_1b PARTITION OF orders_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
               "CREATE TABLE orders_rest PARTITION OF orders DEFAULT; COMMENT ON TABLE orders_rest IS 'the rest';"
               "INSERT INTO orders SELECT g, '2024-01-01'::date + g FROM generate_series(1, 60) g");
    rig_plan(r, "orders", 2);
    step_of(r, 1, ZDM_ACTION_HIDE_TABLE, "zdm_trash_00c0ffee");
    step_of(r, 2, ZDM_ACTION_PURGE_TABLE, "zdm_trash_00c0ffee");
    rig_accept(r, 1);
    char *before = rig_dump(r, "orders*"), *rows = digest(r, "orders");
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname LIKE 'orders%%' AND relnamespace = "
                                   "'public'::regnamespace"),
                     0);
    rig_undo(r, 1);
    assert_same_dump(r, "orders*", before);
    char *again = digest(r, "orders");
    assert_string_equal(again, rows);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname LIKE 'orders%%'"), 0);
    free(again);
    free(rows);
    free(before);
}

/* A column goes before the type that it is of, a table before the one that it points at. */
static void what_rollbacks_left_is_purged_in_an_order_that_works(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY)");
    rig_plan(r, "users", 4);
    rig_ddl(r, 1, ZDM_ACTION_CREATE_TYPE, NULL, "mood", "CREATE TYPE public.mood AS ENUM ('sad', 'ok')");
    rig_ddl(r, 2, ZDM_ACTION_ADD_COLUMN, "m", NULL, "ALTER TABLE public.users ADD COLUMN m mood");
    rig_ddl(r, 3, ZDM_ACTION_CREATE_TABLE, NULL, NULL, "CREATE TABLE public.things (id int PRIMARY KEY, m mood)");
    rig_ddl(r, 4, ZDM_ACTION_CREATE_TABLE, NULL, NULL, "CREATE TABLE public.parts (t int REFERENCES public.things)");
    for (uint32_t i = 1; i <= 4; i++) {
        rig_step(r, i)->inverse = ZDM_INVERSE_HIDE;
    }
    free(rig_step(r, 1)->table.name);
    rig_step(r, 1)->table.name = NULL;
    for (uint32_t i = 3; i <= 4; i++) {
        free(rig_step(r, i)->table.name);
        rig_step(r, i)->table.name = strdup(i == 3 ? "things" : "parts");
    }
    r->lock_wait_ms = 1000;
    rig_accept(r, 1);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 1; i <= 4; i++) {
            rig_run(r, AGENT_RUN_DDL, i, AGENT_OK);
        }
        for (uint32_t i = 4; i >= 1; i--) {
            rig_undo(r, i);
        }
    }
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden WHERE by_rollback"), 8);
    r->purge_now = true;
    for (int i = 0; i < 8; i++) {
        rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_OK);
    }
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_ALREADY);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'zdm_trash%%'"), 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_type WHERE typname = 'mood'"), 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
}

/* ---- Constraints ---- */

static void constrained(struct rig *r)
{
    rig_sql(r, "CREATE TABLE parents (a int, b int, PRIMARY KEY (a, b)); INSERT INTO parents VALUES (1, 1), (2, 2);"
               "CREATE TABLE users (id int CONSTRAINT users_key PRIMARY KEY, a int, b int NOT NULL, name text);"
               "ALTER TABLE users ADD CONSTRAINT \"their parents\" FOREIGN KEY (a, b) REFERENCES parents ON UPDATE"
               " CASCADE DEFERRABLE INITIALLY DEFERRED; COMMENT ON CONSTRAINT \"their parents\" ON users IS 'it''s';"
               "ALTER TABLE users ADD CONSTRAINT one UNIQUE (a, name) INCLUDE (b);"
               "ALTER TABLE users ADD CONSTRAINT sane CHECK (a < b + 10); ALTER TABLE users ADD CONSTRAINT old CHECK (a"
               " > 0) NOT VALID; ALTER TABLE users CLUSTER ON one; INSERT INTO users VALUES (1, 1, 1, 'x'), (2, 2, 2,"
               " 'x')");
    rig_plan(r, "users", 6);
    static const char *const names[] = {"their parents", "one", "sane", "old", "users_key"};
    for (uint32_t i = 1; i <= 5; i++) {
        rig_ddl(r, i, ZDM_ACTION_LIFT_CONSTRAINT, NULL, names[i - 1], NULL)->inverse = ZDM_INVERSE_UNHIDE;
    }
    rig_ddl(r, 6, ZDM_ACTION_DROP_NOT_NULL, "b", NULL, "ALTER TABLE users ALTER COLUMN b DROP NOT NULL");
    r->lock_wait_ms = 1000;
    rig_accept(r, 1);
}

static void lifted_constraints_come_back_as_they_were(void **state)
{
    struct rig *r = *state;
    constrained(r);
    char *before = rig_dump(r, "users");
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 1; i <= 6; i++) {
            rig_inspect(r, i, AGENT_PROOF_NOT_DONE);
            rig_run(r, AGENT_RUN_DDL, i, AGENT_OK);
            rig_inspect(r, i, AGENT_PROOF_DONE);
        }
        assert_int_equal(
            rig_number(r, "SELECT count(*) FROM pg_constraint WHERE conrelid = 'users'::regclass AND contype <> 'n'"),
            0);
        rig_app(r, "INSERT INTO users VALUES (1, 90, NULL, 'y'); DELETE FROM users WHERE name = 'y'");
        for (uint32_t i = 6; i >= 1; i--) {
            assert_true(rig_undo(r, i) >= 1);
        }
        assert_string_equal(r->remark, "");
        assert_same_dump(r, "users", before);
        assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
    }
    free(before);
}

static void way_back_of_a_constraint_can_be_left_after_every_part(void **state)
{
    static const uint32_t steps[] = {1, 2, 5, 6};
    struct rig *r = *state;
    constrained(r);
    char *before = rig_dump(r, "users");
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        rig_run(r, AGENT_RUN_DDL, steps[s], AGENT_OK);
        for (int n = 1; n <= 2; n++) {
            rig_run(r, AGENT_RUN_UNHIDE, steps[s], AGENT_OK);
            if (n == 2) {
                rig_run(r, AGENT_RUN_RESTORE, steps[s], AGENT_OK);
            }
            rig_run(r, AGENT_RUN_DDL, steps[s], AGENT_OK);
            /* An index that was built again would enforce what was lifted. */
            assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned WHERE kind = 'index'"), 0);
            assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = indexrelid JOIN"
                                           " zdm.hidden h ON h.name = c.relname"),
                             0);
        }
        rig_undo(r, steps[s]);
        assert_same_dump(r, "users", before);
    }
    free(before);
}

static void rows_that_stand_against_a_lifted_constraint_are_named(void **state)
{
    struct rig *r = *state;
    constrained(r);
    for (uint32_t i = 1; i <= 6; i++) {
        rig_run(r, AGENT_RUN_DDL, i, AGENT_OK);
    }
    rig_app(r, "INSERT INTO users VALUES (3, 1, 1, 'x'), (4, 7, NULL, NULL), (5, 7, 7, 'p'), (5, 7, 7, 'q')");
    for (uint32_t i = 6; i >= 1; i--) {
        rig_undo(r, i);
    }
    const char *remarks = rig_value(r, "SELECT string_agg(remark, '; ' ORDER BY kind) FROM zdm.hidden");
    assert_non_null(strstr(remarks, "their parents stays NOT VALID: some rows"));
    assert_non_null(strstr(remarks, "primary key users_key was not built again"));
    assert_non_null(strstr(remarks, "NOT NULL of b stays a CHECK that is NOT VALID"));
    assert_non_null(strstr(remarks, "unique constraint one was not built again"));
    rig_sql(r, "DELETE FROM users WHERE id > 2");
    for (uint32_t i = 1; i <= 6; i++) {
        rig_inspect(r, i, i == 3 || i == 4 || i < 7 ? AGENT_PROOF_NOT_DONE : AGENT_PROOF_DONE);
        rig_run(r, AGENT_RUN_DDL, i, AGENT_OK);
    }
    r->remark[0] = '\0';
    for (uint32_t i = 6; i >= 1; i--) {
        rig_undo(r, i);
    }
    assert_string_equal(r->remark, "");
    assert_int_equal(
        rig_number(r, "SELECT count(*) FROM pg_constraint WHERE conrelid = 'users'::regclass AND contype <> 'n'"), 5);
}

static void what_cannot_be_built_again_is_not_lifted(void **state)
{
    struct rig *r = *state;
    constrained(r);
    rig_sql(r, "CREATE TABLE lines (u int REFERENCES users)");
    rig_refused(r, AGENT_RUN_DDL, 5, "constraint lines_u_fkey on table public.lines depends on");
    rig_sql(r, "DROP TABLE lines; ALTER TABLE users DROP CONSTRAINT sane; ALTER TABLE users ADD CONSTRAINT sane EXCLUDE"
               " (id WITH =)");
    rig_refused(r, AGENT_RUN_DDL, 3, "no server can build again");
    rig_exec(r->super, "CREATE PUBLICATION p FOR TABLE users");
    rig_refused(r, AGENT_RUN_DDL, 5, "subscribers tell the rows");
}

/* ---- Indexes ---- */

static void indexed(struct rig *r)
{
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text); CREATE INDEX by_name ON users (name);"
               "CREATE UNIQUE INDEX by_both ON users (name, id); INSERT INTO users SELECT g, 'n' || g FROM"
               " generate_series(1, 2000) g");
    rig_plan(r, "users", 3);
    step_of(r, 1, ZDM_ACTION_HIDE_INDEX, "by_name");
    step_of(r, 2, ZDM_ACTION_PURGE_INDEX, "by_name");
    rig_ddl(r, 3, ZDM_ACTION_REINDEX, NULL, NULL, NULL);
    for (uint32_t i = 1; i <= 2; i++) {
        free(rig_step(r, i)->table.name);
        rig_step(r, i)->table.name = NULL;
    }
    r->time_limit_ms = 0;
    rig_accept(r, 1);
}

static void index_is_watched_and_then_dropped_without_blocking(void **state)
{
    struct rig *r = *state;
    indexed(r);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    assert_string_equal(rig_value(r, "SELECT table_name || scans FROM zdm.hidden WHERE kind = 'index'"), "users0");
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNHIDE);
    assert_int_equal(rig_undo(r, 1), 1);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    r->grace_ms = 3600 * 1000;
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_EARLY);
    r->purge_now = true;
    /* An attempt that was ended in the middle leaves it invalid. */
    rig_exec(r->super, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_name'::regclass");
    rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_OK);
    rig_inspect(r, 2, AGENT_PROOF_DONE);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname = 'by_name'"), 0);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden"), 0);
}

static void index_that_others_need_is_refused(void **state)
{
    struct rig *r = *state;
    indexed(r);
    rig_sql(r, "DROP INDEX by_name; ALTER TABLE users ADD CONSTRAINT by_name UNIQUE (name)");
    rig_refused(r, AGENT_RUN_HIDE, 1, "ALTER TABLE public.users DROP CONSTRAINT by_name");
    rig_sql(r, "ALTER TABLE users DROP CONSTRAINT by_name; CREATE UNIQUE INDEX by_name ON users (name);"
               "CREATE TABLE x (n text REFERENCES users (name))");
    rig_refused(r, AGENT_RUN_HIDE, 1, "is needed by constraint x_n_fkey");
    rig_sql(r, "DROP TABLE x");
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_sql(r, "DROP INDEX by_name; CREATE INDEX by_name ON users (lower(name))");
    r->purge_now = true;
    rig_refused(r, AGENT_RUN_PURGE, 2, "is not the one that was to be dropped");
}

static void partitioned_index_is_dropped_with_its_parts(void **state)
{
    struct rig *r = *state;
    indexed(r);
    rig_sql(r, "DROP TABLE users; CREATE TABLE users (id int, name text) PARTITION BY LIST (id);"
               "CREATE TABLE users_1 PARTITION OF users FOR VALUES IN (1); CREATE INDEX by_name ON users (name)");
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_index WHERE indrelid = 'users_1'::regclass"), 0);
}

/* As the first run of step 3 does. */
static void note_files(struct rig *r)
{
    rig_exec(r->super, "INSERT INTO zdm.owned (migration, step, kind, schema_name, object) SELECT migration, 3, "
                       "'reindex', 'public', format('%s/3/%s/%s', migration, c.relname, c.relfilenode) FROM "
                       "zdm.migration, pg_class c WHERE c.relname IN ('by_name', 'by_both', 'users_pkey')");
}

static void every_index_of_a_table_is_built_anew(void **state)
{
    static const char files[] = "SELECT string_agg(relname || relfilenode, ',' ORDER BY relname) FROM pg_class WHERE "
                                "relname IN ('by_name', 'by_both', 'users_pkey')";
    struct rig *r = *state;
    indexed(r);
    char *before = strdup(rig_value(r, "%s", files));
    r->journal_step = 1;
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_STEP_DONE, 2, AGENT_OK);
    rig_inspect(r, 3, AGENT_PROOF_NOT_DONE);
    /* As an agent leaves it that was killed in the second of three. */
    note_files(r);
    rig_sql(r, "REINDEX INDEX CONCURRENTLY by_both");
    rig_sql(r, "CREATE INDEX by_name_ccnew ON users (name)");
    rig_exec(r->super, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_name_ccnew'::regclass");
    rig_back(r, 3, AGENT_PROOF_NOT_DONE, AGENT_RUN_INDEX_DROP);
    char *built = strdup(rig_value(r, "SELECT relfilenode FROM pg_class WHERE relname = 'by_both'"));
    rig_run(r, AGENT_RUN_REINDEX, 3, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname LIKE '%%_cc%%'"), 0);
    assert_string_equal(rig_value(r, "SELECT relfilenode FROM pg_class WHERE relname = 'by_both'"), built);
    free(built);
    assert_int_equal(r->journal_step, 4);
    rig_inspect(r, 3, AGENT_PROOF_DONE);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned"), 0);
    char *after = strdup(rig_value(r, "%s", files));
    assert_string_not_equal(after, before);
    for (const char *name = before; name != NULL; name = strchr(name, ',')) {
        char one[64];
        snprintf(one, sizeof one, "%.*s", (int)strcspn(name + 1, ",") + 1, name);
        assert_null(strstr(after, one));
        name++;
    }
    /* Back and forward again is done again. */
    rig_run(r, AGENT_RUN_STEP_BACK, 3, AGENT_OK);
    rig_back(r, 3, AGENT_PROOF_DONE, AGENT_RUN_NONE);
    rig_run(r, AGENT_RUN_REINDEX, 3, AGENT_OK);
    assert_int_equal(r->journal_step, 4);
    rig_run(r, AGENT_RUN_STEP_BACK, 3, AGENT_OK);
    note_files(r);
    assert_int_equal(rig_undo(r, 3), 1);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.owned"), 0);
    free(after);
    free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(table_is_the_same_after_two_hides_and_their_ways_back),
        RIG_TEST(row_whose_parent_went_meanwhile_leaves_the_foreign_key_not_valid),
        RIG_TEST(tables_that_refer_to_each_other_go_from_the_last_to_the_first),
        RIG_TEST(table_that_something_depends_on_is_not_hidden),
        RIG_TEST(name_that_was_taken_meanwhile_stops_the_way_back),
        RIG_TEST(table_goes_for_good_after_its_grace_and_not_before),
        RIG_TEST(partitioned_table_goes_and_comes_back_with_its_tree),
        RIG_TEST(what_rollbacks_left_is_purged_in_an_order_that_works),
        RIG_TEST(lifted_constraints_come_back_as_they_were),
        RIG_TEST(way_back_of_a_constraint_can_be_left_after_every_part),
        RIG_TEST(rows_that_stand_against_a_lifted_constraint_are_named),
        RIG_TEST(what_cannot_be_built_again_is_not_lifted),
        RIG_TEST(index_is_watched_and_then_dropped_without_blocking),
        RIG_TEST(index_that_others_need_is_refused),
        RIG_TEST(partitioned_index_is_dropped_with_its_parts),
        RIG_TEST(every_index_of_a_table_is_built_anew),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
