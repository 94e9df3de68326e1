/*
 * test_signed.c - envelopes, trust files, join tokens and who may send what: only the right thing passes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/os/crypto.h"
#include "proto/codec.h"
#include "proto/signed.h"
#include "proto/trust_file.h"
#include "tests/unit/proto/sample.h"

static int start(void **state)
{
    struct zdm_error err;
    (void)state;
    return zdm_crypto_start(&err) == ZDM_OK ? 0 : -1;
}

/* Knows sample_key(1) only. */
static bool find_one(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    (void)ctx;
    struct zdm_signing_key key = sample_key(1);
    *out_public_key = key.public_key;
    return zdm_id_equal(&key.id, key_id);
}

static bool find_none(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    (void)ctx;
    (void)key_id;
    (void)out_public_key;
    return false;
}

static enum zdm_code check(const struct zdm_envelope *envelope, unsigned type, uint8_t fleet, zdm_signed_find_key find,
                           struct zdm_error *err)
{
    const uint8_t *body;
    size_t n;
    struct zdm_id id = sample_id(fleet);
    return zdm_signed_check(zdm_crypto_sodium(), envelope, (enum zdm_signed_type)type, &id, find, NULL, &body, &n, NULL,
                            err);
}

static void a_signed_message_gives_its_body_and_signer(void **state)
{
    (void)state;
    struct zdm_envelope envelope = sample_envelope(ZDM_SIGNED_DIRECTIVE, "body", 4);
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_id fleet = sample_id(2), key_id, wanted = sample_key(1).id;
    const uint8_t *body;
    size_t n;
    assert_int_equal(zdm_signed_check(zdm_crypto_sodium(), &envelope, ZDM_SIGNED_DIRECTIVE, &fleet, find_one, NULL,
                                      &body, &n, &key_id, &err),
                     ZDM_OK);
    assert_int_equal(n, 4);
    assert_memory_equal(body, "body", 4);
    assert_true(zdm_id_equal(&key_id, &wanted));
    zdm_envelope_fini(&envelope);
}

static void every_flipped_bit_is_refused(void **state)
{
    (void)state;
    struct zdm_envelope envelope = sample_envelope(ZDM_SIGNED_DIRECTIVE, "body", 4);
    struct zdm_error err = ZDM_ERROR_INIT;
    for (size_t bit = 0; bit < 8 * (envelope.len + sizeof envelope.signature); bit++) {
        size_t at = bit / 8;
        uint8_t *byte = at < envelope.len ? &envelope.bytes[at] : &envelope.signature[at - envelope.len];
        *byte ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(check(&envelope, ZDM_SIGNED_DIRECTIVE, 2, find_one, &err), ZDM_AUTH);
        *byte ^= (uint8_t)(1U << bit % 8);
    }
    assert_int_equal(check(&envelope, ZDM_SIGNED_DIRECTIVE, 2, find_one, &err), ZDM_OK);
    zdm_envelope_fini(&envelope);
}

static void a_message_of_one_type_is_never_taken_for_another(void **state)
{
    (void)state;
    struct zdm_error err = ZDM_ERROR_INIT;
    for (unsigned made = ZDM_SIGNED_PLAN; made <= ZDM_SIGNED_UNDO_ORDER; made++) {
        struct zdm_envelope envelope = sample_envelope(made, "body", 4);
        for (unsigned wanted = ZDM_SIGNED_PLAN; wanted <= ZDM_SIGNED_UNDO_ORDER; wanted++)
            assert_int_equal(check(&envelope, wanted, 2, find_one, &err), made == wanted ? ZDM_OK : ZDM_AUTH);
        zdm_envelope_fini(&envelope);
    }
}

/* Each message has one more fault than the one before; the error names the first fault in the order of the checks. */
static void checks_run_in_their_order(void **state)
{
    (void)state;
    struct zdm_envelope envelope = sample_envelope(ZDM_SIGNED_DIRECTIVE, "body", 4);
    struct zdm_error err = ZDM_ERROR_INIT;
    envelope.signature[0] ^= 1;
    check(&envelope, ZDM_SIGNED_DIRECTIVE, 2, find_one, &err);
    assert_non_null(strstr(err.message, "signature is wrong"));
    check(&envelope, ZDM_SIGNED_DIRECTIVE, 2, find_none, &err);
    assert_non_null(strstr(err.message, "key is unknown"));
    check(&envelope, ZDM_SIGNED_DIRECTIVE, 3, find_none, &err);
    assert_non_null(strstr(err.message, "another fleet"));
    check(&envelope, ZDM_SIGNED_PLAN, 3, find_none, &err);
    assert_non_null(strstr(err.message, "another type"));
    envelope.bytes[19] = 1;
    check(&envelope, ZDM_SIGNED_PLAN, 3, find_none, &err);
    assert_non_null(strstr(err.message, "reserved"));
    envelope.bytes[0] = 'Z';
    check(&envelope, ZDM_SIGNED_PLAN, 3, find_none, &err);
    assert_non_null(strstr(err.message, "not a signed message"));
    envelope.len--;
    check(&envelope, ZDM_SIGNED_PLAN, 3, find_none, &err);
    assert_non_null(strstr(err.message, "length"));
    zdm_envelope_fini(&envelope);
}

static void an_envelope_cut_at_any_length_is_refused(void **state)
{
    (void)state;
    struct zdm_envelope envelope = sample_envelope(ZDM_SIGNED_DIRECTIVE, "body", 4), out;
    struct zdm_buffer flat = ZDM_BUFFER_INIT;
    struct zdm_error err = ZDM_ERROR_INIT;
    zdm_envelope_flatten(&envelope, &flat);
    for (size_t n = 0; n < flat.len; n++)
        assert_int_equal(zdm_envelope_unflatten(flat.data, n, &out, &err), ZDM_PROTOCOL);
    assert_int_equal(zdm_envelope_unflatten(flat.data, flat.len, &out, &err), ZDM_OK);
    assert_int_equal(out.len, envelope.len);
    assert_int_equal(check(&out, ZDM_SIGNED_DIRECTIVE, 2, find_one, &err), ZDM_OK);
    for (size_t n = envelope.len; n-- > 0;) {
        out.len = n;
        assert_int_equal(check(&out, ZDM_SIGNED_DIRECTIVE, 2, find_one, &err), ZDM_AUTH);
    }
    zdm_envelope_fini(&out);
    zdm_envelope_fini(&envelope);
    zdm_buffer_fini(&flat);
}

/* ---- trust ---- */

static void trust_with_roots(struct zdm_trust *trust, uint32_t version, const uint8_t *roots, size_t n,
                             uint32_t threshold)
{
    sample_trust(trust);
    trust->version = version;
    trust->n_roots = n;
    trust->root_threshold = threshold;
    for (size_t i = 0; i < n; i++)
        trust->roots[i] = sample_key(roots[i]).public_key;
}

/* Version 1 with roots 1, 10 and 11 and threshold 2, signed by the keys given. */
static enum zdm_code start_chain(const uint8_t *signers, size_t n, struct zdm_trust_chain *out, struct zdm_error *err)
{
    static const uint8_t roots[] = {1, 10, 11};
    struct zdm_signing_key keys[4];
    const struct zdm_signing_key *pointers[4];
    struct zdm_trust trust;
    trust_with_roots(&trust, 1, roots, 3, 2);
    for (size_t i = 0; i < n; i++) {
        keys[i] = sample_key(signers[i]);
        pointers[i] = &keys[i];
    }
    enum zdm_code code = zdm_trust_chain_start(zdm_crypto_sodium(), &trust, pointers, n, out, err);
    zdm_trust_fini(&trust);
    return code;
}

/* The chain of version 1 (signed by 1 and 10) and a next version with roots 10 and 20, threshold 2. */
static enum zdm_code extend(uint32_t version, const uint8_t *signers, size_t n, struct zdm_error *err)
{
    static const uint8_t first[] = {1, 10}, roots[] = {10, 20};
    struct zdm_trust_chain chain, out;
    struct zdm_envelope envelopes[8];
    struct zdm_trust trust;
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    assert_int_equal(start_chain(first, 2, &chain, err), ZDM_OK);
    trust_with_roots(&trust, version, roots, 2, 2);
    zdm_trust_encode(&trust, &body);
    size_t total = chain.n_envelopes;
    for (size_t i = 0; i < total; i++)
        envelopes[i] = chain.envelopes[i];
    for (size_t i = 0; i < n; i++) {
        struct zdm_signing_key key = sample_key(signers[i]);
        assert_int_equal(zdm_signed_make(zdm_crypto_sodium(), &key, &chain.fleet, ZDM_SIGNED_TRUST, body.data, body.len,
                                         &envelopes[total + i], err),
                         ZDM_OK);
    }
    enum zdm_code code = zdm_trust_chain_verify(zdm_crypto_sodium(), envelopes, total + n, &out, err);
    if (code == ZDM_OK) {
        assert_int_equal(out.trust.version, version);
        assert_true(zdm_id_equal(&out.fleet, &chain.fleet));
        zdm_trust_chain_fini(&out);
    }
    for (size_t i = 0; i < n; i++)
        zdm_envelope_fini(&envelopes[total + i]);
    zdm_trust_chain_fini(&chain);
    zdm_trust_fini(&trust);
    zdm_buffer_fini(&body);
    return code;
}

static void version_1_needs_its_own_threshold(void **state)
{
    (void)state;
    struct zdm_trust_chain chain;
    struct zdm_error err = ZDM_ERROR_INIT;
    assert_int_equal(start_chain((const uint8_t[]){1}, 1, &chain, &err), ZDM_AUTH);
    assert_int_equal(start_chain((const uint8_t[]){1, 1}, 2, &chain, &err), ZDM_AUTH);
    assert_int_equal(start_chain((const uint8_t[]){1, 99}, 2, &chain, &err), ZDM_AUTH);
    assert_int_equal(start_chain((const uint8_t[]){1, 11}, 2, &chain, &err), ZDM_OK);
    zdm_trust_chain_fini(&chain);
}

static void version_2_needs_the_thresholds_of_both_versions(void **state)
{
    (void)state;
    struct zdm_error err = ZDM_ERROR_INIT;
    assert_int_equal(extend(2, (const uint8_t[]){1, 10, 20}, 3, &err), ZDM_OK);
    assert_int_equal(extend(2, (const uint8_t[]){10, 20}, 2, &err), ZDM_AUTH);     /* one root of version 1 */
    assert_int_equal(extend(2, (const uint8_t[]){1, 10, 11}, 3, &err), ZDM_AUTH);  /* one root of version 2 */
    assert_int_equal(extend(2, (const uint8_t[]){20, 21, 22}, 3, &err), ZDM_AUTH); /* none of version 1 */
    assert_int_equal(extend(3, (const uint8_t[]){1, 10, 20}, 3, &err), ZDM_INVALID);
    assert_int_equal(extend(1, (const uint8_t[]){1, 10, 20}, 3, &err), ZDM_INVALID);
}

static void a_trust_file_reads_back_and_no_changed_byte_passes(void **state)
{
    (void)state;
    struct zdm_trust_chain chain, again;
    struct zdm_buffer file = ZDM_BUFFER_INIT;
    struct zdm_error err = ZDM_ERROR_INIT;
    assert_int_equal(start_chain((const uint8_t[]){1, 11}, 2, &chain, &err), ZDM_OK);
    zdm_trust_chain_write(&chain, &file);
    assert_int_equal(zdm_trust_chain_read(zdm_crypto_sodium(), file.data, file.len, &again, &err), ZDM_OK);
    assert_true(zdm_hash_equal(&chain.hash, &again.hash));
    assert_memory_equal(chain.fleet.bytes, chain.hash.bytes, 16);
    zdm_trust_chain_fini(&again);
    for (size_t at = 0; at < file.len; at++) {
        file.data[at] ^= 0x10;
        assert_int_not_equal(zdm_trust_chain_read(zdm_crypto_sodium(), file.data, file.len, &again, &err), ZDM_OK);
        file.data[at] ^= 0x10;
    }
    for (size_t n = 0; n < file.len; n += 7)
        assert_int_not_equal(zdm_trust_chain_read(zdm_crypto_sodium(), file.data, n, &again, &err), ZDM_OK);
    zdm_trust_chain_fini(&chain);
    zdm_buffer_fini(&file);
}

static void keys_are_found_by_role_only(void **state)
{
    (void)state;
    struct zdm_trust trust;
    struct zdm_hash key;
    sample_trust(&trust);
    trust.people[0].roles = ZDM_ROLE_OPERATOR;
    struct zdm_trust_finder finder = {.crypto = zdm_crypto_sodium(), .trust = &trust, .role = ZDM_ROLE_OPERATOR};
    struct zdm_id person = sample_key(4).id, coordinator = sample_key(3).id;
    assert_true(zdm_trust_find_person(&finder, &person, &key));
    assert_false(zdm_trust_find_coordinator(&finder, &person, &key));
    assert_true(zdm_trust_find_coordinator(&finder, &coordinator, &key));
    assert_false(zdm_trust_find_person(&finder, &coordinator, &key));
    finder.role = ZDM_ROLE_APPROVER;
    assert_false(zdm_trust_find_person(&finder, &person, &key));
    finder.role = ZDM_ROLE_VIEWER;
    assert_true(zdm_trust_find_person(&finder, &person, &key));
    zdm_trust_fini(&trust);
}

/* ---- tokens ---- */

static void a_join_token_reads_back(void **state)
{
    (void)state;
    struct zdm_token token, out;
    struct zdm_buffer text = ZDM_BUFFER_INIT, again = ZDM_BUFFER_INIT;
    struct zdm_error err = ZDM_ERROR_INIT;
    sample_token(&token);
    zdm_token_write(&token, &text);
    assert_false(text.failed);
    assert_int_equal(zdm_token_read(zdm_buffer_text(&text), &out, &err), ZDM_OK);
    zdm_token_write(&out, &again); /* the structs themselves may differ in what lies between their fields */
    assert_string_equal(zdm_buffer_text(&again), zdm_buffer_text(&text));
    zdm_buffer_fini(&again);
    zdm_buffer_fini(&text);
}

static void garbage_is_not_a_join_token(void **state)
{
    (void)state;
    static const char *const garbage[] = {"",      "zdm1.",       "zdm1.A",          "zdm2.AAAA",
                                          "hello", "zdm1.AAAA==", "zdm1.not base64", "zdm1.AAAAAAAAAAAAAAAA"};
    struct zdm_token token, out;
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    struct zdm_error err = ZDM_ERROR_INIT;
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++)
        assert_int_equal(zdm_token_read(garbage[i], &out, &err), ZDM_PROTOCOL);
    sample_token(&token);
    zdm_token_write(&token, &text);
    char *line = zdm_buffer_take(&text);
    for (size_t n = strlen(line); n-- > 0;) {
        line[n] = '\0';
        assert_int_equal(zdm_token_read(line, &out, &err), ZDM_PROTOCOL);
        assert_null(strstr(err.message, "AAAA"));
    }
    free(line);
}

/* ---- who may send what ---- */

static void the_table_of_frames_and_senders_is_the_protocol(void **state)
{
    (void)state;
    enum {
        A = ZDM_SENDER_AGENT,
        J = ZDM_SENDER_JOINER,
        P = ZDM_SENDER_PERSON,
        CA = ZDM_SENDER_COORDINATOR_TO_AGENT,
        CJ = ZDM_SENDER_COORDINATOR_TO_JOINER,
        CP = ZDM_SENDER_COORDINATOR_TO_PERSON
    };
    static const unsigned wanted[256] = {
        [ZDM_FRAME_REPORT] = A,
        [ZDM_FRAME_PLAN_REQUEST] = A,
        [ZDM_FRAME_TRUST_REQUEST] = A | J,
        [ZDM_FRAME_JOIN] = J,
        [ZDM_FRAME_WELCOME] = CA | CJ | CP,
        [ZDM_FRAME_ORDERS] = CA,
        [ZDM_FRAME_ACK] = CA,
        [ZDM_FRAME_PLAN_PIECE] = CA,
        [ZDM_FRAME_TRUST] = CA | CJ,
        [ZDM_FRAME_JOINED] = CJ,
        [ZDM_FRAME_BYE] = CA | CJ | CP,
        [ZDM_FRAME_UPLOAD] = P,
        [ZDM_FRAME_REQUEST] = P,
        [ZDM_FRAME_QUERY] = P,
        [ZDM_FRAME_WATCH] = P,
        [ZDM_FRAME_ANSWER] = CP,
        [ZDM_FRAME_ROWS] = CP,
        [ZDM_FRAME_PUSH] = CP,
        [ZDM_FRAME_SURVEY_ORDER] = CA,
        [ZDM_FRAME_SURVEY] = A,
    };
    for (unsigned type = 0; type < 256; type++)
        for (unsigned sender = 1; sender <= 32; sender *= 2)
            assert_int_equal(zdm_frame_allowed((enum zdm_frame_type)type, (enum zdm_frame_sender)sender),
                             (wanted[type] & sender) != 0);
}

static void pieces_are_borrowed_from_the_frame(void **state)
{
    (void)state;
    struct zdm_frame frame, out;
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct zdm_error err = ZDM_ERROR_INIT;
    sample_frame(ZDM_FRAME_PLAN_PIECE, &frame);
    zdm_frame_encode(&frame, &bytes);
    assert_int_equal(zdm_frame_decode(bytes.data, bytes.len, &out, &err), ZDM_OK);
    assert_ptr_equal(out.u.piece.bytes, bytes.data + bytes.len - out.u.piece.n);
    assert_memory_equal(out.u.piece.bytes, "the bytes", 9);
    zdm_buffer_reset(&bytes);
    frame.u.piece.total = 25; /* 20 + 9 lie outside */
    zdm_frame_encode(&frame, &bytes);
    assert_int_equal(zdm_frame_decode(bytes.data, bytes.len, &out, &err), ZDM_PROTOCOL);
    zdm_buffer_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signed_message_gives_its_body_and_signer),
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(a_message_of_one_type_is_never_taken_for_another),
        cmocka_unit_test(checks_run_in_their_order),
        cmocka_unit_test(an_envelope_cut_at_any_length_is_refused),
        cmocka_unit_test(version_1_needs_its_own_threshold),
        cmocka_unit_test(version_2_needs_the_thresholds_of_both_versions),
        cmocka_unit_test(a_trust_file_reads_back_and_no_changed_byte_passes),
        cmocka_unit_test(keys_are_found_by_role_only),
        cmocka_unit_test(a_join_token_reads_back),
        cmocka_unit_test(garbage_is_not_a_join_token),
        cmocka_unit_test(the_table_of_frames_and_senders_is_the_protocol),
        cmocka_unit_test(pieces_are_borrowed_from_the_frame),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
