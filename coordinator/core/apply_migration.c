/*
 * apply_migration.c - the half of coord_apply that speaks of one migration. See apply.c.
 *
 * The rule that keeps directives honest: whatever is part of a directive (goal, mode, actor, attempt, throttle, plan,
 * approvals) changes together with the generation, or two different directives would carry the same fencing pair and
 * agents would rightly cry equivocation (protocol 3, rule 4).
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/apply.h"
#include "coordinator/core/machine.h"

static void set_status(struct coord_shard *s, enum coord_status status, const struct coord_event *event)
{
    if (s->status != status)
        s->entered_at_ms = event->at_ms;
    s->status = status;
}

static void set_generation(struct coord_shard *s, const struct coord_event *event)
{
    s->generation = event->seq;
    s->anchor = event->hash;
    if (s->mode != ZDM_MODE_PAUSE)
        s->run_generation = event->seq;
}

/* What is in every directive of the migration has changed. */
static enum zdm_code touch_all(struct coord_state *state, struct coord_migration *m, const struct coord_event *event,
                               struct zdm_error *err)
{
    for (size_t i = 0; i < m->n_shards; i++)
        if (m->shards[i].generation != 0)
            set_generation(&m->shards[i], event);
    return coord_apply_anchor(state, event, err);
}

/* An approval has come or gone: the directives that carry it are new ones. The anchor stands for them even where there
 * are none, so that it can be told from the log alone which positions have one. */
static enum zdm_code touch_carriers(struct coord_state *state, struct coord_migration *m,
                                    const struct coord_approval *a, const struct coord_event *event,
                                    struct zdm_error *err)
{
    for (size_t i = 0; i < m->n_shards; i++)
        if (coord_carries(m, &m->shards[i], a))
            set_generation(&m->shards[i], event);
    return coord_apply_anchor(state, event, err);
}

static void forget_failure(struct coord_shard *s)
{
    free(s->failure);
    s->failure = NULL;
    s->failed_step = 0;
    s->failed_back = false;
}

static enum zdm_code keep_failure(struct coord_shard *s, const char *text, uint32_t step, bool back,
                                  struct zdm_error *err)
{
    char *copy = zdm_strdup(text);
    if (copy == NULL)
        return coord_apply_nomem(err);
    free(s->failure);
    s->failure = copy;
    s->failed_step = step;
    s->failed_back = back;
    return ZDM_OK;
}

/* ---- Submission ---- */

/* A second run of the same id counts its attempts on: the shard's journal remembers the failed ones of the first. */
static uint32_t attempt_before(const struct coord_migration *before, const char *name)
{
    long shard = before != NULL ? coord_find_shard(before, name) : -1;
    return shard < 0 ? 0 : before->shards[shard].attempt;
}

static enum zdm_code fill_submitted(struct coord_migration *m, const struct coord_migration *before,
                                    const struct coord_event *event, struct zdm_error *err)
{
    size_t n = event->u.migration_submitted.n_shards, n_notes = event->u.migration_submitted.n_notes;
    m->shards = calloc(n > 0 ? n : 1, sizeof *m->shards);
    m->notes = n_notes > 0 ? zdm_memdup(event->u.migration_submitted.notes, n_notes) : NULL;
    m->n_notes = n_notes;
    if (m->shards == NULL || (n_notes > 0 && m->notes == NULL) ||
        !zdm_envelope_copy(&m->plan_envelope, &event->u.migration_submitted.plan_envelope))
        return coord_apply_nomem(err);
    m->plan = zdm_plan_ref(event->u.migration_submitted.plan);
    m->n_shards = n;
    for (size_t i = 0; i < n; i++) {
        const struct coord_submitted_shard *from = &event->u.migration_submitted.shards[i];
        struct coord_shard *s = &m->shards[i];
        zdm_copy_text(s->name, sizeof s->name, from->name);
        s->wave = from->wave < COORD_WAVES_MAX ? from->wave : COORD_WAVES_MAX - 1;
        set_status(s, COORD_READY, event);
        s->attempt = attempt_before(before, s->name);
    }
    return ZDM_OK;
}

static enum zdm_code apply_submitted(struct coord_state *state, const struct coord_event *event, struct zdm_error *err)
{
    if (event->u.migration_submitted.plan == NULL)
        return coord_apply_corrupt(event, err, "a plan");
    const struct coord_migration *before = coord_find_migration(state, event->migration);
    struct coord_migration *m = calloc(1, sizeof *m);
    if (m == NULL || !ZDM_RESERVE(state->migrations, state->cap_migrations, state->n_migrations + 1)) {
        free(m);
        return coord_apply_nomem(err);
    }
    state->migrations[state->n_migrations++] = m; /* from here on the state owns it, also half built */
    zdm_copy_text(m->id, sizeof m->id, event->migration);
    zdm_copy_text(m->submitted_by, sizeof m->submitted_by, event->u.migration_submitted.by);
    m->submitted_seq = m->moved_seq = event->seq;
    m->submitted_at_ms = event->at_ms;
    m->mode = COORD_OPEN;
    return fill_submitted(m, before, event, err);
}

static enum zdm_code apply_amended(struct coord_state *state, struct coord_migration *m,
                                   const struct coord_event *event, struct zdm_error *err)
{
    struct zdm_envelope envelope = {.bytes = NULL};
    if (event->u.migration_submitted.plan == NULL)
        return coord_apply_corrupt(event, err, "a plan");
    if (!zdm_envelope_copy(&envelope, &event->u.migration_submitted.plan_envelope))
        return coord_apply_nomem(err);
    zdm_envelope_fini(&m->plan_envelope);
    m->plan_envelope = envelope;
    zdm_plan_unref(m->plan);
    m->plan = zdm_plan_ref(event->u.migration_submitted.plan);
    return touch_all(state, m, event, err);
}

/* ---- Approvals ---- */

static bool copy_approval(struct zdm_approval *out, const struct zdm_approval *from)
{
    *out = *from;
    out->shards = NULL;
    out->n_shards = 0;
    if (from->n_shards == 0)
        return true;
    out->shards = calloc(from->n_shards, sizeof *out->shards);
    if (out->shards == NULL)
        return false;
    for (; out->n_shards < from->n_shards; out->n_shards++)
        if ((out->shards[out->n_shards] = zdm_strdup(from->shards[out->n_shards])) == NULL)
            return false;
    return true;
}

static enum zdm_code apply_approval_added(struct coord_state *state, struct coord_migration *m,
                                          const struct coord_event *event, struct zdm_error *err)
{
    struct coord_approval added = {.approver = event->u.approval_added.approver, .added_seq = event->seq};
    if (!ZDM_RESERVE(m->approvals, m->cap_approvals, m->n_approvals + 1) ||
        !copy_approval(&added.approval, &event->u.approval_added.approval) ||
        !zdm_envelope_copy(&added.envelope, &event->u.approval_added.signed_approval)) {
        zdm_approval_fini(&added.approval);
        return coord_apply_nomem(err);
    }
    m->approvals[m->n_approvals++] = added;
    return touch_carriers(state, m, &added, event, err);
}

static enum zdm_code apply_approval_revoked(struct coord_state *state, struct coord_migration *m,
                                            const struct coord_event *event, struct zdm_error *err)
{
    for (size_t i = 0; i < m->n_approvals; i++)
        if (zdm_id_equal(&m->approvals[i].approval.nonce, &event->u.approval_revoked.nonce) &&
            m->approvals[i].revoked_seq == 0) {
            m->approvals[i].revoked_seq = event->seq;
            return touch_carriers(state, m, &m->approvals[i], event, err);
        }
    return coord_apply_anchor(state, event, err);
}

/* ---- Phases, waves, gates ---- */

static void apply_phase_opened(struct coord_migration *m, const struct coord_event *event)
{
    uint32_t phase = event->u.phase_opened.phase;
    const struct coord_shard_bits *only = &event->u.phase_opened.only;
    for (size_t i = 0; i < m->n_shards; i++)
        if ((only->n_bytes == 0 || coord_bits_have(only->bytes, only->n_bytes, only->first, (uint32_t)i)) &&
            m->shards[i].opened < phase)
            m->shards[i].opened = phase;
    if (phase > m->opened_phase) {
        m->opened_phase = phase;
        m->opened_at_ms = event->at_ms;
        m->opened_wave = m->wave_of[phase - 1];
    }
    m->moved_seq = event->seq;
}

static void apply_wave_opened(struct coord_migration *m, const struct coord_event *event)
{
    uint32_t phase = event->u.wave_opened.phase;
    if (event->u.wave_opened.wave > m->wave_of[phase - 1])
        m->wave_of[phase - 1] = event->u.wave_opened.wave;
    if (phase == m->opened_phase)
        m->opened_wave = m->wave_of[phase - 1];
}

static void apply_gate(struct coord_migration *m, const struct coord_event *event)
{
    struct coord_gate *gate = &m->gates[event->u.gate.phase - 1];
    bool by_itself = gate->state == COORD_GATE_RUNNING;
    const struct zdm_step *step = zdm_plan_step(m->plan, event->u.gate.step);
    gate->phase = event->u.gate.phase;
    gate->step = event->u.gate.step;
    gate->run = event->u.gate.run;
    gate->changed_at_ms = event->at_ms;
    if (event->type == COORD_EVENT_GATE_PASSED)
        gate->state = COORD_GATE_PASSED;
    else if (event->type == COORD_EVENT_GATE_VETOED) /* of a flag: a rollback put it back, it can be passed again */
        gate->state = by_itself ? COORD_GATE_VETOED : COORD_GATE_WAITING;
    else /* a flag waits for a person; everything else runs by itself */
        gate->state = step == NULL || step->action == ZDM_ACTION_GATE_FLAG ? COORD_GATE_WAITING : COORD_GATE_RUNNING;
    m->moved_seq = event->seq;
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
    struct coord_undo undo = {.to_phase = event->u.directed.goal, .seq = event->seq};
    if (!ZDM_RESERVE(m->undos, m->cap_undos, m->n_undos + 1) ||
        !zdm_envelope_copy(&undo.envelope, &event->u.directed.undo_order))
        return false;
    m->undos[m->n_undos++] = undo;
    return true;
}

static void forget_remark(struct coord_shard *s)
{
    free(s->remark);
    s->remark = NULL;
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
    if (s->mode == ZDM_MODE_RUN && s->goal > s->entered)
        s->entered = s->goal;
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
        s->attempt++;
        forget_failure(s);
    }
    s->mode = event->u.directed.mode;
    begin_mode(m, s, was_going_back, event);
    set_generation(s, event);
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

static enum zdm_code apply_directed(struct coord_state *state, struct coord_migration *m,
                                    const struct coord_event *event, struct zdm_error *err)
{
    const uint8_t *bits = event->u.directed.shards;
    size_t n_bytes = event->u.directed.n_bytes;
    uint32_t first = event->u.directed.first;
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
        /* Who has finished, or is out, keeps its order: sent again under the new epoch it replaces any other. */
        if (s->status == COORD_DONE || s->status == COORD_UNDONE || s->status == COORD_EXCLUDED)
            continue;
        s->mode = ZDM_MODE_PAUSE;
        set_generation(s, event);
        if (s->status == COORD_HELD)
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
    if (s->entered < phase)
        s->entered = phase;
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
    if (s->status == COORD_HELD)
        s->resume_to = COORD_FAILED;
    else
        set_status(s, COORD_FAILED, event);
    return keep_failure(s, event->u.failed.text, event->u.failed.step, event->u.failed.back, err);
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
    if (s->entered < s->at)
        s->entered = s->at;
    forget_failure(s);
    set_status(s, s->at >= zdm_plan_last_phase(m->plan) ? COORD_DONE : COORD_READY, event);
}

/* What it was doing when the doubt came up decides which way it is tried again. */
static enum zdm_code apply_unsure(struct coord_shard *s, const struct coord_event *event, struct zdm_error *err)
{
    bool back = coord_is_going_back(s) || (s->status == COORD_EXCLUDED && s->failed_back);
    set_status(s, COORD_UNSURE, event);
    return keep_failure(s, event->u.unsure.text, event->u.unsure.step, back, err);
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

static enum zdm_code apply_shard(struct coord_migration *m, struct coord_shard *s, const struct coord_event *event,
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

/* The index of the shard that an event about one shard speaks of; false when it is not such an event. */
static bool shard_of(const struct coord_event *event, uint32_t *out_shard, uint32_t *out_phase)
{
    *out_phase = 0;
    if (event->type == COORD_EVENT_SHARD_REACHED || event->type == COORD_EVENT_SHARD_UNDONE ||
        event->type == COORD_EVENT_SHARD_PURGED) {
        *out_shard = event->u.reached.shard;
        *out_phase = event->u.reached.phase;
    } else if (event->type == COORD_EVENT_SHARD_FAILED) {
        *out_shard = event->u.failed.shard;
    } else if (event->type == COORD_EVENT_SHARD_REGRESSED) {
        *out_shard = event->u.regressed.shard;
        *out_phase = event->u.regressed.to;
    } else if (event->type == COORD_EVENT_SHARD_UNSURE || event->type == COORD_EVENT_SHARD_RESOLVED) {
        *out_shard = event->u.unsure.shard;
        *out_phase = event->u.unsure.at;
    } else if (event->type == COORD_EVENT_SHARD_EXCLUDED || event->type == COORD_EVENT_SHARD_INCLUDED) {
        *out_shard = event->u.excluded.shard;
    } else {
        return false;
    }
    return true;
}

/* The phase that an event about a phase speaks of, 0 when it is not such an event. */
static uint32_t phase_of(const struct coord_event *event)
{
    if (event->type == COORD_EVENT_PHASE_OPENED)
        return event->u.phase_opened.phase;
    if (event->type == COORD_EVENT_BARRIER_OPENED)
        return event->u.barrier_opened.phase;
    if (event->type == COORD_EVENT_WAVE_OPENED)
        return event->u.wave_opened.phase;
    return event->u.gate.phase;
}

static void apply_phase(struct coord_migration *m, const struct coord_event *event)
{
    if (event->type == COORD_EVENT_PHASE_OPENED)
        apply_phase_opened(m, event);
    else if (event->type == COORD_EVENT_WAVE_OPENED)
        apply_wave_opened(m, event);
    else if (event->type == COORD_EVENT_BARRIER_OPENED)
        m->barrier_phase = event->u.barrier_opened.phase;
    else
        apply_gate(m, event);
}

static void apply_mode(struct coord_migration *m, const struct coord_event *event)
{
    m->moved_seq = event->seq;
    if (event->type == COORD_EVENT_MIGRATION_ENDED) {
        m->mode = COORD_ENDED;
        m->outcome = event->u.ended.outcome;
    } else {
        bool halted = event->type == COORD_EVENT_MIGRATION_HALTED;
        m->mode = halted ? COORD_HALTED : COORD_OPEN;
        m->halt_cause = halted ? event->u.halted.cause : 0;
    }
}

enum zdm_code coord_apply_migration(struct coord_state *state, const struct coord_event *event, struct zdm_error *err)
{
    uint32_t shard, phase;
    if (event->type == COORD_EVENT_MIGRATION_SUBMITTED)
        return apply_submitted(state, event, err);
    struct coord_migration *m = coord_find_migration(state, event->migration);
    if (m == NULL)
        return coord_apply_corrupt(event, err, "a migration");
    if (shard_of(event, &shard, &phase)) {
        if (shard >= m->n_shards || phase > m->plan->n_phases)
            return coord_apply_corrupt(event, err, "a shard or phase");
        return apply_shard(m, &m->shards[shard], event, err);
    }
    if (event->type == COORD_EVENT_SHARDS_DIRECTED)
        return apply_directed(state, m, event, err);
    if (event->type == COORD_EVENT_PLAN_AMENDED)
        return apply_amended(state, m, event, err);
    if (event->type == COORD_EVENT_APPROVAL_ADDED)
        return apply_approval_added(state, m, event, err);
    if (event->type == COORD_EVENT_APPROVAL_REVOKED)
        return apply_approval_revoked(state, m, event, err);
    if (event->type == COORD_EVENT_MIGRATION_HALTED || event->type == COORD_EVENT_MIGRATION_RESUMED ||
        event->type == COORD_EVENT_MIGRATION_ENDED) {
        apply_mode(m, event);
        return ZDM_OK;
    }
    if (event->type == COORD_EVENT_THROTTLE_SET) {
        m->throttle = event->u.throttle_set.throttle;
        return touch_all(state, m, event, err);
    }
    phase = phase_of(event);
    if (phase == 0 || phase > m->plan->n_phases)
        return coord_apply_corrupt(event, err, "a phase");
    apply_phase(m, event);
    return ZDM_OK;
}
