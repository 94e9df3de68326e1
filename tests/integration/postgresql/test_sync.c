/*
 * test_sync.c - derived triggers: the eight wrong ways to derive one, done right; guards, both directions, and what is
 * refused before anything is touched. test_writers.c has the same under concurrent writers.
 */
#include "tests/integration/postgresql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* users(id, name, …) with full_name as a copy of name, installed. */
static void copy_of_name(struct rig *r, const char *name_type, const char *full_name_type)
{
    rig_sql(r, "CREATE TABLE users (id bigserial PRIMARY KEY, name %s, age int DEFAULT 0, full_name %s)", name_type,
            full_name_type);
    rig_plan(r, "users", 3);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_copy(r, 2, ZDM_ACTION_BACKFILL, "full_name", "name");
    rig_step(r, 3)->action = ZDM_ACTION_SYNC_REMOVE;
    rig_step(r, 3)->sync_step = 1;
    rig_accept(r, 1);
}

static void installed_copy(struct rig *r)
{
    copy_of_name(r, "text NOT NULL", "text");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    assert_int_equal(r->journal_step, 2);
    assert_string_equal(rig_value(r, "SELECT has_schema_privilege('app_user', 'zdm', 'USAGE')"), "f");
}

static void forward(struct rig *r, const char *target, const char *expr, const char *expr_new, const char *source)
{
    rig_plan(r, "users", 2);
    rig_derive(r, 1, ZDM_ACTION_SYNC_INSTALL, target, expr, expr_new, &source, 1);
    rig_derive(r, 2, ZDM_ACTION_BACKFILL, target, expr, expr_new, &source, 1);
    rig_accept(r, 1);
}

static const char *row(struct rig *r, int id)
{
    return rig_value(r, "SELECT format('%%s|%%s', name, full_name) FROM users WHERE id = %d", id);
}

static void sync_is_proved_installed_twice_and_removed(void **state)
{
    struct rig *r = *state;
    copy_of_name(r, "text NOT NULL", "text");
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_ALREADY);
    rig_sql(r, "ALTER TABLE users DISABLE TRIGGER ALL; ALTER TABLE users ENABLE TRIGGER ALL");
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    assert_int_equal(r->journal_step, 2);
    rig_run(r, AGENT_RUN_STEP_DONE, 2, AGENT_OK);
    rig_inspect(r, 3, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_REMOVE_SYNC, 3, AGENT_OK);
    rig_inspect(r, 3, AGENT_PROOF_DONE);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%%zdm%%'"), 0);
}

static void changed_function_is_noticed(void **state)
{
    struct rig *r = *state;
    installed_copy(r);
    PGconn *agent = rig_connect(r, "zdm_agent");
    rig_exec(agent,
             "DO $$DECLARE f text; BEGIN FOR f IN SELECT proname FROM pg_proc WHERE pronamespace = 'zdm'::regnamespace"
             " LOOP EXECUTE format('CREATE OR REPLACE FUNCTION zdm.%I() RETURNS trigger LANGUAGE plpgsql AS"
             " ''BEGIN RETURN NEW; END''', f); END LOOP; END$$");
    PQfinish(agent);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
}

/* 1: the condition is not taken as it stands. */
static void old_code_that_renames_after_the_fill_is_followed(void **state)
{
    struct rig *r = *state;
    installed_copy(r);
    rig_app(r, "INSERT INTO users (name) VALUES ('Ann')");
    assert_string_equal(row(r, 1), "Ann|Ann");
    rig_app(r, "UPDATE users SET name = 'Beth' WHERE id = 1");
    assert_string_equal(row(r, 1), "Beth|Beth");
    rig_app(r, "UPDATE users SET full_name = 'Cleo' WHERE id = 1");
    assert_string_equal(row(r, 1), "Cleo|Cleo");
    rig_app(r, "UPDATE users SET full_name = 'Dora', name = 'Eve' WHERE id = 1");
    assert_string_equal(row(r, 1), "Dora|Dora");
    rig_app(r, "INSERT INTO users (full_name) VALUES ('New')");
    assert_string_equal(row(r, 2), "New|New");
}

/* 2: a key that moves behind the cursor takes its value along. */
static void row_whose_key_moves_is_filled(void **state)
{
    struct rig *r = *state;
    copy_of_name(r, "text NOT NULL", "text");
    rig_app(r, "INSERT INTO users (id, name) VALUES (100, 'Ann')");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "UPDATE users SET id = 1 WHERE id = 100");
    assert_string_equal(row(r, 1), "Ann|Ann");
}

/* 3: the application's own BEFORE trigger changes the source in an UPDATE that does not name it. */
static void change_by_the_applications_trigger_is_followed(void **state)
{
    struct rig *r = *state;
    copy_of_name(r, "text NOT NULL", "text");
    rig_sql(
        r,
        "CREATE FUNCTION up() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := upper(NEW.name); RETURN NEW; END';"
        "CREATE TRIGGER \"zz_Ünorm\" BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION up();"
        "CREATE TRIGGER \"Ünorm\" BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION up()");
    rig_app(r, "INSERT INTO users (name) VALUES ('ann')");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "UPDATE users SET age = 1");
    assert_string_equal(row(r, 1), "ANN|ANN");
}

/* 4: a default of the new column is no value that anybody wrote. */
static void default_of_the_new_column_does_not_destroy_the_old_value(void **state)
{
    struct rig *r = *state;
    copy_of_name(r, "text DEFAULT 'anon'", "text DEFAULT 'anon'");
    rig_refused(r, AGENT_RUN_INSTALL_SYNC, 1, "the default of column full_name");
    rig_step(r, 1)->derivation->assignments[0].initial = strdup("'anon'");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (name) VALUES ('Ann')");
    assert_string_equal(row(r, 1), "Ann|Ann");
    rig_app(r, "INSERT INTO users (full_name) VALUES ('Beth')");
    assert_string_equal(row(r, 2), "Beth|Beth");
    rig_app(r, "INSERT INTO users (age) VALUES (1)");
    assert_string_equal(row(r, 3), "anon|anon");
}

/* 5: a generated column is NULL in a BEFORE trigger. */
static void generated_source_is_refused(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text, low text GENERATED ALWAYS AS (lower(name)) STORED, "
               "full_name text)");
    forward(r, "full_name", "t.\"low\"", "NEW.\"low\"", "low");
    rig_refused(r, AGENT_RUN_INSTALL_SYNC, 1, "is generated");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_proc WHERE pronamespace = 'zdm'::regnamespace"), 0);
}

/* 6: the key's default is there before a BEFORE trigger runs. */
static void value_made_from_a_sequence_key_is_right(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id bigserial PRIMARY KEY, name text, full_name text)");
    forward(r, "full_name", "'U' || t.\"id\"", "'U' || NEW.\"id\"", "id");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (name) VALUES ('x')");
    assert_string_equal(row(r, 1), "x|U1");
}

/* 7: the expression runs in fixed settings, not in the application's. */
static void applications_time_zone_does_not_matter(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text, at timestamptz, full_name text)");
    forward(r, "full_name", "t.\"at\"::date::text || t.\"at\"::text", "NEW.\"at\"::date::text || NEW.\"at\"::text",
            "at");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "SET timezone = 'Asia/Tokyo'; INSERT INTO users (id, at) VALUES (1, '2024-01-01 23:30+00')");
    rig_app(r, "SET timezone = 'America/New_York'; SET datestyle = 'German'; INSERT INTO users (id, at) VALUES (2, "
               "'2024-01-01 23:30+00')");
    assert_string_equal(row(r, 1), "|2024-01-012024-01-01 23:30:00+00");
    assert_int_equal(rig_number(r, "SELECT count(DISTINCT full_name) FROM users"), 1);
}

/* 8: a function that the application may not call. */
static void function_of_a_private_schema_is_refused(void **state)
{
    struct rig *r = *state;
    rig_exec(r->super, "CREATE SCHEMA priv AUTHORIZATION app_owner");
    rig_sql(r, "CREATE FUNCTION priv.f(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';"
               "CREATE FUNCTION public.f(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';"
               "CREATE TABLE users (id int PRIMARY KEY, name text, full_name text)");
    forward(r, "full_name", "priv.f(t.\"name\")", "priv.f(NEW.\"name\")", "name");
    rig_refused(r, AGENT_RUN_INSTALL_SYNC, 1, "cannot be called by everybody");
    struct zdm_assignment *a = &rig_step(r, 1)->derivation->assignments[0];
    memcpy(strstr(a->expr, "priv.f"), "btrim ", 6);
    memcpy(strstr(a->expr_new, "priv.f"), "btrim ", 6);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
}

static void forward_with_a_filter_follows_it(void **state)
{
    struct rig *r = *state;
    static const char *const sources[] = {"name", "age"};
    rig_sql(r, "CREATE TABLE users (id bigserial PRIMARY KEY, name text, age int DEFAULT 0, full_name text)");
    rig_plan(r, "users", 1);
    struct zdm_derivation *d =
        rig_derive(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "lower(t.\"name\")", "lower(NEW.\"name\")", sources, 2);
    d->filter = strdup("t.\"age\" > 10");
    d->filter_new = strdup("NEW.\"age\" > 10");
    d->filter_old = strdup("OLD.\"age\" > 10");
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (name, age) VALUES ('ANN', 5), ('BETH', 20), ('CLEO', NULL)");
    assert_string_equal(row(r, 1), "ANN|");
    assert_string_equal(row(r, 2), "BETH|beth");
    assert_string_equal(row(r, 3), "CLEO|");
    rig_app(r, "UPDATE users SET age = 11 WHERE id = 1; UPDATE users SET age = 1 WHERE id = 2");
    assert_string_equal(row(r, 1), "ANN|ann");
    assert_string_equal(row(r, 2), "BETH|");
    rig_app(r, "UPDATE users SET full_name = 'mine' WHERE id = 1; UPDATE users SET id = 10 WHERE id = 1");
    assert_string_equal(row(r, 10), "ANN|ann");
}

static const char *targets(struct rig *r, int id)
{
    return rig_value(r, "SELECT format('%%s|%%s|%%s', email_ci, nick_ci, kind) FROM users WHERE id = %d", id);
}

/* Each target follows what it is made of itself, not what another target of the same UPDATE is made of. */
static void target_that_new_code_wrote_stays_when_the_source_of_another_changes(void **state)
{
    static const char *const sources[] = {"email", "nick", "age"};
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, email text, nick text, age int, email_ci text,"
               " nick_ci text, kind text)");
    rig_plan(r, "users", 1);
    struct zdm_derivation *d =
        rig_derive(r, 1, ZDM_ACTION_SYNC_INSTALL, "email_ci", "lower(t.\"email\")", "lower(NEW.\"email\")", sources, 3);
    rig_derive_more(d, "nick_ci", "lower(t.\"nick\")", "lower(NEW.\"nick\")");
    rig_derive_more(d, "kind", "'old'", "'old'");
    d->filter = strdup("t.\"age\" > 0");
    d->filter_new = strdup("NEW.\"age\" > 0");
    d->filter_old = strdup("OLD.\"age\" > 0");
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (id, email, nick, age) VALUES (1, 'A@B', 'ANN', 1)");
    assert_string_equal(targets(r, 1), "a@b|ann|old");
    rig_app(r, "UPDATE users SET email_ci = 'new@b', kind = 'new' WHERE id = 1");
    rig_app(r, "UPDATE users SET nick = 'BETH' WHERE id = 1");
    assert_string_equal(targets(r, 1), "new@b|beth|new");
    rig_app(r, "UPDATE users SET email = 'C@D' WHERE id = 1");
    assert_string_equal(targets(r, 1), "c@d|beth|new");
    /* The filter and the key are everybody's. */
    rig_app(r, "UPDATE users SET age = -1 WHERE id = 1");
    assert_string_equal(targets(r, 1), "||");
    rig_app(r, "UPDATE users SET age = 2 WHERE id = 1");
    assert_string_equal(targets(r, 1), "c@d|beth|old");
    rig_app(r, "UPDATE users SET kind = 'new' WHERE id = 1");
    rig_app(r, "UPDATE users SET id = 2 WHERE id = 1");
    assert_string_equal(targets(r, 2), "c@d|beth|old");
}

/* A source that no expression shows as the compiler writes it counts for every target. */
static void source_that_is_not_seen_in_any_expression_counts_for_all(void **state)
{
    static const char *const sources[] = {"email", "nick"};
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, email text, nick text, email_ci text, nick_ci text,"
               " kind text)");
    rig_plan(r, "users", 1);
    struct zdm_derivation *d =
        rig_derive(r, 1, ZDM_ACTION_SYNC_INSTALL, "email_ci", "lower(t.email)", "lower(NEW.email)", sources, 2);
    rig_derive_more(d, "nick_ci", "lower(t.\"nick\")", "lower(NEW.\"nick\")");
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (id, email, nick) VALUES (1, 'A@B', 'ANN')");
    rig_app(r, "UPDATE users SET email = 'C@D' WHERE id = 1");
    assert_string_equal(targets(r, 1), "c@d|ann|");
}

static void volatile_value_is_filled_once(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id bigserial PRIMARY KEY, name text, token uuid); INSERT INTO users (name) VALUES "
               "('old')");
    rig_plan(r, "users", 2);
    for (uint32_t i = 1; i <= 2; i++) {
        struct zdm_derivation *d = rig_derive(r, i, i == 1 ? ZDM_ACTION_SYNC_INSTALL : ZDM_ACTION_BACKFILL, "token",
                                              "gen_random_uuid()", "gen_random_uuid()", NULL, 0);
        d->assignments[0].fill_once = true;
    }
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (name) VALUES ('new')");
    rig_app(r, "UPDATE users SET id = id + 10 WHERE name = 'old'");
    char token[64];
    snprintf(token, sizeof token, "%s", rig_value(r, "SELECT token FROM users WHERE name = 'new'"));
    assert_int_equal(rig_number(r, "SELECT count(*) FROM users WHERE token IS NULL"), 0);
    rig_app(r, "UPDATE users SET name = 'newer' WHERE name = 'new'");
    rig_walk(r, 2, 10);
    assert_string_equal(rig_value(r, "SELECT token FROM users WHERE name = 'newer'"), token);
}

static void identity_is_more_than_equality(void **state)
{
    struct rig *r = *state;
    rig_exec(r->super, "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
                       "GRANT USAGE ON SCHEMA public TO PUBLIC");
    copy_of_name(r, "text COLLATE ci", "text COLLATE ci");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (name) VALUES ('ANN')");
    rig_app(r, "UPDATE users SET name = 'ann'");
    assert_string_equal(row(r, 1), "ann|ann");
    rig_sql(r, "DROP TABLE users");
    rig_accept(r, 2);
    rig_reload(r);
    rig_run(r, AGENT_RUN_STEP_BACK, 1, AGENT_OK);
    rig_sql(r, "CREATE TABLE users (id bigserial PRIMARY KEY, name numeric, full_name numeric)");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (name) VALUES (1.0); UPDATE users SET name = 1.00");
    assert_string_equal(row(r, 1), "1.00|1.00");
}

static void identity_is_more_than_equality_between_different_types_too(void **state)
{
    struct rig *r = *state;
    rig_exec(r->super, "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
                       "GRANT USAGE ON SCHEMA public TO PUBLIC");
    copy_of_name(r, "varchar(20) COLLATE ci", "text COLLATE ci");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (name) VALUES ('ANN')");
    rig_app(r, "UPDATE users SET name = 'ann'");
    assert_string_equal(row(r, 1), "ann|ann");
    rig_app(r, "UPDATE users SET full_name = 'Ann'");
    assert_string_equal(row(r, 1), "Ann|Ann");
}

/* Types whose equality is coarser than identity: each change shows in the other column, in the batch and in the check.
 */
static void change_that_equality_does_not_see_is_copied(void **state)
{
    static const char *const cases[][3] = {
        {"citext", "'ANN'", "'ann'"},
        {"numeric", "1.0", "1.00"},
        {"jsonb", "'{\"a\":1}'", "'{\"a\":1.0}'"},
        {"float8", "'0'", "'-0'"},
        {"interval", "'24 hours'", "'1 day'"},
        {"char(5)", "'a'", "'b'"},
    };
    struct rig *r = *state;
    rig_exec(r->super, "CREATE EXTENSION citext; GRANT USAGE ON SCHEMA public TO PUBLIC");
    copy_of_name(r, "text", "text");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig_sql(r, "DROP TABLE users");
        rig_accept(r, 2 + (uint64_t)i);
        rig_reload(r);
        rig_run(r, AGENT_RUN_STEP_BACK, 1, AGENT_OK);
        rig_sql(r, "CREATE TABLE users (id bigserial PRIMARY KEY, name %s, full_name %s)", cases[i][0], cases[i][0]);
        rig_sql(r, "INSERT INTO users (name, full_name) VALUES (%s, %s)", cases[i][2], cases[i][1]);
        rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
        rig_walk(r, 2, 10);
        rig_app(r, "INSERT INTO users (name) VALUES (%s)", cases[i][1]);
        rig_app(r, "UPDATE users SET name = %s WHERE id = 2", cases[i][2]);
        rig_app(r, "INSERT INTO users (name) VALUES (%s)", cases[i][1]);
        rig_app(r, "UPDATE users SET full_name = %s WHERE id = 3", cases[i][2]);
        if (rig_number(r, "SELECT count(*) FROM users WHERE record_image_ne(ROW(name), ROW(full_name))"
                          " OR name::text <> (SELECT name::text FROM users WHERE id = 1)") != 0) {
            fail_msg("%s: %s", cases[i][0], rig_value(r, "SELECT string_agg(users::text, ' ') FROM users"));
        }
    }
}

static void json_without_equality_is_kept_in_step(void **state)
{
    struct rig *r = *state;
    copy_of_name(r, "json", "json");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (name) VALUES ('{\"a\": 1}'); UPDATE users SET full_name = '{}'");
    assert_string_equal(row(r, 1), "{}|{}");
}

static void target_too_narrow_is_refused(void **state)
{
    struct rig *r = *state;
    copy_of_name(r, "text", "varchar(5)");
    rig_refused(r, AGENT_RUN_INSTALL_SYNC, 1, "cannot hold every value of name");
    rig_refused(r, AGENT_RUN_INSTALL_SYNC, 1, "Give the new column the type text");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"), 0);
    assert_int_equal(rig_number(r, "SELECT step FROM zdm.migration"), 1);
}

static void reverse_copy_is_guarded_where_it_does_not_fit(void **state)
{
    struct rig *r = *state;
    copy_of_name(r, "varchar(5) NOT NULL", "text");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (full_name) VALUES ('far too long')");
    assert_string_equal(row(r, 1), "|far too long");
    rig_app(r, "UPDATE users SET full_name = 'short'");
    assert_string_equal(row(r, 1), "short|short");
    rig_app(r, "UPDATE users SET full_name = 'much too long'");
    assert_string_equal(row(r, 1), "short|much too long");
    rig_app(r, "UPDATE users SET id = 7; UPDATE users SET id = 1, age = 4");
    assert_string_equal(row(r, 1), "short|much too long");
    rig_app(r, "UPDATE users SET full_name = NULL");
    assert_string_equal(row(r, 1), "short|");
    rig_app(r, "INSERT INTO users (age) VALUES (3)");
    assert_string_equal(row(r, 2), "|");
}

/* New code that writes nothing, or NULL, must not meet the old column's NOT NULL: of any type. */
static void old_column_that_must_not_be_null_has_a_value_of_its_type(void **state)
{
    static const char *const types[] = {
        "text",       "int",     "numeric(9,2)", "bool",      "date",   "timestamptz", "time",      "timetz(3)",
        "interval",   "json",    "jsonb",        "text[]",    "int[]",  "inet",        "cidr",      "macaddr",
        "bit(5)",     "varbit",  "uuid",         "bytea",     "mood",   "int4range",   "tsvector",  "point",
        "varchar(3)", "oid",     "char(4)",      "\"char\"",  "money",  "macaddr8",    "tstzrange", "xml",
        "pg_lsn",     "numeric", "mood[]",       "plainname", "tsquery"};
    struct rig *r = *state;
    rig_sql(r, "CREATE TYPE mood AS ENUM ('so so', 'fine'); CREATE DOMAIN plainname AS text");
    copy_of_name(r, "text", "text");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        rig_sql(r, "DROP TABLE users; CREATE TABLE users (id serial PRIMARY KEY, name %s NOT NULL, full_name %s)",
                types[i], types[i]);
        rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
        rig_app(r, "INSERT INTO users DEFAULT VALUES; INSERT INTO users (full_name) VALUES (NULL)");
        rig_app(r, "UPDATE users SET full_name = name WHERE id = 1; UPDATE users SET full_name = NULL");
        assert_int_equal(rig_number(r, "SELECT count(*) FROM users WHERE name IS NOT NULL AND full_name IS NULL"), 2);
        rig_run(r, AGENT_RUN_STEP_BACK, 1, AGENT_OK);
    }
}

static void old_column_of_a_type_without_such_a_value_is_refused(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TYPE pair AS (a int, b int); CREATE DOMAIN mail AS text CHECK (VALUE LIKE '%%@%%')");
    copy_of_name(r, "pair NOT NULL", "pair");
    rig_refused(r, AGENT_RUN_INSTALL_SYNC, 1, "column name of type public.pair is NOT NULL, and full_name is not");
    rig_sql(r, "ALTER TABLE users ALTER name SET DEFAULT '(1,2)'");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (full_name) VALUES (NULL), ('(3,4)')");
    assert_string_equal(row(r, 1), "(1,2)|(1,2)");
    assert_string_equal(row(r, 2), "(3,4)|(3,4)");
    rig_sql(r, "DROP TABLE users; CREATE TABLE users (id serial PRIMARY KEY, name mail NOT NULL, full_name mail)");
    rig_refused(r, AGENT_RUN_INSTALL_SYNC, 1, "of that type no value is known");
}

static void row_level_security_is_refused(void **state)
{
    struct rig *r = *state;
    copy_of_name(r, "text", "text");
    rig_sql(r, "ALTER TABLE users ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON users USING "
               "(age = 0)");
    rig_refused(r, AGENT_RUN_INSTALL_SYNC, 1, "hides rows from the agent");
    rig_refused(r, AGENT_RUN_BOUND, 2, "BYPASSRLS");
}

static void views_and_inheritance_are_refused(void **state)
{
    struct rig *r = *state;
    copy_of_name(r, "text", "text");
    rig_sql(r, "CREATE TABLE child () INHERITS (users)");
    rig_refused(r, AGENT_RUN_INSTALL_SYNC, 1, "inheritance");
    rig_sql(r,
            "DROP TABLE users CASCADE; CREATE VIEW users AS SELECT 1 AS id, ''::text AS name, ''::text AS full_name");
    rig_refused(r, AGENT_RUN_INSTALL_SYNC, 1, "no ordinary table");
}

static void session_without_triggers_is_synced_too(void **state)
{
    struct rig *r = *state;
    installed_copy(r);
    rig_exec(r->super, "SET session_replication_role = replica; INSERT INTO users (name) VALUES ('Ann')");
    assert_string_equal(row(r, 1), "Ann|Ann");
}

static void partitions_are_synced_across_row_movement(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int, name text, full_name text, PRIMARY KEY (id)) PARTITION BY RANGE (id);"
               "CREATE TABLE u1 PARTITION OF users FOR VALUES FROM (0) TO (10);"
               "CREATE TABLE u2 PARTITION OF users FOR VALUES FROM (10) TO (100)");
    rig_plan(r, "users", 1);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_accept(r, 1);
    r->lock_wait_ms = 200;
    rig_app(r, "INSERT INTO users (id, name) VALUES (1, 'Ann')");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_app(r, "UPDATE users SET id = 20");
    assert_string_equal(row(r, 20), "Ann|Ann");
    rig_sql(r, "ALTER TABLE u2 DISABLE TRIGGER ALL");
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(sync_is_proved_installed_twice_and_removed),
        RIG_TEST(changed_function_is_noticed),
        RIG_TEST(old_code_that_renames_after_the_fill_is_followed),
        RIG_TEST(row_whose_key_moves_is_filled),
        RIG_TEST(change_by_the_applications_trigger_is_followed),
        RIG_TEST(default_of_the_new_column_does_not_destroy_the_old_value),
        RIG_TEST(generated_source_is_refused),
        RIG_TEST(value_made_from_a_sequence_key_is_right),
        RIG_TEST(applications_time_zone_does_not_matter),
        RIG_TEST(function_of_a_private_schema_is_refused),
        RIG_TEST(forward_with_a_filter_follows_it),
        RIG_TEST(target_that_new_code_wrote_stays_when_the_source_of_another_changes),
        RIG_TEST(source_that_is_not_seen_in_any_expression_counts_for_all),
        RIG_TEST(volatile_value_is_filled_once),
        RIG_TEST(identity_is_more_than_equality),
        RIG_TEST(identity_is_more_than_equality_between_different_types_too),
        RIG_TEST(change_that_equality_does_not_see_is_copied),
        RIG_TEST(json_without_equality_is_kept_in_step),
        RIG_TEST(target_too_narrow_is_refused),
        RIG_TEST(reverse_copy_is_guarded_where_it_does_not_fit),
        RIG_TEST(old_column_that_must_not_be_null_has_a_value_of_its_type),
        RIG_TEST(old_column_of_a_type_without_such_a_value_is_refused),
        RIG_TEST(row_level_security_is_refused),
        RIG_TEST(views_and_inheritance_are_refused),
        RIG_TEST(session_without_triggers_is_synced_too),
        RIG_TEST(partitions_are_synced_across_row_movement),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
