/*
 * honest.c - does a plan do what it says? See zdm_plan_check_honest in plan.h.
 *
 * The compiler writes each statement in one form, so that here it is compared and not understood: the words around what
 * a person wrote are fixed, and what a person wrote is one closed piece (no statement, list entry or comment ends in
 * it). The same for what follows from a step: which inverse it has, and whether something is lost for good. So neither
 * a name nor an expression of a plan made by hand smuggles another statement into a phase that nobody had to approve.
 *
 * Here stand PostgreSQL's forms; honest_mysql.c has the others. Steps of two engines never concern each other: tables
 * of MySQL have no schema, and those of PostgreSQL always one (step_validate.c).
 */
#include "common/plan/plan.h"

#include <string.h>

#include "common/plan/form.h"
#include "common/plan/honest.h"
#include "common/plan/undo.h"

/* ---- Forms ---- */

static const struct zdm_honest_row rows[] = {
#define DROP_CONSTRAINT "ALTER TABLE %t DROP CONSTRAINT IF EXISTS %o"
#define COLUMN          "ALTER TABLE %t ALTER COLUMN %c "
#define DROP_INDEX      "DROP INDEX CONCURRENTLY IF EXISTS %s.%o"
/* What the compiler makes steps of their own of, or refuses: it writes or reads the whole table. */
#define OF_COLUMN                                                                                                      \
    "check constraint generated primary references unique serial serial2 serial4 serial8 bigserial smallserial"
    {ZDM_ACTION_ADD_COLUMN, ZDM_INVERSE_HIDE, "ALTER TABLE %t ADD COLUMN %c %*", NULL, OF_COLUMN},
    {ZDM_ACTION_ADD_COLUMN, ZDM_INVERSE_HIDE, "ALTER TABLE %t ADD COLUMN %c %*, ALTER COLUMN %c SET DEFAULT %*", NULL,
     OF_COLUMN},
    {ZDM_ACTION_ADD_CHECK, ZDM_INVERSE_SQL, "ALTER TABLE %t ADD CONSTRAINT %o CHECK (%*) NOT VALID", DROP_CONSTRAINT,
     NULL},
    {ZDM_ACTION_SET_NOT_NULL, ZDM_INVERSE_SQL, COLUMN "SET NOT NULL", COLUMN "DROP NOT NULL", NULL},
    {ZDM_ACTION_DROP_CONSTRAINT, ZDM_INVERSE_NONE, DROP_CONSTRAINT, NULL, NULL},
    {ZDM_ACTION_VALIDATE, ZDM_INVERSE_NONE, "ALTER TABLE %t VALIDATE CONSTRAINT %o", NULL, NULL},
    {ZDM_ACTION_CREATE_INDEX, ZDM_INVERSE_SQL, "CREATE INDEX CONCURRENTLY %*", DROP_INDEX, NULL},
    {ZDM_ACTION_CREATE_INDEX, ZDM_INVERSE_SQL, "CREATE UNIQUE INDEX CONCURRENTLY %*", DROP_INDEX, NULL},
    {ZDM_ACTION_SYNC_INSTALL, ZDM_INVERSE_REMOVE, NULL, NULL, NULL},
    {ZDM_ACTION_SYNC_REMOVE, ZDM_INVERSE_INSTALL, NULL, NULL, NULL},
    {ZDM_ACTION_BACKFILL, ZDM_INVERSE_NONE, NULL, NULL, NULL},
    {ZDM_ACTION_BACKFILL, ZDM_INVERSE_IMAGES, NULL, NULL, NULL},
    {ZDM_ACTION_BACKFILL, ZDM_INVERSE_IMPOSSIBLE, NULL, NULL, NULL},
    {ZDM_ACTION_CHECK_QUERY, ZDM_INVERSE_NONE, NULL, NULL, NULL},
    {ZDM_ACTION_CHECK_COMPARE, ZDM_INVERSE_NONE, NULL, NULL, NULL},
    {ZDM_ACTION_HIDE_COLUMN, ZDM_INVERSE_UNHIDE, NULL, NULL, NULL},
    {ZDM_ACTION_PURGE_COLUMN, ZDM_INVERSE_IMPOSSIBLE, NULL, NULL, NULL},
    {ZDM_ACTION_PURGE_IMAGES, ZDM_INVERSE_IMPOSSIBLE, NULL, NULL, NULL},
    {ZDM_ACTION_GATE_FLAG, ZDM_INVERSE_NONE, NULL, NULL, NULL},

    {ZDM_ACTION_ADD_FOREIGN_KEY, ZDM_INVERSE_SQL,
     "ALTER TABLE %t ADD CONSTRAINT %o FOREIGN KEY (%,) REFERENCES %p%? NOT VALID", DROP_CONSTRAINT, NULL},
    {ZDM_ACTION_ADD_UNIQUE, ZDM_INVERSE_SQL, "ALTER TABLE %t ADD CONSTRAINT %o UNIQUE USING INDEX %o%?",
     DROP_CONSTRAINT, NULL},
    {ZDM_ACTION_ADD_PRIMARY_KEY, ZDM_INVERSE_SQL, "ALTER TABLE %t ADD CONSTRAINT %o PRIMARY KEY USING INDEX %o%?",
     DROP_CONSTRAINT, NULL},
    {ZDM_ACTION_LIFT_CONSTRAINT, ZDM_INVERSE_UNHIDE, NULL, NULL, NULL},
    {ZDM_ACTION_DROP_NOT_NULL, ZDM_INVERSE_UNHIDE, COLUMN "DROP NOT NULL", NULL, NULL},

    {ZDM_ACTION_SET_DEFAULT, ZDM_INVERSE_FORMER, COLUMN "SET DEFAULT %*", NULL, NULL},
    {ZDM_ACTION_SET_DEFAULT, ZDM_INVERSE_FORMER, COLUMN "DROP DEFAULT", NULL, NULL},
    {ZDM_ACTION_SET_STORAGE, ZDM_INVERSE_FORMER, "ALTER TABLE %t SET (%,)", NULL, NULL},
    {ZDM_ACTION_SET_STORAGE, ZDM_INVERSE_FORMER, "ALTER TABLE %t RESET (%,)", NULL, NULL},
    {ZDM_ACTION_SET_STORAGE, ZDM_INVERSE_FORMER, COLUMN "SET (%,)", NULL, NULL},
    {ZDM_ACTION_SET_STORAGE, ZDM_INVERSE_FORMER, COLUMN "RESET (%,)", NULL, NULL},
    {ZDM_ACTION_SET_STORAGE, ZDM_INVERSE_FORMER, COLUMN "SET STATISTICS %*", NULL, NULL},
    {ZDM_ACTION_COMMENT, ZDM_INVERSE_FORMER, "COMMENT ON TABLE %t IS %*", NULL, NULL},
    {ZDM_ACTION_COMMENT, ZDM_INVERSE_FORMER, "COMMENT ON COLUMN %t.%c IS %*", NULL, NULL},
    {ZDM_ACTION_COMMENT, ZDM_INVERSE_FORMER, "COMMENT ON CONSTRAINT %o ON %t IS %*", NULL, NULL},
    {ZDM_ACTION_COMMENT, ZDM_INVERSE_FORMER, "COMMENT ON INDEX %s.%o IS %*", NULL, NULL},
    {ZDM_ACTION_WIDEN_TYPE, ZDM_INVERSE_NONE, COLUMN "TYPE %*", NULL, "using"},

    {ZDM_ACTION_CREATE_TABLE, ZDM_INVERSE_HIDE, "CREATE TABLE %t (%,)%?", NULL, "as inherits of"},
    {ZDM_ACTION_CREATE_TYPE, ZDM_INVERSE_HIDE, "CREATE TYPE %s.%o AS ENUM (%,)", NULL, NULL},
    {ZDM_ACTION_ADD_VALUE, ZDM_INVERSE_NONE, "ALTER TYPE %s.%o ADD VALUE IF NOT EXISTS %l%?", NULL, NULL},
    {ZDM_ACTION_HIDE_TABLE, ZDM_INVERSE_UNHIDE, NULL, NULL, NULL},
    {ZDM_ACTION_PURGE_TABLE, ZDM_INVERSE_IMPOSSIBLE, NULL, NULL, NULL},
    {ZDM_ACTION_HIDE_INDEX, ZDM_INVERSE_UNHIDE, NULL, NULL, NULL},
    {ZDM_ACTION_PURGE_INDEX, ZDM_INVERSE_IMPOSSIBLE, NULL, NULL, NULL},
    {ZDM_ACTION_REINDEX, ZDM_INVERSE_NONE, NULL, NULL, NULL},

    {ZDM_ACTION_ADD_PARTITION_CHECK, ZDM_INVERSE_SQL, "FOR VALUES %*", DROP_CONSTRAINT, NULL},
    {ZDM_ACTION_ADD_PARTITION_CHECK, ZDM_INVERSE_SQL, "DEFAULT", DROP_CONSTRAINT, NULL},
    {ZDM_ACTION_ATTACH_PARTITION, ZDM_INVERSE_SQL, "ALTER TABLE %t ATTACH PARTITION %p FOR VALUES %*",
     "ALTER TABLE %t DETACH PARTITION %p", NULL},
    {ZDM_ACTION_ATTACH_PARTITION, ZDM_INVERSE_SQL, "ALTER TABLE %t ATTACH PARTITION %p DEFAULT",
     "ALTER TABLE %t DETACH PARTITION %p", NULL},
    {ZDM_ACTION_DETACH_PARTITION, ZDM_INVERSE_FORMER, "ALTER TABLE %t DETACH PARTITION %p", NULL, NULL},

    {ZDM_ACTION_DELETE, ZDM_INVERSE_IMAGES, NULL, NULL, NULL},
    {ZDM_ACTION_DELETE, ZDM_INVERSE_IMPOSSIBLE, NULL, NULL, NULL},
    {ZDM_ACTION_AS_IS, ZDM_INVERSE_SQL, NULL, NULL, NULL},
    {ZDM_ACTION_AS_IS, ZDM_INVERSE_IMPOSSIBLE, NULL, NULL, NULL},
    {ZDM_ACTION_GATE_WAIT, ZDM_INVERSE_NONE, NULL, NULL, NULL},
#undef DROP_CONSTRAINT
#undef COLUMN
#undef DROP_INDEX
#undef OF_COLUMN
};

static bool row_fits(const struct zdm_honest_row *row, const struct zdm_step *step)
{
    return row->form == NULL ||
           (zdm_form_fits(row->form, step, step->sql) &&
            (row->never == NULL || zdm_sql_find_word(step->engine, step->sql, row->never, false) == NULL));
}

static const struct zdm_honest_row *rows_of(enum zdm_engine engine, size_t *out_n)
{
    if (engine == ZDM_ENGINE_MYSQL)
        return zdm_honest_mysql_rows(out_n);
    *out_n = sizeof rows / sizeof *rows;
    return rows;
}

static const char *form_fault(const struct zdm_step *step)
{
    bool known = false, inverse = false, form = false, back = false;
    size_t n;
    const struct zdm_honest_row *of_engine = rows_of(step->engine, &n);
    for (size_t i = 0; i < n && !back; i++) {
        const struct zdm_honest_row *row = &of_engine[i];
        known = known || row->action == step->action;
        if (row->action != step->action || row->inverse != step->inverse)
            continue;
        inverse = true;
        if (!row_fits(row, step))
            continue;
        form = true;
        back = row->inverse_form == NULL || zdm_form_fits(row->inverse_form, step, step->inverse_sql);
    }
    if (!known)
        return "is nothing that this engine does";
    if (!inverse)
        return "has another inverse than such a step has";
    if (!form)
        return "has SQL that does something else";
    return back ? NULL : "has SQL for its inverse that does something else";
}

/* A column or an object that the words leave out would be shown, and kept for the way back, for something else. */
static const char *comment_fault(const struct zdm_step *step)
{
    static const char *const on[] = {"COMMENT ON TABLE ", "COMMENT ON COLUMN ", "COMMENT ON CONSTRAINT ",
                                     "COMMENT ON INDEX "};
    size_t kind = step->column != NULL ? 1 : step->object == NULL ? 0 : step->table.name != NULL ? 2 : 3;
    return strncmp(step->sql, on[kind], strlen(on[kind])) == 0 ? NULL : "comments on something else than it names";
}

static const char *storage_fault(const struct zdm_step *step)
{
    bool column = zdm_form_fits("ALTER TABLE %t ALTER COLUMN %c %*", step, step->sql);
    return step->column == NULL || column ? NULL : "names a column that its SQL leaves out";
}

static const char *as_is_fault(const struct zdm_step *step)
{
    size_t n;
    const char *fault = zdm_sql_statements(step->engine, step->sql, &n);
    if (fault == NULL && step->lock == ZDM_LOCK_LONG && n != 1)
        fault = "has several statements, of which a transaction can hold none together";
    if (fault == NULL && step->inverse_sql != NULL)
        fault = zdm_sql_statements(step->engine, step->inverse_sql, &n);
    return fault == NULL && !zdm_sql_is_query(step->engine, step->proof_sql) ? "has a proof that is not one query"
                                                                             : fault;
}

/* The agent's own record of what was done, and the server's catalogue, are nobody's to change by a plan. */
static bool is_of_system(const struct zdm_table *table)
{
    static const char *const schemas[] = {"zdm", "pg_catalog", "information_schema", "pg_toast"};
    for (size_t i = 0; table->schema != NULL && i < sizeof schemas / sizeof *schemas; i++)
        if (strcmp(table->schema, schemas[i]) == 0)
            return true;
    return false;
}

static const char *table_fault(const struct zdm_step *step)
{
    bool system = is_of_system(&step->table);
    for (size_t i = 0; i < step->n_others; i++)
        system = system || is_of_system(&step->others[i]);
    return system && step->action != ZDM_ACTION_AS_IS ? "is about a table of the system" : NULL;
}

/* SQL that has no form. */
static const char *text_fault(const struct zdm_step *step)
{
    if (step->engine == ZDM_ENGINE_MYSQL)
        return zdm_honest_mysql_fault(step);
    if (step->action == ZDM_ACTION_CHECK_QUERY && !zdm_sql_is_closed(step->engine, step->sql, true))
        return "has SQL that is not one query";
    if (step->action == ZDM_ACTION_COMMENT)
        return comment_fault(step);
    if (step->action == ZDM_ACTION_CREATE_TABLE && zdm_sql_lists(step->engine, step->sql, "like"))
        return "has SQL that does something else: LIKE copies what nobody was shown";
    if (step->action == ZDM_ACTION_CREATE_INDEX && !zdm_sql_is_index_on(step->sql, step->object, &step->table))
        return "has SQL that does something else: it builds another index, or on another table, than it names";
    if (step->action == ZDM_ACTION_SET_STORAGE)
        return storage_fault(step);
    if (step->action == ZDM_ACTION_AS_IS)
        return as_is_fault(step);
    bool asks = step->action == ZDM_ACTION_GATE_WAIT && step->wait->until != NULL;
    return asks && !zdm_sql_is_query(step->engine, step->wait->until) ? "has a condition that is not one query" : NULL;
}

/* ---- Derivations ---- */

static bool is_added(const struct zdm_plan *plan, const struct zdm_step *step, const char *column)
{
    const struct zdm_step *add = zdm_plan_adds(plan, &step->table, column);
    return add != NULL && add->ordinal < step->ordinal;
}

static const char *assignment_fault(const struct zdm_plan *plan, const struct zdm_step *step,
                                    const struct zdm_assignment *a)
{
    if (a->added && !is_added(plan, step, a->target))
        return "says that the migration added a column that it does not add";
    if (!zdm_sql_is_closed(step->engine, a->expr, false) || !zdm_sql_is_closed(step->engine, a->expr_new, false) ||
        !zdm_sql_is_closed(step->engine, a->initial, false))
        return "has an expression that is not one expression";
    return NULL;
}

static bool is_query(enum zdm_engine engine, const char *sql)
{
    return sql != NULL && zdm_sql_find_word(engine, sql, "select table values", true) != NULL;
}

/* In the application's own statements, with the rights of whoever writes. */
static bool reads_elsewhere(enum zdm_engine engine, const struct zdm_derivation *d)
{
    bool reads = is_query(engine, d->filter_new) || is_query(engine, d->filter_old);
    for (size_t i = 0; i < d->n_assignments; i++)
        reads = reads || is_query(engine, d->assignments[i].expr_new);
    return reads;
}

static const char *derivation_fault(const struct zdm_plan *plan, const struct zdm_step *step)
{
    const struct zdm_derivation *d = step->derivation;
    bool added = true;
    for (size_t i = 0; i < d->n_assignments; i++) {
        const char *fault = assignment_fault(plan, step, &d->assignments[i]);
        if (fault != NULL)
            return fault;
        added = added && is_added(plan, step, d->assignments[i].target);
    }
    if (!zdm_sql_is_closed(step->engine, d->guard, false) || !zdm_sql_is_closed(step->engine, d->filter, false) ||
        !zdm_sql_is_closed(step->engine, d->filter_new, false) ||
        !zdm_sql_is_closed(step->engine, d->filter_old, false))
        return "has a condition that is not one expression";
    if (step->action == ZDM_ACTION_SYNC_INSTALL && reads_elsewhere(step->engine, d))
        return "has a trigger that reads other tables, which no trigger follows";
    if (step->action == ZDM_ACTION_BACKFILL && !added && step->inverse == ZDM_INVERSE_NONE)
        return "writes over a column that was there before, and says that nothing is lost";
    if (step->action == ZDM_ACTION_SYNC_INSTALL && !added && step->exact_inverse)
        return "installs triggers that write over a column that was there before, and says that nothing is lost";
    return NULL;
}

/* ---- What belongs to a step before it ---- */

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Is there an earlier step of that action about the same table, column (where `column`) and object? */
static bool comes_after(const struct zdm_plan *plan, const struct zdm_step *step, enum zdm_action action, bool column)
{
    for (uint32_t o = 1; o < step->ordinal; o++) {
        const struct zdm_step *s = zdm_plan_step(plan, o);
        if (s->action == action && same_text(s->table.schema, step->table.schema) &&
            same_text(s->table.name, step->table.name) && same_text(s->object, step->object) &&
            (!column || same_text(s->column, step->column)))
            return true;
    }
    return false;
}

/* What is only ever done to what an earlier step made or hid. Any of the rows of an action is enough. */
static const struct {
    enum zdm_action action, after;
    bool column;
    const char *fault;
} order_rows[] = {
    {ZDM_ACTION_DROP_CONSTRAINT, ZDM_ACTION_ADD_CHECK, false, "drops a constraint that the plan does not add"},
    {ZDM_ACTION_DROP_CONSTRAINT, ZDM_ACTION_ADD_PARTITION_CHECK, false,
     "drops a constraint that the plan does not add"},
    {ZDM_ACTION_ADD_UNIQUE, ZDM_ACTION_CREATE_INDEX, false,
     "makes a constraint of an index that the plan does not build"},
    {ZDM_ACTION_ADD_PRIMARY_KEY, ZDM_ACTION_CREATE_INDEX, false,
     "makes a constraint of an index that the plan does not build"},
    {ZDM_ACTION_SHOW_COLUMN, ZDM_ACTION_ADD_COLUMN, true, "shows a column that the plan does not add"},
    {ZDM_ACTION_PURGE_COLUMN, ZDM_ACTION_HIDE_COLUMN, true, "purges what the plan does not hide"},
    {ZDM_ACTION_PURGE_TABLE, ZDM_ACTION_HIDE_TABLE, false, "purges what the plan does not hide"},
    {ZDM_ACTION_PURGE_INDEX, ZDM_ACTION_HIDE_INDEX, false, "purges what the plan does not hide"},
};

static const char *earlier_fault(const struct zdm_plan *plan, const struct zdm_step *step)
{
    const char *fault = NULL;
    for (size_t i = 0; i < sizeof order_rows / sizeof *order_rows; i++) {
        if (order_rows[i].action != step->action)
            continue;
        if (comes_after(plan, step, order_rows[i].after, order_rows[i].column))
            return NULL;
        fault = order_rows[i].fault;
    }
    return fault;
}

/* Does a sync before it copy something back into the column, so that a rollback finds what new code wrote? */
static bool is_kept_up(const struct zdm_plan *plan, const struct zdm_step *hide)
{
    const struct zdm_step *sync = hide->sync_step == 0 ? NULL : zdm_plan_step(plan, hide->sync_step);
    if (sync == NULL || sync->ordinal > hide->ordinal || !sync->derivation->both_ways ||
        !same_text(sync->table.schema, hide->table.schema) || !same_text(sync->table.name, hide->table.name))
        return false;
    for (size_t i = 0; i < sync->derivation->n_assignments; i++)
        if (same_text(sync->derivation->assignments[i].copy_of, hide->column))
            return true;
    return false;
}

static const char *order_fault(const struct zdm_plan *plan, const struct zdm_step *step)
{
    enum zdm_phase_class class = zdm_plan_phase(plan, zdm_plan_phase_of(plan, step->ordinal))->class;
    if (step->kind == ZDM_STEP_HIDE && class != ZDM_PHASE_CONTRACT)
        return "hides something outside of a contract phase, whose barrier waits until no code uses it";
    if (step->action == ZDM_ACTION_HIDE_COLUMN && step->exact_inverse && !is_kept_up(plan, step))
        return "says that nothing is lost, and nothing writes the column once it is hidden";
    return earlier_fault(plan, step);
}

enum zdm_code zdm_plan_check_honest(const struct zdm_plan *plan, struct zdm_error *err)
{
    for (uint32_t o = 1; o <= zdm_plan_n_steps(plan); o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        const char *fault = table_fault(step);
        if (fault == NULL)
            fault = form_fault(step);
        if (fault == NULL)
            fault = text_fault(step);
        if (fault == NULL && step->derivation != NULL)
            fault = derivation_fault(plan, step);
        if (fault == NULL)
            fault = order_fault(plan, step);
        if (fault != NULL)
            return zdm_error_set(err, ZDM_INVALID, "step %s (%s) %s", step->id, zdm_action_name(step->action), fault);
    }
    return ZDM_OK;
}
