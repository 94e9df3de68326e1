/*
 * sim_net.h - the network between the nodes of a world, behind struct zdm_net.
 *
 * Streams keep order and lose nothing while they live; what can happen to them: delay, a cut (both ends learn of it,
 * each in its own time, what was on the way is lost), a silent death (one end never learns of it), a one- or two-way
 * partition (frames wait, new dials fail). A URL is "sim://N", N the number of the node that listens.
 */
#ifndef TESTS_SIM_SIM_NET_H
#define TESTS_SIM_SIM_NET_H

#include "common/net/net.h"
#include "tests/sim/world.h"

struct sim_net;

/* Somebody who hears every frame as it is given to the net, and just before it arrives. nth counts the frames that one
 * end of a connection has sent on it, from 0. */
struct sim_net_tap {
    void (*sent)(void *ctx, int from, int to, uint64_t nth, const uint8_t *bytes, size_t n);
    void (*arrives)(void *ctx, int from, int to, const uint8_t *bytes, size_t n);
    void *ctx;
};

struct sim_net *sim_net_new(struct world *world);
void sim_net_tap(struct sim_net *net, const struct sim_net_tap *tap);
void sim_net_free(struct sim_net *net);

/* The seam of one node's present incarnation; upcalls happen inside world_step. after_upcall (may be NULL) is called
 * behind each of them, so that the node's driver gets its turn. */
struct zdm_net sim_net_attach(struct sim_net *net, int node, const struct zdm_net_upcalls *upcalls,
                              void (*after_upcall)(void *ctx), void *ctx);
/* The node died: its connections go, seen by the peers or not. */
void sim_net_detach(struct sim_net *net, int node);

/* Faults. */
void sim_net_cut(struct sim_net *net, int node); /* one random connection of the node */
void sim_net_block(struct sim_net *net, int from, int to, bool blocked);
void sim_net_heal(struct sim_net *net); /* no partition, short delays */
void sim_net_delay(struct sim_net *net, int64_t min_ms, int64_t max_ms);

#endif
