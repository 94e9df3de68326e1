/*
 * ddl.h - what ddl.c, inspect.c and constraint.c share with others.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_CHANGE_DDL_H
#define AGENT_ENGINE_POSTGRESQL_CHANGE_DDL_H

#include "agent/engine/postgresql/catalog/catalog.h"
#include "agent/engine/postgresql/session/work.h"

/* Looks at the step in whatever transaction there is. FOREIGN fills err without being a failure. */
enum zdm_code pgsql_look(struct pgsql_work *w, enum agent_proof *out_proof, struct zdm_error *err) ZDM_CHECKED;

/* constraint.c: may an index of the table become a UNIQUE or PRIMARY KEY constraint at all? Asked before one is built,
 * too. */
enum zdm_code pgsql_refuse_key(const struct pgsql_table *table, struct zdm_error *err) ZDM_CHECKED;

#endif
