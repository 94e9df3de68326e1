/*
 * way_back.c - a rollback before it is signed. See way_back.h.
 */
#include "coordinator/ctl/model/way_back.h"

#include <stdlib.h>
#include <string.h>

enum { SENTENCE = 512 };

/* ---- How far ---- */

static uint32_t farthest(const struct ctl_places *places)
{
    uint32_t entered = 0;
    for (size_t i = 0; i < places->n; i++)
        if (!places->items[i].excluded && places->items[i].entered > entered)
            entered = places->items[i].entered;
    return entered;
}

/* The lowest switch phase in (above, up_to], 0 for none. */
static uint32_t lowest_switch(const struct zdm_plan *plan, uint32_t above, uint32_t up_to)
{
    for (size_t i = 0; i < plan->n_phases; i++)
        if (plan->phases[i].class == ZDM_PHASE_SWITCH && plan->phases[i].number > above &&
            plan->phases[i].number <= up_to)
            return plan->phases[i].number;
    return 0;
}

/* The shards that were chosen, as options: to be typed again. */
static void chosen_text(char *out, size_t size, const struct ctl_places *places)
{
    enum { NAMED = 4 };
    size_t used = 0;
    snprintf(out, size, places->all ? "--all-shards" : "-l SELECTOR");
    for (size_t i = 0; !places->all && places->n <= NAMED && i < places->n && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s--shard %s", i == 0 ? "" : " ", places->items[i].shard);
}

static enum zdm_code refuse_barrier(const struct ctl_way *way, const char *shard, struct zdm_error *err)
{
    char chosen[SENTENCE];
    chosen_text(chosen, sizeof chosen, way->places);
    const char *flag = ctl_way_flag(way->plan, way->crossed), *id = way->plan->id;
    zdm_error_set(err, ZDM_REFUSED, "shard %s is beyond phase %u, whose flag %s%smay be on: it goes back in two legs",
                  shard, way->crossed, flag, flag[0] != '\0' ? " " : "");
    zdm_error_detail(err, "New code needs what the shard would lose. First the old columns come back, then the flag is "
                          "turned off, then the rest is undone.");
    return zdm_error_hint(err,
                          "An operator says \"zdmctl rollback %s %s --to %u\", turns the flag off everywhere, and "
                          "then says \"zdmctl rollback %s %s --to %u --flag-off\".",
                          id, chosen, way->crossed, id, chosen, way->to_phase);
}

/* Of the phases that are proven every step is done: there it is certain. */
static bool would_repeat(const struct ctl_way *way, const struct ctl_place *place, struct zdm_undo_repeat *out)
{
    return zdm_plan_undo_repeats(way->plan, place->engine, way->to_phase,
                                 zdm_plan_first_after(way->plan, place->at) - 1, out);
}

static enum zdm_code refuse_repeat(const struct ctl_way *way, const char *shard, const struct zdm_undo_repeat *repeat,
                                   struct zdm_error *err)
{
    char chosen[SENTENCE], text[SENTENCE];
    chosen_text(chosen, sizeof chosen, way->places);
    zdm_undo_repeat_text(text, sizeof text, repeat);
    zdm_error_set(err, ZDM_REFUSED, "%s", text);
    zdm_error_detail(err,
                     "So it is on shard %s: a column that an earlier phase added was filled since, goes back with "
                     "what filled it, and is added anew; what lies between would be worked again.",
                     shard);
    return zdm_error_hint(err, "An operator says \"zdmctl rollback %s %s --to %u\".", way->plan->id, chosen,
                          repeat->below);
}

/* Inside a phase only its agent knows what it has begun, and may say no. */
static void find_doubt(struct ctl_way *way)
{
    for (size_t i = 0; i < way->places->n && way->in_doubt == NULL; i++) {
        const struct ctl_place *place = &way->places->items[i];
        if (!place->excluded && place->entered > way->to_phase &&
            zdm_plan_undo_repeats(way->plan, place->engine, way->to_phase, place->next_step, &way->repeat))
            way->in_doubt = place->shard;
    }
}

static enum zdm_code check_places(const struct ctl_way *way, struct zdm_error *err)
{
    struct zdm_undo_repeat repeat;
    bool any = false;
    for (size_t i = 0; i < way->places->n; i++) {
        const struct ctl_place *place = &way->places->items[i];
        const struct zdm_step *purged = zdm_plan_purged(way->plan, place->engine, way->to_phase, place->next_step);
        if (place->excluded)
            continue;
        any = any || place->entered > way->to_phase;
        if (way->crossed != 0 && place->entered > way->crossed)
            return refuse_barrier(way, place->shard, err);
        if (purged != NULL) {
            zdm_error_set(err, ZDM_REFUSED, "shard %s cannot go back: step %s has dropped what it would need",
                          place->shard, purged->id);
            return zdm_error_hint(err, "What is purged is gone. Restore it from a backup, or write a new migration.");
        }
        if (place->entered > way->to_phase && would_repeat(way, place, &repeat))
            return refuse_repeat(way, place->shard, &repeat, err);
    }
    if (any)
        return ZDM_OK;
    char where[32] = "the start";
    if (way->to_phase > 0)
        snprintf(where, sizeof where, "phase %u", way->to_phase);
    zdm_error_set(err, ZDM_INVALID, "there is nothing to take back: no chosen shard is beyond %s", where);
    return zdm_error_hint(err,
                          "zdmctl status says where they are; --to PHASE says how far back to go, 0 is the start.");
}

enum zdm_code ctl_way_find(const struct zdm_plan *plan, const struct ctl_places *places, uint32_t opened, int64_t to,
                           struct ctl_way *out, struct zdm_error *err)
{
    struct ctl_way way = {.plan = plan, .places = places, .entered = farthest(places), .chosen = "--all-shards"};
    uint32_t beyond = way.entered > 0 ? zdm_plan_switch_between(plan, 0, way.entered - 1) : 0;
    way.to_phase = to >= 0 ? (uint32_t)to : beyond;
    way.gate = way.to_phase == beyond ? beyond : 0;
    way.crossed = lowest_switch(plan, way.to_phase, opened > way.entered ? opened : way.entered);
    enum zdm_code code = check_places(&way, err);
    if (code != ZDM_OK)
        return code;
    for (size_t i = 0; i < places->n && !way.loses; i++)
        if (!places->items[i].excluded)
            way.loses = zdm_plan_undo_loses(plan, places->items[i].engine, way.to_phase, places->items[i].entered,
                                            places->items[i].switched, &way.loses_step);
    find_doubt(&way);
    *out = way;
    return ZDM_OK;
}

const char *ctl_way_flag(const struct zdm_plan *plan, uint32_t phase)
{
    const struct zdm_phase *p = phase == 0 ? NULL : zdm_plan_phase(plan, phase);
    for (size_t i = 0; p != NULL && i < p->n_steps; i++)
        if (p->steps[i].action == ZDM_ACTION_GATE_FLAG && p->steps[i].flag != NULL)
            return p->steps[i].flag->key;
    return "";
}
