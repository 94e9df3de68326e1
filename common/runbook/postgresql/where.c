/*
 * where.c - the condition of an UPDATE: which terms are for the batch alone and which for the trigger too (see
 * update.c).
 */
#include "common/runbook/update.h"

#include <string.h>

/* t IS DISTINCT FROM f, or t <> f, for the only target and its own expression. */
static bool is_difference(struct rb_update *u, const PgQuery__Node *term, bool *out_by_equality)
{
    if (term->node_case != PG_QUERY__NODE__NODE_A_EXPR)
        return false;
    const PgQuery__AExpr *e = term->a_expr;
    const char *op = e->n_name == 1 ? rb_string(e->name[0]) : "";
    *out_by_equality = e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP && strcmp(op, "<>") == 0;
    if ((e->kind != PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT && !*out_by_equality) || e->lexpr == NULL)
        return false;
    const char *left = rb_expr_column(e->lexpr), *right = rb_expr_column(e->rexpr);
    const struct rb_target *target = &u->targets[0];
    return u->n_targets == 1 &&
           ((left != NULL && strcmp(left, target->name) == 0 && rb_same_node(u->s->rb, e->rexpr, target->value)) ||
            (right != NULL && strcmp(right, target->name) == 0 && rb_same_node(u->s->rb, e->lexpr, target->value)));
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

static void read_term(struct rb_update *u, PgQuery__Node *node)
{
    struct rb_term term = {.node = node, .at = place_of_term(u, node)};
    term.expr.queries = u->derive ? RB_QUERIES_REFUSED : RB_QUERIES_ANY;
    if (!rb_update_has_room(u, term.at) || !rb_expr_examine(u->s, u->stmt->relation, node, "the condition", &term.expr))
        return;
    if (!rb_own_in_update(u, &term.expr, "the condition"))
        return;
    term.is_difference = is_difference(u, node, &term.by_equality);
    if (node->node_case == PG_QUERY__NODE__NODE_NULL_TEST) {
        term.null_of = rb_expr_column(node->null_test->arg);
        term.is_null = node->null_test->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL;
    }
    rb_update_term(u, &term);
}

void rb_split_where(struct rb_update *u, PgQuery__Node *node)
{
    if (node->node_case == PG_QUERY__NODE__NODE_BOOL_EXPR &&
        node->bool_expr->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR) {
        for (size_t i = 0; i < node->bool_expr->n_args; i++)
            rb_split_where(u, node->bool_expr->args[i]);
        return;
    }
    read_term(u, node);
}
