/*
 * hub.c - see hub.h.
 */
#include "coordinator/net/hub.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/net/hub_table.h"

struct coord_hub {
    struct coord_hub_config config;
    struct zdm_net net;
    struct hub_table peers;
    unsigned n_joiners;
    size_t n_unsent;           /* peers with a frame that waits for room */
    struct zdm_buffer encoded; /* of the frame being sent */
    uint8_t sealed[ZDM_FRAME_MAX];
    uint8_t opened[ZDM_FRAME_MAX]; /* the frame taken last: what its pieces point into */
};

struct coord_hub *coord_hub_new(const struct coord_hub_config *config, struct zdm_net net)
{
    struct coord_hub *hub = calloc(1, sizeof *hub);
    if (hub == NULL)
        return NULL;
    hub->config = *config;
    hub->net = net;
    zdm_buffer_init(&hub->encoded, ZDM_FRAME_MAX - ZDM_SEAL_OVERHEAD);
    return hub;
}

static void free_peer(struct coord_hub *hub, struct coord_peer *peer)
{
    hub_table_remove(&hub->peers, peer);
    if (peer->kind == COORD_PEER_JOINER)
        hub->n_joiners--;
    if (peer->unsent != NULL)
        hub->n_unsent--;
    zdm_session_free(peer->session);
    free(peer->unsent);
    free(peer);
}

void coord_hub_free(struct coord_hub *hub)
{
    if (hub == NULL)
        return;
    while (hub->peers.first != NULL)
        free_peer(hub, hub->peers.first);
    hub_table_fini(&hub->peers);
    zdm_buffer_fini(&hub->encoded);
    hub->config.crypto->wipe(hub->config.crypto->self, hub->opened, sizeof hub->opened);
    free(hub);
}

/* ---- Opening and closing ---- */

void coord_hub_opened(struct coord_hub *hub, zdm_conn conn, const char *address, int64_t now_ms)
{
    struct coord_peer *peer = calloc(1, sizeof *peer);
    if (peer != NULL) {
        peer->conn = conn;
        peer->opened_at_ms = peer->heard_at_ms = now_ms;
        (void)zdm_copy_text(peer->address, sizeof peer->address, address);
        peer->session = zdm_session_listen(hub->config.crypto, hub->config.random, hub->config.key, &hub->config.fleet,
                                           &hub->config.instance);
    }
    if (peer == NULL || peer->session == NULL || !hub_table_add(&hub->peers, peer)) {
        if (peer != NULL)
            zdm_session_free(peer->session);
        free(peer);
        hub->net.ops->close(hub->net.self, conn);
    }
}

void coord_hub_close(struct coord_hub *hub, struct coord_peer *peer, const char *bye)
{
    if (peer->closing)
        return;
    bool said = false;
    if (bye[0] != '\0' && peer->kind != COORD_PEER_STRANGER) {
        struct zdm_frame frame = {.type = ZDM_FRAME_BYE};
        (void)zdm_copy_text(frame.u.bye.why, sizeof frame.u.bye.why, bye);
        said = coord_hub_send(hub, peer, &frame) == ZDM_SEND_OK;
    }
    peer->closing = true;
    if (said)
        hub->net.ops->close_after_send(hub->net.self, peer->conn);
    else
        hub->net.ops->close(hub->net.self, peer->conn);
}

void coord_hub_forget(struct coord_hub *hub, zdm_conn conn)
{
    struct coord_peer *peer = hub_table_find(&hub->peers, conn);
    if (peer != NULL)
        free_peer(hub, peer);
}

static bool is_late(const struct coord_peer *peer, int64_t now_ms)
{
    switch (peer->kind) {
    case COORD_PEER_STRANGER:
        return now_ms - peer->opened_at_ms > COORD_HANDSHAKE_MS;
    case COORD_PEER_JOINER:
        return now_ms - peer->opened_at_ms > COORD_JOIN_MS;
    case COORD_PEER_AGENT:
    case COORD_PEER_PERSON:
        return !peer->may_be_silent && now_ms - peer->heard_at_ms > COORD_SILENCE_MS;
    }
    return true;
}

unsigned coord_hub_sweep(struct coord_hub *hub, int64_t now_ms)
{
    unsigned n = 0;
    for (struct coord_peer *peer = hub->peers.first, *next; peer != NULL; peer = next) {
        next = peer->next;
        bool old = now_ms - peer->opened_at_ms > COORD_SESSION_MS;
        if (!peer->closing && (old || is_late(peer, now_ms))) {
            coord_hub_close(hub, peer, old ? "the session is a day old: dial again" : "");
            n++;
        }
    }
    return n;
}

/* ---- Handshake ---- */

static enum coord_take take_hello(struct coord_hub *hub, struct coord_peer *peer, const uint8_t *bytes, size_t n)
{
    uint8_t welcome[ZDM_WELCOME_SIZE];
    struct zdm_error err;
    if (zdm_session_take_hello(peer->session, bytes, n, welcome, &err) != ZDM_OK ||
        hub->net.ops->send(hub->net.self, peer->conn, welcome, sizeof welcome) != ZDM_SEND_OK)
        coord_hub_close(hub, peer, "");
    return COORD_TAKE_NOTHING;
}

struct finder {
    struct coord_hub *hub;
    enum zdm_session_role role;
    enum coord_identity identity;
    char name[ZDM_NAME_MAX + 1];
};

static bool find_key(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    struct finder *finder = ctx;
    const struct coord_hub_config *config = &finder->hub->config;
    finder->identity = config->identify(config->ctx, finder->role, key_id, out_public_key, finder->name);
    return finder->identity != COORD_STRANGE;
}

static bool admit_joiner(struct coord_hub *hub, struct coord_peer *peer, enum zdm_session_role role)
{
    if (role != ZDM_SESSION_AGENT || hub->n_joiners >= COORD_JOINERS_MAX)
        return false;
    peer->kind = COORD_PEER_JOINER;
    hub->n_joiners++;
    return true;
}

static void admit_known(struct coord_hub *hub, struct coord_peer *peer, const struct finder *finder)
{
    (void)zdm_copy_text(peer->name, sizeof peer->name, finder->name);
    peer->kind = finder->role == ZDM_SESSION_AGENT ? COORD_PEER_AGENT : COORD_PEER_PERSON;
    if (peer->kind == COORD_PEER_AGENT) {
        struct coord_peer *former = hub_table_make_current(&hub->peers, peer);
        if (former != NULL)
            coord_hub_close(hub, former, "a newer session of this agent has replaced this one");
    }
    if (hub->config.admit != NULL)
        hub->config.admit(hub->config.ctx, peer->conn);
}

static enum coord_take take_auth(struct coord_hub *hub, struct coord_peer *peer, const uint8_t *bytes, size_t n)
{
    struct finder finder = {.hub = hub, .role = zdm_session_role_of(peer->session), .identity = COORD_STRANGE};
    bool joining = false;
    struct zdm_error err;
    bool good = zdm_session_take_auth(peer->session, bytes, n, find_key, &finder, &peer->key_id, &peer->public_key,
                                      &joining, &err) == ZDM_OK;
    if (good && joining)
        good = admit_joiner(hub, peer, finder.role);
    else if (good && finder.identity == COORD_KNOWN)
        admit_known(hub, peer, &finder);
    else
        good = false;
    if (!good) {
        coord_hub_close(hub, peer, "");
        return COORD_TAKE_NOTHING;
    }
    peer->transcript = zdm_session_transcript(peer->session);
    return COORD_TAKE_OPENED;
}

/* ---- Frames ---- */

static enum zdm_frame_sender sender_of(const struct coord_peer *peer)
{
    switch (peer->kind) {
    case COORD_PEER_AGENT:
        return ZDM_SENDER_AGENT;
    case COORD_PEER_JOINER:
        return ZDM_SENDER_JOINER;
    case COORD_PEER_PERSON:
    case COORD_PEER_STRANGER:
        break;
    }
    return ZDM_SENDER_PERSON;
}

static enum coord_take take_frame(struct coord_hub *hub, struct coord_peer *peer, const uint8_t *bytes, size_t n,
                                  struct zdm_frame *out_frame)
{
    struct zdm_error err;
    size_t plain_n = 0;
    if (n > sizeof hub->opened || n < ZDM_SEAL_OVERHEAD ||
        zdm_session_open(peer->session, bytes, n, hub->opened, &plain_n, &err) != ZDM_OK ||
        zdm_frame_decode(hub->opened, plain_n, out_frame, &err) != ZDM_OK) {
        coord_hub_close(hub, peer, "");
        return COORD_TAKE_NOTHING;
    }
    if (!zdm_frame_allowed(out_frame->type, sender_of(peer))) {
        zdm_frame_fini(out_frame);
        coord_hub_close(hub, peer, "");
        return COORD_TAKE_NOTHING;
    }
    return COORD_TAKE_FRAME;
}

enum coord_take coord_hub_take(struct coord_hub *hub, zdm_conn conn, const uint8_t *bytes, size_t n, int64_t now_ms,
                               struct coord_peer **out_peer, struct zdm_frame *out_frame)
{
    struct coord_peer *peer = hub_table_find(&hub->peers, conn);
    if (peer == NULL || peer->closing)
        return COORD_TAKE_NOTHING;
    *out_peer = peer;
    peer->heard_at_ms = now_ms;
    switch (zdm_session_state_of(peer->session)) {
    case ZDM_SESSION_NEW:
        return take_hello(hub, peer, bytes, n);
    case ZDM_SESSION_WELCOMED:
        return take_auth(hub, peer, bytes, n);
    case ZDM_SESSION_OPEN:
        return take_frame(hub, peer, bytes, n, out_frame);
    case ZDM_SESSION_CLOSED:
        coord_hub_close(hub, peer, "");
        break;
    }
    return COORD_TAKE_NOTHING;
}

/* Sends what was sealed before and found no room. */
static enum zdm_send send_unsent(struct coord_hub *hub, struct coord_peer *peer)
{
    if (peer->unsent == NULL)
        return ZDM_SEND_OK;
    enum zdm_send result = hub->net.ops->send(hub->net.self, peer->conn, peer->unsent, peer->unsent_n);
    if (result == ZDM_SEND_OK) {
        free(peer->unsent);
        peer->unsent = NULL;
        hub->n_unsent--;
    }
    return result;
}

bool coord_hub_flush(struct coord_hub *hub)
{
    if (hub->n_unsent == 0)
        return false;
    for (struct coord_peer *peer = hub->peers.first; peer != NULL; peer = peer->next)
        if (!peer->closing)
            (void)send_unsent(hub, peer);
    return hub->n_unsent != 0;
}

/* The net did not take a sealed frame: it is kept and counts as sent. */
static enum zdm_send keep_unsent(struct coord_hub *hub, struct coord_peer *peer, size_t n)
{
    peer->unsent = zdm_memdup(hub->sealed, n);
    peer->unsent_n = n;
    if (peer->unsent != NULL) {
        hub->n_unsent++;
        return ZDM_SEND_OK;
    }
    peer->closing = true;
    hub->net.ops->close(hub->net.self, peer->conn);
    return ZDM_SEND_CLOSED;
}

enum zdm_send coord_hub_send(struct coord_hub *hub, struct coord_peer *peer, const struct zdm_frame *frame)
{
    struct zdm_error err;
    if (peer->closing || peer->kind == COORD_PEER_STRANGER)
        return ZDM_SEND_CLOSED;
    enum zdm_send result = send_unsent(hub, peer);
    if (result != ZDM_SEND_OK)
        return result;
    zdm_buffer_reset(&hub->encoded);
    zdm_frame_encode(frame, &hub->encoded);
    if (hub->encoded.failed ||
        zdm_session_seal(peer->session, hub->encoded.data, hub->encoded.len, hub->sealed, &err) != ZDM_OK) {
        peer->closing = true;
        hub->net.ops->close(hub->net.self, peer->conn);
        return ZDM_SEND_CLOSED;
    }
    size_t n = hub->encoded.len + ZDM_SEAL_OVERHEAD;
    result = hub->net.ops->send(hub->net.self, peer->conn, hub->sealed, n);
    return result == ZDM_SEND_FULL ? keep_unsent(hub, peer, n) : result;
}

/* ---- Look-ups ---- */

struct coord_peer *coord_hub_find(const struct coord_hub *hub, zdm_conn conn)
{
    return hub_table_find(&hub->peers, conn);
}

struct coord_peer *coord_hub_agent(const struct coord_hub *hub, const struct zdm_id *agent)
{
    return hub_table_agent(&hub->peers, agent);
}

struct coord_peer *coord_hub_first(const struct coord_hub *hub)
{
    return hub->peers.first;
}

size_t coord_hub_count(const struct coord_hub *hub)
{
    return hub->peers.n;
}
