/*
 * tick.c - what time and the last inputs made possible: releases, the barrier's and the waves' entries in the log, and
 * the end of a migration.
 */
#include <stdlib.h>

#include "coordinator/core/machine.h"

/* Releases in one tick: bounds what one commit holds. The others follow in the next, which coord_next_tick asks for at
 * once. */
enum { RELEASES_PER_TICK = 1024 };

static void note_barrier(struct coord_output *out, const struct coord_migration *m, uint32_t phase, uint32_t *noted)
{
    enum zdm_phase_class class = zdm_plan_phase(m->plan, phase)->class;
    if (phase <= *noted || (class != ZDM_PHASE_SWITCH && class != ZDM_PHASE_CONTRACT))
        return;
    *noted = phase;
    struct coord_event *event = coord_emit(out, COORD_EVENT_BARRIER_OPENED, m->id);
    if (event != NULL)
        event->u.barrier_opened.phase = phase;
}

static void note_wave(struct coord_output *out, const struct coord_migration *m, uint32_t phase, uint32_t wave,
                      uint32_t noted[ZDM_PHASES_MAX])
{
    if (wave <= m->wave_of[phase - 1] || wave <= noted[phase - 1])
        return;
    noted[phase - 1] = wave;
    struct coord_event *event = coord_emit(out, COORD_EVENT_WAVE_OPENED, m->id);
    if (event == NULL)
        return;
    event->u.wave_opened.phase = phase;
    event->u.wave_opened.wave = wave;
}

static void release(const struct coord_state *state, const struct coord_view *view, const struct coord_migration *m,
                    int64_t now_ms, const struct coord_release *releases, struct coord_output *out)
{
    uint32_t noted_waves[ZDM_PHASES_MAX] = {0}, noted_barrier = m->barrier_phase;
    struct coord_case c = {.state = state, .view = view, .out = out, .now_ms = now_ms, .m = m, .on = COORD_ON_RELEASE};
    unsigned released = 0;
    c.merge_from = (long)out->n_events;
    for (uint32_t i = 0; i < m->n_shards && released < RELEASES_PER_TICK; i++) {
        if (zdm_id_is_zero(&releases[i].actor))
            continue;
        c.index = i;
        c.s = &m->shards[i];
        c.agent = releases[i].actor;
        c.phase = releases[i].phase;
        note_barrier(out, m, c.phase, &noted_barrier);
        note_wave(out, m, c.phase, c.s->wave, noted_waves);
        coord_case_run(&c);
        released++;
    }
}

/* Every shard that is not excluded is there, and there is one. */
static bool all_are(const struct coord_migration *m, enum coord_status status)
{
    size_t there = 0;
    for (size_t i = 0; i < m->n_shards; i++) {
        if (m->shards[i].status == COORD_EXCLUDED)
            continue;
        if (m->shards[i].status != status)
            return false;
        there++;
    }
    return there > 0;
}

static bool end(const struct coord_migration *m, struct coord_output *out)
{
    enum coord_end outcome = all_are(m, COORD_DONE) ? COORD_END_DONE : all_are(m, COORD_UNDONE) ? COORD_END_UNDONE : 0;
    if (outcome == 0)
        return false;
    struct coord_event *event = coord_emit(out, COORD_EVENT_MIGRATION_ENDED, m->id);
    if (event != NULL)
        event->u.ended.outcome = outcome;
    return true;
}

void coord_decide_tick(const struct coord_state *state, const struct coord_view *view, int64_t now_ms,
                       struct coord_output *out)
{
    for (size_t i = 0; i < state->n_migrations && !state->fenced; i++) {
        const struct coord_migration *m = state->migrations[i];
        size_t before = out->n_events;
        if (m->mode == COORD_ENDED || m->n_shards == 0)
            continue;
        if (!end(m, out)) {
            struct coord_release *releases = malloc(m->n_shards * sizeof *releases);
            if (releases == NULL) {
                out->failed = true;
                return;
            }
            coord_releasable(state, view, m, now_ms, releases);
            release(state, view, m, now_ms, releases, out);
            free(releases);
        }
        if (out->n_events > before)
            coord_notify(out, m->id);
    }
}
