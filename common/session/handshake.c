/*
 * handshake.c - hello, welcome, auth: SIGMA-I as protocol 5 lays it out byte by byte.
 *
 *   dialler                                  listener
 *   hello   (ephemeral key)          ->
 *                                    <-      welcome (ephemeral key, who it is, signature over hello and welcome)
 *   auth    (sealed: who it is,      ->
 *            signature over both)
 *
 * The transcript hash covers every byte of hello and welcome and goes into both the session keys and the dialler's
 * signature: a byte that is changed in flight, the role included, gives two sides different keys. The listener's name
 * is under its own signature and the dialler's name under its own and the AEAD, so that nobody can pass off another's
 * half of a handshake as theirs. The listener says nothing but welcome before it has checked auth.
 */
#include "common/session/internal.h"

#include <string.h>

static const uint8_t session_domain[DOMAIN_SIZE] = "zdm-session-v1";
static const uint8_t welcome_label[DOMAIN_SIZE] = "zdm-welcome-v1";
static const uint8_t transcript_label[DOMAIN_SIZE] = "zdm-th-v1";
static const uint8_t auth_label[DOMAIN_SIZE] = "zdm-auth-v1";

enum { AUTH_SIGNED_SIZE = DOMAIN_SIZE + 32 + 16 };

static bool all_zero(const uint8_t *bytes, size_t n)
{
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++)
        any |= bytes[i];
    return any == 0;
}

static bool same(const uint8_t *bytes, const struct zdm_id *id)
{
    return memcmp(bytes, id->bytes, sizeof id->bytes) == 0;
}

/* BLAKE2b-256(label || hello || n bytes of welcome). */
static struct zdm_hash digest(const struct zdm_session *s, const uint8_t label[DOMAIN_SIZE], const uint8_t *welcome,
                              size_t n)
{
    const void *parts[] = {label, s->hello, welcome};
    const size_t lengths[] = {DOMAIN_SIZE, ZDM_HELLO_SIZE, n};
    struct zdm_hash hash;
    s->crypto->hash(s->crypto->self, hash.bytes, sizeof hash.bytes, NULL, parts, lengths, 3);
    return hash;
}

static void make_pair(struct zdm_session *s)
{
    uint8_t seed[32];
    zdm_random_fill(s->random, seed, sizeof seed);
    s->crypto->kx_pair(s->crypto->self, &s->pair, seed);
    s->crypto->wipe(s->crypto->self, seed, sizeof seed);
}

/* Replaces a key of the exchange by one that only these very messages give. */
static void bind_key(const struct zdm_session *s, uint8_t key[32])
{
    const void *part = s->transcript.bytes;
    const size_t length = sizeof s->transcript.bytes;
    uint8_t bound[32];
    s->crypto->hash(s->crypto->self, bound, sizeof bound, key, &part, &length, 1);
    memcpy(key, bound, sizeof bound);
    s->crypto->wipe(s->crypto->self, bound, sizeof bound);
}

/* Transcript and keys out of the whole welcome; false for a low-order key. The own ephemeral key is gone afterwards. */
static bool make_keys(struct zdm_session *s, const uint8_t welcome[ZDM_WELCOME_SIZE], const uint8_t peer_public[32])
{
    bool good = s->crypto->kx_keys(s->crypto->self, &s->keys, &s->pair, peer_public, s->dialler);
    s->crypto->wipe(s->crypto->self, &s->pair, sizeof s->pair);
    if (!good)
        return false;
    s->transcript = digest(s, transcript_label, welcome, ZDM_WELCOME_SIZE);
    bind_key(s, s->keys.send);
    bind_key(s, s->keys.receive);
    return true;
}

void zdm_session_hello(struct zdm_session *session, uint8_t out[ZDM_HELLO_SIZE])
{
    uint8_t *hello = session->hello;
    make_pair(session);
    memset(hello, 0, ZDM_HELLO_SIZE);
    memcpy(hello, session_domain, DOMAIN_SIZE);
    hello[HELLO_ROLE] = (uint8_t)session->role;
    hello[HELLO_VERSION] = ZDM_SESSION_VERSION;
    memcpy(hello + HELLO_FLEET, session->fleet.bytes, sizeof session->fleet.bytes);
    memcpy(hello + HELLO_EPHEMERAL, session->pair.public_key, sizeof session->pair.public_key);
    memcpy(hello + HELLO_WANT, session->want.bytes, sizeof session->want.bytes);
    session->hello_sent = true;
    memcpy(out, hello, ZDM_HELLO_SIZE);
}

/* Why these bytes are no hello for us, or NULL. */
static const char *fault_of_hello(const struct zdm_session *s, const uint8_t *bytes, size_t n)
{
    if (n != ZDM_HELLO_SIZE || memcmp(bytes, session_domain, DOMAIN_SIZE) != 0)
        return "first message is not a hello";
    if (bytes[HELLO_VERSION] != ZDM_SESSION_VERSION)
        return "hello is of another version of the protocol";
    if (bytes[HELLO_ROLE] != ZDM_SESSION_AGENT && bytes[HELLO_ROLE] != ZDM_SESSION_PERSON)
        return "hello claims no known role";
    if (!all_zero(bytes + HELLO_ZERO, HELLO_FLEET - HELLO_ZERO))
        return "hello uses reserved bytes";
    if (!same(bytes + HELLO_FLEET, &s->fleet))
        return "hello is for another fleet";
    if (!all_zero(bytes + HELLO_WANT, sizeof s->own->id.bytes) && !same(bytes + HELLO_WANT, &s->own->id))
        return "hello is for another coordinator";
    return NULL;
}

/* Everything of the welcome but what the dialler cannot know yet; signed. */
static void write_welcome(struct zdm_session *s, uint8_t out[ZDM_WELCOME_SIZE])
{
    memset(out, 0, ZDM_WELCOME_SIZE);
    memcpy(out, session_domain, DOMAIN_SIZE);
    memcpy(out + WELCOME_KEY_ID, s->own->id.bytes, sizeof s->own->id.bytes);
    memcpy(out + WELCOME_EPHEMERAL, s->pair.public_key, sizeof s->pair.public_key);
    memcpy(out + WELCOME_INSTANCE, s->instance.bytes, sizeof s->instance.bytes);
    struct zdm_hash hash = digest(s, welcome_label, out, WELCOME_SIGNATURE);
    s->crypto->sign(s->crypto->self, out + WELCOME_SIGNATURE, s->own, hash.bytes, sizeof hash.bytes);
}

enum zdm_code zdm_session_take_hello(struct zdm_session *session, const uint8_t *bytes, size_t n,
                                     uint8_t out_welcome[ZDM_WELCOME_SIZE], struct zdm_error *err)
{
    uint8_t welcome[ZDM_WELCOME_SIZE];
    if (session->dialler || session->state != ZDM_SESSION_NEW)
        return zdm_session_fail(session, ZDM_PROTOCOL, "hello came out of turn", err);
    const char *fault = fault_of_hello(session, bytes, n);
    if (fault != NULL)
        return zdm_session_fail(session, ZDM_PROTOCOL, fault, err);
    memcpy(session->hello, bytes, ZDM_HELLO_SIZE);
    session->role = (enum zdm_session_role)bytes[HELLO_ROLE];
    make_pair(session);
    write_welcome(session, welcome);
    if (!make_keys(session, welcome, bytes + HELLO_EPHEMERAL))
        return zdm_session_fail(session, ZDM_PROTOCOL, "hello has a low-order key", err);
    session->state = ZDM_SESSION_WELCOMED;
    memcpy(out_welcome, welcome, sizeof welcome);
    return ZDM_OK;
}

static const char *fault_of_welcome(const struct zdm_session *s, const uint8_t *bytes, size_t n)
{
    if (n != ZDM_WELCOME_SIZE || memcmp(bytes, session_domain, DOMAIN_SIZE) != 0)
        return "answer to hello is not a welcome";
    if (!all_zero(bytes + WELCOME_ZERO, WELCOME_SIGNATURE - WELCOME_ZERO))
        return "welcome uses reserved bytes";
    if (!zdm_id_is_zero(&s->want) && !same(bytes + WELCOME_KEY_ID, &s->want))
        return "welcome comes from another coordinator than the one wanted";
    return NULL;
}

/* Does the coordinator that the welcome names exist for us, and did it sign? Closes the session when not. */
static enum zdm_code check_peer(struct zdm_session *s, zdm_session_find_key find, void *ctx, struct zdm_error *err)
{
    struct zdm_hash key;
    if (!find(ctx, &s->peer, &key))
        return zdm_session_fail(s, ZDM_AUTH, "coordinator is not in the trust file", err);
    struct zdm_id id = zdm_key_id(s->crypto, &key);
    if (!zdm_id_equal(&id, &s->peer) || !s->crypto->verify(s->crypto->self, s->welcome_signature, &key,
                                                           s->welcome_digest.bytes, sizeof s->welcome_digest.bytes))
        return zdm_session_fail(s, ZDM_AUTH, "coordinator could not prove who it is", err);
    s->proven = true;
    return ZDM_OK;
}

/* What the dialler signs: label || transcript || key id. */
static void auth_signed_bytes(const struct zdm_session *s, const struct zdm_id *key_id, uint8_t out[AUTH_SIGNED_SIZE])
{
    memcpy(out, auth_label, DOMAIN_SIZE);
    memcpy(out + DOMAIN_SIZE, s->transcript.bytes, sizeof s->transcript.bytes);
    memcpy(out + DOMAIN_SIZE + sizeof s->transcript.bytes, key_id->bytes, sizeof key_id->bytes);
}

static void write_auth(struct zdm_session *s, uint8_t out[ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD])
{
    uint8_t auth[ZDM_AUTH_SIZE] = {0}, signed_bytes[AUTH_SIGNED_SIZE];
    memcpy(auth + AUTH_KEY_ID, s->own->id.bytes, sizeof s->own->id.bytes);
    if (s->joining)
        memcpy(auth + AUTH_PUBLIC_KEY, s->own->public_key.bytes, sizeof s->own->public_key.bytes);
    auth_signed_bytes(s, &s->own->id, signed_bytes);
    s->crypto->sign(s->crypto->self, auth + AUTH_SIGNATURE, s->own, signed_bytes, sizeof signed_bytes);
    s->crypto->seal(s->crypto->self, out, auth, sizeof auth, s->sent++, s->keys.send);
}

enum zdm_code zdm_session_take_welcome(struct zdm_session *session, const uint8_t *bytes, size_t n,
                                       zdm_session_find_key find, void *ctx,
                                       uint8_t out_auth[ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD], struct zdm_error *err)
{
    if (!session->dialler || session->state != ZDM_SESSION_NEW || !session->hello_sent)
        return zdm_session_fail(session, ZDM_PROTOCOL, "welcome came out of turn", err);
    const char *fault = fault_of_welcome(session, bytes, n);
    if (fault != NULL)
        return zdm_session_fail(session, ZDM_PROTOCOL, fault, err);
    memcpy(session->peer.bytes, bytes + WELCOME_KEY_ID, sizeof session->peer.bytes);
    memcpy(session->instance.bytes, bytes + WELCOME_INSTANCE, sizeof session->instance.bytes);
    memcpy(session->welcome_signature, bytes + WELCOME_SIGNATURE, sizeof session->welcome_signature);
    session->welcome_digest = digest(session, welcome_label, bytes, WELCOME_SIGNATURE);
    if (!session->joining) {
        enum zdm_code code = check_peer(session, find, ctx, err);
        if (code != ZDM_OK)
            return code;
    }
    if (!make_keys(session, bytes, bytes + WELCOME_EPHEMERAL))
        return zdm_session_fail(session, ZDM_PROTOCOL, "welcome has a low-order key", err);
    write_auth(session, out_auth);
    session->state = ZDM_SESSION_OPEN;
    return ZDM_OK;
}

enum zdm_code zdm_session_confirm_peer(struct zdm_session *session, zdm_session_find_key find, void *ctx,
                                       struct zdm_error *err)
{
    if (session->state != ZDM_SESSION_OPEN || !session->dialler)
        return zdm_error_set(err, ZDM_CLOSED, "session is not open");
    return session->proven ? ZDM_OK : check_peer(session, find, ctx, err);
}

/* The key that auth is to be checked with: the known one, or the one it brings along. */
static enum zdm_code auth_key(struct zdm_session *s, const uint8_t auth[ZDM_AUTH_SIZE], const struct zdm_id *key_id,
                              zdm_session_find_key find, void *ctx, struct zdm_hash *out_key, bool *out_joining,
                              struct zdm_error *err)
{
    struct zdm_hash brought, known;
    memcpy(brought.bytes, auth + AUTH_PUBLIC_KEY, sizeof brought.bytes);
    bool brings = !zdm_hash_is_zero(&brought);
    bool knows = find(ctx, key_id, &known);
    if (!knows && !brings)
        return zdm_session_fail(s, ZDM_AUTH, "key is not known here", err);
    if (knows && brings && !zdm_hash_equal(&brought, &known))
        return zdm_session_fail(s, ZDM_AUTH, "auth brings another key than the known one", err);
    const struct zdm_hash *key = knows ? &known : &brought;
    struct zdm_id id = zdm_key_id(s->crypto, key);
    if (!zdm_id_equal(&id, key_id))
        return zdm_session_fail(s, ZDM_AUTH, "key id in auth does not belong to its key", err);
    *out_key = *key;
    *out_joining = !knows;
    return ZDM_OK;
}

enum zdm_code zdm_session_take_auth(struct zdm_session *session, const uint8_t *bytes, size_t n,
                                    zdm_session_find_key find, void *ctx, struct zdm_id *out_key_id,
                                    struct zdm_hash *out_public_key, bool *out_joining, struct zdm_error *err)
{
    uint8_t auth[ZDM_AUTH_SIZE], signed_bytes[AUTH_SIGNED_SIZE];
    struct zdm_id key_id;
    struct zdm_hash key;
    bool joining = false;
    if (session->state != ZDM_SESSION_WELCOMED)
        return zdm_session_fail(session, ZDM_PROTOCOL, "auth came out of turn", err);
    if (n != ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD ||
        !session->crypto->open(session->crypto->self, auth, bytes, n, session->received, session->keys.receive))
        return zdm_session_fail(session, ZDM_PROTOCOL, "auth could not be opened", err);
    session->received++;
    memcpy(key_id.bytes, auth + AUTH_KEY_ID, sizeof key_id.bytes);
    enum zdm_code code = auth_key(session, auth, &key_id, find, ctx, &key, &joining, err);
    if (code != ZDM_OK)
        return code;
    auth_signed_bytes(session, &key_id, signed_bytes);
    if (!session->crypto->verify(session->crypto->self, auth + AUTH_SIGNATURE, &key, signed_bytes, sizeof signed_bytes))
        return zdm_session_fail(session, ZDM_AUTH, "peer could not prove who it is", err);
    session->state = ZDM_SESSION_OPEN;
    session->proven = true;
    *out_key_id = key_id;
    *out_public_key = key;
    *out_joining = joining;
    return ZDM_OK;
}
