/*
 * sync_back.c - the way back of a sync step and of its removal (database.md 12).
 *
 * Triggers first, then the columns that they fill: a trigger that names a column which is gone makes every write of the
 * application fail. Each is a statement of its own, so that either may be called again.
 */
#include "agent/engine/mysql/walk/sync.h"

#include "agent/engine/mysql/actions.h"
#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/back/walk_back.h"
#include "agent/engine/steps.h"
#include "common/plan/undo.h"

/* ---- UNDO_SYNC ---- */

static enum zdm_code syncs_are_gone(struct mydb_work *w, bool *out, struct zdm_error *err)
{
    const struct zdm_step *syncs[AGENT_UNDO_SYNCS_MAX];
    size_t n = agent_undo_syncs(w->op->plan, w->step, syncs);
    enum zdm_code code = ZDM_OK;
    *out = true;
    for (size_t i = 0; code == ZDM_OK && *out && i < n; i++) {
        code = mydb_sync_is_gone(w, syncs[i], out, err);
    }
    return code;
}

/* The column that the i-th assignment fills, where it goes out of sight together with its triggers. */
static const struct zdm_step *added_by(const struct mydb_work *w, size_t i)
{
    const struct zdm_derivation *d = w->step->action == ZDM_ACTION_SYNC_INSTALL ? w->step->derivation : NULL;
    const struct zdm_step *add = NULL;
    if (d != NULL && i < d->n_assignments) {
        add = zdm_plan_adds(w->op->plan, &w->step->table, d->assignments[i].target);
    }
    return add != NULL && add->ordinal >= w->op->floor ? add : NULL;
}

/* Once the triggers are gone, nothing else says that columns are still to be hidden. */
static enum zdm_code columns_are_gone(struct mydb_work *w, bool *out, struct zdm_error *err)
{
    size_t n = w->step->derivation == NULL ? 0 : w->step->derivation->n_assignments;
    enum zdm_code code = ZDM_OK;
    *out = true;
    for (size_t i = 0; code == ZDM_OK && *out && i < n; i++) {
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
        const struct zdm_step *add = added_by(w, i);
        bool owned = false;
        if (add != NULL) {
            mydb_owned_name(&name, add->table.name, add->column);
            code = mydb_owned_is(w, "column", zdm_buffer_text(&name), &owned, err);
            *out = !owned;
        }
    }
    return code;
}

enum zdm_code mydb_back_of_sync(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    bool triggers = false, columns = true;
    (void)table;
    enum zdm_code code = syncs_are_gone(w, &triggers, err);
    if (code == ZDM_OK && triggers) {
        code = columns_are_gone(w, &columns, err);
    }
    return code == ZDM_OK ? mydb_answer_back(w, triggers && columns, AGENT_RUN_UNDO_SYNC) : code;
}

/* Looks anew; true: there is nothing to do. */
static enum zdm_code is_undone(struct mydb_work *w, bool *out, struct zdm_error *err)
{
    enum zdm_code code = mydb_look_back(w, err);
    *out = code == ZDM_OK && w->result->proof == AGENT_PROOF_DONE;
    w->result->proof = AGENT_PROOF_NONE;
    w->result->next_run = AGENT_RUN_NONE;
    return code;
}

static enum zdm_code take_away(struct mydb_work *w, struct zdm_error *err)
{
    const struct zdm_step *syncs[AGENT_UNDO_SYNCS_MAX];
    size_t n = agent_undo_syncs(w->op->plan, w->step, syncs);
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < n; i++) {
        code = mydb_sync_take_defaults(w, syncs[i], err);
        code = code == ZDM_OK ? mydb_sync_drop(w, syncs[i], false, err) : code;
    }
    size_t targets = w->step->derivation == NULL ? 0 : w->step->derivation->n_assignments;
    for (size_t i = 0; code == ZDM_OK && i < targets; i++) {
        const struct zdm_step *add = added_by(w, i);
        code = add == NULL ? ZDM_OK : mydb_hide_added(w, add, err);
    }
    return code;
}

/* The transaction that ends an operation of the way back, with the fence. */
static enum zdm_code confirm(struct mydb_work *w, mydb_part_fn *part, bool undone, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK && part != NULL) {
        code = part(w, NULL, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_hold(w, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_commit(w, err);
    }
    if (code == ZDM_OK && undone) {
        w->result->outcome = AGENT_ALREADY;
    }
    return code;
}

enum zdm_code mydb_run_undo_sync(struct mydb_work *w, struct zdm_error *err)
{
    bool undone = false;
    enum zdm_code code = is_undone(w, &undone, err);
    if (code == ZDM_OK && !undone) {
        code = take_away(w, err);
    }
    return code == ZDM_OK ? confirm(w, NULL, undone, err) : code;
}

/* ---- UNDO_REMOVE ---- */

static const struct zdm_step *removed_sync(const struct mydb_work *w)
{
    return zdm_plan_step(w->op->plan, w->step->sync_step);
}

enum zdm_code mydb_back_of_removal(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    const struct zdm_step *sync = removed_sync(w);
    enum agent_proof installed = AGENT_PROOF_NONE;
    bool over = true;
    (void)table;
    enum zdm_code code = sync == NULL ? zdm_error_set(err, ZDM_BUG, "step %s removes no sync", w->step->id)
                                      : mydb_sync_look(w, sync, &installed, err);
    bool stands = installed == AGENT_PROOF_DONE;
    if (code == ZDM_OK && stands) {
        code = mydb_walk_back_over(w, &over, err);
    }
    if (code == ZDM_OK && stands && over) {
        code = mydb_walk_back_remark(w, err);
    }
    return code == ZDM_OK ? mydb_answer_back(w, stands && over, stands ? AGENT_RUN_IMAGES_BACK : AGENT_RUN_UNDO_REMOVE)
                          : code;
}

static enum zdm_code begin_catching_up(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    (void)table;
    return mydb_walk_back_begin(w, err);
}

/* The walk that brings the old column in step begins before the triggers stand: without its row nobody would know that
 * one is due. */
enum zdm_code mydb_run_undo_remove(struct mydb_work *w, struct zdm_error *err)
{
    const struct zdm_step *sync = removed_sync(w);
    enum agent_proof installed = AGENT_PROOF_NONE;
    if (sync == NULL || sync->derivation == NULL) {
        return zdm_error_set(err, ZDM_BUG, "step %s removes no sync", w->step->id);
    }
    enum zdm_code code = mydb_sync_look(w, sync, &installed, err);
    bool stands = installed == AGENT_PROOF_DONE;
    if (code == ZDM_OK && !stands && sync->derivation->both_ways) {
        code = mydb_note(w, begin_catching_up, NULL, false, err);
    }
    if (code == ZDM_OK && !stands) {
        code = mydb_sync_replace(w, sync, false, err);
    }
    return code == ZDM_OK ? confirm(w, NULL, stands, err) : code;
}
