/*
 * operator.c - see operator.h.
 */
#include "tests/sim/operator.h"

#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto/signed.h"

enum { ECHO_PERCENT = 20 };

static void dial(struct sim_operator *person);

static bool find_coordinator(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    const struct sim_operator *person = ctx;
    struct zdm_id id = zdm_key_id(sim_crypto(), &person->coordinator);
    *out_public_key = person->coordinator;
    return zdm_id_equal(&id, key_id);
}

static void send_frame(struct sim_operator *person, const struct zdm_frame *frame)
{
    struct zdm_buffer plain = ZDM_BUFFER_INIT;
    struct zdm_error err = ZDM_ERROR_INIT;
    zdm_frame_encode(frame, &plain);
    uint8_t *sealed = malloc(plain.len + ZDM_SEAL_OVERHEAD);
    if (plain.failed || sealed == NULL)
        abort();
    if (zdm_session_seal(person->session, plain.data, plain.len, sealed, &err) == ZDM_OK)
        person->net.ops->send(person->net.self, person->conn, sealed, plain.len + ZDM_SEAL_OVERHEAD);
    free(sealed);
    zdm_buffer_fini(&plain);
}

static void send_upload(struct sim_operator *person, const struct operator_upload *upload)
{
    struct zdm_hash hash;
    zdm_hash_bytes(sim_crypto(), hash.bytes, sizeof hash.bytes, upload->bytes, upload->n);
    for (size_t offset = 0; offset < upload->n; offset += ZDM_PIECE_MAX) {
        size_t left = upload->n - offset;
        struct zdm_frame frame = {.type = ZDM_FRAME_UPLOAD};
        frame.u.piece = (struct zdm_piece){.hash = hash,
                                           .total = (uint32_t)upload->n,
                                           .offset = (uint32_t)offset,
                                           .bytes = upload->bytes + offset,
                                           .n = left < ZDM_PIECE_MAX ? left : ZDM_PIECE_MAX};
        send_frame(person, &frame);
    }
}

static void send_request(struct sim_operator *person)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_frame frame = {.type = ZDM_FRAME_REQUEST};
    bool uploads = person->request.verb == ZDM_VERB_SUBMIT || person->request.verb == ZDM_VERB_TRUST;
    for (size_t i = 0; i < 2; i++)
        if (uploads && person->uploads[i].n > 0)
            send_upload(person, &person->uploads[i]);
    person->request.session = zdm_session_transcript(person->session);
    zdm_request_encode(&person->request, &body);
    if (body.failed || zdm_signed_make(sim_crypto(), person->key, &person->fleet, ZDM_SIGNED_REQUEST, body.data,
                                       body.len, &frame.u.request, &err) != ZDM_OK)
        abort();
    send_frame(person, &frame);
    zdm_envelope_fini(&frame.u.request);
    zdm_buffer_fini(&body);
}

static void take_answer(struct sim_operator *person, const struct zdm_frame *frame)
{
    if (!person->busy || !zdm_id_equal(&frame->u.answer.request_id, &person->request.request_id))
        return;
    person->answer = frame->u.answer.code;
    zdm_copy_text(person->message, sizeof person->message, frame->u.answer.message);
    world_tell(person->world, "operator: %s -> %s %s", zdm_verb_name(person->request.verb),
               zdm_code_name(person->answer), person->message);
    uint64_t *answers = person->answer == ZDM_OK ? person->done : person->refused;
    answers[person->request.verb]++;
    person->amends_refused += person->request.amend && person->answer != ZDM_OK;
    person->amends_unsigned += person->request.amend && strstr(person->message, "who is no operator any more") != NULL;
    /* A request that changed nothing ("already paused") leaves no trace and has position 0. */
    bool acted = person->answer == ZDM_OK && frame->u.answer.seq > 0;
    if (person->echo) {
        /* Who lost the role meanwhile is told that, and not what became of the request. */
        bool lost_role = person->answer == ZDM_REFUSED && strstr(person->message, " may not ") != NULL;
        bool same = acted && frame->u.answer.seq == person->echo_seq;
        person->contradicted = person->contradicted || !(same || lost_role);
        person->echoes++;
    } else if (acted && person->n_answered < OPERATOR_ANSWERS_MAX) {
        person->answered_at[person->n_answered] = frame->u.answer.seq;
        person->answered[person->n_answered++] = person->request.request_id;
        person->echo = world_chance(person->world, ECHO_PERCENT);
        person->echo_seq = frame->u.answer.seq;
        if (person->echo) {
            person->dials = 0;
            dial(person);
            return;
        }
    }
    person->echo = false;
    person->busy = false;
    zdm_request_fini(&person->request);
}

static void take_frame(struct sim_operator *person, const uint8_t *bytes, size_t n)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_frame frame;
    uint8_t *plain = malloc(n);
    size_t plain_n = 0;
    if (plain == NULL)
        abort();
    if (zdm_session_open(person->session, bytes, n, plain, &plain_n, &err) == ZDM_OK &&
        zdm_frame_decode(plain, plain_n, &frame, &err) == ZDM_OK) {
        if (frame.type == ZDM_FRAME_ANSWER)
            take_answer(person, &frame);
        zdm_frame_fini(&frame);
    }
    free(plain);
}

static void hang_up(struct sim_operator *person)
{
    if (person->conn != 0)
        person->net.ops->close(person->net.self, person->conn);
    person->conn = 0;
    zdm_session_free(person->session);
    person->session = NULL;
}

static void on_opened(void *ctx, zdm_conn conn, bool incoming, const char *peer)
{
    struct sim_operator *person = ctx;
    uint8_t hello[ZDM_HELLO_SIZE];
    (void)incoming;
    (void)peer;
    if (conn != person->conn)
        return;
    zdm_session_hello(person->session, hello);
    person->net.ops->send(person->net.self, conn, hello, sizeof hello);
}

static void on_frame(void *ctx, zdm_conn conn, const uint8_t *bytes, size_t n)
{
    struct sim_operator *person = ctx;
    struct zdm_error err = ZDM_ERROR_INIT;
    uint8_t auth[ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD];
    if (conn != person->conn)
        return;
    if (zdm_session_state_of(person->session) == ZDM_SESSION_OPEN) {
        take_frame(person, bytes, n);
        return;
    }
    if (zdm_session_take_welcome(person->session, bytes, n, find_coordinator, person, auth, &err) != ZDM_OK) {
        hang_up(person);
        return;
    }
    person->net.ops->send(person->net.self, conn, auth, sizeof auth);
    if (person->busy)
        send_request(person);
}

static void on_closed(void *ctx, zdm_conn conn, const char *why)
{
    struct sim_operator *person = ctx;
    (void)why;
    if (conn == person->conn) {
        person->conn = 0;
        hang_up(person);
    }
}

/* Still no answer: dial anew. Every dial has a time-out of its own. */
static void impatient(void *ctx, void *payload)
{
    struct sim_operator *person = ctx;
    const uint64_t *attempt = payload;
    bool mine = *attempt == person->attempt;
    free(payload);
    if (!mine || !person->busy)
        return;
    if (person->dials < OPERATOR_DIALS_MAX) {
        dial(person);
        return;
    }
    hang_up(person);
    zdm_request_fini(&person->request);
    person->busy = person->echo = false;
}

static void dial(struct sim_operator *person)
{
    struct zdm_error err = ZDM_ERROR_INIT;
    const struct zdm_id any = {{0}};
    hang_up(person);
    person->session = zdm_session_dial(sim_crypto(), &person->world->nodes[person->node].random, ZDM_SESSION_PERSON,
                                       person->key, &person->fleet, &any, false);
    uint64_t *attempt = malloc(sizeof *attempt);
    if (person->session == NULL || attempt == NULL ||
        person->net.ops->dial(person->net.self, person->url, &person->conn, &err) != ZDM_OK)
        abort();
    *attempt = ++person->attempt;
    person->dials++;
    world_after(person->world, OPERATOR_PATIENCE_MS, person->node, impatient, person, attempt, free);
}

void operator_start(struct sim_operator *person, struct sim_net *net)
{
    struct zdm_net_upcalls upcalls = {on_opened, on_frame, on_closed, person};
    world_boot(person->world, person->node);
    person->net = sim_net_attach(net, person->node, &upcalls, NULL, NULL);
}

void operator_stop(struct sim_operator *person, struct sim_net *net)
{
    hang_up(person);
    if (person->busy)
        zdm_request_fini(&person->request);
    person->busy = false;
    world_kill(person->world, person->node);
    sim_net_detach(net, person->node);
}

void operator_ask(struct sim_operator *person, struct zdm_request *request)
{
    const struct zdm_random *random = &person->world->nodes[person->node].random;
    person->request = *request;
    zdm_random_fill(random, person->request.request_id.bytes, sizeof person->request.request_id.bytes);
    person->busy = true;
    person->dials = 0;
    dial(person);
}

void operator_forget(struct sim_operator *person, uint64_t seq)
{
    size_t kept = 0;
    for (size_t i = 0; i < person->n_answered; i++) {
        if (person->answered_at[i] > seq)
            continue;
        person->answered[kept] = person->answered[i];
        person->answered_at[kept++] = person->answered_at[i];
    }
    person->n_answered = kept;
    person->echo = person->echo && person->echo_seq <= seq;
}
