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

/* ---- building ---- */

static void append(struct rb_draft *d, enum rb_draft_phase phase, struct rb_draft_block block)
{
    struct rb_draft_block *copy = rb_alloc(d->rb, sizeof *copy), **at = &d->blocks[phase];
    *copy = block;
    while (*at != NULL && (*at)->place <= block.place)
        at = &(*at)->next;
    copy->next = *at;
    *at = copy;
}

static const char *vformat(struct rb *rb, const char *fmt, va_list args) ZDM_PRINTF(2, 0);
static const char *vformat(struct rb *rb, const char *fmt, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, fmt, args) < 0)
        abort(); /* out of memory: see runbook.h */
    char *copy = rb_copy(rb, text, strlen(text));
    free(text);
    return copy;
}

void rb_draft_sql(struct rb_draft *d, enum rb_draft_phase phase, enum rb_draft_place place, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    append(d, phase, (struct rb_draft_block){.place = place, .sql = vformat(d->rb, fmt, args)});
    va_end(args);
}

void rb_draft_text(struct rb_draft *d, enum rb_draft_phase phase, enum rb_draft_place place, const char *text)
{
    append(d, phase, (struct rb_draft_block){.place = place, .text = text});
}

void rb_draft_say(struct rb_draft *d, enum rb_draft_phase phase, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *text = vformat(d->rb, fmt, args), *before = d->prose[phase];
    va_end(args);
    if (before == NULL || strstr(before, text) == NULL)
        d->prose[phase] = before == NULL ? text : rb_format(d->rb, "%s\n%s", before, text);
}

void rb_draft_fail(struct rb_draft *d, const char *message, const char *hint)
{
    if (d->failure != NULL)
        return;
    d->failure = message;
    d->hint = hint;
}

void rb_draft_title(struct rb_draft *d, const char *slug, const char *subject)
{
    if (d->subject != NULL)
        return;
    d->slug = slug;
    d->subject = subject;
}

struct rb_draft_column *rb_draft_column(struct rb_draft *d, const struct rb_table *table, const char *name)
{
    for (struct rb_draft_column *c = d->columns; c != NULL; c = c->next) {
        if (rb_same_table(&c->table, table) && strcmp(c->name, name) == 0)
            return c;
    }
    struct rb_draft_column *column = rb_alloc(d->rb, sizeof *column);
    *column = (struct rb_draft_column){.table = *table, .name = name, .next = d->columns};
    d->columns = column;
    return column;
}

/* ---- writing ---- */

enum { PROSE_WIDTH = 100 };

/* Paragraphs, a line each, broken at blanks. */
static void write_prose(struct zdm_buffer *b, const char *text)
{
    for (const char *p = text; *p != '\0';) {
        size_t n = strcspn(p, "\n"), column = 0;
        for (size_t i = 0; i < n;) {
            size_t word = strcspn(p + i, " \n");
            if (column > 0 && column + 1 + word > PROSE_WIDTH) {
                zdm_buffer_puts(b, "\n");
                column = 0;
            }
            zdm_buffer_puts(b, column > 0 ? " " : "");
            zdm_buffer_append(b, p + i, word);
            column += word + (column > 0);
            i += word + (p[i + word] == ' ');
        }
        zdm_buffer_puts(b, "\n\n");
        p += n + (p[n] == '\n');
    }
}

/* A comment at the end of a statement stays behind the semicolon. */
static void write_statement(struct zdm_buffer *b, const char *sql)
{
    const char *comment = strstr(sql, " -- ");
    size_t n = comment == NULL ? strlen(sql) : (size_t)(comment - sql);
    zdm_buffer_append(b, sql, n);
    zdm_buffer_printf(b, ";%s\n", comment == NULL ? "" : comment);
}

static void write_blocks(struct zdm_buffer *b, const struct rb_draft_block *block)
{
    bool open = false;
    for (; block != NULL; block = block->next) {
        if (open && block->sql == NULL)
            zdm_buffer_puts(b, "```\n");
        if (!open && block->sql != NULL)
            zdm_buffer_puts(b, "```sql\n");
        open = block->sql != NULL;
        if (open)
            write_statement(b, block->sql);
        else
            zdm_buffer_printf(b, "%s\n", block->text);
    }
    zdm_buffer_puts(b, open ? "```\n\n" : "\n");
}

const char *rb_draft_phases(struct rb_draft *d)
{
    static const char *const names[] = {"Expand", "Migrate", "Switch", "Contract"};
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    unsigned number = 0;
    for (int phase = 0; phase < RB_DRAFT_PHASES; phase++) {
        bool hold = phase == RB_DRAFT_SWITCH && (d->changes_writers || d->blocks[RB_DRAFT_CONTRACT] != NULL);
        if (d->blocks[phase] == NULL && !hold)
            continue;
        const char *prose = d->prose[phase];
        if (hold && prose == NULL)
            prose = "Deploy the application that does without what the next phase takes away.";
        zdm_buffer_printf(&b, "## Phase %u: %s\n", ++number, names[phase]);
        if (prose != NULL)
            write_prose(&b, prose);
        if (d->blocks[phase] != NULL)
            write_blocks(&b, d->blocks[phase]);
    }
    while (b.len > 0 && zdm_buffer_text(&b)[b.len - 1] == '\n')
        b.len--;
    zdm_buffer_puts(&b, "\n");
    return rb_take(d->rb, &b);
}

/* ---- first round: what becomes of columns ---- */

static bool table_of(struct rb *rb, const PgQuery__RangeVar *relation, struct rb_table *out)
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
    } else if (cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn) {
        rb_draft_column(d, table, cmd->name)->dropped = true;
    } else if (cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint && cmd->def != NULL &&
               cmd->def->node_case == PG_QUERY__NODE__NODE_CONSTRAINT && d->n_constraints < RB_DRAFT_CONSTRAINTS) {
        d->constraints[d->n_constraints++] = cmd->def->constraint->conname;
    }
}

static void survey_statement(struct rb_statement *s, void *ctx)
{
    struct rb_draft *d = ctx;
    struct rb_table table;
    const PgQuery__Node *node = s->node;
    if (node->node_case == PG_QUERY__NODE__NODE_ALTER_TABLE_STMT &&
        table_of(s->rb, node->alter_table_stmt->relation, &table)) {
        for (size_t i = 0; i < node->alter_table_stmt->n_cmds; i++)
            survey_command(d, &table, node->alter_table_stmt->cmds[i]->alter_table_cmd);
    } else if (node->node_case == PG_QUERY__NODE__NODE_UPDATE_STMT &&
               table_of(s->rb, node->update_stmt->relation, &table)) {
        for (size_t i = 0; i < node->update_stmt->n_target_list; i++)
            rb_draft_column(d, &table, node->update_stmt->target_list[i]->res_target->name)->filled = true;
    }
}

/* ---- second round: ALTER TABLE ---- */

/* One command as a statement of its own, in the words that were written. */
static const char *command_text(struct rb_statement *s, const struct rb_table *table,
                                const PgQuery__AlterTableStmt *alter, size_t i)
{
    size_t from = rb_command_offset(s, i), end = rb_command_end(s, i);
    if (alter->n_cmds == 1 || end <= from)
        return s->sql;
    return rb_format(s->rb, "ALTER TABLE %s %.*s", rb_table_text(s->rb, table), (int)(end - from), s->sql + from);
}

static bool is_serial(const PgQuery__TypeName *type)
{
    static const char *const names[] = {"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (type->n_names == 1 && strcmp(rb_string(type->names[0]), names[i]) == 0)
            return true;
    }
    return false;
}

static const PgQuery__Constraint *find_constraint(const PgQuery__ColumnDef *def, int type)
{
    for (size_t i = 0; i < def->n_constraints; i++) {
        if ((int)def->constraints[i]->constraint->contype == type)
            return def->constraints[i]->constraint;
    }
    return NULL;
}

/* A number of its own for each row, from a sequence: what serial and identity would do, without writing the table anew.
 */
static void add_numbered(struct rb_draft *d, const struct rb_table *table, const char *column)
{
    struct rb *rb = d->rb;
    const char *sequence = rb_format(rb, "%s.%s", rb_plain(rb, table->schema),
                                     rb_plain(rb, rb_format(rb, "%s_%s_seq", table->name, column)));
    const char *name = rb_table_text(rb, table), *plain = rb_plain(rb, column);
    rb_draft_say(
        d, RB_DRAFT_EXPAND,
        "serial and identity would write the whole table anew under its lock. A sequence as default does the "
        "same for new rows, and rows that exist are numbered in batches. Grant USAGE on it to the roles of the "
        "application.");
    rb_draft_text(d, RB_DRAFT_EXPAND, RB_DRAFT_FIRST,
                  rb_format(rb,
                            "```sql {as-is lock=short}\nCREATE SEQUENCE %s;\n```\n"
                            "```sql {check}\nSELECT 1 WHERE to_regclass('%s') IS NULL;\n```\n"
                            "```sql {rollback}\nDROP SEQUENCE %s;\n```",
                            sequence, sequence, sequence));
    rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "ALTER TABLE %s ADD COLUMN %s bigint DEFAULT nextval('%s')", name,
                 plain, sequence);
    rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_LATE, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", name, plain);
}

static void add_column(struct rb_draft *d, const struct rb_table *table, const char *text,
                       const PgQuery__AlterTableCmd *cmd)
{
    struct rb *rb = d->rb;
    const PgQuery__ColumnDef *def = cmd->def->column_def;
    struct rb_draft_column *column = rb_draft_column(d, table, def->colname);
    const PgQuery__Constraint *generated = find_constraint(def, PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED);
    const char *name = rb_table_text(rb, table), *plain = rb_plain(rb, def->colname);
    rb_draft_title(d, rb_format(rb, "%s-add-%s", table->name, def->colname),
                   rb_format(rb, "Add %s.%s", table->name, def->colname));
    if (is_serial(def->type_name) || find_constraint(def, PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY) != NULL) {
        add_numbered(d, table, def->colname);
        return;
    }
    const char *type = rb_deparse_type(rb, def->type_name);
    if (generated != NULL && type != NULL) {
        const char *expression = rb_deparse_expr(rb, rb_node_copy(rb, generated->raw_expr));
        rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "ALTER TABLE %s ADD COLUMN %s %s", name, plain, type);
        rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, "UPDATE %s SET %s = %s", name, plain,
                     expression == NULL ? "NULL" : expression);
        rb_draft_say(d, RB_DRAFT_SWITCH,
                     "A generated column would write the whole table anew. Triggers compute `%s` until the last phase; "
                     "deploy the application that writes it itself before you advance.",
                     def->colname);
        d->changes_writers = true;
        return;
    }
    if (type == NULL || !column->not_null || column->has_default) {
        rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "%s", text);
        return;
    }
    rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "ALTER TABLE %s ADD COLUMN %s %s", name, plain, type);
    if (column->filled)
        rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_LATE, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", name, plain);
    else
        rb_recipe_fill(d, table, def->colname, def->type_name);
}

/* Does PostgreSQL keep the table's files for such a change? As compiled; the server is asked on a clone. */
static bool may_widen(const PgQuery__ColumnDef *def)
{
    static const char *const names[] = {"text", "varchar", "numeric", "varbit", "interval", "citext", "inet"};
    static const char *const precise[] = {"timestamp", "timestamptz", "time", "timetz"};
    const char *name =
        def->type_name->n_names == 0 ? "" : rb_string(def->type_name->names[def->type_name->n_names - 1]);
    if (def->raw_default != NULL || def->type_name->n_array_bounds > 0)
        return false;
    for (size_t i = 0; i < sizeof precise / sizeof precise[0]; i++) {
        if (strcmp(name, precise[i]) == 0)
            return def->type_name->n_typmods > 0;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static int32_t typmod(const PgQuery__TypeName *type, size_t i)
{
    const PgQuery__Node *node = i < type->n_typmods ? type->typmods[i] : NULL;
    bool number = node != NULL && node->node_case == PG_QUERY__NODE__NODE_A_CONST &&
                  node->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL;
    return number ? node->a_const->ival->ival : -1;
}

/* Is what the column holds now, where that is known, wider than what it shall become? */
static bool narrows(struct rb_draft *d, const PgQuery__TypeName *to)
{
    struct rb *rb = d->rb;
    const char *message;
    size_t offset;
    if (d->guess || d->type == NULL || to->n_typmods == 0)
        return d->guess;
    PgQuery__ParseResult *parsed = rb_parse(rb, rb_format(rb, "SELECT NULL::%s", d->type), &message, &offset);
    if (parsed == NULL || parsed->n_stmts != 1)
        return false;
    const PgQuery__Node *value = parsed->stmts[0]->stmt->select_stmt->target_list[0]->res_target->val;
    if (value->node_case != PG_QUERY__NODE__NODE_TYPE_CAST)
        return false;
    const PgQuery__TypeName *from = value->type_cast->type_name;
    bool same = strcmp(rb_string(from->names[from->n_names - 1]), rb_string(to->names[to->n_names - 1])) == 0;
    return !same || from->n_typmods == 0 || typmod(from, 0) > typmod(to, 0) || typmod(from, 1) != typmod(to, 1);
}

static void change_type(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd,
                        const char *text)
{
    struct rb *rb = d->rb;
    const PgQuery__ColumnDef *def = cmd->def->column_def;
    if (may_widen(def) && !narrows(d, def->type_name)) {
        rb_draft_title(d, rb_format(rb, "%s-widen-%s", table->name, cmd->name),
                       rb_format(rb, "Widen %s.%s", table->name, cmd->name));
        rb_draft_say(
            d, RB_DRAFT_EXPAND,
            "Where the new type is wider, PostgreSQL changes the catalogue alone; `zdmctl check` says whether it "
            "is. Where it is not, `zdmctl new` with `--type` and the present type drafts the long way.");
        rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "%s", text);
        return;
    }
    const char *using = def->raw_default == NULL ? NULL : rb_deparse_expr(rb, rb_node_copy(rb, def->raw_default));
    rb_recipe_type(d, table, cmd->name, def->type_name, using);
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
    {PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint, RB_DRAFT_MIGRATE, RB_DRAFT_LATE, "constraint"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint, RB_DRAFT_MIGRATE, RB_DRAFT_LAST, "validate"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint, RB_DRAFT_CONTRACT, RB_DRAFT_MAIN, "drop-constraint"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_SetRelOptions, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "storage"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_ResetRelOptions, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "storage"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_SetStatistics, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "statistics"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_SetOptions, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "statistics"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_ResetOptions, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "statistics"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_AttachPartition, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "attach"},
    {PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartition, RB_DRAFT_CONTRACT, RB_DRAFT_MAIN, "detach"},
};

/* A default of a column that this script fills belongs behind the triggers; taking one away, behind the old code. */
static void set_default(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd,
                        const char *text)
{
    const struct rb_draft_column *column = rb_draft_column(d, table, cmd->name);
    bool late = cmd->def == NULL || (column->added && column->filled);
    rb_draft_title(d, rb_format(d->rb, "%s-default-%s", table->name, cmd->name),
                   rb_format(d->rb, "Default of %s.%s", table->name, cmd->name));
    rb_draft_sql(d, late ? RB_DRAFT_CONTRACT : RB_DRAFT_EXPAND, RB_DRAFT_LAST, "%s", text);
    if (cmd->def == NULL)
        rb_draft_say(d, RB_DRAFT_SWITCH, "Deploy the application that writes `%s` in every row.", cmd->name);
}

static void set_not_null(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd,
                         const char *text)
{
    const struct rb_draft_column *column = rb_draft_column(d, table, cmd->name);
    bool early = column->added && (column->filled || column->has_default);
    rb_draft_title(d, rb_format(d->rb, "%s-not-null-%s", table->name, cmd->name),
                   rb_format(d->rb, "Make %s.%s NOT NULL", table->name, cmd->name));
    rb_draft_sql(d, early ? RB_DRAFT_MIGRATE : RB_DRAFT_CONTRACT, RB_DRAFT_LATE, "%s", text);
    if (!early)
        rb_draft_say(d, RB_DRAFT_SWITCH, "Deploy the application that writes `%s` in every row.", cmd->name);
}

/* A constraint that is dropped so that another takes its name goes right before it. */
static bool is_replaced(const struct rb_draft *d, const char *name)
{
    for (size_t i = 0; i < d->n_constraints; i++) {
        if (strcmp(d->constraints[i], name) == 0)
            return true;
    }
    return false;
}

static bool place_command(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd,
                          const char *text)
{
    for (size_t i = 0; i < sizeof placings / sizeof placings[0]; i++) {
        const struct placing *row = &placings[i];
        if (row->subtype != (int)cmd->subtype)
            continue;
        bool replaced = cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint && is_replaced(d, cmd->name);
        rb_draft_title(
            d, rb_format(d->rb, "%s-%s%s%s", table->name, row->slug, cmd->name[0] == '\0' ? "" : "-", cmd->name),
            rb_format(d->rb, "Change %s", table->name));
        rb_draft_sql(d, replaced ? RB_DRAFT_MIGRATE : row->phase, replaced ? RB_DRAFT_MAIN : row->place, "%s", text);
        if (cmd->subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn)
            return true;
        rb_recipe_free(d, table, cmd->name);
        rb_draft_say(d, RB_DRAFT_SWITCH, "Deploy the application that does not name `%s` any more.", cmd->name);
        return true;
    }
    return false;
}

static void draft_as_is(struct rb_draft *d, struct rb_statement *s)
{
    struct rb_proof proof;
    if (!rb_proof_of(s, &proof)) {
        rb_draft_fail(
            d, rb_format(d->rb, "no runbook can be drafted for: %.*s", 120, s->sql),
            "Leave the statement out, and write it as it is into the runbook, with its check and its way back: "
            "docs/RUNBOOKS.md, as-is.");
        return;
    }
    d->anything = true;
    rb_draft_text(d, proof.is_removal ? RB_DRAFT_CONTRACT : RB_DRAFT_EXPAND,
                  proof.is_removal ? RB_DRAFT_LAST : RB_DRAFT_MAIN, rb_as_is_fences(d->rb, &proof));
}

static void draft_alter(struct rb_draft *d, struct rb_statement *s)
{
    PgQuery__AlterTableStmt *alter = s->node->alter_table_stmt;
    struct rb_table table;
    if ((int)alter->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE || !table_of(d->rb, alter->relation, &table)) {
        draft_as_is(d, s);
        return;
    }
    for (size_t i = 0; i < alter->n_cmds; i++) {
        const PgQuery__AlterTableCmd *cmd = alter->cmds[i]->alter_table_cmd;
        const char *text = command_text(s, &table, alter, i);
        if (cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn)
            add_column(d, &table, text, cmd);
        else if (cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType)
            change_type(d, &table, cmd, text);
        else if (cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull)
            set_not_null(d, &table, cmd, text);
        else if (cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_ColumnDefault)
            set_default(d, &table, cmd, text);
        else if (!place_command(d, &table, cmd, text))
            draft_as_is(d, s);
    }
}

/* ---- second round: other statements ---- */

static void draft_rename(struct rb_draft *d, struct rb_statement *s)
{
    const PgQuery__RenameStmt *rename = s->node->rename_stmt;
    struct rb_table table;
    bool on_table = (int)rename->relation_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE ||
                    (int)rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE;
    if (on_table && table_of(d->rb, rename->relation, &table)) {
        if ((int)rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN) {
            rb_recipe_column(d, &table, rename->subname, rename->newname);
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

static void draft_index(struct rb_draft *d, struct rb_statement *s)
{
    const PgQuery__IndexStmt *index = s->node->index_stmt;
    struct rb_table table;
    bool on_added = false;
    if (!table_of(d->rb, index->relation, &table))
        return;
    for (const struct rb_draft_column *c = d->columns; c != NULL; c = c->next) {
        for (size_t i = 0; i < index->n_index_params; i++)
            on_added = on_added || (c->added && c->filled && rb_same_table(&c->table, &table) &&
                                    strcmp(index->index_params[i]->index_elem->name, c->name) == 0);
    }
    rb_draft_title(d, rb_format(d->rb, "%s-index", table.name), rb_format(d->rb, "Index of %s", table.name));
    rb_draft_sql(d, on_added || index->unique ? RB_DRAFT_MIGRATE : RB_DRAFT_EXPAND,
                 on_added || index->unique ? RB_DRAFT_LAST : RB_DRAFT_MAIN, "%s", s->sql);
}

static void draft_drop(struct rb_draft *d, struct rb_statement *s)
{
    int type = (int)s->node->drop_stmt->remove_type;
    if (type != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE && type != PG_QUERY__OBJECT_TYPE__OBJECT_INDEX) {
        draft_as_is(d, s);
        return;
    }
    bool table = type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE;
    rb_draft_title(d, table ? "drop-table" : "drop-index", table ? "Drop a table" : "Drop an index");
    rb_draft_sql(d, RB_DRAFT_CONTRACT, RB_DRAFT_LATE, "%s", s->sql);
    rb_draft_say(d, RB_DRAFT_SWITCH,
                 table ? "Deploy the application that does not name the table any more."
                       : "Be sure that no query needs the index: `zdmctl check` shows its scans.");
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
        break; /* each step is a transaction, with settings of the agent's */
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT:
        draft_alter(d, s);
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
        (void)table_of(d->rb, update ? s->node->update_stmt->relation : s->node->delete_stmt->relation, &table);
        rb_draft_title(d, rb_format(d->rb, "%s-%s", table.name, update ? "fill" : "delete"),
                       rb_format(d->rb, update ? "Fill %s" : "Delete from %s", table.name));
        rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, "%s", s->sql);
        break;
    }
    case PG_QUERY__NODE__NODE_CREATE_STMT:
        (void)table_of(d->rb, s->node->create_stmt->relation, &table);
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
        draft_as_is(d, s);
        break;
    default:
        draft_as_is(d, s);
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
