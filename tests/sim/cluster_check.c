/*
 * cluster_check.c - what must hold at every moment (design 10), checked from outside against the databases' own truth.
 */
#include "tests/sim/cluster_private.h"

#include <string.h>

#include "agent/core/core.h"
#include "coordinator/core/core.h"
#include "coordinator/core/invariants.h"
#include "coordinator/core/machine.h"
#include "coordinator/log/event_codec.h"

/* A violation that a database noted itself: a row changed twice (1), a foreign step (2), a barrier passed (4), a fence
 * that went back (5), a batch under an accepted pause (8). */
void cluster_check_agents(struct cluster *cluster)
{
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++)
        if (cluster->dbs[i].violation != NULL)
            cluster_fail(cluster, "shard-%u: %s", i + 1, cluster->dbs[i].violation);
    if (cluster->person.contradicted)
        cluster_fail(cluster, "one request got two answers");
}

unsigned cluster_plan_of(const struct cluster *cluster, const char *migration)
{
    unsigned i = 0;
    while (i < CLUSTER_PLANS && strcmp(cluster->plans[i].plan->id, migration) != 0)
        i++;
    return i;
}

const struct coord_migration *cluster_migration(const struct cluster *cluster, unsigned plan)
{
    if (cluster->coordinator == NULL)
        return NULL;
    return coord_find_migration(coord_driver_state(cluster->coordinator), cluster->plans[plan].plan->id);
}

const char *cluster_sight_name(enum cluster_sight sight)
{
    static const char *const names[] = {[SAW_FAILED] = "a shard that failed",
                                        [SAW_RETRY] = "a retry",
                                        [SAW_UNSURE] = "a shard in doubt",
                                        [SAW_PAUSED_MID_BACKFILL] = "a pause in the middle of a backfill",
                                        [SAW_LEASE_EXPIRE] = "a lease that ran out",
                                        [SAW_HALTED_BY_BUDGET] = "a halt because the failure budget was spent",
                                        [SAW_SOAK] = "a wave that waited for the soak of the one before",
                                        [SAW_WAVE_HELD] = "a wave that waited for the one before",
                                        [SAW_BARRIER_HELD] = "a shard that waited at the barrier",
                                        [SAW_GATE_PASSED] = "a gate that was passed",
                                        [SAW_PLAN_IN_PIECES] = "a plan that was fetched in pieces",
                                        [SAW_DOUBLE] = "two processes with one agent's key",
                                        [SAW_BOTH_MOVING] = "two migrations at work on one shard"};
    return names[sight];
}

/* ---- The coordinator against the databases ---- */

/* Invariant 12 in its durable half: what the log calls reached was true in the database when it was reported, and
 * nothing here ever takes a finished step back. */
static void check_reached(struct cluster *cluster, const struct coord_migration *m, const struct coord_shard *shard)
{
    struct sim_db *db = &cluster->dbs[shard->name[6] - '1'];
    const struct agent_journal *journal = sim_db_journal(db, m->id);
    const struct zdm_phase *phase = zdm_plan_phase(m->plan, shard->at);
    if (shard->at == 0 || phase == NULL || phase->n_steps == 0)
        return;
    if (journal == NULL || journal->step <= phase->steps[phase->n_steps - 1].ordinal)
        cluster_fail(cluster, "%s is called at phase %u of %s, its journal stands at step %u", shard->name, shard->at,
                     m->id, journal == NULL ? 0 : journal->step);
}

static void see_holds(struct cluster *cluster, const struct coord_migration *m)
{
    struct coord_release out[CLUSTER_SHARDS];
    const struct coord_driver *driver = cluster->coordinator;
    if (m->n_shards > CLUSTER_SHARDS)
        return;
    coord_releasable(coord_driver_state(driver), coord_driver_view(driver), m,
                     zdm_wall_ms(&cluster->world.nodes[CLUSTER_COORDINATOR].clock), out);
    for (size_t i = 0; i < m->n_shards; i++) {
        cluster->saw[SAW_SOAK] |= out[i].hold == COORD_HOLD_SOAK;
        cluster->saw[SAW_WAVE_HELD] |= out[i].hold == COORD_HOLD_WAVE;
        cluster->saw[SAW_BARRIER_HELD] |= out[i].hold == COORD_HOLD_BARRIER;
    }
}

static void see(struct cluster *cluster, const struct coord_migration *m)
{
    see_holds(cluster, m);
    cluster->saw[SAW_HALTED_BY_BUDGET] |= m->mode == COORD_HALTED && m->halt_cause == COORD_HALT_BUDGET;
    for (uint32_t p = 0; p < m->plan->n_phases; p++)
        cluster->saw[SAW_GATE_PASSED] |= m->gates[p].state == COORD_GATE_PASSED;
    for (size_t i = 0; i < m->n_shards; i++) {
        cluster->saw[SAW_FAILED] |= m->shards[i].status == COORD_FAILED;
        cluster->saw[SAW_UNSURE] |= m->shards[i].status == COORD_UNSURE;
        cluster->saw[SAW_RETRY] |= m->shards[i].attempt > 0 && m->shards[i].status == COORD_MOVING;
    }
}

static void see_both(struct cluster *cluster)
{
    const struct coord_migration *a = cluster_migration(cluster, 0), *b = cluster_migration(cluster, 1);
    for (size_t i = 0; a != NULL && b != NULL && i < a->n_shards; i++) {
        long other = coord_find_shard(b, a->shards[i].name);
        cluster->saw[SAW_BOTH_MOVING] |=
            a->shards[i].status == COORD_MOVING && other >= 0 && b->shards[other].status == COORD_MOVING;
    }
}

/* ---- Releases, judged once more in another way (protocol 8) ---- */

/* Waves before the shard's: all that were let in are held, or one at least is through, and has been for the soak. */
static void check_wave(struct cluster *cluster, const struct coord_migration *m, const struct coord_shard *shard)
{
    int64_t last = 0, now = coord_driver_state(cluster->coordinator)->head_at_ms;
    for (uint32_t wave = 0; wave < shard->wave; wave++) {
        unsigned in = 0, through = 0, held = 0;
        for (size_t i = 0; i < m->n_shards; i++) {
            const struct coord_shard *other = &m->shards[i];
            if (other->wave != wave || other->opened < shard->goal)
                continue;
            in++;
            through += other->at >= shard->goal;
            held += other->status == COORD_HELD;
            if (other->at == shard->goal && other->high == shard->goal && other->reached_at_ms > last)
                last = other->reached_at_ms;
        }
        if (in > 0 && through == 0 && held < in)
            cluster_fail(cluster, "%s entered phase %u of %s before wave %u", shard->name, shard->goal, m->id, wave);
    }
    if (last != 0 && now < last + m->plan->wave_soak_ms)
        cluster_fail(cluster, "%s entered phase %u of %s without waiting for the soak", shard->name, shard->goal,
                     m->id);
}

static void check_release(struct cluster *cluster, const struct coord_migration *m, const struct coord_shard *shard,
                          const struct cluster_last *last)
{
    if (m->mode == COORD_HALTED && last->halted)
        cluster_fail(cluster, "%s was released while %s was halted", shard->name, m->id);
    if (shard->goal > shard->opened)
        cluster_fail(cluster, "%s entered phase %u of %s that nobody opened", shard->name, shard->goal, m->id);
    for (uint32_t p = 1; p < shard->goal; p++)
        if (coord_gate_step(m->plan, p) != NULL && m->gates[p - 1].state != COORD_GATE_PASSED)
            cluster_fail(cluster, "%s entered phase %u of %s through a closed gate", shard->name, shard->goal, m->id);
    if (shard->wave > last->wave_of)
        check_wave(cluster, m, shard);
}

/* More failures than the budget allows, and the migration goes on as if nothing were. */
static void check_budget(struct cluster *cluster, const struct coord_migration *m, unsigned newly_failed)
{
    unsigned failed = 0;
    for (size_t i = 0; i < m->n_shards; i++)
        failed += m->shards[i].status == COORD_FAILED;
    if (newly_failed > 0 && failed > m->plan->failure_budget && m->mode == COORD_OPEN)
        cluster_fail(cluster, "%u shards of %s have failed, and it is not halted", failed, m->id);
}

/* A pause keeps in mind what it interrupts: a failure stays one, and work goes on. */
static void check_pause(struct cluster *cluster, const struct coord_migration *m, const struct coord_shard *shard,
                        const struct cluster_last *last)
{
    bool kept = shard->resume_to == last->status || shard->resume_to == COORD_FAILED;
    if ((last->status == COORD_MOVING || last->status == COORD_FAILED) && shard->at == last->at && !kept)
        cluster_fail(cluster, "%s of %s was %s, and its pause remembers %s", shard->name, m->id,
                     coord_status_name(last->status), coord_status_name(shard->resume_to));
}

static void check_migration(struct cluster *cluster, unsigned plan, const struct coord_migration *m)
{
    unsigned newly_failed = 0;
    bool halted = m->mode == COORD_HALTED;
    for (size_t i = 0; i < m->n_shards && i < CLUSTER_SHARDS; i++) {
        const struct coord_shard *shard = &m->shards[i];
        struct cluster_last *last = &cluster->last[plan][i];
        check_reached(cluster, m, shard);
        /* Who fell back goes on by itself. */
        if (shard->status == COORD_MOVING && last->status == COORD_READY && shard->at >= last->at)
            check_release(cluster, m, shard, last);
        /* Of two processes with one key the one that knows less may speak last; else nothing here is ever lost. */
        if (shard->at < last->at && !cluster->doubled[shard->name[6] - '1'])
            cluster_fail(cluster, "%s of %s fell from phase %u to %u, and nothing was lost", shard->name, m->id,
                         last->at, shard->at);
        if (shard->status == COORD_HELD)
            check_pause(cluster, m, shard, last);
        newly_failed += shard->status == COORD_FAILED && last->status == COORD_MOVING && !last->halted;
        *last = (struct cluster_last){.status = shard->status,
                                      .at = shard->at,
                                      .halted = halted,
                                      .wave_of = shard->at < ZDM_PHASES_MAX ? m->wave_of[shard->at] : 0};
    }
    check_budget(cluster, m, newly_failed);
    see(cluster, m);
}

void cluster_check_coordinator(struct cluster *cluster)
{
    char why[200];
    if (!coord_invariants(coord_driver_state(cluster->coordinator), why, sizeof why))
        cluster_fail(cluster, "coordinator: %s", why);
    for (unsigned i = 0; i < CLUSTER_PLANS; i++)
        if (cluster_migration(cluster, i) != NULL)
            check_migration(cluster, i, cluster_migration(cluster, i));
    see_both(cluster);
}

/* Invariant 7. */
void cluster_check_promises(struct cluster *cluster)
{
    const struct coord_state *state = coord_driver_state(cluster->coordinator);
    for (size_t i = 0; i < cluster->person.n_answered; i++)
        if (coord_find_request(state, &cluster->person.answered[i]) == NULL)
            cluster_fail(cluster, "an acknowledged request was lost by a crash of the coordinator");
    cluster_check_log(cluster);
}

bool cluster_may_enter(void *ctx, const struct sim_db *of, const struct zdm_plan *plan, uint32_t phase)
{
    struct cluster *cluster = ctx;
    const struct zdm_phase *entered = zdm_plan_phase(plan, phase);
    unsigned which = cluster_plan_of(cluster, plan->id);
    (void)of;
    if (which == CLUSTER_PLANS || !zdm_hash_equal(&plan->hash, &cluster->plans[which].plan->hash))
        return false; /* invariant 2: not the plan that the operator signed */
    if (entered->class != ZDM_PHASE_SWITCH && entered->class != ZDM_PHASE_CONTRACT)
        return true;
    const struct zdm_phase *before = zdm_plan_phase(plan, phase - 1);
    uint32_t last = before->n_steps > 0 ? before->steps[before->n_steps - 1].ordinal : 0;
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++) {
        const struct sim_db *db = &cluster->dbs[i];
        const struct agent_journal *other = sim_db_journal(db, plan->id);
        if (other == NULL || db->high[other - db->now.journals] <= last)
            return false;
    }
    return true;
}

/* ---- The log tells the state that lives ---- */

struct replay {
    struct cluster *cluster;
    struct coord_state *state;
};

/* Invariant 5: a report counts only from the actor, and for the order that stands or was the last to let it run. */
static void check_counted(struct cluster *cluster, const struct coord_state *before, const struct coord_event *event)
{
    const struct coord_migration *m = coord_find_migration(before, event->migration);
    if (event->type != COORD_EVENT_SHARD_REACHED || m == NULL || event->u.reached.shard >= m->n_shards)
        return;
    const struct coord_shard *shard = &m->shards[event->u.reached.shard];
    bool current = event->u.reached.generation == shard->generation ||
                   (shard->status == COORD_HELD && event->u.reached.generation == shard->run_generation);
    if (!current || !zdm_id_equal(&event->u.reached.agent, &shard->actor))
        cluster_fail(cluster, "log position %llu: a report counted that was not for the order at hand",
                     (unsigned long long)event->seq);
}

static bool replay_record(void *ctx, const struct store_record *record)
{
    struct replay *replay = ctx;
    struct zdm_error err = ZDM_ERROR_INIT;
    struct coord_event event;
    if (coord_event_decode(sim_crypto(), record, &event, &err) != ZDM_OK) {
        cluster_fail(replay->cluster, "log position %llu: %s", (unsigned long long)record->seq, err.message);
        return false;
    }
    check_counted(replay->cluster, replay->state, &event);
    enum zdm_code code = coord_apply(replay->state, &event, &err);
    coord_event_fini(&event);
    if (code != ZDM_OK)
        cluster_fail(replay->cluster, "log position %llu: %s", (unsigned long long)record->seq, err.message);
    return code == ZDM_OK;
}

static bool same_shard(const struct coord_shard *a, const struct coord_shard *b)
{
    return a->status == b->status && a->resume_to == b->resume_to && a->at == b->at && a->high == b->high &&
           a->opened == b->opened && a->goal == b->goal && a->mode == b->mode && a->attempt == b->attempt &&
           a->generation == b->generation && a->run_generation == b->run_generation &&
           zdm_hash_equal(&a->anchor, &b->anchor) && zdm_id_equal(&a->actor, &b->actor) &&
           a->reached_at_ms == b->reached_at_ms && a->failed_step == b->failed_step;
}

static void compare(struct cluster *cluster, const struct coord_migration *told, const struct coord_migration *live)
{
    if ((told == NULL) != (live == NULL) ||
        (told != NULL &&
         (told->mode != live->mode || told->opened_phase != live->opened_phase || told->moved_seq != live->moved_seq ||
          told->n_shards != live->n_shards || memcmp(told->wave_of, live->wave_of, sizeof told->wave_of) != 0)))
        cluster_fail(cluster, "the log tells another migration than the living state");
    for (size_t i = 0; told != NULL && live != NULL && i < live->n_shards; i++)
        if (!same_shard(&told->shards[i], &live->shards[i]))
            cluster_fail(cluster, "%s: the log tells another story than the living state", live->shards[i].name);
}

void cluster_check_log(struct cluster *cluster)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct replay replay = {cluster, coord_state_new()};
    if (cluster->store.ops->read(cluster->store.self, 1, replay_record, &replay, &err) != STORE_OK)
        cluster_fail(cluster, "the log cannot be read: %s", err.message);
    const struct coord_state *live = cluster->coordinator != NULL ? coord_driver_state(cluster->coordinator) : NULL;
    for (unsigned i = 0; live != NULL && i < CLUSTER_PLANS; i++)
        compare(cluster, coord_find_migration(replay.state, cluster->plans[i].plan->id), cluster_migration(cluster, i));
    if (live != NULL &&
        (replay.state->head_seq != live->head_seq || !zdm_hash_equal(&replay.state->head_hash, &live->head_hash) ||
         replay.state->epoch != live->epoch || replay.state->fenced != live->fenced ||
         replay.state->n_requests != live->n_requests || replay.state->n_anchors != live->n_anchors))
        cluster_fail(cluster, "the log tells another story than the living state");
    coord_state_free(replay.state);
}
