/*
 * draft.c - plain SQL to a runbook: which statement goes into which phase, and the text around it.
 *
 * Two rounds over the statements: first what becomes of each column as a whole (added, filled, dropped), then where
 * each statement belongs. What was written is compiled before it is handed out, so that a draft that does not compile
 * is refused with the words of the compiler.
 */
#include "common/runbook/draft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/id.h"
#include "common/runbook/runbook.h"

/* ---- first round: what becomes of columns ---- */

bool rb_draft_table(struct rb *rb, const PgQuery__RangeVar *relation, struct rb_table *out)
{
    if (relation == NULL)
        return false;
    *out =
        (struct rb_table){relation->schemaname[0] != '\0' ? relation->schemaname : rb->front.schema, relation->relname};
    return true;
}

static void survey_command(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd)
{
    if (cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn) {
        const PgQuery__ColumnDef *def = cmd->def->column_def;
        struct rb_draft_column *column = rb_draft_column(d, table, def->colname);
        column->added = true;
        for (size_t i = 0; i < def->n_constraints; i++) {
            int type = (int)def->constraints[i]->constraint->contype;
            column->has_default = column->has_default || type == PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT;
            column->not_null = column->not_null || type == PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL;
        }
    } else if (cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType) {
        const PgQuery__TypeName *type = cmd->def->column_def->type_name;
        bool wide = type->n_names > 0 && strcmp(rb_string(type->names[type->n_names - 1]), "int8") == 0;
        rb_draft_column(d, table, cmd->name)->is_wider_key = wide && rb_same_word(cmd->name, "id");
    } else if (cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn) {
        rb_draft_column(d, table, cmd->name)->dropped = true;
    } else if (cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint && cmd->def != NULL &&
               cmd->def->node_case == PG_QUERY__NODE__NODE_CONSTRAINT && d->n_constraints < RB_DRAFT_CONSTRAINTS) {
        d->constraints[d->n_constraints++] = cmd->def->constraint->conname;
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

static void survey_statement(struct rb_statement *s, void *ctx)
{
    struct rb_draft *d = ctx;
    struct rb_table table;
    const PgQuery__Node *node = s->node;
    if (d->n_tables < RB_DRAFT_TABLES && rb_draft_table(s->rb, relation_of(node), &table))
        d->tables[d->n_tables++] = table;
    if (node->node_case == PG_QUERY__NODE__NODE_ALTER_TABLE_STMT &&
        rb_draft_table(s->rb, node->alter_table_stmt->relation, &table)) {
        for (size_t i = 0; i < node->alter_table_stmt->n_cmds; i++)
            survey_command(d, &table, node->alter_table_stmt->cmds[i]->alter_table_cmd);
    } else if (node->node_case == PG_QUERY__NODE__NODE_UPDATE_STMT &&
               rb_draft_table(s->rb, node->update_stmt->relation, &table)) {
        for (size_t i = 0; i < node->update_stmt->n_target_list; i++)
            rb_draft_column(d, &table, node->update_stmt->target_list[i]->res_target->name)->filled = true;
    }
}

/* ---- second round: other statements ---- */

/* Statements about a table of either name, besides the rename itself. */
static bool has_company(const struct rb_draft *d, const struct rb_table *from, const char *to)
{
    struct rb_table other = {from->schema, to};
    size_t n = 0;
    for (size_t i = 0; i < d->n_tables; i++)
        n += rb_same_table(&d->tables[i], from) || rb_same_table(&d->tables[i], &other);
    return n > 1;
}

static void draft_rename(struct rb_draft *d, struct rb_statement *s)
{
    const PgQuery__RenameStmt *rename = s->node->rename_stmt;
    struct rb_table table;
    bool on_table = (int)rename->relation_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE ||
                    (int)rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE;
    if (on_table && rb_draft_table(d->rb, rename->relation, &table)) {
        if ((int)rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN) {
            rb_recipe_column(d, &table, rename->subname, rename->newname);
            return;
        }
        if ((int)rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE &&
            has_company(d, &table, rename->newname)) {
            rb_draft_fail(d,
                          rb_format(d->rb,
                                    "%s is renamed and changed in one go, and while it has two names only one of "
                                    "them is a table",
                                    table.name),
                          "Make two runbooks, one behind the other: what changes the table under the name that it has, "
                          "then the rename alone.");
            return;
        }
        if ((int)rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE) {
            rb_recipe_table(d, &table, rename->newname);
            return;
        }
    }
    rb_draft_fail(
        d, "no runbook can be drafted for this rename",
        "Nothing of the application names an index or a constraint: leave it as it is called, or rename it by "
        "hand when the migration is over.");
}

/* The framework's own record that a migration was run. */
static bool is_bookkeeping(const PgQuery__Node *node)
{
    static const char *const tables[] = {"alembic_version",      "schema_migrations", "django_migrations",
                                         "ar_internal_metadata", "knex_migrations",   "flyway_schema_history",
                                         "_prisma_migrations",   "databasechangelog"};
    const PgQuery__RangeVar *relation = NULL;
    if (node->node_case == PG_QUERY__NODE__NODE_INSERT_STMT)
        relation = node->insert_stmt->relation;
    else if (node->node_case == PG_QUERY__NODE__NODE_UPDATE_STMT)
        relation = node->update_stmt->relation;
    else if (node->node_case == PG_QUERY__NODE__NODE_DELETE_STMT)
        relation = node->delete_stmt->relation;
    for (size_t i = 0; relation != NULL && i < sizeof tables / sizeof tables[0]; i++) {
        if (strcmp(relation->relname, tables[i]) == 0)
            return true;
    }
    return false;
}

/* Does the index name the column, as a column, in an expression or in its condition? `to` takes its place there. */
struct naming {
    const char *column, *to;
    bool found;
};

static void name_column(const ProtobufCMessage *m, void *ctx)
{
    struct naming *n = ctx;
    char **name = NULL;
    if (m->descriptor == &pg_query__column_ref__descriptor) {
        const PgQuery__ColumnRef *ref = (const PgQuery__ColumnRef *)m;
        PgQuery__Node *last = ref->fields[ref->n_fields - 1];
        name = last->node_case == PG_QUERY__NODE__NODE_STRING ? &last->string->sval : NULL;
    } else if (m->descriptor == &pg_query__index_elem__descriptor) {
        name = &((PgQuery__IndexElem *)(uintptr_t)m)->name;
    }
    if (name != NULL && strcmp(*name, n->column) == 0) {
        n->found = true;
        if (n->to != NULL)
            rb_set_string(name, n->to);
    }
    rb_children(m, name_column, ctx);
}

static void draft_index(struct rb_draft *d, struct rb_statement *s)
{
    const PgQuery__IndexStmt *index = s->node->index_stmt;
    struct rb_table table;
    bool on_added = false, moved = false;
    if (!rb_draft_table(d->rb, index->relation, &table))
        return;
    for (const struct rb_draft_column *c = d->columns; c != NULL; c = c->next) {
        struct naming n = {.column = c->name, .to = c->moved_to};
        if (!rb_same_table(&c->table, &table))
            continue;
        name_column(&index->base, &n);
        moved = moved || (n.found && c->moved_to != NULL);
        on_added = on_added || moved || (n.found && c->added && c->filled);
    }
    const char *sql = moved ? rb_deparse(d->rb, s->node) : s->sql;
    rb_draft_title(d, rb_format(d->rb, "%s-index", table.name), rb_format(d->rb, "Index of %s", table.name));
    rb_draft_sql(d, on_added || index->unique ? RB_DRAFT_MIGRATE : RB_DRAFT_EXPAND,
                 on_added || index->unique ? RB_DRAFT_LAST : RB_DRAFT_MAIN, "%s", sql == NULL ? s->sql : sql);
}

static void draft_drop(struct rb_draft *d, struct rb_statement *s)
{
    int type = (int)s->node->drop_stmt->remove_type;
    if (type != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE && type != PG_QUERY__OBJECT_TYPE__OBJECT_INDEX) {
        rb_draft_as_is(d, s);
        return;
    }
    bool table = type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE;
    rb_draft_title(d, table ? "drop-table" : "drop-index", table ? "Drop a table" : "Drop an index");
    rb_draft_sql(d, RB_DRAFT_CONTRACT, RB_DRAFT_LATE, "%s", s->sql);
    rb_draft_say(d, RB_DRAFT_SWITCH,
                 table ? "Deploy the application that does not name the table any more."
                       : "Be sure that no query needs the index: `zdmctl check` shows its scans.");
}

static void find_query(const ProtobufCMessage *m, void *ctx)
{
    bool *found = ctx;
    *found = *found || m->descriptor == &pg_query__sub_link__descriptor;
    rb_children(m, find_query, ctx);
}

/* UPDATE and DELETE. What an UPDATE reads elsewhere no trigger follows. */
static void draft_rows(struct rb_draft *d, struct rb_statement *s)
{
    bool query = false;
    if (s->node->node_case == PG_QUERY__NODE__NODE_UPDATE_STMT)
        find_query(&s->node->base, &query);
    if (!query) {
        rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, "%s", s->sql);
        return;
    }
    rb_draft_text(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, rb_format(d->rb, "```sql {no-sync}\n%s;\n```", s->sql));
    rb_draft_say(
        d, RB_DRAFT_MIGRATE,
        "Enter this phase when the application that keeps the column right, in the transaction that changes what "
        "it is made of, runs everywhere: nothing else follows it. A check behind the UPDATE, for "
        "rows that are wrong, proves it.");
}

static void draft_statement(struct rb_statement *s, void *ctx)
{
    struct rb_draft *d = ctx;
    struct rb_table table = {"", "change"};
    if (is_bookkeeping(s->node)) {
        rb_draft_say(
            d, RB_DRAFT_EXPAND,
            "The row in which the framework notes its migration is left out: tell it that the migration was run "
            "(Django `migrate --fake`, Alembic `stamp`) when this one is done.");
        return;
    }
    switch ((int)s->node->node_case) {
    case PG_QUERY__NODE__NODE_TRANSACTION_STMT:
    case PG_QUERY__NODE__NODE_VARIABLE_SET_STMT:
    case PG_QUERY__NODE__NODE_CONSTRAINTS_SET_STMT:
        break; /* each step is a transaction, with settings of the agent's */
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT:
        rb_draft_alter(d, s);
        break;
    case PG_QUERY__NODE__NODE_RENAME_STMT:
        draft_rename(d, s);
        break;
    case PG_QUERY__NODE__NODE_INDEX_STMT:
        draft_index(d, s);
        break;
    case PG_QUERY__NODE__NODE_DROP_STMT:
        draft_drop(d, s);
        break;
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
    case PG_QUERY__NODE__NODE_DELETE_STMT: {
        bool update = s->node->node_case == PG_QUERY__NODE__NODE_UPDATE_STMT;
        (void)rb_draft_table(d->rb, update ? s->node->update_stmt->relation : s->node->delete_stmt->relation, &table);
        rb_draft_title(d, rb_format(d->rb, "%s-%s", table.name, update ? "fill" : "delete"),
                       rb_format(d->rb, update ? "Fill %s" : "Delete from %s", table.name));
        draft_rows(d, s);
        break;
    }
    case PG_QUERY__NODE__NODE_CREATE_STMT:
        (void)rb_draft_table(d->rb, s->node->create_stmt->relation, &table);
        rb_draft_title(d, rb_format(d->rb, "%s-create", table.name), rb_format(d->rb, "Create %s", table.name));
        rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "%s", s->sql);
        break;
    case PG_QUERY__NODE__NODE_CREATE_ENUM_STMT:
    case PG_QUERY__NODE__NODE_ALTER_ENUM_STMT:
    case PG_QUERY__NODE__NODE_COMMENT_STMT:
    case PG_QUERY__NODE__NODE_REINDEX_STMT:
        d->anything = true;
        rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "%s", s->sql);
        break;
    case PG_QUERY__NODE__NODE_ALTER_SEQ_STMT:
        if (d->changes_writers)
            break; /* the type of a key's sequence, which the recipe of the key changes */
        rb_draft_as_is(d, s);
        break;
    default:
        rb_draft_as_is(d, s);
        break;
    }
}

/* ---- from SQL to text ---- */

static void read_sql(struct rb_draft *d, const char *sql)
{
    struct rb_phase phase = {.class = ZDM_PHASE_EXPAND};
    struct rb_fence fence = {.kind = RB_FENCE_SQL, .line = 1, .text = sql};
    (void)rb_sql_each(d->rb, &phase, &fence, survey_statement, d);
    d->rb->n_statements = 0;
    if (d->rb->n_errors == 0 && rb_sql_each(d->rb, &phase, &fence, draft_statement, d) == 0)
        rb_draft_fail(d, "there is no statement",
                      "Write SQL: --from 'ALTER TABLE users RENAME COLUMN name TO full_name'.");
    for (size_t i = 0; i < d->rb->n_findings; i++) {
        const struct zdm_finding *f = &d->rb->findings[i];
        if (f->level == ZDM_LEVEL_ERROR)
            rb_draft_fail(d, rb_copy(d->rb, f->message, strlen(f->message)), rb_copy(d->rb, f->hint, strlen(f->hint)));
    }
}

const char *rb_recipe_of(struct rb *rb, const char *sql)
{
    struct rb inner = {.front = rb->front};
    struct rb_draft d = {.rb = &inner, .guess = true};
    read_sql(&d, sql);
    const char *text = d.failure != NULL ? NULL : rb_draft_phases(&d);
    const char *copy = text == NULL ? NULL : rb_copy(rb, text, strlen(text) - 1);
    rb_fini(&inner);
    return copy == NULL ? NULL : rb_format(rb, "Save this as a runbook (zdmctl new writes it):\n\n%s", copy);
}

static const char *make_id(struct rb_draft *d, const char *given)
{
    if (given != NULL)
        return given;
    char *id = rb_copy(d->rb, d->slug, strlen(d->slug));
    size_t n = 0;
    for (const char *p = d->slug; *p != '\0' && n < ZDM_NAME_MAX; p++) {
        char c = rb_lower(*p);
        bool plain = rb_is_letter(c) || (c >= '0' && c <= '9');
        if (plain || (n > 0 && id[n - 1] != '-'))
            id[n++] = plain ? c : '-';
    }
    while (n > 0 && id[n - 1] == '-')
        n--;
    id[n] = '\0';
    return n > 0 ? id : "change";
}

static const char *whole_text(struct rb_draft *d, const struct zdm_draft_options *options)
{
    struct rb *rb = d->rb;
    const char *schema = options->schema == NULL || strcmp(options->schema, "public") == 0
                             ? ""
                             : rb_format(rb, "schema: %s\n", options->schema);
    return rb_format(rb,
                     "---\nid: %s\n%s# waves: [tier=canary, 25%%, 100%%]\n# approvals: {contract: 1}\n---\n# %s\n\n%s",
                     make_id(d, options->id), schema, d->subject, rb_draft_phases(d));
}

/* The words of the compiler, where it does not take the draft. */
static enum zdm_code prove(struct rb_draft *d, const char *text, struct zdm_error *err)
{
    struct zdm_plan *plan = NULL;
    struct zdm_notes *notes = NULL;
    enum zdm_code code = zdm_runbook_compile("draft.md", text, strlen(text), &plan, &notes, err);
    if (code == ZDM_OK && plan == NULL) {
        const struct zdm_finding *first = NULL;
        for (size_t i = 0; i < notes->n_findings && first == NULL; i++)
            first = notes->findings[i].level == ZDM_LEVEL_ERROR ? &notes->findings[i] : NULL;
        rb_draft_fail(d, rb_copy(d->rb, first->message, strlen(first->message)),
                      rb_copy(d->rb, first->hint, strlen(first->hint)));
    }
    zdm_plan_unref(plan);
    zdm_notes_free(notes);
    return code;
}

enum zdm_code zdm_runbook_draft(const char *sql, const struct zdm_draft_options *options, char **out_text,
                                struct zdm_error *err)
{
    struct rb rb = {.file = "draft.md"};
    struct rb_draft d = {.rb = &rb, .type = options->type};
    const char *text = NULL;
    enum zdm_code code = ZDM_OK;
    if (strlen(sql) > ZDM_RUNBOOK_MAX / 4)
        return zdm_error_set(err, ZDM_LIMIT, "the SQL is too long for one runbook");
    rb.front.schema = options->schema == NULL ? "public" : options->schema;
    rb.front.id = "draft";
    read_sql(&d, sql);
    if (d.anything)
        rb_draft_title(&d, "change", "Change the schema");
    if (d.failure == NULL && d.subject == NULL)
        rb_draft_fail(&d, "there is nothing that changes the schema or its rows", "Write the statements that do.");
    if (d.failure == NULL) {
        text = whole_text(&d, options);
        code = prove(&d, text, err);
    }
    if (d.failure != NULL) {
        code = zdm_error_set(err, d.missing != NULL ? ZDM_NOT_FOUND : ZDM_INVALID, "%s", d.failure);
        if (d.missing != NULL)
            (void)zdm_error_detail(err, "%s", d.missing);
        (void)zdm_error_hint(err, "%s", d.hint);
    } else if (code == ZDM_OK) {
        *out_text = rb_dup(text);
    }
    rb_fini(&rb);
    return code;
}
