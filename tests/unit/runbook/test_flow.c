/*
 * What is run as it is written, waits, deletions, waivers, and what the plan adds at its end.
 */
#include "tests/unit/runbook/support.h"

#include <stdlib.h>
#include <string.h>

static struct compiled compile_file(const char *path)
{
    size_t n;
    char *text = read_source(path, &n);
    struct compiled c = compile_good("a.md", text);
    free(text);
    return c;
}

static void an_as_is_fence_takes_its_check_and_its_way_back(void **state)
{
    (void)state;
    struct compiled c = compile_file("tests/unit/runbook/good/as-is.md");
    const struct zdm_step *step = zdm_plan_step(c.plan, 1);
    assert_int_equal(step->action, ZDM_ACTION_AS_IS);
    assert_int_equal(step->lock, ZDM_LOCK_SHORT);
    assert_string_equal(step->id, "view");
    assert_string_equal(
        step->sql, "CREATE VIEW \"public\".active AS SELECT u.* FROM \"public\".users u JOIN \"public\".orders o ON "
                   "o.user_id = u.id;\nGRANT SELECT ON \"public\".active TO app");
    assert_string_equal(step->proof_sql, "SELECT 1 WHERE to_regclass('public.active') IS NULL");
    assert_int_equal(step->inverse, ZDM_INVERSE_SQL);
    assert_string_equal(step->inverse_sql, "DROP VIEW public.active");
    assert_false(step->exact_inverse);
    assert_true(step->unguarded && step->publication_ok);
    assert_string_equal(step->table.name, "users");
    assert_int_equal(step->n_others, 1);
    assert_string_equal(step->others[0].name, "orders");
    assert_int_equal(zdm_plan_step(c.plan, 2)->action, ZDM_ACTION_CHECK_QUERY);
    assert_false(zdm_plan_step(c.plan, 2)->unguarded);
    step = zdm_plan_step(c.plan, 3);
    assert_int_equal(step->lock, ZDM_LOCK_LONG);
    assert_int_equal(step->inverse, ZDM_INVERSE_IMPOSSIBLE);
    assert_true(step->rewrite_ok);
    assert_null(step->inverse_sql);
    assert_true(zdm_plan_phase(c.plan, 1)->destructive && zdm_plan_phase(c.plan, 1)->approvals == 1);
    assert_int_equal(c.notes->n_waivers, 1);
    assert_string_equal(c.notes->waivers[0].rule, "unique-pair");
    assert_int_equal(c.notes->waivers[0].line, 2);
    compiled_fini(&c);
}

static void a_wait_is_a_gate_with_its_times_and_its_query(void **state)
{
    (void)state;
    struct compiled c = compile_file("tests/unit/runbook/good/wait.md");
    const struct zdm_wait_gate *wait = zdm_plan_step(c.plan, 2)->wait;
    assert_int_equal(zdm_plan_step(c.plan, 2)->action, ZDM_ACTION_GATE_WAIT);
    assert_int_equal(wait->for_ms, 30 * 60000);
    assert_int_equal(wait->every_ms, 10000);
    assert_int_equal(wait->limit_ms, 2 * 3600000);
    assert_string_equal(wait->until, "SELECT count(*) = 0 FROM public.jobs WHERE state = 'running'");
    wait = zdm_plan_step(c.plan, 3)->wait;
    assert_int_equal(wait->for_ms, 86400000);
    assert_null(wait->until);
    assert_int_equal(wait->every_ms, 0);
    compiled_fini(&c);
}

static void a_deletion_has_a_filter_and_an_archive_that_is_purged(void **state)
{
    (void)state;
    struct compiled c = compile_file("tests/unit/runbook/good/delete.md");
    const struct zdm_step *first = zdm_plan_step(c.plan, 1), *second = zdm_plan_step(c.plan, 2);
    const struct zdm_step *third = zdm_plan_step(c.plan, 3), *purge = zdm_plan_step(c.plan, 4);
    assert_int_equal(first->action, ZDM_ACTION_DELETE);
    assert_int_equal(first->inverse, ZDM_INVERSE_IMAGES);
    assert_int_equal(first->batch_rows, 500);
    assert_true(first->skip_triggers);
    assert_int_equal(first->derivation->n_assignments, 0);
    assert_string_equal(first->derivation->filter,
                        "t.\"created_at\" < (now() - '90 days'::interval) AND t.\"kind\" <> 'audit'");
    assert_int_equal(second->inverse, ZDM_INVERSE_IMPOSSIBLE);
    assert_null(second->object);
    assert_string_not_equal(first->object, third->object);
    assert_int_equal(purge->action, ZDM_ACTION_PURGE_IMAGES);
    assert_string_equal(purge->object, first->object);
    assert_false(purge->publication_ok);
    assert_string_equal(zdm_plan_step(c.plan, 5)->object, third->object);
    assert_true(zdm_plan_step(c.plan, 5)->publication_ok);
    assert_int_equal(zdm_plan_n_steps(c.plan), 5);
    compiled_fini(&c);
}

static void both_columns_are_compared_once_more_before_the_old_one_goes(void **state)
{
    (void)state;
    struct compiled c = compile_good(
        "a.md", "## Expand\n```sql\nALTER TABLE t ADD COLUMN b text, ADD COLUMN d text, ADD COLUMN e text;\n"
                "```\n## Migrate\n```sql\nUPDATE t SET b = a;\nUPDATE t SET d = c;\nUPDATE t SET e = "
                "upper(a);\n```\n## Switch\n## Contract\n```sql\nCREATE INDEX ON t (b);\nALTER TABLE t DROP "
                "COLUMN a, DROP COLUMN c;\n```\n");
    const struct zdm_phase *contract = zdm_plan_phase(c.plan, 4);
    assert_int_equal(contract->steps[0].action, ZDM_ACTION_CHECK_COMPARE);
    assert_string_equal(contract->steps[0].derivation->assignments[0].target, "b");
    assert_int_equal(contract->steps[1].action, ZDM_ACTION_CHECK_COMPARE);
    assert_string_equal(contract->steps[1].derivation->assignments[0].target, "d");
    assert_int_equal(contract->steps[2].action, ZDM_ACTION_CREATE_INDEX);
    assert_int_equal(contract->steps[0].sync_step, zdm_plan_step(c.plan, 4)->ordinal);
    compiled_fini(&c);
}

static void tables_and_indexes_are_purged_with_the_attributes_of_their_fence(void **state)
{
    (void)state;
    struct compiled c =
        compile_good("a.md", "## Contract\n```sql {unguarded-replicas}\nDROP TABLE old;\nDROP INDEX i;\n```\n");
    const struct zdm_step *table = find_action(&c, ZDM_ACTION_PURGE_TABLE);
    const struct zdm_step *index = find_action(&c, ZDM_ACTION_PURGE_INDEX);
    assert_non_null(table);
    assert_non_null(index);
    assert_string_equal(table->object, find_action(&c, ZDM_ACTION_HIDE_TABLE)->object);
    assert_string_equal(table->table.name, "old");
    assert_string_equal(index->object, "i");
    assert_null(index->table.name);
    assert_int_equal(index->lock, ZDM_LOCK_LONG);
    assert_true(table->unguarded && index->unguarded);
    compiled_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_as_is_fence_takes_its_check_and_its_way_back),
        cmocka_unit_test(a_wait_is_a_gate_with_its_times_and_its_query),
        cmocka_unit_test(a_deletion_has_a_filter_and_an_archive_that_is_purged),
        cmocka_unit_test(both_columns_are_compared_once_more_before_the_old_one_goes),
        cmocka_unit_test(tables_and_indexes_are_purged_with_the_attributes_of_their_fence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
