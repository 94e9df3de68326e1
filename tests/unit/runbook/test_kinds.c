/*
 * What each kind of schema change becomes: the runbooks good/kind-NAME.md say in comments which steps they expect,
 * <!-- step ID ACTION LOCK INVERSE: SQL -->, and every plan of good/ is whole and honest.
 */
#include "tests/unit/runbook/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

enum { CASES_MIN = 25 };

static void list_expected(const char *text, struct zdm_buffer *out)
{
    static const char mark[] = "<!-- step ";
    for (const char *p = strstr(text, mark); p != NULL; p = strstr(p + 1, mark)) {
        const char *start = p + sizeof mark - 1, *end = strstr(start, " -->");
        assert_non_null(end);
        zdm_buffer_append(out, start, (size_t)(end - start));
        zdm_buffer_puts(out, "\n");
    }
}

static void list_steps(const struct zdm_plan *plan, struct zdm_buffer *out)
{
    for (uint32_t o = 1; o <= zdm_plan_n_steps(plan); o++) {
        const struct zdm_step *s = zdm_plan_step(plan, o);
        zdm_buffer_printf(out, "%s %s %s %s%s", s->id, zdm_action_name(s->action), zdm_lock_class_name(s->lock),
                          s->exact_inverse ? "" : "inexact ", zdm_inverse_name(s->inverse));
        for (size_t i = 0; i < s->n_others; i++)
            zdm_buffer_printf(out, " +%s.%s", s->others[i].schema, s->others[i].name);
        if (s->sql != NULL)
            zdm_buffer_printf(out, ": %s", s->sql);
        else
            zdm_buffer_printf(out, ": %s %s %s", s->table.name == NULL ? "" : s->table.name,
                              s->column == NULL ? "" : s->column, s->object == NULL ? "" : s->object);
        if (s->action == ZDM_ACTION_BACKFILL)
            zdm_buffer_printf(out, "%s := %s", s->derivation->assignments[0].target,
                              s->derivation->assignments[0].expr);
        zdm_buffer_puts(out, "\n");
    }
}

static void check_honest(const char *name, const struct zdm_plan *plan)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    if (zdm_plan_validate(plan, &err) != ZDM_OK)
        fail_msg("the plan of %s is not whole: %s", name, err.message);
    if (zdm_plan_check_honest(plan, &err) != ZDM_OK)
        fail_msg("the plan of %s is not honest: %s", name, err.message);
}

static bool has_steps_expected(const char *name, const char *text, const struct zdm_plan *plan)
{
    struct zdm_buffer expected = ZDM_BUFFER_INIT, found = ZDM_BUFFER_INIT;
    list_expected(text, &expected);
    list_steps(plan, &found);
    bool same = strcmp(zdm_buffer_text(&expected), zdm_buffer_text(&found)) == 0;
    if (!same)
        print_message("%s: expected\n%sfound\n%s", name, zdm_buffer_text(&expected), zdm_buffer_text(&found));
    zdm_buffer_fini(&expected);
    zdm_buffer_fini(&found);
    return same;
}

static void each_kind_becomes_the_steps_that_it_should(void **state)
{
    (void)state;
    size_t n, kinds = 0, wrong = 0;
    char **names = list_source("tests/unit/runbook/good", ".md", &n);
    for (size_t i = 0; i < n; i++) {
        char path[512];
        size_t length;
        snprintf(path, sizeof path, "tests/unit/runbook/good/%s", names[i]);
        char *text = read_source(path, &length);
        struct compiled c = compile_good(names[i], text);
        bool kind = strncmp(names[i], "kind-", 5) == 0;
        check_honest(names[i], c.plan);
        kinds += kind;
        wrong += kind && !has_steps_expected(names[i], text, c.plan);
        compiled_fini(&c);
        free(text);
        free(names[i]);
    }
    free(names);
    assert_int_equal(wrong, 0);
    assert_true(kinds >= CASES_MIN);
}

/* ---- names that PostgreSQL would choose ---- */

static void names_object(const char *sql, enum zdm_action action, const char *object)
{
    char text[1024];
    snprintf(text, sizeof text, "## Migrate\n```sql\n%s\n```\n", sql);
    struct compiled c = compile_good("a.md", text);
    const struct zdm_step *step = find_action(&c, action);
    assert_non_null(step);
    assert_string_equal(step->object, object);
    compiled_fini(&c);
}

static void constraints_without_a_name_get_the_one_that_postgresql_chooses(void **state)
{
    (void)state;
    names_object("ALTER TABLE t ADD CHECK (a > 0);", ZDM_ACTION_ADD_CHECK, "t_a_check");
    names_object("ALTER TABLE t ADD CHECK (a > b);", ZDM_ACTION_ADD_CHECK, "t_check");
    names_object("ALTER TABLE t ADD UNIQUE (a, \"B\");", ZDM_ACTION_ADD_UNIQUE, "t_a_B_key");
    names_object("ALTER TABLE t ADD PRIMARY KEY (a, b);", ZDM_ACTION_ADD_PRIMARY_KEY, "t_pkey");
    names_object("ALTER TABLE t ADD FOREIGN KEY (a, b) REFERENCES p;", ZDM_ACTION_ADD_FOREIGN_KEY, "t_a_b_fkey");
    names_object("ALTER TABLE t ADD COLUMN a int REFERENCES p;", ZDM_ACTION_ADD_FOREIGN_KEY, "t_a_fkey");
    names_object("ALTER TABLE t ADD COLUMN a int CHECK (a > 0);", ZDM_ACTION_ADD_CHECK, "t_a_check");
    names_object("ALTER TABLE t ADD COLUMN a int UNIQUE;", ZDM_ACTION_ADD_UNIQUE, "t_a_key");
    names_object("ALTER TABLE a_table_with_a_name_of_forty_nine_characters_here ADD FOREIGN KEY "
                 "(a_column_with_a_long_name_too) REFERENCES p;",
                 ZDM_ACTION_ADD_FOREIGN_KEY, "a_table_with_a_name_of_forty__a_column_with_a_long_name_to_fkey");
}

static void indexes_without_a_name_get_the_one_that_postgresql_chooses(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"(coalesce(a, 1), (CASE WHEN a = 1 THEN 2 END), (a IS NULL), (b COLLATE \"C\"), (a::text)) INCLUDE (\"B\")",
         "t_coalesce_case_expr_b_a_B_idx"},
        {"((nullif(a, 1)), (greatest(a, 2)), (ARRAY[a]), (data[1]), ((a + 1)::text), extract(year from made))",
         "t_nullif_greatest_array_data_text_extract_idx"},
        {"((data ->> 'city'), (made::date), (least(a, 1)), (row(a, b)))", "t_expr_made_least_row_idx"},
        {"((CASE WHEN a THEN b ELSE c END), ((CASE WHEN a THEN 1 END)::text), (((pair).x)))", "t_c_text_x_idx"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char sql[256];
        snprintf(sql, sizeof sql, "CREATE INDEX ON t %s;", rows[i][0]);
        names_object(sql, ZDM_ACTION_CREATE_INDEX, rows[i][1]);
    }
}

static void second_name_of_one_kind_gets_a_number(void **state)
{
    (void)state;
    struct compiled c = compile_good("a.md", "## Migrate\n```sql\nALTER TABLE t ADD CHECK (a > 0), ADD CHECK (a < 9);\n"
                                             "CREATE INDEX ON t (a); CREATE INDEX ON t USING hash (a);\n"
                                             "CREATE INDEX ON t (lower(b), lower(c), (a + 1));\n```\n");
    static const char *const names[] = {
        "t_a_check", "t_a_check", "t_a_check1", "t_a_check1", "t_a_idx", "t_a_idx1", "t_lower_lower1_expr_idx"};
    assert_int_equal(zdm_plan_n_steps(c.plan), sizeof names / sizeof names[0]);
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_string_equal(zdm_plan_step(c.plan, i + 1)->object, names[i]);
    compiled_fini(&c);
}

/* ---- hints are ready to copy ---- */

/* The hint of that refusal holds SQL fences that compile in an expand phase. */
static void hint_compiles(const char *sql, const char *rule)
{
    char text[1024];
    snprintf(text, sizeof text, "## Expand\n```sql\n%s\n```\n", sql);
    struct compiled c = compile_text("a.md", text, strlen(text));
    const struct zdm_finding *finding = find_rule(&c, rule);
    if (finding == NULL)
        fail_msg("%s is not refused as %s", sql, rule);
    const char *fence = strstr(finding->hint, "```sql {as-is");
    if (fence == NULL)
        fail_msg("the hint of %s shows no as-is form: %s", sql, finding->hint);
    struct zdm_buffer again = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&again, "## Expand\n%s\n", fence);
    struct compiled d = compile_good(sql, zdm_buffer_text(&again));
    zdm_buffer_fini(&again);
    compiled_fini(&d);
    compiled_fini(&c);
}

static void refused_statements_show_an_as_is_form_that_compiles(void **state)
{
    (void)state;
    hint_compiles("CREATE VIEW v AS SELECT a FROM t;", "view");
    hint_compiles("CREATE SEQUENCE s;", "sequence-statement");
    hint_compiles("CREATE EXTENSION pg_trgm;", "extension");
    hint_compiles("CREATE TRIGGER x BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f();", "trigger");
    hint_compiles("ALTER TABLE t ENABLE ROW LEVEL SECURITY;", "policy");
    hint_compiles("CREATE POLICY p ON t USING (true);", "policy");
    hint_compiles("CREATE MATERIALIZED VIEW totals AS SELECT sum(a) FROM t;", "view");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_becomes_the_steps_that_it_should),
        cmocka_unit_test(constraints_without_a_name_get_the_one_that_postgresql_chooses),
        cmocka_unit_test(indexes_without_a_name_get_the_one_that_postgresql_chooses),
        cmocka_unit_test(second_name_of_one_kind_gets_a_number),
        cmocka_unit_test(refused_statements_show_an_as_is_form_that_compiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
