/*
 * Runbooks for two engines: each is compiled once for each, and the two become one plan.
 */
#include "tests/unit/runbook/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct compiled compile_good_file(const char *name)
{
    char path[512];
    size_t n;
    snprintf(path, sizeof path, "tests/unit/runbook/good/%s", name);
    char *text = read_source(path, &n);
    struct compiled c = compile_good(name, text);
    free(text);
    return c;
}

/* "a pppmmFmm": the steps of a phase by their engines; F a flag. */
static void engines_of(const struct zdm_phase *phase, char *out, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < phase->n_steps && used + 1 < size; i++) {
        const struct zdm_step *step = &phase->steps[i];
        out[used++] = step->engine == ZDM_ENGINE_MYSQL ? 'm' : step->engine == ZDM_ENGINE_POSTGRESQL ? 'p' : 'F';
    }
    out[used] = '\0';
}

static void within_a_phase_each_engine_has_its_steps_together(void **state)
{
    static const char *const expected[] = {"ppmmm", "pppppmmmmmmm", "pmF", "ppmm", "pm"};
    (void)state;
    struct compiled c = compile_good_file("two-engines.md");
    char engines[64];
    assert_int_equal(c.plan->n_phases, 5);
    assert_int_equal(c.plan->engines, ZDM_ENGINE_POSTGRESQL | ZDM_ENGINE_MYSQL);
    assert_string_equal(c.plan->compiler, "zdm-runbook 5");
    for (size_t i = 0; i < c.plan->n_phases; i++) {
        engines_of(&c.plan->phases[i], engines, sizeof engines);
        assert_string_equal(engines, expected[i]);
    }
    compiled_fini(&c);
}

static void between_two_flags_too(void **state)
{
    static const char text[] = "---\nid: flags\nengines: [postgresql, mysql]\n---\n## Switch\n"
                               "```sql {check}\nSELECT id FROM t WHERE a IS NULL;\n```\n"
                               "```flag\nkey: one\n```\n"
                               "```sql {check engine=mysql}\nSELECT id FROM t WHERE b IS NULL;\n```\n"
                               "```flag\nkey: two\n```\n"
                               "```wait\nfor: 1h\n```\n";
    char engines[64];
    (void)state;
    struct compiled c = compile_good("flags.md", text);
    engines_of(&c.plan->phases[0], engines, sizeof engines);
    assert_string_equal(engines, "pmFmFpm");
    for (uint32_t i = 1; i <= zdm_plan_n_steps(c.plan); i++) {
        char id[16];
        snprintf(id, sizeof id, "1.%u", i);
        assert_string_equal(zdm_plan_step(c.plan, i)->id, id);
    }
    compiled_fini(&c);
}

static const struct zdm_step *find(const struct zdm_plan *plan, enum zdm_engine engine, enum zdm_action action)
{
    for (uint32_t i = 1; i <= zdm_plan_n_steps(plan); i++) {
        const struct zdm_step *step = zdm_plan_step(plan, i);
        if (step->engine == engine && step->action == action)
            return step;
    }
    fail_msg("no %s on %s", zdm_action_name(action), zdm_engine_name(engine));
    return NULL;
}

static void one_fence_becomes_what_each_engine_needs(void **state)
{
    (void)state;
    struct compiled c = compile_good_file("two-engines.md");
    const struct zdm_step *pg = find(c.plan, ZDM_ENGINE_POSTGRESQL, ZDM_ACTION_ADD_COLUMN);
    const struct zdm_step *my = find(c.plan, ZDM_ENGINE_MYSQL, ZDM_ACTION_ADD_COLUMN);
    assert_string_equal(pg->table.schema, "public");
    assert_string_equal(my->table.schema, "");
    assert_string_equal(my->sql, "ALTER TABLE `users` ADD COLUMN `full_name` varchar(200)");
    assert_string_equal(find(c.plan, ZDM_ENGINE_POSTGRESQL, ZDM_ACTION_BACKFILL)->derivation->assignments[0].expr,
                        "t.\"name\"");
    assert_string_equal(find(c.plan, ZDM_ENGINE_MYSQL, ZDM_ACTION_BACKFILL)->derivation->assignments[0].expr,
                        "t.`name`");
    /* Each hides by its own sync. */
    assert_int_equal(find(c.plan, ZDM_ENGINE_MYSQL, ZDM_ACTION_HIDE_COLUMN)->sync_step,
                     find(c.plan, ZDM_ENGINE_MYSQL, ZDM_ACTION_SYNC_INSTALL)->ordinal);
    assert_int_equal(find(c.plan, ZDM_ENGINE_POSTGRESQL, ZDM_ACTION_HIDE_COLUMN)->sync_step,
                     find(c.plan, ZDM_ENGINE_POSTGRESQL, ZDM_ACTION_SYNC_INSTALL)->ordinal);
    assert_string_equal(find(c.plan, ZDM_ENGINE_POSTGRESQL, ZDM_ACTION_SYNC_INSTALL)->id, "fill.1");
    assert_string_equal(find(c.plan, ZDM_ENGINE_MYSQL, ZDM_ACTION_SYNC_INSTALL)->id, "fill.3");
    compiled_fini(&c);
}

static void added_columns_are_shown_behind_all_else_of_the_last_migrate_phase(void **state)
{
    (void)state;
    struct compiled c = compile_good_file("two-engines.md");
    const struct zdm_phase *migrate = &c.plan->phases[1];
    const struct zdm_step *last = &migrate->steps[migrate->n_steps - 1];
    assert_int_equal(last->action, ZDM_ACTION_SHOW_COLUMN);
    assert_string_equal(last->column, "x");
    assert_string_equal(last[-1].column, "full_name");
    assert_ptr_equal(zdm_plan_shows(c.plan, find(c.plan, ZDM_ENGINE_MYSQL, ZDM_ACTION_ADD_COLUMN)), &last[-1]);
    assert_null(zdm_plan_shows(c.plan, find(c.plan, ZDM_ENGINE_POSTGRESQL, ZDM_ACTION_ADD_COLUMN)));
    compiled_fini(&c);

    c = compile_good_file("mysql-only.md"); /* no migrate phase, and one of the two is visible at once */
    const struct zdm_phase *expand = &c.plan->phases[0];
    assert_int_equal(expand->n_steps, 3);
    assert_string_equal(expand->steps[2].column, "slug");
    assert_int_equal(expand->steps[2].action, ZDM_ACTION_SHOW_COLUMN);
    assert_null(zdm_plan_shows(c.plan, &expand->steps[0]));
    assert_true(find(c.plan, ZDM_ENGINE_MYSQL, ZDM_ACTION_SET_NOT_NULL)->rewrite_ok);
    compiled_fini(&c);
}

static const struct zdm_finding *finding_of(const struct compiled *c, const char *rule, size_t *out_n)
{
    const struct zdm_finding *found = NULL;
    *out_n = 0;
    for (size_t i = 0; i < c->notes->n_findings; i++)
        if (strcmp(c->notes->findings[i].rule, rule) == 0) {
            found = &c->notes->findings[i];
            ++*out_n;
        }
    return found;
}

static void what_both_say_is_said_once_and_what_one_says_names_it(void **state)
{
    static const char both[] = "---\nid: both\nengines: [postgresql, mysql]\n---\n## Expand\n```sql\n"
                               "ALTER TABLE t ADD COLUMN c varchar(20);\n```\n## Migrate\n"
                               "```sql\nUPDATE t SET c = d;\n```\n## Migrate\n";
    static const char wrong[] = "---\nid: wrong\nengines: [postgresql, mysql]\n---\n## Expand\n```sql\n"
                                "ALTER TABLE t ADD COLUMN c uuid;\n```\n## Contract\n```sql\nDROP TABLE IF EXISTS u;\n"
                                "```\n";
    size_t n;
    (void)state;
    struct compiled c = compile_good("both.md", both);
    const struct zdm_finding *f = finding_of(&c, "phase-empty", &n);
    assert_int_equal(n, 1);
    assert_int_equal(f->engine, ZDM_ENGINE_ANY);
    f = finding_of(&c, "finish-phase", &n);
    assert_int_equal(n, 1);
    assert_int_equal(f->engine, ZDM_ENGINE_ANY);
    assert_int_equal(c.plan->phases[3].class, ZDM_PHASE_CONTRACT);
    char engines[16];
    engines_of(&c.plan->phases[3], engines, sizeof engines);
    assert_string_equal(engines, "ppmm");
    compiled_fini(&c);

    c = compile_text("wrong.md", wrong, strlen(wrong));
    assert_null(c.plan);
    f = finding_of(&c, "not-neutral", &n);
    assert_int_equal(n, 1);
    assert_int_equal(f->engine, ZDM_ENGINE_MYSQL);
    f = finding_of(&c, "drop-if-exists", &n);
    assert_int_equal(n, 1);
    assert_int_equal(f->engine, ZDM_ENGINE_ANY);
    compiled_fini(&c);
}

static void an_engine_that_nothing_is_run_on_is_warned_of(void **state)
{
    static const char text[] = "---\nid: idle\nengines: [postgresql, mysql]\n---\n## Expand\n"
                               "```sql {engine=mariadb}\nALTER TABLE t ADD COLUMN c varchar(20);\n```\n";
    size_t n;
    (void)state;
    struct compiled c = compile_good("idle.md", text);
    const struct zdm_finding *f = finding_of(&c, "engine-idle", &n);
    assert_int_equal(n, 1);
    assert_int_equal(f->level, ZDM_LEVEL_WARNING);
    assert_non_null(strstr(f->message, "postgresql"));
    compiled_fini(&c);
}

static void a_runbook_of_one_engine_says_so_in_each_step(void **state)
{
    (void)state;
    struct compiled c = compile_good_file("mysql-only.md");
    assert_int_equal(c.plan->engines, ZDM_ENGINE_MYSQL);
    for (uint32_t i = 1; i <= zdm_plan_n_steps(c.plan); i++)
        assert_int_equal(zdm_plan_step(c.plan, i)->engine, ZDM_ENGINE_MYSQL);
    for (size_t i = 0; i < c.notes->n_findings; i++)
        assert_int_equal(c.notes->findings[i].engine, ZDM_ENGINE_ANY);
    const struct zdm_step *hide = find(c.plan, ZDM_ENGINE_MYSQL, ZDM_ACTION_HIDE_TABLE);
    assert_int_equal(strncmp(hide->object, "zdm_trash_", 10), 0);
    assert_string_equal(hide->object + 18, "_old_users");
    compiled_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(within_a_phase_each_engine_has_its_steps_together),
        cmocka_unit_test(between_two_flags_too),
        cmocka_unit_test(one_fence_becomes_what_each_engine_needs),
        cmocka_unit_test(added_columns_are_shown_behind_all_else_of_the_last_migrate_phase),
        cmocka_unit_test(what_both_say_is_said_once_and_what_one_says_names_it),
        cmocka_unit_test(an_engine_that_nothing_is_run_on_is_warned_of),
        cmocka_unit_test(a_runbook_of_one_engine_says_so_in_each_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
