/*
 * directive.c - fencing and the life of directives, approvals and undo orders. See directive.h.
 */
#include "common/plan/directive.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/plan/names.h"

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int zdm_fence_compare(const struct zdm_fence *a, const struct zdm_fence *b)
{
    int epochs = compare_u64(a->epoch, b->epoch);
    return epochs != 0 ? epochs : compare_u64(a->generation, b->generation);
}

bool zdm_fence_equal(const struct zdm_fence *a, const struct zdm_fence *b)
{
    return zdm_fence_compare(a, b) == 0 && zdm_id_equal(&a->instance, &b->instance) &&
           zdm_hash_equal(&a->anchor, &b->anchor);
}

enum zdm_acceptance zdm_directive_judge(const struct zdm_fence *accepted, const struct zdm_hash *accepted_digest,
                                        const struct zdm_fence *offered, const struct zdm_hash *offered_digest)
{
    int order = zdm_fence_compare(offered, accepted);
    /* One epoch belongs to one instance: a second one in it is a copy of the coordinator, whatever it says. */
    if (offered->epoch == accepted->epoch && !zdm_id_equal(&offered->instance, &accepted->instance) &&
        accepted->epoch != 0)
        return ZDM_EQUIVOCATION;
    if (order != 0)
        return order > 0 ? ZDM_ACCEPT : ZDM_STALE;
    bool same = zdm_fence_equal(offered, accepted) && zdm_hash_equal(offered_digest, accepted_digest);
    return same ? ZDM_REPEAT : ZDM_EQUIVOCATION;
}

uint32_t zdm_directive_reach(const struct zdm_directive *directive)
{
    bool stays = directive->mode == ZDM_MODE_RUN || directive->mode == ZDM_MODE_PAUSE;
    return stays ? directive->goal_phase : 0;
}

const char *zdm_mode_name(enum zdm_mode mode)
{
    static const char *const names[] = {
        [ZDM_MODE_RUN] = "run", [ZDM_MODE_PAUSE] = "pause", [ZDM_MODE_UNDO] = "undo", [ZDM_MODE_PURGE] = "purge"};
    return ZDM_NAME_IN(names, mode);
}

const char *zdm_approval_action_name(enum zdm_approval_action action)
{
    static const char *const names[] = {
        [ZDM_APPROVE_ENTER] = "enter", [ZDM_APPROVE_PURGE] = "purge", [ZDM_APPROVE_UNDO] = "undo"};
    return ZDM_NAME_IN(names, action);
}

const char *zdm_acceptance_name(enum zdm_acceptance acceptance)
{
    static const char *const names[] = {
        [ZDM_ACCEPT] = "accept", [ZDM_REPEAT] = "repeat", [ZDM_STALE] = "stale", [ZDM_EQUIVOCATION] = "equivocation"};
    return ZDM_NAME_IN(names, acceptance);
}

void zdm_envelope_fini(struct zdm_envelope *envelope)
{
    if (envelope == NULL)
        return;
    free(envelope->bytes);
    *envelope = (struct zdm_envelope){.bytes = NULL};
}

bool zdm_envelope_copy(struct zdm_envelope *out, const struct zdm_envelope *envelope)
{
    struct zdm_envelope copy = *envelope;
    if (envelope->bytes != NULL) {
        copy.bytes = zdm_memdup(envelope->bytes, envelope->len);
        if (copy.bytes == NULL)
            return false;
    }
    *out = copy;
    return true;
}

void zdm_directive_fini(struct zdm_directive *directive)
{
    if (directive == NULL)
        return;
    for (size_t i = 0; directive->approvals != NULL && i < directive->n_approvals; i++)
        zdm_envelope_fini(&directive->approvals[i]);
    free(directive->approvals);
    zdm_envelope_fini(directive->undo_order);
    free(directive->undo_order);
    memset(directive, 0, sizeof *directive);
}

static void shards_free(char **shards, size_t n)
{
    for (size_t i = 0; shards != NULL && i < n; i++)
        free(shards[i]);
    free(shards);
}

void zdm_approval_fini(struct zdm_approval *approval)
{
    if (approval == NULL)
        return;
    shards_free(approval->shards, approval->n_shards);
    memset(approval, 0, sizeof *approval);
}

void zdm_undo_order_fini(struct zdm_undo_order *order)
{
    if (order == NULL)
        return;
    shards_free(order->shards, order->n_shards);
    memset(order, 0, sizeof *order);
}
