/*
 * zdmctl new: plain SQL, as people and frameworks print it, becomes a runbook that compiles. Ten of them are pinned
 * under drafts/; run with ZDM_GOLDEN_WRITE=1 to write those anew.
 */
#include "tests/unit/runbook/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct draft {
    const char *name; /* of the pinned file; NULL: only compiled */
    const char *type;
    const char *sql;
    const char *holds; /* a text that must be in it */
};

static const struct draft drafts[] = {
    {"rename-column", "varchar(80)", "ALTER TABLE users RENAME COLUMN name TO full_name",
     "ADD COLUMN full_name varchar(80)"},
    {"rename-table", NULL, "ALTER TABLE \"users\" RENAME TO \"people\";", "CREATE VIEW public.people"},
    {"bigint-key", NULL,
     "BEGIN;\n--\n-- Alter field id on event\n--\nALTER TABLE \"events\" ALTER COLUMN \"id\" TYPE bigint USING "
     "\"id\"::bigint;\n"
     "ALTER SEQUENCE IF EXISTS \"events_id_seq\" AS bigint;\nCOMMIT;\n",
     "DROP IDENTITY"},
    {"text-to-int", NULL, "ALTER TABLE orders ALTER COLUMN code TYPE integer USING NULLIF(code, '')::integer",
     "THEN CAST(NULLIF(code, '') AS int) END END WHERE code_new IS NULL"},
    {"timestamptz", NULL, "ALTER TABLE orders ALTER COLUMN placed_at TYPE timestamptz", "AT TIME ZONE 'UTC'"},
    {"narrow", "text", "ALTER TABLE users ALTER COLUMN email TYPE varchar(255)", "length(email) > 255"},
    {"django-default", NULL,
     "BEGIN;\nALTER TABLE \"shop_order\" ADD COLUMN \"state\" varchar(20) DEFAULT 'new' NOT NULL;\n"
     "ALTER TABLE \"shop_order\" ALTER COLUMN \"state\" DROP DEFAULT;\n"
     "CREATE INDEX \"shop_order_state_1b2c\" ON \"shop_order\" (\"state\");\nCOMMIT;\n",
     "## Phase 3: Contract"},
    {"merge", NULL,
     "ALTER TABLE users ADD COLUMN full_name text;\n"
     "UPDATE users SET full_name = concat_ws(' ', first_name, last_name);\n"
     "ALTER TABLE users ALTER COLUMN full_name SET NOT NULL;\n"
     "ALTER TABLE users DROP COLUMN first_name, DROP COLUMN last_name;",
     "DROP COLUMN last_name"},
    {"split", NULL,
     "ALTER TABLE users ADD COLUMN city text, ADD COLUMN zip text;\n"
     "UPDATE users SET city = split_part(address, ',', 1), zip = split_part(address, ',', 2);\n"
     "CREATE INDEX ON users (zip);\nALTER TABLE users DROP COLUMN address;",
     "split_part"},
    {"not-null", NULL, "ALTER TABLE accounts ADD COLUMN plan varchar(10) NOT NULL", "SET NOT NULL"},
    {"serial", NULL, "ALTER TABLE tickets ADD COLUMN number serial", "CREATE SEQUENCE public.tickets_number_seq"},
    {"generated", NULL, "ALTER TABLE lines ADD COLUMN total numeric GENERATED ALWAYS AS (price * amount) STORED",
     "SET total = price * amount"},
    {"alembic", NULL,
     "BEGIN;\nCREATE TYPE mood AS ENUM ('good', 'bad');\nALTER TABLE users ADD COLUMN mood mood;\n"
     "CREATE VIEW happy AS SELECT id FROM users WHERE mood = 'good';\nGRANT SELECT ON happy TO app;\n"
     "UPDATE alembic_version SET version_num='1234' WHERE alembic_version.version_num = '1233';\nCOMMIT;\n",
     "stamp"},
    {"bigint-references", NULL,
     "BEGIN;\n--\n-- Alter field id on author\n--\n"
     "SET CONSTRAINTS \"library_book_author_id_fk\" IMMEDIATE; ALTER TABLE \"library_book\" DROP CONSTRAINT "
     "\"library_book_author_id_fk\";\n"
     "ALTER TABLE \"library_author\" ALTER COLUMN \"id\" TYPE bigint USING \"id\"::bigint;\n"
     "ALTER SEQUENCE IF EXISTS \"library_author_id_seq\" AS bigint;\n"
     "ALTER TABLE \"library_book\" ALTER COLUMN \"author_id\" TYPE bigint USING \"author_id\"::bigint;\n"
     "ALTER TABLE \"library_book\" ADD CONSTRAINT \"library_book_author_id_fk\" FOREIGN KEY (\"author_id\") "
     "REFERENCES \"library_author\" (\"id\") DEFERRABLE INITIALLY DEFERRED;\nCOMMIT;\n",
     "ADD CONSTRAINT library_book_author_id_fk_new FOREIGN KEY (author_id_new) REFERENCES library_author (id_new)"},
    {"primary-key", NULL,
     "ALTER TABLE items DROP CONSTRAINT items_pkey; ALTER TABLE items ADD PRIMARY KEY (tenant_id, id);",
     "DROP CONSTRAINT items_pkey;\nALTER TABLE items ADD CONSTRAINT items_tenant_id_id_pkey PRIMARY KEY USING INDEX"},
    {NULL, NULL, "ALTER TABLE items DROP CONSTRAINT items_pkey, ADD CONSTRAINT items_pkey PRIMARY KEY (uuid)",
     "CREATE UNIQUE INDEX items_uuid_pkey ON items (uuid);"},
    {NULL, NULL, "ALTER TABLE s DROP CONSTRAINT u, ADD CONSTRAINT u UNIQUE (day, slot)",
     "UNIQUE USING INDEX s_day_slot_key"},
    {NULL, NULL,
     "ALTER TABLE a ALTER id TYPE bigint; ALTER TABLE b ALTER id TYPE bigint; ALTER TABLE b ALTER a_id TYPE bigint;\n"
     "ALTER TABLE a ALTER b_id TYPE bigint; ALTER TABLE b ADD CONSTRAINT f FOREIGN KEY (a_id) REFERENCES a (id);\n"
     "ALTER TABLE a ADD CONSTRAINT g FOREIGN KEY (b_id) REFERENCES b (id);",
     "FOREIGN KEY (b_id_new) REFERENCES b (id_new)"},
    {NULL, NULL,
     "ALTER TABLE \"blog_article\" DROP COLUMN \"legacy\" CASCADE;\nDROP TABLE IF EXISTS \"blog_draft\" CASCADE;",
     "DROP TABLE \"blog_draft\";"},
    {NULL, NULL, "ALTER INDEX a RENAME TO b", "ALTER INDEX public.b RENAME TO a;"},
    {NULL, NULL, "SET search_path TO billing, public; ALTER TABLE invoice ADD c int", "schema: billing"},
    {NULL, NULL, "SELECT pg_catalog.set_config('search_path', '', false); CREATE TABLE public.a (id int PRIMARY KEY)",
     "CREATE TABLE public.a"},
    {NULL, NULL, "INSERT INTO plans (name, price) VALUES ('basic', 1), ('pro', -2), ('none', NULL)",
     "DELETE FROM public.plans WHERE (name = 'basic' AND price = 1)\n   OR (name = 'pro' AND price = -2)\n   OR (name "
     "= "
     "'none' AND price IS NULL);"},
    {NULL, NULL, "INSERT INTO plans (name) VALUES ('basic') ON CONFLICT DO NOTHING", "lock=short no-undo"},
    {NULL, NULL, "GRANT SELECT, INSERT ON a, b TO app, PUBLIC",
     "REVOKE SELECT, INSERT ON public.a, public.b FROM app, PUBLIC;"},
    {NULL, NULL, "GRANT USAGE ON SEQUENCE s TO app; GRANT ALL ON SCHEMA x TO app",
     "has_schema_privilege('app', 'x', 'CREATE')"},
    {NULL, NULL, "ALTER TABLE docs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
     "NO FORCE ROW LEVEL SECURITY;"},
    {NULL, NULL, "ALTER TABLE docs DISABLE TRIGGER touch", "ALTER TABLE public.docs ENABLE TRIGGER touch;"},
    {NULL, NULL, "CREATE STATISTICS s ON a, b FROM t", "CREATE STATISTICS public.s ON a, b"},
    {NULL, NULL, "ALTER PUBLICATION p ADD TABLE a, b", "ALTER PUBLICATION p DROP TABLE public.a, public.b;"},
    {NULL, NULL, "ALTER TABLE t ALTER CONSTRAINT k DEFERRABLE INITIALLY DEFERRED",
     "AND (NOT condeferrable OR NOT condeferred)"},
    {NULL, NULL, "ALTER TABLE t ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY", "DROP IDENTITY;"},
    {NULL, NULL, "CREATE STATISTICS public.s ON a, b FROM t", "DROP STATISTICS public.s;"},
    {NULL, NULL,
     "CREATE OR REPLACE FUNCTION touch() RETURNS trigger AS $$ BEGIN RETURN NEW; END $$ LANGUAGE plpgsql;\n"
     "DROP TRIGGER IF EXISTS c ON t;\nCREATE TRIGGER c BEFORE UPDATE ON t FOR EACH ROW EXECUTE PROCEDURE touch();",
     "`DROP … IF EXISTS` in front of the CREATE is left out"},
    {NULL, NULL, "DROP FUNCTION touch(int, text)", "to_regprocedure('public.touch(int, text)')"},
    {NULL, NULL,
     "CREATE TABLE public.a (id bigint NOT NULL); CREATE SEQUENCE public.s; ALTER SEQUENCE public.s OWNED BY "
     "public.a.id;\n"
     "ALTER TABLE ONLY public.a ALTER COLUMN id SET DEFAULT nextval('public.s'::regclass);\n"
     "ALTER TABLE ONLY public.a ADD CONSTRAINT a_pkey PRIMARY KEY (id);",
     "ALTER TABLE a ADD CONSTRAINT a_pkey PRIMARY KEY (id)"},
    {NULL, NULL, "ALTER TABLE account ADD full_name varchar(100); UPDATE account SET full_name = first || ' ' || last;",
     "SELECT 1 FROM account WHERE length((first || ' ') || last) > 100;"},
    {NULL, NULL, "ALTER TABLE l ADD total numeric(10,2); UPDATE l SET total = price * n;",
     "CAST(price * n AS numeric(10, 2))"},
    {NULL, NULL, "ALTER TABLE line ADD c text; UPDATE line SET c = o.c FROM orders o WHERE o.id = line.order_id;",
     "SET c = (SELECT o.c FROM orders o WHERE o.id = line.order_id)\nWHERE EXISTS (SELECT FROM orders o"},
    {NULL, "text", "ALTER TABLE users RENAME COLUMN login TO username; ALTER INDEX i RENAME TO j;",
     "Renames of indexes and constraints are left out"},
    {NULL, NULL, "ALTER TABLE IF EXISTS users ADD COLUMN x int", "ALTER TABLE users ADD COLUMN x int"},
    {NULL, NULL, "ALTER TABLE t ADD n smallint GENERATED ALWAYS AS IDENTITY (START WITH 1000)",
     "CREATE SEQUENCE public.t_n_seq AS smallint START 1000;"},
    {NULL, NULL, "ALTER TABLE a ALTER COLUMN body TYPE text USING body::text", "ALTER COLUMN body TYPE text;"},
    {NULL, NULL, "ALTER TABLE a ALTER COLUMN body TYPE text USING title::text", "SET body_new = title::text"},
    {NULL, "text", "ALTER TABLE t RENAME login TO username; CREATE INDEX i ON t (username);", "NULL;\nCREATE INDEX i"},
    {NULL, NULL, "COMMENT ON COLUMN users.name IS 'a; b -- c'", "IS 'a; b -- c';"},
    {NULL, NULL, "ALTER TABLE users ADD COLUMN org_id bigint NOT NULL REFERENCES orgs (id) ON DELETE CASCADE",
     "ALTER TABLE users ADD FOREIGN KEY (org_id) REFERENCES orgs (id) ON DELETE CASCADE;"},
    {NULL, NULL, "ALTER TABLE users ADD COLUMN n int CONSTRAINT pos CHECK (n > 0) NOT NULL UNIQUE, ADD COLUMN m int",
     "ALTER TABLE users ADD CONSTRAINT pos CHECK (n > 0);\nALTER TABLE users ADD UNIQUE (n);"},
    {NULL, NULL, "ALTER TABLE users ADD COLUMN n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "ADD PRIMARY KEY (n)"},
    {NULL, NULL,
     "ALTER TABLE users ADD COLUMN n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY DEFERRABLE INITIALLY DEFERRED",
     "ADD PRIMARY KEY (n) DEFERRABLE INITIALLY DEFERRED;"},
    {NULL, NULL,
     "ALTER TABLE users ADD COLUMN n int NOT NULL CONSTRAINT u UNIQUE INITIALLY DEFERRED CHECK (n > 0), ADD m int",
     "ADD CONSTRAINT u UNIQUE (n) INITIALLY DEFERRED;\nALTER TABLE users ADD CHECK (n > 0);"},
    {NULL, NULL, "ALTER TABLE users ADD COLUMN n int NOT NULL UNIQUE NOT DEFERRABLE INITIALLY IMMEDIATE",
     "ADD UNIQUE (n);"},
    {NULL, NULL, "ALTER TABLE l ADD COLUMN total numeric GENERATED ALWAYS AS (price * amount) STORED NOT NULL",
     "SET total = price * amount;\nALTER TABLE l ALTER COLUMN total SET NOT NULL;"},
    {NULL, NULL,
     "ALTER TABLE l ADD COLUMN low text COLLATE \"C\" GENERATED ALWAYS AS (lower(name)) STORED UNIQUE DEFERRABLE",
     "ADD UNIQUE (low) DEFERRABLE;"},
    {NULL, NULL, "ALTER TABLE l ADD COLUMN low text COLLATE \"C\" GENERATED ALWAYS AS (lower(name)) STORED",
     "ADD COLUMN low text COLLATE \"C\";"},
    {NULL, NULL, "ALTER TABLE users ALTER COLUMN email TYPE text COLLATE \"C\"", "email_new text COLLATE \"C\""},
    {NULL, NULL, "ALTER TABLE ONLY public.orders ADD CONSTRAINT fk FOREIGN KEY (user_id) REFERENCES users (id)",
     "ALTER TABLE orders ADD CONSTRAINT fk"},
    {NULL, NULL, "CREATE UNIQUE INDEX i ON users (a);\nALTER TABLE users ADD CONSTRAINT i UNIQUE USING INDEX i;",
     "ON users (a);\nALTER TABLE users ADD CONSTRAINT i"},
    {NULL, NULL,
     "ALTER TABLE posts ALTER id TYPE bigint USING id::bigint;\n"
     "ALTER TABLE comments ALTER post_id TYPE bigint USING post_id::bigint;",
     "SET post_id_new = post_id WHERE"},
    {NULL, NULL, "UPDATE users SET a = 'x' WHERE a = 'y';\nUPDATE users SET a = 'z' WHERE a = 'w';", "= 'z'"},
    {NULL, NULL, "ALTER TABLE users ADD COLUMN id2 bigint GENERATED BY DEFAULT AS IDENTITY", "nextval"},
    {NULL, NULL, "ALTER TABLE users ALTER age TYPE bigint", "SET age_new = age"},
    {NULL, NULL, "ALTER TABLE users ALTER age TYPE integer USING age::integer", "THEN age::int END END WHERE"},
    {NULL, "text", "ALTER TABLE users ALTER age TYPE integer USING age::integer",
     "NOT (CASE WHEN age ~ '^ *[-+]?[0-9]{1,40} *$' THEN age::numeric BETWEEN -2147483648 AND 2147483647 ELSE false "
     "END);"},
    {NULL, NULL, "ALTER TABLE users ALTER age TYPE smallint",
     "CASE WHEN age BETWEEN -32768 AND 32767 THEN age::smallint"},
    {NULL, "integer", "ALTER TABLE users ALTER age TYPE smallint, ALTER age SET NOT NULL",
     "DROP COLUMN age;\nALTER TABLE users ALTER COLUMN age_new SET NOT NULL;"},
    {NULL, "boolean", "ALTER TABLE users ALTER age TYPE integer USING age::integer", "SET age_new = age::int WHERE"},
    {NULL, "numeric(12,2)", "ALTER TABLE t ALTER n TYPE numeric(6,2)",
     "CASE WHEN abs(round(n::numeric, 2)) < 10000 THEN n::numeric(6, 2) END"},
    {NULL, "text", "ALTER TABLE t ALTER n TYPE uuid USING n::uuid", "THEN n::uuid END WHERE n_new IS NULL"},
    {NULL, "text", "ALTER TABLE t ALTER n TYPE date USING n::date", "02-29)$'\n  THEN n::date END WHERE"},
    {NULL, "text", "ALTER TABLE t ALTER n TYPE jsonb USING n::jsonb",
     "SELECT n FROM t WHERE n IS NOT NULL AND (n::jsonb) IS NULL;"},
    {NULL, "text", "ALTER TABLE t ALTER n TYPE inet USING n::inet",
     "SELECT n FROM t WHERE n IS NOT NULL AND (n::inet) IS NULL;"},
    {NULL, "text", "ALTER TABLE t ALTER n TYPE mood USING n::mood", "what cannot be cast **fails**"},
    {NULL, NULL, "ALTER TABLE t ALTER id TYPE bigint", "SELECT last_value, is_called"},
    {NULL, NULL, "ALTER TABLE categories ALTER category_id TYPE bigint", "'PRIMARY KEY (category_id)'"},
    {NULL, NULL, "ALTER TABLE t ALTER id TYPE bigint",
     "DROP CONSTRAINT t_pkey,\n    ADD CONSTRAINT t_id_new_pkey PRIMARY KEY USING INDEX t_id_new_pkey;"},
    {NULL, "integer", "ALTER TABLE users ALTER age TYPE bigint USING age::bigint", "SET age_new = age WHERE"},
    {NULL, NULL, "ALTER TABLE users ALTER name TYPE text", "ALTER COLUMN name TYPE text"},
    {NULL, NULL, "ALTER TABLE users ALTER name TYPE varchar(200)", "varchar(200)"},
    {NULL, NULL, "CREATE TABLE tags (id bigint PRIMARY KEY, name text NOT NULL)", "## Phase 1: Expand"},
    {NULL, NULL, "CREATE UNIQUE INDEX users_email ON users (lower(email))", "Migrate"},
    {NULL, NULL, "ALTER TABLE users DROP COLUMN legacy", "Contract"},
    {NULL, NULL, "DROP TABLE old_users", "Contract"},
    {NULL, NULL, "DROP INDEX CONCURRENTLY users_name_idx", "Contract"},
    {NULL, NULL, "ALTER TABLE orders ADD CONSTRAINT orders_user_fk FOREIGN KEY (user_id) REFERENCES users (id)",
     "FOREIGN KEY"},
    {NULL, NULL,
     "ALTER TABLE orders DROP CONSTRAINT amount_check;\nALTER TABLE orders ADD CONSTRAINT amount_check CHECK (amount > "
     "0);",
     "DROP CONSTRAINT amount_check;\nALTER TABLE orders ADD CONSTRAINT"},
    {NULL, NULL, "ALTER TABLE users ALTER COLUMN email SET NOT NULL", "SET NOT NULL"},
    {NULL, NULL, "ALTER TABLE users ALTER COLUMN email DROP NOT NULL", "Expand"},
    {NULL, NULL, "ALTER TABLE users ALTER COLUMN state SET DEFAULT 'new'", "Expand"},
    {NULL, NULL, "DELETE FROM events WHERE created_at < now() - interval '90 days'", "Migrate"},
    {NULL, NULL, "CREATE EXTENSION pg_trgm;\nCREATE INDEX ON users USING gin (name public.gin_trgm_ops);",
     "pg_extension"},
    {NULL, NULL, "CREATE FUNCTION full_name(u users) RETURNS text LANGUAGE sql AS $$ SELECT u.name $$", NULL},
    {NULL, NULL, "CREATE FUNCTION answer(n int) RETURNS int LANGUAGE sql AS $$ SELECT n + 1 $$", "prosrc"},
    {NULL, NULL, "CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch()", "pg_trigger"},
    {NULL, NULL, "ALTER TABLE users ENABLE ROW LEVEL SECURITY", "relrowsecurity"},
    {NULL, NULL, "DROP VIEW happy", "no-undo"},
    {NULL, NULL, "ALTER TYPE mood ADD VALUE 'fine' AFTER 'good'", "ADD VALUE"},
    {NULL, NULL, "COMMENT ON TABLE users IS 'people'", "COMMENT"},
    {NULL, NULL, "ALTER TABLE users SET (fillfactor = 90)", "fillfactor"},
    {NULL, NULL,
     "SET CONSTRAINTS \"loan_branch_fk\" IMMEDIATE; ALTER TABLE \"loan\" DROP CONSTRAINT \"loan_branch_fk\";\n"
     "ALTER TABLE \"loan\" ALTER COLUMN \"branch_id\" SET NOT NULL;\n"
     "ALTER TABLE \"loan\" ADD CONSTRAINT \"loan_branch_fk\" FOREIGN KEY (\"branch_id\") REFERENCES \"branch\" "
     "(\"id\") "
     "DEFERRABLE INITIALLY DEFERRED;",
     "SET NOT NULL"},
    {NULL, NULL,
     "ALTER TABLE topics ADD n integer DEFAULT 0 NOT NULL;\nUPDATE topics SET n = (SELECT count(*) FROM replies WHERE "
     "replies.topic_id = topics.id);",
     "```sql {no-sync}\nUPDATE topics"},
    {NULL, NULL,
     "ALTER TABLE posts ADD excerpt text; UPDATE posts SET excerpt = left(raw, 400);\n"
     "CREATE INDEX a ON posts (topic_id) WHERE excerpt IS NOT NULL; CREATE INDEX b ON posts (lower(excerpt));",
     "left(raw, 400);\nCREATE INDEX a"},
    {NULL, NULL,
     "ALTER TABLE events ALTER payload TYPE jsonb USING payload::jsonb; ALTER TABLE events ALTER payload SET DEFAULT "
     "'{}';\nALTER TABLE events ALTER payload SET NOT NULL; CREATE INDEX p ON events USING gin (payload);",
     "USING gin (payload_new)"},
    {NULL, NULL,
     "ALTER TABLE events ALTER payload TYPE jsonb USING payload::jsonb; ALTER TABLE events ALTER payload SET DEFAULT "
     "'{}'",
     "ALTER COLUMN payload_new SET DEFAULT '{}'"},
    {NULL, "text", "ALTER TABLE \"Order\" RENAME \"user\" TO \"Ümlaut\"", "ADD COLUMN \"Ümlaut\""},
};

static char *make(const struct draft *draft)
{
    struct zdm_draft_options options = {.type = draft->type, .engine = ZDM_ENGINE_POSTGRESQL};
    struct zdm_error err = ZDM_ERROR_INIT;
    char *text = NULL;
    if (zdm_runbook_draft(draft->sql, &options, &text, &err) != ZDM_OK)
        print_error("%s\n  %s\n  %s\n", draft->sql, err.message, err.hint);
    return text;
}

static void every_draft_compiles_and_says_what_it_must(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof drafts / sizeof drafts[0]; i++) {
        if (drafts[i].holds == NULL)
            continue;
        char *text = make(&drafts[i]);
        wrong += text == NULL;
        if (text == NULL)
            continue;
        struct compiled c = compile_good("draft.md", text);
        if (strstr(text, drafts[i].holds) == NULL) {
            print_error("\"%s\" is not in:\n%s\n", drafts[i].holds, text);
            wrong++;
        }
        compiled_fini(&c);
        free(text);
    }
    assert_int_equal(wrong, 0);
}

static void drafts_are_written_as_they_were_pinned(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof drafts / sizeof drafts[0]; i++) {
        char path[256], full[1024];
        size_t n;
        if (drafts[i].name == NULL)
            continue;
        char *text = make(&drafts[i]);
        assert_non_null(text);
        snprintf(path, sizeof path, "tests/unit/runbook/drafts/%s.md", drafts[i].name);
        snprintf(full, sizeof full, "%s/%s", ZDM_SOURCE_DIR, path);
        if (getenv("ZDM_GOLDEN_WRITE") != NULL) {
            FILE *file = fopen(full, "w");
            assert_non_null(file);
            fputs(text, file);
            fclose(file);
        }
        char *pinned = read_source(path, &n);
        if (strcmp(pinned, text) != 0) {
            print_error("%s is another:\n%s\n", path, text);
            wrong++;
        }
        free(pinned);
        free(text);
    }
    assert_int_equal(wrong, 0);
}

static void a_draft_asks_for_each_type_that_makes_it_better(void **state)
{
    (void)state;
    static const char sql[] =
        "ALTER TABLE t ALTER a TYPE smallint, ALTER b TYPE integer USING b::integer; ALTER TABLE t "
        "RENAME c TO d; ALTER TABLE t ALTER id TYPE bigint;";
    static const struct zdm_draft_type types[] = {
        {"public.t.a", "integer"}, {"public.t.b", "boolean"}, {"public.t.c", "varchar(7)"}};
    for (size_t n = 0; n <= 3; n++) {
        struct zdm_draft_options options = {
            .types = types, .n_types = n, .asks = true, .engine = ZDM_ENGINE_POSTGRESQL};
        struct zdm_error err = ZDM_ERROR_INIT;
        char *text = NULL;
        enum zdm_code code = zdm_runbook_draft(sql, &options, &text, &err);
        assert_int_equal(code, n < 3 ? ZDM_NOT_FOUND : ZDM_OK);
        if (n < 3)
            assert_string_equal(err.detail, types[n].column);
        else
            assert_true(strstr(text, "THEN a::smallint END") != NULL &&
                        strstr(text, "SET b_new = b::int WHERE") != NULL &&
                        strstr(text, "ADD COLUMN d varchar(7)") != NULL);
        free(text);
    }
}

static void a_draft_needs_the_type_of_what_is_renamed(void **state)
{
    (void)state;
    struct zdm_draft_options options = {.schema = "shop"};
    struct zdm_error err = ZDM_ERROR_INIT;
    char *text = NULL;
    assert_int_equal(zdm_runbook_draft("ALTER TABLE users RENAME name TO full_name", &options, &text, &err),
                     ZDM_NOT_FOUND);
    assert_string_equal(err.detail, "shop.users.name");
    assert_non_null(strstr(err.hint, "--type"));
}

static void what_no_runbook_does_is_said_in_the_words_of_the_compiler(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "INSERT INTO users VALUES (1)",
        "SELECT 1",
        "",
        "BEGIN; COMMIT;",
        "ALTER TABLE",
        "UPDATE users SET a = b.x FROM b",
        "DELETE FROM users",
        "ALTER TABLE users ALTER COLUMN id TYPE uuid USING gen_random_uuid()",
        "ALTER TYPE mood RENAME TO mood_old",
        "SET search_path = a; ALTER TABLE t ADD c int; SET search_path = b; ALTER TABLE u ADD c int",
        "CREATE OR REPLACE VIEW v AS SELECT 1",
        "ALTER TABLE people RENAME TO members; ALTER TABLE members ADD COLUMN n int",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct zdm_draft_options options = {.id = NULL};
        struct zdm_error err = ZDM_ERROR_INIT;
        char *text = NULL;
        if (zdm_runbook_draft(texts[i], &options, &text, &err) != ZDM_INVALID)
            fail_msg("\"%s\" is drafted:\n%s", texts[i], text);
        assert_true(err.message[0] != '\0');
        assert_true(err.hint[0] != '\0');
    }
}

/* Of the SQL, whether it cannot be read, is refused at once, or as a line of the draft. */
static void what_is_wrong_is_named_with_its_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *at;
    } rows[] = {
        {"SELECT 1;\n  CREATE VIEW v AS SELECT;\nALTER TABLE t ADD;", "up.sql:3:18: syntax error"},
        {"BEGIN;\n-- a\n  INSERT INTO t SELECT * FROM u;", "up.sql:3:3: no runbook can be drafted"},
        {"ALTER TABLE t ADD a int;\nALTER TABLE u ADD b int;\n DELETE FROM v;\nALTER TABLE w ADD c int;",
         "up.sql:3:2: "},
        {"ALTER TABLE t ADD a int;\nUPDATE t SET a = b.x FROM b;", "up.sql:2:1: "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct zdm_draft_options options = {.file = "up.sql"};
        struct zdm_error err = ZDM_ERROR_INIT;
        char *text = NULL;
        assert_int_equal(zdm_runbook_draft(rows[i].sql, &options, &text, &err), ZDM_INVALID);
        if (strncmp(err.message, rows[i].at, strlen(rows[i].at)) != 0)
            fail_msg("\"%s\" is not at %s", err.message, rows[i].at);
    }
}

static void the_front_matter_has_what_was_asked_for(void **state)
{
    (void)state;
    struct zdm_draft_options options = {.id = "my-change", .schema = "shop"};
    struct zdm_error err = ZDM_ERROR_INIT;
    char *text = NULL;
    assert_int_equal(zdm_runbook_draft("ALTER TABLE users ADD COLUMN x int", &options, &text, &err), ZDM_OK);
    assert_non_null(strstr(text, "id: my-change\nschema: shop\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_draft_compiles_and_says_what_it_must),
        cmocka_unit_test(drafts_are_written_as_they_were_pinned),
        cmocka_unit_test(a_draft_asks_for_each_type_that_makes_it_better),
        cmocka_unit_test(a_draft_needs_the_type_of_what_is_renamed),
        cmocka_unit_test(what_no_runbook_does_is_said_in_the_words_of_the_compiler),
        cmocka_unit_test(what_is_wrong_is_named_with_its_line_and_column),
        cmocka_unit_test(the_front_matter_has_what_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
