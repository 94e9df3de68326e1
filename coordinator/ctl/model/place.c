/*
 * place.c - where the shards of a migration stand. See place.h.
 */
#include "coordinator/ctl/model/place.h"

#include <stdlib.h>
#include <string.h>

#include "common/plan/engines.h"
#include "common/plan/undo.h"
#include "coordinator/ctl/client/fleet.h"
#include "coordinator/ctl/text/json.h"

/* The ordinal of the step with that id, 0 for none. */
static uint32_t step_of(const struct zdm_plan *plan, const char *id)
{
    for (uint32_t o = 1; id[0] != '\0' && o <= zdm_plan_n_steps(plan); o++)
        if (strcmp(zdm_plan_step(plan, o)->id, id) == 0)
            return o;
    return 0;
}

static uint32_t phase_in(const json_t *object, const char *key, uint32_t none, const struct zdm_plan *plan)
{
    int64_t phase = ctl_json_int(object, key, none);
    return phase < 0 ? 0 : phase > (int64_t)zdm_plan_last_phase(plan) ? zdm_plan_last_phase(plan) : (uint32_t)phase;
}

/* Phases proven, where the coordinator does not say it outright. */
static uint32_t proven(const json_t *shard, const struct zdm_plan *plan)
{
    const json_t *desired = ctl_json_object(shard, "desired"), *observed = ctl_json_object(shard, "observed");
    uint32_t goal = phase_in(desired, "phase", 0, plan);
    if (ctl_json_is(shard, "status", "done"))
        return zdm_plan_last_phase(plan);
    if (ctl_json_is(shard, "status", "ready") || ctl_json_is(shard, "status", "undone"))
        return goal;
    if (ctl_json_is(shard, "status", "moving") || observed == NULL)
        return goal > 0 && !ctl_json_is(desired, "mode", "undo") ? goal - 1 : goal;
    return phase_in(observed, "phase", goal, plan);
}

static void read_place(struct ctl_place *out, const json_t *shard, const struct zdm_plan *plan)
{
    const json_t *desired = ctl_json_object(shard, "desired"), *observed = ctl_json_object(shard, "observed");
    uint32_t step = step_of(plan, ctl_json_text(observed, "step"));
    uint32_t goal = phase_in(desired, "phase", 0, plan);
    struct ctl_place p = {.shard = ctl_json_text(shard, "shard"), .status = ctl_json_text(shard, "status")};
    p.engine = zdm_engine_named(ctl_json_text(shard, "engine"));
    p.remark = ctl_json_text(observed, "remark");
    if (p.remark[0] == '\0' && ctl_json_true(shard, "rolled_back"))
        p.remark = ctl_json_text(shard, "remark");
    p.excluded = ctl_json_is(shard, "status", "excluded");
    p.at = phase_in(shard, "entered", proven(shard, plan), plan);
    p.entered = !ctl_json_is(desired, "mode", "undo") && goal > p.at ? goal : p.at;
    if (step > 0 && zdm_plan_phase_of(plan, step) > p.entered)
        p.entered = zdm_plan_phase_of(plan, step);
    p.switched = zdm_plan_switched(plan, phase_in(shard, "switched", 0, plan), p.entered);
    /* Inside a phase any of its steps may have been begun; what the agent said last is only as new as its report. */
    p.next_step = zdm_plan_first_after(plan, p.entered);
    if (p.entered > p.at && p.next_step > zdm_plan_first_after(plan, p.at))
        p.next_step--;
    *out = p;
}

enum zdm_code ctl_places_read(const json_t *status, const struct zdm_selection *selection, const json_t *fleet,
                              const struct zdm_plan *plan, struct ctl_places *out, struct zdm_error *err)
{
    const json_t *shards = json_object_get(status, "shards"), *shard;
    struct ctl_places places = {.all = selection->all};
    size_t index;
    enum zdm_code code = ctl_selection_check(selection, shards, err);
    if (code != ZDM_OK)
        return code;
    places.items = calloc(json_array_size(shards) + 1, sizeof *places.items);
    if (places.items == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    json_array_foreach(shards, index, shard)
    {
        if (ctl_selection_has(selection, ctl_json_text(shard, "shard"), fleet))
            read_place(&places.items[places.n++], shard, plan);
    }
    if (places.n == 0) {
        ctl_places_fini(&places);
        return zdm_error_set(err, ZDM_NOT_FOUND, "no shard of the migration is chosen by the selection");
    }
    *out = places;
    return ZDM_OK;
}

enum zdm_engine ctl_places_engine(const struct ctl_places *places)
{
    for (size_t i = 1; i < places->n; i++)
        if (places->items[i].engine != places->items[0].engine)
            return ZDM_ENGINE_ANY;
    return places->n > 0 ? places->items[0].engine : ZDM_ENGINE_ANY;
}

bool ctl_places_may_lose(const struct ctl_places *places, const struct zdm_plan *plan, uint32_t to_phase,
                         const struct zdm_step **out_step)
{
    uint32_t last = zdm_plan_last_phase(plan), switched = zdm_plan_switched(plan, 0, last);
    for (size_t i = 0; i < places->n; i++)
        if (places->items[i].switched > switched)
            switched = places->items[i].switched;
    return zdm_plan_undo_loses(plan, ctl_places_engine(places), to_phase, last, switched, out_step);
}

void ctl_places_fini(struct ctl_places *places)
{
    free(places->items);
    *places = (struct ctl_places){.n = 0};
}

void ctl_names_free(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

enum zdm_code ctl_places_names(const struct ctl_places *places, char ***out_names, size_t *out_n, struct zdm_error *err)
{
    char **names;
    size_t n = 0;
    enum zdm_code code = ZDM_OK;
    *out_names = NULL;
    *out_n = 0;
    if (places->all)
        return ZDM_OK;
    names = calloc(places->n + 1, sizeof *names);
    for (size_t i = 0; names != NULL && code == ZDM_OK && i < places->n; i++) {
        if (places->items[i].excluded)
            continue;
        names[n] = zdm_strdup(places->items[i].shard);
        if (names[n] == NULL)
            code = ZDM_NOMEM;
        else
            n++;
    }
    if (names == NULL || code != ZDM_OK)
        code = zdm_error_set(err, ZDM_NOMEM, "out of memory");
    else if (n == 0)
        code = zdm_error_set(err, ZDM_REFUSED, "every shard that is chosen is excluded");
    else if (n > ZDM_SELECTION_NAMES_MAX)
        code = zdm_error_set(err, ZDM_LIMIT, "%zu shards are chosen; what is signed names at most %d", n,
                             (int)ZDM_SELECTION_NAMES_MAX);
    if (code == ZDM_LIMIT)
        zdm_error_hint(err, "Choose --all-shards, or do it in parts: -l SELECTOR for each.");
    if (code != ZDM_OK) {
        ctl_names_free(names, n);
        return code;
    }
    *out_names = names;
    *out_n = n;
    return ZDM_OK;
}

void ctl_names_text(char *out, size_t size, const struct ctl_place *const *places, size_t n)
{
    enum { LISTED = 4 };
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    for (size_t i = 0; i < n && i < LISTED; i++)
        zdm_buffer_printf(&text, "%s%s", i == 0 ? "" : i + 1 == n ? " and " : ", ", places[i]->shard);
    if (n > LISTED)
        zdm_buffer_printf(&text, " and %zu more", n - LISTED);
    zdm_copy_text(out, size, zdm_buffer_text(&text));
    zdm_buffer_fini(&text);
}
