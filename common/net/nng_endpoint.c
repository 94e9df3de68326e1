/*
 * nng_endpoint.c - listening, accepting, dialling, and whose address is whose. See nng_internal.h.
 */
#include "common/net/nng_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Counts an IPv6 peer by its /64: whoever has one address of it has them all. Never 0. */
static uint64_t number_of_v6(const uint8_t address[16])
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | address[i];
    return number | UINT64_C(1) << 63;
}

uint64_t zdm_nng_peer(nng_stream *stream, char out_text[ZDM_NNG_PEER_SIZE])
{
    static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};
    nng_sockaddr address;
    zdm_copy_text(out_text, ZDM_NNG_PEER_SIZE, "local");
    if (nng_stream_get_addr(stream, NNG_OPT_REMADDR, &address) != 0)
        return 0;
    if (address.s_family == NNG_AF_INET) {
        inet_ntop(AF_INET, &address.s_in.sa_addr, out_text, ZDM_NNG_PEER_SIZE);
        return ntohl(address.s_in.sa_addr) | UINT64_C(1) << 32;
    }
    if (address.s_family != NNG_AF_INET6)
        return 0;
    const uint8_t *bytes = (const uint8_t *)address.s_in6.sa_addr;
    if (memcmp(bytes, mapped_prefix, sizeof mapped_prefix) != 0) {
        inet_ntop(AF_INET6, bytes, out_text, ZDM_NNG_PEER_SIZE);
        return number_of_v6(bytes);
    }
    uint32_t v4;
    memcpy(&v4, bytes + sizeof mapped_prefix, sizeof v4);
    inet_ntop(AF_INET, &v4, out_text, ZDM_NNG_PEER_SIZE);
    return ntohl(v4) | UINT64_C(1) << 32;
}

/* nng knows more schemes than protocol 5 does. */
static enum zdm_code check_url(const char *url, struct zdm_error *err)
{
    if (strncmp(url, "tcp://", 6) == 0 || strncmp(url, "ipc://", 6) == 0)
        return ZDM_OK;
    zdm_error_set(err, ZDM_INVALID, "\"%s\" is not an address", url);
    return zdm_error_hint(err, "Write tcp://HOST:PORT or ipc://PATH.");
}

static enum zdm_code from_nng(int result, const char *doing, const char *url, struct zdm_error *err)
{
    enum zdm_code code = ZDM_IO;
    if (result == NNG_ENOMEM)
        code = ZDM_NOMEM;
    else if (result == NNG_EADDRINVAL || result == NNG_EINVAL)
        code = ZDM_INVALID;
    else if (result == NNG_EADDRINUSE)
        code = ZDM_EXISTS;
    return zdm_error_set(err, code, "could not %s %s: %s", doing, url, nng_strerror(result));
}

static void start_accept(struct zdm_nng_listener *listener)
{
    listener->again_ms = 0;
    listener->accept.busy = true;
    nng_stream_listener_accept(listener->listener, listener->accept.aio);
}

void zdm_nng_listener_stop(struct zdm_nng_listener *listener)
{
    if (listener->listener != NULL)
        nng_stream_listener_close(listener->listener);
    if (listener->accept.aio != NULL)
        nng_aio_stop(listener->accept.aio);
}

void zdm_nng_listener_free(struct zdm_nng_listener *listener)
{
    zdm_nng_listener_stop(listener);
    if (listener->accept.aio != NULL) {
        nng_stream *stream = NULL; /* accepted while nobody was looking any more */
        if (listener->accept.busy && nng_aio_result(listener->accept.aio) == 0)
            stream = nng_aio_get_output(listener->accept.aio, 0);
        if (stream != NULL)
            nng_stream_free(stream);
        nng_aio_free(listener->accept.aio);
    }
    if (listener->listener != NULL)
        nng_stream_listener_free(listener->listener);
    free(listener);
}

/* The URL with the port that the system chose where it asked for any. */
static int bound_url(struct zdm_nng_listener *listener, const char *url, char *out_url, size_t size)
{
    int port = 0;
    const char *colon = strrchr(url, ':');
    if (strncmp(url, "tcp://", 6) != 0 || strcmp(colon, ":0") != 0)
        return zdm_copy_text(out_url, size, url) ? 0 : NNG_EINVAL;
    int result = nng_stream_listener_get_int(listener->listener, NNG_OPT_TCP_BOUND_PORT, &port);
    if (result != 0)
        return result;
    int n = snprintf(out_url, size, "%.*s:%d", (int)(colon - url), url, port);
    return n > 0 && (size_t)n < size ? 0 : NNG_EINVAL;
}

enum zdm_code zdm_nng_listen(struct zdm_net_nng *net, const char *url, char *out_url, size_t size,
                             struct zdm_error *err)
{
    enum zdm_code code = check_url(url, err);
    if (code != ZDM_OK)
        return code;
    if (net->n_listeners == ZDM_NNG_LISTENERS_MAX)
        return zdm_error_set(err, ZDM_LIMIT, "more than %d addresses to listen on", ZDM_NNG_LISTENERS_MAX);
    struct zdm_nng_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL || !zdm_nng_op_init(&listener->accept, net, listener, ZDM_NNG_OP_ACCEPT)) {
        free(listener);
        return zdm_error_set(err, ZDM_NOMEM, "out of memory while starting to listen");
    }
    int result = nng_stream_listener_alloc(&listener->listener, url);
    if (result == 0)
        result = nng_stream_listener_listen(listener->listener);
    if (result == 0)
        result = bound_url(listener, url, out_url, size);
    if (result != 0) {
        zdm_nng_listener_free(listener);
        return from_nng(result, "listen on", url, err);
    }
    net->listeners[net->n_listeners++] = listener;
    start_accept(listener);
    return ZDM_OK;
}

/* Lets a stream in through the gate; whoever stood there longest may have to go. */
static void let_in(struct zdm_net_nng *net, nng_stream *stream)
{
    char peer[ZDM_NNG_PEER_SIZE];
    struct zdm_nng_conn *conn = zdm_nng_conn_new(net, ZDM_NNG_OPEN);
    if (conn == NULL) {
        nng_stream_free(stream);
        return;
    }
    conn->stream = stream;
    uint64_t who = zdm_nng_peer(stream, peer);
    struct zdm_gate_seat *evicted = zdm_gate_enter(&net->gate, &conn->seat, who, zdm_nng_now_ms());
    if (evicted != NULL) {
        struct zdm_nng_conn *oldest =
            (struct zdm_nng_conn *)(void *)((char *)evicted - offsetof(struct zdm_nng_conn, seat));
        zdm_nng_conn_close(oldest, "evicted: too many connections that are not authenticated");
    }
    zdm_nng_conn_opened(conn, true, peer);
}

void zdm_nng_accepted(struct zdm_nng_listener *listener, int result)
{
    if (result == NNG_ECLOSED)
        return;
    if (result != 0) {
        listener->again_ms = zdm_nng_now_ms() + ZDM_NNG_ACCEPT_AGAIN_MS;
        return;
    }
    nng_stream *stream = nng_aio_get_output(listener->accept.aio, 0);
    start_accept(listener);
    let_in(listener->accept.net, stream);
}

void zdm_nng_accept_again(struct zdm_nng_listener *listener)
{
    start_accept(listener);
}

enum zdm_code zdm_nng_dial(struct zdm_net_nng *net, const char *url, zdm_conn *out_conn, struct zdm_error *err)
{
    enum zdm_code code = check_url(url, err);
    if (code != ZDM_OK)
        return code;
    struct zdm_nng_conn *conn = zdm_nng_conn_new(net, ZDM_NNG_DIALLING);
    if (conn == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "no room for another connection");
    int result = nng_stream_dialer_alloc(&conn->dialer, url);
    if (result != 0) {
        zdm_nng_conn_free(conn);
        return from_nng(result, "dial", url, err);
    }
    nng_aio_set_timeout(conn->in.aio, ZDM_NNG_DIAL_MS);
    conn->in.busy = true;
    *out_conn = conn->number;
    nng_stream_dialer_dial(conn->dialer, conn->in.aio);
    return ZDM_OK;
}
