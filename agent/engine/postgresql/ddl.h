/*
 * ddl.h - what ddl.c shares: looking at a step, and trying a statement on a clone.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_DDL_H
#define AGENT_ENGINE_POSTGRESQL_DDL_H

#include "agent/engine/postgresql/work.h"

/* Looks at the step in whatever transaction there is. FOREIGN fills err without being a failure. */
enum zdm_code pgsql_look(struct pgsql_work *w, enum agent_proof *out_proof, struct zdm_error *err) ZDM_CHECKED;

/* Runs the step's statement on an empty clone of its table, in a transaction that is rolled back; ZDM_REFUSED when the
 * server would rewrite the table. Once per step and session. */
enum zdm_code pgsql_prove_on_clone(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Puts another table in the place of the one that an ALTER TABLE names; false when the statement is no ALTER TABLE of
 * that table. */
bool pgsql_retarget(struct zdm_buffer *out, const char *sql, const struct zdm_table *table, const char *other);

#endif
