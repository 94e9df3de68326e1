/*
 * effects.c - what leaves after a commit: directives, acknowledgements, answers.
 *
 * A directive is derived from the state, signed and cached; the cache saves signatures when an agent dials again and
 * is never the truth. A fenced coordinator sends neither directives nor leases: it may be the one from the past. Nor
 * does one that the trust file no longer names.
 */
#include <string.h>

#include "coordinator/app/private.h"

/* ---- Directives ---- */

void directives_forget(struct coord_driver *d)
{
    for (size_t i = 0; i < DIRECTIVES_CACHED; i++) {
        zdm_envelope_fini(&d->directives[i].envelope);
        d->directives[i] = (struct cached_directive){.submitted_seq = 0};
    }
}

static struct cached_directive *slot_of(struct coord_driver *d, const struct coord_migration *migration, uint32_t shard)
{
    return &d->directives[(migration->submitted_seq * 31 + shard) & (DIRECTIVES_CACHED - 1)];
}

static bool sign_directive(struct coord_driver *d, const struct zdm_directive *directive, struct zdm_envelope *out)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_error err;
    zdm_directive_encode(directive, &body);
    enum zdm_code code = ZDM_NOMEM;
    if (!body.failed)
        code = zdm_signed_make(d->config.crypto, d->config.key, &d->chain.fleet, ZDM_SIGNED_DIRECTIVE, body.data,
                               body.len, out, &err);
    zdm_buffer_fini(&body);
    return code == ZDM_OK;
}

/* The signed directive of a shard, NULL when it has none. Borrowed from the cache. */
static struct zdm_envelope *directive_of(struct coord_driver *d, const struct coord_migration *migration,
                                         uint32_t shard)
{
    struct zdm_envelope approvals[ZDM_APPROVALS_MAX];
    struct zdm_directive directive;
    if (!coord_directive(d->state, migration, shard, approvals, &directive))
        return NULL;
    struct cached_directive *slot = slot_of(d, migration, shard);
    if (slot->submitted_seq == migration->submitted_seq && slot->shard == shard &&
        slot->epoch == directive.fence.epoch && slot->generation == directive.fence.generation)
        return &slot->envelope;
    zdm_envelope_fini(&slot->envelope);
    *slot = (struct cached_directive){.submitted_seq = 0};
    if (!sign_directive(d, &directive, &slot->envelope))
        return NULL;
    slot->submitted_seq = migration->submitted_seq;
    slot->shard = shard;
    slot->epoch = directive.fence.epoch;
    slot->generation = directive.fence.generation;
    return &slot->envelope;
}

/* An agent that does not take its orders must dial again: it then asks for all of them. */
static void send_to_agent(struct coord_driver *d, const struct zdm_id *agent, const struct zdm_frame *frame)
{
    struct coord_peer *peer = coord_hub_agent(d->hub, agent);
    if (peer != NULL && coord_hub_send(d->hub, peer, frame) == ZDM_SEND_FULL)
        coord_hub_close(d->hub, peer, "");
}

static void send_directive(struct coord_driver *d, const struct coord_effect *effect)
{
    const struct coord_migration *migration = coord_find_migration(d->state, effect->migration);
    if (migration == NULL || effect->shard >= migration->n_shards || d->state->fenced || d->dropped)
        return;
    struct zdm_envelope *envelope = directive_of(d, migration, effect->shard);
    if (envelope == NULL)
        return;
    struct zdm_frame frame = {.type = ZDM_FRAME_ORDERS, .u.envelopes = {.items = envelope, .n = 1}};
    if (!zdm_id_is_zero(&effect->agent)) {
        send_to_agent(d, &effect->agent, &frame);
        return;
    }
    const struct coord_fleet_shard *shard = coord_find_fleet_shard(d->state, migration->shards[effect->shard].name);
    for (uint32_t next = shard != NULL ? shard->first_agent : 0; next != 0;) {
        const struct coord_agent *agent = &d->state->agents[next - 1];
        const struct coord_heard *heard = coord_view_find(&d->view, &agent->id);
        if (heard != NULL && heard->journal) /* whose journal is not known yet is told when it is */
            send_to_agent(d, &agent->id, &frame);
        next = agent->next_of_shard;
    }
}

static void send_ack(struct coord_driver *d, const struct coord_effect *effect)
{
    if (d->state->fenced || d->dropped)
        return;
    const struct zdm_frame frame = {.type = ZDM_FRAME_ACK,
                                    .u.ack = {.number = effect->number, .lease_ms = effect->lease_ms}};
    send_to_agent(d, &effect->agent, &frame);
}

/* ---- Answers ---- */

static void fill_answer(struct zdm_frame *frame, const struct zdm_id *request_id, const struct zdm_error *answer)
{
    *frame = (struct zdm_frame){.type = ZDM_FRAME_ANSWER};
    frame->u.answer.request_id = *request_id;
    frame->u.answer.code = answer->code;
    (void)zdm_copy_text(frame->u.answer.message, sizeof frame->u.answer.message, answer->message);
    (void)zdm_copy_text(frame->u.answer.detail, sizeof frame->u.answer.detail, answer->detail);
    (void)zdm_copy_text(frame->u.answer.hint, sizeof frame->u.answer.hint, answer->hint);
}

/* The id of the request in a pending frame, whether or not its signature is right; zero when it has none. */
static struct zdm_id request_id_of(const struct pending *pending)
{
    struct zdm_request request;
    struct zdm_error err;
    struct zdm_id id = {{0}};
    size_t n = 0;
    const uint8_t *body = zdm_signed_body(&pending->frame.u.request, &n);
    if (body != NULL && zdm_request_decode(body, n, &request, &err) == ZDM_OK) {
        id = request.request_id;
        zdm_request_fini(&request);
    }
    return id;
}

/* The id is only repeated, so that the asker knows what was refused: nothing was believed because of it. A request
 * without one was not made by a client of ours. */
void send_refusal(struct coord_driver *d, const struct pending *pending, const struct zdm_error *err)
{
    struct coord_peer *peer = coord_hub_find(d->hub, pending->conn);
    struct zdm_id request_id = request_id_of(pending);
    struct zdm_frame frame;
    if (peer == NULL)
        return;
    if (zdm_id_is_zero(&request_id)) {
        coord_hub_close(d->hub, peer, err->message);
        return;
    }
    driver_notice(
        d, &(struct coord_notice){
               .level = ZDM_LOG_INFO, .message = "request refused", .person = peer->name, .reason = err->message});
    fill_answer(&frame, &request_id, err);
    if (coord_hub_send(d->hub, peer, &frame) == ZDM_SEND_FULL)
        coord_hub_close(d->hub, peer, "");
}

static void answer_person(struct coord_driver *d, const struct pending *pending, const struct zdm_error *answer)
{
    if (answer->code != ZDM_OK) {
        send_refusal(d, pending, answer);
        return;
    }
    struct zdm_id id = request_id_of(pending);
    struct coord_peer *peer = coord_hub_find(d->hub, pending->conn);
    struct zdm_frame frame;
    if (peer == NULL)
        return;
    fill_answer(&frame, &id, answer);
    const struct coord_request_mark *mark = coord_find_request(d->state, &id);
    frame.u.answer.seq = mark != NULL ? mark->seq : 0;
    if (coord_hub_send(d->hub, peer, &frame) == ZDM_SEND_FULL)
        coord_hub_close(d->hub, peer, "");
}

void send_answer(struct coord_driver *d, struct pending *pending, const struct zdm_error *answer)
{
    if (pending->frame.type == ZDM_FRAME_REQUEST) {
        answer_person(d, pending, answer);
        return;
    }
    struct coord_peer *peer = coord_hub_find(d->hub, pending->conn);
    if (peer != NULL)
        coord_hub_close(d->hub, peer, answer->message);
}

static struct pending *pending_of(struct coord_driver *d, uint64_t reply_to)
{
    if (reply_to == 0 || reply_to > d->n_pendings || d->pendings[reply_to - 1].answered)
        return NULL;
    struct pending *pending = &d->pendings[reply_to - 1];
    pending->answered = true;
    return pending;
}

static void answer(struct coord_driver *d, const struct coord_effect *effect)
{
    struct pending *pending = pending_of(d, effect->reply_to);
    if (pending != NULL)
        send_answer(d, pending, &effect->answer);
}

static struct zdm_envelope *enrolment_of(const struct coord_state *state, const struct zdm_id *nonce)
{
    for (size_t i = 0; i < state->n_enrolments; i++)
        if (zdm_id_equal(&state->enrolments[i].enrolment.nonce, nonce))
            return &state->enrolments[i].envelope;
    return NULL;
}

static void answer_joiner(struct coord_driver *d, const struct coord_effect *effect)
{
    struct pending *pending = pending_of(d, effect->reply_to);
    if (pending == NULL)
        return;
    struct coord_peer *peer = coord_hub_find(d->hub, pending->conn);
    const struct zdm_envelope *envelope = enrolment_of(d->state, &effect->enrolment);
    if (effect->answer.code != ZDM_OK || envelope == NULL) {
        driver_notice(d, &(struct coord_notice){.level = ZDM_LOG_WARN,
                                                .message = "agent may not join",
                                                .peer = peer != NULL ? peer->address : "",
                                                .reason = effect->answer.message});
        send_answer(d, pending, &effect->answer);
        return;
    }
    const struct zdm_frame frame = {.type = ZDM_FRAME_JOINED, .u.joined.enrolment = *envelope};
    if (peer != NULL && coord_hub_send(d->hub, peer, &frame) != ZDM_SEND_OK)
        coord_hub_close(d->hub, peer, "");
}

/* ---- All of them ---- */

static void close_agent(struct coord_driver *d, const struct coord_effect *effect)
{
    struct coord_peer *peer = coord_hub_agent(d->hub, &effect->agent);
    if (peer != NULL)
        coord_hub_close(d->hub, peer, effect->why);
}

static void step_down(struct coord_driver *d, const struct coord_effect *effect)
{
    struct zdm_error err;
    zdm_error_set(&err, ZDM_DEPOSED, "%s", effect->why[0] != '\0' ? effect->why : "stepped down");
    driver_end(d, &err);
}

void effect_release(struct coord_driver *d, const struct coord_effect *effect)
{
    switch (effect->kind) {
    case COORD_DO_SEND_DIRECTIVE:
        send_directive(d, effect);
        break;
    case COORD_DO_SEND_ACK:
        send_ack(d, effect);
        break;
    case COORD_DO_ANSWER:
        answer(d, effect);
        break;
    case COORD_DO_JOINED:
        answer_joiner(d, effect);
        break;
    case COORD_DO_ADOPT_TRUST: /* trust.c sees it in the state: a group that was taken twice has no effect to show */
    case COORD_DO_RUN_GATE:    /* a flag is turned by people, who then advance: there is nothing to start */
        break;
    case COORD_DO_CLOSE_AGENT:
        close_agent(d, effect);
        break;
    case COORD_DO_NOTIFY:
        d->change++;
        break;
    case COORD_DO_STEP_DOWN:
        step_down(d, effect);
        break;
    }
}

void effects_release(struct coord_driver *d)
{
    for (size_t i = 0; i < d->output.n_effects && !d->ended; i++)
        effect_release(d, &d->output.effects[i]);
}
