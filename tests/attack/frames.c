/*
 * frames.c - inside a session that is somebody's right: frames sealed wrongly, frames that this sender may not send,
 * and bytes that are no frame. Every one of them closes the session without a word.
 */
#include <string.h>

#include "common/os/crypto.h"
#include "common/session/internal.h"
#include "tests/attack/attack.h"

enum { CLOSE_MS = 4000 };

enum insider { INSIDER_VIEWER, INSIDER_OPERATOR, INSIDER_APPROVER, INSIDER_AGENT, INSIDER_JOINER, INSIDERS };

static void dial_as(struct world *w, struct wire *wire, enum insider who)
{
    const struct zdm_signing_key *const keys[INSIDERS] = {&w->vera, &w->omar, &w->approver[0], &w->own_agent,
                                                          &w->stranger};
    enum zdm_session_role role = who >= INSIDER_AGENT ? ZDM_SESSION_AGENT : ZDM_SESSION_PERSON;
    if (!wire_dial(wire, w->port, role, keys[who], &w->fleet, world_trust(w), who == INSIDER_JOINER))
        world_fail("insider %d cannot dial", (int)who);
}

static void expect_closed(struct wire *wire, const char *class_name, const char *what)
{
    count_sent(class_name, 1);
    if (!wire_is_closed(wire, CLOSE_MS))
        count_accepted(class_name, "%s did not close the session", what);
    wire_close(wire);
}

/* ---- Of the wrong direction ---- */

static enum zdm_frame_sender sender_of(enum insider who)
{
    if (who == INSIDER_AGENT)
        return ZDM_SENDER_AGENT;
    return who == INSIDER_JOINER ? ZDM_SENDER_JOINER : ZDM_SENDER_PERSON;
}

static void fill_frame(struct zdm_frame *frame, enum zdm_frame_type type, struct zdm_envelope *envelope)
{
    *frame = (struct zdm_frame){.type = type};
    switch (type) {
    case ZDM_FRAME_ORDERS:
    case ZDM_FRAME_TRUST:
        frame->u.envelopes.items = envelope;
        frame->u.envelopes.n = 1;
        break;
    case ZDM_FRAME_JOINED:
        frame->u.joined.enrolment = *envelope;
        break;
    case ZDM_FRAME_REQUEST:
        frame->u.request = *envelope;
        break;
    case ZDM_FRAME_QUERY:
    case ZDM_FRAME_WATCH:
        frame->u.query.kind = ZDM_QUERY_STATUS;
        frame->u.query.id = 1;
        break;
    case ZDM_FRAME_PLAN_PIECE:
    case ZDM_FRAME_UPLOAD:
        frame->u.piece.total = 10;
        frame->u.piece.bytes = (const uint8_t *)"0123456789";
        frame->u.piece.n = 10;
        break;
    case ZDM_FRAME_REPORT:
        frame->u.report.number = 1;
        break;
    case ZDM_FRAME_SURVEY_ORDER:
        frame->u.survey_order.id = 1;
        break;
    case ZDM_FRAME_SURVEY:
        frame->u.survey.id = 1;
        frame->u.survey.code = ZDM_REFUSED;
        break;
    case ZDM_FRAME_PLAN_REQUEST:
    case ZDM_FRAME_TRUST_REQUEST:
    case ZDM_FRAME_JOIN:
    case ZDM_FRAME_WELCOME:
    case ZDM_FRAME_ACK:
    case ZDM_FRAME_BYE:
    case ZDM_FRAME_ANSWER:
    case ZDM_FRAME_ROWS:
    case ZDM_FRAME_PUSH:
        break;
    }
}

static void send_wrong_directions(struct world *w)
{
    static const char class_name[] = "insider: frames that this sender may not send";
    static const enum zdm_frame_type types[] = {1,  2,  3,  4,  5,  10, 11, 12, 13, 14,
                                                15, 16, 17, 20, 21, 22, 23, 30, 31, 32};
    for (enum insider who = INSIDER_VIEWER; who < INSIDERS; who++)
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
            struct zdm_frame frame;
            struct wire wire;
            if (zdm_frame_allowed(types[i], sender_of(who)))
                continue;
            dial_as(w, &wire, who);
            fill_frame(&frame, types[i], &w->plans[PLAN_ATTACK].envelope);
            (void)wire_seal(&wire, &frame);
            expect_closed(&wire, class_name, zdm_frame_type_name(types[i]));
        }
}

/* ---- Sealed wrongly ---- */

static void make_query(struct zdm_buffer *plain)
{
    const struct zdm_frame query = {.type = ZDM_FRAME_QUERY, .u.query = {.kind = ZDM_QUERY_VERSION, .id = 3}};
    zdm_frame_encode(&query, plain);
}

static void send_unsealed(struct world *w, unsigned n)
{
    static const char class_name[] = "insider: sealed frames, changed, cut, repeated, skipped";
    for (unsigned i = 0; i < n; i++) {
        struct zdm_buffer plain = ZDM_BUFFER_INIT;
        uint8_t sealed[256];
        struct wire wire;
        dial_as(w, &wire, (enum insider)(i % INSIDER_AGENT));
        make_query(&plain);
        size_t size = plain.len + ZDM_SEAL_OVERHEAD;
        uint64_t counter = wire.session->sent;
        if (i % 4 == 0) /* one left out, or one of before */
            counter = i % 8 == 0 ? counter + 1 + world_below(w, 9) : 0;
        w->crypto->seal(w->crypto->self, sealed, plain.data, plain.len, counter, wire.session->keys.send);
        if (i % 4 == 1)
            sealed[world_below(w, (uint32_t)size)] ^= (uint8_t)(1u << world_below(w, 8));
        if (i % 4 == 2)
            size = 1 + world_below(w, (uint32_t)size - 1);
        (void)wire_send(&wire, sealed, size);
        if (i % 4 == 3) /* the first was good: again, it is not */
            (void)wire_send(&wire, sealed, size);
        expect_closed(&wire, class_name, "a frame");
        zdm_buffer_fini(&plain);
    }
}

/* The plaintext of a good frame, changed: most is no frame any more, and what still is one must ask for nothing that
 * counts. */
static void send_mutated_plain(struct world *w, unsigned n)
{
    static const char class_name[] = "insider: bytes that are no frame";
    for (unsigned i = 0; i < n; i++) {
        uint8_t bytes[300];
        struct wire wire;
        size_t size = world_below(w, sizeof bytes);
        dial_as(w, &wire, (enum insider)(i % INSIDERS));
        world_bytes(w, bytes, size);
        if (size > 0)
            bytes[0] = (uint8_t)(0xf8 | (bytes[0] & 7)); /* a field that no frame has */
        (void)wire_seal_bytes(&wire, bytes, size);
        expect_closed(&wire, class_name, "garbage");
    }
}

void attack_frames(struct world *w, unsigned n)
{
    uint64_t before = world_position(w);
    send_wrong_directions(w);
    send_unsealed(w, n);
    send_mutated_plain(w, n);
    if (world_position(w) != before)
        count_accepted("insider: the log", "it grew from %lu to %lu", before, world_position(w));
}
