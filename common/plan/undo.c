/*
 * undo.c - see undo.h.
 */
#include "common/plan/undo.h"

#include <stdio.h>
#include <string.h>

#include "common/plan/report.h"

uint32_t zdm_plan_first_after(const struct zdm_plan *plan, uint32_t phase)
{
    uint32_t last = 0;
    for (size_t i = 0; i < plan->n_phases && plan->phases[i].number <= phase; i++)
        if (plan->phases[i].n_steps > 0)
            last = plan->phases[i].steps[plan->phases[i].n_steps - 1].ordinal;
    return last + 1;
}

static bool concerns(const struct zdm_step *step, enum zdm_engine engine)
{
    return engine == ZDM_ENGINE_ANY || zdm_step_is_for(step, engine);
}

static bool same_table(const struct zdm_table *a, const struct zdm_table *b)
{
    return a->name != NULL && b->name != NULL && strcmp(a->schema, b->schema) == 0 && strcmp(a->name, b->name) == 0;
}

const struct zdm_step *zdm_plan_adds(const struct zdm_plan *plan, const struct zdm_table *table, const char *column)
{
    for (uint32_t o = 1; o <= zdm_plan_n_steps(plan); o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        if (step->action == ZDM_ACTION_ADD_COLUMN && same_table(&step->table, table) &&
            strcmp(step->column, column) == 0)
            return step;
    }
    return NULL;
}

static bool fills(const struct zdm_step *step)
{
    return step->derivation != NULL && (step->action == ZDM_ACTION_SYNC_INSTALL || step->action == ZDM_ACTION_BACKFILL);
}

/* Downwards, so that what a lower floor adds to the way is looked at too. */
uint32_t zdm_plan_undo_floor(const struct zdm_plan *plan, enum zdm_engine engine, uint32_t to_phase,
                             uint32_t journal_step)
{
    uint32_t floor = zdm_plan_first_after(plan, to_phase), n = zdm_plan_n_steps(plan);
    for (uint32_t o = journal_step < n ? journal_step : n; o >= floor; o--) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        for (size_t i = 0; concerns(step, engine) && fills(step) && i < step->derivation->n_assignments; i++) {
            const struct zdm_step *add = zdm_plan_adds(plan, &step->table, step->derivation->assignments[i].target);
            if (add != NULL && add->ordinal < floor)
                floor = add->ordinal;
        }
    }
    return floor;
}

uint32_t zdm_plan_switch_between(const struct zdm_plan *plan, uint32_t to_phase, uint32_t entered)
{
    uint32_t found = 0;
    for (size_t i = 0; i < plan->n_phases; i++)
        if (plan->phases[i].class == ZDM_PHASE_SWITCH && plan->phases[i].number > to_phase &&
            plan->phases[i].number <= entered)
            found = plan->phases[i].number;
    return found;
}

/* The first step that fills the column which `add` adds, NULL for none; *out_back: one of them runs both ways. */
static const struct zdm_step *filled_by(const struct zdm_plan *plan, const struct zdm_step *add, bool *out_back)
{
    const struct zdm_step *first = NULL;
    *out_back = false;
    for (uint32_t o = add->ordinal + 1; o <= zdm_plan_n_steps(plan); o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        for (size_t i = 0; fills(step) && i < step->derivation->n_assignments; i++)
            if (same_table(&step->table, &add->table) &&
                strcmp(step->derivation->assignments[i].target, add->column) == 0) {
                first = first != NULL ? first : step;
                *out_back = *out_back || step->derivation->both_ways;
            }
    }
    return first;
}

/* What new code wrote where this step made room for it, and nothing copies back: the step to name, NULL for nothing. */
static const struct zdm_step *loss_of(const struct zdm_plan *plan, const struct zdm_step *step)
{
    bool back = false;
    if (step->action == ZDM_ACTION_CREATE_TABLE)
        return step;
    if (step->action != ZDM_ACTION_ADD_COLUMN)
        return NULL;
    const struct zdm_step *fill = filled_by(plan, step, &back);
    if (back)
        return NULL;
    return fill != NULL ? fill : step;
}

uint32_t zdm_plan_switched(const struct zdm_plan *plan, uint32_t switched, uint32_t entered)
{
    uint32_t now = zdm_plan_switch_between(plan, 0, entered);
    return now > switched ? now : switched;
}

bool zdm_plan_undo_loses(const struct zdm_plan *plan, enum zdm_engine engine, uint32_t to_phase, uint32_t entered,
                         uint32_t switched, const struct zdm_step **out_step)
{
    uint32_t last = zdm_plan_first_after(plan, entered > switched ? entered : switched) - 1;
    /* From the mark up only the floor takes away what stands below it. */
    uint32_t end = to_phase < switched ? last + 1 : zdm_plan_first_after(plan, switched);
    for (uint32_t o = zdm_plan_undo_floor(plan, engine, to_phase, last); o < end; o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        const struct zdm_step *loss = concerns(step, engine) ? loss_of(plan, step) : NULL;
        if (loss != NULL) {
            *out_step = loss;
            return true;
        }
    }
    return false;
}

/* The sync that runs backwards when the step is undone; NULL: none does. */
static const struct zdm_step *copy_of(const struct zdm_plan *plan, const struct zdm_step *step)
{
    bool hides = step->action == ZDM_ACTION_HIDE_COLUMN && step->sync_step != 0;
    const struct zdm_step *sync = hides ? zdm_plan_step(plan, step->sync_step) : step;
    const struct zdm_derivation *d = sync->derivation;
    bool copies = (hides || step->action == ZDM_ACTION_SYNC_INSTALL) && d != NULL && d->both_ways;
    return copies && d->n_sources > 0 && d->n_assignments > 0 ? sync : NULL;
}

const struct zdm_step *zdm_plan_undo_copies(const struct zdm_plan *plan, enum zdm_engine engine, uint32_t to_phase,
                                            uint32_t entered, uint32_t switched, uint32_t behind)
{
    uint32_t mark = zdm_plan_switched(plan, switched, entered);
    uint32_t last = zdm_plan_first_after(plan, entered > mark ? entered : mark) - 1;
    const struct zdm_step *next = NULL;
    for (uint32_t o = zdm_plan_undo_floor(plan, engine, to_phase, last); mark > 0 && o <= last; o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        const struct zdm_step *sync = concerns(step, engine) ? copy_of(plan, step) : NULL;
        if (sync != NULL && sync->ordinal > behind && (next == NULL || sync->ordinal < next->ordinal))
            next = sync;
    }
    return next;
}

bool zdm_plan_overwrites(const struct zdm_step *step)
{
    return step->action == ZDM_ACTION_DELETE || step->action == ZDM_ACTION_AS_IS ||
           (step->action == ZDM_ACTION_BACKFILL && step->derivation != NULL && !step->derivation->idempotent);
}

static bool is_let_in(const struct zdm_phase *phase)
{
    return phase->destructive || phase->class == ZDM_PHASE_PURGE || phase->approvals > 0;
}

/* The first step in [floor, end of to_phase] that nobody does again; NULL: the way is free. */
static const struct zdm_step *repeated(const struct zdm_plan *plan, enum zdm_engine engine, uint32_t to_phase,
                                       uint32_t journal_step)
{
    uint32_t end = zdm_plan_first_after(plan, to_phase);
    for (uint32_t o = zdm_plan_undo_floor(plan, engine, to_phase, journal_step); o < end; o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        if (is_let_in(zdm_plan_phase(plan, zdm_plan_phase_of(plan, o))) ||
            (concerns(step, engine) && zdm_plan_overwrites(step)))
            return step;
    }
    return NULL;
}

bool zdm_plan_undo_repeats(const struct zdm_plan *plan, enum zdm_engine engine, uint32_t to_phase,
                           uint32_t journal_step, struct zdm_undo_repeat *out)
{
    const struct zdm_step *step = repeated(plan, engine, to_phase, journal_step);
    uint32_t below = to_phase;
    if (step == NULL)
        return false;
    /* Before the first phase nothing is left to be done again. */
    while (repeated(plan, engine, below, journal_step) != NULL)
        below--;
    const struct zdm_phase *phase = zdm_plan_phase(plan, zdm_plan_phase_of(plan, step->ordinal));
    *out = (struct zdm_undo_repeat){.phase = phase, .step = is_let_in(phase) ? NULL : step, .below = below};
    return true;
}

void zdm_undo_repeat_text(char *out, size_t size, const struct zdm_undo_repeat *repeat)
{
    if (repeat->step == NULL)
        (void)snprintf(out, size,
                       "phase %u would have to be entered again and needs approvals: " ZDM_ERROR_ROLL_BACK "%u",
                       repeat->phase->number, repeat->below);
    else
        (void)snprintf(out, size, "step %s (%s) would be undone and done a second time: " ZDM_ERROR_ROLL_BACK "%u",
                       repeat->step->id, zdm_action_name(repeat->step->action), repeat->below);
}

const struct zdm_step *zdm_plan_purged(const struct zdm_plan *plan, enum zdm_engine engine, uint32_t to_phase,
                                       uint32_t journal_step)
{
    for (uint32_t o = zdm_plan_first_after(plan, to_phase); o < journal_step && o <= zdm_plan_n_steps(plan); o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        if (step->kind == ZDM_STEP_PURGE && concerns(step, engine))
            return step;
    }
    return NULL;
}

uint32_t zdm_plan_purge_phase(const struct zdm_plan *plan)
{
    for (size_t i = 0; i < plan->n_phases; i++)
        if (plan->phases[i].class == ZDM_PHASE_PURGE)
            return plan->phases[i].number;
    return 0;
}
