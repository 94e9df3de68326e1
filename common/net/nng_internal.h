/*
 * nng_internal.h - what the files of the nng network share: connections, listeners, and the queue between nng's threads
 * and the loop.
 *
 * Threads. One thread, the loop's, owns everything here but `shared`. nng runs callbacks on threads of its own; the
 * only callback there is (zdm_nng_done) puts the operation that finished into shared.done and wakes the loop. The queue
 * needs no memory and has a bound by construction: an operation is in it at most once, and starts again only after the
 * loop took it out.
 *
 * Memory. A connection is freed by the loop, at the end of a poll, once it is closing and neither of its operations is
 * on its way. So an upcall may close any connection, also its own, while a function above it on the stack holds it.
 *
 * No live connection has an aio time-out: nng 1.5.2 keeps those in lists that every operation would walk. Deadlines
 * (the gate's, last words, accepting again) are the loop's.
 */
#ifndef ZDM_NET_NNG_INTERNAL_H
#define ZDM_NET_NNG_INTERNAL_H

#include <pthread.h>
#include <sys/queue.h>

#include <nng/nng.h>

#include "common/base/buffer.h"
#include "common/net/frame_reader.h"
#include "common/net/gate.h"
#include "common/net/net.h"

enum {
    ZDM_NNG_SEND_MAX = 1024 * 1024, /* bytes that may wait to be sent on one connection, lengths counted */
    ZDM_NNG_SLOT_BITS = 18,         /* connections at once: 262144 */
    ZDM_NNG_SLOTS_MAX = 1 << ZDM_NNG_SLOT_BITS,
    ZDM_NNG_LISTENERS_MAX = 8,
    ZDM_NNG_DIAL_MS = 10000,      /* for name resolution and connect */
    ZDM_NNG_DRAIN_MS = 1000,      /* for last words */
    ZDM_NNG_ACCEPT_AGAIN_MS = 100 /* pause after accept failed: without descriptors it would fail in a tight loop */
};

enum zdm_nng_op_kind { ZDM_NNG_OP_IN /* dial, then receive */, ZDM_NNG_OP_OUT /* send */, ZDM_NNG_OP_ACCEPT };

/* One nng_aio and its place in the queue. */
struct zdm_nng_op {
    STAILQ_ENTRY(zdm_nng_op) link;
    struct zdm_net_nng *net;
    void *owner; /* struct zdm_nng_conn or struct zdm_nng_listener */
    nng_aio *aio;
    enum zdm_nng_op_kind kind;
    bool busy; /* started, and not yet taken out of the queue by the loop */
};

enum zdm_nng_state { ZDM_NNG_DIALLING, ZDM_NNG_OPEN, ZDM_NNG_CLOSING };

struct zdm_nng_conn {
    zdm_conn number;
    struct zdm_net_nng *net;
    enum zdm_nng_state state;
    bool opened;   /* the upcall was made */
    bool muted;    /* says its last words: frames that come are dropped */
    bool broken;   /* nothing can be sent any more, but frames may still come */
    bool draining; /* in net->draining */
    bool finished; /* in net->finished */
    nng_stream *stream;
    nng_stream_dialer *dialer;
    struct zdm_nng_op in, out;
    struct zdm_frame_reader reader;
    struct zdm_buffer sending, waiting; /* given to nng from sent_n on; behind it */
    size_t sent_n;
    struct zdm_gate_seat seat;
    int64_t drain_until_ms;
    TAILQ_ENTRY(zdm_nng_conn) drain_link;
    STAILQ_ENTRY(zdm_nng_conn) finish_link;
    char why[96];
};

struct zdm_nng_listener {
    nng_stream_listener *listener;
    struct zdm_nng_op accept;
    int64_t again_ms; /* when to accept again after a failure, or 0 */
};

STAILQ_HEAD(zdm_nng_ops_queue, zdm_nng_op);

struct zdm_net_nng {
    struct zdm_net_upcalls upcalls;
    struct zdm_gate gate;
    struct zdm_nng_listener *listeners[ZDM_NNG_LISTENERS_MAX];
    size_t n_listeners;
    struct zdm_nng_conn **slots; /* by the low bits of a connection's number */
    size_t n_slots, slots_cap;
    uint32_t *free_slots;
    size_t n_free, free_cap;
    uint64_t serial;                      /* the high bits of the next number */
    TAILQ_HEAD(, zdm_nng_conn) draining;  /* by drain_until_ms */
    STAILQ_HEAD(, zdm_nng_conn) finished; /* closing, nothing on its way: for `closed` and free */
    struct {
        pthread_mutex_t mutex;
        pthread_cond_t came;
        struct zdm_nng_ops_queue done;
        bool woken;
    } shared;
};

/* nng_net.c */
int64_t zdm_nng_now_ms(void);
/* Makes the aio of an operation; false without memory. */
bool zdm_nng_op_init(struct zdm_nng_op *op, struct zdm_net_nng *net, void *owner, enum zdm_nng_op_kind kind);

/* nng_conn.c */
struct zdm_nng_conn *zdm_nng_conn_new(struct zdm_net_nng *net, enum zdm_nng_state state);
struct zdm_nng_conn *zdm_nng_conn_find(const struct zdm_net_nng *net, zdm_conn number);
/* Starts to close; `closed` comes later, from the loop. */
void zdm_nng_conn_close(struct zdm_nng_conn *conn, const char *why);
/* A stream has come: tells the owner and starts to receive. */
void zdm_nng_conn_opened(struct zdm_nng_conn *conn, bool incoming, const char *peer);
void zdm_nng_conn_dialled(struct zdm_nng_conn *conn, int result);
void zdm_nng_conn_received(struct zdm_nng_conn *conn, int result);
void zdm_nng_conn_sent(struct zdm_nng_conn *conn, int result);
enum zdm_send zdm_nng_conn_send(struct zdm_nng_conn *conn, const void *bytes, size_t n);
void zdm_nng_conn_close_after_send(struct zdm_nng_conn *conn);
/* If closing and nothing is on its way: hands it to net->finished. */
void zdm_nng_conn_settle(struct zdm_nng_conn *conn);
/* Ends its operations and waits for their callbacks: none comes afterwards. */
void zdm_nng_conn_stop(struct zdm_nng_conn *conn);
/* Stops and frees; neither operation may be in the queue. */
void zdm_nng_conn_free(struct zdm_nng_conn *conn);

/* nng_endpoint.c */
enum zdm_code zdm_nng_listen(struct zdm_net_nng *net, const char *url, char *out_url, size_t size,
                             struct zdm_error *err) ZDM_CHECKED;
enum zdm_code zdm_nng_dial(struct zdm_net_nng *net, const char *url, zdm_conn *out_conn,
                           struct zdm_error *err) ZDM_CHECKED;
void zdm_nng_accepted(struct zdm_nng_listener *listener, int result);
void zdm_nng_accept_again(struct zdm_nng_listener *listener);
/* As for connections. */
void zdm_nng_listener_stop(struct zdm_nng_listener *listener);
void zdm_nng_listener_free(struct zdm_nng_listener *listener);

enum { ZDM_NNG_PEER_SIZE = 64 };
/* The other end's address as text, and as the number under which the gate counts it. */
uint64_t zdm_nng_peer(nng_stream *stream, char out_text[ZDM_NNG_PEER_SIZE]);

#endif
