/*
 * cluster.h - one coordinator, three shards with an agent each, two migrations and an operator, in one process and
 * world.
 *
 * Core and driver of both sides are the ones that run in production; clock, random numbers, network, store and database
 * are the world's. The coordinator's log survives its crashes, the databases survive the agents'. A shard can have a
 * second process with the same key, an agent that was believed to be dead and works on beside the one that replaced it.
 */
#ifndef TESTS_SIM_CLUSTER_H
#define TESTS_SIM_CLUSTER_H

#include "agent/app/driver.h"
#include "coordinator/app/driver.h"
#include "proto/signed.h"
#include "proto/trust_file.h"
#include "tests/sim/operator.h"
#include "tests/sim/sim_db.h"
#include "tests/sim/sim_store.h"

enum {
    CLUSTER_SHARDS = 3,
    CLUSTER_AGENTS = 2 * CLUSTER_SHARDS, /* agent i and i + 3 are of shard i; the latter start only as doubles */
    CLUSTER_PLANS = 2,
    CLUSTER_COORDINATOR = 0,
    CLUSTER_OPERATOR = 4,
    CLUSTER_ROWS = 400,
    CLUSTER_SENT = 64
};

struct cluster;

struct cluster_agent {
    struct cluster *cluster;
    unsigned number; /* 0, 1, … */
    unsigned shard;
    int node;
    struct zdm_signing_key key;
    struct zdm_envelope enrolment;
    struct sim_db *db;
    struct agent_engine engine;
    struct agent_driver *driver;   /* NULL while it is dead */
    struct zdm_buffer trust;       /* what it keeps on disk */
    uint64_t turns;                /* counts scheduled turns: an older one means nothing */
    struct agent_result **results; /* of the engine, not yet taken */
    size_t n_results, cap_results;
};

/* What an eavesdropper at the agent's door knows: what it may do follows from that alone. See cluster_wire.c. */
struct cluster_ear {
    int64_t leased_until_ms;
    struct {
        uint64_t number;
        int64_t at_ms;
    } sent[CLUSTER_SENT];
    bool told[CLUSTER_PLANS];              /* an order for it has arrived in this life */
    struct zdm_fence stops[CLUSTER_PLANS]; /* the newest order that arrived and takes away the right to go on */
};

/* Situations that a run of all seeds must have seen at least once: what never happens is not tested. */
enum cluster_sight {
    SAW_FAILED,
    SAW_RETRY,
    SAW_UNSURE,
    SAW_PAUSED_MID_BACKFILL,
    SAW_LEASE_EXPIRE,
    SAW_HALTED_BY_BUDGET,
    SAW_SOAK,
    SAW_WAVE_HELD,
    SAW_BARRIER_HELD,
    SAW_GATE_PASSED,
    SAW_PLAN_IN_PIECES,
    SAW_DOUBLE,
    SAW_BOTH_MOVING,
    SAW_SIGHTS
};

struct cluster {
    struct world world;
    struct sim_net *net;
    struct sim_store disk;
    struct store store;
    struct sim_db dbs[CLUSTER_SHARDS];
    struct cluster_ear ears[WORLD_NODES_MAX];
    bool saw[SAW_SIGHTS];
    bool doubled[CLUSTER_SHARDS]; /* ever had two processes with one key */
    struct cluster_last {
        enum coord_status status;
        uint32_t at, wave_of;
        bool halted;
    } last[CLUSTER_PLANS][CLUSTER_SHARDS]; /* as they were after the coordinator's last turn */
    struct zdm_signing_key coordinator_key, operator_key;
    struct zdm_trust_chain trust;
    struct zdm_buffer trust_bytes;
    struct coord_driver *coordinator; /* NULL while it is dead */
    uint64_t turns;
    struct cluster_agent agents[CLUSTER_AGENTS];
    struct sim_operator person;
    struct cluster_plan {
        struct zdm_plan *plan;
        struct zdm_buffer bytes; /* the signed plan as uploaded */
        struct zdm_buffer notes;
    } plans[CLUSTER_PLANS];
    unsigned crashes, restarts, cuts, partitions; /* of a run, to show that it was not idle */
    char failure[256];                            /* the first invariant that did not hold; "" while all do */
};

void cluster_init(struct cluster *cluster, uint64_t seed, bool verbose);
void cluster_fini(struct cluster *cluster);

void cluster_start_coordinator(struct cluster *cluster);
void cluster_crash_coordinator(struct cluster *cluster);
void cluster_start_agent(struct cluster *cluster, unsigned number);
void cluster_crash_agent(struct cluster *cluster, unsigned number);
void cluster_restart_database(struct cluster *cluster, unsigned number, int64_t down_ms);

/* Lets one thing happen and checks the invariants; false when nothing is left to happen before until_ms or one failed.
 */
bool cluster_step(struct cluster *cluster, int64_t until_ms);
/* At the end: the chain holds, and replaying the log gives the state that lives. */
void cluster_check_log(struct cluster *cluster);
/* What the coordinator knows of a plan's migration; NULL while it is dead or was not told of it. */
const struct coord_migration *cluster_migration(const struct cluster *cluster, unsigned plan);
const char *cluster_sight_name(enum cluster_sight sight);
/* Notes a failure; the first one is kept. */
void cluster_fail(struct cluster *cluster, const char *fmt, ...) ZDM_PRINTF(2, 3);

#endif
