/*
 * results.h - results on their way from the engine's threads to the agent's one loop.
 *
 * Bounded by what can be in flight: every operation has exactly one result, and the core has at most one operation per
 * lane. Threads: push from any, pop from one.
 */
#ifndef AGENT_APP_RESULTS_H
#define AGENT_APP_RESULTS_H

#include "agent/engine/engine.h"

struct agent_results;

/* wake(ctx) is called after each push, from the thread that pushed. NULL without memory. */
struct agent_results *agent_results_new(void (*wake)(void *ctx), void *ctx);
/* Frees what was not taken too. */
void agent_results_free(struct agent_results *results);
/* The sink to open an engine with. */
struct agent_engine_sink agent_results_sink(struct agent_results *results);
/* The oldest result, the caller's to free, or NULL. Fits agent_driver_config.next_result. */
struct agent_result *agent_results_pop(void *results);

#endif
