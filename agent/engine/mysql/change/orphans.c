/*
 * orphans.c - see orphans.h.
 */
#include "agent/engine/mysql/change/orphans.h"

#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/journal/journal.h"
#include "agent/engine/mysql/walk/walk_sql.h"

enum { ROWS_FIRST = 2000, ROWS_MIN = 200, ROWS_MAX = 50000, CHUNK_SHORT_MS = 100, CHUNK_LONG_MS = 300 };

void mydb_orphans_init(struct mydb_orphans *o, struct mydb_work *w)
{
    *o = (struct mydb_orphans){.w = w, .former = w->op, .op = *w->op};
    w->op = &o->op;
}

void mydb_orphans_fini(struct mydb_orphans *o)
{
    o->w->op = o->former;
    free(o->cursor);
    mydb_rows_freep(&o->found);
}

/* ---- The query ---- */

static const char columns_sql[] =
    "SELECT COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME FROM"
    " information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = $1 AND CONSTRAINT_NAME = $2"
    " AND REFERENCED_TABLE_NAME IS NOT NULL ORDER BY ORDINAL_POSITION";

struct look {
    const char *table;
    struct mydb_rows *columns;
    struct mydb_key key;
    bool keyed, journalled;
    unsigned at_most;
    uint64_t total;
    const char *after; /* the walk's cursor */
};

static void put_columns(struct zdm_buffer *b, const struct mydb_rows *columns, const char *before, const char *between,
                        const char *behind)
{
    for (size_t i = 0; i < columns->n; i++) {
        zdm_buffer_puts(b, i == 0 ? before : between);
        mydb_put_name(b, mydb_text(columns, i, 0));
        zdm_buffer_puts(b, behind);
    }
}

static void put_parent(struct zdm_buffer *b, const struct mydb_rows *columns)
{
    zdm_buffer_puts(b, "NOT EXISTS (SELECT 1 FROM ");
    mydb_put_name(b, mydb_text(columns, 0, 1));
    zdm_buffer_puts(b, ".");
    mydb_put_name(b, mydb_text(columns, 0, 2));
    zdm_buffer_puts(b, " AS p WHERE ");
    for (size_t i = 0; i < columns->n; i++) {
        zdm_buffer_puts(b, i == 0 ? "p." : " AND p.");
        mydb_put_name(b, mydb_text(columns, i, 3));
        zdm_buffer_puts(b, " = t.");
        mydb_put_name(b, mydb_text(columns, i, 0));
    }
    zdm_buffer_puts(b, ")");
}

static void put_table(struct zdm_buffer *b, const struct look *look)
{
    if (look->keyed) {
        mydb_put_walked(b, look->table, &look->key);
    } else {
        mydb_put_name(b, look->table);
        zdm_buffer_puts(b, " AS t");
    }
}

static enum zdm_code ask(struct mydb_orphans *o, const struct look *look, struct mydb_span span, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "SELECT ");
    put_columns(&sql, look->columns, "t.", ", t.", "");
    zdm_buffer_puts(&sql, " FROM ");
    put_table(&sql, look);
    zdm_buffer_puts(&sql, " WHERE ");
    enum zdm_code code = mydb_put_span(&sql, &look->key, "t.", span, err);
    put_columns(&sql, look->columns, " AND t.", " AND t.", " IS NOT NULL");
    zdm_buffer_puts(&sql, " AND ");
    put_parent(&sql, look->columns);
    zdm_buffer_printf(&sql, " LIMIT %u", look->at_most);
    mydb_rows_freep(&o->found);
    return code == ZDM_OK ? mydb_run(o->w->s, zdm_buffer_text(&sql), &o->found, err) : code;
}

/* ---- Chunks ---- */

static bool is_found(const struct mydb_orphans *o)
{
    return o->found != NULL && o->found->n > 0;
}

/* The last chunk's end need not be kept: what follows moves the journal to the next step. */
static enum zdm_code move(struct mydb_orphans *o, struct look *look, struct mydb_chunk *chunk, struct zdm_error *err)
{
    const struct mydb_move to = {.step = o->op.step,
                                 .cursor = chunk->last,
                                 .walk_key = look->key.signature,
                                 .rows_added = chunk->rows,
                                 .restart = look->after == NULL,
                                 .rows_total = look->total};
    enum zdm_code code = mydb_journal_move(o->w, &to, err);
    return code == ZDM_OK ? mydb_journal_commit(o->w, err) : code;
}

static void go_on(struct mydb_orphans *o, struct look *look, struct mydb_chunk *chunk)
{
    free(o->cursor);
    o->cursor = chunk->last;
    chunk->last = NULL;
    look->after = o->cursor;
    o->op.cursor = look->journalled ? o->cursor : o->op.cursor;
}

static enum zdm_code next_chunk(struct mydb_orphans *o, struct look *look, bool *out_over, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer from = ZDM_BUFFER_INIT;
    struct mydb_chunk chunk = {0};
    put_table(&from, look);
    enum zdm_code code = look->journalled ? mydb_begin(o->w->s, err) : mydb_begin_reading(o->w->s, err);
    if (code == ZDM_OK) {
        code = mydb_chunk_next(o->w, zdm_buffer_text(&from), &look->key, look->after, NULL, &chunk, err);
    }
    if (code == ZDM_OK && chunk.last != NULL) {
        code = ask(o, look, (struct mydb_span){.after = look->after, .to = chunk.last}, err);
    }
    *out_over = chunk.rows < o->op.rows || is_found(o);
    if (code == ZDM_OK && look->journalled && !*out_over) {
        code = move(o, look, &chunk, err);
    }
    mydb_rollback(o->w->s); /* nothing, after a commit */
    if (code == ZDM_OK && !*out_over) {
        go_on(o, look, &chunk);
    }
    free(chunk.last);
    return code;
}

static void pace(struct agent_op *op, int64_t took_ms)
{
    if (took_ms < CHUNK_SHORT_MS && op->rows < ROWS_MAX) {
        op->rows *= 2;
    } else if (took_ms > CHUNK_LONG_MS && op->rows > ROWS_MIN) {
        op->rows /= 2;
    }
}

static enum zdm_code walk(struct mydb_orphans *o, struct look *look, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    bool over = false;
    o->op.rows = ROWS_FIRST;
    while (code == ZDM_OK && !over) {
        int64_t begun_ms = mydb_now_ms();
        o->w->result->journal_valid = false; /* a commit says so anew */
        code = next_chunk(o, look, &over, err);
        pace(&o->op, mydb_now_ms() - begun_ms);
    }
    return code;
}

/* ---- Where it begins ---- */

/* As the journal has it, which may be further than who began the operation knew: an attempt was cut off. */
static enum zdm_code recall(struct mydb_orphans *o, struct look *look, const struct mydb_table *table,
                            struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *walk_key = NULL;
    struct agent_result *result = o->w->result;
    enum zdm_code code = mydb_journal_fill(o->w, err);
    look->journalled = code == ZDM_OK && result->journal_step == o->op.step;
    if (code != ZDM_OK || !look->journalled) {
        return code;
    }
    code = mydb_rows_estimate(o->w, table, &look->total, err);
    if (code == ZDM_OK) {
        code = mydb_journal_walk_key(o->w, &walk_key, err);
    }
    o->cursor = zdm_strdup(result->cursor);
    if (code == ZDM_OK && result->cursor != NULL && o->cursor == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    o->op.cursor = o->cursor;
    look->after = walk_key != NULL && strcmp(walk_key, look->key.signature) == 0 ? o->cursor : NULL;
    return code;
}

static enum zdm_code at_once(struct mydb_orphans *o, struct look *look, struct zdm_error *err)
{
    zdm_error_clear(err);
    enum zdm_code code = mydb_begin_reading(o->w->s, err);
    if (code == ZDM_OK) {
        code = ask(o, look, (struct mydb_span){.after = NULL}, err);
    }
    mydb_rollback(o->w->s);
    return code;
}

static enum zdm_code find(struct mydb_orphans *o, struct look *look, bool journalled, struct zdm_error *err)
{
    struct mydb_table table;
    enum zdm_code code = mydb_table_find(o->w->s, look->table, &table, err);
    if (code == ZDM_OK) {
        code = mydb_key_find(o->w->s, &table, &look->key, err);
        look->keyed = code == ZDM_OK;
    }
    if (code != ZDM_OK) {
        return code == ZDM_UNSUPPORTED ? at_once(o, look, err) : code;
    }
    if (journalled) {
        code = recall(o, look, &table, err);
    }
    return code == ZDM_OK ? walk(o, look, err) : code;
}

enum zdm_code mydb_orphans_find(struct mydb_orphans *o, const char *table, const char *foreign_key, unsigned at_most,
                                bool journalled, struct zdm_error *err)
{
    struct look look = {.table = table, .at_most = at_most};
    const char *params[] = {table, foreign_key};
    enum zdm_code code = mydb_query(o->w->s, columns_sql, 2, params, &look.columns, err);
    o->known = code == ZDM_OK && look.columns->n > 0;
    if (o->known) {
        code = find(o, &look, journalled, err);
    }
    mydb_key_fini(&look.key);
    mydb_rows_freep(&look.columns);
    return code == ZDM_OK ? code : zdm_error_wrap(err, "while looking for rows of %s without a parent", table);
}
