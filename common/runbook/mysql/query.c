/*
 * query.c - SELECTs that only read: checks, proofs of as-is statements, conditions of waits.
 *
 * Queries are not taken apart: their tokens are looked through for what writes, locks, or speaks of the session, and
 * are written again with texts in the one form that agents read.
 */
#include <stdlib.h>
#include <string.h>

#include "common/runbook/mysql/parse.h"

/* ---- queries ---- */

static void refuse(struct my *m, size_t token, const char *hint, const char *message)
{
    my_fail(m, "check-query", my_place(m, token), hint, "%s", message);
}

/* The first says it for the query. */
static void fail_neutral(struct my *m, size_t token, const char *message)
{
    rb_not_neutral(m->rb, my_place(m, token), "%s", message);
    m->failed = true;
}

static bool is_word(const struct my *m, size_t i, const char *word)
{
    return i < m->n && m->tokens[i].kind == MY_WORD && rb_same_word(m->tokens[i].value, word);
}

static bool is_sign(const struct my *m, size_t i, const char *sign)
{
    return i < m->n && m->tokens[i].kind == MY_SIGN && strcmp(m->tokens[i].value, sign) == 0;
}

static void judge_call(struct my *m, size_t i)
{
    static const char *const not_calls[] = {
        "in",    "values",   "as",       "on",        "and",       "or",        "not",     "from",    "select",
        "where", "with",     "exists",   "using",     "over",      "join",      "by",      "when",    "then",
        "else",  "like",     "having",   "union",     "all",       "any",       "some",    "between", "case",
        "limit", "distinct", "except",   "intersect", "varchar",   "char",      "decimal", "binary",  "datetime",
        "time",  "is",       "interval", "rows",      "partition", "recursive", "set",     "index",   "key"};
    const char *name = m->tokens[i].value;
    char *low = rb_copy(m->rb, name, strlen(name));
    for (char *p = low; *p != '\0'; p++)
        *p = rb_lower(*p);
    for (size_t k = 0; k < sizeof not_calls / sizeof not_calls[0]; k++) {
        if (strcmp(low, not_calls[k]) == 0)
            return;
    }
    enum rb_function_kind kind = my_function_kind(low);
    bool harmless = strcmp(low, "database") == 0 || strcmp(low, "schema") == 0 || strcmp(low, "version") == 0;
    if ((kind == RB_FUNCTION_SESSION && !harmless) || kind == RB_FUNCTION_SEQUENCE)
        refuse(m, i, "A check only reads tables.", rb_format(m->rb, "a check cannot use %s()", low));
    else if (m->rb->neutral && kind != RB_FUNCTION_AGGREGATE &&
             strstr(" coalesce nullif ", rb_format(m->rb, " %s ", low)) == NULL)
        fail_neutral(m, i, rb_format(m->rb, "%s() is not in the common subset of a check", low));
}

/* ---- in a fence for two engines ---- */

/* DATE '2026-01-01'. */
static bool is_dated(const struct my *m, size_t i)
{
    return i > 0 && (is_word(m, i - 1, "date") || is_word(m, i - 1, "timestamp"));
}

static bool is_neutral_sign(const char *sign)
{
    static const char *const signs[] = {"(", ")", ",", ".", ";", "=", "<>", "!=", "<", ">", "<=", ">=", "+", "-", "*"};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (strcmp(signs[i], sign) == 0)
            return true;
    }
    return false;
}

/* What a query would do with a text nobody looks at here: it is compared somewhere, or not needed. */
static void judge_neutral(struct my *m, size_t i)
{
    static const char *const words[] = {"like", "ilike", "similar", "regexp", "rlike",   "sounds",
                                        "div",  "mod",   "xor",     "binary", "collate", "interval"};
    const struct my_token *token = &m->tokens[i];
    bool other = token->kind == MY_BYTES || (token->kind == MY_SIGN && !is_neutral_sign(token->value));
    for (size_t k = 0; k < sizeof words / sizeof words[0] && !is_sign(m, i + 1, "("); k++)
        other = other || is_word(m, i, words[k]);
    if (other)
        fail_neutral(m, i, rb_format(m->rb, "%s means something else, or nothing, on another engine", token->value));
    else if (token->kind == MY_TEXT && !is_dated(m, i))
        fail_neutral(m, i, "whether two texts are equal, each engine says by its own collation");
}

/* A database in front of a table: behind FROM and JOIN, and the server's own are allowed. */
static void judge_table(struct my *m, size_t i)
{
    static const char *const catalogues[] = {"information_schema", "performance_schema", "mysql", "sys"};
    const struct my_token *name = &m->tokens[i];
    if ((name->kind != MY_WORD && name->kind != MY_NAME) || !is_sign(m, i + 1, "."))
        return;
    for (size_t k = 0; k < sizeof catalogues / sizeof catalogues[0]; k++) {
        if (rb_same_word(name->value, catalogues[k]))
            return;
    }
    my_fail(m, "other-database", my_place(m, i),
            "Leave the database's name out: an agent works in the database that it is connected to.",
            "the table is named with its database %s", name->value);
}

static void judge_token(struct my *m, size_t i)
{
    static const struct {
        const char *word, *hint, *message;
    } rows[] = {
        {"into", "Leave INTO out.", "a check cannot write what it finds"},
        {"insert", "A check only reads.", "a check cannot change rows"},
        {"update", "A check only reads.", "a check cannot change rows"},
        {"delete", "A check only reads.", "a check cannot change rows"},
        {"procedure", "Leave PROCEDURE out.", "a check cannot call a procedure"},
    };
    const struct my_token *token = &m->tokens[i];
    bool call = is_sign(m, i + 1, "("), part = i > 0 && is_sign(m, i - 1, ".");
    if (m->rb->neutral)
        judge_neutral(m, i);
    if (token->kind == MY_VARIABLE)
        my_fail(m, "variable", my_place(m, i), "Write the value itself.",
                "a variable has another value in the agent's session");
    else if (is_sign(m, i, "||") && !m->rb->neutral)
        my_fail(m, "pipes", my_place(m, i), "Write CONCAT(a, b) to join texts, and OR for a condition.",
                "|| is OR on MySQL and MariaDB, where numbers are made of texts");
    else if (is_word(m, i, "for") && (is_word(m, i + 1, "update") || is_word(m, i + 1, "share")))
        refuse(m, i, "Leave FOR UPDATE and FOR SHARE out.", "a check cannot lock rows");
    else if (is_word(m, i, "lock") && is_word(m, i + 1, "in"))
        refuse(m, i, "Leave LOCK IN SHARE MODE out.", "a check cannot lock rows");
    else if (token->kind == MY_WORD && call && !part)
        judge_call(m, i);
    else if (is_word(m, i, "from") || is_word(m, i, "join"))
        judge_table(m, i + 1);
    for (size_t k = 0; k < sizeof rows / sizeof rows[0] && !call && !part; k++) {
        if (is_word(m, i, rows[k].word))
            refuse(m, i, rows[k].hint, rows[k].message);
    }
}

static void judge_parentheses(struct my *m)
{
    size_t depth = 0;
    for (size_t i = 0; i < m->n; i++) {
        depth += is_sign(m, i, "(");
        if (is_sign(m, i, ")") && depth-- == 0) {
            m->at = i;
            my_unexpected(m, "the end of the statement");
            return;
        }
    }
    m->at = m->n;
    if (depth > 0)
        my_unexpected(m, "\")\"");
}

/* The query as agents run it; NULL with findings. */
static const char *query_sql(struct my *m)
{
    if (!my_is(m, 0, "select") && !my_is(m, 0, "with"))
        refuse(m, 0, "Write a SELECT for the rows that would be wrong: it must find none.", "a check is one SELECT");
    if (!m->failed)
        judge_parentheses(m);
    for (size_t i = 0; i < m->n && !m->failed; i++)
        judge_token(m, i);
    return m->failed ? NULL : my_write_tokens(m->rb, m->tokens, 0, m->n);
}

void my_check(struct my *m)
{
    const char *sql = query_sql(m);
    if (sql == NULL)
        return;
    struct rb_table nothing = {"", NULL};
    struct rb_ddl d = rb_ddl_whole(&m->s, &nothing);
    struct rb_step *step =
        rb_step_add(m->rb, m->s.phase, m->s.fence, ZDM_STEP_CHECK, ZDM_ACTION_CHECK_QUERY, ZDM_LOCK_NONE);
    struct rb_place at = rb_at_start(&m->s);
    rb_step_sql(step, sql);
    step->note.line = at.line;
    step->note.column = at.column;
    free(step->note.source);
    step->note.source = rb_dup(d.source);
    free(step->note.lock);
    step->note.lock = rb_dup("none; reads");
    rb_step_does(step, "must return no row");
}

struct one_query {
    const char *rule, *sql;
    size_t n;
};

static void read_query(struct my *m, void *ctx)
{
    struct one_query *q = ctx;
    if (q->n++ == 0) {
        q->sql = query_sql(m);
        return;
    }
    rb_report(m->rb, ZDM_LEVEL_ERROR, q->rule, rb_at_start(&m->s), "Join the conditions into one SELECT.",
              "there is more than one SELECT");
}

const char *rb_mysql_query(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence, const char *rule)
{
    struct one_query q = {.rule = rule};
    size_t errors = rb->n_errors;
    if (my_each(rb, phase, fence, read_query, &q) == 0 && errors == rb->n_errors)
        rb_report(rb, ZDM_LEVEL_ERROR, rule, fence->at, "Write one SELECT.", "there is no SELECT");
    return errors == rb->n_errors ? q.sql : NULL;
}
