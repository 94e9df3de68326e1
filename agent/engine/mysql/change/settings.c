/*
 * settings.c - defaults, NULL or NOT NULL, wider types and comments: changes of the catalogue that make nothing.
 *
 * Each has a state, one text, that it changes: what the column's default is; of a MODIFY all of the column, since it
 * may write any part of it; the table's comment. The judge's clone shows the state that the statement makes of it;
 * together with the way back it is written to zdm.former before the statement, and the step is done when the catalogue
 * shows that state.
 *
 * MODIFY writes a column anew, all of it: what it does not say is lost. Nothing may change that is not written: the
 * column on the clone is compared before and after. A column that is INVISIBLE stays so.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/change/locks.h"

enum { STATE = 1 }; /* the part of zdm.former */

/* ---- States ---- */

/* "DEFAULT NULL" and no default at all are two things: after DROP DEFAULT an INSERT has to name the column. */
static const char *default_of(const struct mydb_column *column)
{
    bool says_null = column->definition != NULL && mydb_says(column->definition, "DEFAULT");
    return column->default_sql != NULL ? column->default_sql : says_null ? "NULL" : NULL;
}

static char *state_of(const struct zdm_step *step, const struct mydb_column *column)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer b = ZDM_BUFFER_INIT;
    if (step->action == ZDM_ACTION_SET_DEFAULT) {
        const char *value = default_of(column);
        zdm_buffer_printf(&b, "%s%s", value == NULL ? "DROP DEFAULT" : "SET DEFAULT ", value == NULL ? "" : value);
    } else {
        zdm_buffer_printf(&b, "%s %s %s %s", column->not_null ? "NOT NULL" : "NULL", column->charset, column->collation,
                          column->definition == NULL ? mydb_column_type(column) : column->definition);
    }
    return zdm_buffer_take(&b);
}

static enum zdm_code table_comment(struct mydb_work *w, char **out, struct zdm_error *err)
{
    static const char sql[] = "SELECT TABLE_COMMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND"
                              " TABLE_NAME = $1";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s, sql, 1, (const char *const[]){w->step->table.name}, &rows, err);
    if (code == ZDM_OK) {
        *out = zdm_strdup(rows->n > 0 && mydb_text(rows, 0, 0) != NULL ? mydb_text(rows, 0, 0) : "");
    }
    return code != ZDM_OK || *out != NULL ? code : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static enum zdm_code state_now(struct mydb_work *w, char **out, struct zdm_error *err)
{
    struct mydb_column column = {0};
    if (w->step->action == ZDM_ACTION_COMMENT) {
        return table_comment(w, out, err);
    }
    enum zdm_code code = mydb_column_find(w->s, w->step->table.name, w->step->column, &column, err);
    if (code == ZDM_OK) {
        *out = state_of(w->step, &column);
        code = *out != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    mydb_column_fini(&column);
    return code;
}

/* ---- Forward ---- */

enum zdm_code mydb_look_former(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                               struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *back = NULL;
    ZDM_CLEANUP(zdm_freep) char *made = NULL;
    ZDM_CLEANUP(zdm_freep) char *now = NULL;
    (void)table;
    enum zdm_code code = state_now(w, &now, err);
    if (code == ZDM_OK) {
        code = mydb_former_read(w, STATE, &back, &made, err);
    }
    if (code == ZDM_OK) {
        *out_proof = mydb_done_if(made != NULL && strcmp(made, now) == 0);
    }
    return code;
}

static void put_statement(struct zdm_buffer *out, const struct zdm_step *step, bool invisible)
{
    bool whole = step->action != ZDM_ACTION_SET_DEFAULT && step->action != ZDM_ACTION_COMMENT;
    if (whole) {
        mydb_put_add_column(out, step->sql, invisible && !mydb_says(step->sql, "INVISIBLE"));
    } else {
        zdm_buffer_puts(out, step->sql);
    }
}

static enum zdm_code is_invisible(struct mydb_work *w, bool *out, struct zdm_error *err)
{
    struct mydb_column column = {0};
    *out = false;
    if (w->step->action == ZDM_ACTION_COMMENT) {
        return ZDM_OK;
    }
    enum zdm_code code = mydb_column_find(w->s, w->step->table.name, w->step->column, &column, err);
    *out = column.invisible;
    mydb_column_fini(&column);
    return code;
}

static const char *behind_quoted(const char *p)
{
    char quote = *p++;
    while (*p != '\0' && (*p != quote || p[1] == quote)) {
        p += *p == quote ? 2 : 1;
    }
    return *p == '\0' ? p : p + 1;
}

/* What the literal at the end of "ALTER TABLE `t` COMMENT '…'" says. */
static enum zdm_code comment_made(struct mydb_work *w, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *literal = strchr(w->step->sql, '\'');
    /* A quote may stand in the table's name, between its backquotes. */
    for (const char *p = w->step->sql; *p != '\0'; p++) {
        if (*p == '`') {
            p = behind_quoted(p) - 1;
        } else if (*p == '\'') {
            literal = p;
            break;
        }
    }
    if (literal == NULL) {
        return zdm_error_set(err, ZDM_REFUSED, "the statement of step %s is no COMMENT of a table", w->step->id);
    }
    zdm_buffer_printf(&sql, "SELECT %s", literal);
    enum zdm_code code = mydb_run(w->s, zdm_buffer_text(&sql), &rows, err);
    if (code == ZDM_OK) {
        w->made = zdm_strdup(rows->n > 0 ? mydb_text(rows, 0, 0) : "");
    }
    return code;
}

enum zdm_code mydb_may_set(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct mydb_column before = {0}, after = {0};
    char algorithm[MYDB_ALGORITHM_MAX];
    bool invisible = false;
    zdm_freep(&w->made);
    if (w->step->action == ZDM_ACTION_COMMENT) {
        return comment_made(w, err);
    }
    enum zdm_code code = is_invisible(w, &invisible, err);
    if (code == ZDM_OK) {
        put_statement(&sql, w->step, invisible);
        code = mydb_judge(w, table, zdm_buffer_text(&sql), algorithm, w->step->column, &before, &after, err);
    }
    if (code == ZDM_OK && w->step->action != ZDM_ACTION_SET_DEFAULT) {
        code = mydb_column_compare(w->step, &before, &after, err);
    }
    if (code == ZDM_OK) {
        w->made = state_of(w->step, &after);
        code = w->made != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    mydb_column_fini(&before);
    mydb_column_fini(&after);
    return code;
}

/* ALTER COLUMN takes a literal alone on MySQL. */
static bool is_literal(const char *value)
{
    return value == NULL || strcmp(value, "NULL") == 0 || strchr("'-+.0123456789", value[0]) != NULL;
}

/* The default alone where ALTER COLUMN can say it, so that the rest of the column is not touched; else all of it. */
static void put_back(struct zdm_buffer *sql, const struct zdm_step *step, const struct mydb_column *column)
{
    const char *value = default_of(column);
    bool alone = step->action == ZDM_ACTION_SET_DEFAULT && is_literal(value);
    mydb_put_alter(sql, step->table.name);
    zdm_buffer_puts(sql, alone ? "ALTER COLUMN " : "MODIFY COLUMN ");
    mydb_put_name(sql, step->column);
    if (!alone) {
        zdm_buffer_printf(sql, " %s", column->definition);
    } else {
        zdm_buffer_printf(sql, " %s%s", value == NULL ? "DROP DEFAULT" : "SET DEFAULT ", value == NULL ? "" : value);
    }
}

static enum zdm_code put_column_back(struct mydb_work *w, struct zdm_buffer *out, struct zdm_error *err)
{
    struct mydb_column column = {0};
    enum zdm_code code = mydb_column_find(w->s, w->step->table.name, w->step->column, &column, err);
    if (code == ZDM_OK && column.definition == NULL) {
        code = zdm_error_set(err, ZDM_UNSUPPORTED, "the definition of %s.%s cannot be read", w->step->table.name,
                             w->step->column);
    }
    if (code == ZDM_OK) {
        put_back(out, w->step, &column);
    }
    mydb_column_fini(&column);
    return code;
}

static enum zdm_code put_comment_back(struct mydb_work *w, struct zdm_buffer *out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *now = NULL;
    enum zdm_code code = table_comment(w, &now, err);
    if (code == ZDM_OK) {
        mydb_put_alter(out, w->step->table.name);
        zdm_buffer_puts(out, "COMMENT ");
        mydb_put_literal(out, now);
    }
    return code;
}

/* The statement that makes it what it is now. */
static enum zdm_code put_now(struct mydb_work *w, struct zdm_buffer *out, struct zdm_error *err)
{
    return w->step->action == ZDM_ACTION_COMMENT ? put_comment_back(w, out, err) : put_column_back(w, out, err);
}

enum zdm_code mydb_keep_former(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer back = ZDM_BUFFER_INIT;
    (void)table;
    enum zdm_code code = put_now(w, &back, err);
    return code == ZDM_OK ? mydb_former_keep(w, STATE, zdm_buffer_text(&back), w->made, err) : code;
}

enum zdm_code mydb_change_setting(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    bool invisible = false;
    enum zdm_code code = is_invisible(w, &invisible, err);
    if (code != ZDM_OK) {
        return code;
    }
    put_statement(&sql, w->step, invisible);
    code = mydb_alter(w, table, zdm_buffer_text(&sql), err);
    if (code != ZDM_OK && mydb_is_violation(err)) {
        zdm_error_hint(err, "Rows stand against it: put them right, then retry the shard. The table is as it was.");
    }
    return code;
}

/* ---- Back ---- */

enum zdm_code mydb_back_of_former(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *back = NULL;
    ZDM_CLEANUP(zdm_freep) char *made = NULL;
    (void)table;
    enum zdm_code code = mydb_former_read(w, STATE, &back, &made, err);
    return code == ZDM_OK ? mydb_answer_back(w, back == NULL, AGENT_RUN_UNDO_DDL) : code;
}

static void remark(struct mydb_work *w, const char *what)
{
    const struct zdm_step *step = w->step;
    (void)snprintf(w->result->remark, sizeof w->result->remark, "what step %s changed on %s%s%s %s", step->id,
                   step->table.name, step->column == NULL ? "" : ".", step->column == NULL ? "" : step->column, what);
}

static enum zdm_code run_back(struct mydb_work *w, const struct mydb_table *table, const char *back,
                              struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    bool invisible = false;
    enum zdm_code code = is_invisible(w, &invisible, err);
    bool whole = mydb_says(back, "MODIFY");
    if (code != ZDM_OK) {
        return code;
    }
    mydb_put_add_column(&sql, back, whole && invisible);
    code = mydb_alter(w, table, zdm_buffer_text(&sql), err);
    if (code != ZDM_OK && mydb_is_violation(err)) {
        remark(w, "stays: rows that were written since stand against the way back");
        zdm_error_clear(err);
        code = ZDM_OK;
    }
    return code;
}

enum zdm_code mydb_restore_former(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_freep) char *back = NULL;
    ZDM_CLEANUP(zdm_freep) char *made = NULL;
    ZDM_CLEANUP(zdm_freep) char *now = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer was = ZDM_BUFFER_INIT;
    enum zdm_code code = state_now(w, &now, err);
    if (code == ZDM_OK) {
        code = mydb_former_read(w, STATE, &back, &made, err);
    }
    if (code != ZDM_OK || back == NULL) {
        return code;
    }
    if (made != NULL && strcmp(made, now) == 0) {
        return run_back(w, table, back, err);
    }
    /* An attempt whose answer was lost has put it back already. */
    code = put_now(w, &was, err);
    if (code == ZDM_OK && strcmp(zdm_buffer_text(&was), back) != 0) {
        remark(w, "was changed again since, and stays as it is");
    }
    return code;
}
