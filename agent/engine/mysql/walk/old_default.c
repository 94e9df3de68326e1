/*
 * old_default.c - the default that an old column has while triggers fill it (sync.h).
 *
 * Measured, in strict mode, with a BEFORE INSERT trigger that sets a NOT NULL column without a default: MySQL 9.7 takes
 * every form of INSERT, REPLACE and LOAD DATA that leaves the column out. MariaDB 10.11 takes those with VALUES, and
 * LOAD DATA; INSERT … SELECT and REPLACE … SELECT (of one row, too, with ON DUPLICATE KEY UPDATE, or prepared) it
 * refuses with 1364 before the trigger runs. So there the column has its type's zero value for default as long as new
 * code may leave it out: from before the triggers stand, to just before they go. The trigger overwrites it wherever the
 * new column is given.
 *
 * A row of zdm.hidden, kind "default", under the sync's step says that the default is ours. Two syncs may fill from the
 * same column, and a hide gives one, too: it goes with the last row that says so.
 */
#include "agent/engine/mysql/actions.h"
#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/journal/journal.h"
#include "agent/engine/mysql/walk/sync.h"
#include "agent/engine/mysql/hide/visible.h"

#include <string.h>

static const char kind[] = "default";

enum zdm_code mydb_default_rows(struct mydb_work *w, const char *table, const char *column, size_t *out,
                                struct zdm_error *err)
{
    struct mydb_hidden *list = NULL;
    size_t n = 0;
    *out = 0;
    enum zdm_code code = mydb_hidden_list(w, 0, kind, &list, &n, err);
    for (size_t i = 0; code == ZDM_OK && i < n; i++) {
        *out += strcmp(list[i].table, table) == 0 && strcmp(list[i].name, column) == 0;
    }
    mydb_hidden_free(list, n);
    return code;
}

/* ---- Rows, each in a short transaction that holds the fence ---- */

struct row {
    const struct zdm_step *sync;
    const char *column;
};
typedef enum zdm_code note_fn(struct mydb_work *w, const struct row *row, struct zdm_error *err);

static enum zdm_code put(struct mydb_work *w, const struct row *row, struct zdm_error *err)
{
    const struct mydb_hidden hidden = {.kind = (char *)(uintptr_t)kind,
                                       .table = row->sync->table.name,
                                       .name = (char *)(uintptr_t)row->column,
                                       .hidden_name = (char *)(uintptr_t)row->column};
    return mydb_hidden_put(w, row->sync->ordinal, &hidden, err);
}

static enum zdm_code forget(struct mydb_work *w, const struct row *row, struct zdm_error *err)
{
    return mydb_hidden_forget(w, row->sync->ordinal, kind, row->column, err);
}

static enum zdm_code note(struct mydb_work *w, note_fn *fn, const struct row *row, struct zdm_error *err)
{
    enum zdm_code code = mydb_begin(w->s, err);
    if (code == ZDM_OK) {
        code = fn(w, row, err);
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

/* ---- There ---- */

/* Where nobody knows a zero value the column stays as it is: a hide will say so. */
static enum zdm_code give(struct mydb_work *w, const struct zdm_step *sync, const struct mydb_column *column,
                          struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer zero = ZDM_BUFFER_INIT;
    const struct row row = {.sync = sync, .column = column->name};
    size_t rows = 0;
    bool needs = mydb_column_needs_default(column) && mydb_put_zero(&zero, column);
    enum zdm_code code = mydb_default_rows(w, sync->table.name, column->name, &rows, err);
    if (code == ZDM_OK && (needs || rows > 0)) {
        code = note(w, put, &row, err);
    }
    return code == ZDM_OK && needs ? mydb_column_set_default(w, sync->table.name, column, err) : code;
}

enum zdm_code mydb_sync_give_defaults(struct mydb_work *w, const struct zdm_step *sync, const struct mydb_facts *facts,
                                      struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    bool needed = w->s->mariadb && facts->d->both_ways;
    for (size_t i = 0; code == ZDM_OK && needed && i < facts->n_pairs; i++) {
        code = facts->pairs[i].copy ? give(w, sync, &facts->pairs[i].source, err) : ZDM_OK;
    }
    return code;
}

/* ---- And back ---- */

/* One that is out of sight keeps it: nobody names it any more. */
static enum zdm_code take(struct mydb_work *w, const struct zdm_step *sync, const struct mydb_hidden *given,
                          struct zdm_error *err)
{
    const struct row row = {.sync = sync, .column = given->name};
    struct mydb_column column = {0};
    bool found = false;
    size_t rows = 0;
    enum zdm_code code = mydb_default_rows(w, given->table, given->name, &rows, err);
    if (code == ZDM_OK && rows == 1) {
        code = mydb_column_look(w->s, given->table, given->name, &found, &column, err);
    }
    if (code == ZDM_OK && found && column.explicit_default && !column.invisible) {
        code = mydb_column_drop_default(w, given->table, given->name, err);
    }
    mydb_column_fini(&column);
    return code == ZDM_OK ? note(w, forget, &row, err) : code;
}

enum zdm_code mydb_sync_take_defaults(struct mydb_work *w, const struct zdm_step *sync, struct zdm_error *err)
{
    struct mydb_hidden *list = NULL;
    size_t n = 0;
    enum zdm_code code = mydb_hidden_list(w, sync->ordinal, kind, &list, &n, err);
    for (size_t i = 0; code == ZDM_OK && i < n; i++) {
        code = take(w, sync, &list[i], err);
    }
    mydb_hidden_free(list, n);
    return code;
}
