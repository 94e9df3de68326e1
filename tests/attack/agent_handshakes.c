/*
 * agent_handshakes.c - whom the agent dials is not who it should be: welcomes that are garbage, cut, changed, recorded,
 * signed by others; and, with the real key, frames that are sealed wrongly, repeated, reflected, or that an agent is
 * never sent. Every one of them must end the connection.
 *
 * After a failure the agent waits before it dials again, so it is started anew for each of them.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/os/crypto.h"
#include "common/session/internal.h"
#include "tests/attack/attack.h"

enum { DIAL_MS = 10000, CLOSE_MS = 5000 };

enum welcome_flaw {
    WELCOME_GARBAGE,
    WELCOME_CUT,
    WELCOME_CHANGED,
    WELCOME_LOW_ORDER,
    WELCOME_STRANGER,
    WELCOME_PERSON,
    WELCOME_AGENT,
    WELCOME_IN_ITS_NAME,
    WELCOME_OTHER_FLEET,
    WELCOME_REFLECTED,
    WELCOME_RECORDED,
    WELCOME_FLAWS
};

static uint8_t recorded[ZDM_WELCOME_SIZE];

/* A new agent process, and its hello. */
static void dialled(struct world *w, int listener, struct wire *wire, uint8_t hello[ZDM_FRAME_MAX], size_t *n)
{
    world_kill(&w->agent_pid);
    world_start_agent(w);
    if (!wire_accept(wire, listener, DIAL_MS) || wire_recv(wire, DIAL_MS, hello, n) != WIRE_FRAME)
        world_fail("the agent does not dial");
}

static void expect_end(struct wire *wire, const char *class_name, int flaw)
{
    count_sent(class_name, 1);
    if (!wire_is_closed(wire, CLOSE_MS))
        count_accepted(class_name, "flaw %d: the agent stays", flaw);
    wire_close(wire);
}

static const struct zdm_signing_key *signer_of(const struct world *w, enum welcome_flaw flaw)
{
    if (flaw == WELCOME_STRANGER || flaw == WELCOME_IN_ITS_NAME)
        return &w->stranger;
    if (flaw == WELCOME_PERSON)
        return &w->olga;
    return flaw == WELCOME_AGENT ? &w->own_agent : &w->coordinator;
}

/* What a listener with that key answers to this hello. */
static void make_welcome(struct world *w, const struct zdm_signing_key *key, const uint8_t hello[ZDM_HELLO_SIZE],
                         uint8_t out[ZDM_WELCOME_SIZE])
{
    struct zdm_id instance = world_nonce(w);
    struct zdm_session *s = zdm_session_listen(w->crypto, zdm_random_system(), key, &w->fleet, &instance);
    struct zdm_error err;
    if (s == NULL || zdm_session_take_hello(s, hello, ZDM_HELLO_SIZE, out, &err) != ZDM_OK)
        world_fail("no welcome can be made");
    zdm_session_free(s);
}

static size_t spoil_welcome(struct world *w, enum welcome_flaw flaw, const uint8_t hello[ZDM_HELLO_SIZE],
                            uint8_t welcome[ZDM_WELCOME_SIZE])
{
    switch (flaw) {
    case WELCOME_GARBAGE:
        world_bytes(w, welcome, ZDM_WELCOME_SIZE);
        break;
    case WELCOME_CUT:
        return 1 + world_below(w, ZDM_WELCOME_SIZE - 1);
    case WELCOME_CHANGED:
        welcome[world_below(w, ZDM_WELCOME_SIZE)] ^= (uint8_t)(1u << world_below(w, 8));
        break;
    case WELCOME_LOW_ORDER:
        memset(welcome + WELCOME_EPHEMERAL, 0, 32);
        break;
    case WELCOME_IN_ITS_NAME:
        memcpy(welcome + WELCOME_KEY_ID, w->coordinator.id.bytes, 16);
        break;
    case WELCOME_OTHER_FLEET:
        world_bytes(w, welcome + WELCOME_INSTANCE, 16);
        break;
    case WELCOME_REFLECTED:
        memcpy(welcome, hello, ZDM_HELLO_SIZE);
        return ZDM_HELLO_SIZE;
    case WELCOME_RECORDED:
        memcpy(welcome, recorded, ZDM_WELCOME_SIZE);
        break;
    case WELCOME_STRANGER:
    case WELCOME_PERSON:
    case WELCOME_AGENT:
    case WELCOME_FLAWS:
        break;
    }
    return ZDM_WELCOME_SIZE;
}

static void send_welcomes(struct world *w, int listener, unsigned rounds)
{
    static const char class_name[] = "agent: welcomes of others, changed, cut, recorded";
    uint8_t hello[ZDM_FRAME_MAX], welcome[ZDM_WELCOME_SIZE];
    struct wire wire;
    size_t n;
    dialled(w, listener, &wire, hello, &n);
    make_welcome(w, &w->coordinator, hello, recorded);
    wire_close(&wire);
    for (unsigned i = 0; i < rounds * WELCOME_FLAWS; i++) {
        enum welcome_flaw flaw = (enum welcome_flaw)(i % WELCOME_FLAWS);
        dialled(w, listener, &wire, hello, &n);
        make_welcome(w, signer_of(w, flaw), hello, welcome);
        n = spoil_welcome(w, flaw, hello, welcome);
        (void)wire_send(&wire, welcome, n);
        expect_end(&wire, class_name, (int)flaw);
    }
}

/* ---- In a session with the real key ---- */

enum frame_flaw {
    FRAME_GARBAGE,
    FRAME_CHANGED,
    FRAME_CUT,
    FRAME_TWICE,
    FRAME_SKIPPED,
    FRAME_REFLECTED,
    FRAME_NONE,
    FRAME_FLAWS
};

static void open_session(struct world *w, int listener, struct wire *wire)
{
    struct zdm_id instance = world_nonce(w), who;
    world_kill(&w->agent_pid);
    world_start_agent(w);
    if (!wire_accept(wire, listener, DIAL_MS) || !wire_greet(wire, &w->coordinator, &w->fleet, &instance, &who))
        world_fail("the agent does not dial");
}

static void send_bad_frame(struct world *w, struct wire *wire, enum frame_flaw flaw)
{
    const struct zdm_frame ack = {.type = ZDM_FRAME_ACK, .u.ack = {.number = 1, .lease_ms = 1000}};
    struct zdm_buffer plain = ZDM_BUFFER_INIT;
    uint8_t sealed[ZDM_FRAME_MAX];
    size_t n;
    zdm_frame_encode(&ack, &plain);
    n = plain.len + ZDM_SEAL_OVERHEAD;
    w->crypto->seal(w->crypto->self, sealed, plain.data, plain.len, flaw == FRAME_SKIPPED ? 3 : 0,
                    wire->session->keys.send);
    if (flaw == FRAME_GARBAGE)
        world_bytes(w, sealed, n);
    if (flaw == FRAME_CHANGED)
        sealed[world_below(w, (uint32_t)n)] ^= (uint8_t)(1u << world_below(w, 8));
    if (flaw == FRAME_CUT)
        n = 1 + world_below(w, (uint32_t)n - 1);
    if (flaw == FRAME_REFLECTED && wire_recv(wire, DIAL_MS, sealed, &n) != WIRE_FRAME)
        world_fail("the agent says nothing");
    if (flaw == FRAME_NONE) {
        const uint8_t unknown[] = {0xfa, 0x7f, 0x01, 0x00};
        w->crypto->seal(w->crypto->self, sealed, unknown, sizeof unknown, 0, wire->session->keys.send);
        n = sizeof unknown + ZDM_SEAL_OVERHEAD;
    }
    for (unsigned i = 0; i < (flaw == FRAME_TWICE ? 2u : 1u); i++)
        (void)wire_send(wire, sealed, n);
    zdm_buffer_fini(&plain);
}

static void send_bad_frames(struct world *w, int listener, unsigned rounds)
{
    static const char class_name[] = "agent: sealed frames, changed, cut, repeated, reflected";
    for (unsigned i = 0; i < rounds * FRAME_FLAWS; i++) {
        struct wire wire;
        open_session(w, listener, &wire);
        send_bad_frame(w, &wire, (enum frame_flaw)(i % FRAME_FLAWS));
        expect_end(&wire, class_name, (int)(i % FRAME_FLAWS));
    }
}

static void send_wrong_types(struct world *w, int listener)
{
    static const char class_name[] = "agent: frames that an agent is never sent";
    static const enum zdm_frame_type types[] = {1, 2, 3, 4, 15, 20, 21, 22, 23, 30, 31, 32};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct zdm_frame frame = {.type = types[i]};
        struct wire wire;
        if (types[i] == ZDM_FRAME_JOINED)
            frame.u.joined.enrolment = w->plans[PLAN_ATTACK].envelope;
        if (types[i] == ZDM_FRAME_REQUEST)
            frame.u.request = w->plans[PLAN_ATTACK].envelope;
        if (types[i] == ZDM_FRAME_QUERY || types[i] == ZDM_FRAME_WATCH)
            frame.u.query.kind = ZDM_QUERY_STATUS;
        open_session(w, listener, &wire);
        (void)wire_seal(&wire, &frame);
        expect_end(&wire, class_name, (int)types[i]);
    }
}

void attack_agent_handshakes(struct world *w, unsigned n)
{
    int listener = wire_listen(w->lying_port);
    char *before = world_fingerprint(w);
    unsigned rounds = 1 + n / 20;
    send_welcomes(w, listener, rounds);
    send_bad_frames(w, listener, rounds);
    send_wrong_types(w, listener);
    char *now = world_fingerprint(w);
    count_sent("agent: handshakes, the database", 0);
    if (strcmp(before, now) != 0)
        count_accepted("agent: handshakes, the database", "it has changed");
    free(before);
    free(now);
    world_kill(&w->agent_pid);
    close(listener);
}
