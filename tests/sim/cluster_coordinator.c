/*
 * cluster_coordinator.c - the coordinators of a cluster: their life and death, copies of their log, recovery.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/core/core.h"
#include "coordinator/log/event_codec.h"
#include "tests/sim/cluster_private.h"

enum { RECOVER_WAIT_MS = 20000 };

static void must(enum zdm_code code, const struct zdm_error *err)
{
    if (code == ZDM_OK)
        return;
    fprintf(stderr, "simulator: %s\n", err->message);
    abort();
}

static void stop(struct cluster_coordinator *c);

/* ---- Turns ---- */

struct turn {
    uint64_t number;
};

static void take_turn(void *ctx, void *payload);

static void schedule(struct cluster_coordinator *c, int64_t delay_ms)
{
    struct turn *turn = malloc(sizeof *turn);
    if (turn == NULL)
        abort();
    turn->number = ++c->turns;
    world_after(&c->cluster->world, delay_ms, c->node, take_turn, c, turn, free);
}

static void take_turn(void *ctx, void *payload)
{
    struct cluster_coordinator *c = ctx;
    struct turn *turn = payload;
    struct zdm_error err = ZDM_ERROR_INIT;
    bool newest = turn->number == c->turns;
    free(turn);
    if (!newest || c->driver == NULL)
        return;
    int64_t wake = coord_driver_turn(c->driver);
    /* What it decided last did not get into the log: nobody was told, and it goes with the process. */
    if (coord_driver_ended(c->driver, &err)) {
        world_tell(&c->cluster->world, "coordinator ends: %s", err.message);
        stop(c);
        return;
    }
    cluster_check_coordinator(c->cluster, c);
    int64_t now = zdm_boot_ms(&c->cluster->world.nodes[c->node].clock);
    schedule(c, wake - now < 60000 ? wake - now : 60000);
}

static void after_upcall(void *ctx)
{
    schedule(ctx, 0);
}

/* ---- Life and death ---- */

static void tell_notice(void *ctx, const struct coord_notice *notice)
{
    struct cluster_coordinator *c = ctx;
    world_tell(&c->cluster->world, "coordinator at %d: %s %s %s", c->node, notice->message,
               notice->shard != NULL ? notice->shard : "", notice->reason != NULL ? notice->reason : "");
}

static enum zdm_code keep_trust(void *ctx, const void *bytes, size_t n, struct zdm_error *err)
{
    struct cluster_coordinator *c = ctx;
    (void)err;
    c->trust.len = 0;
    zdm_buffer_append(&c->trust, bytes, n);
    return ZDM_OK;
}

static bool disk_is_well(const struct cluster_coordinator *c)
{
    return c->disk.unknown_percent + c->disk.broken_percent == 0 && c->disk.full_until_ms == 0;
}

static struct coord_driver *new_driver(struct cluster_coordinator *c)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct world_node *node = &c->cluster->world.nodes[c->node];
    struct coord_driver *driver = NULL;
    struct coord_driver_config config = {.clock = &node->clock,
                                         .random = &node->random,
                                         .crypto = sim_crypto(),
                                         .key = &c->cluster->coordinator_key,
                                         .trust = c->trust.data,
                                         .trust_n = c->trust.len,
                                         .store = c->store,
                                         .release = "0.1.0",
                                         .host = "sim",
                                         .keep_trust = keep_trust,
                                         .notice = tell_notice,
                                         .ctx = c};
    must(coord_driver_new(&config, &driver, &err), &err);
    return driver;
}

static bool start(struct cluster_coordinator *c)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    char url[32];
    world_boot(&c->cluster->world, c->node);
    c->driver = new_driver(c);
    c->fenced = false;
    struct zdm_net_upcalls upcalls = coord_driver_upcalls(c->driver);
    struct zdm_net net = sim_net_attach(c->cluster->net, c->node, &upcalls, after_upcall, c);
    if (coord_driver_start(c->driver, net, &err) != ZDM_OK) {
        world_tell(&c->cluster->world, "coordinator does not start: %s", err.message);
        if (disk_is_well(c))
            cluster_fail(c->cluster, "the coordinator does not start: %s", err.message);
        stop(c);
        return false;
    }
    must(net.ops->listen(net.self, c->url, url, sizeof url, &err), &err);
    world_tell(&c->cluster->world, "coordinator at %d starts, epoch %llu", c->node,
               (unsigned long long)coord_driver_state(c->driver)->epoch);
    schedule(c, 0);
    return true;
}

static void stop(struct cluster_coordinator *c)
{
    if (c->driver == NULL)
        return;
    world_tell(&c->cluster->world, "coordinator at %d dies", c->node);
    world_kill(&c->cluster->world, c->node);
    sim_net_detach(c->cluster->net, c->node);
    coord_driver_free(c->driver);
    c->driver = NULL;
    c->cluster->crashes++;
}

void cluster_start_coordinator(struct cluster *cluster)
{
    if (cluster->main.driver != NULL || cluster->lying || !start(&cluster->main))
        return;
    cluster->restarts++;
    cluster_check_promises(cluster);
}

void cluster_crash_coordinator(struct cluster *cluster)
{
    stop(&cluster->main);
}

void cluster_start_second(struct cluster *cluster)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct cluster_coordinator *second = &cluster->second;
    if (second->driver != NULL || cluster->lying)
        return;
    if (second->disk.world != NULL)
        sim_store_close(&second->disk);
    second->store = sim_store_open(&second->disk, &cluster->world);
    second->disk.memory.ops->close(second->disk.memory.self);
    if (store_memory_copy(&cluster->main.disk.memory, &second->disk.memory, &err) != STORE_OK)
        abort();
    keep_trust(second, cluster->main.trust.data, cluster->main.trust.len, &err);
    cluster->saw[SAW_SECOND] |= start(second);
}

void cluster_stop_second(struct cluster *cluster)
{
    stop(&cluster->second);
}

/* ---- Copies of the log ---- */

void cluster_copy_log(struct cluster *cluster)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    if (cluster->has_copy)
        cluster->copy.ops->close(cluster->copy.self);
    cluster->has_copy = store_memory_copy(&cluster->main.disk.memory, &cluster->copy, &err) == STORE_OK;
    cluster->copy_head = sim_store_head(&cluster->main.disk);
}

void cluster_restore_log(struct cluster *cluster, bool backup)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct store old = cluster->main.disk.memory, copy;
    enum store_result result =
        backup ? store_memory_backup(&cluster->copy, &copy, &err) : store_memory_copy(&cluster->copy, &copy, &err);
    if (result != STORE_OK)
        abort();
    world_tell(&cluster->world, "the log is put back from %llu to %llu%s",
               (unsigned long long)sim_store_head(&cluster->main.disk), (unsigned long long)cluster->copy_head,
               backup ? ", as a backup" : "");
    cluster->main.disk.memory = copy;
    old.ops->close(old.self);
    cluster->forgot = true;
    memset(cluster->last, 0, sizeof cluster->last);
    /* What was acknowledged after the copy is lost, and its people know. */
    for (size_t i = 0; i < CLUSTER_SEATS; i++)
        operator_forget(&cluster->seats[i], cluster->copy_head);
}

/* ---- Recovery ---- */

void cluster_append_event(struct cluster_coordinator *c, struct coord_event *event)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct store_head head;
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    struct store memory = c->disk.memory; /* without faults */
    if (memory.ops->head(memory.self, &head, &err) != STORE_OK)
        abort();
    event->seq = head.seq + 1;
    event->epoch = head.epoch;
    event->prev_hash = head.hash;
    coord_event_encode(sim_crypto(), event, &bytes);
    struct store_record record = {
        .seq = event->seq, .prev_hash = event->prev_hash, .hash = event->hash, .bytes = bytes.data, .n = bytes.len};
    if (bytes.failed || memory.ops->append(memory.self, head.epoch, &record, 1, &err) != STORE_OK)
        abort();
    zdm_buffer_fini(&bytes);
}

/* The operator's signed word, as the command makes it: it is never sent over a session. */
static void sign_recover(struct cluster *cluster, struct zdm_request *request, struct zdm_envelope *out)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    const struct world_node *node = &cluster->world.nodes[CLUSTER_COORDINATOR];
    *request = (struct zdm_request){.verb = ZDM_VERB_RECOVER};
    zdm_random_fill(&node->random, request->request_id.bytes, sizeof request->request_id.bytes);
    zdm_request_encode(request, &body);
    must(zdm_signed_make(sim_crypto(), &cluster->people.keys[BOB], &cluster->people.fleet, ZDM_SIGNED_REQUEST,
                         body.data, body.len, out, &err),
         &err);
    zdm_buffer_fini(&body);
}

static bool write_recovery(struct cluster *cluster, struct coord_output *out)
{
    bool recovered = false;
    for (size_t i = 0; i < out->n_events; i++)
        recovered = recovered || out->events[i].type == COORD_EVENT_RECOVERED;
    for (size_t i = 0; i < out->n_events && recovered; i++) {
        out->events[i].at_ms = zdm_wall_ms(&cluster->world.nodes[CLUSTER_COORDINATOR].clock);
        cluster_append_event(&cluster->main, &out->events[i]);
    }
    return recovered;
}

static bool all_heard(const struct cluster *cluster)
{
    const struct coord_view *view = coord_driver_view(cluster->main.driver);
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++) {
        const struct coord_heard *heard = coord_view_find(view, &cluster->agents[i].key.id);
        if (heard == NULL || !heard->journal)
            return false;
    }
    return true;
}

bool cluster_recover(struct cluster *cluster)
{
    struct cluster_coordinator *c = &cluster->main;
    struct coord_output out;
    struct zdm_request request;
    struct zdm_envelope envelope;
    bool over = cluster->world.now_ms > c->fenced_at_ms + RECOVER_WAIT_MS;
    if (c->driver == NULL || !c->fenced || !(over || all_heard(cluster)))
        return false;
    sign_recover(cluster, &request, &envelope);
    struct coord_input input = {.kind = COORD_IN_RECOVER, .now_ms = zdm_wall_ms(&cluster->world.nodes[c->node].clock)};
    input.u.recover.request = &request;
    input.u.recover.envelope = &envelope;
    input.u.recover.key = cluster->people.keys[BOB].id;
    input.u.recover.name = "bob";
    coord_output_init(&out);
    coord_decide(coord_driver_state(c->driver), coord_driver_view(c->driver), &input, &out);
    stop(c);
    bool done = write_recovery(cluster, &out);
    world_tell(&cluster->world, "recovery: %s", done ? "done" : "refused");
    cluster->saw[SAW_RECOVERED] |= done;
    memset(cluster->last, 0, sizeof cluster->last);
    coord_output_fini(&out);
    zdm_envelope_fini(&envelope);
    cluster_start_coordinator(cluster);
    return done;
}
