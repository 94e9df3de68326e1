/*
 * test_link.c - which later step ends the asking for which earlier one's proof, for every two actions: with all that
 * they name in common, and with each of it different.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/plan/plan.h"

enum part { SYNC = 1, SCHEMA = 2, TABLE = 4, COLUMN = 8, OBJECT = 16, OTHER = 32, ENGINE = 64, PARTS = 7 };

enum { ANY = 0, LATER_ENGINE = 128 };

/* Written a second time, so that no row of link.c changes by itself: what the two must have in common. */
static const struct {
    enum zdm_action earlier, later;
    unsigned match;
} expected[] = {
    {ZDM_ACTION_SYNC_INSTALL, ZDM_ACTION_SYNC_REMOVE, SYNC},
    {ZDM_ACTION_SYNC_INSTALL, ZDM_ACTION_HIDE_COLUMN, SYNC},
    {ZDM_ACTION_CHECK_COMPARE, ZDM_ACTION_SYNC_REMOVE, SYNC},
    {ZDM_ACTION_CHECK_COMPARE, ZDM_ACTION_HIDE_COLUMN, SYNC},
    {ZDM_ACTION_ADD_COLUMN, ZDM_ACTION_HIDE_COLUMN, TABLE | COLUMN},
    {ZDM_ACTION_SHOW_COLUMN, ZDM_ACTION_HIDE_COLUMN, TABLE | COLUMN},
    {ZDM_ACTION_SET_NOT_NULL, ZDM_ACTION_HIDE_COLUMN, TABLE | COLUMN},
    {ZDM_ACTION_SET_NOT_NULL, ZDM_ACTION_DROP_NOT_NULL, TABLE | COLUMN},
    {ZDM_ACTION_DROP_NOT_NULL, ZDM_ACTION_SET_NOT_NULL, TABLE | COLUMN},
    {ZDM_ACTION_DROP_NOT_NULL, ZDM_ACTION_HIDE_COLUMN, TABLE | COLUMN},
    {ZDM_ACTION_SET_DEFAULT, ZDM_ACTION_SET_DEFAULT, TABLE | COLUMN},
    {ZDM_ACTION_SET_DEFAULT, ZDM_ACTION_HIDE_COLUMN, TABLE | COLUMN},
    {ZDM_ACTION_WIDEN_TYPE, ZDM_ACTION_WIDEN_TYPE, TABLE | COLUMN},
    {ZDM_ACTION_WIDEN_TYPE, ZDM_ACTION_HIDE_COLUMN, TABLE | COLUMN},
    {ZDM_ACTION_SET_STORAGE, ZDM_ACTION_SET_STORAGE, TABLE | COLUMN},
    {ZDM_ACTION_SET_STORAGE, ZDM_ACTION_HIDE_COLUMN, TABLE | COLUMN},
    {ZDM_ACTION_HIDE_COLUMN, ZDM_ACTION_PURGE_COLUMN, TABLE | COLUMN | OBJECT},
    {ZDM_ACTION_ADD_CHECK, ZDM_ACTION_DROP_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_ADD_CHECK, ZDM_ACTION_LIFT_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_ADD_PARTITION_CHECK, ZDM_ACTION_DROP_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_ADD_FOREIGN_KEY, ZDM_ACTION_LIFT_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_ADD_UNIQUE, ZDM_ACTION_LIFT_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_ADD_PRIMARY_KEY, ZDM_ACTION_LIFT_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_VALIDATE, ZDM_ACTION_DROP_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_VALIDATE, ZDM_ACTION_LIFT_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_DROP_CONSTRAINT, ZDM_ACTION_ADD_CHECK, TABLE | OBJECT},
    {ZDM_ACTION_DROP_CONSTRAINT, ZDM_ACTION_ADD_PARTITION_CHECK, TABLE | OBJECT},
    {ZDM_ACTION_LIFT_CONSTRAINT, ZDM_ACTION_ADD_CHECK, TABLE | OBJECT},
    {ZDM_ACTION_LIFT_CONSTRAINT, ZDM_ACTION_ADD_FOREIGN_KEY, TABLE | OBJECT},
    {ZDM_ACTION_LIFT_CONSTRAINT, ZDM_ACTION_ADD_UNIQUE, TABLE | OBJECT},
    {ZDM_ACTION_LIFT_CONSTRAINT, ZDM_ACTION_ADD_PRIMARY_KEY, TABLE | OBJECT},
    {ZDM_ACTION_CREATE_INDEX, ZDM_ACTION_LIFT_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_CREATE_INDEX, ZDM_ACTION_PURGE_INDEX, SCHEMA | OBJECT},
    {ZDM_ACTION_HIDE_INDEX, ZDM_ACTION_PURGE_INDEX, SCHEMA | OBJECT},
    {ZDM_ACTION_REINDEX, ZDM_ACTION_PURGE_INDEX, SCHEMA | OBJECT},
    {ZDM_ACTION_REINDEX, ZDM_ACTION_LIFT_CONSTRAINT, SCHEMA | OBJECT},
    {ZDM_ACTION_COMMENT, ZDM_ACTION_COMMENT, TABLE | COLUMN | OBJECT},
    {ZDM_ACTION_COMMENT, ZDM_ACTION_HIDE_COLUMN, TABLE | COLUMN},
    {ZDM_ACTION_COMMENT, ZDM_ACTION_LIFT_CONSTRAINT, TABLE | OBJECT},
    {ZDM_ACTION_COMMENT, ZDM_ACTION_PURGE_INDEX, SCHEMA | OBJECT},
    {ZDM_ACTION_ATTACH_PARTITION, ZDM_ACTION_DETACH_PARTITION, TABLE | OTHER},
    {ZDM_ACTION_DETACH_PARTITION, ZDM_ACTION_ATTACH_PARTITION, TABLE | OTHER},
    {ZDM_ACTION_AS_IS, ZDM_ACTION_AS_IS, TABLE},
    {ZDM_ACTION_HIDE_TABLE, ZDM_ACTION_PURGE_TABLE, TABLE | OBJECT},
    {(enum zdm_action)ANY, ZDM_ACTION_HIDE_TABLE, TABLE},
};

/* Would the later one end it, with `other` different in the two? A schema is part of the table. */
static bool is_expected(enum zdm_action earlier, enum zdm_action later, unsigned other)
{
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        bool needs_schema = (expected[i].match & (SCHEMA | TABLE)) != 0;
        bool differs = (expected[i].match & other) != 0 || (needs_schema && (other & SCHEMA) != 0);
        if (expected[i].later == later && !differs &&
            (expected[i].earlier == (enum zdm_action)ANY || expected[i].earlier == earlier))
            return true;
    }
    return false;
}

/* Step 1 is a step of `earlier`, step 2 one of `later`; they name the same but for `other`. */
static uint32_t linked(enum zdm_action earlier, enum zdm_action later, unsigned other)
{
    char schema[] = "public", schema_2[] = "sales", table[] = "users", table_2[] = "orders", name[] = "name",
         name_2[] = "mail", index[] = "i", index_2[] = "j", part[] = "part", part_2[] = "rest";
    struct zdm_table parents[] = {{schema, part}, {schema, (other & OTHER) != 0 ? part_2 : part}};
    struct zdm_step steps[] = {
        {.ordinal = 1,
         .action = earlier,
         .engine = ZDM_ENGINE_POSTGRESQL,
         .table = {schema, table},
         .column = name,
         .object = index,
         .others = &parents[0],
         .n_others = 1},
        {.ordinal = 2,
         .action = later,
         .engine = (other & ENGINE) != 0 ? ZDM_ENGINE_MYSQL : ZDM_ENGINE_POSTGRESQL,
         .table = {(other & SCHEMA) != 0 ? schema_2 : schema, (other & TABLE) != 0 ? table_2 : table},
         .column = (other & COLUMN) != 0 ? name_2 : name,
         .object = (other & OBJECT) != 0 ? index_2 : index,
         .others = &parents[1],
         .n_others = 1,
         .sync_step = (other & SYNC) != 0 ? 7 : 1},
    };
    struct zdm_phase phase = {.number = 1, .steps = steps, .n_steps = 2};
    struct zdm_plan plan = {.phases = &phase, .n_phases = 1};
    zdm_plan_link(&plan);
    assert_int_equal(steps[1].superseded_by, 0);
    return steps[0].superseded_by;
}

static void every_two_actions_are_linked_by_what_they_must_have_in_common(void **state)
{
    (void)state;
    for (unsigned e = 1; e <= ZDM_ACTION_LAST; e++)
        for (unsigned l = 1; l <= ZDM_ACTION_LAST; l++)
            for (unsigned part = 0; part <= PARTS; part++) {
                unsigned other = part == 0 ? 0 : 1u << (part - 1);
                enum zdm_action earlier = (enum zdm_action)e, later = (enum zdm_action)l;
                bool wanted = other != ENGINE && is_expected(earlier, later, other);
                if (linked(earlier, later, other) != (wanted ? 2 : 0))
                    fail_msg("%s then %s, with %u different: %s linked", zdm_action_name(earlier),
                             zdm_action_name(later), other, wanted ? "not" : "is");
            }
}

static void names_that_both_lack_are_the_same_but_a_table_without_a_name_is_none(void **state)
{
    (void)state;
    char schema[] = "public", table[] = "users", index[] = "i";
    struct zdm_step steps[] = {
        {.ordinal = 1, .action = ZDM_ACTION_COMMENT, .table = {schema, table}},
        {.ordinal = 2, .action = ZDM_ACTION_COMMENT, .table = {schema, table}},
        {.ordinal = 3, .action = ZDM_ACTION_AS_IS},
        {.ordinal = 4, .action = ZDM_ACTION_AS_IS},
        {.ordinal = 5, .action = ZDM_ACTION_ATTACH_PARTITION, .table = {schema, table}},
        {.ordinal = 6, .action = ZDM_ACTION_DETACH_PARTITION, .table = {schema, table}},
        {.ordinal = 7, .action = ZDM_ACTION_COMMENT, .table = {schema, table}, .object = index},
    };
    struct zdm_phase phase = {.number = 1, .steps = steps, .n_steps = sizeof steps / sizeof steps[0]};
    struct zdm_plan plan = {.phases = &phase, .n_phases = 1};
    zdm_plan_link(&plan);
    assert_int_equal(steps[0].superseded_by, 2);
    assert_int_equal(steps[1].superseded_by, 0);
    assert_int_equal(steps[2].superseded_by, 0);
    assert_int_equal(steps[4].superseded_by, 0);
}

static void two_that_name_one_sync_are_linked_and_two_that_name_none_are_not(void **state)
{
    (void)state;
    for (uint32_t sync = 0; sync < 3; sync++) {
        struct zdm_step steps[] = {
            {.ordinal = 1, .action = ZDM_ACTION_SYNC_INSTALL},
            {.ordinal = 2, .action = ZDM_ACTION_CHECK_COMPARE, .sync_step = sync == 0 ? 0 : 1},
            {.ordinal = 3, .action = ZDM_ACTION_SYNC_REMOVE, .sync_step = sync},
        };
        struct zdm_phase phase = {.number = 1, .steps = steps, .n_steps = 3};
        struct zdm_plan plan = {.phases = &phase, .n_phases = 1};
        zdm_plan_link(&plan);
        assert_int_equal(steps[0].superseded_by, sync == 1 ? 3 : 0);
        assert_int_equal(steps[1].superseded_by, sync == 0 ? 0 : 3);
    }
}

static void a_comparison_without_a_sync_ends_with_the_hide_of_a_column_that_it_reads(void **state)
{
    (void)state;
    char schema[] = "public", table[] = "users", other[] = "orders", source[] = "name", target[] = "full_name",
         mail[] = "mail";
    char *sources[] = {source};
    struct zdm_assignment assignment = {.target = target};
    struct zdm_derivation d = {.assignments = &assignment, .n_assignments = 1, .sources = sources, .n_sources = 1};
    const struct {
        char *table, *column;
        uint32_t compare_of, hide_of;
        bool ends;
    } rows[] = {{table, source, 0, 0, true}, {table, target, 0, 0, true},  {table, source, 0, 5, true},
                {table, mail, 0, 0, false},  {other, source, 0, 0, false}, {table, source, 5, 0, false},
                {table, source, 5, 5, true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct zdm_step steps[] = {
            {.ordinal = 1,
             .action = ZDM_ACTION_CHECK_COMPARE,
             .table = {schema, table},
             .derivation = &d,
             .sync_step = rows[i].compare_of},
            {.ordinal = 2,
             .action = ZDM_ACTION_HIDE_COLUMN,
             .table = {schema, rows[i].table},
             .column = rows[i].column,
             .sync_step = rows[i].hide_of},
        };
        struct zdm_phase phase = {.number = 1, .steps = steps, .n_steps = 2};
        struct zdm_plan plan = {.phases = &phase, .n_phases = 1};
        zdm_plan_link(&plan);
        assert_int_equal(steps[0].superseded_by, rows[i].ends ? 2 : 0);
    }
}

static uint32_t linked_on_mysql(enum zdm_action earlier, enum zdm_action later, bool other_table, bool other_engine)
{
    char none[] = "", users[] = "users", orders[] = "orders", name[] = "name", index[] = "i";
    struct zdm_step steps[] = {
        {.ordinal = 1,
         .action = earlier,
         .engine = other_engine ? ZDM_ENGINE_POSTGRESQL : ZDM_ENGINE_MYSQL,
         .table = {none, users},
         .column = name,
         .object = index},
        {.ordinal = 2,
         .action = later,
         .engine = ZDM_ENGINE_MYSQL,
         .table = {none, other_table ? orders : users},
         .column = name,
         .object = index},
    };
    struct zdm_phase phase = {.number = 1, .steps = steps, .n_steps = 2};
    struct zdm_plan plan = {.phases = &phase, .n_phases = 1};
    zdm_plan_link(&plan);
    return steps[0].superseded_by;
}

static void on_mysql_an_index_belongs_to_a_table_and_a_modify_says_all_of_a_column(void **state)
{
    (void)state;
    static const enum zdm_action column[] = {ZDM_ACTION_SET_DEFAULT, ZDM_ACTION_WIDEN_TYPE, ZDM_ACTION_SET_NOT_NULL,
                                             ZDM_ACTION_DROP_NOT_NULL};
    assert_int_equal(linked_on_mysql(ZDM_ACTION_HIDE_INDEX, ZDM_ACTION_PURGE_INDEX, false, false), 2);
    assert_int_equal(linked_on_mysql(ZDM_ACTION_HIDE_INDEX, ZDM_ACTION_PURGE_INDEX, true, false), 0);
    assert_int_equal(linked_on_mysql(ZDM_ACTION_ADD_COLUMN, ZDM_ACTION_SHOW_COLUMN, false, false), 0);
    assert_int_equal(linked_on_mysql(ZDM_ACTION_SHOW_COLUMN, ZDM_ACTION_HIDE_COLUMN, false, false), 2);
    for (size_t e = 0; e < 4; e++)
        for (size_t l = 0; l < 4; l++) {
            if (e > 1 && e == l)
                continue; /* twice the same says nothing else */
            assert_int_equal(linked_on_mysql(column[e], column[l], false, false), 2);
            assert_int_equal(linked_on_mysql(column[e], column[l], true, false), 0);
            assert_int_equal(linked_on_mysql(column[e], column[l], false, true), 0);
        }
}

static void the_first_of_several_ends_it_and_one_for_any_engine_does(void **state)
{
    (void)state;
    char schema[] = "public", table[] = "users", name[] = "name";
    struct zdm_step first[] = {
        {.ordinal = 1,
         .action = ZDM_ACTION_SET_DEFAULT,
         .engine = ZDM_ENGINE_POSTGRESQL,
         .table = {schema, table},
         .column = name},
    };
    struct zdm_step second[] = {
        {.ordinal = 2, .action = ZDM_ACTION_SET_DEFAULT, .table = {schema, table}, .column = name},
        {.ordinal = 3, .action = ZDM_ACTION_HIDE_TABLE, .table = {schema, table}},
    };
    struct zdm_phase phases[] = {{.number = 1, .steps = first, .n_steps = 1},
                                 {.number = 2, .steps = second, .n_steps = 2}};
    struct zdm_plan plan = {.phases = phases, .n_phases = 2};
    zdm_plan_link(&plan);
    assert_int_equal(first[0].superseded_by, 2);
    assert_int_equal(second[0].superseded_by, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_two_actions_are_linked_by_what_they_must_have_in_common),
        cmocka_unit_test(names_that_both_lack_are_the_same_but_a_table_without_a_name_is_none),
        cmocka_unit_test(two_that_name_one_sync_are_linked_and_two_that_name_none_are_not),
        cmocka_unit_test(a_comparison_without_a_sync_ends_with_the_hide_of_a_column_that_it_reads),
        cmocka_unit_test(on_mysql_an_index_belongs_to_a_table_and_a_modify_says_all_of_a_column),
        cmocka_unit_test(the_first_of_several_ends_it_and_one_for_any_engine_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
