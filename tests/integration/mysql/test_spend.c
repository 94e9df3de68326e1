/*
 * test_spend.c - spend_tests.c over MariaDB and MySQL.
 */
#include "tests/integration/mysql/rig.h"
#include "tests/integration/spend_tests.h"

#define WITH_RIG(name) RIG_TEST(name),

RIG_MAIN(SPEND_TESTS(WITH_RIG))
