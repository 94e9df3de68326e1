/*
 * cursor.c - walking over the tokens of a statement.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/runbook/mysql/parse.h"

const struct my_token *my_peek(const struct my *m, size_t ahead)
{
    return &m->tokens[m->at + ahead < m->n ? m->at + ahead : m->n];
}

struct rb_place my_place(const struct my *m, size_t token)
{
    if (token > m->n)
        token = m->n;
    return rb_at(&m->s, (int)m->tokens[token].start);
}

struct rb_place my_here(const struct my *m)
{
    return my_place(m, m->at);
}

bool my_is(const struct my *m, size_t ahead, const char *word)
{
    const struct my_token *token = my_peek(m, ahead);
    return token->kind == MY_WORD && rb_same_word(token->value, word);
}

bool my_is_sign(const struct my *m, size_t ahead, const char *sign)
{
    const struct my_token *token = my_peek(m, ahead);
    return token->kind == MY_SIGN && strcmp(token->value, sign) == 0;
}

bool my_take(struct my *m, const char *words)
{
    size_t taken = 0;
    for (const char *p = words; *p != '\0' && !m->failed;) {
        char word[32];
        size_t n = strcspn(p, " ");
        (void)snprintf(word, sizeof word, "%.*s", (int)n, p);
        if (!my_is(m, taken, word))
            return false;
        taken++;
        p += n + (p[n] == ' ');
    }
    if (m->failed)
        return false;
    m->at += taken;
    return true;
}

bool my_take_sign(struct my *m, const char *sign)
{
    if (m->failed || !my_is_sign(m, 0, sign))
        return false;
    m->at++;
    return true;
}

void my_fail(struct my *m, const char *rule, struct rb_place at, const char *hint, const char *fmt, ...)
{
    if (m->failed)
        return;
    va_list args;
    va_start(args, fmt);
    char *text = NULL;
    if (vasprintf(&text, fmt, args) < 0)
        abort(); /* out of memory: see runbook.h */
    va_end(args);
    rb_report(m->rb, ZDM_LEVEL_ERROR, rule, at, hint, "%s", text);
    free(text);
    m->failed = true;
}

/* As people see it, in one short line. */
static const char *token_text(const struct my *m, const struct my_token *token)
{
    size_t n = token->end - token->start, line = strcspn(m->s.sql + token->start, "\r\n");
    if (token->kind == MY_END)
        return "the end";
    if (line < n)
        n = line;
    return rb_format(m->rb, "\"%.*s%s\"", (int)(n < 40 ? n : 40), m->s.sql + token->start, n < 40 ? "" : "…");
}

void my_unexpected(struct my *m, const char *expected)
{
    static const char *const verbs[] = {"alter", "update", "create", "select", "drop", "delete", "insert"};
    bool verb = false;
    if (m->rb->neutral && !m->failed) {
        rb_not_neutral(m->rb, my_here(m), "MySQL and MariaDB do not read this: %s stands where %s is expected",
                       token_text(m, my_peek(m, 0)), expected);
        m->failed = true;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        verb = verb || my_is(m, 0, verbs[i]);
    my_fail(m, "sql-syntax", my_here(m),
            my_peek(m, 0)->kind == MY_END ? "The statement is not complete; a ; may stand too early."
            : verb && m->at > 0           ? "Put a ; between two statements."
                                : "What a runbook may hold for MySQL and MariaDB is in docs/RUNBOOKS.md; a name that "
                                  "is a word of the language is written in backquotes.",
            "%s stands where %s is expected", token_text(m, my_peek(m, 0)), expected);
}

void my_need(struct my *m, const char *words)
{
    if (!my_take(m, words)) {
        char upper[64];
        size_t n = 0;
        for (; words[n] != '\0' && n + 1 < sizeof upper; n++)
            upper[n] = words[n] >= 'a' && words[n] <= 'z' ? (char)(words[n] - 'a' + 'A') : words[n];
        upper[n] = '\0';
        my_unexpected(m, upper);
    }
}

void my_need_sign(struct my *m, const char *sign)
{
    if (!my_take_sign(m, sign))
        my_unexpected(m, rb_format(m->rb, "\"%s\"", sign));
}

void my_need_end(struct my *m)
{
    if (!m->failed && my_peek(m, 0)->kind != MY_END)
        my_unexpected(m, "the end of the statement");
}

const char *my_name(struct my *m, const char *what)
{
    const struct my_token *token = my_peek(m, 0);
    bool reserved = false;
    if (m->failed)
        return NULL;
    if (token->kind == MY_WORD) {
        char *low = rb_copy(m->rb, token->value, strlen(token->value));
        for (char *p = low; *p != '\0'; p++)
            *p = rb_lower(*p);
        reserved = rb_mysql_is_reserved(low);
    }
    if ((token->kind != MY_WORD && token->kind != MY_NAME) || reserved) {
        my_unexpected(m, what);
        return NULL;
    }
    m->at++;
    if (strlen(token->value) > ZDM_IDENTIFIER_MAX) {
        my_fail(m, "name-long", my_place(m, m->at - 1), "Shorten it.", "a name has more than %d bytes",
                ZDM_IDENTIFIER_MAX);
        return NULL;
    }
    return token->value;
}

const char *my_text(struct my *m, const char *what)
{
    const struct my_token *token = my_peek(m, 0);
    if (m->failed)
        return NULL;
    if (token->kind != MY_TEXT || token->charset != NULL) {
        my_unexpected(m, what);
        return NULL;
    }
    if (!my_is_plain(token->value))
        my_refuse_text(m, m->at);
    m->at++;
    return token->value;
}

void my_refuse_text(struct my *m, size_t token)
{
    my_fail(m, "text-backslash", my_place(m, token), "Put another character behind the backslash, or leave it out.",
            "a backslash in front of a quote is another text for a session that reads backslashes");
}

static bool is_of_system(const char *name)
{
    static const char *const names[] = {"mysql", "sys", "performance_schema", "information_schema", "zdm"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (rb_same_word(name, names[i]))
            return true;
    }
    return false;
}

bool my_table(struct my *m, struct rb_table *out)
{
    struct rb_place at = my_here(m);
    const char *name = my_name(m, "the name of a table");
    if (name != NULL && my_is_sign(m, 0, ".")) {
        if (is_of_system(name))
            my_fail(m, "system-table", at, "Change tables of the application only.", "%s belongs to the system", name);
        else
            my_fail(m, "other-database", at,
                    "Leave the database's name out: an agent works in the database that it is connected to.",
                    "the table is named with its database %s", name);
    }
    for (const char *p = name == NULL || !m->rb->neutral ? "" : name; *p != '\0'; p++) {
        if (*p < 'A' || *p > 'Z')
            continue;
        rb_not_neutral(m->rb, at, "PostgreSQL reads %s in small letters, and MySQL as it is written", name);
        break;
    }
    *out = (struct rb_table){"", name == NULL ? "" : name};
    m->failed = m->failed || !rb_may_change(&m->s, out, at);
    return !m->failed;
}

const char *my_column_name(struct rb *rb, const struct rb_table *table, const char *name)
{
    for (const struct rb_column *c = rb->columns; c != NULL; c = c->next) {
        if (rb_same_table(&c->table, table) && rb_same_word(c->name, name))
            return c->name;
    }
    return rb_column_of(rb, table, name)->name;
}

const char *my_column(struct my *m, const struct rb_table *table)
{
    const char *name = my_name(m, "the name of a column");
    return name == NULL ? NULL : my_column_name(m->rb, table, name);
}

void my_skip_parentheses(struct my *m)
{
    size_t depth = 0;
    if (!my_is_sign(m, 0, "("))
        my_unexpected(m, "\"(\"");
    while (!m->failed) {
        if (my_peek(m, 0)->kind == MY_END) {
            my_unexpected(m, "\")\"");
            return;
        }
        depth += my_is_sign(m, 0, "(");
        depth -= my_is_sign(m, 0, ")");
        m->at++;
        if (depth == 0)
            return;
    }
}

const char *my_source(const struct my *m, size_t from, size_t end)
{
    if (end <= from)
        return "";
    size_t start = m->tokens[from].start;
    return rb_copy(m->rb, m->s.sql + start, m->tokens[end - 1].end - start);
}
