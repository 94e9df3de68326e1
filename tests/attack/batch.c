/*
 * batch.c - see batch.h.
 */
#include "tests/attack/batch.h"

#include <stdlib.h>
#include <string.h>

enum { SETTLE_EVERY = 100, ANSWER_MS = 10000, BARRIER = 4242 };

void batch_open(struct batch *b, const struct zdm_signing_key *key)
{
    batch_close(b);
    if (!world_dial(b->world, &b->wire, key))
        world_fail("cannot dial");
    b->position = world_position(b->world);
    b->unsettled = 0;
}

void batch_send(struct batch *b, const char *class_name, const struct zdm_envelope *envelope)
{
    if (b->unsettled > 0 && strcmp(b->last_class, class_name) != 0 && b->unsettled >= SETTLE_EVERY / 2)
        batch_settle(b);
    b->last_class = class_name;
    if (!world_send_request(&b->wire, envelope))
        world_fail("%s: the session is closed", class_name);
    count_sent(class_name, 1);
    if (++b->unsettled >= SETTLE_EVERY)
        batch_settle(b);
}

/* Answers until the query's rows: frames are taken in order. */
static bool read_answers(struct batch *b)
{
    struct zdm_frame frame;
    bool through = false;
    while (!through && wire_read(&b->wire, ANSWER_MS, &frame) == WIRE_FRAME) {
        if (frame.type == ZDM_FRAME_ANSWER && frame.u.answer.code == ZDM_OK)
            count_accepted(b->last_class, "answered: %s", frame.u.answer.message);
        through = frame.type == ZDM_FRAME_ROWS && frame.u.rows.id == BARRIER && frame.u.rows.last;
        zdm_frame_fini(&frame);
    }
    return through;
}

void batch_settle(struct batch *b)
{
    const struct zdm_frame query = {.type = ZDM_FRAME_QUERY, .u.query = {.kind = ZDM_QUERY_VERSION, .id = BARRIER}};
    if (b->unsettled == 0)
        return;
    (void)wire_seal(&b->wire, &query);
    bool through = read_answers(b);
    uint64_t now = world_position(b->world);
    if (now != b->position)
        count_accepted(b->last_class, "the log grew from %lu to %lu", b->position, now);
    b->position = now;
    if (!through && b->unsettled > 1)
        world_fail("%s: the session ended, and what came behind was not looked at", b->last_class);
    b->unsettled = 0;
    if (!through)
        wire_close(&b->wire);
}

void batch_close(struct batch *b)
{
    if (b->wire.session == NULL)
        return;
    batch_settle(b);
    wire_close(&b->wire);
}
