/*
 * payloads.c - good requests that carry something bad: approvals, undo orders, enrolments, plans and trust files that
 * are forged, redirected, used before, expired, or somebody else's.
 */
#include <string.h>

#include "common/os/crypto.h"
#include "tests/attack/attack.h"
#include "tests/attack/batch.h"

enum { HOUR_MS = 3600000, FAR_MS = 400 * 24 * 3600 };

static char shard_9[] = "shard-9";

/* Sends a request of `sender` that carries `payload`, which is moved. */
static void carry(struct batch *b, const char *class_name, const struct zdm_signing_key *sender, enum zdm_verb verb,
                  struct zdm_envelope payload)
{
    struct world *w = b->world;
    struct zdm_request r = world_request(w, &b->wire, verb);
    r.payload = payload;
    r.flags_off = true;
    struct zdm_envelope envelope = world_sign_request(w, sender, &r);
    batch_send(b, class_name, &envelope);
    zdm_envelope_fini(&envelope);
    zdm_envelope_fini(&r.payload);
}

/* ---- Approvals ---- */

enum approval_flaw {
    APPROVAL_OTHER_PLAN,
    APPROVAL_OTHER_MIGRATION,
    APPROVAL_OTHER_PHASE,
    APPROVAL_OTHER_DIGEST,
    APPROVAL_OTHER_SHARD,
    APPROVAL_EXPIRED,
    APPROVAL_FUTURE,
    APPROVAL_NEWER_TRUST,
    APPROVAL_PURGE_FOR_ENTER,
    APPROVAL_FLAWS
};

static struct zdm_approval flawed_approval(struct world *w, enum approval_flaw flaw)
{
    static char *elsewhere[] = {shard_9};
    struct zdm_approval a = world_approval(w, ZDM_APPROVE_ENTER, 4);
    switch (flaw) {
    case APPROVAL_OTHER_PLAN:
        a.plan_hash = w->plans[PLAN_OTHER].plan->hash;
        break;
    case APPROVAL_OTHER_MIGRATION:
        zdm_copy_text(a.migration, sizeof a.migration, "other");
        break;
    case APPROVAL_OTHER_PHASE:
        a.phase = 1;
        a.phase_digest = w->plans[PLAN_ATTACK].plan->phases[0].digest;
        break;
    case APPROVAL_OTHER_DIGEST:
        a.phase_digest.bytes[0] ^= 1;
        break;
    case APPROVAL_OTHER_SHARD:
        a.shards = elsewhere;
        a.n_shards = 1;
        break;
    case APPROVAL_EXPIRED:
        a.expires_at_ms = world_now() - 1000;
        break;
    case APPROVAL_FUTURE:
        a.issued_at_ms = world_now() + 2 * HOUR_MS;
        break;
    case APPROVAL_NEWER_TRUST:
        a.trust_version = w->version + 1;
        break;
    case APPROVAL_PURGE_FOR_ENTER:
        a.action = ZDM_APPROVE_PURGE;
        break;
    case APPROVAL_FLAWS:
        break;
    }
    return a;
}

static void send_approvals(struct batch *b)
{
    static const char bad[] = "carried: approvals that are for something else or not in time";
    static const char foreign[] = "carried: approvals signed by others or forged";
    struct world *w = b->world;
    const struct zdm_signing_key *anna = &w->approver[0];
    batch_open(b, anna);
    for (enum approval_flaw flaw = 0; flaw < APPROVAL_FLAWS; flaw++) {
        struct zdm_approval a = flawed_approval(w, flaw);
        carry(b, bad, anna, ZDM_VERB_APPROVE, world_sign_approval(w, anna, &a));
    }
    struct zdm_approval a = world_approval(w, ZDM_APPROVE_ENTER, 4);
    carry(b, foreign, anna, ZDM_VERB_APPROVE, world_sign_approval(w, &w->approver[1], &a));
    carry(b, foreign, anna, ZDM_VERB_APPROVE, world_sign_approval(w, &w->omar, &a));
    carry(b, foreign, anna, ZDM_VERB_APPROVE, world_sign_approval(w, &w->stranger, &a));
    struct zdm_envelope forged = world_sign_approval(w, anna, &a);
    forged.signature[5] ^= 1;
    carry(b, foreign, anna, ZDM_VERB_APPROVE, forged);
    struct zdm_undo_order order = world_undo_order(w, 0);
    carry(b, foreign, anna, ZDM_VERB_APPROVE, world_sign_undo(w, anna, &order));
    batch_settle(b);
    batch_open(b, &w->olga); /* who submitted the plan does not count */
    a = world_approval(w, ZDM_APPROVE_ENTER, 4);
    carry(b, bad, &w->olga, ZDM_VERB_APPROVE, world_sign_approval(w, &w->olga, &a));
    batch_settle(b);
}

/* A good one, then the same nonce again, by its signer and by another. */
static void send_used_approvals(struct batch *b)
{
    static const char class_name[] = "carried: approvals with a nonce that was used";
    struct world *w = b->world;
    struct zdm_approval a = world_approval(w, ZDM_APPROVE_ENTER, 4);
    struct zdm_error answer;
    struct wire wire;
    if (!world_dial(w, &wire, &w->approver[0]))
        world_fail("anna cannot dial");
    struct zdm_request r = world_request(w, &wire, ZDM_VERB_APPROVE);
    r.payload = world_sign_approval(w, &w->approver[0], &a);
    enum zdm_code code = world_ask(w, &wire, &w->approver[0], &r, &answer);
    count_control("honest requests to the coordinator", code == ZDM_OK, answer.message);
    wire_close(&wire);
    for (size_t i = 0; i < 2; i++) {
        batch_open(b, &w->approver[i]);
        carry(b, class_name, &w->approver[i], ZDM_VERB_APPROVE, world_sign_approval(w, &w->approver[i], &a));
        batch_settle(b);
    }
}

/* ---- Undo orders ---- */

static void send_undo_orders(struct batch *b)
{
    static const char class_name[] = "carried: undo orders, forged, redirected, expired, of others";
    struct world *w = b->world;
    struct zdm_undo_order order;
    static char *elsewhere[] = {shard_9};
    batch_open(b, &w->omar);
    order = world_undo_order(w, 0);
    carry(b, class_name, &w->omar, ZDM_VERB_ROLLBACK, world_sign_undo(w, &w->stranger, &order));
    carry(b, class_name, &w->omar, ZDM_VERB_ROLLBACK, world_sign_undo(w, &w->approver[0], &order));
    carry(b, class_name, &w->omar, ZDM_VERB_ROLLBACK, world_sign_undo(w, &w->olga, &order));
    struct zdm_envelope forged = world_sign_undo(w, &w->omar, &order);
    forged.bytes[forged.len - 1] ^= 1;
    carry(b, class_name, &w->omar, ZDM_VERB_ROLLBACK, forged);
    order.expires_at_ms = world_now() - 1;
    carry(b, class_name, &w->omar, ZDM_VERB_ROLLBACK, world_sign_undo(w, &w->omar, &order));
    order = world_undo_order(w, 0);
    order.plan_hash = w->plans[PLAN_OTHER].plan->hash;
    carry(b, class_name, &w->omar, ZDM_VERB_ROLLBACK, world_sign_undo(w, &w->omar, &order));
    order = world_undo_order(w, 0);
    zdm_copy_text(order.migration, sizeof order.migration, "other");
    carry(b, class_name, &w->omar, ZDM_VERB_ROLLBACK, world_sign_undo(w, &w->omar, &order));
    order = world_undo_order(w, 0);
    order.shards = elsewhere;
    order.n_shards = 1;
    carry(b, class_name, &w->omar, ZDM_VERB_ROLLBACK, world_sign_undo(w, &w->omar, &order));
    order = world_undo_order(w, 2); /* the request says 0 */
    carry(b, class_name, &w->omar, ZDM_VERB_ROLLBACK, world_sign_undo(w, &w->omar, &order));
    /* By the rules, but what would be lost takes approvals. */
    order = world_undo_order(w, 0);
    carry(b, class_name, &w->omar, ZDM_VERB_ROLLBACK, world_sign_undo(w, &w->omar, &order));
    carry(b, class_name, &w->omar, ZDM_VERB_ROLLBACK, (struct zdm_envelope){.bytes = NULL});
    batch_settle(b);
}

/* ---- Enrolments ---- */

static struct zdm_envelope enrolment_of(struct world *w, const struct zdm_signing_key *key, const char *shard,
                                        int64_t expires)
{
    struct zdm_enrolment enrolment = {.expires_at_ms = expires, .nonce = world_nonce(w)};
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    zdm_copy_text(enrolment.shard, sizeof enrolment.shard, shard);
    world_bytes(w, enrolment.secret_hash.bytes, sizeof enrolment.secret_hash.bytes);
    zdm_enrolment_encode(&enrolment, &body);
    return world_sign(key, &w->fleet, ZDM_SIGNED_ENROLMENT, &body);
}

static void send_enrolments(struct batch *b)
{
    static const char class_name[] = "carried: enrolments of others, forged, expired";
    struct world *w = b->world;
    int64_t soon = world_now() + HOUR_MS;
    batch_open(b, &w->omar);
    carry(b, class_name, &w->omar, ZDM_VERB_ENROLL, enrolment_of(w, &w->stranger, "shard-1", soon));
    carry(b, class_name, &w->omar, ZDM_VERB_ENROLL, enrolment_of(w, &w->approver[0], "shard-1", soon));
    carry(b, class_name, &w->omar, ZDM_VERB_ENROLL, enrolment_of(w, &w->olga, "shard-1", soon));
    carry(b, class_name, &w->omar, ZDM_VERB_ENROLL, enrolment_of(w, &w->omar, "shard-1", world_now() - 1));
    struct zdm_envelope forged = enrolment_of(w, &w->omar, "shard-1", soon);
    forged.signature[0] ^= 1;
    carry(b, class_name, &w->omar, ZDM_VERB_ENROLL, forged);
    carry(b, class_name, &w->omar, ZDM_VERB_ENROLL, (struct zdm_envelope){.bytes = NULL});
    batch_settle(b);
}

/* ---- Plans ---- */

static struct zdm_envelope plan_signed(const struct world *w, const struct zdm_signing_key *key,
                                       const struct zdm_id *fleet, enum zdm_signed_type type)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    size_t n;
    const uint8_t *bytes = zdm_signed_body(&w->plans[PLAN_OTHER].envelope, &n);
    zdm_buffer_append(&body, bytes, n);
    return world_sign(key, fleet, type, &body);
}

static void submit(struct batch *b, struct zdm_envelope plan)
{
    struct world *w = b->world;
    batch_open(b, &w->omar);
    world_upload_plan(w, &b->wire, &plan, &w->plans[PLAN_OTHER].notes);
    struct zdm_request r = world_request(w, &b->wire, ZDM_VERB_SUBMIT);
    zdm_copy_text(r.migration, sizeof r.migration, "other");
    r.plan_hash = w->plans[PLAN_OTHER].plan->hash;
    struct zdm_envelope envelope = world_sign_request(w, &w->omar, &r);
    batch_send(b, "carried: plans unsigned, forged, changed, of people who may not", &envelope);
    batch_settle(b);
    zdm_envelope_fini(&envelope);
    zdm_envelope_fini(&plan);
}

static void send_plans(struct batch *b)
{
    struct world *w = b->world;
    struct zdm_id other = world_nonce(w);
    struct zdm_envelope changed;
    submit(b, plan_signed(w, &w->stranger, &w->fleet, ZDM_SIGNED_PLAN));
    submit(b, plan_signed(w, &w->approver[0], &w->fleet, ZDM_SIGNED_PLAN));
    submit(b, plan_signed(w, &w->vera, &w->fleet, ZDM_SIGNED_PLAN));
    submit(b, plan_signed(w, &w->omar, &other, ZDM_SIGNED_PLAN));
    submit(b, plan_signed(w, &w->omar, &w->fleet, ZDM_SIGNED_UNDO_ORDER));
    for (unsigned i = 0; i < 40; i++) {
        if (!zdm_envelope_copy(&changed, &w->plans[PLAN_OTHER].envelope))
            world_fail("out of memory");
        changed.bytes[world_below(w, (uint32_t)changed.len)] ^= (uint8_t)(1u << world_below(w, 8));
        submit(b, changed);
    }
}

/* ---- Trust files ---- */

static void upload_trust(struct batch *b, const struct zdm_buffer *bytes, bool right_hash)
{
    struct world *w = b->world;
    batch_open(b, &w->olga);
    struct zdm_request r = world_request(w, &b->wire, ZDM_VERB_TRUST);
    r.plan_hash = world_upload(w, &b->wire, bytes->data, bytes->len);
    if (!right_hash)
        r.plan_hash.bytes[0] ^= 1;
    struct zdm_envelope envelope = world_sign_request(w, &w->olga, &r);
    batch_send(b, "carried: trust files that skip, go back, lack signatures", &envelope);
    batch_settle(b);
    zdm_envelope_fini(&envelope);
}

static void flatten(struct zdm_buffer *out, const struct zdm_envelope *envelopes, size_t n)
{
    zdm_buffer_reset(out);
    for (size_t i = 0; i < n; i++)
        zdm_envelope_flatten(&envelopes[i], out);
}

static struct zdm_envelope next_version(struct world *w, uint32_t version, const struct zdm_signing_key *key)
{
    struct zdm_trust trust = w->trust[w->version]; /* people of the next one */
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    trust.version = version;
    zdm_trust_encode(&trust, &body);
    return world_sign(key, &w->fleet, ZDM_SIGNED_TRUST, &body);
}

/* Behind the chain in force: versions by these keys, of which none is what two roots signed. */
static void send_forged_versions(struct batch *b, struct zdm_buffer *bytes)
{
    struct world *w = b->world;
    const struct zdm_trust_chain *chain = &w->chain[w->version - 1];
    const struct zdm_signing_key *const signers[][2] = {{&w->root[0], NULL},
                                                        {&w->root[0], &w->root[0]},
                                                        {&w->olga, &w->omar},
                                                        {&w->root[0], &w->stranger},
                                                        {&w->coordinator, NULL}};
    for (uint32_t skip = 0; skip < 2; skip++)
        for (size_t i = 0; i < sizeof signers / sizeof *signers; i++) {
            struct zdm_envelope all[16];
            size_t n = chain->n_envelopes;
            memcpy(all, chain->envelopes, n * sizeof *all);
            for (size_t k = 0; k < 2 && signers[i][k] != NULL; k++)
                all[n++] = next_version(w, w->version + 1 + skip, signers[i][k]);
            flatten(bytes, all, n);
            upload_trust(b, bytes, true);
            for (size_t k = chain->n_envelopes; k < n; k++)
                zdm_envelope_fini(&all[k]);
        }
}

void attack_trust(struct world *w)
{
    struct batch b = {.world = w};
    struct zdm_buffer bytes = ZDM_BUFFER_INIT;
    const struct zdm_trust_chain *next = &w->chain[w->version];
    flatten(&bytes, w->chain[0].envelopes, w->chain[0].n_envelopes);
    upload_trust(&b, &bytes, true); /* back, or what is in force already */
    if (w->version + 1 < TRUST_VERSIONS) {
        flatten(&bytes, w->chain[TRUST_VERSIONS - 1].envelopes, w->chain[TRUST_VERSIONS - 1].n_envelopes);
        upload_trust(&b, &bytes, true); /* two at once */
    }
    flatten(&bytes, next->envelopes, next->n_envelopes - 1); /* one root's signature is missing */
    upload_trust(&b, &bytes, true);
    flatten(&bytes, next->envelopes + 2, next->n_envelopes - 2); /* no beginning */
    upload_trust(&b, &bytes, true);
    flatten(&bytes, next->envelopes, next->n_envelopes);
    upload_trust(&b, &bytes, false); /* not what the request names */
    /* Changed in what is new: what such a file says of the past counts for nothing. */
    flatten(&bytes, next->envelopes, next->n_envelopes - 2);
    const size_t past = bytes.len;
    for (unsigned i = 0; i < 20; i++) {
        flatten(&bytes, next->envelopes, next->n_envelopes);
        bytes.data[past + world_below(w, (uint32_t)(bytes.len - past))] ^= (uint8_t)(1u << world_below(w, 8));
        upload_trust(&b, &bytes, true);
    }
    send_forged_versions(&b, &bytes);
    zdm_buffer_fini(&bytes);
    batch_close(&b);
}

void attack_payloads(struct world *w)
{
    struct batch b = {.world = w};
    send_approvals(&b);
    send_used_approvals(&b);
    send_undo_orders(&b);
    send_enrolments(&b);
    send_plans(&b);
    batch_close(&b);
}
