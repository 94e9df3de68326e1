/*
 * world.h - one database, the engines that work on it, and the results that came back, each counted.
 */
#ifndef TESTS_CONTRACT_ENGINE_WORLD_H
#define TESTS_CONTRACT_ENGINE_WORLD_H

#include <pthread.h>

#include "tests/contract/engine/suite.h"

enum { RESULTS_MAX = 512, STEPS = 4 };

/* Ordinals of the plan's steps: a check that sleeps, a column, a table that is not there, and a check that is quick. */
enum { SLEEPS = 1, ADDS = 2, NOWHERE = 3, QUICK = 4 };

/* One agent process: its engine, and what it believes. */
struct agent {
    struct world *world;
    struct agent_engine engine;
    struct zdm_fence fence;
    uint32_t journal_step, attempt, time_limit_ms;
    char *cursor;
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct agent_result *results[RESULTS_MAX]; /* by op id; taken ones are NULL */
    unsigned answers[RESULTS_MAX];             /* how many results each op got */
};

struct world {
    const struct backend *backend;
    char dsn[512];
    struct zdm_plan *plan;
    struct agent first, second;
    uint64_t next_op;
};

void world_use(const struct backend *backend);
int world_setup(void **state);
int world_teardown(void **state);

/* An operation as the core would make it: lane 0 for what is about the node, else 1. */
struct agent_op op_of(struct agent *a, enum agent_op_kind kind, enum agent_run run, uint32_t step);
/* Starts it (it must be taken); its id. */
uint64_t begin(struct agent *a, const struct agent_op *op);
/* Waits for the result, which the caller frees; what the agent believes follows it. */
struct agent_result *await(struct agent *a, uint64_t op);
struct agent_result *perform(struct agent *a, const struct agent_op *op);
/* Performs, asserts the outcome, frees. */
void outcome_is(struct agent *a, const struct agent_op *op, enum agent_outcome expected);
void run_is(struct agent *a, enum agent_run run, uint32_t step, enum agent_outcome expected);

void open_engine(struct agent *a);
/* Closes it and frees what was not asked for. */
void close_engine(struct agent *a);
/* CONNECT, until it works: a server may be starting. */
struct agent_result *connect_engine(struct agent *a);
/* Stores the plan and accepts a directive of epoch 1 and that generation. */
void accept_plan(struct agent *a, uint64_t generation);
uint64_t begin_accept(struct agent *a, uint64_t epoch, uint64_t generation, uint8_t instance, uint8_t digest);
struct agent_result *accept_as(struct agent *a, uint64_t epoch, uint64_t generation, uint8_t instance, uint8_t digest);
/* Begins the check that sleeps in that lane, and waits until the server is in it. */
uint64_t begin_sleep(struct agent *a, unsigned lane);
long number_of(struct agent *a, const char *sql);
int64_t now_ms(void);

#endif
