/*
 * oracle.h - did people sign what an agent is about to do? Judged from the ledger of the people, without a line of the
 * code under test: which keys, which roles in the trust file that this agent has, until when, for which shard.
 */
#ifndef TESTS_SIM_ORACLE_H
#define TESTS_SIM_ORACLE_H

#include "agent/engine/engine.h"
#include "tests/sim/people.h"

/* Who asks, and when. */
struct oracle_agent {
    const char *shard;
    uint32_t trust_version; /* that it has */
    int64_t wall_ms;        /* by its host's clock */
    unsigned plan;          /* which of the plans the operation is of */
    enum person submitter;
};

/* NULL when people signed it, else what is wrong. Only what spends signatures is judged. */
/* Have enough people signed that the rollback which `op` begins may lose what new code wrote? */
bool oracle_signed_away(const struct people *people, const struct oracle_agent *agent, const struct agent_op *op);
const char *oracle_judge(const struct people *people, const struct oracle_agent *agent, const struct agent_op *op);

#endif
