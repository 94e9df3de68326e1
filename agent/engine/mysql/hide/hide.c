/*
 * hide.c - out of the application's sight, and back: which kind of thing, by the step's action.
 *
 * Columns are made INVISIBLE and keep their name (hide_column.c), tables are renamed (trash.c), indexes are hidden from
 * the optimizer (index_hide.c), constraints are dropped and their definitions kept (lift.c).
 */
#include "agent/engine/mysql/change/ddl.h"

static const struct {
    mydb_run_fn *hide, *unhide, *restore;
} runs[] = {
    [ZDM_ACTION_HIDE_COLUMN] = {mydb_hide_column, mydb_unhide_column, NULL},
    [ZDM_ACTION_HIDE_TABLE] = {mydb_hide_table, mydb_unhide_table, mydb_restore_foreign_key},
    [ZDM_ACTION_HIDE_INDEX] = {mydb_hide_index, mydb_unhide_index, NULL},
    [ZDM_ACTION_LIFT_CONSTRAINT] = {NULL, mydb_unlift, mydb_restore_foreign_key},
};

static bool has_row(const struct mydb_work *w)
{
    return (size_t)w->step->action < sizeof runs / sizeof *runs;
}

static enum zdm_code run_or_bug(struct mydb_work *w, mydb_run_fn *fn, struct zdm_error *err)
{
    return fn != NULL ? fn(w, err) : zdm_error_set(err, ZDM_BUG, "step %s hides nothing", w->step->id);
}

enum zdm_code mydb_run_hide(struct mydb_work *w, struct zdm_error *err)
{
    return run_or_bug(w, has_row(w) ? runs[w->step->action].hide : NULL, err);
}

enum zdm_code mydb_run_unhide(struct mydb_work *w, struct zdm_error *err)
{
    return run_or_bug(w, has_row(w) ? runs[w->step->action].unhide : NULL, err);
}

enum zdm_code mydb_run_restore(struct mydb_work *w, struct zdm_error *err)
{
    return run_or_bug(w, has_row(w) ? runs[w->step->action].restore : NULL, err);
}
