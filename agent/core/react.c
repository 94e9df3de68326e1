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

enum { BACKOFF_MS = 100, BACKOFF_CAP_MS = 5000 };

/* Kinds of work that take the same outcome in the same way. */
enum work {
    LOOK,    /* inspect */
    JOURNAL, /* step done, step back */
    HALTING, /* stop: a failure to journal a failure must not make another one */
    SHORT,   /* under a short lock */
    LONG,    /* waits for old snapshots */
    WALK,    /* bound, batch, chunk */
    CLEAN,   /* takes something away: absent is as good as done */
    WORKS
};

enum reaction {
    GO = 1,  /* it worked */
    AGAIN,   /* back-off with jitter, without limit */
    BLOCKED, /* somebody holds the lock: named, tried again, never given up */
    SHRINK,  /* smaller batch, then again */
    RELOAD,  /* fenced: what does the journal say? */
    LOST,    /* it may have happened: reconnect and look; three times in a row are too many */
    HALT     /* a person decides */
};

static const enum reaction reactions[WORKS][AGENT_BUG + 1] = {
    /*            OK      ALREADY ABSENT   RETRY   LOCK     FENCED  UNKNOWN FAIL   BUG */
    [LOOK] = {0, GO, GO, GO, AGAIN, AGAIN, RELOAD, LOST, HALT, HALT},
    [JOURNAL] = {0, GO, GO, HALT, AGAIN, AGAIN, RELOAD, LOST, HALT, HALT},
    [HALTING] = {0, GO, GO, AGAIN, AGAIN, AGAIN, RELOAD, RELOAD, AGAIN, AGAIN},
    [SHORT] = {0, GO, GO, HALT, AGAIN, BLOCKED, RELOAD, LOST, HALT, HALT},
    [LONG] = {0, GO, GO, HALT, AGAIN, BLOCKED, RELOAD, LOST, HALT, HALT},
    [WALK] = {0, GO, GO, HALT, SHRINK, SHRINK, RELOAD, LOST, HALT, HALT},
    [CLEAN] = {0, GO, GO, GO, AGAIN, BLOCKED, RELOAD, LOST, HALT, HALT},
};

static enum work work_of(const struct agent_flight *flight)
{
    if (flight->kind == AGENT_OP_INSPECT)
        return LOOK;
    switch (flight->run) {
    case AGENT_RUN_STEP_DONE:
    case AGENT_RUN_STEP_BACK:
    case AGENT_RUN_SPEND_APPROVALS:
        return JOURNAL;
    case AGENT_RUN_STOP:
        return HALTING;
    case AGENT_RUN_VALIDATE:
    case AGENT_RUN_INDEX_BUILD:
        return LONG;
    case AGENT_RUN_BOUND:
    case AGENT_RUN_BATCH:
    case AGENT_RUN_CHECK_CHUNK:
        return WALK;
    case AGENT_RUN_REMOVE_SYNC:
    case AGENT_RUN_INDEX_DROP_INVALID:
        return CLEAN;
    case AGENT_RUN_NONE:
    case AGENT_RUN_DDL:
    case AGENT_RUN_INSTALL_SYNC:
    case AGENT_RUN_HIDE:
    case AGENT_RUN_UNHIDE:
    case AGENT_RUN_PURGE_LEFTOVERS:
    case AGENT_RUN_UNDO_SYNC:
    case AGENT_RUN_UNDO_REMOVE:
    case AGENT_RUN_RESTORE:
    case AGENT_RUN_INDEX_DROP:
    case AGENT_RUN_IMAGES_BACK:
    case AGENT_RUN_UNDO_BEGIN:
    case AGENT_RUN_PURGE:
    case AGENT_RUN_UNDO_DDL:
        break;
    }
    return SHORT;
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
    if (m->looked > m->step)
        m->looked = m->step;
}

static void back_off(struct agent_core *core, struct agent_migration *m)
{
    m->failures++;
    m->backing_off = true;
    m->next_ms = core->now_ms + zdm_backoff_ms(m->failures, BACKOFF_MS, BACKOFF_CAP_MS, agent_random(core));
}

static void went_well(struct agent_migration *m)
{
    m->failures = 0;
    m->backing_off = false;
    m->lock = (struct agent_lock_pacing){.tries = 0};
    m->blocked_by[0] = '\0';
    if (m->regress_to == 0)
        zdm_error_clear(&m->error);
}

/* ---- It worked ---- */

/* It may have happened or not, and looking did not tell. */
static void lost(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    m->proof = AGENT_PROOF_NONE;
    m->error = result->error;
    if (m->error.code == ZDM_OK)
        (void)zdm_error_set(&m->error, ZDM_UNKNOWN, "could not find out whether the step is done");
    if (++m->unknowns >= AGENT_UNKNOWNS_MAX)
        m->unsure = true;
    back_off(core, m);
    agent_reload(core, 0);
}

/* Run without an effect that can be seen: our mistake, or somebody undoes it behind our back. */
static void want_futile_stop(struct agent_migration *m, uint32_t ordinal, unsigned times)
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
    back_off(core, m);
    if (++m->futile >= AGENT_FUTILE_MAX)
        want_futile_stop(m, m->step, m->futile);
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
    agent_regress(m, m->flight.step);
    if (m->vanished >= AGENT_FUTILE_MAX)
        want_futile_stop(m, m->flight.step, m->vanished);
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
        lost(core, m, result);
    } else if (proof == AGENT_PROOF_FOREIGN) {
        agent_want_stop(m, m->flight.step, &result->error);
    } else {
        went_well(m);
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
    went_well(m);
    if (result->journal_valid) {
        agent_take_journal(m, result);
    } else {
        (void)replace_text(&m->cursor, NULL);
        (void)replace_text(&m->bound, NULL);
        m->step = step;
        m->walked = false;
        m->rows_done = m->rows_total = 0;
    }
    m->looked = m->step;
    m->proven = true;
    m->proven_phase = agent_complete_phase(m->plan, m->step);
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

static void walked_on(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    const struct zdm_step *step = zdm_plan_step(m->plan, m->step);
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
    m->proof = m->walked ? AGENT_PROOF_NONE : AGENT_PROOF_NOT_DONE;
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
    went_well(m);
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
        walked_on(core, m, result);
        if (result->rows_walked > 0 || m->rows_done != before)
            m->futile = 0;
    } else {
        m->proof = AGENT_PROOF_NONE;
        m->ran = m->flight.run != AGENT_RUN_INDEX_DROP_INVALID;
    }
}

static void go(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    if (m->flight.kind == AGENT_OP_INSPECT)
        looked(core, m, result);
    else if (m->flight.run == AGENT_RUN_STEP_DONE || m->flight.run == AGENT_RUN_STEP_BACK)
        stepped(m, result);
    else if (m->flight.run == AGENT_RUN_STOP)
        stopped(m);
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
    if (work_of(&m->flight) != WALK && m->flight.run != AGENT_RUN_STEP_DONE)
        m->proof = AGENT_PROOF_NONE;
    if (result->error.code == ZDM_CANCELLED && m->flight.cancelled)
        return; /* we asked for it */
    if (!m->stop_wanted)
        m->error = result->error;
    back_off(core, m);
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

static void blocked(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    zdm_copy_text(m->blocked_by, sizeof m->blocked_by,
                  result->blocker[0] != '\0' ? result->blocker : result->error.message);
    m->proof = work_of(&m->flight) == SHORT ? AGENT_PROOF_NOT_DONE : AGENT_PROOF_NONE;
    m->next_ms =
        core->now_ms + agent_lock_missed(&m->lock, result->blocker_is_autovacuum, core->now_ms, agent_random(core));
    if ((core->capabilities & AGENT_CAN_NOWAIT) == 0)
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
    back_off(core, m);
    agent_reload(core, 0);
}

void agent_on_work_done(struct agent_core *core, struct agent_migration *m, const struct agent_result *result)
{
    enum work work = work_of(&m->flight);
    enum agent_outcome outcome =
        result->outcome >= AGENT_OK && result->outcome <= AGENT_BUG ? result->outcome : AGENT_BUG;
    if (m->flight.connection != core->connection || m->plan == NULL) {
        m->flight.op = 0;
        outdated(core, m, result);
        return;
    }
    switch (reactions[work][outcome]) {
    case GO:
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
        lost(core, m, result);
        break;
    case HALT:
        agent_want_stop(m, m->flight.step, &result->error);
        break;
    }
    m->flight.op = 0;
}
