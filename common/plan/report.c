/*
 * report.c - see report.h.
 */
#include "common/plan/report.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/plan/names.h"

void zdm_report_fini(struct zdm_report *report)
{
    if (report == NULL)
        return;
    free(report->migrations);
    report->migrations = NULL;
    report->n_migrations = 0;
}

bool zdm_report_copy(struct zdm_report *out, const struct zdm_report *report)
{
    struct zdm_report copy = *report;
    copy.migrations = NULL;
    if (report->n_migrations != 0) {
        copy.migrations = zdm_memdup(report->migrations, report->n_migrations * sizeof *report->migrations);
        if (copy.migrations == NULL)
            return false;
    }
    *out = copy;
    return true;
}

const char *zdm_agent_state_name(enum zdm_agent_state state)
{
    static const char *const names[] = {
        [ZDM_AGENT_BLIND] = "blind",     [ZDM_AGENT_ASKING] = "asking",   [ZDM_AGENT_OBSERVING] = "observing",
        [ZDM_AGENT_RESTING] = "resting", [ZDM_AGENT_LOOKING] = "looking", [ZDM_AGENT_WORKING] = "working",
        [ZDM_AGENT_WAITING] = "waiting", [ZDM_AGENT_PAUSED] = "paused",   [ZDM_AGENT_STOPPED] = "stopped",
        [ZDM_AGENT_UNSURE] = "unsure",
    };
    return ZDM_NAME_IN(names, state);
}

const char *zdm_wait_name(enum zdm_wait wait)
{
    static const char *const names[] = {
        [ZDM_WAIT_NONE] = "none",           [ZDM_WAIT_BACKOFF] = "backoff", [ZDM_WAIT_THROTTLE] = "throttle",
        [ZDM_WAIT_LOCK] = "lock",           [ZDM_WAIT_LEASE] = "lease",     [ZDM_WAIT_PLAN] = "plan",
        [ZDM_WAIT_APPROVALS] = "approvals", [ZDM_WAIT_GRACE] = "grace",     [ZDM_WAIT_GATE] = "gate",
    };
    return ZDM_NAME_IN(names, wait);
}

const char *zdm_signal_state_name(enum zdm_signal_state state)
{
    static const char *const names[] = {[ZDM_SIGNAL_OK] = "ok", [ZDM_SIGNAL_BAD] = "bad", [ZDM_SIGNAL_STALE] = "stale"};
    return ZDM_NAME_IN(names, state);
}
