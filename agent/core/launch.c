/*
 * launch.c - starting an operation: the lane, what the compare-and-set expects, and how long it may take.
 */
#include <string.h>

#include "agent/core/internal.h"
#include "common/base/buffer.h"

enum {
    LOOK_LIMIT_MS = 30000,
    ASK_LIMIT_MS = 60000,  /* the engine ends a plan's own question earlier, and says so */
    BATCH_LIMIT_MS = 1000, /* row locks held while waiting for one more are felt by the application */
    BATCH_LIMIT_CAP_MS = 30000,
    SHORT_LIMIT_FACTOR = 10, /* of lock_wait_ms (database.md 14) */
    SHORT_LIMIT_MIN_MS = 1000,
    PAUSE_PATIENCE_MS = 500 /* what is not over by then is cancelled by a pause */
};

/* ---- How fast ---- */

struct zdm_throttle agent_throttle_now(const struct agent_core *core, const struct agent_migration *m)
{
    struct zdm_throttle own = {.batch_target_ms = core->config.batch_target_ms,
                               .duty_percent = core->config.duty_percent,
                               .max_replica_lag_ms = core->config.max_replica_lag_ms,
                               .max_stall_ms = core->config.max_stall_ms};
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

bool agent_is_held_back(struct agent_core *core, struct agent_migration *m, bool but_slots)
{
    char text[64];
    enum agent_brake brake = agent_braked(core, but_slots, text);
    m->throttled = brake == AGENT_BRAKE_ON;
    if (brake != AGENT_BRAKE_NONE)
        agent_wake_at(core, core->now_ms + core->config.signals_ms);
    return brake != AGENT_BRAKE_NONE;
}

/* ---- Starting ---- */

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

struct agent_op *agent_launch(struct agent_core *core, struct agent_migration *m, enum agent_op_kind kind,
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

void agent_limit_look(struct agent_op *op)
{
    op->time_limit_ms = LOOK_LIMIT_MS;
}

void agent_launch_look(struct agent_core *core, struct agent_migration *m, uint32_t step)
{
    struct agent_op *op = agent_launch(core, m, AGENT_OP_INSPECT, AGENT_RUN_NONE, step);
    if (op != NULL)
        agent_limit_look(op);
}

struct agent_op *agent_launch_journal(struct agent_core *core, struct agent_migration *m, enum agent_run run,
                                      uint32_t step)
{
    struct agent_op *op = agent_launch(core, m, AGENT_OP_RUN, run, step);
    if (op == NULL)
        return NULL;
    agent_limit_look(op);
    if (run == AGENT_RUN_STOP) {
        op->failed_code = m->stop_error.code;
        op->failed_text = m->stop_error.message;
    }
    return op;
}

void agent_limit_short(struct agent_core *core, struct agent_migration *m, struct agent_op *op)
{
    uint32_t limit = core->config.lock_wait_ms * SHORT_LIMIT_FACTOR;
    op->time_limit_ms = limit > SHORT_LIMIT_MIN_MS ? limit : SHORT_LIMIT_MIN_MS;
    unsigned nowait = (core->capabilities & AGENT_CAN_NOWAIT) != 0 ? core->config.nowait_attempts : 0;
    if (!agent_lock_may_queue(&m->lock, nowait, core->now_ms) && nowait > 0)
        return;
    op->lock_wait_ms = core->config.lock_wait_ms;
    if (agent_lock_may_stall(&m->lock)) {
        op->max_stall_ms = agent_throttle_now(core, m).max_stall_ms;
        op->time_limit_ms += op->max_stall_ms;
    }
    agent_lock_queued(&m->lock, core->now_ms, agent_random(core));
}

void agent_limit_walk(struct agent_core *core, struct agent_migration *m, const struct zdm_step *step,
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

void agent_limit_none(struct agent_migration *m)
{
    m->flight.unlimited = true;
}

void agent_limit(struct agent_core *core, struct agent_migration *m, const struct zdm_step *step, struct agent_op *op)
{
    enum agent_limit limit = agent_run_rule(op->run)->limit;
    bool own = op->run == agent_action_run(step); /* and not a part of the way back */
    bool rebuilds_back = op->run == AGENT_RUN_UNDO_DDL && step->action != ZDM_ACTION_AS_IS;
    if (limit == AGENT_LIMIT_NONE || ((own || rebuilds_back) && agent_is_long(step)))
        agent_limit_none(m);
    else if (limit == AGENT_LIMIT_WALK)
        agent_limit_walk(core, m, step, op);
    else if (limit == AGENT_LIMIT_SHORT)
        agent_limit_short(core, m, op);
    else
        op->time_limit_ms = limit == AGENT_LIMIT_ASK ? ASK_LIMIT_MS : LOOK_LIMIT_MS;
}

uint32_t agent_step_named(const struct agent_migration *m)
{
    uint32_t n = zdm_plan_n_steps(m->plan);
    return m->step > n ? n : m->step;
}

/* ---- Stopping ---- */

void agent_watch_flight(struct agent_core *core, struct agent_migration *m)
{
    enum agent_side side = agent_run_rule(m->flight.run)->side;
    bool looks = m->flight.kind == AGENT_OP_INSPECT || side == AGENT_SIDE_JOURNAL;
    if (!m->hold || looks || m->flight.cancelled)
        return;
    if (m->flight.unlimited || core->now_ms >= m->hold_since_ms + PAUSE_PATIENCE_MS)
        agent_cancel(core, &m->flight);
    else
        agent_wake_at(core, m->hold_since_ms + PAUSE_PATIENCE_MS);
}
