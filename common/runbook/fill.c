/*
 * fill.c - the steps of an UPDATE: the triggers that keep its columns right, the backfill, and what a rollback does
 * about the values that they write over.
 */
#include "common/runbook/update.h"

#include <stdlib.h>
#include <string.h>

static const char *list(struct rb *rb, char *const *names, size_t n)
{
    const char *text = "";
    for (size_t i = 0; i < n; i++)
        text = rb_format(rb, "%s%s%s", text, i == 0 ? "" : i + 1 == n ? " and " : ", ", rb_plain(rb, names[i]));
    return text;
}

const char *rb_targets_text(struct rb *rb, const struct zdm_derivation *d)
{
    char *names[RB_TARGETS_MAX];
    size_t n = d->n_assignments < RB_TARGETS_MAX ? d->n_assignments : RB_TARGETS_MAX;
    for (size_t i = 0; i < n; i++)
        names[i] = d->assignments[i].target;
    return list(rb, names, n);
}

static void describe(const struct rb_update *u, struct rb_step *step, const char *lock)
{
    struct rb_place at = rb_at_start(u->s);
    rb_step_table(step, &u->table);
    step->note.line = at.line;
    step->note.column = at.column;
    step->note.rewritten = true;
    free(step->note.source);
    step->note.source = rb_dup(u->s->sql);
    free(step->note.lock);
    step->note.lock = rb_dup(lock);
}

static void describe_sync(struct rb *rb, struct rb_step *step, const struct zdm_derivation *d)
{
    const char *targets = rb_targets_text(rb, d);
    if (d->both_ways)
        rb_step_does(step, "triggers keep %s equal to %s, whichever of them the application writes", targets,
                     list(rb, d->sources, d->n_sources));
    else if (d->n_sources == 0)
        rb_step_does(step, "triggers fill %s, in the application's own statement", targets);
    else
        rb_step_does(step, "triggers compute %s from %s, in the application's own statement", targets,
                     list(rb, d->sources, d->n_sources));
}

/* A value that an INSERT leaves out looks like the one that it would have got. */
static void note_unseen(const struct rb_update *u, const struct rb_target *target)
{
    const char *initial = target->column->initial;
    rb_note(u->s->rb, "insert-null", target->at, NULL,
            "%s that the application inserts into %s cannot be told from no value: it is filled",
            initial == NULL ? "a NULL" : initial, rb_plain(u->s->rb, target->name));
}

/* What a trigger writes over a value of the application, in its own statement, is kept nowhere. */
static void judge_overwriting(const struct rb_update *u, struct rb_step *step, size_t first, size_t end)
{
    struct rb *rb = u->s->rb;
    bool added = true;
    for (size_t i = first; i < end; i++)
        added = added && u->targets[i].column->added;
    if (added)
        return;
    step->step.exact_inverse = false;
    rb_warning(rb, "sync-inexact", rb_at_start(u->s), "The phase needs an approval.",
               "the triggers write over what the application puts into %s, and no rollback brings that back",
               rb_targets_text(rb, step->step.derivation));
}

/* The sync of the targets from `first` to before `end`. Takes d. */
static void add_sync(struct rb_update *u, size_t first, size_t end, struct zdm_derivation *d)
{
    struct rb *rb = u->s->rb;
    struct rb_step *step =
        rb_step_add(rb, u->s->phase, u->s->fence, ZDM_STEP_SYNC, ZDM_ACTION_SYNC_INSTALL, ZDM_LOCK_SHORT);
    describe(u, step,
             rb->engine == ZDM_ENGINE_MYSQL ? "exclusive metadata lock, at most 100 ms, retried"
                                            : "SHARE ROW EXCLUSIVE, at most 100 ms, retried");
    step->step.derivation = d;
    step->step.object = rb_dup(rb_derived_name(rb, &u->table, u->targets[first].name, ""));
    step->step.inverse = ZDM_INVERSE_REMOVE;
    describe_sync(rb, step, d);
    judge_overwriting(u, step, first, end);
    struct rb_sync *sync = rb_alloc(rb, sizeof *sync), **last = &rb->syncs;
    *sync = (struct rb_sync){.install = step, .phase = u->s->phase, .at = rb_at_start(u->s)};
    while (*last != NULL)
        last = &(*last)->next;
    *last = sync;
    for (size_t i = first; i < end; i++) {
        u->targets[i].column->sync = step;
        note_unseen(u, &u->targets[i]);
    }
}

/* Each pair of a copy has triggers of its own: the columns that they are copied from may go one by one. */
static void add_syncs(struct rb_update *u)
{
    for (size_t i = 0; u->both_ways && i < u->n_targets; i++)
        add_sync(u, i, i + 1, rb_update_derive(u, i, i + 1));
    if (!u->both_ways)
        add_sync(u, 0, u->n_targets, rb_update_derive(u, 0, u->n_targets));
}

/* What a rollback does about the rows: a column that the migration added goes as a whole; the old values of one that
 * was there before are kept in a table of the agent's until the purge phase, or are gone for good where {no-undo} says
 * so. */
static void choose_inverse(struct rb_update *u, struct rb_step *step)
{
    struct rb *rb = u->s->rb;
    const char *targets = rb_targets_text(rb, step->step.derivation);
    bool added = true;
    for (size_t i = 0; i < u->n_targets; i++)
        added = added && u->targets[i].column->added;
    step->step.inverse = ZDM_INVERSE_NONE;
    if (added && u->s->fence->no_undo) {
        rb_error(rb, "no-undo-added", rb_attribute_place(u->s->fence, "no-undo"), "Leave no-undo out.",
                 "no-undo is for columns that existed before: a rollback hides %s, which this migration adds", targets);
    } else if (!added && u->s->fence->no_undo) {
        step->step.inverse = ZDM_INVERSE_IMPOSSIBLE;
        step->step.exact_inverse = false;
        rb_warning(rb, "no-undo", rb_at_start(u->s), "The phase needs an approval.",
                   "no before-images are kept: the old values of %s are gone for good", targets);
    } else if (!added) {
        step->step.inverse = ZDM_INVERSE_IMAGES;
        step->step.object = rb_dup(rb_images_name(rb, &u->table, u->targets[0].name));
        rb_note(rb, "before-images", rb_at_start(u->s),
                "They take room for every row that changes. Where nobody will want them back, write {no-undo}.",
                "the old values of %s are kept in zdm.%s for a rollback, until the purge phase", targets,
                step->step.object);
    }
}

static void add_backfill(struct rb_update *u, struct zdm_derivation *d)
{
    struct rb *rb = u->s->rb;
    const struct rb_fence *fence = u->s->fence;
    struct rb_step *step =
        rb_step_add(rb, u->s->phase, u->s->fence, ZDM_STEP_BACKFILL, ZDM_ACTION_BACKFILL, ZDM_LOCK_NONE);
    describe(u, step, "rows of one batch");
    step->step.derivation = d;
    step->step.batch_rows = fence->batch;
    for (size_t i = 0; i < u->n_targets; i++)
        u->targets[i].column->filled = true;
    choose_inverse(u, step);
    const char *size = fence->batch == 0 ? "" : rb_format(rb, " of at most %u rows", fence->batch);
    rb_step_does(step, "fill %s in throttled batches%s along the table's key%s%s", rb_targets_text(rb, d), size,
                 u->idempotent ? "" : ", each row exactly once",
                 step->step.inverse == ZDM_INVERSE_IMAGES ? ", and keep the old values" : "");
}

static bool touches(const struct rb_update *u, const struct zdm_step *fill, const struct zdm_derivation *compared)
{
    bool any = false;
    if (strcmp(fill->table.name, u->table.name) != 0 || strcmp(fill->table.schema, u->table.schema) != 0)
        return false;
    for (size_t i = 0; i < u->n_targets; i++) {
        for (size_t j = 0; j < compared->n_assignments; j++)
            any = any || strcmp(compared->assignments[j].target, u->targets[i].name) == 0;
        for (size_t j = 0; j < compared->n_sources; j++)
            any = any || strcmp(compared->sources[j], u->targets[i].name) == 0;
    }
    return any;
}

/* No trigger keeps the columns equal to what fills them: so that nobody drops what they were filled from without a
 * look, they are compared at the end of the phase all the same. Not what a later UPDATE of the phase writes over. */
static void remember_fill(struct rb_update *u)
{
    struct rb *rb = u->s->rb;
    struct rb_fill **at = &rb->fills;
    while (*at != NULL) {
        struct rb_fill *fill = *at;
        if (fill->phase == u->s->phase && touches(u, &fill->backfill->step, fill->compared)) {
            zdm_derivation_free(fill->compared);
            *at = fill->next;
        } else {
            at = &fill->next;
        }
    }
    struct zdm_derivation *compared = rb_update_compared(u);
    if (compared == NULL)
        return;
    *at = rb_alloc(rb, sizeof **at);
    **at = (struct rb_fill){.backfill = u->s->phase->last, .compared = compared, .phase = u->s->phase};
}

void rb_update_steps(struct rb_update *u, struct zdm_derivation *d)
{
    if (u->derive)
        add_syncs(u);
    add_backfill(u, d);
    remember_fill(u);
}
