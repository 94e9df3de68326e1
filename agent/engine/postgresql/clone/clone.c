/*
 * clone.c - making and dropping empty clones (clone.h).
 */
#include "agent/engine/postgresql/clone/clone.h"

#include <stdio.h>
#include <string.h>

#include "agent/engine/postgresql/catalog/owner.h"
#include "agent/engine/postgresql/clone/retarget.h"

enum zdm_code pgsql_run_each(struct pgsql_work *w, const char *sql, size_t n, const char *const *params,
                             struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, sql, n, params, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        code = pgsql_script(w->s, pgsql_text(res, i, 0), NULL, err);
    }
    return code;
}

/* Tables first; the session's own temporary schema has no enum but those of the plan. */
enum zdm_code pgsql_drop_clones(struct pgsql_work *w, struct zdm_error *err)
{
    return pgsql_run_each(w,
                          "SELECT format('DROP TABLE IF EXISTS pg_temp.%I CASCADE', relname), 1 FROM pg_class WHERE"
                          " relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'p') AND relname LIKE '~zdm\\_%'"
                          " UNION ALL SELECT format('DROP TYPE IF EXISTS pg_temp.%I CASCADE', typname), 2 FROM pg_type"
                          " WHERE typnamespace = pg_my_temp_schema() AND typtype = 'e' ORDER BY 2",
                          0, NULL, err);
}

/* The server makes a clone's indexes where the table's own are, and that tablespace may be closed to the agent. Since
 * PostgreSQL 17 a partition has its parent's identity columns, and no table with one of its own becomes a partition. $1
 * schema, $2 table, $3 the clone. */
static const char elsewhere_sql[] =
    "SELECT EXISTS (SELECT FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_class c ON c.oid ="
    " i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND"
    " ic.reltablespace <> 0), to_regclass($3) IS NULL, EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid ="
    " c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND c.relispartition)";

static const char indexes_sql[] =
    "SELECT coalesce((SELECT format('ALTER TABLE %s ADD %s', $3::text, pg_get_constraintdef(k.oid)) FROM pg_constraint"
    " k WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')),"
    " format('CREATE %sINDEX ON %s ', u, $3::text) || substr(pg_get_indexdef(ic.oid), length(format('CREATE %sINDEX %I"
    " ON %s%I.%I ', u, ic.relname, CASE c.relkind WHEN 'p' THEN 'ONLY ' ELSE '' END, n.nspname, c.relname)) + 1))"
    " FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace"
    " n ON n.oid = c.relnamespace, LATERAL (SELECT CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END AS u) AS w"
    " WHERE n.nspname = $1 AND c.relname = $2 AND i.indislive ORDER BY i.indisprimary DESC, ic.relname";

enum zdm_code pgsql_clone_as(struct pgsql_work *w, const struct zdm_table *table, const char *name, const char *tail,
                             struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {table->schema, table->name, name};
    enum zdm_code code = pgsql_query(w->s, elsewhere_sql, 3, params, &res, err);
    if (code != ZDM_OK) {
        return code;
    }
    bool apart = pgsql_true(res, 0, 0);
    zdm_buffer_printf(&sql, "CREATE TEMPORARY TABLE IF NOT EXISTS %s (LIKE ", name);
    pgsql_put_table(&sql, table);
    zdm_buffer_printf(&sql, " INCLUDING ALL%s%s)%s", apart ? " EXCLUDING INDEXES" : "",
                      pgsql_true(res, 0, 2) ? " EXCLUDING IDENTITY" : "", tail);
    code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    return code == ZDM_OK && apart && pgsql_true(res, 0, 1) ? pgsql_run_each(w, indexes_sql, 3, params, err) : code;
}

enum zdm_code pgsql_clone_table(struct pgsql_work *w, const struct zdm_table *table, const char *name,
                                struct zdm_error *err)
{
    return pgsql_clone_as(w, table, name, "", err);
}

/* $1 schema, $2 table, $3 the clone. The columns of a key tell which it is. */
#define KEY_COLUMNS(k)                                                                                                 \
    "(SELECT array_agg(a.attname ORDER BY u.n) FROM unnest(" k ".conkey) WITH ORDINALITY AS u(k, n) JOIN pg_attribute" \
    " a ON a.attrelid = " k ".conrelid AND a.attnum = u.k)"
enum zdm_code pgsql_clone_keys(struct pgsql_work *w, const struct zdm_table *table, const char *name,
                               struct zdm_error *err)
{
    static const char sql[] =
        "SELECT format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', $3::text, o.conname, min(k.conname)) FROM"
        " pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN"
        " pg_constraint o ON o.conrelid = $3::regclass AND o.contype = k.contype AND " KEY_COLUMNS(
            "o") " = " KEY_COLUMNS("k") " WHERE n.nspname = $1 AND c.relname = $2 AND k.contype IN ('p', 'u') GROUP BY"
                                        " o.conname HAVING min(k.conname) <> o.conname";
    const char *params[] = {table->schema, table->name, name};
    return pgsql_run_each(w, sql, 3, params, err);
}

/* The server writes the table's name in full. Nothing fires: no clone ever has a row. */
enum zdm_code pgsql_clone_triggers(struct pgsql_work *w, const struct zdm_table *table, const char *name,
                                   struct zdm_error *err)
{
    static const char sql[] =
        "WITH t AS (SELECT c.oid, format(' %I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON"
        " n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2), d AS (SELECT t.name, ' ON' AS word,"
        " pg_get_triggerdef(g.oid) AS text FROM t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE NOT g.tgisinternal AND"
        " g.tgoldtable IS NULL AND g.tgnewtable IS NULL AND g.tgconstraint = 0 UNION ALL SELECT t.name, ' TO',"
        " pg_get_ruledef(r.oid) FROM t JOIN pg_rewrite r ON r.ev_class = t.oid)"
        " SELECT overlay(text PLACING word || ' ' || $3 FROM strpos(text, word || name) FOR length(word || name))"
        " FROM d WHERE strpos(text, word || name) > 0";
    const char *params[] = {table->schema, table->name, name};
    return pgsql_run_each(w, sql, 3, params, err);
}

void pgsql_parent_clone(char out[PGSQL_CLONE_NAME_MAX], const char *id)
{
    snprintf(out, PGSQL_CLONE_NAME_MAX, "pg_temp.\"~zdm_parent_%s\"", id);
}

/* Of (name, definition, parent's schema, name and number, points at itself). */
static enum zdm_code clone_foreign_key(struct pgsql_work *w, const PGresult *res, int row, const char *clone,
                                       struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer definition = ZDM_BUFFER_INIT;
    struct zdm_table parent = {PQgetvalue(res, row, 2), PQgetvalue(res, row, 3)};
    char name[PGSQL_CLONE_NAME_MAX];
    bool self = pgsql_true(res, row, 5);
    pgsql_parent_clone(name, pgsql_text(res, row, 4));
    enum zdm_code code = self ? ZDM_OK : pgsql_clone_table(w, &parent, name, err);
    if (code != ZDM_OK) {
        return code;
    }
    if (!pgsql_retarget_reference(&definition, pgsql_text(res, row, 1), NULL, self ? clone : name)) {
        return zdm_error_set(err, ZDM_BUG, "a foreign key without REFERENCES");
    }
    zdm_buffer_printf(&sql, "ALTER TABLE %s ADD CONSTRAINT ", clone);
    pgsql_put_name(&sql, pgsql_text(res, row, 0));
    /* A partitioned table has none that is not validated, and what is tried there is not whether rows violate it. */
    const char *text = zdm_buffer_text(&definition), *tail = strstr(text, " NOT VALID");
    zdm_buffer_printf(&sql, " %.*s", (int)(tail == NULL ? strlen(text) : (size_t)(tail - text)), text);
    return pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
}

/* One that points at a partitioned table has a row for each of its partitions as well, below its own. */
enum zdm_code pgsql_clone_foreign_keys(struct pgsql_work *w, const struct zdm_table *table, const char *clone,
                                       struct zdm_error *err)
{
    static const char sql[] =
        "SELECT k.conname, pg_get_constraintdef(k.oid), pn.nspname, p.relname, p.oid, k.confrelid = k.conrelid"
        " FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace"
        " WHERE k.contype = 'f' AND n.nspname = $1 AND c.relname = $2 AND NOT EXISTS (SELECT FROM pg_constraint a"
        " WHERE a.oid = k.conparentid AND a.conrelid = k.conrelid) ORDER BY k.conname";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {table->schema, table->name};
    enum zdm_code code = pgsql_query(w->s, sql, 2, params, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        code = clone_foreign_key(w, res, i, clone, err);
    }
    return code;
}

enum zdm_code pgsql_clones_to_owner(struct pgsql_work *w, struct zdm_error *err)
{
    struct pgsql_owner owner;
    enum zdm_code code = pgsql_owner_find(w, &owner, err);
    return code == ZDM_OK
               ? pgsql_run_each(w,
                                "SELECT format('ALTER TABLE pg_temp.%I OWNER TO %I', relname, $1::text) FROM"
                                " pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'p')"
                                " AND relname LIKE '~zdm\\_%'",
                                1, (const char *const[]){owner.role}, err)
               : code;
}
