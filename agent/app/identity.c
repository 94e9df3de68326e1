/*
 * identity.c - see identity.h.
 */
#include "agent/app/identity.h"

#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto/signed.h"

static enum zdm_code read_enrolment(const struct zdm_id *fleet, const void *bytes, size_t n, struct zdm_enrolment *out,
                                    struct zdm_error *err)
{
    struct zdm_envelope envelope = {.bytes = NULL};
    size_t body_n = 0;
    enum zdm_code code = zdm_envelope_unflatten(bytes, n, &envelope, err);
    if (code != ZDM_OK)
        return code;
    const uint8_t *body = zdm_signed_body(&envelope, &body_n);
    /* The header: magic, type, zero, then the fleet. */
    enum { FLEET_AT = 20 };
    if (body == NULL || memcmp(envelope.bytes + FLEET_AT, fleet->bytes, sizeof fleet->bytes) != 0)
        code = zdm_error_set(err, ZDM_AUTH, "enrolment is of another fleet than the trust file");
    else
        code = zdm_enrolment_decode(body, body_n, out, err);
    zdm_envelope_fini(&envelope);
    return code;
}

enum zdm_code agent_identity_read(const struct zdm_crypto *crypto, const void *trust, size_t trust_n,
                                  const void *enrolment, size_t enrolment_n, struct agent_identity *out,
                                  struct zdm_error *err)
{
    struct agent_identity identity;
    memset(&identity, 0, sizeof identity);
    enum zdm_code code = zdm_trust_chain_read(crypto, trust, trust_n, &identity.chain, err);
    if (code != ZDM_OK)
        return zdm_error_wrap(err, "while reading the trust file");
    code = read_enrolment(&identity.chain.fleet, enrolment, enrolment_n, &identity.enrolment, err);
    if (code != ZDM_OK) {
        agent_identity_fini(&identity);
        return zdm_error_wrap(err, "while reading the enrolment");
    }
    *out = identity;
    return ZDM_OK;
}

void agent_identity_fini(struct agent_identity *identity)
{
    zdm_trust_chain_fini(&identity->chain);
    memset(identity, 0, sizeof *identity);
}

/* What holds no version is not skipped: the check of the chain says what is wrong with it. */
static bool is_held(const struct agent_identity *identity, const struct zdm_envelope *envelope)
{
    uint32_t version;
    return zdm_trust_version_of(envelope, &version) && version <= identity->chain.trust.version;
}

static void replace_chain(struct agent_identity *identity, struct zdm_trust_chain *longer)
{
    struct zdm_trust_chain former = identity->chain;
    identity->chain = *longer;
    *longer = former;
}

enum zdm_code agent_identity_extend(const struct zdm_crypto *crypto, struct agent_identity *identity,
                                    const struct zdm_envelope *envelopes, size_t n, bool *out_newer,
                                    struct zdm_error *err)
{
    struct zdm_trust_chain longer;
    size_t held = identity->chain.n_envelopes, first = 0;
    *out_newer = false;
    while (first < n && is_held(identity, &envelopes[first]))
        first++;
    if (first == n)
        return ZDM_OK;
    /* Borrowed together for the check, which copies what it keeps. */
    struct zdm_envelope *all = calloc(held + n - first, sizeof *all);
    if (all == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    memcpy(all, identity->chain.envelopes, held * sizeof *all);
    memcpy(all + held, envelopes + first, (n - first) * sizeof *all);
    enum zdm_code code = zdm_trust_chain_verify(crypto, all, held + n - first, &longer, err);
    free(all);
    if (code != ZDM_OK)
        return code;
    *out_newer = longer.trust.version > identity->chain.trust.version;
    if (*out_newer)
        replace_chain(identity, &longer);
    zdm_trust_chain_fini(&longer);
    return ZDM_OK;
}

enum zdm_code agent_identity_extend_file(const struct zdm_crypto *crypto, struct agent_identity *identity,
                                         const void *bytes, size_t n, bool *out_newer, struct zdm_error *err)
{
    struct zdm_trust_chain file;
    *out_newer = false;
    enum zdm_code code = zdm_trust_chain_read(crypto, bytes, n, &file, err);
    if (code != ZDM_OK)
        return code;
    if (!zdm_id_equal(&file.fleet, &identity->chain.fleet))
        code = zdm_error_set(err, ZDM_AUTH, "trust file is of another fleet");
    else
        code = agent_identity_extend(crypto, identity, file.envelopes, file.n_envelopes, out_newer, err);
    zdm_trust_chain_fini(&file);
    return code;
}
