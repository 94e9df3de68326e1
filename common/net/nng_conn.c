/*
 * nng_conn.c - one connection: from a stream that has come to the end of both its operations. See nng_internal.h.
 */
#include "common/net/nng_internal.h"

#include <stdlib.h>
#include <string.h>

static const zdm_conn slot_mask = ZDM_NNG_SLOTS_MAX - 1;

/* A free place in the table; false when there is none or no memory. */
static bool take_slot(struct zdm_net_nng *net, uint32_t *out_slot)
{
    if (net->n_free > 0) {
        *out_slot = net->free_slots[--net->n_free];
        return true;
    }
    /* Room to give the place back is made now, so that giving it back cannot fail. */
    if (net->n_slots == ZDM_NNG_SLOTS_MAX || !ZDM_RESERVE(net->slots, net->slots_cap, net->n_slots + 1) ||
        !ZDM_RESERVE(net->free_slots, net->free_cap, net->n_slots + 1))
        return false;
    *out_slot = (uint32_t)net->n_slots;
    net->slots[net->n_slots++] = NULL;
    return true;
}

struct zdm_nng_conn *zdm_nng_conn_new(struct zdm_net_nng *net, enum zdm_nng_state state)
{
    uint32_t slot;
    struct zdm_nng_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        return NULL;
    conn->net = net;
    conn->state = state;
    zdm_frame_reader_init(&conn->reader);
    if (!zdm_nng_op_init(&conn->in, net, conn, ZDM_NNG_OP_IN) ||
        !zdm_nng_op_init(&conn->out, net, conn, ZDM_NNG_OP_OUT) || !take_slot(net, &slot)) {
        zdm_nng_conn_free(conn);
        return NULL;
    }
    conn->number = ++net->serial << ZDM_NNG_SLOT_BITS | slot;
    net->slots[slot] = conn;
    return conn;
}

struct zdm_nng_conn *zdm_nng_conn_find(const struct zdm_net_nng *net, zdm_conn number)
{
    size_t slot = (size_t)(number & slot_mask);
    struct zdm_nng_conn *conn = slot < net->n_slots ? net->slots[slot] : NULL;
    return conn != NULL && conn->number == number ? conn : NULL;
}

void zdm_nng_conn_stop(struct zdm_nng_conn *conn)
{
    if (conn->stream != NULL)
        nng_stream_close(conn->stream);
    if (conn->in.aio != NULL)
        nng_aio_stop(conn->in.aio);
    if (conn->out.aio != NULL)
        nng_aio_stop(conn->out.aio);
}

void zdm_nng_conn_free(struct zdm_nng_conn *conn)
{
    struct zdm_net_nng *net = conn->net;
    zdm_nng_conn_stop(conn);
    /* A dial that succeeded while nobody was looking any more. */
    if (conn->dialer != NULL && conn->stream == NULL && conn->in.busy && nng_aio_result(conn->in.aio) == 0)
        conn->stream = nng_aio_get_output(conn->in.aio, 0);
    nng_aio_free(conn->in.aio);
    nng_aio_free(conn->out.aio);
    if (conn->stream != NULL)
        nng_stream_free(conn->stream);
    if (conn->dialer != NULL)
        nng_stream_dialer_free(conn->dialer);
    zdm_gate_leave(&net->gate, &conn->seat);
    if (conn->number != 0) {
        uint32_t slot = (uint32_t)(conn->number & slot_mask);
        net->slots[slot] = NULL;
        net->free_slots[net->n_free++] = slot;
    }
    zdm_frame_reader_fini(&conn->reader);
    zdm_buffer_fini(&conn->sending);
    zdm_buffer_fini(&conn->waiting);
    free(conn);
}

void zdm_nng_conn_settle(struct zdm_nng_conn *conn)
{
    if (conn->state != ZDM_NNG_CLOSING || conn->in.busy || conn->out.busy || conn->finished)
        return;
    conn->finished = true;
    STAILQ_INSERT_TAIL(&conn->net->finished, conn, finish_link);
}

static void stop_draining(struct zdm_nng_conn *conn)
{
    if (conn->draining)
        TAILQ_REMOVE(&conn->net->draining, conn, drain_link);
    conn->draining = false;
}

static void start_draining(struct zdm_nng_conn *conn)
{
    if (conn->draining)
        return;
    conn->draining = true;
    conn->drain_until_ms = zdm_nng_now_ms() + ZDM_NNG_DRAIN_MS;
    TAILQ_INSERT_TAIL(&conn->net->draining, conn, drain_link);
}

void zdm_nng_conn_close(struct zdm_nng_conn *conn, const char *why)
{
    if (conn->state == ZDM_NNG_CLOSING)
        return;
    conn->state = ZDM_NNG_CLOSING;
    zdm_copy_text(conn->why, sizeof conn->why, why);
    zdm_gate_leave(&conn->net->gate, &conn->seat);
    stop_draining(conn);
    if (conn->stream != NULL)
        nng_stream_close(conn->stream);
    else if (conn->in.busy)
        nng_aio_cancel(conn->in.aio);
    zdm_nng_conn_settle(conn);
}

static const char *reason(int result)
{
    switch (result) {
    case NNG_ECONNSHUT:
    case NNG_ECLOSED:
        return "closed by the other side";
    case NNG_ECONNRESET:
        return "connection reset by the other side";
    case NNG_ECONNREFUSED:
    case NNG_ENOENT: /* a unix socket that is not there */
        return "connection refused";
    case NNG_ETIMEDOUT:
        return "timed out";
    default:
        return nng_strerror(result);
    }
}

static void start_receive(struct zdm_nng_conn *conn)
{
    nng_iov iov;
    iov.iov_buf = zdm_frame_reader_room(&conn->reader, &iov.iov_len);
    nng_aio_set_iov(conn->in.aio, 1, &iov);
    conn->in.busy = true;
    nng_stream_recv(conn->stream, conn->in.aio);
}

void zdm_nng_conn_opened(struct zdm_nng_conn *conn, bool incoming, const char *peer)
{
    const struct zdm_net_upcalls *upcalls = &conn->net->upcalls;
    conn->opened = true;
    upcalls->opened(upcalls->ctx, conn->number, incoming, peer);
    if (conn->state == ZDM_NNG_OPEN)
        start_receive(conn);
}

void zdm_nng_conn_dialled(struct zdm_nng_conn *conn, int result)
{
    char peer[ZDM_NNG_PEER_SIZE];
    if (result == 0)
        conn->stream = nng_aio_get_output(conn->in.aio, 0);
    nng_stream_dialer_free(conn->dialer);
    conn->dialer = NULL;
    if (conn->state == ZDM_NNG_CLOSING) /* closed by its owner meanwhile */
        return;
    if (result != 0) {
        zdm_nng_conn_close(conn, reason(result));
        return;
    }
    nng_aio_set_timeout(conn->in.aio, NNG_DURATION_INFINITE);
    conn->state = ZDM_NNG_OPEN;
    zdm_nng_peer(conn->stream, peer);
    zdm_nng_conn_opened(conn, false, peer);
}

/* Hands out the frames that are whole; closes at one that cannot be ours. */
static void deliver(struct zdm_nng_conn *conn)
{
    const struct zdm_net_upcalls *upcalls = &conn->net->upcalls;
    const uint8_t *bytes;
    size_t n;
    while (conn->state == ZDM_NNG_OPEN) {
        switch (zdm_frame_reader_next(&conn->reader, &bytes, &n)) {
        case ZDM_FRAME_NONE:
            return;
        case ZDM_FRAME_WHOLE:
            if (!conn->muted)
                upcalls->frame(upcalls->ctx, conn->number, bytes, n);
            break;
        case ZDM_FRAME_TOO_LONG:
            zdm_nng_conn_close(conn, "frame is too long");
            break;
        case ZDM_FRAME_EMPTY:
            zdm_nng_conn_close(conn, "frame is empty");
            break;
        case ZDM_FRAME_NO_MEMORY:
            zdm_nng_conn_close(conn, "out of memory");
            break;
        }
    }
}

void zdm_nng_conn_received(struct zdm_nng_conn *conn, int result)
{
    if (conn->state == ZDM_NNG_CLOSING)
        return;
    size_t n = nng_aio_count(conn->in.aio);
    if (result != 0 || n == 0) {
        zdm_nng_conn_close(conn, reason(result != 0 ? result : NNG_ECONNSHUT));
        return;
    }
    zdm_frame_reader_came(&conn->reader, n);
    deliver(conn);
    if (conn->state == ZDM_NNG_OPEN)
        start_receive(conn);
}

/* Gives nng what waits; when nothing does, the memory goes too, so that an idle connection is small. */
static void start_send(struct zdm_nng_conn *conn)
{
    if (conn->sent_n == conn->sending.len) {
        zdm_buffer_fini(&conn->sending);
        conn->sending = conn->waiting;
        conn->waiting = (struct zdm_buffer)ZDM_BUFFER_INIT;
        conn->sent_n = 0;
    }
    if (conn->sending.len == 0)
        return;
    nng_iov iov = {.iov_buf = conn->sending.data + conn->sent_n, .iov_len = conn->sending.len - conn->sent_n};
    nng_aio_set_iov(conn->out.aio, 1, &iov);
    conn->out.busy = true;
    nng_stream_send(conn->stream, conn->out.aio);
}

void zdm_nng_conn_sent(struct zdm_nng_conn *conn, int result)
{
    if (conn->state == ZDM_NNG_CLOSING)
        return;
    if (result != 0) {
        /* The other side's last words may have come before its close: receiving ends the connection, or the time. */
        conn->broken = true;
        if (conn->muted)
            zdm_nng_conn_close(conn, "closed here");
        else
            start_draining(conn);
        return;
    }
    conn->sent_n += nng_aio_count(conn->out.aio);
    start_send(conn);
    if (conn->muted && !conn->out.busy)
        zdm_nng_conn_close(conn, "closed here");
}

enum zdm_send zdm_nng_conn_send(struct zdm_nng_conn *conn, const void *bytes, size_t n)
{
    if (conn->state != ZDM_NNG_OPEN || conn->muted || conn->broken)
        return ZDM_SEND_CLOSED;
    if (n == 0 || n > ZDM_FRAME_MAX) {
        zdm_nng_conn_close(conn, "frame to send has a wrong length");
        return ZDM_SEND_CLOSED;
    }
    size_t before = conn->waiting.len, held = conn->sending.len - conn->sent_n + before;
    if (held + ZDM_FRAME_HEADER + n > ZDM_NNG_SEND_MAX)
        return ZDM_SEND_FULL;
    const uint8_t header[ZDM_FRAME_HEADER] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    zdm_buffer_append(&conn->waiting, header, sizeof header);
    zdm_buffer_append(&conn->waiting, bytes, n);
    if (conn->waiting.failed) { /* half a frame must not stay */
        conn->waiting.failed = false;
        conn->waiting.len = before;
        return ZDM_SEND_FULL;
    }
    if (!conn->out.busy)
        start_send(conn);
    return ZDM_SEND_OK;
}

void zdm_nng_conn_close_after_send(struct zdm_nng_conn *conn)
{
    if (conn->state != ZDM_NNG_OPEN || conn->broken || !conn->out.busy) {
        zdm_nng_conn_close(conn, "closed here");
        return;
    }
    conn->muted = true;
    zdm_gate_leave(&conn->net->gate, &conn->seat);
    start_draining(conn);
}
