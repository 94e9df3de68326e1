/*
 * signals.c - who the server is now, and what the pacing listens to: the lag of the replicas.
 */
#include "agent/engine/postgresql/work.h"

#include <string.h>

enum { REPLICA_SILENT_MS = 12000 };

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

/* Forgets the marks that have been replayed and sets the newest one, unless there is no room: the oldest counts. */
static void mark_wal(struct pgsql_wal_marks *marks, int64_t now_ms, int64_t end, int64_t replayed)
{
    size_t done = 0;
    while (done < marks->n && marks->items[done].lsn <= replayed) {
        done++;
    }
    marks->n -= done;
    memmove(marks->items, marks->items + done, marks->n * sizeof marks->items[0]);
    bool known = marks->n > 0 && marks->items[marks->n - 1].lsn == end;
    if (end > replayed && !known && marks->n < PGSQL_WAL_MARKS_MAX) {
        marks->items[marks->n].at_ms = now_ms;
        marks->items[marks->n++].lsn = end;
    }
}

/* How long the oldest mark waited, as of the replica's last answer: an idle replica says what it has replayed only
 * every wal_receiver_status_interval (10 s). One that has been silent for longer counts as of now. */
static int64_t waited_ms(const struct pgsql_wal_marks *marks, int64_t now_ms, int64_t answered_ms_ago)
{
    int64_t as_of = answered_ms_ago > REPLICA_SILENT_MS ? now_ms : now_ms - answered_ms_ago;
    if (marks->n == 0 || as_of <= marks->items[0].at_ms) {
        return 0;
    }
    return as_of - marks->items[0].at_ms;
}

/* Of the replica that is furthest behind. replay_lag is NULL on one that has caught up and is idle. One whose state
 * this role may not see tells nothing, and counts as stale. A base backup is no replica. */
static enum zdm_code replica_lag(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] =
        "WITH replica AS (SELECT * FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup'),"
        " behind AS (SELECT replay_lsn, reply_time FROM replica WHERE replay_lsn IS NOT NULL ORDER BY 1 LIMIT 1)"
        " SELECT (SELECT coalesce(max(extract(epoch FROM replay_lag) * 1000), 0)::int8 FROM replica),"
        " (SELECT count(*) FROM replica WHERE state IS NULL), (pg_current_wal_lsn() - '0/0'::pg_lsn)::int8,"
        " (SELECT (replay_lsn - '0/0'::pg_lsn)::int8 FROM behind), (SELECT greatest(extract(epoch FROM"
        " clock_timestamp() - coalesce(reply_time, clock_timestamp())) * 1000, 0)::int8 FROM behind)";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    struct pgsql_wal_marks *marks = &w->s->wal_marks;
    enum zdm_code code = pgsql_query(w->s, sql, 0, NULL, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while reading pg_stat_replication");
    }
    int64_t lag_ms = pgsql_int(res, 0, 0), now_ms = pgsql_now_ms();
    if (pgsql_text(res, 0, 3) == NULL) {
        marks->n = 0;
    } else {
        mark_wal(marks, now_ms, pgsql_int(res, 0, 2), pgsql_int(res, 0, 3));
        int64_t waited = waited_ms(marks, now_ms, pgsql_int(res, 0, 4));
        lag_ms = waited > lag_ms ? waited : lag_ms;
    }
    struct zdm_signal *signal = add(w->result, "replica_lag_ms", lag_ms, w->op->max_replica_lag_ms);
    if (signal != NULL && pgsql_int(res, 0, 1) > 0) {
        signal->state = ZDM_SIGNAL_STALE;
    }
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
    return w->s->writable ? replica_lag(w, err) : ZDM_OK;
}
