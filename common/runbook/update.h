/*
 * update.h - one UPDATE while it is taken apart: shared by update.c (SET), where.c (conditions) and fill.c
 * (steps).
 */
#ifndef ZDM_RUNBOOK_UPDATE_H
#define ZDM_RUNBOOK_UPDATE_H

#include "common/runbook/tree.h"

enum { RB_TARGETS_MAX = 32, RB_TERMS_MAX = 64 };

struct rb_target {
    const char *name;
    PgQuery__Node *value;
    struct rb_place at;
    struct rb_expr expr;
    struct rb_column *column;
    const char *copy_of;
    bool fill_once;
};

struct rb_update {
    struct rb_statement *s;
    const PgQuery__UpdateStmt *stmt;
    struct rb_table table;
    struct rb_target targets[RB_TARGETS_MAX];
    size_t n_targets;
    PgQuery__Node *guards[RB_TERMS_MAX], *filters[RB_TERMS_MAX];
    size_t n_guards, n_filters;
    struct rb_expr filter_expr;
    bool derive;     /* a trigger goes with it */
    bool idempotent; /* running a batch twice is the same as once */
    bool both_ways;
};

/* The target of that name, or NULL. */
struct rb_target *rb_update_target(struct rb_update *u, const char *name);
/* Sorts the top-level AND terms of WHERE into guards and filters; findings for those that are neither. */
void rb_split_where(struct rb_update *u, PgQuery__Node *node);
/* What the targets from `first` to before `end` are derived from. Findings where it cannot be written. */
struct zdm_derivation *rb_update_derive(struct rb_update *u, size_t first, size_t end);
/* The syncs and the backfill. Takes d, the derivation of all targets. */
void rb_update_steps(struct rb_update *u, struct zdm_derivation *d);

#endif
