/*
 * storm.c - directives by the thousand: changed ones, forged ones, and arbitrary ones with the real key. The shard is
 * at the end of the last phase that takes no signature: so nothing at all may change.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/attack/liar.h"

enum { IN_ONE_FRAME = 20, CHECK_EVERY = 500, POOL = 16, NAMES = 4 };

/* ---- Changed and forged ---- */

/* One that would let the shard into phase 4, were it the coordinator's. */
static struct zdm_envelope tempting(struct liar *l, const struct zdm_signing_key *key, const struct zdm_id *fleet,
                                    enum zdm_signed_type type)
{
    struct world *w = l->w;
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_envelope approvals[2];
    struct zdm_directive d = liar_directive(l, ZDM_MODE_RUN, 4);
    for (size_t i = 0; i < 2; i++) {
        struct zdm_approval a = world_approval(w, ZDM_APPROVE_ENTER, 4);
        approvals[i] = world_sign_approval(w, &w->approver[i], &a);
    }
    zdm_directive_encode(liar_with_approvals(&d, approvals, 2), &body);
    zdm_envelope_fini(&approvals[0]);
    zdm_envelope_fini(&approvals[1]);
    return world_sign(key, fleet, type, &body);
}

static void send_many(struct liar *l, const char *class_name, struct zdm_envelope *envelopes, size_t n)
{
    const struct zdm_frame frame = {.type = ZDM_FRAME_ORDERS, .u.envelopes = {.items = envelopes, .n = n}};
    if (!wire_seal(&l->wire, &frame))
        world_fail("%s: the agent has closed the session", class_name);
    count_sent(class_name, n);
    for (size_t i = 0; i < n; i++)
        zdm_envelope_fini(&envelopes[i]);
    liar_serve(l, 0);
}

static void change(struct world *w, struct zdm_envelope *e)
{
    size_t at = world_below(w, (uint32_t)(e->len + sizeof e->signature));
    uint8_t *byte = at < e->len ? &e->bytes[at] : &e->signature[at - e->len];
    *byte ^= (uint8_t)(1u << world_below(w, 8));
    if (world_below(w, 10) == 0)
        e->len -= world_below(w, (uint32_t)e->len - 1);
}

static void send_changed(struct liar *l, unsigned n)
{
    static const char class_name[] = "agent: directives, changed or cut";
    struct zdm_envelope out[IN_ONE_FRAME];
    for (unsigned i = 0; i < n; i += IN_ONE_FRAME) {
        struct zdm_envelope good = tempting(l, &l->w->coordinator, &l->w->fleet, ZDM_SIGNED_DIRECTIVE);
        for (size_t k = 0; k < IN_ONE_FRAME; k++) {
            if (!zdm_envelope_copy(&out[k], &good))
                world_fail("out of memory");
            change(l->w, &out[k]);
        }
        send_many(l, class_name, out, IN_ONE_FRAME);
        zdm_envelope_fini(&good);
    }
    liar_serve(l, 300);
    liar_check(l, class_name, "all of them");
}

static void send_forged(struct liar *l, unsigned n)
{
    static const char class_name[] = "agent: directives, of other keys, fleets, types, unsigned";
    struct world *w = l->w;
    const struct zdm_signing_key *const keys[] = {&w->stranger, &w->olga, &w->own_agent, &w->root[0], &w->coordinator};
    static const enum zdm_signed_type types[] = {ZDM_SIGNED_DIRECTIVE, ZDM_SIGNED_PLAN, ZDM_SIGNED_APPROVAL,
                                                 ZDM_SIGNED_REQUEST, ZDM_SIGNED_UNDO_ORDER};
    for (unsigned i = 0; i < n; i++) {
        struct zdm_id fleet = i % 3 == 0 ? world_nonce(w) : w->fleet;
        bool own = i % 5 == 4;
        struct zdm_envelope e =
            tempting(l, keys[i % 5], &fleet, own && i % 3 != 0 ? types[1 + i % 4] : types[i % 2 * (i / 5 % 5)]);
        if (i % 7 == 0)
            memset(e.signature, 0, sizeof e.signature);
        if (i % 5 == 0) /* says that it is the coordinator's */
            memcpy(e.bytes + 36, w->coordinator.id.bytes, 16);
        send_many(l, class_name, &e, 1);
    }
    liar_serve(l, 300);
    liar_check(l, class_name, "all of them");
}

/* ---- Arbitrary ones ---- */

struct pool {
    struct zdm_envelope approvals[POOL], orders[POOL];
    size_t n_approvals, n_orders;
};

static void pool_approval(struct liar *l, struct pool *p, const struct zdm_signing_key *key,
                          enum zdm_approval_action action, uint32_t phase)
{
    struct zdm_approval a = world_approval(l->w, action, phase);
    a.purge_now = action == ZDM_APPROVE_PURGE;
    p->approvals[p->n_approvals++] = world_sign_approval(l->w, key, &a);
}

static void pool_order(struct liar *l, struct pool *p, const struct zdm_signing_key *key, int flaw)
{
    struct zdm_undo_order order = world_undo_order(l->w, (uint32_t)flaw % 4);
    if (flaw == 1)
        order.expires_at_ms = world_now() - 1;
    if (flaw == 2)
        order.plan_hash = l->w->plans[PLAN_OTHER].plan->hash;
    if (flaw == 3)
        zdm_copy_text(order.migration, sizeof order.migration, "other");
    p->orders[p->n_orders++] = world_sign_undo(l->w, key, &order);
}

/* All that the attacker may hold and that does not suffice: one good approval of each kind, and bad ones. */
static void fill_pool(struct liar *l, struct pool *p)
{
    struct world *w = l->w;
    pool_approval(l, p, &w->approver[0], ZDM_APPROVE_ENTER, 4);
    pool_approval(l, p, &w->approver[0], ZDM_APPROVE_ENTER, 4);
    pool_approval(l, p, &w->approver[4], ZDM_APPROVE_ENTER, 4);
    pool_approval(l, p, &w->fred, ZDM_APPROVE_ENTER, 4);
    pool_approval(l, p, &w->olga, ZDM_APPROVE_ENTER, 4);
    pool_approval(l, p, &w->coordinator, ZDM_APPROVE_ENTER, 4);
    pool_approval(l, p, &w->approver[0], ZDM_APPROVE_PURGE, 5);
    pool_approval(l, p, &w->approver[0], ZDM_APPROVE_PURGE, 0);
    pool_approval(l, p, &w->fred, ZDM_APPROVE_PURGE, 5);
    pool_approval(l, p, &w->approver[0], ZDM_APPROVE_UNDO, 0);
    pool_approval(l, p, &w->vera, ZDM_APPROVE_UNDO, 0);
    pool_order(l, p, &w->stranger, 0);
    pool_order(l, p, &w->approver[0], 0);
    pool_order(l, p, &w->fred, 0);
    pool_order(l, p, &w->coordinator, 0);
    for (int flaw = 1; flaw <= 3; flaw++)
        pool_order(l, p, &w->omar, flaw);
    pool_order(l, p, &w->omar, 4); /* good, to phase 0: it loses what new code wrote, and nobody agreed to that */
}

static const char *const names[NAMES] = {"attack", "other", "silver", "nothing"};

static void pick_who(struct liar *l, struct zdm_directive *d)
{
    struct world *w = l->w;
    if (world_below(w, 6) == 0)
        zdm_copy_text(d->shard, sizeof d->shard, world_below(w, 2) == 0 ? "shard-2" : "shard-11");
    if (world_below(w, 6) == 0)
        d->actor = world_below(w, 2) == 0 ? w->own_agent.id : world_nonce(w);
    if (world_below(w, 6) == 0)
        zdm_copy_text(d->migration, sizeof d->migration, names[world_below(w, NAMES)]);
    if (world_below(w, 6) == 0)
        d->plan_hash = w->plans[world_below(w, PLAN_EVIL)].plan->hash;
    if (world_below(w, 20) == 0)
        world_bytes(w, d->plan_hash.bytes, sizeof d->plan_hash.bytes);
}

static void pick_fence(struct liar *l, struct zdm_directive *d)
{
    struct world *w = l->w;
    switch (world_below(w, 10)) {
    case 0: /* a new life */
        d->fence.epoch = l->epoch += 1 + world_below(w, 1000);
        d->fence.instance = l->instance = world_nonce(w);
        d->fence.generation = l->generation = 1 + world_below(w, 1000);
        break;
    case 1: /* an old one */
        d->fence.epoch = world_below(w, 1000);
        break;
    case 2: /* twice the same place */
        d->fence.generation--;
        break;
    case 3:
        d->fence.instance = world_nonce(w);
        break;
    case 4:
        d->fence.generation = l->generation += world_below(w, 100000);
        break;
    default:
        break;
    }
}

static void send_arbitrary(struct liar *l, const struct pool *p)
{
    static const enum zdm_mode modes[] = {ZDM_MODE_RUN, ZDM_MODE_PAUSE, ZDM_MODE_UNDO, ZDM_MODE_PURGE};
    struct world *w = l->w;
    struct zdm_envelope approvals[ZDM_APPROVALS_MAX], order;
    struct zdm_directive d = liar_directive(l, modes[world_below(w, 4)], world_below(w, 7));
    pick_who(l, &d);
    pick_fence(l, &d);
    d.throttle.duty_percent = world_below(w, 101);
    d.throttle.batch_target_ms = world_below(w, 1000);
    if (world_below(w, 8) == 0)
        d.attempt = world_below(w, l->attempt);
    if (world_below(w, 30) == 0)
        d.goal_phase = (uint32_t)world_random(w);
    size_t n = world_below(w, 2) == 0 ? 0 : world_below(w, ZDM_APPROVALS_MAX + 1);
    for (size_t i = 0; i < n; i++)
        approvals[i] = p->approvals[world_below(w, (uint32_t)p->n_approvals)];
    order = p->orders[world_below(w, (uint32_t)p->n_orders)];
    d.undo_order = d.mode == ZDM_MODE_UNDO ? &order : NULL;
    liar_send(l, liar_with_approvals(&d, approvals, n));
    count_sent("lying coordinator: arbitrary directives with the real key", 1);
}

static void send_storm(struct liar *l, unsigned n)
{
    static const char class_name[] = "lying coordinator: arbitrary directives with the real key";
    struct pool pool = {.n_orders = 0};
    fill_pool(l, &pool);
    for (unsigned i = 1; i <= n; i++) {
        send_arbitrary(l, &pool);
        liar_serve(l, (int)world_below(l->w, 4)); /* some are overtaken, most are accepted and acted upon */
        if (i % CHECK_EVERY == 0 || i == n) {
            liar_serve(l, 150);
            liar_check(l, class_name, "the last of them");
        }
    }
    for (size_t i = 0; i < pool.n_approvals; i++)
        zdm_envelope_fini(&pool.approvals[i]);
    for (size_t i = 0; i < pool.n_orders; i++)
        zdm_envelope_fini(&pool.orders[i]);
}

void liar_storm(struct liar *l, unsigned n_mutated, unsigned n_arbitrary)
{
    send_changed(l, n_mutated);
    send_forged(l, n_mutated / 10);
    send_storm(l, n_arbitrary);
    struct zdm_directive d = liar_directive(l, ZDM_MODE_RUN, 3);
    count_control("orders without approvals to phases that need none", liar_obeyed(l, &d, 3), "after the storm");
    liar_check(l, "lying coordinator: arbitrary directives with the real key", "after the storm");
}

void liar_replay(struct liar *l, const char *class_name)
{
    for (size_t i = 0; i < l->n_recorded; i++) {
        liar_send_envelope(l, &l->recorded[i]);
        count_sent(class_name, 1);
        if (i % IN_ONE_FRAME == 0)
            liar_serve(l, 2);
    }
    liar_serve(l, 500);
    liar_check(l, class_name, "all of them");
}
