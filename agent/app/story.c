/*
 * story.c - see story.h.
 */
#include "agent/app/story.h"

#include <stdio.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/plan/engines.h"

enum { LABEL_MAX = 160 };

struct teller {
    agent_notice notice;
    void *ctx;
    const struct agent_core *core;
    enum zdm_engine engine;
};

void agent_note_add(struct agent_note *note, const char *key, const char *value)
{
    size_t i = 0;
    while (i < AGENT_NOTE_PAIRS && note->pairs[i].key != NULL)
        i++;
    if (i == AGENT_NOTE_PAIRS || value == NULL || value[0] == '\0')
        return;
    note->pairs[i].key = key;
    note->pairs[i].value = value;
}

/* A line about a migration; key may be NULL. */
static void tell(const struct teller *t, enum zdm_log_level level, const char *message, const char *migration,
                 const char *key, const char *value)
{
    struct agent_note note = {.level = level, .message = message};
    agent_note_add(&note, "migration", migration);
    if (key != NULL)
        agent_note_add(&note, key, value);
    t->notice(t->ctx, &note);
}

static void tell_server(const struct teller *t, enum zdm_log_level level, const char *message,
                        const struct zdm_report *report)
{
    char server[96];
    struct agent_note note = {.level = level, .message = message};
    zdm_server_text(server, sizeof server, zdm_engine_name(report->engine), report->server_version);
    agent_note_add(&note, "server", server);
    agent_note_add(&note, "role", report->writable ? "primary" : "read-only");
    agent_note_add(&note, "identity", report->identity);
    t->notice(t->ctx, &note);
}

static void tell_database(const struct teller *t, const struct zdm_report *before, const struct zdm_report *after)
{
    bool first = !before->connected && after->connected;
    if (first)
        tell_server(t, ZDM_LOG_INFO, "database connected", after);
    else if (after->connected &&
             (before->writable != after->writable || strcmp(before->identity, after->identity) != 0))
        tell_server(t, ZDM_LOG_WARN, "database has changed", after);
    bool began = before->connected || before->db_error[0] != '\0'; /* before that, nothing was tried */
    if (!after->connected && began && (before->connected || strcmp(before->db_error, after->db_error) != 0))
        tell(t, ZDM_LOG_WARN, "database cannot be reached", "", "reason", after->db_error);
}

static void tell_waiting(const struct teller *t, const struct zdm_migration_report *m)
{
    static const char *const texts[] = {[ZDM_WAIT_NONE] = "waiting",
                                        [ZDM_WAIT_BACKOFF] = "trying again",
                                        [ZDM_WAIT_THROTTLE] = "throttled",
                                        [ZDM_WAIT_LOCK] = "waiting for a lock",
                                        [ZDM_WAIT_LEASE] = "waiting for the coordinator",
                                        [ZDM_WAIT_PLAN] = "fetching the plan",
                                        [ZDM_WAIT_APPROVALS] = "waiting for approvals",
                                        [ZDM_WAIT_GRACE] = "waiting for the grace period",
                                        [ZDM_WAIT_GATE] = "waiting as the plan says"};
    _Static_assert(sizeof texts / sizeof *texts == ZDM_WAIT_LAST + 1, "every wait has its words");
    bool planned = m->wait == ZDM_WAIT_PLAN || m->wait == ZDM_WAIT_GATE;
    enum zdm_log_level level = planned ? ZDM_LOG_INFO : ZDM_LOG_WARN;
    if (m->wait == ZDM_WAIT_LOCK)
        tell(t, level, texts[m->wait], m->migration, "held_by", m->blocked_by);
    else if (m->wait == ZDM_WAIT_APPROVALS || m->wait == ZDM_WAIT_GRACE || m->wait == ZDM_WAIT_GATE)
        tell(t, level, texts[m->wait], m->migration, "reason", m->blocked_by);
    else if (m->wait == ZDM_WAIT_THROTTLE)
        tell(t, level, texts[m->wait], m->migration, "signal", m->throttled_by);
    else
        tell(t, level, texts[m->wait], m->migration, "reason", m->error);
}

static const struct zdm_step *step_of(const struct teller *t, const struct zdm_migration_report *m)
{
    return t->core != NULL && m->step != 0 ? agent_core_plan_step(t->core, m->migration, m->step) : NULL;
}

/* In a plan for two engines it passes the other one's steps by. */
static bool is_own_step(const struct teller *t, const struct zdm_migration_report *m)
{
    const struct zdm_step *step = step_of(t, m);
    return step == NULL || zdm_step_is_for(step, t->engine);
}

/* "2.1 backfill users" */
static void label_step(const struct teller *t, const struct zdm_migration_report *m, char out[LABEL_MAX])
{
    const struct zdm_step *step = step_of(t, m);
    if (step == NULL)
        (void)snprintf(out, LABEL_MAX, "number %u", m->step);
    else
        (void)snprintf(out, LABEL_MAX, "%s %s%s%s", step->id, zdm_action_name(step->action),
                       step->table.name != NULL ? " " : "", step->table.name != NULL ? step->table.name : "");
}

static void tell_state(const struct teller *t, const struct zdm_migration_report *m)
{
    switch (m->state) {
    case ZDM_AGENT_ASKING:
        tell(t, ZDM_LOG_INFO, "asking the coordinator before going on", m->migration, NULL, "");
        break;
    case ZDM_AGENT_OBSERVING:
        tell(t, ZDM_LOG_INFO, "observing only", m->migration, NULL, "");
        break;
    case ZDM_AGENT_PAUSED:
        tell(t, ZDM_LOG_INFO, "paused", m->migration, NULL, "");
        break;
    case ZDM_AGENT_STOPPED:
        tell(t, ZDM_LOG_ERROR, "step failed", m->migration, "reason", m->error);
        break;
    case ZDM_AGENT_UNSURE:
        tell(t, ZDM_LOG_ERROR, "cannot tell whether the step is done", m->migration, "reason", m->error);
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

/* Ordered back, or just arrived: less proven than before is then the point of it. */
static bool goes_back(const struct teller *t, const struct zdm_migration_report *m)
{
    struct agent_core_look look;
    return m->undone ||
           (t->core != NULL && agent_core_look(t->core, m->migration, &look) && look.mode == ZDM_MODE_UNDO);
}

static void tell_way_back(const struct teller *t, const struct zdm_migration_report *b,
                          const struct zdm_migration_report *m)
{
    char phase[16];
    snprintf(phase, sizeof phase, "%u", m->proven_phase);
    if (m->undone && !b->undone)
        tell(t, ZDM_LOG_INFO, "rolled back", m->migration, "to_phase", phase);
    if (m->purged && !b->purged)
        tell(t, ZDM_LOG_INFO, "what rollbacks left hidden is dropped", m->migration, NULL, "");
    if (m->remark[0] != '\0' && strcmp(m->remark, b->remark) != 0)
        tell(t, ZDM_LOG_WARN, goes_back(t, m) ? "not everything came back exactly as it was" : "note", m->migration,
             "remark", m->remark);
}

static void tell_progress(const struct teller *t, const struct zdm_migration_report *b,
                          const struct zdm_migration_report *m)
{
    char text[LABEL_MAX];
    if (m->proven && b->proven && m->proven_phase < b->proven_phase) {
        snprintf(text, sizeof text, "%u to %u", b->proven_phase, m->proven_phase);
        if (goes_back(t, m))
            tell(t, ZDM_LOG_INFO, "phases undone", m->migration, "phase", text);
        else
            tell(t, ZDM_LOG_ERROR, "schema has fallen back", m->migration, "phase", text);
    } else if (m->proven && m->proven_phase > b->proven_phase) {
        snprintf(text, sizeof text, "%u", m->proven_phase);
        tell(t, ZDM_LOG_INFO, "phase done", m->migration, "phase", text);
    }
    bool begins = m->state == ZDM_AGENT_WORKING || m->state == ZDM_AGENT_LOOKING;
    if (m->step != 0 && m->step != b->step && m->proven && begins && is_own_step(t, m)) {
        label_step(t, m, text);
        tell(t, ZDM_LOG_INFO, "step begun", m->migration, "step", text);
    }
}

static void tell_migration(const struct teller *t, const struct zdm_migration_report *b,
                           const struct zdm_migration_report *m)
{
    char epoch[24], generation[24];
    if (zdm_fence_compare(&m->accepted, &b->accepted) > 0) {
        struct agent_note note = {.level = ZDM_LOG_INFO, .message = "directive accepted"};
        snprintf(epoch, sizeof epoch, "%llu", (unsigned long long)m->accepted.epoch);
        snprintf(generation, sizeof generation, "%llu", (unsigned long long)m->accepted.generation);
        agent_note_add(&note, "migration", m->migration);
        agent_note_add(&note, "epoch", epoch);
        agent_note_add(&note, "generation", generation);
        t->notice(t->ctx, &note);
    }
    if (m->equivocation && !b->equivocation)
        tell(t, ZDM_LOG_ERROR, "two different directives claim one place in the log", m->migration, "kept",
             "the first; somebody has two coordinators or a stolen key");
    tell_progress(t, b, m);
    tell_way_back(t, b, m);
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

void agent_story_tell(const struct zdm_report *before, const struct zdm_report *after, const struct agent_core *core,
                      agent_notice notice, void *ctx)
{
    const struct teller t = {.notice = notice, .ctx = ctx, .core = core, .engine = after->engine};
    if (notice == NULL)
        return;
    tell_database(&t, before, after);
    if (!after->connected)
        return;
    for (size_t i = 0; i < after->n_migrations; i++)
        tell_migration(&t, find(before, after->migrations[i].migration), &after->migrations[i]);
}
