/*
 * authority.c - see authority.h.
 */
#include "common/plan/authority.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/plan/names.h"
#include "common/plan/undo.h"

void zdm_authority_fini(struct zdm_authority *authority)
{
    if (authority == NULL)
        return;
    free(authority->people);
    *authority = (struct zdm_authority){.version = 0};
}

bool zdm_authority_copy(struct zdm_authority *out, const struct zdm_authority *authority)
{
    struct zdm_authority copy = *authority;
    if (authority->n_people > 0) {
        copy.people = zdm_memdup(authority->people, authority->n_people * sizeof *authority->people);
        if (copy.people == NULL)
            return false;
    }
    *out = copy;
    return true;
}

const struct zdm_authority_person *zdm_authority_find(const struct zdm_authority *authority,
                                                      const struct zdm_id *key_id)
{
    for (size_t i = 0; i < authority->n_people; i++)
        if (zdm_id_equal(&authority->people[i].key_id, key_id))
            return &authority->people[i];
    return NULL;
}

const char *zdm_approval_verdict_text(enum zdm_approval_verdict verdict)
{
    static const char *const texts[] = {
        [ZDM_APPROVAL_COUNTS] = "counts",
        [ZDM_APPROVAL_OTHER] = "is for something else",
        [ZDM_APPROVAL_NO_APPROVER] = "is not signed by an approver of the trust file in force",
        [ZDM_APPROVAL_SUBMITTER] = "is signed by who submitted the plan (four_eyes)",
        [ZDM_APPROVAL_NEWER_TRUST] = "was signed under a newer trust file than is in force here",
        [ZDM_APPROVAL_EXPIRED] = "has expired",
        [ZDM_APPROVAL_FROM_FUTURE] = "was issued in the future: this host's clock is behind",
        [ZDM_APPROVAL_SPENT] = "was spent: it was used, or a rollback came after it",
        [ZDM_APPROVAL_NOT_NOW] = "does not allow to purge before the grace period is over",
        [ZDM_APPROVAL_SAME_KEY] = "is a second one of the same person",
        [ZDM_APPROVAL_ENOUGH] = "is more than is needed",
    };
    return ZDM_NAME_IN(texts, verdict);
}

static bool names_shard(char *const *shards, size_t n, const char *shard)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(shards[i], shard) == 0)
            return true;
    return n == 0;
}

uint32_t zdm_act_needs(const struct zdm_authority *authority, const struct zdm_act *act)
{
    const struct zdm_phase *phase = act->phase == 0 ? NULL : zdm_plan_phase(act->plan, act->phase);
    uint32_t planned = 1;
    if (act->action == ZDM_APPROVE_ENTER) {
        if (phase == NULL || (!phase->destructive && phase->approvals == 0))
            return 0;
        planned = phase->approvals;
    } else if (act->action == ZDM_APPROVE_PURGE && phase != NULL) {
        planned = phase->approvals;
    }
    uint32_t needed = planned > authority->approvals_min ? planned : authority->approvals_min;
    return needed > 0 ? needed : 1;
}

static bool is_about(const struct zdm_approval *a, const struct zdm_act *act)
{
    static const struct zdm_hash none;
    const struct zdm_phase *phase = act->phase == 0 ? NULL : zdm_plan_phase(act->plan, act->phase);
    const struct zdm_hash *digest = act->action == ZDM_APPROVE_UNDO || phase == NULL ? &none : &phase->digest;
    return a->action == act->action && a->phase == act->phase && strcmp(a->migration, act->plan->id) == 0 &&
           zdm_hash_equal(&a->plan_hash, &act->plan->hash) && zdm_hash_equal(&a->phase_digest, digest) &&
           names_shard(a->shards, a->n_shards, act->shard);
}

static enum zdm_approval_verdict judge_one(const struct zdm_authority *authority, const struct zdm_act *act,
                                           const struct zdm_signed_approval *s)
{
    const struct zdm_authority_person *person = zdm_authority_find(authority, &s->signer);
    if (!is_about(&s->approval, act))
        return ZDM_APPROVAL_OTHER;
    if (person == NULL || (person->roles & ZDM_ROLE_APPROVER) == 0)
        return ZDM_APPROVAL_NO_APPROVER;
    if (authority->four_eyes && zdm_id_equal(&s->signer, &act->submitter))
        return ZDM_APPROVAL_SUBMITTER;
    if (s->approval.trust_version > authority->version)
        return ZDM_APPROVAL_NEWER_TRUST;
    if (act->wall_ms > s->approval.expires_at_ms)
        return ZDM_APPROVAL_EXPIRED;
    if (s->approval.issued_at_ms > act->wall_ms + ZDM_CLOCK_TOLERANCE_MS)
        return ZDM_APPROVAL_FROM_FUTURE;
    if (s->spent)
        return ZDM_APPROVAL_SPENT;
    return act->now && !s->approval.purge_now ? ZDM_APPROVAL_NOT_NOW : ZDM_APPROVAL_COUNTS;
}

bool zdm_act_allowed(const struct zdm_authority *authority, const struct zdm_act *act,
                     const struct zdm_signed_approval *const *approvals, size_t n, struct zdm_judgement *out)
{
    *out = (struct zdm_judgement){.needed = zdm_act_needs(authority, act)};
    for (size_t i = 0; i < n && i < ZDM_APPROVALS_MAX; i++) {
        enum zdm_approval_verdict verdict = judge_one(authority, act, approvals[i]);
        for (size_t j = 0; j < i && verdict == ZDM_APPROVAL_COUNTS; j++)
            if (out->verdicts[j] == ZDM_APPROVAL_COUNTS && zdm_id_equal(&approvals[j]->signer, &approvals[i]->signer))
                verdict = ZDM_APPROVAL_SAME_KEY;
        if (verdict == ZDM_APPROVAL_COUNTS && out->given == out->needed)
            verdict = ZDM_APPROVAL_ENOUGH;
        out->given += verdict == ZDM_APPROVAL_COUNTS;
        out->verdicts[i] = verdict;
    }
    return out->given >= out->needed;
}

void zdm_judgement_text(char *out, size_t size, const struct zdm_authority *authority,
                        const struct zdm_signed_approval *const *approvals, size_t n,
                        const struct zdm_judgement *judgement)
{
    int used = snprintf(out, size, "%u of %u approval%s", judgement->given, judgement->needed,
                        judgement->needed == 1 ? "" : "s");
    for (size_t i = 0; i < n && i < ZDM_APPROVALS_MAX && used > 0 && (size_t)used < size; i++) {
        enum zdm_approval_verdict verdict = judgement->verdicts[i];
        const struct zdm_authority_person *person = zdm_authority_find(authority, &approvals[i]->signer);
        if (verdict == ZDM_APPROVAL_COUNTS || verdict == ZDM_APPROVAL_ENOUGH || verdict == ZDM_APPROVAL_OTHER)
            continue;
        int more = snprintf(out + used, size - (size_t)used, "; that of %s %s", person != NULL ? person->name : "?",
                            zdm_approval_verdict_text(verdict));
        used = more < 0 ? -1 : used + more;
    }
}

enum zdm_code zdm_undo_order_judge(const struct zdm_authority *authority, const struct zdm_undo_order *order,
                                   const struct zdm_id *signer, const struct zdm_plan *plan, const char *shard,
                                   uint32_t goal_phase, int64_t wall_ms, struct zdm_error *err)
{
    const struct zdm_authority_person *person = zdm_authority_find(authority, signer);
    if (person == NULL || (person->roles & ZDM_ROLE_OPERATOR) == 0)
        (void)zdm_error_set(err, ZDM_REFUSED, "undo order is not signed by an operator of the trust file in force");
    else if (strcmp(order->migration, plan->id) != 0 || !zdm_hash_equal(&order->plan_hash, &plan->hash))
        (void)zdm_error_set(err, ZDM_REFUSED, "undo order is for another migration or plan");
    else if (!names_shard(order->shards, order->n_shards, shard))
        (void)zdm_error_set(err, ZDM_REFUSED, "undo order does not name shard %s", shard);
    else if (goal_phase < order->to_phase)
        (void)zdm_error_set(err, ZDM_REFUSED, "undo order goes back to phase %u and not to phase %u", order->to_phase,
                            goal_phase);
    else if (wall_ms > order->expires_at_ms)
        (void)zdm_error_set(err, ZDM_REFUSED, "undo order has expired");
    else if (order->issued_at_ms > wall_ms + ZDM_CLOCK_TOLERANCE_MS)
        (void)zdm_error_set(err, ZDM_REFUSED, "undo order was issued in the future: this host's clock is behind");
    else
        return ZDM_OK;
    return zdm_error_hint(err, "An operator signs a new one: zdmctl rollback %s.", plan->id);
}
