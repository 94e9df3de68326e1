/*
 * signals.c - who the server is now, and what the pacing listens to: the lag of the replicas, and the
 * WAL that slots keep.
 */
#include "agent/engine/postgresql/watch.h"

#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/walk/images.h"

static struct zdm_signal *add(struct agent_result *r, const char *name, int64_t value, int64_t limit)
{
    if (r->n_signals == ZDM_SIGNALS_MAX) {
        return NULL;
    }
    struct zdm_signal *signal = &r->signals[r->n_signals++];
    zdm_copy_text(signal->name, sizeof signal->name, name);
    signal->value = value;
    signal->limit = limit;
    signal->state = limit > 0 && value > limit ? ZDM_SIGNAL_BAD : ZDM_SIGNAL_OK;
    return signal;
}

/* replay_lag is NULL on a replica that has caught up and is idle. One that hangs gives no answer, and replay_lag stays
 * as it was: it lags for as long as it has been silent, beyond the 10 s that an idle one may be
 * (wal_receiver_status_interval). One whose state this role may not see tells nothing, and counts as stale. A base
 * backup is no replica. */
static enum zdm_code replica_lag(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] =
        "WITH replica AS (SELECT state, replay_lag, replay_lsn, clock_timestamp() - reply_time AS silent"
        " FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup')"
        " SELECT coalesce(max(extract(epoch FROM greatest(replay_lag, CASE WHEN silent > interval '12 s'"
        " AND replay_lsn < pg_current_wal_lsn() THEN silent END)) * 1000), 0)::int8,"
        " count(*) FILTER (WHERE state IS NULL) FROM replica";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 0, NULL, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while reading pg_stat_replication");
    }
    struct zdm_signal *signal = add(w->result, "replica_lag_ms", pgsql_int(res, 0, 0), w->op->max_replica_lag_ms);
    if (signal != NULL && pgsql_int(res, 0, 1) > 0) {
        signal->state = ZDM_SIGNAL_STALE;
    }
    return ZDM_OK;
}

/* The one that keeps most: what batches write it keeps as well, until the disk is full (database.md 11). One that the
 * server has given up keeps nothing. Where there is no slot, there is no such signal. */
static enum zdm_code slot_wal(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT (pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) / 1048576)::int8, 'slot_wal_mb:' || slot_name FROM"
        " pg_replication_slots WHERE restart_lsn IS NOT NULL AND wal_status IS DISTINCT FROM 'lost' ORDER BY"
        " restart_lsn, slot_name LIMIT 1";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 0, NULL, &res, err);
    if (code == ZDM_OK && PQntuples(res) > 0) {
        (void)add(w->result, pgsql_text(res, 0, 1), pgsql_int(res, 0, 0), w->op->max_slot_wal_mb);
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while reading pg_replication_slots");
}

/* A table of before-images or of deleted rows is hidden since its last batch. */
static enum zdm_code read_hidden(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT h.migration, CASE kind WHEN 'column' THEN format('column %s.%s.%s', schema_name, table_name, name)"
        " WHEN 'index' THEN format('index %s.%s', schema_name, name)"
        " WHEN 'table' THEN format('table %s.%s', schema_name, table_name)"
        " WHEN 'type' THEN format('type %s.%s', schema_name, name)"
        " ELSE format('%s of %s.%s (%s)', CASE definition WHEN '" PGSQL_HOLDS_ROWS "' THEN 'deleted rows' ELSE"
        " 'before-images' END, schema_name, table_name, "
        "coalesce(pg_size_pretty(pg_total_relation_size(to_regclass(format('zdm.%I', name)))), 'gone')) END,"
        " (extract(epoch FROM hidden_at) * 1000)::int8, by_rollback, CASE WHEN kind = 'index' THEN coalesce((SELECT"
        " CASE WHEN now.scans < h.scans THEN now.scans ELSE now.scans - h.scans END FROM (SELECT sum("
        "pg_stat_get_numscans(x.oid)) AS scans FROM (SELECT c.oid FROM (SELECT to_regclass(format('%I.%I', schema_name,"
        " name))::oid AS oid) AS c UNION SELECT relid::oid FROM pg_partition_tree(to_regclass(format('%I.%I',"
        " schema_name, name)))) AS x) AS now), 0) + coalesce((SELECT sum(last_seen - first_seen) FROM zdm.index_scans s"
        " WHERE s.migration = h.migration AND s.step = h.step), 0) ELSE -1 END"
        " FROM zdm.hidden h WHERE kind IN ('column', 'images', 'index', 'table', 'type') ORDER BY hidden_at, name";
    ZDM_CLEANUP(pgsql_clearp) PGresult *there = NULL;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, "SELECT to_regclass('zdm.hidden') IS NOT NULL", 0, NULL, &there, err);
    if (code != ZDM_OK || !pgsql_true(there, 0, 0)) {
        return code;
    }
    code = w->s->writable ? pgsql_watch_indexes(w, err) : ZDM_OK;
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, sql, 0, NULL, &res, err);
    }
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while reading zdm.hidden");
    }
    size_t n = (size_t)PQntuples(res);
    struct agent_hidden *hidden = calloc(n == 0 ? 1 : n, sizeof *hidden);
    if (hidden == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < n; i++) {
        zdm_copy_text(hidden[i].migration, sizeof hidden[i].migration, pgsql_text(res, (int)i, 0));
        zdm_copy_text(hidden[i].what, sizeof hidden[i].what, pgsql_text(res, (int)i, 1));
        hidden[i].hidden_at_ms = pgsql_int(res, (int)i, 2);
        hidden[i].by_rollback = pgsql_true(res, (int)i, 3);
        hidden[i].scans = pgsql_int(res, (int)i, 4);
    }
    w->result->hidden = hidden;
    w->result->n_hidden = n;
    return ZDM_OK;
}

enum zdm_code pgsql_signals(struct pgsql_work *w, struct zdm_error *err)
{
    enum zdm_code code = pgsql_identify(w->s, err);
    if (code != ZDM_OK) {
        return code;
    }
    struct agent_result *r = w->result;
    r->writable = w->s->writable;
    r->timeline = w->s->timeline;
    zdm_copy_text(r->identity, sizeof r->identity, w->s->identity);
    zdm_copy_text(r->server_version, sizeof r->server_version, w->s->version);
    if (w->s->writable) {
        code = pgsql_watch_syncs(w, err);
    }
    if (code == ZDM_OK) {
        code = read_hidden(w, err);
    }
    if (code == ZDM_OK && w->s->writable) {
        code = replica_lag(w, err);
    }
    return code == ZDM_OK && w->s->writable ? slot_wal(w, err) : code;
}
