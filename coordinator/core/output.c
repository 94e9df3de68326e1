/*
 * output.c - what a decision writes down: events and effects. Owns both arrays; see coord_output in core.h.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "coordinator/core/machine.h"

void coord_output_init(struct coord_output *out)
{
    *out = (struct coord_output){.events = NULL};
}

void coord_output_fini(struct coord_output *out)
{
    if (out == NULL)
        return;
    for (size_t i = 0; i < out->n_events; i++)
        coord_event_fini(&out->events[i]);
    free(out->events);
    free(out->effects);
    coord_output_init(out);
}

struct coord_event *coord_emit(struct coord_output *out, enum coord_event_type type, const char *migration)
{
    if (!ZDM_RESERVE(out->events, out->cap_events, out->n_events + 1)) {
        out->failed = true;
        return NULL;
    }
    struct coord_event *event = &out->events[out->n_events++];
    memset(event, 0, sizeof *event);
    event->type = type;
    zdm_copy_text(event->migration, sizeof event->migration, migration);
    return event;
}

struct coord_effect *coord_effect(struct coord_output *out, enum coord_effect_kind kind, const char *migration)
{
    if (!ZDM_RESERVE(out->effects, out->cap_effects, out->n_effects + 1)) {
        out->failed = true;
        return NULL;
    }
    struct coord_effect *effect = &out->effects[out->n_effects++];
    memset(effect, 0, sizeof *effect);
    effect->kind = kind;
    zdm_copy_text(effect->migration, sizeof effect->migration, migration);
    return effect;
}

void coord_send_directive(struct coord_output *out, const struct coord_migration *m, uint32_t shard,
                          const struct zdm_id *agent)
{
    struct coord_effect *effect = coord_effect(out, COORD_DO_SEND_DIRECTIVE, m->id);
    if (effect == NULL)
        return;
    effect->shard = shard;
    if (agent != NULL)
        effect->agent = *agent;
}

void coord_notify(struct coord_output *out, const char *migration)
{
    for (size_t i = out->n_effects; i > 0; i--)
        if (out->effects[i - 1].kind == COORD_DO_NOTIFY && strcmp(out->effects[i - 1].migration, migration) == 0)
            return;
    coord_effect(out, COORD_DO_NOTIFY, migration);
}

bool coord_bits_add(uint8_t **bytes, size_t *n_bytes, uint32_t *first, uint32_t i)
{
    uint32_t from = *n_bytes == 0 || i < *first ? i / 8 * 8 : *first;
    size_t shift = *n_bytes == 0 ? 0 : (*first - from) / 8;
    size_t end = (i - from) / 8 + 1;
    if (end < *n_bytes + shift)
        end = *n_bytes + shift;
    if (end > *n_bytes) {
        uint8_t *bigger = realloc(*bytes, end);
        if (bigger == NULL)
            return false;
        memmove(bigger + shift, bigger, *n_bytes);
        memset(bigger, 0, shift);
        memset(bigger + shift + *n_bytes, 0, end - shift - *n_bytes);
        *bytes = bigger;
        *n_bytes = end;
        *first = from;
    }
    (*bytes)[(i - from) / 8] = (uint8_t)((*bytes)[(i - from) / 8] | 1U << ((i - from) % 8));
    return true;
}

static bool says_the_same(const struct coord_event *event, const struct coord_migration *m,
                          const struct coord_direction *d)
{
    return event->type == COORD_EVENT_SHARDS_DIRECTED && strcmp(event->migration, m->id) == 0 &&
           event->u.directed.mode == d->mode && event->u.directed.set_goal == d->set_goal &&
           event->u.directed.goal == d->goal && event->u.directed.set_actor == d->set_actor &&
           event->u.directed.next_attempt == d->next_attempt && event->u.directed.keep_status == d->keep_status &&
           zdm_id_equal(&event->u.directed.actor, &d->actor) &&
           (event->u.directed.undo_order.len > 0) == (d->undo_order != NULL);
}

static struct coord_event *new_direction(struct coord_output *out, const struct coord_migration *m,
                                         const struct coord_direction *d)
{
    struct coord_event *event = coord_emit(out, COORD_EVENT_SHARDS_DIRECTED, m->id);
    if (event == NULL)
        return NULL;
    event->u.directed.mode = d->mode;
    event->u.directed.set_goal = d->set_goal;
    event->u.directed.goal = d->goal;
    event->u.directed.set_actor = d->set_actor;
    event->u.directed.actor = d->actor;
    event->u.directed.next_attempt = d->next_attempt;
    event->u.directed.keep_status = d->keep_status;
    zdm_copy_text(event->u.directed.why, sizeof event->u.directed.why, d->why != NULL ? d->why : "");
    event->u.directed.undo_nonce = d->undo_nonce;
    if (d->undo_order != NULL && !zdm_envelope_copy(&event->u.directed.undo_order, d->undo_order))
        out->failed = true;
    return event;
}

void coord_direct(struct coord_output *out, long merge_from, const struct coord_migration *m, uint32_t shard,
                  const struct coord_direction *direction)
{
    struct coord_event *event = NULL;
    /* A new actor is one shard's own: looking for company would only cost time. */
    if (merge_from >= 0 && !direction->set_actor)
        for (size_t i = (size_t)merge_from; i < out->n_events && event == NULL; i++)
            if (says_the_same(&out->events[i], m, direction))
                event = &out->events[i];
    if (event == NULL)
        event = new_direction(out, m, direction);
    if (event == NULL ||
        !coord_bits_add(&event->u.directed.shards, &event->u.directed.n_bytes, &event->u.directed.first, shard)) {
        out->failed = true;
        return;
    }
    coord_send_directive(out, m, shard, NULL);
}
