/*
 * story.c - see story.h.
 */
#include "agent/app/story.h"

#include <stdio.h>
#include <string.h>

#include "common/base/buffer.h"

struct teller {
    agent_notice notice;
    void *ctx;
};

static void tell(const struct teller *t, enum zdm_log_level level, const char *message, const char *subject,
                 const char *detail)
{
    t->notice(t->ctx, level, message, subject, detail);
}

static void tell_database(const struct teller *t, const struct zdm_report *before, const struct zdm_report *after)
{
    char detail[128];
    bool first = !before->connected && after->connected;
    snprintf(detail, sizeof detail, "%s %s, %s", zdm_engine_name(after->engine), after->server_version,
             after->writable ? "primary" : "read-only");
    if (first)
        tell(t, ZDM_LOG_INFO, "database connected", after->identity, detail);
    else if (after->connected &&
             (before->writable != after->writable || strcmp(before->identity, after->identity) != 0))
        tell(t, ZDM_LOG_WARN, "database has changed", after->identity, detail);
    bool began = before->connected || before->db_error[0] != '\0'; /* before that, nothing was tried */
    if (!after->connected && began && (before->connected || strcmp(before->db_error, after->db_error) != 0))
        tell(t, ZDM_LOG_WARN, "database cannot be reached", "", after->db_error);
}

static const char *wait_detail(const struct zdm_migration_report *m)
{
    if (m->wait == ZDM_WAIT_LOCK)
        return m->blocked_by;
    if (m->wait == ZDM_WAIT_THROTTLE)
        return m->throttled_by;
    return m->error;
}

static void tell_waiting(const struct teller *t, const struct zdm_migration_report *m)
{
    char message[64];
    static const char *const texts[] = {[ZDM_WAIT_NONE] = "waiting",
                                        [ZDM_WAIT_BACKOFF] = "trying again",
                                        [ZDM_WAIT_THROTTLE] = "throttled",
                                        [ZDM_WAIT_LOCK] = "waiting for a lock",
                                        [ZDM_WAIT_LEASE] = "waiting for the coordinator",
                                        [ZDM_WAIT_PLAN] = "fetching the plan"};
    snprintf(message, sizeof message, "%s", texts[m->wait]);
    tell(t, m->wait == ZDM_WAIT_PLAN ? ZDM_LOG_INFO : ZDM_LOG_WARN, message, m->migration, wait_detail(m));
}

static void tell_state(const struct teller *t, const struct zdm_migration_report *m)
{
    switch (m->state) {
    case ZDM_AGENT_ASKING:
        tell(t, ZDM_LOG_INFO, "asking the coordinator before going on", m->migration, "");
        break;
    case ZDM_AGENT_OBSERVING:
        tell(t, ZDM_LOG_INFO, "observing only", m->migration, "");
        break;
    case ZDM_AGENT_PAUSED:
        tell(t, ZDM_LOG_INFO, "paused", m->migration, "");
        break;
    case ZDM_AGENT_STOPPED:
        tell(t, ZDM_LOG_ERROR, "step failed", m->migration, m->error);
        break;
    case ZDM_AGENT_UNSURE:
        tell(t, ZDM_LOG_ERROR, "cannot tell whether the step is done", m->migration, m->error);
        break;
    case ZDM_AGENT_WAITING:
        tell_waiting(t, m);
        break;
    case ZDM_AGENT_BLIND:
    case ZDM_AGENT_RESTING:
    case ZDM_AGENT_LOOKING:
    case ZDM_AGENT_WORKING:
        break;
    }
}

static void tell_progress(const struct teller *t, const struct zdm_migration_report *b,
                          const struct zdm_migration_report *m)
{
    char detail[64];
    if (m->proven && b->proven && m->proven_phase < b->proven_phase) {
        snprintf(detail, sizeof detail, "phase %u was done, phase %u is", b->proven_phase, m->proven_phase);
        tell(t, ZDM_LOG_ERROR, "schema has fallen back", m->migration, detail);
    } else if (m->proven && m->proven_phase > b->proven_phase) {
        snprintf(detail, sizeof detail, "phase %u", m->proven_phase);
        tell(t, ZDM_LOG_INFO, "phase done", m->migration, detail);
    }
    bool begins = m->state == ZDM_AGENT_WORKING || m->state == ZDM_AGENT_LOOKING;
    if (m->step != 0 && m->step != b->step && m->proven && begins) {
        snprintf(detail, sizeof detail, "step %u", m->step);
        tell(t, ZDM_LOG_INFO, "step begun", m->migration, detail);
    }
}

static void tell_migration(const struct teller *t, const struct zdm_migration_report *b,
                           const struct zdm_migration_report *m)
{
    char detail[64];
    if (zdm_fence_compare(&m->accepted, &b->accepted) > 0) {
        snprintf(detail, sizeof detail, "epoch %llu, generation %llu", (unsigned long long)m->accepted.epoch,
                 (unsigned long long)m->accepted.generation);
        tell(t, ZDM_LOG_INFO, "directive accepted", m->migration, detail);
    }
    if (m->equivocation && !b->equivocation)
        tell(t, ZDM_LOG_ERROR, "two different directives claim one place in the log", m->migration,
             "the first is kept; somebody has two coordinators or a stolen key");
    tell_progress(t, b, m);
    /* The reason of a wait is told once, not for every attempt; a short back-off is not worth a line. */
    bool other = m->state != b->state || m->wait != b->wait;
    if (other && !(m->wait == ZDM_WAIT_BACKOFF && b->state == ZDM_AGENT_WAITING))
        tell_state(t, m);
}

static const struct zdm_migration_report *find(const struct zdm_report *report, const char *migration)
{
    static const struct zdm_migration_report nothing;
    for (size_t i = 0; i < report->n_migrations; i++)
        if (strcmp(report->migrations[i].migration, migration) == 0)
            return &report->migrations[i];
    return &nothing;
}

void agent_story_tell(const struct zdm_report *before, const struct zdm_report *after, agent_notice notice, void *ctx)
{
    const struct teller t = {.notice = notice, .ctx = ctx};
    if (notice == NULL)
        return;
    tell_database(&t, before, after);
    if (!after->connected)
        return;
    for (size_t i = 0; i < after->n_migrations; i++)
        tell_migration(&t, find(before, after->migrations[i].migration), &after->migrations[i]);
}
