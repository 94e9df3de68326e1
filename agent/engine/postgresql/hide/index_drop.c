/*
 * index_drop.c - DROP INDEX of a plan (database.md 23): nothing happens until the purge, since no server of PostgreSQL
 * can hide an index; until then it is watched whether anybody still uses it.
 */
#include "agent/engine/postgresql/online/index.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/hide/hidden.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/change/lift.h"

/* The index that the step names. */
struct named {
    bool there, partitioned, attached, identity, same;
    char table_schema[ZDM_IDENTIFIER_MAX + 1], table[ZDM_IDENTIFIER_MAX + 1];
    char constraint[ZDM_IDENTIFIER_MAX + 1]; /* that it belongs to, "" for none */
    char dependents[ZDM_MESSAGE_MAX - 100];
};

static enum zdm_code find(struct pgsql_work *w, struct named *out, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT c.relkind = 'I', c.relispartition, i.indisreplident, tn.nspname, t.relname,"
        " coalesce((SELECT min(k.conname) FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u',"
        " 'x')), ''), coalesce((SELECT string_agg(pg_describe_object(d.classid, d.objid, d.objsubid), ', ' ORDER BY"
        " d.objid) FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.deptype ="
        " 'n'), ''), EXISTS (SELECT FROM zdm.hidden h WHERE h.migration = $3 AND h.kind = 'index' AND h.schema_name ="
        " $1 AND h.name = $2 AND h.definition = pg_get_indexdef(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid ="
        " c.relnamespace JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_class t ON t.oid = i.indrelid"
        " JOIN pg_namespace tn ON tn.oid = t.relnamespace WHERE n.nspname = $1 AND c.relname = $2";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {w->step->table.schema, w->step->object, w->op->migration};
    enum zdm_code code = pgsql_query(w->s, sql, 3, params, &res, err);
    *out = (struct named){.there = code == ZDM_OK && PQntuples(res) > 0};
    if (!out->there) {
        return code;
    }
    out->partitioned = pgsql_true(res, 0, 0);
    out->attached = pgsql_true(res, 0, 1);
    out->identity = pgsql_true(res, 0, 2);
    zdm_copy_text(out->table_schema, sizeof out->table_schema, pgsql_text(res, 0, 3));
    zdm_copy_text(out->table, sizeof out->table, pgsql_text(res, 0, 4));
    zdm_copy_text(out->constraint, sizeof out->constraint, pgsql_text(res, 0, 5));
    (void)zdm_copy_text(out->dependents, sizeof out->dependents, pgsql_text(res, 0, 6));
    out->same = pgsql_true(res, 0, 7);
    return ZDM_OK;
}

static enum zdm_code has_row(struct pgsql_work *w, bool *out, struct zdm_error *err)
{
    static const char sql[] = "SELECT EXISTS (SELECT FROM zdm.hidden WHERE migration = $1 AND kind = 'index' AND"
                              " schema_name = $2 AND name = $3)";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {w->op->migration, w->step->table.schema, w->step->object};
    enum zdm_code code = pgsql_query(w->s, sql, 3, params, &res, err);
    *out = code == ZDM_OK && pgsql_true(res, 0, 0);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while reading zdm.hidden");
}

static enum zdm_code forget_row(struct pgsql_work *w, struct zdm_error *err)
{
    const char *params[] = {w->op->migration, w->step->table.schema, w->step->object};
    return pgsql_query(w->s,
                       "DELETE FROM zdm.hidden WHERE migration = $1 AND kind = 'index' AND schema_name = $2 AND name ="
                       " $3",
                       3, params, NULL, err);
}

static enum zdm_code refuse(struct pgsql_work *w, const struct named *index, struct zdm_error *err)
{
    const char *schema = w->step->table.schema, *name = w->step->object;
    if (!index->there) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "index %s.%s does not exist", schema, name);
    }
    if (index->constraint[0] != '\0') {
        zdm_error_set(err, ZDM_REFUSED, "index %s.%s belongs to constraint %s of %s.%s", schema, name,
                      index->constraint, index->table_schema, index->table);
        return zdm_error_hint(err, "Drop the constraint: ALTER TABLE %s.%s DROP CONSTRAINT %s.", index->table_schema,
                              index->table, index->constraint);
    }
    if (index->identity) {
        zdm_error_set(err, ZDM_REFUSED, "index %s.%s is the replica identity of %s.%s", schema, name,
                      index->table_schema, index->table);
        return zdm_error_hint(err, "Give the table another REPLICA IDENTITY first.");
    }
    if (index->attached) {
        zdm_error_set(err, ZDM_REFUSED, "index %s.%s is part of the index of a partitioned table", schema, name);
        return zdm_error_hint(err, "Drop the index of the partitioned table.");
    }
    if (index->dependents[0] != '\0') {
        zdm_error_set(err, ZDM_REFUSED, "index %s.%s is needed by %s", schema, name, index->dependents);
        return zdm_error_hint(err, "Drop what depends on the index first.");
    }
    return ZDM_OK;
}

/* With how often it was used until now, on this node. */
static enum zdm_code keep(struct pgsql_work *w, const struct named *index, struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.hidden (migration, step, schema_name, table_name, kind, name, hidden_name, definition,"
        " validated, comment, parent_schema, scans) SELECT $1::text, $2::int4, $3::text, $4::text, 'index', $5::text,"
        " $5::text, pg_get_indexdef(c.oid), true, obj_description(c.oid, 'pg_class'), $6::text,"
        " (SELECT coalesce(sum(pg_stat_get_numscans(x.oid)), 0) FROM (SELECT c.oid UNION"
        " SELECT relid::oid FROM pg_partition_tree(c.oid::regclass)) AS x) FROM pg_class c JOIN pg_namespace n ON n.oid"
        " = c.relnamespace WHERE n.nspname = $3 AND c.relname = $5"
        " ON CONFLICT (migration, step, hidden_name, kind, name) DO NOTHING";
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *params[] = {w->op->migration,   step, w->step->table.schema, index->table, w->step->object,
                            index->table_schema};
    enum zdm_code code = pgsql_query(w->s, sql, 6, params, NULL, err);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while writing zdm.hidden");
}

enum zdm_code pgsql_index_look_hidden(struct pgsql_work *w, const struct pgsql_table *table,
                                      enum agent_proof *out_proof, struct zdm_error *err)
{
    bool row = false;
    (void)table;
    enum zdm_code code = has_row(w, &row, err);
    *out_proof = row ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
    return code;
}

enum zdm_code pgsql_index_look_purged(struct pgsql_work *w, const struct pgsql_table *table,
                                      enum agent_proof *out_proof, struct zdm_error *err)
{
    struct named index;
    bool row = false;
    (void)table;
    enum zdm_code code = find(w, &index, err);
    if (code == ZDM_OK) {
        code = has_row(w, &row, err);
    }
    *out_proof = index.there || row ? AGENT_PROOF_NOT_DONE : AGENT_PROOF_DONE;
    return code;
}

/* A short transaction that needs no lock on any table. */
static enum zdm_code in_transaction(struct pgsql_work *w,
                                    enum zdm_code (*part)(struct pgsql_work *, struct zdm_error *), bool step_on,
                                    struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin(w->s, "SET LOCAL lock_timeout = 100;", err);
    if (code == ZDM_OK) {
        code = part(w, err);
    }
    if (code == ZDM_OK) {
        code = step_on ? pgsql_journal_step_on(w, err) : pgsql_journal_hold(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

static enum zdm_code hide(struct pgsql_work *w, struct zdm_error *err)
{
    struct named index;
    bool row = false;
    enum zdm_code code = has_row(w, &row, err);
    if (code == ZDM_OK && row) {
        w->result->outcome = AGENT_ALREADY;
        return ZDM_OK;
    }
    if (code == ZDM_OK) {
        code = find(w, &index, err);
    }
    if (code == ZDM_OK) {
        code = refuse(w, &index, err);
    }
    return code == ZDM_OK ? keep(w, &index, err) : code;
}

enum zdm_code pgsql_index_run_hide(struct pgsql_work *w, struct zdm_error *err)
{
    return in_transaction(w, hide, true, err);
}

enum zdm_code pgsql_index_run_unhide(struct pgsql_work *w, struct zdm_error *err)
{
    return in_transaction(w, forget_row, false, err);
}

/* The server drops a partitioned index with all its parts at once, under a lock that is held for a moment only. */
static enum zdm_code drop_partitioned(struct pgsql_work *w, struct named *index, struct zdm_error *err)
{
    struct pgsql_short attempt;
    struct pgsql_table table;
    struct zdm_table name = {index->table_schema, index->table};
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "DROP INDEX ");
    pgsql_put_table(&sql, &(struct zdm_table){w->step->table.schema, w->step->object});
    zdm_buffer_puts(&sql, " RESTRICT");
    enum zdm_code code = pgsql_table_find(w->s, &name, &table, err);
    if (code == ZDM_OK) {
        code = pgsql_short_begin(&attempt, w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_short_lock(&attempt, &table, PGSQL_ACCESS_EXCLUSIVE, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    }
    if (code == ZDM_OK) {
        code = forget_row(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_step_on(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

/* Not the one that was there when its grace began: dropping it would be a loss that nobody has approved. */
static enum zdm_code need_same(struct pgsql_work *w, const struct named *index, struct zdm_error *err)
{
    if (!index->there || index->same) {
        return ZDM_OK;
    }
    zdm_error_set(err, ZDM_EXISTS, "index %s.%s is not the one that was to be dropped", w->step->table.schema,
                  w->step->object);
    return zdm_error_hint(err, "It was made anew since. Drop it yourself, or let it be and stop the purge.");
}

static enum zdm_code drop(struct pgsql_work *w, struct named *index, struct zdm_error *err)
{
    char what[ZDM_IDENTIFIER_MAX + 16];
    if (index->there && index->partitioned) {
        return drop_partitioned(w, index, err);
    }
    enum zdm_code code = index->there ? pgsql_index_check_fence(w, err) : ZDM_OK;
    if (code == ZDM_OK && index->there) {
        code = pgsql_index_drop_concurrently(w, w->step->object, err);
    }
    if (code != ZDM_OK) {
        snprintf(what, sizeof what, "index %s", w->step->object);
        return pgsql_lift_explain(what, "dropped", err);
    }
    return in_transaction(w, forget_row, true, err);
}

enum zdm_code pgsql_index_run_purge(struct pgsql_work *w, struct zdm_error *err)
{
    const char *const values[] = {w->op->migration, w->step->table.schema, w->step->object};
    struct named index;
    bool due = false;
    enum zdm_code code = pgsql_hidden_is_due(w, "migration = $2 AND kind = 'index' AND schema_name = $3 AND name = $4",
                                             3, values, &due, err);
    if (code != ZDM_OK || !due) {
        return code;
    }
    code = find(w, &index, err);
    if (code == ZDM_OK) {
        code = need_same(w, &index, err);
    }
    /* What became of it during its grace: a constraint's, the replica identity, … */
    if (code == ZDM_OK && index.there) {
        code = refuse(w, &index, err);
    }
    return code == ZDM_OK ? drop(w, &index, err) : code;
}
