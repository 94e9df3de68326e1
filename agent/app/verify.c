/*
 * verify.c - see verify.h.
 */
#include "agent/app/verify.h"

#include <string.h>

#include "common/base/buffer.h"
#include "proto/codec.h"
#include "proto/signed.h"

static enum zdm_code verify_directive(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                                      const struct zdm_envelope *envelope, zdm_signed_find_key find, void *ctx,
                                      struct zdm_directive *out, struct zdm_error *err)
{
    struct zdm_directive directive;
    struct zdm_id signer;
    const uint8_t *body;
    size_t n;
    enum zdm_code code = zdm_signed_check(crypto, envelope, ZDM_SIGNED_DIRECTIVE, &identity->chain.fleet, find, ctx,
                                          &body, &n, &signer, err);
    if (code == ZDM_OK)
        code = zdm_directive_decode(body, n, &directive, err);
    if (code != ZDM_OK)
        return code;
    if (strcmp(directive.shard, identity->enrolment.shard) != 0) {
        code = zdm_error_set(err, ZDM_AUTH, "directive is for shard %s and this is %s", directive.shard,
                             identity->enrolment.shard);
        zdm_directive_fini(&directive);
        return code;
    }
    *out = directive;
    return ZDM_OK;
}

enum zdm_code agent_verify_order(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                                 const struct zdm_envelope *envelope, struct zdm_directive *out, struct zdm_error *err)
{
    struct zdm_trust_finder finder = {.crypto = crypto, .trust = &identity->chain.trust};
    return verify_directive(crypto, identity, envelope, zdm_trust_find_coordinator, &finder, out, err);
}

struct history {
    const struct zdm_crypto *crypto;
    const struct zdm_trust_chain *chain;
};

static bool find_ever_coordinator(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    const struct history *history = ctx;
    for (size_t i = history->chain->n_envelopes; i > 0; i--) {
        struct zdm_trust trust;
        struct zdm_error err;
        size_t n = 0;
        const uint8_t *body = zdm_signed_body(&history->chain->envelopes[i - 1], &n);
        if (body == NULL || zdm_trust_decode(body, n, &trust, &err) != ZDM_OK)
            continue;
        bool found = zdm_trust_coordinator(history->crypto, &trust, key_id, out_public_key);
        zdm_trust_fini(&trust);
        if (found)
            return true;
    }
    return false;
}

enum zdm_code agent_verify_claim(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                                 const struct zdm_envelope *envelope, struct zdm_directive *out, struct zdm_error *err)
{
    struct history history = {.crypto = crypto, .chain = &identity->chain};
    return verify_directive(crypto, identity, envelope, find_ever_coordinator, &history, out, err);
}

static bool find_ever_operator(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    const struct history *history = ctx;
    bool found = false;
    for (size_t i = history->chain->n_envelopes; i > 0 && !found; i--) {
        struct zdm_trust trust;
        struct zdm_error err;
        size_t n = 0;
        const uint8_t *body = zdm_signed_body(&history->chain->envelopes[i - 1], &n);
        if (body == NULL || zdm_trust_decode(body, n, &trust, &err) != ZDM_OK)
            continue;
        const struct zdm_person *person = zdm_trust_person(history->crypto, &trust, key_id);
        found = person != NULL && (person->roles & ZDM_ROLE_OPERATOR) != 0;
        if (found)
            *out_public_key = person->public_key;
        zdm_trust_fini(&trust);
    }
    return found;
}

/* Whoever the chain's newest version that knows the key calls by it; false: nobody ever. */
static bool find_ever_person(const struct zdm_crypto *crypto, const struct zdm_trust_chain *chain,
                             const struct zdm_id *key_id, char out_name[ZDM_NAME_MAX + 1])
{
    bool found = false;
    for (size_t i = chain->n_envelopes; i > 0 && !found; i--) {
        struct zdm_trust trust;
        struct zdm_error err;
        size_t n = 0;
        const uint8_t *body = zdm_signed_body(&chain->envelopes[i - 1], &n);
        if (body == NULL || zdm_trust_decode(body, n, &trust, &err) != ZDM_OK)
            continue;
        const struct zdm_person *person = zdm_trust_person(crypto, &trust, key_id);
        found = person != NULL;
        if (found)
            zdm_copy_text(out_name, ZDM_NAME_MAX + 1, person->name);
        zdm_trust_fini(&trust);
    }
    return found;
}

/* Says so when what is wrong with a plan's signature is that its signer is no operator, or is none any more. */
static enum zdm_code explain_signer(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                                    const struct zdm_envelope *envelope, enum zdm_code code, struct zdm_error *err)
{
    const struct zdm_trust *trust = &identity->chain.trust;
    char name[ZDM_NAME_MAX + 1];
    struct zdm_id signer;
    if (code != ZDM_AUTH || !zdm_signed_claims(envelope, &signer))
        return code;
    const struct zdm_person *person = zdm_trust_person(crypto, trust, &signer);
    if ((person != NULL && (person->roles & ZDM_ROLE_OPERATOR) != 0) ||
        !find_ever_person(crypto, &identity->chain, &signer, name))
        return code;
    return zdm_error_set(err, ZDM_AUTH,
                         "plan is signed by %s, who is no operator in trust file version %u: another operator signs it "
                         "anew with zdmctl submit RUNBOOK",
                         name, trust->version);
}

static enum zdm_code check_plan(const struct agent_identity *identity, const struct zdm_plan *plan,
                                const struct zdm_hash *hash, struct zdm_error *err)
{
    const struct zdm_enrolment *own = &identity->enrolment;
    if (!zdm_hash_equal(&plan->hash, hash))
        return zdm_error_set(err, ZDM_CORRUPT, "plan has another hash than the directive names");
    enum zdm_code code = zdm_plan_validate(plan, err);
    if (code == ZDM_OK)
        code = zdm_plan_check_honest(plan, err);
    if (code != ZDM_OK)
        return code;
    if (!zdm_selector_matches(plan->selector, own->shard, &own->labels))
        return zdm_error_set(err, ZDM_REFUSED, "plan's selector \"%s\" does not choose this shard", plan->selector);
    return ZDM_OK;
}

static enum zdm_code verify_plan(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                                 const struct zdm_envelope *envelope, const struct zdm_hash *hash,
                                 zdm_signed_find_key find, void *ctx, struct zdm_plan **out, struct zdm_id *out_signer,
                                 struct zdm_error *err)
{
    struct zdm_plan *plan = NULL;
    struct zdm_id signer;
    const uint8_t *body;
    size_t n;
    enum zdm_code code =
        zdm_signed_check(crypto, envelope, ZDM_SIGNED_PLAN, &identity->chain.fleet, find, ctx, &body, &n, &signer, err);
    code = explain_signer(crypto, identity, envelope, code, err);
    if (code == ZDM_OK)
        code = zdm_plan_decode(crypto, body, n, &plan, err);
    if (code == ZDM_OK)
        code = check_plan(identity, plan, hash, err);
    if (code != ZDM_OK) {
        zdm_plan_unref(plan);
        return code;
    }
    *out = plan;
    if (out_signer != NULL)
        *out_signer = signer;
    return ZDM_OK;
}

enum zdm_code agent_verify_plan(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                                const struct zdm_envelope *envelope, const struct zdm_hash *hash, struct zdm_plan **out,
                                struct zdm_id *out_signer, struct zdm_error *err)
{
    struct zdm_trust_finder finder = {.crypto = crypto, .trust = &identity->chain.trust, .role = ZDM_ROLE_OPERATOR};
    return verify_plan(crypto, identity, envelope, hash, zdm_trust_find_person, &finder, out, out_signer, err);
}

static enum zdm_code verify_row(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                                const struct agent_journal *row, zdm_signed_find_key find, void *ctx,
                                struct zdm_directive *out_directive, struct zdm_plan **out_plan,
                                struct zdm_id *out_signer, struct zdm_error *err)
{
    struct zdm_directive directive;
    struct zdm_plan *plan = NULL;
    enum zdm_code code = agent_verify_claim(crypto, identity, &row->directive, &directive, err);
    if (code != ZDM_OK)
        return code;
    struct zdm_hash digest = zdm_signed_digest(crypto, &row->directive);
    if (strcmp(directive.migration, row->migration) != 0 || !zdm_fence_equal(&directive.fence, &row->accepted) ||
        !zdm_hash_equal(&digest, &row->digest) || !zdm_hash_equal(&directive.plan_hash, &row->plan_hash))
        code = zdm_error_set(err, ZDM_CORRUPT, "row and the directive in it differ");
    else
        code = verify_plan(crypto, identity, &row->plan, &directive.plan_hash, find, ctx, &plan, out_signer, err);
    if (code == ZDM_OK && strcmp(plan->id, row->migration) != 0) {
        zdm_plan_unref(plan);
        code = zdm_error_set(err, ZDM_CORRUPT, "row and the plan in it differ");
    }
    if (code != ZDM_OK) {
        zdm_directive_fini(&directive);
        return code;
    }
    *out_directive = directive;
    *out_plan = plan;
    return ZDM_OK;
}

enum zdm_code agent_verify_row(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                               const struct agent_journal *row, struct zdm_directive *out_directive,
                               struct zdm_plan **out_plan, struct zdm_id *out_signer, struct zdm_error *err)
{
    struct zdm_trust_finder finder = {.crypto = crypto, .trust = &identity->chain.trust, .role = ZDM_ROLE_OPERATOR};
    return verify_row(crypto, identity, row, zdm_trust_find_person, &finder, out_directive, out_plan, out_signer, err);
}

enum zdm_code agent_verify_former_row(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                                      const struct agent_journal *row, struct zdm_directive *out_directive,
                                      struct zdm_plan **out_plan, struct zdm_id *out_signer, struct zdm_error *err)
{
    struct history history = {.crypto = crypto, .chain = &identity->chain};
    return verify_row(crypto, identity, row, find_ever_operator, &history, out_directive, out_plan, out_signer, err);
}
