/*
 * cluster_wire.c - an eavesdropper between coordinator and agents, and what follows from what it heard.
 *
 * The sealing of the simulated world hides nothing, so that every frame can be read where it is sent and where it
 * arrives. What is heard is the promise, and what the agents ask of their databases has to keep it: nothing is ordered
 * that the log does not hold, nothing begun after a stop has arrived, nothing without a lease.
 */
#include "tests/sim/cluster_private.h"
#include "tests/sim/oracle.h"

#include <string.h>

#include "proto/codec.h"
#include "proto/signed.h"

enum { LEASE_TOLERANCE_MS = 200 /* clocks drift apart */ };

static struct cluster_agent *agent_at(struct cluster *cluster, int node)
{
    for (unsigned i = 0; i < CLUSTER_AGENTS; i++)
        if (cluster->agents[i].node == node)
            return &cluster->agents[i];
    return NULL;
}

/* The frame in a sealed message; false for those of the handshake. */
static bool overhear(const uint8_t *bytes, size_t n, struct zdm_frame *out)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    return n > ZDM_SEAL_OVERHEAD && zdm_frame_decode(bytes, n - ZDM_SEAL_OVERHEAD, out, &err) == ZDM_OK;
}

static bool read_order(const struct zdm_envelope *envelope, struct zdm_directive *out)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    size_t n = 0;
    const uint8_t *body = zdm_signed_body(envelope, &n);
    return body != NULL && zdm_directive_decode(body, n, out, &err) == ZDM_OK;
}

/* ---- What the coordinator says has to be in its log ---- */

static void check_order(struct cluster *cluster, const struct cluster_coordinator *c,
                        const struct zdm_directive *directive)
{
    struct zdm_hash hash;
    const struct zdm_hash *there = sim_store_hash_at(&c->disk, directive->fence.generation, &hash);
    unsigned plan = cluster_plan_of(cluster, directive->migration);
    if (there == NULL || !zdm_hash_equal(there, &directive->fence.anchor))
        cluster_fail(cluster, "an order of %s for %s went out whose generation %llu is not in the log",
                     directive->migration, directive->shard, (unsigned long long)directive->fence.generation);
    const struct cluster_version *version =
        plan < CLUSTER_PLANS ? cluster_version_of(cluster, plan, &directive->plan_hash) : NULL;
    if (version == NULL || !version->asked)
        cluster_fail(cluster, "an order went out for a plan that nobody submitted");
}

/* "Done" without a position in the log: only for what was so already. */
static void check_done(struct cluster *cluster, const struct sim_operator *person, const struct zdm_frame *frame)
{
    const struct zdm_request *request = &person->request;
    if (frame->u.answer.code != ZDM_OK || frame->u.answer.seq != 0 || !person->busy ||
        !zdm_id_equal(&frame->u.answer.request_id, &request->request_id))
        return;
    unsigned plan = cluster_plan_of(cluster, request->migration);
    bool there = plan < CLUSTER_PLANS && cluster_migration(cluster, plan) != NULL;
    bool can_be = request->verb == ZDM_VERB_SUBMIT || request->verb == ZDM_VERB_PAUSE ||
                  request->verb == ZDM_VERB_REVOKE_APPROVAL;
    if (request->verb != ZDM_VERB_TRUST && !(there && can_be))
        cluster_fail(cluster, "%s was answered as done, and the log does not know of it", zdm_verb_name(request->verb));
}

static void coordinator_says(struct cluster *cluster, const struct cluster_coordinator *c,
                             const struct zdm_frame *frame)
{
    struct zdm_directive directive;
    for (size_t i = 0; frame->type == ZDM_FRAME_ANSWER && i < CLUSTER_SEATS; i++)
        check_done(cluster, &cluster->seats[i], frame);
    if (frame->type == ZDM_FRAME_ANSWER && frame->u.answer.code == ZDM_OK &&
        frame->u.answer.seq > sim_store_head(&c->disk))
        cluster_fail(cluster, "a request was answered before it was in the log");
    if (c->fenced && (frame->type == ZDM_FRAME_ORDERS || frame->type == ZDM_FRAME_ACK))
        cluster_fail(cluster, "a fenced coordinator gave an order or a lease");
    for (size_t i = 0; frame->type == ZDM_FRAME_ORDERS && i < frame->u.envelopes.n; i++) {
        if (!read_order(&frame->u.envelopes.items[i], &directive))
            continue;
        check_order(cluster, c, &directive);
        zdm_directive_fini(&directive);
    }
}

/* ---- What an agent says ---- */

/* Invariant 9: who says that it went back to a phase has the schema as it was when that phase was first proven. */
static void check_undone(struct cluster *cluster, const struct cluster_agent *agent, const struct zdm_report *report,
                         const struct zdm_migration_report *mr)
{
    const struct agent_journal *journal = sim_db_journal(agent->db, mr->migration);
    char identity[sizeof report->identity];
    sim_db_identity(agent->db, identity);
    /* It may not have noticed yet that the database was restored. */
    if (strcmp(identity, report->identity) != 0 || !mr->undone || journal == NULL ||
        !zdm_fence_equal(&journal->accepted, &mr->accepted))
        return;
    if (mr->proven_phase > SIM_PHASES_MAX || zdm_id_is_zero(&journal->undo_nonce) ||
        !sim_schema_is_as_at(&sim_db_truth(agent->db, journal)->schema, mr->proven_phase))
        cluster_fail(cluster, "agent %d says that %s is back at phase %u, and its schema is another one", agent->node,
                     mr->migration, mr->proven_phase);
}

static void agent_says(struct cluster *cluster, int node, const struct zdm_frame *frame)
{
    struct cluster_ear *ear = &cluster->ears[node];
    if (frame->type == ZDM_FRAME_PLAN_REQUEST && frame->u.piece.offset > 0)
        cluster->saw[SAW_PLAN_IN_PIECES] = true;
    if (frame->type != ZDM_FRAME_REPORT)
        return;
    const struct zdm_report *report = &frame->u.report;
    ear->sent[report->number % CLUSTER_SENT].number = report->number;
    ear->sent[report->number % CLUSTER_SENT].at_ms = cluster->world.now_ms;
    for (size_t i = 0; i < report->n_migrations; i++) {
        const struct zdm_migration_report *mr = &report->migrations[i];
        bool one = !cluster->saw[SAW_SECOND] && !cluster->forgot && !cluster->lying;
        if (mr->equivocation && one)
            cluster_fail(cluster, "agent %d saw two orders of one generation", node);
        cluster->saw[SAW_AGENT_WANTS_APPROVALS] |= mr->wait == ZDM_WAIT_APPROVALS;
        cluster->saw[SAW_LIE_REFUSED] |= cluster->lying && mr->error_code == ZDM_REFUSED;
        check_undone(cluster, agent_at(cluster, node), report, mr);
        cluster->saw[SAW_PAUSED_MID_BACKFILL] |= mr->state == ZDM_AGENT_PAUSED && mr->progress.rows_done > 0 &&
                                                 mr->progress.rows_done < mr->progress.rows_total;
    }
}

/* A counter that is used twice under one key gives the key away. Only the handshake's first message is not sealed. */
static void check_counter(struct cluster *cluster, uint64_t nth, const uint8_t *bytes, size_t n)
{
    uint64_t counter;
    if (nth == 0 || n < ZDM_SEAL_OVERHEAD)
        return;
    memcpy(&counter, bytes + n - ZDM_SEAL_OVERHEAD, sizeof counter);
    if (counter != nth - 1)
        cluster_fail(cluster, "frame %llu of a session was sealed with the counter %llu", (unsigned long long)nth,
                     (unsigned long long)counter);
}

static void on_sent(void *ctx, int from, int to, uint64_t nth, const uint8_t *bytes, size_t n)
{
    struct cluster *cluster = ctx;
    struct zdm_frame frame;
    (void)to;
    check_counter(cluster, nth, bytes, n);
    if (nth == 0 || !overhear(bytes, n, &frame))
        return;
    if (from == CLUSTER_COORDINATOR && !cluster->lying)
        coordinator_says(cluster, &cluster->main, &frame);
    else if (from == CLUSTER_SECOND)
        coordinator_says(cluster, &cluster->second, &frame);
    else if (agent_at(cluster, from) != NULL)
        agent_says(cluster, from, &frame);
    zdm_frame_fini(&frame);
}

/* ---- What an agent hears ---- */

static void hear_ack(struct cluster_ear *ear, const struct zdm_frame *frame)
{
    size_t place = frame->u.ack.number % CLUSTER_SENT;
    if (ear->sent[place].number != frame->u.ack.number)
        return;
    if (ear->sent[place].at_ms > ear->acked_ms)
        ear->acked_ms = ear->sent[place].at_ms;
    int64_t until = ear->sent[place].at_ms + (int64_t)frame->u.ack.lease_ms;
    if (until > ear->leased_until_ms)
        ear->leased_until_ms = until;
}

static void hear_order(struct cluster *cluster, int to, int from, const struct zdm_envelope *envelope)
{
    struct cluster_ear *ear = &cluster->ears[to];
    uint64_t boots = sim_engine_boots(&agent_at(cluster, to)->engine);
    struct zdm_directive directive;
    if (!read_order(envelope, &directive))
        return;
    unsigned plan = cluster_plan_of(cluster, directive.migration);
    if (plan < CLUSTER_PLANS)
        ear->told[plan] = true;
    if (plan < CLUSTER_PLANS) {
        struct cluster_stop *stop = directive.mode == ZDM_MODE_RUN ? &ear->runs[plan] : &ear->stops[plan];
        if (zdm_fence_compare(&directive.fence, &stop->fence) > 0)
            *stop = (struct cluster_stop){directive.fence, directive.mode, from, boots};
    }
    zdm_directive_fini(&directive);
}

static void on_arrival(void *ctx, int from, int to, const uint8_t *bytes, size_t n)
{
    struct cluster *cluster = ctx;
    struct zdm_frame frame;
    if ((from != CLUSTER_COORDINATOR && from != CLUSTER_SECOND) || agent_at(cluster, to) == NULL ||
        !overhear(bytes, n, &frame))
        return;
    if (frame.type == ZDM_FRAME_ACK)
        hear_ack(&cluster->ears[to], &frame);
    for (size_t i = 0; frame.type == ZDM_FRAME_ORDERS && i < frame.u.envelopes.n; i++)
        hear_order(cluster, to, from, &frame.u.envelopes.items[i]);
    zdm_frame_fini(&frame);
}

void cluster_listen(struct cluster *cluster)
{
    const struct sim_net_tap tap = {.sent = on_sent, .arrives = on_arrival, .ctx = cluster};
    sim_net_tap(cluster->net, &tap);
}

/* ---- What an agent does ---- */

/* Who has stopped stays so, also as another process, until a retry gives a new order. Of two processes with one key the
 * other may not know yet. */
static void check_stopped(struct cluster *cluster, unsigned plan, const struct cluster_agent *agent,
                          const struct agent_op *op)
{
    const struct coord_migration *m = cluster_migration(cluster, plan);
    long i = m != NULL ? coord_find_shard(m, agent_driver_shard(agent->driver)) : -1;
    if (i >= 0 && m->shards[i].status == COORD_FAILED && m->shards[i].generation == op->fence.generation &&
        !cluster->doubled[agent->shard] && !cluster->restored[agent->shard])
        cluster_fail(cluster, "agent %d began %s after it had failed", agent->node, agent_run_name(op->run));
}

/* Whose signature the shard has the plan with: that one does not let in what it submitted. */
static enum person submitter_of(const struct cluster *cluster, unsigned plan, const struct cluster_agent *agent,
                                const struct agent_op *op)
{
    const struct zdm_envelope *stored = sim_db_plan(&cluster->dbs[agent->shard], &op->plan->hash);
    struct zdm_id signer;
    return stored != NULL && zdm_signed_claims(stored, &signer) ? people_find(&cluster->people, &signer)
                                                                : cluster->plans[plan].submitter;
}

/* Invariant 3, before anything is destroyed: people signed it, and a coordinator was heard a moment ago. */
static void check_signed(struct cluster *cluster, unsigned plan, const struct cluster_agent *agent,
                         const struct agent_op *op)
{
    enum { FRESH_MS = 30000 };
    const struct oracle_agent who = {.shard = agent_driver_shard(agent->driver),
                                     .trust_version = agent_driver_trust_version(agent->driver),
                                     .wall_ms = zdm_wall_ms(&cluster->world.nodes[agent->node].clock),
                                     .plan = plan,
                                     .submitter = op->plan != NULL ? submitter_of(cluster, plan, agent, op)
                                                                   : cluster->plans[plan].submitter};
    const char *wrong = oracle_judge(&cluster->people, &who, op);
    if (op->run == AGENT_RUN_UNDO_BEGIN)
        cluster->begun[cluster->n_begun++ % CLUSTER_BEGUN] =
            (struct cluster_begun){op->undo_nonce, oracle_signed_away(&cluster->people, &who, op)};
    if (wrong != NULL)
        cluster_fail(cluster, "agent %d: %s", agent->node, wrong);
    bool purges = op->run == AGENT_RUN_PURGE || op->run == AGENT_RUN_PURGE_LEFTOVERS;
    if (purges && cluster->world.now_ms > cluster->ears[agent->node].acked_ms + FRESH_MS + LEASE_TOLERANCE_MS)
        cluster_fail(cluster, "agent %d purged, and had not heard a coordinator for long", agent->node);
}

/* As it was when the agent began it, whoever of two with one key is the quicker. */
bool cluster_may_lose(void *ctx, const struct sim_db *db, const struct agent_op *op)
{
    const struct cluster *cluster = ctx;
    bool may = false;
    (void)db;
    for (unsigned i = 0; i < CLUSTER_BEGUN; i++)
        may = may || (zdm_id_equal(&cluster->begun[i].nonce, &op->undo_nonce) && cluster->begun[i].signed_away);
    return may;
}

/* What a coordinator from the past said before it noticed is over with it, when nobody has accepted it, or when the
 * agent's database has started anew since, or was put back: then the agent asks, and whoever lives answers. Of two with
 * one epoch it keeps to the one whose order it holds. */
static bool is_newer(const struct cluster *cluster, const struct cluster_agent *agent, const struct cluster_stop *order,
                     const struct zdm_fence *fence)
{
    bool asked = order->boots != sim_engine_boots(&agent->engine);
    bool over = order->from == CLUSTER_SECOND && (cluster->saw[SAW_SECOND_FENCED] || asked);
    bool other = order->fence.epoch == fence->epoch && !zdm_id_equal(&order->fence.instance, &fence->instance);
    return !over && !other && zdm_fence_compare(fence, &order->fence) < 0;
}

/* An order that takes away the right to go on acts when it arrives. One to go back further takes nothing from who goes
 * back. */
static void check_held(struct cluster *cluster, unsigned plan, const struct cluster_agent *agent,
                       const struct agent_op *op)
{
    const struct cluster_ear *ear = &cluster->ears[agent->node];
    struct agent_core_look look;
    if (!agent_core_look(agent_driver_core(agent->driver), op->migration, &look))
        return;
    bool stopped = is_newer(cluster, agent, &ear->stops[plan], &op->fence) && ear->stops[plan].mode != look.mode;
    bool turned = is_newer(cluster, agent, &ear->runs[plan], &op->fence) && look.mode != ZDM_MODE_RUN;
    if (stopped || turned)
        cluster_fail(cluster, "agent %d began %s after a stop had arrived", agent->node, agent_run_name(op->run));
}

void cluster_starts(void *ctx, int node, const struct agent_op *op)
{
    struct cluster *cluster = ctx;
    const struct cluster_ear *ear = &cluster->ears[node];
    /* To journal that it stopped is always allowed. */
    if (op->kind != AGENT_OP_RUN || op->run == AGENT_RUN_STOP)
        return;
    if (cluster->world.now_ms > ear->leased_until_ms + LEASE_TOLERANCE_MS)
        cluster_fail(cluster, "agent %d began %s without a lease", node, agent_run_name(op->run));
    unsigned plan = cluster_plan_of(cluster, op->migration);
    const struct cluster_agent *agent = agent_at(cluster, node);
    if (plan < CLUSTER_PLANS && !ear->told[plan])
        cluster_fail(cluster, "agent %d began %s before anybody told it to", node, agent_run_name(op->run));
    if (plan < CLUSTER_PLANS && agent->driver != NULL)
        check_signed(cluster, plan, agent, op);
    if (plan < CLUSTER_PLANS && agent->driver != NULL && !cluster->lying && !cluster->forgot)
        check_stopped(cluster, plan, agent, op);
    if (plan < CLUSTER_PLANS && agent->driver != NULL)
        check_held(cluster, plan, agent, op);
}
