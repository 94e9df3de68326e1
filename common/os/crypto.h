/*
 * crypto.h - libsodium behind struct zdm_crypto, and signing keys in files. The only place that includes sodium.h.
 */
#ifndef ZDM_OS_CRYPTO_H
#define ZDM_OS_CRYPTO_H

#include "common/base/seams.h"

/* Call once at program start, before threads. */
enum zdm_code zdm_crypto_start(struct zdm_error *err) ZDM_CHECKED;
/* libsodium's operations; static, needs no freeing. */
const struct zdm_crypto *zdm_crypto_sodium(void);
/* The kernel's random numbers through libsodium. */
const struct zdm_random *zdm_random_system(void);

/* A new Ed25519 key from 32 random bytes. */
void zdm_signing_key_make(struct zdm_signing_key *out_key, const uint8_t seed[32]);
void zdm_signing_key_wipe(struct zdm_signing_key *key);

/*
 * Key files. The secret one: one line "zdm-secret-key-v1 <base64url of the 32-byte seed>", mode 0600, created with
 * O_EXCL: an existing file is never overwritten. Reading refuses a file that group or others can read or write, or that
 * belongs to another user, and says which chmod mends it. PATH.pub holds "zdm-public-key-v1 <base64url> <comment>".
 */
enum zdm_code zdm_key_file_create(const char *path, const char *comment, struct zdm_signing_key *out_key,
                                  struct zdm_error *err) ZDM_CHECKED;
enum zdm_code zdm_key_file_read(const char *path, struct zdm_signing_key *out_key, struct zdm_error *err) ZDM_CHECKED;
/* Parses a public key: the text of a .pub file's line, or the bare base64url. comment (size bytes) may be NULL. */
enum zdm_code zdm_public_key_parse(const char *text, struct zdm_hash *out_key, char *comment, size_t size,
                                   struct zdm_error *err) ZDM_CHECKED;
enum zdm_code zdm_public_key_read(const char *path, struct zdm_hash *out_key, char *comment, size_t size,
                                  struct zdm_error *err) ZDM_CHECKED;

#endif
