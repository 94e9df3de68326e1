/*
 * story_acts.c - what people asked for and signed, as sentences: who, what, which shards, why. See story_parts.h.
 *
 * An approval's event follows the request that carried it. Both are told by the same words, so that a reader who leaves
 * out what is said twice sees it once.
 */
#include "coordinator/app/story_parts.h"

#include <inttypes.h>
#include <string.h>

/* ---- What was asked for ---- */

static void put_selection(const struct telling_of *t, const struct zdm_selection *selection)
{
    if (selection->all)
        put_words(t, " all shards");
    else if (selection->selector != NULL)
        put_words(t, " the shards %.200s", selection->selector);
    for (size_t i = 0; i < selection->n_names && i < 3; i++)
        put_words(t, "%s%s", i == 0 ? " " : ", ", selection->names[i]);
    if (selection->n_names > 3)
        put_words(t, " and %zu more", selection->n_names - 3);
}

/* "for all shards of the approval", as few words as that takes. */
static void put_for_shards(const struct telling_of *t, char *const *names, size_t n)
{
    if (t->m != NULL && n == t->m->n_shards && n > 1)
        put_words(t, " for all %zu shards", n);
    else
        for (size_t i = 0; i < n && i < 3; i++)
            put_words(t, "%s%s", i == 0 ? " for " : ", ", names[i]);
    if (n > 3 && (t->m == NULL || n != t->m->n_shards))
        put_words(t, " and %zu more", n - 3);
}

static void put_approved(const struct telling_of *t, const struct zdm_approval *approval)
{
    if (approval->action == ZDM_APPROVE_UNDO) {
        put_words(t, "approved a rollback to ");
        put_phase(t, approval->phase);
        put_words(t, ", which loses what new applications wrote,");
    } else if (approval->action == ZDM_APPROVE_PURGE && approval->phase == 0) {
        put_words(t, "approved dropping what rollbacks left hidden");
    } else {
        put_words(t, approval->action == ZDM_APPROVE_PURGE ? "approved the purge in " : "approved ");
        put_phase(t, approval->phase);
    }
    put_for_shards(t, approval->shards, approval->n_shards);
    put_words(t, ", until ");
    put_minute(t, approval->expires_at_ms);
    if (approval->purge_now)
        put_words(t, ", without waiting for the grace period");
}

static const struct coord_approval *find_approval(const struct telling_of *t, const struct zdm_id *nonce)
{
    for (size_t i = 0; t->m != NULL && i < t->m->n_approvals; i++)
        if (zdm_id_equal(&t->m->approvals[i].approval.nonce, nonce))
            return &t->m->approvals[i];
    return NULL;
}

static void put_withdrawn(const struct telling_of *t, const char *by, const struct zdm_id *nonce)
{
    const struct coord_approval *approval = find_approval(t, nonce);
    char whose[ZDM_NAME_MAX + 1] = "";
    if (approval != NULL)
        story_person(t, &approval->approver, whose);
    put_words(t, "%s withdrew ", by);
    if (approval == NULL) {
        put_words(t, "an approval");
        return;
    }
    if (strcmp(whose, by) == 0)
        put_words(t, "the approval of ");
    else
        put_words(t, "%s's approval of ", whose);
    if (approval->approval.action == ZDM_APPROVE_UNDO)
        put_words(t, "a rollback to ");
    put_phase(t, approval->approval.phase);
}

static void act_rollback(const struct telling_of *t, const struct zdm_request *request)
{
    struct zdm_undo_order order;
    struct zdm_error err;
    size_t n = 0;
    const uint8_t *body = zdm_signed_body(&request->payload, &n);
    uint32_t to = request->to_phase;
    if (body != NULL && zdm_undo_order_decode(body, n, &order, &err) == ZDM_OK) {
        to = order.to_phase;
        zdm_undo_order_fini(&order);
    }
    put_words(t, "rolled back");
    put_selection(t, &request->shards);
    put_words(t, to == 0 ? " to " : " to the end of ");
    put_phase(t, to);
    if (request->flags_off)
        put_words(t, ", with the flag off everywhere");
}

static void act_approve(const struct telling_of *t, const struct zdm_request *request)
{
    struct zdm_approval approval;
    struct zdm_error err;
    size_t n = 0;
    const uint8_t *body = zdm_signed_body(&request->payload, &n);
    if (body == NULL || zdm_approval_decode(body, n, &approval, &err) != ZDM_OK) {
        put_words(t, "approved a part of %s", t->event->migration);
        return;
    }
    put_approved(t, &approval);
    zdm_approval_fini(&approval);
}

static void act_enroll(const struct telling_of *t, const struct zdm_request *request)
{
    struct zdm_enrolment enrolment;
    struct zdm_error err;
    size_t n = 0;
    const uint8_t *body = zdm_signed_body(&request->payload, &n);
    bool known = body != NULL && zdm_enrolment_decode(body, n, &enrolment, &err) == ZDM_OK;
    put_words(t, "issued a join token for %s", known ? enrolment.shard : "a shard");
}

static void act_advance(const struct telling_of *t, const struct zdm_request *request)
{
    put_words(t, "advanced");
    put_selection(t, &request->shards);
    if (request->to_phase != 0) {
        put_words(t, " to ");
        put_phase(t, request->to_phase);
    }
}

static void act_revoke_agent(const struct telling_of *t, const struct zdm_request *request)
{
    put_words(t, "revoked ");
    put_agent(t, &request->target);
}

static void act_retry(const struct telling_of *t, const struct zdm_request *request)
{
    put_words(t, request->forward ? "gave up the rollback of" : "retried");
    put_selection(t, &request->shards);
}

static void act_purge(const struct telling_of *t, const struct zdm_request *request)
{
    struct zdm_approval approval;
    struct zdm_error err;
    size_t n = 0;
    const uint8_t *body = zdm_signed_body(&request->payload, &n);
    if (body == NULL || zdm_approval_decode(body, n, &approval, &err) != ZDM_OK) {
        put_words(t, "asked to purge what %s hid, on", t->event->migration);
        put_selection(t, &request->shards);
        return;
    }
    put_approved(t, &approval);
    zdm_approval_fini(&approval);
}

static void act_throttle(const struct telling_of *t, const struct zdm_request *request)
{
    put_throttle(t, &request->throttle);
}

/* Verbs that take only their shards, or nothing. */
static void act_plainly(const struct telling_of *t, const struct zdm_request *request)
{
    static const struct {
        const char *words;
        bool shards; /* they follow the words */
    } rows[] = {[ZDM_VERB_PAUSE] = {"paused", true},
                [ZDM_VERB_RESUME] = {"resumed", true},
                [ZDM_VERB_EXCLUDE] = {"excluded", true},
                [ZDM_VERB_INCLUDE] = {"included", true},
                [ZDM_VERB_FREEZE] = {"froze the fleet", false},
                [ZDM_VERB_THAW] = {"thawed the fleet", false},
                [ZDM_VERB_TRUST] = {"published a new trust file", false},
                [ZDM_VERB_RECOVER] = {"recovered the coordinator", false}};
    size_t verb = (size_t)request->verb;
    bool known = verb < sizeof rows / sizeof *rows && rows[verb].words != NULL;
    put_words(t, "%s", known ? rows[verb].words : "acted");
    if (known && rows[verb].shards)
        put_selection(t, &request->shards);
}

typedef void tell_act(const struct telling_of *t, const struct zdm_request *request);

static void act_submit(const struct telling_of *t, const struct zdm_request *request)
{
    put_words(t, request->amend ? "amended the plan of %s" : "submitted %s", t->event->migration);
}

void tell_acted(const struct telling_of *t)
{
    static tell_act *const acts[] = {
        [ZDM_VERB_SUBMIT] = act_submit,
        [ZDM_VERB_ADVANCE] = act_advance,
        [ZDM_VERB_RETRY] = act_retry,
        [ZDM_VERB_ROLLBACK] = act_rollback,
        [ZDM_VERB_APPROVE] = act_approve,
        [ZDM_VERB_ENROLL] = act_enroll,
        [ZDM_VERB_REVOKE_AGENT] = act_revoke_agent,
        [ZDM_VERB_PURGE] = act_purge,
        [ZDM_VERB_THROTTLE] = act_throttle,
    };
    struct zdm_request request;
    struct zdm_error err;
    size_t n = 0;
    const uint8_t *body = zdm_signed_body(&t->event->u.operator_acted.signed_request, &n);
    const char *name = t->event->u.operator_acted.name;
    story_by(t->out, name);
    if (body == NULL || zdm_request_decode(body, n, &request, &err) != ZDM_OK) {
        put_words(t, "%s asked for %s", name, zdm_verb_name(t->event->u.operator_acted.verb));
        return;
    }
    size_t verb = (size_t)request.verb;
    if (request.verb == ZDM_VERB_REVOKE_APPROVAL)
        put_withdrawn(t, name, &request.target);
    else {
        put_words(t, "%s ", name);
        (verb < sizeof acts / sizeof *acts && acts[verb] != NULL ? acts[verb] : act_plainly)(t, &request);
    }
    put_quoted(t, t->event->u.operator_acted.reason);
    zdm_request_fini(&request);
}

/* ---- What was signed ---- */

void tell_approval(const struct telling_of *t)
{
    char name[ZDM_NAME_MAX + 1];
    story_person(t, &t->event->u.approval_added.approver, name);
    story_by(t->out, name);
    put_words(t, "%s ", name);
    put_approved(t, &t->event->u.approval_added.approval);
}

void tell_approval_revoked(const struct telling_of *t)
{
    story_by(t->out, t->event->u.approval_revoked.by);
    put_withdrawn(t, t->event->u.approval_revoked.by, &t->event->u.approval_revoked.nonce);
}
