/*
 * backfill.c - fixing the bound of a walk, and its batches.
 *
 * A batch is one transaction: where does it end, UPDATE of that range, and the journal's compare-and-set last. The
 * value is always computed inside the UPDATE from the row at hand, so that a concurrent change of the row is seen; a
 * value carried over from an earlier read would overwrite it. An error of any statement takes all of it back: the
 * server itself would keep the rest after 1205 (session.h).
 */
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/walk/delete.h"
#include "agent/engine/mysql/walk/images.h"
#include "agent/engine/mysql/journal/journal.h"
#include "agent/engine/mysql/walk/walk_sql.h"
#include "agent/engine/steps.h"

enum { COUNT_EXACTLY_BELOW = 64 * 1024 * 1024 };

enum zdm_code mydb_rows_estimate(struct mydb_work *w, const struct mydb_table *table, uint64_t *out,
                                 struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    if (table->data_bytes >= COUNT_EXACTLY_BELOW) {
        *out = table->rows;
        return ZDM_OK;
    }
    zdm_buffer_puts(&sql, "SELECT COUNT(*) FROM ");
    mydb_put_name(&sql, table->name);
    enum zdm_code code = mydb_run(w->s, zdm_buffer_text(&sql), &rows, err);
    if (code == ZDM_OK) {
        *out = mydb_uint(rows, 0, 0);
    }
    return code;
}

enum zdm_code mydb_last_key(struct mydb_work *w, const struct mydb_key *key, char **out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    zdm_buffer_puts(&sql, "SELECT ");
    mydb_put_key_text(&sql, key, "t.");
    zdm_buffer_puts(&sql, " FROM ");
    mydb_put_walked(&sql, w->step->table.name, key);
    zdm_buffer_puts(&sql, " ORDER BY ");
    mydb_put_key(&sql, key, "t.", " DESC");
    zdm_buffer_puts(&sql, " LIMIT 1");
    enum zdm_code code = mydb_run(w->s, zdm_buffer_text(&sql), &rows, err);
    return code == ZDM_OK && rows->n > 0 ? mydb_cursor_of(key, rows, 0, 0, out, err) : code;
}

/* ---- The bound ---- */

static enum zdm_code fix_bound(struct mydb_work *w, const struct mydb_walk *walk, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *bound = NULL;
    uint64_t total = 0;
    enum zdm_code code = mydb_rows_estimate(w, &walk->facts.table, &total, err);
    if (code == ZDM_OK) {
        code = mydb_begin(w->s, err);
    }
    if (code == ZDM_OK) {
        code = mydb_last_key(w, &walk->facts.key, &bound, err);
    }
    if (code == ZDM_OK) {
        struct mydb_move move = {.step = w->op->step,
                                 .bound = bound,
                                 .walk_key = walk->walk_key,
                                 .walked = bound == NULL,
                                 .restart = true,
                                 .rows_total = total};
        code = mydb_journal_move(w, &move, err);
    }
    return code == ZDM_OK ? mydb_journal_commit(w, err) : code;
}

static enum zdm_code may_walk(struct mydb_work *w, struct zdm_error *err)
{
    struct mydb_table table;
    enum zdm_code code = mydb_table_find(w->s, w->step->table.name, &table, err);
    if (code == ZDM_OK) {
        code = mydb_table_fit(&table, err);
    }
    return code == ZDM_OK ? mydb_walk_refuse(w, &table, err) : code;
}

/* What is kept goes into a table of its own, which is made first: the server commits that by itself. */
enum zdm_code mydb_run_bound(struct mydb_work *w, struct zdm_error *err)
{
    const struct mydb_walk *walk = NULL;
    mydb_memory_forget(w->memory);
    enum zdm_code code = may_walk(w, err);
    if (code == ZDM_OK) {
        code = mydb_walk_get(w, &walk, err);
    }
    if (code == ZDM_OK) {
        code = mydb_key_keeps(walk->facts.table.name, &walk->facts.key, walk->facts.d, err);
    }
    if (code == ZDM_OK && w->step->inverse == ZDM_INVERSE_IMAGES) {
        code = mydb_images_make(w, &walk->facts, err);
    }
    return code == ZDM_OK ? fix_bound(w, walk, err) : code;
}

/* ---- A batch ---- */

/* A cursor means nothing any more when its columns, types or collations have changed, or the release that orders texts.
 * Starting again is right for what is idempotent; the rest is for a person. */
static enum zdm_code check_walk_key(struct mydb_work *w, const struct mydb_walk *walk, bool *stale,
                                    struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *then = NULL;
    enum zdm_code code = mydb_journal_walk_key(w, &then, err);
    if (code != ZDM_OK) {
        return code;
    }
    *stale = then != NULL && strcmp(then, walk->walk_key) != 0;
    /* What is deleted is not deleted twice. */
    bool again = w->step->derivation->idempotent || w->step->action == ZDM_ACTION_DELETE;
    if (*stale && !again) {
        zdm_error_set(err, ZDM_REFUSED, "the key of %s was changed in the middle of the walk", walk->facts.table.name);
        return zdm_error_detail(err, "Rows were done up to %s by (%s); now the key is (%s).", w->op->cursor, then,
                                walk->walk_key);
    }
    return ZDM_OK;
}

static enum zdm_code start_again(struct mydb_work *w, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_journal_move(w, &(struct mydb_move){.step = w->op->step, .restart = true}, err);
    }
    return code == ZDM_OK ? mydb_journal_commit(w, err) : code;
}

static enum zdm_code fill(struct mydb_work *w, const struct mydb_facts *facts, const char *last, uint32_t *out_changed,
                          struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct mydb_span span = {.after = w->op->cursor, .to = last};
    enum zdm_code code = mydb_walk_change_text(&sql, facts, span, err);
    if (code == ZDM_OK) {
        code = mydb_run(w->s, zdm_buffer_text(&sql), NULL, err);
        *out_changed = (uint32_t)mydb_changed(w->s);
    }
    return code;
}

static enum zdm_code lock(struct mydb_work *w, const struct mydb_facts *facts, const char *last, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct mydb_span span = {.after = w->op->cursor, .to = last};
    enum zdm_code code = mydb_walk_lock_text(&sql, facts, span, err);
    return code == ZDM_OK ? mydb_run(w->s, zdm_buffer_text(&sql), NULL, err) : code;
}

/* Batches with images hold their rows in key order themselves. */
static enum zdm_code change_chunk(struct mydb_work *w, const struct mydb_walk *walk, const struct mydb_chunk *chunk,
                                  struct zdm_error *err)
{
    const struct mydb_facts *facts = &walk->facts;
    bool images = w->step->inverse == ZDM_INVERSE_IMAGES, deletes = w->step->action == ZDM_ACTION_DELETE;
    uint32_t *changed = &w->result->rows_changed;
    enum zdm_code code = ZDM_OK;
    if (!images && (w->op->locked_form || agent_step_is_once(w->step))) {
        code = lock(w, facts, chunk->last, err);
    }
    if (code == ZDM_OK) {
        code = deletes  ? mydb_delete_change(w, facts, walk->columns, chunk->last, changed, err)
               : images ? mydb_images_change(w, facts, chunk->last, changed, err)
                        : fill(w, facts, chunk->last, changed, err);
    }
    return code == ZDM_OK || code == ZDM_REFUSED ? code : zdm_error_wrap(err, "while changing %s", facts->table.name);
}

static enum zdm_code run_chunk(struct mydb_work *w, const struct mydb_walk *walk, struct zdm_error *err)
{
    struct mydb_chunk chunk = {0};
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_walk_next(w, walk, &chunk, err);
    }
    if (code == ZDM_OK && chunk.last != NULL) {
        code = change_chunk(w, walk, &chunk, err);
    }
    if (code == ZDM_OK) {
        code = mydb_walk_move(w, &chunk, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_commit(w, err);
    }
    free(chunk.last);
    return code;
}

enum zdm_code mydb_run_batch(struct mydb_work *w, struct zdm_error *err)
{
    const struct mydb_walk *walk = NULL;
    bool fresh = w->memory->walk == NULL, stale = false;
    if (w->op->bound == NULL) {
        return zdm_error_set(err, ZDM_BUG, "a batch without a bound");
    }
    enum zdm_code code = mydb_walk_get(w, &walk, err);
    if (code == ZDM_OK && fresh) {
        code = check_walk_key(w, walk, &stale, err);
    }
    /* The key may be another one than when the bound was fixed. */
    if (code == ZDM_OK && fresh && w->step->action == ZDM_ACTION_BACKFILL) {
        code = mydb_key_keeps(walk->facts.table.name, &walk->facts.key, walk->facts.d, err);
    }
    if (code == ZDM_OK && stale) {
        return start_again(w, err);
    }
    if (code == ZDM_OK) {
        code = run_chunk(w, walk, err);
    }
    if (code != ZDM_OK && w->step->action == ZDM_ACTION_DELETE) {
        mydb_walk_forget(w->memory); /* the next attempt looks at the columns again */
    }
    return code;
}
