/*
 * walk.c - the steps of a walk from cursor to cursor (walk.h), and how far one is.
 */
#include "agent/engine/mysql/walk/walk.h"

#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/actions.h"
#include "agent/engine/mysql/walk/delete.h"
#include "agent/engine/mysql/walk/images.h"
#include "agent/engine/mysql/journal/journal.h"
#include "agent/engine/mysql/back/walk_back.h"
#include "agent/engine/mysql/walk/walk_sql.h"
#include "agent/engine/steps.h"

void mydb_walk_free(struct mydb_walk *walk)
{
    if (walk == NULL) {
        return;
    }
    mydb_facts_fini(&walk->facts);
    free(walk->walk_key);
    free(walk->columns);
    free(walk);
}

void mydb_walk_forget(struct mydb_memory *memory)
{
    mydb_walk_free(memory->walk);
    memory->walk = NULL;
}

void mydb_memory_forget(struct mydb_memory *memory)
{
    mydb_walk_forget(memory);
    *memory = (struct mydb_memory){0};
}

/* ---- From cursor to cursor ---- */

/* A SYNC_REMOVE walks by what its sync was derived from. */
static const struct zdm_step *derived_step(const struct mydb_work *w)
{
    bool removed = w->step->action == ZDM_ACTION_SYNC_REMOVE;
    return removed ? zdm_plan_step(w->op->plan, w->step->sync_step) : w->step;
}

static enum zdm_code build(struct mydb_work *w, const struct zdm_step *derived, struct mydb_walk *walk,
                           struct zdm_error *err)
{
    enum zdm_code code = mydb_facts_read(w, derived, &walk->facts, err);
    if (code == ZDM_OK && w->step->action == ZDM_ACTION_DELETE && w->step->inverse == ZDM_INVERSE_IMAGES) {
        code = mydb_archive_look(w, &walk->facts, &walk->columns, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    walk->walk_key = zdm_strdup(walk->facts.key.signature);
    return walk->walk_key != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code mydb_walk_get(struct mydb_work *w, const struct mydb_walk **out, struct zdm_error *err)
{
    if (w->memory->walk != NULL) {
        *out = w->memory->walk;
        return ZDM_OK;
    }
    const struct zdm_step *derived = derived_step(w);
    if (derived == NULL || derived->derivation == NULL) {
        return zdm_error_set(err, ZDM_BUG, "step %s has nothing to walk for", w->step->id);
    }
    struct mydb_walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    enum zdm_code code = build(w, derived, walk, err);
    if (code != ZDM_OK) {
        mydb_walk_free(walk);
        return code;
    }
    *out = w->memory->walk = walk;
    return ZDM_OK;
}

/* The last ones, in one look: their number and where they end belong together. */
static enum zdm_code take_rest(struct mydb_work *w, const char *from, const struct mydb_key *key, struct mydb_span span,
                               uint32_t limit, struct mydb_chunk *out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_walk_rest_text(&sql, from, key, span, limit, err);
    if (code == ZDM_OK) {
        code = mydb_run(w->s, zdm_buffer_text(&sql), &rows, err);
    }
    if (code == ZDM_OK && rows->n > 0) {
        code = mydb_cursor_of(key, rows, rows->n - 1, 0, &out->last, err);
        out->rows = (uint32_t)rows->n;
    }
    return code;
}

enum zdm_code mydb_chunk_next(struct mydb_work *w, const char *from, const struct mydb_key *key, const char *after,
                              const char *bound, struct mydb_chunk *out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    struct mydb_span span = {.after = after, .to = bound};
    uint32_t limit = w->op->rows == 0 ? 1 : w->op->rows;
    enum zdm_code code = mydb_walk_end_text(&sql, from, key, span, limit, err);
    if (code == ZDM_OK) {
        code = mydb_run(w->s, zdm_buffer_text(&sql), &rows, err);
    }
    if (code == ZDM_OK && rows->n == 0) {
        return take_rest(w, from, key, span, limit, out, err);
    }
    if (code == ZDM_OK) {
        code = mydb_cursor_of(key, rows, 0, 0, &out->last, err);
        out->rows = limit;
    }
    return code;
}

enum zdm_code mydb_walk_next(struct mydb_work *w, const struct mydb_walk *walk, struct mydb_chunk *out,
                             struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer from = ZDM_BUFFER_INIT;
    const struct mydb_facts *facts = &walk->facts;
    mydb_put_walked(&from, facts->table.name, &facts->key);
    enum zdm_code code = mydb_chunk_next(w, zdm_buffer_text(&from), &facts->key, w->op->cursor, w->op->bound, out, err);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while looking for the next rows of %s", facts->table.name);
}

bool mydb_walk_is_over(const struct mydb_work *w, const struct mydb_chunk *chunk)
{
    return chunk->rows < (w->op->rows == 0 ? 1 : w->op->rows);
}

enum zdm_code mydb_walk_move(struct mydb_work *w, const struct mydb_chunk *chunk, struct zdm_error *err)
{
    struct mydb_move move = {.step = w->op->step,
                             .cursor = chunk->last != NULL ? chunk->last : w->op->cursor,
                             .keep_walk = true,
                             .walked = mydb_walk_is_over(w, chunk),
                             .rows_added = chunk->rows};
    w->result->rows_walked = chunk->rows;
    return mydb_journal_move(w, &move, err);
}

/* ---- Looks ---- */

enum zdm_code mydb_look_walk(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                             struct zdm_error *err)
{
    struct mydb_place place = {0};
    bool interrupted = false;
    (void)table;
    enum zdm_code code = mydb_journal_place(w, &place, err);
    bool done = place.step > w->step->ordinal || (place.step == w->step->ordinal && place.walked);
    /* Triggers that were not in force for a while may have let a row by. */
    if (code == ZDM_OK && done && w->step->action == ZDM_ACTION_CHECK_COMPARE) {
        code = mydb_watch_compared(w, &interrupted, err);
    }
    if (code == ZDM_OK) {
        *out_proof = done && !interrupted ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
    }
    return code;
}

/* Are there triggers that would carry the old values on? */
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

enum zdm_code mydb_back_of_walk(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    bool there = false, gone = true;
    (void)table;
    enum zdm_code code = ZDM_OK;
    if (w->step->inverse == ZDM_INVERSE_IMAGES) {
        code = mydb_images_exist(w, w->step->object, &there, err);
    }
    if (code == ZDM_OK && there) {
        code = syncs_are_gone(w, &gone, err);
    }
    if (code == ZDM_OK && !there) {
        code = mydb_walk_back_remark(w, err);
    }
    return code == ZDM_OK ? mydb_answer_back(w, !there, gone ? AGENT_RUN_IMAGES_BACK : AGENT_RUN_UNDO_SYNC) : code;
}
