/*
 * test_sequence.c - what may stand beside what: an ACCEPT and a batch, the plans of two migrations, answers of a
 * session that was replaced, and a journal that a new process reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buffer.h"
#include "tests/unit/agent_core/rig.h"

static int setup(void **state)
{
    *state = rig_new();
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

/* Answers and waits until an operation of that kind (and run) is in flight; takes it out: the test answers it. */
static struct agent_op pull(struct rig *rig, enum agent_op_kind kind, enum agent_run run, uint32_t step)
{
    for (int i = 0; i < 10000; i++) {
        for (size_t k = 0; k < rig->n_ops; k++) {
            struct agent_op op = rig->ops[k];
            if (op.kind != kind || op.run != run || (step != 0 && op.step != step))
                continue;
            memmove(rig->ops + k, rig->ops + k + 1, (--rig->n_ops - k) * sizeof rig->ops[0]);
            return op;
        }
        if (!rig_answer(rig))
            rig_wait(rig, 10);
    }
    fail_msg("nothing of that kind was started");
    return rig->ops[0];
}

static void answer(struct rig *rig, const struct agent_op *op, enum agent_outcome outcome, enum agent_proof proof)
{
    struct agent_result result = {
        .op = op->id, .lane = op->lane, .kind = op->kind, .run = op->run, .outcome = outcome, .proof = proof};
    struct agent_input input = {.kind = AGENT_IN_OP_DONE};
    if (outcome != AGENT_OK)
        (void)zdm_error_set(&result.error, ZDM_DATABASE, "late");
    input.u.op_done = &result;
    rig_input(rig, &input);
}

/* The control session breaks and is opened anew, to the same server, while an operation of a work lane is not over. */
static void reconnect(struct rig *rig)
{
    rig->fault.kind = AGENT_OP_SIGNALS;
    rig->fault.outcome = AGENT_RETRY;
    rig->fault.code = ZDM_CLOSED;
    rig->fault.times = 1;
    for (int i = 0; i < 1000 && rig->fault.times > 0; i++)
        if (!rig_answer(rig))
            rig_wait(rig, 10);
    assert_int_equal(rig->fault.times, 0);
    assert_int_equal(rig->n_ops, 1);
    assert_int_equal(rig->ops[0].kind, AGENT_OP_CONNECT);
    rig_answer(rig);
}

/* ---- An answer of a session that was replaced ---- */

static void late_proof_of_a_replaced_session_proves_nothing(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    struct agent_op look = pull(rig, AGENT_OP_INSPECT, AGENT_RUN_NONE, STEP_COLUMN);
    reconnect(rig);
    answer(rig, &look, AGENT_OK, AGENT_PROOF_DONE);
    assert_null(rig_in_flight(rig, AGENT_RUN_STEP_DONE));
    rig_run(rig, 5000);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 1);
    assert_int_equal(rig_look(rig).proven_phase, 1);
}

static void late_failure_of_a_replaced_session_stops_nothing(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    struct agent_op batch = pull(rig, AGENT_OP_RUN, AGENT_RUN_BATCH, STEP_BACKFILL);
    reconnect(rig);
    answer(rig, &batch, AGENT_FAIL, AGENT_PROOF_NONE);
    rig_run(rig, 60000);
    assert_int_equal(rig->runs[AGENT_RUN_STOP], 0);
    assert_int_equal(rig_look(rig).proven_phase, 2);
}

static void late_answer_of_a_replaced_session_makes_the_journal_be_read_again(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    struct agent_op batch = pull(rig, AGENT_OP_RUN, AGENT_RUN_BATCH, STEP_BACKFILL);
    reconnect(rig);
    answer(rig, &batch, AGENT_OK, AGENT_PROOF_NONE);
    assert_int_equal(rig->n_ops, 1);
    assert_int_equal(rig->ops[0].kind, AGENT_OP_CONNECT);
}

/* ---- Another process with the same key ---- */

static void watch_attempts(struct rig *rig, const struct agent_op *op)
{
    if (op->kind == AGENT_OP_RUN)
        assert_int_equal(op->attempt, rig->row_order.attempt);
}

static void stop_that_another_process_journalled_stops_this_one_too(void **state)
{
    struct rig *rig = *state;
    rig->rows = 100000;
    rig->watch = watch_attempts;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 2000);
    unsigned before = rig->runs[AGENT_RUN_BATCH];
    rig->row_failed_attempt = 1;
    rig->row_failed_code = ZDM_DATABASE;
    rig_run(rig, 10000);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], before);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_STOPPED);
    struct zdm_directive d = rig_order(1, 2, ZDM_MODE_RUN, 2);
    d.attempt = 2;
    rig_send(rig, &d, 0);
    rig_run(rig, 10000);
    assert_true(rig->runs[AGENT_RUN_BATCH] > before);
}

/* ---- An order beside work ---- */

/* What may be in flight when an ACCEPT is started. */
static void watch_accepts(struct rig *rig, const struct agent_op *op)
{
    if (op->kind != AGENT_OP_ACCEPT)
        return;
    for (size_t i = 0; i < rig->n_ops; i++)
        if (rig->ops[i].kind == AGENT_OP_INSPECT || rig->ops[i].kind == AGENT_OP_RUN)
            assert_int_equal(rig->ops[i].run, AGENT_RUN_INDEX_BUILD);
}

static void accept_waits_for_the_batch_of_its_migration(void **state)
{
    struct rig *rig = *state;
    rig->rows = 100000;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    struct agent_op batch = pull(rig, AGENT_OP_RUN, AGENT_RUN_BATCH, STEP_BACKFILL);
    struct zdm_directive d = rig_order(1, 2, ZDM_MODE_RUN, 2);
    rig_send(rig, &d, 0);
    for (int i = 0; i < 100; i++) {
        for (size_t k = 0; k < rig->n_ops; k++)
            assert_int_not_equal(rig->ops[k].kind, AGENT_OP_ACCEPT);
        if (!rig_answer(rig))
            rig_wait(rig, 10);
    }
    assert_int_equal(rig->row_order.fence.generation, 1);
    answer(rig, &batch, AGENT_RETRY, AGENT_PROOF_NONE);
    (void)pull(rig, AGENT_OP_ACCEPT, AGENT_RUN_NONE, 0);
}

static void no_accept_is_started_beside_work_that_writes_the_row(void **state)
{
    struct rig *rig = *state;
    uint64_t generation = 1;
    rig->watch = watch_accepts;
    rig_ready(rig, ZDM_MODE_RUN, 4);
    for (int i = 0; i < 1000 && rig_look(rig).proven_phase < 4; i++) {
        if (rig_in_flight(rig, AGENT_RUN_INDEX_BUILD) == NULL) {
            struct zdm_directive d = rig_order(1, ++generation, ZDM_MODE_RUN, 4);
            rig_send(rig, &d, 0);
        }
        if (!rig_answer(rig))
            rig_wait(rig, 10);
    }
    rig_run(rig, 30000);
    assert_int_equal(rig_look(rig).proven_phase, 4);
    assert_int_equal(rig_look(rig).accepted.generation, generation);
}

/* ---- Two migrations ---- */

static struct zdm_plan *other_plan(void)
{
    struct zdm_plan *plan = rig_plan();
    zdm_copy_text(plan->id, sizeof plan->id, "other");
    plan->hash.bytes[0] = 88;
    return plan;
}

static struct zdm_directive other_order(void)
{
    struct zdm_directive d = rig_order(1, 1, ZDM_MODE_RUN, 1);
    zdm_copy_text(d.migration, sizeof d.migration, "other");
    d.plan_hash.bytes[0] = 88;
    return d;
}

static void plan_goes_to_the_order_that_names_it_and_to_no_other(void **state)
{
    struct rig *rig = *state;
    struct zdm_plan *own = rig->plan, *other = other_plan();
    struct zdm_directive first = rig_order(1, 1, ZDM_MODE_RUN, 1), second = other_order();
    rig_started(rig);
    rig_answer(rig);
    rig_link(rig, true);
    rig_send(rig, &first, 0);
    rig_send(rig, &second, 0);
    rig->plan = other;
    rig_plan_ready(rig);
    struct agent_op store = pull(rig, AGENT_OP_STORE_PLAN, AGENT_RUN_NONE, 0);
    assert_string_equal(store.migration, "other");
    assert_int_equal(store.digest.bytes[0], 88);
    answer(rig, &store, AGENT_OK, AGENT_PROOF_NONE);
    struct agent_op accept = pull(rig, AGENT_OP_ACCEPT, AGENT_RUN_NONE, 0);
    assert_string_equal(accept.migration, "other");
    assert_string_equal(accept.plan->id, "other");
    answer(rig, &accept, AGENT_RETRY, AGENT_PROOF_NONE);
    assert_int_equal(rig_said(rig)->error_code, ZDM_OK);
    assert_int_equal(rig_said(rig)->wait, ZDM_WAIT_PLAN);
    rig->plan = own;
    rig_plan_ready(rig);
    store = pull(rig, AGENT_OP_STORE_PLAN, AGENT_RUN_NONE, 0);
    assert_string_equal(store.migration, "rename");
    assert_string_equal(store.plan->id, "rename");
    assert_int_equal(store.digest.bytes[0], 77);
    zdm_plan_unref(other);
}

static void each_row_of_the_journal_keeps_its_own_plan(void **state)
{
    struct rig *rig = *state;
    struct zdm_plan *other = other_plan(), *plans[2] = {rig->plan, other};
    struct zdm_directive first = rig_order(1, 1, ZDM_MODE_RUN, 1), second = other_order();
    const struct zdm_directive *orders[2] = {&first, &second};
    struct agent_journal rows[2] = {{.migration = "rename", .step = 1}, {.migration = "other", .step = 1}};
    rig_started(rig);
    struct agent_result result = {.op = rig->ops[0].id, .kind = AGENT_OP_CONNECT, .outcome = AGENT_OK};
    result.connected = result.writable = true;
    result.engine = ZDM_ENGINE_POSTGRESQL;
    for (size_t i = 0; i < 2; i++) {
        rows[i].plan_hash = plans[i]->hash;
        rows[i].accepted = orders[i]->fence;
    }
    result.journals = rows;
    result.n_journals = 2;
    struct agent_input input = {
        .kind = AGENT_IN_OP_DONE, .journal_directives = orders, .journal_plans = plans, .u.op_done = &result};
    rig_input(rig, &input);
    assert_ptr_equal(agent_core_plan_step(rig->core, "rename", 1), zdm_plan_step(rig->plan, 1));
    assert_ptr_equal(agent_core_plan_step(rig->core, "other", 1), zdm_plan_step(other, 1));
    zdm_plan_unref(other);
}

/* ---- A new process ---- */

static unsigned looked_at[RIG_STEPS + 1];

static void watch_looks(struct rig *rig, const struct agent_op *op)
{
    (void)rig;
    if (op->kind == AGENT_OP_INSPECT)
        looked_at[op->step]++;
}

/* Two phases done, then the agent's process is another one, and nothing was asked of it yet. */
static void work_and_restart(struct rig *rig)
{
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, 2);
    rig_replace_agent(rig);
    rig_started(rig);
    rig_answer(rig);
    rig_link(rig, true);
    memset(looked_at, 0, sizeof looked_at);
    rig->watch = watch_looks;
}

static void restarted_agent_proves_nothing_that_it_has_not_looked_at(void **state)
{
    struct rig *rig = *state;
    static const uint32_t asked[] = {STEP_COLUMN, STEP_SYNC, STEP_BACKFILL, STEP_COMPARE, STEP_INDEX, STEP_VALIDATE};
    work_and_restart(rig);
    assert_false(rig_said(rig)->proven);
    struct zdm_directive d = rig_order(1, 1, ZDM_MODE_RUN, 2);
    rig_send(rig, &d, 0);
    assert_false(rig_said(rig)->proven);
    rig_run(rig, 5000);
    assert_true(rig_said(rig)->proven);
    assert_int_equal(rig_look(rig).proven_phase, 2);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++)
        assert_int_equal(looked_at[asked[i]], 1);
    assert_int_equal(looked_at[STEP_MYSQL], 0);
}

static void step_that_was_lost_while_the_agent_was_down_is_noticed(void **state)
{
    struct rig *rig = *state;
    work_and_restart(rig);
    rig->done[STEP_COLUMN] = false;
    struct zdm_directive d = rig_order(1, 1, ZDM_MODE_RUN, 2);
    rig_send(rig, &d, 0);
    while (rig->runs[AGENT_RUN_STEP_BACK] == 0 && rig_answer(rig))
        assert_false(rig_said(rig)->proven && rig_said(rig)->proven_phase == 2);
    assert_int_equal(rig->runs[AGENT_RUN_STEP_BACK], 1);
    rig_run(rig, 60000);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(late_proof_of_a_replaced_session_proves_nothing),
        TEST(late_failure_of_a_replaced_session_stops_nothing),
        TEST(late_answer_of_a_replaced_session_makes_the_journal_be_read_again),
        TEST(stop_that_another_process_journalled_stops_this_one_too),
        TEST(accept_waits_for_the_batch_of_its_migration),
        TEST(no_accept_is_started_beside_work_that_writes_the_row),
        TEST(plan_goes_to_the_order_that_names_it_and_to_no_other),
        TEST(each_row_of_the_journal_keeps_its_own_plan),
        TEST(restarted_agent_proves_nothing_that_it_has_not_looked_at),
        TEST(step_that_was_lost_while_the_agent_was_down_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
