/*
 * sim_crypto.c - cryptography without the cost, for thousands of simulated days.
 *
 * There is no attacker in the simulator: what has to hold is that a signature fits only its key and bytes, that both
 * ends of a session get the same keys, and that a frame opens only with the right key and counter. BLAKE2b stays the
 * real one.
 */
#include <string.h>

#include "common/os/crypto.h"
#include "tests/sim/world.h"

static void sim_hash(void *self, void *out, size_t size, const uint8_t *key, const void *const *parts,
                     const size_t *lengths, size_t n_parts)
{
    (void)self;
    const struct zdm_crypto *sodium = zdm_crypto_sodium();
    sodium->hash(sodium->self, out, size, key, parts, lengths, n_parts);
}

static void mark(uint8_t signature[ZDM_SIGNATURE_SIZE], const struct zdm_hash *public_key, const void *bytes, size_t n)
{
    const void *parts[] = {public_key->bytes, bytes};
    const size_t lengths[] = {sizeof public_key->bytes, n};
    sim_hash(NULL, signature, 32, NULL, parts, lengths, 2);
    memset(signature + 32, 0x5a, 32);
}

static void sim_sign(void *self, uint8_t signature[ZDM_SIGNATURE_SIZE], const struct zdm_signing_key *key,
                     const void *bytes, size_t n)
{
    (void)self;
    mark(signature, &key->public_key, bytes, n);
}

static bool sim_verify(void *self, const uint8_t signature[ZDM_SIGNATURE_SIZE], const struct zdm_hash *public_key,
                       const void *bytes, size_t n)
{
    (void)self;
    uint8_t expected[ZDM_SIGNATURE_SIZE];
    mark(expected, public_key, bytes, n);
    return memcmp(signature, expected, sizeof expected) == 0;
}

static void sim_kx_pair(void *self, struct zdm_kx_pair *out_pair, const uint8_t seed[32])
{
    (void)self;
    memcpy(out_pair->public_key, seed, 32);
    memcpy(out_pair->secret_key, seed, 32);
}

static bool sim_kx_keys(void *self, struct zdm_session_keys *out_keys, const struct zdm_kx_pair *own,
                        const uint8_t peer_public[32], bool client)
{
    (void)self;
    const uint8_t *client_key = client ? own->public_key : peer_public;
    const uint8_t *server_key = client ? peer_public : own->public_key;
    const void *parts[] = {client_key, server_key, "to server"};
    const size_t lengths[] = {32, 32, 9};
    uint8_t to_server[32], to_client[32];
    sim_hash(NULL, to_server, 32, NULL, parts, lengths, 3);
    sim_hash(NULL, to_client, 32, NULL, parts, lengths, 2);
    memcpy(out_keys->send, client ? to_server : to_client, 32);
    memcpy(out_keys->receive, client ? to_client : to_server, 32);
    return true;
}

static void tag(uint8_t out[ZDM_SEAL_OVERHEAD], uint64_t counter, const uint8_t key[32])
{
    memcpy(out, &counter, 8);
    memcpy(out + 8, key, 8);
}

static void sim_seal(void *self, uint8_t *sealed, const void *plain, size_t n, uint64_t counter, const uint8_t key[32])
{
    (void)self;
    memmove(sealed, plain, n);
    tag(sealed + n, counter, key);
}

static bool sim_open(void *self, uint8_t *plain, const void *sealed, size_t sealed_n, uint64_t counter,
                     const uint8_t key[32])
{
    (void)self;
    if (sealed_n < ZDM_SEAL_OVERHEAD)
        return false;
    uint8_t expected[ZDM_SEAL_OVERHEAD];
    tag(expected, counter, key);
    size_t n = sealed_n - ZDM_SEAL_OVERHEAD;
    if (memcmp((const uint8_t *)sealed + n, expected, sizeof expected) != 0)
        return false;
    memmove(plain, sealed, n);
    return true;
}

static void sim_wipe(void *self, void *bytes, size_t n)
{
    (void)self;
    memset(bytes, 0, n);
}

const struct zdm_crypto *sim_crypto(void)
{
    static const struct zdm_crypto crypto = {.sign = sim_sign,
                                             .verify = sim_verify,
                                             .kx_pair = sim_kx_pair,
                                             .kx_keys = sim_kx_keys,
                                             .seal = sim_seal,
                                             .open = sim_open,
                                             .hash = sim_hash,
                                             .wipe = sim_wipe};
    return &crypto;
}
