/*
 * surveys.c - looking without a right to: checks by people who may not, answers that nobody asked for, and surveys of
 * plans that no operator signed. A survey changes nothing, but even looking takes an operator's signature.
 */
#include <string.h>

#include "tests/attack/liar.h"

enum { ANSWER_MS = 20000, CLOSE_MS = 4000 };

/* ---- Against the coordinator ---- */

static void answer_unasked(struct world *w)
{
    static const char class_name[] = "agents: surveys that nobody asked of them";
    for (unsigned i = 0; i < 20; i++) {
        struct zdm_frame frame = {.type = ZDM_FRAME_SURVEY};
        struct wire wire;
        if (!wire_dial(&wire, w->port, ZDM_SESSION_AGENT, &w->own_agent, &w->fleet, world_trust(w), false))
            world_fail("shard-2's agent cannot dial");
        frame.u.survey.id = (UINT64_C(1) << 40) + world_random(w) / 2;
        frame.u.survey.code = i % 2 == 0 ? ZDM_OK : ZDM_REFUSED;
        frame.u.survey.total = 10;
        frame.u.survey.bytes = (const uint8_t *)"0123456789";
        frame.u.survey.n = 10;
        (void)wire_seal(&wire, &frame);
        count_sent(class_name, 1);
        if (!wire_is_closed(&wire, CLOSE_MS))
            count_accepted(class_name, "the session stayed open");
        wire_close(&wire);
    }
}

/* The code of the whole answer; *out_shard_ok: a shard's survey came. */
static enum zdm_code check(struct world *w, const struct zdm_signing_key *who, const struct zdm_envelope *plan,
                           const struct zdm_hash *hash, bool *out_shard_ok)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_QUERY, .u.query = {.kind = ZDM_QUERY_CHECK, .id = 5}};
    struct zdm_buffer flat = ZDM_BUFFER_INIT;
    struct wire wire;
    enum zdm_code code = ZDM_CLOSED;
    bool last = false;
    *out_shard_ok = false;
    if (!world_dial(w, &wire, who))
        return ZDM_CLOSED;
    zdm_envelope_flatten(plan, &flat);
    (void)world_upload(w, &wire, flat.data, flat.len);
    frame.u.query.plan_hash = *hash;
    (void)wire_seal(&wire, &frame);
    while (!last && wire_read(&wire, ANSWER_MS, &frame) == WIRE_FRAME) {
        bool rows = frame.type == ZDM_FRAME_ROWS;
        last = rows && frame.u.rows.last;
        code = last ? frame.u.rows.code : code;
        *out_shard_ok = *out_shard_ok || (rows && !last && frame.u.rows.code == ZDM_OK && frame.u.rows.n > 0);
        zdm_frame_fini(&frame);
    }
    zdm_buffer_fini(&flat);
    wire_close(&wire);
    return code;
}

static struct zdm_envelope signed_by(struct world *w, const struct signed_plan *plan, const struct zdm_signing_key *key)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    size_t n;
    const uint8_t *bytes = zdm_signed_body(&plan->envelope, &n);
    zdm_buffer_append(&body, bytes, n);
    return world_sign(key, &w->fleet, ZDM_SIGNED_PLAN, &body);
}

static void check_without_right(struct world *w)
{
    static const char class_name[] = "people: checks by who is no operator, or of plans that none signed";
    const struct signed_plan *attack = &w->plans[PLAN_ATTACK], *evil = &w->plans[PLAN_EVIL];
    const struct zdm_signing_key *const people[] = {&w->vera, &w->approver[0], &w->approver[1]};
    const struct zdm_signing_key *const signers[] = {&w->vera, &w->approver[0], &w->coordinator, &w->stranger,
                                                     &w->own_agent};
    bool looked = false;
    for (size_t i = 0; i < sizeof people / sizeof *people; i++) {
        count_sent(class_name, 1);
        if (check(w, people[i], &attack->envelope, &attack->plan->hash, &looked) == ZDM_OK || looked)
            count_accepted(class_name, "person %zu may check", i);
    }
    for (size_t i = 0; i < sizeof signers / sizeof *signers; i++) {
        struct zdm_envelope envelope = signed_by(w, evil, signers[i]);
        count_sent(class_name, 1);
        if (check(w, &w->omar, &envelope, &evil->plan->hash, &looked) == ZDM_OK || looked)
            count_accepted(class_name, "a plan of signer %zu is looked at", i);
        zdm_envelope_fini(&envelope);
    }
    bool good = check(w, &w->omar, &attack->envelope, &attack->plan->hash, &looked) == ZDM_OK && looked;
    count_control("checks of an operator", good, "PLAN_ATTACK");
}

void attack_surveys(struct world *w)
{
    uint64_t before = world_position(w);
    answer_unasked(w);
    check_without_right(w);
    if (world_position(w) != before)
        count_accepted("surveys: the log", "it grew from %lu to %lu", before, world_position(w));
}

/* ---- Against the agent ---- */

static enum zdm_code order(struct liar *l, const struct zdm_hash *hash, const struct zdm_envelope *plan)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_SURVEY_ORDER};
    const int64_t until = world_now() + ANSWER_MS;
    unsigned heard = l->surveys;
    frame.u.survey_order.id = ++l->survey_id;
    frame.u.survey_order.plan_hash = *hash;
    l->served = plan;
    (void)wire_seal(&l->wire, &frame);
    while (l->surveys == heard && world_now() < until)
        liar_serve(l, 20);
    l->served = NULL;
    return l->surveys == heard ? ZDM_TIMEOUT : l->survey_code;
}

void liar_surveys(struct liar *l)
{
    static const char class_name[] = "lying coordinator: surveys of plans that no operator signed";
    struct world *w = l->w;
    const struct signed_plan *evil = &w->plans[PLAN_EVIL], *other = &w->plans[PLAN_OTHER];
    const struct zdm_signing_key *const keys[] = {&w->stranger,    &w->vera,      &w->approver[0],
                                                  &w->coordinator, &w->own_agent, &w->fred};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct zdm_envelope envelope = signed_by(w, evil, keys[i]);
        count_sent(class_name, 1);
        if (order(l, &evil->plan->hash, &envelope) == ZDM_OK)
            count_accepted(class_name, "signer %zu", i);
        zdm_envelope_fini(&envelope);
    }
    count_sent(class_name, 1);
    if (order(l, &w->plans[PLAN_SILVER].plan->hash, &w->plans[PLAN_SILVER].envelope) == ZDM_OK)
        count_accepted(class_name, "a plan for other shards");
    liar_check(l, class_name, "surveys");
    count_control("surveys of an operator's plan", order(l, &other->plan->hash, &other->envelope) == ZDM_OK,
                  "PLAN_OTHER");
    liar_check(l, class_name, "a survey by the rules");
}
