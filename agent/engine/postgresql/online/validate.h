/*
 * validate.h - what validate.c and constraint.c share: foreign keys of a partitioned table, leaf by leaf.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_ONLINE_VALIDATE_H
#define AGENT_ENGINE_POSTGRESQL_ONLINE_VALIDATE_H

#include "agent/engine/postgresql/session/work.h"

/* The statement of the adding step for one leaf, and the owner's mark. */
enum zdm_code pgsql_add_to_leaf(struct pgsql_work *w, const struct zdm_step *adding, const struct zdm_table *leaf,
                                struct zdm_error *err) ZDM_CHECKED;

#endif
