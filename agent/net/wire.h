/*
 * wire.h - one connection to a coordinator: handshake, sealing, frames. What link.c and join.c have in common.
 *
 * A wire is used once: when it fails, the owner closes the connection and makes another. A sealed frame that the net
 * does not take leaves a gap in the counter, so that ends the wire too.
 */
#ifndef AGENT_NET_WIRE_H
#define AGENT_NET_WIRE_H

#include "common/base/seams.h"
#include "common/net/net.h"
#include "common/session/session.h"
#include "proto/codec.h"

struct agent_wire {
    const struct zdm_crypto *crypto;
    struct zdm_net net;
    zdm_conn conn; /* 0: none */
    struct zdm_session *session;
    enum zdm_frame_sender peer; /* what the coordinator may send us */
    struct zdm_buffer plain;    /* the last frame's bytes: pieces point into it */
};

struct agent_wire_config {
    const struct zdm_crypto *crypto;
    const struct zdm_random *random;
    const struct zdm_signing_key *key; /* borrowed for the wire's life */
    struct zdm_id fleet;
    bool joining;
};

/* The connection is open: makes the session and sends the hello. False: close it. */
bool agent_wire_start(struct agent_wire *wire, const struct agent_wire_config *config, struct zdm_net net,
                      zdm_conn conn);
/* Wipes the session; the connection is closed unless it is already (conn 0). */
void agent_wire_end(struct agent_wire *wire);
bool agent_wire_is_open(const struct agent_wire *wire);

enum agent_wire_take {
    AGENT_WIRE_FAILED, /* err says why; end the wire */
    AGENT_WIRE_OPENED, /* the handshake is over */
    AGENT_WIRE_FRAME   /* *out_frame is filled, to be freed; it borrows from the wire until the next call */
};
enum agent_wire_take agent_wire_take(struct agent_wire *wire, const uint8_t *bytes, size_t n, zdm_session_find_key find,
                                     void *ctx, struct zdm_frame *out_frame, struct zdm_error *err);
/* False: the wire is of no use any more; end it. */
bool agent_wire_send(struct agent_wire *wire, const struct zdm_frame *frame);

#endif
