/*
 * value.c - what stands between the operators of an expression: literals, columns, calls, CASE, casts, intervals.
 */
#include "common/runbook/mysql/expr.h"

#include <string.h>

/* ---- what stands alone ---- */

static struct my_node *literal(struct my *m, const char *text)
{
    struct my_node *node = my_node_new(m, MY_LITERAL, "", m->at);
    my_put_text(m, node, text);
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
        struct my_node *node = my_node_new(m, MY_MOMENT, words[i], m->at);
        const char *fraction = "";
        m->at++;
        if (my_take_sign(m, "(")) {
            fraction = my_peek(m, 0)->kind == MY_NUMBER ? m->tokens[m->at++].value : "";
            my_need_sign(m, ")");
            fraction = rb_format(m->rb, "(%s)", fraction);
        }
        my_put_text(m, node, rb_format(m->rb, "%s%s", upper(m, words[i]), fraction));
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
    struct my_node *node = my_node_new(m, MY_OPERATOR, "INTERVAL", m->at);
    m->at++;
    my_put_read(m, node, "INTERVAL ", LEVEL_OR);
    my_put_text(m, node, rb_format(m->rb, " %s", unit(m)));
    return node;
}

static struct my_node *case_of(struct my *m)
{
    struct my_node *node = my_node_new(m, MY_OPERATOR, "CASE", m->at);
    m->at++;
    my_put_text(m, node, "CASE");
    if (!my_is(m, 0, "when"))
        my_put_read(m, node, " ", LEVEL_OR);
    my_need(m, "when");
    do {
        my_put_read(m, node, " WHEN ", LEVEL_OR);
        my_need(m, "then");
        my_put_read(m, node, " THEN ", LEVEL_OR);
    } while (my_take(m, "when"));
    if (my_take(m, "else")) {
        node->sure = "";
        my_put_read(m, node, " ELSE ", LEVEL_OR);
    }
    my_need(m, "end");
    my_put_text(m, node, " END");
    return node;
}

/* Behind its "(" and in front of SELECT: only what it is, it is refused where it is judged. */
struct my_node *my_query(struct my *m, size_t token)
{
    struct my_node *node = my_node_new(m, MY_QUERY, "", token);
    my_skip_parentheses(m);
    my_put_text(m, node, my_source(m, token, m->at));
    return node;
}

bool my_is_query(const struct my *m, size_t ahead)
{
    return my_is_sign(m, ahead, "(") && (my_is(m, ahead + 1, "select") || my_is(m, ahead + 1, "with"));
}

/* ---- casts and calls ---- */

struct cast_type {
    const char *word;
    int numbers;          /* that may stand behind it in parentheses */
    const char *instead;  /* not NULL: what both servers read */
    bool number, charset; /* INTEGER, CHARACTER SET may stand behind it */
};

/* What both servers read behind AS, and JSON, which a column of MySQL's may need. */
static const struct cast_type cast_types[] = {
    {"unsigned", 0, NULL, true, false},
    {"signed", 0, NULL, true, false},
    {"char", 1, NULL, false, true},
    {"nchar", 1, NULL, false, false},
    {"binary", 1, NULL, false, false},
    {"decimal", 2, NULL, false, false},
    {"double", 0, NULL, false, false},
    {"float", 0, NULL, false, false},
    {"date", 0, NULL, false, false},
    {"datetime", 1, NULL, false, false},
    {"time", 1, NULL, false, false},
    {"json", 0, NULL, false, false},
    {"year", 0, "Write YEAR(…) of a date, or CAST(… AS UNSIGNED).", false, false},
    {"real", 0, "Write CAST(… AS DOUBLE).", false, false},
};

static const struct cast_type *take_cast_type(struct my *m)
{
    for (size_t i = 0; i < sizeof cast_types / sizeof cast_types[0]; i++) {
        const struct cast_type *type = &cast_types[i];
        struct rb_place at = my_here(m);
        if (!my_take(m, type->word))
            continue;
        if (type->instead != NULL)
            my_fail(m, "cast-type", at, type->instead, "a cast to %s is known to MySQL and not to MariaDB", type->word);
        else if (strcmp(type->word, "json") == 0)
            rb_note(m->rb, "cast-type", at,
                    "Leave the cast out where the value is a text: both servers read it as JSON when it is assigned to "
                    "a JSON column.",
                    "a cast to json is known to MySQL and not to MariaDB");
        return type;
    }
    my_unexpected(m, "the type of a cast (CHAR, SIGNED, UNSIGNED, DECIMAL, DATE, DATETIME, BINARY, JSON, …)");
    return NULL;
}

/* (10), (10, 2) */
static const char *cast_numbers(struct my *m, int most)
{
    size_t from = m->at;
    int n = 0;
    if (most == 0 || !my_take_sign(m, "("))
        return "";
    do {
        if (my_peek(m, 0)->kind != MY_NUMBER || n++ == most)
            my_unexpected(m, "a number");
        m->at++;
    } while (my_take_sign(m, ","));
    my_need_sign(m, ")");
    return m->failed ? "" : my_write_tokens(m->rb, m->tokens, from, m->at);
}

/* What may stand behind AS: a word, with numbers, SIGNED INTEGER, CHARACTER SET x. */
static const char *cast_type(struct my *m)
{
    const struct cast_type *type = take_cast_type(m);
    if (type == NULL)
        return "";
    if (type->number)
        (void)(my_take(m, "integer") || my_take(m, "int"));
    const char *text = rb_format(m->rb, "%s%s", upper(m, type->word), cast_numbers(m, type->numbers));
    if (type->charset && (my_take(m, "character set") || my_take(m, "charset"))) {
        const char *name = my_name(m, "a character set");
        text = rb_format(m->rb, "%s CHARACTER SET %s", text, name == NULL ? "" : name);
    }
    return text;
}

static struct my_node *cast(struct my *m)
{
    bool convert = my_is(m, 0, "convert");
    struct my_node *node = my_node_new(m, MY_CAST, "", m->at);
    m->at += 2;
    my_put_read(m, node, convert ? "CONVERT(" : "CAST(", LEVEL_OR);
    if (convert && my_take(m, "using")) {
        const char *name = my_name(m, "a character set");
        my_put_text(m, node, rb_format(m->rb, " USING %s)", name == NULL ? "" : name));
    } else {
        if (convert)
            my_need_sign(m, ",");
        else
            my_need(m, "as");
        my_put_text(m, node, rb_format(m->rb, convert ? ", %s)" : " AS %s)", cast_type(m)));
    }
    my_need_sign(m, ")");
    return node;
}

/* Behind "name(": arguments with words between them, as TRIM(LEADING 'x' FROM c) and SUBSTRING(c FROM 2 FOR 3) have. */
static void arguments(struct my *m, struct my_node *node)
{
    static const char *const between[] = {"FROM", "FOR", "USING", "IN", "SEPARATOR"};
    while (!my_is_sign(m, 0, ")") && !m->failed) {
        my_put(m, node, NULL, my_expr_level(m, strcmp(node->name, "position") == 0 ? LEVEL_BIT_OR : LEVEL_OR));
        if (my_take_sign(m, ",")) {
            my_put_text(m, node, ", ");
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
            my_put_text(m, node, rb_format(m->rb, " USING %s", name == NULL ? "" : name));
            break;
        }
        my_put_text(m, node, rb_format(m->rb, " %s ", between[i]));
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
        my_put_text(m, node, rb_format(m->rb, extract ? "%s FROM " : "%s, ", text));
    }
    for (size_t i = 0; trim && i < sizeof ends / sizeof ends[0]; i++) {
        if (!my_take(m, ends[i]))
            continue;
        my_put_text(m, node, rb_format(m->rb, "%s ", ends[i]));
        if (my_take(m, "from"))
            my_put_text(m, node, "FROM ");
    }
}

static struct my_node *call(struct my *m)
{
    const struct my_token *token = my_peek(m, 0);
    struct my_node *node = my_node_new(m, MY_CALL, lower(m, token->value), m->at);
    m->at += 2;
    my_put_text(m, node,
                rb_format(m->rb, "%s(", token->kind == MY_NAME ? rb_quote(m->rb, token->value) : token->value));
    if (my_function_kind(node->name) == RB_FUNCTION_AGGREGATE) {
        m->at--;
        my_skip_parentheses(m); /* refused where it is judged */
        return node;
    }
    first_word(m, node);
    arguments(m, node);
    my_need_sign(m, ")");
    my_put_text(m, node, ")");
    if (my_is(m, 0, "over"))
        my_fail(m, "aggregate", my_here(m), "Each row gets its value from its own columns only.",
                "a window reads many rows");
    return node;
}

/* ---- columns ---- */

/* c, t.c; -> and ->> behind it. */
static struct my_node *column(struct my *m)
{
    struct my_node *node = my_node_new(m, MY_COLUMN, NULL, m->at);
    const char *name = my_name(m, "an expression");
    node->sure = NULL;
    while (!m->failed && my_is_sign(m, 0, ".")) {
        m->at++;
        my_put_text(m, node, name); /* what stands in front */
        name = my_peek(m, 0)->kind == MY_WORD ? m->tokens[m->at++].value : my_name(m, "the name of a column");
    }
    node->name = name;
    while (!m->failed && (my_is_sign(m, 0, "->") || my_is_sign(m, 0, "->>"))) {
        bool unquote = my_is_sign(m, 0, "->>");
        m->at++;
        const char *path = my_text(m, "a path in quotes");
        struct my_node *outer = my_node_new(m, MY_CALL, "json_extract", node->token);
        my_put_text(m, outer, unquote ? "JSON_UNQUOTE(JSON_EXTRACT(" : "JSON_EXTRACT(");
        my_put(m, outer, NULL, node);
        my_put_text(m, outer,
                    rb_format(m->rb, ", %s)%s", path == NULL ? "" : my_literal(m->rb, path), unquote ? ")" : ""));
        node = outer;
    }
    return node;
}

static struct my_node *parenthesis(struct my *m)
{
    if (my_is_query(m, 0))
        return my_query(m, m->at);
    struct my_node *node = my_node_new(m, MY_PAREN, "", m->at);
    m->at++;
    my_put_read(m, node, "(", LEVEL_OR);
    if (my_is_sign(m, 0, ","))
        my_fail(m, "expression", my_here(m), "Compare column by column, with AND between.",
                "a row of several values cannot be part of a plan");
    my_need_sign(m, ")");
    my_put_text(m, node, ")");
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
    if (my_is(m, 0, "exists") && my_is_query(m, 1)) {
        m->at++;
        return my_query(m, m->at);
    }
    if ((node = dated(m)) != NULL || (node = moment(m)) != NULL)
        return node;
    if ((my_is(m, 0, "cast") || my_is(m, 0, "convert")) && my_is_sign(m, 1, "("))
        return cast(m);
    if (my_is_sign(m, 1, "(") && !my_is(m, 0, "select") && !my_is(m, 0, "row"))
        return call(m);
    return column(m);
}

struct my_node *my_primary(struct my *m)
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
    return my_node_new(m, MY_NULL, "", m->at);
}
