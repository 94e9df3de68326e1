/*
 * test_codec.c - what holds for every encoded type: nothing is lost, nothing else is accepted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/os/crypto.h"
#include "proto/messages.h"
#include "proto/utf8.h"
#include "tests/unit/proto/golden.h"
#include "tests/unit/proto/kinds.h"
#include "tests/unit/proto/sample.h"

static int start(void **state)
{
    struct zdm_error err;
    (void)state;
    return zdm_crypto_start(&err) == ZDM_OK ? 0 : -1;
}

static const struct zdm_message *const tables[] = {
    &zdm_plan_header_message, &zdm_plan_phase_message, &zdm_notes_message,  &zdm_directive_message,
    &zdm_approval_message,    &zdm_undo_order_message, &zdm_trust_message,  &zdm_request_message,
    &zdm_enrolment_message,   &zdm_token_message,      &zdm_report_message, &zdm_survey_message,
};

static void every_table_fits_its_descriptor(void **state)
{
    (void)state;
    struct zdm_error err = ZDM_ERROR_INIT;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (!zdm_message_fits(tables[i], &err))
            fail_msg("%s", err.message);
    for (unsigned type = 0; type < 64; type++)
        if (zdm_frame_body_message(type) != NULL && !zdm_message_fits(zdm_frame_body_message(type), &err))
            fail_msg("%s", err.message);
}

static void what_is_encoded_is_read_and_encodes_to_the_same_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_kinds; i++) {
        struct zdm_buffer bytes = ZDM_BUFFER_INIT, again = ZDM_BUFFER_INIT;
        struct zdm_error err = ZDM_ERROR_INIT;
        kinds[i].encode(&bytes);
        assert_false(bytes.failed);
        if (kinds[i].decode(bytes.data, bytes.len, &again, &err) != ZDM_OK)
            fail_msg("%s: %s", kinds[i].name, err.message);
        assert_int_equal(again.len, bytes.len);
        assert_memory_equal(again.data, bytes.data, bytes.len);
        zdm_buffer_fini(&bytes);
        zdm_buffer_fini(&again);
    }
}

/* ---- the samples leave no field out, or the test before this one would say little ---- */

enum { SEEN_MAX = 512 };

struct seen {
    const ProtobufCFieldDescriptor *fields[SEEN_MAX];
    size_t n;
};

static void see(struct seen *seen, const ProtobufCMessage *message);

static void see_field(struct seen *seen, const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    static const uint8_t zero[16];
    const uint8_t *slot = (const uint8_t *)message + field->offset;
    bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
    size_t n = 1;
    const char *pointer;
    memcpy(&pointer, slot, sizeof pointer);
    if (repeated)
        memcpy(&n, (const uint8_t *)message + field->quantifier_offset, sizeof n);
    bool set;
    if (repeated)
        set = n > 0;
    else if (field->type == PROTOBUF_C_TYPE_STRING)
        set = pointer[0] != '\0';
    else if (field->type == PROTOBUF_C_TYPE_MESSAGE || field->type == PROTOBUF_C_TYPE_BYTES)
        set = memcmp(slot, zero, 8) != 0;
    else
        set = memcmp(slot, zero, 4) != 0;
    if (!set)
        return;
    assert_true(seen->n < SEEN_MAX);
    seen->fields[seen->n++] = field;
    for (size_t i = 0; field->type == PROTOBUF_C_TYPE_MESSAGE && i < n; i++)
        see(seen,
            (const ProtobufCMessage *)(const void *)(repeated ? ((char *const *)(const void *)pointer)[i] : pointer));
}

static void see(struct seen *seen, const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++)
        see_field(seen, message, &message->descriptor->fields[i]);
}

static void check_seen(const struct seen *seen, const struct zdm_message *message)
{
    for (size_t i = 0; i < message->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        bool found = false;
        for (size_t j = 0; j < seen->n && !found; j++)
            found = seen->fields[j] == field;
        if (!found)
            fail_msg("no sample sets %s of %s", field->name, message->descriptor->name);
        if (message->fields[i].message != NULL)
            check_seen(seen, message->fields[i].message);
    }
}

static void see_object(struct seen *seen, const struct zdm_message *message, const void *object)
{
    struct zdm_arena arena = {.left = ZDM_UNPACK_MAX};
    ProtobufCMessage *built = zdm_message_build(&arena, message, object);
    assert_non_null(built);
    see(seen, built);
    zdm_arena_fini(&arena);
}

static void samples_set_every_field(void **state)
{
    (void)state;
    struct seen seen = {.n = 0};
    struct zdm_plan *plans[] = {sample_plan(), sample_as_is_plan()};
    for (size_t k = 0; k < 2; k++) {
        see_object(&seen, &zdm_plan_header_message, plans[k]);
        for (size_t i = 0; i < plans[k]->n_phases; i++)
            see_object(&seen, &zdm_plan_phase_message, &plans[k]->phases[i]);
        zdm_plan_unref(plans[k]);
    }
    check_seen(&seen, &zdm_plan_header_message);
    check_seen(&seen, &zdm_plan_phase_message);
    struct zdm_directive directive;
    sample_directive(&directive);
    see_object(&seen, &zdm_directive_message, &directive);
    check_seen(&seen, &zdm_directive_message);
    zdm_directive_fini(&directive);
    struct zdm_survey *survey = sample_survey();
    see_object(&seen, &zdm_survey_message, survey);
    check_seen(&seen, &zdm_survey_message);
    zdm_survey_free(survey);
    for (unsigned type = 0; type < 64; type++) {
        struct zdm_frame frame;
        if (!sample_frame(type, &frame))
            continue;
        seen.n = 0;
        const void *object = type == ZDM_FRAME_REPORT    ? (void *)&frame.u.report
                             : type == ZDM_FRAME_REQUEST ? (void *)&frame.u.request
                                                         : (void *)&frame;
        see_object(&seen, zdm_frame_body_message(type), object);
        check_seen(&seen, zdm_frame_body_message(type));
        zdm_frame_fini(&frame);
    }
}

/* ---- nothing else is accepted ---- */

static void bytes_cut_at_any_length_are_refused_or_say_less(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_kinds; i++) {
        struct zdm_buffer bytes = ZDM_BUFFER_INIT;
        struct zdm_error err = ZDM_ERROR_INIT;
        size_t accepted = 0;
        kinds[i].encode(&bytes);
        for (size_t n = 0; n < bytes.len; n++) {
            /* A copy of exactly n bytes, so that the sanitizer sees a read behind its end. */
            uint8_t *cut = malloc(n > 0 ? n : 1);
            memcpy(cut, bytes.data, n);
            enum zdm_code code = kinds[i].decode(cut, n, NULL, &err);
            accepted += code == ZDM_OK;
            assert_true(code == ZDM_OK || code == ZDM_PROTOCOL);
            free(cut);
        }
        /* What ends between two fields is a shorter message; required fields keep most of these out. */
        assert_true(accepted < 20);
        zdm_buffer_fini(&bytes);
    }
}

/* Frames in which a peer speaks for itself: a newer release may say more in them. */
static bool grows(const struct kind *kind)
{
    static const char *const names[] = {"REPORT", "PLAN_REQUEST", "TRUST_REQUEST", "JOIN",   "WELCOME",     "ACK",
                                        "BYE",    "QUERY",        "WATCH",         "ANSWER", "SURVEY_ORDER"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(kind->name, "frame ", 6) == 0 && strcmp(kind->name + 6, names[i]) == 0)
            return true;
    return false;
}

/* Or as less than it is, where the change made a field unknown that may be left out. */
static void a_changed_byte_is_refused_or_reads_back_as_it_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_kinds; i++) {
        struct zdm_buffer bytes = ZDM_BUFFER_INIT, again = ZDM_BUFFER_INIT;
        struct zdm_error err = ZDM_ERROR_INIT;
        kinds[i].encode(&bytes);
        for (size_t at = 0; at < bytes.len; at++) {
            uint8_t was = bytes.data[at];
            bytes.data[at] = (uint8_t)(was ^ (1U << (at % 8)));
            zdm_buffer_reset(&again);
            if (kinds[i].decode(bytes.data, bytes.len, &again, &err) == ZDM_OK &&
                !(grows(&kinds[i]) && again.len < bytes.len)) {
                assert_int_equal(again.len, bytes.len);
                assert_memory_equal(again.data, bytes.data, bytes.len);
            }
            bytes.data[at] = was;
        }
        zdm_buffer_fini(&bytes);
        zdm_buffer_fini(&again);
    }
}

static void expect_refused(const struct kind *kind, const struct zdm_buffer *bytes, const char *why)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    assert_int_equal(kind->decode(bytes->data, bytes->len, NULL, &err), ZDM_PROTOCOL);
    if (why != NULL && strstr(err.message, why) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", kind->name, err.message, why);
}

static void unknown_and_repeated_fields_are_refused(void **state)
{
    (void)state;
    static const uint8_t unknown[] = {0xa0, 0x1f, 0x01}; /* field 500 */
    for (size_t i = 0; i < n_kinds; i++) {
        struct zdm_buffer bytes = ZDM_BUFFER_INIT;
        kinds[i].encode(&bytes);
        size_t n = bytes.len;
        zdm_buffer_append(&bytes, unknown, sizeof unknown);
        expect_refused(&kinds[i], &bytes, "unknown field");
        bytes.len = n;
        uint8_t *once = zdm_memdup(bytes.data, n);
        zdm_buffer_append(&bytes, once, n); /* every field twice */
        expect_refused(&kinds[i], &bytes, NULL);
        free(once);
        zdm_buffer_fini(&bytes);
    }
}

static size_t read_varint(const uint8_t *bytes, size_t *value)
{
    size_t n = 0;
    *value = 0;
    do {
        *value |= (size_t)(bytes[n] & 0x7f) << (7 * n);
    } while ((bytes[n++] & 0x80) != 0);
    return n;
}

static void put_varint(struct zdm_buffer *out, size_t value)
{
    for (; value >= 0x80; value >>= 7) {
        uint8_t byte = (uint8_t)(value | 0x80);
        zdm_buffer_append(out, &byte, 1);
    }
    uint8_t byte = (uint8_t)value;
    zdm_buffer_append(out, &byte, 1);
}

/* The frame with one more field in its body. */
static void add_to_body(const struct zdm_buffer *frame, const uint8_t *field, size_t n, struct zdm_buffer *out)
{
    size_t tag, length, at = read_varint(frame->data, &tag);
    zdm_buffer_append(out, frame->data, at);
    at += read_varint(frame->data + at, &length);
    assert_int_equal(at + length, frame->len);
    put_varint(out, length + n);
    zdm_buffer_append(out, frame->data + at, length);
    zdm_buffer_append(out, field, n);
}

static void a_frame_of_a_newer_release_is_read_without_what_it_says_more(void **state)
{
    (void)state;
    static const uint8_t newer[] = {0xa0, 0x1f, 0x01}, again_known[] = {0x08, 0x07}; /* field 500; field 1 once more */
    size_t read = 0, refused = 0;
    for (size_t i = 0; i < n_kinds; i++) {
        struct zdm_buffer bytes = ZDM_BUFFER_INIT, more = ZDM_BUFFER_INIT, again = ZDM_BUFFER_INIT;
        struct zdm_error err = ZDM_ERROR_INIT;
        if (strncmp(kinds[i].name, "frame ", 6) == 0) {
            kinds[i].encode(&bytes);
            add_to_body(&bytes, newer, sizeof newer, &more);
            if (grows(&kinds[i])) {
                read++;
                if (kinds[i].decode(more.data, more.len, &again, &err) != ZDM_OK)
                    fail_msg("%s: %s", kinds[i].name, err.message);
                assert_int_equal(again.len, bytes.len);
                assert_memory_equal(again.data, bytes.data, bytes.len);
            } else {
                refused++;
                expect_refused(&kinds[i], &more, "unknown field");
            }
            zdm_buffer_reset(&again); /* skipping opens no other door */
            add_to_body(&more, again_known, sizeof again_known, &again);
            expect_refused(&kinds[i], &again, NULL);
        }
        zdm_buffer_fini(&bytes);
        zdm_buffer_fini(&more);
        zdm_buffer_fini(&again);
    }
    assert_int_equal(read, 11);
    assert_int_equal(refused, 9);
}

static const struct kind *kind_of(const char *name)
{
    for (size_t i = 0; i < n_kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    fail();
    return NULL;
}

static void replace(struct zdm_buffer *bytes, const char *old, const char *new, size_t n)
{
    uint8_t *at = memmem(bytes->data, bytes->len, old, n);
    assert_non_null(at);
    memcpy(at, new, n);
}

static void text_with_a_nul_or_not_utf8_or_not_a_name_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *old, *new, *why;
    } cases[] = {
        {"request", "checkout", "check\0ut", NULL},
        {"request", "checkout",
         "check\xff"
         "ut",
         "reason: is not valid UTF-8"},
        {"directive", "eu-1", "EU-1", "shard: is not a valid name"},
        {"enrolment", "gold", "Gold", "labels: value: is not a valid name"},
        {"notes", "Expand",
         "Exp\xc0\x80"
         "d",
         "title: is not valid UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct zdm_buffer bytes = ZDM_BUFFER_INIT;
        kind_of(cases[i].kind)->encode(&bytes);
        replace(&bytes, cases[i].old, cases[i].new, strlen(cases[i].old));
        expect_refused(kind_of(cases[i].kind), &bytes, cases[i].why);
        zdm_buffer_fini(&bytes);
    }
}

static void utf8_is_told_from_what_is_not(void **state)
{
    (void)state;
    static const char *const good[] = {"", "a", "Größe", "…", "\xf0\x9f\x90\x98", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc3",
                                      "\xe2\x80",
                                      "\xed\xa0\x80",
                                      "\xe0\x80\x80",
                                      "\xf0\x80\x80\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xc3("};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(zdm_utf8_is_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(zdm_utf8_is_valid(bad[i], strlen(bad[i])));
}

static void an_error_text_cut_inside_a_character_still_travels(void **state)
{
    (void)state;
    struct zdm_frame frame, out;
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct zdm_error err = ZDM_ERROR_INIT;
    sample_frame(ZDM_FRAME_REPORT, &frame);
    zdm_copy_text(frame.u.report.db_error, sizeof frame.u.report.db_error, "Verbindung abgebrochen: G\xc3");
    zdm_frame_encode(&frame, &bytes);
    assert_int_equal(zdm_frame_decode(bytes.data, bytes.len, &out, &err), ZDM_OK);
    assert_string_equal(out.u.report.db_error, "Verbindung abgebrochen: G?");
    zdm_frame_fini(&frame);
    zdm_frame_fini(&out);
    zdm_buffer_fini(&bytes);
}

static void a_flood_of_empty_parts_stops_at_the_memory_budget(void **state)
{
    (void)state;
    struct zdm_error err = ZDM_ERROR_INIT;
    size_t n = 900 * 1024;
    uint8_t *bytes = malloc(n);
    for (size_t i = 0; i < n; i += 2) {
        bytes[i] = 0x2a; /* Notes.findings, empty */
        bytes[i + 1] = 0;
    }
    assert_int_equal(kind_of("notes")->decode(bytes, n, NULL, &err), ZDM_PROTOCOL);
    assert_non_null(strstr(err.message, "more memory"));
    free(bytes);
}

static void a_survey_within_a_frame_keeps_its_bounds(void **state)
{
    (void)state;
    static const struct {
        uint32_t total, offset;
        size_t n;
        enum zdm_code said, expected;
    } cases[] = {
        {9, 0, 9, ZDM_OK, ZDM_OK},
        {9, 1, 9, ZDM_OK, ZDM_PROTOCOL},
        {9, 10, 0, ZDM_OK, ZDM_PROTOCOL},
        {9, 9, 0, ZDM_OK, ZDM_PROTOCOL},
        {0, 0, 0, ZDM_OK, ZDM_PROTOCOL},
        {0, 0, 0, ZDM_REFUSED, ZDM_OK},
        {0, 0, 9, ZDM_REFUSED, ZDM_PROTOCOL},
        {ZDM_SURVEY_MAX, 0, 9, ZDM_OK, ZDM_OK},
        {ZDM_SURVEY_MAX + 1, 0, 9, ZDM_OK, ZDM_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct zdm_frame frame, out;
        struct zdm_buffer bytes = ZDM_BUFFER_INIT;
        struct zdm_error err = ZDM_ERROR_INIT;
        sample_frame(ZDM_FRAME_SURVEY, &frame);
        frame.u.survey.total = cases[i].total;
        frame.u.survey.offset = cases[i].offset;
        frame.u.survey.n = cases[i].n;
        frame.u.survey.code = cases[i].said;
        zdm_frame_encode(&frame, &bytes);
        if (zdm_frame_decode(bytes.data, bytes.len, &out, &err) != cases[i].expected)
            fail_msg("case %zu: %s", i, err.message);
        zdm_buffer_fini(&bytes);
    }
}

static void golden_bytes_of_plan_and_directive_stay(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *hex;
    } golden[] = {{"plan", golden_plan},
                  {"as-is plan", golden_as_is_plan},
                  {"directive", golden_directive},
                  {"survey", golden_survey}};
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        struct zdm_buffer bytes = ZDM_BUFFER_INIT;
        kind_of(golden[i].kind)->encode(&bytes);
        char *hex = malloc(2 * bytes.len + 1);
        zdm_hex(hex, bytes.data, bytes.len);
        assert_string_equal(hex, golden[i].hex);
        free(hex);
        zdm_buffer_fini(&bytes);
    }
}

static void a_plan_hash_covers_header_and_every_phase(void **state)
{
    (void)state;
    struct zdm_plan *plan = sample_plan();
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    char hex[ZDM_HASH_HEX_SIZE];
    zdm_plan_encode(zdm_crypto_sodium(), plan, &bytes);
    zdm_hex(hex, plan->hash.bytes, sizeof plan->hash.bytes);
    assert_string_equal(hex, golden_plan_hash);
    struct zdm_plan *other = sample_as_is_plan();
    zdm_plan_encode(zdm_crypto_sodium(), other, &bytes);
    zdm_hex(hex, other->hash.bytes, sizeof other->hash.bytes);
    assert_string_equal(hex, golden_as_is_plan_hash);
    zdm_plan_unref(other);
    struct zdm_hash hash = plan->hash, first = plan->phases[0].digest, second = plan->phases[1].digest;
    plan->phases[1].steps[0].batch_rows++;
    zdm_plan_encode(zdm_crypto_sodium(), plan, &bytes);
    assert_false(zdm_hash_equal(&hash, &plan->hash));
    assert_true(zdm_hash_equal(&first, &plan->phases[0].digest));
    assert_false(zdm_hash_equal(&second, &plan->phases[1].digest));
    hash = plan->hash;
    plan->grace_ms++;
    zdm_plan_encode(zdm_crypto_sodium(), plan, &bytes);
    assert_false(zdm_hash_equal(&hash, &plan->hash));
    zdm_plan_unref(plan);
    zdm_buffer_fini(&bytes);
}

static void a_decoded_plan_has_the_hash_and_fields_of_the_encoded(void **state)
{
    (void)state;
    struct zdm_plan *plan = sample_plan(), *out = NULL;
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct zdm_error err = ZDM_ERROR_INIT;
    zdm_plan_encode(zdm_crypto_sodium(), plan, &bytes);
    assert_int_equal(zdm_plan_decode(zdm_crypto_sodium(), bytes.data, bytes.len, &out, &err), ZDM_OK);
    assert_true(zdm_hash_equal(&plan->hash, &out->hash));
    assert_string_equal(out->waves[2].selector, "");
    assert_null(out->waves[1].selector);
    assert_null(out->phases[2].steps[0].table.name);
    assert_null(out->phases[2].steps[0].sql);
    assert_string_equal(out->phases[0].steps[1].derivation->assignments[0].expr_new, "NEW.\"name\"");
    assert_int_equal(out->phases[3].class, ZDM_PHASE_PURGE);
    assert_int_equal(zdm_plan_phase_of(out, 3), 2);
    zdm_plan_unref(plan);
    zdm_plan_unref(out);
    zdm_buffer_fini(&bytes);
}

static void a_plan_that_is_not_whole_is_refused(void **state)
{
    (void)state;
    struct zdm_plan *plan = sample_plan(), *out = NULL;
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct zdm_error err = ZDM_ERROR_INIT;
    plan->phases[1].steps[0].ordinal = 9;
    zdm_plan_encode(zdm_crypto_sodium(), plan, &bytes);
    assert_int_equal(zdm_plan_decode(zdm_crypto_sodium(), bytes.data, bytes.len, &out, &err), ZDM_PROTOCOL);
    assert_string_equal(err.message, "plan: step 9 stands at place 3");
    assert_null(out);
    zdm_plan_unref(plan);
    zdm_buffer_fini(&bytes);
}

static void sql_that_is_not_utf8_cannot_be_encoded(void **state)
{
    (void)state;
    struct zdm_plan *plan = sample_plan();
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    plan->phases[0].steps[0].sql[0] = '\xff';
    zdm_plan_encode(zdm_crypto_sodium(), plan, &bytes);
    assert_true(bytes.failed);
    zdm_plan_unref(plan);
    zdm_buffer_fini(&bytes);
}

/* What an approval may say at once: a phase that is entered or purged goes with the digest of its bytes, undo and what
 * rollbacks left hidden with none. */
static void an_approval_says_what_its_action_allows_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        enum zdm_approval_action action;
        uint32_t phase;
        bool digest, now, fits;
    } cases[] = {{ZDM_APPROVE_ENTER, 1, true, false, true},    {ZDM_APPROVE_ENTER, 1, false, false, false},
                 {ZDM_APPROVE_ENTER, 0, true, false, false},   {ZDM_APPROVE_ENTER, 0, false, false, false},
                 {ZDM_APPROVE_ENTER, 1, true, true, false},    {ZDM_APPROVE_PURGE, 4, true, false, true},
                 {ZDM_APPROVE_PURGE, 4, true, true, true},     {ZDM_APPROVE_PURGE, 4, false, false, false},
                 {ZDM_APPROVE_PURGE, 0, false, false, true},   {ZDM_APPROVE_PURGE, 0, false, true, true},
                 {ZDM_APPROVE_PURGE, 0, true, false, false},   {ZDM_APPROVE_UNDO, 0, false, false, true},
                 {ZDM_APPROVE_UNDO, 2, false, false, true},    {ZDM_APPROVE_UNDO, 2, true, false, false},
                 {ZDM_APPROVE_UNDO, 0, false, true, false},    {0, 1, true, false, false},
                 {ZDM_APPROVE_UNDO + 1, 1, true, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct zdm_approval approval, out;
        struct zdm_buffer bytes = ZDM_BUFFER_INIT;
        struct zdm_error err = ZDM_ERROR_INIT;
        sample_approval(&approval);
        approval.action = cases[i].action;
        approval.phase = cases[i].phase;
        approval.phase_digest = cases[i].digest ? sample_hash(9) : (struct zdm_hash){{0}};
        approval.purge_now = cases[i].now;
        zdm_approval_encode(&approval, &bytes);
        enum zdm_code code = zdm_approval_decode(bytes.data, bytes.len, &out, &err);
        if (code != (cases[i].fits ? ZDM_OK : ZDM_PROTOCOL))
            fail_msg("case %zu: %s %s", i, zdm_code_name(code), err.message);
        if (code == ZDM_OK)
            zdm_approval_fini(&out);
        zdm_approval_fini(&approval);
        zdm_buffer_fini(&bytes);
    }
}

static void codes_keep_their_numbers_on_the_wire(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ZDM_CODE_COUNT; i++) {
        enum zdm_code code;
        assert_true(zdm_code_from_wire(zdm_code_to_wire((enum zdm_code)i), &code));
        assert_int_equal(code, i);
    }
    enum zdm_code code;
    assert_false(zdm_code_from_wire(9999, &code));
    assert_int_equal(zdm_code_to_wire(ZDM_FENCED), 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_fits_its_descriptor),
        cmocka_unit_test(what_is_encoded_is_read_and_encodes_to_the_same_bytes),
        cmocka_unit_test(samples_set_every_field),
        cmocka_unit_test(bytes_cut_at_any_length_are_refused_or_say_less),
        cmocka_unit_test(a_changed_byte_is_refused_or_reads_back_as_it_is),
        cmocka_unit_test(unknown_and_repeated_fields_are_refused),
        cmocka_unit_test(a_frame_of_a_newer_release_is_read_without_what_it_says_more),
        cmocka_unit_test(text_with_a_nul_or_not_utf8_or_not_a_name_is_refused),
        cmocka_unit_test(utf8_is_told_from_what_is_not),
        cmocka_unit_test(an_error_text_cut_inside_a_character_still_travels),
        cmocka_unit_test(a_flood_of_empty_parts_stops_at_the_memory_budget),
        cmocka_unit_test(a_survey_within_a_frame_keeps_its_bounds),
        cmocka_unit_test(golden_bytes_of_plan_and_directive_stay),
        cmocka_unit_test(a_plan_hash_covers_header_and_every_phase),
        cmocka_unit_test(a_decoded_plan_has_the_hash_and_fields_of_the_encoded),
        cmocka_unit_test(a_plan_that_is_not_whole_is_refused),
        cmocka_unit_test(sql_that_is_not_utf8_cannot_be_encoded),
        cmocka_unit_test(an_approval_says_what_its_action_allows_and_nothing_else),
        cmocka_unit_test(codes_keep_their_numbers_on_the_wire),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
