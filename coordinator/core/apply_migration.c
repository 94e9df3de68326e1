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

static enum zdm_code fill_submitted(struct coord_migration *m, const struct coord_event *event, struct zdm_error *err)
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
    }
    return ZDM_OK;
}

static enum zdm_code apply_submitted(struct coord_state *state, const struct coord_event *event, struct zdm_error *err)
{
    if (event->u.migration_submitted.plan == NULL)
        return coord_apply_corrupt(event, err, "a plan");
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
    return fill_submitted(m, event, err);
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
    return touch_all(state, m, event, err);
}

static enum zdm_code apply_approval_revoked(struct coord_state *state, struct coord_migration *m,
                                            const struct coord_event *event, struct zdm_error *err)
{
    for (size_t i = 0; i < m->n_approvals; i++)
        if (zdm_id_equal(&m->approvals[i].approval.nonce, &event->u.approval_revoked.nonce))
            m->approvals[i].revoked_seq = event->seq;
    return touch_all(state, m, event, err);
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
    const struct zdm_step *step = zdm_plan_step(m->plan, event->u.gate.step);
    gate->phase = event->u.gate.phase;
    gate->step = event->u.gate.step;
    gate->run = event->u.gate.run;
    gate->changed_at_ms = event->at_ms;
    if (event->type == COORD_EVENT_GATE_PASSED)
        gate->state = COORD_GATE_PASSED;
    else if (event->type == COORD_EVENT_GATE_VETOED)
        gate->state = COORD_GATE_VETOED;
    else /* a flag waits for a person; everything else runs by itself */
        gate->state = step == NULL || step->action == ZDM_ACTION_GATE_FLAG ? COORD_GATE_WAITING : COORD_GATE_RUNNING;
    m->moved_seq = event->seq;
}

/* ---- Desired state ---- */

/* A run order: toward a higher goal it moves; at its goal it is what it was when it was held, else ready. */
static enum coord_status status_of_run(const struct coord_migration *m, const struct coord_shard *s)
{
    if (s->goal > s->at)
        return COORD_MOVING;
    if (s->status == COORD_HELD)
        return s->resume_to;
    if (s->status == COORD_UNDONE)
        return COORD_UNDONE;
    return s->at >= zdm_plan_last_phase(m->plan) ? COORD_DONE : COORD_READY;
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

static void direct_one(const struct coord_migration *m, struct coord_shard *s, const struct coord_event *event)
{
    if (event->u.directed.undo_order.len > 0) {
        s->undo = (uint32_t)m->n_undos;
        s->undone_seq = event->seq;
    }
    if (event->u.directed.set_goal)
        s->goal = event->u.directed.goal;
    if (event->u.directed.set_actor)
        s->actor = event->u.directed.actor;
    if (event->u.directed.next_attempt) {
        s->attempt++;
        forget_failure(s);
    }
    s->mode = event->u.directed.mode;
    set_generation(s, event);
    if (event->u.directed.keep_status)
        return;
    if (s->mode == ZDM_MODE_PAUSE) {
        if (s->status != COORD_HELD)
            s->resume_to = s->status;
        set_status(s, COORD_HELD, event);
    } else {
        set_status(s, s->mode == ZDM_MODE_UNDO ? COORD_UNDOING : status_of_run(m, s), event);
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
        }
    return coord_apply_anchor(state, event, err);
}

void coord_apply_pause_all(struct coord_migration *m, const struct coord_event *event)
{
    for (size_t i = 0; i < m->n_shards; i++) {
        struct coord_shard *s = &m->shards[i];
        s->mode = ZDM_MODE_PAUSE;
        set_generation(s, event);
        if (s->status == COORD_DONE || s->status == COORD_UNDONE || s->status == COORD_EXCLUDED ||
            s->status == COORD_HELD)
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

static void apply_undone(struct coord_shard *s, const struct coord_event *event)
{
    s->at = event->u.reached.phase;
    if (s->opened > s->at)
        s->opened = s->at;
    enum coord_status now = s->at == 0 ? COORD_UNDONE : COORD_READY;
    if (s->status == COORD_HELD)
        s->resume_to = now;
    else
        set_status(s, now, event);
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
    forget_failure(s);
    set_status(s, s->at >= zdm_plan_last_phase(m->plan) ? COORD_DONE : COORD_READY, event);
}

static enum zdm_code apply_shard(struct coord_migration *m, struct coord_shard *s, const struct coord_event *event,
                                 struct zdm_error *err)
{
    if (event->type == COORD_EVENT_SHARD_REACHED)
        apply_reached(m, s, event);
    else if (event->type == COORD_EVENT_SHARD_UNDONE)
        apply_undone(s, event);
    else if (event->type == COORD_EVENT_SHARD_FAILED)
        return apply_failed(s, event, err);
    else if (event->type == COORD_EVENT_SHARD_REGRESSED)
        apply_regressed(s, event);
    else if (event->type == COORD_EVENT_SHARD_RESOLVED)
        apply_resolved(m, s, event);
    else if (event->type == COORD_EVENT_SHARD_EXCLUDED)
        set_status(s, COORD_EXCLUDED, event);
    else if (event->type == COORD_EVENT_SHARD_INCLUDED)
        s->late = true;
    else if (event->type == COORD_EVENT_SHARD_UNSURE) {
        set_status(s, COORD_UNSURE, event);
        return keep_failure(s, event->u.unsure.text, event->u.unsure.step, false, err);
    }
    return ZDM_OK;
}

/* The index of the shard that an event about one shard speaks of; false when it is not such an event. */
static bool shard_of(const struct coord_event *event, uint32_t *out_shard, uint32_t *out_phase)
{
    *out_phase = 0;
    if (event->type == COORD_EVENT_SHARD_REACHED || event->type == COORD_EVENT_SHARD_UNDONE) {
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
