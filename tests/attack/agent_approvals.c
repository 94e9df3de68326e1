/*
 * agent_approvals.c - the door of a phase that destroys: every subset of five keys, with every flaw that an approval
 * can have. Exactly the subsets that suffice may let the shard in; they are the controls.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/attack/doors.h"

enum { HOUR_MS = 3600000, KEYS_GONE = 1 /* alma */ };

static char shard_9[] = "shard-9";
char *doors_elsewhere[] = {shard_9};

/* ---- For all doors ---- */

void doors_sign_pair(struct world *w, const struct zdm_signing_key *a, const struct zdm_signing_key *b,
                     const struct zdm_approval *like, struct zdm_envelope out[DOORS_NEEDED])
{
    const struct zdm_signing_key *const keys[DOORS_NEEDED] = {a, b};
    for (size_t i = 0; i < DOORS_NEEDED; i++) {
        struct zdm_approval approval = *like;
        approval.nonce = world_nonce(w);
        out[i] = world_sign_approval(w, keys[i], &approval);
    }
}

void doors_drop(struct zdm_envelope *envelopes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        zdm_envelope_fini(&envelopes[i]);
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
        a.shards = doors_elsewhere;
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
    return (kind == KIND_VALID || kind == KIND_DUPLICATE) && n >= DOORS_NEEDED;
}

bool doors_is_hidden(struct liar *l, const char *column)
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
    for (size_t key = 0; key < APPROVERS && n < DOORS_NEEDED; key++)
        if ((subset >> key & 1) != 0 && key < APPROVERS - KEYS_GONE) {
            zdm_envelope_fini(&spent[key]);
            if (!zdm_envelope_copy(&spent[key], &approvals[n++]))
                world_fail("out of memory");
        }
}

void doors_enter(struct liar *l, struct zdm_envelope *approvals, size_t n)
{
    struct zdm_directive d = liar_directive(l, ZDM_MODE_RUN, 4);
    bool obeyed = liar_obeyed(l, liar_with_approvals(&d, approvals, n), 4);
    count_control("subsets of approvals that suffice", obeyed && doors_is_hidden(l, "name"), "enter phase 4");
}

static void try_subset(struct liar *l, unsigned subset, enum approval_kind kind, const struct zdm_envelope *good)
{
    struct zdm_envelope approvals[ZDM_APPROVALS_MAX];
    size_t n = make_subset(l->w, subset, kind, approvals), own = n;
    if (good != NULL)
        approvals[n++] = *good;
    if (suffices(subset, kind)) {
        doors_enter(l, approvals, n);
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
    doors_drop(approvals, own);
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
    doors_drop(spent, APPROVERS);
}
