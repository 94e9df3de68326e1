/*
 * examine.c - what an expression over one row reads, and whether a plan may hold it: the rules of ../expr.c. The same
 * text runs in the agent's batches and in triggers inside of the application's statements.
 */
#include <string.h>

#include "common/runbook/mysql/parse.h"

struct look {
    struct my *m;
    const struct rb_table *table;
    const char *alias, *what;
    struct rb_expr *out;
    bool failed;
};

static void fail(struct look *e, const char *rule, size_t token, const char *hint, const char *message)
{
    rb_error(e->m->rb, rule, my_place(e->m, token), hint, "%s %s", e->what, message);
    e->failed = true;
}

/* In front of the column stands the updated table, or its alias. */
static void look_at_column(struct look *e, struct my_node *node)
{
    const char *table = e->alias != NULL ? e->alias : e->table->name;
    for (const struct my_part *part = node->parts; part != NULL; part = part->next) {
        if (part->next == NULL && rb_same_word(part->text, table))
            continue;
        fail(e, "other-table", node->token,
             "Read columns of the updated table only; copy what another table holds in a step of its own.",
             rb_format(e->m->rb, "reads %s, which is not the updated table", part->text));
        return;
    }
    node->name = my_column_name(e->m->rb, e->table, node->name);
    rb_expr_add(e->m->rb, e->out, node->name);
}

/* ---- functions ---- */

static bool is_one_of(const char *name, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static bool is_neutral(const char *name)
{
    static const char *const names[] = {"coalesce", "nullif", "lower", "upper", "trim", "concat", NULL};
    return is_one_of(name, names);
}

/* Does it give a text, whatever its columns are? */
static bool is_text(const struct my_node *node)
{
    static const char *const texts[] = {"lower", "upper", "trim", "concat", NULL};
    static const char *const passing[] = {"coalesce", "nullif", NULL};
    node = my_bare(node);
    if (node->kind == MY_LITERAL)
        return node->parts != NULL && node->parts->text[0] == '\'';
    if (node->kind == MY_CALL && is_one_of(node->name, texts))
        return true;
    bool cases = node->kind == MY_OPERATOR && strcmp(node->name, "CASE") == 0, value = false, text = false;
    if (!cases && (node->kind != MY_CALL || !is_one_of(node->name, passing)))
        return false;
    for (const struct my_part *part = node->parts; part != NULL; part = part->next) {
        if (part->text != NULL)
            value = !cases || strcmp(part->text, " THEN ") == 0 || strcmp(part->text, " ELSE ") == 0;
        else
            text = text || (value && is_text(part->child));
    }
    return text;
}

static const char by_collation[] = "whether two texts are equal, each engine says by its own collation";

static void judge_neutral_call(struct look *e, const struct my_node *node)
{
    struct rb *rb = e->m->rb;
    if (!rb->neutral)
        return;
    if (!is_neutral(node->name))
        rb_not_neutral(rb, my_place(e->m, node->token), "%s() is not in the common subset", node->name);
    else if (strcmp(node->name, "nullif") == 0 && is_text(node))
        rb_not_neutral(rb, my_place(e->m, node->token), "%s", by_collation);
    for (size_t i = 0; strcmp(node->name, "concat") == 0 && my_child(node, i) != NULL; i++) {
        const struct my_node *value = my_child(node, i);
        if (my_is_never_null(value))
            continue;
        rb_not_neutral(rb, my_place(e->m, value->token),
                       "where a value is NULL concat() is NULL on MySQL, and leaves it out on PostgreSQL: write "
                       "COALESCE(…, '')");
        return;
    }
}

/* What gives the time of the moment when it is called without arguments. */
static bool is_moment_without(const struct my_node *node)
{
    return my_child(node, 0) == NULL && strcmp(node->name, "unix_timestamp") == 0;
}

static void look_at_call(struct look *e, const struct my_node *node)
{
    struct rb *rb = e->m->rb;
    const char *name = node->name;
    judge_neutral_call(e, node);
    switch (my_function_kind(name)) {
    case RB_FUNCTION_AGGREGATE:
        fail(e, "aggregate", node->token, "Each row gets its value from its own columns only.",
             rb_format(rb, "uses %s() over many rows", name));
        break;
    case RB_FUNCTION_SET:
        fail(e, "set-returning", node->token, "Use an expression that gives one value for a row.",
             rb_format(rb, "uses %s(), which gives many rows", name));
        break;
    case RB_FUNCTION_SESSION:
        fail(e, "session-function", node->token,
             "The batch and the application run in different sessions, so that their values would differ. Write a "
             "constant, or compute the value from columns.",
             rb_format(rb, "uses %s(), which depends on the session", name));
        break;
    case RB_FUNCTION_SEQUENCE:
        fail(e, "sequence", node->token, "Let the application write the number, or an AUTO_INCREMENT of a new table.",
             rb_format(rb, "uses %s() of a sequence", name));
        break;
    case RB_FUNCTION_UNKNOWN:
        fail(e, "function-unknown", node->token,
             "Only functions of the server over a row's own values may be used, and those that MySQL and MariaDB both "
             "have (docs/RUNBOOKS.md).",
             rb_format(rb, "uses %s(), which is not known as a function of MySQL and MariaDB", name));
        break;
    case RB_FUNCTION_NOW:
        e->out->is_now = true;
        break;
    case RB_FUNCTION_VOLATILE:
        e->out->is_volatile = true;
        break;
    case RB_FUNCTION_STABLE:
        e->out->uses_zone = true;
        e->out->is_now = e->out->is_now || is_moment_without(node);
        break;
    case RB_FUNCTION_IMMUTABLE:
        break;
    }
}

/* ---- operators ---- */

static bool compares_texts(const struct my_node *node)
{
    static const char *const names[] = {"=", "<>", "<", ">", "<=", ">=", "IN", "BETWEEN", NULL};
    bool text = false;
    for (size_t i = 0; my_child(node, i) != NULL; i++)
        text = text || is_text(my_child(node, i));
    return text && is_one_of(node->name, names);
}

/* CASE c WHEN 'x' …: a comparison, too. */
static bool compares_cases(const struct my_node *node)
{
    bool base = node->parts != NULL && node->parts->next != NULL && node->parts->next->text != NULL &&
                strcmp(node->parts->next->text, " ") == 0;
    for (const struct my_part *part = node->parts; part != NULL && base && part->next != NULL; part = part->next) {
        bool compared = part->text != NULL && (strcmp(part->text, " WHEN ") == 0 || strcmp(part->text, " ") == 0);
        if (compared && part->next->child != NULL && is_text(part->next->child))
            return strcmp(node->name, "CASE") == 0;
    }
    return false;
}

static void judge_neutral(struct look *e, const struct my_node *node)
{
    static const char *const names[] = {"=",  "<>", "<",       ">",           "<=",   ">=",  "+",       "-", "*",
                                        "IN", "OR", "BETWEEN", "IS NOT NULL", "CASE", "NOT", "IS NULL", NULL};
    struct rb *rb = e->m->rb;
    if (!rb->neutral || node->kind != MY_OPERATOR)
        return;
    if (!is_one_of(node->name, names))
        rb_not_neutral(rb, my_place(e->m, node->token), "%s means something else, or nothing, on another engine",
                       node->name);
    else if (compares_texts(node) || compares_cases(node))
        rb_not_neutral(rb, my_place(e->m, node->token), "%s", by_collation);
}

static void look_at_query(struct look *e, const struct my_node *node)
{
    fail(e, "subquery", node->token,
         "Add a column to this table, let the application fill it for new rows, and copy what the other table holds "
         "outside of the plan; then name that column here.",
         "holds a subquery: MySQL and MariaDB would lock what it reads, and no trigger can follow it");
}

static void look(struct look *e, struct my_node *node)
{
    switch (node->kind) {
    case MY_COLUMN:
        look_at_column(e, node);
        return;
    case MY_QUERY:
        look_at_query(e, node);
        return;
    case MY_CALL:
        look_at_call(e, node);
        break;
    case MY_MOMENT:
        e->out->is_now = true;
        if (e->m->rb->neutral)
            rb_not_neutral(e->m->rb, my_place(e->m, node->token), "%s has another type on another engine", node->name);
        break;
    case MY_CAST:
        if (e->m->rb->neutral)
            rb_not_neutral(e->m->rb, my_place(e->m, node->token), "a cast means something else on another engine");
        break;
    case MY_LITERAL:
    case MY_NULL:
    case MY_PAREN:
    case MY_AND:
    case MY_OPERATOR:
        judge_neutral(e, node);
        break;
    }
    for (const struct my_part *part = node->parts; part != NULL; part = part->next) {
        if (part->child != NULL)
            look(e, part->child);
    }
}

bool my_examine(struct my *m, const struct rb_table *table, const char *alias, const struct my_node *node,
                const char *what, struct rb_expr *out)
{
    struct look e = {.m = m, .table = table, .alias = alias, .what = what, .out = out};
    look(&e, (struct my_node *)(uintptr_t)node); /* columns get the plan's spelling */
    return !e.failed;
}

/* ---- what is sure ---- */

static bool call_is_sure(const struct my_node *node)
{
    static const char *const strict[] = {"lower", "upper", "trim", "concat", NULL}; /* NULL of NULL alone */
    bool any = strcmp(node->name, "coalesce") == 0 || strcmp(node->name, "ifnull") == 0;
    bool sure = my_function_kind(node->name) == RB_FUNCTION_NOW || strcmp(node->name, "uuid") == 0 ||
                strcmp(node->name, "rand") == 0 || strcmp(node->name, "isnull") == 0;
    for (size_t i = 0; any && my_child(node, i) != NULL && !sure; i++)
        sure = my_is_never_null(my_child(node, i));
    if (!is_one_of(node->name, strict) || my_child(node, 0) == NULL)
        return sure;
    sure = true;
    for (size_t i = 0; sure && my_child(node, i) != NULL; i++)
        sure = my_is_never_null(my_child(node, i));
    return sure;
}

/* Base and conditions of a CASE may be NULL, its values may not. */
static bool case_is_sure(const struct my_node *node)
{
    bool sure = node->sure != NULL, value = false;
    for (const struct my_part *part = node->parts; part != NULL; part = part->next) {
        if (part->text != NULL)
            value = strcmp(part->text, " THEN ") == 0 || strcmp(part->text, " ELSE ") == 0;
        else if (value)
            sure = sure && my_is_never_null(part->child);
    }
    return sure;
}

bool my_is_never_null(const struct my_node *node)
{
    node = my_bare(node);
    if (node->kind == MY_LITERAL || node->kind == MY_MOMENT)
        return true;
    if (node->kind == MY_CALL)
        return call_is_sure(node);
    if (node->kind != MY_OPERATOR)
        return false;
    return strcmp(node->name, "CASE") == 0 ? case_is_sure(node)
                                           : strncmp(node->name, "IS ", 3) == 0 || strcmp(node->name, "<=>") == 0;
}
