/*
 * test_session.c - the handshake and the frames, honest and attacked: protocol 5's list of what must be refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/limits.h"
#include "tests/unit/session/ends.h"

static struct ends e;

static int start(void **state)
{
    (void)state;
    ends_init(&e);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    ends_fini(&e);
    return 0;
}

static void handshake(bool joining)
{
    ends_dial(&e, joining ? &e.any : &e.coordinator.id, joining);
    assert_int_equal(ends_hello(&e), ZDM_OK);
    assert_int_equal(ends_welcome(&e), ZDM_OK);
    assert_int_equal(ends_auth(&e), ZDM_OK);
}

/* One frame from one side to the other. */
static enum zdm_code carry(struct zdm_session *from, struct zdm_session *to, const char *text)
{
    uint8_t sealed[256], opened[256];
    size_t n = strlen(text), opened_n = 0;
    assert_int_equal(zdm_session_seal(from, text, n, sealed, &e.err), ZDM_OK);
    enum zdm_code code = zdm_session_open(to, sealed, n + ZDM_SEAL_OVERHEAD, opened, &opened_n, &e.err);
    if (code == ZDM_OK) {
        assert_int_equal(opened_n, n);
        assert_memory_equal(opened, text, n);
    }
    return code;
}

static void assert_closed(const struct zdm_session *session)
{
    static const struct zdm_session_keys no_keys;
    static const struct zdm_kx_pair no_pair;
    assert_int_equal(zdm_session_state_of(session), ZDM_SESSION_CLOSED);
    assert_memory_equal(&session->keys, &no_keys, sizeof no_keys);
    assert_memory_equal(&session->pair, &no_pair, sizeof no_pair);
}

static void both_sides_agree_and_frames_pass_in_both_directions(void **state)
{
    (void)state;
    handshake(false);
    struct zdm_hash ours = zdm_session_transcript(e.dialler), theirs = zdm_session_transcript(e.listener);
    struct zdm_id peer = zdm_session_peer(e.dialler), instance = zdm_session_peer_instance(e.dialler);
    assert_true(zdm_hash_equal(&ours, &theirs));
    assert_false(zdm_hash_is_zero(&ours));
    assert_true(zdm_id_equal(&peer, &e.coordinator.id));
    assert_true(zdm_id_equal(&instance, &e.instance));
    assert_true(zdm_id_equal(&e.peer_id, &e.agent.id));
    assert_true(zdm_hash_equal(&e.peer_key, &e.agent.public_key));
    assert_false(e.peer_joins);
    assert_true(zdm_session_peer_is_proven(e.dialler));
    assert_int_equal(zdm_session_role_of(e.listener), ZDM_SESSION_AGENT);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(carry(e.dialler, e.listener, "a report"), ZDM_OK);
        assert_int_equal(carry(e.listener, e.dialler, "an order"), ZDM_OK);
        assert_int_equal(carry(e.listener, e.dialler, ""), ZDM_OK);
    }
}

static void ephemeral_keys_are_wiped_once_the_session_keys_are_made(void **state)
{
    static const struct zdm_kx_pair none;
    (void)state;
    handshake(false);
    assert_memory_equal(&e.dialler->pair, &none, sizeof none);
    assert_memory_equal(&e.listener->pair, &none, sizeof none);
}

static void the_largest_frame_passes_and_a_larger_one_is_not_sealed(void **state)
{
    static uint8_t plain[ZDM_FRAME_MAX], sealed[ZDM_FRAME_MAX + ZDM_SEAL_OVERHEAD], opened[ZDM_FRAME_MAX];
    size_t n = ZDM_FRAME_MAX - ZDM_SEAL_OVERHEAD, opened_n;
    (void)state;
    handshake(false);
    assert_int_equal(zdm_session_seal(e.dialler, plain, n + 1, sealed, &e.err), ZDM_INVALID);
    assert_int_equal(zdm_session_seal(e.dialler, plain, n, sealed, &e.err), ZDM_OK);
    assert_int_equal(zdm_session_open(e.listener, sealed, ZDM_FRAME_MAX, opened, &opened_n, &e.err), ZDM_OK);
    assert_int_equal(opened_n, n);
}

static void a_replayed_frame_closes_the_session(void **state)
{
    uint8_t sealed[32], opened[32];
    size_t n;
    (void)state;
    handshake(false);
    assert_int_equal(zdm_session_seal(e.dialler, "once", 4, sealed, &e.err), ZDM_OK);
    assert_int_equal(zdm_session_open(e.listener, sealed, 20, opened, &n, &e.err), ZDM_OK);
    assert_int_equal(zdm_session_open(e.listener, sealed, 20, opened, &n, &e.err), ZDM_PROTOCOL);
    assert_closed(e.listener);
    assert_int_equal(zdm_session_open(e.listener, sealed, 20, opened, &n, &e.err), ZDM_CLOSED);
    assert_int_equal(zdm_session_seal(e.listener, "no", 2, sealed, &e.err), ZDM_CLOSED);
}

static void a_frame_left_out_closes_the_session(void **state)
{
    uint8_t sealed[32];
    (void)state;
    handshake(false);
    assert_int_equal(zdm_session_seal(e.dialler, "lost", 4, sealed, &e.err), ZDM_OK);
    assert_int_equal(carry(e.dialler, e.listener, "next"), ZDM_PROTOCOL);
    assert_closed(e.listener);
}

static void a_frame_sent_back_to_its_sender_closes_the_session(void **state)
{
    uint8_t sealed[32], opened[32];
    size_t n;
    (void)state;
    handshake(false);
    assert_int_equal(zdm_session_seal(e.listener, "mine", 4, sealed, &e.err), ZDM_OK);
    assert_int_equal(zdm_session_open(e.listener, sealed, 20, opened, &n, &e.err), ZDM_PROTOCOL);
}

static void every_flipped_bit_of_a_frame_closes_the_session(void **state)
{
    uint8_t sealed[24], opened[24];
    size_t n;
    (void)state;
    for (size_t bit = 0; bit < 8 * sizeof sealed; bit += 5) {
        handshake(false);
        assert_int_equal(zdm_session_seal(e.dialler, "8 bytes.", 8, sealed, &e.err), ZDM_OK);
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(zdm_session_open(e.listener, sealed, sizeof sealed, opened, &n, &e.err), ZDM_PROTOCOL);
    }
    for (size_t cut = 0; cut < sizeof sealed; cut += 4) {
        handshake(false);
        assert_int_equal(zdm_session_seal(e.dialler, "8 bytes.", 8, sealed, &e.err), ZDM_OK);
        assert_int_equal(zdm_session_open(e.listener, sealed, cut, opened, &n, &e.err), ZDM_PROTOCOL);
    }
}

static void every_flipped_bit_of_hello_is_refused(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 8 * ZDM_HELLO_SIZE; bit++) {
        ends_dial(&e, &e.coordinator.id, false);
        e.hello[bit / 8] ^= (uint8_t)(1u << bit % 8);
        bool ephemeral = bit / 8 >= HELLO_EPHEMERAL && bit / 8 < HELLO_WANT;
        if (!ephemeral) {
            assert_int_equal(ends_hello(&e), ZDM_PROTOCOL);
            assert_closed(e.listener);
            continue;
        }
        /* The listener cannot see it; the dialler does, by the signature over what the listener got. */
        assert_int_equal(ends_hello(&e), ZDM_OK);
        assert_int_equal(ends_welcome(&e), ZDM_AUTH);
        assert_closed(e.dialler);
    }
}

static void every_flipped_bit_of_welcome_is_refused(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 8 * ZDM_WELCOME_SIZE; bit++) {
        ends_dial(&e, &e.any, false);
        assert_int_equal(ends_hello(&e), ZDM_OK);
        e.welcome[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(ends_welcome(&e), ZDM_OK);
        assert_closed(e.dialler);
    }
}

static void every_flipped_bit_of_auth_is_refused(void **state)
{
    uint8_t original[sizeof e.auth];
    (void)state;
    for (size_t bit = 0; bit < 8 * sizeof original; bit++) {
        ends_dial(&e, &e.coordinator.id, false);
        assert_int_equal(ends_hello(&e), ZDM_OK);
        assert_int_equal(ends_welcome(&e), ZDM_OK);
        e.auth[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(ends_auth(&e), ZDM_PROTOCOL);
        assert_closed(e.listener);
    }
}

/* Seals a changed auth with the dialler's own key: a dialler that lies rather than a line that garbles. */
static enum zdm_code take_lying_auth(size_t byte, uint8_t with)
{
    const struct zdm_crypto *crypto = zdm_crypto_sodium();
    uint8_t auth[ZDM_AUTH_SIZE];
    ends_dial(&e, &e.coordinator.id, false);
    assert_int_equal(ends_hello(&e), ZDM_OK);
    assert_int_equal(ends_welcome(&e), ZDM_OK);
    assert_true(crypto->open(crypto->self, auth, e.auth, sizeof e.auth, 0, e.dialler->keys.send));
    auth[byte] ^= with;
    crypto->seal(crypto->self, e.auth, auth, sizeof auth, 0, e.dialler->keys.send);
    return ends_auth(&e);
}

static void every_changed_byte_inside_auth_is_refused(void **state)
{
    (void)state;
    assert_int_equal(take_lying_auth(0, 0), ZDM_OK);
    for (size_t byte = 0; byte < ZDM_AUTH_SIZE; byte++) {
        assert_int_equal(take_lying_auth(byte, 0x40), ZDM_AUTH);
        assert_closed(e.listener);
    }
}

static void wrong_lengths_are_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n <= ZDM_HELLO_SIZE; n += 12) {
        ends_dial(&e, &e.any, false);
        enum zdm_code code = zdm_session_take_hello(e.listener, e.hello, n, e.welcome, &e.err);
        assert_int_equal(code, n == ZDM_HELLO_SIZE ? ZDM_OK : ZDM_PROTOCOL);
    }
    for (size_t n = 0; n <= ZDM_WELCOME_SIZE; n += 16) {
        ends_dial(&e, &e.any, false);
        assert_int_equal(ends_hello(&e), ZDM_OK);
        enum zdm_code code = zdm_session_take_welcome(e.dialler, e.welcome, n, find_known, &e.trusted, e.auth, &e.err);
        assert_int_equal(code, n == ZDM_WELCOME_SIZE ? ZDM_OK : ZDM_PROTOCOL);
    }
}

static void a_role_changed_in_flight_is_refused(void **state)
{
    (void)state;
    ends_dial(&e, &e.coordinator.id, false);
    e.hello[HELLO_ROLE] = ZDM_SESSION_PERSON;
    assert_int_equal(ends_hello(&e), ZDM_OK);
    assert_int_equal(zdm_session_role_of(e.listener), ZDM_SESSION_PERSON);
    assert_int_equal(ends_welcome(&e), ZDM_AUTH);
    /* A dialler that joins cannot check the welcome yet; then the listener finds other keys on its side. */
    ends_dial(&e, &e.any, true);
    e.hello[HELLO_ROLE] = ZDM_SESSION_PERSON;
    assert_int_equal(ends_hello(&e), ZDM_OK);
    assert_int_equal(ends_welcome(&e), ZDM_OK);
    assert_int_equal(ends_auth(&e), ZDM_PROTOCOL);
}

static void an_agents_proof_cannot_be_used_in_anothers_session(void **state)
{
    const struct zdm_crypto *crypto = zdm_crypto_sodium();
    uint8_t auth[ZDM_AUTH_SIZE];
    (void)state;
    /* The agent proves itself to a coordinator that is in league with the stranger. */
    handshake(false);
    assert_true(crypto->open(crypto->self, auth, e.auth, sizeof e.auth, 0, e.listener->keys.receive));
    /* The stranger shows that proof in a session of its own. */
    e.dialler_byte = 0x99;
    ends_dial(&e, &e.coordinator.id, false);
    assert_int_equal(ends_hello(&e), ZDM_OK);
    assert_int_equal(ends_welcome(&e), ZDM_OK);
    crypto->seal(crypto->self, e.auth, auth, sizeof auth, 0, e.dialler->keys.send);
    assert_int_equal(ends_auth(&e), ZDM_AUTH);
}

static void a_coordinator_cannot_pass_off_anothers_welcome_as_its_own(void **state)
{
    const struct zdm_crypto *crypto = zdm_crypto_sodium();
    struct zdm_hash hash;
    (void)state;
    e.trusted = (struct known){{&e.coordinator, &e.stranger}, 2}; /* a second coordinator, trusted too */
    ends_dial(&e, &e.any, false);
    assert_int_equal(ends_hello(&e), ZDM_OK);
    memcpy(e.welcome + WELCOME_KEY_ID, e.stranger.id.bytes, sizeof e.stranger.id.bytes);
    const void *parts[] = {"zdm-welcome-v1\0", e.hello, e.welcome};
    const size_t lengths[] = {16, sizeof e.hello, WELCOME_SIGNATURE};
    crypto->hash(crypto->self, hash.bytes, sizeof hash.bytes, NULL, parts, lengths, 3);
    crypto->sign(crypto->self, e.welcome + WELCOME_SIGNATURE, &e.stranger, hash.bytes, sizeof hash.bytes);
    /* The dialler believes it, but the true coordinator's keys are bound to its own welcome: nothing opens. */
    assert_int_equal(ends_welcome(&e), ZDM_OK);
    assert_int_equal(ends_auth(&e), ZDM_PROTOCOL);
    /* And who wants one coordinator does not take another. */
    ends_dial(&e, &e.coordinator.id, false);
    assert_int_equal(ends_hello(&e), ZDM_OK);
    memcpy(e.welcome + WELCOME_KEY_ID, e.stranger.id.bytes, sizeof e.stranger.id.bytes);
    assert_int_equal(ends_welcome(&e), ZDM_PROTOCOL);
}

static void low_order_keys_are_refused_by_both_sides(void **state)
{
    static const uint8_t low_order[][32] = {
        {0},
        {1},
        {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
         0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
        {0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
         0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
    };
    (void)state;
    for (size_t i = 0; i < sizeof low_order / sizeof low_order[0]; i++) {
        ends_dial(&e, &e.any, false);
        memcpy(e.hello + HELLO_EPHEMERAL, low_order[i], 32);
        assert_int_equal(ends_hello(&e), ZDM_PROTOCOL);
        assert_closed(e.listener);
        ends_dial(&e, &e.any, true); /* joining: no signature stands before the key */
        assert_int_equal(ends_hello(&e), ZDM_OK);
        memcpy(e.welcome + WELCOME_EPHEMERAL, low_order[i], 32);
        assert_int_equal(ends_welcome(&e), ZDM_PROTOCOL);
        assert_closed(e.dialler);
    }
}

static void another_fleet_is_refused(void **state)
{
    (void)state;
    e.fleet = id_of(0x56);
    ends_dial(&e, &e.any, false);
    struct zdm_id right = id_of(FLEET_BYTE);
    zdm_session_free(e.listener);
    e.listener = zdm_session_listen(zdm_crypto_sodium(), &e.listener_random, &e.coordinator, &right, &e.instance);
    assert_int_equal(ends_hello(&e), ZDM_PROTOCOL);
}

static void a_hello_for_another_coordinator_is_refused(void **state)
{
    (void)state;
    ends_dial(&e, &e.stranger.id, false);
    assert_int_equal(ends_hello(&e), ZDM_PROTOCOL);
}

static void an_unknown_coordinator_is_refused(void **state)
{
    (void)state;
    e.trusted = (struct known){{&e.stranger}, 1};
    ends_dial(&e, &e.any, false);
    assert_int_equal(ends_hello(&e), ZDM_OK);
    assert_int_equal(ends_welcome(&e), ZDM_AUTH);
    assert_closed(e.dialler);
}

static void an_unknown_agent_that_does_not_join_is_refused(void **state)
{
    (void)state;
    e.enrolled.n = 0;
    ends_dial(&e, &e.any, false);
    assert_int_equal(ends_hello(&e), ZDM_OK);
    assert_int_equal(ends_welcome(&e), ZDM_OK);
    assert_int_equal(ends_auth(&e), ZDM_AUTH);
    assert_closed(e.listener);
}

static void a_joining_agent_is_let_in_with_the_key_it_brings(void **state)
{
    (void)state;
    e.enrolled.n = 0;
    handshake(true);
    assert_true(e.peer_joins);
    assert_true(zdm_hash_equal(&e.peer_key, &e.agent.public_key));
    assert_true(zdm_id_equal(&e.peer_id, &e.agent.id));
    assert_false(zdm_session_peer_is_proven(e.dialler));
    assert_int_equal(carry(e.dialler, e.listener, "the trust file, please"), ZDM_OK);
    assert_int_equal(carry(e.listener, e.dialler, "here it is"), ZDM_OK);
    assert_int_equal(zdm_session_confirm_peer(e.dialler, find_known, &e.trusted, &e.err), ZDM_OK);
    assert_true(zdm_session_peer_is_proven(e.dialler));
    assert_int_equal(zdm_session_confirm_peer(e.dialler, find_known, &e.trusted, &e.err), ZDM_OK);
    assert_int_equal(carry(e.dialler, e.listener, "my token"), ZDM_OK);
}

static void a_joining_agent_that_is_known_already_does_not_join_again(void **state)
{
    (void)state;
    handshake(true);
    assert_false(e.peer_joins);
}

static void a_joining_agent_finds_out_a_coordinator_that_the_trust_file_does_not_name(void **state)
{
    (void)state;
    e.trusted = (struct known){{&e.stranger}, 1};
    handshake(true);
    assert_int_equal(zdm_session_confirm_peer(e.dialler, find_known, &e.trusted, &e.err), ZDM_AUTH);
    assert_closed(e.dialler);
    assert_int_equal(zdm_session_confirm_peer(e.dialler, find_known, &e.trusted, &e.err), ZDM_CLOSED);
}

static void a_joining_agent_finds_out_a_coordinator_that_claims_anothers_id(void **state)
{
    (void)state;
    /* The liar has a key of its own and puts the true coordinator's id into the welcome. */
    e.stranger.id = e.coordinator.id;
    ends_dial(&e, &e.any, true);
    zdm_session_free(e.listener);
    e.listener = zdm_session_listen(zdm_crypto_sodium(), &e.listener_random, &e.stranger, &e.fleet, &e.instance);
    assert_int_equal(ends_hello(&e), ZDM_OK);
    assert_int_equal(ends_welcome(&e), ZDM_OK);
    assert_int_equal(ends_auth(&e), ZDM_OK);
    assert_int_equal(zdm_session_confirm_peer(e.dialler, find_known, &e.trusted, &e.err), ZDM_AUTH);
    assert_closed(e.dialler);
}

static void a_welcome_garbled_on_its_way_to_a_joining_agent_is_found_out(void **state)
{
    (void)state;
    for (size_t byte = 0; byte < ZDM_WELCOME_SIZE; byte++) {
        ends_dial(&e, &e.any, true);
        assert_int_equal(ends_hello(&e), ZDM_OK);
        e.welcome[byte] ^= 0x10;
        if (ends_welcome(&e) != ZDM_OK)
            continue;
        assert_int_equal(ends_auth(&e), ZDM_PROTOCOL);
        assert_int_equal(zdm_session_confirm_peer(e.dialler, find_known, &e.trusted, &e.err), ZDM_AUTH);
    }
}

static void messages_out_of_turn_close_the_session(void **state)
{
    uint8_t opened[256];
    size_t n;
    (void)state;
    ends_dial(&e, &e.any, false);
    assert_int_equal(ends_auth(&e), ZDM_PROTOCOL); /* before hello */
    ends_dial(&e, &e.any, false);
    assert_int_equal(ends_hello(&e), ZDM_OK);
    assert_int_equal(zdm_session_open(e.listener, e.auth, sizeof e.auth, opened, &n, &e.err), ZDM_PROTOCOL);
    ends_dial(&e, &e.any, false);
    assert_int_equal(ends_hello(&e), ZDM_OK);
    assert_int_equal(ends_hello(&e), ZDM_PROTOCOL); /* twice */
    handshake(false);
    assert_int_equal(ends_welcome(&e), ZDM_PROTOCOL); /* twice */
    assert_int_equal(ends_auth(&e), ZDM_PROTOCOL);    /* twice */
    ends_dial(&e, &e.any, false);
    assert_int_equal(zdm_session_take_hello(e.dialler, e.hello, sizeof e.hello, e.welcome, &e.err), ZDM_PROTOCOL);
    ends_dial(&e, &e.any, false);
    assert_int_equal(zdm_session_seal(e.dialler, "x", 1, opened, &e.err), ZDM_BUG);
}

static void a_key_seals_no_more_than_its_number_of_frames(void **state)
{
    uint8_t sealed[32], opened[32];
    size_t n;
    (void)state;
    handshake(false);
    e.dialler->sent = e.listener->received = ZDM_SESSION_FRAMES_MAX - 1;
    assert_int_equal(carry(e.dialler, e.listener, "the last one"), ZDM_OK);
    assert_int_equal(zdm_session_seal(e.dialler, "x", 1, sealed, &e.err), ZDM_LIMIT);
    memset(sealed, 0, sizeof sealed);
    assert_int_equal(zdm_session_open(e.listener, sealed, sizeof sealed, opened, &n, &e.err), ZDM_PROTOCOL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        T(both_sides_agree_and_frames_pass_in_both_directions),
        T(ephemeral_keys_are_wiped_once_the_session_keys_are_made),
        T(the_largest_frame_passes_and_a_larger_one_is_not_sealed),
        T(a_replayed_frame_closes_the_session),
        T(a_frame_left_out_closes_the_session),
        T(a_frame_sent_back_to_its_sender_closes_the_session),
        T(every_flipped_bit_of_a_frame_closes_the_session),
        T(every_flipped_bit_of_hello_is_refused),
        T(every_flipped_bit_of_welcome_is_refused),
        T(every_flipped_bit_of_auth_is_refused),
        T(every_changed_byte_inside_auth_is_refused),
        T(wrong_lengths_are_refused),
        T(a_role_changed_in_flight_is_refused),
        T(an_agents_proof_cannot_be_used_in_anothers_session),
        T(a_coordinator_cannot_pass_off_anothers_welcome_as_its_own),
        T(low_order_keys_are_refused_by_both_sides),
        T(another_fleet_is_refused),
        T(a_hello_for_another_coordinator_is_refused),
        T(an_unknown_coordinator_is_refused),
        T(an_unknown_agent_that_does_not_join_is_refused),
        T(a_joining_agent_is_let_in_with_the_key_it_brings),
        T(a_joining_agent_that_is_known_already_does_not_join_again),
        T(a_joining_agent_finds_out_a_coordinator_that_the_trust_file_does_not_name),
        T(a_joining_agent_finds_out_a_coordinator_that_claims_anothers_id),
        T(a_welcome_garbled_on_its_way_to_a_joining_agent_is_found_out),
        T(messages_out_of_turn_close_the_session),
        T(a_key_seals_no_more_than_its_number_of_frames),
    };
    struct zdm_error err;
    if (zdm_crypto_start(&err) != ZDM_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
