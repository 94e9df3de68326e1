/*
 * validate_sync.h - may triggers be derived here at all?
 */
#ifndef AGENT_ENGINE_POSTGRESQL_WALK_VALIDATE_SYNC_H
#define AGENT_ENGINE_POSTGRESQL_WALK_VALIDATE_SYNC_H

#include "agent/engine/postgresql/walk/sync.h"

/* Refuses a derivation that could make the application fail or store what it did not write; marks pairs whose reverse
 * copy needs a guard. Changes nothing in the database. */
enum zdm_code pgsql_sync_validate(struct pgsql_work *w, struct pgsql_facts *facts, struct zdm_error *err) ZDM_CHECKED;
/* Only the guards: for the reverse half after a hide. */
void pgsql_sync_mark_guards(struct pgsql_facts *facts);
/* The guards count on the source column's NOT NULL although it is not there now, or not as one: what a reverse copy
 * writes while the column is hidden is to be right when it is back. */
void pgsql_sync_count_on(struct pgsql_facts *facts, const char *column, bool not_null);

#endif
