/*
 * index.c - CREATE INDEX, built concurrently, with a name that is known before it is built; REINDEX.
 */
#include "common/runbook/postgresql/ddl.h"

#include <string.h>

/* ---- what a constraint's index shares ---- */

/* Was a constraint of the table dropped in this phase already? It is taken for the other column's. */
static bool has_lifted(const struct rb_ddl *d)
{
    for (const struct rb_step *step = d->s->phase->first; step != NULL; step = step->next) {
        if (step->step.action == ZDM_ACTION_LIFT_CONSTRAINT && strcmp(step->step.table.schema, d->table.schema) == 0 &&
            strcmp(step->step.table.name, d->table.name) == 0)
            return true;
    }
    return false;
}

/* Has a phase before made it unique already? Then another such index takes nothing from an upsert. */
static bool is_unique_before(const struct rb_ddl *d, const struct rb_column *column)
{
    for (const struct rb_index *index = d->s->rb->indexes; index != NULL; index = index->next) {
        if (!index->unique || index->phase == d->s->phase || !rb_same_table(&index->table, &d->table))
            continue;
        for (size_t i = 0; i < index->n_keys; i++) {
            if (strcmp(index->columns[i], column->name) == 0)
                return true;
        }
    }
    return false;
}

static const char *upsert(const struct rb *rb)
{
    return rb->engine == ZDM_ENGINE_MYSQL ? "INSERT … ON DUPLICATE KEY UPDATE" : "INSERT … ON CONFLICT";
}

bool rb_ddl_judge_unique(const struct rb_ddl *d, const struct rb_column *column, struct rb_place at)
{
    struct rb *rb = d->s->rb;
    const struct rb_sync *sync = rb_live_sync(d, column->name, false);
    if (sync == NULL || !sync->install->step.derivation->both_ways)
        return true;
    if (d->s->phase->class == ZDM_PHASE_CONTRACT && !has_lifted(d) && !is_unique_before(d, column)) {
        rb_error(
            rb, "unique-pair-early", at,
            "Put it at the end of the last migrate phase, or behind the DROP CONSTRAINT or DROP COLUMN of the other "
            "one.",
            "column %s is still kept equal to another one: while both have a unique index, %s may fail", column->name,
            upsert(rb));
        return false;
    }
    rb_warning(rb, "unique-pair", at,
               rb_format(rb,
                         "If the old column has a unique index too, concurrent %s may fail with a duplicate key until "
                         "one of them is gone.",
                         upsert(rb)),
               "column %s is kept equal to another one", column->name);
    return true;
}

static const char stand_in[] = "zdm0index";

/* libpg_query writes a cast that is indexed ((a::date)) without the parentheses that it needs: each expression is
 * written by itself then, and the whole is compared with what it came from. */
static const char *write_apart(struct rb *rb, const PgQuery__Node *index)
{
    PgQuery__Node *copy = rb_node_copy(rb, index);
    const PgQuery__IndexStmt *stmt = copy->index_stmt;
    PgQuery__Node **mine = rb_alloc(rb, (stmt->n_index_params + 1) * sizeof *mine);
    const char **texts = rb_alloc(rb, (stmt->n_index_params + 1) * sizeof *texts);
    for (size_t i = 0; i < stmt->n_index_params; i++) {
        PgQuery__IndexElem *elem = stmt->index_params[i]->index_elem;
        mine[i] = elem->expr;
        if (elem->expr == NULL)
            continue;
        texts[i] = rb_deparse_expr(rb, elem->expr);
        elem->expr = NULL;
        rb_set_string(&elem->name, rb_format(rb, "zdm0expr%zu", i));
    }
    const char *sql = rb_deparse(rb, copy);
    for (size_t i = 0; i < stmt->n_index_params; i++) {
        const char *name = rb_format(rb, "zdm0expr%zu", i), *at = sql == NULL ? NULL : strstr(sql, name);
        stmt->index_params[i]->index_elem->expr = mine[i];
        if (mine[i] != NULL)
            sql = at == NULL || texts[i] == NULL
                      ? NULL
                      : rb_format(rb, "%.*s(%s)%s", (int)(at - sql), sql, texts[i], at + strlen(name));
    }
    const char *message;
    size_t offset;
    PgQuery__ParseResult *again = sql == NULL ? NULL : rb_parse(rb, sql, &message, &offset);
    return again != NULL && again->n_stmts == 1 && rb_same_node(rb, again->stmts[0]->stmt, index) ? sql : NULL;
}

/* libpg_query writes an index's name without quotes: a plain name stands in for it, and is replaced in the finished
 * text, in which it is the first identifier. */
const char *rb_ddl_index_sql(struct rb *rb, const PgQuery__Node *index, const struct rb_table *table, const char *name)
{
    PgQuery__Node *copy = rb_node_copy(rb, index);
    copy->index_stmt->concurrent = 1;
    copy->index_stmt->if_not_exists = 0;
    rb_set_string(&copy->index_stmt->idxname, stand_in);
    rb_set_string(&copy->index_stmt->relation->schemaname, table->schema);
    const char *sql = rb_deparse(rb, copy);
    if (sql == NULL)
        sql = write_apart(rb, copy);
    const char *at = sql == NULL ? NULL : strstr(sql, stand_in);
    if (at == NULL)
        return NULL;
    return rb_format(rb, "%.*s%s%s", (int)(at - sql), sql, rb_plain(rb, name), at + sizeof stand_in - 1);
}

struct rb_step *rb_ddl_index_step(const struct rb_ddl *d, const char *name, const char *sql)
{
    struct rb *rb = d->s->rb;
    struct rb_step *step = rb_ddl_step(d, ZDM_STEP_INDEX, ZDM_ACTION_CREATE_INDEX, ZDM_LOCK_LONG, NULL);
    rb_step_object(step, name);
    rb_step_sql(step, sql);
    rb_step_inverse(
        step, ZDM_INVERSE_SQL,
        rb_format(rb, "DROP INDEX CONCURRENTLY IF EXISTS %s.%s", rb_quote(rb, d->table.schema), rb_quote(rb, name)));
    rb_step_does(step, "build the index %s concurrently; an invalid leftover is dropped first", name);
    return step;
}

/* ---- CREATE INDEX ---- */

static const PgQuery__IndexElem *element(const PgQuery__IndexStmt *index, size_t i)
{
    return i < index->n_index_params ? index->index_params[i]->index_elem
                                     : index->index_including_params[i - index->n_index_params]->index_elem;
}

/* PostgreSQL wants IMMUTABLE; of its own functions it is known here which change. */
static bool examine(const struct rb_ddl *d, const PgQuery__Node *node, const char *what, struct rb_expr *all)
{
    struct rb_expr one = {.n_columns = 0};
    bool ok = rb_ddl_expr(d->s, node, what, &one);
    if (ok && one.is_now) {
        rb_error(d->s->rb, "index-changing", rb_at(d->s, (int)d->from),
                 "Index the columns themselves, or an expression whose value never changes.",
                 "%s uses something that has another value another time", what);
        ok = false;
    }
    const char **columns = rb_alloc(d->s->rb, (all->n_columns + one.n_columns + 1) * sizeof *columns);
    size_t n = 0;
    for (size_t i = 0; i < all->n_columns; i++)
        columns[n++] = all->columns[i];
    for (size_t i = 0; i < one.n_columns; i++) {
        if (!rb_expr_reads(all, one.columns[i]))
            columns[n++] = one.columns[i];
    }
    all->columns = columns;
    all->n_columns = n;
    return ok;
}

static bool read_element(const struct rb_ddl *d, const PgQuery__IndexElem *elem, bool unique, struct rb_expr *all)
{
    if (elem->expr != NULL)
        return examine(d, elem->expr, "the index", all);
    struct rb_place at = rb_ddl_at_word(d, elem->name);
    const struct rb_column *column = rb_ddl_column(d, elem->name, at);
    const char **columns = rb_alloc(d->s->rb, (all->n_columns + 2) * sizeof *columns);
    for (size_t i = 0; i < all->n_columns; i++)
        columns[i] = all->columns[i];
    if (!rb_expr_reads(all, elem->name)) {
        columns[all->n_columns++] = elem->name;
        all->columns = columns;
    }
    return column != NULL && (!unique || rb_ddl_judge_unique(d, column, at));
}

static bool read_columns(const struct rb_ddl *d, const PgQuery__IndexStmt *index, struct rb_expr *all)
{
    bool ok = true;
    for (size_t i = 0; i < index->n_index_params + index->n_index_including_params; i++)
        ok = read_element(d, element(index, i), index->unique && i < index->n_index_params, all) && ok;
    if (index->where_clause != NULL)
        ok = examine(d, index->where_clause, "the index's condition", all) && ok;
    for (size_t i = 0; i < all->n_columns && ok; i++)
        ok = rb_ddl_column(d, all->columns[i], rb_ddl_at_word(d, all->columns[i])) != NULL;
    return ok;
}

/* What PostgreSQL says when the index shall become a constraint, after hours of building it. */
static const char *unfit_for_constraint(const PgQuery__IndexStmt *index)
{
    if (index->where_clause != NULL)
        return "has a condition";
    if (strcmp(index->access_method, "btree") != 0)
        return "is no btree";
    for (size_t i = 0; i < index->n_index_params; i++) {
        const PgQuery__IndexElem *elem = index->index_params[i]->index_elem;
        if (elem->expr != NULL)
            return "is over an expression";
        if (elem->n_opclass > 0 || elem->n_collation > 0 || elem->ordering == PG_QUERY__SORT_BY_DIR__SORTBY_DESC ||
            elem->nulls_ordering == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST)
            return "sorts in a way of its own";
    }
    return NULL;
}

void rb_compile_index(struct rb_statement *s, PgQuery__IndexStmt *index)
{
    struct rb *rb = s->rb;
    struct rb_table table;
    struct rb_expr all = {.n_columns = 0};
    if (!rb_relation(s, index->relation, &table))
        return;
    struct rb_ddl d = rb_ddl_whole(s, &table);
    if (!rb_ddl_phase(&d, RB_DDL_CREATE_INDEX, rb_at_start(s)) || !read_columns(&d, index, &all))
        return;
    if (index->if_not_exists)
        rb_note(rb, "if-not-exists", rb_at_word(s, 0, "if"), NULL,
                "an index of that name that is not this migration's stops the step, IF NOT EXISTS or not");
    const char *name = index->idxname[0] != '\0' ? index->idxname
                                                 : rb_choose_name(rb, &table, rb_index_columns_name(rb, index), "idx");
    const char *sql = rb_ddl_index_sql(rb, s->node, &table, name);
    if (sql == NULL)
        rb_error(rb, "index", rb_at_start(s), "Write it more simply.", "this index cannot be written in a plan");
    else if (rb_index_remember(&d, name, all.columns, all.n_columns, index->unique)) {
        rb_ddl_index_step(&d, name, sql)->note.rewritten = !index->concurrent || index->idxname[0] == '\0';
        rb->indexes->unfit = unfit_for_constraint(index);
        if (rb->indexes->n_keys > index->n_index_params)
            rb->indexes->n_keys = index->n_index_params;
    }
}

/* ---- REINDEX ---- */

static bool may_reindex(struct rb_statement *s, const PgQuery__ReindexStmt *reindex)
{
    if (reindex->relation == NULL || (reindex->kind != PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_INDEX &&
                                      reindex->kind != PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_TABLE)) {
        rb_error(s->rb, "reindex-many", rb_at_start(s), "Write REINDEX TABLE or REINDEX INDEX, one for each.",
                 "a plan builds the indexes of named tables anew, not those of a schema or a database");
        return false;
    }
    for (size_t i = 0; i < reindex->n_params; i++) {
        const PgQuery__DefElem *option = reindex->params[i]->def_elem;
        if (strcmp(option->defname, "concurrently") == 0 || strcmp(option->defname, "verbose") == 0)
            continue;
        rb_error(s->rb, "reindex-option", rb_at(s, option->location), "Leave it out.",
                 "REINDEX with the option %s is not part of a plan", option->defname);
        return false;
    }
    return true;
}

void rb_compile_reindex(struct rb_statement *s, PgQuery__ReindexStmt *reindex)
{
    struct rb *rb = s->rb;
    struct rb_table table;
    if (!may_reindex(s, reindex) || !rb_relation(s, reindex->relation, &table))
        return;
    bool one = reindex->kind == PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_INDEX;
    const char *name = table.name;
    if (one)
        table.name = NULL;
    struct rb_ddl d = rb_ddl_whole(s, &table);
    const struct rb_object *object = one ? rb_object_find(rb, RB_OBJECT_INDEX, &table, name) : NULL;
    if (!rb_ddl_phase(&d, RB_DDL_REINDEX, rb_at_start(s)))
        return;
    if (object != NULL && object->dropped != NULL) {
        rb_error(rb, "index-dropped", rb_at_word(s, 0, name), "Remove it.", "the index %s is dropped before this",
                 rb_plain(rb, name));
        return;
    }
    struct rb_step *step = rb_ddl_step(&d, ZDM_STEP_INDEX, ZDM_ACTION_REINDEX, ZDM_LOCK_LONG, NULL);
    if (one)
        rb_step_object(step, name);
    rb_step_inverse(step, ZDM_INVERSE_NONE, NULL);
    step->note.rewritten = true;
    rb_step_does(step, "build %s anew, concurrently; leftovers of an attempt that broke off are dropped",
                 one ? rb_format(rb, "the index %s", rb_plain(rb, name)) : "each of its indexes");
}
