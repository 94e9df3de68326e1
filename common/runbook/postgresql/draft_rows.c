/*
 * draft_rows.c - UPDATE and DELETE in a draft. What an UPDATE reads in other tables becomes a subquery; what it
 * computes for a column of limited length or precision gets the column's type, or the triggers could fail.
 */
#include "common/runbook/draft.h"

#include <string.h>

/* ---- other tables ---- */

static void find_query(const ProtobufCMessage *m, void *ctx)
{
    bool *found = ctx;
    *found = *found || m->descriptor == &pg_query__sub_link__descriptor;
    rb_children(m, find_query, ctx);
}

/* FROM … WHERE … of the UPDATE, as of a query. */
static const char *from_text(struct rb *rb, PgQuery__UpdateStmt *update)
{
    static const char head[] = "SELECT";
    PgQuery__SelectStmt select = PG_QUERY__SELECT_STMT__INIT;
    PgQuery__Node node = PG_QUERY__NODE__INIT;
    select.from_clause = update->from_clause;
    select.n_from_clause = update->n_from_clause;
    select.where_clause = update->where_clause;
    select.limit_option = PG_QUERY__LIMIT_OPTION__LIMIT_OPTION_DEFAULT;
    select.op = PG_QUERY__SET_OPERATION__SETOP_NONE;
    node.node_case = PG_QUERY__NODE__NODE_SELECT_STMT;
    node.select_stmt = &select;
    const char *sql = rb_deparse(rb, rb_node_copy(rb, &node));
    if (sql == NULL || strncmp(sql, head, sizeof head - 1) != 0)
        return NULL;
    sql += sizeof head - 1;
    while (rb_is_blank(*sql))
        sql++;
    return sql;
}

static const char *target_text(struct rb *rb, const PgQuery__RangeVar *relation)
{
    const char *name = rb_plain(rb, relation->relname);
    if (relation->schemaname[0] != '\0')
        name = rb_format(rb, "%s.%s", rb_plain(rb, relation->schemaname), name);
    return relation->alias == NULL ? name : rb_format(rb, "%s %s", name, rb_plain(rb, relation->alias->aliasname));
}

/* UPDATE … FROM as an UPDATE with a subquery for each column; NULL where that cannot be written. */
static const char *without_from(struct rb_draft *d, PgQuery__UpdateStmt *update)
{
    struct rb *rb = d->rb;
    const char *from = from_text(rb, update), *set = "";
    if (from == NULL || update->where_clause == NULL || update->with_clause != NULL || update->n_returning_list > 0)
        return NULL;
    for (size_t i = 0; i < update->n_target_list; i++) {
        const PgQuery__ResTarget *target = update->target_list[i]->res_target;
        const char *value = rb_deparse_expr(rb, rb_node_copy(rb, target->val));
        if (value == NULL || target->n_indirection > 0 ||
            target->val->node_case == PG_QUERY__NODE__NODE_MULTI_ASSIGN_REF)
            return NULL;
        set = rb_format(rb, "%s%s%s = (SELECT %s %s)", set, i == 0 ? "" : ",\n  ", rb_plain(rb, target->name), value,
                        from);
    }
    rb_draft_say(d, RB_DRAFT_MIGRATE,
                 "`UPDATE … FROM` is written as subqueries: where several rows match one, each of them fails, and you "
                 "must choose (`ORDER BY … LIMIT 1`).");
    return rb_format(rb, "UPDATE %s SET %s\nWHERE EXISTS (SELECT %s)", target_text(rb, update->relation), set, from);
}

static void read_elsewhere(struct rb_draft *d, const char *sql)
{
    rb_draft_text(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, rb_format(d->rb, "```sql {no-sync}\n%s;\n```", sql));
    rb_draft_say(
        d, RB_DRAFT_MIGRATE,
        "Enter this phase when the application that keeps the column right, in the transaction that changes what "
        "it is made of, runs everywhere: nothing else follows it. A check behind the UPDATE, for "
        "rows that are wrong, proves it.");
}

/* ---- types ---- */

static int limit_of(const PgQuery__TypeName *type)
{
    const PgQuery__Node *node = type->n_typmods == 1 ? type->typmods[0] : NULL;
    bool number = node != NULL && node->node_case == PG_QUERY__NODE__NODE_A_CONST &&
                  node->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL;
    const char *name = rb_string(type->names[type->n_names - 1]);
    bool text = strcmp(name, "varchar") == 0 || strcmp(name, "bpchar") == 0;
    return number && text ? node->a_const->ival->ival : 0;
}

/* Longer values would be cut: they stop a check before that. */
static void check_length(struct rb_draft *d, const PgQuery__UpdateStmt *update, const char *column, const char *value,
                         int limit)
{
    const char *check = rb_format(d->rb, "```sql {check}\nSELECT 1 FROM %s WHERE length(%s) > %d;\n```",
                                  target_text(d->rb, update->relation), value, limit);
    rb_draft_say(d, RB_DRAFT_MIGRATE,
                 "`%s` holds %d characters: rows that are too long stop the check, and what old code writes longer "
                 "afterwards is cut.",
                 column, limit);
    rb_draft_text(d, RB_DRAFT_MIGRATE, RB_DRAFT_FIRST, check);
}

/* (value)::type in the place of the value. */
static bool cast_to(struct rb *rb, PgQuery__ResTarget *target, PgQuery__TypeName *type)
{
    const char *text = rb_deparse_type(rb, type), *message;
    size_t offset;
    PgQuery__ParseResult *parsed =
        text == NULL ? NULL : rb_parse(rb, rb_format(rb, "SELECT NULL::%s", text), &message, &offset);
    if (parsed == NULL || parsed->n_stmts != 1)
        return false;
    PgQuery__ResTarget *donor = parsed->stmts[0]->stmt->select_stmt->target_list[0]->res_target;
    PgQuery__Node *cast = donor->val;
    donor->val = cast->type_cast->arg; /* each tree frees what it then has */
    cast->type_cast->arg = target->val;
    target->val = cast;
    return true;
}

/* What is computed is text or numeric without a limit; constants and pure copies are judged as they are. */
static bool give_types(struct rb_draft *d, const struct rb_table *table, PgQuery__UpdateStmt *update)
{
    bool any = false;
    for (size_t i = 0; i < update->n_target_list; i++) {
        PgQuery__ResTarget *target = update->target_list[i]->res_target;
        const struct rb_draft_column *column = rb_draft_column(d, table, target->name);
        PgQuery__TypeName *type = (PgQuery__TypeName *)(uintptr_t)column->type;
        if (!column->added || type == NULL || type->n_typmods == 0 || target->val == NULL ||
            rb_is_constant(target->val) || rb_expr_column(target->val) != NULL ||
            target->val->node_case == PG_QUERY__NODE__NODE_TYPE_CAST ||
            target->val->node_case == PG_QUERY__NODE__NODE_MULTI_ASSIGN_REF)
            continue;
        const char *value = rb_deparse_expr(d->rb, rb_node_copy(d->rb, target->val));
        if (value == NULL || !cast_to(d->rb, target, type))
            continue;
        if (limit_of(type) > 0)
            check_length(d, update, target->name, value, limit_of(type));
        any = true;
    }
    return any;
}

/* ---- the statements ---- */

void rb_draft_rows(struct rb_draft *d, struct rb_statement *s)
{
    struct rb *rb = d->rb;
    struct rb_table table = {"", "change"};
    bool query = false, is_update = s->node->node_case == PG_QUERY__NODE__NODE_UPDATE_STMT;
    (void)rb_draft_table(rb, is_update ? s->node->update_stmt->relation : s->node->delete_stmt->relation, &table);
    rb_draft_title(d, rb_format(rb, "%s-%s", table.name, is_update ? "fill" : "delete"),
                   rb_format(rb, is_update ? "Fill %s" : "Delete from %s", table.name));
    PgQuery__UpdateStmt *update = is_update ? s->node->update_stmt : NULL;
    const char *sql = s->sql;
    if (update != NULL && update->n_from_clause > 0 && without_from(d, update) != NULL) {
        read_elsewhere(d, without_from(d, update));
        return;
    }
    if (update != NULL)
        find_query(&s->node->base, &query);
    if (query) {
        read_elsewhere(d, sql);
        return;
    }
    if (update != NULL && give_types(d, &table, update))
        sql = rb_deparse(rb, s->node);
    rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, "%s", sql == NULL ? s->sql : sql);
}
