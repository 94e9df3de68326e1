/*
 * draft_column.c - ADD COLUMN and ALTER COLUMN in a draft: what stays as it is written, and what becomes a recipe.
 */
#include "common/runbook/postgresql/ddl.h"
#include "common/runbook/draft.h"

#include <string.h>

static const PgQuery__Constraint *find_constraint(const PgQuery__ColumnDef *def, int type)
{
    for (size_t i = 0; i < def->n_constraints; i++) {
        if ((int)def->constraints[i]->constraint->contype == type)
            return def->constraints[i]->constraint;
    }
    return NULL;
}

/* The constraint as a statement of its own, in the words that were written; NULL for what is none. */
static const char *constraint_form(struct rb *rb, const PgQuery__Constraint *constraint, const char *column)
{
    const char *name =
        constraint->conname[0] == '\0' ? "" : rb_format(rb, "CONSTRAINT %s ", rb_plain(rb, constraint->conname));
    switch ((int)constraint->contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE:
        return rb_format(rb, "%sUNIQUE%s (%s)", name, constraint->nulls_not_distinct ? " NULLS NOT DISTINCT" : "",
                         column);
    case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY:
        return rb_format(rb, "%sPRIMARY KEY (%s)", name, column);
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN:
        return rb_format(rb, "%sFOREIGN KEY (%s) ", name, column);
    case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK:
        return name;
    default:
        return NULL;
    }
}

static bool is_attribute(const PgQuery__Constraint *constraint)
{
    return constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRABLE ||
           constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_NOT_DEFERRABLE ||
           constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRED ||
           constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_IMMEDIATE;
}

/* The attributes behind a constraint, which are nodes of their own there. */
static const char *attributes_of(struct rb *rb, const PgQuery__ColumnDef *def, size_t i)
{
    const char *text = "";
    for (size_t k = i + 1; k < def->n_constraints && is_attribute(def->constraints[k]->constraint); k++) {
        switch ((int)def->constraints[k]->constraint->contype) {
        case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRABLE:
            text = rb_format(rb, "%s DEFERRABLE", text);
            break;
        case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRED:
            text = rb_format(rb, "%s INITIALLY DEFERRED", text);
            break;
        default: /* what holds without a word */
            break;
        }
    }
    return text;
}

/* From the word, which begins the constraint's own text behind its name, to the next constraint's. */
static const char *rest_of(struct rb_statement *s, const PgQuery__ColumnDef *def, size_t i, size_t end,
                           const char *word)
{
    size_t from = (size_t)def->constraints[i]->constraint->location, at = end;
    for (size_t k = def->n_constraints; k-- > i + 1;) {
        if (!is_attribute(def->constraints[k]->constraint))
            at = (size_t)def->constraints[k]->constraint->location;
    }
    for (size_t k = 0; k < s->n_tokens; k++) {
        if (s->tokens[k].start >= from && rb_token_is(s, &s->tokens[k], word)) {
            from = s->tokens[k].start;
            break;
        }
    }
    while (at > from && rb_is_blank(s->sql[at - 1]))
        at--;
    return rb_copy(s->rb, s->sql + from, at > from ? at - from : 0);
}

/* What stands behind the type besides NOT NULL and DEFAULT, once the column has its values. */
static void add_constraints(struct rb_draft *d, struct rb_statement *s, const struct rb_table *table,
                            const PgQuery__ColumnDef *def, size_t end)
{
    struct rb *rb = d->rb;
    for (size_t i = 0; i < def->n_constraints; i++) {
        const PgQuery__Constraint *constraint = def->constraints[i]->constraint;
        const char *form = constraint_form(rb, constraint, rb_plain(rb, def->colname)), *rest = "";
        if (form == NULL)
            continue;
        if (constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN)
            rest = rest_of(s, def, i, end, "references");
        else if (constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_CHECK)
            rest = rest_of(s, def, i, end, "check");
        else
            rest = attributes_of(rb, def, i);
        rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_LAST, "ALTER TABLE %s ADD %s%s", rb_table_text(rb, table), form,
                     rest);
    }
}

void rb_draft_add_column(struct rb_draft *d, struct rb_statement *s, const struct rb_table *table, const char *text,
                         const PgQuery__AlterTableCmd *cmd, size_t end)
{
    struct rb *rb = d->rb;
    const PgQuery__ColumnDef *def = cmd->def->column_def;
    struct rb_draft_column *column = rb_draft_column(d, table, def->colname);
    const PgQuery__Constraint *generated = find_constraint(def, PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED);
    const char *name = rb_table_text(rb, table), *plain = rb_plain(rb, def->colname);
    rb_draft_title(d, rb_format(rb, "%s-add-%s", table->name, def->colname),
                   rb_format(rb, "Add %s.%s", table->name, def->colname));
    if (rb_ddl_is_serial(def->type_name) || find_constraint(def, PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY) != NULL) {
        rb_recipe_numbered(d, table, def);
        add_constraints(d, s, table, def, end);
        return;
    }
    const char *type = rb_deparse_type(rb, def->type_name);
    if (generated != NULL && type != NULL) {
        const char *expression = rb_deparse_expr(rb, rb_node_copy(rb, generated->raw_expr));
        rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "ALTER TABLE %s ADD COLUMN %s %s%s", name, plain, type,
                     rb_collation_text(rb, def->coll_clause));
        rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_MAIN, "UPDATE %s SET %s = %s", name, plain,
                     expression == NULL ? "NULL" : expression);
        if (find_constraint(def, PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL) != NULL)
            rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_LATE, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", name,
                         plain);
        add_constraints(d, s, table, def, end);
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
    rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "ALTER TABLE %s ADD COLUMN %s %s%s", name, plain, type,
                 rb_collation_text(rb, def->coll_clause));
    add_constraints(d, s, table, def, end);
    if (column->filled)
        rb_draft_sql(d, RB_DRAFT_MIGRATE, RB_DRAFT_LATE, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", name, plain);
    else
        rb_recipe_fill(d, table, def->colname, def->type_name);
}

/* "USING c::text" of a framework, which says what is done anyway. */
static bool is_own_cast(struct rb *rb, const char *column, const PgQuery__ColumnDef *def)
{
    const PgQuery__Node *using = def->raw_default;
    if (using->node_case == PG_QUERY__NODE__NODE_TYPE_CAST) {
        const char *type = rb_deparse_type(rb, using->type_cast->type_name), *own = rb_deparse_type(rb, def->type_name);
        if (type == NULL || own == NULL || strcmp(type, own) != 0)
            return false;
        using = using->type_cast->arg;
    }
    const char *name = rb_expr_column(using);
    return name != NULL && strcmp(name, column) == 0;
}

/* Does PostgreSQL keep the table's files for such a change? As compiled; the server is asked on a clone. */
static bool may_widen(struct rb *rb, const char *column, const PgQuery__ColumnDef *def)
{
    static const char *const names[] = {"text", "varchar", "numeric", "varbit", "interval", "citext", "inet"};
    static const char *const precise[] = {"timestamp", "timestamptz", "time", "timetz"};
    const char *name =
        def->type_name->n_names == 0 ? "" : rb_string(def->type_name->names[def->type_name->n_names - 1]);
    bool computed = def->raw_default != NULL && !is_own_cast(rb, column, def);
    if (computed || def->coll_clause != NULL || def->type_name->n_array_bounds > 0)
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

/* Are the files of a table the same for both types? */
static bool is_stored_alike(const char *from, const char *to)
{
    static const char *const pairs[][2] = {{"varchar", "text"},   {"text", "varchar"},   {"text", "citext"},
                                           {"varchar", "citext"}, {"citext", "varchar"}, {"citext", "text"},
                                           {"cidr", "inet"}};
    bool alike = strcmp(from, to) == 0;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        alike = alike || (strcmp(pairs[i][0], from) == 0 && strcmp(pairs[i][1], to) == 0);
    return alike;
}

/* Is what the column holds now, where that is known, another thing than what it shall become, or wider? */
static bool narrows(struct rb_draft *d, const char *type, const PgQuery__TypeName *to)
{
    struct rb *rb = d->rb;
    const char *message;
    size_t offset;
    if (d->guess || type == NULL)
        return d->guess;
    PgQuery__ParseResult *parsed = rb_parse(rb, rb_format(rb, "SELECT NULL::%s", type), &message, &offset);
    if (parsed == NULL || parsed->n_stmts != 1)
        return false;
    const PgQuery__Node *value = parsed->stmts[0]->stmt->select_stmt->target_list[0]->res_target->val;
    if (value->node_case != PG_QUERY__NODE__NODE_TYPE_CAST)
        return false;
    const PgQuery__TypeName *from = value->type_cast->type_name;
    const char *old = rb_string(from->names[from->n_names - 1]), *new = rb_string(to->names[to->n_names - 1]);
    if (from->n_array_bounds > 0 || !is_stored_alike(old, new))
        return true;
    return to->n_typmods > 0 && (strcmp(old, new) != 0 || from->n_typmods == 0 || typmod(from, 0) > typmod(to, 0) ||
                                 typmod(from, 1) != typmod(to, 1));
}

const char *rb_draft_type(const struct rb_draft *d, const struct rb_table *table, const char *column)
{
    const char *name = rb_format(d->rb, "%s.%s.%s", table->schema, table->name, column);
    for (size_t i = 0; i < d->n_types; i++) {
        if (strcmp(d->types[i].column, name) == 0)
            return d->types[i].type;
    }
    return d->type;
}

bool rb_draft_is_long(struct rb_draft *d, const struct rb_table *table, const char *column,
                      const PgQuery__ColumnDef *def)
{
    return !may_widen(d->rb, column, def) || narrows(d, rb_draft_type(d, table, column), def->type_name);
}

/* Of a key and what refers to it, all is known. */
static bool asks_type(struct rb_draft *d, const struct rb_table *table, const char *column)
{
    if (!d->asks || rb_draft_type(d, table, column) != NULL || rb_draft_is_key(d, table, column) ||
        rb_draft_is_reference(d, table, column))
        return false;
    if (d->missing == NULL)
        d->missing = rb_format(d->rb, "%s.%s.%s", table->schema, table->name, column);
    rb_draft_fail(d, rb_format(d->rb, "the type of %s is not known", column), "Write it with --type.");
    return true;
}

void rb_draft_change_type(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd)
{
    struct rb *rb = d->rb;
    const PgQuery__ColumnDef *def = cmd->def->column_def;
    if (asks_type(d, table, cmd->name))
        return;
    if (!rb_draft_is_long(d, table, cmd->name, def)) {
        rb_draft_title(d, rb_format(rb, "%s-widen-%s", table->name, cmd->name),
                       rb_format(rb, "Widen %s.%s", table->name, cmd->name));
        rb_draft_say(
            d, RB_DRAFT_EXPAND,
            "Where the new type is wider, PostgreSQL changes the catalogue alone; `zdmctl check` says whether it "
            "is. Where it is not, `zdmctl new` with `--type` and the present type drafts the long way.");
        rb_draft_sql(d, RB_DRAFT_EXPAND, RB_DRAFT_MAIN, "ALTER TABLE %s ALTER COLUMN %s TYPE %s",
                     rb_table_text(rb, table), rb_plain(rb, cmd->name), rb_deparse_type(rb, def->type_name));
        return;
    }
    rb_recipe_type(d, table, cmd->name, def->type_name, def->coll_clause, def->raw_default);
}

/* A default of a column that this script fills belongs behind the triggers; taking one away, behind the old code. */
void rb_draft_set_default(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd,
                          const char *text)
{
    const struct rb_draft_column *column = rb_draft_column(d, table, cmd->name);
    bool late = cmd->def == NULL || (column->added && column->filled);
    if (column->moved_to != NULL) { /* of the new column, which has no default to lose */
        const char *value = cmd->def == NULL ? NULL : rb_deparse_expr(d->rb, rb_node_copy(d->rb, cmd->def));
        if (value != NULL)
            rb_draft_sql(d, RB_DRAFT_CONTRACT, RB_DRAFT_LAST, "ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s",
                         rb_table_text(d->rb, table), rb_plain(d->rb, column->moved_to), value);
        return;
    }
    rb_draft_title(d, rb_format(d->rb, "%s-default-%s", table->name, cmd->name),
                   rb_format(d->rb, "Default of %s.%s", table->name, cmd->name));
    rb_draft_sql(d, late ? RB_DRAFT_CONTRACT : RB_DRAFT_EXPAND, RB_DRAFT_LAST, "%s", text);
    if (cmd->def == NULL)
        rb_draft_say(d, RB_DRAFT_SWITCH, "Deploy the application that writes `%s` in every row.", cmd->name);
}

void rb_draft_set_not_null(struct rb_draft *d, const struct rb_table *table, const PgQuery__AlterTableCmd *cmd,
                           const char *text)
{
    const struct rb_draft_column *column = rb_draft_column(d, table, cmd->name);
    bool early = column->added && (column->filled || column->has_default);
    if (column->moved_to != NULL) {
        rb_draft_sql(d, column->may_be_left ? RB_DRAFT_CONTRACT : RB_DRAFT_MIGRATE,
                     column->may_be_left ? RB_DRAFT_LAST : RB_DRAFT_LATE, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL",
                     rb_table_text(d->rb, table), rb_plain(d->rb, column->moved_to));
        return;
    }
    rb_draft_title(d, rb_format(d->rb, "%s-not-null-%s", table->name, cmd->name),
                   rb_format(d->rb, "Make %s.%s NOT NULL", table->name, cmd->name));
    rb_draft_sql(d, early ? RB_DRAFT_MIGRATE : RB_DRAFT_CONTRACT, RB_DRAFT_LATE, "%s", text);
    if (!early)
        rb_draft_say(d, RB_DRAFT_SWITCH, "Deploy the application that writes `%s` in every row.", cmd->name);
}
