/*
 * test_spend.c - spend_tests.c over PostgreSQL.
 */
#include "tests/integration/postgresql/rig.h"
#include "tests/integration/spend_tests.h"

#define WITH_RIG(name) RIG_TEST(name),

int main(void)
{
    const struct CMUnitTest tests[] = {SPEND_TESTS(WITH_RIG)};
    return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}
