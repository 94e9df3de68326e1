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
#include "tests/sim/liar.h"

/* One whose copy runs both ways, so that going back loses nothing, and that hides a column; one whose derived column
 * loses what new code wrote, with constraints that come in parts. */
static const char *const runbooks[CLUSTER_PLANS] = {"---\n"
                                                    "id: sim\n"
                                                    "waves: [34%, 100%]\n"
                                                    "soak: 4s\n"
                                                    "max_parallel: 2\n"
                                                    "failure_budget: 1\n"
                                                    "grace: 40s\n"
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
                                                    "grace: 40s\n"
                                                    "approvals: {contract: 2}\n"
                                                    "throttle: {duty: 100%}\n"
                                                    "---\n"
                                                    "## Phase 1: Expand\n"
                                                    "```sql\n"
                                                    "ALTER TABLE orders ADD COLUMN total_cents BIGINT;\n"
                                                    "ALTER TABLE orders ADD COLUMN memo TEXT DEFAULT '%s';\n"
                                                    "```\n"
                                                    "## Phase 2: Migrate\n"
                                                    "```sql {batch=100}\n"
                                                    "UPDATE orders SET total_cents = total * 100 WHERE total_cents IS "
                                                    "NULL;\n"
                                                    "```\n"
                                                    "```sql\n"
                                                    "ALTER TABLE orders ALTER COLUMN total_cents SET NOT NULL;\n"
                                                    "```\n"
                                                    "```sql {batch=100}\n"
                                                    "UPDATE orders SET status = 'new' WHERE status IS NULL;\n"
                                                    "```\n"
                                                    "## Phase 3: Switch\n"
                                                    "```flag\n"
                                                    "key: orders-read-total-cents\n"
                                                    "rollout: [100%]\n"
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

/* What a runbook may have beside its base, in which phase: each version of a plan draws some of them. NULL: nothing of
 * the phase's base but the title, so that it has no step. */
struct extra {
    unsigned plan, phase;
    const char *text;
};

static const struct extra extras[] = {
    {0, 1, "```sql\nALTER TABLE users ADD CONSTRAINT users_age CHECK (age > 0);\n```\n"},
    {0, 1, "```sql\nCREATE TABLE notes (id bigint PRIMARY KEY, t text);\n```\n"},
    {0, 1, "```sql\nALTER TABLE users ALTER COLUMN age SET DEFAULT 1;\n```\n"},
    {0, 1, "```wait\nfor: 2s\n```\n"},
    {0, 2, "```sql\nREINDEX INDEX users_email;\n```\n"},
    {0, 2, "```wait\nfor: 3s\n```\n"},
    {0, 2, "```sql {batch=100}\nDELETE FROM users WHERE age > 200;\n```\n"},
    {0, 3, NULL},
    {0, 4, "```sql\nALTER TABLE users DROP CONSTRAINT users_old;\n```\n"},
    {0, 4, "```sql\nALTER TABLE users ALTER COLUMN memo DROP NOT NULL;\n```\n"},
    {0, 4, "```sql\nDROP TABLE attic;\n```\n"},
    {0, 4, "```sql\nDROP INDEX old_idx;\n```\n"},
    {1, 1, "```sql\nCOMMENT ON TABLE orders IS 'bought';\n```\n"},
    {1, 1, "```sql\nCREATE TYPE mood AS ENUM ('a', 'b');\n```\n"},
    {1, 1, "```sql\nALTER TABLE orders ADD CONSTRAINT orders_p FOREIGN KEY (party) REFERENCES parties (id);\n```\n"},
    {1, 1, "```sql\nALTER TABLE orders SET (fillfactor = 80);\n```\n"},
    {1, 1,
     "```sql {as-is lock=short}\nCREATE VIEW public.v AS SELECT 1;\n```\n```sql {check}\nSELECT 1 WHERE "
     "to_regclass('public.v') IS NULL;\n```\n```sql {rollback}\nDROP VIEW IF EXISTS public.v;\n```\n"},
    {1, 2, "```sql {batch=100}\nDELETE FROM orders WHERE note = 'x';\n```\n"},
    {1, 2, "```wait\nfor: 2s\n```\n"},
};

enum { EXTRAS = sizeof extras / sizeof *extras, EXTRA_PERCENT = 25, PHASES = 4 };

/* Which extras a version has. Those of phases before `from` are as in the version before. */
static uint32_t draw_extras(struct world *world, uint32_t before, uint32_t from)
{
    uint32_t bits = 0;
    for (unsigned i = 0; i < EXTRAS; i++) {
        bool kept = extras[i].phase < from;
        if (kept ? (before >> i & 1) != 0 : world_chance(world, EXTRA_PERCENT))
            bits |= UINT32_C(1) << i;
    }
    return bits;
}

/* One base has a column whose default is so long that the plan takes more than one frame. */
static void write_base(struct zdm_buffer *out, const char *text, size_t n)
{
    const char *gap = memmem(text, n, "%s", 2);
    zdm_buffer_append(out, text, gap != NULL ? (size_t)(gap - text) : n);
    for (unsigned i = 0; gap != NULL && i < ZDM_PIECE_MAX; i++)
        zdm_buffer_append(out, "x", 1);
    if (gap != NULL)
        zdm_buffer_append(out, gap + 2, n - (size_t)(gap + 2 - text));
}

static bool is_drawn(uint32_t bits, unsigned i, unsigned plan, unsigned phase)
{
    return (bits >> i & 1) != 0 && extras[i].plan == plan && extras[i].phase == phase;
}

static size_t base_length(const char *at, const char *next, uint32_t bits, unsigned plan, unsigned phase)
{
    for (unsigned i = 0; i < EXTRAS; i++)
        if (is_drawn(bits, i, plan, phase) && extras[i].text == NULL)
            return strcspn(at, "\n") + 1;
    return (size_t)(next - at);
}

/* Phase by phase: the base, then what was drawn. */
static void write_runbook(struct zdm_buffer *out, unsigned plan, uint32_t bits)
{
    const char *at = runbooks[plan], *next;
    for (unsigned phase = 0; *at != '\0'; phase++, at = next) {
        next = strstr(at + 1, "## Phase");
        next = next != NULL ? next : at + strlen(at);
        write_base(out, at, base_length(at, next, bits, plan, phase));
        for (unsigned i = 0; i < EXTRAS; i++)
            if (is_drawn(bits, i, plan, phase) && extras[i].text != NULL)
                zdm_buffer_puts(out, extras[i].text);
    }
}

static const enum person submitters[] = {ANN, EVE};

static void make_version(struct cluster *cluster, unsigned plan, uint32_t bits, struct cluster_version *out)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_notes *notes = NULL;
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_envelope envelope;
    write_runbook(&text, plan, bits);
    must(zdm_runbook_compile("sim.md", (const char *)text.data, text.len, &out->plan, &notes, &err), &err);
    if (out->plan == NULL) {
        for (size_t i = 0; i < notes->n_findings; i++)
            if (notes->findings[i].level == ZDM_LEVEL_ERROR)
                fprintf(stderr, "simulator: the runbook does not compile: %s\n", notes->findings[i].message);
        abort();
    }
    zdm_plan_encode(sim_crypto(), out->plan, &body);
    for (size_t i = 0; i < sizeof submitters / sizeof *submitters; i++) {
        must(zdm_signed_make(sim_crypto(), &cluster->people.keys[submitters[i]], &cluster->people.fleet,
                             ZDM_SIGNED_PLAN, body.data, body.len, &envelope, &err),
             &err);
        zdm_envelope_flatten(&envelope, &out->bytes[submitters[i]]);
        zdm_envelope_fini(&envelope);
    }
    zdm_notes_encode(notes, &out->notes);
    zdm_buffer_fini(&body);
    zdm_buffer_fini(&text);
    zdm_notes_free(notes);
}

/* The first, and those that it may be amended to: alike up to some phase. */
static void make_plan(struct cluster *cluster, unsigned plan)
{
    struct cluster_plan *out = &cluster->plans[plan];
    uint32_t bits = draw_extras(&cluster->world, 0, 1);
    for (unsigned i = 0; i < CLUSTER_VERSIONS; i++) {
        make_version(cluster, plan, bits, &out->versions[i]);
        bits = draw_extras(&cluster->world, bits, (uint32_t)world_between(&cluster->world, 2, PHASES));
    }
    out->plan = out->versions[0].plan;
    out->submitter = world_chance(&cluster->world, 40) ? EVE : ANN;
}

static uint32_t common_phases(void *ctx, const struct sim_db *db, const char *migration, const struct zdm_hash *before,
                              const struct zdm_hash *after)
{
    const struct cluster *cluster = ctx;
    unsigned plan = cluster_plan_of(cluster, migration);
    const struct cluster_version *a = cluster_version_of(cluster, plan, before);
    const struct cluster_version *b = cluster_version_of(cluster, plan, after);
    uint32_t n = 0;
    (void)db;
    while (a != NULL && b != NULL && n < a->plan->n_phases && n < b->plan->n_phases &&
           zdm_hash_equal(&a->plan->phases[n].digest, &b->plan->phases[n].digest))
        n++;
    return n;
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
    must(zdm_signed_make(sim_crypto(), &cluster->people.keys[ANN], &cluster->people.fleet, ZDM_SIGNED_ENROLMENT,
                         body.data, body.len, &agent->enrolment, &err),
         &err);
    zdm_buffer_fini(&body);
}

static void append_first(struct cluster_coordinator *c, struct coord_event *event)
{
    event->at_ms = INT64_C(1690000000000);
    cluster_append_event(c, event);
}

static void enrol_all(struct cluster *cluster)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    uint64_t epoch;
    if (cluster->main.store.ops->acquire(cluster->main.store.self, &epoch, &err) != STORE_OK)
        abort();
    struct coord_event opened = {.type = COORD_EVENT_LOG_OPENED};
    opened.u.log_opened.fleet = cluster->people.fleet;
    opened.u.log_opened.format = COORD_LOG_FORMAT;
    zdm_copy_text(opened.u.log_opened.release, sizeof opened.u.log_opened.release, "0.1.0");
    append_first(&cluster->main, &opened);
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++) {
        const struct cluster_agent *agent = &cluster->agents[i];
        struct coord_event event = {.type = COORD_EVENT_AGENT_ENROLLED};
        event.u.agent_enrolled.agent = agent->key.id;
        event.u.agent_enrolled.public_key = agent->key.public_key;
        snprintf(event.u.agent_enrolled.shard, sizeof event.u.agent_enrolled.shard, "shard-%u", i + 1);
        event.u.agent_enrolled.enrolment.bytes[0] = (uint8_t)(i + 1);
        zdm_copy_text(event.u.agent_enrolled.by, sizeof event.u.agent_enrolled.by, "ann");
        append_first(&cluster->main, &event);
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
        people_make_key(&cluster->world, &agent->key);
        sim_db_init(agent->db, &cluster->world, (int)number + 1, CLUSTER_ROWS);
        agent->db->may_enter = cluster_may_enter;
        agent->db->may_lose = cluster_may_lose;
        agent->db->starts = cluster_starts;
        agent->db->amended = common_phases;
        agent->db->ctx = cluster;
    } else {
        agent->key = cluster->agents[agent->shard].key;
    }
    make_enrolment(cluster, agent);
    zdm_buffer_append(&agent->trust, cluster->people.trusts[0].data, cluster->people.trusts[0].len);
}

static void make_coordinator(struct cluster *cluster, struct cluster_coordinator *c, int node, const char *url)
{
    *c = (struct cluster_coordinator){.cluster = cluster, .node = node, .url = url};
    zdm_buffer_append(&c->trust, cluster->people.trusts[0].data, cluster->people.trusts[0].len);
}

static void seat_people(struct cluster *cluster)
{
    static const int nodes[CLUSTER_SEATS] = {4, 8};
    for (unsigned i = 0; i < CLUSTER_SEATS; i++) {
        cluster->seats[i] = (struct sim_operator){.world = &cluster->world,
                                                  .node = nodes[i],
                                                  .url = "sim://0",
                                                  .key = &cluster->people.keys[ANN],
                                                  .fleet = cluster->people.fleet,
                                                  .coordinator = cluster->coordinator_key.public_key};
        operator_start(&cluster->seats[i], cluster->net);
    }
}

void cluster_init(struct cluster *cluster, uint64_t seed, bool verbose)
{
    *cluster = (struct cluster){.failure = ""};
    world_init(&cluster->world, seed);
    cluster->world.verbose = verbose;
    cluster->net = sim_net_new(&cluster->world);
    people_make_key(&cluster->world, &cluster->coordinator_key);
    people_init(&cluster->people, &cluster->world, &cluster->coordinator_key);
    make_coordinator(cluster, &cluster->main, CLUSTER_COORDINATOR, "sim://0");
    make_coordinator(cluster, &cluster->second, CLUSTER_SECOND, "sim://9");
    cluster->main.store = sim_store_open(&cluster->main.disk, &cluster->world);
    cluster->two = world_chance(&cluster->world, 25);
    for (unsigned i = 0; i < CLUSTER_PLANS; i++)
        make_plan(cluster, i);
    cluster_listen(cluster);
    for (unsigned i = 0; i < CLUSTER_AGENTS; i++)
        make_agent(cluster, i);
    enrol_all(cluster);
    seat_people(cluster);
    cluster_start_coordinator(cluster);
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++)
        cluster_start_agent(cluster, i);
}

static void fini_coordinator(struct cluster_coordinator *c)
{
    if (c->disk.world != NULL)
        sim_store_close(&c->disk);
    zdm_buffer_fini(&c->trust);
}

void cluster_fini(struct cluster *cluster)
{
    for (unsigned i = 0; i < CLUSTER_SEATS; i++)
        operator_stop(&cluster->seats[i], cluster->net);
    cluster_crash_coordinator(cluster);
    cluster_stop_second(cluster);
    liar_stop(cluster);
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
    fini_coordinator(&cluster->main);
    fini_coordinator(&cluster->second);
    if (cluster->has_copy)
        cluster->copy.ops->close(cluster->copy.self);
    for (unsigned i = 0; i < CLUSTER_PLANS; i++) {
        for (unsigned v = 0; v < CLUSTER_VERSIONS; v++) {
            zdm_plan_unref(cluster->plans[i].versions[v].plan);
            for (unsigned person = 0; person < PEOPLE; person++)
                zdm_buffer_fini(&cluster->plans[i].versions[v].bytes[person]);
            zdm_buffer_fini(&cluster->plans[i].versions[v].notes);
        }
    }
    people_fini(&cluster->people);
}

bool cluster_step(struct cluster *cluster, int64_t until_ms)
{
    if (cluster->failure[0] != '\0' || !world_step(&cluster->world, until_ms))
        return false;
    cluster_check_agents(cluster);
    return cluster->failure[0] == '\0';
}
