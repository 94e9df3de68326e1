/*
 * approve.c - approvals are given and withdrawn. What is kept here is what the agents will judge again: nothing that
 * could never count is taken.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/machine.h"

/* Kept for one migration: bounds what a careless script leaves behind. */
enum { APPROVALS_KEPT_MAX = 1024 };

struct offer {
    const struct coord_state *state;
    const struct coord_view *view;
    const struct coord_migration *m;
    const struct coord_input *input;
    const struct zdm_approval *a;
    struct zdm_error *answer;
};

/* ---- Is it about this plan, and about something that needs it? ---- */

static bool is_for_this_plan(const struct offer *o)
{
    const struct zdm_approval *a = o->a;
    if (strcmp(a->migration, o->m->id) != 0) {
        zdm_error_set(o->answer, ZDM_INVALID, "the approval is for migration %s, the request for %s", a->migration,
                      o->m->id);
        return false;
    }
    if (zdm_hash_equal(&a->plan_hash, &o->m->plan->hash))
        return true;
    zdm_error_set(o->answer, ZDM_REFUSED, "the approval is for another plan than the one that was submitted as %s",
                  o->m->id);
    zdm_error_detail(o->answer, "The hash of the approver's runbook differs from that of the submitted plan.");
    zdm_error_hint(o->answer, "Compare the runbooks, and approve what was submitted: zdmctl status %s shows its hash.",
                   o->m->id);
    return false;
}

static bool is_for_a_phase(const struct offer *o)
{
    const struct zdm_approval *a = o->a;
    const struct zdm_phase *phase = zdm_plan_phase(o->m->plan, a->phase);
    bool back = a->action == ZDM_APPROVE_UNDO, leftovers = a->action == ZDM_APPROVE_PURGE && a->phase == 0;
    bool purge = phase != NULL && phase->class == ZDM_PHASE_PURGE;
    struct zdm_hash digest = {{0}};
    if (!back && !leftovers && phase != NULL)
        digest = phase->digest;
    if (phase == NULL && !leftovers && !(back && a->phase == 0))
        zdm_error_set(o->answer, ZDM_INVALID, "the plan of %s has no phase %u", o->m->id, a->phase);
    else if (!back && !leftovers && purge != (a->action == ZDM_APPROVE_PURGE))
        zdm_error_set(o->answer, ZDM_INVALID, "phase %u is %s purge: the approval says %s", a->phase,
                      purge ? "a" : "no", zdm_approval_action_name(a->action));
    else if (!zdm_hash_equal(&a->phase_digest, &digest))
        zdm_error_set(o->answer, ZDM_REFUSED, "the approval is for other steps than phase %u of %s has", a->phase,
                      o->m->id);
    else
        return true;
    return false;
}

static bool is_needed(const struct offer *o)
{
    struct zdm_act act = {.plan = o->m->plan, .action = o->a->action, .phase = o->a->phase, .shard = ""};
    char phase[64];
    if (zdm_act_needs(&o->view->authority, &act) > 0)
        return true;
    coord_phase_text(phase, sizeof phase, o->m, o->a->phase);
    zdm_error_set(o->answer, ZDM_REFUSED, "%s needs no approval", phase);
    zdm_error_hint(o->answer, "It destroys nothing; an operator opens it: zdmctl advance %s.", o->m->id);
    return false;
}

static bool names_its_shards(const struct offer *o)
{
    for (size_t i = 0; i < o->a->n_shards; i++)
        if (coord_find_shard(o->m, o->a->shards[i]) < 0) {
            zdm_error_set(o->answer, ZDM_NOT_FOUND, "shard %s, which the approval names, is not in migration %s",
                          o->a->shards[i], o->m->id);
            return false;
        }
    return true;
}

/* ---- Whose is it, and is it still good? ---- */

static bool is_its_signers(const struct offer *o)
{
    const struct zdm_id *signer = &o->input->u.request.payload_signer;
    const struct zdm_authority_person *person = zdm_authority_find(&o->view->authority, signer);
    struct zdm_id submitter = coord_plan_signer(o->m);
    if (!zdm_id_equal(signer, &o->input->u.request.key)) {
        zdm_error_set(o->answer, ZDM_REFUSED, "the approval is signed by another key than the request");
        zdm_error_hint(o->answer, "Each approver signs and sends an approval of their own: zdmctl approve %s.",
                       o->m->id);
    } else if (person == NULL || (person->roles & ZDM_ROLE_APPROVER) == 0) {
        zdm_error_set(o->answer, ZDM_REFUSED, "%s is no approver in the trust file in force",
                      o->input->u.request.name != NULL ? o->input->u.request.name : "the signer");
        zdm_error_hint(o->answer, "See who is: zdmctl trust show. The roots sign changes to it: zdmctl trust propose.");
    } else if (o->view->authority.four_eyes && zdm_id_equal(signer, &submitter)) {
        zdm_error_set(o->answer, ZDM_REFUSED, "%s submitted the plan and cannot approve it too", person->name);
        zdm_error_detail(o->answer, "The trust file asks for four eyes.");
        zdm_error_hint(o->answer, "Another approver says: zdmctl approve %s.", o->m->id);
    } else {
        return true;
    }
    return false;
}

static bool is_in_time(const struct offer *o)
{
    int64_t now = o->input->now_ms;
    if (o->a->trust_version > o->view->authority.version) {
        zdm_error_set(o->answer, ZDM_REFUSED,
                      "the approval was signed under version %u of the trust file; here version "
                      "%u is in force",
                      o->a->trust_version, o->view->authority.version);
        zdm_error_hint(o->answer, "Publish the newer trust file first: zdmctl trust publish FILE.");
    } else if (now > o->a->expires_at_ms) {
        zdm_error_set(o->answer, ZDM_REFUSED, "the approval has expired");
        zdm_error_detail(o->answer, "It was good until %lld s ago.", (long long)((now - o->a->expires_at_ms) / 1000));
        zdm_error_hint(o->answer, "Sign a new one: zdmctl approve %s.", o->m->id);
    } else if (now < o->a->issued_at_ms - ZDM_CLOCK_TOLERANCE_MS) {
        zdm_error_set(o->answer, ZDM_REFUSED, "the approval was issued %lld s in the future",
                      (long long)((o->a->issued_at_ms - now) / 1000));
        zdm_error_hint(o->answer, "Compare the clocks of the approver's host and the coordinator's.");
    } else {
        return true;
    }
    return false;
}

static const struct coord_approval *find_nonce(const struct coord_migration *m, const struct zdm_id *nonce)
{
    for (size_t i = 0; i < m->n_approvals; i++)
        if (zdm_id_equal(&m->approvals[i].approval.nonce, nonce))
            return &m->approvals[i];
    return NULL;
}

static bool is_new(const struct offer *o)
{
    for (size_t i = 0; i < o->state->n_migrations; i++)
        if (find_nonce(o->state->migrations[i], &o->a->nonce) != NULL) {
            zdm_error_set(o->answer, ZDM_EXISTS, "this approval was given before");
            zdm_error_hint(o->answer, "Sign a new one: zdmctl approve %s.", o->m->id);
            return false;
        }
    if (zdm_id_is_zero(&o->a->nonce)) {
        zdm_error_set(o->answer, ZDM_INVALID, "the approval has no nonce");
        return false;
    }
    if (o->m->n_approvals < APPROVALS_KEPT_MAX)
        return true;
    zdm_error_set(o->answer, ZDM_LIMIT, "migration %s has %zu approvals already", o->m->id, o->m->n_approvals);
    return false;
}

bool coord_approval_fits(const struct coord_state *state, const struct coord_view *view,
                         const struct coord_migration *m, const struct coord_input *input, struct zdm_error *answer)
{
    static bool (*const checks[])(const struct offer *o) = {
        is_for_this_plan, is_for_a_phase, is_needed, names_its_shards, is_its_signers, is_in_time, is_new};
    const struct offer o = {state, view, m, input, input->u.request.approval, answer};
    if (o.a == NULL || input->u.request.request->payload.len == 0) {
        zdm_error_set(answer, ZDM_INVALID, "the request carries no approval");
        return false;
    }
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (!checks[i](&o))
            return false;
    return true;
}

/* ---- approve ---- */

static bool copy_shards(struct zdm_approval *out, const struct zdm_approval *from)
{
    *out = *from;
    out->shards = NULL;
    out->n_shards = 0;
    if (from->n_shards > 0 && (out->shards = calloc(from->n_shards, sizeof *out->shards)) == NULL)
        return false;
    for (; out->n_shards < from->n_shards; out->n_shards++)
        if ((out->shards[out->n_shards] = zdm_strdup(from->shards[out->n_shards])) == NULL)
            return false;
    return true;
}

/* The directives that carry the approval have changed with it. */
static void send_carriers(struct coord_output *out, const struct coord_migration *m, const struct coord_approval *a)
{
    for (uint32_t i = 0; i < m->n_shards; i++)
        if (coord_carries(m, &m->shards[i], a))
            coord_send_directive(out, m, i, NULL);
}

void coord_add_approval(const struct coord_migration *m, const struct coord_input *input, struct coord_output *out)
{
    const struct coord_approval added = {.approval = *input->u.request.approval, .added_seq = UINT64_MAX - 1};
    struct coord_event *event = coord_emit(out, COORD_EVENT_APPROVAL_ADDED, m->id);
    if (event == NULL)
        return;
    event->u.approval_added.approver = input->u.request.payload_signer;
    if (!copy_shards(&event->u.approval_added.approval, input->u.request.approval) ||
        !zdm_envelope_copy(&event->u.approval_added.signed_approval, &input->u.request.request->payload))
        out->failed = true;
    send_carriers(out, m, &added);
}

/* The shard that has the fewest with the new one, of those that it is about. */
static struct zdm_judgement fewest(const struct coord_view *view, const struct coord_migration *m,
                                   const struct coord_approval *added, int64_t now_ms)
{
    const struct zdm_approval *a = &added->approval;
    struct zdm_judgement least = {.needed = 1}, judgement;
    bool any = false;
    for (size_t i = 0; i < m->n_shards; i++) {
        const struct coord_shard *s = &m->shards[i];
        bool before = a->action != ZDM_APPROVE_ENTER || s->at < a->phase;
        if (s->status == COORD_EXCLUDED || !before || !coord_approval_covers(a, s->name))
            continue;
        (void)coord_allowed(view, m, s, a->action, a->phase, now_ms, added, &judgement);
        if (!any || judgement.given < least.given)
            least = judgement;
        any = true;
    }
    return least;
}

static void say_what_follows(const struct coord_migration *m, const struct zdm_approval *a, bool enough,
                             struct zdm_error *answer)
{
    if (a->action == ZDM_APPROVE_UNDO && enough)
        zdm_error_hint(answer, "An operator says: zdmctl rollback %s --to %u.", m->id, a->phase);
    else if (a->action == ZDM_APPROVE_UNDO)
        zdm_error_hint(answer, "Another approver says: zdmctl approve %s --rollback-to %u.", m->id, a->phase);
    else if (a->phase == 0)
        zdm_error_hint(answer,
                       enough ? "An approver orders it: zdmctl purge %s." : "Another approver says: zdmctl purge %s.",
                       m->id);
    else if (!enough)
        zdm_error_hint(answer, "Another approver says: zdmctl approve %s --phase %u --runbook FILE.", m->id, a->phase);
    else if (m->opened_phase < a->phase)
        zdm_error_hint(answer, "An operator opens it: zdmctl advance %s.", m->id);
}

/* What is approved of one that has ended: the purge of what rollbacks left, and the rollback that takes it back. */
static const struct coord_migration *named(const struct coord_state *state, const struct coord_input *input,
                                           struct zdm_error *answer)
{
    const struct zdm_approval *a = input->u.request.approval;
    if (a != NULL && a->action == ZDM_APPROVE_PURGE && a->phase == 0)
        return coord_any_migration(state, input, answer);
    if (a != NULL && a->action == ZDM_APPROVE_UNDO)
        return coord_undoable_migration(state, input, answer);
    return coord_named_migration(state, input, answer);
}

void coord_verb_approve(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                        struct coord_output *out, struct zdm_error *answer)
{
    const struct zdm_approval *a = input->u.request.approval;
    const struct coord_migration *m = named(state, input, answer);
    char phase[64];
    if (m == NULL || !coord_approval_fits(state, view, m, input, answer))
        return;
    const struct coord_approval added = {
        .approval = *a, .approver = input->u.request.payload_signer, .added_seq = UINT64_MAX - 1};
    struct zdm_judgement judgement = fewest(view, m, &added, input->now_ms);
    coord_phase_text(phase, sizeof phase, m, a->phase);
    coord_add_approval(m, input, out);
    zdm_error_set(answer, ZDM_OK, "%s%s of %s is approved: %u of %u approval%s",
                  a->action == ZDM_APPROVE_UNDO ? "rollback to " : "",
                  a->action == ZDM_APPROVE_PURGE && a->phase == 0 ? "the purge of what rollbacks left" : phase, m->id,
                  judgement.given, judgement.needed, judgement.needed == 1 ? "" : "s");
    say_what_follows(m, a, judgement.given >= judgement.needed, answer);
}

/* ---- revoke-approval ---- */

void coord_verb_revoke_approval(const struct coord_state *state, const struct coord_view *view,
                                const struct coord_input *input, struct coord_output *out, struct zdm_error *answer)
{
    const struct zdm_request *request = input->u.request.request;
    const struct coord_migration *m = coord_any_migration(state, input, answer);
    const struct coord_approval *a = m == NULL ? NULL : find_nonce(m, &request->target);
    char phase[64];
    (void)view;
    if (m == NULL)
        return;
    if (a == NULL) {
        zdm_error_set(answer, ZDM_NOT_FOUND, "migration %s has no such approval", m->id);
        zdm_error_hint(answer, "See which there are: zdmctl status %s.", m->id);
        return;
    }
    coord_phase_text(phase, sizeof phase, m, a->approval.phase);
    zdm_error_set(answer, ZDM_OK,
                  a->revoked_seq != 0 ? "the approval of %s was withdrawn before" : "the approval of %s is withdrawn",
                  phase);
    if (a->revoked_seq != 0)
        return;
    struct coord_event *event = coord_emit(out, COORD_EVENT_APPROVAL_REVOKED, m->id);
    if (event == NULL)
        return;
    event->u.approval_revoked.nonce = a->approval.nonce;
    zdm_copy_text(event->u.approval_revoked.by, sizeof event->u.approval_revoked.by, input->u.request.name);
    send_carriers(out, m, a);
    zdm_error_detail(answer, "No order carries it any more. A shard that has entered with it stays where it is.");
    zdm_error_hint(answer, "To stop shards that are at work: zdmctl pause %s.", m->id);
}
