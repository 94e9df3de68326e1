/*
 * What docs/RULES.md shows: of each error of the compiler, the wrong example is refused by that very rule and by no
 * other, and what to write instead compiles. An example is a piece of SQL, front matter or a fence; it is put into each
 * of the places that it may stand in, and one of them must do. What has a gap (…) or is words alone is not tried.
 */
#include "tests/unit/runbook/support.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/runbook/rules.h"

enum { EXAMPLES_MAX = 8, TEXT_MAX = 4096, STATEMENTS_MAX = 4, TRIED_MIN = 230 };

struct examples {
    char texts[EXAMPLES_MAX][512];
    size_t n;
    bool whole; /* none has a gap, or is a single word */
};

/* ---- reading a page ---- */

static bool is_example(const char *text)
{
    return strcmp(text, "{check}") != 0 && strncmp(text, "zdmctl", 6) != 0 && strncmp(text, "```", 3) != 0 &&
           (strpbrk(text, " {") != NULL || strncmp(text, "CREATE", 6) == 0);
}

/* The pieces in backquotes, line ends as blanks. */
static void take_examples(const char *from, const char *end, struct examples *out)
{
    *out = (struct examples){.n = 0, .whole = true};
    for (const char *p = from; p < end;) {
        size_t quotes = strspn(p, "`");
        if (quotes == 0) {
            p++;
            continue;
        }
        const char *start = p + quotes, *close = start;
        while (close < end && strspn(close, "`") < quotes)
            close += strspn(close, "`") > 0 ? strspn(close, "`") : 1;
        if (close < end && out->n < EXAMPLES_MAX) {
            char *text = out->texts[out->n];
            start += strspn(start, " ");
            snprintf(text, sizeof out->texts[0], "%.*s", (int)(close - start), start);
            for (char *c = text; *c != '\0'; c++)
                *c = *c == '\n' ? ' ' : *c;
            out->whole = out->whole && strstr(text, "…") == NULL;
            out->n += is_example(text);
        }
        p = close + quotes;
    }
}

/* ---- places for SQL ---- */

/* What a fragment is a part of. */
static const char *head_of(const char *sql)
{
    static const struct {
        const char *begins, *head;
    } rows[] = {
        {"ADD VALUE", "ALTER TYPE mood "},
        {"ADD ", "ALTER TABLE t "},
        {"ALTER COLUMN", "ALTER TABLE t "},
        {"ALTER CONSTRAINT", "ALTER TABLE t "},
        {"DROP COLUMN", "ALTER TABLE t "},
        {"DROP CONSTRAINT", "ALTER TABLE t "},
        {"VALIDATE", "ALTER TABLE t "},
        {"ATTACH", "ALTER TABLE t "},
        {"DETACH", "ALTER TABLE t "},
        {"ENABLE", "ALTER TABLE t "},
        {"DISABLE", "ALTER TABLE t "},
        {"REPLICA", "ALTER TABLE t "},
        {"SET LOGGED", "ALTER TABLE t "},
        {"SET TABLESPACE", "ALTER TABLE t "},
        {"SET (", "ALTER TABLE t "},
        {"RENAME", "ALTER TABLE t "},
        {"SET DEFAULT", "ALTER TABLE t ALTER COLUMN c "},
        {"SET NOT NULL", "ALTER TABLE t ALTER COLUMN c "},
        {"SET lock", ""},
        {"SET ", "UPDATE t "},
        {"WHERE", "UPDATE t SET c = d "},
        {"CHECK", "ALTER TABLE t ADD CONSTRAINT n "},
        {"UNIQUE", "ALTER TABLE t ADD CONSTRAINT n "},
        {"TYPE", "ALTER TABLE t ALTER COLUMN c "},
        {"DEFAULT", "ALTER TABLE t ADD COLUMN c bigint "},
        {"nextval", "ALTER TABLE t ADD COLUMN c bigint DEFAULT "},
        {"FOR VALUES", "ALTER TABLE t ATTACH PARTITION p "},
        {"AT TIME ZONE", "UPDATE t SET c = d "},
        {"COALESCE", "UPDATE t SET c = "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strncmp(sql, rows[i].begins, strlen(rows[i].begins)) == 0)
            return rows[i].head;
    }
    return "";
}

static bool mysql; /* the page at hand is of a rule that MySQL's SQL alone meets */

/* "id: docs" is followed by the engine; what has no front matter gets one. */
static void put_engine(char *out, size_t size, const char *text)
{
    const char *id = strstr(text, "id: docs\n");
    size_t n = id == NULL ? 0 : (size_t)(id - text) + strlen("id: docs\n");
    snprintf(out, size, "%.*s%s%s", (int)n, text, mysql && id != NULL ? "engines: mysql\n" : "", text + n);
}

/* Is what came of it what it shall be: refused by that rule alone, or (rule NULL) a plan? */
static bool comes_out(const char *source, const char *rule)
{
    char text[TEXT_MAX + 64];
    put_engine(text, sizeof text, source);
    struct compiled c = compile_text("docs.md", text, strlen(text));
    bool good = rule == NULL ? c.plan != NULL : c.plan == NULL;
    for (size_t i = 0; i < c.notes->n_findings && rule != NULL; i++)
        good = good && (c.notes->findings[i].level != ZDM_LEVEL_ERROR || strcmp(c.notes->findings[i].rule, rule) == 0);
    compiled_fini(&c);
    return good;
}

/* The statement i stands in the phase places[i], none in an earlier one than the statement before it. */
static bool comes_out_in(char *const *statements, const size_t *places, size_t n, const char *attribute, bool added,
                         const char *rule)
{
    static const char *const phases[] = {"Expand", "Migrate", "Switch", "Contract"};
    char text[TEXT_MAX];
    size_t used = (size_t)snprintf(text, sizeof text, "---\nid: docs\n---\n");
    if (added)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "## Expand\n```sql\nALTER TABLE t ADD COLUMN c text, ADD COLUMN b text;\n```\n");
    for (size_t i = 0; i < n; i++) {
        bool update = strncmp(statements[i], "UPDATE", 6) == 0 || strncmp(statements[i], "SET ", 4) == 0;
        used += (size_t)snprintf(text + used, sizeof text - used, "## %s\n```sql %s\n%s%s;\n```\n", phases[places[i]],
                                 update || strcmp(attribute, "{no-sync}") != 0 ? attribute : "", head_of(statements[i]),
                                 statements[i]);
    }
    return comes_out(text, rule);
}

static bool is_sql_somewhere(const char *example, const char *rule)
{
    static const char *const attributes[] = {"", "{no-sync}", "{sync}", "{check}"};
    char copy[1024], *statements[STATEMENTS_MAX];
    size_t n = 0, total = 1;
    bool good = false;
    snprintf(copy, sizeof copy, "%s", example);
    for (char *p = strtok(copy, ";"); p != NULL && n < STATEMENTS_MAX; p = strtok(NULL, ";")) {
        while (isspace((unsigned char)*p))
            p++;
        if (*p != '\0')
            statements[n++] = p;
    }
    for (size_t i = 0; i < n; i++)
        total *= 4;
    for (size_t k = 0; k < total && !good; k++) {
        size_t places[STATEMENTS_MAX], rest = k;
        bool ordered = true;
        for (size_t i = 0; i < n; i++, rest /= 4) {
            places[i] = rest % 4;
            ordered = ordered && (i == 0 || places[i] >= places[i - 1]);
        }
        for (size_t a = 0; a < sizeof attributes / sizeof attributes[0] && ordered && !good; a++)
            good = comes_out_in(statements, places, n, attributes[a], false, rule) ||
                   comes_out_in(statements, places, n, attributes[a], true, rule);
    }
    return good;
}

/* ---- other places ---- */

#define FRONT "---\nid: docs\n---\n"
#define FILL  "UPDATE t SET c = d;\n"

/* Each with one %s. */
static const char *const places[] = {
    "---\n%s\n---\n## Expand\n```sql\nALTER TABLE t ADD COLUMN c int;\n```\n",
    "---\nid: docs\n%s\n---\n## Expand\n```sql\nALTER TABLE t ADD COLUMN c int;\n```\n",
    FRONT "%s\n```sql\nALTER TABLE t ADD COLUMN c int;\n```\n",
    FRONT "## Fill %s\n```sql\n" FILL "```\n",
    FRONT "## Release %s\n\n## Contract\n```sql\nDROP TABLE t;\n```\n",
    FRONT "## Migrate\n```sql %s\n" FILL "```\n",
    FRONT "## Migrate\n%s\n" FILL "```\n",
    FRONT "## Expand\n```sql\nALTER TABLE t ADD COLUMN c text;\n```\n## Migrate\n```sql %s\n" FILL "```\n",
    FRONT "## Expand\n```sql %s\nCREATE INDEX ON t (a);\n```\n",
    FRONT "## Migrate\n```sql %1$s\nUPDATE t SET c = d;\n```\n```sql %1$s\nUPDATE t SET e = d;\n```\n",
    FRONT "## Switch\n```flag\n%s\n```\n",
    FRONT "## Switch\n```flag\nkey: a\n%s\n```\n",
    FRONT "## Migrate\n```wait\n%s\n```\n",
    FRONT "## Migrate\n```wait\nfor: 1m\n%s\n```\n",
    FRONT "## Migrate\n```wait\nuntil: SELECT true\n%s\n```\n",
    FRONT "## Expand\n```sql {as-is lock=short}\n%s;\n```\n```sql {check}\nSELECT 1;\n```\n```sql {rollback}\nSELECT "
          "1;\n```\n",
    FRONT "## Expand\n```sql {as-is lock=short no-undo}\n%s;\n```\n```sql {check}\nSELECT 1;\n```\n",
    FRONT "## Expand\n```sql {as-is lock=long no-undo}\n%s;\n```\n```sql {check}\nSELECT 1;\n```\n",
    FRONT "## Expand\n```sql %s\nSELECT 1;\n```\n```sql {check}\nSELECT 1;\n```\n```sql {rollback}\nSELECT 1;\n```\n",
    FRONT "## Expand\n```sql %s\nSELECT 1; SELECT 2;\n```\n```sql {check}\nSELECT 1;\n```\n```sql {rollback}\nSELECT "
          "1;\n```\n",
    FRONT "## Migrate\n```sql {check}\n%s;\n```\n",
};

static bool stands_somewhere(const char *example, const char *rule)
{
    char text[TEXT_MAX];
    if (is_sql_somewhere(example, rule))
        return true;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, places[i], example);
#pragma GCC diagnostic pop
        if (comes_out(text, rule))
            return true;
    }
    return false;
}

/* ---- the pages ---- */

/* One alone, or all of them one behind the other. */
static bool is_refused(const struct examples *wrong, const char *rule)
{
    static const char *const between[] = {"; ", "\n"};
    if (stands_somewhere(wrong->texts[0], rule))
        return true;
    for (size_t b = 0; b < 2; b++) {
        char joined[EXAMPLES_MAX * 512] = "";
        for (size_t i = 0; i < wrong->n; i++)
            snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%s", i == 0 ? "" : between[b],
                     wrong->texts[i]);
        if (strlen(joined) < 1000 && stands_somewhere(joined, rule))
            return true;
    }
    return false;
}

static bool compiles_all(const struct examples *write, const char *rule)
{
    bool good = true;
    for (size_t i = 0; i < write->n; i++) {
        if (strstr(write->texts[i], "…") != NULL || stands_somewhere(write->texts[i], NULL))
            continue;
        print_error("%s: what it says to write does not compile: %s\n", rule, write->texts[i]);
        good = false;
    }
    return good;
}

static bool folder_names(const char *folder, const char *quoted)
{
    size_t n;
    char **names = list_source(folder, ".c", &n);
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        char path[512];
        size_t length;
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        char *text = found ? NULL : read_source(path, &length);
        found = found || strstr(text, quoted) != NULL;
        free(text);
        free(names[i]);
    }
    free(names);
    return found;
}

/* Of the compiler; and of MySQL's alone? */
static bool is_of_compiler(const char *rule)
{
    char quoted[128];
    snprintf(quoted, sizeof quoted, "\"%s\"", rule);
    mysql = !folder_names("common/runbook", quoted) && !folder_names("common/runbook/postgresql", quoted);
    return !mysql || folder_names("common/runbook/mysql", quoted);
}

static void each_wrong_example_is_refused_by_its_rule_and_what_to_write_compiles(void **state)
{
    (void)state;
    size_t failed = 0, tried = 0;
    for (size_t i = 0; zdm_rule_at(i) != NULL; i++) {
        const struct zdm_rule *rule = zdm_rule_at(i);
        const char *wrong = strstr(rule->page, "Wrong:"), *write = strstr(rule->page, "Write:");
        struct examples bad, good;
        if (strncmp(rule->page, "Error.", 6) != 0 || !is_of_compiler(rule->name) || wrong == NULL || write == NULL)
            continue;
        take_examples(wrong, write, &bad);
        take_examples(write, write + strlen(write), &good);
        if (bad.n > 0 && bad.whole) {
            tried++;
            if (!is_refused(&bad, rule->name)) {
                print_error("%s: the wrong example is not refused by it alone: %s\n", rule->name, bad.texts[0]);
                failed++;
            }
        } else if (getenv("ZDM_PAGES") != NULL) {
            print_message("%s: not tried\n", rule->name);
        }
        tried += good.n;
        failed += !compiles_all(&good, rule->name);
    }
    print_message("%zu examples tried\n", tried);
    assert_int_equal(failed, 0);
    assert_true(tried >= TRIED_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_wrong_example_is_refused_by_its_rule_and_what_to_write_compiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
