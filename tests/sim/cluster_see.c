/*
 * cluster_see.c - which situations a run has seen: what never happens is not tested.
 */
#include "common/plan/undo.h"
#include "tests/sim/cluster_private.h"

const char *cluster_sight_name(enum cluster_sight sight)
{
    static const char *const names[] = {
        [SAW_FAILED] = "a shard that failed",
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
        [SAW_BOTH_MOVING] = "two migrations at work on one shard",
        [SAW_UNDOING_1] = "a rollback out of phase 1",
        [SAW_UNDOING_2] = "a rollback out of phase 2",
        [SAW_UNDOING_3] = "a rollback out of phase 3",
        [SAW_UNDOING_4] = "a rollback out of phase 4",
        [SAW_UNDOING_5] = "a rollback out of a purge phase",
        [SAW_LEG] = "a leg of the way back below a switch that an earlier leg had left",
        [SAW_UNDONE_HALF] = "a rollback in the middle of a backfill",
        [SAW_UNDONE_ALL] = "a migration that was undone",
        [SAW_UNDONE_AGAIN] = "a migration that was submitted again after it was undone",
        [SAW_BACK_PAUSED] = "a rollback that was paused",
        [SAW_BACK_FAILED] = "a rollback that failed",
        [SAW_FORWARD] = "a rollback that was given up",
        [SAW_IMAGES_BACK] = "before-images that were written back",
        [SAW_UNDO_REFUSED] = "a rollback that was refused",
        [SAW_UNDO_TWICE] = "an undo order that was sent twice",
        [SAW_APPROVALS_WANTED] = "a shard that waited for approvals",
        [SAW_AGENT_WANTS_APPROVALS] = "an agent that did not take the approvals",
        [SAW_WITHDRAWN] = "an approval that was withdrawn",
        [SAW_EXPIRED] = "an approval that expired",
        [SAW_ENTERED] = "a phase that approvals let in",
        [SAW_SPENT] = "a signature that was spent before",
        [SAW_PURGE_EARLY] = "a purge that waited for its grace period",
        [SAW_PURGE_NOW] = "a purge before its grace period that people signed",
        [SAW_PURGED] = "a purge",
        [SAW_LEFTOVERS_PURGED] = "a purge of what rollbacks left",
        [SAW_SHARD_RESTORED] = "a shard that was restored from a backup",
        [SAW_REGRESSED] = "a shard that fell back",
        [SAW_LOG_RESTORED] = "a log that was restored from a backup",
        [SAW_TAIL_LOST] = "a log that lost its tail",
        [SAW_FENCED] = "a coordinator that fenced itself",
        [SAW_RECOVERED] = "a recovery",
        [SAW_SECOND] = "a second coordinator",
        [SAW_SECOND_FENCED] = "a second coordinator that fenced itself",
        [SAW_TRUST] = "a newer trust file",
        [SAW_REVOKED_PERSON] = "a person whose key was revoked",
        [SAW_INCLUDED] = "a shard that was included again",
        [SAW_STALE] = "a request that had seen an older state",
        [SAW_LIAR] = "a lying coordinator",
        [SAW_AMENDED] = "a plan that was amended",
        [SAW_AMENDED_MOVING] = "a plan that was amended in the middle of a batch",
        [SAW_AMEND_REFUSED] = "an amendment that was refused",
        [SAW_AMENDED_AGAIN] = "a plan that was amended twice",
        [SAW_SIGNED_ANEW] = "a plan that was signed anew",
        [SAW_AMENDED_UNSIGNED] = "an amendment of a plan whose signer had left",
        [SAW_WAITED] = "a wait of a plan",
        [SAW_GAP] = "triggers that went away behind a switch",
        [SAW_REPAIR] = "triggers that were installed again behind a switch",
        [SAW_DIFFERS] = "a comparison that found a row",
        [SAW_LET_PASS] = "rows that a person let stay as they are",
        [SAW_LIE_REFUSED] = "an agent that refused what nobody signed",
    };
    return names[sight];
}

static void see_holds(struct cluster *cluster, const struct coord_migration *m)
{
    struct coord_release out[CLUSTER_SHARDS];
    const struct coord_driver *driver = cluster->main.driver;
    if (m->n_shards > CLUSTER_SHARDS)
        return;
    coord_releasable(coord_driver_state(driver), coord_driver_view(driver), m,
                     zdm_wall_ms(&cluster->world.nodes[CLUSTER_COORDINATOR].clock), out);
    for (size_t i = 0; i < m->n_shards; i++) {
        cluster->saw[SAW_SOAK] |= out[i].hold == COORD_HOLD_SOAK;
        cluster->saw[SAW_WAVE_HELD] |= out[i].hold == COORD_HOLD_WAVE;
        cluster->saw[SAW_BARRIER_HELD] |= out[i].hold == COORD_HOLD_BARRIER;
        cluster->saw[SAW_APPROVALS_WANTED] |= out[i].hold == COORD_HOLD_APPROVALS;
    }
}

void cluster_see(struct cluster *cluster, unsigned plan, const struct coord_migration *m)
{
    const struct coord_state *state = coord_driver_state(cluster->main.driver);
    see_holds(cluster, m);
    for (size_t i = 0; i < m->n_approvals; i++)
        cluster->saw[SAW_EXPIRED] |= m->approvals[i].approval.expires_at_ms < state->head_at_ms;
    cluster->saw[SAW_HALTED_BY_BUDGET] |= m->mode == COORD_HALTED && m->halt_cause == COORD_HALT_BUDGET;
    cluster->saw[SAW_TRUST] |= state->trust_version > 1;
    for (uint32_t p = 0; p < m->plan->n_phases; p++)
        cluster->saw[SAW_GATE_PASSED] |= m->gates[p].state == COORD_GATE_PASSED;
    struct zdm_id signer = coord_plan_signer(m);
    cluster->saw[SAW_SIGNED_ANEW] |= people_find(&cluster->people, &signer) != cluster->plans[plan].submitter;
    bool undone = m->mode == COORD_ENDED && m->outcome == COORD_END_UNDONE;
    cluster->saw[SAW_UNDONE_ALL] |= undone;
    cluster->was_undone[plan] |= undone;
    cluster->saw[SAW_UNDONE_AGAIN] |= cluster->was_undone[plan] && m->mode == COORD_OPEN && m->n_undos == 0;
}

/* What phase does the rollback that has just been ordered find the shard in? */
static uint32_t phase_in(const struct cluster *cluster, const struct coord_migration *m, const char *shard)
{
    const struct agent_journal *journal = sim_db_journal(&cluster->dbs[shard[6] - '1'], m->id);
    uint32_t last = zdm_plan_n_steps(m->plan);
    return journal == NULL ? 0 : zdm_plan_phase_of(m->plan, journal->step <= last ? journal->step : last);
}

void cluster_see_shard(struct cluster *cluster, unsigned plan, const struct coord_migration *m,
                       const struct coord_shard *shard, const struct cluster_last *last)
{
    bool was_back = last->status == COORD_UNDOING || (last->status == COORD_FAILED && last->back);
    bool *saw = cluster->saw;
    (void)plan;
    saw[SAW_FAILED] |= shard->status == COORD_FAILED;
    saw[SAW_UNSURE] |= shard->status == COORD_UNSURE;
    saw[SAW_RETRY] |= shard->attempt > 0 && shard->status == COORD_MOVING;
    saw[SAW_BACK_FAILED] |= shard->status == COORD_FAILED && shard->failed_back;
    saw[SAW_BACK_PAUSED] |= shard->status == COORD_HELD && shard->resume_to == COORD_UNDOING;
    saw[SAW_FORWARD] |= was_back && (shard->status == COORD_READY || shard->status == COORD_MOVING);
    saw[SAW_INCLUDED] |= last->status == COORD_EXCLUDED && shard->status != COORD_EXCLUDED;
    saw[SAW_REGRESSED] |= cluster->restored[shard->name[6] - '1'] && shard->undo == 0 && shard->at < last->at;
    if (shard->status != COORD_UNDOING || last->status == COORD_UNDOING)
        return;
    saw[SAW_LEG] |= shard->goal < shard->switched && zdm_plan_switch_between(m->plan, shard->goal, shard->entered) == 0;
    uint32_t phase = phase_in(cluster, m, shard->name);
    if (phase >= 1 && phase <= 5)
        saw[SAW_UNDOING_1 + phase - 1] = true;
}

void cluster_see_both(struct cluster *cluster)
{
    const struct coord_migration *a = cluster_migration(cluster, 0), *b = cluster_migration(cluster, 1);
    for (size_t i = 0; a != NULL && b != NULL && i < a->n_shards; i++) {
        long other = coord_find_shard(b, a->shards[i].name);
        cluster->saw[SAW_BOTH_MOVING] |=
            a->shards[i].status == COORD_MOVING && other >= 0 && b->shards[other].status == COORD_MOVING;
    }
}

void cluster_see_everything(struct cluster *cluster)
{
    bool *saw = cluster->saw;
    for (unsigned i = 0; i < CLUSTER_SEATS; i++) {
        saw[SAW_UNDO_REFUSED] |= cluster->seats[i].refused[ZDM_VERB_ROLLBACK] > 0;
        saw[SAW_AMEND_REFUSED] |= cluster->seats[i].amends_refused > 0;
        saw[SAW_AMENDED_UNSIGNED] |= cluster->seats[i].amends_unsigned > 0;
        saw[SAW_WITHDRAWN] |= cluster->seats[i].done[ZDM_VERB_REVOKE_APPROVAL] > 0;
    }
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++) {
        const struct sim_db *db = &cluster->dbs[i];
        saw[SAW_UNDONE_HALF] |= db->half_undone > 0;
        saw[SAW_IMAGES_BACK] |= db->images_back > 0;
        saw[SAW_ENTERED] |= db->let_in > 0;
        saw[SAW_SPENT] |= db->refused_spent > 0;
        saw[SAW_PURGE_EARLY] |= db->early > 0;
        saw[SAW_PURGE_NOW] |= db->purged_now > 0;
        saw[SAW_PURGED] |= db->purged > 0;
        saw[SAW_LEFTOVERS_PURGED] |= db->dropped_leftovers > 0;
        saw[SAW_SHARD_RESTORED] |= db->restores > 0;
        saw[SAW_AMENDED] |= db->amends > 0;
        saw[SAW_AMENDED_AGAIN] |= db->amends > 1;
        saw[SAW_AMENDED_MOVING] |= db->amends_inside > 0;
        saw[SAW_GAP] |= db->gaps > 0;
        saw[SAW_REPAIR] |= db->repairs > 0;
        saw[SAW_DIFFERS] |= db->differences > 0;
        saw[SAW_LET_PASS] |= db->let_pass > 0;
        saw[SAW_WAITED] |= db->done[ZDM_ACTION_GATE_WAIT] > 0;
    }
}
