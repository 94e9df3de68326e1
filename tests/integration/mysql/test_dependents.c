/*
 * test_dependents.c - foreign keys and views of other databases: seen before a table or a column goes out of sight, or
 * rows are deleted.
 */
#include "tests/integration/mysql/rig.h"
#include "tests/support/survey_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char other[64]; /* a name that InnoDB writes otherwise than people do */

static int setup(void **state)
{
    int failed = rig_setup(state);
    struct rig *r = *state;
    if (failed == 0) {
        snprintf(other, sizeof other, "%s-o ther", r->database);
        rig_sql(r, "CREATE DATABASE `%s`", other);
        rig_sql(r, "CREATE TABLE `pa$rent` (id int PRIMARY KEY, code int, note int, UNIQUE (code))");
        rig_sql(r, "INSERT INTO `pa$rent` VALUES (1, 1, 1)");
    }
    return failed;
}

static int teardown(void **state)
{
    survey_forget();
    rig_sql(*state, "DROP DATABASE `%s`", other);
    return rig_teardown(state);
}

static void child_of(struct rig *r, const char *column, const char *action)
{
    rig_sql(r,
            "CREATE TABLE `%s`.`chi-ld` (id int PRIMARY KEY, p int, CONSTRAINT `f-1` FOREIGN KEY (p) REFERENCES"
            " `%s`.`pa$rent` (%s) %s)",
            other, r->database, column, action);
}

static void view_of(struct rig *r)
{
    rig_sql(r, "CREATE VIEW `%s`.v AS SELECT code FROM `%s`.`pa$rent`", other, r->database);
    rig_sql(r, "GRANT SELECT, SHOW VIEW ON `%s`.* TO zdm_agent@'%%'", other);
}

static void plan_of_hides(struct rig *r)
{
    rig_plan(r, "pa$rent", 2);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "code", "code", NULL)->inverse = ZDM_INVERSE_UNHIDE;
    rig_ddl(r, 2, ZDM_ACTION_HIDE_TABLE, NULL, "zdm_trash_0a1b2c3d_parent", NULL);
    rig_accept(r, 1);
}

static void foreign_key_of_another_database_keeps_a_table_in_sight(void **state)
{
    char what[200];
    struct rig *r = *state;
    child_of(r, "code", "");
    plan_of_hides(r);
    snprintf(what, sizeof what, "foreign key f-1 of %s.chi-ld uses it", other);
    rig_refused(r, AGENT_RUN_HIDE, 1, what);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_refused(r, AGENT_RUN_HIDE, 2, what);
    rig_sql(r, "DROP TABLE `%s`.`chi-ld`", other);
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
}

static void foreign_key_to_another_column_lets_a_column_go(void **state)
{
    struct rig *r = *state;
    child_of(r, "id", "");
    plan_of_hides(r);
    r->lock_wait_ms = 1000;
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
}

static void view_of_another_database_is_seen_where_the_account_may_see_it(void **state)
{
    char what[200];
    struct rig *r = *state;
    view_of(r);
    plan_of_hides(r);
    snprintf(what, sizeof what, "view %s.v uses it", other);
    rig_refused(r, AGENT_RUN_HIDE, 1, what);
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    rig_refused(r, AGENT_RUN_HIDE, 2, what);
    rig_sql(r, "REVOKE SELECT, SHOW VIEW ON `%s`.* FROM zdm_agent@'%%'", other);
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
}

static void delete_that_cascades_into_another_database_is_refused(void **state)
{
    struct rig *r = *state;
    child_of(r, "id", "ON DELETE CASCADE");
    rig_plan(r, "pa$rent", 1);
    struct zdm_step *step = rig_step(r, 1);
    step->action = ZDM_ACTION_DELETE;
    step->object = strdup("undo_0a1b2c3d_1");
    step->inverse = ZDM_INVERSE_IMAGES;
    step->derivation = calloc(1, sizeof *step->derivation);
    rig_accept(r, 1);
    rig_refused(r, AGENT_RUN_BOUND, 1, "would change rows of another database too");
    rig_sql(r, "DROP TABLE `%s`.`chi-ld`", other);
    child_of(r, "id", "ON DELETE RESTRICT");
    rig_run(r, AGENT_RUN_BOUND, 1, AGENT_OK);
}

static void survey_names_them_before(void **state)
{
    struct rig *r = *state;
    child_of(r, "code", "ON DELETE SET NULL");
    view_of(r);
    plan_of(r, "pa$rent", 2);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "code", "code", NULL);
    rig_ddl(r, 2, ZDM_ACTION_HIDE_TABLE, NULL, "zdm_trash_0a1b2c3d_parent", NULL);
    const struct zdm_survey *s = survey(r);
    expect(s, ERROR, "dependents", "foreign key f-1");
    expect(s, ERROR, "dependents", "needs it: a hide does not begin");
    expect(s, ERROR, "dependents", ".v of another database reads it");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
RIG_MAIN(TEST(foreign_key_of_another_database_keeps_a_table_in_sight),
         TEST(foreign_key_to_another_column_lets_a_column_go),
         TEST(view_of_another_database_is_seen_where_the_account_may_see_it),
         TEST(delete_that_cascades_into_another_database_is_refused), TEST(survey_names_them_before))
