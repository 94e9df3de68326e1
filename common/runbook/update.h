/*
 * update.h - one UPDATE while it is taken apart: shared by update.c (SET) and where.c (conditions) of PostgreSQL,
 * mysql/rows.c, derive.c (what it means) and fill.c (steps). Expressions are nodes of the dialect's own.
 */
#ifndef ZDM_RUNBOOK_UPDATE_H
#define ZDM_RUNBOOK_UPDATE_H

#include "common/runbook/postgresql/tree.h"

enum { RB_TARGETS_MAX = 32, RB_TERMS_MAX = 64 };

struct rb_target {
    const char *name;
    const void *value;
    struct rb_place at;
    struct rb_expr expr;
    struct rb_column *column;
    const char *copy_of; /* the column when the value is just that */
    bool never_null;     /* the value is sure, whatever the row holds */
    bool fill_once;
};

/* A term of WHERE that stands alone or between ANDs. */
struct rb_term {
    const void *node;
    struct rb_place at;
    struct rb_expr expr;
    const char *null_of; /* it is: that column IS NULL (is_null) or IS NOT NULL; else NULL */
    bool is_null;
    bool is_difference, by_equality; /* it is: the only target and its own expression differ, said with an operator that
                                        NULL makes NULL */
};

struct rb_update {
    struct rb_statement *s;
    const PgQuery__UpdateStmt *stmt;                                           /* NULL for MySQL */
    const char *(*write)(struct rb *rb, const void *node, const char *prefix); /* as rb_expr_write */
    struct rb_table table;
    struct rb_target targets[RB_TARGETS_MAX];
    size_t n_targets;
    struct rb_term guards[RB_TERMS_MAX], filters[RB_TERMS_MAX];
    size_t n_guards, n_filters;
    struct rb_expr filter_expr;
    bool derive;     /* a trigger goes with it */
    bool idempotent; /* running a batch twice is the same as once */
    bool both_ways;
};

/* ---- derive.c: for whoever has read table, targets and write ---- */

/* Does a trigger go with it? False with a finding. Before the condition is read. */
bool rb_update_choose_sync(struct rb_update *u);
/* Sorts a term into guards and filters; findings for one that is neither. */
bool rb_update_has_room(struct rb_update *u, struct rb_place at);
void rb_update_term(struct rb_update *u, const struct rb_term *term);
/* Judges what was read and adds the steps, when there were no other errors since `errors`. */
void rb_update_finish(struct rb_update *u, size_t errors);
/* ---- delete.c ---- */

struct rb_deletion {
    struct rb_statement *s;
    struct rb_table table;
    struct rb_place where_at;
    struct rb_expr condition;
    const char *filter; /* the condition over t */
};
/* Judges a DELETE of either engine and adds its step. */
void rb_delete_finish(struct rb_deletion *d, bool has_where);

/* ---- own_table.c: is the answer of a subquery over the changed table the same for each batch? False with a finding.
 * `what` as for rb_expr_examine. ---- */
bool rb_own_in_update(const struct rb_update *u, const struct rb_expr *expr, const char *what);
bool rb_own_in_delete(const struct rb_deletion *d);

/* may_fail.c: warns of what in a trigger may make the application's statement fail. */
void rb_update_may_fail(struct rb_update *u);

/* ---- derive.c, where.c, fill.c ---- */

/* The target of that name, or NULL. */
struct rb_target *rb_update_target(struct rb_update *u, const char *name);
/* where.c: each top-level AND term of WHERE. */
void rb_split_where(struct rb_update *u, PgQuery__Node *node);
/* What the targets from `first` to before `end` are derived from. Findings where it cannot be written. */
struct zdm_derivation *rb_update_derive(struct rb_update *u, size_t first, size_t end);
/* What of an UPDATE without triggers can be computed again from each row, to be compared with what it holds; NULL:
 * nothing. Asked of the rows that its whole condition names, so that what the application wrote into others counts as
 * right; all terms stand in the filter. The last use of u. */
struct zdm_derivation *rb_update_compared(struct rb_update *u);
/* The syncs and the backfill. Takes d, the derivation of all targets. */
void rb_update_steps(struct rb_update *u, struct zdm_derivation *d);

#endif
