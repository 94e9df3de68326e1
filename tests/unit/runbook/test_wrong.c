/*
 * Wrong runbooks, one a file under wrong/: every error at its exact line and column, with its rule, and no other.
 * A file says what is expected of it in comments: <!-- expect 7:30 rename-column -->.
 */
#include "tests/unit/runbook/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/runbook/rules.h"

enum { CASES_MIN = 150, WORDS_MAX = 4096 };

static void list_expected(const char *text, char *out)
{
    static const char mark[] = "<!-- expect ";
    out[0] = '\0';
    for (const char *p = strstr(text, mark); p != NULL; p = strstr(p + 1, mark)) {
        const char *start = p + sizeof mark - 1, *end = strstr(start, " -->");
        assert_non_null(end);
        size_t used = strlen(out);
        snprintf(out + used, WORDS_MAX - used, "%.*s\n", (int)(end - start), start);
    }
}

static void list_errors(const struct compiled *c, char *out)
{
    out[0] = '\0';
    for (size_t i = 0; i < c->notes->n_findings; i++) {
        const struct zdm_finding *f = &c->notes->findings[i];
        size_t used = strlen(out);
        if (f->level == ZDM_LEVEL_ERROR)
            snprintf(out + used, WORDS_MAX - used, "%u:%u %s\n", f->line, f->column, f->rule);
    }
}

static void every_wrong_runbook_is_refused_at_its_exact_position(void **state)
{
    (void)state;
    size_t n, wrong = 0;
    char **names = list_source("tests/unit/runbook/wrong", ".md", &n);
    for (size_t i = 0; i < n; i++) {
        char path[512], expected[WORDS_MAX], found[WORDS_MAX];
        size_t length;
        snprintf(path, sizeof path, "tests/unit/runbook/wrong/%s", names[i]);
        char *text = read_source(path, &length);
        struct compiled c = compile_text(names[i], text, length);
        list_expected(text, expected);
        list_errors(&c, found);
        if (strcmp(expected, found) != 0) {
            print_message("%s: expected\n%sfound\n%s", names[i], expected, found);
            wrong++;
        }
        assert_null(c.plan);
        compiled_fini(&c);
        free(text);
        free(names[i]);
    }
    free(names);
    assert_true(n >= CASES_MIN);
    assert_int_equal(wrong, 0);
}

static void every_error_says_what_to_do_but_those_of_syntax_and_limits(void **state)
{
    (void)state;
    size_t n;
    char **names = list_source("tests/unit/runbook/wrong", ".md", &n);
    for (size_t i = 0; i < n; i++) {
        char path[512];
        size_t length;
        snprintf(path, sizeof path, "tests/unit/runbook/wrong/%s", names[i]);
        char *text = read_source(path, &length);
        struct compiled c = compile_text(names[i], text, length);
        for (size_t j = 0; j < c.notes->n_findings; j++) {
            const struct zdm_finding *f = &c.notes->findings[j];
            bool excused = strstr(f->rule, "syntax") != NULL || f->level != ZDM_LEVEL_ERROR;
            if (!excused && f->hint[0] == '\0')
                fail_msg("%s: %s has no hint", names[i], f->rule);
        }
        compiled_fini(&c);
        free(text);
        free(names[i]);
    }
    free(names);
}

static void every_rule_that_was_met_has_a_page(void **state)
{
    (void)state;
    static const char *const folders[] = {"tests/unit/runbook/wrong", "tests/unit/runbook/good"};
    for (size_t f = 0; f < sizeof folders / sizeof folders[0]; f++) {
        size_t n;
        char **names = list_source(folders[f], ".md", &n);
        for (size_t i = 0; i < n; i++) {
            char path[512];
            size_t length;
            snprintf(path, sizeof path, "%s/%s", folders[f], names[i]);
            char *text = read_source(path, &length);
            struct compiled c = compile_text(names[i], text, length);
            for (size_t j = 0; j < c.notes->n_findings; j++) {
                if (zdm_rule_page(c.notes->findings[j].rule) == NULL)
                    fail_msg("docs/RULES.md does not tell of %s", c.notes->findings[j].rule);
            }
            compiled_fini(&c);
            free(text);
            free(names[i]);
        }
        free(names);
    }
}

/* The runbook inside a hint: from its first heading on. */
static void recipe_compiles(const char *text, const char *rule)
{
    struct compiled c = compile_text("wrong.md", text, strlen(text));
    const struct zdm_finding *finding = find_rule(&c, rule);
    assert_non_null(finding);
    const char *recipe = strstr(finding->hint, "## Phase 1");
    assert_non_null(recipe);
    struct compiled again = compile_good("recipe.md", recipe);
    compiled_fini(&again);
    compiled_fini(&c);
}

static void recipes_compile_as_they_are_printed(void **state)
{
    (void)state;
    recipe_compiles("## Expand\n```sql\nALTER TABLE users RENAME COLUMN name TO full_name;\n```\n", "rename-column");
    recipe_compiles("## Expand\n```sql\nALTER TABLE shop.users RENAME \"Name\" TO \"Full Name\";\n```\n",
                    "rename-column");
    recipe_compiles("## Expand\n```sql\nALTER TABLE \"order\" RENAME \"user\" TO \"Über\";\n```\n", "rename-column");
    recipe_compiles("## Expand\n```sql\nALTER TABLE \"Kunden\" ALTER \"group\" TYPE bigint;\n```\n", "alter-type");
    recipe_compiles("## Expand\n```sql\nALTER TABLE users ALTER id TYPE bigint;\n```\n", "alter-type");
    recipe_compiles("## Expand\n```sql\nALTER TABLE users ALTER age TYPE int USING age::int;\n```\n", "alter-type");
    recipe_compiles("## Expand\n```sql\nALTER TABLE u ADD COLUMN t text GENERATED ALWAYS AS (lower(n)) STORED;\n```\n",
                    "add-column-generated");
    recipe_compiles("## Expand\n```sql\nALTER TABLE u ADD COLUMN n serial, ADD COLUMN m text;\n```\n",
                    "add-column-serial");
    recipe_compiles("## Expand\n```sql\nALTER TABLE u ADD n bigint GENERATED ALWAYS AS IDENTITY;\n```\n",
                    "add-column-identity");
}

static void a_runbook_that_is_too_long_is_not_looked_at(void **state)
{
    (void)state;
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_plan *plan = NULL;
    struct zdm_notes *notes = NULL;
    char *text = malloc(ZDM_RUNBOOK_MAX + 1);
    assert_non_null(text);
    memset(text, '\n', ZDM_RUNBOOK_MAX + 1);
    assert_int_equal(zdm_runbook_compile("a.md", text, ZDM_RUNBOOK_MAX + 1, &plan, &notes, &err), ZDM_LIMIT);
    assert_null(notes);
    free(text);
}

static void deep_nesting_is_refused_before_it_is_parsed(void **state)
{
    (void)state;
    char *text = calloc(1, 40000);
    assert_non_null(text);
    strcpy(text, "## Migrate\n```sql\nUPDATE t SET a = ");
    for (int i = 0; i < 5000; i++)
        strcat(text + 20, "NOT ");
    strcat(text, "true;\n```\n");
    struct compiled c = compile_text("deep.md", text, strlen(text));
    assert_non_null(find_rule(&c, "too-long"));
    compiled_fini(&c);
    free(text);
}

static void bytes_that_are_no_text_are_refused_with_their_place(void **state)
{
    (void)state;
    struct compiled c = compile_text("a.md", "ok\nok \xff\n", 7);
    const struct zdm_finding *f = find_rule(&c, "utf-8");
    assert_non_null(f);
    assert_int_equal(f->line, 2);
    assert_int_equal(f->column, 4);
    compiled_fini(&c);
    c = compile_text("a.md", "a\0b", 3);
    assert_non_null(find_rule(&c, "utf-8"));
    compiled_fini(&c);
}

/* The same runbook with other line ends, a byte order mark and other fences is the same plan; errors stand where they
 * stood. */
static void line_ends_and_a_byte_order_mark_change_nothing(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"---\nid: a\nsoak: 1h\n---\n## Expand\n```sql {name=x}\nALTER TABLE t ADD COLUMN x text\n  DEFAULT "
         "'a\nb';\n```\n",
         "\xef\xbb\xbf---\r\nid: a\r\nsoak: 1h\r\n---\r\n## Expand\r\n~~~~sql {name=x}\r\nALTER TABLE t ADD COLUMN x "
         "text\r\n"
         "  DEFAULT 'a\r\nb';\r\n~~~~\r\n"},
    };
    struct compiled left = compile_text("a.md", texts[0][0], strlen(texts[0][0]));
    struct compiled right = compile_text("a.md", texts[0][1], strlen(texts[0][1]));
    assert_non_null(left.plan);
    assert_non_null(right.plan);
    assert_string_equal(zdm_plan_step(left.plan, 1)->sql, zdm_plan_step(right.plan, 1)->sql);
    assert_int_equal(left.plan->wave_soak_ms, right.plan->wave_soak_ms);
    compiled_fini(&left);
    compiled_fini(&right);
    static const char wrong[] =
        "\xef\xbb\xbf## Expand\r\n```sql\r\nALTER TABLE t\r\n\tRENAME COLUMN äö TO b;\r\n```\r\n";
    struct compiled c = compile_text("a.md", wrong, strlen(wrong));
    const struct zdm_finding *f = find_rule(&c, "rename-column");
    assert_non_null(f);
    assert_int_equal(f->line, 4);
    assert_int_equal(f->column, 2);
    compiled_fini(&c);
}

static void says(const char *sql, const char *message, const char *hint)
{
    char text[512];
    snprintf(text, sizeof text, "## Expand\n```sql\n%s\n```\n", sql);
    struct compiled c = compile_text("a.md", text, strlen(text));
    const struct zdm_finding *f = find_rule(&c, "sql-syntax");
    assert_non_null(f);
    assert_string_equal(f->message, message);
    if (strstr(f->hint, hint) == NULL)
        fail_msg("the hint of \"%s\" is \"%s\"", message, f->hint);
    compiled_fini(&c);
}

static void an_error_of_syntax_says_what_is_likely_missing(void **state)
{
    (void)state;
    says("ALTER TABLE t ADD COLUMN x text DEFAULT 'abc;\nSELECT 1;", "unterminated quoted string at or near \"'abc;…",
         "twice");
    says("ALTER TABLE t ADD COLUMN x text; /* open", "unterminated /* comment at or near \"/* open…", "*/");
    says("ALTER TABLE t ADD COLUMN \"x text;", "unterminated quoted identifier at or near \"\"x text;…", "Close");
    says("ALTER TABLE t ADD COLUMN x text\nALTER TABLE t ADD COLUMN y text;", "syntax error at or near \"ALTER\"",
         "Put a ;");
    says("ALTER TABLE t ADD COLUMN;", "syntax error at end of input", "not complete");
}

static void a_fence_that_is_indented_too_far_is_told_of(void **state)
{
    (void)state;
    static const char text[] =
        "## Expand\n\n\t```sql\n\tDROP TABLE t;\n\t```\n\n```sql\nALTER TABLE t ADD COLUMN x text;\n```\n";
    struct compiled c = compile_text("a.md", text, strlen(text));
    const struct zdm_finding *f = find_rule(&c, "fence-indented");
    assert_non_null(f);
    assert_int_equal(f->line, 3);
    assert_int_equal(f->column, 2);
    assert_non_null(c.plan);
    assert_int_equal(zdm_plan_n_steps(c.plan), 1);
    compiled_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_wrong_runbook_is_refused_at_its_exact_position),
        cmocka_unit_test(every_error_says_what_to_do_but_those_of_syntax_and_limits),
        cmocka_unit_test(every_rule_that_was_met_has_a_page),
        cmocka_unit_test(recipes_compile_as_they_are_printed),
        cmocka_unit_test(a_runbook_that_is_too_long_is_not_looked_at),
        cmocka_unit_test(deep_nesting_is_refused_before_it_is_parsed),
        cmocka_unit_test(bytes_that_are_no_text_are_refused_with_their_place),
        cmocka_unit_test(line_ends_and_a_byte_order_mark_change_nothing),
        cmocka_unit_test(an_error_of_syntax_says_what_is_likely_missing),
        cmocka_unit_test(a_fence_that_is_indented_too_far_is_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
