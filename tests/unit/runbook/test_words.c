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
#define CAST(value)                                                                                                    \
    "## Expand\n```sql\nALTER TABLE t ADD COLUMN n text;\n```\n## Migrate\n```sql\nUPDATE t SET n = " value ";\n```\n"
#define AS_IS(sql)                                                                                                     \
    "## Expand\n```sql {as-is lock=long no-undo}\n" sql ";\n```\n```sql {check}\nSELECT 1 WHERE false;\n```\n"

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
    {"## Expand\n```sql\nALTER TABLE t ADD k int GENERATED ALWAYS AS (lower(a) || ')') NOT NULL, ADD l int;\n```\n",
     "sql-syntax", "PostgreSQL 18"},
    {"## Expand\n```sql\nCREATE TABLE t9 (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int,, b text);\n```\n",
     "sql-syntax", "PostgreSQL 15's own grammar"},
    {"## Expand\n```sql\nCREATE TABLE t9 (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int;\n```\n",
     "sql-syntax", "not complete"},
    {"## Expand\n```sql\nCREATE TABLE t9 (a int, k int GENERATED ALWAYS AS (a) STORED, ,b int);\n```\n", "sql-syntax",
     "PostgreSQL 15's own grammar"},
    {"## Expand\n```sql\nCREATE TABLE t9 (a int, k int GENERATED ALWAYS AS IDENTITY (START 5),, b int);\n```\n",
     "sql-syntax", "PostgreSQL 15's own grammar"},
    {AS_IS("ALTER FUNCTION public.f() RENAME TO g"), "as-is-strong", NULL},
    {AS_IS("ALTER SEQUENCE public.s RENAME TO s2"), "as-is-strong", NULL},
    {AS_IS("ALTER TYPE public.s RENAME TO s2"), "as-is-strong", NULL},
    {AS_IS("ALTER FUNCTION public.f() SET SCHEMA app"), "as-is-strong", NULL},
    {AS_IS("ALTER TABLE public.t RENAME TO t2"), "as-is-strong", "lock=short"},
    {AS_IS("ALTER TABLE public.t RENAME COLUMN a TO b"), "as-is-strong", "lock=short"},
    {AS_IS("ALTER TABLE public.t RENAME CONSTRAINT a TO b"), "as-is-strong", "lock=short"},
    {AS_IS("ALTER VIEW public.t RENAME TO t2"), "as-is-strong", "lock=short"},
    {AS_IS("ALTER INDEX public.i RENAME TO i2"), "as-is-strong", "lock=short"},
    {AS_IS("ALTER TRIGGER g ON public.t RENAME TO h"), "as-is-strong", "lock=short"},
    {AS_IS("ALTER TABLE public.t SET SCHEMA app"), "as-is-strong", "lock=short"},
    {CAST("raw::int"), "may-fail", "^[0-9]{1,9}$"},
    {CAST("raw::jsonb"), "may-fail", "no-sync"},
    {CAST("raw::date"), "may-fail", "no-sync"},
    {CAST("raw::uuid"), "may-fail", "[0-9a-f]{8}"},
    {CAST("raw::smallint"), "may-fail", "{1,4}"},
    {CAST("1 / raw"), "may-fail", "NULLIF"},
    {"## Migrate\n```sql\nDELETE FROM tree WHERE id IN (SELECT c.up FROM tree c);\n```\n", "subquery-own-table",
     "a later runbook of its own drops the column"},
    {"## Migrate\n```sql\nDELETE FROM tree WHERE id IN (SELECT c.up FROM branch c);\n```\n", "delete-subquery",
     "a later runbook of its own drops the column"},
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
