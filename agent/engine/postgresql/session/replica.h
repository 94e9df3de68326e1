/*
 * replica.h - the standbys of this node: who reads there is in the way of ACCESS EXCLUSIVE here (database.md 1), and
 * checks run there (database.md 24).
 *
 * Only ACCESS EXCLUSIVE is replayed by a standby. Its startup process then waits for the queries that hold the table,
 * and every new reader of it waits behind. So before such a lock is asked for, each replica of the settings is looked
 * at; a standby that streams from here, or from one of them, and cannot be looked at is not guarded, and only a step
 * that says {unguarded-replicas} goes on then.
 *
 * Each lane has sessions of its own, opened when they are first needed, with a back-off; they are closed at the first
 * error, and nothing here waits long for an answer. A replica must belong to the very primary of the lane.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_SESSION_REPLICA_H
#define AGENT_ENGINE_POSTGRESQL_SESSION_REPLICA_H

#include "agent/engine/postgresql/session/work.h"

enum { PGSQL_REPLICA_NAME_MAX = 80, PGSQL_REPLICA_WHY_MAX = 96 };

struct pgsql_replica {
    struct pgsql_session session;
    char name[PGSQL_REPLICA_NAME_MAX]; /* the name that it streams under, else "host:port" */
    char why[PGSQL_REPLICA_WHY_MAX];   /* nobody can look at it: why; "" while it can be used */
    uint32_t failures;
    int64_t next_try_ms;
    /* What it says of itself, read with each guard. */
    bool streams;
    char stream_name[64], slot[64], address[48];
    char sender[96], sender_port[8]; /* that it streams from: a host, or the folder of a socket */
    /* For checks. */
    unsigned conflicts;
    int64_t resting_until_ms;
};

struct pgsql_replicas {
    size_t n;
    struct pgsql_replica each[AGENT_REPLICAS_MAX];
};

/* wake_fd and give_up as in struct pgsql_session. */
void pgsql_replicas_init(struct pgsql_replicas *replicas, const struct pgsql_target *targets, size_t n, int wake_fd,
                         atomic_bool *give_up);
void pgsql_replicas_close(struct pgsql_replicas *replicas);

/* Opens what is not open and may be tried again. Whoever cannot be reached says why; that is no error. */
void pgsql_replicas_open(struct pgsql_work *w);
/* Notes an error of a replica's session and closes it; it is tried again after a pause. */
void pgsql_replica_failed(struct pgsql_replica *replica, const struct zdm_error *err);
/* The session may be used now, for at most so long. */
struct pgsql_session *pgsql_replica_session(struct pgsql_replica *replica, uint32_t limit_ms);

/* May the step at hand take ACCESS EXCLUSIVE as far as it is known who streams from here? ZDM_LOCK: the result's
 * blocker says which replica is not guarded. Opens sessions: not to be called while a lock is held. */
enum zdm_code pgsql_replicas_guard(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Is nobody on a replica in the way of ACCESS EXCLUSIVE on these relations: "{16384,16390}"? ZDM_LOCK: the result's
 * blocker says who is. Only asks sessions that are open, and waits for none of them longer than a moment. */
enum zdm_code pgsql_replicas_look(struct pgsql_work *w, const char *oids, struct zdm_error *err) ZDM_CHECKED;
/* Both, for statements that lock by themselves (DROP INDEX CONCURRENTLY, REINDEX, ATTACH of an index): oids of tables
 * and indexes as text, of this database. A kind of step that comes here belongs into pgsql_replicas_matter. */
enum zdm_code pgsql_replicas_clear(struct pgsql_work *w, const char *const *oids, size_t n,
                                   struct zdm_error *err) ZDM_CHECKED;

/* Would the step wait for the guard, and for readers there? partitioned: its table is. */
bool pgsql_replicas_matter(const struct zdm_step *step, bool partitioned);
/* How many stream from here and from the replicas at hand; and how many of the replicas do and can be looked at. */
unsigned pgsql_replicas_count(struct pgsql_work *w, unsigned *out_guarded);

#endif
