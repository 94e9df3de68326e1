/*
 * test_owner.c - whose is what a plan makes: three roles (agent, owner, application) and default privileges.
 */
#include "tests/integration/postgresql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

#define USERS "CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users VALUES (1, 'ann'); "

static void create_table(struct rig *r)
{
    rig_plan(r, "notes", 1);
    rig_ddl(r, 1, ZDM_ACTION_CREATE_TABLE, NULL, NULL,
            "CREATE TABLE \"public\".\"notes\" (id int PRIMARY KEY, note text)")
        ->inverse = ZDM_INVERSE_HIDE;
    rig_accept(r, 1);
}

static void as_is(struct rig *r, const char *sql, const char *inverse, const char *proof)
{
    rig_plan(r, "users", 1);
    struct zdm_step *step = rig_ddl(r, 1, ZDM_ACTION_AS_IS, NULL, NULL, sql);
    step->inverse = ZDM_INVERSE_SQL;
    step->inverse_sql = zdm_strdup(inverse);
    step->proof_sql = zdm_strdup(proof);
    rig_accept(r, 1);
}

#define MAKES_VIEW                                                                                                     \
    "CREATE VIEW v AS SELECT id FROM users", "DROP VIEW v", "SELECT 1 WHERE to_regclass('public.v') IS NULL"

/* The agent's settings, anew. */
static void open_engine(struct rig *r, const char *owner)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    char dsn[512];
    r->engine.ops->close(r->engine.self);
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(r->pg, "zdm_agent", r->database));
    struct agent_engine_config config = {.dsn = dsn, .owner = owner, .sink = rig_sink(r)};
    assert_int_equal(agent_postgresql_open(&config, &r->engine, &err), ZDM_OK);
    rig_connect_engine(r);
}

static const char *owner_of(struct rig *r, const char *relation)
{
    return rig_value(r, "SELECT relowner::regrole FROM pg_class WHERE relname = '%s'", relation);
}

static void undo_to(struct rig *r, const char *before)
{
    rig_undo(r, 1);
    char *after = rig_dump(r, "public.*");
    assert_string_equal(before, after);
    free(after);
}

static void application_may_use_a_table_that_a_plan_made(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS);
    char *before = rig_dump(r, "public.*");
    create_table(r);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    assert_string_equal(owner_of(r, "notes"), "app_owner");
    rig_app(r, "INSERT INTO notes VALUES (1, 'x')");
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    undo_to(r, before);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_app(r, "INSERT INTO notes VALUES (1, 'x')");
    free(before);
}

static void type_belongs_to_the_owner(void **state)
{
    struct rig *r = *state;
    rig_sql(r,
            USERS "ALTER DEFAULT PRIVILEGES REVOKE ALL ON TYPES FROM public; ALTER DEFAULT PRIVILEGES GRANT USAGE ON "
                  "TYPES TO app_user");
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_CREATE_TYPE, NULL, "mood", "CREATE TYPE \"public\".\"mood\" AS ENUM ('ok')")->inverse =
        ZDM_INVERSE_HIDE;
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    assert_string_equal(rig_value(r, "SELECT typowner::regrole FROM pg_type WHERE typname = 'mood'"), "app_owner");
    assert_string_equal(rig_value(r, "SELECT has_type_privilege('app_user', 'mood', 'USAGE')"), "t");
    rig_undo(r, 1);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
}

static void as_is_makes_what_the_application_may_use(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS);
    char *before = rig_dump(r, "public.*");
    as_is(r, MAKES_VIEW);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    assert_string_equal(owner_of(r, "v"), "app_owner");
    rig_app(r, "SELECT id FROM v");
    undo_to(r, before);
    free(before);
}

static void long_statement_runs_as_the_owner_and_leaves_the_session_as_it_was(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS);
    as_is(r, "CREATE MATERIALIZED VIEW m AS SELECT current_user AS who", "DROP MATERIALIZED VIEW m",
          "SELECT 1 WHERE to_regclass('public.m') IS NULL");
    rig_run(r, AGENT_RUN_LONG_SQL, 1, AGENT_OK);
    assert_string_equal(owner_of(r, "m"), "app_owner");
    assert_string_equal(rig_value(r, "SELECT who FROM m"), "app_owner");
    rig_app(r, "SELECT who FROM m");
    /* The journal is the agent's alone: the session could not go on as the owner. */
    rig_undo(r, 1);
}

static void long_statement_that_fails_leaves_the_session_as_it_was(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS);
    as_is(r, "CREATE MATERIALIZED VIEW m AS SELECT 1 / (id - 1) AS x FROM users", "DROP MATERIALIZED VIEW m",
          "SELECT 1 WHERE to_regclass('public.m') IS NULL");
    rig_refused(r, AGENT_RUN_LONG_SQL, 1, "division by zero");
    rig_sql(r, "UPDATE users SET id = 2");
    rig_run(r, AGENT_RUN_LONG_SQL, 1, AGENT_OK);
}

static void statement_that_sets_the_role_does_not_keep_it(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS);
    as_is(r, "CREATE VIEW v AS SELECT id FROM users; SET ROLE app_owner", "DROP VIEW v",
          "SELECT 1 WHERE to_regclass('public.v') IS NULL");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_undo(r, 1);
}

static void as_is_on_a_table_is_tried_as_the_owner(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS);
    as_is(
        r, "ALTER TABLE users ADD COLUMN who text DEFAULT current_user", "ALTER TABLE users DROP COLUMN who",
        "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'users'::regclass AND attname = 'who')");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    assert_string_equal(rig_value(r, "SELECT who FROM users"), "app_owner");
}

static void owner_of_all_tables_is_found_without_a_setting(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS);
    open_engine(r, NULL);
    create_table(r);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    assert_string_equal(owner_of(r, "notes"), "app_owner");
}

static void nobody_guesses_among_several_owners(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS);
    rig_exec(r->super, "CREATE TABLE public.other (id int)");
    open_engine(r, NULL);
    create_table(r);
    rig_refused(r, AGENT_RUN_DDL, 1, "belong to app_owner, postgres");
    rig_refused(r, AGENT_RUN_DDL, 1, "Set `owner` in the agent's settings");
    open_engine(r, "app_owner");
    rig_accept(r, 2);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
}

static void empty_schema_has_no_owner_to_be_found(void **state)
{
    struct rig *r = *state;
    open_engine(r, NULL);
    create_table(r);
    rig_refused(r, AGENT_RUN_DDL, 1, "nobody owns a table in schema public");
}

static void owner_must_be_there_and_the_agents_to_use(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS);
    open_engine(r, "nobody_at_all");
    create_table(r);
    rig_refused(r, AGENT_RUN_DDL, 1, "does not exist");
    open_engine(r, "app_user");
    rig_refused(r, AGENT_RUN_DDL, 1, "GRANT app_user TO zdm_agent");
}

static void owner_must_be_allowed_to_create(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS);
    rig_exec(r->super, "REVOKE CREATE ON SCHEMA public FROM app_owner, public; ALTER SCHEMA public OWNER TO postgres");
    create_table(r);
    rig_refused(r, AGENT_RUN_DDL, 1, "GRANT USAGE, CREATE ON SCHEMA public TO app_owner");
}

static void as_is_without_a_right_says_whose(void **state)
{
    struct rig *r = *state;
    rig_sql(r, USERS);
    rig_exec(r->super, "REVOKE CREATE ON SCHEMA public FROM app_owner, public; ALTER SCHEMA public OWNER TO postgres");
    as_is(r, MAKES_VIEW);
    rig_refused(r, AGENT_RUN_DDL, 1, "It ran as app_owner");
    rig_exec(r->super, "GRANT CREATE ON SCHEMA public TO app_owner");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(application_may_use_a_table_that_a_plan_made),
        RIG_TEST(type_belongs_to_the_owner),
        RIG_TEST(as_is_makes_what_the_application_may_use),
        RIG_TEST(long_statement_runs_as_the_owner_and_leaves_the_session_as_it_was),
        RIG_TEST(long_statement_that_fails_leaves_the_session_as_it_was),
        RIG_TEST(statement_that_sets_the_role_does_not_keep_it),
        RIG_TEST(as_is_on_a_table_is_tried_as_the_owner),
        RIG_TEST(owner_of_all_tables_is_found_without_a_setting),
        RIG_TEST(nobody_guesses_among_several_owners),
        RIG_TEST(empty_schema_has_no_owner_to_be_found),
        RIG_TEST(owner_must_be_there_and_the_agents_to_use),
        RIG_TEST(owner_must_be_allowed_to_create),
        RIG_TEST(as_is_without_a_right_says_whose),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
