/*
 * session.c - the life of a session and its sealed frames. The handshake is in handshake.c, the contract in session.h.
 *
 * Invariants: keys exist only while WELCOMED or OPEN; a counter is used once; a frame that does not open closes the
 * session, so that a peer has exactly one try at anything.
 */
#include "common/session/internal.h"

#include <stdlib.h>

#include "common/base/limits.h"

static void wipe(const struct zdm_session *s, void *bytes, size_t n)
{
    s->crypto->wipe(s->crypto->self, bytes, n);
}

enum zdm_code zdm_session_fail(struct zdm_session *s, enum zdm_code code, const char *why, struct zdm_error *err)
{
    s->state = ZDM_SESSION_CLOSED;
    s->proven = false;
    wipe(s, &s->pair, sizeof s->pair);
    wipe(s, &s->keys, sizeof s->keys);
    return zdm_error_set(err, code, "%s", why);
}

static struct zdm_session *new_session(const struct zdm_crypto *crypto, const struct zdm_random *random,
                                       const struct zdm_signing_key *own, const struct zdm_id *fleet)
{
    struct zdm_session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->crypto = crypto;
    s->random = random;
    s->own = own;
    s->fleet = *fleet;
    s->state = ZDM_SESSION_NEW;
    return s;
}

struct zdm_session *zdm_session_dial(const struct zdm_crypto *crypto, const struct zdm_random *random,
                                     enum zdm_session_role role, const struct zdm_signing_key *own,
                                     const struct zdm_id *fleet, const struct zdm_id *want, bool joining)
{
    struct zdm_session *s = new_session(crypto, random, own, fleet);
    if (s == NULL)
        return NULL;
    s->dialler = true;
    s->role = role;
    s->want = *want;
    s->joining = joining;
    return s;
}

struct zdm_session *zdm_session_listen(const struct zdm_crypto *crypto, const struct zdm_random *random,
                                       const struct zdm_signing_key *own, const struct zdm_id *fleet,
                                       const struct zdm_id *instance)
{
    struct zdm_session *s = new_session(crypto, random, own, fleet);
    if (s != NULL)
        s->instance = *instance;
    return s;
}

void zdm_session_free(struct zdm_session *session)
{
    if (session == NULL)
        return;
    wipe(session, session, sizeof *session);
    free(session);
}

enum zdm_session_state zdm_session_state_of(const struct zdm_session *session)
{
    return session->state;
}

enum zdm_session_role zdm_session_role_of(const struct zdm_session *session)
{
    return session->role;
}

bool zdm_session_peer_is_proven(const struct zdm_session *session)
{
    return session->proven;
}

struct zdm_hash zdm_session_transcript(const struct zdm_session *session)
{
    return session->transcript;
}

struct zdm_id zdm_session_peer(const struct zdm_session *session)
{
    return session->peer;
}

struct zdm_id zdm_session_peer_instance(const struct zdm_session *session)
{
    return session->instance;
}

/* Before it is open a session neither seals nor opens anything but the handshake. */
static enum zdm_code check_open(struct zdm_session *s, struct zdm_error *err)
{
    if (s->state == ZDM_SESSION_OPEN)
        return ZDM_OK;
    if (s->state == ZDM_SESSION_CLOSED)
        return zdm_error_set(err, ZDM_CLOSED, "session is closed");
    return zdm_error_set(err, ZDM_BUG, "session is not open yet");
}

enum zdm_code zdm_session_seal(struct zdm_session *session, const void *plain, size_t n, uint8_t *out,
                               struct zdm_error *err)
{
    enum zdm_code code = check_open(session, err);
    if (code != ZDM_OK)
        return code;
    if (n > ZDM_FRAME_MAX - ZDM_SEAL_OVERHEAD)
        return zdm_error_set(err, ZDM_INVALID, "frame of %zu bytes is too large", n);
    if (session->sent >= ZDM_SESSION_FRAMES_MAX)
        return zdm_error_set(err, ZDM_LIMIT, "session has carried all the frames that its key may seal");
    session->crypto->seal(session->crypto->self, out, plain, n, session->sent, session->keys.send);
    session->sent++;
    return ZDM_OK;
}

enum zdm_code zdm_session_open(struct zdm_session *session, const void *sealed, size_t n, uint8_t *out, size_t *out_n,
                               struct zdm_error *err)
{
    enum zdm_code code = check_open(session, err);
    if (code == ZDM_BUG)
        return zdm_session_fail(session, ZDM_PROTOCOL, "frame came before the handshake was done", err);
    if (code != ZDM_OK)
        return code;
    if (n < ZDM_SEAL_OVERHEAD || n > ZDM_FRAME_MAX)
        return zdm_session_fail(session, ZDM_PROTOCOL, "sealed frame has a wrong length", err);
    if (session->received >= ZDM_SESSION_FRAMES_MAX)
        return zdm_session_fail(session, ZDM_PROTOCOL, "peer sent more frames than its key may seal", err);
    if (!session->crypto->open(session->crypto->self, out, sealed, n, session->received, session->keys.receive))
        return zdm_session_fail(session, ZDM_PROTOCOL, "frame could not be opened", err);
    session->received++;
    *out_n = n - ZDM_SEAL_OVERHEAD;
    return ZDM_OK;
}
