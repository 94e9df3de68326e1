/*
 * wire.c - see wire.h.
 */
#include "agent/net/wire.h"

#include <stdlib.h>
#include <string.h>

bool agent_wire_start(struct agent_wire *wire, const struct agent_wire_config *config, struct zdm_net net,
                      zdm_conn conn)
{
    static const struct zdm_id any;
    uint8_t hello[ZDM_HELLO_SIZE];
    *wire = (struct agent_wire){.crypto = config->crypto, .net = net, .conn = conn};
    wire->peer = config->joining ? ZDM_SENDER_COORDINATOR_TO_JOINER : ZDM_SENDER_COORDINATOR_TO_AGENT;
    zdm_buffer_init(&wire->plain, ZDM_FRAME_MAX);
    wire->session = zdm_session_dial(config->crypto, config->random, ZDM_SESSION_AGENT, config->key, &config->fleet,
                                     &any, config->joining);
    if (wire->session == NULL)
        return false;
    zdm_session_hello(wire->session, hello);
    return net.ops->send(net.self, conn, hello, sizeof hello) == ZDM_SEND_OK;
}

void agent_wire_end(struct agent_wire *wire)
{
    zdm_session_free(wire->session);
    wire->session = NULL;
    if (wire->plain.data != NULL)
        wire->crypto->wipe(wire->crypto->self, wire->plain.data, wire->plain.cap);
    zdm_buffer_fini(&wire->plain);
    if (wire->conn != 0)
        wire->net.ops->close(wire->net.self, wire->conn);
    wire->conn = 0;
}

bool agent_wire_is_open(const struct agent_wire *wire)
{
    return wire->session != NULL && zdm_session_state_of(wire->session) == ZDM_SESSION_OPEN;
}

static enum agent_wire_take take_welcome(struct agent_wire *wire, const uint8_t *bytes, size_t n,
                                         zdm_session_find_key find, void *ctx, struct zdm_error *err)
{
    uint8_t auth[ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD];
    if (zdm_session_take_welcome(wire->session, bytes, n, find, ctx, auth, err) != ZDM_OK)
        return AGENT_WIRE_FAILED;
    if (wire->net.ops->send(wire->net.self, wire->conn, auth, sizeof auth) == ZDM_SEND_OK)
        return AGENT_WIRE_OPENED;
    zdm_error_set(err, ZDM_CLOSED, "connection closed in the handshake");
    return AGENT_WIRE_FAILED;
}

static enum zdm_code open_frame(struct agent_wire *wire, const uint8_t *bytes, size_t n, struct zdm_frame *out_frame,
                                struct zdm_error *err)
{
    size_t plain_n = 0;
    zdm_buffer_reset(&wire->plain);
    /* Makes room: the plaintext is shorter than what is sealed. */
    zdm_buffer_append(&wire->plain, bytes, n);
    if (wire->plain.failed)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    enum zdm_code code = zdm_session_open(wire->session, bytes, n, wire->plain.data, &plain_n, err);
    if (code == ZDM_OK)
        code = zdm_frame_decode(wire->plain.data, plain_n, out_frame, err);
    return code;
}

enum agent_wire_take agent_wire_take(struct agent_wire *wire, const uint8_t *bytes, size_t n, zdm_session_find_key find,
                                     void *ctx, struct zdm_frame *out_frame, struct zdm_error *err)
{
    if (!agent_wire_is_open(wire))
        return take_welcome(wire, bytes, n, find, ctx, err);
    if (n <= ZDM_SEAL_OVERHEAD) {
        zdm_error_set(err, ZDM_PROTOCOL, "frame is too short");
        return AGENT_WIRE_FAILED;
    }
    if (open_frame(wire, bytes, n, out_frame, err) != ZDM_OK)
        return AGENT_WIRE_FAILED;
    if (zdm_frame_allowed(out_frame->type, wire->peer))
        return AGENT_WIRE_FRAME;
    zdm_error_set(err, ZDM_PROTOCOL, "coordinator sent a frame that is not meant for an agent: %s",
                  zdm_frame_type_name(out_frame->type));
    zdm_frame_fini(out_frame);
    return AGENT_WIRE_FAILED;
}

bool agent_wire_send(struct agent_wire *wire, const struct zdm_frame *frame)
{
    struct zdm_buffer plain, sealed;
    struct zdm_error err;
    bool sent = false;
    if (!agent_wire_is_open(wire))
        return false;
    zdm_buffer_init(&plain, ZDM_FRAME_MAX - ZDM_SEAL_OVERHEAD);
    zdm_buffer_init(&sealed, ZDM_FRAME_MAX);
    zdm_frame_encode(frame, &plain);
    zdm_buffer_append(&sealed, plain.data, plain.len);
    zdm_buffer_append(&sealed, (const uint8_t[ZDM_SEAL_OVERHEAD]){0}, ZDM_SEAL_OVERHEAD);
    if (!plain.failed && !sealed.failed && plain.len > 0 &&
        zdm_session_seal(wire->session, plain.data, plain.len, sealed.data, &err) == ZDM_OK)
        sent = wire->net.ops->send(wire->net.self, wire->conn, sealed.data, sealed.len) == ZDM_SEND_OK;
    if (plain.data != NULL)
        wire->crypto->wipe(wire->crypto->self, plain.data, plain.len);
    zdm_buffer_fini(&plain);
    zdm_buffer_fini(&sealed);
    return sent;
}
