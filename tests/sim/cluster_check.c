/*
 * cluster_check.c - what must hold at every moment (design 10), checked from outside against the databases' own truth.
 */
#include "tests/sim/cluster_private.h"

#include <string.h>

#include "agent/core/core.h"
#include "coordinator/core/core.h"
#include "coordinator/core/invariants.h"
#include "coordinator/log/event_codec.h"

/* A violation that a database noted itself: a row changed twice (1), a foreign step (2), a barrier passed (4), a fence
 * that went back (5), a batch under an accepted pause (8). */
void cluster_check_agents(struct cluster *cluster)
{
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++)
        if (cluster->agents[i].db.violation != NULL)
            cluster_fail(cluster, "shard-%u: %s", i + 1, cluster->agents[i].db.violation);
}

void cluster_check_coordinator(struct cluster *cluster)
{
    char why[200];
    if (!coord_invariants(coord_driver_state(cluster->coordinator), why, sizeof why))
        cluster_fail(cluster, "coordinator: %s", why);
    /* Invariant 12 in its durable half: what the log calls reached was true in the database when it was reported, and
     * nothing here ever takes a finished step back. */
    const struct coord_migration *migration = coord_find_migration(coord_driver_state(cluster->coordinator), "sim");
    for (size_t i = 0; migration != NULL && i < migration->n_shards; i++) {
        const struct coord_shard *shard = &migration->shards[i];
        const struct sim_db *db = &cluster->agents[shard->name[6] - '1'].db;
        const struct zdm_phase *phase = zdm_plan_phase(cluster->plan, shard->at);
        if (shard->at == 0 || phase == NULL || phase->n_steps == 0)
            continue;
        uint32_t last = phase->steps[phase->n_steps - 1].ordinal;
        if (db->n_journals == 0 || db->journals[0].step <= last)
            cluster_fail(cluster, "%s is called at phase %u, its journal stands at step %u", shard->name, shard->at,
                         db->n_journals == 0 ? 0 : db->journals[0].step);
    }
}

/* Invariant 7. */
void cluster_check_promises(struct cluster *cluster)
{
    const struct coord_state *state = coord_driver_state(cluster->coordinator);
    for (size_t i = 0; i < cluster->person.n_answered; i++)
        if (coord_find_request(state, &cluster->person.answered[i]) == NULL)
            cluster_fail(cluster, "an acknowledged request was lost by a crash of the coordinator");
}

bool cluster_may_enter(void *ctx, const struct sim_db *db, const struct zdm_plan *plan, uint32_t phase)
{
    struct cluster *cluster = ctx;
    const struct zdm_phase *entered = zdm_plan_phase(plan, phase);
    (void)db;
    if (!zdm_hash_equal(&plan->hash, &cluster->plan->hash))
        return false; /* invariant 2: not the plan that the operator signed */
    if (entered->class != ZDM_PHASE_SWITCH && entered->class != ZDM_PHASE_CONTRACT)
        return true;
    const struct zdm_phase *before = zdm_plan_phase(plan, phase - 1);
    uint32_t last = before->n_steps > 0 ? before->steps[before->n_steps - 1].ordinal : 0;
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++) {
        const struct sim_db *other = &cluster->agents[i].db;
        if (other->n_journals == 0 || other->journals[0].step <= last)
            return false;
    }
    return true;
}

struct replay {
    struct cluster *cluster;
    struct coord_state *state;
};

static bool replay_record(void *ctx, const struct store_record *record)
{
    struct replay *replay = ctx;
    struct zdm_error err = ZDM_ERROR_INIT;
    struct coord_event event;
    if (coord_event_decode(sim_crypto(), record, &event, &err) != ZDM_OK) {
        cluster_fail(replay->cluster, "log position %llu: %s", (unsigned long long)record->seq, err.message);
        return false;
    }
    enum zdm_code code = coord_apply(replay->state, &event, &err);
    coord_event_fini(&event);
    if (code != ZDM_OK)
        cluster_fail(replay->cluster, "log position %llu: %s", (unsigned long long)record->seq, err.message);
    return code == ZDM_OK;
}

void cluster_check_log(struct cluster *cluster)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct replay replay = {cluster, coord_state_new()};
    if (cluster->store.ops->read(cluster->store.self, 1, replay_record, &replay, &err) != STORE_OK)
        cluster_fail(cluster, "the log cannot be read: %s", err.message);
    const struct coord_migration *told = coord_find_migration(replay.state, "sim");
    const struct coord_migration *live =
        cluster->coordinator != NULL ? coord_find_migration(coord_driver_state(cluster->coordinator), "sim") : NULL;
    for (size_t i = 0; told != NULL && live != NULL && i < live->n_shards; i++) {
        const struct coord_shard *a = &told->shards[i], *b = &live->shards[i];
        if (a->status != b->status || a->at != b->at || a->goal != b->goal || a->generation != b->generation ||
            !zdm_hash_equal(&a->anchor, &b->anchor))
            cluster_fail(cluster, "%s: the log tells another story than the living state", b->name);
    }
    coord_state_free(replay.state);
}
