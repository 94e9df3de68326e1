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

/* A query that answers whether the column's default, as SQL, is another value than the initial one of the plan; it may
 * draw from a sequence, and fail. And what is said then: ZDM_REFUSED. */
void pgsql_put_default_differs(struct zdm_buffer *sql, const struct pgsql_column *column,
                               const struct pgsql_column *target, const char *initial);
enum zdm_code pgsql_default_refused(const struct pgsql_table *table, const struct pgsql_column *column,
                                    const char *initial, struct zdm_error *err);

#endif
