/*
 * cluster_private.h - between cluster.c and cluster_check.c.
 */
#ifndef TESTS_SIM_CLUSTER_PRIVATE_H
#define TESTS_SIM_CLUSTER_PRIVATE_H

#include "coordinator/core/core.h"
#include "proto/codec.h"
#include "tests/sim/cluster.h"

/* Makes the agent's driver with the world's seams. */
enum zdm_code cluster_new_agent_driver(struct cluster_agent *agent, struct world_node *node, struct zdm_error *err);

/* Writes an event behind the last one of its disk, past all faults. */
void cluster_append_event(struct cluster_coordinator *c, struct coord_event *event);

/* The queue between engine and driver. */
struct agent_result *cluster_next_result(void *ctx);
void cluster_keep_result(struct cluster_agent *agent, struct agent_result *result);

/* Invariants (design 10), each checked where it can first be broken. */
/* After each turn of a coordinator. */
void cluster_check_coordinator(struct cluster *cluster, struct cluster_coordinator *c);
void cluster_check_promises(struct cluster *cluster); /* after each of its starts: nothing acknowledged is lost */
void cluster_check_agents(struct cluster *cluster);   /* after every step of the world */
/* Notes which situations are at hand. */
void cluster_see(struct cluster *cluster, unsigned plan, const struct coord_migration *m);
void cluster_see_shard(struct cluster *cluster, unsigned plan, const struct coord_migration *m,
                       const struct coord_shard *shard, const struct cluster_last *last);
void cluster_see_both(struct cluster *cluster);
/* What may be said and done, judged by what went over the wire. */
void cluster_listen(struct cluster *cluster);
void cluster_starts(void *ctx, int node, const struct agent_op *op);
/* Which of the plans a migration's is; CLUSTER_PLANS for none. */
unsigned cluster_plan_of(const struct cluster *cluster, const char *migration);
/* Invariant 4, asked by a database when a step of a phase begins to change it. */
bool cluster_may_enter(void *ctx, const struct sim_db *db, const struct zdm_plan *plan, uint32_t phase);
/* And when it has begun a rollback: may what new code wrote be lost? */
bool cluster_may_lose(void *ctx, const struct sim_db *db, const struct agent_op *op);

#endif
