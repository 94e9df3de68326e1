/*
 * replica.h - the node's replicas: how far they lag, who reads there, and how far they have applied.
 */
#ifndef AGENT_ENGINE_MYSQL_REPLICA_H
#define AGENT_ENGINE_MYSQL_REPLICA_H

#include "agent/engine/mysql/work.h"

/* Adds the signals of the pacing: lag by SHOW REPLICA STATUS / SHOW ALL SLAVES STATUS of the replicas in
 * config->replicas, and their readability; of this node itself when it is a replica. */
enum zdm_code mydb_replica_signals(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Is nobody on a replica in the way of DDL on that table? ZDM_LOCK: the result's blocker says who, elsewhere. A replica
 * whose readers cannot be looked at stops the step unless it says unguarded-replicas. */
enum zdm_code mydb_replicas_clear(struct mydb_work *w, const char *table, struct zdm_error *err) ZDM_CHECKED;
/* A session on a replica that has applied everything which the primary had committed when this was called, for checks;
 * *out NULL: none, check on the primary. */
enum zdm_code mydb_replica_for_check(struct mydb_work *w, struct mydb_session **out, struct zdm_error *err) ZDM_CHECKED;

#endif
