/*
 * split.c - a fence to statements, by semicolons. The body of a routine stays in its statement: only to say what it is.
 */
#include <string.h>

#include "common/runbook/mysql/parse.h"

static bool is_word(const struct my_token *token, const char *word)
{
    return token->kind == MY_WORD && rb_same_word(token->value, word);
}

static bool is_sign(const struct my_token *token, const char *sign)
{
    return token->kind == MY_SIGN && strcmp(token->value, sign) == 0;
}

static bool is_one_of(const struct my_token *token, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (is_word(token, words[i]))
            return true;
    }
    return false;
}

/* CREATE [OR REPLACE] [DEFINER = …] TRIGGER and its like, as far as its first words go. */
static bool is_routine(const struct my_token *tokens, size_t n)
{
    static const char *const kinds[] = {"trigger", "procedure", "function", "event", "package", NULL};
    static const char *const others[] = {"table", "index", "view", "unique", "database", "schema", NULL};
    if (n == 0 || !is_word(&tokens[0], "create"))
        return false;
    for (size_t i = 1; i < n && i < 16 && !is_one_of(&tokens[i], others); i++) {
        if (is_one_of(&tokens[i], kinds))
            return true;
    }
    return false;
}

/* The token behind the statement that begins with token `from`: a semicolon outside of a body, or the end. */
static size_t end_of(const struct my_token *tokens, size_t n, size_t from)
{
    static const char *const closed[] = {"if", "loop", "while", "repeat", NULL};
    size_t depth = 0, i = from;
    bool body = false;
    for (; i < n; i++) {
        if (is_sign(&tokens[i], ";")) {
            body = body || is_routine(tokens + from, i - from);
            if (!body || depth == 0)
                return i;
        }
        if (is_word(&tokens[i], "begin") || is_word(&tokens[i], "case"))
            depth += i > from && is_word(&tokens[i - 1], "end") ? 0 : 1;
        else if (is_word(&tokens[i], "end") && depth > 0 && !is_one_of(&tokens[i + 1], closed))
            depth--;
    }
    return i;
}

static void read_one(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence, const struct my_token *tokens,
                     size_t n, my_on_statement *on_statement, void *ctx)
{
    size_t base = tokens[0].start, end = tokens[n - 1].end;
    struct my m = {.rb = rb, .n = n};
    struct my_token *own = rb_alloc(rb, (n + 1) * sizeof *own);
    struct rb_token *places = rb_alloc(rb, n * sizeof *places);
    for (size_t i = 0; i < n; i++) {
        own[i] = tokens[i];
        own[i].start -= base;
        own[i].end -= base;
        places[i] = (struct rb_token){.start = own[i].start, .end = own[i].end};
    }
    own[n] = (struct my_token){MY_END, end - base, end - base, "", NULL};
    m.tokens = own;
    m.s = (struct rb_statement){.rb = rb,
                                .phase = phase,
                                .fence = fence,
                                .base = base,
                                .sql = rb_copy(rb, fence->text + base, end - base),
                                .tokens = places,
                                .n_tokens = n};
    if (n > RB_TOKENS_MAX || rb->n_statements == RB_STATEMENTS_MAX) {
        rb_error(rb, "too-long", rb_at_start(&m.s), "Split it.", "%s",
                 n > RB_TOKENS_MAX ? "the statement has more than 2000 words" : "there are more than 512 statements");
        return;
    }
    rb->n_statements++;
    on_statement(&m, ctx);
}

size_t my_each(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence, my_on_statement *on_statement, void *ctx)
{
    struct my_token *tokens;
    size_t n, statements = 0;
    if (!my_scan(rb, fence, fence->text, &tokens, &n))
        return 0;
    for (size_t i = 0; i < n;) {
        size_t end = end_of(tokens, n, i);
        if (end > i) {
            read_one(rb, phase, fence, tokens + i, end - i, on_statement, ctx);
            statements++;
        }
        i = end + 1;
    }
    if (statements == 0)
        rb_warning(rb, "fence-empty", fence->at, NULL, "the fence holds no statement");
    return statements;
}
