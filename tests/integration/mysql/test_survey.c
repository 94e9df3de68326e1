/*
 * test_survey.c - what a plan would meet on MySQL and MariaDB: each rule of the survey found where it is, and not found
 * where it is not, on real servers; and nothing is changed by looking.
 */
#include "tests/integration/mysql/rig.h"
#include "tests/support/survey_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

static int setup(void **state)
{
    int failed = rig_setup(state);
    struct rig *r = *state;
    if (failed == 0) {
        rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name varchar(80) NOT NULL, email varchar(80), age int)");
        rig_sql(r, "INSERT INTO users WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 100)"
                   " SELECT i, concat('n', i), concat('secret', i), i FROM n");
        rig_sql(r, "ANALYZE TABLE users");
    }
    return failed;
}

static int teardown(void **state)
{
    survey_forget();
    return rig_teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Expand, fill, show and hide: full_name of the given type takes the place of name. */
static void rename_plan(struct rig *r, const char *type)
{
    plan_of(r, "users", 5);
    add_column(r, 1, "full_name", type);
    rig_copy(r, 2, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_copy(r, 3, ZDM_ACTION_BACKFILL, "full_name", "name");
    rig_ddl(r, 4, ZDM_ACTION_SHOW_COLUMN, "full_name", NULL, NULL);
    rig_ddl(r, 5, ZDM_ACTION_HIDE_COLUMN, "name", "name", NULL);
}

static void a_plain_rename_meets_nothing_on_a_plain_table(void **state)
{
    struct rig *r = *state;
    rename_plan(r, "varchar(80) NOT NULL DEFAULT ''");
    const struct zdm_survey *s = survey(r);
    expect_clean(s);
    assert_int_equal(s->engine, ZDM_ENGINE_MYSQL);
    assert_int_equal(s->n_tables, 1);
    assert_true(s->tables[0].exists);
    assert_in_range(s->tables[0].rows, 90, 110);
    assert_int_equal(s->tables[0].n_columns, 4);
    assert_string_equal(s->tables[0].columns[1].name, "name");
    assert_string_equal(s->tables[0].columns[1].type, "varchar(80)");
    assert_string_equal(s->tables[0].columns[3].type, "int");
    assert_true(s->tables[0].columns[1].not_null);
    assert_non_null(strstr(s->tables[0].outline, "column name varchar(80) utf8mb4"));
    assert_non_null(strstr(s->tables[0].outline, "unique index PRIMARY BTREE id"));
    assert_int_equal(s->n_steps, 5);
    assert_true(s->steps[0].tried);
    assert_true(s->steps[2].room_bytes > 0);
    assert_string_not_equal(s->server_version, "");
    assert_non_null(strstr(s->node, "/"));
    assert_int_equal(rig_number(r, "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'zdm' AND"
                                   " table_name LIKE 'judge%%'"),
                     0);
}

static void a_fingerprint_follows_the_schema_and_nothing_else(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 1);
    add_column(r, 1, "note", "varchar(10)");
    struct zdm_hash first = survey(r)->tables[0].fingerprint;
    rig_sql(r, "INSERT INTO users VALUES (1000, 'x', NULL, NULL)");
    rig_sql(r, "ANALYZE TABLE users");
    assert_true(zdm_hash_equal(&first, &survey(r)->tables[0].fingerprint));
    static const char *const changes[] = {
        "CREATE INDEX extra ON users (age)",
        "ALTER TABLE users ADD CONSTRAINT older CHECK (age > 0)",
        "ALTER TABLE users ALTER age SET DEFAULT 3",
        "CREATE TRIGGER g BEFORE UPDATE ON users FOR EACH ROW SET NEW.age = 1",
        "ALTER TABLE users ADD CONSTRAINT parent FOREIGN KEY (age) REFERENCES users (id) ON DELETE CASCADE",
        "ALTER TABLE users MODIFY email varchar(90)",
        "ALTER TABLE users ADD COLUMN more int"};
    rig_sql(r, "DELETE FROM users");
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        rig_sql(r, "%s", changes[i]);
        struct zdm_hash next = survey(r)->tables[0].fingerprint;
        if (zdm_hash_equal(&first, &next)) {
            fail_msg("%s does not change the fingerprint", changes[i]);
        }
        first = next;
    }
}

static void what_is_missing_or_there_already_is_said_of_the_step(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 7);
    add_column(r, 1, "age", "int");
    rig_ddl(r, 2, ZDM_ACTION_SET_DEFAULT, "nothing", NULL, "ALTER TABLE `users` ALTER COLUMN `nothing` SET DEFAULT 1");
    rig_sql(r, "CREATE INDEX by_age ON users (age)");
    rig_ddl(r, 3, ZDM_ACTION_CREATE_INDEX, NULL, "by_age", "ALTER TABLE `users` ADD INDEX `by_age` (age)");
    rig_ddl(r, 4, ZDM_ACTION_LIFT_CONSTRAINT, NULL, "no_such", NULL);
    rig_ddl(r, 5, ZDM_ACTION_HIDE_INDEX, NULL, "no_index", NULL);
    rig_ddl(r, 6, ZDM_ACTION_ADD_FOREIGN_KEY, NULL, "f",
            "ALTER TABLE `users` ADD CONSTRAINT `f` FOREIGN KEY (age) REFERENCES `parents` (id)");
    point_at(rig_step(r, 6), "parents");
    rig_ddl(r, 7, ZDM_ACTION_SET_DEFAULT, "x", NULL, "ALTER TABLE `elsewhere` ALTER COLUMN `x` SET DEFAULT 1");
    rename_table(rig_step(r, 7), "elsewhere");
    const struct zdm_survey *s = survey(r);
    expect(s, ERROR, "already-there", "users.age");
    expect(s, ERROR, "column-missing", "users.nothing");
    expect(s, ERROR, "already-there", "by_age");
    expect(s, ERROR, "object-missing", "no_such");
    expect(s, ERROR, "object-missing", "no_index");
    expect(s, ERROR, "table-missing", "parents");
    expect(s, ERROR, "table-missing", "elsewhere");
}

static void what_the_application_has_around_a_column_is_found(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW SET NEW.age = length(NEW.name)");
    rig_sql(r, "CREATE VIEW names AS SELECT name FROM users");
    rig_sql(r, "ALTER TABLE users ADD COLUMN low varchar(80) GENERATED ALWAYS AS (lower(name)) VIRTUAL");
    rig_sql(r, "CREATE UNIQUE INDEX one_name ON users (name)");
    rename_plan(r, "varchar(80) NOT NULL DEFAULT ''");
    const struct zdm_survey *s = survey(r);
    expect(s, WARNING, "trigger-fires", "touch");
    expect(s, WARNING, "function-body", "names");
    expect(s, WARNING, "function-body", "touch");
    expect(s, ERROR, "dependents", "low");
    expect(s, WARNING, "copy-constraint", "one_name");
    expect(s, WARNING, "two-unique", "one_name");
}

static void what_uses_a_table_is_found_before_that_goes_out_of_sight(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE orders (id int PRIMARY KEY)");
    rig_sql(r, "CREATE TRIGGER counted AFTER INSERT ON orders FOR EACH ROW UPDATE users SET age = age + 1");
    rig_sql(r, "CREATE TRIGGER own BEFORE UPDATE ON users FOR EACH ROW SET @n = (SELECT COUNT(*) FROM users)");
    plan_of(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_TABLE, NULL, "zdm_trash_0a1b2c3d_users", NULL);
    const struct zdm_survey *s = survey(r);
    expect(s, WARNING, "function-body", "counted of orders");
    for (size_t i = 0; i < s->n_findings; i++) {
        assert_null(strstr(s->findings[i].object, "trigger own"));
    }
}

static void check_of_a_column_is_said_before_new_code_meets_it(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "ALTER TABLE users ADD CONSTRAINT has_name CHECK (name <> '')");
    rename_plan(r, "varchar(80)");
    rig_step(r, 5)->sync_step = 2;
    const struct zdm_survey *s = survey(r);
    expect(s, WARNING, "copy-constraint", "has_name");
    expect(s, WARNING, "dependents", "has_name");
    plan_of(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "name", "name", NULL);
    expect(survey(r), ERROR, "dependents", "has_name");
    /* Dropped before, or given a default that passes. */
    plan_of(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_LIFT_CONSTRAINT, NULL, "has_name", NULL);
    rig_ddl(r, 2, ZDM_ACTION_HIDE_COLUMN, "name", "name", NULL);
    expect_none(survey(r), "dependents");
    rig_sql(r, "ALTER TABLE users ALTER name SET DEFAULT 'nobody'");
    plan_of(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "name", "name", NULL);
    expect_none(survey(r), "dependents");
}

static void columns_that_do_not_fit_each_other_are_said_before_a_trigger_fails(void **state)
{
    struct rig *r = *state;
    rename_plan(r, "varchar(20)");
    const struct zdm_survey *s = survey(r);
    expect(s, ERROR, "copy-narrow", "full_name");
    rename_plan(r, "varchar(80)");
    s = survey(r);
    expect_none(s, "copy-narrow");
    expect(s, WARNING, "copy-guarded", "full_name");
    rename_plan(r, "varchar(80) CHARACTER SET latin1");
    expect(survey(r), ERROR, "copy-narrow", "latin1");
}

static void columns_that_cascades_change_are_refused_for_triggers(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE parents (name varchar(80) PRIMARY KEY)");
    rig_sql(r, "INSERT INTO parents SELECT name FROM users");
    rig_sql(r, "ALTER TABLE users ADD CONSTRAINT of_parent FOREIGN KEY (name) REFERENCES parents (name) ON UPDATE"
               " CASCADE");
    rename_plan(r, "varchar(80) NOT NULL DEFAULT ''");
    expect(survey(r), ERROR, "cascades", "of_parent");
}

static void rows_in_the_way_are_counted_and_not_quoted(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "UPDATE users SET email = 'secret1' WHERE id <= 3");
    plan_of(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_CREATE_INDEX, NULL, "one_email",
            "ALTER TABLE `users` ADD UNIQUE INDEX `one_email` (email)");
    rig_ddl(
        r, 2, ZDM_ACTION_VALIDATE, NULL, "f",
        "SELECT 1 FROM `users` AS c LEFT JOIN `parents` AS p ON p.id = c.age WHERE c.age IS NOT NULL AND p.id IS NULL"
        " LIMIT 1");
    rig_sql(r, "CREATE TABLE parents (id int PRIMARY KEY)");
    const struct zdm_survey *s = survey(r);
    expect(s, ERROR, "duplicate-rows", "one_email");
    expect(s, ERROR, "rows-in-the-way", "f");
    for (size_t i = 0; i < s->n_findings; i++) {
        assert_null(strstr(s->findings[i].message, "secret"));
    }
}

static void what_only_a_copy_can_do_is_found_on_an_empty_clone(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_WIDEN_TYPE, "age", NULL, "ALTER TABLE `users` MODIFY COLUMN `age` bigint");
    rig_ddl(r, 2, ZDM_ACTION_CREATE_INDEX, NULL, "bad", "ALTER TABLE `users` ADD INDEX `bad` (no_column)");
    const struct zdm_survey *s = survey(r);
    expect(s, ERROR, "clone-rewrites", "users");
    assert_false(s->steps[0].tried);
    assert_string_equal(rig_value(r,
                                  "SELECT column_type FROM information_schema.columns WHERE table_schema = '%s' AND"
                                  " table_name = 'users' AND column_name = 'age'",
                                  r->database),
                        rig_is_mariadb(r) ? "int(11)" : "int");
}

static void tables_without_a_key_or_of_another_engine_are_refused(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE keyless (a int, b int)");
    plan_of(r, "keyless", 1);
    rig_copy(r, 1, ZDM_ACTION_BACKFILL, "a", "b");
    expect(survey(r), ERROR, "no-key", "keyless");
    rig_sql(r, "CREATE TABLE old (id int PRIMARY KEY, a int) ENGINE = MyISAM");
    plan_of(r, "old", 1);
    rig_ddl(r, 1, ZDM_ACTION_SET_DEFAULT, "a", NULL, "ALTER TABLE `old` ALTER COLUMN `a` SET DEFAULT 1");
    expect(survey(r), ERROR, "not-a-table", "MyISAM");
}

static void a_table_near_its_limit_of_instant_changes_is_told_by_any_name(void **state)
{
    struct rig *r = *state;
    if (rig_is_mariadb(r)) {
        return;
    }
    rig_sql(r, "CREATE TABLE `odd-näme_` (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2");
    unsigned most = strncmp(rig_value(r, "SELECT VERSION()"), "9.0", 3) <= 0 ? 64 : 255;
    for (unsigned i = 0; i < most - 7; i++) {
        rig_sql(r, "ALTER TABLE `odd-näme_` %s COLUMN x%s, ALGORITHM=INSTANT", i % 2 == 0 ? "ADD" : "DROP",
                i % 2 == 0 ? " int" : "");
        if (i == most - 10) {
            plan_of(r, "odd-näme_", 1);
            rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "c", NULL, "ALTER TABLE `odd-näme_` ADD COLUMN `c` int");
            expect_clean(survey(r));
        }
    }
    expect(survey(r), WARNING, "row-versions", "{rewrite-ok}");
}

static void statements_that_change_their_meaning_are_seen(void **state)
{
    struct rig *r = *state;
    /* The server keeps so many digests, and other tests fill the table. */
    rig_sql(r, "TRUNCATE performance_schema.events_statements_summary_by_digest");
    rig_app(r, "SELECT * FROM users WHERE id = 1");
    rig_app(r, "INSERT INTO users VALUES (2000, 'x', NULL, 1)");
    rename_plan(r, "varchar(80) NOT NULL DEFAULT ''");
    const struct zdm_survey *s = survey(r);
    if (find(s, "no-statements", "") != NULL) {
        return; /* a server without performance_schema says so */
    }
    expect(s, WARNING, "select-star", "users");
    expect(s, WARNING, "insert-no-columns", "users");
}

static void statements_that_name_a_column_are_seen_and_the_agents_own_are_not(void **state)
{
    struct rig *r = *state;
    rename_plan(r, "varchar(80) NOT NULL DEFAULT ''");
    rig_sql(r, "TRUNCATE performance_schema.events_statements_summary_by_digest");
    rig_app(r, "SELECT t.id FROM users AS t FORCE INDEX (PRIMARY) WHERE t.name = 'n1'");
    const struct zdm_survey *s = survey(r);
    expect_none(s, "column-in-use");
    if (find(s, "no-statements", "") != NULL) {
        return;
    }
    rig_app(r, "SELECT name FROM users WHERE id = 1"); /* a word of SQL, which digests do not quote */
    expect(survey(r), NOTE, "column-in-use", "SELECT NAME FROM");
}

static void what_a_delete_would_take_is_counted(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 2);
    struct zdm_step *step = rig_step(r, 1);
    step->kind = ZDM_STEP_BACKFILL;
    step->action = ZDM_ACTION_DELETE;
    step->inverse = ZDM_INVERSE_IMAGES;
    step->derivation = calloc(1, sizeof *step->derivation);
    step->derivation->filter = zdm_strdup("t.`age` > 40");
    step->derivation->guard = zdm_strdup("t.`id` <= 51");
    expect(survey(r), NOTE, "delete-rows", "11 rows would be deleted; they are kept until the purge");
}

/* The statistics are made anew some seconds later. */
static void a_table_is_as_large_as_it_is_right_behind_a_load(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE loaded (id int AUTO_INCREMENT PRIMARY KEY, pad varchar(500))");
    rig_sql(r, "INSERT INTO loaded (pad) SELECT repeat('x', 400) FROM users a CROSS JOIN users b");
    plan_of(r, "loaded", 1);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "more", NULL, "ALTER TABLE `loaded` ADD COLUMN `more` int");
    assert_in_range(survey(r)->tables[0].bytes, 3 << 20, 20 << 20);
}

/* A fleet may have both servers: what is equal must not look otherwise. */
static void outlines_have_the_same_words_on_both_servers(void **state)
{
    static const char *const lines[] = {
        "table BASE TABLE InnoDB Dynamic utf8mb4_general_ci",
        "column a int\n",
        "column b bigint unsigned not null default 7\n",
        "column c tinyint(1) default 0\n",
        "column d decimal(10,2) default 1.50\n",
        "column e varchar(10) utf8mb4_general_ci default 'it''s'\n",
        "column f datetime(3) default current_timestamp(3) on update current_timestamp(3)\n",
        "column g timestamp default current_timestamp\n",
        "column h int(5) unsigned zerofill\n",
        "column i year\n",
        "on update RESTRICT on delete RESTRICT",
    };
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE odd (a int, b bigint unsigned NOT NULL DEFAULT 7, c tinyint(1) DEFAULT 0, d decimal(10, 2)"
               " DEFAULT 1.50, e varchar(10) DEFAULT 'it''s', f datetime(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE"
               " CURRENT_TIMESTAMP(3), g timestamp NULL DEFAULT CURRENT_TIMESTAMP, h int(5) unsigned zerofill, i year,"
               " PRIMARY KEY (b), FOREIGN KEY (a) REFERENCES users (id)) DEFAULT CHARSET utf8mb4 COLLATE"
               " utf8mb4_general_ci");
    plan_of(r, "odd", 1);
    rig_ddl(r, 1, ZDM_ACTION_SET_DEFAULT, "a", NULL, "ALTER TABLE `odd` ALTER COLUMN `a` SET DEFAULT 1");
    const struct zdm_survey *s = survey(r);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (strstr(s->tables[0].outline, lines[i]) == NULL) {
            fail_msg("\"%s\" is not in:\n%s", lines[i], s->tables[0].outline);
        }
    }
    assert_int_equal(strstr(s->server_version, "-MariaDB") != NULL, rig_is_mariadb(r));
}

static void as_is(struct rig *r, uint32_t ordinal, const char *sql, const char *back)
{
    struct zdm_step *step = rig_ddl(r, ordinal, ZDM_ACTION_AS_IS, NULL, NULL, sql);
    step->proof_sql = zdm_strdup("SELECT 1");
    step->inverse = ZDM_INVERSE_SQL;
    step->inverse_sql = zdm_strdup(back);
}

static void a_statement_as_it_is_is_read_by_the_server_and_its_rights_are_asked_for(void **state)
{
    struct rig *r = *state;
    plan_of(r, "users", 3);
    as_is(r, 1, "CREATE SQL SECURITY INVOKER VIEW people AS SELECT * FROM users", "DROP VIEW people");
    as_is(r, 2, "UPDATE people SET age = 'it''s \\'", "ALTER TABLE later ADD COLUMN a int");
    as_is(r, 3, "CREATE TRIGGER g BEFORE UPDATE ON users FOR EACH ROW SET NEW.age = 1", "DROP TRIGGER g");
    expect_none(survey(r), "missing-grant");
    expect_none(survey(r), "clone-refused");
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM information_schema.views WHERE table_schema = DATABASE()"), 0);
    rig_sql(r, "REVOKE CREATE VIEW ON `%s`.* FROM zdm_agent@'%%'", r->database);
    expect(survey(r), ERROR, "missing-grant", "CREATE VIEW");
    rig_sql(r, "GRANT CREATE VIEW ON `%s`.* TO zdm_agent@'%%'", r->database);
    expect_none(survey(r), "missing-grant");
    plan_of(r, "users", 1);
    as_is(r, 1, "ALTER TABLE users ADD KEY (age)", "ALTER TABLE users DORP KEY age");
    expect(survey(r), ERROR, "clone-refused", "KEY age");
}

/* MySQL's information_schema cannot be read while it runs. */
static void a_statement_with_an_emoji_keeps_no_rule_from_being_looked_at(void **state)
{
    struct rig *r = *state;
    static const char emoji[] = "SELECT SLEEP(30), '😀' FROM places";
    rig_sql(r, "CREATE TABLE places (id int PRIMARY KEY)");
    rig_sql(r, "INSERT INTO places VALUES (1)");
    MYSQL *app = rig_connect(r, "app_user");
    rig_exec(app, "SET NAMES utf8mb4");
    assert_int_equal(mysql_send_query(app, emoji, strlen(emoji)), 0);
    rename_plan(r, "varchar(80) NOT NULL DEFAULT ''");
    expect_clean(survey(r));
    rig_sql(r, "KILL QUERY %lu", mysql_thread_id(app));
    mysql_close(app);
}

RIG_MAIN(TEST(a_statement_with_an_emoji_keeps_no_rule_from_being_looked_at),
         TEST(check_of_a_column_is_said_before_new_code_meets_it),
         TEST(what_uses_a_table_is_found_before_that_goes_out_of_sight),
         TEST(a_plain_rename_meets_nothing_on_a_plain_table), TEST(a_fingerprint_follows_the_schema_and_nothing_else),
         TEST(what_is_missing_or_there_already_is_said_of_the_step),
         TEST(what_the_application_has_around_a_column_is_found),
         TEST(columns_that_do_not_fit_each_other_are_said_before_a_trigger_fails),
         TEST(columns_that_cascades_change_are_refused_for_triggers), TEST(rows_in_the_way_are_counted_and_not_quoted),
         TEST(what_only_a_copy_can_do_is_found_on_an_empty_clone),
         TEST(tables_without_a_key_or_of_another_engine_are_refused),
         TEST(a_table_near_its_limit_of_instant_changes_is_told_by_any_name),
         TEST(statements_that_change_their_meaning_are_seen),
         TEST(statements_that_name_a_column_are_seen_and_the_agents_own_are_not),
         TEST(what_a_delete_would_take_is_counted), TEST(a_table_is_as_large_as_it_is_right_behind_a_load),
         TEST(outlines_have_the_same_words_on_both_servers),
         TEST(a_statement_as_it_is_is_read_by_the_server_and_its_rights_are_asked_for))
