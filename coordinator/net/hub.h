/*
 * hub.h - the coordinator's side of every connection: handshake, who it is, which frames it may send, sealing.
 *
 * Between the net seam, which carries bytes, and the driver, which wants frames of known senders. The hub decides
 * nothing about migrations; it closes whatever does not keep to the protocol, without a word (protocol 5).
 *
 *   stranger --hello/welcome/auth--> agent | person    known to the driver (`identify`)
 *                               \--> joiner            a key that nobody knows: may ask for the trust file and join
 *
 * Invariants. Nothing but the welcome is sent before auth was checked. An agent has at most one current session: a new
 * one replaces the old only after its auth. A frame that was sealed is sent or the connection is closed: the counter in
 * the seal allows no gap.
 *
 * Threads: one. Memory: the hub owns its peers; a peer lives until coord_hub_forget, which the driver calls when the
 * net says `closed`.
 */
#ifndef COORDINATOR_NET_HUB_H
#define COORDINATOR_NET_HUB_H

#include "common/base/seams.h"
#include "common/net/net.h"
#include "common/session/session.h"
#include "proto/codec.h"

enum {
    COORD_HANDSHAKE_MS = 5000,           /* from opening to auth */
    COORD_JOIN_MS = 30000,               /* a joiner's whole visit */
    COORD_SILENCE_MS = 25000,            /* an agent or person that is not heard for so long is gone */
    COORD_SESSION_MS = 24 * 3600 * 1000, /* then it must be made anew: keys do not live for ever */
    COORD_JOINERS_MAX = 64
};

enum coord_peer_kind { COORD_PEER_STRANGER, COORD_PEER_AGENT, COORD_PEER_JOINER, COORD_PEER_PERSON };

struct coord_peer {
    zdm_conn conn;
    enum coord_peer_kind kind;
    struct zdm_id key_id;
    struct zdm_hash public_key;
    char name[ZDM_NAME_MAX + 1]; /* the shard of an agent, the name of a person */
    char address[64];
    struct zdm_hash transcript;
    int64_t opened_at_ms, heard_at_ms;
    bool may_be_silent;                 /* a watcher only listens: what is sent to it shows whether it is there */
    bool closing;                       /* the hub or the driver has closed it: nothing of it counts any more */
    void *user;                         /* the driver's */
    size_t queued_frames, queued_bytes; /* the driver's: not taken yet */
    /* The hub's own. */
    struct zdm_session *session;
    uint8_t *unsent; /* sealed, but the net had no room */
    size_t unsent_n;
    struct coord_peer *next_by_conn, *next_by_agent;
    struct coord_peer *prev, *next; /* all peers, in order of opening */
};

/* Who has this key. */
enum coord_identity { COORD_KNOWN, COORD_STRANGE, COORD_REFUSED /* revoked */ };

struct coord_hub_config {
    const struct zdm_crypto *crypto;
    const struct zdm_random *random;
    const struct zdm_signing_key *key;
    struct zdm_id fleet, instance;
    /* Finds a key: fills the public key and the name. */
    enum coord_identity (*identify)(void *ctx, enum zdm_session_role role, const struct zdm_id *key_id,
                                    struct zdm_hash *out_public_key, char out_name[ZDM_NAME_MAX + 1]);
    /* The connection is authenticated (not called for joiners): it leaves the net's gate. May be NULL. */
    void (*admit)(void *ctx, zdm_conn conn);
    void *ctx;
};

struct coord_hub;

/* NULL without memory. The config is copied; what it points to is borrowed. */
struct coord_hub *coord_hub_new(const struct coord_hub_config *config, struct zdm_net net);
/* Frees all peers without closing their connections. */
void coord_hub_free(struct coord_hub *hub);

/* The net's upcall `opened`. */
void coord_hub_opened(struct coord_hub *hub, zdm_conn conn, const char *address, int64_t now_ms);

enum coord_take {
    COORD_TAKE_NOTHING, /* part of a handshake, or closed */
    COORD_TAKE_OPENED,  /* this frame was the auth: the peer is who it says */
    COORD_TAKE_FRAME    /* *out_frame is filled */
};
/* Takes the bytes of one frame. out_frame: to be freed by the caller (zdm_frame_fini); its borrowed bytes live until
 * the next call. *out_peer is the sender. */
enum coord_take coord_hub_take(struct coord_hub *hub, zdm_conn conn, const uint8_t *bytes, size_t n, int64_t now_ms,
                               struct coord_peer **out_peer, struct zdm_frame *out_frame);

/* Seals and sends. ZDM_SEND_FULL: the peer reads too slowly and the frame was not taken; try again later. Closed when
 * it cannot be sent at all. */
enum zdm_send coord_hub_send(struct coord_hub *hub, struct coord_peer *peer, const struct zdm_frame *frame);
/* Tries again to send what found no room; true while something is left. */
bool coord_hub_flush(struct coord_hub *hub);
/* Closes the connection; the net then says `closed`. bye: with last words, "" for none. */
void coord_hub_close(struct coord_hub *hub, struct coord_peer *peer, const char *bye);
/* Closes who is late with auth, visits too long or is silent. The number of connections closed. */
unsigned coord_hub_sweep(struct coord_hub *hub, int64_t now_ms);

/* The peer of a connection, NULL for none. */
struct coord_peer *coord_hub_find(const struct coord_hub *hub, zdm_conn conn);
/* The current session of an agent, NULL for none. */
struct coord_peer *coord_hub_agent(const struct coord_hub *hub, const struct zdm_id *agent);
/* All peers: first, then peer->next. */
struct coord_peer *coord_hub_first(const struct coord_hub *hub);
size_t coord_hub_count(const struct coord_hub *hub);
/* Frees the peer of a connection that the net has closed (user must be freed before). */
void coord_hub_forget(struct coord_hub *hub, zdm_conn conn);

#endif
