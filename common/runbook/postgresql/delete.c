/*
 * delete.c - DELETE of many rows: the same batches as an UPDATE's, with the condition as a filter and nothing else.
 *
 * A row that comes to match while the batches run may be deleted or may be left: both are what one DELETE, started a
 * little earlier or later, would have done. So the time of the moment is allowed here, where an UPDATE's trigger could
 * not hold what it says.
 */
#include "common/runbook/update.h"

#include <stdlib.h>
#include <string.h>

static bool may_be_batched(struct rb_deletion *d, const PgQuery__DeleteStmt *stmt)
{
    struct rb_statement *s = d->s;
    struct rb *rb = s->rb;
    size_t errors = rb->n_errors;
    enum zdm_phase_class class = s->phase->class;
    if (stmt->with_clause != NULL)
        rb_error(rb, "delete-with", rb_at_start(s), "Name the rows by their own columns.",
                 "a DELETE with WITH cannot be done row by row");
    if (stmt->n_using_clause > 0)
        rb_error(rb, "delete-using", rb_at_word(s, 0, "using"),
                 "Write a subquery: WHERE b_id IN (SELECT b.id FROM b WHERE …), or WHERE EXISTS (SELECT FROM b WHERE "
                 "b.id = b_id).",
                 "a DELETE that reads another table (USING) cannot be done row by row");
    if (stmt->n_returning_list > 0)
        rb_error(rb, "delete-returning", rb_at_word(s, 0, "returning"), "Leave RETURNING out.",
                 "nobody reads what a batch returns");
    if (class != ZDM_PHASE_MIGRATE && class != ZDM_PHASE_CONTRACT)
        rb_error(rb, "delete-phase", rb_at_start(s),
                 "Move it to a migrate phase, or to the contract phase when no code reads the rows any more.",
                 "DELETE belongs into a migrate or contract phase, and this is %s %s phase",
                 class == ZDM_PHASE_EXPAND ? "an" : "a", zdm_phase_class_name(class));
    return rb_relation(s, stmt->relation, &d->table) && errors == rb->n_errors;
}

static bool judge_condition(const struct rb_deletion *d)
{
    struct rb *rb = d->s->rb;
    struct rb_place at = d->where_at;
    if (d->condition.is_volatile) {
        rb_error(rb, "condition-volatile", at, "Write a condition that gives the same for a row each time.",
                 "the condition is another one each time it is evaluated");
        return false;
    }
    if (d->condition.is_now)
        rb_note(rb, "delete-now", at, "Write the time itself where every shard shall delete the same rows.",
                "the time of the moment is that of each batch: rows that come to match meanwhile may go or stay");
    if (d->condition.has_subquery)
        rb_note(
            rb, "delete-subquery", rb_at(d->s, d->condition.subquery_at),
            "Where what is deleted changes what it reads (ON DELETE CASCADE, a trigger, a view), mark the rows "
            "first, in a column that the runbook adds, and delete those that are marked; a later runbook of its own "
            "drops the column.",
            "each batch asks the subquery anew: rows that it finds by then may go, others stay");
    if (d->condition.uses_zone)
        rb_note(rb, "time-zone", rb_at_start(d->s), NULL,
                rb->engine == ZDM_ENGINE_MYSQL ? "dates and times are computed with time_zone +00:00 and in English"
                                               : "dates and times are computed with TimeZone UTC and DateStyle ISO");
    if (d->filter == NULL)
        rb_error(rb, "expression", at, "Write it more simply.", "the condition cannot be written in a plan");
    return d->filter != NULL;
}

/* A trigger that fills what the condition reads may not have been there for a row that is judged by it: only behind the
 * fill. A row that no code wants any more is best deleted before it is filled, but that is the author's. */
static void judge_neighbours(const struct rb_deletion *d)
{
    struct rb *rb = d->s->rb;
    for (size_t i = 0; i < d->condition.n_columns; i++) {
        const struct rb_column *column = rb_column_of(rb, &d->table, d->condition.columns[i]);
        struct rb_place at = rb_at_word(d->s, 0, column->name);
        if (column->hide != NULL)
            rb_error(rb, "column-hidden", at, "Put the DELETE before the DROP COLUMN.",
                     "column %s is dropped before this", column->name);
        else if (column->added && !column->filled && column->initial == NULL)
            rb_error(rb, "delete-unfilled", at,
                     rb_format(rb, "Fill it first, in a migrate phase: UPDATE %s SET %s = …;",
                               rb_table_text(rb, &d->table), column->name),
                     "column %s is NULL in every row that exists", column->name);
    }
}

static void choose_inverse(const struct rb_deletion *d, struct rb_step *step)
{
    struct rb *rb = d->s->rb;
    if (d->s->fence->no_undo) {
        step->step.inverse = ZDM_INVERSE_IMPOSSIBLE;
        step->step.exact_inverse = false;
        rb_warning(rb, "no-undo", rb_at_start(d->s), "The phase needs an approval.",
                   "no archive is kept: the rows are gone for good");
        return;
    }
    step->step.inverse = ZDM_INVERSE_IMAGES;
    /* Named after the condition, so that other steps of the plan do not change it. */
    step->step.object = rb_dup(rb_images_name(rb, &d->table, rb_format(rb, "delete %s", d->filter)));
    rb_note(rb, "delete-archive", rb_at_start(d->s),
            "It takes as much room as the rows did. Where nobody will want them back, write {no-undo}.",
            "the deleted rows are kept in zdm.%s for a rollback, until the purge phase", step->step.object);
}

static void add_step(const struct rb_deletion *d)
{
    struct rb *rb = d->s->rb;
    struct rb_place at = rb_at_start(d->s);
    struct rb_fence *fence = d->s->fence;
    struct rb_step *step = rb_step_add(rb, d->s->phase, fence, ZDM_STEP_BACKFILL, ZDM_ACTION_DELETE, ZDM_LOCK_NONE);
    rb_step_table(step, &d->table);
    step->step.derivation = rb_heap(sizeof *step->step.derivation);
    step->step.derivation->idempotent = true;
    step->step.derivation->filter = rb_dup(d->filter);
    step->step.derivation->sources = rb_heap((d->condition.n_columns + 1) * sizeof *step->step.derivation->sources);
    for (size_t i = 0; i < d->condition.n_columns; i++)
        step->step.derivation->sources[step->step.derivation->n_sources++] = rb_dup(d->condition.columns[i]);
    step->step.batch_rows = fence->batch;
    step->note.line = at.line;
    step->note.column = at.column;
    step->note.rewritten = true;
    free(step->note.source);
    step->note.source = rb_dup(d->s->sql);
    free(step->note.lock);
    step->note.lock = rb_dup("rows of one batch");
    choose_inverse(d, step);
    const char *size = fence->batch == 0 ? "" : rb_format(rb, " of at most %u rows", fence->batch);
    rb_step_does(step, "delete the rows in throttled batches%s along the table's key%s", size,
                 step->step.inverse == ZDM_INVERSE_IMAGES ? ", and keep them" : "");
}

void rb_delete_finish(struct rb_deletion *d, bool has_where)
{
    struct rb_statement *s = d->s;
    struct rb *rb = s->rb;
    size_t errors = rb->n_errors;
    if (!has_where) {
        rb_error(rb, "delete-all", rb_at_start(s),
                 rb_format(rb,
                           "Where the table shall go, write DROP TABLE %s in the contract phase: it is hidden first, "
                           "and can be brought back. Where it shall be empty and stay, say so: WHERE true.",
                           rb_table_text(rb, &d->table)),
                 "a DELETE without WHERE would delete every row, and keep each of them a second time");
        return;
    }
    if (!judge_condition(d))
        return;
    judge_neighbours(d);
    if (s->fence->sync || s->fence->no_sync)
        rb_warning(rb, "attribute-unused", s->fence->at, NULL,
                   "sync and no-sync mean something for UPDATE only: no trigger goes with a DELETE");
    if (errors == rb->n_errors)
        add_step(d);
}

void rb_compile_delete(struct rb_statement *s, PgQuery__DeleteStmt *stmt)
{
    struct rb *rb = s->rb;
    struct rb_deletion *d = rb_alloc(rb, sizeof *d);
    const PgQuery__Node *where = stmt->where_clause;
    d->s = s;
    if (!may_be_batched(d, stmt))
        return;
    d->where_at = where == NULL ? rb_at_start(s) : rb_at_word(s, 0, "where");
    d->condition.queries = RB_QUERIES_ANY;
    if (where != NULL && !rb_expr_examine(s, stmt->relation, where, "the condition", &d->condition))
        return;
    if (!rb_own_in_delete(d))
        return;
    d->filter = where == NULL ? NULL : rb_expr_write(rb, where, "t");
    rb_delete_finish(d, where != NULL);
}
