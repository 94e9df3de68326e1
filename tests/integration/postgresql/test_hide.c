/*
 * test_hide.c - hiding a column: what goes, what stays, what is kept for the way back, and what is refused.
 */
#include "tests/integration/postgresql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* users with full_name in step with name; step 2 hides name. */
static void migrated(struct rig *r)
{
    rig_sql(
        r,
        "CREATE TABLE parents (name text PRIMARY KEY); INSERT INTO parents VALUES ('Ann'), ('Beth');"
        "CREATE TABLE users (id serial PRIMARY KEY, name varchar(20) NOT NULL UNIQUE REFERENCES parents CHECK (name <> "
        "''),"
        " full_name varchar(20)); COMMENT ON COLUMN users.name IS 'the old one'; CREATE INDEX by_name ON users (name)");
    rig_plan(r, "users", 2);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_ddl(r, 2, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL);
    rig_step(r, 2)->sync_step = 1;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (name) VALUES ('Ann')");
}

static void hidden_column_goes_on_being_written_by_new_code(void **state)
{
    struct rig *r = *state;
    migrated(r);
    rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    assert_int_equal(r->journal_step, 3);
    rig_inspect(r, 2, AGENT_PROOF_DONE);
    assert_string_equal(rig_app_fails(r, "SELECT name FROM users"), "42703");
    rig_app(r, "INSERT INTO users (full_name) VALUES ('Cleo'), (NULL)");
    rig_app(r, "UPDATE users SET full_name = 'Dora' WHERE id = 1");
    /* NULL, which it could not hold before, is not carried over: the way back would not find its NOT NULL again. */
    rig_app(r, "INSERT INTO users (full_name) VALUES ('Eve'); UPDATE users SET full_name = NULL WHERE id = 4");
    assert_string_equal(rig_value(r, "SELECT string_agg(coalesce(zdm_h_name, '-'), ',' ORDER BY id) FROM users"),
                        "Dora,Cleo,,Eve");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.hidden WHERE kind IN ('check', 'foreign key', 'unique')"),
                     3);
    assert_string_equal(rig_value(r, "SELECT definition || comment FROM zdm.hidden WHERE kind = 'column'"),
                        "NOT NULLthe old one");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname = 'by_name'"), 1);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_ALREADY);
}

static void view_that_depends_on_the_column_is_named(void **state)
{
    struct rig *r = *state;
    migrated(r);
    rig_sql(r, "CREATE VIEW names AS SELECT name FROM users");
    rig_refused(r, AGENT_RUN_HIDE, 2, "view public.names depends on column name");
    rig_app(r, "INSERT INTO users (name) VALUES ('Beth')");
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
}

static void key_columns_are_not_hidden(void **state)
{
    struct rig *r = *state;
    migrated(r);
    free(rig_step(r, 2)->column);
    rig_step(r, 2)->column = strdup("id");
    rig_refused(r, AGENT_RUN_HIDE, 2, "part of the primary key");
}

static void what_could_not_come_back_is_not_hidden(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name int GENERATED ALWAYS AS IDENTITY);"
               "CREATE TABLE parts (id int, name int, UNIQUE (id, name)) PARTITION BY RANGE (id);"
               "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (9)");
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL);
    rig_accept(r, 1);
    rig_refused(r, AGENT_RUN_HIDE, 1, "column name of public.users is an identity column");
    rig_plan(r, "parts", 1);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL);
    rig_accept(r, 2);
    rig_refused(r, AGENT_RUN_HIDE, 1, "is part of the unique index");
    rig_sql(r, "ALTER TABLE parts DROP CONSTRAINT parts_id_name_key; CREATE UNIQUE INDEX leaf ON parts_1 (name)");
    rig_refused(r, AGENT_RUN_HIDE, 1, "is part of the unique index public.leaf");
    rig_sql(r, "DROP INDEX leaf");
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
}

static void published_table_is_not_touched(void **state)
{
    struct rig *r = *state;
    migrated(r);
    rig_exec(r->super, "CREATE PUBLICATION p FOR ALL TABLES");
    rig_refused(r, AGENT_RUN_HIDE, 2, "is published in p");
}

static void hiding_the_source_of_an_expression_removes_its_triggers(void **state)
{
    struct rig *r = *state;
    static const char *const sources[] = {"name"};
    rig_sql(r, "CREATE TABLE users (id serial PRIMARY KEY, name text, slug text)");
    rig_plan(r, "users", 2);
    rig_derive(r, 1, ZDM_ACTION_SYNC_INSTALL, "slug", "lower(t.\"name\")", "lower(NEW.\"name\")", sources, 1);
    rig_ddl(r, 2, ZDM_ACTION_HIDE_COLUMN, "name", "zdm_h_name", NULL);
    rig_step(r, 2)->sync_step = 1;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"), 0);
    rig_app(r, "INSERT INTO users (slug) VALUES ('x')");
}

static void taken_name_is_foreign(void **state)
{
    struct rig *r = *state;
    migrated(r);
    rig_sql(r, "ALTER TABLE users ADD zdm_h_name int");
    rig_inspect(r, 2, AGENT_PROOF_FOREIGN);
    rig_refused(r, AGENT_RUN_HIDE, 2, "was not made by this migration");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(hidden_column_goes_on_being_written_by_new_code),
        RIG_TEST(view_that_depends_on_the_column_is_named),
        RIG_TEST(key_columns_are_not_hidden),
        RIG_TEST(what_could_not_come_back_is_not_hidden),
        RIG_TEST(published_table_is_not_touched),
        RIG_TEST(hiding_the_source_of_an_expression_removes_its_triggers),
        RIG_TEST(taken_name_is_foreign),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
