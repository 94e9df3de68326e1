/*
 * purge.c - what was hidden is dropped for good: the purge phase is entered, or what rollbacks left is dropped where
 * the shard is. Each approver who says `zdmctl purge` gives one approval; the last one needed sets it going.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/plan/undo.h"
#include "coordinator/core/machine.h"

struct sweep {
    const struct coord_state *state;
    const struct coord_view *view;
    const struct coord_input *input;
    const struct coord_migration *m;
    const bool *selected;
    struct coord_output *out;
    struct zdm_error *answer;
    struct coord_approval added; /* the one that the request carries */
};

static bool covers_selection(const struct sweep *w)
{
    for (size_t i = 0; i < w->m->n_shards; i++)
        if (w->selected[i] && !coord_approval_covers(&w->added.approval, w->m->shards[i].name)) {
            zdm_error_set(w->answer, ZDM_INVALID, "the approval does not name shard %s, which the request selects",
                          w->m->shards[i].name);
            return false;
        }
    return true;
}

static const char *when(const struct sweep *w)
{
    return w->added.approval.purge_now ? "They drop it now, without waiting for the grace period."
                                       : "They drop it when its grace period is over, by each database's clock.";
}

/* ---- The purge phase ---- */

static bool may_open(const struct sweep *w, uint32_t phase)
{
    const struct zdm_step *gate = NULL;
    for (uint32_t p = 1; p < phase && gate == NULL; p++)
        if (w->m->gates[p - 1].state != COORD_GATE_PASSED)
            gate = coord_gate_step(w->m->plan, p);
    if (w->state->frozen) {
        zdm_error_set(w->answer, ZDM_REFUSED, "the fleet is frozen");
        zdm_error_hint(w->answer, "An operator thaws it first: zdmctl thaw.");
    } else if (gate != NULL) {
        zdm_error_set(w->answer, ZDM_REFUSED, "gate %s stands before the purge", coord_gate_name(gate));
        zdm_error_hint(w->answer, "An operator passes it when the flag is rolled out: zdmctl advance %s.", w->m->id);
    } else {
        return true;
    }
    return false;
}

static bool is_before_purge(const struct coord_shard *s, uint32_t phase)
{
    return s->status != COORD_EXCLUDED && s->status != COORD_DONE && s->status != COORD_UNDONE && s->at + 1 >= phase &&
           !coord_is_going_back(s);
}

static size_t count_before_purge(const struct sweep *w, uint32_t phase, size_t *out_closed)
{
    size_t n = 0;
    *out_closed = 0;
    for (size_t i = 0; i < w->m->n_shards; i++)
        if (w->selected[i] && is_before_purge(&w->m->shards[i], phase)) {
            n++;
            *out_closed += w->m->shards[i].opened < phase;
        }
    return n;
}

static void open_purge(const struct sweep *w, uint32_t phase)
{
    struct coord_event *event = coord_emit(w->out, COORD_EVENT_PHASE_OPENED, w->m->id);
    if (event == NULL)
        return;
    struct coord_shard_bits *only = &event->u.phase_opened.only;
    event->u.phase_opened.phase = phase;
    zdm_copy_text(event->u.phase_opened.by, sizeof event->u.phase_opened.by, w->input->u.request.name);
    for (uint32_t i = 0; i < w->m->n_shards; i++)
        if (w->selected[i] && is_before_purge(&w->m->shards[i], phase) &&
            !coord_bits_add(&only->bytes, &only->n_bytes, &only->first, i))
            w->out->failed = true;
}

static void say_opened(const struct sweep *w, uint32_t phase, size_t n)
{
    struct zdm_judgement judgement, least = {.given = UINT32_MAX};
    for (size_t i = 0; i < w->m->n_shards; i++) {
        if (!w->selected[i] || !is_before_purge(&w->m->shards[i], phase))
            continue;
        (void)coord_allowed(w->view, w->m, &w->m->shards[i], ZDM_APPROVE_PURGE, phase, w->input->now_ms, &w->added,
                            &judgement);
        if (judgement.given < least.given)
            least = judgement;
    }
    zdm_error_set(w->answer, ZDM_OK, "phase %u (purge) is open for %zu of %zu shards: %u of %u approval%s", phase, n,
                  w->m->n_shards, least.given, least.needed, least.needed == 1 ? "" : "s");
    zdm_error_detail(w->answer, "%s", when(w));
    if (least.given < least.needed)
        zdm_error_hint(w->answer, "Another approver says: zdmctl purge %s.", w->m->id);
}

static void enter_purge_phase(const struct sweep *w, uint32_t phase)
{
    size_t closed, n = count_before_purge(w, phase, &closed);
    if (w->m->mode == COORD_ENDED) {
        zdm_error_set(w->answer, ZDM_REFUSED, "migration %s has ended", w->m->id);
        zdm_error_hint(w->answer, "What rollbacks left is purged without a phase: zdmctl purge %s.", w->m->id);
        return;
    }
    if (!may_open(w, phase))
        return;
    if (n == 0) {
        zdm_error_set(w->answer, ZDM_REFUSED, "no selected shard has finished phase %u and has its purge before it",
                      phase - 1);
        zdm_error_hint(w->answer, "To approve it before they get there: zdmctl approve %s --phase %u --runbook FILE.",
                       w->m->id, phase);
        return;
    }
    coord_add_approval(w->m, w->input, w->out);
    if (closed > 0)
        open_purge(w, phase);
    say_opened(w, phase, n);
}

/* ---- What rollbacks left ---- */

/* The actor, or whoever reports a writable primary: in a migration that has ended nobody else follows it. */
static bool pick(const struct sweep *w, const struct coord_shard *s, struct zdm_id *out)
{
    struct coord_shard anyone = *s;
    anyone.actor = (struct zdm_id){{0}};
    return coord_pick_actor(w->state, w->view, s, w->input->now_ms, out) ||
           coord_pick_actor(w->state, w->view, &anyone, w->input->now_ms, out);
}

/* Does its actor report that nothing is hidden there? */
static bool is_clean(const struct sweep *w, const struct coord_shard *s, const struct zdm_id *agent)
{
    const struct zdm_migration_report *report = coord_view_report(w->view, agent, w->m->id);
    (void)s;
    return report != NULL && report->proven && report->hidden_total == 0;
}

struct leftovers {
    size_t ordered, waiting, under_way, clean, away, elsewhere;
    struct zdm_judgement least;
};

static void order_one(const struct sweep *w, uint32_t i, long merge_from, struct leftovers *n)
{
    const struct zdm_request *request = w->input->u.request.request;
    struct coord_case c = {.state = w->state, .view = w->view, .out = w->out, .now_ms = w->input->now_ms, .m = w->m};
    struct zdm_judgement judgement;
    c.on = COORD_ON_PURGE;
    c.merge_from = merge_from;
    c.index = i;
    c.s = &w->m->shards[i];
    c.reason = request->reason[0] != '\0' ? request->reason : "purge";
    if (!coord_shard_is_final(c.s) || c.s->generation == 0) {
        n->elsewhere++;
    } else if (!pick(w, c.s, &c.agent)) {
        n->away++;
    } else if (is_clean(w, c.s, &c.agent)) {
        n->clean++;
    } else if (!coord_allowed(w->view, w->m, c.s, ZDM_APPROVE_PURGE, 0, w->input->now_ms, &w->added, &judgement)) {
        n->under_way += c.s->mode == ZDM_MODE_PURGE;
        n->waiting += c.s->mode != ZDM_MODE_PURGE;
        if (n->least.needed == 0 || judgement.given < n->least.given)
            n->least = judgement;
    } else if (coord_case_run(&c) != NULL) {
        n->ordered++;
    }
}

/* An order goes to an agent that is there to take it: one that comes back later is asked again. */
static void say_away(const struct sweep *w, const struct leftovers *n)
{
    char said[sizeof w->answer->message];
    zdm_copy_text(said, sizeof said, w->answer->message);
    zdm_error_set(w->answer, ZDM_OK,
                  "%s; no agent of %zu other%s reports a writable primary, and nothing is ordered there", said, n->away,
                  n->away == 1 ? "" : "s");
    zdm_error_hint(w->answer, "Say it again when they are back: zdmctl purge %s.", w->m->id);
}

static void say_ordered(const struct sweep *w, const struct leftovers *n)
{
    zdm_error_set(w->answer, ZDM_OK, "%zu shard%s what rollbacks left", n->ordered,
                  n->ordered == 1 ? " purges" : "s purge");
    zdm_error_detail(w->answer, "%s", when(w));
    if (n->ordered == 0 && n->waiting == 0)
        zdm_error_set(w->answer, ZDM_OK, "the purge of what rollbacks left is under way on %zu shard%s", n->under_way,
                      n->under_way == 1 ? "" : "s");
    if (n->waiting > 0 && n->ordered == 0)
        zdm_error_set(w->answer, ZDM_OK, "the purge of what rollbacks left of %s is approved: %u of %u approvals",
                      w->m->id, n->least.given, n->least.needed);
    if (n->away > 0)
        say_away(w, n);
    if (n->waiting > 0)
        zdm_error_hint(w->answer, "Another approver says: zdmctl purge %s.", w->m->id);
}

static void refuse_leftovers(const struct sweep *w, const struct leftovers *n)
{
    if (n->clean > 0) {
        zdm_error_set(w->answer, ZDM_REFUSED, "nothing that a rollback left is there any more");
        zdm_error_hint(w->answer, "See what is hidden: zdmctl status %s.", w->m->id);
    } else if (n->away > 0) {
        zdm_error_set(w->answer, ZDM_REFUSED, "no agent of %zu selected shard%s reports a writable primary", n->away,
                      n->away == 1 ? "" : "s");
        zdm_error_hint(w->answer, "See their agents: zdmctl agents.");
    } else {
        zdm_error_set(w->answer, ZDM_REFUSED, "no selected shard is done or undone");
        zdm_error_hint(w->answer,
                       "What a rollback left is purged when the shard is through, or back; see \"zdmctl status "
                       "%s\".",
                       w->m->id);
    }
}

static void purge_leftovers(const struct sweep *w)
{
    struct leftovers n = {.ordered = 0};
    coord_add_approval(w->m, w->input, w->out);
    long merge_from = (long)w->out->n_events;
    for (uint32_t i = 0; i < w->m->n_shards; i++)
        if (w->selected[i])
            order_one(w, i, merge_from, &n);
    if (n.ordered + n.waiting + n.under_way == 0)
        refuse_leftovers(w, &n);
    else
        say_ordered(w, &n);
}

void coord_verb_purge(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                      struct coord_output *out, struct zdm_error *answer)
{
    struct sweep w = {.state = state, .view = view, .input = input, .out = out, .answer = answer};
    w.m = coord_any_migration(state, input, answer);
    if (w.m == NULL || !coord_approval_fits(state, view, w.m, input, answer))
        return;
    w.added = (struct coord_approval){.approval = *input->u.request.approval,
                                      .approver = input->u.request.payload_signer,
                                      .added_seq = UINT64_MAX - 1};
    if (w.added.approval.action != ZDM_APPROVE_PURGE) {
        zdm_error_set(answer, ZDM_INVALID, "the request to purge carries an approval to %s",
                      zdm_approval_action_name(w.added.approval.action));
        return;
    }
    bool *selected = coord_selected(state, w.m, &input->u.request.request->shards, answer);
    if (selected == NULL)
        return;
    w.selected = selected;
    if (covers_selection(&w)) {
        if (w.added.approval.phase != 0)
            enter_purge_phase(&w, w.added.approval.phase);
        else
            purge_leftovers(&w);
    }
    free(selected);
}
