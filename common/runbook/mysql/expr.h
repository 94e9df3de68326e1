/*
 * expr.h - expressions while they are read: shared by expr.c (operators) and value.c (what stands between them).
 */
#ifndef ZDM_RUNBOOK_MYSQL_EXPR_H
#define ZDM_RUNBOOK_MYSQL_EXPR_H

#include "common/runbook/mysql/parse.h"

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

struct my_node *my_node_new(struct my *m, enum my_node_kind kind, const char *name, size_t token);
/* Appends written text, or a child. */
void my_put(struct my *m, struct my_node *node, const char *text, struct my_node *child);
void my_put_text(struct my *m, struct my_node *node, const char *text);
/* The text, and behind it an expression of that level that is read now. */
void my_put_read(struct my *m, struct my_node *node, const char *text, int level);

/* An expression whose operators bind at least as strongly as the level; never NULL, see m->failed. */
struct my_node *my_expr_level(struct my *m, int level);
/* A literal, a column, a call, something in parentheses. */
struct my_node *my_primary(struct my *m);
/* "(SELECT", and the whole of it: only what it is, it is refused where it is judged. */
bool my_is_query(const struct my *m, size_t ahead);
struct my_node *my_query(struct my *m, size_t token);

#endif
