/*
 * check.c - sql {check}: a query over the shard that must return no row, run read-only. Proofs of as-is statements and
 * conditions of waits are such queries too.
 */
#include "common/runbook/postgresql/tree.h"

#include <stdlib.h>
#include <string.h>

enum { CTES_MAX = 64 };

struct check {
    struct rb_statement *s;
    const char *ctes[CTES_MAX]; /* names that are not tables */
    size_t n_ctes;
};

static void refuse(struct check *c, int location, const char *hint, const char *message)
{
    rb_error(c->s->rb, "check-query", location >= 0 ? rb_at(c->s, location) : rb_at_start(c->s), hint, "%s", message);
}

static void find_ctes(const ProtobufCMessage *m, void *ctx)
{
    struct check *c = ctx;
    if (m->descriptor == &pg_query__common_table_expr__descriptor && c->n_ctes < CTES_MAX)
        c->ctes[c->n_ctes++] = ((const PgQuery__CommonTableExpr *)m)->ctename;
    rb_children(m, find_ctes, ctx);
}

/* Of pg_catalog, and read only: what a check of the catalogue is made of, whoever asks. */
static bool reads_catalog(const char *name)
{
    static const char *const starts[] = {
        "to_reg",          "pg_get_",           "pg_table_",      "pg_relation_",       "pg_total_",
        "pg_stat_get_",    "pg_size_",          "pg_index_",      "pg_is_in_recovery",  "pg_current_wal_lsn",
        "pg_last_",        "pg_wal_lsn_diff",   "pg_column_size", "pg_typeof",          "obj_description",
        "col_description", "shobj_description", "format_type",    "pg_encoding_to_char"};
    size_t n = strlen(name);
    static const char privilege[] = "_privilege";
    const size_t m = sizeof privilege - 1;
    bool known = n > m && rb_same_start(name, "has_", 4) && strcmp(name + n - m, privilege) == 0;
    for (size_t i = 0; i < sizeof starts / sizeof starts[0] && !known; i++)
        known = rb_same_start(name, starts[i], strlen(starts[i]));
    return known;
}

static void judge_function(struct check *c, const PgQuery__FuncCall *call)
{
    const char *name = call->n_funcname > 0 ? rb_string(call->funcname[call->n_funcname - 1]) : "";
    if (call->n_funcname > 1 && strcmp(rb_string(call->funcname[0]), "pg_catalog") != 0)
        return;
    if (reads_catalog(name))
        return;
    enum rb_function_kind kind = rb_function_kind(name);
    if (kind == RB_FUNCTION_SEQUENCE || kind == RB_FUNCTION_SESSION)
        refuse(c, call->location, "A check only reads tables.", rb_format(c->s->rb, "a check cannot use %s()", name));
    else if (kind == RB_FUNCTION_UNKNOWN)
        refuse(c, call->location, "Write its schema in front where it is the application's own: app.is_valid(…).",
               rb_format(c->s->rb, "%s() is not known as a function of pg_catalog", name));
}

/* Gives tables the runbook's schema (the agent's search_path is pg_catalog) and refuses what changes anything. */
static void prepare(const ProtobufCMessage *m, void *ctx)
{
    struct check *c = ctx;
    const ProtobufCMessageDescriptor *d = m->descriptor;
    if (d == &pg_query__range_var__descriptor) {
        PgQuery__RangeVar *table = (PgQuery__RangeVar *)(uintptr_t)m;
        bool own = table->schemaname[0] == '\0' && strncmp(table->relname, "pg_", 3) != 0;
        for (size_t i = 0; i < c->n_ctes; i++)
            own = own && strcmp(c->ctes[i], table->relname) != 0;
        if (own)
            rb_set_string(&table->schemaname, c->s->rb->front.schema);
    } else if (d == &pg_query__update_stmt__descriptor || d == &pg_query__insert_stmt__descriptor ||
               d == &pg_query__delete_stmt__descriptor || d == &pg_query__merge_stmt__descriptor) {
        refuse(c, -1, "A check only reads.", "a check cannot change rows");
        return;
    } else if (d == &pg_query__into_clause__descriptor) {
        refuse(c, -1, "Leave INTO out.", "a check cannot make a table");
        return;
    } else if (d == &pg_query__locking_clause__descriptor) {
        refuse(c, -1, "Leave FOR UPDATE and FOR SHARE out.", "a check cannot lock rows");
        return;
    } else if (d == &pg_query__func_call__descriptor) {
        judge_function(c, (const PgQuery__FuncCall *)m);
    }
    rb_children(m, prepare, ctx);
}

const char *rb_check_sql(struct rb_statement *s)
{
    struct rb *rb = s->rb;
    struct check c = {.s = s};
    size_t errors = rb->n_errors;
    if (s->node->node_case != PG_QUERY__NODE__NODE_SELECT_STMT) {
        refuse(&c, -1, "Write a SELECT for the rows that would be wrong: it must find none.", "a check is one SELECT");
        return NULL;
    }
    find_ctes(&s->node->base, &c);
    prepare(&s->node->base, &c);
    const char *sql = rb_deparse(rb, s->node);
    if (errors == rb->n_errors && sql == NULL)
        refuse(&c, -1, "Write it more simply.", "this query cannot be written in a plan");
    return errors == rb->n_errors ? sql : NULL;
}

void rb_compile_check(struct rb_statement *s)
{
    struct rb *rb = s->rb;
    const char *sql = rb_check_sql(s);
    if (sql == NULL)
        return;
    struct rb_place at = rb_at_start(s);
    struct rb_step *step = rb_step_add(rb, s->phase, s->fence, ZDM_STEP_CHECK, ZDM_ACTION_CHECK_QUERY, ZDM_LOCK_NONE);
    step->step.sql = rb_dup(sql);
    step->note.line = at.line;
    step->note.column = at.column;
    free(step->note.source);
    step->note.source = rb_dup(s->sql);
    free(step->note.lock);
    step->note.lock = rb_dup("none; reads");
    rb_step_does(step, "must return no row");
}
