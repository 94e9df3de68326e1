/*
 * submit.c - a plan becomes a migration: which shards, in which waves, and why not.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/plan/engines.h"
#include "common/plan/undo.h"
#include "coordinator/core/machine.h"

/* ---- May it? ---- */

/* The same id: the same request again (answered, nothing done), or a refusal. False: the id is new. */
static bool is_known(const struct coord_state *state, const struct zdm_request *request, struct zdm_error *answer)
{
    const struct coord_migration *m = coord_find_migration(state, request->migration);
    if (m == NULL)
        return false;
    bool same = zdm_hash_equal(&m->plan->hash, &request->plan_hash);
    if (same && m->mode == COORD_ENDED && m->outcome == COORD_END_UNDONE)
        return false; /* it was rolled back everywhere: a new run */
    if (same) {
        zdm_error_set(answer, ZDM_OK,
                      "migration %s was submitted before with this plan, over %zu shard%s: nothing "
                      "changes",
                      m->id, m->n_shards, m->n_shards == 1 ? "" : "s");
        zdm_error_hint(answer, "See where it stands: zdmctl status %s.", m->id);
    } else {
        zdm_error_set(answer, ZDM_EXISTS, "migration %s exists with another plan", m->id);
        if (m->mode == COORD_ENDED)
            zdm_error_hint(answer, "Give the runbook another id.");
        else
            zdm_error_hint(answer, "To change what nobody has entered yet: zdmctl submit --amend. Else give the "
                                   "runbook another id.");
    }
    return true;
}

bool coord_plan_is_right(const struct coord_input *input, struct zdm_error *answer)
{
    const struct zdm_request *request = input->u.request.request;
    const struct zdm_plan *plan = input->u.request.plan;
    if (plan == NULL || input->u.request.plan_envelope == NULL)
        zdm_error_set(answer, ZDM_INVALID, "the plan was not uploaded");
    else if (!zdm_hash_equal(&plan->hash, &request->plan_hash) || strcmp(plan->id, request->migration) != 0)
        zdm_error_set(answer, ZDM_INVALID, "the uploaded plan is not the one that the request names");
    else
        return true;
    return false;
}

/* Is all done but the purge? What was hidden is still tied to its table: triggers of the one migration write into it,
 * and another migration's changes could break them under the application. */
static bool only_waits_for_purge(const struct coord_migration *m)
{
    uint32_t last = zdm_plan_last_phase(m->plan);
    if (zdm_plan_purge_phase(m->plan) != last)
        return false;
    for (size_t i = 0; i < m->n_shards; i++)
        if (m->shards[i].status != COORD_EXCLUDED && m->shards[i].at + 1 < last)
            return false;
    return true;
}

bool coord_there_is_room(const struct coord_state *state, const struct zdm_plan *plan,
                         const struct coord_migration *except, struct zdm_error *answer)
{
    size_t active = 0;
    for (size_t i = 0; i < state->n_migrations; i++) {
        const struct coord_migration *m = state->migrations[i];
        if (m->mode == COORD_ENDED || m == except)
            continue;
        active++;
        const struct zdm_table *table = zdm_plan_common_table(plan, m->plan);
        if (table == NULL)
            continue;
        zdm_error_set(answer, ZDM_REFUSED, "migration %s is at work on table %s%s%s", m->id, table->schema,
                      zdm_table_dot(table), table->name);
        if (only_waits_for_purge(m))
            zdm_error_hint(answer,
                           "It has only its purge before it; until then what it hid is tied to the table. "
                           "Approvers say: zdmctl purge %s.",
                           m->id);
        else
            zdm_error_hint(answer,
                           "Two migrations on one table at a time could undo each other's work: finish it first, or "
                           "roll it back.");
        return false;
    }
    if (active >= ZDM_MIGRATIONS_ACTIVE_MAX) {
        zdm_error_set(answer, ZDM_LIMIT, "%zu migrations are active already", active);
        zdm_error_hint(answer, "One of them must end first; those that hide a column end with their purge.");
        return false;
    }
    return true;
}

/* ---- Over which shards? ---- */

static bool has_agent(const struct coord_state *state, const struct coord_fleet_shard *shard)
{
    for (uint32_t p = shard->first_agent; p != 0; p = state->agents[p - 1].next_of_shard)
        if (!state->agents[p - 1].revoked)
            return true;
    return false;
}

enum zdm_engine coord_engine_of(const struct coord_state *state, const struct coord_view *view, const char *name)
{
    const struct coord_fleet_shard *shard = coord_find_fleet_shard(state, name);
    if (shard == NULL)
        return ZDM_ENGINE_ANY;
    for (uint32_t p = shard->first_agent; p != 0; p = state->agents[p - 1].next_of_shard) {
        const struct coord_heard *heard = coord_view_find(view, &state->agents[p - 1].id);
        if (heard != NULL && heard->report.engine != ZDM_ENGINE_ANY)
            return heard->report.engine;
    }
    return ZDM_ENGINE_ANY;
}

bool coord_suits_shards(const struct coord_state *state, const struct coord_view *view, const struct zdm_plan *plan,
                        const struct coord_migration *m, struct zdm_error *answer)
{
    struct zdm_unfit unfit = {.n = 0};
    for (size_t i = 0; i < m->n_shards; i++)
        zdm_unfit_add(&unfit, plan, coord_engine_of(state, view, m->shards[i].name), m->shards[i].name);
    return zdm_unfit_judge(&unfit, plan, answer) == ZDM_OK;
}

/* Fills shards (room for the whole fleet), sorted by name, wave UINT32_MAX. */
static bool choose(const struct coord_state *state, const struct coord_view *view, const struct zdm_plan *plan,
                   struct coord_submitted_shard *shards, size_t *out_n, struct zdm_error *answer)
{
    struct zdm_unfit unfit = {.n = 0};
    size_t n = 0;
    for (size_t i = 0; i < state->n_shards; i++) {
        const struct coord_fleet_shard *shard = &state->shards[i];
        if (!has_agent(state, shard) ||
            !zdm_selector_matches(plan->selector != NULL ? plan->selector : "", shard->name, shard->labels))
            continue;
        zdm_unfit_add(&unfit, plan, coord_engine_of(state, view, shard->name), shard->name);
        zdm_copy_text(shards[n].name, sizeof shards[n].name, shard->name);
        shards[n++].wave = UINT32_MAX;
    }
    *out_n = n;
    if (n > 0)
        return zdm_unfit_judge(&unfit, plan, answer) == ZDM_OK;
    zdm_error_set(answer, ZDM_REFUSED, "the plan's selector \"%s\" matches no shard with an agent",
                  plan->selector != NULL ? plan->selector : "");
    zdm_error_hint(answer, "See the shards: zdmctl agents.");
    return false;
}

/* ---- In which waves? ---- */

static void wave_by_selector(const struct coord_state *state, const char *selector, uint32_t wave,
                             struct coord_submitted_shard *shards, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct coord_fleet_shard *shard = coord_find_fleet_shard(state, shards[i].name);
        if (shards[i].wave == UINT32_MAX && zdm_selector_matches(selector, shard->name, shard->labels))
            shards[i].wave = wave;
    }
}

/* The first percent (rounded up) of those that are in no wave yet. */
static void wave_by_percent(uint32_t percent, uint32_t wave, struct coord_submitted_shard *shards, size_t n)
{
    size_t remaining = 0;
    for (size_t i = 0; i < n; i++)
        remaining += shards[i].wave == UINT32_MAX;
    size_t take = (remaining * (percent > 100 ? 100 : percent) + 99) / 100;
    for (size_t i = 0; i < n && take > 0; i++)
        if (shards[i].wave == UINT32_MAX) {
            shards[i].wave = wave;
            take--;
        }
}

static int by_wave_then_name(const void *a, const void *b)
{
    const struct coord_submitted_shard *x = a, *y = b;
    if (x->wave != y->wave)
        return x->wave < y->wave ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Who is named by a selector belongs there, wherever it stands in the list; percentages share out the rest, and whom
 * no wave names comes last. */
static void share_out(const struct coord_state *state, const struct zdm_plan *plan,
                      struct coord_submitted_shard *shards, size_t n)
{
    size_t n_waves = plan->n_waves < ZDM_WAVES_MAX ? plan->n_waves : ZDM_WAVES_MAX;
    for (uint32_t w = 0; w < n_waves; w++)
        if (plan->waves[w].selector != NULL)
            wave_by_selector(state, plan->waves[w].selector, w, shards, n);
    for (uint32_t w = 0; w < n_waves; w++)
        if (plan->waves[w].selector == NULL)
            wave_by_percent(plan->waves[w].percent, w, shards, n);
    for (size_t i = 0; i < n; i++)
        if (shards[i].wave == UINT32_MAX)
            shards[i].wave = (uint32_t)n_waves;
    qsort(shards, n, sizeof *shards, by_wave_then_name);
}

static void emit_submitted(const struct coord_input *input, struct coord_submitted_shard *shards, size_t n,
                           struct coord_output *out)
{
    struct coord_event *event = coord_emit(out, COORD_EVENT_MIGRATION_SUBMITTED, input->u.request.plan->id);
    if (event == NULL) {
        free(shards);
        return;
    }
    event->u.migration_submitted.plan = zdm_plan_ref(input->u.request.plan);
    event->u.migration_submitted.shards = shards;
    event->u.migration_submitted.n_shards = n;
    zdm_copy_text(event->u.migration_submitted.by, sizeof event->u.migration_submitted.by, input->u.request.name);
    if (!zdm_envelope_copy(&event->u.migration_submitted.plan_envelope, input->u.request.plan_envelope))
        out->failed = true;
    if (input->u.request.n_notes == 0)
        return;
    event->u.migration_submitted.notes = zdm_memdup(input->u.request.notes, input->u.request.n_notes);
    event->u.migration_submitted.n_notes = input->u.request.n_notes;
    if (event->u.migration_submitted.notes == NULL)
        out->failed = true;
}

void coord_verb_submit(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                       struct coord_output *out, struct zdm_error *answer)
{
    const struct zdm_plan *plan = input->u.request.plan;
    size_t n = 0;
    if (coord_signed_anew(state, view, input, out, answer))
        return;
    if (input->u.request.request->amend) {
        coord_amend(state, view, input, out, answer);
        return;
    }
    if (is_known(state, input->u.request.request, answer) || !coord_plan_is_right(input, answer))
        return;
    if (state->frozen) {
        zdm_error_set(answer, ZDM_REFUSED, "the fleet is frozen");
        zdm_error_hint(answer, "Thaw it first: zdmctl thaw.");
        return;
    }
    if (!coord_there_is_room(state, plan, NULL, answer))
        return;
    struct coord_submitted_shard *shards = calloc(state->n_shards + 1, sizeof *shards);
    if (shards == NULL) {
        out->failed = true;
        return;
    }
    if (!choose(state, view, plan, shards, &n, answer)) {
        free(shards);
        return;
    }
    share_out(state, plan, shards, n);
    uint32_t waves = 0;
    for (size_t i = 0; i < n; i++)
        waves += i == 0 || shards[i].wave != shards[i - 1].wave;
    emit_submitted(input, shards, n, out);
    zdm_error_set(answer, ZDM_OK, "migration %s is submitted over %zu shard%s", plan->id, n, n == 1 ? "" : "s");
    if (waves > 1)
        zdm_error_detail(answer, "They enter each phase in %u waves.", waves);
    zdm_error_hint(answer, "Open its first phase: zdmctl advance %s --all-shards.", plan->id);
}
