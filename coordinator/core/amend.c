/*
 * amend.c - submit --amend: the plan of a migration that is under way becomes another one, whose phases are the same as
 * far as any shard has gone (protocol 2).
 *
 * What stays and what goes:
 * - phases that a shard has entered: their bytes are the same, or it is refused;
 * - phases that were opened, and that nobody has entered: they close again where they changed, and everything behind;
 * - the shards and their waves: those of the first submission;
 * - approvals: each names the hash of the plan that was signed, with all that its phases build upon. Those of the plan
 *   as it was count no more for who has the phase before it;
 * - orders to go back name that hash too: while a shard goes back, the plan stays as it is.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/plan/undo.h"
#include "coordinator/core/machine.h"

struct amendment {
    const struct coord_state *state;
    const struct coord_view *view;
    const struct coord_input *input;
    const struct coord_migration *m;
    const struct zdm_plan *old, *new;
    struct coord_output *out;
    struct zdm_error *answer;
};

uint32_t coord_common_phases(const struct zdm_plan *a, const struct zdm_plan *b)
{
    uint32_t n = 0;
    while (n < a->n_phases && n < b->n_phases && zdm_hash_equal(&a->phases[n].digest, &b->phases[n].digest))
        n++;
    return n;
}

uint32_t coord_shard_entered(const struct coord_shard *s)
{
    uint32_t entered = s->entered > s->at ? s->entered : s->at;
    return entered > s->goal ? entered : s->goal;
}

static uint32_t highest_entered(const struct coord_migration *m, const struct coord_shard **out_who)
{
    uint32_t highest = 0;
    for (size_t i = 0; i < m->n_shards; i++) {
        uint32_t entered = coord_shard_entered(&m->shards[i]);
        if (entered <= highest)
            continue;
        highest = entered;
        *out_who = &m->shards[i];
    }
    return highest;
}

/* ---- The header: what may be another one ---- */

static bool same_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static bool same_selector(const struct amendment *a)
{
    return same_text(a->old->selector, a->new->selector);
}

static bool same_waves(const struct amendment *a)
{
    bool same = a->old->n_waves == a->new->n_waves;
    for (size_t i = 0; same && i < a->old->n_waves; i++)
        same = same_text(a->old->waves[i].selector, a->new->waves[i].selector) &&
               a->old->waves[i].percent == a->new->waves[i].percent;
    return same;
}

/* Whoever waits in its purge phase was let in by people who had that grace period before them. */
static bool same_grace(const struct amendment *a)
{
    const struct coord_shard *who = NULL;
    uint32_t purge = zdm_plan_purge_phase(a->old);
    return a->old->grace_ms == a->new->grace_ms || purge == 0 || highest_entered(a->m, &who) < purge;
}

/* The rest of the header, soak, max_parallel, failure_budget, throttle and tables, may change: it decides what comes
 * next, and nothing that was done by it has to be done again. */
struct fixed_row {
    const char *name;
    bool (*same)(const struct amendment *a);
    const char *why;
};

static const struct fixed_row fixed_rows[] = {
    {"shards", same_selector, "The migration keeps the shards of its first submission."},
    {"waves", same_waves, "Its shards were shared out among them at the first submission."},
    {"grace", same_grace, "A shard has entered the purge phase, and people signed for that with the old one."},
};

static bool header_fits(const struct amendment *a)
{
    for (size_t i = 0; i < sizeof fixed_rows / sizeof *fixed_rows; i++) {
        const struct fixed_row *row = &fixed_rows[i];
        if (row->same(a))
            continue;
        zdm_error_set(a->answer, ZDM_REFUSED, "\"%s\" of a plan that is under way cannot change", row->name);
        zdm_error_detail(a->answer, "%s", row->why);
        zdm_error_hint(a->answer, "Write it as it was. Phases that nobody has entered, soak, max_parallel, "
                                  "failure_budget and throttle may change.");
        return false;
    }
    return true;
}

/* ---- The shards ---- */

/* An agent that was told to go back does not take another plan, because it has to undo what it did by the steps of the
 * one at hand, until it has taken an order to run: that it has is known from its report alone. */
static bool runs_again(const struct amendment *a, const struct coord_shard *s)
{
    const struct zdm_migration_report *report = coord_view_report(a->view, &s->actor, a->m->id);
    return s->undo == 0 || (s->mode == ZDM_MODE_RUN && report != NULL && report->accepted.generation == s->generation);
}

static bool nobody_was_left_going_back(const struct amendment *a)
{
    for (size_t i = 0; i < a->m->n_shards; i++) {
        const struct coord_shard *s = &a->m->shards[i];
        if (runs_again(a, s))
            continue;
        zdm_error_set(a->answer, ZDM_REFUSED,
                      "shard %s was on its way back, and its agent does not go forward again yet", s->name);
        if (s->mode == ZDM_MODE_RUN)
            zdm_error_hint(a->answer, "Amend when its agent has been heard: zdmctl status %s.", a->m->id);
        else
            zdm_error_hint(a->answer, "Let it take part again first: zdmctl %s %s --shard %s.",
                           s->status == COORD_EXCLUDED ? "include" : "resume", a->m->id, s->name);
        return false;
    }
    return true;
}

static bool nobody_goes_back(const struct amendment *a)
{
    for (size_t i = 0; i < a->m->n_shards; i++) {
        const struct coord_shard *s = &a->m->shards[i];
        bool back = s->mode == ZDM_MODE_UNDO || coord_is_going_back(s), undone = s->status == COORD_UNDONE;
        if (!back && s->mode != ZDM_MODE_PURGE)
            continue;
        zdm_error_set(a->answer, ZDM_REFUSED, "shard %s %s by an order that names the plan as it is", s->name,
                      !back    ? "drops what a rollback left"
                      : undone ? "was rolled back"
                               : "is on its way back");
        if (undone)
            zdm_error_hint(a->answer, "Let it take part again first: zdmctl resume %s --shard %s.", a->m->id, s->name);
        else
            zdm_error_hint(a->answer, "Amend when it is there: zdmctl status %s.", a->m->id);
        return false;
    }
    return true;
}

static bool entered_phases_are_the_same(const struct amendment *a)
{
    const struct coord_shard *who = NULL;
    uint32_t common = coord_common_phases(a->old, a->new), entered = highest_entered(a->m, &who);
    if (entered <= common)
        return true;
    const struct zdm_phase *phase = zdm_plan_phase(a->old, common + 1);
    zdm_error_set(a->answer, ZDM_REFUSED, "phase %u (%s) is %s, and shard %s has entered it", common + 1,
                  zdm_phase_class_name(phase->class), common < a->new->n_phases ? "another one" : "gone",
                  /* the one that is furthest has entered all before it */ who->name);
    zdm_error_detail(a->answer, "Shard %s has entered phase %u: up to there the plan has to stay as it is.", who->name,
                     entered);
    if (common + 1 > 1)
        zdm_error_hint(
            a->answer,
            "Leave what is up to phase %u as it was submitted, and change what comes later, or roll back first: "
            "zdmctl rollback %s --all-shards --to %u.",
            entered, a->m->id, common);
    else
        zdm_error_hint(
            a->answer,
            "Leave what is up to phase %u as it was submitted, and change what comes later, or roll all of it "
            "back and submit it anew.",
            entered);
    return false;
}

/* ---- What follows ---- */

/* Has some shard the phase before it? Who was let in, stays in: the phase is the same. */
static bool awaits(const struct coord_migration *m, const struct zdm_approval *approval)
{
    bool any = approval->phase == 0 || approval->action == ZDM_APPROVE_UNDO;
    for (size_t i = 0; i < m->n_shards && !any; i++)
        any = m->shards[i].entered < approval->phase;
    return any;
}

/* "bob's for phase 4, cat's for phase 4" */
static size_t fallen_approvals(const struct amendment *a, char *out, size_t size)
{
    size_t n = 0, used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < a->m->n_approvals; i++) {
        const struct coord_approval *given = &a->m->approvals[i];
        const struct zdm_authority_person *person = zdm_authority_find(&a->view->authority, &given->approver);
        if (given->revoked_seq != 0 || !zdm_hash_equal(&given->approval.plan_hash, &a->old->hash) ||
            !awaits(a->m, &given->approval))
            continue;
        n++;
        int more = used >= size ? 0
                                : snprintf(out + used, size - used, "%s%s's for phase %u", n > 1 ? ", " : "",
                                           person != NULL ? person->name : "somebody", given->approval.phase);
        used += more > 0 ? (size_t)more : 0;
    }
    return n;
}

static void put_plan(const struct amendment *a)
{
    struct coord_event *event = coord_emit(a->out, COORD_EVENT_PLAN_AMENDED, a->m->id);
    if (event == NULL)
        return;
    event->u.migration_submitted.plan = zdm_plan_ref(a->input->u.request.plan);
    zdm_copy_text(event->u.migration_submitted.by, sizeof event->u.migration_submitted.by, a->input->u.request.name);
    if (!zdm_envelope_copy(&event->u.migration_submitted.plan_envelope, a->input->u.request.plan_envelope))
        a->out->failed = true;
    if (a->input->u.request.n_notes > 0) {
        event->u.migration_submitted.notes = zdm_memdup(a->input->u.request.notes, a->input->u.request.n_notes);
        event->u.migration_submitted.n_notes = a->input->u.request.n_notes;
        a->out->failed = a->out->failed || event->u.migration_submitted.notes == NULL;
    }
    for (uint32_t i = 0; i < a->m->n_shards; i++)
        if (a->m->shards[i].generation != 0)
            coord_send_directive(a->out, a->m, i, NULL);
}

static void say_amended(const struct amendment *a)
{
    char fallen[ZDM_TEXT_MAX / 2];
    uint32_t common = coord_common_phases(a->old, a->new);
    size_t n = fallen_approvals(a, fallen, sizeof fallen);
    if (common >= a->old->n_phases && common >= a->new->n_phases)
        zdm_error_set(a->answer, ZDM_OK, "the plan of %s is amended: every phase stays as it was", a->m->id);
    else
        zdm_error_set(a->answer, ZDM_OK, "the plan of %s is amended from phase %u on", a->m->id, common + 1);
    if (n > 0)
        zdm_error_detail(a->answer, "Approvals of the plan as it was count no more: %s. Approvers sign the new one.",
                         fallen);
    if (a->m->opened_phase > common)
        zdm_error_hint(a->answer, "Phase %u is closed again: zdmctl advance %s opens it.", common + 1, a->m->id);
}

/* ---- The two ways to another plan, or signature ---- */

/* Without a trust file nobody can tell: then agents do not either. */
static bool signer_has_left(const struct coord_view *view, const struct coord_migration *m,
                            const struct zdm_authority_person **out_person)
{
    struct zdm_id signer = coord_plan_signer(m);
    const struct zdm_authority_person *person = zdm_authority_find(&view->authority, &signer);
    *out_person = person;
    return view->authority.n_people > 0 && (person == NULL || (person->roles & ZDM_ROLE_OPERATOR) == 0);
}

/* Each agent judges another plan by the one at hand, and only by one whose signature holds. */
static bool old_plan_holds(const struct amendment *a)
{
    const struct zdm_authority_person *person = NULL;
    if (!signer_has_left(a->view, a->m, &person))
        return true;
    zdm_error_set(a->answer, ZDM_REFUSED,
                  "the plan of %s that is in force was signed by %s, who is no operator any more", a->m->id,
                  person != NULL ? person->name : "somebody");
    zdm_error_detail(a->answer, "Agents would not take another plan over one whose signature does not hold.");
    zdm_error_hint(a->answer,
                   "Sign it anew first: zdmctl submit RUNBOOK, without --amend and with the runbook as it is "
                   "in force. Then amend.");
    return false;
}

/* Agents stop at a plan whose signer is no operator any more. Any operator may sign the same plan anew, and only then:
 * who submitted it decides who counts as an approver under four_eyes. */
bool coord_signed_anew(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                       struct coord_output *out, struct zdm_error *answer)
{
    const struct coord_migration *m = coord_find_migration(state, input->u.request.request->migration);
    const struct zdm_authority_person *person = NULL;
    if (m == NULL || m->mode == COORD_ENDED || !zdm_hash_equal(&m->plan->hash, &input->u.request.request->plan_hash) ||
        !signer_has_left(view, m, &person))
        return false;
    if (!coord_plan_is_right(input, answer))
        return true;
    struct amendment a = {.state = state, .view = view, .input = input, .m = m, .out = out, .answer = answer};
    put_plan(&a);
    zdm_error_set(answer, ZDM_OK, "the plan of %s is signed anew by %s", m->id, input->u.request.name);
    zdm_error_detail(answer, "Who had signed it is no operator any more; agents take the new signature and go on.");
    return true;
}

static const struct coord_migration *subject(const struct coord_state *state, const struct coord_input *input,
                                             struct zdm_error *answer)
{
    const struct zdm_request *request = input->u.request.request;
    const struct coord_migration *m = coord_find_migration(state, request->migration);
    if (m == NULL) {
        zdm_error_set(answer, ZDM_NOT_FOUND, "there is no migration \"%s\" whose plan could be amended",
                      request->migration);
        zdm_error_hint(answer, "Submit it without --amend.");
        return NULL;
    }
    if (m->mode == COORD_ENDED) {
        zdm_error_set(answer, ZDM_REFUSED, "migration %s has ended", m->id);
        zdm_error_hint(answer, m->outcome == COORD_END_UNDONE
                                   ? "It was rolled back everywhere: submit the runbook without --amend, it is a new "
                                     "run."
                                   : "Submit what is to be changed under another id.");
        return NULL;
    }
    return m;
}

void coord_amend(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                 struct coord_output *out, struct zdm_error *answer)
{
    const struct zdm_request *request = input->u.request.request;
    const struct coord_migration *m = subject(state, input, answer);
    if (m == NULL)
        return;
    if (zdm_hash_equal(&m->plan->hash, &request->plan_hash)) {
        zdm_error_set(answer, ZDM_OK, "migration %s has this plan already: nothing changes", m->id);
        return;
    }
    if (!coord_plan_is_right(input, answer) || coord_moved_since(m, request, answer))
        return;
    struct amendment a = {state, view, input, m, m->plan, input->u.request.plan, out, answer};
    if (state->frozen) {
        zdm_error_set(answer, ZDM_REFUSED, "the fleet is frozen");
        zdm_error_hint(answer, "Thaw it first: zdmctl thaw.");
        return;
    }
    if (!old_plan_holds(&a) || !nobody_goes_back(&a) || !nobody_was_left_going_back(&a) ||
        !entered_phases_are_the_same(&a) || !header_fits(&a) || !coord_there_is_room(state, a.new, m, answer) ||
        !coord_suits_shards(state, view, a.new, m, answer))
        return;
    put_plan(&a);
    say_amended(&a);
}
