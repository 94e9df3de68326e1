/*
 * inbox.c - what the net says, in order: the upcalls that only enqueue, and the taking of it at the turn.
 *
 * Bounded three times: in all, by peer, and more narrowly by peer before its auth. A frame that finds no room costs its
 * sender the session; it never costs anybody else anything.
 */
#include <stdlib.h>
#include <string.h>

#include "coordinator/app/private.h"

/* ---- Upcalls: only enqueue ---- */

static bool enqueue(struct coord_driver *d, enum inbox_kind kind, zdm_conn conn, const void *bytes, size_t n,
                    struct coord_peer *counted)
{
    bool room = d->inbox_n < INBOX_ITEMS_MAX && d->inbox_bytes + n <= INBOX_BYTES_MAX;
    struct inbox_item *item = room || kind == INBOX_CLOSED ? malloc(sizeof *item + n) : NULL;
    if (item == NULL)
        return false;
    item->kind = kind;
    item->conn = conn;
    item->counted = counted != NULL;
    item->n = n;
    memcpy(item->bytes, bytes, n);
    STAILQ_INSERT_TAIL(&d->inbox, item, link);
    d->inbox_n++;
    d->inbox_bytes += n;
    if (counted != NULL) {
        counted->queued_frames++;
        counted->queued_bytes += n;
    }
    return true;
}

/* One peer that floods must not take the room of the others. */
static bool has_room(const struct coord_peer *peer, size_t n)
{
    bool stranger = peer->kind == COORD_PEER_STRANGER;
    return peer->queued_frames < (stranger ? STRANGER_FRAMES_MAX : PEER_FRAMES_MAX) &&
           peer->queued_bytes + n <= (stranger ? STRANGER_BYTES_MAX : PEER_BYTES_MAX);
}

static void upcall_opened(void *ctx, zdm_conn conn, bool incoming, const char *peer)
{
    struct coord_driver *d = ctx;
    (void)incoming;
    /* Without room the stranger is never greeted; the net's gate or its own patience ends it. */
    (void)enqueue(d, INBOX_OPENED, conn, peer, strlen(peer) + 1, NULL);
}

/* A frame that is lost leaves a gap in the session: the connection is of no use any more. Who was not even greeted has
 * no business sending more than a hello: the rest of it is cut, and the handshake fails. */
static void upcall_frame(void *ctx, zdm_conn conn, const uint8_t *bytes, size_t n)
{
    struct coord_driver *d = ctx;
    struct coord_peer *peer = d->hub != NULL ? coord_hub_find(d->hub, conn) : NULL;
    if (peer == NULL)
        (void)enqueue(d, INBOX_FRAME, conn, bytes, n > ZDM_HELLO_SIZE ? ZDM_HELLO_SIZE + 1 : n, NULL);
    else if (!has_room(peer, n) || !enqueue(d, INBOX_FRAME, conn, bytes, n, peer))
        coord_hub_close(d->hub, peer, "");
}

static void upcall_closed(void *ctx, zdm_conn conn, const char *why)
{
    struct coord_driver *d = ctx;
    (void)why;
    if (!enqueue(d, INBOX_CLOSED, conn, "", 0, NULL)) {
        struct zdm_error err;
        zdm_error_set(&err, ZDM_NOMEM, "out of memory");
        driver_end(d, &err);
    }
}

struct zdm_net_upcalls coord_driver_upcalls(struct coord_driver *driver)
{
    return (struct zdm_net_upcalls){
        .opened = upcall_opened, .frame = upcall_frame, .closed = upcall_closed, .ctx = driver};
}

/* ---- Taking from the inbox ---- */

static void tell_peer(struct coord_driver *d, const char *message, const struct coord_peer *peer)
{
    driver_notice(d, &(struct coord_notice){.level = ZDM_LOG_INFO,
                                            .message = message,
                                            .shard = peer->kind == COORD_PEER_AGENT ? peer->name : "",
                                            .peer = peer->address});
}

static void greet(struct coord_driver *d, struct coord_peer *peer)
{
    send_welcome(d, peer);
    switch (peer->kind) {
    case COORD_PEER_AGENT:
        tell_peer(d, "agent connected", peer);
        break;
    case COORD_PEER_JOINER:
        tell_peer(d, "agent asks to join", peer);
        break;
    case COORD_PEER_PERSON:
        peer->user = calloc(1, sizeof(struct person));
        if (peer->user == NULL)
            coord_hub_close(d->hub, peer, "");
        else
            d->n_persons++;
        break;
    case COORD_PEER_STRANGER:
        break;
    }
}

/* What the view knows of an agent's former session is over before the new one speaks. */
static void end_former_session(struct coord_driver *d, const struct coord_peer *peer)
{
    const struct coord_heard *heard = coord_view_find(&d->view, &peer->key_id);
    if (peer->kind != COORD_PEER_AGENT || heard == NULL || !heard->connected)
        return;
    struct pending *pending = group_add(d, 0);
    pending->agent = peer->key_id;
    pending->gone = true;
}

/* Uploads and surveys are used up at once: their pieces point into the hub's buffer. */
static void take_frame(struct coord_driver *d, struct coord_peer *peer, struct zdm_frame *frame)
{
    if (frame->type == ZDM_FRAME_UPLOAD) {
        upload_take(d, peer, &frame->u.piece);
        zdm_frame_fini(frame);
        return;
    }
    if (frame->type == ZDM_FRAME_SURVEY) {
        survey_take(d, peer, frame);
        zdm_frame_fini(frame);
        return;
    }
    struct pending *pending = group_add(d, peer->conn);
    pending->agent = peer->key_id;
    pending->frame = *frame;
}

static void take_bytes(struct coord_driver *d, const struct inbox_item *item)
{
    struct coord_peer *peer = item->counted ? coord_hub_find(d->hub, item->conn) : NULL;
    struct zdm_frame frame;
    if (peer != NULL) {
        peer->queued_frames--;
        peer->queued_bytes -= item->n;
    }
    switch (coord_hub_take(d->hub, item->conn, item->bytes, item->n, d->now_ms, &peer, &frame)) {
    case COORD_TAKE_OPENED:
        end_former_session(d, peer);
        greet(d, peer);
        break;
    case COORD_TAKE_FRAME:
        take_frame(d, peer, &frame);
        break;
    case COORD_TAKE_NOTHING:
        break;
    }
}

static void take_closed(struct coord_driver *d, zdm_conn conn)
{
    struct coord_peer *peer = coord_hub_find(d->hub, conn);
    if (peer == NULL)
        return;
    if (peer->kind == COORD_PEER_AGENT && coord_hub_agent(d->hub, &peer->key_id) == peer) {
        struct pending *pending = group_add(d, 0);
        pending->agent = peer->key_id;
        pending->gone = true;
        tell_peer(d, "agent disconnected", peer);
    }
    survey_agent_gone(d, conn);
    survey_asker_gone(d, conn);
    person_free(d, peer);
    coord_hub_forget(d->hub, conn);
}

static void take_item(struct coord_driver *d, const struct inbox_item *item)
{
    switch (item->kind) {
    case INBOX_OPENED:
        coord_hub_opened(d->hub, item->conn, (const char *)item->bytes, d->now_ms);
        break;
    case INBOX_FRAME:
        take_bytes(d, item);
        break;
    case INBOX_CLOSED:
        take_closed(d, item->conn);
        break;
    }
}

void inbox_take(struct coord_driver *d)
{
    for (size_t i = 0; i < COORD_GROUP_MAX && !STAILQ_EMPTY(&d->inbox); i++) {
        struct inbox_item *item = STAILQ_FIRST(&d->inbox);
        STAILQ_REMOVE_HEAD(&d->inbox, link);
        d->inbox_n--;
        d->inbox_bytes -= item->n;
        take_item(d, item);
        free(item);
    }
}

void inbox_clear(struct coord_driver *d)
{
    while (!STAILQ_EMPTY(&d->inbox)) {
        struct inbox_item *item = STAILQ_FIRST(&d->inbox);
        STAILQ_REMOVE_HEAD(&d->inbox, link);
        free(item);
    }
}
