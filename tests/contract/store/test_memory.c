/*
 * test_memory.c - the contract over the memory store, and its copies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/contract/store/suite.h"

static void open_memory(struct store *out_store)
{
    struct zdm_error err;
    assert_int_equal(store_memory_open(out_store, &err), STORE_OK);
}

static void a_copy_goes_its_own_way(void **state)
{
    struct store original, copy, backup;
    struct zdm_error err;
    (void)state;
    open_memory(&original);
    uint64_t epoch = acquire(&original);
    assert_int_equal(append_group(&original, epoch, 3, &err), STORE_OK);
    assert_int_equal(store_memory_copy(&original, &copy, &err), STORE_OK);
    assert_int_equal(store_memory_backup(&original, &backup, &err), STORE_OK);
    assert_int_equal(append_group(&original, epoch, 2, &err), STORE_OK);
    assert_int_equal(append_group(&copy, epoch, 7, &err), STORE_OK);
    assert_int_equal(read_and_check(&original, 1), 5);
    assert_int_equal(read_and_check(&copy, 1), 10);
    assert_int_equal(head_of(&copy).backup_seq, 0);
    assert_int_equal(head_of(&backup).backup_seq, 3);
    assert_int_equal(head_of(&backup).seq, 3);
    original.ops->close(original.self);
    copy.ops->close(copy.self);
    backup.ops->close(backup.self);
}

int main(void)
{
    static const struct backend memory = {.name = "memory", .open = open_memory};
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_copy_goes_its_own_way)};
    return run_suite(&memory) + cmocka_run_group_tests_name("memory only", tests, NULL, NULL);
}
