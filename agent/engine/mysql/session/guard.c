/*
 * guard.c - who on a replica is in the way of DDL here (replica.h, database.md 1).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/engine/mysql/change/locks.h"
#include "agent/engine/mysql/signals.h"
#include "agent/engine/steps.h"

enum {
    LOOK_LIMIT_MS = 500,
    OLD_MS = 100 /* who began a moment ago is over in a moment */
};

static enum zdm_code not_guarded(struct mydb_work *w, const char *name, const char *why, struct zdm_error *err)
{
    struct agent_result *r = w->result;
    r->blocker_is_elsewhere = true;
    (void)snprintf(r->blocker, sizeof r->blocker, "replica %.80s is not guarded: %.95s, or write {unguarded-replicas}",
                   name, why);
    return zdm_error_set(err, ZDM_LOCK, "%s", r->blocker);
}

/* Whoever reads the binary log may be a replica, and the server does not say to this account which one it is: each must
 * be one of the settings. */
static enum zdm_code guard_unknown(struct mydb_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    char sql[120];
    (void)snprintf(sql, sizeof sql, "SELECT COUNT(*), MIN(HOST) FROM %s WHERE COMMAND LIKE 'Binlog Dump%%'",
                   mydb_processlist(w->s));
    enum zdm_code code = mydb_query_shown(w->s, &(struct mydb_look){.sql = sql}, 0, NULL, &rows, err);
    uint64_t known = 0;
    for (size_t i = 0; i < w->replicas->n; i++) {
        known += w->replicas->each[i].receives ? 1 : 0;
    }
    if (code != ZDM_OK || mydb_uint(rows, 0, 0) <= known) {
        return code;
    }
    struct agent_result *r = w->result;
    const char *host = mydb_text(rows, 0, 1);
    r->blocker_is_elsewhere = true;
    (void)snprintf(r->blocker, sizeof r->blocker,
                   "%" PRIu64
                   " sessions read the binary log (one from %.60s), and the agent's setting `replicas` names "
                   "%" PRIu64 " of them: name the others, too, or write {unguarded-replicas}",
                   mydb_uint(rows, 0, 0), host == NULL ? "?" : host, known);
    return zdm_error_set(err, ZDM_LOCK, "%s", r->blocker);
}

/* ---- Who reads there ---- */

/* Sessions that hold the table's metadata lock; where those are not to be seen (MariaDB has them off unless it is told
 * otherwise), every transaction. What replication itself applies is not in its own way. */
static const char locks_sql[] =
    "SELECT t.PROCESSLIST_ID, CONCAT_WS('-', m.OWNER_THREAD_ID, m.OWNER_EVENT_ID, m.OBJECT_INSTANCE_BEGIN),"
    " t.PROCESSLIST_USER, t.PROCESSLIST_HOST, t.PROCESSLIST_TIME, t.PROCESSLIST_INFO FROM"
    " performance_schema.metadata_locks m JOIN performance_schema.threads t ON t.THREAD_ID = m.OWNER_THREAD_ID WHERE"
    " m.OBJECT_TYPE = 'TABLE' AND m.OBJECT_SCHEMA = DATABASE() AND m.OBJECT_NAME = $1 AND m.LOCK_STATUS = 'GRANTED' AND"
    " t.PROCESSLIST_ID <> CONNECTION_ID() AND COALESCE(t.PROCESSLIST_USER, 'system user') <> 'system user'";
static const char transactions_sql[] =
    "SELECT x.trx_mysql_thread_id, x.trx_started, p.USER, p.HOST, p.TIME, p.INFO FROM information_schema.INNODB_TRX x"
    " JOIN information_schema.PROCESSLIST p ON p.ID = x.trx_mysql_thread_id WHERE p.ID <> CONNECTION_ID() AND p.USER"
    " <> 'system user' AND $1 = $1";
static const char events_sql[] =
    "SELECT t.PROCESSLIST_ID, e.EVENT_ID, t.PROCESSLIST_USER, t.PROCESSLIST_HOST, t.PROCESSLIST_TIME,"
    " t.PROCESSLIST_INFO FROM performance_schema.events_transactions_current e JOIN performance_schema.threads t ON"
    " t.THREAD_ID = e.THREAD_ID WHERE e.STATE = 'ACTIVE' AND t.PROCESSLIST_ID <> CONNECTION_ID() AND"
    " t.PROCESSLIST_USER <> 'system user' AND $1 = $1";

static bool sees_locks(struct mydb_session *s)
{
    static const char sql[] = "SELECT COUNT(*) FROM performance_schema.setup_instruments WHERE NAME ="
                              " 'wait/lock/metadata/sql/mdl' AND ENABLED = 'YES' AND @@performance_schema = 1";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    return mydb_run(s, sql, &rows, &ignored) == ZDM_OK && mydb_int(rows, 0, 0) > 0;
}

static bool same(const struct mydb_rows *a, size_t i, const struct mydb_rows *b, size_t j)
{
    const char *began = mydb_text(a, i, 1), *also = mydb_text(b, j, 1);
    return mydb_uint(a, i, 0) == mydb_uint(b, j, 0) && began != NULL && also != NULL && strcmp(began, also) == 0;
}

/* The first that is in both of two looks; NULL for nobody. */
static size_t who_stays(const struct mydb_rows *before, const struct mydb_rows *after)
{
    for (size_t j = 0; j < after->n; j++) {
        for (size_t i = 0; i < before->n; i++) {
            if (same(before, i, after, j)) {
                return j;
            }
        }
    }
    return after->n;
}

static void say_who(struct mydb_work *w, const struct mydb_replica *replica, const struct mydb_rows *rows, size_t i)
{
    const char *host = mydb_text(rows, i, 3), *sql = mydb_text(rows, i, 5);
    struct agent_result *r = w->result;
    int n = (int)strcspn(host == NULL ? "?" : host, ":");
    r->blocker_is_elsewhere = true;
    (void)snprintf(r->blocker, sizeof r->blocker,
                   "replica %.60s: thread %" PRIu64 " %.40s@%.*s, %s for %" PRId64 " s%s%.80s", replica->name,
                   mydb_uint(rows, i, 0), mydb_text(rows, i, 2) == NULL ? "?" : mydb_text(rows, i, 2), n > 40 ? 40 : n,
                   host == NULL ? "?" : host, sql == NULL ? "idle in transaction" : "active", mydb_int(rows, i, 4),
                   sql == NULL ? "" : ": ", sql == NULL ? "" : sql);
}

static enum zdm_code look_twice(struct mydb_work *w, struct mydb_replica *replica, const char *table, bool *held,
                                struct zdm_error *trouble)
{
    struct mydb_session *s = &replica->session;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *before = NULL;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *after = NULL;
    const struct mydb_look locks = {.sql = locks_sql}, all = {.sql = transactions_sql, .events = events_sql};
    const struct mydb_look *at = sees_locks(s) ? &locks : &all;
    enum zdm_code code = mydb_query_shown(s, at, 1, (const char *const[]){table}, &before, trouble);
    if (code != ZDM_OK || before->n == 0) {
        return code;
    }
    nanosleep(&(struct timespec){.tv_nsec = OLD_MS * 1000000L}, NULL);
    code = mydb_query_shown(s, at, 1, (const char *const[]){table}, &after, trouble);
    if (code == ZDM_OK && who_stays(before, after) < after->n) {
        *held = true;
        say_who(w, replica, after, who_stays(before, after));
    }
    return code;
}

static enum zdm_code look_at(struct mydb_work *w, struct mydb_replica *replica, const char *table,
                             struct zdm_error *err)
{
    struct zdm_error trouble = ZDM_ERROR_INIT;
    struct mydb_session *s = &replica->session;
    bool held = false;
    s->gave_up = s->timed_out = false;
    s->deadline_ms = mydb_now_ms() + LOOK_LIMIT_MS + OLD_MS;
    if (look_twice(w, replica, table, &held, &trouble) != ZDM_OK) {
        bool stopped = s->gave_up;
        mydb_replica_failed(replica, &trouble);
        if (stopped) {
            return zdm_error_set(err, ZDM_CANCELLED, "cancelled");
        }
        return agent_is_unguarded(w->op->plan, w->step) ? ZDM_OK : not_guarded(w, replica->name, replica->why, err);
    }
    return held ? zdm_error_set(err, ZDM_LOCK, "readers on a replica would wait: %s", w->result->blocker) : ZDM_OK;
}

enum zdm_code mydb_replicas_clear(struct mydb_work *w, const char *table, struct zdm_error *err)
{
    bool unguarded = agent_is_unguarded(w->op->plan, w->step);
    enum zdm_code code = ZDM_OK;
    mydb_replicas_open(w);
    for (size_t i = 0; code == ZDM_OK && i < w->replicas->n; i++) {
        struct mydb_replica *replica = &w->replicas->each[i];
        code = mydb_replica_look(w, replica, err);
        if (code == ZDM_OK && mydb_is_open(&replica->session)) {
            code = look_at(w, replica, table, err);
        } else if (code == ZDM_OK && !unguarded) {
            code = not_guarded(w, replica->name, replica->why, err);
        }
    }
    return code == ZDM_OK && !unguarded ? guard_unknown(w, err) : code;
}
