/*
 * session.h - the sealed session of protocol 5 as a pure state machine: bytes in, bytes out, no socket and no clock.
 *
 * SIGMA-I over X25519 and Ed25519: hello (96 bytes) and welcome (176 bytes) agree on keys, the dialler's first sealed
 * frame (112 bytes of plaintext) proves who it is. After that every frame is XChaCha20-Poly1305 with a counter per
 * direction that must be exactly the next one. Any error caused by what came in is final: the session is then closed,
 * and the owner closes the connection and says nothing.
 *
 * A dialler that joins (enrolment) does not know the coordinator's key yet: it holds the welcome back
 * (zdm_session_confirm_peer) until the trust file that its token vouches for has arrived, and its own public key stands
 * in the field of `auth` that is otherwise zero.
 *
 * Threads: one session belongs to one thread at a time. Memory: a session owns its keys and wipes them.
 */
#ifndef ZDM_SESSION_SESSION_H
#define ZDM_SESSION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/seams.h"

enum zdm_session_role { ZDM_SESSION_AGENT = 1, ZDM_SESSION_PERSON = 2 };

enum { ZDM_HELLO_SIZE = 96, ZDM_WELCOME_SIZE = 176, ZDM_AUTH_SIZE = 112, ZDM_SESSION_VERSION = 1 };

enum zdm_session_state {
    ZDM_SESSION_NEW,      /* dialler: hello not sent; listener: hello not received */
    ZDM_SESSION_WELCOMED, /* listener: welcome sent, waits for auth */
    ZDM_SESSION_OPEN,     /* frames may pass */
    ZDM_SESSION_CLOSED    /* failed or closed; nothing passes any more */
};

struct zdm_session;

/* The dialler's side. own: its signing key, borrowed for the session's life. fleet: as pinned. want: the key id of the
 * coordinator it wants, or zero for any. joining: see above. NULL without memory. */
struct zdm_session *zdm_session_dial(const struct zdm_crypto *crypto, const struct zdm_random *random,
                                     enum zdm_session_role role, const struct zdm_signing_key *own,
                                     const struct zdm_id *fleet, const struct zdm_id *want, bool joining);
/* The listener's side; instance: the coordinator's, told in the welcome. */
struct zdm_session *zdm_session_listen(const struct zdm_crypto *crypto, const struct zdm_random *random,
                                       const struct zdm_signing_key *own, const struct zdm_id *fleet,
                                       const struct zdm_id *instance);
/* Wipes and frees. NULL is allowed. */
void zdm_session_free(struct zdm_session *session);

enum zdm_session_state zdm_session_state_of(const struct zdm_session *session);

/* Dialler: the hello to send first. */
void zdm_session_hello(struct zdm_session *session, uint8_t out[ZDM_HELLO_SIZE]);

/* Listener: takes the hello, answers with the welcome. ZDM_PROTOCOL for a wrong size, domain, version, role, fleet,
 * wanted key or a low-order key; the session is then closed. */
enum zdm_code zdm_session_take_hello(struct zdm_session *session, const uint8_t *bytes, size_t n,
                                     uint8_t out_welcome[ZDM_WELCOME_SIZE], struct zdm_error *err) ZDM_CHECKED;
/* The role that the dialler's hello claims (listener, after take_hello). */
enum zdm_session_role zdm_session_role_of(const struct zdm_session *session);

/* How a dialler finds the public key of a coordinator by id: true and *out, or false when it is not trusted. */
typedef bool (*zdm_session_find_key)(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out_public_key);

/* Dialler: takes the welcome, checks it (unless joining), and gives the sealed auth frame to send (out has room for
 * ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD). The session is then open. ZDM_AUTH for an unknown coordinator or a bad signature.
 */
enum zdm_code zdm_session_take_welcome(struct zdm_session *session, const uint8_t *bytes, size_t n,
                                       zdm_session_find_key find, void *ctx,
                                       uint8_t out_auth[ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD],
                                       struct zdm_error *err) ZDM_CHECKED;
/* Joining dialler: checks the welcome that was held back. ZDM_AUTH: not the coordinator that the trust file names. */
enum zdm_code zdm_session_confirm_peer(struct zdm_session *session, zdm_session_find_key find, void *ctx,
                                       struct zdm_error *err) ZDM_CHECKED;
/* Is it proven whom the dialler talks to? Always true when open, but for a joining dialler before confirm_peer: it
 * sends no secret, the token's included, before that. */
bool zdm_session_peer_is_proven(const struct zdm_session *session);

/* Listener: takes the sealed auth frame. out_key_id: who it claims to be. When `find` knows the key, the signature is
 * checked with it and *out_joining is false; else the key in the frame itself is taken and *out_joining is true: the
 * caller allows nothing but joining in that session. *out_public_key is the key either way. Whether that key may have
 * the role of the hello is for the caller to check (in `find`, for one). ZDM_AUTH, ZDM_PROTOCOL. */
enum zdm_code zdm_session_take_auth(struct zdm_session *session, const uint8_t *bytes, size_t n,
                                    zdm_session_find_key find, void *ctx, struct zdm_id *out_key_id,
                                    struct zdm_hash *out_public_key, bool *out_joining,
                                    struct zdm_error *err) ZDM_CHECKED;

/* The transcript hash that binds requests to this session. */
struct zdm_hash zdm_session_transcript(const struct zdm_session *session);
/* The coordinator's key id and instance out of the welcome (dialler). */
struct zdm_id zdm_session_peer(const struct zdm_session *session);
struct zdm_id zdm_session_peer_instance(const struct zdm_session *session);

/* Seals one frame: out has room for n + ZDM_SEAL_OVERHEAD. n is at most ZDM_FRAME_MAX - ZDM_SEAL_OVERHEAD. Frames must
 * be sent in the order in which they were sealed. ZDM_LIMIT after 2^32 frames: close and dial again. */
enum zdm_code zdm_session_seal(struct zdm_session *session, const void *plain, size_t n, uint8_t *out,
                               struct zdm_error *err) ZDM_CHECKED;
/* Opens one frame: out has room for n - ZDM_SEAL_OVERHEAD; *out_n bytes. ZDM_PROTOCOL closes the session. */
enum zdm_code zdm_session_open(struct zdm_session *session, const void *sealed, size_t n, uint8_t *out, size_t *out_n,
                               struct zdm_error *err) ZDM_CHECKED;

#endif
