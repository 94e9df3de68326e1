/*
 * kinds.c - a migration with a step of most kinds, led by the rules: forward, all of it back, forward again and to the
 * end of its purge. What the agent's role ran for it is judged with everything else (statements.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/attack/doors.h"

enum { PATIENCE_MS = 40000, CONTRACT = 3, PURGE = 4 };

static struct zdm_directive directive(struct liar *l, enum zdm_mode mode, uint32_t goal)
{
    struct zdm_directive d = liar_directive(l, mode, goal);
    zdm_copy_text(d.migration, sizeof d.migration, "kinds");
    d.plan_hash = l->w->plans[PLAN_KINDS].plan->hash;
    return d;
}

static void sign_pair(struct world *w, enum zdm_approval_action action, uint32_t phase,
                      struct zdm_envelope out[DOORS_NEEDED])
{
    const struct zdm_plan *plan = w->plans[PLAN_KINDS].plan;
    struct zdm_approval like = world_approval(w, action, phase);
    zdm_copy_text(like.migration, sizeof like.migration, plan->id);
    like.plan_hash = plan->hash;
    like.purge_now = action == ZDM_APPROVE_PURGE;
    if (action != ZDM_APPROVE_UNDO)
        like.phase_digest = zdm_plan_phase(plan, phase)->digest;
    doors_sign_pair(w, &w->approver[0], &w->approver[1], &like, out);
}

static void send(struct liar *l, struct zdm_directive *d, enum zdm_approval_action action, uint32_t phase)
{
    struct zdm_envelope approvals[DOORS_NEEDED];
    sign_pair(l->w, action, phase, approvals);
    liar_send(l, liar_with_approvals(d, approvals, DOORS_NEEDED));
    doors_drop(approvals, DOORS_NEEDED);
}

static void wait_for(struct liar *l, const struct zdm_directive *d, uint32_t phase)
{
    const struct zdm_migration_report *mr = &l->heard_kinds;
    const int64_t until = world_now() + PATIENCE_MS;
    bool there = false;
    char what[400];
    while (!there && world_now() < until) {
        liar_serve(l, 20);
        there = zdm_fence_compare(&mr->accepted, &d->fence) == 0 && mr->state == ZDM_AGENT_RESTING && mr->proven &&
                mr->proven_phase == phase;
        if (mr->state == ZDM_AGENT_STOPPED && zdm_fence_compare(&mr->accepted, &d->fence) == 0)
            break;
    }
    snprintf(what, sizeof what, "goal %u mode %s: %s %s at phase %u: %.200s", phase, zdm_mode_name(d->mode),
             zdm_agent_state_name(mr->state), zdm_wait_name(mr->wait), mr->proven_phase, mr->error);
    count_control("a plan of all kinds, there and back", there, what);
    if (!there)
        world_fail("%s", what);
}

static void run_to(struct liar *l, uint32_t phase)
{
    struct zdm_directive d = directive(l, ZDM_MODE_RUN, phase);
    if (phase >= CONTRACT)
        send(l, &d, phase == PURGE ? ZDM_APPROVE_PURGE : ZDM_APPROVE_ENTER, phase);
    else
        liar_send(l, &d);
    wait_for(l, &d, phase);
}

static void go_back(struct liar *l)
{
    struct world *w = l->w;
    struct zdm_undo_order order = world_undo_order(w, 0);
    struct zdm_directive d = directive(l, ZDM_MODE_UNDO, 0);
    zdm_copy_text(order.migration, sizeof order.migration, "kinds");
    order.plan_hash = w->plans[PLAN_KINDS].plan->hash;
    struct zdm_envelope envelope = world_sign_undo(w, &w->omar, &order);
    d.undo_order = &envelope;
    send(l, &d, ZDM_APPROVE_UNDO, 0);
    wait_for(l, &d, 0);
    zdm_envelope_fini(&envelope);
}

void liar_kinds(struct liar *l)
{
    run_to(l, CONTRACT - 1);
    run_to(l, CONTRACT);
    go_back(l);
    run_to(l, CONTRACT - 1);
    run_to(l, CONTRACT);
    run_to(l, PURGE);
}
