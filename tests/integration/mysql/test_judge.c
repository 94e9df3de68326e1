/*
 * test_judge.c - which algorithm is asked for, and what the empty clone shows: foreign keys, rebuilds, what only a copy
 * could do; and MySQL's limit of instant changes, by numbers and by a table near it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/change/judge.h"
#include "agent/engine/mysql/change/judge_rules.h"
#include "agent/engine/mysql/change/locks.h"
#include "tests/integration/mysql/rig.h"

/* ---- Pure ---- */

static void instant_is_not_asked_for_where_a_crash_could_not_read_it(void **state)
{
    (void)state;
    assert_true(mydb_may_be_instant(true, 101119, 0));
    assert_true(mydb_may_be_instant(true, 101119, 5000));
    assert_true(mydb_may_be_instant(false, 80028, 0));
    assert_false(mydb_may_be_instant(false, 80029, 0));
    assert_false(mydb_may_be_instant(false, 80030, 0));
    assert_false(mydb_may_be_instant(false, 80031, 0));
    assert_true(mydb_may_be_instant(false, 80032, 0));
}

static void instant_is_not_asked_for_near_the_limit(void **state)
{
    (void)state;
    assert_true(mydb_may_be_instant(false, 80407, 59));
    assert_false(mydb_may_be_instant(false, 80407, 60));
    assert_false(mydb_may_be_instant(false, 90000, 64));
    assert_true(mydb_may_be_instant(false, 90100, 250));
    assert_false(mydb_may_be_instant(false, 90704, 251));
}

static void names_inside_innodb_are_spelt_otherwise(void **state)
{
    (void)state;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
    mydb_put_inner_name(&name, "shop_1", "t-x$ é%");
    assert_string_equal(zdm_buffer_text(&name), "shop|_1/t@002dx@0024@0020@%@0025");
}

static void galera_takes_what_is_instant_and_drops_of_indexes(void **state)
{
    (void)state;
    assert_true(mydb_galera_takes("ALTER TABLE `t` ADD COLUMN `c` int", ", ALGORITHM=INSTANT"));
    assert_false(mydb_galera_takes("ALTER TABLE `t` ADD INDEX `i` (`c`)", ", ALGORITHM=NOCOPY, LOCK=NONE"));
    assert_false(mydb_galera_takes("ALTER TABLE `t` MODIFY `c` int NOT NULL", ", ALGORITHM=INPLACE, LOCK=NONE"));
    assert_true(mydb_galera_takes("ALTER TABLE `t` DROP INDEX `i`", ", ALGORITHM=NOCOPY, LOCK=NONE"));
    assert_false(
        mydb_galera_takes("ALTER TABLE `t` DROP INDEX `i`, ADD INDEX `i` (`c`)", ", ALGORITHM=NOCOPY, LOCK=NONE"));
}

static void invisible_stands_where_the_definition_ends(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"ALTER TABLE `t` ADD COLUMN `c` int", "ALTER TABLE `t` ADD COLUMN `c` int INVISIBLE"},
        {"ALTER TABLE `t` ADD COLUMN `c` int FIRST", "ALTER TABLE `t` ADD COLUMN `c` int INVISIBLE FIRST"},
        {"ALTER TABLE `t` ADD COLUMN `c` int AFTER `a`", "ALTER TABLE `t` ADD COLUMN `c` int INVISIBLE AFTER `a`"},
        {"ALTER TABLE `t` ADD COLUMN `c` int after `a``b`",
         "ALTER TABLE `t` ADD COLUMN `c` int INVISIBLE after `a``b`"},
        {"ALTER TABLE `t` ADD COLUMN `c` int AFTER ```a`", "ALTER TABLE `t` ADD COLUMN `c` int INVISIBLE AFTER ```a`"},
        {"ALTER TABLE `t` ADD COLUMN `c` text COMMENT ' FIRST'",
         "ALTER TABLE `t` ADD COLUMN `c` text COMMENT ' FIRST' INVISIBLE"},
        {"ALTER TABLE `t` ADD COLUMN `c` text COMMENT ' AFTER `a`'",
         "ALTER TABLE `t` ADD COLUMN `c` text COMMENT ' AFTER `a`' INVISIBLE"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer b = ZDM_BUFFER_INIT;
        mydb_put_add_column(&b, cases[i][0], true);
        assert_string_equal(zdm_buffer_text(&b), cases[i][1]);
    }
}

static void words_count_outside_of_texts_and_names(void **state)
{
    (void)state;
    assert_true(mydb_says("MODIFY COLUMN `c` int default 5", "DEFAULT"));
    assert_false(mydb_says("MODIFY COLUMN `DEFAULT` int COMMENT 'it''s DEFAULT'", "DEFAULT"));
    assert_false(mydb_says("MODIFY COLUMN c int NO_DEFAULT", "DEFAULT"));
}

static void line_of_a_table_is_found_by_its_name(void **state)
{
    (void)state;
    static const char text[] =
        "CREATE TABLE `t` (\n  `a` int,\n  `a``b` int DEFAULT NULL,\n  PRIMARY KEY (`a`),\n  UNIQUE "
        "KEY `i` (`a``b`),\n  CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `p` (`id`)\n)";
    ZDM_CLEANUP(zdm_freep) char *column = mydb_line_in(text, MYDB_LINE_COLUMN, "a`b");
    ZDM_CLEANUP(zdm_freep) char *index = mydb_line_in(text, MYDB_LINE_INDEX, "i");
    ZDM_CLEANUP(zdm_freep) char *key = mydb_line_in(text, MYDB_LINE_CONSTRAINT, "f");
    assert_string_equal(column, "  `a``b` int DEFAULT NULL");
    assert_string_equal(index, "  UNIQUE KEY `i` (`a``b`)");
    assert_string_equal(key, "  CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `p` (`id`)");
    assert_null(mydb_line_in(text, MYDB_LINE_COLUMN, "b"));
}

/* ---- The clone ---- */

struct bench {
    struct mydb_session *s;
    struct agent_op op;
    struct agent_result result;
    struct zdm_step step;
    struct mydb_work w;
    struct mydb_table table;
};

static void begin(struct rig *r, struct bench *b)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    *b = (struct bench){.s = rig_session(r, rig_dsn(r, ""))};
    b->op.kind = AGENT_OP_SURVEY;
    (void)snprintf(b->op.migration, sizeof b->op.migration, "judged");
    b->w = (struct mydb_work){.s = b->s, .op = &b->op, .step = &b->step, .result = &b->result};
    b->s->deadline_ms = INT64_MAX;
    if (mydb_open(b->s, &err) != ZDM_OK || mydb_table_find(b->s, "users", &b->table, &err) != ZDM_OK) {
        fail_msg("%s", err.message);
    }
}

static enum zdm_code judge(struct bench *b, const char *sql, char out[MYDB_ALGORITHM_MAX], struct zdm_error *err)
{
    zdm_error_clear(err);
    return mydb_judge(&b->w, &b->table, sql, out, NULL, NULL, NULL, err);
}

/* One server may hold several shards: the clone's name is of the database and the migration. */
static void clone_name(struct rig *r, char out[24])
{
    char whose[80], hex[9];
    (void)snprintf(whose, sizeof whose, "%s/judged", r->database);
    mydb_short_name(hex, whose);
    (void)snprintf(out, 24, "judge_%s_s", hex);
}

static void users(struct rig *r)
{
    rig_sql(r, "CREATE TABLE places (id int PRIMARY KEY)");
    rig_sql(r,
            "CREATE TABLE users (id int PRIMARY KEY, name varchar(40), place int, KEY by_place (place), CONSTRAINT fk "
            "FOREIGN KEY (place) REFERENCES places (id)) CHARACTER SET utf8mb4");
    rig_sql(r, "CREATE TABLE orders (id int PRIMARY KEY, who int, FOREIGN KEY (who) REFERENCES users (id))");
}

/* MySQL has names of foreign keys once in a database: another shard's clone would keep every agent from making its own.
 */
static void clones_that_another_agent_left_go(void **state)
{
    struct rig *r = *state;
    struct bench b;
    struct zdm_error err = ZDM_ERROR_INIT;
    char out[MYDB_ALGORITHM_MAX];
    users(r);
    begin(r, &b);
    rig_sql(r, "CREATE TABLE zdm.judge_0123abcd (id int PRIMARY KEY, place int, CONSTRAINT fk FOREIGN KEY (place)"
               " REFERENCES zdm.judge_0123abcd (id))");
    if (judge(&b, "ALTER TABLE `users` ADD COLUMN `c` int", out, &err) != ZDM_OK) {
        fail_msg("%s", err.message);
    }
    assert_int_equal(rig_number(r, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'zdm' AND"
                                   " TABLE_NAME = 'judge_0123abcd'"),
                     0);
    rig_session_free(b.s);
}

static void algorithms_are_those_of_the_table_of_decisions(void **state)
{
    struct rig *r = *state;
    struct bench b;
    struct zdm_error err = ZDM_ERROR_INIT;
    static const struct {
        const char *sql, *mariadb, *mysql; /* NULL: refused */
    } cases[] = {
        {"ADD COLUMN `c` int INVISIBLE", "INSTANT", "INSTANT"},
        {"ADD INDEX `i` (`name`)", "NOCOPY", "INPLACE"},
        {"DROP INDEX `by_place`", NULL, NULL},
        {"MODIFY COLUMN `name` varchar(60)", "INSTANT", "INPLACE"},
        {"MODIFY COLUMN `name` varchar(70)", NULL, NULL},
        {"MODIFY COLUMN `place` bigint", NULL, NULL},
        {"MODIFY COLUMN `id` bigint", NULL, NULL},
        {"MODIFY COLUMN `name` varchar(40) NOT NULL", NULL, NULL},
        {"ALTER COLUMN `name` SET DEFAULT 'x'", "INSTANT", "INSTANT"},
        {"DROP FOREIGN KEY `fk`", "INSTANT", "INPLACE"},
        {"COMMENT 'x'", "INSTANT", "INPLACE"},
        {"ADD CONSTRAINT `f2` FOREIGN KEY (`place`) REFERENCES `places` (`id`)", "INSTANT", "INPLACE"},
        {"ADD FULLTEXT INDEX `i` (`name`)", NULL, NULL},
        {"ADD CHECK (`id` > 0)", NULL, NULL},
    };
    users(r);
    begin(r, &b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char sql[200], out[MYDB_ALGORITHM_MAX] = "";
        const char *expected = rig_is_mariadb(r) ? cases[i].mariadb : cases[i].mysql;
        (void)snprintf(sql, sizeof sql, "ALTER TABLE `users` %s", cases[i].sql);
        enum zdm_code code = judge(&b, sql, out, &err);
        if ((code == ZDM_OK) != (expected != NULL) || (expected != NULL && strstr(out, expected) == NULL)) {
            fail_msg("%s: %s %s", sql, out, err.message);
        }
    }
    b.step.rewrite_ok = true;
    char out[MYDB_ALGORITHM_MAX];
    if (judge(&b, "ALTER TABLE `users` MODIFY COLUMN `name` varchar(40) NOT NULL", out, &err) != ZDM_OK) {
        fail_msg("%s", err.message);
    }
    assert_string_equal(out, ", ALGORITHM=INPLACE, LOCK=NONE");
    char name[24];
    clone_name(r, name);
    assert_int_equal(rig_number(r,
                                "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'zdm' AND "
                                "LEFT(TABLE_NAME, CHAR_LENGTH('%s')) = '%s'",
                                name, name),
                     0);
    rig_session_free(b.s);
}

/* No cluster is at hand: the session is told that it is on one. */
static void galera_is_not_asked_to_build_anything(void **state)
{
    struct rig *r = *state;
    struct bench b;
    char algorithm[MYDB_ALGORITHM_MAX];
    struct zdm_error err = ZDM_ERROR_INIT;
    if (!rig_is_mariadb(r)) {
        return;
    }
    users(r);
    rig_sql(r, "ALTER TABLE users ADD INDEX by_name (name)");
    begin(r, &b);
    b.s->galera = true;
    b.step.rewrite_ok = true;
    assert_int_equal(judge(&b, "ALTER TABLE `users` ADD COLUMN `c` int", algorithm, &err), ZDM_OK);
    assert_int_equal(judge(&b, "ALTER TABLE `users` DROP INDEX `by_name`", algorithm, &err), ZDM_OK);
    static const char *const refused[] = {"ALTER TABLE `users` ADD INDEX `i` (`name`)",
                                          "ALTER TABLE `users` MODIFY COLUMN `name` varchar(40) NOT NULL"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_int_equal(judge(&b, refused[i], algorithm, &err), ZDM_REFUSED);
        assert_non_null(strstr(err.message, "Galera"));
    }
    b.step.action = ZDM_ACTION_AS_IS;
    assert_int_equal(mydb_ddl(&b.w, "users", "alter table users add index i (name)", &err), ZDM_REFUSED);
    assert_non_null(strstr(err.message, "Galera"));
    rig_session_free(b.s);
}

static void clone_that_an_earlier_agent_left_is_no_obstacle(void **state)
{
    struct rig *r = *state;
    struct bench b;
    struct zdm_error err = ZDM_ERROR_INIT;
    char name[24], out[MYDB_ALGORITHM_MAX];
    users(r);
    begin(r, &b);
    clone_name(r, name);
    rig_sql(r, "CREATE TABLE zdm.%s (a int)", name);
    rig_sql(r, "CREATE TABLE zdm.%s_0 (a int)", name);
    assert_int_equal(judge(&b, "ALTER TABLE `users` ADD COLUMN `c` int", out, &err), ZDM_OK);
    rig_session_free(b.s);
}

static void table_near_its_limit_of_instant_changes_is_not_changed_so(void **state)
{
    struct rig *r = *state;
    struct bench b;
    struct zdm_error err = ZDM_ERROR_INIT;
    char out[MYDB_ALGORITHM_MAX];
    if (rig_is_mariadb(r)) {
        return; /* has no limit that was ever met */
    }
    users(r);
    rig_sql(r, "DROP TABLE orders");
    begin(r, &b);
    unsigned max = mydb_row_versions_max(b.s->version_num);
    for (unsigned i = 0; i < max - 4; i++) {
        rig_sql(r, i % 2 == 0 ? "ALTER TABLE users ADD COLUMN x int, ALGORITHM=INSTANT"
                              : "ALTER TABLE users DROP COLUMN x, ALGORITHM=INSTANT");
    }
    if (max % 2 != 0) {
        rig_sql(r, "ALTER TABLE users DROP COLUMN x, ALGORITHM=INSTANT");
    }
    assert_int_equal(judge(&b, "ALTER TABLE `users` ADD COLUMN `c` int", out, &err), ZDM_REFUSED);
    assert_non_null(strstr(err.message, "anew"));
    assert_non_null(strstr(err.detail, "Instant changes of the table so far"));
    assert_int_equal(judge(&b, "ALTER TABLE `users` ALTER COLUMN `name` SET DEFAULT 'x'", out, &err), ZDM_OK);
    b.step.rewrite_ok = true;
    assert_int_equal(judge(&b, "ALTER TABLE `users` ADD COLUMN `c` int", out, &err), ZDM_OK);
    assert_string_equal(out, ", ALGORITHM=INPLACE, LOCK=NONE");
    b.step.rewrite_ok = false;
    rig_sql(r, "RENAME TABLE users TO `users-ä_1`"); /* InnoDB has that name in another spelling */
    assert_int_equal(mydb_table_find(b.s, "users-ä_1", &b.table, &err), ZDM_OK);
    assert_int_equal(judge(&b, "ALTER TABLE `users-ä_1` ADD COLUMN `c` int", out, &err), ZDM_REFUSED);
    assert_non_null(strstr(err.detail, "Instant changes of the table so far"));
    rig_session_free(b.s);
}

RIG_MAIN(cmocka_unit_test(instant_is_not_asked_for_where_a_crash_could_not_read_it),
         cmocka_unit_test(instant_is_not_asked_for_near_the_limit),
         cmocka_unit_test(galera_takes_what_is_instant_and_drops_of_indexes),
         cmocka_unit_test(names_inside_innodb_are_spelt_otherwise),
         cmocka_unit_test(invisible_stands_where_the_definition_ends),
         cmocka_unit_test(words_count_outside_of_texts_and_names),
         cmocka_unit_test(line_of_a_table_is_found_by_its_name),
         RIG_TEST(algorithms_are_those_of_the_table_of_decisions), RIG_TEST(galera_is_not_asked_to_build_anything),
         RIG_TEST(clone_that_an_earlier_agent_left_is_no_obstacle), RIG_TEST(clones_that_another_agent_left_go),
         RIG_TEST(table_near_its_limit_of_instant_changes_is_not_changed_so))
