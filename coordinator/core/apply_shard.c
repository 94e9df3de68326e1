/*
 * apply_shard.c - the part of coord_apply that speaks of shards: what they are told, and what they did. See apply.c and
 * the rule at the top of apply_migration.c.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/plan/undo.h"
#include "coordinator/core/apply.h"

static void set_status(struct coord_shard *s, enum coord_status status, const struct coord_event *event)
{
    if (s->status != status)
        s->entered_at_ms = event->at_ms;
    s->status = status;
}

void coord_apply_generation(struct coord_shard *s, const struct coord_event *event)
{
    s->generation = event->seq;
    s->anchor = event->hash;
    if (s->mode != ZDM_MODE_PAUSE)
        s->run_generation = event->seq;
}

static void forget_failure(struct coord_shard *s)
{
    free(s->failure);
    free(s->hint);
    s->failure = s->hint = NULL;
    s->failed_step = 0;
    s->failed_back = false;
}

/* hint: "" for none. */
static enum zdm_code keep_failure(struct coord_shard *s, const char *text, const char *hint, uint32_t step, bool back,
                                  struct zdm_error *err)
{
    char *copy = zdm_strdup(text), *help = hint[0] != '\0' ? zdm_strdup(hint) : NULL;
    if (copy == NULL || (help == NULL && hint[0] != '\0')) {
        free(copy);
        free(help);
        return coord_apply_nomem(err);
    }
    free(s->failure);
    free(s->hint);
    s->failure = copy;
    s->hint = help;
    s->failed_step = step;
    s->failed_back = back;
    return ZDM_OK;
}

/* ---- Desired state ---- */

/* A run order: toward a higher goal it moves; at its goal it is what it was when it was held, else ready. Who was going
 * back, or had come back all the way, is sent forward. */
static enum coord_status status_of_run(const struct coord_migration *m, const struct coord_shard *s,
                                       bool was_going_back)
{
    if (s->goal > s->at)
        return COORD_MOVING;
    if (s->status == COORD_HELD && !was_going_back)
        return s->resume_to;
    return s->at >= zdm_plan_last_phase(m->plan) ? COORD_DONE : COORD_READY;
}

/* An undo order, new or confirmed: who was held after it failed, or unsure, on the way back is that again. */
static enum coord_status status_of_undo(const struct coord_shard *s, const struct coord_event *event)
{
    bool again = event->u.directed.undo_order.len == 0 && !event->u.directed.next_attempt;
    bool stuck = s->resume_to == COORD_FAILED || s->resume_to == COORD_UNSURE;
    return s->status == COORD_HELD && stuck && again ? s->resume_to : COORD_UNDOING;
}

/* After a rollback phases have to be opened anew, wave by wave, barrier included. Who is excluded does not count. */
static void close_phases(struct coord_migration *m)
{
    uint32_t highest = 0;
    for (size_t i = 0; i < m->n_shards; i++)
        if (m->shards[i].status != COORD_EXCLUDED && m->shards[i].opened > highest)
            highest = m->shards[i].opened;
    if (highest >= m->opened_phase)
        return;
    for (uint32_t p = highest + 1; p <= m->opened_phase; p++) {
        m->wave_of[p - 1] = 0;
        memset(m->wave_reached_ms[p - 1], 0, sizeof m->wave_reached_ms[p - 1]);
    }
    m->opened_phase = highest;
    m->opened_wave = highest > 0 ? m->wave_of[highest - 1] : 0;
    if (m->barrier_phase > highest)
        m->barrier_phase = highest;
}

/* Keeps an undo order; the shards that the event names refer to it. */
static bool keep_undo(struct coord_migration *m, const struct coord_event *event)
{
    struct coord_undo undo = {
        .nonce = event->u.directed.undo_nonce, .to_phase = event->u.directed.goal, .seq = event->seq};
    if (!ZDM_RESERVE(m->undos, m->cap_undos, m->n_undos + 1) ||
        !zdm_envelope_copy(&undo.envelope, &event->u.directed.undo_order))
        return false;
    m->undos[m->n_undos++] = undo;
    return true;
}

/* Orders that no shard refers to any more are never sent again: only what tells them from a new one is kept. So the
 * state does not grow with the names in them, however often people go back and forth. */
static void drop_old_undos(struct coord_migration *m)
{
    for (size_t i = 0; i < m->n_undos; i++)
        m->undos[i].referred = false;
    for (size_t i = 0; i < m->n_shards; i++)
        if (m->shards[i].undo != 0 && m->shards[i].undo <= m->n_undos)
            m->undos[m->shards[i].undo - 1].referred = true;
    for (size_t i = 0; i < m->n_undos; i++)
        if (!m->undos[i].referred)
            zdm_envelope_fini(&m->undos[i].envelope);
}

static void forget_remark(struct coord_shard *s)
{
    free(s->remark);
    s->remark = NULL;
}

static void enter(const struct coord_migration *m, struct coord_shard *s, uint32_t phase)
{
    if (s->entered < phase)
        s->entered = phase;
    s->switched = zdm_plan_switched(m->plan, s->switched, s->entered);
}

/* What an order of each mode means beyond itself. */
static void begin_mode(const struct coord_migration *m, struct coord_shard *s, bool was_going_back,
                       const struct coord_event *event)
{
    if (event->u.directed.undo_order.len > 0) {
        s->undo = (uint32_t)m->n_undos;
        s->undone_seq = event->seq;
        forget_remark(s);
    }
    if (s->mode == ZDM_MODE_UNDO && s->opened > s->goal)
        s->opened = s->goal;
    if (s->mode == ZDM_MODE_RUN)
        enter(m, s, s->goal);
    /* A rollback is given up: where it stands it goes on. */
    if (s->mode == ZDM_MODE_RUN && was_going_back && !event->u.directed.keep_status)
        s->opened = s->goal;
    if (s->mode == ZDM_MODE_PURGE)
        s->purge_seq = event->seq;
}

static void direct_one(const struct coord_migration *m, struct coord_shard *s, const struct coord_event *event)
{
    bool was_going_back = coord_is_going_back(s);
    if (event->u.directed.set_goal)
        s->goal = event->u.directed.goal;
    if (event->u.directed.set_actor)
        s->actor = event->u.directed.actor;
    if (event->u.directed.next_attempt) {
        s->attempt = (s->attempt > s->stopped_attempt ? s->attempt : s->stopped_attempt) + 1;
        forget_failure(s);
    }
    s->mode = event->u.directed.mode;
    begin_mode(m, s, was_going_back, event);
    coord_apply_generation(s, event);
    if (event->u.directed.keep_status)
        return;
    if (s->mode == ZDM_MODE_PAUSE) {
        if (s->status != COORD_HELD)
            s->resume_to = s->status;
        set_status(s, COORD_HELD, event);
    } else {
        set_status(s, s->mode == ZDM_MODE_UNDO ? status_of_undo(s, event) : status_of_run(m, s, was_going_back), event);
    }
}

enum zdm_code coord_apply_directed(struct coord_state *state, struct coord_migration *m,
                                   const struct coord_event *event, struct zdm_error *err)
{
    const uint8_t *bits = event->u.directed.shards;
    size_t n_bytes = event->u.directed.n_bytes;
    uint32_t first = event->u.directed.first;
    if (event->u.directed.set_goal && event->u.directed.goal > m->plan->n_phases)
        return coord_apply_corrupt(event, err, "a phase");
    if (event->u.directed.undo_order.len > 0 && !keep_undo(m, event))
        return coord_apply_nomem(err);
    for (size_t byte = 0; byte < n_bytes; byte++)
        for (uint32_t bit = 0; bits[byte] != 0 && bit < 8; bit++) {
            size_t i = first + byte * 8 + bit;
            if ((bits[byte] >> bit & 1U) == 0)
                continue;
            if (i >= m->n_shards)
                return coord_apply_corrupt(event, err, "a shard");
            direct_one(m, &m->shards[i], event);
            if (m->shards[i].opened > m->opened_phase)
                m->opened_phase = m->shards[i].opened;
        }
    if (event->u.directed.undo_order.len > 0)
        drop_old_undos(m);
    if (event->u.directed.mode == ZDM_MODE_UNDO) {
        close_phases(m);
        m->moved_seq = event->seq;
    }
    return coord_apply_anchor(state, event, err);
}

void coord_apply_pause_all(struct coord_migration *m, const struct coord_event *event)
{
    for (size_t i = 0; i < m->n_shards; i++) {
        struct coord_shard *s = &m->shards[i];
        bool rests = s->status == COORD_DONE || s->status == COORD_UNDONE || s->status == COORD_EXCLUDED;
        /* Who was never directed and needs no order has none. */
        if (s->generation == 0 && m->mode == COORD_ENDED)
            continue;
        s->mode = ZDM_MODE_PAUSE;
        coord_apply_generation(s, event);
        if (rests || s->status == COORD_HELD)
            continue;
        s->resume_to = s->status;
        set_status(s, COORD_HELD, event);
    }
}

/* ---- What shards did ---- */

static void apply_reached(struct coord_migration *m, struct coord_shard *s, const struct coord_event *event)
{
    uint32_t phase = event->u.reached.phase;
    s->at = phase;
    if (s->high < phase)
        s->high = phase;
    enter(m, s, phase);
    s->reached_at_ms = event->at_ms;
    forget_failure(s);
    if (phase >= 1)
        m->wave_reached_ms[phase - 1][s->wave] = event->at_ms;
    enum coord_status now = phase >= zdm_plan_last_phase(m->plan) ? COORD_DONE : COORD_READY;
    if (s->status == COORD_HELD)
        s->resume_to = now;
    else
        set_status(s, now, event);
}

static enum zdm_code apply_undone(struct coord_migration *m, struct coord_shard *s, const struct coord_event *event,
                                  struct zdm_error *err)
{
    char *remark = event->u.reached.remark[0] != '\0' ? zdm_strdup(event->u.reached.remark) : NULL;
    if (event->u.reached.remark[0] != '\0' && remark == NULL)
        return coord_apply_nomem(err);
    forget_remark(s);
    s->remark = remark;
    s->at = s->entered = event->u.reached.phase;
    if (s->switched > s->at)
        s->switched = s->at;
    s->back_seq = event->seq;
    if (s->opened > s->at)
        s->opened = s->at;
    close_phases(m);
    forget_failure(s);
    enum coord_status now = s->at == 0 ? COORD_UNDONE : COORD_READY;
    if (s->status == COORD_HELD)
        s->resume_to = now;
    else
        set_status(s, now, event);
    return ZDM_OK;
}

static enum zdm_code apply_failed(struct coord_shard *s, const struct coord_event *event, struct zdm_error *err)
{
    if (s->stopped_attempt < event->u.failed.attempt)
        s->stopped_attempt = event->u.failed.attempt;
    if (s->status == COORD_HELD)
        s->resume_to = COORD_FAILED;
    else
        set_status(s, COORD_FAILED, event);
    return keep_failure(s, event->u.failed.text, event->u.failed.hint, event->u.failed.step, event->u.failed.back, err);
}

/* What was held between phases, or in the middle of one, has to be released anew after a loss. */
static void apply_regressed(struct coord_shard *s, const struct coord_event *event)
{
    s->at = event->u.regressed.to;
    if (s->status == COORD_HELD && (s->resume_to == COORD_MOVING || s->resume_to == COORD_DONE))
        s->resume_to = COORD_READY;
}

static void apply_resolved(const struct coord_migration *m, struct coord_shard *s, const struct coord_event *event)
{
    s->at = s->goal = event->u.unsure.at;
    if (s->high < s->at)
        s->high = s->at;
    enter(m, s, s->at);
    forget_failure(s);
    set_status(s, s->at >= zdm_plan_last_phase(m->plan) ? COORD_DONE : COORD_READY, event);
}

/* What it was doing when the doubt came up decides which way it is tried again. */
static enum zdm_code apply_unsure(struct coord_shard *s, const struct coord_event *event, struct zdm_error *err)
{
    bool back = coord_is_going_back(s) || (s->status == COORD_EXCLUDED && s->failed_back);
    set_status(s, COORD_UNSURE, event);
    return keep_failure(s, event->u.unsure.text, "", event->u.unsure.step, back, err);
}

static void apply_excluded(struct coord_shard *s, const struct coord_event *event)
{
    s->failed_back = coord_is_going_back(s);
    set_status(s, COORD_EXCLUDED, event);
}

static void apply_included(const struct coord_migration *m, struct coord_shard *s)
{
    s->late = true;
    if (s->opened > m->opened_phase)
        s->opened = m->opened_phase;
}

enum zdm_code coord_apply_shard(struct coord_migration *m, struct coord_shard *s, const struct coord_event *event,
                                struct zdm_error *err)
{
    if (event->type == COORD_EVENT_SHARD_REACHED)
        apply_reached(m, s, event);
    else if (event->type == COORD_EVENT_SHARD_UNDONE)
        return apply_undone(m, s, event, err);
    else if (event->type == COORD_EVENT_SHARD_FAILED)
        return apply_failed(s, event, err);
    else if (event->type == COORD_EVENT_SHARD_REGRESSED)
        apply_regressed(s, event);
    else if (event->type == COORD_EVENT_SHARD_RESOLVED)
        apply_resolved(m, s, event);
    else if (event->type == COORD_EVENT_SHARD_EXCLUDED)
        apply_excluded(s, event);
    else if (event->type == COORD_EVENT_SHARD_INCLUDED)
        apply_included(m, s);
    else if (event->type == COORD_EVENT_SHARD_UNSURE)
        return apply_unsure(s, event, err);
    else if (event->type == COORD_EVENT_SHARD_PURGED)
        s->purged_seq = event->seq;
    return ZDM_OK;
}
