/*
 * where.c - the condition of an UPDATE: which terms are for the batch alone and which for the trigger too (see
 * update.c).
 */
#include "common/runbook/update.h"

#include <string.h>

struct rb_target *rb_update_target(struct rb_update *u, const char *name)
{
    for (size_t i = 0; i < u->n_targets; i++) {
        if (strcmp(u->targets[i].name, name) == 0)
            return &u->targets[i];
    }
    return NULL;
}

/* t IS DISTINCT FROM f, or t <> f, for a target and its own expression. */
static bool is_difference(struct rb_update *u, const PgQuery__Node *term, bool *out_by_equality)
{
    if (term->node_case != PG_QUERY__NODE__NODE_A_EXPR)
        return false;
    const PgQuery__AExpr *e = term->a_expr;
    const char *op = e->n_name == 1 ? rb_string(e->name[0]) : "";
    *out_by_equality = e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP && strcmp(op, "<>") == 0;
    if ((e->kind != PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT && !*out_by_equality) || e->lexpr == NULL)
        return false;
    for (size_t i = 0; i < u->n_targets; i++) {
        const char *left = rb_expr_column(e->lexpr), *right = rb_expr_column(e->rexpr);
        const struct rb_target *target = &u->targets[i];
        if ((left != NULL && strcmp(left, target->name) == 0 && rb_same_node(u->s->rb, e->rexpr, target->value)) ||
            (right != NULL && strcmp(right, target->name) == 0 && rb_same_node(u->s->rb, e->lexpr, target->value)))
            return true;
    }
    return false;
}

static int location_of(const PgQuery__Node *term)
{
    switch ((int)term->node_case) {
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return term->column_ref->location;
    case PG_QUERY__NODE__NODE_A_EXPR:
        return term->a_expr->lexpr != NULL ? location_of(term->a_expr->lexpr) : term->a_expr->location;
    case PG_QUERY__NODE__NODE_NULL_TEST:
        return location_of(term->null_test->arg);
    case PG_QUERY__NODE__NODE_BOOL_EXPR:
        return term->bool_expr->boolop == PG_QUERY__BOOL_EXPR_TYPE__NOT_EXPR ? term->bool_expr->location
                                                                             : location_of(term->bool_expr->args[0]);
    case PG_QUERY__NODE__NODE_FUNC_CALL:
        return term->func_call->location;
    case PG_QUERY__NODE__NODE_A_CONST:
        return term->a_const->location;
    case PG_QUERY__NODE__NODE_TYPE_CAST:
        return location_of(term->type_cast->arg);
    case PG_QUERY__NODE__NODE_SUB_LINK:
        return term->sub_link->testexpr != NULL ? location_of(term->sub_link->testexpr) : term->sub_link->location;
    default:
        return -1;
    }
}

static struct rb_place place_of_term(struct rb_update *u, const PgQuery__Node *term)
{
    int location = location_of(term);
    return location >= 0 ? rb_at(u->s, location) : rb_at_word(u->s, 0, "where");
}

/* A row that nobody filled yet holds the initial value: is the guard true for it? Known for IS NULL and IS NOT NULL. */
static void judge_guard(struct rb_update *u, PgQuery__Node *term)
{
    struct rb *rb = u->s->rb;
    u->guards[u->n_guards++] = term;
    if (!u->derive || term->node_case != PG_QUERY__NODE__NODE_NULL_TEST)
        return;
    const char *name = rb_expr_column(term->null_test->arg);
    const struct rb_target *target = name == NULL ? NULL : rb_update_target(u, name);
    if (target == NULL || !target->column->added)
        return;
    bool is_null = term->null_test->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL;
    if (!is_null && target->column->initial == NULL)
        rb_error(rb, "guard-never-true", place_of_term(u, term), "Write IS NULL, or leave the condition out.",
                 "%s is NULL in every row before it is filled", name);
    else if (is_null && target->column->initial != NULL)
        rb_error(rb, "guard-never-true", place_of_term(u, term), "Leave the condition out.",
                 "%s holds %s in every row before it is filled, and is not NULL", name, target->column->initial);
}

static void judge_term(struct rb_update *u, PgQuery__Node *term)
{
    struct rb *rb = u->s->rb;
    struct rb_expr expr = {.queries = u->derive ? RB_QUERIES_REFUSED : RB_QUERIES_ANY};
    struct rb_place at = place_of_term(u, term);
    if (u->n_guards + u->n_filters == RB_TERMS_MAX) {
        rb_error(rb, "condition-long", at, "Write fewer.", "the condition has more than 64 terms");
        return;
    }
    if (!rb_expr_examine(u->s, u->stmt->relation, term, "the condition", &expr))
        return;
    bool targets = false, others = false, by_equality = false;
    for (size_t i = 0; i < expr.n_columns; i++) {
        bool is_target = rb_update_target(u, expr.columns[i]) != NULL;
        targets = targets || is_target;
        others = others || !is_target;
    }
    if (expr.is_volatile || (expr.is_now && u->derive)) {
        rb_error(rb, "condition-volatile", at, "Write the time or the value itself.",
                 "the condition is another one each time it is evaluated");
    } else if (targets && others && is_difference(u, term, &by_equality)) {
        if (by_equality)
            rb_note(rb, "condition-null", at, NULL, "rows in which the target is NULL are filled too");
    } else if (targets && !others) {
        judge_guard(u, term);
    } else if (targets && u->derive) {
        rb_error(rb, "condition-mixed", at,
                 "Write terms that name only the filled columns and terms that name only others, with AND between "
                 "them.",
                 "a term of the condition names both a column that is filled and another one");
    } else {
        u->filters[u->n_filters++] = term;
        u->filter_expr.queries = expr.queries;
        (void)rb_expr_examine(u->s, u->stmt->relation, term, "the condition", &u->filter_expr);
    }
}

void rb_split_where(struct rb_update *u, PgQuery__Node *node)
{
    if (node->node_case == PG_QUERY__NODE__NODE_BOOL_EXPR &&
        node->bool_expr->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR) {
        for (size_t i = 0; i < node->bool_expr->n_args; i++)
            rb_split_where(u, node->bool_expr->args[i]);
        return;
    }
    judge_term(u, node);
}
