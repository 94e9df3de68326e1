/*
 * rig_db.c - the database of the rig: one journal row, which steps are done, what is hidden and what was spent; it
 * checks fence, step and cursor as the real one does. See rig.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buffer.h"
#include "tests/unit/agent_core/rig.h"

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
    result->entered_phase = rig->row_entered;
    result->reached_phase = rig->row_reached;
    result->switched_phase = rig->row_switched;
    result->purge_now = rig->row_purge_now;
    result->purge_generation = rig->row_purge_generation;
    result->purge_generation_now = rig->row_purge_generation_now;
    result->undo_nonce = rig->row_undo_nonce;
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

static struct zdm_plan *plan_of_row(const struct rig *rig)
{
    bool amended = rig->amended != NULL && zdm_hash_equal(&rig->amended->hash, &rig->row_order.plan_hash);
    return amended ? rig->amended : rig->plan;
}

static void give_row(const struct rig *rig, struct agent_journal *row)
{
    memset(row, 0, sizeof *row);
    zdm_copy_text(row->migration, sizeof row->migration, "rename");
    row->plan_hash = plan_of_row(rig)->hash;
    row->accepted = rig->row_order.fence;
    row->digest = rig->row_digest;
    row->step = rig->row_step;
    row->cursor = number_text(rig->row_cursor);
    row->bound = number_text(rig->row_bound);
    row->walked = rig->row_walked;
    row->entered_phase = rig->row_entered;
    row->reached_phase = rig->row_reached;
    row->switched_phase = rig->row_switched;
    row->purge_now = rig->row_purge_now;
    row->purge_generation = rig->row_purge_generation;
    row->purge_generation_now = rig->row_purge_generation_now;
    row->undo_nonce = rig->row_undo_nonce;
    zdm_copy_text(row->remark, sizeof row->remark, rig->row_remark == NULL ? "" : rig->row_remark);
    row->failed_attempt = rig->row_failed_attempt;
    row->failed_code = rig->row_failed_code;
    zdm_copy_text(row->failed_text, sizeof row->failed_text, rig->row_failed_code == ZDM_OK ? "" : "it broke");
}

static bool row_fits(const struct rig *rig, const struct agent_op *op)
{
    bool stopped = op->run != AGENT_RUN_STOP && rig->row_failed_attempt != 0 && rig->row_failed_attempt >= op->attempt;
    return rig->has_row && !stopped && zdm_fence_equal(&op->fence, &rig->row_order.fence) &&
           op->journal_step == rig->row_step && text_number(op->cursor) == rig->row_cursor;
}

static void do_accept(struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    /* An order under the row's plan counts by its place alone; another plan was judged by the row that it names. */
    bool judged = zdm_fence_equal(&op->fence, &rig->row_order.fence) ||
                  (zdm_hash_equal(&rig->row_order.plan_hash, &op->directive->plan_hash) &&
                   zdm_fence_compare(&op->directive->fence, &rig->row_order.fence) > 0);
    if (rig->has_row && !judged) {
        result->outcome = AGENT_FENCED;
        return;
    }
    if (!rig->has_row)
        rig->row_step = 1;
    if (op->purge_goes_on && rig->row_purge_generation == rig->row_order.fence.generation)
        rig->row_purge_generation = op->directive->fence.generation;
    if (rig->has_row && !op->amends && !zdm_hash_equal(&rig->row_order.plan_hash, &op->directive->plan_hash))
        rig->row_entered = rig->row_reached = rig->row_switched = 0;
    if (zdm_directive_reach(op->directive) > rig->row_reached)
        rig->row_reached = zdm_directive_reach(op->directive);
    rig->has_row = true;
    rig->row_order = *op->directive;
    rig->row_digest = op->digest;
    if (op->directive->mode == ZDM_MODE_RUN || op->directive->mode == ZDM_MODE_PURGE)
        memset(&rig->row_undo_nonce, 0, sizeof rig->row_undo_nonce);
    give_journal(rig, result);
}

static bool is_walk(uint32_t step)
{
    return step == STEP_BACKFILL || step == STEP_COMPARE;
}

static void do_inspect(const struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    bool done = is_walk(op->step) ? op->step < rig->row_step || rig->row_walked : rig->done[op->step];
    done = done && !(op->step == STEP_COMPARE && rig->gap);
    result->proof = done ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
    if (op->step == STEP_INDEX && rig->leftover)
        result->proof = AGENT_PROOF_LEFTOVER;
}

/* Which part of the way back comes next for a step; NONE: it is undone. */
static enum agent_run part_of(const struct rig *rig, uint32_t step)
{
    static const enum agent_run parts[] = {[STEP_COLUMN] = AGENT_RUN_UNDO_DDL,
                                           [STEP_SYNC] = AGENT_RUN_UNDO_SYNC,
                                           [STEP_INDEX] = AGENT_RUN_INDEX_DROP,
                                           [STEP_HIDE] = AGENT_RUN_UNHIDE,
                                           [STEP_PURGE] = AGENT_RUN_NONE};
    if (step == STEP_BACKFILL)
        return rig->images > 0 ? AGENT_RUN_IMAGES_BACK : AGENT_RUN_NONE;
    if (step == STEP_SYNC && rig->to_count > 0)
        return AGENT_RUN_IMAGES_BACK;
    if (step == STEP_HIDE && !rig->done[step])
        return rig->to_come > 0 ? AGENT_RUN_RESTORE : AGENT_RUN_NONE;
    if (rig->done[step] && zdm_plan_step(rig->plan, step)->action == ZDM_ACTION_SYNC_REMOVE)
        return AGENT_RUN_UNDO_REMOVE;
    return rig->done[step] ? parts[step] : AGENT_RUN_NONE;
}

static void do_inspect_back(const struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    result->next_run = part_of(rig, op->step);
    result->proof = result->next_run == AGENT_RUN_NONE ? AGENT_PROOF_DONE : AGENT_PROOF_NOT_DONE;
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
    rig->gap = rig->gap && !(op->step == STEP_COMPARE && rig->row_walked);
    rig->images += rig->keeps_images && op->step == STEP_BACKFILL ? n : 0;
    result->rows_walked = (uint32_t)n;
    result->elapsed_ms = (uint32_t)(rig->ms_per_batch + rig->ms_per_row * n + 0.5);
    rig->now_ms += result->elapsed_ms;
}

static bool is_spent(const struct rig *rig, const struct zdm_id *nonce)
{
    for (size_t i = 0; i < rig->n_spent; i++)
        if (zdm_id_equal(&rig->spent[i], nonce))
            return true;
    return false;
}

/* Those of `spend` that count no more: used before, or issued before somebody went back below their phase. */
static uint32_t spent_before(const struct rig *rig, const struct agent_op *op, bool enters)
{
    uint32_t which = 0;
    for (size_t i = 0; i < op->n_spend; i++) {
        bool gone_back = enters && op->spend[i].issued_at_ms <= rig->row_undone_at_ms &&
                         (op->spend_phase == 0 || op->spend_phase > rig->row_undone_to);
        if (gone_back || is_spent(rig, &op->spend[i].nonce))
            which |= UINT32_C(1) << i;
    }
    return which;
}

static void spend_all(struct rig *rig, const struct agent_op *op)
{
    for (size_t i = 0; i < op->n_spend; i++)
        rig->spent[rig->n_spent++] = op->spend[i].nonce;
}

static void refuse_spent(struct agent_result *result)
{
    result->outcome = AGENT_FAIL;
    (void)zdm_error_set(&result->error, ZDM_REFUSED, "was spent before");
}

static void do_undo_begin(struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    if (is_spent(rig, &op->undo_nonce) || rig->done[STEP_PURGE]) {
        refuse_spent(result);
        return;
    }
    result->spent_before = spent_before(rig, op, false);
    if (result->spent_before != 0) {
        refuse_spent(result);
        return;
    }
    rig->spent[rig->n_spent++] = rig->row_undo_nonce = op->undo_nonce;
    spend_all(rig, op);
    rig->row_undone_at_ms = op->undo_issued_at_ms;
    rig->row_undone_to = op->to_phase;
    rig->row_purge_now = rig->row_purge_generation_now = false;
    rig->row_purge_generation = 0;
    if (rig->row_entered > op->to_phase)
        rig->row_entered = op->to_phase;
    if (rig->row_reached > op->to_phase)
        rig->row_reached = op->to_phase;
    if (rig->row_switched < op->switched_phase)
        rig->row_switched = op->switched_phase;
}

static void do_undo_end(struct rig *rig, const struct agent_op *op)
{
    if (rig->row_switched > op->to_phase)
        rig->row_switched = op->to_phase;
}

static void do_spend(struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    result->spent_before = spent_before(rig, op, true);
    if (result->spent_before != 0) {
        refuse_spent(result);
        return;
    }
    spend_all(rig, op);
    if (op->spend_phase == 0) {
        rig->row_purge_generation = op->fence.generation;
        rig->row_purge_generation_now = op->purge_now;
    } else {
        rig->row_entered = op->spend_phase;
        rig->row_purge_now = op->purge_now;
    }
}

static bool is_early(const struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    result->wait_ms = rig->hidden_at_ms + op->grace_ms - rig_wall_ms(rig);
    if (op->purge_now || result->wait_ms <= 0)
        return false;
    result->outcome = AGENT_EARLY;
    return true;
}

static void do_purge(struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    if (op->run == AGENT_RUN_PURGE_LEFTOVERS && rig->leftovers == 0)
        result->outcome = AGENT_ALREADY;
    else if (is_early(rig, op, result))
        return;
    else if (op->run == AGENT_RUN_PURGE_LEFTOVERS)
        rig->leftovers--;
    else
        rig->done[op->step] = true;
}

static void hide_column(struct rig *rig)
{
    rig->leftovers += rig->done[STEP_COLUMN];
    rig->done[STEP_COLUMN] = false;
    rig->hidden_at_ms = rig_wall_ms(rig);
}

static void do_images_back(struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    int *rows = op->step == STEP_SYNC ? &rig->to_count : &rig->images;
    int n = *rows < (int)op->rows ? *rows : (int)op->rows;
    *rows -= n;
    result->rows_walked = (uint32_t)n;
    result->elapsed_ms = 1;
}

static void do_back(struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    if (op->run == AGENT_RUN_UNDO_DDL ||
        (op->run == AGENT_RUN_UNDO_SYNC && op->floor <= STEP_COLUMN && !rig->triggers_only))
        hide_column(rig);
    if (op->run == AGENT_RUN_IMAGES_BACK)
        do_images_back(rig, op, result);
    else if (op->run == AGENT_RUN_RESTORE)
        rig->to_come--;
    else
        rig->done[op->step] = false;
    if (op->run != AGENT_RUN_UNHIDE)
        return;
    rig->to_come = rig->restores;
    if (rig->remark != NULL)
        zdm_copy_text(result->remark, sizeof result->remark, rig->remark);
}

static void do_forward(struct rig *rig, const struct agent_op *op)
{
    rig->done[op->step] = !rig->ddl_vanishes;
    if (op->run == AGENT_RUN_HIDE)
        rig->hidden_at_ms = rig_wall_ms(rig);
    if (rig->one_transaction && op->step == rig->row_step)
        clear_walk(rig, op->step + 1);
}

/* Over at gate_open_ms; until then it says for what it waits. */
static void do_wait(struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    if (rig->now_ms >= rig->gate_open_ms) {
        rig->done[op->step] = true;
        clear_walk(rig, op->step + 1);
        return;
    }
    result->outcome = AGENT_EARLY;
    result->wait_ms = rig->gate_open_ms - rig->now_ms;
    zdm_copy_text(result->blocker, sizeof result->blocker, "until the jobs are done");
}

static void do_journal(struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    if (op->run == AGENT_RUN_STEP_DONE && op->lets_pass) {
        rig->interrupted.migration[0] = '\0';
        rig->gap = false;
    } else if (op->run == AGENT_RUN_STEP_DONE)
        clear_walk(rig, op->step + 1);
    else if (op->run == AGENT_RUN_STEP_BACK)
        clear_walk(rig, op->step);
    else if (op->run == AGENT_RUN_UNDO_BEGIN)
        do_undo_begin(rig, op, result);
    else if (op->run == AGENT_RUN_UNDO_END)
        do_undo_end(rig, op);
    else if (op->run == AGENT_RUN_SPEND_APPROVALS)
        do_spend(rig, op, result);
    else if (op->run == AGENT_RUN_STOP) {
        rig->row_failed_attempt = op->attempt;
        rig->row_failed_code = op->failed_code;
    }
}

static void do_run(struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    rig->runs[op->run]++;
    if (op->run >= AGENT_RUN_UNDO_BEGIN)
        do_journal(rig, op, result);
    else if (op->run == AGENT_RUN_BOUND)
        rig->row_bound = rig->rows;
    else if (op->run == AGENT_RUN_INDEX_DROP_INVALID)
        rig->leftover = false;
    else if (op->run == AGENT_RUN_WAIT)
        do_wait(rig, op, result);
    else if (op->run == AGENT_RUN_PURGE || op->run == AGENT_RUN_PURGE_LEFTOVERS)
        do_purge(rig, op, result);
    else if (op->run >= AGENT_RUN_UNDO_DDL)
        do_back(rig, op, result);
    else if (is_walk(op->step))
        do_batch(rig, op, result);
    else
        do_forward(rig, op);
}

static void give_notes(const struct rig *rig, struct agent_result *result)
{
    if (rig->interrupted.migration[0] != '\0') {
        result->interrupted = zdm_memdup(&rig->interrupted, sizeof rig->interrupted);
        result->n_interrupted = 1;
    }
    if (rig->n_compared > 0) {
        result->compared = zdm_memdup(rig->compared, rig->n_compared * sizeof rig->compared[0]);
        result->n_compared = rig->n_compared;
    }
}

static void do_op(struct rig *rig, const struct agent_op *op, struct agent_result *result)
{
    result->outcome = AGENT_OK;
    switch (op->kind) {
    case AGENT_OP_CONNECT:
    case AGENT_OP_SIGNALS:
        give_server(rig, result);
        if (op->kind == AGENT_OP_SIGNALS && rig->n_hidden > 0) {
            result->hidden = zdm_memdup(rig->hidden, rig->n_hidden * sizeof rig->hidden[0]);
            result->n_hidden = rig->n_hidden;
        }
        if (op->kind == AGENT_OP_SIGNALS)
            give_notes(rig, result);
        break;
    case AGENT_OP_SURVEY:
    case AGENT_OP_STORE_PLAN:
        break;
    case AGENT_OP_ACCEPT:
        do_accept(rig, op, result);
        break;
    case AGENT_OP_INSPECT:
        if (op->back)
            do_inspect_back(rig, op, result);
        else
            do_inspect(rig, op, result);
        break;
    case AGENT_OP_RUN:
        if (!row_fits(rig, op)) {
            result->outcome = AGENT_FENCED;
            break;
        }
        do_run(rig, op, result);
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
    result->blocker_is_elsewhere = rig->fault.elsewhere;
    if (rig->fault.outcome == AGENT_LOCK)
        zdm_copy_text(result->blocker, sizeof result->blocker,
                      rig->fault.blocker != NULL ? rig->fault.blocker : "pid 4242 app@shop");
    if (rig->fault.outcome == AGENT_OK)
        return;
    (void)zdm_error_set(&result->error, rig->fault.code, "injected %s", zdm_code_name(rig->fault.code));
    (void)zdm_error_hint(&result->error, "Take the fault away.");
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
    if (op->max_stall_ms > 0)
        rig->stalled_ms = op->max_stall_ms < op->time_limit_ms ? op->max_stall_ms : 0;
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
    struct zdm_plan *plans[1] = {plan_of_row(rig)};
    struct zdm_id signers[1] = {rig->trust.people[RIG_OLGA].key_id};
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
        input.journal_signers = signers;
        if (rig->row_why != NULL) {
            orders[0] = rig->row_former ? orders[0] : NULL;
            plans[0] = rig->row_former ? plans[0] : NULL;
            input.journal_whys = &rig->row_why;
        }
    }
    input.u.op_done = &result;
    rig_input(rig, &input);
    free(result.cursor);
    free(result.bound);
    free(result.hidden);
    free(result.interrupted);
    free(result.compared);
    free(row.cursor);
    free(row.bound);
    return true;
}
