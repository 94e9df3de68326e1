/*
 * agent_doors.c - the doors that only people's signatures open: going back, entering a phase that destroys, losing what
 * new code wrote, purging. Every flaw at every door, and the right signatures as controls.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/attack/liar.h"

enum { HOUR_MS = 3600000, KEYS_GONE = 1 /* alma */, NEEDED = 2 };

static char shard_9[] = "shard-9";
static char *elsewhere[] = {shard_9};

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
        o->shards = elsewhere;
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

/* Approvals that suffice for everything but what the caller attacks. */
static void sign_pair(struct world *w, const struct zdm_signing_key *a, const struct zdm_signing_key *b,
                      const struct zdm_approval *like, struct zdm_envelope out[NEEDED])
{
    const struct zdm_signing_key *const keys[NEEDED] = {a, b};
    for (size_t i = 0; i < NEEDED; i++) {
        struct zdm_approval approval = *like;
        approval.nonce = world_nonce(w);
        out[i] = world_sign_approval(w, keys[i], &approval);
    }
}

static void drop_all(struct zdm_envelope *envelopes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        zdm_envelope_fini(&envelopes[i]);
}

void liar_undo_orders(struct liar *l)
{
    static const char class_name[] = "lying coordinator: undo orders with every flaw";
    struct world *w = l->w;
    for (uint32_t to = 0; to < 3; to++)
        for (enum order_flaw flaw = 0; flaw < ORDER_FLAWS; flaw++) {
            struct zdm_approval like = world_approval(w, ZDM_APPROVE_UNDO, to);
            struct zdm_envelope approvals[NEEDED], order = flawed_order(w, to, flaw);
            struct zdm_directive d = liar_directive(l, ZDM_MODE_UNDO, to);
            char what[64];
            sign_pair(w, &w->approver[0], &w->approver[1], &like, approvals);
            d.undo_order = &order;
            liar_send(l, liar_with_approvals(&d, approvals, NEEDED));
            count_sent(class_name, 1);
            snprintf(what, sizeof what, "flaw %d, to phase %u", (int)flaw, to);
            if (!liar_settle(l, &d))
                count_accepted(class_name, "%s: the agent does not come to rest", what);
            liar_check(l, class_name, what);
            drop_all(approvals, NEEDED);
            zdm_envelope_fini(&order);
        }
    struct zdm_directive d = liar_directive(l, ZDM_MODE_RUN, 3);
    count_control("orders without approvals to phases that need none", liar_obeyed(l, &d, 3), "after undo orders");
}

/* ---- Approvals: every subset of five keys, with every flaw ---- */

enum approval_kind {
    KIND_VALID,
    KIND_DUPLICATE,
    KIND_EXPIRED,
    KIND_FUTURE,
    KIND_OTHER_PLAN,
    KIND_OTHER_MIGRATION,
    KIND_OTHER_PHASE,
    KIND_OTHER_DIGEST,
    KIND_OTHER_SHARD,
    KIND_PURGE,
    KIND_UNDO,
    KIND_NEWER_TRUST,
    KIND_SPENT,
    KIND_FORGED,
    KIND_OTHER_FLEET,
    KIND_OTHER_TYPE,
    KIND_OTHER_PEOPLE,
    KINDS
};

static const char *const kind_classes[KINDS] = {
    [KIND_VALID] = "approvals, subsets of 5 keys: too few, or revoked",
    [KIND_DUPLICATE] = "approvals, subsets of 5 keys: each twice, too few",
    [KIND_EXPIRED] = "approvals, subsets of 5 keys: expired",
    [KIND_FUTURE] = "approvals, subsets of 5 keys: from the future",
    [KIND_OTHER_PLAN] = "approvals, subsets of 5 keys: for another plan",
    [KIND_OTHER_MIGRATION] = "approvals, subsets of 5 keys: for another migration",
    [KIND_OTHER_PHASE] = "approvals, subsets of 5 keys: for another phase",
    [KIND_OTHER_DIGEST] = "approvals, subsets of 5 keys: for other steps",
    [KIND_OTHER_SHARD] = "approvals, subsets of 5 keys: for another shard",
    [KIND_PURGE] = "approvals, subsets of 5 keys: to purge, not to enter",
    [KIND_UNDO] = "approvals, subsets of 5 keys: to go back, not to enter",
    [KIND_NEWER_TRUST] = "approvals, subsets of 5 keys: of a newer trust file",
    [KIND_SPENT] = "approvals, subsets of 5 keys: spent",
    [KIND_FORGED] = "approvals, subsets of 5 keys: changed after signing",
    [KIND_OTHER_FLEET] = "approvals, subsets of 5 keys: of another fleet",
    [KIND_OTHER_TYPE] = "approvals, subsets of 5 keys: signed as another type",
    [KIND_OTHER_PEOPLE] = "approvals, subsets of 5 keys: signed by who may not",
};

static struct zdm_envelope spent[APPROVERS]; /* the one of each key that let the shard in before */

static struct zdm_approval flawed_approval(struct world *w, enum approval_kind kind)
{
    struct zdm_approval a = world_approval(w, ZDM_APPROVE_ENTER, 4);
    const struct zdm_plan *plan = w->plans[PLAN_ATTACK].plan;
    if (kind == KIND_EXPIRED)
        a.expires_at_ms = world_now() - 1;
    if (kind == KIND_FUTURE)
        a.issued_at_ms = world_now() + HOUR_MS;
    if (kind == KIND_OTHER_PLAN)
        a.plan_hash = w->plans[PLAN_OTHER].plan->hash;
    if (kind == KIND_OTHER_MIGRATION)
        zdm_copy_text(a.migration, sizeof a.migration, "other");
    if (kind == KIND_OTHER_PHASE) {
        a.phase = 5;
        a.phase_digest = plan->phases[4].digest;
    }
    if (kind == KIND_OTHER_DIGEST)
        a.phase_digest = plan->phases[2].digest;
    if (kind == KIND_OTHER_SHARD) {
        a.shards = elsewhere;
        a.n_shards = 1;
    }
    if (kind == KIND_PURGE)
        a.action = ZDM_APPROVE_PURGE;
    if (kind == KIND_UNDO) {
        a.action = ZDM_APPROVE_UNDO;
        memset(&a.phase_digest, 0, sizeof a.phase_digest);
    }
    if (kind == KIND_NEWER_TRUST)
        a.trust_version = w->version + 1;
    return a;
}

static struct zdm_envelope approval_of(struct world *w, size_t key, enum approval_kind kind)
{
    const struct zdm_signing_key *const others[APPROVERS] = {&w->olga, &w->omar, &w->vera, &w->fred, &w->coordinator};
    struct zdm_approval a = flawed_approval(w, kind);
    struct zdm_id fleet = kind == KIND_OTHER_FLEET ? world_nonce(w) : w->fleet;
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_envelope out;
    if (kind == KIND_SPENT && spent[key].bytes != NULL) {
        if (!zdm_envelope_copy(&out, &spent[key]))
            world_fail("out of memory");
        return out;
    }
    zdm_approval_encode(&a, &body);
    out = world_sign(kind == KIND_OTHER_PEOPLE ? others[key] : &w->approver[key], &fleet,
                     kind == KIND_OTHER_TYPE ? ZDM_SIGNED_UNDO_ORDER : ZDM_SIGNED_APPROVAL, &body);
    if (kind == KIND_FORGED)
        out.bytes[out.len - 1 - world_below(w, 60)] ^= (uint8_t)(1u << world_below(w, 8));
    return out;
}

static size_t make_subset(struct world *w, unsigned subset, enum approval_kind kind,
                          struct zdm_envelope out[ZDM_APPROVALS_MAX])
{
    size_t n = 0;
    for (size_t key = 0; key < APPROVERS; key++)
        for (unsigned times = 0; (subset >> key & 1) != 0 && times < (kind == KIND_DUPLICATE ? 2u : 1u); times++)
            out[n++] = approval_of(w, key, kind);
    return n;
}

/* The trust file in force knows four of the five keys. */
static bool suffices(unsigned subset, enum approval_kind kind)
{
    unsigned n = 0;
    for (size_t key = 0; key < APPROVERS - KEYS_GONE; key++)
        n += subset >> key & 1;
    return (kind == KIND_VALID || kind == KIND_DUPLICATE) && n >= NEEDED;
}

static bool is_hidden(struct liar *l, const char *column)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM pg_attribute WHERE attrelid = 'public.users'::regclass AND attname = '%s'", column);
    char *text = world_sql(l->w, sql);
    bool hidden = text[0] == '0';
    free(text);
    return hidden;
}

static void note_spent(unsigned subset, const struct zdm_envelope *approvals)
{
    size_t n = 0;
    for (size_t key = 0; key < APPROVERS && n < NEEDED; key++)
        if ((subset >> key & 1) != 0 && key < APPROVERS - KEYS_GONE) {
            zdm_envelope_fini(&spent[key]);
            if (!zdm_envelope_copy(&spent[key], &approvals[n++]))
                world_fail("out of memory");
        }
}

static void enter(struct liar *l, struct zdm_envelope *approvals, size_t n)
{
    struct zdm_directive d = liar_directive(l, ZDM_MODE_RUN, 4);
    bool obeyed = liar_obeyed(l, liar_with_approvals(&d, approvals, n), 4);
    count_control("subsets of approvals that suffice", obeyed && is_hidden(l, "name"), "enter phase 4");
}

static void try_subset(struct liar *l, unsigned subset, enum approval_kind kind, const struct zdm_envelope *good)
{
    struct zdm_envelope approvals[ZDM_APPROVALS_MAX];
    size_t n = make_subset(l->w, subset, kind, approvals), own = n;
    if (good != NULL)
        approvals[n++] = *good;
    if (suffices(subset, kind)) {
        enter(l, approvals, n);
        if (kind == KIND_VALID)
            note_spent(subset, approvals);
        liar_go_back(l, 3);
        liar_note(l);
    } else {
        struct zdm_directive d = liar_directive(l, ZDM_MODE_RUN, 4);
        if (!liar_order(l, liar_with_approvals(&d, approvals, n)))
            world_fail("%s: the directive is not accepted", kind_classes[kind]);
        count_sent(kind_classes[kind], 1);
    }
    drop_all(approvals, own);
}

/* Twice: alone, and beside one good approval of asta, which is not enough by itself. */
static void try_kind(struct liar *l, enum approval_kind kind)
{
    struct world *w = l->w;
    struct zdm_envelope good = approval_of(w, 2, KIND_VALID);
    for (unsigned subset = 0; subset < 1u << APPROVERS; subset++)
        if (kind != KIND_DUPLICATE || !suffices(subset, kind) || subset % 7 == 0)
            try_subset(l, subset, kind, NULL);
    for (unsigned subset = 0; subset < 1u << APPROVERS && kind > KIND_DUPLICATE; subset++)
        try_subset(l, subset, kind, &good);
    struct zdm_directive d = liar_directive(l, ZDM_MODE_RUN, 4);
    liar_send(l, &d);
    if (!liar_settle(l, &d) || l->heard.wait != ZDM_WAIT_APPROVALS)
        count_accepted(kind_classes[kind], "the agent does not wait for approvals");
    liar_check(l, kind_classes[kind], "some subset");
    zdm_envelope_fini(&good);
}

void liar_approvals(struct liar *l)
{
    liar_note(l);
    for (enum approval_kind kind = 0; kind < KINDS; kind++)
        try_kind(l, kind);
    drop_all(spent, APPROVERS);
}

/* ---- What new code wrote ---- */

/* An order to phase 0 that one operator signed, begun where nothing is lost, and then taken all the way. */
static void stretch_an_order(struct liar *l)
{
    static const char class_name[] = "lying coordinator: an order to go back, stretched";
    struct world *w = l->w;
    struct zdm_undo_order order = world_undo_order(w, 0);
    struct zdm_envelope envelope = world_sign_undo(w, &w->omar, &order), approvals[NEEDED];
    struct zdm_approval like = world_approval(w, ZDM_APPROVE_ENTER, 4);
    sign_pair(w, &w->approver[0], &w->approver[1], &like, approvals);
    enter(l, approvals, NEEDED);
    for (uint32_t i = 0; i < 4; i++) {
        struct zdm_directive d = liar_directive(l, ZDM_MODE_UNDO, 3 - i);
        d.undo_order = &envelope;
        liar_send(l, &d);
        count_sent(class_name, 1);
        (void)liar_settle(l, &d);
        if (is_hidden(l, "full_name"))
            count_accepted(class_name, "full_name is hidden, and nobody agreed to lose it");
    }
    drop_all(approvals, NEEDED);
    zdm_envelope_fini(&envelope);
    liar_go_back(l, 3);
}

/* Once used, an order begins nothing any more. */
static void use_an_order_twice(struct liar *l)
{
    static const char class_name[] = "lying coordinator: an undo order that was used";
    struct world *w = l->w;
    struct zdm_undo_order order = world_undo_order(w, 3);
    struct zdm_envelope envelope = world_sign_undo(w, &w->omar, &order), approvals[NEEDED];
    for (unsigned i = 0; i < 4; i++) {
        struct zdm_approval like = world_approval(w, ZDM_APPROVE_ENTER, 4);
        if (i != 2 && i != 3) { /* the third and fourth time it is still there */
            sign_pair(w, &w->approver[0], &w->approver[1], &like, approvals);
            enter(l, approvals, NEEDED);
            drop_all(approvals, NEEDED);
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

static size_t make_pair(struct world *w, const struct pair_flaw *f, struct zdm_envelope out[NEEDED])
{
    const int keys[NEEDED] = {f->first, f->second};
    size_t n = 0;
    for (size_t i = 0; i < NEEDED; i++) {
        struct zdm_approval a = world_approval(w, f->action, f->phase);
        a.purge_now = f->now && f->action == ZDM_APPROVE_PURGE;
        a.expires_at_ms = world_now() + (f->expires_in_ms != 0 ? f->expires_in_ms : HOUR_MS);
        a.shards = f->elsewhere ? elsewhere : NULL;
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
        struct zdm_envelope approvals[NEEDED], envelope = world_sign_undo(w, &w->omar, &order);
        struct zdm_directive d = liar_directive(l, mode, goal);
        char what[64];
        d.undo_order = mode == ZDM_MODE_UNDO ? &envelope : NULL;
        size_t n = make_pair(w, &flaws[i], approvals);
        liar_send(l, liar_with_approvals(&d, approvals, n));
        count_sent(class_name, 1);
        (void)liar_settle(l, &d);
        snprintf(what, sizeof what, "flaw %zu", i);
        liar_check(l, class_name, what);
        drop_all(approvals, n);
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
    struct zdm_envelope envelope = world_sign_undo(w, &w->omar, &order), approvals[NEEDED];
    sign_pair(w, &w->approver[1], &w->approver[2], &like, approvals);
    struct zdm_directive d = liar_directive(l, ZDM_MODE_UNDO, 0);
    d.undo_order = &envelope;
    bool obeyed = liar_obeyed(l, liar_with_approvals(&d, approvals, NEEDED), 0);
    count_control("rollbacks that lose data, with approvals", obeyed && is_hidden(l, "full_name"), "undo to 0");
    drop_all(approvals, NEEDED);
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
    struct zdm_envelope approvals[NEEDED];
    unsigned before = hidden_columns(l);
    for (unsigned i = 0; i < 3; i++) {
        struct zdm_directive d = liar_directive(l, mode, goal);
        size_t n = i == 0 ? make_pair(l->w, pair, approvals) : 0;
        liar_send(l, liar_with_approvals(&d, approvals, n));
        count_sent(class_name, 1);
        (void)liar_settle(l, &d);
        if (hidden_columns(l) != before)
            count_accepted(class_name, "what was hidden is gone");
        drop_all(approvals, n);
    }
}

static void purge_now(struct liar *l, enum zdm_mode mode, uint32_t goal, const struct pair_flaw *pair)
{
    struct zdm_envelope approvals[NEEDED];
    const int64_t until = world_now() + 10000;
    unsigned before = hidden_columns(l);
    struct zdm_directive d = liar_directive(l, mode, goal);
    size_t n = make_pair(l->w, pair, approvals);
    liar_send(l, liar_with_approvals(&d, approvals, n));
    while (hidden_columns(l) == before && world_now() < until)
        liar_serve(l, 20);
    (void)liar_settle(l, &d);
    count_control("purges that people want now", before > 0 && hidden_columns(l) < before, l->heard.blocked_by);
    drop_all(approvals, n);
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
    struct zdm_envelope approvals[NEEDED];
    sign_pair(w, &w->approver[0], &w->approver[1], &like, approvals);
    struct zdm_directive d = liar_directive(l, ZDM_MODE_RUN, 4);
    liar_send(l, liar_with_approvals(&d, approvals, NEEDED));
    count_sent("approvals of people whom the newer trust file does not name", 1);
    (void)liar_settle(l, &d);
    liar_check(l, "approvals of people whom the newer trust file does not name", "enter");
    drop_all(approvals, NEEDED);
    w->approver[0] = w->fresh[0];
    w->approver[1] = w->fresh[1];
    sign_pair(w, &w->approver[0], &w->approver[1], &like, approvals);
    enter(l, approvals, NEEDED);
    drop_all(approvals, NEEDED);
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

/* ---- Plans ---- */

static void offer_plan(struct liar *l, const char *migration, const struct zdm_hash *hash,
                       const struct zdm_envelope *plan)
{
    static const char class_name[] = "lying coordinator: plans unsigned, forged, changed, for others";
    const int64_t until = world_now() + 6000;
    struct zdm_directive d = liar_directive(l, ZDM_MODE_RUN, 1);
    unsigned asked = l->plans_asked;
    zdm_copy_text(d.migration, sizeof d.migration, migration);
    d.plan_hash = *hash;
    l->served = plan;
    liar_send(l, &d);
    while (l->plans_asked == asked && world_now() < until)
        liar_serve(l, 5);
    liar_serve(l, 20);
    l->served = NULL;
    count_sent(class_name, 1);
    liar_check(l, class_name, migration);
}

static struct zdm_envelope plan_as(const struct signed_plan *plan, const struct zdm_signing_key *key,
                                   const struct zdm_id *fleet, enum zdm_signed_type type)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    size_t n;
    const uint8_t *bytes = zdm_signed_body(&plan->envelope, &n);
    zdm_buffer_append(&body, bytes, n);
    return world_sign(key, fleet, type, &body);
}

void liar_plans(struct liar *l)
{
    struct world *w = l->w;
    const struct signed_plan *evil = &w->plans[PLAN_EVIL];
    const struct zdm_signing_key *const keys[] = {&w->stranger,    &w->vera,      &w->approver[0],
                                                  &w->coordinator, &w->own_agent, &w->fred};
    struct zdm_id other = world_nonce(w);
    struct zdm_envelope e;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        e = plan_as(evil, keys[i], &w->fleet, ZDM_SIGNED_PLAN);
        offer_plan(l, "evil", &evil->plan->hash, &e);
        zdm_envelope_fini(&e);
    }
    e = plan_as(evil, &w->olga, &other, ZDM_SIGNED_PLAN);
    offer_plan(l, "evil", &evil->plan->hash, &e);
    zdm_envelope_fini(&e);
    e = plan_as(evil, &w->olga, &w->fleet, ZDM_SIGNED_UNDO_ORDER);
    offer_plan(l, "evil", &evil->plan->hash, &e);
    zdm_envelope_fini(&e);
    for (unsigned i = 0; i < 30; i++) {
        if (!zdm_envelope_copy(&e, &evil->envelope))
            world_fail("out of memory");
        e.bytes[world_below(w, (uint32_t)e.len)] ^= (uint8_t)(1u << world_below(w, 8));
        offer_plan(l, "evil", &evil->plan->hash, &e);
        zdm_envelope_fini(&e);
    }
    /* Signed by the rules, but not for this shard, or not for this migration. */
    offer_plan(l, "silver", &w->plans[PLAN_SILVER].plan->hash, &w->plans[PLAN_SILVER].envelope);
    offer_plan(l, "wrong", &w->plans[PLAN_OTHER].plan->hash, &w->plans[PLAN_OTHER].envelope);
    offer_plan(l, "evil", &evil->plan->hash, &w->plans[PLAN_SILVER].envelope);
}
