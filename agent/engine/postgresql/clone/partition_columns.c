/*
 * partition_columns.c - columns that lie hidden while a partition comes or goes (partition.h).
 *
 * The application does not see a hidden column, the server does: it attaches no table that lacks one of the parent's.
 * So a partition is given what it lacks, empty, before it is attached. One that is detached takes the hidden columns
 * with it; rows of zdm.hidden of its own see to it that the purge finds them there.
 */
#include "agent/engine/postgresql/change/partition.h"

/* Of the table $1.$2: its columns that lie hidden, whose rows may name a table further up the tree. */
#define HIDDEN_THERE                                                                                                   \
    "zdm.hidden h JOIN pg_attribute a ON a.attrelid = to_regclass(format('%I.%I', $1::text, $2::text)) AND"            \
    " a.attname = h.hidden_name AND NOT a.attisdropped WHERE h.kind = 'column' AND to_regclass(format('%I.%I',"        \
    " h.schema_name, h.table_name)) IN (SELECT t FROM pg_partition_ancestors(a.attrelid) AS t UNION SELECT"            \
    " a.attrelid)"

static enum zdm_code run_rows(struct pgsql_work *w, const char *sql, size_t n, const char *const *params,
                              struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, n, params, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        code = pgsql_script(w->s, pgsql_text(res, i, 0), NULL, err);
    }
    return code;
}

enum zdm_code pgsql_partition_complete(struct pgsql_work *w, const struct zdm_table *parent, const char *child,
                                       struct zdm_error *err)
{
    static const char sql[] =
        "SELECT format('ALTER TABLE %s ADD COLUMN %I %s', $3::text, a.attname, format_type(a.atttypid, a.atttypmod))"
        " || CASE WHEN c.oid IS NULL THEN '' ELSE format(' COLLATE %I.%I', n.nspname, c.collname) END"
        " FROM pg_attribute a LEFT JOIN pg_collation c ON"
        " c.oid = a.attcollation AND a.attcollation <> (SELECT typcollation FROM pg_type WHERE oid = a.atttypid)"
        " LEFT JOIN pg_namespace n ON n.oid = c.collnamespace WHERE a.attgenerated = '' AND (a.attrelid, a.attnum) IN"
        " (SELECT a.attrelid, a.attnum FROM " HIDDEN_THERE ") AND NOT EXISTS (SELECT FROM pg_attribute b WHERE"
        " b.attrelid = to_regclass($3::text) AND b.attname = a.attname) ORDER BY a.attnum";
    const char *params[] = {parent->schema, parent->name, child};
    enum zdm_code code = run_rows(w, sql, 3, params, err);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while giving the partition the parent's hidden columns");
}

/* One that a rollback left never comes back; one that a plan hid may, and triggers may write into it until then. */
enum zdm_code pgsql_partition_may_complete(struct pgsql_work *w, const struct zdm_table *parent,
                                           const struct zdm_table *child, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT h.name, h.migration, format('ALTER TABLE %I.%I ADD COLUMN %I %s', $3::text, $4::text, a.attname,"
        " format_type(a.atttypid, a.atttypmod)) || coalesce((SELECT format(' COLLATE %I.%I', n.nspname, c.collname)"
        " FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE c.oid = a.attcollation AND c.oid <>"
        " (SELECT typcollation FROM pg_type WHERE oid = a.atttypid)), '') FROM " HIDDEN_THERE
        " AND NOT h.by_rollback AND NOT EXISTS (SELECT FROM pg_attribute b WHERE b.attrelid = to_regclass(format("
        "'%I.%I', $3::text, $4::text)) AND b.attname = a.attname) ORDER BY a.attnum LIMIT 1";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {parent->schema, parent->name, child->schema, child->name};
    bool rows = false;
    enum zdm_code code = pgsql_query(w->s, sql, 4, params, &res, err);
    if (code == ZDM_OK && PQntuples(res) > 0) {
        code = pgsql_partition_holds_rows(w, child, &rows, err);
    }
    if (code != ZDM_OK || !rows) {
        return code;
    }
    const char *name = pgsql_text(res, 0, 0), *migration = pgsql_text(res, 0, 1);
    zdm_error_set(err, ZDM_REFUSED, "column %s of %s.%s is hidden by migration %s and may come back", name,
                  parent->schema, parent->name, migration);
    zdm_error_detail(err, "The rows of %s.%s would have no value there.", child->schema, child->name);
    return zdm_error_hint(err,
                          "End %s with its purge first, or give the partition the column: %s, filled as in the "
                          "parent's rows; then retry the shard. An empty partition gets it from the agent.",
                          migration, pgsql_text(res, 0, 2));
}

/* The mark says to the purge whose it is; the comment that was there is kept for a partition that comes back. No step
 * has a number below zero; the table's own keeps two partitions of one parent apart. */
enum zdm_code pgsql_partition_takes_hidden(struct pgsql_work *w, const struct zdm_table *child, struct zdm_error *err)
{
    static const char sql[] =
        "INSERT INTO zdm.hidden (migration, step, schema_name, table_name, kind, name, hidden_name, by_rollback,"
        " definition, validated, comment, hidden_at) SELECT h.migration, (a.attrelid::int8 - 4294967296 / 2)::int4,"
        " $1::text, $2::text, 'column', h.name, h.hidden_name, true, h.definition, true, col_description(a.attrelid,"
        " a.attnum), h.hidden_at FROM " HIDDEN_THERE
        " AND (h.schema_name, h.table_name) <> ($1::text, $2::text) ON CONFLICT DO NOTHING"
        " RETURNING format('COMMENT ON COLUMN %I.%I.%I IS %L', schema_name, table_name, hidden_name, 'zdm:' ||"
        " migration)";
    enum zdm_code code = run_rows(w, sql, 2, (const char *const[]){child->schema, child->name}, err);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while writing zdm.hidden");
}

enum zdm_code pgsql_partition_gives_hidden(struct pgsql_work *w, const struct zdm_table *child, struct zdm_error *err)
{
    static const char sql[] =
        "DELETE FROM zdm.hidden k WHERE k.kind = 'column' AND k.by_rollback AND k.schema_name = $1 AND k.table_name ="
        " $2 AND EXISTS (SELECT FROM " HIDDEN_THERE " AND a.attinhcount > 0 AND h.hidden_name = k.hidden_name AND"
        " (h.schema_name, h.table_name) <> ($1::text, $2::text)) RETURNING format('COMMENT ON COLUMN %I.%I.%I IS %L',"
        " schema_name, table_name, hidden_name, comment)";
    enum zdm_code code = run_rows(w, sql, 2, (const char *const[]){child->schema, child->name}, err);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while writing zdm.hidden");
}
