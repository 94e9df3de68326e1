/*
 * net.h - the network seam: connections that carry whole frames, in order, until one side closes (protocol 5, 12).
 *
 * The real one is nng's stream API (zdm_net_nng_new), the simulator's is a queue. A frame on the wire is a 4-byte
 * big-endian length and that many bytes, 1 to ZDM_FRAME_MAX.
 *
 * Contract. Upcalls come from zdm_net_poll only, on the thread that calls it: nng's callbacks just enqueue. An upcall
 * may call send and close, also of the connection at hand. `closed` comes exactly once per connection for which
 * `opened` came (also after close()), and is the last upcall with that connection; a dial that never opens gets
 * `closed` without `opened`. A connection's number is never used again. Bytes given to an upcall are borrowed until it
 * returns.
 */
#ifndef ZDM_NET_NET_H
#define ZDM_NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/limits.h"

typedef uint64_t zdm_conn; /* 0 is none */

enum zdm_send { ZDM_SEND_OK, ZDM_SEND_FULL /* too much waits already: the frame was not taken */, ZDM_SEND_CLOSED };

struct zdm_net_upcalls {
    /* incoming: accepted by a listener, else dialled. peer: address for the log and the gate ("10.0.0.7", "local"). */
    void (*opened)(void *ctx, zdm_conn conn, bool incoming, const char *peer);
    void (*frame)(void *ctx, zdm_conn conn, const uint8_t *bytes, size_t n);
    void (*closed)(void *ctx, zdm_conn conn, const char *why);
    void *ctx;
};

struct zdm_net_ops {
    /* Starts listening on a URL: tcp://host:port (port 0: any) or ipc://path. out_url (size bytes): the URL it got. */
    enum zdm_code (*listen)(void *self, const char *url, char *out_url, size_t size, struct zdm_error *err);
    /* Starts to dial; the answer is the upcall `opened` or `closed`. */
    enum zdm_code (*dial)(void *self, const char *url, zdm_conn *out_conn, struct zdm_error *err);
    /* Copies the frame and sends it behind what waits. Never blocks. */
    enum zdm_send (*send)(void *self, zdm_conn conn, const void *bytes, size_t n);
    /* Closes at once; what waits is lost. Unknown or closed numbers are ignored. */
    void (*close)(void *self, zdm_conn conn);
    /* Sends what waits, then closes (at most a second): for last words. */
    void (*close_after_send)(void *self, zdm_conn conn);
};

struct zdm_net {
    const struct zdm_net_ops *ops;
    void *self;
};

struct zdm_net_nng;

/* The real network; at most 1 MiB waits on a connection before send says FULL. handshake_slots: unauthenticated
 * incoming connections allowed at once, per_address of them from one address (an IPv6 /64 counts as one; unix sockets
 * have none); each for handshake_ms; a new one evicts the oldest. NULL without memory. */
struct zdm_net_gate {
    unsigned handshake_slots; /* 64 */
    unsigned per_address;     /* 16 */
    unsigned handshake_ms;    /* 5000 */
};
struct zdm_net_nng *zdm_net_nng_new(const struct zdm_net_gate *gate, const struct zdm_net_upcalls *upcalls);
/* Stops listening, closes all, waits for nng's callbacks, frees; makes no upcalls. */
void zdm_net_nng_free(struct zdm_net_nng *net);
struct zdm_net zdm_net_nng_seam(struct zdm_net_nng *net);
/* Tells the gate that a connection is authenticated: it leaves the gate's slots and time limit. */
void zdm_net_nng_admit(struct zdm_net_nng *net, zdm_conn conn);
/* Delivers what has come, waiting at most timeout_ms (-1: until something comes or zdm_net_nng_wake). It may return
 * earlier, with nothing delivered. */
void zdm_net_nng_poll(struct zdm_net_nng *net, int timeout_ms);
/* Makes a poll return; from any thread. */
void zdm_net_nng_wake(struct zdm_net_nng *net);

#endif
