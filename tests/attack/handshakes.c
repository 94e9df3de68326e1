/*
 * handshakes.c - strangers at the coordinator's door: garbage, cut and changed handshakes, low-order keys, recordings.
 *
 * What comes back to a stranger is at most one welcome, and never a sealed frame: whoever gets one was let in.
 */
#include <string.h>

#include "common/os/crypto.h"
#include "common/session/internal.h"
#include "tests/attack/attack.h"

enum { CLOSE_MS = 4000, WELCOME_MS = 4000, LOW_ORDER_POINTS = 7 };

/* Points of X25519 whose multiples are known: a peer that takes one agrees on a key that everybody knows. */
static const uint8_t low_order[LOW_ORDER_POINTS][32] = {
    {0},
    {1},
    {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
     0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
    {0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
     0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

static void dial(struct world *w, struct wire *wire)
{
    if (!wire_connect(wire, w->port))
        world_fail("the coordinator does not listen any more");
}

/* Lets the coordinator finish with this connection: a stranger who got more than a welcome was let in. */
static void expect_door_shut(struct wire *wire, const char *class_name, bool must_close)
{
    uint8_t bytes[ZDM_FRAME_MAX];
    size_t n, frames = 0;
    enum wire_got got;
    while ((got = wire_recv(wire, must_close ? CLOSE_MS : 0, bytes, &n)) == WIRE_FRAME)
        if (++frames > 1 || n != ZDM_WELCOME_SIZE)
            count_accepted(class_name, "a frame of %zu bytes came back", n);
    if (must_close && got != WIRE_CLOSED)
        count_accepted(class_name, "the connection stays open");
    wire_close(wire);
}

/* ---- Bytes ---- */

static void send_garbage(struct world *w, unsigned n)
{
    static const char class_name[] = "stranger: random bytes";
    uint8_t bytes[600];
    for (unsigned i = 0; i < n; i++) {
        struct wire wire;
        size_t size = 1 + world_below(w, sizeof bytes);
        dial(w, &wire);
        world_bytes(w, bytes, size);
        (void)(i % 2 == 0 ? wire_put(&wire, bytes, size) : wire_send(&wire, bytes, size));
        count_sent(class_name, 1);
        expect_door_shut(&wire, class_name, i % 2 == 1 && size != ZDM_HELLO_SIZE);
    }
}

static void send_lengths(struct world *w)
{
    static const char class_name[] = "stranger: impossible lengths";
    static const uint8_t headers[][4] = {
        {0, 0, 0, 0}, {0, 1, 0, 1}, {0xff, 0xff, 0xff, 0xff}, {0x7f, 0xff, 0xff, 0xff}};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct wire wire;
        dial(w, &wire);
        (void)wire_put(&wire, headers[i], sizeof headers[i]);
        count_sent(class_name, 1);
        expect_door_shut(&wire, class_name, true);
    }
}

/* ---- Hello ---- */

static struct zdm_session *new_session(const struct world *w, const struct zdm_signing_key *key,
                                       enum zdm_session_role role)
{
    static const struct zdm_id any;
    struct zdm_session *session = zdm_session_dial(w->crypto, zdm_random_system(), role, key, &w->fleet, &any, false);
    if (session == NULL)
        world_fail("out of memory");
    return session;
}

static bool is_ephemeral(size_t at)
{
    return at >= HELLO_EPHEMERAL && at < HELLO_EPHEMERAL + 32;
}

/* Another ephemeral key, or another role, may be what somebody else would say: then the auth must fail. */
static void send_mutated_hello(struct world *w, unsigned n)
{
    static const char class_name[] = "stranger: hello, changed or cut";
    for (unsigned i = 0; i < n; i++) {
        uint8_t hello[ZDM_HELLO_SIZE];
        struct wire wire;
        size_t at = world_below(w, ZDM_HELLO_SIZE), size = i % 8 == 0 ? at : ZDM_HELLO_SIZE;
        dial(w, &wire);
        wire.session = new_session(w, &w->olga, ZDM_SESSION_PERSON);
        zdm_session_hello(wire.session, hello);
        hello[at] ^= (uint8_t)(1 + world_below(w, 255));
        (void)wire_send(&wire, hello, size);
        count_sent(class_name, 1);
        bool may_answer = size == ZDM_HELLO_SIZE && (is_ephemeral(at) || at == HELLO_ROLE);
        expect_door_shut(&wire, class_name, !may_answer && size > 0);
    }
}

static void send_low_order(struct world *w)
{
    static const char class_name[] = "stranger: low-order keys";
    for (size_t i = 0; i < LOW_ORDER_POINTS; i++) {
        uint8_t hello[ZDM_HELLO_SIZE], bytes[ZDM_FRAME_MAX];
        struct wire wire;
        size_t n;
        dial(w, &wire);
        wire.session = new_session(w, &w->olga, ZDM_SESSION_PERSON);
        zdm_session_hello(wire.session, hello);
        memcpy(hello + HELLO_EPHEMERAL, low_order[i], 32);
        (void)wire_send(&wire, hello, sizeof hello);
        count_sent(class_name, 1);
        if (wire_recv(&wire, WELCOME_MS, bytes, &n) != WIRE_CLOSED)
            count_accepted(class_name, "a key that everybody knows was agreed on");
        wire_close(&wire);
    }
}

/* ---- Auth ---- */

enum auth_flaw {
    AUTH_BITS,
    AUTH_CUT,
    AUTH_TWICE,
    AUTH_STRANGER,
    AUTH_OTHER_KEY_ID,
    AUTH_UNSIGNED,
    AUTH_WRONG_COUNTER,
    AUTH_WITH_KEY,
    AUTH_FLAWS
};

/* A plain auth with somebody's key id, signed by another. */
static void seal_auth(struct world *w, struct wire *wire, const struct zdm_signing_key *claims,
                      const struct zdm_signing_key *signs, uint64_t counter,
                      uint8_t out[ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD])
{
    uint8_t plain[ZDM_AUTH_SIZE] = {0}, text[16 + 32 + 16] = "zdm-auth-v1";
    memcpy(plain + AUTH_KEY_ID, claims->id.bytes, 16);
    memcpy(text + 16, wire->session->transcript.bytes, 32);
    memcpy(text + 48, claims->id.bytes, 16);
    if (signs != NULL)
        w->crypto->sign(w->crypto->self, plain + AUTH_SIGNATURE, signs, text, sizeof text);
    w->crypto->seal(w->crypto->self, out, plain, sizeof plain, counter, wire->session->keys.send);
}

static size_t spoil_auth(struct world *w, struct wire *wire, enum auth_flaw flaw,
                         uint8_t auth[ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD])
{
    size_t n = ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD;
    uint8_t plain[ZDM_AUTH_SIZE];
    switch (flaw) {
    case AUTH_BITS:
        auth[world_below(w, (uint32_t)n)] ^= (uint8_t)(1u << world_below(w, 8));
        break;
    case AUTH_CUT:
        return 1 + world_below(w, (uint32_t)n - 1);
    case AUTH_STRANGER:
        seal_auth(w, wire, &w->stranger, &w->stranger, 0, auth);
        break;
    case AUTH_OTHER_KEY_ID:
        seal_auth(w, wire, &w->olga, &w->stranger, 0, auth);
        break;
    case AUTH_UNSIGNED:
        seal_auth(w, wire, &w->olga, NULL, 0, auth);
        break;
    case AUTH_WRONG_COUNTER:
        seal_auth(w, wire, &w->olga, &w->olga, 1 + world_below(w, 1000), auth);
        break;
    case AUTH_WITH_KEY:
        if (!w->crypto->open(w->crypto->self, plain, auth, n, 0, wire->session->keys.send))
            world_fail("own auth does not open");
        memcpy(plain + AUTH_PUBLIC_KEY, w->stranger.public_key.bytes, 32);
        plain[AUTH_SIGNATURE]++;
        w->crypto->seal(w->crypto->self, auth, plain, sizeof plain, 0, wire->session->keys.send);
        break;
    case AUTH_TWICE:
    case AUTH_FLAWS:
        break;
    }
    return n;
}

/* Hello and welcome by the rules, with olga's key; the auth is in `auth`, not sent. */
static bool shake_half(struct world *w, struct wire *wire, uint8_t auth[ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD])
{
    struct zdm_trust_finder finder = {.crypto = w->crypto, .trust = world_trust(w)};
    uint8_t hello[ZDM_HELLO_SIZE], bytes[ZDM_FRAME_MAX];
    struct zdm_error err;
    size_t n;
    dial(w, wire);
    wire->session = new_session(w, &w->olga, ZDM_SESSION_PERSON);
    zdm_session_hello(wire->session, hello);
    return wire_send(wire, hello, sizeof hello) && wire_recv(wire, WELCOME_MS, bytes, &n) == WIRE_FRAME &&
           zdm_session_take_welcome(wire->session, bytes, n, zdm_trust_find_coordinator, &finder, auth, &err) == ZDM_OK;
}

static void send_auths(struct world *w, unsigned n)
{
    static const char class_name[] = "stranger: auth, changed, cut, unsigned, of another key";
    for (unsigned i = 0; i < n; i++) {
        uint8_t auth[ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD];
        struct wire wire;
        enum auth_flaw flaw = (enum auth_flaw)(i % AUTH_FLAWS);
        if (flaw == AUTH_TWICE)
            continue; /* below: that one is let in first */
        if (!shake_half(w, &wire, auth))
            world_fail("no welcome");
        (void)wire_send(&wire, auth, spoil_auth(w, &wire, flaw, auth));
        count_sent(class_name, 1);
        expect_door_shut(&wire, class_name, true);
    }
}

/* ---- Recordings ---- */

void record_session(struct world *w, struct recording *out)
{
    const struct zdm_frame query = {.type = ZDM_FRAME_QUERY, .u.query = {.kind = ZDM_QUERY_VERSION, .id = 7}};
    struct zdm_trust_finder finder = {.crypto = w->crypto, .trust = world_trust(w)};
    struct zdm_buffer plain = ZDM_BUFFER_INIT;
    uint8_t bytes[ZDM_FRAME_MAX];
    struct zdm_error err;
    struct wire wire;
    size_t n;
    dial(w, &wire);
    wire.session = new_session(w, &w->olga, ZDM_SESSION_PERSON);
    zdm_session_hello(wire.session, out->bytes[0]);
    out->n[0] = ZDM_HELLO_SIZE;
    out->n[1] = ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD;
    if (!wire_send(&wire, out->bytes[0], out->n[0]) || wire_recv(&wire, WELCOME_MS, bytes, &n) != WIRE_FRAME ||
        zdm_session_take_welcome(wire.session, bytes, n, zdm_trust_find_coordinator, &finder, out->bytes[1], &err) !=
            ZDM_OK)
        world_fail("nothing to record");
    zdm_frame_encode(&query, &plain);
    if (zdm_session_seal(wire.session, plain.data, plain.len, out->bytes[2], &err) != ZDM_OK)
        world_fail("%s", err.message);
    out->n[2] = plain.len + ZDM_SEAL_OVERHEAD;
    out->frames = 3;
    bool sent = wire_send(&wire, out->bytes[1], out->n[1]) && wire_send(&wire, out->bytes[2], out->n[2]);
    count_control("recorded sessions were good", sent && wire_recv(&wire, WELCOME_MS, bytes, &n) == WIRE_FRAME,
                  "record");
    zdm_buffer_fini(&plain);
    wire_close(&wire);
}

/* Frame by frame, as they were; then the sealed ones without the handshake; then in another order. */
static void replay_one(struct world *w, const struct recording *r, unsigned way)
{
    static const char class_name[] = "stranger: recorded session again";
    struct wire wire;
    size_t first = way % 3 == 1 ? 1 : 0;
    dial(w, &wire);
    for (size_t i = first; i < r->frames; i++) {
        size_t at = way % 3 == 2 ? r->frames - 1 - i : i;
        (void)wire_send(&wire, r->bytes[at], r->n[at]);
        count_sent(class_name, 1);
    }
    expect_door_shut(&wire, class_name, true);
}

/* The coordinator's own words back to it. */
static void reflect(struct world *w)
{
    static const char class_name[] = "stranger: coordinator's frames reflected";
    uint8_t auth[ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD], hello[ZDM_HELLO_SIZE], bytes[ZDM_FRAME_MAX];
    struct wire wire;
    size_t n;
    dial(w, &wire);
    wire.session = new_session(w, &w->olga, ZDM_SESSION_PERSON);
    zdm_session_hello(wire.session, hello);
    if (!wire_send(&wire, hello, sizeof hello) || wire_recv(&wire, WELCOME_MS, bytes, &n) != WIRE_FRAME)
        world_fail("no welcome");
    (void)wire_send(&wire, bytes, n);
    count_sent(class_name, 1);
    expect_door_shut(&wire, class_name, true);
    if (!shake_half(w, &wire, auth) || !wire_send(&wire, auth, sizeof auth) ||
        wire_recv(&wire, WELCOME_MS, bytes, &n) != WIRE_FRAME)
        world_fail("no session");
    (void)wire_send(&wire, bytes, n); /* sealed in the other direction, with its counter */
    count_sent(class_name, 1);
    if (!wire_is_closed(&wire, CLOSE_MS))
        count_accepted(class_name, "a reflected frame was taken");
    wire_close(&wire);
}

void attack_handshakes(struct world *w, unsigned n)
{
    static struct recording recording;
    uint64_t before = world_position(w);
    record_session(w, &recording);
    send_garbage(w, n);
    send_lengths(w);
    send_mutated_hello(w, n);
    send_low_order(w);
    send_auths(w, n);
    for (unsigned i = 0; i < n / 4; i++)
        replay_one(w, &recording, i);
    for (unsigned i = 0; i < n / 8; i++)
        reflect(w);
    if (world_position(w) != before)
        count_accepted("stranger: the log", "it grew from %lu to %lu", before, world_position(w));
}
