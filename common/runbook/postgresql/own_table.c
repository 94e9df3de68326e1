/*
 * own_table.c - subqueries over the very table that is changed.
 *
 * A single statement asks them once, before it changes anything; each of our batches asks anew, and sees what the
 * batches before it did. So a DELETE may not ask them at all, and an UPDATE only for columns that it does not write:
 * neither by itself nor by the triggers of this plan.
 */
#include "common/runbook/update.h"

#include <string.h>

static const char *name_of(const PgQuery__RangeVar *table)
{
    return table->alias != NULL ? table->alias->aliasname : table->relname;
}

static bool is_own(const struct rb *rb, const PgQuery__RangeVar *changed, const PgQuery__RangeVar *table)
{
    const char *a = changed->schemaname[0] != '\0' ? changed->schemaname : rb->front.schema;
    const char *b = table->schemaname[0] != '\0' ? table->schemaname : rb->front.schema;
    return strcmp(changed->relname, table->relname) == 0 && strcmp(a, b) == 0;
}

static struct rb_expr *own_of(struct rb *rb, struct rb_expr *out)
{
    if (out->own == NULL)
        out->own = rb_alloc(rb, sizeof *out->own);
    return out->own;
}

/* ---- what stands in FROM ---- */

void rb_own_table(struct rb *rb, const PgQuery__RangeVar *changed, const PgQuery__RangeVar *table, struct rb_expr *out)
{
    if (!is_own(rb, changed, table))
        return;
    if (out->own_at == 0)
        out->own_at = table->location;
    own_of(rb, out);
    out->own_whole = out->own_whole || (table->alias != NULL && table->alias->n_colnames > 0); /* other names */
}

/* Does an item of FROM hold the changed table, itself or in a join? What a subquery in it reads is looked at there. */
static bool holds_own(const struct rb *rb, const PgQuery__RangeVar *changed, const PgQuery__Node *item)
{
    if (item == NULL)
        return false;
    if (item->node_case == PG_QUERY__NODE__NODE_RANGE_VAR)
        return is_own(rb, changed, item->range_var);
    return item->node_case == PG_QUERY__NODE__NODE_JOIN_EXPR &&
           (holds_own(rb, changed, item->join_expr->larg) || holds_own(rb, changed, item->join_expr->rarg));
}

void rb_own_join(struct rb *rb, const PgQuery__RangeVar *changed, const PgQuery__JoinExpr *join, struct rb_expr *out)
{
    if (!holds_own(rb, changed, join->larg) && !holds_own(rb, changed, join->rarg))
        return;
    out->own_whole = out->own_whole || join->is_natural || (join->alias != NULL && join->alias->n_colnames > 0);
    for (size_t i = 0; i < join->n_using_clause; i++)
        rb_expr_add(rb, own_of(rb, out), rb_string(join->using_clause[i]));
}

/* ---- what is read of it ---- */

/* The item of that name, the join around it where that has the name; NULL when there is none. */
static const PgQuery__Node *find_item(const PgQuery__Node *item, const char *name)
{
    if (item == NULL)
        return NULL;
    if (item->node_case == PG_QUERY__NODE__NODE_RANGE_VAR)
        return strcmp(name_of(item->range_var), name) == 0 ? item : NULL;
    if (item->node_case == PG_QUERY__NODE__NODE_RANGE_SUBSELECT) {
        const PgQuery__Alias *alias = item->range_subselect->alias;
        return alias != NULL && strcmp(alias->aliasname, name) == 0 ? item : NULL;
    }
    if (item->node_case != PG_QUERY__NODE__NODE_JOIN_EXPR)
        return NULL;
    const PgQuery__JoinExpr *join = item->join_expr;
    if (join->alias != NULL)
        return strcmp(join->alias->aliasname, name) == 0 ? item : NULL;
    const PgQuery__Node *left = find_item(join->larg, name);
    return left != NULL ? left : find_item(join->rarg, name);
}

static const PgQuery__Node *find_in_scope(const struct rb_scope *scope, const char *name)
{
    for (; scope != NULL; scope = scope->outer) {
        for (size_t i = 0; i < scope->select->n_from_clause; i++) {
            const PgQuery__Node *item = find_item(scope->select->from_clause[i], name);
            if (item != NULL)
                return item;
        }
    }
    return NULL;
}

static bool scope_holds_own(const struct rb *rb, const PgQuery__RangeVar *changed, const struct rb_scope *scope)
{
    for (size_t i = 0; i < scope->select->n_from_clause; i++) {
        if (holds_own(rb, changed, scope->select->from_clause[i]))
            return true;
    }
    return false;
}

void rb_own_column(struct rb *rb, const PgQuery__RangeVar *changed, const struct rb_scope *scope,
                   const PgQuery__ColumnRef *ref, struct rb_expr *out)
{
    const PgQuery__Node *last = ref->fields[ref->n_fields - 1];
    const char *name = last->node_case == PG_QUERY__NODE__NODE_STRING ? rb_string(last) : NULL;
    const char *table = ref->n_fields > 1 ? rb_string(ref->fields[ref->n_fields - 2]) : name;
    const PgQuery__Node *item = table == NULL ? NULL : find_in_scope(scope, table);
    bool own = item != NULL && holds_own(rb, changed, item);
    if (ref->n_fields == 1 && item == NULL) {
        for (const struct rb_scope *s = scope; s != NULL && !own; s = name == NULL ? NULL : s->outer)
            own = scope_holds_own(rb, changed, s);
    } else if (ref->n_fields == 1) {
        name = NULL; /* the row of the table itself */
    }
    if (!own)
        return;
    out->own_whole = out->own_whole || name == NULL || rb_is_system_column(name);
    if (name != NULL)
        rb_expr_add(rb, own_of(rb, out), name);
}

/* ---- what is changed of it ---- */

static bool assigns(const struct zdm_derivation *d, const char *name)
{
    for (size_t i = 0; i < d->n_assignments; i++) {
        if (strcmp(d->assignments[i].target, name) == 0)
            return true;
    }
    return false;
}

static void add_sources(struct rb *rb, struct rb_expr *changed, const struct zdm_derivation *d)
{
    for (size_t i = 0; i < d->n_sources; i++)
        rb_expr_add(rb, changed, d->sources[i]);
}

/* A trigger of this plan that follows one of the columns. */
static void follow(struct rb *rb, struct rb_expr *changed, const struct zdm_derivation *d)
{
    bool fires = false, back = false;
    for (size_t i = 0; i < d->n_sources; i++)
        fires = fires || rb_expr_reads(changed, d->sources[i]);
    for (size_t i = 0; i < changed->n_columns && d->both_ways; i++)
        back = back || assigns(d, changed->columns[i]);
    for (size_t i = 0; i < d->n_assignments && fires; i++)
        rb_expr_add(rb, changed, d->assignments[i].target);
    if (back)
        add_sources(rb, changed, d);
}

/* Every column that the batches change, until no trigger adds another one. */
static struct rb_expr changed_by(const struct rb_update *u)
{
    struct rb *rb = u->s->rb;
    struct rb_expr changed = {.n_columns = 0};
    for (size_t i = 0; i < u->n_targets; i++)
        rb_expr_add(rb, &changed, u->targets[i].name);
    for (size_t before = 0; before != changed.n_columns;) {
        before = changed.n_columns;
        for (const struct rb_sync *sync = rb->syncs; sync != NULL; sync = sync->next) {
            const struct zdm_step *step = &sync->install->step;
            if (strcmp(step->table.name, u->table.name) == 0 && strcmp(step->table.schema, u->table.schema) == 0)
                follow(rb, &changed, step->derivation);
        }
    }
    return changed;
}

bool rb_own_in_update(const struct rb_update *u, const struct rb_expr *expr, const char *what)
{
    struct rb *rb = u->s->rb;
    const struct rb_expr changed = changed_by(u);
    const char *read = expr->own_whole ? "whole rows" : NULL;
    for (size_t i = 0; expr->own != NULL && read == NULL && i < expr->own->n_columns; i++)
        read = rb_expr_reads(&changed, expr->own->columns[i]) ? rb_plain(rb, expr->own->columns[i]) : NULL;
    if (expr->own == NULL || read == NULL)
        return true;
    rb_error(rb, "subquery-own-table", rb_at(u->s, expr->own_at),
             "Each batch would ask anew, and find what the batches before it wrote. Name the columns that are read, "
             "none of those that are written; or fill a new column with what the subquery gives, in an UPDATE of its "
             "own before this one; or compute a value like max(id) now, and write it as a constant.",
             "%s holds a subquery that reads %s of %s, which the same UPDATE changes", what, read,
             rb_table_text(rb, &u->table));
    return false;
}

bool rb_own_in_delete(const struct rb_deletion *d)
{
    struct rb *rb = d->s->rb;
    if (d->condition.own == NULL)
        return true;
    rb_error(
        rb, "subquery-own-table", rb_at(d->s, d->condition.own_at),
        "Each batch would ask anew, when some rows are gone. Write a condition on the row's own columns; or mark "
        "the rows first, in a column that the runbook adds: UPDATE … SET doomed = (…) in a ```sql {no-sync}, and "
        "behind it DELETE … WHERE doomed; a later runbook of its own drops the column. Or compute a limit like max(id) "
        "now, and write it as a constant.",
        "the condition holds a subquery over %s, of which the same DELETE takes rows away",
        rb_table_text(rb, &d->table));
    return false;
}
