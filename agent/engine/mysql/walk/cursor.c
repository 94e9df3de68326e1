/*
 * cursor.c - a place in a walk: a key as a JSON array of texts, and what it means in SQL (walk.h).
 *
 * What a text does not name exactly is written otherwise: binary columns in hexadecimal; bits, enums and sets as the
 * number by which the server orders them.
 */
#include "agent/engine/mysql/walk/walk.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- A row's key as a cursor ---- */

static bool is_enum(const struct mydb_column *column)
{
    return strcmp(column->base, "enum") == 0;
}

static bool is_numbered(const struct mydb_column *column)
{
    return column->family == MYDB_ENUM || column->family == MYDB_BIT;
}

void mydb_put_key(struct zdm_buffer *b, const struct mydb_key *key, const char *alias, const char *after)
{
    for (size_t i = 0; i < key->n; i++) {
        zdm_buffer_puts(b, i == 0 ? "" : ", ");
        zdm_buffer_puts(b, alias);
        mydb_put_name(b, key->columns[i].name);
        zdm_buffer_puts(b, after);
    }
}

void mydb_put_key_text(struct zdm_buffer *b, const struct mydb_key *key, const char *alias)
{
    for (size_t i = 0; i < key->n; i++) {
        const struct mydb_column *column = &key->columns[i];
        zdm_buffer_puts(b, i == 0 ? "" : ", ");
        zdm_buffer_puts(b, column->family == MYDB_BINARY ? "HEX(" : "");
        zdm_buffer_puts(b, alias);
        mydb_put_name(b, column->name);
        zdm_buffer_puts(b, column->family == MYDB_BINARY ? ")" : is_numbered(column) ? " + 0" : "");
    }
}

enum zdm_code mydb_cursor_of(const struct mydb_key *key, const struct mydb_rows *rows, size_t row, size_t first,
                             char **out, struct zdm_error *err)
{
    json_t *array = json_array();
    bool whole = array != NULL;
    for (size_t i = 0; whole && i < key->n; i++) {
        const char *text = mydb_text(rows, row, first + i);
        whole = text != NULL && json_array_append_new(array, json_stringn(text, rows->len[row][first + i])) == 0;
    }
    char *cursor = whole ? json_dumps(array, JSON_COMPACT) : NULL;
    json_decref(array);
    if (cursor == NULL) {
        return zdm_error_set(err, ZDM_UNSUPPORTED, "a key of the table cannot be written down: it is no valid text");
    }
    free(*out);
    *out = cursor;
    return ZDM_OK;
}

/* ---- A cursor in SQL ---- */

struct place {
    json_t *values; /* n strings */
};

static void place_fini(struct place *place)
{
    json_decref(place->values);
}

static enum zdm_code read_place(const struct mydb_key *key, const char *cursor, struct place *out,
                                struct zdm_error *err)
{
    out->values = json_loads(cursor, JSON_ALLOW_NUL, NULL);
    bool fits = json_is_array(out->values) && json_array_size(out->values) == key->n;
    for (size_t i = 0; fits && i < key->n; i++) {
        fits = json_is_string(json_array_get(out->values, i));
    }
    return fits ? ZDM_OK : zdm_error_set(err, ZDM_INVALID, "cursor %.100s is no key of %zu columns", cursor, key->n);
}

/* "enum('a','b''c')" has two. */
static unsigned count_labels(const char *type)
{
    unsigned n = 0;
    bool inside = false;
    for (const char *c = type; *c != '\0'; c++) {
        if (*c == '\'' && inside && c[1] == '\'') {
            c++;
        } else if (*c == '\'') {
            n += inside;
            inside = !inside;
        }
    }
    return n;
}

/* A comparison by < or > with an enum is one of texts and no range of its index; one by = with a number is. Number 0 is
 * that of a value which was refused. */
static void put_enum(struct zdm_buffer *b, const struct mydb_column *column, const char *name, const char *op,
                     const char *value)
{
    unsigned at = (unsigned)strtoul(value, NULL, 10), last = count_labels(mydb_column_type(column));
    unsigned from = *op == '>' ? at + (op[1] != '=') : *op == '=' ? at : 0;
    unsigned to = *op == '>' ? last : *op == '<' && op[1] != '=' ? at - 1 : at;
    if (from > to || (*op == '<' && op[1] == '\0' && at == 0)) {
        zdm_buffer_puts(b, "FALSE");
        return;
    }
    zdm_buffer_printf(b, "%s IN (", name);
    for (unsigned i = from; i <= to; i++) {
        zdm_buffer_printf(b, "%s%u", i == from ? "" : ", ", i);
    }
    zdm_buffer_puts(b, ")");
}

static void put_operand(struct zdm_buffer *b, const struct mydb_column *column, const json_t *value)
{
    const char *text = json_string_value(value);
    size_t n = json_string_length(value);
    if (is_numbered(column)) {
        zdm_buffer_printf(b, "%" PRIu64, (uint64_t)strtoull(text, NULL, 10));
    } else {
        mydb_put_value(b, column, text, n);
    }
}

static void put_column(struct zdm_buffer *b, const struct mydb_column *column, const char *alias, const char *op,
                       const json_t *value)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&name, alias);
    mydb_put_name(&name, column->name);
    if (is_enum(column)) {
        put_enum(b, column, zdm_buffer_text(&name), op, json_string_value(value));
        return;
    }
    zdm_buffer_printf(b, "%s %s ", zdm_buffer_text(&name), op);
    put_operand(b, column, value);
}

/* a > x OR (a = x AND (b > y OR (b = y AND c > z))): each branch is a range of the key's index. */
static void put_ordered(struct zdm_buffer *b, const struct mydb_key *key, const char *alias, const char *op,
                        const struct place *place)
{
    char strictly[2] = {op[0], '\0'};
    for (size_t i = 0; i < key->n; i++) {
        bool last = i + 1 == key->n;
        const json_t *value = json_array_get(place->values, i);
        put_column(b, &key->columns[i], alias, last ? op : strictly, value);
        if (!last) {
            zdm_buffer_puts(b, " OR (");
            put_column(b, &key->columns[i], alias, "=", value);
            zdm_buffer_puts(b, i + 2 == key->n ? " AND " : " AND (");
        }
    }
    for (size_t i = 1; i < key->n; i++) {
        zdm_buffer_puts(b, i == 1 ? ")" : "))");
    }
}

static void put_same(struct zdm_buffer *b, const struct mydb_key *key, const char *alias, const struct place *place)
{
    for (size_t i = 0; i < key->n; i++) {
        zdm_buffer_puts(b, i == 0 ? "" : " AND ");
        put_column(b, &key->columns[i], alias, "=", json_array_get(place->values, i));
    }
}

enum zdm_code mydb_put_compare(struct zdm_buffer *b, const struct mydb_key *key, const char *alias, const char *op,
                               const char *cursor, struct zdm_error *err)
{
    ZDM_CLEANUP(place_fini) struct place place = {0};
    enum zdm_code code = read_place(key, cursor, &place, err);
    if (code != ZDM_OK) {
        return code;
    }
    zdm_buffer_puts(b, "(");
    if (strcmp(op, "=") == 0) {
        put_same(b, key, alias, &place);
    } else {
        put_ordered(b, key, alias, op, &place);
    }
    zdm_buffer_puts(b, ")");
    return b->failed ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : ZDM_OK;
}
