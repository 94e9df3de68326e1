/*
 * walk_sql.h - the statements of a walk as SQL. Each begins behind the cursor in parameter `cursor`, 0 for the first
 * one, and ends with the key in $1; taken by the caller, NULL without memory.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_WALK_WALK_SQL_H
#define AGENT_ENGINE_POSTGRESQL_WALK_WALK_SQL_H

#include "agent/engine/postgresql/walk/backfill.h"

/* Where a chunk of $2 rows ends; no row when fewer are left. */
char *pgsql_walk_full_text(const struct pgsql_facts *facts, const struct zdm_table *table, int cursor);
/* Where the next chunk of at most $2 rows ends, and how many it has. */
char *pgsql_walk_next_text(const struct pgsql_facts *facts, const struct zdm_table *table, int cursor);
/* Locks the rows of the range in key order. */
char *pgsql_walk_lock_text(const struct pgsql_facts *facts, const struct zdm_step *step, int cursor);
/* What a batch of the step does to the range: the UPDATE, with before-images where the step keeps them (images.h); of a
 * SYNC_REMOVE on its way back, the old column brought in step (walk_back.h). */
char *pgsql_walk_batch_text(const struct pgsql_facts *facts, const struct zdm_step *step, int cursor);
/* How many rows of the range such a batch leaves as they are, since the old column cannot hold the new value. */
char *pgsql_walk_left_text(const struct pgsql_facts *facts, const struct zdm_step *step, int cursor);
/* The key of a row in the range whose target is not what it should be; cursor PGSQL_WALK_ONE: of the row with the key
 * in $1. switched: new code has written since, so that a row which the old column cannot follow is none of them. */
enum { PGSQL_WALK_ONE = -1 };
char *pgsql_walk_differ_text(const struct pgsql_facts *facts, const struct zdm_table *table, int cursor, bool switched);

#endif
