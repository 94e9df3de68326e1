/*
 * overview.c - approvals as people see them: what needs how many, who gave one, and whether it counts.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/machine.h"

struct glance {
    const struct coord_view *view;
    const struct coord_migration *m;
    int64_t now_ms;
    struct coord_overview *out;
};

static bool knows(const struct coord_overview *out, enum zdm_approval_action action, uint32_t phase)
{
    for (size_t i = 0; i < out->n_acts; i++)
        if (out->acts[i].action == action && out->acts[i].phase == phase)
            return true;
    return false;
}

/* Has the shard the act before it? Whoever has finished a phase does not wait for its approvals. */
static bool is_before_it(const struct coord_shard *s, enum zdm_approval_action action, uint32_t phase)
{
    if (s->status == COORD_EXCLUDED)
        return false;
    if (action == ZDM_APPROVE_UNDO)
        return s->entered > phase;
    return phase == 0 || s->at < phase;
}

/* The shard for which the fewest count. Approvals that name no shard count for all alike, and so does one shard for
 * all as long as nobody was rolled back: but who was is what people look for, so all are asked. */
static const struct coord_shard *least(const struct glance *g, enum zdm_approval_action action, uint32_t phase,
                                       uint32_t *out_given)
{
    const struct coord_shard *found = NULL;
    struct zdm_judgement judgement;
    for (size_t i = 0; i < g->m->n_shards; i++) {
        const struct coord_shard *s = &g->m->shards[i];
        if (!is_before_it(s, action, phase))
            continue;
        (void)coord_allowed(g->view, g->m, s, action, phase, g->now_ms, NULL, &judgement);
        if (found == NULL || judgement.given < *out_given) {
            found = s;
            *out_given = judgement.given;
        }
        if (*out_given == 0)
            break;
    }
    if (found == NULL && g->m->n_shards > 0) {
        found = &g->m->shards[0]; /* nobody waits for it any more: what the first one sees */
        (void)coord_allowed(g->view, g->m, found, action, phase, g->now_ms, NULL, &judgement);
        *out_given = judgement.given;
    }
    return found;
}

/* The verdict on one approval: among the others where it is one of those that are judged together, else alone. */
static enum zdm_approval_verdict verdict_on(const struct glance *g, const struct coord_approval *a,
                                            const struct coord_shard *s)
{
    const struct coord_approval *attached[ZDM_APPROVALS_MAX];
    struct zdm_judgement judgement;
    size_t n = coord_attached(g->m, s, a->approval.action, a->approval.phase, UINT64_MAX, attached);
    (void)coord_allowed(g->view, g->m, s, a->approval.action, a->approval.phase, g->now_ms, NULL, &judgement);
    for (size_t i = 0; i < n; i++)
        if (attached[i] == a)
            return judgement.verdicts[i];
    return coord_judge_alone(g->view, g->m, s, a, g->now_ms);
}

static const struct coord_shard *shard_for(const struct glance *g, const struct coord_approval *a,
                                           const struct coord_shard *s)
{
    if (coord_approval_covers(&a->approval, s->name))
        return s;
    for (size_t i = 0; i < a->approval.n_shards; i++) {
        long named = coord_find_shard(g->m, a->approval.shards[i]);
        if (named >= 0)
            return &g->m->shards[named];
    }
    return s;
}

static bool add_given(const struct glance *g, const struct coord_approval *a, const struct coord_shard *s)
{
    struct coord_overview *out = g->out;
    if (!ZDM_RESERVE(out->by, out->cap_by, out->n_by + 1))
        return false;
    struct coord_given *given = &out->by[out->n_by++];
    *given = (struct coord_given){.approver = a->approver,
                                  .nonce = a->approval.nonce,
                                  .issued_at_ms = a->approval.issued_at_ms,
                                  .expires_at_ms = a->approval.expires_at_ms,
                                  .revoked = a->revoked_seq != 0,
                                  .purge_now = a->approval.purge_now,
                                  .verdict = verdict_on(g, a, shard_for(g, a, s))};
    given->text = given->revoked ? "was withdrawn" : zdm_approval_verdict_text(given->verdict);
    return true;
}

static bool add_act(const struct glance *g, enum zdm_approval_action action, uint32_t phase)
{
    struct coord_overview *out = g->out;
    struct zdm_act act = {.plan = g->m->plan, .action = action, .phase = phase, .shard = ""};
    struct coord_act_overview row = {.action = action, .phase = phase, .first = out->n_by};
    const struct coord_shard *s = least(g, action, phase, &row.given);
    row.needed = zdm_act_needs(&g->view->authority, &act);
    for (size_t i = 0; s != NULL && i < g->m->n_approvals; i++)
        if (g->m->approvals[i].approval.action == action && g->m->approvals[i].approval.phase == phase &&
            !add_given(g, &g->m->approvals[i], s))
            return false;
    row.n_by = out->n_by - row.first;
    if (!ZDM_RESERVE(out->acts, out->cap_acts, out->n_acts + 1))
        return false;
    out->acts[out->n_acts++] = row;
    return true;
}

static bool fill(const struct glance *g)
{
    for (uint32_t p = 1; p <= g->m->plan->n_phases; p++) {
        enum zdm_approval_action action;
        if (coord_phase_needs(g->view, g->m, p, &action) > 0 && !add_act(g, action, p))
            return false;
    }
    for (size_t i = 0; i < g->m->n_approvals; i++) {
        const struct zdm_approval *a = &g->m->approvals[i].approval;
        if (!knows(g->out, a->action, a->phase) && !add_act(g, a->action, a->phase))
            return false;
    }
    return true;
}

bool coord_approvals_overview(const struct coord_state *state, const struct coord_view *view,
                              const struct coord_migration *migration, int64_t now_ms, struct coord_overview *out)
{
    const struct glance g = {.view = view, .m = migration, .now_ms = now_ms, .out = out};
    (void)state;
    *out = (struct coord_overview){.acts = NULL};
    if (fill(&g))
        return true;
    coord_overview_fini(out);
    return false;
}

void coord_overview_fini(struct coord_overview *overview)
{
    if (overview == NULL)
        return;
    free(overview->acts);
    free(overview->by);
    *overview = (struct coord_overview){.acts = NULL};
}
