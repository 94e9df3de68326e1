/*
 * test_trash.c - tables and indexes out of sight: what is kept, what comes back, what is refused, when it is dropped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/mysql/rig.h"

#define HIDDEN "zdm_trash_0a1b2c3d_users"

static void users(struct rig *r)
{
    rig_sql(r, "CREATE TABLE places (id int PRIMARY KEY)");
    rig_sql(r, "INSERT INTO places VALUES (1), (2)");
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name varchar(20), place int, KEY by_name (name), UNIQUE KEY "
               "one_place (place), CONSTRAINT fk FOREIGN KEY (place) REFERENCES places (id))");
    rig_sql(r, "CREATE TRIGGER app_i BEFORE INSERT ON users FOR EACH ROW SET NEW.name = UPPER(NEW.name)");
    rig_sql(r, "INSERT INTO users VALUES (1, 'a', 1), (2, 'b', NULL)");
}

static void table_plan(struct rig *r)
{
    rig_plan(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_TABLE, NULL, HIDDEN, NULL);
    rig_ddl(r, 2, ZDM_ACTION_PURGE_TABLE, NULL, HIDDEN, NULL);
    rig_accept(r, 1);
}

static long is_there(struct rig *r, const char *table)
{
    return rig_number(
        r, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '%s'",
        table);
}

/* ---- Tables ---- */

static void table_goes_out_of_sight_and_comes_back_as_it_was(void **state)
{
    struct rig *r = *state;
    users(r);
    char *before = rig_dump(r, "users");
    table_plan(r);
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_ALREADY);
    assert_int_equal(is_there(r, "users"), 0);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM `" HIDDEN "`"), 2);
    rig_app(r, "DELETE FROM places WHERE id = 1"); /* its foreign key binds nobody any more */
    rig_app(r, "INSERT INTO places VALUES (1)");
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNHIDE);
    assert_int_equal(rig_undo(r, 1), 2); /* the table and its foreign key; the rows of that */
    char *after = rig_dump(r, "users");
    assert_string_equal(before, after);
    assert_string_equal(r->remark, "");
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.hidden WHERE home = DATABASE()"), 0);
    free(before);
    free(after);
}

static void rows_without_a_parent_are_named_when_the_table_is_back(void **state)
{
    struct rig *r = *state;
    users(r);
    table_plan(r);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_app(r, "DELETE FROM places WHERE id = 1");
    rig_undo(r, 1);
    assert_non_null(strstr(r->remark, "foreign key fk"));
    assert_int_equal(rig_app_fails(r, "INSERT INTO users VALUES (3, 'c', 9)"), 1452);
}

static void table_whose_name_was_taken_does_not_come_back(void **state)
{
    struct rig *r = *state;
    users(r);
    table_plan(r);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY)");
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    rig_back(r, 1, AGENT_PROOF_FOREIGN, AGENT_RUN_NONE);
    rig_refused(r, AGENT_RUN_UNHIDE, 1, "is not the one that was hidden");
}

static void what_refers_to_a_table_keeps_it_in_sight(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_sql(r,
            "CREATE TABLE orders (id int PRIMARY KEY, who int, CONSTRAINT o FOREIGN KEY (who) REFERENCES users (id))");
    table_plan(r);
    rig_refused(r, AGENT_RUN_HIDE, 1, "foreign key o of");
    rig_sql(r, "DROP TABLE orders");
    rig_sql(r, "CREATE VIEW names AS SELECT name FROM users");
    rig_refused(r, AGENT_RUN_HIDE, 1, "names reads it");
    rig_sql(r, "DROP VIEW names");
    rig_sql(r, "CREATE TABLE `main` (id int PRIMARY KEY, users int)");
    rig_sql(r, "CREATE TRIGGER copies AFTER INSERT ON `main` FOR EACH ROW INSERT INTO users (id) VALUES (NEW.users)");
    rig_refused(r, AGENT_RUN_HIDE, 1, "trigger copies of main uses it");
    rig_sql(r, "DROP TRIGGER copies");
    rig_sql(r, "CREATE TRIGGER other BEFORE INSERT ON `main` FOR EACH ROW SET NEW.users = 1 -- of users");
    rig_sql(r, "CREATE TRIGGER own AFTER UPDATE ON users FOR EACH ROW SET @n = (SELECT COUNT(*) FROM users)");
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_app(r, "INSERT INTO `main` VALUES (1, 2)");
}

static void table_of_that_hidden_name_by_somebody_else_is_foreign(void **state)
{
    struct rig *r = *state;
    users(r);
    table_plan(r);
    rig_sql(r, "CREATE TABLE `" HIDDEN "` (id int PRIMARY KEY)");
    rig_inspect(r, 1, AGENT_PROOF_FOREIGN);
    rig_refused(r, AGENT_RUN_HIDE, 1, "was not made by this migration");
}

static void table_is_dropped_when_its_grace_is_over_and_not_before(void **state)
{
    struct rig *r = *state;
    users(r);
    table_plan(r);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    r->grace_ms = 60000;
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_EARLY);
    assert_int_equal(is_there(r, HIDDEN), 1);
    r->purge_now = true;
    rig_inspect(r, 2, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_OK);
    assert_int_equal(is_there(r, HIDDEN), 0);
    rig_inspect(r, 2, AGENT_PROOF_DONE);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.hidden WHERE home = DATABASE()"), 0);
}

static void without_its_row_nothing_is_dropped(void **state)
{
    struct rig *r = *state;
    users(r);
    table_plan(r);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_sql(r, "DELETE FROM zdm.hidden WHERE home = DATABASE()");
    r->purge_now = true;
    rig_refused(r, AGENT_RUN_PURGE, 2, "does not say since when");
    assert_int_equal(is_there(r, HIDDEN), 1);
}

/* ---- Indexes ---- */

static void index_plan(struct rig *r, const char *name)
{
    rig_plan(r, "users", 2);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_INDEX, NULL, name, NULL);
    rig_ddl(r, 2, ZDM_ACTION_PURGE_INDEX, NULL, name, NULL);
    rig_accept(r, 1);
}

static bool index_is_used(struct rig *r)
{
    char *text = rig_dump(r, "users");
    const char *line = strstr(text, "`by_name` (");
    bool used = line != NULL && strncmp(strchr(line, ')'), ")\n", 2) != 0 && strncmp(strchr(line, ')'), "),", 2) == 0;
    free(text);
    return used;
}

static void index_is_hidden_comes_back_and_is_dropped_by_the_purge(void **state)
{
    struct rig *r = *state;
    users(r);
    char *before = rig_dump(r, "users");
    index_plan(r, "by_name");
    rig_inspect(r, 1, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_inspect(r, 1, AGENT_PROOF_DONE);
    assert_false(index_is_used(r));
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNHIDE);
    rig_undo(r, 1);
    char *after = rig_dump(r, "users");
    assert_string_equal(before, after);
    free(before);
    free(after);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    r->grace_ms = 60000;
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_EARLY);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE, 2, AGENT_OK);
    rig_inspect(r, 2, AGENT_PROOF_DONE);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() "
                                   "AND INDEX_NAME = 'by_name'"),
                     0);
}

static void index_that_a_foreign_key_needs_is_refused_now_and_not_after_the_grace(void **state)
{
    struct rig *r = *state;
    users(r);
    index_plan(r, "one_place");
    rig_refused(r, AGENT_RUN_HIDE, 1, "cannot be dropped");
}

static void hidden_unique_index_still_enforces_and_stays_hidden_where_it_was(void **state)
{
    struct rig *r = *state;
    users(r);
    rig_sql(r, "ALTER TABLE users ADD UNIQUE KEY u (name)");
    rig_sql(r, rig_is_mariadb(r) ? "ALTER TABLE users ALTER INDEX u IGNORED"
                                 : "ALTER TABLE users ALTER INDEX u INVISIBLE");
    char *before = rig_dump(r, "users");
    index_plan(r, "u");
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    assert_int_equal(rig_app_fails(r, "INSERT INTO users VALUES (5, 'a', NULL)"), 1062);
    rig_undo(r, 1);
    char *after = rig_dump(r, "users");
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void index_that_was_made_anew_is_not_dropped(void **state)
{
    struct rig *r = *state;
    users(r);
    index_plan(r, "by_name");
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_sql(r, "ALTER TABLE users DROP INDEX by_name, ADD INDEX by_name (place, name)");
    r->purge_now = true;
    rig_refused(r, AGENT_RUN_PURGE, 2, "is not the one that was to be dropped");
}

RIG_MAIN(RIG_TEST(table_goes_out_of_sight_and_comes_back_as_it_was),
         RIG_TEST(rows_without_a_parent_are_named_when_the_table_is_back),
         RIG_TEST(table_whose_name_was_taken_does_not_come_back), RIG_TEST(what_refers_to_a_table_keeps_it_in_sight),
         RIG_TEST(table_of_that_hidden_name_by_somebody_else_is_foreign),
         RIG_TEST(table_is_dropped_when_its_grace_is_over_and_not_before), RIG_TEST(without_its_row_nothing_is_dropped),
         RIG_TEST(index_is_hidden_comes_back_and_is_dropped_by_the_purge),
         RIG_TEST(index_that_a_foreign_key_needs_is_refused_now_and_not_after_the_grace),
         RIG_TEST(hidden_unique_index_still_enforces_and_stays_hidden_where_it_was),
         RIG_TEST(index_that_was_made_anew_is_not_dropped))
