/*
 * SQL for MySQL and MariaDB: what is refused, at its exact place and with advice; what every kind becomes
 * (mysql/NAME.md and the plan in words in mysql/NAME.txt; ZDM_GOLDEN_WRITE=1 writes those anew after a change that is
 * meant); and how texts, comments and names are read.
 */
#include "tests/unit/runbook/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/runbook/rules.h"
#include "tests/unit/runbook/mysql_wrong.h"

enum { TEXT_MAX = 8192, WRONG_MIN = 150, GOOD_MIN = 15 };

/* The statement stands in the lines from `line`. */
static uint32_t put_runbook(char *out, const char *phase, const char *attributes, const char *sql)
{
    snprintf(out, TEXT_MAX, "---\nid: mysql\nengines: mysql\n---\n## %s\n```sql%s\n%s\n```\n", phase, attributes, sql);
    return 7;
}

/* ---- what is refused ---- */

static bool is_refused(const struct wrong *w)
{
    char text[TEXT_MAX];
    uint32_t first = put_runbook(text, w->phase, "", w->sql);
    struct compiled c = compile_text("mysql.md", text, strlen(text));
    size_t errors = 0;
    bool good = c.plan == NULL;
    for (size_t i = 0; i < c.notes->n_findings; i++) {
        const struct zdm_finding *f = &c.notes->findings[i];
        if (f->level != ZDM_LEVEL_ERROR)
            continue;
        errors++;
        bool same = strcmp(f->rule, w->rule) == 0 && f->line == first + w->line - 1 && f->column == w->column &&
                    strncmp(f->hint, w->hint, strlen(w->hint)) == 0 && f->hint[0] != '\0' && f->message[0] != '\0';
        if (!same)
            print_message("%s: %u:%u %s: %s (%s)\n", w->sql, f->line - first + 1, f->column, f->rule, f->message,
                          f->hint);
        good = good && same && zdm_rule_page(f->rule) != NULL;
    }
    compiled_fini(&c);
    return good && errors == 1;
}

static void each_wrong_statement_is_refused_at_its_place_with_advice(void **state)
{
    (void)state;
    size_t failed = 0, n = sizeof wrong / sizeof wrong[0];
    for (size_t i = 0; i < n; i++) {
        if (is_refused(&wrong[i]))
            continue;
        print_error("not refused as it should be: %s: %s\n", wrong[i].rule, wrong[i].sql);
        failed++;
    }
    assert_true(n >= WRONG_MIN);
    assert_int_equal(failed, 0);
}

/* ---- texts, comments, names ---- */

static const struct {
    const char *sql, *value; /* UPDATE t SET c = …, and what the plan holds of it */
} texts[] = {
    {"'it''s'", "'it''s'"},
    {"'it\\'s'", "'it''s'"},
    {"\"it's\"", "'it''s'"},
    {"\"a\"\"b\"", "'a\"b'"},
    {"'a' 'b'\n  \"c\"", "'abc'"},
    {"'a' -- between\n 'b'", "'ab'"},
    {"'tab\\tend'", "'tab\tend'"},
    {"'line\\nend'", "'line\nend'"},
    {"'a\\qb'", "'aqb'"},
    {"'C:\\\\x'", "'C:\\x'"},
    {"'C:\\\\'", "_utf8mb4 x'433A5C'"},
    {"'a\\\\''b'", "_utf8mb4 x'615C2762'"},
    {"'100\\%'", "'100\\%'"},
    {"'-- no comment'", "'-- no comment'"},
    {"'# none /* either'", "'# none /* either'"},
    {"'; DROP TABLE t;'", "'; DROP TABLE t;'"},
    {"N'x'", "N'x'"},
    {"_utf8mb4'x'", "_utf8mb4'x'"},
    {"_UTF8MB4 'x'", "_utf8mb4'x'"},
    {"X'4a4B'", "X'4a4B'"},
    {"0x4A", "0x4A"},
    {"b'0101'", "b'0101'"},
    {"1.5e-3", "1.5e-3"},
    {".5", ".5"},
    {"5 --1", "5 - -1"},
    {"5 - - -1", "5 - - -1"},
    {"5--1", "5 - -1"},
    {"5 -- 1\n", "5"},
    {"5 # 1\n + 2", "5 + 2"},
    {"5 /* a ' \" ` # -- b */ + 2", "5 + 2"},
    {"`d``e#f`", "t.`d``e#f`"},
    {"t.d", "t.`d`"},
    {"`t`.`d`", "t.`d`"},
    {"T.D", "t.`D`"},
    {"d != 1 && e", "t.`d` <> 1 AND t.`e`"},
    {"!d", "(NOT t.`d`)"},
    {"NOT d", "NOT t.`d`"},
    {"d LIKE 'a%'", "t.`d` LIKE 'a%'"},
    {"d LIKE 'a\\_b'", "t.`d` LIKE 'a\\_b' ESCAPE x'5C'"},
    {"d LIKE e", "t.`d` LIKE t.`e` ESCAPE x'5C'"},
    {"d LIKE 'a|_' ESCAPE '|'", "t.`d` LIKE 'a|_' ESCAPE '|'"},
    {"d LIKE 'a' ESCAPE '\\\\'", "t.`d` LIKE 'a' ESCAPE x'5C'"},
    {"d REGEXP '^a\\\\.b'", "t.`d` REGEXP '^a\\.b'"},
    {"d <=> e", "t.`d` <=> t.`e`"},
    {"d DIV 2 MOD 3", "t.`d` DIV 2 MOD 3"},
    {"d->'$.a'", "JSON_EXTRACT(t.`d`, '$.a')"},
    {"d->>'$.a'", "JSON_UNQUOTE(JSON_EXTRACT(t.`d`, '$.a'))"},
    {"CASE d WHEN 1 THEN 'a' ELSE e END", "CASE t.`d` WHEN 1 THEN 'a' ELSE t.`e` END"},
    {"CAST(d AS UNSIGNED)", "CAST(t.`d` AS UNSIGNED)"},
    {"CONVERT(d USING utf8mb4)", "CONVERT(t.`d` USING utf8mb4)"},
    {"CONVERT(d, DECIMAL(10, 2))", "CONVERT(t.`d`, DECIMAL(10, 2))"},
    {"BINARY d", "CAST(t.`d` AS BINARY)"},
    {"d COLLATE utf8mb4_bin", "t.`d` COLLATE utf8mb4_bin"},
    {"d + INTERVAL 1 DAY", "t.`d` + INTERVAL 1 DAY"},
    {"DATE_ADD(d, INTERVAL e HOUR)", "DATE_ADD(t.`d`, INTERVAL t.`e` HOUR)"},
    {"EXTRACT(YEAR FROM d)", "EXTRACT(YEAR FROM t.`d`)"},
    {"TRIM(LEADING '0' FROM d)", "TRIM(LEADING '0' FROM t.`d`)"},
    {"SUBSTRING(d FROM 2 FOR 3)", "SUBSTRING(t.`d` FROM 2 FOR 3)"},
    {"POSITION('a' IN d)", "POSITION('a' IN t.`d`)"},
    {"TIMESTAMPDIFF(DAY, d, e)", "TIMESTAMPDIFF(DAY, t.`d`, t.`e`)"},
    {"d BETWEEN 1 AND 2 AND e", "t.`d` BETWEEN 1 AND 2 AND t.`e`"},
    {"d NOT IN (1, 2)", "t.`d` NOT IN (1, 2)"},
    {"d IS NOT TRUE", "t.`d` IS NOT TRUE"},
    {"DATE '2026-01-01'", "DATE '2026-01-01'"},
    {"IF(d, 'a', NULL)", "IF(t.`d`, 'a', NULL)"},
};

static void texts_and_signs_are_written_in_one_form(void **state)
{
    (void)state;
    size_t failed = 0;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char text[TEXT_MAX], sql[1024];
        snprintf(sql, sizeof sql, "UPDATE t SET c = %s;", texts[i].sql);
        put_runbook(text, "Migrate", " {no-undo}", sql);
        struct compiled c = compile_good("mysql.md", text);
        const struct zdm_step *step = find_action(&c, ZDM_ACTION_BACKFILL);
        assert_non_null(step);
        const char *found = step->derivation->assignments[0].expr;
        if (strcmp(found, texts[i].value) != 0) {
            print_error("%s is written %s\n", texts[i].sql, found);
            failed++;
        }
        compiled_fini(&c);
    }
    assert_int_equal(failed, 0);
}

static void the_trigger_has_the_same_expression_over_new(void **state)
{
    (void)state;
    static const char text[] =
        "---\nid: mysql\nengines: mysql\n---\n## Expand\n```sql\nALTER TABLE t ADD COLUMN c int DEFAULT 0;\n```\n"
        "## Migrate\n```sql\nUPDATE t AS x SET c = length(x.d) WHERE x.E > 5 && c = 0 AND (f IS NULL OR g);\n```\n";
    struct compiled c = compile_good("mysql.md", text);
    const struct zdm_derivation *d = find_action(&c, ZDM_ACTION_SYNC_INSTALL)->derivation;
    assert_string_equal(d->assignments[0].expr_new, "length(NEW.`d`)");
    assert_string_equal(d->assignments[0].initial, "0");
    assert_string_equal(d->guard, "(t.`c` = 0)");
    assert_string_equal(d->filter, "(t.`E` > 5) AND ((t.`f` IS NULL OR t.`g`))");
    assert_string_equal(d->filter_old, "(OLD.`E` > 5) AND ((OLD.`f` IS NULL OR OLD.`g`))");
    assert_int_equal(d->n_sources, 4);
    compiled_fini(&c);
}

/* ---- what every kind becomes ---- */

static void put_derivation(struct zdm_buffer *out, const struct zdm_derivation *d)
{
    for (size_t i = 0; i < d->n_assignments; i++) {
        const struct zdm_assignment *a = &d->assignments[i];
        zdm_buffer_printf(out, "  %s := %s | %s | copy of %s | first %s%s%s\n", a->target, a->expr,
                          a->expr_new == NULL ? "-" : a->expr_new, a->copy_of == NULL ? "-" : a->copy_of,
                          a->initial == NULL ? "NULL" : a->initial, a->added ? " | added" : "",
                          a->fill_once ? " | once" : "");
    }
    zdm_buffer_printf(out, "  guard %s | filter %s%s%s | sources", d->guard == NULL ? "-" : d->guard,
                      d->filter == NULL ? "-" : d->filter, d->both_ways ? " | both ways" : "",
                      d->idempotent ? "" : " | each row once");
    for (size_t i = 0; i < d->n_sources; i++)
        zdm_buffer_printf(out, " %s", d->sources[i]);
    zdm_buffer_puts(out, "\n");
}

static void put_step(struct zdm_buffer *out, const struct zdm_step *s)
{
    zdm_buffer_printf(out, "%s %s %s %s%s", s->id, zdm_action_name(s->action), zdm_lock_class_name(s->lock),
                      s->exact_inverse ? "" : "inexact ", zdm_inverse_name(s->inverse));
    zdm_buffer_printf(out, " | %s %s %s", s->table.name == NULL ? "-" : s->table.name,
                      s->column == NULL ? "-" : s->column, s->object == NULL ? "-" : s->object);
    for (size_t i = 0; i < s->n_others; i++)
        zdm_buffer_printf(out, " +%s", s->others[i].name);
    zdm_buffer_printf(out, "%s%s\n", s->rewrite_ok ? " | rebuild" : "", s->sync_step != 0 ? " | of a sync" : "");
    if (s->sql != NULL)
        zdm_buffer_printf(out, "  %s\n", s->sql);
    if (s->proof_sql != NULL)
        zdm_buffer_printf(out, "  proof: %s\n", s->proof_sql);
    if (s->inverse_sql != NULL)
        zdm_buffer_printf(out, "  back: %s\n", s->inverse_sql);
    if (s->wait != NULL && s->wait->until != NULL)
        zdm_buffer_printf(out, "  until: %s\n", s->wait->until);
    if (s->derivation != NULL)
        put_derivation(out, s->derivation);
}

static char *describe(const char *name)
{
    char path[512];
    size_t n;
    snprintf(path, sizeof path, "tests/unit/runbook/mysql/%s", name);
    char *text = read_source(path, &n);
    struct compiled c = compile_good(name, text);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    for (uint32_t o = 1; o <= zdm_plan_n_steps(c.plan); o++) {
        const struct zdm_step *step = zdm_plan_step(c.plan, o);
        assert_true(step->engine == ZDM_ENGINE_MYSQL || step->action == ZDM_ACTION_GATE_FLAG);
        put_step(&out, step);
    }
    for (size_t i = 0; i < c.notes->n_findings; i++) {
        const struct zdm_finding *f = &c.notes->findings[i];
        zdm_buffer_printf(&out, "%u:%u %s %s\n", f->line, f->column, zdm_level_name(f->level), f->rule);
        if (zdm_rule_page(f->rule) == NULL)
            fail_msg("docs/RULES.md does not tell of %s", f->rule);
    }
    compiled_fini(&c);
    free(text);
    return zdm_buffer_take(&out);
}

static void write_golden(const char *path, const char *text)
{
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", ZDM_SOURCE_DIR, path);
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void each_kind_becomes_the_steps_that_were_pinned(void **state)
{
    (void)state;
    size_t n, failed = 0;
    char **names = list_source("tests/unit/runbook/mysql", ".md", &n);
    assert_true(n >= GOOD_MIN);
    for (size_t i = 0; i < n; i++) {
        char path[512];
        char *found = describe(names[i]);
        snprintf(path, sizeof path, "tests/unit/runbook/mysql/%.*s.txt", (int)strlen(names[i]) - 3, names[i]);
        if (getenv("ZDM_GOLDEN_WRITE") != NULL) {
            write_golden(path, found);
        } else {
            size_t length;
            char *expected = read_source(path, &length);
            if (strcmp(found, expected) != 0) {
                print_error("%s: expected\n%sfound\n%s", names[i], expected, found);
                failed++;
            }
            free(expected);
        }
        free(found);
        free(names[i]);
    }
    free(names);
    assert_int_equal(failed, 0);
}

/* ---- as it is ---- */

static const struct {
    const char *attributes, *sql;
    unsigned column; /* 0: it compiles */
    const char *rule;
} as_is[] = {
    {"", "ALTER TABLE t MODIFY c bigint", 0, NULL},
    {"", "ALTER TABLE t MODIFY c bigint, ALGORITHM = COPY", 32, "as-is-online"},
    {"", "ALTER TABLE t MODIFY c bigint, ALGORITHM=DEFAULT", 32, "as-is-online"},
    {"", "ALTER TABLE t MODIFY c bigint, algorithm default", 32, "as-is-online"},
    {"", "ALTER TABLE t ADD INDEX (c), ALGORITHM=INPLACE", 30, "as-is-online"},
    {"", "ALTER TABLE t ADD INDEX (c), ALGORITHM=NOCOPY", 30, "as-is-online"},
    {"", "ALTER TABLE t ADD INDEX (c), ALGORITHM=INPLACE, LOCK=NONE", 0, NULL},
    {"", "ALTER TABLE t ADD COLUMN c int, ALGORITHM=INSTANT", 0, NULL},
    {"", "ALTER TABLE t ADD COLUMN algorithm int DEFAULT 1, ADD `lock` int DEFAULT 2", 0, NULL},
    {"", "ALTER TABLE t ADD INDEX (c), LOCK=SHARED", 30, "as-is-online"},
    {"", "ALTER TABLE t ADD INDEX (c), LOCK = exclusive", 30, "as-is-online"},
    {"", "ALTER TABLE t ADD INDEX (c), LOCK=DEFAULT", 30, "as-is-online"},
    {"", "ALTER TABLE t ADD FULLTEXT INDEX f (c)", 19, "as-is-online"},
    {"", "CREATE FULLTEXT INDEX f ON t (c)", 8, "as-is-online"},
    {"", "CREATE SPATIAL INDEX f ON t (c)", 8, "as-is-online"},
    {"", "CREATE UNIQUE INDEX f ON t (c) LOCK=SHARED", 32, "as-is-online"},
    {"", "DROP INDEX f ON t ALGORITHM=COPY", 19, "as-is-online"},
    {"", "DROP INDEX `primary` ON t", 12, "as-is-online"},
    {"", "CREATE INDEX f ON t (c)", 0, NULL},
    {"", "CREATE TABLE n AS SELECT * FROM t", 19, "as-is-online"},
    {"", "CREATE ALGORITHM=MERGE VIEW v AS SELECT 1 AS a", 0, NULL},
    {"", "OPTIMIZE TABLE t", 1, "as-is-online"},
    {"", "REPAIR TABLE t", 1, "as-is-online"},
    {"", "ALTER IGNORE TABLE t ADD UNIQUE (c)", 7, "ignore"},
    {" rewrite-ok", "ALTER IGNORE TABLE t ADD UNIQUE (c)", 7, "ignore"},
    {"", "ALTER ONLINE TABLE t ADD INDEX (c)", 7, "stated-itself"},
    {" rewrite-ok", "ALTER TABLE t MODIFY c bigint, ALGORITHM=COPY", 0, NULL},
    {" rewrite-ok", "CREATE FULLTEXT INDEX f ON t (c)", 0, NULL},
    {" rewrite-ok", "OPTIMIZE TABLE t", 0, NULL},
};

static bool is_judged(size_t i, bool back)
{
    char text[TEXT_MAX];
    snprintf(text, sizeof text,
             "---\nid: a\nengines: mysql\n---\n## Expand\n```sql {as-is lock=long%s}\n%s;\n```\n```sql "
             "{check}\nSELECT 1;\n```\n```sql {rollback}\n%s;\n```\n",
             as_is[i].attributes, back ? "SELECT 1" : as_is[i].sql, back ? as_is[i].sql : "SELECT 1");
    struct compiled c = compile_text("as-is.md", text, strlen(text));
    size_t errors = 0;
    bool good = (c.plan != NULL) == (as_is[i].rule == NULL);
    for (size_t k = 0; k < c.notes->n_findings; k++) {
        const struct zdm_finding *f = &c.notes->findings[k];
        if (f->level != ZDM_LEVEL_ERROR)
            continue;
        bool same = as_is[i].rule != NULL && strcmp(f->rule, as_is[i].rule) == 0 && f->column == as_is[i].column &&
                    f->line == (back ? 13 : 7) && f->hint[0] != '\0';
        if (!same)
            print_message("%s: %u:%u %s: %s\n", as_is[i].sql, f->line, f->column, f->rule, f->message);
        good = good && same && ++errors == 1;
    }
    compiled_fini(&c);
    return good;
}

static void what_would_copy_a_table_as_it_is_is_refused_at_plan_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof as_is / sizeof as_is[0]; i++) {
        if (!is_judged(i, false) || !is_judged(i, true))
            fail_msg("not judged as it should be: %s", as_is[i].sql);
    }
}

/* ---- fences for two engines ---- */

static const struct {
    const char *phase, *sql;
    unsigned column; /* of its first line, where it means something else on the other engine */
} not_neutral[] = {
    {"Expand", "ALTER TABLE t ADD COLUMN c tinyint", 28},
    {"Expand", "ALTER TABLE t ADD COLUMN c int unsigned", 32},
    {"Expand", "ALTER TABLE t ADD COLUMN c int(11)", 28},
    {"Expand", "ALTER TABLE t ADD COLUMN c timestamp", 28},
    {"Expand", "ALTER TABLE t ADD COLUMN c json", 28},
    {"Expand", "ALTER TABLE `t` ADD COLUMN c int", 13},
    {"Expand", "ALTER TABLE t ADD COLUMN c int AFTER b", 32},
    {"Expand", "ALTER TABLE \"t\" ADD COLUMN c int", 13},
    {"Expand", "CREATE INDEX i ON t (a(10))", 23},
    {"Expand", "CREATE INDEX CONCURRENTLY i ON t (a)", 27},
    {"Expand", "CREATE INDEX i ON t (lower(a))", 27},
    {"Expand", "ALTER TABLE t ALTER COLUMN a TYPE bigint", 30},
    {"Contract", "DROP INDEX i", 13},
    {"Migrate", "UPDATE t SET a = b || c", 20},
    {"Migrate", "UPDATE t SET a = b / 2", 18},
    {"Migrate", "UPDATE t SET a = length(b)", 18},
    {"Migrate", "UPDATE t SET a = 'it\\'s'", 18},
    {"Migrate", "UPDATE t SET a = \"x\"", 18},
    {"Migrate", "UPDATE t SET a = CAST(b AS char)", 18},
    {"Migrate", "UPDATE t SET a = b WHERE c = 'x'", 26},
    {"Migrate", "UPDATE t SET a = b WHERE c LIKE 'x%'", 26},
    {"Migrate", "UPDATE t SET a = now()", 18},
    {"Migrate", "UPDATE t SET a = CURRENT_DATE", 18},
    {"Migrate", "UPDATE t SET a = b::int", 19},
    {"Migrate", "UPDATE t SET a = b % 2", 18},
    {"Migrate", "UPDATE t SET a = b <=> c", 18},
    {"Migrate", "DELETE FROM t WHERE a < now()", 25},
    {"Migrate", "UPDATE \"T\" SET a = b", 8},
    {"Migrate", "UPDATE Users SET a = b", 8},
    {"Expand", "COMMENT ON TABLE t IS 'x'", 1},
    {"Expand", "ALTER TABLE t ADD c varchar(5) COLLATE x", 32},
    {"Migrate", "UPDATE t SET a = x'41'", 18},
    {"Migrate", "UPDATE t SET a = xor(b)", 18},
    {"Migrate", "UPDATE t SET a = b ^ 2", 18},
    {"Migrate", "UPDATE t SET a = CASE b WHEN 'x' THEN 1 END", 18},
    {"Migrate", "UPDATE t SET a = \"it\" || b", 18},
    {"Expand", "ALTER TABLE t ADD c numeric", 21},
    {"Expand", "ALTER TABLE t ADD c varchar", 21},
    {"Migrate", "UPDATE t SET a = b WHERE c XOR d", 26},
    {"Migrate", "UPDATE t SET a = b REGEXP 'x'", 18},
    {"Contract", "DELETE FROM t WHERE n < 5 --1", 27},
    {"Contract", "DELETE FROM t WHERE n < 5 --1\n;", 27},
    {"Migrate", "UPDATE t SET b = a --1", 20},
    {"Migrate", "UPDATE t SET b = a #1", 20},
    {"Migrate", "UPDATE t SET b = 'a' #1\n 'b'", 22},
    {"Migrate", "UPDATE t SET a = NULLIF(b, 'none')", 18},
    {"Migrate", "UPDATE t SET a = NULLIF(lower(b), c)", 18},
    {"Migrate", "UPDATE t SET a = CASE lower(b) WHEN c THEN 1 END", 18},
    {"Migrate", "UPDATE t SET a = b WHERE coalesce(s, 'x') IN (c)", 26},
    {"Migrate", "UPDATE t SET a = b WHERE c IN (lower(d))", 26},
    {"Migrate", "UPDATE t SET a = b WHERE c = CASE WHEN d > 1 THEN 'x' ELSE e END", 26},
    {"Migrate", "UPDATE t SET a = N'a '", 18},
    {"Migrate", "UPDATE t SET a = _utf8mb4'a'", 18},
    {"Migrate", "UPDATE t SET a = concat(b, 'x')", 25},
    {"Migrate", "UPDATE t SET a = concat('x', lower(b))", 30},
    {"Expand", "CREATE TABLE n (id bigint AUTO_INCREMENT PRIMARY KEY)", 27},
    {"Expand", "ALTER TABLE t MODIFY c int", 15},
    {"Contract", "DROP INDEX i ON t", 14},
    {"Expand", "ALTER TABLE t ADD COLUMN `a` int, ADD COLUMN `b` int", 26},
    {"Migrate} {check", "SELECT 1 FROM t WHERE s IN ('a')", 29},
    {"Migrate} {check", "SELECT 1 FROM t WHERE s LIKE 'A%'", 25},
    {"Migrate} {check", "SELECT 1 FROM t WHERE s BETWEEN 'a' AND 'b'", 33},
    {"Migrate} {check", "SELECT 1 FROM t WHERE n / 2 > 1", 25},
    {"Migrate} {check", "SELECT 1 FROM t WHERE n % 2 > 1", 25},
    {"Migrate} {check", "SELECT 1 FROM t WHERE n DIV 2 > 1", 25},
    {"Migrate} {check", "SELECT 1 FROM t WHERE coalesce(s, 'x') IN (lower('A'))", 35},
    {"Migrate} {check", "SELECT 1 FROM t WHERE a = lower(b)", 27},
    {"Migrate} {check", "SELECT 1 FROM t WHERE a || b IS NULL", 25},
    {"Migrate} {check", "SELECT 1 FROM t WHERE s = 'a'", 27},
    {"Migrate} {check", "SELECT 1 FROM t WHERE s <=> a", 25},
};

/* Told once, at that place. "Phase} {attribute" is a fence with an attribute. */
static bool is_not_neutral(const char *phase, const char *sql, unsigned column)
{
    char text[TEXT_MAX];
    const char *attribute = strstr(phase, "} ");
    int n = attribute == NULL ? (int)strlen(phase) : (int)(attribute - phase);
    snprintf(text, sizeof text, "---\nid: a\nengines: [postgresql, mysql]\n---\n## %.*s\n```sql %s%s\n%s\n```\n", n,
             phase, attribute == NULL ? "" : attribute + 2, attribute == NULL ? "" : "}", sql);
    struct compiled c = compile_text("mysql.md", text, strlen(text));
    const struct zdm_finding *f = find_rule(&c, "not-neutral");
    bool good =
        c.plan == NULL && f != NULL && f->line == 7 && f->column == column && strstr(f->hint, "{engine=mysql}") != NULL;
    for (size_t i = 0; i < c.notes->n_findings && f != NULL; i++) {
        const struct zdm_finding *other = &c.notes->findings[i];
        good = good && (other == f || strcmp(other->rule, f->rule) != 0 || other->column != f->column);
    }
    if (!good && f != NULL)
        print_message("%s: %u:%u %s\n", sql, f->line, f->column, f->message);
    compiled_fini(&c);
    return good;
}

static void what_two_engines_read_differently_is_refused_at_its_place(void **state)
{
    (void)state;
    size_t failed = 0, n = sizeof not_neutral / sizeof not_neutral[0];
    for (size_t i = 0; i < n; i++) {
        if (is_not_neutral(not_neutral[i].phase, not_neutral[i].sql, not_neutral[i].column))
            continue;
        print_error("not refused as it should be: %s\n", not_neutral[i].sql);
        failed++;
    }
    assert_true(n >= 30);
    assert_int_equal(failed, 0);
}

static void what_both_engines_read_alike_is_compiled_for_both(void **state)
{
    (void)state;
    static const char text[] =
        "---\nid: a\nengines: [postgresql, mysql]\n---\n## Expand\n```sql\n"
        "ALTER TABLE users ADD COLUMN full_name varchar(255);\nALTER TABLE users ADD COLUMN n int DEFAULT 0 NOT NULL;\n"
        "CREATE TABLE notes (id bigint PRIMARY KEY, body text, price numeric(10,2), ok boolean, d date, f double "
        "precision);\nALTER TABLE users ADD CONSTRAINT fk FOREIGN KEY (a) REFERENCES notes (id);\n```\n"
        "## Migrate\n```sql\nUPDATE users SET full_name = CONCAT(lower(COALESCE(name, '')), ' x') WHERE full_name IS "
        "NULL; -- text\n"
        "UPDATE users SET n = CASE WHEN a > 5 AND b IS NOT NULL THEN a * 2 ELSE COALESCE(b, 0) END WHERE a IN (1, 2);\n"
        "```\n```sql {check}\nSELECT 1 FROM users WHERE full_name IS NULL AND name IS NOT NULL;\n```\n"
        "## Contract\n```sql\nALTER TABLE users DROP COLUMN m;\nDELETE FROM logs WHERE n < 5;\nDROP TABLE old;\n```\n";
    struct compiled c = compile_good("mysql.md", text);
    size_t of[ZDM_ENGINE_MYSQL + 1] = {0};
    for (uint32_t o = 1; o <= zdm_plan_n_steps(c.plan); o++) {
        const struct zdm_step *step = zdm_plan_step(c.plan, o);
        of[step->engine] += step->action != ZDM_ACTION_SHOW_COLUMN;
    }
    assert_true(of[ZDM_ENGINE_POSTGRESQL] > 10);
    assert_int_equal(of[ZDM_ENGINE_MYSQL], of[ZDM_ENGINE_POSTGRESQL]);
    assert_int_equal(of[ZDM_ENGINE_ANY], 0);
    compiled_fini(&c);
}

/* ---- drafts and recipes ---- */

static const struct {
    const char *type, *sql, *holds; /* the draft compiles and has that piece; NULL: there is none */
} drafts[] = {
    {"varchar(80)", "ALTER TABLE users RENAME COLUMN name TO full_name",
     "UPDATE users SET full_name = name WHERE full_name IS NULL;"},
    {NULL, "ALTER TABLE users RENAME COLUMN name TO full_name", NULL},
    {NULL, "ALTER TABLE users CHANGE name `full name` varchar(80) NOT NULL", "ADD COLUMN `full name` varchar(80);"},
    {NULL, "ALTER TABLE t MODIFY n bigint", "ALTER TABLE t ADD COLUMN n_new bigint;"},
    {NULL, "ALTER TABLE t MODIFY d datetime", "CAST(d AS datetime)"},
    {NULL, "ALTER TABLE t MODIFY id bigint AUTO_INCREMENT", NULL},
    {NULL, "ALTER TABLE t MODIFY name varchar(300) NOT NULL", "MODIFY name varchar(300) NOT NULL;"},
    {NULL, "ALTER TABLE t MODIFY name varchar(255) CHARACTER SET utf8mb4",
     "ADD COLUMN name_new varchar(255) CHARACTER SET utf8mb4;"},
    {NULL, "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4", NULL},
    {NULL, "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)", "SELECT 1 FROM t WHERE NOT (a > 0);"},
    {NULL, "ALTER TABLE t ADD a int NOT NULL", "```sql {rewrite-ok}\nALTER TABLE t MODIFY COLUMN a int NOT NULL;"},
    {NULL, "ALTER TABLE t ADD a int NOT NULL, ADD INDEX (a), ALGORITHM=INPLACE; UPDATE t SET a = b;",
     "ALTER TABLE t ADD INDEX (a);"},
    {NULL, "ALTER TABLE t ADD s varchar(100) AS (lower(name)) STORED", "UPDATE t SET s = (lower(`name`));"},
    {NULL, "ALTER TABLE t ADD u char(36) DEFAULT (uuid())", "UPDATE t SET u = uuid() WHERE u IS NULL;"},
    {NULL, "ALTER TABLE t RENAME TO u", "RENAME TABLE u TO u_view, t TO u;"},
    {NULL, "RENAME TABLE t TO u", "CREATE SQL SECURITY INVOKER VIEW u AS SELECT * FROM t;"},
    {NULL, "DROP TABLE IF EXISTS t CASCADE; DROP INDEX i ON u", "DROP TABLE t;"},
    {NULL, "SET NAMES utf8mb4; START TRANSACTION; CREATE TABLE t (id int PRIMARY KEY); COMMIT;", "CREATE TABLE t"},
    {NULL, "ALTER TABLE t ENGINE=InnoDB", NULL},
    {NULL, "ALTER TABLE t DROP COLUMN a, DROP FOREIGN KEY f, ALTER b SET DEFAULT 'it\\'s'", "DROP FOREIGN KEY f;"},
    {NULL, "CREATE UNIQUE INDEX i ON t (a)", "## Phase 1: Migrate"},
    {NULL, "DELETE FROM t WHERE a = 1", "DELETE FROM t WHERE a = 1;"},
    {NULL,
     "ALTER TABLE u ADD a varchar(80), ADD b varchar(80); UPDATE u SET a = LEFT(n, 1), b = SUBSTRING(n, 2);\n"
     "ALTER TABLE u DROP COLUMN n;",
     "## Phase 4: Contract\n```sql\nALTER TABLE u DROP COLUMN n;"},
    {NULL,
     "ALTER TABLE u ADD f varchar(160); UPDATE u SET f = CONCAT(a, ' ', b); ALTER TABLE u MODIFY f varchar(160) NOT "
     "NULL; CREATE INDEX i ON u (f); ALTER TABLE u DROP a, DROP b; INSERT INTO `django_migrations` VALUES (1)",
     "CREATE INDEX i ON u (f);"},
    {NULL, "INSERT INTO t VALUES (1)", NULL},
    {NULL, "ALTER TABLE t ADD COLUMN", NULL},
};

static bool drafts_well(const char *type, const char *sql, const char *holds)
{
    struct zdm_draft_options options = {.type = type, .engine = ZDM_ENGINE_MYSQL};
    struct zdm_error err = ZDM_ERROR_INIT;
    char *text = NULL;
    enum zdm_code code = zdm_runbook_draft(sql, &options, &text, &err);
    if (code != ZDM_OK)
        return holds == NULL && err.hint[0] != '\0';
    struct compiled c = compile_good("draft.md", text);
    bool good = holds != NULL && strstr(text, holds) != NULL;
    if (!good)
        print_message("%s\n", text);
    compiled_fini(&c);
    free(text);
    return good;
}

static void plain_sql_becomes_a_runbook_that_compiles(void **state)
{
    (void)state;
    size_t failed = 0;
    for (size_t i = 0; i < sizeof drafts / sizeof drafts[0]; i++) {
        if (drafts_well(drafts[i].type, drafts[i].sql, drafts[i].holds))
            continue;
        print_error("not as it should be: %s\n", drafts[i].sql);
        failed++;
    }
    assert_int_equal(failed, 0);
}

static void column_is_shown_just_before_it_becomes_not_null(void **state)
{
    (void)state;
    static const char text[] = "---\nid: a\nengines: mysql\n---\n# A\n\n## Phase 1: Expand\n```sql\nALTER TABLE t ADD "
                               "COLUMN a int, ADD COLUMN b "
                               "int;\n```\n## Phase 2: Migrate\n```sql\nUPDATE t SET a = 1, b = 2;\n```\n```sql "
                               "{rewrite-ok}\nALTER TABLE t MODIFY "
                               "b int NOT NULL;\n```\n";
    static const struct {
        enum zdm_action action;
        const char *column;
    } wanted[] = {{ZDM_ACTION_SHOW_COLUMN, "b"},
                  {ZDM_ACTION_SET_NOT_NULL, "b"},
                  {ZDM_ACTION_CHECK_COMPARE, NULL},
                  {ZDM_ACTION_SHOW_COLUMN, "a"}};
    struct compiled c = compile_good("a.md", text);
    for (uint32_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        const struct zdm_step *step = zdm_plan_step(c.plan, 5 + i);
        assert_int_equal(step->action, wanted[i].action);
        if (wanted[i].column != NULL)
            assert_string_equal(step->column, wanted[i].column);
    }
    compiled_fini(&c);
}

/* The runbook inside of a hint, from its first heading on. */
static struct compiled compile_filled(const char *attribute, const char *sql)
{
    char text[TEXT_MAX];
    snprintf(text, sizeof text,
             "---\nid: a\nengines: mysql\n---\n## Expand\n```sql\nALTER TABLE t ADD COLUMN c varchar(99);\n```\n"
             "## Migrate\n```sql %s\n%s;\n```\n",
             attribute, sql);
    return compile_good("filled.md", text);
}

static void what_may_fail_in_a_trigger_is_warned_of(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        bool warned;
    } may_fail[] = {
        {"UPDATE t SET c = CAST(raw AS SIGNED)", true},
        {"UPDATE t SET c = CONVERT(raw, DATE)", true},
        {"UPDATE t SET c = COALESCE(CAST(raw AS DECIMAL(5, 2)), 0)", true},
        {"UPDATE t SET c = STR_TO_DATE(raw, '%Y')", true},
        {"UPDATE t SET c = IF(b > 1, CAST(raw AS SIGNED), 0)", true},
        {"UPDATE t SET c = IF(CAST(raw AS SIGNED) > 1, 1, 0)", true},
        {"UPDATE t SET c = d WHERE CAST(raw AS SIGNED) > 1", true},
        {"UPDATE t SET c = CAST(raw AS CHAR(20))", false},
        {"UPDATE t SET c = CONVERT(raw USING utf8mb4)", false},
        {"UPDATE t SET c = CAST(LENGTH(raw) AS SIGNED)", false},
        {"UPDATE t SET c = CAST('5' AS SIGNED)", false},
        {"UPDATE t SET c = a / b", false},
        {"UPDATE t SET c = CASE WHEN raw REGEXP '^[0-9]{1,9}$' THEN CAST(raw AS SIGNED) END", false},
        {"UPDATE t SET c = IF(raw REGEXP '^[0-9]{1,9}$', CAST(raw AS SIGNED), 0)", false},
        {"UPDATE t SET c = CAST(raw AS SIGNED) WHERE raw REGEXP '^[0-9]+$'", false},
    };
    for (size_t i = 0; i < sizeof may_fail / sizeof may_fail[0]; i++) {
        struct compiled c = compile_filled("", may_fail[i].sql);
        if ((find_rule(&c, "may-fail") != NULL) != may_fail[i].warned)
            fail_msg("%s: warned %d", may_fail[i].sql, !may_fail[i].warned);
        compiled_fini(&c);
    }
    struct compiled c = compile_filled("{no-sync}", may_fail[0].sql);
    assert_null(find_rule(&c, "may-fail"));
    compiled_fini(&c);
}

static void conditions_of_several_columns_stay_and_what_is_filled_without_triggers_is_compared(void **state)
{
    (void)state;
    static const struct {
        const char *attribute, *sql, *filter;
        bool compared;
    } filled[] = {
        {"{no-sync}", "UPDATE t SET c = d, e = NULL WHERE NOT (c <=> d)", "(NOT (t.`c` <=> t.`d`))", true},
        {"{no-sync}", "UPDATE t SET c = d WHERE NOT (c <=> d)", NULL, true},
        {"", "UPDATE t SET e = d, f = NULL WHERE NOT (e <=> d)", "(NOT (t.`e` <=> t.`d`))", false},
        {"", "UPDATE t SET e = d WHERE NOT (e <=> d)", NULL, false},
        {"", "UPDATE t SET e = d WHERE e <> d", "(t.`e` <> t.`d`)", false},
        {"{no-sync}", "UPDATE t SET c = NOW()", NULL, false},
        {"{no-sync}", "UPDATE t SET c = 'x'", NULL, false},
    };
    for (size_t i = 0; i < sizeof filled / sizeof filled[0]; i++) {
        struct compiled c = compile_filled(filled[i].attribute, filled[i].sql);
        const char *filter = find_action(&c, ZDM_ACTION_BACKFILL)->derivation->filter;
        const struct zdm_step *compare = find_action(&c, ZDM_ACTION_CHECK_COMPARE);
        assert_string_equal(filter == NULL ? "" : filter, filled[i].filter == NULL ? "" : filled[i].filter);
        assert_int_equal(compare != NULL, filled[i].compared);
        assert_true(compare == NULL || compare->derivation->n_assignments == 1);
        compiled_fini(&c);
    }
    /* What the application wrote into other rows is right. */
    static const struct {
        const char *sql, *filter;
    } compared[] = {
        {"UPDATE t SET c = d WHERE c = 0", "(t.`c` = 0)"},
        {"UPDATE t SET c = lower(d) WHERE c IS NULL", "(t.`c` IS NULL)"},
        {"UPDATE t SET c = COALESCE(d, 0) WHERE c IS NULL AND d <> 7", "(t.`d` <> 7) AND (t.`c` IS NULL)"},
        {"UPDATE t SET c = d WHERE NOT (c <=> d)", ""},
    };
    for (size_t i = 0; i < sizeof compared / sizeof compared[0]; i++) {
        struct compiled c = compile_filled("{no-sync}", compared[i].sql);
        const struct zdm_step *compare = find_action(&c, ZDM_ACTION_CHECK_COMPARE);
        assert_non_null(compare);
        assert_null(compare->derivation->guard);
        assert_string_equal(compare->derivation->filter == NULL ? "" : compare->derivation->filter, compared[i].filter);
        compiled_fini(&c);
    }
}

static void recipes_of_refusals_compile(void **state)
{
    (void)state;
    static const char *const statements[] = {"ALTER TABLE users RENAME COLUMN name TO full_name",
                                             "ALTER TABLE `order` CHANGE `user` `group` bigint NOT NULL",
                                             "ALTER TABLE t ADD CONSTRAINT n CHECK (a > 0 AND b <> 'x')",
                                             "ALTER TABLE t ADD u char(36) DEFAULT (uuid())",
                                             "ALTER TABLE t RENAME TO `new name`",
                                             "RENAME TABLE t TO u"};
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        char text[TEXT_MAX], again[TEXT_MAX];
        put_runbook(text, "Expand", "", statements[i]);
        struct compiled c = compile_text("mysql.md", text, strlen(text));
        assert_null(c.plan);
        const char *recipe = strstr(c.notes->findings[0].hint, "## Phase 1");
        if (recipe == NULL)
            fail_msg("no recipe for %s", statements[i]);
        snprintf(again, sizeof again, "---\nid: a\nengines: mysql\n---\n%s", recipe);
        struct compiled good = compile_good("recipe.md", again);
        compiled_fini(&good);
        compiled_fini(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_wrong_statement_is_refused_at_its_place_with_advice),
        cmocka_unit_test(texts_and_signs_are_written_in_one_form),
        cmocka_unit_test(the_trigger_has_the_same_expression_over_new),
        cmocka_unit_test(each_kind_becomes_the_steps_that_were_pinned),
        cmocka_unit_test(what_would_copy_a_table_as_it_is_is_refused_at_plan_time),
        cmocka_unit_test(what_two_engines_read_differently_is_refused_at_its_place),
        cmocka_unit_test(what_both_engines_read_alike_is_compiled_for_both),
        cmocka_unit_test(plain_sql_becomes_a_runbook_that_compiles),
        cmocka_unit_test(column_is_shown_just_before_it_becomes_not_null),
        cmocka_unit_test(recipes_of_refusals_compile),
        cmocka_unit_test(what_may_fail_in_a_trigger_is_warned_of),
        cmocka_unit_test(conditions_of_several_columns_stay_and_what_is_filled_without_triggers_is_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
