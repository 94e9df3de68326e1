/*
 * cluster_agent.c - an agent of the cluster: its driver with the world's seams, and the queue of its engine's results.
 */
#include "tests/sim/cluster_private.h"

#include <stdlib.h>

#include "common/base/buffer.h"

struct agent_result *cluster_next_result(void *ctx)
{
    struct cluster_agent *agent = ctx;
    if (agent->n_results == 0)
        return NULL;
    struct agent_result *result = agent->results[0];
    agent->n_results--;
    for (size_t i = 0; i < agent->n_results; i++)
        agent->results[i] = agent->results[i + 1];
    return result;
}

void cluster_keep_result(struct cluster_agent *agent, struct agent_result *result)
{
    if (!ZDM_RESERVE(agent->results, agent->cap_results, agent->n_results + 1))
        abort();
    agent->results[agent->n_results++] = result;
}

static void tell_story(void *ctx, const struct agent_note *note)
{
    struct cluster_agent *agent = ctx;
    const char *values[AGENT_NOTE_PAIRS];
    for (size_t i = 0; i < AGENT_NOTE_PAIRS; i++)
        values[i] = note->pairs[i].key != NULL ? note->pairs[i].value : "";
    world_tell(&agent->cluster->world, "agent %u: %s %s %s %s", agent->number + 1, note->message, values[0], values[1],
               values[2]);
}

static bool save_trust(void *ctx, const void *bytes, size_t n)
{
    struct cluster_agent *agent = ctx;
    agent->trust.len = 0;
    zdm_buffer_append(&agent->trust, bytes, n);
    return true;
}

enum zdm_code cluster_new_agent_driver(struct cluster_agent *agent, struct world_node *node, struct zdm_error *err)
{
    static const char *const urls[] = {"sim://0", "sim://9"};
    struct zdm_buffer enrolment = ZDM_BUFFER_INIT;
    zdm_envelope_flatten(&agent->enrolment, &enrolment);
    struct agent_driver_config config = {.clock = &node->clock,
                                         .random = &node->random,
                                         .crypto = sim_crypto(),
                                         .key = &agent->key,
                                         .trust = agent->trust.data,
                                         .trust_n = agent->trust.len,
                                         .enrolment = enrolment.data,
                                         .enrolment_n = enrolment.len,
                                         .urls = urls,
                                         .n_urls = agent->cluster->two ? 2 : 1,
                                         .engine = agent->engine,
                                         .next_result = cluster_next_result,
                                         .results = agent,
                                         .release = "0.1.0",
                                         .save_trust = save_trust,
                                         .notice = tell_story,
                                         .ctx = agent};
    agent_core_config_default(&config.core);
    enum zdm_code code = agent_driver_new(&config, &agent->driver, err);
    zdm_buffer_fini(&enrolment);
    return code;
}
