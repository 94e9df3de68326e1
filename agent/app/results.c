/*
 * results.c - see results.h.
 */
#include "agent/app/results.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/base/limits.h"

/* Twice the lanes: a result that was popped may start the lane's next operation before the others are popped. */
enum { ROOM = 4 * (ZDM_MIGRATIONS_ACTIVE_MAX + 1) };

struct agent_results {
    pthread_mutex_t mutex;
    struct agent_result *items[ROOM];
    size_t first, n;
    void (*wake)(void *ctx);
    void *ctx;
};

struct agent_results *agent_results_new(void (*wake)(void *ctx), void *ctx)
{
    struct agent_results *results = calloc(1, sizeof *results);
    if (results == NULL)
        return NULL;
    if (pthread_mutex_init(&results->mutex, NULL) != 0) {
        free(results);
        return NULL;
    }
    results->wake = wake;
    results->ctx = ctx;
    return results;
}

void agent_results_free(struct agent_results *results)
{
    struct agent_result *result;
    if (results == NULL)
        return;
    while ((result = agent_results_pop(results)) != NULL)
        agent_result_free(result);
    pthread_mutex_destroy(&results->mutex);
    free(results);
}

static void push(void *ctx, struct agent_result *result)
{
    struct agent_results *results = ctx;
    pthread_mutex_lock(&results->mutex);
    bool room = results->n < ROOM;
    if (room)
        results->items[(results->first + results->n++) % ROOM] = result;
    pthread_mutex_unlock(&results->mutex);
    if (!room)
        abort(); /* an engine that answers what it was not asked */
    results->wake(results->ctx);
}

struct agent_engine_sink agent_results_sink(struct agent_results *results)
{
    return (struct agent_engine_sink){.op_done = push, .ctx = results};
}

struct agent_result *agent_results_pop(void *ctx)
{
    struct agent_results *results = ctx;
    struct agent_result *result = NULL;
    pthread_mutex_lock(&results->mutex);
    if (results->n > 0) {
        result = results->items[results->first];
        results->first = (results->first + 1) % ROOM;
        results->n--;
    }
    pthread_mutex_unlock(&results->mutex);
    return result;
}
