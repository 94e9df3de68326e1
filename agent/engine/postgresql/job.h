/*
 * job.h - an operation on its way through a lane, with all that it points to: the core's memory may be gone before it
 * is carried out (lanes.c).
 */
#ifndef AGENT_ENGINE_POSTGRESQL_JOB_H
#define AGENT_ENGINE_POSTGRESQL_JOB_H

#include "agent/engine/engine.h"

struct pgsql_job {
    struct pgsql_job *next;
    struct agent_op op;
    struct zdm_directive directive; /* only the fields that ACCEPT needs */
    struct zdm_envelope envelope;
    char *cursor, *bound, *failed_text;
    struct agent_spend *spend;
    struct agent_result *result; /* made first, so that an answer never fails for want of memory; goes to the sink */
    bool cancelled;
};

/* NULL: out of memory. */
struct pgsql_job *pgsql_job_new(const struct agent_op *op);
/* All but the result. */
void pgsql_job_free(struct pgsql_job *job);

#endif
