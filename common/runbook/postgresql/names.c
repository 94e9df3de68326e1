/*
 * names.c - the names that PostgreSQL would choose, chosen now: a retry after a crash must find the leftover of the
 * attempt before, and what a plan does must have a name in it.
 */
#include "common/runbook/postgresql/ddl.h"

#include <string.h>

enum { NAME_MAX_BYTES = 63 };

static size_t clip(const char *text, size_t n)
{
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    return n;
}

/* The longer of the two parts is shortened until it fits. */
static const char *make_name(struct rb *rb, const char *table, const char *columns, const char *label)
{
    size_t n = strlen(table), m = strlen(columns), rest = strlen(label) + 1 + (m > 0);
    while (n + m + rest > NAME_MAX_BYTES) {
        if (n > m)
            n--;
        else
            m--;
    }
    n = clip(table, n);
    m = clip(columns, m);
    return rb_format(rb, "%.*s%s%.*s_%s", (int)n, table, m > 0 ? "_" : "", (int)m, columns, label);
}

static bool is_taken(const struct rb *rb, const struct rb_table *table, const char *name)
{
    for (const struct rb_index *index = rb->indexes; index != NULL; index = index->next) {
        if (strcmp(index->name, name) == 0 && strcmp(index->table.schema, table->schema) == 0)
            return true;
    }
    for (const struct rb_object *object = rb->objects; object != NULL; object = object->next) {
        if (object->kind == RB_OBJECT_CONSTRAINT && object->created && rb_same_table(&object->table, table) &&
            strcmp(object->name, name) == 0)
            return true;
    }
    return false;
}

const char *rb_choose_name(struct rb *rb, const struct rb_table *table, const char *columns, const char *label)
{
    const char *name = make_name(rb, table->name, columns, label);
    for (unsigned i = 1; is_taken(rb, table, name); i++)
        name = make_name(rb, table->name, columns, rb_format(rb, "%s%u", label, i));
    return name;
}

const char *rb_join_names(struct rb *rb, const char *const *names, size_t n)
{
    const char *text = "";
    for (size_t i = 0; i < n; i++)
        text = rb_format(rb, "%s%s%s", text, i == 0 ? "" : "_", names[i]);
    return text;
}

/* ---- indexes ---- */

static const char *expression_name(const PgQuery__Node *node, bool *out_weak);

/* A field says its name; an element has the array's. */
static const char *indirection_name(const PgQuery__AIndirection *node, bool *out_weak)
{
    for (size_t i = node->n_indirection; i > 0; i--) {
        if (node->indirection[i - 1]->node_case == PG_QUERY__NODE__NODE_STRING)
            return rb_string(node->indirection[i - 1]);
    }
    return expression_name(node->arg, out_weak);
}

/* A name that is weak gives way to the type that it is cast to. */
static const char *cast_name(const PgQuery__TypeCast *cast, bool *out_weak)
{
    const char *inner = expression_name(cast->arg, out_weak);
    if ((inner != NULL && !*out_weak) || cast->type_name->n_names == 0)
        return inner;
    *out_weak = true;
    return rb_string(cast->type_name->names[cast->type_name->n_names - 1]);
}

static const char *case_name(const PgQuery__CaseExpr *node, bool *out_weak)
{
    const char *other = node->defresult == NULL ? NULL : expression_name(node->defresult, out_weak);
    if (other != NULL && !*out_weak)
        return other;
    *out_weak = true;
    return "case";
}

/* What PostgreSQL calls an expression in an index's name; NULL: it has no name for it. */
static const char *expression_name(const PgQuery__Node *node, bool *out_weak)
{
    *out_weak = false;
    switch ((int)node->node_case) {
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return rb_expr_column(node);
    case PG_QUERY__NODE__NODE_FUNC_CALL:
        return rb_string(node->func_call->funcname[node->func_call->n_funcname - 1]);
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        return "coalesce";
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
        return node->min_max_expr->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST ? "greatest" : "least";
    case PG_QUERY__NODE__NODE_A_EXPR:
        return node->a_expr->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF ? "nullif" : NULL;
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
        return "array";
    case PG_QUERY__NODE__NODE_ROW_EXPR:
        return "row";
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE:
        return expression_name(node->collate_clause->arg, out_weak);
    case PG_QUERY__NODE__NODE_A_INDIRECTION:
        return indirection_name(node->a_indirection, out_weak);
    case PG_QUERY__NODE__NODE_TYPE_CAST:
        return cast_name(node->type_cast, out_weak);
    case PG_QUERY__NODE__NODE_CASE_EXPR:
        return case_name(node->case_expr, out_weak);
    default:
        return NULL;
    }
}

static const PgQuery__IndexElem *element(const PgQuery__IndexStmt *index, size_t i)
{
    return i < index->n_index_params ? index->index_params[i]->index_elem
                                     : index->index_including_params[i - index->n_index_params]->index_elem;
}

/* A name that is there already gets a number. */
static const char *make_unique(struct rb *rb, const char *const *names, size_t n, const char *name)
{
    const char *unique = name;
    for (unsigned k = 1;; k++) {
        size_t i = 0;
        while (i < n && strcmp(names[i], unique) != 0)
            i++;
        if (i == n)
            return unique;
        unique = rb_format(rb, "%s%u", name, k);
    }
}

const char *rb_index_columns_name(struct rb *rb, const PgQuery__IndexStmt *index)
{
    size_t n = index->n_index_params + index->n_index_including_params;
    const char **names = rb_alloc(rb, (n + 1) * sizeof *names);
    for (size_t i = 0; i < n; i++) {
        const PgQuery__IndexElem *elem = element(index, i);
        bool weak;
        const char *name = elem->expr == NULL ? elem->name : expression_name(elem->expr, &weak);
        names[i] = make_unique(rb, names, i, name == NULL ? "expr" : name);
    }
    return rb_join_names(rb, names, n);
}
