/*
 * trash.c - HIDE_TABLE and PURGE_TABLE (trash.h).
 *
 * zdm.hidden says under the step what the table is called meanwhile, and since when; nothing in the catalogue does.
 */
#include "agent/engine/mysql/hide/trash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/session/classify.h"

/* ---- The step ---- */

struct place {
    bool hidden, plain; /* a table of that name is there */
    bool row;           /* and zdm.hidden says that it is this migration's */
};

static const struct zdm_step *hiding_step(const struct mydb_work *w)
{
    for (uint32_t o = w->step->ordinal; o > 0; o--) {
        const struct zdm_step *step = zdm_plan_step(w->op->plan, o);
        if (step->action == ZDM_ACTION_HIDE_TABLE && zdm_step_is_for(step, ZDM_ENGINE_MYSQL) &&
            strcmp(step->object, w->step->object) == 0) {
            return step;
        }
    }
    return w->step;
}

static enum zdm_code read_place(struct mydb_work *w, struct place *out, struct zdm_error *err)
{
    struct mydb_hidden *row = NULL;
    *out = (struct place){.hidden = false};
    enum zdm_code code = mydb_trash_exists(w, w->step->object, &out->hidden, err);
    if (code == ZDM_OK) {
        code = mydb_trash_exists(w, w->step->table.name, &out->plain, err);
    }
    if (code == ZDM_OK) {
        code = mydb_hidden_find(w, hiding_step(w)->ordinal, "table", NULL, &out->row, &row, err);
    }
    mydb_hidden_free(row, 1);
    return code;
}

enum zdm_code mydb_look_hidden_table(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                                     struct zdm_error *err)
{
    struct place place;
    (void)table;
    enum zdm_code code = read_place(w, &place, err);
    if (code == ZDM_OK && place.hidden && !place.row) {
        return mydb_look_foreign(out_proof, "table", NULL, w->step->object, err);
    }
    if (code == ZDM_OK && !place.hidden && !place.plain) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "table %s does not exist", w->step->table.name);
    }
    *out_proof = mydb_done_if(place.hidden);
    return code;
}

enum zdm_code mydb_look_purged_table(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                                     struct zdm_error *err)
{
    struct place place;
    bool none = false;
    (void)table;
    enum zdm_code code = read_place(w, &place, err);
    if (code == ZDM_OK && place.hidden && !place.row) {
        return mydb_look_foreign(out_proof, "table", NULL, w->step->object, err);
    }
    if (code == ZDM_OK) {
        code = mydb_leftovers_look(w, &none, err);
    }
    *out_proof = mydb_done_if(!place.hidden && none);
    return code;
}

/* ---- Hide ---- */

static enum zdm_code keep(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    struct mydb_names keys = {.n = 0};
    const struct zdm_step *step = w->step;
    const struct mydb_hidden h = {.kind = (char[]){"table"},
                                  .table = step->table.name,
                                  .name = step->table.name,
                                  .hidden_name = step->object,
                                  .definition = (char[]){""},
                                  .state = (char[]){"hiding"}};
    (void)table;
    /* Of a way back that was left half way: all of it is kept anew. */
    enum zdm_code code = mydb_hidden_forget(w, step->ordinal, NULL, NULL, err);
    if (code == ZDM_OK) {
        code = mydb_hidden_put(w, step->ordinal, &h, err);
    }
    if (code == ZDM_OK) {
        code = mydb_foreign_keys(w, step->table.name, &keys, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < keys.n; i++) {
        code = mydb_constraint_keep(w, "foreign key", step->table.name, keys.name[i], err);
    }
    mydb_names_free(&keys);
    return code;
}

static enum zdm_code settle(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    (void)table;
    return mydb_hidden_settle(w, err);
}

static enum zdm_code hide(struct mydb_work *w, struct zdm_error *err)
{
    struct mydb_table table;
    enum zdm_code code = mydb_table_find(w->s, w->step->table.name, &table, err);
    if (code == ZDM_OK) {
        code = mydb_table_fit(&table, err);
    }
    if (code == ZDM_OK) {
        code = mydb_trash_refuse(w, w->step->table.name, err);
    }
    if (code == ZDM_OK) {
        code = mydb_note(w, keep, NULL, false, err);
    }
    return code == ZDM_OK ? mydb_trash_rename(w, w->step->table.name, w->step->object, err) : code;
}

enum zdm_code mydb_hide_table(struct mydb_work *w, struct zdm_error *err)
{
    enum agent_proof proof = AGENT_PROOF_NONE;
    enum zdm_code code = mydb_look_hidden_table(w, NULL, &proof, err);
    if (code == ZDM_OK && proof == AGENT_PROOF_FOREIGN) {
        return err->code;
    }
    bool done = proof == AGENT_PROOF_DONE;
    if (code == ZDM_OK && !done) {
        code = hide(w, err);
    }
    if (code == ZDM_OK) {
        code = mydb_note(w, settle, NULL, true, err);
    }
    if (code == ZDM_OK && done) {
        w->result->outcome = AGENT_ALREADY;
    }
    return code;
}

/* ---- Back ---- */

enum zdm_code mydb_back_of_hidden_table(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    struct place place;
    (void)table;
    enum zdm_code code = read_place(w, &place, err);
    if (code != ZDM_OK) {
        return code;
    }
    if (place.hidden && (!place.row || place.plain)) {
        w->result->proof = AGENT_PROOF_FOREIGN;
        zdm_error_set(err, ZDM_EXISTS, "table %s is there and is not the one that was hidden",
                      place.row ? w->step->table.name : w->step->object);
        zdm_error_hint(err, "Rename it or drop it; the hidden one comes back under its own name.");
        return ZDM_OK;
    }
    if (place.row) { /* also where the rename is done, and its row still there */
        return mydb_answer_back(w, false, AGENT_RUN_UNHIDE);
    }
    return mydb_back_of_lifted(w, NULL, err);
}

static enum zdm_code forget_table(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    (void)table;
    return mydb_hidden_forget(w, w->step->ordinal, "table", w->step->object, err);
}

/* The table under its own name, then its foreign keys, each for itself. */
enum zdm_code mydb_unhide_table(struct mydb_work *w, struct zdm_error *err)
{
    struct place place;
    enum zdm_code code = read_place(w, &place, err);
    if (code == ZDM_OK && place.hidden && (!place.row || place.plain)) {
        return zdm_error_set(err, ZDM_EXISTS, "table %s is there and is not the one that was hidden",
                             place.row ? w->step->table.name : w->step->object);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_check_fence(w, err);
    }
    if (code == ZDM_OK && place.hidden) {
        code = mydb_trash_rename(w, w->step->object, w->step->table.name, err);
    }
    if (code == ZDM_OK) {
        code = mydb_unlift(w, err);
    }
    return code == ZDM_OK ? mydb_note(w, forget_table, NULL, false, err) : code;
}

/* ---- Purge ---- */

/* Without its row nobody knows since when it is hidden, and so not when its grace is over. */
static enum zdm_code need_row(struct mydb_work *w, const struct place *place, struct zdm_error *err)
{
    if (!place->hidden || place->row) {
        return ZDM_OK;
    }
    zdm_error_set(err, ZDM_CORRUPT, "zdm.hidden does not say since when table %s is hidden", w->step->table.name);
    return zdm_error_hint(err, "Rows were deleted from zdm.hidden; drop table %s yourself.", w->step->object);
}

static enum zdm_code forget_all(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    (void)table;
    return mydb_hidden_forget(w, hiding_step(w)->ordinal, NULL, NULL, err);
}

enum zdm_code mydb_purge_table(struct mydb_work *w, struct zdm_error *err)
{
    struct place place;
    bool due = false;
    enum zdm_code code = mydb_purge_is_due(w, &due, err);
    if (code != ZDM_OK || !due) {
        return code;
    }
    code = read_place(w, &place, err);
    if (code == ZDM_OK) {
        code = need_row(w, &place, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_check_fence(w, err);
    }
    if (code == ZDM_OK && place.hidden) {
        code = mydb_trash_drop(w, w->step->object, err);
    }
    if (code == ZDM_OK) {
        code = mydb_purge_leftovers_of_table(w, err);
    }
    return code == ZDM_OK ? mydb_note(w, forget_all, NULL, true, err) : code;
}
