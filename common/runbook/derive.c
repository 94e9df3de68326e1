/*
 * derive.c - what an UPDATE of whatever dialect means: which triggers go with it, what a batch writes, and what of its
 * neighbours in the plan it cannot stand beside. update.c and mysql/rows.c read the statement; the rules are
 * update.c's.
 */
#include "common/runbook/update.h"

#include <stdlib.h>
#include <string.h>

#include "common/runbook/postgresql/ddl.h"

struct rb_target *rb_update_target(struct rb_update *u, const char *name)
{
    for (size_t i = 0; i < u->n_targets; i++) {
        if (strcmp(u->targets[i].name, name) == 0)
            return &u->targets[i];
    }
    return NULL;
}

/* Does a trigger go with it? By default for columns that this runbook added, and for no other. */
bool rb_update_choose_sync(struct rb_update *u)
{
    struct rb *rb = u->s->rb;
    size_t added = 0;
    for (size_t i = 0; i < u->n_targets; i++)
        added += u->targets[i].column->added;
    bool all = added == u->n_targets;
    u->derive = !u->s->fence->no_sync && (all || u->s->fence->sync);
    u->idempotent = true;
    if (added == 0 || all || u->s->fence->sync || u->s->fence->no_sync)
        return true;
    rb_error(rb, "mixed-targets", rb_at_start(u->s),
             "Write two UPDATEs, or say {sync} or {no-sync} behind the fence's sql.",
             "some of the columns are added by this runbook and some are not: only the first get a trigger");
    return false;
}

/* ---- conditions ---- */

/* A row that nobody filled yet holds the initial value: is the guard true for it? Known for IS NULL and IS NOT NULL. */
static void judge_guard(struct rb_update *u, const struct rb_term *term)
{
    struct rb *rb = u->s->rb;
    u->guards[u->n_guards++] = *term;
    const char *name = term->null_of;
    if (!u->derive || name == NULL)
        return;
    const struct rb_target *target = rb_update_target(u, name);
    if (target == NULL || !target->column->added)
        return;
    if (!term->is_null && target->column->initial == NULL)
        rb_error(rb, "guard-never-true", term->at, "Write IS NULL, or leave the condition out.",
                 "%s is NULL in every row before it is filled", name);
    else if (term->is_null && target->column->initial != NULL)
        rb_error(rb, "guard-never-true", term->at, "Leave the condition out.",
                 "%s holds %s in every row before it is filled, and is not NULL", name, target->column->initial);
}

/* Columns and flags of one expression into another. */
static void add_expr(struct rb *rb, struct rb_expr *to, const struct rb_expr *from)
{
    for (size_t i = 0; i < from->n_columns; i++)
        rb_expr_add(rb, to, from->columns[i]);
    to->queries = from->queries;
    to->is_volatile = to->is_volatile || from->is_volatile;
    to->is_now = to->is_now || from->is_now;
    to->uses_zone = to->uses_zone || from->uses_zone;
    if (from->has_subquery && !to->has_subquery)
        to->subquery_at = from->subquery_at;
    to->has_subquery = to->has_subquery || from->has_subquery;
}

/* A batch writes no row whose only target is right already. `<>` leaves rows out besides, those with a NULL: that says
 * something about a column that was there before, and nothing about one that is NULL in every row. */
static bool is_said_anyway(const struct rb_update *u, const struct rb_term *term)
{
    return term->is_difference && (!term->by_equality || u->derive || u->targets[0].column->added);
}

void rb_update_term(struct rb_update *u, const struct rb_term *term)
{
    struct rb *rb = u->s->rb;
    const struct rb_expr *expr = &term->expr;
    bool targets = false, others = false;
    for (size_t i = 0; i < expr->n_columns; i++) {
        bool is_target = rb_update_target(u, expr->columns[i]) != NULL;
        targets = targets || is_target;
        others = others || !is_target;
    }
    if (expr->is_volatile || (expr->is_now && u->derive)) {
        rb_error(rb, "condition-volatile", term->at, "Write the time or the value itself.",
                 "the condition is another one each time it is evaluated");
        return;
    }
    if (expr->is_now)
        rb_note(rb, "now", term->at, "Write the time itself where every shard shall write the same rows.",
                "the time in the condition is that of each batch: rows that come to match meanwhile may be written or "
                "not");
    if (expr->has_subquery)
        rb_note(
            rb, "subquery-once", term->at, NULL,
            "each batch asks the subquery of the condition anew: rows that it finds meanwhile may be written or not");
    if (targets && others && is_said_anyway(u, term)) {
        if (term->by_equality)
            rb_note(rb, "condition-null", term->at, NULL, "rows in which the target is NULL are filled too");
    } else if (targets && !others) {
        judge_guard(u, term);
    } else if (targets && u->derive) {
        rb_error(rb, "condition-mixed", term->at,
                 "Write terms that name only the filled columns and terms that name only others, with AND between "
                 "them. That a column differs from what fills it, a batch asks by itself; with several columns write "
                 "an UPDATE for each.",
                 "a term of the condition names both a column that is filled and another one");
    } else {
        u->filters[u->n_filters++] = *term;
        add_expr(rb, &u->filter_expr, expr);
    }
}

bool rb_update_has_room(struct rb_update *u, struct rb_place at)
{
    if (u->n_guards + u->n_filters < RB_TERMS_MAX)
        return true;
    rb_error(u->s->rb, "condition-long", at, "Write fewer.", "the condition has more than 64 terms");
    return false;
}

/* ---- expressions ---- */

/* What other tables hold, no trigger on this one can follow. */
static bool judge_subquery(struct rb_update *u, const struct rb_target *target)
{
    struct rb *rb = u->s->rb;
    if (!target->expr.has_subquery)
        return true;
    if (u->derive) {
        rb_error(rb, "subquery", rb_at(u->s, target->expr.subquery_at),
                 "No trigger can follow what it reads. Write ```sql {no-sync}: each row gets what holds when its batch "
                 "comes. Deploy code that keeps the column right before, and put a {check} behind.",
                 "the expression of %s holds a subquery", target->name);
        return false;
    }
    rb_note(rb, "subquery-once", target->at,
            "Code that keeps it right must run everywhere before this phase; put a ```sql {check} behind the UPDATE.",
            "each row of %s gets what the subquery gives when its batch comes, with the row held: what changes in the "
            "other table later is the application's",
            target->name);
    return true;
}

static bool judge_self(struct rb_update *u, const struct rb_target *target, const char *read)
{
    struct rb *rb = u->s->rb;
    bool own = strcmp(read, target->name) == 0;
    if (u->s->fence->no_sync) {
        u->idempotent = false;
        return true;
    }
    rb_error(rb, own ? "self-reference" : "target-read", target->at,
             "No trigger can keep that true. Write ```sql {no-sync} to run it once for each row that exists now, or "
             "fill a new column from this one.",
             own ? "the new value of %s is computed from its old one"
                 : "the value of %s is computed from another "
                   "column that the same UPDATE changes",
             target->name);
    return false;
}

static bool has_null_guard(const struct rb_update *u, const char *name)
{
    for (size_t i = 0; i < u->n_guards; i++) {
        const struct rb_term *term = &u->guards[i];
        if (term->null_of != NULL && term->is_null && strcmp(term->null_of, name) == 0)
            return true;
    }
    return false;
}

/* A value that differs each time is written only where nothing was written before. */
static bool judge_changing(struct rb_update *u, struct rb_target *target)
{
    struct rb *rb = u->s->rb;
    if (target->expr.is_now)
        rb_note(rb, "now", target->at, "Write the time itself where all rows shall have the same: '2026-01-01 00:00Z'.",
                "each row of %s gets the time at which it is filled", target->name);
    if (!target->expr.is_now && !target->expr.is_volatile)
        return true;
    if (target->column->added || has_null_guard(u, target->name)) {
        target->fill_once = true;
        return true;
    }
    if (u->s->fence->no_sync) {
        u->idempotent = false;
        return true;
    }
    rb_error(rb, "volatile-existing", target->at,
             rb_format(rb,
                       "Add AND %s IS NULL to fill only rows without a value, or write ```sql {no-sync} to give "
                       "every row that exists now a new value once.",
                       target->name),
             "the value of %s is another one each time, and the column exists already", target->name);
    return false;
}

/* The trigger would make the application's own statement fail. */
static void judge_null(struct rb_update *u, const struct rb_target *target)
{
    struct rb *rb = u->s->rb;
    if (!u->derive || !target->column->not_null || target->expr.n_columns == 0 || target->never_null)
        return;
    rb_warning(rb, "null-value", target->at,
               rb_format(rb, "Unless the columns that it reads are NOT NULL themselves, write COALESCE(…, %s).",
                         target->column->initial),
               "%s is NOT NULL: where the expression gives NULL, the trigger makes the application's INSERT or UPDATE "
               "fail",
               rb_plain(rb, target->name));
}

static bool judge_expressions(struct rb_update *u)
{
    bool ok = true, zone = false;
    for (size_t i = 0; i < u->n_targets; i++) {
        struct rb_target *target = &u->targets[i];
        for (size_t j = 0; j < target->expr.n_columns; j++) {
            if (rb_update_target(u, target->expr.columns[j]) == NULL)
                continue;
            ok = judge_self(u, target, target->expr.columns[j]) && ok;
            break;
        }
        ok = judge_subquery(u, target) && ok;
        ok = judge_changing(u, target) && ok;
        judge_null(u, target);
        zone = zone || target->expr.uses_zone;
    }
    if (zone || u->filter_expr.uses_zone)
        rb_note(u->s->rb, "time-zone", rb_at_start(u->s), NULL,
                u->s->rb->engine == ZDM_ENGINE_MYSQL
                    ? "dates and times are computed with time_zone +00:00 and in English, in batches "
                      "and in triggers"
                    : "dates and times are computed with TimeZone UTC and DateStyle ISO, in batches "
                      "and in triggers");
    return ok;
}

/* ---- copies, and what other parts of the plan say of the same columns ---- */

static bool is_source_of_pair(struct rb_update *u, const char *column)
{
    for (const struct rb_sync *sync = u->s->rb->syncs; sync != NULL; sync = sync->next) {
        const struct zdm_step *step = &sync->install->step;
        if (!step->derivation->both_ways || strcmp(step->table.name, u->table.name) != 0 ||
            strcmp(step->table.schema, u->table.schema) != 0)
            continue;
        for (size_t i = 0; i < step->derivation->n_assignments; i++) {
            if (strcmp(step->derivation->assignments[i].copy_of, column) == 0)
                return true;
        }
    }
    return false;
}

static void choose_direction(struct rb_update *u)
{
    struct rb *rb = u->s->rb;
    size_t copies = 0;
    bool clash = false;
    for (size_t i = 0; i < u->n_targets; i++) {
        struct rb_target *target = &u->targets[i];
        copies += target->copy_of != NULL;
        for (size_t j = 0; target->copy_of != NULL && j < i; j++)
            clash = clash || (u->targets[j].copy_of != NULL && strcmp(u->targets[j].copy_of, target->copy_of) == 0);
        clash = clash || (target->copy_of != NULL && is_source_of_pair(u, target->copy_of));
        if (u->derive && target->copy_of != NULL && target->column->initial != NULL)
            rb_error(rb, "copy-default", target->column->at.line > 0 ? target->column->at : target->at,
                     rb_format(rb, "Add %s without a DEFAULT.", target->name),
                     "a default of %s cannot be told from a value that the application wrote: the copy back into %s "
                     "would destroy data",
                     target->name, target->copy_of);
    }
    u->both_ways = u->derive && copies == u->n_targets && u->n_filters == 0 && !clash;
    if (u->derive && copies > 0 && !u->both_ways)
        rb_note(rb, "one-way", rb_at_start(u->s),
                copies < u->n_targets ? "Write copies and computed columns as UPDATEs of their own."
                                      : "A copy runs both ways when it has no condition and its source no other copy.",
                "what new code writes into the new column does not reach the old one: after the switch a rollback "
                "loses it");
}

static bool syncs_read(struct rb_update *u, const char *column)
{
    for (const struct rb_sync *sync = u->s->rb->syncs; sync != NULL; sync = sync->next) {
        const struct zdm_step *step = &sync->install->step;
        if (strcmp(step->table.name, u->table.name) != 0 || strcmp(step->table.schema, u->table.schema) != 0)
            continue;
        for (size_t i = 0; i < step->derivation->n_sources; i++) {
            if (strcmp(step->derivation->sources[i], column) == 0)
                return true;
        }
    }
    return false;
}

static void judge_source(struct rb_update *u, const char *column, struct rb_place at)
{
    if (rb_update_target(u, column) == NULL && rb_column_of(u->s->rb, &u->table, column)->sync != NULL)
        rb_error(u->s->rb, "sync-chain", at, "Write the expression over the columns that it is filled from.",
                 "%s is itself filled by a trigger: the two would have to run in order", column);
}

static void judge_neighbours(struct rb_update *u)
{
    struct rb *rb = u->s->rb;
    for (size_t i = 0; i < u->n_targets; i++) {
        const struct rb_target *target = &u->targets[i];
        if (target->column->sync != NULL)
            rb_error(rb, "target-twice", target->at, "Fill it with one UPDATE, using CASE.",
                     "column %s is filled by another UPDATE already", target->name);
        else if (u->derive && syncs_read(u, target->name))
            rb_error(rb, "sync-chain", target->at, "Write the other expression over the columns that this one reads.",
                     "another trigger reads %s: the two would have to run in order", target->name);
        for (size_t j = 0; u->derive && j < target->expr.n_columns; j++)
            judge_source(u, target->expr.columns[j], target->at);
        for (const struct rb_index *index = rb->indexes; index != NULL; index = index->next) {
            for (size_t j = 0; rb_same_table(&index->table, &u->table) && j < index->n_columns; j++) {
                if (strcmp(index->columns[j], target->name) == 0)
                    rb_error(rb, "index-before-backfill", index->at,
                             "Put the CREATE INDEX behind the UPDATE, at the end of the migrate phase.",
                             "the index %s would make every batch that fills %s slower and block inserts into tables "
                             "that refer to this one",
                             index->name, target->name);
            }
        }
    }
    for (size_t j = 0; u->derive && j < u->filter_expr.n_columns; j++)
        judge_source(u, u->filter_expr.columns[j], rb_at_word(u->s, 0, u->filter_expr.columns[j]));
}

/* ---- the derivation ---- */

static char *write(struct rb_update *u, const void *node, const char *prefix)
{
    const char *text = u->write(u->s->rb, node, prefix);
    if (text == NULL) {
        rb_error(u->s->rb, "expression", rb_at_start(u->s), "Write it more simply.",
                 "an expression of this statement cannot be written in a plan");
        text = "";
    }
    return rb_dup(text);
}

/* (a) AND (b); NULL without terms. */
static char *join(struct rb_update *u, const struct rb_term *terms, size_t n, const char *prefix)
{
    const char *text = NULL;
    for (size_t i = 0; i < n; i++) {
        char *term = write(u, terms[i].node, prefix);
        text = i == 0 ? rb_format(u->s->rb, "(%s)", term) : rb_format(u->s->rb, "%s AND (%s)", text, term);
        free(term);
    }
    return rb_dup(text);
}

static void add_sources(struct rb_update *u, struct zdm_derivation *d, const struct rb_expr *expr)
{
    for (size_t i = 0; i < expr->n_columns; i++) {
        bool there = rb_update_target(u, expr->columns[i]) != NULL;
        for (size_t j = 0; j < d->n_sources; j++)
            there = there || strcmp(d->sources[j], expr->columns[i]) == 0;
        if (!there)
            d->sources[d->n_sources++] = rb_dup(expr->columns[i]);
    }
}

struct zdm_derivation *rb_update_derive(struct rb_update *u, size_t first, size_t end)
{
    struct zdm_derivation *d = rb_heap(sizeof *d);
    size_t columns = u->filter_expr.n_columns;
    d->assignments = rb_heap((end - first) * sizeof *d->assignments);
    for (size_t i = first; i < end; i++) {
        const struct rb_target *target = &u->targets[i];
        struct zdm_assignment *a = &d->assignments[d->n_assignments++];
        a->target = rb_dup(target->name);
        a->expr = write(u, target->value, "t");
        a->expr_new = u->derive ? write(u, target->value, "NEW") : NULL;
        a->copy_of = rb_dup(target->copy_of);
        a->initial = rb_dup(target->column->initial);
        a->added = target->column->added;
        a->fill_once = target->fill_once;
        columns += target->expr.n_columns;
    }
    d->sources = rb_heap((columns + 1) * sizeof *d->sources);
    for (size_t i = first; i < end; i++)
        add_sources(u, d, &u->targets[i].expr);
    add_sources(u, d, &u->filter_expr);
    d->guard = join(u, u->guards, u->n_guards, "t");
    d->filter = join(u, u->filters, u->n_filters, "t");
    d->filter_new = u->derive ? join(u, u->filters, u->n_filters, "NEW") : NULL;
    d->filter_old = u->derive ? join(u, u->filters, u->n_filters, "OLD") : NULL;
    d->both_ways = u->both_ways;
    d->idempotent = u->idempotent;
    return d;
}

/* ---- what can be compared later, without a trigger ---- */

static bool reads_target(struct rb_update *u, const struct rb_expr *expr)
{
    for (size_t i = 0; i < expr->n_columns; i++) {
        if (rb_update_target(u, expr->columns[i]) != NULL)
            return true;
    }
    return false;
}

static bool can_be_asked_again(const struct rb_expr *expr)
{
    return !expr->is_now && !expr->is_volatile && !expr->has_subquery;
}

/* A column of this migration whose value follows from the row's other columns. */
static bool is_recomputable(struct rb_update *u, const struct rb_target *target)
{
    const struct rb_expr *expr = &target->expr;
    return target->column->added && !target->fill_once && expr->n_columns > 0 && can_be_asked_again(expr) &&
           !reads_target(u, expr);
}

/* What the application wrote itself, such a term leaves alone, and so does the comparison: it asks for rows that the
 * UPDATE would still change. False: what a term gives is another thing later. */
static bool take_guards_as_filters(struct rb_update *u)
{
    bool can = true;
    for (size_t i = 0; i < u->n_guards; i++) {
        can = can && can_be_asked_again(&u->guards[i].expr);
        add_expr(u->s->rb, &u->filter_expr, &u->guards[i].expr);
        u->filters[u->n_filters++] = u->guards[i];
    }
    u->n_guards = 0;
    return can && can_be_asked_again(&u->filter_expr);
}

struct zdm_derivation *rb_update_compared(struct rb_update *u)
{
    size_t n = 0;
    if (u->derive || !take_guards_as_filters(u))
        return NULL;
    for (size_t i = 0; i < u->n_targets; i++) {
        struct rb_target target = u->targets[i];
        if (!is_recomputable(u, &target))
            continue;
        u->targets[i] = u->targets[n];
        u->targets[n++] = target;
    }
    /* A target that is not compared is a column that the condition reads, like any other. */
    u->n_targets = n;
    return n == 0 ? NULL : rb_update_derive(u, 0, n);
}

void rb_update_finish(struct rb_update *u, size_t errors)
{
    struct rb *rb = u->s->rb;
    bool ok = judge_expressions(u);
    choose_direction(u);
    judge_neighbours(u);
    if (!ok || errors != rb->n_errors)
        return;
    struct zdm_derivation *d = rb_update_derive(u, 0, u->n_targets);
    if (errors != rb->n_errors) {
        zdm_derivation_free(d);
        return;
    }
    rb_update_steps(u, d);
}
