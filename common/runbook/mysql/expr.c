/*
 * expr.c - expressions, by the precedence that MySQL and MariaDB have in common.
 *
 * A node is what will be written: texts and children in order. So everything that is read differently by some setting
 * is put into a form that is not while it is read: && is AND, != is <>, ! is NOT, a -> path is JSON_EXTRACT, LIKE says
 * its escape where a pattern may hold one. || is refused: it is OR here, and CONCAT nearly everywhere else.
 */
#include "common/runbook/mysql/expr.h"

#include <string.h>

enum { DEPTH_MAX = 400 };

/* ---- building ---- */

struct my_node *my_node_new(struct my *m, enum my_node_kind kind, const char *name, size_t token)
{
    struct my_node *node = rb_alloc(m->rb, sizeof *node);
    *node = (struct my_node){.kind = kind, .name = name, .token = token};
    return node;
}

void my_put(struct my *m, struct my_node *node, const char *text, struct my_node *child)
{
    struct my_part *part = rb_alloc(m->rb, sizeof *part);
    *part = (struct my_part){.text = text, .child = child};
    if (node->last == NULL)
        node->parts = part;
    else
        node->last->next = part;
    node->last = part;
}

void my_put_text(struct my *m, struct my_node *node, const char *text)
{
    my_put(m, node, text, NULL);
}

/* Reads one of that level and puts it behind the text. */
void my_put_read(struct my *m, struct my_node *node, const char *text, int level)
{
    my_put_text(m, node, text);
    my_put(m, node, NULL, my_expr_level(m, level));
}

const struct my_node *my_child(const struct my_node *node, size_t i)
{
    for (const struct my_part *part = node->parts; part != NULL; part = part->next) {
        if (part->child != NULL && i-- == 0)
            return part->child;
    }
    return NULL;
}

const struct my_node *my_bare(const struct my_node *node)
{
    while (node->kind == MY_PAREN)
        node = my_child(node, 0);
    return node;
}

const char *my_column_of(const struct my_node *node)
{
    node = my_bare(node);
    return node->kind == MY_COLUMN ? node->name : NULL;
}

bool my_is_constant(const struct my_node *node)
{
    node = my_bare(node);
    if (node->kind == MY_OPERATOR && (strcmp(node->name, "-") == 0 || strcmp(node->name, "+") == 0))
        return my_child(node, 1) == NULL && my_is_constant(my_child(node, 0));
    return node->kind == MY_LITERAL || node->kind == MY_NULL;
}

/* ---- operators ---- */

static struct my_node *prefix(struct my *m)
{
    static const struct {
        const char *sign, *text;
    } signs[] = {{"-", "-"}, {"+", "+"}, {"~", "~"}};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (!my_is_sign(m, 0, signs[i].sign))
            continue;
        struct my_node *node = my_node_new(m, MY_OPERATOR, signs[i].text, m->at);
        m->at++;
        /* "- -1" must not become a comment. */
        my_put_read(m, node, my_is_sign(m, 0, "-") ? rb_format(m->rb, "%s ", signs[i].text) : signs[i].text,
                    LEVEL_SIGN);
        return node;
    }
    if (my_is(m, 0, "binary")) {
        struct my_node *node = my_node_new(m, MY_CAST, "", m->at);
        m->at++;
        my_put_read(m, node, "CAST(", LEVEL_SIGN);
        my_put_text(m, node, " AS BINARY)");
        return node;
    }
    if (my_is_sign(m, 0, "!")) {
        struct my_node *node = my_node_new(m, MY_OPERATOR, "NOT", m->at);
        m->at++;
        my_put_read(m, node, "(NOT ", LEVEL_SIGN);
        my_put_text(m, node, ")");
        return node;
    }
    return my_primary(m);
}

static struct my_node *around(struct my *m, const struct my_node *left, enum my_node_kind kind, const char *name)
{
    struct my_node *node = my_node_new(m, kind, name, left->token);
    my_put(m, node, NULL, (struct my_node *)(uintptr_t)left);
    return node;
}

static struct my_node *is_test(struct my *m, struct my_node *left)
{
    static const char *const words[] = {"NULL", "TRUE", "FALSE", "UNKNOWN"};
    const char *not = my_take(m, "not") ? "NOT " : "";
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!my_take(m, words[i]))
            continue;
        const char *text = rb_format(m->rb, "IS %s%s", not, words[i]);
        struct my_node *node = around(m, left, MY_OPERATOR, text);
        my_put_text(m, node, rb_format(m->rb, " %s", text));
        return node;
    }
    my_unexpected(m, "NULL, TRUE, FALSE or UNKNOWN");
    return left;
}

static struct my_node *in_list(struct my *m, struct my_node *left, const char * not )
{
    struct my_node *node = around(m, left, MY_OPERATOR, "IN");
    my_put_text(m, node, rb_format(m->rb, " %sIN ", not ));
    if (my_is_query(m, 0)) {
        my_put(m, node, NULL, my_query(m, m->at));
        return node;
    }
    my_need_sign(m, "(");
    my_put_text(m, node, "(");
    my_put(m, node, NULL, my_expr_level(m, LEVEL_OR));
    while (my_take_sign(m, ","))
        my_put_read(m, node, ", ", LEVEL_OR);
    my_need_sign(m, ")");
    my_put_text(m, node, ")");
    return node;
}

/* Agents have NO_BACKSLASH_ESCAPES, where a pattern has no escape but one that is written. */
static void put_escape(struct my *m, struct my_node *node, const struct my_node *pattern)
{
    if (my_take(m, "escape")) {
        const struct my_token *token = my_peek(m, 0);
        bool backslash = token->kind == MY_TEXT && strcmp(token->value, "\\") == 0;
        const char *text = backslash ? m->tokens[m->at++].value : my_text(m, "a text");
        my_put_text(m, node,
                    rb_format(m->rb, " ESCAPE %s", backslash ? "x'5C'" : my_literal(m->rb, text == NULL ? "" : text)));
        return;
    }
    const char *written = pattern->kind == MY_LITERAL && pattern->parts != NULL ? pattern->parts->text : NULL;
    if (written == NULL || strchr(written, '\\') != NULL)
        my_put_text(m, node, " ESCAPE x'5C'");
}

/* IN, LIKE, BETWEEN, REGEXP, with NOT in front or without; NULL when there is none. */
static struct my_node *predicate(struct my *m, struct my_node *left)
{
    size_t skip = my_is(m, 0, "not");
    const char *not = skip ? "NOT " : "";
    struct my_node *node = NULL;
    if (my_is(m, skip, "in")) {
        m->at += skip + 1;
        return in_list(m, left, not );
    }
    if (my_is(m, skip, "like")) {
        m->at += skip + 1;
        node = around(m, left, MY_OPERATOR, "LIKE");
        my_put_read(m, node, rb_format(m->rb, " %sLIKE ", not ), LEVEL_SIGN);
        put_escape(m, node, node->last->child);
    } else if (my_is(m, skip, "regexp") || my_is(m, skip, "rlike")) {
        m->at += skip + 1;
        node = around(m, left, MY_OPERATOR, "REGEXP");
        my_put_read(m, node, rb_format(m->rb, " %sREGEXP ", not ), LEVEL_BIT_OR);
    } else if (my_is(m, skip, "between")) {
        m->at += skip + 1;
        node = around(m, left, MY_OPERATOR, "BETWEEN");
        my_put_read(m, node, rb_format(m->rb, " %sBETWEEN ", not ), LEVEL_BIT_OR);
        my_need(m, "and");
        my_put_read(m, node, " AND ", LEVEL_BIT_OR);
    }
    return node;
}

static const struct {
    const char *sign, *name; /* a sign or a word, and how it is written */
    int level;
} binary[] = {
    {"or", "OR", LEVEL_OR},         {"xor", "XOR", LEVEL_XOR},      {"and", "AND", LEVEL_AND},
    {"&&", "AND", LEVEL_AND},       {"=", "=", LEVEL_COMPARE},      {"<=>", "<=>", LEVEL_COMPARE},
    {">=", ">=", LEVEL_COMPARE},    {">", ">", LEVEL_COMPARE},      {"<=", "<=", LEVEL_COMPARE},
    {"<", "<", LEVEL_COMPARE},      {"<>", "<>", LEVEL_COMPARE},    {"!=", "<>", LEVEL_COMPARE},
    {"|", "|", LEVEL_BIT_OR},       {"&", "&", LEVEL_BIT_AND},      {"<<", "<<", LEVEL_SHIFT},
    {">>", ">>", LEVEL_SHIFT},      {"-", "-", LEVEL_ADD},          {"+", "+", LEVEL_ADD},
    {"*", "*", LEVEL_MULTIPLY},     {"/", "/", LEVEL_MULTIPLY},     {"%", "%", LEVEL_MULTIPLY},
    {"div", "DIV", LEVEL_MULTIPLY}, {"mod", "MOD", LEVEL_MULTIPLY}, {"^", "^", LEVEL_BIT_XOR},
};

/* What joins `left` with what stands behind it, when that binds at least as strongly as `level`; NULL. */
static struct my_node *joined(struct my *m, struct my_node *left, int level)
{
    if (my_is_sign(m, 0, "||") || my_is_sign(m, 0, ":=")) {
        bool pipes = my_is_sign(m, 0, "||");
        if (pipes && m->rb->neutral) {
            rb_not_neutral(m->rb, my_here(m), "|| joins texts on PostgreSQL, and is OR on MySQL: write CONCAT(a, b)");
            m->failed = true;
        }
        my_fail(m, pipes ? "pipes" : "variable", my_here(m),
                pipes ? "Write CONCAT(a, b) to join texts, and OR for a condition." : "Write the value itself.",
                pipes ? "|| is OR on MySQL and MariaDB, where numbers are made of texts"
                      : "an expression of a plan assigns nothing");
        return NULL;
    }
    if (my_is(m, 0, "collate") && level <= LEVEL_COLLATE) {
        m->at++;
        const char *name = my_name(m, "a collation");
        struct my_node *node = around(m, left, MY_OPERATOR, "COLLATE");
        my_put_text(m, node, rb_format(m->rb, " COLLATE %s", name == NULL ? "" : name));
        return node;
    }
    if (level <= LEVEL_COMPARE && my_take(m, "is"))
        return is_test(m, left);
    struct my_node *node = level <= LEVEL_COMPARE ? predicate(m, left) : NULL;
    for (size_t i = 0; node == NULL && i < sizeof binary / sizeof binary[0]; i++) {
        bool is_word = rb_is_letter(binary[i].sign[0]);
        if (binary[i].level < level || !(is_word ? my_is(m, 0, binary[i].sign) : my_is_sign(m, 0, binary[i].sign)))
            continue;
        m->at++;
        bool and = strcmp(binary[i].name, "AND") == 0;
        node = around(m, left, and? MY_AND : MY_OPERATOR, binary[i].name);
        my_put_read(m, node, rb_format(m->rb, " %s ", binary[i].name), binary[i].level + 1);
    }
    return node;
}

struct my_node *my_expr_level(struct my *m, int level)
{
    struct my_node *node;
    if (m->failed)
        return my_node_new(m, MY_NULL, "", m->at);
    if (++m->depth > DEPTH_MAX) {
        my_fail(m, "expression", my_here(m), "Write it more simply.", "an expression is nested too deeply");
        return my_node_new(m, MY_NULL, "", m->at);
    }
    if (level <= LEVEL_NOT && my_is(m, 0, "not")) {
        node = my_node_new(m, MY_OPERATOR, "NOT", m->at);
        m->at++;
        my_put_read(m, node, "NOT ", LEVEL_NOT);
    } else {
        node = prefix(m);
    }
    for (struct my_node *next = node; !m->failed && next != NULL;) {
        next = joined(m, node, level);
        node = next != NULL ? next : node;
    }
    m->depth--;
    return node;
}

struct my_node *my_expr(struct my *m)
{
    struct my_node *node = my_expr_level(m, LEVEL_OR);
    return m->failed ? NULL : node;
}

struct my_node *my_value(struct my *m)
{
    struct my_node *node = my_expr_level(m, LEVEL_COLLATE + 1);
    return m->failed ? NULL : node;
}

const char *my_closed_expr(struct my *m, const struct rb_table *table, const char *what)
{
    struct rb_expr expr = {.n_columns = 0};
    my_need_sign(m, "(");
    const struct my_node *node = m->failed ? NULL : my_expr(m);
    my_need_sign(m, ")");
    if (m->failed || node == NULL || !my_examine(m, table, NULL, node, what, &expr)) {
        m->failed = true;
        return "()";
    }
    return rb_format(m->rb, "(%s)", my_write(m->rb, node, NULL));
}
