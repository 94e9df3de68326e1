/*
 * ddl.c - the short class of statements, by the rules of actions.c.
 *
 * One transaction: all locks first, a look under the lock, what is kept of the former state, the statement, the owner's
 * mark, and the journal's step. An answer that is lost leaves either all of it or nothing, and inspect tells which.
 */
#include "agent/engine/postgresql/change/ddl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/looks.h"
#include "agent/engine/postgresql/clone/trial.h"

static void put_marked(struct zdm_buffer *sql, const struct zdm_step *step, enum pgsql_mark mark)
{
    static const char *const words[] = {[PGSQL_MARK_NONE] = "",
                                        [PGSQL_MARK_COLUMN] = "COLUMN ",
                                        [PGSQL_MARK_CONSTRAINT] = "CONSTRAINT ",
                                        [PGSQL_MARK_TABLE] = "TABLE ",
                                        [PGSQL_MARK_TYPE] = "TYPE "};
    zdm_buffer_printf(sql, "COMMENT ON %s", words[mark]);
    if (mark == PGSQL_MARK_CONSTRAINT) {
        pgsql_put_name(sql, step->object);
        zdm_buffer_puts(sql, " ON ");
    }
    if (mark == PGSQL_MARK_TYPE) {
        pgsql_put_table(sql, &(struct zdm_table){step->table.schema, step->object});
    } else {
        pgsql_put_table(sql, &step->table);
    }
    if (mark == PGSQL_MARK_COLUMN) {
        zdm_buffer_puts(sql, ".");
        pgsql_put_name(sql, step->column);
    }
}

/* "COMMENT ON … IS 'zdm:<migration>'" for what the step makes; nothing for what it only changes. */
static enum zdm_code mark_owner(struct pgsql_work *w, enum pgsql_mark mark, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    char text[ZDM_NAME_MAX + 8];
    if (mark == PGSQL_MARK_NONE) {
        return ZDM_OK;
    }
    pgsql_owner_mark(text, w->op->migration);
    put_marked(&sql, w->step, mark);
    zdm_buffer_puts(&sql, " IS ");
    pgsql_put_literal(&sql, text);
    return pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
}

/* SET NOT NULL reads the whole table under its lock unless a validated CHECK proves that there is nothing to find. */
enum zdm_code pgsql_may_set_not_null(struct pgsql_short *attempt, const struct pgsql_table *table,
                                     struct zdm_error *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid"
        " AND c.conkey = ARRAY[a.attnum] WHERE c.conrelid = $1::oid AND c.contype = 'c' AND c.convalidated"
        " AND a.attname = $2 AND pg_get_constraintdef(c.oid) ~ 'IS NOT NULL'), (SELECT min(n.conname) FROM"
        " pg_constraint n JOIN pg_attribute a ON a.attrelid = n.conrelid AND n.conkey = ARRAY[a.attnum] WHERE"
        " n.conrelid = $1::oid AND n.contype = 'n' AND NOT n.convalidated AND a.attname = $2)";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    struct pgsql_work *w = attempt->w;
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){table->oid, w->step->column}, &res, err);
    if (code == ZDM_OK && pgsql_text(res, 0, 1) != NULL) {
        /* The way back could not tell it from one that is set here. */
        zdm_error_set(err, ZDM_REFUSED, "%s has a NOT NULL that is NOT VALID: constraint %s", w->step->column,
                      pgsql_text(res, 0, 1));
        return zdm_error_hint(err, "Write ALTER TABLE … VALIDATE CONSTRAINT %s instead of SET NOT NULL.",
                              pgsql_text(res, 0, 1));
    }
    if (code != ZDM_OK || pgsql_true(res, 0, 0)) {
        return code;
    }
    return zdm_error_set(err, ZDM_REFUSED, "no validated CHECK (%s IS NOT NULL) is there to make SET NOT NULL quick",
                         w->step->column);
}

/* The catalogue does not say who set a NOT NULL. One that was there before is not ours to take away on the way back. */
enum zdm_code pgsql_note_not_null(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.owned (migration, step, kind, schema_name, object) VALUES ($1, $2::int4, 'not null', $3,"
        " format('%I.%I', $4::text, $5::text)) ON CONFLICT (kind, schema_name, object) DO UPDATE SET migration ="
        " excluded.migration, step = excluded.step, since = now()";
    struct pgsql_work *w = attempt->w;
    char step[16];
    (void)table;
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *params[] = {w->op->migration, step, w->step->table.schema, w->step->table.name, w->step->column};
    return pgsql_query(w->s, sql, 5, params, NULL, err);
}

static enum zdm_code lock_all(struct pgsql_short *attempt, const struct pgsql_action *a,
                              const struct pgsql_table *table, struct zdm_error *err)
{
    enum zdm_code code = a->lock_others == NULL ? ZDM_OK : a->lock_others(attempt, table, err);
    if (code != ZDM_OK || a->lock == PGSQL_NO_LOCK || table == NULL) {
        return code;
    }
    struct pgsql_table locked = *table;
    locked.kind = a->lock_only ? 'r' : locked.kind;
    return pgsql_short_lock(attempt, &locked, a->lock, err);
}

static enum zdm_code part(pgsql_part_fn *fn, struct pgsql_short *attempt, const struct pgsql_table *table,
                          struct zdm_error *err)
{
    return fn == NULL ? ZDM_OK : fn(attempt, table, err);
}

/* Under the locks. */
static enum zdm_code change(struct pgsql_short *attempt, const struct pgsql_action *a, const struct pgsql_table *table,
                            struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    enum zdm_code code = part(a->may, attempt, table, err);
    if (code == ZDM_OK) {
        code = part(a->keep, attempt, table, err);
    }
    if (code == ZDM_OK) {
        code = a->change != NULL ? a->change(attempt, table, err) : pgsql_run_statement(w, w->step->sql, err);
    }
    if (code == ZDM_OK) {
        code = mark_owner(w, a->mark, err);
    }
    return code == ZDM_OK ? part(a->note, attempt, table, err) : code;
}

/* Read about and tried on a clone first, unless a look says already that there is nothing to change. */
static enum zdm_code prove(struct pgsql_work *w, const struct pgsql_action *a, struct zdm_error *err)
{
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = pgsql_begin_reading(w->s, err);
    if (code == ZDM_OK) {
        code = pgsql_look(w, &proof, err);
    }
    pgsql_rollback(w->s);
    if (code != ZDM_OK || proof == AGENT_PROOF_DONE) {
        return code;
    }
    if (proof == AGENT_PROOF_FOREIGN) {
        return err->code;
    }
    code = a->ahead == NULL ? ZDM_OK : a->ahead(w, err);
    return code == ZDM_OK && a->tried ? pgsql_prove_on_clone(w, err) : code;
}

static enum zdm_code run_short(struct pgsql_work *w, const struct pgsql_action *a, const struct pgsql_table *table,
                               struct zdm_error *err)
{
    struct pgsql_short attempt;
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = pgsql_short_begin(&attempt, w, err);
    if (code == ZDM_OK) {
        code = lock_all(&attempt, a, table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_look(w, &proof, err);
    }
    if (code == ZDM_OK && proof == AGENT_PROOF_FOREIGN) {
        return err->code;
    }
    if (code == ZDM_OK && proof != AGENT_PROOF_DONE) {
        code = change(&attempt, a, table, err);
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

enum zdm_code pgsql_run_ddl(struct pgsql_work *w, struct zdm_error *err)
{
    const struct pgsql_action *a = pgsql_action_of(w->step);
    struct pgsql_table table;
    if (a != NULL && a->run != NULL) {
        return a->run(w, err);
    }
    if (a == NULL || !a->ddl) {
        return zdm_error_set(err, ZDM_BUG, "step %s is no change of the short class", w->step->id);
    }
    enum zdm_code code = a->of_table ? pgsql_table_find(w->s, &w->step->table, &table, err) : ZDM_OK;
    if (code == ZDM_OK && a->of_table) {
        code = pgsql_table_plain(&table, err);
    }
    if (code == ZDM_OK && (a->tried || a->ahead != NULL)) {
        code = prove(w, a, err);
    }
    if (code == ZDM_LOCK && a->of_table) {
        return pgsql_not_locked(w, &table, PGSQL_NO_LOCK, err); /* a clone reads the table's definition */
    }
    return code == ZDM_OK ? run_short(w, a, a->of_table ? &table : NULL, err) : code;
}
