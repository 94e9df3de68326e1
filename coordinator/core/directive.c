/*
 * directive.c - a directive, derived from the state when it is sent and never stored (protocol 3, rule 1).
 *
 * It is a function of the state at the shard's generation: see the rule at the top of apply_migration.c.
 */
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/machine.h"

static uint32_t over(uint32_t set, uint32_t planned)
{
    return set != 0 ? set : planned;
}

static struct zdm_throttle throttle_of(const struct coord_migration *m)
{
    const struct zdm_throttle *plan = &m->plan->throttle, *set = &m->throttle;
    return (struct zdm_throttle){.batch_target_ms = over(set->batch_target_ms, plan->batch_target_ms),
                                 .duty_percent = over(set->duty_percent, plan->duty_percent),
                                 .max_replica_lag_ms = over(set->max_replica_lag_ms, plan->max_replica_lag_ms),
                                 .max_stall_ms = over(set->max_stall_ms, plan->max_stall_ms)};
}

/* Borrowed envelopes of the approvals that go with the goal and mode. */
static size_t attach(const struct coord_migration *m, const struct coord_shard *s,
                     struct zdm_envelope approvals[ZDM_APPROVALS_MAX])
{
    const struct coord_approval *attached[ZDM_APPROVALS_MAX];
    enum zdm_approval_action action;
    uint32_t phase;
    uint64_t before;
    size_t n = 0, kept = 0;
    if (coord_act_of(m, s, &action, &phase, &before))
        n = coord_attached(m, s, action, phase, before, attached);
    for (size_t i = 0; i < n; i++)
        approvals[kept++] = attached[i]->envelope;
    return kept;
}

bool coord_directive(const struct coord_state *state, const struct coord_migration *migration, uint32_t shard,
                     struct zdm_envelope approvals[ZDM_APPROVALS_MAX], struct zdm_directive *out)
{
    if (shard >= migration->n_shards)
        return false;
    struct coord_shard *s = &migration->shards[shard];
    if (s->generation == 0 || zdm_id_is_zero(&s->actor))
        return false;
    *out = (struct zdm_directive){
        .plan_hash = migration->plan->hash,
        .actor = s->actor,
        .fence = {.epoch = state->epoch, .instance = state->instance, .generation = s->generation, .anchor = s->anchor},
        .goal_phase = s->goal,
        .mode = s->mode,
        .attempt = s->attempt,
        .throttle = s->mode == ZDM_MODE_PURGE ? migration->plan->throttle : throttle_of(migration),
        .approvals = approvals};
    zdm_copy_text(out->migration, sizeof out->migration, migration->id);
    zdm_copy_text(out->shard, sizeof out->shard, s->name);
    out->n_approvals = attach(migration, s, approvals);
    if (s->mode == ZDM_MODE_UNDO && s->undo != 0)
        out->undo_order = (struct zdm_envelope *)&migration->undos[s->undo - 1].envelope;
    return true;
}
