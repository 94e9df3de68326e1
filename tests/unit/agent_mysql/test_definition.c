/*
 * test_definition.c - definitions of columns out of SHOW CREATE TABLE, texts written again, backslashes on the way to
 * the server, and the bodies that name a column.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/catalog/catalog.h"
#include "agent/engine/mysql/catalog/definition.h"
#include "agent/engine/mysql/session/escape.h"
#include "agent/engine/mysql/walk/triggers.h"
#include "agent/engine/mysql/hide/visible.h"

static const char table[] =
    "CREATE TABLE `t, (` (\n"
    "  `id` bigint unsigned NOT NULL AUTO_INCREMENT,\n"
    "  `a``b, c` enum('x','it''s','a\\\\b') NOT NULL DEFAULT 'it''s' COMMENT 'a, (b\\n',\n"
    "  `n` int NOT NULL /*!80023 INVISIBLE */,\n"
    "  `m` int(11) NOT NULL INVISIBLE DEFAULT 3 CHECK (`m` <> ')'),\n"
    "  `e` varchar(40) DEFAULT (concat(_utf8mb4'a\\\\b',_utf8mb4'c\\'d',upper(`n`))) COMMENT 'INVISIBLE',\n"
    "  `z` binary(2) DEFAULT 'a\\0',\n"
    "  `d` datetime(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),\n"
    "  PRIMARY KEY (`id`),\n"
    "  CONSTRAINT `c` CHECK ((`n` > 0))\n"
    ") ENGINE=InnoDB COMMENT='`q` int'";

static void expect(const char *column, const char *definition, const char *default_sql)
{
    char *found_default = NULL;
    char *found = mydb_definition_of(table, column, &found_default);
    if (definition == NULL) {
        assert_null(found);
    } else {
        assert_non_null(found);
        assert_string_equal(found, definition);
    }
    assert_string_equal(found_default == NULL ? "" : found_default, default_sql == NULL ? "" : default_sql);
    free(found);
    free(found_default);
}

static void definitions_are_found_and_written_without_backslashes(void **state)
{
    (void)state;
    expect("ID", "bigint unsigned NOT NULL AUTO_INCREMENT", NULL);
    expect("a`b, c", "enum('x','it''s','a\\b') NOT NULL DEFAULT 'it''s' COMMENT 'a, (b\n'", "'it''s'");
    expect("n", "int NOT NULL", NULL);
    expect("m", "int(11) NOT NULL DEFAULT 3 CHECK (`m` <> ')')", "3");
    expect("e", "varchar(40) DEFAULT (concat(_utf8mb4'a\\b',_utf8mb4'c''d',upper(`n`))) COMMENT 'INVISIBLE'",
           "(concat(_utf8mb4'a\\b',_utf8mb4'c''d',upper(`n`)))");
    expect("z", "binary(2) DEFAULT X'6100'", "X'6100'");
    expect("d", "datetime(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)", "CURRENT_TIMESTAMP(6)");
    expect("c", NULL, NULL);
    expect("q", NULL, NULL);
}

static void torn_output_is_no_definition_and_no_crash(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof table; n++) {
        char *cut = zdm_memdup(table, n), *found_default = NULL;
        free(mydb_definition_of(cut, "nobody", &found_default));
        assert_null(found_default);
        free(mydb_definition_of(cut, "e", &found_default));
        free(found_default);
        free(mydb_plain_strings(cut));
        free(cut);
    }
}

static void backslashes_are_doubled_in_texts_alone(void **state)
{
    static const char *const cases[][2] = {
        {"SELECT 'a\\', \"b\\\"", "SELECT 'a\\\\', \"b\\\\\""},
        {"SELECT `a\\'`, '\\''\\'", "SELECT `a\\'`, '\\\\''\\\\'"},
        {"-- it's \\\nSELECT '\\'", "-- it's \\\nSELECT '\\\\'"},
        {"# it's\nSELECT '\\'", "# it's\nSELECT '\\\\'"},
        {"/* it's */ '\\'", "/* it's */ '\\\\'"},
        {"/*! '\\' */ '\\'", "/*! '\\\\' */ '\\\\'"},
        {"1--1, '\\'", "1--1, '\\\\'"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct zdm_buffer b = ZDM_BUFFER_INIT;
        mydb_put_escaped(&b, cases[i][0], strlen(cases[i][0]));
        assert_string_equal(zdm_buffer_text(&b), cases[i][1]);
        zdm_buffer_fini(&b);
    }
}

static void invisible_stands_in_front_of_a_check(void **state)
{
    static const char *const cases[][2] = {
        {"int", "int INVISIBLE"},
        {"int NOT NULL DEFAULT 3 CHECK (`a` > 0)", "int NOT NULL DEFAULT 3 INVISIBLE CHECK (`a` > 0)"},
        {"varchar(9) COMMENT 'x CHECK (y'", "varchar(9) COMMENT 'x CHECK (y' INVISIBLE"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct zdm_buffer b = ZDM_BUFFER_INIT;
        mydb_put_invisible(&b, cases[i][0]);
        assert_string_equal(zdm_buffer_text(&b), cases[i][1]);
        zdm_buffer_fini(&b);
    }
}

static void bodies_that_name_a_column_are_told(void **state)
{
    (void)state;
    assert_true(mydb_body_names("SET new.name = 1", "name"));
    assert_true(mydb_body_names("SET x = OLD . `Name`", "name"));
    assert_true(mydb_body_names("IF `NEW`.name IS NULL", "name"));
    assert_false(mydb_body_names("SET NEW.name2 = renew.name", "name"));
    assert_false(mydb_body_names("SET NEW.full_name = OLD.names", "name"));
    assert_false(mydb_body_names("NEW", "name"));
}

static void names_of_our_triggers_are_known(void **state)
{
    char name[MYDB_TRIGGER_NAME_SIZE];
    (void)state;
    mydb_trigger_name(name, "users", 1024, 'u', true, true);
    assert_true(mydb_trigger_is_ours(name));
    assert_string_equal(name + 12, "_1024_urb");
    mydb_trigger_name(name, "users", 7, 'i', false, false);
    assert_string_equal(name + 12, "_7_i");
    assert_true(mydb_trigger_is_ours(name));
    assert_false(mydb_trigger_is_ours("zdm_0123abcd_x_i"));
    assert_false(mydb_trigger_is_ours("zdm_0123abcd_1_ix"));
    assert_false(mydb_trigger_is_ours("zdm_0123ABCD_1_i"));
    assert_false(mydb_trigger_is_ours("zdm_audit"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(definitions_are_found_and_written_without_backslashes),
        cmocka_unit_test(torn_output_is_no_definition_and_no_crash),
        cmocka_unit_test(backslashes_are_doubled_in_texts_alone),
        cmocka_unit_test(invisible_stands_in_front_of_a_check),
        cmocka_unit_test(bodies_that_name_a_column_are_told),
        cmocka_unit_test(names_of_our_triggers_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
