/*
 * refuse.c - every statement that a runbook cannot hold as it is written: why not, and what to write instead.
 *
 * What changes the schema and hurts nobody is shown in its as-is form, ready to copy; what would rewrite a table or
 * destroy something is not.
 */
#include "common/runbook/postgresql/ddl.h"

#include <string.h>

struct refusal {
    int node;                       /* case of the node, or subtype of the command */
    const char *rule, *what, *hint; /* hint NULL: the as-is form of the statement */
};

static const struct refusal statements[] = {
    {PG_QUERY__NODE__NODE_SELECT_STMT, "select", "a SELECT changes nothing",
     "Write ```sql {check} where the query must return no row, or keep it as documentation with the language text."},
    {PG_QUERY__NODE__NODE_INSERT_STMT, "insert", "rows that an INSERT adds cannot be kept in step or undone", NULL},
    {PG_QUERY__NODE__NODE_MERGE_STMT, "merge", "MERGE mixes inserts, updates and deletes",
     "Write its update as UPDATE … SET; insert from the application."},
    {PG_QUERY__NODE__NODE_TRUNCATE_STMT, "truncate", "TRUNCATE locks the table and destroys its rows",
     "Write DELETE FROM … WHERE true, which keeps the rows for a rollback; or DROP TABLE in the contract phase."},
    {PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT, "create-table",
     "CREATE TABLE AS reads and copies under one transaction, and what it copies is another thing on another shard",
     "Write CREATE TABLE with its columns; fill it from the application."},
    {PG_QUERY__NODE__NODE_TRANSACTION_STMT, "transaction",
     "a transaction around steps would hold its locks from the first to the last",
     "Leave BEGIN and COMMIT out: each step is a transaction of its own and can be repeated."},
    {PG_QUERY__NODE__NODE_DO_STMT, "do-block", "what a DO block does cannot be known, batched or undone",
     "Write the UPDATE itself, without loop, LIMIT or sleep: UPDATE users SET status = 'active' WHERE status IS NULL; "
     "it is run in throttled batches."},
    {PG_QUERY__NODE__NODE_CALL_STMT, "call", "what a procedure does cannot be known, batched or undone",
     "Write the statements themselves."},
    {PG_QUERY__NODE__NODE_VIEW_STMT, "view", "what a view means is not known to a plan", NULL},
    {PG_QUERY__NODE__NODE_REFRESH_MAT_VIEW_STMT, "maintenance", "refreshing a view is no part of a migration",
     "Refresh it as before, or by hand between two phases: CONCURRENTLY."},
    {PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT, "function", "what a function does is not known to a plan", NULL},
    {PG_QUERY__NODE__NODE_CREATE_TRIG_STMT, "trigger", "a trigger of one's own changes every write of the application",
     NULL},
    {PG_QUERY__NODE__NODE_CREATE_EXTENSION_STMT, "extension", "what an extension brings is not known to a plan", NULL},
    {PG_QUERY__NODE__NODE_ALTER_EXTENSION_STMT, "extension", "what an extension brings is not known to a plan", NULL},
    {PG_QUERY__NODE__NODE_CREATE_SEQ_STMT, "sequence-statement", "sequences of one's own are not part of a plan", NULL},
    {PG_QUERY__NODE__NODE_ALTER_SEQ_STMT, "sequence-statement", "sequences of one's own are not part of a plan", NULL},
    {PG_QUERY__NODE__NODE_CREATE_SCHEMA_STMT, "schema-statement", "schemas are not part of a plan", NULL},
    {PG_QUERY__NODE__NODE_CREATE_DOMAIN_STMT, "domain", "domains are not part of a plan", NULL},
    {PG_QUERY__NODE__NODE_ALTER_DOMAIN_STMT, "domain",
     "a change of a domain is proven in every table that uses it, under their locks",
     "Write the constraint on the column: ALTER TABLE … ADD CONSTRAINT … CHECK (…)."},
    {PG_QUERY__NODE__NODE_COMPOSITE_TYPE_STMT, "composite-type", "composite types are not part of a plan", NULL},
    {PG_QUERY__NODE__NODE_CREATE_POLICY_STMT, "policy", "who may see which row is not part of a plan", NULL},
    {PG_QUERY__NODE__NODE_ALTER_POLICY_STMT, "policy", "who may see which row is not part of a plan", NULL},
    {PG_QUERY__NODE__NODE_CREATE_STATS_STMT, "statistics", "extended statistics are not part of a plan", NULL},
    {PG_QUERY__NODE__NODE_RULE_STMT, "rewrite-rule", "a rule rewrites statements of the application",
     "Write a trigger or change the application."},
    {PG_QUERY__NODE__NODE_VACUUM_STMT, "maintenance", "VACUUM and ANALYZE are no part of a migration",
     "Let autovacuum do it, or run it by hand between two phases. VACUUM FULL writes the table anew under its lock: "
     "never on a table in use."},
    {PG_QUERY__NODE__NODE_CLUSTER_STMT, "rewrite", "CLUSTER writes the whole table anew under its lock",
     "Leave it out; REINDEX TABLE is done concurrently."},
    {PG_QUERY__NODE__NODE_LOCK_STMT, "lock", "a lock of one's own would stall the application",
     "Leave LOCK out: each step takes the lock it needs, for at most 100 ms at a time."},
    {PG_QUERY__NODE__NODE_VARIABLE_SET_STMT, "set", "sessions of the agent have settings of their own",
     "Leave SET out; throttle: in the front matter says how fast the work may go."},
    {PG_QUERY__NODE__NODE_COPY_STMT, "copy", "COPY moves rows in or out, which no plan can repeat",
     "Load the rows by hand between two phases."},
    {PG_QUERY__NODE__NODE_GRANT_STMT, "grant", "rights are not part of a plan", NULL},
    {PG_QUERY__NODE__NODE_GRANT_ROLE_STMT, "grant", "rights are not part of a plan", NULL},
    {PG_QUERY__NODE__NODE_ALTER_OWNER_STMT, "owner", "whose an object is is not part of a plan", NULL},
    {PG_QUERY__NODE__NODE_CREATE_ROLE_STMT, "role", "roles belong to the whole server, not to one database",
     "Create it by hand, or with what sets the server up."},
    {PG_QUERY__NODE__NODE_ALTER_OBJECT_SCHEMA_STMT, "set-schema",
     "code that runs while an object changes its schema would fail: it knows one of the names only",
     "Keep it where it is, or let the application's search_path hold both schemas first, and write it as it is."},
    {PG_QUERY__NODE__NODE_CREATE_PUBLICATION_STMT, "publication", "publications are not part of a plan", NULL},
    {PG_QUERY__NODE__NODE_ALTER_PUBLICATION_STMT, "publication", "publications are not part of a plan", NULL},
};

static const char rewrites[] = "this writes the whole table anew under its lock";
static const char leave[] = "Leave it out: no way is known that does not stop readers and writers.";

static const struct refusal commands[] = {
    {PG_QUERY__ALTER_TABLE_TYPE__AT_SetLogged, "rewrite", rewrites, leave},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_SetUnLogged, "rewrite", rewrites, leave},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_SetTableSpace, "rewrite", rewrites, leave},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_SetAccessMethod, "rewrite", rewrites, leave},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DropOids, "rewrite", rewrites, leave},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_AddInherit, "inherit", "tables that inherit are not supported",
     "Use partitions: PARTITION BY, and ALTER TABLE … ATTACH PARTITION."},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DropInherit, "inherit", "tables that inherit are not supported", NULL},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartitionFinalize, "partition",
     "a detach that broke off is not this migration's",
     "Run ALTER TABLE … DETACH PARTITION … FINALIZE by hand; a plan detaches in one short transaction."},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DisableTrig, "trigger", "a trigger that is off lets wrong rows in", NULL},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DisableTrigAll, "trigger-all", "the agent's own triggers would be off, too",
     "Name the trigger: DISABLE TRIGGER name. A batch passes them by with {triggers=skip}."},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_EnableTrigAll, "trigger-all",
     "the agent's own triggers are always on, and would be no longer", "Name the trigger: ENABLE TRIGGER name."},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DisableTrigUser, "trigger-all", "the agent's own triggers would be off, too",
     "Name the trigger: DISABLE TRIGGER name. A batch passes them by with {triggers=skip}."},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_EnableTrigUser, "trigger-all",
     "the agent's own triggers are always on, and would be no longer", "Name the trigger: ENABLE TRIGGER name."},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_AddIdentity, "identity",
     "an identity of a column that exists is not part of a plan", NULL},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_SetIdentity, "identity", "an identity is not part of a plan", NULL},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DropIdentity, "identity", "an identity is not part of a plan", NULL},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_EnableRowSecurity, "policy", "who may see which row is not part of a plan", NULL},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DisableRowSecurity, "policy", "who may see which row is not part of a plan", NULL},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_ForceRowSecurity, "policy", "who may see which row is not part of a plan", NULL},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_NoForceRowSecurity, "policy", "who may see which row is not part of a plan", NULL},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_ChangeOwner, "owner", "whose an object is is not part of a plan", NULL},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_ReplicaIdentity, "replica-identity",
     "what subscribers of the table need is not part of a plan", NULL},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_AlterConstraint, "alter-constraint",
     "how a constraint is deferred is not part of a plan", NULL},
};

static const struct refusal other_statement = {0, "statement", "this statement is not one that a plan knows", NULL};
static const struct refusal other_command = {0, "alter-table", "this change is not one that a plan knows", NULL};

static const struct refusal *find(const struct refusal *rows, size_t n, int node, const struct refusal *other)
{
    for (size_t i = 0; i < n; i++) {
        if (rows[i].node == node)
            return &rows[i];
    }
    return other;
}

static void refuse(struct rb_statement *s, const struct refusal *refusal, struct rb_place at, const char *sql)
{
    const char *hint = refusal->hint != NULL ? refusal->hint : rb_as_is_hint(s->rb, sql);
    rb_error(s->rb, refusal->rule, at, hint, "%s", refusal->what);
}

/* ---- renames ---- */

static const char *recipe_or(struct rb *rb, const char *sql, const char *words)
{
    const char *recipe = rb_recipe_of(rb, sql);
    return recipe != NULL ? recipe : words;
}

static void refuse_rename(struct rb_statement *s, const PgQuery__RenameStmt *rename)
{
    static const struct refusal other = {0, "rename", "this rename is not one that a plan knows", NULL};
    struct rb *rb = s->rb;
    struct rb_place at = rb_at_word(s, 0, "rename");
    struct rb_table table = {rb->front.schema, ""};
    bool column = rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN;
    bool whole = rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE;
    if ((column || whole) && rename->relation != NULL && !rb_relation(s, rename->relation, &table))
        return;
    if (column)
        rb_error(rb, "rename-column", at,
                 rb_recipe_rename(rb, rb_table_text(rb, &table), rename->subname, rename->newname, NULL, NULL),
                 "code that runs while %s becomes %s would fail: it knows one of the names only", rename->subname,
                 rename->newname);
    else if (whole)
        rb_error(rb, "rename-table", at,
                 recipe_or(rb, s->sql, "Keep the name, or let a view have the new one until all code uses it."),
                 "code that runs while %s becomes %s would fail: it knows one of the names only", table.name,
                 rename->newname);
    else
        refuse(s, &other, at, s->sql);
}

/* ---- the rest ---- */

static void refuse_drop(struct rb_statement *s)
{
    static const struct refusal drop = {0, "drop", "what this DROP takes away is not known to a plan", NULL};
    refuse(s, &drop, rb_at_start(s), s->sql);
}

/* A materialized view is made by the same statement as a table. */
static void refuse_create_as(struct rb_statement *s)
{
    static const struct refusal view = {0, "view", "what a materialized view means is not known to a plan", NULL};
    bool is_view = s->node->create_table_as_stmt->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW;
    refuse(s,
           is_view
               ? &view
               : find(statements, sizeof statements / sizeof statements[0], (int)s->node->node_case, &other_statement),
           rb_at_start(s), s->sql);
}

/* SELECT … INTO makes a table, wherever the INTO stands. */
static void refuse_select(struct rb_statement *s)
{
    static const struct refusal into = {
        0, "create-table",
        "SELECT INTO copies under one transaction, and what it copies is another thing on another shard",
        "Write CREATE TABLE with its columns; fill it from the application."};
    const PgQuery__SelectStmt *select = s->node->select_stmt;
    while (select->into_clause == NULL && select->larg != NULL)
        select = select->larg;
    refuse(s,
           select->into_clause != NULL
               ? &into
               : find(statements, sizeof statements / sizeof statements[0], (int)s->node->node_case, &other_statement),
           rb_at_start(s), s->sql);
}

static void refuse_alter(struct rb_statement *s, const PgQuery__AlterTableStmt *alter)
{
    static const struct refusal index = {0, "alter-index", "an index is changed by building another one",
                                         "Write CREATE INDEX with the wanted parameters under another name, and DROP "
                                         "INDEX of the old one in the contract phase."};
    bool is_index = alter->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX;
    refuse(s, is_index ? &index : &other_command, rb_at_start(s), s->sql);
}

void rb_refuse(struct rb_statement *s)
{
    switch ((int)s->node->node_case) {
    case PG_QUERY__NODE__NODE_RENAME_STMT:
        refuse_rename(s, s->node->rename_stmt);
        break;
    case PG_QUERY__NODE__NODE_DROP_STMT:
        refuse_drop(s);
        break;
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT:
        refuse_create_as(s);
        break;
    case PG_QUERY__NODE__NODE_SELECT_STMT:
        refuse_select(s);
        break;
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT:
        refuse_alter(s, s->node->alter_table_stmt);
        break;
    default:
        refuse(s, find(statements, sizeof statements / sizeof statements[0], (int)s->node->node_case, &other_statement),
               rb_at_start(s), s->sql);
        break;
    }
}

void rb_ddl_refuse(const struct rb_ddl *d)
{
    refuse(d->s, find(commands, sizeof commands / sizeof commands[0], (int)d->cmd->subtype, &other_command),
           rb_at(d->s, (int)d->body), d->source);
}
