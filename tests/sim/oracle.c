/*
 * oracle.c - see oracle.h.
 */
#include "tests/sim/oracle.h"

#include <string.h>

enum { CLOCK_TOLERANCE_MS = 10 * 60 * 1000 };

static bool names_shard(char *const *shards, size_t n, const char *shard)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(shards[i], shard) == 0)
            return true;
    return n == 0;
}

static bool in_time(int64_t wall_ms, int64_t issued_at_ms, int64_t expires_at_ms)
{
    return wall_ms <= expires_at_ms && wall_ms >= issued_at_ms - CLOCK_TOLERANCE_MS;
}

/* What is wanted of an approval. */
struct wanted {
    enum zdm_approval_action action;
    uint32_t phase;
    const struct zdm_hash *digest;
    bool now;
};

static bool counts(const struct people *people, const struct oracle_agent *agent, const struct agent_op *op,
                   const struct wanted *wanted, const struct people_approval *row)
{
    static const struct zdm_hash none;
    const struct zdm_approval *a = &row->approval;
    const struct zdm_hash *digest = wanted->digest != NULL ? wanted->digest : &none;
    return row->plan == agent->plan && a->action == wanted->action && a->phase == wanted->phase &&
           zdm_hash_equal(&a->plan_hash, &op->plan->hash) && zdm_hash_equal(&a->phase_digest, digest) &&
           (a->purge_now || !wanted->now) && names_shard(a->shards, a->n_shards, agent->shard) &&
           people_may(people, agent->trust_version, row->by, ZDM_ROLE_APPROVER) &&
           !(people->four_eyes && row->by == agent->submitter) && a->trust_version <= agent->trust_version &&
           in_time(agent->wall_ms, a->issued_at_ms, a->expires_at_ms);
}

/* The number of people whose approvals among those that are spent are good. */
static uint32_t signers(const struct people *people, const struct oracle_agent *agent, const struct agent_op *op,
                        const struct wanted *wanted)
{
    bool has[PEOPLE] = {false};
    uint32_t n = 0;
    for (size_t i = 0; i < op->n_spend; i++) {
        const struct people_approval *row = people_find_approval(people, &op->spend[i].nonce);
        if (row == NULL || has[row->by] || !counts(people, agent, op, wanted, row))
            continue;
        has[row->by] = true;
        n++;
    }
    return n;
}

static uint32_t threshold(const struct people *people, uint32_t planned)
{
    uint32_t needed = planned > people->approvals_min ? planned : people->approvals_min;
    return needed > 0 ? needed : 1;
}

static const char *judge_entering(const struct people *people, const struct oracle_agent *agent,
                                  const struct agent_op *op)
{
    const struct zdm_phase *phase = op->spend_phase > 0 ? zdm_plan_phase(op->plan, op->spend_phase) : NULL;
    bool purge = phase == NULL || phase->class == ZDM_PHASE_PURGE;
    const struct wanted wanted = {.action = purge ? ZDM_APPROVE_PURGE : ZDM_APPROVE_ENTER,
                                  .phase = op->spend_phase,
                                  .digest = phase != NULL ? &phase->digest : NULL,
                                  .now = op->purge_now};
    if (signers(people, agent, op, &wanted) >= threshold(people, phase != NULL ? phase->approvals : 1))
        return NULL;
    return purge ? "a purge was let in that too few people had signed" : "a phase was let in that too few had signed";
}

/* Would new code lose what it wrote? A switch phase is behind it, and a column that goes is not copied back. */
static bool loses(const struct zdm_plan *plan, uint32_t to_phase, uint32_t journal_step)
{
    bool switched = false;
    uint32_t entered =
        zdm_plan_phase_of(plan, journal_step <= zdm_plan_n_steps(plan) ? journal_step : journal_step - 1);
    for (uint32_t p = to_phase + 1; p < entered; p++)
        switched = switched || zdm_plan_phase(plan, p)->class == ZDM_PHASE_SWITCH;
    for (uint32_t o = 1; switched && o < journal_step; o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        if (zdm_plan_phase_of(plan, o) <= to_phase || step->derivation == NULL || step->derivation->both_ways ||
            step->action != ZDM_ACTION_SYNC_INSTALL)
            continue;
        for (size_t i = 0; i < step->derivation->n_assignments; i++)
            if (step->derivation->assignments[i].added)
                return true;
    }
    return false;
}

static const char *judge_undo(const struct people *people, const struct oracle_agent *agent, const struct agent_op *op)
{
    const struct people_undo *row = people_find_undo(people, &op->undo_nonce);
    if (row == NULL || row->plan != agent->plan || !zdm_hash_equal(&row->order.plan_hash, &op->plan->hash))
        return "a rollback was begun that nobody ordered";
    if (row->order.to_phase > op->to_phase)
        return "a rollback was begun that goes further back than it was ordered to";
    if (!names_shard(row->order.shards, row->order.n_shards, agent->shard))
        return "a rollback was begun on a shard that its order does not name";
    if (!people_may(people, agent->trust_version, row->by, ZDM_ROLE_OPERATOR))
        return "a rollback was begun that no operator ordered";
    if (!in_time(agent->wall_ms, row->order.issued_at_ms, row->order.expires_at_ms))
        return "a rollback was begun whose order has expired";
    return NULL;
}

bool oracle_signed_away(const struct people *people, const struct oracle_agent *agent, const struct agent_op *op)
{
    bool has[PEOPLE] = {false};
    uint32_t n = 0;
    const struct wanted wanted = {.action = ZDM_APPROVE_UNDO, .phase = op->to_phase};
    for (size_t i = 0; i < people->n_approvals; i++) {
        const struct people_approval *row = &people->approvals[i];
        bool fresh = !has[row->by] && counts(people, agent, op, &wanted, row);
        has[row->by] = has[row->by] || fresh;
        n += fresh;
    }
    return n >= threshold(people, 1);
}

/* Where something would be lost, people must have said that they know: the database cannot see whether the agent asked
 * for their approvals, so whether enough of them exist is what is judged. */
static const char *judge_loss(const struct people *people, const struct oracle_agent *agent, const struct agent_op *op)
{
    if (!loses(op->plan, op->to_phase, op->journal_step) || oracle_signed_away(people, agent, op))
        return NULL;
    return "a rollback was begun that loses what too few people had signed away";
}

const char *oracle_judge(const struct people *people, const struct oracle_agent *agent, const struct agent_op *op)
{
    if (op->kind != AGENT_OP_RUN)
        return NULL;
    if (op->run == AGENT_RUN_SPEND_APPROVALS)
        return judge_entering(people, agent, op);
    if (op->run != AGENT_RUN_UNDO_BEGIN)
        return NULL;
    const char *wrong = judge_undo(people, agent, op);
    return wrong != NULL ? wrong : judge_loss(people, agent, op);
}
