/*
 * loop_net.c - see loop_net.h.
 */
#include "tests/unit/agent_app/loop_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

enum kind { OPENED, FRAME, CLOSED, REFUSED };
enum { QUEUE_MAX = 1024, CONNS_MAX = 256 };

struct item {
    enum kind kind;
    bool to_listener;
    zdm_conn conn;
    uint8_t *bytes;
    size_t n;
};

struct end {
    struct loop_net *net;
    bool listener;
};

struct loop_net {
    struct end ends[2];
    struct zdm_net_upcalls upcalls[2];
    struct item queue[QUEUE_MAX];
    size_t n;
    bool open[CONNS_MAX];
    zdm_conn last;
    bool refuse;
    char url[128];
};

struct loop_net *loop_net_new(void)
{
    struct loop_net *net = calloc(1, sizeof *net);
    net->ends[0] = (struct end){net, false};
    net->ends[1] = (struct end){net, true};
    return net;
}

void loop_net_free(struct loop_net *net)
{
    for (size_t i = 0; i < net->n; i++)
        free(net->queue[i].bytes);
    free(net);
}

static void push(struct loop_net *net, enum kind kind, bool to_listener, zdm_conn conn, const void *bytes, size_t n)
{
    if (net->n == QUEUE_MAX)
        abort();
    net->queue[net->n++] =
        (struct item){.kind = kind, .to_listener = to_listener, .conn = conn, .bytes = zdm_memdup(bytes, n), .n = n};
}

static enum zdm_code listen_on(void *self, const char *url, char *out_url, size_t size, struct zdm_error *err)
{
    (void)self;
    (void)err;
    zdm_copy_text(out_url, size, url);
    return ZDM_OK;
}

static enum zdm_code dial(void *self, const char *url, zdm_conn *out_conn, struct zdm_error *err)
{
    struct loop_net *net = ((struct end *)self)->net;
    (void)err;
    zdm_copy_text(net->url, sizeof net->url, url);
    *out_conn = ++net->last;
    if (net->last >= CONNS_MAX)
        abort();
    if (net->refuse) {
        push(net, REFUSED, false, *out_conn, "", 0);
        return ZDM_OK;
    }
    net->open[*out_conn] = true;
    push(net, OPENED, true, *out_conn, "", 0);
    push(net, OPENED, false, *out_conn, "", 0);
    return ZDM_OK;
}

static enum zdm_send send_frame(void *self, zdm_conn conn, const void *bytes, size_t n)
{
    struct end *end = self;
    if (conn >= CONNS_MAX || !end->net->open[conn])
        return ZDM_SEND_CLOSED;
    push(end->net, FRAME, !end->listener, conn, bytes, n);
    return ZDM_SEND_OK;
}

static void close_conn(void *self, zdm_conn conn)
{
    struct loop_net *net = ((struct end *)self)->net;
    if (conn >= CONNS_MAX || !net->open[conn])
        return;
    net->open[conn] = false;
    push(net, CLOSED, true, conn, "", 0);
    push(net, CLOSED, false, conn, "", 0);
}

struct zdm_net loop_net_end(struct loop_net *net, bool listener)
{
    static const struct zdm_net_ops ops = {
        .listen = listen_on, .dial = dial, .send = send_frame, .close = close_conn, .close_after_send = close_conn};
    return (struct zdm_net){.ops = &ops, .self = &net->ends[listener]};
}

void loop_net_upcalls(struct loop_net *net, bool listener, const struct zdm_net_upcalls *upcalls)
{
    net->upcalls[listener] = *upcalls;
}

static void deliver(struct loop_net *net, const struct item *item)
{
    const struct zdm_net_upcalls *up = &net->upcalls[item->to_listener];
    if (up->opened == NULL)
        return;
    if (item->kind == OPENED && net->open[item->conn])
        up->opened(up->ctx, item->conn, item->to_listener, "local");
    else if (item->kind == FRAME && net->open[item->conn])
        up->frame(up->ctx, item->conn, item->bytes, item->n);
    else if (item->kind == CLOSED || item->kind == REFUSED)
        up->closed(up->ctx, item->conn, item->kind == REFUSED ? "refused" : "closed");
}

bool loop_net_pump(struct loop_net *net)
{
    if (net->n == 0)
        return false;
    while (net->n > 0) {
        struct item item = net->queue[0];
        memmove(net->queue, net->queue + 1, --net->n * sizeof net->queue[0]);
        deliver(net, &item);
        free(item.bytes);
    }
    return true;
}

void loop_net_hang_up(struct loop_net *net, bool listener)
{
    memset(&net->upcalls[listener], 0, sizeof net->upcalls[listener]);
    while (loop_net_pump(net))
        ;
}

void loop_net_refuse(struct loop_net *net, bool refuse)
{
    net->refuse = refuse;
}

void loop_net_cut(struct loop_net *net)
{
    for (zdm_conn conn = 1; conn <= net->last; conn++)
        close_conn(&net->ends[1], conn);
}

const char *loop_net_dialled(const struct loop_net *net)
{
    return net->url;
}
