/*
 * replica.h - the node's replicas: how far they lag, who reads there, and how far they have applied.
 *
 * DDL goes to a replica as it is, and its applier waits there for the metadata lock behind whoever reads, with every
 * later reader behind it (database.md 1). So before DDL, each replica of the settings is looked at; one that follows
 * this node and cannot be looked at is not guarded, and only a step that says {unguarded-replicas} goes on then.
 *
 * Each lane has sessions of its own, opened when they are first needed, with a back-off; they are closed at the first
 * error, and nothing here waits long for an answer. A replica must follow the very server of the lane.
 */
#ifndef AGENT_ENGINE_MYSQL_SESSION_REPLICA_H
#define AGENT_ENGINE_MYSQL_SESSION_REPLICA_H

#include "agent/engine/mysql/session/work.h"

enum { MYDB_REPLICA_NAME_MAX = 80, MYDB_REPLICA_WHY_MAX = 96 };

struct mydb_replica {
    struct mydb_session session;
    char name[MYDB_REPLICA_NAME_MAX]; /* "host:port" */
    char why[MYDB_REPLICA_WHY_MAX];   /* nobody can look at it: why; "" while it can be used */
    uint32_t failures;
    int64_t next_try_ms;
    int64_t resting_until_ms; /* no checks there until then */
    /* What it said of itself last. */
    bool receives;           /* what the primary commits */
    bool runs;               /* it receives and applies */
    int64_t lag_ms;          /* while it runs */
    int64_t silent_since_ms; /* it does not; by mydb_now_ms */
};

struct mydb_replicas {
    size_t n;
    struct mydb_replica each[AGENT_REPLICAS_MAX];
};

/* wake_fd and give_up as in struct mydb_session. */
void mydb_replicas_init(struct mydb_replicas *replicas, const struct mydb_target *targets, size_t n, int wake_fd,
                        atomic_bool *give_up);
void mydb_replicas_close(struct mydb_replicas *replicas);
/* Opens what is not open and may be tried again, and counts w->n_replicas. Who cannot be reached says why; that is no
 * error. */
void mydb_replicas_open(struct mydb_work *w);

/* Adds the signals of the pacing: the lag of the replicas, and of this node itself when it is one. */
enum zdm_code mydb_replica_signals(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Is nobody on a replica in the way of DDL on that table? ZDM_LOCK: the result's blocker says who, elsewhere. A replica
 * whose readers cannot be looked at stops the step unless it says unguarded-replicas. */
enum zdm_code mydb_replicas_clear(struct mydb_work *w, const char *table, struct zdm_error *err) ZDM_CHECKED;
/* A session on a replica that has applied everything which the primary had committed when this was called, for checks;
 * *out NULL: none, check on the primary. */
enum zdm_code mydb_replica_for_check(struct mydb_work *w, struct mydb_session **out, struct zdm_error *err) ZDM_CHECKED;

#endif
