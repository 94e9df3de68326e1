/*
 * link.h - the agent's link to its coordinator: dials one URL after the other with jittered back-off, keeps one sealed
 * session open, and gives up one that is silent.
 *
 * The link decides nothing about migrations. Threads: one; the net's upcalls do the work at once. Memory: everything in
 * the config is borrowed for the link's life; the trust chain may be replaced by its owner between calls.
 */
#ifndef AGENT_NET_LINK_H
#define AGENT_NET_LINK_H

#include "agent/net/wire.h"
#include "proto/trust_file.h"

enum {
    AGENT_URLS_MAX = 16,
    AGENT_DIAL_MS = 10000,    /* from dialling to the end of the handshake */
    AGENT_SILENCE_MS = 35000, /* reports are acknowledged every 10 s */
    AGENT_SESSION_MS = 24 * 3600 * 1000
};

struct agent_link_upcalls {
    void (*opened)(void *ctx, const char *url);
    /* The frame is the link's; its parts may be moved out. */
    void (*frame)(void *ctx, struct zdm_frame *frame);
    /* was_open: `opened` came before. */
    void (*closed)(void *ctx, bool was_open, const char *why);
    void *ctx;
};

struct agent_link_config {
    const struct zdm_clock *clock;
    const struct zdm_random *random;
    const struct zdm_crypto *crypto;
    const struct zdm_signing_key *key;
    const struct zdm_trust_chain *chain;
    const char *const *urls;
    size_t n_urls; /* 1 to AGENT_URLS_MAX */
    struct agent_link_upcalls upcalls;
};

struct agent_link;

/* NULL without memory. */
struct agent_link *agent_link_new(const struct agent_link_config *config);
void agent_link_free(struct agent_link *link);
struct zdm_net_upcalls agent_link_net_upcalls(struct agent_link *link);
void agent_link_attach(struct agent_link *link, struct zdm_net net);
/* Dials or gives up where it is time to; the next time (boot_ms) at which it wants to be called. */
int64_t agent_link_turn(struct agent_link *link);
bool agent_link_is_open(const struct agent_link *link);
/* False when there is no session, or this frame ended it. */
bool agent_link_send(struct agent_link *link, const struct zdm_frame *frame);
/* Ends the session and dials again: the coordinator said goodbye, or the trust file does not name it any more. */
void agent_link_restart(struct agent_link *link, const char *why, const char *prefer_url);
/* After the trust chain was replaced: ends the session if its coordinator is not in it. */
void agent_link_check_peer(struct agent_link *link);

#endif
