/*
 * scan.c - see scan.h.
 */
#include "common/plan/scan.h"

#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static char peek(const struct zdm_scan *s, size_t i)
{
    return i < s->n ? s->sql[i] : '\0';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_same(const struct zdm_scan *s, const char *word, size_t n)
{
    bool same = s->at - s->start == n;
    for (size_t i = 0; same && i < n; i++)
        same = lower(s->sql[s->start + i]) == word[i];
    return same;
}

bool zdm_scan_is(const struct zdm_scan *s, const char *word)
{
    return is_same(s, word, strlen(word));
}

const char *zdm_scan_among(const struct zdm_scan *s, const char *words)
{
    for (const char *w = words; *w != '\0'; w += strcspn(w, " "), w += *w == ' ') {
        if (is_same(s, w, strcspn(w, " ")))
            return w;
    }
    return NULL;
}

/* From the quote at `at`. A text of escapes may go on behind a line end, where its escapes go on too: not taken. */
static enum zdm_token take_quoted(struct zdm_scan *s, bool escapes)
{
    char quote = s->sql[s->at++];
    for (; s->at < s->n; s->at++) {
        if (escapes && s->sql[s->at] == '\\')
            s->at++;
        else if (s->sql[s->at] == quote && peek(s, s->at + 1) == quote)
            s->at++;
        else if (s->sql[s->at] == quote)
            break;
    }
    if (s->at >= s->n)
        return ZDM_TOKEN_BROKEN;
    size_t behind = ++s->at;
    while (escapes && is_blank(peek(s, behind)))
        behind++;
    bool goes_on = escapes && (peek(s, behind) == '\'' || (peek(s, behind) == '-' && peek(s, behind + 1) == '-'));
    return goes_on ? ZDM_TOKEN_BROKEN : ZDM_TOKEN_TEXT;
}

/* $$ … $$ and $tag$ … $tag$; a lone $ is a sign. */
static enum zdm_token take_dollar(struct zdm_scan *s)
{
    size_t end = s->at + 1;
    while (is_letter(peek(s, end)) || (end > s->at + 1 && is_digit(peek(s, end))))
        end++;
    if (peek(s, end) != '$') {
        s->at++;
        return ZDM_TOKEN_SIGN;
    }
    size_t n = end + 1 - s->at;
    for (size_t i = end + 1; i + n <= s->n; i++)
        if (memcmp(s->sql + i, s->sql + s->at, n) == 0) {
            s->at = i + n;
            return ZDM_TOKEN_TEXT;
        }
    return ZDM_TOKEN_BROKEN;
}

/* Comments in slashes nest. */
static enum zdm_token take_comment(struct zdm_scan *s)
{
    unsigned open = 0;
    if (s->sql[s->at] == '-') {
        while (s->at < s->n && s->sql[s->at] != '\n' && s->sql[s->at] != '\r')
            s->at++;
        return ZDM_TOKEN_COMMENT;
    }
    do {
        bool opens = peek(s, s->at) == '/' && peek(s, s->at + 1) == '*';
        bool closes = peek(s, s->at) == '*' && peek(s, s->at + 1) == '/';
        open += opens;
        open -= closes;
        s->at += opens || closes ? 2 : 1;
    } while (open > 0 && s->at < s->n);
    return open > 0 || s->at > s->n ? ZDM_TOKEN_BROKEN : ZDM_TOKEN_COMMENT;
}

static enum zdm_token take_word(struct zdm_scan *s)
{
    bool number = is_digit(s->sql[s->at]);
    while (is_letter(peek(s, s->at)) || is_digit(peek(s, s->at)) || (!number && peek(s, s->at) == '$'))
        s->at++;
    char next = peek(s, s->at);
    if (number && (next == '\'' || next == '$'))
        return ZDM_TOKEN_BROKEN;
    if (next == '\'' && zdm_scan_is(s, "e"))
        return take_quoted(s, true);
    return ZDM_TOKEN_WORD;
}

static enum zdm_token take_sign(struct zdm_scan *s)
{
    char c = s->sql[s->at++];
    s->depth += (c == '(' || c == '[') - (c == ')' || c == ']');
    return ZDM_TOKEN_SIGN;
}

static enum zdm_token next_postgresql(struct zdm_scan *s, char c, char behind)
{
    if (c == '\'' || c == '"')
        return take_quoted(s, false);
    if (is_letter(c) || is_digit(c))
        return take_word(s);
    if (c == '$')
        return take_dollar(s);
    if ((c == '-' && behind == '-') || (c == '/' && behind == '*'))
        return take_comment(s);
    return take_sign(s);
}

/* MySQL's quotes: a backslash is a letter in a plan. In front of a quote whoever does not know that would read on:
 * there it does not stand. */
static enum zdm_token take_mysql_quoted(struct zdm_scan *s)
{
    size_t from = s->at;
    enum zdm_token token = take_quoted(s, false);
    for (size_t i = from; token == ZDM_TOKEN_TEXT && s->sql[from] == '\'' && i + 1 < s->at; i++)
        if (s->sql[i] == '\\' && s->sql[i + 1] == '\'')
            return ZDM_TOKEN_BROKEN;
    return token;
}

/* What nothing of a plan is written with, and what settings or releases read in two ways: text in double quotes (a
 * name with ANSI_QUOTES), comments (some of which are run), variables, marks of statements that are prepared. */
static enum zdm_token next_mysql(struct zdm_scan *s, char c, char behind)
{
    if (c == '\'' || c == '`')
        return take_mysql_quoted(s);
    if (is_letter(c) || is_digit(c) || c == '$') {
        while (is_letter(peek(s, s->at)) || is_digit(peek(s, s->at)) || peek(s, s->at) == '$')
            s->at++;
        return ZDM_TOKEN_WORD;
    }
    bool comment =
        c == '#' || (c == '-' && behind == '-') || (c == '/' && behind == '*') || (c == '*' && behind == '/');
    if (comment || strchr("\"\\@?[]{}", c) != NULL) {
        s->at++;
        return ZDM_TOKEN_BROKEN;
    }
    return take_sign(s);
}

enum zdm_token zdm_scan_next(struct zdm_scan *s)
{
    char c = peek(s, s->at), behind = peek(s, s->at + 1);
    s->start = s->at;
    if (s->at >= s->n)
        return ZDM_TOKEN_END;
    if (is_blank(c)) {
        s->at++;
        return ZDM_TOKEN_BLANK;
    }
    return s->engine == ZDM_ENGINE_MYSQL ? next_mysql(s, c, behind) : next_postgresql(s, c, behind);
}

bool zdm_scan_word(struct zdm_scan *s)
{
    enum zdm_token token;
    do
        token = zdm_scan_next(s);
    while (token == ZDM_TOKEN_BLANK || token == ZDM_TOKEN_COMMENT);
    return token == ZDM_TOKEN_WORD;
}
