/*
 * test_events.c - events as bytes: every type reads back, the chain holds, and nothing else is taken for an event.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/os/crypto.h"
#include "coordinator/log/event_bodies.h"
#include "coordinator/log/event_codec.h"
#include "tests/unit/log/event_samples.h"
#include "tests/unit/log/golden_events.h"
#include "tests/unit/proto/sample.h"

enum { TYPES_END = 256, TYPES = 36 };

static int start(void **state)
{
    struct zdm_error err;
    (void)state;
    return zdm_crypto_start(&err) == ZDM_OK ? 0 : -1;
}

/* Encodes the sample of a type into bytes and gives its record. */
static bool record_of(unsigned type, struct zdm_buffer *bytes, struct store_record *record)
{
    struct coord_event event;
    if (!sample_event(type, &event))
        return false;
    zdm_buffer_reset(bytes);
    coord_event_encode(zdm_crypto_sodium(), &event, bytes);
    assert_false(bytes->failed);
    *record = (struct store_record){
        .seq = event.seq, .prev_hash = event.prev_hash, .hash = event.hash, .bytes = bytes->data, .n = bytes->len};
    coord_event_fini(&event);
    return true;
}

static void rehash(struct store_record *record)
{
    zdm_hash_pair(zdm_crypto_sodium(), record->hash.bytes, 32, record->prev_hash.bytes, 32, record->bytes, record->n);
}

static enum zdm_code decode(const struct store_record *record, struct zdm_error *err)
{
    struct coord_event event;
    enum zdm_code code = coord_event_decode(zdm_crypto_sodium(), record, &event, err);
    if (code == ZDM_OK)
        coord_event_fini(&event);
    return code;
}

static void every_table_fits_its_descriptor(void **state)
{
    (void)state;
    struct zdm_error err = ZDM_ERROR_INIT;
    for (unsigned type = 0; type < TYPES_END; type++) {
        bool known = strcmp(coord_event_type_name((enum coord_event_type)type), "?") != 0;
        assert_int_equal(known, coord_event_body(type) != NULL);
        if (known && !zdm_message_fits(coord_event_body(type), &err))
            fail_msg("%s", err.message);
    }
}

static void every_event_reads_back(void **state)
{
    (void)state;
    struct zdm_buffer bytes = ZDM_BUFFER_INIT, again = ZDM_BUFFER_INIT;
    struct store_record record;
    size_t n = 0;
    for (unsigned type = 0; type < TYPES_END; type++) {
        struct coord_event event;
        struct zdm_error err = ZDM_ERROR_INIT;
        if (!record_of(type, &bytes, &record))
            continue;
        n++;
        if (coord_event_decode(zdm_crypto_sodium(), &record, &event, &err) != ZDM_OK)
            fail_msg("%s", err.message);
        assert_int_equal(event.seq, 7);
        assert_int_equal(event.epoch, 3);
        assert_int_equal(event.at_ms, 1700000000000);
        assert_int_equal(event.type, type);
        assert_string_equal(event.migration, "rename-users-name");
        assert_true(zdm_hash_equal(&event.hash, &record.hash));
        zdm_buffer_reset(&again);
        coord_event_encode(zdm_crypto_sodium(), &event, &again);
        assert_int_equal(again.len, bytes.len);
        assert_memory_equal(again.data, bytes.data, bytes.len);
        assert_true(zdm_hash_equal(&event.hash, &record.hash));
        coord_event_fini(&event);
    }
    assert_int_equal(n, TYPES);
    zdm_buffer_fini(&bytes);
    zdm_buffer_fini(&again);
}

static void what_stands_in_signed_bytes_is_read_from_them(void **state)
{
    (void)state;
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct store_record record;
    struct coord_event event;
    struct zdm_error err = ZDM_ERROR_INIT;
    record_of(COORD_EVENT_MIGRATION_SUBMITTED, &bytes, &record);
    assert_int_equal(coord_event_decode(zdm_crypto_sodium(), &record, &event, &err), ZDM_OK);
    assert_string_equal(event.u.migration_submitted.plan->id, "rename-users-name");
    assert_int_equal(event.u.migration_submitted.n_shards, 2);
    coord_event_fini(&event);
    record_of(COORD_EVENT_ENROLMENT_ISSUED, &bytes, &record);
    assert_int_equal(coord_event_decode(zdm_crypto_sodium(), &record, &event, &err), ZDM_OK);
    assert_string_equal(event.u.enrolment_issued.enrolment.shard, "eu-1");
    coord_event_fini(&event);
    record_of(COORD_EVENT_APPROVAL_ADDED, &bytes, &record);
    assert_int_equal(coord_event_decode(zdm_crypto_sodium(), &record, &event, &err), ZDM_OK);
    assert_int_equal(event.u.approval_added.approval.phase, 4);
    coord_event_fini(&event);
    struct zdm_undo_order order;
    sample_undo_order(&order);
    record_of(COORD_EVENT_SHARDS_DIRECTED, &bytes, &record);
    assert_int_equal(coord_event_decode(zdm_crypto_sodium(), &record, &event, &err), ZDM_OK);
    assert_true(zdm_id_equal(&event.u.directed.undo_nonce, &order.nonce));
    coord_event_fini(&event);
    zdm_undo_order_fini(&order);
    zdm_buffer_fini(&bytes);
}

static void a_failure_says_what_helps(void **state)
{
    (void)state;
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct coord_event event, again;
    struct zdm_error err = ZDM_ERROR_INIT;
    sample_event(COORD_EVENT_SHARD_FAILED, &event);
    zdm_copy_text(event.u.failed.hint, sizeof event.u.failed.hint, "Give the rows a value.");
    coord_event_encode(zdm_crypto_sodium(), &event, &bytes);
    struct store_record record = {
        .seq = event.seq, .prev_hash = event.prev_hash, .hash = event.hash, .bytes = bytes.data, .n = bytes.len};
    assert_int_equal(coord_event_decode(zdm_crypto_sodium(), &record, &again, &err), ZDM_OK);
    assert_string_equal(again.u.failed.hint, "Give the rows a value.");
    coord_event_fini(&again);
    coord_event_fini(&event);
    zdm_buffer_fini(&bytes);
}

static void a_rollback_says_what_it_could_not_bring_back(void **state)
{
    (void)state;
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct coord_event event, again;
    struct zdm_error err = ZDM_ERROR_INIT;
    sample_event(COORD_EVENT_SHARD_UNDONE, &event);
    zdm_copy_text(event.u.reached.remark, sizeof event.u.reached.remark, "1,204 rows were changed since and kept");
    coord_event_encode(zdm_crypto_sodium(), &event, &bytes);
    struct store_record record = {
        .seq = event.seq, .prev_hash = event.prev_hash, .hash = event.hash, .bytes = bytes.data, .n = bytes.len};
    assert_int_equal(coord_event_decode(zdm_crypto_sodium(), &record, &again, &err), ZDM_OK);
    assert_string_equal(again.u.reached.remark, "1,204 rows were changed since and kept");
    coord_event_fini(&again);
    coord_event_fini(&event);
    zdm_buffer_fini(&bytes);
}

static void golden_bytes_of_every_event_stay(void **state)
{
    (void)state;
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct store_record record;
    assert_int_equal(sizeof golden_events / sizeof *golden_events, TYPES);
    for (size_t i = 0; i < TYPES; i++) {
        assert_true(record_of(golden_events[i].type, &bytes, &record));
        char *hex = malloc(2 * bytes.len + 1);
        zdm_hex(hex, bytes.data, bytes.len);
        assert_string_equal(hex, golden_events[i].hex);
        free(hex);
    }
    zdm_buffer_fini(&bytes);
}

static void a_changed_bit_of_bytes_or_hashes_is_refused(void **state)
{
    (void)state;
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct store_record record;
    struct zdm_error err = ZDM_ERROR_INIT;
    record_of(COORD_EVENT_SHARD_REACHED, &bytes, &record);
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(decode(&record, &err), ZDM_CORRUPT);
        bytes.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t at = 0; at < 32; at++) {
        record.prev_hash.bytes[at] ^= 1;
        assert_int_equal(decode(&record, &err), ZDM_CORRUPT);
        record.prev_hash.bytes[at] ^= 1;
        record.hash.bytes[at] ^= 1;
        assert_int_equal(decode(&record, &err), ZDM_CORRUPT);
        record.hash.bytes[at] ^= 1;
    }
    record.seq++;
    assert_int_equal(decode(&record, &err), ZDM_CORRUPT);
    record.seq--;
    assert_int_equal(decode(&record, &err), ZDM_OK);
    zdm_buffer_fini(&bytes);
}

static void the_chain_begins_at_event_1_and_only_there(void **state)
{
    (void)state;
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct store_record record;
    struct zdm_error err = ZDM_ERROR_INIT;
    record_of(COORD_EVENT_LOG_OPENED, &bytes, &record);
    memset(&record.prev_hash, 0, sizeof record.prev_hash);
    rehash(&record);
    assert_int_equal(decode(&record, &err), ZDM_CORRUPT);
    assert_non_null(strstr(err.message, "its place in the chain"));
    zdm_buffer_fini(&bytes);
}

/* Bytes with a hash made to fit them: what a program with a fault, or somebody with the file, could leave there. */
static void damage_behind_a_fitting_hash_is_refused(void **state)
{
    (void)state;
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct store_record record;
    struct zdm_error err = ZDM_ERROR_INIT;
    for (unsigned type = 0; type < TYPES_END; type++) {
        if (!record_of(type, &bytes, &record))
            continue;
        size_t whole = record.n;
        for (record.n = 0; record.n < whole; record.n++) {
            rehash(&record);
            enum zdm_code code = decode(&record, &err);
            /* Cut behind the type, an event without a body: valid only where a body may be empty. */
            assert_true(code == ZDM_CORRUPT || code == ZDM_UNSUPPORTED || code == ZDM_OK);
        }
    }
    zdm_buffer_fini(&bytes);
}

static void an_unknown_type_asks_for_the_release_that_wrote_it(void **state)
{
    (void)state;
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct store_record record;
    struct zdm_error err = ZDM_ERROR_INIT;
    record_of(COORD_EVENT_SHARD_REACHED, &bytes, &record);
    uint8_t *type = memmem(bytes.data, bytes.len, "\x20\x14", 2); /* field 4, 20 */
    assert_non_null(type);
    type[1] = 100;
    rehash(&record);
    assert_int_equal(decode(&record, &err), ZDM_UNSUPPORTED);
    assert_string_equal(err.message, "event 7 of the log: it is of type 100, which this release does not know");
    assert_non_null(strstr(err.hint, "release that wrote this log"));
    zdm_buffer_fini(&bytes);
}

static void a_submission_over_the_largest_fleet_fits(void **state)
{
    (void)state;
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct store_record record;
    struct coord_event event;
    struct zdm_error err = ZDM_ERROR_INIT;
    sample_event(COORD_EVENT_MIGRATION_SUBMITTED, &event);
    free(event.u.migration_submitted.shards);
    struct coord_submitted_shard *shards = calloc(ZDM_SHARDS_MAX, sizeof *shards);
    for (size_t i = 0; i < ZDM_SHARDS_MAX; i++)
        zdm_copy_text(shards[i].name, sizeof shards[i].name, "a-shard-with-quite-a-long-name");
    event.u.migration_submitted.shards = shards;
    event.u.migration_submitted.n_shards = ZDM_SHARDS_MAX;
    coord_event_encode(zdm_crypto_sodium(), &event, &bytes);
    assert_false(bytes.failed);
    record = (struct store_record){
        .seq = 7, .prev_hash = event.prev_hash, .hash = event.hash, .bytes = bytes.data, .n = bytes.len};
    coord_event_fini(&event);
    assert_int_equal(coord_event_decode(zdm_crypto_sodium(), &record, &event, &err), ZDM_OK);
    assert_int_equal(event.u.migration_submitted.n_shards, ZDM_SHARDS_MAX);
    coord_event_fini(&event);
    zdm_buffer_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_fits_its_descriptor),
        cmocka_unit_test(every_event_reads_back),
        cmocka_unit_test(what_stands_in_signed_bytes_is_read_from_them),
        cmocka_unit_test(a_failure_says_what_helps),
        cmocka_unit_test(a_rollback_says_what_it_could_not_bring_back),
        cmocka_unit_test(golden_bytes_of_every_event_stay),
        cmocka_unit_test(a_changed_bit_of_bytes_or_hashes_is_refused),
        cmocka_unit_test(the_chain_begins_at_event_1_and_only_there),
        cmocka_unit_test(damage_behind_a_fitting_hash_is_refused),
        cmocka_unit_test(an_unknown_type_asks_for_the_release_that_wrote_it),
        cmocka_unit_test(a_submission_over_the_largest_fleet_fits),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
