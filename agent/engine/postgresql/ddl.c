/*
 * ddl.c - the short class of statements: add column, add check, set not null, drop constraint (locks.h).
 *
 * One transaction: all locks first, a look under the lock, the statement, the owner's mark, and the journal's step. An
 * answer that is lost leaves either all of it or nothing, and inspect tells which.
 */
#include "agent/engine/postgresql/ddl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/journal.h"
#include "agent/engine/postgresql/locks.h"

/* "COMMENT ON … IS 'zdm:<migration>'" for what the step makes; nothing for what it only changes. */
static enum zdm_code mark_owner(struct pgsql_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    char mark[ZDM_NAME_MAX + 8];
    pgsql_owner_mark(mark, w->op->migration);
    if (w->step->action == ZDM_ACTION_ADD_COLUMN) {
        zdm_buffer_puts(&sql, "COMMENT ON COLUMN ");
        pgsql_put_table(&sql, &w->step->table);
        zdm_buffer_puts(&sql, ".");
        pgsql_put_name(&sql, w->step->column);
    } else if (w->step->action == ZDM_ACTION_ADD_CHECK) {
        zdm_buffer_puts(&sql, "COMMENT ON CONSTRAINT ");
        pgsql_put_name(&sql, w->step->object);
        zdm_buffer_puts(&sql, " ON ");
        pgsql_put_table(&sql, &w->step->table);
    } else {
        return ZDM_OK;
    }
    zdm_buffer_puts(&sql, " IS ");
    pgsql_put_literal(&sql, mark);
    return pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
}

/* SET NOT NULL reads the whole table under its lock unless a validated CHECK proves that there is nothing to find. */
static enum zdm_code need_valid_check(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid"
        " AND c.conkey = ARRAY[a.attnum] WHERE c.conrelid = $1::oid AND c.contype = 'c' AND c.convalidated"
        " AND a.attname = $2 AND pg_get_constraintdef(c.oid) ~ 'IS NOT NULL')";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){table->oid, w->step->column}, &res, err);
    if (code != ZDM_OK || pgsql_true(res, 0, 0)) {
        return code;
    }
    return zdm_error_set(err, ZDM_REFUSED, "no validated CHECK (%s IS NOT NULL) is there to make SET NOT NULL quick",
                         w->step->column);
}

/* The catalogue does not say who set a NOT NULL. One that was there before is not ours to take away on the way back. */
static enum zdm_code note_not_null(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.owned (migration, step, kind, schema_name, object) VALUES ($1, $2::int4, 'not null', $3,"
        " format('%I.%I', $4::text, $5::text)) ON CONFLICT (kind, schema_name, object) DO UPDATE SET migration ="
        " excluded.migration, step = excluded.step, since = now()";
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *params[] = {w->op->migration, step, w->step->table.schema, w->step->table.name, w->step->column};
    return pgsql_query(w->s, sql, 5, params, NULL, err);
}

static enum zdm_code change(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    if (w->step->action == ZDM_ACTION_SET_NOT_NULL) {
        code = need_valid_check(w, table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_run_statement(w, w->step->sql, err);
    }
    if (code == ZDM_OK && w->step->action == ZDM_ACTION_SET_NOT_NULL) {
        code = note_not_null(w, err);
    }
    return code == ZDM_OK ? mark_owner(w, err) : code;
}

/* What adds something is tried on a clone first, unless a look says already that there is nothing to add. */
static enum zdm_code prove(struct pgsql_work *w, struct zdm_error *err)
{
    enum agent_proof proof = AGENT_PROOF_NONE;
    if (w->step->action != ZDM_ACTION_ADD_COLUMN && w->step->action != ZDM_ACTION_ADD_CHECK) {
        return ZDM_OK;
    }
    enum zdm_code code = pgsql_look(w, &proof, err);
    if (code != ZDM_OK || proof == AGENT_PROOF_DONE) {
        return code;
    }
    return proof == AGENT_PROOF_FOREIGN ? err->code : pgsql_prove_on_clone(w, err);
}

enum zdm_code pgsql_run_ddl(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_table table;
    struct pgsql_short attempt;
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &table, err);
    if (code == ZDM_OK) {
        code = prove(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_short_begin(&attempt, w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_short_lock(&attempt, &table, PGSQL_ACCESS_EXCLUSIVE, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_look(w, &proof, err);
    }
    if (code == ZDM_OK && proof == AGENT_PROOF_FOREIGN) {
        return err->code;
    }
    if (code == ZDM_OK && proof != AGENT_PROOF_DONE) {
        code = change(w, &table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_step_on(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_commit(w, err);
    }
    if (code == ZDM_OK) {
        w->result->outcome = proof == AGENT_PROOF_DONE ? AGENT_ALREADY : AGENT_OK;
    }
    return code;
}
