/*
 * purge.c - what is hidden, until when it stays, and the mode that drops what rollbacks left (protocol 6); and the
 * waits of a plan, which end in the same way.
 *
 * The database's clock decides whether it is time: the engine refuses a purge, or a wait's end, that comes early and
 * says for how long; here that becomes a wait and a text for people.
 */
#include <stdio.h>
#include <string.h>

#include "agent/core/internal.h"
#include "common/base/buffer.h"

enum {
    EARLY_MIN_MS = 1000,
    EARLY_MAX_MS = 3600000,
    GATE_MAX_MS = 30000,
    HOUR_MS = 3600000,
    MINUTE_MS = 60000,
    SECOND_MS = 1000
};

/* ---- Before its time ---- */

/* Year, month and day of a count of days since 1970, by the Gregorian calendar. */
static void date_of(int64_t days, int *year, int *month, int *day)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t of_era = z - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t shifted = (5 * of_year + 2) / 153; /* months since March */
    *day = (int)(of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = (int)(y + era * 400 + (*month <= 2 ? 1 : 0));
}

static void duration_text(char *out, size_t size, int64_t ms)
{
    if (ms % HOUR_MS == 0)
        (void)snprintf(out, size, "%lldh", (long long)(ms / HOUR_MS));
    else if (ms % MINUTE_MS == 0)
        (void)snprintf(out, size, "%lldm", (long long)(ms / MINUTE_MS));
    else
        (void)snprintf(out, size, "%llds", (long long)((ms + SECOND_MS - 1) / SECOND_MS));
}

void agent_time_text(char out[AGENT_TIME_SIZE], int64_t unix_ms)
{
    int64_t s = unix_ms / 1000, of_day = s % 86400;
    int year, month, day;
    date_of(s / 86400, &year, &month, &day);
    (void)snprintf(out, AGENT_TIME_SIZE, "%04d-%02d-%02d %02d:%02d:%02d UTC", year, month, day, (int)(of_day / 3600),
                   (int)(of_day / 60 % 60), (int)(of_day % 60));
}

static void early_text(char *out, size_t size, int64_t until_ms, int64_t grace_ms)
{
    char grace[24], until[AGENT_TIME_SIZE];
    agent_time_text(until, until_ms);
    duration_text(grace, sizeof grace, grace_ms);
    int n = snprintf(out, size, "until %s (grace %s)", until, grace);
    if (n < 0 || (size_t)n >= size)
        (void)snprintf(out, size, "for its grace period");
}

/* Why the plan waits, in the engine's words. */
static void gate_text(char *out, size_t size, const struct agent_result *result)
{
    const char *said = result->blocker[0] != '\0' ? result->blocker : result->error.message;
    zdm_copy_text(out, size, said[0] != '\0' ? said : "for what the plan says");
}

void agent_on_early(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    bool gate = result->run == AGENT_RUN_WAIT;
    int64_t wait = result->wait_ms < EARLY_MIN_MS ? EARLY_MIN_MS : result->wait_ms;
    int64_t most = gate ? GATE_MAX_MS : EARLY_MAX_MS;
    agent_went_well(m);
    m->unknowns = 0;
    m->proof = AGENT_PROOF_NOT_DONE;
    m->early_wait = gate ? ZDM_WAIT_GATE : ZDM_WAIT_GRACE;
    m->early_ms = core->now_ms + (wait < most ? wait : most);
    if (result->journal_valid)
        agent_take_journal(m, result);
    if (gate)
        gate_text(m->early_text, sizeof m->early_text, result);
    else
        early_text(m->early_text, sizeof m->early_text, core->wall_ms + wait, m->plan->grace_ms);
}

bool agent_is_early(struct agent_core *core, struct agent_migration *m)
{
    if (core->now_ms >= m->early_ms)
        return false;
    agent_wait(m, m->early_wait, m->early_text);
    agent_wake_at(core, m->early_ms);
    return true;
}

void agent_fill_purge(const struct agent_migration *m, struct agent_op *op, bool now)
{
    op->grace_ms = m->plan->grace_ms;
    op->purge_now = now;
}

/* ---- Mode purge ---- */

void agent_drive_leftovers(struct agent_core *core, struct agent_migration *m)
{
    if (m->purged || !agent_drive_allowing(core, m))
        return;
    if ((!m->purge_generation_now && agent_is_early(core, m)) || agent_waits_for_fresh_lease(core, m))
        return;
    struct agent_op *op = agent_launch(core, m, AGENT_OP_RUN, AGENT_RUN_PURGE_LEFTOVERS, agent_step_named(m));
    if (op == NULL)
        return;
    agent_limit_short(core, m, op);
    agent_fill_purge(m, op, m->purge_generation_now);
}

void agent_on_leftover_gone(struct agent_migration *m, const struct agent_result *result)
{
    agent_went_well(m);
    m->unknowns = 0;
    m->early_ms = 0;
    m->purged = result->outcome == AGENT_ALREADY;
    if (result->journal_valid)
        agent_take_journal(m, result);
}

/* ---- What is hidden ---- */

static bool is_before(const struct zdm_hidden *a, const struct zdm_hidden *b)
{
    return a->hidden_at_ms != b->hidden_at_ms ? a->hidden_at_ms < b->hidden_at_ms : strcmp(a->what, b->what) < 0;
}

static struct zdm_hidden shown_as(const struct agent_migration *m, const struct agent_hidden *row)
{
    struct zdm_hidden shown = {.hidden_at_ms = row->hidden_at_ms,
                               .purge_at_ms = row->hidden_at_ms + m->plan->grace_ms,
                               .by_rollback = row->by_rollback,
                               .scans = row->scans};
    (void)snprintf(shown.what, sizeof shown.what, "%.100s%s", row->what,
                   row->by_rollback ? ", left by a rollback" : "");
    return shown;
}

/* Keeps the oldest few, in order. */
static void note_hidden(struct agent_migration *m, const struct zdm_hidden *one)
{
    size_t at = m->n_hidden < ZDM_HIDDEN_MAX ? m->n_hidden++ : ZDM_HIDDEN_MAX;
    m->hidden_total++;
    if (at == ZDM_HIDDEN_MAX) {
        if (!is_before(one, &m->hidden[--at]))
            return;
    }
    while (at > 0 && is_before(one, &m->hidden[at - 1])) {
        m->hidden[at] = m->hidden[at - 1];
        at--;
    }
    m->hidden[at] = *one;
}

void agent_take_hidden(struct agent_core *core, const struct agent_result *result)
{
    for (size_t i = 0; i < core->n_migrations; i++) {
        core->migrations[i]->n_hidden = 0;
        core->migrations[i]->hidden_total = 0;
    }
    for (size_t i = 0; i < result->n_hidden; i++) {
        struct agent_migration *m = agent_find(core, result->hidden[i].migration);
        if (m == NULL || m->plan == NULL)
            continue;
        struct zdm_hidden shown = shown_as(m, &result->hidden[i]);
        note_hidden(m, &shown);
    }
}
