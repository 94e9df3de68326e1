/*
 * Drafts from MySQL's and MariaDB's SQL: what was asked for is carried, or named as left out, or refused with the
 * reason; it is never lost without a word.
 */
#include "tests/unit/runbook/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECES_MAX = 6 };

struct draft {
    const char *type, *sql;
    const char *holds[PIECES_MAX]; /* one behind the other in the draft, which compiles; of a refusal its words */
};

static const struct draft good[] = {
    /* RENAME TABLE */
    {NULL,
     "RENAME TABLE t TO u",
     {"CREATE SQL SECURITY INVOKER VIEW u AS SELECT * FROM t;", "RENAME TABLE u TO u_view, t TO u;"}},
    /* ADD COLUMN … NOT NULL without a value */
    {NULL,
     "ALTER TABLE t ADD code char(36) NOT NULL UNIQUE",
     {"ADD COLUMN code char(36);", "SET code = uuid() WHERE code IS NULL;", "ADD UNIQUE INDEX code (code);",
      "```sql {rewrite-ok}\nALTER TABLE t MODIFY COLUMN code char(36) NOT NULL;"}},
    {NULL,
     "ALTER TABLE t ADD org_id bigint NOT NULL COMMENT 'whose' REFERENCES orgs (id) ON DELETE CASCADE AFTER id;\n"
     "UPDATE t SET org_id = owner;",
     {"ADD COLUMN org_id bigint COMMENT 'whose' AFTER `id`;", "SET org_id = owner;", "ADD INDEX (org_id);",
      "ADD FOREIGN KEY (org_id) REFERENCES orgs (id) ON DELETE CASCADE;",
      "MODIFY COLUMN org_id bigint NOT NULL COMMENT 'whose';"}},
    {NULL,
     "ALTER TABLE t ADD a int NOT NULL CHECK (a >= 0) COMMENT 'n'",
     {"ADD COLUMN a int COMMENT 'n';", "SET a = 0 WHERE a IS NULL;",
      "```sql {check}\nSELECT 1 FROM t WHERE NOT (a >= 0);", "a int NOT NULL COMMENT 'n';"}},
    {NULL,
     "ALTER TABLE t ADD a int DEFAULT 3 CHECK (a > 0) CHECK (a < 9)",
     {"ADD COLUMN a int DEFAULT 3;", "WHERE NOT (a > 0);", "WHERE NOT (a < 9);"}},
    {NULL,
     "ALTER TABLE t ADD seen datetime NOT NULL ON UPDATE CURRENT_TIMESTAMP",
     {"ADD COLUMN seen datetime;", "SET seen = NOW()",
      "MODIFY COLUMN seen datetime NOT NULL ON UPDATE CURRENT_TIMESTAMP;"}},
    {NULL,
     "ALTER TABLE t ADD u char(36) NOT NULL DEFAULT (uuid()) UNIQUE",
     {"ADD COLUMN u char(36);", "SET u = uuid() WHERE u IS NULL;", "ADD UNIQUE INDEX u (u);",
      "MODIFY COLUMN u char(36) NOT NULL;", "ALTER COLUMN u SET DEFAULT (uuid());"}},
    {NULL,
     "ALTER TABLE t ADD s varchar(100) AS (lower(name)) STORED NOT NULL UNIQUE COMMENT 'x'",
     {"ADD COLUMN s varchar(100) COMMENT 'x';", "SET s = (lower(`name`));", "ADD UNIQUE INDEX s (s);",
      "MODIFY COLUMN s varchar(100) NOT NULL COMMENT 'x';"}},
    {NULL,
     "ALTER TABLE t ADD nick varchar(40) UNIQUE; UPDATE t SET nick = name",
     {"ADD COLUMN nick varchar(40);", "SET nick = name;", "ADD UNIQUE INDEX nick (nick);"}},
    {NULL,
     "ALTER TABLE t ADD state varchar(9) NOT NULL DEFAULT 'new' UNIQUE; UPDATE t SET state = concat(kind, id) WHERE "
     "state = 'new'",
     {"ADD COLUMN state varchar(9) NOT NULL DEFAULT 'new';", "UPDATE t SET state", "ADD UNIQUE INDEX state (state);"}},
    {NULL,
     "ALTER TABLE t ADD state varchar(9) DEFAULT (lower('A')); UPDATE t SET state = concat(kind, id)",
     {"ADD COLUMN state varchar(9);", "UPDATE t SET state", "SET DEFAULT (lower('A'));"}},
    {NULL, "ALTER TABLE t ADD e enum('it''s', 'b') NOT NULL", {"SET e = 'it''s' WHERE e IS NULL;"}},
    {NULL, "ALTER TABLE t ADD e set('a', 'b') NOT NULL", {"SET e = '' WHERE e IS NULL;"}},
    {NULL, "ALTER TABLE t ADD b longblob NOT NULL", {"SET b = '' WHERE b IS NULL;"}},
    {NULL, "ALTER TABLE t ADD n varchar(9) NOT NULL DEFAULT 'x' UNIQUE", {"NOT NULL DEFAULT 'x' UNIQUE;"}},
    {NULL,
     "ALTER TABLE t ADD COLUMN (a int, b int NOT NULL, INDEX (a))",
     {"ADD a int;", "ADD COLUMN b int;", "ADD INDEX (a);", "SET b = 0"}},
    {NULL, "ALTER TABLE t ADD a int NOT NULL, ADD INDEX (a)", {"SET a = 0", "ADD INDEX (a);"}},
    {NULL,
     "ALTER TABLE t ADD COLUMN IF NOT EXISTS a int NOT NULL; UPDATE t SET a = b",
     {"`IF NOT EXISTS` is left out", "SET a = b;", "MODIFY COLUMN a int NOT NULL;"}},
    {NULL,
     "ALTER TABLE t ADD f int; UPDATE t SET f = a + 1; ALTER TABLE t MODIFY f int NOT NULL DEFAULT 3 COMMENT 'c' "
     "UNIQUE",
     {"ADD f int;", "SET f = a + 1;", "ADD UNIQUE INDEX f (f);", "MODIFY COLUMN f int NOT NULL COMMENT 'c';",
      "ALTER COLUMN f SET DEFAULT 3;"}},
    /* CHANGE */
    {NULL,
     "ALTER TABLE t CHANGE name full_name varchar(80) NOT NULL DEFAULT '' COMMENT 'who' UNIQUE AFTER id",
     {"ADD COLUMN full_name varchar(80) COMMENT 'who' AFTER `id`;", "ADD UNIQUE INDEX full_name (full_name);",
      "MODIFY COLUMN full_name varchar(80) NOT NULL COMMENT 'who';", "DROP COLUMN name;",
      "ALTER COLUMN full_name SET DEFAULT '';"}},
    {NULL,
     "ALTER TABLE t CHANGE ts seen timestamp NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP",
     {"ADD COLUMN seen timestamp NULL;",
      "```sql\nALTER TABLE t MODIFY COLUMN seen timestamp NULL ON UPDATE CURRENT_TIMESTAMP;", "DROP COLUMN ts;",
      "ALTER COLUMN seen SET DEFAULT CURRENT_TIMESTAMP;"}},
    {NULL,
     "ALTER TABLE t CHANGE u v char(36) DEFAULT (uuid()) CHECK (v <> '')",
     {"WHERE NOT (v <> '');", "ALTER COLUMN v SET DEFAULT (uuid());"}},
    {"varchar(80)",
     "ALTER TABLE t RENAME COLUMN name TO full_name",
     {"Indexes, constraints, NOT NULL, DEFAULT, ON UPDATE and COMMENT of `name` do not"}},
    /* MODIFY */
    {NULL, "ALTER TABLE t MODIFY p decimal(12, 2) unsigned", {"p_new decimal(12, 2) unsigned;", "SET p_new = p WHERE"}},
    {NULL, "ALTER TABLE t MODIFY p decimal(12, 2)", {"CAST(p AS decimal(12, 2))"}},
    {"decimal(9,2)", "ALTER TABLE t MODIFY p decimal(12, 2)", {"SET p_new = p WHERE"}},
    {"text", "ALTER TABLE t MODIFY p decimal(12, 2)", {"leaves `p` out of its INSERTs", "CAST(p AS decimal(12, 2))"}},
    {"varchar(20)", "ALTER TABLE t MODIFY n int", {"ADD COLUMN n_new bigint;", "CAST(n AS SIGNED)"}},
    {"int", "ALTER TABLE t MODIFY n varchar(20)", {"CAST(n AS CHAR)"}},
    {"varchar(80)", "ALTER TABLE t MODIFY n varchar(200)", {"ADD COLUMN n_new varchar(200);"}},
    {NULL, "ALTER TABLE t MODIFY p timestamp(3)", {"SET p_new = p WHERE"}},
    {NULL, "ALTER TABLE t MODIFY p numeric(9)", {"CAST(p AS decimal(9))"}},
    {"int(11)",
     "ALTER TABLE t MODIFY age integer NOT NULL",
     {"writes `age` in every row", "```sql {rewrite-ok}\nALTER TABLE t MODIFY COLUMN age integer NOT NULL;"}},
    {"INT", "ALTER TABLE t MODIFY age int NULL DEFAULT 4", {"## Phase 1: Expand", "age int NULL DEFAULT 4;"}},
    {"bigint(20) unsigned", "ALTER TABLE t MODIFY age bigint unsigned", {"MODIFY COLUMN age bigint unsigned NULL;"}},
    {"decimal(9,2)", "ALTER TABLE t MODIFY p numeric(9, 2) NOT NULL", {"MODIFY COLUMN p numeric(9, 2) NOT NULL;"}},
    {"varchar(80)", "ALTER TABLE t MODIFY name varchar(80) NOT NULL", {"{rewrite-ok}"}},
    {"varchar(20)", "ALTER TABLE t MODIFY name varchar(60) NOT NULL", {"MODIFY name varchar(60) NOT NULL;"}},
    {"text", "ALTER TABLE t MODIFY name varchar(80) NOT NULL", {"ADD COLUMN name_new varchar(80);"}},
    {"int(11)", "ALTER TABLE t MODIFY age bigint NOT NULL", {"ADD COLUMN age_new bigint;", "age_new bigint NOT NULL;"}},
    {"timestamp",
     "ALTER TABLE t MODIFY ts timestamp NULL FIRST",
     {"`FIRST` is left out", "MODIFY COLUMN ts timestamp NULL;"}},
    {"enum('a','b')", "ALTER TABLE t MODIFY e enum( 'a', 'b' ) NULL", {"MODIFY COLUMN e enum('a', 'b') NULL;"}},
    {NULL, "ALTER TABLE t MODIFY n bigint", {"ADD COLUMN n_new bigint;"}},
    /* the rest */
    {NULL,
     "ALTER TABLE t DROP COLUMN IF EXISTS legacy",
     {"`IF EXISTS` is left out", "does not name `legacy` any more"}},
    {NULL, "ALTER TABLE IF EXISTS t ADD a int NOT NULL", {"`IF EXISTS` is left out"}},
    {NULL, "SET NAMES utf8mb4; ALTER TABLE t ADD a int", {"`SET`, `USE` and `LOCK` are left out"}},
};

static const struct draft bad[] = {
    {NULL, "RENAME TABLE a TO b, c TO d", {"of several tables", "a runbook for each"}},
    {NULL, "RENAME TABLE a TO b WAIT 3", {"\"WAIT\" stands where"}},
    {NULL, "ALTER TABLE t RENAME TO u v", {"\"v\" stands where"}},
    {NULL, "ALTER TABLE t ADD id2 bigint NOT NULL AUTO_INCREMENT PRIMARY KEY", {"AUTO_INCREMENT numbers every row"}},
    {NULL, "ALTER TABLE t ADD n int NOT NULL UNIQUE", {"n is UNIQUE", "UPDATE t SET n = …;"}},
    {NULL, "ALTER TABLE t ADD code char(35) NOT NULL UNIQUE", {"code is UNIQUE"}},
    {NULL,
     "ALTER TABLE t ADD org_id bigint NOT NULL REFERENCES orgs (id)",
     {"which row org_id of each row that exists refers to", "UPDATE t SET org_id = …;"}},
    {NULL, "ALTER TABLE t ADD p point NOT NULL", {"does not say which value"}},
    {NULL, "ALTER TABLE t CHANGE id user_id bigint NOT NULL AUTO_INCREMENT", {"id is a key of t"}},
    {NULL, "ALTER TABLE t CHANGE nr no bigint NOT NULL AUTO_INCREMENT", {"nr is a key of t"}},
    {"bigint", "ALTER TABLE t RENAME COLUMN id TO user_id", {"id is a key of t"}},
    {NULL, "ALTER TABLE t CHANGE a b int AS (c + 1) STORED", {"b is generated"}},
    {NULL, "ALTER TABLE t MODIFY a int AS (c + 1) STORED", {"a is generated"}},
    {NULL, "ALTER TABLE t MODIFY d json", {"cannot become json", "ADD COLUMN d_new json"}},
    {"int", "ALTER TABLE t MODIFY a int NULL, MODIFY b text NOT NULL", {"the types of t.a and of t.b are needed"}},
    {NULL, "ALTER TABLE t MODIFY age integer NOT NULL", {"the type of age is not known", "--type"}},
    {NULL, "ALTER TABLE t MODIFY ts timestamp NULL", {"the type of ts is not known", "--type"}},
    {NULL, "ALTER TABLE t MODIFY body text CHARACTER utf8mb4", {"stands where"}},
    {NULL, "ALTER TABLE t MODIFY body text whatever", {"\"whatever\" stands where"}},
    {NULL, "ALTER TABLE t RENAME COLUMN a TO b c", {"\"c\" stands where"}},
    {NULL, "ALTER TABLE t ADD (a int, b int", {"stands where \")\""}},
    {NULL, "ALTER TABLE t ADD (a int) b", {"\"b\" stands where"}},
    {NULL, "ALTER TABLE t DROP", {"stands where"}},
    {NULL, "ALTER TABLE t ADD ()", {"there is nothing"}},
    {NULL, "ALTER IGNORE TABLE t ADD UNIQUE INDEX (a)", {"throws rows away"}},
};

/* All of them, one behind the other. */
static bool holds(const char *text, const char *const pieces[PIECES_MAX])
{
    for (size_t i = 0; i < PIECES_MAX && pieces[i] != NULL; i++) {
        const char *found = strstr(text, pieces[i]);
        if (found == NULL) {
            print_message("\"%s\" is not there\n", pieces[i]);
            return false;
        }
        text = found + strlen(pieces[i]);
    }
    return true;
}

/* Prose is broken into lines, which the tests need not know; fences stay. */
static void join_prose(char *text)
{
    bool fence = false;
    for (char *p = text; *p != '\0'; p++) {
        if (*p != '\n')
            continue;
        if (strncmp(p + 1, "```", 3) == 0)
            fence = !fence;
        else if (!fence && p[1] != '\n' && p > text && p[-1] != '\n' && p[-1] != '`')
            *p = ' ';
    }
}

static bool is_drafted(const struct draft *draft)
{
    struct zdm_draft_options options = {.type = draft->type, .engine = ZDM_ENGINE_MYSQL};
    struct zdm_error err = ZDM_ERROR_INIT;
    char *text = NULL;
    if (zdm_runbook_draft(draft->sql, &options, &text, &err) != ZDM_OK) {
        print_message("%s\n  %s\n", err.message, err.hint);
        return false;
    }
    struct compiled c = compile_good("draft.md", text);
    compiled_fini(&c);
    char *joined = strdup(text);
    assert_non_null(joined);
    join_prose(joined);
    bool all = holds(joined, draft->holds);
    if (!all)
        print_message("%s\n", text);
    free(joined);
    free(text);
    return all;
}

static bool is_refused(const struct draft *draft)
{
    struct zdm_draft_options options = {.type = draft->type, .engine = ZDM_ENGINE_MYSQL};
    struct zdm_error err = ZDM_ERROR_INIT;
    char said[4 * ZDM_MESSAGE_MAX], *text = NULL;
    if (zdm_runbook_draft(draft->sql, &options, &text, &err) == ZDM_OK) {
        print_message("%s\n", text);
        free(text);
        return false;
    }
    snprintf(said, sizeof said, "%s | %s", err.message, err.hint);
    bool all = err.hint[0] != '\0' && holds(said, draft->holds);
    if (!all)
        print_message("it is said: %s\n", said);
    return all;
}

static void what_is_asked_for_is_carried_or_named(void **state)
{
    (void)state;
    size_t failed = 0;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (is_drafted(&good[i]))
            continue;
        print_error("not as it should be: %s\n", good[i].sql);
        failed++;
    }
    assert_int_equal(failed, 0);
}

static void what_cannot_be_carried_is_refused_with_the_reason(void **state)
{
    (void)state;
    size_t failed = 0;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (is_refused(&bad[i]))
            continue;
        print_error("not as it should be: %s\n", bad[i].sql);
        failed++;
    }
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_asked_for_is_carried_or_named),
        cmocka_unit_test(what_cannot_be_carried_is_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
