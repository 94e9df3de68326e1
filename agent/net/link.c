/*
 * link.c - see link.h.
 */
#include "agent/net/link.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/backoff.h"

enum {
    SPREAD_MS = 3000, /* a fleet that lost its coordinator comes back over this time (protocol 5) */
    BACKOFF_MS = 500,
    BACKOFF_CAP_MS = 10000,
    RECENT_MS = 600000 /* a coordinator that was there so lately is being restarted: nobody waits longer than SPREAD */
};

struct agent_link {
    struct agent_link_config config;
    struct zdm_net net;
    struct agent_wire wire; /* conn 0: no connection */
    zdm_conn dialling;      /* not opened yet */
    size_t next_url, url;
    unsigned failures;
    int64_t dial_at_ms;
    int64_t began_ms; /* dialling, then open since */
    int64_t heard_ms;
    int64_t lost_ms; /* when the last session ended */
    bool open, was_ever_open;
};

struct agent_link *agent_link_new(const struct agent_link_config *config)
{
    struct agent_link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return NULL;
    link->config = *config;
    link->dial_at_ms = zdm_boot_ms(config->clock);
    return link;
}

void agent_link_free(struct agent_link *link)
{
    if (link == NULL)
        return;
    agent_wire_end(&link->wire);
    free(link);
}

void agent_link_attach(struct agent_link *link, struct zdm_net net)
{
    link->net = net;
}

bool agent_link_is_open(const struct agent_link *link)
{
    return link->open;
}

static bool is_idle(const struct agent_link *link)
{
    return link->wire.conn == 0 && link->dialling == 0;
}

/* After a session that was open, a whole fleet dials again: spread. After a failure: back off, another URL; a dial that
 * is refused costs nobody anything, so that a coordinator that restarts is found soon after it listens. */
static void plan_dial(struct agent_link *link, bool was_open)
{
    uint64_t random = zdm_random_u64(link->config.random);
    int64_t now = zdm_boot_ms(link->config.clock);
    if (was_open) {
        link->failures = 0;
        link->lost_ms = now;
        link->dial_at_ms = now + (int64_t)(random % SPREAD_MS);
        return;
    }
    bool recent = link->was_ever_open && now - link->lost_ms < RECENT_MS;
    link->failures++;
    link->dial_at_ms = now + zdm_backoff_ms(link->failures, BACKOFF_MS, recent ? SPREAD_MS : BACKOFF_CAP_MS, random);
}

static void end(struct agent_link *link, const char *why)
{
    bool was_open = link->open;
    link->open = false;
    if (link->dialling != 0)
        link->net.ops->close(link->net.self, link->dialling);
    link->dialling = 0;
    agent_wire_end(&link->wire);
    plan_dial(link, was_open);
    link->config.upcalls.closed(link->config.upcalls.ctx, was_open, why);
}

/* ---- Upcalls of the net ---- */

static void on_opened(void *ctx, zdm_conn conn, bool incoming, const char *peer)
{
    struct agent_link *link = ctx;
    (void)peer;
    if (incoming || conn != link->dialling)
        return;
    const struct agent_wire_config wire = {.crypto = link->config.crypto,
                                           .random = link->config.random,
                                           .key = link->config.key,
                                           .fleet = link->config.chain->fleet};
    link->dialling = 0;
    if (!agent_wire_start(&link->wire, &wire, link->net, conn))
        end(link, "could not greet the coordinator");
}

static void on_handshake_done(struct agent_link *link)
{
    link->open = link->was_ever_open = true;
    link->began_ms = zdm_boot_ms(link->config.clock);
    link->config.upcalls.opened(link->config.upcalls.ctx, link->config.urls[link->url]);
}

static void on_frame(void *ctx, zdm_conn conn, const uint8_t *bytes, size_t n)
{
    struct agent_link *link = ctx;
    struct zdm_frame frame;
    struct zdm_error err;
    struct zdm_trust_finder finder = {.crypto = link->config.crypto, .trust = &link->config.chain->trust};
    if (conn != link->wire.conn || conn == 0)
        return;
    link->heard_ms = zdm_boot_ms(link->config.clock);
    switch (agent_wire_take(&link->wire, bytes, n, zdm_trust_find_coordinator, &finder, &frame, &err)) {
    case AGENT_WIRE_FAILED:
        end(link, err.message);
        break;
    case AGENT_WIRE_OPENED:
        on_handshake_done(link);
        break;
    case AGENT_WIRE_FRAME:
        link->config.upcalls.frame(link->config.upcalls.ctx, &frame);
        zdm_frame_fini(&frame);
        break;
    }
}

static void on_closed(void *ctx, zdm_conn conn, const char *why)
{
    struct agent_link *link = ctx;
    if (conn == 0 || (conn != link->wire.conn && conn != link->dialling))
        return;
    if (conn == link->dialling)
        link->dialling = 0;
    else
        link->wire.conn = 0; /* closed already */
    end(link, why);
}

struct zdm_net_upcalls agent_link_net_upcalls(struct agent_link *link)
{
    return (struct zdm_net_upcalls){.opened = on_opened, .frame = on_frame, .closed = on_closed, .ctx = link};
}

/* ---- Time ---- */

static void dial(struct agent_link *link)
{
    struct zdm_error err;
    link->url = link->next_url;
    link->next_url = (link->next_url + 1) % link->config.n_urls;
    link->began_ms = link->heard_ms = zdm_boot_ms(link->config.clock);
    if (link->net.ops->dial(link->net.self, link->config.urls[link->url], &link->dialling, &err) == ZDM_OK)
        return;
    link->dialling = 0;
    end(link, err.message);
}

static int64_t deadline(const struct agent_link *link)
{
    if (!link->open)
        return link->began_ms + AGENT_DIAL_MS;
    int64_t silent = link->heard_ms + AGENT_SILENCE_MS, old = link->began_ms + AGENT_SESSION_MS;
    return silent < old ? silent : old;
}

int64_t agent_link_turn(struct agent_link *link)
{
    int64_t now = zdm_boot_ms(link->config.clock);
    if (is_idle(link)) {
        if (now < link->dial_at_ms)
            return link->dial_at_ms;
        dial(link);
        return is_idle(link) ? link->dial_at_ms : deadline(link);
    }
    if (now >= deadline(link)) {
        end(link, link->open ? "coordinator is silent" : "coordinator does not answer");
        return link->dial_at_ms;
    }
    return deadline(link);
}

bool agent_link_send(struct agent_link *link, const struct zdm_frame *frame)
{
    if (!link->open)
        return false;
    if (agent_wire_send(&link->wire, frame))
        return true;
    end(link, "could not send to the coordinator");
    return false;
}

void agent_link_restart(struct agent_link *link, const char *why, const char *prefer_url)
{
    for (size_t i = 0; i < link->config.n_urls; i++)
        if (prefer_url != NULL && strcmp(link->config.urls[i], prefer_url) == 0)
            link->next_url = i;
    if (!is_idle(link))
        end(link, why);
}

void agent_link_check_peer(struct agent_link *link)
{
    struct zdm_hash key;
    if (!link->open)
        return;
    struct zdm_id peer = zdm_session_peer(link->wire.session);
    if (!zdm_trust_coordinator(link->config.crypto, &link->config.chain->trust, &peer, &key))
        end(link, "the trust file does not name this coordinator any more");
}
