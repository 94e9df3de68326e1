/*
 * gate.h - who may stand unauthenticated in the door: a few seats, fewer per address, each for a few seconds; somebody
 * new gets the seat of whoever has stood there longest. Pure.
 *
 * Evicting the oldest rather than refusing the newest is what lets a real agent in under a flood: its handshake takes
 * milliseconds, while garbage stays for as long as it is let.
 */
#ifndef ZDM_NET_GATE_H
#define ZDM_NET_GATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/net/net.h"

/* Part of a connection. who: equal for connections of one address; 0: has no address, counted in all only. */
struct zdm_gate_seat {
    TAILQ_ENTRY(zdm_gate_seat) link;
    uint64_t who;
    int64_t since_ms;
    bool taken;
};

struct zdm_gate {
    TAILQ_HEAD(zdm_gate_seats, zdm_gate_seat) seats; /* oldest first */
    struct zdm_net_gate limits;
    unsigned n;
};

void zdm_gate_init(struct zdm_gate *gate, const struct zdm_net_gate *limits);
/* Gives a seat; returns the one that had to be taken from somebody for it (already left), or NULL. */
struct zdm_gate_seat *zdm_gate_enter(struct zdm_gate *gate, struct zdm_gate_seat *seat, uint64_t who, int64_t now_ms);
/* Nothing if the seat is not taken. */
void zdm_gate_leave(struct zdm_gate *gate, struct zdm_gate_seat *seat);
/* A seat whose time is over, or NULL. */
struct zdm_gate_seat *zdm_gate_overdue(const struct zdm_gate *gate, int64_t now_ms);
/* When the next seat's time is over; INT64_MAX when all are free. */
int64_t zdm_gate_deadline(const struct zdm_gate *gate);

#endif
