/*
 * delete_back.c - deleted rows come back (delete.h).
 *
 * A batch takes the next rows of the archive in key order and inserts those that may be there: key and unique values
 * free, and what their foreign keys point at there. It is done again until nothing more comes, so that rows of a tree
 * follow their parents; and a whole pass is followed by another as long as one brings something.
 */
#include "agent/engine/postgresql/walk/delete.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/walk/backfill.h"
#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/walk/images.h"
#include "agent/engine/postgresql/back/walk_back.h"

/* What the catalogue says of inserting: columns that table and archive share and that may be assigned, and a condition
 * over d. that keeps out rows which a foreign key or a unique constraint that is deferrable would refuse (ON CONFLICT
 * does not see the latter). $1 the table, $2 the archive. */
static const char shape_sql[] =
    "SELECT (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a JOIN pg_attribute b"
    " ON b.attrelid = format('zdm.%I', $2::text)::regclass AND b.attname = a.attname AND NOT b.attisdropped AND "
    "b.attnum"
    " > 0 WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),"
    " coalesce((SELECT string_agg(format(' AND (%s OR EXISTS (SELECT FROM %I.%I AS p WHERE %s))', c.absent, n.nspname,"
    " r.relname, c.same), '' ORDER BY c.conname) FROM (SELECT k.conname, k.confrelid, string_agg(format('d.%I IS NULL',"
    " a.attname), ' OR ') AS absent, string_agg(format('p.%I OPERATOR(%I.%s) d.%I', b.attname, opn.nspname, op.oprname,"
    " a.attname), ' AND ') AS same FROM pg_constraint k CROSS JOIN LATERAL unnest(k.conkey, k.confkey, k.conpfeqop) AS"
    " u(own, other, op) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.own JOIN pg_attribute b ON"
    " b.attrelid = k.confrelid AND b.attnum = u.other JOIN pg_operator op ON op.oid = u.op JOIN pg_namespace opn ON"
    " opn.oid = op.oprnamespace WHERE k.contype = 'f' AND k.conrelid = $1::oid GROUP BY k.oid, k.conname, k.confrelid)"
    " AS c JOIN pg_class r ON r.oid = c.confrelid JOIN pg_namespace n ON n.oid = r.relnamespace), '')"
    " || coalesce((SELECT string_agg(format(' AND NOT EXISTS (SELECT FROM %I.%I AS p WHERE %s)', c.nspname, c.relname,"
    " c.same), '') FROM (SELECT n.nspname, r.relname, string_agg(format('p.%I = d.%I', a.attname, a.attname), ' AND ')"
    " AS same FROM pg_constraint k JOIN pg_class r ON r.oid = k.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace"
    " CROSS JOIN LATERAL unnest(k.conkey) AS u(own) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.own"
    " WHERE k.contype IN ('p', 'u') AND k.condeferrable AND k.conrelid = $1::oid GROUP BY k.oid, n.nspname, r.relname)"
    " AS c), '')";

struct shape {
    char *columns, *may;
};

static void shape_fini(struct shape *shape)
{
    free(shape->columns);
    free(shape->may);
}

static enum zdm_code read_shape(struct pgsql_work *w, const struct pgsql_facts *facts, struct shape *out,
                                struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {facts->table.oid, w->step->object};
    enum zdm_code code = pgsql_query(w->s, shape_sql, 2, params, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while looking at the columns of %s.%s", facts->table.schema, facts->table.name);
    }
    out->columns = zdm_strdup(pgsql_text(res, 0, 0));
    out->may = zdm_strdup(pgsql_text(res, 0, 1));
    return out->columns != NULL && out->may != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static void put_archive(struct zdm_buffer *b, const struct pgsql_work *w)
{
    zdm_buffer_puts(b, "zdm.");
    pgsql_put_name(b, w->step->object);
}

/* $1 rows, $2 cursor where there is one: the last key of the batch, and how many rows it has. */
static char *end_text(const struct pgsql_work *w, const struct pgsql_key *key, bool later)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&b, "WITH r AS MATERIALIZED (SELECT ");
    pgsql_put_key(&b, key, "t.", "");
    zdm_buffer_puts(&b, " FROM ");
    put_archive(&b, w);
    zdm_buffer_puts(&b, " AS t");
    if (later) {
        zdm_buffer_puts(&b, " WHERE ");
        pgsql_put_compare(&b, key, ">", 2);
    }
    zdm_buffer_puts(&b, " ORDER BY ");
    pgsql_put_key(&b, key, "t.", "");
    zdm_buffer_puts(&b, " LIMIT $1::int8) SELECT (SELECT ");
    pgsql_put_key_text(&b, key, "r.");
    zdm_buffer_puts(&b, " FROM r OFFSET (SELECT greatest(count(*) - 1, 0) FROM r) LIMIT 1), (SELECT count(*) FROM r)");
    return zdm_buffer_take(&b);
}

/* $1 the last key, $2 the cursor: inserts what may be there, and takes it out of the archive. */
static char *insert_text(const struct pgsql_work *w, const struct pgsql_facts *facts, const struct shape *shape,
                         bool later)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    const struct pgsql_key *key = &facts->key;
    zdm_buffer_puts(&b, "WITH back AS (INSERT INTO ");
    pgsql_put_table(&b, &w->step->table);
    zdm_buffer_printf(&b, " AS t (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM (SELECT t.* FROM ", shape->columns,
                      shape->columns);
    put_archive(&b, w);
    zdm_buffer_puts(&b, " AS t WHERE ");
    pgsql_put_compare(&b, key, "<=", 1);
    if (later) {
        zdm_buffer_puts(&b, " AND ");
        pgsql_put_compare(&b, key, ">", 2);
    }
    zdm_buffer_puts(&b, " ORDER BY ");
    pgsql_put_key(&b, key, "t.", "");
    zdm_buffer_printf(&b, ") AS d WHERE true%s ON CONFLICT DO NOTHING RETURNING ", shape->may);
    pgsql_put_key(&b, key, "t.", "");
    zdm_buffer_puts(&b, "), gone AS (DELETE FROM ");
    put_archive(&b, w);
    zdm_buffer_puts(&b, " AS a USING back WHERE ");
    for (size_t i = 0; i < key->n; i++) {
        zdm_buffer_puts(&b, i == 0 ? "a." : " AND a.");
        pgsql_put_name(&b, key->names[i]);
        zdm_buffer_puts(&b, " = back.");
        pgsql_put_name(&b, key->names[i]);
    }
    zdm_buffer_puts(&b, ") SELECT count(*) FROM back");
    return zdm_buffer_take(&b);
}

static enum zdm_code find_end(struct pgsql_work *w, const struct pgsql_walk_back *place, const struct pgsql_key *key,
                              struct pgsql_chunk *out, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    ZDM_CLEANUP(zdm_freep) char *sql = end_text(w, key, place->cursor != NULL);
    char rows[16];
    const char *params[] = {rows, place->cursor};
    snprintf(rows, sizeof rows, "%" PRIu32, w->op->rows == 0 ? 1 : w->op->rows);
    if (sql == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    enum zdm_code code = pgsql_query_prepared(w->s, sql, place->cursor != NULL ? 2 : 1, params, &res, err);
    if (code == ZDM_OK) {
        out->last = zdm_strdup(pgsql_text(res, 0, 0));
        out->rows = (uint32_t)pgsql_int(res, 0, 1);
    }
    return code;
}

static enum zdm_code insert(struct pgsql_work *w, const struct pgsql_walk_back *place, const struct pgsql_facts *facts,
                            const struct pgsql_chunk *chunk, struct zdm_error *err)
{
    struct shape shape = {0};
    ZDM_CLEANUP(zdm_freep) char *sql = NULL;
    const char *params[] = {chunk->last, place->cursor};
    int64_t n = 1;
    enum zdm_code code = read_shape(w, facts, &shape, err);
    if (code == ZDM_OK) {
        sql = insert_text(w, facts, &shape, place->cursor != NULL);
        code = sql == NULL ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : ZDM_OK;
    }
    while (code == ZDM_OK && n > 0) {
        ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
        code = pgsql_query_prepared(w->s, sql, place->cursor != NULL ? 2 : 1, params, &res, err);
        n = code == ZDM_OK ? pgsql_int(res, 0, 0) : 0;
        w->result->rows_changed += (uint32_t)n;
    }
    shape_fini(&shape);
    /* A parent went, or a value was taken, in the very moment: the next attempt sees it. */
    if (code != ZDM_OK && (strcmp(err->sqlstate, "23503") == 0 || strcmp(err->sqlstate, "23505") == 0)) {
        err->code = ZDM_CONFLICT;
    }
    return code == ZDM_OK
               ? ZDM_OK
               : zdm_error_wrap(err, "while bringing rows back into %s.%s", w->step->table.schema, w->step->table.name);
}

/* What did not come back is kept under another name until somebody purges it. */
static enum zdm_code put_rest_aside(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] =
        "WITH name AS MATERIALIZED (SELECT 'left_' || left(gen_random_uuid()::text, 8) AS n), aside AS (UPDATE"
        " zdm.hidden SET hidden_name = n, name = n, by_rollback = true, hidden_at = clock_timestamp() FROM name WHERE"
        " migration = $1 AND kind = 'images' AND hidden_name = $2 RETURNING n) SELECT format('ALTER TABLE zdm.%I RENAME"
        " TO %I', $2::text, n) FROM aside";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){w->op->migration, w->step->object}, &res, err);
    return code == ZDM_OK && PQntuples(res) == 1 ? pgsql_script(w->s, pgsql_text(res, 0, 0), NULL, err) : code;
}

static enum zdm_code count_rest(struct pgsql_work *w, uint64_t *out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    zdm_buffer_puts(&sql, "SELECT count(*) FROM ");
    put_archive(&sql, w);
    enum zdm_code code = pgsql_query(w->s, zdm_buffer_text(&sql), 0, NULL, &res, err);
    *out = code == ZDM_OK ? (uint64_t)pgsql_int(res, 0, 0) : 0;
    return code;
}

enum zdm_code pgsql_archive_total(struct pgsql_work *w, const struct pgsql_table *archive, uint64_t *out,
                                  struct zdm_error *err)
{
    (void)archive; /* the step's */
    return count_rest(w, out, err);
}

/* At the end of a pass: rows_told counts, while the walk is under way, what the pass has brought. */
static enum zdm_code end_pass(struct pgsql_work *w, struct pgsql_walk_back *place, struct zdm_error *err)
{
    uint64_t rest = 0;
    enum zdm_code code = count_rest(w, &rest, err);
    if (code != ZDM_OK) {
        return code;
    }
    free(place->cursor);
    place->cursor = NULL;
    place->over = rest == 0 || place->rows_told == 0;
    place->rows_told = 0;
    if (!place->over) {
        return ZDM_OK;
    }
    place->rows_left = rest;
    return rest == 0 ? pgsql_images_drop(w, w->step->object, err) : put_rest_aside(w, err);
}

enum zdm_code pgsql_archive_batch(struct pgsql_work *w, struct pgsql_walk_back *place, const struct pgsql_facts *facts,
                                  struct zdm_error *err)
{
    struct pgsql_chunk chunk = {0};
    enum zdm_code code = find_end(w, place, &facts->key, &chunk, err);
    if (code == ZDM_OK && chunk.last != NULL) {
        code = insert(w, place, facts, &chunk, err);
    }
    if (code != ZDM_OK) {
        free(chunk.last);
        return code;
    }
    w->result->rows_walked = chunk.rows;
    place->rows_walked += w->result->rows_changed;
    place->rows_told += w->result->rows_changed;
    if (chunk.last != NULL) {
        free(place->cursor);
        place->cursor = chunk.last;
    }
    return chunk.rows < (w->op->rows == 0 ? 1 : w->op->rows) ? end_pass(w, place, err) : ZDM_OK;
}
