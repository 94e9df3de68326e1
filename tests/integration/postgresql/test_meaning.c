/*
 * test_meaning.c - what a batch may not do though the server would: move the key that it is walked by, compute
 * something else than the application means, read the table that it changes by another name, take a domain's default
 * for what the application wrote, fail in the middle on a row that was there before.
 *
 * Each is refused by the step before anything is touched, and found by a check.
 */
#include "tests/integration/postgresql/rig.h"
#include "tests/support/survey_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

static int teardown(void **state)
{
    survey_forget();
    return rig_teardown(state);
}

static void keyed(struct rig *r, const char *columns, const char *target, const char *expr)
{
    rig_sql(r,
            "DROP TABLE IF EXISTS keyed; CREATE TABLE keyed (%s); INSERT INTO keyed SELECT FROM generate_series(1, 50)",
            columns);
    plan_of(r, "keyed", 1);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, target, expr, NULL, NULL, 0);
}

static void refuses(struct rig *r, uint32_t step, const char *text)
{
    rig_accept(r, r->fence.generation + 1);
    rig_refused(r, step == 0 ? AGENT_RUN_INSTALL_SYNC : AGENT_RUN_BOUND, step == 0 ? 1 : step, text);
}

/* ---- The key ---- */

static void column_of_the_key_is_not_changed_in_batches(void **state)
{
    static const char *const shapes[][3] = {
        {"id bigserial PRIMARY KEY, note text", "id", "t.\"id\" + 7"},
        {"a int DEFAULT 1, b bigserial, note text, PRIMARY KEY (a, b)", "a", "t.\"a\" + 1"},
        {"\"i\"\"d\\\" bigserial PRIMARY KEY, note text", "i\"d\\", "t.\"i\"\"d\\\" + 1"},
        {"n bigserial, id bigint GENERATED ALWAYS AS (n * 2) STORED PRIMARY KEY", "n", "t.\"n\" + 1"},
    };
    struct rig *r = *state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        keyed(r, shapes[i][0], shapes[i][1], shapes[i][2]);
        expect(survey(r), ERROR, "key-changes", shapes[i][1]);
        refuses(r, 1, "cannot be changed in batches");
        assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_class WHERE relnamespace = 'zdm'::regnamespace AND"
                                       " relname LIKE 'image%%'"),
                         0);
    }
    keyed(r, "id bigserial PRIMARY KEY, other bigserial UNIQUE", "other", "t.\"other\" + 100");
    expect_none(survey(r), "key-changes");
}

/* The partition key is part of every unique key: a row that moves to another partition moves along the walk. */
static void column_that_rows_are_partitioned_by_is_not_changed(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE keyed (p int, id int, PRIMARY KEY (id, p)) PARTITION BY LIST (p);"
               "CREATE TABLE keyed1 PARTITION OF keyed FOR VALUES IN (1);"
               "CREATE TABLE keyed2 PARTITION OF keyed FOR VALUES IN (2);"
               "INSERT INTO keyed SELECT 1, g FROM generate_series(1, 50) g");
    plan_of(r, "keyed", 1);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "p", "2", NULL, NULL, 0);
    expect(survey(r), ERROR, "key-changes", "column p");
    refuses(r, 1, "column p of public.keyed cannot be changed in batches");
}

/* ---- Operators ---- */

static void people(struct rig *r)
{
    rig_exec(r->super, "CREATE EXTENSION IF NOT EXISTS citext; GRANT USAGE ON SCHEMA public TO PUBLIC");
    rig_sql(r, "CREATE TABLE people (id int PRIMARY KEY, email citext, name text, root boolean);"
               "INSERT INTO people VALUES (1, 'keep@x.org', 'a'), (2, 'KEEP@x.org', 'b'), (3, 'other@x.org', 'c')");
}

static void deletes(struct rig *r, const char *filter)
{
    plan_of(r, "people", 1);
    struct zdm_step *step = rig_ddl(r, 1, ZDM_ACTION_DELETE, NULL, "undo_00c0ffee", NULL);
    step->inverse = ZDM_INVERSE_IMPOSSIBLE;
    step->derivation = calloc(1, sizeof *step->derivation);
    step->derivation->filter = zdm_strdup(filter);
}

static void operator_that_the_application_has_otherwise_is_refused(void **state)
{
    static const char *const differ[] = {
        "t.\"email\" <> 'keep@x.org'",
        "t.\"email\" NOT IN ('keep@x.org', 'a@x.org')",
        "t.\"email\" LIKE 'k%'",
        "t.\"email\" IS DISTINCT FROM 'keep@x.org'",
        "CASE t.\"email\" WHEN 'keep@x.org' THEN false ELSE true END",
        "replace(t.\"email\", 'KEEP', '') = ''",
        "EXISTS (SELECT FROM public.other o WHERE o.email = t.\"email\")",
    };
    static const char *const same[] = {
        "t.\"email\"::text <> 'keep@x.org'",
        "t.\"name\" <> 'a'",
        "t.\"email\" OPERATOR(public.<>) 'keep@x.org'::public.citext",
        "t.\"email\" IS NULL AND t.\"id\" > 3",
        "pg_catalog.length(t.\"email\"::text) > 10 AND t.\"name\" LIKE 'a%' AND t.\"name\" IN ('a', 'b')",
        "EXISTS (SELECT FROM public.other o WHERE o.id = t.\"id\")",
    };
    struct rig *r = *state;
    people(r);
    rig_sql(r, "CREATE TABLE other (id int, email citext)");
    for (size_t i = 0; i < sizeof differ / sizeof *differ; i++) {
        deletes(r, differ[i]);
        expect(survey(r), ERROR, "operator-differs", "means something else in the application's sessions");
        refuses(r, 1, "means something else in the application's sessions");
    }
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        deletes(r, same[i]);
        expect_clean(survey(r));
    }
    assert_int_equal(rig_number(r, "SELECT count(*) FROM people"), 3);
}

static void form_that_is_advised_means_what_the_application_does(void **state)
{
    struct rig *r = *state;
    people(r);
    deletes(r, "t.\"email\" <> 'keep@x.org'");
    const struct zdm_survey_finding *f = find(survey(r), "operator-differs", "");
    assert_non_null(f);
    assert_non_null(strstr(f->hint, ": email OPERATOR(public.<>) 'keep@x.org'::public.citext;"));
    assert_non_null(strstr(f->hint, "a::text"));
    deletes(r, "t.\"email\" OPERATOR(public.<>) 'keep@x.org'::public.citext");
    rig_accept(r, r->fence.generation + 1);
    rig_walk(r, 1, 2);
    assert_string_equal(rig_value(r, "SELECT string_agg(email::text, ' ' ORDER BY id) FROM people"),
                        "keep@x.org KEEP@x.org");
}

/* hstore and the like have operators that pg_catalog does not have at all. */
static void operator_that_is_not_in_pg_catalog_is_said_with_its_full_name(void **state)
{
    struct rig *r = *state;
    people(r);
    rig_sql(r, "CREATE FUNCTION nearly(text, text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';"
               "CREATE OPERATOR ~~~~ (FUNCTION = nearly, LEFTARG = text, RIGHTARG = text)");
    deletes(r, "t.\"name\" ~~~~ 'a'");
    const struct zdm_survey_finding *f = find(survey(r), "operator-differs", "");
    assert_non_null(f);
    assert_non_null(strstr(f->hint, "name OPERATOR(public.~~~~) 'a'::text"));
    refuses(r, 1, "OPERATOR(public.~~~~)");
}

static void trigger_computes_what_the_application_means(void **state)
{
    struct rig *r = *state;
    people(r);
    plan_of(r, "people", 2);
    for (uint32_t i = 1; i <= 2; i++) {
        rig_derive(r, i, i == 1 ? ZDM_ACTION_SYNC_INSTALL : ZDM_ACTION_BACKFILL, "root",
                   "(t.\"email\" = 'admin@x.org')", "(NEW.\"email\" = 'admin@x.org')", (const char *const[]){"email"},
                   1);
    }
    expect(survey(r), ERROR, "operator-differs", "public.people");
    refuses(r, 0, "OPERATOR(public.=)");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"), 0);
}

/* ---- Subqueries ---- */

static void table_under_another_name_is_not_read_while_it_is_changed(void **state)
{
    static const char *const through[] = {
        "t.\"name\" > (SELECT min(v.name) FROM public.names v)",
        "t.\"name\" > (SELECT min(v.name) FROM public.names_of_names v)",
        "EXISTS (SELECT FROM public.small s JOIN public.names v ON v.name = s.name WHERE s.id = t.\"id\")",
    };
    struct rig *r = *state;
    people(r);
    rig_sql(r,
            "CREATE TABLE small (id int, name text); CREATE VIEW names AS SELECT name FROM people WHERE id > 0;"
            "CREATE VIEW names_of_names AS SELECT min(name) AS name FROM names;"
            "CREATE VIEW harmless AS SELECT name FROM small; CREATE MATERIALIZED VIEW frozen AS SELECT * FROM people");
    for (size_t i = 0; i < sizeof through / sizeof *through; i++) {
        deletes(r, through[i]);
        expect(survey(r), ERROR, "reads-itself", "by way of view");
        refuses(r, 1, "reads the table that is changed");
        plan_of(r, "people", 1);
        rig_derive(r, 1, ZDM_ACTION_BACKFILL, "root", through[i], NULL, NULL, 0);
        refuses(r, 1, "reads the table that is changed");
    }
    deletes(r, "t.\"name\" > (SELECT min(v.name) FROM public.harmless v)");
    expect_none(survey(r), "reads-itself");
    deletes(r, "t.\"name\" > (SELECT min(v.name) FROM public.frozen v)");
    expect_none(survey(r), "reads-itself");
    rig_accept(r, r->fence.generation + 1);
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
}

static void partition_and_its_parent_are_the_same_rows(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE people (id int PRIMARY KEY, name text) PARTITION BY RANGE (id);"
               "CREATE TABLE people1 PARTITION OF people FOR VALUES FROM (0) TO (100);"
               "CREATE TABLE people2 PARTITION OF people FOR VALUES FROM (100) TO (200);"
               "CREATE VIEW all_names AS SELECT name FROM people");
    deletes(r, "t.\"name\" > (SELECT min(p.name) FROM public.people1 p)");
    expect(survey(r), ERROR, "reads-itself", "by way of table");
    refuses(r, 1, "reads the table that is changed");
    deletes(r, "t.\"name\" > (SELECT min(p.name) FROM public.all_names p)");
    rename_table(rig_step(r, 1), "people1");
    free(r->plan->tables[0].name);
    r->plan->tables[0].name = zdm_strdup("people1");
    expect(survey(r), ERROR, "reads-itself", "by way of view");
    refuses(r, 1, "reads the table that is changed");
    deletes(r, "t.\"name\" > (SELECT min(p.name) FROM public.people2 p)");
    rename_table(rig_step(r, 1), "people1");
    free(r->plan->tables[0].name);
    r->plan->tables[0].name = zdm_strdup("people1");
    expect_none(survey(r), "reads-itself");
}

/* ---- Defaults ---- */

static void domain_with_a_default(struct rig *r, const char *initial)
{
    plan_of(r, "named", 3);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "full_name", NULL, "ALTER TABLE public.named ADD COLUMN \"full_name\" label");
    for (uint32_t i = 2; i <= 3; i++) {
        enum zdm_action action = i == 2 ? ZDM_ACTION_SYNC_INSTALL : ZDM_ACTION_BACKFILL;
        rig_copy(r, i, action, "full_name", "name")->assignments[0].initial =
            initial == NULL ? NULL : zdm_strdup(initial);
    }
    rig_accept(r, r->fence.generation + 1);
}

static void default_of_a_domain_is_a_default_of_its_columns(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE DOMAIN base AS text DEFAULT 'unset'; CREATE DOMAIN label AS base;"
               "CREATE TABLE named (id serial PRIMARY KEY, name label DEFAULT NULL);"
               "INSERT INTO named (name) VALUES ('a'), ('b')");
    domain_with_a_default(r, NULL);
    expect(survey(r), ERROR, "default-differs", "'unset'");
    rig_sql(r, "ALTER TABLE named ADD COLUMN full_name label");
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_refused(r, AGENT_RUN_INSTALL_SYNC, 2, "the default of column full_name of public.named is 'unset'");
    assert_int_equal(rig_number(r, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"), 0);
    /* A column's own default counts, NULL among them. */
    rig_sql(r, "ALTER TABLE named ALTER full_name SET DEFAULT NULL");
    expect_none(survey(r), "default-differs");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 2, AGENT_OK);
    rig_app(r, "INSERT INTO named (name) VALUES ('Ann')");
    assert_string_equal(rig_value(r, "SELECT format('%%s|%%s', name, full_name) FROM named WHERE id = 3"), "Ann|Ann");
}

/* ADD COLUMN … label, ALTER COLUMN … SET DEFAULT gen_random_uuid(): old rows are 'unset' then, and nothing is NULL. */
static void default_of_a_domain_is_not_taken_for_nothing_to_fill(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE DOMAIN label AS text DEFAULT 'unset'; CREATE TABLE users (id serial PRIMARY KEY);"
               "INSERT INTO users DEFAULT VALUES");
    plan_of(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "token", NULL,
            "ALTER TABLE public.users ADD COLUMN \"token\" public.label, ALTER COLUMN \"token\" SET DEFAULT"
            " gen_random_uuid()::text");
    struct zdm_derivation *d = rig_derive(r, 2, ZDM_ACTION_BACKFILL, "token", "gen_random_uuid()::text", NULL, NULL, 0);
    d->assignments[0].fill_once = true;
    d->guard = zdm_strdup("t.\"token\" IS NULL");
    expect(survey(r), ERROR, "default-differs", "before token was added hold the default of its type label: 'unset'");
    rig_sql(r, "ALTER TABLE public.users ADD COLUMN token label, ALTER COLUMN token SET DEFAULT gen_random_uuid()");
    rig_accept(r, r->fence.generation + 1);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_refused(r, AGENT_RUN_BOUND, 2, "hold the default of its type public.label");
}

/* ---- Rows that are there ---- */

static void narrow(struct rig *r, const char *type, const char *expr)
{
    plan_of(r, "narrow", 2);
    char sql[160];
    snprintf(sql, sizeof sql, "ALTER TABLE public.narrow ADD COLUMN \"fresh\" %s", type);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "fresh", NULL, sql);
    rig_derive(r, 2, ZDM_ACTION_BACKFILL, "fresh", expr, NULL, (const char *const[]){"a", "j"}, 2);
}

static void expression_that_fails_on_a_row_is_found_before(void **state)
{
    static const struct {
        const char *type, *expr, *sqlstate;
    } cases[] = {
        {"smallint", "(t.\"a\"::smallint)", "22003"},
        {"smallint", "t.\"a\"", "22003"},
        {"jsonb", "(t.\"j\"::jsonb)", "22P02"},
        {"varchar(8)", "t.\"j\"", "22001"},
        {"int", "(1 / (t.\"a\" - 5))", "22012"},
        {"date", "(t.\"j\"::date)", "22008"},
        {"digits", "t.\"j\"", "23514"},
        {"int", "(SELECT o.a FROM public.narrow2 o WHERE o.a < t.\"a\")", "21000"},
    };
    struct rig *r = *state;
    rig_sql(r, "CREATE DOMAIN digits AS text CHECK (VALUE ~ '^[0-9]*$');"
               "CREATE TABLE narrow (id int PRIMARY KEY, a int, j text); CREATE TABLE narrow2 AS SELECT 1 AS a FROM"
               " generate_series(1, 2); INSERT INTO narrow SELECT i, i, '12345678' FROM generate_series(1, 300) i;"
               "INSERT INTO narrow VALUES (301, 70000, 'secret words')");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        narrow(r, cases[i].type, cases[i].expr);
        const struct zdm_survey *s = survey(r);
        expect(s, ERROR, "derivation-fails", cases[i].sqlstate);
        for (size_t n = 0; n < s->n_findings; n++) {
            assert_null(strstr(s->findings[n].message, "secret"));
            assert_null(strstr(s->findings[n].message, "70000"));
        }
    }
    rig_sql(r, "DELETE FROM narrow WHERE id IN (5, 301)");
    for (size_t i = 0; i < 5; i++) {
        narrow(r, cases[i].type, cases[i].expr);
        expect_none(survey(r), "derivation-fails");
    }
}

static void rows_that_a_fill_leaves_out_do_not_fail(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE narrow (id int PRIMARY KEY, a int, j text, n int NOT NULL DEFAULT 0);"
               "INSERT INTO narrow SELECT i, i, NULL FROM generate_series(1, 300) i;"
               "INSERT INTO narrow VALUES (301, 70000, 'x')");
    narrow(r, "smallint", "(t.\"a\"::smallint)");
    rig_step(r, 2)->derivation->filter = zdm_strdup("t.\"a\" < 1000");
    expect_clean(survey(r));
    plan_of(r, "narrow", 1);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "n", "length(t.\"j\")", NULL, (const char *const[]){"j"}, 1);
    expect(survey(r), ERROR, "derivation-fails", "300 rows would be NULL in it");
}

#define MEANING_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEANING_TEST(column_of_the_key_is_not_changed_in_batches),
        MEANING_TEST(column_that_rows_are_partitioned_by_is_not_changed),
        MEANING_TEST(operator_that_the_application_has_otherwise_is_refused),
        MEANING_TEST(form_that_is_advised_means_what_the_application_does),
        MEANING_TEST(operator_that_is_not_in_pg_catalog_is_said_with_its_full_name),
        MEANING_TEST(trigger_computes_what_the_application_means),
        MEANING_TEST(table_under_another_name_is_not_read_while_it_is_changed),
        MEANING_TEST(partition_and_its_parent_are_the_same_rows),
        MEANING_TEST(default_of_a_domain_is_a_default_of_its_columns),
        MEANING_TEST(default_of_a_domain_is_not_taken_for_nothing_to_fill),
        MEANING_TEST(expression_that_fails_on_a_row_is_found_before),
        MEANING_TEST(rows_that_a_fill_leaves_out_do_not_fail),
    };
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
