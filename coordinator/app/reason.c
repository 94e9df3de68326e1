/*
 * reason.c - why a shard does not move, in words; and what a person would do next.
 *
 * Three voices are brought together: the status (paused, failed), the rule that holds a shard back (wave, soak,
 * barrier: coord_hold_text), and what the agent itself says (a lock, a throttle, no database, silence). The nearest
 * cause comes first: an agent that is away explains more than anything it said before.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/app/private.h"

/* ---- The agent's part ---- */

static bool say(char *out, size_t size, const char *what, const char *detail)
{
    (void)snprintf(out, size, "%s%s%s", what, detail[0] != '\0' ? ": " : "", detail);
    return true;
}

struct zdm_id agent_of_shard(const struct coord_driver *d, const struct coord_shard *shard)
{
    struct zdm_id none = {{0}}, enrolled = none;
    if (!zdm_id_is_zero(&shard->actor))
        return shard->actor;
    const struct coord_fleet_shard *place = coord_find_fleet_shard(d->state, shard->name);
    for (uint32_t next = place != NULL ? place->first_agent : 0; next != 0;) {
        const struct coord_agent *agent = &d->state->agents[next - 1];
        if (!agent->revoked && coord_view_find(&d->view, &agent->id) != NULL)
            return agent->id;
        if (!agent->revoked)
            enrolled = agent->id;
        next = agent->next_of_shard;
    }
    return enrolled;
}

static const struct coord_heard *heard_of(const struct coord_driver *d, const struct coord_shard *shard)
{
    struct zdm_id agent = agent_of_shard(d, shard);
    return coord_view_find(&d->view, &agent);
}

static bool agent_is_away(const struct coord_driver *d, const struct coord_shard *shard,
                          const struct coord_heard *heard, char *out, size_t size)
{
    if (heard == NULL && coord_find_fleet_shard(d->state, shard->name) == NULL)
        return say(out, size, "no agent has joined for this shard", "");
    if (heard == NULL) {
        int64_t up_ms = d->now_ms - d->view.started_at_ms;
        if (up_ms < COORD_VIEW_SETTLE_MS)
            return say(out, size, "no word from the agent yet", "the coordinator has just started");
        (void)snprintf(out, size, "agent away: not heard since the coordinator started %" PRId64 " s ago",
                       up_ms / 1000);
        return true;
    }
    if (heard->connected)
        return false;
    (void)snprintf(out, size, "agent away since %" PRId64 " s", (d->now_ms - heard->gone_at_ms) / 1000);
    return true;
}

static bool says_wait(const struct zdm_migration_report *report, char *out, size_t size)
{
    switch (report->wait) {
    case ZDM_WAIT_LOCK:
        return say(out, size, "waiting for a lock", report->blocked_by);
    case ZDM_WAIT_THROTTLE:
        return say(out, size, "throttled", report->throttled_by);
    case ZDM_WAIT_BACKOFF:
        return say(out, size, "trying again", report->error);
    case ZDM_WAIT_LEASE:
        return say(out, size, "the agent has not heard the coordinator for too long", "");
    case ZDM_WAIT_PLAN:
        return say(out, size, "the agent is fetching the plan", "");
    case ZDM_WAIT_NONE:
        break;
    }
    return false;
}

static bool says_state(const struct zdm_migration_report *report, char *out, size_t size)
{
    if (report->state == ZDM_AGENT_STOPPED)
        return say(out, size, "stopped", report->error);
    if (report->state == ZDM_AGENT_UNSURE)
        return say(out, size, "the agent cannot tell what happened", report->error);
    if (report->state == ZDM_AGENT_ASKING)
        return say(out, size, "the agent waits for its order to be confirmed", "");
    return says_wait(report, out, size);
}

/* True when the agent explains why nothing happens. */
static bool agent_says(const struct coord_driver *d, const struct coord_migration *migration,
                       const struct coord_shard *shard, char *out, size_t size)
{
    const struct coord_heard *heard = heard_of(d, shard);
    if (agent_is_away(d, shard, heard, out, size))
        return true;
    const struct zdm_migration_report *report = coord_view_report(&d->view, &heard->agent, migration->id);
    if (report != NULL && report->equivocation)
        return say(out, size, "ALARM: the agent was given two different orders with the same number", "");
    if (!heard->report.connected)
        return say(out, size, "database unreachable", heard->report.db_error);
    if (!heard->report.writable)
        return say(out, size, "the database takes no writes", "");
    return report != NULL && says_state(report, out, size);
}

/* ---- The whole reason ---- */

static void failure_text(const struct coord_migration *migration, const struct coord_shard *shard, char *out,
                         size_t size)
{
    const struct zdm_step *step = zdm_plan_step(migration->plan, shard->failed_step);
    (void)snprintf(out, size, "failed%s%s%s: %s", shard->failed_back ? " while undoing" : "",
                   step != NULL ? " at step " : "", step != NULL ? step->id : "",
                   shard->failure != NULL ? shard->failure : "no text");
}

static void ready_text(const struct coord_driver *d, const struct coord_migration *migration,
                       const struct coord_shard *shard, const struct coord_release *release, char *out, size_t size)
{
    char agent[ZDM_TEXT_MAX + 64];
    if (release->hold == COORD_HOLD_NONE || release->hold == COORD_HOLD_STATUS)
        return;
    if (release->hold == COORD_HOLD_NO_AGENT && agent_says(d, migration, shard, agent, sizeof agent)) {
        (void)snprintf(out, size, "%s", agent);
        return;
    }
    coord_hold_text(out, size, migration, release, d->now_ms);
    const struct coord_heard *heard = heard_of(d, shard);
    if (agent_is_away(d, shard, heard, agent, sizeof agent)) {
        size_t n = strlen(out);
        (void)snprintf(out + n, size - n, "; %s", agent);
    }
}

/* Databases speak in several lines; a reason is one. */
static void to_one_line(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        bool blank = (unsigned char)*from <= ' ';
        if (!blank)
            *to++ = *from;
        else if (to != text && to[-1] != ' ')
            *to++ = ' ';
    }
    *to = '\0';
}

static void say_reason(const struct coord_driver *d, const struct coord_migration *migration,
                       const struct coord_shard *shard, const struct coord_release *release, char *out, size_t size)
{
    switch (shard->status) {
    case COORD_READY:
        ready_text(d, migration, shard, release, out, size);
        break;
    case COORD_MOVING:
    case COORD_UNDOING:
        (void)agent_says(d, migration, shard, out, size);
        break;
    case COORD_HELD:
        (void)snprintf(out, size, "paused%s",
                       shard->resume_to == COORD_FAILED   ? "; it had failed before"
                       : shard->resume_to == COORD_UNSURE ? "; it was unsure before"
                                                          : "");
        break;
    case COORD_FAILED:
        failure_text(migration, shard, out, size);
        break;
    case COORD_UNSURE:
        (void)snprintf(out, size, "unsure: %s", shard->failure != NULL ? shard->failure : "its state is not proven");
        break;
    case COORD_EXCLUDED:
        (void)snprintf(out, size, "excluded");
        break;
    case COORD_DONE:
    case COORD_UNDONE:
        break;
    }
}

void shard_reason(const struct coord_driver *d, const struct coord_migration *migration,
                  const struct coord_shard *shard, const struct coord_release *release, char *out, size_t size)
{
    out[0] = '\0';
    say_reason(d, migration, shard, release, out, size);
    to_one_line(out);
}

/* ---- What next ---- */

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

static void advise_advance(struct coord_driver *d, const struct coord_migration *migration, const struct advice *out)
{
    uint32_t opened = migration->opened_phase, next = opened + 1;
    const struct zdm_flag *flag = flag_of(migration, opened);
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

static void advise_open(struct coord_driver *d, const struct coord_migration *migration,
                        const struct coord_release *releases, const struct advice *out)
{
    static const enum coord_status troubles[] = {COORD_FAILED, COORD_UNSURE, COORD_HELD};
    struct census census;
    count(migration, releases, &census);
    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++) {
        if (census.by_status[troubles[i]] != 0) {
            advise_trouble(d, migration, &census, troubles[i], out);
            return;
        }
    }
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
    else if (migration == NULL) {
        (void)snprintf(command, command_size, "zdmctl submit RUNBOOK");
        (void)snprintf(why, why_size, "this fleet has no migration");
    } else if (migration->mode == COORD_ENDED)
        (void)snprintf(why, why_size, "the migration has ended");
    else if (d->state->frozen) {
        (void)snprintf(command, command_size, "zdmctl thaw");
        (void)snprintf(why, why_size, "the fleet is frozen: no shard enters a phase");
    } else {
        advise_open(d, migration, releases, &out);
        if (migration->mode == COORD_HALTED && command[0] == '\0') {
            (void)snprintf(command, command_size, "zdmctl advance %s --only-unfinished", migration->id);
            (void)snprintf(why, why_size, "the migration was halted");
        }
    }
}
