/*
 * agent_plans.c - plans that the lying coordinator offers: unsigned, forged, changed, or for somebody else.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/attack/liar.h"

static const char forged[] = "lying coordinator: plans unsigned, forged, changed, for others";

void liar_offer_plan(struct liar *l, const char *class_name, const char *migration, const struct zdm_hash *hash,
                     const struct zdm_envelope *plan)
{
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
        liar_offer_plan(l, forged, "evil", &evil->plan->hash, &e);
        zdm_envelope_fini(&e);
    }
    e = plan_as(evil, &w->olga, &other, ZDM_SIGNED_PLAN);
    liar_offer_plan(l, forged, "evil", &evil->plan->hash, &e);
    zdm_envelope_fini(&e);
    e = plan_as(evil, &w->olga, &w->fleet, ZDM_SIGNED_UNDO_ORDER);
    liar_offer_plan(l, forged, "evil", &evil->plan->hash, &e);
    zdm_envelope_fini(&e);
    for (unsigned i = 0; i < 30; i++) {
        if (!zdm_envelope_copy(&e, &evil->envelope))
            world_fail("out of memory");
        e.bytes[world_below(w, (uint32_t)e.len)] ^= (uint8_t)(1u << world_below(w, 8));
        liar_offer_plan(l, forged, "evil", &evil->plan->hash, &e);
        zdm_envelope_fini(&e);
    }
    /* Signed by the rules, but not for this shard, or not for this migration. */
    liar_offer_plan(l, forged, "silver", &w->plans[PLAN_SILVER].plan->hash, &w->plans[PLAN_SILVER].envelope);
    liar_offer_plan(l, forged, "wrong", &w->plans[PLAN_OTHER].plan->hash, &w->plans[PLAN_OTHER].envelope);
    liar_offer_plan(l, forged, "evil", &evil->plan->hash, &w->plans[PLAN_SILVER].envelope);
}
