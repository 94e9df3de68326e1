/*
 * world.c - see world.h.
 */
#include "tests/contract/engine/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/buffer.h"

enum { WAIT_S = 60, PATIENCE_MS = 30000 };

static const struct backend *in_use;

void world_use(const struct backend *backend)
{
    in_use = backend;
}

int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

long number_of(struct agent *a, const char *sql)
{
    return a->world->backend->number(sql);
}

/* ---- The plan ---- */

static void fill_step(struct zdm_step *step, uint32_t ordinal, const char *schema, const char *table)
{
    step->ordinal = ordinal;
    snprintf(step->id, sizeof step->id, "1.%u", (unsigned)ordinal);
    step->kind = ZDM_STEP_DDL;
    step->table.schema = zdm_strdup(schema);
    step->table.name = zdm_strdup(table);
}

static void make_plan(struct world *world)
{
    static unsigned serial;
    const struct backend *b = world->backend;
    struct zdm_plan *plan = world->plan = zdm_plan_new();
    plan->format = ZDM_PLAN_FORMAT;
    plan->engines = b->engine;
    snprintf(plan->id, sizeof plan->id, "m%u", ++serial);
    memset(plan->hash.bytes, (int)serial, sizeof plan->hash.bytes);
    plan->phases = calloc(1, sizeof *plan->phases);
    plan->n_phases = 1;
    plan->phases[0].number = 1;
    plan->phases[0].class = ZDM_PHASE_EXPAND;
    plan->phases[0].steps = calloc(STEPS, sizeof *plan->phases[0].steps);
    plan->phases[0].n_steps = STEPS;
    struct zdm_step *steps = plan->phases[0].steps;
    for (uint32_t o = 1; o <= STEPS; o++) {
        fill_step(&steps[o - 1], o, b->schema, o == NOWHERE ? "nowhere" : "w");
    }
    steps[SLEEPS - 1].action = steps[QUICK - 1].action = ZDM_ACTION_CHECK_QUERY;
    steps[SLEEPS - 1].kind = steps[QUICK - 1].kind = ZDM_STEP_CHECK;
    steps[SLEEPS - 1].sql = zdm_strdup(b->sleeps);
    steps[QUICK - 1].sql = zdm_strdup("SELECT id FROM w WHERE id > 1000");
    steps[ADDS - 1].action = steps[NOWHERE - 1].action = ZDM_ACTION_ADD_COLUMN;
    steps[ADDS - 1].column = zdm_strdup("c");
    steps[NOWHERE - 1].column = zdm_strdup("c");
    steps[ADDS - 1].sql = zdm_strdup(b->add_column);
    steps[NOWHERE - 1].sql = zdm_strdup(b->add_column);
}

/* ---- Operations and results ---- */

static void keep(void *ctx, struct agent_result *result)
{
    struct agent *a = ctx;
    pthread_mutex_lock(&a->lock);
    size_t at = (size_t)result->op % RESULTS_MAX;
    a->answers[at]++;
    agent_result_free(a->results[at]); /* a second one for the same operation, which the count tells */
    a->results[at] = result;
    pthread_cond_broadcast(&a->arrived);
    pthread_mutex_unlock(&a->lock);
}

struct agent_op op_of(struct agent *a, enum agent_op_kind kind, enum agent_run run, uint32_t step)
{
    struct world *world = a->world;
    bool of_node =
        kind == AGENT_OP_CONNECT || kind == AGENT_OP_SIGNALS || kind == AGENT_OP_ACCEPT || kind == AGENT_OP_STORE_PLAN;
    struct agent_op op = {.id = world->next_op++,
                          .lane = of_node ? 0 : 1,
                          .kind = kind,
                          .run = run,
                          .plan = world->plan,
                          .step = step,
                          .fence = a->fence,
                          .journal_step = a->journal_step,
                          .cursor = a->cursor,
                          .rows = 1000,
                          .time_limit_ms = a->time_limit_ms,
                          .attempt = a->attempt,
                          .failed_code = ZDM_DATABASE,
                          .failed_text = "it broke",
                          .max_replica_lag_ms = 5000};
    snprintf(op.migration, sizeof op.migration, "%s", world->plan->id);
    return op;
}

uint64_t begin(struct agent *a, const struct agent_op *op)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    assert_true(op->id < RESULTS_MAX);
    if (a->engine.ops->start(a->engine.self, op, &err) != ZDM_OK) {
        fail_msg("start: %s", err.message);
    }
    return op->id;
}

static void believe(struct agent *a, const struct agent_result *result)
{
    if (result->journal_valid) {
        a->journal_step = result->journal_step;
        free(a->cursor);
        a->cursor = zdm_strdup(result->cursor);
    }
}

struct agent_result *await(struct agent *a, uint64_t op)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&a->lock);
    for (int late = 0; a->results[op] == NULL && late == 0;) {
        late = pthread_cond_timedwait(&a->arrived, &a->lock, &until);
    }
    struct agent_result *result = a->results[op];
    a->results[op] = NULL;
    pthread_mutex_unlock(&a->lock);
    if (result == NULL) {
        fail_msg("operation %lu gave no result", (unsigned long)op);
        return NULL;
    }
    believe(a, result);
    return result;
}

struct agent_result *perform(struct agent *a, const struct agent_op *op)
{
    return await(a, begin(a, op));
}

void outcome_is(struct agent *a, const struct agent_op *op, enum agent_outcome expected)
{
    struct agent_result *result = perform(a, op);
    if (result->outcome != expected) {
        fail_msg("%s: %s instead of %s: %s %s (%s) %s", agent_run_name(result->run),
                 agent_outcome_name(result->outcome), agent_outcome_name(expected), result->error.sqlstate,
                 result->error.message, result->error.detail, result->error.hint);
    }
    agent_result_free(result);
}

void run_is(struct agent *a, enum agent_run run, uint32_t step, enum agent_outcome expected)
{
    const struct agent_op op = op_of(a, AGENT_OP_RUN, run, step);
    outcome_is(a, &op, expected);
}

/* ---- Agents ---- */

void open_engine(struct agent *a)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct agent_engine_config config = {.dsn = a->world->dsn,
                                         .application_name = "zdm-agent contract",
                                         .connect_timeout_ms = 5000,
                                         .sink = {.op_done = keep, .ctx = a}};
    if (a->world->backend->open(&config, &a->engine, &err) != ZDM_OK) {
        fail_msg("open: %s", err.message);
    }
}

void close_engine(struct agent *a)
{
    if (a->engine.ops != NULL) {
        a->engine.ops->close(a->engine.self);
        a->engine = (struct agent_engine){0};
    }
    for (size_t i = 0; i < RESULTS_MAX; i++) {
        agent_result_free(a->results[i]);
        a->results[i] = NULL;
    }
}

struct agent_result *connect_engine(struct agent *a)
{
    int64_t until_ms = now_ms() + PATIENCE_MS;
    for (;;) {
        const struct agent_op op = op_of(a, AGENT_OP_CONNECT, AGENT_RUN_NONE, 0);
        struct agent_result *result = perform(a, &op);
        if (result->outcome == AGENT_OK) {
            return result;
        }
        if (result->outcome != AGENT_RETRY || now_ms() > until_ms) {
            fail_msg("connect: %s: %s (%s) %s", agent_outcome_name(result->outcome), result->error.message,
                     result->error.detail, result->error.hint);
        }
        agent_result_free(result);
        rest();
    }
}

uint64_t begin_accept(struct agent *a, uint64_t epoch, uint64_t generation, uint8_t instance, uint8_t digest)
{
    struct zdm_envelope envelope = {.bytes = (uint8_t[]){1, 2, 3}, .len = 3};
    struct zdm_directive directive = {.fence = {.epoch = epoch, .generation = generation}, .mode = ZDM_MODE_RUN};
    memset(directive.fence.instance.bytes, instance, sizeof directive.fence.instance.bytes);
    memset(directive.fence.anchor.bytes, digest, sizeof directive.fence.anchor.bytes);
    directive.plan_hash = a->world->plan->hash;
    struct agent_op op = op_of(a, AGENT_OP_ACCEPT, AGENT_RUN_NONE, 0);
    op.directive = &directive;
    op.envelope = &envelope;
    memset(op.digest.bytes, digest, sizeof op.digest.bytes);
    uint64_t id = begin(a, &op);
    memset(&directive, 0, sizeof directive); /* it is the caller's memory, and may be used anew */
    envelope.bytes[0] = 99;
    return id;
}

struct agent_result *accept_as(struct agent *a, uint64_t epoch, uint64_t generation, uint8_t instance, uint8_t digest)
{
    struct agent_result *result = await(a, begin_accept(a, epoch, generation, instance, digest));
    if (result->outcome == AGENT_OK) {
        a->fence = (struct zdm_fence){.epoch = epoch, .generation = generation};
        memset(a->fence.instance.bytes, instance, sizeof a->fence.instance.bytes);
        memset(a->fence.anchor.bytes, digest, sizeof a->fence.anchor.bytes);
    }
    return result;
}

void accept_plan(struct agent *a, uint64_t generation)
{
    struct zdm_envelope envelope = {.bytes = (uint8_t[]){9, 8, 7}, .len = 3};
    struct agent_op op = op_of(a, AGENT_OP_STORE_PLAN, AGENT_RUN_NONE, 0);
    op.envelope = &envelope;
    op.digest = a->world->plan->hash;
    struct agent_result *result = perform(a, &op);
    assert_true(result->outcome == AGENT_OK || result->outcome == AGENT_ALREADY);
    agent_result_free(result);
    result = accept_as(a, 1, generation, 1, (uint8_t)generation);
    assert_string_equal(agent_outcome_name(result->outcome), "ok");
    agent_result_free(result);
}

uint64_t begin_sleep(struct agent *a, unsigned lane)
{
    int64_t until_ms = now_ms() + PATIENCE_MS;
    long before = number_of(a, a->world->backend->sleepers);
    struct agent_op op = op_of(a, AGENT_OP_RUN, AGENT_RUN_CHECK_CHUNK, SLEEPS);
    op.lane = lane;
    op.time_limit_ms = 0;
    uint64_t id = begin(a, &op);
    while (number_of(a, a->world->backend->sleepers) <= before) {
        if (now_ms() > until_ms) {
            fail_msg("the check never began");
        }
        rest();
    }
    return id;
}

/* ---- Setup ---- */

static void prepare(struct world *world, struct agent *a)
{
    a->world = world;
    a->journal_step = 1;
    a->attempt = 1;
    a->time_limit_ms = 20000;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->arrived, NULL);
}

static void dispose(struct agent *a)
{
    close_engine(a);
    free(a->cursor);
    pthread_cond_destroy(&a->arrived);
    pthread_mutex_destroy(&a->lock);
}

int world_setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    *state = world;
    world->backend = in_use;
    world->next_op = 1;
    snprintf(world->dsn, sizeof world->dsn, "%s", in_use->fresh());
    make_plan(world);
    prepare(world, &world->first);
    prepare(world, &world->second);
    open_engine(&world->first);
    return 0;
}

int world_teardown(void **state)
{
    struct world *world = *state;
    dispose(&world->first);
    dispose(&world->second);
    zdm_plan_unref(world->plan);
    free(world);
    return 0;
}
