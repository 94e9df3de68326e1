/*
 * hide.c - taking a column out of the application's sight: a rename, in one transaction with all that belongs to it
 * (database.md 8).
 *
 * First the very DROP that the purge will make is tried in a savepoint and rolled back, so that what depends on the
 * column is named now and not days later. Then, under the same lock: the sync triggers lose their forward half (or go,
 * when they are no copy), NOT NULL and the column's own constraints are dropped with their definitions kept in
 * zdm.hidden, the column is renamed and marked. Indexes that enforce nothing, defaults and grants stay, so that an
 * undo is one short transaction; unique ones go with their definition kept, as unique constraints do: kept in step with
 * the new column's, a second one makes upserts fail (database.md 13).
 */
#include "agent/engine/postgresql/change/ddl.h"

#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/hide/hidden.h"
#include "agent/engine/postgresql/online/index.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/change/locks.h"
#include "agent/engine/postgresql/hide/trash.h"
#include "agent/engine/postgresql/walk/validate_sync.h"

/* The DROP that the purge will make, tried and taken back. */
static enum zdm_code trial_drop(struct pgsql_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    pgsql_put_alter(&sql, &w->step->table);
    zdm_buffer_puts(&sql, " DROP COLUMN ");
    pgsql_put_name(&sql, w->step->column);
    zdm_buffer_puts(&sql, " RESTRICT");
    enum zdm_code code = pgsql_hidden_refuse_source(w, &w->step->table, w->step->column, "hidden", err);
    if (code == ZDM_OK) {
        code = pgsql_script(w->s, "SAVEPOINT trial", NULL, err);
    }
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

/* After the rename: reverse-only functions for a copy; for anything else the triggers go, since what they read goes. */
static enum zdm_code turn_sync(struct pgsql_work *w, const struct pgsql_hiding *h, struct zdm_error *err)
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
        /* NULL would stand against it on the way back, and make every later write of such a row fail. */
        pgsql_sync_count_on(&facts, h->in_place ? h->column.name : h->hidden_name, h->column.not_null);
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
static enum zdm_code hide(struct pgsql_short *attempt, const struct pgsql_hiding *h, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    enum zdm_code code = pgsql_hidden_refuse(w, h, err);
    if (code == ZDM_OK) {
        code = pgsql_hidden_lock_parents(attempt, h, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_index_drop_built_again(w, &h->table, err);
    }
    if (code == ZDM_OK) {
        code = trial_drop(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_hidden_put(w, h, err);
    }
    return code == ZDM_OK ? turn_sync(w, h, err) : code;
}

/* A published column keeps its name where the plan says that the table may be touched. */
static enum zdm_code is_published(struct pgsql_work *w, bool *out, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM pg_publication_tables WHERE schemaname = $1 AND tablename = $2)";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {w->step->table.schema, w->step->table.name};
    enum zdm_code code = pgsql_query(w->s, sql, 2, params, &res, err);
    *out = code == ZDM_OK && pgsql_true(res, 0, 0);
    return code;
}

static enum zdm_code hide_unless_done(struct pgsql_short *attempt, const struct pgsql_table *table,
                                      struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    struct pgsql_hiding h = {
        .step = w->step->ordinal, .name = &w->step->table, .table = *table, .hidden_name = w->step->object};
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
        code = pgsql_column_find(w->s, table, w->step->column, &h.column, err);
    }
    if (code == ZDM_OK && w->step->publication_ok) {
        code = is_published(w, &h.in_place, err);
    }
    if (code == ZDM_OK) {
        code = hide(attempt, &h, err);
    }
    pgsql_column_fini(&h.column);
    return code;
}

enum zdm_code pgsql_run_hide(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_table table;
    struct pgsql_short attempt;
    if (w->step->action == ZDM_ACTION_HIDE_TABLE) {
        return pgsql_trash_run_hide(w, err);
    }
    if (w->step->action == ZDM_ACTION_HIDE_INDEX) {
        return pgsql_index_run_hide(w, err);
    }
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &table, err);
    if (code == ZDM_OK) {
        code = pgsql_short_begin_on(&attempt, w, &table, PGSQL_ACCESS_EXCLUSIVE, err);
    }
    if (code == ZDM_OK) {
        code = hide_unless_done(&attempt, &table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_step_on(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}
