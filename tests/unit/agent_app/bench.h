/*
 * bench.h - an agent's driver on a bench: a fake fleet in front of it, a fake database behind it, and its log.
 */
#ifndef TESTS_UNIT_AGENT_APP_BENCH_H
#define TESTS_UNIT_AGENT_APP_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agent/app/driver.h"
#include "tests/unit/agent_app/fake_engine.h"
#include "tests/unit/agent_app/fake_fleet.h"

struct bench {
    struct fake_fleet *fleet;
    struct fake_engine engine;
    struct agent_driver *driver;
    struct zdm_buffer saved; /* trust */
    unsigned errors;         /* notices of that level */
    struct zdm_buffer log;   /* all of them, a line each */
};

int bench_setup(void **state);
int bench_teardown(void **state);
/* A new agent with the fleet's trust file and enrolment; it dials at once. */
void bench_start(struct bench *b);
void bench_run(struct bench *b, int64_t ms);
/* The order that the coordinator gives from now on. */
void bench_order(struct bench *b, uint64_t generation, enum zdm_mode mode, uint32_t goal);
/* What the agent reported last of its one migration. */
const struct zdm_migration_report *bench_said(const struct bench *b);
/* Starts the agent; afterwards the standing order is generation 10, goal 1, and done. */
void bench_settle(struct bench *b);

#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

#endif
