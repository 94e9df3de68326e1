/*
 * plan_validate.c - is a plan whole? See zdm_plan_validate in plan.h.
 *
 * What an action needs is one table, checked the same way for every step, so that the agent can use a field without
 * asking whether it is there. A field that is sent to a database and that the action does not use is refused too: a
 * plan says exactly what is run, and nothing in it may look as if it were.
 */
#include "common/plan/plan.h"

#include <string.h>

#include "common/base/selector.h"

static const int64_t grace_max_ms = INT64_C(366) * 24 * 3600 * 1000;

enum need {
    TABLE = 1,
    COLUMN = 2,
    OBJECT = 4,
    SQL = 8,
    DERIVATION = 16,
    TRIGGER = 32, /* the derivation has its forms over NEW. and OLD. */
    FLAG = 64,
    SYNC = 128 /* sync_step is not 0 */
};

static const struct {
    enum zdm_step_kind kind;
    unsigned needs;
} action_rows[] = {
    [ZDM_ACTION_ADD_COLUMN] = {ZDM_STEP_DDL, TABLE | COLUMN | SQL},
    [ZDM_ACTION_ADD_CHECK] = {ZDM_STEP_DDL, TABLE | OBJECT | SQL},
    [ZDM_ACTION_SET_NOT_NULL] = {ZDM_STEP_DDL, TABLE | COLUMN | SQL},
    [ZDM_ACTION_DROP_CONSTRAINT] = {ZDM_STEP_DDL, TABLE | OBJECT | SQL},
    [ZDM_ACTION_VALIDATE] = {ZDM_STEP_VALIDATE, TABLE | OBJECT | SQL},
    [ZDM_ACTION_CREATE_INDEX] = {ZDM_STEP_INDEX, TABLE | OBJECT | SQL},
    [ZDM_ACTION_SYNC_INSTALL] = {ZDM_STEP_SYNC, TABLE | DERIVATION | TRIGGER},
    [ZDM_ACTION_SYNC_REMOVE] = {ZDM_STEP_SYNC, TABLE | SYNC},
    [ZDM_ACTION_BACKFILL] = {ZDM_STEP_BACKFILL, TABLE | DERIVATION},
    [ZDM_ACTION_CHECK_QUERY] = {ZDM_STEP_CHECK, SQL},
    [ZDM_ACTION_CHECK_COMPARE] = {ZDM_STEP_CHECK, TABLE | DERIVATION},
    [ZDM_ACTION_HIDE_COLUMN] = {ZDM_STEP_HIDE, TABLE | COLUMN | OBJECT},
    [ZDM_ACTION_PURGE_COLUMN] = {ZDM_STEP_PURGE, TABLE | COLUMN | OBJECT},
    [ZDM_ACTION_GATE_FLAG] = {ZDM_STEP_GATE, FLAG},
    [ZDM_ACTION_PURGE_IMAGES] = {ZDM_STEP_PURGE, TABLE | OBJECT},
};

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* A name as SQL knows it; optional ones may be NULL, but never empty or too long. */
static bool identifier_fits(const char *name, bool needed)
{
    if (name == NULL)
        return !needed;
    return name[0] != '\0' && strlen(name) <= ZDM_IDENTIFIER_MAX;
}

static bool table_is_named(const struct zdm_table *table)
{
    /* An empty schema is the database at hand (MySQL). */
    return table->schema != NULL && strlen(table->schema) <= ZDM_IDENTIFIER_MAX && identifier_fits(table->name, true);
}

static bool table_is_listed(const struct zdm_plan *plan, const struct zdm_table *table)
{
    for (size_t i = 0; i < plan->n_tables; i++)
        if (strcmp(plan->tables[i].schema, table->schema) == 0 && strcmp(plan->tables[i].name, table->name) == 0)
            return true;
    return false;
}

static enum zdm_code step_error(struct zdm_error *err, const struct zdm_step *step, const char *what)
{
    return zdm_error_set(err, ZDM_INVALID, "step %s (%s) %s", step->id, zdm_action_name(step->action), what);
}

static const char *derivation_fault(const struct zdm_derivation *derivation, bool trigger)
{
    if (derivation->n_assignments == 0)
        return "assigns nothing";
    for (size_t i = 0; i < derivation->n_assignments; i++) {
        const struct zdm_assignment *assignment = &derivation->assignments[i];
        if (!identifier_fits(assignment->target, true) || !identifier_fits(assignment->copy_of, false))
            return "assigns to or copies from a column without a usable name";
        if (!is_set(assignment->expr) || (trigger && !is_set(assignment->expr_new)))
            return "has an assignment without an expression";
        if (derivation->both_ways && assignment->copy_of == NULL)
            return "synchronizes in both directions what is not a copy";
    }
    for (size_t i = 0; i < derivation->n_sources; i++)
        if (!identifier_fits(derivation->sources[i], true))
            return "reads a column without a usable name";
    if (trigger && derivation->filter != NULL && (!is_set(derivation->filter_new) || !is_set(derivation->filter_old)))
        return "has a filter that its trigger cannot evaluate";
    return NULL;
}

static const char *flag_fault(const struct zdm_flag *flag)
{
    if (!is_set(flag->key))
        return "names no flag";
    if (flag->soak_ms < 0)
        return "soaks for a negative time";
    for (size_t i = 0; i < flag->n_rollout; i++)
        if (!is_set(flag->rollout[i]))
            return "has an empty rollout stage";
    return NULL;
}

static const char *sql_fault(const struct zdm_step *step, unsigned needs)
{
    if (((needs & SQL) != 0) != is_set(step->sql))
        return (needs & SQL) != 0 ? "has no SQL" : "has SQL that it would not run";
    if ((step->inverse == ZDM_INVERSE_SQL) != is_set(step->inverse_sql))
        return step->inverse == ZDM_INVERSE_SQL ? "has no SQL for its inverse"
                                                : "has SQL for an inverse of another kind";
    return NULL;
}

static const char *fields_fault(const struct zdm_plan *plan, const struct zdm_step *step, unsigned needs)
{
    if (step->table.name == NULL && (needs & TABLE) != 0)
        return "names no table";
    if (step->table.name != NULL && !(table_is_named(&step->table) && table_is_listed(plan, &step->table)))
        return "names a table that the plan does not list";
    if (!identifier_fits(step->column, (needs & COLUMN) != 0))
        return "names no usable column";
    if (!identifier_fits(step->object, (needs & OBJECT) != 0))
        return "names no usable object";
    if (((needs & DERIVATION) != 0) != (step->derivation != NULL))
        return (needs & DERIVATION) != 0 ? "has no derivation" : "has a derivation that it would not use";
    if (((needs & FLAG) != 0) != (step->flag != NULL))
        return (needs & FLAG) != 0 ? "has no flag" : "has a flag that it would not use";
    if ((needs & SYNC) != 0 && step->sync_step == 0)
        return "does not say which synchronization";
    const char *fault = sql_fault(step, needs);
    if (fault == NULL && step->derivation != NULL)
        fault = derivation_fault(step->derivation, (needs & TRIGGER) != 0);
    if (fault == NULL && step->flag != NULL)
        fault = flag_fault(step->flag);
    return fault;
}

static const char *references_fault(const struct zdm_plan *plan, const struct zdm_step *step)
{
    if (step->sync_step != 0) {
        const struct zdm_step *sync = zdm_plan_step(plan, step->sync_step);
        if (sync == NULL || sync->action != ZDM_ACTION_SYNC_INSTALL)
            return "points at a synchronization that is none";
    }
    return NULL;
}

/* ---- what a step says of its way back ---- */

static bool is_images_name(const char *name)
{
    static const char prefix[] = "undo_";
    enum { DIGITS = 8 };
    const size_t n = sizeof prefix - 1;
    return name != NULL && strncmp(name, prefix, n) == 0 && strspn(name + n, "0123456789abcdef") == DIGITS &&
           name[n + DIGITS] == '\0';
}

/* The backfill before `before` that keeps its before-images in that table, NULL for none. */
static const struct zdm_step *images_of(const struct zdm_plan *plan, const struct zdm_step *before)
{
    for (uint32_t o = 1; o < before->ordinal; o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        if (step != NULL && step->inverse == ZDM_INVERSE_IMAGES && step->object != NULL &&
            strcmp(step->object, before->object) == 0)
            return step;
    }
    return NULL;
}

/* Tables of schema zdm are made and dropped by these names, so that they can be no others. */
static const char *images_fault(const struct zdm_plan *plan, const struct zdm_step *step)
{
    bool keeps = step->inverse == ZDM_INVERSE_IMAGES, drops = step->action == ZDM_ACTION_PURGE_IMAGES;
    if (step->action == ZDM_ACTION_BACKFILL && !keeps && step->object != NULL)
        return "names a table for before-images that it does not keep";
    if (!keeps && !drops)
        return NULL;
    if (!is_images_name(step->object))
        return "names no usable table for before-images";
    const struct zdm_step *earlier = images_of(plan, step);
    if (keeps)
        return earlier == NULL ? NULL : "keeps its before-images where another step does";
    if (earlier == NULL || strcmp(earlier->table.schema, step->table.schema) != 0 ||
        strcmp(earlier->table.name, step->table.name) != 0)
        return "drops before-images that no backfill before it keeps";
    return NULL;
}

/* The one action that such an inverse takes back; 0: any. */
static const enum zdm_action inverse_rows[] = {
    [ZDM_INVERSE_HIDE] = ZDM_ACTION_ADD_COLUMN,     [ZDM_INVERSE_UNHIDE] = ZDM_ACTION_HIDE_COLUMN,
    [ZDM_INVERSE_REMOVE] = ZDM_ACTION_SYNC_INSTALL, [ZDM_INVERSE_INSTALL] = ZDM_ACTION_SYNC_REMOVE,
    [ZDM_INVERSE_IMAGES] = ZDM_ACTION_BACKFILL,     [ZDM_INVERSE_IMPOSSIBLE] = 0};

static const char *inverse_fault(const struct zdm_plan *plan, const struct zdm_phase *phase,
                                 const struct zdm_step *step)
{
    if ((unsigned)step->inverse >= sizeof inverse_rows / sizeof *inverse_rows)
        return "has an unknown inverse";
    if (inverse_rows[step->inverse] != 0 && inverse_rows[step->inverse] != step->action)
        return "has the inverse of another action";
    if (step->inverse == ZDM_INVERSE_IMPOSSIBLE && (step->exact_inverse || !phase->destructive))
        return "cannot be undone, but its phase is not marked destructive";
    if (step->kind == ZDM_STEP_PURGE && !phase->destructive)
        return "purges, but its phase is not marked destructive";
    if (step->inverse != ZDM_INVERSE_NONE && !step->exact_inverse && !phase->destructive)
        return "is not undone exactly, but its phase is not marked destructive";
    return images_fault(plan, step);
}

static enum zdm_code check_step(const struct zdm_plan *plan, const struct zdm_phase *phase, const struct zdm_step *step,
                                uint32_t ordinal, struct zdm_error *err)
{
    if (step->ordinal != ordinal)
        return zdm_error_set(err, ZDM_INVALID, "step %u stands at place %u", step->ordinal, ordinal);
    if (step->id[0] == '\0')
        return zdm_error_set(err, ZDM_INVALID, "step %u has no id", ordinal);
    if ((unsigned)step->action >= sizeof action_rows / sizeof *action_rows || action_rows[step->action].kind == 0)
        return zdm_error_set(err, ZDM_INVALID, "step %s has unknown action %u", step->id, (unsigned)step->action);
    if (step->kind != action_rows[step->action].kind)
        return step_error(err, step, "is of another kind than its action");
    if ((step->kind == ZDM_STEP_PURGE) != (phase->class == ZDM_PHASE_PURGE))
        return step_error(err, step, "mixes purging with other work in one phase");
    const char *fault = fields_fault(plan, step, action_rows[step->action].needs);
    if (fault == NULL)
        fault = references_fault(plan, step);
    if (fault == NULL)
        fault = inverse_fault(plan, phase, step);
    return fault == NULL ? ZDM_OK : step_error(err, step, fault);
}

static enum zdm_code check_unique_ids(const struct zdm_plan *plan, uint32_t n_steps, struct zdm_error *err)
{
    for (uint32_t i = 1; i <= n_steps; i++) {
        const char *id = zdm_plan_step(plan, i)->id;
        for (uint32_t j = 1; j < i; j++)
            if (strcmp(id, zdm_plan_step(plan, j)->id) == 0)
                return zdm_error_set(err, ZDM_INVALID, "steps %u and %u have the same id %s", j, i, id);
    }
    return ZDM_OK;
}

static enum zdm_code check_phases(const struct zdm_plan *plan, struct zdm_error *err)
{
    if (plan->n_phases == 0 || plan->n_phases > ZDM_PHASES_MAX)
        return zdm_error_set(err, ZDM_INVALID, "plan has %zu phases, not 1 to %d", plan->n_phases, ZDM_PHASES_MAX);
    uint32_t n_steps = zdm_plan_n_steps(plan);
    if (n_steps == 0 || n_steps > ZDM_STEPS_MAX)
        return zdm_error_set(err, ZDM_INVALID, "plan has %u steps, not 1 to %d", n_steps, ZDM_STEPS_MAX);
    uint32_t ordinal = 1;
    for (size_t i = 0; i < plan->n_phases; i++) {
        const struct zdm_phase *phase = &plan->phases[i];
        if (phase->number != i + 1)
            return zdm_error_set(err, ZDM_INVALID, "phase %u stands at place %zu", phase->number, i + 1);
        if (phase->class < ZDM_PHASE_EXPAND || phase->class > ZDM_PHASE_PURGE)
            return zdm_error_set(err, ZDM_INVALID, "phase %zu has unknown class %u", i + 1, (unsigned)phase->class);
        if (phase->approvals > ZDM_APPROVALS_MAX)
            return zdm_error_set(err, ZDM_INVALID, "phase %zu asks for more than %d approvals", i + 1,
                                 ZDM_APPROVALS_MAX);
        for (size_t j = 0; j < phase->n_steps; j++, ordinal++) {
            enum zdm_code code = check_step(plan, phase, &phase->steps[j], ordinal, err);
            if (code != ZDM_OK)
                return code;
        }
    }
    return check_unique_ids(plan, n_steps, err);
}

static enum zdm_code check_tables(const struct zdm_plan *plan, struct zdm_error *err)
{
    if (plan->n_tables > ZDM_STEPS_MAX)
        return zdm_error_set(err, ZDM_INVALID, "plan lists more than %d tables", ZDM_STEPS_MAX);
    for (size_t i = 0; i < plan->n_tables; i++) {
        if (!table_is_named(&plan->tables[i]))
            return zdm_error_set(err, ZDM_INVALID, "table %zu of the plan has no usable name", i + 1);
        for (size_t j = 0; j < i; j++)
            if (strcmp(plan->tables[i].schema, plan->tables[j].schema) == 0 &&
                strcmp(plan->tables[i].name, plan->tables[j].name) == 0)
                return zdm_error_set(err, ZDM_INVALID, "plan lists table %s twice", plan->tables[i].name);
    }
    return ZDM_OK;
}

static enum zdm_code check_waves(const struct zdm_plan *plan, struct zdm_error *err)
{
    if (plan->n_waves == 0 || plan->n_waves > ZDM_WAVES_MAX)
        return zdm_error_set(err, ZDM_INVALID, "plan has %zu waves, not 1 to %d", plan->n_waves, ZDM_WAVES_MAX);
    for (size_t i = 0; i < plan->n_waves; i++) {
        const struct zdm_wave *wave = &plan->waves[i];
        if (wave->selector != NULL ? wave->percent != 0 : wave->percent < 1 || wave->percent > 100)
            return zdm_error_set(err, ZDM_INVALID, "wave %zu is neither a selector nor 1 to 100 percent", i + 1);
        if (wave->selector != NULL && zdm_selector_check(wave->selector, err) != ZDM_OK)
            return zdm_error_wrap(err, "wave %zu", i + 1);
    }
    return ZDM_OK;
}

static enum zdm_code check_header(const struct zdm_plan *plan, struct zdm_error *err)
{
    if (plan->format != ZDM_PLAN_FORMAT)
        return zdm_error_set(err, ZDM_INVALID, "plan has format %u, not %d", plan->format, ZDM_PLAN_FORMAT);
    if (!zdm_name_is_valid(plan->id))
        return zdm_error_set(err, ZDM_INVALID, "plan has no valid id");
    if (plan->compiler[0] == '\0')
        return zdm_error_set(err, ZDM_INVALID, "plan does not say which release made it");
    if (plan->selector == NULL)
        return zdm_error_set(err, ZDM_INVALID, "plan has no selector");
    if (zdm_selector_check(plan->selector, err) != ZDM_OK)
        return zdm_error_wrap(err, "selector of the plan");
    if (plan->wave_soak_ms < 0 || plan->grace_ms < 0)
        return zdm_error_set(err, ZDM_INVALID, "plan has a negative soak or grace time");
    if (plan->grace_ms > grace_max_ms)
        return zdm_error_set(err, ZDM_INVALID, "plan has a grace time of more than 366 days");
    if (plan->throttle.duty_percent > 100)
        return zdm_error_set(err, ZDM_INVALID, "plan has a duty of more than 100 percent");
    return ZDM_OK;
}

enum zdm_code zdm_plan_validate(const struct zdm_plan *plan, struct zdm_error *err)
{
    enum zdm_code (*const checks[])(const struct zdm_plan *, struct zdm_error *) = {check_header, check_waves,
                                                                                    check_tables, check_phases};
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        enum zdm_code code = checks[i](plan, err);
        if (code != ZDM_OK)
            return code;
    }
    return ZDM_OK;
}
