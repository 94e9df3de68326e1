/*
 * advice.c - what a person would do next: the command to type and why, or why there is nothing to type.
 *
 * What is advised must be true: a command that this release would refuse is never named.
 */
#include <inttypes.h>
#include <stdio.h>

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
                       releases[i].hold != COORD_HOLD_GATE && releases[i].hold != COORD_HOLD_UNAVAILABLE;
        if (by_rule && !out->have_waiting) {
            out->waiting = i;
            out->have_waiting = true;
        }
    }
}

struct advice {
    char *command;
    size_t command_size;
    char *why;
    size_t why_size;
};

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
        (void)snprintf(out->why, out->why_size, "%zu shards are %s; %s %s", n, coord_status_name(status), shard->name,
                       reason);
    (void)snprintf(out->command, out->command_size, "zdmctl %s %s --shard %s",
                   status == COORD_HELD ? "resume" : "retry", migration->id, shard->name);
    if (status == COORD_HELD && n == census->n)
        (void)snprintf(out->command, out->command_size, "zdmctl resume %s --all-shards", migration->id);
}

static void advise_moving(struct coord_driver *d, const struct coord_migration *migration, const struct census *census,
                          const struct advice *out)
{
    size_t moving = census->by_status[COORD_MOVING] + census->by_status[COORD_UNDOING];
    (void)snprintf(out->why, out->why_size, "phase %" PRIu32 " (%s) runs on %zu of %zu shards", migration->opened_phase,
                   phase_title(d, migration, migration->opened_phase), moving, census->n);
}

static const struct zdm_flag *flag_of(const struct coord_migration *migration, uint32_t number)
{
    const struct zdm_phase *phase = zdm_plan_phase(migration->plan, number);
    for (size_t i = 0; phase != NULL && i < phase->n_steps; i++)
        if (phase->steps[i].action == ZDM_ACTION_GATE_FLAG)
            return phase->steps[i].flag;
    return NULL;
}

/* What an advance would open, but this release cannot carry out: there is nothing to type then. */
static bool is_out_of_reach(struct coord_driver *d, const struct coord_migration *migration, uint32_t next,
                            const struct advice *out)
{
    const struct zdm_phase *phase = zdm_plan_phase(migration->plan, next);
    uint32_t needed = phase->approvals > 0 ? phase->approvals : phase->destructive;
    char title[128], before[128];
    (void)zdm_copy_text(title, sizeof title, phase_title(d, migration, next));
    (void)zdm_copy_text(before, sizeof before, phase_title(d, migration, next - 1));
    if (phase->class == ZDM_PHASE_PURGE)
        (void)snprintf(out->why, out->why_size,
                       "phase %" PRIu32 " (%s) is done. What it hid stays hidden, with all its values: this release "
                       "does not take phase %" PRIu32 " (%s), which would drop it",
                       next - 1, before, next, title);
    else if (needed > 0)
        (void)snprintf(out->why, out->why_size,
                       "phase %" PRIu32 " (%s) is next. It needs %" PRIu32 " approval%s, which this release cannot "
                       "take: no shard would enter it",
                       next, title, needed, needed == 1 ? "" : "s");
    else
        return false;
    return true;
}

static void advise_advance(struct coord_driver *d, const struct coord_migration *migration, const struct advice *out)
{
    uint32_t opened = migration->opened_phase, next = opened + 1;
    const struct zdm_flag *flag = flag_of(migration, opened);
    if (is_out_of_reach(d, migration, next, out))
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

/* Shards that wait for a person, the worst first. */
static bool is_trouble(const struct coord_driver *d, const struct coord_migration *migration,
                       const struct census *census, const struct advice *out)
{
    static const enum coord_status troubles[] = {COORD_FAILED, COORD_UNSURE, COORD_HELD};
    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++)
        if (census->by_status[troubles[i]] != 0) {
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
    if (is_trouble(d, migration, &census, out))
        return;
    (void)snprintf(out->command, out->command_size, "zdmctl resume %s --all-shards", migration->id);
    (void)snprintf(out->why, out->why_size, "the migration was halted, and no shard is in trouble any more");
}

static void advise_open(struct coord_driver *d, const struct coord_migration *migration,
                        const struct coord_release *releases, const struct advice *out)
{
    struct census census;
    count(migration, releases, &census);
    if (is_trouble(d, migration, &census, out))
        return;
    if (census.by_status[COORD_MOVING] + census.by_status[COORD_UNDOING] != 0)
        advise_moving(d, migration, &census, out);
    else if (census.have_waiting && census.below_opened != 0) {
        char hold[ZDM_TEXT_MAX + 64] = "";
        const struct coord_shard *shard = &migration->shards[census.waiting];
        shard_reason(d, migration, shard, &releases[census.waiting], hold, sizeof hold);
        (void)snprintf(out->why, out->why_size, "%s waits: %s", shard->name, hold);
    } else if (migration->opened_phase < zdm_plan_last_phase(migration->plan))
        advise_advance(d, migration, out);
}

void next_step(struct coord_driver *d, const struct coord_migration *migration, const struct coord_release *releases,
               char *command, size_t command_size, char *why, size_t why_size)
{
    const struct advice out = {command, command_size, why, why_size};
    command[0] = why[0] = '\0';
    if (d->state->fenced)
        (void)snprintf(
            why, why_size,
            "this coordinator is fenced: its log may be older than what agents were told; it gives no orders");
    else if (d->full)
        (void)snprintf(why, why_size, "the coordinator's disk is full: until it has room, every request is refused");
    else if (d->state->frozen) {
        (void)snprintf(command, command_size, "zdmctl thaw");
        (void)snprintf(why, why_size, "the fleet is frozen: no shard enters a phase");
    } else if (migration == NULL) {
        (void)snprintf(command, command_size, "zdmctl submit RUNBOOK");
        (void)snprintf(why, why_size, "this fleet has no migration");
    } else if (migration->mode == COORD_ENDED)
        (void)snprintf(why, why_size, "the migration has ended");
    else if (migration->mode == COORD_HALTED)
        advise_halted(d, migration, releases, &out);
    else
        advise_open(d, migration, releases, &out);
}
