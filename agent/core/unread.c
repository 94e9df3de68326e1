/*
 * unread.c - rows of the journal that do not verify: such a row counts as none, but it stands there, and an order that
 * cannot take its place is refused with words rather than tried for ever.
 *
 * An order under the row's own plan may: what was done was done by that plan, and whoever signed it since is asked. For
 * another plan nobody can say whether it fits what was done, since nobody answers for the one that it was done by.
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
    }
    return true;
}

void agent_unread_fini(struct agent_core *core)
{
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
    core->unread[unread - core->unread] = core->unread[--core->n_unread];
    return true;
}

static bool is_later(const struct agent_unread *unread, const struct agent_order *order)
{
    int compared = zdm_fence_compare(&unread->accepted, &order->directive.fence);
    return compared > 0 || (compared == 0 && !zdm_hash_equal(&unread->digest, &order->digest));
}

static bool judge(const struct agent_core *core, const struct agent_migration *m, struct zdm_error *err)
{
    const struct agent_unread *unread = find(core, m->id);
    const struct agent_order *order = &m->pending;
    if (unread == NULL)
        return false;
    if (!zdm_hash_equal(&unread->plan_hash, &order->directive.plan_hash)) {
        char hash[ZDM_HASH_HEX_SIZE];
        zdm_hex(hash, unread->plan_hash.bytes, sizeof unread->plan_hash.bytes);
        (void)zdm_error_set(err, ZDM_REFUSED, "the journal stands under plan %.12s, which does not verify: %s", hash,
                            unread->why);
        zdm_error_hint(err, "Let an operator of the trust file submit the runbook of that plan, so that it is signed "
                            "anew: zdmctl submit RUNBOOK, with --amend where another plan is in force. Then amend it.");
        return true;
    }
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
