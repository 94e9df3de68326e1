/*
 * omitted.c - what CHECKs say to a row that leaves a hidden column out (visible.h).
 *
 * Such a row holds the column's default, or NULL, whatever the application would have written. Neither server looks at
 * a CHECK when a default is set, and one that names no other column goes with the column: nothing else would say it
 * before new code's INSERT fails (4025, 3819). So the server is asked what the condition makes of that value. One that
 * names other columns as well stands against the DROP COLUMN (column_drop.c).
 */
#include <string.h>
#include <strings.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/catalog/definition.h"
#include "agent/engine/mysql/hide/visible.h"

/* Does SQL that a server has printed name the column: in backquotes, and in no text? */
static bool names_column(const char *sql, const char *column)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
    char quote = '\0';
    mydb_put_name(&name, column);
    for (const char *p = sql; *p != '\0'; p++) {
        if (quote == '\0' && *p == '`' && strncasecmp(p, zdm_buffer_text(&name), name.len) == 0) {
            return true;
        }
        if (quote != '\0') {
            quote = *p == quote ? '\0' : quote;
        } else if (*p == '\'' || *p == '`') {
            quote = *p;
        }
    }
    return name.failed;
}

/* The value of a row that leaves the column out, once that is hidden. False: it is given none, and cannot be hidden. */
static bool put_omitted(struct zdm_buffer *b, const struct mydb_session *s, const struct mydb_column *column)
{
    if (mydb_column_needs_default(column)) {
        return mydb_column_put_default(b, s, column);
    }
    zdm_buffer_puts(b, column->default_sql == NULL ? "NULL" : column->default_sql);
    return !column->auto_increment && !column->generated;
}

/* In the column's own type and collation. What cannot be evaluated is taken for a refusal: it may be one. */
static enum zdm_code passes(struct mydb_work *w, const struct mydb_table *table, const struct mydb_column *column,
                            const char *clause, bool *out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    zdm_buffer_printf(&sql, "SELECT COALESCE((%s), TRUE) FROM (SELECT ", clause);
    mydb_put_name(&sql, column->name);
    zdm_buffer_puts(&sql, " FROM ");
    mydb_put_name(&sql, table->name);
    zdm_buffer_puts(&sql, " WHERE FALSE UNION ALL SELECT ");
    *out = !put_omitted(&sql, w->s, column);
    zdm_buffer_puts(&sql, ") AS omitted");
    if (*out || sql.failed) {
        return sql.failed ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : ZDM_OK;
    }
    enum zdm_code code = mydb_run(w->s, zdm_buffer_text(&sql), &rows, err);
    if (code == ZDM_OK) {
        *out = mydb_true(rows, 0, 0);
    } else if (mydb_is_open(w->s) && mydb_is_final(code)) {
        zdm_error_clear(err);
        code = ZDM_OK;
    }
    return code;
}

/* MariaDB says the condition of each, MySQL garbles texts in it: there SHOW CREATE TABLE has it, behind the name. */
static enum zdm_code read_clause(struct mydb_work *w, const struct mydb_table *table, const struct mydb_rows *rows,
                                 size_t row, char **out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer head = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_freep) char *text = NULL;
    const char *name = mydb_text(rows, row, 0), *clause = mydb_text(rows, row, 1);
    enum zdm_code code = ZDM_OK;
    if (clause == NULL) {
        zdm_buffer_puts(&head, "CONSTRAINT ");
        mydb_put_name(&head, name);
        zdm_buffer_puts(&head, " CHECK ");
        code = mydb_constraint_text(w, table->name, name, &text, err);
        bool whole = text != NULL && strncmp(text, zdm_buffer_text(&head), head.len) == 0;
        *out = whole ? zdm_strdup(text + head.len) : zdm_strdup("");
    } else {
        *out = mydb_plain_strings(clause);
    }
    return code == ZDM_OK && *out == NULL ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : code;
}

static enum zdm_code find_checks(struct mydb_work *w, const struct mydb_table *table, struct mydb_rows **out,
                                 struct zdm_error *err)
{
    static const char of_mariadb[] = "SELECT constraint_name, check_clause FROM information_schema.check_constraints"
                                     " WHERE constraint_schema = $1 AND table_name = $2 ORDER BY 1";
    static const char of_mysql[] = "SELECT constraint_name, NULL FROM information_schema.table_constraints WHERE"
                                   " constraint_schema = $1 AND table_name = $2 AND constraint_type = 'CHECK' AND"
                                   " enforced = 'YES' ORDER BY 1";
    const char *const params[] = {w->s->database, table->name};
    return mydb_query(w->s, w->s->mariadb ? of_mariadb : of_mysql, 2, params, out, err);
}

enum zdm_code mydb_omitted_refused(struct mydb_work *w, const struct mydb_table *table,
                                   const struct mydb_column *column, char out[ZDM_IDENTIFIER_MAX + 2],
                                   struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = find_checks(w, table, &rows, err);
    *out = '\0';
    for (size_t i = 0; code == ZDM_OK && *out == '\0' && i < rows->n; i++) {
        ZDM_CLEANUP(zdm_freep) char *clause = NULL;
        bool fine = true;
        code = read_clause(w, table, rows, i, &clause, err);
        if (code == ZDM_OK && names_column(clause, column->name)) {
            code = passes(w, table, column, clause, &fine, err);
        }
        if (code == ZDM_OK && !fine) {
            zdm_copy_text(out, ZDM_IDENTIFIER_MAX + 2, mydb_text(rows, i, 0));
        }
    }
    return code;
}
