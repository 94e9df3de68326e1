/*
 * test_words.c - warnings stand where they belong and nowhere else, and hints fit what was written.
 */
#include "tests/unit/runbook/support.h"

#include <stdio.h>
#include <string.h>

#include "common/base/buffer.h"

#define FILL(where)                                                                                                    \
    "## Expand\n```sql\nALTER TABLE t ADD COLUMN n text;\n```\n## Migrate\n```sql\nUPDATE t SET n = a" where ";\n```"  \
    "\n"
#define NOT_NULL    "```sql\nALTER TABLE t ALTER COLUMN n SET NOT NULL;\n```\n"
#define COUNTED     "## Expand\n```sql\nALTER TABLE t ADD COLUMN n timestamptz DEFAULT now();\n```\n## Migrate\n"
#define UNIQUE(on)  "## Expand\n```sql\nCREATE UNIQUE INDEX u ON t (" on ");\n```\n"
#define USES        "```sql\nALTER TABLE t ADD CONSTRAINT u UNIQUE USING INDEX u;\n```\n"
#define WIDEN(type) "## Expand\n```sql\nALTER TABLE t ALTER COLUMN c TYPE " type ";\n```\n"

static const struct {
    const char *text, *rule;
    const char *words; /* of its message or hint; NULL: the rule has nothing to say */
} rows[] = {
    {FILL("") NOT_NULL, "not-null-writers", NULL},
    {FILL("") NOT_NULL, "not-null-filter", NULL},
    {FILL(" WHERE b") NOT_NULL, "not-null-writers", NULL},
    {FILL(" WHERE b") NOT_NULL, "not-null-filter", "second UPDATE"},
    {"## Migrate\n" NOT_NULL, "not-null-writers", "every version of the application"},
    {"## Expand\n```sql\nALTER TABLE t ADD COLUMN n text DEFAULT '';\n```\n## Migrate\n" NOT_NULL, "not-null-writers",
     NULL},
    {COUNTED "```sql\nUPDATE t SET n = a WHERE n IS NULL;\n```\n", "default-filled",
     "SET DEFAULT in the contract phase"},
    {COUNTED "```sql {no-sync}\nUPDATE t SET n = a WHERE n IS NULL;\n```\n", "default-filled", NULL},
    {UNIQUE("lower(a)") USES, "using-index", "leave the constraint out"},
    {UNIQUE("a, b") "## Migrate\n" USES, "using-index", "UNIQUE (a, b)"},
    {"## Expand\n" USES, "using-index", "UNIQUE (columns)"},
    {WIDEN("timestamptz"), "widen-zone", "AT TIME ZONE"},
    {WIDEN("timestamp(3)"), "widen-zone", "AT TIME ZONE"},
    {WIDEN("text"), "widen-zone", NULL},
    {WIDEN("text"), "widen-judged", "new column"},
    {WIDEN("text COLLATE \"C\""), "alter-type", "text COLLATE \"C\""},
    {"## Migrate\n```sql\nUPDATE t SET a = uuidv7();\n```\n", "function-unknown", "PostgreSQL 18 and later"},
    {"## Migrate\n```sql\nUPDATE t SET a = slugify(b);\n```\n", "function-unknown", "docs/RUNBOOKS.md"},
    {"## Expand\n```sql\nALTER TABLE t ADD k uuid DEFAULT pg_catalog.uuidv7();\n```\n", "function-unknown", "as-is"},
    {"## Expand\n```sql\nALTER TABLE t ADD k text STORAGE main;\n```\n", "sql-syntax", "PostgreSQL 16"},
    {"## Expand\n```sql\nALTER TABLE t ADD k int GENERATED ALWAYS AS (a) VIRTUAL;\n```\n", "sql-syntax",
     "PostgreSQL 18"},
    {"## Expand\n```sql\nALTER TABLE t ADD k int GENERATED ALWAYS AS (a);\n```\n", "sql-syntax", "PostgreSQL 18"},
    {"## Expand\n```sql\nALTER TABLE t ALTER k SET STATISTICS DEFAULT;\n```\n", "sql-syntax", "SET STATISTICS -1"},
    {"## Expand\n```sql\nALTER TABLE t ADD CHECK (a > 1) NOT ENFORCED;\n```\n", "sql-syntax", "NOT VALID"},
    {"## Migrate\n```sql\nUPDATE t SET a = 1 WHRE b;\n```\n", "sql-syntax", "PostgreSQL 15's own grammar"},
    {"## Migrate\n```sql\nUPDATE t SET a = b.a FROM b WHERE b.id = t.id;\n```\n", "update-from",
     "WHERE EXISTS (SELECT FROM b"},
    {"## Migrate\n```sql\nUPDATE t SET a = to_tsvector(b);\n```\n", "session-setting", "to_tsvector('english', body)"},
    {"## Expand\n```sql\nDELETE FROM t WHERE a;\n```\n", "delete-phase", "this is an expand phase"},
    {"## Switch\n```sql\nDELETE FROM t WHERE a;\n```\n", "delete-phase", "this is a switch phase"},
};

static void each_rule_speaks_where_it_has_to_and_says_what_fits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct compiled c = compile_text("words.md", rows[i].text, strlen(rows[i].text));
        const struct zdm_finding *f = find_rule(&c, rows[i].rule);
        if ((f != NULL) != (rows[i].words != NULL))
            fail_msg("row %zu: %s is %s", i, rows[i].rule, f != NULL ? "said" : "not said");
        if (f != NULL && strstr(f->hint, rows[i].words) == NULL && strstr(f->message, rows[i].words) == NULL)
            fail_msg("row %zu: %s does not say \"%s\": %s\n%s", i, rows[i].rule, rows[i].words, f->message, f->hint);
        compiled_fini(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_speaks_where_it_has_to_and_says_what_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
