/*
 * advice.c - what a person would do next: the command to type and why, or why there is nothing to type.
 *
 * What is advised must be true: a command that this release would refuse is never named.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/plan/undo.h"
#include "coordinator/app/private.h"

struct census {
    size_t by_status[COORD_EXCLUDED + 1];
    const struct coord_shard *first[COORD_EXCLUDED + 1];
    size_t n, below_opened; /* not excluded; of these: ready and not yet through the opened phase */
    size_t waiting;         /* index of a ready shard that is held back by a rule */
    bool have_waiting;
};

static void count(const struct coord_migration *migration, const struct coord_release *releases, struct census *out)
{
    *out = (struct census){.n = 0};
    for (size_t i = 0; i < migration->n_shards; i++) {
        const struct coord_shard *shard = &migration->shards[i];
        if (out->by_status[shard->status]++ == 0)
            out->first[shard->status] = shard;
        if (shard->status == COORD_EXCLUDED)
            continue;
        out->n++;
        if (shard->status != COORD_READY)
            continue;
        if (shard->at < migration->opened_phase)
            out->below_opened++;
        bool by_rule = releases[i].hold != COORD_HOLD_NONE && releases[i].hold != COORD_HOLD_ADVANCE &&
                       releases[i].hold != COORD_HOLD_GATE;
        if (by_rule && !out->have_waiting) {
            out->waiting = i;
            out->have_waiting = true;
        }
    }
}

/* What ends the trouble of a shard. */
static const char *remedy(const struct coord_shard *shard)
{
    return shard->status == COORD_HELD || shard->status == COORD_UNDONE ? "resume" : "retry";
}

/* A retry would end where it ended before: the error says that only a rollback helps, and how far. Not where a flag has
 * to be off before, nor what other shards forbid; there its words have to do. */
static bool only_rollback_helps(const struct coord_migration *migration, const struct coord_shard *shard,
                                uint32_t *out_phase)
{
    const char *at = shard->failure != NULL ? strstr(shard->failure, ZDM_ERROR_ROLL_BACK) : NULL;
    bool stuck = shard->status == COORD_UNSURE || shard->status == COORD_FAILED;
    uint32_t reach = shard->entered > shard->opened ? shard->entered : shard->opened;
    if (!stuck || at == NULL)
        return false;
    unsigned long phase = strtoul(at + strlen(ZDM_ERROR_ROLL_BACK), NULL, 10);
    *out_phase = phase < shard->at ? (uint32_t)phase : shard->at;
    return *out_phase < shard->entered && zdm_plan_switch_between(migration->plan, *out_phase, reach) == 0;
}

static const struct zdm_flag *flag_of(const struct coord_migration *migration, uint32_t number)
{
    const struct zdm_phase *phase = zdm_plan_phase(migration->plan, number);
    for (size_t i = 0; phase != NULL && i < phase->n_steps; i++)
        if (phase->steps[i].action == ZDM_ACTION_GATE_FLAG)
            return phase->steps[i].flag;
    return NULL;
}

static bool would_repeat(const struct coord_driver *d, const struct coord_migration *migration,
                         const struct coord_shard *shard, uint32_t to)
{
    struct zdm_undo_repeat repeat;
    return zdm_plan_undo_repeats(migration->plan, coord_engine_of(d->state, &d->view, shard->name), to,
                                 zdm_plan_first_after(migration->plan, shard->at) - 1, &repeat);
}

/* The phase that a stuck shard's error says to roll back to, where a switch lies between; that one in out_switch. */
static bool back_below_switch(const struct coord_migration *migration, const struct coord_shard *shard,
                              uint32_t *out_phase, uint32_t *out_switch)
{
    bool stuck = shard->status == COORD_UNSURE || shard->status == COORD_FAILED;
    const char *at = stuck && shard->failure != NULL ? strstr(shard->failure, ZDM_ERROR_ROLL_BACK) : NULL;
    uint32_t reach = shard->entered > shard->opened ? shard->entered : shard->opened;
    if (at == NULL)
        return false;
    unsigned long phase = strtoul(at + strlen(ZDM_ERROR_ROLL_BACK), NULL, 10);
    *out_phase = phase < shard->at ? (uint32_t)phase : shard->at;
    *out_switch = zdm_plan_switch_between(migration->plan, *out_phase, reach);
    return *out_phase < shard->entered && *out_switch != 0 &&
           zdm_plan_switch_between(migration->plan, *out_phase, *out_switch - 1) == 0;
}

/* The error leaves the choice between a retry and a rollback: with the flag off, and in two legs from beyond it. */
static void add_way_back(const struct coord_driver *d, const struct coord_migration *migration,
                         const struct coord_shard *shard, const struct advice *out)
{
    uint32_t phase, crossed;
    if (!back_below_switch(migration, shard, &phase, &crossed) || would_repeat(d, migration, shard, phase))
        return;
    const struct zdm_flag *flag = flag_of(migration, crossed);
    const struct zdm_step *step = NULL;
    char leg[2 * ZDM_NAME_MAX + 64] = "", approve[ZDM_NAME_MAX + 64] = "";
    size_t n = strlen(out->why);
    if (shard->entered > crossed)
        (void)snprintf(leg, sizeof leg, "zdmctl rollback %s --shard %s --to %" PRIu32 ", then ", migration->id,
                       shard->name, crossed);
    if (undo_wants_approval(d, migration, shard, phase, &step))
        (void)snprintf(approve, sizeof approve, "zdmctl approve %s --rollback-to %" PRIu32 ", then ", migration->id,
                       phase);
    (void)snprintf(out->why + n, out->why_size - n,
                   "; or back: %sturn %s%s off everywhere, then %szdmctl rollback %s --shard %s --to %" PRIu32
                   " --flag-off",
                   leg, flag != NULL ? "the flag " : "new code", flag != NULL ? flag->key : "", approve, migration->id,
                   shard->name, phase);
}

/* A rollback that stopped on the way can be taken up again in both directions. */
static void add_further_back(const struct coord_migration *migration, const struct coord_shard *shard,
                             const struct advice *out)
{
    const struct zdm_flag *flag = flag_of(migration, shard->at);
    size_t n = strlen(out->why);
    if (!coord_was_rolled_back(shard) || shard->at == 0)
        return;
    (void)snprintf(out->why + n, out->why_size - n, "; further back: %s%s%szdmctl rollback %s --all-shards%s",
                   flag != NULL ? "turn the flag " : "", flag != NULL ? flag->key : "",
                   flag != NULL ? " off everywhere, then " : "", migration->id, flag != NULL ? " --flag-off" : "");
}

static void advise_trouble(const struct coord_driver *d, const struct coord_migration *migration,
                           const struct census *census, enum coord_status status, const struct advice *out)
{
    const struct coord_shard *shard = census->first[status];
    char reason[ZDM_TEXT_MAX + 64];
    size_t n = census->by_status[status];
    const struct coord_release none = {.hold = COORD_HOLD_STATUS};
    shard_reason(d, migration, shard, &none, reason, sizeof reason);
    if (n == 1)
        (void)snprintf(out->why, out->why_size, "%s %s", shard->name, reason);
    else
        (void)snprintf(out->why, out->why_size, "%zu shards %s; %s %s", n,
                       coord_was_rolled_back(shard) ? "were rolled back"
                       : status == COORD_HELD       ? "are paused"
                       : status == COORD_FAILED     ? "have failed"
                                                    : "cannot tell where they stand",
                       shard->name, reason);
    (void)snprintf(out->command, out->command_size, "zdmctl %s %s --shard %s", remedy(shard), migration->id,
                   shard->name);
    uint32_t phase;
    if (only_rollback_helps(migration, shard, &phase) && !advise_undo_approval(d, migration, shard, phase, out))
        (void)snprintf(out->command, out->command_size, "zdmctl rollback %s --shard %s --to %" PRIu32, migration->id,
                       shard->name, phase);
    if (strcmp(remedy(shard), "resume") == 0 && n == census->n)
        (void)snprintf(out->command, out->command_size, "zdmctl resume %s --all-shards", migration->id);
    add_way_back(d, migration, shard, out);
    add_further_back(migration, shard, out);
}

/* A shard whose agent does not take the order that it is given: what its hint says first, where that is a command. */
static bool advise_refused(const struct coord_driver *d, const struct coord_migration *migration,
                           const struct advice *out)
{
    for (size_t i = 0; i < migration->n_shards; i++) {
        const struct coord_shard *shard = &migration->shards[i];
        const struct zdm_migration_report *report = shard_refusal(d, migration, shard);
        if (report == NULL)
            continue;
        (void)snprintf(out->why, out->why_size, "the agent of %s does not take its order: %s%s%s", shard->name,
                       report->error, report->hint[0] != '\0' ? ". " : "", report->hint);
        if (strncmp(report->hint, ZDM_HINT_AMEND, strlen(ZDM_HINT_AMEND)) == 0 && shard->status != COORD_UNDOING)
            (void)snprintf(out->command, out->command_size, "zdmctl submit --amend RUNBOOK");
        else if (strstr(report->hint, "zdmctl exclude") != NULL)
            (void)snprintf(out->command, out->command_size, "zdmctl exclude %s --shard %s", migration->id, shard->name);
        return true;
    }
    return false;
}

/* What a moving shard waits for that no command of zdmctl ends: a grace period, or somebody who starts its agent or its
 * database. */
static void add_wait(const struct coord_driver *d, const struct coord_migration *migration, enum coord_status status,
                     const struct advice *out)
{
    char trouble[ZDM_TEXT_MAX + 64];
    for (size_t i = 0; i < migration->n_shards; i++) {
        const struct coord_shard *shard = &migration->shards[i];
        const struct zdm_migration_report *report = report_of_shard(d, migration, shard);
        size_t n = strlen(out->why);
        if (shard->status != status)
            continue;
        if (shard_trouble(d, migration, shard, trouble, sizeof trouble))
            (void)snprintf(out->why + n, out->why_size - n, "; %s: %s", shard->name, trouble);
        else if (report != NULL && report->wait == ZDM_WAIT_GRACE)
            (void)snprintf(out->why + n, out->why_size - n, "; %s waits for the grace period: %s", shard->name,
                           report->blocked_by);
        else
            continue;
        return;
    }
}

/* "the start" or "the end of phase 2 (Migrate)". */
static void end_text(struct coord_driver *d, const struct coord_migration *migration, uint32_t phase, char *out,
                     size_t size)
{
    if (phase == 0)
        (void)snprintf(out, size, "the start");
    else
        (void)snprintf(out, size, "the end of phase %" PRIu32 " (%s)", phase, phase_title(d, migration, phase));
}

static void advise_moving(struct coord_driver *d, const struct coord_migration *migration, const struct census *census,
                          const struct advice *out)
{
    size_t moving = census->by_status[COORD_MOVING], undoing = census->by_status[COORD_UNDOING];
    char end[160];
    if (undoing != 0) {
        end_text(d, migration, census->first[COORD_UNDOING]->goal, end, sizeof end);
        (void)snprintf(out->why, out->why_size, "%zu of %zu shards %s back to %s", undoing, census->n,
                       undoing == 1 ? "goes" : "go", end);
        add_wait(d, migration, COORD_UNDOING, out);
        return;
    }
    uint32_t phase = census->first[COORD_MOVING]->goal;
    (void)snprintf(out->why, out->why_size, "phase %" PRIu32 " (%s) runs on %zu of %zu shards", phase,
                   phase_title(d, migration, phase), moving, census->n);
    add_wait(d, migration, COORD_MOVING, out);
}

static void advise_advance(struct coord_driver *d, const struct coord_migration *migration, const struct advice *out)
{
    uint32_t opened = migration->opened_phase, next = opened + 1;
    const struct zdm_flag *flag = flag_of(migration, opened);
    if (advise_approval(d, migration, next, out))
        return;
    (void)snprintf(out->command, out->command_size, "zdmctl advance %s --all-shards", migration->id);
    if (opened == 0)
        (void)snprintf(out->why, out->why_size, "nothing has begun yet; phase 1 (%s) is first",
                       phase_title(d, migration, 1));
    else if (flag != NULL)
        (void)snprintf(out->why, out->why_size,
                       "turn the flag %s on everywhere, then advance; phase %" PRIu32 " (%s) is next", flag->key, next,
                       phase_title(d, migration, next));
    else {
        char title[128];
        (void)zdm_copy_text(title, sizeof title, phase_title(d, migration, opened));
        (void)snprintf(out->why, out->why_size, "phase %" PRIu32 " (%s) is done; phase %" PRIu32 " (%s) is next",
                       opened, title, next, phase_title(d, migration, next));
    }
}

/* Two orders with one number: nothing else matters before that is understood. */
static bool is_alarm(const struct coord_driver *d, const struct coord_migration *migration, const struct advice *out)
{
    for (size_t i = 0; i < migration->n_shards; i++) {
        const struct zdm_migration_report *report = report_of_shard(d, migration, &migration->shards[i]);
        if (report == NULL || !report->equivocation)
            continue;
        (void)snprintf(out->command, out->command_size, "zdmctl audit verify");
        (void)snprintf(out->why, out->why_size,
                       "ALARM: the agent of %s was given two different orders with the same number. Two coordinators "
                       "run on copies of one log, or somebody else has a coordinator's key: stop them, then find out",
                       migration->shards[i].name);
        return true;
    }
    return false;
}

/* Shards that wait for a person, the worst first. Those that were rolled back wait for the others that go back. */
static bool is_trouble(const struct coord_driver *d, const struct coord_migration *migration,
                       const struct census *census, const struct advice *out)
{
    static const enum coord_status troubles[] = {COORD_FAILED, COORD_UNSURE, COORD_HELD, COORD_UNDONE};
    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++) {
        if (census->by_status[troubles[i]] == 0)
            continue;
        if (coord_was_rolled_back(census->first[troubles[i]]) && census->by_status[COORD_UNDOING] != 0)
            continue;
        advise_trouble(d, migration, census, troubles[i], out);
        return true;
    }
    return false;
}

/* What halted it is seen to first; a halt ends by a resume, never by itself. */
static void advise_halted(const struct coord_driver *d, const struct coord_migration *migration,
                          const struct coord_release *releases, const struct advice *out)
{
    struct census census;
    count(migration, releases, &census);
    if (is_trouble(d, migration, &census, out) || advise_refused(d, migration, out))
        return;
    (void)snprintf(out->command, out->command_size, "zdmctl resume %s --all-shards", migration->id);
    (void)snprintf(out->why, out->why_size, "the migration was halted, and no shard is in trouble any more");
}

static void advise_open(struct coord_driver *d, const struct coord_migration *migration,
                        const struct coord_release *releases, const struct advice *out)
{
    struct census census;
    count(migration, releases, &census);
    if (is_trouble(d, migration, &census, out) || advise_refused(d, migration, out))
        return;
    if (census.by_status[COORD_MOVING] + census.by_status[COORD_UNDOING] != 0)
        advise_moving(d, migration, &census, out);
    else if (census.have_waiting && census.below_opened != 0) {
        char hold[ZDM_TEXT_MAX + 64] = "";
        const struct coord_shard *shard = &migration->shards[census.waiting];
        if (releases[census.waiting].hold == COORD_HOLD_APPROVALS &&
            advise_approval(d, migration, releases[census.waiting].phase, out))
            return;
        shard_reason(d, migration, shard, &releases[census.waiting], hold, sizeof hold);
        (void)snprintf(out->why, out->why_size, "%s waits: %s", shard->name, hold);
    } else if (migration->opened_phase < zdm_plan_last_phase(migration->plan))
        advise_advance(d, migration, out);
}

/* After a recovery: somebody works in a migration that this log does not know. */
static bool advise_lost(const struct coord_driver *d, const struct advice *out)
{
    for (size_t i = 0; i < d->view.n_heard && d->state->recovered_epoch != 0; i++) {
        const struct coord_heard *heard = &d->view.heard[i];
        const char *lost = heard->connected ? coord_works_for_lost(d->state, &heard->report, heard->shard) : NULL;
        if (lost == NULL)
            continue;
        (void)snprintf(out->why, out->why_size,
                       "shard %s works in migration %s by an order that was lost with the recovery: its agent gets no "
                       "lease and comes to rest. Submit the runbook of %s again: the shard is then paused, and goes on "
                       "from what is proven there",
                       heard->shard, lost, lost);
        return true;
    }
    return false;
}

void next_step(struct coord_driver *d, const struct coord_migration *migration, const struct coord_release *releases,
               char *command, size_t command_size, char *why, size_t why_size)
{
    const struct advice out = {command, command_size, why, why_size};
    command[0] = why[0] = '\0';
    if (d->state->fenced)
        (void)snprintf(
            why, why_size,
            "this coordinator is fenced: its log may be older than what agents were told; it gives no orders. Start "
            "the "
            "coordinator with the newest log; if that is lost, stop this one and run zdm-coordinator recover");
    else if (d->full)
        (void)snprintf(why, why_size, "the coordinator's disk is full: until it has room, every request is refused");
    else if (d->state->frozen) {
        (void)snprintf(command, command_size, "zdmctl thaw");
        (void)snprintf(why, why_size, "the fleet is frozen: no shard enters a phase");
    } else if (advise_lost(d, &out)) {
        return;
    } else if (migration == NULL) {
        (void)snprintf(command, command_size, "zdmctl submit RUNBOOK");
        (void)snprintf(why, why_size, "this fleet has no migration");
    } else if (is_alarm(d, migration, &out)) {
        return;
    } else if (migration->mode == COORD_ENDED) {
        if (!advise_leftovers(d, migration, &out))
            (void)snprintf(why, why_size, "%s",
                           migration->outcome == COORD_END_UNDONE
                               ? "it was rolled back everywhere; zdmctl submit with the same runbook begins it again"
                               : "the migration has ended");
    } else if (migration->mode == COORD_HALTED)
        advise_halted(d, migration, releases, &out);
    else
        advise_open(d, migration, releases, &out);
}
