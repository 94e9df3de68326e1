/*
 * walk_sql.c - the text of a walk's statements (walk_sql.h).
 */
#include "agent/engine/postgresql/walk/walk_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Rows up to $1, behind the cursor in $cursor (0: from the start); PGSQL_WALK_ONE: the row $1. */
static void put_range(struct zdm_buffer *b, const struct pgsql_key *key, int cursor)
{
    if (cursor == PGSQL_WALK_ONE) {
        pgsql_put_compare(b, key, "=", 1);
        return;
    }
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
char *pgsql_walk_full_text(const struct pgsql_facts *facts, const struct zdm_table *table, int cursor)
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

char *pgsql_walk_next_text(const struct pgsql_facts *facts, const struct zdm_table *table, int cursor)
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

/* The rows of the range that are to be changed. What is not idempotent is never done to a row twice: its image says
 * that it was. */
static void put_images_where(struct zdm_buffer *b, const struct pgsql_facts *facts, const struct zdm_step *step,
                             int cursor)
{
    put_range(b, &facts->key, cursor);
    put_terms(b, facts->d->filter);
    put_terms(b, facts->d->guard);
    if (facts->d->idempotent) {
        for (size_t i = 0; i < facts->n_pairs; i++) {
            zdm_buffer_puts(b, i == 0 ? " AND (" : " OR ");
            put_todo(b, &facts->pairs[i]);
        }
    } else {
        zdm_buffer_puts(b, " AND NOT EXISTS (SELECT FROM zdm.");
        pgsql_put_name(b, step->object);
        for (size_t i = 0; i < facts->key.n; i++) {
            zdm_buffer_printf(b, i == 0 ? " AS i WHERE i.k%zu = t." : " AND i.k%zu = t.", i);
            pgsql_put_name(b, facts->key.names[i]);
        }
    }
    zdm_buffer_puts(b, ")");
}

/* Those rows, held, with the values that they have then. */
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
    put_images_where(b, facts, step, cursor);
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
    /* The range is said again so that the join reads no more of the table than the batch. */
    zdm_buffer_puts(&b, " FROM held WHERE ");
    put_range(&b, &facts->key, cursor);
    zdm_buffer_puts(&b, " AND ");
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

char *pgsql_walk_left_text(const struct pgsql_facts *facts, const struct zdm_step *step, int cursor)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&b, "SELECT count(*) FROM ");
    pgsql_put_table(&b, &step->table);
    zdm_buffer_puts(&b, " AS t WHERE ");
    put_range(&b, &facts->key, cursor);
    for (size_t i = 0; i < facts->n_pairs; i++) {
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer target = ZDM_BUFFER_INIT;
        const struct pgsql_pair *pair = &facts->pairs[i];
        zdm_buffer_puts(&target, "t.");
        pgsql_put_name(&target, pair->target.name);
        zdm_buffer_puts(&b, i == 0 ? " AND ((" : " OR (");
        pgsql_put_pair_differs(&b, pair, "t.");
        zdm_buffer_puts(&b, " AND (");
        pgsql_put_fits(&b, zdm_buffer_text(&target), &pair->target, &pair->source);
        zdm_buffer_puts(&b, ") IS NOT TRUE)");
    }
    zdm_buffer_puts(&b, ")");
    return zdm_buffer_take(&b);
}

/* With images only what is to be changed is held: a range of which little changes should cost little. */
char *pgsql_walk_lock_text(const struct pgsql_facts *facts, const struct zdm_step *step, int cursor)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&b, "SELECT count(*) FROM (SELECT FROM ");
    pgsql_put_table(&b, &step->table);
    zdm_buffer_puts(&b, " AS t WHERE ");
    if (step->inverse == ZDM_INVERSE_IMAGES && step->action != ZDM_ACTION_DELETE) {
        put_images_where(&b, facts, step, cursor);
    } else {
        put_range(&b, &facts->key, cursor);
        put_terms(&b, facts->d->filter);
    }
    zdm_buffer_puts(&b, " ORDER BY ");
    pgsql_put_key(&b, &facts->key, "t.", "");
    zdm_buffer_puts(&b, " FOR NO KEY UPDATE OF t) AS locked");
    return zdm_buffer_take(&b);
}

/* A row counts as different where the old column could hold what the new one has: a guarded reverse leaves the two
 * apart elsewhere on purpose. Before the switch NULL always counts, since a row that nobody filled looks the same as
 * one that was set to it. */
static void put_differs_from_source(struct zdm_buffer *b, const struct pgsql_facts *facts,
                                    const struct pgsql_pair *pair, bool switched)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer target = ZDM_BUFFER_INIT;
    zdm_buffer_puts(b, "(");
    put_todo(b, pair);
    if (facts->d->both_ways && pair->copy) {
        zdm_buffer_puts(&target, "t.");
        pgsql_put_name(&target, pair->a->target);
        zdm_buffer_puts(b, " AND (");
        struct pgsql_column nullable = pair->source;
        nullable.not_null = switched && pair->source.not_null;
        pgsql_put_fits(b, zdm_buffer_text(&target), &pair->target, &nullable);
        zdm_buffer_puts(b, switched ? ") IS TRUE" : ")");
    }
    zdm_buffer_puts(b, ")");
}

/* Where the filter does not hold, nobody has filled it, and the triggers take back what they filled: it has what it was
 * added with. Before the switch alone, for afterwards new code writes there. */
static void put_differs_from_initial(struct zdm_buffer *b, const struct pgsql_facts *facts)
{
    zdm_buffer_printf(b, " OR ((%s) IS NOT TRUE AND (false", facts->d->filter);
    for (size_t i = 0; i < facts->n_pairs; i++) {
        const struct pgsql_pair *pair = &facts->pairs[i];
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer target = ZDM_BUFFER_INIT;
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer initial = ZDM_BUFFER_INIT;
        if (!pair->a->added || pair->a->fill_once) {
            continue;
        }
        zdm_buffer_puts(&target, "t.");
        pgsql_put_name(&target, pair->target.name);
        zdm_buffer_printf(&initial, "(%s)::%s", pair->a->initial == NULL ? "NULL" : pair->a->initial,
                          pair->target.type);
        zdm_buffer_puts(b, " OR ");
        pgsql_put_differs(b, zdm_buffer_text(&target), zdm_buffer_text(&initial), pair->target.exact);
    }
    zdm_buffer_puts(b, "))");
}

char *pgsql_walk_differ_text(const struct pgsql_facts *facts, const struct zdm_table *table, int cursor, bool switched)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&b, "SELECT ");
    pgsql_put_key_text(&b, &facts->key, "t.");
    zdm_buffer_puts(&b, " FROM ");
    pgsql_put_table(&b, table);
    zdm_buffer_puts(&b, " AS t WHERE ");
    put_range(&b, &facts->key, cursor);
    zdm_buffer_puts(&b, " AND ((true");
    put_terms(&b, facts->d->filter);
    zdm_buffer_puts(&b, " AND (false");
    for (size_t i = 0; i < facts->n_pairs; i++) {
        if (!facts->pairs[i].a->fill_once) {
            zdm_buffer_puts(&b, " OR ");
            put_differs_from_source(&b, facts, &facts->pairs[i], switched);
        }
    }
    zdm_buffer_puts(&b, "))");
    if (facts->d->filter_new != NULL && facts->d->filter != NULL && facts->alone && !switched) {
        put_differs_from_initial(&b, facts);
    }
    zdm_buffer_puts(&b, ") LIMIT 1");
    return zdm_buffer_take(&b);
}

/* What a batch of the step does to a range. */
char *pgsql_walk_batch_text(const struct pgsql_facts *facts, const struct zdm_step *step, int cursor)
{
    if (step->action == ZDM_ACTION_SYNC_REMOVE) {
        return catch_up_text(facts, step, cursor);
    }
    return step->inverse == ZDM_INVERSE_IMAGES ? images_text(facts, step, cursor)
                                               : change_text(facts, &step->table, cursor);
}
