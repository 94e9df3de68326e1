/*
 * not_null.c - SET NOT NULL, proven by a CHECK while reads and writes go on, and DROP NOT NULL.
 */
#include "common/runbook/postgresql/ddl.h"

#include <string.h>

static void warn_of_writers(const struct rb_ddl *d, const struct rb_column *column, struct rb_place at)
{
    struct rb *rb = d->s->rb;
    if (rb_is_created(rb, &d->table))
        return;
    if (column->sync == NULL && column->initial == NULL && !column->has_default)
        rb_warning(rb, "not-null-writers", at,
                   "From this step on the server rejects a NULL in new rows. Be sure that every version of the "
                   "application that runs writes the column.",
                   "no trigger fills %s where the application does not", column->name);
    else if (column->sync != NULL && column->sync->step.derivation->filter != NULL)
        rb_warning(rb, "not-null-filter", at, "Fill the other rows too, with a second UPDATE or with CASE.",
                   "the UPDATE of %s has a condition: rows outside it may hold NULL, and the step would fail",
                   column->name);
}

void rb_ddl_not_null_steps(const struct rb_ddl *d, struct rb_column *column)
{
    struct rb *rb = d->s->rb;
    const struct rb_step *before = d->s->phase->last;
    const char *name = column->name, *table = rb_table_sql(rb, &d->table), *quoted_name = rb_quote(rb, name);
    const char *constraint = rb_derived_name(rb, &d->table, name, "_n"), *quoted = rb_quote(rb, constraint);
    const char *lift = rb_format(rb, "ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", table, quoted);
    struct rb_step *check = rb_ddl_step(d, ZDM_STEP_DDL, ZDM_ACTION_ADD_CHECK, ZDM_LOCK_SHORT, name);
    rb_step_object(check, constraint);
    rb_step_sql(check, rb_format(rb, "ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID", table, quoted,
                                 quoted_name));
    rb_step_inverse(check, ZDM_INVERSE_SQL, lift);
    rb_step_does(check, "a CHECK that new rows must satisfy; old rows are not read yet");
    rb_ddl_add_validate(d, constraint, "prove it for the rows that exist, while reads and writes go on");
    struct rb_step *set = rb_ddl_step(d, ZDM_STEP_DDL, ZDM_ACTION_SET_NOT_NULL, ZDM_LOCK_SHORT, name);
    rb_step_sql(set, rb_format(rb, "ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", table, quoted_name));
    rb_step_inverse(set, ZDM_INVERSE_SQL,
                    rb_format(rb, "ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL", table, quoted_name));
    rb_step_does(set, "NOT NULL at once: the valid CHECK proves it without reading the table");
    struct rb_step *drop = rb_ddl_step(d, ZDM_STEP_DDL, ZDM_ACTION_DROP_CONSTRAINT, ZDM_LOCK_SHORT, NULL);
    rb_step_object(drop, constraint);
    rb_step_sql(drop, lift);
    rb_step_does(drop, "drop the CHECK, which has done its work");
    rb_ddl_rewritten(d, before);
    column->check = set;
}

bool rb_ddl_may_be_not_null(const struct rb_ddl *d, const struct rb_column *column, struct rb_place at)
{
    struct rb *rb = d->s->rb;
    if (column->added && !column->filled && column->initial == NULL) {
        rb_error(rb, "not-null-unfilled", at,
                 rb_format(rb, "Fill it first, in a migrate phase: UPDATE %s SET %s = …;", rb_table_text(rb, &d->table),
                           rb_plain(rb, column->name)),
                 "column %s is NULL in every row that exists", column->name);
        return false;
    }
    warn_of_writers(d, column, at);
    return true;
}

void rb_ddl_set_not_null(const struct rb_ddl *d)
{
    struct rb_place at = rb_ddl_at_word(d, d->cmd->name);
    struct rb_column *column = rb_ddl_column(d, d->cmd->name, at);
    if (column == NULL || !rb_ddl_phase(d, RB_DDL_SET_NOT_NULL, at) || !rb_ddl_may_be_not_null(d, column, at))
        return;
    if (column->check != NULL) {
        rb_error(d->s->rb, "not-null-twice", at, "Remove one of them.", "column %s is made NOT NULL twice",
                 column->name);
        return;
    }
    rb_ddl_not_null_steps(d, column);
}

void rb_ddl_drop_not_null(const struct rb_ddl *d)
{
    struct rb *rb = d->s->rb;
    struct rb_place at = rb_ddl_at_word(d, d->cmd->name);
    struct rb_column *column = rb_ddl_column(d, d->cmd->name, at);
    if (column == NULL || !rb_ddl_phase(d, RB_DDL_DROP_NOT_NULL, at))
        return;
    if (column->added || column->created || column->check != NULL) {
        rb_error(rb, "not-null-twice", at, "Leave both out.", "column %s is made NOT NULL by this very runbook",
                 column->name);
        return;
    }
    struct rb_step *step = rb_ddl_step(d, ZDM_STEP_DDL, ZDM_ACTION_DROP_NOT_NULL, ZDM_LOCK_SHORT, column->name);
    rb_step_sql(step, rb_format(rb, "ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL", rb_table_sql(rb, &d->table),
                                rb_quote(rb, column->name)));
    rb_step_inverse(step, ZDM_INVERSE_UNHIDE, NULL);
    rb_step_does(step, "let %s be NULL; only the catalogue changes", rb_plain(rb, column->name));
}
