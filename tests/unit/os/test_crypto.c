/*
 * test_crypto.c - libsodium behind the seam: published vectors, and the contract that the simulator's crypto has too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/os/crypto.h"

static const struct zdm_crypto *crypto;

/* RFC 8032, 7.1, test 2. */
static void signatures_are_those_of_rfc_8032(void **state)
{
    uint8_t seed[32], expected[64], signature[ZDM_SIGNATURE_SIZE], byte = 0x72;
    struct zdm_hash public_key;
    struct zdm_signing_key key;
    (void)state;
    assert_true(zdm_unhex(seed, 32, "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
    assert_true(zdm_unhex(public_key.bytes, 32, "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"));
    assert_true(zdm_unhex(expected, 64,
                          "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                          "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"));
    zdm_signing_key_make(&key, seed);
    assert_true(zdm_hash_equal(&key.public_key, &public_key));
    crypto->sign(crypto->self, signature, &key, &byte, 1);
    assert_memory_equal(signature, expected, sizeof expected);
    assert_true(crypto->verify(crypto->self, signature, &public_key, &byte, 1));
    assert_false(crypto->verify(crypto->self, signature, &public_key, &byte, 0));
    signature[63] ^= 0x20; /* S + a multiple of the order, or garbage: never another valid signature */
    assert_false(crypto->verify(crypto->self, signature, &public_key, &byte, 1));
}

static void a_small_order_public_key_verifies_nothing(void **state)
{
    const struct zdm_hash small = {{1}};
    const uint8_t signature[ZDM_SIGNATURE_SIZE] = {1};
    (void)state;
    assert_false(crypto->verify(crypto->self, signature, &small, "anything", 8));
}

/* RFC 7693, appendix A, has BLAKE2b-512; these are of BLAKE2b-256 and -128 of "abc". */
static void hashes_are_blake2b(void **state)
{
    uint8_t hash[32], expected[32];
    (void)state;
    assert_true(zdm_unhex(expected, 32, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"));
    zdm_hash_bytes(crypto, hash, 32, "abc", 3);
    assert_memory_equal(hash, expected, 32);
    zdm_hash_pair(crypto, hash, 32, "a", 1, "bc", 2);
    assert_memory_equal(hash, expected, 32);
    assert_true(zdm_unhex(expected, 16, "cf4ab791c62b8d2b2109c90275287816"));
    zdm_hash_bytes(crypto, hash, 16, "abc", 3);
    assert_memory_equal(hash, expected, 16);
}

static void a_keyed_hash_depends_on_its_key(void **state)
{
    const void *part = "abc";
    const size_t n = 3;
    uint8_t key[32] = {0}, one[32], two[32], none[32];
    (void)state;
    crypto->hash(crypto->self, one, 32, key, &part, &n, 1);
    key[31] = 1;
    crypto->hash(crypto->self, two, 32, key, &part, &n, 1);
    crypto->hash(crypto->self, none, 32, NULL, &part, &n, 1);
    assert_memory_not_equal(one, two, 32);
    assert_memory_not_equal(one, none, 32);
}

static void both_sides_of_an_exchange_get_the_same_keys_crossed(void **state)
{
    const uint8_t seeds[2][32] = {{1}, {2}}, low_order[32] = {0};
    struct zdm_kx_pair client, server;
    struct zdm_session_keys clients, servers;
    (void)state;
    crypto->kx_pair(crypto->self, &client, seeds[0]);
    crypto->kx_pair(crypto->self, &server, seeds[1]);
    assert_true(crypto->kx_keys(crypto->self, &clients, &client, server.public_key, true));
    assert_true(crypto->kx_keys(crypto->self, &servers, &server, client.public_key, false));
    assert_memory_equal(clients.send, servers.receive, 32);
    assert_memory_equal(clients.receive, servers.send, 32);
    assert_memory_not_equal(clients.send, clients.receive, 32);
    assert_false(crypto->kx_keys(crypto->self, &clients, &client, low_order, true));
    assert_false(crypto->kx_keys(crypto->self, &servers, &server, low_order, false));
}

static void only_the_same_key_and_counter_open_what_was_sealed(void **state)
{
    uint8_t key[32] = {7}, sealed[5 + ZDM_SEAL_OVERHEAD], plain[5];
    const uint64_t counter = UINT64_C(0x0102030405060708);
    (void)state;
    crypto->seal(crypto->self, sealed, "bytes", 5, counter, key);
    assert_true(crypto->open(crypto->self, plain, sealed, sizeof sealed, counter, key));
    assert_memory_equal(plain, "bytes", 5);
    assert_false(crypto->open(crypto->self, plain, sealed, sizeof sealed, counter + 1, key));
    assert_false(crypto->open(crypto->self, plain, sealed, sizeof sealed, counter ^ UINT64_C(1) << 56, key));
    assert_false(crypto->open(crypto->self, plain, sealed, sizeof sealed - 1, counter, key));
    assert_false(crypto->open(crypto->self, plain, sealed, ZDM_SEAL_OVERHEAD - 1, counter, key));
    key[0] = 8;
    assert_false(crypto->open(crypto->self, plain, sealed, sizeof sealed, counter, key));
}

static void a_wiped_key_is_zero(void **state)
{
    static const struct zdm_signing_key zero;
    const uint8_t seed[32] = {1};
    struct zdm_signing_key key;
    (void)state;
    zdm_signing_key_make(&key, seed);
    zdm_signing_key_wipe(&key);
    assert_memory_equal(&key, &zero, sizeof key);
}

static void random_numbers_differ(void **state)
{
    (void)state;
    assert_true(zdm_random_u64(zdm_random_system()) != zdm_random_u64(zdm_random_system()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_those_of_rfc_8032),
        cmocka_unit_test(a_small_order_public_key_verifies_nothing),
        cmocka_unit_test(hashes_are_blake2b),
        cmocka_unit_test(a_keyed_hash_depends_on_its_key),
        cmocka_unit_test(both_sides_of_an_exchange_get_the_same_keys_crossed),
        cmocka_unit_test(only_the_same_key_and_counter_open_what_was_sealed),
        cmocka_unit_test(a_wiped_key_is_zero),
        cmocka_unit_test(random_numbers_differ),
    };
    struct zdm_error err;
    if (zdm_crypto_start(&err) != ZDM_OK)
        return 1;
    crypto = zdm_crypto_sodium();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
