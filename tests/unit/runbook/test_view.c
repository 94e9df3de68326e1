/*
 * What zdmctl plan prints: for people within 100 columns, as JSON with the promised fields.
 */
#include "tests/unit/runbook/support.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/ctl/view/plan_view.h"

static const struct ctl_look plain = {.terminal = false, .color = false, .unicode = false, .width = 80};

static char *view(const char *path)
{
    size_t n;
    char *text = read_source(path, &n);
    struct compiled c = compile_text(path, text, n);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    ctl_plan_text(&out, &plain, c.plan, c.notes);
    compiled_fini(&c);
    free(text);
    char *shown = zdm_buffer_take(&out);
    assert_non_null(shown);
    return shown;
}

static void a_plan_shows_what_is_written_and_what_is_done(void **state)
{
    (void)state;
    static const char *const words[] = {
        "Rename users.name to full_name",
        "Phase 2: Migrate",
        "UPDATE users SET full_name = name",
        "fill.2",
        "backfill",
        "SHARE ROW EXCLUSIVE",
        "Phase 5: Purge",
        "destructive, 1 approval",
        "undo",
        "done otherwise than written",
    };
    char *shown = view("deploy/examples/users-full-name.md");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strstr(shown, words[i]) == NULL)
            fail_msg("\"%s\" is not in\n%s", words[i], shown);
    }
    assert_null(strchr(shown, '\033'));
    free(shown);
}

static void a_plan_for_two_engines_says_whose_each_step_is(void **state)
{
    static const char *const words[] = {
        "for postgresql and mysql; every shard",
        "\non shards of postgresql\n",
        "\non shards of mysql\n",
        "\non shards of both engines\n",
        "ALTER TABLE `users` ADD COLUMN `full_name` varchar(200)",
        "ALTER TABLE `users` ALTER COLUMN `full_name` SET VISIBLE",
        "ALTER TABLE `users` ALTER COLUMN `name` SET INVISIBLE",
        "UPDATE `users` t SET `full_name` = t.`name`",
        "UPDATE \"public\".\"users\" t SET \"full_name\" = t.\"name\"",
    };
    (void)state;
    char *shown = view("tests/unit/runbook/good/two-engines.md");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strstr(shown, words[i]) == NULL)
            fail_msg("\"%s\" is not in\n%s", words[i], shown);
    }
    free(shown);
}

static void json_says_the_engines_of_a_plan_its_steps_and_of_what_one_alone_finds(void **state)
{
    static const char text[] = "---\nid: json\nengines: [postgresql, mysql]\n---\n## Expand\n"
                               "```sql {engine=mysql}\nALTER TABLE t ADD COLUMN c int;\n```\n";
    (void)state;
    struct compiled c = compile_good("json.md", text);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    ctl_plan_json(&out, c.plan, c.notes);
    json_t *root = json_loads(zdm_buffer_text(&out), 0, NULL);
    assert_int_equal(json_array_size(json_object_get(root, "engines")), 2);
    const json_t *steps = json_object_get(json_array_get(json_object_get(root, "phases"), 0), "steps");
    assert_string_equal(json_string_value(json_object_get(json_array_get(steps, 0), "engine")), "mysql");
    assert_string_equal(json_string_value(json_object_get(json_array_get(steps, 0), "table_lock")), "METADATA");
    const json_t *findings = json_object_get(root, "findings");
    assert_true(json_is_null(json_object_get(json_array_get(findings, 0), "engine"))); /* engine-idle */
    json_decref(root);
    zdm_buffer_fini(&out);
    compiled_fini(&c);
}

static void a_plan_says_what_each_rollback_does_and_where_people_sign(void **state)
{
    (void)state;
    char *shown = view("deploy/examples/users-full-name.md");
    assert_non_null(strstr(shown, "undo  the column comes back, with all that was written since"));
    assert_non_null(strstr(shown, "Phase 5: Purge, destructive, 1 approval\n"));
    assert_non_null(strstr(shown, "undo  impossible"));
    assert_null(strstr(shown, "this release"));
    free(shown);
    shown = view("deploy/examples/users-status-not-null.md");
    assert_non_null(strstr(shown, "undo  the old values are written back"));
    assert_non_null(strstr(shown, "note: the old values of status are kept in zdm.undo_"));
    assert_non_null(strstr(shown, "Phase 3: Purge, destructive, 1 approval\n"));
    free(shown);
}

static void json_calls_an_overwritten_column_exact_while_its_old_values_are_kept(void **state)
{
    (void)state;
    size_t n;
    char *text = read_source("deploy/examples/users-status-not-null.md", &n);
    struct compiled c = compile_text("users-status-not-null.md", text, n);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    ctl_plan_json(&out, c.plan, c.notes);
    json_t *root = json_loads(zdm_buffer_text(&out), 0, NULL);
    const json_t *phase = json_array_get(json_object_get(root, "phases"), 0);
    const json_t *inverse = json_object_get(json_array_get(json_object_get(phase, "steps"), 0), "inverse");
    assert_string_equal(json_string_value(json_object_get(inverse, "kind")), "images");
    assert_true(json_is_true(json_object_get(inverse, "exact")));
    json_decref(root);
    zdm_buffer_fini(&out);
    compiled_fini(&c);
    free(text);
}

static void a_plan_fits_a_hundred_columns(void **state)
{
    (void)state;
    size_t n;
    char **names = list_source("deploy/examples", ".md", &n);
    for (size_t i = 0; i < n; i++) {
        char path[512] = "deploy/examples/";
        strncat(path, names[i], 400);
        char *shown = view(path);
        for (const char *line = shown; *line != '\0'; line += strcspn(line, "\n") + 1) {
            if (strcspn(line, "\n") > CTL_PLAN_WIDTH_MAX)
                fail_msg("too long: %.*s", (int)strcspn(line, "\n"), line);
        }
        free(shown);
        free(names[i]);
    }
    free(names);
}

static void a_wrong_runbook_shows_its_findings_with_places_and_recipes(void **state)
{
    (void)state;
    char *shown = view("tests/unit/runbook/wrong/rename-column.md");
    assert_non_null(strstr(shown, "rename-column.md:4:19: error: "));
    assert_non_null(strstr(shown, "    ## Phase 1: Expand\n"));
    assert_non_null(strstr(shown, "[rename-column]"));
    free(shown);
}

static void json_has_the_promised_fields(void **state)
{
    (void)state;
    size_t n;
    char *text = read_source("deploy/examples/users-full-name.md", &n);
    struct compiled c = compile_text("users-full-name.md", text, n);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    ctl_plan_json(&out, c.plan, c.notes);
    json_t *root = json_loads(zdm_buffer_text(&out), 0, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "id")), "users-full-name");
    assert_int_equal(strlen(json_string_value(json_object_get(root, "hash"))), 64);
    const json_t *phases = json_object_get(root, "phases");
    assert_int_equal(json_array_size(phases), 5);
    const json_t *phase = json_array_get(phases, 1);
    assert_string_equal(json_string_value(json_object_get(phase, "class")), "migrate");
    const json_t *step = json_array_get(json_object_get(phase, "steps"), 1);
    static const char *const fields[] = {"id", "kind", "engine", "sql", "lock", "line", "rewritten", "inverse"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        assert_non_null(json_object_get(step, fields[i]));
    assert_string_equal(json_string_value(json_array_get(json_object_get(step, "sql"), 0)),
                        "UPDATE \"public\".\"users\" t SET \"full_name\" = t.\"name\" WHERE (t.\"full_name\" IS NULL)");
    json_decref(root);
    zdm_buffer_fini(&out);
    compiled_fini(&c);
    free(text);
}

static void json_of_a_wrong_runbook_has_findings_and_no_phase(void **state)
{
    (void)state;
    struct compiled c = compile_text("a.md", "## Expand\n```sql\nDROP TABLE t;\n```\n", 34);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    ctl_plan_json(&out, c.plan, c.notes);
    json_t *root = json_loads(zdm_buffer_text(&out), 0, NULL);
    assert_non_null(root);
    assert_true(json_is_null(json_object_get(root, "id")));
    assert_int_equal(json_array_size(json_object_get(root, "phases")), 0);
    const json_t *finding = json_array_get(json_object_get(root, "findings"), 0);
    assert_string_equal(json_string_value(json_object_get(finding, "level")), "error");
    assert_string_equal(json_string_value(json_object_get(finding, "rule")), "drop-outside-contract");
    assert_int_equal(json_integer_value(json_object_get(finding, "line")), 3);
    json_decref(root);
    zdm_buffer_fini(&out);
    compiled_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_shows_what_is_written_and_what_is_done),
        cmocka_unit_test(a_plan_for_two_engines_says_whose_each_step_is),
        cmocka_unit_test(json_says_the_engines_of_a_plan_its_steps_and_of_what_one_alone_finds),
        cmocka_unit_test(a_plan_says_what_each_rollback_does_and_where_people_sign),
        cmocka_unit_test(json_calls_an_overwritten_column_exact_while_its_old_values_are_kept),
        cmocka_unit_test(a_plan_fits_a_hundred_columns),
        cmocka_unit_test(a_wrong_runbook_shows_its_findings_with_places_and_recipes),
        cmocka_unit_test(json_has_the_promised_fields),
        cmocka_unit_test(json_of_a_wrong_runbook_has_findings_and_no_phase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
