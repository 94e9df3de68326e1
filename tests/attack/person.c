/*
 * person.c - sessions with the real coordinator: what honest people do with it, and the first steps of an agent.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/os/crypto.h"
#include "tests/attack/private.h"

enum { ANSWER_MS = 10000 };

bool world_dial(struct world *w, struct wire *wire, const struct zdm_signing_key *key)
{
    return wire_dial(wire, w->port, ZDM_SESSION_PERSON, key, &w->fleet, world_trust(w), false);
}

struct zdm_request world_request(struct world *w, const struct wire *wire, enum zdm_verb verb)
{
    struct zdm_request request = {
        .verb = verb, .request_id = world_nonce(w), .session = zdm_session_transcript(wire->session)};
    zdm_copy_text(request.migration, sizeof request.migration, w->plans[PLAN_ATTACK].plan->id);
    request.shards.all = true;
    return request;
}

bool world_send_request(struct wire *wire, const struct zdm_envelope *envelope)
{
    const struct zdm_frame frame = {.type = ZDM_FRAME_REQUEST, .u.request = *envelope};
    return wire_seal(wire, &frame);
}

static enum zdm_code take_answer(struct wire *wire, const struct zdm_id *id, struct zdm_error *answer)
{
    struct zdm_frame frame;
    while (wire_read(wire, ANSWER_MS, &frame) == WIRE_FRAME) {
        bool ours = frame.type == ZDM_FRAME_ANSWER && zdm_id_equal(&frame.u.answer.request_id, id);
        enum zdm_code code = frame.u.answer.code;
        if (ours)
            zdm_error_set(answer, code, "%s", frame.u.answer.message);
        zdm_frame_fini(&frame);
        if (ours)
            return code;
    }
    return zdm_error_set(answer, ZDM_CLOSED, "no answer");
}

enum zdm_code world_ask(struct world *w, struct wire *wire, const struct zdm_signing_key *key,
                        struct zdm_request *request, struct zdm_error *answer)
{
    struct zdm_envelope envelope = world_sign_request(w, key, request);
    bool sent = world_send_request(wire, &envelope);
    zdm_envelope_fini(&envelope);
    zdm_envelope_fini(&request->payload);
    return sent ? take_answer(wire, &request->request_id, answer) : zdm_error_set(answer, ZDM_CLOSED, "closed");
}

struct zdm_hash world_upload(struct world *w, struct wire *wire, const void *bytes, size_t n)
{
    struct zdm_hash hash;
    zdm_hash_bytes(w->crypto, hash.bytes, sizeof hash.bytes, bytes, n);
    for (size_t at = 0; at < n; at += ZDM_PIECE_MAX) {
        const struct zdm_piece piece = {.hash = hash,
                                        .total = (uint32_t)n,
                                        .offset = (uint32_t)at,
                                        .bytes = (const uint8_t *)bytes + at,
                                        .n = n - at < ZDM_PIECE_MAX ? n - at : ZDM_PIECE_MAX};
        const struct zdm_frame frame = {.type = ZDM_FRAME_UPLOAD, .u.piece = piece};
        (void)wire_seal(wire, &frame);
    }
    return hash;
}

void world_upload_plan(struct world *w, struct wire *wire, const struct zdm_envelope *envelope,
                       const struct zdm_buffer *notes)
{
    struct zdm_buffer flat = ZDM_BUFFER_INIT;
    zdm_envelope_flatten(envelope, &flat);
    (void)world_upload(w, wire, flat.data, flat.len);
    (void)world_upload(w, wire, notes->data, notes->len);
    zdm_buffer_fini(&flat);
}

/* ---- Queries ---- */

static char *read_rows(struct wire *wire)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    struct zdm_frame frame;
    bool last = false, good = true;
    while (good && !last && wire_read(wire, ANSWER_MS, &frame) == WIRE_FRAME) {
        if (frame.type == ZDM_FRAME_ROWS) {
            zdm_buffer_append(&text, frame.u.rows.bytes, frame.u.rows.n);
            good = frame.u.rows.code == ZDM_OK;
            last = frame.u.rows.last;
        }
        zdm_frame_fini(&frame);
    }
    char *out = good && last ? zdm_buffer_take(&text) : NULL;
    zdm_buffer_fini(&text);
    return out;
}

char *world_query(struct world *w, enum zdm_query_kind kind, const char *migration)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_QUERY, .u.query = {.kind = kind, .id = 1}};
    zdm_copy_text(frame.u.query.migration, sizeof frame.u.query.migration, migration);
    for (int attempt = 0; attempt < 3; attempt++) {
        char *text = w->watcher.fd >= 0 && wire_seal(&w->watcher, &frame) ? read_rows(&w->watcher) : NULL;
        if (text != NULL)
            return text;
        /* Silent for too long, or the coordinator was started anew. */
        wire_close(&w->watcher);
        (void)world_dial(w, &w->watcher, &w->vera);
    }
    world_fail("the coordinator does not answer a viewer");
}

uint64_t world_position(struct world *w)
{
    char *text = world_query(w, ZDM_QUERY_VERSION, "");
    const char *at = strstr(text, "\"events\":");
    if (at == NULL)
        world_fail("no position in %s", text);
    uint64_t events = strtoull(at + strlen("\"events\":"), NULL, 10);
    free(text);
    return events;
}

/* ---- Joining ---- */

static struct zdm_envelope sign_enrolment(struct world *w, const char *label, const struct zdm_token *token)
{
    struct zdm_enrolment enrolment = {.expires_at_ms = token->expires_at_ms, .nonce = world_nonce(w)};
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_error err;
    zdm_copy_text(enrolment.shard, sizeof enrolment.shard, token->shard);
    if (zdm_labels_add(&enrolment.labels, label, &err) != ZDM_OK)
        world_fail("%s", err.message);
    zdm_hash_bytes(w->crypto, enrolment.secret_hash.bytes, sizeof enrolment.secret_hash.bytes, token->secret,
                   sizeof token->secret);
    zdm_enrolment_encode(&enrolment, &body);
    return world_sign(&w->olga, &w->fleet, ZDM_SIGNED_ENROLMENT, &body);
}

void world_enrol(struct world *w, const char *shard, const char *label, struct zdm_token *out)
{
    struct wire wire;
    struct zdm_error answer;
    *out = (struct zdm_token){.fleet = w->fleet,
                              .trust_hash = w->chain[w->version - 1].hash,
                              .n_urls = 1,
                              .expires_at_ms = world_now() + 3600000};
    snprintf(out->urls[0], sizeof out->urls[0], "tcp://127.0.0.1:%d", w->port);
    zdm_copy_text(out->shard, sizeof out->shard, shard);
    world_bytes(w, out->secret, sizeof out->secret);
    if (!world_dial(w, &wire, &w->olga))
        world_fail("olga cannot dial");
    struct zdm_request request = world_request(w, &wire, ZDM_VERB_ENROLL);
    request.migration[0] = '\0';
    request.shards.all = false;
    request.payload = sign_enrolment(w, label, out);
    if (world_ask(w, &wire, &w->olga, &request, &answer) != ZDM_OK)
        world_fail("enrolment: %s", answer.message);
    wire_close(&wire);
}

/* The trust file first: only then is it proven whom the secret goes to. */
static bool ask_to_join(struct wire *wire, const struct zdm_token *token, const struct zdm_trust *trust)
{
    struct zdm_frame ask = {.type = ZDM_FRAME_JOIN}, answer;
    struct zdm_trust_finder finder = {.crypto = zdm_crypto_sodium(), .trust = trust};
    struct zdm_error err;
    if (zdm_session_confirm_peer(wire->session, zdm_trust_find_coordinator, &finder, &err) != ZDM_OK)
        return false;
    memcpy(ask.u.join.secret, token->secret, sizeof ask.u.join.secret);
    zdm_copy_text(ask.u.join.release, sizeof ask.u.join.release, "0.1.0");
    if (!wire_seal(wire, &ask) || wire_read(wire, ANSWER_MS, &answer) != WIRE_FRAME)
        return false;
    bool joined = answer.type == ZDM_FRAME_JOINED;
    zdm_frame_fini(&answer);
    return joined;
}

bool world_join(struct world *w, const struct zdm_token *token, const struct zdm_signing_key *key)
{
    struct wire wire;
    if (!wire_dial(&wire, w->port, ZDM_SESSION_AGENT, key, &w->fleet, world_trust(w), true))
        return false;
    bool joined = ask_to_join(&wire, token, world_trust(w));
    wire_close(&wire);
    return joined;
}
