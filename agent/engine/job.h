/*
 * job.h - an operation on its way through a lane, with all that it points to: the core's memory may be gone before it
 * is carried out (lanes.c).
 */
#ifndef AGENT_ENGINE_JOB_H
#define AGENT_ENGINE_JOB_H

#include "agent/engine/engine.h"

struct agent_job {
    struct agent_job *next;
    struct agent_op op;
    struct zdm_directive directive; /* only the fields that ACCEPT needs */
    struct zdm_envelope envelope;
    char *cursor, *bound, *failed_text;
    struct agent_spend *spend;
    struct agent_result *result; /* made first, so that an answer never fails for want of memory; goes to the sink */
    bool cancelled;
};

/* NULL: out of memory. */
struct agent_job *agent_job_new(const struct agent_op *op, enum zdm_engine engine);
/* All but the result. */
void agent_job_free(struct agent_job *job);

#endif
