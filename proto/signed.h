/*
 * signed.h - the signed bytes of protocol 1: header of 56 bytes, body, detached Ed25519 signature over both.
 *
 *   "zdm-signed-v1\0\0\0"(16) type u16be zero u16 fleet[16] key_id[16] body_len u32be body
 *
 * Verify first, parse after: zdm_signed_check gives the body only when everything about it is right. A body is then
 * decoded by signed_codec.h.
 */
#ifndef ZDM_PROTO_SIGNED_H
#define ZDM_PROTO_SIGNED_H

#include "common/base/buffer.h"
#include "common/base/seams.h"
#include "common/plan/directive.h"

enum zdm_signed_type {
    ZDM_SIGNED_PLAN = 1,
    ZDM_SIGNED_DIRECTIVE = 2,
    ZDM_SIGNED_APPROVAL = 3,
    ZDM_SIGNED_TRUST = 4,
    ZDM_SIGNED_REQUEST = 5,
    ZDM_SIGNED_ENROLMENT = 6,
    ZDM_SIGNED_UNDO_ORDER = 7
};

enum { ZDM_SIGNED_HEADER_SIZE = 56 };

/* Signs a body. out is filled with malloc'd bytes (zdm_envelope_fini). ZDM_NOMEM, ZDM_LIMIT. */
enum zdm_code zdm_signed_make(const struct zdm_crypto *crypto, const struct zdm_signing_key *key,
                              const struct zdm_id *fleet, enum zdm_signed_type type, const void *body, size_t n,
                              struct zdm_envelope *out, struct zdm_error *err) ZDM_CHECKED;

/* Finds the public key of a key id that has the role this place asks for; false: unknown or without the role. */
typedef bool (*zdm_signed_find_key)(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out_public_key);

/* Checks in the order of protocol 1: length, magic, zero, type, fleet, key, signature. out_body points into the
 * envelope. ZDM_AUTH with a message that names the check that failed. */
enum zdm_code zdm_signed_check(const struct zdm_crypto *crypto, const struct zdm_envelope *envelope,
                               enum zdm_signed_type type, const struct zdm_id *fleet, zdm_signed_find_key find,
                               void *ctx, const uint8_t **out_body, size_t *out_n, struct zdm_id *out_key_id,
                               struct zdm_error *err) ZDM_CHECKED;

/* The signer that the header claims, unchecked, for messages; false when the bytes are too short. */
bool zdm_signed_claims(const struct zdm_envelope *envelope, struct zdm_id *out_key_id);
/* The body without any check, for bytes that this process verified before (its own store). NULL when too short. */
const uint8_t *zdm_signed_body(const struct zdm_envelope *envelope, size_t *out_n);

/* BLAKE2b-256 of an envelope's signed bytes: the digest of a directive, the hash of a trust file. */
struct zdm_hash zdm_signed_digest(const struct zdm_crypto *crypto, const struct zdm_envelope *envelope);

/* An envelope as one run of bytes, for files and pieces: signed bytes, then the 64 of the signature. */
void zdm_envelope_flatten(const struct zdm_envelope *envelope, struct zdm_buffer *out);
/* How many of n bytes the flattened envelope at their start takes; 0 when there is none. */
size_t zdm_envelope_flat_size(const uint8_t *bytes, size_t n);
/* ZDM_PROTOCOL when shorter than a header and a signature, or body_len does not fit. */
enum zdm_code zdm_envelope_unflatten(const void *bytes, size_t n, struct zdm_envelope *out,
                                     struct zdm_error *err) ZDM_CHECKED;

#endif
