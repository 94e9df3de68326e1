/*
 * advance.c - the next phase is opened: for all shards, or for those that the operator selected.
 *
 * An advance opens; coord_releasable decides when each shard goes in. A phase that is opened for some shards is closed
 * to the others until a later advance names them (coord_shard.opened).
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/bulk_text.h"

struct advance {
    const struct coord_state *state;
    const struct coord_view *view;
    const struct coord_input *input;
    const struct coord_migration *m;
    const bool *selected;
    struct coord_output *out;
    struct zdm_error *answer;
};

static bool can_advance(const struct coord_shard *s)
{
    bool undone = s->status == COORD_HELD && s->resume_to == COORD_UNDONE;
    return !coord_shard_is_final(s) && s->status != COORD_EXCLUDED && !undone && !coord_is_going_back(s);
}

/* Who saw the last move, or the newest order of any shard, is up to date: orders alone (a resume, a moved actor) do not
 * make what was seen wrong, and a move that directed nobody yet shows in the phase. */
static bool is_older(const struct coord_migration *m, uint64_t seen)
{
    uint64_t newest = 0;
    if (seen == 0 || seen >= m->moved_seq)
        return false;
    for (size_t i = 0; i < m->n_shards; i++)
        if (m->shards[i].generation > newest)
            newest = m->shards[i].generation;
    return seen < newest;
}

bool coord_moved_since(const struct coord_migration *m, const struct zdm_request *request, struct zdm_error *answer)
{
    if (!request->has_expect)
        return false;
    if (request->expect_phase == m->opened_phase && !is_older(m, request->expect_generation))
        return false;
    zdm_error_set(answer, ZDM_REFUSED, "the migration moved since you looked");
    zdm_error_detail(answer, "Phase %u is open; you saw phase %u.", m->opened_phase, request->expect_phase);
    zdm_error_hint(answer, "Look again: zdmctl status %s.", m->id);
    return true;
}

/* A flag is rolled out everywhere at once: every shard must have what it switches to. */
static bool all_have(const struct advance *a, uint32_t phase, const struct coord_shard **out_missing)
{
    for (size_t i = 0; i < a->m->n_shards; i++)
        if (a->m->shards[i].status != COORD_EXCLUDED && a->m->shards[i].at < phase) {
            *out_missing = &a->m->shards[i];
            return false;
        }
    return true;
}

/* The gate at the end of phase p - 1, when the way leads to p. first: p is where this advance begins. */
static bool gate_lets_pass(const struct advance *a, uint32_t p, bool first)
{
    const struct zdm_step *gate = p > 1 ? coord_gate_step(a->m->plan, p - 1) : NULL;
    const struct coord_shard *missing = NULL;
    if (gate == NULL || a->m->gates[p - 2].state == COORD_GATE_PASSED)
        return true;
    if (!first) {
        zdm_error_set(a->answer, ZDM_REFUSED, "gate %s stands between phase %u and phase %u", coord_gate_name(gate),
                      p - 1, p);
        zdm_error_hint(a->answer, "Advance to phase %u, roll the flag out, then advance further.", p - 1);
    } else if (a->m->gates[p - 2].state == COORD_GATE_VETOED) {
        zdm_error_set(a->answer, ZDM_REFUSED, "gate %s was vetoed", coord_gate_name(gate));
    } else if (!all_have(a, p - 1, &missing)) {
        zdm_error_set(a->answer, ZDM_REFUSED, "gate %s cannot be passed before every shard has finished phase %u",
                      coord_gate_name(gate), p - 1);
        zdm_error_detail(a->answer, "Shard %s is %s at phase %u.", missing->name, coord_status_name(missing->status),
                         missing->at);
        zdm_error_hint(a->answer, "See what it waits for: zdmctl status %s.", a->m->id);
    } else {
        return true;
    }
    return false;
}

static void emit_gate(const struct advance *a, enum coord_event_type type, uint32_t phase)
{
    const struct zdm_step *gate = coord_gate_step(a->m->plan, phase);
    if (gate == NULL)
        return;
    struct coord_event *event = coord_emit(a->out, type, a->m->id);
    if (event == NULL)
        return;
    event->u.gate.phase = phase;
    event->u.gate.step = gate->ordinal;
    event->u.gate.run = 1;
    if (type == COORD_EVENT_GATE_PASSED)
        zdm_copy_text(event->u.gate.detail, sizeof event->u.gate.detail, a->input->u.request.name);
}

/* Opens phase p for those of the selection that it is not open for; returns how many. */
static size_t open_phase(const struct advance *a, uint32_t p)
{
    struct coord_event *event = coord_emit(a->out, COORD_EVENT_PHASE_OPENED, a->m->id);
    size_t n = 0;
    if (event == NULL)
        return 0;
    struct coord_shard_bits *only = &event->u.phase_opened.only;
    event->u.phase_opened.phase = p;
    zdm_copy_text(event->u.phase_opened.by, sizeof event->u.phase_opened.by, a->input->u.request.name);
    for (uint32_t i = 0; i < a->m->n_shards; i++) {
        if (!a->selected[i] || !can_advance(&a->m->shards[i]) || a->m->shards[i].opened >= p)
            continue;
        n++;
        if (!a->input->u.request.request->shards.all && !coord_bits_add(&only->bytes, &only->n_bytes, &only->first, i))
            a->out->failed = true;
    }
    if (a->m->gates[p - 1].state == 0)
        emit_gate(a, COORD_EVENT_GATE_STARTED, p);
    return n;
}

/* The lowest phase that is open for a selected shard; UINT32_MAX: none of them can go anywhere. */
static uint32_t lowest_opened(const struct advance *a)
{
    uint32_t low = UINT32_MAX;
    for (size_t i = 0; i < a->m->n_shards; i++)
        if (a->selected[i] && can_advance(&a->m->shards[i]) && a->m->shards[i].opened < low)
            low = a->m->shards[i].opened;
    return low;
}

/* Have all of the selected that it is open for what it takes to enter? */
static bool have_approvals(const struct advance *a, uint32_t p, enum zdm_approval_action action)
{
    struct zdm_judgement judgement;
    for (size_t i = 0; i < a->m->n_shards; i++) {
        const struct coord_shard *s = &a->m->shards[i];
        if (a->selected[i] && can_advance(s) && s->at < p &&
            !coord_allowed(a->view, a->m, s, action, p, a->input->now_ms, NULL, &judgement))
            return false;
    }
    return true;
}

/* What stands between opening and entering: signatures, and shards that a rollback or a person holds. */
static void say_opened(const struct advance *a, uint32_t p, size_t n)
{
    const struct zdm_phase *phase = zdm_plan_phase(a->m->plan, p);
    enum zdm_approval_action action;
    uint32_t needed = coord_phase_needs(a->view, a->m, p, &action);
    size_t held = 0;
    for (size_t i = 0; i < a->m->n_shards; i++)
        held += a->selected[i] && a->m->shards[i].status == COORD_HELD;
    zdm_error_set(a->answer, ZDM_OK, "phase %u (%s) is open for %zu of %zu shards", p,
                  zdm_phase_class_name(phase->class), n, a->m->n_shards);
    if (held > 0)
        zdm_error_detail(a->answer, "%zu of them %s paused and %s in when resumed: zdmctl resume %s.", held,
                         held == 1 ? "is" : "are", held == 1 ? "goes" : "go", a->m->id);
    if (needed == 0 || have_approvals(a, p, action))
        return;
    if (action == ZDM_APPROVE_PURGE)
        zdm_error_hint(a->answer, "Entering takes %u approval%s: each approver says \"zdmctl purge %s\".", needed,
                       needed == 1 ? "" : "s", a->m->id);
    else
        zdm_error_hint(
            a->answer,
            "Entering takes %u approval%s: each approver says \"zdmctl approve %s --phase %u --runbook FILE\".", needed,
            needed == 1 ? "" : "s", a->m->id, p);
}

static void advance_to(const struct advance *a, uint32_t from, uint32_t to)
{
    size_t n = 0;
    for (uint32_t p = from; p <= to; p++)
        if (!gate_lets_pass(a, p, p == from))
            return;
    for (uint32_t p = from; p <= to; p++) {
        if (p > 1 && a->m->gates[p - 2].state != COORD_GATE_PASSED)
            emit_gate(a, COORD_EVENT_GATE_PASSED, p - 1);
        n = open_phase(a, p);
    }
    say_opened(a, to, n);
}

static void open_again(const struct advance *a)
{
    struct coord_event *event = coord_emit(a->out, COORD_EVENT_MIGRATION_RESUMED, a->m->id);
    if (event != NULL)
        zdm_copy_text(event->u.halted.by, sizeof event->u.halted.by, a->input->u.request.name);
}

/* --only-unfinished: nobody goes further than the phase that is open; who was left behind is taken along. */
static void take_up(const struct advance *a)
{
    size_t unfinished = 0;
    uint32_t opened = a->m->opened_phase, low = lowest_opened(a);
    for (size_t i = 0; i < a->m->n_shards; i++)
        unfinished += a->selected[i] && can_advance(&a->m->shards[i]) && a->m->shards[i].at < opened;
    if (unfinished == 0) {
        zdm_error_set(a->answer, ZDM_REFUSED, "every selected shard has finished phase %u", opened);
        zdm_error_hint(a->answer, "Advance without --only-unfinished to open the next phase.");
        return;
    }
    if (a->m->mode == COORD_HALTED)
        open_again(a);
    for (uint32_t p = low + 1; p <= opened; p++)
        open_phase(a, p);
    zdm_error_set(a->answer, ZDM_OK, "phase %u goes on for %zu shard%s", opened, unfinished,
                  unfinished == 1 ? "" : "s");
}

static void refuse_all(const struct advance *a)
{
    static const struct coord_bulk_words words = {.nothing = "no selected shard can go further"};
    struct coord_bulk_count count = {.words = &words};
    for (size_t i = 0; i < a->m->n_shards; i++)
        if (a->selected[i])
            coord_bulk_leave(&count, &a->m->shards[i], false);
    coord_bulk_answer(&count, a->m, "", a->answer);
}

static void advance(const struct advance *a)
{
    const struct zdm_request *request = a->input->u.request.request;
    uint32_t last = zdm_plan_last_phase(a->m->plan), low = lowest_opened(a);
    uint32_t to = request->to_phase != 0 ? request->to_phase : low + 1;
    if (low == UINT32_MAX) {
        refuse_all(a);
    } else if (request->only_unfinished) {
        take_up(a);
    } else if (a->m->mode == COORD_HALTED) {
        zdm_error_set(a->answer, ZDM_REFUSED, "migration %s is halted", a->m->id);
        zdm_error_hint(a->answer,
                       "See to what failed: zdmctl status %s. Then \"zdmctl resume %s --all-shards\" opens it "
                       "again; \"zdmctl advance %s --only-unfinished\" takes up only what has begun.",
                       a->m->id, a->m->id, a->m->id);
    } else if (low >= last) {
        zdm_error_set(a->answer, ZDM_REFUSED, "phase %u, the last one, is open already", last);
        zdm_error_hint(a->answer, "See what its shards wait for: zdmctl status %s.", a->m->id);
    } else if (to > last) {
        zdm_error_set(a->answer, ZDM_INVALID, "the plan has %u phases", last);
    } else if (to <= low) {
        zdm_error_set(a->answer, ZDM_REFUSED, "phase %u is open already", to);
        zdm_error_hint(a->answer, "The next one is phase %u; see what shards wait for: zdmctl status %s.", low + 1,
                       a->m->id);
    } else {
        advance_to(a, low + 1, to);
    }
}

void coord_verb_advance(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                        struct coord_output *out, struct zdm_error *answer)
{
    const struct zdm_request *request = input->u.request.request;
    const struct coord_migration *m = coord_named_migration(state, input, answer);
    if (m == NULL || coord_moved_since(m, request, answer))
        return;
    if (state->frozen) {
        zdm_error_set(answer, ZDM_REFUSED, "the fleet is frozen");
        zdm_error_hint(answer, "Thaw it first: zdmctl thaw.");
        return;
    }
    bool *selected = coord_selected(state, m, &request->shards, answer);
    if (selected == NULL)
        return;
    advance(&(struct advance){state, view, input, m, selected, out, answer});
    free(selected);
}
