/*
 * alter.c - ALTER TABLE, command by command: ADD COLUMN, ALTER COLUMN … SET NOT NULL, DROP COLUMN.
 *
 * A statement with several commands becomes several steps: each takes its lock alone and for as short as it can.
 */
#include "common/runbook/tree.h"

#include <stdlib.h>
#include <string.h>

static const char exclusive[] = "ACCESS EXCLUSIVE, at most 100 ms, retried";

struct command {
    struct rb_statement *s;
    struct rb_table table;
    const PgQuery__AlterTableCmd *cmd;
    size_t from; /* byte of the statement where it begins: ALTER for the first */
    size_t body; /* of the command itself */
    const char *source;
};

static struct rb_step *add_step(const struct command *c, enum zdm_step_kind kind, enum zdm_action action,
                                enum zdm_lock_class lock, const char *lock_text, const char *column)
{
    struct rb_step *step = rb_step_add(c->s->rb, c->s->phase, c->s->fence, kind, action, lock);
    struct rb_place at = rb_at(c->s, (int)c->from);
    rb_step_table(step, &c->table);
    step->step.column = rb_dup(column);
    step->note.line = at.line;
    step->note.column = at.column;
    free(step->note.source);
    step->note.source = rb_dup(c->source);
    free(step->note.lock);
    step->note.lock = rb_dup(lock_text);
    return step;
}

/* ---- ADD COLUMN ---- */

struct column_parts {
    const char *type, *collation, *initial;
    bool not_null, has_default;
    const PgQuery__Node *default_node;
    int default_location;
};

static void refuse_default(const struct command *c, const PgQuery__ColumnDef *def, const struct column_parts *parts,
                           const char *text)
{
    struct rb *rb = c->s->rb;
    rb_error(rb, "add-column-default", rb_at(c->s, parts->default_location),
             rb_recipe_default(rb, rb_table_text(rb, &c->table), def->colname, parts->type, text),
             "the default of %s is not a constant: each row would get another value, which rewrites the table",
             def->colname);
}

static void refuse_constraint(const struct command *c, const PgQuery__ColumnDef *def,
                              const PgQuery__Constraint *constraint)
{
    static const struct {
        PgQuery__ConstrType type;
        const char *rule, *what, *hint;
    } rows[] = {
        {PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE, "add-column-unique", "UNIQUE builds an index under the table's lock",
         "Add the column alone, fill it, then CREATE UNIQUE INDEX on it."},
        {PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY, "add-column-primary-key",
         "PRIMARY KEY builds an index under the table's lock",
         "Add the column alone, fill it, SET NOT NULL, then CREATE UNIQUE INDEX on it."},
        {PG_QUERY__CONSTR_TYPE__CONSTR_CHECK, "add-column-check", "CHECK reads the whole table under its lock",
         "Add the column alone; verify what it holds with ```sql {check}. CHECK constraints are not supported by this "
         "release."},
        {PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN, "add-column-references", "REFERENCES locks the other table as well",
         "Add the column alone. Foreign keys are not supported by this release."},
        {PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY, "add-column-identity", "an identity column rewrites the table",
         "Add a plain column and fill it from other columns."},
        {PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED, "add-column-generated", "a generated column rewrites the table",
         "Add a plain column and fill it: UPDATE … SET column = expression keeps it right until Contract."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].type == constraint->contype) {
            rb_error(c->s->rb, rows[i].rule, rb_at(c->s, constraint->location), rows[i].hint,
                     "ADD COLUMN %s cannot be done at once: %s", def->colname, rows[i].what);
            return;
        }
    }
    rb_error(c->s->rb, "add-column-constraint", rb_at(c->s, constraint->location), "Add the column alone.",
             "this constraint of %s is not supported", def->colname);
}

static bool read_constraints(const struct command *c, const PgQuery__ColumnDef *def, struct column_parts *parts)
{
    size_t errors = c->s->rb->n_errors;
    for (size_t i = 0; i < def->n_constraints; i++) {
        const PgQuery__Constraint *constraint = def->constraints[i]->constraint;
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
        default:
            refuse_constraint(c, def, constraint);
            break;
        }
    }
    return errors == c->s->rb->n_errors;
}

static bool is_null(const PgQuery__Node *node)
{
    if (node->node_case == PG_QUERY__NODE__NODE_TYPE_CAST)
        return is_null(node->type_cast->arg);
    return node->node_case == PG_QUERY__NODE__NODE_A_CONST && node->a_const->isnull;
}

/* The value that the column holds in rows nobody wrote since, typed as the column. */
static bool read_default(const struct command *c, const PgQuery__ColumnDef *def, struct column_parts *parts,
                         const char **out_text)
{
    struct rb *rb = c->s->rb;
    struct rb_expr expr = {.n_columns = 0};
    PgQuery__RangeVar nothing = PG_QUERY__RANGE_VAR__INIT;
    *out_text = NULL;
    if (parts->default_node == NULL)
        return true;
    *out_text = rb_deparse_expr(rb, rb_node_copy(rb, parts->default_node));
    if (*out_text == NULL || !rb_is_constant(parts->default_node)) {
        refuse_default(c, def, parts, *out_text == NULL ? "…" : *out_text);
        return false;
    }
    if (!rb_expr_examine(c->s, &nothing, parts->default_node, "the default", &expr))
        return false;
    if (expr.is_now) {
        refuse_default(c, def, parts, *out_text);
        return false;
    }
    parts->has_default = true;
    if (!is_null(parts->default_node))
        parts->initial =
            rb_format(rb, parts->default_node->node_case == PG_QUERY__NODE__NODE_A_CONST ? "%s::%s" : "(%s)::%s",
                      *out_text, parts->type);
    return true;
}

static const char *collation_text(struct rb *rb, const PgQuery__CollateClause *clause)
{
    if (clause == NULL)
        return "";
    const char *text = " COLLATE ";
    for (size_t i = 0; i < clause->n_collname; i++)
        text = rb_format(rb, "%s%s%s", text, i == 0 ? "" : ".", rb_quote(rb, rb_string(clause->collname[i])));
    return text;
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

static bool phase_allows_adding(const struct command *c, const char *what, const char *rule)
{
    if (c->s->phase->class == ZDM_PHASE_EXPAND || c->s->phase->class == ZDM_PHASE_MIGRATE)
        return true;
    rb_error(c->s->rb, rule, rb_at(c->s, (int)c->from), "Move it to an expand phase: ## Phase 1: Expand.",
             "%s belongs into an expand or migrate phase, and this is a %s phase", what,
             zdm_phase_class_name(c->s->phase->class));
    return false;
}

static void add_column(const struct command *c)
{
    struct rb *rb = c->s->rb;
    const PgQuery__ColumnDef *def = c->cmd->def->column_def;
    struct column_parts parts = {.initial = NULL};
    struct rb_column *column = rb_column_of(rb, &c->table, def->colname);
    struct rb_place at = rb_at(c->s, def->location);
    if (column->added) {
        rb_error(rb, "column-twice", at, "Remove one of them.", "column %s is added twice", def->colname);
        return;
    }
    column->added = true;
    column->at = at;
    bool ok = phase_allows_adding(c, "ADD COLUMN", "add-column-late");
    if (is_serial(def->type_name)) {
        rb_error(rb, "add-column-serial", rb_at(c->s, def->type_name->location),
                 "Add a plain bigint column and fill it from other columns.",
                 "a serial column %s rewrites the table under its lock", def->colname);
        return;
    }
    parts.type = rb_deparse_type(rb, def->type_name);
    parts.collation = collation_text(rb, def->coll_clause);
    if (parts.type == NULL) {
        rb_error(rb, "type", rb_at(c->s, def->type_name->location), NULL, "this type cannot be written in a plan");
        return;
    }
    const char *default_text;
    ok = read_constraints(c, def, &parts) && ok;
    ok = read_default(c, def, &parts, &default_text) && ok;
    if (parts.not_null && ok && parts.initial == NULL) {
        rb_error(rb, "add-column-not-null", at,
                 rb_recipe_not_null(rb, rb_table_text(rb, &c->table), def->colname, parts.type),
                 "column %s cannot be NOT NULL from the start: rows that exist have no value for it", def->colname);
        return;
    }
    column->initial = parts.initial;
    column->not_null = parts.not_null;
    if (!ok)
        return;
    struct rb_step *step = add_step(c, ZDM_STEP_DDL, ZDM_ACTION_ADD_COLUMN, ZDM_LOCK_SHORT, exclusive, def->colname);
    step->step.sql =
        rb_dup(rb_format(rb, "ALTER TABLE %s ADD COLUMN %s %s%s%s%s%s", rb_table_sql(rb, &c->table),
                         rb_quote(rb, def->colname), parts.type, parts.collation, parts.has_default ? " DEFAULT " : "",
                         parts.has_default ? default_text : "", parts.not_null ? " NOT NULL" : ""));
    step->step.inverse = ZDM_INVERSE_HIDE;
    rb_step_does(step, "add the column %s; only the catalogue changes", rb_plain(rb, def->colname));
    if (c->cmd->missing_ok)
        rb_note(rb, "if-not-exists", at, NULL,
                "a column %s that is not this migration's stops the step, IF NOT EXISTS or not", def->colname);
}

/* ---- SET NOT NULL ---- */

static bool may_set_not_null(const struct command *c, const struct rb_column *column)
{
    struct rb *rb = c->s->rb;
    struct rb_place at = rb_at_word(c->s, c->body, column->name);
    enum zdm_phase_class class = c->s->phase->class;
    if (column->hide != NULL) {
        rb_error(rb, "column-hidden", at, "Remove it.", "column %s is dropped before this", column->name);
        return false;
    }
    if (class != ZDM_PHASE_MIGRATE && class != ZDM_PHASE_CONTRACT) {
        rb_error(rb, "not-null-phase", at, "Move it behind the backfill: to the migrate or the contract phase.",
                 "SET NOT NULL rejects rows of code that does not write %s yet, so it cannot be in a %s phase",
                 column->name, zdm_phase_class_name(class));
        return false;
    }
    if (column->added && !column->filled && column->initial == NULL) {
        rb_error(rb, "not-null-unfilled", at,
                 rb_format(rb, "Fill it first, in a migrate phase: UPDATE %s SET %s = …;", rb_table_text(rb, &c->table),
                           column->name),
                 "column %s is NULL in every row that exists", column->name);
        return false;
    }
    if (column->sync == NULL && column->initial == NULL)
        rb_warning(rb, "not-null-writers", at,
                   "From this step on PostgreSQL rejects a NULL in new rows. Be sure that every version of the "
                   "application that runs writes the column.",
                   "no trigger fills %s where the application does not", column->name);
    else if (column->sync != NULL && column->sync->step.derivation->filter != NULL)
        rb_warning(rb, "not-null-filter", at, "Fill the other rows too, with a second UPDATE or with CASE.",
                   "the UPDATE of %s has a condition: rows outside it may hold NULL, and the step would fail",
                   column->name);
    return true;
}

static void set_not_null(const struct command *c)
{
    struct rb *rb = c->s->rb;
    const char *name = c->cmd->name, *table = rb_table_sql(rb, &c->table);
    struct rb_column *column = rb_column_of(rb, &c->table, name);
    if (!may_set_not_null(c, column))
        return;
    const char *constraint = rb_derived_name(rb, &c->table, name, "_n");
    const char *quoted = rb_quote(rb, constraint);
    struct rb_step *check = add_step(c, ZDM_STEP_DDL, ZDM_ACTION_ADD_CHECK, ZDM_LOCK_SHORT, exclusive, name);
    struct rb_step *validate = add_step(c, ZDM_STEP_VALIDATE, ZDM_ACTION_VALIDATE, ZDM_LOCK_LONG,
                                        "SHARE UPDATE EXCLUSIVE; reads and writes go on", NULL);
    struct rb_step *set = add_step(c, ZDM_STEP_DDL, ZDM_ACTION_SET_NOT_NULL, ZDM_LOCK_SHORT, exclusive, name);
    struct rb_step *drop = add_step(c, ZDM_STEP_DDL, ZDM_ACTION_DROP_CONSTRAINT, ZDM_LOCK_SHORT, exclusive, NULL);
    check->note.rewritten = validate->note.rewritten = set->note.rewritten = drop->note.rewritten = true;
    check->superseded = validate->superseded = drop;
    check->step.object = rb_dup(constraint);
    check->step.sql = rb_dup(rb_format(rb, "ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID", table,
                                       quoted, rb_quote(rb, name)));
    check->step.inverse = ZDM_INVERSE_SQL;
    check->step.inverse_sql = rb_dup(rb_format(rb, "ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", table, quoted));
    rb_step_does(check, "a CHECK that new rows must satisfy; old rows are not read yet");
    validate->step.object = rb_dup(constraint);
    validate->step.sql = rb_dup(rb_format(rb, "ALTER TABLE %s VALIDATE CONSTRAINT %s", table, quoted));
    rb_step_does(validate, "prove it for the rows that exist, while reads and writes go on");
    set->step.sql = rb_dup(rb_format(rb, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", table, rb_quote(rb, name)));
    set->step.inverse = ZDM_INVERSE_SQL;
    set->step.inverse_sql =
        rb_dup(rb_format(rb, "ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL", table, rb_quote(rb, name)));
    rb_step_does(set, "NOT NULL at once: the valid CHECK proves it without reading the table");
    drop->step.object = rb_dup(constraint);
    drop->step.sql = rb_dup(check->step.inverse_sql);
    rb_step_does(drop, "drop the CHECK, which has done its work");
    column->check = set;
}

/* ---- DROP COLUMN ---- */

static bool may_drop(const struct command *c, const struct rb_column *column)
{
    struct rb *rb = c->s->rb;
    const char *name = column->name;
    struct rb_place at = rb_at_word(c->s, c->body, name);
    if (c->s->phase->class != ZDM_PHASE_CONTRACT)
        rb_error(rb, "drop-outside-contract", at,
                 "Move it to the contract phase, when no code reads the column any more: ## Phase 4: Contract.",
                 "DROP COLUMN belongs into a contract phase, and this is %s %s phase",
                 c->s->phase->class == ZDM_PHASE_EXPAND ? "an" : "a", zdm_phase_class_name(c->s->phase->class));
    else if (c->cmd->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE)
        rb_error(rb, "drop-cascade", rb_at_word(c->s, c->body, "cascade"),
                 "Leave CASCADE out; the agent names what depends on the column and stops there.",
                 "CASCADE would drop what the plan does not name");
    else if (c->cmd->missing_ok)
        rb_error(rb, "drop-if-exists", rb_at_word(c->s, c->body, "if"), "Leave IF EXISTS out.",
                 "the plan must know what it drops");
    else if (column->hide != NULL)
        rb_error(rb, "column-hidden", at, "Remove it.", "column %s is dropped twice", name);
    else if (column->added)
        rb_error(rb, "drop-added", at, "Leave both out, or roll the migration back.",
                 "column %s is added by this very runbook", name);
    else if (column->sync != NULL)
        rb_error(rb, "drop-target", at, "Drop the column that it was filled from.",
                 "column %s is what this runbook fills", name);
    else
        return true;
    return false;
}

static bool is_indexed(const struct command *c, const char *name)
{
    for (const struct rb_index *index = c->s->rb->indexes; index != NULL; index = index->next) {
        for (size_t i = 0; i < index->n_columns; i++) {
            if (rb_same_table(&index->table, &c->table) && strcmp(index->columns[i], name) == 0) {
                rb_error(c->s->rb, "drop-indexed", rb_at_word(c->s, c->body, name), "Leave one of them out.",
                         "the index %s of this very runbook is on column %s", index->name, name);
                return true;
            }
        }
    }
    return false;
}

static bool sync_reads(const struct rb_sync *sync, const struct rb_table *table, const char *column)
{
    const struct zdm_step *step = &sync->install->step;
    if (strcmp(step->table.schema, table->schema) != 0 || strcmp(step->table.name, table->name) != 0)
        return false;
    for (size_t i = 0; i < step->derivation->n_sources; i++) {
        if (strcmp(step->derivation->sources[i], column) == 0)
            return true;
    }
    return false;
}

/* The sync that ends in the transaction of the hide (a copy in both directions before any other); each other sync that
 * reads the column ends in a step of its own just before. */
static struct rb_sync *end_syncs(const struct command *c, const char *column)
{
    struct rb_sync *carried = NULL;
    for (struct rb_sync *sync = c->s->rb->syncs; sync != NULL; sync = sync->next) {
        if (sync->install->superseded != NULL || !sync_reads(sync, &c->table, column))
            continue;
        if (carried == NULL ||
            (sync->install->step.derivation->both_ways && !carried->install->step.derivation->both_ways))
            carried = sync;
    }
    for (struct rb_sync *sync = c->s->rb->syncs; sync != NULL; sync = sync->next) {
        if (sync == carried || sync->install->superseded != NULL || !sync_reads(sync, &c->table, column))
            continue;
        struct rb_step *remove = add_step(c, ZDM_STEP_SYNC, ZDM_ACTION_SYNC_REMOVE, ZDM_LOCK_SHORT,
                                          "ACCESS EXCLUSIVE, at most 100 ms, retried", NULL);
        remove->sync = sync->install;
        remove->note.rewritten = true;
        remove->step.inverse = ZDM_INVERSE_INSTALL;
        rb_step_does(remove, "remove the triggers that fill %s",
                     rb_targets_text(c->s->rb, sync->install->step.derivation));
        sync->install->superseded = remove;
    }
    return carried;
}

static void drop_column(const struct command *c)
{
    struct rb *rb = c->s->rb;
    const char *name = c->cmd->name;
    struct rb_column *column = rb_column_of(rb, &c->table, name);
    if (!may_drop(c, column) || is_indexed(c, name))
        return;
    struct rb_sync *sync = end_syncs(c, name);
    const struct zdm_derivation *d = sync == NULL ? NULL : sync->install->step.derivation;
    bool exact = d != NULL && d->both_ways;
    struct rb_step *hide = add_step(c, ZDM_STEP_HIDE, ZDM_ACTION_HIDE_COLUMN, ZDM_LOCK_SHORT, exclusive, name);
    hide->step.object = rb_dup(rb_derived_name(rb, &c->table, name, "_h"));
    hide->step.inverse = ZDM_INVERSE_UNHIDE;
    hide->step.exact_inverse = exact;
    hide->note.rewritten = true;
    if (sync != NULL) {
        hide->sync = sync->install;
        sync->install->superseded = hide;
    }
    column->hide = hide;
    if (column->check != NULL)
        column->check->superseded = hide;
    const char *rest = "; the purge drops it";
    if (exact)
        rest = rb_format(rb, "; new code owns %s, and triggers copy it into the hidden column, so that nothing is lost",
                         rb_targets_text(rb, d));
    else if (d != NULL)
        rest = rb_format(rb, ", and remove the triggers that fill %s from it", rb_targets_text(rb, d));
    rb_step_does(hide, "rename it out of sight, without its NOT NULL and constraints%s", rest);
    if (!exact)
        rb_warning(rb, "hide-inexact", rb_at_word(c->s, c->body, name),
                   "The phase needs an approval. Rows that are written after it hold NULL or a default in the old "
                   "column if it is ever brought back.",
                   "nothing writes %s once it is hidden: an undo brings back only what was there", name);
}

/* ---- the statement ---- */

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
        struct command c = {.s = s, .table = table, .cmd = alter->cmds[i]->alter_table_cmd};
        c.from = i == 0 ? s->tokens[0].start : rb_command_offset(s, i);
        size_t from = rb_command_offset(s, i), end = rb_command_end(s, i);
        c.body = from;
        c.source = alter->n_cmds == 1 || end <= from ? s->sql
                                                     : rb_format(rb, "ALTER TABLE %s %.*s", rb_table_text(rb, &table),
                                                                 (int)(end - from), s->sql + from);
        if (c.cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn)
            add_column(&c);
        else if (c.cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull)
            set_not_null(&c);
        else if (c.cmd->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn)
            drop_column(&c);
        else
            rb_refuse_command(s, &table, c.cmd, from);
    }
}
