/*
 * room.c - how much of the server's table of locks a trial may take (clone.h).
 *
 * The table is everybody's, and of a fixed size: who fills it takes "out of shared memory" to the application. A tree
 * of a thousand partitions is locked part by part, each with its indexes.
 */
#include "agent/engine/postgresql/clone/clone.h"

enum { SHARE = 8 }; /* of the table: so large a part at most */

static const char room_sql[] =
    "SELECT current_setting('max_locks_per_transaction')::int8 * (current_setting('max_connections')::int8 +"
    " current_setting('max_prepared_transactions')::int8)";

/* $1 schema, $2 table. Without a lock on any of them. */
static const char tree_sql[] =
    "WITH RECURSIVE tree AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname"
    " = $1 AND c.relname = $2 UNION ALL SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid)"
    " SELECT count(*), count(*) + (SELECT count(*) FROM pg_index WHERE indrelid IN (SELECT oid FROM tree)) FROM tree";

enum zdm_code pgsql_lock_room(struct pgsql_work *w, int64_t *out, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, room_sql, 0, NULL, &res, err);
    *out = code == ZDM_OK ? pgsql_int(res, 0, 0) / SHARE : 0;
    return code;
}

enum zdm_code pgsql_tree_locks(struct pgsql_work *w, const struct zdm_table *table, int64_t *out_tables,
                               int64_t *out_locks, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {table->schema, table->name};
    enum zdm_code code = pgsql_query(w->s, tree_sql, 2, params, &res, err);
    *out_tables = code == ZDM_OK ? pgsql_int(res, 0, 0) : 0;
    *out_locks = code == ZDM_OK ? pgsql_int(res, 0, 1) : 0;
    return code;
}
