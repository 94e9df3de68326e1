/*
 * images.c - a batch that keeps before-images, and one that writes them back (images.h). kept.c has the table.
 *
 * The server returns no row that an UPDATE has changed. So a batch has three statements: the rows that are to be
 * changed go into the table of images as they are and are held (INSERT … SELECT … FOR UPDATE), the UPDATE changes those
 * and no others, and what they hold then is read back. `zdm_batch` tells them from the images of other batches; a row
 * that another session makes fit in between is not among them. It is looked up as a value, one for a row: of EXISTS one
 * of the servers makes a join, which assigns from the rows as they were and reads all the images.
 *
 * A batch of the way back takes the next images in key order, writes back, and deletes them. What was changed since is
 * the application's and is kept; it is counted. What the table refuses by now stays an image. The last batch drops the
 * table, or puts it aside with what is left in it.
 */
#include "agent/engine/mysql/walk/images.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/walk/walk_sql.h"
#include "agent/engine/steps.h"

/* What the statements of a batch share. */
struct batch {
    const struct mydb_facts *facts;
    struct mydb_key key;              /* of the images: k0, … */
    char table[MYDB_IMAGES_NAME_MAX]; /* of the images */
    struct mydb_span span;
    char mark[24];
};

static enum zdm_code run(struct mydb_work *w, struct zdm_buffer *sql, struct mydb_rows **out, struct zdm_error *err)
{
    if (sql->failed) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    return mydb_run(w->s, zdm_buffer_text(sql), out, err);
}

/* t.`target` */
static void put_target(struct zdm_buffer *b, const struct mydb_facts *facts, size_t i)
{
    zdm_buffer_puts(b, "t.");
    mydb_put_name(b, facts->pairs[i].target.name);
}

/* ---- Forward ---- */

/* (SELECT i.zdm_batch FROM zdm.`images` AS i WHERE i.k0 = t.`id`) */
static void put_batch_of(struct zdm_buffer *b, const struct batch *batch)
{
    zdm_buffer_puts(b, "(SELECT i.zdm_batch FROM ");
    mydb_put_images(b, batch->table);
    zdm_buffer_puts(b, " AS i WHERE ");
    mydb_put_join(b, "i.", &batch->key, "t.", &batch->facts->key);
    zdm_buffer_puts(b, ")");
}

/* A row that was filled before, or whose key another had before. A value that we wrote ourselves and that is
 * overwritten once more is no old one. */
static void put_merge(struct zdm_buffer *b, const struct batch *batch)
{
    zdm_buffer_printf(b, " ON DUPLICATE KEY UPDATE zdm_batch = %s", batch->mark);
    for (size_t i = 0; i < batch->facts->n_pairs; i++) {
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer written = ZDM_BUFFER_INIT;
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer old = ZDM_BUFFER_INIT;
        const struct mydb_column *target = &batch->facts->pairs[i].target;
        mydb_put_images(&written, batch->table);
        zdm_buffer_printf(&written, ".n%zu", i);
        put_target(&old, batch->facts, i);
        zdm_buffer_printf(b, ", o%zu = IF(", i);
        mydb_put_differs(b, zdm_buffer_text(&written), target, zdm_buffer_text(&old), target);
        zdm_buffer_printf(b, ", %s, ", zdm_buffer_text(&old));
        mydb_put_images(b, batch->table);
        zdm_buffer_printf(b, ".o%zu)", i);
        b->failed = b->failed || written.failed || old.failed;
    }
}

static void put_hold_columns(struct zdm_buffer *b, const struct batch *batch)
{
    zdm_buffer_puts(b, "INSERT INTO ");
    mydb_put_images(b, batch->table);
    zdm_buffer_puts(b, " (zdm_batch, ");
    mydb_put_key(b, &batch->key, "", "");
    for (size_t i = 0; i < batch->facts->n_pairs; i++) {
        zdm_buffer_printf(b, ", o%zu", i);
    }
    zdm_buffer_printf(b, ") SELECT %s, ", batch->mark);
    mydb_put_key(b, &batch->facts->key, "t.", "");
    for (size_t i = 0; i < batch->facts->n_pairs; i++) {
        zdm_buffer_puts(b, ", ");
        put_target(b, batch->facts, i);
    }
}

/* What is not idempotent is never done to a row twice: its image says that it was. */
static enum zdm_code hold(struct mydb_work *w, const struct batch *batch, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    const struct mydb_facts *facts = batch->facts;
    put_hold_columns(&sql, batch);
    zdm_buffer_puts(&sql, " FROM ");
    mydb_put_walked(&sql, facts->table.name, &facts->key);
    zdm_buffer_puts(&sql, " WHERE ");
    enum zdm_code code = mydb_put_todo_where(&sql, facts, batch->span, err);
    if (!facts->d->idempotent) {
        zdm_buffer_puts(&sql, " AND ");
        put_batch_of(&sql, batch);
        zdm_buffer_puts(&sql, " IS NULL FOR UPDATE");
    } else {
        zdm_buffer_puts(&sql, " FOR UPDATE");
        put_merge(&sql, batch);
    }
    return code == ZDM_OK ? run(w, &sql, NULL, err) : code;
}

static enum zdm_code change_held(struct mydb_work *w, const struct batch *batch, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    const struct mydb_facts *facts = batch->facts;
    zdm_buffer_puts(&sql, "UPDATE ");
    mydb_put_walked(&sql, facts->table.name, &facts->key);
    zdm_buffer_puts(&sql, " SET ");
    mydb_put_assignments(&sql, facts);
    mydb_put_stamps(&sql, facts, MYDB_TARGETS);
    zdm_buffer_puts(&sql, " WHERE ");
    enum zdm_code code = mydb_put_span(&sql, &facts->key, "t.", batch->span, err);
    zdm_buffer_printf(&sql, " AND %s = ", batch->mark);
    put_batch_of(&sql, batch);
    return code == ZDM_OK ? run(w, &sql, NULL, err) : code;
}

static enum zdm_code note_written(struct mydb_work *w, const struct batch *batch, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    const struct mydb_facts *facts = batch->facts;
    zdm_buffer_puts(&sql, "UPDATE ");
    mydb_put_images(&sql, batch->table);
    zdm_buffer_puts(&sql, " AS i STRAIGHT_JOIN ");
    mydb_put_walked(&sql, facts->table.name, &facts->key);
    zdm_buffer_puts(&sql, " ON ");
    mydb_put_join(&sql, "t.", &facts->key, "i.", &batch->key);
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_printf(&sql, "%si.n%zu = ", i == 0 ? " SET " : ", ", i);
        put_target(&sql, facts, i);
    }
    zdm_buffer_puts(&sql, " WHERE ");
    enum zdm_code code = mydb_put_span(&sql, &batch->key, "i.", batch->span, err);
    zdm_buffer_printf(&sql, " AND i.zdm_batch = %s", batch->mark);
    return code == ZDM_OK ? run(w, &sql, NULL, err) : code;
}

enum zdm_code mydb_images_change(struct mydb_work *w, const struct mydb_facts *facts, const char *last,
                                 uint32_t *out_changed, struct zdm_error *err)
{
    struct batch batch = {.facts = facts, .span = {.after = w->op->cursor, .to = last}};
    mydb_key_of_images(&batch.key, &facts->key);
    enum zdm_code code = mydb_images_find(w, w->step->object, batch.table, err);
    if (code == ZDM_OK && *batch.table == '\0') {
        return zdm_error_set(err, ZDM_CONFLICT, "the table of before-images is not there");
    }
    if (code == ZDM_OK) {
        code = mydb_batch_mark(w, batch.mark, err);
    }
    if (code == ZDM_OK) {
        code = hold(w, &batch, err);
    }
    if (code == ZDM_OK) {
        code = change_held(w, &batch, err);
        *out_changed = (uint32_t)mydb_changed(w->s);
    }
    if (code == ZDM_OK) {
        code = note_written(w, &batch, err);
    }
    return code == ZDM_OK ? mydb_images_touch(w, batch.table, err) : code;
}

/* ---- Writing back ---- */

enum zdm_code mydb_images_total(struct mydb_work *w, const char *name, uint64_t *out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    zdm_buffer_puts(&sql, "SELECT COUNT(*) FROM ");
    mydb_put_images(&sql, name);
    enum zdm_code code = run(w, &sql, &rows, err);
    *out = code == ZDM_OK ? mydb_uint(rows, 0, 0) : 0;
    return code;
}

/* The target is byte for byte i.<which><n>. */
static void put_holds(struct zdm_buffer *b, const struct mydb_facts *facts, size_t n, char which)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer target = ZDM_BUFFER_INIT;
    char image[24];
    const struct mydb_column *column = &facts->pairs[n].target;
    put_target(&target, facts, n);
    (void)snprintf(image, sizeof image, "i.%c%zu", which, n);
    zdm_buffer_puts(b, "NOT (");
    mydb_put_differs(b, zdm_buffer_text(&target), column, image, column);
    zdm_buffer_puts(b, ")");
    b->failed = b->failed || target.failed;
}

/* … of one target at least. */
static void put_holds_any(struct zdm_buffer *b, const struct mydb_facts *facts)
{
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_puts(b, i == 0 ? "(" : " OR ");
        put_holds(b, facts, i, 'n');
    }
    zdm_buffer_puts(b, ")");
}

/* After the UPDATE each target is as before: it holds what was written, or what was there. */
static void put_whole(struct zdm_buffer *b, const struct mydb_facts *facts)
{
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_puts(b, i == 0 ? "(" : " AND (");
        put_holds(b, facts, i, 'n');
        zdm_buffer_puts(b, " OR ");
        put_holds(b, facts, i, 'o');
        zdm_buffer_puts(b, ")");
    }
}

/* zdm.`images` AS i STRAIGHT_JOIN `table` AS t … ON … */
static void put_both(struct zdm_buffer *b, const struct batch *batch)
{
    mydb_put_images(b, batch->table);
    zdm_buffer_puts(b, " AS i STRAIGHT_JOIN ");
    mydb_put_walked(b, batch->facts->table.name, &batch->facts->key);
    zdm_buffer_puts(b, " ON ");
    mydb_put_join(b, "t.", &batch->facts->key, "i.", &batch->key);
}

/* Holds the rows in key order; counts those whose row is there and those that will be as before. */
static enum zdm_code count(struct mydb_work *w, const struct batch *batch, uint64_t *there, uint64_t *whole,
                           struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    zdm_buffer_puts(&sql, "SELECT COUNT(*), COALESCE(SUM(");
    put_holds_any(&sql, batch->facts);
    zdm_buffer_puts(&sql, " AND ");
    put_whole(&sql, batch->facts);
    zdm_buffer_puts(&sql, "), 0) FROM ");
    put_both(&sql, batch);
    zdm_buffer_puts(&sql, " WHERE ");
    enum zdm_code code = mydb_put_span(&sql, &batch->key, "i.", batch->span, err);
    zdm_buffer_puts(&sql, " FOR UPDATE");
    if (code == ZDM_OK) {
        code = run(w, &sql, &rows, err);
    }
    if (code == ZDM_OK) {
        *there = mydb_uint(rows, 0, 0);
        *whole = mydb_uint(rows, 0, 1);
    }
    return code;
}

static enum zdm_code write_back(struct mydb_work *w, const struct batch *batch, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    const struct mydb_facts *facts = batch->facts;
    zdm_buffer_puts(&sql, "UPDATE ");
    put_both(&sql, batch);
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_puts(&sql, i == 0 ? " SET " : ", ");
        put_target(&sql, facts, i);
        zdm_buffer_puts(&sql, " = IF(");
        put_holds(&sql, facts, i, 'n');
        zdm_buffer_printf(&sql, ", i.o%zu, ", i);
        put_target(&sql, facts, i);
        zdm_buffer_puts(&sql, ")");
    }
    mydb_put_stamps(&sql, facts, MYDB_TARGETS);
    zdm_buffer_puts(&sql, " WHERE ");
    enum zdm_code code = mydb_put_span(&sql, &batch->key, "i.", batch->span, err);
    zdm_buffer_puts(&sql, " AND ");
    put_holds_any(&sql, facts);
    return code == ZDM_OK ? run(w, &sql, NULL, err) : code;
}

static enum zdm_code forget_images(struct mydb_work *w, const struct batch *batch, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "DELETE FROM ");
    mydb_put_images(&sql, batch->table);
    zdm_buffer_puts(&sql, " WHERE ");
    enum zdm_code code = mydb_put_span(&sql, &batch->key, "", batch->span, err);
    return code == ZDM_OK ? run(w, &sql, NULL, err) : code;
}

/* zdm.`images` AS t FORCE INDEX (PRIMARY) */
static void put_walked_images(struct zdm_buffer *b, const struct batch *batch)
{
    mydb_put_images(b, batch->table);
    zdm_buffer_puts(b, " AS t FORCE INDEX (PRIMARY)");
}

/* The next images, in the order of their key. */
static enum zdm_code find_end(struct mydb_work *w, const struct batch *batch, struct mydb_chunk *out,
                              struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer from = ZDM_BUFFER_INIT;
    put_walked_images(&from, batch);
    return mydb_chunk_next(w, zdm_buffer_text(&from), &batch->key, batch->span.after, NULL, out, err);
}

/* The images of the span, so many. */
static enum zdm_code write_span(struct mydb_work *w, const struct batch *batch, struct mydb_walk_back *place,
                                uint32_t images, struct zdm_error *err)
{
    uint64_t there = 0, whole = 0;
    enum zdm_code code = count(w, batch, &there, &whole, err);
    if (code == ZDM_OK) {
        code = write_back(w, batch, err);
    }
    if (code == ZDM_OK) {
        w->result->rows_changed += (uint32_t)mydb_changed(w->s);
        code = forget_images(w, batch, err);
    }
    if (code == ZDM_OK) {
        place->rows_told += there - whole;
        place->rows_left += images - there;
    }
    return code;
}

/* Each image by itself, so that one which the table refuses does not hold up the rest: it stays an image. */
static enum zdm_code write_one_by_one(struct mydb_work *w, const struct batch *batch, struct mydb_walk_back *place,
                                      uint32_t images, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer from = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    struct batch one = *batch;
    char *key = NULL, *before = NULL;
    put_walked_images(&from, batch);
    enum zdm_code code = mydb_walk_rest_text(&sql, zdm_buffer_text(&from), &batch->key, batch->span, images, err);
    if (code == ZDM_OK) {
        code = run(w, &sql, &rows, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        code = mydb_cursor_of(&batch->key, rows, i, 0, &key, err);
        one.span.to = key;
        code = code == ZDM_OK ? write_span(w, &one, place, 1, err) : code;
        if (code != ZDM_OK && mydb_is_of_rows(err)) {
            mydb_walk_back_keep(place, AGENT_IMAGES_KEPT, err);
            code = ZDM_OK;
        }
        free(before);
        one.span.after = before = key;
        key = NULL;
    }
    free(before);
    return code;
}

/* The server rolls back the statement alone that the table refuses. */
static enum zdm_code write_chunk(struct mydb_work *w, const struct batch *batch, struct mydb_walk_back *place,
                                 uint32_t images, struct zdm_error *err)
{
    enum zdm_code code = write_span(w, batch, place, images, err);
    if (code != ZDM_OK && mydb_is_of_rows(err)) {
        zdm_error_clear(err);
        code = write_one_by_one(w, batch, place, images, err);
    }
    place->rows_walked += images;
    return code == ZDM_OK ? ZDM_OK
                          : zdm_error_wrap(err, "while writing before-images back into %s", w->step->table.name);
}

enum zdm_code mydb_images_batch(struct mydb_work *w, const char *name, struct mydb_walk_back *place,
                                const struct mydb_facts *facts, struct zdm_error *err)
{
    struct batch batch = {.facts = facts, .span = {.after = place->cursor}};
    struct mydb_chunk chunk = {0};
    mydb_key_of_images(&batch.key, &facts->key);
    zdm_copy_text(batch.table, sizeof batch.table, name);
    enum zdm_code code = find_end(w, &batch, &chunk, err);
    batch.span.to = chunk.last;
    if (code == ZDM_OK && chunk.last != NULL) {
        code = write_chunk(w, &batch, place, chunk.rows, err);
    }
    if (code != ZDM_OK) {
        free(chunk.last);
        return code;
    }
    w->result->rows_walked = chunk.rows;
    place->over = mydb_walk_is_over(w, &chunk);
    if (chunk.last != NULL) {
        free(place->cursor);
        place->cursor = chunk.last;
    }
    return place->over ? mydb_images_aside(w, name, err) : ZDM_OK;
}
