/*
 * release.c - coord_releasable(): which shards may enter their next phase now, and why the others may not (protocol 8).
 *
 * One pass over the shards counts what all of them wait for (barrier, waves, how many move); a second one answers for
 * each. Who fails, is paused or is away never holds others of its phase back, with two exceptions: the barrier before
 * switch and contract, which waits for every shard that is not excluded, and the first wave of a phase that nobody has
 * proven: where no shard of a wave got through, the next wave stays out, unless a person has paused all of it.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/machine.h"

/* How one wave stands with regard to one phase; shards that were not let into the phase do not count. */
struct wave_tally {
    uint32_t opened, reached, held;
    uint32_t pending; /* on their way without anybody's help */
    uint32_t example; /* index + 1 of a shard that is waited for */
};

struct survey {
    const struct coord_state *state;
    const struct coord_view *view;
    const struct coord_migration *m;
    int64_t now_ms;
    uint32_t low;                            /* phases below this are nobody's next one */
    uint32_t counted;                        /* not excluded */
    uint32_t count_at[ZDM_PHASES_MAX + 1];   /* of these, how many have proven exactly so many phases */
    uint32_t example_at[ZDM_PHASES_MAX + 1]; /* one of them, index */
    uint32_t moving;
    struct wave_tally waves[ZDM_PHASES_MAX][COORD_WAVES_MAX];
    int64_t presence_until_ms; /* when the first of those that are waited for may count as away */
};

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Is it going somewhere by itself? MOVING counts as long as its agent is heard, READY when an agent could take it. */
static bool on_its_way(struct survey *v, const struct coord_shard *s, const struct zdm_id *candidate)
{
    int64_t until;
    if (s->status == COORD_READY)
        return !zdm_id_is_zero(candidate);
    if (s->status != COORD_MOVING && s->status != COORD_UNDOING)
        return false;
    if (!coord_is_present(v->view, &s->actor, v->now_ms, &until))
        return false;
    v->presence_until_ms = earlier(v->presence_until_ms, until);
    return true;
}

static void tally(struct survey *v, uint32_t i, bool pending)
{
    const struct coord_shard *s = &v->m->shards[i];
    for (uint32_t p = v->low; p <= s->opened; p++) {
        struct wave_tally *w = &v->waves[p - 1][s->wave];
        w->opened++;
        if (s->at >= p) {
            w->reached++;
            continue;
        }
        w->held += s->status == COORD_HELD;
        w->pending += pending;
        if (s->status != COORD_HELD && w->example == 0)
            w->example = i + 1;
    }
}

/* The lowest phase that a ready shard could enter next: waves of lower ones interest nobody. */
static uint32_t lowest_next(const struct coord_migration *m)
{
    uint32_t low = ZDM_PHASES_MAX + 1;
    for (size_t i = 0; i < m->n_shards; i++)
        if (m->shards[i].status == COORD_READY && m->shards[i].at + 1 < low)
            low = m->shards[i].at + 1;
    return low;
}

/* First pass. out[i].actor takes the agent that could act for a shard that is let into its next phase. */
static void look_around(struct survey *v, struct coord_release *out)
{
    v->presence_until_ms = INT64_MAX;
    v->low = lowest_next(v->m);
    for (uint32_t i = 0; i < v->m->n_shards; i++) {
        const struct coord_shard *s = &v->m->shards[i];
        memset(&out[i], 0, sizeof out[i]);
        out[i].status = s->status;
        if (s->status == COORD_EXCLUDED)
            continue;
        v->counted++;
        if (v->count_at[s->at]++ == 0)
            v->example_at[s->at] = i;
        if (s->status == COORD_READY && s->at < s->opened)
            coord_pick_actor(v->state, v->view, s, v->now_ms, &out[i].actor);
        bool pending = on_its_way(v, s, &out[i].actor);
        v->moving += pending && s->status != COORD_READY;
        tally(v, i, pending);
    }
}

/* ---- One reason after the other; each returns true when it holds the shard back ---- */

static bool held_by_gate(const struct coord_migration *m, uint32_t next, struct coord_release *out)
{
    for (uint32_t p = 1; p < next; p++)
        if (coord_gate_step(m->plan, p) != NULL && m->gates[p - 1].state != COORD_GATE_PASSED) {
            out->hold = COORD_HOLD_GATE;
            return true;
        }
    return false;
}

static bool held_by_barrier(const struct survey *v, uint32_t next, struct coord_release *out)
{
    const struct zdm_phase *phase = zdm_plan_phase(v->m->plan, next);
    uint32_t missing = 0;
    if (phase->class != ZDM_PHASE_SWITCH && phase->class != ZDM_PHASE_CONTRACT && phase->class != ZDM_PHASE_PURGE)
        return false;
    for (uint32_t at = 0; at + 1 < next; at++) {
        if (missing == 0 && v->count_at[at] > 0) {
            const struct coord_shard *one = &v->m->shards[v->example_at[at]];
            zdm_copy_text(out->shard, sizeof out->shard, one->name);
            out->rolled_back = coord_was_rolled_back(one);
        }
        missing += v->count_at[at];
    }
    if (missing == 0)
        return false;
    out->hold = COORD_HOLD_BARRIER;
    out->count = missing;
    out->of = v->counted;
    return true;
}

/* Signatures that are missing, and an actor that might not know who may sign by now. */
static bool held_by_approvals(const struct survey *v, const struct coord_shard *s, struct coord_release *out)
{
    enum zdm_approval_action action;
    struct zdm_judgement judgement;
    const struct coord_heard *actor = coord_view_find(v->view, &out->actor);
    if (coord_phase_needs(v->view, v->m, s->at + 1, &action) == 0)
        return false;
    if (!coord_allowed(v->view, v->m, s, action, s->at + 1, v->now_ms, NULL, &judgement)) {
        out->hold = COORD_HOLD_APPROVALS;
        out->count = judgement.given;
        out->of = judgement.needed;
        return true;
    }
    if (actor == NULL || actor->report.trust_version >= v->state->trust_version)
        return false;
    out->hold = COORD_HOLD_TRUST;
    out->count = actor->report.trust_version;
    out->of = v->state->trust_version;
    return true;
}

/* Nobody in it was let into the phase, or all who can have got through and at least one has. */
static bool wave_is_through(const struct wave_tally *w)
{
    if (w->opened == 0 || w->held == w->opened)
        return true;
    return w->reached > 0 && w->pending == 0;
}

static bool held_by_wave(const struct survey *v, const struct coord_shard *s, struct coord_release *out)
{
    uint32_t next = s->at + 1;
    int64_t last = 0;
    if (s->wave <= v->m->wave_of[next - 1])
        return false;
    for (uint32_t wave = 0; wave < s->wave; wave++) {
        const struct wave_tally *w = &v->waves[next - 1][wave];
        out->wave = wave;
        if (!wave_is_through(w)) {
            out->hold = COORD_HOLD_WAVE;
            if (w->example > 0)
                zdm_copy_text(out->shard, sizeof out->shard, v->m->shards[w->example - 1].name);
            return true;
        }
        if (last < v->m->wave_reached_ms[next - 1][wave])
            last = v->m->wave_reached_ms[next - 1][wave];
    }
    out->until_ms = last + v->m->plan->wave_soak_ms;
    if (last == 0 || out->until_ms <= v->now_ms) {
        out->until_ms = 0;
        out->wave = 0;
        return false;
    }
    out->hold = COORD_HOLD_SOAK;
    return true;
}

static enum coord_hold held_at_large(const struct survey *v)
{
    if (v->state->fenced)
        return COORD_HOLD_FENCED;
    if (v->state->frozen)
        return COORD_HOLD_FROZEN;
    return v->m->mode == COORD_HALTED ? COORD_HOLD_HALTED : COORD_HOLD_NONE;
}

/* Why may a ready shard not enter at + 1? */
static void judge_ready(struct survey *v, const struct coord_shard *s, struct coord_release *out)
{
    const struct zdm_phase *phase = zdm_plan_phase(v->m->plan, s->at + 1);
    if (phase == NULL)
        return;
    out->phase = phase->number;
    out->hold = held_at_large(v);
    if (out->hold != COORD_HOLD_NONE || held_by_gate(v->m, phase->number, out))
        return;
    if (phase->number > s->opened) {
        out->hold = COORD_HOLD_ADVANCE;
        return;
    }
    if (held_by_barrier(v, phase->number, out) || held_by_approvals(v, s, out))
        return;
    if (zdm_id_is_zero(&out->actor))
        out->hold = COORD_HOLD_NO_AGENT;
    else if (!held_by_wave(v, s, out) && v->m->plan->max_parallel > 0 && v->moving >= v->m->plan->max_parallel) {
        out->hold = COORD_HOLD_PARALLEL;
        out->count = v->moving;
        out->of = v->m->plan->max_parallel;
    }
    v->moving += out->hold == COORD_HOLD_NONE;
}

static void judge(struct survey *v, const struct coord_shard *s, struct coord_release *out)
{
    if (v->m->mode == COORD_ENDED || s->status == COORD_DONE)
        return;
    if (s->status == COORD_READY) {
        judge_ready(v, s, out);
        if (out->hold != COORD_HOLD_NONE)
            memset(&out->actor, 0, sizeof out->actor);
        return;
    }
    if (s->status == COORD_MOVING || s->status == COORD_UNDOING)
        out->phase = s->status == COORD_MOVING ? s->goal : 0;
    else
        out->hold = COORD_HOLD_STATUS;
    out->rolled_back = coord_was_rolled_back(s);
}

int64_t coord_releasable(const struct coord_state *state, const struct coord_view *view,
                         const struct coord_migration *migration, int64_t now_ms, struct coord_release *out)
{
    struct survey v = {.state = state, .view = view, .m = migration, .now_ms = now_ms};
    int64_t next = INT64_MAX;
    look_around(&v, out);
    for (size_t i = 0; i < migration->n_shards; i++) {
        judge(&v, &migration->shards[i], &out[i]);
        if (out[i].hold == COORD_HOLD_SOAK)
            next = earlier(next, out[i].until_ms);
        else if (out[i].hold == COORD_HOLD_WAVE || out[i].hold == COORD_HOLD_PARALLEL)
            next = earlier(next, v.presence_until_ms);
    }
    return next;
}

int64_t coord_next_tick(const struct coord_state *state, const struct coord_view *view, int64_t now_ms)
{
    enum { LATER_MS = 1000 }; /* without memory: ask again */
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < state->n_migrations && !state->fenced; i++) {
        const struct coord_migration *m = state->migrations[i];
        if (m->mode == COORD_ENDED || m->n_shards == 0)
            continue;
        struct coord_release *releases = malloc(m->n_shards * sizeof *releases);
        if (releases == NULL)
            return now_ms + LATER_MS;
        next = earlier(next, coord_releasable(state, view, m, now_ms, releases));
        for (size_t s = 0; s < m->n_shards && next > now_ms; s++)
            if (!zdm_id_is_zero(&releases[s].actor))
                next = now_ms;
        free(releases);
    }
    return next;
}
