/*
 * index.c - CREATE INDEX, built concurrently, with a name that is known before it is built.
 *
 * PostgreSQL chooses a name for an index that has none only when it builds it; the plan chooses it now, by the same
 * rule, so that a retry after a crash finds the leftover of the attempt before.
 */
#include "common/runbook/tree.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 63 };

/* What PostgreSQL calls an expression in an index's name. */
static const char *expression_name(const PgQuery__Node *node)
{
    const char *inner = NULL;
    switch ((int)node->node_case) {
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return rb_expr_column(node);
    case PG_QUERY__NODE__NODE_FUNC_CALL:
        return rb_string(node->func_call->funcname[node->func_call->n_funcname - 1]);
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        return "coalesce";
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE:
        return expression_name(node->collate_clause->arg);
    case PG_QUERY__NODE__NODE_TYPE_CAST:
        inner = expression_name(node->type_cast->arg);
        if (inner != NULL || node->type_cast->type_name->n_names == 0)
            return inner;
        return rb_string(node->type_cast->type_name->names[node->type_cast->type_name->n_names - 1]);
    default:
        return NULL;
    }
}

static size_t clip(const char *text, size_t n)
{
    while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    return n;
}

static const char *add_name(struct rb *rb, const char *names, const PgQuery__IndexElem *elem)
{
    const char *name = elem->expr == NULL ? elem->name : expression_name(elem->expr);
    return rb_format(rb, "%s%s%s", names, names[0] == '\0' ? "" : "_", name == NULL ? "expr" : name);
}

/* table_columns_idx, the longer of the two parts shortened until it fits. */
static const char *choose_name(struct rb *rb, const PgQuery__IndexStmt *index)
{
    const char *table = index->relation->relname, *columns = "";
    for (size_t i = 0; i < index->n_index_params; i++)
        columns = add_name(rb, columns, index->index_params[i]->index_elem);
    for (size_t i = 0; i < index->n_index_including_params; i++)
        columns = add_name(rb, columns, index->index_including_params[i]->index_elem);
    size_t n = strlen(table), m = strlen(columns);
    while (n + m + strlen("__idx") > NAME_MAX_BYTES) {
        if (n > m)
            n--;
        else
            m--;
    }
    n = clip(table, n);
    m = clip(columns, m);
    return rb_format(rb, "%.*s_%.*s_idx", (int)n, table, (int)m, columns);
}

static bool may_build(struct rb_statement *s, const PgQuery__IndexStmt *index, const struct rb_table *table)
{
    struct rb *rb = s->rb;
    size_t errors = rb->n_errors;
    if (s->phase->class == ZDM_PHASE_SWITCH)
        rb_error(rb, "index-in-switch", rb_at_start(s), "Move it to the end of the migrate phase.",
                 "a switch phase changes no schema");
    if (index->if_not_exists)
        rb_note(rb, "if-not-exists", rb_at_word(s, 0, "if"), NULL,
                "an index of that name that is not this migration's stops the step, IF NOT EXISTS or not");
    for (size_t i = 0; i < index->n_index_params; i++) {
        const char *name = index->index_params[i]->index_elem->name;
        struct rb_column *column = rb_column_of(rb, table, name);
        if (name[0] == '\0')
            continue;
        if (column->hide != NULL)
            rb_error(rb, "column-hidden", rb_at_word(s, 0, name), "Remove it.", "column %s is dropped before this",
                     name);
        if (index->unique && column->sync != NULL && column->sync->step.derivation->both_ways)
            rb_warning(rb, "unique-pair", rb_at_word(s, 0, name),
                       "If the old column has a unique index too, concurrent INSERT … ON CONFLICT may see 23505 until "
                       "one of them is gone.",
                       "column %s is kept equal to another one", name);
    }
    return errors == rb->n_errors;
}

static void remember(struct rb_statement *s, const PgQuery__IndexStmt *stmt, const struct rb_table *table,
                     const char *name)
{
    struct rb *rb = s->rb;
    struct rb_index *index = rb_alloc(rb, sizeof *index);
    struct rb_expr expr = {.n_columns = 0};
    *index = (struct rb_index){.table = *table, .name = name, .unique = stmt->unique, .at = rb_at_start(s)};
    for (size_t i = 0; i < stmt->n_index_params + stmt->n_index_including_params; i++) {
        const PgQuery__IndexElem *elem = i < stmt->n_index_params
                                             ? stmt->index_params[i]->index_elem
                                             : stmt->index_including_params[i - stmt->n_index_params]->index_elem;
        if (elem->expr != NULL) {
            (void)rb_expr_examine(s, stmt->relation, elem->expr, "the index", &expr);
            continue;
        }
        PgQuery__Node name_node = PG_QUERY__NODE__INIT, *fields[] = {&name_node}, ref_node = PG_QUERY__NODE__INIT;
        PgQuery__String string = PG_QUERY__STRING__INIT;
        PgQuery__ColumnRef ref = PG_QUERY__COLUMN_REF__INIT;
        string.sval = elem->name;
        name_node.node_case = PG_QUERY__NODE__NODE_STRING;
        name_node.string = &string;
        ref.fields = fields;
        ref.n_fields = 1;
        ref_node.node_case = PG_QUERY__NODE__NODE_COLUMN_REF;
        ref_node.column_ref = &ref;
        (void)rb_expr_examine(s, stmt->relation, &ref_node, "the index", &expr);
    }
    if (stmt->where_clause != NULL)
        (void)rb_expr_examine(s, stmt->relation, stmt->where_clause, "the index's condition", &expr);
    index->columns = expr.columns;
    index->n_columns = expr.n_columns;
    index->next = rb->indexes;
    rb->indexes = index;
}

/* The statement with that name. libpg_query writes an index's name without quotes: a plain name stands in for it, and
 * is replaced in the finished text, in which it is the first identifier. */
static const char *write_index(struct rb_statement *s, const struct rb_table *table, const char *name)
{
    static const char stand_in[] = "zdm0index";
    struct rb *rb = s->rb;
    PgQuery__Node *copy = rb_node_copy(rb, s->node);
    copy->index_stmt->concurrent = 1;
    copy->index_stmt->if_not_exists = 0;
    rb_set_string(&copy->index_stmt->idxname, stand_in);
    rb_set_string(&copy->index_stmt->relation->schemaname, table->schema);
    const char *sql = rb_deparse(rb, copy), *at = sql == NULL ? NULL : strstr(sql, stand_in);
    if (at == NULL)
        return NULL;
    return rb_format(rb, "%.*s%s%s", (int)(at - sql), sql, rb_plain(rb, name), at + sizeof stand_in - 1);
}

static void add_step(struct rb_statement *s, PgQuery__IndexStmt *index, const struct rb_table *table, const char *name)
{
    struct rb *rb = s->rb;
    struct rb_place at = rb_at_start(s);
    bool written_so = index->concurrent, named = index->idxname[0] != '\0';
    const char *sql = write_index(s, table, name);
    if (sql == NULL) {
        rb_error(rb, "index", at, "Write it more simply.", "this index cannot be written in a plan");
        return;
    }
    struct rb_step *step = rb_step_add(rb, s->phase, s->fence, ZDM_STEP_INDEX, ZDM_ACTION_CREATE_INDEX, ZDM_LOCK_LONG);
    rb_step_table(step, table);
    step->step.object = rb_dup(name);
    step->step.sql = rb_dup(sql);
    step->step.inverse = ZDM_INVERSE_SQL;
    step->step.inverse_sql = rb_dup(
        rb_format(rb, "DROP INDEX CONCURRENTLY IF EXISTS %s.%s", rb_quote(rb, table->schema), rb_quote(rb, name)));
    step->note.line = at.line;
    step->note.column = at.column;
    step->note.rewritten = !written_so || !named;
    free(step->note.source);
    step->note.source = rb_dup(s->sql);
    free(step->note.lock);
    step->note.lock = rb_dup("SHARE UPDATE EXCLUSIVE; reads and writes go on");
    rb_step_does(step, "build the index %s concurrently; an invalid leftover is dropped first", name);
}

void rb_compile_index(struct rb_statement *s, PgQuery__IndexStmt *index)
{
    struct rb *rb = s->rb;
    struct rb_table table;
    size_t errors = rb->n_errors;
    if (!rb_relation(s, index->relation, &table) || !may_build(s, index, &table))
        return;
    const char *name = index->idxname[0] != '\0' ? index->idxname : choose_name(rb, index);
    for (const struct rb_index *other = rb->indexes; other != NULL; other = other->next) {
        if (strcmp(other->name, name) == 0 && strcmp(other->table.schema, table.schema) == 0) {
            rb_error(rb, "index-twice", rb_at_start(s), "Write a name: CREATE INDEX name ON …",
                     "two indexes would have the name %s", name);
            return;
        }
    }
    remember(s, index, &table, name);
    if (errors == rb->n_errors)
        add_step(s, index, &table, name);
}
