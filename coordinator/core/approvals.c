/*
 * approvals.c - which approvals concern a shard, and whether they suffice: for the directive that carries them, for the
 * release that waits for them, and for people who want to know. The rules themselves are common/plan/authority.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/machine.h"

bool coord_approval_covers(const struct zdm_approval *approval, const char *shard)
{
    for (size_t i = 0; i < approval->n_shards; i++)
        if (strcmp(approval->shards[i], shard) == 0)
            return true;
    return approval->n_shards == 0;
}

static int is_name(const void *name, const void *shard)
{
    return strcmp(name, *(char *const *)shard);
}

/* The same of one that is kept: each release asks for every shard and every approval. */
static bool covers(const struct coord_approval *a, const char *shard)
{
    if (!a->sorted || a->approval.n_shards == 0)
        return coord_approval_covers(&a->approval, shard);
    return bsearch(shard, a->approval.shards, a->approval.n_shards, sizeof *a->approval.shards, is_name) != NULL;
}

struct zdm_id coord_plan_signer(const struct coord_migration *migration)
{
    enum { KEY_ID_AT = 36 }; /* magic 16, type 2, zero 2, fleet 16: protocol 1 */
    struct zdm_id id = {{0}};
    if (migration->plan_envelope.len >= KEY_ID_AT + sizeof id.bytes)
        memcpy(id.bytes, migration->plan_envelope.bytes + KEY_ID_AT, sizeof id.bytes);
    return id;
}

/* A phase that was rolled back takes new approvals to be entered again. What is spent for the leftovers' purge and for
 * another rollback is not asked here: a directive must not change without a new generation (see coord_act_of). */
static bool is_spent_by_rollback(const struct coord_migration *m, const struct coord_shard *s,
                                 const struct coord_approval *a)
{
    return a->approval.action != ZDM_APPROVE_UNDO && s->undo != 0 && s->undo <= m->n_undos &&
           a->approval.phase > m->undos[s->undo - 1].to_phase && a->added_seq < s->undone_seq;
}

static bool concerns(const struct coord_migration *m, const struct coord_shard *s, enum zdm_approval_action action,
                     uint32_t phase, const struct coord_approval *a)
{
    return a->revoked_seq == 0 && a->approval.action == action && a->approval.phase == phase &&
           zdm_hash_equal(&a->approval.plan_hash, &m->plan->hash) && covers(a, s->name) &&
           !is_spent_by_rollback(m, s, a);
}

/* Is b the better one of the same approver? The longer valid, of equals the newer. */
static bool is_better(const struct coord_approval *a, const struct coord_approval *b)
{
    return b->approval.expires_at_ms > a->approval.expires_at_ms ||
           (b->approval.expires_at_ms == a->approval.expires_at_ms && b->added_seq > a->added_seq);
}

static void keep(const struct coord_approval *a, const struct coord_approval *out[ZDM_APPROVALS_MAX], size_t *n)
{
    for (size_t i = 0; i < *n; i++)
        if (zdm_id_equal(&out[i]->approver, &a->approver) && out[i]->approval.purge_now == a->approval.purge_now) {
            if (is_better(out[i], a))
                out[i] = a;
            return;
        }
    if (*n < ZDM_APPROVALS_MAX)
        out[(*n)++] = a;
}

static int by_age(const void *a, const void *b)
{
    const struct coord_approval *x = *(const struct coord_approval *const *)a;
    const struct coord_approval *y = *(const struct coord_approval *const *)b;
    return x->added_seq < y->added_seq ? -1 : x->added_seq > y->added_seq;
}

size_t coord_attached(const struct coord_migration *m, const struct coord_shard *s, enum zdm_approval_action action,
                      uint32_t phase, uint64_t before, const struct coord_approval *out[ZDM_APPROVALS_MAX])
{
    size_t n = 0;
    /* The newest first: where there are too many people, the latest word is heard. */
    for (size_t i = m->n_approvals; i > 0; i--)
        if (m->approvals[i - 1].added_seq < before && concerns(m, s, action, phase, &m->approvals[i - 1]))
            keep(&m->approvals[i - 1], out, &n);
    qsort(out, n, sizeof *out, by_age);
    return n;
}

static enum zdm_approval_action action_of_phase(const struct coord_migration *m, uint32_t phase)
{
    const struct zdm_phase *p = zdm_plan_phase(m->plan, phase);
    return p != NULL && p->class == ZDM_PHASE_PURGE ? ZDM_APPROVE_PURGE : ZDM_APPROVE_ENTER;
}

bool coord_act_of(const struct coord_migration *m, const struct coord_shard *s, enum zdm_approval_action *out_action,
                  uint32_t *out_phase, uint64_t *out_before)
{
    *out_before = UINT64_MAX;
    if (s->mode == ZDM_MODE_RUN && s->goal > 0) {
        *out_action = action_of_phase(m, s->goal);
        *out_phase = s->goal;
    } else if (s->mode == ZDM_MODE_UNDO && s->undo != 0 && s->undo <= m->n_undos) {
        *out_action = ZDM_APPROVE_UNDO;
        *out_phase = m->undos[s->undo - 1].to_phase;
    } else if (s->mode == ZDM_MODE_PURGE) {
        *out_action = ZDM_APPROVE_PURGE;
        *out_phase = 0;
        /* One approval more than needed must not make an order new whose approvals the shard has spent already. */
        *out_before = s->purge_seq;
    } else {
        return false;
    }
    return true;
}

bool coord_carries(const struct coord_migration *m, const struct coord_shard *s, const struct coord_approval *a)
{
    enum zdm_approval_action action;
    uint32_t phase;
    uint64_t before;
    return s->generation != 0 && coord_act_of(m, s, &action, &phase, &before) && a->approval.action == action &&
           a->approval.phase == phase && a->added_seq < before && covers(a, s->name);
}

/* ---- Do they suffice? ---- */

/* Who came back once needs new words to come back again; what was dropped once was dropped with its approvals, and what
 * a later rollback left was not there when they were given. The shards' journals say the same. */
static bool is_used_up(const struct coord_shard *s, const struct coord_approval *a)
{
    if (a->approval.action == ZDM_APPROVE_UNDO)
        return a->added_seq < s->back_seq && s->mode != ZDM_MODE_UNDO;
    uint64_t used = s->mode == ZDM_MODE_PURGE ? s->purge_seq : s->purged_seq;
    if (used < s->undone_seq)
        used = s->undone_seq;
    return a->approval.action == ZDM_APPROVE_PURGE && a->approval.phase == 0 && a->added_seq < used;
}

static bool judge(const struct coord_view *view, const struct coord_migration *m, const struct coord_shard *s,
                  enum zdm_approval_action action, uint32_t phase, int64_t now_ms,
                  const struct coord_approval *const *from, size_t n, struct zdm_judgement *out)
{
    struct zdm_signed_approval copies[ZDM_APPROVALS_MAX];
    const struct zdm_signed_approval *approvals[ZDM_APPROVALS_MAX];
    struct zdm_act act = {.plan = m->plan, .action = action, .phase = phase, .shard = s->name, .wall_ms = now_ms};
    act.submitter = coord_plan_signer(m);
    for (size_t i = 0; i < n; i++) {
        copies[i] = (struct zdm_signed_approval){.approval = from[i]->approval, .signer = from[i]->approver};
        copies[i].spent = from[i]->added_seq != 0 && (is_spent_by_rollback(m, s, from[i]) || is_used_up(s, from[i]));
        approvals[i] = &copies[i];
    }
    return zdm_act_allowed(&view->authority, &act, approvals, n, out);
}

bool coord_allowed(const struct coord_view *view, const struct coord_migration *m, const struct coord_shard *s,
                   enum zdm_approval_action action, uint32_t phase, int64_t now_ms, const struct coord_approval *more,
                   struct zdm_judgement *out)
{
    const struct coord_approval *approvals[ZDM_APPROVALS_MAX];
    size_t n = coord_attached(m, s, action, phase, UINT64_MAX, approvals);
    if (more != NULL && more->approval.action == action && more->approval.phase == phase)
        approvals[n < ZDM_APPROVALS_MAX ? n++ : n - 1] = more;
    return judge(view, m, s, action, phase, now_ms, approvals, n, out);
}

uint32_t coord_phase_needs(const struct coord_view *view, const struct coord_migration *migration, uint32_t phase,
                           enum zdm_approval_action *out_action)
{
    *out_action = action_of_phase(migration, phase);
    struct zdm_act act = {.plan = migration->plan, .action = *out_action, .phase = phase, .shard = ""};
    return zdm_plan_phase(migration->plan, phase) == NULL ? 0 : zdm_act_needs(&view->authority, &act);
}

enum zdm_approval_verdict coord_judge_alone(const struct coord_view *view, const struct coord_migration *m,
                                            const struct coord_shard *s, const struct coord_approval *a, int64_t now_ms)
{
    struct zdm_judgement judgement;
    (void)judge(view, m, s, a->approval.action, a->approval.phase, now_ms, &a, 1, &judgement);
    return judgement.verdicts[0];
}
