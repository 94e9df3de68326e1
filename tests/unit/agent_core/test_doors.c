/*
 * test_doors.c - every door once more, at the moment that matters: what was allowed a minute ago, by somebody who has
 * left since, or by approvals that say more or less than the act that they are used for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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

static void order(struct rig *rig, uint64_t generation, enum zdm_mode mode, uint32_t goal, uint32_t attempt)
{
    struct zdm_directive d = rig_order(1, generation, mode, goal);
    d.attempt = attempt;
    rig_send(rig, &d, 0);
}

static void approve(struct rig *rig, enum zdm_approval_action action, uint32_t phase, uint8_t nonce, bool now)
{
    rig->n_approvals = 0;
    rig_approve(rig, RIG_ALICE, action, phase, nonce)->purge_now = now;
    rig_approve(rig, RIG_BOB, action, phase, (uint8_t)(nonce + 1))->purge_now = now;
}

static void run_until(struct rig *rig, enum agent_run run)
{
    for (int i = 0; i < 100000 && rig->runs[run] == 0; i++)
        if (!rig_answer(rig))
            rig_wait(rig, 10);
    assert_int_equal(rig->runs[run], 1);
}

/* Looking fails for so long that the lease is not fresh any more. */
static void grow_stale(struct rig *rig)
{
    rig->fault.kind = AGENT_OP_INSPECT;
    rig->fault.outcome = AGENT_RETRY;
    rig->fault.code = ZDM_DATABASE;
    rig->fault.times = 1000000;
    rig->acks = false;
    rig_run(rig, 40000);
    rig->fault.times = 0;
    rig_run(rig, 10000);
}

static void assert_waits_for_the_lease(struct rig *rig)
{
    assert_int_equal(rig_said(rig)->state, ZDM_AGENT_WAITING);
    assert_int_equal(rig_said(rig)->wait, ZDM_WAIT_LEASE);
}

/* ---- Not heard for half a minute ---- */

static void destructive_step_of_a_phase_that_was_entered_waits_for_a_fresh_lease_too(void **state)
{
    struct rig *rig = *state;
    rig->plan->phases[1].destructive = true;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 5000);
    approve(rig, ZDM_APPROVE_ENTER, 2, 1, false);
    order(rig, 2, ZDM_MODE_RUN, 2, 1);
    run_until(rig, AGENT_RUN_SPEND_APPROVALS);
    grow_stale(rig);
    assert_int_equal(rig->runs[AGENT_RUN_BOUND], 0);
    assert_waits_for_the_lease(rig);
    rig->acks = true;
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, 2);
}

static void undo_and_leave(struct rig *rig, int leftovers)
{
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    rig_undo(rig, 0, 1);
    order(rig, 2, ZDM_MODE_UNDO, 0, 1);
    rig_run(rig, 60000);
    assert_true(rig_said(rig)->undone);
    rig->leftovers = leftovers;
}

static void leftovers_are_neither_let_in_nor_dropped_without_a_fresh_lease(void **state)
{
    struct rig *rig = *state;
    rig->plan->grace_ms = 100000;
    undo_and_leave(rig, 2);
    rig->hidden_at_ms = rig_wall_ms(rig);
    rig->acks = false;
    rig_run(rig, 31000);
    approve(rig, ZDM_APPROVE_PURGE, 0, 1, false);
    order(rig, 3, ZDM_MODE_PURGE, 0, 1);
    rig_run(rig, 5000);
    assert_int_equal(rig->runs[AGENT_RUN_SPEND_APPROVALS], 0);
    assert_waits_for_the_lease(rig);
    rig->acks = true;
    rig_run(rig, 12000);
    assert_int_equal(rig->runs[AGENT_RUN_SPEND_APPROVALS], 1);
    assert_int_equal(rig_said(rig)->wait, ZDM_WAIT_GRACE);
    rig->acks = false; /* the grace period ends while nobody is heard */
    rig_run(rig, 120000);
    assert_int_equal(rig->leftovers, 2);
    assert_waits_for_the_lease(rig);
    rig->acks = true;
    rig_run(rig, 60000);
    assert_int_equal(rig->leftovers, 0);
}

/* ---- What approvals say ---- */

static void now_of_an_approval_to_enter_means_nothing(void **state)
{
    struct rig *rig = *state;
    rig->plan->phases[1].destructive = true;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 5000);
    approve(rig, ZDM_APPROVE_ENTER, 2, 1, true);
    order(rig, 2, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, 2);
    assert_int_equal(rig->row_entered, 2);
    assert_false(rig->row_purge_now);
}

static void approvals_of_a_purge_are_spent_once_also_when_their_answer_says_little(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 4);
    rig_run(rig, 60000);
    rig->fault.kind = AGENT_OP_RUN;
    rig->fault.run = AGENT_RUN_SPEND_APPROVALS;
    rig->fault.outcome = AGENT_OK;
    rig->fault.applied = true; /* and the journal does not come with the answer */
    rig->fault.times = 1;
    approve(rig, ZDM_APPROVE_PURGE, 5, 1, true);
    order(rig, 2, ZDM_MODE_RUN, 5, 1);
    rig_run(rig, 5000);
    assert_int_equal(rig_look(rig).proven_phase, 5);
    assert_int_equal(rig->runs[AGENT_RUN_SPEND_APPROVALS], 1);
    assert_int_equal(rig->runs[AGENT_RUN_PURGE], 1);
}

/* ---- Who has left ---- */

static void rollback_stops_where_it_is_when_who_ordered_it_is_no_operator_any_more(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 4);
    rig_run(rig, 60000);
    rig_undo(rig, 0, 1);
    order(rig, 2, ZDM_MODE_UNDO, 0, 2);
    run_until(rig, AGENT_RUN_UNHIDE);
    rig->trust.people[RIG_OLGA].roles = ZDM_ROLE_VIEWER;
    rig->trust.version++;
    rig_trust(rig);
    rig_run(rig, 60000);
    assert_int_equal(rig_said(rig)->state, ZDM_AGENT_STOPPED);
    assert_non_null(strstr(rig_said(rig)->error, "not signed by an operator"));
    assert_int_equal(rig->runs[AGENT_RUN_UNDO_SYNC] + rig->runs[AGENT_RUN_INDEX_DROP], 0);
    assert_true(rig->done[STEP_COLUMN]);
}

static void without_a_trust_file_a_rollback_waits_and_does_not_fail(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    rig_replace_agent(rig);
    rig_input(rig, &(struct agent_input){.kind = AGENT_IN_STARTED});
    rig_link(rig, true);
    rig_run(rig, 1000);
    rig_undo(rig, 0, 1);
    order(rig, 2, ZDM_MODE_UNDO, 0, 2);
    rig_run(rig, 5000);
    assert_int_equal(rig_said(rig)->state, ZDM_AGENT_WAITING);
    assert_string_equal(rig_said(rig)->blocked_by, "no trust file is in force yet");
    rig_trust(rig);
    rig_run(rig, 60000);
    assert_true(rig_said(rig)->undone);
}

/* ---- What was lost, and what a rollback may lose ---- */

static void lost_step_of_a_phase_that_people_let_in_is_not_worked_again_by_itself(void **state)
{
    struct rig *rig = *state;
    rig->plan->phases[1].destructive = true;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 5000);
    approve(rig, ZDM_APPROVE_ENTER, 2, 1, false);
    order(rig, 2, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, 2);
    rig->done[STEP_INDEX] = false;
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-2");
    rig_run(rig, 6000);
    order(rig, 2, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 6000);
    assert_int_equal(rig_said(rig)->state, ZDM_AGENT_UNSURE);
    assert_int_equal(rig->runs[AGENT_RUN_INDEX_BUILD], 1);
}

/* The journal stands at the first step of the switch phase, which an order let the shard into: it may have begun. */
static void switch_that_may_have_begun_counts_as_entered_when_the_loss_is_judged(void **state)
{
    struct rig *rig = *state;
    struct zdm_step *step = &rig->plan->phases[2].steps[0];
    rig->plan->phases[0].steps[2].derivation->both_ways = false;
    rig->plan->phases[1].steps[0].derivation->both_ways = false;
    step->kind = ZDM_STEP_DDL;
    step->action = ZDM_ACTION_ADD_CHECK;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    order(rig, 2, ZDM_MODE_PAUSE, 3, 1);
    rig_run(rig, 5000);
    assert_int_equal(rig->row_step, STEP_FLAG);
    rig_undo(rig, 0, 1);
    order(rig, 3, ZDM_MODE_UNDO, 0, 2);
    rig_run(rig, 5000);
    assert_int_equal(rig_said(rig)->state, ZDM_AGENT_STOPPED);
    assert_non_null(strstr(rig_said(rig)->error, "0 of 2 approvals"));
    assert_int_equal(rig->runs[AGENT_RUN_UNDO_BEGIN], 0);
}

static void shard_that_is_paused_half_way_back_is_not_taken_for_a_loss_after_a_restart(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 4);
    rig_run(rig, 60000);
    rig_undo(rig, 0, 1);
    order(rig, 2, ZDM_MODE_UNDO, 0, 2);
    run_until(rig, AGENT_RUN_INDEX_DROP);
    order(rig, 3, ZDM_MODE_PAUSE, 0, 2);
    rig_run(rig, 5000);
    rig_restart(rig);
    order(rig, 3, ZDM_MODE_PAUSE, 0, 2);
    rig_run(rig, 20000);
    assert_int_equal(rig_said(rig)->state, ZDM_AGENT_PAUSED);
    assert_string_equal(rig_said(rig)->error, "");
    order(rig, 4, ZDM_MODE_UNDO, 0, 2);
    rig_run(rig, 60000);
    assert_true(rig_said(rig)->undone);
}

#define A_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        A_TEST(destructive_step_of_a_phase_that_was_entered_waits_for_a_fresh_lease_too),
        A_TEST(leftovers_are_neither_let_in_nor_dropped_without_a_fresh_lease),
        A_TEST(now_of_an_approval_to_enter_means_nothing),
        A_TEST(approvals_of_a_purge_are_spent_once_also_when_their_answer_says_little),
        A_TEST(rollback_stops_where_it_is_when_who_ordered_it_is_no_operator_any_more),
        A_TEST(without_a_trust_file_a_rollback_waits_and_does_not_fail),
        A_TEST(lost_step_of_a_phase_that_people_let_in_is_not_worked_again_by_itself),
        A_TEST(switch_that_may_have_begun_counts_as_entered_when_the_loss_is_judged),
        A_TEST(shard_that_is_paused_half_way_back_is_not_taken_for_a_loss_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
