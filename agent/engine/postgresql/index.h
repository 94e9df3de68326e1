/*
 * index.h - concurrent index builds as the rest of the engine sees them.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_INDEX_H
#define AGENT_ENGINE_POSTGRESQL_INDEX_H

#include "agent/engine/postgresql/work.h"

/* DONE: valid and ours; LEFTOVER: invalid and ours; FOREIGN: err says what; else NOT_DONE. */
enum zdm_code pgsql_index_look(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                               struct zdm_error *err) ZDM_CHECKED;
/* Builds an index that was there before a hide, with the statement that zdm.hidden keeps. A violation leaves nothing.
 */
enum zdm_code pgsql_index_build_again(struct pgsql_work *w, const struct pgsql_table *table, const char *name,
                                      const char *sql, struct zdm_error *err) ZDM_CHECKED;

#endif
