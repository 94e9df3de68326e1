/*
 * wire.h - the attacker's end of a connection: frames over a plain TCP socket, and a session whose inside it can reach,
 * so that it can seal what no honest program would.
 */
#ifndef TESTS_ATTACK_WIRE_H
#define TESTS_ATTACK_WIRE_H

#include "common/session/session.h"
#include "proto/codec.h"

enum { WIRE_IN_MAX = 512 * 1024 };

struct wire {
    int fd; /* -1: closed */
    struct zdm_session *session;
    uint8_t *in; /* bytes that came and are not taken */
    size_t in_n;
};

enum wire_got { WIRE_FRAME, WIRE_CLOSED, WIRE_SILENT };

/* A port of loopback on which nobody listens; a socket that listens on it. They end the test on failure. */
int wire_free_port(void);
int wire_listen(int port);

/* Connects; false when nobody is there. */
bool wire_connect(struct wire *w, int port);
/* Takes a connection within that time. */
bool wire_accept(struct wire *w, int listener, int timeout_ms);
void wire_close(struct wire *w);

/* Bytes as they are; a frame with its length in front. False: the other side has closed. */
bool wire_put(struct wire *w, const void *bytes, size_t n);
bool wire_send(struct wire *w, const void *bytes, size_t n);
/* The next frame as it came; out has room for ZDM_FRAME_MAX. */
enum wire_got wire_recv(struct wire *w, int timeout_ms, uint8_t *out, size_t *out_n);
/* Does the other side close within that time? What it says before is read and dropped. */
bool wire_is_closed(struct wire *w, int timeout_ms);

/* The dialler's handshake with any coordinator of `trust`; false when it fails. */
bool wire_dial(struct wire *w, int port, enum zdm_session_role role, const struct zdm_signing_key *key,
               const struct zdm_id *fleet, const struct zdm_trust *trust, bool joining);
/* The listener's handshake; *out_key is who dialled. */
bool wire_greet(struct wire *w, const struct zdm_signing_key *coordinator, const struct zdm_id *fleet,
                const struct zdm_id *instance, struct zdm_id *out_key);

bool wire_seal(struct wire *w, const struct zdm_frame *frame);
bool wire_seal_bytes(struct wire *w, const void *plain, size_t n);
/* The next frame of the session, decoded; the caller calls zdm_frame_fini. Pieces point into a buffer of this file that
 * lives until the next call. Anything that does not open or decode is WIRE_CLOSED. */
enum wire_got wire_read(struct wire *w, int timeout_ms, struct zdm_frame *out);

#endif
