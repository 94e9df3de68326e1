/*
 * state.c - life of the state and the ways to find things in it. Nothing here changes it: that is apply.c. See state.h.
 */
#include "coordinator/core/state.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/core/core.h"
#include "coordinator/core/index.h"

struct coord_state *coord_state_new(void)
{
    return calloc(1, sizeof(struct coord_state));
}

static void migration_free(struct coord_migration *m)
{
    if (m == NULL)
        return;
    zdm_plan_unref(m->plan);
    zdm_envelope_fini(&m->plan_envelope);
    for (size_t i = 0; i < m->n_undos; i++)
        zdm_envelope_fini(&m->undos[i].envelope);
    free(m->undos);
    free(m->notes);
    for (size_t i = 0; i < m->n_approvals; i++) {
        zdm_approval_fini(&m->approvals[i].approval);
        zdm_envelope_fini(&m->approvals[i].envelope);
    }
    free(m->approvals);
    for (size_t i = 0; i < m->n_shards; i++) {
        free(m->shards[i].failure);
        free(m->shards[i].hint);
        free(m->shards[i].remark);
    }
    free(m->shards);
    free(m);
}

void coord_state_free(struct coord_state *state)
{
    if (state == NULL)
        return;
    for (size_t i = 0; i < state->n_migrations; i++)
        migration_free(state->migrations[i]);
    free(state->migrations);
    for (size_t i = 0; i < state->n_enrolments; i++)
        zdm_envelope_fini(&state->enrolments[i].envelope);
    free(state->enrolments);
    for (size_t i = 0; i < state->n_shards; i++)
        free(state->shards[i].labels);
    free(state->shards);
    free(state->agents);
    free(state->requests);
    free(state->anchors);
    coord_index_fini(&state->agents_by_id);
    coord_index_fini(&state->requests_by_id);
    free(state);
}

struct coord_migration *coord_find_migration(const struct coord_state *state, const char *id)
{
    for (size_t i = state->n_migrations; i > 0; i--)
        if (strcmp(state->migrations[i - 1]->id, id) == 0)
            return state->migrations[i - 1];
    return NULL;
}

const struct coord_agent *coord_find_agent(const struct coord_state *state, const struct zdm_id *id)
{
    long i = coord_index_find(&state->agents_by_id, id);
    return i < 0 ? NULL : &state->agents[i];
}

const struct coord_request_mark *coord_find_request(const struct coord_state *state, const struct zdm_id *id)
{
    long i = coord_index_find(&state->requests_by_id, id);
    return i < 0 ? NULL : &state->requests[i];
}

static int by_name(const void *name, const void *shard)
{
    return strcmp(name, ((const struct coord_fleet_shard *)shard)->name);
}

const struct coord_fleet_shard *coord_find_fleet_shard(const struct coord_state *state, const char *name)
{
    return state->n_shards == 0 ? NULL : bsearch(name, state->shards, state->n_shards, sizeof *state->shards, by_name);
}

/* Shards stand by wave, then name: the first place in [from, n) that is not before (wave, name). */
static size_t lower_bound(const struct coord_migration *m, size_t from, uint32_t wave, const char *name)
{
    size_t low = from, high = m->n_shards;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct coord_shard *s = &m->shards[middle];
        if (s->wave < wave || (s->wave == wave && strcmp(s->name, name) < 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

long coord_find_shard(const struct coord_migration *migration, const char *name)
{
    size_t from = 0;
    while (from < migration->n_shards) {
        uint32_t wave = migration->shards[from].wave;
        size_t i = lower_bound(migration, from, wave, name);
        if (i < migration->n_shards && strcmp(migration->shards[i].name, name) == 0)
            return (long)i;
        from = lower_bound(migration, from, wave + 1, "");
    }
    return -1;
}

bool coord_is_going_back(const struct coord_shard *shard)
{
    enum coord_status status = shard->status == COORD_HELD ? shard->resume_to : shard->status;
    return status == COORD_UNDOING || ((status == COORD_FAILED || status == COORD_UNSURE) && shard->failed_back);
}

bool coord_was_rolled_back(const struct coord_shard *shard)
{
    bool rests = shard->status == COORD_HELD && (shard->resume_to == COORD_READY || shard->resume_to == COORD_UNDONE);
    return shard->status == COORD_UNDONE || (rests && shard->back_seq != 0 && shard->back_seq > shard->run_generation);
}

const struct zdm_hash *coord_anchor_at(const struct coord_state *state, uint64_t seq)
{
    size_t low = 0, high = state->n_anchors;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (state->anchors[middle].seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < state->n_anchors && state->anchors[low].seq == seq ? &state->anchors[low].hash : NULL;
}

const char *coord_status_name(enum coord_status status)
{
    static const char *const names[] = {
        [COORD_READY] = "ready",   [COORD_MOVING] = "moving",   [COORD_HELD] = "held",
        [COORD_FAILED] = "failed", [COORD_UNDOING] = "undoing", [COORD_UNSURE] = "unsure",
        [COORD_DONE] = "done",     [COORD_UNDONE] = "undone",   [COORD_EXCLUDED] = "excluded",
    };
    return (size_t)status < sizeof names / sizeof *names && names[status] != NULL ? names[status] : "?";
}
