/*
 * update.c - UPDATE … SET, taken apart into what a batch does and what a trigger keeps true.
 *
 * A derived trigger means: at every commit after the backfill, for each row whose target the new code has not written
 * itself, the target holds what the whole UPDATE would give on a column never written before. From that follow
 *
 *   guard    top-level AND terms of WHERE that name only targets: for the batch, never for the trigger (a row filled
 *            once must follow its source)
 *   filter   terms that name only other columns: for both, over t, NEW and OLD
 *   mixed    refused, unless it is exactly "t IS DISTINCT FROM f", which every batch checks anyway
 *   sources  whatever the expressions and the filter read: the trigger compares all of them, not what SET names
 *
 * and what cannot keep that meaning is refused here. What needs the catalogue (types, NOT NULL, the key) the agent
 * decides before it installs anything.
 */
#include "common/runbook/update.h"

#include <stdlib.h>
#include <string.h>

/* ---- what the statement may be ---- */

/* Where FROM stands: EXTRACT and SUBSTRING have a FROM of their own. */
static struct rb_place place_of_from(const struct rb_update *u)
{
    const PgQuery__Node *first = u->stmt->from_clause[0];
    if (first->node_case != PG_QUERY__NODE__NODE_RANGE_VAR)
        return rb_at_word(u->s, 0, "from");
    return rb_at_word_before(u->s, (size_t)first->range_var->location, "from");
}

static bool may_be_batched(struct rb_update *u)
{
    struct rb_statement *s = u->s;
    struct rb *rb = s->rb;
    size_t errors = rb->n_errors;
    if (u->stmt->with_clause != NULL)
        rb_error(rb, "update-with", rb_at_start(s), "Compute each row's value from its own columns.",
                 "an UPDATE with WITH cannot be done row by row");
    if (u->stmt->n_from_clause > 0)
        rb_error(
            rb, "update-from", place_of_from(u),
            rb_format(rb,
                      "Write a subquery, which {no-sync} behind the fence's sql allows: SET x = (SELECT b.x FROM b "
                      "WHERE b.id = %s.b_id).",
                      rb_plain(rb, u->stmt->relation->relname)),
            "an UPDATE that reads another table (FROM) cannot be done row by row");
    if (u->stmt->n_returning_list > 0)
        rb_error(rb, "update-returning", rb_at_word(s, 0, "returning"), "Leave RETURNING out.",
                 "nobody reads what a batch returns");
    if (s->phase->class != ZDM_PHASE_MIGRATE)
        rb_error(rb, "update-outside-migrate", rb_at_start(s), "Move it to a migrate phase: ## Phase 2: Migrate.",
                 "UPDATE belongs into a migrate phase, and this is %s %s phase",
                 s->phase->class == ZDM_PHASE_EXPAND ? "an" : "a", zdm_phase_class_name(s->phase->class));
    return rb_relation(s, u->stmt->relation, &u->table) && errors == rb->n_errors;
}

/* The value of a target in SET (a, b) = (x, y). */
static PgQuery__Node *value_of(const PgQuery__ResTarget *target)
{
    PgQuery__Node *value = target->val;
    if (value == NULL || value->node_case != PG_QUERY__NODE__NODE_MULTI_ASSIGN_REF)
        return value;
    const PgQuery__MultiAssignRef *ref = value->multi_assign_ref;
    if (ref->source == NULL || ref->source->node_case != PG_QUERY__NODE__NODE_ROW_EXPR)
        return ref->source; /* a subquery: refused as one */
    const PgQuery__RowExpr *row = ref->source->row_expr;
    return ref->colno >= 1 && (size_t)ref->colno <= row->n_args ? row->args[ref->colno - 1] : NULL;
}

static bool read_target(struct rb_update *u, const PgQuery__ResTarget *res)
{
    struct rb *rb = u->s->rb;
    struct rb_place at = rb_at(u->s, res->location);
    struct rb_target *target = &u->targets[u->n_targets];
    if (u->n_targets == RB_TARGETS_MAX || rb_update_target(u, res->name) != NULL) {
        rb_error(rb, "update-target", at, "Assign each column once.",
                 u->n_targets == RB_TARGETS_MAX ? "more than 32 columns are assigned" : "column %s is assigned twice",
                 res->name);
        return false;
    }
    if (res->n_indirection > 0) {
        rb_error(rb, "update-part", at, "Assign the whole column.",
                 "a part of column %s (a field or an element) cannot be assigned", res->name);
        return false;
    }
    *target = (struct rb_target){.name = res->name, .value = value_of(res), .at = at};
    if (target->value == NULL || target->value->node_case == PG_QUERY__NODE__NODE_SET_TO_DEFAULT) {
        rb_error(rb, "update-default", at, "Write the value.", "DEFAULT as a value is not known to the plan");
        return false;
    }
    if (res->val->node_case == PG_QUERY__NODE__NODE_MULTI_ASSIGN_REF &&
        target->value->node_case == PG_QUERY__NODE__NODE_SUB_LINK) {
        if (res->val->multi_assign_ref->colno == 1)
            rb_error(rb, "subquery", rb_at(u->s, target->value->sub_link->location),
                     "Write one for each: SET a = (SELECT …), b = (SELECT …).", "one subquery gives several columns");
        return false;
    }
    target->column = rb_column_of(rb, &u->table, res->name);
    target->expr.queries = RB_QUERIES_QUALIFIED;
    u->n_targets++;
    return rb_expr_examine(u->s, u->stmt->relation, target->value, rb_format(rb, "the expression of %s", res->name),
                           &target->expr);
}

static bool read_targets(struct rb_update *u)
{
    bool ok = true;
    for (size_t i = 0; i < u->stmt->n_target_list; i++)
        ok = read_target(u, u->stmt->target_list[i]->res_target) && ok;
    return ok;
}

/* Does a trigger go with it? By default for columns that this runbook added, and for no other. */
static bool choose_sync(struct rb_update *u)
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
        const PgQuery__Node *term = u->guards[i];
        if (term->node_case != PG_QUERY__NODE__NODE_NULL_TEST ||
            term->null_test->nulltesttype != PG_QUERY__NULL_TEST_TYPE__IS_NULL)
            continue;
        const char *column = rb_expr_column(term->null_test->arg);
        if (column != NULL && strcmp(column, name) == 0)
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

/* Is a value sure, whatever the row holds? */
static bool is_never_null(const PgQuery__Node *node)
{
    switch ((int)node->node_case) {
    case PG_QUERY__NODE__NODE_A_CONST:
        return !node->a_const->isnull;
    case PG_QUERY__NODE__NODE_NULL_TEST:
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
        return true;
    case PG_QUERY__NODE__NODE_TYPE_CAST:
        return is_never_null(node->type_cast->arg);
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        for (size_t i = 0; i < node->coalesce_expr->n_args; i++) {
            if (is_never_null(node->coalesce_expr->args[i]))
                return true;
        }
        return false;
    case PG_QUERY__NODE__NODE_CASE_EXPR:
        for (size_t i = 0; i < node->case_expr->n_args; i++) {
            if (!is_never_null(node->case_expr->args[i]->case_when->result))
                return false;
        }
        return node->case_expr->defresult != NULL && is_never_null(node->case_expr->defresult);
    default:
        return false;
    }
}

/* The trigger would make the application's own statement fail. */
static void judge_null(struct rb_update *u, const struct rb_target *target)
{
    struct rb *rb = u->s->rb;
    if (!u->derive || !target->column->not_null || target->expr.n_columns == 0 || is_never_null(target->value))
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
                "dates and times are computed with TimeZone UTC and DateStyle ISO, in batches and in triggers");
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
        target->copy_of = rb_expr_column(target->value);
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

static char *write(struct rb_update *u, const PgQuery__Node *node, const char *prefix)
{
    const char *text = rb_expr_write(u->s->rb, node, prefix);
    if (text == NULL) {
        rb_error(u->s->rb, "expression", rb_at_start(u->s), "Write it more simply.",
                 "an expression of this statement cannot be written in a plan");
        text = "";
    }
    return rb_dup(text);
}

/* (a) AND (b); NULL without terms. */
static char *join(struct rb_update *u, PgQuery__Node *const *terms, size_t n, const char *prefix)
{
    const char *text = NULL;
    for (size_t i = 0; i < n; i++) {
        char *term = write(u, terms[i], prefix);
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

void rb_compile_update(struct rb_statement *s, PgQuery__UpdateStmt *stmt)
{
    struct rb *rb = s->rb;
    struct rb_update *u = rb_alloc(rb, sizeof *u);
    size_t errors = rb->n_errors;
    u->s = s;
    u->stmt = stmt;
    if (!may_be_batched(u) || !read_targets(u) || !choose_sync(u))
        return;
    if (stmt->where_clause != NULL)
        rb_split_where(u, stmt->where_clause);
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
