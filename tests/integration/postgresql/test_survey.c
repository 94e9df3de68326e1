/*
 * test_survey.c - what a plan would meet: each rule of the survey found where it is, and not found where it is not, on
 * a real server; and nothing is changed by looking.
 */
#include "tests/integration/postgresql/rig.h"
#include "tests/support/survey_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

static int group_setup(void **state)
{
    (void)state;
    return rig_group_start("autovacuum = off\nwal_level = logical\nmax_prepared_transactions = 10\n"
                           "shared_preload_libraries = 'pg_stat_statements'\npg_stat_statements.track = all\n"
                           "logging_collector = off\n");
}

static int setup(void **state)
{
    int failed = rig_setup(state);
    struct rig *r = *state;
    if (failed == 0) {
        rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, email text, age int);"
                   "INSERT INTO users SELECT i, 'n' || i, 'e' || i, i FROM generate_series(1, 100) i");
    }
    return failed;
}

static int teardown(void **state)
{
    survey_forget();
    return rig_teardown(state);
}

static void delete_rows(struct rig *r)
{
    struct zdm_step *step = rig_step(r, 1);
    step->action = ZDM_ACTION_DELETE;
    step->derivation = calloc(1, sizeof *step->derivation);
    step->derivation->filter = zdm_strdup("t.\"age\" > 50");
}

/* Expand, fill and hide: full_name of the given type takes the place of name. */
static void rename_plan(struct rig *r, const char *type)
{
    plan_of(r, "users", 4);
    add_column(r, 1, "full_name", type);
    bool empty = strstr(type, "DEFAULT ''") != NULL;
    for (uint32_t i = 2; i <= 3; i++) {
        enum zdm_action action = i == 2 ? ZDM_ACTION_SYNC_INSTALL : ZDM_ACTION_BACKFILL;
        struct zdm_derivation *d = rig_copy(r, i, action, "full_name", "name");
        d->assignments[0].initial = empty ? zdm_strdup("''") : NULL;
    }
    rig_ddl(r, 4, ZDM_ACTION_HIDE_COLUMN, "name", "~zdm_h", NULL);
}

/* ---- Tests ---- */

static void a_plain_rename_meets_nothing_on_a_plain_table(void **state)
{
    struct rig *r = *state;
    rename_plan(r, "text NOT NULL DEFAULT ''");
    expect(survey(r), ERROR, "default-differs", "the default of column name of public.users is NULL, not ''");
    rig_sql(r, "ALTER TABLE users ALTER name SET DEFAULT ''; ANALYZE users");
    const struct zdm_survey *s = survey(r);
    expect_clean(s);
    assert_int_equal(s->n_tables, 1);
    assert_true(s->tables[0].exists);
    assert_int_equal(s->tables[0].rows, 100);
    assert_int_equal(s->tables[0].n_columns, 4);
    assert_string_equal(s->tables[0].columns[1].name, "name");
    assert_string_equal(s->tables[0].columns[1].type, "text");
    assert_true(s->tables[0].columns[1].not_null);
    assert_non_null(strstr(s->tables[0].outline, "column name text not null"));
    assert_non_null(strstr(s->tables[0].outline, "constraint users_pkey PRIMARY KEY (id)"));
    assert_int_equal(s->n_steps, 4);
    assert_true(s->steps[0].tried);
    assert_int_equal(s->steps[0].observed_lock, ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE);
    assert_true(s->steps[2].room_bytes > 0);
    assert_string_not_equal(s->server_version, "");
    assert_non_null(strstr(s->node, r->database));
}

/* The server has 0 for them until PostgreSQL 13, -1 from 14 on. */
static void rows_that_nobody_has_counted_are_not_known(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE quiet (id int PRIMARY KEY) WITH (autovacuum_enabled = off)");
    plan_of(r, "quiet", 1);
    add_column(r, 1, "note", "text");
    assert_int_equal(survey(r)->tables[0].rows, 0);
    rig_sql(r, "INSERT INTO quiet SELECT generate_series(1, 40)");
    assert_int_equal(survey(r)->tables[0].rows, -1);
    rig_sql(r, "ANALYZE quiet");
    assert_int_equal(survey(r)->tables[0].rows, 40);
}

static void a_fingerprint_follows_the_schema_and_nothing_else(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 1);
    add_column(r, 1, "note", "text");
    struct zdm_hash first = survey(r)->tables[0].fingerprint;
    rig_sql(r, "INSERT INTO users VALUES (1000, 'x'); ANALYZE users");
    assert_true(zdm_hash_equal(&first, &survey(r)->tables[0].fingerprint));
    rig_sql(r, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'");
    static const char *const changes[] = {
        "CREATE INDEX extra ON users (age)",
        "ALTER TABLE users ADD CHECK (age > 0)",
        "ALTER TABLE users ALTER age SET DEFAULT 3",
        "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON users USING (true)",
        "CREATE TRIGGER g BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "ALTER TABLE users SET (fillfactor = 80)",
        "ALTER TABLE users ADD COLUMN more int"};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        rig_sql(r, "%s", changes[i]);
        struct zdm_hash next = survey(r)->tables[0].fingerprint;
        assert_false(zdm_hash_equal(&first, &next));
        first = next;
    }
}

static void what_is_missing_or_there_already_is_said_of_the_step(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 6);
    add_column(r, 1, "age", "int");
    rig_ddl(r, 2, ZDM_ACTION_SET_NOT_NULL, "nothing", NULL,
            "ALTER TABLE public.users ALTER COLUMN \"nothing\" SET NOT NULL");
    rig_ddl(r, 3, ZDM_ACTION_CREATE_INDEX, NULL, "users_pkey",
            "CREATE INDEX CONCURRENTLY \"users_pkey\" ON public.users (age)");
    rig_ddl(r, 4, ZDM_ACTION_LIFT_CONSTRAINT, NULL, "no_such", NULL);
    rig_ddl(r, 5, ZDM_ACTION_HIDE_INDEX, NULL, "no_index", NULL);
    free(rig_step(r, 5)->table.name);
    rig_step(r, 5)->table.name = NULL;
    rig_ddl(r, 6, ZDM_ACTION_ADD_CHECK, NULL, "old_check",
            "ALTER TABLE public.users ADD CONSTRAINT \"old_check\" CHECK (age > 0) NOT VALID");
    rig_sql(r, "ALTER TABLE users ADD CONSTRAINT old_check CHECK (age >= 0)");
    const struct zdm_survey *s = survey(r);
    expect(s, ERROR, "already-there", "public.users.age");
    expect(s, ERROR, "column-missing", "public.users.nothing");
    expect(s, ERROR, "already-there", "index public.users_pkey");
    expect(s, ERROR, "object-missing", "no_such");
    expect(s, ERROR, "object-missing", "public.no_index");
    expect(s, ERROR, "already-there", "constraint old_check");
    assert_int_equal(find(s, "column-missing", "")->step, 2);
    /* what the plan adds before is not missing, and what it marked is its own */
    plan_of(r, "users", 2);
    add_column(r, 1, "fresh", "int");
    rig_ddl(r, 2, ZDM_ACTION_SET_DEFAULT, "fresh", NULL,
            "ALTER TABLE public.users ALTER COLUMN \"fresh\" SET DEFAULT 3");
    expect_clean(survey(r));
    rig_sql(r, "ALTER TABLE users ADD COLUMN fresh int; COMMENT ON COLUMN users.fresh IS 'zdm:m%s'", r->database);
    expect_none(survey(r), "already-there");
    plan_of(r, "nobody", 1);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "c", NULL, "ALTER TABLE public.nobody ADD COLUMN \"c\" int");
    s = survey(r);
    expect(s, ERROR, "table-missing", "public.nobody");
    assert_false(s->tables[0].exists);
}

static void copies_that_do_not_fit_are_said_with_the_type_that_does(void **state)
{
    struct rig *r = *state;
    rename_plan(r, "varchar(10)");
    const struct zdm_survey *s = survey(r);
    expect(s, ERROR, "copy-narrow", "character varying(10)");
    rename_plan(r, "text");
    s = survey(r);
    expect_none(s, "copy-narrow");
    expect(s, WARNING, "copy-guarded", "NOT NULL");
    rig_sql(r, "ALTER TABLE users ALTER name DROP NOT NULL, ADD CONSTRAINT short CHECK (length(name) < 50)");
    s = survey(r);
    expect_none(s, "copy-guarded");
    expect(s, WARNING, "copy-constraint", "short");
    assert_null(find(s, "copy-constraint", "by_name"));
    rig_sql(r, "CREATE UNIQUE INDEX by_name ON users (name)");
    expect(survey(r), WARNING, "copy-constraint", "by_name");
    rig_sql(r, "DROP INDEX by_name");
    rename_plan(r, "text COLLATE \"C\"");
    expect(survey(r), ERROR, "copy-narrow", "both directions");
    /* an expression that this shard cannot compute */
    plan_of(r, "users", 2);
    add_column(r, 1, "slug", "text");
    rig_derive(r, 2, ZDM_ACTION_BACKFILL, "slug", "slugify(t.\"name\")", NULL, (const char *const[]){"name"}, 1);
    expect(survey(r), ERROR, "derivation-fails", "slugify");
    plan_of(r, "users", 2);
    add_column(r, 1, "slug", "text");
    rig_derive(r, 2, ZDM_ACTION_BACKFILL, "slug", "lower(t.\"name\")", NULL, (const char *const[]){"name"}, 1);
    expect_clean(survey(r));
}

static void tables_that_cannot_be_walked_or_changed_are_said(void **state)
{
    struct rig *r = *state;
    static const struct {
        const char *sql, *table, *rule, *text;
    } cases[] = {
        {"CREATE TABLE t1 (a int, b int)", "t1", "no-key", "t1"},
        {"CREATE TABLE t2 (a int PRIMARY KEY, b int); CREATE TABLE t2c () INHERITS (t2)", "t2", "inheritance", "t2c"},
        {"CREATE TABLE base (a int PRIMARY KEY, b int); CREATE VIEW t3 AS SELECT * FROM base", "t3", "not-a-table",
         "a view"},
        {"CREATE TABLE t4 (a int PRIMARY KEY, b int); ALTER TABLE t4 ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL "
         "SECURITY; CREATE POLICY p ON t4 USING (a > 1)",
         "t4", "row-security", "FORCE"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig_sql(r, "%s", cases[i].sql);
        plan_of(r, cases[i].table, 1);
        rig_derive(r, 1, ZDM_ACTION_BACKFILL, "b", "1", NULL, NULL, 0);
        const struct zdm_survey *s = survey(r);
        expect(s, ERROR, cases[i].rule, cases[i].text);
    }
    rig_exec(r->super, "CREATE TABLE public.t5 (a int PRIMARY KEY, b int)");
    plan_of(r, "t5", 1);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "b", "1", NULL, NULL, 0);
    expect(survey(r), ERROR, "not-owner", "postgres");
    rig_sql(r, "CREATE TABLE ok (a int PRIMARY KEY, b int); ALTER TABLE ok ENABLE ROW LEVEL SECURITY");
    plan_of(r, "ok", 1);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "b", "1", NULL, NULL, 0);
    expect_clean(survey(r));
}

static void survey_without_time_for_all_steps_says_what_it_left_out(void **state)
{
    struct rig *r = *state;
    enum { STEPS = 150 };
    plan_of(r, "users", STEPS);
    for (uint32_t i = 1; i <= STEPS; i++) {
        char column[16], sql[96];
        snprintf(column, sizeof column, "c%u", (unsigned)i);
        snprintf(sql, sizeof sql, "ALTER TABLE \"public\".\"users\" ADD COLUMN \"%s\" int", column);
        rig_ddl(r, i, ZDM_ACTION_ADD_COLUMN, column, NULL, sql);
    }
    r->time_limit_ms = 3000;
    expect(survey(r), WARNING, "not-surveyed", "the time of a check was over");
}

static void owner_that_may_not_create_is_found_before_the_step_is_refused(void **state)
{
    struct rig *r = *state;
    plan_of(r, "notes", 1);
    rig_ddl(r, 1, ZDM_ACTION_CREATE_TABLE, NULL, NULL, "CREATE TABLE \"public\".\"notes\" (id int)");
    expect_clean(survey(r));
    rig_exec(r->super, "REVOKE CREATE ON SCHEMA public FROM app_owner, public; ALTER SCHEMA public OWNER TO postgres");
    expect(survey(r), ERROR, "owner-unclear", "public");
}

static void triggers_of_the_application_that_a_batch_fires_are_listed(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
               "CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION f();"
               "CREATE TRIGGER of_email BEFORE UPDATE OF email ON users FOR EACH ROW EXECUTE FUNCTION f();"
               "CREATE TRIGGER gone AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION f();"
               "CREATE TRIGGER off BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION f();"
               "ALTER TABLE users DISABLE TRIGGER off");
    plan_of(r, "users", 1);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "age", "1", NULL, NULL, 0);
    const struct zdm_survey *s = survey(r);
    expect(s, WARNING, "trigger-fires", "trigger touch (BEFORE UPDATE, public.f)");
    assert_null(find(s, "trigger-fires", "of_email"));
    assert_null(find(s, "trigger-fires", "gone"));
    assert_null(find(s, "trigger-fires", "trigger off"));
    assert_non_null(strstr(find(s, "trigger-fires", "touch")->hint, "{triggers=skip}"));
    rig_step(r, 1)->skip_triggers = true;
    s = survey(r);
    expect_none(s, "trigger-fires");
    expect(s, ERROR, "missing-grant", "session_replication_role");
    plan_of(r, "users", 1);
    delete_rows(r);
    expect(survey(r), WARNING, "trigger-fires", "gone (AFTER DELETE");
    rename_plan(r, "text NOT NULL DEFAULT ''");
    expect_none(survey(r), "trigger-order");
    rig_sql(r, "CREATE TRIGGER \"Ünorm\" BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION f()");
    rig_sql(r, "CREATE TRIGGER \"~~late\" BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION f()");
    s = survey(r);
    expect(s, WARNING, "trigger-order", "Ünorm");
    expect(s, WARNING, "trigger-order", "~~late");
    assert_null(find(s, "trigger-order", "touch"));
}

static void triggers_are_not_skipped_where_a_foreign_key_needs_them(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE teams (id int PRIMARY KEY); INSERT INTO teams SELECT generate_series(1, 100);"
               "ALTER TABLE users ADD team int REFERENCES teams");
    plan_of(r, "users", 1);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "team", "1", NULL, NULL, 0);
    rig_step(r, 1)->skip_triggers = true;
    expect(survey(r), ERROR, "triggers-skip", "users_team_fkey");
    plan_of(r, "users", 1);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "age", "1", NULL, NULL, 0);
    rig_step(r, 1)->skip_triggers = true;
    expect_none(survey(r), "triggers-skip");
    rig_sql(r, "CREATE TABLE posts (id int PRIMARY KEY, author int REFERENCES users ON DELETE CASCADE)");
    plan_of(r, "users", 1);
    delete_rows(r);
    expect(survey(r), ERROR, "delete-cascades", "posts_author_fkey");
    rig_step(r, 1)->inverse = ZDM_INVERSE_IMPOSSIBLE;
    expect(survey(r), WARNING, "delete-cascades", "CASCADE");
}

static void statements_that_break_with_the_shape_of_the_table_are_found(void **state)
{
    struct rig *r = *state;
    rename_plan(r, "text NOT NULL DEFAULT ''");
    const struct zdm_survey *s = survey(r);
    expect(s, NOTE, "no-pg-stat-statements", "not in this database");
    rig_exec(r->super, "CREATE EXTENSION pg_stat_statements; SELECT pg_stat_statements_reset()");
    rig_app(r, "SELECT id, name FROM users; SELECT count(*) FROM users; SELECT id * 2, age FROM users");
    rig_app(r, "INSERT INTO users (id, name) VALUES (201, 'x') RETURNING id");
    s = survey(r);
    static const char *const rules[] = {"select-star", "returning-star", "insert-no-columns", "upsert",
                                        "no-pg-stat-statements"};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        expect_none(s, rules[i]);
    }
    rig_app(r, "SELECT * FROM users WHERE id = 1");
    rig_app(r, "SELECT u.* FROM public.\"users\" u");
    rig_app(r, "UPDATE users SET age = 3 WHERE id = 2 RETURNING *");
    rig_app(r, "INSERT INTO users VALUES (202, 'y', 'z', 4)");
    rig_app(r, "INSERT INTO users (id, name) VALUES (202, 'y') ON CONFLICT DO NOTHING");
    s = survey(r);
    expect(s, WARNING, "select-star", "SELECT * FROM users");
    expect(s, WARNING, "select-star", "SELECT u.*");
    expect(s, WARNING, "returning-star", "RETURNING *");
    expect(s, WARNING, "insert-no-columns", "INSERT INTO users VALUES");
    expect(s, WARNING, "upsert", "ON CONFLICT");
}

static void dependents_of_what_is_to_be_hidden_are_named(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE VIEW v AS SELECT name FROM users; CREATE MATERIALIZED VIEW mv AS SELECT name AS n FROM users;"
               "CREATE POLICY po ON users USING (name <> 'x');"
               "ALTER TABLE users ADD low text GENERATED ALWAYS AS (lower(name)) STORED, ADD UNIQUE (name);"
               "CREATE TABLE ch (n text REFERENCES users (name));"
               "CREATE FUNCTION sees() RETURNS text LANGUAGE sql AS 'SELECT name FROM users LIMIT 1';"
               "CREATE FUNCTION blind() RETURNS text LANGUAGE sql AS 'SELECT email FROM users LIMIT 1'");
    plan_of(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "name", "~zdm_h", NULL);
    const struct zdm_survey *s = survey(r);
    static const char *const names[] = {"view public.v", "materialized view public.mv", "policy po", "column low",
                                        "ch_n_fkey"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        expect(s, ERROR, "dependents", names[i]);
    }
    expect(s, WARNING, "function-body", "sees()");
    assert_null(find(s, "function-body", "blind()"));
    expect_none(s, "key-column");
    plan_of(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "id", "~zdm_h", NULL);
    rig_ddl(r, 2, ZDM_ACTION_HIDE_COLUMN, "age", "~zdm_i", NULL);
    s = survey(r);
    expect(s, ERROR, "key-column", "primary key");
    assert_null(find(s, "dependents", "users.age"));
    plan_of(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_TABLE, NULL, "zdm_trash_00000000", NULL);
    s = survey(r);
    expect(s, ERROR, "dependents", "view public.v");
    expect(s, ERROR, "dependents", "ch_n_fkey");
    assert_null(find(s, "missing-grant", "create schemas"));
}

static void publications_slots_and_replica_identity_are_seen(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 2);
    add_column(r, 1, "note", "text");
    rig_derive(r, 2, ZDM_ACTION_BACKFILL, "age", "1", NULL, NULL, 0);
    const struct zdm_survey *s = survey(r);
    expect_none(s, "published");
    expect_none(s, "logical-slot");
    rig_exec(r->super, "CREATE PUBLICATION all_of_it FOR ALL TABLES");
    s = survey(r);
    expect(s, ERROR, "published", "all_of_it (FOR ALL TABLES)");
    expect_none(s, "no-replica-identity");
    rig_step(r, 1)->publication_ok = true;
    expect(survey(r), NOTE, "published", "all_of_it");
    rig_sql(r, "ALTER TABLE users REPLICA IDENTITY NOTHING");
    expect(survey(r), ERROR, "no-replica-identity", "fails");
    rig_sql(r, "ALTER TABLE users REPLICA IDENTITY FULL");
    s = survey(r);
    expect(s, WARNING, "replica-identity-full", "FULL");
    expect_none(s, "no-replica-identity");
    rig_exec(r->super, "SELECT pg_create_logical_replication_slot('cdc', 'test_decoding')");
    s = survey(r);
    rig_exec(r->super, "SELECT pg_drop_replication_slot('cdc')");
    expect(s, WARNING, "logical-slot", "nobody reads it");
    assert_null(find(s, "logical-slot", "another shape"));
}

static void a_slot_that_is_read_now_is_an_error_of_the_step_until_its_fence_allows_it(void **state)
{
    struct rig *r = *state;
    char dsn[512];
    plan_of(r, "users", 2);
    add_column(r, 1, "note", "text");
    rig_derive(r, 2, ZDM_ACTION_BACKFILL, "age", "1", NULL, NULL, 0);
    rig_exec(r->super, "SELECT pg_create_logical_replication_slot('cdc', 'test_decoding')");
    (void)snprintf(dsn, sizeof dsn, "%s replication=database", test_pg_dsn(r->pg, "postgres", r->database));
    PGconn *reader = PQconnectdb(dsn);
    PGresult *res = PQexec(reader, "START_REPLICATION SLOT cdc LOGICAL 0/0");
    assert_int_equal(PQresultStatus(res), PGRES_COPY_BOTH);
    PQclear(res);
    const struct zdm_survey *s = survey(r);
    expect(s, ERROR, "logical-slot", "cdc (test_decoding) sees the table in another shape");
    assert_int_equal(find(s, "logical-slot", "another shape")->step, 1);
    expect(s, WARNING, "logical-slot", "keeps");
    rig_step(r, 1)->publication_ok = true;
    expect(survey(r), NOTE, "logical-slot", "another shape");
    PQfinish(reader);
    while (rig_number(r, "SELECT count(*) FROM pg_replication_slots WHERE active") > 0) {
        rig_value(r, "SELECT pg_sleep(0.02)");
    }
    rig_exec(r->super, "SELECT pg_drop_replication_slot('cdc')");
}

/* Exactly what deploy/sql grants: the rig's agent has no more. */
static void the_disk_is_seen_with_the_documented_grants(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 1);
    add_column(r, 1, "note", "text");
    const struct zdm_survey *s = survey(r);
    assert_true(s->disk_free_bytes > 0);
    expect_none(s, "missing-grant");
}

/* A trial that made them there failed: the agent has no right on it. */
static void indexes_in_a_tablespace_of_their_own_are_cloned_without_it(void **state)
{
    struct rig *r = *state;
    if (rig_number(r, "SELECT current_setting('server_version_num')") < 150000) {
        skip(); /* it takes a folder of the server's user */
    }
    rig_exec(r->super, "SET allow_in_place_tablespaces = on");
    rig_exec(r->super, "CREATE TABLESPACE fast LOCATION ''");
    rig_sql(r, "CREATE TABLE bills (id int PRIMARY KEY, no int, memo varchar(10), CONSTRAINT bills_no UNIQUE (no));"
               "CREATE INDEX bills_memo ON bills (no) INCLUDE (id) WHERE no > 3");
    rig_exec(r->super, "ALTER INDEX bills_pkey SET TABLESPACE fast");
    rig_exec(r->super, "ALTER INDEX bills_no SET TABLESPACE fast");
    rig_exec(r->super, "ALTER INDEX bills_memo SET TABLESPACE fast");
    plan_of(r, "bills", 3);
    rig_ddl(r, 1, ZDM_ACTION_WIDEN_TYPE, "memo", NULL, "ALTER TABLE public.bills ALTER COLUMN memo TYPE varchar(20)");
    rig_ddl(r, 2, ZDM_ACTION_LIFT_CONSTRAINT, NULL, "bills_no", NULL);
    rig_ddl(r, 3, ZDM_ACTION_LIFT_CONSTRAINT, NULL, "bills_pkey", NULL);
    const struct zdm_survey *s = survey(r);
    rig_sql(r, "DROP TABLE bills");
    rig_exec(r->super, "DROP TABLESPACE fast");
    expect_clean(s);
    assert_true(s->steps[0].tried && s->steps[1].tried && s->steps[2].tried);
}

static void partitions_are_counted_and_a_full_default_one_is_an_error(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE ev (id int NOT NULL, at int NOT NULL, PRIMARY KEY (id, at)) PARTITION BY LIST (at)");
    rig_sql(r, "CREATE TABLE ev_d PARTITION OF ev DEFAULT; CREATE TABLE ev_new (LIKE ev INCLUDING ALL)");
    plan_of(r, "ev", 1);
    struct zdm_step *step = rig_ddl(r, 1, ZDM_ACTION_ATTACH_PARTITION, NULL, NULL,
                                    "ALTER TABLE public.ev ATTACH PARTITION public.ev_new FOR VALUES IN (1000)");
    step->others = calloc(1, sizeof *step->others);
    step->n_others = 1;
    step->others[0].schema = zdm_strdup("public");
    step->others[0].name = zdm_strdup("ev_new");
    const struct zdm_survey *s = survey(r);
    expect_none(s, "default-partition");
    expect_none(s, "many-partitions");
    rig_sql(r, "INSERT INTO ev VALUES (1, 77)");
    expect(survey(r), ERROR, "default-partition", "ev_d");
    rig_sql(r, "DO $$ BEGIN FOR i IN 1..51 LOOP EXECUTE format('CREATE TABLE ev_%%s PARTITION OF ev FOR VALUES IN "
               "(%%s)', i, i); END LOOP; END $$");
    expect(survey(r), WARNING, "many-partitions", "52 partitions");
    free(step->others[0].name);
    step->others[0].name = zdm_strdup("ev_nowhere");
    expect(survey(r), ERROR, "table-missing", "ev_nowhere");
}

static void indexes_constraints_and_rows_in_the_way_are_found(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE INDEX by_age ON users (age); CREATE UNIQUE INDEX by_email ON users (email);"
               "ALTER TABLE users ADD CONSTRAINT short CHECK (length(name) < 100);"
               "INSERT INTO users VALUES (901, 'nobody', NULL, NULL)");
    rig_exec(r->super, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.by_age'::regclass");
    rig_sql(r, "ANALYZE users; SET enable_seqscan = off; SELECT id FROM users WHERE id = 3");
    plan_of(r, "users", 3);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_INDEX, NULL, "users_pkey", NULL);
    rig_ddl(r, 2, ZDM_ACTION_SET_NOT_NULL, "email", NULL,
            "ALTER TABLE public.users ALTER COLUMN \"email\" SET NOT NULL");
    rig_ddl(r, 3, ZDM_ACTION_WIDEN_TYPE, "name", NULL,
            "ALTER TABLE public.users ALTER COLUMN \"name\" TYPE varchar(300)");
    rig_flush(r->super);
    const struct zdm_survey *s = survey(r);
    expect(s, WARNING, "invalid-index", "by_age");
    expect(s, ERROR, "index-of-constraint", "users_pkey");
    expect(s, ERROR, "long-lock", "public.users"); /* SET NOT NULL alone */
    expect(s, ERROR, "check-over-widened", "short");
    expect_none(s, "index-in-use");
    rename_plan(r, "text NOT NULL DEFAULT ''");
    expect_none(survey(r), "two-unique");
    expect_none(survey(r), "unique-goes");
    rig_sql(r,
            "CREATE UNIQUE INDEX by_name ON users (name); CREATE UNIQUE INDEX by_word ON users (id) WHERE name > 'a';"
            "ALTER TABLE users ADD CONSTRAINT pair UNIQUE (age, name)");
    expect(survey(r), WARNING, "two-unique", "by_name");
    expect(survey(r), NOTE, "unique-goes", "by_name");
    expect(survey(r), NOTE, "unique-goes", "by_word");
    expect(survey(r), NOTE, "unique-goes", "pair");
}

static void a_column_that_could_not_come_back_is_said(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "ALTER TABLE users ADD COLUMN old int GENERATED ALWAYS AS IDENTITY; CREATE TYPE pair AS (a int, b int);"
               "ALTER TABLE users ADD COLUMN place pair; UPDATE users SET place = '(1,2)';"
               "ALTER TABLE users ALTER place SET NOT NULL; CREATE TABLE parts (id int, name int, UNIQUE (id, name))"
               " PARTITION BY RANGE (id)");
    plan_of(r, "users", 3);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "old", "~zdm_h", NULL);
    add_column(r, 2, "spot", "public.pair");
    rig_copy(r, 3, ZDM_ACTION_SYNC_INSTALL, "spot", "place");
    const struct zdm_survey *s = survey(r);
    expect(s, ERROR, "identity-column", "users.old");
    expect(s, ERROR, "copy-no-value", "spot");
    plan_of(r, "parts", 1);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "name", "~zdm_h", NULL);
    expect(survey(r), ERROR, "dependents", "parts_id_name_key");
}

static void an_index_that_is_scanned_is_said_to_be_in_use(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE INDEX by_age ON users (age); CREATE INDEX unused ON users (email)");
    PGconn *reader = rig_connect(r, "app_owner");
    rig_exec(reader, "SET enable_seqscan = off; SELECT count(*) FROM users WHERE age = 3");
    PQfinish(reader); /* sends its statistics */
    for (int i = 0;
         i < 100 && rig_number(r, "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'by_age'") == 0;
         i++) {
        rig_value(r, "SELECT pg_sleep(0.05)");
    }
    plan_of(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_INDEX, NULL, "by_age", NULL);
    rig_ddl(r, 2, ZDM_ACTION_HIDE_INDEX, NULL, "unused", NULL);
    const struct zdm_survey *s = survey(r);
    expect(s, WARNING, "index-in-use", "by_age");
    assert_null(find(s, "index-in-use", "unused"));
}

static void who_holds_a_concurrent_build_up_is_named(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_CREATE_INDEX, NULL, "by_age",
            "CREATE INDEX CONCURRENTLY \"by_age\" ON public.users (age)");
    const struct zdm_survey *s = survey(r);
    expect_none(s, "prepared-transaction");
    expect_none(s, "old-snapshot");
    expect_clean(s);
    assert_true(s->steps[0].room_bytes > 0);
    rig_app(r, "BEGIN; UPDATE users SET age = 5 WHERE id = 5; PREPARE TRANSACTION 'p1'");
    s = survey(r);
    rig_app(r, "ROLLBACK PREPARED 'p1'");
    expect(s, WARNING, "prepared-transaction", "'p1'");
}

static void what_the_server_would_do_to_the_table_is_seen_on_a_clone(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE DOMAIN positive AS int CHECK (VALUE > 0)");
    plan_of(r, "users", 1);
    add_column(r, 1, "d", "public.positive");
    expect(survey(r), ERROR, "clone-rewrites", "public.users");
    plan_of(r, "users", 1);
    add_column(r, 1, "d", "no_such_type");
    expect(survey(r), ERROR, "clone-refused", "no_such_type");
    plan_of(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_WIDEN_TYPE, "age", NULL, "ALTER TABLE public.users ALTER COLUMN \"age\" TYPE numeric");
    expect(survey(r), ERROR, "clone-rewrites", "public.users");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname LIKE 'zdm_survey%%' OR relname LIKE "
                                   "'%%clone%%'"),
                     0);
}

static void rights_that_are_missing_are_named(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 1);
    add_column(r, 1, "note", "text");
    if (rig_since(r, 15, "a survey without the note that nobody can grant deadlock_timeout")) {
        expect_none(survey(r), "missing-grant");
    } else {
        expect(survey(r), NOTE, "missing-grant", "may not set deadlock_timeout");
    }
    rig_exec(r->super, "REVOKE pg_read_all_stats FROM zdm_agent");
    const struct zdm_survey *s = survey(r);
    rig_exec(r->super, "GRANT pg_read_all_stats TO zdm_agent");
    expect(s, WARNING, "missing-grant", "pg_read_all_stats");
    char sql[200];
    snprintf(sql, sizeof sql, "ALTER DATABASE %s OWNER TO postgres; REVOKE TEMPORARY ON DATABASE %s FROM PUBLIC",
             r->database, r->database);
    rig_exec(r->super, sql);
    s = survey(r);
    expect(s, ERROR, "missing-grant", "temporary tables");
    assert_null(find(s, "missing-grant", "create schemas"));
    plan_of(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_TABLE, NULL, "zdm_trash_00000000", NULL);
    expect(survey(r), ERROR, "missing-grant", "create schemas");
}

static void a_large_table_is_estimated_and_its_room_is_counted(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 2);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "age", "1", NULL, NULL, 0);
    rig_ddl(r, 2, ZDM_ACTION_CREATE_INDEX, NULL, "by_age",
            "CREATE INDEX CONCURRENTLY \"by_age\" ON public.users (age)");
    const struct zdm_survey *s = survey(r);
    expect_none(s, "bloat");
    expect_none(s, "disk-room");
    assert_true(s->steps[0].estimate_ms < 1000);
    rig_exec(r->super, "UPDATE pg_class SET relpages = 2000000, reltuples = 2e8 WHERE oid = 'public.users'::regclass");
    s = survey(r);
    expect(s, NOTE, "bloat", "15 GB");
    rig_exec(r->super, "REVOKE pg_read_all_settings FROM zdm_agent");
    s = survey(r);
    rig_exec(r->super, "GRANT pg_read_all_settings TO zdm_agent");
    expect(s, NOTE, "disk-room", "cannot see");
    assert_non_null(strstr(find(s, "disk-room", "cannot see")->hint, "pg_read_all_settings"));
    assert_true(s->steps[0].estimate_ms > 10 * 60 * 1000);
    assert_true(s->steps[1].room_bytes > 1000000000);
}

static void other_migrations_and_this_one_under_way_are_said(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 1);
    add_column(r, 1, "note", "text");
    expect_none(survey(r), "hidden-leftover");
    rig_exec(r->super, "INSERT INTO zdm.hidden (migration, step, schema_name, table_name, kind, name, hidden_name, "
                       "by_rollback, definition, validated, state) VALUES ('other', 1, 'public', 'users', 'column', "
                       "'fax', '~zdm_x', false, '', true, "
                       "'hidden')");
    expect(survey(r), WARNING, "hidden-leftover", "fax");
}

static void a_migration_that_is_under_way_is_said(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 2);
    add_column(r, 1, "note", "text");
    add_column(r, 2, "more", "text");
    rig_accept(r, 1);
    expect_none(survey(r), "under-way");
    rig_exec(r->super, "UPDATE zdm.migration SET step = 2");
    expect(survey(r), NOTE, "under-way", "at step 2");
}

static void a_freeze_that_is_near_is_said(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 1);
    add_column(r, 1, "note", "text");
    expect_none(survey(r), "wraparound");
    rig_exec(r->super, "UPDATE pg_class SET relfrozenxid = ((txid_current() - 195000000 + 4294967296) % 4294967296)"
                       "::text::xid WHERE oid = 'public.users'::regclass");
    expect(survey(r), WARNING, "wraparound", "public.users");
}

/* Takes ten seconds: so old a transaction must be. */
static void who_holds_the_table_for_long_is_named(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 1);
    add_column(r, 1, "note", "text");
    PGconn *holder = rig_connect(r, "app_user");
    rig_exec(holder, "BEGIN; SELECT count(*) FROM users");
    expect_none(survey(r), "busy-table");
    rig_value(r, "SELECT pg_sleep(10.2)");
    const struct zdm_survey *s = survey(r);
    expect(s, WARNING, "busy-table", "app_user@");
    PQfinish(holder);
}

/* The test's engine, opened anew with this replica. */
static void open_with(struct rig *r, const char *replica)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    char dsn[512];
    r->engine.ops->close(r->engine.self);
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(r->pg, "zdm_agent", r->database));
    struct agent_engine_config config = {
        .dsn = dsn, .connect_timeout_ms = 5000, .replicas = &replica, .n_replicas = 1, .sink = rig_sink(r)};
    assert_int_equal(agent_postgresql_open(&config, &r->engine, &err), ZDM_OK);
    rig_connect_engine(r);
}

static void standbys_are_counted_and_those_nobody_looks_at_are_an_error(void **state)
{
    struct rig *r = *state;
    char dsn[512];
    plan_of(r, "users", 1);
    add_column(r, 1, "note", "text");
    const struct zdm_survey *s = survey(r);
    expect_none(s, "standby-unguarded");
    assert_int_equal(s->replicas, 0);
    struct test_pg *standby =
        test_pg_standby(r->pg, "b2", "max_standby_streaming_delay = 7s\nhot_standby_feedback = on\n");
    for (int i = 0; i < 200 && rig_number(r, "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn ="
                                             " pg_current_wal_lsn()") == 0;
         i++) {
        rig_value(r, "SELECT pg_sleep(0.05)");
    }
    s = survey(r);
    expect(s, ERROR, "standby-unguarded", "b2");
    assert_int_equal(s->replicas, 1);
    assert_int_equal(s->guarded, 0);
    rig_step(r, 1)->unguarded = true;
    expect(survey(r), NOTE, "standby-unguarded", "b2");
    rig_step(r, 1)->unguarded = false;
    rig_step(r, 1)->engine = ZDM_ENGINE_MYSQL; /* it locks nothing here */
    expect(survey(r), NOTE, "standby-unguarded", "b2");
    rig_step(r, 1)->engine = ZDM_ENGINE_POSTGRESQL;
    expect(survey(r), ERROR, "standby-unguarded", "b2");
    /* what parks at the step is an error here: the end of these takes an index wholly */
    rig_sql(r, "CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE INDEX by_age ON users (age)");
    static const struct {
        enum zdm_action action;
        const char *table;
        enum zdm_level level;
    } steps[] = {{ZDM_ACTION_REINDEX, "users", ERROR},
                 {ZDM_ACTION_PURGE_INDEX, "users", ERROR},
                 {ZDM_ACTION_ATTACH_PARTITION, "parts", ERROR},
                 {ZDM_ACTION_CREATE_INDEX, "parts", ERROR},
                 {ZDM_ACTION_CREATE_INDEX, "users", NOTE}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        char sql[100];
        (void)snprintf(sql, sizeof sql, "CREATE INDEX CONCURRENTLY by_age ON public.%s (id)", steps[i].table);
        plan_of(r, steps[i].table, 1);
        struct zdm_step *step = rig_ddl(r, 1, steps[i].action, NULL, "by_age", sql);
        if (steps[i].action == ZDM_ACTION_ATTACH_PARTITION) {
            point_at(step, "users");
        }
        expect(survey(r), steps[i].level, "standby-unguarded", "b2");
    }
    plan_of(r, "users", 1);
    add_column(r, 1, "note", "text");
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(standby, "zdm_agent", r->database));
    open_with(r, dsn);
    s = survey(r);
    expect_none(s, "standby-unguarded");
    expect(s, NOTE, "standby-delay", "is 7s");
    expect(s, NOTE, "standby-feedback", "b2");
    assert_int_equal(s->guarded, 1);
    rig_exec(r->super, "SELECT 1");
    test_pg_free(standby);
}

/* ---- Nothing is changed ---- */

static char *digest(struct rig *r)
{
    char *schema = rig_dump(r, "users");
    struct zdm_buffer all = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&all, schema);
    zdm_buffer_puts(&all, rig_value(r, "SELECT md5(string_agg(u::text, ',' ORDER BY id)) FROM public.users u"));
    zdm_buffer_puts(&all, rig_value(r, "SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE "
                                       "relnamespace IN ('public'::regnamespace, 'zdm'::regnamespace)"));
    zdm_buffer_puts(&all, rig_value(r, "SELECT count(*)::text FROM zdm.migration, zdm.plan, zdm.hidden"));
    free(schema);
    return zdm_buffer_take(&all);
}

/* The longest plan of this file: every kind of look is made once. */
static void looking_changes_nothing(void **state)
{
    struct rig *r = *state;
    rig_exec(r->super, "CREATE EXTENSION pg_stat_statements; SELECT pg_stat_statements_reset()");
    rename_plan(r, "text");
    char *before = digest(r);
    long files = rig_number(r, "SELECT sum(pg_relation_filenode(oid)::int8) FROM pg_class WHERE relname = 'users'");
    expect_none(survey(r), "not-surveyed");
    char *after = digest(r);
    assert_string_equal(before, after);
    assert_int_equal(files, rig_number(r, "SELECT sum(pg_relation_filenode(oid)::int8) FROM pg_class WHERE relname = "
                                          "'users'"));
    free(before);
    free(after);
    /* all that the agent's role ran but reads: made for the moment in its own temporary schema */
    const char *others = rig_value(
        r, "SELECT coalesce(string_agg(query, E'\\n'), '') FROM pg_stat_statements s JOIN pg_roles o ON o.oid ="
           " userid WHERE rolname = 'zdm_agent' AND query !~* '^\\s*(with|select|begin|rollback|commit|set|show"
           "|savepoint|release)\\M' AND query !~* 'pg_temp|temporary'");
    assert_string_equal(others, "");
}

static void a_survey_that_is_cancelled_ends_soon_and_leaves_nothing(void **state)
{
    struct rig *r = *state;
    rename_plan(r, "text");
    PGconn *holder = rig_connect(r, "app_owner");
    rig_exec(holder, "BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE");
    r->time_limit_ms = 15000;
    const struct zdm_survey *s = survey(r); /* waits for nobody */
    expect(s, WARNING, "not-surveyed", "");
    rig_exec(holder, "ROLLBACK");
    PQfinish(holder);
    uint64_t op = rig_begin(r, AGENT_OP_SURVEY, AGENT_RUN_NONE, 0, 0);
    r->engine.ops->cancel(r->engine.self, op);
    struct agent_result *result = rig_await(r, op);
    assert_true(result->outcome == AGENT_RETRY || result->outcome == AGENT_OK);
    agent_result_free(result);
    expect_clean(survey(r));
}

#define SURVEY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SURVEY_TEST(a_plain_rename_meets_nothing_on_a_plain_table),
        SURVEY_TEST(a_fingerprint_follows_the_schema_and_nothing_else),
        SURVEY_TEST(what_is_missing_or_there_already_is_said_of_the_step),
        SURVEY_TEST(copies_that_do_not_fit_are_said_with_the_type_that_does),
        SURVEY_TEST(tables_that_cannot_be_walked_or_changed_are_said),
        SURVEY_TEST(survey_without_time_for_all_steps_says_what_it_left_out),
        SURVEY_TEST(owner_that_may_not_create_is_found_before_the_step_is_refused),
        SURVEY_TEST(triggers_of_the_application_that_a_batch_fires_are_listed),
        SURVEY_TEST(triggers_are_not_skipped_where_a_foreign_key_needs_them),
        SURVEY_TEST(statements_that_break_with_the_shape_of_the_table_are_found),
        SURVEY_TEST(dependents_of_what_is_to_be_hidden_are_named),
        SURVEY_TEST(publications_slots_and_replica_identity_are_seen),
        SURVEY_TEST(a_slot_that_is_read_now_is_an_error_of_the_step_until_its_fence_allows_it),
        SURVEY_TEST(the_disk_is_seen_with_the_documented_grants),
        SURVEY_TEST(indexes_in_a_tablespace_of_their_own_are_cloned_without_it),
        SURVEY_TEST(partitions_are_counted_and_a_full_default_one_is_an_error),
        SURVEY_TEST(rows_that_nobody_has_counted_are_not_known),
        SURVEY_TEST(indexes_constraints_and_rows_in_the_way_are_found),
        SURVEY_TEST(a_column_that_could_not_come_back_is_said),
        SURVEY_TEST(an_index_that_is_scanned_is_said_to_be_in_use),
        SURVEY_TEST(who_holds_a_concurrent_build_up_is_named),
        SURVEY_TEST(what_the_server_would_do_to_the_table_is_seen_on_a_clone),
        SURVEY_TEST(rights_that_are_missing_are_named),
        SURVEY_TEST(a_large_table_is_estimated_and_its_room_is_counted),
        SURVEY_TEST(other_migrations_and_this_one_under_way_are_said),
        SURVEY_TEST(a_migration_that_is_under_way_is_said),
        SURVEY_TEST(a_freeze_that_is_near_is_said),
        SURVEY_TEST(who_holds_the_table_for_long_is_named),
        SURVEY_TEST(standbys_are_counted_and_those_nobody_looks_at_are_an_error),
        SURVEY_TEST(looking_changes_nothing),
        SURVEY_TEST(a_survey_that_is_cancelled_ends_soon_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, group_setup, rig_group_teardown);
}
