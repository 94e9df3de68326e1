/*
 * state.c - which of the ten states a migration is in: one table, first match wins; and what a report says.
 *
 * The state is not stored: it is read off from what is known, so that it cannot disagree with it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/internal.h"
#include "common/base/buffer.h"

enum { RATE_FORGOTTEN_MS = 10000 };

bool agent_is_stopped(const struct agent_migration *m)
{
    return m->failed_code != ZDM_OK && m->accepted.attempt <= m->failed_attempt;
}

bool agent_is_paused(const struct agent_migration *m)
{
    return m->hold || (m->accepted.set && m->accepted.mode == ZDM_MODE_PAUSE);
}

static bool is_blind(const struct agent_core *core, const struct agent_migration *m)
{
    (void)m;
    return !core->connected;
}

static bool is_read_only(const struct agent_core *core, const struct agent_migration *m)
{
    (void)m;
    return !core->writable;
}

static bool is_asking(const struct agent_core *core, const struct agent_migration *m)
{
    (void)core;
    return m->asking && m->accepted.set;
}

static bool is_watching(const struct agent_core *core, const struct agent_migration *m)
{
    return m->accepted.set && !agent_is_actor(core, m);
}

static bool has_stopped(const struct agent_core *core, const struct agent_migration *m)
{
    (void)core;
    return agent_is_stopped(m);
}

static bool is_unsure(const struct agent_core *core, const struct agent_migration *m)
{
    (void)core;
    return m->unsure;
}

/* An order that waits for a row to verify: it is parked, and its refusal says why. */
static bool is_parked(const struct agent_core *core, const struct agent_migration *m)
{
    (void)core;
    return !m->accepted.set && m->pending.set && m->pending.refusal.code != ZDM_OK;
}

static bool lacks_plan(const struct agent_core *core, const struct agent_migration *m)
{
    (void)core;
    return !m->accepted.set && m->pending.set && m->pending.plan == NULL;
}

static bool cannot_accept(const struct agent_core *core, const struct agent_migration *m)
{
    (void)core;
    return !m->accepted.set && m->accept_failures > 0;
}

static bool is_accepting(const struct agent_core *core, const struct agent_migration *m)
{
    (void)core;
    return !m->accepted.set;
}

static bool has_paused(const struct agent_core *core, const struct agent_migration *m)
{
    (void)core;
    return agent_is_paused(m);
}

/* At the goal, whichever way led there: forward, back, or by dropping what rollbacks left. */
static bool is_at_goal(const struct agent_migration *m)
{
    switch (m->accepted.mode) {
    case ZDM_MODE_RUN:
        return agent_goal_reached(m);
    case ZDM_MODE_UNDO:
        return m->back.turned && agent_goal_reached(m) && m->switched_phase <= m->accepted.goal_phase;
    case ZDM_MODE_PURGE:
        return m->purged;
    case ZDM_MODE_PAUSE:
        break;
    }
    return false;
}

static bool rests(const struct agent_core *core, const struct agent_migration *m)
{
    (void)core;
    return m->proven && m->regress_to == 0 && m->looked == m->step && is_at_goal(m);
}

static bool waits(const struct agent_migration *m, enum zdm_wait wait)
{
    return m->flight.op == 0 && m->waits == wait;
}

static bool waits_for_approvals(const struct agent_core *core, const struct agent_migration *m)
{
    (void)core;
    return waits(m, ZDM_WAIT_APPROVALS);
}

static bool waits_for_grace(const struct agent_core *core, const struct agent_migration *m)
{
    (void)core;
    return waits(m, ZDM_WAIT_GRACE);
}

/* A look at it now and then is no other state. */
static bool waits_at_gate(const struct agent_core *core, const struct agent_migration *m)
{
    (void)core;
    bool looks = m->flight.op != 0 && m->flight.run == AGENT_RUN_WAIT && m->early_ms > 0;
    return waits(m, ZDM_WAIT_GATE) || looks;
}

static bool lacks_lease(const struct agent_core *core, const struct agent_migration *m)
{
    return m->flight.op == 0 && (!agent_leased(core) || m->waits == ZDM_WAIT_LEASE);
}

static bool waits_for_lock(const struct agent_core *core, const struct agent_migration *m)
{
    (void)core;
    return m->lock.tries > 0;
}

static bool is_throttled(const struct agent_core *core, const struct agent_migration *m)
{
    (void)core;
    return m->throttled;
}

static bool backs_off(const struct agent_core *core, const struct agent_migration *m)
{
    (void)core;
    return m->backing_off;
}

static bool looks(const struct agent_core *core, const struct agent_migration *m)
{
    (void)core;
    if (m->flight.op != 0)
        return m->flight.kind == AGENT_OP_INSPECT;
    return m->looked < m->step || m->proof == AGENT_PROOF_NONE;
}

static bool always(const struct agent_core *core, const struct agent_migration *m)
{
    (void)core;
    (void)m;
    return true;
}

static const struct {
    bool (*when)(const struct agent_core *core, const struct agent_migration *m);
    enum zdm_agent_state state;
    enum zdm_wait wait;
} state_rows[] = {
    {is_blind, ZDM_AGENT_BLIND, ZDM_WAIT_NONE},
    {is_read_only, ZDM_AGENT_OBSERVING, ZDM_WAIT_NONE},
    {is_asking, ZDM_AGENT_ASKING, ZDM_WAIT_NONE},
    {is_watching, ZDM_AGENT_OBSERVING, ZDM_WAIT_NONE},
    {has_stopped, ZDM_AGENT_STOPPED, ZDM_WAIT_NONE},
    {is_unsure, ZDM_AGENT_UNSURE, ZDM_WAIT_NONE},
    /* No order stands. */
    {is_parked, ZDM_AGENT_PAUSED, ZDM_WAIT_NONE},
    {lacks_plan, ZDM_AGENT_WAITING, ZDM_WAIT_PLAN},
    {cannot_accept, ZDM_AGENT_WAITING, ZDM_WAIT_BACKOFF},
    {is_accepting, ZDM_AGENT_WORKING, ZDM_WAIT_NONE},
    /* One stands. */
    {has_paused, ZDM_AGENT_PAUSED, ZDM_WAIT_NONE},
    {rests, ZDM_AGENT_RESTING, ZDM_WAIT_NONE},
    {lacks_lease, ZDM_AGENT_WAITING, ZDM_WAIT_LEASE},
    {waits_for_approvals, ZDM_AGENT_WAITING, ZDM_WAIT_APPROVALS},
    {waits_for_grace, ZDM_AGENT_WAITING, ZDM_WAIT_GRACE},
    {waits_at_gate, ZDM_AGENT_WAITING, ZDM_WAIT_GATE},
    {waits_for_lock, ZDM_AGENT_WAITING, ZDM_WAIT_LOCK},
    {is_throttled, ZDM_AGENT_WAITING, ZDM_WAIT_THROTTLE},
    {backs_off, ZDM_AGENT_WAITING, ZDM_WAIT_BACKOFF},
    {looks, ZDM_AGENT_LOOKING, ZDM_WAIT_NONE},
    {always, ZDM_AGENT_WORKING, ZDM_WAIT_NONE},
};

enum zdm_agent_state agent_state_of(const struct agent_core *core, const struct agent_migration *m,
                                    enum zdm_wait *out_wait)
{
    size_t i = 0;
    while (!state_rows[i].when(core, m))
        i++;
    *out_wait = state_rows[i].wait;
    return state_rows[i].state;
}

/* Does waits_for say why? */
static bool has_words(enum zdm_wait wait)
{
    return wait == ZDM_WAIT_APPROVALS || wait == ZDM_WAIT_GRACE || wait == ZDM_WAIT_GATE;
}

static bool is_quiet(enum zdm_agent_state state, enum zdm_wait wait)
{
    /* What waits for people or for days asks for no more attention than what rests. */
    if (state == ZDM_AGENT_WAITING)
        return has_words(wait);
    return state != ZDM_AGENT_LOOKING && state != ZDM_AGENT_WORKING;
}

bool agent_is_busy(const struct agent_core *core)
{
    for (size_t i = 0; i < core->n_migrations; i++) {
        enum zdm_wait wait;
        enum zdm_agent_state state = agent_state_of(core, core->migrations[i], &wait);
        if (!is_quiet(state, wait))
            return true;
    }
    return false;
}

static uint32_t step_shown(const struct agent_migration *m)
{
    if (m->flight.op != 0)
        return agent_run_rule(m->flight.run)->of_no_step ? 0 : m->flight.step;
    if (m->accepted.mode == ZDM_MODE_UNDO && m->back.at > 0 && !m->back.turned)
        return m->back.at;
    if (m->plan == NULL || m->step > zdm_plan_n_steps(m->plan) || agent_goal_reached(m))
        return 0;
    return m->step;
}

/* A plan that is refused is why nothing goes on, whatever else there was. */
static const struct zdm_error *error_shown(const struct agent_migration *m)
{
    return m->pending.set && m->pending.refusal.code != ZDM_OK ? &m->pending.refusal : &m->error;
}

/* ---- The remark ---- */

/* Until the old column is dropped. */
static bool is_inexact(const struct agent_migration *m)
{
    return m->plan != NULL && m->compared_left > 0 && m->compared_step < m->step &&
           m->step <= zdm_plan_n_steps(m->plan);
}

static void put_inexact(const struct agent_migration *m, struct zdm_buffer *out)
{
    const struct zdm_step *step = zdm_plan_step(m->plan, m->compared_step);
    const struct zdm_derivation *d = step == NULL ? NULL : step->derivation;
    zdm_buffer_printf(out, "%" PRId64 " row%s", m->compared_left, m->compared_left == 1 ? "" : "s");
    if (step != NULL && step->table.name != NULL)
        zdm_buffer_printf(out, " of %s", step->table.name);
    if (d != NULL && d->n_sources > 0 && d->n_assignments > 0)
        zdm_buffer_printf(out, ": %s cannot hold %s", d->sources[0], d->assignments[0].target);
    zdm_buffer_printf(out, ": a rollback is not exact for %s", m->compared_left == 1 ? "it" : "them");
}

static void put_remark(const struct agent_migration *m, struct zdm_buffer *out)
{
    if (m->interrupted[0] != '\0')
        zdm_buffer_printf(out, ZDM_REMARK_INTERRUPTED "%s, what it kept in step is compared again", m->interrupted);
    if (m->back.remark[0] != '\0')
        zdm_buffer_printf(out, "%s%s", out->len > 0 ? "; " : "", m->back.remark);
    if (is_inexact(m)) {
        zdm_buffer_puts(out, out->len > 0 ? "; " : "");
        put_inexact(m, out);
    }
}

/* ---- What has changed since the last report ---- */

static void mix(uint64_t *digest, const void *bytes, size_t n)
{
    const unsigned char *in = bytes;
    for (size_t i = 0; i < n; i++)
        *digest = (*digest ^ in[i]) * 0x100000001b3u;
}

static void mix_number(uint64_t *digest, uint64_t number)
{
    mix(digest, &number, sizeof number);
}

static void mix_migration(const struct agent_core *core, const struct agent_migration *m, uint64_t *digest)
{
    enum zdm_wait wait;
    enum zdm_agent_state state = agent_state_of(core, m, &wait);
    mix(digest, m->id, strlen(m->id));
    mix_number(digest, (uint64_t)state << 8 | (uint64_t)wait);
    mix(digest, &m->accepted.digest, sizeof m->accepted.digest);
    mix_number(digest, (uint64_t)m->proven << 63 | (uint64_t)m->proven_phase << 32 | step_shown(m));
    mix_number(digest, (uint64_t)m->failed_attempt << 8 | (uint64_t)m->equivocation);
    mix_number(digest, (uint64_t)error_shown(m)->code);
    mix(digest, m->blocked_by, strlen(m->blocked_by));
    mix(digest, m->waits_for, has_words(wait) ? strlen(m->waits_for) : 0);
    mix(digest, m->back.remark, strlen(m->back.remark));
    mix(digest, m->interrupted, strlen(m->interrupted));
    mix_number(digest, is_inexact(m) ? (uint64_t)m->compared_left : 0);
    mix_number(digest, (uint64_t)m->hidden_total << 2 | (uint64_t)m->purged);
    for (size_t i = 0; i < m->n_hidden; i++)
        mix_number(digest, (uint64_t)m->hidden[i].hidden_at_ms);
}

uint64_t agent_view_digest(const struct agent_core *core)
{
    uint64_t digest = 0xcbf29ce484222325u;
    mix_number(&digest, (uint64_t)core->connected << 1 | (uint64_t)core->writable);
    mix(&digest, core->identity, strlen(core->identity));
    mix(&digest, core->db_error, strlen(core->db_error));
    for (size_t i = 0; i < core->n_migrations; i++)
        mix_migration(core, core->migrations[i], &digest);
    return digest;
}

/* ---- The report ---- */

static void fill_progress(const struct agent_core *core, const struct agent_migration *m, struct zdm_progress *out)
{
    bool fresh = m->rate.at_ms > 0 && core->now_ms - m->rate.at_ms < RATE_FORGOTTEN_MS;
    *out = m->progress;
    out->rows_done = m->rows_done;
    out->rows_total = m->rows_total;
    out->rows_per_s = fresh ? (uint32_t)(m->rate.per_s + 0.5) : 0;
}

static void fill_error(const struct agent_migration *m, struct zdm_migration_report *out)
{
    const struct zdm_error *error = error_shown(m);
    out->error_code = error->code;
    if (error->code == ZDM_OK)
        return;
    const char *text = error->message[0] != '\0' ? error->message : zdm_code_text(error->code);
    zdm_copy_text(out->error, sizeof out->error, text);
    zdm_copy_text(out->hint, sizeof out->hint, error->hint);
    zdm_copy_text(out->error_sqlstate, sizeof out->error_sqlstate, error->sqlstate);
}

static void fill_back(const struct agent_migration *m, struct zdm_migration_report *out)
{
    out->undone = out->state == ZDM_AGENT_RESTING && m->accepted.mode == ZDM_MODE_UNDO;
    out->purged = m->accepted.mode == ZDM_MODE_PURGE && m->purged;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer remark = ZDM_BUFFER_INIT;
    put_remark(m, &remark);
    zdm_copy_text(out->remark, sizeof out->remark, zdm_buffer_text(&remark));
    memcpy(out->hidden, m->hidden, m->n_hidden * sizeof m->hidden[0]);
    out->n_hidden = m->n_hidden;
    out->hidden_total = m->hidden_total;
}

static void fill_migration(const struct agent_core *core, const struct agent_migration *m,
                           struct zdm_migration_report *out)
{
    zdm_copy_text(out->migration, sizeof out->migration, m->id);
    out->accepted = m->accepted.fence;
    out->state = agent_state_of(core, m, &out->wait);
    out->proven = m->proven;
    out->proven_phase = m->proven_phase;
    out->step = step_shown(m);
    out->failed_attempt = m->failed_code != ZDM_OK ? m->failed_attempt : 0;
    out->equivocation = m->equivocation;
    fill_progress(core, m, &out->progress);
    if (out->wait == ZDM_WAIT_THROTTLE)
        (void)agent_braked(core, false, out->throttled_by);
    if (out->wait == ZDM_WAIT_LOCK)
        zdm_copy_text(out->blocked_by, sizeof out->blocked_by, m->blocked_by);
    if (has_words(out->wait))
        zdm_copy_text(out->blocked_by, sizeof out->blocked_by, m->waits_for);
    fill_back(m, out);
    fill_error(m, out);
    /* What was proven is what that phase says: its digest, signed with the plan. */
    const struct zdm_phase *phase = m->proven && m->plan != NULL ? zdm_plan_phase(m->plan, m->proven_phase) : NULL;
    if (phase != NULL)
        out->evidence = phase->digest;
}

static void fill_migrations(const struct agent_core *core, struct zdm_report *out)
{
    for (int quiet = 0; quiet <= 1; quiet++)
        for (size_t i = 0; i < core->n_migrations && out->n_migrations < AGENT_REPORTED_MAX; i++) {
            const struct agent_migration *m = core->migrations[i];
            enum zdm_wait wait;
            enum zdm_agent_state state = agent_state_of(core, m, &wait);
            if (is_quiet(state, wait) == (quiet == 1))
                fill_migration(core, m, &out->migrations[out->n_migrations++]);
        }
}

void agent_report_fit(struct zdm_report *report)
{
    size_t n = 0;
    for (size_t i = 0; i < report->n_migrations; i++)
        if (report->migrations[i].hint[0] != '\0' && ++n > AGENT_HINTED_MAX)
            report->migrations[i].hint[0] = '\0';
}

static void fill_server(const struct agent_core *core, struct zdm_report *out)
{
    out->connected = core->connected;
    out->writable = core->connected && core->writable;
    out->engine = core->engine;
    out->timeline = core->timeline;
    zdm_copy_text(out->server_version, sizeof out->server_version, core->server_version);
    zdm_copy_text(out->identity, sizeof out->identity, core->identity);
    zdm_copy_text(out->db_error, sizeof out->db_error, core->db_error);
    out->n_signals = core->n_signals;
    memcpy(out->signals, core->signals, core->n_signals * sizeof core->signals[0]);
    for (size_t i = 0; i < out->n_signals; i++)
        out->signals[i].since_ms += core->now_ms - core->signals_ms;
}

bool agent_core_describe(const struct agent_core *core, struct zdm_report *out)
{
    size_t n = core->n_migrations < AGENT_REPORTED_MAX ? core->n_migrations : AGENT_REPORTED_MAX;
    memset(out, 0, sizeof *out);
    if (n > 0 && (out->migrations = calloc(n, sizeof *out->migrations)) == NULL)
        return false;
    fill_server(core, out);
    fill_migrations(core, out);
    agent_report_fit(out);
    return true;
}

uint64_t agent_core_view(const struct agent_core *core)
{
    return agent_view_digest(core);
}

bool agent_core_report(struct agent_core *core, int64_t now_ms, struct zdm_report *out)
{
    if (now_ms > core->now_ms)
        core->now_ms = now_ms;
    if (!agent_core_describe(core, out))
        return false;
    out->number = ++core->report_number;
    core->sent[out->number % AGENT_SENT_MAX].number = out->number;
    core->sent[out->number % AGENT_SENT_MAX].at_ms = now_ms;
    return true;
}
