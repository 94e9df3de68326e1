/*
 * retarget.c - see retarget.h. Tokens end where common/plan/form.h says: what was judged as one statement is one here.
 */
#include "agent/engine/postgresql/clone/retarget.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/plan/form.h"

/* Behind the word, quoted text, comment or single character that begins at c. */
static const char *skip_token(const char *c)
{
    return c + zdm_sql_token_end(c, strlen(c), 0);
}

/* Blanks and comments. */
static const char *skip_space(const char *c)
{
    while (isspace((unsigned char)*c) || (*c == '-' && c[1] == '-') || (*c == '/' && c[1] == '*')) {
        c = skip_token(c);
    }
    return c;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* Behind the word, or NULL. */
static const char *skip_word(const char *c, const char *word)
{
    size_t n = strlen(word);
    if (c == NULL) {
        return NULL;
    }
    c = skip_space(c);
    return strncasecmp(c, word, n) == 0 && !is_word(c[n]) ? c + n : NULL;
}

static const char *skip_words(const char *c, const char *a, const char *b)
{
    const char *next = skip_word(c, a);
    next = next == NULL || b == NULL ? next : skip_word(next, b);
    return next == NULL ? c : next;
}

/* Reads one identifier, folded and unquoted as the server does; NULL when there is none. */
static const char *read_identifier(const char *c, char out[ZDM_IDENTIFIER_MAX + 1])
{
    size_t n = 0;
    bool quoted = *(c = skip_space(c)) == '"';
    for (c += quoted; *c != '\0'; c++) {
        if (quoted && *c == '"' && c[1] != '"') {
            break;
        }
        if (!quoted && !is_word(*c)) {
            break;
        }
        c += quoted && *c == '"';
        if (n == ZDM_IDENTIFIER_MAX) {
            return NULL;
        }
        out[n++] = quoted ? *c : (char)tolower((unsigned char)*c);
    }
    out[n] = '\0';
    if (n == 0 || (quoted && *c != '"')) {
        return NULL;
    }
    return c + quoted;
}

/* Behind a name of one or two parts, which must be the table's; NULL when it is not. table NULL: any. */
static const char *skip_table(const char *c, const struct zdm_table *table)
{
    char first[ZDM_IDENTIFIER_MAX + 1], second[ZDM_IDENTIFIER_MAX + 1];
    c = c == NULL ? NULL : read_identifier(c, first);
    bool qualified = c != NULL && *skip_space(c) == '.';
    if (qualified) {
        c = read_identifier(skip_space(c) + 1, second);
    }
    if (c == NULL || table == NULL) {
        return c;
    }
    bool same =
        (!qualified || strcmp(first, table->schema) == 0) && strcmp(qualified ? second : first, table->name) == 0;
    return same ? c : NULL;
}

bool pgsql_retarget(struct zdm_buffer *out, const char *sql, const struct zdm_table *table, const char *other)
{
    const char *c = skip_word(skip_word(sql, "ALTER"), "TABLE");
    if (c == NULL) {
        return false;
    }
    c = skip_table(skip_words(skip_words(c, "IF", "EXISTS"), "ONLY", NULL), table);
    if (c == NULL) {
        return false;
    }
    zdm_buffer_printf(out, "ALTER TABLE %s %s", other, c);
    return true;
}

/* The place of a word outside of quotes and parentheses, NULL for none. */
static const char *find_word(const char *sql, const char *word)
{
    int depth = 0;
    for (const char *c = sql; *c != '\0'; c = skip_token(c)) {
        depth += (*c == '(') - (*c == ')');
        if (depth == 0 && is_word(*c) && skip_word(c, word) != NULL) {
            return c;
        }
    }
    return NULL;
}

/* The table's name begins behind `at`. */
static bool replace(struct zdm_buffer *out, const char *sql, const char *at, const struct zdm_table *table,
                    const char *other)
{
    const char *rest = skip_table(at, table);
    if (rest == NULL) {
        return false;
    }
    zdm_buffer_append(out, sql, (size_t)(at - sql));
    zdm_buffer_printf(out, " %s%s", other, rest);
    return true;
}

bool pgsql_retarget_reference(struct zdm_buffer *out, const char *sql, const struct zdm_table *parent,
                              const char *other)
{
    const char *at = find_word(sql, "REFERENCES");
    return at != NULL && replace(out, sql, skip_word(at, "REFERENCES"), parent, other);
}

bool pgsql_retarget_partition(struct zdm_buffer *out, const char *sql, const char *word, const struct zdm_table *child,
                              const char *other)
{
    const char *at = find_word(sql, word);
    at = at == NULL ? NULL : skip_word(skip_word(at, word), "PARTITION");
    return at != NULL && replace(out, sql, at, child, other);
}

bool pgsql_retarget_index(struct zdm_buffer *out, const char *sql, const struct zdm_table *table, const char *other)
{
    char name[ZDM_IDENTIFIER_MAX + 1];
    const char *c = skip_word(sql, "CREATE");
    const char *unique = c == NULL ? NULL : skip_word(c, "UNIQUE");
    c = skip_word(unique == NULL ? c : unique, "INDEX");
    if (c == NULL) {
        return false;
    }
    const char *begin = skip_space(skip_words(c, "CONCURRENTLY", NULL));
    const char *end = read_identifier(begin, name);
    c = end == NULL ? NULL : skip_word(end, "ON");
    c = c == NULL ? NULL : skip_table(skip_words(c, "ONLY", NULL), table);
    if (c == NULL) {
        return false;
    }
    zdm_buffer_printf(out, "CREATE %sINDEX %.*s ON %s%s", unique == NULL ? "" : "UNIQUE ", (int)(end - begin), begin,
                      other, c);
    return true;
}

bool pgsql_retarget_head(struct zdm_buffer *out, const char *sql, const char *word, const char *second,
                         const struct zdm_table *name, const char *other)
{
    const char *c = skip_word(skip_word(sql, word), second);
    c = c == NULL ? NULL : skip_table(c, name);
    if (c == NULL) {
        return false;
    }
    zdm_buffer_printf(out, "%s %s %s%s", word, second, other, c);
    return true;
}

/* Behind the name at c, where a rename fits it; NULL where none does. */
static const char *find_rename(const char *c, bool referenced, const struct pgsql_rename *renames, size_t n,
                               const char **out_to)
{
    for (size_t i = 0; i < n; i++) {
        char first[ZDM_IDENTIFIER_MAX + 1];
        const char *end = renames[i].referenced == referenced ? skip_table(c, &renames[i].from) : NULL;
        const char *part = end == NULL ? NULL : read_identifier(c, first);
        bool qualified = part != NULL && *skip_space(part) == '.';
        if (end != NULL && (referenced || (qualified && *end != '.'))) {
            *out_to = renames[i].to;
            return end;
        }
    }
    return NULL;
}

void pgsql_retarget_names(struct zdm_buffer *out, const char *sql, const struct pgsql_rename *renames, size_t n)
{
    bool referenced = false, inner = false;
    for (const char *c = sql, *next; *c != '\0'; c = next) {
        const char *to = NULL, *end = NULL;
        bool name = is_word(*c) || *c == '"';
        next = skip_token(c);
        if (name && !inner) {
            end = find_rename(c, referenced, renames, n, &to);
            end = end == NULL && referenced ? find_rename(c, false, renames, n, &to) : end;
        }
        if (end != NULL) {
            zdm_buffer_puts(out, to);
            next = end;
        } else {
            zdm_buffer_append(out, c, (size_t)(next - c));
        }
        inner = *c == '.';
        referenced = is_word(*c) ? skip_word(c, "REFERENCES") == next : referenced && isspace((unsigned char)*c);
    }
}

bool pgsql_next_statement(const char **sql, struct zdm_buffer *out)
{
    const char *begin = skip_space(*sql), *c = begin;
    int depth = 0;
    while (*c != '\0' && (*c != ';' || depth > 0)) {
        depth += (*c == '(') - (*c == ')');
        c = skip_token(c);
    }
    zdm_buffer_reset(out);
    zdm_buffer_append(out, begin, (size_t)(c - begin));
    *sql = *c == ';' ? c + 1 : c;
    return c != begin || *c == ';';
}

const char *pgsql_next_command(const char *commands)
{
    int depth = 0;
    for (const char *c = commands; *c != '\0'; c = skip_token(c)) {
        depth += (*c == '(' || *c == '[') - (*c == ')' || *c == ']');
        if (*c == ',' && depth == 0) {
            return c + 1;
        }
    }
    return NULL;
}

bool pgsql_begins_with(const char *sql, const char *words)
{
    char word[32];
    for (const char *c = sql; *words != '\0';) {
        size_t n = strcspn(words, " ");
        if (n >= sizeof word) {
            return false;
        }
        memcpy(word, words, n);
        word[n] = '\0';
        c = skip_word(c, word);
        if (c == NULL) {
            return false;
        }
        words += n + (words[n] == ' ');
    }
    return true;
}
