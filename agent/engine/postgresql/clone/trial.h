/*
 * trial.h - the server is the judge (database.md 17): what a step's statement would do is seen on an empty clone.
 *
 * The clone is a temporary table of the session: nobody else sees it, no publication has it, and it goes with the
 * session whatever happens. It is made and committed before the statement is tried, since whoever creates a table holds
 * it exclusively until its transaction ends, and then the statement's own lock could not be told. The trial itself is
 * rolled back and the clone dropped. The real table is locked only as a reader does, for the moment in which its
 * definition is read; tables that foreign keys point at, and partitions, are cloned as well.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_CLONE_TRIAL_H
#define AGENT_ENGINE_POSTGRESQL_CLONE_TRIAL_H

#include "agent/engine/postgresql/session/work.h"

struct pgsql_trial {
    bool tried;         /* false: the step is of a kind that no clone can show, or what it builds on is not there yet */
    bool rewritten;     /* the table or one of its indexes would be written anew */
    bool scanned;       /* all its rows would be read, under the lock below */
    bool reads_default; /* … of the default partition, to attach another one */
    enum zdm_table_lock lock;   /* the strongest that the statement took on its table */
    char why[ZDM_TEXT_MAX + 1]; /* what of this is against the plan, "" for nothing: then the step would be refused */
    char hint[ZDM_TEXT_MAX + 1];
    char why_not[ZDM_TEXT_MAX + 1]; /* it was not tried although it is of a kind that is: why; else "" */
};

/* Tries the step on a clone. ZDM_OK fills *out, whatever was seen; another code: the server refused the statement, or a
 * clone could not be made. Opens and ends its own transactions. A writable node only. */
enum zdm_code pgsql_try_on_clone(struct pgsql_work *w, const struct zdm_step *step, struct pgsql_trial *out,
                                 struct zdm_error *err) ZDM_CHECKED;
/* The same for w->step, once per step and session: ZDM_REFUSED when something is against the plan. */
enum zdm_code pgsql_prove_on_clone(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

#endif
