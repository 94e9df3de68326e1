/*
 * regress.c - a step that the journal calls done is not done any more: what follows, and who may make it good.
 *
 * Mostly the journal goes back to that step and the agent works on from there by itself. Where that would do something
 * a second time that nobody asked for, it says so and is unsure: then only a person leads out, and the error names the
 * verb. Most often it is the next rollback, of a shard whose last one was given up half way: what was hidden early on
 * that way is gone, and what stands below it is not undone.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/internal.h"
#include "common/plan/undo.h"

/* What lies after the goal is not worked at all: there a rollback that was given up has left steps undone, and only the
 * journal follows. */
static bool is_behind(const struct agent_migration *m, const struct zdm_phase *phase)
{
    return phase->number > m->accepted.goal_phase;
}

/* Not into phases that the fleet enters together or that people let in. */
static bool is_free(const struct agent_migration *m, const struct zdm_phase *phase)
{
    bool early = phase->class == ZDM_PHASE_EXPAND || phase->class == ZDM_PHASE_MIGRATE;
    return is_behind(m, phase) || (early && !phase->destructive && phase->approvals == 0);
}

/* What keeps it from working on from there; both NULL: nothing. */
struct bar {
    const struct zdm_phase *phase; /* all of it */
    const struct zdm_step *step;
};

/* The shard's, as far as the step at which this was seen says it: of another engine nothing is ever seen. */
static enum zdm_engine engine_of(const struct agent_migration *m, uint32_t ordinal)
{
    return zdm_plan_step(m->plan, ordinal)->engine;
}

/* Nor over what does something else the second time: a backfill that counts, a deletion, a statement as it is; behind a
 * switch each backfill (written.c). After the goal that must not be forgotten either as long as it stands, because the
 * next advance would do it once more; what was looked at just now and is undone itself is nothing to forget. */
static struct bar bar_of(const struct agent_migration *m, uint32_t from)
{
    enum zdm_engine engine = engine_of(m, from);
    /* A comparison behind a switch only reads, and the flag stays as people have turned it. */
    bool compares = zdm_plan_step(m->plan, from)->action == ZDM_ACTION_CHECK_COMPARE && agent_is_written(m, from);
    for (uint32_t o = from; o <= m->step && o <= zdm_plan_n_steps(m->plan); o++) {
        const struct zdm_step *step = zdm_plan_step(m->plan, o);
        const struct zdm_phase *phase = zdm_plan_phase(m->plan, zdm_plan_phase_of(m->plan, o));
        bool begun = o < m->step || m->cursor != NULL, undone = o == from && is_behind(m, phase);
        bool gate = compares && step->action == ZDM_ACTION_GATE_FLAG;
        if (o < m->step && !gate && !is_free(m, phase))
            return (struct bar){.phase = phase};
        bool ours = engine == ZDM_ENGINE_ANY || zdm_step_is_for(step, engine);
        if (begun && !undone && ours && (zdm_plan_overwrites(step) || agent_writes_over(m, step)))
            return (struct bar){.step = step};
    }
    return (struct bar){.step = NULL};
}

/* The highest phase that a rollback can go back to, of those that are proven; false: what lies above is purged. */
bool agent_way_out(const struct agent_migration *m, uint32_t ordinal, uint32_t *out_phase)
{
    struct zdm_undo_repeat repeat;
    enum zdm_engine engine = engine_of(m, ordinal <= zdm_plan_n_steps(m->plan) ? ordinal : zdm_plan_n_steps(m->plan));
    uint32_t last = agent_is_begun(m) ? m->step : m->step - 1, phase = m->proven_phase;
    if (zdm_plan_undo_repeats(m->plan, engine, phase, last, &repeat))
        phase = repeat.below;
    *out_phase = phase;
    return zdm_plan_purged(m->plan, engine, phase, m->step) == NULL;
}

static void append(struct zdm_error *err, const char *fmt, ...) ZDM_PRINTF(2, 3);

static void append(struct zdm_error *err, const char *fmt, ...)
{
    va_list args;
    size_t used = strlen(err->message);
    va_start(args, fmt);
    (void)vsnprintf(err->message + used, sizeof err->message - used, fmt, args);
    va_end(args);
}

/* Asked again, the agent would say the same again: what has to be done first, by a person. */
static void say_way_out(struct agent_migration *m, uint32_t ordinal, const struct bar *bar)
{
    uint32_t phase = 0;
    if (bar->step == NULL)
        append(&m->error, "; phase %u is not worked a second time unasked", bar->phase->number);
    else if (bar->step->ordinal == ordinal)
        append(&m->error, "; it is not done a second time unasked");
    else
        append(&m->error, "; step %s (%s) is not done a second time unasked", bar->step->id,
               zdm_action_name(bar->step->action));
    if (agent_way_out(m, ordinal, &phase))
        append(&m->error, ": " ZDM_ERROR_ROLL_BACK "%u, or put it back by hand and retry", phase);
    else
        append(&m->error, ": put it back by hand and retry");
}

void agent_regress(struct agent_migration *m, uint32_t ordinal)
{
    const struct zdm_step *step = zdm_plan_step(m->plan, ordinal);
    struct bar bar = bar_of(m, ordinal);
    bool barred = bar.phase != NULL || bar.step != NULL;
    m->proven = true;
    m->proven_phase = agent_complete_phase(m, ordinal);
    if (agent_regress_written(m, step))
        return;
    (void)zdm_error_set(&m->error, ZDM_CONFLICT, "step %s (%s) was done and is not any more", step->id,
                        zdm_action_name(step->action));
    if (barred && m->accepted.mode != ZDM_MODE_PURGE)
        say_way_out(m, ordinal, &bar);
    if (m->interrupted[0] != '\0')
        append(&m->error, ": " ZDM_REMARK_INTERRUPTED "%s", m->interrupted);
    if (m->accepted.mode != ZDM_MODE_PURGE && !barred)
        m->regress_to = ordinal;
    else
        m->unsure = true;
}
