/*
 * authority.c - what people signed: copies that stay with an order, and the doors that need them (protocol 6).
 *
 * Signatures were verified by the driver; whether they count here and now is judged by common/plan/authority.h against
 * the trust file in force. Approvals that let something in are spent in the journal before it begins.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/core/internal.h"
#include "common/base/buffer.h"

enum { JUDGE_AGAIN_MS = 10000 /* approvals may become valid, or expire, while nothing else happens */ };

/* ---- Copies ---- */

void agent_signed_fini(struct agent_signed *parts)
{
    for (size_t i = 0; i < parts->n_approvals; i++)
        zdm_approval_fini(&parts->approvals[i].approval);
    free(parts->approvals);
    if (parts->has_undo)
        zdm_undo_order_fini(&parts->undo);
    memset(parts, 0, sizeof *parts);
}

static void free_names(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

/* True with NULL for none. */
static bool copy_names(char *const *names, size_t n, char ***out)
{
    *out = NULL;
    if (n == 0)
        return true;
    char **copy = calloc(n, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < n; i++)
        if ((copy[i] = zdm_strdup(names[i])) == NULL) {
            free_names(copy, i);
            copy = NULL;
        }
    *out = copy;
    return copy != NULL;
}

static bool copy_undo(struct agent_signed *out, const struct zdm_undo_order *order)
{
    char **shards;
    if (!copy_names(order->shards, order->n_shards, &shards))
        return false;
    out->undo = *order;
    out->undo.shards = shards;
    out->has_undo = true;
    return true;
}

static bool copy_approvals(struct agent_signed *out, const struct agent_authority *authority)
{
    size_t n = authority->n_approvals < ZDM_APPROVALS_MAX ? authority->n_approvals : ZDM_APPROVALS_MAX;
    if (n == 0)
        return true;
    out->approvals = calloc(n, sizeof *out->approvals);
    for (size_t i = 0; out->approvals != NULL && i < n; i++) {
        struct zdm_signed_approval copy = authority->approvals[i];
        if (!copy_names(copy.approval.shards, copy.approval.n_shards, &copy.approval.shards))
            return false;
        out->approvals[out->n_approvals++] = copy;
    }
    return out->approvals != NULL;
}

bool agent_signed_take(struct agent_signed *out, const struct agent_authority *authority)
{
    struct agent_signed copy = {.undo_signer = authority->undo_signer};
    if (authority->undo_refusal != NULL)
        zdm_copy_text(copy.undo_refusal, sizeof copy.undo_refusal, authority->undo_refusal);
    if ((authority->undo_order != NULL && !copy_undo(&copy, authority->undo_order)) ||
        !copy_approvals(&copy, authority)) {
        agent_signed_fini(&copy);
        return false;
    }
    agent_signed_fini(out);
    *out = copy;
    return true;
}

void agent_on_trust(struct agent_core *core, const struct zdm_authority *trust)
{
    struct zdm_authority copy;
    if (trust == NULL || !zdm_authority_copy(&copy, trust))
        return;
    zdm_authority_fini(&core->trust);
    core->trust = copy;
    core->trusted = true;
    agent_reread_refused(core);
}

/* ---- Judging ---- */

void agent_wait(struct agent_migration *m, enum zdm_wait wait, const char *text)
{
    m->waits = wait;
    zdm_copy_text(m->waits_for, sizeof m->waits_for, text);
}

bool agent_waits_for_fresh_lease(struct agent_core *core, struct agent_migration *m)
{
    if (agent_freshly_leased(core))
        return false;
    agent_wait(m, ZDM_WAIT_LEASE, ""); /* the report that says so is what will be acknowledged */
    return true;
}

static size_t point_at(const struct agent_migration *m, const struct zdm_signed_approval *out[ZDM_APPROVALS_MAX])
{
    size_t n = m->authority.n_approvals;
    for (size_t i = 0; i < n; i++)
        out[i] = &m->authority.approvals[i];
    return n;
}

static void fill_act(const struct agent_core *core, const struct agent_migration *m, struct zdm_act *act)
{
    act->plan = m->plan;
    act->shard = core->config.shard;
    act->submitter = m->signer;
    act->wall_ms = core->wall_ms;
}

bool agent_is_allowed(const struct agent_core *core, const struct agent_migration *m, struct zdm_act *act,
                      struct zdm_judgement *out, char text[ZDM_TEXT_MAX + 1])
{
    const struct zdm_signed_approval *approvals[ZDM_APPROVALS_MAX];
    size_t n = point_at(m, approvals);
    fill_act(core, m, act);
    bool allowed = core->trusted && zdm_act_allowed(&core->trust, act, approvals, n, out);
    if (core->trusted)
        zdm_judgement_text(text, ZDM_TEXT_MAX + 1, &core->trust, approvals, n, out);
    else
        zdm_copy_text(text, ZDM_TEXT_MAX + 1, "no trust file is in force yet");
    return allowed;
}

/* ---- Entering ---- */

void agent_choose_spend(struct agent_migration *m, const struct zdm_judgement *judgement)
{
    m->n_spend = 0;
    for (size_t i = 0; i < m->authority.n_approvals; i++) {
        const struct zdm_signed_approval *a = &m->authority.approvals[i];
        if (judgement->verdicts[i] == ZDM_APPROVAL_COUNTS)
            m->spend[m->n_spend++] = (struct agent_spend){
                .nonce = a->approval.nonce, .approver = a->signer, .issued_at_ms = a->approval.issued_at_ms};
    }
}

static void start_spend(struct agent_core *core, struct agent_migration *m, const struct zdm_act *act,
                        const struct zdm_judgement *judgement)
{
    agent_choose_spend(m, judgement);
    m->spend_now = act->now;
    struct agent_op *op = agent_launch_journal(core, m, AGENT_RUN_SPEND_APPROVALS, agent_step_named(m));
    if (op == NULL)
        return;
    op->spend = m->spend;
    op->n_spend = m->n_spend;
    op->spend_phase = act->phase;
    op->purge_now = act->now;
}

/* Spends what allows the act; false, with *text, when it is not allowed. */
static bool spend(struct agent_core *core, struct agent_migration *m, struct zdm_act *act, char text[ZDM_TEXT_MAX + 1])
{
    struct zdm_judgement judgement;
    if (!agent_is_allowed(core, m, act, &judgement, text))
        return false;
    start_spend(core, m, act, &judgement);
    return true;
}

/* An act of purging is first judged as one before its time: who says `now` means now. */
static void spend_or_wait(struct agent_core *core, struct agent_migration *m, struct zdm_act *act)
{
    char text[ZDM_TEXT_MAX + 1];
    bool destroys = act->phase == 0 || agent_phase_destroys(zdm_plan_phase(m->plan, act->phase));
    if (destroys && agent_waits_for_fresh_lease(core, m))
        return;
    act->now = act->action == ZDM_APPROVE_PURGE;
    if (act->now && spend(core, m, act, text))
        return;
    act->now = false;
    if (spend(core, m, act, text))
        return;
    agent_wait(m, ZDM_WAIT_APPROVALS, text);
    agent_wake_at(core, core->now_ms + JUDGE_AGAIN_MS);
}

/* People who let the purge in may say later that it shall not wait. */
static bool hurries(struct agent_core *core, struct agent_migration *m, struct zdm_act *act)
{
    char text[ZDM_TEXT_MAX + 1];
    act->now = true;
    return act->action == ZDM_APPROVE_PURGE && !m->purge_now && agent_freshly_leased(core) && spend(core, m, act, text);
}

bool agent_drive_entering(struct agent_core *core, struct agent_migration *m, const struct zdm_phase *phase)
{
    struct zdm_act act = {.action = phase->class == ZDM_PHASE_PURGE ? ZDM_APPROVE_PURGE : ZDM_APPROVE_ENTER,
                          .phase = phase->number};
    fill_act(core, m, &act);
    if (zdm_act_needs(&core->trust, &act) == 0)
        return true;
    if (m->entered_phase >= phase->number)
        return !hurries(core, m, &act);
    spend_or_wait(core, m, &act);
    return false;
}

bool agent_drive_allowing(struct agent_core *core, struct agent_migration *m)
{
    struct zdm_act act = {.action = ZDM_APPROVE_PURGE};
    if (m->purge_generation == m->accepted.fence.generation)
        return true;
    spend_or_wait(core, m, &act);
    return false;
}

void agent_on_spent(struct agent_migration *m, const struct agent_result *result)
{
    bool leftovers = m->accepted.mode == ZDM_MODE_PURGE;
    agent_went_well(m);
    m->unknowns = 0;
    m->early_ms = 0;
    if (result->journal_valid) {
        agent_take_journal(m, result);
    } else if (leftovers) {
        m->purge_generation = m->accepted.fence.generation;
        m->purge_generation_now = m->spend_now;
    } else {
        m->entered_phase = zdm_plan_phase_of(m->plan, m->step);
        m->purge_now = m->spend_now;
    }
}

void agent_on_spend_refused(struct agent_migration *m, uint32_t which)
{
    for (size_t i = 0; i < m->authority.n_approvals; i++)
        for (size_t k = 0; k < m->n_spend; k++)
            if ((which >> k & 1) != 0 && zdm_id_equal(&m->authority.approvals[i].approval.nonce, &m->spend[k].nonce))
                m->authority.approvals[i].spent = true;
}
