/*
 * plan_view.c - the plan beside the runbook: each statement as written, and under it the steps that it becomes.
 *
 * Steps of one statement stand together under it, so that a rewrite is seen as one; a star marks a step that is done
 * otherwise than written. Nothing is left out that decides whether somebody dares to run it: lock, undo, approvals.
 */
#include "coordinator/ctl/view/plan_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "coordinator/ctl/text/step_text.h"

enum { STEP_COLUMN = 4, KIND_WIDTH = 9, LABEL_WIDTH = 6 };

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
    if (throttle->max_stall_ms > 0) {
        duration_text(time, sizeof time, throttle->max_stall_ms);
        zdm_buffer_printf(line, "; an autovacuum in the way may cost the application %s", time);
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
    if (zdm_plan_is_for(plan, ZDM_ENGINE_MYSQL))
        zdm_buffer_printf(&line, "for %smysql; ",
                          zdm_plan_is_for(plan, ZDM_ENGINE_POSTGRESQL) ? "postgresql and " : "");
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
    const char *class = zdm_phase_class_name(phase->class), *title = ctl_title_of(v->notes, phase);
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
    enum zdm_table_lock lock = zdm_step_table_lock(step);
    if (step->lock == ZDM_LOCK_NONE && step->kind != ZDM_STEP_BACKFILL)
        return;
    if (note->lock[0] != '\0')
        put_labelled(v, "lock", column, note->lock);
    else if (lock != ZDM_TABLE_LOCK_NONE)
        put_labelled(v, "lock", column, zdm_table_lock_name(lock));
}

static void put_step(struct view *v, const struct zdm_step *step)
{
    const struct zdm_step_notes *note = ctl_notes_of(v->notes, step);
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
    const char *undo = ctl_undo_text(step);
    if (undo != NULL) {
        put_labelled(v, "undo", column, undo);
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

static bool has_several(const struct zdm_plan *plan)
{
    return zdm_plan_is_for(plan, ZDM_ENGINE_POSTGRESQL) && zdm_plan_is_for(plan, ZDM_ENGINE_MYSQL);
}

/* Whose the steps below are: a shard does its own engine's alone. */
static void put_engine(struct view *v, enum zdm_engine engine)
{
    char text[64];
    snprintf(text, sizeof text, "on shards of %s", engine == ZDM_ENGINE_ANY ? "both engines" : zdm_engine_name(engine));
    ctl_put(v->out, v->look, CTL_BOLD, text);
    zdm_buffer_puts(v->out, "\n");
}

static void put_phase(struct view *v, const struct zdm_phase *phase)
{
    const struct zdm_step_notes *last = NULL;
    enum zdm_engine engine = ZDM_ENGINE_ANY;
    put_phase_title(v, phase);
    for (size_t j = 0; j < phase->n_steps; j++) {
        const struct zdm_step_notes *note = ctl_notes_of(v->notes, &phase->steps[j]);
        if (has_several(v->plan) && phase->steps[j].engine != engine) {
            engine = phase->steps[j].engine;
            put_engine(v, engine);
            last = NULL;
        }
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
    zdm_buffer_printf(v->out, "[%s]%s%s", finding->rule, finding->engine != ZDM_ENGINE_ANY ? ", on " : "",
                      finding->engine != ZDM_ENGINE_ANY ? zdm_engine_name(finding->engine) : "");
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
