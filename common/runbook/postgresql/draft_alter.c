/*
 * draft_alter.c - commands of ALTER TABLE: which phase each belongs into. Those of columns and constraints are in
 * draft_column.c and draft_constraint.c.
 */
#include "common/runbook/postgresql/ddl.h"
#include "common/runbook/draft.h"

#include <string.h>

/* One command as a statement of its own, in the words that were written. */
static const char *command_text(struct rb_draft *d, struct rb_statement *s, const struct rb_table *table, size_t i)
{
    const PgQuery__AlterTableStmt *alter = s->node->alter_table_stmt;
    const PgQuery__AlterTableCmd *cmd = alter->cmds[i]->alter_table_cmd;
    size_t from = rb_command_offset(s, i), end = rb_command_end(s, i);
    bool drops = cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn ||
                 cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint;
    const char *text = s->sql;
    if ((alter->n_cmds > 1 || !alter->relation->inh) && end > from)
        text = rb_format(s->rb, "ALTER TABLE %s%s %.*s", alter->missing_ok ? "IF EXISTS " : "",
                         rb_table_text(s->rb, table), (int)(end - from), s->sql + from);
    return drops || alter->missing_ok ? rb_draft_bare(d, text) : text;
}

struct placing {
    int subtype;
    enum rb_draft_phase phase;
    enum rb_draft_place place;
    const char *slug;
};

static const struct placing placings[] = {
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn, RB_DRAFT_CONTRACT, RB_DRAFT_LATE, "drop"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DropNotNull, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "null"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint, RB_DRAFT_MIGRATE, RB_DRAFT_LAST, "validate"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_SetRelOptions, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "storage"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_ResetRelOptions, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "storage"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_SetStatistics, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "statistics"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_SetOptions, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "statistics"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_ResetOptions, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "statistics"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_AttachPartition, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "attach"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartition, RB_DRAFT_CONTRACT, RB_DRAFT_MAIN, "detach"},
};

static bool place_command(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd,
                          const char *text)
{
    for (size_t i = 0; i < sizeof placings / sizeof placings[0]; i++) {
        const struct placing *row = &placings[i];
        if (row->subtype != (int)cmd->subtype)
            continue;
        rb_draft_title(
            d, rb_format(d->rb, "%s-%s%s%s", table->name, row->slug, cmd->name[0] == '\0' ? "" : "-", cmd->name),
            rb_format(d->rb, "Change %s", table->name));
        rb_draft_sql(d, row->phase, row->place, "%s", text);
        if (cmd->subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn)
            return true;
        rb_recipe_free(d, table, cmd->name);
        rb_draft_say(d, RB_DRAFT_SWITCH, "Deploy the application that does not name `%s` any more.", cmd->name);
        return true;
    }
    return false;
}

static const char *not_known_hint(const PgQuery__Node *node)
{
    if (node->node_case == PG_QUERY__NODE__NODE_VIEW_STMT)
        return "Whether a view was replaced cannot be told from outside. Write DROP VIEW and CREATE VIEW in one as-is "
               "fence, or give the new one a name of its own and let the application change to it.";
    if (node->node_case == PG_QUERY__NODE__NODE_INSERT_STMT)
        return "Rows of constants with their columns named, INSERT INTO t (a, b) VALUES (1, 'x'), can be drafted. "
               "Others: "
               "insert them from the application, or by hand between two phases.";
    if (node->node_case == PG_QUERY__NODE__NODE_DO_STMT)
        return "Write the statements themselves, without the block.";
    return "Leave the statement out, and write it as it is into the runbook, with its check and its way back: "
           "docs/RUNBOOKS.md, as-is.";
}

void rb_draft_as_is(struct rb_draft *d, struct rb_statement *s)
{
    struct rb_proof proof;
    if (!rb_proof_of(s, &proof)) {
        size_t n = strcspn(s->sql, "\n");
        bool whole = s->sql[n] == '\0' && n <= 100;
        rb_draft_fail(d,
                      rb_format(d->rb, "no runbook can be drafted for: %.*s%s", (int)(n < 100 ? n : 100), s->sql,
                                whole ? "" : "…"),
                      not_known_hint(s->node));
        return;
    }
    d->anything = true;
    rb_draft_text(d, proof.is_removal ? RB_DRAFT_CONTRACT : RB_DRAFT_EXPAND,
                  proof.is_removal ? RB_DRAFT_LAST : RB_DRAFT_MAIN, rb_as_is_fences(d->rb, &proof));
}

static void as_is_alone(struct rb_statement *s, void *ctx)
{
    rb_draft_as_is(ctx, s);
}

/* One command of several. */
static void command_as_is(struct rb_draft *d, struct rb_statement *s, const char *text)
{
    struct rb_fence fence = {.kind = RB_FENCE_SQL, .line = s->fence->line, .text = text};
    if (text == s->sql)
        rb_draft_as_is(d, s);
    else
        (void)rb_sql_each(d->rb, s->phase, &fence, as_is_alone, d);
}

static void place(struct rb_draft *d, struct rb_statement *s, const struct rb_table *table,
                  const PgQuery__AlterTableCmd *cmd, const char *text, size_t end)
{
    switch ((int)cmd->subtype) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn:
        rb_draft_add_column(d, s, table, text, cmd, end);
        break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType:
        rb_draft_change_type(d, table, cmd);
        break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull:
        rb_draft_set_not_null(d, table, cmd, text);
        break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ColumnDefault:
        rb_draft_set_default(d, table, cmd, text);
        break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint:
        rb_draft_add_constraint(d, table, cmd, text);
        break;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint:
        rb_draft_drop_constraint(d, table, cmd, text);
        break;
    default:
        if (!place_command(d, table, cmd, text))
            command_as_is(d, s, text);
        break;
    }
}

void rb_draft_alter(struct rb_draft *d, struct rb_statement *s)
{
    PgQuery__AlterTableStmt *alter = s->node->alter_table_stmt;
    struct rb_table table;
    if ((int)alter->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE || !rb_draft_table(d->rb, alter->relation, &table)) {
        rb_draft_as_is(d, s);
        return;
    }
    for (size_t i = 0; i < alter->n_cmds; i++)
        place(d, s, &table, alter->cmds[i]->alter_table_cmd, command_text(d, s, &table, i),
              alter->n_cmds == 1 ? strlen(s->sql) : rb_command_end(s, i));
}
