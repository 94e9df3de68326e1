/*
 * test_omitted.c - new code that leaves out the old NOT NULL column meets no error, whatever statement it writes with,
 * as long as the triggers stand; and what the column has got for it is gone with them.
 */
#include "tests/integration/mysql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const forms[] = {
    "INSERT INTO users (full_name) VALUES ('x')",
    "INSERT INTO users SET full_name = 'x'",
    "INSERT INTO users (full_name) VALUES ('x'), ('y')",
    "INSERT INTO users (age) VALUES (1), (2)",
    "INSERT INTO users (full_name) SELECT v FROM src",
    "INSERT INTO users (full_name) SELECT v FROM src WHERE k = 1",
    "INSERT INTO users (full_name) SELECT 'x' FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM src WHERE k = 99)",
    "INSERT INTO users (full_name) SELECT 'a' UNION ALL SELECT 'b'",
    "INSERT INTO users (id, full_name) VALUES (1, 'x') ON DUPLICATE KEY UPDATE full_name = 'z'",
    "INSERT INTO users (id, full_name) VALUES (1, 'x'), (9, 'y') ON DUPLICATE KEY UPDATE full_name = VALUES(full_name)",
    "INSERT INTO users (id, full_name) SELECT k, v FROM src ON DUPLICATE KEY UPDATE full_name = VALUES(full_name)",
    "REPLACE INTO users (id, full_name) VALUES (1, 'x')",
    "REPLACE INTO users (id, full_name) SELECT k, v FROM src",
    "INSERT IGNORE INTO users (full_name) VALUES ('x'), ('y')",
    "INSERT IGNORE INTO users (full_name) SELECT v FROM src",
    "PREPARE s FROM 'INSERT INTO users (full_name) SELECT v FROM src'; EXECUTE s; DEALLOCATE PREPARE s",
};

static void plan(struct rig *r, const char *name_type)
{
    rig_sql(r, "CREATE TABLE src (k int PRIMARY KEY, v varchar(9)); INSERT INTO src VALUES (1, 'a'), (2, 'b')");
    rig_sql(r, "CREATE TABLE users (id bigint AUTO_INCREMENT PRIMARY KEY, name %s, age int, full_name varchar(40))",
            name_type);
    rig_plan(r, "users", 4);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_copy(r, 2, ZDM_ACTION_BACKFILL, "full_name", "name");
    rig_ddl(r, 3, ZDM_ACTION_HIDE_COLUMN, "name", "name", NULL)->sync_step = 1;
    rig_step(r, 3)->inverse = ZDM_INVERSE_UNHIDE;
    rig_ddl(r, 4, ZDM_ACTION_PURGE_COLUMN, "name", "name", NULL)->sync_step = 1;
    rig_accept(r, 1);
}

static void write_in_every_form(struct rig *r)
{
    char sql[300];
    MYSQL *conn = rig_connect(r, "app_user");
    mysql_options(conn, MYSQL_OPT_LOCAL_INFILE, &(unsigned){1});
    rig_exec(conn, "SET SESSION sql_mode = 'STRICT_ALL_TABLES'");
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        rig_exec(conn, forms[i]);
    }
    snprintf(sql, sizeof sql, "LOAD DATA LOCAL INFILE '%s' INTO TABLE users FIELDS TERMINATED BY ',' (full_name, age)",
             rig_file(r, "rows.csv", "Ann,1\nBeth,2\n", 0644));
    rig_exec(conn, sql);
    mysql_close(conn);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM users WHERE full_name IS NOT NULL AND NOT (CAST(name AS"
                                   " BINARY) <=> CAST(full_name AS BINARY))"),
                     0);
    assert_true(rig_number(r, "SELECT COUNT(*) FROM users WHERE name = 'b'") > 0);
}

static long defaults(struct rig *r)
{
    return rig_number(r, "SELECT COUNT(*) FROM zdm.hidden WHERE home = DATABASE() AND kind = 'default'");
}

/* The definition alone: triggers and the next number of the key are others by then. */
static char *definition(struct rig *r)
{
    char *dump = rig_dump(r, "users");
    *strstr(dump, "\n) ENGINE") = '\0';
    return dump;
}

static void no_statement_of_new_code_fails_from_the_sync_to_the_purge(void **state)
{
    struct rig *r = *state;
    plan(r, "varchar(40) NOT NULL");
    rig_sql(r, "SET GLOBAL local_infile = 1");
    r->lock_wait_ms = 1000;
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    write_in_every_form(r);
    rig_sql(r, "DELETE FROM users");
    rig_run(r, AGENT_RUN_STEP_DONE, 2, AGENT_OK);
    rig_run(r, AGENT_RUN_HIDE, 3, AGENT_OK);
    write_in_every_form(r);
    rig_sql(r, "DELETE FROM users");
    rig_undo(r, 3);
    write_in_every_form(r);
    rig_run(r, AGENT_RUN_HIDE, 3, AGENT_OK);
    rig_run(r, AGENT_RUN_PURGE, 4, AGENT_OK);
    assert_int_equal(defaults(r), 0);
}

/* With triggers that were not made yet, as after a crash. */
static void table_is_as_before_once_the_triggers_are_gone(void **state)
{
    struct rig *r = *state;
    plan(r, "varchar(40) NOT NULL COMMENT 'old'");
    char *before = definition(r), *after = NULL;
    r->lock_wait_ms = 1000;
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    assert_int_equal(defaults(r), rig_is_mariadb(r) ? 1 : 0);
    rig_sql(r, "DROP TRIGGER %s",
            rig_value(r, "SELECT trigger_name FROM zdm.sync WHERE home = DATABASE() AND trigger_name LIKE '%%_i'"));
    rig_back(r, 1, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNDO_SYNC);
    rig_undo(r, 1);
    after = definition(r);
    assert_string_equal(after, before);
    assert_int_equal(defaults(r), 0);
    free(before);
    free(after);
}

/* The default goes with the last of them, and comes back with the removal's way back. */
static void two_syncs_share_the_default_of_their_column(void **state)
{
    struct rig *r = *state;
    plan(r, "varchar(40) NOT NULL");
    rig_sql(r, "ALTER TABLE users ADD COLUMN other varchar(40)");
    rig_plan(r, "users", 4);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_copy(r, 2, ZDM_ACTION_SYNC_INSTALL, "other", "name");
    for (uint32_t i = 3; i <= 4; i++) {
        rig_step(r, i)->action = ZDM_ACTION_SYNC_REMOVE;
        rig_step(r, i)->sync_step = i - 2;
        rig_step(r, i)->inverse = ZDM_INVERSE_INSTALL;
    }
    rig_accept(r, 2);
    char *before = definition(r), *after = NULL;
    r->lock_wait_ms = 1000;
    for (uint32_t i = 1; i <= 2; i++) {
        rig_run(r, AGENT_RUN_INSTALL_SYNC, i, AGENT_OK);
    }
    rig_run(r, AGENT_RUN_REMOVE_SYNC, 3, AGENT_OK);
    rig_app(r, "INSERT INTO users (other) SELECT v FROM src");
    rig_run(r, AGENT_RUN_REMOVE_SYNC, 4, AGENT_OK);
    after = definition(r);
    assert_string_equal(after, before);
    assert_int_equal(defaults(r), 0);
    rig_undo(r, 4);
    rig_app(r, "INSERT INTO users (other) SELECT v FROM src");
    free(before);
    free(after);
}

RIG_MAIN(RIG_TEST(no_statement_of_new_code_fails_from_the_sync_to_the_purge),
         RIG_TEST(table_is_as_before_once_the_triggers_are_gone), RIG_TEST(two_syncs_share_the_default_of_their_column))
