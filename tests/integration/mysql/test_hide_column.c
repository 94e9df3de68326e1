/*
 * test_hide_column.c - columns out of sight on MySQL and MariaDB: hidden, brought back, purged, shown; and what a
 * rollback takes away. Writers go on meanwhile, and meet no error.
 */
#include "tests/integration/mysql/rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* users(id, name, …), full_name a copy of name: sync, backfill, hide name, purge name. */
static void plan_of_hide(struct rig *r, const char *name_type, const char *full_name_type)
{
    rig_sql(r, "CREATE TABLE users (id bigint AUTO_INCREMENT PRIMARY KEY, name %s, age int DEFAULT 0, full_name %s)",
            name_type, full_name_type);
    rig_plan(r, "users", 4);
    rig_copy(r, 1, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_copy(r, 2, ZDM_ACTION_BACKFILL, "full_name", "name");
    for (uint32_t i = 3; i <= 4; i++) {
        struct zdm_step *step =
            rig_ddl(r, i, i == 3 ? ZDM_ACTION_HIDE_COLUMN : ZDM_ACTION_PURGE_COLUMN, "name", "name", NULL);
        step->sync_step = 1;
        step->inverse = i == 3 ? ZDM_INVERSE_UNHIDE : ZDM_INVERSE_IMPOSSIBLE;
    }
    rig_accept(r, 1);
    r->lock_wait_ms = 1000;
}

static void filled(struct rig *r, const char *name_type, const char *full_name_type)
{
    plan_of_hide(r, name_type, full_name_type);
    rig_app(r, "INSERT INTO users (name) VALUES ('Ann'), ('Beth')");
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 1, AGENT_OK);
    rig_walk(r, 2, 10);
    rig_run(r, AGENT_RUN_STEP_DONE, 2, AGENT_OK);
}

static const char *row(struct rig *r, int id)
{
    return rig_value(r, "SELECT CONCAT(COALESCE(name, ''), '|', COALESCE(full_name, '')) FROM users WHERE id = %d", id);
}

static long triggers(struct rig *r, const char *like)
{
    return rig_number(r,
                      "SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = DATABASE() AND"
                      " trigger_name LIKE '%s'",
                      like);
}

static bool is_invisible(struct rig *r, const char *column)
{
    return rig_number(r,
                      "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name"
                      " = 'users' AND column_name = '%s' AND extra LIKE '%%INVISIBLE%%'",
                      column) == 1;
}

static void hidden_column_is_kept_up_and_comes_back_as_it_was(void **state)
{
    struct rig *r = *state;
    filled(r, "varchar(40) NOT NULL COMMENT 'it''s \\\\ a name'", "varchar(40)");
    char *before = rig_dump(r, "users");
    rig_inspect(r, 3, AGENT_PROOF_NOT_DONE);
    rig_run(r, AGENT_RUN_HIDE, 3, AGENT_OK);
    rig_inspect(r, 3, AGENT_PROOF_DONE);
    rig_run(r, AGENT_RUN_HIDE, 3, AGENT_ALREADY);
    assert_true(is_invisible(r, "name"));
    assert_int_equal(triggers(r, "zdm%r"), 2);
    assert_int_equal(triggers(r, "zdm%"), 2);
    rig_app(r, "INSERT INTO users VALUES (10, 1, 'New'); INSERT INTO users (id) VALUES (11);"
               "UPDATE users SET full_name = 'Cleo' WHERE id = 1");
    assert_string_equal(row(r, 10), "New|New");
    assert_string_equal(row(r, 1), "Cleo|Cleo");
    assert_string_equal(row(r, 11), "|");
    rig_back(r, 3, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNHIDE);
    assert_true(rig_undo(r, 3) > 0);
    rig_sql(r, "DELETE FROM users WHERE id > 2");
    rig_sql(r, "ALTER TABLE users AUTO_INCREMENT = 3");
    char *after = rig_dump(r, "users");
    /* The triggers of the pair are new ones, with the bodies that they had. */
    *strstr(before, ")\n") = *strstr(after, ")\n") = '\0';
    assert_string_equal(after, before);
    free(before);
    free(after);
    assert_int_equal(triggers(r, "zdm%r"), 0);
    assert_int_equal(triggers(r, "zdm%"), 2);
    rig_app(r, "UPDATE users SET name = 'Dora' WHERE id = 1");
    assert_string_equal(row(r, 1), "Dora|Dora");
    assert_int_equal(rig_app_fails(r, "INSERT INTO users (age) VALUES (1)"), 0);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.hidden WHERE home = DATABASE() AND step = 3"), 0);
}

/* Every type of a NOT NULL column without a default: it gets one, hides, comes back, and has none. */
static void column_without_a_default_gets_one_while_it_is_hidden(void **state)
{
    static const char *const types[] = {
        "varchar(9)",   "text",      "int unsigned", "decimal(9,2)", "double",    "date", "time",
        "datetime(6)",  "timestamp", "year",         "bit(3)",       "binary(4)", "blob", "enum('it''s','b')",
        "set('a','b')", "json",      "uuid",         "inet6",        "inet4"};
    struct rig *r = *state;
    for (size_t i = 0; i < sizeof types / sizeof *types - (rig_is_mariadb(r) ? 0 : 3); i++) {
        rig_sql(r, "SET SESSION sql_mode = '', explicit_defaults_for_timestamp = 1; DROP TABLE IF EXISTS users");
        rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name %s NOT NULL, age int)", types[i]);
        rig_plan(r, "users", 1);
        rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "name", "name", NULL)->inverse = ZDM_INVERSE_UNHIDE;
        rig_accept(r, 1 + (uint64_t)i);
        rig_reload(r);
        char *before = rig_dump(r, "users");
        r->lock_wait_ms = 1000;
        rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
        rig_app(r, "INSERT INTO users (id) VALUES (1)");
        rig_undo(r, 1);
        char *after = rig_dump(r, "users");
        if (strcmp(before, after) != 0) {
            fail_msg("%s\n%s", before, after);
        }
        free(before);
        free(after);
    }
}

static void plan_of_drop(struct rig *r, const char *definition, uint64_t generation)
{
    rig_sql(r,
            "SET SESSION sql_mode = ''; DROP TABLE IF EXISTS users; CREATE TABLE users (id int PRIMARY KEY, name %s,"
            " age int, CONSTRAINT about_age CHECK (age > 0))",
            definition);
    rig_plan(r, "users", 1);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_COLUMN, "name", "name", NULL)->inverse = ZDM_INVERSE_UNHIDE;
    rig_accept(r, generation);
    rig_reload(r);
    r->lock_wait_ms = 1000;
}

/* New code leaves the column out: a CHECK that refuses what it holds then would make each of its INSERTs fail. */
static void default_that_a_check_refuses_is_found_before_the_column_hides(void **state)
{
    static const struct {
        const char *definition;
        bool refused;
    } cases[] = {
        {"int NOT NULL CHECK (name > 0)", true},
        {"int NOT NULL CHECK (name >= 0)", false},
        {"int NOT NULL DEFAULT 0 CHECK (name > 0)", true},
        {"int NOT NULL DEFAULT 5 CHECK (name > 0)", false},
        {"int CHECK (name > 0)", false},
        {"int CHECK (name IS NOT NULL)", true},
        {"json NOT NULL", false},
        {"enum('a','b') NOT NULL CHECK (name <> 'a')", true},
        {"varchar(9) CHARACTER SET latin1 NOT NULL CHECK (name <> 'ä''\\\\')", false},
        {"varchar(9) CHARACTER SET latin1 NOT NULL DEFAULT 'ä' CHECK (name <> 'ä')", true},
        {"varchar(9) COLLATE utf8mb4_general_ci NOT NULL DEFAULT 'A' CHECK (name <> 'a')", true},
        {"varchar(9) COLLATE utf8mb4_bin NOT NULL DEFAULT 'A' CHECK (name <> 'a')", false},
        {"datetime NOT NULL DEFAULT CURRENT_TIMESTAMP CHECK (name > '2000-01-01')", false},
        {"datetime NOT NULL CHECK (name > '2000-01-01')", true},
        {"text NOT NULL CHECK (CHAR_LENGTH(name) > 0)", true},
    };
    struct rig *r = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        plan_of_drop(r, cases[i].definition, 1 + i);
        if (cases[i].refused) {
            rig_refused(r, AGENT_RUN_HIDE, 1, "would refuse rows that leave it out");
            assert_false(is_invisible(r, "name"));
            assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.hidden WHERE home = DATABASE()"), 0);
        } else {
            rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
            rig_app(r, "INSERT INTO users (id) VALUES (1)");
            rig_undo(r, 1);
        }
    }
}

static void check_that_is_not_enforced_is_in_nobodys_way(void **state)
{
    struct rig *r = *state;
    if (rig_is_mariadb(r)) {
        skip(); /* has none such */
    }
    plan_of_drop(r, "int NOT NULL CHECK (name > 0) NOT ENFORCED", 1);
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_app(r, "INSERT INTO users (id) VALUES (1)");
}

static void what_stands_against_hiding_is_named(void **state)
{
    static const char *const cases[][3] = {
        {"CREATE TRIGGER app BEFORE DELETE ON users FOR EACH ROW SET @x = OLD . `name`",
         "trigger app of users names it", "DROP TRIGGER app"},
        {"CREATE VIEW v AS SELECT name FROM users", "is read by view", "DROP VIEW v"},
        {"ALTER TABLE users ADD UNIQUE INDEX u (name, age)", "unique index with other columns: u",
         "ALTER TABLE users DROP INDEX u"},
        {"ALTER TABLE users ADD UNIQUE INDEX u (name); CREATE TABLE c (n varchar(40), CONSTRAINT fk FOREIGN KEY (n)"
         " REFERENCES users (name))",
         "is what a foreign key points at: fk", "DROP TABLE c; ALTER TABLE users DROP INDEX u"},
        {"ALTER TABLE users ADD UNIQUE INDEX u (name)", "u would refuse rows that leave it out",
         "ALTER TABLE users DROP INDEX u"},
        {"ALTER TABLE users ADD CONSTRAINT `it's` CHECK (name <> '')", "check it's would refuse rows that leave it out",
         "ALTER TABLE users DROP CONSTRAINT `it's`"},
        {"ALTER TABLE users ADD COLUMN g varchar(40) AS (UPPER(name)) VIRTUAL", "column name cannot be hidden",
         "ALTER TABLE users DROP COLUMN g"},
    };
    struct rig *r = *state;
    filled(r, "varchar(40) NOT NULL", "varchar(40)");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig_sql(r, "%s", cases[i][0]);
        rig_refused(r, AGENT_RUN_HIDE, 3, cases[i][1]);
        assert_false(is_invisible(r, "name"));
        assert_int_equal(triggers(r, "zdm%r"), 0);
        rig_sql(r, "%s", cases[i][2]);
    }
    rig_run(r, AGENT_RUN_HIDE, 3, AGENT_OK);
}

static void purge_waits_for_its_grace_and_takes_the_triggers_first(void **state)
{
    struct rig *r = *state;
    filled(r, "varchar(40) NOT NULL", "varchar(40)");
    rig_run(r, AGENT_RUN_HIDE, 3, AGENT_OK);
    rig_inspect(r, 4, AGENT_PROOF_NOT_DONE);
    r->grace_ms = 600000;
    rig_run(r, AGENT_RUN_PURGE, 4, AGENT_EARLY);
    assert_int_equal(triggers(r, "zdm%"), 2);
    r->purge_now = true;
    rig_sql(r, "ALTER TABLE users ALTER COLUMN name SET DEFAULT 'x'");
    rig_sql(r, "INSERT INTO zdm.compared (home, migration, step, rows_left) SELECT home, migration, 2, 3 FROM"
               " zdm.migration WHERE home = DATABASE(); INSERT INTO zdm.walk_back (home, migration, step, rows_told,"
               " `over`) SELECT home, migration, 2, 3, 1 FROM zdm.migration WHERE home = DATABASE()");
    rig_run(r, AGENT_RUN_PURGE, 4, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT (SELECT COUNT(*) FROM zdm.compared WHERE home = DATABASE()) + (SELECT"
                                   " COUNT(*) FROM zdm.walk_back WHERE home = DATABASE())"),
                     0);
    rig_inspect(r, 4, AGENT_PROOF_DONE);
    assert_int_equal(triggers(r, "zdm%"), 0);
    rig_app(r, "INSERT INTO users (full_name) VALUES ('New'); UPDATE users SET full_name = 'x'");
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND"
                                   " table_name = 'users' AND column_name = 'name'"),
                     0);
    /* One that comes later under that name is somebody else's. */
    rig_sql(r, "ALTER TABLE users ADD COLUMN name int");
    rig_inspect(r, 4, AGENT_PROOF_DONE);
}

static void column_that_somebody_shows_again_is_not_purged(void **state)
{
    struct rig *r = *state;
    filled(r, "varchar(40)", "varchar(40)");
    rig_run(r, AGENT_RUN_HIDE, 3, AGENT_OK);
    rig_sql(r, rig_is_mariadb(r) ? "ALTER TABLE users MODIFY name varchar(40)"
                                 : "ALTER TABLE users ALTER COLUMN name SET VISIBLE");
    r->purge_now = true;
    rig_refused(r, AGENT_RUN_PURGE, 4, "is visible again");
    assert_int_equal(triggers(r, "zdm%"), 2);
}

/* Either server writes the table anew where a DROP COLUMN takes the column out of an index. */
static void indexes_of_the_column_go_with_it_and_others_go_before_it(void **state)
{
    struct rig *r = *state;
    rig_sql(r,
            "CREATE TABLE users (id int PRIMARY KEY, name varchar(40), age int, UNIQUE (name), KEY by_name (name(8)),"
            " KEY by_age (age), KEY shared (age, name))");
    rig_plan(r, "users", 4);
    rig_ddl(r, 1, ZDM_ACTION_HIDE_INDEX, NULL, "shared", NULL);
    rig_ddl(r, 2, ZDM_ACTION_HIDE_COLUMN, "name", "name", NULL);
    rig_ddl(r, 3, ZDM_ACTION_PURGE_INDEX, NULL, "shared", NULL);
    rig_ddl(r, 4, ZDM_ACTION_PURGE_COLUMN, "name", "name", NULL);
    rig_accept(r, 1);
    rig_step(r, 1)->action = ZDM_ACTION_COMMENT;
    rig_refused(r, AGENT_RUN_HIDE, 2, "index shared of users has other columns beside it");
    rig_step(r, 1)->action = ZDM_ACTION_HIDE_INDEX;
    rig_run(r, AGENT_RUN_HIDE, 1, AGENT_OK);
    rig_run(r, AGENT_RUN_HIDE, 2, AGENT_OK);
    assert_true(is_invisible(r, "name"));
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE, 3, AGENT_OK);
    rig_run(r, AGENT_RUN_PURGE, 4, AGENT_OK);
    assert_string_equal(rig_value(r, "SELECT GROUP_CONCAT(index_name, column_name ORDER BY index_name) FROM"
                                     " information_schema.statistics WHERE table_schema = DATABASE() AND table_name ="
                                     " 'users'"),
                        "by_ageage,PRIMARYid");
}

static void column_added_out_of_sight_is_shown_and_taken_away_again(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY, name varchar(40))");
    rig_plan(r, "users", 3);
    rig_ddl(r, 1, ZDM_ACTION_ADD_COLUMN, "full_name", NULL,
            "ALTER TABLE `users` ADD COLUMN `full_name` varchar(40) CHECK (full_name <> 'it''s') COMMENT 'x'");
    rig_step(r, 1)->inverse = ZDM_INVERSE_HIDE;
    if (!rig_is_mariadb(r)) {
        free(rig_step(r, 1)->sql);
        rig_step(r, 1)->sql = strdup("ALTER TABLE `users` ADD COLUMN `full_name` varchar(40)");
    } else {
        free(rig_step(r, 1)->sql);
        rig_step(r, 1)->sql = strdup("ALTER TABLE `users` ADD COLUMN `full_name` varchar(40) COMMENT 'it''s'");
    }
    rig_copy(r, 2, ZDM_ACTION_SYNC_INSTALL, "full_name", "name");
    rig_ddl(r, 3, ZDM_ACTION_SHOW_COLUMN, "full_name", NULL, NULL)->inverse = ZDM_INVERSE_FORMER;
    rig_accept(r, 1);
    r->lock_wait_ms = 1000;
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    assert_true(is_invisible(r, "full_name"));
    rig_run(r, AGENT_RUN_INSTALL_SYNC, 2, AGENT_OK);
    rig_inspect(r, 3, AGENT_PROOF_NOT_DONE);
    rig_app(r, "INSERT INTO users VALUES (1, 'Ann')");
    rig_run(r, AGENT_RUN_DDL, 3, AGENT_OK);
    rig_inspect(r, 3, AGENT_PROOF_DONE);
    assert_false(is_invisible(r, "full_name"));
    assert_string_equal(row(r, 1), "Ann|Ann");
    r->floor = 1;
    rig_undo(r, 3);
    assert_true(is_invisible(r, "full_name"));
    rig_back(r, 2, AGENT_PROOF_NOT_DONE, AGENT_RUN_UNDO_SYNC);
    rig_undo(r, 2);
    assert_int_equal(triggers(r, "zdm%"), 0);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM zdm.hidden WHERE home = DATABASE() AND by_rollback AND name ="
                                   " 'full_name' AND state = 'hidden'"),
                     1);
    rig_app(r, "INSERT INTO users VALUES (2, 'Beth'); UPDATE users SET name = 'x'");
    rig_undo(r, 1);
    /* Forward again: the column is added anew, empty. */
    rig_run(r, AGENT_RUN_DDL, 1, AGENT_OK);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM users WHERE full_name IS NOT NULL"), 0);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_OK);
    rig_run(r, AGENT_RUN_PURGE_LEFTOVERS, 0, AGENT_ALREADY);
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND"
                                   " table_name = 'users'"),
                     3);
}

/* ---- Under writers ---- */

enum { WRITERS = 3, ROUNDS = 12 };

struct writer {
    MYSQL *conn;
    unsigned seed;
    atomic_bool *stop;
    long writes;
    char error[256];
};

static void *write_new_code(void *arg)
{
    static const char *const forms[] = {
        "INSERT INTO users (id, full_name) VALUES (%d, 'f%d') ON DUPLICATE KEY UPDATE full_name = VALUES(full_name)",
        "UPDATE users SET full_name = CONCAT('u', %2$d) WHERE id = %1$d",
        "REPLACE INTO users (id, full_name) VALUES (%d, 'r%d')",
        "UPDATE users SET age = age + 1 WHERE id = %d",
    };
    struct writer *w = arg;
    while (!atomic_load(w->stop)) {
        char sql[256];
        int id = (int)(rand_r(&w->seed) % 200) + 1, n = rand_r(&w->seed) % 100000;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(sql, sizeof sql, forms[(unsigned)rand_r(&w->seed) % 4], id, n);
#pragma GCC diagnostic pop
        if (mysql_query(w->conn, sql) != 0 && mysql_errno(w->conn) != 1213 && w->error[0] == '\0') {
            snprintf(w->error, sizeof w->error, "%.60s: %.180s", sql, mysql_error(w->conn));
        }
        w->writes++;
    }
    return NULL;
}

static void writers_meet_no_error_while_a_column_goes_and_comes_back(void **state)
{
    struct rig *r = *state;
    struct writer writers[WRITERS] = {0};
    pthread_t threads[WRITERS];
    atomic_bool stop = false;
    filled(r, "varchar(40) NOT NULL", "varchar(40)");
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.conn = rig_connect(r, "app_user"), .seed = (unsigned)i + 3, .stop = &stop};
        pthread_create(&threads[i], NULL, write_new_code, &writers[i]);
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct agent_result *result = NULL;
        bool hide = round % 2 == 0;
        do {
            agent_result_free(result);
            result = rig_do(r, AGENT_OP_RUN, hide ? AGENT_RUN_HIDE : AGENT_RUN_UNHIDE, 3, 0);
        } while (result->outcome == AGENT_LOCK || result->outcome == AGENT_RETRY);
        rig_expect(result, AGENT_OK);
        agent_result_free(result);
        if (!hide) {
            rig_run(r, AGENT_RUN_STEP_BACK, 3, AGENT_OK);
        }
    }
    atomic_store(&stop, true);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        mysql_close(writers[i].conn);
        assert_string_equal(writers[i].error, "");
        assert_true(writers[i].writes > 20);
    }
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM users WHERE full_name IS NOT NULL AND NOT (CAST(name AS"
                                   " BINARY) <=> CAST(full_name AS BINARY))"),
                     0);
}

RIG_MAIN(RIG_TEST(hidden_column_is_kept_up_and_comes_back_as_it_was),
         RIG_TEST(column_without_a_default_gets_one_while_it_is_hidden),
         RIG_TEST(default_that_a_check_refuses_is_found_before_the_column_hides),
         RIG_TEST(check_that_is_not_enforced_is_in_nobodys_way), RIG_TEST(what_stands_against_hiding_is_named),
         RIG_TEST(purge_waits_for_its_grace_and_takes_the_triggers_first),
         RIG_TEST(column_that_somebody_shows_again_is_not_purged),
         RIG_TEST(indexes_of_the_column_go_with_it_and_others_go_before_it),
         RIG_TEST(column_added_out_of_sight_is_shown_and_taken_away_again),
         RIG_TEST(writers_meet_no_error_while_a_column_goes_and_comes_back))
