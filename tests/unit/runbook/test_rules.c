/*
 * docs/RULES.md and the code name the same rules: each finding has a page, each page a finding; and each error of the
 * compiler is met by a wrong runbook at least once.
 */
#include "tests/unit/runbook/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/runbook/rules.h"

enum { IDS_MAX = 600, ID_MAX = 64 };

struct ids {
    char names[IDS_MAX][ID_MAX];
    size_t n;
};

static bool holds(const struct ids *ids, const char *name)
{
    for (size_t i = 0; i < ids->n; i++) {
        if (strcmp(ids->names[i], name) == 0)
            return true;
    }
    return false;
}

static void add(struct ids *ids, const char *name, size_t n)
{
    char text[ID_MAX] = "";
    if (n == 0 || n >= ID_MAX || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") < n)
        return;
    memcpy(text, name, n);
    if (holds(ids, text))
        return;
    assert_true(ids->n < IDS_MAX);
    memcpy(ids->names[ids->n++], text, sizeof text);
}

/* The next string behind p; NULL when the statement or row ends before. */
static const char *next_string(const char *p, size_t *out_n)
{
    while (*p != '"') {
        if (*p == '\0' || *p == ';' || *p == '}')
            return NULL;
        p++;
    }
    const char *start = ++p;
    while (*p != '"' && *p != '\0')
        p += *p == '\\' && p[1] != '\0' ? 2 : 1;
    *out_n = (size_t)(p - start);
    return start;
}

/* The first string behind each mark, and both of a choice. `skip` strings are passed over. */
static void take_behind(struct ids *ids, const char *text, const char *mark, size_t skip)
{
    for (const char *p = strstr(text, mark); p != NULL; p = strstr(p + 1, mark)) {
        size_t n;
        const char *name = next_string(p + strlen(mark), &n);
        for (size_t i = 0; i < skip && name != NULL; i++)
            name = next_string(name + n + 1, &n);
        if (name == NULL)
            continue;
        add(ids, name, n);
        size_t blanks = 1 + strspn(name + n + 1, " \n");
        if (name[n + blanks] == ':') {
            const char *other = next_string(name + n + blanks, &n);
            if (other != NULL)
                add(ids, other, n);
        }
    }
}

/* MySQL's: findings of its parser, and the tables of refused statements, whose first strings are words. */
static void collect_mysql(struct ids *ids)
{
    static const char *const marks[] = {"my_fail(m,", "my_fail(a->m,", "my_fail(c->m,", "my_fail(r->m,", "fail(x,",
                                        "fail(e,",    "rb_error(",     "rb_warning(",   "rb_note("};
    size_t n;
    char **names = list_source("common/runbook/mysql", ".c", &n);
    for (size_t i = 0; i < n; i++) {
        char path[512];
        size_t length;
        snprintf(path, sizeof path, "common/runbook/mysql/%s", names[i]);
        char *text = read_source(path, &length);
        for (size_t k = 0; k < sizeof marks / sizeof marks[0]; k++)
            take_behind(ids, text, marks[k], 0);
        if (strcmp(names[i], "refuse.c") == 0 || strcmp(names[i], "alter.c") == 0)
            take_behind(ids, text, "\n    {", 1);
        free(text);
        free(names[i]);
    }
    free(names);
}

static void collect_folder(struct ids *ids, const char *folder)
{
    static const char *const marks[] = {"rb_error(", "rb_warning(", "rb_note(", "fail(e,", "fail(w,", "{0,"};
    size_t n;
    char **names = list_source(folder, ".c", &n);
    for (size_t i = 0; i < n; i++) {
        char path[512];
        size_t length;
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        char *text = read_source(path, &length);
        for (size_t k = 0; k < sizeof marks / sizeof marks[0]; k++)
            take_behind(ids, text, marks[k], 0);
        if (strncmp(names[i], "draft", 5) != 0) /* whose rows are words of names */
            take_behind(ids, text, "{PG_QUERY__", 0);
        take_behind(ids, text, "[RB_DDL_", 1);
        free(text);
        free(names[i]);
    }
    free(names);
}

static void collect_compiler(struct ids *ids)
{
    collect_folder(ids, "common/runbook");
    collect_folder(ids, "common/runbook/postgresql");
    collect_mysql(ids);
}

static void collect_survey(struct ids *ids)
{
    size_t length;
    char *text = read_source("common/plan/survey.h", &length);
    take_behind(ids, text, "    X(", 0);
    free(text);
}

static void every_rule_of_the_code_has_a_page(void **state)
{
    (void)state;
    static struct ids ids;
    size_t missing = 0;
    collect_compiler(&ids);
    collect_survey(&ids);
    assert_true(ids.n > 200);
    for (size_t i = 0; i < ids.n; i++) {
        if (zdm_rule_page(ids.names[i]) != NULL)
            continue;
        print_error("docs/RULES.md has no section for %s\n", ids.names[i]);
        missing++;
    }
    assert_int_equal(missing, 0);
}

static void every_page_is_of_a_rule_in_the_code(void **state)
{
    (void)state;
    static struct ids ids;
    size_t spare = 0;
    collect_compiler(&ids);
    collect_survey(&ids);
    for (size_t i = 0; zdm_rule_at(i) != NULL; i++) {
        const struct zdm_rule *rule = zdm_rule_at(i);
        if (!holds(&ids, rule->name)) {
            print_error("nothing in the code finds %s\n", rule->name);
            spare++;
        }
        if (strlen(rule->page) < 40)
            fail_msg("the page of %s says too little", rule->name);
    }
    assert_int_equal(spare, 0);
}

/* Limits that take hundreds of lines to reach, what only bytes that are no text meet (test_wrong.c has them), and what
 * stands guard behind the deparser: no index is known that it does not write again. */
static bool is_elsewhere(const char *rule)
{
    static const char *const rules[] = {
        "too-long", "too-many-fences", "too-many-phases", "too-many-steps", "utf-8", "condition-long", "index"};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strcmp(rules[i], rule) == 0)
            return true;
    }
    return false;
}

/* The rules of the table in mysql_wrong.h. */
static void collect_table(struct ids *ids)
{
    size_t length;
    char *text = read_source("tests/unit/runbook/mysql_wrong.h", &length);
    for (const char *p = strstr(text, "\n    {"); p != NULL; p = strstr(p + 1, "\n    {")) {
        size_t n;
        const char *rule = next_string(p, &n);
        if (rule != NULL)
            add(ids, rule, n);
    }
    free(text);
}

static void collect_expected(struct ids *ids)
{
    size_t n;
    collect_table(ids);
    char **names = list_source("tests/unit/runbook/wrong", ".md", &n);
    for (size_t i = 0; i < n; i++) {
        char path[512];
        size_t length;
        snprintf(path, sizeof path, "tests/unit/runbook/wrong/%s", names[i]);
        char *text = read_source(path, &length);
        for (const char *p = strstr(text, "<!-- expect "); p != NULL; p = strstr(p + 1, "<!-- expect ")) {
            const char *name = strchr(p + 12, ' ');
            assert_non_null(name);
            add(ids, name + 1, strcspn(name + 1, " "));
        }
        free(text);
        free(names[i]);
    }
    free(names);
}

static void every_error_is_met_by_a_wrong_runbook(void **state)
{
    (void)state;
    static struct ids compiler, met;
    size_t missing = 0;
    collect_compiler(&compiler);
    collect_expected(&met);
    for (size_t i = 0; zdm_rule_at(i) != NULL; i++) {
        const struct zdm_rule *rule = zdm_rule_at(i);
        bool error = strncmp(rule->page, "Error.", 6) == 0 && holds(&compiler, rule->name);
        if (!error || holds(&met, rule->name) || is_elsewhere(rule->name))
            continue;
        print_error("no runbook under wrong/ expects %s\n", rule->name);
        missing++;
    }
    assert_int_equal(missing, 0);
}

static void a_rule_that_is_misspelt_is_found(void **state)
{
    (void)state;
    assert_string_equal(zdm_rule_nearest("rename-colum"), "rename-column");
    assert_null(zdm_rule_nearest("nothing-like-it-at-all"));
    assert_null(zdm_rule_page("rename-colum"));
    assert_non_null(strstr(zdm_rule_page("rename-column"), "RENAME COLUMN name TO full_name"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_of_the_code_has_a_page),
        cmocka_unit_test(every_page_is_of_a_rule_in_the_code),
        cmocka_unit_test(every_error_is_met_by_a_wrong_runbook),
        cmocka_unit_test(a_rule_that_is_misspelt_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
