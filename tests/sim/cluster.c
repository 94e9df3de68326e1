/*
 * cluster.c - building, crashing and starting again; see cluster.h. What must hold is in cluster_check.c.
 */
#include "tests/sim/cluster.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/runbook/runbook.h"
#include "common/os/crypto.h"
#include "coordinator/log/event_codec.h"
#include "proto/codec.h"
#include "proto/signed.h"
#include "tests/sim/cluster_private.h"

static const char *const runbooks[CLUSTER_PLANS] = {"---\n"
                                                    "id: sim\n"
                                                    "waves: [34%, 100%]\n"
                                                    "soak: 4s\n"
                                                    "max_parallel: 2\n"
                                                    "failure_budget: 1\n"
                                                    "throttle: {duty: 100%}\n"
                                                    "---\n"
                                                    "## Phase 1: Expand\n"
                                                    "```sql\n"
                                                    "ALTER TABLE users ADD COLUMN full_name VARCHAR(255);\n"
                                                    "CREATE INDEX users_email ON users (email);\n"
                                                    "```\n"
                                                    "## Phase 2: Migrate\n"
                                                    "```sql {batch=40}\n"
                                                    "UPDATE users SET full_name = name WHERE full_name IS NULL;\n"
                                                    "```\n"
                                                    "## Phase 3: Switch\n"
                                                    "```flag\n"
                                                    "key: users-read-full-name\n"
                                                    "rollout: [100%]\n"
                                                    "```\n"
                                                    "## Phase 4: Contract\n"
                                                    "```sql\n"
                                                    "ALTER TABLE users DROP COLUMN name;\n"
                                                    "```\n",
                                                    "---\n"
                                                    "id: tidy\n"
                                                    "throttle: {duty: 100%}\n"
                                                    "---\n"
                                                    "## Phase 1: Expand\n"
                                                    "```sql\n"
                                                    "ALTER TABLE orders ADD COLUMN total_cents BIGINT;\n"
                                                    "ALTER TABLE orders ADD COLUMN memo TEXT DEFAULT '%s';\n"
                                                    "```\n"
                                                    "## Phase 2: Migrate\n"
                                                    "```sql {batch=100}\n"
                                                    "UPDATE orders SET total_cents = total WHERE total_cents IS NULL;\n"
                                                    "```\n"};

static void must(enum zdm_code code, const struct zdm_error *err)
{
    if (code == ZDM_OK)
        return;
    fprintf(stderr, "simulator: %s\n", err->message);
    abort();
}

void cluster_fail(struct cluster *cluster, const char *fmt, ...)
{
    va_list args;
    if (cluster->failure[0] != '\0')
        return;
    va_start(args, fmt);
    vsnprintf(cluster->failure, sizeof cluster->failure, fmt, args);
    va_end(args);
    world_tell(&cluster->world, "FAILURE: %s", cluster->failure);
}

/* ---- keys, trust, plan ---- */

static void make_key(struct cluster *cluster, struct zdm_signing_key *out_key)
{
    uint8_t seed[32];
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)world_random(&cluster->world);
    zdm_signing_key_make(out_key, seed);
    out_key->id = zdm_key_id(sim_crypto(), &out_key->public_key);
}

static void make_trust(struct cluster *cluster)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_person person = {
        .public_key = cluster->operator_key.public_key, .name = "ann", .roles = ZDM_ROLE_OPERATOR | ZDM_ROLE_APPROVER};
    struct zdm_trust trust = {.fleet_name = "sim",
                              .version = 1,
                              .n_roots = 1,
                              .root_threshold = 1,
                              .n_coordinators = 1,
                              .people = &person,
                              .n_people = 1,
                              .approvals_min = 1};
    const struct zdm_signing_key *roots[] = {&cluster->operator_key};
    trust.roots[0] = cluster->operator_key.public_key;
    trust.coordinators[0] = cluster->coordinator_key.public_key;
    must(zdm_trust_chain_start(sim_crypto(), &trust, roots, 1, &cluster->trust, &err), &err);
    zdm_trust_chain_write(&cluster->trust, &cluster->trust_bytes);
}

/* One with a column whose default is so long that the plan takes more than one frame. */
static void write_runbook(struct zdm_buffer *out, const char *runbook)
{
    const char *gap = strstr(runbook, "%s");
    zdm_buffer_append(out, runbook, gap != NULL ? (size_t)(gap - runbook) : strlen(runbook));
    for (unsigned i = 0; gap != NULL && i < ZDM_PIECE_MAX; i++)
        zdm_buffer_append(out, "x", 1);
    if (gap != NULL)
        zdm_buffer_append(out, gap + 2, strlen(gap + 2));
}

static void make_plan(struct cluster *cluster, const char *runbook, struct cluster_plan *out)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_notes *notes = NULL;
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_envelope envelope;
    write_runbook(&text, runbook);
    must(zdm_runbook_compile("sim.md", (const char *)text.data, text.len, &out->plan, &notes, &err), &err);
    if (out->plan == NULL) {
        fprintf(stderr, "simulator: the runbook does not compile: %s\n", notes->findings[0].message);
        abort();
    }
    zdm_plan_encode(sim_crypto(), out->plan, &body);
    must(zdm_signed_make(sim_crypto(), &cluster->operator_key, &cluster->trust.fleet, ZDM_SIGNED_PLAN, body.data,
                         body.len, &envelope, &err),
         &err);
    zdm_envelope_flatten(&envelope, &out->bytes);
    zdm_notes_encode(notes, &out->notes);
    zdm_envelope_fini(&envelope);
    zdm_buffer_fini(&body);
    zdm_buffer_fini(&text);
    zdm_notes_free(notes);
}

/* ---- enrolment: written into the log before the first start, as if the agents had joined long ago ---- */

static void make_enrolment(struct cluster *cluster, struct cluster_agent *agent)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_enrolment enrolment = {.expires_at_ms = INT64_MAX / 2};
    snprintf(enrolment.shard, sizeof enrolment.shard, "shard-%u", agent->shard + 1);
    enrolment.nonce.bytes[0] = (uint8_t)(agent->shard + 1);
    enrolment.secret_hash.bytes[0] = 1;
    zdm_enrolment_encode(&enrolment, &body);
    must(zdm_signed_make(sim_crypto(), &cluster->operator_key, &cluster->trust.fleet, ZDM_SIGNED_ENROLMENT, body.data,
                         body.len, &agent->enrolment, &err),
         &err);
    zdm_buffer_fini(&body);
}

static void append_event(struct cluster *cluster, struct coord_event *event)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct store_head head;
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    if (cluster->store.ops->head(cluster->store.self, &head, &err) != STORE_OK)
        abort();
    event->seq = head.seq + 1;
    event->epoch = head.epoch;
    event->at_ms = INT64_C(1690000000000);
    event->prev_hash = head.hash;
    coord_event_encode(sim_crypto(), event, &bytes);
    struct store_record record = {
        .seq = event->seq, .prev_hash = event->prev_hash, .hash = event->hash, .bytes = bytes.data, .n = bytes.len};
    if (bytes.failed || cluster->store.ops->append(cluster->store.self, head.epoch, &record, 1, &err) != STORE_OK)
        abort();
    zdm_buffer_fini(&bytes);
}

static void enrol_all(struct cluster *cluster)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    uint64_t epoch;
    if (cluster->store.ops->acquire(cluster->store.self, &epoch, &err) != STORE_OK)
        abort();
    struct coord_event opened = {.type = COORD_EVENT_LOG_OPENED};
    opened.u.log_opened.fleet = cluster->trust.fleet;
    opened.u.log_opened.format = COORD_LOG_FORMAT;
    zdm_copy_text(opened.u.log_opened.release, sizeof opened.u.log_opened.release, "0.1.0");
    append_event(cluster, &opened);
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++) {
        const struct cluster_agent *agent = &cluster->agents[i];
        struct coord_event event = {.type = COORD_EVENT_AGENT_ENROLLED};
        event.u.agent_enrolled.agent = agent->key.id;
        event.u.agent_enrolled.public_key = agent->key.public_key;
        snprintf(event.u.agent_enrolled.shard, sizeof event.u.agent_enrolled.shard, "shard-%u", i + 1);
        event.u.agent_enrolled.enrolment.bytes[0] = (uint8_t)(i + 1);
        zdm_copy_text(event.u.agent_enrolled.by, sizeof event.u.agent_enrolled.by, "ann");
        append_event(cluster, &event);
    }
}

/* ---- turns: a driver gets one whenever something came for it, and when it asked for one ---- */

struct turn {
    uint64_t number;
    unsigned agent;
};

static struct turn *new_turn(uint64_t number, unsigned agent)
{
    struct turn *turn = malloc(sizeof *turn);
    if (turn == NULL)
        abort();
    *turn = (struct turn){number, agent};
    return turn;
}

static void coordinator_turn(void *ctx, void *payload);

static void schedule_coordinator(struct cluster *cluster, int64_t delay_ms)
{
    world_after(&cluster->world, delay_ms, CLUSTER_COORDINATOR, coordinator_turn, cluster,
                new_turn(++cluster->turns, 0), free);
}

static void coordinator_turn(void *ctx, void *payload)
{
    struct cluster *cluster = ctx;
    struct turn *turn = payload;
    bool newest = turn->number == cluster->turns;
    free(turn);
    if (!newest || cluster->coordinator == NULL)
        return;
    int64_t wake = coord_driver_turn(cluster->coordinator);
    struct zdm_error err = ZDM_ERROR_INIT;
    /* What it decided last did not get into the log: nobody was told, and it goes with the process. */
    if (coord_driver_ended(cluster->coordinator, &err)) {
        cluster_crash_coordinator(cluster);
        return;
    }
    cluster_check_coordinator(cluster);
    int64_t now = zdm_boot_ms(&cluster->world.nodes[CLUSTER_COORDINATOR].clock);
    schedule_coordinator(cluster, wake - now < 60000 ? wake - now : 60000);
}

static void after_coordinator_upcall(void *ctx)
{
    schedule_coordinator(ctx, 0);
}

static void agent_turn(void *ctx, void *payload);

static void schedule_agent(struct cluster_agent *agent, int64_t delay_ms)
{
    world_after(&agent->cluster->world, delay_ms, agent->node, agent_turn, agent,
                new_turn(++agent->turns, agent->number), free);
}

static void agent_turn(void *ctx, void *payload)
{
    struct cluster_agent *agent = ctx;
    struct turn *turn = payload;
    bool newest = turn->number == agent->turns;
    free(turn);
    if (!newest || agent->driver == NULL)
        return;
    int64_t wake = agent_driver_turn(agent->driver);
    int64_t now = zdm_boot_ms(&agent->cluster->world.nodes[agent->node].clock);
    schedule_agent(agent, wake - now < 60000 ? wake - now : 60000);
}

static void after_agent_upcall(void *ctx)
{
    schedule_agent(ctx, 0);
}

/* ---- life and death ---- */

static void tell_notice(void *ctx, const struct coord_notice *notice)
{
    struct cluster *cluster = ctx;
    world_tell(&cluster->world, "coordinator: %s %s %s", notice->message, notice->shard != NULL ? notice->shard : "",
               notice->reason != NULL ? notice->reason : "");
}

void cluster_start_coordinator(struct cluster *cluster)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct world_node *node = &cluster->world.nodes[CLUSTER_COORDINATOR];
    char url[32];
    if (cluster->coordinator != NULL)
        return;
    world_boot(&cluster->world, CLUSTER_COORDINATOR);
    struct coord_driver_config config = {.clock = &node->clock,
                                         .random = &node->random,
                                         .crypto = sim_crypto(),
                                         .key = &cluster->coordinator_key,
                                         .trust = cluster->trust_bytes.data,
                                         .trust_n = cluster->trust_bytes.len,
                                         .store = cluster->store,
                                         .release = "0.1.0",
                                         .host = "sim",
                                         .notice = tell_notice,
                                         .ctx = cluster};
    must(coord_driver_new(&config, &cluster->coordinator, &err), &err);
    struct zdm_net_upcalls upcalls = coord_driver_upcalls(cluster->coordinator);
    struct zdm_net net = sim_net_attach(cluster->net, CLUSTER_COORDINATOR, &upcalls, after_coordinator_upcall, cluster);
    if (coord_driver_start(cluster->coordinator, net, &err) != ZDM_OK) {
        world_tell(&cluster->world, "coordinator does not start: %s", err.message);
        if (cluster->disk.unknown_percent + cluster->disk.broken_percent == 0 && cluster->disk.full_until_ms == 0)
            cluster_fail(cluster, "the coordinator does not start: %s", err.message);
        cluster_crash_coordinator(cluster);
        return;
    }
    must(net.ops->listen(net.self, "sim://0", url, sizeof url, &err), &err);
    cluster->restarts++;
    world_tell(&cluster->world, "coordinator starts, epoch %llu",
               (unsigned long long)coord_driver_state(cluster->coordinator)->epoch);
    cluster_check_promises(cluster);
    schedule_coordinator(cluster, 0);
}

void cluster_crash_coordinator(struct cluster *cluster)
{
    if (cluster->coordinator == NULL)
        return;
    world_tell(&cluster->world, "coordinator dies");
    world_kill(&cluster->world, CLUSTER_COORDINATOR);
    sim_net_detach(cluster->net, CLUSTER_COORDINATOR);
    coord_driver_free(cluster->coordinator);
    cluster->coordinator = NULL;
    cluster->crashes++;
}

static void engine_done(void *ctx, struct agent_result *result)
{
    struct cluster_agent *agent = ctx;
    cluster_keep_result(agent, result);
    schedule_agent(agent, 0);
}

void cluster_start_agent(struct cluster *cluster, unsigned number)
{
    struct cluster_agent *agent = &cluster->agents[number];
    struct world_node *node = &cluster->world.nodes[agent->node];
    struct zdm_error err = ZDM_ERROR_INIT;
    if (agent->driver != NULL)
        return;
    world_tell(&cluster->world, "agent %d of shard-%u starts", agent->node, agent->shard + 1);
    world_boot(&cluster->world, agent->node);
    cluster->ears[agent->node] = (struct cluster_ear){.leased_until_ms = 0};
    cluster->doubled[agent->shard] |= number >= CLUSTER_SHARDS;
    cluster->saw[SAW_DOUBLE] |= number >= CLUSTER_SHARDS && cluster->agents[agent->shard].driver != NULL;
    struct agent_engine_sink sink = {engine_done, agent};
    agent->engine = sim_engine_open(agent->db, agent->node, &sink);
    must(cluster_new_agent_driver(agent, node, &err), &err);
    struct zdm_net_upcalls upcalls = agent_driver_upcalls(agent->driver);
    struct zdm_net net = sim_net_attach(cluster->net, agent->node, &upcalls, after_agent_upcall, agent);
    agent_driver_start(agent->driver, net);
    schedule_agent(agent, 0);
}

void cluster_crash_agent(struct cluster *cluster, unsigned number)
{
    struct cluster_agent *agent = &cluster->agents[number];
    if (agent->driver == NULL)
        return;
    world_tell(&cluster->world, "agent %d dies", agent->node);
    world_kill(&cluster->world, agent->node);
    sim_net_detach(cluster->net, agent->node);
    agent->engine.ops->close(agent->engine.self);
    agent_driver_free(agent->driver);
    agent->driver = NULL;
    for (struct agent_result *left; (left = cluster_next_result(agent)) != NULL;)
        agent_result_free(left);
    cluster->crashes++;
}

static void database_up(void *ctx, void *payload)
{
    struct sim_db *db = ctx;
    (void)payload;
    sim_db_start(db);
}

void cluster_restart_database(struct cluster *cluster, unsigned number, int64_t down_ms)
{
    struct sim_db *db = &cluster->dbs[number];
    if (!db->up)
        return;
    world_tell(&cluster->world, "database %u goes down for %lld ms", number + 1, (long long)down_ms);
    sim_db_stop(db);
    cluster->crashes++;
    world_after(&cluster->world, down_ms, WORLD_ANY, database_up, db, NULL, NULL);
}

/* ---- the whole ---- */

static void make_agent(struct cluster *cluster, unsigned number)
{
    struct cluster_agent *agent = &cluster->agents[number];
    agent->cluster = cluster;
    agent->number = number;
    agent->shard = number % CLUSTER_SHARDS;
    agent->db = &cluster->dbs[agent->shard];
    agent->node = (int)number + (number < CLUSTER_SHARDS ? 1 : 2); /* the operator's lies between */
    if (number < CLUSTER_SHARDS) {
        make_key(cluster, &agent->key);
        sim_db_init(agent->db, &cluster->world, (int)number + 1, CLUSTER_ROWS);
        agent->db->may_enter = cluster_may_enter;
        agent->db->starts = cluster_starts;
        agent->db->ctx = cluster;
    } else {
        agent->key = cluster->agents[agent->shard].key;
    }
    make_enrolment(cluster, agent);
    zdm_buffer_append(&agent->trust, cluster->trust_bytes.data, cluster->trust_bytes.len);
}

void cluster_init(struct cluster *cluster, uint64_t seed, bool verbose)
{
    *cluster = (struct cluster){.failure = ""};
    world_init(&cluster->world, seed);
    cluster->world.verbose = verbose;
    cluster->net = sim_net_new(&cluster->world);
    cluster->store = sim_store_open(&cluster->disk, &cluster->world);
    make_key(cluster, &cluster->coordinator_key);
    make_key(cluster, &cluster->operator_key);
    make_trust(cluster);
    for (unsigned i = 0; i < CLUSTER_PLANS; i++)
        make_plan(cluster, runbooks[i], &cluster->plans[i]);
    cluster_listen(cluster);
    for (unsigned i = 0; i < CLUSTER_AGENTS; i++)
        make_agent(cluster, i);
    enrol_all(cluster);
    cluster->person = (struct sim_operator){.world = &cluster->world,
                                            .node = CLUSTER_OPERATOR,
                                            .url = "sim://0",
                                            .key = &cluster->operator_key,
                                            .fleet = cluster->trust.fleet,
                                            .coordinator = cluster->coordinator_key.public_key};
    operator_start(&cluster->person, cluster->net);
    cluster_start_coordinator(cluster);
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++)
        cluster_start_agent(cluster, i);
}

void cluster_fini(struct cluster *cluster)
{
    operator_stop(&cluster->person, cluster->net);
    cluster_crash_coordinator(cluster);
    for (unsigned i = 0; i < CLUSTER_AGENTS; i++)
        cluster_crash_agent(cluster, i);
    world_fini(&cluster->world);
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++)
        sim_db_fini(&cluster->dbs[i]);
    for (unsigned i = 0; i < CLUSTER_AGENTS; i++) {
        zdm_envelope_fini(&cluster->agents[i].enrolment);
        zdm_buffer_fini(&cluster->agents[i].trust);
        free(cluster->agents[i].results);
    }
    sim_net_free(cluster->net);
    sim_store_close(&cluster->disk);
    for (unsigned i = 0; i < CLUSTER_PLANS; i++) {
        zdm_plan_unref(cluster->plans[i].plan);
        zdm_buffer_fini(&cluster->plans[i].bytes);
        zdm_buffer_fini(&cluster->plans[i].notes);
    }
    zdm_trust_chain_fini(&cluster->trust);
    zdm_buffer_fini(&cluster->trust_bytes);
}

bool cluster_step(struct cluster *cluster, int64_t until_ms)
{
    if (cluster->failure[0] != '\0' || !world_step(&cluster->world, until_ms))
        return false;
    cluster_check_agents(cluster);
    return cluster->failure[0] == '\0';
}
