/*
 * delete_back.c - deleted rows come back (delete.h).
 *
 * A batch takes the next rows of the archive in key order and inserts those that may be there: key and unique values
 * free, and what their foreign keys point at there, or coming back with them. It is done again until nothing more
 * comes; and a whole pass is followed by another as long as one brings something, the last one over all that is left at
 * once, since rows may point at each other in a ring. What the table refuses stays in the archive (refused.c). A
 * trigger may give rows another key: then each is brought back for itself, and they are counted.
 */
#include "agent/engine/postgresql/walk/delete.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/walk/backfill.h"
#include "agent/engine/postgresql/walk/images.h"
#include "agent/engine/postgresql/back/walk_back.h"
#include "agent/engine/steps.h"

/* A table with a unique or exclusion constraint that may be deferred, itself or a part of it, takes no ON CONFLICT. */
#define DEFERRABLE                                                                                                     \
    "EXISTS (SELECT FROM pg_index x WHERE (x.indisunique OR x.indisexclusion) AND NOT x.indimmediate AND (x.indrelid " \
    "="                                                                                                                \
    " $1::oid OR x.indrelid IN (SELECT relid FROM pg_partition_tree($1::oid::regclass))))"

/* What the catalogue says of inserting: columns that table and archive share and that may be assigned; a condition over
 * d. that keeps out rows which a foreign key would refuse, unless they point at themselves, or with $3 at any of the
 * rows c that are to be inserted together; where there is no ON CONFLICT, rows too whose unique values are taken; and
 * what stands in its place then, "". $1 the table, $2 the archive. */
static const char shape_sql[] =
    "SELECT (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a JOIN pg_attribute b"
    " ON b.attrelid = format('zdm.%I', $2::text)::regclass AND b.attname = a.attname AND NOT b.attisdropped AND "
    "b.attnum"
    " > 0 WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),"
    " coalesce((SELECT string_agg(format(' AND (%s OR EXISTS (SELECT FROM %I.%I AS p WHERE %s)%s)', c.absent,"
    " n.nspname, r.relname, c.same, CASE WHEN c.confrelid <> $1::oid THEN '' WHEN $3::boolean THEN"
    " format(' OR EXISTS (SELECT FROM c AS p WHERE %s)', c.same) ELSE format(' OR (%s)', c.itself) END), '' ORDER BY "
    "c.conname) FROM (SELECT k.conname, k.confrelid, string_agg(format('d.%I "
    "IS NULL',"
    " a.attname), ' OR ') AS absent, string_agg(format('p.%I OPERATOR(%I.%s) d.%I', b.attname, opn.nspname, op.oprname,"
    " a.attname), ' AND ') AS same, string_agg(format('d.%I OPERATOR(%I.%s) d.%I', b.attname,"
    " opn.nspname, op.oprname, a.attname), ' AND ') AS itself FROM pg_constraint k CROSS JOIN LATERAL unnest(k.conkey, "
    "k.confkey, k.conpfeqop) AS"
    " u(own, other, op) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.own JOIN pg_attribute b ON"
    " b.attrelid = k.confrelid AND b.attnum = u.other JOIN pg_operator op ON op.oid = u.op JOIN pg_namespace opn ON"
    " opn.oid = op.oprnamespace WHERE k.contype = 'f' AND k.conrelid = $1::oid AND (to_jsonb(k) ->>"
    " 'conenforced') IS DISTINCT FROM 'false' GROUP BY k.oid, k.conname, k.confrelid)"
    " AS c JOIN pg_class r ON r.oid = c.confrelid JOIN pg_namespace n ON n.oid = r.relnamespace), '')"
    " || coalesce((SELECT string_agg(format(' AND NOT EXISTS (SELECT FROM %I.%I AS p WHERE %s)', c.nspname, c.relname,"
    " c.same), '') FROM (SELECT n.nspname, r.relname, string_agg(format('p.%I = d.%I', a.attname, a.attname), ' AND ')"
    " AS same FROM pg_constraint k JOIN pg_class r ON r.oid = k.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace"
    " CROSS JOIN LATERAL unnest(k.conkey) AS u(own) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.own"
    " WHERE k.contype IN ('p', 'u') AND " DEFERRABLE " AND k.conrelid = $1::oid GROUP BY k.oid, n.nspname, r.relname)"
    " AS c), ''), CASE WHEN " DEFERRABLE " THEN '' ELSE ' ON CONFLICT DO NOTHING' END";

struct shape {
    const struct pgsql_facts *facts;
    char *columns, *may, *on_conflict;
};

static void shape_fini(struct shape *shape)
{
    free(shape->columns);
    free(shape->may);
    free(shape->on_conflict);
}

static enum zdm_code read_shape(struct pgsql_work *w, const struct pgsql_facts *facts, bool ring, struct shape *out,
                                struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {facts->table.oid, w->step->object, ring ? "t" : "f"};
    enum zdm_code code = pgsql_query(w->s, shape_sql, 3, params, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while looking at the columns of %s.%s", facts->table.schema, facts->table.name);
    }
    out->columns = zdm_strdup(pgsql_text(res, 0, 0));
    out->may = zdm_strdup(pgsql_text(res, 0, 1));
    out->on_conflict = zdm_strdup(pgsql_text(res, 0, 2));
    out->facts = facts;
    bool whole = out->columns != NULL && out->may != NULL && out->on_conflict != NULL;
    return whole ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
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

/* $1 the last key, $2 the cursor. */
static void put_rows(struct zdm_buffer *b, const struct pgsql_work *w, const struct pgsql_key *key, bool later)
{
    zdm_buffer_puts(b, "SELECT t.* FROM ");
    put_archive(b, w);
    zdm_buffer_puts(b, " AS t WHERE ");
    pgsql_put_compare(b, key, "<=", 1);
    if (later) {
        zdm_buffer_puts(b, " AND ");
        pgsql_put_compare(b, key, ">", 2);
    }
    zdm_buffer_puts(b, " ORDER BY ");
    pgsql_put_key(b, key, "t.", "");
}

/* Inserts what may be there, and takes it out of the archive: how many of both. */
static char *insert_text(const struct pgsql_work *w, const struct shape *shape, bool later)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    const struct pgsql_key *key = &shape->facts->key;
    zdm_buffer_puts(&b, "WITH c AS MATERIALIZED (");
    put_rows(&b, w, key, later);
    zdm_buffer_puts(&b, "), back AS (INSERT INTO ");
    pgsql_put_table(&b, &w->step->table);
    zdm_buffer_printf(&b, " AS t (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM c AS d WHERE true%s%s RETURNING ",
                      shape->columns, shape->columns, shape->may, shape->on_conflict);
    pgsql_put_key(&b, key, "t.", "");
    zdm_buffer_puts(&b, "), gone AS (DELETE FROM ");
    put_archive(&b, w);
    zdm_buffer_puts(&b, " AS a USING back, c WHERE ");
    for (size_t i = 0; i < key->n; i++) {
        zdm_buffer_puts(&b, i == 0 ? "a." : " AND a.");
        pgsql_put_name(&b, key->names[i]);
        zdm_buffer_puts(&b, " = back.");
        pgsql_put_name(&b, key->names[i]);
        zdm_buffer_puts(&b, " AND a.");
        pgsql_put_name(&b, key->names[i]);
        zdm_buffer_puts(&b, " = c.");
        pgsql_put_name(&b, key->names[i]);
    }
    zdm_buffer_puts(&b, " RETURNING 1) SELECT (SELECT count(*) FROM back), (SELECT count(*) FROM gone)");
    return zdm_buffer_take(&b);
}

static enum zdm_code find_end(struct pgsql_work *w, const struct pgsql_walk_back *place, const struct pgsql_key *key,
                              uint64_t limit, struct pgsql_chunk *out, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    ZDM_CLEANUP(zdm_freep) char *sql = end_text(w, key, place->cursor != NULL);
    char rows[24];
    const char *params[] = {rows, place->cursor};
    snprintf(rows, sizeof rows, "%" PRIu64, limit);
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

/* The row came back under a key that a trigger gave it: the one of the archive goes all the same. */
static enum zdm_code forget_one(struct pgsql_work *w, const struct pgsql_key *key, const char *last,
                                struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "DELETE FROM ");
    put_archive(&sql, w);
    zdm_buffer_puts(&sql, " AS t WHERE ");
    pgsql_put_compare(&sql, key, "=", 1);
    return pgsql_query_prepared(w->s, zdm_buffer_text(&sql), 1, (const char *const[]){last}, NULL, err);
}

/* What comes back and what goes must be the same rows; where they are not, one row says which it is. */
static enum zdm_code settle(struct pgsql_work *w, struct pgsql_walk_back *place, const struct pgsql_key *key,
                            const struct pgsql_chunk *chunk, const PGresult *res, struct zdm_error *err)
{
    int64_t back = pgsql_int(res, 0, 0), gone = pgsql_int(res, 0, 1);
    w->result->rows_changed += (uint32_t)back;
    place->rows_walked += (uint64_t)back;
    if (back == gone) {
        return ZDM_OK;
    }
    if (chunk->rows != 1 || back != 1) {
        zdm_error_set(err, ZDM_REFUSED, "rows came back under other keys than theirs");
        zdm_copy_text(err->sqlstate, sizeof err->sqlstate, "23000");
        return err->code;
    }
    place->rows_told++;
    return forget_one(w, key, chunk->last, err);
}

static enum zdm_code insert(struct pgsql_work *w, struct pgsql_walk_back *place, const struct shape *shape,
                            const struct pgsql_chunk *chunk, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *sql = insert_text(w, shape, place->cursor != NULL);
    const char *params[] = {chunk->last, place->cursor};
    int64_t n = 1;
    enum zdm_code code = sql == NULL ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : ZDM_OK;
    for (uint32_t i = 0; code == ZDM_OK && n > 0 && i < chunk->rows; i++) {
        ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
        code = pgsql_query_prepared(w->s, sql, place->cursor != NULL ? 2 : 1, params, &res, err);
        n = code == ZDM_OK ? pgsql_int(res, 0, 0) : 0;
        if (code == ZDM_OK) {
            code = settle(w, place, &shape->facts->key, chunk, res, err);
        }
    }
    return code;
}

static enum zdm_code insert_some(struct pgsql_work *w, struct pgsql_walk_back *place, void *ctx, uint32_t rows,
                                 uint32_t *out, struct zdm_error *err)
{
    const struct shape *shape = ctx;
    struct pgsql_chunk chunk = {0};
    enum zdm_code code = find_end(w, place, &shape->facts->key, rows, &chunk, err);
    if (code == ZDM_OK && chunk.last != NULL) {
        code = insert(w, place, shape, &chunk, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_walk_back_to(place, chunk.last, err);
    }
    *out = chunk.rows;
    free(chunk.last);
    return code;
}

static enum zdm_code skip_one(struct pgsql_work *w, struct pgsql_walk_back *place, void *ctx, struct zdm_error *err)
{
    struct pgsql_chunk chunk = {0};
    enum zdm_code code = find_end(w, place, &((const struct shape *)ctx)->facts->key, 1, &chunk, err);
    if (code == ZDM_OK) {
        code = pgsql_walk_back_to(place, chunk.last, err);
    }
    free(chunk.last);
    return code;
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

/* ---- Passes ---- */

/* How many had come back when the pass began: the walk has no bound, and its place is kept there. */
static uint64_t before_pass(const struct pgsql_walk_back *place)
{
    return place->bound == NULL ? 0 : strtoull(place->bound, NULL, 10);
}

static enum zdm_code begin_pass(struct pgsql_walk_back *place, struct zdm_error *err)
{
    char walked[24];
    snprintf(walked, sizeof walked, "%" PRIu64, place->rows_walked);
    free(place->cursor);
    free(place->bound);
    place->cursor = NULL;
    place->bound = zdm_strdup(walked);
    place->rows_kept = 0;
    place->why_kept[0] = '\0';
    return place->bound != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum { AT_ONCE_MAX = 10000 };

/* All that is left in one statement: rows that point at each other come back together or not at all. What this tells of
 * refusals is known already. */
static enum zdm_code try_ring(struct pgsql_work *w, struct pgsql_walk_back *place, const struct pgsql_facts *facts,
                              uint64_t *rest, struct zdm_error *err)
{
    struct pgsql_walk_back all = {.rows_walked = place->rows_walked, .rows_told = place->rows_told};
    struct shape shape = {.facts = facts};
    bool refused = false;
    uint32_t n = 0;
    if (*rest == 0 || *rest > AT_ONCE_MAX) {
        return ZDM_OK;
    }
    enum zdm_code code = read_shape(w, facts, true, &shape, err);
    if (code == ZDM_OK) {
        code = pgsql_walk_back_try(w, &all, insert_some, &shape, (uint32_t)*rest, &n, &refused, err);
    }
    if (code == ZDM_OK && refused) {
        zdm_error_clear(err);
    }
    *rest -= code == ZDM_OK ? all.rows_walked - place->rows_walked : 0;
    place->rows_walked = all.rows_walked;
    place->rows_told = all.rows_told;
    pgsql_walk_back_fini(&all);
    shape_fini(&shape);
    return code;
}

static enum zdm_code end_walk(struct pgsql_work *w, struct pgsql_walk_back *place, uint64_t rest, struct zdm_error *err)
{
    place->over = true;
    place->rows_kept = place->rows_kept < rest ? place->rows_kept : rest;
    place->rows_left = rest - place->rows_kept;
    return rest == 0 ? pgsql_images_drop(w, w->step->object, err) : pgsql_images_put_aside(w, err);
}

static enum zdm_code end_pass(struct pgsql_work *w, struct pgsql_walk_back *place, const struct pgsql_facts *facts,
                              struct zdm_error *err)
{
    uint64_t rest = 0;
    enum zdm_code code = count_rest(w, &rest, err);
    bool brought = place->rows_walked > before_pass(place);
    if (code == ZDM_OK && !brought) {
        code = try_ring(w, place, facts, &rest, err);
        brought = place->rows_walked > before_pass(place);
    }
    if (code != ZDM_OK) {
        return code;
    }
    return rest > 0 && brought ? begin_pass(place, err) : end_walk(w, place, rest, err);
}

enum zdm_code pgsql_archive_batch(struct pgsql_work *w, struct pgsql_walk_back *place, const struct pgsql_facts *facts,
                                  struct zdm_error *err)
{
    struct shape shape = {.facts = facts};
    bool over = false;
    enum zdm_code code = read_shape(w, facts, false, &shape, err);
    if (code == ZDM_OK) {
        code = pgsql_walk_back_take(w, place, insert_some, skip_one, &shape, AGENT_ARCHIVE_KEPT, &over, err);
    }
    if (code == ZDM_OK && over) {
        code = end_pass(w, place, facts, err);
    }
    shape_fini(&shape);
    return code == ZDM_OK
               ? ZDM_OK
               : zdm_error_wrap(err, "while bringing rows back into %s.%s", facts->table.schema, facts->table.name);
}
