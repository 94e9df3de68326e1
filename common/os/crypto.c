/*
 * crypto.c - libsodium behind the crypto and random seams. See crypto.h; key files are in key_file.c.
 *
 * Only whole-message functions of libsodium are used: its multi-part signing is Ed25519ph, which is another scheme.
 * Lengths are asserted against the constants of our own headers, so that a different libsodium fails to compile.
 */
#include "common/os/crypto.h"

#include <sodium.h>
#include <string.h>

_Static_assert(crypto_sign_BYTES == ZDM_SIGNATURE_SIZE, "Ed25519 signature");
_Static_assert(crypto_sign_PUBLICKEYBYTES == sizeof(struct zdm_hash), "Ed25519 public key");
_Static_assert(crypto_sign_SECRETKEYBYTES == sizeof((struct zdm_signing_key *)0)->secret, "Ed25519 secret key");
_Static_assert(crypto_kx_PUBLICKEYBYTES == 32 && crypto_kx_SECRETKEYBYTES == 32 && crypto_kx_SEEDBYTES == 32, "X25519");
_Static_assert(crypto_kx_SESSIONKEYBYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "session key");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_ABYTES == ZDM_SEAL_OVERHEAD, "AEAD tag");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES == 24, "AEAD nonce");

enum { NONCE_SIZE = 24, HASH_KEY_SIZE = 32 };

enum zdm_code zdm_crypto_start(struct zdm_error *err)
{
    if (sodium_init() < 0)
        return zdm_error_set(err, ZDM_BUG, "could not start libsodium");
    return ZDM_OK;
}

static void sodium_sign(void *self, uint8_t signature[ZDM_SIGNATURE_SIZE], const struct zdm_signing_key *key,
                        const void *bytes, size_t n)
{
    (void)self;
    crypto_sign_detached(signature, NULL, bytes, n, key->secret);
}

static bool sodium_verify(void *self, const uint8_t signature[ZDM_SIGNATURE_SIZE], const struct zdm_hash *public_key,
                          const void *bytes, size_t n)
{
    (void)self;
    return crypto_sign_verify_detached(signature, bytes, n, public_key->bytes) == 0;
}

static void sodium_kx_pair(void *self, struct zdm_kx_pair *out_pair, const uint8_t seed[32])
{
    (void)self;
    crypto_kx_seed_keypair(out_pair->public_key, out_pair->secret_key, seed);
}

static bool sodium_kx_keys(void *self, struct zdm_session_keys *out_keys, const struct zdm_kx_pair *own,
                           const uint8_t peer_public[32], bool client)
{
    (void)self;
    /* libsodium answers -1 when the shared point is zero: the peer's key had a low order. */
    if (client)
        return crypto_kx_client_session_keys(out_keys->receive, out_keys->send, own->public_key, own->secret_key,
                                             peer_public) == 0;
    return crypto_kx_server_session_keys(out_keys->receive, out_keys->send, own->public_key, own->secret_key,
                                         peer_public) == 0;
}

static void nonce_of(uint8_t nonce[NONCE_SIZE], uint64_t counter)
{
    memset(nonce, 0, NONCE_SIZE);
    for (int i = 0; i < 8; i++)
        nonce[i] = (uint8_t)(counter >> (8 * i));
}

static void sodium_seal(void *self, uint8_t *sealed, const void *plain, size_t n, uint64_t counter,
                        const uint8_t key[32])
{
    uint8_t nonce[NONCE_SIZE];
    (void)self;
    nonce_of(nonce, counter);
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, NULL, plain, n, NULL, 0, NULL, nonce, key);
}

static bool sodium_open(void *self, uint8_t *plain, const void *sealed, size_t sealed_n, uint64_t counter,
                        const uint8_t key[32])
{
    uint8_t nonce[NONCE_SIZE];
    (void)self;
    nonce_of(nonce, counter);
    return crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, sealed, sealed_n, NULL, 0, nonce, key) == 0;
}

static void sodium_hash(void *self, void *out, size_t size, const uint8_t *key, const void *const *parts,
                        const size_t *lengths, size_t n_parts)
{
    crypto_generichash_state state;
    (void)self;
    crypto_generichash_init(&state, key, key != NULL ? HASH_KEY_SIZE : 0, size);
    for (size_t i = 0; i < n_parts; i++)
        crypto_generichash_update(&state, parts[i], lengths[i]);
    crypto_generichash_final(&state, out, size);
    sodium_memzero(&state, sizeof state);
}

static void sodium_wipe(void *self, void *bytes, size_t n)
{
    (void)self;
    sodium_memzero(bytes, n);
}

static const struct zdm_crypto sodium = {
    .sign = sodium_sign,
    .verify = sodium_verify,
    .kx_pair = sodium_kx_pair,
    .kx_keys = sodium_kx_keys,
    .seal = sodium_seal,
    .open = sodium_open,
    .hash = sodium_hash,
    .wipe = sodium_wipe,
    .self = NULL,
};

const struct zdm_crypto *zdm_crypto_sodium(void)
{
    return &sodium;
}

static void system_fill(void *self, void *bytes, size_t n)
{
    (void)self;
    randombytes_buf(bytes, n);
}

static const struct zdm_random system_random = {.fill = system_fill, .self = NULL};

const struct zdm_random *zdm_random_system(void)
{
    return &system_random;
}

void zdm_signing_key_make(struct zdm_signing_key *out_key, const uint8_t seed[32])
{
    crypto_sign_seed_keypair(out_key->public_key.bytes, out_key->secret, seed);
    out_key->id = zdm_key_id(&sodium, &out_key->public_key);
}

void zdm_signing_key_wipe(struct zdm_signing_key *key)
{
    sodium_memzero(key, sizeof *key);
}
