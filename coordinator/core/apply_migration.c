/*
 * apply_migration.c - the part of coord_apply that speaks of one migration: submission, approvals, phases. What its
 * shards are told and what they did is apply_shard.c. See apply.c.
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

/* What is in every directive of the migration has changed. A purge of leftovers has no pace, and no new order: the
 * shard has spent the approvals of the one that it works by. */
static enum zdm_code touch_all(struct coord_state *state, struct coord_migration *m, const struct coord_event *event,
                               struct zdm_error *err)
{
    for (size_t i = 0; i < m->n_shards; i++)
        if (m->shards[i].generation != 0 &&
            (m->shards[i].mode != ZDM_MODE_PURGE || event->type != COORD_EVENT_THROTTLE_SET))
            coord_apply_generation(&m->shards[i], event);
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
            coord_apply_generation(&m->shards[i], event);
    return coord_apply_anchor(state, event, err);
}

/* ---- Submission ---- */

/* A second run of the same id counts its attempts on: the shard's journal remembers the failed ones of those before. */
static uint32_t attempt_before(const struct coord_state *state, const struct coord_migration *m, const char *name)
{
    uint32_t highest = 0;
    for (size_t i = 0; i < state->n_migrations; i++) {
        const struct coord_migration *before = state->migrations[i];
        long shard = before != m && strcmp(before->id, m->id) == 0 ? coord_find_shard(before, name) : -1;
        if (shard < 0)
            continue;
        const struct coord_shard *s = &before->shards[shard];
        highest = s->attempt > highest ? s->attempt : highest;
        highest = s->stopped_attempt > highest ? s->stopped_attempt : highest;
    }
    return highest;
}

static enum zdm_code fill_submitted(const struct coord_state *state, struct coord_migration *m,
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
        s->status = COORD_READY;
        s->entered_at_ms = event->at_ms;
        s->attempt = attempt_before(state, m, s->name);
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
    return fill_submitted(state, m, event, err);
}

/* What lies behind the phases that both plans share is to be opened, waited for and passed anew. */
static void close_from(struct coord_migration *m, uint32_t common)
{
    for (uint32_t p = common; p < ZDM_PHASES_MAX; p++) {
        m->wave_of[p] = 0;
        memset(m->wave_reached_ms[p], 0, sizeof m->wave_reached_ms[p]);
        m->gates[p] = (struct coord_gate){.phase = 0};
    }
    if (m->opened_phase > common)
        m->opened_phase = common;
    if (m->barrier_phase > common)
        m->barrier_phase = common;
    m->opened_wave = m->opened_phase > 0 ? m->wave_of[m->opened_phase - 1] : 0;
}

static enum coord_status status_under(const struct coord_shard *s, enum coord_status status, uint32_t last)
{
    if (status == COORD_READY || status == COORD_DONE)
        return s->at >= last ? COORD_DONE : COORD_READY;
    return status;
}

/* Who had finished has more to do, or who waited has finished. */
static void fit_shard(struct coord_shard *s, uint32_t common, uint32_t last, const struct coord_event *event)
{
    enum coord_status before = s->status;
    if (s->opened > common)
        s->opened = common;
    if (s->high > common)
        s->high = common;
    s->status = status_under(s, s->status, last);
    s->resume_to = status_under(s, s->resume_to, last);
    if (s->status != before)
        s->entered_at_ms = event->at_ms;
}

/* Of a plan of its own, not one that was only signed anew. */
static enum zdm_code fit_to(struct coord_migration *m, const struct coord_event *event, struct zdm_error *err)
{
    const struct zdm_plan *plan = event->u.migration_submitted.plan;
    size_t n_notes = event->u.migration_submitted.n_notes;
    uint32_t common = coord_common_phases(m->plan, plan);
    uint8_t *notes = n_notes > 0 ? zdm_memdup(event->u.migration_submitted.notes, n_notes) : NULL;
    if (n_notes > 0 && notes == NULL)
        return coord_apply_nomem(err);
    free(m->notes);
    m->notes = notes;
    m->n_notes = n_notes;
    close_from(m, common);
    for (size_t i = 0; i < m->n_shards; i++)
        fit_shard(&m->shards[i], common, zdm_plan_last_phase(plan), event);
    m->amended_at_ms = event->at_ms;
    zdm_copy_text(m->amended_by, sizeof m->amended_by, event->u.migration_submitted.by);
    m->moved_seq = event->seq;
    return ZDM_OK;
}

/* A log that was not written by this core may call a phase the same that a shard has entered and that is another one.
 */
static bool is_beyond(const struct coord_migration *m, const struct zdm_plan *plan)
{
    uint32_t common = coord_common_phases(m->plan, plan);
    for (size_t i = 0; i < m->n_shards; i++)
        if (coord_shard_entered(&m->shards[i]) > common)
            return true;
    return false;
}

static enum zdm_code apply_amended(struct coord_state *state, struct coord_migration *m,
                                   const struct coord_event *event, struct zdm_error *err)
{
    struct zdm_envelope envelope = {.bytes = NULL};
    const struct zdm_plan *plan = event->u.migration_submitted.plan;
    if (plan == NULL)
        return coord_apply_corrupt(event, err, "a plan");
    bool another = !zdm_hash_equal(&m->plan->hash, &plan->hash);
    if (another && is_beyond(m, plan))
        return coord_apply_corrupt(event, err, "the phases that shards have entered");
    if (!zdm_envelope_copy(&envelope, &event->u.migration_submitted.plan_envelope))
        return coord_apply_nomem(err);
    if (another && fit_to(m, event, err) != ZDM_OK) {
        zdm_envelope_fini(&envelope);
        return err != NULL ? err->code : ZDM_NOMEM;
    }
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

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
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
    if (added.approval.n_shards > 0)
        qsort(added.approval.shards, added.approval.n_shards, sizeof *added.approval.shards, by_name);
    added.sorted = true;
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

/* Who goes back, or is back all the way, is let into nothing until a person has sent it forward again. */
static bool can_be_let_in(const struct coord_shard *s)
{
    enum coord_status status = s->status == COORD_HELD ? s->resume_to : s->status;
    return status != COORD_UNDONE && !coord_is_going_back(s);
}

static void apply_phase_opened(struct coord_migration *m, const struct coord_event *event)
{
    uint32_t phase = event->u.phase_opened.phase;
    const struct coord_shard_bits *only = &event->u.phase_opened.only;
    for (size_t i = 0; i < m->n_shards; i++)
        if ((only->n_bytes == 0 || coord_bits_have(only->bytes, only->n_bytes, only->first, (uint32_t)i)) &&
            m->shards[i].opened < phase && can_be_let_in(&m->shards[i]))
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
        return coord_apply_shard(m, &m->shards[shard], event, err);
    }
    if (event->type == COORD_EVENT_SHARDS_DIRECTED)
        return coord_apply_directed(state, m, event, err);
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
