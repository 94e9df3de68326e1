/*
 * cluster_check.c - what must hold at every moment (design 10), checked from outside against the databases' own truth.
 */
#include "tests/sim/cluster_private.h"

#include <string.h>

#include "agent/core/core.h"
#include "common/plan/undo.h"
#include "coordinator/core/core.h"
#include "coordinator/core/invariants.h"
#include "coordinator/core/machine.h"
#include "coordinator/log/event_codec.h"

/* A violation that a database noted itself: a row changed twice (1), a foreign step (2), something destroyed, purged or
 * undone that nobody signed (3), a barrier passed (4), a fence that went back (5), two coordinators followed (6), a
 * batch under an accepted pause (8). */
void cluster_check_agents(struct cluster *cluster)
{
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++)
        if (cluster->dbs[i].violation != NULL)
            cluster_fail(cluster, "shard-%u: %s", i + 1, cluster->dbs[i].violation);
    for (unsigned i = 0; i < CLUSTER_SEATS; i++)
        if (cluster->seats[i].contradicted)
            cluster_fail(cluster, "one request got two answers");
}

unsigned cluster_plan_of(const struct cluster *cluster, const char *migration)
{
    unsigned i = 0;
    while (i < CLUSTER_PLANS && strcmp(cluster->plans[i].plan->id, migration) != 0)
        i++;
    return i;
}

const struct cluster_version *cluster_version_of(const struct cluster *cluster, unsigned plan,
                                                 const struct zdm_hash *hash)
{
    for (unsigned i = 0; i < CLUSTER_VERSIONS; i++)
        if (zdm_hash_equal(&cluster->plans[plan].versions[i].plan->hash, hash))
            return &cluster->plans[plan].versions[i];
    return NULL;
}

const struct coord_migration *cluster_migration(const struct cluster *cluster, unsigned plan)
{
    if (cluster->main.driver == NULL)
        return NULL;
    return coord_find_migration(coord_driver_state(cluster->main.driver), cluster->plans[plan].plan->id);
}

/* ---- The coordinator against the databases ---- */

/* Invariant 12 in its durable half: what the log calls reached was true in the database when it was reported, and but
 * for rollbacks and restores nothing ever takes a finished step back. */
static void check_reached(struct cluster *cluster, const struct coord_migration *m, const struct coord_shard *shard)
{
    struct sim_db *db = &cluster->dbs[shard->name[6] - '1'];
    const struct agent_journal *journal = sim_db_journal(db, m->id);
    const struct zdm_phase *phase = zdm_plan_phase(m->plan, shard->at);
    bool back = shard->undo != 0 && shard->status != COORD_READY && shard->status != COORD_MOVING;
    bool older = cluster->forgot || cluster->restored[shard->name[6] - '1'] || db->gaps > 0; /* compared once more */
    /* A rollback was given up by what its agent said, which goes back until it hears of it. */
    bool goes_on = shard->undo != 0 && journal != NULL && journal->accepted.generation != shard->generation;
    if (shard->at == 0 || phase == NULL || phase->n_steps == 0 || back || goes_on || older)
        return;
    if (journal == NULL || journal->step <= phase->steps[phase->n_steps - 1].ordinal)
        cluster_fail(cluster, "%s is called at phase %u of %s, its journal stands at step %u", shard->name, shard->at,
                     m->id, journal == NULL ? 0 : journal->step);
}

static uint32_t more(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* How far an order let the shard in, as its agent reads it from the journal (agent/core/amend.c). */
static uint32_t entered_by(const struct agent_journal *journal, const struct zdm_plan *plan)
{
    bool begun = journal->cursor != NULL || journal->bound != NULL || journal->walked;
    uint32_t n = zdm_plan_n_steps(plan), last = begun ? journal->step : journal->step - 1;
    uint32_t worked = last == 0 ? 0 : last > n ? zdm_plan_last_phase(plan) : zdm_plan_phase_of(plan, last);
    return more(worked, more(journal->entered_phase, journal->reached_phase));
}

/* Both ends judge by it whether a rollback loses what new code wrote. Without one the agent says what the coordinator
 * says; in the middle of one, and where one was given up, the coordinator may think of more. It thinks of less when its
 * log was recovered from an older copy, and of a shard that was excluded from an earlier run and is ahead of the next.
 */
static void check_entered(struct cluster *cluster, const struct coord_migration *m, const struct coord_shard *shard)
{
    const struct coord_state *state = coord_driver_state(cluster->main.driver);
    unsigned number = (unsigned)(shard->name[6] - '1');
    const struct agent_journal *journal = sim_db_journal(&cluster->dbs[number], m->id);
    if (journal == NULL || cluster->forgot || cluster->restored[number] || state->recovered_epoch != 0 ||
        !zdm_hash_equal(&journal->accepted.anchor, &shard->anchor) ||
        !zdm_hash_equal(&journal->plan_hash, &m->plan->hash))
        return;
    uint32_t entered = entered_by(journal, m->plan),
             switched = zdm_plan_switched(m->plan, journal->switched_phase, entered);
    /* Who is excluded before the order to enter arrived never hears of it. */
    bool excluded = cluster->excluded[cluster_plan_of(cluster, m->id)][number] || shard->status == COORD_EXCLUDED;
    if (!excluded && (entered > shard->entered || (shard->undo == 0 && entered < shard->entered)))
        cluster_fail(cluster, "%s has entered phase %u of %s, and its journal says %u", shard->name, shard->entered,
                     m->id, entered);
    /* The journal's mark falls first, and the coordinator's when it hears of that. */
    if (!excluded && (switched > shard->switched || (shard->undo == 0 && switched < shard->switched)))
        cluster_fail(cluster, "new code wrote on %s up to phase %u of %s, and its journal says %u", shard->name,
                     shard->switched, m->id, switched);
}

/* ---- Releases, judged once more in another way (protocol 8) ---- */

/* Waves before the shard's: all that were let in are held, or one at least is through, and has been for the soak. */
static void check_wave(struct cluster *cluster, const struct coord_migration *m, const struct coord_shard *shard)
{
    int64_t last = 0, now = coord_driver_state(cluster->main.driver)->head_at_ms;
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

/* Nothing was lost and nobody was left out: what was reached stays reached. */
static bool is_plain(const struct cluster *cluster, const struct coord_migration *m)
{
    bool plain = !cluster->forgot;
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++)
        plain = plain && !cluster->restored[i] && !cluster->excluded[cluster_plan_of(cluster, m->id)][i];
    return plain;
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
    if (shard->wave > last->wave_of && m->n_undos == 0 && is_plain(cluster, m))
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

/* A pause keeps in mind what it interrupts: a failure stays one, and work goes on. A retry may have come just before.
 */
static void check_pause(struct cluster *cluster, const struct coord_migration *m, const struct coord_shard *shard,
                        const struct cluster_last *last)
{
    bool kept = shard->resume_to == last->status || shard->resume_to == COORD_FAILED || shard->undo != 0;
    bool was = last->status == COORD_MOVING || last->status == COORD_FAILED;
    if (was && shard->at == last->at && shard->attempt == last->attempt && !kept)
        cluster_fail(cluster, "%s of %s was %s, and its pause remembers %s", shard->name, m->id,
                     coord_status_name(last->status), coord_status_name(shard->resume_to));
}

static void check_migration(struct cluster *cluster, unsigned plan, const struct coord_migration *m)
{
    unsigned newly_failed = 0;
    bool halted = m->mode == COORD_HALTED;
    if (cluster->run[plan] != m->submitted_seq)
        memset(cluster->last[plan], 0, sizeof cluster->last[plan]);
    cluster->run[plan] = m->submitted_seq;
    for (size_t i = 0; i < m->n_shards && i < CLUSTER_SHARDS; i++) {
        const struct coord_shard *shard = &m->shards[i];
        struct cluster_last *last = &cluster->last[plan][i];
        check_reached(cluster, m, shard);
        check_entered(cluster, m, shard);
        /* Who fell back goes on by itself. */
        if (shard->status == COORD_MOVING && last->status == COORD_READY && shard->at >= last->at)
            check_release(cluster, m, shard, last);
        /* Of two processes with one key the one that knows less may speak last; else nothing here is ever lost. */
        unsigned number = (unsigned)(shard->name[6] - '1');
        bool losable = cluster->doubled[number] || cluster->restored[number] || cluster->forgot || shard->undo != 0 ||
                       cluster->dbs[number].gaps > 0;
        cluster->excluded[plan][number] |= shard->status == COORD_EXCLUDED;
        if (shard->at < last->at && !losable)
            cluster_fail(cluster, "%s of %s fell from phase %u to %u, and nothing was lost", shard->name, m->id,
                         last->at, shard->at);
        if (shard->status == COORD_HELD)
            check_pause(cluster, m, shard, last);
        newly_failed += shard->status == COORD_FAILED && last->status == COORD_MOVING && !last->halted;
        cluster_see_shard(cluster, plan, m, shard, last);
        *last = (struct cluster_last){.status = shard->status,
                                      .at = shard->at,
                                      .attempt = shard->attempt,
                                      .halted = halted,
                                      .back = shard->failed_back,
                                      .wave_of = shard->at < ZDM_PHASES_MAX ? m->wave_of[shard->at] : 0};
    }
    check_budget(cluster, m, newly_failed);
    cluster_see(cluster, plan, m);
}

/* A coordinator that knows that it is the one from the past changes nothing any more. */
static void check_fenced(struct cluster *cluster, struct cluster_coordinator *c)
{
    const struct coord_state *state = coord_driver_state(c->driver);
    bool main = c == &cluster->main;
    if (state->fenced && c->fenced && state->head_seq != c->fenced_head)
        cluster_fail(cluster, "a fenced coordinator wrote position %llu", (unsigned long long)state->head_seq);
    if (state->fenced && !c->fenced)
        c->fenced_at_ms = cluster->world.now_ms;
    if (state->fenced && main && !cluster->forgot && !cluster->saw[SAW_SECOND] && !cluster->lying)
        cluster_fail(cluster, "the coordinator fenced itself, and there was never another");
    c->fenced = state->fenced;
    c->fenced_head = state->head_seq;
    cluster->saw[main ? SAW_FENCED : SAW_SECOND_FENCED] |= state->fenced;
}

void cluster_check_coordinator(struct cluster *cluster, struct cluster_coordinator *c)
{
    char why[200];
    if (!coord_invariants(coord_driver_state(c->driver), why, sizeof why))
        cluster_fail(cluster, "coordinator: %s", why);
    check_fenced(cluster, c);
    for (unsigned i = 0; i < CLUSTER_PLANS && c == &cluster->main; i++)
        if (cluster_migration(cluster, i) != NULL)
            check_migration(cluster, i, cluster_migration(cluster, i));
    if (c == &cluster->main)
        cluster_see_both(cluster);
}

/* Invariant 7. */
void cluster_check_promises(struct cluster *cluster)
{
    const struct coord_state *state = coord_driver_state(cluster->main.driver);
    for (size_t s = 0; s < CLUSTER_SEATS; s++)
        for (size_t i = 0; i < cluster->seats[s].n_answered; i++)
            if (coord_find_request(state, &cluster->seats[s].answered[i]) == NULL)
                cluster_fail(cluster, "an acknowledged request was lost by a crash of the coordinator");
    cluster_check_log(cluster);
}

bool cluster_may_enter(void *ctx, const struct sim_db *of, const struct zdm_plan *plan, uint32_t phase)
{
    struct cluster *cluster = ctx;
    const struct zdm_phase *entered = zdm_plan_phase(plan, phase);
    unsigned which = cluster_plan_of(cluster, plan->id);
    (void)of;
    const struct cluster_version *version =
        which < CLUSTER_PLANS ? cluster_version_of(cluster, which, &plan->hash) : NULL;
    if (version == NULL || !version->asked)
        return false; /* invariant 2: not the plan that the operator signed */
    bool alone = entered->class == ZDM_PHASE_EXPAND || entered->class == ZDM_PHASE_MIGRATE;
    if (alone || cluster->lying)
        return true;
    const struct zdm_phase *before = zdm_plan_phase(plan, phase - 1);
    uint32_t last = before->n_steps > 0 ? before->steps[before->n_steps - 1].ordinal : 0;
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++) {
        if (!cluster->excluded[which][i] && sim_db_high_step(&cluster->dbs[i], plan->id) <= last)
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
    if ((event->type != COORD_EVENT_SHARD_REACHED && event->type != COORD_EVENT_SHARD_UNDONE) || m == NULL ||
        event->u.reached.shard >= m->n_shards)
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
    if (cluster->main.store.ops->read(cluster->main.store.self, 1, replay_record, &replay, &err) != STORE_OK)
        cluster_fail(cluster, "the log cannot be read: %s", err.message);
    const struct coord_state *live = cluster->main.driver != NULL ? coord_driver_state(cluster->main.driver) : NULL;
    for (unsigned i = 0; live != NULL && i < CLUSTER_PLANS; i++)
        compare(cluster, coord_find_migration(replay.state, cluster->plans[i].plan->id), cluster_migration(cluster, i));
    if (live != NULL &&
        (replay.state->head_seq != live->head_seq || !zdm_hash_equal(&replay.state->head_hash, &live->head_hash) ||
         replay.state->epoch != live->epoch || replay.state->fenced != live->fenced ||
         replay.state->n_requests != live->n_requests || replay.state->n_anchors != live->n_anchors))
        cluster_fail(cluster, "the log tells another story than the living state");
    coord_state_free(replay.state);
}
