/*
 * update.c - UPDATE … SET of PostgreSQL, read for derive.c, which takes it apart into what a batch does and what a
 * trigger keeps true.
 *
 * A derived trigger means: at every commit after the backfill, for each row whose target the new code has not written
 * itself, the target holds what the whole UPDATE would give on a column never written before. From that follow
 *
 *   guard    top-level AND terms of WHERE that name only targets: for the batch, never for the trigger (a row filled
 *            once must follow its source)
 *   filter   terms that name only other columns: for both, over t, NEW and OLD
 *   mixed    refused, unless it is exactly "t IS DISTINCT FROM f" of the only target, which every batch checks anyway
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
                      "Write subqueries, which {no-sync} behind the fence's sql allows: SET x = (SELECT b.x FROM b "
                      "WHERE b.id = %s.b_id) WHERE EXISTS (SELECT FROM b WHERE b.id = %s.b_id). Without the condition "
                      "a row that FROM finds nothing for would get NULL.",
                      rb_plain(rb, u->stmt->relation->relname), rb_plain(rb, u->stmt->relation->relname)),
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
    const PgQuery__Node *value = value_of(res);
    *target = (struct rb_target){.name = res->name, .value = value, .at = at};
    if (value == NULL || value->node_case == PG_QUERY__NODE__NODE_SET_TO_DEFAULT) {
        rb_error(rb, "update-default", at, "Write the value.", "DEFAULT as a value is not known to the plan");
        return false;
    }
    if (res->val->node_case == PG_QUERY__NODE__NODE_MULTI_ASSIGN_REF &&
        value->node_case == PG_QUERY__NODE__NODE_SUB_LINK) {
        if (res->val->multi_assign_ref->colno == 1)
            rb_error(rb, "subquery", rb_at(u->s, value->sub_link->location),
                     "Write one for each: SET a = (SELECT …), b = (SELECT …).", "one subquery gives several columns");
        return false;
    }
    target->column = rb_column_of(rb, &u->table, res->name);
    target->expr.queries = RB_QUERIES_QUALIFIED;
    target->copy_of = rb_expr_column(value);
    target->never_null = is_never_null(value);
    u->n_targets++;
    return rb_expr_examine(u->s, u->stmt->relation, value, rb_format(rb, "the expression of %s", res->name),
                           &target->expr);
}

static bool read_targets(struct rb_update *u)
{
    bool ok = true;
    for (size_t i = 0; i < u->stmt->n_target_list; i++)
        ok = read_target(u, u->stmt->target_list[i]->res_target) && ok;
    return ok;
}

/* Where no trigger goes with it: there are subqueries then. */
static bool judge_own(const struct rb_update *u)
{
    bool ok = true;
    for (size_t i = 0; i < u->n_targets && !u->derive; i++) {
        const char *what = rb_format(u->s->rb, "the expression of %s", u->targets[i].name);
        ok = rb_own_in_update(u, &u->targets[i].expr, what) && ok;
    }
    return ok;
}

static const char *write_node(struct rb *rb, const void *node, const char *prefix)
{
    return rb_expr_write(rb, node, prefix);
}

void rb_compile_update(struct rb_statement *s, PgQuery__UpdateStmt *stmt)
{
    struct rb *rb = s->rb;
    struct rb_update *u = rb_alloc(rb, sizeof *u);
    size_t errors = rb->n_errors;
    u->s = s;
    u->stmt = stmt;
    u->write = write_node;
    if (!may_be_batched(u) || !read_targets(u) || !rb_update_choose_sync(u) || !judge_own(u))
        return;
    if (stmt->where_clause != NULL)
        rb_split_where(u, stmt->where_clause);
    if (errors == rb->n_errors)
        rb_update_may_fail(u);
    rb_update_finish(u, errors);
}
