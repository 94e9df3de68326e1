/*
 * trust_file.c - see trust_file.h.
 *
 * The chain is walked version by version. Signatures of the former version's roots are verified before a new body is
 * parsed; version 1 has nobody before it, and its hash is what a token or the fleet's id vouches for.
 */
#include "proto/trust_file.h"

#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto/signed.h"

enum { VERSIONS_MAX = 1024, ENVELOPES_MAX = VERSIONS_MAX * ZDM_ROOTS_MAX };

/* The roots that a signature may be of. */
struct roots {
    const struct zdm_crypto *crypto;
    const struct zdm_trust *trust;
};

static bool find_key(const struct zdm_crypto *crypto, const struct zdm_hash *keys, size_t n,
                     const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    for (size_t i = 0; i < n; i++) {
        struct zdm_id id = zdm_key_id(crypto, &keys[i]);
        if (zdm_id_equal(&id, key_id)) {
            *out_public_key = keys[i];
            return true;
        }
    }
    return false;
}

static bool find_root(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    const struct roots *roots = ctx;
    return find_key(roots->crypto, roots->trust->roots, roots->trust->n_roots, key_id, out_public_key);
}

/* The envelopes of one version: the same body, one after the other. */
static size_t group_size(const struct zdm_envelope *envelopes, size_t n)
{
    size_t body_n, other_n, size = 1;
    const uint8_t *body = zdm_signed_body(&envelopes[0], &body_n);
    for (; body != NULL && size < n; size++) {
        const uint8_t *other = zdm_signed_body(&envelopes[size], &other_n);
        if (other == NULL || other_n != body_n || memcmp(other, body, body_n) != 0)
            break;
    }
    return size;
}

static bool signs_again(const struct zdm_envelope *group, size_t i)
{
    struct zdm_id key, other;
    if (!zdm_signed_claims(&group[i], &key))
        return false;
    for (size_t j = 0; j < i; j++)
        if (zdm_signed_claims(&group[j], &other) && zdm_id_equal(&key, &other))
            return true;
    return false;
}

/* Is the group signed by enough different roots of `trust`? Signatures of others do not count, wrong ones refuse. */
static enum zdm_code check_threshold(const struct zdm_crypto *crypto, const struct zdm_trust *trust,
                                     const struct zdm_id *fleet, const struct zdm_envelope *group, size_t n,
                                     struct zdm_error *err)
{
    struct roots roots = {.crypto = crypto, .trust = trust};
    uint32_t signers = 0;
    for (size_t i = 0; i < n; i++) {
        struct zdm_id key_id;
        struct zdm_hash public_key;
        const uint8_t *body;
        size_t body_n;
        if (!zdm_signed_claims(&group[i], &key_id) || !find_root(&roots, &key_id, &public_key) || signs_again(group, i))
            continue;
        enum zdm_code code =
            zdm_signed_check(crypto, &group[i], ZDM_SIGNED_TRUST, fleet, find_root, &roots, &body, &body_n, NULL, err);
        if (code != ZDM_OK)
            return code;
        signers++;
    }
    if (signers >= trust->root_threshold)
        return ZDM_OK;
    return zdm_error_set(err, ZDM_AUTH, "signed by %u roots of version %u, not by %u", signers, trust->version,
                         trust->root_threshold);
}

/* Checks the group of version chain->trust.version + 1 and takes it over. */
static enum zdm_code take_version(const struct zdm_crypto *crypto, struct zdm_trust_chain *chain,
                                  const struct zdm_envelope *group, size_t n, struct zdm_error *err)
{
    bool first = chain->trust.version == 0;
    const struct zdm_id header_fleet = chain->fleet; /* zero inside version 1 */
    struct zdm_trust trust;
    size_t body_n;
    const uint8_t *body = zdm_signed_body(&group[0], &body_n);
    if (body == NULL)
        return zdm_error_set(err, ZDM_PROTOCOL, "trust file ends inside a signed message");
    enum zdm_code code = first ? ZDM_OK : check_threshold(crypto, &chain->trust, &header_fleet, group, n, err);
    if (code == ZDM_OK)
        code = zdm_trust_decode(body, body_n, &trust, err);
    if (code != ZDM_OK)
        return code;
    if (trust.version != chain->trust.version + 1)
        code = zdm_error_set(err, ZDM_INVALID, "version %u stands where version %u must", trust.version,
                             chain->trust.version + 1);
    else
        code = check_threshold(crypto, &trust, &header_fleet, group, n, err);
    if (code != ZDM_OK) {
        zdm_trust_fini(&trust);
        return code;
    }
    zdm_trust_fini(&chain->trust);
    chain->trust = trust;
    zdm_hash_bytes(crypto, chain->hash.bytes, sizeof chain->hash.bytes, body, body_n);
    if (first)
        memcpy(chain->fleet.bytes, chain->hash.bytes, sizeof chain->fleet.bytes);
    return ZDM_OK;
}

static enum zdm_code keep_envelopes(struct zdm_trust_chain *chain, const struct zdm_envelope *envelopes, size_t n,
                                    struct zdm_error *err)
{
    chain->envelopes = calloc(n, sizeof *chain->envelopes);
    for (; chain->envelopes != NULL && chain->n_envelopes < n; chain->n_envelopes++)
        if (!zdm_envelope_copy(&chain->envelopes[chain->n_envelopes], &envelopes[chain->n_envelopes]))
            break;
    return chain->n_envelopes == n ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code zdm_trust_chain_verify(const struct zdm_crypto *crypto, const struct zdm_envelope *envelopes, size_t n,
                                     struct zdm_trust_chain *out, struct zdm_error *err)
{
    struct zdm_trust_chain chain = {.n_envelopes = 0};
    if (n == 0 || n > ENVELOPES_MAX)
        return zdm_error_set(err, ZDM_PROTOCOL, "trust file has %zu signed messages, not 1 to %d", n, ENVELOPES_MAX);
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0, size; code == ZDM_OK && i < n; i += size) {
        uint32_t version = chain.trust.version + 1;
        size = group_size(envelopes + i, n - i);
        code = take_version(crypto, &chain, envelopes + i, size, err);
        if (code != ZDM_OK)
            zdm_error_wrap(err, "trust file version %u", version);
    }
    if (code == ZDM_OK)
        code = keep_envelopes(&chain, envelopes, n, err);
    if (code == ZDM_OK)
        *out = chain;
    else
        zdm_trust_chain_fini(&chain);
    return code;
}

static void envelopes_free(struct zdm_envelope *envelopes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        zdm_envelope_fini(&envelopes[i]);
    free(envelopes);
}

enum zdm_code zdm_trust_chain_read(const struct zdm_crypto *crypto, const void *bytes, size_t n,
                                   struct zdm_trust_chain *out, struct zdm_error *err)
{
    struct zdm_envelope *envelopes = NULL;
    size_t n_envelopes = 0, cap = 0;
    enum zdm_code code = ZDM_OK;
    for (size_t at = 0, size; code == ZDM_OK && at < n; at += size) {
        size = zdm_envelope_flat_size((const uint8_t *)bytes + at, n - at);
        if (size == 0 || n_envelopes == ENVELOPES_MAX)
            code = zdm_error_set(err, ZDM_PROTOCOL, "trust file is damaged at byte %zu", at);
        else if (!ZDM_RESERVE(envelopes, cap, n_envelopes + 1))
            code = zdm_error_set(err, ZDM_NOMEM, "out of memory");
        else
            code = zdm_envelope_unflatten((const uint8_t *)bytes + at, size, &envelopes[n_envelopes], err);
        if (code == ZDM_OK)
            n_envelopes++;
    }
    if (code == ZDM_OK)
        code = zdm_trust_chain_verify(crypto, envelopes, n_envelopes, out, err);
    envelopes_free(envelopes, n_envelopes);
    return code;
}

bool zdm_trust_version_of(const struct zdm_envelope *envelope, uint32_t *out)
{
    struct zdm_trust trust;
    struct zdm_error err;
    size_t n = 0;
    const uint8_t *body = zdm_signed_body(envelope, &n);
    if (body == NULL || zdm_trust_decode(body, n, &trust, &err) != ZDM_OK)
        return false;
    *out = trust.version;
    zdm_trust_fini(&trust);
    return true;
}

void zdm_trust_chain_write(const struct zdm_trust_chain *chain, struct zdm_buffer *out)
{
    for (size_t i = 0; i < chain->n_envelopes; i++)
        zdm_envelope_flatten(&chain->envelopes[i], out);
}

void zdm_trust_chain_fini(struct zdm_trust_chain *chain)
{
    if (chain == NULL)
        return;
    zdm_trust_fini(&chain->trust);
    envelopes_free(chain->envelopes, chain->n_envelopes);
    memset(chain, 0, sizeof *chain);
}

enum zdm_code zdm_trust_chain_start(const struct zdm_crypto *crypto, const struct zdm_trust *trust,
                                    const struct zdm_signing_key *const *roots, size_t n_roots,
                                    struct zdm_trust_chain *out, struct zdm_error *err)
{
    static const struct zdm_id no_fleet;
    struct zdm_envelope envelopes[ZDM_ROOTS_MAX] = {{.bytes = NULL}};
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    if (n_roots == 0 || n_roots > ZDM_ROOTS_MAX)
        return zdm_error_set(err, ZDM_INVALID, "%zu root keys given, not 1 to %d", n_roots, ZDM_ROOTS_MAX);
    enum zdm_code code = zdm_trust_validate(trust, err);
    if (code != ZDM_OK)
        return code;
    zdm_trust_encode(trust, &body);
    if (body.failed)
        code = zdm_error_set(err, ZDM_NOMEM, "out of memory");
    for (size_t i = 0; code == ZDM_OK && i < n_roots; i++)
        code = zdm_signed_make(crypto, roots[i], &no_fleet, ZDM_SIGNED_TRUST, body.data, body.len, &envelopes[i], err);
    if (code == ZDM_OK)
        code = zdm_trust_chain_verify(crypto, envelopes, n_roots, out, err);
    for (size_t i = 0; i < n_roots; i++)
        zdm_envelope_fini(&envelopes[i]);
    zdm_buffer_fini(&body);
    return code;
}

const struct zdm_person *zdm_trust_person(const struct zdm_crypto *crypto, const struct zdm_trust *trust,
                                          const struct zdm_id *key_id)
{
    for (size_t i = 0; i < trust->n_people; i++) {
        struct zdm_id id = zdm_key_id(crypto, &trust->people[i].public_key);
        if (zdm_id_equal(&id, key_id))
            return &trust->people[i];
    }
    return NULL;
}

bool zdm_trust_coordinator(const struct zdm_crypto *crypto, const struct zdm_trust *trust, const struct zdm_id *key_id,
                           struct zdm_hash *out_public_key)
{
    return find_key(crypto, trust->coordinators, trust->n_coordinators, key_id, out_public_key);
}

bool zdm_trust_find_coordinator(void *finder, const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    const struct zdm_trust_finder *f = finder;
    return zdm_trust_coordinator(f->crypto, f->trust, key_id, out_public_key);
}

bool zdm_trust_find_person(void *finder, const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    const struct zdm_trust_finder *f = finder;
    const struct zdm_person *person = zdm_trust_person(f->crypto, f->trust, key_id);
    if (person == NULL)
        return false;
    /* Operators and approvers may read: both roles include viewer. */
    uint32_t roles = person->roles != 0 ? person->roles | ZDM_ROLE_VIEWER : 0;
    if ((roles & f->role) != f->role)
        return false;
    *out_public_key = person->public_key;
    return true;
}
