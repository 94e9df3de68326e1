/*
 * test_body.c - the bodies of triggers that use a table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/engine/mysql/hide/trash.h"

static void table_is_found_where_a_statement_has_tables(void **state)
{
    static const char *const bodies[] = {
        "INSERT INTO old VALUES (NEW.id)",
        "insert into\n`OLD`(id) values (1)",
        "INSERT old SET id = 1",
        "INSERT IGNORE old SET id = 1",
        "REPLACE LOW_PRIORITY INTO shop . old VALUES (1)",
        "UPDATE `shop`.`old` SET n = n + 1",
        "UPDATE a, old SET a.n = 1",
        "DELETE FROM old WHERE id = 1",
        "DELETE FROM a USING a JOIN old ON a.id = old.id",
        "BEGIN IF EXISTS (SELECT 1 FROM a WHERE id IN (SELECT id FROM old)) THEN SET @x = 1; END IF; END",
        "SET NEW.n = (SELECT COUNT(*) FROM (a, old))",
        "SET NEW.n = (SELECT COUNT(*) FROM a LEFT JOIN (SELECT 1) AS s ON TRUE STRAIGHT_JOIN old)",
        "SET NEW.n = 'it''s'; INSERT /* into */ INTO -- here\n old VALUES (1)",
        "SET NEW.n = 'a\\'b'; INSERT INTO old VALUES (1)",
        "/*!50100 INSERT INTO old VALUES (1) */",
        "INSERT INTO a VALUES (1) ON DUPLICATE KEY UPDATE n = (SELECT MAX(id) FROM old)",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        if (!mydb_body_uses(bodies[i], "shop", "old")) {
            fail_msg("%s", bodies[i]);
        }
    }
    assert_true(mydb_body_uses("DELETE FROM `a``b`", "shop", "a`b"));
    assert_false(mydb_body_uses("DELETE FROM `a``c`", "shop", "a`b"));
}

/* Columns, variables, texts, comments, tables of other databases. */
static void what_is_only_called_like_it_is_no_table(void **state)
{
    static const char *const bodies[] = {
        "SET NEW.old = OLD.old",
        "INSERT INTO a (id, old) VALUES (1, NEW.old)",
        "INSERT INTO a SET old = 1",
        "INSERT INTO a (id) VALUES (1) ON DUPLICATE KEY UPDATE old = 1",
        "UPDATE a SET old = old + 1 WHERE old > 2",
        "SELECT old INTO @x FROM a WHERE old = 1 ORDER BY old LIMIT 1",
        "SET NEW.n = (SELECT MAX(old) FROM a JOIN b ON (old = 1) GROUP BY old, n HAVING old > 1)",
        "SET @x = 'INSERT INTO old VALUES (1)'",
        "/* INSERT INTO old */ SET @old = 1 -- FROM old",
        "# FROM old\nSET old = 1",
        "INSERT INTO elsewhere.old VALUES (1)",
        "INSERT INTO old2 VALUES (1)",
        "INSERT INTO `my old` VALUES (1)",
        "UPDATE a AS old SET a.n = 1",
        "SET NEW.n = REPLACE(old, 'a', 'b')",
        "INSERT INTO old.a VALUES (1)",
        "",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        if (mydb_body_uses(bodies[i], "shop", "old")) {
            fail_msg("%s", bodies[i]);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_found_where_a_statement_has_tables),
        cmocka_unit_test(what_is_only_called_like_it_is_no_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
