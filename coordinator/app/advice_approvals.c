/*
 * advice_approvals.c - the part of the advice that speaks of signatures and of what is dropped for good: how an
 * approval is given, and when what is hidden may go.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/os/clock.h"
#include "common/plan/engines.h"
#include "common/plan/undo.h"
#include "coordinator/app/private.h"

/* ---- What is hidden ---- */

struct hidden {
    const struct zdm_hidden *first; /* the one that may go first; NULL: nothing is known to be hidden */
    const char *what;               /* its name, without a schema where another engine has it without */
    bool more;                      /* others have another name */
};

static void look_at(struct hidden *out, const struct zdm_migration_report *report, bool by_rollback)
{
    for (size_t i = 0; i < report->n_hidden; i++) {
        const struct zdm_hidden *hidden = &report->hidden[i];
        if (hidden->by_rollback != by_rollback)
            continue;
        out->more = out->more || (out->first != NULL && !zdm_is_same_thing(out->first->what, hidden->what));
        if (out->first == NULL || hidden->purge_at_ms < out->first->purge_at_ms)
            out->first = hidden;
        if (out->what == NULL || !zdm_is_same_thing(out->what, out->first->what))
            out->what = out->first->what;
        if (zdm_is_same_thing(out->what, hidden->what) && strlen(hidden->what) < strlen(out->what))
            out->what = hidden->what;
    }
}

static struct hidden find_hidden(const struct coord_driver *d, const struct coord_migration *migration,
                                 bool by_rollback)
{
    struct hidden out = {.first = NULL};
    for (size_t i = 0; i < migration->n_shards; i++) {
        const struct zdm_migration_report *report = report_of_shard(d, migration, &migration->shards[i]);
        if (report != NULL)
            look_at(&out, report, by_rollback);
    }
    return out;
}

/* "; nothing is dropped before 2026-11-25 10:00 UTC (the grace period)" while that is not yet so. */
static void grace_text(const struct coord_driver *d, const struct hidden *hidden, char *out, size_t size)
{
    char when[32];
    out[0] = '\0';
    if (hidden->first == NULL || hidden->first->purge_at_ms <= d->now_ms)
        return;
    zdm_wall_text(when, sizeof when, hidden->first->purge_at_ms); /* 2026-11-25T10:00:00Z */
    (void)snprintf(out, size, "; nothing is dropped before %.10s %.5s UTC (the grace period)", when, when + 11);
}

/* ---- What is missing ---- */

static uint32_t given_for(const struct coord_driver *d, const struct coord_migration *migration,
                          enum zdm_approval_action action, uint32_t phase)
{
    struct coord_overview overview;
    uint32_t given = 0;
    if (!coord_approvals_overview(d->state, &d->view, migration, d->now_ms, &overview))
        return 0;
    for (size_t i = 0; i < overview.n_acts; i++)
        if (overview.acts[i].action == action && overview.acts[i].phase == phase)
            given = overview.acts[i].given;
    coord_overview_fini(&overview);
    return given;
}

/* Who may sign: it is no use to advise somebody whose signature does not count. */
static const char *who_may(const struct coord_driver *d)
{
    return d->view.authority.four_eyes ? "an approver who did not submit the plan" : "an approver";
}

static void say_missing(struct coord_driver *d, const struct coord_migration *migration, uint32_t phase, uint32_t given,
                        uint32_t needed, const struct advice *out)
{
    (void)snprintf(out->command, out->command_size, "zdmctl approve %s --phase %" PRIu32 " --runbook RUNBOOK",
                   migration->id, phase);
    (void)snprintf(out->why, out->why_size,
                   "phase %" PRIu32 " (%s) needs %" PRIu32 " approval%s, %" PRIu32 " given: %s signs it, with a copy "
                   "of the runbook",
                   phase, phase_title(d, migration, phase), needed, needed == 1 ? "" : "s", given, who_may(d));
}

static void say_purge(struct coord_driver *d, const struct coord_migration *migration, uint32_t phase, uint32_t given,
                      uint32_t needed, const struct advice *out)
{
    struct hidden hidden = find_hidden(d, migration, false);
    char grace[96];
    grace_text(d, &hidden, grace, sizeof grace);
    (void)snprintf(out->command, out->command_size, "zdmctl purge %s --all-shards", migration->id);
    (void)snprintf(out->why, out->why_size,
                   "phase %" PRIu32 " (%s) drops for good what was hidden. It needs %" PRIu32 " approval%s, %" PRIu32
                   " given: %s says purge%s",
                   phase, phase_title(d, migration, phase), needed, needed == 1 ? "" : "s", given, who_may(d), grace);
}

bool advise_approval(struct coord_driver *d, const struct coord_migration *migration, uint32_t phase,
                     const struct advice *out)
{
    enum zdm_approval_action action = ZDM_APPROVE_ENTER;
    uint32_t needed = coord_phase_needs(&d->view, migration, phase, &action);
    uint32_t given = needed != 0 ? given_for(d, migration, action, phase) : 0;
    if (given >= needed)
        return false;
    if (action == ZDM_APPROVE_PURGE)
        say_purge(d, migration, phase, given, needed, out);
    else
        say_missing(d, migration, phase, given, needed, out);
    return true;
}

/* As many as are needed; until somebody gave one, no overview knows of a rollback. */
static bool undo_is_allowed(const struct coord_driver *d, const struct coord_migration *migration, uint32_t to_phase)
{
    struct coord_overview overview;
    bool allowed = false;
    if (!coord_approvals_overview(d->state, &d->view, migration, d->now_ms, &overview))
        return false;
    for (size_t i = 0; i < overview.n_acts; i++) {
        const struct coord_act_overview *act = &overview.acts[i];
        if (act->action == ZDM_APPROVE_UNDO && act->phase == to_phase)
            allowed = act->given >= act->needed;
    }
    coord_overview_fini(&overview);
    return allowed;
}

bool undo_wants_approval(const struct coord_driver *d, const struct coord_migration *migration,
                         const struct coord_shard *shard, uint32_t to_phase, const struct zdm_step **out_step)
{
    enum zdm_engine engine = coord_engine_of(d->state, &d->view, shard->name);
    return zdm_plan_undo_loses(migration->plan, engine, to_phase, shard->entered, shard->switched, out_step) &&
           !undo_is_allowed(d, migration, to_phase);
}

bool advise_undo_approval(const struct coord_driver *d, const struct coord_migration *migration,
                          const struct coord_shard *shard, uint32_t to_phase, const struct advice *out)
{
    const struct zdm_step *step = NULL;
    size_t n = strlen(out->why);
    if (!undo_wants_approval(d, migration, shard, to_phase, &step))
        return false;
    (void)snprintf(out->command, out->command_size, "zdmctl approve %s --rollback-to %" PRIu32, migration->id,
                   to_phase);
    (void)snprintf(out->why + n, out->why_size - n,
                   "; that loses what new code wrote (step %s), so it needs approvals first: %s signs", step->id,
                   who_may(d));
    return true;
}

/* ---- What rollbacks left ---- */

/* Of a report: "column public.users.full_name, left by a rollback". The sentences here say the rest themselves. */
static int name_length(const char *what)
{
    const char *rest = strstr(what, ", left by");
    return rest != NULL ? (int)(rest - what) : (int)strlen(what);
}

static bool is_being_purged(const struct coord_migration *migration)
{
    for (size_t i = 0; i < migration->n_shards; i++)
        if (migration->shards[i].mode == ZDM_MODE_PURGE)
            return true;
    return false;
}

/* Did somebody sign that what rollbacks left goes without waiting for its grace period? */
static bool goes_at_once(const struct coord_driver *d, const struct coord_migration *migration)
{
    struct coord_overview overview;
    bool at_once = false;
    if (!coord_approvals_overview(d->state, &d->view, migration, d->now_ms, &overview))
        return false;
    for (size_t i = 0; i < overview.n_acts; i++) {
        const struct coord_act_overview *act = &overview.acts[i];
        for (size_t k = act->first; k < act->first + act->n_by; k++)
            at_once = at_once || (act->action == ZDM_APPROVE_PURGE && act->phase == 0 && overview.by[k].purge_now &&
                                  !overview.by[k].revoked);
    }
    coord_overview_fini(&overview);
    return at_once;
}

static void say_leftovers(const struct coord_driver *d, const struct coord_migration *migration,
                          const struct hidden *left, const char *grace, const struct advice *out)
{
    const struct zdm_act act = {.plan = migration->plan, .action = ZDM_APPROVE_PURGE, .shard = ""};
    uint32_t needed = zdm_act_needs(&d->view.authority, &act);
    (void)snprintf(out->command, out->command_size, "zdmctl purge %s --all-shards", migration->id);
    (void)snprintf(
        out->why, out->why_size,
        "what a rollback took away is still there, hidden: %.*s%s. Purging drops it for good; it needs %" PRIu32
        " approval%s, %" PRIu32 " given%s",
        name_length(left->what), left->what, left->more ? ", and more" : "", needed, needed == 1 ? "" : "s",
        given_for(d, migration, ZDM_APPROVE_PURGE, 0), grace);
}

bool advise_leftovers(const struct coord_driver *d, const struct coord_migration *migration, const struct advice *out)
{
    struct hidden left = find_hidden(d, migration, true);
    char grace[96];
    if (left.first == NULL)
        return false;
    grace_text(d, &left, grace, sizeof grace);
    if (is_being_purged(migration))
        (void)snprintf(out->why, out->why_size, "what a rollback took away is being dropped: %.*s%s%s",
                       name_length(left.what), left.what, left.more ? ", and more" : "",
                       goes_at_once(d, migration) ? "" : grace);
    else
        say_leftovers(d, migration, &left, grace, out);
    return true;
}
