/*
 * body.c - does the body of a trigger use a table? (trash.h)
 *
 * A name is the table's where a statement has tables: behind FROM, JOIN, INTO, UPDATE and their like, and behind commas
 * and parentheses of such a list. A column, a variable, a text or a comment that is called like it is none.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "agent/engine/mysql/hide/trash.h"

enum { DEPTH = 32 };

struct word {
    const char *at;
    size_t n;
    bool quoted;
    char sign; /* '\0': it is a word */
};

struct scan {
    const char *p;
    bool place;       /* the next word is a table */
    bool key;         /* the word before was KEY: ON DUPLICATE KEY UPDATE names columns */
    bool list[DEPTH]; /* in a list of tables, by parentheses */
    size_t depth;
};

static bool is_word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* ---- Words ---- */

static const char *behind_line(const char *p)
{
    return p + strcspn(p, "\n");
}

/* Blanks, and comments; what is in a versioned one is read. */
static const char *skip_blanks(const char *p)
{
    for (;;) {
        const char *comment_end = strncmp(p, "/*", 2) == 0 ? strstr(p + 2, "*/") : NULL;
        if (isspace((unsigned char)*p)) {
            p++;
        } else if (*p == '#' || (strncmp(p, "--", 2) == 0 && (p[2] == '\0' || isspace((unsigned char)p[2])))) {
            p = behind_line(p);
        } else if (strncmp(p, "/*!", 3) == 0 || strncmp(p, "/*M!", 4) == 0) {
            p += strcspn(p, "!") + 1;
            p += strspn(p, "0123456789");
        } else if (strncmp(p, "*/", 2) == 0) {
            p += 2;
        } else if (comment_end != NULL) {
            p = comment_end + 2;
        } else {
            return p;
        }
    }
}

/* p: at the quote. A backslash is one of an ordinary mode: with another a text that ends in it reads on. */
static const char *behind_quoted(const char *p)
{
    char quote = *p++;
    while (*p != '\0' && (*p != quote || p[1] == quote)) {
        bool two = *p == quote || (*p == '\\' && quote != '`' && p[1] != '\0');
        p += two ? 2 : 1;
    }
    return *p == '\0' ? p : p + 1;
}

static bool next_word(const char **p, struct word *out)
{
    const char *from = *p = skip_blanks(*p);
    *out = (struct word){.at = from};
    if (*from == '\0') {
        return false;
    }
    if (*from == '\'' || *from == '`' || *from == '"') {
        *p = behind_quoted(from);
        out->quoted = true;
        out->sign = *from == '\'' ? '\'' : '\0';
        out->at = from + 1;
        out->n = (size_t)(*p - from) < 2 ? 0 : (size_t)(*p - from) - 2;
    } else if (is_word_char(*from)) {
        while (is_word_char(**p)) {
            (*p)++;
        }
        out->n = (size_t)(*p - from);
    } else {
        out->sign = *from;
        (*p)++;
    }
    return true;
}

static bool is_one_of(const struct word *word, const char *const *words)
{
    for (; *words != NULL && !word->quoted; words++) {
        if (strlen(*words) == word->n && strncasecmp(*words, word->at, word->n) == 0) {
            return true;
        }
    }
    return false;
}

/* A quote in a name is doubled in the text. */
static bool is_name(const struct word *word, const char *name)
{
    char quote = word->quoted ? word->at[-1] : '\0';
    size_t i = 0;
    for (; i < word->n && *name != '\0'; i++, name++) {
        if (tolower((unsigned char)word->at[i]) != tolower((unsigned char)*name)) {
            return false;
        }
        i += word->quoted && word->at[i] == quote;
    }
    return i == word->n && *name == '\0';
}

/* ---- Places ---- */

static void take_sign(struct scan *s, char sign)
{
    if (sign == '(' && s->depth + 1 < DEPTH) {
        s->list[s->depth + 1] = s->list[s->depth];
        s->depth++;
    } else if (sign == ')' && s->depth > 0) {
        s->depth--;
    } else if (sign == ';') {
        s->list[s->depth] = false;
    }
    s->place = s->list[s->depth] && (sign == '(' || sign == ',');
}

/* False: it is no word of a statement, but a name. */
static bool take_keyword(struct scan *s, const struct word *word)
{
    static const char *const lists[] = {"FROM", "JOIN", "STRAIGHT_JOIN", "UPDATE", NULL};
    static const char *const ends[] = {"SELECT", "WHERE",  "SET", "ON",    "USING", "VALUES", "VALUE", "GROUP",
                                       "ORDER",  "HAVING", "FOR", "LIMIT", "THEN",  "DO",     NULL};
    static const char *const ones[] = {"INTO", "INSERT", "REPLACE", NULL};
    static const char *const between[] = {"IGNORE", "LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "ONLY", NULL};
    static const char *const key[] = {"KEY", NULL};
    bool columns = s->key;
    s->key = is_one_of(word, key);
    if (s->key) {
        s->place = false;
    } else if (is_one_of(word, lists)) {
        s->place = s->list[s->depth] = !columns;
    } else if (is_one_of(word, ends)) {
        s->place = s->list[s->depth] = false;
    } else if (is_one_of(word, ones)) {
        s->place = true;
    } else {
        return s->place && is_one_of(word, between);
    }
    return true;
}

bool mydb_body_uses(const char *body, const char *database, const char *table)
{
    struct scan s = {.p = body};
    struct word word, next;
    while (next_word(&s.p, &word)) {
        if (word.sign != '\0') {
            take_sign(&s, word.sign);
            continue;
        }
        const char *behind = s.p;
        bool qualified = next_word(&behind, &next) && next.sign == '.' && next_word(&behind, &next);
        s.p = qualified ? behind : s.p;
        if (!qualified && take_keyword(&s, &word)) {
            continue;
        }
        if (s.place && (qualified ? is_name(&word, database) && is_name(&next, table) : is_name(&word, table))) {
            return true;
        }
        s.place = s.key = false;
    }
    return false;
}
