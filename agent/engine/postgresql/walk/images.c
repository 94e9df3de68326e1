/*
 * images.c - the table of before-images, and writing them back (images.h). The statement that fills it is one of the
 * walk's (walk.c).
 *
 * A batch of the way back takes the next images in key order, writes back, and deletes them. What was changed since is
 * the application's and is kept; it is counted. What the table refuses by now stays an image. The last batch drops the
 * table, or puts it aside with what is left in it.
 */
#include "agent/engine/postgresql/walk/images.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/walk/backfill.h"
#include "agent/engine/postgresql/back/walk_back.h"
#include "agent/engine/steps.h"

static void put_images(struct zdm_buffer *b, const char *object)
{
    zdm_buffer_puts(b, "zdm.");
    pgsql_put_name(b, object);
}

enum zdm_code pgsql_images_exist(struct pgsql_work *w, const char *object, bool *out, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    /* One of another migration is none of ours, whatever its name. */
    enum zdm_code code =
        pgsql_query(w->s,
                    "SELECT to_regclass(format('zdm.%I', $1::text)) IS NOT NULL AND EXISTS (SELECT FROM"
                    " zdm.hidden WHERE migration = $2 AND kind = 'images' AND hidden_name = $1)",
                    2, (const char *const[]){object, w->op->migration}, &res, err);
    if (code == ZDM_OK) {
        *out = pgsql_true(res, 0, 0);
    }
    return code;
}

/* ---- By which key its rows are known ---- */

#define KNOWN_BY "rows are known by: "

enum zdm_code pgsql_images_note_key(struct pgsql_work *w, const struct pgsql_key *key, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer text = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&text, KNOWN_BY "%s", key->known_by);
    zdm_buffer_puts(&sql, "COMMENT ON TABLE ");
    put_images(&sql, w->step->object);
    zdm_buffer_puts(&sql, " IS ");
    pgsql_put_literal(&sql, zdm_buffer_text(&text));
    return pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
}

/* The types of the kept table's own key, in its order: columns k0, k1, … of before-images; an archive of deleted rows
 * has the names of its table. */
static enum zdm_code is_kept_by(struct pgsql_work *w, const struct zdm_step *step, const struct pgsql_key *key,
                                bool *out, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_index i CROSS JOIN generate_series(0,"
        " i.indnkeyatts - 1) AS g JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[g]"
        " WHERE i.indisprimary AND i.indrelid = to_regclass(format('zdm.%I', $1::text)) ORDER BY g";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 1, (const char *const[]){step->object}, &res, err);
    *out = code == ZDM_OK && (size_t)PQntuples(res) == key->n;
    for (size_t i = 0; *out && i < key->n; i++) {
        char numbered[24];
        (void)snprintf(numbered, sizeof numbered, "k%zu", i);
        const char *name = step->action == ZDM_ACTION_DELETE ? key->names[i] : numbered;
        *out = strcmp(pgsql_text(res, (int)i, 0), name) == 0 && strcmp(pgsql_text(res, (int)i, 1), key->types[i]) == 0;
    }
    return code;
}

/* Kept by an agent that did not write it down, or restored without comments: the key that is found now, if it can be
 * the one. */
static enum zdm_code unsaid_key(struct pgsql_work *w, const struct zdm_step *step, const struct pgsql_table *table,
                                struct pgsql_key *out, struct zdm_error *err)
{
    bool fits = false;
    enum zdm_code code = pgsql_key_find(w->s, table, out, err);
    if (code == ZDM_OK) {
        code = is_kept_by(w, step, out, &fits, err);
    }
    if (code == ZDM_OK && !fits) {
        zdm_error_set(
            err, ZDM_REFUSED,
            "zdm.%s does not say by which key its rows are known, and its own key is not like (%s), the key of"
            " %s.%s now",
            step->object, out->known_by, table->schema, table->name);
        return zdm_error_hint(err,
                              "Write it down: COMMENT ON TABLE zdm.%s IS '" KNOWN_BY "<column> <type>, …', the columns"
                              " of the unique index that was the table's key, then retry the shard.",
                              step->object);
    }
    return code;
}

enum zdm_code pgsql_images_key(struct pgsql_work *w, const struct zdm_step *step, const struct pgsql_table *table,
                               struct pgsql_key *out, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    bool there = false;
    enum zdm_code code =
        step->inverse == ZDM_INVERSE_IMAGES ? pgsql_images_exist(w, step->object, &there, err) : ZDM_OK;
    if (code == ZDM_OK && !there) {
        return pgsql_key_find(w->s, table, out, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, "SELECT obj_description(to_regclass(format('zdm.%I', $1::text)), 'pg_class')", 1,
                           (const char *const[]){step->object}, &res, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    const char *text = pgsql_text(res, 0, 0);
    if (text == NULL || strncmp(text, KNOWN_BY, strlen(KNOWN_BY)) != 0) {
        return unsaid_key(w, step, table, out, err);
    }
    return pgsql_key_known_by(w->s, table, text + strlen(KNOWN_BY), out, err);
}

/* Types, modifiers and collations as the table has them. */
static void put_table(struct zdm_buffer *b, const struct pgsql_work *w, const struct pgsql_key *key)
{
    const struct zdm_derivation *d = w->step->derivation;
    zdm_buffer_puts(b, "CREATE TABLE ");
    put_images(b, w->step->object);
    zdm_buffer_puts(b, " AS SELECT ");
    for (size_t i = 0; i < key->n; i++) {
        zdm_buffer_puts(b, i == 0 ? "t." : ", t.");
        pgsql_put_name(b, key->names[i]);
        zdm_buffer_printf(b, " AS k%zu", i);
    }
    for (size_t i = 0; i < d->n_assignments; i++) {
        zdm_buffer_puts(b, ", t.");
        pgsql_put_name(b, d->assignments[i].target);
        zdm_buffer_printf(b, " AS o%zu, t.", i);
        pgsql_put_name(b, d->assignments[i].target);
        zdm_buffer_printf(b, " AS n%zu", i);
    }
    zdm_buffer_puts(b, " FROM ");
    pgsql_put_table(b, &w->step->table);
    zdm_buffer_puts(b, " AS t WITH NO DATA; ALTER TABLE ");
    put_images(b, w->step->object);
    zdm_buffer_puts(b, " ADD PRIMARY KEY (");
    for (size_t i = 0; i < key->n; i++) {
        zdm_buffer_printf(b, "%sk%zu", i == 0 ? "" : ", ", i);
    }
    zdm_buffer_puts(b, ")");
}

enum zdm_code pgsql_images_touch(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.hidden (migration, step, schema_name, table_name, kind, name, hidden_name, definition,"
        " validated) VALUES ($1, $2::int4, $3, $4, 'images', $5, $5, $6, true)"
        " ON CONFLICT (migration, step, hidden_name, kind, name) DO UPDATE SET hidden_at = clock_timestamp()";
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, w->step->ordinal);
    const char *holds = w->step->action == ZDM_ACTION_DELETE ? PGSQL_HOLDS_ROWS : "";
    const char *params[] = {w->op->migration, step, w->step->table.schema, w->step->table.name, w->step->object, holds};
    enum zdm_code code = pgsql_query_prepared(w->s, sql, 6, params, NULL, err);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while writing zdm.hidden");
}

enum zdm_code pgsql_images_make(struct pgsql_work *w, const struct pgsql_key *key, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    bool there = false;
    enum zdm_code code = pgsql_images_exist(w, w->step->object, &there, err);
    if (code == ZDM_OK && !there) {
        put_table(&sql, w, key);
        code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    }
    if (code == ZDM_OK && !there) {
        code = pgsql_images_note_key(w, key, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_walk_back_forget(w, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_images_touch(w, err);
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while making the table of before-images");
}

enum zdm_code pgsql_images_drop(struct pgsql_work *w, const char *object, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "DROP TABLE IF EXISTS ");
    put_images(&sql, object);
    enum zdm_code code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    return code == ZDM_OK
               ? pgsql_query(w->s,
                             "DELETE FROM zdm.hidden WHERE migration = $1 AND kind = 'images' AND hidden_name = $2", 2,
                             (const char *const[]){w->op->migration, object}, NULL, err)
               : code;
}

/* ---- Writing back ---- */

/* The key as the images name it. */
static void images_key(struct pgsql_key *out, const struct pgsql_key *key)
{
    *out = *key;
    for (size_t i = 0; i < key->n; i++) {
        snprintf(out->names[i], sizeof out->names[i], "k%zu", i);
    }
}

/* t."id" = d.k0 AND … */
static void put_join(struct zdm_buffer *b, const struct pgsql_key *key)
{
    for (size_t i = 0; i < key->n; i++) {
        zdm_buffer_puts(b, i == 0 ? "t." : " AND t.");
        pgsql_put_name(b, key->names[i]);
        zdm_buffer_printf(b, " = d.k%zu", i);
    }
}

/* The target is byte for byte d.<which><i>. */
static void put_holds(struct zdm_buffer *b, const struct pgsql_facts *facts, size_t i, char which)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer target = ZDM_BUFFER_INIT;
    char image[24];
    zdm_buffer_puts(&target, "t.");
    pgsql_put_name(&target, facts->pairs[i].target.name);
    snprintf(image, sizeof image, "d.%c%zu", which, i);
    zdm_buffer_puts(b, "NOT ");
    pgsql_put_differs(b, zdm_buffer_text(&target), image, facts->pairs[i].target.exact);
}

/* $1: rows; $2: cursor, where there is one. */
static void put_next(struct zdm_buffer *b, const struct pgsql_work *w, const struct pgsql_key *images, bool later)
{
    zdm_buffer_puts(b, "SELECT t.* FROM ");
    put_images(b, w->step->object);
    zdm_buffer_puts(b, " AS t");
    if (later) {
        zdm_buffer_puts(b, " WHERE ");
        pgsql_put_compare(b, images, ">", 2);
    }
    zdm_buffer_puts(b, " ORDER BY ");
    pgsql_put_key(b, images, "t.", "");
    zdm_buffer_puts(b, " LIMIT $1::int8");
}

static void put_update(struct zdm_buffer *b, const struct pgsql_work *w, const struct pgsql_facts *facts)
{
    zdm_buffer_puts(b, "UPDATE ");
    pgsql_put_table(b, &w->step->table);
    zdm_buffer_puts(b, " AS t SET ");
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_puts(b, i == 0 ? "" : ", ");
        pgsql_put_name(b, facts->pairs[i].target.name);
        zdm_buffer_puts(b, " = CASE WHEN ");
        put_holds(b, facts, i, 'n');
        zdm_buffer_printf(b, " THEN d.o%zu ELSE t.", i);
        pgsql_put_name(b, facts->pairs[i].target.name);
        zdm_buffer_puts(b, " END");
    }
    zdm_buffer_puts(b, " FROM d WHERE ");
    put_join(b, &facts->key);
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_puts(b, i == 0 ? " AND (" : " OR ");
        put_holds(b, facts, i, 'n');
    }
    zdm_buffer_puts(b, ") RETURNING ");
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_puts(b, i == 0 ? "" : " AND ");
        put_holds(b, facts, i, 'o');
    }
    zdm_buffer_puts(b, " AS whole");
}

/* Images taken, those whose row is there, rows changed, rows that are as before now, the last key. */
static void put_back(struct zdm_buffer *b, const struct pgsql_work *w, const struct pgsql_facts *facts, bool later)
{
    struct pgsql_key images;
    images_key(&images, &facts->key);
    zdm_buffer_puts(b, "WITH d AS MATERIALIZED (");
    put_next(b, w, &images, later);
    zdm_buffer_puts(b, "), there AS (SELECT count(*) AS n FROM d WHERE EXISTS (SELECT FROM ");
    pgsql_put_table(b, &w->step->table);
    zdm_buffer_puts(b, " AS t WHERE ");
    put_join(b, &facts->key);
    zdm_buffer_puts(b, ")), back AS (");
    put_update(b, w, facts);
    zdm_buffer_puts(b, "), gone AS (DELETE FROM ");
    put_images(b, w->step->object);
    zdm_buffer_puts(b, " AS t USING d WHERE ");
    put_join(b, &images);
    zdm_buffer_puts(b, ") SELECT (SELECT count(*) FROM d), (SELECT n FROM there), (SELECT count(*) FROM back),"
                       " (SELECT count(*) FROM back WHERE whole), (SELECT ");
    pgsql_put_key_text(b, &images, "d.");
    zdm_buffer_puts(b, " FROM d ORDER BY ");
    pgsql_put_key(b, &images, "d.", " DESC");
    zdm_buffer_puts(b, " LIMIT 1)");
}

/* After deadlocks: the rows of the batch in key order first. */
static void put_lock(struct zdm_buffer *b, const struct pgsql_work *w, const struct pgsql_facts *facts, bool later)
{
    struct pgsql_key images;
    images_key(&images, &facts->key);
    zdm_buffer_puts(b, "WITH d AS MATERIALIZED (");
    put_next(b, w, &images, later);
    zdm_buffer_puts(b, ") SELECT count(*) FROM (SELECT FROM ");
    pgsql_put_table(b, &w->step->table);
    zdm_buffer_puts(b, " AS t WHERE EXISTS (SELECT FROM d WHERE ");
    put_join(b, &facts->key);
    zdm_buffer_puts(b, ") ORDER BY ");
    pgsql_put_key(b, &facts->key, "t.", "");
    zdm_buffer_puts(b, " FOR NO KEY UPDATE OF t) AS locked");
}

/* What a batch needs to know beside its place. */
struct writing {
    const struct pgsql_facts *facts;
};

static enum zdm_code write_some(struct pgsql_work *w, struct pgsql_walk_back *place, void *ctx, uint32_t limit,
                                uint32_t *out, struct zdm_error *err)
{
    const struct pgsql_facts *facts = ((const struct writing *)ctx)->facts;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer lock = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    char rows[16];
    bool later = place->cursor != NULL;
    const char *params[] = {rows, place->cursor};
    snprintf(rows, sizeof rows, "%" PRIu32, limit);
    put_lock(&lock, w, facts, later);
    put_back(&sql, w, facts, later);
    enum zdm_code code = ZDM_OK;
    if (w->op->locked_form) {
        code = pgsql_query_prepared(w->s, zdm_buffer_text(&lock), later ? 2 : 1, params, NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_query_prepared(w->s, zdm_buffer_text(&sql), later ? 2 : 1, params, &res, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    *out = (uint32_t)pgsql_int(res, 0, 0);
    w->result->rows_changed += (uint32_t)pgsql_int(res, 0, 2);
    place->rows_walked += *out;
    place->rows_told += (uint64_t)(pgsql_int(res, 0, 1) - pgsql_int(res, 0, 3));
    place->rows_left += (uint64_t)(pgsql_int(res, 0, 0) - pgsql_int(res, 0, 1));
    return pgsql_walk_back_to(place, pgsql_text(res, 0, 4), err);
}

static enum zdm_code skip_one(struct pgsql_work *w, struct pgsql_walk_back *place, void *ctx, struct zdm_error *err)
{
    struct pgsql_key images;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    bool later = place->cursor != NULL;
    const char *params[] = {"1", place->cursor};
    images_key(&images, &((const struct writing *)ctx)->facts->key);
    zdm_buffer_puts(&sql, "WITH d AS (");
    put_next(&sql, w, &images, later);
    zdm_buffer_puts(&sql, ") SELECT ");
    pgsql_put_key_text(&sql, &images, "d.");
    zdm_buffer_puts(&sql, " FROM d");
    enum zdm_code code = pgsql_query_prepared(w->s, zdm_buffer_text(&sql), later ? 2 : 1, params, &res, err);
    place->rows_walked++;
    return code == ZDM_OK && PQntuples(res) == 1 ? pgsql_walk_back_to(place, pgsql_text(res, 0, 0), err) : code;
}

enum zdm_code pgsql_images_put_aside(struct pgsql_work *w, struct zdm_error *err)
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

enum zdm_code pgsql_images_batch(struct pgsql_work *w, struct pgsql_walk_back *place, const struct pgsql_facts *facts,
                                 struct zdm_error *err)
{
    struct writing writing = {.facts = facts};
    enum zdm_code code =
        pgsql_walk_back_take(w, place, write_some, skip_one, &writing, AGENT_IMAGES_KEPT, &place->over, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while writing before-images back into %s.%s", w->step->table.schema,
                              w->step->table.name);
    }
    if (!place->over) {
        return ZDM_OK;
    }
    return place->rows_kept > 0 ? pgsql_images_put_aside(w, err) : pgsql_images_drop(w, w->step->object, err);
}
