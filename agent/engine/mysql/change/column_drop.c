/*
 * column_drop.c - DROP COLUMN, and what it needs to be a change of the catalogue alone.
 *
 * A column in an index makes both servers write the table anew. So the indexes that are of the column alone, which
 * would go with it anyway, are dropped first: that writes nothing. One that has other columns would stay without this
 * one, and is built anew for that: a plan drops it first, by a statement of its own.
 */
#include <string.h>

#include "agent/engine/mysql/catalog/catalog.h"
#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/change/judge.h"
#include "agent/engine/mysql/hide/visible.h"

/* ---- Indexes with the column ---- */

/* Its name, and whether it is of that column alone. */
static enum zdm_code find_indexes(struct mydb_work *w, const char *table, const char *column, struct mydb_rows **out,
                                  struct zdm_error *err)
{
    static const char sql[] =
        "SELECT index_name, SUM(COALESCE(column_name = $3, 0)) = COUNT(*) FROM information_schema.statistics WHERE"
        " table_schema = $1 AND table_name = $2 AND index_name <> 'PRIMARY' GROUP BY index_name"
        " HAVING SUM(COALESCE(column_name = $3, 0)) > 0";
    return mydb_query(w->s, sql, 3, (const char *const[]){w->s->database, table, column}, out, err);
}

/* Hidden by a step before this one, and dropped by the purge before this column is. */
static bool plan_drops(const struct mydb_work *w, const char *table, const char *index)
{
    for (uint32_t o = 1; w->step != NULL && o < w->step->ordinal; o++) {
        const struct zdm_step *step = zdm_plan_step(w->op->plan, o);
        if (step->action == ZDM_ACTION_HIDE_INDEX && zdm_step_is_for(step, ZDM_ENGINE_MYSQL) &&
            strcmp(step->table.name, table) == 0 && strcmp(step->object, index) == 0) {
            return true;
        }
    }
    return false;
}

/* One ALTER for all of them; nothing where there are none. */
static void put_drop_index(struct zdm_buffer *sql, const char *table, const char *index)
{
    if (sql->len == 0) {
        mydb_put_alter(sql, table);
    } else {
        zdm_buffer_puts(sql, ", ");
    }
    zdm_buffer_puts(sql, "DROP INDEX ");
    mydb_put_name(sql, index);
}

static void put_drop_column(struct zdm_buffer *sql, const char *table, const char *column)
{
    mydb_put_alter(sql, table);
    zdm_buffer_puts(sql, "DROP COLUMN ");
    mydb_put_name(sql, column);
}

/* ---- Dropping ---- */

enum zdm_code mydb_column_drop(struct mydb_work *w, const char *table_name, const char *column, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer indexes = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct mydb_table table;
    enum zdm_code code = mydb_table_find(w->s, table_name, &table, err);
    if (code == ZDM_OK) {
        code = find_indexes(w, table_name, column, &rows, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        if (mydb_true(rows, i, 1)) {
            put_drop_index(&indexes, table_name, mydb_text(rows, i, 0));
        }
    }
    if (code == ZDM_OK && indexes.len > 0) {
        code = mydb_alter(w, &table, zdm_buffer_text(&indexes), err);
    }
    put_drop_column(&sql, table_name, column);
    return code == ZDM_OK ? mydb_alter(w, &table, zdm_buffer_text(&sql), err) : code;
}

/* ---- Trying it ---- */

static enum zdm_code refuse_shared(const struct mydb_table *table, const char *column, const char *index,
                                   struct zdm_error *err)
{
    zdm_error_set(err, ZDM_REFUSED, "column %s cannot be hidden: index %s of %s has other columns beside it", column,
                  index, table->name);
    zdm_error_detail(err, "To take the column out of it, the purge would have to write all of %s anew.", table->name);
    return zdm_error_hint(err,
                          "Write DROP INDEX %s ON %s in front of the DROP COLUMN, and where the other columns need an "
                          "index, build one in an earlier phase.",
                          index, table->name);
}

/* What the purge will have dropped by then. */
static enum zdm_code put_indexes_before(struct mydb_work *w, const struct mydb_table *table, const char *column,
                                        struct zdm_buffer *sql, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = find_indexes(w, table->name, column, &rows, err);
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        const char *index = mydb_text(rows, i, 0);
        bool goes = mydb_true(rows, i, 1) || plan_drops(w, table->name, index);
        if (!goes && !(w->step != NULL && w->step->rewrite_ok)) {
            return refuse_shared(table, column, index, err);
        }
        if (goes) {
            put_drop_index(sql, table->name, index);
        }
    }
    return code;
}

enum zdm_code mydb_column_try_drop(struct mydb_work *w, const struct mydb_table *table, const char *column,
                                   struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer before = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    char algorithm[MYDB_ALGORITHM_MAX];
    enum zdm_code code = put_indexes_before(w, table, column, &before, err);
    if (code != ZDM_OK) {
        return code;
    }
    put_drop_column(&sql, table->name, column);
    code = mydb_judge_behind(w, table, before.len > 0 ? zdm_buffer_text(&before) : NULL, zdm_buffer_text(&sql),
                             algorithm, err);
    if (code == ZDM_OK || !mydb_is_final(code)) {
        return code;
    }
    const struct zdm_error server = *err;
    zdm_error_set(err, ZDM_REFUSED, "column %s cannot be hidden: %.400s", column, server.message);
    zdm_error_detail(err, "So the server answers to a DROP COLUMN, which the purge will need%s%.300s",
                     server.detail[0] != '\0' ? ": " : ".", server.detail);
    return zdm_error_hint(err, "%s",
                          server.hint[0] != '\0' ? server.hint : "Drop or change what depends on the column first.");
}
