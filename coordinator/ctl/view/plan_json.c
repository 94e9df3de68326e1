/*
 * plan_json.c - a compiled runbook as JSON (docs/JSON.md). See plan_view.h.
 */
#include <jansson.h>
#include <stdlib.h>

#include "coordinator/ctl/view/plan_view.h"
#include "coordinator/ctl/text/step_text.h"

static json_t *step_json(const struct zdm_step *step, const struct zdm_step_notes *note)
{
    struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ctl_step_sql(&sql, step);
    json_t *statements = json_array();
    if (sql.len > 0)
        json_array_append_new(statements, json_string(zdm_buffer_text(&sql)));
    zdm_buffer_fini(&sql);
    json_t *inverse = json_pack("{s:s, s:b, s:s?}", "kind", zdm_inverse_name(step->inverse), "exact",
                                (int)step->exact_inverse, "sql", step->inverse_sql);
    enum zdm_table_lock lock = zdm_step_table_lock(step);
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:i, s:i, s:b, s:s, s:s, s:o}", "id", step->id, "kind",
                     zdm_step_kind_name(step->kind), "action", zdm_action_name(step->action), "engine",
                     zdm_engine_name(step->engine), "sql", statements, "lock", note->lock, "table_lock",
                     lock == ZDM_TABLE_LOCK_NONE ? "none" : zdm_table_lock_name(lock), "lock_class",
                     zdm_lock_class_name(step->lock), "line", (int)note->line, "column", (int)note->column, "rewritten",
                     (int)note->rewritten, "source", note->source, "does", note->does, "inverse", inverse);
}

static json_t *phase_json(const struct zdm_phase *phase, const struct zdm_notes *notes)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < phase->n_steps; i++)
        json_array_append_new(steps, step_json(&phase->steps[i], ctl_notes_of(notes, &phase->steps[i])));
    return json_pack("{s:i, s:s, s:s, s:b, s:i, s:o}", "number", (int)phase->number, "title",
                     ctl_title_of(notes, phase), "class", zdm_phase_class_name(phase->class), "destructive",
                     (int)phase->destructive, "approvals", (int)phase->approvals, "steps", steps);
}

static json_t *engines_json(const struct zdm_plan *plan)
{
    json_t *engines = json_array();
    for (unsigned bit = ZDM_ENGINE_POSTGRESQL; plan != NULL && bit <= ZDM_ENGINE_MYSQL; bit *= 2)
        if (zdm_plan_is_for(plan, (enum zdm_engine)bit))
            json_array_append_new(engines, json_string(zdm_engine_name((enum zdm_engine)bit)));
    return engines;
}

static json_t *finding_json(const struct zdm_finding *finding)
{
    const char *engine = finding->engine == ZDM_ENGINE_ANY ? NULL : zdm_engine_name(finding->engine);
    return json_pack("{s:s, s:s, s:i, s:i, s:s, s:s, s:s?}", "level", zdm_level_name(finding->level), "rule",
                     finding->rule, "line", (int)finding->line, "column", (int)finding->column, "message",
                     finding->message, "hint", finding->hint, "engine", engine);
}

void ctl_plan_json(struct zdm_buffer *out, const struct zdm_plan *plan, const struct zdm_notes *notes)
{
    char hash[ZDM_HASH_HEX_SIZE] = "";
    json_t *phases = json_array(), *findings = json_array();
    for (size_t i = 0; plan != NULL && i < plan->n_phases; i++)
        json_array_append_new(phases, phase_json(&plan->phases[i], notes));
    for (size_t i = 0; i < notes->n_findings; i++)
        json_array_append_new(findings, finding_json(&notes->findings[i]));
    if (plan != NULL)
        zdm_hex(hash, plan->hash.bytes, sizeof plan->hash.bytes);
    json_t *root = json_pack("{s:s?, s:s?, s:s, s:s, s:o, s:o, s:o}", "id", plan != NULL ? plan->id : NULL, "hash",
                             plan != NULL ? hash : NULL, "file", notes->file, "title", notes->title, "phases", phases,
                             "findings", findings, "engines", engines_json(plan));
    char *text = root == NULL ? NULL : json_dumps(root, JSON_INDENT(2));
    if (text == NULL)
        out->failed = true;
    else
        zdm_buffer_puts(out, text);
    zdm_buffer_puts(out, "\n");
    free(text);
    json_decref(root);
}
