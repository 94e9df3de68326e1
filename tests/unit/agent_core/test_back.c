/*
 * test_back.c - the way back: who may order it, down to which step it goes, what is worked forward again, and what a
 * pause, a restart or a lost answer leave of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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

/* The end of phase `phase` is reached, and then a rollback to `to` is ordered with undo order `nonce`. */
static void go_back(struct rig *rig, uint32_t phase, uint32_t to, uint8_t nonce)
{
    rig_ready(rig, ZDM_MODE_RUN, phase);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, phase);
    rig_undo(rig, to, nonce);
    order(rig, 2, ZDM_MODE_UNDO, to, 2);
}

static void assert_undone(struct rig *rig, uint32_t phase)
{
    const struct zdm_migration_report *said = rig_said(rig);
    assert_string_equal(said->error, "");
    assert_int_equal(said->state, ZDM_AGENT_RESTING);
    assert_true(said->undone && said->proven);
    assert_int_equal(said->proven_phase, phase);
}

static void assert_stopped(struct rig *rig, const char *why)
{
    const struct zdm_migration_report *said = rig_said(rig);
    assert_int_equal(said->state, ZDM_AGENT_STOPPED);
    if (strstr(said->error, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", said->error, why);
    assert_int_equal(rig->runs[AGENT_RUN_UNDO_BEGIN], 0);
}

/* ---- Down ---- */

static uint32_t looked_back[64];
static size_t n_looked_back;

static void watch_looks(struct rig *rig, const struct agent_op *op)
{
    (void)rig;
    if (op->back && n_looked_back < 64)
        looked_back[n_looked_back++] = op->step;
}

static void rollback_to_the_start_undoes_every_step_in_reverse_order(void **state)
{
    struct rig *rig = *state;
    n_looked_back = 0;
    rig->watch = watch_looks;
    go_back(rig, 4, 0, 1);
    rig->done[STEP_VALIDATE] = false; /* nothing to undo */
    rig_run(rig, 60000);
    assert_undone(rig, 0);
    assert_int_equal(rig->row_step, STEP_COLUMN);
    assert_int_equal(rig->runs[AGENT_RUN_UNHIDE], 1);
    assert_int_equal(rig->runs[AGENT_RUN_INDEX_DROP], 1);
    assert_int_equal(rig->runs[AGENT_RUN_UNDO_SYNC], 1);
    assert_int_equal(rig->leftovers, 1);
    uint32_t last = STEP_PURGE;
    for (size_t i = 0; i < n_looked_back; i++) {
        assert_true(looked_back[i] <= last && looked_back[i] != STEP_MYSQL && looked_back[i] != STEP_FLAG);
        last = looked_back[i];
    }
    assert_int_equal(last, STEP_COLUMN);
    assert_int_equal(looked_back[0], STEP_PURGE);
}

static void rollback_over_contract_alone_brings_the_column_back_and_rests_at_its_goal(void **state)
{
    struct rig *rig = *state;
    rig->restores = 2;
    rig->remark = "unique constraint users_name_key was not built anew: 2 rows";
    go_back(rig, 4, 3, 1);
    rig_run(rig, 10000);
    assert_undone(rig, 3);
    assert_int_equal(rig->row_step, STEP_HIDE);
    assert_int_equal(rig->runs[AGENT_RUN_UNHIDE], 1);
    assert_int_equal(rig->runs[AGENT_RUN_RESTORE], 2);
    assert_int_equal(rig->runs[AGENT_RUN_UNDO_SYNC], 0);
    assert_string_equal(rig_said(rig)->remark, rig->remark);
}

static void floor_below_the_goal_is_reached_and_the_rest_is_worked_forward_again(void **state)
{
    struct rig *rig = *state;
    go_back(rig, 2, 1, 1);
    rig_run(rig, 60000);
    assert_undone(rig, 1);
    assert_int_equal(rig->row_step, STEP_BACKFILL);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 2); /* added anew, empty */
    assert_int_equal(rig->runs[AGENT_RUN_INSTALL_SYNC], 2);
    assert_int_equal(rig->leftovers, 1);
    assert_true(rig->done[STEP_COLUMN] && rig->done[STEP_SYNC]);
}

static void half_a_phase_is_undone_too(void **state)
{
    struct rig *rig = *state;
    rig->rows = 1000000;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 5000);
    assert_true(rig->row_cursor > 0 && rig->row_step == STEP_BACKFILL);
    rig->images = 700;
    rig_undo(rig, 1, 1);
    order(rig, 2, ZDM_MODE_UNDO, 1, 1);
    rig_run(rig, 60000);
    assert_undone(rig, 1);
    assert_int_equal(rig->images, 0);
    assert_int_equal(rig->row_cursor, -1);
    assert_int_equal(rig->leftovers, 1);
}

static void images_are_written_back_in_batches_and_paced(void **state)
{
    struct rig *rig = *state;
    go_back(rig, 2, 1, 1);
    rig->images = 3000;
    rig->has_signal = true;
    rig->signal = (struct zdm_signal){.name = "replica_lag_ms", .state = ZDM_SIGNAL_BAD, .value = 9000, .limit = 5000};
    rig_run(rig, 10000);
    assert_int_equal(rig->images, 3000);
    assert_int_equal(rig_said(rig)->wait, ZDM_WAIT_THROTTLE);
    rig->has_signal = false;
    rig_run(rig, 30000);
    assert_undone(rig, 1);
    assert_true(rig->runs[AGENT_RUN_IMAGES_BACK] > 2);
}

static void walk_that_only_counts_waits_for_no_replica(void **state)
{
    struct rig *rig = *state;
    go_back(rig, 2, 1, 1);
    rig->to_count = 3000;
    rig->has_signal = true;
    rig->signal = (struct zdm_signal){.name = "replica_lag_ms", .state = ZDM_SIGNAL_BAD, .value = 9000, .limit = 5000};
    rig_run(rig, 30000);
    assert_int_equal(rig->to_count, 0);
    assert_true(rig->runs[AGENT_RUN_IMAGES_BACK] > 2);
}

static void slot_that_keeps_wal_does_not_hold_up_the_way_back(void **state)
{
    struct rig *rig = *state;
    go_back(rig, 2, 1, 1);
    rig->images = 3000;
    rig->has_signal = true;
    rig->signal = (struct zdm_signal){.name = "slot_wal_mb:old", .state = ZDM_SIGNAL_BAD, .value = 11, .limit = 10};
    rig_run(rig, 30000);
    assert_undone(rig, 1);
}

static void proven_phase_falls_while_the_shard_goes_back(void **state)
{
    struct rig *rig = *state;
    uint32_t last = 4;
    go_back(rig, 4, 0, 1);
    for (int i = 0; i < 1000 && !rig_said(rig)->undone; i++) {
        assert_true(rig_said(rig)->proven_phase <= last);
        last = rig_said(rig)->proven_phase;
        if (!rig_answer(rig))
            rig_wait(rig, 100);
    }
    assert_undone(rig, 0);
}

static void restart_at_any_moment_ends_at_the_same_place(void **state)
{
    (void)state;
    for (int moment = 0; moment < 60; moment++)
        for (uint32_t to = 0; to <= 3; to++) {
            struct rig *rig = rig_new();
            rig->restores = 1;
            rig->rows = 100;
            go_back(rig, 4, to, 1);
            for (int i = 0; i < moment; i++)
                if (!rig_answer(rig))
                    rig_wait(rig, 50);
            rig_restart(rig);
            order(rig, 2, ZDM_MODE_UNDO, to, 2);
            rig_run(rig, 60000);
            assert_undone(rig, to);
            assert_int_equal(rig->leftovers, to <= 1 ? 1 : 0); /* hidden once, and not again after a restart at rest */
            assert_int_equal(rig->runs[AGENT_RUN_UNDO_BEGIN], 1);
            assert_int_equal(rig->runs[AGENT_RUN_UNHIDE], 1);
            rig_free(rig);
        }
}

static void restarted_shard_says_where_it_is_before_it_goes_on_back(void **state)
{
    struct rig *rig = *state;
    go_back(rig, 4, 0, 1);
    rig_until(rig, AGENT_RUN_INDEX_DROP);
    rig_restart(rig);
    assert_false(rig_said(rig)->proven);
    unsigned back = rig->runs[AGENT_RUN_STEP_BACK];
    order(rig, 2, ZDM_MODE_UNDO, 0, 2);
    while (!rig_said(rig)->proven)
        if (!rig_answer(rig))
            rig_wait(rig, 10);
    assert_int_equal(rig_said(rig)->proven_phase, 1);
    assert_int_equal(rig->runs[AGENT_RUN_STEP_BACK], back);
    rig_run(rig, 60000);
    assert_undone(rig, 0);
}

/* `retry --forward` needs to know where the shard stands, also when the process that went back is gone. */
static void restarted_shard_that_had_stopped_says_where_it_is_and_why(void **state)
{
    struct rig *rig = *state;
    rig_fail_once(rig, AGENT_RUN_INDEX_DROP, ZDM_REFUSED);
    go_back(rig, 4, 0, 1);
    rig_run(rig, 60000);
    assert_int_equal(rig_said(rig)->state, ZDM_AGENT_STOPPED);
    rig_restart(rig);
    assert_false(rig_said(rig)->proven);
    unsigned runs = rig->runs[AGENT_RUN_INDEX_DROP];
    order(rig, 2, ZDM_MODE_UNDO, 0, 2);
    rig_run(rig, 60000);
    assert_int_equal(rig_said(rig)->state, ZDM_AGENT_STOPPED);
    assert_string_equal(rig_said(rig)->error, "it broke");
    assert_true(rig_said(rig)->proven);
    assert_int_equal(rig_said(rig)->proven_phase, 1);
    assert_int_equal(rig->runs[AGENT_RUN_INDEX_DROP], runs);
    order(rig, 3, ZDM_MODE_UNDO, 0, 3);
    rig_run(rig, 60000);
    assert_undone(rig, 0);
}

/* A shard that has been tampered with is looked at, and stays stopped for the reason that it had. */
static void stopped_shard_in_which_something_vanished_says_so_and_does_nothing(void **state)
{
    struct rig *rig = *state;
    rig_fail_once(rig, AGENT_RUN_INDEX_BUILD, ZDM_REFUSED);
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_int_equal(rig_said(rig)->state, ZDM_AGENT_STOPPED);
    rig->done[STEP_SYNC] = false;
    rig_restart(rig);
    order(rig, 1, ZDM_MODE_RUN, 2, 1);
    unsigned back = rig->runs[AGENT_RUN_STEP_BACK];
    rig_run(rig, 60000);
    assert_int_equal(rig_said(rig)->state, ZDM_AGENT_STOPPED);
    assert_string_equal(rig_said(rig)->error, "it broke");
    assert_true(rig_said(rig)->proven);
    assert_int_equal(rig_said(rig)->proven_phase, 0);
    assert_int_equal(rig->runs[AGENT_RUN_STEP_BACK], back);
}

static void remark_of_a_rollback_survives_a_restart(void **state)
{
    struct rig *rig = *state;
    rig->remark = "name_short stays NOT VALID";
    go_back(rig, 4, 0, 1);
    rig_until(rig, AGENT_RUN_INDEX_DROP);
    rig->row_remark = "name_short stays NOT VALID";
    rig_restart(rig);
    order(rig, 2, ZDM_MODE_UNDO, 0, 2);
    rig_run(rig, 60000);
    assert_undone(rig, 0);
    assert_string_equal(rig_said(rig)->remark, "name_short stays NOT VALID");
    rig_restart(rig);
    order(rig, 2, ZDM_MODE_UNDO, 0, 2);
    rig_run(rig, 60000);
    assert_string_equal(rig_said(rig)->remark, "name_short stays NOT VALID");
    order(rig, 3, ZDM_MODE_RUN, 1, 3);
    rig->row_remark = NULL;
    rig_run(rig, 60000);
    assert_string_equal(rig_said(rig)->remark, "");
}

static void undone_shard_that_starts_again_undoes_nothing_twice(void **state)
{
    struct rig *rig = *state;
    go_back(rig, 2, 1, 1);
    rig_run(rig, 60000);
    assert_undone(rig, 1);
    unsigned ddl = rig->runs[AGENT_RUN_DDL], back = rig->runs[AGENT_RUN_STEP_BACK];
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-2");
    rig_run(rig, 6000);
    order(rig, 2, ZDM_MODE_UNDO, 1, 2);
    rig_run(rig, 6000);
    assert_undone(rig, 1);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], ddl);
    assert_int_equal(rig->runs[AGENT_RUN_STEP_BACK], back);
    assert_int_equal(rig->leftovers, 1);
}

static void answer_that_is_lost_on_the_way_back_is_looked_for(void **state)
{
    (void)state;
    static const enum agent_run runs[] = {AGENT_RUN_UNDO_BEGIN, AGENT_RUN_UNHIDE,    AGENT_RUN_RESTORE,
                                          AGENT_RUN_INDEX_DROP, AGENT_RUN_UNDO_SYNC, AGENT_RUN_STEP_BACK};
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
        for (int applied = 0; applied <= 1; applied++) {
            struct rig *rig = rig_new();
            rig->restores = 1;
            go_back(rig, 4, 0, 1);
            rig->fault.kind = AGENT_OP_RUN;
            rig->fault.run = runs[i];
            rig->fault.outcome = AGENT_UNKNOWN;
            rig->fault.code = ZDM_UNKNOWN;
            rig->fault.applied = applied == 1;
            rig->fault.times = 1;
            rig_run(rig, 60000);
            assert_undone(rig, 0);
            assert_int_equal(rig->leftovers, 1);
            rig_free(rig);
        }
}

static void third_unknown_in_a_row_on_the_way_back_makes_the_shard_unsure(void **state)
{
    struct rig *rig = *state;
    go_back(rig, 4, 3, 1);
    rig->fault.kind = AGENT_OP_RUN;
    rig->fault.run = AGENT_RUN_UNHIDE;
    rig->fault.outcome = AGENT_UNKNOWN;
    rig->fault.code = ZDM_UNKNOWN;
    rig->fault.times = 3;
    rig_run(rig, 10000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_UNSURE);
    order(rig, 3, ZDM_MODE_UNDO, 3, 3);
    rig_run(rig, 10000);
    assert_undone(rig, 3);
}

static void part_without_effect_is_our_bug(void **state)
{
    struct rig *rig = *state;
    go_back(rig, 2, 0, 1);
    rig->fault.kind = AGENT_OP_RUN;
    rig->fault.run = AGENT_RUN_INDEX_DROP;
    rig->fault.outcome = AGENT_OK;
    rig->fault.times = 100;
    rig_run(rig, 30000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_STOPPED);
    assert_int_equal(rig->row_failed_code, ZDM_BUG);
}

/* ---- Paused, given up, forward ---- */

static void pause_holds_the_way_back_and_resume_goes_on_with_the_same_order(void **state)
{
    struct rig *rig = *state;
    go_back(rig, 4, 0, 1);
    rig_until(rig, AGENT_RUN_INDEX_DROP);
    order(rig, 3, ZDM_MODE_PAUSE, 0, 2);
    rig_run(rig, 5000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_PAUSED);
    unsigned back = rig->runs[AGENT_RUN_STEP_BACK];
    rig_run(rig, 30000);
    assert_int_equal(rig->runs[AGENT_RUN_STEP_BACK], back);
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-2");
    rig_run(rig, 6000);
    order(rig, 3, ZDM_MODE_PAUSE, 0, 2);
    rig_run(rig, 5000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_PAUSED);
    assert_true(rig_said(rig)->proven);
    assert_int_equal(rig_look(rig).proven_phase, 1);
    order(rig, 4, ZDM_MODE_UNDO, 0, 2);
    rig_run(rig, 60000);
    assert_undone(rig, 0);
    assert_int_equal(rig->runs[AGENT_RUN_UNDO_BEGIN], 1);
}

static void long_part_of_the_way_back_is_cancelled_at_once_by_a_pause(void **state)
{
    static const enum agent_run runs[] = {AGENT_RUN_RESTORE, AGENT_RUN_INDEX_DROP};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct rig *rig = rig_new();
        rig->restores = 1;
        go_back(rig, 4, 0, 1);
        while (rig_in_flight(rig, runs[i]) == NULL)
            if (!rig_answer(rig))
                rig_wait(rig, 10);
        uint64_t op = rig_in_flight(rig, runs[i])->id;
        order(rig, 3, i == 0 ? ZDM_MODE_PAUSE : ZDM_MODE_RUN, 0, 3); /* forward again takes back away too */
        assert_int_equal(rig->cancelled, op);
        rig_free(rig);
    }
}

static void rollback_that_is_given_up_goes_forward_from_where_it_is(void **state)
{
    (void)state;
    for (int moment = 0; moment < 50; moment++) {
        struct rig *rig = rig_new();
        rig->restores = 1;
        go_back(rig, 4, 0, 1);
        for (int i = 0; i < moment; i++)
            if (!rig_answer(rig))
                rig_wait(rig, 50);
        uint32_t proven = rig_said(rig)->proven_phase;
        order(rig, 3, ZDM_MODE_RUN, proven, 3);
        rig_run(rig, 20000);
        assert_int_equal(rig_look(rig).state, ZDM_AGENT_RESTING);
        assert_false(rig_said(rig)->undone);
        for (uint32_t phase = proven; phase < 4; phase++) {
            order(rig, 4 + phase, ZDM_MODE_RUN, phase + 1, 3);
            rig_run(rig, 60000);
        }
        assert_int_equal(rig_look(rig).state, ZDM_AGENT_RESTING);
        assert_int_equal(rig_look(rig).proven_phase, 4);
        for (uint32_t step = 1; step <= STEP_HIDE; step++)
            assert_true(rig->done[step] || step == STEP_MYSQL || step == STEP_FLAG || step == STEP_BACKFILL ||
                        step == STEP_COMPARE);
        rig_free(rig);
    }
}

static void order_that_was_used_begins_no_second_rollback(void **state)
{
    struct rig *rig = *state;
    go_back(rig, 2, 1, 1);
    rig_run(rig, 60000);
    assert_undone(rig, 1);
    order(rig, 3, ZDM_MODE_RUN, 2, 3);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, 2);
    order(rig, 4, ZDM_MODE_UNDO, 1, 4);
    rig_run(rig, 10000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_STOPPED);
    assert_int_equal(rig->row_failed_code, ZDM_REFUSED);
    assert_int_equal(rig->row_step, STEP_FLAG);
    rig_undo(rig, 1, 2);
    order(rig, 5, ZDM_MODE_UNDO, 1, 5);
    rig_run(rig, 60000);
    assert_undone(rig, 1);
}

static void remark_of_a_rollback_is_kept_until_the_shard_goes_forward(void **state)
{
    struct rig *rig = *state;
    rig->remark = "3 rows violate check name_short";
    go_back(rig, 4, 3, 1);
    rig_run(rig, 10000);
    order(rig, 3, ZDM_MODE_UNDO, 3, 2);
    rig_run(rig, 5000);
    assert_string_equal(rig_said(rig)->remark, rig->remark);
    order(rig, 4, ZDM_MODE_RUN, 3, 3);
    rig_run(rig, 5000);
    assert_string_equal(rig_said(rig)->remark, "");
}

static void failure_on_the_way_back_is_durable_until_a_higher_attempt(void **state)
{
    struct rig *rig = *state;
    go_back(rig, 4, 0, 1);
    rig_fail_once(rig, AGENT_RUN_UNHIDE, ZDM_DATABASE);
    rig_run(rig, 10000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_STOPPED);
    assert_int_equal(rig->row_failed_attempt, 2);
    order(rig, 3, ZDM_MODE_UNDO, 0, 2);
    rig_run(rig, 10000);
    assert_int_equal(rig->runs[AGENT_RUN_UNHIDE], 0);
    order(rig, 4, ZDM_MODE_UNDO, 0, 3);
    rig_run(rig, 60000);
    assert_undone(rig, 0);
}

static void second_order_that_goes_less_far_finds_what_the_first_took_away(void **state)
{
    struct rig *rig = *state;
    go_back(rig, 4, 0, 1);
    rig_until(rig, AGENT_RUN_UNDO_SYNC);
    rig->fault.kind = AGENT_OP_INSPECT;
    rig->fault.outcome = AGENT_FAIL;
    rig->fault.code = ZDM_DATABASE;
    rig->fault.times = 1;
    rig_run(rig, 10000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_STOPPED);
    assert_false(rig->done[STEP_COLUMN]);
    rig_undo(rig, 1, 2);
    order(rig, 3, ZDM_MODE_UNDO, 1, 3);
    rig_run(rig, 60000);
    assert_undone(rig, 1);
    assert_true(rig->done[STEP_COLUMN] && rig->done[STEP_SYNC]);
}

/* ---- Who may ---- */

static void without_an_undo_order_nothing_is_undone(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    order(rig, 2, ZDM_MODE_UNDO, 1, 2);
    rig_run(rig, 5000);
    assert_stopped(rig, "undo order refused: no key of the trust file");
    assert_int_equal(rig->row_step, STEP_FLAG);
}

static void undo_order_must_be_an_operators_for_this_shard_in_time_and_deep_enough(void **state)
{
    (void)state;
    static char *others[] = {"shard-2"};
    for (int i = 0; i < 4; i++) {
        struct rig *rig = rig_new();
        rig_ready(rig, ZDM_MODE_RUN, 2);
        rig_run(rig, 60000);
        rig_undo(rig, i == 3 ? 2 : 1, 1);
        if (i == 0)
            rig->undo_signer = rig->trust.people[RIG_BOB].key_id;
        if (i == 1) {
            rig->undo.shards = others;
            rig->undo.n_shards = 1;
        }
        if (i == 2)
            rig->undo.expires_at_ms = rig_wall_ms(rig) - 1;
        order(rig, 2, ZDM_MODE_UNDO, 1, 2);
        rig_run(rig, 5000);
        static const char *const why[] = {"operator", "does not name shard", "has expired", "goes back to phase 2"};
        assert_stopped(rig, why[i]);
        rig_free(rig);
    }
}

static void rollback_that_has_begun_is_not_ended_by_the_expiry_of_its_order(void **state)
{
    struct rig *rig = *state;
    go_back(rig, 4, 0, 1);
    rig_until(rig, AGENT_RUN_UNHIDE);
    rig->fault.kind = AGENT_OP_RUN;
    rig->fault.run = AGENT_RUN_UNDO_SYNC;
    rig->fault.outcome = AGENT_LOCK;
    rig->fault.times = 1000000;
    rig_run(rig, 60000);
    rig_wait(rig, 25 * 3600000);
    rig->fault.times = 0;
    rig_run(rig, 60000);
    assert_undone(rig, 0);
}

/* Nothing copies the new column back. */
static void make_one_way(struct rig *rig)
{
    rig->plan->phases[0].steps[2].derivation->both_ways = false;
    rig->plan->phases[1].steps[0].derivation->both_ways = false;
}

static void way_back_that_loses_data_needs_approvals(void **state)
{
    struct rig *rig = *state;
    make_one_way(rig);
    go_back(rig, 4, 0, 1);
    rig_run(rig, 5000);
    assert_stopped(rig, "0 of 2 approvals");
    assert_int_equal(rig->row_step, STEP_PURGE);
    rig_approve(rig, RIG_ALICE, ZDM_APPROVE_UNDO, 0, 1);
    rig_approve(rig, RIG_BOB, ZDM_APPROVE_UNDO, 0, 2);
    order(rig, 3, ZDM_MODE_UNDO, 0, 3);
    rig_run(rig, 60000);
    assert_undone(rig, 0);
}

/* Else a stolen coordinator begins it for a goal that loses nothing, and then lowers the goal. */
static void loss_is_judged_by_how_far_the_order_may_go(void **state)
{
    struct rig *rig = *state;
    make_one_way(rig);
    rig_ready(rig, ZDM_MODE_RUN, 4);
    rig_run(rig, 60000);
    rig_undo(rig, 0, 1);
    order(rig, 2, ZDM_MODE_UNDO, 3, 2);
    rig_run(rig, 5000);
    assert_stopped(rig, "0 of 2 approvals");
    assert_int_equal(rig->row_step, STEP_PURGE);
}

static void way_back_before_the_flag_was_on_loses_nothing(void **state)
{
    struct rig *rig = *state;
    make_one_way(rig);
    go_back(rig, 2, 0, 1);
    rig_run(rig, 60000);
    assert_undone(rig, 0);
}

/* The switch phase has no step of its own: what was its gate is the contract phase's first step. */
static void make_switch_empty(struct rig *rig)
{
    struct zdm_phase *gate = &rig->plan->phases[2], *contract = &rig->plan->phases[3];
    struct zdm_step *steps = calloc(2, sizeof *steps);
    steps[0] = gate->steps[0];
    steps[0].kind = ZDM_STEP_DDL;
    steps[0].action = ZDM_ACTION_LIFT_CONSTRAINT;
    steps[0].object = zdm_strdup("users_name_key");
    steps[1] = contract->steps[0];
    free(gate->steps);
    free(contract->steps);
    gate->steps = NULL;
    gate->n_steps = 0;
    contract->steps = steps;
    contract->n_steps = 2;
}

/* The journal stands at the first step of the contract phase, which nobody was let into. */
static void way_back_before_a_switch_without_steps_loses_nothing(void **state)
{
    struct rig *rig = *state;
    make_one_way(rig);
    make_switch_empty(rig);
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_int_equal(rig->row_step, STEP_FLAG);
    rig_undo(rig, 0, 1);
    order(rig, 2, ZDM_MODE_UNDO, 0, 2);
    rig_run(rig, 60000);
    assert_undone(rig, 0);
}

/* The journal stands where it stood before the switch; that an order let the shard into it is kept, restarts or not. */
static void way_back_after_a_switch_without_steps_needs_approvals(void **state)
{
    struct rig *rig = *state;
    make_one_way(rig);
    make_switch_empty(rig);
    rig_ready(rig, ZDM_MODE_RUN, 3);
    rig_run(rig, 60000);
    assert_int_equal(rig->row_step, STEP_FLAG);
    rig_restart(rig);
    rig_undo(rig, 0, 1);
    order(rig, 2, ZDM_MODE_UNDO, 0, 2);
    rig_run(rig, 5000);
    assert_stopped(rig, "0 of 2 approvals");
}

/* Until the fault's times are 0 again. */
static void break_run(struct rig *rig, enum agent_run run, enum agent_outcome outcome, enum zdm_code code)
{
    rig->fault.kind = AGENT_OP_RUN;
    rig->fault.run = run;
    rig->fault.outcome = outcome;
    rig->fault.code = code;
    rig->fault.times = 1000000;
}

/* A leg of the way back from behind the switch, which loses nothing itself. */
static void first_leg(struct rig *rig, uint32_t to)
{
    make_one_way(rig);
    rig_ready(rig, ZDM_MODE_RUN, 3);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, 3);
    rig_undo(rig, to, 1);
    order(rig, 2, ZDM_MODE_UNDO, to, 2);
    rig_run(rig, 60000);
}

/* What new code wrote into the new column alone is still there, and would be lost now. */
static void second_leg_below_an_entered_switch_needs_approvals_of_its_own(void **state)
{
    struct rig *rig = *state;
    first_leg(rig, 2);
    assert_undone(rig, 2);
    assert_int_equal(rig->row_reached, 2);
    assert_int_equal(rig->row_switched, 2);
    assert_int_equal(rig->runs[AGENT_RUN_UNDO_END], 1);
    rig_restart(rig);
    order(rig, 3, ZDM_MODE_PAUSE, 2, 2);
    rig_undo(rig, 0, 2);
    rig_approve(rig, RIG_ALICE, ZDM_APPROVE_UNDO, 1, 3); /* of another way back than this */
    rig_approve(rig, RIG_BOB, ZDM_APPROVE_UNDO, 2, 4);
    order(rig, 4, ZDM_MODE_UNDO, 0, 3);
    rig_run(rig, 60000);
    const struct zdm_migration_report *said = rig_said(rig);
    assert_int_equal(said->state, ZDM_AGENT_STOPPED);
    assert_string_equal(said->error, "going back loses what step 1.3 does not copy back (zdmctl approve "
                                     "--rollback-to 0): 0 of 2 approvals");
    rig_approve(rig, RIG_ALICE, ZDM_APPROVE_UNDO, 0, 5);
    rig_approve(rig, RIG_BOB, ZDM_APPROVE_UNDO, 0, 6);
    order(rig, 5, ZDM_MODE_UNDO, 0, 4);
    rig_run(rig, 60000);
    assert_undone(rig, 0);
    assert_int_equal(rig->row_reached, 0);
    assert_int_equal(rig->row_switched, 0); /* and there is nothing left of it */
}

/* Back at the first phase, and forward again, but not so far as the switch: the column that is filled anew there was
 * hidden with what was in it, and what stands below phase 2 is what stood there when new code wrote. */
static void way_forward_after_a_first_leg_does_not_bring_back_what_it_asked_for(void **state)
{
    struct rig *rig = *state;
    first_leg(rig, 2);
    order(rig, 3, ZDM_MODE_RUN, 2, 3);
    rig_run(rig, 60000);
    assert_int_equal(rig->row_switched, 2);
    rig_undo(rig, 2, 2);
    order(rig, 4, ZDM_MODE_UNDO, 2, 4);
    rig_run(rig, 60000);
    assert_undone(rig, 2); /* nothing to ask for */
    rig_undo(rig, 0, 3);
    order(rig, 5, ZDM_MODE_UNDO, 0, 5);
    rig_run(rig, 60000);
    assert_int_equal(rig_said(rig)->state, ZDM_AGENT_STOPPED);
}

/* Who may lose it may lose it once: given up half way, the rest is still there. */
static void rollback_that_is_given_up_leaves_the_mark_where_it_was(void **state)
{
    struct rig *rig = *state;
    make_one_way(rig);
    rig_ready(rig, ZDM_MODE_RUN, 3);
    rig_run(rig, 60000);
    rig_undo(rig, 0, 1);
    rig_approve(rig, RIG_ALICE, ZDM_APPROVE_UNDO, 0, 3);
    rig_approve(rig, RIG_BOB, ZDM_APPROVE_UNDO, 0, 4);
    break_run(rig, AGENT_RUN_UNDO_SYNC, AGENT_LOCK, ZDM_LOCK);
    order(rig, 2, ZDM_MODE_UNDO, 0, 2);
    rig_run(rig, 10000);
    assert_int_equal(rig->runs[AGENT_RUN_UNDO_BEGIN], 1);
    assert_int_equal(rig->row_reached, 0);
    rig->fault.times = 0;
    order(rig, 3, ZDM_MODE_RUN, 1, 3);
    rig_run(rig, 10000);
    assert_int_equal(rig->row_switched, 3);
    rig_undo(rig, 0, 5);
    order(rig, 4, ZDM_MODE_UNDO, 0, 4);
    rig_run(rig, 10000);
    const struct zdm_migration_report *said = rig_said(rig);
    assert_int_equal(said->state, ZDM_AGENT_STOPPED);
    assert_non_null(strstr(said->error, "0 of 2 approvals"));
}

/* Its end is reached, and the answer to the last word of the journal is lost: it is not said to be undone before. */
static void rollback_is_over_only_when_the_mark_has_fallen(void **state)
{
    struct rig *rig = *state;
    break_run(rig, AGENT_RUN_UNDO_END, AGENT_RETRY, ZDM_TIMEOUT);
    first_leg(rig, 2);
    assert_false(rig_said(rig)->undone);
    assert_int_equal(rig->row_switched, 3);
    rig->fault.times = 0;
    rig_restart(rig);
    order(rig, 3, ZDM_MODE_UNDO, 2, 2);
    rig_run(rig, 60000);
    assert_undone(rig, 2);
    assert_int_equal(rig->row_switched, 2);
}

static void what_was_purged_cannot_be_brought_back(void **state)
{
    struct rig *rig = *state;
    rig_approve(rig, RIG_ALICE, ZDM_APPROVE_PURGE, 5, 1)->purge_now = true;
    rig_approve(rig, RIG_BOB, ZDM_APPROVE_PURGE, 5, 2)->purge_now = true;
    go_back(rig, 5, 3, 1);
    rig_run(rig, 5000);
    assert_stopped(rig, "step 5.1 has purged");
}

static void phase_that_people_let_in_is_not_entered_again_by_a_rollback(void **state)
{
    struct rig *rig = *state;
    rig->plan->phases[0].destructive = true;
    rig_approve(rig, RIG_ALICE, ZDM_APPROVE_ENTER, 1, 1);
    rig_approve(rig, RIG_BOB, ZDM_APPROVE_ENTER, 1, 2);
    go_back(rig, 2, 1, 1);
    rig_run(rig, 5000);
    assert_stopped(rig, "roll back to phase 0");
    rig_undo(rig, 0, 2);
    order(rig, 3, ZDM_MODE_UNDO, 0, 3);
    rig_run(rig, 60000);
    assert_undone(rig, 0);
    assert_int_equal(rig->row_entered, 0);
}

static void forward_work_stops_at_once_when_a_rollback_is_ordered(void **state)
{
    struct rig *rig = *state;
    rig->rows = 1000000;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 3000);
    rig_undo(rig, 1, 1);
    order(rig, 2, ZDM_MODE_UNDO, 1, 1);
    unsigned before = rig->runs[AGENT_RUN_BATCH] + (rig_in_flight(rig, AGENT_RUN_BATCH) != NULL);
    rig_run(rig, 60000);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], before);
    assert_undone(rig, 1);
}

static void step_that_is_done_and_that_the_journal_forgot_is_undone_too(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 5000);
    rig->done[STEP_INDEX] = true; /* of a phase that a regression has left */
    rig_undo(rig, 0, 1);
    order(rig, 2, ZDM_MODE_UNDO, 0, 1);
    rig_run(rig, 60000);
    assert_undone(rig, 0);
    assert_false(rig->done[STEP_INDEX]);
}

static void watch_unhide(struct rig *rig, const struct agent_op *op)
{
    (void)rig;
    if (op->back)
        assert_int_not_equal(op->step, STEP_HIDE);
}

static void what_a_later_step_would_take_away_is_not_brought_back_on_a_suspicion(void **state)
{
    struct rig *rig = *state;
    rig->watch = watch_unhide;
    go_back(rig, 2, 0, 1);
    rig_run(rig, 60000);
    assert_undone(rig, 0);
}

static void lost_step_in_the_forward_rest_is_worked_again(void **state)
{
    struct rig *rig = *state;
    go_back(rig, 2, 1, 1);
    while (rig->runs[AGENT_RUN_INSTALL_SYNC] < 2)
        if (!rig_answer(rig))
            rig_wait(rig, 10);
    rig->done[STEP_COLUMN] = false;
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-2");
    rig_run(rig, 6000);
    order(rig, 2, ZDM_MODE_UNDO, 1, 2);
    rig_run(rig, 60000);
    assert_undone(rig, 1);
    assert_true(rig->done[STEP_COLUMN]);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rollback_to_the_start_undoes_every_step_in_reverse_order),
        TEST(rollback_over_contract_alone_brings_the_column_back_and_rests_at_its_goal),
        TEST(floor_below_the_goal_is_reached_and_the_rest_is_worked_forward_again),
        TEST(half_a_phase_is_undone_too),
        TEST(images_are_written_back_in_batches_and_paced),
        TEST(walk_that_only_counts_waits_for_no_replica),
        TEST(slot_that_keeps_wal_does_not_hold_up_the_way_back),
        TEST(proven_phase_falls_while_the_shard_goes_back),
        TEST(restart_at_any_moment_ends_at_the_same_place),
        TEST(restarted_shard_says_where_it_is_before_it_goes_on_back),
        TEST(undone_shard_that_starts_again_undoes_nothing_twice),
        TEST(answer_that_is_lost_on_the_way_back_is_looked_for),
        TEST(third_unknown_in_a_row_on_the_way_back_makes_the_shard_unsure),
        TEST(part_without_effect_is_our_bug),
        TEST(pause_holds_the_way_back_and_resume_goes_on_with_the_same_order),
        TEST(long_part_of_the_way_back_is_cancelled_at_once_by_a_pause),
        TEST(rollback_that_is_given_up_goes_forward_from_where_it_is),
        TEST(order_that_was_used_begins_no_second_rollback),
        TEST(restarted_shard_that_had_stopped_says_where_it_is_and_why),
        TEST(stopped_shard_in_which_something_vanished_says_so_and_does_nothing),
        TEST(remark_of_a_rollback_survives_a_restart),
        TEST(remark_of_a_rollback_is_kept_until_the_shard_goes_forward),
        TEST(failure_on_the_way_back_is_durable_until_a_higher_attempt),
        TEST(second_order_that_goes_less_far_finds_what_the_first_took_away),
        TEST(without_an_undo_order_nothing_is_undone),
        TEST(undo_order_must_be_an_operators_for_this_shard_in_time_and_deep_enough),
        TEST(rollback_that_has_begun_is_not_ended_by_the_expiry_of_its_order),
        TEST(way_back_that_loses_data_needs_approvals),
        TEST(loss_is_judged_by_how_far_the_order_may_go),
        TEST(way_back_before_the_flag_was_on_loses_nothing),
        TEST(way_back_before_a_switch_without_steps_loses_nothing),
        TEST(way_back_after_a_switch_without_steps_needs_approvals),
        TEST(second_leg_below_an_entered_switch_needs_approvals_of_its_own),
        TEST(way_forward_after_a_first_leg_does_not_bring_back_what_it_asked_for),
        TEST(rollback_that_is_given_up_leaves_the_mark_where_it_was),
        TEST(rollback_is_over_only_when_the_mark_has_fallen),
        TEST(what_was_purged_cannot_be_brought_back),
        TEST(phase_that_people_let_in_is_not_entered_again_by_a_rollback),
        TEST(forward_work_stops_at_once_when_a_rollback_is_ordered),
        TEST(step_that_is_done_and_that_the_journal_forgot_is_undone_too),
        TEST(what_a_later_step_would_take_away_is_not_brought_back_on_a_suspicion),
        TEST(lost_step_in_the_forward_rest_is_worked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
