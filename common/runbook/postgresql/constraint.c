/*
 * constraint.c - ADD CONSTRAINT (CHECK, FOREIGN KEY), VALIDATE CONSTRAINT, DROP CONSTRAINT.
 *
 * A constraint is added without looking at the rows that exist, in one short lock, and is then proven for them while
 * reads and writes go on.
 */
#include "common/runbook/postgresql/ddl.h"

#include <string.h>

static const char prove[] = "prove it for the rows that exist, while reads and writes go on";

/* ---- what both kinds share ---- */

static struct rb_place place_of(const struct rb_ddl *d, const PgQuery__Constraint *constraint)
{
    return rb_at(d->s, constraint->location > 0 ? constraint->location : (int)d->from);
}

const char *rb_ddl_constraint_name(const struct rb_ddl *d, const PgQuery__Constraint *constraint, const char *columns,
                                   const char *label)
{
    struct rb *rb = d->s->rb;
    const char *name =
        constraint->conname[0] != '\0' ? constraint->conname : rb_choose_name(rb, &d->table, columns, label);
    const struct rb_object *there = rb_object_find(rb, RB_OBJECT_CONSTRAINT, &d->table, name);
    if (there == NULL || !there->created || there->dropped != NULL)
        return name;
    rb_error(rb, "constraint-twice", place_of(d, constraint), "Give it another name.",
             "two constraints of %s would have the name %s", rb_table_text(rb, &d->table), name);
    return NULL;
}

struct rb_step *rb_ddl_add_validate(const struct rb_ddl *d, const char *constraint, const char *does)
{
    struct rb *rb = d->s->rb;
    struct rb_step *step = rb_ddl_step(d, ZDM_STEP_VALIDATE, ZDM_ACTION_VALIDATE, ZDM_LOCK_LONG, NULL);
    rb_step_object(step, constraint);
    rb_step_sql(step, rb_format(rb, "ALTER TABLE %s VALIDATE CONSTRAINT %s", rb_table_sql(rb, &d->table),
                                rb_quote(rb, constraint)));
    rb_step_does(step, "%s", does);
    return step;
}

static const char *drop_sql(const struct rb_ddl *d, const char *name)
{
    return rb_format(d->s->rb, "ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", rb_table_sql(d->s->rb, &d->table),
                     rb_quote(d->s->rb, name));
}

static struct rb_object *remember(const struct rb_ddl *d, const PgQuery__Constraint *constraint, const char *name,
                                  const char *const *columns, size_t n)
{
    struct rb_object *object = rb_object_of(d->s->rb, RB_OBJECT_CONSTRAINT, &d->table, name);
    object->created = true;
    object->dropped = NULL;
    object->validated = !constraint->skip_validation;
    object->columns = columns;
    object->n_columns = n;
    object->at = place_of(d, constraint);
    return object;
}

/* Rows of code that runs now are bound as well. */
static void note_writers(const struct rb_ddl *d, const PgQuery__Constraint *constraint, const struct rb_object *object)
{
    bool added = true;
    for (size_t i = 0; i < object->n_columns; i++)
        added = added && rb_column_of(d->s->rb, &d->table, object->columns[i])->added;
    if (added || d->s->phase->class == ZDM_PHASE_CONTRACT || rb_is_created(d->s->rb, &d->table))
        return;
    rb_note(d->s->rb, "constraint-writers", place_of(d, constraint),
            "Where old code writes such rows, move it to the contract phase.",
            "from this step on PostgreSQL rejects rows that violate %s, whoever writes them",
            rb_plain(d->s->rb, object->name));
}

static bool know_columns(const struct rb_ddl *d, const char *const *names, size_t n, struct rb_place at)
{
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        struct rb_place word = rb_ddl_at_word(d, names[i]);
        ok = rb_ddl_column(d, names[i], word.line > 0 ? word : at) != NULL && ok;
    }
    return ok;
}

/* ---- CHECK ---- */

static void add_check(const struct rb_ddl *d, const PgQuery__Constraint *constraint)
{
    struct rb *rb = d->s->rb;
    struct rb_expr expr = {.n_columns = 0};
    struct rb_place at = place_of(d, constraint);
    if (constraint->is_no_inherit) {
        rb_error(rb, "check-no-inherit", at, "Leave NO INHERIT out.",
                 "a CHECK that partitions do not have is not proven for all rows");
        return;
    }
    if (!rb_ddl_expr(d->s, constraint->raw_expr, "the CHECK", &expr) ||
        !know_columns(d, expr.columns, expr.n_columns, at))
        return;
    const char *text = rb_deparse_expr(rb, rb_node_copy(rb, constraint->raw_expr));
    const char *name = rb_ddl_constraint_name(d, constraint, expr.n_columns == 1 ? expr.columns[0] : "", "check");
    if (text == NULL)
        rb_error(rb, "expression", at, "Write it more simply.", "the CHECK cannot be written in a plan");
    if (text == NULL || name == NULL)
        return;
    struct rb_step *step = rb_ddl_step(d, ZDM_STEP_DDL, ZDM_ACTION_ADD_CHECK, ZDM_LOCK_SHORT, NULL);
    rb_step_object(step, name);
    rb_step_sql(step, rb_format(rb, "ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s) NOT VALID",
                                rb_table_sql(rb, &d->table), rb_quote(rb, name), text));
    rb_step_inverse(step, ZDM_INVERSE_SQL, drop_sql(d, name));
    rb_step_does(step, "a CHECK that new rows must satisfy; old rows are not read yet");
    struct rb_object *object = remember(d, constraint, name, expr.columns, expr.n_columns);
    object->is_check = true;
    note_writers(d, constraint, object);
    if (!constraint->skip_validation)
        rb_ddl_add_validate(d, name, prove);
}

/* ---- FOREIGN KEY ---- */

static const char *column_list(struct rb *rb, const char *const *names, size_t n)
{
    return n == 0 ? "" : rb_format(rb, " (%s)", rb_ddl_quoted_list(rb, names, n));
}

static const char *action(const char *event, const char *code)
{
    static const struct {
        char code;
        const char *on_delete, *on_update;
    } rows[] = {{'r', " ON DELETE RESTRICT", " ON UPDATE RESTRICT"},
                {'c', " ON DELETE CASCADE", " ON UPDATE CASCADE"},
                {'n', " ON DELETE SET NULL", " ON UPDATE SET NULL"},
                {'d', " ON DELETE SET DEFAULT", " ON UPDATE SET DEFAULT"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].code == code[0])
            return event[0] == 'd' ? rows[i].on_delete : rows[i].on_update;
    }
    return "";
}

/* What stands between FOREIGN KEY and NOT VALID. */
static const char *foreign_text(struct rb *rb, const PgQuery__Constraint *c, const struct rb_table *parent,
                                const char *const *columns, size_t n)
{
    const char **keys = rb_ddl_names(rb, c->pk_attrs, c->n_pk_attrs);
    const char **cleared = rb_ddl_names(rb, c->fk_del_set_cols, c->n_fk_del_set_cols);
    return rb_format(rb, "(%s) REFERENCES %s%s%s%s%s%s%s%s", rb_ddl_quoted_list(rb, columns, n),
                     rb_table_sql(rb, parent), column_list(rb, keys, c->n_pk_attrs),
                     c->fk_matchtype[0] == 'f' ? " MATCH FULL" : "", action("update", c->fk_upd_action),
                     action("delete", c->fk_del_action), column_list(rb, cleared, c->n_fk_del_set_cols),
                     c->deferrable ? " DEFERRABLE" : "", c->initdeferred ? " INITIALLY DEFERRED" : "");
}

static bool know_parent(const struct rb_ddl *d, const PgQuery__Constraint *constraint, struct rb_table *out)
{
    const char **keys = rb_ddl_names(d->s->rb, constraint->pk_attrs, constraint->n_pk_attrs);
    if (!rb_relation(d->s, constraint->pktable, out))
        return false;
    struct rb_ddl parent = *d;
    parent.table = *out;
    parent.body = constraint->pktable->location > 0 ? (size_t)constraint->pktable->location : d->body;
    return know_columns(&parent, keys, constraint->n_pk_attrs, place_of(d, constraint));
}

static void add_foreign_key(const struct rb_ddl *d, const PgQuery__Constraint *constraint, const char *column)
{
    struct rb *rb = d->s->rb;
    size_t n = column != NULL ? 1 : constraint->n_fk_attrs;
    const char **columns = rb_ddl_names(rb, constraint->fk_attrs, constraint->n_fk_attrs);
    struct rb_table parent;
    if (column != NULL)
        columns[0] = column;
    if (!know_parent(d, constraint, &parent) || !know_columns(d, columns, n, place_of(d, constraint)))
        return;
    const char *name = rb_ddl_constraint_name(d, constraint, rb_join_names(rb, columns, n), "fkey");
    if (name == NULL)
        return;
    struct rb_step *step = rb_ddl_step(d, ZDM_STEP_DDL, ZDM_ACTION_ADD_FOREIGN_KEY, ZDM_LOCK_SHORT, NULL);
    rb_step_other(step, &parent);
    rb_step_object(step, name);
    rb_step_sql(step,
                rb_format(rb, "ALTER TABLE %s ADD CONSTRAINT %s FOREIGN KEY %s NOT VALID", rb_table_sql(rb, &d->table),
                          rb_quote(rb, name), foreign_text(rb, constraint, &parent, columns, n)));
    rb_step_inverse(step, ZDM_INVERSE_SQL, drop_sql(d, name));
    rb_step_does(step, "a foreign key that new rows must satisfy; locks %s first, for the same short time",
                 rb_table_text(rb, &parent));
    note_writers(d, constraint, remember(d, constraint, name, columns, n));
    if (!constraint->skip_validation)
        rb_step_other(rb_ddl_add_validate(d, name, prove), &parent);
}

/* ---- ADD CONSTRAINT ---- */

void rb_ddl_constraint(const struct rb_ddl *d, const PgQuery__Constraint *constraint, const char *column)
{
    struct rb *rb = d->s->rb;
    switch ((int)constraint->contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK:
        add_check(d, constraint);
        break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN:
        add_foreign_key(d, constraint, column);
        break;
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE:
    case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY:
        rb_ddl_unique(d, constraint, column);
        break;
    default: /* EXCLUDE */
        rb_error(rb, "add-exclude", place_of(d, constraint),
                 "It can be part of a CREATE TABLE. On a table that is in use, verify the rows with ```sql {check} and "
                 "let the application exclude the rest.",
                 "an EXCLUDE constraint builds its index under the table's lock, and no other way is known to "
                 "PostgreSQL");
        break;
    }
}

void rb_ddl_add_constraint(const struct rb_ddl *d)
{
    const PgQuery__Constraint *constraint = d->cmd->def->constraint;
    const struct rb_step *before = d->s->phase->last;
    enum rb_ddl_kind kind =
        constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY ? RB_DDL_ADD_PRIMARY_KEY : RB_DDL_ADD_CONSTRAINT;
    if (!rb_ddl_phase(d, kind, place_of(d, constraint)))
        return;
    rb_ddl_constraint(d, constraint, NULL);
    if (!constraint->skip_validation)
        rb_ddl_rewritten(d, before);
}

/* ---- VALIDATE, DROP ---- */

void rb_ddl_validate(const struct rb_ddl *d)
{
    struct rb *rb = d->s->rb;
    const char *name = d->cmd->name;
    struct rb_place at = rb_ddl_at_word(d, name);
    struct rb_object *object = rb_object_of(rb, RB_OBJECT_CONSTRAINT, &d->table, name);
    if (!rb_ddl_phase(d, RB_DDL_VALIDATE, at))
        return;
    if (object->dropped != NULL || object->validated) {
        rb_error(rb, object->dropped != NULL ? "constraint-dropped" : "validate-twice", at, "Remove it.",
                 object->dropped != NULL ? "the constraint %s is dropped before this"
                                         : "the constraint %s is validated before this: ADD CONSTRAINT without NOT "
                                           "VALID does it",
                 name);
        return;
    }
    object->validated = true;
    rb_ddl_add_validate(d, name, prove);
}

static bool may_lift(const struct rb_ddl *d, const struct rb_object *object, struct rb_place at)
{
    struct rb *rb = d->s->rb;
    if (d->cmd->behavior == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE)
        rb_error(rb, "drop-cascade", rb_ddl_at_word(d, "cascade"),
                 "Leave CASCADE out; drop the foreign keys that rely on it first, each in a statement of its own.",
                 "CASCADE would drop what the plan does not name");
    else if (d->cmd->missing_ok)
        rb_error(rb, "drop-if-exists", rb_ddl_at_word(d, "if"), "Leave IF EXISTS out.",
                 "the plan must know what it drops");
    else if (object->dropped != NULL)
        rb_error(rb, "constraint-dropped", at, "Remove it.", "the constraint %s is dropped before this", object->name);
    else if (object->created)
        rb_error(rb, "drop-added", at, "Leave both out, or roll the migration back.",
                 "the constraint %s is added by this very runbook", object->name);
    else
        return true;
    return false;
}

void rb_ddl_drop_constraint(const struct rb_ddl *d)
{
    struct rb *rb = d->s->rb;
    const char *name = d->cmd->name;
    struct rb_place at = rb_ddl_at_word(d, name);
    struct rb_object *object = rb_object_of(rb, RB_OBJECT_CONSTRAINT, &d->table, name);
    if (!rb_ddl_phase(d, RB_DDL_DROP_CONSTRAINT, at) || !may_lift(d, object, at))
        return;
    struct rb_step *step = rb_ddl_step(d, ZDM_STEP_DDL, ZDM_ACTION_LIFT_CONSTRAINT, ZDM_LOCK_SHORT, NULL);
    rb_step_object(step, name);
    rb_step_inverse(step, ZDM_INVERSE_UNHIDE, NULL);
    step->note.rewritten = true;
    object->dropped = step;
    rb_step_does(step, "drop it, and keep its definition: the way back adds it again and proves it");
    if (d->s->phase->class != ZDM_PHASE_CONTRACT)
        rb_warning(rb, "drop-constraint-early", at,
                   "A CHECK, or a foreign key, may go before new code needs it gone. Where it is UNIQUE or a PRIMARY "
                   "KEY, put it into the contract phase.",
                   "code that runs now may rely on %s: ON CONFLICT needs its unique constraint", rb_plain(rb, name));
}
