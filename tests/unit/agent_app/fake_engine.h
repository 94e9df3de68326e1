/*
 * fake_engine.h - a database that keeps a journal with real envelopes, and for which every step is easy.
 */
#ifndef TESTS_UNIT_AGENT_APP_FAKE_ENGINE_H
#define TESTS_UNIT_AGENT_APP_FAKE_ENGINE_H

#include "agent/engine/engine.h"

enum { FAKE_RESULTS_MAX = 64, FAKE_SPENT_MAX = 16 };

struct fake_engine {
    struct agent_journal row;
    bool has_row;
    struct zdm_envelope plan;
    bool done[64];
    unsigned runs[AGENT_RUN_STOP + 1];
    bool refuse_starts; /* start says ZDM_FULL */
    struct zdm_id spent[FAKE_SPENT_MAX];
    size_t n_spent;
    bool early; /* the grace period is not over */
    unsigned surveys, cancels;
    bool survey_fails, survey_waits; /* it waits until it is cancelled */
    uint64_t survey_op;              /* that waits */
    size_t outline;                  /* bytes of a survey's outline */
    char identity[64];
    struct agent_result *results[FAKE_RESULTS_MAX];
    size_t n;
};

void fake_engine_init(struct fake_engine *fake);
void fake_engine_fini(struct fake_engine *fake);
struct agent_engine fake_engine_seam(struct fake_engine *fake);
struct agent_result *fake_engine_next(void *fake);

#endif
