/*
 * test_pacing.c - the arithmetic of pacing: sizes converge, the duty is held, locks are asked for politely.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/core/pacing.h"

static const struct agent_batch_limits limits = {.target_ms = 20, .rows_min = 50, .rows_max = 50000};

static uint32_t cost_ms(double fixed, double per_row, uint32_t rows)
{
    return (uint32_t)(fixed + per_row * rows + 0.5);
}

static void batch_size_converges_to_the_target_time_for_any_cost_of_a_row(void **state)
{
    (void)state;
    static const double models[][2] = {{0, 0.01}, {2, 0.001}, {5, 0.05}, {1, 0.2}, {0, 0.002}, {3, 0.3}};
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        uint32_t rows = agent_batch_first(&limits);
        for (int n = 0; n < 40; n++)
            rows = agent_batch_next(&limits, rows, cost_ms(models[i][0], models[i][1], rows));
        assert_in_range(cost_ms(models[i][0], models[i][1], rows), 16, 24);
    }
}

static void batch_size_stays_within_its_bounds(void **state)
{
    (void)state;
    uint32_t rows = agent_batch_first(&limits);
    for (int n = 0; n < 60; n++)
        rows = agent_batch_next(&limits, rows, 0);
    assert_int_equal(rows, 50000);
    for (int n = 0; n < 60; n++)
        rows = agent_batch_next(&limits, rows, 100000);
    assert_int_equal(rows, 50);
}

static void batch_size_recovers_below_the_minimum_after_deadlocks(void **state)
{
    (void)state;
    uint32_t rows = 4;
    rows = agent_batch_halved(agent_batch_halved(agent_batch_halved(rows)));
    assert_int_equal(rows, 1);
    assert_int_equal(agent_batch_next(&limits, rows, 1), 50);
}

static void sleep_holds_the_duty(void **state)
{
    (void)state;
    assert_int_equal(agent_duty_sleep_ms(20, 20), 80);
    assert_int_equal(agent_duty_sleep_ms(20, 100), 0);
    assert_int_equal(agent_duty_sleep_ms(1, 50), 1);
    assert_int_equal(agent_duty_sleep_ms(7, 1), 693);
    for (uint32_t duty = 1; duty < 100; duty++)
        assert_true(13 * 100 <= (13 + agent_duty_sleep_ms(13, duty)) * duty);
}

static void rate_follows_what_is_done(void **state)
{
    (void)state;
    struct agent_rate rate = {.at_ms = 0};
    for (int64_t t = 1000; t < 60000; t += 100)
        agent_rate_note(&rate, t, 500, 20);
    assert_in_range((uint32_t)rate.per_s, 4500, 5600);
    for (int64_t t = 60000; t < 120000; t += 100)
        agent_rate_note(&rate, t, 50, 20);
    assert_in_range((uint32_t)rate.per_s, 450, 560);
}

static void lock_is_asked_for_without_queueing_first(void **state)
{
    (void)state;
    struct agent_lock_pacing lock = {.tries = 0};
    int64_t now = 5000;
    for (unsigned i = 0; i < 80; i++) {
        assert_false(agent_lock_may_queue(&lock, 80, now));
        int64_t gap = agent_lock_missed(&lock, false, now, i * 7919u);
        assert_in_range(gap, 75, 125);
        now += gap;
    }
    assert_true(agent_lock_may_queue(&lock, 80, now));
}

static void queued_attempts_are_one_to_two_seconds_apart(void **state)
{
    (void)state;
    struct agent_lock_pacing lock = {.tries = 80};
    int64_t now = 5000, last = -1;
    for (uint64_t i = 0; i < 500; i++) {
        if (agent_lock_may_queue(&lock, 80, now)) {
            if (last >= 0)
                assert_in_range(now - last, 1000, 2130);
            last = now;
            agent_lock_queued(&lock, now, i * 104729u);
        }
        now += agent_lock_missed(&lock, false, now, i * 7919u);
    }
    assert_true(last > 0);
}

static void autovacuum_makes_the_next_attempt_queue_at_once_but_not_every_time(void **state)
{
    (void)state;
    struct agent_lock_pacing lock = {.tries = 0};
    assert_int_equal(agent_lock_missed(&lock, true, 5000, 1), 0);
    assert_true(agent_lock_may_queue(&lock, 80, 5000));
    agent_lock_queued(&lock, 5000, 1);
    assert_in_range(agent_lock_missed(&lock, true, 5050, 1), 75, 125);
    assert_false(agent_lock_may_queue(&lock, 80, 5150));
    assert_true(agent_lock_may_queue(&lock, 80, 6000));
}

static void one_in_ten_attempts_that_queue_behind_an_autovacuum_may_stall(void **state)
{
    (void)state;
    struct agent_lock_pacing lock = {.tries = 0};
    unsigned stalls = 0;
    for (unsigned i = 0; i < 30; i++) {
        (void)agent_lock_missed(&lock, true, i * 1000, 1);
        bool may = agent_lock_may_stall(&lock);
        assert_int_equal(may, i % 10 == 9);
        stalls += may;
        agent_lock_queued(&lock, i * 1000, 1);
    }
    assert_int_equal(stalls, 3);
    (void)agent_lock_missed(&lock, false, 31000, 1);
    assert_false(agent_lock_may_stall(&lock));
    agent_lock_queued(&lock, 31000, 1);
    (void)agent_lock_missed(&lock, true, 32000, 1);
    assert_int_equal(lock.behind_autovacuum, 0);
}

static void directive_overrides_plan_overrides_agent(void **state)
{
    (void)state;
    const struct zdm_throttle directive = {.duty_percent = 5};
    const struct zdm_throttle plan = {.duty_percent = 50, .batch_target_ms = 40};
    const struct zdm_throttle own = {.duty_percent = 20, .batch_target_ms = 20, .max_replica_lag_ms = 5000};
    struct zdm_throttle got = agent_throttle_resolve(&directive, &plan, &own);
    assert_int_equal(got.duty_percent, 5);
    assert_int_equal(got.batch_target_ms, 40);
    assert_int_equal(got.max_replica_lag_ms, 5000);
}

static void nobody_makes_a_batch_hold_its_locks_for_long(void **state)
{
    (void)state;
    const struct zdm_throttle directive = {.batch_target_ms = UINT32_MAX};
    const struct zdm_throttle plan = {.batch_target_ms = 40};
    const struct zdm_throttle own = {.batch_target_ms = 20};
    assert_int_equal(agent_throttle_resolve(&directive, &plan, &own).batch_target_ms, AGENT_BATCH_TARGET_MAX_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_size_converges_to_the_target_time_for_any_cost_of_a_row),
        cmocka_unit_test(batch_size_stays_within_its_bounds),
        cmocka_unit_test(batch_size_recovers_below_the_minimum_after_deadlocks),
        cmocka_unit_test(sleep_holds_the_duty),
        cmocka_unit_test(rate_follows_what_is_done),
        cmocka_unit_test(lock_is_asked_for_without_queueing_first),
        cmocka_unit_test(queued_attempts_are_one_to_two_seconds_apart),
        cmocka_unit_test(one_in_ten_attempts_that_queue_behind_an_autovacuum_may_stall),
        cmocka_unit_test(autovacuum_makes_the_next_attempt_queue_at_once_but_not_every_time),
        cmocka_unit_test(directive_overrides_plan_overrides_agent),
        cmocka_unit_test(nobody_makes_a_batch_hold_its_locks_for_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
