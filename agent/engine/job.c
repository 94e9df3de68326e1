/*
 * job.c - see job.h.
 */
#include "agent/engine/job.h"

#include <stdlib.h>

#include "common/base/buffer.h"

void agent_job_free(struct agent_job *job)
{
    if (job == NULL) {
        return;
    }
    zdm_plan_unref(job->op.plan);
    zdm_envelope_fini(&job->envelope);
    free(job->cursor);
    free(job->bound);
    free(job->failed_text);
    free(job->spend);
    free(job);
}

static bool copy_text(const char **in_op, char **own)
{
    if (*in_op == NULL) {
        return true;
    }
    *own = zdm_strdup(*in_op);
    *in_op = *own;
    return *own != NULL;
}

struct agent_job *agent_job_new(const struct agent_op *op, enum zdm_engine engine)
{
    struct agent_job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        return NULL;
    }
    job->op = *op;
    job->op.plan = op->plan == NULL ? NULL : zdm_plan_ref(op->plan);
    bool ok = copy_text(&job->op.cursor, &job->cursor) && copy_text(&job->op.bound, &job->bound) &&
              copy_text(&job->op.failed_text, &job->failed_text);
    if (ok && op->envelope != NULL) {
        ok = zdm_envelope_copy(&job->envelope, op->envelope);
        job->op.envelope = &job->envelope;
    }
    if (ok && op->directive != NULL) {
        job->directive.fence = op->directive->fence;
        job->directive.plan_hash = op->directive->plan_hash;
        job->directive.mode = op->directive->mode;
        job->directive.goal_phase = op->directive->goal_phase;
        job->op.directive = &job->directive;
    }
    if (ok && op->n_spend > 0) {
        job->spend = zdm_memdup(op->spend, op->n_spend * sizeof *op->spend);
        job->op.spend = job->spend;
        ok = job->spend != NULL;
    }
    job->result = ok ? calloc(1, sizeof *job->result) : NULL;
    if (job->result == NULL) {
        agent_job_free(job);
        return NULL;
    }
    job->result->op = op->id;
    job->result->lane = op->lane;
    job->result->kind = op->kind;
    job->result->run = op->run;
    job->result->engine = engine;
    return job;
}
