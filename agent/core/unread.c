/*
 * unread.c - rows of the journal that do not verify: such a row counts as none, but it stands there, and an order that
 * cannot take its place is refused with words rather than tried for ever.
 *
 * An order under the row's own plan may: what was done was done by that plan, and whoever signed it since is asked. One
 * under another plan may where all phases that were entered are the same, byte for byte: whoever signed it answers for
 * them. The row's plan tells which these are where an operator of its time signed it; else nobody can say.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/internal.h"
#include "common/base/buffer.h"

enum { REREAD_MS = 60000, REREAD_DOUBLED_MAX = 6 };

static bool does_not_verify(const struct agent_input *input, size_t i)
{
    return input->journal_whys != NULL && input->journal_whys[i] != NULL;
}

/* As far as amend.c asks. NULL without memory. */
static struct agent_migration *former_of(const struct agent_input *input, size_t i)
{
    const struct agent_journal *row = &input->u.op_done->journals[i];
    const struct zdm_directive *d = input->journal_directives[i];
    struct agent_migration *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    m->plan = zdm_plan_ref(input->journal_plans[i]);
    m->accepted =
        (struct agent_standing){.set = true, .fence = row->accepted, .goal_phase = d->goal_phase, .mode = d->mode};
    m->step = row->step;
    m->cursor = zdm_strdup(row->cursor);
    m->bound = zdm_strdup(row->bound);
    m->walked = row->walked;
    m->entered_phase = row->entered_phase;
    m->reached_phase = row->reached_phase;
    m->switched_phase = row->switched_phase;
    m->undo_nonce = row->undo_nonce;
    return m;
}

static void former_free(struct agent_migration *m)
{
    if (m == NULL)
        return;
    zdm_plan_unref(m->plan);
    free(m->cursor);
    free(m->bound);
    free(m);
}

static bool has_former(const struct agent_input *input, size_t i)
{
    return input->journal_directives != NULL && input->journal_plans != NULL && input->journal_directives[i] != NULL &&
           input->journal_plans[i] != NULL;
}

bool agent_unread_take(struct agent_core *core, const struct agent_input *input)
{
    const struct agent_result *result = input->u.op_done;
    size_t n = 0;
    for (size_t i = 0; i < result->n_journals; i++)
        n += does_not_verify(input, i);
    agent_unread_fini(core);
    core->unread = n == 0 ? NULL : calloc(n, sizeof *core->unread);
    if (n > 0 && core->unread == NULL)
        return false;
    for (size_t i = 0; i < result->n_journals; i++) {
        const struct agent_journal *row = &result->journals[i];
        if (!does_not_verify(input, i))
            continue;
        struct agent_unread *unread = &core->unread[core->n_unread++];
        zdm_copy_text(unread->migration, sizeof unread->migration, row->migration);
        unread->plan_hash = row->plan_hash;
        unread->accepted = row->accepted;
        unread->digest = row->digest;
        zdm_copy_text(unread->why, sizeof unread->why, input->journal_whys[i]);
        unread->former = has_former(input, i) ? former_of(input, i) : NULL;
    }
    return true;
}

void agent_unread_fini(struct agent_core *core)
{
    for (size_t i = 0; i < core->n_unread; i++)
        former_free(core->unread[i].former);
    free(core->unread);
    core->unread = NULL;
    core->n_unread = 0;
}

static const struct agent_unread *find(const struct agent_core *core, const char *migration)
{
    for (size_t i = 0; i < core->n_unread; i++)
        if (strcmp(core->unread[i].migration, migration) == 0)
            return &core->unread[i];
    return NULL;
}

bool agent_unread_forget(struct agent_core *core, const char *migration)
{
    const struct agent_unread *unread = find(core, migration);
    if (unread == NULL)
        return false;
    former_free(unread->former);
    core->unread[unread - core->unread] = core->unread[--core->n_unread];
    return true;
}

static bool is_later(const struct agent_unread *unread, const struct agent_order *order)
{
    int compared = zdm_fence_compare(&unread->accepted, &order->directive.fence);
    return compared > 0 || (compared == 0 && !zdm_hash_equal(&unread->digest, &order->digest));
}

void agent_unread_name(const struct agent_core *core, const char *migration, struct agent_op *op)
{
    const struct agent_unread *unread = find(core, migration);
    if (unread == NULL || unread->former == NULL || zdm_hash_equal(&unread->plan_hash, &op->plan->hash))
        return;
    op->fence = unread->accepted;
    op->amends = agent_amends(unread->former, op->plan);
    op->journal_step = unread->former->step;
    op->cursor = unread->former->cursor;
}

/* Refuses what nobody can say of, and what the row's plan says is another one. */
static bool is_another(const struct agent_unread *unread, const struct agent_order *order, struct zdm_error *err)
{
    char hash[ZDM_HASH_HEX_SIZE];
    struct zdm_error other = ZDM_ERROR_INIT;
    if (unread->former != NULL && (order->plan == NULL || agent_may_amend(unread->former, order->plan, &other)))
        return false; /* its plan is fetched first */
    zdm_hex(hash, unread->plan_hash.bytes, sizeof unread->plan_hash.bytes);
    (void)zdm_error_set(err, ZDM_REFUSED, "the journal stands under plan %.12s, which does not verify: %s", hash,
                        unread->why);
    zdm_error_hint(err,
                   "%s%s the shard out, zdmctl exclude with --shard, or let a trust file have the signer of that plan "
                   "as operator again.",
                   other.hint, other.hint[0] != '\0' ? " Or leave" : "Leave");
    return true;
}

static bool judge(const struct agent_core *core, const struct agent_migration *m, struct zdm_error *err)
{
    const struct agent_unread *unread = find(core, m->id);
    const struct agent_order *order = &m->pending;
    if (unread == NULL)
        return false;
    if (!zdm_hash_equal(&unread->plan_hash, &order->directive.plan_hash) && is_another(unread, order, err))
        return true;
    if (!is_later(unread, order))
        return false;
    (void)zdm_error_set(err, ZDM_REFUSED, "the journal holds a later order, which does not verify: %s", unread->why);
    zdm_error_hint(err, "Restore this shard's own backup; a coordinator that is started anew gives later orders.");
    return true;
}

/* What was done is known from memory: another process with this agent's key may have rolled it back since, and no
 * operation of ours would tell. Less and less often, up to once an hour: for every other migration it means to begin
 * anew where its journal stands. */
void agent_reread(struct agent_core *core, struct agent_order *order)
{
    if (core->now_ms >= order->reread_at_ms) {
        order->reread_at_ms = core->now_ms + ((int64_t)REREAD_MS << order->rereads);
        if (order->rereads < REREAD_DOUBLED_MAX)
            order->rereads++;
        agent_reload(core, 0);
    }
    agent_wake_at(core, order->reread_at_ms);
}

void agent_reread_refused(struct agent_core *core)
{
    for (size_t i = 0; i < core->n_migrations; i++)
        core->migrations[i]->pending.reread_at_ms = core->migrations[i]->pending.rereads = 0;
}

bool agent_is_barred(struct agent_core *core, struct agent_migration *m)
{
    struct zdm_error refusal = ZDM_ERROR_INIT;
    if (!judge(core, m, &refusal))
        return false;
    m->pending.refusal = refusal;
    agent_reread(core, &m->pending);
    return true;
}
