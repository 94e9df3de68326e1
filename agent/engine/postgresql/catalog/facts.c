/*
 * facts.c - the columns of a derivation as the catalogue has them, and which values fit where (sync.h).
 */
#include "agent/engine/postgresql/walk/sync.h"

#include "agent/engine/postgresql/hide/hidden.h"
#include "agent/engine/postgresql/walk/images.h"
#include "agent/engine/steps.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The name that a column has once the plan's HIDE steps up to `ordinal` were carried out. */
static const char *current_name(struct pgsql_work *w, const struct zdm_step *sync, uint32_t ordinal, const char *column)
{
    struct zdm_error ignored = ZDM_ERROR_INIT;
    bool in_place = false;
    uint32_t last = ordinal == 0 ? 0 : zdm_plan_n_steps(w->op->plan);
    for (uint32_t i = 1; i <= last && i <= ordinal; i++) {
        const struct zdm_step *step = zdm_plan_step(w->op->plan, i);
        bool hides = step != NULL && step->action == ZDM_ACTION_HIDE_COLUMN && step->sync_step == sync->ordinal;
        if (hides && strcmp(step->column, column) == 0) {
            /* An answer that is not got shows in the very next query. */
            return pgsql_hidden_in_place(w, step, &in_place, &ignored) == ZDM_OK && in_place ? column : step->object;
        }
    }
    return column;
}

static enum zdm_code read_pair(struct pgsql_work *w, const struct zdm_step *sync, uint32_t ordinal,
                               const struct zdm_assignment *a, struct pgsql_facts *facts, struct zdm_error *err)
{
    struct pgsql_pair *pair = &facts->pairs[facts->n_pairs++];
    pair->a = a;
    enum zdm_code code = pgsql_column_find(w->s, &facts->table, a->target, &pair->target, err);
    if (code == ZDM_OK && pair->target.generated) {
        return zdm_error_set(err, ZDM_REFUSED, "column %s of %s.%s is generated and cannot be assigned", a->target,
                             facts->table.schema, facts->table.name);
    }
    if (code == ZDM_OK && a->copy_of != NULL) {
        pair->copy = true;
        code = pgsql_column_find(w->s, &facts->table, current_name(w, sync, ordinal, a->copy_of), &pair->source, err);
    }
    return code;
}

enum zdm_code pgsql_facts_read(struct pgsql_work *w, const struct zdm_step *sync, uint32_t ordinal,
                               struct pgsql_facts *out, struct zdm_error *err)
{
    const struct zdm_derivation *d = sync->derivation;
    memset(out, 0, sizeof *out);
    if (d == NULL || d->n_assignments > PGSQL_TARGETS_MAX || d->n_sources > PGSQL_SOURCES_MAX) {
        return zdm_error_set(err, ZDM_LIMIT, "step %s has no derivation, or one of too many columns", sync->id);
    }
    out->d = d;
    out->alone = agent_fills_alone(w->op->plan, sync);
    enum zdm_code code = pgsql_table_find(w->s, &sync->table, &out->table, err);
    if (code == ZDM_OK) {
        code = pgsql_table_fit(&out->table, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_images_key(w, sync, &out->table, &out->key, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < d->n_assignments; i++) {
        code = read_pair(w, sync, ordinal, &d->assignments[i], out, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < d->n_sources; i++) {
        const char *name = current_name(w, sync, ordinal, d->sources[i]);
        code = pgsql_column_find(w->s, &out->table, name, &out->sources[i], err);
        out->n_sources += code == ZDM_OK;
    }
    return code;
}

void pgsql_facts_fini(struct pgsql_facts *facts)
{
    for (size_t i = 0; i < facts->n_pairs; i++) {
        pgsql_column_fini(&facts->pairs[i].target);
        pgsql_column_fini(&facts->pairs[i].source);
    }
    for (size_t i = 0; i < facts->n_sources; i++) {
        pgsql_column_fini(&facts->sources[i]);
    }
    pgsql_key_fini(&facts->key);
}

/* Bytes of an integer type, 0 for others. */
static int integer_size(const char *base)
{
    return strcmp(base, "int2") == 0 ? 2 : strcmp(base, "int4") == 0 ? 4 : strcmp(base, "int8") == 0 ? 8 : 0;
}

/* Longest text that the type holds, 0 for any; -1 for what is no text. char(n) pads and is no text here. */
static int text_limit(const struct pgsql_column *c)
{
    if (strcmp(c->base, "text") == 0) {
        return 0;
    }
    if (strcmp(c->base, "varchar") == 0) {
        return c->typmod < 0 ? 0 : c->typmod - 4;
    }
    return -1;
}

enum pgsql_fit pgsql_fit(const struct pgsql_column *from, const struct pgsql_column *to)
{
    if (strcmp(from->type, to->type) == 0) {
        return PGSQL_FITS;
    }
    if (to->checked) {
        return PGSQL_FITS_NOT;
    }
    int a = integer_size(from->base), b = integer_size(to->base);
    if (a != 0 && b != 0) {
        return a <= b ? PGSQL_FITS : PGSQL_FITS_SOMETIMES;
    }
    a = text_limit(from);
    b = text_limit(to);
    if (a >= 0 && b >= 0) {
        return b == 0 || (a != 0 && a <= b) ? PGSQL_FITS : PGSQL_FITS_SOMETIMES;
    }
    return PGSQL_FITS_NOT;
}

void pgsql_put_fits(struct zdm_buffer *b, const char *value, const struct pgsql_column *from,
                    const struct pgsql_column *to)
{
    static const char *const ranges[] = {[2] = "-32768 AND 32767", [4] = "-2147483648 AND 2147483647"};
    const char *and = "";
    if (pgsql_fit(from, to) != PGSQL_FITS) {
        int size = integer_size(to->base);
        if (size != 0) {
            zdm_buffer_printf(b, "(%s IS NULL OR %s BETWEEN %s)", value, value, ranges[size]);
        } else {
            zdm_buffer_printf(b, "(%s IS NULL OR pg_catalog.length(%s::text) <= %d)", value, value, text_limit(to));
        }
        and = " AND ";
    }
    if (to->not_null) {
        zdm_buffer_printf(b, "%s%s IS NOT NULL", and, value);
    } else if (*and == '\0') {
        zdm_buffer_puts(b, "true");
    }
}

bool pgsql_has_value(const struct pgsql_column *source, const struct pgsql_column *target)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer zero = ZDM_BUFFER_INIT;
    return !source->not_null || target->not_null || source->default_expr != NULL || pgsql_put_zero(&zero, source);
}
