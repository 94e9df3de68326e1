/*
 * write.c - SQL in the form of a plan: names in backquotes where they are columns of the row, texts in single quotes
 * with doubled quotes and no backslash escapes, no comments. What would be another text to a session that reads
 * backslashes is written in hexadecimal digits (MySQL 9.7 and MariaDB 10.11 take that as a default, too).
 */
#include <string.h>

#include "common/runbook/mysql/parse.h"

/* A backslash in front of a quote is the one thing that is not the same text with and without NO_BACKSLASH_ESCAPES. */
bool my_is_plain(const char *text)
{
    size_t n = strlen(text);
    return strstr(text, "\\'") == NULL && (n == 0 || text[n - 1] != '\\');
}

static const char *hexadecimal(struct rb *rb, const char *text)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&b, "_utf8mb4 x'");
    for (const char *p = text; *p != '\0'; p++)
        zdm_buffer_printf(&b, "%02X", (unsigned)(unsigned char)*p);
    zdm_buffer_puts(&b, "'");
    return rb_take(rb, &b);
}

const char *my_literal(struct rb *rb, const char *text)
{
    if (!my_is_plain(text))
        return hexadecimal(rb, text);
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&b, "'");
    for (const char *p = text; *p != '\0'; p++)
        zdm_buffer_append(&b, *p == '\'' ? "''" : p, *p == '\'' ? 2 : 1);
    zdm_buffer_puts(&b, "'");
    return rb_take(rb, &b);
}

static void put(struct rb *rb, struct zdm_buffer *b, const struct my_node *node, const char *prefix)
{
    if (node->kind == MY_COLUMN) {
        if (prefix != NULL)
            zdm_buffer_printf(b, "%s.", prefix);
        zdm_buffer_puts(b, rb_quote(rb, node->name));
        return;
    }
    for (const struct my_part *part = node->parts; part != NULL; part = part->next) {
        if (part->child != NULL)
            put(rb, b, part->child, prefix);
        else
            zdm_buffer_puts(b, part->text);
    }
}

const char *my_write(struct rb *rb, const struct my_node *node, const char *prefix)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    put(rb, &b, node, prefix);
    return rb_take(rb, &b);
}

/* ---- tokens ---- */

static bool is_word(const struct my_token *token, const char *word)
{
    return token->kind == MY_WORD && rb_same_word(token->value, word);
}

static bool is_sign(const struct my_token *token, const char *signs)
{
    return token->kind == MY_SIGN && token->value[1] == '\0' && strchr(signs, token->value[0]) != NULL;
}

static void put_token(struct rb *rb, struct zdm_buffer *b, const struct my_token *token)
{
    if (token->kind == MY_TEXT)
        zdm_buffer_printf(b, "%s%s", token->charset == NULL ? "" : token->charset, my_literal(rb, token->value));
    else if (token->kind == MY_NAME)
        zdm_buffer_puts(b, rb_quote(rb, token->value));
    else if (token->kind == MY_SIGN && strcmp(token->value, "!=") == 0)
        zdm_buffer_puts(b, "<>");
    else if (token->kind == MY_SIGN && strcmp(token->value, "&&") == 0)
        zdm_buffer_puts(b, "AND");
    else
        zdm_buffer_puts(b, token->value);
}

/* Does a blank belong between the two? A function's name stands right in front of its parenthesis where it was written
 * so. */
static bool is_apart(const struct my_token *left, const struct my_token *right)
{
    if (is_sign(left, "(.") || is_sign(right, "),.;"))
        return false;
    return !is_sign(right, "(") || left->end < right->start || left->kind == MY_SIGN;
}

const char *my_write_tokens(struct rb *rb, const struct my_token *tokens, size_t from, size_t end)
{
    struct zdm_buffer b = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&b, "");
    for (size_t i = from; i < end; i++) {
        if (i > from && is_apart(&tokens[i - 1], &tokens[i]))
            zdm_buffer_puts(&b, " ");
        put_token(rb, &b, &tokens[i]);
        bool pattern = i > from && tokens[i].kind == MY_TEXT && is_word(&tokens[i - 1], "like") &&
                       strchr(tokens[i].value, '\\') != NULL;
        if (pattern && (i + 1 >= end || !is_word(&tokens[i + 1], "escape")))
            zdm_buffer_puts(&b, " ESCAPE x'5C'");
    }
    return rb_take(rb, &b);
}
