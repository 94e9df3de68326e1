/*
 * walk_sql.c - the text of a walk's statements (walk_sql.h).
 */
#include "agent/engine/mysql/walk/walk_sql.h"

#include <stdio.h>
#include <string.h>

static enum zdm_code whole(const struct zdm_buffer *b, struct zdm_error *err)
{
    return b->failed ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : ZDM_OK;
}

/* ---- Spans ---- */

enum zdm_code mydb_put_span(struct zdm_buffer *b, const struct mydb_key *key, const char *alias, struct mydb_span span,
                            struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    if (span.after == NULL && span.to == NULL) {
        zdm_buffer_puts(b, "TRUE");
    }
    if (span.after != NULL) {
        code = mydb_put_compare(b, key, alias, ">", span.after, err);
    }
    if (code == ZDM_OK && span.to != NULL) {
        zdm_buffer_puts(b, span.after != NULL ? " AND " : "");
        code = mydb_put_compare(b, key, alias, "<=", span.to, err);
    }
    return code;
}

void mydb_put_walked(struct zdm_buffer *b, const char *table, const struct mydb_key *key)
{
    mydb_put_name(b, table);
    zdm_buffer_puts(b, " AS t FORCE INDEX (");
    mydb_put_name(b, key->index);
    zdm_buffer_puts(b, ")");
}

void mydb_put_join(struct zdm_buffer *b, const char *alias_a, const struct mydb_key *a, const char *alias_c,
                   const struct mydb_key *c)
{
    for (size_t i = 0; i < a->n; i++) {
        zdm_buffer_puts(b, i == 0 ? "" : " AND ");
        zdm_buffer_puts(b, alias_a);
        mydb_put_name(b, a->columns[i].name);
        zdm_buffer_puts(b, " = ");
        zdm_buffer_puts(b, alias_c);
        mydb_put_name(b, c->columns[i].name);
    }
}

void mydb_key_of_images(struct mydb_key *out, const struct mydb_key *key)
{
    *out = *key;
    zdm_copy_text(out->index, sizeof out->index, "PRIMARY");
    for (size_t i = 0; i < key->n; i++) {
        (void)snprintf(out->columns[i].name, sizeof out->columns[i].name, "k%zu", i);
    }
}

static enum zdm_code put_keys_of(struct zdm_buffer *b, const char *from, const struct mydb_key *key,
                                 struct mydb_span span, struct zdm_error *err)
{
    zdm_buffer_puts(b, "SELECT ");
    mydb_put_key_text(b, key, "t.");
    zdm_buffer_printf(b, " FROM %s WHERE ", from);
    enum zdm_code code = mydb_put_span(b, key, "t.", span, err);
    zdm_buffer_puts(b, " ORDER BY ");
    mydb_put_key(b, key, "t.", "");
    return code;
}

/* Reads the index only, and keeps nothing: the usual case should cost next to nothing beside the change itself. */
enum zdm_code mydb_walk_end_text(struct zdm_buffer *b, const char *from, const struct mydb_key *key,
                                 struct mydb_span span, uint32_t rows, struct zdm_error *err)
{
    enum zdm_code code = put_keys_of(b, from, key, span, err);
    zdm_buffer_printf(b, " LIMIT 1 OFFSET %u", rows - 1);
    return code == ZDM_OK ? whole(b, err) : code;
}

enum zdm_code mydb_walk_rest_text(struct zdm_buffer *b, const char *from, const struct mydb_key *key,
                                  struct mydb_span span, uint32_t rows, struct zdm_error *err)
{
    enum zdm_code code = put_keys_of(b, from, key, span, err);
    zdm_buffer_printf(b, " LIMIT %u", rows);
    return code == ZDM_OK ? whole(b, err) : code;
}

/* ---- What a row should hold ---- */

/* t.`column` */
static void put_column(struct zdm_buffer *b, const char *name)
{
    zdm_buffer_puts(b, "t.");
    mydb_put_name(b, name);
}

void mydb_put_todo(struct zdm_buffer *b, const struct mydb_pair *pair)
{
    if (pair->a->fill_once) {
        mydb_put_is_initial(b, pair, "t.");
    } else {
        mydb_put_pair_differs(b, pair, "t.");
    }
}

/* In a statement with several assignments a filled-once target keeps what it has where it has something. */
static void put_assignment(struct zdm_buffer *b, const struct mydb_pair *pair, bool alone)
{
    put_column(b, pair->a->target);
    if (!pair->a->fill_once || alone) {
        zdm_buffer_printf(b, " = %s", pair->a->expr);
        return;
    }
    zdm_buffer_puts(b, " = CASE WHEN ");
    mydb_put_todo(b, pair);
    zdm_buffer_printf(b, " THEN %s ELSE ", pair->a->expr);
    put_column(b, pair->a->target);
    zdm_buffer_puts(b, " END");
}

void mydb_put_assignments(struct zdm_buffer *b, const struct mydb_facts *facts)
{
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_puts(b, i == 0 ? "" : ", ");
        put_assignment(b, &facts->pairs[i], facts->n_pairs == 1);
    }
}

static bool is_assigned(const struct mydb_facts *facts, enum mydb_assigned assigned, const char *name)
{
    for (size_t i = 0; i < facts->n_pairs; i++) {
        const struct mydb_pair *pair = &facts->pairs[i];
        if (strcmp(assigned == MYDB_TARGETS ? pair->target.name : pair->source.name, name) == 0) {
            return true;
        }
    }
    return false;
}

void mydb_put_stamps(struct zdm_buffer *b, const struct mydb_facts *facts, enum mydb_assigned assigned)
{
    for (size_t i = 0; i < facts->n_stamps; i++) {
        if (!is_assigned(facts, assigned, facts->stamps[i])) {
            zdm_buffer_puts(b, ", ");
            put_column(b, facts->stamps[i]);
            zdm_buffer_puts(b, " = ");
            put_column(b, facts->stamps[i]);
        }
    }
}

static void put_term(struct zdm_buffer *b, const char *term)
{
    if (term != NULL) {
        zdm_buffer_printf(b, " AND (%s)", term);
    }
}

enum zdm_code mydb_put_todo_where(struct zdm_buffer *b, const struct mydb_facts *facts, struct mydb_span span,
                                  struct zdm_error *err)
{
    enum zdm_code code = mydb_put_span(b, &facts->key, "t.", span, err);
    put_term(b, facts->d->filter);
    put_term(b, facts->d->guard);
    for (size_t i = 0; facts->d->idempotent && i < facts->n_pairs; i++) {
        zdm_buffer_puts(b, i == 0 ? " AND (" : " OR ");
        mydb_put_todo(b, &facts->pairs[i]);
    }
    zdm_buffer_puts(b, facts->d->idempotent && facts->n_pairs > 0 ? ")" : "");
    return code;
}

/* ---- Batches ---- */

enum zdm_code mydb_walk_lock_text(struct zdm_buffer *b, const struct mydb_facts *facts, struct mydb_span span,
                                  struct zdm_error *err)
{
    zdm_buffer_puts(b, "SELECT COUNT(*) FROM ");
    mydb_put_walked(b, facts->table.name, &facts->key);
    zdm_buffer_puts(b, " WHERE ");
    enum zdm_code code = mydb_put_span(b, &facts->key, "t.", span, err);
    put_term(b, facts->d->filter);
    zdm_buffer_puts(b, " FOR UPDATE");
    return code == ZDM_OK ? whole(b, err) : code;
}

enum zdm_code mydb_walk_change_text(struct zdm_buffer *b, const struct mydb_facts *facts, struct mydb_span span,
                                    struct zdm_error *err)
{
    zdm_buffer_puts(b, "UPDATE ");
    mydb_put_walked(b, facts->table.name, &facts->key);
    zdm_buffer_puts(b, " SET ");
    mydb_put_assignments(b, facts);
    mydb_put_stamps(b, facts, MYDB_TARGETS);
    zdm_buffer_puts(b, " WHERE ");
    enum zdm_code code = mydb_put_todo_where(b, facts, span, err);
    return code == ZDM_OK ? whole(b, err) : code;
}

/* ---- The way from the new column to the old one ---- */

static void put_target_fits(struct zdm_buffer *b, const struct mydb_pair *pair, const struct mydb_column *into)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer target = ZDM_BUFFER_INIT;
    put_column(&target, pair->target.name);
    zdm_buffer_puts(b, "(");
    mydb_put_fits(b, zdm_buffer_text(&target), &pair->target, into);
    zdm_buffer_puts(b, ")");
    b->failed = b->failed || target.failed;
}

/* The source differs from the target, and could hold what that has. */
static void put_behind(struct zdm_buffer *b, const struct mydb_pair *pair)
{
    zdm_buffer_puts(b, "(");
    mydb_put_pair_differs(b, pair, "t.");
    zdm_buffer_puts(b, " AND ");
    put_target_fits(b, pair, &pair->source);
    zdm_buffer_puts(b, ")");
}

enum zdm_code mydb_walk_catch_up_text(struct zdm_buffer *b, const struct mydb_facts *facts, struct mydb_span span,
                                      struct zdm_error *err)
{
    zdm_buffer_puts(b, "UPDATE ");
    mydb_put_walked(b, facts->table.name, &facts->key);
    zdm_buffer_puts(b, " SET ");
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_puts(b, i == 0 ? "" : ", ");
        put_column(b, facts->pairs[i].source.name);
        zdm_buffer_puts(b, " = CASE WHEN ");
        put_behind(b, &facts->pairs[i]);
        zdm_buffer_puts(b, " THEN ");
        put_column(b, facts->pairs[i].target.name);
        zdm_buffer_puts(b, " ELSE ");
        put_column(b, facts->pairs[i].source.name);
        zdm_buffer_puts(b, " END");
    }
    mydb_put_stamps(b, facts, MYDB_SOURCES);
    zdm_buffer_puts(b, " WHERE ");
    enum zdm_code code = mydb_put_span(b, &facts->key, "t.", span, err);
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_puts(b, i == 0 ? " AND (" : " OR ");
        put_behind(b, &facts->pairs[i]);
    }
    zdm_buffer_puts(b, ")");
    return code == ZDM_OK ? whole(b, err) : code;
}

enum zdm_code mydb_walk_left_text(struct zdm_buffer *b, const struct mydb_facts *facts, struct mydb_span span,
                                  struct zdm_error *err)
{
    zdm_buffer_puts(b, "SELECT COUNT(*) FROM ");
    mydb_put_walked(b, facts->table.name, &facts->key);
    zdm_buffer_puts(b, " WHERE ");
    enum zdm_code code = mydb_put_span(b, &facts->key, "t.", span, err);
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_puts(b, i == 0 ? " AND ((" : " OR (");
        mydb_put_pair_differs(b, &facts->pairs[i], "t.");
        zdm_buffer_puts(b, " AND ");
        put_target_fits(b, &facts->pairs[i], &facts->pairs[i].source);
        zdm_buffer_puts(b, " IS NOT TRUE)");
    }
    zdm_buffer_puts(b, ")");
    return code == ZDM_OK ? whole(b, err) : code;
}

/* ---- Comparing ---- */

/* A row counts as different where the old column could hold what the new one has: a guarded reverse leaves the two
 * apart elsewhere on purpose. Before the switch NULL always counts, since a row that nobody filled looks the same as
 * one that was set to it. */
static void put_differs_from_source(struct zdm_buffer *b, const struct mydb_facts *facts, const struct mydb_pair *pair,
                                    bool switched)
{
    zdm_buffer_puts(b, "(");
    mydb_put_todo(b, pair);
    if (facts->d->both_ways && pair->copy) {
        struct mydb_column nullable = pair->source;
        nullable.not_null = switched && pair->source.not_null;
        zdm_buffer_puts(b, " AND ");
        put_target_fits(b, pair, &nullable);
        zdm_buffer_puts(b, switched ? " IS TRUE" : "");
    }
    zdm_buffer_puts(b, ")");
}

/* Where the filter does not hold, nobody has filled it, and the triggers take back what they filled: it has what it was
 * added with. Before the switch alone, for afterwards new code writes there. */
static void put_differs_from_initial(struct zdm_buffer *b, const struct mydb_facts *facts)
{
    zdm_buffer_printf(b, " OR ((%s) IS NOT TRUE AND (FALSE", facts->d->filter);
    for (size_t i = 0; i < facts->n_pairs; i++) {
        if (facts->pairs[i].a->added && !facts->pairs[i].a->fill_once) {
            zdm_buffer_puts(b, " OR NOT (");
            mydb_put_is_initial(b, &facts->pairs[i], "t.");
            zdm_buffer_puts(b, ")");
        }
    }
    zdm_buffer_puts(b, "))");
}

enum zdm_code mydb_walk_differ_text(struct zdm_buffer *b, const struct mydb_facts *facts, struct mydb_span span,
                                    const char *key, bool switched, struct zdm_error *err)
{
    zdm_buffer_puts(b, "SELECT ");
    mydb_put_key_text(b, &facts->key, "t.");
    zdm_buffer_puts(b, " FROM ");
    mydb_put_walked(b, facts->table.name, &facts->key);
    zdm_buffer_puts(b, " WHERE ");
    enum zdm_code code = key != NULL ? mydb_put_compare(b, &facts->key, "t.", "=", key, err)
                                     : mydb_put_span(b, &facts->key, "t.", span, err);
    zdm_buffer_puts(b, " AND ((TRUE");
    put_term(b, facts->d->filter);
    zdm_buffer_puts(b, " AND (FALSE");
    for (size_t i = 0; i < facts->n_pairs; i++) {
        if (!facts->pairs[i].a->fill_once) {
            zdm_buffer_puts(b, " OR ");
            put_differs_from_source(b, facts, &facts->pairs[i], switched);
        }
    }
    zdm_buffer_puts(b, "))");
    if (facts->d->filter_new != NULL && facts->d->filter != NULL && facts->alone && !switched) {
        put_differs_from_initial(b, facts);
    }
    zdm_buffer_puts(b, ") LIMIT 1");
    return code == ZDM_OK ? whole(b, err) : code;
}
