/*
 * plan_view.c - the plan beside the runbook: each statement as written, and under it the steps that it becomes.
 *
 * Steps of one statement stand together under it, so that a rewrite is seen as one; a star marks a step that is done
 * otherwise than written. Nothing is left out that decides whether somebody dares to run it: lock, undo, approvals.
 */
#include "coordinator/ctl/plan_view.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { STEP_COLUMN = 4, KIND_WIDTH = 9, LABEL_WIDTH = 6 };

/* ---- what a step runs and how it is undone ---- */

/* Out of sight, and back: what that means for each kind of thing. */
struct sight_row {
    enum zdm_action action;
    const char *text;
};

static const char *sight_text(const struct sight_row *rows, size_t n, const struct zdm_step *step,
                              const char *otherwise)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].action == step->action)
            return rows[i].text;
    return otherwise;
}

static const char *hidden_text(const struct zdm_step *step)
{
    static const struct sight_row rows[] = {
        {ZDM_ACTION_CREATE_TABLE, "the table is moved out of sight, and purged later; a rollback never drops"},
        {ZDM_ACTION_CREATE_TYPE, "the type is moved out of sight, and purged later; a rollback never drops"}};
    return sight_text(rows, sizeof rows / sizeof *rows, step,
                      "the column is hidden, and purged later; a rollback never drops");
}

static const char *unhidden_text(const struct zdm_step *step)
{
    static const struct sight_row rows[] = {
        {ZDM_ACTION_HIDE_TABLE, "the table comes back with its rows"},
        {ZDM_ACTION_HIDE_INDEX, "the index stays"},
        {ZDM_ACTION_LIFT_CONSTRAINT, "the constraint comes back, and is validated"},
        {ZDM_ACTION_DROP_NOT_NULL, "the column is NOT NULL again, once no row is in the way"}};
    return sight_text(rows, sizeof rows / sizeof *rows, step,
                      step->exact_inverse ? "the column comes back, with all that was written since"
                                          : "the column comes back as it was; rows written since have no value in it");
}

static const char *nothing_text(const struct zdm_step *step)
{
    static const struct sight_row rows[] = {{ZDM_ACTION_WIDEN_TYPE, "none: the wider type stays"},
                                            {ZDM_ACTION_ADD_VALUE, "none: the value stays, unused"}};
    return sight_text(rows, sizeof rows / sizeof *rows, step,
                      step->exact_inverse ? "nothing to do" : "none: the old values are overwritten and not kept");
}

static const char *undo_text(const struct zdm_step *step)
{
    switch (step->inverse) {
    case ZDM_INVERSE_NONE:
        return nothing_text(step);
    case ZDM_INVERSE_HIDE:
        return hidden_text(step);
    case ZDM_INVERSE_UNHIDE:
        return unhidden_text(step);
    case ZDM_INVERSE_SQL:
        return step->inverse_sql;
    case ZDM_INVERSE_REMOVE:
        return "the triggers are removed";
    case ZDM_INVERSE_INSTALL:
        return "the triggers are installed again";
    case ZDM_INVERSE_IMAGES:
        return step->action == ZDM_ACTION_DELETE ? "the rows are put back, but where their key is taken"
                                                 : "the old values are written back";
    case ZDM_INVERSE_FORMER:
        return "it becomes what it was before";
    case ZDM_INVERSE_IMPOSSIBLE:
        return "impossible";
    }
    return "";
}

static void quote(struct zdm_buffer *out, const char *name)
{
    zdm_buffer_puts(out, "\"");
    for (const char *p = name; *p != '\0'; p++)
        zdm_buffer_append(out, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1);
    zdm_buffer_puts(out, "\"");
}

static void table_sql(struct zdm_buffer *out, const char *verb, const struct zdm_table *table)
{
    zdm_buffer_puts(out, verb);
    quote(out, table->schema);
    zdm_buffer_puts(out, ".");
    quote(out, table->name);
}

static void put_terms(struct zdm_buffer *out, const struct zdm_derivation *d)
{
    const char *const terms[] = {d->filter, d->guard};
    for (size_t i = 0, n = 0; i < 2; i++) {
        if (terms[i] != NULL)
            zdm_buffer_printf(out, "%s%s", n++ == 0 ? " WHERE " : " AND ", terms[i]);
    }
}

/* What one batch does, without the key range that the agent puts around it. */
static void batch_sql(struct zdm_buffer *out, const struct zdm_step *step)
{
    const struct zdm_derivation *d = step->derivation;
    table_sql(out, step->action == ZDM_ACTION_DELETE ? "DELETE FROM " : "UPDATE ", &step->table);
    if (step->action == ZDM_ACTION_DELETE)
        zdm_buffer_puts(out, " t");
    for (size_t i = 0; i < d->n_assignments; i++) {
        zdm_buffer_puts(out, i == 0 ? " t SET " : ", ");
        quote(out, d->assignments[i].target);
        zdm_buffer_printf(out, " = %s", d->assignments[i].expr);
    }
    put_terms(out, d);
}

/* "ALTER TABLE … RENAME COLUMN a TO b": verb, the table, a word, the first name, a word, the second. */
struct made_row {
    enum zdm_action action;
    const char *verb, *before, *between;
    bool column_first; /* else the object alone */
};

static const struct made_row made_rows[] = {
    {ZDM_ACTION_HIDE_COLUMN, "ALTER TABLE ", " RENAME COLUMN ", " TO ", true},
    {ZDM_ACTION_PURGE_COLUMN, "ALTER TABLE ", " DROP COLUMN ", NULL, false},
    {ZDM_ACTION_LIFT_CONSTRAINT, "ALTER TABLE ", " DROP CONSTRAINT ", NULL, false},
    {ZDM_ACTION_HIDE_TABLE, "ALTER TABLE ", " SET SCHEMA ", NULL, false},
};

static void made_sql(struct zdm_buffer *out, const struct zdm_step *step)
{
    for (size_t i = 0; i < sizeof made_rows / sizeof *made_rows; i++) {
        const struct made_row *row = &made_rows[i];
        if (row->action != step->action || step->table.name == NULL || step->object == NULL)
            continue;
        table_sql(out, row->verb, &step->table);
        zdm_buffer_puts(out, row->before);
        if (row->column_first) {
            quote(out, step->column);
            zdm_buffer_puts(out, row->between);
        }
        quote(out, step->object);
    }
}

/* Of things that are named by a schema of their own. */
static void object_sql(struct zdm_buffer *out, const struct zdm_step *step)
{
    const struct zdm_table object = {.schema = step->table.schema, .name = step->object};
    const struct zdm_table moved = {.schema = step->object, .name = step->table.name};
    if (step->action == ZDM_ACTION_PURGE_TABLE && moved.schema != NULL && moved.name != NULL)
        table_sql(out, "DROP TABLE ", &moved);
    else if (step->action == ZDM_ACTION_PURGE_INDEX && object.name != NULL)
        table_sql(out, "DROP INDEX CONCURRENTLY ", &object);
    else if (step->action == ZDM_ACTION_REINDEX && object.name != NULL)
        table_sql(out, "REINDEX INDEX CONCURRENTLY ", &object);
    else if (step->action == ZDM_ACTION_REINDEX && step->table.name != NULL)
        table_sql(out, "REINDEX TABLE CONCURRENTLY ", &step->table);
}

void ctl_step_sql(struct zdm_buffer *out, const struct zdm_step *step)
{
    if (step->sql != NULL)
        zdm_buffer_puts(out, step->sql);
    else if (step->action == ZDM_ACTION_BACKFILL || step->action == ZDM_ACTION_DELETE)
        batch_sql(out, step);
    else if (step->wait != NULL && step->wait->until != NULL)
        zdm_buffer_puts(out, step->wait->until);
    else
        made_sql(out, step);
    if (out->len == 0)
        object_sql(out, step);
}

static const struct zdm_step_notes *notes_of(const struct zdm_notes *notes, const struct zdm_step *step)
{
    static char empty[] = "";
    static const struct zdm_step_notes none = {.source = empty, .does = empty, .lock = empty};
    return step->ordinal <= notes->n_steps ? &notes->steps[step->ordinal - 1] : &none;
}

static const char *title_of(const struct zdm_notes *notes, const struct zdm_phase *phase)
{
    return phase->number <= notes->n_phases ? notes->phases[phase->number - 1].title : "";
}

/* ---- text ---- */

struct view {
    struct zdm_buffer *out;
    const struct ctl_look *look;
    const struct zdm_plan *plan;
    const struct zdm_notes *notes;
    size_t id_width; /* of the widest id */
    bool any_rewritten, any_undo;
    bool all_sql; /* of steps that are done as written, too */
};

static void put_label(struct view *v, const char *label, size_t indent)
{
    ctl_repeat(v->out, ' ', indent);
    ctl_cell(v->out, v->look, CTL_DIM, label, LABEL_WIDTH, false);
}

static void put_labelled(struct view *v, const char *label, size_t indent, const char *text)
{
    put_label(v, label, indent);
    ctl_wrap(v->out, v->look, CTL_PLAIN, text, indent + LABEL_WIDTH, indent + LABEL_WIDTH);
}

static void duration_text(char *out, size_t size, int64_t ms)
{
    if (ms % 1000 != 0)
        snprintf(out, size, "%" PRId64 " ms", ms);
    else
        ctl_seconds_text(out, size, ms / 1000);
}

/* What the runbook says of pace and grace, where it says anything. */
static void put_pace(struct zdm_buffer *line, const struct zdm_plan *plan)
{
    const struct zdm_throttle *throttle = &plan->throttle;
    const struct zdm_phase *last = plan->n_phases == 0 ? NULL : &plan->phases[plan->n_phases - 1];
    char time[32];
    if (throttle->batch_target_ms > 0) {
        duration_text(time, sizeof time, throttle->batch_target_ms);
        zdm_buffer_printf(line, "; batches of about %s", time);
    }
    if (throttle->duty_percent > 0)
        zdm_buffer_printf(line, "; they take at most %u %% of the time", throttle->duty_percent);
    if (throttle->max_replica_lag_ms > 0) {
        duration_text(time, sizeof time, throttle->max_replica_lag_ms);
        zdm_buffer_printf(line, "; they wait while a replica lags by more than %s", time);
    }
    if (last != NULL && last->class == ZDM_PHASE_PURGE) {
        duration_text(time, sizeof time, plan->grace_ms);
        zdm_buffer_printf(line, "; hidden columns stay for %s at least", time);
    }
}

static void put_head(struct view *v)
{
    const struct zdm_plan *plan = v->plan;
    struct zdm_buffer line = ZDM_BUFFER_INIT;
    char time[32], hash[ZDM_HASH_HEX_SIZE];
    ctl_put(v->out, v->look, CTL_BOLD, plan->id);
    if (v->notes->title[0] != '\0') {
        zdm_buffer_puts(v->out, "  ");
        ctl_put(v->out, v->look, CTL_PLAIN, v->notes->title);
    }
    zdm_hex(hash, plan->hash.bytes, sizeof plan->hash.bytes);
    zdm_buffer_puts(v->out, "\n");
    if (!zdm_hash_is_zero(&plan->hash)) {
        ctl_put(v->out, v->look, CTL_DIM, "plan ");
        ctl_put(v->out, v->look, CTL_DIM, hash);
        zdm_buffer_puts(v->out, "\n");
    }
    bool waves = plan->n_waves > 1;
    zdm_buffer_printf(&line, "%s%s", plan->selector[0] == '\0' ? "every shard" : plan->selector,
                      waves ? ", in waves" : "");
    for (size_t i = 0; waves && i < plan->n_waves; i++) {
        const struct zdm_wave *wave = &plan->waves[i];
        if (wave->selector != NULL)
            zdm_buffer_printf(&line, "%s %s", i == 0 ? "" : ",", wave->selector);
        else
            zdm_buffer_printf(&line, "%s %u%%", i == 0 ? "" : ",", wave->percent);
    }
    if (plan->wave_soak_ms > 0) {
        duration_text(time, sizeof time, plan->wave_soak_ms);
        zdm_buffer_printf(&line, " with %s between them", time);
    }
    if (plan->max_parallel > 0)
        zdm_buffer_printf(&line, "; at most %u at once", plan->max_parallel);
    zdm_buffer_printf(
        &line, plan->failure_budget == 0 ? "; halts at the first failed shard" : "; halts when more than %u failed",
        plan->failure_budget);
    put_pace(&line, plan);
    ctl_wrap(v->out, v->look, CTL_DIM, zdm_buffer_text(&line), 0, 0);
    zdm_buffer_fini(&line);
}

static void put_phase_title(struct view *v, const struct zdm_phase *phase)
{
    const char *class = zdm_phase_class_name(phase->class), *title = title_of(v->notes, phase);
    zdm_buffer_puts(v->out, "\n");
    ctl_style(v->out, v->look, CTL_BOLD);
    zdm_buffer_printf(v->out, "Phase %u: ", phase->number);
    ctl_style(v->out, v->look, CTL_PLAIN);
    ctl_put(v->out, v->look, CTL_BOLD, title);
    if (strcasecmp(title, class) != 0) {
        ctl_put(v->out, v->look, CTL_DIM, ", ");
        ctl_put(v->out, v->look, CTL_DIM, class);
    }
    if (phase->class == ZDM_PHASE_SWITCH || phase->class == ZDM_PHASE_CONTRACT)
        ctl_put(v->out, v->look, CTL_DIM, ", entered when every shard is there");
    if (phase->destructive)
        ctl_put(v->out, v->look, CTL_WARN, ", destructive");
    if (phase->approvals > 0) {
        char text[48];
        snprintf(text, sizeof text, ", %u approval%s", phase->approvals, phase->approvals == 1 ? "" : "s");
        ctl_put(v->out, v->look, CTL_WARN, text);
    }
    zdm_buffer_puts(v->out, "\n");
    if (phase->n_steps == 0) {
        ctl_repeat(v->out, ' ', STEP_COLUMN);
        zdm_buffer_puts(v->out, "nothing is run: holds until advance is called\n");
    }
}

/* The statement as written, once for all steps that come from it. */
static void put_source(struct view *v, const struct zdm_step_notes *note)
{
    char line[32];
    if (note->source[0] == '\0') {
        zdm_buffer_puts(v->out, "  ");
        ctl_put(v->out, v->look, CTL_DIM, "added by the plan");
        zdm_buffer_puts(v->out, "\n");
        return;
    }
    zdm_buffer_puts(v->out, "  ");
    snprintf(line, sizeof line, "line %u", note->line);
    ctl_cell(v->out, v->look, CTL_DIM, line, 10, false);
    ctl_wrap(v->out, v->look, CTL_BUSY, note->source, 12, 12);
}

static bool same_source(const struct zdm_step_notes *a, const struct zdm_step_notes *b)
{
    return a->line == b->line && a->column == b->column && strcmp(a->source, b->source) == 0;
}

/* What the compiler says of it, else the strongest lock that the action takes. */
static void put_lock(struct view *v, const struct zdm_step *step, const struct zdm_step_notes *note, size_t column)
{
    enum zdm_table_lock lock = zdm_action_table_lock(step->action);
    if (step->lock == ZDM_LOCK_NONE && step->kind != ZDM_STEP_BACKFILL)
        return;
    if (note->lock[0] != '\0')
        put_labelled(v, "lock", column, note->lock);
    else if (lock != ZDM_TABLE_LOCK_NONE)
        put_labelled(v, "lock", column, zdm_table_lock_name(lock));
}

static void put_step(struct view *v, const struct zdm_step *step)
{
    const struct zdm_step_notes *note = notes_of(v->notes, step);
    const size_t column = STEP_COLUMN + v->id_width + 2 + KIND_WIDTH + 2;
    struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ctl_repeat(v->out, ' ', STEP_COLUMN);
    ctl_cell(v->out, v->look, CTL_BOLD, step->id, v->id_width, false);
    zdm_buffer_puts(v->out, "  ");
    ctl_cell(v->out, v->look, CTL_PLAIN, zdm_step_kind_name(step->kind), KIND_WIDTH, false);
    zdm_buffer_puts(v->out, note->rewritten ? "* " : "  ");
    ctl_wrap(v->out, v->look, CTL_PLAIN, note->does, column, column);
    v->any_rewritten = v->any_rewritten || note->rewritten;
    ctl_step_sql(&sql, step);
    if ((note->rewritten || v->all_sql) && sql.len > 0)
        put_labelled(v, "sql", column, zdm_buffer_text(&sql));
    zdm_buffer_fini(&sql);
    put_lock(v, step, note, column);
    if (step->proof_sql != NULL)
        put_labelled(v, "check", column, step->proof_sql);
    if (step->inverse != ZDM_INVERSE_NONE || !step->exact_inverse) {
        put_labelled(v, "undo", column, undo_text(step));
        v->any_undo = true;
    }
}

static size_t widest_id(const struct zdm_plan *plan)
{
    size_t width = 0;
    for (uint32_t i = 1; i <= zdm_plan_n_steps(plan); i++) {
        size_t n = strlen(zdm_plan_step(plan, i)->id);
        width = n > width ? n : width;
    }
    return width;
}

static void put_phase(struct view *v, const struct zdm_phase *phase)
{
    const struct zdm_step_notes *last = NULL;
    put_phase_title(v, phase);
    for (size_t j = 0; j < phase->n_steps; j++) {
        const struct zdm_step_notes *note = notes_of(v->notes, &phase->steps[j]);
        if (last == NULL || !same_source(last, note))
            put_source(v, note);
        last = note;
        put_step(v, &phase->steps[j]);
    }
}

static void put_phases(struct view *v)
{
    v->id_width = widest_id(v->plan);
    for (size_t i = 0; i < v->plan->n_phases; i++)
        put_phase(v, &v->plan->phases[i]);
    if (v->any_rewritten || v->any_undo)
        zdm_buffer_puts(v->out, "\n");
    if (v->any_rewritten)
        ctl_wrap(v->out, v->look, CTL_DIM, "* done otherwise than written", 0, 0);
    if (v->any_undo)
        ctl_wrap(v->out, v->look, CTL_DIM, "undo: what zdmctl rollback does to take the step back", 0, 0);
}

static enum ctl_style style_of(enum zdm_level level)
{
    return level == ZDM_LEVEL_ERROR ? CTL_BAD : level == ZDM_LEVEL_WARNING ? CTL_WARN : CTL_DIM;
}

/* A hint of several lines is text to be copied: it keeps its lines. */
static void put_hint(struct view *v, const char *hint)
{
    if (strchr(hint, '\n') == NULL) {
        ctl_repeat(v->out, ' ', STEP_COLUMN);
        ctl_wrap(v->out, v->look, CTL_PLAIN, hint, STEP_COLUMN, STEP_COLUMN);
        return;
    }
    while (*hint != '\0') {
        size_t n = strcspn(hint, "\n");
        ZDM_CLEANUP(zdm_freep) char *line = zdm_memdup(hint, n);
        if (n > 0 && line != NULL) {
            ctl_repeat(v->out, ' ', STEP_COLUMN);
            ctl_put(v->out, v->look, CTL_PLAIN, line);
        }
        zdm_buffer_puts(v->out, "\n");
        hint += n + (hint[n] == '\n');
    }
}

static void put_finding(struct view *v, const struct zdm_finding *finding)
{
    char place[48] = "";
    zdm_buffer_puts(v->out, "\n");
    ctl_put(v->out, v->look, CTL_PLAIN, v->notes->file);
    if (finding->line > 0)
        snprintf(place, sizeof place, ":%u:%u", finding->line, finding->column);
    zdm_buffer_printf(v->out, "%s: ", place);
    ctl_put(v->out, v->look, style_of(finding->level), zdm_level_name(finding->level));
    zdm_buffer_puts(v->out, ": ");
    size_t column = strlen(v->notes->file) + strlen(place) + strlen(zdm_level_name(finding->level)) + 4;
    ctl_wrap(v->out, v->look, CTL_PLAIN, finding->message, column, STEP_COLUMN);
    if (finding->hint[0] != '\0')
        put_hint(v, finding->hint);
    ctl_repeat(v->out, ' ', STEP_COLUMN);
    ctl_style(v->out, v->look, CTL_DIM);
    zdm_buffer_printf(v->out, "[%s]", finding->rule);
    ctl_style(v->out, v->look, CTL_PLAIN);
    zdm_buffer_puts(v->out, "\n");
}

/* Where more is said of the findings: of the one rule that they have, or of each. */
static void put_explain(struct view *v)
{
    const char *rule = "RULE";
    for (size_t i = 0; i < v->notes->n_findings; i++)
        rule = i == 0 || strcmp(rule, v->notes->findings[i].rule) == 0 ? v->notes->findings[i].rule : "RULE";
    if (v->notes->n_findings == 0)
        return;
    zdm_buffer_puts(v->out, "\n");
    ctl_style(v->out, v->look, CTL_DIM);
    zdm_buffer_printf(v->out, "zdmctl explain %s", rule);
    ctl_style(v->out, v->look, CTL_PLAIN);
    zdm_buffer_puts(v->out, strcmp(rule, "RULE") == 0 ? " says more of what stands in [ ].\n" : " says more.\n");
}

void ctl_plan_text(struct zdm_buffer *out, const struct ctl_look *look, const struct zdm_plan *plan,
                   const struct zdm_notes *notes)
{
    struct ctl_look narrow = *look;
    if (narrow.width > CTL_PLAN_WIDTH_MAX || !narrow.terminal)
        narrow.width = CTL_PLAN_WIDTH_MAX;
    struct view v = {.out = out, .look = &narrow, .plan = plan, .notes = notes};
    if (plan != NULL) {
        put_head(&v);
        put_phases(&v);
    }
    for (size_t i = 0; i < notes->n_findings; i++)
        put_finding(&v, &notes->findings[i]);
    put_explain(&v);
}

void ctl_plan_phase_text(struct zdm_buffer *out, const struct ctl_look *look, const struct zdm_plan *plan,
                         const struct zdm_notes *notes, uint32_t phase)
{
    struct view v = {.out = out, .look = look, .plan = plan, .notes = notes, .all_sql = true};
    v.id_width = widest_id(plan);
    for (size_t i = 0; i < plan->n_phases; i++)
        if (plan->phases[i].number == phase)
            put_phase(&v, &plan->phases[i]);
}

/* ---- JSON ---- */

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
    enum zdm_table_lock lock = zdm_action_table_lock(step->action);
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
        json_array_append_new(steps, step_json(&phase->steps[i], notes_of(notes, &phase->steps[i])));
    return json_pack("{s:i, s:s, s:s, s:b, s:i, s:o}", "number", (int)phase->number, "title", title_of(notes, phase),
                     "class", zdm_phase_class_name(phase->class), "destructive", (int)phase->destructive, "approvals",
                     (int)phase->approvals, "steps", steps);
}

static json_t *finding_json(const struct zdm_finding *finding)
{
    return json_pack("{s:s, s:s, s:i, s:i, s:s, s:s}", "level", zdm_level_name(finding->level), "rule", finding->rule,
                     "line", (int)finding->line, "column", (int)finding->column, "message", finding->message, "hint",
                     finding->hint);
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
    json_t *root = json_pack("{s:s?, s:s?, s:s, s:s, s:o, s:o}", "id", plan != NULL ? plan->id : NULL, "hash",
                             plan != NULL ? hash : NULL, "file", notes->file, "title", notes->title, "phases", phases,
                             "findings", findings);
    char *text = root == NULL ? NULL : json_dumps(root, JSON_INDENT(2));
    if (text == NULL)
        out->failed = true;
    else
        zdm_buffer_puts(out, text);
    zdm_buffer_puts(out, "\n");
    free(text);
    json_decref(root);
}
