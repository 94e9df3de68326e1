/*
 * partition_made.c - what attaching makes of a table beside a partition, and how that goes again (partition.h).
 *
 * The server gives a partition the indexes and foreign keys of the parent that it lacks, and lets it keep them when it
 * is detached; the agent gives it the parent's hidden columns. What each of them made is found by comparing the
 * catalogue before and after, and kept in zdm.former with its definition: on the way back it goes, unless somebody has
 * changed it since.
 */
#include "agent/engine/postgresql/change/partition.h"

#include "agent/engine/postgresql/journal/former.h"

/* Indexes and constraints of the table and its partitions, and its columns; $1 schema, $2 table. */
#define TREE                                                                                                           \
    "root AS (SELECT to_regclass(format('%I.%I', $1::text, $2::text))::oid AS oid), tree AS (SELECT oid FROM root"     \
    " UNION SELECT t.relid::oid FROM root, pg_partition_tree(root.oid::regclass) t)"

enum zdm_code pgsql_partition_has(struct pgsql_work *w, const struct zdm_table *child, char **out,
                                  struct zdm_error *err)
{
    static const char sql[] =
        "WITH " TREE " SELECT coalesce(array_agg(thing), '{}') FROM (SELECT indexrelid::text AS thing FROM pg_index"
        " WHERE indrelid IN (SELECT oid FROM tree) UNION ALL SELECT oid::text FROM pg_constraint WHERE conrelid IN"
        " (SELECT oid FROM tree) UNION ALL SELECT 'column ' || attname FROM pg_attribute JOIN root ON attrelid = oid"
        " WHERE attnum > 0 AND NOT attisdropped) AS things";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){child->schema, child->name}, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while looking at the partition");
    }
    *out = zdm_strdup(pgsql_text(res, 0, 0));
    return *out != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

/* What stands on a table now, with the statement that takes it away and the definition by which it is known again. An
 * index goes with its constraint. One that indexes of partitions were made part of, which were there before, stays. */
#define MADE                                                                                                           \
    "WITH " TREE ", made AS (SELECT 1 AS place, k.oid::text AS thing, conname AS name, format('ALTER TABLE %I.%I DROP" \
    " CONSTRAINT %I', $1::text, $2::text, conname) AS back, 'constraint ' || quote_ident(conname) || ' ' ||"           \
    " pg_get_constraintdef(k.oid) AS definition, conindid AS index FROM pg_constraint k JOIN root ON conrelid ="       \
    " root.oid WHERE contype IN ('f', 'p', 'u', 'x') UNION ALL SELECT 2, c.oid::text, c.relname, format('DROP INDEX"   \
    " %I.%I', n.nspname, c.relname), pg_get_indexdef(c.oid), c.oid FROM pg_index i JOIN root ON i.indrelid ="          \
    " root.oid JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT EXISTS" \
    " (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x') AND k.conrelid ="         \
    " root.oid) UNION ALL SELECT 3, 'column ' || attname, attname, format('ALTER TABLE %I.%I DROP COLUMN %I',"         \
    " $1::text, $2::text, attname), 'column ' || attname, 0 FROM pg_attribute JOIN root ON attrelid = root.oid"        \
    " WHERE attnum > 0 AND NOT attisdropped AND attname LIKE '~zdm\\_%')"

enum zdm_code pgsql_partition_keep_made(struct pgsql_work *w, const struct zdm_table *child, const char *had,
                                        unsigned part, struct zdm_error *err)
{
    static const char sql[] =
        MADE " SELECT back, definition FROM made WHERE thing <> ALL ($3::text[]) AND (index = 0 OR thing = ANY"
             " (SELECT oid::text FROM pg_constraint WHERE contype = 'f') OR NOT EXISTS (SELECT FROM"
             " pg_partition_tree(index::regclass) t WHERE t.relid::oid::text = ANY ($3::text[]))) ORDER BY place, name";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, 3, (const char *const[]){child->schema, child->name, had}, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        code = pgsql_former_keep(w, part + (unsigned)i, pgsql_text(res, i, 0), pgsql_text(res, i, 1), err);
    }
    return code;
}

static enum zdm_code forget_columns(struct pgsql_work *w, const struct zdm_table *child, struct zdm_error *err)
{
    static const char sql[] =
        "DELETE FROM zdm.hidden h WHERE kind = 'column' AND by_rollback AND schema_name = $1 AND table_name = $2 AND"
        " hidden_name <> name AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass(format('%I.%I',"
        " $1::text, $2::text)) AND attname = h.hidden_name AND NOT attisdropped)";
    return pgsql_query(w->s, sql, 2, (const char *const[]){child->schema, child->name}, NULL, err);
}

enum zdm_code pgsql_partition_drop_made(struct pgsql_work *w, const struct zdm_table *child, struct zdm_error *err)
{
    static const char sql[] = MADE " SELECT back FROM made WHERE definition = ANY (SELECT f.made FROM zdm.former f"
                                   " WHERE f.migration = $3 AND f.step = $4::int4) ORDER BY place, name";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    char step[16];
    pgsql_former_step(w, step);
    const char *params[] = {child->schema, child->name, w->op->migration, step};
    enum zdm_code code = pgsql_query(w->s, sql, 4, params, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        code = pgsql_script(w->s, pgsql_text(res, i, 0), NULL, err);
    }
    return code == ZDM_OK ? forget_columns(w, child, err)
                          : zdm_error_wrap(err, "while taking away what attaching made");
}

enum zdm_code pgsql_partition_lock_referenced(struct pgsql_short *attempt, const struct pgsql_table *parent, bool drops,
                                              struct zdm_error *err)
{
    static const char sql[] =
        "SELECT DISTINCT n.nspname, c.relname FROM pg_constraint k JOIN pg_class c ON c.oid = k.confrelid JOIN"
        " pg_namespace n ON n.oid = c.relnamespace WHERE k.conrelid = $1::oid AND k.contype = 'f' AND k.confrelid <>"
        " k.conrelid ORDER BY 1, 2";
    return pgsql_short_lock_parents(attempt, sql, 1, (const char *const[]){parent->oid},
                                    drops ? PGSQL_ACCESS_EXCLUSIVE : PGSQL_SHARE_ROW_EXCLUSIVE, err);
}
