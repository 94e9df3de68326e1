/*
 * inspect.c - is a step done? The catalogue and the journal of this node answer, never memory.
 *
 * FOREIGN means that a name which the step needs is taken by something that does not carry this migration's mark; the
 * error then says what. Which look belongs to which kind of step: actions.c.
 */
#include "agent/engine/postgresql/change/ddl.h"

#include <string.h>

#include "agent/engine/postgresql/hide/hidden.h"
#include "agent/engine/postgresql/walk/images.h"
#include "agent/engine/postgresql/online/index.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/looks.h"
#include "agent/engine/postgresql/walk/sync.h"
#include "agent/engine/postgresql/back/undo.h"
#include "agent/engine/postgresql/watch.h"

enum zdm_code pgsql_look_foreign(enum agent_proof *out_proof, const struct pgsql_table *table, const char *what,
                                 const char *name, struct zdm_error *err)
{
    *out_proof = AGENT_PROOF_FOREIGN;
    if (table != NULL) {
        zdm_error_set(err, ZDM_EXISTS, "%s %s of %s.%s is there and was not made by this migration", what, name,
                      table->schema, table->name);
    } else {
        zdm_error_set(err, ZDM_EXISTS, "%s %s is there and was not made by this migration", what, name);
    }
    zdm_error_hint(err, "Rename it or drop it, or choose another name.");
    return ZDM_OK;
}

enum zdm_code pgsql_query_as_plan(struct pgsql_work *w, const char *sql, PGresult **out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer path = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&path, "SET LOCAL search_path = pg_catalog, ");
    pgsql_put_name(&path, w->step->table.schema == NULL ? "public" : w->step->table.schema);
    enum zdm_code code = pgsql_script(w->s, zdm_buffer_text(&path), NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, sql, 0, NULL, out, err);
    }
    return code == ZDM_OK ? pgsql_script(w->s, "SET LOCAL search_path = pg_catalog", NULL, err) : code;
}

enum agent_proof pgsql_done_if(bool done)
{
    return done ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
}

enum zdm_code pgsql_look_added_column(struct pgsql_work *w, const struct pgsql_table *table,
                                      enum agent_proof *out_proof, struct zdm_error *err)
{
    struct pgsql_column column;
    bool found = false;
    enum zdm_code code = pgsql_column_look(w->s, table, w->step->column, &found, &column, err);
    if (code != ZDM_OK || !found) {
        *out_proof = AGENT_PROOF_NOT_DONE;
        return code;
    }
    bool ours = pgsql_is_owner(column.comment, w->op->migration);
    pgsql_column_fini(&column);
    *out_proof = AGENT_PROOF_DONE;
    return ours ? ZDM_OK : pgsql_look_foreign(out_proof, table, "column", w->step->column, err);
}

enum zdm_code pgsql_look_not_null(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                                  struct zdm_error *err)
{
    struct pgsql_column column;
    enum zdm_code code = pgsql_column_find(w->s, table, w->step->column, &column, err);
    if (code == ZDM_OK) {
        *out_proof = pgsql_done_if(!column.may_hold_nulls);
        pgsql_column_fini(&column);
    }
    return code;
}

enum zdm_code pgsql_look_hidden_column(struct pgsql_work *w, const struct pgsql_table *table,
                                       enum agent_proof *out_proof, struct zdm_error *err)
{
    struct pgsql_column plain = {0}, hidden = {0};
    bool plain_there = false, hidden_there = false, in_place = false;
    enum zdm_code code = pgsql_column_look(w->s, table, w->step->column, &plain_there, &plain, err);
    if (code == ZDM_OK) {
        code = pgsql_hidden_in_place(w, w->step, &in_place, err);
    }
    in_place = in_place && pgsql_is_owner(plain.comment, w->op->migration);
    if (code == ZDM_OK) {
        code = pgsql_column_look(w->s, table, w->step->object, &hidden_there, &hidden, err);
    }
    bool ours = pgsql_is_owner(hidden.comment, w->op->migration);
    pgsql_column_fini(&plain);
    pgsql_column_fini(&hidden);
    if (code != ZDM_OK) {
        return code;
    }
    if (in_place) {
        *out_proof = pgsql_done_if(w->step->action == ZDM_ACTION_HIDE_COLUMN);
        return ZDM_OK;
    }
    if (w->step->action == ZDM_ACTION_PURGE_COLUMN) {
        /* The plain name may be used anew by then. */
        bool none = false;
        code = pgsql_leftovers_look(w, &none, err);
        *out_proof = pgsql_done_if(!hidden_there && none);
        return code;
    }
    if (hidden_there && !ours) {
        return pgsql_look_foreign(out_proof, table, "column", w->step->object, err);
    }
    if (hidden_there && plain_there) {
        return pgsql_look_foreign(out_proof, table, "column", w->step->column, err);
    }
    if (!hidden_there && !plain_there) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "column %s of %s.%s does not exist", w->step->column, table->schema,
                             table->name);
    }
    *out_proof = pgsql_done_if(hidden_there);
    return ZDM_OK;
}

enum zdm_code pgsql_look_walk(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                              struct zdm_error *err)
{
    struct pgsql_place place;
    (void)table;
    enum zdm_code code = pgsql_journal_place(w, &place, err);
    if (code == ZDM_OK) {
        *out_proof = pgsql_done_if(place.step > w->step->ordinal || (place.step == w->step->ordinal && place.walked));
    }
    /* Triggers that were not in force for a while may have let a row by. */
    bool interrupted = false;
    if (code == ZDM_OK && *out_proof == AGENT_PROOF_DONE && w->step->action == ZDM_ACTION_CHECK_COMPARE) {
        code = pgsql_watch_compared(w, &interrupted, err);
    }
    if (interrupted) {
        *out_proof = AGENT_PROOF_NOT_DONE;
    }
    return code;
}

enum zdm_code pgsql_look_images(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                                struct zdm_error *err)
{
    bool there = false;
    (void)table;
    enum zdm_code code = pgsql_images_exist(w, w->step->object, &there, err);
    *out_proof = pgsql_done_if(!there);
    return code;
}

enum zdm_code pgsql_look_index(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                               struct zdm_error *err)
{
    return pgsql_index_look(w, table, out_proof, err);
}

enum zdm_code pgsql_look_sync(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                              struct zdm_error *err)
{
    return pgsql_sync_look(w, table, w->step->ordinal, out_proof, err);
}

enum zdm_code pgsql_look_removed_sync(struct pgsql_work *w, const struct pgsql_table *table,
                                      enum agent_proof *out_proof, struct zdm_error *err)
{
    (void)table;
    return pgsql_sync_look_removed(w, w->step->sync_step, out_proof, err);
}

enum zdm_code pgsql_look_nothing(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                                 struct zdm_error *err)
{
    (void)w;
    (void)table;
    (void)err;
    *out_proof = AGENT_PROOF_DONE;
    return ZDM_OK;
}

static bool is_about(const struct zdm_step *step, const struct zdm_table *table)
{
    for (size_t i = 0; i <= step->n_others; i++) {
        const struct zdm_table *t = i < step->n_others ? &step->others[i] : &step->table;
        if (t->name != NULL && strcmp(t->schema, table->schema) == 0 && strcmp(t->name, table->name) == 0) {
            return true;
        }
    }
    return false;
}

enum zdm_code pgsql_created_is_gone(struct pgsql_work *w, bool *out, struct zdm_error *err)
{
    bool own = w->step->action == ZDM_ACTION_CREATE_TABLE || w->step->action == ZDM_ACTION_HIDE_TABLE ||
               w->step->action == ZDM_ACTION_PURGE_TABLE;
    *out = false;
    for (uint32_t o = 1; !own && !*out && o < w->step->ordinal; o++) {
        const struct zdm_step *create = zdm_plan_step(w->op->plan, o);
        if (create->action != ZDM_ACTION_CREATE_TABLE || !is_about(w->step, &create->table)) {
            continue;
        }
        ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
        const char *params[] = {create->table.schema, create->table.name};
        enum zdm_code code =
            pgsql_query(w->s, "SELECT to_regclass(format('%I.%I', $1::text, $2::text)) IS NULL", 2, params, &res, err);
        if (code != ZDM_OK) {
            return code;
        }
        *out = pgsql_true(res, 0, 0);
    }
    return ZDM_OK;
}

enum zdm_code pgsql_look(struct pgsql_work *w, enum agent_proof *out_proof, struct zdm_error *err)
{
    const struct pgsql_action *action = pgsql_action_of(w->step);
    enum agent_proof proof = AGENT_PROOF_NONE;
    struct pgsql_table table;
    if (action == NULL || action->look == NULL) {
        return zdm_error_set(err, ZDM_UNSUPPORTED, "step %s is of a kind that this release does not know", w->step->id);
    }
    bool gone = false;
    enum zdm_code code = pgsql_created_is_gone(w, &gone, err);
    if (code == ZDM_OK && gone) {
        *out_proof = AGENT_PROOF_NOT_DONE;
        return ZDM_OK;
    }
    if (code == ZDM_OK && action->of_table) {
        code = pgsql_table_find(w->s, &w->step->table, &table, err);
    }
    if (code == ZDM_OK) {
        code = action->look(w, action->of_table ? &table : NULL, &proof, err);
    }
    if (code == ZDM_OK) {
        *out_proof = proof;
    }
    return code;
}

enum zdm_code pgsql_inspect(struct pgsql_work *w, struct zdm_error *err)
{
    enum zdm_code code = pgsql_begin_reading(w->s, err);
    if (code == ZDM_OK) {
        code = w->op->back ? pgsql_look_back(w, err) : pgsql_look(w, &w->result->proof, err);
    }
    if (code == ZDM_OK && w->result->proof == AGENT_PROOF_FOREIGN) {
        w->result->error = *err;
    }
    return code;
}
