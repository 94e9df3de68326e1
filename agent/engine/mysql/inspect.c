/*
 * inspect.c - is a step done, and on the way back undone? The catalogue and what was written down answer, never memory.
 *
 * Which look belongs to which kind of step: actions.c.
 */
#include <string.h>

#include "agent/engine/mysql/change/ddl.h"

enum zdm_code mydb_look_foreign(enum agent_proof *out_proof, const char *what, const char *table, const char *name,
                                struct zdm_error *err)
{
    *out_proof = AGENT_PROOF_FOREIGN;
    if (table != NULL) {
        zdm_error_set(err, ZDM_EXISTS, "%s %s of %s is there and was not made by this migration", what, name, table);
    } else {
        zdm_error_set(err, ZDM_EXISTS, "%s %s is there and was not made by this migration", what, name);
    }
    zdm_error_hint(err, "Rename it or drop it, or choose another name.");
    return ZDM_OK;
}

enum agent_proof mydb_done_if(bool done)
{
    return done ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
}

enum zdm_code mydb_answer_back(struct mydb_work *w, bool undone, enum agent_run next)
{
    w->result->proof = undone ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
    w->result->next_run = undone ? AGENT_RUN_NONE : next;
    return ZDM_OK;
}

enum zdm_code mydb_look_nothing(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
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
        if (t->name != NULL && strcmp(t->name, table->name) == 0) {
            return true;
        }
    }
    return false;
}

enum zdm_code mydb_created_is_gone(struct mydb_work *w, bool *out, struct zdm_error *err)
{
    bool own = w->step->action == ZDM_ACTION_CREATE_TABLE || w->step->action == ZDM_ACTION_HIDE_TABLE ||
               w->step->action == ZDM_ACTION_PURGE_TABLE;
    *out = false;
    for (uint32_t o = 1; !own && !*out && o < w->step->ordinal; o++) {
        const struct zdm_step *create = zdm_plan_step(w->op->plan, o);
        struct mydb_table table;
        if (create->action != ZDM_ACTION_CREATE_TABLE || !zdm_step_is_for(create, ZDM_ENGINE_MYSQL) ||
            !is_about(w->step, &create->table)) {
            continue;
        }
        enum zdm_code code = mydb_table_find(w->s, create->table.name, &table, err);
        if (code != ZDM_OK && code != ZDM_NOT_FOUND) {
            return code;
        }
        *out = code == ZDM_NOT_FOUND;
        zdm_error_clear(err);
    }
    return ZDM_OK;
}

static enum zdm_code unknown_kind(const struct zdm_step *step, struct zdm_error *err)
{
    return zdm_error_set(err, ZDM_UNSUPPORTED, "step %s is of a kind that MySQL and MariaDB do not have", step->id);
}

enum zdm_code mydb_look(struct mydb_work *w, enum agent_proof *out_proof, struct zdm_error *err)
{
    const struct mydb_action *action = mydb_action_of(w->step);
    enum agent_proof proof = AGENT_PROOF_NONE;
    struct mydb_table table;
    bool gone = false;
    if (action == NULL || action->look == NULL) {
        return unknown_kind(w->step, err);
    }
    enum zdm_code code = mydb_created_is_gone(w, &gone, err);
    if (code == ZDM_OK && gone) {
        *out_proof = AGENT_PROOF_NOT_DONE;
        return ZDM_OK;
    }
    if (code == ZDM_OK && action->of_table) {
        code = mydb_table_find(w->s, w->step->table.name, &table, err);
    }
    if (code == ZDM_OK) {
        code = action->look(w, action->of_table ? &table : NULL, &proof, err);
    }
    if (code == ZDM_OK) {
        *out_proof = proof;
    }
    return code;
}

/* What a purge has dropped cannot come back: UNDO_BEGIN refuses. One that did nothing yet has nothing to undo. */
enum zdm_code mydb_look_back(struct mydb_work *w, struct zdm_error *err)
{
    const struct mydb_action *action = mydb_action_of(w->step);
    struct mydb_table table;
    bool gone = false;
    if (action == NULL) {
        return unknown_kind(w->step, err);
    }
    if (action->look_back == NULL) {
        return mydb_answer_back(w, true, AGENT_RUN_NONE);
    }
    enum zdm_code code = mydb_created_is_gone(w, &gone, err);
    if (code == ZDM_OK && gone) {
        return mydb_answer_back(w, true, AGENT_RUN_NONE);
    }
    if (code == ZDM_OK && action->of_table) {
        code = mydb_table_find(w->s, w->step->table.name, &table, err);
    }
    return code == ZDM_OK ? action->look_back(w, action->of_table ? &table : NULL, err) : code;
}

enum zdm_code mydb_inspect(struct mydb_work *w, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin_reading(w->s, err);
    if (code == ZDM_OK) {
        code = w->op->back ? mydb_look_back(w, err) : mydb_look(w, &w->result->proof, err);
    }
    if (code == ZDM_OK && w->result->proof == AGENT_PROOF_FOREIGN) {
        w->result->error = *err;
    }
    return code;
}
