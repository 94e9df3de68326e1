/*
 * owner.h - whose is what a plan makes: statements that make objects run as the role that owns the application's, so
 * that they are that role's, its default privileges hold, and the next migration may change them.
 *
 * These are CREATE TABLE, CREATE TYPE, and as-is with its inverse, and nothing else of the agent. The role is the
 * setting `owner`; without it the one that owns all ordinary tables of the statement's schema, those of extensions left
 * out. Nobody guesses among several.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_CATALOG_OWNER_H
#define AGENT_ENGINE_POSTGRESQL_CATALOG_OWNER_H

#include "agent/engine/postgresql/session/work.h"

/* What was current before, to be proven again afterwards. */
struct pgsql_owner {
    char role[ZDM_IDENTIFIER_MAX + 1];
    char before[ZDM_IDENTIFIER_MAX + 1];
};

/* Is the step's statement run as the owner? */
bool pgsql_runs_as_owner(const struct zdm_step *step);
/* Who that is, for w->step. ZDM_REFUSED: nobody can be told, or a right is missing; the hint names the setting or the
 * GRANT. In whatever transaction there is. */
enum zdm_code pgsql_owner_find(struct pgsql_work *w, struct pgsql_owner *out, struct zdm_error *err) ZDM_CHECKED;
/* Becomes the owner until the end of the transaction, or until pgsql_owner_leave; outside of one for the session. */
enum zdm_code pgsql_owner_enter(struct pgsql_work *w, struct pgsql_owner *owner, struct zdm_error *err) ZDM_CHECKED;
/* Gives the role back, also one that the statement itself has set, and proves it: ZDM_REFUSED when another is current.
 */
enum zdm_code pgsql_owner_leave(struct pgsql_work *w, const struct pgsql_owner *owner,
                                struct zdm_error *err) ZDM_CHECKED;
/* Adds to the error of a statement that failed for want of a right whose right it was. */
enum zdm_code pgsql_owner_explain(const struct pgsql_owner *owner, enum zdm_code code, struct zdm_error *err);

#endif
