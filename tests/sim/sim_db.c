/*
 * sim_db.c - what each operation does to the simulated database, at one moment.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/plan/undo.h"
#include "tests/sim/sim_db_private.h"

void sim_db_stop(struct sim_db *db)
{
    db->up = false;
    db->boots++;
}

void sim_db_start(struct sim_db *db)
{
    db->up = true;
}

uint32_t sim_db_needs(const struct zdm_phase *phase)
{
    bool destroys = phase->destructive || phase->class == ZDM_PHASE_PURGE;
    return destroys && phase->approvals == 0 ? 1 : phase->approvals;
}

struct agent_result *sim_db_result(const struct sim_pending *pending, enum agent_outcome outcome)
{
    struct agent_result *result = calloc(1, sizeof *result);
    if (result == NULL)
        abort();
    result->op = pending->op.id;
    result->lane = pending->op.lane;
    result->kind = pending->op.kind;
    result->run = pending->op.run;
    result->outcome = outcome;
    return result;
}

static void do_inspect(const struct sim_db *db, const struct sim_pending *pending, struct agent_result *result)
{
    static const struct sim_schema nothing;
    const struct agent_op *op = &pending->op;
    const struct agent_journal *journal = sim_db_journal(db, op->migration);
    const struct sim_schema *schema = journal != NULL ? &sim_db_truth(db, journal)->schema : &nothing;
    bool journalled = journal != NULL && (journal->step > op->step || (journal->step == op->step && journal->walked));
    if (op->back)
        result->proof = sim_schema_look_back(schema, op->plan, op->step, &result->next_run);
    else
        result->proof = sim_schema_look(schema, op->plan, op->step, journalled);
    if (!op->back && schema->gap_ms != 0 && zdm_plan_step(op->plan, op->step)->action == ZDM_ACTION_CHECK_COMPARE)
        result->proof = AGENT_PROOF_NOT_DONE;
}

/* ---- Walks ---- */

/* Old and new, row by row. */
static bool compare(struct sim_db *db, const struct agent_op *op, struct sim_schema *schema, uint32_t from, uint32_t to,
                    struct agent_result *result)
{
    if (from == 0)
        schema->compared_ms = sim_db_wall_ms(db);
    for (uint32_t row = from; row < to; row++)
        if (sim_schema_differs(schema, op->plan, op->step, row)) {
            (void)zdm_error_set(&result->error, ZDM_REFUSED, "row %u does not hold what it should", row);
            db->differences++;
            return false;
        }
    if (to == db->rows && schema->gap_ms < schema->compared_ms)
        schema->gap_ms = 0;
    return true;
}

static enum agent_outcome do_batch(struct sim_db *db, const struct sim_pending *pending, struct agent_journal *journal,
                                   struct agent_result *result)
{
    const struct agent_op *op = &pending->op;
    uint32_t from = journal->cursor != NULL ? (uint32_t)strtoul(journal->cursor, NULL, 10) : 0;
    uint32_t wanted = op->rows > 0 ? op->rows : 1;
    uint32_t to = from + wanted < db->rows ? from + wanted : db->rows;
    bool change = op->run == AGENT_RUN_BATCH;
    struct sim_db_truth *truth = sim_db_truth(db, journal);
    unsigned fill = sim_schema_fill(op->plan, op->step);
    uint8_t *counters = truth->schema.counters[fill];
    if (change && truth->paused)
        db->violation = "a batch was committed under an accepted pause";
    if (change && zdm_plan_step(op->plan, op->step)->inverse == ZDM_INVERSE_IMAGES)
        sim_schema_keep_images(&truth->schema, op->step, sim_db_wall_ms(db));
    bool compares =
        op->run == AGENT_RUN_CHECK_CHUNK && zdm_plan_step(op->plan, op->step)->action == ZDM_ACTION_CHECK_COMPARE;
    if (compares && !compare(db, op, &truth->schema, from, to, result))
        return AGENT_FAIL;
    for (uint32_t i = from; i < to && change; i++)
        if (truth->schema.own[fill][i] != 0)
            db->violation = "a row that new code had written was written over";
    for (uint32_t i = from; i < to && change; i++)
        if (!(truth->schema.again[fill] && counters[i] == 1) && ++counters[i] > 1)
            db->violation = "a row was changed twice";
    char text[16];
    snprintf(text, sizeof text, "%u", to);
    sim_journal_set_text(&journal->cursor, text);
    journal->walked = to == db->rows;
    journal->rows_done += to - from;
    result->rows_walked = to - from;
    result->rows_changed = change ? to - from : 0;
    result->elapsed_ms = (uint32_t)world_between(db->world, 1, 40);
    db->batches++;
    return AGENT_OK;
}

static void do_bound(const struct sim_db *db, struct agent_journal *journal)
{
    char text[16];
    snprintf(text, sizeof text, "%u", db->rows);
    sim_journal_set_text(&journal->bound, text);
    journal->rows_total = db->rows;
}

/* What is written back is not filled any more: the journal says so in the same transaction. */
static void do_images_back(struct sim_db *db, const struct agent_op *op, struct agent_journal *journal,
                           struct agent_result *result)
{
    struct sim_schema *schema = &sim_db_truth(db, journal)->schema;
    result->rows_walked = result->rows_changed = sim_schema_images_back(schema, op, db->rows);
    result->elapsed_ms = (uint32_t)world_between(db->world, 1, 40);
    sim_schema_unfilled(schema, op->plan, op->step);
    sim_journal_go_to(db, journal, op->plan, op->step);
    db->images_back++;
}

static enum agent_outcome do_index(struct sim_db *db, struct sim_schema *schema, const struct agent_op *op,
                                   struct agent_result *result)
{
    uint8_t *made = &schema->made[op->step];
    /* A build that somebody left behind finds that the other one was faster. */
    if (*made == SIM_THERE)
        return AGENT_ALREADY;
    if (*made == SIM_INVALID || world_chance(db->world, db->faults.leftover_percent)) {
        *made = SIM_INVALID;
        db->leftovers++;
        (void)zdm_error_set(&result->error, ZDM_CONFLICT, "deadlock detected");
        return AGENT_RETRY;
    }
    *made = SIM_THERE;
    return AGENT_OK;
}

/* ---- Purges ---- */

static enum agent_outcome too_early(struct sim_db *db, const struct agent_op *op, int64_t since_ms,
                                    struct agent_result *result)
{
    int64_t left = since_ms + op->grace_ms - sim_db_wall_ms(db);
    if (op->purge_now || left <= 0)
        return AGENT_OK;
    db->early++;
    result->wait_ms = left;
    return AGENT_EARLY;
}

/* By the plan's own grace period, whatever the operation says of it. */
static void check_grace(struct sim_db *db, const struct agent_op *op, int64_t since_ms, bool now)
{
    if (!now && since_ms != 0 && sim_db_wall_ms(db) < since_ms + op->plan->grace_ms)
        db->violation = "something was purged before its grace period was over";
}

static enum agent_outcome do_purge(struct sim_db *db, struct sim_db_truth *truth, const struct agent_op *op,
                                   struct agent_result *result)
{
    int64_t since = sim_schema_hidden_since(&truth->schema, op->plan, op->step);
    enum agent_outcome outcome = since != 0 ? too_early(db, op, since, result) : AGENT_OK;
    if (outcome != AGENT_OK)
        return outcome;
    check_grace(db, op, since, truth->rights.purge_now);
    const char *wrong = sim_schema_do(&truth->schema, op->plan, op->step, sim_db_wall_ms(db));
    if (wrong != NULL)
        db->violation = wrong;
    db->purged++;
    db->purged_now += sim_db_wall_ms(db) < since + op->plan->grace_ms;
    return AGENT_OK;
}

static enum agent_outcome do_purge_leftover(struct sim_db *db, struct sim_db_truth *truth, const struct agent_op *op,
                                            struct agent_result *result)
{
    int64_t since = sim_schema_hidden_since(&truth->schema, op->plan, 0);
    if (since == 0)
        return AGENT_ALREADY;
    enum agent_outcome outcome = too_early(db, op, since, result);
    if (outcome != AGENT_OK)
        return outcome;
    if (truth->rights.leftovers_under != op->fence.generation)
        db->violation = "what a rollback left was dropped, and nobody signed that";
    check_grace(db, op, since, truth->rights.leftovers_now);
    sim_schema_drop_leftover(&truth->schema);
    db->dropped_leftovers++;
    return AGENT_OK;
}

/* ---- Which right each run needs ---- */

enum right { RIGHT_NONE, RIGHT_FORWARD, RIGHT_BACK, RIGHT_PURGE };

static enum right right_for(enum agent_run run)
{
    switch (run) {
    case AGENT_RUN_DDL:
    case AGENT_RUN_INSTALL_SYNC:
    case AGENT_RUN_REMOVE_SYNC:
    case AGENT_RUN_BOUND:
    case AGENT_RUN_BATCH:
    case AGENT_RUN_VALIDATE:
    case AGENT_RUN_INDEX_BUILD:
    case AGENT_RUN_INDEX_DROP_INVALID:
    case AGENT_RUN_CHECK_CHUNK:
    case AGENT_RUN_HIDE:
    case AGENT_RUN_REINDEX:
    case AGENT_RUN_LONG_SQL:
    case AGENT_RUN_WAIT:
        return RIGHT_FORWARD;
    case AGENT_RUN_PURGE:
        return RIGHT_PURGE;
    case AGENT_RUN_UNDO_DDL:
    case AGENT_RUN_UNDO_SYNC:
    case AGENT_RUN_UNDO_REMOVE:
    case AGENT_RUN_UNHIDE:
    case AGENT_RUN_RESTORE:
    case AGENT_RUN_INDEX_DROP:
    case AGENT_RUN_IMAGES_BACK:
        return RIGHT_BACK;
    case AGENT_RUN_NONE:
    case AGENT_RUN_PURGE_LEFTOVERS:
    case AGENT_RUN_UNDO_BEGIN:
    case AGENT_RUN_UNDO_END:
    case AGENT_RUN_SPEND_APPROVALS:
    case AGENT_RUN_STEP_DONE:
    case AGENT_RUN_STEP_BACK:
    case AGENT_RUN_STOP:
        break;
    }
    return RIGHT_NONE;
}

static void check_rights(struct sim_db *db, const struct sim_db_truth *truth, const struct agent_op *op)
{
    uint32_t phase = zdm_plan_phase_of(op->plan, op->step);
    enum right right = right_for(op->run);
    bool forward = right == RIGHT_FORWARD || right == RIGHT_PURGE;
    if (forward && db->may_enter != NULL && !db->may_enter(db->ctx, db, op->plan, phase))
        db->violation = "a phase was entered while the barrier was closed";
    if (forward && sim_db_needs(zdm_plan_phase(op->plan, phase)) > 0 && truth->rights.entered < phase)
        db->violation = "a phase was entered without the approvals that it needs";
    if (right != RIGHT_BACK)
        return;
    uint32_t floor =
        zdm_plan_undo_floor(op->plan, ZDM_ENGINE_POSTGRESQL, truth->rights.back_to, zdm_plan_n_steps(op->plan));
    if (!truth->rights.going_back)
        db->violation = "something was undone without an undo order";
    else if (op->step < floor)
        db->violation = "a rollback went further back than its undo order";
    db->undone_parts++;
}

/* Whatever is journalled as done has to be so. Gates are turned by people. */
static bool is_true(const struct sim_db *db, const struct sim_schema *schema, const struct agent_journal *journal,
                    const struct agent_op *op)
{
    const struct zdm_step *step = zdm_plan_step(op->plan, op->step);
    /* Left to the comparison behind it: what was entered, a mark of the journal or the order says, new code wrote on.
     */
    uint32_t goal = sim_db_truth(db, journal)->goal;
    uint32_t reached = goal > journal->reached_phase ? goal : journal->reached_phase;
    uint32_t mark = zdm_plan_switched(op->plan, journal->switched_phase, reached);
    if (step->action == ZDM_ACTION_BACKFILL && zdm_plan_phase_of(op->plan, op->step) <= mark)
        return true;
    return step->action == ZDM_ACTION_GATE_FLAG || !zdm_step_is_for(step, ZDM_ENGINE_POSTGRESQL) ||
           sim_schema_look(schema, op->plan, op->step, journal->walked) == AGENT_PROOF_DONE;
}

/* Where the journal is past the step, triggers are repaired: rows may have passed by meanwhile. */
static void step_on(struct sim_db *db, struct agent_journal *journal, const struct agent_op *op)
{
    if (journal->step == op->step) {
        sim_journal_go_to(db, journal, op->plan, op->step + 1);
        return;
    }
    if (op->run != AGENT_RUN_INSTALL_SYNC)
        db->violation = "a step was done again where the journal is past it";
    sim_db_truth(db, journal)->schema.gap_ms = sim_db_wall_ms(db);
    db->repairs++;
}

/* And whatever is journalled as undone. In the first part of a step's way back nothing is there yet to be undone. */
static void check_step_back(struct sim_db *db, struct sim_db_truth *truth, const struct agent_op *op)
{
    enum agent_run next;
    bool back = truth->rights.going_back && zdm_plan_phase_of(op->plan, op->step) > truth->rights.back_to;
    if (back && sim_schema_look_back(&truth->schema, op->plan, op->step, &next) != AGENT_PROOF_DONE)
        db->violation = "a step was journalled as undone that is not";
    if (truth->rights.going_back)
        sim_schema_unfilled(&truth->schema, op->plan, op->step);
}

static void stop(struct agent_journal *journal, const struct sim_pending *pending)
{
    journal->failed_attempt = pending->op.attempt;
    journal->failed_step = pending->op.step;
    journal->failed_code = pending->op.failed_code;
    zdm_copy_text(journal->failed_text, sizeof journal->failed_text,
                  pending->failed_text != NULL ? pending->failed_text : "");
}

/* Another process of the same agent may have hidden the column meanwhile. */
static bool is_refused(const struct sim_schema *schema, const struct agent_op *op)
{
    const struct zdm_step *step = zdm_plan_step(op->plan, op->step);
    return (op->run == AGENT_RUN_INSTALL_SYNC && sim_schema_lacks_target(schema, op->plan, op->step)) ||
           (op->run == AGENT_RUN_UNDO_REMOVE && sim_schema_lacks_target(schema, op->plan, step->sync_step));
}

/* The change of a step, and its journal's in the same transaction where the change is transactional. */
static enum agent_outcome change(struct sim_db *db, const struct sim_pending *pending, struct agent_journal *journal,
                                 struct agent_result *result)
{
    const struct agent_op *op = &pending->op;
    struct sim_db_truth *truth = sim_db_truth(db, journal);
    const char *wrong = NULL;
    switch (op->run) {
    case AGENT_RUN_DDL:
    case AGENT_RUN_INSTALL_SYNC:
    case AGENT_RUN_REMOVE_SYNC:
    case AGENT_RUN_VALIDATE:
    case AGENT_RUN_HIDE:
    case AGENT_RUN_REINDEX:
    case AGENT_RUN_LONG_SQL:
        wrong = sim_schema_do(&truth->schema, op->plan, op->step, sim_db_wall_ms(db));
        sim_schema_write(&truth->schema, op->plan, journal->reached_phase);
        step_on(db, journal, op);
        break;
    case AGENT_RUN_WAIT:
        result->wait_ms = sim_schema_wait(&truth->schema, op->plan, op->step, sim_db_wall_ms(db));
        if (result->wait_ms > 0)
            return AGENT_EARLY;
        sim_journal_go_to(db, journal, op->plan, op->step + 1);
        break;
    case AGENT_RUN_INDEX_BUILD:
        return do_index(db, &truth->schema, op, result);
    case AGENT_RUN_INDEX_DROP_INVALID:
        truth->schema.made[op->step] = SIM_ABSENT;
        break;
    case AGENT_RUN_BOUND:
        do_bound(db, journal);
        break;
    case AGENT_RUN_BATCH:
    case AGENT_RUN_CHECK_CHUNK:
        return do_batch(db, pending, journal, result);
    case AGENT_RUN_PURGE: {
        enum agent_outcome outcome = do_purge(db, truth, op, result);
        if (outcome == AGENT_OK)
            sim_journal_go_to(db, journal, op->plan, op->step + 1);
        return outcome;
    }
    case AGENT_RUN_PURGE_LEFTOVERS:
        return do_purge_leftover(db, truth, op, result);
    case AGENT_RUN_UNDO_DDL:
    case AGENT_RUN_UNDO_SYNC:
    case AGENT_RUN_UNDO_REMOVE:
    case AGENT_RUN_UNHIDE:
    case AGENT_RUN_RESTORE:
    case AGENT_RUN_INDEX_DROP:
        wrong = sim_schema_undo(&truth->schema, op, sim_db_wall_ms(db), truth->rights.signed_away);
        break;
    case AGENT_RUN_IMAGES_BACK:
        do_images_back(db, op, journal, result);
        break;
    case AGENT_RUN_UNDO_BEGIN:
        return sim_journal_begin_undo(db, journal, pending, result);
    case AGENT_RUN_UNDO_END:
        if (journal->switched_phase > op->to_phase)
            journal->switched_phase = op->to_phase;
        break;
    case AGENT_RUN_SPEND_APPROVALS:
        return sim_journal_spend(db, journal, pending, result);
    case AGENT_RUN_STEP_DONE:
        if (op->lets_pass) {
            if (zdm_plan_step(op->plan, op->step)->derivation->both_ways)
                db->violation = "rows were let pass that can be compared";
            truth->schema.gap_ms = 0;
            db->let_pass++;
            break;
        }
        if (!is_true(db, &truth->schema, journal, op))
            db->violation = "a step was journalled as done that is not";
        sim_journal_go_to(db, journal, op->plan, op->step + 1);
        break;
    case AGENT_RUN_STEP_BACK:
        check_step_back(db, truth, op);
        sim_journal_go_to(db, journal, op->plan, op->step);
        break;
    case AGENT_RUN_STOP:
        stop(journal, pending);
        break;
    case AGENT_RUN_NONE:
        return AGENT_BUG;
    }
    if (wrong != NULL)
        db->violation = wrong;
    return AGENT_OK;
}

static void count_work(struct sim_db *db, const struct agent_op *op)
{
    enum zdm_action action = zdm_plan_step(op->plan, op->step)->action;
    enum right right = right_for(op->run);
    db->done[action] += right == RIGHT_FORWARD || right == RIGHT_PURGE || op->run == AGENT_RUN_STEP_DONE;
    db->undone[action] += right == RIGHT_BACK;
}

static enum agent_outcome do_run(struct sim_db *db, const struct sim_pending *pending, struct agent_result *result)
{
    const struct agent_op *op = &pending->op;
    struct agent_journal *journal = sim_db_journal(db, op->migration);
    if (!sim_journal_fence(journal, op)) {
        db->fenced++;
        return AGENT_FENCED;
    }
    check_rights(db, sim_db_truth(db, journal), op);
    if (is_refused(&sim_db_truth(db, journal)->schema, op)) {
        (void)zdm_error_set(&result->error, ZDM_DATABASE, "column does not exist");
        db->no_column++;
        return AGENT_FAIL;
    }
    enum agent_outcome outcome = change(db, pending, journal, result);
    if (outcome == AGENT_OK && op->step != 0)
        count_work(db, op);
    if (outcome == AGENT_OK || outcome == AGENT_ALREADY)
        sim_journal_report(result, journal);
    return outcome;
}

/* ---- Faults in front of an operation ---- */

static bool can_be_locked_out(enum agent_run run)
{
    return run == AGENT_RUN_DDL || run == AGENT_RUN_INSTALL_SYNC || run == AGENT_RUN_REMOVE_SYNC ||
           run == AGENT_RUN_HIDE || run == AGENT_RUN_PURGE || run == AGENT_RUN_PURGE_LEFTOVERS ||
           run == AGENT_RUN_UNDO_DDL || run == AGENT_RUN_UNDO_SYNC || run == AGENT_RUN_UNDO_REMOVE ||
           run == AGENT_RUN_UNHIDE;
}

/* The outcome of a fault that keeps the operation from having any effect; AGENT_OK for none. */
static enum agent_outcome hindrance(struct sim_db *db, const struct sim_pending *pending, struct agent_result *result)
{
    if (pending->cancelled) {
        (void)zdm_error_set(&result->error, ZDM_CANCELLED, "cancelled");
        return AGENT_RETRY;
    }
    if (pending->op.kind != AGENT_OP_RUN)
        return AGENT_OK;
    if (can_be_locked_out(pending->op.run) && world_chance(db->world, db->faults.lock_percent)) {
        db->locks++;
        (void)zdm_error_set(&result->error, ZDM_LOCK, "lock not available");
        zdm_copy_text(result->blocker, sizeof result->blocker, "pid 1 (app@shop)");
        result->blocker_is_autovacuum = world_chance(db->world, 20);
        return AGENT_LOCK;
    }
    if (world_chance(db->world, db->faults.retry_percent)) {
        db->retries++;
        (void)zdm_error_set(&result->error, ZDM_CONFLICT, "deadlock detected");
        return AGENT_RETRY;
    }
    bool work = pending->op.run != AGENT_RUN_STOP && pending->op.run != AGENT_RUN_STEP_DONE;
    if (work && world_chance(db->world, db->faults.fail_percent)) {
        (void)zdm_error_set(&result->error, ZDM_DATABASE, "value too long");
        return AGENT_FAIL;
    }
    return AGENT_OK;
}

struct agent_result *sim_db_perform(struct sim_db *db, const struct sim_pending *pending)
{
    struct agent_result *result = sim_db_result(pending, AGENT_OK);
    result->outcome = hindrance(db, pending, result);
    if (result->outcome != AGENT_OK)
        return result;
    switch (pending->op.kind) {
    case AGENT_OP_CONNECT:
        sim_journal_connect(db, result);
        break;
    case AGENT_OP_STORE_PLAN:
        sim_journal_store_plan(db, pending);
        break;
    case AGENT_OP_ACCEPT:
        result->outcome = sim_journal_accept(db, pending, result);
        break;
    case AGENT_OP_INSPECT:
        do_inspect(db, pending, result);
        break;
    case AGENT_OP_RUN:
        result->outcome = do_run(db, pending, result);
        break;
    case AGENT_OP_SIGNALS:
        sim_journal_describe(db, result);
        break;
    case AGENT_OP_SURVEY:
        break;
    }
    return result;
}
