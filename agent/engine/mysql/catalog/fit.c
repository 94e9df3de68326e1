/*
 * fit.c - which values of one column another one holds, byte for byte and without an error (sync.h).
 *
 * Not: a conversion that depends on the session's time zone (timestamp and datetime), that pads (binary), or that
 * prints (numbers and texts).
 */
#include "agent/engine/mysql/walk/sync.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/mysql/catalog/definition.h"

/* ---- Numbers ---- */

struct range {
    const char *base;
    unsigned digits, bytes;
    const char *low, *high, *high_unsigned;
};

static const struct range ranges[] = {
    {"tinyint", 3, 1, "-128", "127", "255"},
    {"smallint", 5, 2, "-32768", "32767", "65535"},
    {"mediumint", 8, 3, "-8388608", "8388607", "16777215"},
    {"int", 10, 4, "-2147483648", "2147483647", "4294967295"},
    {"bigint", 20, 8, "-9223372036854775808", "9223372036854775807", "18446744073709551615"},
};

static const struct range *range_of(const struct mydb_column *c)
{
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (strcmp(ranges[i].base, c->base) == 0) {
            return &ranges[i];
        }
    }
    return NULL;
}

static bool integer_fits(const struct mydb_column *from, const struct mydb_column *to)
{
    const struct range *a = range_of(from), *b = range_of(to);
    if (a == NULL || b == NULL || (to->is_unsigned && !from->is_unsigned)) {
        return false;
    }
    /* An unsigned one needs a wider one where there is a sign. */
    return from->is_unsigned == to->is_unsigned ? a->bytes <= b->bytes : a->bytes < b->bytes;
}

static enum mydb_fit fit_decimal(const struct mydb_column *from, const struct mydb_column *to)
{
    const struct range *a = range_of(from);
    unsigned whole = from->family == MYDB_INTEGER ? (a == NULL ? 20 : a->digits) : from->precision - from->scale;
    unsigned scale = from->family == MYDB_INTEGER ? 0 : from->scale;
    bool fits = whole <= to->precision - to->scale && scale <= to->scale && (from->is_unsigned || !to->is_unsigned);
    return fits ? MYDB_FITS : MYDB_FITS_SOMETIMES;
}

static enum mydb_fit fit_number(const struct mydb_column *from, const struct mydb_column *to)
{
    if (to->family == MYDB_DECIMAL) {
        return fit_decimal(from, to);
    }
    return from->family == MYDB_INTEGER && integer_fits(from, to) ? MYDB_FITS : MYDB_FITS_SOMETIMES;
}

static void put_number_test(struct zdm_buffer *b, const char *value, const struct mydb_column *to)
{
    const struct range *r = range_of(to);
    if (r != NULL) {
        zdm_buffer_printf(b, "%s = ROUND(%s, 0) AND %s BETWEEN %s AND %s", value, value, value,
                          to->is_unsigned ? "0" : r->low, to->is_unsigned ? r->high_unsigned : r->high);
        return;
    }
    zdm_buffer_printf(b, "%s = ROUND(%s, %u) AND ABS(%s) < 1", value, value, to->scale, value);
    for (unsigned i = to->scale; i < to->precision; i++) {
        zdm_buffer_puts(b, "0");
    }
    zdm_buffer_printf(b, "%s%s%s", to->is_unsigned ? " AND " : "", to->is_unsigned ? value : "",
                      to->is_unsigned ? " >= 0" : "");
}

/* ---- Texts ---- */

static const struct {
    const char *name;
    unsigned bytes; /* of one character, at most */
} charsets[] = {
    {"ascii", 1}, {"latin1", 1}, {"utf8mb3", 3}, {"utf8", 3}, {"utf8mb4", 4}, {"utf16", 4}, {"utf32", 4}, {"ucs2", 2},
};

/* 0: not known. */
static unsigned bytes_of(const char *charset)
{
    for (size_t i = 0; i < sizeof charsets / sizeof *charsets; i++) {
        if (strcmp(charsets[i].name, charset) == 0) {
            return charsets[i].bytes;
        }
    }
    return 0;
}

static bool is_utf8mb3(const char *charset)
{
    return strcmp(charset, "utf8mb3") == 0 || strcmp(charset, "utf8") == 0;
}

/* Has every character of the one a place in the other? */
static bool charset_holds(const char *to, const char *from)
{
    if (strcmp(to, from) == 0 || strcmp(to, "utf8mb4") == 0 || (is_utf8mb3(to) && is_utf8mb3(from))) {
        return true;
    }
    return (strcmp(from, "ascii") == 0 && bytes_of(to) != 0) || (strcmp(from, "latin1") == 0 && is_utf8mb3(to));
}

/* The length of char and varchar is in characters, that of texts in bytes. */
static bool counts_characters(const struct mydb_column *c)
{
    return strcmp(c->base, "char") == 0 || strcmp(c->base, "varchar") == 0;
}

static uint64_t bytes_at_most(const struct mydb_column *from, const char *charset)
{
    unsigned of_one = bytes_of(charset);
    if (!counts_characters(from) && strcmp(from->charset, charset) == 0) {
        return from->length;
    }
    return of_one == 0 ? UINT64_MAX : from->length * of_one;
}

static bool length_fits(const struct mydb_column *from, const struct mydb_column *to)
{
    if (counts_characters(to)) {
        return from->length <= to->length; /* of texts, as many characters as bytes */
    }
    return bytes_at_most(from, to->charset) <= to->length;
}

/* The server takes blanks from the end of char. */
static bool pads(const struct mydb_column *c)
{
    return strcmp(c->base, "char") == 0;
}

static enum mydb_fit fit_text(const struct mydb_column *from, const struct mydb_column *to)
{
    bool fits = charset_holds(to->charset, from->charset) && length_fits(from, to) && (pads(from) || !pads(to));
    return fits ? MYDB_FITS : MYDB_FITS_SOMETIMES;
}

static void put_text_test(struct zdm_buffer *b, const char *value, const struct mydb_column *from,
                          const struct mydb_column *to)
{
    const char *and = "";
    if (!charset_holds(to->charset, from->charset)) {
        zdm_buffer_printf(b,
                          "CAST(CONVERT(CONVERT(%s USING %s) USING utf8mb4) AS BINARY) = CAST(CONVERT(%s USING utf8mb4)"
                          " AS BINARY)",
                          value, to->charset, value);
        and = " AND ";
    }
    if (!length_fits(from, to) && counts_characters(to)) {
        zdm_buffer_printf(b, "%sCHAR_LENGTH(%s) <= %" PRIu64, and, value, to->length);
        and = " AND ";
    } else if (!length_fits(from, to)) {
        zdm_buffer_printf(b, "%sLENGTH(CONVERT(%s USING %s)) <= %" PRIu64, and, value, to->charset, to->length);
        and = " AND ";
    }
    if (pads(to) && !pads(from)) {
        zdm_buffer_printf(b, "%sCHAR_LENGTH(%s) = CHAR_LENGTH(TRIM(TRAILING ' ' FROM %s))", and, value, value);
    }
}

/* ---- Others ---- */

static enum mydb_fit fit_binary(const struct mydb_column *from, const struct mydb_column *to)
{
    /* binary(n) is filled up with zeroes. */
    if (strcmp(to->base, "binary") == 0) {
        return strcmp(from->base, "binary") == 0 && from->length == to->length ? MYDB_FITS : MYDB_FITS_SOMETIMES;
    }
    return from->length <= to->length ? MYDB_FITS : MYDB_FITS_SOMETIMES;
}

static enum mydb_fit fit_time(const struct mydb_column *from, const struct mydb_column *to)
{
    if (strcmp(from->base, "date") == 0 && strcmp(to->base, "datetime") == 0) {
        return MYDB_FITS;
    }
    if (strcmp(from->base, to->base) != 0) {
        return MYDB_FITS_NOT;
    }
    return from->fraction <= to->fraction ? MYDB_FITS : MYDB_FITS_SOMETIMES;
}

/* Labels of the one, in their order, at the beginning of those of the other. */
static bool labels_begin(const struct mydb_column *from, const struct mydb_column *to)
{
    const char *few = mydb_column_type(from), *more = mydb_column_type(to);
    size_t n = strlen(few);
    return n > 0 && strlen(more) > n && strncmp(few, more, n - 1) == 0 && more[n - 1] == ',';
}

static enum mydb_fit fit_enum(const struct mydb_column *from, const struct mydb_column *to)
{
    if (strcmp(from->base, to->base) != 0 || strcmp(from->charset, to->charset) != 0) {
        return MYDB_FITS_NOT;
    }
    return labels_begin(from, to) ? MYDB_FITS : labels_begin(to, from) ? MYDB_FITS_SOMETIMES : MYDB_FITS_NOT;
}

static unsigned labels_of(const struct mydb_column *c)
{
    ZDM_CLEANUP(zdm_freep) char *plain = mydb_plain_strings(mydb_column_type(c));
    unsigned n = 0;
    for (const char *p = plain == NULL ? NULL : strchr(plain, '\''); p != NULL; p = strchr(p, '\'')) {
        for (p++; *p != '\0' && (*p != '\'' || p[1] == '\''); p++) {
            p += *p == '\'';
        }
        p += *p != '\0';
        n++;
    }
    return n;
}

static void put_enum_test(struct zdm_buffer *b, const char *value, const struct mydb_column *to)
{
    unsigned n = labels_of(to);
    uint64_t last = strcmp(to->base, "set") != 0 ? n : n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
    zdm_buffer_printf(b, "%s + 0 <= %" PRIu64, value, last);
}

/* A double(10,2) rounds, and what is large is out of its range. */
static enum mydb_fit fit_float(const struct mydb_column *from, const struct mydb_column *to)
{
    bool holds = strcmp(to->base, "double") == 0 && strchr(to->type, '(') == NULL;
    return holds && (from->is_unsigned || !to->is_unsigned) ? MYDB_FITS : MYDB_FITS_NOT;
}

/* ---- All of them ---- */

static bool is_number(const struct mydb_column *c)
{
    return c->family == MYDB_INTEGER || c->family == MYDB_DECIMAL;
}

enum mydb_fit mydb_fit(const struct mydb_column *from, const struct mydb_column *to)
{
    if (strcmp(mydb_column_type(from), mydb_column_type(to)) == 0 && strcmp(from->charset, to->charset) == 0 &&
        from->family == to->family) {
        return MYDB_FITS;
    }
    if (is_number(from) && is_number(to)) {
        return fit_number(from, to);
    }
    if (from->family != to->family) {
        return MYDB_FITS_NOT;
    }
    switch (from->family) {
    case MYDB_TEXT:
        return fit_text(from, to);
    case MYDB_BINARY:
        return fit_binary(from, to);
    case MYDB_TIME:
        return fit_time(from, to);
    case MYDB_ENUM:
        return fit_enum(from, to);
    case MYDB_BIT:
        return from->precision <= to->precision ? MYDB_FITS : MYDB_FITS_SOMETIMES;
    case MYDB_FLOAT:
        return fit_float(from, to);
    case MYDB_INTEGER:
    case MYDB_DECIMAL:
    case MYDB_JSON:
    case MYDB_NATIVE:
    case MYDB_OTHER:
        break;
    }
    return MYDB_FITS_NOT;
}

static void put_test(struct zdm_buffer *b, const char *value, const struct mydb_column *from,
                     const struct mydb_column *to)
{
    if (mydb_fit(from, to) == MYDB_FITS_NOT) {
        zdm_buffer_puts(b, "FALSE");
    } else if (is_number(to)) {
        put_number_test(b, value, to);
    } else if (to->family == MYDB_TEXT) {
        put_text_test(b, value, from, to);
    } else if (to->family == MYDB_BINARY) {
        zdm_buffer_printf(b, "LENGTH(%s) %s %" PRIu64, value, strcmp(to->base, "binary") == 0 ? "=" : "<=", to->length);
    } else if (to->family == MYDB_TIME) {
        static const unsigned units[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
        zdm_buffer_printf(b, "MICROSECOND(%s) MOD %u = 0", value, units[to->fraction > 6 ? 6 : to->fraction]);
    } else if (to->family == MYDB_BIT) {
        zdm_buffer_printf(b, "%s + 0 <= %" PRIu64, value,
                          to->precision >= 64 ? UINT64_MAX : (UINT64_C(1) << to->precision) - 1);
    } else if (to->family == MYDB_ENUM) {
        put_enum_test(b, value, to);
    } else {
        zdm_buffer_puts(b, "FALSE");
    }
}

void mydb_put_fits(struct zdm_buffer *b, const char *value, const struct mydb_column *from,
                   const struct mydb_column *to)
{
    bool sometimes = mydb_fit(from, to) != MYDB_FITS;
    if (sometimes) {
        zdm_buffer_printf(b, "(%s IS NULL OR (", value);
        put_test(b, value, from, to);
        zdm_buffer_puts(b, "))");
    }
    if (to->not_null) {
        zdm_buffer_printf(b, "%s%s IS NOT NULL", sometimes ? " AND " : "", value);
    } else if (!sometimes) {
        zdm_buffer_puts(b, "TRUE");
    }
}
