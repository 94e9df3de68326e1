/*
 * expr.c - expressions, by the precedence that MySQL and MariaDB have in common.
 *
 * A node is what will be written: texts and children in order. So everything that is read differently by some setting
 * is put into a form that is not while it is read: && is AND, != is <>, ! is NOT, a -> path is JSON_EXTRACT, LIKE says
 * its escape where a pattern may hold one. || is refused: it is OR here, and CONCAT nearly everywhere else.
 */
#include <stdio.h>
#include <string.h>

#include "common/runbook/mysql/parse.h"

enum { DEPTH_MAX = 400 };

/* The weakest first. */
enum {
    LEVEL_OR = 1,
    LEVEL_XOR,
    LEVEL_AND,
    LEVEL_NOT,
    LEVEL_COMPARE,
    LEVEL_BIT_OR,
    LEVEL_BIT_AND,
    LEVEL_SHIFT,
    LEVEL_ADD,
    LEVEL_MULTIPLY,
    LEVEL_BIT_XOR,
    LEVEL_SIGN,
    LEVEL_COLLATE
};

static struct my_node *expression(struct my *m, int level);

/* ---- building ---- */

static struct my_node *new_node(struct my *m, enum my_node_kind kind, const char *name, size_t token)
{
    struct my_node *node = rb_alloc(m->rb, sizeof *node);
    *node = (struct my_node){.kind = kind, .name = name, .token = token};
    return node;
}

static void put(struct my *m, struct my_node *node, const char *text, struct my_node *child)
{
    struct my_part *part = rb_alloc(m->rb, sizeof *part);
    *part = (struct my_part){.text = text, .child = child};
    if (node->last == NULL)
        node->parts = part;
    else
        node->last->next = part;
    node->last = part;
}

static void put_text(struct my *m, struct my_node *node, const char *text)
{
    put(m, node, text, NULL);
}

/* Reads one of that level and puts it behind the text. */
static void put_read(struct my *m, struct my_node *node, const char *text, int level)
{
    put_text(m, node, text);
    put(m, node, NULL, expression(m, level));
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

/* ---- what stands alone ---- */

static struct my_node *literal(struct my *m, const char *text)
{
    struct my_node *node = new_node(m, MY_LITERAL, "", m->at);
    put_text(m, node, text);
    m->at++;
    return node;
}

static const char *text_literal(struct my *m, const struct my_token *token)
{
    const char *text = my_literal(m->rb, token->value);
    if (token->charset != NULL && !my_is_plain(token->value))
        my_refuse_text(m, m->at);
    return token->charset == NULL ? text : rb_format(m->rb, "%s%s", token->charset, text);
}

/* DATE '2026-01-01' and its like. */
static struct my_node *dated(struct my *m)
{
    static const char *const words[] = {"DATE", "TIME", "TIMESTAMP"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!my_is(m, 0, words[i]) || my_peek(m, 1)->kind != MY_TEXT)
            continue;
        m->at++;
        struct my_node *node = literal(m, rb_format(m->rb, "%s %s", words[i], my_literal(m->rb, my_peek(m, 0)->value)));
        node->token--;
        return node;
    }
    return NULL;
}

static const char *upper(struct my *m, const char *word)
{
    char *text = rb_copy(m->rb, word, strlen(word));
    for (char *p = text; *p != '\0'; p++)
        *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p;
    return text;
}

static const char *lower(struct my *m, const char *word)
{
    char *text = rb_copy(m->rb, word, strlen(word));
    for (char *p = text; *p != '\0'; p++)
        *p = rb_lower(*p);
    return text;
}

/* CURRENT_TIMESTAMP, with or without (3). */
static struct my_node *moment(struct my *m)
{
    static const char *const words[] = {"current_timestamp", "current_date", "current_time", "localtime",
                                        "localtimestamp",    "utc_date",     "utc_time",     "utc_timestamp"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!my_is(m, 0, words[i]))
            continue;
        struct my_node *node = new_node(m, MY_MOMENT, words[i], m->at);
        const char *fraction = "";
        m->at++;
        if (my_take_sign(m, "(")) {
            fraction = my_peek(m, 0)->kind == MY_NUMBER ? m->tokens[m->at++].value : "";
            my_need_sign(m, ")");
            fraction = rb_format(m->rb, "(%s)", fraction);
        }
        put_text(m, node, rb_format(m->rb, "%s%s", upper(m, words[i]), fraction));
        return node;
    }
    return NULL;
}

static const char *unit(struct my *m)
{
    static const char *const units[] = {"MICROSECOND",
                                        "SECOND",
                                        "MINUTE",
                                        "HOUR",
                                        "DAY",
                                        "WEEK",
                                        "MONTH",
                                        "QUARTER",
                                        "YEAR",
                                        "DAY_HOUR",
                                        "DAY_MINUTE",
                                        "DAY_SECOND",
                                        "HOUR_MINUTE",
                                        "HOUR_SECOND",
                                        "MINUTE_SECOND",
                                        "YEAR_MONTH",
                                        "DAY_MICROSECOND",
                                        "SECOND_MICROSECOND"};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (my_take(m, units[i]))
            return units[i];
    }
    my_unexpected(m, "a unit of time (DAY, HOUR, …)");
    return "";
}

static struct my_node *interval(struct my *m)
{
    struct my_node *node = new_node(m, MY_OPERATOR, "INTERVAL", m->at);
    m->at++;
    put_read(m, node, "INTERVAL ", LEVEL_OR);
    put_text(m, node, rb_format(m->rb, " %s", unit(m)));
    return node;
}

static struct my_node *case_of(struct my *m)
{
    struct my_node *node = new_node(m, MY_OPERATOR, "CASE", m->at);
    m->at++;
    put_text(m, node, "CASE");
    if (!my_is(m, 0, "when"))
        put_read(m, node, " ", LEVEL_OR);
    my_need(m, "when");
    do {
        put_read(m, node, " WHEN ", LEVEL_OR);
        my_need(m, "then");
        put_read(m, node, " THEN ", LEVEL_OR);
    } while (my_take(m, "when"));
    if (my_take(m, "else")) {
        node->sure = "";
        put_read(m, node, " ELSE ", LEVEL_OR);
    }
    my_need(m, "end");
    put_text(m, node, " END");
    return node;
}

/* Behind its "(" and in front of SELECT: only what it is, it is refused where it is judged. */
static struct my_node *query(struct my *m, size_t token)
{
    struct my_node *node = new_node(m, MY_QUERY, "", token);
    my_skip_parentheses(m);
    put_text(m, node, my_source(m, token, m->at));
    return node;
}

static bool is_query(const struct my *m, size_t ahead)
{
    return my_is_sign(m, ahead, "(") && (my_is(m, ahead + 1, "select") || my_is(m, ahead + 1, "with"));
}

/* ---- casts and calls ---- */

/* What may stand behind AS: a word, with numbers, SIGNED INTEGER, CHARACTER SET x. */
static const char *cast_type(struct my *m)
{
    static const char *const types[] = {"binary", "char",     "date", "datetime", "decimal", "double", "float",  "json",
                                        "nchar",  "unsigned", "real", "signed",   "time",    "year",   "integer"};
    const char *text = NULL;
    for (size_t i = 0; i < sizeof types / sizeof types[0] && text == NULL; i++) {
        if (my_take(m, types[i]))
            text = upper(m, types[i]);
    }
    if (text == NULL || strcmp(text, "INTEGER") == 0) {
        m->at -= text != NULL;
        my_unexpected(m, "the type of a cast (CHAR, SIGNED, UNSIGNED, DECIMAL, DATE, DATETIME, BINARY, JSON, …)");
        return "";
    }
    (void)(my_take(m, "integer") || my_take(m, "int"));
    if (my_is_sign(m, 0, "(")) {
        size_t from = m->at;
        do {
            m->at++;
            if (my_peek(m, 0)->kind != MY_NUMBER)
                my_unexpected(m, "a number");
            m->at++;
        } while (!m->failed && my_is_sign(m, 0, ","));
        my_need_sign(m, ")");
        text = rb_format(m->rb, "%s%s", text, my_write_tokens(m->rb, m->tokens, from, m->at));
    }
    if (my_take(m, "character set") || my_take(m, "charset")) {
        const char *name = my_name(m, "a character set");
        text = rb_format(m->rb, "%s CHARACTER SET %s", text, name == NULL ? "" : name);
    }
    return text;
}

static struct my_node *cast(struct my *m)
{
    bool convert = my_is(m, 0, "convert");
    struct my_node *node = new_node(m, MY_CAST, "", m->at);
    m->at += 2;
    put_read(m, node, convert ? "CONVERT(" : "CAST(", LEVEL_OR);
    if (convert && my_take(m, "using")) {
        const char *name = my_name(m, "a character set");
        put_text(m, node, rb_format(m->rb, " USING %s)", name == NULL ? "" : name));
    } else {
        if (convert)
            my_need_sign(m, ",");
        else
            my_need(m, "as");
        put_text(m, node, rb_format(m->rb, convert ? ", %s)" : " AS %s)", cast_type(m)));
    }
    my_need_sign(m, ")");
    return node;
}

/* Behind "name(": arguments with words between them, as TRIM(LEADING 'x' FROM c) and SUBSTRING(c FROM 2 FOR 3) have. */
static void arguments(struct my *m, struct my_node *node)
{
    static const char *const between[] = {"FROM", "FOR", "USING", "IN", "SEPARATOR"};
    while (!my_is_sign(m, 0, ")") && !m->failed) {
        put(m, node, NULL, expression(m, strcmp(node->name, "position") == 0 ? LEVEL_BIT_OR : LEVEL_OR));
        if (my_take_sign(m, ",")) {
            put_text(m, node, ", ");
            if (my_is_sign(m, 0, ")"))
                my_unexpected(m, "an argument");
            continue;
        }
        size_t i = 0;
        while (i < sizeof between / sizeof between[0] && !my_take(m, between[i]))
            i++;
        if (i == sizeof between / sizeof between[0])
            break;
        if (i == 2) {
            const char *name = my_name(m, "a character set");
            put_text(m, node, rb_format(m->rb, " USING %s", name == NULL ? "" : name));
            break;
        }
        put_text(m, node, rb_format(m->rb, " %s ", between[i]));
    }
}

static void first_word(struct my *m, struct my_node *node)
{
    static const char *const ends[] = {"LEADING", "TRAILING", "BOTH"};
    bool trim = strcmp(node->name, "trim") == 0, extract = strcmp(node->name, "extract") == 0;
    if (extract || strcmp(node->name, "timestampdiff") == 0 || strcmp(node->name, "timestampadd") == 0) {
        const char *text = unit(m);
        if (extract)
            my_need(m, "from");
        else
            my_need_sign(m, ",");
        put_text(m, node, rb_format(m->rb, extract ? "%s FROM " : "%s, ", text));
    }
    for (size_t i = 0; trim && i < sizeof ends / sizeof ends[0]; i++) {
        if (!my_take(m, ends[i]))
            continue;
        put_text(m, node, rb_format(m->rb, "%s ", ends[i]));
        if (my_take(m, "from"))
            put_text(m, node, "FROM ");
    }
}

static struct my_node *call(struct my *m)
{
    const struct my_token *token = my_peek(m, 0);
    struct my_node *node = new_node(m, MY_CALL, lower(m, token->value), m->at);
    m->at += 2;
    put_text(m, node, rb_format(m->rb, "%s(", token->kind == MY_NAME ? rb_quote(m->rb, token->value) : token->value));
    if (my_function_kind(node->name) == RB_FUNCTION_AGGREGATE) {
        m->at--;
        my_skip_parentheses(m); /* refused where it is judged */
        return node;
    }
    first_word(m, node);
    arguments(m, node);
    my_need_sign(m, ")");
    put_text(m, node, ")");
    if (my_is(m, 0, "over"))
        my_fail(m, "aggregate", my_here(m), "Each row gets its value from its own columns only.",
                "a window reads many rows");
    return node;
}

/* ---- columns ---- */

/* c, t.c; -> and ->> behind it. */
static struct my_node *column(struct my *m)
{
    struct my_node *node = new_node(m, MY_COLUMN, NULL, m->at);
    const char *name = my_name(m, "an expression");
    node->sure = NULL;
    while (!m->failed && my_is_sign(m, 0, ".")) {
        m->at++;
        put_text(m, node, name); /* what stands in front */
        name = my_peek(m, 0)->kind == MY_WORD ? m->tokens[m->at++].value : my_name(m, "the name of a column");
    }
    node->name = name;
    while (!m->failed && (my_is_sign(m, 0, "->") || my_is_sign(m, 0, "->>"))) {
        bool unquote = my_is_sign(m, 0, "->>");
        m->at++;
        const char *path = my_text(m, "a path in quotes");
        struct my_node *outer = new_node(m, MY_CALL, "json_extract", node->token);
        put_text(m, outer, unquote ? "JSON_UNQUOTE(JSON_EXTRACT(" : "JSON_EXTRACT(");
        put(m, outer, NULL, node);
        put_text(m, outer,
                 rb_format(m->rb, ", %s)%s", path == NULL ? "" : my_literal(m->rb, path), unquote ? ")" : ""));
        node = outer;
    }
    return node;
}

static struct my_node *parenthesis(struct my *m)
{
    if (is_query(m, 0))
        return query(m, m->at);
    struct my_node *node = new_node(m, MY_PAREN, "", m->at);
    m->at++;
    put_read(m, node, "(", LEVEL_OR);
    if (my_is_sign(m, 0, ","))
        my_fail(m, "expression", my_here(m), "Compare column by column, with AND between.",
                "a row of several values cannot be part of a plan");
    my_need_sign(m, ")");
    put_text(m, node, ")");
    return node;
}

static struct my_node *word(struct my *m)
{
    struct my_node *node;
    if (my_is(m, 0, "null")) {
        node = literal(m, "NULL");
        node->kind = MY_NULL;
        return node;
    }
    if (my_is(m, 0, "true") || my_is(m, 0, "false"))
        return literal(m, my_is(m, 0, "true") ? "TRUE" : "FALSE");
    if (my_is(m, 0, "case"))
        return case_of(m);
    if (my_is(m, 0, "interval"))
        return interval(m);
    if (my_is(m, 0, "exists") && is_query(m, 1)) {
        m->at++;
        return query(m, m->at);
    }
    if ((node = dated(m)) != NULL || (node = moment(m)) != NULL)
        return node;
    if ((my_is(m, 0, "cast") || my_is(m, 0, "convert")) && my_is_sign(m, 1, "("))
        return cast(m);
    if (my_is_sign(m, 1, "(") && !my_is(m, 0, "select") && !my_is(m, 0, "row"))
        return call(m);
    return column(m);
}

static struct my_node *primary(struct my *m)
{
    const struct my_token *token = my_peek(m, 0);
    switch (token->kind) {
    case MY_TEXT:
        return literal(m, text_literal(m, token));
    case MY_NUMBER:
    case MY_BYTES:
        return literal(m, token->value);
    case MY_NAME:
        return my_is_sign(m, 1, "(") ? call(m) : column(m);
    case MY_WORD:
        return word(m);
    case MY_VARIABLE:
        my_fail(m, "variable", my_here(m), "Write the value itself.",
                "a variable has another value in the agent's session");
        break;
    case MY_SIGN:
        if (my_is_sign(m, 0, "("))
            return parenthesis(m);
        break;
    case MY_END:
        break;
    }
    my_unexpected(m, "an expression");
    return new_node(m, MY_NULL, "", m->at);
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
        struct my_node *node = new_node(m, MY_OPERATOR, signs[i].text, m->at);
        m->at++;
        /* "- -1" must not become a comment. */
        put_read(m, node, my_is_sign(m, 0, "-") ? rb_format(m->rb, "%s ", signs[i].text) : signs[i].text, LEVEL_SIGN);
        return node;
    }
    if (my_is(m, 0, "binary")) {
        struct my_node *node = new_node(m, MY_CAST, "", m->at);
        m->at++;
        put_read(m, node, "CAST(", LEVEL_SIGN);
        put_text(m, node, " AS BINARY)");
        return node;
    }
    if (my_is_sign(m, 0, "!")) {
        struct my_node *node = new_node(m, MY_OPERATOR, "NOT", m->at);
        m->at++;
        put_read(m, node, "(NOT ", LEVEL_SIGN);
        put_text(m, node, ")");
        return node;
    }
    return primary(m);
}

static struct my_node *around(struct my *m, const struct my_node *left, enum my_node_kind kind, const char *name)
{
    struct my_node *node = new_node(m, kind, name, left->token);
    put(m, node, NULL, (struct my_node *)(uintptr_t)left);
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
        put_text(m, node, rb_format(m->rb, " %s", text));
        return node;
    }
    my_unexpected(m, "NULL, TRUE, FALSE or UNKNOWN");
    return left;
}

static struct my_node *in_list(struct my *m, struct my_node *left, const char * not )
{
    struct my_node *node = around(m, left, MY_OPERATOR, "IN");
    put_text(m, node, rb_format(m->rb, " %sIN ", not ));
    if (is_query(m, 0)) {
        put(m, node, NULL, query(m, m->at));
        return node;
    }
    my_need_sign(m, "(");
    put_text(m, node, "(");
    put(m, node, NULL, expression(m, LEVEL_OR));
    while (my_take_sign(m, ","))
        put_read(m, node, ", ", LEVEL_OR);
    my_need_sign(m, ")");
    put_text(m, node, ")");
    return node;
}

/* Agents have NO_BACKSLASH_ESCAPES, where a pattern has no escape but one that is written. */
static void put_escape(struct my *m, struct my_node *node, const struct my_node *pattern)
{
    if (my_take(m, "escape")) {
        const struct my_token *token = my_peek(m, 0);
        bool backslash = token->kind == MY_TEXT && strcmp(token->value, "\\") == 0;
        const char *text = backslash ? m->tokens[m->at++].value : my_text(m, "a text");
        put_text(m, node,
                 rb_format(m->rb, " ESCAPE %s", backslash ? "x'5C'" : my_literal(m->rb, text == NULL ? "" : text)));
        return;
    }
    const char *written = pattern->kind == MY_LITERAL && pattern->parts != NULL ? pattern->parts->text : NULL;
    if (written == NULL || strchr(written, '\\') != NULL)
        put_text(m, node, " ESCAPE x'5C'");
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
        put_read(m, node, rb_format(m->rb, " %sLIKE ", not ), LEVEL_SIGN);
        put_escape(m, node, node->last->child);
    } else if (my_is(m, skip, "regexp") || my_is(m, skip, "rlike")) {
        m->at += skip + 1;
        node = around(m, left, MY_OPERATOR, "REGEXP");
        put_read(m, node, rb_format(m->rb, " %sREGEXP ", not ), LEVEL_BIT_OR);
    } else if (my_is(m, skip, "between")) {
        m->at += skip + 1;
        node = around(m, left, MY_OPERATOR, "BETWEEN");
        put_read(m, node, rb_format(m->rb, " %sBETWEEN ", not ), LEVEL_BIT_OR);
        my_need(m, "and");
        put_read(m, node, " AND ", LEVEL_BIT_OR);
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
        put_text(m, node, rb_format(m->rb, " COLLATE %s", name == NULL ? "" : name));
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
        put_read(m, node, rb_format(m->rb, " %s ", binary[i].name), binary[i].level + 1);
    }
    return node;
}

static struct my_node *expression(struct my *m, int level)
{
    struct my_node *node;
    if (m->failed)
        return new_node(m, MY_NULL, "", m->at);
    if (++m->depth > DEPTH_MAX) {
        my_fail(m, "expression", my_here(m), "Write it more simply.", "an expression is nested too deeply");
        return new_node(m, MY_NULL, "", m->at);
    }
    if (level <= LEVEL_NOT && my_is(m, 0, "not")) {
        node = new_node(m, MY_OPERATOR, "NOT", m->at);
        m->at++;
        put_read(m, node, "NOT ", LEVEL_NOT);
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
    struct my_node *node = expression(m, LEVEL_OR);
    return m->failed ? NULL : node;
}

struct my_node *my_value(struct my *m)
{
    struct my_node *node = expression(m, LEVEL_COLLATE + 1);
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
