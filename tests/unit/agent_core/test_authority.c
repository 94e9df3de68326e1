/*
 * test_authority.c - doors that people let the shard through: phases with approvals, purges and their grace periods,
 * what rollbacks left, and what of it the report shows.
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

static void assert_waits(struct rig *rig, enum zdm_wait wait, const char *text)
{
    const struct zdm_migration_report *said = rig_said(rig);
    assert_int_equal(said->state, ZDM_AGENT_WAITING);
    assert_int_equal(said->wait, wait);
    if (strstr(said->blocked_by, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", said->blocked_by, text);
}

/* Phase 2 destroys: its backfill has no way back. */
static void ready_with_a_destructive_phase(struct rig *rig)
{
    rig->plan->phases[1].destructive = true;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 5000);
}

static void approve(struct rig *rig, enum zdm_approval_action action, uint32_t phase, bool now)
{
    rig->n_approvals = 0;
    rig_approve(rig, RIG_ALICE, action, phase, (uint8_t)(2 * rig->n_spent + 1))->purge_now = now;
    rig_approve(rig, RIG_BOB, action, phase, (uint8_t)(2 * rig->n_spent + 2))->purge_now = now;
}

/* ---- Entering ---- */

static void phase_that_asks_for_approvals_is_entered_when_they_suffice(void **state)
{
    struct rig *rig = *state;
    ready_with_a_destructive_phase(rig);
    order(rig, 2, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 5000);
    assert_waits(rig, ZDM_WAIT_APPROVALS, "0 of 2 approvals");
    rig_approve(rig, RIG_ALICE, ZDM_APPROVE_ENTER, 2, 1);
    order(rig, 3, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 5000);
    assert_waits(rig, ZDM_WAIT_APPROVALS, "1 of 2 approvals");
    assert_int_equal(rig->runs[AGENT_RUN_SPEND_APPROVALS], 0);
    assert_int_equal(rig->runs[AGENT_RUN_BOUND], 0);
    rig_approve(rig, RIG_BOB, ZDM_APPROVE_ENTER, 2, 2);
    rig_approve(rig, RIG_CLEO, ZDM_APPROVE_ENTER, 2, 3);
    order(rig, 4, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, 2);
    assert_int_equal(rig->row_entered, 2);
    assert_int_equal(rig->n_spent, 2); /* the third was not needed, and is not spent */
}

static void repeat_brings_what_people_signed_anew(void **state)
{
    struct rig *rig = *state;
    ready_with_a_destructive_phase(rig);
    approve(rig, ZDM_APPROVE_ENTER, 2, false);
    rig->n_approvals = 1;
    order(rig, 2, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 5000);
    assert_waits(rig, ZDM_WAIT_APPROVALS, "1 of 2");
    rig->n_approvals = 2;
    order(rig, 2, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, 2);
}

static void approvals_that_do_not_count_are_named(void **state)
{
    struct rig *rig = *state;
    ready_with_a_destructive_phase(rig);
    rig->trust.people[RIG_OLGA].roles |= ZDM_ROLE_APPROVER;
    rig_trust(rig);
    rig_approve(rig, RIG_OLGA, ZDM_APPROVE_ENTER, 2, 1);
    rig_approve(rig, RIG_BOB, ZDM_APPROVE_ENTER, 2, 2)->expires_at_ms = rig_wall_ms(rig) - 1;
    rig_approve(rig, RIG_CLEO, ZDM_APPROVE_ENTER, 2, 3)->trust_version = 9;
    order(rig, 2, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 5000);
    assert_waits(rig, ZDM_WAIT_APPROVALS, "olga is signed by who submitted the plan");
    assert_waits(rig, ZDM_WAIT_APPROVALS, "bob has expired");
    assert_waits(rig, ZDM_WAIT_APPROVALS, "cleo was signed under a newer trust file");
}

static void newer_trust_file_is_judged_by_at_once(void **state)
{
    struct rig *rig = *state;
    ready_with_a_destructive_phase(rig);
    approve(rig, ZDM_APPROVE_ENTER, 2, false);
    rig->trust.people[RIG_BOB].roles = ZDM_ROLE_VIEWER;
    rig_trust(rig);
    order(rig, 2, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 5000);
    assert_waits(rig, ZDM_WAIT_APPROVALS, "that of bob is not signed by an approver");
    rig->trust.people[RIG_BOB].roles |= ZDM_ROLE_APPROVER;
    rig->trust.version++;
    rig_trust(rig);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, 2);
}

static void accept_carries_the_version_of_the_trust_file(void **state)
{
    struct rig *rig = *state;
    rig_started(rig);
    rig_answer(rig);
    rig_link(rig, true);
    order(rig, 1, ZDM_MODE_RUN, 1, 1);
    rig_plan_ready(rig);
    rig_answer(rig);
    assert_int_equal(rig->ops[0].kind, AGENT_OP_ACCEPT);
    assert_int_equal(rig->ops[0].trust_version, 3);
}

static void approvals_that_were_spent_do_not_let_in_again(void **state)
{
    struct rig *rig = *state;
    ready_with_a_destructive_phase(rig);
    approve(rig, ZDM_APPROVE_ENTER, 2, false);
    rig->spent[rig->n_spent++] = rig->approvals[0].approval.nonce;
    order(rig, 2, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 5000);
    assert_waits(rig, ZDM_WAIT_APPROVALS, "was spent");
    assert_int_equal(rig->row_entered, 0);
    assert_int_equal(rig->runs[AGENT_RUN_SPEND_APPROVALS], 1);
    approve(rig, ZDM_APPROVE_ENTER, 2, false);
    order(rig, 3, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, 2);
}

static void rollback_asks_for_new_approvals_before_the_phase_is_entered_again(void **state)
{
    struct rig *rig = *state;
    ready_with_a_destructive_phase(rig);
    approve(rig, ZDM_APPROVE_ENTER, 2, false);
    order(rig, 2, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 60000);
    rig_undo(rig, 1, 1);
    order(rig, 3, ZDM_MODE_UNDO, 1, 1);
    rig_run(rig, 60000);
    assert_true(rig_said(rig)->undone);
    assert_true(rig->row_entered <= 1);
    order(rig, 4, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 5000);
    assert_waits(rig, ZDM_WAIT_APPROVALS, "was spent");
    approve(rig, ZDM_APPROVE_ENTER, 2, false);
    order(rig, 5, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, 2);
}

static void destructive_step_begins_only_soon_after_the_coordinator_was_heard(void **state)
{
    struct rig *rig = *state;
    ready_with_a_destructive_phase(rig);
    approve(rig, ZDM_APPROVE_ENTER, 2, false);
    rig->acks = false;
    rig_run(rig, 31000);
    order(rig, 2, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 5000);
    assert_waits(rig, ZDM_WAIT_LEASE, "");
    assert_int_equal(rig->runs[AGENT_RUN_SPEND_APPROVALS] + rig->runs[AGENT_RUN_BOUND], 0);
    rig->acks = true;
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, 2);
}

/* ---- Purging ---- */

static void hide_and_let_purge(struct rig *rig, bool now)
{
    rig_ready(rig, ZDM_MODE_RUN, 4);
    rig_run(rig, 60000);
    approve(rig, ZDM_APPROVE_PURGE, 5, now);
    order(rig, 2, ZDM_MODE_RUN, 5, 1);
    rig_run(rig, 5000);
}

static void purge_waits_until_the_grace_period_is_over(void **state)
{
    struct rig *rig = *state;
    hide_and_let_purge(rig, false);
    assert_int_equal(rig->row_entered, 5);
    assert_waits(rig, ZDM_WAIT_GRACE, " UTC (grace 72h)");
    assert_waits(rig, ZDM_WAIT_GRACE, "until 2025-11-27 ");
    unsigned before = rig->reports;
    rig_run(rig, 60000);
    assert_in_range(rig->reports - before, 5, 8); /* who waits for days asks for no attention */
    assert_int_equal(rig->runs[AGENT_RUN_PURGE], 1);
    rig_run(rig, 73 * 3600000);
    assert_int_equal(rig_look(rig).proven_phase, 5);
    assert_true(rig->done[STEP_PURGE]);
}

static void purge_at_once_needs_approvals_that_say_now(void **state)
{
    struct rig *rig = *state;
    hide_and_let_purge(rig, true);
    assert_int_equal(rig_look(rig).proven_phase, 5);
    assert_true(rig->row_purge_now);
}

static void people_may_hurry_a_purge_that_waits(void **state)
{
    struct rig *rig = *state;
    hide_and_let_purge(rig, false);
    assert_waits(rig, ZDM_WAIT_GRACE, "grace");
    approve(rig, ZDM_APPROVE_PURGE, 5, true);
    rig->approvals[1].approval.purge_now = false;
    order(rig, 3, ZDM_MODE_RUN, 5, 1);
    rig_run(rig, 5000);
    assert_waits(rig, ZDM_WAIT_GRACE, "grace");
    rig->approvals[1].approval.purge_now = true;
    order(rig, 4, ZDM_MODE_RUN, 5, 1);
    rig_run(rig, 5000);
    assert_int_equal(rig_look(rig).proven_phase, 5);
}

static void approvals_for_entering_do_not_let_a_purge_in(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 4);
    rig_run(rig, 60000);
    approve(rig, ZDM_APPROVE_ENTER, 5, true);
    order(rig, 2, ZDM_MODE_RUN, 5, 1);
    rig_run(rig, 5000);
    assert_waits(rig, ZDM_WAIT_APPROVALS, "0 of 2");
}

/* ---- What rollbacks left ---- */

static void roll_back_and_order_the_purge(struct rig *rig, bool now)
{
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    rig_undo(rig, 0, 1);
    order(rig, 2, ZDM_MODE_UNDO, 0, 1);
    rig_run(rig, 60000);
    assert_true(rig_said(rig)->undone);
    rig->leftovers = 2;
    approve(rig, ZDM_APPROVE_PURGE, 0, now);
    order(rig, 3, ZDM_MODE_PURGE, 0, 1);
    rig_run(rig, 5000);
}

static void mode_purge_drops_what_rollbacks_left_and_says_so(void **state)
{
    struct rig *rig = *state;
    roll_back_and_order_the_purge(rig, true);
    assert_int_equal(rig->leftovers, 0);
    assert_true(rig_said(rig)->purged);
    assert_int_equal(rig_said(rig)->state, ZDM_AGENT_RESTING);
    assert_int_equal(rig->runs[AGENT_RUN_PURGE_LEFTOVERS], 3);
    assert_int_equal(rig->row_purge_generation, 3);
    assert_int_equal(rig->row_step, 1);
    order(rig, 4, ZDM_MODE_RUN, 0, 1);
    rig_run(rig, 5000);
    assert_false(rig_said(rig)->purged);
}

static void mode_purge_waits_for_its_time_and_goes_on_after_a_restart_without_new_approvals(void **state)
{
    struct rig *rig = *state;
    roll_back_and_order_the_purge(rig, false);
    assert_waits(rig, ZDM_WAIT_GRACE, "grace 72h");
    rig_restart(rig);
    order(rig, 3, ZDM_MODE_PURGE, 0, 1);
    rig_run(rig, 5000);
    assert_waits(rig, ZDM_WAIT_GRACE, "grace 72h");
    assert_int_equal(rig->runs[AGENT_RUN_SPEND_APPROVALS], 1);
    rig_run(rig, 74 * 3600000);
    assert_true(rig_said(rig)->purged);
}

/* Another agent acts, or an approval was withdrawn: the purge is the same, and what was spent for it stands. */
static void mode_purge_goes_on_under_a_new_number_and_not_as_a_new_attempt_or_after_another_mode(void **state)
{
    struct rig *rig = *state;
    roll_back_and_order_the_purge(rig, false);
    assert_waits(rig, ZDM_WAIT_GRACE, "grace 72h");
    order(rig, 4, ZDM_MODE_PURGE, 0, 1);
    rig_run(rig, 5000);
    assert_waits(rig, ZDM_WAIT_GRACE, "grace 72h");
    assert_int_equal(rig->row_purge_generation, 4);
    assert_int_equal(rig->runs[AGENT_RUN_SPEND_APPROVALS], 1);
    order(rig, 5, ZDM_MODE_PURGE, 0, 2);
    rig_run(rig, 5000);
    assert_waits(rig, ZDM_WAIT_APPROVALS, "0 of 2");
    order(rig, 6, ZDM_MODE_PAUSE, 0, 1);
    rig_run(rig, 5000);
    order(rig, 7, ZDM_MODE_PURGE, 0, 1);
    rig_run(rig, 5000);
    assert_waits(rig, ZDM_WAIT_APPROVALS, "0 of 2");
    rig_run(rig, 74 * 3600000);
    assert_int_equal(rig->leftovers, 2);
}

static void mode_purge_without_approvals_drops_nothing(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 5000);
    rig->leftovers = 1;
    order(rig, 2, ZDM_MODE_PURGE, 1, 1);
    rig_run(rig, 5000);
    assert_waits(rig, ZDM_WAIT_APPROVALS, "0 of 2");
    order(rig, 3, ZDM_MODE_PAUSE, 1, 1);
    rig_run(rig, 5000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_PAUSED);
    assert_int_equal(rig->leftovers, 1);
}

/* Whoever has the coordinator's key chooses the epoch, and with it which generation comes next. */
static void approvals_of_leftovers_do_not_hold_for_what_a_later_rollback_leaves(void **state)
{
    struct rig *rig = *state;
    struct zdm_directive d;
    roll_back_and_order_the_purge(rig, true);
    assert_int_equal(rig->row_purge_generation, 3);
    order(rig, 4, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, 2);
    rig_wait(rig, 60000);
    rig_undo(rig, 0, 2);
    order(rig, 5, ZDM_MODE_UNDO, 0, 1);
    rig_run(rig, 60000);
    assert_true(rig_said(rig)->undone);
    assert_int_equal(rig->leftovers, 1);
    d = rig_order(2, 3, ZDM_MODE_PURGE, 0);
    rig_send(rig, &d, 0);
    rig_run(rig, 5000);
    assert_waits(rig, ZDM_WAIT_APPROVALS, "0 of 2 approvals");
    assert_waits(rig, ZDM_WAIT_APPROVALS, "was spent");
    assert_int_equal(rig->leftovers, 1);
}

/* ---- What a rollback spends ---- */

static void rollback_spends_also_approvals_that_were_not_needed_to_enter(void **state)
{
    struct rig *rig = *state;
    ready_with_a_destructive_phase(rig);
    for (uint8_t who = RIG_ALICE; who <= RIG_CLEO; who++)
        rig_approve(rig, who, ZDM_APPROVE_ENTER, 2, who);
    order(rig, 2, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 60000);
    assert_int_equal(rig->n_spent, 2);
    rig_wait(rig, 60000);
    rig_undo(rig, 0, 1);
    order(rig, 3, ZDM_MODE_UNDO, 0, 1);
    rig_run(rig, 60000);
    assert_true(rig_said(rig)->undone);
    rig_wait(rig, 60000);
    rig_approve(rig, RIG_ALICE, ZDM_APPROVE_ENTER, 2, 11);
    order(rig, 4, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 60000);
    assert_waits(rig, ZDM_WAIT_APPROVALS, "1 of 2 approvals");
    assert_waits(rig, ZDM_WAIT_APPROVALS, "that of cleo was spent");
    rig_approve(rig, RIG_BOB, ZDM_APPROVE_ENTER, 2, 12);
    order(rig, 5, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 120000);
    assert_int_equal(rig_look(rig).proven_phase, 2);
}

static void make_one_way(struct rig *rig)
{
    rig->plan->phases[0].steps[STEP_SYNC - 1].derivation->both_ways = false;
    rig->plan->phases[1].steps[0].derivation->both_ways = false;
}

/* First to the end of phase 2, as every coordinator does it. */
static void forward_again(struct rig *rig, uint64_t generation, uint32_t goal)
{
    order(rig, generation, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 60000);
    order(rig, generation + 1, ZDM_MODE_RUN, goal, 1);
    rig_run(rig, 60000);
}

static void approvals_of_a_loss_are_spent_with_the_order_and_old_ones_do_not_stop_new_ones(void **state)
{
    struct rig *rig = *state;
    make_one_way(rig);
    rig_ready(rig, ZDM_MODE_RUN, 4);
    rig_run(rig, 60000);
    rig_approve(rig, RIG_ALICE, ZDM_APPROVE_UNDO, 0, 1);
    rig_approve(rig, RIG_BOB, ZDM_APPROVE_UNDO, 0, 2);
    rig_undo(rig, 0, 1);
    order(rig, 2, ZDM_MODE_UNDO, 0, 1);
    rig_run(rig, 60000);
    assert_true(rig_said(rig)->undone);
    assert_int_equal(rig->n_spent, 3);
    forward_again(rig, 3, 4);
    assert_int_equal(rig_look(rig).proven_phase, 4);
    rig_undo(rig, 0, 2);
    rig_approve(rig, RIG_ALICE, ZDM_APPROVE_UNDO, 0, 3);
    rig_approve(rig, RIG_CLEO, ZDM_APPROVE_UNDO, 0, 4);
    order(rig, 5, ZDM_MODE_UNDO, 0, 1);
    rig_run(rig, 60000);
    assert_string_equal(rig_said(rig)->error, "");
    assert_true(rig_said(rig)->undone);
    assert_int_equal(rig->n_spent, 6);
}

static void approvals_of_a_loss_that_were_used_begin_no_second_rollback(void **state)
{
    struct rig *rig = *state;
    make_one_way(rig);
    rig_ready(rig, ZDM_MODE_RUN, 4);
    rig_run(rig, 60000);
    rig_approve(rig, RIG_ALICE, ZDM_APPROVE_UNDO, 0, 1);
    rig_approve(rig, RIG_BOB, ZDM_APPROVE_UNDO, 0, 2);
    rig_undo(rig, 0, 1);
    order(rig, 2, ZDM_MODE_UNDO, 0, 1);
    rig_run(rig, 60000);
    forward_again(rig, 3, 4);
    rig_undo(rig, 0, 2);
    order(rig, 5, ZDM_MODE_UNDO, 0, 1);
    rig_run(rig, 60000);
    assert_int_equal(rig_said(rig)->state, ZDM_AGENT_STOPPED);
    assert_non_null(strstr(rig_said(rig)->error, "0 of 2 approvals"));
    assert_true(rig->done[STEP_HIDE]);
}

/* ---- What is hidden ---- */

static void add_hidden(struct rig *rig, const char *migration, const char *what, int64_t at_ms, bool by_rollback)
{
    struct agent_hidden *row = &rig->hidden[rig->n_hidden++];
    *row = (struct agent_hidden){.hidden_at_ms = at_ms, .by_rollback = by_rollback};
    zdm_copy_text(row->migration, sizeof row->migration, migration);
    zdm_copy_text(row->what, sizeof row->what, what);
}

static void report_shows_the_oldest_hidden_things_of_its_migration(void **state)
{
    struct rig *rig = *state;
    add_hidden(rig, "rename", "column public.users.c", 3000, false);
    add_hidden(rig, "other", "column public.users.z", 1, false);
    add_hidden(rig, "rename", "column public.users.e", 5000, false);
    add_hidden(rig, "rename", "column public.users.a", 1000, false);
    add_hidden(rig, "rename", "column public.users.d", 4000, false);
    add_hidden(rig, "rename", "column public.users.b", 2000, true);
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 10000);
    const struct zdm_migration_report *said = rig_said(rig);
    assert_int_equal(said->hidden_total, 5);
    assert_int_equal(said->n_hidden, 4);
    assert_string_equal(said->hidden[0].what, "column public.users.a");
    assert_string_equal(said->hidden[1].what, "column public.users.b, left by a rollback");
    assert_true(said->hidden[1].by_rollback);
    assert_int_equal(said->hidden[3].hidden_at_ms, 4000);
    assert_int_equal(said->hidden[3].purge_at_ms, 4000 + 72 * 3600000);
    rig->n_hidden = 0;
    rig_run(rig, 10000);
    assert_int_equal(rig_said(rig)->hidden_total, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(phase_that_asks_for_approvals_is_entered_when_they_suffice),
        TEST(repeat_brings_what_people_signed_anew),
        TEST(approvals_that_do_not_count_are_named),
        TEST(newer_trust_file_is_judged_by_at_once),
        TEST(accept_carries_the_version_of_the_trust_file),
        TEST(approvals_that_were_spent_do_not_let_in_again),
        TEST(rollback_asks_for_new_approvals_before_the_phase_is_entered_again),
        TEST(destructive_step_begins_only_soon_after_the_coordinator_was_heard),
        TEST(purge_waits_until_the_grace_period_is_over),
        TEST(purge_at_once_needs_approvals_that_say_now),
        TEST(people_may_hurry_a_purge_that_waits),
        TEST(approvals_for_entering_do_not_let_a_purge_in),
        TEST(mode_purge_drops_what_rollbacks_left_and_says_so),
        TEST(mode_purge_waits_for_its_time_and_goes_on_after_a_restart_without_new_approvals),
        TEST(mode_purge_without_approvals_drops_nothing),
        TEST(mode_purge_goes_on_under_a_new_number_and_not_as_a_new_attempt_or_after_another_mode),
        TEST(approvals_of_leftovers_do_not_hold_for_what_a_later_rollback_leaves),
        TEST(rollback_spends_also_approvals_that_were_not_needed_to_enter),
        TEST(approvals_of_a_loss_are_spent_with_the_order_and_old_ones_do_not_stop_new_ones),
        TEST(approvals_of_a_loss_that_were_used_begin_no_second_rollback),
        TEST(report_shows_the_oldest_hidden_things_of_its_migration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
