/*
 * locks.c - taking locks within a budget, and naming who holds them (locks.h).
 */
#include "agent/engine/postgresql/change/locks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/session/replica.h"

enum {
    NOWAIT_REST_MS = 100,    /* for the row of the journal and what else is locked behind a NOWAIT */
    STATEMENT_MIN_MS = 1000, /* a machine under load needs it even for a change of 1 ms */
    DEADLOCK_MIN_MS = 10,
    PATIENCE_MS = 50 /* more than deadlock_timeout: for the autovacuum to end */
};

/* Each mode as LOCK TABLE has it, and the modes that do not conflict with it. */
static const struct {
    const char *name, *harmless;
} modes[] = {
    [PGSQL_NO_LOCK] = {"ACCESS SHARE",
                       "{AccessShareLock,RowShareLock,RowExclusiveLock,ShareUpdateExclusiveLock,ShareLock,"
                       "ShareRowExclusiveLock,ExclusiveLock}"},
    [PGSQL_SHARE_UPDATE_EXCLUSIVE] = {"SHARE UPDATE EXCLUSIVE", "{AccessShareLock,RowShareLock,RowExclusiveLock}"},
    [PGSQL_SHARE_ROW_EXCLUSIVE] = {"SHARE ROW EXCLUSIVE", "{AccessShareLock,RowShareLock}"},
    [PGSQL_ACCESS_EXCLUSIVE] = {"ACCESS EXCLUSIVE", "{}"},
};

/* An autovacuum is told to give way by whoever has waited deadlock_timeout for it. Where this role cannot shorten that,
 * it waits it out, if so much of a stall is allowed. */
static uint32_t wait_of(const struct pgsql_work *w)
{
    uint32_t patience = w->s->deadlock_timeout_ms + PATIENCE_MS;
    bool patient = !w->s->may_set_deadlock_timeout && w->op->lock_wait_ms > 0 && patience <= w->op->max_stall_ms;
    return patient && patience > w->op->lock_wait_ms ? patience : w->op->lock_wait_ms;
}

enum zdm_code pgsql_short_begin(struct pgsql_short *attempt, struct pgsql_work *w, struct zdm_error *err)
{
    char settings[256], deadlock[64] = "";
    uint32_t wait_ms = wait_of(w);
    uint32_t statement_ms = wait_ms * 10 < STATEMENT_MIN_MS ? STATEMENT_MIN_MS : wait_ms * 10;
    if (w->s->may_set_deadlock_timeout && wait_ms > 0) {
        uint32_t fifth = wait_ms / 5 < DEADLOCK_MIN_MS ? DEADLOCK_MIN_MS : wait_ms / 5;
        snprintf(deadlock, sizeof deadlock, "SET LOCAL deadlock_timeout = %" PRIu32 ";", fifth);
    }
    snprintf(settings, sizeof settings,
             "SET LOCAL lock_timeout = %" PRIu32 "; SET LOCAL statement_timeout = %" PRIu32 "; %s",
             wait_ms == 0 ? NOWAIT_REST_MS : wait_ms, statement_ms, deadlock);
    *attempt = (struct pgsql_short){.w = w, .until_ms = pgsql_now_ms() + wait_ms};
    return pgsql_begin(w->s, settings, err);
}

/* Sessions and prepared transactions that hold the table in a conflicting mode, the oldest first. */
static const char blockers_sql[] =
    "WITH tree AS (SELECT $1::oid AS oid UNION SELECT relid::oid FROM pg_partition_tree($1::oid::regclass)),"
    " held AS (SELECT DISTINCT l.pid, l.virtualtransaction FROM pg_locks l JOIN tree ON l.relation = tree.oid"
    " WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND l.mode <> ALL ($2::text[])),"
    " who AS (SELECT a.xact_start AS since, coalesce(a.backend_type = 'autovacuum worker'"
    " AND a.query NOT LIKE '%(to prevent wraparound)%', false) AS ordinary,"
    " CASE WHEN h.pid IS NULL THEN format('prepared transaction %L of %s', p.gid, p.owner)"
    " WHEN a.backend_type = 'autovacuum worker' THEN format('pid %s %s', h.pid, a.query)"
    " ELSE format('pid %s %s@%s, %s for %s s: %s', h.pid, a.usename, a.datname, coalesce(a.state, 'state not visible'),"
    " extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.state_change))::int,"
    " left(regexp_replace(a.query, '\\s+', ' ', 'g'), 80)) END AS text"
    " FROM held h LEFT JOIN pg_stat_activity a ON a.pid = h.pid"
    " LEFT JOIN LATERAL (SELECT x.gid, x.owner FROM pg_locks l JOIN pg_prepared_xacts x ON x.transaction ="
    " l.transactionid WHERE l.locktype = 'transactionid' AND l.granted AND l.pid IS NULL"
    " AND l.virtualtransaction = h.virtualtransaction LIMIT 1) p ON h.pid IS NULL)"
    " SELECT text, bool_and(ordinary) OVER (), count(*) OVER () FROM who ORDER BY since NULLS LAST LIMIT 1";

/* Fills blocker and blocker_is_autovacuum; what cannot be learnt stays empty. */
static void name_blocker(struct pgsql_work *w, const struct pgsql_table *table, enum pgsql_lock_mode mode)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    struct agent_result *r = w->result;
    const char *params[] = {table->oid, modes[mode].harmless};
    if (pgsql_query(w->s, blockers_sql, 2, params, &res, &ignored) != ZDM_OK || PQntuples(res) == 0) {
        zdm_copy_text(r->blocker, sizeof r->blocker, "a session that has let go since");
        return;
    }
    const char *text = pgsql_text(res, 0, 0);
    int64_t others = pgsql_int(res, 0, 2) - 1;
    r->blocker_is_autovacuum = pgsql_true(res, 0, 1);
    zdm_copy_text(r->blocker, sizeof r->blocker, text == NULL ? "a session that is not visible" : text);
    size_t used = strlen(r->blocker);
    if (others > 0) {
        snprintf(r->blocker + used, sizeof r->blocker - used, " (and %" PRId64 " more)", others);
    }
}

/* What status shows of a parked step is the blocker: the way out stands beside it. */
static void name_missing_grant(const struct pgsql_session *s, struct agent_result *r)
{
    bool grantable = s->version_num >= 150000;
    char way_out[160];
    (void)snprintf(way_out, sizeof way_out,
                   " (%sthrottle: {max_stall: %" PRIu32 "ms} in the runbook makes it give way)",
                   grantable ? "GRANT SET ON PARAMETER deadlock_timeout to the agent's role or " : "",
                   s->deadlock_timeout_ms + PATIENCE_MS);
    size_t used = strlen(r->blocker);
    size_t room = sizeof r->blocker - strlen(way_out) - 1;
    (void)zdm_copy_text(r->blocker + (used < room ? used : room), strlen(way_out) + 1, way_out);
}

enum zdm_code pgsql_not_locked(struct pgsql_work *w, const struct pgsql_table *table, enum pgsql_lock_mode mode,
                               struct zdm_error *err)
{
    pgsql_rollback(w->s);
    name_blocker(w, table, mode);
    zdm_error_set(err, ZDM_LOCK, "could not lock %s.%s: held by %s", table->schema, table->name, w->result->blocker);
    if (w->result->blocker_is_autovacuum && !w->s->may_set_deadlock_timeout) {
        name_missing_grant(w->s, w->result);
    }
    return ZDM_LOCK;
}

/* A lock that times out may show as lock_timeout or as our own deadline. */
static enum zdm_code lock_one(struct pgsql_short *attempt, const char *what, const struct pgsql_table *table,
                              enum pgsql_lock_mode mode, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct pgsql_work *w = attempt->w;
    if (w->op->lock_wait_ms == 0) {
        zdm_buffer_printf(&sql, "LOCK TABLE %s%s IN %s MODE NOWAIT", table->kind == 'p' ? "" : "ONLY ", what,
                          modes[mode].name);
    } else {
        int64_t left = attempt->until_ms - pgsql_now_ms();
        if (left <= 0) {
            return pgsql_not_locked(w, table, mode, err);
        }
        zdm_buffer_printf(&sql, "SET LOCAL lock_timeout = %" PRId64 "; LOCK TABLE ONLY %s IN %s MODE", left, what,
                          modes[mode].name);
    }
    attempt->holds = true;
    enum zdm_code code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    return code == ZDM_LOCK ? pgsql_not_locked(w, table, mode, err) : code;
}

/* Readers on the replicas. As long as no lock is held, the time that this takes stalls nobody and does not count. */
static enum zdm_code look_at_replicas(struct pgsql_short *attempt, const struct pgsql_table *table,
                                      struct zdm_error *err)
{
    static const char sql[] = "SELECT array_agg(oid) FROM (SELECT $1::oid UNION"
                              " SELECT relid::oid FROM pg_partition_tree($1::oid::regclass)) AS tree(oid)";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    struct pgsql_work *w = attempt->w;
    int64_t begun_ms = pgsql_now_ms();
    enum zdm_code code = attempt->holds ? ZDM_OK : pgsql_replicas_guard(w, err);
    if (code == ZDM_OK && w->replicas->n > 0) {
        code = pgsql_query(w->s, sql, 1, (const char *const[]){table->oid}, &res, err);
        if (code == ZDM_OK) {
            code = pgsql_replicas_look(w, pgsql_text(res, 0, 0), err);
        }
    }
    if (code == ZDM_LOCK) {
        pgsql_rollback(w->s);
    }
    if (!attempt->holds) {
        attempt->until_ms += pgsql_now_ms() - begun_ms;
    }
    return code;
}

enum zdm_code pgsql_short_lock(struct pgsql_short *attempt, const struct pgsql_table *table, enum pgsql_lock_mode mode,
                               struct zdm_error *err)
{
    static const char sql[] = "SELECT relid::regclass FROM pg_partition_tree($1::oid::regclass) ORDER BY level";
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    pgsql_put_name(&name, table->schema);
    zdm_buffer_puts(&name, ".");
    pgsql_put_name(&name, table->name);
    enum zdm_code code = mode == PGSQL_ACCESS_EXCLUSIVE ? look_at_replicas(attempt, table, err) : ZDM_OK;
    if (code != ZDM_OK) {
        return code;
    }
    if (table->kind != 'p' || attempt->w->op->lock_wait_ms == 0) {
        return lock_one(attempt, zdm_buffer_text(&name), table, mode, err);
    }
    code = pgsql_query(attempt->w->s, sql, 1, (const char *const[]){table->oid}, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        code = lock_one(attempt, pgsql_text(res, i, 0), table, mode, err);
    }
    return code;
}

enum zdm_code pgsql_short_begin_on(struct pgsql_short *attempt, struct pgsql_work *w, const struct pgsql_table *table,
                                   enum pgsql_lock_mode mode, struct zdm_error *err)
{
    enum zdm_code code = pgsql_short_begin(attempt, w, err);
    return code == ZDM_OK ? pgsql_short_lock(attempt, table, mode, err) : code;
}

enum zdm_code pgsql_short_lock_parent(struct pgsql_short *attempt, const struct pgsql_table *parent,
                                      enum pgsql_lock_mode mode, struct zdm_error *err)
{
    struct pgsql_session *s = attempt->w->s;
    enum zdm_code code = pgsql_script(s, "SAVEPOINT parent", NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_short_lock(attempt, parent, mode, err);
    }
    if (code != ZDM_OK && pgsql_is_privilege(err)) {
        zdm_error_clear(err);
        return pgsql_script(s, "ROLLBACK TO parent; RELEASE parent", NULL, err);
    }
    return code == ZDM_OK ? pgsql_script(s, "RELEASE parent", NULL, err) : code;
}

enum zdm_code pgsql_short_lock_parents(struct pgsql_short *attempt, const char *sql, size_t n,
                                       const char *const *params, enum pgsql_lock_mode mode, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(attempt->w->s, sql, n, params, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        struct pgsql_table parent;
        const struct zdm_table name = {PQgetvalue(res, i, 0), PQgetvalue(res, i, 1)};
        code = pgsql_table_find(attempt->w->s, &name, &parent, err);
        if (code == ZDM_OK) {
            code = pgsql_short_lock_parent(attempt, &parent, mode, err);
        }
    }
    return code;
}

enum zdm_code pgsql_run_statement(struct pgsql_work *w, const char *sql, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer path = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&path, "SET LOCAL search_path = pg_catalog, ");
    pgsql_put_name(&path, w->step->table.schema == NULL ? "public" : w->step->table.schema);
    enum zdm_code code = pgsql_script(w->s, zdm_buffer_text(&path), NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, sql, 0, NULL, NULL, err);
    }
    return code == ZDM_OK ? pgsql_script(w->s, "SET LOCAL search_path = pg_catalog", NULL, err) : code;
}
