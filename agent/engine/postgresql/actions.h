/*
 * actions.h - one rule a kind of step: how it is looked at both ways, and how its short part is run both ways.
 *
 * inspect.c, ddl.c and undo.c read these rules and know no kind by name. Whoever adds a kind writes its functions and
 * adds one row to actions.c; what a row leaves out, the kind does not have.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_ACTIONS_H
#define AGENT_ENGINE_POSTGRESQL_ACTIONS_H

#include "agent/engine/postgresql/change/locks.h"

/* Is the step done? In whatever transaction there is. FOREIGN fills err without being a failure. The table is NULL for
 * kinds that are not about one. */
typedef enum zdm_code pgsql_look_fn(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                                    struct zdm_error *err);
/* Which part of the way back comes next: fills proof, next_run and remark of the result. */
typedef enum zdm_code pgsql_look_back_fn(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err);
/* Something that a short transaction does for the step. */
typedef enum zdm_code pgsql_part_fn(struct pgsql_short *attempt, const struct pgsql_table *table,
                                    struct zdm_error *err);
/* All of a run, with its transaction and the journal's step. */
typedef enum zdm_code pgsql_run_fn(struct pgsql_work *w, struct zdm_error *err);

/* What carries the owner's mark once it is made. */
enum pgsql_mark { PGSQL_MARK_NONE = 0, PGSQL_MARK_COLUMN, PGSQL_MARK_CONSTRAINT, PGSQL_MARK_TABLE, PGSQL_MARK_TYPE };

struct pgsql_action {
    bool of_table; /* the step's table must be there; looks and parts are given it */
    pgsql_look_fn *look;
    pgsql_look_back_fn *look_back; /* NULL: there is nothing to undo */

    /* AGENT_RUN_DDL: one short transaction, in this order. `run` does all of it in its own way instead. */
    pgsql_run_fn *run;
    bool ddl;                   /* the rest of the row counts */
    pgsql_run_fn *ahead;        /* refuses, before anything is locked, what can be told by reading */
    bool tried;                 /* the statement runs on an empty clone first (trial.h) */
    pgsql_part_fn *lock_others; /* that the statement locks too, before the table itself */
    enum pgsql_lock_mode lock;  /* of the table and all its partitions; PGSQL_NO_LOCK: none */
    bool lock_only;             /* of the table and none of its partitions */
    pgsql_part_fn *may;         /* refuses what would hurt, under the locks */
    pgsql_part_fn *keep;        /* writes down the former state */
    pgsql_part_fn *change;      /* NULL: the step's own statement */
    enum pgsql_mark mark;
    pgsql_part_fn *note; /* what only the catalogue knows now, after the change */

    /* AGENT_RUN_UNDO_DDL, likewise; NULL: no such part */
    pgsql_run_fn *back_ahead;
    pgsql_part_fn *back_lock_others;
    enum pgsql_lock_mode back_lock;
    pgsql_part_fn *back;
};

/* The rule of the step's kind, or NULL. */
const struct pgsql_action *pgsql_action_of(const struct zdm_step *step);

#endif
