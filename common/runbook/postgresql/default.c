/*
 * default.c - SET DEFAULT, DROP DEFAULT. The agent keeps the former one for the way back.
 */
#include "common/runbook/postgresql/ddl.h"

#include <string.h>

/* A default cannot be told from a value that the application wrote: the triggers would take it for one. They end
 * before it; of a copy that runs both ways the end belongs to the drop of the other column. */
bool rb_ddl_may_have_default(const struct rb_ddl *d, const struct rb_column *column, struct rb_place at)
{
    struct rb *rb = d->s->rb;
    struct rb_sync *sync = rb_live_sync(d, column->name, false);
    if (sync == NULL)
        return true;
    if (d->s->phase->class == ZDM_PHASE_CONTRACT && !sync->install->step.derivation->both_ways) {
        rb_ddl_end_sync(d, sync);
        return true;
    }
    rb_error(rb, "default-synced", at,
             d->s->phase->class == ZDM_PHASE_CONTRACT
                 ? "Put it behind the DROP COLUMN of the column that it is kept equal to, or into a second contract "
                   "phase."
                 : "Move it to the contract phase, behind the DROP COLUMN of the column that it is filled from.",
             "triggers fill %s, and would take its default for a value that the application wrote", column->name);
    return false;
}

static const char *read_value(const struct rb_ddl *d, struct rb_place at)
{
    struct rb *rb = d->s->rb;
    struct rb_expr expr = {.n_columns = 0};
    if (!rb_ddl_expr(d->s, d->cmd->def, "the default", &expr))
        return NULL;
    const char *text = rb_deparse_expr(rb, rb_node_copy(rb, d->cmd->def));
    if (text != NULL && expr.n_columns == 0)
        return text;
    rb_error(rb, "default-value", at, "Write an expression without columns.",
             text == NULL ? "the default of %s cannot be written in a plan" : "the default of %s reads a column",
             d->cmd->name);
    return NULL;
}

void rb_ddl_default(const struct rb_ddl *d)
{
    struct rb *rb = d->s->rb;
    const char *name = d->cmd->name, *value = NULL;
    struct rb_place at = rb_ddl_at_word(d, name);
    bool set = d->cmd->def != NULL;
    struct rb_column *column = rb_ddl_column(d, name, at);
    if (column == NULL || !rb_ddl_phase(d, set ? RB_DDL_SET_DEFAULT : RB_DDL_DROP_DEFAULT, at))
        return;
    if (set && (value = read_value(d, at)) == NULL)
        return;
    if (set && !rb_ddl_may_have_default(d, column, at))
        return;
    struct rb_step *step = rb_ddl_step(d, ZDM_STEP_DDL, ZDM_ACTION_SET_DEFAULT, ZDM_LOCK_SHORT, name);
    rb_step_sql(step, rb_format(rb, "ALTER TABLE %s ALTER COLUMN %s %s%s", rb_table_sql(rb, &d->table),
                                rb_quote(rb, name), set ? "SET DEFAULT " : "DROP DEFAULT", set ? value : ""));
    rb_step_inverse(step, ZDM_INVERSE_FORMER, NULL);
    rb_step_does(step, "%s the default of %s for new rows; only the catalogue changes", set ? "set" : "drop",
                 rb_plain(rb, name));
    column->has_default = column->has_default || set;
}
