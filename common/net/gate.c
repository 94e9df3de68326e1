/*
 * gate.c - see gate.h.
 *
 * The seats are few and scanned in a line; the oldest come first because all have the same time.
 */
#include "common/net/gate.h"

#include <stddef.h>

void zdm_gate_init(struct zdm_gate *gate, const struct zdm_net_gate *limits)
{
    TAILQ_INIT(&gate->seats);
    gate->limits = *limits;
    gate->n = 0;
}

/* The oldest seat that must go before somebody from `who` may enter, or NULL. */
static struct zdm_gate_seat *must_go(const struct zdm_gate *gate, uint64_t who)
{
    struct zdm_gate_seat *seat, *oldest = NULL;
    unsigned same = 0;
    TAILQ_FOREACH(seat, &gate->seats, link)
    {
        if (who == 0 || seat->who != who)
            continue;
        oldest = oldest != NULL ? oldest : seat;
        same++;
    }
    if (oldest != NULL && same >= gate->limits.per_address)
        return oldest;
    return gate->n >= gate->limits.handshake_slots ? TAILQ_FIRST(&gate->seats) : NULL;
}

struct zdm_gate_seat *zdm_gate_enter(struct zdm_gate *gate, struct zdm_gate_seat *seat, uint64_t who, int64_t now_ms)
{
    struct zdm_gate_seat *evicted = must_go(gate, who);
    if (evicted != NULL)
        zdm_gate_leave(gate, evicted);
    seat->who = who;
    seat->since_ms = now_ms;
    seat->taken = true;
    TAILQ_INSERT_TAIL(&gate->seats, seat, link);
    gate->n++;
    return evicted;
}

void zdm_gate_leave(struct zdm_gate *gate, struct zdm_gate_seat *seat)
{
    if (!seat->taken)
        return;
    TAILQ_REMOVE(&gate->seats, seat, link);
    seat->taken = false;
    gate->n--;
}

struct zdm_gate_seat *zdm_gate_overdue(const struct zdm_gate *gate, int64_t now_ms)
{
    return now_ms >= zdm_gate_deadline(gate) ? TAILQ_FIRST(&gate->seats) : NULL;
}

int64_t zdm_gate_deadline(const struct zdm_gate *gate)
{
    const struct zdm_gate_seat *oldest = TAILQ_FIRST(&gate->seats);
    return oldest != NULL ? oldest->since_ms + gate->limits.handshake_ms : INT64_MAX;
}
