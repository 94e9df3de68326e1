/*
 * plan_validate.c - is a plan whole? See zdm_plan_validate in plan.h; its steps are looked at in step_validate.c.
 */
#include "common/plan/validate.h"

#include <string.h>

#include "common/base/selector.h"

static enum zdm_code check_step(const struct zdm_plan *plan, const struct zdm_phase *phase, const struct zdm_step *step,
                                uint32_t ordinal, struct zdm_error *err)
{
    if (step->ordinal != ordinal)
        return zdm_error_set(err, ZDM_INVALID, "step %u stands at place %u", step->ordinal, ordinal);
    if (step->id[0] == '\0')
        return zdm_error_set(err, ZDM_INVALID, "step %u has no id", ordinal);
    if (!zdm_action_is_known(step->action))
        return zdm_error_set(err, ZDM_INVALID, "step %s has unknown action %u", step->id, (unsigned)step->action);
    const char *fault = zdm_step_fault(plan, phase, step);
    if (fault == NULL)
        return ZDM_OK;
    return zdm_error_set(err, ZDM_INVALID, "step %s (%s) %s", step->id, zdm_action_name(step->action), fault);
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
        if (!zdm_table_is_named(&plan->tables[i]))
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
    if ((plan->engines & ~(unsigned)(ZDM_ENGINE_POSTGRESQL | ZDM_ENGINE_MYSQL)) != 0)
        return zdm_error_set(err, ZDM_INVALID, "plan is for an engine that this release does not know");
    if (plan->wave_soak_ms < 0 || plan->grace_ms < 0)
        return zdm_error_set(err, ZDM_INVALID, "plan has a negative soak or grace time");
    if (plan->grace_ms > ZDM_GRACE_MAX_MS)
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
