/*
 * liar.c - see liar.h.
 */
#include "tests/sim/liar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/session/session.h"
#include "proto/codec.h"
#include "proto/signed.h"

enum { VISITORS_MAX = 64, LIE_EVERY_MS = 400, LEASE_MS = 300000, LIE_PERCENT = 12 };

struct visitor {
    zdm_conn conn;
    struct zdm_session *session;
    unsigned shard;
};

struct liar {
    struct cluster *cluster;
    struct zdm_net net;
    struct zdm_id instance;
    uint64_t epoch, generation;
    struct visitor visitors[VISITORS_MAX];
    size_t n_visitors;
};

static struct world *world_of(struct liar *liar)
{
    return &liar->cluster->world;
}

/* ---- Visitors ---- */

static struct visitor *find(struct liar *liar, zdm_conn conn)
{
    for (size_t i = 0; i < liar->n_visitors; i++)
        if (liar->visitors[i].conn == conn)
            return &liar->visitors[i];
    return NULL;
}

static void forget(struct liar *liar, struct visitor *visitor)
{
    zdm_session_free(visitor->session);
    *visitor = liar->visitors[--liar->n_visitors];
}

static void send(struct liar *liar, struct visitor *visitor, const struct zdm_frame *frame)
{
    struct zdm_buffer plain = ZDM_BUFFER_INIT;
    struct zdm_error err = ZDM_ERROR_INIT;
    zdm_frame_encode(frame, &plain);
    uint8_t *sealed = malloc(plain.len + ZDM_SEAL_OVERHEAD);
    if (plain.failed || sealed == NULL)
        abort();
    if (zdm_session_seal(visitor->session, plain.data, plain.len, sealed, &err) == ZDM_OK)
        (void)liar->net.ops->send(liar->net.self, visitor->conn, sealed, plain.len + ZDM_SEAL_OVERHEAD);
    free(sealed);
    zdm_buffer_fini(&plain);
}

static void on_opened(void *ctx, zdm_conn conn, bool incoming, const char *peer)
{
    struct liar *liar = ctx;
    const struct world_node *node = &world_of(liar)->nodes[CLUSTER_COORDINATOR];
    (void)peer;
    if (!incoming || liar->n_visitors == VISITORS_MAX)
        return;
    struct zdm_session *session = zdm_session_listen(sim_crypto(), &node->random, &liar->cluster->coordinator_key,
                                                     &liar->cluster->people.fleet, &liar->instance);
    if (session == NULL)
        abort();
    liar->visitors[liar->n_visitors++] = (struct visitor){.conn = conn, .session = session};
}

static void on_closed(void *ctx, zdm_conn conn, const char *why)
{
    struct liar *liar = ctx;
    struct visitor *visitor = find(liar, conn);
    (void)why;
    if (visitor != NULL)
        forget(liar, visitor);
}

static bool find_agent(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    const struct liar *liar = ctx;
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++) {
        if (!zdm_id_equal(&liar->cluster->agents[i].key.id, key_id))
            continue;
        *out_public_key = liar->cluster->agents[i].key.public_key;
        return true;
    }
    return false;
}

static void greet(struct liar *liar, struct visitor *visitor, const struct zdm_id *key_id)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_WELCOME};
    while (visitor->shard < CLUSTER_SHARDS && !zdm_id_equal(&liar->cluster->agents[visitor->shard].key.id, key_id))
        visitor->shard++;
    frame.u.welcome.epoch = liar->epoch;
    frame.u.welcome.trust_version = 1;
    snprintf(frame.u.welcome.name, sizeof frame.u.welcome.name, "shard-%u", visitor->shard + 1);
    zdm_copy_text(frame.u.welcome.release, sizeof frame.u.welcome.release, "0.1.0");
    send(liar, visitor, &frame);
}

/* ---- What it is told ---- */

static void hear(struct liar *liar, struct visitor *visitor, const struct zdm_report *report)
{
    for (size_t i = 0; i < report->n_migrations; i++) {
        const struct zdm_fence *seen = &report->migrations[i].accepted;
        if (seen->epoch >= liar->epoch && !zdm_id_equal(&seen->instance, &liar->instance))
            liar->epoch = seen->epoch + 1;
    }
    struct zdm_frame frame = {.type = ZDM_FRAME_ACK};
    frame.u.ack.number = report->number;
    frame.u.ack.lease_ms = LEASE_MS;
    send(liar, visitor, &frame);
}

/* As it was submitted: a signature of somebody who has left since is no good for it. */
static void give_plan(struct liar *liar, struct visitor *visitor, const struct zdm_piece *wanted)
{
    for (unsigned i = 0; i < CLUSTER_PLANS * CLUSTER_VERSIONS; i++) {
        const struct cluster_version *plan = &liar->cluster->plans[i % CLUSTER_PLANS].versions[i / CLUSTER_PLANS];
        const struct zdm_buffer *bytes = &plan->bytes[liar->cluster->plans[i % CLUSTER_PLANS].submitter];
        if (!zdm_hash_equal(&plan->plan->hash, &wanted->hash) || wanted->offset >= bytes->len)
            continue;
        size_t left = bytes->len - wanted->offset;
        struct zdm_frame frame = {.type = ZDM_FRAME_PLAN_PIECE};
        frame.u.piece = (struct zdm_piece){.hash = wanted->hash,
                                           .total = (uint32_t)bytes->len,
                                           .offset = wanted->offset,
                                           .bytes = bytes->data + wanted->offset,
                                           .n = left < ZDM_PIECE_MAX ? left : ZDM_PIECE_MAX};
        send(liar, visitor, &frame);
        return; /* some were drawn alike */
    }
}

static void take(struct liar *liar, struct visitor *visitor, const uint8_t *bytes, size_t n)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_frame frame;
    uint8_t *plain = malloc(n);
    size_t plain_n = 0;
    if (plain == NULL)
        abort();
    if (zdm_session_open(visitor->session, bytes, n, plain, &plain_n, &err) == ZDM_OK &&
        zdm_frame_decode(plain, plain_n, &frame, &err) == ZDM_OK) {
        if (frame.type == ZDM_FRAME_REPORT)
            hear(liar, visitor, &frame.u.report);
        else if (frame.type == ZDM_FRAME_PLAN_REQUEST)
            give_plan(liar, visitor, &frame.u.piece);
        zdm_frame_fini(&frame);
    }
    free(plain);
}

static void on_frame(void *ctx, zdm_conn conn, const uint8_t *bytes, size_t n)
{
    struct liar *liar = ctx;
    struct visitor *visitor = find(liar, conn);
    struct zdm_error err = ZDM_ERROR_INIT;
    uint8_t welcome[ZDM_WELCOME_SIZE];
    struct zdm_id key_id;
    struct zdm_hash public_key;
    bool joining = false;
    if (visitor == NULL)
        return;
    enum zdm_session_state state = zdm_session_state_of(visitor->session);
    if (state == ZDM_SESSION_OPEN) {
        take(liar, visitor, bytes, n);
    } else if (state == ZDM_SESSION_NEW) {
        if (zdm_session_take_hello(visitor->session, bytes, n, welcome, &err) == ZDM_OK)
            (void)liar->net.ops->send(liar->net.self, conn, welcome, sizeof welcome);
    } else if (zdm_session_take_auth(visitor->session, bytes, n, find_agent, liar, &key_id, &public_key, &joining,
                                     &err) == ZDM_OK &&
               !joining) {
        greet(liar, visitor, &key_id);
    } else {
        liar->net.ops->close(liar->net.self, conn);
    }
}

/* ---- What it says ---- */

static void add_approvals(struct liar *liar, struct zdm_directive *directive)
{
    const struct people *people = &liar->cluster->people;
    size_t n = people->n_approvals > 0 ? world_random(world_of(liar)) % 6 : 0;
    directive->approvals = calloc(ZDM_APPROVALS_MAX, sizeof *directive->approvals);
    if (directive->approvals == NULL)
        abort();
    for (size_t i = 0; i < n; i++) {
        const struct people_approval *row = &people->approvals[world_random(world_of(liar)) % people->n_approvals];
        if (zdm_envelope_copy(&directive->approvals[directive->n_approvals], &row->envelope))
            directive->n_approvals++;
    }
}

/* One that people signed, for this or for something else; or the liar's own. */
static void add_undo_order(struct liar *liar, const struct zdm_plan *plan, struct zdm_directive *directive)
{
    const struct people *people = &liar->cluster->people;
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    directive->undo_order = calloc(1, sizeof *directive->undo_order);
    if (directive->undo_order == NULL)
        abort();
    if (people->n_undos > 0 && world_chance(world_of(liar), 70)) {
        const struct people_undo *row = &people->undos[world_random(world_of(liar)) % people->n_undos];
        (void)zdm_envelope_copy(directive->undo_order, &row->envelope);
        if (row->order.to_phase <= plan->n_phases && world_chance(world_of(liar), 70))
            directive->goal_phase = row->order.to_phase;
        return;
    }
    struct zdm_undo_order order = {.plan_hash = plan->hash, .expires_at_ms = INT64_MAX / 2};
    zdm_copy_text(order.migration, sizeof order.migration, plan->id);
    order.nonce.bytes[0] = (uint8_t)(1 + world_random(world_of(liar)) % 255);
    zdm_undo_order_encode(&order, &body);
    if (zdm_signed_make(sim_crypto(), &liar->cluster->coordinator_key, &people->fleet, ZDM_SIGNED_UNDO_ORDER, body.data,
                        body.len, directive->undo_order, &err) != ZDM_OK)
        abort();
    zdm_buffer_fini(&body);
}

/* Any version that an operator ever signed and uploaded: the liar has them all. NULL: none was. */
static const struct zdm_plan *any_version(struct liar *liar)
{
    struct world *world = world_of(liar);
    const struct cluster_plan *plan = &liar->cluster->plans[world_random(world) % CLUSTER_PLANS];
    const struct cluster_version *version = &plan->versions[world_random(world) % CLUSTER_VERSIONS];
    if (!plan->versions[0].asked)
        return NULL;
    return version->asked ? version->plan : plan->plan;
}

static void invent(struct liar *liar, const struct visitor *visitor, const struct zdm_plan *plan,
                   struct zdm_directive *out)
{
    struct world *world = world_of(liar);
    *out = (struct zdm_directive){.plan_hash = plan->hash,
                                  .actor = liar->cluster->agents[visitor->shard].key.id,
                                  .attempt = (uint32_t)(world->now_ms / 20000)};
    out->goal_phase = (uint32_t)world_between(world, 0, (int64_t)plan->n_phases);
    out->mode = world_chance(world, 50) ? ZDM_MODE_RUN : (enum zdm_mode)world_between(world, 1, 4);
    zdm_copy_text(out->migration, sizeof out->migration, plan->id);
    snprintf(out->shard, sizeof out->shard, "shard-%u", visitor->shard + 1);
    out->fence = (struct zdm_fence){.epoch = liar->epoch, .instance = liar->instance};
    out->fence.generation = ++liar->generation;
    out->fence.anchor.bytes[0] = 1;
    add_approvals(liar, out);
    if (out->mode == ZDM_MODE_UNDO)
        add_undo_order(liar, plan, out);
}

static void lie_to(struct liar *liar, struct visitor *visitor)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_directive directive;
    struct zdm_envelope envelope;
    const struct zdm_plan *plan = any_version(liar);
    if (plan == NULL)
        return;
    invent(liar, visitor, plan, &directive);
    zdm_directive_encode(&directive, &body);
    if (body.failed || zdm_signed_make(sim_crypto(), &liar->cluster->coordinator_key, &liar->cluster->people.fleet,
                                       ZDM_SIGNED_DIRECTIVE, body.data, body.len, &envelope, &err) != ZDM_OK)
        abort();
    struct zdm_frame frame = {.type = ZDM_FRAME_ORDERS};
    frame.u.envelopes.items = &envelope;
    frame.u.envelopes.n = 1;
    send(liar, visitor, &frame);
    world_tell(world_of(liar), "liar: %s %s to phase %u, %zu approvals, to %s", zdm_mode_name(directive.mode),
               directive.migration, directive.goal_phase, directive.n_approvals, directive.shard);
    zdm_envelope_fini(&envelope);
    zdm_directive_fini(&directive);
    zdm_buffer_fini(&body);
}

static void lie(void *ctx, void *payload)
{
    struct liar *liar = ctx;
    (void)payload;
    for (size_t i = 0; i < liar->n_visitors; i++)
        if (zdm_session_state_of(liar->visitors[i].session) == ZDM_SESSION_OPEN &&
            world_chance(world_of(liar), LIE_PERCENT))
            lie_to(liar, &liar->visitors[i]);
    world_after(world_of(liar), LIE_EVERY_MS, CLUSTER_COORDINATOR, lie, liar, NULL, NULL);
}

void liar_start(struct cluster *cluster)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    char url[32];
    cluster_crash_coordinator(cluster);
    cluster_stop_second(cluster);
    cluster->lying = cluster->saw[SAW_LIAR] = true;
    world_tell(&cluster->world, "a liar takes the coordinator's place");
    world_boot(&cluster->world, CLUSTER_COORDINATOR);
    struct liar *liar = calloc(1, sizeof *liar);
    if (liar == NULL)
        abort();
    cluster->liar = liar;
    *liar = (struct liar){.cluster = cluster, .epoch = 1, .generation = 1};
    liar->instance.bytes[0] = 0x11;
    struct zdm_net_upcalls upcalls = {on_opened, on_frame, on_closed, liar};
    liar->net = sim_net_attach(cluster->net, CLUSTER_COORDINATOR, &upcalls, NULL, NULL);
    if (liar->net.ops->listen(liar->net.self, "sim://0", url, sizeof url, &err) != ZDM_OK)
        abort();
    lie(liar, NULL);
}

void liar_stop(struct cluster *cluster)
{
    struct liar *liar = cluster->liar;
    if (liar == NULL)
        return;
    world_kill(&cluster->world, CLUSTER_COORDINATOR);
    sim_net_detach(cluster->net, CLUSTER_COORDINATOR);
    while (liar->n_visitors > 0)
        forget(liar, &liar->visitors[0]);
    free(liar);
    cluster->liar = NULL;
}
