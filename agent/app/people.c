/*
 * people.c - see people.h.
 */
#include "agent/app/people.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "proto/codec.h"
#include "proto/signed.h"

bool agent_people_read(const struct zdm_crypto *crypto, const struct zdm_trust *trust, struct zdm_authority *out)
{
    struct zdm_authority authority = {
        .version = trust->version, .approvals_min = trust->approvals_min, .four_eyes = trust->four_eyes};
    if (trust->n_people > 0 && (authority.people = calloc(trust->n_people, sizeof *authority.people)) == NULL)
        return false;
    for (; authority.n_people < trust->n_people; authority.n_people++) {
        const struct zdm_person *person = &trust->people[authority.n_people];
        struct zdm_authority_person *to = &authority.people[authority.n_people];
        to->key_id = zdm_key_id(crypto, &person->public_key);
        to->roles = person->roles;
        zdm_copy_text(to->name, sizeof to->name, person->name);
    }
    *out = authority;
    return true;
}

static enum zdm_code check(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                           const struct zdm_envelope *envelope, enum zdm_signed_type type, const uint8_t **out_body,
                           size_t *out_n, struct zdm_id *out_signer, struct zdm_error *err)
{
    struct zdm_trust_finder finder = {.crypto = crypto, .trust = &identity->chain.trust};
    return zdm_signed_check(crypto, envelope, type, &identity->chain.fleet, zdm_trust_find_person, &finder, out_body,
                            out_n, out_signer, err);
}

static enum zdm_code take_approval(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                                   const struct zdm_envelope *envelope, struct zdm_signed_approval *out,
                                   struct zdm_error *err)
{
    const uint8_t *body;
    size_t n;
    memset(out, 0, sizeof *out);
    enum zdm_code code = check(crypto, identity, envelope, ZDM_SIGNED_APPROVAL, &body, &n, &out->signer, err);
    return code == ZDM_OK ? zdm_approval_decode(body, n, &out->approval, err) : code;
}

static void take_undo_order(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                            const struct zdm_envelope *envelope, struct agent_signatures *out)
{
    struct zdm_error err;
    const uint8_t *body;
    size_t n;
    enum zdm_code code =
        check(crypto, identity, envelope, ZDM_SIGNED_UNDO_ORDER, &body, &n, &out->parts.undo_signer, &err);
    if (code == ZDM_OK)
        code = zdm_undo_order_decode(body, n, &out->undo_order, &err);
    if (code == ZDM_OK) {
        out->has_undo_order = true;
        out->parts.undo_order = &out->undo_order;
        return;
    }
    (void)snprintf(out->undo_refusal, sizeof out->undo_refusal, "undo order does not verify: %.200s", err.message);
    out->parts.undo_refusal = out->undo_refusal;
}

void agent_signatures_take(const struct zdm_crypto *crypto, const struct agent_identity *identity,
                           const struct zdm_directive *directive, struct agent_signatures *out)
{
    struct zdm_error err;
    memset(out, 0, sizeof *out);
    out->parts.approvals = out->approvals;
    for (size_t i = 0; i < directive->n_approvals && out->parts.n_approvals < ZDM_APPROVALS_MAX; i++) {
        struct zdm_signed_approval *approval = &out->approvals[out->parts.n_approvals];
        if (take_approval(crypto, identity, &directive->approvals[i], approval, &err) == ZDM_OK) {
            out->parts.n_approvals++;
        } else {
            out->left_out++;
            zdm_copy_text(out->left_out_why, sizeof out->left_out_why, err.message);
        }
    }
    if (directive->undo_order != NULL)
        take_undo_order(crypto, identity, directive->undo_order, out);
}

void agent_signatures_fini(struct agent_signatures *signatures)
{
    for (size_t i = 0; i < signatures->parts.n_approvals; i++)
        zdm_approval_fini(&signatures->approvals[i].approval);
    if (signatures->has_undo_order)
        zdm_undo_order_fini(&signatures->undo_order);
    memset(signatures, 0, sizeof *signatures);
}
