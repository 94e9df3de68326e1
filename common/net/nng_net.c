/*
 * nng_net.c - the network over nng's stream API: the queue between nng's threads and the loop, and the loop. See net.h
 * for the contract and nng_internal.h for threads and memory.
 *
 * Streams, not nng's REQ/REP sockets: there, a peer that has not finished nng's own greeting is invisible to every
 * callback for ten seconds, and a few hundred of them lock everybody out.
 */
#include "common/net/nng_internal.h"

#include <stdlib.h>
#include <time.h>

int64_t zdm_nng_now_ms(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The one callback, on a thread of nng's. */
static void op_done(void *arg)
{
    struct zdm_nng_op *op = arg;
    struct zdm_net_nng *net = op->net;
    pthread_mutex_lock(&net->shared.mutex);
    STAILQ_INSERT_TAIL(&net->shared.done, op, link);
    pthread_cond_signal(&net->shared.came);
    pthread_mutex_unlock(&net->shared.mutex);
}

bool zdm_nng_op_init(struct zdm_nng_op *op, struct zdm_net_nng *net, void *owner, enum zdm_nng_op_kind kind)
{
    op->net = net;
    op->owner = owner;
    op->kind = kind;
    if (nng_aio_alloc(&op->aio, op_done, op) != 0)
        return false;
    nng_aio_set_timeout(op->aio, NNG_DURATION_INFINITE);
    return true;
}

struct zdm_net_nng *zdm_net_nng_new(const struct zdm_net_gate *gate, const struct zdm_net_upcalls *upcalls)
{
    pthread_condattr_t monotonic;
    struct zdm_net_nng *net = calloc(1, sizeof *net);
    if (net == NULL)
        return NULL;
    net->upcalls = *upcalls;
    zdm_gate_init(&net->gate, gate);
    TAILQ_INIT(&net->draining);
    STAILQ_INIT(&net->finished);
    STAILQ_INIT(&net->shared.done);
    pthread_mutex_init(&net->shared.mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&net->shared.came, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return net;
}

void zdm_net_nng_free(struct zdm_net_nng *net)
{
    if (net == NULL)
        return;
    /* All operations end before any of them is freed: in the queue, each holds the link to the next. */
    for (size_t i = 0; i < net->n_listeners; i++)
        zdm_nng_listener_stop(net->listeners[i]);
    for (size_t i = 0; i < net->n_slots; i++)
        if (net->slots[i] != NULL)
            zdm_nng_conn_stop(net->slots[i]);
    for (size_t i = 0; i < net->n_listeners; i++)
        zdm_nng_listener_free(net->listeners[i]);
    for (size_t i = 0; i < net->n_slots; i++)
        if (net->slots[i] != NULL)
            zdm_nng_conn_free(net->slots[i]);
    free(net->slots);
    free(net->free_slots);
    pthread_cond_destroy(&net->shared.came);
    pthread_mutex_destroy(&net->shared.mutex);
    free(net);
}

void zdm_net_nng_admit(struct zdm_net_nng *net, zdm_conn conn)
{
    struct zdm_nng_conn *found = zdm_nng_conn_find(net, conn);
    if (found != NULL)
        zdm_gate_leave(&net->gate, &found->seat);
}

void zdm_net_nng_wake(struct zdm_net_nng *net)
{
    pthread_mutex_lock(&net->shared.mutex);
    net->shared.woken = true;
    pthread_cond_signal(&net->shared.came);
    pthread_mutex_unlock(&net->shared.mutex);
}

static enum zdm_code seam_listen(void *self, const char *url, char *out_url, size_t size, struct zdm_error *err)
{
    return zdm_nng_listen(self, url, out_url, size, err);
}

static enum zdm_code seam_dial(void *self, const char *url, zdm_conn *out_conn, struct zdm_error *err)
{
    return zdm_nng_dial(self, url, out_conn, err);
}

static enum zdm_send seam_send(void *self, zdm_conn number, const void *bytes, size_t n)
{
    struct zdm_nng_conn *conn = zdm_nng_conn_find(self, number);
    return conn != NULL ? zdm_nng_conn_send(conn, bytes, n) : ZDM_SEND_CLOSED;
}

static void seam_close(void *self, zdm_conn number)
{
    struct zdm_nng_conn *conn = zdm_nng_conn_find(self, number);
    if (conn != NULL)
        zdm_nng_conn_close(conn, "closed here");
}

static void seam_close_after_send(void *self, zdm_conn number)
{
    struct zdm_nng_conn *conn = zdm_nng_conn_find(self, number);
    if (conn != NULL)
        zdm_nng_conn_close_after_send(conn);
}

struct zdm_net zdm_net_nng_seam(struct zdm_net_nng *net)
{
    static const struct zdm_net_ops ops = {
        .listen = seam_listen,
        .dial = seam_dial,
        .send = seam_send,
        .close = seam_close,
        .close_after_send = seam_close_after_send,
    };
    return (struct zdm_net){.ops = &ops, .self = net};
}

/* The earliest of the loop's own deadlines; INT64_MAX: none. */
static int64_t next_deadline(const struct zdm_net_nng *net)
{
    int64_t at = zdm_gate_deadline(&net->gate);
    const struct zdm_nng_conn *drained = TAILQ_FIRST(&net->draining);
    if (drained != NULL && drained->drain_until_ms < at)
        at = drained->drain_until_ms;
    for (size_t i = 0; i < net->n_listeners; i++)
        if (net->listeners[i]->again_ms != 0 && net->listeners[i]->again_ms < at)
            at = net->listeners[i]->again_ms;
    return at;
}

/* Waits until something has come, somebody wakes, or `until_ms`; then takes all that has come. */
static void take_done(struct zdm_net_nng *net, int64_t until_ms, struct zdm_nng_ops_queue *out)
{
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000), .tv_nsec = (long)(until_ms % 1000) * 1000000};
    pthread_mutex_lock(&net->shared.mutex);
    while (STAILQ_EMPTY(&net->shared.done) && !net->shared.woken) {
        if (until_ms == INT64_MAX)
            pthread_cond_wait(&net->shared.came, &net->shared.mutex);
        else if (pthread_cond_timedwait(&net->shared.came, &net->shared.mutex, &until) != 0)
            break;
    }
    net->shared.woken = false;
    STAILQ_CONCAT(out, &net->shared.done);
    pthread_mutex_unlock(&net->shared.mutex);
}

static void conn_op_done(struct zdm_nng_op *op, int result)
{
    struct zdm_nng_conn *conn = op->owner;
    if (op->kind == ZDM_NNG_OP_OUT)
        zdm_nng_conn_sent(conn, result);
    else if (conn->dialer != NULL)
        zdm_nng_conn_dialled(conn, result);
    else
        zdm_nng_conn_received(conn, result);
    zdm_nng_conn_settle(conn);
}

static void handle_done(struct zdm_nng_ops_queue *done)
{
    struct zdm_nng_op *op;
    while ((op = STAILQ_FIRST(done)) != NULL) {
        STAILQ_REMOVE_HEAD(done, link);
        op->busy = false;
        if (op->kind == ZDM_NNG_OP_ACCEPT)
            zdm_nng_accepted(op->owner, nng_aio_result(op->aio));
        else
            conn_op_done(op, nng_aio_result(op->aio));
    }
}

static void handle_deadlines(struct zdm_net_nng *net, int64_t now_ms)
{
    struct zdm_gate_seat *seat;
    struct zdm_nng_conn *conn;
    while ((seat = zdm_gate_overdue(&net->gate, now_ms)) != NULL) {
        conn = (struct zdm_nng_conn *)(void *)((char *)seat - offsetof(struct zdm_nng_conn, seat));
        zdm_nng_conn_close(conn, "not authenticated in time");
    }
    while ((conn = TAILQ_FIRST(&net->draining)) != NULL && now_ms >= conn->drain_until_ms)
        zdm_nng_conn_close(conn, conn->broken ? "closed by the other side" : "closed here");
    for (size_t i = 0; i < net->n_listeners; i++)
        if (net->listeners[i]->again_ms != 0 && now_ms >= net->listeners[i]->again_ms)
            zdm_nng_accept_again(net->listeners[i]);
}

/* Says `closed`, once, and frees. The upcall may close other connections, which then join the list. */
static void handle_finished(struct zdm_net_nng *net)
{
    struct zdm_nng_conn *conn;
    while ((conn = STAILQ_FIRST(&net->finished)) != NULL) {
        STAILQ_REMOVE_HEAD(&net->finished, finish_link);
        net->upcalls.closed(net->upcalls.ctx, conn->number, conn->why);
        zdm_nng_conn_free(conn);
    }
}

void zdm_net_nng_poll(struct zdm_net_nng *net, int timeout_ms)
{
    struct zdm_nng_ops_queue done = STAILQ_HEAD_INITIALIZER(done);
    int64_t until = timeout_ms < 0 ? INT64_MAX : zdm_nng_now_ms() + timeout_ms;
    int64_t deadline = next_deadline(net);
    if (deadline < until)
        until = deadline;
    if (!STAILQ_EMPTY(&net->finished)) /* closed since the last poll */
        until = zdm_nng_now_ms();
    take_done(net, until, &done);
    handle_done(&done);
    handle_deadlines(net, zdm_nng_now_ms());
    handle_finished(net);
}
