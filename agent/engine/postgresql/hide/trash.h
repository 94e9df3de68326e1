/*
 * trash.h - tables and types out of sight: each in a schema of its own, "zdm_trash_<8 hex>", until it is purged or
 * comes back (database.md 23).
 *
 * ALTER … SET SCHEMA keeps data, indexes, constraints, grants and owned sequences, and frees all their names. A
 * partitioned table goes with its whole tree. Foreign keys that point from the tree at other tables would go on binding
 * those, so they are dropped, with their definitions kept (lift.h) where the table is to come back.
 *
 * Rows of zdm.hidden: 'table' for the table and 'partition' for each other part of its tree, with schema_name, name and
 * the former comment; hidden_name is the trash schema. 'type' likewise, with an empty table_name.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_HIDE_TRASH_H
#define AGENT_ENGINE_POSTGRESQL_HIDE_TRASH_H

#include "agent/engine/postgresql/change/locks.h"

/* In the transaction of the attempt, which holds the table (pgsql_short_lock): makes the schema, moves the table there
 * and marks it, under the operation's step. schema NULL: a name of its own. by_rollback: it is never to come back. */
enum zdm_code pgsql_trash_put_table(struct pgsql_short *attempt, const struct zdm_table *table, const char *schema,
                                    bool by_rollback, struct zdm_error *err) ZDM_CHECKED;
/* The same for a type. */
enum zdm_code pgsql_trash_put_type(struct pgsql_short *attempt, const struct zdm_table *type, const char *schema,
                                   bool by_rollback, struct zdm_error *err) ZDM_CHECKED;
/* Moves back what the operation's step has put there, under the table's lock; its rows are kept for what follows. */
enum zdm_code pgsql_trash_back(struct pgsql_short *attempt, struct zdm_error *err) ZDM_CHECKED;
/* Really drops what stands in that schema with this migration's mark, and the schema. kind: "table" or "type". What is
 * not there any more is fine. */
enum zdm_code pgsql_trash_drop(struct pgsql_short *attempt, const char *kind, const char *schema, const char *name,
                               struct zdm_error *err) ZDM_CHECKED;

/* Locks the tables outside of it that its foreign keys, or its partitions', point at. */
enum zdm_code pgsql_trash_lock_parents(struct pgsql_short *attempt, const struct pgsql_table *table,
                                       struct zdm_error *err) ZDM_CHECKED;

/* Is the schema that the step names there? */
enum zdm_code pgsql_trash_schema(struct pgsql_work *w, bool *out, struct zdm_error *err) ZDM_CHECKED;

/* Proof of HIDE_TABLE and PURGE_TABLE; FOREIGN fills err without being a failure. */
enum zdm_code pgsql_trash_look(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                               struct zdm_error *err) ZDM_CHECKED;
/* Of the way back of HIDE_TABLE: proof, next_run and remark of the result. Neither asks for the table. */
enum zdm_code pgsql_trash_look_back(struct pgsql_work *w, const struct pgsql_table *table,
                                    struct zdm_error *err) ZDM_CHECKED;
/* trash_run.c: AGENT_RUN_HIDE and AGENT_RUN_PURGE of such steps */
enum zdm_code pgsql_trash_run_hide(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_trash_run_purge(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

#endif
