/*
 * refuse.c - every statement that a runbook cannot hold: why not, and what to write instead.
 */
#include "common/runbook/tree.h"

#include <string.h>

struct refusal {
    int node; /* case of the node, or subtype of the command */
    const char *rule, *what, *hint;
};

static const struct refusal statements[] = {
    {PG_QUERY__NODE__NODE_SELECT_STMT, "select", "a SELECT changes nothing",
     "Write ```sql {check} where the query must return no row, or keep it as documentation with the language text."},
    {PG_QUERY__NODE__NODE_INSERT_STMT, "insert", "rows that an INSERT adds cannot be kept in step or undone",
     "Insert them from the application, or by hand between two phases."},
    {PG_QUERY__NODE__NODE_DELETE_STMT, "delete", "a DELETE cannot be undone, and this release has no archive for rows",
     "Mark the rows instead (UPDATE … SET deleted = true), or delete them by hand in small batches."},
    {PG_QUERY__NODE__NODE_MERGE_STMT, "merge", "MERGE mixes inserts, updates and deletes",
     "Write its update as UPDATE … SET; insert from the application."},
    {PG_QUERY__NODE__NODE_TRUNCATE_STMT, "truncate", "TRUNCATE locks the table and destroys its rows",
     "Empty the table by hand when nothing uses it any more."},
    {PG_QUERY__NODE__NODE_CREATE_STMT, "create-table", "CREATE TABLE is not supported by this release",
     "Create the table by hand before the migration: nothing uses it yet, so nothing can be disturbed."},
    {PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT, "create-table", "CREATE TABLE AS is not supported by this release",
     "Create the table by hand before the migration: nothing uses it yet, so nothing can be disturbed."},
    {PG_QUERY__NODE__NODE_TRANSACTION_STMT, "transaction",
     "a transaction around steps would hold its locks from the first to the last",
     "Leave BEGIN and COMMIT out: each step is a transaction of its own and can be repeated."},
    {PG_QUERY__NODE__NODE_DO_STMT, "do-block", "what a DO block does cannot be known, batched or undone",
     "Write the UPDATE itself, without loop, LIMIT or sleep: UPDATE users SET status = 'active' WHERE status IS NULL; "
     "it is run in throttled batches."},
    {PG_QUERY__NODE__NODE_CALL_STMT, "call", "what a procedure does cannot be known, batched or undone",
     "Write the statements themselves."},
    {PG_QUERY__NODE__NODE_VIEW_STMT, "view", "views are not supported by this release",
     "Create it by hand between two phases."},
    {PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT, "function", "functions are not supported by this release",
     "Create it by hand between two phases."},
    {PG_QUERY__NODE__NODE_CREATE_TRIG_STMT, "trigger", "triggers of one's own are not supported",
     "UPDATE … SET column = expression installs the triggers that keep the column right."},
    {PG_QUERY__NODE__NODE_VACUUM_STMT, "maintenance", "VACUUM and ANALYZE are no part of a migration",
     "Let autovacuum do it, or run it by hand between two phases."},
    {PG_QUERY__NODE__NODE_LOCK_STMT, "lock", "a lock of one's own would stall the application",
     "Leave LOCK out: each step takes the lock it needs, for at most 100 ms at a time."},
    {PG_QUERY__NODE__NODE_VARIABLE_SET_STMT, "set", "sessions of the agent have settings of their own",
     "Leave SET out; throttle: in the front matter says how fast the work may go."},
    {PG_QUERY__NODE__NODE_COPY_STMT, "copy", "COPY moves rows in or out, which no plan can repeat",
     "Load the rows by hand between two phases."},
    {PG_QUERY__NODE__NODE_GRANT_STMT, "grant", "rights are not supported by this release",
     "Grant them by hand between two phases."},
};

static const struct refusal commands[] = {
    {PG_QUERY__ALTER_TABLE_TYPE__AT_ColumnDefault, "set-default", "SET DEFAULT and DROP DEFAULT are not supported",
     "Change the default by hand when every phase is done; while columns are kept in step a default would overwrite "
     "what the application wrote."},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DropNotNull, "drop-not-null", "DROP NOT NULL is not supported by this release",
     "Do it by hand: it changes the catalogue only. It is implied where the column is dropped."},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint, "validate-constraint",
     "VALIDATE CONSTRAINT is not supported by this release",
     "Validate it by hand after the migration; it lets reads and writes go on."},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint, "drop-constraint",
     "DROP CONSTRAINT is not supported by this release", "Drop it by hand when no code relies on it."},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_AttachPartition, "partition", "partitions cannot be attached by a plan",
     "Do it by hand between two phases."},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartition, "partition", "partitions cannot be detached by a plan",
     "Do it by hand between two phases."},
};

static const struct refusal other_statement = {0, "statement", "this statement is not supported by this release",
                                               "Supported are ALTER TABLE (ADD COLUMN, SET NOT NULL, DROP COLUMN), "
                                               "UPDATE … SET, CREATE INDEX, and SELECT in ```sql {check}."};
static const struct refusal other_command = {0, "alter-table",
                                             "this change of a table is not supported by this release",
                                             "Supported are ADD COLUMN, ALTER COLUMN … SET NOT NULL and DROP COLUMN."};

static const struct refusal *find(const struct refusal *rows, size_t n, int node, const struct refusal *other)
{
    for (size_t i = 0; i < n; i++) {
        if (rows[i].node == node)
            return &rows[i];
    }
    return other;
}

/* ---- renames ---- */

static void refuse_rename(struct rb_statement *s, const PgQuery__RenameStmt *rename)
{
    struct rb *rb = s->rb;
    struct rb_place at = rb_at_word(s, 0, "rename");
    struct rb_table table = {rb->front.schema, ""};
    if (rename->relation != NULL && !rb_relation(s, rename->relation, &table))
        return;
    if (rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN)
        rb_error(rb, "rename-column", at,
                 rb_recipe_rename(rb, rb_table_text(rb, &table), rename->subname, rename->newname, NULL, NULL),
                 "code that runs while %s becomes %s would fail: it knows one of the names only", rename->subname,
                 rename->newname);
    else if (rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE)
        rb_error(
            rb, "rename-table", at,
            rb_format(rb,
                      "Keep the name. Where it must change, do it in the application's code first: let both names "
                      "work through a view, by hand:\n"
                      "CREATE VIEW %s AS SELECT * FROM %s;\n"
                      "Deploy code that uses %s everywhere; then, in one transaction, drop the view and rename the "
                      "table.",
                      rename->newname, rb_table_text(rb, &table), rename->newname),
            "code that runs while %s becomes %s would fail: it knows one of the names only", table.name,
            rename->newname);
    else
        rb_error(rb, "rename", at, "Rename it by hand when the migration is over.",
                 "this rename is not supported by this release");
}

/* ---- DROP ---- */

static void refuse_drop(struct rb_statement *s, const PgQuery__DropStmt *drop)
{
    struct rb_place at = rb_at_start(s);
    if (drop->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE)
        rb_error(s->rb, "drop-table", at,
                 "Leave the table where it is until no code names it; then take its rights away, wait, and drop it by "
                 "hand.",
                 "DROP TABLE is not supported by this release");
    else if (drop->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX)
        rb_error(s->rb, "drop-index", at,
                 "Drop it by hand when pg_stat_user_indexes shows that nothing uses it: DROP INDEX CONCURRENTLY.",
                 "DROP INDEX is not supported by this release");
    else
        rb_error(s->rb, "drop", at, "Drop it by hand when the migration is over.",
                 "this kind of DROP is not supported by this release");
}

void rb_refuse(struct rb_statement *s)
{
    if (s->node->node_case == PG_QUERY__NODE__NODE_RENAME_STMT) {
        refuse_rename(s, s->node->rename_stmt);
        return;
    }
    if (s->node->node_case == PG_QUERY__NODE__NODE_DROP_STMT) {
        refuse_drop(s, s->node->drop_stmt);
        return;
    }
    const struct refusal *refusal =
        find(statements, sizeof statements / sizeof statements[0], (int)s->node->node_case, &other_statement);
    rb_error(s->rb, refusal->rule, rb_at_start(s), refusal->hint, "%s", refusal->what);
}

/* ---- commands of ALTER TABLE ---- */

static void refuse_type(struct rb_statement *s, const struct rb_table *table, const PgQuery__AlterTableCmd *command,
                        struct rb_place at)
{
    struct rb *rb = s->rb;
    const PgQuery__ColumnDef *def = command->def->column_def;
    const char *type = rb_deparse_type(rb, def->type_name), *using = NULL;
    const char *column = command->name, *expression;
    if (def->raw_default != NULL)
        using = rb_deparse_expr(rb, rb_node_copy(rb, def->raw_default));
    if (type == NULL)
        type = "text";
    expression = using != NULL ? using : rb_format(rb, "%s::%s", rb_plain(rb, column), type);
    rb_error(rb, "alter-type", at,
             rb_recipe_rename(rb, rb_table_text(rb, table), column, rb_format(rb, "%s_new", column), type, expression),
             "changing the type of %s may rewrite the whole table under its lock", column);
}

static void refuse_constraint(struct rb_statement *s, const PgQuery__AlterTableCmd *command, size_t from,
                              struct rb_place at)
{
    static const struct refusal rows[] = {
        {PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN, "add-foreign-key", "foreign keys are not supported by this release",
         "Add it by hand: ADD CONSTRAINT … NOT VALID first, VALIDATE CONSTRAINT in a second transaction."},
        {PG_QUERY__CONSTR_TYPE__CONSTR_CHECK, "add-check", "CHECK constraints are not supported by this release",
         "Verify the rows with ```sql {check}; add the constraint by hand: NOT VALID first, then VALIDATE."},
        {PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE, "add-unique", "UNIQUE constraints are not supported by this release",
         "Write CREATE UNIQUE INDEX name ON table (columns): it is built concurrently and enforces the same."},
        {PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY, "add-primary-key", "primary keys are not supported by this release",
         "Write CREATE UNIQUE INDEX, and SET NOT NULL for its columns."},
    };
    static const struct refusal other = {0, "add-constraint", "this constraint is not supported by this release",
                                         "Add it by hand when the migration is over."};
    const PgQuery__Constraint *constraint = command->def->constraint;
    const struct refusal *refusal = find(rows, sizeof rows / sizeof rows[0], (int)constraint->contype, &other);
    (void)from;
    rb_error(s->rb, refusal->rule, constraint->location > 0 ? rb_at(s, constraint->location) : at, refusal->hint, "%s",
             refusal->what);
}

void rb_refuse_command(struct rb_statement *s, const struct rb_table *table, const PgQuery__AlterTableCmd *command,
                       size_t from)
{
    struct rb_place at = rb_at(s, (int)from);
    if (command->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType) {
        refuse_type(s, table, command, at);
        return;
    }
    if (command->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint && command->def != NULL &&
        command->def->node_case == PG_QUERY__NODE__NODE_CONSTRAINT) {
        refuse_constraint(s, command, from, at);
        return;
    }
    const struct refusal *refusal =
        find(commands, sizeof commands / sizeof commands[0], (int)command->subtype, &other_command);
    rb_error(s->rb, refusal->rule, at, refusal->hint, "%s", refusal->what);
}
