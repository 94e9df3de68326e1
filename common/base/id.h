/*
 * id.h - the fixed-size names of things: keys, hashes, fleets, instances; and their text forms.
 */
#ifndef ZDM_BASE_ID_H
#define ZDM_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

/* 16 bytes: key id (BLAKE2b-128 of a public key), fleet id, coordinator instance, request id, nonce. */
struct zdm_id {
    uint8_t bytes[16];
};

/* 32 bytes: BLAKE2b-256 of a plan, an event chain, a directive; also an Ed25519 public key. */
struct zdm_hash {
    uint8_t bytes[32];
};

enum { ZDM_ID_HEX_SIZE = 33, ZDM_HASH_HEX_SIZE = 65 }; /* with the NUL */

bool zdm_id_equal(const struct zdm_id *a, const struct zdm_id *b);
bool zdm_id_is_zero(const struct zdm_id *id);
bool zdm_hash_equal(const struct zdm_hash *a, const struct zdm_hash *b);
bool zdm_hash_is_zero(const struct zdm_hash *hash);

/* Lower-case hexadecimal; out has room for 2n + 1 bytes. */
void zdm_hex(char *out, const void *bytes, size_t n);
/* Exactly 2n hexadecimal digits, either case; false otherwise, out then unspecified. */
bool zdm_unhex(void *out, size_t n, const char *text);

/* base64url without padding (RFC 4648, 5). encode: out has room for ZDM_BASE64_SIZE(n). decode: returns the number
 * of bytes, or -1 when the text is not canonical base64url or does not fit size. */
#define ZDM_BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)
void zdm_base64url(char *out, const void *bytes, size_t n);
long zdm_unbase64url(void *out, size_t size, const char *text);

/* A name that people choose for a migration, shard, label or person: [a-z0-9] then [a-z0-9._-], at most ZDM_NAME_MAX
 * bytes: safe in a file name, a URL, a log line and a terminal. */
bool zdm_name_is_valid(const char *name);

#endif
