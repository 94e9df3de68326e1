/*
 * fleet.c - which migration and which shards are meant. See fleet.h.
 */
#include "coordinator/ctl/client/fleet.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/plan/engines.h"
#include "coordinator/ctl/text/json.h"

static void take(struct ctl_target *out, const json_t *migration)
{
    zdm_copy_text(out->migration, sizeof out->migration, ctl_json_text(migration, "id"));
    out->phase = ctl_json_int(migration, "phase", 0);
    out->generation = (uint64_t)ctl_json_int(migration, "generation", 0);
}

static enum zdm_code find_named(const json_t *migrations, const char *named, struct ctl_target *out,
                                struct zdm_error *err)
{
    const json_t *migration, *found = NULL;
    size_t index;
    json_array_foreach(migrations, index, migration)
    {
        bool ended = strcmp(ctl_json_text(migration, "mode"), "ended") == 0;
        if (strcmp(ctl_json_text(migration, "id"), named) == 0 && (found == NULL || !ended))
            found = migration;
    }
    if (found == NULL) {
        zdm_error_set(err, ZDM_NOT_FOUND, "there is no migration \"%s\"", named);
        return zdm_error_hint(err, "zdmctl history says what was submitted.");
    }
    take(out, found);
    return ZDM_OK;
}

static enum zdm_code find_active(const json_t *migrations, struct ctl_target *out, struct zdm_error *err)
{
    const json_t *migration;
    struct zdm_buffer names = ZDM_BUFFER_INIT;
    size_t index, n = 0;
    enum zdm_code code = ZDM_OK;
    json_array_foreach(migrations, index, migration)
    {
        if (strcmp(ctl_json_text(migration, "mode"), "ended") == 0)
            continue;
        take(out, migration);
        zdm_buffer_printf(&names, "%s%s", n > 0 ? ", " : "", out->migration);
        n++;
    }
    if (n == 0) {
        zdm_error_set(err, ZDM_NOT_FOUND, "no migration is active");
        code =
            json_array_size(migrations) == 0
                ? zdm_error_hint(err, "Submit one first: zdmctl submit RUNBOOK.")
                : zdm_error_hint(err, "All have ended. Submit one, or name the one that is meant; zdmctl history says "
                                      "which there were.");
    } else if (n > 1) {
        zdm_error_set(err, ZDM_INVALID, "%zu migrations are active: %.400s", n, zdm_buffer_text(&names));
        code = zdm_error_hint(err, "Write which one is meant, right behind the command.");
    }
    zdm_buffer_fini(&names);
    return code;
}

enum zdm_code ctl_target_find(const json_t *fleet, const char *named, struct ctl_target *out, struct zdm_error *err)
{
    const json_t *migrations = json_object_get(fleet, "migrations");
    struct ctl_target found = {.phase = 0};
    enum zdm_code code =
        named != NULL ? find_named(migrations, named, &found, err) : find_active(migrations, &found, err);
    if (code == ZDM_OK)
        *out = found;
    return code;
}

enum zdm_code ctl_phase_find(const json_t *status, const char *text, uint32_t *out, struct zdm_error *err)
{
    const json_t *phases = json_object_get(status, "phases"), *phase;
    size_t index, found = 0;
    json_array_foreach(phases, index, phase)
    {
        char number[24];
        snprintf(number, sizeof number, "%" PRId64, ctl_json_int(phase, "number", 0));
        if (strcmp(number, text) == 0 || strcasecmp(ctl_json_text(phase, "title"), text) == 0) {
            *out = (uint32_t)ctl_json_int(phase, "number", 0);
            found++;
        }
    }
    if (found == 1)
        return ZDM_OK;
    zdm_error_set(err, ZDM_INVALID, found == 0 ? "the migration has no phase \"%s\"" : "\"%s\" names several phases",
                  text);
    return zdm_error_hint(err, "Write the number or the title of a phase; zdmctl status shows them.");
}

static const json_t *labels_of(const json_t *fleet, const char *shard)
{
    const json_t *shards = json_object_get(fleet, "shards"), *row;
    size_t index;
    json_array_foreach(shards, index,
                       row) if (strcmp(ctl_json_text(row, "shard"), shard) == 0) return json_object_get(row, "labels");
    return NULL;
}

static bool matches(const char *selector, const char *shard, const json_t *of_shard)
{
    ZDM_CLEANUP(zdm_freep) struct zdm_labels *labels = calloc(1, sizeof *labels);
    json_t *json = (json_t *)(uintptr_t)of_shard, *value;
    const char *key;
    if (labels == NULL)
        return false;
    json_object_foreach(json, key, value)
    {
        struct zdm_label *label = &labels->items[labels->n];
        if (labels->n == ZDM_LABELS_MAX || !json_is_string(value))
            continue;
        zdm_copy_text(label->key, sizeof label->key, key);
        zdm_copy_text(label->value, sizeof label->value, json_string_value(value));
        labels->n++;
    }
    return zdm_selector_matches(selector, shard, labels);
}

enum zdm_code ctl_fleet_fits(const json_t *fleet, const struct zdm_plan *plan, struct zdm_error *err)
{
    const json_t *shards = json_object_get(fleet, "shards"), *row;
    struct zdm_unfit unfit = {.n = 0};
    size_t index;
    json_array_foreach(shards, index, row)
    {
        const char *shard = ctl_json_text(row, "shard");
        if (matches(plan->selector, shard, json_object_get(row, "labels")))
            zdm_unfit_add(&unfit, plan, zdm_engine_named(ctl_json_text(row, "engine")), shard);
    }
    return zdm_unfit_judge(&unfit, plan, err);
}

bool ctl_selection_has(const struct zdm_selection *selection, const char *shard, const json_t *fleet)
{
    if (selection->all)
        return true;
    for (size_t i = 0; i < selection->n_names; i++)
        if (strcmp(selection->names[i], shard) == 0)
            return true;
    return selection->selector != NULL && matches(selection->selector, shard, labels_of(fleet, shard));
}

enum zdm_code ctl_selection_check(const struct zdm_selection *selection, const json_t *shards, struct zdm_error *err)
{
    for (size_t i = 0; i < selection->n_names; i++) {
        const json_t *shard;
        size_t index;
        bool found = false;
        json_array_foreach(shards, index, shard) found = found || ctl_json_is(shard, "shard", selection->names[i]);
        if (!found) {
            zdm_error_set(err, ZDM_NOT_FOUND, "the migration has no shard \"%s\"", selection->names[i]);
            return zdm_error_hint(err, "zdmctl status --all lists its shards.");
        }
    }
    return ZDM_OK;
}
