/*
 * survey_future.c - a table as the plan will have it when it comes to a step, as a query over the table that is there
 * (survey_look.h): each ADD COLUMN, UPDATE and DELETE before the step is one more layer of it.
 */
#include "agent/engine/postgresql/survey/survey_look.h"

#include <string.h>

enum { NAMES_MAX = 400 };

struct future {
    struct pgsql_survey *survey;
    PGresult *columns; /* of the clone: name, type as a cast takes it, default */
    const char *names[NAMES_MAX];
    size_t n;
    struct zdm_buffer from;
};

static bool same_table(const struct zdm_table *a, const struct zdm_table *b)
{
    return a->name != NULL && b->name != NULL && strcmp(a->schema, b->schema) == 0 && strcmp(a->name, b->name) == 0;
}

static bool has_name(const struct future *f, const char *name)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* A cast would cut what an assignment to varchar(n) refuses: its length is left out. */
static enum zdm_code read_columns(struct future *f, const char *clone, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT attname, format_type(atttypid, CASE WHEN atttypid = 'varchar'::regtype THEN -1 ELSE atttypmod END),"
        " coalesce(pg_get_expr(adbin, adrelid), pg_get_expr(y.typdefaultbin, 0), quote_literal(y.typdefault)) FROM"
        " pg_attribute JOIN pg_type y ON y.oid = atttypid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
        " WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
    return pgsql_query(f->survey->w->s, sql, 1, (const char *const[]){clone}, &f->columns, err);
}

static const char *of_clone(const struct future *f, const char *column, int field)
{
    for (int i = 0; i < PQntuples(f->columns); i++) {
        if (strcmp(pgsql_text(f->columns, i, 0), column) == 0) {
            return pgsql_text(f->columns, i, field);
        }
    }
    return NULL;
}

static void begin_layer(struct zdm_buffer *layer, const char *columns)
{
    zdm_buffer_printf(layer, "(SELECT %s", columns);
}

static void end_layer(struct future *f, struct zdm_buffer *layer, const char *where)
{
    zdm_buffer_printf(layer, " FROM %s%s) AS t", zdm_buffer_text(&f->from), where);
    zdm_buffer_fini(&f->from);
    f->from = *layer;
    *layer = (struct zdm_buffer)ZDM_BUFFER_INIT;
}

/* The second half of a volatile default's statement: rows that are there get NULL first. */
static bool is_volatile(const struct zdm_step *step)
{
    return strstr(step->sql, ", ALTER COLUMN ") != NULL;
}

static const struct zdm_assignment *assigned(const struct zdm_derivation *d, const char *column)
{
    for (size_t i = 0; i < d->n_assignments; i++) {
        if (strcmp(d->assignments[i].target, column) == 0) {
            return &d->assignments[i];
        }
    }
    return NULL;
}

/* What rows that are there hold in a column that is added: its filling says it, else the default does, which a later
 * step may have changed by then. */
static const char *initial(const struct future *f, const struct zdm_step *add)
{
    for (uint32_t o = add->ordinal; o <= zdm_plan_n_steps(f->survey->common.plan); o++) {
        const struct zdm_step *step = zdm_plan_step(f->survey->common.plan, o);
        const struct zdm_assignment *a = step->action == ZDM_ACTION_BACKFILL && same_table(&step->table, &add->table)
                                             ? assigned(step->derivation, add->column)
                                             : NULL;
        if (a != NULL) {
            return a->initial;
        }
    }
    return is_volatile(add) ? NULL : of_clone(f, add->column, 2);
}

static void put_added(struct future *f, const struct zdm_step *step)
{
    struct zdm_buffer layer = ZDM_BUFFER_INIT;
    const char *type = of_clone(f, step->column, 1), *value = initial(f, step);
    if (type == NULL || has_name(f, step->column) || f->n == NAMES_MAX) {
        return;
    }
    begin_layer(&layer, "t.*, ");
    zdm_buffer_printf(&layer, "(%s)::%s AS ", value == NULL ? "NULL" : value, type);
    pgsql_put_name(&layer, step->column);
    end_layer(f, &layer, "");
    f->names[f->n++] = step->column;
}

static void put_value(struct future *f, const struct zdm_derivation *d, const struct zdm_assignment *a,
                      struct zdm_buffer *layer)
{
    const char *type = of_clone(f, a->target, 1);
    zdm_buffer_printf(layer, "CASE WHEN (%s) AND (%s)", d->filter == NULL ? "true" : d->filter,
                      d->guard == NULL ? "true" : d->guard);
    if (a->fill_once) {
        zdm_buffer_puts(layer, " AND t.");
        pgsql_put_name(layer, a->target);
        zdm_buffer_printf(layer, "::text IS NOT DISTINCT FROM (%s)::text", a->initial == NULL ? "NULL" : a->initial);
    }
    zdm_buffer_printf(layer, " THEN (%s)%s%s ELSE t.", a->expr, type == NULL ? "" : "::", type == NULL ? "" : type);
    pgsql_put_name(layer, a->target);
    zdm_buffer_puts(layer, " END AS ");
    pgsql_put_name(layer, a->target);
}

static void put_filled(struct future *f, const struct zdm_derivation *d)
{
    struct zdm_buffer layer = ZDM_BUFFER_INIT;
    begin_layer(&layer, "");
    for (size_t i = 0; i < f->n; i++) {
        const struct zdm_assignment *a = assigned(d, f->names[i]);
        zdm_buffer_puts(&layer, i == 0 ? "" : ", ");
        if (a != NULL) {
            put_value(f, d, a, &layer);
        } else {
            zdm_buffer_puts(&layer, "t.");
            pgsql_put_name(&layer, f->names[i]);
        }
    }
    end_layer(f, &layer, "");
}

static void put_left(struct future *f, const struct zdm_derivation *d)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer where = ZDM_BUFFER_INIT;
    struct zdm_buffer layer = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&where, " WHERE ((%s) AND (%s)) IS NOT TRUE", d->filter == NULL ? "true" : d->filter,
                      d->guard == NULL ? "true" : d->guard);
    begin_layer(&layer, "t.*");
    end_layer(f, &layer, zdm_buffer_text(&where));
}

static void put_layers(struct future *f, const struct zdm_table *table)
{
    for (uint32_t o = f->survey->common.from; o < f->survey->common.step->ordinal; o++) {
        const struct zdm_step *step = zdm_plan_step(f->survey->common.plan, o);
        if (!same_table(&step->table, table) || !zdm_step_is_for(step, ZDM_ENGINE_POSTGRESQL)) {
            continue;
        }
        if (step->action == ZDM_ACTION_ADD_COLUMN) {
            put_added(f, step);
        } else if (step->action == ZDM_ACTION_BACKFILL) {
            put_filled(f, step->derivation);
        } else if (step->action == ZDM_ACTION_DELETE) {
            put_left(f, step->derivation);
        }
    }
}

enum zdm_code pgsql_future_put(struct pgsql_survey *survey, const struct pgsql_stage *stage,
                               const struct zdm_table *table, const char *alias, struct zdm_buffer *out,
                               struct zdm_error *err)
{
    struct future f = {.survey = survey, .from = ZDM_BUFFER_INIT};
    const struct zdm_survey_table *known = agent_survey_table(&survey->common, table);
    for (size_t i = 0; known != NULL && i < known->n_columns && f.n < NAMES_MAX; i++) {
        f.names[f.n++] = known->columns[i].name;
    }
    const char *clone = pgsql_stage_name(stage, table);
    enum zdm_code code = read_columns(&f, clone == NULL ? PGSQL_CLONE : clone, err);
    if (code == ZDM_OK) {
        pgsql_put_table(&f.from, table);
        zdm_buffer_puts(&f.from, " AS t");
        if (known != NULL) {
            put_layers(&f, table);
        }
        bool other = strcmp(alias, "t") != 0;
        zdm_buffer_printf(out, other ? "(SELECT t.* FROM %s) AS " : "%s", zdm_buffer_text(&f.from));
        zdm_buffer_puts(out, other ? alias : "");
    }
    PQclear(f.columns);
    zdm_buffer_fini(&f.from);
    return code;
}
