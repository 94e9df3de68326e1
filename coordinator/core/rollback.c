/*
 * rollback.c - the way back: may these shards go to the end of an earlier phase, and what has to come first? (protocol
 * 9, rows 40 and 44; the reverse barrier.)
 *
 * The order is a person's signature that every agent checks again; what is refused here is what would fail there, or
 * what only the coordinator can see: flags that may still be on, and shards that still stand beyond them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/plan/undo.h"
#include "coordinator/core/machine.h"

struct retreat {
    const struct coord_state *state;
    const struct coord_view *view;
    const struct coord_input *input;
    const struct coord_migration *m;
    const bool *selected;
    uint32_t to; /* the end of this phase */
    struct coord_output *out;
    struct zdm_error *answer;
    char selection[256]; /* as options of zdmctl */
};

/* ---- Is the order the one that the request speaks of? ---- */

/* The nonce is what a shard spends: another order that carries it would be refused there. */
static bool is_used(const struct coord_state *state, const struct zdm_id *nonce)
{
    for (size_t i = 0; i < state->n_migrations; i++)
        for (size_t j = 0; j < state->migrations[i]->n_undos; j++)
            if (zdm_id_equal(&state->migrations[i]->undos[j].nonce, nonce))
                return true;
    return false;
}

static bool order_covers(const struct zdm_undo_order *order, const char *shard)
{
    for (size_t i = 0; i < order->n_shards; i++)
        if (strcmp(order->shards[i], shard) == 0)
            return true;
    return order->n_shards == 0;
}

static bool order_fits_request(const struct retreat *r)
{
    const struct zdm_undo_order *order = r->input->u.request.undo_order;
    const struct zdm_request *request = r->input->u.request.request;
    if (order == NULL || request->payload.len == 0)
        zdm_error_set(r->answer, ZDM_INVALID, "the request carries no undo order");
    else if (!zdm_id_equal(&r->input->u.request.payload_signer, &r->input->u.request.key))
        zdm_error_set(r->answer, ZDM_REFUSED, "the undo order is signed by another key than the request");
    else if (order->to_phase != request->to_phase)
        zdm_error_set(r->answer, ZDM_INVALID, "the undo order goes back to phase %u, the request to phase %u",
                      order->to_phase, request->to_phase);
    else if (zdm_id_is_zero(&order->nonce) || is_used(r->state, &order->nonce))
        zdm_error_set(r->answer, ZDM_EXISTS, "this undo order was used before");
    else if (order->to_phase > zdm_plan_last_phase(r->m->plan))
        zdm_error_set(r->answer, ZDM_INVALID, "the plan has %u phases", zdm_plan_last_phase(r->m->plan));
    else
        return true;
    zdm_error_hint(r->answer, "An operator signs a new one: zdmctl rollback %s.", r->m->id);
    return false;
}

static bool order_is_good(const struct retreat *r)
{
    const struct zdm_undo_order *order = r->input->u.request.undo_order;
    for (size_t i = 0; i < r->m->n_shards; i++) {
        if (!r->selected[i])
            continue;
        if (!order_covers(order, r->m->shards[i].name)) {
            zdm_error_set(r->answer, ZDM_INVALID, "the undo order does not name shard %s, which the request selects",
                          r->m->shards[i].name);
            return false;
        }
        if (zdm_undo_order_judge(&r->view->authority, order, &r->input->u.request.payload_signer, r->m->plan,
                                 r->m->shards[i].name, r->to, r->input->now_ms, r->answer) != ZDM_OK)
            return false;
    }
    return true;
}

/* ---- Who goes back? ---- */

static struct coord_case case_for(const struct retreat *r, uint32_t i)
{
    const struct zdm_request *request = r->input->u.request.request;
    struct coord_case c = {.state = r->state, .view = r->view, .out = r->out, .now_ms = r->input->now_ms, .m = r->m};
    c.on = COORD_ON_ROLLBACK;
    c.index = i;
    c.s = &r->m->shards[i];
    c.phase = r->to;
    c.undo_order = &request->payload;
    c.undo_nonce = r->input->u.request.undo_order->nonce;
    c.by = r->input->u.request.name;
    c.reason = request->reason[0] != '\0' ? request->reason : "rollback";
    return c;
}

static bool goes_back(const struct retreat *r, uint32_t i)
{
    struct coord_case c = case_for(r, i);
    return r->selected[i] && coord_case_match(&c) != NULL;
}

/* Why a selected shard cannot: for the first that is neither there already nor out of it. */
static bool is_purged(const struct retreat *r, const struct coord_shard *s)
{
    uint32_t purge = zdm_plan_purge_phase(r->m->plan);
    return purge != 0 && r->to < purge && s->at >= purge;
}

static void refuse_nobody(const struct retreat *r)
{
    const struct coord_shard *purged = NULL, *excluded = NULL;
    size_t n = 0, n_back = 0;
    for (size_t i = 0; i < r->m->n_shards; i++) {
        if (!r->selected[i])
            continue;
        n++;
        n_back += coord_is_going_back(&r->m->shards[i]);
        if (is_purged(r, &r->m->shards[i]))
            purged = &r->m->shards[i];
        else if (r->m->shards[i].status == COORD_EXCLUDED)
            excluded = &r->m->shards[i];
    }
    if (purged != NULL) {
        zdm_error_set(r->answer, ZDM_REFUSED, "shard %s has purged what a rollback would bring back", purged->name);
        zdm_error_detail(r->answer, "It has finished phase %u (purge): what was dropped there is gone.",
                         zdm_plan_purge_phase(r->m->plan));
        zdm_error_hint(r->answer, "Take changes back by a runbook of its own, under another id.");
        return;
    }
    char where[64] = "the start";
    if (r->to > 0)
        snprintf(where, sizeof where, "phase %u", r->to);
    if (n_back > 0 && n_back == n)
        zdm_error_set(r->answer, ZDM_REFUSED, "every selected shard is on its way back already");
    else
        zdm_error_set(r->answer, ZDM_REFUSED, "there is nothing to take back: no selected shard is beyond %s", where);
    if (n_back > 0 && n_back < n)
        zdm_error_detail(r->answer, "%zu of them %s on the way back already.", n_back, n_back == 1 ? "is" : "are");
    if (excluded != NULL)
        zdm_error_hint(r->answer, "Shard %s is excluded; an approver brings it back: zdmctl include %s --shard %s.",
                       excluded->name, r->m->id, excluded->name);
    else
        zdm_error_hint(r->answer, "See where they are: zdmctl status %s.", r->m->id);
}

/* ---- The reverse barrier ---- */

/* The lowest switch phase above `to` that was opened for somebody who goes back, 0 for none. */
static uint32_t lowest_switch(const struct retreat *r)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < r->m->n_shards; i++) {
        const struct coord_shard *s = &r->m->shards[i];
        uint32_t reach = s->opened > s->entered ? s->opened : s->entered;
        for (uint32_t p = r->to + 1; goes_back(r, i) && p <= reach; p++)
            if (zdm_plan_phase(r->m->plan, p)->class == ZDM_PHASE_SWITCH) {
                found = found == 0 || p < found ? p : found;
                break;
            }
    }
    return found;
}

/* Among those that are selected, or among the others. */
static size_t count_beyond(const struct retreat *r, bool selected, uint32_t phase, const struct coord_shard **out_one,
                           size_t *out_of)
{
    size_t n = 0;
    *out_of = 0;
    for (size_t i = 0; i < r->m->n_shards; i++) {
        const struct coord_shard *s = &r->m->shards[i];
        if (r->selected[i] != selected || s->status == COORD_EXCLUDED)
            continue;
        ++*out_of;
        if (s->entered > phase) {
            n++;
            *out_one = s;
        }
    }
    return n;
}

static const char *flag_of(const struct retreat *r, uint32_t phase)
{
    const struct zdm_step *gate = coord_gate_step(r->m->plan, phase);
    return gate != NULL ? coord_gate_name(gate) : "of the switch";
}

static bool passes_reverse_barrier(const struct retreat *r)
{
    const struct coord_shard *one = NULL;
    uint32_t g = lowest_switch(r);
    size_t of, beyond = g == 0 ? 0 : count_beyond(r, true, g, &one, &of);
    if (g == 0)
        return true;
    if (beyond > 0) {
        zdm_error_set(r->answer, ZDM_REFUSED, "reverse barrier: %zu of %zu shards stand beyond phase %u (switch)",
                      beyond, of, g);
        zdm_error_detail(r->answer,
                         "What phase %u hid must be back on all of them before flag %s goes off and anything "
                         "below it is undone; %s is %s at phase %u.",
                         g + 1, flag_of(r, g), one->name, coord_status_name(one->status), one->at);
        zdm_error_hint(r->answer,
                       "An operator says \"zdmctl rollback %s %s --to %u\"; when all are back, turns the flag off "
                       "everywhere and says \"zdmctl rollback %s %s --to %u --flag-off\".",
                       r->m->id, r->selection, g, r->m->id, r->selection, r->to);
        return false;
    }
    if (r->input->u.request.request->flags_off)
        return true;
    zdm_error_set(r->answer, ZDM_REFUSED, "reverse barrier: flag %s of phase %u may still be on", flag_of(r, g), g);
    size_t others = count_beyond(r, false, g, &one, &of);
    if (others == 0)
        zdm_error_detail(r->answer, "New code would read what the rollback takes away.");
    else
        zdm_error_detail(
            r->answer,
            "New code would read what the rollback takes away. And %zu shard%s not selected stand%s beyond "
            "phase %u (%s): old code does not find there what was hidden. Take them back to phase %u "
            "before the flag goes off for them.",
            others, others == 1 ? "" : "s", others == 1 ? "s" : "", g, one->name, g);
    zdm_error_hint(r->answer,
                   "Turn it off everywhere and wait until no new code runs; then an operator says so: zdmctl "
                   "rollback %s %s --to %u --flag-off.",
                   r->m->id, r->selection, r->to);
    return false;
}

/* ---- What would be lost ---- */

static bool may_lose(const struct retreat *r)
{
    struct zdm_judgement judgement, worst = {.needed = 0};
    const struct zdm_step *step = NULL, *lossy = NULL;
    const struct coord_shard *one = NULL;
    size_t n = 0;
    for (uint32_t i = 0; i < r->m->n_shards; i++) {
        const struct coord_shard *s = &r->m->shards[i];
        enum zdm_engine engine = coord_engine_of(r->state, r->view, s->name);
        if (!goes_back(r, i) || !zdm_plan_undo_loses(r->m->plan, engine, r->to, s->entered, s->switched, &step) ||
            coord_allowed(r->view, r->m, s, ZDM_APPROVE_UNDO, r->to, r->input->now_ms, NULL, &judgement))
            continue;
        if (n++ == 0 || judgement.given < worst.given) {
            worst = judgement;
            one = s;
            lossy = step;
        }
    }
    if (n == 0)
        return true;
    zdm_error_set(r->answer, ZDM_REFUSED,
                  "a rollback to phase %u would lose what new code wrote on %zu shard%s: %u of %u "
                  "approvals",
                  r->to, n, n == 1 ? "" : "s", worst.given, worst.needed);
    zdm_error_detail(r->answer,
                     "Step %s does not run backwards, so what was written after the switch is only in the "
                     "columns that go (shard %s).",
                     lossy->id, one->name);
    zdm_error_hint(r->answer,
                   "Approvers say \"zdmctl approve %s --rollback-to %u\", then an operator rolls back again.", r->m->id,
                   r->to);
    return false;
}

/* ---- What would be done a second time ---- */

/* Only what is certain is refused here: of the phases that are proven every step is done. Where a shard is inside the
 * next one, its agent knows which step it has begun, and says no in the same words. */
static bool would_repeat(const struct retreat *r, const struct coord_shard *s, struct zdm_undo_repeat *out)
{
    enum zdm_engine engine = coord_engine_of(r->state, r->view, s->name);
    return zdm_plan_undo_repeats(r->m->plan, engine, r->to, zdm_plan_first_after(r->m->plan, s->at) - 1, out);
}

static bool may_repeat(const struct retreat *r)
{
    struct zdm_undo_repeat repeat, first = {.phase = NULL};
    const struct coord_shard *one = NULL;
    uint32_t below = r->to;
    char text[ZDM_TEXT_MAX + 1];
    size_t n = 0;
    for (uint32_t i = 0; i < r->m->n_shards; i++) {
        const struct coord_shard *s = &r->m->shards[i];
        if (!goes_back(r, i) || !would_repeat(r, s, &repeat))
            continue;
        if (n++ == 0) {
            first = repeat;
            one = s;
        }
        below = repeat.below < below ? repeat.below : below;
    }
    if (n == 0)
        return true;
    zdm_undo_repeat_text(text, sizeof text, &first);
    zdm_error_set(r->answer, ZDM_REFUSED, "%s", text);
    zdm_error_detail(r->answer,
                     "So it is on %zu shard%s (%s): a column that an earlier phase added was filled since, goes back "
                     "with what filled it, and is added anew; what lies between would be worked again.",
                     n, n == 1 ? "" : "s", one->name);
    zdm_error_hint(r->answer, "An operator says \"zdmctl rollback %s %s --to %u\".", r->m->id, r->selection, below);
    return false;
}

/* ---- Doing it ---- */

/* Where nobody is beyond a gate any more, and its flag was said to be off, it is to be passed again. */
static void put_gates_back(const struct retreat *r)
{
    uint32_t highest = 0;
    for (uint32_t i = 0; i < r->m->n_shards; i++) {
        const struct coord_shard *s = &r->m->shards[i];
        uint32_t opened = goes_back(r, i) && s->opened > r->to ? r->to : s->opened;
        if (s->status != COORD_EXCLUDED && opened > highest)
            highest = opened;
    }
    for (uint32_t p = r->to + 1; p <= r->m->plan->n_phases; p++) {
        const struct coord_gate *gate = &r->m->gates[p - 1];
        if (p < highest || gate->state != COORD_GATE_PASSED)
            continue;
        struct coord_event *event = coord_emit(r->out, COORD_EVENT_GATE_VETOED, r->m->id);
        if (event == NULL)
            return;
        event->u.gate.phase = p;
        event->u.gate.step = gate->step;
        event->u.gate.run = gate->run;
        snprintf(event->u.gate.detail, sizeof event->u.gate.detail, "flag off, said by %s", r->input->u.request.name);
    }
}

static void say_where_to(const struct retreat *r, size_t n, size_t stay)
{
    const char *where = r->to == 0 ? "the start" : "the end of ";
    char phase[64] = "";
    if (r->to > 0)
        coord_phase_text(phase, sizeof phase, r->m, r->to);
    zdm_error_set(r->answer, ZDM_OK, "%zu shard%s back to %s%s", n, n == 1 ? " goes" : "s go", where, phase);
    if (stay > 0)
        zdm_error_detail(r->answer, "%zu of those selected %s: there or on the way already, excluded, or purged.", stay,
                         stay == 1 ? "stays as it is" : "stay as they are");
    if (r->to == 0)
        zdm_error_hint(r->answer, "See how it goes: zdmctl status %s --watch.", r->m->id);
    else
        zdm_error_hint(r->answer,
                       "They wait there; \"zdmctl resume %s\" and \"zdmctl advance %s\" take them forward "
                       "again.",
                       r->m->id, r->m->id);
}

/* A migration that is done on every shard is at work again when one of them goes back. */
static void open_again(const struct retreat *r)
{
    struct coord_event *event = coord_emit(r->out, COORD_EVENT_MIGRATION_RESUMED, r->m->id);
    if (event != NULL)
        zdm_copy_text(event->u.halted.by, sizeof event->u.halted.by, r->input->u.request.name);
}

/* Of those that have entered a phase, or of those that only were let in: an order is kept with who follows it. */
static size_t send_back(const struct retreat *r, bool entered, long merge_from)
{
    size_t n = 0;
    for (uint32_t i = 0; i < r->m->n_shards; i++) {
        struct coord_case c = case_for(r, i);
        c.merge_from = merge_from;
        if (r->selected[i] && (c.s->entered > 0) == entered)
            n += coord_case_run(&c) != NULL;
    }
    return n;
}

static void roll_back(const struct retreat *r)
{
    size_t selected = 0;
    if (r->m->mode == COORD_ENDED)
        open_again(r);
    long merge_from = (long)r->out->n_events;
    for (uint32_t i = 0; i < r->m->n_shards; i++)
        selected += r->selected[i];
    size_t n = send_back(r, true, merge_from);
    n += send_back(r, false, merge_from);
    put_gates_back(r);
    say_where_to(r, n, selected - n);
}

static bool anybody_goes(const struct retreat *r)
{
    for (uint32_t i = 0; i < r->m->n_shards; i++)
        if (goes_back(r, i) && r->m->shards[i].entered > 0)
            return true;
    return false;
}

static bool may_open_again(const struct retreat *r)
{
    return r->m->mode != COORD_ENDED || coord_there_is_room(r->state, r->m->plan, NULL, r->answer);
}

void coord_verb_rollback(const struct coord_state *state, const struct coord_view *view,
                         const struct coord_input *input, struct coord_output *out, struct zdm_error *answer)
{
    const struct zdm_request *request = input->u.request.request;
    struct retreat r = {.state = state, .view = view, .input = input, .out = out, .answer = answer};
    r.m = coord_undoable_migration(state, input, answer);
    r.to = request->to_phase;
    if (r.m == NULL || !order_fits_request(&r))
        return;
    bool *selected = coord_selected(state, r.m, &request->shards, answer);
    if (selected == NULL)
        return;
    r.selected = selected;
    coord_selection_text(r.selection, sizeof r.selection, &request->shards);
    if (order_is_good(&r)) {
        if (!anybody_goes(&r))
            refuse_nobody(&r);
        else if (passes_reverse_barrier(&r) && may_repeat(&r) && may_lose(&r) && may_open_again(&r))
            roll_back(&r);
    }
    free(selected);
}

uint32_t coord_rollback_leg(const struct coord_migration *migration, const bool *selected)
{
    uint32_t leg = 0;
    for (size_t i = 0; i < migration->n_shards; i++) {
        const struct coord_shard *s = &migration->shards[i];
        if ((selected != NULL && !selected[i]) || s->status == COORD_EXCLUDED || s->entered == 0)
            continue;
        uint32_t g = zdm_plan_switch_between(migration->plan, 0, s->entered - 1);
        leg = g > leg ? g : leg;
    }
    return leg;
}
