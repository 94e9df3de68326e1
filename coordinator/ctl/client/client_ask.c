/*
 * client_ask.c - what is said in a session: queries, pushes, requests with their uploads; and with patience over
 * several sessions. See client.h.
 */
#include "coordinator/ctl/client/client_internal.h"

#include <stdlib.h>
#include <string.h>

#include "proto/signed.h"

static bool has_rows(const struct ctl_client *client)
{
    return client->rows.complete;
}

static bool has_push(const struct ctl_client *client)
{
    return client->push.complete;
}

static bool has_answer(const struct ctl_client *client)
{
    return client->answered;
}

/* ---- Asking ---- */

static enum zdm_code send_frame(struct ctl_client *client, const struct zdm_frame *frame, int64_t deadline_ms,
                                struct zdm_error *err)
{
    struct zdm_buffer plain;
    enum zdm_code code = ZDM_OK;
    enum zdm_send sent = ZDM_SEND_FULL;
    if (client->stage != CTL_STAGE_OPEN)
        return zdm_error_set(err, ZDM_CLOSED, "connection closed");
    zdm_buffer_init(&plain, ZDM_FRAME_MAX - ZDM_SEAL_OVERHEAD);
    zdm_frame_encode(frame, &plain);
    ZDM_CLEANUP(zdm_freep) uint8_t *sealed = malloc(plain.len + ZDM_SEAL_OVERHEAD);
    if (plain.failed || sealed == NULL)
        code = zdm_error_set(err, ZDM_LIMIT, "the %s does not fit into a frame", zdm_frame_type_name(frame->type));
    if (code == ZDM_OK)
        code = zdm_session_seal(client->session, plain.data, plain.len, sealed, err);
    while (code == ZDM_OK) {
        sent = client->net.ops->send(client->net.self, client->conn, sealed, plain.len + ZDM_SEAL_OVERHEAD);
        if (sent != ZDM_SEND_FULL)
            break;
        zdm_net_nng_poll(client->nng, 10);
        if (client->stage != CTL_STAGE_OPEN)
            sent = ZDM_SEND_CLOSED;
        else if (ctl_now() > deadline_ms)
            code = zdm_error_set(err, ZDM_TIMEOUT, "the coordinator did not take the %s in time",
                                 zdm_frame_type_name(frame->type));
        if (sent == ZDM_SEND_CLOSED)
            break;
    }
    if (code == ZDM_OK && sent == ZDM_SEND_CLOSED)
        code = zdm_error_set(err, ZDM_CLOSED, "connection closed");
    zdm_buffer_fini(&plain);
    return code;
}

static void expect_rows(struct ctl_client *client, struct ctl_inbox *box)
{
    box->id = ++client->last_id;
    box->complete = false;
    box->code = ZDM_OK;
    box->message[0] = '\0';
    zdm_buffer_reset(&box->text);
}

static enum zdm_code check_rows(const struct ctl_inbox *box, struct zdm_error *err)
{
    if (box->code != ZDM_OK) {
        zdm_error_set(err, box->code, "%s", box->message[0] != '\0' ? box->message : zdm_code_text(box->code));
        if (box->code == ZDM_NOT_FOUND)
            zdm_error_hint(err, "zdmctl history says what was submitted; without a name, status shows what is active.");
        else if (box->code == ZDM_INVALID)
            zdm_error_hint(err, "Write which one is meant, right behind the command.");
        return box->code;
    }
    return box->text.failed ? zdm_error_set(err, ZDM_LIMIT, "the coordinator's answer is too large") : ZDM_OK;
}

static enum zdm_code parse_rows(const struct ctl_inbox *box, json_t **out, struct zdm_error *err)
{
    json_error_t where;
    enum zdm_code code = check_rows(box, err);
    if (code != ZDM_OK)
        return code;
    json_t *json = json_loadb((const char *)box->text.data, box->text.len, 0, &where);
    if (json == NULL)
        return zdm_error_set(err, ZDM_PROTOCOL, "the coordinator's answer is not JSON: %s", where.text);
    *out = json;
    return ZDM_OK;
}

enum zdm_code ctl_client_send_query(struct ctl_client *client, const struct ctl_query *query, int64_t deadline_ms,
                                    struct zdm_error *err)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_QUERY};
    expect_rows(client, &client->rows);
    frame.u.query.kind = query->kind;
    frame.u.query.id = client->rows.id;
    frame.u.query.from_seq = query->from_seq;
    frame.u.query.limit = query->limit;
    if (query->plan_hash != NULL)
        frame.u.query.plan_hash = *query->plan_hash;
    if (query->migration != NULL)
        zdm_copy_text(frame.u.query.migration, sizeof frame.u.query.migration, query->migration);
    return send_frame(client, &frame, deadline_ms, err);
}

/* Sends the question and waits until the answer is in client->rows. */
static enum zdm_code query_rows(struct ctl_client *client, const struct ctl_query *query, int64_t deadline_ms,
                                struct zdm_error *err)
{
    enum zdm_code code = ctl_client_send_query(client, query, deadline_ms, err);
    if (code == ZDM_OK)
        code = ctl_client_pump(client, has_rows, false, deadline_ms, err);
    if (code == ZDM_TIMEOUT)
        ctl_client_drop(client);
    client->rows.id = 0;
    return code;
}

enum zdm_code ctl_client_query(struct ctl_client *client, const struct ctl_query *query, int64_t deadline_ms,
                               json_t **out, struct zdm_error *err)
{
    enum zdm_code code = query_rows(client, query, deadline_ms, err);
    return code == ZDM_OK ? parse_rows(&client->rows, out, err) : code;
}

enum zdm_code ctl_client_watch(struct ctl_client *client, const char *migration, struct zdm_error *err)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_WATCH};
    expect_rows(client, &client->push);
    frame.u.query.kind = ZDM_QUERY_STATUS;
    frame.u.query.id = client->push.id;
    if (migration != NULL)
        zdm_copy_text(frame.u.query.migration, sizeof frame.u.query.migration, migration);
    return send_frame(client, &frame, ctl_now() + CTL_DIAL_MS, err);
}

enum zdm_code ctl_client_push(struct ctl_client *client, int64_t deadline_ms, json_t **out, struct zdm_error *err)
{
    enum zdm_code code = ctl_client_pump(client, has_push, false, deadline_ms, err);
    if (code != ZDM_OK)
        return code;
    code = parse_rows(&client->push, out, err);
    client->push.complete = false;
    client->push.code = ZDM_OK;
    zdm_buffer_reset(&client->push.text);
    return code;
}

/* ---- Acting ---- */

void ctl_errand_fini(struct ctl_errand *errand)
{
    zdm_request_fini(&errand->request);
    for (size_t i = 0; i < errand->n_uploads; i++)
        zdm_buffer_fini(&errand->uploads[i]);
    *errand = (struct ctl_errand){.n_uploads = 0};
}

enum zdm_code ctl_client_upload(struct ctl_client *client, const struct zdm_buffer *bytes, int64_t deadline_ms,
                                struct zdm_error *err)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_UPLOAD};
    enum zdm_code code = ZDM_OK;
    zdm_hash_bytes(client->crypto, frame.u.piece.hash.bytes, sizeof frame.u.piece.hash.bytes, bytes->data, bytes->len);
    frame.u.piece.total = (uint32_t)bytes->len;
    for (size_t at = 0; code == ZDM_OK && at < bytes->len; at += frame.u.piece.n) {
        size_t left = bytes->len - at;
        frame.u.piece.offset = (uint32_t)at;
        frame.u.piece.bytes = bytes->data + at;
        frame.u.piece.n = left < ZDM_PIECE_MAX ? left : ZDM_PIECE_MAX;
        code = send_frame(client, &frame, deadline_ms, err);
    }
    return code;
}

static enum zdm_code send_request(struct ctl_client *client, struct zdm_request *request, int64_t deadline_ms,
                                  struct zdm_error *err)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_REQUEST};
    struct zdm_buffer body;
    zdm_buffer_init(&body, ZDM_FRAME_MAX);
    request->session = zdm_session_transcript(client->session);
    zdm_request_encode(request, &body);
    enum zdm_code code = body.failed ? zdm_error_set(err, ZDM_LIMIT, "the request is too large") : ZDM_OK;
    if (code == ZDM_OK)
        code = zdm_signed_make(client->crypto, &client->key, &client->chain.fleet, ZDM_SIGNED_REQUEST, body.data,
                               body.len, &frame.u.request, err);
    if (code == ZDM_OK) {
        code = send_frame(client, &frame, deadline_ms, err);
        zdm_envelope_fini(&frame.u.request);
    }
    zdm_buffer_fini(&body);
    return code;
}

enum zdm_code ctl_client_request(struct ctl_client *client, struct ctl_errand *errand, int64_t deadline_ms,
                                 struct ctl_answer *out, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    if (client->stage != CTL_STAGE_OPEN)
        return zdm_error_set(err, ZDM_CLOSED, "connection closed");
    client->answered = false;
    client->asked = errand->request.request_id;
    for (size_t i = 0; code == ZDM_OK && i < errand->n_uploads; i++)
        code = ctl_client_upload(client, &errand->uploads[i], deadline_ms, err);
    if (code == ZDM_OK)
        code = send_request(client, &errand->request, deadline_ms, err);
    if (code == ZDM_OK)
        code = ctl_client_pump(client, has_answer, false, deadline_ms, err);
    if (code == ZDM_TIMEOUT)
        ctl_client_drop(client);
    if (code == ZDM_OK)
        *out = client->answer;
    return code;
}

/* The answer stands in client->rows. */
static enum zdm_code ask_rows(struct ctl_client *client, const struct ctl_query *query, struct zdm_error *err)
{
    int64_t deadline = ctl_now() + CTL_PATIENCE_MS;
    for (;;) {
        enum zdm_code code = ctl_client_connect(client, deadline, err);
        if (code != ZDM_OK)
            return code;
        code = query_rows(client, query, deadline, err);
        if (code == ZDM_TIMEOUT)
            return zdm_error_set(err, ZDM_TIMEOUT, "the coordinator did not answer within %d s",
                                 CTL_PATIENCE_MS / 1000);
        if (code != ZDM_CLOSED || ctl_now() >= deadline)
            return code;
    }
}

enum zdm_code ctl_ask(struct ctl_client *client, const struct ctl_query *query, json_t **out, struct zdm_error *err)
{
    enum zdm_code code = ask_rows(client, query, err);
    return code == ZDM_OK ? parse_rows(&client->rows, out, err) : code;
}

enum zdm_code ctl_ask_bytes(struct ctl_client *client, const struct ctl_query *query, struct zdm_buffer *out,
                            struct zdm_error *err)
{
    enum zdm_code code = ask_rows(client, query, err);
    if (code == ZDM_OK)
        code = check_rows(&client->rows, err);
    if (code == ZDM_OK)
        zdm_buffer_append(out, client->rows.text.data, client->rows.text.len);
    return code == ZDM_OK && out->failed ? zdm_error_set(err, ZDM_LIMIT, "the coordinator's answer is too large")
                                         : code;
}

enum zdm_code ctl_act(struct ctl_client *client, struct ctl_errand *errand, struct ctl_answer *out,
                      struct zdm_error *err)
{
    int64_t deadline = ctl_now() + CTL_PATIENCE_MS;
    if (zdm_id_is_zero(&errand->request.request_id))
        zdm_random_fill(client->random, errand->request.request_id.bytes, sizeof errand->request.request_id.bytes);
    for (;;) {
        enum zdm_code code = ctl_client_connect(client, deadline, err);
        if (code != ZDM_OK)
            return code;
        code = ctl_client_request(client, errand, deadline, out, err);
        if (code == ZDM_TIMEOUT || (code == ZDM_CLOSED && ctl_now() >= deadline)) {
            zdm_error_set(err, ZDM_TIMEOUT, "the coordinator did not say whether it was done");
            return zdm_error_hint(err, "Look before you try again: zdmctl history --limit 5.");
        }
        if (code == ZDM_OK && out->code != ZDM_OK) {
            zdm_error_set(err, out->code, "%s", out->message[0] != '\0' ? out->message : zdm_code_text(out->code));
            if (out->detail[0] != '\0')
                zdm_error_detail(err, "%s", out->detail);
            if (out->hint[0] != '\0')
                zdm_error_hint(err, "%s", out->hint);
            return out->code;
        }
        if (code != ZDM_CLOSED)
            return code;
    }
}
