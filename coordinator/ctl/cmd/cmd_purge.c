/*
 * cmd_purge.c - purge: an approver's signature that what was hidden may really go.
 */
#include "coordinator/ctl/command.h"

#include <string.h>

#include "common/plan/undo.h"
#include "coordinator/ctl/cmd/approving.h"
#include "coordinator/ctl/text/json.h"

/* Is every chosen shard where only leftovers of rollbacks can be purged: all the way forward or all the way back? */
static bool all_final(const struct ctl_places *places)
{
    for (size_t i = 0; i < places->n; i++)
        if (!places->items[i].excluded && strcmp(places->items[i].status, "done") != 0 &&
            strcmp(places->items[i].status, "undone") != 0)
            return false;
    return true;
}

/* The purge phase, or 0: what rollbacks left. */
static uint32_t purge_phase_of(const struct ctl_approving *a)
{
    bool ended = strcmp(ctl_json_text(a->subject.status, "mode"), "ended") == 0;
    return ended || all_final(&a->places) ? 0 : zdm_plan_purge_phase(a->subject.plan);
}

enum zdm_code ctl_run_purge(struct ctl *ctl, struct zdm_error *err)
{
    struct ctl_approving a = {.ctl = ctl};
    struct zdm_approval approval = {.phase = 0};
    bool now = ctl_given(&ctl->options, CTL_OPT_NOW);
    enum zdm_code code = ctl_approving_read(&a, err);
    if (code == ZDM_OK)
        code = ctl_approving_look(&a, true, err);
    if (code == ZDM_OK)
        code = ctl_approval_make(&a, ZDM_APPROVE_PURGE, purge_phase_of(&a), now, &approval, err);
    if (code == ZDM_OK)
        code = ctl_approval_show(&a, &approval, err);
    if (code == ZDM_OK)
        code = ctl_consent(ctl, now ? "Drop it now, without the grace period?" : "Sign this?", err);
    if (code == ZDM_OK)
        code = ctl_approval_send(&a, ZDM_VERB_PURGE, &approval, err);
    zdm_approval_fini(&approval);
    ctl_approving_fini(&a);
    return code;
}
