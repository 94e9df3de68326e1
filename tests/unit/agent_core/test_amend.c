/*
 * test_amend.c - another plan for a migration that is under way: taken where all that was entered is the same, refused
 * with words where it is not; waits at gates, readers on replicas and what is never repeated unasked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/agent_core/rig.h"

enum { OLD = 77, NEW = 78 };

static void set_digests(struct zdm_plan *plan)
{
    for (size_t i = 0; i < plan->n_phases; i++)
        plan->phases[i].digest.bytes[0] = (uint8_t)(i + 1);
}

/* The same plan but for the phases from `first_other` on. */
static struct rig *rig_amended(uint32_t first_other)
{
    struct rig *rig = rig_new();
    rig->amended = rig_plan();
    rig->amended->hash.bytes[0] = NEW;
    set_digests(rig->plan);
    set_digests(rig->amended);
    for (size_t i = first_other - 1; i < rig->amended->n_phases; i++)
        rig->amended->phases[i].digest.bytes[1] = 9;
    return rig;
}

static struct zdm_directive order(uint64_t generation, enum zdm_mode mode, uint32_t goal, uint8_t plan)
{
    struct zdm_directive d = rig_order(1, generation, mode, goal);
    d.plan_hash.bytes[0] = plan;
    return d;
}

static void send(struct rig *rig, uint64_t generation, enum zdm_mode mode, uint32_t goal, uint8_t plan)
{
    struct zdm_directive d = order(generation, mode, goal, plan);
    rig_send(rig, &d, 0);
}

static void amend(struct rig *rig, uint64_t generation, enum zdm_mode mode, uint32_t goal)
{
    send(rig, generation, mode, goal, NEW);
    rig_amended_ready(rig);
}

static void assert_rests(struct rig *rig, uint64_t generation, uint32_t phase)
{
    assert_int_equal(rig_look(rig).accepted.generation, generation);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_RESTING);
    assert_int_equal(rig_look(rig).proven_phase, phase);
}

static void assert_refused(struct rig *rig, uint64_t generation, const char *words)
{
    const struct zdm_migration_report *said = rig_said(rig);
    assert_int_equal(rig_look(rig).accepted.generation, generation);
    assert_int_equal(said->state, ZDM_AGENT_PAUSED);
    assert_int_equal(said->error_code, ZDM_REFUSED);
    if (strstr(said->error, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", said->error, words);
}

/* ---- Taken ---- */

static void a_plan_with_another_later_phase_is_taken_and_all_is_looked_at_again(void **state)
{
    (void)state;
    struct rig *rig = rig_amended(4);
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_rests(rig, 1, 2);
    unsigned fetches = rig->fetches;
    send(rig, 2, ZDM_MODE_RUN, 2, NEW);
    assert_int_equal(rig->fetches, fetches + 1);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_RESTING); /* until it is there */
    rig_amended_ready(rig);
    rig->done[STEP_SYNC] = false;
    rig_run(rig, 60000);
    assert_true(rig->done[STEP_SYNC]);
    assert_rests(rig, 2, 2);
    assert_int_equal(rig->row_order.plan_hash.bytes[0], NEW);
    send(rig, 3, ZDM_MODE_RUN, 4, NEW);
    rig_run(rig, 60000);
    assert_rests(rig, 3, 4);
    rig_free(rig);
}

static void what_let_an_unchanged_phase_in_stands(void **state)
{
    (void)state;
    struct rig *rig = rig_amended(3);
    rig->plan->phases[1].approvals = rig->amended->phases[1].approvals = 2;
    rig_approve(rig, RIG_ALICE, ZDM_APPROVE_ENTER, 2, 1);
    rig_approve(rig, RIG_BOB, ZDM_APPROVE_ENTER, 2, 2);
    rig->rows = 100000;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 3000);
    assert_true(rig->row_cursor > 0);
    assert_int_equal(rig->row_entered, 2);
    amend(rig, 2, ZDM_MODE_RUN, 2);
    rig_run(rig, 600000);
    assert_rests(rig, 2, 2);
    assert_int_equal(rig->row_entered, 2);
    assert_int_equal(rig->runs[AGENT_RUN_SPEND_APPROVALS], 1);
    assert_int_equal(rig->runs[AGENT_RUN_BOUND], 2); /* of the backfill and of the comparison, once each */
    rig_free(rig);
}

static void a_crash_between_storing_and_accepting_leaves_the_old_plan_standing(void **state)
{
    (void)state;
    struct rig *rig = rig_amended(3);
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    amend(rig, 2, ZDM_MODE_RUN, 2);
    assert_int_equal(rig->ops[0].kind, AGENT_OP_STORE_PLAN);
    rig_answer(rig);
    assert_int_equal(rig->ops[0].kind, AGENT_OP_ACCEPT);
    assert_true(rig->ops[0].amends);
    rig_replace_agent(rig);
    rig_started(rig);
    rig_link(rig, true);
    rig_run(rig, 5000);
    assert_int_equal(rig_look(rig).accepted.generation, 1);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_ASKING);
    amend(rig, 2, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_rests(rig, 2, 2);
    rig_free(rig);
}

/* Another process with this agent's key took orders back to the end of phase 2, and carried them out. */
static void roll_back_behind_its_back(struct rig *rig)
{
    rig->row_order.fence.generation++;
    rig->row_order.mode = ZDM_MODE_PAUSE;
    rig->row_order.goal_phase = 2;
    rig->row_digest.bytes[0]++;
    rig->row_step = STEP_FLAG;
    rig->row_reached = 2;
}

static void a_refusal_from_memory_is_judged_anew_by_the_journal(void **state)
{
    (void)state;
    struct rig *rig = rig_amended(3);
    rig_ready(rig, ZDM_MODE_RUN, 3);
    rig_run(rig, 60000);
    assert_rests(rig, 1, 3);
    roll_back_behind_its_back(rig);
    amend(rig, 3, ZDM_MODE_RUN, 3);
    rig_run(rig, 60000);
    assert_rests(rig, 3, 3);
    assert_int_equal(rig->row_order.plan_hash.bytes[0], NEW);
    rig_free(rig);
}

static unsigned connects, accepts;

static void count_reads(struct rig *rig, const struct agent_op *op)
{
    (void)rig;
    connects += op->kind == AGENT_OP_CONNECT;
    accepts += op->kind == AGENT_OP_ACCEPT;
}

static void a_refusal_that_stands_reads_the_journal_ever_more_rarely(void **state)
{
    (void)state;
    struct rig *rig = rig_amended(3);
    rig_ready(rig, ZDM_MODE_RUN, 3);
    rig_run(rig, 60000);
    amend(rig, 3, ZDM_MODE_RUN, 3);
    rig_run(rig, 30000);
    assert_refused(rig, 1, "has entered phase 3");
    rig->watch = count_reads;
    connects = 0;
    rig_run(rig, 6 * 3600000);
    assert_in_range(connects, 8, 13); /* after 1, 2, 4, … minutes, then every hour */
    roll_back_behind_its_back(rig);
    rig_run(rig, 2 * 3600000);
    assert_rests(rig, 3, 3);
    rig_free(rig);
}

/* ---- A row that does not verify ---- */

/* Its signer has left, and the agent was away or has read its journal anew. */
static struct rig *rig_unread(void)
{
    struct rig *rig = rig_amended(4);
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    rig->row_why = "plan is signed by eve, who is no operator";
    rig_restart(rig);
    rig->watch = count_reads;
    connects = accepts = 0;
    return rig;
}

static void assert_barred(struct rig *rig, const char *words)
{
    const struct zdm_migration_report *said = rig_said(rig);
    assert_int_equal(said->state, ZDM_AGENT_PAUSED);
    assert_int_equal(said->error_code, ZDM_REFUSED);
    if (strstr(said->error, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", said->error, words);
    assert_true(said->hint[0] != '\0');
    assert_int_equal(accepts, 0);
}

static void another_plan_over_a_row_that_does_not_verify_is_refused_until_that_one_is_signed_anew(void **state)
{
    (void)state;
    struct rig *rig = rig_unread();
    amend(rig, 2, ZDM_MODE_RUN, 2);
    rig_run(rig, 600000);
    assert_barred(rig, "the journal stands under plan 4d0000000000, which does not verify: plan is signed by eve");
    assert_in_range(connects, 1, 6);
    send(rig, 3, ZDM_MODE_RUN, 2, OLD);
    rig_plan_ready(rig);
    rig->row_why = NULL; /* stored with it */
    rig_run(rig, 60000);
    assert_rests(rig, 3, 2);
    amend(rig, 4, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_rests(rig, 4, 2);
    assert_int_equal(rig->row_order.plan_hash.bytes[0], NEW);
    rig_free(rig);
}

/* Whoever signed the other plan answers for what was done: it is the same, byte for byte. */
static void another_plan_with_the_phases_that_were_entered_leads_out_though_the_signer_has_left(void **state)
{
    (void)state;
    struct rig *rig = rig_amended(3);
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    rig->row_why = "plan is signed by eve, who is no operator";
    rig->row_former = true;
    rig_restart(rig);
    amend(rig, 2, ZDM_MODE_RUN, 2);
    for (int i = 0; i < 20 && rig->row_order.plan_hash.bytes[0] != NEW; i++)
        if (!rig_answer(rig))
            rig_wait(rig, 100);
    rig->row_why = NULL; /* it is this order's from then on */
    rig_run(rig, 60000);
    assert_rests(rig, 2, 2);
    assert_int_equal(rig->row_order.plan_hash.bytes[0], NEW);
    assert_int_equal(rig->row_reached, 2);
    rig_free(rig);
}

static void another_plan_with_other_phases_than_were_entered_is_refused_and_says_what_leads_out(void **state)
{
    (void)state;
    struct rig *rig = rig_amended(2);
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    rig->row_why = "plan is signed by eve, who is no operator";
    rig->row_former = true;
    rig_restart(rig);
    rig->watch = count_reads;
    connects = accepts = 0;
    amend(rig, 2, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_barred(rig, "which does not verify: plan is signed by eve");
    /* The coordinator reads that: it is of no order that was taken, and what leads out comes first. */
    assert_int_equal(rig_said(rig)->accepted.generation, 0);
    assert_int_equal(strncmp(rig_said(rig)->hint, ZDM_HINT_AMEND, strlen(ZDM_HINT_AMEND)), 0);
    assert_non_null(
        strstr(rig_said(rig)->hint, "with phases 1 to 2 as they were. Or leave the shard out, zdmctl exclude"));
    rig_free(rig);
}

static void a_newer_trust_file_that_names_the_signer_lets_the_other_plan_in_at_once(void **state)
{
    (void)state;
    struct rig *rig = rig_unread();
    amend(rig, 2, ZDM_MODE_RUN, 2);
    rig_run(rig, 20 * 3600000);
    assert_barred(rig, "which does not verify");
    rig->row_why = NULL;
    rig_trust(rig);
    rig_run(rig, 60000);
    assert_rests(rig, 2, 2);
    assert_int_equal(rig->row_order.plan_hash.bytes[0], NEW);
    rig_free(rig);
}

/* The journal says so, and nobody could read it when the order was taken. */
static void a_shard_that_has_stopped_stays_so_when_its_plan_is_signed_anew(void **state)
{
    (void)state;
    struct rig *rig = rig_amended(3);
    rig_fail_once(rig, AGENT_RUN_INDEX_BUILD, ZDM_DATABASE);
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_STOPPED);
    rig->row_why = "plan is signed by eve, who is no operator";
    rig_restart(rig);
    unsigned builds = rig->runs[AGENT_RUN_INDEX_BUILD];
    send(rig, 2, ZDM_MODE_RUN, 2, OLD);
    rig_plan_ready(rig);
    rig->row_why = NULL;
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).accepted.generation, 2);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_STOPPED);
    assert_int_equal(rig->runs[AGENT_RUN_INDEX_BUILD], builds);
    rig_free(rig);
}

static void an_order_before_that_of_a_row_that_does_not_verify_is_refused_with_words(void **state)
{
    (void)state;
    struct rig *rig = rig_unread();
    rig->row_order.fence.generation = 9;
    rig->row_why = "directive is for shard shard-2 and this is shard-1";
    rig_restart(rig);
    accepts = 0;
    send(rig, 2, ZDM_MODE_RUN, 2, OLD);
    rig_plan_ready(rig);
    rig_run(rig, 600000);
    assert_barred(rig, "the journal holds a later order, which does not verify: directive is for shard shard-2");
    send(rig, 10, ZDM_MODE_RUN, 2, OLD);
    rig_plan_ready(rig);
    rig->row_why = NULL; /* it is this order's from then on */
    rig_run(rig, 60000);
    assert_rests(rig, 10, 2);
    rig_free(rig);
}

static void a_paused_shard_takes_it_and_goes_on_where_it_was(void **state)
{
    (void)state;
    struct rig *rig = rig_amended(3);
    rig->rows = 100000;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 2000);
    send(rig, 2, ZDM_MODE_PAUSE, 2, OLD);
    rig_run(rig, 5000);
    int cursor = rig->row_cursor;
    assert_true(cursor > 0);
    amend(rig, 3, ZDM_MODE_PAUSE, 2);
    rig_run(rig, 5000);
    assert_int_equal(rig_look(rig).accepted.generation, 3);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_PAUSED);
    assert_int_equal(rig->row_cursor, cursor);
    send(rig, 4, ZDM_MODE_RUN, 2, NEW);
    rig_run(rig, 600000);
    assert_rests(rig, 4, 2);
    rig_free(rig);
}

static void a_stopped_shard_takes_it_and_works_only_for_a_higher_attempt(void **state)
{
    (void)state;
    struct rig *rig = rig_amended(3);
    rig_fail_once(rig, AGENT_RUN_INDEX_BUILD, ZDM_DATABASE);
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_STOPPED);
    amend(rig, 2, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).accepted.generation, 2);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_STOPPED);
    struct zdm_directive d = order(3, ZDM_MODE_RUN, 2, NEW);
    d.attempt = 2;
    rig_send(rig, &d, 0);
    rig_run(rig, 60000);
    assert_rests(rig, 3, 2);
    rig_free(rig);
}

static void a_phase_that_was_not_entered_may_be_another_one(void **state)
{
    (void)state;
    struct rig *rig = rig_amended(2);
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 60000);
    amend(rig, 2, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_rests(rig, 2, 2);
    rig_free(rig);
}

/* ---- Refused ---- */

static void a_plan_with_another_entered_phase_is_refused_and_parks_the_shard(void **state)
{
    (void)state;
    struct rig *rig = rig_amended(2);
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    amend(rig, 2, ZDM_MODE_RUN, 4);
    rig_run(rig, 60000);
    assert_refused(rig, 1, "phase 2 is another one, and this shard has entered phase 2");
    assert_int_equal(rig->row_order.plan_hash.bytes[0], OLD);
    send(rig, 3, ZDM_MODE_RUN, 4, OLD);
    rig_run(rig, 60000);
    assert_rests(rig, 3, 4);
    rig_free(rig);
}

/* The first step of a phase that may be worked can be there before the journal says so. */
static void the_phase_that_may_be_worked_counts_as_entered(void **state)
{
    (void)state;
    struct rig *rig = rig_amended(1);
    rig_ready(rig, ZDM_MODE_RUN, 1);
    assert_int_equal(rig_look(rig).journal_step, 1);
    amend(rig, 2, ZDM_MODE_RUN, 1);
    rig_run(rig, 5000);
    assert_refused(rig, 1, "phase 1 is another one");
    rig_free(rig);
}

static void a_plan_that_ends_before_what_was_entered_is_refused(void **state)
{
    (void)state;
    struct rig *rig = rig_amended(5);
    for (size_t i = 3; i < 5; i++) {
        for (size_t j = 0; j < rig->amended->phases[i].n_steps; j++)
            zdm_step_fini(&rig->amended->phases[i].steps[j]);
        free(rig->amended->phases[i].steps);
    }
    rig->amended->n_phases = 3;
    rig_ready(rig, ZDM_MODE_RUN, 4);
    rig_run(rig, 60000);
    amend(rig, 2, ZDM_MODE_RUN, 3);
    rig_run(rig, 5000);
    assert_refused(rig, 1, "phase 4 is another one");
    rig_free(rig);
}

static void a_goal_behind_the_last_phase_keeps_no_plan_out_that_is_the_same(void **state)
{
    (void)state;
    struct rig *rig = rig_amended(6);
    rig_ready(rig, ZDM_MODE_RUN, 1162997732);
    rig_run(rig, 60000);
    amend(rig, 2, ZDM_MODE_RUN, 4);
    rig_run(rig, 60000);
    assert_rests(rig, 2, 4);
    rig_free(rig);
}

static void in_the_purge_phase_the_grace_period_stays(void **state)
{
    (void)state;
    for (uint32_t goal = 4; goal <= 5; goal++) {
        struct rig *rig = rig_amended(6);
        rig->amended->grace_ms = 0;
        rig_ready(rig, ZDM_MODE_RUN, goal);
        rig_run(rig, 60000);
        amend(rig, 2, ZDM_MODE_RUN, 4);
        rig_run(rig, 5000);
        if (goal == 4)
            assert_rests(rig, 2, 4);
        else
            assert_refused(rig, 1, "grace period is another one");
        rig_free(rig);
    }
}

static void on_the_way_back_no_other_plan_is_taken_and_after_it_any(void **state)
{
    (void)state;
    struct rig *rig = rig_amended(1);
    rig_ready(rig, ZDM_MODE_RUN, 4);
    rig_run(rig, 60000);
    rig_undo(rig, 0, 1);
    send(rig, 2, ZDM_MODE_UNDO, 0, OLD);
    while (rig->runs[AGENT_RUN_UNHIDE] == 0)
        assert_true(rig_answer(rig));
    amend(rig, 3, ZDM_MODE_RUN, 4);
    rig_run(rig, 5000);
    assert_refused(rig, 2, "on its way back");
    send(rig, 4, ZDM_MODE_UNDO, 0, OLD);
    rig_run(rig, 60000);
    assert_true(rig_said(rig)->undone);
    amend(rig, 5, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_rests(rig, 5, 2);
    send(rig, 6, ZDM_MODE_RUN, 4, NEW);
    rig_run(rig, 60000);
    assert_rests(rig, 6, 4);
    assert_int_equal(rig->row_order.plan_hash.bytes[0], NEW);
    rig_free(rig);
}

/* Nothing of the plan tells of the switch any more, and what new code wrote is still there. */
static void a_plan_without_the_switch_leaves_the_mark_of_what_new_code_wrote(void **state)
{
    (void)state;
    struct rig *rig = rig_amended(3);
    struct zdm_plan *plans[] = {rig->plan, rig->amended};
    for (size_t i = 0; i < 2; i++) { /* nothing copies the new column back */
        plans[i]->phases[0].steps[2].derivation->both_ways = false;
        plans[i]->phases[1].steps[0].derivation->both_ways = false;
    }
    rig->amended->phases[2].class = ZDM_PHASE_MIGRATE;
    rig_ready(rig, ZDM_MODE_RUN, 3);
    rig_run(rig, 60000);
    rig_undo(rig, 2, 1);
    send(rig, 2, ZDM_MODE_UNDO, 2, OLD);
    rig_run(rig, 60000);
    assert_true(rig_said(rig)->undone);
    send(rig, 3, ZDM_MODE_RUN, 2, OLD);
    rig_run(rig, 60000);
    amend(rig, 4, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_rests(rig, 4, 2);
    assert_int_equal(rig->row_switched, 2);
    rig_undo(rig, 0, 2);
    rig->undo.plan_hash = rig->amended->hash;
    send(rig, 5, ZDM_MODE_UNDO, 0, NEW);
    rig_run(rig, 60000);
    assert_int_equal(rig_said(rig)->state, ZDM_AGENT_STOPPED);
    assert_non_null(strstr(rig_said(rig)->error, "(zdmctl approve --rollback-to 0): 0 of 2 approvals"));
    rig_free(rig);
}

/* A rollback that was given up on the way: the journal's mark is all that tells how far new code wrote. */
static void a_plan_that_is_another_one_below_the_mark_is_refused(void **state)
{
    (void)state;
    for (uint32_t first_other = 3; first_other <= 4; first_other++) {
        struct rig *rig = rig_amended(first_other);
        rig_ready(rig, ZDM_MODE_RUN, 1);
        rig_run(rig, 60000);
        rig->row_switched = 3;
        rig_restart(rig);
        send(rig, 1, ZDM_MODE_RUN, 1, OLD);
        rig_run(rig, 60000);
        amend(rig, 2, ZDM_MODE_RUN, 1);
        rig_run(rig, 60000);
        if (first_other == 3)
            assert_refused(rig, 1, "phase 3 is another one, and new code wrote on this shard up to phase 3");
        else
            assert_rests(rig, 2, 1);
        assert_int_equal(rig->row_switched, 3);
        rig_free(rig);
    }
}

/* ---- Waits of the plan ---- */

static struct zdm_step *replace(struct rig *rig, enum zdm_step_kind kind, enum zdm_action action)
{
    struct zdm_step *step = &rig->plan->phases[1].steps[3]; /* the validation */
    step->kind = kind;
    step->action = action;
    return step;
}

static void a_wait_is_looked_at_until_it_is_over_and_says_for_what(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    (void)replace(rig, ZDM_STEP_GATE, ZDM_ACTION_GATE_WAIT);
    rig->gate_open_ms = rig->now_ms + 3600000;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 600000);
    const struct zdm_migration_report *said = rig_said(rig);
    assert_int_equal(said->state, ZDM_AGENT_WAITING);
    assert_int_equal(said->wait, ZDM_WAIT_GATE);
    assert_int_equal(said->step, STEP_VALIDATE);
    assert_string_equal(said->blocked_by, "until the jobs are done");
    assert_in_range(rig->runs[AGENT_RUN_WAIT], 15, 25);
    rig_run(rig, 3600000);
    assert_rests(rig, 1, 2);
    rig_free(rig);
}

static void a_pause_takes_a_waiting_shard_at_once_and_a_new_order_looks_at_once(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    (void)replace(rig, ZDM_STEP_GATE, ZDM_ACTION_GATE_WAIT);
    rig->gate_open_ms = rig->now_ms + 60000;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 45000);
    send(rig, 2, ZDM_MODE_PAUSE, 2, OLD);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_PAUSED);
    rig_run(rig, 60000);
    unsigned looks = rig->runs[AGENT_RUN_WAIT];
    send(rig, 3, ZDM_MODE_RUN, 2, OLD);
    rig_run(rig, 200);
    assert_int_equal(rig->runs[AGENT_RUN_WAIT], looks + 1);
    rig_run(rig, 5000);
    assert_rests(rig, 3, 2);
    rig_free(rig);
}

static void a_wait_that_failed_stops_the_shard(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    (void)replace(rig, ZDM_STEP_GATE, ZDM_ACTION_GATE_WAIT);
    rig_fail_once(rig, AGENT_RUN_WAIT, ZDM_TIMEOUT);
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_STOPPED);
    rig_free(rig);
}

/* ---- Readers on replicas ---- */

static void a_reader_on_a_replica_is_waited_for_ever_more_patiently(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    rig->fault.kind = AGENT_OP_RUN;
    rig->fault.run = AGENT_RUN_DDL;
    rig->fault.outcome = AGENT_LOCK;
    rig->fault.code = ZDM_LOCK;
    rig->fault.elsewhere = true;
    rig->fault.blocker = "replica b2: pid 42 app@shop, active for 12 s: SELECT 1";
    rig->fault.times = 1000;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_in_range(1000 - rig->fault.times, 15, 100);
    const struct zdm_migration_report *said = rig_said(rig);
    assert_int_equal(said->wait, ZDM_WAIT_LOCK);
    assert_string_equal(said->blocked_by, rig->fault.blocker);
    rig->fault.times = 0;
    rig_run(rig, 30000);
    assert_rests(rig, 1, 2);
    rig_free(rig);
}

/* ---- Long statements ---- */

static void a_long_statement_has_no_time_limit_and_a_pause_ends_it_at_once(void **state)
{
    (void)state;
    static const struct {
        enum zdm_step_kind kind;
        enum zdm_action action;
        enum agent_run run;
    } rows[] = {{ZDM_STEP_DDL, ZDM_ACTION_AS_IS, AGENT_RUN_LONG_SQL},
                {ZDM_STEP_INDEX, ZDM_ACTION_REINDEX, AGENT_RUN_REINDEX},
                {ZDM_STEP_PURGE, ZDM_ACTION_PURGE_INDEX, AGENT_RUN_PURGE}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig *rig = rig_new();
        replace(rig, rows[i].kind, rows[i].action)->lock = ZDM_LOCK_LONG;
        rig_ready(rig, ZDM_MODE_RUN, 2);
        for (int k = 0; k < 100000 && rig_in_flight(rig, rows[i].run) == NULL; k++)
            if (!rig_answer(rig))
                rig_wait(rig, 50);
        const struct agent_op *op = rig_in_flight(rig, rows[i].run);
        assert_non_null(op);
        assert_int_equal(op->time_limit_ms, 0);
        assert_int_equal(op->grace_ms, rows[i].run == AGENT_RUN_PURGE ? rig->plan->grace_ms : 0);
        uint64_t id = op->id;
        send(rig, 2, ZDM_MODE_PAUSE, 2, OLD);
        assert_int_equal(rig->cancelled, id);
        rig_free(rig);
    }
}

static void a_short_statement_as_it_is_runs_under_a_short_lock(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    replace(rig, ZDM_STEP_DDL, ZDM_ACTION_AS_IS)->lock = ZDM_LOCK_SHORT;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_rests(rig, 1, 2);
    assert_int_equal(rig->runs[AGENT_RUN_LONG_SQL], 0);
    rig_free(rig);
}

/* ---- Not repeated unasked ---- */

static void what_does_something_else_the_second_time_is_not_repeated_unasked(void **state)
{
    (void)state;
    static const enum zdm_action actions[] = {ZDM_ACTION_AS_IS, ZDM_ACTION_DELETE, ZDM_ACTION_GATE_WAIT};
    for (size_t i = 0; i < 3; i++) {
        struct rig *rig = rig_new();
        (void)replace(rig, ZDM_STEP_DDL, actions[i]);
        bool repeats = actions[i] == ZDM_ACTION_GATE_WAIT;
        rig_ready(rig, ZDM_MODE_RUN, 2);
        if (actions[i] == ZDM_ACTION_DELETE) {
            rig->row_step = STEP_VALIDATE + 1; /* the rig walks two steps only */
            rig->done[STEP_COLUMN] = rig->done[STEP_SYNC] = rig->done[STEP_INDEX] = true;
        } else {
            rig_run(rig, 60000);
        }
        rig->done[STEP_INDEX] = rig->done[STEP_VALIDATE] = false;
        rig_restart(rig);
        send(rig, 1, ZDM_MODE_RUN, 2, OLD);
        rig_run(rig, 60000);
        assert_int_equal(rig_look(rig).state, repeats ? ZDM_AGENT_RESTING : ZDM_AGENT_UNSURE);
        rig_free(rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_with_another_later_phase_is_taken_and_all_is_looked_at_again),
        cmocka_unit_test(what_let_an_unchanged_phase_in_stands),
        cmocka_unit_test(a_crash_between_storing_and_accepting_leaves_the_old_plan_standing),
        cmocka_unit_test(a_refusal_from_memory_is_judged_anew_by_the_journal),
        cmocka_unit_test(a_refusal_that_stands_reads_the_journal_ever_more_rarely),
        cmocka_unit_test(another_plan_over_a_row_that_does_not_verify_is_refused_until_that_one_is_signed_anew),
        cmocka_unit_test(another_plan_with_the_phases_that_were_entered_leads_out_though_the_signer_has_left),
        cmocka_unit_test(another_plan_with_other_phases_than_were_entered_is_refused_and_says_what_leads_out),
        cmocka_unit_test(a_newer_trust_file_that_names_the_signer_lets_the_other_plan_in_at_once),
        cmocka_unit_test(a_shard_that_has_stopped_stays_so_when_its_plan_is_signed_anew),
        cmocka_unit_test(an_order_before_that_of_a_row_that_does_not_verify_is_refused_with_words),
        cmocka_unit_test(a_paused_shard_takes_it_and_goes_on_where_it_was),
        cmocka_unit_test(a_stopped_shard_takes_it_and_works_only_for_a_higher_attempt),
        cmocka_unit_test(a_phase_that_was_not_entered_may_be_another_one),
        cmocka_unit_test(a_plan_with_another_entered_phase_is_refused_and_parks_the_shard),
        cmocka_unit_test(the_phase_that_may_be_worked_counts_as_entered),
        cmocka_unit_test(a_plan_that_ends_before_what_was_entered_is_refused),
        cmocka_unit_test(a_goal_behind_the_last_phase_keeps_no_plan_out_that_is_the_same),
        cmocka_unit_test(in_the_purge_phase_the_grace_period_stays),
        cmocka_unit_test(on_the_way_back_no_other_plan_is_taken_and_after_it_any),
        cmocka_unit_test(a_plan_that_is_another_one_below_the_mark_is_refused),
        cmocka_unit_test(a_plan_without_the_switch_leaves_the_mark_of_what_new_code_wrote),
        cmocka_unit_test(a_wait_is_looked_at_until_it_is_over_and_says_for_what),
        cmocka_unit_test(a_pause_takes_a_waiting_shard_at_once_and_a_new_order_looks_at_once),
        cmocka_unit_test(a_wait_that_failed_stops_the_shard),
        cmocka_unit_test(a_reader_on_a_replica_is_waited_for_ever_more_patiently),
        cmocka_unit_test(a_long_statement_has_no_time_limit_and_a_pause_ends_it_at_once),
        cmocka_unit_test(a_short_statement_as_it_is_runs_under_a_short_lock),
        cmocka_unit_test(what_does_something_else_the_second_time_is_not_repeated_unasked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
