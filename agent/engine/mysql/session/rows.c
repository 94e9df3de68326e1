/*
 * rows.c - the rows of an answer, and texts that go into a statement (session.h).
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/session/wire.h"

void mydb_rows_free(struct mydb_rows *rows)
{
    if (rows == NULL) {
        return;
    }
    for (size_t i = 0; i < rows->n; i++) {
        free(rows->row[i]); /* the texts of a row stand behind its pointers */
        free(rows->len[i]);
    }
    for (size_t i = 0; rows->name != NULL && i < rows->columns; i++) {
        free(rows->name[i]);
    }
    free(rows->row);
    free(rows->len);
    free(rows->name);
    free(rows);
}

void mydb_rows_freep(struct mydb_rows **rows)
{
    mydb_rows_free(*rows);
    *rows = NULL;
}

/* One row: its pointers, then its texts, in one piece of memory. */
static bool copy_row(struct mydb_rows *rows, MYSQL_ROW row, const unsigned long *lengths)
{
    size_t bytes = rows->columns * sizeof(char *);
    for (size_t i = 0; i < rows->columns; i++) {
        bytes += lengths[i] + 1;
    }
    char **cells = malloc(bytes == 0 ? 1 : bytes);
    size_t *len = calloc(rows->columns == 0 ? 1 : rows->columns, sizeof *len);
    rows->row[rows->n] = cells;
    rows->len[rows->n] = len;
    rows->n++;
    if (cells == NULL || len == NULL) {
        return false;
    }
    char *text = (char *)(cells + rows->columns);
    for (size_t i = 0; i < rows->columns; i++) {
        cells[i] = row[i] == NULL ? NULL : text;
        len[i] = lengths[i];
        if (row[i] != NULL) {
            memcpy(text, row[i], lengths[i]);
            text[lengths[i]] = '\0';
            text += lengths[i] + 1;
        }
    }
    return true;
}

static bool copy_names(struct mydb_rows *rows, MYSQL_RES *res)
{
    const MYSQL_FIELD *fields = mysql_fetch_fields(res);
    rows->name = calloc(rows->columns == 0 ? 1 : rows->columns, sizeof *rows->name);
    bool ok = rows->name != NULL;
    for (size_t i = 0; ok && i < rows->columns; i++) {
        rows->name[i] = zdm_strdup(fields[i].name);
        ok = rows->name[i] != NULL;
    }
    return ok;
}

struct mydb_rows *mydb_rows_from(MYSQL_RES *res)
{
    struct mydb_rows *rows = calloc(1, sizeof *rows);
    if (rows == NULL || res == NULL) {
        return rows;
    }
    size_t n = (size_t)mysql_num_rows(res);
    rows->columns = mysql_num_fields(res);
    rows->row = calloc(n == 0 ? 1 : n, sizeof *rows->row);
    rows->len = calloc(n == 0 ? 1 : n, sizeof *rows->len);
    bool ok = copy_names(rows, res) && rows->row != NULL && rows->len != NULL;
    for (MYSQL_ROW row; ok && rows->n < n && (row = mysql_fetch_row(res)) != NULL;) {
        ok = copy_row(rows, row, mysql_fetch_lengths(res));
    }
    if (!ok) {
        mydb_rows_free(rows);
        return NULL;
    }
    return rows;
}

size_t mydb_column_named(const struct mydb_rows *rows, const char *name)
{
    size_t i = 0;
    while (i < rows->columns && strcmp(rows->name[i], name) != 0) {
        i++;
    }
    return i;
}

const char *mydb_text(const struct mydb_rows *rows, size_t row, size_t column)
{
    return row < rows->n && column < rows->columns ? rows->row[row][column] : NULL;
}

int64_t mydb_int(const struct mydb_rows *rows, size_t row, size_t column)
{
    const char *text = mydb_text(rows, row, column);
    return text == NULL ? 0 : strtoll(text, NULL, 10);
}

uint64_t mydb_uint(const struct mydb_rows *rows, size_t row, size_t column)
{
    const char *text = mydb_text(rows, row, column);
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

bool mydb_true(const struct mydb_rows *rows, size_t row, size_t column)
{
    static const char *const words[] = {"1", "ON", "YES", "Y", "TRUE"};
    const char *text = mydb_text(rows, row, column);
    for (size_t i = 0; text != NULL && i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void put_quoted(struct zdm_buffer *b, const char *text, char quote)
{
    zdm_buffer_append(b, &quote, 1);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == quote) {
            zdm_buffer_append(b, &quote, 1);
        }
        zdm_buffer_append(b, c, 1);
    }
    zdm_buffer_append(b, &quote, 1);
}

void mydb_put_name(struct zdm_buffer *b, const char *name)
{
    put_quoted(b, name, '`');
}

void mydb_put_literal(struct zdm_buffer *b, const char *text)
{
    if (text == NULL) {
        zdm_buffer_puts(b, "NULL");
    } else {
        put_quoted(b, text, '\'');
    }
}

void mydb_put_bytes(struct zdm_buffer *b, const void *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *c = bytes;
    zdm_buffer_puts(b, "X'");
    for (size_t i = 0; i < n; i++) {
        zdm_buffer_append(b, &digits[c[i] >> 4], 1);
        zdm_buffer_append(b, &digits[c[i] & 15], 1);
    }
    zdm_buffer_puts(b, "'");
}

/* How far a quoted text, a name or a comment goes that begins here; 0: none does. Two dashes begin a comment only in
 * front of a blank, and no backslash escapes anything (escape.h). */
static size_t span_of_quoted(const char *c)
{
    if (*c == '\'' || *c == '"' || *c == '`') {
        const char *end = strchr(c + 1, *c); /* a doubled one begins the next span at once */
        return end == NULL ? strlen(c) : (size_t)(end + 1 - c);
    }
    if (*c == '#' || (c[0] == '-' && c[1] == '-' && (c[2] == '\0' || (unsigned char)c[2] <= ' '))) {
        return strcspn(c, "\n");
    }
    if (c[0] == '/' && c[1] == '*') {
        const char *end = strstr(c + 2, "*/");
        return end == NULL ? strlen(c) : (size_t)(end + 2 - c);
    }
    return 0;
}

static bool begins_param(const char *sql, const char *c)
{
    bool of_a_name = c > sql && (isalnum((unsigned char)c[-1]) || strchr("_$", c[-1]) != NULL);
    return *c == '$' && c[1] >= '1' && c[1] <= '9' && !of_a_name;
}

static enum zdm_code put_params(struct zdm_buffer *b, const char *sql, size_t n, const char *const *params,
                                struct zdm_error *err)
{
    for (const char *c = sql; *c != '\0';) {
        size_t span = span_of_quoted(c);
        if (span == 0 && begins_param(sql, c)) {
            char *end;
            unsigned long i = strtoul(c + 1, &end, 10);
            if (i > n) {
                return zdm_error_set(err, ZDM_BUG, "a statement asks for parameter %lu of %zu", i, n);
            }
            mydb_put_literal(b, params[i - 1]);
            c = end;
            continue;
        }
        span = span == 0 ? 1 : span;
        zdm_buffer_append(b, c, span);
        c += span;
    }
    return b->failed ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : ZDM_OK;
}

enum zdm_code mydb_query(struct mydb_session *s, const char *sql, size_t n, const char *const *params,
                         struct mydb_rows **out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer whole = ZDM_BUFFER_INIT;
    enum zdm_code code = put_params(&whole, sql, n, params, err);
    return code == ZDM_OK ? mydb_ask(s, zdm_buffer_text(&whole), whole.len, NULL, out, err) : code;
}

enum zdm_code mydb_run(struct mydb_session *s, const char *sql, struct mydb_rows **out, struct zdm_error *err)
{
    return mydb_ask(s, sql, strlen(sql), NULL, out, err);
}

enum zdm_code mydb_run_watched(struct mydb_session *s, const char *sql, uint32_t every_ms, mydb_watch_fn *look,
                               void *ctx, struct zdm_error *err)
{
    struct mydb_watch watch = {.every_ms = every_ms, .look = look, .ctx = ctx};
    return mydb_ask(s, sql, strlen(sql), &watch, NULL, err);
}

uint64_t mydb_changed(const struct mydb_session *s)
{
    return s->changed;
}
