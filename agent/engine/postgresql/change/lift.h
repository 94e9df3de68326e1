/*
 * lift.h - taking one constraint, or the NOT NULL of one column, away from a table so that it can come back as it was.
 *
 * As with what belongs to a hidden column alone (hidden.h), a row of zdm.hidden keeps the statements of the way back;
 * here under the constraint's step and name. Kinds: 'check', 'foreign key', 'unique', 'primary key', 'not null'. The
 * way back is the same too: UNHIDE, RESTORE for each, UNHIDE (unhide.c, restore.c).
 */
#ifndef AGENT_ENGINE_POSTGRESQL_CHANGE_LIFT_H
#define AGENT_ENGINE_POSTGRESQL_CHANGE_LIFT_H

#include "agent/engine/postgresql/change/locks.h"

/* Of a LIFT_CONSTRAINT or DROP_NOT_NULL: DONE when it is away and nothing of it is half way back. */
enum zdm_code pgsql_lift_look(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                              struct zdm_error *err) ZDM_CHECKED;
/* AGENT_RUN_DDL of such a step, with its transaction and the journal's step. */
enum zdm_code pgsql_run_lift(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* The way back of a step whose rows of zdm.hidden say all: fills proof, next_run and remark of the result. */
enum zdm_code pgsql_lift_look_back(struct pgsql_work *w, const struct pgsql_table *table,
                                   struct zdm_error *err) ZDM_CHECKED;

/* In the transaction at hand, which holds the table: keeps the constraint under the operation's step, locks the other
 * table of a foreign key, drops it. Refuses what could not be built again without blocking writers. */
enum zdm_code pgsql_lift_constraint(struct pgsql_short *attempt, const struct pgsql_table *table, const char *name,
                                    struct zdm_error *err) ZDM_CHECKED;
/* The same for NOT NULL. Nothing is kept of a column that was nullable. */
enum zdm_code pgsql_lift_not_null(struct pgsql_short *attempt, const struct pgsql_table *table, const char *column,
                                  struct zdm_error *err) ZDM_CHECKED;
/* What pgsql_lift_constraint would refuse, asked before: ZDM_OK also where there is no such constraint. */
enum zdm_code pgsql_lift_refuse(struct pgsql_work *w, const struct pgsql_table *table, const char *name,
                                struct zdm_error *err) ZDM_CHECKED;

/* Keeps those constraints ("{oid,…}") under the operation's step and this hidden name, and drops none. */
enum zdm_code pgsql_lift_keep(struct pgsql_work *w, const char *oids, const char *hidden_name,
                              struct zdm_error *err) ZDM_CHECKED;
/* A trial or a real DROP failed because something depends on it: says what. "%s cannot be %s: …". Other errors stay. */
enum zdm_code pgsql_lift_explain(const char *what, const char *done, struct zdm_error *err);

#endif
