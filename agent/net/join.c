/*
 * join.c - see join.h.
 */
#include "agent/net/join.h"

#include <stdlib.h>
#include <string.h>

#include "proto/signed.h"

struct agent_join {
    struct agent_join_config config;
    struct zdm_net net;
    struct agent_wire wire;
    zdm_conn dialling;
    size_t next_url;
    int64_t deadline_ms;
    bool greeted; /* a handshake was completed: it was not the network */
    bool has_chain;
    struct zdm_trust_chain chain;
    struct zdm_envelope enrolment;
    enum agent_join_state state;
    struct zdm_error error;
};

struct agent_join *agent_join_new(const struct agent_join_config *config)
{
    struct agent_join *join = calloc(1, sizeof *join);
    if (join != NULL)
        join->config = *config;
    return join;
}

void agent_join_free(struct agent_join *join)
{
    if (join == NULL)
        return;
    agent_wire_end(&join->wire);
    zdm_trust_chain_fini(&join->chain);
    zdm_envelope_fini(&join->enrolment);
    free(join);
}

const struct zdm_trust_chain *agent_join_chain(const struct agent_join *join)
{
    return &join->chain;
}

const struct zdm_envelope *agent_join_enrolment(const struct agent_join *join)
{
    return &join->enrolment;
}

static void fail(struct agent_join *join, const struct zdm_error *error)
{
    join->error = *error;
    join->state = AGENT_JOIN_FAILED;
    agent_wire_end(&join->wire);
}

/* The next URL, or the end. A refusal by a proven coordinator is final; a connection that fails is not. */
static void try_next(struct agent_join *join, const char *why)
{
    struct zdm_error err;
    agent_wire_end(&join->wire);
    join->dialling = 0;
    while (join->next_url < join->config.token->n_urls) {
        const char *url = join->config.token->urls[join->next_url++];
        join->deadline_ms = zdm_boot_ms(join->config.clock) + AGENT_JOIN_MS;
        if (join->net.ops->dial(join->net.self, url, &join->dialling, &err) == ZDM_OK)
            return;
        why = err.message;
    }
    char text[ZDM_TEXT_MAX + 1];
    zdm_copy_text(text, sizeof text, why); /* it may stand in err */
    zdm_error_set(&err, ZDM_UNAVAILABLE, "could not join: %s", text);
    if (join->greeted)
        zdm_error_hint(&err,
                       "If a join from this folder was cut off half-way, its key is known already: delete the folder "
                       "and make a new token with zdmctl enroll %s.",
                       join->config.token->shard);
    else
        zdm_error_hint(&err,
                       "Check that the coordinator runs and that this host reaches %s; a token is valid for one hour "
                       "and for one agent.",
                       join->config.token->urls[0]);
    fail(join, &err);
}

void agent_join_attach(struct agent_join *join, struct zdm_net net)
{
    join->net = net;
    try_next(join, "the token names no URL");
}

/* ---- What the coordinator says ---- */

static void on_trust(struct agent_join *join, const struct zdm_frame *frame)
{
    struct zdm_error err;
    struct zdm_trust_finder finder = {.crypto = join->config.crypto, .trust = &join->chain.trust};
    const struct zdm_token *token = join->config.token;
    if (join->has_chain)
        return;
    if (zdm_trust_chain_verify(join->config.crypto, frame->u.envelopes.items, frame->u.envelopes.n, &join->chain,
                               &err) != ZDM_OK) {
        zdm_error_wrap(&err, "coordinator's trust file does not verify");
        fail(join, &err);
        return;
    }
    join->has_chain = true;
    if (!zdm_hash_equal(&join->chain.hash, &token->trust_hash) || !zdm_id_equal(&join->chain.fleet, &token->fleet)) {
        zdm_error_set(&err, ZDM_AUTH, "coordinator's trust file is not the one that the token vouches for");
        zdm_error_hint(&err, "Make a new token: the trust file may have changed since. If it has not, somebody else "
                             "answers at that address.");
        fail(join, &err);
    } else if (zdm_session_confirm_peer(join->wire.session, zdm_trust_find_coordinator, &finder, &err) != ZDM_OK) {
        fail(join, &err);
    } else {
        struct zdm_frame ask = {.type = ZDM_FRAME_JOIN};
        memcpy(ask.u.join.secret, token->secret, sizeof ask.u.join.secret);
        zdm_copy_text(ask.u.join.release, sizeof ask.u.join.release, join->config.release);
        bool sent = agent_wire_send(&join->wire, &ask);
        join->config.crypto->wipe(join->config.crypto->self, &ask, sizeof ask);
        if (!sent)
            try_next(join, "connection closed");
    }
}

static enum zdm_code check_enrolment(const struct agent_join *join, const struct zdm_envelope *envelope,
                                     struct zdm_error *err)
{
    struct zdm_trust_finder finder = {
        .crypto = join->config.crypto, .trust = &join->chain.trust, .role = ZDM_ROLE_OPERATOR};
    struct zdm_enrolment enrolment;
    struct zdm_id signer;
    const uint8_t *body;
    size_t n;
    enum zdm_code code = zdm_signed_check(join->config.crypto, envelope, ZDM_SIGNED_ENROLMENT, &join->chain.fleet,
                                          zdm_trust_find_person, &finder, &body, &n, &signer, err);
    if (code == ZDM_OK)
        code = zdm_enrolment_decode(body, n, &enrolment, err);
    if (code == ZDM_OK && strcmp(enrolment.shard, join->config.token->shard) != 0)
        code = zdm_error_set(err, ZDM_AUTH, "enrolment is for shard %s and the token for %s", enrolment.shard,
                             join->config.token->shard);
    return code;
}

static void on_joined(struct agent_join *join, struct zdm_frame *frame)
{
    struct zdm_error err;
    if (!join->has_chain || !zdm_session_peer_is_proven(join->wire.session))
        return;
    if (check_enrolment(join, &frame->u.joined.enrolment, &err) != ZDM_OK) {
        fail(join, &err);
        return;
    }
    if (!zdm_envelope_copy(&join->enrolment, &frame->u.joined.enrolment)) {
        zdm_error_set(&err, ZDM_NOMEM, "out of memory");
        fail(join, &err);
        return;
    }
    join->state = AGENT_JOIN_DONE;
    agent_wire_end(&join->wire);
}

static void on_bye(struct agent_join *join, const struct zdm_frame *frame)
{
    struct zdm_error err;
    zdm_error_set(&err, ZDM_REFUSED, "coordinator refused: %s", frame->u.bye.why);
    zdm_error_hint(&err, "Make a new token with zdmctl enroll SHARD.");
    fail(join, &err);
}

static void on_coordinator_frame(struct agent_join *join, struct zdm_frame *frame)
{
    if (frame->type == ZDM_FRAME_TRUST)
        on_trust(join, frame);
    else if (frame->type == ZDM_FRAME_JOINED)
        on_joined(join, frame);
    else if (frame->type == ZDM_FRAME_BYE)
        on_bye(join, frame);
}

/* ---- Upcalls of the net ---- */

static void on_opened(void *ctx, zdm_conn conn, bool incoming, const char *peer)
{
    struct agent_join *join = ctx;
    (void)peer;
    if (incoming || conn != join->dialling || join->state != AGENT_JOIN_PENDING)
        return;
    const struct agent_wire_config wire = {.crypto = join->config.crypto,
                                           .random = join->config.random,
                                           .key = join->config.key,
                                           .fleet = join->config.token->fleet,
                                           .joining = true};
    join->dialling = 0;
    if (!agent_wire_start(&join->wire, &wire, join->net, conn))
        try_next(join, "connection closed");
}

static bool no_key(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    (void)ctx;
    (void)key_id;
    (void)out_public_key;
    return false;
}

static void on_frame(void *ctx, zdm_conn conn, const uint8_t *bytes, size_t n)
{
    struct agent_join *join = ctx;
    struct zdm_frame frame;
    struct zdm_error err;
    if (conn == 0 || conn != join->wire.conn || join->state != AGENT_JOIN_PENDING)
        return;
    switch (agent_wire_take(&join->wire, bytes, n, no_key, NULL, &frame, &err)) {
    case AGENT_WIRE_FAILED:
        try_next(join, err.message);
        break;
    case AGENT_WIRE_OPENED: {
        join->greeted = true;
        const struct zdm_frame ask = {.type = ZDM_FRAME_TRUST_REQUEST, .u.trust_request = {.from_version = 0}};
        if (!agent_wire_send(&join->wire, &ask))
            try_next(join, "connection closed");
        break;
    }
    case AGENT_WIRE_FRAME:
        on_coordinator_frame(join, &frame);
        zdm_frame_fini(&frame);
        break;
    }
}

static void on_closed(void *ctx, zdm_conn conn, const char *why)
{
    struct agent_join *join = ctx;
    if (conn == 0 || join->state != AGENT_JOIN_PENDING || (conn != join->wire.conn && conn != join->dialling))
        return;
    if (conn == join->wire.conn)
        join->wire.conn = 0;
    try_next(join, why);
}

struct zdm_net_upcalls agent_join_net_upcalls(struct agent_join *join)
{
    return (struct zdm_net_upcalls){.opened = on_opened, .frame = on_frame, .closed = on_closed, .ctx = join};
}

enum agent_join_state agent_join_turn(struct agent_join *join, struct zdm_error *err)
{
    if (join->state == AGENT_JOIN_PENDING && zdm_boot_ms(join->config.clock) >= join->deadline_ms) {
        if (join->dialling != 0)
            join->net.ops->close(join->net.self, join->dialling);
        try_next(join, "coordinator does not answer");
    }
    if (join->state == AGENT_JOIN_FAILED)
        *err = join->error;
    return join->state;
}
