/*
 * path.c - one migration's way: which step is looked at or run next, and with which limits.
 *
 * First every step that the journal calls done is looked at, from the first on, since the journal may be older or newer
 * than the schema after a restore. Then, step by step up to the goal: look, run, look again, journal it as done.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/internal.h"
#include "common/base/buffer.h"

enum {
    LOOK_LIMIT_MS = 30000,
    BATCH_LIMIT_MS = 1000, /* row locks held while waiting for one more are felt by the application */
    BATCH_LIMIT_CAP_MS = 30000,
    SHORT_LIMIT_FACTOR = 10, /* of lock_wait_ms (database.md 14) */
    SHORT_LIMIT_MIN_MS = 1000,
    PAUSE_PATIENCE_MS = 500 /* what is not over by then is cancelled by a pause */
};

/* How each action is done, and what the engine must be able to do for it. Any one of the bits is enough. */
struct action_row {
    enum agent_run run; /* NONE: this release cannot; walks begin with BOUND */
    bool walk;
    bool bulk; /* waits for the signals; cancelled at once by a pause */
    unsigned capabilities;
};

static const struct action_row action_rows[] = {
    [ZDM_ACTION_ADD_COLUMN] = {AGENT_RUN_DDL, false, false, 0},
    [ZDM_ACTION_ADD_CHECK] = {AGENT_RUN_DDL, false, false, 0},
    [ZDM_ACTION_SET_NOT_NULL] = {AGENT_RUN_DDL, false, false, 0},
    [ZDM_ACTION_DROP_CONSTRAINT] = {AGENT_RUN_DDL, false, false, 0},
    [ZDM_ACTION_VALIDATE] = {AGENT_RUN_VALIDATE, false, true, 0},
    [ZDM_ACTION_CREATE_INDEX] = {AGENT_RUN_INDEX_BUILD, false, true, AGENT_CAN_CONCURRENT_INDEX},
    [ZDM_ACTION_SYNC_INSTALL] = {AGENT_RUN_INSTALL_SYNC, false, false, 0},
    [ZDM_ACTION_SYNC_REMOVE] = {AGENT_RUN_REMOVE_SYNC, false, false, 0},
    [ZDM_ACTION_BACKFILL] = {AGENT_RUN_BATCH, true, true, 0},
    [ZDM_ACTION_CHECK_QUERY] = {AGENT_RUN_CHECK_CHUNK, false, true, 0},
    [ZDM_ACTION_CHECK_COMPARE] = {AGENT_RUN_CHECK_CHUNK, true, true, 0},
    [ZDM_ACTION_HIDE_COLUMN] = {AGENT_RUN_HIDE, false, false, AGENT_CAN_HIDE_BY_RENAME | AGENT_CAN_HIDE_BY_INVISIBLE},
    [ZDM_ACTION_PURGE_COLUMN] = {AGENT_RUN_NONE, false, false, 0},
    [ZDM_ACTION_GATE_FLAG] = {AGENT_RUN_NONE, false, false, 0},
};

static const struct action_row *row_of(const struct zdm_step *step)
{
    size_t n = sizeof action_rows / sizeof action_rows[0];
    return (size_t)step->action < n ? &action_rows[step->action] : &action_rows[0];
}

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
    m->next_ms = 0;
    m->backing_off = false;
    m->throttled = false;
    m->lock = (struct agent_lock_pacing){.tries = 0};
    m->blocked_by[0] = '\0';
    memset(&m->progress, 0, sizeof m->progress);
}

void agent_path_reset(struct agent_migration *m)
{
    m->looked = 1;
    m->proven = false;
    m->proven_phase = 0;
    m->regress_to = 0;
    m->phase_checked = 0;
    m->ran_step = 0;
    m->vanished = 0;
    m->unsure = false;
    m->unknowns = 0;
    m->stop_wanted = false;
    agent_step_at_hand_reset(m);
}

uint32_t agent_complete_phase(const struct zdm_plan *plan, uint32_t before_ordinal)
{
    uint32_t complete = 0;
    for (size_t i = 0; i < plan->n_phases; i++) {
        const struct zdm_phase *phase = &plan->phases[i];
        if (phase->n_steps > 0 && phase->steps[phase->n_steps - 1].ordinal >= before_ordinal)
            break;
        complete = phase->number;
    }
    return complete;
}

bool agent_goal_reached(const struct agent_migration *m)
{
    return m->step > zdm_plan_n_steps(m->plan) || zdm_plan_phase_of(m->plan, m->step) > m->accepted.goal_phase;
}

struct zdm_throttle agent_throttle_now(const struct agent_core *core, const struct agent_migration *m)
{
    struct zdm_throttle own = {.batch_target_ms = core->config.batch_target_ms,
                               .duty_percent = core->config.duty_percent,
                               .max_replica_lag_ms = core->config.max_replica_lag_ms};
    struct zdm_throttle now = agent_throttle_resolve(&m->accepted.throttle, &m->plan->throttle, &own);
    if (m->pending.set) {
        /* A lower rate acts before it is journalled, a higher one after. */
        struct zdm_throttle next = agent_throttle_resolve(&m->pending.directive.throttle, &m->plan->throttle, &own);
        now = agent_throttle_gentler(&now, &next);
    }
    return now;
}

struct agent_batch_limits agent_limits_now(const struct agent_core *core, const struct agent_migration *m,
                                           const struct zdm_step *step)
{
    struct agent_batch_limits limits = {.target_ms = agent_throttle_now(core, m).batch_target_ms,
                                        .rows_min = core->config.batch_rows_min,
                                        .rows_max = core->config.batch_rows_max};
    if (step->batch_rows > 0 && step->batch_rows < limits.rows_max)
        limits.rows_max = step->batch_rows;
    if (limits.rows_min > limits.rows_max)
        limits.rows_min = limits.rows_max;
    return limits;
}

/* ---- Regression and failure ---- */

/* May the agent work forward again by itself from that step? Not into phases that the fleet enters together, and not
 * over a backfill that would count twice. */
static bool may_work_again(const struct agent_migration *m, uint32_t from)
{
    for (uint32_t o = from; o <= m->step && o <= zdm_plan_n_steps(m->plan); o++) {
        const struct zdm_step *step = zdm_plan_step(m->plan, o);
        const struct zdm_phase *phase = zdm_plan_phase(m->plan, zdm_plan_phase_of(m->plan, o));
        bool begun = o < m->step || m->cursor != NULL;
        if (o < m->step && phase->class != ZDM_PHASE_EXPAND && phase->class != ZDM_PHASE_MIGRATE)
            return false;
        if (begun && step->action == ZDM_ACTION_BACKFILL && step->derivation != NULL && !step->derivation->idempotent)
            return false;
    }
    return true;
}

void agent_regress(struct agent_migration *m, uint32_t ordinal)
{
    const struct zdm_step *step = zdm_plan_step(m->plan, ordinal);
    m->proven = true;
    m->proven_phase = agent_complete_phase(m->plan, ordinal);
    (void)zdm_error_set(&m->error, ZDM_CONFLICT, "step %s (%s) was done and is not any more", step->id,
                        zdm_action_name(step->action));
    if (may_work_again(m, ordinal))
        m->regress_to = ordinal;
    else
        m->unsure = true;
}

void agent_want_stop(struct agent_migration *m, uint32_t step, const struct zdm_error *error)
{
    m->stop_wanted = true;
    m->stop_step = step;
    m->stop_error = *error;
    if (m->stop_error.code == ZDM_OK)
        (void)zdm_error_set(&m->stop_error, ZDM_BUG, "operation failed without saying why");
    /* The journal and the report keep one line: the row's key stands in the detail. */
    struct zdm_error *kept = &m->stop_error;
    size_t used = strlen(kept->message);
    if (error->detail[0] != '\0' && used + strlen(error->detail) + sizeof " ()" <= sizeof kept->message)
        (void)snprintf(kept->message + used, sizeof kept->message - used, " (%s)", error->detail);
    m->error = m->stop_error;
}

/* ---- Starting operations ---- */

static bool take_slot(struct agent_core *core, struct agent_migration *m)
{
    struct agent_migration *idle = NULL;
    bool used[AGENT_SLOTS] = {false};
    if (m->slot >= 0)
        return true;
    for (size_t i = 0; i < core->n_migrations; i++) {
        struct agent_migration *other = core->migrations[i];
        if (other->slot < 0)
            continue;
        used[other->slot] = true;
        if (other->flight.op == 0)
            idle = other;
    }
    for (int slot = 0; slot < AGENT_SLOTS; slot++)
        if (!used[slot]) {
            m->slot = slot;
            return true;
        }
    if (idle == NULL)
        return false; /* the end of any operation brings us here again */
    m->slot = idle->slot;
    idle->slot = -1;
    return true;
}

static struct agent_op *start(struct agent_core *core, struct agent_migration *m, enum agent_op_kind kind,
                              enum agent_run run, uint32_t step)
{
    AGENT_REQUIRE(agent_is_actor(core, m) && core->writable && !m->asking);
    AGENT_REQUIRE(run == AGENT_RUN_NONE || run == AGENT_RUN_STOP || (!agent_is_paused(m) && agent_leased(core)));
    if (!take_slot(core, m))
        return NULL;
    struct agent_op *op = agent_op_start(core, &m->flight, kind, 1 + (unsigned)m->slot);
    if (op == NULL)
        return NULL;
    m->flight.run = run;
    m->flight.step = step;
    op->run = run;
    op->plan = m->plan;
    op->step = step;
    op->fence = m->accepted.fence;
    op->attempt = m->accepted.attempt;
    op->journal_step = m->step;
    op->cursor = m->cursor;
    op->bound = m->bound;
    zdm_copy_text(op->migration, sizeof op->migration, m->id);
    return op;
}

static void start_look(struct agent_core *core, struct agent_migration *m, uint32_t step)
{
    struct agent_op *op = start(core, m, AGENT_OP_INSPECT, AGENT_RUN_NONE, step);
    if (op != NULL)
        op->time_limit_ms = LOOK_LIMIT_MS;
}

static void start_journal(struct agent_core *core, struct agent_migration *m, enum agent_run run, uint32_t step)
{
    struct agent_op *op = start(core, m, AGENT_OP_RUN, run, step);
    if (op == NULL)
        return;
    op->time_limit_ms = LOOK_LIMIT_MS;
    if (run != AGENT_RUN_STOP)
        return;
    op->failed_code = m->stop_error.code;
    op->failed_text = m->stop_error.message;
}

static void limit_short(struct agent_core *core, struct agent_migration *m, struct agent_op *op)
{
    uint32_t limit = core->config.lock_wait_ms * SHORT_LIMIT_FACTOR;
    op->time_limit_ms = limit > SHORT_LIMIT_MIN_MS ? limit : SHORT_LIMIT_MIN_MS;
    unsigned nowait = (core->capabilities & AGENT_CAN_NOWAIT) != 0 ? core->config.nowait_attempts : 0;
    if (!agent_lock_may_queue(&m->lock, nowait, core->now_ms) && nowait > 0)
        return;
    op->lock_wait_ms = core->config.lock_wait_ms;
    agent_lock_queued(&m->lock, core->now_ms, agent_random(core));
}

static void limit_walk(struct agent_core *core, struct agent_migration *m, const struct zdm_step *step,
                       struct agent_op *op)
{
    struct agent_batch_limits limits = agent_limits_now(core, m, step);
    uint64_t limit = (uint64_t)BATCH_LIMIT_MS * (1 + m->failures);
    if (m->batch_rows == 0)
        m->batch_rows = agent_batch_first(&limits);
    if (m->batch_rows > limits.rows_max)
        m->batch_rows = limits.rows_max;
    op->rows = m->flight.rows = m->batch_rows;
    op->locked_form = m->locked_form;
    op->time_limit_ms = (uint32_t)(limit < BATCH_LIMIT_CAP_MS ? limit : BATCH_LIMIT_CAP_MS);
    if (op->time_limit_ms < limits.target_ms * 2)
        op->time_limit_ms = limits.target_ms * 2;
}

static enum agent_run run_at_hand(const struct agent_migration *m, const struct zdm_step *step)
{
    const struct action_row *row = row_of(step);
    if (m->proof == AGENT_PROOF_LEFTOVER)
        return AGENT_RUN_INDEX_DROP_INVALID;
    if (row->walk && m->bound == NULL && m->cursor == NULL && !m->walked)
        return AGENT_RUN_BOUND;
    return row->run;
}

static void start_run(struct agent_core *core, struct agent_migration *m, const struct zdm_step *step)
{
    enum agent_run run = run_at_hand(m, step);
    struct agent_op *op = start(core, m, AGENT_OP_RUN, run, step->ordinal);
    if (op == NULL)
        return;
    if (run == AGENT_RUN_BOUND)
        op->time_limit_ms = LOOK_LIMIT_MS;
    else if (row_of(step)->walk)
        limit_walk(core, m, step, op);
    else if (!row_of(step)->bulk)
        limit_short(core, m, op);
}

/* ---- Choosing ---- */

static bool is_trivial(const struct agent_core *core, const struct zdm_step *step)
{
    return step->action == ZDM_ACTION_GATE_FLAG || !zdm_step_is_for(step, core->engine);
}

/* Is the proof of a step that was done still asked for? */
static bool is_asked(const struct agent_core *core, const struct agent_migration *m, const struct zdm_step *step)
{
    bool superseded = step->superseded_by != 0 && step->superseded_by < m->step;
    return !is_trivial(core, step) && !superseded;
}

static bool step_is_possible(const struct agent_core *core, const struct zdm_step *step, struct zdm_error *err)
{
    const struct action_row *row = row_of(step);
    if (is_trivial(core, step))
        return true;
    if (row->run == AGENT_RUN_NONE || step->kind == ZDM_STEP_REBUILD || step->kind == ZDM_STEP_PURGE)
        (void)zdm_error_set(err, ZDM_UNSUPPORTED, "step %s (%s) cannot be done by this release", step->id,
                            zdm_action_name(step->action));
    else if (row->capabilities != 0 && (row->capabilities & core->capabilities) == 0)
        (void)zdm_error_set(err, ZDM_UNSUPPORTED, "step %s (%s) cannot be done by this database server", step->id,
                            zdm_action_name(step->action));
    else
        return true;
    return false;
}

/* Before anything of a phase is touched: can all of it be done, and is nothing asked for that cannot be checked? */
static bool phase_is_possible(const struct agent_core *core, const struct zdm_phase *phase, struct zdm_error *err)
{
    if (phase->destructive || phase->approvals > 0) {
        (void)zdm_error_set(err, ZDM_UNSUPPORTED, "phase %u needs approvals, which this release cannot check",
                            phase->number);
        return false;
    }
    for (size_t i = 0; i < phase->n_steps; i++)
        if (!step_is_possible(core, &phase->steps[i], err))
            return false;
    return true;
}

static bool may_enter(struct agent_core *core, struct agent_migration *m)
{
    uint32_t number = zdm_plan_phase_of(m->plan, m->step);
    struct zdm_error error;
    if (m->phase_checked == number)
        return true;
    if (!phase_is_possible(core, zdm_plan_phase(m->plan, number), &error)) {
        agent_want_stop(m, m->step, &error);
        return false;
    }
    m->phase_checked = number;
    return true;
}

static bool is_held_back(struct agent_core *core, struct agent_migration *m, const struct zdm_step *step)
{
    m->throttled = false;
    if (!row_of(step)->bulk || m->proof != AGENT_PROOF_NOT_DONE)
        return false;
    char text[64];
    enum agent_brake brake = agent_braked(core, text);
    m->throttled = brake == AGENT_BRAKE_ON;
    if (brake != AGENT_BRAKE_NONE)
        agent_wake_at(core, core->now_ms + core->config.signals_ms);
    return brake != AGENT_BRAKE_NONE;
}

static void drive_step(struct agent_core *core, struct agent_migration *m)
{
    const struct zdm_step *step = zdm_plan_step(m->plan, m->step);
    if (is_trivial(core, step) || m->proof == AGENT_PROOF_DONE)
        start_journal(core, m, AGENT_RUN_STEP_DONE, m->step);
    else if (m->proof != AGENT_PROOF_NOT_DONE && m->proof != AGENT_PROOF_LEFTOVER)
        start_look(core, m, m->step);
    else if (!is_held_back(core, m, step))
        start_run(core, m, step);
}

/* Everything that is journalled as done is looked at once; true while that is not over. */
static bool drive_looking(struct agent_core *core, struct agent_migration *m)
{
    while (m->looked < m->step && m->looked <= zdm_plan_n_steps(m->plan) &&
           !is_asked(core, m, zdm_plan_step(m->plan, m->looked)))
        m->looked++;
    if (m->looked < m->step && m->looked <= zdm_plan_n_steps(m->plan)) {
        start_look(core, m, m->looked);
        return true;
    }
    m->looked = m->step;
    m->proven = true;
    m->proven_phase = agent_complete_phase(m->plan, m->step);
    return false;
}

static void drive_forward(struct agent_core *core, struct agent_migration *m)
{
    if (m->accepted.mode == ZDM_MODE_UNDO) {
        struct zdm_error error;
        (void)zdm_error_set(&error, ZDM_UNSUPPORTED, "rollback cannot be done by this release");
        agent_want_stop(m, m->step, &error);
        start_journal(core, m, AGENT_RUN_STOP, m->stop_step);
    } else if (m->regress_to != 0) {
        start_journal(core, m, AGENT_RUN_STEP_BACK, m->regress_to);
    } else if (agent_goal_reached(m)) {
        return;
    } else if (!may_enter(core, m)) {
        start_journal(core, m, AGENT_RUN_STOP, m->stop_step);
    } else {
        drive_step(core, m);
    }
}

/* A stop order ends what may take long at once, and anything else that is not over soon. */
static void watch_flight(struct agent_core *core, struct agent_migration *m)
{
    bool journal = m->flight.run == AGENT_RUN_NONE || m->flight.run == AGENT_RUN_STEP_DONE ||
                   m->flight.run == AGENT_RUN_STEP_BACK || m->flight.run == AGENT_RUN_STOP;
    if (!m->hold || journal || m->flight.cancelled)
        return;
    bool is_long = m->flight.run == AGENT_RUN_VALIDATE || m->flight.run == AGENT_RUN_INDEX_BUILD ||
                   m->flight.run == AGENT_RUN_INDEX_DROP_INVALID;
    if (is_long || core->now_ms >= m->hold_since_ms + PAUSE_PATIENCE_MS)
        agent_cancel(core, &m->flight);
    else
        agent_wake_at(core, m->hold_since_ms + PAUSE_PATIENCE_MS);
}

void agent_drive_path(struct agent_core *core, struct agent_migration *m)
{
    if (m->flight.op != 0) {
        watch_flight(core, m);
        return;
    }
    bool ours = agent_usable(core) && core->writable && agent_is_actor(core, m) && m->plan != NULL && !m->asking;
    if (!ours || agent_is_stopped(m))
        return;
    if (core->now_ms < m->next_ms) {
        agent_wake_at(core, m->next_ms);
        return;
    }
    m->backing_off = false;
    if (m->stop_wanted) {
        start_journal(core, m, AGENT_RUN_STOP, m->stop_step);
        return;
    }
    if (m->unsure || !agent_leased(core))
        return;
    if (m->regress_to == 0 && drive_looking(core, m))
        return;
    if (!agent_is_paused(m))
        drive_forward(core, m);
}
