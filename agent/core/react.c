/*
 * react.c - what follows from an operation's outcome: one table over kinds of work and outcomes.
 *
 * A result changes what the core believes of the journal only as far as the database said it; whatever it did not say
 * is looked at again.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/core/internal.h"
#include "common/base/backoff.h"
#include "common/base/buffer.h"

enum { BACKOFF_MS = 100, BACKOFF_CAP_MS = 5000, ELSEWHERE_CAP_MS = 3000 };

enum reaction {
    GO = 1,  /* it worked */
    AGAIN,   /* back-off with jitter, without limit */
    BLOCKED, /* somebody holds the lock: named, tried again, never given up */
    SHRINK,  /* smaller batch, then again */
    RELOAD,  /* fenced: what does the journal say? */
    LOST,    /* it may have happened: reconnect and look; three times in a row are too many */
    EARLY,   /* not before its grace period is over, or what the plan waits for is there */
    HALT     /* a person decides */
};

static const enum reaction reactions[AGENT_WORKS][AGENT_BUG + 1] = {
    /*                        OK      ALREADY ABSENT   RETRY   LOCK     FENCED  UNKNOWN EARLY FAIL   BUG */
    [AGENT_WORK_LOOK] = {0, GO, GO, GO, AGAIN, AGAIN, RELOAD, LOST, HALT, HALT, HALT},
    [AGENT_WORK_JOURNAL] = {0, GO, GO, HALT, AGAIN, AGAIN, RELOAD, LOST, HALT, HALT, HALT},
    [AGENT_WORK_HALTING] = {0, GO, GO, AGAIN, AGAIN, AGAIN, RELOAD, RELOAD, AGAIN, AGAIN, AGAIN},
    [AGENT_WORK_SHORT] = {0, GO, GO, HALT, AGAIN, BLOCKED, RELOAD, LOST, HALT, HALT, HALT},
    [AGENT_WORK_LONG] = {0, GO, GO, HALT, AGAIN, BLOCKED, RELOAD, LOST, HALT, HALT, HALT},
    [AGENT_WORK_WALK] = {0, GO, GO, HALT, SHRINK, SHRINK, RELOAD, LOST, HALT, HALT, HALT},
    [AGENT_WORK_CLEAN] = {0, GO, GO, GO, AGAIN, BLOCKED, RELOAD, LOST, HALT, HALT, HALT},
    [AGENT_WORK_PURGING] = {0, GO, GO, GO, AGAIN, BLOCKED, RELOAD, LOST, EARLY, HALT, HALT},
    [AGENT_WORK_WAIT] = {0, GO, GO, HALT, AGAIN, AGAIN, RELOAD, LOST, EARLY, HALT, HALT},
};

static enum agent_work work_of(const struct agent_flight *flight)
{
    return flight->kind == AGENT_OP_INSPECT ? AGENT_WORK_LOOK : agent_run_rule(flight->run)->work;
}

static bool replace_text(char **place, const char *text)
{
    char *copy = zdm_strdup(text);
    if (text != NULL && copy == NULL)
        return false;
    free(*place);
    *place = copy;
    return true;
}

void agent_take_journal(struct agent_migration *m, const struct agent_result *result)
{
    if (!replace_text(&m->cursor, result->cursor) || !replace_text(&m->bound, result->bound))
        return; /* the next compare-and-set finds it out and the journal is read anew */
    if (result->journal_step > 0)
        m->step = result->journal_step;
    m->walked = result->walked;
    m->rows_done = result->rows_done;
    m->rows_total = result->rows_total;
    m->entered_phase = result->entered_phase;
    m->reached_phase = result->reached_phase;
    m->switched_phase = result->switched_phase;
    m->purge_now = result->purge_now;
    m->purge_generation = result->purge_generation;
    m->purge_generation_now = result->purge_generation_now;
    m->undo_nonce = result->undo_nonce;
    if (m->looked > m->step)
        m->looked = m->step;
}

void agent_forget_walk(struct agent_migration *m)
{
    (void)replace_text(&m->cursor, NULL);
    (void)replace_text(&m->bound, NULL);
    m->walked = false;
    m->rows_done = m->rows_total = 0;
}

void agent_back_off(struct agent_core *core, struct agent_migration *m)
{
    m->failures++;
    m->backing_off = true;
    m->next_ms = core->now_ms + zdm_backoff_ms(m->failures, BACKOFF_MS, BACKOFF_CAP_MS, agent_random(core));
}

void agent_went_well(struct agent_migration *m)
{
    m->failures = 0;
    m->backing_off = false;
    m->lock = (struct agent_lock_pacing){.tries = 0};
    m->blocked_by[0] = '\0';
    if (m->regress_to == 0)
        zdm_error_clear(&m->error);
}

/* ---- It worked ---- */

void agent_lost(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    m->proof = AGENT_PROOF_NONE;
    m->error = result->error;
    if (m->error.code == ZDM_OK)
        (void)zdm_error_set(&m->error, ZDM_UNKNOWN, "could not find out whether the step is done");
    if (++m->unknowns >= AGENT_UNKNOWNS_MAX)
        m->unsure = true;
    agent_back_off(core, m);
    agent_reload(core, 0);
}

void agent_want_futile_stop(struct agent_migration *m, uint32_t ordinal, unsigned times)
{
    struct zdm_error error;
    const struct zdm_step *step = zdm_plan_step(m->plan, ordinal);
    (void)zdm_error_set(&error, ZDM_BUG, "step %s (%s) was run %u times and is still not proven done", step->id,
                        zdm_action_name(step->action), times);
    agent_want_stop(m, ordinal, &error);
}

static void count_futile(struct agent_core *core, struct agent_migration *m)
{
    const struct zdm_step *step = zdm_plan_step(m->plan, m->step);
    m->ran = false;
    (void)zdm_error_set(&m->error, ZDM_CONFLICT, "step %s (%s) was run and is not seen to be done", step->id,
                        zdm_action_name(step->action));
    agent_back_off(core, m);
    if (++m->futile >= AGENT_FUTILE_MAX)
        agent_want_futile_stop(m, m->step, m->futile);
}

/* On the way back, or paused there: that later steps are not done any more is as it shall be. */
static bool is_half_undone(const struct agent_migration *m)
{
    static const struct zdm_id none;
    if (m->accepted.mode == ZDM_MODE_UNDO)
        return !m->back.turned;
    return m->accepted.mode == ZDM_MODE_PAUSE && !zdm_id_equal(&m->undo_nonce, &none);
}

static void looked_back(struct agent_migration *m, enum agent_proof proof)
{
    bool just_ran = m->flight.step == m->ran_step;
    if (just_ran)
        m->vanished = proof == AGENT_PROOF_DONE ? 0 : m->vanished + 1;
    m->ran_step = 0;
    if (proof == AGENT_PROOF_DONE) {
        m->looked = m->flight.step + 1;
        return;
    }
    if (is_half_undone(m)) {
        m->back.partly = m->proven = true;
        m->proven_phase = agent_complete_phase(m, m->flight.step);
        return;
    }
    agent_regress(m, m->flight.step);
    if (m->vanished >= AGENT_FUTILE_MAX)
        agent_want_futile_stop(m, m->flight.step, m->vanished);
}

static void looked_at_hand(struct agent_core *core, struct agent_migration *m, enum agent_proof proof)
{
    bool walked = m->walked && m->flight.step == m->step;
    m->proof = proof;
    if (proof != AGENT_PROOF_NOT_DONE || !(m->ran || walked))
        return;
    if (walked)
        m->proof = AGENT_PROOF_NONE;
    count_futile(core, m);
}

static void looked(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    enum agent_proof proof = result->proof;
    if (result->outcome == AGENT_ABSENT && proof == AGENT_PROOF_NONE)
        proof = AGENT_PROOF_NOT_DONE;
    if (proof == AGENT_PROOF_NONE || proof == AGENT_PROOF_UNKNOWN) {
        agent_lost(core, m, result);
    } else if (proof == AGENT_PROOF_FOREIGN && !agent_is_stopped(m)) {
        agent_want_stop(m, m->flight.step, &result->error);
    } else {
        agent_went_well(m);
        if (m->flight.step < m->step)
            looked_back(m, proof);
        else
            looked_at_hand(core, m, proof);
    }
}

static void stepped(struct agent_migration *m, const struct agent_result *result)
{
    uint32_t step = m->flight.run == AGENT_RUN_STEP_DONE ? m->flight.step + 1 : m->flight.step;
    m->regress_to = 0;
    agent_went_well(m);
    if (result->journal_valid) {
        agent_take_journal(m, result);
    } else {
        agent_forget_walk(m);
        m->step = step;
    }
    m->looked = m->step;
    m->proven = true;
    m->proven_phase = agent_complete_phase(m, m->step);
    agent_step_reset(m);
}

static void stopped(struct agent_migration *m)
{
    m->stop_wanted = false;
    m->failed_attempt = m->accepted.attempt;
    m->failed_code = m->stop_error.code;
    m->error = m->stop_error;
    m->failures = 0;
    m->vanished = 0;
    m->backing_off = false;
    m->blocked_by[0] = '\0';
}

static uint32_t elapsed_of(const struct agent_core *core, const struct agent_migration *m,
                           const struct agent_result *result)
{
    int64_t elapsed = result->elapsed_ms > 0 ? (int64_t)result->elapsed_ms : core->now_ms - m->flight.started_ms;
    if (elapsed < 1)
        return 1;
    return elapsed < UINT32_MAX ? (uint32_t)elapsed : UINT32_MAX;
}

void agent_pace(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    const struct zdm_step *step = zdm_plan_step(m->plan, m->flight.step);
    struct agent_batch_limits limits = agent_limits_now(core, m, step);
    uint32_t elapsed = elapsed_of(core, m, result);
    m->deadlocks = 0;
    agent_rate_note(&m->rate, core->now_ms, result->rows_walked, elapsed);
    m->progress.batch_rows = result->rows_walked;
    m->progress.batch_ms = elapsed;
    /* A batch that found fewer rows than asked for says nothing about the size. */
    if (m->flight.rows > 0 && result->rows_walked >= m->flight.rows)
        m->batch_rows = agent_batch_next(&limits, m->flight.rows, elapsed);
    m->next_ms = core->now_ms + agent_duty_sleep_ms(elapsed, agent_throttle_now(core, m).duty_percent);
}

static void bounded(struct agent_core *core, struct agent_migration *m)
{
    m->proof = m->walked ? AGENT_PROOF_NONE : AGENT_PROOF_NOT_DONE;
    if (m->bound == NULL && !m->walked)
        count_futile(core, m);
}

static void ran(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    uint64_t before = m->rows_done;
    agent_went_well(m);
    m->unknowns = 0;
    if (result->journal_valid)
        agent_take_journal(m, result);
    if (m->step != m->flight.step) {
        /* Change and journal were one transaction: the step is done, and is looked at as every done step is. */
        m->ran_step = m->flight.step;
        agent_step_reset(m);
        return;
    }
    if (m->flight.run == AGENT_RUN_BOUND) {
        bounded(core, m);
    } else if (m->flight.run == AGENT_RUN_BATCH || (m->flight.run == AGENT_RUN_CHECK_CHUNK && m->flight.rows > 0)) {
        agent_pace(core, m, result);
        m->proof = m->walked ? AGENT_PROOF_NONE : AGENT_PROOF_NOT_DONE;
        if (result->rows_walked > 0 || m->rows_done != before)
            m->futile = 0;
    } else {
        m->proof = AGENT_PROOF_NONE;
        m->ran = m->flight.run != AGENT_RUN_INDEX_DROP_INVALID;
    }
}

static void go(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    if (m->flight.back)
        agent_on_back_done(core, m, result);
    else if (m->flight.kind == AGENT_OP_INSPECT)
        looked(core, m, result);
    else if (m->flight.run == AGENT_RUN_STEP_DONE && m->flight.step < m->step)
        agent_on_let_pass(m);
    else if (m->flight.run == AGENT_RUN_STEP_DONE || m->flight.run == AGENT_RUN_STEP_BACK)
        stepped(m, result);
    else if (m->flight.run == AGENT_RUN_STOP)
        stopped(m);
    else if (m->flight.run == AGENT_RUN_UNDO_BEGIN)
        agent_on_back_begun(m, result);
    else if (m->flight.run == AGENT_RUN_UNDO_END)
        agent_on_back_ended(m, result);
    else if (m->flight.run == AGENT_RUN_SPEND_APPROVALS)
        agent_on_spent(m, result);
    else if (m->flight.run == AGENT_RUN_PURGE_LEFTOVERS)
        agent_on_leftover_gone(m, result);
    else
        ran(core, m, result);
}

/* ---- It did not ---- */

static bool is_connection_error(enum zdm_code code)
{
    return code == ZDM_CLOSED || code == ZDM_UNAVAILABLE;
}

static void again(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    if (work_of(&m->flight) != AGENT_WORK_WALK && m->flight.run != AGENT_RUN_STEP_DONE)
        m->proof = AGENT_PROOF_NONE;
    if (result->error.code == ZDM_CANCELLED && m->flight.cancelled)
        return; /* we asked for it */
    if (!m->stop_wanted)
        m->error = result->error;
    agent_back_off(core, m);
    if (is_connection_error(result->error.code))
        agent_connection_lost(core, &result->error);
}

static void shrink(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    enum zdm_code code = result->error.code;
    if (m->batch_rows > 0 && !is_connection_error(code) && code != ZDM_CANCELLED)
        m->batch_rows = agent_batch_halved(m->batch_rows);
    if (code == ZDM_CONFLICT && ++m->deadlocks >= AGENT_DEADLOCKS_MAX)
        m->locked_form = true;
    again(core, m, result);
}

/* Asking a replica ten times a second does not make its reader quicker. */
static void blocked(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    enum agent_work work = work_of(&m->flight);
    zdm_copy_text(m->blocked_by, sizeof m->blocked_by,
                  result->blocker[0] != '\0' ? result->blocker : result->error.message);
    m->proof = work == AGENT_WORK_SHORT || work == AGENT_WORK_PURGING ? AGENT_PROOF_NOT_DONE : AGENT_PROOF_NONE;
    m->next_ms =
        core->now_ms + agent_lock_missed(&m->lock, result->blocker_is_autovacuum, core->now_ms, agent_random(core));
    if (result->blocker_is_elsewhere)
        m->next_ms = core->now_ms + zdm_backoff_ms(m->lock.tries, BACKOFF_MS, ELSEWHERE_CAP_MS, agent_random(core));
    else if ((core->capabilities & AGENT_CAN_NOWAIT) == 0)
        m->next_ms = m->lock.queue_due_ms; /* every attempt queues */
}

/* A result of a session that a CONNECT has replaced: what it says of the journal may be older than what was read. */
static void outdated(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    m->proof = AGENT_PROOF_NONE;
    if (result->kind == AGENT_OP_RUN && result->outcome != AGENT_RETRY && result->outcome != AGENT_LOCK)
        agent_reload(core, 0);
}

static void fenced(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    m->proof = AGENT_PROOF_NONE;
    m->error = result->error;
    agent_back_off(core, m);
    agent_reload(core, 0);
}

/* Of those that were to be spent; an engine that does not say which means all. */
static uint32_t spent_before(const struct agent_migration *m, const struct agent_result *result)
{
    if (result->outcome != AGENT_FAIL || result->error.code != ZDM_REFUSED)
        return 0;
    if (m->flight.run == AGENT_RUN_SPEND_APPROVALS)
        return result->spent_before != 0 ? result->spent_before : UINT32_MAX;
    return m->flight.run == AGENT_RUN_UNDO_BEGIN ? result->spent_before : 0;
}

static void halt(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    uint32_t spent = spent_before(m, result);
    if (agent_doubts_rows(m, result))
        return;
    if (spent != 0) {
        agent_back_off(core, m);
        agent_on_spend_refused(m, spent);
    } else {
        agent_want_stop(m, m->flight.step, &result->error);
    }
}

/* What it counted is seen with the next poll, and so is that triggers are trusted again. */
static bool is_comparison_over(const struct agent_migration *m)
{
    const struct zdm_step *step = zdm_plan_step(m->plan, m->flight.step);
    return m->flight.kind == AGENT_OP_RUN && m->flight.run == AGENT_RUN_STEP_DONE && step != NULL &&
           step->action == ZDM_ACTION_CHECK_COMPARE;
}

void agent_on_work_done(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    enum agent_work work = work_of(&m->flight);
    enum agent_outcome outcome =
        result->outcome >= AGENT_OK && result->outcome <= AGENT_BUG ? result->outcome : AGENT_BUG;
    if (m->flight.connection != core->connection || m->plan == NULL) {
        m->flight.op = 0;
        outdated(core, m, result);
        return;
    }
    switch (reactions[work][outcome]) {
    case GO:
        /* What it hid or dropped is seen by people at once. */
        core->signals_soon |= work == AGENT_WORK_SHORT || work == AGENT_WORK_CLEAN || work == AGENT_WORK_PURGING;
        core->signals_soon |= is_comparison_over(m);
        go(core, m, result);
        break;
    case AGAIN:
        again(core, m, result);
        break;
    case BLOCKED:
        blocked(core, m, result);
        break;
    case SHRINK:
        shrink(core, m, result);
        break;
    case RELOAD:
        fenced(core, m, result);
        break;
    case LOST:
        agent_lost(core, m, result);
        break;
    case EARLY:
        agent_on_early(core, m, result);
        break;
    case HALT:
        halt(core, m, result);
        break;
    }
    m->flight.op = 0;
    /* Why it stopped is what people ask for, whatever was looked at since. */
    if (agent_is_stopped(m) && m->stop_error.code != ZDM_OK)
        m->error = m->stop_error;
}
