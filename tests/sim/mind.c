/*
 * mind.c - see mind.h. What people decide on is what they see: the coordinator's state.
 */
#include <stdlib.h>
#include <string.h>

#include "common/plan/undo.h"
#include "coordinator/core/core.h"
#include "tests/sim/mind_private.h"

enum { TRIES_BACK = 60 /* requests to go back, until they see that it cannot be done and go forward */ };

/* ---- What is wanted ---- */

static const struct sim_schema *schema_of(const struct cluster *cluster, unsigned plan, const char *shard)
{
    const struct sim_db *db = &cluster->dbs[shard[6] - '1'];
    const struct agent_journal *journal = sim_db_journal(db, cluster->plans[plan].plan->id);
    return journal != NULL ? &sim_db_truth(db, journal)->schema : NULL;
}

/* What rollbacks left on a shard that was given up is left to those who gave it up. */
bool mind_has_leftovers(const struct cluster *cluster, unsigned plan)
{
    const struct coord_migration *m = cluster_migration(cluster, plan);
    for (size_t i = 0; m != NULL && i < m->n_shards; i++) {
        const struct sim_schema *schema = schema_of(cluster, plan, m->shards[i].name);
        if (schema != NULL && schema->n_leftovers > 0 && m->shards[i].status != COORD_EXCLUDED)
            return true;
    }
    return false;
}

static bool wants_back(const struct cluster *cluster, unsigned plan)
{
    return cluster->plans[plan].back && cluster->plans[plan].tries < TRIES_BACK;
}

static bool is_over(const struct cluster *cluster, unsigned plan, const struct coord_migration *m)
{
    return m->mode == COORD_ENDED && m->outcome == (wants_back(cluster, plan) ? COORD_END_UNDONE : COORD_END_DONE);
}

bool mind_is_content(const struct cluster *cluster)
{
    for (unsigned i = 0; i < CLUSTER_PLANS; i++) {
        const struct coord_migration *m = cluster_migration(cluster, i);
        if (m == NULL || !is_over(cluster, i, m) || mind_has_leftovers(cluster, i))
            return false;
    }
    return !coord_driver_state(cluster->main.driver)->fenced;
}

/* ---- One step towards it ---- */

static bool goes_back(const struct coord_shard *s)
{
    return s->status == COORD_UNDOING || (s->status == COORD_FAILED && s->failed_back) ||
           (s->status == COORD_HELD && s->resume_to == COORD_UNDOING);
}

/* It came back below a switch that it had entered, and not all the way: sometimes it goes further. */
static bool goes_further(struct cluster *cluster, unsigned plan, const struct coord_migration *m,
                         const struct coord_shard *s)
{
    bool left = s->status == COORD_HELD && s->resume_to == COORD_READY && s->switched > 0 &&
                zdm_plan_switch_between(m->plan, 0, s->entered) == 0;
    if (!left || !world_chance(&cluster->world, 40))
        return false;
    if (!mind_signs_loss(cluster, plan, m, 0))
        mind_roll_back(cluster, plan, m, s->name, 0);
    return true;
}

/* Where the error says that only a rollback helps, people do that: a retry would end there again. */
static bool is_told_to_roll_back(const struct coord_shard *s, uint32_t *out_to)
{
    const char *at = s->failure != NULL ? strstr(s->failure, ZDM_ERROR_ROLL_BACK) : NULL;
    *out_to = at != NULL ? (uint32_t)strtoul(at + strlen(ZDM_ERROR_ROLL_BACK), NULL, 10) : 0;
    return at != NULL;
}

/* The error says which rows: people put them right, now and then, before they ask for it again. */
static void mend_rows(struct cluster *cluster, const struct coord_migration *m, const struct coord_shard *s)
{
    bool told = s->failure != NULL && strstr(s->failure, "put it right by hand") != NULL;
    if (told && world_chance(&cluster->world, 50))
        sim_db_mend(&cluster->dbs[s->name[6] - '1'], m->plan);
}

static void roll_back_as_told(struct cluster *cluster, unsigned plan, const struct coord_migration *m,
                              const struct coord_shard *s, uint32_t to)
{
    if (!mind_signs_loss(cluster, plan, m, to))
        mind_roll_back(cluster, plan, m, s->name, to);
}

/* Whoever is held, failed, unsure or out of it is brought back; true when something was asked. */
static bool mend(struct cluster *cluster, unsigned plan, const struct coord_migration *m)
{
    for (size_t i = 0; i < m->n_shards; i++) {
        const struct coord_shard *s = &m->shards[i];
        bool held = s->status == COORD_HELD;
        uint32_t to;
        if (goes_further(cluster, plan, m, s))
            return true;
        if (s->status == COORD_EXCLUDED)
            mind_do(cluster, plan, ZDM_VERB_INCLUDE, s->name);
        else if (goes_back(s) && s->status != COORD_UNDOING && world_chance(&cluster->world, 30))
            mind_forward_again(cluster, plan, s->name);
        else if (s->status == COORD_FAILED && s->failed_back && world_chance(&cluster->world, 20))
            mind_roll_back(cluster, plan, m, s->name, s->goal);
        else if (s->status == COORD_FAILED && s->failed_back && world_chance(&cluster->world, 20))
            mind_approve(cluster, plan, m, ZDM_VERB_APPROVE, ZDM_APPROVE_UNDO, s->goal);
        else if (held || (s->status == COORD_UNDONE && m->mode != COORD_ENDED))
            mind_do(cluster, plan, ZDM_VERB_RESUME, s->name);
        else if (s->status == COORD_UNSURE && is_told_to_roll_back(s, &to) && world_chance(&cluster->world, 50))
            roll_back_as_told(cluster, plan, m, s, to);
        else if (s->status == COORD_FAILED || s->status == COORD_UNSURE) {
            mend_rows(cluster, m, s);
            mind_do(cluster, plan, ZDM_VERB_RETRY, s->name);
        } else
            continue;
        return true;
    }
    if (m->mode == COORD_HALTED)
        mind_do(cluster, plan, ZDM_VERB_RESUME, NULL);
    return m->mode == COORD_HALTED;
}

/* The phase that a shard waits to enter for want of approvals, at the coordinator or at the agent; 0: none. */
static uint32_t wanting(const struct cluster *cluster, const struct coord_migration *m)
{
    struct coord_release out[CLUSTER_SHARDS];
    const struct coord_view *view = coord_driver_view(cluster->main.driver);
    coord_releasable(coord_driver_state(cluster->main.driver), view, m, mind_wall(cluster), out);
    for (size_t i = 0; i < m->n_shards && i < CLUSTER_SHARDS; i++) {
        const struct coord_shard *s = &m->shards[i];
        const struct zdm_migration_report *mr = coord_view_report(view, &s->actor, m->id);
        if (out[i].hold == COORD_HOLD_APPROVALS)
            return out[i].phase;
        if (mr != NULL && mr->wait == ZDM_WAIT_APPROVALS && s->status == COORD_MOVING)
            return s->goal;
    }
    return 0;
}

static bool give_approvals(struct cluster *cluster, unsigned plan, const struct coord_migration *m)
{
    uint32_t phase = wanting(cluster, m);
    const struct zdm_phase *of = phase > 0 ? zdm_plan_phase(m->plan, phase) : NULL;
    if (of == NULL)
        return false;
    bool purge = of->class == ZDM_PHASE_PURGE;
    enum zdm_verb verb = purge && world_chance(&cluster->world, 50) ? ZDM_VERB_PURGE : ZDM_VERB_APPROVE;
    mind_approve(cluster, plan, m, verb, purge ? ZDM_APPROVE_PURGE : ZDM_APPROVE_ENTER, phase);
    return true;
}

static bool all_at(const struct coord_migration *m, uint32_t phase)
{
    for (size_t i = 0; i < m->n_shards; i++)
        if (m->shards[i].at < phase)
            return false;
    return true;
}

/* May an advance let the shard further? The phases of all together need all together. */
static bool waits_for_advance(const struct coord_migration *m, const struct coord_shard *s)
{
    const struct zdm_phase *next = zdm_plan_phase(m->plan, s->at + 1);
    if (next == NULL || s->at < s->opened || s->status != COORD_READY)
        return false;
    bool together = next->class != ZDM_PHASE_EXPAND && next->class != ZDM_PHASE_MIGRATE;
    return !together || all_at(m, s->at);
}

static bool go_on(struct cluster *cluster, unsigned plan, const struct coord_migration *m)
{
    for (size_t i = 0; i < m->n_shards; i++) {
        if (!waits_for_advance(m, &m->shards[i]))
            continue;
        const struct zdm_phase *next = zdm_plan_phase(m->plan, m->shards[i].at + 1);
        if (next->class == ZDM_PHASE_PURGE && world_chance(&cluster->world, 50))
            mind_approve(cluster, plan, m, ZDM_VERB_PURGE, ZDM_APPROVE_PURGE, next->number);
        else
            mind_do(cluster, plan, ZDM_VERB_ADVANCE, NULL);
        return true;
    }
    return false;
}

/* Those of the leftovers that are dropped need an approval for phase 0. */
static bool clean_up(struct cluster *cluster, unsigned plan, const struct coord_migration *m)
{
    if (m->mode != COORD_ENDED || !mind_has_leftovers(cluster, plan) || world_chance(&cluster->world, 60))
        return false;
    mind_approve(cluster, plan, m, ZDM_VERB_PURGE, ZDM_APPROVE_PURGE, 0);
    return true;
}

static bool go_back(struct cluster *cluster, unsigned plan, const struct coord_migration *m)
{
    bool under_way = false;
    for (size_t i = 0; i < m->n_shards; i++) {
        const struct coord_shard *s = &m->shards[i];
        under_way = under_way || s->status == COORD_UNDOING;
        if (s->status == COORD_FAILED && world_chance(&cluster->world, 30))
            break; /* its order may not be good any more: a new one */
        if (s->status == COORD_FAILED && s->failed_back && world_chance(&cluster->world, 30)) {
            /* The agent may know better than the coordinator what is lost. */
            mind_approve(cluster, plan, m, ZDM_VERB_APPROVE, ZDM_APPROVE_UNDO, s->goal);
            return true;
        }
        if (s->status == COORD_EXCLUDED || (goes_back(s) && s->status != COORD_UNDOING)) {
            enum zdm_verb verb = s->status == COORD_EXCLUDED ? ZDM_VERB_INCLUDE
                                 : s->status == COORD_HELD   ? ZDM_VERB_RESUME
                                                             : ZDM_VERB_RETRY;
            mind_do(cluster, plan, verb, s->name);
            return true;
        }
    }
    if (under_way)
        return false;
    cluster->plans[plan].tries++;
    uint32_t to = mind_leg(m, NULL), flag = mind_switch(m, NULL);
    if (to == 0 && flag > 1 && world_chance(&cluster->world, 50))
        to = flag - 1; /* and only then all the way */
    if (!mind_signs_loss(cluster, plan, m, to))
        mind_roll_back(cluster, plan, m, NULL, to);
    return true;
}

/* True when something was asked. */
static bool push_one(struct cluster *cluster, unsigned plan)
{
    const struct coord_migration *m = cluster_migration(cluster, plan);
    bool back = wants_back(cluster, plan);
    if (m == NULL || (!back && m->mode == COORD_ENDED && m->outcome == COORD_END_UNDONE)) {
        mind_submit(cluster, plan);
        return true;
    }
    if (m->mode == COORD_ENDED) {
        if (back && m->outcome != COORD_END_UNDONE)
            cluster->plans[plan].back = false; /* it is too late */
        return clean_up(cluster, plan, m);
    }
    if (mind_signer_left(cluster, m)) {
        if (cluster->amending && world_chance(&cluster->world, 60))
            mind_amend(cluster, plan);
        else
            mind_submit(cluster, plan);
        return true;
    }
    if (back)
        return go_back(cluster, plan, m);
    return mend(cluster, plan, m) || give_approvals(cluster, plan, m) || go_on(cluster, plan, m) ||
           clean_up(cluster, plan, m);
}

void mind_push(struct cluster *cluster)
{
    unsigned plan = (unsigned)(world_random(&cluster->world) % CLUSTER_PLANS);
    if (cluster->main.driver == NULL || mind_chair(cluster) == NULL)
        return;
    if (cluster->main.fenced) {
        cluster_recover(cluster);
        return;
    }
    if (cluster->amending && cluster_migration(cluster, plan) != NULL && world_chance(&cluster->world, 6)) {
        mind_amend(cluster, plan);
        return;
    }
    if (!push_one(cluster, plan))
        push_one(cluster, (plan + 1) % CLUSTER_PLANS);
}

/* ---- Whatever comes to mind ---- */

static void stale_advance(struct cluster *cluster, unsigned plan, const struct coord_migration *m, const char *shard)
{
    struct zdm_request request = {.verb = ZDM_VERB_ADVANCE, .has_expect = true, .expect_phase = m->opened_phase};
    request.expect_generation = m->moved_seq - (uint64_t)world_between(&cluster->world, 0, 1);
    cluster->saw[SAW_STALE] = true;
    mind_select(&request, shard);
    mind_ask(cluster, mind_somebody(cluster, ZDM_ROLE_OPERATOR), plan, &request);
}

static void any_approval(struct cluster *cluster, unsigned plan, const struct coord_migration *m)
{
    uint32_t phase = (uint32_t)world_between(&cluster->world, 0, (int64_t)m->plan->n_phases);
    enum zdm_approval_action action =
        (enum zdm_approval_action)world_between(&cluster->world, ZDM_APPROVE_ENTER, ZDM_APPROVE_UNDO);
    uint32_t last = zdm_plan_last_phase(m->plan);
    bool purges = zdm_plan_phase(m->plan, last)->class == ZDM_PHASE_PURGE;
    if (world_chance(&cluster->world, 60)) {
        phase = last;
        action = purges ? ZDM_APPROVE_PURGE : ZDM_APPROVE_ENTER;
    }
    mind_approve(cluster, plan, m,
                 action == ZDM_APPROVE_PURGE && world_chance(&cluster->world, 50) ? ZDM_VERB_PURGE : ZDM_VERB_APPROVE,
                 action, phase);
}

static void any_rollback(struct cluster *cluster, unsigned plan, const struct coord_migration *m, const char *shard)
{
    uint32_t flag = mind_switch(m, shard);
    uint32_t to = world_chance(&cluster->world, 50)
                      ? mind_leg(m, shard)
                      : (uint32_t)world_between(&cluster->world, 0, (int64_t)m->plan->n_phases - 1);
    if (flag > 1 && world_chance(&cluster->world, 40))
        to = flag - 1;
    if (!mind_signs_loss(cluster, plan, m, to))
        mind_roll_back(cluster, plan, m, shard, to);
}

void mind_meddle(struct cluster *cluster)
{
    static const char *const names[] = {"shard-1", "shard-2", "shard-3"};
    unsigned plan = (unsigned)(world_random(&cluster->world) % CLUSTER_PLANS);
    const struct coord_migration *m = cluster_migration(cluster, plan);
    const char *shard =
        world_chance(&cluster->world, 30) ? NULL : names[world_random(&cluster->world) % CLUSTER_SHARDS];
    int64_t what = world_between(&cluster->world, 1, 100);
    if (m == NULL || mind_chair(cluster) == NULL)
        return;
    if (what <= 25)
        mind_do(cluster, plan, ZDM_VERB_PAUSE, shard);
    else if (what <= 40)
        mind_do(cluster, plan, ZDM_VERB_ADVANCE, shard);
    else if (what <= 45)
        stale_advance(cluster, plan, m, shard);
    else if (what <= 50)
        mind_do(cluster, plan, ZDM_VERB_THROTTLE, NULL);
    else if (what <= 68)
        any_rollback(cluster, plan, m, shard);
    else if (what <= 84)
        any_approval(cluster, plan, m);
    else if (what <= 88)
        mind_withdraw(cluster, plan);
    else if (what <= 92)
        mind_do(cluster, plan, ZDM_VERB_EXCLUDE, names[world_random(&cluster->world) % CLUSTER_SHARDS]);
    else if (what <= 96)
        mind_forward_again(cluster, plan, shard);
    else
        mind_publish_trust(cluster);
}
