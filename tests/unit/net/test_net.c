/*
 * test_net.c - the network over nng: real sockets on loopback and unix sockets, each test with its own port or path.
 *
 * Two ends: `server` and `client` are networks of their own, polled by turns from the one test thread. Raw sockets play
 * peers that do not keep to the rules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/net/net.h"

enum { MANY = 300, PATIENCE_MS = 10000, SEEN_MAX = 4096 };

/* One network and all that it said. */
struct end {
    struct zdm_net_nng *nng;
    struct zdm_net net;
    char url[256];
    bool echo, admits, greets, closes_on_frame;
    int opened, closed, frames, evicted, overdue;
    size_t bytes;
    zdm_conn last_opened, last_closed;
    zdm_conn closed_numbers[SEEN_MAX];
    uint8_t last[ZDM_FRAME_MAX];
    size_t last_n;
    char why[128], peer[64];
    bool incoming;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_opened(void *ctx, zdm_conn conn, bool incoming, const char *peer)
{
    struct end *end = ctx;
    end->opened++;
    end->last_opened = conn;
    end->incoming = incoming;
    snprintf(end->peer, sizeof end->peer, "%s", peer);
    if (end->admits)
        zdm_net_nng_admit(end->nng, conn);
    if (end->greets)
        end->net.ops->send(end->net.self, conn, &conn, sizeof conn);
}

static void on_frame(void *ctx, zdm_conn conn, const uint8_t *bytes, size_t n)
{
    struct end *end = ctx;
    end->frames++;
    end->bytes += n;
    memcpy(end->last, bytes, n);
    end->last_n = n;
    if (end->echo)
        end->net.ops->send(end->net.self, conn, bytes, n);
    if (end->closes_on_frame)
        end->net.ops->close(end->net.self, conn);
}

static void on_closed(void *ctx, zdm_conn conn, const char *why)
{
    struct end *end = ctx;
    for (int i = 0; i < end->closed && i < SEEN_MAX; i++)
        assert_true(end->closed_numbers[i] != conn);
    if (end->closed < SEEN_MAX)
        end->closed_numbers[end->closed] = conn;
    end->closed++;
    end->last_closed = conn;
    end->evicted += strstr(why, "evicted") != NULL;
    end->overdue += strstr(why, "in time") != NULL;
    snprintf(end->why, sizeof end->why, "%s", why);
    assert_int_equal(end->net.ops->send(end->net.self, conn, "x", 1), ZDM_SEND_CLOSED);
    end->net.ops->close(end->net.self, conn);
}

static void end_init(struct end *end, unsigned slots, unsigned per_address, unsigned handshake_ms)
{
    const struct zdm_net_gate gate = {slots, per_address, handshake_ms};
    const struct zdm_net_upcalls upcalls = {on_opened, on_frame, on_closed, end};
    memset(end, 0, sizeof *end);
    end->nng = zdm_net_nng_new(&gate, &upcalls);
    assert_non_null(end->nng);
    end->net = zdm_net_nng_seam(end->nng);
}

static void listen_on(struct end *end, const char *url)
{
    struct zdm_error err;
    if (end->net.ops->listen(end->net.self, url, end->url, sizeof end->url, &err) != ZDM_OK)
        fail_msg("%s", err.message);
}

static zdm_conn dial_to(struct end *end, const char *url)
{
    struct zdm_error err;
    zdm_conn conn = 0;
    if (end->net.ops->dial(end->net.self, url, &conn, &err) != ZDM_OK)
        fail_msg("%s", err.message);
    return conn;
}

/* Polls both ends until the counter has at least the value. */
static void until(struct end *a, struct end *b, const int *counter, int value)
{
    int64_t give_up = now_ms() + PATIENCE_MS;
    while (*counter < value) {
        if (now_ms() >= give_up)
            fail_msg("%d instead of %d; first end: %d opened, %d closed (%s), %d frames", *counter, value, a->opened,
                     a->closed, a->why, a->frames);
        zdm_net_nng_poll(a->nng, 1);
        if (b != NULL)
            zdm_net_nng_poll(b->nng, 0);
    }
}

static void pass_time(struct end *a, struct end *b, int ms)
{
    for (int64_t end = now_ms() + ms; now_ms() < end;) {
        zdm_net_nng_poll(a->nng, 1);
        if (b != NULL)
            zdm_net_nng_poll(b->nng, 0);
    }
}

static int raw_connect(const char *url)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    to.sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void raw_write(int fd, const void *bytes, size_t n)
{
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
}

/* A connected pair over the URL; the client's number. */
static zdm_conn pair_up(struct end *server, struct end *client, const char *url)
{
    end_init(server, 64, 64, 5000);
    end_init(client, 64, 64, 5000);
    server->admits = true;
    listen_on(server, url);
    zdm_conn conn = dial_to(client, server->url);
    until(server, client, &client->opened, 1);
    until(server, client, &server->opened, 1);
    return conn;
}

static void end_pair(struct end *server, struct end *client)
{
    zdm_net_nng_free(client->nng);
    zdm_net_nng_free(server->nng);
}

static void echo_over(const char *url, const char *peer)
{
    static struct end server, client;
    static uint8_t bytes[ZDM_FRAME_MAX];
    const size_t sizes[] = {1, 2, 1019, 1020, 1021, 1024, 5000, ZDM_FRAME_MAX - 1, ZDM_FRAME_MAX};
    zdm_conn conn = pair_up(&server, &client, url);
    server.echo = true;
    assert_string_equal(server.peer, peer);
    assert_true(server.incoming);
    assert_false(client.incoming);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(client.net.ops->send(client.net.self, conn, bytes, sizes[i]), ZDM_SEND_OK);
        until(&server, &client, &client.frames, (int)i + 1);
        assert_int_equal(client.last_n, sizes[i]);
        assert_memory_equal(client.last, bytes, sizes[i]);
    }
    end_pair(&server, &client);
}

static void frames_of_every_size_come_back_over_tcp(void **state)
{
    (void)state;
    echo_over("tcp://127.0.0.1:0", "127.0.0.1");
}

static void frames_of_every_size_come_back_over_a_unix_socket(void **state)
{
    char folder[] = "/tmp/zdm-net-XXXXXX", url[128], path[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/sock", folder);
    snprintf(url, sizeof url, "ipc://%s", path);
    echo_over(url, "local");
    echo_over(url, "local"); /* what the first one left behind is no obstacle */
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

static void port_zero_is_answered_with_the_port_that_was_given(void **state)
{
    static struct end server;
    struct zdm_error err;
    char url[256];
    (void)state;
    end_init(&server, 64, 16, 5000);
    listen_on(&server, "tcp://127.0.0.1:0");
    assert_true(strncmp(server.url, "tcp://127.0.0.1:", 16) == 0 && atoi(server.url + 16) > 0);
    assert_int_equal(server.net.ops->listen(server.net.self, server.url, url, sizeof url, &err), ZDM_EXISTS);
    assert_int_equal(server.net.ops->listen(server.net.self, "ws://127.0.0.1:0", url, sizeof url, &err), ZDM_INVALID);
    assert_int_equal(server.net.ops->listen(server.net.self, "tcp://127.0.0.1:none", url, sizeof url, &err),
                     ZDM_INVALID);
    zdm_net_nng_free(server.nng);
}

static void a_stream_cut_into_single_bytes_gives_whole_frames(void **state)
{
    static struct end server;
    const uint8_t stream[] = {0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 1, 'd'};
    (void)state;
    end_init(&server, 64, 16, 5000);
    listen_on(&server, "tcp://127.0.0.1:0");
    int fd = raw_connect(server.url);
    until(&server, NULL, &server.opened, 1);
    for (size_t i = 0; i < sizeof stream; i++) {
        raw_write(fd, stream + i, 1);
        pass_time(&server, NULL, 2);
    }
    until(&server, NULL, &server.frames, 2);
    assert_int_equal(server.bytes, 4);
    assert_int_equal(server.last[0], 'd');
    close(fd);
    until(&server, NULL, &server.closed, 1);
    assert_string_equal(server.why, "closed by the other side");
    zdm_net_nng_free(server.nng);
}

static void many_frames_in_one_write_come_one_by_one(void **state)
{
    static struct end server;
    uint8_t stream[100 * 5];
    (void)state;
    end_init(&server, 64, 16, 5000);
    listen_on(&server, "tcp://127.0.0.1:0");
    int fd = raw_connect(server.url);
    for (size_t i = 0; i < 100; i++)
        memcpy(stream + 5 * i, (const uint8_t[]){0, 0, 0, 1, (uint8_t)i}, 5);
    raw_write(fd, stream, sizeof stream);
    until(&server, NULL, &server.frames, 100);
    assert_int_equal(server.last[0], 99);
    close(fd);
    until(&server, NULL, &server.closed, 1);
    zdm_net_nng_free(server.nng);
}

static void wrong_length_closes(const uint8_t header[4], const char *why)
{
    static struct end server;
    char byte;
    end_init(&server, 64, 16, 5000);
    listen_on(&server, "tcp://127.0.0.1:0");
    int fd = raw_connect(server.url);
    raw_write(fd, header, 4);
    until(&server, NULL, &server.closed, 1);
    assert_int_equal(server.frames, 0);
    assert_string_equal(server.why, why);
    assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
    pass_time(&server, NULL, 20);
    assert_int_equal(server.closed, 1);
    zdm_net_nng_free(server.nng);
}

static void a_frame_that_is_too_long_closes_the_connection(void **state)
{
    (void)state;
    wrong_length_closes((const uint8_t[]){0, 1, 0, 1}, "frame is too long");
    wrong_length_closes((const uint8_t[]){0xff, 0xff, 0xff, 0xff}, "frame is too long");
}

static void an_empty_frame_closes_the_connection(void **state)
{
    (void)state;
    wrong_length_closes((const uint8_t[]){0, 0, 0, 0}, "frame is empty");
}

static void a_frame_of_wrong_length_is_not_sent(void **state)
{
    static struct end server, client;
    static uint8_t bytes[ZDM_FRAME_MAX + 1];
    (void)state;
    zdm_conn conn = pair_up(&server, &client, "tcp://127.0.0.1:0");
    assert_int_equal(client.net.ops->send(client.net.self, conn, bytes, sizeof bytes), ZDM_SEND_CLOSED);
    until(&server, &client, &client.closed, 1);
    until(&server, &client, &server.closed, 1);
    assert_int_equal(server.frames, 0);
    end_pair(&server, &client);
}

static void closed_comes_exactly_once_for_both_sides(void **state)
{
    static struct end server, client;
    (void)state;
    zdm_conn conn = pair_up(&server, &client, "tcp://127.0.0.1:0");
    client.net.ops->close(client.net.self, conn);
    client.net.ops->close(client.net.self, conn);
    assert_int_equal(client.closed, 0); /* upcalls come from poll only */
    zdm_net_nng_poll(client.nng, -1);
    until(&server, &client, &client.closed, 1);
    until(&server, &client, &server.closed, 1);
    client.net.ops->close(client.net.self, conn);
    pass_time(&server, &client, 30);
    assert_int_equal(client.closed, 1);
    assert_int_equal(server.closed, 1);
    assert_true(client.last_closed == conn);
    assert_int_equal(client.net.ops->send(client.net.self, conn, "x", 1), ZDM_SEND_CLOSED);
    end_pair(&server, &client);
}

static void an_upcall_may_close_its_own_connection(void **state)
{
    static struct end server, client;
    (void)state;
    zdm_conn conn = pair_up(&server, &client, "tcp://127.0.0.1:0");
    server.closes_on_frame = true;
    for (int i = 0; i < 10; i++)
        client.net.ops->send(client.net.self, conn, "close me", 8);
    until(&server, &client, &server.closed, 1);
    until(&server, &client, &client.closed, 1);
    assert_int_equal(server.frames, 1);
    end_pair(&server, &client);
}

static void a_number_is_never_used_again(void **state)
{
    static struct end server, client;
    (void)state;
    zdm_conn former = pair_up(&server, &client, "tcp://127.0.0.1:0");
    for (int i = 0; i < 20; i++) {
        client.net.ops->close(client.net.self, former);
        until(&server, &client, &client.closed, i + 1);
        zdm_conn next = dial_to(&client, server.url);
        assert_true(next > former);
        until(&server, &client, &client.opened, i + 2);
        former = next;
    }
    end_pair(&server, &client);
}

static void a_refused_dial_closes_without_having_opened(void **state)
{
    static struct end client;
    char url[64];
    (void)state;
    /* A port that was just free: bound, never listened on. */
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", ntohs(at.sin_port));
    end_init(&client, 64, 16, 5000);
    zdm_conn conn = dial_to(&client, url);
    until(&client, NULL, &client.closed, 1);
    assert_true(client.last_closed == conn);
    assert_int_equal(client.opened, 0);
    assert_string_equal(client.why, "connection refused");
    dial_to(&client, "ipc:///nonexistent/zdm.sock");
    until(&client, NULL, &client.closed, 2);
    assert_int_equal(client.opened, 0);
    close(fd);
    zdm_net_nng_free(client.nng);
}

static void a_dial_may_be_closed_before_its_answer(void **state)
{
    static struct end server, client;
    (void)state;
    end_init(&server, 64, 64, 5000);
    end_init(&client, 64, 64, 5000);
    listen_on(&server, "tcp://127.0.0.1:0");
    for (int i = 0; i < 20; i++) {
        zdm_conn conn = dial_to(&client, server.url);
        if (i % 2 != 0)
            usleep(2000); /* the answer may be on its way already */
        client.net.ops->close(client.net.self, conn);
    }
    until(&client, &server, &client.closed, 20);
    assert_int_equal(client.opened, 0);
    dial_to(&client, server.url); /* freed while dialling */
    end_pair(&server, &client);
}

static void the_gate_evicts_the_oldest_of_an_address(void **state)
{
    static struct end server;
    int fds[5];
    char byte;
    (void)state;
    end_init(&server, 64, 3, 60000);
    listen_on(&server, "tcp://127.0.0.1:0");
    for (int i = 0; i < 5; i++) {
        fds[i] = raw_connect(server.url);
        until(&server, NULL, &server.opened, i + 1);
    }
    until(&server, NULL, &server.closed, 2);
    assert_int_equal(server.evicted, 2);
    assert_int_equal(read(fds[0], &byte, 1), 0);
    assert_int_equal(read(fds[1], &byte, 1), 0);
    assert_int_equal(recv(fds[2], &byte, 1, MSG_DONTWAIT), -1);
    zdm_net_nng_admit(server.nng, server.last_opened); /* leaves its seat */
    int late = raw_connect(server.url);
    until(&server, NULL, &server.opened, 6);
    pass_time(&server, NULL, 20);
    assert_int_equal(server.closed, 2);
    for (int i = 0; i < 5; i++)
        close(fds[i]);
    close(late);
    until(&server, NULL, &server.closed, 6);
    zdm_net_nng_free(server.nng);
}

static void the_gate_evicts_the_oldest_of_all(void **state)
{
    static struct end server;
    int fds[4];
    (void)state;
    end_init(&server, 2, 16, 60000);
    listen_on(&server, "tcp://127.0.0.1:0");
    for (int i = 0; i < 4; i++) {
        fds[i] = raw_connect(server.url);
        until(&server, NULL, &server.opened, i + 1);
    }
    until(&server, NULL, &server.evicted, 2);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    zdm_net_nng_free(server.nng);
}

static void the_gate_times_out_strangers_and_nobody_else(void **state)
{
    static struct end server;
    (void)state;
    end_init(&server, 64, 16, 150);
    listen_on(&server, "tcp://127.0.0.1:0");
    int stranger = raw_connect(server.url);
    until(&server, NULL, &server.opened, 1);
    int known = raw_connect(server.url);
    until(&server, NULL, &server.opened, 2);
    zdm_net_nng_admit(server.nng, server.last_opened);
    int64_t start = now_ms();
    while (server.closed == 0)
        zdm_net_nng_poll(server.nng, -1); /* wakes by itself at the deadline */
    assert_true(now_ms() - start < 2000);
    assert_int_equal(server.overdue, 1);
    pass_time(&server, NULL, 200);
    assert_int_equal(server.closed, 1);
    close(stranger);
    close(known);
    until(&server, NULL, &server.closed, 2);
    assert_int_equal(server.overdue, 1);
    zdm_net_nng_free(server.nng);
}

/* The dialler speaks first, as in protocol 5. It must: where the kernel's queue of a listener overflows, the dialler
 * sees a connection that the listener learns of only by data. */
static void hundreds_of_connections_are_served(void **state)
{
    static struct end server, client;
    static zdm_conn conns[MANY];
    (void)state;
    end_init(&server, 64, 64, 5000);
    end_init(&client, 64, 64, 5000);
    server.admits = server.echo = client.greets = true;
    listen_on(&server, "tcp://127.0.0.1:0");
    for (int i = 0; i < MANY; i++)
        conns[i] = dial_to(&client, server.url);
    until(&server, &client, &client.frames, MANY);
    for (int i = 0; i < MANY / 2; i++)
        client.net.ops->close(client.net.self, conns[i]);
    until(&server, &client, &client.closed, MANY / 2);
    until(&server, &client, &server.closed, MANY / 2);
    assert_int_equal(server.closed, MANY / 2);
    end_pair(&server, &client); /* the other half is cut by free */
}

static void a_flood_is_answered_with_full_and_nothing_taken_is_lost(void **state)
{
    static struct end server, client;
    static uint8_t bytes[10000];
    int taken = 0, full = 0;
    (void)state;
    zdm_conn conn = pair_up(&server, &client, "tcp://127.0.0.1:0");
    /* The server does not poll: its kernel buffers fill, then ours. */
    while (full == 0) {
        enum zdm_send answer = client.net.ops->send(client.net.self, conn, bytes, sizeof bytes);
        assert_int_not_equal(answer, ZDM_SEND_CLOSED);
        answer == ZDM_SEND_OK ? taken++ : full++;
        zdm_net_nng_poll(client.nng, 0);
        assert_true(taken < 5000);
    }
    assert_true((size_t)taken * sizeof bytes >= 1000000);
    until(&server, &client, &server.frames, taken);
    assert_int_equal(server.bytes, (size_t)taken * sizeof bytes);
    assert_int_equal(client.net.ops->send(client.net.self, conn, bytes, sizeof bytes), ZDM_SEND_OK);
    until(&server, &client, &server.frames, taken + 1);
    end_pair(&server, &client);
}

static void last_words_are_sent_before_the_close(void **state)
{
    static struct end server, client;
    static uint8_t bytes[50000];
    (void)state;
    zdm_conn conn = pair_up(&server, &client, "tcp://127.0.0.1:0");
    for (int i = 0; i < 20; i++)
        assert_int_equal(client.net.ops->send(client.net.self, conn, bytes, sizeof bytes), ZDM_SEND_OK);
    client.net.ops->close_after_send(client.net.self, conn);
    assert_int_equal(client.net.ops->send(client.net.self, conn, bytes, 1), ZDM_SEND_CLOSED);
    until(&server, &client, &server.closed, 1);
    until(&server, &client, &client.closed, 1);
    assert_int_equal(server.frames, 20);
    end_pair(&server, &client);
}

static void last_words_wait_no_longer_than_a_second(void **state)
{
    static struct end client, server;
    static uint8_t bytes[50000];
    (void)state;
    zdm_conn conn = pair_up(&server, &client, "tcp://127.0.0.1:0");
    /* The server does not read: send until the kernel's buffers stay full, not only ours. */
    for (int full = 0; full < 100;) {
        full = client.net.ops->send(client.net.self, conn, bytes, sizeof bytes) == ZDM_SEND_OK ? 0 : full + 1;
        zdm_net_nng_poll(client.nng, 1);
    }
    int64_t start = now_ms();
    client.net.ops->close_after_send(client.net.self, conn);
    while (client.closed == 0)
        zdm_net_nng_poll(client.nng, -1);
    assert_in_range(now_ms() - start, 500, 3000);
    end_pair(&server, &client);
}

static void *wake_soon(void *arg)
{
    usleep(50000);
    zdm_net_nng_wake(arg);
    return NULL;
}

static void another_thread_wakes_the_loop(void **state)
{
    static struct end server;
    pthread_t thread;
    (void)state;
    end_init(&server, 64, 16, 5000);
    listen_on(&server, "tcp://127.0.0.1:0");
    assert_int_equal(pthread_create(&thread, NULL, wake_soon, server.nng), 0);
    int64_t start = now_ms();
    zdm_net_nng_poll(server.nng, -1);
    assert_in_range(now_ms() - start, 40, 5000);
    pthread_join(thread, NULL);
    zdm_net_nng_wake(server.nng); /* before the poll: it does not sleep */
    start = now_ms();
    zdm_net_nng_poll(server.nng, 5000);
    assert_true(now_ms() - start < 1000);
    start = now_ms();
    zdm_net_nng_poll(server.nng, 60);
    assert_in_range(now_ms() - start, 55, 2000);
    zdm_net_nng_free(server.nng);
}

/* What every thread of the soak does: dial, talk, leave without saying so. */
static void *come_and_go(void *arg)
{
    const char *url = arg;
    for (int i = 0; i < 60; i++) {
        int fd = raw_connect(url);
        raw_write(fd, (const uint8_t[]){0, 0, 0, 2, 'h', 'i', 0, 0}, (size_t)(4 + i % 5));
        close(fd);
    }
    return NULL;
}

static void peers_that_come_and_go_leave_nothing_behind(void **state)
{
    static struct end server;
    pthread_t threads[2];
    (void)state;
    end_init(&server, 8, 8, 5000);
    server.echo = true;
    listen_on(&server, "tcp://127.0.0.1:0");
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, server.url), 0);
    until(&server, NULL, &server.closed, 120);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(server.opened, 120);
    zdm_net_nng_free(server.nng);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_every_size_come_back_over_tcp),
        cmocka_unit_test(frames_of_every_size_come_back_over_a_unix_socket),
        cmocka_unit_test(port_zero_is_answered_with_the_port_that_was_given),
        cmocka_unit_test(a_stream_cut_into_single_bytes_gives_whole_frames),
        cmocka_unit_test(many_frames_in_one_write_come_one_by_one),
        cmocka_unit_test(a_frame_that_is_too_long_closes_the_connection),
        cmocka_unit_test(an_empty_frame_closes_the_connection),
        cmocka_unit_test(a_frame_of_wrong_length_is_not_sent),
        cmocka_unit_test(closed_comes_exactly_once_for_both_sides),
        cmocka_unit_test(an_upcall_may_close_its_own_connection),
        cmocka_unit_test(a_number_is_never_used_again),
        cmocka_unit_test(a_refused_dial_closes_without_having_opened),
        cmocka_unit_test(a_dial_may_be_closed_before_its_answer),
        cmocka_unit_test(the_gate_evicts_the_oldest_of_an_address),
        cmocka_unit_test(the_gate_evicts_the_oldest_of_all),
        cmocka_unit_test(the_gate_times_out_strangers_and_nobody_else),
        cmocka_unit_test(hundreds_of_connections_are_served),
        cmocka_unit_test(a_flood_is_answered_with_full_and_nothing_taken_is_lost),
        cmocka_unit_test(last_words_are_sent_before_the_close),
        cmocka_unit_test(last_words_wait_no_longer_than_a_second),
        cmocka_unit_test(another_thread_wakes_the_loop),
        cmocka_unit_test(peers_that_come_and_go_leave_nothing_behind),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
