/*
 * test_survey_plan.c - what a survey knows of the plan itself: a step is tried on what the steps before it make, and
 * what they take away is in nobody's way.
 */
#include "tests/integration/postgresql/rig.h"
#include "tests/support/survey_rig.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

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

static void what_the_plan_makes_before_is_there_when_a_step_is_tried(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 10);
    rig_ddl(r, 1, ZDM_ACTION_CREATE_TYPE, NULL, "mood", "CREATE TYPE \"public\".\"mood\" AS ENUM ('good', 'bad')");
    rename_table(rig_step(r, 1), NULL);
    add_column(r, 2, "mood", "public.mood DEFAULT 'good'");
    rig_ddl(r, 3, ZDM_ACTION_ADD_CHECK, NULL, "in_mood",
            "ALTER TABLE public.users ADD CONSTRAINT in_mood CHECK (mood <> 'bad'::\"public\".mood) NOT VALID");
    rig_ddl(r, 4, ZDM_ACTION_CREATE_TABLE, NULL, NULL,
            "CREATE TABLE \"public\".\"orders\" (id int PRIMARY KEY, of int REFERENCES public.users (id), m mood)");
    rename_table(rig_step(r, 4), "orders");
    point_at(rig_step(r, 4), "users");
    rig_ddl(r, 5, ZDM_ACTION_ADD_FOREIGN_KEY, NULL, "last_order",
            "ALTER TABLE public.users ADD CONSTRAINT last_order FOREIGN KEY (age) REFERENCES public.orders (id) NOT "
            "VALID");
    point_at(rig_step(r, 5), "orders");
    rig_ddl(r, 6, ZDM_ACTION_VALIDATE, NULL, "last_order", "ALTER TABLE public.users VALIDATE CONSTRAINT last_order");
    rig_ddl(r, 7, ZDM_ACTION_CREATE_INDEX, NULL, "one_email",
            "CREATE UNIQUE INDEX CONCURRENTLY one_email ON public.users (email)");
    rig_ddl(r, 8, ZDM_ACTION_ADD_UNIQUE, NULL, "one_email",
            "ALTER TABLE public.users ADD CONSTRAINT one_email UNIQUE USING INDEX one_email");
    rig_ddl(r, 9, ZDM_ACTION_SET_DEFAULT, "m", NULL, "ALTER TABLE public.orders ALTER COLUMN m SET DEFAULT 'bad'");
    rename_table(rig_step(r, 9), "orders");
    rig_ddl(r, 10, ZDM_ACTION_SET_DEFAULT, "m", NULL, "ALTER TABLE public.orders ALTER COLUMN m SET DEFAULT 'mad'");
    rename_table(rig_step(r, 10), "orders");
    const struct zdm_survey *s = survey(r);
    for (size_t i = 0; i < 9; i++) {
        if (!s->steps[i].tried && i != 6) {
            print(s);
            fail_msg("step %zu was not tried", i + 1);
        }
    }
    expect(s, ERROR, "clone-refused", "mad");
    free(rig_step(r, 10)->sql);
    rig_step(r, 10)->sql = zdm_strdup("ALTER TABLE public.orders ALTER COLUMN m DROP DEFAULT");
    s = survey(r);
    expect_none(s, "clone-refused");
    expect_none(s, "not-tried");
    expect_none(s, "table-missing");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_type WHERE typname = 'mood'"), 0);
}

static void what_no_clone_can_show_is_said_and_no_error(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TYPE light AS ENUM ('red', 'green'); ALTER TABLE users ADD COLUMN lamp light");
    plan_of(r, "users", 4);
    struct zdm_step *as_is = rig_ddl(r, 1, ZDM_ACTION_AS_IS, NULL, NULL, "CREATE DOMAIN public.short AS varchar(10)");
    as_is->proof_sql = zdm_strdup("SELECT 1 WHERE to_regtype('public.short') IS NULL");
    rename_table(as_is, NULL);
    add_column(r, 2, "nick", "public.short");
    rig_ddl(r, 3, ZDM_ACTION_ADD_VALUE, "amber", "light", "ALTER TYPE public.light ADD VALUE IF NOT EXISTS 'amber'");
    rename_table(rig_step(r, 3), NULL);
    rig_ddl(r, 4, ZDM_ACTION_SET_DEFAULT, "lamp", NULL,
            "ALTER TABLE public.users ALTER COLUMN lamp SET DEFAULT 'amber'");
    const struct zdm_survey *s = survey(r);
    expect(s, WARNING, "not-tried", "builds on step");
    assert_int_equal(find(s, "not-tried", "short")->step, 2);
    assert_int_equal(find(s, "not-tried", "amber")->step, 4);
    assert_int_equal(find(s, "not-tried", "none of it alters")->step, 1);
    expect_none(s, "clone-refused");
}

static void triggers_are_on_the_clone_of_what_runs_as_it_is(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
               "CREATE TRIGGER touch BEFORE UPDATE OF age ON users FOR EACH ROW EXECUTE FUNCTION f();"
               "CREATE RULE quiet AS ON DELETE TO users DO INSTEAD NOTHING");
    plan_of(r, "users", 2);
    struct zdm_step *step = rig_ddl(r, 1, ZDM_ACTION_AS_IS, NULL, NULL,
                                    "ALTER TABLE public.users DISABLE TRIGGER touch; ALTER TABLE users DISABLE RULE "
                                    "quiet");
    step->proof_sql = zdm_strdup("SELECT 1");
    step = rig_ddl(r, 2, ZDM_ACTION_AS_IS, NULL, NULL, "ALTER TABLE public.users DISABLE TRIGGER nobody");
    step->proof_sql = zdm_strdup("SELECT 1");
    const struct zdm_survey *s = survey(r);
    assert_true(s->steps[0].tried);
    assert_int_equal(find(s, "not-tried", "nobody")->step, 2);
}

/* A plan that is only asked about writes nothing, however its statements hide in one another's quotes and comments. */
static void what_runs_as_it_is_never_reaches_a_real_table(void **state)
{
    static const char *const scripts[] = {
        "ALTER TABLE public.users ALTER COLUMN name SET DEFAULT E'it\\'s'; UPDATE accounts SET n = 1; SELECT '';",
        "ALTER TABLE public.users DISABLE TRIGGER ALL -- it's\r; UPDATE accounts SET n = 1; SELECT '",
        "ALTER TABLE public.users DISABLE TRIGGER ALL /* /* */ ' */; UPDATE accounts SET n = 1 /* ' */",
        "ALTER TABLE public.users DISABLE TRIGGER ALL; DO $x$ BEGIN UPDATE accounts SET n = 1; END $x$",
        "ALTER /* ' */ TABLE public.users DISABLE TRIGGER ALL; UPDATE accounts SET n = 1 /* ' */",
        "ALTER TABLE public.users ADD COLUMN n int, INHERIT accounts",
    };
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE accounts (n int); INSERT INTO accounts VALUES (0)");
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        plan_of(r, "users", 2);
        rig_ddl(r, 1, ZDM_ACTION_AS_IS, NULL, NULL, scripts[i])->proof_sql = zdm_strdup("SELECT 1");
        add_column(r, 2, "later", "int");
        (void)survey(r);
        assert_int_equal(rig_number(r, "SELECT n FROM accounts"), 0);
        assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relname = 'accounts' AND relhassubclass"),
                         0);
    }
}

static void constraint_that_goes_before_is_in_nobodys_way(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "ALTER TABLE users ADD CONSTRAINT short CHECK (length(name) < 50), ADD UNIQUE (email);"
               "CREATE TABLE mails (id int PRIMARY KEY, email text REFERENCES users (email))");
    plan_of(r, "users", 3);
    rig_ddl(r, 1, ZDM_ACTION_LIFT_CONSTRAINT, NULL, "users_email_key", NULL);
    rig_ddl(r, 2, ZDM_ACTION_ADD_CHECK, NULL, "short",
            "ALTER TABLE public.users ADD CONSTRAINT short CHECK (length(name) < 500) NOT VALID");
    rig_ddl(r, 3, ZDM_ACTION_HIDE_COLUMN, "email", "~zdm_h", NULL);
    const struct zdm_survey *s = survey(r);
    expect(s, ERROR, "dependents", "mails_email_fkey");
    expect(s, ERROR, "already-there", "short");
    plan_of(r, "users", 5);
    rig_ddl(r, 1, ZDM_ACTION_LIFT_CONSTRAINT, NULL, "mails_email_fkey", NULL);
    rename_table(rig_step(r, 1), "mails");
    rig_ddl(r, 2, ZDM_ACTION_LIFT_CONSTRAINT, NULL, "users_email_key", NULL);
    rig_ddl(r, 3, ZDM_ACTION_LIFT_CONSTRAINT, NULL, "short", NULL);
    rig_ddl(r, 4, ZDM_ACTION_ADD_CHECK, NULL, "short",
            "ALTER TABLE public.users ADD CONSTRAINT short CHECK (length(name) < 500) NOT VALID");
    rig_ddl(r, 5, ZDM_ACTION_HIDE_COLUMN, "email", "~zdm_h", NULL);
    s = survey(r);
    expect_clean(s);
    assert_true(s->steps[1].tried);
    assert_true(s->steps[2].tried);
}

#define PLAN_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAN_TEST(what_the_plan_makes_before_is_there_when_a_step_is_tried),
        PLAN_TEST(what_no_clone_can_show_is_said_and_no_error),
        PLAN_TEST(triggers_are_on_the_clone_of_what_runs_as_it_is),
        PLAN_TEST(what_runs_as_it_is_never_reaches_a_real_table),
        PLAN_TEST(constraint_that_goes_before_is_in_nobodys_way),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
