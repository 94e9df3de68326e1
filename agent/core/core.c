/*
 * core.c - the reconciler's one function. See core.h for what it promises, internal.h for where the parts are.
 *
 * A step is: take the input in, then let everything that can move do so, then say when it must be called again. What
 * moves reads the state only, never the input, so that it does not matter which input made it possible.
 *
 * Threads: none; one core belongs to one thread. Memory: the core owns all it points to; a core without memory for an
 * order behaves as if the order had been lost, which the coordinator mends by sending it again.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/core/internal.h"
#include "common/base/buffer.h"

enum { REPORT_GAP_MS = 100 };

void agent_core_config_default(struct agent_core_config *config)
{
    memset(config, 0, sizeof *config);
    config->batch_target_ms = 20;
    config->duty_percent = 20;
    config->batch_rows_min = 50;
    config->batch_rows_max = 50000;
    config->max_replica_lag_ms = 5000;
    config->max_slot_wal_mb = 10240;
    config->lock_wait_ms = 50;
    config->nowait_attempts = 80;
    config->report_idle_ms = 10000;
    config->report_working_ms = 1000;
    config->signals_ms = 1000;
    config->fresh_lease_ms = 30000;
}

struct agent_core *agent_core_new(const struct agent_core_config *config)
{
    struct agent_core *core = calloc(1, sizeof *core);
    if (core == NULL)
        return NULL;
    core->config = *config;
    core->engine = ZDM_ENGINE_ANY;
    zdm_copy_text(core->db_error, sizeof core->db_error, "not connected yet");
    return core;
}

static void migration_free(struct agent_migration *m)
{
    agent_order_drop(&m->accepting);
    agent_order_drop(&m->pending);
    agent_signed_fini(&m->authority);
    zdm_plan_unref(m->plan);
    free(m->cursor);
    free(m->bound);
    free(m);
}

void agent_core_free(struct agent_core *core)
{
    if (core == NULL)
        return;
    for (size_t i = 0; i < core->n_migrations; i++)
        migration_free(core->migrations[i]);
    zdm_authority_fini(&core->trust);
    agent_unread_fini(core);
    free(core);
}

uint64_t agent_random(struct agent_core *core)
{
    return agent_random_next(&core->random);
}

void agent_wake_at(struct agent_core *core, int64_t at_ms)
{
    int64_t soonest = core->now_ms + 1;
    if (at_ms < soonest)
        at_ms = soonest;
    if (at_ms < core->out->wake_at_ms)
        core->out->wake_at_ms = at_ms;
}

struct agent_effect *agent_effect_add(struct agent_core *core, enum agent_effect_kind kind)
{
    if (core->out->n == AGENT_EFFECTS_MAX)
        return NULL;
    struct agent_effect *effect = &core->out->items[core->out->n++];
    memset(effect, 0, sizeof *effect);
    effect->kind = kind;
    return effect;
}

struct agent_op *agent_op_start(struct agent_core *core, struct agent_flight *flight, enum agent_op_kind kind,
                                unsigned lane)
{
    AGENT_REQUIRE(flight->op == 0);
    struct agent_effect *effect = agent_effect_add(core, AGENT_DO_START_OP);
    if (effect == NULL)
        return NULL;
    *flight = (struct agent_flight){
        .op = ++core->last_op, .kind = kind, .started_ms = core->now_ms, .connection = core->connection};
    effect->op.id = flight->op;
    effect->op.kind = kind;
    effect->op.lane = lane;
    return &effect->op;
}

void agent_cancel(struct agent_core *core, struct agent_flight *flight)
{
    if (flight->op == 0 || flight->cancelled)
        return;
    struct agent_effect *effect = agent_effect_add(core, AGENT_DO_CANCEL_OP);
    if (effect == NULL)
        return;
    effect->cancel = flight->op;
    flight->cancelled = true;
}

struct agent_migration *agent_find(const struct agent_core *core, const char *id)
{
    for (size_t i = 0; i < core->n_migrations; i++)
        if (strcmp(core->migrations[i]->id, id) == 0)
            return core->migrations[i];
    return NULL;
}

struct agent_migration *agent_make(struct agent_core *core, const char *id)
{
    struct agent_migration *m = agent_find(core, id);
    if (m != NULL || core->n_migrations == AGENT_MIGRATIONS_MAX)
        return m;
    m = calloc(1, sizeof *m);
    if (m == NULL || !zdm_copy_text(m->id, sizeof m->id, id)) {
        free(m);
        return NULL;
    }
    m->slot = -1;
    m->step = 1;
    agent_path_reset(m);
    core->migrations[core->n_migrations++] = m;
    return m;
}

void agent_forget(struct agent_core *core, size_t index)
{
    migration_free(core->migrations[index]);
    core->migrations[index] = core->migrations[--core->n_migrations];
}

static void on_acked(struct agent_core *core, uint64_t number, uint32_t lease_ms)
{
    size_t place = number % AGENT_SENT_MAX;
    if (number == 0 || core->sent[place].number != number)
        return;
    int64_t until = core->sent[place].at_ms + (int64_t)lease_ms;
    if (until > core->lease_until_ms)
        core->lease_until_ms = until;
    if (core->sent[place].at_ms > core->acked_ms)
        core->acked_ms = core->sent[place].at_ms;
}

static void on_link_up(struct agent_core *core)
{
    core->link_up = true;
    core->report_soon = true;
    core->reported_ms = core->now_ms - REPORT_GAP_MS;
    agent_fetch_plans_anew(core);
}

/* The migration whose operation this is; a result that nobody waits for is dropped. */
static struct agent_migration *owner_of(const struct agent_core *core, uint64_t op)
{
    for (size_t i = 0; i < core->n_migrations; i++)
        if (core->migrations[i]->flight.op == op)
            return core->migrations[i];
    return NULL;
}

static void on_control_done(struct agent_core *core, const struct agent_input *input)
{
    const struct agent_result *result = input->u.op_done;
    enum agent_op_kind kind = core->control.flight.kind;
    core->control.flight.op = 0;
    if (kind == AGENT_OP_CONNECT)
        agent_on_connect_done(core, input);
    else if (kind == AGENT_OP_SIGNALS)
        agent_on_signals_done(core, result);
    else
        agent_on_accept_done(core, result);
}

static void on_op_done(struct agent_core *core, const struct agent_input *input)
{
    const struct agent_result *result = input->u.op_done;
    if (result->op == 0)
        return;
    if (result->op == core->control.flight.op) {
        on_control_done(core, input);
        return;
    }
    struct agent_migration *m = owner_of(core, result->op);
    if (m != NULL)
        agent_on_work_done(core, m, result);
}

static void take(struct agent_core *core, const struct agent_input *input)
{
    switch (input->kind) {
    case AGENT_IN_STARTED:
        core->connect_wanted = true;
        core->connect_at_ms = core->now_ms;
        break;
    case AGENT_IN_OP_DONE:
        on_op_done(core, input);
        break;
    case AGENT_IN_ORDER:
        agent_on_order(core, input);
        break;
    case AGENT_IN_PLAN_READY:
        agent_on_plan_ready(core, input);
        break;
    case AGENT_IN_PLAN_REFUSED:
        agent_on_plan_refused(core, input);
        break;
    case AGENT_IN_LINK_UP:
        on_link_up(core);
        break;
    case AGENT_IN_LINK_DOWN:
        core->link_up = false;
        break;
    case AGENT_IN_ACKED:
        on_acked(core, input->u.acked.number, input->u.acked.lease_ms);
        break;
    case AGENT_IN_TRUST:
        agent_on_trust(core, input->u.trust);
        core->report_soon = true; /* people wait for who still follows the old one */
        break;
    case AGENT_IN_TICK:
        break;
    }
}

/* At once when something that people or the coordinator act upon has changed, else by the clock. */
static void plan_reports(struct agent_core *core)
{
    if (!core->link_up)
        return;
    if (agent_view_digest(core) != core->reported_view)
        core->report_soon = true;
    int64_t pause = agent_is_busy(core) ? core->config.report_working_ms : core->config.report_idle_ms;
    int64_t due = core->reported_ms + (core->report_soon ? REPORT_GAP_MS : pause);
    if (core->now_ms < due) {
        agent_wake_at(core, due);
        return;
    }
    if (agent_effect_add(core, AGENT_DO_REPORT) == NULL) {
        agent_wake_at(core, core->now_ms);
        return;
    }
    core->report_soon = false;
    core->reported_ms = core->now_ms;
    core->reported_view = agent_view_digest(core);
    agent_wake_at(core, core->now_ms + pause);
}

static void drive(struct agent_core *core)
{
    agent_drive_control(core);
    if (agent_usable(core))
        agent_drive_orders(core);
    for (size_t i = 0; i < core->n_migrations; i++)
        agent_drive_path(core, core->migrations[i]);
    if (agent_usable(core))
        agent_drive_signals(core);
}

void agent_core_step(struct agent_core *core, const struct agent_input *input, struct agent_effects *out)
{
    out->n = 0;
    out->wake_at_ms = INT64_MAX;
    if (input->now_ms > core->now_ms)
        core->now_ms = input->now_ms;
    core->wall_ms = input->wall_ms;
    core->random = input->random;
    core->out = out;
    take(core, input);
    drive(core);
    plan_reports(core);
    if (core->lease_until_ms > core->now_ms)
        agent_wake_at(core, core->lease_until_ms);
    agent_check(core);
    core->out = NULL;
}

const struct zdm_step *agent_core_plan_step(const struct agent_core *core, const char *migration, uint32_t ordinal)
{
    const struct agent_migration *m = agent_find(core, migration);
    if (m == NULL || m->plan == NULL || ordinal == 0 || ordinal > zdm_plan_n_steps(m->plan))
        return NULL;
    return zdm_plan_step(m->plan, ordinal);
}

bool agent_core_look(const struct agent_core *core, const char *migration, struct agent_core_look *out)
{
    const struct agent_migration *m = agent_find(core, migration);
    enum zdm_wait wait;
    if (m == NULL)
        return false;
    *out = (struct agent_core_look){
        .state = agent_state_of(core, m, &wait),
        .accepted = m->accepted.fence,
        .mode = m->accepted.mode,
        .goal_phase = m->accepted.goal_phase,
        .proven_phase = m->proven_phase,
        .journal_step = m->step,
        .in_flight = m->flight.op != 0,
    };
    return true;
}
