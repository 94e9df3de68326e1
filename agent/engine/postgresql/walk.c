/*
 * walk.c - the statements of a walk, and its steps from cursor to cursor (backfill.h).
 */
#include "agent/engine/postgresql/backfill.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/journal.h"

void pgsql_walk_free(struct pgsql_walk *walk)
{
    if (walk == NULL) {
        return;
    }
    char *const texts[] = {walk->full_first, walk->full,         walk->walk_key, walk->next_first,
                           walk->next,       walk->lock_first,   walk->lock,     walk->change_first,
                           walk->change,     walk->differ_first, walk->differ};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        free(texts[i]);
    }
    free(walk);
}

void pgsql_walk_forget(struct pgsql_memory *memory)
{
    pgsql_walk_free(memory->walk);
    memory->walk = NULL;
}

void pgsql_memory_forget(struct pgsql_memory *memory)
{
    pgsql_walk_forget(memory);
    *memory = (struct pgsql_memory){0};
}

/* t."a", t."b" */
void pgsql_put_key(struct zdm_buffer *b, const struct pgsql_key *key, const char *alias, const char *after)
{
    for (size_t i = 0; i < key->n; i++) {
        zdm_buffer_puts(b, i == 0 ? "" : ", ");
        zdm_buffer_puts(b, alias);
        pgsql_put_name(b, key->names[i]);
        zdm_buffer_puts(b, after);
    }
}

/* The key that a cursor's text stands for. */
static void put_bound_key(struct zdm_buffer *b, const struct pgsql_key *key, int param)
{
    for (size_t i = 0; i < key->n; i++) {
        zdm_buffer_printf(b, "%s($%d::json->>%zu)::%s", i == 0 ? "" : ", ", param, i, key->types[i]);
    }
}

void pgsql_put_compare(struct zdm_buffer *b, const struct pgsql_key *key, const char *op, int param)
{
    const char *open = key->n > 1 ? "ROW(" : "(";
    zdm_buffer_puts(b, open);
    pgsql_put_key(b, key, "t.", "");
    zdm_buffer_printf(b, ") %s %s", op, open);
    put_bound_key(b, key, param);
    zdm_buffer_puts(b, ")");
}

/* Rows up to $1, behind the cursor in $cursor (0: from the start). */
static void put_range(struct zdm_buffer *b, const struct pgsql_key *key, int cursor)
{
    pgsql_put_compare(b, key, "<=", 1);
    if (cursor != 0) {
        zdm_buffer_puts(b, " AND ");
        pgsql_put_compare(b, key, ">", cursor);
    }
}

void pgsql_put_key_text(struct zdm_buffer *b, const struct pgsql_key *key, const char *alias)
{
    zdm_buffer_puts(b, "json_build_array(");
    pgsql_put_key(b, key, alias, "::text");
    zdm_buffer_puts(b, ")::text");
}

/* Reads the index only, and keeps nothing: the usual case should cost next to nothing beside the change itself. */
static char *full_text(const struct pgsql_facts *facts, const struct zdm_table *table, int cursor)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&b, "SELECT ");
    pgsql_put_key_text(&b, &facts->key, "r.");
    zdm_buffer_puts(&b, " FROM (SELECT ");
    pgsql_put_key(&b, &facts->key, "t.", "");
    zdm_buffer_puts(&b, " FROM ");
    pgsql_put_table(&b, table);
    zdm_buffer_puts(&b, " AS t WHERE ");
    put_range(&b, &facts->key, cursor);
    zdm_buffer_puts(&b, " ORDER BY ");
    pgsql_put_key(&b, &facts->key, "t.", "");
    zdm_buffer_puts(&b, " OFFSET $2::int8 - 1 LIMIT 1) AS r");
    return zdm_buffer_take(&b);
}

static char *next_text(const struct pgsql_facts *facts, const struct zdm_table *table, int cursor)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&b, "WITH r AS MATERIALIZED (SELECT ");
    pgsql_put_key(&b, &facts->key, "t.", "");
    zdm_buffer_puts(&b, " FROM ");
    pgsql_put_table(&b, table);
    zdm_buffer_puts(&b, " AS t WHERE ");
    put_range(&b, &facts->key, cursor);
    zdm_buffer_puts(&b, " ORDER BY ");
    pgsql_put_key(&b, &facts->key, "t.", "");
    /* The rows of r come in its order: the last is found without sorting again. */
    zdm_buffer_puts(&b, " LIMIT $2::int8) SELECT (SELECT ");
    pgsql_put_key_text(&b, &facts->key, "r.");
    zdm_buffer_puts(&b, " FROM r OFFSET (SELECT greatest(count(*) - 1, 0) FROM r) LIMIT 1), (SELECT count(*) FROM r)");
    return zdm_buffer_take(&b);
}

/* SQL of what the target is to be, of the target's own type so that the two can be compared; a modifier of varchar is
 * left out, since a cast would cut where the assignment refuses. */
static void put_expected(struct zdm_buffer *b, const struct pgsql_pair *pair)
{
    bool varchar =
        strcmp(pair->target.base, "varchar") == 0 && strncmp(pair->target.type, "character varying", 17) == 0;
    zdm_buffer_printf(b, "(%s)::%s", pair->a->expr, varchar ? "character varying" : pair->target.type);
}

/* "the target is not identical to what it should be", or for a value that is filled once "is still as added". */
static void put_todo(struct zdm_buffer *b, const struct pgsql_pair *pair)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer target = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer other = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&target, "t.");
    pgsql_put_name(&target, pair->a->target);
    if (pair->a->fill_once) {
        zdm_buffer_printf(&other, "(%s)::%s", pair->a->initial == NULL ? "NULL" : pair->a->initial, pair->target.type);
        zdm_buffer_puts(b, "NOT ");
    } else {
        put_expected(&other, pair);
    }
    pgsql_put_differs(b, zdm_buffer_text(&target), zdm_buffer_text(&other), pair->target.exact);
}

static void put_terms(struct zdm_buffer *b, const char *term)
{
    if (term != NULL) {
        zdm_buffer_printf(b, " AND (%s)", term);
    }
}

/* In a statement with several assignments a filled-once target keeps what it has where it has something. */
static void put_assignment(struct zdm_buffer *b, const struct pgsql_pair *pair, bool alone)
{
    pgsql_put_name(b, pair->a->target);
    if (!pair->a->fill_once || alone) {
        zdm_buffer_printf(b, " = %s", pair->a->expr);
        return;
    }
    zdm_buffer_puts(b, " = CASE WHEN ");
    put_todo(b, pair);
    zdm_buffer_printf(b, " THEN %s ELSE t.", pair->a->expr);
    pgsql_put_name(b, pair->a->target);
    zdm_buffer_puts(b, " END");
}

static char *change_text(const struct pgsql_facts *facts, const struct zdm_table *table, int cursor)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&b, "UPDATE ");
    pgsql_put_table(&b, table);
    zdm_buffer_puts(&b, " AS t SET ");
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_puts(&b, i == 0 ? "" : ", ");
        put_assignment(&b, &facts->pairs[i], facts->n_pairs == 1);
    }
    zdm_buffer_puts(&b, " WHERE ");
    put_range(&b, &facts->key, cursor);
    put_terms(&b, facts->d->filter);
    put_terms(&b, facts->d->guard);
    for (size_t i = 0; facts->d->idempotent && i < facts->n_pairs; i++) {
        zdm_buffer_puts(&b, i == 0 ? " AND (" : " OR ");
        put_todo(&b, &facts->pairs[i]);
    }
    zdm_buffer_puts(&b, facts->d->idempotent ? ")" : "");
    return zdm_buffer_take(&b);
}

/* ON CONFLICT: a row that was filled before, or whose key another had before. A value that we wrote ourselves and that
 * is overwritten once more is no old one. */
static void put_images_merge(struct zdm_buffer *b, const struct pgsql_facts *facts)
{
    zdm_buffer_puts(b, " ON CONFLICT (");
    for (size_t i = 0; i < facts->key.n; i++) {
        zdm_buffer_printf(b, "%sk%zu", i == 0 ? "" : ", ", i);
    }
    zdm_buffer_puts(b, ") DO UPDATE SET ");
    for (size_t i = 0; i < facts->n_pairs; i++) {
        char written[32], old[32];
        snprintf(written, sizeof written, "i.n%zu", i);
        snprintf(old, sizeof old, "excluded.o%zu", i);
        zdm_buffer_printf(b, "%so%zu = CASE WHEN ", i == 0 ? "" : ", ", i);
        pgsql_put_differs(b, written, old, facts->pairs[i].target.exact);
        zdm_buffer_printf(b, " THEN %s ELSE i.o%zu END, n%zu = excluded.n%zu", old, i, i, i);
    }
}

/* The names of key, old and written values: k0, o0, n0, … each behind the alias. */
static void put_images_columns(struct zdm_buffer *b, const struct pgsql_facts *facts, const char *alias)
{
    for (size_t i = 0; i < facts->key.n; i++) {
        zdm_buffer_printf(b, "%s%sk%zu", i == 0 ? "" : ", ", alias, i);
    }
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_printf(b, ", %so%zu, %sn%zu", alias, i, alias, i);
    }
}

/* The rows of the range that are to be changed, held, with the values that they have then. What is not idempotent is
 * never done to a row twice: its image says that it was. */
static void put_held(struct zdm_buffer *b, const struct pgsql_facts *facts, const struct zdm_step *step, int cursor)
{
    zdm_buffer_puts(b, "WITH held AS MATERIALIZED (SELECT ");
    for (size_t i = 0; i < facts->key.n; i++) {
        zdm_buffer_puts(b, i == 0 ? "t." : ", t.");
        pgsql_put_name(b, facts->key.names[i]);
        zdm_buffer_printf(b, " AS k%zu", i);
    }
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_puts(b, ", t.");
        pgsql_put_name(b, facts->pairs[i].target.name);
        zdm_buffer_printf(b, " AS o%zu", i);
    }
    zdm_buffer_puts(b, " FROM ");
    pgsql_put_table(b, &step->table);
    zdm_buffer_puts(b, " AS t WHERE ");
    put_range(b, &facts->key, cursor);
    put_terms(b, facts->d->filter);
    put_terms(b, facts->d->guard);
    for (size_t i = 0; facts->d->idempotent && i < facts->n_pairs; i++) {
        zdm_buffer_puts(b, i == 0 ? " AND (" : " OR ");
        put_todo(b, &facts->pairs[i]);
    }
    zdm_buffer_puts(b, facts->d->idempotent ? ")" : " AND NOT EXISTS (SELECT FROM zdm.");
    for (size_t i = 0; !facts->d->idempotent && i < facts->key.n; i++) {
        if (i == 0) {
            pgsql_put_name(b, step->object);
        }
        zdm_buffer_printf(b, i == 0 ? " AS i WHERE i.k%zu = t." : " AND i.k%zu = t.", i);
        pgsql_put_name(b, facts->key.names[i]);
    }
    zdm_buffer_puts(b, facts->d->idempotent ? "" : ")");
    zdm_buffer_puts(b, " ORDER BY ");
    pgsql_put_key(b, &facts->key, "t.", "");
    zdm_buffer_puts(b, " FOR NO KEY UPDATE OF t)");
}

/* The change, and what it overwrote into the table of before-images (images.h), in one statement. */
static char *images_text(const struct pgsql_facts *facts, const struct zdm_step *step, int cursor)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    put_held(&b, facts, step, cursor);
    zdm_buffer_puts(&b, ", changed AS (UPDATE ");
    pgsql_put_table(&b, &step->table);
    zdm_buffer_puts(&b, " AS t SET ");
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_puts(&b, i == 0 ? "" : ", ");
        put_assignment(&b, &facts->pairs[i], facts->n_pairs == 1);
    }
    zdm_buffer_puts(&b, " FROM held WHERE ");
    for (size_t i = 0; i < facts->key.n; i++) {
        zdm_buffer_puts(&b, i == 0 ? "t." : " AND t.");
        pgsql_put_name(&b, facts->key.names[i]);
        zdm_buffer_printf(&b, " = held.k%zu", i);
    }
    zdm_buffer_puts(&b, " RETURNING held.*");
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_puts(&b, ", t.");
        pgsql_put_name(&b, facts->pairs[i].target.name);
        zdm_buffer_printf(&b, " AS n%zu", i);
    }
    zdm_buffer_puts(&b, ") INSERT INTO zdm.");
    pgsql_put_name(&b, step->object);
    zdm_buffer_puts(&b, " AS i (");
    put_images_columns(&b, facts, "");
    zdm_buffer_puts(&b, ") SELECT ");
    put_images_columns(&b, facts, "c.");
    zdm_buffer_puts(&b, " FROM changed AS c");
    put_images_merge(&b, facts);
    return zdm_buffer_take(&b);
}

/* The source differs from the target, and could hold what that has. */
static void put_behind(struct zdm_buffer *b, const struct pgsql_pair *pair)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer target = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&target, "t.");
    pgsql_put_name(&target, pair->target.name);
    zdm_buffer_puts(b, "(");
    pgsql_put_pair_differs(b, pair, "t.");
    zdm_buffer_puts(b, " AND ");
    pgsql_put_fits(b, zdm_buffer_text(&target), &pair->target, &pair->source);
    zdm_buffer_puts(b, ")");
}

/* From the target to its source, where the two differ and the value fits: after a sync was installed again. */
static char *catch_up_text(const struct pgsql_facts *facts, const struct zdm_step *step, int cursor)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&b, "UPDATE ");
    pgsql_put_table(&b, &step->table);
    zdm_buffer_puts(&b, " AS t SET ");
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_puts(&b, i == 0 ? "" : ", ");
        pgsql_put_name(&b, facts->pairs[i].source.name);
        zdm_buffer_puts(&b, " = CASE WHEN ");
        put_behind(&b, &facts->pairs[i]);
        zdm_buffer_puts(&b, " THEN t.");
        pgsql_put_name(&b, facts->pairs[i].target.name);
        zdm_buffer_puts(&b, " ELSE t.");
        pgsql_put_name(&b, facts->pairs[i].source.name);
        zdm_buffer_puts(&b, " END");
    }
    zdm_buffer_puts(&b, " WHERE ");
    put_range(&b, &facts->key, cursor);
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_puts(&b, i == 0 ? " AND (" : " OR ");
        put_behind(&b, &facts->pairs[i]);
    }
    zdm_buffer_puts(&b, ")");
    return zdm_buffer_take(&b);
}

static char *lock_text(const struct pgsql_facts *facts, const struct zdm_table *table, int cursor)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&b, "SELECT count(*) FROM (SELECT FROM ");
    pgsql_put_table(&b, table);
    zdm_buffer_puts(&b, " AS t WHERE ");
    put_range(&b, &facts->key, cursor);
    put_terms(&b, facts->d->filter);
    zdm_buffer_puts(&b, " ORDER BY ");
    pgsql_put_key(&b, &facts->key, "t.", "");
    zdm_buffer_puts(&b, " FOR NO KEY UPDATE) AS locked");
    return zdm_buffer_take(&b);
}

/* A row counts as different where the old column could hold what the new one has: a guarded reverse leaves the two
 * apart elsewhere on purpose. NULL always counts, since a row that nobody filled looks the same as one that was set to
 * it. */
static void put_differs_from_source(struct zdm_buffer *b, const struct pgsql_facts *facts,
                                    const struct pgsql_pair *pair)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer target = ZDM_BUFFER_INIT;
    zdm_buffer_puts(b, "(");
    put_todo(b, pair);
    if (facts->d->both_ways && pair->copy) {
        zdm_buffer_puts(&target, "t.");
        pgsql_put_name(&target, pair->a->target);
        zdm_buffer_puts(b, " AND (");
        struct pgsql_column nullable = pair->source;
        nullable.not_null = false;
        pgsql_put_fits(b, zdm_buffer_text(&target), &pair->target, &nullable);
        zdm_buffer_puts(b, ")");
    }
    zdm_buffer_puts(b, ")");
}

static char *differ_text(const struct pgsql_facts *facts, const struct zdm_table *table, int cursor)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&b, "SELECT ");
    pgsql_put_key_text(&b, &facts->key, "t.");
    zdm_buffer_puts(&b, " FROM ");
    pgsql_put_table(&b, table);
    zdm_buffer_puts(&b, " AS t WHERE ");
    put_range(&b, &facts->key, cursor);
    put_terms(&b, facts->d->filter);
    zdm_buffer_puts(&b, " AND (false");
    for (size_t i = 0; i < facts->n_pairs; i++) {
        if (!facts->pairs[i].a->fill_once) {
            zdm_buffer_puts(&b, " OR ");
            put_differs_from_source(&b, facts, &facts->pairs[i]);
        }
    }
    zdm_buffer_puts(&b, ") LIMIT 1");
    return zdm_buffer_take(&b);
}

/* What a batch of the step does to a range. */
static char *batch_text(const struct pgsql_facts *facts, const struct zdm_step *step, int cursor)
{
    if (step->action == ZDM_ACTION_SYNC_REMOVE) {
        return catch_up_text(facts, step, cursor);
    }
    return step->inverse == ZDM_INVERSE_IMAGES ? images_text(facts, step, cursor)
                                               : change_text(facts, &step->table, cursor);
}

static struct pgsql_walk *build(const struct pgsql_facts *facts, const struct zdm_step *step)
{
    const struct zdm_table *table = &step->table;
    struct pgsql_walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL) {
        return NULL;
    }
    walk->table = facts->table;
    walk->walk_key = zdm_strdup(facts->key.signature);
    walk->full_first = full_text(facts, table, 0);
    walk->full = full_text(facts, table, 3);
    walk->next_first = next_text(facts, table, 0);
    walk->next = next_text(facts, table, 3);
    walk->lock_first = lock_text(facts, table, 0);
    walk->lock = lock_text(facts, table, 2);
    walk->change_first = batch_text(facts, step, 0);
    walk->change = batch_text(facts, step, 2);
    walk->differ_first = differ_text(facts, table, 0);
    walk->differ = differ_text(facts, table, 2);
    bool whole = walk->full_first != NULL && walk->full != NULL && walk->walk_key != NULL && walk->next_first != NULL &&
                 walk->next != NULL && walk->lock_first != NULL && walk->lock != NULL && walk->change_first != NULL &&
                 walk->change != NULL && walk->differ_first != NULL && walk->differ != NULL;
    if (!whole) {
        pgsql_walk_free(walk);
        return NULL;
    }
    return walk;
}

enum zdm_code pgsql_walk_get(struct pgsql_work *w, const struct pgsql_walk **out, struct zdm_error *err)
{
    struct pgsql_facts facts;
    if (w->memory->walk != NULL) {
        *out = w->memory->walk;
        return ZDM_OK;
    }
    bool removed = w->step->action == ZDM_ACTION_SYNC_REMOVE;
    const struct zdm_step *derived = removed ? zdm_plan_step(w->op->plan, w->step->sync_step) : w->step;
    if (derived == NULL) {
        return zdm_error_set(err, ZDM_BUG, "step %s removes no sync", w->step->id);
    }
    enum zdm_code code = pgsql_facts_read(w, derived, 0, &facts, err);
    if (code == ZDM_OK) {
        *out = w->memory->walk = build(&facts, w->step);
        code = w->memory->walk != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    pgsql_facts_fini(&facts);
    return code;
}

enum zdm_code pgsql_walk_begin(struct pgsql_work *w, struct zdm_error *err)
{
    char settings[256];
    uint32_t limit_ms = w->op->time_limit_ms;
    /* Shorter than the whole, so that a row held by somebody shows as what it is. */
    uint32_t lock_ms = w->op->lock_wait_ms != 0 ? w->op->lock_wait_ms : limit_ms - limit_ms / 4;
    snprintf(settings, sizeof settings,
             "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL statement_timeout = %" PRIu32
             "; SET LOCAL lock_timeout = %" PRIu32 ";",
             limit_ms, lock_ms);
    return pgsql_begin(w->s, settings, err);
}

enum zdm_code pgsql_walk_next(struct pgsql_work *w, const struct pgsql_walk *walk, struct pgsql_chunk *out,
                              struct zdm_error *err)
{
    char rows[16];
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    uint32_t limit = w->op->rows == 0 ? 1 : w->op->rows;
    bool first = w->op->cursor == NULL;
    snprintf(rows, sizeof rows, "%" PRIu32, limit);
    const char *params[] = {w->op->bound, rows, w->op->cursor};
    size_t n = first ? 2 : 3;
    enum zdm_code code = pgsql_query_prepared(w->s, first ? walk->full_first : walk->full, n, params, &res, err);
    bool full = code == ZDM_OK && PQntuples(res) == 1;
    if (code == ZDM_OK && !full) {
        pgsql_clearp(&res);
        code = pgsql_query_prepared(w->s, first ? walk->next_first : walk->next, n, params, &res, err);
    }
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while looking for the next rows of %s.%s", walk->table.schema, walk->table.name);
    }
    const char *last = pgsql_text(res, 0, 0);
    out->rows = full ? limit : (uint32_t)pgsql_int(res, 0, 1);
    out->last = zdm_strdup(last);
    return last == NULL || out->last != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code pgsql_walk_range(struct pgsql_work *w, const char *first, const char *later, const char *last,
                               PGresult **out, struct zdm_error *err)
{
    const char *params[] = {last, w->op->cursor};
    bool from_start = w->op->cursor == NULL;
    return pgsql_query_prepared(w->s, from_start ? first : later, from_start ? 1 : 2, params, out, err);
}

enum zdm_code pgsql_walk_move(struct pgsql_work *w, const struct pgsql_chunk *chunk, struct zdm_error *err)
{
    uint32_t limit = w->op->rows == 0 ? 1 : w->op->rows;
    struct pgsql_move move = {.step = w->op->step,
                              .cursor = chunk->last != NULL ? chunk->last : w->op->cursor,
                              .keep_walk = true,
                              .walked = chunk->rows < limit,
                              .rows_added = chunk->rows};
    w->result->rows_walked = chunk->rows;
    return pgsql_journal_move(w, &move, err);
}
