/*
 * as_is.c - statements that are run as they are written: the fence itself, the check that proves it, and its way back.
 *
 * The text is the person's, but for one thing: the agent's sessions have search_path = pg_catalog, so that a table
 * without a schema gets the runbook's in front. What cannot be found in the tree by its place (functions, types, names
 * in strings) must be written with its schema.
 */
#include "common/runbook/mysql/mysql.h"
#include "common/runbook/postgresql/tree.h"

#include <stdlib.h>
#include <string.h>

enum { TABLES_MAX = RB_AS_IS_TABLES_MAX };

/* One fence while it is read. */
struct text {
    struct rb *rb;
    struct rb_statement *s;
    bool is_short; /* runs inside a transaction */
    struct zdm_buffer sql;
    size_t statements;
    struct rb_table tables[TABLES_MAX]; /* that it names, each once, but not those that it makes */
    size_t n_tables;
    struct rb_table made[TABLES_MAX];
    size_t n_made;
    size_t names[TABLES_MAX]; /* bytes of the statement at hand where a schema is missing */
    size_t n_names;
    const char *ctes[TABLES_MAX];
    size_t n_ctes;
};

/* ---- what cannot be run so ---- */

static const struct {
    int node;
    const char *rule, *what, *hint;
} refused[] = {
    {PG_QUERY__NODE__NODE_TRANSACTION_STMT, "transaction", "the agent begins and ends the transaction itself",
     "Leave BEGIN and COMMIT out: with lock=short all statements of the fence are one transaction."},
    {PG_QUERY__NODE__NODE_VARIABLE_SET_STMT, "set", "sessions of the agent have settings of their own",
     "Leave SET out, and write schemas in front of names."},
    {PG_QUERY__NODE__NODE_LOCK_STMT, "lock", "a lock of one's own may queue in front of the application",
     "Leave LOCK out: each statement takes its own lock, for at most 100 ms at a time."},
    {PG_QUERY__NODE__NODE_COPY_STMT, "copy", "COPY moves rows in or out, which no plan can repeat",
     "Load the rows by hand between two phases."},
    {PG_QUERY__NODE__NODE_PREPARE_STMT, "as-is-session", "it changes the agent's own session", "Leave it out."},
    {PG_QUERY__NODE__NODE_EXECUTE_STMT, "as-is-session", "it uses the agent's own session", "Write the statement."},
    {PG_QUERY__NODE__NODE_DEALLOCATE_STMT, "as-is-session", "it changes the agent's own session", "Leave it out."},
    {PG_QUERY__NODE__NODE_DISCARD_STMT, "as-is-session", "it changes the agent's own session", "Leave it out."},
    {PG_QUERY__NODE__NODE_DECLARE_CURSOR_STMT, "as-is-session", "it changes the agent's own session", "Leave it out."},
    {PG_QUERY__NODE__NODE_FETCH_STMT, "as-is-session", "nobody reads what it returns", "Leave it out."},
    {PG_QUERY__NODE__NODE_LISTEN_STMT, "as-is-session", "it changes the agent's own session", "Leave it out."},
    {PG_QUERY__NODE__NODE_LOAD_STMT, "as-is-session", "it changes the agent's own session", "Leave it out."},
};

/* Is it one that PostgreSQL refuses inside a transaction? */
static bool needs_no_transaction(const PgQuery__Node *node)
{
    switch ((int)node->node_case) {
    case PG_QUERY__NODE__NODE_INDEX_STMT:
        return node->index_stmt->concurrent;
    case PG_QUERY__NODE__NODE_DROP_STMT:
        return node->drop_stmt->concurrent;
    case PG_QUERY__NODE__NODE_VACUUM_STMT:
        return node->vacuum_stmt->is_vacuumcmd;
    case PG_QUERY__NODE__NODE_REINDEX_STMT:
    case PG_QUERY__NODE__NODE_CREATEDB_STMT:
    case PG_QUERY__NODE__NODE_DROPDB_STMT:
    case PG_QUERY__NODE__NODE_CREATE_TABLE_SPACE_STMT:
    case PG_QUERY__NODE__NODE_DROP_TABLE_SPACE_STMT:
    case PG_QUERY__NODE__NODE_ALTER_SYSTEM_STMT:
        return true;
    default:
        return false;
    }
}

/* ---- lock=long is for what runs beside reads and writes ---- */

static bool is_gentle_change(const PgQuery__AlterTableCmd *cmd)
{
    switch ((int)cmd->subtype) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetStatistics:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ResetOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetRelOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ResetRelOptions:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ClusterOn:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropCluster:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartitionFinalize:
        return true;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartition:
        return cmd->def != NULL && cmd->def->node_case == PG_QUERY__NODE__NODE_PARTITION_CMD &&
               cmd->def->partition_cmd->concurrent;
    default:
        return false;
    }
}

static bool is_strong_change(const PgQuery__AlterTableStmt *alter)
{
    bool strong = (int)alter->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE;
    bool gentle = alter->n_cmds > 0;
    for (size_t i = 0; i < alter->n_cmds; i++)
        gentle = gentle && alter->cmds[i]->node_case == PG_QUERY__NODE__NODE_ALTER_TABLE_CMD &&
                 is_gentle_change(alter->cmds[i]->alter_table_cmd);
    return strong && !gentle;
}

/* Does who uses a table wait for a change of such an object? Not those who call a function or draw from a sequence. */
static bool is_of_table(int type)
{
    static const int types[] = {
        PG_QUERY__OBJECT_TYPE__OBJECT_TABLE,         PG_QUERY__OBJECT_TYPE__OBJECT_VIEW,
        PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW,       PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_TABLE,
        PG_QUERY__OBJECT_TYPE__OBJECT_INDEX,         PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN,
        PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT, PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER,
        PG_QUERY__OBJECT_TYPE__OBJECT_RULE,          PG_QUERY__OBJECT_TYPE__OBJECT_POLICY,
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i] == type)
            return true;
    }
    return false;
}

/* What to write instead of a statement that readers or writers of a table would queue behind; NULL: nothing is known
 * against it. */
static const char *gentler(const PgQuery__Node *node)
{
    static const char *const is_short = "Write {as-is lock=short}: the lock is waited for at most 100 ms at a time, "
                                        "and readers on the standbys are looked at before.";
    static const char *const concurrently = "Write it with CONCURRENTLY.";
    switch ((int)node->node_case) {
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT:
        return is_strong_change(node->alter_table_stmt) ? is_short : NULL;
    case PG_QUERY__NODE__NODE_RENAME_STMT:
        return is_of_table((int)node->rename_stmt->rename_type) ? is_short : NULL;
    case PG_QUERY__NODE__NODE_ALTER_OBJECT_SCHEMA_STMT:
        return is_of_table((int)node->alter_object_schema_stmt->object_type) ? is_short : NULL;
    case PG_QUERY__NODE__NODE_CREATE_TRIG_STMT:
    case PG_QUERY__NODE__NODE_RULE_STMT:
    case PG_QUERY__NODE__NODE_CREATE_POLICY_STMT:
    case PG_QUERY__NODE__NODE_ALTER_POLICY_STMT:
    case PG_QUERY__NODE__NODE_TRUNCATE_STMT:
        return is_short;
    case PG_QUERY__NODE__NODE_DROP_STMT:
        if ((int)node->drop_stmt->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX)
            return node->drop_stmt->concurrent ? NULL : concurrently;
        return is_of_table((int)node->drop_stmt->remove_type) ? is_short : NULL;
    case PG_QUERY__NODE__NODE_INDEX_STMT:
        return node->index_stmt->concurrent ? NULL : concurrently;
    default:
        return NULL;
    }
}

static void judge_statement(struct text *t)
{
    const struct rb_statement *s = t->s;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (refused[i].node == (int)s->node->node_case)
            rb_error(t->rb, refused[i].rule, rb_at_start(s), refused[i].hint, "%s", refused[i].what);
    }
    if (t->is_short && needs_no_transaction(s->node))
        rb_error(t->rb, "as-is-transaction", rb_at_start(s),
                 s->fence->rollback ? "Write the way back without CONCURRENTLY, or {no-undo} on the as-is fence."
                                    : "Write {as-is lock=long}, with this statement alone in the fence.",
                 "PostgreSQL does not run this statement inside a transaction");
    const char *hint = t->is_short || s->fence->rewrite_ok ? NULL : gentler(s->node);
    if (hint != NULL)
        rb_error(t->rb, "as-is-strong", rb_at_start(s), hint,
                 "with lock=long this waits for its lock without end, and all who use the table wait behind it");
}

/* ---- names ---- */

static void need_schema(struct text *t, struct rb_place at, const char *name)
{
    rb_error(t->rb, "as-is-name", at, rb_format(t->rb, "Write %s.%s.", rb_plain(t->rb, t->rb->front.schema), name),
             "%s has no schema, and the agent looks into pg_catalog only", name);
}

static bool is_known(const struct rb_table *tables, size_t n, const struct rb_table *table)
{
    for (size_t i = 0; i < n; i++) {
        if (rb_same_table(&tables[i], table))
            return true;
    }
    return false;
}

static void add_table(struct text *t, const char *schema, const char *name, bool made)
{
    struct rb_table table = {schema[0] != '\0' ? schema : t->rb->front.schema, name};
    size_t *n = made ? &t->n_made : &t->n_tables;
    bool known = is_known(t->made, t->n_made, &table) || is_known(t->tables, t->n_tables, &table);
    if (!known && *n < TABLES_MAX)
        (made ? t->made : t->tables)[(*n)++] = table;
}

static void take_relation(struct text *t, const PgQuery__RangeVar *table, bool made)
{
    const struct rb_statement *s = t->s;
    bool is_cte = false, found = false;
    for (size_t i = 0; i < t->n_ctes; i++)
        is_cte = is_cte || strcmp(t->ctes[i], table->relname) == 0;
    if (table->schemaname[0] == '\0' && (is_cte || strncmp(table->relname, "pg_", 3) == 0))
        return;
    add_table(t, table->schemaname, table->relname, made);
    if (table->schemaname[0] != '\0')
        return;
    for (size_t i = 0; i < s->n_tokens && t->n_names < TABLES_MAX; i++) {
        if (table->location < 0 || s->tokens[i].start != (size_t)table->location ||
            !rb_token_is(s, &s->tokens[i], table->relname))
            continue;
        t->names[t->n_names++] = s->tokens[i].start;
        found = true;
    }
    if (!found)
        need_schema(t, rb_at_word(s, 0, table->relname), rb_plain(t->rb, table->relname));
}

/* Names in lists have no place of their own: they must have a schema. */
static void judge_list(struct text *t, PgQuery__Node *const *names, size_t n, size_t least)
{
    const char *last = n > 0 ? rb_string(names[n - 1]) : "";
    const char *first = n > 0 ? rb_string(names[0]) : "";
    if (n > 0 && n < least && last[0] != '\0' && rb_function_kind(last) == RB_FUNCTION_UNKNOWN)
        need_schema(t, rb_at_word(t->s, 0, first), rb_plain(t->rb, first));
}

static void judge_drop(struct text *t, const PgQuery__DropStmt *drop)
{
    int type = (int)drop->remove_type;
    bool on_table = type == PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER || type == PG_QUERY__OBJECT_TYPE__OBJECT_POLICY ||
                    type == PG_QUERY__OBJECT_TYPE__OBJECT_RULE;
    for (size_t i = 0; i < drop->n_objects; i++) {
        const PgQuery__Node *object = drop->objects[i];
        if (object->node_case != PG_QUERY__NODE__NODE_LIST)
            continue;
        const PgQuery__List *list = object->list;
        judge_list(t, list->items, list->n_items, on_table ? 3 : 2);
        if (on_table && list->n_items == 3)
            add_table(t, rb_string(list->items[0]), rb_string(list->items[1]), false);
        else if (type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE && list->n_items == 2)
            add_table(t, rb_string(list->items[0]), rb_string(list->items[1]), false);
    }
}

static void judge_call(struct text *t, const PgQuery__FuncCall *call)
{
    static const char *const sequences[] = {"setval", "nextval", "currval", "to_regclass"};
    const char *name = rb_string(call->funcname[call->n_funcname - 1]);
    bool first = call->n_args > 0 && call->args[0]->node_case == PG_QUERY__NODE__NODE_A_CONST &&
                 call->args[0]->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL;
    for (size_t i = 0; first && i < sizeof sequences / sizeof sequences[0]; i++) {
        const char *object = call->args[0]->a_const->sval->sval;
        if (strcmp(name, sequences[i]) == 0 && strchr(object, '.') == NULL)
            need_schema(t, rb_at(t->s, call->args[0]->a_const->location), object);
    }
    if (call->n_funcname == 1 && rb_function_kind(name) == RB_FUNCTION_UNKNOWN && strncmp(name, "pg_", 3) != 0 &&
        strncmp(name, "has_", 4) != 0)
        need_schema(t, rb_at(t->s, call->location), rb_plain(t->rb, name));
}

static void find_made(struct text *t, const PgQuery__Node *node)
{
    switch ((int)node->node_case) {
    case PG_QUERY__NODE__NODE_VIEW_STMT:
        take_relation(t, node->view_stmt->view, true);
        break;
    case PG_QUERY__NODE__NODE_CREATE_STMT:
        take_relation(t, node->create_stmt->relation, true);
        break;
    case PG_QUERY__NODE__NODE_CREATE_SEQ_STMT:
        take_relation(t, node->create_seq_stmt->sequence, true);
        break;
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT:
        take_relation(t, node->create_table_as_stmt->into->rel, true);
        break;
    case PG_QUERY__NODE__NODE_RENAME_STMT:
        if (node->rename_stmt->relation != NULL && node->rename_stmt->subname[0] == '\0') {
            take_relation(t, node->rename_stmt->relation, false);
            add_table(t, node->rename_stmt->relation->schemaname, node->rename_stmt->newname, true);
        }
        break;
    default:
        break;
    }
}

static void find_names(const ProtobufCMessage *m, void *ctx)
{
    struct text *t = ctx;
    const ProtobufCMessageDescriptor *d = m->descriptor;
    if (d == &pg_query__common_table_expr__descriptor && t->n_ctes < TABLES_MAX)
        t->ctes[t->n_ctes++] = ((const PgQuery__CommonTableExpr *)m)->ctename;
    else if (d == &pg_query__range_var__descriptor) {
        const PgQuery__RangeVar *table = (const PgQuery__RangeVar *)m;
        bool taken = false;
        for (size_t i = 0; i < t->n_names; i++)
            taken = taken || (table->location >= 0 && t->names[i] == (size_t)table->location);
        if (!taken)
            take_relation(t, table, false);
    } else if (d == &pg_query__func_call__descriptor)
        judge_call(t, (const PgQuery__FuncCall *)m);
    else if (d == &pg_query__drop_stmt__descriptor)
        judge_drop(t, (const PgQuery__DropStmt *)m);
    else if (d == &pg_query__create_function_stmt__descriptor)
        judge_list(t, ((const PgQuery__CreateFunctionStmt *)m)->funcname,
                   ((const PgQuery__CreateFunctionStmt *)m)->n_funcname, 2);
    else if (d == &pg_query__create_trig_stmt__descriptor)
        judge_list(t, ((const PgQuery__CreateTrigStmt *)m)->funcname, ((const PgQuery__CreateTrigStmt *)m)->n_funcname,
                   2);
    else if (d == &pg_query__create_enum_stmt__descriptor)
        judge_list(t, ((const PgQuery__CreateEnumStmt *)m)->type_name,
                   ((const PgQuery__CreateEnumStmt *)m)->n_type_name, 2);
    else if (d == &pg_query__create_domain_stmt__descriptor)
        judge_list(t, ((const PgQuery__CreateDomainStmt *)m)->domainname,
                   ((const PgQuery__CreateDomainStmt *)m)->n_domainname, 2);
    else if (d == &pg_query__object_with_args__descriptor)
        judge_list(t, ((const PgQuery__ObjectWithArgs *)m)->objname, ((const PgQuery__ObjectWithArgs *)m)->n_objname,
                   2);
    else if (d == &pg_query__type_name__descriptor) {
        const PgQuery__TypeName *type = (const PgQuery__TypeName *)m;
        if (type->n_names == 1 && !rb_type_is_built_in(rb_string(type->names[0])))
            need_schema(t, rb_at(t->s, type->location), rb_string(type->names[0]));
    }
    rb_children(m, find_names, ctx);
}

/* ---- one fence ---- */

static int by_place(const void *a, const void *b)
{
    size_t left = *(const size_t *)a, right = *(const size_t *)b;
    return left < right ? -1 : left > right;
}

static void read_statement(struct rb_statement *s, void *ctx)
{
    struct text *t = ctx;
    size_t done = 0, n = strlen(s->sql);
    t->s = s;
    t->n_names = t->n_ctes = 0;
    judge_statement(t);
    find_made(t, s->node);
    find_names(&s->node->base, t);
    qsort(t->names, t->n_names, sizeof t->names[0], by_place);
    zdm_buffer_puts(&t->sql, t->statements++ == 0 ? "" : ";\n");
    for (size_t i = 0; i < t->n_names; i++) {
        if (t->names[i] < done || t->names[i] > n)
            continue;
        zdm_buffer_append(&t->sql, s->sql + done, t->names[i] - done);
        zdm_buffer_printf(&t->sql, "%s.", rb_quote(s->rb, s->rb->front.schema));
        done = t->names[i];
    }
    zdm_buffer_puts(&t->sql, s->sql + done);
}

static void read_postgresql(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence, bool is_short,
                            struct rb_as_is_text *out)
{
    struct text t = {.rb = rb, .is_short = is_short, .sql = ZDM_BUFFER_INIT};
    out->n_statements = rb_sql_each(rb, phase, fence, read_statement, &t);
    out->sql = rb_take(rb, &t.sql);
    out->n_tables = t.n_tables;
    memcpy(out->tables, t.tables, sizeof t.tables);
}

/* In MySQL each statement of DDL commits by itself: several are never one transaction. */
static void read_text(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence, bool is_short,
                      struct rb_as_is_text *out)
{
    bool mysql = rb->engine == ZDM_ENGINE_MYSQL;
    *out = (struct rb_as_is_text){.sql = ""};
    if (mysql)
        rb_mysql_as_is(rb, phase, fence, out);
    else
        read_postgresql(rb, phase, fence, is_short, out);
    if (out->n_statements == 0)
        rb_error(rb, "as-is-empty", fence->at, "Write the statement, or remove the fence.",
                 "there is no statement to run as it is");
    else if (out->n_statements > 1 && mysql)
        rb_error(rb, "as-is-long", fence->at,
                 "Give each statement a fence of its own, with its own check and way back.",
                 "MySQL commits each of these %zu statements by itself, and what is done could not be told",
                 out->n_statements);
    else if (out->n_statements > 1 && !is_short)
        rb_error(rb, "as-is-long", fence->at,
                 "Give each statement a fence of its own, with its own check and way back; with lock=short several run "
                 "in one transaction.",
                 "lock=long runs one statement outside of a transaction, and there are %zu", out->n_statements);
}

struct proof {
    const char *sql;
    size_t n;
};

static void read_proof(struct rb_statement *s, void *ctx)
{
    struct proof *proof = ctx;
    rb_qualify_types(s, &s->node->base);
    if (proof->n++ == 0)
        proof->sql = rb_check_sql(s);
    else
        rb_error(s->rb, "as-is-proof", rb_at_start(s), "Join them with UNION ALL.",
                 "the proof of an as-is statement is one SELECT");
}

static const char *read_check(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence)
{
    struct proof proof = {.n = 0};
    if (rb->engine == ZDM_ENGINE_MYSQL)
        return rb_mysql_query(rb, phase, fence, "as-is-proof");
    if (rb_sql_each(rb, phase, fence, read_proof, &proof) == 0)
        rb_error(rb, "as-is-proof", fence->at, "Write one SELECT into it.", "the check of an as-is statement is empty");
    return proof.sql;
}

/* ---- the three fences together ---- */

struct parts {
    struct rb_fence *fence, *check, *rollback;
    size_t n;
};

static struct parts find_parts(const struct rb_phase *phase, size_t i)
{
    struct parts p = {.fence = phase->fences[i], .n = 1};
    for (size_t k = i + 1; k < phase->n_fences && k <= i + 2; k++) {
        struct rb_fence *next = phase->fences[k];
        if (next->kind == RB_FENCE_SQL && next->check && p.check == NULL)
            p.check = next;
        else if (next->kind == RB_FENCE_SQL && next->rollback && p.rollback == NULL)
            p.rollback = next;
        else
            break;
        p.n++;
    }
    return p;
}

/* Its check and its way back are read as the statement is, said or not. */
static void judge_engines(struct rb *rb, const struct parts *p)
{
    const struct rb_fence *const behind[] = {p->check, p->rollback};
    for (size_t i = 0; i < 2; i++) {
        if (behind[i] != NULL && behind[i]->engine != ZDM_ENGINE_ANY && behind[i]->engine != rb->engine)
            rb_error(rb, "as-is-parts", rb_attribute_place(behind[i], "engine"), "Write the same engine, or none.",
                     "this stands behind a statement for another engine");
    }
}

static void judge_parts(struct rb *rb, const struct parts *p)
{
    const struct rb_fence *fence = p->fence;
    judge_engines(rb, p);
    if (p->check == NULL)
        rb_error(rb, "as-is-check", fence->at,
                 "Put a ```sql {check} right behind it: one SELECT that returns a row as long as the statement has not "
                 "done its work, as SELECT 1 WHERE to_regclass('public.v') IS NULL. The agent asks it before and "
                 "after, and when it is restarted.",
                 "nothing proves that this statement was done");
    if (p->rollback == NULL && !fence->no_undo)
        rb_error(rb, "as-is-rollback", fence->at,
                 "Put a ```sql {rollback} behind it with what takes it back, or write no-undo where nothing does.",
                 "nothing takes this statement back");
    if (p->rollback != NULL && fence->no_undo)
        rb_error(rb, "as-is-undo-twice", p->rollback->at, "Keep one of them.",
                 "no-undo says that there is no way back, and here is one");
    if (fence->batch > 0 || fence->sync || fence->no_sync || fence->skip_triggers)
        rb_warning(rb, "attribute-unused", fence->at, NULL,
                   "batch, sync, no-sync and triggers mean something for UPDATE and DELETE only, and this fence is run "
                   "as it is");
}

static void add_step(struct rb *rb, struct rb_phase *phase, const struct parts *p, const struct rb_as_is_text *text,
                     const char *proof, const char *inverse)
{
    bool is_short = p->fence->as_is == RB_AS_IS_SHORT;
    struct rb_place at = rb_place_in_fence(rb, p->fence, strspn(p->fence->text, " \t\r\n"));
    struct rb_step *step =
        rb_step_add(rb, phase, p->fence, ZDM_STEP_DDL, ZDM_ACTION_AS_IS, is_short ? ZDM_LOCK_SHORT : ZDM_LOCK_LONG);
    if (text->n_tables > 0)
        rb_step_table(step, &text->tables[0]);
    for (size_t i = 1; i < text->n_tables; i++)
        rb_step_other(step, &text->tables[i]);
    step->step.sql = rb_dup(text->sql);
    step->step.proof_sql = rb_dup(proof);
    step->step.rewrite_ok = p->fence->rewrite_ok;
    step->step.inverse = inverse == NULL ? ZDM_INVERSE_IMPOSSIBLE : ZDM_INVERSE_SQL;
    step->step.inverse_sql = rb_dup(inverse);
    step->step.exact_inverse = false;
    step->note.line = at.line;
    step->note.column = at.column;
    free(step->note.source);
    step->note.source = rb_dup(p->fence->text);
    free(step->note.lock);
    step->note.lock = rb_dup(is_short ? "what the statement takes, at most 100 ms, retried"
                                      : "what the statement takes; waits for older transactions");
    bool mysql = rb->engine == ZDM_ENGINE_MYSQL;
    rb_step_does(step, "run as it is written%s",
                 mysql      ? ""
                 : is_short ? ", in one transaction"
                            : ", outside of a transaction");
}

size_t rb_as_is_compile(struct rb *rb, struct rb_phase *phase, size_t i)
{
    struct parts p = find_parts(phase, i);
    if (p.fence->engine != ZDM_ENGINE_ANY && p.fence->engine != rb->engine)
        return p.n;
    if (rb->neutral) {
        rb_not_neutral(rb, p.fence->at, "a statement that is run as it is written is of one engine");
        return p.n;
    }
    struct rb_as_is_text text, back = {.sql = NULL};
    size_t errors = rb->n_errors;
    judge_parts(rb, &p);
    read_text(rb, phase, p.fence, p.fence->as_is == RB_AS_IS_SHORT, &text);
    const char *proof = p.check == NULL ? NULL : read_check(rb, phase, p.check);
    if (p.rollback != NULL)
        read_text(rb, phase, p.rollback, true, &back);
    if (errors == rb->n_errors) {
        rb_warning(rb, "as-is", p.fence->at,
                   "The phase needs an approval. Only its check says whether it was done, and nothing is known of what "
                   "it locks or how long.",
                   "this runs as it is written: no rewrite, no derived way back%s",
                   p.fence->no_undo ? ", and no way back at all" : "");
        add_step(rb, phase, &p, &text, proof, back.sql);
    }
    return p.n;
}
