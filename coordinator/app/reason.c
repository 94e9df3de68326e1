/*
 * reason.c - why a shard does not move, in words.
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
    struct zdm_id none = {{0}}, enrolled = none, revoked = shard->actor;
    const struct coord_agent *actor = coord_find_agent(d->state, &shard->actor);
    if (!zdm_id_is_zero(&shard->actor) && (actor == NULL || !actor->revoked))
        return shard->actor;
    const struct coord_fleet_shard *place = coord_find_fleet_shard(d->state, shard->name);
    for (uint32_t next = place != NULL ? place->first_agent : 0; next != 0;) {
        const struct coord_agent *agent = &d->state->agents[next - 1];
        if (!agent->revoked && coord_view_find(&d->view, &agent->id) != NULL)
            return agent->id;
        if (!agent->revoked)
            enrolled = agent->id;
        else if (zdm_id_is_zero(&revoked))
            revoked = agent->id;
        next = agent->next_of_shard;
    }
    return zdm_id_is_zero(&enrolled) ? revoked : enrolled;
}

static const struct coord_heard *heard_of(const struct coord_driver *d, const struct coord_shard *shard)
{
    struct zdm_id agent = agent_of_shard(d, shard);
    return coord_view_find(&d->view, &agent);
}

const struct zdm_migration_report *report_of_shard(const struct coord_driver *d,
                                                   const struct coord_migration *migration,
                                                   const struct coord_shard *shard)
{
    struct zdm_id agent = agent_of_shard(d, shard);
    return coord_view_report(&d->view, &agent, migration->id);
}

static bool agent_is_away(const struct coord_driver *d, const struct coord_shard *shard,
                          const struct coord_heard *heard, char *out, size_t size)
{
    if (heard == NULL && coord_find_fleet_shard(d->state, shard->name) == NULL)
        return say(out, size, "no agent has joined for this shard", "");
    struct zdm_id id = agent_of_shard(d, shard);
    const struct coord_agent *agent = coord_find_agent(d->state, &id);
    if (agent != NULL && agent->revoked) {
        (void)snprintf(out, size, "its agent was revoked: zdmctl enroll %s lets another join", shard->name);
        return true;
    }
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
    case ZDM_WAIT_APPROVALS:
        return say(out, size, "waiting for approvals", report->blocked_by);
    case ZDM_WAIT_GRACE:
        return say(out, size, "waiting for the grace period", report->blocked_by);
    case ZDM_WAIT_GATE:
        return say(out, size, "waiting", report->blocked_by);
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

/* True when there is trouble that a person has to see to, whatever else holds the shard: nobody is there, there is no
 * database, or something is badly wrong. */
static bool trouble_says(const struct coord_driver *d, const struct coord_migration *migration,
                         const struct coord_shard *shard, char *out, size_t size)
{
    const struct coord_heard *heard = heard_of(d, shard);
    if (agent_is_away(d, shard, heard, out, size))
        return true;
    const struct zdm_migration_report *report = coord_view_report(&d->view, &heard->agent, migration->id);
    if (report != NULL && report->equivocation)
        return say(out, size, "ALARM: the agent was given two different orders with the same number", "");
    const char *lost = coord_works_for_lost(d->state, &heard->report, shard->name);
    if (lost != NULL)
        return say(out, size, "no lease: its agent works by an order that was lost with the recovery, of migration",
                   lost);
    if (!heard->report.connected)
        return say(out, size, "database unreachable", heard->report.db_error);
    return !heard->report.writable && say(out, size, "the database takes no writes", "");
}

static bool ends_a_sentence(char c)
{
    return c != '\0' && strchr(".,:;?!", c) != NULL;
}

/* Databases speak in several lines; a reason is one. A line of theirs ends like a sentence, where there is room. */
static void to_one_line(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0';) {
        size_t blanks = 0;
        bool broken = false;
        for (; from[blanks] != '\0' && (unsigned char)from[blanks] <= ' '; blanks++)
            broken = broken || from[blanks] == '\n';
        from += blanks;
        if (blanks == 0) {
            *to++ = *from++;
            continue;
        }
        if (to == text || *from == '\0')
            continue;
        if (broken && blanks > 1 && !ends_a_sentence(to[-1]))
            *to++ = '.';
        *to++ = ' ';
    }
    *to = '\0';
}

bool shard_trouble(const struct coord_driver *d, const struct coord_migration *migration,
                   const struct coord_shard *shard, char *out, size_t size)
{
    bool any = trouble_says(d, migration, shard, out, size);
    if (any)
        to_one_line(out);
    return any;
}

/* Of an agent that is heard: what it said before it went away says nothing about the order that it will find. */
const struct zdm_migration_report *shard_refusal(const struct coord_driver *d, const struct coord_migration *migration,
                                                 const struct coord_shard *shard)
{
    bool goes = shard->status == COORD_READY || shard->status == COORD_MOVING || shard->status == COORD_UNDOING;
    const struct coord_heard *heard = goes ? heard_of(d, shard) : NULL;
    const struct zdm_migration_report *report =
        heard == NULL || !heard->connected ? NULL : coord_view_report(&d->view, &heard->agent, migration->id);
    if (report == NULL || report->error_code != ZDM_REFUSED || report->accepted.generation == shard->generation)
        return NULL;
    bool parked = report->state == ZDM_AGENT_PAUSED;
    bool plan = report->state == ZDM_AGENT_WAITING && report->wait == ZDM_WAIT_PLAN;
    return parked || plan ? report : NULL;
}

static bool refusal_says(const struct coord_driver *d, const struct coord_migration *migration,
                         const struct coord_shard *shard, char *out, size_t size)
{
    const struct zdm_migration_report *report = shard_refusal(d, migration, shard);
    return report != NULL && say(out, size, "its agent does not take the order", report->error);
}

/* True when the agent explains why nothing happens. */
static bool agent_says(const struct coord_driver *d, const struct coord_migration *migration,
                       const struct coord_shard *shard, char *out, size_t size)
{
    if (trouble_says(d, migration, shard, out, size) || refusal_says(d, migration, shard, out, size))
        return true;
    const struct coord_heard *heard = heard_of(d, shard);
    const struct zdm_migration_report *report = coord_view_report(&d->view, &heard->agent, migration->id);
    return report != NULL && says_state(report, out, size);
}

/* ---- The whole reason ---- */

/* Adds "; " and the text to what was said already. */
static void say_too(char *out, size_t size, const char *text)
{
    size_t n = strlen(out);
    (void)snprintf(out + n, size - n, "%s%s", n != 0 && text[0] != '\0' ? "; " : "", text);
}

static void failure_text(const struct coord_migration *migration, const struct coord_shard *shard, char *out,
                         size_t size)
{
    const struct zdm_step *step = zdm_plan_step(migration->plan, shard->failed_step);
    (void)snprintf(out, size, "failed%s%s%s: %s", shard->failed_back ? " while undoing" : "",
                   step != NULL ? " at step " : "", step != NULL ? step->id : "",
                   shard->failure != NULL ? shard->failure : "no text");
    if (shard->failed_back)
        say_too(out, size, "retry goes on back, retry --forward gives the rollback up");
}

/* Where a rollback took the shard, and the way on. */
static void rolled_back_text(const struct coord_migration *migration, const struct coord_shard *shard, char *out,
                             size_t size)
{
    if (shard->at == 0)
        (void)snprintf(out, size, "rolled back to the start");
    else
        (void)snprintf(out, size, "rolled back to phase %" PRIu32, shard->at);
    if (migration->mode != COORD_ENDED)
        say_too(out, size, "forward again with zdmctl resume");
    if (shard->remark != NULL)
        say_too(out, size, shard->remark);
}

/* Of a shard that a person paused, or that rests where a rollback took it. */
static void held_text(const struct coord_migration *migration, const struct coord_shard *shard, char *out, size_t size)
{
    const char *was = shard->resume_to == COORD_UNSURE    ? "; it was unsure before"
                      : shard->resume_to == COORD_UNDOING ? " on its way back; retry --forward gives the rollback up"
                                                          : "";
    if (coord_was_rolled_back(shard)) {
        rolled_back_text(migration, shard, out, size);
    } else if (shard->resume_to == COORD_FAILED) {
        char failure[ZDM_TEXT_MAX + 128];
        failure_text(migration, shard, failure, sizeof failure);
        (void)snprintf(out, size, "paused; before that it %s", failure);
    } else
        (void)snprintf(out, size, "paused%s", was);
}

static void undoing_text(const struct coord_shard *shard, char *out, size_t size)
{
    if (shard->goal == 0)
        (void)snprintf(out, size, "going back to the start");
    else
        (void)snprintf(out, size, "going back to phase %" PRIu32, shard->goal);
}

/* A rule may hold it as well: both are said, and the trouble first, because no rule's end will mend it. */
static void ready_text(const struct coord_driver *d, const struct coord_migration *migration,
                       const struct coord_shard *shard, const struct coord_release *release, char *out, size_t size)
{
    char rule[ZDM_TEXT_MAX + 64] = "";
    bool explained = release->hold == COORD_HOLD_NO_AGENT
                         ? agent_says(d, migration, shard, out, size)
                         : trouble_says(d, migration, shard, out, size) || refusal_says(d, migration, shard, out, size);
    if (release->hold == COORD_HOLD_NONE || release->hold == COORD_HOLD_STATUS ||
        (release->hold == COORD_HOLD_NO_AGENT && explained))
        return;
    coord_hold_text(rule, sizeof rule, migration, release, d->now_ms);
    say_too(out, size, rule);
}

/* What a person stopped, or has to mend, comes first; that the shard could not go on anyway is said too. */
static void add_trouble(const struct coord_driver *d, const struct coord_migration *migration,
                        const struct coord_shard *shard, char *out, size_t size)
{
    char trouble[ZDM_TEXT_MAX + 64];
    if (trouble_says(d, migration, shard, trouble, sizeof trouble))
        say_too(out, size, trouble);
}

/* It has come to its end, and what a rollback left hidden is being dropped. */
static void add_purge(const struct coord_driver *d, const struct coord_migration *migration,
                      const struct coord_shard *shard, char *out, size_t size)
{
    char purge[ZDM_TEXT_MAX + 64];
    say_too(out, size, "what a rollback left is being dropped");
    if (agent_says(d, migration, shard, purge, sizeof purge))
        say_too(out, size, purge);
}

static void say_reason(const struct coord_driver *d, const struct coord_migration *migration,
                       const struct coord_shard *shard, const struct coord_release *release, char *out, size_t size)
{
    switch (shard->status) {
    case COORD_READY:
        ready_text(d, migration, shard, release, out, size);
        break;
    case COORD_MOVING:
        (void)agent_says(d, migration, shard, out, size);
        break;
    case COORD_UNDOING:
        if (!agent_says(d, migration, shard, out, size))
            undoing_text(shard, out, size);
        break;
    case COORD_HELD:
        held_text(migration, shard, out, size);
        add_trouble(d, migration, shard, out, size);
        break;
    case COORD_FAILED:
        failure_text(migration, shard, out, size);
        add_trouble(d, migration, shard, out, size);
        break;
    case COORD_UNSURE:
        (void)snprintf(out, size, "unsure: %s", shard->failure != NULL ? shard->failure : "its state is not proven");
        add_trouble(d, migration, shard, out, size);
        break;
    case COORD_EXCLUDED:
        (void)snprintf(out, size, "excluded");
        break;
    case COORD_DONE:
    case COORD_UNDONE:
        if (shard->status == COORD_UNDONE)
            rolled_back_text(migration, shard, out, size);
        if (shard->mode == ZDM_MODE_PURGE)
            add_purge(d, migration, shard, out, size);
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
