/*
 * watch.c - triggers that are not what they were, and indexes that are used after all (watch.h).
 */
#include "agent/engine/postgresql/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/session/replica.h"

/* Each trigger of each sync on each table of its tree. Where its function is gone too, it was taken away on purpose.
 * The last test finds a trigger of the application that fires behind ours and may change what they derived. */
static const char note_sql[] =
    "WITH tree AS (SELECT s.*, c.oid AS rel FROM zdm.sync s CROSS JOIN LATERAL (SELECT to_regclass(format('%I.%I',"
    " s.schema_name, s.table_name))::oid AS root) r CROSS JOIN LATERAL (SELECT r.root AS oid UNION"
    " SELECT relid::oid FROM pg_partition_tree(r.root::regclass)) c WHERE r.root IS NOT NULL),"
    " seen AS (SELECT tree.*, t.tgname, t.tgenabled, encode(sha256(convert_to(p.prosrc || coalesce(array_to_string("
    "p.proconfig, chr(10)), ''), 'UTF8')), 'hex') AS hash, (SELECT o.tgname FROM pg_trigger o JOIN pg_proc f ON f.oid ="
    " o.tgfoid WHERE o.tgrelid = tree.rel AND NOT o.tgisinternal AND o.tgtype & 3 = 3 AND o.tgtype & t.tgtype & 20 <> 0"
    " AND f.pronamespace <> p.pronamespace AND o.tgname::text COLLATE \"C\" > t.tgname::text LIMIT 1) AS behind"
    " FROM tree JOIN pg_proc p ON p.proname = tree.function_name AND p.pronamespace = to_regnamespace('zdm')"
    " LEFT JOIN pg_trigger t ON t.tgrelid = tree.rel AND t.tgname = tree.trigger_name),"
    " wrong AS (SELECT *, CASE WHEN tgname IS NULL THEN format('trigger %s of %s is gone', trigger_name, rel::regclass)"
    " WHEN tgenabled <> 'A' THEN format('trigger %s of %s is %s', trigger_name, rel::regclass, CASE tgenabled WHEN 'D'"
    " THEN 'disabled' ELSE 'not in force for every session' END)"
    " WHEN hash <> function_hash THEN format('function zdm.%s was changed', function_name)"
    " WHEN behind IS NOT NULL THEN format('trigger %s of %s fires behind it', behind, rel::regclass) END AS what"
    " FROM seen)"
    " INSERT INTO zdm.interrupted AS i (migration, step, schema_name, table_name, what)"
    " SELECT DISTINCT ON (migration, step) migration, step, schema_name, table_name, what FROM wrong"
    " WHERE what IS NOT NULL ORDER BY migration, step, what"
    " ON CONFLICT (migration, step) DO UPDATE SET what = excluded.what, last_at = clock_timestamp()";

static enum zdm_code list_interrupted(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] = "SELECT migration, step, what, (extract(epoch FROM first_at) * 1000)::int8 FROM"
                              " zdm.interrupted ORDER BY migration, step";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 0, NULL, &res, err);
    size_t n = code == ZDM_OK ? (size_t)PQntuples(res) : 0;
    if (n == 0) {
        return code;
    }
    w->result->interrupted = calloc(n, sizeof *w->result->interrupted);
    if (w->result->interrupted == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    w->result->n_interrupted = n;
    for (size_t i = 0; i < n; i++) {
        struct agent_interrupted *one = &w->result->interrupted[i];
        zdm_copy_text(one->migration, sizeof one->migration, pgsql_text(res, (int)i, 0));
        one->step = (uint32_t)pgsql_int(res, (int)i, 1);
        zdm_copy_text(one->what, sizeof one->what, pgsql_text(res, (int)i, 2));
        one->first_ms = pgsql_int(res, (int)i, 3);
    }
    return ZDM_OK;
}

static enum zdm_code list_compared(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] = "SELECT migration, step, rows_left FROM zdm.compared ORDER BY migration, step";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 0, NULL, &res, err);
    size_t n = code == ZDM_OK ? (size_t)PQntuples(res) : 0;
    if (n == 0) {
        return code;
    }
    w->result->compared = calloc(n, sizeof *w->result->compared);
    if (w->result->compared == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    w->result->n_compared = n;
    for (size_t i = 0; i < n; i++) {
        struct agent_compared *one = &w->result->compared[i];
        zdm_copy_text(one->migration, sizeof one->migration, pgsql_text(res, (int)i, 0));
        one->step = (uint32_t)pgsql_int(res, (int)i, 1);
        one->rows_left = pgsql_int(res, (int)i, 2);
    }
    return ZDM_OK;
}

enum zdm_code pgsql_watch_syncs(struct pgsql_work *w, struct zdm_error *err)
{
    static const char there_sql[] = "SELECT to_regclass('zdm.interrupted') IS NOT NULL";
    ZDM_CLEANUP(pgsql_clearp) PGresult *there = NULL;
    enum zdm_code code = pgsql_query(w->s, there_sql, 0, NULL, &there, err);
    if (code != ZDM_OK || !pgsql_true(there, 0, 0)) {
        return code;
    }
    code = pgsql_query(w->s, note_sql, 0, NULL, NULL, err);
    if (code == ZDM_OK) {
        code = list_interrupted(w, err);
    }
    if (code == ZDM_OK) {
        code = list_compared(w, err);
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while looking at the triggers");
}

enum zdm_code pgsql_watch_compared(struct pgsql_work *w, bool *out_interrupted, struct zdm_error *err)
{
    static const char sql[] = "SELECT EXISTS (SELECT FROM zdm.interrupted WHERE migration = $1 AND schema_name = $2 AND"
                              " table_name = $3)";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {w->op->migration, w->step->table.schema, w->step->table.name};
    enum zdm_code code = pgsql_query(w->s, sql, 3, params, &res, err);
    *out_interrupted = code == ZDM_OK && pgsql_true(res, 0, 0);
    return code;
}

enum zdm_code pgsql_watch_forget(struct pgsql_work *w, int64_t began_ms_ago, struct zdm_error *err)
{
    static const char sql[] =
        "DELETE FROM zdm.interrupted i WHERE i.migration = $1 AND i.schema_name = $3 AND i.table_name = $4 AND"
        " i.last_at < least((SELECT c.began_at FROM zdm.compared c WHERE c.migration = $1 AND c.step = $2::int4),"
        " clock_timestamp() - $5::int8 * interval '1 ms')";
    char step[16], ago[24];
    (void)snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    (void)snprintf(ago, sizeof ago, "%" PRId64, began_ms_ago);
    const char *params[] = {w->op->migration, step, w->step->table.schema, w->step->table.name, ago};
    return pgsql_query(w->s, sql, 5, params, NULL, err);
}

enum zdm_code pgsql_watch_note(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.interrupted AS i (migration, step, schema_name, table_name, what) VALUES ($1, $2::int4, $3,"
        " $4, format('triggers of %I.%I were not what was installed', $3::text, $4::text)) ON CONFLICT (migration,"
        " step) DO UPDATE SET last_at = clock_timestamp()";
    char step[16];
    (void)snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *params[] = {w->op->migration, step, w->step->table.schema, w->step->table.name};
    return pgsql_query(w->s, sql, 4, params, NULL, err);
}

enum zdm_code pgsql_run_let_pass(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] =
        "DELETE FROM zdm.interrupted WHERE migration = $1 AND schema_name = $2 AND table_name = $3";
    const char *params[] = {w->op->migration, w->step->table.schema, w->step->table.name};
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, sql, 3, params, NULL, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

/* ---- Indexes that are to be dropped ---- */

/* A count that fell was reset, or the node was made anew: what was counted until then stays counted. */
static enum zdm_code keep_scans(struct pgsql_work *w, const PGresult *index, int row, const char *node,
                                const char *scans, struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.index_scans AS s (migration, step, node, first_seen, last_seen) VALUES ($1, $2::int4, $3,"
        " $4::int8, $4::int8) ON CONFLICT (migration, step, node) DO UPDATE SET first_seen = s.first_seen - CASE WHEN"
        " excluded.last_seen < s.last_seen THEN s.last_seen ELSE 0 END, last_seen = excluded.last_seen,"
        " seen_at = clock_timestamp() WHERE s.last_seen <> excluded.last_seen";
    const char *params[] = {pgsql_text(index, row, 0), pgsql_text(index, row, 1), node, scans};
    return pgsql_query(w->s, sql, 4, params, NULL, err);
}

static enum zdm_code count_there(struct pgsql_work *w, struct pgsql_replica *replica, const PGresult *indexes,
                                 struct zdm_error *err)
{
    enum { LIMIT_MS = 500 };
    enum zdm_code code = ZDM_OK;
    for (int i = 0; code == ZDM_OK && i < PQntuples(indexes) && pgsql_is_open(&replica->session); i++) {
        static const char sql[] = "SELECT coalesce(sum(pg_stat_get_numscans(x.oid)), 0)::int8"
                                  " FROM unnest($1::oid[]) AS x(oid)";
        ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
        struct zdm_error trouble = ZDM_ERROR_INIT;
        struct pgsql_session *s = pgsql_replica_session(replica, LIMIT_MS);
        const char *params[] = {pgsql_text(indexes, i, 2)};
        if (pgsql_query(s, sql, 1, params, &res, &trouble) == ZDM_OK) {
            code = keep_scans(w, indexes, i, replica->name, pgsql_text(res, 0, 0), err);
        } else {
            pgsql_replica_failed(replica, &trouble);
        }
    }
    return code;
}

enum zdm_code pgsql_watch_indexes(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT h.migration, h.step, (SELECT array_agg(x.oid) FROM (SELECT c.oid UNION SELECT relid::oid FROM"
        " pg_partition_tree(c.oid::regclass)) AS x) FROM zdm.hidden h JOIN pg_class c ON c.oid = to_regclass(format("
        "'%I.%I', h.schema_name, h.name)) WHERE h.kind = 'index'";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    if (w->replicas->n == 0) {
        return ZDM_OK;
    }
    enum zdm_code code = pgsql_query(w->s, sql, 0, NULL, &res, err);
    if (code == ZDM_OK && PQntuples(res) > 0) {
        pgsql_replicas_open(w);
        for (size_t i = 0; code == ZDM_OK && i < w->replicas->n; i++) {
            code = count_there(w, &w->replicas->each[i], res, err);
        }
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while counting scans of indexes");
}
