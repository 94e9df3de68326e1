/*
 * hide.c - taking a column out of the application's sight: a rename, in one transaction with all that belongs to it
 * (database.md 8).
 *
 * First the very DROP that the purge will make is tried in a savepoint and rolled back, so that what depends on the
 * column is named now and not days later. Then, under the same lock: the sync triggers lose their forward half (or go,
 * when they are no copy), NOT NULL and the column's own constraints are dropped with their definitions kept in
 * zdm.hidden, the column is renamed and marked. Indexes without a constraint, defaults and grants stay, so that an
 * undo is one short transaction.
 */
#include "agent/engine/postgresql/ddl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/classify.h"
#include "agent/engine/postgresql/journal.h"
#include "agent/engine/postgresql/locks.h"
#include "agent/engine/postgresql/validate_sync.h"

static void put_alter(struct zdm_buffer *b, const struct pgsql_work *w)
{
    zdm_buffer_puts(b, "ALTER TABLE ");
    pgsql_put_table(b, &w->step->table);
}

/* Columns that identify rows, and tables that are published, cannot lose a name quietly. */
static enum zdm_code refuse_special(struct pgsql_work *w, const struct pgsql_table *table,
                                    const struct pgsql_column *column, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = $1::oid AND (indisprimary OR indisreplident)"
        " AND $2::int2 = ANY (indkey)), EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = $1::oid"
        " AND $2::int2 = ANY (partattrs)), (SELECT min(pubname) FROM pg_publication_tables WHERE schemaname = $3"
        " AND tablename = $4)";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {table->oid, column->number, table->schema, table->name};
    enum zdm_code code = pgsql_query(w->s, sql, 4, params, &res, err);
    if (code != ZDM_OK) {
        return code;
    }
    if (pgsql_true(res, 0, 0) || pgsql_true(res, 0, 1)) {
        return zdm_error_set(err, ZDM_REFUSED, "column %s is part of the %s of %s.%s", column->name,
                             pgsql_true(res, 0, 0) ? "primary key or replica identity" : "partition key", table->schema,
                             table->name);
    }
    if (pgsql_text(res, 0, 2) != NULL) {
        zdm_error_set(err, ZDM_REFUSED, "%s.%s is published in %s", table->schema, table->name, pgsql_text(res, 0, 2));
        zdm_error_detail(err, "A column that is renamed stops the subscribers.");
        return zdm_error_hint(err, "Take the table out of the publication first, or drop the column there first.");
    }
    return ZDM_OK;
}

/* The DROP that the purge will make, tried and taken back. */
static enum zdm_code trial_drop(struct pgsql_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    put_alter(&sql, w);
    zdm_buffer_puts(&sql, " DROP COLUMN ");
    pgsql_put_name(&sql, w->step->column);
    zdm_buffer_puts(&sql, " RESTRICT");
    enum zdm_code code = pgsql_script(w->s, "SAVEPOINT trial", NULL, err);
    if (code == ZDM_OK && w->step->sync_step != 0) {
        code = pgsql_sync_drop(w, w->step->sync_step, true, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    }
    if (code == ZDM_OK) {
        return pgsql_script(w->s, "ROLLBACK TO trial; RELEASE trial", NULL, err);
    }
    if (pgsql_is_dependency(err)) {
        /* The names are in the detail, one a line; only the message travels to status. */
        struct zdm_error server = *err;
        zdm_error_set(err, ZDM_REFUSED, "column %s cannot be hidden: %.400s", w->step->column, server.detail);
        zdm_error_detail(err, "%s", server.detail);
        return zdm_error_hint(err, "Drop or change what depends on the column first.");
    }
    return code;
}

static enum zdm_code keep(struct pgsql_work *w, const char *kind, const char *name, const char *definition,
                          bool validated, const char *comment, struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.hidden (migration, step, schema_name, table_name, kind, name, hidden_name, definition,"
        " validated, comment) VALUES ($1, $2::int4, $3, $4, $5, $6, $7, $8, $9::bool, $10)";
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *params[] = {w->op->migration,
                            step,
                            w->step->table.schema,
                            w->step->table.name,
                            kind,
                            name,
                            w->step->object,
                            definition,
                            validated ? "t" : "f",
                            comment};
    return pgsql_query(w->s, sql, 10, params, NULL, err);
}

/* Constraints over this column alone. The tables that foreign keys point at are locked by the DROP as well. */
static const char constraints_sql[] =
    "SELECT c.conname, pg_get_constraintdef(c.oid), c.convalidated, obj_description(c.oid, 'pg_constraint'),"
    " n.nspname, r.relname FROM pg_constraint c LEFT JOIN pg_class r ON r.oid = c.confrelid AND c.contype = 'f'"
    " LEFT JOIN pg_namespace n ON n.oid = r.relnamespace WHERE c.conrelid = $1::oid AND c.conkey = ARRAY[$2::int2]"
    " AND c.contype IN ('c', 'f', 'u', 'x') ORDER BY c.conname";

static enum zdm_code lock_parents(struct pgsql_short *attempt, const PGresult *constraints, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (int i = 0; code == ZDM_OK && i < PQntuples(constraints); i++) {
        struct pgsql_table parent;
        if (pgsql_text(constraints, i, 5) == NULL) {
            continue;
        }
        struct zdm_table name = {PQgetvalue(constraints, i, 4), PQgetvalue(constraints, i, 5)};
        code = pgsql_table_find(attempt->w->s, &name, &parent, err);
        if (code == ZDM_OK) {
            code = pgsql_short_lock(attempt, &parent, PGSQL_ACCESS_EXCLUSIVE, err);
        }
    }
    return code;
}

static enum zdm_code drop_constraints(struct pgsql_work *w, const PGresult *constraints, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (int i = 0; code == ZDM_OK && i < PQntuples(constraints); i++) {
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
        const char *name = pgsql_text(constraints, i, 0);
        code = keep(w, "constraint", name, pgsql_text(constraints, i, 1), pgsql_true(constraints, i, 2),
                    pgsql_text(constraints, i, 3), err);
        put_alter(&sql, w);
        zdm_buffer_puts(&sql, " DROP CONSTRAINT ");
        pgsql_put_name(&sql, name);
        if (code == ZDM_OK) {
            code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
        }
    }
    return code;
}

static enum zdm_code rename_column(struct pgsql_work *w, const struct pgsql_column *column, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    char mark[ZDM_NAME_MAX + 8];
    pgsql_owner_mark(mark, w->op->migration);
    enum zdm_code code =
        keep(w, "column", column->name, column->not_null ? "NOT NULL" : "NULL", true, column->comment, err);
    if (column->not_null) {
        put_alter(&sql, w);
        zdm_buffer_puts(&sql, " ALTER COLUMN ");
        pgsql_put_name(&sql, column->name);
        zdm_buffer_puts(&sql, " DROP NOT NULL;");
    }
    put_alter(&sql, w);
    zdm_buffer_puts(&sql, " RENAME COLUMN ");
    pgsql_put_name(&sql, column->name);
    zdm_buffer_puts(&sql, " TO ");
    pgsql_put_name(&sql, w->step->object);
    zdm_buffer_puts(&sql, "; COMMENT ON COLUMN ");
    pgsql_put_table(&sql, &w->step->table);
    zdm_buffer_puts(&sql, ".");
    pgsql_put_name(&sql, w->step->object);
    zdm_buffer_puts(&sql, " IS ");
    pgsql_put_literal(&sql, mark);
    return code == ZDM_OK ? pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err) : code;
}

/* After the rename: reverse-only functions for a copy; for anything else the triggers go, since what they read goes. */
static enum zdm_code turn_sync(struct pgsql_work *w, struct zdm_error *err)
{
    const struct zdm_step *sync = w->step->sync_step == 0 ? NULL : zdm_plan_step(w->op->plan, w->step->sync_step);
    struct pgsql_trigger_text text = {.insert_body = ZDM_BUFFER_INIT};
    struct pgsql_facts facts;
    if (sync == NULL || sync->derivation == NULL) {
        return ZDM_OK;
    }
    if (!sync->derivation->both_ways) {
        return pgsql_sync_drop(w, sync->ordinal, false, err);
    }
    enum zdm_code code = pgsql_facts_read(w, sync, w->step->ordinal, &facts, err);
    if (code == ZDM_OK) {
        pgsql_sync_mark_guards(&facts);
        code = pgsql_trigger_write_reverse(&facts, &text, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_sync_replace_functions(w, sync->ordinal, &facts, &text, err);
    }
    pgsql_trigger_text_fini(&text);
    pgsql_facts_fini(&facts);
    return code;
}

/* Everything under the lock. */
static enum zdm_code hide(struct pgsql_short *attempt, const struct pgsql_table *table,
                          const struct pgsql_column *column, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    ZDM_CLEANUP(pgsql_clearp) PGresult *constraints = NULL;
    const char *params[] = {table->oid, column->number};
    enum zdm_code code = pgsql_query(w->s, constraints_sql, 2, params, &constraints, err);
    if (code == ZDM_OK) {
        code = lock_parents(attempt, constraints, err);
    }
    if (code == ZDM_OK) {
        code = trial_drop(w, err);
    }
    if (code == ZDM_OK) {
        code = drop_constraints(w, constraints, err);
    }
    if (code == ZDM_OK) {
        code = rename_column(w, column, err);
    }
    return code == ZDM_OK ? turn_sync(w, err) : code;
}

static enum zdm_code hide_unless_done(struct pgsql_short *attempt, const struct pgsql_table *table,
                                      struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    struct pgsql_column column = {0};
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = pgsql_look(w, &proof, err);
    if (code == ZDM_OK && proof == AGENT_PROOF_FOREIGN) {
        return err->code;
    }
    if (code == ZDM_OK && proof == AGENT_PROOF_DONE) {
        w->result->outcome = AGENT_ALREADY;
        return ZDM_OK;
    }
    if (code == ZDM_OK) {
        code = pgsql_column_find(w->s, table, w->step->column, &column, err);
    }
    if (code == ZDM_OK) {
        code = refuse_special(w, table, &column, err);
    }
    if (code == ZDM_OK) {
        code = hide(attempt, table, &column, err);
    }
    pgsql_column_fini(&column);
    return code;
}

enum zdm_code pgsql_run_hide(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_table table;
    struct pgsql_short attempt;
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &table, err);
    if (code == ZDM_OK) {
        code = pgsql_short_begin(&attempt, w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_short_lock(&attempt, &table, PGSQL_ACCESS_EXCLUSIVE, err);
    }
    if (code == ZDM_OK) {
        code = hide_unless_done(&attempt, &table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_step_on(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}
