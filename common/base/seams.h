/*
 * seams.h - the three things that make a process differ from run to run, as small vtables: time, randomness, crypto.
 *
 * Production binds them in common/os; the simulator binds its own and thereby owns every run (protocol 12). Code in
 * core/ does not even see these: there, time and random numbers arrive inside the input.
 */
#ifndef ZDM_BASE_SEAMS_H
#define ZDM_BASE_SEAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/id.h"

/* Never blocks, never fails. */
struct zdm_clock {
    int64_t (*wall_ms)(void *self); /* milliseconds since 1970, may jump */
    int64_t (*boot_ms)(void *self); /* CLOCK_BOOTTIME: never goes back, counts suspend */
    void *self;
};

static inline int64_t zdm_wall_ms(const struct zdm_clock *clock)
{
    return clock->wall_ms(clock->self);
}

static inline int64_t zdm_boot_ms(const struct zdm_clock *clock)
{
    return clock->boot_ms(clock->self);
}

/* Never blocks, never fails; cryptographic quality in production. */
struct zdm_random {
    void (*fill)(void *self, void *bytes, size_t n);
    void *self;
};

static inline void zdm_random_fill(const struct zdm_random *random, void *bytes, size_t n)
{
    random->fill(random->self, bytes, n);
}

static inline uint64_t zdm_random_u64(const struct zdm_random *random)
{
    uint64_t value;
    zdm_random_fill(random, &value, sizeof value);
    return value;
}

enum { ZDM_SIGNATURE_SIZE = 64, ZDM_SEAL_OVERHEAD = 16 };

/* An Ed25519 signing key. Wiped by whoever holds it (zdm_crypto_wipe). */
struct zdm_signing_key {
    struct zdm_id id; /* BLAKE2b-128 of public_key */
    struct zdm_hash public_key;
    uint8_t secret[64];
};

/* A pair for one key agreement, and the two session keys that come out of it (directions as seen by the caller). */
struct zdm_kx_pair {
    uint8_t public_key[32];
    uint8_t secret_key[32];
};

struct zdm_session_keys {
    uint8_t receive[32];
    uint8_t send[32];
};

/*
 * Pure functions of their arguments but for self; never block. The real one is libsodium, zdm_crypto_sodium() in
 * common/os/crypto.h; the simulator's is a cheap keyed hash with the same contract (a signature verifies iff it was
 * made with that key over those bytes).
 */
struct zdm_crypto {
    /* signature[64] = Ed25519 detached over n bytes. */
    void (*sign)(void *self, uint8_t signature[ZDM_SIGNATURE_SIZE], const struct zdm_signing_key *key,
                 const void *bytes, size_t n);
    bool (*verify)(void *self, const uint8_t signature[ZDM_SIGNATURE_SIZE], const struct zdm_hash *public_key,
                   const void *bytes, size_t n);
    /* An X25519 pair from the given random seam's 32 bytes. */
    void (*kx_pair)(void *self, struct zdm_kx_pair *out_pair, const uint8_t seed[32]);
    /* crypto_kx_{client,server}_session_keys; false for a low-order peer key. */
    bool (*kx_keys)(void *self, struct zdm_session_keys *out_keys, const struct zdm_kx_pair *own,
                    const uint8_t peer_public[32], bool client);
    /* XChaCha20-Poly1305, nonce = counter little endian || 0^16, no additional data. sealed has n + 16 bytes;
     * open returns false when the tag does not fit. */
    void (*seal)(void *self, uint8_t *sealed, const void *plain, size_t n, uint64_t counter, const uint8_t key[32]);
    bool (*open)(void *self, uint8_t *plain, const void *sealed, size_t sealed_n, uint64_t counter,
                 const uint8_t key[32]);
    /* BLAKE2b of `size` (16 or 32) bytes, keyed when key is not NULL (32 bytes), over the parts in order. */
    void (*hash)(void *self, void *out, size_t size, const uint8_t *key, const void *const *parts,
                 const size_t *lengths, size_t n_parts);
    /* Overwrites n bytes in a way that the compiler keeps. */
    void (*wipe)(void *self, void *bytes, size_t n);
    void *self;
};

/* BLAKE2b over one run of bytes, and over two. */
void zdm_hash_bytes(const struct zdm_crypto *crypto, void *out, size_t size, const void *bytes, size_t n);
void zdm_hash_pair(const struct zdm_crypto *crypto, void *out, size_t size, const void *a, size_t a_n, const void *b,
                   size_t b_n);
/* The id of a public key. */
struct zdm_id zdm_key_id(const struct zdm_crypto *crypto, const struct zdm_hash *public_key);

#endif
