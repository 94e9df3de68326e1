/*
 * ddl.h - what ddl.c and inspect.c share.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_CHANGE_DDL_H
#define AGENT_ENGINE_POSTGRESQL_CHANGE_DDL_H

#include "agent/engine/postgresql/session/work.h"

/* Looks at the step in whatever transaction there is. FOREIGN fills err without being a failure. */
enum zdm_code pgsql_look(struct pgsql_work *w, enum agent_proof *out_proof, struct zdm_error *err) ZDM_CHECKED;

#endif
