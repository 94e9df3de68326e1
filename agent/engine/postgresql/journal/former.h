/*
 * former.h - zdm.former: the statements that put a step's former state back, and what the step made of it.
 *
 * Written in the change's transaction. The first former state stays when a step runs again (somebody else's change in
 * between is not ours to keep); what was made of it is always the latest. On the way back the statements run in their
 * order and go, but only where the catalogue still says what the step made: what somebody changed since is left, and
 * said.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_JOURNAL_FORMER_H
#define AGENT_ENGINE_POSTGRESQL_JOURNAL_FORMER_H

#include "agent/engine/postgresql/change/locks.h"

/* made: as the catalogue says it now, NULL for a part that only travels along. */
enum zdm_code pgsql_former_keep(struct pgsql_work *w, unsigned part, const char *back_sql, const char *made,
                                struct zdm_error *err) ZDM_CHECKED;
/* Any rows of the operation's step? made is that of its first part, malloc'd; NULL for none. */
enum zdm_code pgsql_former_read(struct pgsql_work *w, bool *out_there, char **out_made,
                                struct zdm_error *err) ZDM_CHECKED;
/* The statement of one part, malloc'd; NULL when there is none. */
enum zdm_code pgsql_former_part(struct pgsql_work *w, unsigned part, char **out_sql, struct zdm_error *err) ZDM_CHECKED;
/* The step as zdm.former has it. */
void pgsql_former_step(const struct pgsql_work *w, char out[16]);
/* Runs all parts; forgets them. */
enum zdm_code pgsql_former_run(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_former_forget(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

#endif
