/*
 * test_meaning.c - what a batch may not do though the server would: move the key that it is walked by, fail in the
 * middle on a row that was there before. Each is found by a check; the first is refused by the step, too.
 */
#include "tests/integration/mysql/rig.h"
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

static void column_of_the_key_is_not_changed_in_batches(void **state)
{
    static const char *const shapes[][3] = {
        {"id int AUTO_INCREMENT PRIMARY KEY, note int DEFAULT 0", "ID", "t.`id` + 7"},
        {"a int NOT NULL, b int AUTO_INCREMENT UNIQUE, note int DEFAULT 0, PRIMARY KEY (a, b)", "a", "t.`a` + 1"},
    };
    struct rig *r = *state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        rig_sql(r, "DROP TABLE IF EXISTS keyed");
        rig_sql(r, "CREATE TABLE keyed (%s)", shapes[i][0]);
        rig_sql(r, "INSERT INTO keyed (note%s) VALUES (1%s)", i == 1 ? ", a" : "", i == 1 ? ", 1" : "");
        plan_of(r, "keyed", 1);
        rig_derive(r, 1, ZDM_ACTION_BACKFILL, shapes[i][1], shapes[i][2], NULL, NULL, 0);
        expect(survey(r), ERROR, "key-changes", shapes[i][1]);
        rig_accept(r, r->fence.generation + 1);
        rig_refused(r, AGENT_RUN_BOUND, 1, "cannot be changed in batches");
    }
    rig_sql(r, "DROP TABLE keyed");
    rig_sql(r, "CREATE TABLE keyed (id int PRIMARY KEY, other int NOT NULL UNIQUE)");
    plan_of(r, "keyed", 1);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "other", "t.`other` + 100", NULL, NULL, 0);
    expect_none(survey(r), "key-changes");
}

static void column_that_the_key_is_generated_from_is_not_changed(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE keyed (n int NOT NULL, id int GENERATED ALWAYS AS (n * 2) %s, UNIQUE (id))",
            rig_is_mariadb(r) ? "PERSISTENT" : "STORED NOT NULL");
    rig_sql(r, "INSERT INTO keyed (n) VALUES (1), (2)");
    plan_of(r, "keyed", 1);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "n", "t.`n` + 1", NULL, NULL, 0);
    const struct zdm_survey *s = survey(r);
    /* A generated column that may be NULL is no key at all. */
    if (find(s, "no-key", "") == NULL) {
        expect(s, ERROR, "key-changes", "column n");
    }
    rig_accept(r, r->fence.generation + 1);
    rig_refused(r, AGENT_RUN_BOUND, 1, "key");
}

static void fill(struct rig *r, const char *type, const char *expr)
{
    char sql[200];
    plan_of(r, "narrow", 2);
    snprintf(sql, sizeof sql, "ALTER TABLE `narrow` ADD COLUMN `fresh` %s", type);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "fresh", NULL, sql);
    struct zdm_derivation *d =
        rig_derive(r, 2, ZDM_ACTION_BACKFILL, "fresh", expr, NULL, (const char *const[]){"a", "j"}, 2);
    d->filter = zdm_strdup("t.`fresh` IS NULL");
}

static void expression_that_fails_on_a_row_is_found_before(void **state)
{
    static const struct {
        const char *type, *expr, *says;
    } cases[] = {
        {"smallint", "t.`a`", "what does not fit"},   {"smallint unsigned", "t.`a` - 400", "what does not fit"},
        {"varchar(8)", "t.`j`", "what does not fit"}, {"decimal(4,2)", "t.`a`", "what does not fit"},
        {"int", "CAST(t.`j` AS SIGNED)", "22007"},    {"int", "t.`j`", "22007"},
        {"date", "CAST(t.`j` AS DATE)", "22007"},
    };
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE narrow (id int PRIMARY KEY, a int, j varchar(40))");
    rig_sql(r, "INSERT INTO narrow WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 99)"
               " SELECT i, i, '2026010' FROM n");
    rig_sql(r, "INSERT INTO narrow VALUES (301, 70000, 'secret words')");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fill(r, cases[i].type, cases[i].expr);
        const struct zdm_survey *s = survey(r);
        expect(s, ERROR, "derivation-fails", cases[i].says);
        for (size_t n = 0; n < s->n_findings; n++) {
            assert_null(strstr(s->findings[n].message, "secret"));
            assert_null(strstr(s->findings[n].message, "70000"));
        }
        /* That is what the batch would meet. */
        rig_sql(r, "ALTER TABLE narrow ADD COLUMN fresh %s", cases[i].type);
        rig_accept(r, r->fence.generation + 1);
        rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
        rig_run(r, AGENT_RUN_BOUND, 2, AGENT_OK);
        struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_BATCH, 2, 1000);
        assert_string_equal(agent_outcome_name(result->outcome), "fail");
        agent_result_free(result);
        rig_sql(r, "ALTER TABLE narrow DROP COLUMN fresh");
        rig_accept(r, r->fence.generation + 1);
        rig_reload(r);
        rig_run(r, AGENT_RUN_STEP_BACK, 1, AGENT_OK);
    }
    rig_sql(r, "DELETE FROM narrow WHERE id = 301");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (strstr(cases[i].type, "unsigned") == NULL && strcmp(cases[i].type, "date") != 0) {
            fill(r, cases[i].type, cases[i].expr);
            expect_none(survey(r), "derivation-fails");
        }
    }
}

static void what_the_server_makes_fit_by_itself_does_not_fail(void **state)
{
    static const struct {
        const char *type, *expr;
    } cases[] = {
        {"tinyint", "t.`d`"},
        {"tinyint unsigned", "t.`a` + 255.4"},
        {"bigint unsigned", "18446744073709551615 + t.`a`"},
        {"varchar(4)", "concat(t.`j`, '')"},
        {"char(4)", "t.`j`"},
        {"varchar(4)", "t.`j`"}, /* by MariaDB alone */
    };
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE narrow (id int PRIMARY KEY, a int, j varchar(40), d decimal(9,2))");
    rig_sql(r, "INSERT INTO narrow VALUES (1, 0, 'four   ', 127.4), (2, 0, 'four', -128.4)");
    for (size_t i = 0; i < sizeof cases / sizeof *cases - (rig_is_mariadb(r) ? 0 : 1); i++) {
        fill(r, cases[i].type, cases[i].expr);
        expect_none(survey(r), "derivation-fails");
        rig_sql(r, "ALTER TABLE narrow ADD COLUMN fresh %s", cases[i].type);
        rig_sql(r, "UPDATE narrow AS t SET fresh = %s", cases[i].expr);
        rig_sql(r, "ALTER TABLE narrow DROP COLUMN fresh");
    }
    if (!rig_is_mariadb(r)) {
        fill(r, "varchar(4)", "t.`j`");
        expect(survey(r), ERROR, "derivation-fails", "what does not fit");
    }
    fill(r, "tinyint", "t.`d` + 0.2");
    expect(survey(r), ERROR, "derivation-fails", "what does not fit");
}

static void rows_that_a_fill_leaves_out_do_not_fail(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE narrow (id int PRIMARY KEY, a int, j varchar(40), n int NOT NULL DEFAULT 0)");
    rig_sql(r, "INSERT INTO narrow (id, a) VALUES (1, 5), (2, 70000)");
    fill(r, "smallint", "t.`a`");
    free(rig_step(r, 2)->derivation->filter);
    rig_step(r, 2)->derivation->filter = zdm_strdup("t.`a` < 1000");
    expect_none(survey(r), "derivation-fails");
    plan_of(r, "narrow", 1);
    rig_derive(r, 1, ZDM_ACTION_BACKFILL, "n", "CHAR_LENGTH(t.`j`)", NULL, (const char *const[]){"j"}, 1);
    expect(survey(r), ERROR, "derivation-fails", "2 rows would be NULL in it");
}

#define MEANING_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, teardown)

RIG_MAIN(MEANING_TEST(column_of_the_key_is_not_changed_in_batches),
         MEANING_TEST(column_that_the_key_is_generated_from_is_not_changed),
         MEANING_TEST(expression_that_fails_on_a_row_is_found_before),
         MEANING_TEST(what_the_server_makes_fit_by_itself_does_not_fail),
         MEANING_TEST(rows_that_a_fill_leaves_out_do_not_fail))
