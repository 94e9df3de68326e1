/*
 * mind_verbs.c - what people can do: who may, with which signature, from which chair.
 */
#include <stdlib.h>
#include <string.h>

#include "common/plan/undo.h"
#include "coordinator/core/core.h"
#include "tests/sim/mind_private.h"

enum {
    HOUR_MS = 3600 * 1000,
    SHORT_MS = 8000 /* how long an approval of somebody in a hurry is good */
};

/* ---- Who, when, and from which chair ---- */

static const struct coord_state *seen(const struct cluster *cluster)
{
    return cluster->main.driver != NULL ? coord_driver_state(cluster->main.driver) : NULL;
}

int64_t mind_wall(const struct cluster *cluster)
{
    return zdm_wall_ms(&cluster->world.nodes[CLUSTER_COORDINATOR].clock);
}

uint32_t mind_trust_version(const struct cluster *cluster)
{
    const struct coord_state *state = seen(cluster);
    return state != NULL && state->trust_version > 1 ? PEOPLE_TRUSTS : 1;
}

static enum person anybody(struct cluster *cluster)
{
    return (enum person)world_between(&cluster->world, 0, PEOPLE - 1);
}

/* Somebody with the role in the trust file in force; now and then somebody who lacks it. */
enum person mind_somebody(struct cluster *cluster, enum zdm_role role)
{
    enum person person = anybody(cluster);
    uint32_t version = mind_trust_version(cluster);
    if (cluster->meddling && world_chance(&cluster->world, 5)) {
        cluster->saw[SAW_REVOKED_PERSON] |= cluster->people.roles[version - 1][person] == 0;
        return person;
    }
    while (!people_may(&cluster->people, version, person, role))
        person = (enum person)((person + 1) % PEOPLE);
    return person;
}

struct sim_operator *mind_chair(struct cluster *cluster)
{
    for (unsigned i = 0; i < CLUSTER_SEATS; i++)
        if (!cluster->seats[i].busy)
            return &cluster->seats[i];
    return NULL;
}

/* Everybody who may act has one chair at least free when this is called. */
void mind_ask(struct cluster *cluster, enum person who, unsigned plan, struct zdm_request *request)
{
    struct sim_operator *seat = mind_chair(cluster);
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

void mind_select(struct zdm_request *request, const char *shard)
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

void mind_do(struct cluster *cluster, unsigned plan, enum zdm_verb verb, const char *shard)
{
    struct zdm_request request = {.verb = verb};
    mind_select(&request, shard);
    if (verb == ZDM_VERB_THROTTLE)
        request.throttle.batch_target_ms = (uint32_t)world_between(&cluster->world, 10, 100);
    if (verb == ZDM_VERB_EXCLUDE)
        zdm_copy_text(request.reason, sizeof request.reason, "decommissioned");
    mind_ask(cluster, mind_somebody(cluster, zdm_verb_role(verb)), plan, &request);
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
                                 .trust_version = mind_trust_version(cluster),
                                 .issued_at_ms = mind_wall(cluster),
                                 .expires_at_ms = mind_wall(cluster) + (hurried ? SHORT_MS : HOUR_MS)};
    zdm_copy_text(out->migration, sizeof out->migration, m->id);
    if (of != NULL)
        out->phase_digest = of->digest;
}

void mind_approve(struct cluster *cluster, unsigned plan, const struct coord_migration *m, enum zdm_verb verb,
                  enum zdm_approval_action action, uint32_t phase)
{
    static const char *const names[] = {"shard-1", "shard-2", "shard-3"};
    struct zdm_request request = {.verb = verb};
    struct zdm_approval approval;
    bool one = cluster->meddling && world_chance(&cluster->world, 20);
    const char *shard = one ? names[world_random(&cluster->world) % CLUSTER_SHARDS] : NULL;
    enum person who = mind_somebody(cluster, ZDM_ROLE_APPROVER);
    fill_approval(cluster, m, action, phase, &approval);
    const struct people_approval *row = people_approve(&cluster->people, who, plan, &approval, shard);
    if (row == NULL || !zdm_envelope_copy(&request.payload, &row->envelope))
        return;
    mind_select(&request, shard);
    mind_ask(cluster, who, plan, &request);
}

void mind_withdraw(struct cluster *cluster, unsigned plan)
{
    struct zdm_request request = {.verb = ZDM_VERB_REVOKE_APPROVAL};
    const struct people *people = &cluster->people;
    if (people->n_approvals == 0)
        return;
    const struct people_approval *row = &people->approvals[world_random(&cluster->world) % people->n_approvals];
    if (row->plan != plan)
        return;
    request.target = row->approval.nonce;
    mind_ask(cluster, mind_somebody(cluster, ZDM_ROLE_APPROVER), plan, &request);
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

static uint32_t switched(const struct coord_migration *m)
{
    uint32_t highest = 0;
    for (size_t i = 0; i < m->n_shards; i++)
        if (m->shards[i].switched > highest)
            highest = m->shards[i].switched;
    return highest;
}

/* As far back as the reverse barrier lets one command go. */
uint32_t mind_leg(const struct coord_migration *m, const char *shard)
{
    uint32_t high = entered(m, shard), g = 0;
    for (uint32_t p = 1; p < high; p++)
        if (zdm_plan_phase(m->plan, p)->class == ZDM_PHASE_SWITCH)
            g = p;
    return g;
}

uint32_t mind_switch(const struct coord_migration *m, const char *shard)
{
    return zdm_plan_switch_between(m->plan, 0, entered(m, shard));
}

void mind_roll_back(struct cluster *cluster, unsigned plan, const struct coord_migration *m, const char *shard,
                    uint32_t to)
{
    struct zdm_request request = {.verb = ZDM_VERB_ROLLBACK, .to_phase = to, .flags_off = true};
    struct people *people = &cluster->people;
    struct zdm_undo_order order = {.plan_hash = m->plan->hash,
                                   .to_phase = to,
                                   .issued_at_ms = mind_wall(cluster),
                                   .expires_at_ms = mind_wall(cluster) + 24 * HOUR_MS};
    enum person who = mind_somebody(cluster, ZDM_ROLE_OPERATOR);
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
    mind_select(&request, shard);
    mind_ask(cluster, who, plan, &request);
}

/* Would it lose something? Then people say that they know. */
bool mind_signs_loss(struct cluster *cluster, unsigned plan, const struct coord_migration *m, uint32_t to)
{
    const struct zdm_step *step;
    if (!zdm_plan_undo_loses(m->plan, ZDM_ENGINE_POSTGRESQL, to, entered(m, NULL), switched(m), &step) ||
        world_chance(&cluster->world, 30))
        return false;
    mind_approve(cluster, plan, m, ZDM_VERB_APPROVE, ZDM_APPROVE_UNDO, to);
    return true;
}

void mind_forward_again(struct cluster *cluster, unsigned plan, const char *shard)
{
    struct zdm_request request = {.verb = ZDM_VERB_RETRY, .forward = true};
    mind_select(&request, shard);
    mind_ask(cluster, mind_somebody(cluster, ZDM_ROLE_OPERATOR), plan, &request);
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
        order.issued_at_ms = mind_wall(cluster);
        order.expires_at_ms = mind_wall(cluster) + world_between(world, 1000, 60000);
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
