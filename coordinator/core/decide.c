/*
 * decide.c - coord_decide: one input, and what follows from it. Policy lives here and in the files it calls (requests,
 * submit, advance, reports, tick), the shard machine's in rules.c; none of them changes the state.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/machine.h"

bool coord_shard_is_final(const struct coord_shard *s)
{
    return s->status == COORD_DONE || s->status == COORD_UNDONE;
}

uint32_t coord_failed_count(const struct coord_migration *m)
{
    uint32_t n = 0;
    for (size_t i = 0; i < m->n_shards; i++)
        n += m->shards[i].status == COORD_FAILED ||
             (m->shards[i].status == COORD_HELD && m->shards[i].resume_to == COORD_FAILED);
    return n;
}

/* ---- Joining ---- */

static const struct coord_enrolment *enrolment_of(const struct coord_state *state, const struct zdm_hash *secret_hash)
{
    for (size_t i = 0; i < state->n_enrolments; i++)
        if (zdm_hash_equal(&state->enrolments[i].enrolment.secret_hash, secret_hash))
            return &state->enrolments[i];
    return NULL;
}

/* May the agent join with it? ZDM_EXISTS: it has already, with this very token, and only the answer was lost. */
static enum zdm_code judge_join(const struct coord_state *state, const struct coord_input *input,
                                const struct coord_enrolment *e, struct zdm_error *answer)
{
    const struct coord_agent *agent = coord_find_agent(state, &input->u.join.agent);
    if (state->fenced)
        return zdm_error_set(answer, ZDM_FENCED, "this coordinator is fenced");
    if (e == NULL) {
        zdm_error_set(answer, ZDM_AUTH, "no such enrolment");
        return zdm_error_hint(answer, "Ask an operator for a new token: zdmctl enroll SHARD.");
    }
    if (agent != NULL && agent->revoked)
        return zdm_error_set(answer, ZDM_REFUSED, "this agent's key was revoked");
    if (agent != NULL && strcmp(agent->shard, e->enrolment.shard) != 0)
        return zdm_error_set(answer, ZDM_EXISTS, "this agent's key is enrolled for shard %s", agent->shard);
    if (agent != NULL && e->used)
        return ZDM_EXISTS;
    if (agent != NULL)
        return zdm_error_set(answer, ZDM_REFUSED, "this agent's key is enrolled already");
    if (e->used || input->now_ms > e->enrolment.expires_at_ms) {
        zdm_error_set(answer, ZDM_REFUSED, e->used ? "the token was used already" : "the token has expired");
        return zdm_error_hint(answer, "Ask an operator for a new token: zdmctl enroll %s.", e->enrolment.shard);
    }
    return ZDM_OK;
}

void coord_decide_join(const struct coord_state *state, const struct coord_input *input, struct coord_output *out)
{
    const struct coord_enrolment *e = enrolment_of(state, &input->u.join.secret_hash);
    struct zdm_error answer = ZDM_ERROR_INIT;
    enum zdm_code code = judge_join(state, input, e, &answer);
    if (code == ZDM_OK) {
        struct coord_event *event = coord_emit(out, COORD_EVENT_AGENT_ENROLLED, "");
        if (event == NULL)
            return;
        event->u.agent_enrolled.agent = input->u.join.agent;
        event->u.agent_enrolled.public_key = input->u.join.public_key;
        event->u.agent_enrolled.labels = e->enrolment.labels;
        event->u.agent_enrolled.enrolment = e->enrolment.nonce;
        zdm_copy_text(event->u.agent_enrolled.shard, sizeof event->u.agent_enrolled.shard, e->enrolment.shard);
        coord_notify(out, "");
    }
    if (code == ZDM_OK || (code == ZDM_EXISTS && answer.code == ZDM_OK))
        zdm_error_set(&answer, ZDM_OK, "joined as an agent of shard %s", e->enrolment.shard);
    struct coord_effect *effect = coord_effect(out, COORD_DO_JOINED, "");
    if (effect == NULL)
        return;
    effect->reply_to = input->u.join.reply_to;
    effect->agent = input->u.join.agent;
    effect->answer = answer;
    if (answer.code == ZDM_OK)
        effect->enrolment = e->enrolment.nonce;
}

/* ---- Gates that run by themselves ---- */

static void decide_gate(const struct coord_state *state, const struct coord_input *input, struct coord_output *out)
{
    const struct coord_migration *m = coord_find_migration(state, input->u.gate_result.migration);
    uint32_t phase = input->u.gate_result.phase;
    if (state->fenced || m == NULL || m->mode == COORD_ENDED || phase == 0 || phase > m->plan->n_phases)
        return;
    const struct coord_gate *gate = &m->gates[phase - 1];
    /* A gate may answer twice, or after it was started anew: only the run at hand counts. */
    if (gate->state != COORD_GATE_RUNNING || gate->run != input->u.gate_result.run ||
        gate->step != input->u.gate_result.step)
        return;
    struct coord_event *event =
        coord_emit(out, input->u.gate_result.passed ? COORD_EVENT_GATE_PASSED : COORD_EVENT_GATE_VETOED, m->id);
    if (event == NULL)
        return;
    event->u.gate.phase = phase;
    event->u.gate.step = gate->step;
    event->u.gate.run = gate->run;
    const char *text = input->u.gate_result.text;
    zdm_copy_text(event->u.gate.detail, sizeof event->u.gate.detail, text != NULL ? text : "");
    if (!input->u.gate_result.passed && m->mode == COORD_OPEN) {
        event = coord_emit(out, COORD_EVENT_MIGRATION_HALTED, m->id);
        if (event != NULL)
            event->u.halted.cause = COORD_HALT_VETO;
    }
    coord_notify(out, m->id);
}

void coord_decide(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                  struct coord_output *out)
{
    switch (input->kind) {
    case COORD_IN_REQUEST:
        coord_decide_request(state, view, input, out);
        break;
    case COORD_IN_JOIN:
        coord_decide_join(state, input, out);
        break;
    case COORD_IN_REPORT:
        coord_decide_report(state, view, input, out);
        break;
    case COORD_IN_AGENT_GONE:
        coord_notify(out, "");
        break;
    case COORD_IN_GATE_RESULT:
        decide_gate(state, input, out);
        break;
    case COORD_IN_TRUST:
        coord_decide_trust(state, input, out);
        break;
    case COORD_IN_RECOVER:
        coord_decide_recover(state, view, input, out);
        break;
    case COORD_IN_TICK:
        coord_decide_tick(state, view, input->now_ms, out);
        break;
    }
}
