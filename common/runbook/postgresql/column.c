/*
 * column.c - ADD COLUMN, with all that may stand behind it.
 *
 * What PostgreSQL does without touching a row (a constant default, also one like now() that is computed once) stays
 * one statement. A default that is another one for each row is set in the same statement for new rows, and rows that
 * exist are filled in batches. UNIQUE, CHECK and REFERENCES become steps of their own behind it.
 */
#include "common/runbook/postgresql/ddl.h"

#include <string.h>

enum { INLINE_MAX = 16 };

struct parts {
    const char *type, *collation, *compression;
    const char *value;   /* the default as it is written; NULL */
    const char *initial; /* what rows hold that nobody wrote since; NULL for NULL, or unknown */
    const PgQuery__Node *default_node;
    int default_location;
    bool not_null, is_now, is_volatile;
    const PgQuery__Constraint *constraints[INLINE_MAX];
    size_t n_constraints;
};

/* ---- what cannot stand there ---- */

static const char *counting_recipe(const struct rb_ddl *d)
{
    const char *recipe = rb_recipe_of(d->s->rb, d->source);
    return recipe != NULL ? recipe : "Make a sequence, and add a bigint column whose default is its nextval.";
}

static void refuse_generated(const struct rb_ddl *d, const PgQuery__ColumnDef *def, const struct parts *parts,
                             const PgQuery__Constraint *constraint)
{
    struct rb *rb = d->s->rb;
    const char *text = rb_deparse_expr(rb, rb_node_copy(rb, constraint->raw_expr));
    rb_error(rb, "add-column-generated", rb_at(d->s, constraint->location),
             rb_recipe_default(rb, rb_table_text(rb, &d->table), def->colname, parts->type, text == NULL ? "…" : text),
             "a generated column %s is computed for every row under the table's lock, which rewrites the table",
             def->colname);
}

static void refuse_constraint(const struct rb_ddl *d, const PgQuery__ColumnDef *def, const struct parts *parts,
                              const PgQuery__Constraint *constraint)
{
    struct rb *rb = d->s->rb;
    struct rb_place at = rb_at(d->s, constraint->location);
    if (constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED)
        refuse_generated(d, def, parts, constraint);
    else if (constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY)
        rb_error(rb, "add-column-identity", at, counting_recipe(d),
                 "an identity column %s gets a number for every row under the table's lock, which rewrites the table",
                 def->colname);
    else if (constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY)
        rb_error(rb, "add-column-primary-key", at,
                 rb_format(rb,
                           "Add the column alone, fill it, and then, at the end of the migrate phase: ALTER TABLE %s "
                           "ADD PRIMARY KEY (%s);",
                           rb_table_text(rb, &d->table), rb_plain(rb, def->colname)),
                 "column %s cannot be the PRIMARY KEY before its rows have values", def->colname);
    else
        rb_error(rb, "add-column-constraint", at, "Add the column alone.", "this constraint of %s is not supported",
                 def->colname);
}

bool rb_ddl_is_serial(const PgQuery__TypeName *type)
{
    static const char *const names[] = {"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (type->n_names == 1 && strcmp(rb_string(type->names[0]), names[i]) == 0)
            return true;
    }
    return false;
}

/* ---- reading ---- */

bool rb_ddl_column_clauses(struct rb_statement *s, const PgQuery__ColumnDef *def)
{
    struct rb *rb = s->rb;
    size_t errors = rb->n_errors, defaults = 0, nulls = 0, not_nulls = 0;
    if (def->n_fdwoptions > 0)
        rb_error(rb, "column-clause", rb_at_word(s, (size_t)def->location, "options"), "Leave it out.",
                 "OPTIONS of %s are for foreign tables", rb_plain(rb, def->colname));
    for (size_t i = 0; i < def->n_constraints; i++) {
        const PgQuery__Constraint *constraint = def->constraints[i]->constraint;
        bool is_default = constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT;
        bool is_null = constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_NULL;
        bool is_not_null = constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL;
        if ((is_default && defaults > 0) || (is_null && not_nulls > 0) || (is_not_null && nulls > 0))
            rb_error(rb, "column-clause", rb_at(s, constraint->location), "Keep one of them.",
                     is_default ? "%s has two defaults" : "%s is said to be NULL and NOT NULL",
                     rb_plain(rb, def->colname));
        defaults += is_default;
        nulls += is_null;
        not_nulls += is_not_null;
    }
    return errors == rb->n_errors;
}

/* DEFERRABLE and its like are nodes of their own behind the constraint that they belong to. */
static bool read_attribute(struct parts *parts, const PgQuery__Constraint *constraint)
{
    PgQuery__Constraint *last = parts->n_constraints == 0
                                    ? NULL
                                    : (PgQuery__Constraint *)(uintptr_t)parts->constraints[parts->n_constraints - 1];
    switch ((int)constraint->contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRABLE:
        if (last != NULL)
            last->deferrable = 1;
        return last != NULL;
    case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_DEFERRED:
        if (last != NULL)
            last->deferrable = last->initdeferred = 1;
        return last != NULL;
    case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_NOT_DEFERRABLE:
    case PG_QUERY__CONSTR_TYPE__CONSTR_ATTR_IMMEDIATE:
        return last != NULL;
    default:
        return false;
    }
}

static void read_constraint(const struct rb_ddl *d, const PgQuery__ColumnDef *def, struct parts *parts,
                            const PgQuery__Constraint *constraint)
{
    switch ((int)constraint->contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_NULL:
        break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL:
        parts->not_null = true;
        break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT:
        parts->default_node = constraint->raw_expr;
        parts->default_location = constraint->location;
        break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE:
    case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK:
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN:
        if (parts->n_constraints < INLINE_MAX) {
            parts->constraints[parts->n_constraints++] = constraint;
            break;
        }
        refuse_constraint(d, def, parts, constraint);
        break;
    default:
        if (!read_attribute(parts, constraint))
            refuse_constraint(d, def, parts, constraint);
        break;
    }
}

static bool is_null(const PgQuery__Node *node)
{
    if (node->node_case == PG_QUERY__NODE__NODE_TYPE_CAST)
        return is_null(node->type_cast->arg);
    return node->node_case == PG_QUERY__NODE__NODE_A_CONST && node->a_const->isnull;
}

static void refuse_default(const struct rb_ddl *d, const PgQuery__ColumnDef *def, const struct parts *parts,
                           const char *why)
{
    rb_error(d->s->rb, "add-column-default", rb_at(d->s, parts->default_location),
             rb_format(d->s->rb, "Add the column without it, and fill it: UPDATE %s SET %s = …;",
                       rb_table_text(d->s->rb, &d->table), rb_plain(d->s->rb, def->colname)),
             "the default of %s %s", def->colname, why);
}

/* 'now'::timestamptz is the moment at which it is read. */
static bool is_moment(struct rb_statement *s, const PgQuery__Node *node)
{
    struct rb_expr expr = {.n_columns = 0};
    PgQuery__RangeVar nothing = PG_QUERY__RANGE_VAR__INIT;
    return rb_is_constant(node) && rb_expr_examine(s, &nothing, node, "the default", &expr) && expr.is_now;
}

static bool read_default(const struct rb_ddl *d, const PgQuery__ColumnDef *def, struct parts *parts)
{
    struct rb *rb = d->s->rb;
    struct rb_expr expr = {.n_columns = 0};
    if (parts->default_node == NULL)
        return true;
    parts->value = rb_deparse_expr(rb, rb_node_copy(rb, parts->default_node));
    if (!rb_ddl_expr(d->s, parts->default_node, "the default", &expr))
        return false;
    if (parts->value == NULL || expr.n_columns > 0) {
        refuse_default(d, def, parts, parts->value == NULL ? "cannot be written in a plan" : "reads a column");
        return false;
    }
    if (expr.session != NULL && !rb_is_created(rb, &d->table)) {
        rb_error(rb, "default-session", rb_at(d->s, expr.session_at),
                 rb_format(rb,
                           "Add the column without it, and let it begin with new rows: ALTER TABLE %s ALTER COLUMN %s "
                           "SET DEFAULT %s; rows that exist get what you know in an UPDATE, or stay NULL.",
                           rb_table_text(rb, &d->table), rb_plain(rb, def->colname), parts->value),
                 "%s of the agent's session would stand in all rows that exist", expr.session);
        return false;
    }
    parts->is_volatile = expr.is_volatile;
    parts->is_now = expr.is_now || is_moment(d->s, parts->default_node);
    if (!parts->is_volatile && !parts->is_now && !is_null(parts->default_node))
        parts->initial =
            rb_format(rb, parts->default_node->node_case == PG_QUERY__NODE__NODE_A_CONST ? "%s::%s" : "(%s)::%s",
                      parts->value, parts->type);
    return true;
}

const char *rb_collation_text(struct rb *rb, const PgQuery__CollateClause *clause)
{
    if (clause == NULL)
        return "";
    const char *text = " COLLATE ";
    for (size_t i = 0; i < clause->n_collname; i++)
        text = rb_format(rb, "%s%s%s", text, i == 0 ? "" : ".", rb_quote(rb, rb_string(clause->collname[i])));
    return text;
}

static bool read_type(const struct rb_ddl *d, const PgQuery__ColumnDef *def, struct parts *parts)
{
    struct rb *rb = d->s->rb;
    struct rb_place at = rb_at(d->s, def->type_name->location);
    if (rb_ddl_is_serial(def->type_name)) {
        rb_error(rb, "add-column-serial", at, counting_recipe(d),
                 "a serial column %s gets a number for every row under the table's lock, which rewrites the table",
                 def->colname);
        return false;
    }
    parts->type = rb_deparse_type(rb, def->type_name);
    parts->collation = rb_collation_text(rb, def->coll_clause);
    parts->compression = def->compression[0] == '\0' ? "" : rb_format(rb, " COMPRESSION %s", def->compression);
    if (def->type_name->setof)
        parts->type = NULL;
    if (parts->type == NULL)
        rb_error(rb, "type", at, "Write it with its schema and without what PostgreSQL adds itself.",
                 "this type cannot be written in a plan");
    return parts->type != NULL;
}

static bool read_parts(const struct rb_ddl *d, const PgQuery__ColumnDef *def, struct parts *parts)
{
    size_t errors = d->s->rb->n_errors;
    if (!rb_ddl_column_clauses(d->s, def) || !read_type(d, def, parts))
        return false;
    for (size_t i = 0; i < def->n_constraints; i++)
        read_constraint(d, def, parts, def->constraints[i]->constraint);
    (void)read_default(d, def, parts);
    return errors == d->s->rb->n_errors;
}

/* ---- steps ---- */

static void add_step(const struct rb_ddl *d, const PgQuery__ColumnDef *def, const struct parts *parts)
{
    struct rb *rb = d->s->rb;
    const char *name = rb_quote(rb, def->colname);
    const char *head = rb_format(rb, "ALTER TABLE %s ADD COLUMN %s %s%s%s", rb_table_sql(rb, &d->table), name,
                                 parts->type, parts->compression, parts->collation);
    struct rb_step *step = rb_ddl_step(d, ZDM_STEP_DDL, ZDM_ACTION_ADD_COLUMN, ZDM_LOCK_SHORT, def->colname);
    if (parts->is_volatile)
        rb_step_sql(step, rb_format(rb, "%s, ALTER COLUMN %s SET DEFAULT %s", head, name, parts->value));
    else
        rb_step_sql(step, rb_format(rb, "%s%s%s%s", head, parts->value == NULL ? "" : " DEFAULT ",
                                    parts->value == NULL ? "" : parts->value, parts->not_null ? " NOT NULL" : ""));
    rb_step_inverse(step, ZDM_INVERSE_HIDE, NULL);
    rb_step_does(step, "add the column %s%s; only the catalogue changes", rb_plain(rb, def->colname),
                 parts->is_volatile ? ", with the default for new rows only" : "");
}

/* Rows that exist, in batches: the default is there for new ones, so that no trigger is needed. */
static void add_fill(const struct rb_ddl *d, const PgQuery__ColumnDef *def, const struct parts *parts)
{
    struct rb *rb = d->s->rb;
    struct rb_step *step = rb_ddl_step(d, ZDM_STEP_BACKFILL, ZDM_ACTION_BACKFILL, ZDM_LOCK_NONE, NULL);
    struct zdm_derivation *derivation = rb_heap(sizeof *derivation);
    derivation->assignments = rb_heap(sizeof *derivation->assignments);
    derivation->n_assignments = 1;
    derivation->assignments[0] = (struct zdm_assignment){
        .target = rb_dup(def->colname), .expr = rb_dup(parts->value), .added = true, .fill_once = true};
    derivation->guard = rb_dup(rb_format(rb, "(t.%s IS NULL)", rb_quote(rb, def->colname)));
    derivation->idempotent = true;
    step->step.derivation = derivation;
    step->step.batch_rows = d->s->fence->batch;
    rb_step_inverse(step, ZDM_INVERSE_NONE, NULL);
    rb_step_does(step,
                 "fill %s of the rows that exist, in throttled batches along the table's key; new rows have it "
                 "from the default",
                 rb_plain(rb, def->colname));
    if (d->s->fence->no_undo)
        rb_error(rb, "no-undo-added", rb_attribute_place(d->s->fence, "no-undo"), "Leave no-undo out.",
                 "no-undo is for columns that existed before: a rollback hides %s, which this migration adds",
                 def->colname);
}

static struct rb_column *begin(const struct rb_ddl *d, const PgQuery__ColumnDef *def)
{
    struct rb *rb = d->s->rb;
    struct rb_column *column = rb_column_of(rb, &d->table, def->colname);
    struct rb_place at = rb_at(d->s, def->location);
    if (column->added || column->created) {
        rb_error(rb, "column-twice", at, "Remove one of them.", "column %s is added twice", def->colname);
        return NULL;
    }
    column->added = true;
    column->at = at;
    (void)rb_ddl_phase(d, RB_DDL_ADD_COLUMN, rb_at(d->s, (int)d->from));
    return column;
}

static bool may_be_not_null(const struct rb_ddl *d, const PgQuery__ColumnDef *def, const struct parts *parts)
{
    if (!parts->not_null || parts->initial != NULL || parts->is_now || parts->is_volatile)
        return true;
    rb_error(d->s->rb, "add-column-not-null", rb_at(d->s, def->location),
             rb_recipe_not_null(d->s->rb, def->colname, parts->type, d->source),
             "column %s cannot be NOT NULL from the start: rows that exist have no value for it", def->colname);
    return false;
}

/* What the plan knows of it from now on. */
static void remember(struct rb_column *column, const PgQuery__ColumnDef *def, const struct parts *parts)
{
    column->type = rb_type_known(def->type_name);
    column->initial = parts->initial;
    column->not_null = parts->not_null && parts->initial != NULL;
    column->has_default = parts->is_volatile || parts->is_now;
    column->filled = column->has_default;
}

void rb_ddl_add_column(const struct rb_ddl *d)
{
    struct rb *rb = d->s->rb;
    const PgQuery__ColumnDef *def = d->cmd->def->column_def;
    const struct rb_step *before = d->s->phase->last;
    struct parts parts = {.type = NULL};
    size_t errors = rb->n_errors;
    struct rb_column *column = begin(d, def);
    if (column == NULL || !read_parts(d, def, &parts) || !may_be_not_null(d, def, &parts) || errors != rb->n_errors)
        return;
    remember(column, def, &parts);
    add_step(d, def, &parts);
    if (parts.is_volatile)
        add_fill(d, def, &parts);
    if (parts.is_volatile && parts.not_null)
        rb_ddl_not_null_steps(d, column);
    for (size_t i = 0; i < parts.n_constraints; i++)
        rb_ddl_constraint(d, parts.constraints[i], def->colname);
    if (parts.is_volatile || parts.n_constraints > 0)
        rb_ddl_rewritten(d, before);
    if (d->cmd->missing_ok)
        rb_note(rb, "if-not-exists", rb_at(d->s, def->location), NULL,
                "a column %s that is not this migration's stops the step, IF NOT EXISTS or not", def->colname);
}
