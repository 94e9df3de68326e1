/*
 * fleet.c - the verbs about the fleet and its agents: enroll, revoke-agent, freeze, thaw.
 */
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/machine.h"

/* Tokens that nobody has used: bounds what a careless script leaves behind. */
enum { ENROLMENTS_OPEN_MAX = 2 * ZDM_SHARDS_MAX };

static bool judge_enrolment(const struct coord_state *state, const struct zdm_enrolment *enrolment, int64_t now_ms,
                            struct zdm_error *answer)
{
    if (enrolment == NULL || !zdm_name_is_valid(enrolment->shard)) {
        zdm_error_set(answer, ZDM_INVALID, "the request carries no valid enrolment");
        return false;
    }
    if (enrolment->expires_at_ms <= now_ms) {
        zdm_error_set(answer, ZDM_REFUSED, "the enrolment has expired already");
        zdm_error_hint(answer, "Compare the clocks of this host and the coordinator's.");
        return false;
    }
    for (size_t i = 0; i < state->n_enrolments; i++)
        if (zdm_id_equal(&state->enrolments[i].enrolment.nonce, &enrolment->nonce) ||
            zdm_hash_equal(&state->enrolments[i].enrolment.secret_hash, &enrolment->secret_hash)) {
            zdm_error_set(answer, ZDM_EXISTS, "this enrolment was issued before");
            return false;
        }
    if (state->n_enrolments >= ENROLMENTS_OPEN_MAX) {
        zdm_error_set(answer, ZDM_LIMIT, "too many enrolments");
        return false;
    }
    return true;
}

void coord_verb_enroll(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                       struct coord_output *out, struct zdm_error *answer)
{
    const struct zdm_enrolment *enrolment = input->u.request.enrolment;
    (void)view;
    if (!judge_enrolment(state, enrolment, input->now_ms, answer))
        return;
    struct coord_event *event = coord_emit(out, COORD_EVENT_ENROLMENT_ISSUED, "");
    if (event == NULL)
        return;
    event->u.enrolment_issued.enrolment = *enrolment;
    if (!zdm_envelope_copy(&event->u.enrolment_issued.signed_enrolment, &input->u.request.request->payload))
        out->failed = true;
    zdm_error_set(answer, ZDM_OK, "one agent may join as shard %s", enrolment->shard);
}

void coord_verb_revoke_agent(const struct coord_state *state, const struct coord_view *view,
                             const struct coord_input *input, struct coord_output *out, struct zdm_error *answer)
{
    const struct zdm_request *request = input->u.request.request;
    const struct coord_agent *agent = coord_find_agent(state, &request->target);
    (void)view;
    if (agent == NULL) {
        zdm_error_set(answer, ZDM_NOT_FOUND, "no agent has this key");
        zdm_error_hint(answer, "See the agents: zdmctl agents.");
        return;
    }
    zdm_error_set(answer, ZDM_OK,
                  agent->revoked ? "the agent of shard %s was revoked before" : "the agent of shard %s is revoked",
                  agent->shard);
    if (agent->revoked)
        return;
    struct coord_event *event = coord_emit(out, COORD_EVENT_AGENT_REVOKED, "");
    struct coord_effect *effect = coord_effect(out, COORD_DO_CLOSE_AGENT, "");
    if (event == NULL || effect == NULL)
        return;
    event->u.agent_revoked.agent = agent->id;
    zdm_copy_text(event->u.agent_revoked.by, sizeof event->u.agent_revoked.by, input->u.request.name);
    zdm_copy_text(event->u.agent_revoked.reason, sizeof event->u.agent_revoked.reason, request->reason);
    effect->agent = agent->id;
    zdm_copy_text(effect->why, sizeof effect->why, "this agent's key was revoked");
}

void coord_verb_freeze(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                       struct coord_output *out, struct zdm_error *answer)
{
    bool freeze = input->u.request.request->verb == ZDM_VERB_FREEZE;
    (void)view;
    bool already = state->frozen == freeze;
    zdm_error_set(answer, ZDM_OK, "the fleet is %s%s",
                  freeze    ? "frozen"
                  : already ? "not frozen"
                            : "thawed",
                  already && freeze ? " already"
                  : freeze          ? ": no shard enters a phase"
                                    : "");
    if (freeze)
        zdm_error_hint(answer, "To let shards go on: zdmctl thaw.");
    if (already)
        return;
    struct coord_event *event = coord_emit(out, freeze ? COORD_EVENT_FLEET_FROZEN : COORD_EVENT_FLEET_THAWED, "");
    if (event == NULL)
        return;
    zdm_copy_text(event->u.fleet.by, sizeof event->u.fleet.by, input->u.request.name);
    zdm_copy_text(event->u.fleet.reason, sizeof event->u.fleet.reason, input->u.request.request->reason);
}
