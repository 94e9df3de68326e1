/*
 * trigger.c - writes the bodies of the sync triggers: database.md 3, word for word.
 *
 * Target t, its sources S (columns read by its expression and the filter), key K of the backfill, initial value d.
 *   forward:  INSERT  t identical to d and filter(NEW)             t := f(NEW)
 *             UPDATE  t the same in OLD and NEW, S or K changed    t := f(NEW) where filter(NEW),
 *                                                                  t := d where filter(OLD) and not filter(NEW)
 *   both:     INSERT  t identical to d                             t := o, else o := t
 *             UPDATE  t changed                                    o := t, else if o or K changed: t := o
 * Where the reverse copy is guarded, the two columns may differ for good: a key that moves then fills t only where
 * nobody has yet, since it would push the old value over what new code wrote. fill_once (volatile f) is written only
 * where t is identical to d: on INSERT, and when the key of such a row moves, since the row may thereby pass behind the
 * cursor.
 *
 * The batch's own UPDATE fires them as well: it changes t, so that a forward one leaves it alone, and one that works
 * both ways writes to o what o holds. A NOT NULL column that an INSERT leaves out is NULL here until somebody sets it.
 */
#include "agent/engine/mysql/walk/sync.h"

#include <string.h>

#include "agent/engine/steps.h"

void mydb_trigger_text_fini(struct mydb_trigger_text *text)
{
    zdm_buffer_fini(&text->insert_body);
    zdm_buffer_fini(&text->update_body);
}

static void put_field(struct zdm_buffer *b, const char *row, const char *name)
{
    zdm_buffer_puts(b, row);
    mydb_put_name(b, name);
}

static void put_set(struct zdm_buffer *b, const char *name, const char *value)
{
    zdm_buffer_puts(b, "SET ");
    put_field(b, "NEW.", name);
    zdm_buffer_printf(b, " = %s;", value);
}

/* NEW.x differs from OLD.x */
static void put_changed(struct zdm_buffer *b, const struct mydb_column *column)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer new = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer old = ZDM_BUFFER_INIT;
    put_field(&new, "NEW.", column->name);
    put_field(&old, "OLD.", column->name);
    mydb_put_differs(b, zdm_buffer_text(&new), column, zdm_buffer_text(&old), column);
}

static void put_key_changed(struct zdm_buffer *b, const struct mydb_key *key)
{
    for (size_t i = 0; i < key->n; i++) {
        zdm_buffer_puts(b, i == 0 ? "" : " OR ");
        put_changed(b, &key->columns[i]);
    }
}

/* Anything in S or K of the target changed. */
static void put_inputs_changed(struct zdm_buffer *b, const struct mydb_facts *facts, const struct mydb_pair *pair)
{
    zdm_buffer_puts(b, "(");
    put_key_changed(b, &facts->key);
    for (size_t i = 0; i < facts->n_sources; i++) {
        if (agent_target_reads(facts->d, pair->a, facts->d->sources[i], '`')) {
            zdm_buffer_puts(b, " OR ");
            put_changed(b, &facts->sources[i]);
        }
    }
    zdm_buffer_puts(b, ")");
}

/* An expression as the column would hold it, of what is no copy: what does not fit was refused (validate_sync.c,
 * constant.c), so that only what the server computes with more digits than it says is left. A backfill without sync is
 * not judged, and not compared: its batches may write once more what is there. */
static void put_as_held(struct zdm_buffer *b, const struct mydb_column *column, const char *expr)
{
    if (column->family == MYDB_DECIMAL) {
        zdm_buffer_printf(b, "CAST((%s) AS DECIMAL(%u,%u))", expr, column->precision, column->scale);
    } else if (strcmp(column->type, "float") == 0) {
        zdm_buffer_printf(b, "CAST((%s) AS FLOAT)", expr);
    } else if (strcmp(column->base, "json") == 0) {
        zdm_buffer_printf(b, "CAST((%s) AS JSON)", expr);
    } else if (strcmp(column->base, "char") == 0) {
        zdm_buffer_printf(b, "TRIM(TRAILING ' ' FROM (%s))", expr);
    } else {
        zdm_buffer_printf(b, "(%s)", expr);
    }
}

/* A column and an expression whose character set nobody knows. */
static void put_differs_from(struct zdm_buffer *b, const char *value, const struct mydb_column *column,
                             const char *expr)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer held = ZDM_BUFFER_INIT;
    struct mydb_column of_expr = *column;
    struct mydb_column of_value = *column;
    put_as_held(&held, column, expr);
    if (column->family == MYDB_ENUM) {
        of_value.family = of_expr.family = MYDB_TEXT; /* by their labels */
    }
    if (of_expr.family == MYDB_TEXT) {
        zdm_copy_text(of_expr.charset, sizeof of_expr.charset, "?");
    }
    mydb_put_differs(b, value, &of_value, zdm_buffer_text(&held), &of_expr);
}

void mydb_put_pair_differs(struct zdm_buffer *b, const struct mydb_pair *pair, const char *row)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer source = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer target = ZDM_BUFFER_INIT;
    put_field(&target, row, pair->target.name);
    if (!pair->copy) {
        const char *expr = strcmp(row, "NEW.") == 0 ? pair->a->expr_new : pair->a->expr;
        put_differs_from(b, zdm_buffer_text(&target), &pair->target, expr == NULL ? "NULL" : expr);
        return;
    }
    put_field(&source, row, pair->source.name);
    mydb_put_differs(b, zdm_buffer_text(&target), &pair->target, zdm_buffer_text(&source), &pair->source);
}

void mydb_put_is_initial(struct zdm_buffer *b, const struct mydb_pair *pair, const char *row)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer target = ZDM_BUFFER_INIT;
    put_field(&target, row, pair->target.name);
    if (pair->a->initial == NULL) {
        zdm_buffer_printf(b, "(%s IS NULL)", zdm_buffer_text(&target));
        return;
    }
    zdm_buffer_puts(b, "NOT (");
    put_differs_from(b, zdm_buffer_text(&target), &pair->target, pair->a->initial);
    zdm_buffer_puts(b, ")");
}

static void put_forward(struct zdm_buffer *b, const struct mydb_pair *pair)
{
    zdm_buffer_puts(b, "    ");
    put_set(b, pair->target.name, pair->a->expr_new);
    zdm_buffer_puts(b, "\n");
}

static void forward_insert(struct zdm_buffer *b, const struct zdm_derivation *d, const struct mydb_pair *pair)
{
    zdm_buffer_puts(b, "  IF ");
    mydb_put_is_initial(b, pair, "NEW.");
    if (d->filter_new != NULL) {
        zdm_buffer_printf(b, " AND (%s)", d->filter_new);
    }
    zdm_buffer_puts(b, " THEN\n");
    put_forward(b, pair);
    zdm_buffer_puts(b, "  END IF;\n");
}

static void forward_update(struct zdm_buffer *b, const struct mydb_facts *facts, const struct mydb_pair *pair)
{
    const struct zdm_derivation *d = facts->d;
    zdm_buffer_puts(b, "  IF NOT (");
    put_changed(b, &pair->target);
    zdm_buffer_puts(b, ") AND ");
    if (pair->a->fill_once) {
        zdm_buffer_puts(b, "(");
        put_key_changed(b, &facts->key);
        zdm_buffer_puts(b, ") AND ");
        mydb_put_is_initial(b, pair, "NEW.");
    } else {
        put_inputs_changed(b, facts, pair);
    }
    zdm_buffer_puts(b, " THEN\n");
    if (d->filter_new == NULL) {
        put_forward(b, pair);
    } else {
        zdm_buffer_printf(b, "   IF (%s) THEN\n", d->filter_new);
        put_forward(b, pair);
        if (!pair->a->fill_once) {
            zdm_buffer_printf(b, "   ELSEIF (%s) THEN\n    ", d->filter_old);
            put_set(b, pair->target.name, pair->a->initial == NULL ? "NULL" : pair->a->initial);
            zdm_buffer_puts(b, "\n");
        }
        zdm_buffer_puts(b, "   END IF;\n");
    }
    zdm_buffer_puts(b, "  END IF;\n");
}

/* ELSEIF o IS NULL: its zero value, where it must not be NULL and nothing else is known. */
static void put_zero_where_null(struct zdm_buffer *b, const struct mydb_column *column)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer zero = ZDM_BUFFER_INIT;
    if (!column->not_null || !mydb_put_zero(&zero, column)) {
        return;
    }
    zdm_buffer_puts(b, " ELSEIF ");
    put_field(b, "NEW.", column->name);
    zdm_buffer_puts(b, " IS NULL THEN ");
    put_set(b, column->name, zdm_buffer_text(&zero));
}

/* o := t, where it fits. */
static void put_reverse(struct zdm_buffer *b, const struct mydb_pair *pair, bool insert)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer value = ZDM_BUFFER_INIT;
    put_field(&value, "NEW.", pair->target.name);
    zdm_buffer_puts(b, "    ");
    if (!pair->guarded) {
        put_set(b, pair->source.name, zdm_buffer_text(&value));
        zdm_buffer_puts(b, "\n");
        return;
    }
    zdm_buffer_puts(b, "IF ");
    mydb_put_fits(b, zdm_buffer_text(&value), &pair->target, &pair->source);
    zdm_buffer_puts(b, " THEN ");
    put_set(b, pair->source.name, zdm_buffer_text(&value));
    if (insert) {
        put_zero_where_null(b, &pair->source);
    }
    zdm_buffer_puts(b, " END IF;\n");
}

static void put_copy(struct zdm_buffer *b, const struct mydb_pair *pair)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer value = ZDM_BUFFER_INIT;
    put_field(&value, "NEW.", pair->source.name);
    put_set(b, pair->target.name, zdm_buffer_text(&value));
}

static void both_insert(struct zdm_buffer *b, const struct mydb_pair *pair)
{
    zdm_buffer_puts(b, "  IF ");
    mydb_put_is_initial(b, pair, "NEW.");
    zdm_buffer_puts(b, " THEN\n    ");
    /* Neither is given: new code that leaves a nullable column out must not meet the old one's NOT NULL. */
    if (pair->source.not_null && !pair->target.not_null) {
        zdm_buffer_puts(b, "IF ");
        put_field(b, "NEW.", pair->source.name);
        zdm_buffer_puts(b, " IS NOT NULL THEN ");
        put_copy(b, pair);
        put_zero_where_null(b, &pair->source);
        zdm_buffer_puts(b, " END IF;\n");
    } else {
        put_copy(b, pair);
        zdm_buffer_puts(b, "\n");
    }
    zdm_buffer_puts(b, "  ELSE\n");
    put_reverse(b, pair, true);
    zdm_buffer_puts(b, "  END IF;\n");
}

static void both_update(struct zdm_buffer *b, const struct mydb_facts *facts, const struct mydb_pair *pair)
{
    zdm_buffer_puts(b, "  IF ");
    put_changed(b, &pair->target);
    zdm_buffer_puts(b, " THEN\n");
    put_reverse(b, pair, false);
    zdm_buffer_puts(b, "  ELSEIF ");
    put_changed(b, &pair->source);
    zdm_buffer_puts(b, " OR ((");
    put_key_changed(b, &facts->key);
    zdm_buffer_puts(b, ")");
    if (pair->guarded) {
        zdm_buffer_puts(b, " AND ");
        mydb_put_is_initial(b, pair, "NEW.");
    }
    zdm_buffer_puts(b, ") THEN\n    ");
    put_copy(b, pair);
    zdm_buffer_puts(b, "\n  END IF;\n");
}

static void reverse_update(struct zdm_buffer *b, const struct mydb_pair *pair)
{
    zdm_buffer_puts(b, "  IF ");
    put_changed(b, &pair->target);
    zdm_buffer_puts(b, " THEN\n");
    put_reverse(b, pair, false);
    zdm_buffer_puts(b, "  END IF;\n");
}

static void put_pair(struct mydb_trigger_text *out, const struct mydb_facts *facts, const struct mydb_pair *pair,
                     bool reverse_only)
{
    if (reverse_only) {
        put_reverse(&out->insert_body, pair, true);
        reverse_update(&out->update_body, pair);
    } else if (facts->d->both_ways) {
        both_insert(&out->insert_body, pair);
        both_update(&out->update_body, facts, pair);
    } else {
        forward_insert(&out->insert_body, facts->d, pair);
        forward_update(&out->update_body, facts, pair);
    }
}

enum zdm_code mydb_trigger_write(const struct mydb_facts *facts, bool reverse_only, struct mydb_trigger_text *out,
                                 struct zdm_error *err)
{
    for (size_t i = 0; i < facts->n_pairs; i++) {
        const struct mydb_pair *pair = &facts->pairs[i];
        if (facts->d->both_ways || reverse_only ? !pair->copy : pair->a->expr_new == NULL) {
            return zdm_error_set(err, ZDM_REFUSED, "no trigger can be derived for column %s", pair->a->target);
        }
    }
    zdm_buffer_puts(&out->insert_body, "BEGIN\n");
    zdm_buffer_puts(&out->update_body, "BEGIN\n");
    for (size_t i = 0; i < facts->n_pairs; i++) {
        put_pair(out, facts, &facts->pairs[i], reverse_only);
    }
    zdm_buffer_puts(&out->insert_body, "END");
    zdm_buffer_puts(&out->update_body, "END");
    bool failed = out->insert_body.failed || out->update_body.failed;
    return failed ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : ZDM_OK;
}
