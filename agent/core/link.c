/*
 * link.c - the database as a whole: connecting, reading the journal, role and identity, signals of the pacing.
 *
 * A directive that was read from the journal is a claim, not an order: after process start, a change of role or of
 * identity every migration is `asking` until a live session has confirmed or replaced it (protocol 3, rule 6). A
 * reconnect to the same identity goes on where it was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/internal.h"
#include "common/base/backoff.h"
#include "common/base/buffer.h"

enum {
    CONNECT_BACKOFF_MS = 500,
    CONNECT_BACKOFF_CAP_MS = 10000,
    SIGNALS_IDLE_FACTOR = 5, /* idle, signals serve to notice a change of role or identity */
    SIGNALS_STALE_FACTOR = 3,
    SIGNALS_ANSWER_MS = 500
};

bool agent_usable(const struct agent_core *core)
{
    return core->connected && !core->connect_wanted &&
           (core->control.flight.op == 0 || core->control.flight.kind != AGENT_OP_CONNECT);
}

bool agent_leased(const struct agent_core *core)
{
    return core->now_ms < core->lease_until_ms;
}

bool agent_freshly_leased(const struct agent_core *core)
{
    return agent_leased(core) && core->acked_ms > 0 &&
           core->now_ms - core->acked_ms <= (int64_t)core->config.fresh_lease_ms;
}

static void copy_error(char *out, size_t size, const struct zdm_error *error)
{
    zdm_copy_text(out, size, error->message[0] != '\0' ? error->message : zdm_code_text(error->code));
}

void agent_reload(struct agent_core *core, int64_t delay_ms)
{
    if (core->connect_wanted)
        return;
    core->connect_wanted = true;
    core->connect_at_ms = core->now_ms + delay_ms;
}

void agent_connection_lost(struct agent_core *core, const struct zdm_error *error)
{
    core->connected = false;
    copy_error(core->db_error, sizeof core->db_error, error);
    agent_reload(core, 0);
}

void agent_drive_control(struct agent_core *core)
{
    if (!core->connect_wanted || core->control.flight.op != 0)
        return;
    if (core->now_ms < core->connect_at_ms) {
        agent_wake_at(core, core->connect_at_ms);
        return;
    }
    struct agent_op *op = agent_op_start(core, &core->control.flight, AGENT_OP_CONNECT, 0);
    if (op == NULL)
        return;
    op->max_replica_lag_ms = core->config.max_replica_lag_ms;
    op->max_slot_wal_mb = core->config.max_slot_wal_mb;
    core->connect_wanted = false;
}

/* ---- What CONNECT brings ---- */

static void take_signals(struct agent_core *core, const struct agent_result *result)
{
    core->n_signals = result->n_signals <= ZDM_SIGNALS_MAX ? result->n_signals : ZDM_SIGNALS_MAX;
    memcpy(core->signals, result->signals, core->n_signals * sizeof core->signals[0]);
    core->signals_ms = core->now_ms;
    core->signals_known = true;
}

static bool is_another(const struct agent_core *core, const struct agent_result *result)
{
    return core->connection == 0 || strcmp(core->identity, result->identity) != 0 ||
           core->timeline != result->timeline || core->writable != result->writable;
}

static void take_server(struct agent_core *core, const struct agent_result *result)
{
    core->connected = true;
    core->writable = result->writable;
    core->engine = result->engine;
    core->capabilities = result->capabilities;
    core->timeline = result->timeline;
    core->db_error[0] = '\0';
    zdm_copy_text(core->identity, sizeof core->identity, result->identity);
    zdm_copy_text(core->server_version, sizeof core->server_version, result->server_version);
}

static bool take_text(char **place, const char *text)
{
    char *copy = zdm_strdup(text);
    if (text != NULL && copy == NULL)
        return false;
    free(*place);
    *place = copy;
    return true;
}

/* Of a rollback that another process began; this one adds to it as it goes on. */
static void take_remark(struct agent_migration *m, const struct agent_journal *row)
{
    if (row->remark[0] == '\0' || zdm_id_equal(&m->back.remark_nonce, &row->undo_nonce))
        return;
    zdm_copy_text(m->back.remark, sizeof m->back.remark, row->remark);
    m->back.remark_nonce = row->undo_nonce;
}

/* What the row holds, as the core believes from here on. */
static bool take_row(struct agent_migration *m, const struct agent_journal *row)
{
    bool advanced = row->step != m->step || (row->cursor == NULL) != (m->cursor == NULL) ||
                    (row->cursor != NULL && strcmp(row->cursor, m->cursor) != 0);
    if (!take_text(&m->cursor, row->cursor) || !take_text(&m->bound, row->bound))
        return false;
    if (advanced) {
        m->unknowns = 0;
        agent_step_at_hand_reset(m);
    }
    /* What was seen to be lost was seen against another row. */
    if (advanced && m->regress_to != 0)
        agent_path_reset(m);
    m->step = row->step > 0 ? row->step : 1;
    m->walked = row->walked;
    m->rows_done = row->rows_done;
    m->rows_total = row->rows_total;
    m->entered_phase = row->entered_phase;
    m->reached_phase = row->reached_phase;
    m->switched_phase = row->switched_phase;
    m->purge_now = row->purge_now;
    m->purge_generation = row->purge_generation;
    m->purge_generation_now = row->purge_generation_now;
    m->undo_nonce = row->undo_nonce;
    agent_back_restart(m);
    take_remark(m, row);
    m->failed_attempt = row->failed_attempt;
    m->failed_code = row->failed_attempt != 0 && row->failed_code == ZDM_OK ? ZDM_DATABASE : row->failed_code;
    if (m->failed_code != ZDM_OK)
        (void)zdm_error_set(&m->error, m->failed_code, "%s", row->failed_text);
    if (m->failed_code != ZDM_OK && !m->stop_wanted)
        m->stop_error = m->error;
    if (m->looked > m->step)
        m->looked = m->step;
    return true;
}

static void take_claim(struct agent_migration *m, const struct agent_journal *row, const struct zdm_directive *d,
                       struct zdm_plan *plan, const struct zdm_id *signer)
{
    bool same = m->accepted.set && zdm_fence_equal(&m->accepted.fence, &row->accepted) &&
                zdm_hash_equal(&m->accepted.digest, &row->digest);
    if (!same) {
        m->asking = true;
        agent_path_reset(m);
        agent_signed_fini(&m->authority); /* a session that confirms the order brings it again */
        zdm_error_clear(&m->error);       /* it was about the order that stood before */
    }
    m->accepted = (struct agent_standing){.set = true,
                                          .fence = row->accepted,
                                          .digest = row->digest,
                                          .actor = d->actor,
                                          .goal_phase = d->goal_phase,
                                          .mode = d->mode,
                                          .attempt = d->attempt,
                                          .throttle = d->throttle};
    struct zdm_plan *former = m->plan;
    m->plan = zdm_plan_ref(plan);
    m->signer = signer != NULL ? *signer : (struct zdm_id){.bytes = {0}};
    zdm_plan_unref(former);
}

/* The row is gone: a restore to a time before the order, or a row that does not verify. */
static void lose_row(struct agent_migration *m)
{
    memset(&m->accepted, 0, sizeof m->accepted);
    zdm_plan_unref(m->plan);
    m->plan = NULL;
    free(m->cursor);
    free(m->bound);
    m->cursor = m->bound = NULL;
    m->step = 1;
    m->walked = false;
    m->rows_done = m->rows_total = 0;
    m->failed_attempt = 0;
    m->failed_code = ZDM_OK;
    m->entered_phase = m->reached_phase = m->switched_phase = 0;
    m->purge_now = m->purge_generation_now = false;
    m->purge_generation = 0;
    memset(&m->undo_nonce, 0, sizeof m->undo_nonce);
    agent_signed_fini(&m->authority);
    agent_path_reset(m);
}

static void begin_asking(struct agent_core *core)
{
    for (size_t i = 0; i < core->n_migrations; i++) {
        struct agent_migration *m = core->migrations[i];
        m->asking = true;
        agent_path_reset(m);
        agent_step_reset(m);
        /* An order of a session that has ended was given to the database that was. */
        if (!core->link_up)
            agent_order_drop(&m->pending);
    }
}

static bool row_is_whole(const struct agent_input *input, size_t i)
{
    if (input->journal_whys != NULL && input->journal_whys[i] != NULL)
        return false;
    return input->journal_directives != NULL && input->journal_plans != NULL && input->journal_directives[i] != NULL &&
           input->journal_plans[i] != NULL;
}

static const struct agent_journal *row_of(const struct agent_input *input, const char *id, size_t *out_i)
{
    const struct agent_result *result = input->u.op_done;
    for (size_t i = 0; i < result->n_journals; i++)
        if (strcmp(result->journals[i].migration, id) == 0 && row_is_whole(input, i)) {
            *out_i = i;
            return &result->journals[i];
        }
    return NULL;
}

static void take_journals(struct agent_core *core, const struct agent_input *input)
{
    const struct agent_result *result = input->u.op_done;
    if (!agent_unread_take(core, input))
        agent_reload(core, CONNECT_BACKOFF_MS);
    for (size_t i = 0; i < result->n_journals; i++)
        if (row_is_whole(input, i))
            (void)agent_make(core, result->journals[i].migration);
    for (size_t k = core->n_migrations; k-- > 0;) {
        struct agent_migration *m = core->migrations[k];
        size_t i = 0;
        const struct agent_journal *row = row_of(input, m->id, &i);
        if (row != NULL) {
            const struct zdm_id *signer = input->journal_signers != NULL ? &input->journal_signers[i] : NULL;
            take_claim(m, row, input->journal_directives[i], input->journal_plans[i], signer);
            if (!take_row(m, row))
                agent_reload(core, CONNECT_BACKOFF_MS);
        } else {
            lose_row(m);
        }
        agent_rejudge(core, m);
        if (!m->accepted.set && !m->pending.set && m->flight.op == 0)
            agent_forget(core, k);
    }
}

static void connect_failed(struct agent_core *core, const struct agent_result *result)
{
    core->connected = false;
    copy_error(core->db_error, sizeof core->db_error, &result->error);
    core->connect_failures++;
    agent_reload(
        core, zdm_backoff_ms(core->connect_failures, CONNECT_BACKOFF_MS, CONNECT_BACKOFF_CAP_MS, agent_random(core)));
}

void agent_on_connect_done(struct agent_core *core, const struct agent_input *input)
{
    const struct agent_result *result = input->u.op_done;
    bool ok = result->outcome == AGENT_OK || result->outcome == AGENT_ALREADY;
    if (!ok || !result->connected) {
        connect_failed(core, result);
        return;
    }
    bool another = is_another(core, result);
    core->connect_failures = 0;
    take_server(core, result);
    take_signals(core, result);
    core->connection++;
    if (another)
        begin_asking(core);
    take_journals(core, input);
}

/* ---- Signals ---- */

void agent_on_signals_done(struct agent_core *core, const struct agent_result *result)
{
    if (result->outcome == AGENT_OK || result->outcome == AGENT_ALREADY) {
        if (is_another(core, result))
            agent_reload(core, 0);
        else {
            take_signals(core, result);
            agent_take_hidden(core, result);
            agent_take_interrupted(core, result);
            agent_take_compared(core, result);
        }
        return;
    }
    if (result->error.code == ZDM_CLOSED || result->error.code == ZDM_UNAVAILABLE)
        agent_connection_lost(core, &result->error);
    else if (result->outcome == AGENT_UNKNOWN)
        agent_reload(core, 0);
}

/* The gentlest limit of those at work: signals are asked for once for all of them. */
static uint32_t lag_limit(const struct agent_core *core)
{
    uint32_t limit = core->config.max_replica_lag_ms;
    bool found = false;
    for (size_t i = 0; i < core->n_migrations; i++) {
        const struct agent_migration *m = core->migrations[i];
        enum zdm_wait wait;
        enum zdm_agent_state state = agent_state_of(core, m, &wait);
        if (m->plan == NULL || (state != ZDM_AGENT_WORKING && state != ZDM_AGENT_LOOKING && state != ZDM_AGENT_WAITING))
            continue;
        uint32_t own = agent_throttle_now(core, m).max_replica_lag_ms;
        if (!found || own < limit)
            limit = own;
        found = true;
    }
    return limit;
}

void agent_drive_signals(struct agent_core *core)
{
    int64_t gap = (int64_t)core->config.signals_ms * (agent_is_busy(core) ? 1 : SIGNALS_IDLE_FACTOR);
    if (core->signals_soon)
        gap = 0;
    int64_t last = core->signals_asked_ms > core->signals_ms ? core->signals_asked_ms : core->signals_ms;
    if (core->control.flight.op != 0)
        return;
    if (core->now_ms < last + gap) {
        agent_wake_at(core, last + gap);
        return;
    }
    struct agent_op *op = agent_op_start(core, &core->control.flight, AGENT_OP_SIGNALS, 0);
    if (op == NULL)
        return;
    op->max_replica_lag_ms = lag_limit(core);
    op->max_slot_wal_mb = core->config.max_slot_wal_mb;
    core->signals_soon = false;
    core->signals_asked_ms = core->now_ms;
}

static enum agent_brake stale(const struct agent_core *core, int64_t age, char text[64])
{
    bool coming = core->control.flight.op != 0 && core->now_ms - core->control.flight.started_ms < SIGNALS_ANSWER_MS;
    bool just_due = core->control.flight.op == 0 && agent_usable(core);
    if (coming || just_due)
        return AGENT_BRAKE_QUIET;
    snprintf(text, 64, "signals are %lld s old", (long long)(age / 1000));
    return AGENT_BRAKE_ON;
}

/* "slot_wal_mb:<slot>", as engines name it. */
static bool is_of_slot(const struct zdm_signal *s)
{
    static const char name[] = "slot_wal_mb";
    return strncmp(s->name, name, sizeof name - 1) == 0;
}

enum agent_brake agent_braked(const struct agent_core *core, bool but_slots, char text[64])
{
    text[0] = '\0';
    int64_t age = core->now_ms - core->signals_ms;
    if (!core->signals_known || age > (int64_t)core->config.signals_ms * SIGNALS_STALE_FACTOR)
        return stale(core, age, text);
    for (size_t i = 0; i < core->n_signals; i++) {
        const struct zdm_signal *s = &core->signals[i];
        long long since = (long long)((s->since_ms + age) / 1000);
        if (but_slots && is_of_slot(s))
            continue;
        if (s->state == ZDM_SIGNAL_BAD)
            snprintf(text, 64, "%s %lld > %lld for %lld s", s->name, (long long)s->value, (long long)s->limit, since);
        else if (s->state == ZDM_SIGNAL_STALE)
            snprintf(text, 64, "%.30s is stale for %lld s", s->name, since);
        else
            continue;
        return AGENT_BRAKE_ON;
    }
    return AGENT_BRAKE_NONE;
}
