/*
 * test_results.c - the queue between the engine's threads and the driver's: nothing is lost, nothing comes twice, and
 * the order of one lane is kept, while several lanes push and one thread pops.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "agent/app/results.h"

/* As the core does it: a lane starts its next operation when the last one was popped. */
enum { LANES = 8, PER_LANE = 2000 };

struct lane {
    pthread_t thread;
    struct agent_engine_sink sink;
    unsigned number;
    atomic_uint popped;
};

struct bench {
    struct agent_results *results;
    struct lane lanes[LANES];
    atomic_uint wakes;
};

static void wake(void *ctx)
{
    struct bench *b = ctx;
    atomic_fetch_add(&b->wakes, 1);
}

static void *push_all(void *arg)
{
    struct lane *lane = arg;
    for (unsigned i = 0; i < PER_LANE; i++) {
        struct agent_result *result = calloc(1, sizeof *result);
        result->op = i + 1;
        result->lane = lane->number;
        lane->sink.op_done(lane->sink.ctx, result);
        while (atomic_load(&lane->popped) <= i)
            sched_yield();
    }
    return NULL;
}

static void every_result_arrives_once_and_in_its_lanes_order(void **state)
{
    struct bench b = {.results = NULL};
    (void)state;
    b.results = agent_results_new(wake, &b);
    for (unsigned i = 0; i < LANES; i++) {
        b.lanes[i].number = i;
        b.lanes[i].sink = agent_results_sink(b.results);
        assert_int_equal(pthread_create(&b.lanes[i].thread, NULL, push_all, &b.lanes[i]), 0);
    }
    for (unsigned n = 0; n < LANES * PER_LANE;) {
        struct agent_result *result = agent_results_pop(b.results);
        if (result == NULL) {
            sched_yield();
            continue;
        }
        struct lane *lane = &b.lanes[result->lane];
        assert_int_equal(result->op, atomic_load(&lane->popped) + 1);
        agent_result_free(result);
        atomic_fetch_add(&lane->popped, 1);
        n++;
    }
    for (unsigned i = 0; i < LANES; i++)
        pthread_join(b.lanes[i].thread, NULL);
    assert_int_equal(atomic_load(&b.wakes), LANES * PER_LANE);
    assert_null(agent_results_pop(b.results));
    agent_results_free(b.results);
}

static void results_that_nobody_took_are_freed(void **state)
{
    struct bench b = {.results = NULL};
    (void)state;
    b.results = agent_results_new(wake, &b);
    struct agent_engine_sink sink = agent_results_sink(b.results);
    for (int i = 0; i < 3; i++) {
        struct agent_result *result = calloc(1, sizeof *result);
        result->cursor = calloc(1, 8);
        sink.op_done(sink.ctx, result);
    }
    agent_results_free(b.results);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_result_arrives_once_and_in_its_lanes_order),
        cmocka_unit_test(results_that_nobody_took_are_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
