/*
 * input.c - from what came in to what the core decides: who says it, and what of it was checked.
 */
#include "coordinator/app/private.h"

static uint64_t handle_of(const struct coord_driver *d, const struct pending *pending)
{
    return (uint64_t)(pending - d->pendings) + 1;
}

/* A token is worth what its signer is worth now. One that was used already only repeats an answer. */
static enum zdm_code check_token(const struct coord_driver *d, const struct zdm_hash *secret_hash,
                                 struct zdm_error *err)
{
    for (size_t i = 0; i < d->state->n_enrolments; i++) {
        const struct coord_enrolment *e = &d->state->enrolments[i];
        if (e->used || !zdm_hash_equal(&e->enrolment.secret_hash, secret_hash) ||
            trust_is_signed_by_operator(d, &e->envelope))
            continue;
        zdm_error_set(err, ZDM_AUTH, "who signed this token is no operator any more");
        return zdm_error_hint(err, "Ask an operator for a new one: zdmctl enroll %s.", e->enrolment.shard);
    }
    return ZDM_OK;
}

static bool fill_join(struct coord_driver *d, struct pending *pending, struct coord_input *input)
{
    const struct coord_peer *peer = coord_hub_find(d->hub, pending->conn);
    struct zdm_error err;
    if (peer == NULL)
        return false; /* it has gone meanwhile; its token is as good as before */
    input->kind = COORD_IN_JOIN;
    input->u.join.reply_to = handle_of(d, pending);
    input->u.join.agent = pending->agent;
    input->u.join.public_key = peer->public_key;
    zdm_hash_bytes(d->config.crypto, input->u.join.secret_hash.bytes, sizeof input->u.join.secret_hash.bytes,
                   pending->frame.u.join.secret, sizeof pending->frame.u.join.secret);
    if (check_token(d, &input->u.join.secret_hash, &err) == ZDM_OK)
        return true;
    send_answer(d, pending, &err);
    pending->answered = true;
    return false;
}

bool input_fill(struct coord_driver *d, struct pending *pending, struct request_scratch *scratch,
                struct coord_input *input)
{
    struct zdm_error err;
    if (pending->gone) {
        input->kind = COORD_IN_AGENT_GONE;
        input->u.agent_gone.agent = pending->agent;
    } else if (pending->frame.type == ZDM_FRAME_REPORT) {
        input->kind = COORD_IN_REPORT;
        input->u.report.agent = pending->agent;
        input->u.report.report = &pending->frame.u.report;
    } else if (pending->frame.type == ZDM_FRAME_JOIN) {
        return fill_join(d, pending, input);
    } else if (request_check(d, pending, scratch, input, &err) == ZDM_OK) {
        input->u.request.reply_to = handle_of(d, pending);
    } else {
        send_refusal(d, pending, &err);
        pending->answered = true;
        return false;
    }
    return true;
}
