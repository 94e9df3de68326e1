/*
 * constant.c - judges the values of a derivation that read no column, by trying them (validate_sync.c judges the others
 * by their type).
 *
 * A type says too much of them: 3 is an INT, and fits a TINYINT. And it says too little: 1.5 in an INT is held as 2, a
 * fraction of a second in a DATETIME is rounded by MySQL and cut by MariaDB, both in silence. No comparison would ever
 * find such a value in the column; one that is an error would be one for every INSERT of the application, as soon as
 * the triggers stand. So each is written to a column like its target, in a table of database zdm, and read again.
 */
#include <stdio.h>
#include <string.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/walk/sync.h"

bool mydb_is_constant(const struct mydb_pair *pair)
{
    return !pair->copy && strstr(pair->a->expr, "t.`") == NULL;
}

static void put_columns(struct zdm_buffer *b, const struct mydb_facts *facts, const char *before, const char *between)
{
    const char *next = before;
    for (size_t i = 0; i < facts->n_pairs; i++) {
        const struct mydb_pair *pair = &facts->pairs[i];
        if (!mydb_is_constant(pair)) {
            continue;
        }
        zdm_buffer_puts(b, next);
        next = ", ";
        if (between == NULL) {
            zdm_buffer_puts(b, "t.");
        }
        mydb_put_name(b, pair->target.name);
        if (between != NULL) {
            zdm_buffer_printf(b, "%s(%s)", between, pair->a->expr);
        }
    }
}

/* A key of its own, where the server asks for one in every table. */
static enum zdm_code make(struct mydb_work *w, const struct mydb_facts *facts, const char *probe, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&sql, "CREATE TABLE zdm.%s (zdm_k INT NOT NULL PRIMARY KEY) ENGINE=InnoDB AS SELECT 1 AS zdm_k",
                      probe);
    put_columns(&sql, facts, ", ", NULL);
    zdm_buffer_puts(&sql, " FROM ");
    mydb_put_name(&sql, facts->table.name);
    zdm_buffer_puts(&sql, " AS t LIMIT 0");
    return mydb_run(w->s, zdm_buffer_text(&sql), NULL, err);
}

static enum zdm_code refused(const struct mydb_facts *facts, struct zdm_error *err)
{
    const struct zdm_error server = *err;
    if (!mydb_is_violation(err) && !mydb_is_final(err->code)) {
        return err->code;
    }
    zdm_error_set(err, ZDM_REFUSED, "a value of the statement does not fit its column: %.400s", server.message);
    zdm_error_detail(err, "Each INSERT into %s would fail the same way.", facts->table.name);
    return zdm_error_hint(err, "Write a value that fits, or give the column another type.");
}

static enum zdm_code write_them(struct mydb_work *w, const struct mydb_facts *facts, const char *probe,
                                struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&sql, "INSERT INTO zdm.%s SET zdm_k = 1", probe);
    put_columns(&sql, facts, ", ", " = ");
    enum zdm_code code = mydb_run(w->s, zdm_buffer_text(&sql), NULL, err);
    return code == ZDM_OK ? code : refused(facts, err);
}

/* One that is another each time is never compared. */
static enum zdm_code compare(struct mydb_work *w, const struct mydb_pair *pair, const char *probe,
                             struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    if (pair->a->fill_once) {
        return ZDM_OK;
    }
    zdm_buffer_puts(&sql, "SELECT t.");
    mydb_put_name(&sql, pair->target.name);
    zdm_buffer_printf(&sql, " FROM zdm.%s AS t WHERE ", probe);
    mydb_put_pair_differs(&sql, pair, "t.");
    enum zdm_code code = mydb_run(w->s, zdm_buffer_text(&sql), &rows, err);
    if (code != ZDM_OK || rows->n == 0) {
        return code;
    }
    const char *held = mydb_text(rows, 0, 0) == NULL ? "NULL" : mydb_text(rows, 0, 0);
    zdm_error_set(err, ZDM_REFUSED, "column %s of type %s does not hold %.100s as it is", pair->target.name,
                  pair->target.type, pair->a->expr);
    zdm_error_detail(err, "It makes %.100s of it, and no comparison would find the two identical.", held);
    return zdm_error_hint(err, "Write the value as the column holds it, or give the column another type.");
}

enum zdm_code mydb_sync_try_constants(struct mydb_work *w, const struct mydb_facts *facts, const char *probe,
                                      struct zdm_error *err)
{
    enum zdm_code code = make(w, facts, probe, err);
    if (code == ZDM_OK) {
        code = write_them(w, facts, probe, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < facts->n_pairs; i++) {
        if (mydb_is_constant(&facts->pairs[i])) {
            code = compare(w, &facts->pairs[i], probe, err);
        }
    }
    return code;
}
