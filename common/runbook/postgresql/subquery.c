/*
 * subquery.c - subqueries of an UPDATE or DELETE that no trigger follows: which names inside mean the row that is
 * changed, and which mean what the subquery reads.
 *
 * Names that mean the row are rewritten in the tree, as columns of `outer_row`, so that rb_expr_write finds them again;
 * tables without a schema get the runbook's, since the agent's search_path is pg_catalog.
 */
#include "common/runbook/postgresql/tree.h"

#include <string.h>

static const char outer_row[] = "zdm0row";

/* Does an item of FROM have that name? */
static bool has_name(const PgQuery__Node *item, const char *name)
{
    switch ((int)item->node_case) {
    case PG_QUERY__NODE__NODE_RANGE_VAR: {
        const PgQuery__RangeVar *table = item->range_var;
        return strcmp(table->alias != NULL ? table->alias->aliasname : table->relname, name) == 0;
    }
    case PG_QUERY__NODE__NODE_RANGE_SUBSELECT:
        return item->range_subselect->alias != NULL && strcmp(item->range_subselect->alias->aliasname, name) == 0;
    case PG_QUERY__NODE__NODE_JOIN_EXPR:
        return has_name(item->join_expr->larg, name) || has_name(item->join_expr->rarg, name) ||
               (item->join_expr->alias != NULL && strcmp(item->join_expr->alias->aliasname, name) == 0);
    default:
        return false;
    }
}

static bool scope_has(const struct rb_scope *scope, const char *name)
{
    for (; scope != NULL; scope = scope->outer) {
        for (size_t i = 0; i < scope->select->n_from_clause; i++) {
            if (has_name(scope->select->from_clause[i], name))
                return true;
        }
    }
    return false;
}

static bool is_name(const PgQuery__Node *field, const char *name)
{
    return field->node_case == PG_QUERY__NODE__NODE_STRING && strcmp(rb_string(field), name) == 0;
}

enum rb_meaning rb_scope_meaning(const struct rb_scope *scope, const PgQuery__RangeVar *changed, const char *schema,
                                 const PgQuery__ColumnRef *ref)
{
    const char *name = changed->alias != NULL ? changed->alias->aliasname : changed->relname;
    if (rb_names_outer_row(ref))
        return RB_MEANS_ROW;
    if (ref->fields[ref->n_fields - 1]->node_case != PG_QUERY__NODE__NODE_STRING)
        return RB_MEANS_INNER; /* t.*: the whole of what is read there */
    if (ref->n_fields == 1)
        return RB_MEANS_EITHER;
    if (ref->n_fields == 3 && changed->alias == NULL && is_name(ref->fields[0], schema) &&
        is_name(ref->fields[1], changed->relname) && !scope_has(scope, changed->relname))
        return RB_MEANS_ROW;
    return ref->n_fields == 2 && is_name(ref->fields[0], name) && !scope_has(scope, name) ? RB_MEANS_ROW
                                                                                          : RB_MEANS_INNER;
}

bool rb_names_outer_row(const PgQuery__ColumnRef *ref)
{
    return ref->n_fields == 2 && is_name(ref->fields[0], outer_row);
}

void rb_name_outer_row(const PgQuery__ColumnRef *ref)
{
    PgQuery__ColumnRef *own = (PgQuery__ColumnRef *)(uintptr_t)ref;
    while (own->n_fields > 2) {
        pg_query__node__free_unpacked(own->fields[0], NULL);
        own->n_fields--;
        memmove(own->fields, own->fields + 1, own->n_fields * sizeof *own->fields);
    }
    rb_set_string(&own->fields[0]->string->sval, outer_row);
}

const char *rb_subquery_refused(const PgQuery__SelectStmt *select)
{
    if (select->with_clause != NULL)
        return "has a subquery with WITH";
    if (select->n_locking_clause > 0)
        return "has a subquery that locks rows";
    if (select->into_clause != NULL)
        return "has a subquery with INTO";
    for (size_t i = 0; i < select->n_from_clause; i++) {
        if (has_name(select->from_clause[i], "t"))
            return "has a subquery that calls a table t, as the plan calls the row that is changed";
    }
    return NULL;
}

/* LIMIT ALL is none. */
static bool is_limit(const PgQuery__Node *count)
{
    return count != NULL && !(count->node_case == PG_QUERY__NODE__NODE_A_CONST && count->a_const->isnull);
}

/* LIMIT 1 and the like: whichever row it is, there is one. */
static bool is_harmless_limit(const PgQuery__SelectStmt *select)
{
    const PgQuery__Node *count = select->limit_count;
    return select->limit_offset == NULL && count->node_case == PG_QUERY__NODE__NODE_A_CONST &&
           count->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL && count->a_const->ival->ival > 0;
}

const char *rb_subquery_any(const PgQuery__SelectStmt *select, bool in_exists)
{
    bool on = select->n_distinct_clause > 0 && select->distinct_clause[0]->node_case != PG_QUERY__NODE__NODE__NOT_SET;
    if (select->n_sort_clause > 0)
        return NULL;
    if (on && !in_exists)
        return "has a subquery with DISTINCT ON and no ORDER BY";
    if (is_limit(select->limit_count) && !(in_exists && is_harmless_limit(select)))
        return "has a subquery with LIMIT and no ORDER BY";
    return select->limit_offset != NULL && !in_exists ? "has a subquery with OFFSET and no ORDER BY" : NULL;
}

void rb_subquery_schema(const struct rb *rb, const PgQuery__RangeVar *table)
{
    if (table->schemaname[0] == '\0' && strncmp(table->relname, "pg_", 3) != 0)
        rb_set_string(&((PgQuery__RangeVar *)(uintptr_t)table)->schemaname, rb->front.schema);
}
