/*
 * requests.c - is this request signed by who sends it, for this session, by somebody who may ask for it? Only then does
 * the core see it (protocol 6).
 *
 * The session's key and the request's must be the same person's: a request that was signed for another session, or
 * carried here by somebody else, is refused. What travels inside (a plan, an enrolment, an approval, an undo order) has
 * a signature of its own with a role of its own, because agents will ask for it: and it must be who sends it that
 * signed it, so that nobody sets off what somebody else had signed and kept.
 */
#include <stdio.h>
#include <string.h>

#include "coordinator/app/private.h"

void request_scratch_fini(struct request_scratch *scratch)
{
    zdm_plan_unref(scratch->plan);
    zdm_envelope_fini(&scratch->plan_envelope);
    if (scratch->have_approval)
        zdm_approval_fini(&scratch->approval);
    if (scratch->have_undo_order)
        zdm_undo_order_fini(&scratch->undo_order);
    if (scratch->have_chain)
        zdm_trust_chain_fini(&scratch->chain);
    if (scratch->have_request)
        zdm_request_fini(&scratch->request);
    *scratch = (struct request_scratch){.have_request = false};
}

/* ---- The request itself ---- */

static bool find_signer(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    const struct coord_peer *peer = ctx;
    if (!zdm_id_equal(key_id, &peer->key_id))
        return false;
    *out_public_key = peer->public_key;
    return true;
}

static enum zdm_code check_session(const struct coord_peer *peer, const struct zdm_request *request,
                                   struct zdm_error *err)
{
    if (zdm_hash_equal(&request->session, &peer->transcript))
        return ZDM_OK;
    zdm_error_set(err, ZDM_AUTH, "the request was signed for another session");
    return zdm_error_hint(err, "Sign it again in this one, with the same request id.");
}

/* " ann and bob have it." */
static void who_has(char *out, size_t size, const struct zdm_trust *trust, uint32_t role)
{
    enum { SHOWN = 4 };
    size_t n = 0, used = 0;
    for (size_t i = 0; i < trust->n_people; i++)
        n += (trust->people[i].roles & role) == role ? 1 : 0;
    out[0] = '\0';
    for (size_t i = 0, k = 0; i < trust->n_people && k < SHOWN && used < size; i++)
        if ((trust->people[i].roles & role) == role)
            used += (size_t)snprintf(out + used, size - used, "%s%s",
                                     k++ == 0 ? " "
                                     : k == n ? " and "
                                              : ", ",
                                     trust->people[i].name);
    if (used < size)
        (void)snprintf(out + used, size - used,
                       n == 0      ? " Nobody has it."
                       : n > SHOWN ? " and others have it."
                       : n == 1    ? " has it."
                                   : " have it.");
}

static enum zdm_code check_role(const struct zdm_trust *trust, const struct zdm_person *person,
                                const struct zdm_request *request, struct zdm_error *err)
{
    char has[32], needs[32], names[5 * ZDM_NAME_MAX];
    enum zdm_role role = zdm_verb_role(request->verb);
    /* Every role includes that of a viewer. */
    uint32_t roles = person->roles | (person->roles != 0 ? (uint32_t)ZDM_ROLE_VIEWER : 0);
    if ((roles & (uint32_t)role) == (uint32_t)role)
        return ZDM_OK;
    zdm_roles_text(has, sizeof has, person->roles);
    zdm_roles_text(needs, sizeof needs, (uint32_t)role);
    zdm_error_set(err, ZDM_REFUSED, "%s may not %s", person->name, zdm_verb_name(request->verb));
    who_has(names, sizeof names, trust, (uint32_t)role);
    zdm_error_detail(err, "It takes the role %s; %s has: %s.%s", needs, person->name, has, names);
    return zdm_error_hint(err, "Ask one of them; or the roots give the role: zdmctl trust propose --set-roles %s=%s,%s",
                          person->name, has, needs);
}

/* ---- What travels inside ---- */

static enum zdm_code check_inside(struct coord_driver *d, const struct zdm_envelope *envelope,
                                  enum zdm_signed_type type, enum zdm_role role, const uint8_t **out_body,
                                  size_t *out_n, struct zdm_error *err)
{
    struct zdm_id signer;
    struct zdm_trust_finder finder = {
        .crypto = d->config.crypto, .trust = &trust_in_force(d)->trust, .role = (uint32_t)role};
    return zdm_signed_check(d->config.crypto, envelope, type, &trust_in_force(d)->fleet, zdm_trust_find_person, &finder,
                            out_body, out_n, &signer, err);
}

/* The body of what the request carries, signed by who sends the request. */
static enum zdm_code open_payload(struct coord_driver *d, const struct coord_peer *peer,
                                  struct request_scratch *scratch, enum zdm_signed_type type, enum zdm_role role,
                                  const uint8_t **out_body, size_t *out_n, struct zdm_error *err)
{
    const struct zdm_envelope *payload = &scratch->request.payload;
    enum zdm_code code = check_inside(d, payload, type, role, out_body, out_n, err);
    if (code != ZDM_OK)
        return zdm_error_wrap(err, "what the request carries");
    (void)zdm_signed_claims(payload, &scratch->payload_signer);
    if (zdm_id_equal(&scratch->payload_signer, &peer->key_id))
        return ZDM_OK;
    zdm_error_set(err, ZDM_REFUSED, "what the request carries was signed by somebody else");
    return zdm_error_hint(err, "Whoever signed it sends it.");
}

static enum zdm_code take_enrolment(struct coord_driver *d, const struct coord_peer *peer,
                                    struct request_scratch *scratch, struct zdm_error *err)
{
    const uint8_t *body;
    size_t n;
    enum zdm_code code = open_payload(d, peer, scratch, ZDM_SIGNED_ENROLMENT, ZDM_ROLE_OPERATOR, &body, &n, err);
    return code == ZDM_OK ? zdm_enrolment_decode(body, n, &scratch->enrolment, err) : code;
}

static enum zdm_code take_approval(struct coord_driver *d, const struct coord_peer *peer,
                                   struct request_scratch *scratch, struct zdm_error *err)
{
    const uint8_t *body;
    size_t n;
    enum zdm_code code = open_payload(d, peer, scratch, ZDM_SIGNED_APPROVAL, ZDM_ROLE_APPROVER, &body, &n, err);
    if (code == ZDM_OK)
        code = zdm_approval_decode(body, n, &scratch->approval, err);
    scratch->have_approval = code == ZDM_OK;
    return code;
}

static enum zdm_code take_undo_order(struct coord_driver *d, const struct coord_peer *peer,
                                     struct request_scratch *scratch, struct zdm_error *err)
{
    const uint8_t *body;
    size_t n;
    enum zdm_code code = open_payload(d, peer, scratch, ZDM_SIGNED_UNDO_ORDER, ZDM_ROLE_OPERATOR, &body, &n, err);
    if (code == ZDM_OK)
        code = zdm_undo_order_decode(body, n, &scratch->undo_order, err);
    scratch->have_undo_order = code == ZDM_OK;
    return code;
}

/* ---- The plan and its notes, out of the session's uploads ---- */

enum zdm_code request_try_plan(struct coord_driver *d, const struct upload *upload, const struct zdm_hash *hash,
                               struct zdm_plan **out_plan, struct zdm_envelope *out_envelope, struct zdm_error *err)
{
    struct zdm_envelope envelope;
    struct zdm_plan *plan = NULL;
    const uint8_t *body;
    size_t n;
    if (zdm_envelope_unflatten(upload->bytes, upload->total, &envelope, err) != ZDM_OK)
        return ZDM_OK; /* notes, most likely */
    enum zdm_code code = check_inside(d, &envelope, ZDM_SIGNED_PLAN, ZDM_ROLE_OPERATOR, &body, &n, err);
    if (code == ZDM_OK)
        code = zdm_plan_decode(d->config.crypto, body, n, &plan, err);
    if (code == ZDM_OK && zdm_hash_equal(&plan->hash, hash)) {
        *out_plan = plan;
        *out_envelope = envelope;
        return ZDM_OK;
    }
    zdm_plan_unref(plan);
    zdm_envelope_fini(&envelope);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "the uploaded plan");
}

static bool is_envelope(const struct upload *upload)
{
    static const uint8_t magic[16] = "zdm-signed-v1";
    return upload->total >= sizeof magic && memcmp(upload->bytes, magic, sizeof magic) == 0;
}

static enum zdm_code check_notes(const struct upload *upload, const struct zdm_plan *plan, struct zdm_error *err)
{
    struct zdm_notes *notes = NULL;
    enum zdm_code code = zdm_notes_decode(upload->bytes, upload->total, &notes, err);
    if (code != ZDM_OK)
        return zdm_error_wrap(err, "the uploaded notes");
    if (notes->n_phases != plan->n_phases)
        code = zdm_error_set(err, ZDM_INVALID, "the notes belong to another plan: %zu phases, not %zu", notes->n_phases,
                             plan->n_phases);
    zdm_notes_free(notes);
    return code;
}

static enum zdm_code take_plan(struct coord_driver *d, const struct person *person, struct request_scratch *scratch,
                               struct zdm_error *err)
{
    const struct upload *notes = NULL;
    for (size_t i = 0; i < UPLOADS_PER_PERSON; i++) {
        const struct upload *upload = &person->uploads[i];
        if (upload->total == 0 || upload->received != upload->total)
            continue;
        if (!is_envelope(upload))
            notes = upload;
        else if (scratch->plan == NULL) {
            enum zdm_code code =
                request_try_plan(d, upload, &scratch->request.plan_hash, &scratch->plan, &scratch->plan_envelope, err);
            if (code != ZDM_OK)
                return code;
        }
    }
    /* Without the plan the core says whether that matters: the same request again needs no upload. */
    if (scratch->plan == NULL || notes == NULL)
        return ZDM_OK;
    scratch->notes = notes->bytes;
    scratch->n_notes = notes->total;
    return check_notes(notes, scratch->plan, err);
}

/* ---- The trust file, out of the session's uploads ---- */

/* Without the upload the core says that it is missing. */
static enum zdm_code take_trust(struct coord_driver *d, const struct person *person, struct request_scratch *scratch,
                                struct zdm_error *err)
{
    for (size_t i = 0; i < UPLOADS_PER_PERSON; i++) {
        const struct upload *upload = &person->uploads[i];
        if (upload->total == 0 || upload->received != upload->total ||
            !zdm_hash_equal(&upload->hash, &scratch->request.plan_hash))
            continue;
        enum zdm_code code = trust_check(d, upload->bytes, upload->total, &scratch->chain, err);
        scratch->have_chain = code == ZDM_OK;
        return code;
    }
    return ZDM_OK;
}

/* ---- By verb ---- */

static enum zdm_code take_payload(struct coord_driver *d, const struct coord_peer *peer,
                                  struct request_scratch *scratch, struct zdm_error *err)
{
    const struct zdm_request *request = &scratch->request;
    bool carries = request->payload.len != 0;
    /* One that was acted upon gets its answer again, whatever has become of what it carried. */
    if (coord_find_request(d->state, &request->request_id) != NULL)
        return ZDM_OK;
    if (request->verb == ZDM_VERB_SUBMIT)
        return peer->user != NULL ? take_plan(d, peer->user, scratch, err) : ZDM_OK;
    if (request->verb == ZDM_VERB_TRUST)
        return peer->user != NULL ? take_trust(d, peer->user, scratch, err) : ZDM_OK;
    if (request->verb == ZDM_VERB_ENROLL)
        return take_enrolment(d, peer, scratch, err);
    if ((request->verb == ZDM_VERB_APPROVE || request->verb == ZDM_VERB_PURGE) && carries)
        return take_approval(d, peer, scratch, err);
    if (request->verb == ZDM_VERB_ROLLBACK && carries)
        return take_undo_order(d, peer, scratch, err);
    return ZDM_OK;
}

/* ---- All of it ---- */

static void fill(struct coord_driver *d, const struct pending *pending, const struct zdm_person *person,
                 const struct request_scratch *scratch, struct coord_input *out)
{
    out->kind = COORD_IN_REQUEST;
    out->u.request.request = &scratch->request;
    out->u.request.envelope = &pending->frame.u.request;
    out->u.request.key = pending->agent;
    out->u.request.name = person->name;
    out->u.request.roles = person->roles;
    out->u.request.trust = &trust_in_force(d)->trust;
    out->u.request.plan = scratch->plan;
    out->u.request.plan_envelope = scratch->plan != NULL ? &scratch->plan_envelope : NULL;
    out->u.request.notes = scratch->notes;
    out->u.request.n_notes = scratch->n_notes;
    out->u.request.enrolment = scratch->request.verb == ZDM_VERB_ENROLL ? &scratch->enrolment : NULL;
    out->u.request.approval = scratch->have_approval ? &scratch->approval : NULL;
    out->u.request.undo_order = scratch->have_undo_order ? &scratch->undo_order : NULL;
    out->u.request.payload_signer = scratch->payload_signer;
    if (scratch->have_chain) {
        out->u.request.new_trust = &scratch->chain.trust;
        out->u.request.new_trust_digest = scratch->chain.hash;
    }
}

enum zdm_code request_check(struct coord_driver *d, const struct pending *pending, struct request_scratch *scratch,
                            struct coord_input *out, struct zdm_error *err)
{
    struct coord_peer *peer = coord_hub_find(d->hub, pending->conn);
    const struct zdm_person *person =
        peer != NULL ? zdm_trust_person(d->config.crypto, &trust_in_force(d)->trust, &peer->key_id) : NULL;
    const uint8_t *body;
    size_t n;
    struct zdm_id signer;
    if (person == NULL)
        return zdm_error_set(err, ZDM_CLOSED, "the session has ended");
    enum zdm_code code = zdm_signed_check(d->config.crypto, &pending->frame.u.request, ZDM_SIGNED_REQUEST,
                                          &trust_in_force(d)->fleet, find_signer, peer, &body, &n, &signer, err);
    if (code == ZDM_OK)
        code = zdm_request_decode(body, n, &scratch->request, err);
    if (code != ZDM_OK)
        return code;
    scratch->have_request = true;
    code = check_session(peer, &scratch->request, err);
    if (code == ZDM_OK)
        code = check_role(&trust_in_force(d)->trust, person, &scratch->request, err);
    if (code == ZDM_OK)
        code = take_payload(d, peer, scratch, err);
    if (code == ZDM_OK)
        fill(d, pending, person, scratch, out);
    return code;
}
