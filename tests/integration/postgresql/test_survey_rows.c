/*
 * test_survey_rows.c - rows that are in the way of a step are found before it runs, by their key and nothing else of
 * them; and what the plan itself puts right before is not in the way.
 */
#include "tests/integration/postgresql/rig.h"
#include "tests/support/survey_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

static int setup(void **state)
{
    int failed = rig_setup(state);
    struct rig *r = *state;
    if (failed == 0) {
        rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, email text, age int);"
                   "INSERT INTO users SELECT i, 'n' || i, 'secret' || i, i FROM generate_series(1, 100) i");
    }
    return failed;
}

static int teardown(void **state)
{
    survey_forget();
    return rig_teardown(state);
}

static void unique_email(struct rig *r, uint32_t ordinal, const char *what)
{
    char sql[200];
    snprintf(sql, sizeof sql, "CREATE UNIQUE INDEX CONCURRENTLY one_email ON public.users (%s)", what);
    rig_ddl(r, ordinal, ZDM_ACTION_CREATE_INDEX, NULL, "one_email", sql);
}

/* No row's contents but its key are in any finding. */
static void expect_no_contents(const struct zdm_survey *s)
{
    for (size_t i = 0; i < s->n_findings; i++) {
        assert_null(strstr(s->findings[i].message, "secret"));
    }
}

static void values_that_stand_twice_are_found_before_a_unique_index(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 1);
    unique_email(r, 1, "email");
    expect_none(survey(r), "duplicate-rows");
    rig_sql(r, "UPDATE users SET email = 'secret1' WHERE id = 7; UPDATE users SET email = upper(email) WHERE id = 9;"
               "UPDATE users SET email = 'secret9' WHERE id = 3; UPDATE users SET email = NULL WHERE id IN (20, 21)");
    const struct zdm_survey *s = survey(r);
    expect(s, ERROR, "duplicate-rows",
           "1 value of one_email would stand in more than one row, as in rows [\"1\"] and [\"7\"]");
    expect_no_contents(s);
    plan_of(r, "users", 1);
    unique_email(r, 1, "lower(email)");
    expect(survey(r), ERROR, "duplicate-rows", "2 values of one_email");
    plan_of(r, "users", 1);
    unique_email(r, 1, "email) WHERE (age > 50");
    expect_none(survey(r), "duplicate-rows");
}

static void rows_that_break_a_check_or_point_nowhere_are_counted(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE towns (id int PRIMARY KEY); INSERT INTO towns SELECT generate_series(1, 90)");
    plan_of(r, "users", 5);
    rig_ddl(r, 1, ZDM_ACTION_ADD_CHECK, NULL, "grown",
            "ALTER TABLE public.users ADD CONSTRAINT grown CHECK (age > 18) NOT VALID");
    rig_ddl(r, 2, ZDM_ACTION_VALIDATE, NULL, "grown", "ALTER TABLE public.users VALIDATE CONSTRAINT grown");
    rig_ddl(r, 3, ZDM_ACTION_ADD_FOREIGN_KEY, NULL, "town",
            "ALTER TABLE public.users ADD CONSTRAINT town FOREIGN KEY (age) REFERENCES public.towns (id) NOT VALID");
    point_at(rig_step(r, 3), "towns");
    rig_ddl(r, 4, ZDM_ACTION_VALIDATE, NULL, "town", "ALTER TABLE public.users VALIDATE CONSTRAINT town");
    rig_ddl(r, 5, ZDM_ACTION_ADD_CHECK, NULL, "young",
            "ALTER TABLE public.users ADD CONSTRAINT young CHECK (age < 100) NOT VALID");
    const struct zdm_survey *s = survey(r);
    expect(s, ERROR, "rows-in-the-way", "18 rows would break grown");
    expect(s, ERROR, "rows-in-the-way", "10 rows would break town");
    expect(s, WARNING, "rows-in-the-way", "1 row breaks young, as row [\"100\"]");
    expect_no_contents(s);
    rig_sql(r, "DELETE FROM users WHERE age <= 18 OR age > 90");
    expect_none(survey(r), "rows-in-the-way");
}

/* Names are not searched for anything: "a@b" and "b@@" are columns like any other. */
static void foreign_key_of_columns_with_odd_names_is_looked_at(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE towns (\"b@@\" int PRIMARY KEY); INSERT INTO towns SELECT generate_series(1, 90);"
               "ALTER TABLE users RENAME age TO \"a@b\"");
    plan_of(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_ADD_FOREIGN_KEY, NULL, "town",
            "ALTER TABLE public.users ADD CONSTRAINT town FOREIGN KEY (\"a@b\") REFERENCES public.towns (\"b@@\") "
            "NOT VALID");
    point_at(rig_step(r, 1), "towns");
    rig_ddl(r, 2, ZDM_ACTION_VALIDATE, NULL, "town", "ALTER TABLE public.users VALIDATE CONSTRAINT town");
    const struct zdm_survey *s = survey(r);
    expect(s, ERROR, "rows-in-the-way", "10 rows would break town");
    expect_none(s, "rows-unseen");
}

static void what_the_plan_fills_and_deletes_before_is_counted_in(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "UPDATE users SET age = NULL WHERE id <= 10; UPDATE users SET email = 'secret50' WHERE id = 51");
    plan_of(r, "users", 6);
    add_column(r, 1, "mail", "text");
    rig_derive(r, 2, ZDM_ACTION_BACKFILL, "mail", "t.\"email\"", NULL, (const char *const[]){"email"}, 1);
    rig_derive(r, 3, ZDM_ACTION_BACKFILL, "age", "0", NULL, NULL, 0)->filter = zdm_strdup("t.\"age\" IS NULL");
    rig_ddl(r, 4, ZDM_ACTION_ADD_CHECK, "age", "~nn",
            "ALTER TABLE public.users ADD CONSTRAINT \"~nn\" CHECK (age IS NOT NULL) NOT VALID");
    rig_ddl(r, 5, ZDM_ACTION_VALIDATE, NULL, "~nn", "ALTER TABLE public.users VALIDATE CONSTRAINT \"~nn\"");
    unique_email(r, 6, "mail");
    const struct zdm_survey *s = survey(r);
    expect_none(s, "null-rows");
    expect(s, ERROR, "duplicate-rows", "[\"50\"] and [\"51\"]");
    free(rig_step(r, 3)->derivation->filter);
    rig_step(r, 3)->derivation->filter = zdm_strdup("t.\"id\" > 5");
    s = survey(r);
    expect(s, ERROR, "null-rows", "5 rows would be NULL in age, as row [\"1\"]");
    /* and a DELETE */
    struct zdm_step *step = rig_step(r, 3);
    zdm_derivation_free(step->derivation);
    step->action = ZDM_ACTION_DELETE;
    step->derivation = calloc(1, sizeof *step->derivation);
    step->derivation->filter = zdm_strdup("t.\"age\" IS NULL OR t.\"id\" = 51");
    s = survey(r);
    expect_none(s, "null-rows");
    expect_none(s, "duplicate-rows");
    expect(s, NOTE, "delete-rows", "11 rows would be deleted");
}

/* The server's own words would quote it: viewers read what a survey finds. */
static void value_that_the_plan_cannot_turn_is_not_quoted(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE FUNCTION told(text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION"
               " 'no number: %%', $1; END $$");
    const char *const turned[] = {"t.\"email\"::int", "told(t.\"email\")", "(1 / (t.\"age\" - t.\"age\"))"};
    const char *const states[] = {"(22P02)", "(P0001)", "(22012)"};
    for (size_t i = 0; i < sizeof turned / sizeof *turned; i++) {
        plan_of(r, "users", 4);
        add_column(r, 1, "number", "int");
        rig_derive(r, 2, ZDM_ACTION_BACKFILL, "number", turned[i], NULL, (const char *const[]){"email", "age"}, 2);
        rig_ddl(r, 3, ZDM_ACTION_ADD_CHECK, NULL, "counted",
                "ALTER TABLE public.users ADD CONSTRAINT counted CHECK (number > 0) NOT VALID");
        rig_ddl(r, 4, ZDM_ACTION_VALIDATE, NULL, "counted", "ALTER TABLE public.users VALIDATE CONSTRAINT counted");
        const struct zdm_survey *s = survey(r);
        expect(s, NOTE, "rows-unseen", "the server refuses a value of some row");
        expect(s, NOTE, "rows-unseen", states[i]);
        expect_no_contents(s);
    }
}

static void table_too_large_for_a_look_is_said_not_to_have_been_seen(void **state)
{
    struct rig *r = *state;
    rig_sql(r,
            "CREATE FUNCTION slow(int) RETURNS bool LANGUAGE sql IMMUTABLE AS $$ SELECT pg_sleep(0.1) IS NOT NULL $$");
    plan_of(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_ADD_CHECK, NULL, "slowly",
            "ALTER TABLE public.users ADD CONSTRAINT slowly CHECK (slow(age)) NOT VALID");
    rig_ddl(r, 2, ZDM_ACTION_VALIDATE, NULL, "slowly", "ALTER TABLE public.users VALIDATE CONSTRAINT slowly");
    const struct zdm_survey *s = survey(r);
    expect(s, NOTE, "rows-unseen", "not looked through to the end for slowly");
    expect_none(s, "rows-in-the-way");
}

/* The migration stands before Contract: what its first step would count is counted before anybody approves it. */
static void what_the_old_column_cannot_follow_is_counted_before_contract(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE people (id int PRIMARY KEY, name varchar(5) NOT NULL, full_name text);"
               "INSERT INTO people SELECT g, 'n', 'n' FROM generate_series(1, 900) g;"
               "UPDATE people SET full_name = 'secret, and longer than five' WHERE id IN (3, 850, 851)");
    plan_of(r, "people", 3);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "full_name", "t.\"name\"", NULL, (const char *const[]){"name"}, 1);
    rig_copy(r, 2, ZDM_ACTION_CHECK_COMPARE, "full_name", "name");
    struct zdm_step *check = rig_ddl(r, 3, ZDM_ACTION_CHECK_QUERY, NULL, NULL, "SELECT id FROM people WHERE id > 899;");
    check->action = ZDM_ACTION_CHECK_QUERY;
    r->plan->phases[0].class = ZDM_PHASE_CONTRACT;
    rig_accept(r, 1);
    expect_none(survey(r), "rows-differ"); /* before the fill there is nothing to compare */
    expect_none(survey(r), "check-finds");
    rig_exec(r->super, "UPDATE zdm.migration SET step = 2");
    const struct zdm_survey *s = survey(r);
    expect(s, WARNING, "copy-guarded", "in 3 rows the old column cannot hold what the new one has now");
    expect(s, WARNING, "check-finds", "would find a row now");
    expect_none(s, "rows-differ");
    expect_no_contents(s);
    rig_sql(r, "UPDATE people SET full_name = 'm' WHERE id = 500; DELETE FROM people WHERE id > 899");
    s = survey(r);
    expect(s, ERROR, "rows-differ", "row [\"500\"] does not hold what it should");
    expect_none(s, "check-finds");
}

#define ROWS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROWS_TEST(values_that_stand_twice_are_found_before_a_unique_index),
        ROWS_TEST(rows_that_break_a_check_or_point_nowhere_are_counted),
        ROWS_TEST(foreign_key_of_columns_with_odd_names_is_looked_at),
        ROWS_TEST(what_the_plan_fills_and_deletes_before_is_counted_in),
        ROWS_TEST(what_the_old_column_cannot_follow_is_counted_before_contract),
        ROWS_TEST(value_that_the_plan_cannot_turn_is_not_quoted),
        ROWS_TEST(table_too_large_for_a_look_is_said_not_to_have_been_seen),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
