/*
 * rig.c - see rig.h.
 */
#include "tests/unit/agent_core/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buffer.h"

const struct zdm_id rig_us = {.bytes = {1, 2, 3}};
const struct zdm_id rig_other = {.bytes = {9, 9, 9}};

static struct zdm_envelope an_envelope(void)
{
    struct zdm_envelope envelope = {.bytes = zdm_memdup("signed", 6), .len = 6};
    return envelope;
}

/* ---- The plan ---- */

static void add_phase(struct zdm_plan *plan, enum zdm_phase_class class, size_t n_steps)
{
    struct zdm_phase *phase = &plan->phases[plan->n_phases++];
    phase->number = (uint32_t)plan->n_phases;
    phase->class = class;
    phase->steps = calloc(n_steps, sizeof *phase->steps);
    phase->digest.bytes[0] = (uint8_t)phase->number;
}

static struct zdm_step *add_step(struct zdm_plan *plan, uint32_t ordinal, enum zdm_step_kind kind,
                                 enum zdm_action action)
{
    struct zdm_phase *phase = &plan->phases[plan->n_phases - 1];
    struct zdm_step *step = &phase->steps[phase->n_steps++];
    step->ordinal = ordinal;
    step->kind = kind;
    step->action = action;
    snprintf(step->id, sizeof step->id, "%u.%zu", phase->number, phase->n_steps);
    return step;
}

struct zdm_plan *rig_plan(void)
{
    struct zdm_plan *plan = zdm_plan_new();
    zdm_copy_text(plan->id, sizeof plan->id, "rename");
    plan->hash.bytes[0] = 77;
    plan->phases = calloc(4, sizeof *plan->phases);
    add_phase(plan, ZDM_PHASE_EXPAND, 3);
    add_step(plan, STEP_COLUMN, ZDM_STEP_DDL, ZDM_ACTION_ADD_COLUMN);
    add_step(plan, STEP_MYSQL, ZDM_STEP_DDL, ZDM_ACTION_ADD_COLUMN)->engine = ZDM_ENGINE_MYSQL;
    add_step(plan, STEP_SYNC, ZDM_STEP_SYNC, ZDM_ACTION_SYNC_INSTALL)->superseded_by = STEP_HIDE;
    add_phase(plan, ZDM_PHASE_MIGRATE, 4);
    struct zdm_step *fill = add_step(plan, STEP_BACKFILL, ZDM_STEP_BACKFILL, ZDM_ACTION_BACKFILL);
    fill->derivation = calloc(1, sizeof *fill->derivation);
    fill->derivation->idempotent = true;
    add_step(plan, STEP_COMPARE, ZDM_STEP_CHECK, ZDM_ACTION_CHECK_COMPARE);
    add_step(plan, STEP_INDEX, ZDM_STEP_INDEX, ZDM_ACTION_CREATE_INDEX);
    add_step(plan, STEP_VALIDATE, ZDM_STEP_VALIDATE, ZDM_ACTION_VALIDATE);
    add_phase(plan, ZDM_PHASE_SWITCH, 1);
    add_step(plan, STEP_FLAG, ZDM_STEP_GATE, ZDM_ACTION_GATE_FLAG);
    add_phase(plan, ZDM_PHASE_CONTRACT, 1);
    add_step(plan, STEP_HIDE, ZDM_STEP_HIDE, ZDM_ACTION_HIDE_COLUMN);
    return plan;
}

/* ---- The bench ---- */

struct rig *rig_new(void)
{
    struct rig *rig = calloc(1, sizeof *rig);
    agent_core_config_default(&rig->config);
    zdm_copy_text(rig->config.shard, sizeof rig->config.shard, "shard-1");
    rig->config.key_id = rig_us;
    rig->core = agent_core_new(&rig->config);
    rig->plan = rig_plan();
    rig->now_ms = 1000000;
    rig->random = 42;
    rig->acks = true;
    rig->lease_ms = 300000;
    rig->up = rig->writable = true;
    rig->row_cursor = rig->row_bound = -1;
    rig->rows = 2000;
    rig->ms_per_row = 0.1;
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-1");
    return rig;
}

void rig_free(struct rig *rig)
{
    agent_core_free(rig->core);
    zdm_plan_unref(rig->plan);
    zdm_report_fini(&rig->report);
    free(rig);
}

static void take_effects(struct rig *rig)
{
    struct agent_effects out = rig->out;
    for (size_t i = 0; i < out.n; i++) {
        const struct agent_effect *effect = &out.items[i];
        switch (effect->kind) {
        case AGENT_DO_START_OP:
            assert_true(rig->n_ops < RIG_OPS_MAX);
            rig->ops[rig->n_ops++] = effect->op;
            if (rig->watch != NULL)
                rig->watch(rig, &effect->op);
            break;
        case AGENT_DO_CANCEL_OP:
            rig->cancelled = effect->cancel;
            break;
        case AGENT_DO_FETCH_PLAN:
            rig->fetches++;
            break;
        case AGENT_DO_REPORT:
            rig->reports++;
            zdm_report_fini(&rig->report);
            assert_true(agent_core_report(rig->core, rig->now_ms, &rig->report));
            break;
        }
    }
    if (!rig->acks)
        return;
    for (size_t i = 0; i < out.n; i++)
        if (out.items[i].kind == AGENT_DO_REPORT) {
            struct agent_input ack = {.kind = AGENT_IN_ACKED};
            ack.u.acked.number = rig->report.number;
            ack.u.acked.lease_ms = rig->lease_ms;
            rig_input(rig, &ack);
            return;
        }
}

void rig_input(struct rig *rig, struct agent_input *input)
{
    rig->random = rig->random * 6364136223846793005u + 1442695040888963407u;
    input->now_ms = rig->now_ms;
    input->random = rig->random;
    agent_core_step(rig->core, input, &rig->out);
    take_effects(rig);
}

static void simple_input(struct rig *rig, enum agent_input_kind kind)
{
    struct agent_input input = {.kind = kind};
    rig_input(rig, &input);
}

void rig_started(struct rig *rig)
{
    simple_input(rig, AGENT_IN_STARTED);
}

void rig_link(struct rig *rig, bool up)
{
    simple_input(rig, up ? AGENT_IN_LINK_UP : AGENT_IN_LINK_DOWN);
}

void rig_wait(struct rig *rig, int64_t ms)
{
    rig->now_ms += ms;
    simple_input(rig, AGENT_IN_TICK);
}

struct zdm_directive rig_order(uint64_t epoch, uint64_t generation, enum zdm_mode mode, uint32_t goal)
{
    struct zdm_directive d = {.migration = "rename",
                              .shard = "shard-1",
                              .plan_hash = {.bytes = {77}},
                              .actor = rig_us,
                              .goal_phase = goal,
                              .mode = mode,
                              .attempt = 1};
    d.fence.epoch = epoch;
    d.fence.generation = generation;
    d.fence.instance.bytes[0] = (uint8_t)epoch;
    d.fence.anchor.bytes[0] = (uint8_t)generation;
    return d;
}

void rig_send(struct rig *rig, const struct zdm_directive *order, uint8_t content)
{
    struct agent_input input = {.kind = AGENT_IN_ORDER};
    struct zdm_envelope envelope = an_envelope();
    input.u.order.directive = order;
    input.u.order.envelope = &envelope;
    input.u.order.digest.bytes[0] = (uint8_t)order->fence.generation;
    input.u.order.digest.bytes[1] = content;
    rig_input(rig, &input);
    zdm_envelope_fini(&envelope);
}

void rig_plan_ready(struct rig *rig)
{
    struct agent_input input = {.kind = AGENT_IN_PLAN_READY};
    struct zdm_envelope envelope = an_envelope();
    input.u.plan_ready.plan = rig->plan;
    input.u.plan_ready.envelope = &envelope;
    rig_input(rig, &input);
    zdm_envelope_fini(&envelope);
}

/* ---- The database ---- */

static char *number_text(int number)
{
    char text[16];
    if (number < 0)
        return NULL;
    snprintf(text, sizeof text, "%d", number);
    return zdm_strdup(text);
}

static int text_number(const char *text)
{
    return text == NULL ? -1 : atoi(text);
}

static void give_journal(const struct rig *rig, struct agent_result *result)
{
    result->journal_valid = true;
    result->journal_step = rig->row_step;
    result->cursor = number_text(rig->row_cursor);
    result->bound = number_text(rig->row_bound);
    result->walked = rig->row_walked;
    result->rows_done = rig->row_cursor > 0 ? (uint64_t)rig->row_cursor : 0;
    result->rows_total = (uint64_t)rig->rows;
}

static void give_server(const struct rig *rig, struct agent_result *result)
{
    result->connected = true;
    result->writable = rig->writable;
    result->engine = ZDM_ENGINE_POSTGRESQL;
    result->capabilities =
        AGENT_CAN_TRANSACTIONAL_DDL | AGENT_CAN_NOWAIT | AGENT_CAN_CONCURRENT_INDEX | AGENT_CAN_HIDE_BY_RENAME;
    zdm_copy_text(result->identity, sizeof result->identity, rig->identity);
    if (rig->has_signal)
        result->signals[result->n_signals++] = rig->signal;
}

static void give_row(const struct rig *rig, struct agent_journal *row)
{
    memset(row, 0, sizeof *row);
    zdm_copy_text(row->migration, sizeof row->migration, "rename");
    row->plan_hash = rig->plan->hash;
    row->accepted = rig->row_order.fence;
    row->digest = rig->row_digest;
    row->step = rig->row_step;
    row->cursor = number_text(rig->row_cursor);
    row->bound = number_text(rig->row_bound);
    row->walked = rig->row_walked;
    row->failed_attempt = rig->row_failed_attempt;
    row->failed_code = rig->row_failed_code;
}

static bool row_fits(const struct rig *rig, const struct agent_op *op)
{
    bool stopped = op->run != AGENT_RUN_STOP && rig->row_failed_attempt != 0 && rig->row_failed_attempt >= op->attempt;
    return rig->has_row && !stopped && zdm_fence_equal(&op->fence, &rig->row_order.fence) &&
           op->journal_step == rig->row_step && text_number(op->cursor) == rig->row_cursor;
}

static void do_accept(struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    if (rig->has_row && !zdm_fence_equal(&op->fence, &rig->row_order.fence)) {
        result->outcome = AGENT_FENCED;
        return;
    }
    if (!rig->has_row)
        rig->row_step = 1;
    rig->has_row = true;
    rig->row_order = *op->directive;
    rig->row_digest = op->digest;
}

static bool is_walk(uint32_t step)
{
    return step == STEP_BACKFILL || step == STEP_COMPARE;
}

static void do_inspect(const struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    bool done = is_walk(op->step) ? op->step < rig->row_step || rig->row_walked : rig->done[op->step];
    result->proof = done ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
    if (op->step == STEP_INDEX && rig->leftover)
        result->proof = AGENT_PROOF_LEFTOVER;
}

static void clear_walk(struct rig *rig, uint32_t step)
{
    rig->row_step = step;
    rig->row_cursor = rig->row_bound = -1;
    rig->row_walked = false;
}

static void do_batch(struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    int left = rig->row_bound - (rig->row_cursor > 0 ? rig->row_cursor : 0);
    int n = left < (int)op->rows ? left : (int)op->rows;
    rig->row_cursor = (rig->row_cursor > 0 ? rig->row_cursor : 0) + n;
    rig->row_walked = rig->row_cursor == rig->row_bound;
    result->rows_walked = (uint32_t)n;
    result->elapsed_ms = (uint32_t)(rig->ms_per_batch + rig->ms_per_row * n + 0.5);
    rig->now_ms += result->elapsed_ms;
}

static void do_run(struct rig *rig, const struct agent_op *op)
{
    rig->runs[op->run]++;
    if (op->run == AGENT_RUN_STEP_DONE)
        clear_walk(rig, op->step + 1);
    else if (op->run == AGENT_RUN_STEP_BACK)
        clear_walk(rig, op->step);
    else if (op->run == AGENT_RUN_BOUND)
        rig->row_bound = rig->rows;
    else if (op->run == AGENT_RUN_INDEX_DROP_INVALID)
        rig->leftover = false;
    else if (op->run == AGENT_RUN_STOP) {
        rig->row_failed_attempt = op->attempt;
        rig->row_failed_code = op->failed_code;
    } else if (!is_walk(op->step)) {
        rig->done[op->step] = !rig->ddl_vanishes;
        if (rig->one_transaction)
            clear_walk(rig, op->step + 1);
    }
}

static void do_op(struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    result->outcome = AGENT_OK;
    switch (op->kind) {
    case AGENT_OP_CONNECT:
    case AGENT_OP_SIGNALS:
        give_server(rig, result);
        break;
    case AGENT_OP_STORE_PLAN:
        break;
    case AGENT_OP_ACCEPT:
        do_accept(rig, op, result);
        break;
    case AGENT_OP_INSPECT:
        do_inspect(rig, op, result);
        break;
    case AGENT_OP_RUN:
        if (!row_fits(rig, op)) {
            result->outcome = AGENT_FENCED;
            break;
        }
        if (is_walk(op->step) && (op->run == AGENT_RUN_BATCH || op->run == AGENT_RUN_CHECK_CHUNK)) {
            rig->runs[op->run]++;
            do_batch(rig, op, result);
        } else {
            do_run(rig, op);
        }
        give_journal(rig, result);
        break;
    }
}

static bool fault_applies(const struct rig *rig, const struct agent_op *op)
{
    return rig->fault.times > 0 && rig->fault.kind == op->kind &&
           (op->kind != AGENT_OP_RUN || rig->fault.run == op->run);
}

static void do_fault(struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    rig->fault.times--;
    if (rig->fault.applied) {
        do_op(rig, op, result);
        free(result->cursor);
        free(result->bound);
        result->cursor = result->bound = NULL;
        result->journal_valid = false;
    }
    result->outcome = rig->fault.outcome;
    result->proof = rig->fault.proof;
    result->blocker_is_autovacuum = rig->fault.autovacuum;
    if (rig->fault.outcome == AGENT_LOCK)
        zdm_copy_text(result->blocker, sizeof result->blocker, "pid 4242 app@shop");
    if (rig->fault.outcome != AGENT_OK)
        (void)zdm_error_set(&result->error, rig->fault.code, "injected %s", zdm_code_name(rig->fault.code));
}

static void refuse(struct agent_result *result)
{
    result->outcome = AGENT_RETRY;
    (void)zdm_error_set(&result->error, ZDM_UNAVAILABLE, "could not connect to the database");
}

static void count_lock_attempt(struct rig *rig, const struct agent_op *op)
{
    if (op->kind != AGENT_OP_RUN || (op->run != AGENT_RUN_DDL && op->run != AGENT_RUN_HIDE))
        return;
    if (op->lock_wait_ms == 0)
        rig->nowaits++;
    else
        rig->queued++;
}

bool rig_answer(struct rig *rig)
{
    if (rig->n_ops == 0)
        return false;
    struct agent_op op = rig->ops[0];
    memmove(rig->ops, rig->ops + 1, --rig->n_ops * sizeof rig->ops[0]);
    struct agent_result result = {.op = op.id, .lane = op.lane, .kind = op.kind, .run = op.run};
    struct agent_journal row = {.step = 0};
    const struct zdm_directive *orders[1] = {&rig->row_order};
    struct zdm_plan *plans[1] = {rig->plan};
    struct agent_input input = {.kind = AGENT_IN_OP_DONE};
    count_lock_attempt(rig, &op);
    if (!rig->up)
        refuse(&result);
    else if (fault_applies(rig, &op))
        do_fault(rig, &op, &result);
    else
        do_op(rig, &op, &result);
    if (op.kind == AGENT_OP_CONNECT && result.outcome == AGENT_OK && rig->has_row) {
        give_row(rig, &row);
        result.journals = &row;
        result.n_journals = 1;
        input.journal_directives = orders;
        input.journal_plans = plans;
    }
    input.u.op_done = &result;
    rig_input(rig, &input);
    free(result.cursor);
    free(result.bound);
    free(row.cursor);
    free(row.bound);
    return true;
}

void rig_run(struct rig *rig, int64_t ms)
{
    int64_t end = rig->now_ms + ms;
    for (unsigned i = 0; i < 2000000; i++) {
        if (rig->now_ms <= end && rig_answer(rig))
            continue;
        if (rig->now_ms >= end || rig->out.wake_at_ms > end)
            break;
        if (rig->out.wake_at_ms > rig->now_ms)
            rig->now_ms = rig->out.wake_at_ms;
        simple_input(rig, AGENT_IN_TICK);
    }
    if (rig->now_ms < end)
        rig->now_ms = end;
    simple_input(rig, AGENT_IN_TICK);
}

void rig_ready(struct rig *rig, enum zdm_mode mode, uint32_t goal)
{
    struct zdm_directive order = rig_order(1, 1, mode, goal);
    rig_started(rig);
    rig_answer(rig); /* CONNECT */
    rig_link(rig, true);
    rig_send(rig, &order, 0);
    rig_plan_ready(rig);
    while (rig->n_ops > 0 && rig->ops[0].lane == 0)
        rig_answer(rig);
}

struct agent_core_look rig_look(const struct rig *rig)
{
    struct agent_core_look look = {.state = 0};
    assert_true(agent_core_look(rig->core, "rename", &look));
    return look;
}

const struct zdm_migration_report *rig_said(struct rig *rig)
{
    static const struct zdm_migration_report nothing;
    zdm_report_fini(&rig->report);
    assert_true(agent_core_report(rig->core, rig->now_ms, &rig->report));
    return rig->report.n_migrations > 0 ? &rig->report.migrations[0] : &nothing;
}

const struct agent_op *rig_in_flight(const struct rig *rig, enum agent_run run)
{
    for (size_t i = 0; i < rig->n_ops; i++)
        if (rig->ops[i].kind == AGENT_OP_RUN && rig->ops[i].run == run)
            return &rig->ops[i];
    return NULL;
}
