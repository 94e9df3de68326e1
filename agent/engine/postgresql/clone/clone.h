/*
 * clone.h - empty clones of the plan's tables, in the shape that the plan will have given them when it comes to a step:
 * what trials are made of (trial.h), and what a survey asks how a step's objects would look.
 *
 * What the plan makes before the step and has not made yet is made in the session's temporary schema: its types under
 * their own names, its tables and the clones of those that are there as "~zdm_…". clone.c makes and drops them, stage.c
 * does to them what the plan does before the step, clone_kinds.c turns each kind's statement to them.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_CLONE_CLONE_H
#define AGENT_ENGINE_POSTGRESQL_CLONE_CLONE_H

#include "agent/engine/postgresql/clone/trial.h"

#define PGSQL_CLONE "pg_temp.\"~zdm_clone\""

enum { PGSQL_CLONE_NAME_MAX = 48, PGSQL_STAGE_TABLES_MAX = 24, PGSQL_STAGE_TYPES_MAX = 24, PGSQL_STAGE_CHECKS_MAX = 8 };

/* A table on stage. */
struct pgsql_staged {
    const struct zdm_table *table; /* of the plan, borrowed */
    bool there;                    /* in the database; else made from the plan's CREATE TABLE */
    char name[PGSQL_CLONE_NAME_MAX];
};

/* What a partition's rows must meet, asked of the server. */
struct pgsql_staged_check {
    const struct zdm_step *step;
    char *condition;
};

/* Clones for one step. The step's own table is PGSQL_CLONE; with ATTACH and DETACH PARTITION that one is partitioned,
 * and the partition is PGSQL_CLONE_CHILD. */
struct pgsql_stage {
    struct pgsql_work *w;
    const struct zdm_step *step;
    uint32_t from; /* steps before this one are done in the database */
    struct pgsql_staged tables[PGSQL_STAGE_TABLES_MAX];
    size_t n_tables;
    const struct zdm_step *types[PGSQL_STAGE_TYPES_MAX]; /* CREATE TYPE */
    size_t n_types;
    struct pgsql_staged_check checks[PGSQL_STAGE_CHECKS_MAX];
    size_t n_checks;
    const struct zdm_step *missing; /* the first step whose work the clones lack; NULL: none */
};

/* What a kind of step needs beside its own table's clone, and how its statement is turned to the clones. */
struct pgsql_clone_rule {
    enum zdm_action action;
    bool foreign_keys; /* those of the table itself, to clones of what they point at */
    bool tried;        /* by itself; else only done before others */
    /* *ready false: there is nothing to try the statement on. */
    enum zdm_code (*prepare)(struct pgsql_stage *stage, bool *ready, struct zdm_error *err);
    bool (*turn)(const struct pgsql_stage *stage, const struct zdm_step *step, struct zdm_buffer *out);
};

/* clone.c. `name` is quoted SQL. None takes a lock on each partition. */
/* Runs each statement that the query answers. */
enum zdm_code pgsql_run_each(struct pgsql_work *w, const char *sql, size_t n, const char *const *params,
                             struct zdm_error *err) ZDM_CHECKED;
/* With its indexes, but not in their tablespaces; tail: what stands behind, "" or " PARTITION BY …". */
enum zdm_code pgsql_clone_as(struct pgsql_work *w, const struct zdm_table *table, const char *name, const char *tail,
                             struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_clone_table(struct pgsql_work *w, const struct zdm_table *table, const char *name,
                                struct zdm_error *err) ZDM_CHECKED;
/* What CREATE TABLE … (LIKE …) names anew or leaves out: keys under their own names; triggers and rules. */
enum zdm_code pgsql_clone_keys(struct pgsql_work *w, const struct zdm_table *table, const char *name,
                               struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_clone_triggers(struct pgsql_work *w, const struct zdm_table *table, const char *name,
                                   struct zdm_error *err) ZDM_CHECKED;
/* The table's foreign keys onto its clone, to clones of what they point at. */
enum zdm_code pgsql_clone_foreign_keys(struct pgsql_work *w, const struct zdm_table *table, const char *clone,
                                       struct zdm_error *err) ZDM_CHECKED;
/* What runs as the owner of the tables must own their clones. */
enum zdm_code pgsql_clones_to_owner(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Of a trial that was cut short, too. */
enum zdm_code pgsql_drop_clones(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
void pgsql_parent_clone(char out[PGSQL_CLONE_NAME_MAX], const char *id);

/* room.c */
/* As many locks may one transaction of a trial or a look take. */
enum zdm_code pgsql_lock_room(struct pgsql_work *w, int64_t *out, struct zdm_error *err) ZDM_CHECKED;
/* The table and its partitions, and the locks of a statement that reads all of them: their indexes, too. */
enum zdm_code pgsql_tree_locks(struct pgsql_work *w, const struct zdm_table *table, int64_t *out_tables,
                               int64_t *out_locks, struct zdm_error *err) ZDM_CHECKED;

/* stage.c */
/* The transaction that clones are made in and statements are tried in. */
enum zdm_code pgsql_stage_begin(struct pgsql_work *w, const struct zdm_step *step, struct zdm_error *err) ZDM_CHECKED;
/* Clones for the step, in the transaction at hand, with what the plan does before it. The caller calls
 * pgsql_stage_fini, also after a failure, and drops the clones or rolls them back. */
enum zdm_code pgsql_stage_set(struct pgsql_stage *stage, struct pgsql_work *w, const struct zdm_step *step,
                              struct zdm_error *err) ZDM_CHECKED;
/* Runs turned statements one by one, each as the only one of its message: where one hides another, the server refuses
 * both. */
enum zdm_code pgsql_stage_run(struct pgsql_session *s, const char *sql, struct zdm_error *err) ZDM_CHECKED;
/* The step itself, too, under a savepoint: *out_done says whether the server took it, *out_why what it said. */
enum zdm_code pgsql_stage_do(struct pgsql_stage *stage, const struct zdm_step *step, bool *out_done,
                             struct zdm_error *out_why, struct zdm_error *err) ZDM_CHECKED;
void pgsql_stage_fini(struct pgsql_stage *stage);
/* The clone of a table on stage, NULL for none. */
const char *pgsql_stage_name(const struct pgsql_stage *stage, const struct zdm_table *table);
/* The table whose clone has that name, as the server writes it, in it; NULL for none. */
const struct zdm_table *pgsql_stage_table(const struct pgsql_stage *stage, const char *name);
/* Does an earlier step of the plan create the table, which is not there? */
bool pgsql_stage_makes(const struct pgsql_stage *stage, const struct zdm_table *table);
/* SQL of the plan with the names of what the plan makes as they are on stage. */
void pgsql_stage_names(const struct pgsql_stage *stage, const char *sql, struct zdm_buffer *out);

/* clone_kinds.c; NULL for a kind that clones do not show. */
const struct pgsql_clone_rule *pgsql_clone_rule_of(const struct zdm_step *step);

#endif
