/*
 * test_regress.c - a step that was done is not done any more: when the agent makes it good by itself, when it asks, and
 * that what it then says leads out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
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

/* In the place of the step with that ordinal stands a statement that nobody does a second time. */
static void replace_by_statement(struct rig *rig, uint32_t ordinal)
{
    for (size_t p = 0; p < rig->plan->n_phases; p++)
        for (size_t i = 0; i < rig->plan->phases[p].n_steps; i++) {
            struct zdm_step *step = &rig->plan->phases[p].steps[i];
            if (step->ordinal != ordinal)
                continue;
            step->kind = ZDM_STEP_DDL;
            step->action = ZDM_ACTION_AS_IS;
            step->lock = ZDM_LOCK_SHORT;
            step->engine = ZDM_ENGINE_ANY;
        }
}

/* The shard stands at the end of the phase; then somebody takes the step away, and the server is restarted. */
static void lose(struct rig *rig, uint32_t phase, uint32_t step)
{
    rig_ready(rig, ZDM_MODE_RUN, phase);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, phase);
    rig->done[step] = false;
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-2");
    rig_run(rig, 6000);
    order(rig, 2, ZDM_MODE_RUN, phase, 1);
    rig_run(rig, 60000);
}

/* A rollback to the start from the end of phase 2 that is given up when the step at `ordinal` is undone, and is not
 * journalled as that; `goal` is the phase that the coordinator then hears as proven. */
static void give_up_at(struct rig *rig, uint32_t ordinal, uint32_t goal)
{
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    rig_undo(rig, 0, 1);
    order(rig, 2, ZDM_MODE_UNDO, 0, 2);
    while (rig->row_step > ordinal + 1 || rig->done[ordinal])
        if (!rig_answer(rig))
            rig_wait(rig, 10);
    rig_fail_once(rig, AGENT_RUN_STEP_BACK, ZDM_DATABASE);
    rig_run(rig, 10000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_STOPPED);
    assert_int_equal(rig->row_step, ordinal + 1);
    order(rig, 3, ZDM_MODE_RUN, goal, 3);
    rig_run(rig, 60000);
}

static void assert_unsure(struct rig *rig, const char *error)
{
    const struct zdm_migration_report *said = rig_said(rig);
    assert_int_equal(said->state, ZDM_AGENT_UNSURE);
    assert_string_equal(said->error, error);
}

static void assert_rests(struct rig *rig, uint32_t phase)
{
    const struct zdm_migration_report *said = rig_said(rig);
    assert_string_equal(said->error, "");
    assert_int_equal(said->state, ZDM_AGENT_RESTING);
    assert_true(said->proven);
    assert_int_equal(said->proven_phase, phase);
}

static void loss_before_a_statement_as_it_is_says_how_far_to_roll_back(void **state)
{
    struct rig *rig = *state;
    replace_by_statement(rig, STEP_VALIDATE);
    lose(rig, 2, STEP_SYNC);
    assert_unsure(rig, "step 1.3 (sync-install) was done and is not any more; step 2.4 (as-is) is not done a second "
                       "time unasked: " ZDM_ERROR_ROLL_BACK "0, or put it back by hand and retry");
    unsigned ddl = rig->runs[AGENT_RUN_DDL];
    rig_undo(rig, 0, 1);
    order(rig, 3, ZDM_MODE_UNDO, 0, 2);
    rig_run(rig, 60000);
    assert_true(rig_said(rig)->undone);
    assert_rests(rig, 0);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], ddl);
    order(rig, 4, ZDM_MODE_RUN, 2, 3);
    rig_run(rig, 60000);
    assert_rests(rig, 2);
}

static void loss_that_a_person_has_made_good_by_hand_is_over_with_a_retry(void **state)
{
    struct rig *rig = *state;
    replace_by_statement(rig, STEP_VALIDATE);
    lose(rig, 2, STEP_INDEX);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_UNSURE);
    rig->done[STEP_INDEX] = true;
    order(rig, 3, ZDM_MODE_RUN, 2, 2);
    rig_run(rig, 60000);
    assert_rests(rig, 2);
    assert_int_equal(rig->runs[AGENT_RUN_STEP_BACK], 0);
}

static void loss_before_a_phase_that_all_enter_together_says_how_far_to_roll_back(void **state)
{
    struct rig *rig = *state;
    lose(rig, 3, STEP_INDEX);
    assert_unsure(rig, "step 2.3 (create-index) was done and is not any more; phase 3 is not worked a second time "
                       "unasked: " ZDM_ERROR_ROLL_BACK "1, or put it back by hand and retry");
    rig_undo(rig, 1, 1);
    order(rig, 3, ZDM_MODE_UNDO, 1, 2);
    rig_run(rig, 60000);
    assert_true(rig_said(rig)->undone);
    assert_rests(rig, 1);
}

/* The triggers went, and with them, at once, the column; the statement between the two still stands. */
static void rollback_given_up_above_a_statement_that_stands_goes_on_only_as_a_rollback(void **state)
{
    struct rig *rig = *state;
    static const char error[] = "step 1.1 (add-column) was done and is not any more; step 1.2 (as-is) is not done a "
                                "second time unasked: " ZDM_ERROR_ROLL_BACK "0, or put it back by hand and retry";
    replace_by_statement(rig, STEP_MYSQL);
    give_up_at(rig, STEP_SYNC, 0);
    assert_unsure(rig, error);
    order(rig, 4, ZDM_MODE_RUN, 0, 4);
    rig_run(rig, 60000);
    assert_unsure(rig, error);
    assert_int_equal(rig->row_step, STEP_BACKFILL);
    rig_undo(rig, 0, 2);
    order(rig, 5, ZDM_MODE_UNDO, 0, 5);
    rig_run(rig, 60000);
    assert_true(rig_said(rig)->undone);
    assert_rests(rig, 0);
    assert_int_equal(rig->row_step, STEP_COLUMN);
}

static void statement_that_the_rollback_had_undone_when_it_was_given_up_is_no_doubt(void **state)
{
    struct rig *rig = *state;
    replace_by_statement(rig, STEP_INDEX);
    give_up_at(rig, STEP_INDEX, 1);
    assert_rests(rig, 1);
    assert_int_equal(rig->row_step, STEP_INDEX);
    assert_false(rig->done[STEP_INDEX]);
    order(rig, 4, ZDM_MODE_RUN, 2, 3);
    rig_run(rig, 60000);
    assert_rests(rig, 2);
    assert_true(rig->done[STEP_INDEX]);
}

static void statement_that_somebody_took_back_is_not_done_again_unasked(void **state)
{
    struct rig *rig = *state;
    replace_by_statement(rig, STEP_INDEX);
    lose(rig, 2, STEP_INDEX);
    assert_unsure(rig, "step 2.3 (as-is) was done and is not any more; it is not done a second time "
                       "unasked: " ZDM_ERROR_ROLL_BACK "1, or put it back by hand and retry");
}

/* ---- Behind a switch ---- */

/* At the end of phase 3, where new code writes, the triggers are not what was installed; a restart sees it. */
static void cut_triggers(struct rig *rig)
{
    rig_ready(rig, ZDM_MODE_RUN, 3);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, 3);
    rig->done[STEP_SYNC] = false;
    rig->gap = true;
    memset(rig->runs, 0, sizeof rig->runs);
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-2");
    rig_run(rig, 6000);
    order(rig, 2, ZDM_MODE_RUN, 3, 1);
    rig_run(rig, 60000);
}

static void one_way(struct rig *rig)
{
    for (size_t p = 0; p < 2; p++)
        for (size_t i = 0; i < rig->plan->phases[p].n_steps; i++)
            if (rig->plan->phases[p].steps[i].derivation != NULL)
                rig->plan->phases[p].steps[i].derivation->both_ways = false;
}

static void triggers_lost_behind_a_switch_are_installed_again_and_rows_are_only_compared(void **state)
{
    struct rig *rig = *state;
    cut_triggers(rig);
    assert_rests(rig, 3);
    assert_int_equal(rig->runs[AGENT_RUN_INSTALL_SYNC], 1);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], 0);
    assert_true(rig->runs[AGENT_RUN_CHECK_CHUNK] > 0);
    assert_false(rig->gap);
}

static void rows_that_differ_behind_a_switch_are_a_persons_and_a_retry_compares_again(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 3);
    rig_run(rig, 60000);
    rig->gap = true;
    rig->done[STEP_SYNC] = false;
    rig_fail_once(rig, AGENT_RUN_CHECK_CHUNK, ZDM_REFUSED);
    memset(rig->runs, 0, sizeof rig->runs);
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-2");
    rig_run(rig, 6000);
    order(rig, 2, ZDM_MODE_RUN, 3, 1);
    rig_run(rig, 60000);
    const struct zdm_migration_report *said = rig_said(rig);
    assert_int_equal(said->state, ZDM_AGENT_UNSURE);
    assert_non_null(
        strstr(said->error, "put it right by hand and retry, which compares again, or " ZDM_ERROR_ROLL_BACK "1"));
    assert_true(rig->done[STEP_SYNC]);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], 0);
    order(rig, 3, ZDM_MODE_RUN, 2, 2);
    rig_run(rig, 60000);
    order(rig, 4, ZDM_MODE_RUN, 3, 2);
    rig_run(rig, 60000);
    assert_rests(rig, 3);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], 0);
}

static void one_way_nothing_can_be_compared_and_a_retry_lets_the_rows_be(void **state)
{
    struct rig *rig = *state;
    one_way(rig);
    rig->interrupted = (struct agent_interrupted){
        .migration = "rename", .step = STEP_SYNC, .what = "trigger x of users is gone", .first_ms = 1700000000000};
    cut_triggers(rig);
    const struct zdm_migration_report *said = rig_said(rig);
    assert_int_equal(said->state, ZDM_AGENT_UNSURE);
    assert_non_null(strstr(said->error, "retry goes on with them as they are, or " ZDM_ERROR_ROLL_BACK "1"));
    order(rig, 3, ZDM_MODE_RUN, 3, 1); /* the same attempt: no retry */
    rig_run(rig, 60000);
    assert_int_equal(rig_said(rig)->state, ZDM_AGENT_UNSURE);
    order(rig, 4, ZDM_MODE_RUN, 3, 2);
    rig_run(rig, 60000);
    assert_rests(rig, 3);
    assert_false(rig->gap);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], 0);
    assert_int_equal(rig->runs[AGENT_RUN_CHECK_CHUNK], 0);
}

/* A failover lost it: the order at hand says that the switch was entered. */
static void journal_that_lost_its_tail_behind_a_switch_is_not_filled_a_second_time(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 3);
    rig_run(rig, 60000);
    rig->row_step = STEP_BACKFILL;
    rig->row_cursor = rig->row_bound = -1;
    rig->row_walked = false;
    rig->row_reached = 2;
    memset(rig->runs, 0, sizeof rig->runs);
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-2");
    rig_run(rig, 6000);
    order(rig, 2, ZDM_MODE_RUN, 3, 1);
    rig_run(rig, 60000);
    assert_rests(rig, 3);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], 0);
    assert_true(rig->runs[AGENT_RUN_CHECK_CHUNK] > 0);
}

static void triggers_lost_after_a_rollback_to_the_switch_write_nothing_over_either(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 4);
    rig_run(rig, 60000);
    rig_undo(rig, 3, 1);
    order(rig, 2, ZDM_MODE_UNDO, 3, 2);
    rig_run(rig, 60000);
    assert_true(rig_said(rig)->undone);
    memset(rig->runs, 0, sizeof rig->runs);
    rig->done[STEP_SYNC] = false;
    rig->gap = true;
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-2");
    rig_run(rig, 6000);
    order(rig, 3, ZDM_MODE_RUN, 3, 2);
    rig_run(rig, 60000);
    assert_rests(rig, 3);
    assert_true(rig->done[STEP_SYNC]);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(loss_before_a_statement_as_it_is_says_how_far_to_roll_back),
        TEST(loss_that_a_person_has_made_good_by_hand_is_over_with_a_retry),
        TEST(loss_before_a_phase_that_all_enter_together_says_how_far_to_roll_back),
        TEST(rollback_given_up_above_a_statement_that_stands_goes_on_only_as_a_rollback),
        TEST(statement_that_the_rollback_had_undone_when_it_was_given_up_is_no_doubt),
        TEST(statement_that_somebody_took_back_is_not_done_again_unasked),
        TEST(triggers_lost_behind_a_switch_are_installed_again_and_rows_are_only_compared),
        TEST(rows_that_differ_behind_a_switch_are_a_persons_and_a_retry_compares_again),
        TEST(one_way_nothing_can_be_compared_and_a_retry_lets_the_rows_be),
        TEST(journal_that_lost_its_tail_behind_a_switch_is_not_filled_a_second_time),
        TEST(triggers_lost_after_a_rollback_to_the_switch_write_nothing_over_either),
    };
    return cmocka_run_group_tests_name("regress", tests, NULL, NULL);
}
