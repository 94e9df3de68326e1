/*
 * test_truth.c - which expressions give a truth value.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/engine/mysql/walk/sync.h"

static void comparisons_and_logic_are_truth(void **state)
{
    (void)state;
    static const char *const truths[] = {
        "t.`a` IS NOT NULL",
        "t.`a` + 1 > 2",
        "(t.`a` = 'x')",
        "((t.`a` <=> t.`b`))",
        "NOT t.`a`",
        "t.`a` IN (1, 2)",
        "t.`a` BETWEEN 1 AND 2",
        "t.`a` LIKE 'x%'",
        "(t.`a` > 1) AND (t.`b` < 2)",
        "CASE WHEN t.`a` IS NOT NULL THEN TRUE ELSE FALSE END",
        "(CASE WHEN t.`a` = 5 THEN 1 WHEN t.`a` = 6 THEN NULL ELSE 0 END)",
        "CASE t.`a` WHEN 'then' THEN true END",
        "CASE WHEN CASE WHEN t.`a` THEN 7 ELSE 8 END = 7 THEN TRUE ELSE FALSE END",
    };
    for (size_t i = 0; i < sizeof truths / sizeof *truths; i++) {
        if (!mydb_is_truth(truths[i])) {
            fail_msg("%s", truths[i]);
        }
    }
}

static void numbers_and_texts_are_none(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        "t.`a`",
        "t.`a` + (t.`b` = 1)",
        "(t.`a` = 1) + (t.`b` = 2)",
        "COALESCE(t.`a` = 1, 7)",
        "CASE WHEN t.`a` = 1 THEN 2 ELSE 0 END",
        "CASE WHEN t.`a` = 1 THEN 1 + 1 ELSE 0 END",
        "CASE WHEN t.`a` = 1 THEN TRUE ELSE FALSE END + 5",
        "5 + CASE WHEN t.`a` = 1 THEN TRUE ELSE FALSE END",
        "CASE WHEN t.`a` = 1 THEN CASE WHEN t.`b` THEN 9 END ELSE 0 END",
        "'a = b'",
        "`is`",
        "t.`x = y`",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (mydb_is_truth(others[i])) {
            fail_msg("%s", others[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparisons_and_logic_are_truth),
        cmocka_unit_test(numbers_and_texts_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
