/*
 * ddl.c - see ddl.h: steps, phases, expressions of the schema, names of objects.
 */
#include "common/runbook/postgresql/ddl.h"

#include <stdlib.h>
#include <string.h>

struct rb_ddl rb_ddl_whole(struct rb_statement *s, const struct rb_table *table)
{
    return (struct rb_ddl){.s = s, .table = *table, .source = s->sql, .from = s->n_tokens > 0 ? s->tokens[0].start : 0};
}

/* ---- steps ---- */

static const char *lock_text(struct rb *rb, enum zdm_action action, enum zdm_lock_class class)
{
    enum zdm_table_lock lock = zdm_action_table_lock(action);
    if (action == ZDM_ACTION_BACKFILL)
        return "rows of one batch";
    if (rb->engine == ZDM_ENGINE_MYSQL && action == ZDM_ACTION_VALIDATE)
        return "none; reads";
    if (rb->engine == ZDM_ENGINE_MYSQL)
        return class == ZDM_LOCK_LONG ? "metadata lock at its beginning and its end; reads and writes go on"
                                      : "exclusive metadata lock, at most 100 ms, retried";
    if (lock == ZDM_TABLE_LOCK_NONE)
        return "none on a table";
    if (class == ZDM_LOCK_LONG)
        return rb_format(rb, "%s; reads and writes go on", zdm_table_lock_name(lock));
    return rb_format(rb, "%s, at most 100 ms, retried", zdm_table_lock_name(lock));
}

struct rb_step *rb_ddl_step(const struct rb_ddl *d, enum zdm_step_kind kind, enum zdm_action action,
                            enum zdm_lock_class lock, const char *column)
{
    struct rb *rb = d->s->rb;
    struct rb_step *step = rb_step_add(rb, d->s->phase, d->s->fence, kind, action, lock);
    struct rb_place at = rb_at(d->s, (int)d->from);
    if (d->table.name != NULL)
        rb_step_table(step, &d->table);
    else
        step->step.table.schema = rb_dup(d->table.schema);
    step->step.column = rb_dup(column);
    step->note.line = at.line;
    step->note.column = at.column;
    free(step->note.source);
    step->note.source = rb_dup(d->source);
    free(step->note.lock);
    step->note.lock = rb_dup(lock_text(rb, action, lock));
    return step;
}

void rb_ddl_rewritten(const struct rb_ddl *d, const struct rb_step *before)
{
    struct rb_step *step = before == NULL ? d->s->phase->first : before->next;
    for (; step != NULL; step = step->next)
        step->note.rewritten = true;
}

void rb_step_sql(struct rb_step *step, const char *sql)
{
    free(step->step.sql);
    step->step.sql = rb_dup(sql);
}

void rb_step_object(struct rb_step *step, const char *object)
{
    free(step->step.object);
    step->step.object = rb_dup(object);
}

void rb_step_inverse(struct rb_step *step, enum zdm_inverse_kind inverse, const char *sql)
{
    step->step.inverse = inverse;
    free(step->step.inverse_sql);
    step->step.inverse_sql = rb_dup(sql);
}

/* ---- phases ---- */

enum {
    EXPAND = 1 << ZDM_PHASE_EXPAND,
    MIGRATE = 1 << ZDM_PHASE_MIGRATE,
    CONTRACT = 1 << ZDM_PHASE_CONTRACT,
    ANY = EXPAND | MIGRATE | CONTRACT
};

static const struct {
    int phases;
    const char *what, *rule, *why, *hint;
} rows[] = {
    [RB_DDL_ADD_COLUMN] = {EXPAND | MIGRATE, "ADD COLUMN", "add-column-late", "belongs into an expand or migrate phase",
                           "Move it to an expand phase: ## Phase 1: Expand."},
    [RB_DDL_ADD_CONSTRAINT] = {ANY, "ADD CONSTRAINT", "ddl-in-switch", NULL, NULL},
    [RB_DDL_ADD_PRIMARY_KEY] = {MIGRATE | CONTRACT, "ADD PRIMARY KEY", "not-null-phase",
                                "makes its columns NOT NULL, which rejects rows of code that does not write them yet",
                                "Move it behind the backfill: to the migrate or the contract phase."},
    [RB_DDL_VALIDATE] = {ANY, "VALIDATE CONSTRAINT", "ddl-in-switch", NULL, NULL},
    [RB_DDL_DROP_CONSTRAINT] = {ANY, "DROP CONSTRAINT", "ddl-in-switch", NULL, NULL},
    [RB_DDL_SET_NOT_NULL] = {MIGRATE | CONTRACT, "SET NOT NULL", "not-null-phase",
                             "rejects rows of code that does not write the column yet",
                             "Move it behind the backfill: to the migrate or the contract phase."},
    [RB_DDL_DROP_NOT_NULL] = {ANY, "DROP NOT NULL", "ddl-in-switch", NULL, NULL},
    [RB_DDL_SET_DEFAULT] = {ANY, "SET DEFAULT", "ddl-in-switch", NULL, NULL},
    [RB_DDL_DROP_DEFAULT] = {CONTRACT, "DROP DEFAULT", "drop-outside-contract",
                             "belongs into a contract phase: code that runs before it may leave the column out",
                             "Move it to the contract phase, when all code writes the column: ## Phase 4: Contract."},
    [RB_DDL_TYPE] = {ANY, "ALTER COLUMN … TYPE", "ddl-in-switch", NULL, NULL},
    [RB_DDL_STORAGE] = {ANY, "a storage parameter", "ddl-in-switch", NULL, NULL},
    [RB_DDL_COMMENT] = {ANY, "COMMENT", "ddl-in-switch", NULL, NULL},
    [RB_DDL_CREATE_TABLE] = {ANY, "CREATE TABLE", "ddl-in-switch", NULL, NULL},
    [RB_DDL_CREATE_TYPE] = {ANY, "CREATE TYPE", "ddl-in-switch", NULL, NULL},
    [RB_DDL_ADD_VALUE] = {ANY, "ADD VALUE", "ddl-in-switch", NULL, NULL},
    [RB_DDL_CREATE_INDEX] = {ANY, "CREATE INDEX", "index-in-switch", NULL, NULL},
    [RB_DDL_REINDEX] = {ANY, "REINDEX", "ddl-in-switch", NULL, NULL},
    [RB_DDL_DROP_COLUMN] = {CONTRACT, "DROP COLUMN", "drop-outside-contract", "belongs into a contract phase",
                            "Move it to the contract phase, when no code reads the column any more: ## Phase 4: "
                            "Contract."},
    [RB_DDL_DROP_TABLE] = {CONTRACT, "DROP TABLE", "drop-outside-contract", "belongs into a contract phase",
                           "Move it to the contract phase, when no code names the table any more: ## Phase 4: "
                           "Contract."},
    [RB_DDL_DROP_INDEX] = {CONTRACT, "DROP INDEX", "drop-outside-contract",
                           "belongs into a contract phase: queries of code that runs before it may need the index",
                           "Move it to the contract phase: ## Phase 4: Contract."},
    [RB_DDL_ATTACH] = {ANY, "ATTACH PARTITION", "ddl-in-switch", NULL, NULL},
    [RB_DDL_DETACH] = {CONTRACT, "DETACH PARTITION", "drop-outside-contract",
                       "belongs into a contract phase: code that runs before it may read the rows through the parent",
                       "Move it to the contract phase: ## Phase 4: Contract."},
};

bool rb_ddl_phase(const struct rb_ddl *d, enum rb_ddl_kind kind, struct rb_place at)
{
    enum zdm_phase_class class = d->s->phase->class;
    bool early = class == ZDM_PHASE_EXPAND && (kind == RB_DDL_SET_NOT_NULL || kind == RB_DDL_ADD_PRIMARY_KEY) &&
                 d->table.name != NULL && rb_is_created(d->s->rb, &d->table); /* no code uses the table yet */
    if ((rows[kind].phases & (1 << class)) != 0 || early)
        return true;
    if (class == ZDM_PHASE_SWITCH && rows[kind].why == NULL)
        rb_error(d->s->rb, rows[kind].rule, at,
                 kind == RB_DDL_CREATE_INDEX ? "Move it to the end of the migrate phase."
                                             : "Move it to a migrate phase, or to the contract phase where code that "
                                               "runs before the switch needs the schema as it was.",
                 "a switch phase changes no schema, and %s does", rows[kind].what);
    else
        rb_error(d->s->rb, rows[kind].rule, at, rows[kind].hint, "%s %s, and this is %s %s phase", rows[kind].what,
                 rows[kind].why, class == ZDM_PHASE_EXPAND ? "an" : "a", zdm_phase_class_name(class));
    return false;
}

struct rb_place rb_ddl_at_word(const struct rb_ddl *d, const char *word)
{
    return rb_at_word(d->s, d->body, word);
}

struct rb_column *rb_ddl_column(const struct rb_ddl *d, const char *name, struct rb_place at)
{
    struct rb *rb = d->s->rb;
    struct rb_column *column = rb_column_of(rb, &d->table, name);
    if (column->hide != NULL) {
        rb_error(rb, "column-hidden", at, "Remove it.", "column %s is dropped before this", name);
        return NULL;
    }
    if (rb_is_created(rb, &d->table) && !column->created && !column->added) {
        rb_error(rb, "column-unknown", at, "Write one of the columns of its CREATE TABLE.",
                 "table %s, which this runbook creates, has no column %s", rb_table_text(rb, &d->table), name);
        return NULL;
    }
    return column;
}

/* ---- expressions ---- */

struct walk {
    struct rb_statement *s;
    const char *what;
    struct rb_expr *out;
    bool failed;
};

static void fail(struct walk *w, const char *rule, int location, const char *hint, const char *message)
{
    rb_error(w->s->rb, rule, rb_at(w->s, location), hint, "%s %s", w->what, message);
    w->failed = true;
}

/* A sequence is named by a text, which is looked up when the value is made: by then its schema must stand there. */
static void judge_sequence(struct walk *w, const PgQuery__FuncCall *call)
{
    const PgQuery__Node *arg = call->n_args > 0 ? call->args[0] : NULL;
    while (arg != NULL && arg->node_case == PG_QUERY__NODE__NODE_TYPE_CAST)
        arg = arg->type_cast->arg;
    bool text = arg != NULL && arg->node_case == PG_QUERY__NODE__NODE_A_CONST &&
                arg->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL;
    w->out->is_volatile = true;
    if (text && strchr(arg->a_const->sval->sval, '.') == NULL)
        fail(w, "sequence-schema", call->location,
             rb_format(w->s->rb, "Write its schema in front: nextval('%s.%s').",
                       rb_plain(w->s->rb, w->s->rb->front.schema), arg->a_const->sval->sval),
             "names a sequence without its schema, and the agent has search_path = pg_catalog");
}

/* Which database and server it is, the agent's session says as well as the application's. */
static void note_session(struct walk *w, const char *what, int location)
{
    if (strcmp(what, "current_database()") == 0 || strcmp(what, "version()") == 0 || w->out->session != NULL)
        return;
    w->out->session = what;
    w->out->session_at = location;
}

static void examine_value(struct walk *w, const PgQuery__SQLValueFunction *value)
{
    static const struct {
        int op;
        const char *what;
    } sessions[] = {
        {PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_ROLE, "CURRENT_ROLE"},
        {PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_USER, "CURRENT_USER"},
        {PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_USER, "USER"},
        {PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_SESSION_USER, "SESSION_USER"},
        {PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_SCHEMA, "CURRENT_SCHEMA"},
    };
    w->out->is_now = true;
    for (size_t i = 0; i < sizeof sessions / sizeof sessions[0]; i++) {
        if (sessions[i].op == (int)value->op)
            note_session(w, sessions[i].what, value->location);
    }
}

static void examine_call(struct walk *w, const PgQuery__FuncCall *call)
{
    struct rb *rb = w->s->rb;
    const char *name = rb_string(call->funcname[call->n_funcname - 1]);
    if (call->n_funcname > 1 && strcmp(rb_string(call->funcname[0]), "pg_catalog") != 0) {
        w->out->is_volatile = true; /* for all that is known here */
        return;
    }
    bool aggregated = call->over != NULL || call->agg_filter != NULL || call->n_agg_order > 0 || call->agg_star ||
                      call->agg_distinct || call->agg_within_group;
    switch (aggregated ? RB_FUNCTION_AGGREGATE : rb_function_kind(name)) {
    case RB_FUNCTION_AGGREGATE:
        fail(w, "aggregate", call->location, "Write an expression over the columns of one row.",
             rb_format(rb, "uses %s() over many rows", name));
        break;
    case RB_FUNCTION_SET:
        fail(w, "set-returning", call->location, "Use an expression that gives one value for a row.",
             rb_format(rb, "uses %s(), which gives many rows", name));
        break;
    case RB_FUNCTION_UNKNOWN:
        fail(
            w, "function-unknown", call->location,
            rb_function_hint(rb, name, "Write its schema in front where it is the application's own: app.is_valid(…)."),
            rb_format(rb, "uses %s(), which is not known as a function of PostgreSQL 15's pg_catalog", name));
        break;
    case RB_FUNCTION_SEQUENCE:
        judge_sequence(w, call);
        break;
    case RB_FUNCTION_VOLATILE:
        w->out->is_volatile = true;
        break;
    case RB_FUNCTION_NOW:
        w->out->is_now = true;
        w->out->is_volatile =
            w->out->is_volatile || strcmp(name, "clock_timestamp") == 0 || strcmp(name, "timeofday") == 0;
        break;
    case RB_FUNCTION_SESSION:
        note_session(w, rb_format(rb, "%s()", name), call->location);
        w->out->is_now = true;
        break;
    case RB_FUNCTION_STABLE:
        w->out->is_now = true; /* another value another time: no constant */
        break;
    case RB_FUNCTION_IMMUTABLE:
        break;
    }
}

static void examine(const ProtobufCMessage *m, void *ctx)
{
    struct walk *w = ctx;
    if (m->descriptor == &pg_query__column_ref__descriptor) {
        const PgQuery__ColumnRef *ref = (const PgQuery__ColumnRef *)m;
        const char *name = rb_string(ref->fields[ref->n_fields - 1]);
        if (name[0] == '\0')
            fail(w, "whole-row", ref->location, "Name the columns one by one.", "reads the whole row");
        else
            rb_expr_add(w->s->rb, w->out, name);
        return;
    }
    if (m->descriptor == &pg_query__sub_link__descriptor) {
        fail(w, "subquery", ((const PgQuery__SubLink *)m)->location, "Use columns of the row.", "holds a subquery");
        return;
    }
    if (m->descriptor == &pg_query__func_call__descriptor)
        examine_call(w, (const PgQuery__FuncCall *)m);
    else if (m->descriptor == &pg_query__sqlvalue_function__descriptor)
        examine_value(w, (const PgQuery__SQLValueFunction *)m);
    rb_children(m, examine, ctx);
}

bool rb_ddl_expr(struct rb_statement *s, const PgQuery__Node *node, const char *what, struct rb_expr *out)
{
    struct walk w = {.s = s, .what = what, .out = out};
    examine(&node->base, &w);
    return !w.failed;
}

/* ---- names ---- */

const char **rb_ddl_names(struct rb *rb, PgQuery__Node *const *nodes, size_t n)
{
    const char **names = rb_alloc(rb, (n + 1) * sizeof *names);
    for (size_t i = 0; i < n; i++)
        names[i] = rb_string(nodes[i]);
    return names;
}

const char *rb_ddl_quoted_list(struct rb *rb, const char *const *names, size_t n)
{
    const char *text = "";
    for (size_t i = 0; i < n; i++)
        text = rb_format(rb, "%s%s%s", text, i == 0 ? "" : ", ", rb_quote(rb, names[i]));
    return text;
}

bool rb_ddl_qualified(struct rb_statement *s, const PgQuery__Node *list, struct rb_place at, struct rb_table *out)
{
    PgQuery__Node *const *items = list->list->items;
    size_t n = list->list->n_items;
    if (n > 2) {
        rb_error(s->rb, "other-database", at, "Leave the database's name out: an agent works in its own database.",
                 "%s names a database", rb_string(items[n - 1]));
        return false;
    }
    out->schema = n == 2 ? rb_string(items[0]) : s->rb->front.schema;
    out->name = n > 0 ? rb_string(items[n - 1]) : "";
    return true;
}
