/*
 * test_classify.c - what an error number means, and what the core is told for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agent/engine/mysql/session/classify.h"

static void numbers_have_their_code_and_outcome(void **state)
{
    static const struct {
        unsigned number;
        enum zdm_code code;
        enum agent_outcome outcome;
    } rows[] = {
        {1205, ZDM_LOCK, AGENT_LOCK},         {3572, ZDM_LOCK, AGENT_LOCK},         {1213, ZDM_CONFLICT, AGENT_RETRY},
        {1317, ZDM_CANCELLED, AGENT_RETRY},   {3024, ZDM_TIMEOUT, AGENT_RETRY},     {2006, ZDM_CLOSED, AGENT_RETRY},
        {2013, ZDM_CLOSED, AGENT_RETRY},      {1927, ZDM_CLOSED, AGENT_RETRY},      {4031, ZDM_CLOSED, AGENT_RETRY},
        {2002, ZDM_UNAVAILABLE, AGENT_RETRY}, {1836, ZDM_UNAVAILABLE, AGENT_RETRY}, {1040, ZDM_FULL, AGENT_RETRY},
        {1045, ZDM_AUTH, AGENT_FAIL},         {1142, ZDM_REFUSED, AGENT_FAIL},      {1845, ZDM_UNSUPPORTED, AGENT_FAIL},
        {1146, ZDM_NOT_FOUND, AGENT_ABSENT},  {1054, ZDM_NOT_FOUND, AGENT_ABSENT},  {1060, ZDM_EXISTS, AGENT_FAIL},
        {1062, ZDM_DATABASE, AGENT_FAIL},     {1064, ZDM_DATABASE, AGENT_FAIL},     {65000, ZDM_DATABASE, AGENT_FAIL}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_string_equal(zdm_code_name(mydb_code_of(rows[i].number)), zdm_code_name(rows[i].code));
        assert_string_equal(agent_outcome_name(mydb_outcome(rows[i].code)), agent_outcome_name(rows[i].outcome));
        assert_int_equal(mydb_is_final(rows[i].code), rows[i].outcome == AGENT_FAIL || rows[i].outcome == AGENT_ABSENT);
    }
}

static void kinds_are_told_by_the_number(void **state)
{
    static const unsigned violations[] = {1062, 1452, 3819, 4025, 1048, 1265, 1406, 1264, 1366, 1292};
    (void)state;
    for (size_t i = 0; i < sizeof violations / sizeof *violations; i++) {
        const struct zdm_error err = {.number = violations[i]};
        assert_true(mydb_is_violation(&err));
        assert_false(mydb_is_not_online(&err));
        assert_false(mydb_is_privilege(&err));
    }
    assert_true(mydb_is_not_online(&(struct zdm_error){.number = 1846}));
    assert_true(mydb_is_privilege(&(struct zdm_error){.number = 1227}));
    assert_false(mydb_is_violation(&(struct zdm_error){.sqlstate = "23000"}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_their_code_and_outcome),
        cmocka_unit_test(kinds_are_told_by_the_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
