/*
 * What docs/RUNBOOKS.md shows compiles, and the statements of its table of kinds stand in the phases that it names, and
 * in no other.
 */
#include "tests/unit/runbook/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 16384 };

/* ---- the examples ---- */

/* A block may be a whole runbook, or fences of one: those stand in a phase of `class`. */
static bool compiles(const char *block, const char *class)
{
    char text[TEXT_MAX];
    snprintf(text, sizeof text, "%s%s", class, block);
    struct compiled c = compile_text("docs.md", text, strlen(text));
    bool ok = c.plan != NULL;
    for (size_t i = 0; i < c.notes->n_findings && !ok; i++)
        print_message("%u:%u %s\n", c.notes->findings[i].line, c.notes->findings[i].column,
                      c.notes->findings[i].message);
    compiled_fini(&c);
    return ok;
}

static void each_example_compiles(void **state)
{
    (void)state;
    static const char open[] = "````markdown\n", close[] = "\n````";
    size_t n, found = 0;
    char *doc = read_source("docs/RUNBOOKS.md", &n);
    for (const char *p = strstr(doc, open); p != NULL; p = strstr(p, open)) {
        char block[TEXT_MAX];
        const char *start = p + sizeof open - 1, *end = strstr(start, close);
        assert_non_null(end);
        snprintf(block, sizeof block, "%.*s\n", (int)(end - start), start);
        bool whole = strncmp(block, "---\n", 4) == 0;
        if (!compiles(block, whole ? "" : "---\nid: docs\n---\n## Migrate\n\n"))
            fail_msg("this example does not compile:\n%s", block);
        found++;
        p = end;
    }
    assert_true(found >= 4);
    free(doc);
}

static void the_example_of_a_waiver_is_front_matter(void **state)
{
    (void)state;
    char block[TEXT_MAX], *doc;
    size_t n;
    doc = read_source("docs/RUNBOOKS.md", &n);
    const char *start = strstr(doc, "```yaml\n");
    assert_non_null(start);
    start += strlen("```yaml\n");
    snprintf(block, sizeof block, "---\nid: docs\n%.*s---\n## Expand\n```sql\nALTER TABLE t ADD COLUMN c text;\n```\n",
             (int)(strstr(start, "```") - start), start);
    assert_true(compiles(block, ""));
    free(doc);
}

/* ---- the table of kinds ---- */

/* How a row begins, and a statement that it is about. */
static const struct {
    const char *row, *sql;
} rows[] = {
    {"| `ADD COLUMN c type [DEFAULT constant] [NOT NULL]`", "ALTER TABLE t ADD COLUMN c int DEFAULT 1 NOT NULL"},
    {"| `ALTER COLUMN c SET NOT NULL`", "ALTER TABLE t ALTER COLUMN c SET NOT NULL"},
    {"| `ALTER COLUMN c DROP NOT NULL`", "ALTER TABLE t ALTER COLUMN c DROP NOT NULL"},
    {"| `ALTER COLUMN c SET DEFAULT e`", "ALTER TABLE t ALTER COLUMN c SET DEFAULT 1"},
    {"| `ALTER COLUMN c DROP DEFAULT`", "ALTER TABLE t ALTER COLUMN c DROP DEFAULT"},
    {"| `ALTER COLUMN c TYPE text`", "ALTER TABLE t ALTER COLUMN c TYPE text"},
    {"| `DROP COLUMN c`", "ALTER TABLE t DROP COLUMN c"},
    {"| `UPDATE t SET c = f(row) [WHERE …]`", "UPDATE t SET c = upper(d)"},
    {"| `DELETE FROM t WHERE condition`", "DELETE FROM t WHERE a < now()"},
    {"| `CREATE [UNIQUE] INDEX …`", "CREATE UNIQUE INDEX ON t (a)"},
    {"| `DROP INDEX i`", "DROP INDEX i"},
    {"| `REINDEX INDEX i`", "REINDEX INDEX i"},
    {"| `ADD CONSTRAINT n CHECK (…)`", "ALTER TABLE t ADD CONSTRAINT n CHECK (a > 0)"},
    {"| `ADD CONSTRAINT n UNIQUE (…)`", "ALTER TABLE t ADD CONSTRAINT n UNIQUE (a)"},
    {"| `ADD CONSTRAINT n PRIMARY KEY (…)`", "ALTER TABLE t ADD CONSTRAINT n PRIMARY KEY (a)"},
    {"| `VALIDATE CONSTRAINT n`", "ALTER TABLE t VALIDATE CONSTRAINT n"},
    {"| `DROP CONSTRAINT n`", "ALTER TABLE t DROP CONSTRAINT n"},
    {"| `CREATE TABLE t (…)", "CREATE TABLE t (id bigint PRIMARY KEY)"},
    {"| `DROP TABLE t`", "DROP TABLE t"},
    {"| `CREATE TYPE n AS ENUM (…)`", "CREATE TYPE n AS ENUM ('a')"},
    {"| `ATTACH PARTITION p FOR VALUES …`", "ALTER TABLE t ATTACH PARTITION p FOR VALUES IN (1)"},
    {"| `DETACH PARTITION p`", "ALTER TABLE t DETACH PARTITION p"},
    {"| `COMMENT ON TABLE", "COMMENT ON TABLE t IS 'a'"},
    {"| `SET (fillfactor = 90)`", "ALTER TABLE t SET (fillfactor = 90)"},
};

/* Of the chapter on MySQL: the first statement of the row stands in the phases that the row names. */
static const struct {
    const char *row, *sql;
} mysql_rows[] = {
    {"| `ADD [COLUMN] c type [NULL]", "ALTER TABLE t ADD COLUMN c int DEFAULT 1 NOT NULL COMMENT 'x' FIRST"},
    {"| `UPDATE t SET c = f(row) [WHERE …]` (M), `DELETE", "UPDATE t SET c = upper(d)"},
    {"| `CREATE [UNIQUE] INDEX i ON t (a, b(10) DESC)`", "CREATE UNIQUE INDEX i ON t (a, b(10) DESC)"},
    {"| `DROP INDEX i ON t`", "DROP INDEX i ON t"},
    {"| `ADD [CONSTRAINT n] FOREIGN KEY", "ALTER TABLE t ADD CONSTRAINT n FOREIGN KEY (a) REFERENCES p (id)"},
    {"| `DROP FOREIGN KEY n`", "ALTER TABLE t DROP CHECK n"},
    {"| `ALTER COLUMN c SET DEFAULT e` |", "ALTER TABLE t ALTER COLUMN c SET DEFAULT 5"},
    {"| `ALTER COLUMN c DROP DEFAULT` (C) | the same", "ALTER TABLE t ALTER COLUMN c DROP DEFAULT"},
    {"| `MODIFY c definition`", "ALTER TABLE t MODIFY c varchar(300)"},
    {"| `COMMENT = '…'`", "ALTER TABLE t COMMENT = 'x'"},
    {"| `CREATE TABLE t (…) [ENGINE=InnoDB …]`", "CREATE TABLE t (id bigint PRIMARY KEY) ENGINE=InnoDB"},
    {"| `DROP TABLE t` (C) | renames it", "DROP TABLE t"},
    {"| `DROP COLUMN c` (C) | `INVISIBLE`", "ALTER TABLE t DROP COLUMN c"},
};

/* "(E, M)" behind the statement; where there is none, any but switch. */
static bool may_stand(const char *line, char letter)
{
    static const char *const forms[] = {"(E)", "(M)", "(C)", "(E, M)", "(M, C)", "(E, C)"};
    char cell[512];
    const char *end = strchr(line + 2, '|');
    snprintf(cell, sizeof cell, "%.*s", (int)(end - line), line);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strstr(cell, forms[i]) != NULL)
            return strchr(forms[i], letter) != NULL;
    }
    return letter != 'S';
}

static void check_row(const char *doc, const char *row, const char *front, const char *sql)
{
    static const char *const classes[] = {"Expand", "Migrate", "Switch", "Contract"};
    const char *line = strstr(doc, row);
    if (line == NULL)
        fail_msg("the table has no row %s", row);
    for (size_t k = 0; k < 4; k++) {
        char text[1024];
        snprintf(text, sizeof text, "---\nid: docs\n%s---\n## %s\n```sql\n%s;\n```\n", front, classes[k], sql);
        struct compiled c = compile_text("docs.md", text, strlen(text));
        if ((c.plan != NULL) != may_stand(line, classes[k][0]))
            fail_msg("%s: %s in %s", sql, c.plan != NULL ? "compiles" : "is refused", classes[k]);
        compiled_fini(&c);
    }
}

static void each_kind_stands_in_the_phases_that_the_table_names(void **state)
{
    (void)state;
    size_t n;
    char *doc = read_source("docs/RUNBOOKS.md", &n);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_row(doc, rows[i].row, "", rows[i].sql);
    for (size_t i = 0; i < sizeof mysql_rows / sizeof mysql_rows[0]; i++)
        check_row(doc, mysql_rows[i].row, "engines: mysql\n", mysql_rows[i].sql);
    free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_example_compiles),
        cmocka_unit_test(the_example_of_a_waiver_is_front_matter),
        cmocka_unit_test(each_kind_stands_in_the_phases_that_the_table_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
