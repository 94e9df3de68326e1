/*
 * suite.c - see suite.h.
 */
#include "tests/contract/store/suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* ---- Records whose content follows from their position ---- */

static struct zdm_hash pattern_hash(uint64_t seq)
{
    struct zdm_hash hash;
    memset(&hash, 0, sizeof hash);
    for (size_t i = 0; seq != 0 && i < sizeof hash.bytes; i++)
        hash.bytes[i] = (uint8_t)(seq * 31 + i * 7 + 1);
    memcpy(hash.bytes, &seq, sizeof seq);
    return hash;
}

static size_t pattern_bytes(uint64_t seq, uint8_t out[SUITE_RECORD_BYTES])
{
    size_t n = (size_t)(1 + seq % SUITE_RECORD_BYTES);
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(seq + i);
    return n;
}

void make_group(const struct store_head *head, struct store_record *records, size_t n)
{
    static uint8_t bytes[SUITE_RECORDS_MAX][SUITE_RECORD_BYTES];
    for (size_t i = 0; i < n; i++) {
        uint64_t seq = head->seq + 1 + i;
        records[i] = (struct store_record){.seq = seq,
                                           .prev_hash = pattern_hash(seq - 1),
                                           .hash = pattern_hash(seq),
                                           .bytes = bytes[i],
                                           .n = pattern_bytes(seq, bytes[i])};
    }
}

struct store_head head_of(const struct store *store)
{
    struct store_head head;
    struct zdm_error err;
    assert_int_equal(store->ops->head(store->self, &head, &err), STORE_OK);
    return head;
}

uint64_t acquire(const struct store *store)
{
    uint64_t epoch = 0;
    struct zdm_error err;
    assert_int_equal(store->ops->acquire(store->self, &epoch, &err), STORE_OK);
    return epoch;
}

enum store_result append_group(const struct store *store, uint64_t epoch, size_t n, struct zdm_error *err)
{
    struct store_record records[SUITE_RECORDS_MAX];
    struct store_head head = head_of(store);
    make_group(&head, records, n);
    return store->ops->append(store->self, epoch, records, n, err);
}

struct reading {
    uint64_t next;
    size_t n, stop_after;
};

static bool check_record(void *ctx, const struct store_record *record)
{
    struct reading *reading = ctx;
    uint8_t bytes[SUITE_RECORD_BYTES];
    size_t n = pattern_bytes(record->seq, bytes);
    struct zdm_hash before = pattern_hash(record->seq - 1), own = pattern_hash(record->seq);
    assert_int_equal(record->seq, reading->next);
    assert_int_equal(record->n, n);
    assert_memory_equal(record->bytes, bytes, n);
    assert_true(zdm_hash_equal(&record->prev_hash, &before));
    assert_true(zdm_hash_equal(&record->hash, &own));
    reading->next++;
    return ++reading->n != reading->stop_after;
}

size_t read_and_check(const struct store *store, uint64_t from)
{
    struct reading reading = {.next = from};
    struct zdm_error err;
    assert_int_equal(store->ops->read(store->self, from, check_record, &reading, &err), STORE_OK);
    return reading.n;
}

/* ---- The contract ---- */

static const struct backend *under_test;

static int open_store(void **state)
{
    static struct store store;
    under_test->open(&store);
    *state = &store;
    return 0;
}

static int close_store(void **state)
{
    struct store *store = *state;
    store->ops->close(store->self);
    return 0;
}

static void an_empty_store_has_no_head_and_no_records(void **state)
{
    struct store_head head = head_of(*state);
    assert_int_equal(head.seq, 0);
    assert_int_equal(head.epoch, 0);
    assert_int_equal(head.backup_seq, 0);
    assert_true(zdm_hash_is_zero(&head.hash));
    assert_int_equal(read_and_check(*state, 1), 0);
}

static void what_was_appended_is_read_in_order(void **state)
{
    struct zdm_error err;
    uint64_t epoch = acquire(*state);
    for (size_t n = 1; n <= 20; n++)
        assert_int_equal(append_group(*state, epoch, n, &err), STORE_OK);
    struct store_head head = head_of(*state);
    struct zdm_hash last = pattern_hash(210);
    assert_int_equal(head.seq, 210);
    assert_true(zdm_hash_equal(&head.hash, &last));
    assert_int_equal(read_and_check(*state, 1), 210);
}

static void reading_starts_where_it_is_asked_to(void **state)
{
    struct zdm_error err;
    uint64_t epoch = acquire(*state);
    assert_int_equal(append_group(*state, epoch, 30, &err), STORE_OK);
    assert_int_equal(read_and_check(*state, 30), 1);
    assert_int_equal(read_and_check(*state, 11), 20);
    assert_int_equal(read_and_check(*state, 31), 0);
    assert_int_equal(read_and_check(*state, 1000), 0);
}

static void reading_ends_when_the_callback_says_so(void **state)
{
    struct zdm_error err;
    const struct store *store = *state;
    uint64_t epoch = acquire(store);
    assert_int_equal(append_group(store, epoch, 10, &err), STORE_OK);
    struct reading reading = {.next = 1, .stop_after = 3};
    assert_int_equal(store->ops->read(store->self, 1, check_record, &reading, &err), STORE_OK);
    assert_int_equal(reading.n, 3);
}

static void a_group_that_does_not_follow_the_head_is_refused(void **state)
{
    const struct store *store = *state;
    struct store_record records[3];
    struct zdm_error err;
    uint64_t epoch = acquire(store);
    assert_int_equal(append_group(store, epoch, 5, &err), STORE_OK);
    struct store_head wrong[] = {{.seq = 4}, {.seq = 6}, {.seq = 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        make_group(&wrong[i], records, 3);
        assert_int_equal(store->ops->append(store->self, epoch, records, 3, &err), STORE_CORRUPT);
        assert_int_equal(err.code, ZDM_BUG);
    }
    assert_int_equal(head_of(store).seq, 5);
    assert_int_equal(read_and_check(store, 1), 5);
}

static void a_record_that_names_another_hash_before_is_refused(void **state)
{
    const struct store *store = *state;
    struct store_record records[3];
    struct zdm_error err;
    uint64_t epoch = acquire(store);
    for (size_t i = 0; i < 3; i++) {
        struct store_head head = head_of(store);
        make_group(&head, records, 3);
        records[i].prev_hash.bytes[31] ^= 1;
        assert_int_equal(store->ops->append(store->self, epoch, records, 3, &err), STORE_CORRUPT);
        assert_int_equal(head_of(store).seq, 0);
    }
}

static void a_group_with_one_bad_record_leaves_nothing_behind(void **state)
{
    const struct store *store = *state;
    struct store_record records[10];
    struct zdm_error err;
    uint64_t epoch = acquire(store);
    assert_int_equal(append_group(store, epoch, 4, &err), STORE_OK);
    struct store_head head = head_of(store);
    make_group(&head, records, 10);
    records[9].seq++;
    assert_int_equal(store->ops->append(store->self, epoch, records, 10, &err), STORE_CORRUPT);
    make_group(&head, records, 10);
    records[9].n = 0;
    assert_int_equal(store->ops->append(store->self, epoch, records, 10, &err), STORE_CORRUPT);
    assert_int_equal(store->ops->append(store->self, epoch, records, 0, &err), STORE_CORRUPT);
    assert_int_equal(read_and_check(store, 1), 4);
    assert_int_equal(append_group(store, epoch, 10, &err), STORE_OK);
    assert_int_equal(read_and_check(store, 1), 14);
}

static void every_acquire_gives_a_higher_epoch(void **state)
{
    uint64_t before = 0;
    for (int i = 0; i < 5; i++) {
        uint64_t epoch = acquire(*state);
        assert_true(epoch > before);
        assert_int_equal(head_of(*state).epoch, epoch);
        before = epoch;
    }
}

static void an_older_writer_is_deposed(void **state)
{
    const struct store *store = *state;
    struct zdm_error err;
    uint64_t first = acquire(store);
    assert_int_equal(append_group(store, first, 2, &err), STORE_OK);
    assert_int_equal(store->ops->renew(store->self, first, &err), STORE_OK);
    uint64_t second = acquire(store);
    assert_int_equal(store->ops->renew(store->self, first, &err), STORE_DEPOSED);
    assert_int_equal(append_group(store, first, 2, &err), STORE_DEPOSED);
    assert_int_equal(head_of(store).seq, 2);
    assert_int_equal(append_group(store, second, 2, &err), STORE_OK);
}

static void nobody_appends_before_acquiring(void **state)
{
    const struct store *store = *state;
    struct zdm_error err;
    assert_int_equal(append_group(store, 0, 1, &err), STORE_DEPOSED);
    assert_int_equal(append_group(store, 1, 1, &err), STORE_DEPOSED);
    assert_int_equal(head_of(store).seq, 0);
}

int run_suite(const struct backend *backend)
{
#define CONTRACT(test) cmocka_unit_test_setup_teardown(test, open_store, close_store)
    const struct CMUnitTest tests[] = {
        CONTRACT(an_empty_store_has_no_head_and_no_records),
        CONTRACT(what_was_appended_is_read_in_order),
        CONTRACT(reading_starts_where_it_is_asked_to),
        CONTRACT(reading_ends_when_the_callback_says_so),
        CONTRACT(a_group_that_does_not_follow_the_head_is_refused),
        CONTRACT(a_record_that_names_another_hash_before_is_refused),
        CONTRACT(a_group_with_one_bad_record_leaves_nothing_behind),
        CONTRACT(every_acquire_gives_a_higher_epoch),
        CONTRACT(an_older_writer_is_deposed),
        CONTRACT(nobody_appends_before_acquiring),
    };
#undef CONTRACT
    under_test = backend;
    return cmocka_run_group_tests_name(backend->name, tests, NULL, NULL);
}
