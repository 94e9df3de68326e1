/*
 * locks.h - DDL that never queues in front of traffic for longer than it may (reliability.md D2).
 *
 * Every DDL statement asks for the metadata lock of its table exclusively, at its start and, where it builds something,
 * once more at its end; whoever comes later waits behind it.
 *
 *  - MariaDB: `SET STATEMENT lock_wait_timeout=0 FOR …`: nobody ever queues behind the start.
 *  - MySQL knows no such thing: the second connection looks every few milliseconds, and stops the statement by KILL
 *    QUERY when it has waited for the metadata lock for the operation's lock_wait_ms (at least 100 ms).
 *  - Both: the wait at the end of a long statement is watched and stopped likewise; what it built is lost then, and the
 *    error says so.
 *
 * Before the statement, transactions that have the table's metadata lock are looked for, here and on the node's
 * replicas, whose appliers would wait for readers there (database.md 1); and snapshots of REPEATABLE READ, where an
 * older one cannot read what the statement makes (1412, database.md 10).
 */
#ifndef AGENT_ENGINE_MYSQL_CHANGE_LOCKS_H
#define AGENT_ENGINE_MYSQL_CHANGE_LOCKS_H

#include "agent/engine/mysql/session/work.h"

/* Runs one DDL statement on the table. ZDM_LOCK: nothing happened, and the result says who holds the table. ZDM_UNKNOWN
 * when the answer was lost. A statement of an agent that is gone which still runs on the server is waited for: ZDM_LOCK
 * (blocker: its thread). */
enum zdm_code mydb_ddl(struct mydb_work *w, const char *table, const char *sql, struct zdm_error *err) ZDM_CHECKED;
/* Fills result->blocker from performance_schema.metadata_locks, or from information_schema.innodb_trx and the process
 * list where that is not to be had: "thread 42 app@10.0.0.7, idle in transaction for 12 s: UPDATE …". Sets ZDM_LOCK. */
enum zdm_code mydb_name_blocker(struct mydb_work *w, const char *table, struct zdm_error *err);

/* Does the server still work on a statement that begins so, of an agent that is gone? ZDM_LOCK, and the blocker is its
 * thread. Asked before a clone is made, too, which could not read the table's definition. */
enum zdm_code mydb_not_running(struct mydb_work *w, const char *table, const char *sql,
                               struct zdm_error *err) ZDM_CHECKED;

/* Have all transactions of this database ended that may read by a snapshot and were open at that time ("2026-01-31
 * 12:00:00", UTC)? ZDM_LOCK names one that has not. */
enum zdm_code mydb_snapshots_gone(struct mydb_work *w, const char *table, const char *since,
                                  struct zdm_error *err) ZDM_CHECKED;

/* transactions.c: has the server look at its open transactions anew, so that the next answer about them is true. */
enum zdm_code mydb_see_transactions(struct mydb_session *s, struct zdm_error *err) ZDM_CHECKED;

/* transactions.c: the table that has the columns of PROCESSLIST and can be read whatever the statements say; its INFO
 * may end after MYDB_INFO_MAX bytes. */
enum { MYDB_INFO_MAX = 1024 };
const char *mydb_processlist(struct mydb_session *s);

/* transactions.c: a question about sessions or transactions that information_schema may be unable to answer. */
struct mydb_look {
    const char *sql;    /* to information_schema */
    const char *events; /* the same to performance_schema, which may tell of more; NULL: sql alone */
    bool fresh;         /* sql is behind mydb_see_transactions */
};
/* Like mydb_query. Where MySQL fails to show a statement and events do not tell of all transactions either, sql is
 * asked again for a second, then ZDM_CONFLICT. */
enum zdm_code mydb_query_shown(struct mydb_session *s, const struct mydb_look *at, size_t n, const char *const params[],
                               struct mydb_rows **out, struct zdm_error *err) ZDM_CHECKED;

#endif
