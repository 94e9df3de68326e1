/*
 * mind.c - see mind.h. What people decide on is what they see: the coordinator's state.
 */
#include "tests/sim/mind.h"

#include <stdlib.h>
#include <string.h>

#include "common/plan/undo.h"
#include "coordinator/core/core.h"

enum {
    HOUR_MS = 3600 * 1000,
    SHORT_MS = 8000, /* how long an approval of somebody in a hurry is good */
    TRIES_BACK = 60  /* requests to go back, until they see that it cannot be done and go forward */
};

/* ---- Who, when, and from which chair ---- */

static const struct coord_state *seen(const struct cluster *cluster)
{
    return cluster->main.driver != NULL ? coord_driver_state(cluster->main.driver) : NULL;
}

static int64_t wall(const struct cluster *cluster)
{
    return zdm_wall_ms(&cluster->world.nodes[CLUSTER_COORDINATOR].clock);
}

static uint32_t trust_version(const struct cluster *cluster)
{
    const struct coord_state *state = seen(cluster);
    return state != NULL && state->trust_version > 1 ? PEOPLE_TRUSTS : 1;
}

static enum person anybody(struct cluster *cluster)
{
    return (enum person)world_between(&cluster->world, 0, PEOPLE - 1);
}

/* Somebody with the role in the trust file in force; now and then somebody who lacks it. */
static enum person somebody(struct cluster *cluster, enum zdm_role role)
{
    enum person person = anybody(cluster);
    uint32_t version = trust_version(cluster);
    if (cluster->meddling && world_chance(&cluster->world, 5)) {
        cluster->saw[SAW_REVOKED_PERSON] |= cluster->people.roles[version - 1][person] == 0;
        return person;
    }
    while (!people_may(&cluster->people, version, person, role))
        person = (enum person)((person + 1) % PEOPLE);
    return person;
}

static struct sim_operator *chair(struct cluster *cluster)
{
    for (unsigned i = 0; i < CLUSTER_SEATS; i++)
        if (!cluster->seats[i].busy)
            return &cluster->seats[i];
    return NULL;
}

/* Everybody who may act has one chair at least free when this is called. */
static void ask(struct cluster *cluster, enum person who, unsigned plan, struct zdm_request *request)
{
    struct sim_operator *seat = chair(cluster);
    if (seat == NULL) {
        zdm_request_fini(request);
        return;
    }
    zdm_copy_text(request->migration, sizeof request->migration, cluster->plans[plan].plan->id);
    seat->key = &cluster->people.keys[who];
    world_tell(&cluster->world, "%s: %s %s %s", people_name(who), zdm_verb_name(request->verb), request->migration,
               request->shards.n_names > 0 ? request->shards.names[0] : "");
    operator_ask(seat, request);
}

static void select_shard(struct zdm_request *request, const char *shard)
{
    request->shards.all = shard == NULL;
    if (shard == NULL)
        return;
    request->shards.names = malloc(sizeof *request->shards.names);
    if (request->shards.names == NULL)
        abort();
    request->shards.names[0] = zdm_strdup(shard);
    request->shards.n_names = 1;
}

static void simple(struct cluster *cluster, unsigned plan, enum zdm_verb verb, const char *shard)
{
    struct zdm_request request = {.verb = verb};
    select_shard(&request, shard);
    if (verb == ZDM_VERB_THROTTLE)
        request.throttle.batch_target_ms = (uint32_t)world_between(&cluster->world, 10, 100);
    if (verb == ZDM_VERB_EXCLUDE)
        zdm_copy_text(request.reason, sizeof request.reason, "decommissioned");
    ask(cluster, somebody(cluster, zdm_verb_role(verb)), plan, &request);
}

/* ---- Submitting ---- */

static void submit(struct cluster *cluster, unsigned plan)
{
    struct zdm_request request = {.verb = ZDM_VERB_SUBMIT};
    const struct cluster_plan *of = &cluster->plans[plan];
    struct sim_operator *seat = chair(cluster);
    if (seat == NULL)
        return;
    request.plan_hash = of->plan->hash;
    seat->uploads[0] = (struct operator_upload){of->bytes.data, of->bytes.len};
    seat->uploads[1] = (struct operator_upload){of->notes.data, of->notes.len};
    ask(cluster, of->submitter, plan, &request);
}

static void publish_trust(struct cluster *cluster)
{
    struct zdm_request request = {.verb = ZDM_VERB_TRUST};
    struct sim_operator *seat = chair(cluster);
    if (seat == NULL)
        return;
    request.plan_hash = cluster->people.trust_digests[1];
    seat->uploads[0] = (struct operator_upload){cluster->people.trusts[1].data, cluster->people.trusts[1].len};
    seat->uploads[1] = (struct operator_upload){NULL, 0};
    ask(cluster, BOB, 0, &request);
}

/* ---- Signing ---- */

static void fill_approval(struct cluster *cluster, const struct coord_migration *m, enum zdm_approval_action action,
                          uint32_t phase, struct zdm_approval *out)
{
    const struct zdm_phase *of = action == ZDM_APPROVE_UNDO || phase == 0 ? NULL : zdm_plan_phase(m->plan, phase);
    bool hurried = cluster->meddling && world_chance(&cluster->world, 20);
    *out = (struct zdm_approval){.plan_hash = m->plan->hash,
                                 .phase = phase,
                                 .action = action,
                                 .purge_now = action == ZDM_APPROVE_PURGE && world_chance(&cluster->world, 30),
                                 .trust_version = trust_version(cluster),
                                 .issued_at_ms = wall(cluster),
                                 .expires_at_ms = wall(cluster) + (hurried ? SHORT_MS : HOUR_MS)};
    zdm_copy_text(out->migration, sizeof out->migration, m->id);
    if (of != NULL)
        out->phase_digest = of->digest;
}

static void approve(struct cluster *cluster, unsigned plan, const struct coord_migration *m, enum zdm_verb verb,
                    enum zdm_approval_action action, uint32_t phase)
{
    static const char *const names[] = {"shard-1", "shard-2", "shard-3"};
    struct zdm_request request = {.verb = verb};
    struct zdm_approval approval;
    bool one = cluster->meddling && world_chance(&cluster->world, 20);
    const char *shard = one ? names[world_random(&cluster->world) % CLUSTER_SHARDS] : NULL;
    enum person who = somebody(cluster, ZDM_ROLE_APPROVER);
    fill_approval(cluster, m, action, phase, &approval);
    const struct people_approval *row = people_approve(&cluster->people, who, plan, &approval, shard);
    if (row == NULL || !zdm_envelope_copy(&request.payload, &row->envelope))
        return;
    select_shard(&request, shard);
    ask(cluster, who, plan, &request);
}

static void withdraw(struct cluster *cluster, unsigned plan)
{
    struct zdm_request request = {.verb = ZDM_VERB_REVOKE_APPROVAL};
    const struct people *people = &cluster->people;
    if (people->n_approvals == 0)
        return;
    const struct people_approval *row = &people->approvals[world_random(&cluster->world) % people->n_approvals];
    if (row->plan != plan)
        return;
    request.target = row->approval.nonce;
    ask(cluster, somebody(cluster, ZDM_ROLE_APPROVER), plan, &request);
}

/* ---- Going back ---- */

static uint32_t entered(const struct coord_migration *m, const char *shard)
{
    uint32_t highest = 0;
    for (size_t i = 0; i < m->n_shards; i++) {
        const struct coord_shard *s = &m->shards[i];
        if ((shard == NULL || strcmp(s->name, shard) == 0) && s->entered > highest)
            highest = s->entered;
    }
    return highest;
}

/* As far back as the reverse barrier lets one command go. */
static uint32_t leg(const struct coord_migration *m, const char *shard)
{
    uint32_t high = entered(m, shard), g = 0;
    for (uint32_t p = 1; p < high; p++)
        if (zdm_plan_phase(m->plan, p)->class == ZDM_PHASE_SWITCH)
            g = p;
    return g;
}

static void roll_back(struct cluster *cluster, unsigned plan, const struct coord_migration *m, const char *shard,
                      uint32_t to)
{
    struct zdm_request request = {.verb = ZDM_VERB_ROLLBACK, .to_phase = to, .flags_off = true};
    struct people *people = &cluster->people;
    struct zdm_undo_order order = {.plan_hash = m->plan->hash,
                                   .to_phase = to,
                                   .issued_at_ms = wall(cluster),
                                   .expires_at_ms = wall(cluster) + 24 * HOUR_MS};
    enum person who = somebody(cluster, ZDM_ROLE_OPERATOR);
    bool again = cluster->meddling && people->n_undos > 0 && world_chance(&cluster->world, 20);
    zdm_copy_text(order.migration, sizeof order.migration, m->id);
    const struct people_undo *row = again ? &people->undos[world_random(&cluster->world) % people->n_undos]
                                          : people_undo(people, who, plan, &order, shard);
    if (row == NULL || !zdm_envelope_copy(&request.payload, &row->envelope))
        return;
    if (again) {
        cluster->saw[SAW_UNDO_TWICE] = true;
        who = row->by;
        plan = row->plan;
        request.to_phase = row->order.to_phase;
        shard = row->order.n_shards > 0 ? row->order.shards[0] : NULL;
    }
    select_shard(&request, shard);
    ask(cluster, who, plan, &request);
}

/* Would it lose something? Then people say that they know. */
static bool signs_loss(struct cluster *cluster, unsigned plan, const struct coord_migration *m, uint32_t to)
{
    const struct zdm_step *step;
    if (!zdm_plan_undo_loses(m->plan, to, entered(m, NULL), &step) || world_chance(&cluster->world, 30))
        return false;
    approve(cluster, plan, m, ZDM_VERB_APPROVE, ZDM_APPROVE_UNDO, to);
    return true;
}

static void forward_again(struct cluster *cluster, unsigned plan, const char *shard)
{
    struct zdm_request request = {.verb = ZDM_VERB_RETRY, .forward = true};
    select_shard(&request, shard);
    ask(cluster, somebody(cluster, ZDM_ROLE_OPERATOR), plan, &request);
}

/* ---- What is wanted ---- */

static const struct sim_schema *schema_of(const struct cluster *cluster, unsigned plan, const char *shard)
{
    const struct sim_db *db = &cluster->dbs[shard[6] - '1'];
    const struct agent_journal *journal = sim_db_journal(db, cluster->plans[plan].plan->id);
    return journal != NULL ? &sim_db_truth(db, journal)->schema : NULL;
}

/* What rollbacks left on a shard that was given up is left to those who gave it up. */
static bool has_leftovers(const struct cluster *cluster, unsigned plan)
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
        if (m == NULL || !is_over(cluster, i, m) || has_leftovers(cluster, i))
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

/* Whoever is held, failed, unsure or out of it is brought back; true when something was asked. */
static bool mend(struct cluster *cluster, unsigned plan, const struct coord_migration *m)
{
    for (size_t i = 0; i < m->n_shards; i++) {
        const struct coord_shard *s = &m->shards[i];
        bool held = s->status == COORD_HELD;
        if (s->status == COORD_EXCLUDED)
            simple(cluster, plan, ZDM_VERB_INCLUDE, s->name);
        else if (goes_back(s) && s->status != COORD_UNDOING && world_chance(&cluster->world, 30))
            forward_again(cluster, plan, s->name);
        else if (s->status == COORD_FAILED && s->failed_back && world_chance(&cluster->world, 20))
            roll_back(cluster, plan, m, s->name, s->goal);
        else if (s->status == COORD_FAILED && s->failed_back && world_chance(&cluster->world, 20))
            approve(cluster, plan, m, ZDM_VERB_APPROVE, ZDM_APPROVE_UNDO, s->goal);
        else if (held || (s->status == COORD_UNDONE && m->mode != COORD_ENDED))
            simple(cluster, plan, ZDM_VERB_RESUME, s->name);
        else if (s->status == COORD_FAILED || s->status == COORD_UNSURE)
            simple(cluster, plan, ZDM_VERB_RETRY, s->name);
        else
            continue;
        return true;
    }
    if (m->mode == COORD_HALTED)
        simple(cluster, plan, ZDM_VERB_RESUME, NULL);
    return m->mode == COORD_HALTED;
}

/* The phase that a shard waits to enter for want of approvals, at the coordinator or at the agent; 0: none. */
static uint32_t wanting(const struct cluster *cluster, const struct coord_migration *m)
{
    struct coord_release out[CLUSTER_SHARDS];
    const struct coord_view *view = coord_driver_view(cluster->main.driver);
    coord_releasable(coord_driver_state(cluster->main.driver), view, m, wall(cluster), out);
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
    approve(cluster, plan, m, verb, purge ? ZDM_APPROVE_PURGE : ZDM_APPROVE_ENTER, phase);
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
            approve(cluster, plan, m, ZDM_VERB_PURGE, ZDM_APPROVE_PURGE, next->number);
        else
            simple(cluster, plan, ZDM_VERB_ADVANCE, NULL);
        return true;
    }
    return false;
}

/* Those of the leftovers that are dropped need an approval for phase 0. */
static bool clean_up(struct cluster *cluster, unsigned plan, const struct coord_migration *m)
{
    if (m->mode != COORD_ENDED || !has_leftovers(cluster, plan) || world_chance(&cluster->world, 60))
        return false;
    approve(cluster, plan, m, ZDM_VERB_PURGE, ZDM_APPROVE_PURGE, 0);
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
            approve(cluster, plan, m, ZDM_VERB_APPROVE, ZDM_APPROVE_UNDO, s->goal);
            return true;
        }
        if (s->status == COORD_EXCLUDED || (goes_back(s) && s->status != COORD_UNDOING)) {
            enum zdm_verb verb = s->status == COORD_EXCLUDED ? ZDM_VERB_INCLUDE
                                 : s->status == COORD_HELD   ? ZDM_VERB_RESUME
                                                             : ZDM_VERB_RETRY;
            simple(cluster, plan, verb, s->name);
            return true;
        }
    }
    if (under_way)
        return false;
    cluster->plans[plan].tries++;
    uint32_t to = leg(m, NULL);
    if (!signs_loss(cluster, plan, m, to))
        roll_back(cluster, plan, m, NULL, to);
    return true;
}

/* True when something was asked. */
static bool push_one(struct cluster *cluster, unsigned plan)
{
    const struct coord_migration *m = cluster_migration(cluster, plan);
    bool back = wants_back(cluster, plan);
    if (m == NULL || (!back && m->mode == COORD_ENDED && m->outcome == COORD_END_UNDONE)) {
        submit(cluster, plan);
        return true;
    }
    if (m->mode == COORD_ENDED) {
        if (back && m->outcome != COORD_END_UNDONE)
            cluster->plans[plan].back = false; /* it is too late */
        return clean_up(cluster, plan, m);
    }
    if (back)
        return go_back(cluster, plan, m);
    return mend(cluster, plan, m) || give_approvals(cluster, plan, m) || go_on(cluster, plan, m) ||
           clean_up(cluster, plan, m);
}

void mind_push(struct cluster *cluster)
{
    unsigned plan = (unsigned)(world_random(&cluster->world) % CLUSTER_PLANS);
    if (cluster->main.driver == NULL || chair(cluster) == NULL)
        return;
    if (cluster->main.fenced) {
        cluster_recover(cluster);
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
    select_shard(&request, shard);
    ask(cluster, somebody(cluster, ZDM_ROLE_OPERATOR), plan, &request);
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
    approve(cluster, plan, m,
            action == ZDM_APPROVE_PURGE && world_chance(&cluster->world, 50) ? ZDM_VERB_PURGE : ZDM_VERB_APPROVE,
            action, phase);
}

static void any_rollback(struct cluster *cluster, unsigned plan, const struct coord_migration *m, const char *shard)
{
    uint32_t to = world_chance(&cluster->world, 50)
                      ? leg(m, shard)
                      : (uint32_t)world_between(&cluster->world, 0, (int64_t)m->plan->n_phases - 1);
    if (!signs_loss(cluster, plan, m, to))
        roll_back(cluster, plan, m, shard, to);
}

void mind_meddle(struct cluster *cluster)
{
    static const char *const names[] = {"shard-1", "shard-2", "shard-3"};
    unsigned plan = (unsigned)(world_random(&cluster->world) % CLUSTER_PLANS);
    const struct coord_migration *m = cluster_migration(cluster, plan);
    const char *shard =
        world_chance(&cluster->world, 30) ? NULL : names[world_random(&cluster->world) % CLUSTER_SHARDS];
    int64_t what = world_between(&cluster->world, 1, 100);
    if (m == NULL || chair(cluster) == NULL)
        return;
    if (what <= 25)
        simple(cluster, plan, ZDM_VERB_PAUSE, shard);
    else if (what <= 40)
        simple(cluster, plan, ZDM_VERB_ADVANCE, shard);
    else if (what <= 45)
        stale_advance(cluster, plan, m, shard);
    else if (what <= 50)
        simple(cluster, plan, ZDM_VERB_THROTTLE, NULL);
    else if (what <= 68)
        any_rollback(cluster, plan, m, shard);
    else if (what <= 84)
        any_approval(cluster, plan, m);
    else if (what <= 88)
        withdraw(cluster, plan);
    else if (what <= 92)
        simple(cluster, plan, ZDM_VERB_EXCLUDE, names[world_random(&cluster->world) % CLUSTER_SHARDS]);
    else if (what <= 96)
        forward_again(cluster, plan, shard);
    else
        publish_trust(cluster);
}

void mind_sign(struct cluster *cluster)
{
    static const char *const names[] = {"shard-1", "shard-2", "shard-3"};
    struct world *world = &cluster->world;
    unsigned plan = (unsigned)(world_random(world) % CLUSTER_PLANS);
    const struct zdm_plan *of = cluster->plans[plan].plan;
    const char *shard = world_chance(world, 50) ? NULL : names[world_random(world) % CLUSTER_SHARDS];
    if (world_chance(world, 40)) {
        struct zdm_undo_order order = {.plan_hash = of->hash, .to_phase = (uint32_t)world_between(world, 0, 3)};
        order.issued_at_ms = wall(cluster);
        order.expires_at_ms = wall(cluster) + world_between(world, 1000, 60000);
        zdm_copy_text(order.migration, sizeof order.migration, of->id);
        (void)people_undo(&cluster->people, anybody(cluster), plan, &order, shard);
        return;
    }
    struct zdm_approval approval;
    const struct coord_migration like = {.plan = cluster->plans[plan].plan};
    uint32_t phase = (uint32_t)world_between(world, 0, (int64_t)of->n_phases);
    enum zdm_approval_action action = (enum zdm_approval_action)world_between(world, 1, 3);
    fill_approval(cluster, &like, action, phase, &approval);
    zdm_copy_text(approval.migration, sizeof approval.migration, of->id);
    (void)people_approve(&cluster->people, anybody(cluster), plan, &approval, shard);
}
