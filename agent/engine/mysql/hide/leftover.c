/*
 * leftover.c - columns that go for good: PURGE_COLUMN, and what a rollback takes out of sight under another name.
 *
 * Triggers go first, always: one that names a column which is gone makes every write of the application fail.
 */
#include <string.h>
#include <strings.h>

#include "agent/engine/mysql/actions.h"
#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/journal/journal.h"
#include "agent/engine/mysql/walk/sync.h"
#include "agent/engine/mysql/hide/visible.h"

/* Writes within a transaction that holds the fence. */
typedef enum zdm_code note_fn(struct mydb_work *w, uint32_t step, const struct mydb_hidden *row, struct zdm_error *err);

static enum zdm_code note(struct mydb_work *w, note_fn *fn, uint32_t step, const struct mydb_hidden *row,
                          struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = fn(w, step, row, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_hold(w, err);
    }
    if (code == ZDM_OK) {
        code = mydb_commit(w->s, err);
    }
    if (code != ZDM_OK) {
        mydb_rollback(w->s);
    }
    return code;
}

/* ---- PURGE_COLUMN ---- */

static const struct zdm_step *hide_of(const struct mydb_work *w)
{
    for (uint32_t o = w->step->ordinal; o > 1; o--) {
        const struct zdm_step *step = zdm_plan_step(w->op->plan, o - 1);
        if (step->action == ZDM_ACTION_HIDE_COLUMN && zdm_step_is_for(step, ZDM_ENGINE_MYSQL) &&
            strcmp(step->table.name, w->step->table.name) == 0 && strcmp(step->column, w->step->column) == 0) {
            return step;
        }
    }
    return NULL;
}

struct purge {
    const struct zdm_step *hide;
    struct mydb_hidden *row; /* NULL: there is none */
    bool there, invisible;   /* the column */
};

static enum zdm_code read_purge(struct mydb_work *w, struct purge *p, struct zdm_error *err)
{
    struct mydb_column column = {0};
    bool found = false;
    *p = (struct purge){.hide = hide_of(w)};
    if (p->hide == NULL) {
        return zdm_error_set(err, ZDM_BUG, "step %s purges a column that nothing hides", w->step->id);
    }
    enum zdm_code code = mydb_column_look(w->s, w->step->table.name, w->step->column, &p->there, &column, err);
    p->invisible = p->there && column.invisible;
    mydb_column_fini(&column);
    if (code == ZDM_OK) {
        code = mydb_hidden_find(w, p->hide->ordinal, "column", NULL, &found, &p->row, err);
    }
    if (code == ZDM_OK && !found) {
        mydb_hidden_free(p->row, 0);
        p->row = NULL;
    }
    return code;
}

/* The row goes in the transaction that moves the journal: a column of that name that came later is somebody else's. */
enum zdm_code mydb_look_purged_column(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                                      struct zdm_error *err)
{
    struct purge p;
    bool none = false;
    (void)table;
    enum zdm_code code = read_purge(w, &p, err);
    bool gone = code == ZDM_OK && p.row == NULL && !p.invisible;
    mydb_hidden_free(p.row, 1);
    if (code == ZDM_OK && gone) {
        code = mydb_leftovers_look(w, &none, err);
    }
    *out_proof = mydb_done_if(gone && none);
    return code;
}

static enum zdm_code may_purge(struct mydb_work *w, const struct purge *p, bool *out_due, struct zdm_error *err)
{
    int64_t now_ms = 0;
    *out_due = false;
    if (p->row == NULL) {
        zdm_error_set(err, ZDM_CORRUPT, "zdm.hidden does not say since when column %s is hidden", w->step->column);
        return zdm_error_hint(err, "Rows were deleted from zdm.hidden; drop the column yourself.");
    }
    if (p->there && !p->invisible) {
        zdm_error_set(err, ZDM_REFUSED, "column %s of %s is visible again", w->step->column, w->step->table.name);
        zdm_error_detail(err, "Somebody made it so after it was hidden, and may use it.");
        return zdm_error_hint(err, "Make it INVISIBLE, or roll the migration back.");
    }
    enum zdm_code code = mydb_clock(w->s, &now_ms, err);
    *out_due = code == ZDM_OK && mydb_hidden_is_due(w, p->row, now_ms, &w->result->wait_ms);
    w->result->outcome = code == ZDM_OK && !*out_due ? AGENT_EARLY : w->result->outcome;
    return code;
}

static enum zdm_code drop_hidden(struct mydb_work *w, const struct purge *p, struct zdm_error *err)
{
    const struct zdm_step *sync = w->step->sync_step == 0 ? NULL : zdm_plan_step(w->op->plan, w->step->sync_step);
    struct mydb_column column = {0};
    struct mydb_table table;
    enum zdm_code code = mydb_table_find(w->s, w->step->table.name, &table, err);
    if (code == ZDM_OK) {
        code = mydb_column_find(w->s, table.name, w->step->column, &column, err);
    }
    if (code == ZDM_OK) {
        code = mydb_column_refuse(w, &table, &column, err);
    }
    mydb_column_fini(&column);
    if (code == ZDM_OK && sync != NULL) {
        code = mydb_sync_drop(w, sync, false, err);
    }
    return code == ZDM_OK ? mydb_column_drop(w, table.name, p->row->name, err) : code;
}

static enum zdm_code finish_purge(struct mydb_work *w, const struct purge *p, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = mydb_hidden_forget(w, p->hide->ordinal, NULL, NULL, err);
    }
    if (code == ZDM_OK && w->step->sync_step != 0) {
        code = mydb_hidden_forget(w, w->step->sync_step, "default", w->step->column, err);
    }
    /* Nothing is left that a rollback could be inexact for, and what the last one told is over. */
    if (code == ZDM_OK) {
        code = mydb_journal_uncount(w, 0, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_untell(w, err);
    }
    if (code == ZDM_OK) {
        code = mydb_journal_step_on(w, err);
    }
    return code == ZDM_OK ? mydb_journal_commit(w, err) : code;
}

enum zdm_code mydb_purge_column(struct mydb_work *w, struct zdm_error *err)
{
    struct purge p;
    bool due = true;
    enum zdm_code code = read_purge(w, &p, err);
    bool over = code == ZDM_OK && p.row == NULL && !p.invisible;
    if (code == ZDM_OK && !over) {
        code = may_purge(w, &p, &due, err);
    }
    if (code == ZDM_OK && due && p.there && !over) {
        code = drop_hidden(w, &p, err);
    }
    if (code == ZDM_OK && due) {
        code = mydb_purge_leftovers_of_table(w, err);
    }
    if (code == ZDM_OK && due) {
        code = finish_purge(w, &p, err);
    }
    mydb_hidden_free(p.row, 1);
    return code;
}

/* ---- What a rollback takes away ---- */

static enum zdm_code put_row(struct mydb_work *w, uint32_t step, const struct mydb_hidden *row, struct zdm_error *err)
{
    return mydb_hidden_put(w, step, row, err);
}

/* It is hidden from now on, and no longer the column that the plan added. */
static enum zdm_code settle(struct mydb_work *w, uint32_t step, const struct mydb_hidden *row, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer object = ZDM_BUFFER_INIT;
    mydb_owned_name(&object, row->table, row->name);
    enum zdm_code code = row->hidden_name == NULL ? ZDM_OK : mydb_hidden_put(w, step, row, err);
    return code == ZDM_OK ? mydb_owned_forget(w, "column", zdm_buffer_text(&object), err) : code;
}

static enum zdm_code rename_column(struct mydb_work *w, const char *table_name, const char *from, const char *to,
                                   struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct mydb_table table;
    enum zdm_code code = mydb_table_find(w->s, table_name, &table, err);
    mydb_put_alter(&sql, table_name);
    zdm_buffer_puts(&sql, "RENAME COLUMN ");
    mydb_put_name(&sql, from);
    zdm_buffer_puts(&sql, " TO ");
    mydb_put_name(&sql, to);
    return code == ZDM_OK ? mydb_alter(w, &table, zdm_buffer_text(&sql), err) : code;
}

/* row: as it was intended. Two statements: MySQL does not find the column in an ALTER that does both. */
static enum zdm_code put_away(struct mydb_work *w, const struct mydb_column *column, const struct mydb_hidden *row,
                              struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    if (mydb_column_needs_default(column)) {
        code = mydb_column_set_default(w, row->table, column, err);
    }
    if (code == ZDM_OK) {
        code = mydb_column_show(w, row->table, column->name, false, err);
    }
    return code == ZDM_OK ? rename_column(w, row->table, column->name, row->hidden_name, err) : code;
}

static enum zdm_code is_ours(struct mydb_work *w, const struct zdm_step *add, bool *out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer object = ZDM_BUFFER_INIT;
    mydb_owned_name(&object, add->table.name, add->column);
    return mydb_owned_is(w, "column", zdm_buffer_text(&object), out, err);
}

/* A row that says "hiding" is of an attempt that was interrupted: under the name that it says. */
static enum zdm_code hide_under(struct mydb_work *w, const struct zdm_step *add, const struct mydb_column *column,
                                struct mydb_hidden *begun, struct zdm_error *err)
{
    char name[ZDM_IDENTIFIER_MAX + 2] = "";
    struct mydb_hidden row = {.kind = (char *)(uintptr_t) "column",
                              .table = add->table.name,
                              .name = add->column,
                              .hidden_name = begun == NULL ? name : begun->hidden_name,
                              .definition = column->definition,
                              .state = (char *)(uintptr_t) "hiding",
                              .by_rollback = true};
    enum zdm_code code = begun != NULL ? ZDM_OK : mydb_leftover_name(w->s, name, err);
    if (code == ZDM_OK && begun == NULL) {
        code = note(w, put_row, add->ordinal, &row, err);
    }
    /* Where only the other name is there, all is done but to say so. */
    if (code == ZDM_OK && column->name[0] != '\0') {
        code = put_away(w, column, &row, err);
    }
    row.state = (char *)(uintptr_t) "hidden";
    row.definition = begun != NULL ? begun->definition : row.definition;
    return code == ZDM_OK ? note(w, settle, add->ordinal, &row, err) : code;
}

enum zdm_code mydb_hide_added(struct mydb_work *w, const struct zdm_step *add, struct zdm_error *err)
{
    struct mydb_hidden *begun = NULL;
    struct mydb_column column = {0};
    bool found = false, ours = false, hiding = false;
    enum zdm_code code = mydb_column_look(w->s, add->table.name, add->column, &found, &column, err);
    if (code == ZDM_OK) {
        code = is_ours(w, add, &ours, err);
    }
    if (code == ZDM_OK) {
        code = mydb_hidden_find(w, add->ordinal, "column", "hiding", &hiding, &begun, err);
    }
    if (code == ZDM_OK && (hiding || (found && ours))) {
        code = hide_under(w, add, &column, hiding ? begun : NULL, err);
    } else if (code == ZDM_OK && ours) {
        const struct mydb_hidden gone = {.table = add->table.name, .name = add->column};
        code = note(w, settle, add->ordinal, &gone, err);
    }
    mydb_column_fini(&column);
    mydb_hidden_free(begun, 1);
    return code;
}

static enum zdm_code forget_row(struct mydb_work *w, uint32_t step, const struct mydb_hidden *row,
                                struct zdm_error *err)
{
    return mydb_hidden_forget(w, step, row->kind, row->hidden_name, err);
}

static enum zdm_code step_of(struct mydb_work *w, const struct mydb_hidden *left, uint32_t *out, struct zdm_error *err)
{
    *out = 0;
    for (uint32_t o = 1; *out == 0 && o <= zdm_plan_n_steps(w->op->plan); o++) {
        const struct zdm_step *step = zdm_plan_step(w->op->plan, o);
        bool adds = step->action == ZDM_ACTION_ADD_COLUMN && zdm_step_is_for(step, ZDM_ENGINE_MYSQL) &&
                    strcmp(step->table.name, left->table) == 0 && strcasecmp(step->column, left->name) == 0;
        *out = adds ? o : 0;
    }
    return *out != 0 ? ZDM_OK
                     : zdm_error_set(err, ZDM_CORRUPT, "no step of the plan adds %s.%s", left->table, left->name);
}

enum zdm_code mydb_drop_left_column(struct mydb_work *w, const struct mydb_hidden *left, struct zdm_error *err)
{
    struct mydb_column column = {0};
    bool found = false;
    uint32_t step = 0;
    enum zdm_code code = step_of(w, left, &step, err);
    if (code == ZDM_OK) {
        code = mydb_column_look(w->s, left->table, left->hidden_name, &found, &column, err);
    }
    mydb_column_fini(&column);
    if (code == ZDM_OK && found) {
        code = mydb_column_drop(w, left->table, left->hidden_name, err);
    }
    return code == ZDM_OK ? note(w, forget_row, step, left, err) : code;
}
