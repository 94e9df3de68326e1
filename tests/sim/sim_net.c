/*
 * sim_net.c - see sim_net.h.
 */
#include "tests/sim/sim_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

enum { SIM_QUEUE_MAX = 1024, SIM_CONNECTIONS_MAX = 4096 };

struct message {
    struct message *next;
    size_t n;
    uint8_t bytes[];
};

/* One direction of a connection: frames that wait to arrive at the end `to`. */
struct pipe {
    struct message *first, *last;
    unsigned queued;
    uint64_t sent; /* frames ever put in */
    bool pumping;
    bool fin; /* the sender closed: the receiver learns of it behind the last frame */
};

struct end {
    int node;
    unsigned incarnation;
    zdm_conn conn;
    bool open;    /* `opened` was delivered and `closed` was not */
    bool closing; /* close() was called here */
};

struct connection {
    struct sim_net *net;
    unsigned index;
    struct end ends[2];   /* 0 dialled, 1 listened */
    struct pipe pipes[2]; /* [i]: towards end i */
    bool dead;            /* nothing moves any more */
};

struct port {
    bool attached, listening;
    struct zdm_net_upcalls upcalls;
    void (*after)(void *ctx);
    void *ctx;
    struct sim_net *net;
    int node;
};

struct sim_net {
    struct world *world;
    struct port ports[WORLD_NODES_MAX];
    bool blocked[WORLD_NODES_MAX][WORLD_NODES_MAX];
    int64_t delay_min, delay_max;
    struct connection **connections;
    size_t n_connections, cap_connections;
    zdm_conn next_conn;
    struct sim_net_tap tap;
};

static int64_t delay(struct sim_net *net)
{
    return world_between(net->world, net->delay_min, net->delay_max);
}

static bool end_lives(const struct sim_net *net, const struct end *end)
{
    const struct world_node *node = &net->world->nodes[end->node];
    return node->alive && node->incarnation == end->incarnation && net->ports[end->node].attached;
}

static void after_upcall(struct port *port)
{
    if (port->after != NULL)
        port->after(port->ctx);
}

static void empty_pipe(struct pipe *pipe)
{
    while (pipe->first != NULL) {
        struct message *message = pipe->first;
        pipe->first = message->next;
        free(message);
    }
    pipe->last = NULL;
    pipe->queued = 0;
}

static void tell_closed(void *ctx, void *payload)
{
    struct connection *connection = ctx;
    struct end *end = payload;
    if (!end->open || !end_lives(connection->net, end))
        return;
    end->open = false;
    struct port *port = &connection->net->ports[end->node];
    port->upcalls.closed(port->upcalls.ctx, end->conn, end->closing ? "closed here" : "connection reset");
    after_upcall(port);
}

static void later_closed(struct connection *connection, unsigned i, int64_t delay_ms)
{
    struct end *end = &connection->ends[i];
    world_after(connection->net->world, delay_ms, end->node, tell_closed, connection, end, NULL);
}

static void pump(void *ctx, void *payload);

static void schedule_pump(struct connection *connection, unsigned i)
{
    struct pipe *pipe = &connection->pipes[i];
    if (pipe->pumping || connection->dead)
        return;
    pipe->pumping = true;
    world_after(connection->net->world, delay(connection->net), WORLD_ANY, pump, connection, &connection->ends[i],
                NULL);
}

static void deliver(struct connection *connection, struct end *end, struct message *message)
{
    struct port *port = &connection->net->ports[end->node];
    const struct sim_net_tap *tap = &connection->net->tap;
    world_witness(connection->net->world, 1, (uint64_t)end->node << 32 | message->n);
    if (tap->arrives != NULL)
        tap->arrives(tap->ctx, connection->ends[end == &connection->ends[0] ? 1 : 0].node, end->node, message->bytes,
                     message->n);
    port->upcalls.frame(port->upcalls.ctx, end->conn, message->bytes, message->n);
    after_upcall(port);
}

static void pump(void *ctx, void *payload)
{
    struct connection *connection = ctx;
    struct end *end = payload;
    unsigned i = end == &connection->ends[1] ? 1 : 0;
    struct pipe *pipe = &connection->pipes[i];
    const struct world_node *node = &connection->net->world->nodes[end->node];
    pipe->pumping = false;
    if (connection->dead || !end->open || !end_lives(connection->net, end)) {
        empty_pipe(pipe);
        return;
    }
    if (connection->net->blocked[connection->ends[1 - i].node][end->node] ||
        node->frozen_until_ms > connection->net->world->now_ms) {
        schedule_pump(connection, i);
        return;
    }
    /* All that is there arrives in a burst half of the time, one frame at a time otherwise. */
    bool burst = world_chance(connection->net->world, 50);
    while (pipe->first != NULL && end->open && !end->closing) {
        struct message *message = pipe->first;
        pipe->first = message->next;
        if (pipe->first == NULL)
            pipe->last = NULL;
        pipe->queued--;
        deliver(connection, end, message);
        free(message);
        if (!burst)
            break;
    }
    if (pipe->first != NULL)
        schedule_pump(connection, i);
    else if (pipe->fin)
        later_closed(connection, i, 0);
}

static struct end *find_end(struct sim_net *net, int node, zdm_conn conn, struct connection **out)
{
    for (size_t i = net->n_connections; i > 0; i--) {
        struct connection *connection = net->connections[i - 1];
        for (unsigned e = 0; e < 2; e++) {
            if (connection->ends[e].conn == conn && connection->ends[e].node == node) {
                *out = connection;
                return &connection->ends[e];
            }
        }
    }
    return NULL;
}

static enum zdm_code sim_listen(void *self, const char *url, char *out_url, size_t size, struct zdm_error *err)
{
    struct port *port = self;
    (void)err;
    port->listening = true;
    zdm_copy_text(out_url, size, url);
    return ZDM_OK;
}

static void dial_failed(void *ctx, void *payload)
{
    struct port *port = ctx;
    struct end *end = payload;
    port->upcalls.closed(port->upcalls.ctx, end->conn, "connection refused");
    after_upcall(port);
}

static void tell_opened(void *ctx, void *payload)
{
    struct connection *connection = ctx;
    struct end *end = payload;
    struct port *port = &connection->net->ports[end->node];
    if (connection->dead || !end_lives(connection->net, end))
        return;
    bool incoming = end == &connection->ends[1];
    if (end->closing) {
        if (!incoming)
            port->upcalls.closed(port->upcalls.ctx, end->conn, "closed here");
        return;
    }
    end->open = true;
    port->upcalls.opened(port->upcalls.ctx, end->conn, incoming, "sim");
    after_upcall(port);
    schedule_pump(connection, incoming ? 1 : 0);
}

static void knock(void *ctx, void *payload)
{
    struct connection *connection = ctx;
    struct sim_net *net = connection->net;
    struct end *dialler = &connection->ends[0], *listener = &connection->ends[1];
    const struct port *port = &net->ports[listener->node];
    (void)payload;
    listener->incarnation = net->world->nodes[listener->node].incarnation;
    bool reachable = end_lives(net, listener) && port->listening && !net->blocked[dialler->node][listener->node] &&
                     !net->blocked[listener->node][dialler->node];
    if (!reachable) {
        connection->dead = true;
        world_after(net->world, delay(net), dialler->node, dial_failed, &net->ports[dialler->node], dialler, NULL);
        return;
    }
    world_after(net->world, 0, listener->node, tell_opened, connection, listener, NULL);
    world_after(net->world, delay(net), dialler->node, tell_opened, connection, dialler, NULL);
}

static enum zdm_code sim_dial(void *self, const char *url, zdm_conn *out_conn, struct zdm_error *err)
{
    struct port *port = self;
    struct sim_net *net = port->net;
    struct connection *connection = calloc(1, sizeof *connection);
    if (strncmp(url, "sim://", 6) != 0 || net->n_connections == SIM_CONNECTIONS_MAX || connection == NULL ||
        !ZDM_RESERVE(net->connections, net->cap_connections, net->n_connections + 1)) {
        free(connection);
        return zdm_error_set(err, ZDM_INVALID, "cannot dial %s", url);
    }
    connection->net = net;
    connection->ends[0] = (struct end){
        .node = port->node, .incarnation = net->world->nodes[port->node].incarnation, .conn = ++net->next_conn};
    connection->ends[1] = (struct end){.node = (int)strtol(url + 6, NULL, 10), .conn = ++net->next_conn};
    net->connections[net->n_connections++] = connection;
    world_after(net->world, delay(net), WORLD_ANY, knock, connection, NULL, NULL);
    *out_conn = connection->ends[0].conn;
    return ZDM_OK;
}

static enum zdm_send sim_send(void *self, zdm_conn conn, const void *bytes, size_t n)
{
    struct port *port = self;
    struct connection *connection;
    struct end *end = find_end(port->net, port->node, conn, &connection);
    if (end == NULL || !end->open || end->closing)
        return ZDM_SEND_CLOSED;
    unsigned other = end == &connection->ends[0] ? 1 : 0;
    struct pipe *pipe = &connection->pipes[other];
    if (pipe->queued >= SIM_QUEUE_MAX)
        return ZDM_SEND_FULL;
    if (port->net->tap.sent != NULL)
        port->net->tap.sent(port->net->tap.ctx, end->node, connection->ends[other].node, pipe->sent, bytes, n);
    pipe->sent++;
    if (connection->dead)
        return ZDM_SEND_OK; /* into the void: this end does not know yet */
    struct message *message = malloc(sizeof *message + n);
    if (message == NULL)
        abort();
    message->next = NULL;
    message->n = n;
    memcpy(message->bytes, bytes, n);
    if (pipe->last != NULL)
        pipe->last->next = message;
    else
        pipe->first = message;
    pipe->last = message;
    pipe->queued++;
    schedule_pump(connection, other);
    return ZDM_SEND_OK;
}

static void sim_close(void *self, zdm_conn conn)
{
    struct port *port = self;
    struct connection *connection;
    struct end *end = find_end(port->net, port->node, conn, &connection);
    if (end == NULL || end->closing)
        return;
    unsigned i = end == &connection->ends[0] ? 0 : 1;
    end->closing = true;
    empty_pipe(&connection->pipes[i]);
    if (end->open)
        later_closed(connection, i, 0);
    connection->pipes[1 - i].fin = true;
    schedule_pump(connection, 1 - i);
}

static const struct zdm_net_ops sim_ops = {
    .listen = sim_listen, .dial = sim_dial, .send = sim_send, .close = sim_close, .close_after_send = sim_close};

struct sim_net *sim_net_new(struct world *world)
{
    struct sim_net *net = calloc(1, sizeof *net);
    if (net == NULL)
        abort();
    net->world = world;
    net->delay_min = 1;
    net->delay_max = 5;
    return net;
}

void sim_net_tap(struct sim_net *net, const struct sim_net_tap *tap)
{
    net->tap = *tap;
}

void sim_net_free(struct sim_net *net)
{
    for (size_t i = 0; i < net->n_connections; i++) {
        empty_pipe(&net->connections[i]->pipes[0]);
        empty_pipe(&net->connections[i]->pipes[1]);
        free(net->connections[i]);
    }
    free(net->connections);
    free(net);
}

struct zdm_net sim_net_attach(struct sim_net *net, int node, const struct zdm_net_upcalls *upcalls,
                              void (*after)(void *ctx), void *ctx)
{
    net->ports[node] =
        (struct port){.attached = true, .upcalls = *upcalls, .after = after, .ctx = ctx, .net = net, .node = node};
    return (struct zdm_net){&sim_ops, &net->ports[node]};
}

static void kill_connection(struct connection *connection, unsigned dead_end, bool seen)
{
    connection->dead = true;
    empty_pipe(&connection->pipes[0]);
    empty_pipe(&connection->pipes[1]);
    if (seen)
        later_closed(connection, 1 - dead_end, delay(connection->net));
}

void sim_net_detach(struct sim_net *net, int node)
{
    net->ports[node].attached = net->ports[node].listening = false;
    for (size_t i = 0; i < net->n_connections; i++) {
        struct connection *connection = net->connections[i];
        for (unsigned e = 0; e < 2; e++)
            if (connection->ends[e].node == node && !connection->dead)
                kill_connection(connection, e, world_chance(net->world, 80));
    }
}

void sim_net_cut(struct sim_net *net, int node)
{
    for (size_t i = net->n_connections; i > 0; i--) {
        struct connection *connection = net->connections[i - 1];
        for (unsigned e = 0; e < 2; e++) {
            if (connection->ends[e].node != node || connection->dead || !connection->ends[e].open)
                continue;
            bool silent = world_chance(net->world, 20);
            kill_connection(connection, e, true);
            if (!silent)
                later_closed(connection, e, delay(net));
            return;
        }
    }
}

void sim_net_block(struct sim_net *net, int from, int to, bool blocked)
{
    net->blocked[from][to] = blocked;
}

void sim_net_heal(struct sim_net *net)
{
    memset(net->blocked, 0, sizeof net->blocked);
    sim_net_delay(net, 1, 5);
}

void sim_net_delay(struct sim_net *net, int64_t min_ms, int64_t max_ms)
{
    net->delay_min = min_ms;
    net->delay_max = max_ms;
}
