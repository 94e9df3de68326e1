/*
 * wire.c - see wire.h.
 */
#include "tests/attack/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/os/clock.h"
#include "common/os/crypto.h"
#include "common/session/internal.h"
#include "proto/trust_file.h"

enum { HANDSHAKE_MS = 6000, LENGTH_SIZE = 4, BACKLOG = 64 };

/* ---- Sockets ---- */

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

int wire_listen(int port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0)
        die("cannot listen");
    return fd;
}

int wire_free_port(void)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int fd = wire_listen(0);
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        die("getsockname");
    close(fd);
    return ntohs(address.sin_port);
}

static void open_wire(struct wire *w, int fd)
{
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    *w = (struct wire){.fd = fd, .in = malloc(WIRE_IN_MAX)};
    if (w->in == NULL)
        die("malloc");
}

bool wire_connect(struct wire *w, int port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *w = (struct wire){.fd = -1};
    if (fd < 0)
        die("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return false;
    }
    open_wire(w, fd);
    return true;
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) > 0;
}

bool wire_accept(struct wire *w, int listener, int timeout_ms)
{
    *w = (struct wire){.fd = -1};
    if (!is_readable(listener, timeout_ms))
        return false;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return false;
    open_wire(w, fd);
    return true;
}

void wire_close(struct wire *w)
{
    if (w->fd >= 0)
        close(w->fd);
    zdm_session_free(w->session);
    free(w->in);
    *w = (struct wire){.fd = -1};
}

/* ---- Frames ---- */

/* What the other side says meanwhile is taken in: two that only write would wait for each other. */
static bool take_in(struct wire *w)
{
    if (w->in_n == WIRE_IN_MAX)
        return true;
    ssize_t n = recv(w->fd, w->in + w->in_n, WIRE_IN_MAX - w->in_n, MSG_DONTWAIT);
    if (n > 0)
        w->in_n += (size_t)n;
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

bool wire_put(struct wire *w, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    while (n > 0 && w->fd >= 0) {
        struct pollfd p = {.fd = w->fd, .events = POLLIN | POLLOUT};
        if (poll(&p, 1, HANDSHAKE_MS) <= 0 || ((p.revents & POLLIN) != 0 && !take_in(w)))
            return false;
        if ((p.revents & POLLOUT) == 0)
            continue;
        ssize_t sent = send(w->fd, at, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        at += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
    }
    return w->fd >= 0;
}

bool wire_send(struct wire *w, const void *bytes, size_t n)
{
    uint8_t out[LENGTH_SIZE + ZDM_FRAME_MAX];
    if (n > ZDM_FRAME_MAX)
        return false;
    const uint32_t length = htonl((uint32_t)n);
    memcpy(out, &length, LENGTH_SIZE);
    memcpy(out + LENGTH_SIZE, bytes, n);
    return wire_put(w, out, LENGTH_SIZE + n);
}

static bool whole_frame(struct wire *w, uint8_t *out, size_t *out_n)
{
    uint32_t length;
    if (w->in_n < LENGTH_SIZE)
        return false;
    memcpy(&length, w->in, LENGTH_SIZE);
    length = ntohl(length);
    if (length > ZDM_FRAME_MAX || w->in_n < LENGTH_SIZE + (size_t)length)
        return false;
    memcpy(out, w->in + LENGTH_SIZE, length);
    *out_n = length;
    w->in_n -= LENGTH_SIZE + (size_t)length;
    memmove(w->in, w->in + LENGTH_SIZE + length, w->in_n);
    return true;
}

enum wire_got wire_recv(struct wire *w, int timeout_ms, uint8_t *out, size_t *out_n)
{
    const int64_t until = zdm_boot_ms(zdm_clock_system()) + timeout_ms;
    for (;;) {
        if (w->fd < 0)
            return WIRE_CLOSED;
        if (whole_frame(w, out, out_n))
            return WIRE_FRAME;
        int64_t left = until - zdm_boot_ms(zdm_clock_system());
        if (!is_readable(w->fd, left > 0 ? (int)left : 0))
            return WIRE_SILENT;
        if (!take_in(w))
            return WIRE_CLOSED;
    }
}

bool wire_is_closed(struct wire *w, int timeout_ms)
{
    static uint8_t dropped[ZDM_FRAME_MAX];
    const int64_t until = zdm_boot_ms(zdm_clock_system()) + timeout_ms;
    enum wire_got got;
    size_t n;
    do {
        int64_t left = until - zdm_boot_ms(zdm_clock_system());
        got = wire_recv(w, left > 0 ? (int)left : 0, dropped, &n);
    } while (got == WIRE_FRAME);
    return got == WIRE_CLOSED;
}

/* ---- Sessions ---- */

static bool finish_dialling(struct wire *w, const struct zdm_trust *trust)
{
    uint8_t hello[ZDM_HELLO_SIZE], bytes[ZDM_FRAME_MAX], auth[ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD];
    struct zdm_trust_finder finder = {.crypto = zdm_crypto_sodium(), .trust = trust};
    struct zdm_error err;
    size_t n;
    zdm_session_hello(w->session, hello);
    return wire_send(w, hello, sizeof hello) && wire_recv(w, HANDSHAKE_MS, bytes, &n) == WIRE_FRAME &&
           zdm_session_take_welcome(w->session, bytes, n, zdm_trust_find_coordinator, &finder, auth, &err) == ZDM_OK &&
           wire_send(w, auth, sizeof auth);
}

bool wire_dial(struct wire *w, int port, enum zdm_session_role role, const struct zdm_signing_key *key,
               const struct zdm_id *fleet, const struct zdm_trust *trust, bool joining)
{
    static const struct zdm_id any;
    struct zdm_frame frame;
    if (!wire_connect(w, port))
        return false;
    w->session = zdm_session_dial(zdm_crypto_sodium(), zdm_random_system(), role, key, fleet, &any, joining);
    if (w->session == NULL || !finish_dialling(w, trust) || wire_read(w, HANDSHAKE_MS, &frame) != WIRE_FRAME) {
        wire_close(w);
        return false;
    }
    bool greeted = frame.type == ZDM_FRAME_WELCOME;
    zdm_frame_fini(&frame);
    if (!greeted)
        wire_close(w);
    return greeted;
}

bool wire_greet(struct wire *w, const struct zdm_signing_key *coordinator, const struct zdm_id *fleet,
                const struct zdm_id *instance, struct zdm_id *out_key)
{
    uint8_t bytes[ZDM_FRAME_MAX], welcome[ZDM_WELCOME_SIZE], plain[ZDM_AUTH_SIZE];
    struct zdm_error err;
    size_t n;
    w->session = zdm_session_listen(zdm_crypto_sodium(), zdm_random_system(), coordinator, fleet, instance);
    if (w->session == NULL || wire_recv(w, HANDSHAKE_MS, bytes, &n) != WIRE_FRAME ||
        zdm_session_take_hello(w->session, bytes, n, welcome, &err) != ZDM_OK ||
        !wire_send(w, welcome, sizeof welcome) || wire_recv(w, HANDSHAKE_MS, bytes, &n) != WIRE_FRAME)
        return false;
    /* The auth frame is opened by hand: an attacker need not know the agent's public key. */
    const struct zdm_crypto *crypto = w->session->crypto;
    if (n != ZDM_AUTH_SIZE + ZDM_SEAL_OVERHEAD ||
        !crypto->open(crypto->self, plain, bytes, n, 0, w->session->keys.receive))
        return false;
    memcpy(out_key->bytes, plain + AUTH_KEY_ID, sizeof out_key->bytes);
    w->session->received = 1;
    w->session->state = ZDM_SESSION_OPEN;
    return true;
}

bool wire_seal_bytes(struct wire *w, const void *plain, size_t n)
{
    static uint8_t sealed[ZDM_FRAME_MAX];
    struct zdm_error err;
    return w->fd >= 0 && n + ZDM_SEAL_OVERHEAD <= sizeof sealed &&
           zdm_session_seal(w->session, plain, n, sealed, &err) == ZDM_OK &&
           wire_send(w, sealed, n + ZDM_SEAL_OVERHEAD);
}

bool wire_seal(struct wire *w, const struct zdm_frame *frame)
{
    struct zdm_buffer plain = ZDM_BUFFER_INIT;
    zdm_frame_encode(frame, &plain);
    bool sent = !plain.failed && wire_seal_bytes(w, plain.data, plain.len);
    zdm_buffer_fini(&plain);
    return sent;
}

enum wire_got wire_read(struct wire *w, int timeout_ms, struct zdm_frame *out)
{
    static uint8_t sealed[ZDM_FRAME_MAX], plain[ZDM_FRAME_MAX];
    struct zdm_error err;
    size_t n, plain_n;
    enum wire_got got = wire_recv(w, timeout_ms, sealed, &n);
    if (got != WIRE_FRAME)
        return got;
    if (n < ZDM_SEAL_OVERHEAD || zdm_session_open(w->session, sealed, n, plain, &plain_n, &err) != ZDM_OK ||
        zdm_frame_decode(plain, plain_n, out, &err) != ZDM_OK)
        return WIRE_CLOSED;
    return WIRE_FRAME;
}
