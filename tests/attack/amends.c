/*
 * amends.c - other plans for a migration that is under way: of who may not sign one, with other phases where the shard
 * has been, of another migration. Then one by the rules, and what was signed for the plan before it.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/attack/doors.h"

static const char class_name[] = "lying coordinator: amended plans that are nobody's, or change what was entered";
static const char old_class[] = "lying coordinator: approvals of the plan before an amendment, or after it";

/* The runbook of PLAN_ATTACK with one piece in another's place; NULL: what stands behind it is left out. */
static char *runbook_with(const char *piece, const char *other)
{
    const char *text = world_runbook(PLAN_ATTACK), *at = strstr(text, piece);
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    if (at == NULL)
        world_fail("the runbook has no \"%s\"", piece);
    zdm_buffer_append(&out, text, (size_t)(at - text));
    if (other != NULL) {
        zdm_buffer_puts(&out, other);
        zdm_buffer_puts(&out, at + strlen(piece));
    }
    return zdm_buffer_take(&out);
}

static void offer_runbook(struct liar *l, const char *piece, const char *other)
{
    char *runbook = runbook_with(piece, other);
    struct zdm_plan *plan = world_compile(runbook, NULL);
    struct zdm_envelope envelope = world_sign_plan(l->w, plan);
    liar_offer_plan(l, class_name, "attack", &plan->hash, &envelope);
    zdm_envelope_fini(&envelope);
    zdm_plan_unref(plan);
    free(runbook);
}

static void offer_signed_by(struct liar *l, const struct zdm_signing_key *key)
{
    const struct signed_plan *amended = &l->w->plans[PLAN_AMENDED];
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    size_t n;
    const uint8_t *bytes = zdm_signed_body(&amended->envelope, &n);
    zdm_buffer_append(&body, bytes, n);
    struct zdm_envelope envelope = world_sign(key, &l->w->fleet, ZDM_SIGNED_PLAN, &body);
    liar_offer_plan(l, class_name, "attack", &amended->plan->hash, &envelope);
    zdm_envelope_fini(&envelope);
}

static void offer_bad_ones(struct liar *l)
{
    struct world *w = l->w;
    const struct zdm_signing_key *const keys[] = {&w->stranger,    &w->vera,      &w->approver[0],
                                                  &w->coordinator, &w->own_agent, &w->fred};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        offer_signed_by(l, keys[i]);
    offer_runbook(l, "full_name text", "full_name varchar(90)");
    offer_runbook(l, "upper(name)", "lower(name)");
    offer_runbook(l, "CREATE INDEX users_full_name ON users (full_name);", "");
    offer_runbook(l, "rollout: [100%]", "rollout: [50%, 100%]");
    offer_runbook(l, "## Phase 3", NULL);
    offer_runbook(l, "tier=gold", "tier=silver");
    liar_offer_plan(l, class_name, "attack", &w->plans[PLAN_OTHER].plan->hash, &w->plans[PLAN_OTHER].envelope);
    liar_offer_plan(l, class_name, "attack", &w->plans[PLAN_KINDS].plan->hash, &w->plans[PLAN_KINDS].envelope);
    liar_offer_plan(l, class_name, "attack", &w->plans[PLAN_AMENDED].plan->hash, &w->plans[PLAN_ATTACK].envelope);
}

/* Those who signed for `signed_plan` do not open its fourth phase in the plan that is ordered. */
static void enter_with(struct liar *l, enum plan_name ordered, enum plan_name signed_plan, size_t n)
{
    struct world *w = l->w;
    struct zdm_approval like = world_approval(w, ZDM_APPROVE_ENTER, 4);
    struct zdm_directive d = liar_directive(l, ZDM_MODE_RUN, 4);
    struct zdm_envelope approvals[4];
    like.plan_hash = w->plans[signed_plan].plan->hash;
    like.phase_digest = zdm_plan_phase(w->plans[signed_plan].plan, 4)->digest;
    doors_sign_pair(w, &w->approver[0], &w->approver[1], &like, approvals);
    doors_sign_pair(w, &w->approver[2], &w->approver[3], &like, approvals + DOORS_NEEDED);
    d.plan_hash = w->plans[ordered].plan->hash;
    liar_send(l, liar_with_approvals(&d, approvals, n));
    count_sent(old_class, 1);
    if (!liar_settle(l, &d) || l->heard.wait != ZDM_WAIT_APPROVALS)
        count_accepted(old_class, "the agent does not wait for approvals of plan %d with %zu of %d", (int)ordered, n,
                       (int)signed_plan);
    doors_drop(approvals, 2 * DOORS_NEEDED);
}

static void order_plan(struct liar *l, enum plan_name name)
{
    struct zdm_directive d = liar_directive(l, ZDM_MODE_RUN, 3);
    d.plan_hash = l->w->plans[name].plan->hash;
    l->served = &l->w->plans[name].envelope;
    count_control("amended plans that an operator signed", liar_obeyed(l, &d, 3), "and back to the one before");
    l->served = NULL;
}

void liar_amends(struct liar *l)
{
    liar_note(l);
    offer_bad_ones(l);
    struct zdm_directive d = liar_directive(l, ZDM_MODE_RUN, 3);
    count_control("orders without approvals to phases that need none", liar_obeyed(l, &d, 3), "after bad amendments");
    liar_check(l, class_name, "all of them");
    order_plan(l, PLAN_AMENDED);
    /* An older plan is one that an operator signed, too: it comes back with the approvals that it asks for. */
    order_plan(l, PLAN_ATTACK);
    order_plan(l, PLAN_AMENDED);
    liar_note(l);
    enter_with(l, PLAN_AMENDED, PLAN_ATTACK, 4);
    enter_with(l, PLAN_AMENDED, PLAN_AMENDED, 2);
    offer_runbook(l, "approvals: {contract: 2}", "approvals: {contract: 0}");
    liar_check(l, old_class, "all of them");
}
