/*
 * delete_back.c - deleted rows come back (delete.h).
 *
 * A batch takes the next rows of the archive in key order and inserts those that may be there: key and unique values
 * free, and what their foreign keys point at there. It is done again until nothing more comes, so that rows of a tree
 * follow their parents; and a whole pass is followed by another as long as one brings something. What the table
 * refuses stays in the archive; rows to which a trigger gives another key are counted.
 *
 * Which rows may come is asked in SQL, since INSERT IGNORE would swallow every other error, too. What SQL does not see
 * (an index over an expression, a value that was taken in the very moment, two rows of the archive that exclude each
 * other) makes the statement fail: then the rows are tried one by one.
 */
#include "agent/engine/mysql/walk/delete.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/walk/images.h"
#include "agent/engine/mysql/walk/walk_sql.h"
#include "agent/engine/steps.h"

struct back {
    const struct mydb_facts *facts;
    const char *archive;
    char mark[24];
    char *columns; /* `a`, `b`: of table and archive, that may be assigned */
    char *may;     /* " AND …" over d: this row may be there */
    bool triggers; /* may give rows another key */
    struct mydb_walk_back *place;
    uint64_t kept; /* of rows_kept, before this span */
};

static void back_fini(struct back *back)
{
    free(back->columns);
    free(back->may);
}

/* ---- What may be inserted ---- */

static enum zdm_code read_shared(struct mydb_work *w, struct back *back, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT a.column_name FROM information_schema.columns a JOIN information_schema.columns b ON b.table_schema ="
        " 'zdm' AND b.table_name = $3 AND b.column_name = a.column_name WHERE a.table_schema = $1 AND a.table_name = $2"
        " AND a.extra NOT LIKE '%VIRTUAL GENERATED%' AND a.extra NOT LIKE '%STORED GENERATED%' ORDER BY"
        " a.ordinal_position";
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *const params[] = {w->s->database, back->facts->table.name, back->archive};
    enum zdm_code code = mydb_query(w->s, sql, 3, params, &rows, err);
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        zdm_buffer_puts(&b, i == 0 ? "" : ", ");
        mydb_put_name(&b, mydb_text(rows, i, 0));
    }
    back->columns = zdm_buffer_take(&b);
    return code == ZDM_OK && back->columns == NULL ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : code;
}

/* Does row i of an answer begin another constraint or index than the row before? Its name is in the first column. */
static bool begins(const struct mydb_rows *rows, size_t i)
{
    return i == 0 || strcmp(mydb_text(rows, i, 0), mydb_text(rows, i - 1, 0)) != 0;
}

/* OR the row points at itself. */
static void put_itself(struct zdm_buffer *b, const struct mydb_rows *rows, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        zdm_buffer_puts(b, i == from ? " OR (d." : " AND d.");
        mydb_put_name(b, mydb_text(rows, i, 4));
        zdm_buffer_puts(b, " = d.");
        mydb_put_name(b, mydb_text(rows, i, 1));
    }
    zdm_buffer_puts(b, ")");
}

/* d.`own` IS NULL OR … EXISTS (the parent). Rows `from` up to `to` are of one foreign key: name, own
 * column, other schema, other table, other column. */
static void put_parent(struct zdm_buffer *b, const struct mydb_rows *rows, size_t from, size_t to, bool itself)
{
    zdm_buffer_puts(b, " AND (");
    for (size_t i = from; i < to; i++) {
        zdm_buffer_puts(b, "d.");
        mydb_put_name(b, mydb_text(rows, i, 1));
        zdm_buffer_puts(b, " IS NULL OR ");
    }
    zdm_buffer_puts(b, "EXISTS (SELECT 1 FROM ");
    mydb_put_name(b, mydb_text(rows, from, 2));
    zdm_buffer_puts(b, ".");
    mydb_put_name(b, mydb_text(rows, from, 3));
    zdm_buffer_puts(b, " AS p WHERE ");
    for (size_t i = from; i < to; i++) {
        zdm_buffer_puts(b, i == from ? "p." : " AND p.");
        mydb_put_name(b, mydb_text(rows, i, 4));
        zdm_buffer_puts(b, " = d.");
        mydb_put_name(b, mydb_text(rows, i, 1));
    }
    zdm_buffer_puts(b, ")");
    if (itself) {
        put_itself(b, rows, from, to);
    }
    zdm_buffer_puts(b, ")");
}

static enum zdm_code put_parents(struct mydb_work *w, const struct back *back, struct zdm_buffer *b,
                                 struct zdm_error *err)
{
    static const char sql[] = "SELECT constraint_name, column_name, referenced_table_schema, referenced_table_name,"
                              " referenced_column_name FROM information_schema.key_column_usage WHERE table_schema = $1"
                              " AND table_name = $2 AND referenced_table_name IS NOT NULL ORDER BY constraint_name,"
                              " ordinal_position";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *table = back->facts->table.name;
    enum zdm_code code = mydb_query(w->s, sql, 2, (const char *const[]){w->s->database, table}, &rows, err);
    for (size_t from = 0; code == ZDM_OK && from < rows->n;) {
        size_t to = from + 1;
        while (to < rows->n && !begins(rows, to)) {
            to++;
        }
        bool itself =
            strcmp(mydb_text(rows, from, 2), w->s->database) == 0 && strcmp(mydb_text(rows, from, 3), table) == 0;
        put_parent(b, rows, from, to, itself);
        from = to;
    }
    return code;
}

/* p.`a` = d.`a`, or of a part of a column, the same of that. Rows: index, column, part. */
static void put_same_value(struct zdm_buffer *b, const struct mydb_rows *rows, size_t i)
{
    static const char *const aliases[] = {"p.", "d."};
    const char *part = mydb_text(rows, i, 2);
    for (size_t side = 0; side < 2; side++) {
        zdm_buffer_puts(b, side == 0 ? "" : " = ");
        zdm_buffer_puts(b, part != NULL ? "LEFT(" : "");
        zdm_buffer_puts(b, aliases[side]);
        mydb_put_name(b, mydb_text(rows, i, 1));
        if (part != NULL) {
            zdm_buffer_printf(b, ", %s)", part);
        }
    }
}

/* NULLs exclude nobody, and the comparison says so. */
static enum zdm_code put_unique(struct mydb_work *w, const struct back *back, struct zdm_buffer *b,
                                struct zdm_error *err)
{
    static const char sql[] =
        "SELECT s.index_name, s.column_name, s.sub_part FROM information_schema.statistics s WHERE s.table_schema = $1"
        " AND s.table_name = $2 AND s.non_unique = 0 AND s.index_name NOT IN (SELECT e.index_name FROM"
        " information_schema.statistics e WHERE e.table_schema = $1 AND e.table_name = $2 AND e.column_name IS NULL)"
        " ORDER BY s.index_name, s.seq_in_index";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *table = back->facts->table.name;
    enum zdm_code code = mydb_query(w->s, sql, 2, (const char *const[]){w->s->database, table}, &rows, err);
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        if (begins(rows, i)) {
            zdm_buffer_puts(b, i == 0 ? " AND NOT EXISTS (SELECT 1 FROM " : ") AND NOT EXISTS (SELECT 1 FROM ");
            mydb_put_name(b, table);
            zdm_buffer_puts(b, " AS p WHERE ");
        } else {
            zdm_buffer_puts(b, " AND ");
        }
        put_same_value(b, rows, i);
    }
    zdm_buffer_puts(b, code == ZDM_OK && rows->n > 0 ? ")" : "");
    return code;
}

static enum zdm_code read_triggers(struct mydb_work *w, struct back *back, struct zdm_error *err)
{
    static const char sql[] = "SELECT 1 FROM information_schema.triggers WHERE event_object_schema = $1 AND"
                              " event_object_table = $2 AND action_timing = 'BEFORE' AND event_manipulation = 'INSERT'"
                              " AND trigger_schema = $1 LIMIT 1";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *const params[] = {w->s->database, back->facts->table.name};
    enum zdm_code code = mydb_query(w->s, sql, 2, params, &rows, err);
    back->triggers = code == ZDM_OK && rows->n > 0;
    return code;
}

static enum zdm_code read_shape(struct mydb_work *w, struct back *back, struct zdm_error *err)
{
    struct zdm_buffer may = ZDM_BUFFER_INIT;
    enum zdm_code code = read_shared(w, back, err);
    if (code == ZDM_OK) {
        code = put_parents(w, back, &may, err);
    }
    if (code == ZDM_OK) {
        code = put_unique(w, back, &may, err);
    }
    back->may = zdm_buffer_take(&may);
    if (code == ZDM_OK && back->may == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    if (code == ZDM_OK) {
        code = read_triggers(w, back, err);
    }
    return code == ZDM_OK ? mydb_batch_mark(w, back->mark, err)
                          : zdm_error_wrap(err, "while looking at the columns of %s", back->facts->table.name);
}

/* ---- A batch ---- */

/* Marks those rows of the span which may be there. */
static enum zdm_code mark_rows(struct mydb_work *w, const struct back *back, struct mydb_span span,
                               struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "UPDATE ");
    mydb_put_images(&sql, back->archive);
    zdm_buffer_printf(&sql, " AS d SET d.zdm_batch = %s WHERE ", back->mark);
    enum zdm_code code = mydb_put_span(&sql, &back->facts->key, "d.", span, err);
    zdm_buffer_puts(&sql, back->may);
    return code == ZDM_OK ? mydb_run(w->s, zdm_buffer_text(&sql), NULL, err) : code;
}

static enum zdm_code put_marked(struct zdm_buffer *b, const struct back *back, const char *alias, struct mydb_span span,
                                const char *key, struct zdm_error *err)
{
    enum zdm_code code = key != NULL ? mydb_put_compare(b, &back->facts->key, alias, "=", key, err)
                                     : mydb_put_span(b, &back->facts->key, alias, span, err);
    zdm_buffer_printf(b, " AND %szdm_batch = %s", alias, back->mark);
    return code;
}

/* The marked rows of the span, or the one with that key, into the table; out of the archive. */
static enum zdm_code insert(struct mydb_work *w, const struct back *back, struct mydb_span span, const char *key,
                            struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "INSERT INTO ");
    mydb_put_name(&sql, back->facts->table.name);
    zdm_buffer_printf(&sql, " (%s) SELECT ", back->columns);
    zdm_buffer_printf(&sql, "%s FROM ", back->columns);
    mydb_put_images(&sql, back->archive);
    zdm_buffer_puts(&sql, " WHERE ");
    enum zdm_code code = put_marked(&sql, back, "", span, key, err);
    zdm_buffer_puts(&sql, " ORDER BY ");
    mydb_put_key(&sql, &back->facts->key, "", "");
    return code == ZDM_OK ? mydb_run(w->s, zdm_buffer_text(&sql), NULL, err) : code;
}

/* Rows that have come back and are not there under their key. */
static enum zdm_code count_other_keys(struct mydb_work *w, const struct back *back, struct mydb_span span,
                                      const char *key, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    if (!back->triggers) {
        return ZDM_OK;
    }
    zdm_buffer_puts(&sql, "SELECT COUNT(*) FROM ");
    mydb_put_images(&sql, back->archive);
    zdm_buffer_puts(&sql, " AS d WHERE ");
    enum zdm_code code = put_marked(&sql, back, "d.", span, key, err);
    zdm_buffer_puts(&sql, " AND NOT EXISTS (SELECT 1 FROM ");
    mydb_put_name(&sql, back->facts->table.name);
    zdm_buffer_puts(&sql, " AS p WHERE ");
    mydb_put_join(&sql, "p.", &back->facts->key, "d.", &back->facts->key);
    zdm_buffer_puts(&sql, ")");
    if (code == ZDM_OK) {
        code = mydb_run(w->s, zdm_buffer_text(&sql), &rows, err);
    }
    back->place->rows_told += code == ZDM_OK ? mydb_uint(rows, 0, 0) : 0;
    return code;
}

static enum zdm_code take_out(struct mydb_work *w, const struct back *back, struct mydb_span span, const char *key,
                              struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    enum zdm_code code = count_other_keys(w, back, span, key, err);
    zdm_buffer_puts(&sql, "DELETE FROM ");
    mydb_put_images(&sql, back->archive);
    zdm_buffer_puts(&sql, " WHERE ");
    if (code == ZDM_OK) {
        code = put_marked(&sql, back, "", span, key, err);
    }
    return code == ZDM_OK ? mydb_run(w->s, zdm_buffer_text(&sql), NULL, err) : code;
}

static enum zdm_code insert_one(struct mydb_work *w, const struct back *back, const char *key, uint64_t *out_rows,
                                struct zdm_error *err)
{
    struct mydb_span none = {0};
    enum zdm_code code = insert(w, back, none, key, err);
    if (code != ZDM_OK && mydb_is_of_others(err)) {
        zdm_error_clear(err); /* of this statement alone: the row stays where it is */
        return ZDM_OK;
    }
    if (code != ZDM_OK && mydb_is_of_rows(err)) {
        mydb_walk_back_keep(back->place, AGENT_ARCHIVE_KEPT, err);
        return ZDM_OK;
    }
    if (code == ZDM_OK) {
        *out_rows += mydb_changed(w->s);
        code = take_out(w, back, none, key, err);
    }
    return code;
}

/* Deadlocks and locks end the transaction all the same. */
static enum zdm_code insert_one_by_one(struct mydb_work *w, const struct back *back, struct mydb_span span,
                                       uint64_t *out_rows, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    ZDM_CLEANUP(zdm_freep) char *key = NULL;
    zdm_buffer_puts(&sql, "SELECT ");
    mydb_put_key_text(&sql, &back->facts->key, "");
    zdm_buffer_puts(&sql, " FROM ");
    mydb_put_images(&sql, back->archive);
    zdm_buffer_puts(&sql, " WHERE ");
    enum zdm_code code = put_marked(&sql, back, "", span, NULL, err);
    zdm_buffer_puts(&sql, " ORDER BY ");
    mydb_put_key(&sql, &back->facts->key, "", "");
    if (code == ZDM_OK) {
        code = mydb_run(w->s, zdm_buffer_text(&sql), &rows, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        code = mydb_cursor_of(&back->facts->key, rows, i, 0, &key, err);
        if (code == ZDM_OK) {
            code = insert_one(w, back, key, out_rows, err);
        }
    }
    return code;
}

/* The server rolls back the statement alone that ran into a value or a parent. */
static enum zdm_code insert_round(struct mydb_work *w, const struct back *back, struct mydb_span span,
                                  uint64_t *out_rows, struct zdm_error *err)
{
    *out_rows = 0;
    enum zdm_code code = mark_rows(w, back, span, err);
    if (code != ZDM_OK || mydb_changed(w->s) == 0) {
        return code;
    }
    back->place->rows_kept = back->kept; /* each round tries again what was refused to the last one */
    code = insert(w, back, span, NULL, err);
    if (code != ZDM_OK && mydb_is_of_rows(err)) {
        zdm_error_clear(err);
        return insert_one_by_one(w, back, span, out_rows, err);
    }
    *out_rows = code == ZDM_OK ? mydb_changed(w->s) : 0;
    return code == ZDM_OK ? take_out(w, back, span, NULL, err) : code;
}

static enum zdm_code bring_back(struct mydb_work *w, const char *name, const struct mydb_facts *facts,
                                struct mydb_span span, struct mydb_walk_back *place, struct zdm_error *err)
{
    struct back back = {.facts = facts, .archive = name, .place = place, .kept = place->rows_kept};
    uint64_t rows = 1;
    enum zdm_code code = read_shape(w, &back, err);
    while (code == ZDM_OK && rows > 0) {
        code = insert_round(w, &back, span, &rows, err);
        w->result->rows_changed += (uint32_t)rows;
    }
    back_fini(&back);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while bringing rows back into %s", facts->table.name);
}

enum zdm_code mydb_archive_total(struct mydb_work *w, const char *name, uint64_t *out, struct zdm_error *err)
{
    return mydb_images_total(w, name, out, err);
}

/* How many had come back when the pass began: the walk has no bound, and its place is kept there. */
static uint64_t before_pass(const struct mydb_walk_back *place)
{
    return place->bound == NULL ? 0 : strtoull(place->bound, NULL, 10);
}

static enum zdm_code begin_pass(struct mydb_walk_back *place, struct zdm_error *err)
{
    char walked[24];
    (void)snprintf(walked, sizeof walked, "%" PRIu64, place->rows_walked);
    free(place->cursor);
    free(place->bound);
    place->cursor = NULL;
    place->bound = zdm_strdup(walked);
    place->rows_kept = 0;
    place->why_kept[0] = '\0';
    return place->bound != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static enum zdm_code end_pass(struct mydb_work *w, const char *name, struct mydb_walk_back *place,
                              struct zdm_error *err)
{
    uint64_t rest = 0;
    enum zdm_code code = mydb_images_total(w, name, &rest, err);
    if (code != ZDM_OK) {
        return code;
    }
    if (rest > 0 && place->rows_walked > before_pass(place)) {
        return begin_pass(place, err);
    }
    /* What did not come back is kept until somebody purges it. */
    place->over = true;
    place->rows_kept = place->rows_kept < rest ? place->rows_kept : rest;
    place->rows_left = rest - place->rows_kept;
    return mydb_images_aside(w, name, err);
}

enum zdm_code mydb_archive_batch(struct mydb_work *w, const char *name, struct mydb_walk_back *place,
                                 const struct mydb_facts *facts, struct zdm_error *err)
{
    struct mydb_chunk chunk = {0};
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer from = ZDM_BUFFER_INIT;
    mydb_put_images(&from, name);
    zdm_buffer_puts(&from, " AS t FORCE INDEX (PRIMARY)");
    enum zdm_code code = mydb_chunk_next(w, zdm_buffer_text(&from), &facts->key, place->cursor, NULL, &chunk, err);
    if (code == ZDM_OK && chunk.last != NULL) {
        code = bring_back(w, name, facts, (struct mydb_span){.after = place->cursor, .to = chunk.last}, place, err);
    }
    if (code != ZDM_OK) {
        free(chunk.last);
        return code;
    }
    w->result->rows_walked = chunk.rows;
    place->rows_walked += w->result->rows_changed;
    if (chunk.last != NULL) {
        free(place->cursor);
        place->cursor = chunk.last;
    }
    return mydb_walk_is_over(w, &chunk) ? end_pass(w, name, place, err) : ZDM_OK;
}
