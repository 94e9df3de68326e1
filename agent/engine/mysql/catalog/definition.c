/*
 * definition.c - a scanner over the output of SHOW CREATE TABLE (definition.h).
 */
#include "agent/engine/mysql/catalog/definition.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/base/buffer.h"

/* The end of what is quoted at p, behind the closing quote. Backslashes escape, but not within backquotes. */
static const char *behind_quoted(const char *p)
{
    char quote = *p++;
    while (*p != '\0') {
        if (*p == '\\' && quote != '`' && p[1] != '\0') {
            p += 2;
        } else if (*p == quote && p[1] == quote) {
            p += 2;
        } else if (*p++ == quote) {
            break;
        }
    }
    return p;
}

static bool is_quote(char c)
{
    return c == '\'' || c == '"' || c == '`';
}

/* The end of one thing: quoted text, a parenthesis with all that is in it, a comment, or one character. */
static const char *behind_one(const char *p)
{
    if (is_quote(*p)) {
        return behind_quoted(p);
    }
    if (p[0] == '/' && p[1] == '*') {
        const char *end = strstr(p, "*/");
        return end == NULL ? p + strlen(p) : end + 2;
    }
    if (*p != '(') {
        return p + 1;
    }
    for (p++; *p != '\0' && *p != ')';) {
        p = behind_one(p);
    }
    return *p == ')' ? p + 1 : p;
}

/* A word, or the like, up to the next blank outside of quotes and parentheses. */
static const char *behind_word(const char *p)
{
    while (*p != '\0' && !isspace((unsigned char)*p)) {
        p = behind_one(p);
    }
    return p;
}

static const char *skip_blanks(const char *p)
{
    while (isspace((unsigned char)*p)) {
        p++;
    }
    return p;
}

static bool word_is(const char *p, const char *end, const char *word)
{
    return (size_t)(end - p) == strlen(word) && strncasecmp(p, word, (size_t)(end - p)) == 0;
}

static const char names_of_escapes[] = "0nrtbZ";
static const char values_of_escapes[] = "\0\n\r\t\b\032";

/* One character behind a backslash, as the text has it. */
static void put_escaped(struct zdm_buffer *b, char escaped)
{
    const char *at = strchr(names_of_escapes, escaped);
    char value = at == NULL ? escaped : values_of_escapes[at - names_of_escapes];
    if (escaped == '%' || escaped == '_') {
        zdm_buffer_puts(b, "\\");
    }
    zdm_buffer_append(b, &value, 1);
}

/* What the string between the quotes at p and end - 1 says. */
static void read_string(struct zdm_buffer *b, const char *p, const char *end)
{
    char quote = *p;
    for (p++; p < end - 1; p++) {
        if (*p == '\\' && p + 1 < end - 1) {
            put_escaped(b, *++p);
        } else {
            zdm_buffer_append(b, p, 1);
            p += *p == quote;
        }
    }
}

/* As '…' with doubled quotes; what has a NUL in it by its bytes. */
static void put_string(struct zdm_buffer *b, const char *p, const char *end)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer text = ZDM_BUFFER_INIT;
    read_string(&text, p, end);
    bool bytes = text.len > 0 && memchr(text.data, '\0', text.len) != NULL;
    b->failed = b->failed || text.failed;
    zdm_buffer_puts(b, bytes ? "X'" : "'");
    for (size_t i = 0; i < text.len; i++) {
        if (bytes) {
            zdm_buffer_printf(b, "%02x", text.data[i]);
        } else {
            zdm_buffer_append(b, text.data[i] == '\'' ? "''" : (const char *)&text.data[i],
                              text.data[i] == '\'' ? 2 : 1);
        }
    }
    zdm_buffer_puts(b, "'");
}

static void put_plain(struct zdm_buffer *b, const char *p, const char *stop)
{
    while (p < stop) {
        const char *end = is_quote(*p) ? behind_quoted(p) : p + 1;
        if (*p == '\'' || *p == '"') {
            put_string(b, p, end);
        } else {
            zdm_buffer_append(b, p, (size_t)(end - p));
        }
        p = end;
    }
}

char *mydb_plain_strings(const char *sql)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer b = ZDM_BUFFER_INIT;
    put_plain(&b, sql, sql + strlen(sql));
    return b.len == 0 ? zdm_strdup("") : zdm_buffer_take(&b);
}

/* MySQL wraps it in a comment with a version. */
static bool is_invisible(const char *p, const char *end)
{
    const char *inside = p;
    if (end - p > 5 && strncmp(p, "/*!", 3) == 0) {
        for (inside = p + 3; isdigit((unsigned char)*inside);) {
            inside++;
        }
        inside = skip_blanks(inside);
        return strncasecmp(inside, "INVISIBLE", 9) == 0 && strcspn(inside, " *") == 9;
    }
    return word_is(p, end, "INVISIBLE");
}

/* Word by word, INVISIBLE left out. */
static char *without_invisible(const char *p, const char *stop)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer b = ZDM_BUFFER_INIT;
    for (p = skip_blanks(p); p < stop; p = skip_blanks(p)) {
        const char *end = behind_word(p);
        end = end > stop ? stop : end;
        if (!is_invisible(p, end)) {
            zdm_buffer_puts(&b, b.len == 0 ? "" : " ");
            put_plain(&b, p, end);
        }
        p = end;
    }
    return zdm_buffer_take(&b);
}

/* Is the quoted name at p that of the column? The server's names of columns know no case. */
static bool name_is(const char *p, const char *end, const char *column)
{
    for (p++; p < end - 1 && *column != '\0'; p++, column++) {
        if (*p == '`') {
            p++;
        }
        if (tolower((unsigned char)*p) != tolower((unsigned char)*column)) {
            return false;
        }
    }
    return p == end - 1 && *column == '\0';
}

/* What stands behind DEFAULT: one word, which may be quoted or in parentheses. NULL is no default. */
static char *default_of(const char *p, const char *stop)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer b = ZDM_BUFFER_INIT;
    const char *end = behind_word(p = skip_blanks(p));
    while (p < stop && !word_is(p, end, "DEFAULT")) {
        p = skip_blanks(end);
        end = behind_word(p);
    }
    p = skip_blanks(end);
    end = behind_word(p);
    end = end > stop ? stop : end;
    if (p >= stop || word_is(p, end, "NULL")) {
        return NULL;
    }
    put_plain(&b, p, end);
    return zdm_buffer_take(&b);
}

char *mydb_definition_of(const char *create_table, const char *column, char **out_default)
{
    const char *p = create_table;
    *out_default = NULL;
    while (*p != '\0' && *p != '(') {
        p = is_quote(*p) ? behind_quoted(p) : p + 1;
    }
    while (*p == '(' || *p == ',') {
        p = skip_blanks(p + 1);
        const char *name = p, *behind = *p == '\0' ? p : behind_one(p);
        for (p = behind; *p != '\0' && *p != ',' && *p != ')';) {
            p = behind_one(p);
        }
        if (*name == '`' && name_is(name, behind, column)) {
            *out_default = default_of(behind, p);
            return without_invisible(behind, p);
        }
    }
    return NULL;
}
