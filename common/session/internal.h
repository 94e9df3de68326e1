/*
 * internal.h - what handshake.c and session.c share: the session's state and the layout of its three messages.
 */
#ifndef ZDM_SESSION_INTERNAL_H
#define ZDM_SESSION_INTERNAL_H

#include "common/session/session.h"

/* Offsets of protocol 5. */
enum {
    DOMAIN_SIZE = 16,
    HELLO_ROLE = 16,
    HELLO_VERSION = 17,
    HELLO_ZERO = 18,
    HELLO_FLEET = 32,
    HELLO_EPHEMERAL = 48,
    HELLO_WANT = 80,
    WELCOME_KEY_ID = 16,
    WELCOME_EPHEMERAL = 32,
    WELCOME_INSTANCE = 64,
    WELCOME_ZERO = 80,
    WELCOME_SIGNATURE = 112, /* and the length of what is signed */
    AUTH_KEY_ID = 0,
    AUTH_PUBLIC_KEY = 16, /* zero but for a joining dialler */
    AUTH_SIGNATURE = 48
};

#define ZDM_SESSION_FRAMES_MAX (UINT64_C(1) << 32) /* sealed with one key, in one direction */

struct zdm_session {
    const struct zdm_crypto *crypto;
    const struct zdm_random *random;
    const struct zdm_signing_key *own;
    enum zdm_session_state state;
    enum zdm_session_role role;
    bool dialler, joining, hello_sent, proven;
    struct zdm_id fleet;
    struct zdm_id want;
    struct zdm_id instance;  /* listener: its own; dialler: the peer's */
    struct zdm_id peer;      /* dialler: the coordinator's key id */
    struct zdm_kx_pair pair; /* wiped once the keys are made */
    struct zdm_session_keys keys;
    uint64_t sent, received; /* frames: the next counters */
    uint8_t hello[ZDM_HELLO_SIZE];
    struct zdm_hash transcript;
    struct zdm_hash welcome_digest; /* what the coordinator signed; kept by a joining dialler until confirm_peer */
    uint8_t welcome_signature[ZDM_SIGNATURE_SIZE];
};

/* Closes, wipes the keys, fills err. */
enum zdm_code zdm_session_fail(struct zdm_session *s, enum zdm_code code, const char *why, struct zdm_error *err);

#endif
