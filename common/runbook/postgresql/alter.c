/*
 * alter.c - ALTER TABLE, command by command.
 *
 * A statement with several commands becomes several steps: each takes its lock alone and for as short as it can.
 */
#include "common/runbook/postgresql/ddl.h"

#include <string.h>

static const struct {
    PgQuery__AlterTableType type;
    void (*compile)(const struct rb_ddl *d);
} rows[] = {
    {PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn, rb_ddl_add_column},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn, rb_ddl_drop_column},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull, rb_ddl_set_not_null},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DropNotNull, rb_ddl_drop_not_null},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_ColumnDefault, rb_ddl_default},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType, rb_ddl_type},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint, rb_ddl_add_constraint},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint, rb_ddl_validate},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint, rb_ddl_drop_constraint},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_SetRelOptions, rb_ddl_storage},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_ResetRelOptions, rb_ddl_storage},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_SetStatistics, rb_ddl_column_storage},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_SetOptions, rb_ddl_column_storage},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_ResetOptions, rb_ddl_column_storage},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_AttachPartition, rb_ddl_attach},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartition, rb_ddl_detach},
};

static void compile_command(const struct rb_ddl *d)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].type == d->cmd->subtype) {
            rows[i].compile(d);
            return;
        }
    }
    rb_ddl_refuse(d);
}

void rb_compile_alter(struct rb_statement *s, PgQuery__AlterTableStmt *alter)
{
    struct rb *rb = s->rb;
    struct rb_table table;
    if (alter->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE) {
        rb_refuse(s);
        return;
    }
    if (alter->missing_ok) {
        rb_error(rb, "if-exists", rb_at_word(s, 0, "if"), "Leave IF EXISTS out.",
                 "every shard must have the table that the plan changes");
        return;
    }
    if (!rb_relation(s, alter->relation, &table))
        return;
    for (size_t i = 0; i < alter->n_cmds; i++) {
        struct rb_ddl d = {.s = s, .table = table, .cmd = alter->cmds[i]->alter_table_cmd};
        size_t end = rb_command_end(s, i);
        d.body = rb_command_offset(s, i);
        d.from = i == 0 ? s->tokens[0].start : d.body;
        d.source = alter->n_cmds == 1 || end <= d.body ? s->sql
                                                       : rb_format(rb, "ALTER TABLE %s %.*s", rb_table_text(rb, &table),
                                                                   (int)(end - d.body), s->sql + d.body);
        compile_command(&d);
    }
}
