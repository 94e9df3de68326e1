/*
 * inspect.c - is a step done? The catalogue and the journal of this node answer, never memory.
 *
 * FOREIGN means that a name which the step needs is taken by something that does not carry this migration's mark; the
 * error then says what.
 */
#include "agent/engine/postgresql/ddl.h"

#include <string.h>

#include "agent/engine/postgresql/hidden.h"
#include "agent/engine/postgresql/images.h"
#include "agent/engine/postgresql/index.h"
#include "agent/engine/postgresql/journal.h"
#include "agent/engine/postgresql/sync.h"
#include "agent/engine/postgresql/undo.h"

struct look {
    struct pgsql_work *w;
    const struct zdm_step *step;
    struct pgsql_table table;
    enum agent_proof proof;
};

static enum zdm_code foreign(struct look *look, struct zdm_error *err, const char *what, const char *name)
{
    look->proof = AGENT_PROOF_FOREIGN;
    zdm_error_set(err, ZDM_EXISTS, "%s %s of %s.%s is there and was not made by this migration", what, name,
                  look->table.schema, look->table.name);
    zdm_error_hint(err, "Rename it or drop it, or choose another name.");
    return ZDM_OK;
}

static enum agent_proof done_if(bool done)
{
    return done ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
}

static enum zdm_code look_at_added_column(struct look *look, struct zdm_error *err)
{
    struct pgsql_column column;
    bool found = false;
    enum zdm_code code = pgsql_column_look(look->w->s, &look->table, look->step->column, &found, &column, err);
    if (code != ZDM_OK || !found) {
        look->proof = AGENT_PROOF_NOT_DONE;
        return code;
    }
    bool ours = pgsql_is_owner(column.comment, look->w->op->migration);
    pgsql_column_fini(&column);
    look->proof = AGENT_PROOF_DONE;
    return ours ? ZDM_OK : foreign(look, err, "column", look->step->column);
}

static enum zdm_code look_at_not_null(struct look *look, struct zdm_error *err)
{
    struct pgsql_column column;
    enum zdm_code code = pgsql_column_find(look->w->s, &look->table, look->step->column, &column, err);
    if (code == ZDM_OK) {
        look->proof = done_if(column.not_null);
        pgsql_column_fini(&column);
    }
    return code;
}

static enum zdm_code look_at_constraint(struct look *look, struct zdm_error *err)
{
    static const char sql[] = "SELECT convalidated, obj_description(oid, 'pg_constraint') FROM pg_constraint"
                              " WHERE conrelid = $1::oid AND conname = $2";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {look->table.oid, look->step->object};
    enum zdm_code code = pgsql_query(look->w->s, sql, 2, params, &res, err);
    if (code != ZDM_OK) {
        return code;
    }
    bool drop = look->step->action == ZDM_ACTION_DROP_CONSTRAINT;
    if (PQntuples(res) == 0) {
        look->proof = done_if(drop);
        return ZDM_OK;
    }
    if (!pgsql_is_owner(pgsql_text(res, 0, 1), look->w->op->migration)) {
        return foreign(look, err, "constraint", look->step->object);
    }
    look->proof = done_if(!drop && (look->step->action == ZDM_ACTION_ADD_CHECK || pgsql_true(res, 0, 0)));
    return ZDM_OK;
}

static enum zdm_code look_at_hidden_column(struct look *look, struct zdm_error *err)
{
    struct pgsql_column plain = {0}, hidden = {0};
    bool plain_there = false, hidden_there = false;
    struct pgsql_session *s = look->w->s;
    enum zdm_code code = pgsql_column_look(s, &look->table, look->step->column, &plain_there, &plain, err);
    if (code == ZDM_OK) {
        code = pgsql_column_look(s, &look->table, look->step->object, &hidden_there, &hidden, err);
    }
    bool ours = pgsql_is_owner(hidden.comment, look->w->op->migration);
    pgsql_column_fini(&plain);
    pgsql_column_fini(&hidden);
    if (code != ZDM_OK) {
        return code;
    }
    if (look->step->action == ZDM_ACTION_PURGE_COLUMN) {
        /* The plain name may be used anew by then. */
        bool none = false;
        code = pgsql_leftovers_look(look->w, &none, err);
        look->proof = done_if(!hidden_there && none);
        return code;
    }
    if (hidden_there && !ours) {
        return foreign(look, err, "column", look->step->object);
    }
    if (hidden_there && plain_there) {
        return foreign(look, err, "column", look->step->column);
    }
    if (!hidden_there && !plain_there) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "column %s of %s.%s does not exist", look->step->column,
                             look->table.schema, look->table.name);
    }
    look->proof = done_if(hidden_there);
    return ZDM_OK;
}

static enum zdm_code look_at_walk(struct look *look, struct zdm_error *err)
{
    struct pgsql_place place;
    enum zdm_code code = pgsql_journal_place(look->w, &place, err);
    if (code == ZDM_OK) {
        look->proof = done_if(place.step > look->step->ordinal || (place.step == look->step->ordinal && place.walked));
    }
    return code;
}

static enum zdm_code look_at_images(struct look *look, struct zdm_error *err)
{
    bool there = false;
    enum zdm_code code = pgsql_images_exist(look->w, look->step->object, &there, err);
    look->proof = done_if(!there);
    return code;
}

static enum zdm_code look_at_index(struct look *look, struct zdm_error *err)
{
    return pgsql_index_look(look->w, &look->table, &look->proof, err);
}

static enum zdm_code look_at_sync(struct look *look, struct zdm_error *err)
{
    return pgsql_sync_look(look->w, &look->table, look->step->ordinal, &look->proof, err);
}

static enum zdm_code look_at_removed_sync(struct look *look, struct zdm_error *err)
{
    return pgsql_sync_look_removed(look->w, look->step->sync_step, &look->proof, err);
}

static enum zdm_code nothing_to_prove(struct look *look, struct zdm_error *err)
{
    (void)err;
    look->proof = AGENT_PROOF_DONE;
    return ZDM_OK;
}

typedef enum zdm_code look_fn(struct look *look, struct zdm_error *err);

static look_fn *const looks[] = {
    [ZDM_ACTION_ADD_COLUMN] = look_at_added_column,
    [ZDM_ACTION_ADD_CHECK] = look_at_constraint,
    [ZDM_ACTION_DROP_CONSTRAINT] = look_at_constraint,
    [ZDM_ACTION_VALIDATE] = look_at_constraint,
    [ZDM_ACTION_SET_NOT_NULL] = look_at_not_null,
    [ZDM_ACTION_CREATE_INDEX] = look_at_index,
    [ZDM_ACTION_SYNC_INSTALL] = look_at_sync,
    [ZDM_ACTION_SYNC_REMOVE] = look_at_removed_sync,
    [ZDM_ACTION_HIDE_COLUMN] = look_at_hidden_column,
    [ZDM_ACTION_PURGE_COLUMN] = look_at_hidden_column,
    [ZDM_ACTION_BACKFILL] = look_at_walk,
    [ZDM_ACTION_CHECK_QUERY] = look_at_walk,
    [ZDM_ACTION_CHECK_COMPARE] = look_at_walk,
    [ZDM_ACTION_PURGE_IMAGES] = look_at_images,
    [ZDM_ACTION_GATE_FLAG] = nothing_to_prove,
};

static enum zdm_code look_at(struct look *look, struct zdm_error *err)
{
    size_t action = (size_t)look->step->action;
    if (action >= sizeof looks / sizeof *looks || looks[action] == NULL) {
        return zdm_error_set(err, ZDM_UNSUPPORTED, "step %s is of a kind that this release does not know",
                             look->step->id);
    }
    return looks[action](look, err);
}

enum zdm_code pgsql_look(struct pgsql_work *w, enum agent_proof *out_proof, struct zdm_error *err)
{
    struct look look = {.w = w, .step = w->step, .proof = AGENT_PROOF_NONE};
    bool of_a_table = w->step->action != ZDM_ACTION_GATE_FLAG && w->step->action != ZDM_ACTION_CHECK_QUERY;
    enum zdm_code code = of_a_table ? pgsql_table_find(w->s, &w->step->table, &look.table, err) : ZDM_OK;
    if (code == ZDM_OK) {
        code = look_at(&look, err);
    }
    if (code == ZDM_OK) {
        *out_proof = look.proof;
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
