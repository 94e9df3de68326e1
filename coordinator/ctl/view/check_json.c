/*
 * check_json.c - what `check` found out, as JSON (docs/JSON.md): everything, nothing cut.
 */
#include <jansson.h>
#include <stdlib.h>

#include "coordinator/ctl/view/check_view.h"

static json_t *names_json(const struct ctl_fleet_survey *fleet, const struct ctl_shard_list *list)
{
    json_t *out = json_array();
    for (size_t i = 0; i < list->n; i++)
        json_array_append_new(out, json_string(fleet->shards[list->items[i]].shard));
    return out;
}

static const char *step_id(const struct ctl_check *check, uint32_t ordinal)
{
    const struct zdm_step *step = ordinal != 0 ? zdm_plan_step(check->plan, ordinal) : NULL;
    return step != NULL ? step->id : NULL;
}

static json_t *compiler_finding(const struct ctl_check *check, const struct zdm_finding *f)
{
    return json_pack("{s:s, s:s, s:s?, s:i, s:i, s:n, s:n, s:n, s:s, s:s, s:[]}", "level", zdm_level_name(f->level),
                     "rule", f->rule, "waived", ctl_waived(check->notes, f->rule), "line", (int)f->line, "column",
                     (int)f->column, "step", "other_step", "object", "message", f->message, "hint", f->hint, "shards");
}

static json_t *findings_json(const struct ctl_check *check)
{
    json_t *out = json_array();
    for (size_t i = 0; i < check->notes->n_findings; i++)
        json_array_append_new(out, compiler_finding(check, &check->notes->findings[i]));
    for (size_t i = 0; i < check->grouped->n_findings; i++) {
        const struct ctl_finding_group *group = &check->grouped->findings[i];
        const struct zdm_survey_finding *f = group->finding;
        json_array_append_new(out,
                              json_pack("{s:s, s:s, s:s?, s:n, s:n, s:s?, s:s?, s:s, s:s, s:s, s:o}", "level",
                                        zdm_level_name(f->level), "rule", f->rule, "waived", group->waived, "line",
                                        "column", "step", step_id(check, f->step), "other_step",
                                        step_id(check, group->other_step), "object", f->object, "message", f->message,
                                        "hint", f->hint, "shards", names_json(check->fleet, &group->shards)));
    }
    return out;
}

static json_t *range_json(const struct ctl_fleet_survey *fleet,
                          int64_t (*pick)(const struct zdm_survey *, const void *), const void *what)
{
    struct ctl_range r;
    if (!ctl_range_of(fleet, pick, what, &r))
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:s}", "min", (json_int_t)r.min, "typical", (json_int_t)r.typical, "max",
                     (json_int_t)r.max, "sum", (json_int_t)r.sum, "max_shard", fleet->shards[r.max_shard].shard);
}

static json_t *lines_json(const char *text)
{
    json_t *out = json_array();
    while (*text != '\0') {
        size_t n = 0;
        while (text[n] != '\0' && text[n] != '\n')
            n++;
        json_array_append_new(out, json_stringn(text, n));
        text += n + (text[n] == '\n');
    }
    return out;
}

static json_t *group_json(const struct ctl_check *check, const struct ctl_table_groups *t, size_t i)
{
    const struct ctl_table_group *group = &t->groups[i];
    struct zdm_buffer difference = ZDM_BUFFER_INIT;
    char hash[ZDM_HASH_HEX_SIZE];
    zdm_hex(hash, group->table->fingerprint.bytes, sizeof group->table->fingerprint.bytes);
    if (i > 0 && group->table->exists && t->groups[0].table->exists)
        ctl_outline_difference(&difference, t->groups[0].table->outline, group->table->outline);
    json_t *out =
        json_pack("{s:b, s:s, s:o, s:o}", "exists", (int)group->table->exists, "fingerprint", hash, "shards",
                  names_json(check->fleet, &group->shards), "difference", lines_json(zdm_buffer_text(&difference)));
    zdm_buffer_fini(&difference);
    return out;
}

static json_t *tables_json(const struct ctl_check *check)
{
    json_t *out = json_array();
    for (size_t i = 0; i < check->grouped->n_tables; i++) {
        const struct ctl_table_groups *t = &check->grouped->tables[i];
        json_t *groups = json_array();
        for (size_t k = 0; k < t->n; k++)
            json_array_append_new(groups, group_json(check, t, k));
        json_array_append_new(out,
                              json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "schema", t->name->schema, "table",
                                        t->name->name, "rows", range_json(check->fleet, ctl_pick_rows, t->name),
                                        "bytes", range_json(check->fleet, ctl_pick_bytes, t->name), "index_bytes",
                                        range_json(check->fleet, ctl_pick_index_bytes, t->name), "groups", groups));
    }
    return out;
}

static json_t *locks_json(const struct ctl_check *check, uint32_t ordinal)
{
    json_t *out = json_object();
    for (size_t i = 0; i < check->fleet->n; i++) {
        const struct zdm_survey_step *step = ctl_survey_step(check->fleet->shards[i].survey, ordinal);
        if (step == NULL || !step->tried)
            continue;
        const char *name =
            step->observed_lock == ZDM_TABLE_LOCK_NONE ? "none" : zdm_table_lock_name(step->observed_lock);
        json_t *shards = json_object_get(out, name);
        if (shards == NULL) {
            shards = json_array();
            json_object_set_new(out, name, shards);
        }
        json_array_append_new(shards, json_string(check->fleet->shards[i].shard));
    }
    return out;
}

static json_t *steps_json(const struct ctl_check *check)
{
    json_t *out = json_array();
    for (uint32_t o = 1; o <= zdm_plan_n_steps(check->plan); o++) {
        const struct zdm_step *step = zdm_plan_step(check->plan, o);
        enum zdm_table_lock lock = zdm_step_table_lock(step);
        json_array_append_new(out,
                              json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:o}", "id", step->id, "kind",
                                        zdm_step_kind_name(step->kind), "action", zdm_action_name(step->action),
                                        "estimate_ms", range_json(check->fleet, ctl_pick_estimate, &o), "room_bytes",
                                        range_json(check->fleet, ctl_pick_room, &o), "table_lock",
                                        lock == ZDM_TABLE_LOCK_NONE ? "none" : zdm_table_lock_name(lock), "locks_seen",
                                        step->engine == ZDM_ENGINE_MYSQL ? json_object() : locks_json(check, o)));
    }
    return out;
}

static json_t *shard_json(const struct ctl_shard_survey *row)
{
    const struct zdm_survey *s = row->survey;
    if (s == NULL)
        return json_pack("{s:s, s:b, s:s?}", "shard", row->shard, "answered", 0, "why", row->why);
    json_t *disk = s->disk_free_bytes >= 0 ? json_integer(s->disk_free_bytes) : json_null();
    return json_pack("{s:s, s:b, s:n, s:s, s:s, s:s, s:i, s:i, s:o}", "shard", row->shard, "answered", 1, "why",
                     "engine", zdm_engine_name(s->engine), "server_version", s->server_version, "node", s->node,
                     "replicas", (int)s->replicas, "guarded", (int)s->guarded, "disk_free_bytes", disk);
}

void ctl_check_json(struct zdm_buffer *out, const struct ctl_check *check)
{
    char hash[ZDM_HASH_HEX_SIZE];
    json_t *shards = json_array();
    zdm_hex(hash, check->plan->hash.bytes, sizeof check->plan->hash.bytes);
    for (size_t i = 0; i < check->fleet->n; i++)
        json_array_append_new(shards, shard_json(&check->fleet->shards[i]));
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:o}", "id", check->plan->id, "hash", hash,
                  "title", check->notes->title, "errors", (int)ctl_check_count(check, ZDM_LEVEL_ERROR), "warnings",
                  (int)ctl_check_count(check, ZDM_LEVEL_WARNING), "notes", (int)ctl_check_count(check, ZDM_LEVEL_NOTE),
                  "waived", (int)ctl_check_waived(check), "findings", findings_json(check), "tables",
                  tables_json(check), "steps", steps_json(check), "shards", shards);
    char *text = root != NULL ? json_dumps(root, JSON_INDENT(2)) : NULL;
    if (text != NULL)
        zdm_buffer_printf(out, "%s\n", text);
    else
        out->failed = true;
    free(text);
    json_decref(root);
}
