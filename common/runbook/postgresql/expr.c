/*
 * expr.c - expressions over one row: what they read, and whether a plan may hold them.
 *
 * The rules are database.md's: the same text runs in the agent's batches and in triggers inside the application's
 * transactions, under search_path = pg_catalog and pinned settings. So what depends on who asks (session, user,
 * transaction) or on anything but the row is refused; what differs each time is marked.
 */
#include "common/runbook/postgresql/tree.h"

#include <string.h>

struct examination {
    struct rb_statement *s;
    const PgQuery__RangeVar *table;
    const char *what;
    struct rb_expr *out;
    const struct rb_scope *scope; /* of the subquery that is being looked at */
    bool in_exists;               /* the subquery to come stands in EXISTS */
    bool failed;
};

static void fail(struct examination *e, const char *rule, int location, const char *hint, const char *message)
{
    rb_error(e->s->rb, rule, rb_at(e->s, location), hint, "%s %s", e->what, message);
    e->failed = true;
}

bool rb_expr_reads(const struct rb_expr *expr, const char *column)
{
    for (size_t i = 0; i < expr->n_columns; i++) {
        if (strcmp(expr->columns[i], column) == 0)
            return true;
    }
    return false;
}

void rb_expr_add(struct rb *rb, struct rb_expr *expr, const char *column)
{
    if (rb_expr_reads(expr, column))
        return;
    if (expr->n_columns == expr->columns_cap) {
        const char **grown = rb_alloc(rb, (2 * expr->columns_cap + 4) * sizeof *grown);
        if (expr->n_columns > 0)
            memcpy(grown, expr->columns, expr->n_columns * sizeof *grown);
        expr->columns = grown;
        expr->columns_cap = 2 * expr->columns_cap + 4;
    }
    expr->columns[expr->n_columns++] = column;
}

bool rb_is_system_column(const char *name)
{
    static const char *const names[] = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

/* Inside of a subquery only what means the row that is changed is of interest. */
static void examine_inner_column(struct examination *e, const PgQuery__ColumnRef *ref)
{
    struct rb *rb = e->s->rb;
    const char *schema = e->table->schemaname[0] != '\0' ? e->table->schemaname : rb->front.schema;
    enum rb_meaning meaning = rb_scope_meaning(e->scope, e->table, schema, ref);
    const char *name = meaning == RB_MEANS_INNER ? "" : rb_string(ref->fields[ref->n_fields - 1]);
    if (meaning != RB_MEANS_ROW)
        rb_own_column(rb, e->table, e->scope, ref, e->out);
    if (meaning == RB_MEANS_EITHER && e->out->queries == RB_QUERIES_QUALIFIED) {
        fail(e, "subquery", ref->location,
             rb_format(rb,
                       "Write %s.%s where it is a column of the updated table, else the other table's name in front.",
                       rb_plain(rb, e->table->alias != NULL ? e->table->alias->aliasname : e->table->relname),
                       rb_plain(rb, name)),
             rb_format(rb, "has a subquery that names %s without its table", name));
    } else if (meaning == RB_MEANS_ROW && rb_is_system_column(name)) {
        fail(e, "system-column", ref->location, "Read columns of the application only.",
             rb_format(rb, "reads the system column %s", name));
    } else if (meaning == RB_MEANS_ROW) {
        rb_expr_add(rb, e->out, name);
        if (!rb_names_outer_row(ref))
            rb_name_outer_row(ref);
    }
}

static void examine_column(struct examination *e, const PgQuery__ColumnRef *ref)
{
    if (e->scope != NULL) {
        examine_inner_column(e, ref);
        return;
    }
    const PgQuery__Node *last = ref->fields[ref->n_fields - 1];
    if (last->node_case != PG_QUERY__NODE__NODE_STRING) {
        fail(e, "whole-row", ref->location, "Name the columns one by one.", "reads the whole row");
        return;
    }
    const char *alias = e->table->alias != NULL ? e->table->alias->aliasname : e->table->relname;
    const char *schema = e->table->schemaname[0] != '\0' ? e->table->schemaname : e->s->rb->front.schema;
    bool own = ref->n_fields == 1 || (ref->n_fields == 2 && strcmp(rb_string(ref->fields[0]), alias) == 0) ||
               (ref->n_fields == 3 && e->table->alias == NULL && strcmp(rb_string(ref->fields[0]), schema) == 0 &&
                strcmp(rb_string(ref->fields[1]), e->table->relname) == 0);
    if (!own)
        fail(e, "other-table", ref->location,
             "Read columns of the updated table only; copy what another table holds in a step of its own.",
             rb_format(e->s->rb, "reads %s, which is not the updated table", rb_string(ref->fields[0])));
    else if (rb_is_system_column(rb_string(last)))
        fail(e, "system-column", ref->location, "Read columns of the application only.",
             rb_format(e->s->rb, "reads the system column %s", rb_string(last)));
    else
        rb_expr_add(e->s->rb, e->out, rb_string(last));
}

/* The name of a function; NULL with a finding when it is not in pg_catalog. Operators may be written out with any
 * schema: it is how an extension's is named under the agent's path, and the agent asks whether everybody may use it. */
static const char *catalog_name(struct examination *e, PgQuery__Node *const *names, size_t n, int location)
{
    if (n > 1 && strcmp(rb_string(names[0]), "pg_catalog") != 0) {
        fail(e, "function-schema", location,
             "The trigger runs inside the application's own statements, whose role may not be allowed to use that "
             "schema. Write the expression with functions of pg_catalog.",
             rb_format(e->s->rb, "uses the function %s.%s, which is outside pg_catalog", rb_string(names[0]),
                       rb_string(names[n - 1])));
        return NULL;
    }
    return n == 0 ? "" : rb_string(names[n - 1]);
}

/* Something of pg_catalog that another session would answer differently. */
static bool depends_on_setting(struct examination *e, const char *setting, int location, const char *hint,
                               const char *name)
{
    if (setting != NULL)
        fail(e, "session-setting", location, hint,
             rb_format(e->s->rb, "uses %s, whose answer depends on the session's setting %s", name, setting));
    return setting != NULL;
}

/* A query in a string, which nobody has read. */
static bool runs_a_query(const char *name, const PgQuery__FuncCall *call)
{
    return strcmp(name, "ts_stat") == 0 || (strcmp(name, "ts_rewrite") == 0 && call->n_args == 2);
}

static void examine_function(struct examination *e, const PgQuery__FuncCall *call)
{
    struct rb *rb = e->s->rb;
    const char *name = catalog_name(e, call->funcname, call->n_funcname, call->location);
    const char *hint, *setting = name == NULL ? NULL : rb_setting_of_call(name, call, &hint);
    if (name == NULL || depends_on_setting(e, setting, call->location, hint, rb_format(rb, "%s()", name)))
        return;
    if (runs_a_query(name, call)) {
        fail(e, "subquery", call->location, "Write what the query gives as a constant.",
             rb_format(rb, "uses %s(), which runs a query from a string", name));
        return;
    }
    bool aggregated = call->over != NULL || call->agg_filter != NULL || call->n_agg_order > 0 || call->agg_star ||
                      call->agg_distinct || call->agg_within_group;
    enum rb_function_kind kind = aggregated ? RB_FUNCTION_AGGREGATE : rb_function_kind(name);
    if (e->scope != NULL && call->over == NULL && (kind == RB_FUNCTION_AGGREGATE || kind == RB_FUNCTION_SET))
        return;
    switch (kind) {
    case RB_FUNCTION_AGGREGATE:
        fail(e, "aggregate", call->location, "Each row gets its value from its own columns only.",
             rb_format(rb, "uses %s() over many rows", name));
        break;
    case RB_FUNCTION_SET:
        fail(e, "set-returning", call->location, "Use an expression that gives one value for a row.",
             rb_format(rb, "uses %s(), which gives many rows", name));
        break;
    case RB_FUNCTION_SESSION:
        fail(e, "session-function", call->location,
             "The batch and the application run in different sessions, so that their values would differ. Write a "
             "constant, or compute the value from columns.",
             rb_format(rb, "uses %s(), which depends on the session", name));
        break;
    case RB_FUNCTION_SEQUENCE:
        fail(e, "sequence", call->location, "Give the column a default in the application's own schema instead.",
             rb_format(rb, "uses %s() of a sequence", name));
        break;
    case RB_FUNCTION_UNKNOWN:
        fail(
            e, "function-unknown", call->location,
            rb_function_hint(rb, name,
                             "Only functions of pg_catalog over a row's own values may be used (docs/RUNBOOKS.md lists "
                             "what is refused and why)."),
            rb_format(rb, "uses %s(), which is not known as a function of PostgreSQL 15's pg_catalog", name));
        break;
    case RB_FUNCTION_NOW:
        e->out->is_now = true;
        break;
    case RB_FUNCTION_VOLATILE:
        e->out->is_volatile = true;
        if (e->scope != NULL)
            fail(e, "subquery-any", call->location,
                 "One statement would ask once for all rows, each batch asks anew. Write it outside of the subquery, "
                 "or a constant.",
                 rb_format(rb, "has a subquery with %s()", name));
        break;
    case RB_FUNCTION_STABLE:
        e->out->uses_zone = true;
        if (strcmp(name, "age") == 0 && call->n_args == 1)
            e->out->is_now = true;
        break;
    case RB_FUNCTION_IMMUTABLE:
        if (strcmp(name, "date_trunc") == 0 || strcmp(name, "date_part") == 0 || strcmp(name, "extract") == 0 ||
            strcmp(name, "date") == 0 || (strcmp(name, "to_timestamp") == 0 && call->n_args == 2))
            e->out->uses_zone = true;
        break;
    }
}

static void examine_value_function(struct examination *e, const PgQuery__SQLValueFunction *f)
{
    bool time = f->op >= PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_DATE &&
                f->op <= PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP_N;
    if (time)
        e->out->is_now = true;
    else
        fail(e, "session-function", f->location,
             "The batch and the application run as different users. Write a constant, or compute the value from "
             "columns.",
             "depends on who is connected");
}

static void examine_cast(struct examination *e, const PgQuery__TypeCast *cast)
{
    static const char *const zoned[] = {"date", "time", "timetz", "timestamp", "timestamptz"};
    static const char *const moments[] = {"now", "today", "tomorrow", "yesterday"};
    const PgQuery__TypeName *type = cast->type_name;
    const char *name = type->n_names > 0 ? rb_string(type->names[type->n_names - 1]) : "";
    const PgQuery__AConst *constant =
        cast->arg != NULL && cast->arg->node_case == PG_QUERY__NODE__NODE_A_CONST ? cast->arg->a_const : NULL;
    bool is_zoned = false;
    const char *hint, *setting = rb_setting_of_cast(cast, &hint);
    if (depends_on_setting(e, setting, type->location, hint, rb_format(e->s->rb, "a cast to %s", name)))
        return;
    for (size_t i = 0; i < sizeof zoned / sizeof zoned[0]; i++)
        is_zoned = is_zoned || strcmp(name, zoned[i]) == 0;
    e->out->uses_zone = e->out->uses_zone || (is_zoned && constant == NULL);
    if (!is_zoned || constant == NULL || constant->val_case != PG_QUERY__A__CONST__VAL_SVAL)
        return;
    /* PostgreSQL reads them in any case and with blanks around, and in "today 10:00". */
    for (const char *p = constant->sval->sval; *p != '\0'; p++) {
        for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++)
            e->out->is_now = e->out->is_now || rb_same_start(p, moments[i], strlen(moments[i]));
    }
}

static void examine(const ProtobufCMessage *m, void *ctx);

static void examine_select(struct examination *e, const PgQuery__SelectStmt *select)
{
    struct rb_scope scope = {.outer = e->scope, .select = select};
    const char *refused = rb_subquery_refused(select), *any = rb_subquery_any(select, e->in_exists);
    e->in_exists = false;
    if (any != NULL) {
        fail(e, "subquery-any", e->out->subquery_at,
             "Which rows it finds may differ each time it is asked. Write ORDER BY with columns that name one row, or "
             "an aggregate as min() or max().",
             any);
        return;
    }
    if (refused != NULL) {
        fail(e, "subquery", e->out->subquery_at, "Write it without; other tables may be called anything but t.",
             refused);
        return;
    }
    e->scope = &scope;
    rb_children(&select->base, examine, e);
    e->scope = scope.outer;
}

static void examine_subquery(struct examination *e, const PgQuery__SubLink *link)
{
    if (e->out->queries == RB_QUERIES_REFUSED) {
        fail(e, "subquery", link->location,
             "No trigger can follow what it reads. Write ```sql {no-sync}: each row gets what holds when its batch "
             "comes, and the application keeps it right from then on.",
             "holds a subquery");
        return;
    }
    if (!e->out->has_subquery)
        e->out->subquery_at = link->location;
    e->out->has_subquery = true;
    if (link->testexpr != NULL)
        examine(&link->testexpr->base, e);
    e->in_exists = link->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK;
    if (link->subselect != NULL)
        examine(&link->subselect->base, e);
}

/* What stands in a subquery besides expressions. */
static bool is_of_query(const ProtobufCMessageDescriptor *d)
{
    static const ProtobufCMessageDescriptor *const parts[] = {
        &pg_query__range_var__descriptor, &pg_query__join_expr__descriptor,  &pg_query__range_subselect__descriptor,
        &pg_query__alias__descriptor,     &pg_query__res_target__descriptor, &pg_query__sort_by__descriptor,
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (d == parts[i])
            return true;
    }
    return false;
}

static void examine(const ProtobufCMessage *m, void *ctx)
{
    static const ProtobufCMessageDescriptor *const plain[] = {
        &pg_query__node__descriptor,           &pg_query__string__descriptor,
        &pg_query__integer__descriptor,        &pg_query__float__descriptor,
        &pg_query__boolean__descriptor,        &pg_query__bit_string__descriptor,
        &pg_query__a__const__descriptor,       &pg_query__type_name__descriptor,
        &pg_query__bool_expr__descriptor,      &pg_query__null_test__descriptor,
        &pg_query__boolean_test__descriptor,   &pg_query__case_expr__descriptor,
        &pg_query__case_when__descriptor,      &pg_query__coalesce_expr__descriptor,
        &pg_query__min_max_expr__descriptor,   &pg_query__collate_clause__descriptor,
        &pg_query__a__array_expr__descriptor,  &pg_query__a__indices__descriptor,
        &pg_query__a__indirection__descriptor, &pg_query__list__descriptor,
        &pg_query__row_expr__descriptor,       &pg_query__named_arg_expr__descriptor,
    };
    struct examination *e = ctx;
    const ProtobufCMessageDescriptor *d = m->descriptor;
    if (d == &pg_query__column_ref__descriptor) {
        examine_column(e, (const PgQuery__ColumnRef *)m);
        return;
    }
    if (d == &pg_query__sub_link__descriptor) {
        examine_subquery(e, (const PgQuery__SubLink *)m);
        return;
    }
    if (d == &pg_query__select_stmt__descriptor && e->out->has_subquery) {
        examine_select(e, (const PgQuery__SelectStmt *)m);
        return;
    }
    bool known = d == &pg_query__func_call__descriptor || d == &pg_query__sqlvalue_function__descriptor ||
                 d == &pg_query__type_cast__descriptor || d == &pg_query__a__expr__descriptor ||
                 (e->scope != NULL && is_of_query(d));
    for (size_t i = 0; i < sizeof plain / sizeof plain[0] && !known; i++)
        known = d == plain[i];
    if (!known) {
        fail(e, "expression", -1, "Use columns, constants, operators, CASE, COALESCE and functions of pg_catalog.",
             rb_format(e->s->rb, "holds %s, which cannot be part of a plan", d->short_name));
        return;
    }
    if (d == &pg_query__range_var__descriptor) {
        rb_subquery_schema(e->s->rb, (const PgQuery__RangeVar *)m);
        rb_own_table(e->s->rb, e->table, (const PgQuery__RangeVar *)m, e->out);
    } else if (d == &pg_query__join_expr__descriptor) {
        rb_own_join(e->s->rb, e->table, (const PgQuery__JoinExpr *)m, e->out);
    } else if (d == &pg_query__func_call__descriptor) {
        examine_function(e, (const PgQuery__FuncCall *)m);
        if (((const PgQuery__FuncCall *)m)->over != NULL)
            return;
    } else if (d == &pg_query__sqlvalue_function__descriptor)
        examine_value_function(e, (const PgQuery__SQLValueFunction *)m);
    else if (d == &pg_query__type_cast__descriptor)
        examine_cast(e, (const PgQuery__TypeCast *)m);
    rb_children(m, examine, ctx);
}

bool rb_expr_examine(struct rb_statement *s, const PgQuery__RangeVar *table, const PgQuery__Node *node,
                     const char *what, struct rb_expr *out)
{
    struct examination e = {.s = s, .table = table, .what = what, .out = out};
    examine(&node->base, &e);
    return !e.failed;
}

const char *rb_expr_column(const PgQuery__Node *node)
{
    if (node->node_case != PG_QUERY__NODE__NODE_COLUMN_REF)
        return NULL;
    const PgQuery__ColumnRef *ref = node->column_ref;
    return rb_string(ref->fields[ref->n_fields - 1]);
}

bool rb_is_constant(const PgQuery__Node *node)
{
    switch ((int)node->node_case) {
    case PG_QUERY__NODE__NODE_A_CONST:
        return true;
    case PG_QUERY__NODE__NODE_TYPE_CAST:
        return rb_is_constant(node->type_cast->arg);
    case PG_QUERY__NODE__NODE_A_EXPR:
        return node->a_expr->lexpr == NULL && node->a_expr->rexpr != NULL && rb_is_constant(node->a_expr->rexpr) &&
               node->a_expr->n_name == 1 && strcmp(rb_string(node->a_expr->name[0]), "-") == 0;
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
        for (size_t i = 0; i < node->a_array_expr->n_elements; i++) {
            if (!rb_is_constant(node->a_array_expr->elements[i]))
                return false;
        }
        return true;
    default:
        return false;
    }
}
