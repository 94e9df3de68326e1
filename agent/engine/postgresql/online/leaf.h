/*
 * leaf.h - the index of a partitioned table, leaf by leaf (leaf.c).
 */
#ifndef AGENT_ENGINE_POSTGRESQL_ONLINE_LEAF_H
#define AGENT_ENGINE_POSTGRESQL_ONLINE_LEAF_H

#include "agent/engine/postgresql/session/work.h"

/* Refuses trees that no index can be made of. */
enum zdm_code pgsql_leaf_refuse(struct pgsql_work *w, const struct pgsql_table *table,
                                struct zdm_error *err) ZDM_CHECKED;
/* From wherever it stands to a valid index of the whole table; the journal's step is left to the caller. */
enum zdm_code pgsql_leaf_build(struct pgsql_work *w, const struct pgsql_table *table,
                               struct zdm_error *err) ZDM_CHECKED;
/* All of it, attached or not; commits with the journal's fence. */
enum zdm_code pgsql_leaf_drop(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err) ZDM_CHECKED;
/* CREATE INDEX CONCURRENTLY n ON t … to CREATE INDEX n ON ONLY t …; false when it is none. */
bool pgsql_leaf_only(struct zdm_buffer *out, const char *sql);

#endif
