/*
 * assemble.c - from the phases as written to the plan: the last check of each migrate phase, the end of every sync, the
 * purge of what was hidden, ordinals, and the two structures that leave the compiler.
 */
#include "common/runbook/compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Changes whenever the same runbook gives other bytes. */
static const char compiler_version[] = "zdm-runbook 5";

/* ---- what nobody wrote ---- */

/* Not what is written once, and not a column that the application filled before (its guard leaves those rows alone). */
static bool has_comparable(const struct zdm_derivation *d)
{
    for (size_t i = 0; i < d->n_assignments; i++) {
        if (!d->assignments[i].fill_once && (d->assignments[i].added || d->guard == NULL))
            return true;
    }
    return false;
}

static struct rb_step *add_implicit(struct rb *rb, struct rb_phase *phase, enum zdm_step_kind kind,
                                    enum zdm_action action, enum zdm_lock_class lock, const struct zdm_table *table,
                                    const char *lock_text)
{
    struct rb_step *step = rb_step_add(rb, phase, NULL, kind, action, lock);
    step->step.table = (struct zdm_table){rb_dup(table->schema), rb_dup(table->name)};
    step->note.rewritten = true;
    free(step->note.lock);
    step->note.lock = rb_dup(lock_text);
    return step;
}

/* MySQL: what every change of a table takes, whatever it is, and waits for. */
static const char *lock_text(const struct rb *rb, enum zdm_action action)
{
    if (rb->engine == ZDM_ENGINE_MYSQL)
        return action == ZDM_ACTION_PURGE_IMAGES ? "none on the table"
                                                 : "exclusive metadata lock, at most 100 ms, retried";
    return action == ZDM_ACTION_PURGE_IMAGES  ? "none on the table"
           : action == ZDM_ACTION_PURGE_INDEX ? "SHARE UPDATE EXCLUSIVE; reads and writes go on"
                                              : "ACCESS EXCLUSIVE, at most 100 ms, retried";
}

static struct rb_step *compare_step(struct rb *rb, struct rb_sync *sync, struct rb_phase *phase)
{
    const struct zdm_step *install = &sync->install->step;
    struct rb_step *step = add_implicit(rb, phase, ZDM_STEP_CHECK, ZDM_ACTION_CHECK_COMPARE, ZDM_LOCK_NONE,
                                        &install->table, "none; reads");
    step->step.derivation = rb_derivation_copy(install->derivation);
    step->sync = sync->install;
    return step;
}

static void add_compare(struct rb *rb, struct rb_sync *sync)
{
    const struct zdm_step *install = &sync->install->step;
    if (!has_comparable(install->derivation))
        return;
    sync->compare = compare_step(rb, sync, sync->phase);
    rb_step_does(sync->compare, "compare %s with what fills %s, byte for byte, in every row",
                 rb_targets_text(rb, install->derivation), install->derivation->n_assignments == 1 ? "it" : "them");
}

/* Where no trigger fills them, and what they are filled from can be asked again. */
static void add_fill_compare(struct rb *rb, struct rb_fill *fill)
{
    const struct zdm_derivation *d = fill->compared;
    struct rb_step *step = add_implicit(rb, fill->phase, ZDM_STEP_CHECK, ZDM_ACTION_CHECK_COMPARE, ZDM_LOCK_NONE,
                                        &fill->backfill->step.table, "none; reads");
    step->step.derivation = fill->compared;
    fill->compared = NULL;
    rb_step_does(step, "compare %s with what filled %s, byte for byte, in every row%s", rb_targets_text(rb, d),
                 d->n_assignments == 1 ? "it" : "them", d->filter == NULL ? "" : " that its condition names");
}

static struct rb_phase *contract_phase(struct rb *rb, struct rb_place at)
{
    for (struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next) {
        if (phase->class == ZDM_PHASE_CONTRACT)
            return phase;
    }
    rb_note(rb, "finish-phase", at,
            "Where the column that it is filled from shall go, write a contract phase: ALTER TABLE … DROP COLUMN ….",
            "a contract phase \"Finish\" is added at the end: it removes the triggers");
    return rb_phase_add(rb, ZDM_PHASE_CONTRACT, "Finish", "", (struct rb_place){0, 0});
}

/* The phase that holds the step. */
static struct rb_phase *phase_of(struct rb *rb, const struct rb_step *wanted)
{
    for (struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next) {
        for (const struct rb_step *step = phase->first; step != NULL; step = step->next) {
            if (step == wanted)
                return phase;
        }
    }
    return NULL;
}

/* Moves the last step of a phase behind `after`, or to the front. */
static void move_last(struct rb_phase *phase, struct rb_step *after)
{
    struct rb_step *step = phase->last, *before = phase->first;
    if (step == after || (after != NULL && after->next == step) || phase->first == step)
        return;
    while (before->next != step)
        before = before->next;
    before->next = NULL;
    phase->last = before;
    step->next = after == NULL ? phase->first : after->next;
    if (after == NULL)
        phase->first = step;
    else
        after->next = step;
}

/* Both columns were written since the switch: what a sync in both directions could not keep equal is seen before the
 * old one goes. `behind`: the last such comparison of the phase. */
static struct rb_step *compare_again(struct rb *rb, struct rb_sync *sync, struct rb_step *behind)
{
    const struct zdm_derivation *d = sync->install->step.derivation;
    struct rb_phase *phase = phase_of(rb, sync->install->superseded);
    if (!d->both_ways || sync->compare == NULL || phase == NULL)
        return behind;
    bool same = behind != NULL && phase_of(rb, behind) == phase;
    sync->again = compare_step(rb, sync, phase);
    rb_step_does(sync->again, "compare %s with %s once more, before the triggers end", rb_targets_text(rb, d),
                 rb_plain(rb, d->assignments[0].copy_of));
    move_last(phase, same ? behind : NULL);
    return sync->again;
}

static void end_sync(struct rb *rb, struct rb_sync *sync)
{
    if (sync->install->superseded == NULL) {
        const struct zdm_step *install = &sync->install->step;
        struct rb_step *remove = add_implicit(rb, contract_phase(rb, sync->at), ZDM_STEP_SYNC, ZDM_ACTION_SYNC_REMOVE,
                                              ZDM_LOCK_SHORT, &install->table, lock_text(rb, ZDM_ACTION_SYNC_REMOVE));
        remove->sync = sync->install;
        remove->step.inverse = ZDM_INVERSE_INSTALL;
        rb_step_does(remove, "remove the triggers that fill %s: from here on the application alone writes %s",
                     rb_targets_text(rb, install->derivation), install->derivation->n_assignments == 1 ? "it" : "them");
        sync->install->superseded = remove;
    }
}

/* ---- columns that are shown ---- */

/* Until the last of them is filled, nobody's SELECT * or INSERT without a list sees the columns. */
static struct rb_phase *show_phase(struct rb *rb)
{
    struct rb_phase *expand = rb->phases, *migrate = NULL;
    for (struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next) {
        if (phase->class == ZDM_PHASE_EXPAND)
            expand = phase;
        else if (phase->class == ZDM_PHASE_MIGRATE)
            migrate = phase;
    }
    return migrate != NULL ? migrate : expand;
}

/* The step that makes the column NOT NULL before the contract phases, with its phase and the step in front of it. */
static bool find_not_null(struct rb *rb, const struct rb_step *add, struct rb_phase **phase, struct rb_step **before)
{
    for (*phase = rb->phases; *phase != NULL && (*phase)->class <= ZDM_PHASE_MIGRATE; *phase = (*phase)->next) {
        *before = NULL;
        for (struct rb_step *step = (*phase)->first; step != NULL; *before = step, step = step->next) {
            if (step->step.action == ZDM_ACTION_SET_NOT_NULL &&
                strcmp(step->step.table.name, add->step.table.name) == 0 &&
                strcmp(step->step.column, add->step.column) == 0)
                return true;
        }
    }
    return false;
}

/* MariaDB takes no column that is out of sight, NOT NULL and without a default: one that becomes NOT NULL is shown just
 * before, when it is filled. */
static void add_show(struct rb *rb, const struct rb_step *add)
{
    struct rb_phase *phase;
    struct rb_step *before;
    bool not_null = find_not_null(rb, add, &phase, &before);
    if (!not_null)
        phase = show_phase(rb);
    struct rb_step *step = add_implicit(rb, phase, ZDM_STEP_DDL, ZDM_ACTION_SHOW_COLUMN, ZDM_LOCK_SHORT,
                                        &add->step.table, lock_text(rb, ZDM_ACTION_SHOW_COLUMN));
    if (not_null)
        move_last(phase, before);
    step->step.column = rb_dup(add->step.column);
    step->step.inverse = ZDM_INVERSE_FORMER;
    step->cause = add;
    rb_step_does(step, "let SELECT * see the column %s", rb_plain(rb, add->step.column));
}

/* The steps as they stand: what is added here adds nothing that is to be shown. */
static void show_columns(struct rb *rb)
{
    for (struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next) {
        for (struct rb_step *step = phase->first; step != NULL; step = step->next) {
            bool visible = step->fence != NULL && step->fence->visible;
            if (step->step.action == ZDM_ACTION_ADD_COLUMN && !visible)
                add_show(rb, step);
        }
    }
}

/* ---- the purge ---- */

/* What is kept until then, by the step that keeps it. */
struct kept {
    enum zdm_action keeps, purges;
    enum zdm_lock_class lock;
    const char *does;
};

static const struct kept kept[] = {
    {ZDM_ACTION_HIDE_COLUMN, ZDM_ACTION_PURGE_COLUMN, ZDM_LOCK_SHORT, "really drop the column"},
    {ZDM_ACTION_HIDE_TABLE, ZDM_ACTION_PURGE_TABLE, ZDM_LOCK_SHORT, "really drop the table"},
    {ZDM_ACTION_HIDE_INDEX, ZDM_ACTION_PURGE_INDEX, ZDM_LOCK_LONG, "really drop the index"},
    {ZDM_ACTION_BACKFILL, ZDM_ACTION_PURGE_IMAGES, ZDM_LOCK_SHORT, "really drop the old values of"},
    {ZDM_ACTION_DELETE, ZDM_ACTION_PURGE_IMAGES, ZDM_LOCK_SHORT, "really drop the deleted rows of"},
};

static const struct kept *kept_by(const struct zdm_step *step)
{
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (kept[i].keeps == step->action &&
            (kept[i].purges != ZDM_ACTION_PURGE_IMAGES || step->inverse == ZDM_INVERSE_IMAGES))
            return &kept[i];
    }
    return NULL;
}

static const char *kept_name(struct rb *rb, const struct zdm_step *step)
{
    struct rb_table table = {step->table.schema, step->table.name};
    if (step->action == ZDM_ACTION_HIDE_COLUMN)
        return rb_plain(rb, step->column);
    if (step->action == ZDM_ACTION_HIDE_INDEX)
        return rb_plain(rb, step->object);
    return step->action == ZDM_ACTION_BACKFILL ? rb_targets_text(rb, step->derivation) : rb_table_text(rb, &table);
}

static void add_purge(struct rb *rb, struct rb_phase *purge, struct rb_step *keeper, const struct kept *row)
{
    /* MySQL drops an index in the catalogue alone. */
    enum zdm_lock_class lock = rb->engine == ZDM_ENGINE_MYSQL ? ZDM_LOCK_SHORT : row->lock;
    struct rb_step *step =
        add_implicit(rb, purge, ZDM_STEP_PURGE, row->purges, lock, &keeper->step.table, lock_text(rb, row->purges));
    bool column = row->purges == ZDM_ACTION_PURGE_COLUMN;
    step->step.column = column ? rb_dup(keeper->step.column) : NULL;
    step->step.object = rb_dup(keeper->step.object);
    step->step.inverse = ZDM_INVERSE_IMPOSSIBLE;
    step->step.exact_inverse = false;
    step->cause = keeper;
    if (column && keeper->step.exact_inverse)
        step->sync = keeper->sync;
    rb_step_does(step, "%s %s%s", row->does, kept_name(rb, &keeper->step),
                 step->sync != NULL ? ", and the triggers that still write into it" : "");
}

/* Of the same fence, whichever pass read it: each fence has a name of its own. */
static bool has_name(const struct rb_step *step, const char *name)
{
    return step->fence != NULL && step->fence->name != NULL && strcmp(step->fence->name, name) == 0;
}

static void number_steps(struct rb *rb)
{
    uint32_t ordinal = 0, number = 0;
    for (struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next) {
        uint32_t place = 0;
        number++;
        for (struct rb_step *step = phase->first; step != NULL; step = step->next) {
            const char *name = step->fence == NULL ? NULL : step->fence->name;
            size_t alike = 0, before = 0;
            step->step.ordinal = ++ordinal;
            place++;
            for (const struct rb_step *other = phase->first; name != NULL && other != NULL; other = other->next) {
                bool same = has_name(other, name);
                alike += same;
                before += same && other->step.ordinal != 0 && other->step.ordinal < step->step.ordinal;
            }
            int n = name == NULL ? snprintf(step->step.id, sizeof step->step.id, "%u.%u", number, place)
                    : alike == 1 ? snprintf(step->step.id, sizeof step->step.id, "%s", name)
                                 : snprintf(step->step.id, sizeof step->step.id, "%s.%zu", name, before + 1);
            if (n < 0)
                step->step.id[0] = '\0';
        }
    }
}

static void judge_sizes(struct rb *rb)
{
    if (rb->n_steps > ZDM_STEPS_MAX)
        rb_error(rb, "too-many-steps", (struct rb_place){0, 0}, "Split it into several migrations.",
                 "the plan has %zu steps, more than %d", rb->n_steps, ZDM_STEPS_MAX);
}

void rb_finish(struct rb *rb)
{
    struct rb_phase *purge = NULL;
    for (struct rb_sync *sync = rb->syncs; sync != NULL; sync = sync->next)
        add_compare(rb, sync);
    for (struct rb_fill *fill = rb->fills; fill != NULL; fill = fill->next)
        add_fill_compare(rb, fill);
    for (struct rb_sync *sync = rb->syncs; sync != NULL; sync = sync->next)
        end_sync(rb, sync);
    struct rb_step *behind = NULL;
    for (struct rb_sync *sync = rb->syncs; sync != NULL; sync = sync->next)
        behind = compare_again(rb, sync, behind);
    if (rb->engine == ZDM_ENGINE_MYSQL)
        show_columns(rb);
    for (struct rb_phase *phase = rb->phases; phase != NULL && phase != purge; phase = phase->next) {
        for (struct rb_step *step = phase->first; step != NULL; step = step->next) {
            const struct kept *row = kept_by(&step->step);
            if (row != NULL && purge == NULL)
                purge = rb_phase_add(rb, ZDM_PHASE_PURGE, "Purge", "", (struct rb_place){0, 0});
            if (row != NULL)
                add_purge(rb, purge, step, row);
        }
    }
}

void rb_number_steps(struct rb *rb)
{
    judge_sizes(rb);
    number_steps(rb);
}

/* ---- the plan ---- */

static uint32_t approvals_of(const struct rb *rb, enum zdm_phase_class class, bool destructive)
{
    const int *stated = rb->front.approvals;
    int n = stated[class];
    if (class == ZDM_PHASE_PURGE && n < 0)
        n = stated[ZDM_PHASE_CONTRACT];
    if (n < 0)
        n = 0;
    return destructive && n == 0 ? 1 : (uint32_t)n;
}

static void make_phase(struct rb *rb, const struct rb_phase *from, uint32_t number, struct zdm_phase *out)
{
    size_t n = 0;
    for (const struct rb_step *step = from->first; step != NULL; step = step->next)
        n++;
    out->number = number;
    out->class = from->class;
    out->steps = rb_heap((n + 1) * sizeof *out->steps);
    for (struct rb_step *step = from->first; step != NULL; step = step->next) {
        const struct rb_fence *fence = step->cause != NULL ? step->cause->fence : step->fence;
        bool batches = step->step.action == ZDM_ACTION_BACKFILL || step->step.action == ZDM_ACTION_DELETE;
        step->step.sync_step = step->sync == NULL ? 0 : step->sync->step.ordinal;
        step->step.unguarded = fence != NULL && fence->unguarded;
        step->step.publication_ok = fence != NULL && fence->publication_ok;
        step->step.skip_triggers = fence != NULL && fence->skip_triggers && batches;
        step->step.rewrite_ok =
            step->step.rewrite_ok || (fence != NULL && fence->rewrite_ok && zdm_step_may_rewrite(&step->step));
        out->destructive = out->destructive || (!step->step.exact_inverse && step->step.inverse != ZDM_INVERSE_NONE);
        out->steps[out->n_steps++] = step->step;
    }
    out->approvals = approvals_of(rb, from->class, out->destructive);
}

static void add_table(struct zdm_plan *plan, const struct zdm_table *table)
{
    if (table->name == NULL)
        return;
    for (size_t i = 0; i < plan->n_tables; i++) {
        if (strcmp(plan->tables[i].schema, table->schema) == 0 && strcmp(plan->tables[i].name, table->name) == 0)
            return;
    }
    plan->tables[plan->n_tables++] = (struct zdm_table){rb_dup(table->schema), rb_dup(table->name)};
}

static size_t count_tables(const struct rb *rb)
{
    size_t n = 0;
    for (const struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next) {
        for (const struct rb_step *step = phase->first; step != NULL; step = step->next)
            n += 1 + step->step.n_others;
    }
    return n;
}

static void forget_parts(struct rb *rb)
{
    for (struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next) {
        for (struct rb_step *step = phase->first; step != NULL; step = step->next)
            step->step = (struct zdm_step){.ordinal = step->step.ordinal};
    }
}

struct zdm_plan *rb_make_plan(struct rb *rb)
{
    const struct rb_front *front = &rb->front;
    struct zdm_plan *plan = zdm_plan_new();
    if (plan == NULL)
        abort(); /* out of memory: see runbook.h */
    plan->format = ZDM_PLAN_FORMAT;
    memcpy(plan->compiler, compiler_version, sizeof compiler_version);
    (void)zdm_copy_text(plan->id, sizeof plan->id, front->id);
    plan->engines = front->engines;
    plan->selector = rb_dup(front->selector);
    plan->waves = rb_heap(front->n_waves * sizeof *plan->waves);
    for (size_t i = 0; i < front->n_waves; i++)
        plan->waves[plan->n_waves++] = (struct zdm_wave){rb_dup(front->waves[i].selector), front->waves[i].percent};
    plan->wave_soak_ms = front->soak_ms;
    plan->max_parallel = front->max_parallel;
    plan->failure_budget = front->failure_budget;
    plan->throttle = front->throttle;
    plan->grace_ms = front->grace_ms;
    size_t n = 0;
    for (const struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next)
        n++;
    plan->phases = rb_heap((n + 1) * sizeof *plan->phases);
    plan->tables = rb_heap((count_tables(rb) + 1) * sizeof *plan->tables);
    for (const struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next) {
        struct zdm_phase *out = &plan->phases[plan->n_phases++];
        make_phase(rb, phase, (uint32_t)plan->n_phases, out);
        for (size_t i = 0; i < out->n_steps; i++) {
            add_table(plan, &out->steps[i].table);
            for (size_t j = 0; j < out->steps[i].n_others; j++)
                add_table(plan, &out->steps[i].others[j]);
        }
    }
    forget_parts(rb);
    zdm_plan_link(plan);
    return plan;
}

/* ---- the notes ---- */

static void make_step_notes(struct rb *rb, struct zdm_notes *notes)
{
    size_t n = 0;
    for (const struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next)
        n++;
    notes->phases = rb_heap((n + 1) * sizeof *notes->phases);
    notes->steps = rb_heap((rb->n_steps + 1) * sizeof *notes->steps);
    for (struct rb_phase *phase = rb->phases; phase != NULL; phase = phase->next) {
        notes->phases[notes->n_phases++] = (struct zdm_phase_notes){rb_dup(phase->title), rb_dup(phase->prose)};
        for (struct rb_step *step = phase->first; step != NULL; step = step->next) {
            notes->steps[notes->n_steps++] = step->note;
            step->note = (struct zdm_step_notes){.line = 0};
        }
    }
}

struct zdm_notes *rb_make_notes(struct rb *rb, bool with_steps)
{
    struct zdm_notes *notes = rb_heap(sizeof *notes);
    notes->file = rb_dup(rb->file);
    notes->title = rb_dup(rb->title == NULL ? "" : rb->title);
    if (with_steps)
        make_step_notes(rb, notes);
    const struct rb_front *front = &rb->front;
    notes->waivers = rb_heap((front->n_waivers + 1) * sizeof *notes->waivers);
    for (size_t i = 0; i < front->n_waivers; i++) {
        const struct rb_waiver *w = &front->waivers[i];
        notes->waivers[notes->n_waivers++] =
            (struct zdm_waiver){rb_dup(w->rule), rb_dup(w->reason), w->at.line, w->at.column};
    }
    notes->findings = rb->findings;
    notes->n_findings = rb->n_findings;
    rb->findings = NULL;
    rb->n_findings = 0;
    return notes;
}
