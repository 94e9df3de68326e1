/*
 * validate_sync.c - judges a derivation against the catalogue (database.md 3 and 5): types, defaults, generated
 * columns, functions the application may not call.
 */
#include "agent/engine/postgresql/walk/validate_sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/walk/meaning.h"

static enum zdm_code refuse_generated_sources(const struct pgsql_facts *facts, struct zdm_error *err)
{
    for (size_t i = 0; i < facts->n_sources; i++) {
        if (facts->sources[i].generated && facts->sources[i].default_expr != NULL) {
            zdm_error_set(err, ZDM_REFUSED, "source column %s of %s.%s is generated", facts->sources[i].name,
                          facts->table.schema, facts->table.name);
            zdm_error_detail(err, "A BEFORE trigger sees NULL in it: the server computes it afterwards.");
            return zdm_error_hint(err, "Write its expression instead of its name.");
        }
    }
    return ZDM_OK;
}

static enum zdm_code misfit(const struct pgsql_facts *facts, const struct pgsql_pair *pair, const char *from,
                            struct zdm_error *err)
{
    zdm_error_set(err, ZDM_REFUSED, "column %s of type %s cannot hold every value of %s", pair->target.name,
                  pair->target.type, pair->copy ? pair->source.name : pair->a->expr);
    zdm_error_detail(err, "That is of type %s: a write to %s.%s that works today would fail.", from,
                     facts->table.schema, facts->table.name);
    return zdm_error_hint(err, "Give the new column the type %s, or cast the expression.", from);
}

void pgsql_sync_mark_guards(struct pgsql_facts *facts)
{
    for (size_t i = 0; i < facts->n_pairs; i++) {
        struct pgsql_pair *pair = &facts->pairs[i];
        bool narrower = pgsql_fit(&pair->target, &pair->source) != PGSQL_FITS;
        pair->guarded = narrower || (pair->source.not_null && !pair->target.not_null);
    }
}

void pgsql_sync_count_on(struct pgsql_facts *facts, const char *column, bool not_null)
{
    for (size_t i = 0; i < facts->n_pairs; i++) {
        struct pgsql_column *source = &facts->pairs[i].source;
        if (facts->pairs[i].copy && strcmp(source->name, column) == 0) {
            source->not_null = source->not_null || not_null;
        }
    }
    pgsql_sync_mark_guards(facts);
}

static enum zdm_code judge_copy(const struct pgsql_facts *facts, struct pgsql_pair *pair, struct zdm_error *err)
{
    if (pgsql_fit(&pair->source, &pair->target) != PGSQL_FITS) {
        return misfit(facts, pair, pair->source.type, err);
    }
    if (!facts->d->both_ways) {
        return ZDM_OK;
    }
    if (pgsql_fit(&pair->target, &pair->source) == PGSQL_FITS_NOT ||
        strcmp(pair->source.collation, pair->target.collation) != 0) {
        zdm_error_set(err, ZDM_REFUSED, "%s (%s) and %s (%s) cannot be kept in step in both directions",
                      pair->source.name, pair->source.type, pair->target.name, pair->target.type);
        return zdm_error_hint(err, "Give the new column the type and collation of the old one.");
    }
    if (!pgsql_has_value(&pair->source, &pair->target)) {
        zdm_error_set(err, ZDM_REFUSED, "column %s of type %s is NOT NULL, and %s is not", pair->source.name,
                      pair->source.type, pair->target.name);
        zdm_error_detail(err, "New code that writes NULL would fail: of that type no value is known that stands for "
                              "none.");
        return zdm_error_hint(err, "Add the new column with a constant DEFAULT and NOT NULL, or give the old one a "
                                   "DEFAULT first.");
    }
    return ZDM_OK;
}

/* A view over the expressions, made and thrown away: the server says what types they have and what they use. */
static enum zdm_code make_probe(struct pgsql_work *w, const struct pgsql_facts *facts, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "CREATE VIEW zdm.probe AS SELECT ");
    for (size_t i = 0; i < facts->n_pairs; i++) {
        zdm_buffer_printf(&sql, "%s(%s) AS \"%zu\"", i == 0 ? "" : ", ", facts->pairs[i].a->expr, i);
    }
    zdm_buffer_puts(&sql, " FROM ");
    pgsql_put_table(&sql, &w->step->table);
    zdm_buffer_puts(&sql, " AS t");
    if (facts->d->filter != NULL) {
        zdm_buffer_printf(&sql, " WHERE %s", facts->d->filter);
    }
    return pgsql_query(w->s, zdm_buffer_text(&sql), 0, NULL, NULL, err);
}

/* Triggers compute what batches compute, and under the same path. */
static enum zdm_code judge_meaning(struct pgsql_work *w, const struct pgsql_facts *facts, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer from = ZDM_BUFFER_INIT;
    pgsql_put_table(&from, &w->step->table);
    struct pgsql_meaning m = {.from = zdm_buffer_text(&from), .oid = facts->table.oid, .schema = facts->table.schema};
    pgsql_meaning_texts(facts->d, &m);
    return pgsql_meaning_same(w->s, &m, err);
}

/* Dependencies on pg_catalog are pinned and not recorded: what is found is the application's. */
static enum zdm_code refuse_private_functions(struct pgsql_work *w, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT DISTINCT f.oid::regprocedure FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass"
        " AND d.objid = r.oid LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid"
        " JOIN pg_proc f ON (d.refclassid = 'pg_proc'::regclass AND f.oid = d.refobjid) OR f.oid = o.oprcode"
        " WHERE r.ev_class = 'zdm.probe'::regclass AND NOT (has_function_privilege('public', f.oid, 'EXECUTE')"
        " AND has_schema_privilege('public', f.pronamespace, 'USAGE'))";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 0, NULL, &res, err);
    if (code != ZDM_OK || PQntuples(res) == 0) {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED, "function %s cannot be called by everybody", pgsql_text(res, 0, 0));
    zdm_error_detail(err, "The trigger runs with the rights of whoever writes to the table.");
    return zdm_error_hint(err, "GRANT EXECUTE on it, and USAGE on its schema, to PUBLIC, or do without it.");
}

static enum zdm_code judge_expressions(struct pgsql_work *w, struct pgsql_facts *facts, struct zdm_error *err)
{
    struct pgsql_table probe;
    struct zdm_table name = {(char[]){"zdm"}, (char[]){"probe"}};
    enum zdm_code code = pgsql_table_find(w->s, &name, &probe, err);
    for (size_t i = 0; code == ZDM_OK && i < facts->n_pairs; i++) {
        struct pgsql_pair *pair = &facts->pairs[i];
        struct pgsql_column result = {0};
        char column[24];
        snprintf(column, sizeof column, "%zu", i);
        code = pair->copy ? judge_copy(facts, pair, err) : pgsql_column_find(w->s, &probe, column, &result, err);
        /* A constant that does not fit would fail in the first batch, before it can harm a writer. */
        if (code == ZDM_OK && !pair->copy && facts->n_sources > 0 && pgsql_fit(&result, &pair->target) != PGSQL_FITS) {
            code = misfit(facts, pair, result.type, err);
        }
        pgsql_column_fini(&result);
    }
    return code;
}

void pgsql_put_default_differs(struct zdm_buffer *sql, const struct pgsql_column *column,
                               const struct pgsql_column *target, const char *initial)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer a = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&a, "(%s)::%s", column->default_expr == NULL ? "NULL" : column->default_expr, target->type);
    zdm_buffer_printf(&b, "(%s)::%s", initial == NULL ? "NULL" : initial, target->type);
    zdm_buffer_puts(sql, "SELECT ");
    pgsql_put_differs(sql, zdm_buffer_text(&a), zdm_buffer_text(&b), target->exact);
}

enum zdm_code pgsql_default_refused(const struct pgsql_table *table, const struct pgsql_column *column,
                                    const char *initial, struct zdm_error *err)
{
    zdm_error_set(err, ZDM_REFUSED, "the default of column %s of %s.%s is %s, not %s", column->name, table->schema,
                  table->name, column->default_expr == NULL ? "NULL" : column->default_expr,
                  initial == NULL ? "NULL" : initial);
    zdm_error_detail(err, "The trigger could not tell a value that the application wrote from one that it left out.");
    return zdm_error_hint(err, "Leave the default on the old column only until the switch; of a domain that has one, "
                               "take the type below it.");
}

/* Is the column's default byte for byte the initial value that the plan names? Judged in a read-only transaction, in
 * which a sequence cannot be drawn from. */
static enum zdm_code judge_default(struct pgsql_work *w, const struct pgsql_facts *facts, const struct pgsql_pair *pair,
                                   const struct pgsql_column *column, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    pgsql_put_default_differs(&sql, column, &pair->target, pair->a->initial);
    enum zdm_code code = pgsql_begin_reading(w->s, err);
    if (code != ZDM_OK) {
        return code;
    }
    bool same = pgsql_query(w->s, zdm_buffer_text(&sql), 0, NULL, &res, &ignored) == ZDM_OK && !pgsql_true(res, 0, 0);
    pgsql_rollback(w->s);
    return same ? ZDM_OK : pgsql_default_refused(&facts->table, column, pair->a->initial, err);
}

static enum zdm_code judge_defaults(struct pgsql_work *w, const struct pgsql_facts *facts, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < facts->n_pairs; i++) {
        const struct pgsql_pair *pair = &facts->pairs[i];
        code = judge_default(w, facts, pair, &pair->target, err);
        if (code == ZDM_OK && facts->d->both_ways && pair->a->initial != NULL) {
            code = judge_default(w, facts, pair, &pair->source, err);
        }
    }
    return code;
}

static enum zdm_code judge_shape(const struct pgsql_facts *facts, struct zdm_error *err)
{
    const struct zdm_derivation *d = facts->d;
    for (size_t i = 0; i < facts->n_pairs; i++) {
        bool writable = facts->pairs[i].a->expr_new != NULL;
        if (!writable || (d->both_ways && (!facts->pairs[i].copy || d->filter != NULL))) {
            return zdm_error_set(err, ZDM_REFUSED, "no trigger can be derived for column %s",
                                 facts->pairs[i].a->target);
        }
    }
    return ZDM_OK;
}

enum zdm_code pgsql_sync_validate(struct pgsql_work *w, struct pgsql_facts *facts, struct zdm_error *err)
{
    enum zdm_code code = judge_shape(facts, err);
    if (code == ZDM_OK) {
        code = refuse_generated_sources(facts, err);
    }
    /* The fill that follows would be refused. */
    if (code == ZDM_OK) {
        code = pgsql_key_keeps(w->s, &facts->table, &facts->key, facts->d, err);
    }
    if (code == ZDM_OK) {
        code = judge_defaults(w, facts, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_begin(w->s, "SET LOCAL lock_timeout = 100; SET LOCAL statement_timeout = 5000;", err);
    }
    if (code == ZDM_OK) {
        code = judge_meaning(w, facts, err);
    }
    if (code == ZDM_OK) {
        code = make_probe(w, facts, err);
    }
    if (code == ZDM_OK) {
        code = refuse_private_functions(w, err);
    }
    if (code == ZDM_OK) {
        code = judge_expressions(w, facts, err);
    }
    pgsql_rollback(w->s);
    pgsql_sync_mark_guards(facts);
    return code;
}
