/*
 * cluster.h - one coordinator, three shards with an agent each, and an operator, in one process and one world.
 *
 * Core and driver of both sides are the ones that run in production; clock, random numbers, network, store and database
 * are the world's. The coordinator's log survives its crashes, the databases survive the agents'.
 */
#ifndef TESTS_SIM_CLUSTER_H
#define TESTS_SIM_CLUSTER_H

#include "agent/app/driver.h"
#include "coordinator/app/driver.h"
#include "proto/signed.h"
#include "proto/trust_file.h"
#include "tests/sim/operator.h"
#include "tests/sim/sim_db.h"

enum { CLUSTER_SHARDS = 3, CLUSTER_COORDINATOR = 0, CLUSTER_OPERATOR = 4, CLUSTER_ROWS = 400 };

struct cluster;

struct cluster_agent {
    struct cluster *cluster;
    unsigned number; /* 0, 1, …; its node is number + 1 */
    struct zdm_signing_key key;
    struct zdm_envelope enrolment;
    struct sim_db db;
    struct agent_engine engine;
    struct agent_driver *driver;   /* NULL while it is dead */
    struct zdm_buffer trust;       /* what it keeps on disk */
    uint64_t turns;                /* counts scheduled turns: an older one means nothing */
    struct agent_result **results; /* of the engine, not yet taken */
    size_t n_results, cap_results;
};

struct cluster {
    struct world world;
    struct sim_net *net;
    struct store store;
    struct zdm_signing_key coordinator_key, operator_key;
    struct zdm_trust_chain trust;
    struct zdm_buffer trust_bytes;
    struct coord_driver *coordinator; /* NULL while it is dead */
    uint64_t turns;
    struct cluster_agent agents[CLUSTER_SHARDS];
    struct sim_operator person;
    struct zdm_plan *plan;
    struct zdm_buffer plan_bytes; /* the signed plan as uploaded */
    struct zdm_buffer notes_bytes;
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
/* Notes a failure; the first one is kept. */
void cluster_fail(struct cluster *cluster, const char *fmt, ...) ZDM_PRINTF(2, 3);

#endif
