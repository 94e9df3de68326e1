/*
 * story_shards.c - what became of shards, as sentences. See story_parts.h.
 */
#include "coordinator/app/story_parts.h"

#include <inttypes.h>
#include <string.h>

static const char *step_name(const struct coord_migration *migration, uint32_t ordinal)
{
    const struct zdm_step *step = migration != NULL ? zdm_plan_step(migration->plan, ordinal) : NULL;
    return step != NULL ? step->id : "?";
}

/* ---- Told what to do ---- */

/* Does this event follow from a person's request? Then the request, right before it, has told the reason. */
static bool follows_a_request(const struct telling_of *t)
{
    enum { BEHIND = 4 }; /* a request's events stand right behind it */
    const struct coord_state *state = t->d->state;
    for (size_t i = state->n_requests; i > 0; i--) {
        const struct coord_request_mark *mark = &state->requests[i - 1];
        if (mark->seq < t->event->seq)
            return t->event->seq - mark->seq <= BEHIND;
    }
    return false;
}

static void put_undo(const struct telling_of *t)
{
    if (!t->event->u.directed.set_goal) {
        put_words(t, t->event->u.directed.next_attempt ? " told to try the rollback again"
                                                       : " told to go on with the rollback");
        return;
    }
    put_words(t, " sent back to ");
    if (t->event->u.directed.goal != 0)
        put_words(t, "the end of ");
    put_phase(t, t->event->u.directed.goal);
}

/* What the orders that the coordinator gives by itself mean; of others the reason is a person's. */
static const struct {
    const char *why, *words;
} own_orders[] = {
    {"rolled back as far as ordered", " left there, paused"},
    {"excluded", " told to stop"},
    {"regressed", " told to stop until somebody has looked"},
    {"unsure", " told to stop until somebody has looked"},
    {"two primaries", " told to stop until one primary is left"},
    {"proven", " told to go on from there"},
    {"purged", " told to go on as before"},
};

static const char *own_order(const struct telling_of *t)
{
    if (t->event->u.directed.mode == ZDM_MODE_RUN && strcmp(t->event->u.directed.why, "regressed") == 0)
        return " sent forward again";
    for (size_t i = 0; i < sizeof own_orders / sizeof *own_orders; i++)
        if (strcmp(t->event->u.directed.why, own_orders[i].why) == 0)
            return own_orders[i].words;
    return NULL;
}

static void put_order(const struct telling_of *t)
{
    switch (t->event->u.directed.mode) {
    case ZDM_MODE_PAUSE:
        put_words(t, " told to pause");
        break;
    case ZDM_MODE_UNDO:
        put_undo(t);
        break;
    case ZDM_MODE_PURGE:
        put_words(t, " told to drop what rollbacks left hidden");
        break;
    case ZDM_MODE_RUN:
        put_words(t, t->event->u.directed.next_attempt ? " told to try again" : " told to go on");
        break;
    }
}

void tell_directed(const struct telling_of *t)
{
    const char *why = t->event->u.directed.why, *own = own_order(t);
    bool moves = t->event->u.directed.set_actor && t->event->u.directed.keep_status &&
                 t->event->u.directed.mode != ZDM_MODE_PURGE;
    story_shard_bits(t, t->event->u.directed.shards, t->event->u.directed.n_bytes, t->event->u.directed.first);
    if (moves) {
        put_agent(t, &t->event->u.directed.actor);
        put_words(t, " acts from now on");
        put_because(t, why);
        return;
    }
    put_story_shards(t);
    if (own != NULL) {
        put_words(t, "%s", own);
    } else if (strcmp(why, "released") == 0) {
        put_words(t, " released into ");
        put_phase(t, t->event->u.directed.goal);
    } else {
        put_order(t);
        if (!follows_a_request(t))
            put_because(t, why);
    }
}

/* ---- What they did ---- */

void tell_reached(const struct telling_of *t)
{
    story_shard_index(t, t->event->u.reached.shard);
    put_story_shards(t);
    if (t->event->type == COORD_EVENT_SHARD_PURGED) {
        put_words(t, " dropped what rollbacks had left hidden");
        return;
    }
    if (t->event->type == COORD_EVENT_SHARD_REACHED)
        put_words(t, " finished ");
    else
        put_words(t, t->event->u.reached.phase == 0 ? " is back at " : " is back at the end of ");
    put_phase(t, t->event->u.reached.phase);
    put_because(t, t->event->u.reached.remark);
}

void tell_failed(const struct telling_of *t)
{
    story_shard_index(t, t->event->u.failed.shard);
    put_story_shards(t);
    put_words(t, " failed at step %s", step_name(t->m, t->event->u.failed.step));
    if (t->event->u.failed.back)
        put_words(t, " on the way back");
    put_because(t, t->event->u.failed.text);
}

void tell_regressed(const struct telling_of *t)
{
    story_shard_index(t, t->event->u.regressed.shard);
    put_story_shards(t);
    put_words(t, " fell from phase %" PRIu32 " to phase %" PRIu32, t->event->u.regressed.from,
              t->event->u.regressed.to);
    put_because(t, t->event->u.regressed.cause);
}

void tell_unsure(const struct telling_of *t)
{
    story_shard_index(t, t->event->u.unsure.shard);
    put_story_shards(t);
    if (t->event->type == COORD_EVENT_SHARD_UNSURE) {
        put_words(t, " is unsure");
    } else {
        put_words(t, " is sure again: ");
        put_phase(t, t->event->u.unsure.at);
        put_words(t, " is proven");
    }
    put_because(t, t->event->u.unsure.text);
}

void tell_excluded(const struct telling_of *t)
{
    const char *verb = t->event->type == COORD_EVENT_SHARD_EXCLUDED ? "excluded" : "included";
    story_by(t->out, t->event->u.excluded.by);
    story_shard_index(t, t->event->u.excluded.shard);
    put_words(t, "%s %s ", t->event->u.excluded.by, verb);
    put_story_shards(t);
    put_quoted(t, strcmp(t->event->u.excluded.reason, "include") == 0 ? "" : t->event->u.excluded.reason);
}
