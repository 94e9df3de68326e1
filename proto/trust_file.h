/*
 * trust_file.h - the trust file: the chain of signed trust versions, verified, with look-ups by key (protocol 6).
 *
 * A version of the trust file is a body (codec.h) signed by at least root_threshold roots: one envelope per root, all
 * with the same body, one after the other (zdm_envelope_flatten). A file holds the versions in order from 1. The hash
 * of a version is BLAKE2b-256 of its body; the fleet's id is the first 16 bytes of version 1's hash. Version n + 1 is
 * valid iff signed by root_threshold of the roots of n and of n + 1.
 */
#ifndef ZDM_PROTO_TRUST_FILE_H
#define ZDM_PROTO_TRUST_FILE_H

#include "common/base/buffer.h"
#include "common/base/seams.h"
#include "common/plan/trust.h"

struct zdm_trust_chain {
    struct zdm_id fleet;
    struct zdm_trust trust;         /* the newest version */
    struct zdm_hash hash;           /* its hash */
    struct zdm_envelope *envelopes; /* of all versions, in order */
    size_t n_envelopes;
};

/* Verifies every version from 1. ZDM_AUTH, ZDM_PROTOCOL, ZDM_INVALID. */
enum zdm_code zdm_trust_chain_read(const struct zdm_crypto *crypto, const void *bytes, size_t n,
                                   struct zdm_trust_chain *out, struct zdm_error *err) ZDM_CHECKED;
/* The same from envelopes as they travel in a frame. */
enum zdm_code zdm_trust_chain_verify(const struct zdm_crypto *crypto, const struct zdm_envelope *envelopes, size_t n,
                                     struct zdm_trust_chain *out, struct zdm_error *err) ZDM_CHECKED;
void zdm_trust_chain_write(const struct zdm_trust_chain *chain, struct zdm_buffer *out);
/* The version that an envelope holds, unchecked; false when it holds none. */
bool zdm_trust_version_of(const struct zdm_envelope *envelope, uint32_t *out);
void zdm_trust_chain_fini(struct zdm_trust_chain *chain);
/* Makes version 1 and signs it with the given root keys (trust->version must be 1). */
enum zdm_code zdm_trust_chain_start(const struct zdm_crypto *crypto, const struct zdm_trust *trust,
                                    const struct zdm_signing_key *const *roots, size_t n_roots,
                                    struct zdm_trust_chain *out, struct zdm_error *err) ZDM_CHECKED;

/* The person with that key, NULL when there is none. Borrowed. */
const struct zdm_person *zdm_trust_person(const struct zdm_crypto *crypto, const struct zdm_trust *trust,
                                          const struct zdm_id *key_id);
/* Is the key a coordinator's? Fills the public key. Fits zdm_session_find_key with ctx = struct zdm_trust_finder. */
bool zdm_trust_coordinator(const struct zdm_crypto *crypto, const struct zdm_trust *trust, const struct zdm_id *key_id,
                           struct zdm_hash *out_public_key);

/* Context for the find callbacks of session.h and signed.h. */
struct zdm_trust_finder {
    const struct zdm_crypto *crypto;
    const struct zdm_trust *trust;
    uint32_t role; /* people: the role bit that is asked for */
};
bool zdm_trust_find_coordinator(void *finder, const struct zdm_id *key_id, struct zdm_hash *out_public_key);
bool zdm_trust_find_person(void *finder, const struct zdm_id *key_id, struct zdm_hash *out_public_key);

#endif
