/*
 * unhide.c - the way back of a hide (hidden.h), in three kinds of part.
 *
 *   UNHIDE    short: the column under its own name, its comment, the triggers both ways again, and what belonged to it
 *             alone, NOT VALID: from here on new writes satisfy it. Both versions of the application work.
 *   RESTORE   long (restore.c): reads the table, one thing at a time, and blocks nobody.
 *   UNHIDE    short again: NOT NULL and unique constraints on what RESTORE has proven.
 *
 * Rows that violate something leave it NOT VALID, and what cannot be there again at all is left out, each named in a
 * remark: a rollback does not stop for them.
 */
#include "agent/engine/postgresql/hide/hidden.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/looks.h"
#include "agent/engine/postgresql/back/walk_back.h"
#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/change/ddl.h"
#include "agent/engine/postgresql/online/index.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/change/lift.h"
#include "agent/engine/postgresql/hide/trash.h"
#include "agent/engine/postgresql/walk/validate_sync.h"

/* Is the column hidden, and by this migration? */
struct place {
    bool hidden, ours, plain, in_place;
};

static enum zdm_code read_place(struct pgsql_work *w, const struct pgsql_table *table, struct place *out,
                                struct zdm_error *err)
{
    struct pgsql_column plain = {0}, hidden = {0};
    enum zdm_code code = pgsql_column_look(w->s, table, w->step->column, &out->plain, &plain, err);
    if (code == ZDM_OK) {
        code = pgsql_column_look(w->s, table, w->step->object, &out->hidden, &hidden, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_hidden_in_place(w, w->step, &out->in_place, err);
    }
    out->ours = pgsql_is_owner(out->in_place ? plain.comment : hidden.comment, w->op->migration);
    if (out->in_place) {
        out->hidden = out->plain;
        out->plain = false;
    }
    pgsql_column_fini(&plain);
    pgsql_column_fini(&hidden);
    return code;
}

/* Last, when new writes go both ways again: how many rows the old column is not exact for. */
static enum zdm_code count_doubt(struct pgsql_work *w, struct zdm_error *err)
{
    const struct zdm_step *sync = w->step->sync_step == 0 ? NULL : zdm_plan_step(w->op->plan, w->step->sync_step);
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer remark = ZDM_BUFFER_INIT;
    bool counts = false;
    zdm_buffer_puts(&remark, w->result->remark);
    enum zdm_code code = pgsql_walk_back_counts(w, sync, &counts, err);
    if (code == ZDM_OK && counts) {
        return pgsql_answer_back(w, false, AGENT_RUN_IMAGES_BACK);
    }
    w->result->remark[0] = '\0';
    if (code == ZDM_OK) {
        code = pgsql_walk_back_remark(w, err);
    }
    if (w->result->remark[0] != '\0' && remark.len > 0) {
        zdm_buffer_puts(&remark, "; ");
    }
    zdm_buffer_puts(&remark, w->result->remark);
    (void)zdm_copy_text(w->result->remark, sizeof w->result->remark, zdm_buffer_text(&remark));
    return code;
}

enum zdm_code pgsql_unhide_look(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    struct place place = {0};
    struct pgsql_hidden_state state;
    struct agent_result *r = w->result;
    enum zdm_code code = read_place(w, table, &place, err);
    if (code == ZDM_OK && !place.plain && !place.hidden) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "column %s of %s.%s does not exist", w->step->column, table->schema,
                             table->name);
    }
    if (code == ZDM_OK && place.hidden && place.ours) {
        r->proof = place.plain ? AGENT_PROOF_FOREIGN : AGENT_PROOF_NOT_DONE;
        r->next_run = AGENT_RUN_UNHIDE;
        if (place.plain) {
            zdm_error_set(err, ZDM_EXISTS, "column %s of %s.%s is there and is not the one that was hidden",
                          w->step->column, table->schema, table->name);
            zdm_error_hint(err, "Rename it or drop it; the hidden one comes back under this name.");
        }
        return ZDM_OK;
    }
    if (code == ZDM_OK) {
        code = pgsql_hidden_read(w, w->step->ordinal, &state, err);
    }
    if (code == ZDM_OK) {
        r->proof = state.back + state.proven > 0 ? AGENT_PROOF_NOT_DONE : AGENT_PROOF_DONE;
        r->next_run = state.back > 0 ? AGENT_RUN_RESTORE : state.proven > 0 ? AGENT_RUN_UNHIDE : AGENT_RUN_NONE;
        zdm_copy_text(r->remark, sizeof r->remark, state.remark);
    }
    return code == ZDM_OK && r->proof == AGENT_PROOF_DONE ? count_doubt(w, err) : code;
}

/* The rows of this hide; $1 migration, $2 step. */
#define OF_THIS_HIDE "migration = $1 AND step = $2::int4 AND NOT by_rollback"

static enum zdm_code for_this_hide(struct pgsql_work *w, const char *sql, PGresult **out, struct zdm_error *err)
{
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    return pgsql_query(w->s, sql, 2, (const char *const[]){w->op->migration, step}, out, err);
}

/* ADD FOREIGN KEY locks the parent as well. One that is gone is the statement's to complain of. */
static enum zdm_code lock_parents(struct pgsql_short *attempt, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = for_this_hide(attempt->w,
                                       "SELECT DISTINCT parent_schema, parent_table FROM zdm.hidden WHERE " OF_THIS_HIDE
                                       " AND state = 'hidden' AND parent_table IS NOT NULL AND (parent_schema,"
                                       " parent_table) <> (schema_name, table_name) ORDER BY 1, 2",
                                       &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        struct pgsql_table parent;
        struct zdm_table name = {PQgetvalue(res, i, 0), PQgetvalue(res, i, 1)};
        code = pgsql_table_find(attempt->w->s, &name, &parent, err);
        if (code == ZDM_OK) {
            code = pgsql_short_lock_parent(attempt, &parent, PGSQL_SHARE_ROW_EXCLUSIVE, err);
        } else if (code == ZDM_NOT_FOUND) {
            zdm_error_clear(err);
            code = ZDM_OK;
        }
    }
    return code;
}

static enum zdm_code rename_back(struct pgsql_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    enum zdm_code code =
        for_this_hide(w, "SELECT comment FROM zdm.hidden WHERE " OF_THIS_HIDE " AND kind = 'column'", &res, err);
    bool in_place = false;
    if (code == ZDM_OK) {
        code = pgsql_hidden_in_place(w, w->step, &in_place, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    if (PQntuples(res) != 1) {
        return zdm_error_set(err, ZDM_CORRUPT, "zdm.hidden does not say how column %s was hidden", w->step->column);
    }
    if (!in_place) {
        pgsql_put_alter(&sql, &w->step->table);
        zdm_buffer_puts(&sql, " RENAME COLUMN ");
        pgsql_put_name(&sql, w->step->object);
        zdm_buffer_puts(&sql, " TO ");
        pgsql_put_name(&sql, w->step->column);
        zdm_buffer_puts(&sql, "; ");
    }
    zdm_buffer_puts(&sql, "COMMENT ON COLUMN ");
    pgsql_put_table(&sql, &w->step->table);
    zdm_buffer_puts(&sql, ".");
    pgsql_put_name(&sql, w->step->column);
    zdm_buffer_puts(&sql, " IS ");
    if (pgsql_text(res, 0, 0) == NULL) {
        zdm_buffer_puts(&sql, "NULL");
    } else {
        pgsql_put_literal(&sql, pgsql_text(res, 0, 0));
    }
    return pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
}

/* One thing does not come back as it was: its name is taken by now, or the table that it pointed at is gone. That is a
 * remark of the rollback, not its failure; its definition is kept, and the next way back tries again. */
static enum zdm_code note_lost(struct pgsql_work *w, const char *kind, const char *name, const struct zdm_error *why,
                               struct zdm_error *err)
{
    static const char sql[] =
        "UPDATE zdm.hidden SET state = 'lost', remark = $5 WHERE " OF_THIS_HIDE " AND kind = $3 AND name = $4";
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer remark = ZDM_BUFFER_INIT;
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    zdm_buffer_printf(&remark, "%s %s was not brought back: %s", strcmp(kind, "not null") == 0 ? "NOT NULL of" : kind,
                      name, why->message);
    const char *params[] = {w->op->migration, step, kind, name, zdm_buffer_text(&remark)};
    return pgsql_query(w->s, sql, 5, params, NULL, err);
}

/* Runs a column of statements (kind, name, statement) of the hide's rows, each for itself. */
static enum zdm_code run_kept(struct pgsql_work *w, const char *select, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = for_this_hide(w, select, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        code = pgsql_script(w->s, "SAVEPOINT kept", NULL, err);
        if (code == ZDM_OK) {
            code = pgsql_script(w->s, pgsql_text(res, i, 2), NULL, err);
        }
        bool lost = code != ZDM_OK && pgsql_is_final(code);
        if (lost) {
            struct zdm_error why = *err;
            zdm_error_clear(err);
            code = pgsql_script(w->s, "ROLLBACK TO kept", NULL, err);
            if (code == ZDM_OK) {
                code = note_lost(w, pgsql_text(res, i, 0), pgsql_text(res, i, 1), &why, err);
            }
        }
        if (code == ZDM_OK) {
            code = pgsql_script(w->s, "RELEASE kept", NULL, err);
        }
    }
    return code;
}

static enum zdm_code turn_sync(struct pgsql_work *w, bool not_null, struct zdm_error *err)
{
    const struct zdm_step *sync = w->step->sync_step == 0 ? NULL : zdm_plan_step(w->op->plan, w->step->sync_step);
    struct pgsql_trigger_text text = {.insert_body = ZDM_BUFFER_INIT};
    struct pgsql_facts facts;
    if (sync == NULL || sync->derivation == NULL) {
        return ZDM_OK;
    }
    if (!sync->derivation->both_ways) {
        return pgsql_sync_install_again(w, sync, err);
    }
    enum zdm_code code = pgsql_facts_read(w, sync, 0, &facts, err);
    if (code == ZDM_OK) {
        /* It is binding again from here on, as a CHECK. */
        pgsql_sync_count_on(&facts, w->step->column, not_null);
        code = pgsql_trigger_write(&facts, &text, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_sync_replace_functions(w, sync->ordinal, &facts, &text, err);
    }
    pgsql_trigger_text_fini(&text);
    pgsql_facts_fini(&facts);
    return code;
}

static enum zdm_code was_not_null(struct pgsql_work *w, bool *out, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = for_this_hide(
        w, "SELECT EXISTS (SELECT FROM zdm.hidden WHERE " OF_THIS_HIDE " AND kind = 'not null')", &res, err);
    if (code == ZDM_OK) {
        *out = pgsql_true(res, 0, 0);
    }
    return code;
}

/* What needs no more than its statement is over; the rest waits for RESTORE. */
static enum zdm_code note_back(struct pgsql_work *w, struct zdm_error *err)
{
    enum zdm_code code =
        for_this_hide(w,
                      "DELETE FROM zdm.hidden WHERE " OF_THIS_HIDE
                      " AND (kind IN ('column', 'table', 'partition') OR (state = 'hidden' AND long_sql IS NULL))",
                      NULL, err);
    if (code == ZDM_OK) {
        code = for_this_hide(w, "UPDATE zdm.hidden SET state = 'back' WHERE " OF_THIS_HIDE " AND state = 'hidden'",
                             NULL, err);
    }
    return code;
}

static enum zdm_code column_back(struct pgsql_work *w, struct zdm_error *err)
{
    bool not_null = false;
    enum zdm_code code = rename_back(w, err);
    if (code == ZDM_OK) {
        code = was_not_null(w, &not_null, err);
    }
    return code == ZDM_OK ? turn_sync(w, not_null, err) : code;
}

static enum zdm_code bring_back(struct pgsql_short *attempt, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    enum zdm_code code = lock_parents(attempt, err);
    if (code == ZDM_OK && w->step->action == ZDM_ACTION_HIDE_COLUMN) {
        code = column_back(w, err);
    } else if (code == ZDM_OK && w->step->action == ZDM_ACTION_HIDE_TABLE) {
        code = pgsql_trash_back(attempt, err);
    }
    if (code == ZDM_OK) {
        code = run_kept(w,
                        "SELECT kind, name, back_sql FROM zdm.hidden WHERE " OF_THIS_HIDE
                        " AND state = 'hidden' AND back_sql IS NOT NULL ORDER BY kind, name",
                        err);
    }
    return code == ZDM_OK ? note_back(w, err) : code;
}

static enum zdm_code finish(struct pgsql_work *w, struct zdm_error *err)
{
    enum zdm_code code = run_kept(w,
                                  "SELECT kind, name, finish_sql FROM zdm.hidden WHERE " OF_THIS_HIDE
                                  " AND state = 'proven' ORDER BY kind, name",
                                  err);
    if (code == ZDM_OK) {
        /* The constraint owns its index from here on. */
        code = for_this_hide(w,
                             "WITH gone AS (DELETE FROM zdm.hidden WHERE " OF_THIS_HIDE
                             " AND state = 'proven' RETURNING schema_name, name) DELETE FROM zdm.owned o USING gone"
                             " WHERE o.kind = 'index' AND o.schema_name = gone.schema_name AND o.object = gone.name",
                             NULL, err);
    }
    return code;
}

/* Looks anew under the lock, and tells whether the first short part is to be done, or the last one. */
static enum zdm_code look_anew(struct pgsql_work *w, const struct pgsql_table *table, bool *first,
                               struct zdm_error *err)
{
    struct pgsql_hidden_state state = {0};
    struct place place = {0};
    enum zdm_action action = w->step->action;
    enum zdm_code code = action == ZDM_ACTION_HIDE_COLUMN  ? pgsql_unhide_look(w, table, err)
                         : action == ZDM_ACTION_HIDE_TABLE ? pgsql_trash_look_back(w, table, err)
                                                           : pgsql_lift_look_back(w, table, err);
    if (code == ZDM_OK && action == ZDM_ACTION_HIDE_COLUMN) {
        code = read_place(w, table, &place, err);
    } else if (code == ZDM_OK) {
        code = pgsql_hidden_read(w, w->step->ordinal, &state, err);
    }
    *first = place.hidden || state.hidden > 0;
    return code;
}

static enum zdm_code unhide(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_work *w = attempt->w;
    struct agent_result *r = w->result;
    bool first = false;
    enum zdm_code code = look_anew(w, table, &first, err);
    enum agent_proof proof = r->proof;
    enum agent_run next = r->next_run;
    r->proof = AGENT_PROOF_NONE;
    r->next_run = AGENT_RUN_NONE;
    if (code == ZDM_OK && proof == AGENT_PROOF_FOREIGN) {
        return err->code;
    }
    if (code == ZDM_OK && next != AGENT_RUN_UNHIDE) {
        r->outcome = AGENT_ALREADY;
        return ZDM_OK;
    }
    if (code != ZDM_OK) {
        return code;
    }
    return first ? bring_back(attempt, err) : finish(w, err);
}

/* The table of the step: one that is hidden stands elsewhere. */
static enum zdm_code find_table(struct pgsql_work *w, struct pgsql_table *out, struct zdm_error *err)
{
    struct zdm_table hidden = {w->step->object, w->step->table.name};
    enum zdm_code code = ZDM_NOT_FOUND;
    if (w->step->action == ZDM_ACTION_HIDE_TABLE) {
        code = pgsql_table_find(w->s, &hidden, out, err);
    }
    if (code != ZDM_NOT_FOUND) {
        return code;
    }
    zdm_error_clear(err);
    return pgsql_table_find(w->s, &w->step->table, out, err);
}

enum zdm_code pgsql_run_unhide(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_table table;
    struct pgsql_short attempt;
    if (w->step->action == ZDM_ACTION_HIDE_INDEX) {
        return pgsql_index_run_unhide(w, err);
    }
    enum zdm_code code = find_table(w, &table, err);
    if (code == ZDM_OK) {
        code = pgsql_short_begin_on(&attempt, w, &table, PGSQL_ACCESS_EXCLUSIVE, err);
    }
    if (code == ZDM_OK) {
        code = unhide(&attempt, &table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_journal_hold(w, err);
    }
    return code == ZDM_OK ? pgsql_journal_commit(w, err) : code;
}
