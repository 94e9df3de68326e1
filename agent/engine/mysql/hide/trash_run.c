/*
 * trash_run.c - the statements of trash.h, and what stands against them.
 */
#include "agent/engine/mysql/hide/trash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/catalog/dependents.h"
#include "agent/engine/mysql/change/locks.h"

void mydb_names_free(struct mydb_names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        free(names->name[i]);
    }
    free(names->name);
    *names = (struct mydb_names){.n = 0};
}

enum zdm_code mydb_foreign_keys(struct mydb_work *w, const char *table, struct mydb_names *out, struct zdm_error *err)
{
    static const char sql[] = "SELECT CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE"
                              " CONSTRAINT_SCHEMA = DATABASE() AND TABLE_NAME = $1 ORDER BY CONSTRAINT_NAME";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    *out = (struct mydb_names){.n = 0};
    enum zdm_code code = mydb_query(w->s, sql, 1, (const char *const[]){table}, &rows, err);
    if (code != ZDM_OK || rows->n == 0) {
        return code;
    }
    out->name = calloc(rows->n, sizeof *out->name);
    for (size_t i = 0; out->name != NULL && i < rows->n; i++) {
        out->name[out->n] = zdm_strdup(mydb_text(rows, i, 0));
        out->n += out->name[out->n] != NULL;
    }
    return out->n == rows->n ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code mydb_trash_exists(struct mydb_work *w, const char *table, bool *out, struct zdm_error *err)
{
    struct mydb_table found;
    enum zdm_code code = mydb_table_find(w->s, table, &found, err);
    *out = code == ZDM_OK;
    if (code == ZDM_NOT_FOUND) {
        zdm_error_clear(err);
        code = ZDM_OK;
    }
    return code;
}

/* ---- What is in the way ---- */

static bool is_hidden_later(const struct mydb_work *w, const char *table)
{
    for (uint32_t o = w->step->ordinal + 1; o <= zdm_plan_n_steps(w->op->plan); o++) {
        const struct zdm_step *later = zdm_plan_step(w->op->plan, o);
        if (later->action == ZDM_ACTION_HIDE_TABLE && zdm_step_is_for(later, ZDM_ENGINE_MYSQL) &&
            strcmp(later->table.name, table) == 0) {
            return true;
        }
    }
    return false;
}

static enum zdm_code refuse_children(struct mydb_work *w, const char *table, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA ="
        " DATABASE() AND REFERENCED_TABLE_SCHEMA = DATABASE() AND REFERENCED_TABLE_NAME = $1 AND TABLE_NAME <> $1"
        " ORDER BY 1, 2, 3 LIMIT 1";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s, sql, 1, (const char *const[]){table}, &rows, err);
    if (code != ZDM_OK || rows->n == 0) {
        return code;
    }
    const char *child = mydb_text(rows, 0, 1);
    if (is_hidden_later(w, child)) {
        zdm_error_set(err, ZDM_REFUSED, "table %s refers to %s and is dropped behind it", child, table);
        return zdm_error_hint(err, "Write it the other way round, DROP TABLE %s, %s, and submit --amend.", child,
                              table);
    }
    zdm_error_set(err, ZDM_REFUSED, "table %s cannot be hidden: foreign key %s of %s.%s refers to it", table,
                  mydb_text(rows, 0, 2), mydb_text(rows, 0, 0), child);
    return zdm_error_hint(err, "Drop that foreign key first.");
}

/* Of this database: for those of others the server would open all views that there are. It prints the tables of a view
 * with their database. Where definitions are not to be seen, none is found. */
static enum zdm_code refuse_views(struct mydb_work *w, const char *table, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE() AND"
        " INSTR(VIEW_DEFINITION, CONCAT('`', REPLACE(DATABASE(), '`', '``'), '`.`', REPLACE($1, '`', '``'), '`')) > 0 "
        "ORDER BY 1, 2 LIMIT 1";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s, sql, 1, (const char *const[]){table}, &rows, err);
    if (code != ZDM_OK || rows->n == 0) {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED, "table %s cannot be hidden: view %s.%s reads it", table, mydb_text(rows, 0, 0),
                  mydb_text(rows, 0, 1));
    return zdm_error_hint(err, "Drop or change that view first, then retry the shard.");
}

/* Its own go with it. Those of a table that is out of sight fire no more. */
static enum zdm_code refuse_triggers(struct mydb_work *w, const char *table, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE"
        " EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE <> $1 AND EVENT_OBJECT_TABLE NOT IN (SELECT"
        " hidden_name FROM zdm.hidden WHERE home = DATABASE() AND kind = 'table') ORDER BY 2, 1";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s, sql, 1, (const char *const[]){table}, &rows, err);
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        const char *body = mydb_text(rows, i, 2), *other = mydb_text(rows, i, 1);
        if (body == NULL || !mydb_body_uses(body, w->s->database, table)) {
            continue;
        }
        zdm_error_set(err, ZDM_REFUSED, "table %s cannot be hidden: trigger %s of %s uses it", table,
                      mydb_text(rows, i, 0), other);
        zdm_error_detail(err, "Every write of %s that fires it would fail.", other);
        return is_hidden_later(w, other)
                   ? zdm_error_hint(err, "Write it the other way round, DROP TABLE %s, %s, and submit --amend.", other,
                                    table)
                   : zdm_error_hint(err, "Drop or change that trigger first, then retry the shard.");
    }
    return code;
}

static enum zdm_code refuse_synced(struct mydb_work *w, const char *table, struct zdm_error *err)
{
    static const char sql[] = "SELECT migration FROM zdm.sync WHERE home = DATABASE() AND table_name = $1 LIMIT 1";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s, sql, 1, (const char *const[]){table}, &rows, err);
    if (code != ZDM_OK || rows->n == 0) {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED, "triggers of migration %s still keep columns of %s in step", mydb_text(rows, 0, 0),
                  table);
    return zdm_error_hint(err, "Drop the table in a migration behind that one.");
}

/* A foreign key would follow to the new name, and the purge would fail at it; a view would no longer be found. */
static enum zdm_code refuse_foreign(struct mydb_work *w, const char *table, struct zdm_error *err)
{
    char what[MYDB_DEPENDENT_MAX];
    enum zdm_code code = mydb_foreign_child(w, table, NULL, false, what, err);
    if (code == ZDM_OK && what[0] == '\0') {
        code = mydb_foreign_view(w, table, NULL, what, err);
    }
    if (code != ZDM_OK || what[0] == '\0') {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED, "table %s cannot be hidden: %s uses it", table, what);
    return zdm_error_hint(err, "That is another database: drop or change it there first, then retry the shard.");
}

enum zdm_code mydb_trash_refuse(struct mydb_work *w, const char *table, struct zdm_error *err)
{
    enum zdm_code code = refuse_children(w, table, err);
    if (code == ZDM_OK) {
        code = refuse_views(w, table, err);
    }
    if (code == ZDM_OK) {
        code = refuse_triggers(w, table, err);
    }
    if (code == ZDM_OK) {
        code = refuse_foreign(w, table, err);
    }
    return code == ZDM_OK ? refuse_synced(w, table, err) : code;
}

/* ---- The statements ---- */

enum zdm_code mydb_trash_rename(struct mydb_work *w, const char *from, const char *to, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct mydb_names keys = {.n = 0};
    enum zdm_code code = mydb_foreign_keys(w, from, &keys, err);
    mydb_put_alter(&sql, from);
    for (size_t i = 0; i < keys.n; i++) {
        zdm_buffer_puts(&sql, "DROP FOREIGN KEY ");
        mydb_put_name(&sql, keys.name[i]);
        zdm_buffer_puts(&sql, ", ");
    }
    zdm_buffer_puts(&sql, "RENAME TO ");
    mydb_put_name(&sql, to);
    /* Not tried on a clone: there a name without a database would be one beside the application's tables. */
    bool instant = keys.n == 0 || w->s->mariadb;
    zdm_buffer_puts(&sql, instant ? ", ALGORITHM=INSTANT" : ", ALGORITHM=INPLACE, LOCK=NONE");
    mydb_names_free(&keys);
    return code == ZDM_OK ? mydb_ddl(w, from, zdm_buffer_text(&sql), err) : code;
}

enum zdm_code mydb_trash_drop(struct mydb_work *w, const char *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "DROP TABLE IF EXISTS ");
    mydb_put_name(&sql, table);
    return mydb_ddl(w, table, zdm_buffer_text(&sql), err);
}
