/*
 * index_owner.c - whose an index is: the mark in its comment, and before there can be one the intent in zdm.owned.
 *
 * The intent is journalled before the build and ends in the transaction that writes the mark, or when there is no index
 * any more. Whoever finds the index done writes the mark: the agent that built it may be gone.
 */
#include "agent/engine/postgresql/online/index.h"

#include <inttypes.h>
#include <stdio.h>

#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/journal/journal.h"

enum zdm_code pgsql_index_read(struct pgsql_work *w, const struct pgsql_table *table, const char *name,
                               struct pgsql_index *out, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT i.indrelid IS NOT NULL AND i.indrelid = $3::oid, coalesce(i.indisvalid AND i.indisready, false),"
        " " PGSQL_INDEX_IS_OURS("c", "$1", "$2", "$4::text") ", " PGSQL_INDEX_IS_MARKED(
            "c", "$4::text") ","
                             " (SELECT format('pid %s, building the index: %s', p.pid, p.phase) FROM "
                             "pg_stat_progress_create_index p"
                             " WHERE p.index_relid = c.oid AND p.pid <> pg_backend_pid() LIMIT 1)"
                             " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON "
                             "i.indexrelid = c.oid"
                             " WHERE n.nspname = $1 AND c.relname = $2";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {w->step->table.schema, name, table->oid, w->op->migration};
    enum zdm_code code = pgsql_query(w->s, sql, 4, params, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while looking at index %s", name);
    }
    *out = (struct pgsql_index){.there = PQntuples(res) > 0};
    if (out->there) {
        out->of_table = pgsql_true(res, 0, 0);
        out->valid = pgsql_true(res, 0, 1);
        out->owned = pgsql_true(res, 0, 2);
        out->marked = pgsql_true(res, 0, 3);
        out->building = pgsql_text(res, 0, 4) != NULL;
        zdm_copy_text(out->builder, sizeof out->builder, out->building ? pgsql_text(res, 0, 4) : "");
    }
    return ZDM_OK;
}

enum zdm_code pgsql_index_foreign(const struct pgsql_work *w, const char *name, struct zdm_error *err)
{
    zdm_error_set(err, ZDM_EXISTS, "index %s.%s is there and was not made by this migration", w->step->table.schema,
                  name);
    return zdm_error_hint(err, "Rename it or drop it, or choose another name.");
}

/* ---- The intent ---- */

/* Under the fence, and only while the name is free. */
enum zdm_code pgsql_index_intend(struct pgsql_work *w, const char *name, struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.owned (migration, step, kind, schema_name, object) VALUES ($1, $2::int4, 'index', $3, $4)"
        " ON CONFLICT (kind, schema_name, object) DO UPDATE SET migration = excluded.migration,"
        " step = excluded.step, since = now()";
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *params[] = {w->op->migration, step, w->step->table.schema, name};
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, sql, 4, params, NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    return code == ZDM_OK ? pgsql_commit(w->s, err) : code;
}

enum zdm_code pgsql_index_forget(struct pgsql_work *w, const char *name, struct zdm_error *err)
{
    const char *params[] = {w->op->migration, w->step->table.schema, name};
    enum zdm_code code = pgsql_begin(w->s, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_query(w->s,
                           "DELETE FROM zdm.owned WHERE kind = 'index' AND migration = $1 AND schema_name = $2"
                           " AND object = $3",
                           3, params, NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

void pgsql_index_build_failed(struct pgsql_work *w, const struct pgsql_table *table, const char *name,
                              const struct zdm_error *err)
{
    struct pgsql_index state;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    bool final = pgsql_is_violation(err) || pgsql_is_final(err->code);
    if (!final || pgsql_index_read(w, table, name, &state, &ignored) != ZDM_OK || state.there) {
        return;
    }
    if (pgsql_index_forget(w, name, &ignored) != ZDM_OK) {
        pgsql_rollback(w->s); /* the next attempt forgets it */
    }
}

/* ---- The mark ---- */

static enum zdm_code mark(struct pgsql_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    char text[ZDM_NAME_MAX + 8];
    pgsql_owner_mark(text, w->op->migration);
    zdm_buffer_puts(&sql, "COMMENT ON INDEX ");
    pgsql_put_table(&sql, &(struct zdm_table){w->step->table.schema, w->step->object});
    zdm_buffer_puts(&sql, " IS ");
    pgsql_put_literal(&sql, text);
    return pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
}

/* The comment says from here on what the intent said. Those for leaves that are gone are over too. */
static enum zdm_code end_intents(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] =
        "DELETE FROM zdm.owned o WHERE kind = 'index' AND migration = $1 AND ((schema_name = $2 AND object = $3) OR"
        " (step = $4::int4 AND NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE"
        " n.nspname = o.schema_name AND c.relname = o.object)))";
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *params[] = {w->op->migration, w->step->table.schema, w->step->object, step};
    return pgsql_query(w->s, sql, 4, params, NULL, err);
}

enum zdm_code pgsql_index_settle(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_index state;
    enum zdm_code code = pgsql_index_read(w, table, w->step->object, &state, err);
    if (code == ZDM_OK && !(state.there && state.valid && state.owned && state.of_table)) {
        return zdm_error_set(err, ZDM_UNKNOWN, "index %s.%s is not there any more as it was seen",
                             w->step->table.schema, w->step->object);
    }
    if (code == ZDM_OK && !state.marked) {
        code = mark(w, err);
    }
    return code == ZDM_OK ? end_intents(w, err) : code;
}

enum zdm_code pgsql_index_finish(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin(w->s, "SET LOCAL lock_timeout = 100;", err);
    if (code == ZDM_OK) {
        code = pgsql_index_settle(w, table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_step_on(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}

/* Whoever built it may be gone: the mark is written by whoever finds it done. */
enum zdm_code pgsql_index_step_done(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_table table;
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &table, err);
    return code == ZDM_OK ? pgsql_index_finish(w, &table, err) : code;
}

enum zdm_code pgsql_index_drop_built_again(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    static const char find[] =
        "SELECT n.nspname, c.relname FROM zdm.owned o JOIN pg_namespace n ON n.nspname = o.schema_name JOIN pg_class c"
        " ON c.relnamespace = n.oid AND c.relname = o.object JOIN pg_index i ON i.indexrelid = c.oid WHERE o.kind ="
        " 'index' AND o.migration = $1 AND o.step = $2::int4 AND i.indrelid = $3::oid AND NOT EXISTS (SELECT FROM"
        " pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))";
    static const char forget[] = "DELETE FROM zdm.owned WHERE kind = 'index' AND migration = $1 AND step = $2::int4";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *params[] = {w->op->migration, step, table->oid};
    enum zdm_code code = pgsql_query(w->s, find, 3, params, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
        zdm_buffer_puts(&sql, "DROP INDEX ");
        pgsql_put_table(&sql, &(struct zdm_table){PQgetvalue(res, i, 0), PQgetvalue(res, i, 1)});
        zdm_buffer_puts(&sql, " RESTRICT");
        code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    }
    return code == ZDM_OK ? pgsql_query(w->s, forget, 2, params, NULL, err) : code;
}
