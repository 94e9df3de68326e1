/*
 * trash_run.c - HIDE_TABLE and PURGE_TABLE: what would stop the real DROP is said now and not after the grace.
 */
#include "agent/engine/postgresql/hide/trash.h"

#include <stdio.h>

#include "agent/engine/postgresql/hide/hidden.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/change/lift.h"

/* The DROP that the purge will make, tried and taken back. Foreign keys of other tables, views and the like stop it. */
static enum zdm_code trial_drop(struct pgsql_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    char what[ZDM_IDENTIFIER_MAX + 16];
    zdm_buffer_puts(&sql, "DROP TABLE ");
    pgsql_put_table(&sql, &w->step->table);
    zdm_buffer_puts(&sql, " RESTRICT");
    enum zdm_code code = pgsql_script(w->s, "SAVEPOINT trial", NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    }
    if (code == ZDM_OK) {
        return pgsql_script(w->s, "ROLLBACK TO trial; RELEASE trial", NULL, err);
    }
    snprintf(what, sizeof what, "table %s", w->step->table.name);
    return pgsql_lift_explain(what, "hidden", err);
}

static enum zdm_code refuse_shape(const struct pgsql_table *table, struct zdm_error *err)
{
    if (table->kind != 'r' && table->kind != 'p') {
        return zdm_error_set(err, ZDM_UNSUPPORTED, "%s.%s is no ordinary table", table->schema, table->name);
    }
    if (table->partition) {
        zdm_error_set(err, ZDM_REFUSED, "%s.%s is a partition", table->schema, table->name);
        return zdm_error_hint(err, "Detach it first.");
    }
    if (table->inherits) {
        return zdm_error_set(err, ZDM_UNSUPPORTED, "%s.%s takes part in table inheritance", table->schema, table->name);
    }
    return ZDM_OK;
}

static enum zdm_code refuse_used(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    static const char sql[] =
        "WITH tree AS (SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE"
        " c.oid = $1::oid OR c.oid IN (SELECT relid FROM pg_partition_tree($1::oid::regclass)))"
        " SELECT (SELECT min(pubname) FROM pg_publication_tables JOIN tree ON schemaname = nspname AND tablename ="
        " relname), (SELECT min(migration) FROM zdm.sync JOIN tree ON schema_name = nspname AND table_name = relname)";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 1, (const char *const[]){table->oid}, &res, err);
    if (code == ZDM_OK && pgsql_text(res, 0, 0) != NULL && !w->step->publication_ok) {
        zdm_error_set(err, ZDM_REFUSED, "table %s.%s is published in %s", table->schema, table->name,
                      pgsql_text(res, 0, 0));
        return zdm_error_hint(err, "Take it out of the publication first, or say {publication-ok}.");
    }
    if (code == ZDM_OK && pgsql_text(res, 0, 1) != NULL) {
        zdm_error_set(err, ZDM_REFUSED, "triggers of migration %s still keep columns of %s.%s in step",
                      pgsql_text(res, 0, 1), table->schema, table->name);
        return zdm_error_hint(err, "Drop the table in a migration behind that one.");
    }
    return code;
}

/* A table that refers to this one and is hidden behind it would stop the hide, and not before it: then its foreign keys
 * are gone. Nobody but the server knows the order, so that it is said. */
static enum zdm_code refuse_order(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid "
        "="
        " r.relnamespace WHERE c.contype = 'f' AND c.confrelid = $1::oid AND n.nspname = $2 AND r.relname = $3)";
    enum zdm_code code = ZDM_OK;
    for (uint32_t o = w->step->ordinal + 1; code == ZDM_OK && o <= zdm_plan_n_steps(w->op->plan); o++) {
        const struct zdm_step *later = zdm_plan_step(w->op->plan, o);
        ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
        if (later->action != ZDM_ACTION_HIDE_TABLE) {
            continue;
        }
        code = pgsql_query(w->s, sql, 3, (const char *const[]){table->oid, later->table.schema, later->table.name},
                           &res, err);
        if (code == ZDM_OK && pgsql_true(res, 0, 0)) {
            zdm_error_set(err, ZDM_REFUSED, "table %s refers to %s and is dropped behind it", later->table.name,
                          table->name);
            zdm_error_detail(err, "A foreign key of %s.%s is in the way of the DROP.", later->table.schema,
                             later->table.name);
            return zdm_error_hint(err, "Write it the other way round, DROP TABLE %s, %s, and submit --amend.",
                                  later->table.name, table->name);
        }
    }
    return code;
}

/* Everything under the lock. */
static enum zdm_code hide(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    enum zdm_code code = refuse_shape(table, err);
    if (code == ZDM_OK) {
        code = refuse_used(w, table, err);
    }
    if (code == ZDM_OK) {
        code = refuse_order(w, table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_trash_lock_parents(attempt, table, err);
    }
    if (code == ZDM_OK) {
        code = trial_drop(w, err);
    }
    return code == ZDM_OK ? pgsql_trash_put_table(attempt, &w->step->table, w->step->object, false, err) : code;
}

/* A way back that was left half way: its rows are of no use, since all of it is kept anew. */
static enum zdm_code forget_rows(struct pgsql_work *w, struct zdm_error *err)
{
    return pgsql_query(
        w->s,
        "DELETE FROM zdm.hidden WHERE migration = $1 AND hidden_name = $2 AND NOT by_rollback AND kind IN"
        " ('table', 'partition')",
        2, (const char *const[]){w->op->migration, w->step->object}, NULL, err);
}

static enum zdm_code hide_unless_done(struct pgsql_work *w, bool done, struct zdm_error *err)
{
    struct pgsql_table table;
    struct pgsql_short attempt;
    enum zdm_code code = pgsql_short_begin(&attempt, w, err);
    if (code != ZDM_OK || done) {
        return code;
    }
    code = pgsql_table_find(w->s, &w->step->table, &table, err);
    if (code == ZDM_OK) {
        code = pgsql_short_lock(&attempt, &table, PGSQL_ACCESS_EXCLUSIVE, err);
    }
    if (code == ZDM_OK) {
        code = forget_rows(w, err);
    }
    return code == ZDM_OK ? hide(&attempt, &table, err) : code;
}

enum zdm_code pgsql_trash_run_hide(struct pgsql_work *w, struct zdm_error *err)
{
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = pgsql_trash_look(w, NULL, &proof, err);
    if (code == ZDM_OK && proof == AGENT_PROOF_FOREIGN) {
        return err->code;
    }
    if (code == ZDM_OK) {
        code = hide_unless_done(w, proof == AGENT_PROOF_DONE, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_step_on(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_commit(w, err);
    }
    if (code == ZDM_OK && proof == AGENT_PROOF_DONE) {
        w->result->outcome = AGENT_ALREADY;
    }
    return code;
}

/* Without its row nobody knows since when it is hidden, and so not when its grace is over. */
static enum zdm_code need_row(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] = "SELECT EXISTS (SELECT FROM zdm.hidden WHERE migration = $1 AND hidden_name = $2 AND"
                              " kind = 'table' AND NOT by_rollback)";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){w->op->migration, w->step->object}, &res, err);
    if (code != ZDM_OK || pgsql_true(res, 0, 0)) {
        return code;
    }
    zdm_error_set(err, ZDM_CORRUPT, "zdm.hidden does not say since when table %s is hidden", w->step->table.name);
    return zdm_error_hint(err, "Rows were deleted from zdm.hidden; drop schema %s yourself.", w->step->object);
}

static enum zdm_code drop(struct pgsql_work *w, struct zdm_error *err)
{
    bool there = false;
    struct pgsql_short attempt;
    enum zdm_code code = pgsql_short_begin(&attempt, w, err);
    if (code == ZDM_OK) {
        code = pgsql_trash_schema(w, &there, err);
    }
    if (code == ZDM_OK && there) {
        code = need_row(w, err);
    }
    if (code == ZDM_OK && there) {
        code = pgsql_trash_drop(&attempt, "table", w->step->object, w->step->table.name, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, "DELETE FROM zdm.hidden WHERE migration = $1 AND hidden_name = $2 AND NOT by_rollback",
                           2, (const char *const[]){w->op->migration, w->step->object}, NULL, err);
    }
    return code == ZDM_OK ? pgsql_purge_leftovers_of_table(&attempt, err) : code;
}

enum zdm_code pgsql_trash_run_purge(struct pgsql_work *w, struct zdm_error *err)
{
    const char *const values[] = {w->op->migration, w->step->table.schema, w->step->table.name, w->step->object};
    bool due = false;
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = pgsql_hidden_is_due(w,
                                             "migration = $2 AND schema_name = $3 AND table_name = $4 AND (hidden_name"
                                             " = $5 OR by_rollback) AND kind IN ('column', 'table')",
                                             4, values, &due, err);
    if (code != ZDM_OK || !due) {
        return code;
    }
    code = pgsql_trash_look(w, NULL, &proof, err);
    if (code == ZDM_OK && proof == AGENT_PROOF_FOREIGN) {
        return err->code;
    }
    if (code == ZDM_OK) {
        code = drop(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_step_on(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}
