/*
 * test_ddl.c - changes of the catalogue: what they make, how it is proved, what is refused, and the way back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/catalog/catalog.h"
#include "tests/integration/mysql/rig.h"

static void users(struct rig *r)
{
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name varchar(20) NOT NULL DEFAULT 'x', age int) "
               "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
    rig_sql(r, "INSERT INTO users VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', NULL)");
}

/* How many columns of that name and kind of visibility there are. */
static long columns(struct rig *r, const char *name, bool invisible)
{
    return rig_number(r,
                      "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME "
                      "= 'users' AND COLUMN_NAME = '%s' AND (EXTRA LIKE '%%INVISIBLE%%') = %d",
                      name, invisible);
}

static void one_step(struct rig *r, enum zdm_action action, const char *column, const char *object, const char *sql)
{
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, action, column, object, sql);
    rig_accept(r, 1);
}

static void no_clone_is_left(struct rig *r)
{
    char whose[200], hex[9];
    (void)snprintf(whose, sizeof whose, "%s/%s", r->database, r->plan->id);
    mydb_short_name(hex, whose);
    assert_int_equal(rig_number(r,
                                "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'zdm' AND "
                                "LEFT(TABLE_NAME, 14) = 'judge_%s'",
                                hex),
                     0);
}

/* ---- ADD_COLUMN ---- */

static const char add_sql[] = "ALTER TABLE `users` ADD COLUMN `full_name` varchar(255) NULL AFTER `name`";

static void add_and_show(struct rig *r)
{
    users(r);
    rig_plan(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "full_name", NULL, add_sql);
    rig_ddl(r, 2, ZDM_ACTION_SHOW_COLUMN, "full_name", NULL, NULL);
    rig_accept(r, 1);
}

static void column_is_added_invisible_once_with_its_owner_and_the_journal(void **state)
{
    struct rig *r = *state;
    add_and_show(r);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    assert_int_equal(r->journal_step, 2);
    assert_int_equal(columns(r, "full_name", true), 1);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_ALREADY);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.owned WHERE kind = 'column' AND object = "
                                   "'users.full_name' AND home = DATABASE()"),
                     1);
    no_clone_is_left(r);
    rig_app(r, "INSERT INTO users VALUES (4, 'd', 1)"); /* without columns */
}

static void column_that_no_step_shows_is_visible_at_once(void **state)
{
    struct rig *r = *state;
    users(r);
    one_step(r, ZDM_ACTION_ADD_COLUMN, "full_name", NULL, add_sql);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    assert_int_equal(columns(r, "full_name", false), 1);
}

static void column_of_somebody_else_is_foreign(void **state)
{
    struct rig *r = *state;
    add_and_show(r);
    rig_sql(r, "ALTER TABLE users ADD full_name text");
    rig_inspect(r, 1, AGENT_PROOF_FOREIGN);
    rig_refused(r, AGENT_RUN_DDL, 1, "was not made by this migration");
}

static void column_of_somebody_else_after_an_intent_is_foreign(void **state)
{
    struct rig *r = *state;
    add_and_show(r);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    /* As a crash between intent and statement leaves it, and then somebody else's column. */
    rig_sql(r, "ALTER TABLE users DROP COLUMN full_name, ADD full_name int");
    rig_sql(r, "INSERT INTO zdm.former (home, migration, step, part, back_sql, made) SELECT home, migration, 1, 0, '', "
               "'  `full_name` varchar(255) DEFAULT NULL' FROM zdm.owned WHERE object = 'users.full_name' AND home = "
               "DATABASE()");
    rig_sql(r, "UPDATE zdm.migration SET step = 1 WHERE home = DATABASE()");
    rig_reload(r);
    rig_inspect(r, 1, AGENT_PROOF_FOREIGN);
}

static void added_column_goes_out_of_sight_and_can_be_added_anew(void **state)
{
    struct rig *r = *state;
    add_and_show(r);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_sql(r, "UPDATE users SET full_name = 'stale'");
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNDO_DDL);
    assert_int_equal(rig_undo(r, 1), 1);
    assert_int_equal(columns(r, "full_name", true) + columns(r, "full_name", false), 0);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() "
                                   "AND COLUMN_NAME LIKE 'zdm\\_u%%' AND EXTRA LIKE '%%INVISIBLE%%'"),
                     1);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT COUNT(full_name) FROM users"), 0);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 1, AGENT_ALREADY);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() "
                                   "AND COLUMN_NAME LIKE 'zdm\\_u%%'"),
                     0);
}

static void what_only_a_copy_could_do_is_refused(void **state)
{
    struct rig *r = *state;
    users(r);
    one_step(r, ZDM_ACTION_ADD_COLUMN, "c", NULL, "ALTER TABLE `users` ADD COLUMN `c` int AS (age + 1) STORED");
    rig_refused(r, AGENT_RUN_DDL, 1, "only a copy of all of users");
    no_clone_is_left(r);
}

static void statement_about_another_table_is_refused(void **state)
{
    struct rig *r = *state;
    users(r);
    one_step(r, ZDM_ACTION_ADD_COLUMN, "c", NULL, "ALTER TABLE `other` ADD COLUMN `c` int");
    rig_refused(r, AGENT_RUN_DDL, 1, "no ALTER TABLE of users");
}

static void table_that_is_not_there_is_absent(void **state)
{
    struct rig *r = *state;
    rig_plan(r, "nowhere", 1);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "c", NULL, "ALTER TABLE `nowhere` ADD COLUMN `c` int");
    rig_accept(r, 1);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_ABSENT);
}

static void ddl_under_an_old_fence_changes_nothing(void **state)
{
    struct rig *r = *state;
    add_and_show(r);
    struct zdm_fence old = r->fence;
    agent_result_free(rig_try_accept(r, 1, 2, 1, 2));
    r->fence = old;
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_FENCED);
    assert_int_equal(columns(r, "full_name", true) + columns(r, "full_name", false), 0);
}

/* ---- CREATE_INDEX ---- */

static long index_rows(struct rig *r, const char *name)
{
    return rig_number(r,
                      "SELECT COUNT(DISTINCT INDEX_NAME) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = "
                      "DATABASE() AND INDEX_NAME = '%s'",
                      name);
}

static void index_is_built_once_and_dropped_on_the_way_back(void **state)
{
    struct rig *r = *state;
    users(r);
    one_step(r, ZDM_ACTION_CREATE_INDEX, NULL, "by_age", "ALTER TABLE `users` ADD INDEX `by_age` (`age`)");
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_ALREADY);
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_INDEX_DROP);
    assert_int_equal(rig_undo(r, 1), 1);
    assert_int_equal(index_rows(r, "by_age"), 0);
}

static void unique_index_over_equal_values_leaves_nothing(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_sql(r, "UPDATE users SET age = 10");
    one_step(r, ZDM_ACTION_CREATE_INDEX, NULL, "u", "ALTER TABLE `users` ADD UNIQUE INDEX `u` (`age`)");
    rig_refused(r, AGENT_RUN_INDEX_BUILD, 1, "Rows share a value");
    assert_int_equal(index_rows(r, "u"), 0);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.owned WHERE kind = 'index' AND home = DATABASE()"), 0);
}

/* The server drops it without a word, and no other index of that foreign key can be dropped then. */
static void index_that_a_foreign_key_made_comes_back_when_another_pushed_it_out(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE places (id int PRIMARY KEY)");
    rig_sql(r,
            "CREATE TABLE users (id int PRIMARY KEY, age int, place int, CONSTRAINT fk FOREIGN KEY (place) REFERENCES"
            " places (id))");
    char *before = rig_dump(r, "users");
    one_step(r, ZDM_ACTION_CREATE_INDEX, NULL, "u", "ALTER TABLE `users` ADD UNIQUE INDEX `u` (`place`, `age`)");
    rig_run(r, AGENT_RUN_INDEX_BUILD, 1, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() "
                                   "AND TABLE_NAME = 'users' AND INDEX_NAME = 'fk'"),
                     0);
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_INDEX_DROP);
    rig_undo(r, 1);
    char *after = rig_dump(r, "users");
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void index_of_somebody_else_is_foreign(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_sql(r, "CREATE INDEX by_age ON users (age)");
    one_step(r, ZDM_ACTION_CREATE_INDEX, NULL, "by_age", "ALTER TABLE `users` ADD INDEX `by_age` (`age`)");
    rig_inspect(r, 1, AGENT_PROOF_FOREIGN);
}

/* ---- Foreign keys ---- */

static void foreign_key_plan(struct rig *r)
{
    users(r);
    rig_sql(r, "CREATE TABLE places (id int PRIMARY KEY)");
    rig_sql(r, "INSERT INTO places VALUES (10), (20)");
    rig_plan(r, "users", 2);
    struct zdm_step *step =
        rig_ddl(r, 1, ZDM_ACTION_ADD_FOREIGN_KEY, NULL, "fk",
                "ALTER TABLE `users` ADD CONSTRAINT `fk` FOREIGN KEY (`age`) REFERENCES `places` (`id`)");
    step->others = calloc(1, sizeof *step->others);
    step->others[0] = (struct zdm_table){.schema = zdm_strdup(""), .name = zdm_strdup("places")};
    step->n_others = 1;
    step->inverse = ZDM_INVERSE_SQL;
    step->inverse_sql = zdm_strdup("ALTER TABLE `users` DROP FOREIGN KEY `fk`");
    rig_ddl(r, 2, ZDM_ACTION_VALIDATE, NULL, "fk",
            "SELECT t.age FROM users AS t LEFT JOIN places AS p ON p.id = t.age WHERE t.age IS NOT NULL AND p.id IS "
            "NULL LIMIT 1");
    rig_accept(r, 1);
}

static void foreign_key_without_an_index_is_refused_with_the_way_out(void **state)
{
    struct rig *r = *state;
    foreign_key_plan(r);
    rig_refused(r, AGENT_RUN_DDL, 1, "CREATE INDEX on these columns");
}

static void foreign_key_binds_new_rows_then_the_old_ones_are_read(void **state)
{
    struct rig *r = *state;
    foreign_key_plan(r);
    rig_sql(r, "CREATE INDEX by_age ON users (age)");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    assert_int_equal(rig_app_fails(r, "INSERT INTO users (id, age) VALUES (9, 99)"), 1452);
    rig_run(r, AGENT_RUN_VALIDATE, 2, AGENT_OK);
    rig_inspect(r, 2, AGENT_PROOF_DONE);
    rig_undo(r, 1);
    assert_int_equal(rig_app_fails(r, "INSERT INTO users (id, age) VALUES (9, 99)"), 0);
}

static void foreign_key_that_rows_violate_is_dropped_and_the_journal_goes_back(void **state)
{
    struct rig *r = *state;
    foreign_key_plan(r);
    rig_sql(r, "CREATE INDEX by_age ON users (age)");
    rig_sql(r, "INSERT INTO users (id, age) VALUES (7, 77)");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_refused(r, AGENT_RUN_VALIDATE, 2, "was dropped again");
    assert_int_equal(r->journal_step, 1);
    assert_int_equal(rig_app_fails(r, "INSERT INTO users (id, age) VALUES (9, 99)"), 0);
    rig_sql(r, "DELETE FROM users WHERE age IN (77, 99)");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_VALIDATE, 2, AGENT_OK);
}

static void parent_of_another_type_is_refused(void **state)
{
    struct rig *r = *state;
    foreign_key_plan(r);
    rig_sql(r, "CREATE INDEX by_age ON users (age)");
    rig_sql(r, "ALTER TABLE places MODIFY id bigint");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_FAIL);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE "
                                   "CONSTRAINT_SCHEMA = DATABASE()"),
                     0);
}

/* ---- Settings ---- */

static void default_is_set_and_put_back(void **state)
{
    struct rig *r = *state;
    users(r);
    char *before = rig_dump(r, "users");
    one_step(r, ZDM_ACTION_SET_DEFAULT, "name", NULL, "ALTER TABLE `users` ALTER COLUMN `name` SET DEFAULT 'it''s'");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_app(r, "INSERT INTO users (id) VALUES (8)");
    assert_string_equal(rig_value(r, "SELECT name FROM users WHERE id = 8"), "it's");
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNDO_DDL);
    rig_undo(r, 1);
    char *after = rig_dump(r, "users");
    assert_string_equal(before, after);
    free(before);
    free(after);
}

/* What the compiler advises for a column that MySQL gives no text by ALTER COLUMN. */
static void default_of_a_json_column_is_set_by_modify(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_sql(r, "ALTER TABLE users ADD COLUMN j json");
    one_step(r, ZDM_ACTION_WIDEN_TYPE, "j", NULL, "ALTER TABLE `users` MODIFY COLUMN `j` json DEFAULT ('[]')");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_app(r, "INSERT INTO users (id) VALUES (8)");
    assert_string_equal(rig_value(r, "SELECT j FROM users WHERE id = 8"), "[]");
}

static void default_that_somebody_changed_since_stays(void **state)
{
    struct rig *r = *state;
    users(r);
    one_step(r, ZDM_ACTION_SET_DEFAULT, "name", NULL, "ALTER TABLE `users` ALTER COLUMN `name` SET DEFAULT 'y'");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_sql(r, "ALTER TABLE users ALTER COLUMN name SET DEFAULT 'z'");
    rig_undo(r, 1);
    assert_non_null(strstr(r->remark, "was changed again since"));
    rig_app(r, "INSERT INTO users (id) VALUES (8)");
    assert_string_equal(rig_value(r, "SELECT name FROM users WHERE id = 8"), "z");
}

/* The server may have done it although nobody heard: then it is as it was, and nobody changed it since. */
static void way_back_whose_answer_was_lost_has_nothing_to_remark(void **state)
{
    struct rig *r = *state;
    users(r);
    char *before = rig_dump(r, "users");
    one_step(r, ZDM_ACTION_SET_DEFAULT, "name", NULL, "ALTER TABLE `users` ALTER COLUMN `name` SET DEFAULT 'y'");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_sql(r, "ALTER TABLE users ALTER COLUMN name SET DEFAULT 'x'");
    rig_undo(r, 1);
    assert_string_equal(r->remark, "");
    char *after = rig_dump(r, "users");
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void wider_type_keeps_what_is_not_written(void **state)
{
    struct rig *r = *state;
    users(r);
    one_step(r, ZDM_ACTION_WIDEN_TYPE, "name", NULL,
             "ALTER TABLE `users` MODIFY COLUMN `name` varchar(30) NOT NULL DEFAULT 'x'");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    assert_int_equal(rig_number(r, "SELECT CHARACTER_MAXIMUM_LENGTH FROM information_schema.COLUMNS WHERE TABLE_SCHEMA "
                                   "= DATABASE() AND COLUMN_NAME = 'name'"),
                     30);
}

/* A column that went on the way back and was added anew is not the one that the step has changed. */
static void modify_is_done_when_all_of_the_column_is_as_it_says(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_sql(r, "ALTER TABLE users ADD seen datetime");
    one_step(r, ZDM_ACTION_WIDEN_TYPE, "seen", NULL,
             "ALTER TABLE `users` MODIFY COLUMN `seen` datetime DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_sql(r, "ALTER TABLE users DROP seen, ADD seen datetime");
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_app(r, "UPDATE users SET age = age + 1");
    assert_int_equal(rig_number(r, "SELECT COUNT(seen) FROM users"), 2);
}

static void modify_that_would_lose_something_is_refused_with_the_words(void **state)
{
    struct rig *r = *state;
    static const char *const cases[][3] = {
        {"name", "ALTER TABLE `users` MODIFY COLUMN `name` varchar(30) NOT NULL", "would take the DEFAULT of column"},
        {"name", "ALTER TABLE `users` MODIFY COLUMN `name` varchar(20) DEFAULT 'x'", "{rewrite-ok}"},
        {"age", "ALTER TABLE `users` MODIFY COLUMN `age` bigint", "only a copy of all of users"},
        {"note", "ALTER TABLE `users` MODIFY COLUMN `note` varchar(30)", "would take the COMMENT of column note"},
    };
    users(r);
    rig_sql(r, "ALTER TABLE users ADD note varchar(20) COMMENT 'n'");
    rig_plan(r, "users", 4);
    for (uint32_t i = 0; i < 4; i++) {
        rig_ddl(r, i + 1, ZDM_ACTION_WIDEN_TYPE, cases[i][0], NULL, cases[i][1]);
    }
    rig_accept(r, 1);
    for (uint32_t i = 0; i < 4; i++) {
        rig_refused(r, AGENT_RUN_DDL, i + 1, cases[i][2]);
    }
}

static void collation_that_is_not_written_is_not_changed(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_sql(r, "ALTER TABLE users ADD latin varchar(10) COLLATE utf8mb4_general_ci");
    one_step(r, ZDM_ACTION_WIDEN_TYPE, "latin", NULL, "ALTER TABLE `users` MODIFY COLUMN `latin` varchar(12)");
    rig_refused(r, AGENT_RUN_DDL, 1, "Write its COLLATE behind its type");
}

static void widening_leaves_an_invisible_column_invisible(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_sql(r, "ALTER TABLE users ADD c varchar(10) INVISIBLE");
    one_step(r, ZDM_ACTION_WIDEN_TYPE, "c", NULL, "ALTER TABLE `users` MODIFY COLUMN `c` varchar(12)");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    assert_int_equal(columns(r, "c", true), 1);
}

static void not_null_needs_a_word_for_the_rebuild_and_comes_back(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_sql(r, "DELETE FROM users WHERE age IS NULL");
    char *before = rig_dump(r, "users");
    one_step(r, ZDM_ACTION_SET_NOT_NULL, "age", NULL, "ALTER TABLE `users` MODIFY COLUMN `age` int NOT NULL");
    rig_refused(r, AGENT_RUN_DDL, 1, "{rewrite-ok}");
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_SET_NOT_NULL, "age", NULL, "ALTER TABLE `users` MODIFY COLUMN `age` int NOT NULL")
        ->rewrite_ok = true;
    rig_accept(r, 2);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    assert_int_equal(rig_app_fails(r, "INSERT INTO users (id, name, age) VALUES (9, 'n', NULL)"), 1048);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_undo(r, 1);
    char *after = rig_dump(r, "users");
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void comment_of_a_table_is_set_and_put_back(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_sql(r, "ALTER TABLE users COMMENT 'it''s old'");
    char *before = rig_dump(r, "users");
    one_step(r, ZDM_ACTION_COMMENT, NULL, NULL, "ALTER TABLE `users` COMMENT 'new \\ one'");
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_undo(r, 1);
    char *after = rig_dump(r, "users");
    assert_string_equal(before, after);
    free(before);
    free(after);
}

/* ---- Constraints on their way out ---- */

static void foreign_key_is_lifted_and_comes_back_although_rows_violate_it(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_sql(r, "CREATE TABLE places (id int PRIMARY KEY)");
    rig_sql(r, "INSERT INTO places VALUES (10), (20)");
    rig_sql(r, "ALTER TABLE users ADD CONSTRAINT fk FOREIGN KEY (age) REFERENCES places (id) ON DELETE CASCADE");
    char *before = rig_dump(r, "users");
    one_step(r, ZDM_ACTION_LIFT_CONSTRAINT, NULL, "fk", NULL);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_app(r, "INSERT INTO users (id, age) VALUES (9, 99)");
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNHIDE);
    rig_undo(r, 1);
    char *after = rig_dump(r, "users");
    assert_string_equal(before, after);
    assert_non_null(strstr(r->remark, "have no parent: 99"));
    free(before);
    free(after);
}

static void check_is_lifted_and_the_way_back_says_what_it_was(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_sql(r, "ALTER TABLE users ADD CONSTRAINT grown CHECK (age > 5)");
    one_step(r, ZDM_ACTION_LIFT_CONSTRAINT, NULL, "grown", NULL);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (id, age) VALUES (9, 1)");
    rig_undo(r, 1);
    assert_non_null(strstr(r->remark, "only a copy"));
    assert_non_null(strstr(r->remark, "age"));
}

/* ---- Tables and statements as they are ---- */

static void table_is_made_once_and_a_rollback_keeps_it(void **state)
{
    struct rig *r = *state;
    rig_plan(r, "made", 1);
    rig_ddl(r, 1, ZDM_ACTION_CREATE_TABLE, NULL, NULL, "CREATE TABLE `made` (`id` int PRIMARY KEY, `a` int)");
    rig_accept(r, 1);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_ALREADY);
    rig_sql(r, "INSERT INTO made VALUES (1, 2)");
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNDO_DDL);
    rig_undo(r, 1);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    char name[80];
    (void)snprintf(name, sizeof name, "%s",
                   rig_value(r, "SELECT hidden_name FROM zdm.hidden WHERE kind = 'table' AND home = DATABASE()"));
    assert_int_equal(rig_number(r, "SELECT a FROM `%s`", name), 2);
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 1, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"),
                     1);
}

static void table_of_somebody_else_is_foreign(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE made (id int PRIMARY KEY)");
    rig_plan(r, "made", 1);
    rig_ddl(r, 1, ZDM_ACTION_CREATE_TABLE, NULL, NULL, "CREATE TABLE `made` (`id` int PRIMARY KEY)");
    rig_accept(r, 1);
    rig_inspect(r, 1, AGENT_PROOF_FOREIGN);
    rig_refused(r, AGENT_RUN_DDL, 1, "was not made by this migration");
}

RIG_MAIN(RIG_TEST(column_is_added_invisible_once_with_its_owner_and_the_journal),
         RIG_TEST(column_that_no_step_shows_is_visible_at_once), RIG_TEST(column_of_somebody_else_is_foreign),
         RIG_TEST(column_of_somebody_else_after_an_intent_is_foreign),
         RIG_TEST(added_column_goes_out_of_sight_and_can_be_added_anew), RIG_TEST(what_only_a_copy_could_do_is_refused),
         RIG_TEST(statement_about_another_table_is_refused), RIG_TEST(table_that_is_not_there_is_absent),
         RIG_TEST(ddl_under_an_old_fence_changes_nothing), RIG_TEST(index_is_built_once_and_dropped_on_the_way_back),
         RIG_TEST(unique_index_over_equal_values_leaves_nothing), RIG_TEST(index_of_somebody_else_is_foreign),
         RIG_TEST(foreign_key_without_an_index_is_refused_with_the_way_out),
         RIG_TEST(foreign_key_binds_new_rows_then_the_old_ones_are_read),
         RIG_TEST(foreign_key_that_rows_violate_is_dropped_and_the_journal_goes_back),
         RIG_TEST(parent_of_another_type_is_refused), RIG_TEST(default_is_set_and_put_back),
         RIG_TEST(default_of_a_json_column_is_set_by_modify), RIG_TEST(default_that_somebody_changed_since_stays),
         RIG_TEST(way_back_whose_answer_was_lost_has_nothing_to_remark),
         RIG_TEST(index_that_a_foreign_key_made_comes_back_when_another_pushed_it_out),
         RIG_TEST(wider_type_keeps_what_is_not_written), RIG_TEST(modify_is_done_when_all_of_the_column_is_as_it_says),
         RIG_TEST(modify_that_would_lose_something_is_refused_with_the_words),
         RIG_TEST(collation_that_is_not_written_is_not_changed),
         RIG_TEST(widening_leaves_an_invisible_column_invisible),
         RIG_TEST(not_null_needs_a_word_for_the_rebuild_and_comes_back),
         RIG_TEST(comment_of_a_table_is_set_and_put_back),
         RIG_TEST(foreign_key_is_lifted_and_comes_back_although_rows_violate_it),
         RIG_TEST(check_is_lifted_and_the_way_back_says_what_it_was),
         RIG_TEST(table_is_made_once_and_a_rollback_keeps_it), RIG_TEST(table_of_somebody_else_is_foreign))
