/*
 * mind_submit.c - plans that people submit, sign anew and amend, and the trust file in which somebody who submitted one
 * is no operator any more.
 */
#include "common/plan/trust.h"
#include "coordinator/core/core.h"
#include "proto/signed.h"
#include "tests/sim/mind_private.h"

/* ---- Who ---- */

static bool is_operator(const struct cluster *cluster, uint32_t version, const struct zdm_id *key_id)
{
    enum person person = people_find(&cluster->people, key_id);
    return person != PEOPLE && people_may(&cluster->people, version, person, ZDM_ROLE_OPERATOR);
}

static enum person submitter(const struct cluster *cluster, unsigned plan)
{
    enum person first = cluster->plans[plan].submitter;
    return people_may(&cluster->people, mind_trust_version(cluster), first, ZDM_ROLE_OPERATOR) ? first : ANN;
}

bool mind_signer_left(const struct cluster *cluster, const struct coord_migration *m)
{
    struct zdm_id signer = coord_plan_signer(m);
    return !is_operator(cluster, mind_trust_version(cluster), &signer);
}

static bool is_asked_for(const struct cluster *cluster, enum zdm_verb verb)
{
    for (unsigned i = 0; i < CLUSTER_SEATS; i++)
        if (cluster->seats[i].busy && cluster->seats[i].request.verb == verb)
            return true;
    return false;
}

/* Every shard stands under the plan in force, with a signature that holds under that trust file, if it was ever ordered
 * anything. One that does not would take no other plan: its agent has no plan that anybody answers for to judge it by.
 */
static bool all_stand_under_it(const struct cluster *cluster, unsigned plan, uint32_t version)
{
    const struct coord_migration *m = cluster_migration(cluster, plan);
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++) {
        const struct agent_journal *journal = sim_db_journal(&cluster->dbs[i], cluster->plans[plan].plan->id);
        const struct zdm_envelope *stored = journal != NULL ? sim_db_plan(&cluster->dbs[i], &journal->plan_hash) : NULL;
        struct zdm_id signer;
        if (stored == NULL)
            continue;
        bool same = m != NULL && zdm_hash_equal(&journal->plan_hash, &m->plan->hash);
        if (!same || !zdm_signed_claims(stored, &signer) || !is_operator(cluster, version, &signer))
            return false;
    }
    return true;
}

/* ---- Plans ---- */

static void upload(struct cluster *cluster, unsigned plan, size_t version, bool amend)
{
    struct zdm_request request = {.verb = ZDM_VERB_SUBMIT, .amend = amend};
    const struct cluster_version *of = &cluster->plans[plan].versions[version];
    enum person who = submitter(cluster, plan);
    struct sim_operator *seat = mind_chair(cluster);
    if (seat == NULL)
        return;
    for (unsigned i = 0; i < CLUSTER_VERSIONS; i++) /* some were drawn alike */
        cluster->plans[plan].versions[i].asked |=
            zdm_hash_equal(&cluster->plans[plan].versions[i].plan->hash, &of->plan->hash);
    request.plan_hash = of->plan->hash;
    seat->uploads[0] = (struct operator_upload){of->bytes[who].data, of->bytes[who].len};
    seat->uploads[1] = (struct operator_upload){of->notes.data, of->notes.len};
    mind_ask(cluster, who, plan, &request);
}

void mind_submit(struct cluster *cluster, unsigned plan)
{
    const struct coord_migration *m = cluster_migration(cluster, plan);
    const struct cluster_version *before = m != NULL ? cluster_version_of(cluster, plan, &m->plan->hash) : NULL;
    size_t version = before != NULL ? (size_t)(before - cluster->plans[plan].versions) : 0;
    upload(cluster, plan, version, false); /* rolled back everywhere: the same again */
}

/* Nobody amends over a shard that has not taken the signature which holds. That the plan in force has none they may
 * overlook: the coordinator says so. */
void mind_amend(struct cluster *cluster, unsigned plan)
{
    const struct coord_migration *m = cluster_migration(cluster, plan);
    bool leaving = cluster->plans[plan].submitter == EVE && is_asked_for(cluster, ZDM_VERB_TRUST);
    uint32_t version = mind_trust_version(cluster);
    if (leaving || (version > 1 && !mind_signer_left(cluster, m) && !all_stand_under_it(cluster, plan, version)))
        return;
    upload(cluster, plan, (size_t)world_between(&cluster->world, 0, CLUSTER_VERSIONS - 1), true);
}

/* ---- The trust file ---- */

/* Somebody leaves when what they submitted is what every shard stands under, and what has ended is cleaned up: nobody
 * signs that anew. */
static bool may_leave(const struct cluster *cluster, unsigned plan)
{
    const struct coord_migration *m = cluster_migration(cluster, plan);
    bool ended = m != NULL && m->mode == COORD_ENDED;
    return !is_asked_for(cluster, ZDM_VERB_SUBMIT) && all_stand_under_it(cluster, plan, 1) &&
           !(ended && mind_has_leftovers(cluster, plan));
}

static bool eve_may_leave(const struct cluster *cluster)
{
    for (unsigned plan = 0; plan < CLUSTER_PLANS; plan++)
        if (cluster->plans[plan].submitter == EVE && !may_leave(cluster, plan))
            return false;
    return true;
}

void mind_publish_trust(struct cluster *cluster)
{
    struct zdm_request request = {.verb = ZDM_VERB_TRUST};
    struct sim_operator *seat = mind_chair(cluster);
    if (seat == NULL || !eve_may_leave(cluster))
        return;
    request.plan_hash = cluster->people.trust_digests[1];
    seat->uploads[0] = (struct operator_upload){cluster->people.trusts[1].data, cluster->people.trusts[1].len};
    seat->uploads[1] = (struct operator_upload){NULL, 0};
    mind_ask(cluster, BOB, 0, &request);
}
