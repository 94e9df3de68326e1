/*
 * order.c - directives: judged by protocol 3 rule 4, held at once when they stop something, accepted by the journal
 * before they start something.
 *
 * An order is first `pending`, then `accepting` while its ACCEPT is in flight, then the standing one. A newer order
 * replaces a pending one that was never journalled; what that one stopped stays stopped until an order that lets it go
 * on is journalled.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/core/internal.h"
#include "common/base/backoff.h"
#include "common/base/buffer.h"

enum { FETCH_AGAIN_MS = 10000, ACCEPT_BACKOFF_MS = 200, ACCEPT_BACKOFF_CAP_MS = 10000 };

void agent_order_drop(struct agent_order *order)
{
    agent_signed_fini(&order->authority);
    zdm_directive_fini(&order->directive);
    zdm_envelope_fini(&order->envelope);
    zdm_envelope_fini(&order->plan_envelope);
    zdm_plan_unref(order->plan);
    memset(order, 0, sizeof *order);
}

static bool copy_directive(struct zdm_directive *out, const struct zdm_directive *in)
{
    *out = *in;
    out->approvals = NULL;
    out->n_approvals = 0;
    out->undo_order = NULL;
    if (in->n_approvals > 0) {
        out->approvals = calloc(in->n_approvals, sizeof *out->approvals);
        if (out->approvals == NULL)
            return false;
    }
    for (size_t i = 0; i < in->n_approvals; i++, out->n_approvals++)
        if (!zdm_envelope_copy(&out->approvals[i], &in->approvals[i]))
            return false;
    if (in->undo_order == NULL)
        return true;
    out->undo_order = calloc(1, sizeof *out->undo_order);
    return out->undo_order != NULL && zdm_envelope_copy(out->undo_order, in->undo_order);
}

static bool order_take(struct agent_order *out, const struct agent_input *input)
{
    memset(out, 0, sizeof *out);
    out->set = true;
    out->digest = input->u.order.digest;
    if (copy_directive(&out->directive, input->u.order.directive) &&
        zdm_envelope_copy(&out->envelope, input->u.order.envelope) &&
        agent_signed_take(&out->authority, &input->u.order.authority))
        return true;
    agent_order_drop(out);
    return false;
}

static enum zdm_acceptance judge(const struct agent_migration *m, const struct zdm_fence *fence,
                                 const struct zdm_hash *digest)
{
    const struct agent_order *newest = m->pending.set ? &m->pending : &m->accepting;
    if (newest->set)
        return zdm_directive_judge(&newest->directive.fence, &newest->digest, fence, digest);
    return zdm_directive_judge(&m->accepted.fence, &m->accepted.digest, fence, digest);
}

/* Does the order take away the right to go on with what is done now? */
static bool stops(const struct agent_core *core, const struct agent_migration *m, const struct zdm_directive *d)
{
    bool elsewhere = m->accepted.set && (m->accepted.mode == ZDM_MODE_UNDO || m->accepted.mode == ZDM_MODE_PURGE);
    return d->mode != (elsewhere ? m->accepted.mode : ZDM_MODE_RUN) || !zdm_id_equal(&d->actor, &core->config.key_id);
}

static void begin_hold(struct agent_core *core, struct agent_migration *m, const struct zdm_fence *fence)
{
    if (!m->hold)
        m->hold_since_ms = core->now_ms;
    m->hold = true;
    m->hold_fence = *fence;
}

/* What stands has changed under an order that waits: does that one stop it? */
static void hold_for_pending(struct agent_core *core, struct agent_migration *m)
{
    if (m->pending.set && stops(core, m, &m->pending.directive))
        begin_hold(core, m, &m->pending.directive.fence);
}

/* The plan of an order that is at hand already: of the standing order, or of the order that it replaces. */
static void find_plan(struct agent_migration *m, struct agent_order *order, struct agent_order *former)
{
    if (m->plan != NULL && zdm_hash_equal(&m->plan->hash, &order->directive.plan_hash)) {
        order->plan = zdm_plan_ref(m->plan);
        order->plan_signer = m->signer;
        order->plan_stored = true;
    } else if (former->plan != NULL && zdm_hash_equal(&former->plan->hash, &order->directive.plan_hash)) {
        order->plan = zdm_plan_ref(former->plan);
        order->plan_signer = former->plan_signer;
        order->plan_stored = former->plan_stored;
        if (!former->plan_stored && !zdm_envelope_copy(&order->plan_envelope, &former->plan_envelope)) {
            zdm_plan_unref(order->plan);
            order->plan = NULL;
        }
    } else if (former->plan_refused && zdm_hash_equal(&former->directive.plan_hash, &order->directive.plan_hash)) {
        order->plan_refused = true;
    }
}

static void take_newer(struct agent_core *core, struct agent_migration *m, const struct agent_input *input)
{
    struct agent_order order;
    if (!order_take(&order, input))
        return;
    find_plan(m, &order, m->pending.set ? &m->pending : &m->accepting);
    agent_order_drop(&m->pending);
    m->pending = order;
    m->accept_at_ms = core->now_ms;
    m->accept_failures = 0;
    if (stops(core, m, &order.directive))
        begin_hold(core, m, &order.directive.fence);
}

/* The same order again: what people signed is verified anew with each, by the trust file in force then. */
static void take_repeat(struct agent_core *core, struct agent_migration *m, const struct agent_authority *authority)
{
    struct agent_order *newest = m->pending.set ? &m->pending : &m->accepting;
    (void)agent_signed_take(newest->set ? &newest->authority : &m->authority, authority);
    if (core->connected && !newest->set)
        m->asking = false;
    /* One that is refused is given again with each report: the two would talk without end. */
    core->report_soon |= newest->refusal.code == ZDM_OK && !newest->plan_refused;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* An epoch that no coordinator can have come to by starting: after it there would be none left. */
static bool is_too_late(const struct agent_core *core, uint64_t epoch)
{
    uint64_t latest = 0;
    for (size_t i = 0; i < core->n_migrations; i++)
        latest = later(latest, core->migrations[i]->accepted.fence.epoch);
    return epoch > (latest == 0 ? ZDM_EPOCH_FIRST_MAX : latest + ZDM_EPOCH_STEP_MAX);
}

void agent_on_order(struct agent_core *core, const struct agent_input *input)
{
    const struct zdm_directive *d = input->u.order.directive;
    if (strcmp(d->shard, core->config.shard) != 0 || is_too_late(core, d->fence.epoch))
        return;
    struct agent_migration *m = agent_make(core, d->migration);
    if (m == NULL)
        return;
    switch (judge(m, &d->fence, &input->u.order.digest)) {
    case ZDM_ACCEPT:
        take_newer(core, m, input);
        break;
    case ZDM_REPEAT:
        take_repeat(core, m, &input->u.order.authority);
        break;
    case ZDM_STALE:
        core->report_soon = true;
        break;
    case ZDM_EQUIVOCATION:
        m->equivocation = true;
        break;
    }
}

void agent_on_plan_ready(struct agent_core *core, const struct agent_input *input)
{
    struct zdm_plan *plan = input->u.plan_ready.plan;
    for (size_t i = 0; i < core->n_migrations; i++) {
        struct agent_migration *m = core->migrations[i];
        struct agent_order *order = &m->pending;
        if (!order->set || order->plan != NULL || !zdm_hash_equal(&order->directive.plan_hash, &plan->hash))
            continue;
        if (strcmp(plan->id, m->id) != 0) {
            order->plan_refused = true;
            (void)zdm_error_set(&m->error, ZDM_REFUSED, "plan is of migration %s", plan->id);
        } else if (zdm_envelope_copy(&order->plan_envelope, input->u.plan_ready.envelope)) {
            order->plan = zdm_plan_ref(plan);
            order->plan_signer = input->u.plan_ready.signer;
        }
    }
}

void agent_on_plan_refused(struct agent_core *core, const struct agent_input *input)
{
    for (size_t i = 0; i < core->n_migrations; i++) {
        struct agent_migration *m = core->migrations[i];
        if (!m->pending.set || m->pending.plan != NULL ||
            !zdm_hash_equal(&m->pending.directive.plan_hash, &input->u.plan_refused.hash))
            continue;
        m->pending.plan_refused = true;
        (void)zdm_error_set(&m->error, ZDM_REFUSED, "plan refused: %s", input->u.plan_refused.why);
    }
}

void agent_fetch_plans_anew(struct agent_core *core)
{
    for (size_t i = 0; i < core->n_migrations; i++)
        core->migrations[i]->pending.fetch_at_ms = core->now_ms;
}

static void fetch_plan(struct agent_core *core, struct agent_order *order)
{
    if (!core->link_up || order->plan_refused)
        return;
    if (core->now_ms >= order->fetch_at_ms) {
        /* Room is left for the operations of every lane. */
        if (core->out->n >= AGENT_EFFECTS_MAX / 2) {
            agent_wake_at(core, core->now_ms);
            return;
        }
        struct agent_effect *effect = agent_effect_add(core, AGENT_DO_FETCH_PLAN);
        effect->plan_hash = order->directive.plan_hash;
        order->fetch_at_ms = core->now_ms + FETCH_AGAIN_MS;
    }
    agent_wake_at(core, order->fetch_at_ms);
}

static void start_store(struct agent_core *core, struct agent_migration *m)
{
    struct agent_op *op = agent_op_start(core, &core->control.flight, AGENT_OP_STORE_PLAN, 0);
    if (op == NULL)
        return;
    op->plan = m->pending.plan;
    op->envelope = &m->pending.plan_envelope;
    op->digest = m->pending.directive.plan_hash;
    zdm_copy_text(op->migration, sizeof op->migration, m->id);
    zdm_copy_text(core->control.migration, sizeof core->control.migration, m->id);
}

/* The same purge under a new number: another agent acts, an approval was withdrawn. What people let in goes on. Nothing
 * new can be hidden in between, because a rollback, or any other mode, ends it. */
static bool is_same_purge(const struct agent_migration *m, const struct zdm_directive *offered)
{
    return m->accepted.set && m->accepted.mode == ZDM_MODE_PURGE && offered->mode == ZDM_MODE_PURGE &&
           m->accepted.attempt == offered->attempt;
}

static void start_accept(struct agent_core *core, struct agent_migration *m)
{
    struct agent_op *op = agent_op_start(core, &core->control.flight, AGENT_OP_ACCEPT, 0);
    if (op == NULL)
        return;
    m->accepting = m->pending;
    memset(&m->pending, 0, sizeof m->pending);
    op->plan = m->accepting.plan;
    op->directive = &m->accepting.directive;
    op->envelope = &m->accepting.envelope;
    op->digest = m->accepting.digest;
    op->fence = m->accepted.fence;
    op->trust_version = core->trust.version;
    op->purge_goes_on = is_same_purge(m, op->directive);
    op->amends = agent_amends(m, op->plan);
    op->journal_step = m->step;
    op->cursor = m->cursor;
    agent_unread_name(core, m->id, op);
    zdm_copy_text(op->migration, sizeof op->migration, m->id);
    zdm_copy_text(core->control.migration, sizeof core->control.migration, m->id);
}

/* The row is the migration's own: an ACCEPT beside a running batch would fence that batch. Only a concurrent index
 * build, which checks the fence before and looks afterwards, may go on for hours beside it. */
static bool row_is_in_use(const struct agent_migration *m)
{
    return m->flight.op != 0 && !agent_run_rule(m->flight.run)->beside;
}

/* A plan that does not is never taken. Nothing goes on by the old one either, which somebody wants to be another: the
 * order parks the shard until a later one is taken. */
static bool fits_what_was_done(struct agent_core *core, struct agent_migration *m)
{
    struct agent_order *order = &m->pending;
    zdm_error_clear(&order->refusal);
    if (agent_may_amend(m, order->plan, &order->refusal))
        return true;
    begin_hold(core, m, &order->directive.fence);
    agent_reread(core, order);
    return false;
}

static void drive_order(struct agent_core *core, struct agent_migration *m)
{
    if (!m->pending.set || m->accepting.set || agent_is_barred(core, m))
        return;
    if (m->pending.plan == NULL) {
        zdm_error_clear(&m->pending.refusal);
        fetch_plan(core, &m->pending);
        return;
    }
    if (core->control.flight.op != 0 || row_is_in_use(m) || !fits_what_was_done(core, m))
        return;
    if (core->now_ms < m->accept_at_ms)
        agent_wake_at(core, m->accept_at_ms);
    else if (!m->pending.plan_stored)
        start_store(core, m);
    else
        start_accept(core, m);
}

void agent_drive_orders(struct agent_core *core)
{
    if (!core->writable)
        return;
    for (size_t i = 0; i < core->n_migrations; i++)
        drive_order(core, core->migrations[i]);
}

static bool goes_forward(enum zdm_mode mode)
{
    return mode == ZDM_MODE_RUN || mode == ZDM_MODE_PURGE;
}

/* Forward ends a rollback for good: what it left half undone is looked at anew, and its remark was about it. */
static bool ends_rollback(struct agent_migration *m, enum zdm_mode former)
{
    static const struct zdm_id none;
    bool was = former == ZDM_MODE_UNDO || !zdm_id_equal(&m->undo_nonce, &none);
    if (!goes_forward(m->accepted.mode))
        return false;
    m->undo_nonce = none;
    m->back.remark[0] = '\0';
    m->back.remark_from = 0;
    return was;
}

static void take_accepted(struct agent_migration *m)
{
    const struct zdm_directive *d = &m->accepting.directive;
    m->accepted = (struct agent_standing){.set = true,
                                          .fence = d->fence,
                                          .digest = m->accepting.digest,
                                          .actor = d->actor,
                                          .goal_phase = d->goal_phase,
                                          .mode = d->mode,
                                          .attempt = d->attempt,
                                          .throttle = d->throttle};
    agent_signed_fini(&m->authority);
    m->authority = m->accepting.authority;
    memset(&m->accepting.authority, 0, sizeof m->accepting.authority);
}

/* What people let in they let in for the plan that they saw; the engine's ACCEPT forgets it in the journal. Not so
 * where a plan is amended: the phases that were let in are the same. */
static void forget_rights(struct agent_migration *m)
{
    m->entered_phase = m->reached_phase = m->switched_phase = 0;
    m->purge_now = m->purge_generation_now = false;
    m->purge_generation = 0;
}

/* The order stands. Only now may it let go on what was held. */
static void settle(struct agent_migration *m)
{
    bool looks_anew = m->unsure || m->regress_to != 0 || m->plan == NULL;
    enum zdm_mode mode = m->accepted.mode;
    uint32_t attempt = m->accepted.attempt;
    bool amends = agent_amends(m, m->accepting.plan);
    take_accepted(m);
    if (m->plan == NULL || !zdm_hash_equal(&m->plan->hash, &m->accepting.plan->hash)) {
        looks_anew = true;
        if (!amends)
            forget_rights(m);
        zdm_plan_unref(m->plan);
        m->plan = zdm_plan_ref(m->accepting.plan);
    }
    if (zdm_directive_reach(&m->accepting.directive) > m->reached_phase)
        m->reached_phase = zdm_directive_reach(&m->accepting.directive);
    m->signer = m->accepting.plan_signer;
    if (ends_rollback(m, mode))
        looks_anew = true;
    if (m->accepted.attempt > attempt) {
        m->stop_wanted = false;
        agent_take_answer(m);
    }
    m->asking = m->purged = false;
    if (zdm_fence_compare(&m->accepted.fence, &m->hold_fence) >= 0)
        m->hold = false;
    agent_order_drop(&m->accepting);
    zdm_error_clear(&m->error);
    agent_step_reset(m);
    agent_back_restart(m);
    m->phase_checked = 0;
    if (looks_anew)
        agent_path_reset(m);
    if (agent_is_stopped(m)) /* an order of the same attempt changes nothing about why */
        m->error = m->stop_error;
}

/* Not accepted: a newer order replaces it, else it is tried again. */
static void unsettle(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    if (m->accepting.set) {
        if (m->pending.set)
            agent_order_drop(&m->accepting);
        else
            m->pending = m->accepting;
        memset(&m->accepting, 0, sizeof m->accepting);
    }
    if (result->outcome != AGENT_FENCED)
        m->error = result->error;
    m->accept_failures++;
    m->accept_at_ms =
        core->now_ms + zdm_backoff_ms(m->accept_failures, ACCEPT_BACKOFF_MS, ACCEPT_BACKOFF_CAP_MS, agent_random(core));
}

static void on_stored(struct agent_migration *m)
{
    m->accept_failures = 0;
    if (!m->pending.set || m->pending.plan == NULL)
        return;
    m->pending.plan_stored = true;
    zdm_envelope_fini(&m->pending.plan_envelope);
    memset(&m->pending.plan_envelope, 0, sizeof m->pending.plan_envelope);
}

void agent_on_accept_done(struct agent_core *core, const struct agent_result *result)
{
    struct agent_migration *m = agent_find(core, core->control.migration);
    if (m == NULL)
        return;
    if (result->outcome == AGENT_OK || result->outcome == AGENT_ALREADY) {
        if (m->accepting.set) {
            settle(m);
            if (result->journal_valid)
                agent_take_journal(m, result);
            /* What else the row says, that the shard has stopped above all, nobody could read until now. */
            if (agent_unread_forget(core, m->id))
                agent_reload(core, 0);
            hold_for_pending(core, m);
        } else {
            on_stored(m);
        }
        return;
    }
    unsettle(core, m, result);
    if (result->outcome == AGENT_FENCED || result->outcome == AGENT_UNKNOWN)
        agent_reload(core, 0);
    else if (result->error.code == ZDM_CLOSED || result->error.code == ZDM_UNAVAILABLE)
        agent_connection_lost(core, &result->error);
}

void agent_order_plan_anew(struct agent_migration *m)
{
    struct agent_order *order = &m->pending;
    struct agent_order none = {.set = false};
    if (!order->set || (order->plan != NULL && !order->plan_stored))
        return;
    zdm_plan_unref(order->plan);
    order->plan = NULL;
    order->plan_stored = false;
    find_plan(m, order, &none);
}

void agent_rejudge(struct agent_core *core, struct agent_migration *m)
{
    agent_order_plan_anew(m);
    if (!m->pending.set) {
        m->hold = m->accepting.set && stops(core, m, &m->accepting.directive);
        return;
    }
    switch (
        zdm_directive_judge(&m->accepted.fence, &m->accepted.digest, &m->pending.directive.fence, &m->pending.digest)) {
    case ZDM_ACCEPT:
        hold_for_pending(core, m);
        return;
    case ZDM_REPEAT:
        m->asking = false;
        agent_signed_fini(&m->authority);
        m->authority = m->pending.authority;
        memset(&m->pending.authority, 0, sizeof m->pending.authority);
        break;
    case ZDM_EQUIVOCATION:
        m->equivocation = true;
        break;
    case ZDM_STALE:
        break;
    }
    agent_order_drop(&m->pending);
    m->hold = false;
}

bool agent_is_actor(const struct agent_core *core, const struct agent_migration *m)
{
    return m->accepted.set && zdm_id_equal(&m->accepted.actor, &core->config.key_id);
}
