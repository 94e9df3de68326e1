/*
 * draft_survey.c - the first round over the SQL of a draft: what becomes of each column as a whole (added, filled,
 * dropped), which constraints are added, which tables statements are about.
 */
#include "common/runbook/ddl.h"
#include "common/runbook/draft.h"

#include <string.h>

bool rb_draft_table(struct rb *rb, const PgQuery__RangeVar *relation, struct rb_table *out)
{
    if (relation == NULL)
        return false;
    *out =
        (struct rb_table){relation->schemaname[0] != '\0' ? relation->schemaname : rb->front.schema, relation->relname};
    return true;
}

static void survey_constraint(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd)
{
    const PgQuery__Constraint *added = NULL;
    const char *name = cmd->name;
    if (d->n_constraints == RB_DRAFT_CONSTRAINTS)
        return;
    if (cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint) {
        added = cmd->def->constraint;
        name = added->conname;
        if (name[0] == '\0' && added->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY)
            name = rb_choose_name(d->rb, table, "", "pkey");
        else if (name[0] == '\0')
            name = NULL;
    }
    d->constraints[d->n_constraints++] = (struct rb_draft_constraint){.table = *table, .name = name, .added = added};
}

static void survey_type(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd)
{
    const PgQuery__TypeName *type = cmd->def->column_def->type_name;
    struct rb_draft_column *column = rb_draft_column(d, table, cmd->name);
    column->is_wider = type->n_names > 0 && strcmp(rb_string(type->names[type->n_names - 1]), "int8") == 0;
    if (rb_draft_is_long(d, cmd->name, cmd->def->column_def))
        column->moved_to = rb_format(d->rb, "%s_new", cmd->name);
}

static void survey_command(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd)
{
    if (cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn) {
        const PgQuery__ColumnDef *def = cmd->def->column_def;
        struct rb_draft_column *column = rb_draft_column(d, table, def->colname);
        column->added = true;
        column->type = def->type_name;
        for (size_t i = 0; i < def->n_constraints; i++) {
            int type = (int)def->constraints[i]->constraint->contype;
            column->has_default = column->has_default || type == PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT;
            column->not_null = column->not_null || type == PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL;
        }
    } else if (cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType) {
        survey_type(d, table, cmd);
    } else if (cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn) {
        rb_draft_column(d, table, cmd->name)->dropped = true;
    } else if (cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint ||
               (cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint && cmd->def != NULL &&
                cmd->def->node_case == PG_QUERY__NODE__NODE_CONSTRAINT)) {
        survey_constraint(d, table, cmd);
    }
}

/* The table that a statement is about; NULL where it is about none, or another kind of thing. */
static const PgQuery__RangeVar *relation_of(const PgQuery__Node *node)
{
    switch ((int)node->node_case) {
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT:
        return node->alter_table_stmt->relation;
    case PG_QUERY__NODE__NODE_RENAME_STMT:
        return node->rename_stmt->relation;
    case PG_QUERY__NODE__NODE_INDEX_STMT:
        return node->index_stmt->relation;
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
        return node->update_stmt->relation;
    case PG_QUERY__NODE__NODE_DELETE_STMT:
        return node->delete_stmt->relation;
    default:
        return NULL;
    }
}

void rb_draft_survey(struct rb_statement *s, void *ctx)
{
    struct rb_draft *d = ctx;
    struct rb_table table;
    const PgQuery__Node *node = s->node;
    d->at = rb_at_start(s);
    if (d->n_tables < RB_DRAFT_TABLES && rb_draft_table(s->rb, relation_of(node), &table))
        d->tables[d->n_tables++] = table;
    if (node->node_case == PG_QUERY__NODE__NODE_ALTER_TABLE_STMT &&
        rb_draft_table(s->rb, node->alter_table_stmt->relation, &table)) {
        for (size_t i = 0; i < node->alter_table_stmt->n_cmds; i++)
            survey_command(d, &table, node->alter_table_stmt->cmds[i]->alter_table_cmd);
    } else if (node->node_case == PG_QUERY__NODE__NODE_RENAME_STMT &&
               node->rename_stmt->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN &&
               rb_draft_table(s->rb, node->rename_stmt->relation, &table)) {
        struct rb_draft_column *column = rb_draft_column(d, &table, node->rename_stmt->newname);
        column->added = column->filled = true;
    } else if (node->node_case == PG_QUERY__NODE__NODE_UPDATE_STMT &&
               rb_draft_table(s->rb, node->update_stmt->relation, &table)) {
        for (size_t i = 0; i < node->update_stmt->n_target_list; i++)
            rb_draft_column(d, &table, node->update_stmt->target_list[i]->res_target->name)->filled = true;
    }
}
