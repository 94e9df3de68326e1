/*
 * token.c - MySQL's text to tokens.
 *
 * People write texts with backslashes and with doubled quotes, in single and in double quotes; all of that becomes a
 * value here, and is written again without backslashes (agents pin NO_BACKSLASH_ESCAPES). What two servers or two
 * settings read differently is refused: comments that are run by some versions, hints, comments inside of comments,
 * names that begin like numbers, and whatever is not known.
 */
#include <string.h>

#include "common/runbook/mysql/parse.h"

struct scan {
    struct rb *rb;
    const struct rb_fence *fence;
    const char *text;
    size_t n, at;
    struct my_token *tokens;
    size_t n_tokens, cap;
    bool failed;
};

static void fail(struct scan *x, const char *rule, size_t byte, const char *hint, const char *message)
{
    if (!x->failed)
        rb_error(x->rb, rule, rb_place_in_fence(x->rb, x->fence, byte), hint, "%s", message);
    x->failed = true;
}

/* In a fence for two engines: the other one reads the text as something else. */
static void fail_neutral(struct scan *x, const char *message)
{
    if (!x->failed)
        rb_not_neutral(x->rb, rb_place_in_fence(x->rb, x->fence, x->at), "%s", message);
    x->failed = true;
}

static char at(const struct scan *x, size_t ahead)
{
    return x->at + ahead < x->n ? x->text[x->at + ahead] : '\0';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return rb_is_letter(c) || is_digit(c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static bool is_hex(char c)
{
    char low = rb_lower(c);
    return is_digit(c) || (low >= 'a' && low <= 'f');
}

static void add(struct scan *x, enum my_kind kind, size_t start, const char *value)
{
    if (x->n_tokens + 1 >= x->cap) {
        size_t cap = 2 * x->cap + 64;
        struct my_token *grown = rb_alloc(x->rb, cap * sizeof *grown);
        if (x->n_tokens > 0)
            memcpy(grown, x->tokens, x->n_tokens * sizeof *grown);
        x->tokens = grown;
        x->cap = cap;
    }
    x->tokens[x->n_tokens++] = (struct my_token){
        kind, start, x->at, value != NULL ? value : rb_copy(x->rb, x->text + start, x->at - start), NULL};
}

/* ---- blanks and comments ---- */

static void skip_line(struct scan *x)
{
    while (x->at < x->n && x->text[x->at] != '\n')
        x->at++;
}

static void refuse_comment(struct scan *x)
{
    if (at(x, 2) == '+')
        fail(x, "optimizer-hint", x->at, "Leave the hint out.", "hints for the optimizer are no part of a plan");
    else
        fail(x, "versioned-comment", x->at, "Write the SQL itself, or leave it out.",
             "this comment is SQL for some versions of the server, and none for others");
}

static void skip_comment(struct scan *x)
{
    size_t start = x->at;
    if (at(x, 2) == '!' || at(x, 2) == '+' || (at(x, 2) == 'M' && at(x, 3) == '!')) {
        refuse_comment(x);
        return;
    }
    for (x->at += 2; x->at < x->n; x->at++) {
        if (at(x, 0) == '*' && at(x, 1) == '/') {
            x->at += 2;
            return;
        }
        if (at(x, 0) == '/' && at(x, 1) == '*') {
            fail(x, "comment-nested", x->at, "End the first one with */, or take the inner /* away.",
                 "a comment begins inside of a comment, which would end with the first */");
            return;
        }
    }
    fail(x, "sql-syntax", start, "Close the comment with */.", "a comment has no end");
}

static bool is_line_comment(const struct scan *x)
{
    if (at(x, 0) == '#')
        return true;
    char next = at(x, 2);
    return at(x, 0) == '-' && at(x, 1) == '-' && (x->at + 2 >= x->n || (unsigned char)next <= ' ');
}

/* To one of two engines: the rest of the line would be SQL to the other one. */
static bool is_comment_of_one(const struct scan *x)
{
    return at(x, 0) == '#' || (at(x, 0) == '-' && at(x, 1) == '-' && !is_line_comment(x));
}

static void refuse_comment_of_one(struct scan *x)
{
    fail_neutral(x, at(x, 0) == '#'
                        ? "# begins a comment on MySQL, and is an operator on PostgreSQL: write a comment as -- text"
                        : "-- without a blank behind it begins a comment on PostgreSQL, and is two signs on MySQL: "
                          "write - - or a comment as -- text");
}

static void skip_blanks(struct scan *x)
{
    while (x->at < x->n && !x->failed) {
        if (rb_is_blank(at(x, 0)))
            x->at++;
        else if (x->rb->neutral && is_comment_of_one(x))
            refuse_comment_of_one(x);
        else if (is_line_comment(x))
            skip_line(x);
        else if (at(x, 0) == '/' && at(x, 1) == '*')
            skip_comment(x);
        else
            return;
    }
}

/* ---- texts and names ---- */

/* What a backslash and the character behind it mean; LIKE has its own meaning of \% and \_. */
static void put_escaped(struct scan *x, struct zdm_buffer *b, char c)
{
    static const char from[] = "nrtbZ", to[] = "\n\r\t\b\x1a";
    const char *found = c == '\0' ? NULL : strchr(from, c);
    if (c == '0')
        fail(x, "text-nul", x->at, "Write it as x'00'.", "a text cannot hold a NUL byte");
    else if (c == '%' || c == '_')
        zdm_buffer_append(b, (char[]){'\\', c}, 2);
    else
        zdm_buffer_append(b, found != NULL ? &to[found - from] : &c, 1);
}

/* From the quote at hand to behind its partner. */
static void read_quoted(struct scan *x, struct zdm_buffer *b)
{
    size_t start = x->at++;
    char quote = x->text[start];
    while (x->at < x->n && !x->failed) {
        char c = at(x, 0);
        if (c == quote && at(x, 1) == quote) {
            zdm_buffer_append(b, &c, 1);
            x->at += 2;
        } else if (c == quote) {
            x->at++;
            return;
        } else if (c == '\\' && quote != '`' && x->at + 1 < x->n) {
            put_escaped(x, b, at(x, 1));
            x->at += 2;
        } else {
            zdm_buffer_append(b, &c, 1);
            x->at++;
        }
    }
    fail(x, "sql-syntax", start,
         quote == '`' ? "Close the name with `."
                      : "Close it with the same quote; a quote inside of it is written twice, and a backslash takes "
                        "the meaning from the quote behind it: 'C:\\\\' is C:\\.",
         quote == '`' ? "a name in backquotes has no end" : "a text has no end");
}

/* A text with what stands in front of its quote (from `start`), and the texts right behind it. */
static void read_text(struct scan *x, size_t start, const char *charset)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    size_t end = x->at;
    do {
        read_quoted(x, &b);
        end = x->at;
        skip_blanks(x);
    } while (!x->failed && (at(x, 0) == '\'' || at(x, 0) == '"'));
    x->at = end;
    add(x, MY_TEXT, start, rb_take(x->rb, &b));
    x->tokens[x->n_tokens - 1].charset = charset;
}

static void read_name(struct scan *x)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    size_t start = x->at;
    read_quoted(x, &b);
    if (b.len == 0 && !x->failed)
        fail(x, "sql-syntax", start, "Write the name.", "a name in backquotes is empty");
    add(x, MY_NAME, start, rb_take(x->rb, &b));
}

/* x'41', b'01': pairs of digits in quotes. */
static void read_bytes(struct scan *x)
{
    size_t start = x->at;
    bool hex = rb_lower(at(x, 0)) == 'x';
    for (x->at += 2; hex ? is_hex(at(x, 0)) : at(x, 0) == '0' || at(x, 0) == '1';)
        x->at++;
    if (at(x, 0) != '\'' || (hex && (x->at - start) % 2 != 0)) {
        fail(x, "sql-syntax", start, hex ? "Write pairs of hexadecimal digits: x'4a4b'." : "Write 0 and 1: b'0101'.",
             hex ? "this is no hexadecimal value" : "this is no value of bits");
        return;
    }
    x->at++;
    add(x, MY_BYTES, start, NULL);
}

/* ---- words and numbers ---- */

static const char *introducer(const struct scan *x, size_t start)
{
    static const char *const known[] = {"_utf8mb4", "_utf8mb3", "_utf8", "_ascii", "_latin1", "_binary"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i]) == x->at - start && rb_same_start(x->text + start, known[i], x->at - start))
            return known[i];
    }
    return NULL;
}

/* The client's own word, at the start of a statement: what stands behind it is no SQL. */
static void refuse_delimiter(struct scan *x, size_t start)
{
    const struct my_token *last = x->n_tokens == 0 ? NULL : &x->tokens[x->n_tokens - 1];
    bool starts = last == NULL || (last->kind == MY_SIGN && strcmp(last->value, ";") == 0);
    if (starts && x->at - start == strlen("delimiter") && rb_same_start(x->text + start, "delimiter", x->at - start))
        fail(x, "delimiter", start,
             "Leave DELIMITER out: statements end with a semicolon, and a body is split where its END stands.",
             "DELIMITER is a word of the client program, not of SQL");
}

static void read_word(struct scan *x)
{
    size_t start = x->at;
    char low = rb_lower(at(x, 0));
    if ((low == 'x' || low == 'b') && at(x, 1) == '\'') {
        read_bytes(x);
        return;
    }
    while (x->at < x->n && is_word(at(x, 0)))
        x->at++;
    refuse_delimiter(x, start);
    if (low == 'n' && x->at - start == 1 && at(x, 0) == '\'') {
        read_text(x, start, "N");
        return;
    }
    size_t end = x->at;
    skip_blanks(x);
    bool text = x->text[start] == '_' && (at(x, 0) == '\'' || at(x, 0) == '"');
    size_t quote = x->at;
    x->at = end;
    const char *charset = text ? introducer(x, start) : NULL;
    if (text && charset == NULL) {
        fail(x, "text-charset", start, "Write the text without it: agents send utf8mb4.",
             "a text of this character set cannot be written in a plan");
    } else if (text) {
        x->at = quote;
        read_text(x, start, charset);
    } else if (x->text[start] == '$') {
        fail(x, "sql-syntax", start, "Put the name into backquotes.",
             "a name that begins with $ is read by some versions only");
    } else {
        add(x, MY_WORD, start, NULL);
    }
}

static void read_digits(struct scan *x)
{
    while (is_digit(at(x, 0)))
        x->at++;
}

static bool read_radix(struct scan *x, size_t start)
{
    char kind = at(x, 1);
    if (at(x, 0) != '0' || (kind != 'x' && kind != 'b'))
        return false;
    size_t from = x->at += 2;
    while (kind == 'x' ? is_hex(at(x, 0)) : at(x, 0) == '0' || at(x, 0) == '1')
        x->at++;
    if (x->at > from && !is_word(at(x, 0))) {
        add(x, MY_BYTES, start, NULL);
        return true;
    }
    x->at = start;
    return false;
}

static void read_number(struct scan *x)
{
    size_t start = x->at;
    if (read_radix(x, start))
        return;
    read_digits(x);
    if (at(x, 0) == '.') {
        x->at++;
        read_digits(x);
    }
    size_t sign = at(x, 1) == '+' || at(x, 1) == '-';
    if (rb_lower(at(x, 0)) == 'e' && is_digit(at(x, 1 + sign))) {
        x->at += 1 + sign;
        read_digits(x);
    }
    if (is_word(at(x, 0)))
        fail(x, "sql-syntax", start, "Put a name that begins with a digit into backquotes: `2fa`.",
             "this begins like a number and goes on like a name");
    add(x, MY_NUMBER, start, NULL);
}

/* ---- signs ---- */

static void read_sign(struct scan *x)
{
    static const char *const signs[] = {"<=>", "->>", "<<", ">>", "<=", ">=", "<>", "!=", "&&", "||", ":=", "->"};
    static const char single[] = "(),;.=<>!+-*/%&|^~";
    size_t start = x->at;
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        size_t n = strlen(signs[i]);
        if (x->n - x->at >= n && strncmp(x->text + x->at, signs[i], n) == 0) {
            x->at += n;
            add(x, MY_SIGN, start, signs[i]);
            return;
        }
    }
    if (at(x, 0) == '\0' || strchr(single, at(x, 0)) == NULL) {
        if (x->rb->neutral) {
            fail_neutral(x, "MySQL and MariaDB do not read this character here");
            return;
        }
        fail(x, "sql-syntax", start,
             at(x, 0) == '\\' ? "Write NULL for \\N; a backslash means something inside of a text only."
                              : "Take it away; the text is read as MySQL and MariaDB read it.",
             "this character means nothing here");
        return;
    }
    x->at++;
    add(x, MY_SIGN, start, NULL);
}

static void read_variable(struct scan *x)
{
    size_t start = x->at++;
    while (x->at < x->n && (is_word(at(x, 0)) || at(x, 0) == '@' || at(x, 0) == '.'))
        x->at++;
    add(x, MY_VARIABLE, start, NULL);
}

static void read_token(struct scan *x)
{
    char c = at(x, 0);
    if (c == '\'' || c == '"')
        read_text(x, x->at, NULL);
    else if (c == '`')
        read_name(x);
    else if (is_digit(c) || (c == '.' && is_digit(at(x, 1)) &&
                             (x->n_tokens == 0 || x->tokens[x->n_tokens - 1].end < x->at ||
                              x->tokens[x->n_tokens - 1].kind == MY_SIGN)))
        read_number(x);
    else if (c == '@' || c == '?')
        read_variable(x);
    else if (is_word(c))
        read_word(x);
    else
        read_sign(x);
}

bool my_scan(struct rb *rb, const struct rb_fence *fence, const char *text, struct my_token **out, size_t *out_n)
{
    struct scan x = {.rb = rb, .fence = fence, .text = text, .n = strlen(text)};
    for (skip_blanks(&x); x.at < x.n && !x.failed; skip_blanks(&x))
        read_token(&x);
    add(&x, MY_END, x.at, "");
    *out = x.tokens;
    *out_n = x.n_tokens - 1;
    return !x.failed;
}
