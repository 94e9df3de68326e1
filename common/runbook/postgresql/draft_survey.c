/*
 * draft_survey.c - the first round over the SQL of a draft: what becomes of each column as a whole (added, filled,
 * dropped), which constraints are added, which tables statements are about.
 */
#include "common/runbook/postgresql/ddl.h"
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
    if (rb_draft_is_long(d, table, cmd->name, cmd->def->column_def))
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

/* SET search_path, or the call of a dump that does it: the first schema in it is that of names without one. */
static void survey_path(struct rb_draft *d, const char *schema)
{
    if (schema[0] == '\0' || schema[0] == '$' || strcmp(schema, "pg_catalog") == 0 || d->schema_is_given)
        return;
    if (d->path != NULL && strcmp(d->path, schema) != 0)
        rb_draft_fail(d, rb_format(d->rb, "the search_path changes from %s to %s on the way", d->path, schema),
                      "Make a runbook for each schema, or write the schemas in front of the names.");
    d->path = d->rb->front.schema = rb_copy(d->rb, schema, strlen(schema));
}

static const char *text_of(const PgQuery__Node *node)
{
    bool text =
        node->node_case == PG_QUERY__NODE__NODE_A_CONST && node->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL;
    return text ? node->a_const->sval->sval : "";
}

const PgQuery__FuncCall *rb_draft_setting(const PgQuery__Node *node)
{
    const PgQuery__SelectStmt *select = node->node_case == PG_QUERY__NODE__NODE_SELECT_STMT ? node->select_stmt : NULL;
    const PgQuery__Node *value = select != NULL && select->n_target_list == 1 && select->n_from_clause == 0
                                     ? select->target_list[0]->res_target->val
                                     : NULL;
    if (value == NULL || value->node_case != PG_QUERY__NODE__NODE_FUNC_CALL || value->func_call->n_args < 2)
        return NULL;
    const PgQuery__FuncCall *call = value->func_call;
    return strcmp(rb_string(call->funcname[call->n_funcname - 1]), "set_config") == 0 ? call : NULL;
}

static void survey_setting(struct rb_draft *d, const PgQuery__Node *node)
{
    const PgQuery__FuncCall *call = rb_draft_setting(node);
    if (call != NULL && strcmp(text_of(call->args[0]), "search_path") == 0)
        survey_path(d, text_of(call->args[1]));
    else if (node->node_case == PG_QUERY__NODE__NODE_VARIABLE_SET_STMT &&
             strcmp(node->variable_set_stmt->name, "search_path") == 0 && node->variable_set_stmt->n_args > 0)
        survey_path(d, text_of(node->variable_set_stmt->args[0]));
}

/* What is made anew where it was dropped, if it was there. */
static void survey_made(struct rb_draft *d, const PgQuery__Node *node)
{
    const char *name = NULL;
    if (node->node_case == PG_QUERY__NODE__NODE_VIEW_STMT)
        name = node->view_stmt->view->relname;
    else if (node->node_case == PG_QUERY__NODE__NODE_CREATE_TRIG_STMT)
        name = node->create_trig_stmt->trigname;
    else if (node->node_case == PG_QUERY__NODE__NODE_CREATE_POLICY_STMT)
        name = node->create_policy_stmt->policy_name;
    else if (node->node_case == PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT)
        name = rb_string(node->create_function_stmt->funcname[node->create_function_stmt->n_funcname - 1]);
    if (name != NULL && d->n_made < RB_DRAFT_TABLES)
        d->made[d->n_made++] = name;
}

void rb_draft_survey(struct rb_statement *s, void *ctx)
{
    struct rb_draft *d = ctx;
    struct rb_table table;
    const PgQuery__Node *node = s->node;
    d->at = rb_at_start(s);
    survey_setting(d, node);
    survey_made(d, node);
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
        column->added = column->filled = d->renames_columns = true;
    } else if (node->node_case == PG_QUERY__NODE__NODE_UPDATE_STMT &&
               rb_draft_table(s->rb, node->update_stmt->relation, &table)) {
        for (size_t i = 0; i < node->update_stmt->n_target_list; i++)
            rb_draft_column(d, &table, node->update_stmt->target_list[i]->res_target->name)->filled = true;
    }
}
