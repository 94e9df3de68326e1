/*
 * path.c - one migration's way forward: which step is looked at or run next.
 *
 * First every step that the journal calls done is looked at, from the first on, since the journal may be older or newer
 * than the schema after a restore. Then, step by step up to the goal: look, run, look again, journal it as done. In
 * mode undo the walk back (back.c) comes before both, in mode purge what rollbacks left (purge.c) after the looking.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/internal.h"
#include "common/base/buffer.h"
#include "common/plan/undo.h"

void agent_step_at_hand_reset(struct agent_migration *m)
{
    m->proof = AGENT_PROOF_NONE;
    m->ran = false;
    m->futile = 0;
    m->deadlocks = 0;
    m->locked_form = false;
    m->batch_rows = 0;
    m->rate = (struct agent_rate){.at_ms = 0};
}

void agent_step_reset(struct agent_migration *m)
{
    agent_step_at_hand_reset(m);
    m->unknowns = 0;
    m->failures = 0;
    m->repair = 0;
    m->next_ms = 0;
    m->backing_off = false;
    m->throttled = false;
    m->early_ms = 0;
    m->lock = (struct agent_lock_pacing){.tries = 0};
    m->blocked_by[0] = '\0';
    memset(&m->progress, 0, sizeof m->progress);
}

void agent_path_reset(struct agent_migration *m)
{
    m->looked = 1;
    m->proven = false;
    m->proven_phase = 0;
    m->regress_to = m->repair = 0;
    m->phase_checked = 0;
    m->ran_step = 0;
    m->vanished = 0;
    m->unsure = false;
    m->unknowns = 0;
    m->stop_wanted = false;
    m->purged = false;
    agent_back_restart(m);
    agent_step_at_hand_reset(m);
}

bool agent_phase_destroys(const struct zdm_phase *phase)
{
    return phase->destructive || phase->class == ZDM_PHASE_PURGE;
}

/* A phase without a step is complete once it was entered, and not before: a switch may be one. */
uint32_t agent_complete_phase(const struct agent_migration *m, uint32_t before_ordinal)
{
    uint32_t complete = 0, entered = agent_entered_phase(m);
    for (size_t i = 0; i < m->plan->n_phases; i++) {
        const struct zdm_phase *phase = &m->plan->phases[i];
        if (phase->n_steps > 0 ? phase->steps[phase->n_steps - 1].ordinal >= before_ordinal : phase->number > entered)
            break;
        complete = phase->number;
    }
    return complete;
}

bool agent_goal_reached(const struct agent_migration *m)
{
    return m->step > zdm_plan_n_steps(m->plan) || zdm_plan_phase_of(m->plan, m->step) > m->accepted.goal_phase;
}

/* ---- Triggers that were not what was installed ---- */

static const struct agent_interrupted *interruption_of(const struct agent_migration *m,
                                                       const struct agent_result *result)
{
    for (size_t i = 0; i < result->n_interrupted; i++)
        if (strcmp(result->interrupted[i].migration, m->id) == 0)
            return &result->interrupted[i];
    return NULL;
}

/* A look or a step of the journal that is under way would overwrite what is to be looked at: the next poll comes soon.
 */
static bool may_look_anew(const struct agent_migration *m)
{
    bool runs = m->flight.op != 0 && m->flight.kind == AGENT_OP_RUN && m->flight.run != AGENT_RUN_STEP_DONE &&
                m->flight.run != AGENT_RUN_STEP_BACK;
    return m->plan != NULL && (m->flight.op == 0 || runs);
}

/* What the triggers kept in step is not proven any more: everything is looked at again, from the first step on. */
void agent_take_interrupted(struct agent_core *core, const struct agent_result *result)
{
    for (size_t i = 0; i < core->n_migrations; i++) {
        struct agent_migration *m = core->migrations[i];
        const struct agent_interrupted *one = interruption_of(m, result);
        if (one == NULL) {
            m->interrupted_ms = 0;
            m->interrupted[0] = '\0';
            m->asked = m->let_pass = 0;
        } else if (one->first_ms != m->interrupted_ms && may_look_anew(m)) {
            m->interrupted_ms = one->first_ms;
            zdm_copy_text(m->interrupted, sizeof m->interrupted, one->what);
            m->looked = 1;
            m->proven = false;
        }
    }
}

/* The rows that the old column cannot follow, as the last comparison counted them that is done. */
void agent_take_compared(struct agent_core *core, const struct agent_result *result)
{
    for (size_t i = 0; i < core->n_migrations; i++) {
        struct agent_migration *m = core->migrations[i];
        m->compared_step = 0;
        m->compared_left = 0;
        for (size_t c = 0; c < result->n_compared; c++) {
            const struct agent_compared *one = &result->compared[c];
            if (strcmp(one->migration, m->id) != 0 || one->step >= m->step || one->step <= m->compared_step)
                continue;
            m->compared_step = one->step;
            m->compared_left = one->rows_left;
        }
    }
}

/* ---- Failure ---- */

void agent_want_stop(struct agent_migration *m, uint32_t step, const struct zdm_error *error)
{
    m->stop_wanted = true;
    m->stop_step = step;
    m->stop_error = *error;
    if (m->stop_error.code == ZDM_OK)
        (void)zdm_error_set(&m->stop_error, ZDM_BUG, "operation failed without saying why");
    /* The journal and the report keep one line: the row's key stands in the detail. */
    struct zdm_error *kept = &m->stop_error;
    size_t used = strlen(kept->message), n = strlen(error->detail);
    if (n > 0 && used + n + sizeof " ()" <= sizeof kept->message)
        (void)snprintf(kept->message + used, sizeof kept->message - used, " (%.*s)", (int)n, error->detail);
    m->error = m->stop_error;
}

/* ---- Choosing ---- */

static enum agent_run run_at_hand(const struct agent_migration *m, const struct zdm_step *step)
{
    if (m->proof == AGENT_PROOF_LEFTOVER)
        return AGENT_RUN_INDEX_DROP_INVALID;
    if (agent_action_rule(step)->walk && m->bound == NULL && m->cursor == NULL && !m->walked)
        return AGENT_RUN_BOUND;
    return agent_action_run(step);
}

static void start_run(struct agent_core *core, struct agent_migration *m, const struct zdm_step *step)
{
    enum agent_run run = run_at_hand(m, step);
    struct agent_op *op = agent_launch(core, m, AGENT_OP_RUN, run, step->ordinal);
    if (op == NULL)
        return;
    agent_limit(core, m, step, op);
    if (run == AGENT_RUN_PURGE)
        agent_fill_purge(m, op, m->purge_now);
}

bool agent_is_trivial(const struct agent_core *core, const struct zdm_step *step)
{
    return step->action == ZDM_ACTION_GATE_FLAG || !zdm_step_is_for(step, core->engine);
}

/* Is the proof of a step that was done still asked for? */
static bool is_asked(const struct agent_core *core, const struct agent_migration *m, const struct zdm_step *step)
{
    bool superseded = step->superseded_by != 0 && step->superseded_by < m->step;
    return !agent_is_trivial(core, step) && !superseded;
}

static bool step_is_possible(const struct agent_core *core, const struct zdm_step *step, struct zdm_error *err)
{
    const struct agent_action_rule *row = agent_action_rule(step);
    if (agent_is_trivial(core, step))
        return true;
    if (row->run == AGENT_RUN_NONE || step->kind == ZDM_STEP_REBUILD)
        (void)zdm_error_set(err, ZDM_UNSUPPORTED, "step %s (%s) cannot be done by this release", step->id,
                            zdm_action_name(step->action));
    else if (row->capabilities != 0 && (row->capabilities & core->capabilities) == 0)
        (void)zdm_error_set(err, ZDM_UNSUPPORTED, "step %s (%s) cannot be done by this database server", step->id,
                            zdm_action_name(step->action));
    else
        return true;
    return false;
}

/* Before anything of a phase is touched: can all of it be done, and does nobody have to let it in again? */
static bool phase_is_possible(const struct agent_core *core, const struct agent_migration *m,
                              const struct zdm_phase *phase, struct zdm_error *err)
{
    if (m->accepted.mode == ZDM_MODE_UNDO && (agent_phase_destroys(phase) || phase->approvals > 0)) {
        (void)zdm_error_set(err, ZDM_REFUSED, "phase %u needs approvals: a rollback does not enter it", phase->number);
        return false;
    }
    if (!zdm_plan_is_for(m->plan, core->engine)) {
        (void)zdm_error_set(err, ZDM_REFUSED, "the plan is not for %s", zdm_engine_name(core->engine));
        return false;
    }
    for (size_t i = 0; i < phase->n_steps; i++)
        if (!step_is_possible(core, &phase->steps[i], err))
            return false;
    return true;
}

static void start_stop(struct agent_core *core, struct agent_migration *m)
{
    (void)agent_launch_journal(core, m, AGENT_RUN_STOP, m->stop_step);
}

static bool may_enter(struct agent_core *core, struct agent_migration *m)
{
    uint32_t number = zdm_plan_phase_of(m->plan, m->step);
    const struct zdm_phase *phase = zdm_plan_phase(m->plan, number);
    struct zdm_error error;
    if (m->phase_checked != number && !phase_is_possible(core, m, phase, &error)) {
        agent_want_stop(m, m->step, &error);
        start_stop(core, m);
        return false;
    }
    m->phase_checked = number;
    return agent_drive_entering(core, m, phase);
}

/* Does something keep the step at hand from being run now? */
static bool is_kept_back(struct agent_core *core, struct agent_migration *m, const struct zdm_step *step)
{
    const struct zdm_phase *phase = zdm_plan_phase(m->plan, zdm_plan_phase_of(m->plan, step->ordinal));
    bool begins = !agent_action_rule(step)->walk || m->bound == NULL;
    enum agent_run run = agent_action_run(step);
    m->throttled = false;
    if (agent_is_bulk(step) && m->proof == AGENT_PROOF_NOT_DONE &&
        agent_is_held_back(core, m, run == AGENT_RUN_CHECK_CHUNK))
        return true;
    if (begins && agent_phase_destroys(phase) && agent_waits_for_fresh_lease(core, m))
        return true;
    bool in_time = run == AGENT_RUN_WAIT || (run == AGENT_RUN_PURGE && !m->purge_now);
    return in_time && agent_is_early(core, m);
}

static void drive_step(struct agent_core *core, struct agent_migration *m)
{
    const struct zdm_step *step = zdm_plan_step(m->plan, m->step);
    if (agent_is_trivial(core, step) || m->proof == AGENT_PROOF_DONE)
        (void)agent_launch_journal(core, m, AGENT_RUN_STEP_DONE, m->step);
    else if (m->proof != AGENT_PROOF_NOT_DONE && m->proof != AGENT_PROOF_LEFTOVER)
        agent_launch_look(core, m, m->step);
    else if (agent_writes_over(m, step) && agent_passes_over(m, step))
        (void)agent_launch_journal(core, m, AGENT_RUN_STEP_DONE, m->step);
    else if (!m->unsure && !is_kept_back(core, m, step))
        start_run(core, m, step);
}

/* Everything that is journalled as done is looked at once; true while that is not over. */
static bool drive_looking(struct agent_core *core, struct agent_migration *m)
{
    if (m->back.partly)
        return false;
    while (m->looked < m->step && m->looked <= zdm_plan_n_steps(m->plan) &&
           !is_asked(core, m, zdm_plan_step(m->plan, m->looked)))
        m->looked++;
    if (m->looked < m->step && m->looked <= zdm_plan_n_steps(m->plan)) {
        agent_launch_look(core, m, m->looked);
        return true;
    }
    m->looked = m->step;
    m->proven = true;
    m->proven_phase = agent_complete_phase(m, m->step);
    return false;
}

static void drive_forward(struct agent_core *core, struct agent_migration *m)
{
    if (m->regress_to != 0)
        (void)agent_launch_journal(core, m, AGENT_RUN_STEP_BACK, m->regress_to);
    else if (m->repair != 0)
        agent_drive_repair(core, m);
    else if (m->accepted.mode == ZDM_MODE_PURGE)
        agent_drive_leftovers(core, m);
    else if (agent_goal_reached(m))
        (void)agent_drive_back_end(core, m);
    else if (may_enter(core, m))
        drive_step(core, m);
}

/* The walk back, then looking, then forward. Who goes back has looked before, to say from where. */
static void drive_on(struct agent_core *core, struct agent_migration *m)
{
    bool goes_back = m->accepted.mode == ZDM_MODE_UNDO && !m->back.turned;
    if (goes_back && (m->hold || (!m->proven && drive_looking(core, m)) || agent_drive_back(core, m)))
        return;
    if (m->regress_to == 0 && m->repair == 0 && drive_looking(core, m))
        return;
    if (!agent_is_paused(m) && !m->unsure)
        drive_forward(core, m);
}

/* Nothing is worked, but a person who decides how to go on must know where the shard stands: after a restart it is
 * looked at. */
static void drive_stopped(struct agent_core *core, struct agent_migration *m)
{
    if (!m->proven && !m->unsure && agent_leased(core))
        (void)drive_looking(core, m);
}

void agent_drive_path(struct agent_core *core, struct agent_migration *m)
{
    if (m->flight.op != 0) {
        agent_watch_flight(core, m);
        return;
    }
    bool ours = agent_usable(core) && core->writable && agent_is_actor(core, m) && m->plan != NULL && !m->asking;
    if (!ours)
        return;
    if (core->now_ms < m->next_ms) {
        agent_wake_at(core, m->next_ms);
        return;
    }
    if (agent_is_stopped(m)) {
        drive_stopped(core, m);
        return;
    }
    m->backing_off = false;
    m->waits = ZDM_WAIT_NONE;
    if (m->stop_wanted)
        start_stop(core, m);
    else if (!m->unsure && agent_leased(core))
        drive_on(core, m);
}
