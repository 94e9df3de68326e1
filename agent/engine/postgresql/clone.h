/*
 * clone.h - empty clones of the plan's tables, and a step's statement turned to them: what trials are made of
 * (trial.h).
 *
 * clone.c makes and drops clones; clone_kinds.c knows what each kind of step needs beside its own table's, and what the
 * plan does to the table before.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_CLONE_H
#define AGENT_ENGINE_POSTGRESQL_CLONE_H

#include "agent/engine/postgresql/trial.h"

#define PGSQL_CLONE "pg_temp.\"~zdm_clone\""

enum { PGSQL_CLONE_NAME_MAX = 48 };

/* One trial under way. */
struct pgsql_stage {
    struct pgsql_work *w;
    const struct zdm_step *step;
    struct pgsql_trial *out;
};

/* What a kind of step needs beside its own table's clone, and how its statement is turned to the clones. */
struct pgsql_clone_rule {
    enum zdm_action action;
    bool foreign_keys; /* those of the table itself, to clones of what they point at */
    enum zdm_code (*prepare)(struct pgsql_stage *stage, struct zdm_error *err);
    bool (*turn)(const struct zdm_step *step, struct zdm_buffer *out);
};

/* clone.c. The clones live in the session's temporary schema; `name` is quoted SQL. */
/* Runs each statement that the query answers. */
enum zdm_code pgsql_run_each(struct pgsql_work *w, const char *sql, size_t n, const char *const *params,
                             struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_clone_table(struct pgsql_work *w, const struct zdm_table *table, const char *name,
                                struct zdm_error *err) ZDM_CHECKED;
/* The table's foreign keys onto its clone, to clones of what they point at. */
enum zdm_code pgsql_clone_foreign_keys(struct pgsql_work *w, const struct zdm_table *table, const char *clone,
                                       struct zdm_error *err) ZDM_CHECKED;
/* What runs as the owner of the tables must own their clones. */
enum zdm_code pgsql_clones_to_owner(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Of a trial that was cut short, too. */
enum zdm_code pgsql_drop_clones(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
void pgsql_parent_clone(char out[PGSQL_CLONE_NAME_MAX], const char *id);

/* clone_kinds.c */
const struct pgsql_clone_rule *pgsql_clone_rule_of(const struct zdm_step *step);
/* On the clone what the plan does to the table before the step and the journal does not call done. What does not work,
 * since it is there already or builds on what is not, is left. */
enum zdm_code pgsql_clone_replay(struct pgsql_stage *stage, uint32_t from, struct zdm_error *err) ZDM_CHECKED;

#endif
