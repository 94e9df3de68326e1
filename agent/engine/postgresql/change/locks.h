/*
 * locks.h - the short class: transactions that take strong locks for a moment and never queue in front of traffic.
 *
 * lock_wait_ms of the operation is 0 (LOCK TABLE … NOWAIT: nobody ever queues behind us) or the budget over the sum of
 * all locks (database.md 14): lock_timeout counts per lock, so each gets what is left of it. deadlock_timeout is a
 * fifth of lock_timeout where the role may set it: an autovacuum in the way is cancelled only after the waiter has
 * waited that long (database.md 2).
 *
 * Before ACCESS EXCLUSIVE, the only lock that a standby replays, readers on the replicas are looked for (replica.h).
 */
#ifndef AGENT_ENGINE_POSTGRESQL_CHANGE_LOCKS_H
#define AGENT_ENGINE_POSTGRESQL_CHANGE_LOCKS_H

#include "agent/engine/postgresql/session/work.h"

enum pgsql_lock_mode {
    PGSQL_NO_LOCK = 0,
    PGSQL_SHARE_UPDATE_EXCLUSIVE,
    PGSQL_SHARE_ROW_EXCLUSIVE,
    PGSQL_ACCESS_EXCLUSIVE
};

/* One attempt; the budget runs from pgsql_short_begin. */
struct pgsql_short {
    struct pgsql_work *w;
    int64_t until_ms;
    bool holds; /* a lock was got, or asked for: others may wait for us */
};

enum zdm_code pgsql_short_begin(struct pgsql_short *attempt, struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Locks the table and all its partitions. ZDM_LOCK: rolled back, and the result says who holds it, here or on a
 * replica. */
enum zdm_code pgsql_short_lock(struct pgsql_short *attempt, const struct pgsql_table *table, enum pgsql_lock_mode mode,
                               struct zdm_error *err) ZDM_CHECKED;
/* Begins, and locks the table: what most steps of the class start with. */
enum zdm_code pgsql_short_begin_on(struct pgsql_short *attempt, struct pgsql_work *w, const struct pgsql_table *table,
                                   enum pgsql_lock_mode mode, struct zdm_error *err) ZDM_CHECKED;
/* As pgsql_short_lock, for the parent of a foreign key, which may be another owner's: whoever may not lock it leaves
 * that to the change of the foreign key itself, which needs no right on the parent, under the same limit. */
enum zdm_code pgsql_short_lock_parent(struct pgsql_short *attempt, const struct pgsql_table *parent,
                                      enum pgsql_lock_mode mode, struct zdm_error *err) ZDM_CHECKED;
/* The same for each that a query names: schema, name. */
enum zdm_code pgsql_short_lock_parents(struct pgsql_short *attempt, const char *sql, size_t n,
                                       const char *const *params, enum pgsql_lock_mode mode,
                                       struct zdm_error *err) ZDM_CHECKED;
/* Rolls back and says who holds the table against that mode (PGSQL_NO_LOCK: against readers). ZDM_LOCK. */
enum zdm_code pgsql_not_locked(struct pgsql_work *w, const struct pgsql_table *table, enum pgsql_lock_mode mode,
                               struct zdm_error *err) ZDM_CHECKED;
/* Runs a whole statement of the plan, which may rely on the schema of its table being searched. */
enum zdm_code pgsql_run_statement(struct pgsql_work *w, const char *sql, struct zdm_error *err) ZDM_CHECKED;

#endif
