/*
 * clone.c - the judge's clones: made, dropped, and a statement that is about them (clone.h).
 */
#include "agent/engine/mysql/change/clone.h"

#include <stdio.h>
#include <string.h>

#include "agent/engine/mysql/change/ddl.h"

/* A survey looks at the plan while the migration may run, and one server may hold several shards of it. */
void mydb_clone_name(struct mydb_trial *t)
{
    char hex[9], whose[sizeof t->w->s->database + sizeof t->w->op->migration + 1];
    const struct agent_op *op = t->w->op;
    snprintf(whose, sizeof whose, "%s/%s", t->w->s->database,
             op->migration[0] != '\0' || op->plan == NULL ? op->migration : op->plan->id);
    mydb_short_name(hex, whose);
    snprintf(t->clone, sizeof t->clone, "judge_%s%s", hex, op->kind == AGENT_OP_SURVEY ? "_s" : "");
}

static void put_clone(struct zdm_buffer *b, const struct mydb_trial *t, const char *table)
{
    char name[MYDB_CLONE_MAX + 24];
    snprintf(name, sizeof name, "%s", t->clone);
    for (size_t i = 0; i < t->n_others && strcmp(table, t->table->name) != 0; i++) {
        if (strcmp(t->other[i], table) == 0) {
            snprintf(name, sizeof name, "%s_%zu", t->clone, i);
        }
    }
    zdm_buffer_puts(b, "`zdm`.");
    mydb_put_name(b, name);
}

/* ---- Making and dropping ---- */

static enum zdm_code drop(struct mydb_trial *t, const struct zdm_buffer *names, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct mydb_session *s = t->w->s;
    struct zdm_error later = ZDM_ERROR_INIT;
    zdm_buffer_printf(&sql, "DROP TABLE IF EXISTS %s", zdm_buffer_text(names));
    enum zdm_code code = mydb_fk_checks(s, false, err);
    if (code == ZDM_OK) {
        code = mydb_run(s, zdm_buffer_text(&sql), NULL, err);
    }
    enum zdm_code on = mydb_is_open(s) ? mydb_fk_checks(s, true, code == ZDM_OK ? err : &later) : ZDM_OK;
    return code == ZDM_OK ? on : code;
}

enum zdm_code mydb_clone_drop(struct mydb_trial *t, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer names = ZDM_BUFFER_INIT;
    put_clone(&names, t, t->table->name);
    for (size_t i = 0; i < t->n_others; i++) {
        zdm_buffer_puts(&names, ", ");
        put_clone(&names, t, t->other[i]);
    }
    return drop(t, &names, err);
}

/* Of agents that were interrupted, whichever tables they had cloned. It is this agent's turn on the server (judge.c),
 * so that none of them is in use; and one whose foreign key has the name of ours would stand in the way. */
static enum zdm_code drop_left_clones(struct mydb_trial *t, struct zdm_error *err)
{
    static const char sql[] = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'zdm' AND"
                              " TABLE_NAME REGEXP '^judge_[0-9a-f]{8}(_s)?(_[0-9]+)?$'";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer names = ZDM_BUFFER_INIT;
    enum zdm_code code = mydb_query(t->w->s, sql, 0, NULL, &rows, err);
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        zdm_buffer_puts(&names, i == 0 ? "`zdm`." : ", `zdm`.");
        mydb_put_name(&names, mydb_text(rows, i, 0));
    }
    return code == ZDM_OK && rows->n > 0 ? drop(t, &names, err) : code;
}

static enum zdm_code clone_one(struct mydb_trial *t, const char *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "CREATE TABLE ");
    put_clone(&sql, t, table);
    zdm_buffer_puts(&sql, " LIKE ");
    mydb_put_name(&sql, table);
    return mydb_run(t->w->s, zdm_buffer_text(&sql), NULL, err);
}

/* The other side, cloned once. False: no room, and the foreign key is left out. */
static enum zdm_code clone_other(struct mydb_trial *t, const char *table, bool *out_there, struct zdm_error *err)
{
    *out_there = true;
    if (strcmp(table, t->table->name) == 0) {
        return ZDM_OK;
    }
    for (size_t i = 0; i < t->n_others; i++) {
        if (strcmp(t->other[i], table) == 0) {
            return ZDM_OK;
        }
    }
    *out_there = t->n_others < MYDB_CLONES_MAX;
    if (!*out_there) {
        return ZDM_OK;
    }
    zdm_copy_text(t->other[t->n_others++], sizeof t->other[0], table);
    return clone_one(t, table, err);
}

/* Every foreign key of the table and those that point at it, one row a column. Names must be as they are: a DROP
 * FOREIGN KEY says them. Those into or from another database are left out. */
static const char keys_sql[] =
    "SELECT k.TABLE_NAME, k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME,"
    " r.UPDATE_RULE, r.DELETE_RULE FROM information_schema.KEY_COLUMN_USAGE k JOIN"
    " information_schema.REFERENTIAL_CONSTRAINTS r ON r.CONSTRAINT_SCHEMA = DATABASE() AND r.CONSTRAINT_NAME ="
    " k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME WHERE k.TABLE_SCHEMA = DATABASE() AND"
    " k.REFERENCED_TABLE_SCHEMA = DATABASE() AND (k.TABLE_NAME = $1 OR k.REFERENCED_TABLE_NAME = $1)"
    " ORDER BY k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION";

static void put_columns(struct zdm_buffer *b, const struct mydb_rows *rows, size_t from, size_t to, size_t column)
{
    for (size_t i = from; i < to; i++) {
        zdm_buffer_puts(b, i == from ? "(" : ", ");
        mydb_put_name(b, mydb_text(rows, i, column));
    }
    zdm_buffer_puts(b, ")");
}

static enum zdm_code add_key(struct mydb_trial *t, const struct mydb_rows *rows, size_t from, size_t to,
                             struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    bool child = false, parent = false;
    enum zdm_code code = clone_other(t, mydb_text(rows, from, 0), &child, err);
    if (code == ZDM_OK) {
        code = clone_other(t, mydb_text(rows, from, 3), &parent, err);
    }
    if (code != ZDM_OK || !child || !parent) {
        return code;
    }
    zdm_buffer_puts(&sql, "ALTER TABLE ");
    put_clone(&sql, t, mydb_text(rows, from, 0));
    zdm_buffer_puts(&sql, " ADD CONSTRAINT ");
    mydb_put_name(&sql, mydb_text(rows, from, 1));
    zdm_buffer_puts(&sql, " FOREIGN KEY ");
    put_columns(&sql, rows, from, to, 2);
    zdm_buffer_puts(&sql, " REFERENCES ");
    put_clone(&sql, t, mydb_text(rows, from, 3));
    zdm_buffer_puts(&sql, " ");
    put_columns(&sql, rows, from, to, 4);
    zdm_buffer_printf(&sql, " ON UPDATE %s ON DELETE %s", mydb_text(rows, from, 5), mydb_text(rows, from, 6));
    return mydb_run(t->w->s, zdm_buffer_text(&sql), NULL, err);
}

static enum zdm_code add_keys(struct mydb_trial *t, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(t->w->s, keys_sql, 1, (const char *const[]){t->table->name}, &rows, err);
    for (size_t i = 0, to = 0; code == ZDM_OK && i < rows->n; i = to) {
        for (to = i + 1; to < rows->n && strcmp(mydb_text(rows, to, 1), mydb_text(rows, i, 1)) == 0 &&
                         strcmp(mydb_text(rows, to, 0), mydb_text(rows, i, 0)) == 0;
             to++) {
        }
        code = add_key(t, rows, i, to, err);
    }
    return code;
}

enum zdm_code mydb_clone_make(struct mydb_trial *t, struct zdm_error *err)
{
    enum zdm_code code = drop_left_clones(t, err);
    if (code == ZDM_OK) {
        code = clone_one(t, t->table->name, err);
    }
    if (code == ZDM_OK) {
        code = add_keys(t, err);
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while making an empty clone of %s", t->table->name);
}

/* ---- The statement about them ---- */

static const char *behind_quoted(const char *p)
{
    char quote = *p++;
    while (*p != '\0' && (*p != quote || p[1] == quote)) {
        p += *p == quote ? 2 : 1;
    }
    return *p == '\0' ? p : p + 1;
}

/* The name between backquotes at p, as it is meant. False: it is too long for one. */
static bool read_name(const char *p, char out[ZDM_IDENTIFIER_MAX + 2])
{
    const char *end = behind_quoted(p) - 1;
    size_t n = 0;
    for (p++; p < end && n < ZDM_IDENTIFIER_MAX + 1; p++) {
        out[n++] = *p;
        p += *p == '`';
    }
    out[n] = '\0';
    return p >= end;
}

/* Every parent of a foreign key that the statement makes is cloned, too: a name alone would mean one in database zdm.
 */
static enum zdm_code put_with_parents(struct mydb_trial *t, const char *sql, struct zdm_buffer *out,
                                      bool *out_unchecked, struct zdm_error *err)
{
    static const char word[] = "REFERENCES ";
    enum zdm_code code = ZDM_OK;
    while (*sql != '\0' && code == ZDM_OK) {
        char parent[ZDM_IDENTIFIER_MAX + 2];
        const char *end = *sql == '`' || *sql == '\'' || *sql == '"' ? behind_quoted(sql) : sql + 1;
        bool refers = strncmp(sql, word, strlen(word)) == 0 && sql[strlen(word)] == '`';
        const char *behind = refers ? behind_quoted(sql + strlen(word)) : end;
        bool there = false;
        if (refers && *behind != '.' && read_name(sql + strlen(word), parent)) {
            code = clone_other(t, parent, &there, err);
        }
        if (there) {
            zdm_buffer_puts(out, word);
            put_clone(out, t, parent);
            *out_unchecked = true;
            end = behind;
        } else {
            zdm_buffer_append(out, sql, (size_t)(end - sql));
        }
        sql = end;
    }
    return code;
}

/* The statement, about the clone. */
enum zdm_code mydb_clone_statement(struct mydb_trial *t, const char *sql, struct zdm_buffer *out, bool *out_unchecked,
                                   struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer head = ZDM_BUFFER_INIT;
    *out_unchecked = false;
    mydb_put_alter(&head, t->table->name);
    if (strncmp(sql, zdm_buffer_text(&head), head.len) != 0) {
        return zdm_error_set(err, ZDM_REFUSED, "the statement is no ALTER TABLE of %s", t->table->name);
    }
    zdm_buffer_puts(out, "ALTER TABLE ");
    put_clone(out, t, t->table->name);
    zdm_buffer_puts(out, " ");
    return put_with_parents(t, sql + head.len, out, out_unchecked, err);
}
