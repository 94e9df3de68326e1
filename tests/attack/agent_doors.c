/*
 * agent_doors.c - three of the doors that only people's signatures open: going back, losing what new code wrote, and
 * purging. Every flaw at every door, and the right signatures as controls.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/attack/doors.h"

enum { HOUR_MS = 3600000 };

/* ---- Undo orders ---- */

enum order_flaw {
    ORDER_NONE_SIGNED,
    ORDER_CHANGED,
    ORDER_STRANGER,
    ORDER_VIEWER,
    ORDER_APPROVER,
    ORDER_FORMER,
    ORDER_COORDINATOR,
    ORDER_AGENT,
    ORDER_EXPIRED,
    ORDER_FUTURE,
    ORDER_OTHER_PLAN,
    ORDER_OTHER_MIGRATION,
    ORDER_OTHER_SHARD,
    ORDER_OTHER_FLEET,
    ORDER_OTHER_TYPE,
    ORDER_NOT_SO_FAR,
    ORDER_FLAWS
};

static struct zdm_envelope sign_order_as(const struct zdm_signing_key *key, const struct zdm_id *fleet,
                                         enum zdm_signed_type type, const struct zdm_undo_order *order)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    zdm_undo_order_encode(order, &body);
    return world_sign(key, fleet, type, &body);
}

static void spoil_order(struct world *w, struct zdm_undo_order *o, enum order_flaw flaw)
{
    if (flaw == ORDER_EXPIRED)
        o->expires_at_ms = world_now() - 1;
    if (flaw == ORDER_FUTURE)
        o->issued_at_ms = world_now() + HOUR_MS;
    if (flaw == ORDER_OTHER_PLAN)
        o->plan_hash = w->plans[PLAN_OTHER].plan->hash;
    if (flaw == ORDER_OTHER_MIGRATION)
        zdm_copy_text(o->migration, sizeof o->migration, "other");
    if (flaw == ORDER_NOT_SO_FAR)
        o->to_phase++;
    if (flaw == ORDER_OTHER_SHARD) {
        o->shards = doors_elsewhere;
        o->n_shards = 1;
    }
}

static struct zdm_envelope flawed_order(struct world *w, uint32_t to_phase, enum order_flaw flaw)
{
    const struct zdm_signing_key *const signers[ORDER_FLAWS] = {
        [ORDER_STRANGER] = &w->stranger,       [ORDER_VIEWER] = &w->vera,
        [ORDER_APPROVER] = &w->approver[0],    [ORDER_FORMER] = &w->fred,
        [ORDER_COORDINATOR] = &w->coordinator, [ORDER_AGENT] = &w->own_agent};
    const struct zdm_signing_key *key = signers[flaw] != NULL ? signers[flaw] : &w->omar;
    struct zdm_id fleet = flaw == ORDER_OTHER_FLEET ? world_nonce(w) : w->fleet;
    struct zdm_undo_order o = world_undo_order(w, to_phase);
    spoil_order(w, &o, flaw);
    struct zdm_envelope e =
        sign_order_as(key, &fleet, flaw == ORDER_OTHER_TYPE ? ZDM_SIGNED_APPROVAL : ZDM_SIGNED_UNDO_ORDER, &o);
    if (flaw == ORDER_NONE_SIGNED)
        memset(e.signature, 0, sizeof e.signature);
    if (flaw == ORDER_CHANGED)
        e.bytes[e.len - 1 - world_below(w, 40)] ^= 1;
    return e;
}

void liar_undo_orders(struct liar *l)
{
    static const char class_name[] = "lying coordinator: undo orders with every flaw";
    struct world *w = l->w;
    for (uint32_t to = 0; to < 3; to++)
        for (enum order_flaw flaw = 0; flaw < ORDER_FLAWS; flaw++) {
            struct zdm_approval like = world_approval(w, ZDM_APPROVE_UNDO, to);
            struct zdm_envelope approvals[DOORS_NEEDED], order = flawed_order(w, to, flaw);
            struct zdm_directive d = liar_directive(l, ZDM_MODE_UNDO, to);
            char what[64];
            doors_sign_pair(w, &w->approver[0], &w->approver[1], &like, approvals);
            d.undo_order = &order;
            liar_send(l, liar_with_approvals(&d, approvals, DOORS_NEEDED));
            count_sent(class_name, 1);
            snprintf(what, sizeof what, "flaw %d, to phase %u", (int)flaw, to);
            if (!liar_settle(l, &d))
                count_accepted(class_name, "%s: the agent does not come to rest", what);
            liar_check(l, class_name, what);
            doors_drop(approvals, DOORS_NEEDED);
            zdm_envelope_fini(&order);
        }
    struct zdm_directive d = liar_directive(l, ZDM_MODE_RUN, 3);
    count_control("orders without approvals to phases that need none", liar_obeyed(l, &d, 3), "after undo orders");
}

/* ---- What new code wrote ---- */

/* An order to phase 0 that one operator signed, begun where nothing is lost, and then taken all the way. */
static void stretch_an_order(struct liar *l)
{
    static const char class_name[] = "lying coordinator: an order to go back, stretched";
    struct world *w = l->w;
    struct zdm_undo_order order = world_undo_order(w, 0);
    struct zdm_envelope envelope = world_sign_undo(w, &w->omar, &order), approvals[DOORS_NEEDED];
    struct zdm_approval like = world_approval(w, ZDM_APPROVE_ENTER, 4);
    doors_sign_pair(w, &w->approver[0], &w->approver[1], &like, approvals);
    doors_enter(l, approvals, DOORS_NEEDED);
    for (uint32_t i = 0; i < 4; i++) {
        struct zdm_directive d = liar_directive(l, ZDM_MODE_UNDO, 3 - i);
        d.undo_order = &envelope;
        liar_send(l, &d);
        count_sent(class_name, 1);
        (void)liar_settle(l, &d);
        if (doors_is_hidden(l, "full_name"))
            count_accepted(class_name, "full_name is hidden, and nobody agreed to lose it");
    }
    doors_drop(approvals, DOORS_NEEDED);
    zdm_envelope_fini(&envelope);
    liar_go_back(l, 3);
}

/* Once used, an order begins nothing any more. */
static void use_an_order_twice(struct liar *l)
{
    static const char class_name[] = "lying coordinator: an undo order that was used";
    struct world *w = l->w;
    struct zdm_undo_order order = world_undo_order(w, 3);
    struct zdm_envelope envelope = world_sign_undo(w, &w->omar, &order), approvals[DOORS_NEEDED];
    for (unsigned i = 0; i < 4; i++) {
        struct zdm_approval like = world_approval(w, ZDM_APPROVE_ENTER, 4);
        if (i != 2 && i != 3) { /* the third and fourth time it is still there */
            doors_sign_pair(w, &w->approver[0], &w->approver[1], &like, approvals);
            doors_enter(l, approvals, DOORS_NEEDED);
            doors_drop(approvals, DOORS_NEEDED);
        }
        struct zdm_directive d = liar_directive(l, ZDM_MODE_UNDO, 3);
        d.undo_order = &envelope;
        if (i == 0) {
            count_control("rollbacks with an operator's order", liar_obeyed(l, &d, 3), "undo");
            d = liar_directive(l, ZDM_MODE_RUN, 3);
            count_control("orders without approvals to phases that need none", liar_obeyed(l, &d, 3), "run");
            continue;
        }
        liar_note(l);
        liar_send(l, &d);
        count_sent(class_name, 1);
        (void)liar_settle(l, &d);
        liar_check(l, class_name, "again");
    }
    zdm_envelope_fini(&envelope);
    liar_go_back(l, 3);
}

struct pair_flaw {
    enum zdm_approval_action action;
    uint32_t phase;
    int first, second; /* approvers; -1: none, -2: olga, -3: fred */
    int64_t expires_in_ms;
    bool elsewhere, now;
};

static const struct zdm_signing_key *who(struct world *w, int n)
{
    return n == -2 ? &w->olga : n == -3 ? &w->fred : &w->approver[n];
}

static size_t make_pair(struct world *w, const struct pair_flaw *f, struct zdm_envelope out[DOORS_NEEDED])
{
    const int keys[DOORS_NEEDED] = {f->first, f->second};
    size_t n = 0;
    for (size_t i = 0; i < DOORS_NEEDED; i++) {
        struct zdm_approval a = world_approval(w, f->action, f->phase);
        a.purge_now = f->now && f->action == ZDM_APPROVE_PURGE;
        a.expires_at_ms = world_now() + (f->expires_in_ms != 0 ? f->expires_in_ms : HOUR_MS);
        a.shards = f->elsewhere ? doors_elsewhere : NULL;
        a.n_shards = f->elsewhere ? 1 : 0;
        if (keys[i] != -1)
            out[n++] = world_sign_approval(w, who(w, keys[i]), &a);
    }
    return n;
}

/* Each of them with an order of that mode; none may change anything. */
static void try_pairs(struct liar *l, const char *class_name, enum zdm_mode mode, uint32_t goal,
                      const struct pair_flaw *flaws, size_t n_flaws)
{
    struct world *w = l->w;
    liar_note(l);
    for (size_t i = 0; i < n_flaws; i++) {
        struct zdm_undo_order order = world_undo_order(w, goal);
        struct zdm_envelope approvals[DOORS_NEEDED], envelope = world_sign_undo(w, &w->omar, &order);
        struct zdm_directive d = liar_directive(l, mode, goal);
        char what[64];
        d.undo_order = mode == ZDM_MODE_UNDO ? &envelope : NULL;
        size_t n = make_pair(w, &flaws[i], approvals);
        liar_send(l, liar_with_approvals(&d, approvals, n));
        count_sent(class_name, 1);
        (void)liar_settle(l, &d);
        snprintf(what, sizeof what, "flaw %zu", i);
        liar_check(l, class_name, what);
        doors_drop(approvals, n);
        zdm_envelope_fini(&envelope);
    }
}

static const struct pair_flaw undo_flaws[] = {
    {ZDM_APPROVE_UNDO, 0, -1, -1, 0, false, false}, {ZDM_APPROVE_UNDO, 0, 0, -1, 0, false, false},
    {ZDM_APPROVE_UNDO, 0, 0, 0, 0, false, false},   {ZDM_APPROVE_UNDO, 0, 0, 4, 0, false, false},
    {ZDM_APPROVE_UNDO, 0, 0, -2, 0, false, false},  {ZDM_APPROVE_UNDO, 0, 0, -3, 0, false, false},
    {ZDM_APPROVE_UNDO, 1, 0, 1, 0, false, false},   {ZDM_APPROVE_UNDO, 0, 0, 1, -1000, false, false},
    {ZDM_APPROVE_UNDO, 0, 0, 1, 0, true, false},    {ZDM_APPROVE_ENTER, 4, 0, 1, 0, false, false},
    {ZDM_APPROVE_PURGE, 0, 0, 1, 0, false, true},
};

void liar_losses(struct liar *l)
{
    struct world *w = l->w;
    stretch_an_order(l);
    use_an_order_twice(l);
    try_pairs(l, "lying coordinator: rollbacks that lose data, too few agree", ZDM_MODE_UNDO, 0, undo_flaws,
              sizeof undo_flaws / sizeof *undo_flaws);
    struct zdm_undo_order order = world_undo_order(w, 0);
    struct zdm_approval like = world_approval(w, ZDM_APPROVE_UNDO, 0);
    struct zdm_envelope envelope = world_sign_undo(w, &w->omar, &order), approvals[DOORS_NEEDED];
    doors_sign_pair(w, &w->approver[1], &w->approver[2], &like, approvals);
    struct zdm_directive d = liar_directive(l, ZDM_MODE_UNDO, 0);
    d.undo_order = &envelope;
    bool obeyed = liar_obeyed(l, liar_with_approvals(&d, approvals, DOORS_NEEDED), 0);
    count_control("rollbacks that lose data, with approvals", obeyed && doors_is_hidden(l, "full_name"), "undo to 0");
    doors_drop(approvals, DOORS_NEEDED);
    zdm_envelope_fini(&envelope);
    d = liar_directive(l, ZDM_MODE_RUN, 0);
    count_control("orders without approvals to phases that need none", liar_obeyed(l, &d, 0), "run");
}

/* ---- Purging ---- */

static unsigned hidden_columns(struct liar *l)
{
    char *text = world_sql(l->w, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'public.users'::regclass"
                                 " AND attname LIKE '~zdm%' AND NOT attisdropped");
    unsigned n = (unsigned)strtoul(text, NULL, 10);
    free(text);
    return n;
}

/* Enough people, but the grace period is not over, and nobody said now. */
static void purge_early(struct liar *l, enum zdm_mode mode, uint32_t goal, const struct pair_flaw *pair)
{
    static const char class_name[] = "lying coordinator: purge before its time";
    struct zdm_envelope approvals[DOORS_NEEDED];
    unsigned before = hidden_columns(l);
    for (unsigned i = 0; i < 3; i++) {
        struct zdm_directive d = liar_directive(l, mode, goal);
        size_t n = i == 0 ? make_pair(l->w, pair, approvals) : 0;
        liar_send(l, liar_with_approvals(&d, approvals, n));
        count_sent(class_name, 1);
        (void)liar_settle(l, &d);
        if (hidden_columns(l) != before)
            count_accepted(class_name, "what was hidden is gone");
        doors_drop(approvals, n);
    }
}

static void purge_now(struct liar *l, enum zdm_mode mode, uint32_t goal, const struct pair_flaw *pair)
{
    struct zdm_envelope approvals[DOORS_NEEDED];
    const int64_t until = world_now() + 10000;
    unsigned before = hidden_columns(l);
    struct zdm_directive d = liar_directive(l, mode, goal);
    size_t n = make_pair(l->w, pair, approvals);
    liar_send(l, liar_with_approvals(&d, approvals, n));
    while (hidden_columns(l) == before && world_now() < until)
        liar_serve(l, 20);
    (void)liar_settle(l, &d);
    count_control("purges that people want now", before > 0 && hidden_columns(l) < before, l->heard.blocked_by);
    doors_drop(approvals, n);
}

static const struct pair_flaw leftover_flaws[] = {
    {ZDM_APPROVE_PURGE, 0, -1, -1, 0, false, true}, {ZDM_APPROVE_PURGE, 0, 0, -1, 0, false, true},
    {ZDM_APPROVE_PURGE, 0, 0, 0, 0, false, true},   {ZDM_APPROVE_PURGE, 0, 0, 4, 0, false, true},
    {ZDM_APPROVE_PURGE, 0, 0, -2, 0, false, true},  {ZDM_APPROVE_PURGE, 0, 0, -3, 0, false, true},
    {ZDM_APPROVE_PURGE, 5, 0, 1, 0, false, true},   {ZDM_APPROVE_PURGE, 0, 0, 1, -1000, false, true},
    {ZDM_APPROVE_PURGE, 0, 0, 1, 0, true, true},    {ZDM_APPROVE_ENTER, 4, 0, 1, 0, false, false},
    {ZDM_APPROVE_UNDO, 0, 0, 1, 0, false, false},
};

void liar_leftovers(struct liar *l)
{
    static const struct pair_flaw early = {ZDM_APPROVE_PURGE, 0, 0, 1, 0, false, false};
    static const struct pair_flaw now = {ZDM_APPROVE_PURGE, 0, 0, 1, 0, false, true};
    try_pairs(l, "lying coordinator: purge of leftovers, too few agree", ZDM_MODE_PURGE, 0, leftover_flaws,
              sizeof leftover_flaws / sizeof *leftover_flaws);
    purge_early(l, ZDM_MODE_PURGE, 0, &early);
    purge_now(l, ZDM_MODE_PURGE, 0, &now);
}

static const struct pair_flaw purge_flaws[] = {
    {ZDM_APPROVE_PURGE, 5, -1, -1, 0, false, true}, {ZDM_APPROVE_PURGE, 5, 0, -1, 0, false, true},
    {ZDM_APPROVE_PURGE, 5, 0, 0, 0, false, true},   {ZDM_APPROVE_PURGE, 5, 0, -2, 0, false, true},
    {ZDM_APPROVE_PURGE, 0, 0, 1, 0, false, true},   {ZDM_APPROVE_PURGE, 5, 0, 1, -1000, false, true},
    {ZDM_APPROVE_PURGE, 5, 0, 1, 0, true, true},    {ZDM_APPROVE_ENTER, 5, 0, 1, 0, false, false},
    {ZDM_APPROVE_ENTER, 4, 0, 1, 0, false, false},  {ZDM_APPROVE_UNDO, 3, 0, 1, 0, false, false},
    {ZDM_APPROVE_PURGE, 5, 2, 3, 0, false, true}, /* approvers of former trust files */
};

/* With the people of version 3, who are put in the place of the first two approvers. */
void liar_purge(struct liar *l)
{
    static const struct pair_flaw early = {ZDM_APPROVE_PURGE, 5, 0, 1, 0, false, false};
    static const struct pair_flaw now = {ZDM_APPROVE_PURGE, 5, 0, 1, 0, false, true};
    struct world *w = l->w;
    struct zdm_approval like = world_approval(w, ZDM_APPROVE_ENTER, 4);
    struct zdm_envelope approvals[DOORS_NEEDED];
    doors_sign_pair(w, &w->approver[0], &w->approver[1], &like, approvals);
    struct zdm_directive d = liar_directive(l, ZDM_MODE_RUN, 4);
    liar_send(l, liar_with_approvals(&d, approvals, DOORS_NEEDED));
    count_sent("approvals of people whom the newer trust file does not name", 1);
    (void)liar_settle(l, &d);
    liar_check(l, "approvals of people whom the newer trust file does not name", "enter");
    doors_drop(approvals, DOORS_NEEDED);
    w->approver[0] = w->fresh[0];
    w->approver[1] = w->fresh[1];
    doors_sign_pair(w, &w->approver[0], &w->approver[1], &like, approvals);
    doors_enter(l, approvals, DOORS_NEEDED);
    doors_drop(approvals, DOORS_NEEDED);
    try_pairs(l, "lying coordinator: the purge phase, too few agree", ZDM_MODE_RUN, 5, purge_flaws,
              sizeof purge_flaws / sizeof *purge_flaws);
    purge_early(l, ZDM_MODE_RUN, 5, &early);
    purge_now(l, ZDM_MODE_RUN, 5, &now);
    /* What is gone is not brought back by anybody's order. */
    struct zdm_undo_order order = world_undo_order(w, 3);
    struct zdm_envelope envelope = world_sign_undo(w, &w->olga, &order);
    liar_note(l);
    d = liar_directive(l, ZDM_MODE_UNDO, 3);
    d.undo_order = &envelope;
    liar_send(l, &d);
    count_sent("lying coordinator: going back behind a purge", 1);
    (void)liar_settle(l, &d);
    liar_check(l, "lying coordinator: going back behind a purge", "undo");
    zdm_envelope_fini(&envelope);
}
