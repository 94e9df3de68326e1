/*
 * escape.c - backslashes in texts, doubled (escape.h).
 */
#include "agent/engine/mysql/session/escape.h"

#include <string.h>

/* How far a comment or a name goes that begins here; 0: none does. A comment for the server's own version, or for
 * MariaDB, is SQL. */
static size_t span_of_other(const char *p, const char *end)
{
    const char *stop = NULL;
    if (*p == '`') {
        stop = memchr(p + 1, '`', (size_t)(end - p - 1));
        return stop == NULL ? (size_t)(end - p) : (size_t)(stop + 1 - p);
    }
    if (*p == '#' || (end - p > 2 && p[0] == '-' && p[1] == '-' && (unsigned char)p[2] <= ' ')) {
        stop = memchr(p, '\n', (size_t)(end - p));
        return stop == NULL ? (size_t)(end - p) : (size_t)(stop - p);
    }
    if (end - p > 3 && p[0] == '/' && p[1] == '*' && p[2] != '!' && !(p[2] == 'M' && p[3] == '!')) {
        stop = memmem(p + 2, (size_t)(end - p - 2), "*/", 2);
        return stop == NULL ? (size_t)(end - p) : (size_t)(stop + 2 - p);
    }
    return 0;
}

void mydb_put_escaped(struct zdm_buffer *b, const char *sql, size_t n)
{
    const char *end = sql + n;
    char quote = '\0';
    for (const char *p = sql; p < end;) {
        size_t span = quote == '\0' ? span_of_other(p, end) : 0;
        if (span == 0) {
            span = 1;
            if (quote != '\0') {
                quote = *p == quote ? '\0' : quote; /* a doubled one begins the next text at once */
            } else if (*p == '\'' || *p == '"') {
                quote = *p;
            }
        }
        zdm_buffer_append(b, p, span);
        if (quote != '\0' && *p == '\\') {
            zdm_buffer_append(b, p, 1);
        }
        p += span;
    }
}
