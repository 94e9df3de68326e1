/*
 * value.c - values of columns as literals, and when two of them are the same (catalog.h).
 */
#include "agent/engine/mysql/catalog/catalog.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/mysql/catalog/definition.h"

/* ---- Identity ---- */

static void put_bytes_of(struct zdm_buffer *b, const char *value, const struct mydb_column *of, bool convert)
{
    if (of->family == MYDB_JSON) {
        zdm_buffer_printf(b, "CAST(CAST(%s AS CHAR CHARACTER SET utf8mb4) AS BINARY)", value);
    } else if (convert) {
        zdm_buffer_printf(b, "CAST(CONVERT(%s USING utf8mb4) AS BINARY)", value);
    } else {
        zdm_buffer_printf(b, "CAST(%s AS BINARY)", value);
    }
}

static bool is_text(const struct mydb_column *column)
{
    return column->family == MYDB_TEXT || column->family == MYDB_JSON || column->family == MYDB_ENUM;
}

void mydb_put_differs(struct zdm_buffer *b, const char *a, const struct mydb_column *of_a, const char *c,
                      const struct mydb_column *of_c)
{
    if (of_a->family == MYDB_ENUM && of_c->family == MYDB_ENUM &&
        strcmp(mydb_column_type(of_a), mydb_column_type(of_c)) == 0) {
        /* By number: the empty label and that of a refused value look the same. */
        zdm_buffer_printf(b, "NOT (%s + 0 <=> %s + 0)", a, c);
    } else if (strcmp(of_a->base, "json") == 0 && strcmp(of_c->base, "json") == 0) {
        /* MySQL writes nothing where it finds the documents equal, {"a": 1} and {"a": 1.0}: bytes would differ for
         * ever.
         */
        zdm_buffer_printf(b, "NOT (%s <=> %s)", a, c);
    } else if (is_text(of_a) || is_text(of_c)) {
        bool convert = strcmp(of_a->charset, of_c->charset) != 0;
        zdm_buffer_puts(b, "NOT (");
        put_bytes_of(b, a, of_a, convert);
        zdm_buffer_puts(b, " <=> ");
        put_bytes_of(b, c, of_c, convert);
        zdm_buffer_puts(b, ")");
    } else if (of_a->family == MYDB_FLOAT) {
        /* 0 and -0 are equal, and not the same. */
        zdm_buffer_printf(b, "NOT (%s <=> %s AND (%s <> 0 OR CAST(%s AS CHAR) <=> CAST(%s AS CHAR)))", a, c, a, a, c);
    } else {
        zdm_buffer_printf(b, "NOT (%s <=> %s)", a, c);
    }
}

/* ---- Literals ---- */

static bool is_number(const char *text, size_t n)
{
    bool digits = false;
    for (size_t i = 0; i < n; i++) {
        digits = digits || (text[i] >= '0' && text[i] <= '9');
        if (memchr("0123456789+-.eE", text[i], 15) == NULL) {
            return false;
        }
    }
    return digits;
}

static bool is_plain(const char *text, size_t n)
{
    return memchr(text, '\0', n) == NULL;
}

static void put_string(struct zdm_buffer *b, const char *text, size_t n)
{
    if (is_plain(text, n)) {
        char *copy = zdm_memdup(text, n);
        b->failed = b->failed || copy == NULL;
        mydb_put_literal(b, copy);
        zdm_freep(&copy);
    } else {
        zdm_buffer_puts(b, "CONVERT(");
        mydb_put_bytes(b, text, n);
        zdm_buffer_puts(b, " USING utf8mb4)");
    }
}

static void put_text(struct zdm_buffer *b, const struct mydb_column *column, const char *text, size_t n)
{
    bool convert = column->charset[0] != '\0' && strcmp(column->charset, "utf8mb4") != 0;
    zdm_buffer_puts(b, convert ? "CONVERT(" : "");
    put_string(b, text, n);
    if (convert) {
        zdm_buffer_printf(b, " USING %s)", column->charset);
    }
    if (column->collation[0] != '\0') {
        zdm_buffer_printf(b, " COLLATE %s", column->collation);
    }
}

/* The number of a label in "enum('a','b')", from 1; 0: there is none such. */
static unsigned label_number(const char *type, const char *label, size_t n)
{
    ZDM_CLEANUP(zdm_freep) char *plain = mydb_plain_strings(type);
    unsigned number = 0;
    for (const char *p = plain == NULL ? NULL : strchr(plain, '\''); p != NULL; p = strchr(p, '\'')) {
        size_t at = 0;
        bool same = true;
        number++;
        for (p++; *p != '\0' && (*p != '\'' || p[1] == '\''); p++, at++) {
            p += *p == '\'';
            same = same && at < n && label[at] == *p;
        }
        if (same && at == n) {
            return number;
        }
        p += *p != '\0';
    }
    return 0;
}

/* By number: that is how the server orders them. A set has one bit for each label. */
static void put_enum(struct zdm_buffer *b, const struct mydb_column *column, const char *text, size_t n)
{
    uint64_t bits = 0;
    if (strcmp(column->base, "set") != 0) {
        zdm_buffer_printf(b, "%u", label_number(mydb_column_type(column), text, n));
        return;
    }
    while (n > 0) {
        const char *comma = memchr(text, ',', n);
        size_t length = comma == NULL ? n : (size_t)(comma - text);
        unsigned number = label_number(mydb_column_type(column), text, length);
        bits |= number == 0 ? 0 : UINT64_C(1) << (number - 1);
        length += comma != NULL;
        text += length;
        n -= length;
    }
    zdm_buffer_printf(b, "%" PRIu64, bits);
}

void mydb_put_value(struct zdm_buffer *b, const struct mydb_column *column, const char *text, size_t n)
{
    bool number = column->family == MYDB_INTEGER || column->family == MYDB_DECIMAL || column->family == MYDB_FLOAT ||
                  column->family == MYDB_BIT;
    if (text == NULL) {
        zdm_buffer_puts(b, "NULL");
    } else if (number && is_number(text, n)) {
        zdm_buffer_append(b, text, n);
        zdm_buffer_puts(b, column->family == MYDB_FLOAT && memchr(text, 'e', n) == NULL ? "e0" : "");
    } else if (column->family == MYDB_BINARY && n == 0) {
        zdm_buffer_puts(b, "X''");
    } else if (column->family == MYDB_BINARY && strspn(text, "0123456789ABCDEFabcdef") == n) {
        zdm_buffer_puts(b, "X'");
        zdm_buffer_append(b, text, n);
        zdm_buffer_puts(b, "'");
    } else if (column->family == MYDB_ENUM) {
        put_enum(b, column, text, n);
    } else if (column->family == MYDB_TEXT) {
        put_text(b, column, text, n);
    } else {
        put_string(b, text, n);
    }
}

static const struct {
    const char *base, *zero;
} zeroes[] = {
    {"date", "'1970-01-01'"},
    {"datetime", "'1970-01-01 00:00:00'"},
    {"timestamp", "'1970-01-01 00:00:01'"}, /* 0 is no timestamp */
    {"time", "'00:00:00'"},
    {"year", "1970"},
    {"uuid", "'00000000-0000-0000-0000-000000000000'"},
    {"inet6", "'::'"},
    {"inet4", "'0.0.0.0'"},
};

static bool put_zero_of(struct zdm_buffer *b, const char *base)
{
    for (size_t i = 0; i < sizeof zeroes / sizeof *zeroes; i++) {
        if (strcmp(zeroes[i].base, base) == 0) {
            zdm_buffer_puts(b, zeroes[i].zero);
            return true;
        }
    }
    return false;
}

/* The first label of an enum; a set may be empty. */
static bool put_first_label(struct zdm_buffer *b, const struct mydb_column *column)
{
    ZDM_CLEANUP(zdm_freep) char *plain = mydb_plain_strings(mydb_column_type(column));
    const char *from = plain == NULL ? NULL : strchr(plain, '\''), *p = from;
    if (strcmp(column->base, "set") == 0) {
        zdm_buffer_puts(b, "''");
        return true;
    }
    while (p != NULL && *++p != '\0' && (*p != '\'' || p[1] == '\'')) {
        p += *p == '\'';
    }
    if (p == NULL || *p == '\0') {
        return false;
    }
    zdm_buffer_append(b, from, (size_t)(p - from) + 1);
    return true;
}

bool mydb_put_zero(struct zdm_buffer *b, const struct mydb_column *column)
{
    switch (column->family) {
    case MYDB_INTEGER:
    case MYDB_DECIMAL:
    case MYDB_FLOAT:
    case MYDB_BIT:
        zdm_buffer_puts(b, "0");
        return true;
    case MYDB_TEXT:
    case MYDB_BINARY:
        zdm_buffer_puts(b, "''");
        return true;
    case MYDB_JSON:
        zdm_buffer_puts(b, "'null'");
        return true;
    case MYDB_TIME:
    case MYDB_NATIVE:
        return put_zero_of(b, column->base);
    case MYDB_ENUM:
        return put_first_label(b, column);
    case MYDB_OTHER:
        break;
    }
    return false;
}

void mydb_short_name(char out[9], const char *migration)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *c = migration; *c != '\0'; c++) {
        hash = (hash ^ (uint8_t)*c) * 16777619u;
    }
    snprintf(out, 9, "%08" PRIx32, hash);
}
