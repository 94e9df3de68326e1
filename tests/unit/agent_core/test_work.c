/*
 * test_work.c - the way to the goal: every step once, every state reached, and what stops or slows the work.
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

static enum zdm_agent_state state_of(const struct rig *rig)
{
    return rig_look(rig).state;
}

static void shard_reaches_the_goal_and_runs_each_step_once(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 4);
    rig_run(rig, 60000);
    assert_int_equal(state_of(rig), ZDM_AGENT_RESTING);
    assert_int_equal(rig_look(rig).proven_phase, 4);
    assert_int_equal(rig->row_step, 10);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 1);
    assert_int_equal(rig->runs[AGENT_RUN_INSTALL_SYNC], 1);
    assert_int_equal(rig->runs[AGENT_RUN_BOUND], 2);
    assert_int_equal(rig->runs[AGENT_RUN_INDEX_BUILD], 1);
    assert_int_equal(rig->runs[AGENT_RUN_VALIDATE], 1);
    assert_int_equal(rig->runs[AGENT_RUN_HIDE], 1);
    assert_int_equal(rig->runs[AGENT_RUN_STEP_DONE], 9);
    const struct zdm_migration_report *said = rig_said(rig);
    assert_true(said->proven);
    assert_int_equal(said->evidence.bytes[0], 4);
}

static void step_that_journals_itself_is_looked_at_and_not_run_again(void **state)
{
    struct rig *rig = *state;
    rig->one_transaction = true;
    rig_ready(rig, ZDM_MODE_RUN, 4);
    rig_run(rig, 60000);
    assert_int_equal(state_of(rig), ZDM_AGENT_RESTING);
    assert_int_equal(rig_look(rig).proven_phase, 4);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 1);
    assert_int_equal(rig->runs[AGENT_RUN_HIDE], 1);
    assert_int_equal(rig->runs[AGENT_RUN_STEP_BACK], 0);
}

static void step_that_journals_itself_without_effect_stops_the_shard(void **state)
{
    struct rig *rig = *state;
    rig->one_transaction = rig->ddl_vanishes = true;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 60000);
    assert_int_equal(state_of(rig), ZDM_AGENT_STOPPED);
    assert_int_equal(rig->row_failed_code, ZDM_BUG);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 3);
}

static void shard_stops_at_the_end_of_the_goal_phase_and_goes_on_with_the_next_order(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 5000);
    assert_int_equal(state_of(rig), ZDM_AGENT_RESTING);
    assert_int_equal(rig->row_step, STEP_BACKFILL);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], 0);
    order(rig, 2, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 30000);
    assert_int_equal(rig_look(rig).proven_phase, 2);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 1);
}

static void every_state_is_reached(void **state)
{
    struct rig *rig = *state;
    rig->rows = 20000;
    rig_started(rig);
    rig->up = false;
    order(rig, 1, ZDM_MODE_RUN, 1, 1);
    rig_answer(rig);
    assert_int_equal(state_of(rig), ZDM_AGENT_BLIND);
    rig->up = true;
    rig_link(rig, true);
    rig_run(rig, 2000);
    assert_int_equal(state_of(rig), ZDM_AGENT_WAITING);
    assert_int_equal(rig_said(rig)->wait, ZDM_WAIT_PLAN);
    rig_plan_ready(rig);
    rig_answer(rig);
    rig_answer(rig);
    assert_int_equal(state_of(rig), ZDM_AGENT_LOOKING);
    rig_answer(rig);
    assert_int_equal(state_of(rig), ZDM_AGENT_WORKING);
    rig_run(rig, 5000);
    assert_int_equal(state_of(rig), ZDM_AGENT_RESTING);
    order(rig, 2, ZDM_MODE_PAUSE, 1, 1);
    assert_int_equal(state_of(rig), ZDM_AGENT_PAUSED);
    rig_run(rig, 1000);
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-2");
    rig_run(rig, 6000);
    assert_int_equal(state_of(rig), ZDM_AGENT_ASKING);
    rig->writable = false;
    rig_run(rig, 6000);
    assert_int_equal(state_of(rig), ZDM_AGENT_OBSERVING);
    rig->writable = true;
    rig_run(rig, 6000);
    rig->fault.kind = AGENT_OP_RUN;
    rig->fault.run = AGENT_RUN_BATCH;
    rig->fault.outcome = AGENT_UNKNOWN;
    rig->fault.code = ZDM_UNKNOWN;
    rig->fault.times = 3;
    order(rig, 3, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 5000);
    assert_int_equal(state_of(rig), ZDM_AGENT_UNSURE);
    rig->fault.outcome = AGENT_FAIL;
    rig->fault.code = ZDM_DATABASE;
    rig->fault.times = 1;
    order(rig, 4, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 5000);
    assert_int_equal(state_of(rig), ZDM_AGENT_STOPPED);
}

static void failure_is_journalled_and_only_a_higher_attempt_goes_on(void **state)
{
    struct rig *rig = *state;
    rig_fail_once(rig, AGENT_RUN_DDL, ZDM_DATABASE);
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 3000);
    assert_int_equal(state_of(rig), ZDM_AGENT_STOPPED);
    assert_int_equal(rig->row_failed_attempt, 1);
    assert_int_equal(rig_said(rig)->failed_attempt, 1);
    assert_int_equal(rig_said(rig)->error_code, ZDM_DATABASE);
    assert_string_equal(rig_said(rig)->hint, "Take the fault away.");
    order(rig, 2, ZDM_MODE_RUN, 1, 1);
    rig_run(rig, 3000);
    assert_int_equal(state_of(rig), ZDM_AGENT_STOPPED);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 0);
    order(rig, 3, ZDM_MODE_RUN, 1, 2);
    rig_run(rig, 5000);
    assert_int_equal(state_of(rig), ZDM_AGENT_RESTING);
    assert_int_equal(rig_said(rig)->error_code, ZDM_OK);
}

static void failure_outlives_a_restart_of_the_agent(void **state)
{
    struct rig *rig = *state;
    rig_fail_once(rig, AGENT_RUN_DDL, ZDM_DATABASE);
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 3000);
    rig_restart(rig);
    assert_int_equal(state_of(rig), ZDM_AGENT_ASKING);
    order(rig, 1, ZDM_MODE_RUN, 1, 1);
    rig_run(rig, 3000);
    assert_int_equal(state_of(rig), ZDM_AGENT_STOPPED);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 0);
}

static void no_batch_starts_after_a_pause_has_arrived(void **state)
{
    struct rig *rig = *state;
    rig->rows = 100000;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    while (rig_in_flight(rig, AGENT_RUN_BATCH) == NULL || rig->runs[AGENT_RUN_BATCH] < 3)
        if (!rig_answer(rig))
            rig_wait(rig, 10);
    unsigned before = rig->runs[AGENT_RUN_BATCH];
    order(rig, 2, ZDM_MODE_PAUSE, 2, 1);
    assert_int_equal(state_of(rig), ZDM_AGENT_PAUSED);
    assert_int_equal(rig_look(rig).accepted.generation, 1);
    rig_run(rig, 30000);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], before + 1); /* the one in flight finished */
    assert_int_equal(rig_look(rig).accepted.generation, 2);
    /* A go order acts only after its commit. */
    order(rig, 3, ZDM_MODE_RUN, 2, 1);
    assert_int_equal(state_of(rig), ZDM_AGENT_PAUSED);
    assert_null(rig_in_flight(rig, AGENT_RUN_BATCH));
    rig_run(rig, 200000);
    assert_int_equal(state_of(rig), ZDM_AGENT_RESTING);
}

static void batch_that_hangs_is_cancelled_by_a_pause_within_a_second(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    while (rig_in_flight(rig, AGENT_RUN_BATCH) == NULL)
        if (!rig_answer(rig))
            rig_wait(rig, 10);
    uint64_t op = rig_in_flight(rig, AGENT_RUN_BATCH)->id;
    order(rig, 2, ZDM_MODE_PAUSE, 2, 1);
    rig_wait(rig, 499);
    assert_int_equal(rig->cancelled, 0);
    rig_wait(rig, 1);
    assert_int_equal(rig->cancelled, op);
}

static void index_build_is_cancelled_at_once_by_a_pause(void **state)
{
    struct rig *rig = *state;
    rig->rows = 100;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    while (rig_in_flight(rig, AGENT_RUN_INDEX_BUILD) == NULL)
        if (!rig_answer(rig))
            rig_wait(rig, 10);
    uint64_t op = rig_in_flight(rig, AGENT_RUN_INDEX_BUILD)->id;
    order(rig, 2, ZDM_MODE_PAUSE, 2, 1);
    assert_int_equal(rig->cancelled, op);
}

static void lease_that_ends_parks_the_work_and_a_new_one_lets_it_go_on(void **state)
{
    struct rig *rig = *state;
    rig->rows = 200000;
    rig->lease_ms = 5000;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 1000);
    rig->acks = false;
    rig_link(rig, false); /* does not stop the work by itself */
    unsigned before = rig->runs[AGENT_RUN_BATCH];
    rig_run(rig, 3000);
    assert_true(rig->runs[AGENT_RUN_BATCH] > before);
    rig_run(rig, 3000);
    before = rig->runs[AGENT_RUN_BATCH];
    assert_int_equal(state_of(rig), ZDM_AGENT_WAITING);
    assert_int_equal(rig_said(rig)->wait, ZDM_WAIT_LEASE);
    rig_run(rig, 20000);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], before);
    rig->acks = true;
    rig_link(rig, true);
    rig_run(rig, 1000);
    assert_true(rig->runs[AGENT_RUN_BATCH] > before);
}

static void lease_counts_from_the_sending_of_the_report(void **state)
{
    struct rig *rig = *state;
    rig->acks = false;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 10);
    (void)rig_said(rig);
    uint64_t number = rig->report.number;
    rig_wait(rig, 4000);
    struct agent_input ack = {.kind = AGENT_IN_ACKED, .u.acked = {.number = number, .lease_ms = 5000}};
    rig_input(rig, &ack);
    assert_int_not_equal(rig_said(rig)->wait, ZDM_WAIT_LEASE);
    rig_run(rig, 999);
    assert_int_not_equal(rig_said(rig)->wait, ZDM_WAIT_LEASE);
    rig_run(rig, 2);
    assert_int_equal(rig_said(rig)->wait, ZDM_WAIT_LEASE);
}

static void bad_signal_throttles_and_says_which(void **state)
{
    struct rig *rig = *state;
    rig->rows = 100000;
    rig->has_signal = true;
    rig->signal = (struct zdm_signal){
        .name = "replica_lag_ms", .state = ZDM_SIGNAL_BAD, .value = 5200, .limit = 5000, .since_ms = 12000};
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 2500);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], 0);
    const struct zdm_migration_report *said = rig_said(rig);
    assert_int_equal(said->wait, ZDM_WAIT_THROTTLE);
    assert_non_null(strstr(said->throttled_by, "replica_lag_ms 5200 > 5000 for 12 s"));
    rig->signal.state = ZDM_SIGNAL_OK;
    rig_run(rig, 2500);
    assert_true(rig->runs[AGENT_RUN_BATCH] > 0);
    rig->signal.state = ZDM_SIGNAL_STALE;
    rig_run(rig, 1500);
    unsigned before = rig->runs[AGENT_RUN_BATCH];
    rig_run(rig, 3000);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], before);
}

static void signals_that_do_not_come_throttle(void **state)
{
    struct rig *rig = *state;
    rig->rows = 1000000;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 1500);
    rig->fault.kind = AGENT_OP_SIGNALS;
    rig->fault.outcome = AGENT_FAIL;
    rig->fault.code = ZDM_DATABASE;
    rig->fault.times = 1000;
    rig_run(rig, 5000);
    unsigned before = rig->runs[AGENT_RUN_BATCH];
    rig_run(rig, 5000);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], before);
    rig->fault.times = 0;
    rig_run(rig, 3000);
    assert_true(rig->runs[AGENT_RUN_BATCH] > before);
}

static void batches_take_twenty_ms_and_a_fifth_of_the_time(void **state)
{
    struct rig *rig = *state;
    rig->rows = 10000000;
    rig->ms_per_row = 0.01;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 10000);
    unsigned before = rig->runs[AGENT_RUN_BATCH];
    int rows = rig->row_cursor;
    rig_run(rig, 30000);
    unsigned batches = rig->runs[AGENT_RUN_BATCH] - before;
    assert_in_range(batches, 270, 330); /* 100 ms each, sleep included */
    assert_in_range((rig->row_cursor - rows) / (int)batches, 1700, 2200);
    assert_in_range(rig_said(rig)->progress.rows_per_s, 16000, 23000);
}

static void duty_of_a_hundred_means_no_pacing(void **state)
{
    struct rig *rig = *state;
    rig->rows = 1000000;
    rig->ms_per_row = 0.01;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 2000);
    struct zdm_directive d = rig_order(1, 2, ZDM_MODE_RUN, 2);
    d.throttle.duty_percent = 100;
    rig_send(rig, &d, 0);
    rig_run(rig, 5000);
    assert_true(rig->row_cursor > 400000);
}

static void lower_rate_acts_before_it_is_journalled(void **state)
{
    struct rig *rig = *state;
    rig->rows = 10000000;
    rig->ms_per_row = 0.01;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 5000);
    rig->fault.kind = AGENT_OP_ACCEPT;
    rig->fault.outcome = AGENT_RETRY;
    rig->fault.code = ZDM_CONFLICT;
    rig->fault.times = 1000000;
    struct zdm_directive d = rig_order(1, 2, ZDM_MODE_RUN, 2);
    d.throttle.duty_percent = 1;
    rig_send(rig, &d, 0);
    unsigned before = rig->runs[AGENT_RUN_BATCH];
    rig_run(rig, 20000);
    assert_in_range(rig->runs[AGENT_RUN_BATCH] - before, 5, 14);
}

static void ddl_waits_politely_for_its_lock_and_never_gives_up(void **state)
{
    struct rig *rig = *state;
    rig->fault.kind = AGENT_OP_RUN;
    rig->fault.run = AGENT_RUN_DDL;
    rig->fault.outcome = AGENT_LOCK;
    rig->fault.times = 1000000;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 5000);
    assert_int_equal(state_of(rig), ZDM_AGENT_WAITING);
    assert_int_equal(rig_said(rig)->wait, ZDM_WAIT_LOCK);
    assert_string_equal(rig_said(rig)->blocked_by, "pid 4242 app@shop");
    assert_int_equal(rig->queued, 0);
    rig_run(rig, 595000);
    assert_int_equal(rig_said(rig)->wait, ZDM_WAIT_LOCK);
    assert_in_range(rig->queued, 280, 600);
    assert_true(rig->nowaits > 4000);
    rig->fault.times = 0;
    rig_run(rig, 3000);
    assert_int_equal(state_of(rig), ZDM_AGENT_RESTING);
    assert_string_equal(rig_said(rig)->blocked_by, "");
}

static void autovacuum_in_the_way_makes_ddl_queue_at_once(void **state)
{
    struct rig *rig = *state;
    rig->fault.kind = AGENT_OP_RUN;
    rig->fault.run = AGENT_RUN_DDL;
    rig->fault.outcome = AGENT_LOCK;
    rig->fault.autovacuum = true;
    rig->fault.times = 1;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 50);
    assert_int_equal(rig->nowaits, 1);
    assert_int_equal(rig->queued, 1);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 1);
}

static void behind_an_autovacuum_one_attempt_in_ten_may_take_what_the_plan_allows(void **state)
{
    struct rig *rig = *state;
    rig->fault.kind = AGENT_OP_RUN;
    rig->fault.run = AGENT_RUN_DDL;
    rig->fault.outcome = AGENT_LOCK;
    rig->fault.autovacuum = true;
    rig->fault.times = 1000;
    rig->plan->throttle.max_stall_ms = 1200;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    while (rig->queued < 9)
        rig_run(rig, 100);
    assert_int_equal(rig->stalled_ms, 0);
    while (rig->queued < 10)
        rig_run(rig, 100);
    assert_int_equal(rig->stalled_ms, 1200);
    assert_int_equal(state_of(rig), ZDM_AGENT_WAITING);
}

static void leftover_of_an_index_build_is_dropped_first(void **state)
{
    struct rig *rig = *state;
    rig->leftover = true;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_int_equal(rig->runs[AGENT_RUN_INDEX_DROP_INVALID], 1);
    assert_int_equal(rig->runs[AGENT_RUN_INDEX_BUILD], 1);
    assert_int_equal(rig_look(rig).proven_phase, 2);
}

static void answer_lost_after_the_commit_runs_nothing_twice(void **state)
{
    struct rig *rig = *state;
    static const enum agent_run kinds[] = {AGENT_RUN_DDL, AGENT_RUN_BATCH, AGENT_RUN_STEP_DONE, AGENT_RUN_BOUND};
    rig_ready(rig, ZDM_MODE_RUN, 4);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        while (rig_in_flight(rig, kinds[i]) == NULL && state_of(rig) != ZDM_AGENT_RESTING)
            if (!rig_answer(rig))
                rig_wait(rig, 10);
        rig->fault.kind = AGENT_OP_RUN;
        rig->fault.run = kinds[i];
        rig->fault.outcome = AGENT_UNKNOWN;
        rig->fault.code = ZDM_UNKNOWN;
        rig->fault.applied = true;
        rig->fault.times = 1;
    }
    rig_run(rig, 120000);
    assert_int_equal(state_of(rig), ZDM_AGENT_RESTING);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 1);
    assert_int_equal(rig->runs[AGENT_RUN_STEP_DONE], 9);
}

static void third_unknown_in_a_row_makes_the_shard_unsure_and_a_newer_order_looks_again(void **state)
{
    struct rig *rig = *state;
    rig->fault.kind = AGENT_OP_INSPECT;
    rig->fault.outcome = AGENT_OK;
    rig->fault.proof = AGENT_PROOF_UNKNOWN;
    rig->fault.times = 3;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 5000);
    assert_int_equal(state_of(rig), ZDM_AGENT_UNSURE);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 0);
    order(rig, 2, ZDM_MODE_RUN, 1, 1);
    rig_run(rig, 5000);
    assert_int_equal(state_of(rig), ZDM_AGENT_RESTING);
}

static void lost_step_of_an_early_phase_is_reported_and_worked_again(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, 2);
    rig->done[STEP_SYNC] = false; /* somebody dropped the triggers, then the server was restarted */
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-2");
    rig_run(rig, 6000);
    assert_int_equal(state_of(rig), ZDM_AGENT_ASKING);
    order(rig, 1, ZDM_MODE_RUN, 2, 1);
    while (rig->runs[AGENT_RUN_STEP_BACK] == 0 && rig_answer(rig))
        ;
    assert_int_equal(rig_look(rig).proven_phase, 0);
    assert_true(rig_said(rig)->proven);
    rig_run(rig, 60000);
    assert_int_equal(rig->runs[AGENT_RUN_INSTALL_SYNC], 2);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 1);
    assert_int_equal(rig_look(rig).proven_phase, 2);
}

static void loss_that_another_process_made_good_meanwhile_takes_nothing_back(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    rig->done[STEP_INDEX] = false;
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-2");
    rig_run(rig, 6000);
    order(rig, 1, ZDM_MODE_RUN, 2, 1);
    while (rig_in_flight(rig, AGENT_RUN_STEP_BACK) == NULL && rig_answer(rig))
        ;
    assert_non_null(rig_in_flight(rig, AGENT_RUN_STEP_BACK));
    rig->done[STEP_INDEX] = true;
    rig->row_step = STEP_HIDE;
    rig_run(rig, 60000);
    assert_int_equal(rig->runs[AGENT_RUN_STEP_BACK], 0);
    assert_int_equal(rig->row_step, STEP_HIDE);
    assert_int_equal(rig_look(rig).proven_phase, 3);
}

static void superseded_step_is_not_asked_for_after_its_successor(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 4);
    rig_run(rig, 60000);
    rig->done[STEP_SYNC] = false; /* hide has replaced the triggers */
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-2");
    rig_run(rig, 6000);
    order(rig, 1, ZDM_MODE_RUN, 4, 1);
    rig_run(rig, 6000);
    assert_int_equal(state_of(rig), ZDM_AGENT_RESTING);
    assert_int_equal(rig_look(rig).proven_phase, 4);
}

static void lost_step_behind_the_switch_waits_for_a_person(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 3);
    rig_run(rig, 60000);
    rig->done[STEP_INDEX] = false;
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-2");
    rig_run(rig, 6000);
    order(rig, 1, ZDM_MODE_RUN, 3, 1);
    rig_run(rig, 6000);
    assert_int_equal(state_of(rig), ZDM_AGENT_UNSURE);
    assert_int_equal(rig_look(rig).proven_phase, 1);
    assert_int_equal(rig->runs[AGENT_RUN_STEP_BACK], 0);
}

static void lost_step_before_a_backfill_that_counts_is_not_worked_again(void **state)
{
    struct rig *rig = *state;
    rig->plan->phases[1].steps[0].derivation->idempotent = false;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    rig->done[STEP_COLUMN] = false;
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-2");
    rig_run(rig, 6000);
    order(rig, 1, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 6000);
    assert_int_equal(state_of(rig), ZDM_AGENT_UNSURE);
}

static void paused_shard_still_proves_where_it_is(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 5000);
    order(rig, 2, ZDM_MODE_PAUSE, 1, 1);
    rig_run(rig, 1000);
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-2");
    rig_run(rig, 6000);
    assert_false(rig_said(rig)->proven);
    order(rig, 2, ZDM_MODE_PAUSE, 1, 1);
    rig_run(rig, 1000);
    assert_int_equal(state_of(rig), ZDM_AGENT_PAUSED);
    assert_true(rig_said(rig)->proven);
    assert_int_equal(rig_look(rig).proven_phase, 1);
}

static void what_this_release_cannot_do_is_refused_before_anything_is_touched(void **state)
{
    struct rig *rig = *state;
    rig->plan->phases[0].steps[2].kind = ZDM_STEP_REBUILD;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 5000);
    assert_int_equal(state_of(rig), ZDM_AGENT_STOPPED);
    assert_int_equal(rig->row_failed_code, ZDM_UNSUPPORTED);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 0);
    assert_int_equal(rig->row_step, 1);
}

static void a_plan_for_another_engine_is_refused_before_anything_is_touched(void **state)
{
    struct rig *rig = *state;
    rig->plan->engines = ZDM_ENGINE_MYSQL;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 5000);
    assert_int_equal(state_of(rig), ZDM_AGENT_STOPPED);
    assert_int_equal(rig->row_failed_code, ZDM_REFUSED);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 0);
    assert_int_equal(rig->row_step, 1);
}

static void third_deadlock_in_a_row_asks_for_the_locked_form(void **state)
{
    struct rig *rig = *state;
    rig->fault.kind = AGENT_OP_RUN;
    rig->fault.run = AGENT_RUN_BATCH;
    rig->fault.outcome = AGENT_RETRY;
    rig->fault.code = ZDM_CONFLICT;
    rig->fault.times = 3;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    uint32_t rows = 0;
    while (rig->fault.times > 0) {
        const struct agent_op *op = rig_in_flight(rig, AGENT_RUN_BATCH);
        if (op != NULL) {
            assert_false(op->locked_form);
            assert_true(rows == 0 || op->rows == rows / 2);
            rows = op->rows;
        }
        if (!rig_answer(rig))
            rig_wait(rig, 50);
    }
    while (rig_in_flight(rig, AGENT_RUN_BATCH) == NULL)
        if (!rig_answer(rig))
            rig_wait(rig, 50);
    assert_true(rig_in_flight(rig, AGENT_RUN_BATCH)->locked_form);
}

static void reports_are_at_once_on_change_then_by_the_clock(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 3000);
    unsigned before = rig->reports;
    rig_run(rig, 60000);
    assert_in_range(rig->reports - before, 5, 7); /* idle: every 10 s */
    rig->rows = 10000000;
    order(rig, 2, ZDM_MODE_RUN, 2, 1);
    rig_run(rig, 2000);
    before = rig->reports;
    rig_run(rig, 20000);
    assert_in_range(rig->reports - before, 18, 25); /* working: every second */
    before = rig->reports;
    order(rig, 3, ZDM_MODE_PAUSE, 2, 1);
    rig_run(rig, 300);
    assert_true(rig->reports > before);
}

static void restart_of_the_database_with_the_same_identity_goes_on(void **state)
{
    struct rig *rig = *state;
    rig->rows = 100000;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 2000);
    rig->up = false;
    rig_run(rig, 3000);
    assert_int_equal(state_of(rig), ZDM_AGENT_BLIND);
    assert_string_equal((rig_said(rig), rig->report.db_error), "could not connect to the database");
    rig->up = true;
    rig_run(rig, 11000);
    assert_int_not_equal(state_of(rig), ZDM_AGENT_ASKING);
    rig_run(rig, 120000);
    assert_int_equal(state_of(rig), ZDM_AGENT_RESTING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shard_reaches_the_goal_and_runs_each_step_once),
        TEST(step_that_journals_itself_is_looked_at_and_not_run_again),
        TEST(step_that_journals_itself_without_effect_stops_the_shard),
        TEST(shard_stops_at_the_end_of_the_goal_phase_and_goes_on_with_the_next_order),
        TEST(every_state_is_reached),
        TEST(failure_is_journalled_and_only_a_higher_attempt_goes_on),
        TEST(failure_outlives_a_restart_of_the_agent),
        TEST(no_batch_starts_after_a_pause_has_arrived),
        TEST(batch_that_hangs_is_cancelled_by_a_pause_within_a_second),
        TEST(index_build_is_cancelled_at_once_by_a_pause),
        TEST(lease_that_ends_parks_the_work_and_a_new_one_lets_it_go_on),
        TEST(lease_counts_from_the_sending_of_the_report),
        TEST(bad_signal_throttles_and_says_which),
        TEST(signals_that_do_not_come_throttle),
        TEST(batches_take_twenty_ms_and_a_fifth_of_the_time),
        TEST(duty_of_a_hundred_means_no_pacing),
        TEST(lower_rate_acts_before_it_is_journalled),
        TEST(ddl_waits_politely_for_its_lock_and_never_gives_up),
        TEST(autovacuum_in_the_way_makes_ddl_queue_at_once),
        TEST(behind_an_autovacuum_one_attempt_in_ten_may_take_what_the_plan_allows),
        TEST(leftover_of_an_index_build_is_dropped_first),
        TEST(answer_lost_after_the_commit_runs_nothing_twice),
        TEST(third_unknown_in_a_row_makes_the_shard_unsure_and_a_newer_order_looks_again),
        TEST(lost_step_of_an_early_phase_is_reported_and_worked_again),
        TEST(loss_that_another_process_made_good_meanwhile_takes_nothing_back),
        TEST(superseded_step_is_not_asked_for_after_its_successor),
        TEST(lost_step_behind_the_switch_waits_for_a_person),
        TEST(lost_step_before_a_backfill_that_counts_is_not_worked_again),
        TEST(paused_shard_still_proves_where_it_is),
        TEST(what_this_release_cannot_do_is_refused_before_anything_is_touched),
        TEST(a_plan_for_another_engine_is_refused_before_anything_is_touched),
        TEST(third_deadlock_in_a_row_asks_for_the_locked_form),
        TEST(reports_are_at_once_on_change_then_by_the_clock),
        TEST(restart_of_the_database_with_the_same_identity_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
