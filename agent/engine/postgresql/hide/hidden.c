/*
 * hidden.c - taking a column out of sight, for a hide of the plan and for a rollback alike (hidden.h).
 */
#include "agent/engine/postgresql/hide/hidden.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void pgsql_put_alter(struct zdm_buffer *b, const struct zdm_table *table)
{
    zdm_buffer_puts(b, "ALTER TABLE ");
    pgsql_put_table(b, table);
}

static enum zdm_code refuse(const struct pgsql_hiding *h, const char *what, const char *name, const char *hint,
                            struct zdm_error *err)
{
    zdm_error_set(err, ZDM_REFUSED, "column %s of %s.%s %s%s%s", h->column.name, h->table.schema, h->table.name, what,
                  name == NULL ? "" : " ", name == NULL ? "" : name);
    return zdm_error_hint(err, "%s", hint);
}

/* What a column cannot be hidden for, in the order in which it is said and in which refuse_sql answers: NULL for not
 * so, else whose name belongs behind the words. */
static const struct {
    bool by_rollback;   /* also where nothing is ever to be built again */
    bool where_renamed; /* only where the column does not keep its name */
    bool surveyed;      /* a rule of surveys says it, which knows what earlier steps take away */
    const char *what, *hint;
} refusals[] = {
    {true, false, true, "is part of the primary key or replica identity", "Choose another key first."},
    {true, false, true, "is part of the partition key", "The rows are placed by it."},
    {true, true, true, "is published in",
     "A column that is renamed stops the subscribers. Take the table out of the publication first, or say "
     "{publication-ok}: then it keeps its name until it is purged."},
    {true, false, true, "is an identity column",
     "The server keeps it NOT NULL, and its sequence would go. Give it a plain sequence first: ALTER COLUMN … DROP "
     "IDENTITY and SET DEFAULT nextval(…), as is."},
    {false, false, false, "has an exclusion constraint of its own:",
     "No server can build one again without blocking writers. Drop it yourself first."},
    {false, false, false, "of a partitioned table has a foreign key of its own:",
     "The server cannot add one again without reading the table under a lock. Drop it yourself first."},
    {false, false, true, "of a partitioned table is part of the unique index",
     "The server cannot build one again without blocking writers. Drop it yourself first."},
};

static const char refuse_sql[] =
    "SELECT (SELECT min('') FROM pg_index WHERE indrelid = $1::oid AND (indisprimary OR indisreplident)"
    " AND $2::int2 = ANY (indkey)), (SELECT min('') FROM pg_partitioned_table WHERE partrelid = $1::oid"
    " AND $2::int2 = ANY (partattrs)), (SELECT min(pubname) FROM pg_publication_tables WHERE schemaname = $3"
    " AND tablename = $4), (SELECT min('') FROM pg_attribute WHERE attrelid = $1::oid AND attnum = $2::int2 AND"
    " attidentity <> ''), (SELECT min(conname) FROM pg_constraint WHERE conrelid = $1::oid AND contype = 'x'"
    " AND conkey = ARRAY[$2::int2]), (SELECT min(conname) FROM pg_constraint WHERE conrelid = $1::oid"
    " AND contype = 'f' AND conkey = ARRAY[$2::int2] AND $5 = 'p'), (SELECT min(x.indexrelid::regclass::text) FROM"
    " pg_partition_tree($1::oid::regclass) t JOIN pg_attribute a ON a.attrelid = t.relid JOIN pg_index x ON"
    " x.indrelid = t.relid AND x.indisunique AND a.attnum = ANY ((x.indkey::int2[])[0:x.indnkeyatts - 1]) WHERE"
    " $5 = 'p' AND a.attname = (SELECT attname FROM pg_attribute WHERE attrelid = $1::oid AND attnum = $2::int2))";

static enum zdm_code judge(struct pgsql_work *w, const struct pgsql_hiding *h, bool surveyed_too, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char kind[] = {h->table.kind, '\0'};
    const char *params[] = {h->table.oid, h->column.number, h->table.schema, h->table.name, kind};
    enum zdm_code code = pgsql_query(w->s, refuse_sql, 5, params, &res, err);
    bool keeps_name = h->in_place || (h->by_rollback && w->step->publication_ok);
    for (size_t i = 0; code == ZDM_OK && i < sizeof refusals / sizeof *refusals; i++) {
        const char *name = pgsql_text(res, 0, (int)i);
        bool applies = (refusals[i].by_rollback || !h->by_rollback) && !(refusals[i].where_renamed && keeps_name) &&
                       (surveyed_too || !refusals[i].surveyed);
        if (name != NULL && applies) {
            return refuse(h, refusals[i].what, name[0] == '\0' ? NULL : name, refusals[i].hint, err);
        }
    }
    return code;
}

enum zdm_code pgsql_hidden_refuse(struct pgsql_work *w, const struct pgsql_hiding *h, struct zdm_error *err)
{
    return judge(w, h, true, err);
}

enum zdm_code pgsql_hidden_refuse_unsurveyed(struct pgsql_work *w, const struct pgsql_hiding *h, struct zdm_error *err)
{
    return judge(w, h, false, err);
}

enum zdm_code pgsql_hidden_refuse_source(struct pgsql_work *w, const struct zdm_table *table, const char *column,
                                         const char *done, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT string_agg(format('column %I', g.attname), ', ' ORDER BY g.attnum) FROM pg_attribute a JOIN pg_depend d"
        " ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum JOIN"
        " pg_attribute g ON g.attrelid = a.attrelid AND g.attnum = d.objsubid WHERE a.attrelid = to_regclass(format("
        "'%I.%I', $1::text, $2::text)) AND a.attname = $3 AND NOT a.attisdropped AND d.classid = 'pg_class'::regclass"
        " AND d.objid = a.attrelid AND d.objsubid > 0";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code =
        pgsql_query(w->s, sql, 3, (const char *const[]){table->schema, table->name, column}, &res, err);
    if (code != ZDM_OK || pgsql_text(res, 0, 0) == NULL) {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED, "column %s cannot be %s: generated from it is %.400s", column, done,
                  pgsql_text(res, 0, 0));
    zdm_error_detail(err, "The server would drop what is generated from it as well, without a word.");
    return zdm_error_hint(err, "Drop or change what depends on the column first.");
}

#define IN_PLACE ", in place"

enum zdm_code pgsql_hidden_in_place(struct pgsql_work *w, const struct zdm_step *step, bool *out, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM zdm.hidden WHERE migration = $1 AND schema_name = $2 AND table_name = $3 AND"
        " hidden_name = $4 AND kind = 'column' AND NOT by_rollback AND definition LIKE '%" IN_PLACE "')";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {w->op->migration, step->table.schema, step->table.name, step->object};
    enum zdm_code code = pgsql_query(w->s, sql, 4, params, &res, err);
    *out = code == ZDM_OK && pgsql_true(res, 0, 0);
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while reading zdm.hidden");
}

/* Constraints over this column alone; and what is unique over it and others: code that does not know the column any
 * more gives every row its default there. */
#define OWN_CONSTRAINTS                                                                                                \
    "c.conrelid = $1::oid AND ((c.conkey = ARRAY[$2::int2] AND c.contype IN ('c', 'f')) OR (c.contype = 'u' AND"       \
    " $2::int2 = ANY (c.conkey)))"

/* The same without a constraint, over a row x of pg_index: also where the column stands in an expression or in the
 * condition. One that only INCLUDEs the column enforces nothing of it, and stays. */
#define OWN_UNIQUE_INDEX                                                                                               \
    "x.indisunique AND NOT x.indisprimary AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid" \
    " AND k.contype IN ('p', 'u', 'x')) AND ($2::int2 = ANY ((x.indkey::int2[])[0:x.indnkeyatts - 1]) OR"              \
    " position(format(':varattno %s ', $2::int2) IN concat(x.indexprs, x.indpred)) > 0)"

enum zdm_code pgsql_hidden_lock_parents(struct pgsql_short *attempt, const struct pgsql_hiding *h,
                                        struct zdm_error *err)
{
    static const char sql[] =
        "SELECT DISTINCT n.nspname, r.relname FROM pg_constraint c JOIN pg_class r ON r.oid = c.confrelid"
        " JOIN pg_namespace n ON n.oid = r.relnamespace WHERE c.contype = 'f' AND r.oid <> $1::oid"
        " AND c.conrelid = $1::oid AND $2::int2 = ANY (c.conkey) ORDER BY 1, 2";
    const char *params[] = {h->table.oid, h->column.number};
    return pgsql_short_lock_parents(attempt, sql, 2, params, PGSQL_ACCESS_EXCLUSIVE, err);
}

/* A hide that was half undone, or whose way back met rows that violate something: what is still to be brought back goes
 * back to where it was. $1 migration, $2 step, $3 hidden name, $4 the table's oid. */
static const char forget_sql[] =
    "WITH gone AS (DELETE FROM zdm.hidden WHERE migration = $1 AND step = $2::int4 AND hidden_name = $3"
    " AND (kind = 'column' OR (kind IN ('check', 'foreign key') AND state <> 'lost' AND name NOT IN (SELECT conname"
    " FROM pg_constraint WHERE conrelid = $4::oid))))"
    " UPDATE zdm.hidden SET state = 'hidden', remark = NULL WHERE migration = $1 AND step = $2::int4"
    " AND hidden_name = $3 AND kind <> 'column'";

/* The helper is named like no constraint of anybody's. */
#define HELPER_NAME "'~zdm_n' || left(md5($3::text || ' ' || $5::text || ' ' || $9::text), 8)"

/* $1 table's oid, $2 column's number, $3 migration, $4 step, $5 schema, $6 table, $7 hidden name, $8 by rollback,
 * $9 column. A constraint that is there again NOT VALID, because rows violated it on an earlier way back, is still to
 * be validated. */
static const char keep_constraints_sql[] =
    "INSERT INTO zdm.hidden AS h (migration, step, schema_name, table_name, kind, name, hidden_name, by_rollback,"
    " definition, validated, comment, parent_schema, parent_table, back_sql, long_sql, finish_sql, violated_by)"
    " SELECT $3::text, $4::int4, $5::text, $6::text, CASE contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key' "
    "ELSE 'unique' END,"
    " conname, $7::text, $8::bool, def, convalidated, note, pn.nspname, p.relname,"
    " CASE WHEN contype <> 'u' THEN format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', $5::text, $6::text, conname, def)"
    "  || CASE WHEN convalidated THEN ' NOT VALID' ELSE '' END || about END,"
    " CASE WHEN contype = 'u' THEN regexp_replace(pg_get_indexdef(conindid), '^CREATE UNIQUE INDEX ',"
    "   'CREATE UNIQUE INDEX CONCURRENTLY ') || coalesce(' TABLESPACE ' || quote_ident(spcname), '')"
    "  WHEN convalidated THEN format('ALTER TABLE %I.%I VALIDATE CONSTRAINT %I', $5::text, $6::text, conname) END,"
    " CASE WHEN contype = 'u' THEN format('ALTER TABLE %I.%I ADD CONSTRAINT %I UNIQUE USING INDEX %I', $5::text, "
    "$6::text, conname,"
    "   i.relname) || CASE WHEN condeferrable THEN ' DEFERRABLE' ELSE '' END || CASE WHEN condeferred THEN"
    "   ' INITIALLY DEFERRED' ELSE '' END || about || coalesce(format('; COMMENT ON INDEX %I.%I IS %L', $5::text, "
    "conname,"
    "   obj_description(conindid, 'pg_class')), '') || CASE WHEN indisclustered THEN"
    "   format('; ALTER TABLE %I.%I CLUSTER ON %I', $5::text, $6::text, conname) ELSE '' END END,"
    " CASE contype WHEN 'c' THEN format('NOT (%s)', pg_get_expr(conbin, conrelid))"
    "  WHEN 'f' THEN format('t.%1$I IS NOT NULL AND NOT EXISTS (SELECT FROM %2$s AS p WHERE p.%3$I = t.%1$I)', "
    "$9::text,"
    "   confrelid::regclass, (SELECT attname FROM pg_attribute WHERE attrelid = confrelid AND attnum = confkey[1]))"
    "  ELSE (SELECT format('(%1$s) IN (SELECT %1$s FROM %2$I.%3$I AS d GROUP BY %1$s HAVING count(*) > 1)',"
    "    string_agg(quote_ident(a.attname), ', ' ORDER BY k.n), $5::text, $6::text)"
    "    FROM unnest(conkey) WITH ORDINALITY AS k(own, n) JOIN pg_attribute a ON a.attrelid = conrelid AND"
    "    a.attnum = k.own) END"
    " FROM (SELECT c.*, pg_get_constraintdef(c.oid) AS def, obj_description(c.oid, 'pg_constraint') AS note,"
    "  coalesce(format('; COMMENT ON CONSTRAINT %I ON %I.%I IS %L', conname, $5::text, $6::text, obj_description(c.oid,"
    "  'pg_constraint')), '') AS about FROM pg_constraint c WHERE " OWN_CONSTRAINTS ") AS c"
    " LEFT JOIN pg_class p ON p.oid = confrelid AND contype = 'f' LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace"
    " LEFT JOIN pg_class i ON i.oid = conindid LEFT JOIN pg_tablespace s ON s.oid = i.reltablespace"
    " LEFT JOIN pg_index x ON x.indexrelid = conindid WHERE conname <> " HELPER_NAME
    " ON CONFLICT (migration, step, hidden_name, kind, name) DO UPDATE SET definition = excluded.definition,"
    " comment = excluded.comment, back_sql = excluded.back_sql, long_sql = coalesce(excluded.long_sql, h.long_sql),"
    " finish_sql = excluded.finish_sql, violated_by = excluded.violated_by, hidden_at = clock_timestamp()";

/* The same parameters. The tablespace is no part of the definition, and stands before its WHERE; finish_sql is never
 * NULL, since with it the intent to build the index ends. One that somebody made under the name of a constraint that is
 * still to come back only goes: the name is the constraint's. */
static const char keep_indexes_sql[] =
    "INSERT INTO zdm.hidden AS h (migration, step, schema_name, table_name, kind, name, hidden_name, by_rollback,"
    " definition, validated, comment, long_sql, finish_sql, violated_by)"
    " SELECT $3::text, $4::int4, $5::text, $6::text, 'unique index', name, $7::text, $8::bool, def, true, note,"
    " regexp_replace(CASE WHEN space IS NULL THEN def WHEN right(def, length(condition)) = condition THEN"
    "   left(def, length(def) - length(condition)) || ' TABLESPACE ' || quote_ident(space) || condition ELSE def END,"
    "   '^CREATE UNIQUE INDEX ', 'CREATE UNIQUE INDEX CONCURRENTLY '),"
    " format('COMMENT ON INDEX %I.%I IS %L', $5::text, name, note) || CASE WHEN indisclustered THEN"
    "   format('; ALTER TABLE %I.%I CLUSTER ON %I', $5::text, $6::text, name) ELSE '' END,"
    " format('(%1$s) IN (SELECT %1$s FROM %2$I.%3$I AS d%4$s GROUP BY %1$s HAVING count(*) > 1)%5$s', keys, $5::text,"
    "   $6::text, condition, CASE condition WHEN '' THEN '' ELSE ' AND ' || substr(condition, 8) END)"
    " FROM (SELECT i.relname AS name, x.indisclustered, pg_get_indexdef(i.oid) AS def,"
    "  obj_description(i.oid, 'pg_class') AS note, s.spcname AS space,"
    "  coalesce(' WHERE ' || pg_get_expr(x.indpred, x.indrelid), '') AS condition,"
    "  (SELECT string_agg(pg_get_indexdef(i.oid, n, true), ', ' ORDER BY n) FROM generate_series(1,"
    "  x.indnkeyatts::int4) AS n) AS keys FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid"
    "  LEFT JOIN pg_tablespace s ON s.oid = i.reltablespace WHERE x.indrelid = $1::oid AND $9::text IS NOT NULL"
    "  AND NOT EXISTS (SELECT FROM zdm.hidden o WHERE o.migration = $3::text AND o.step = $4::int4 AND o.hidden_name ="
    "  $7::text AND o.kind = 'unique' AND o.name = i.relname)"
    "  AND " OWN_UNIQUE_INDEX ") AS own"
    " ON CONFLICT (migration, step, hidden_name, kind, name) DO UPDATE SET definition = excluded.definition,"
    " comment = excluded.comment, long_sql = excluded.long_sql, finish_sql = excluded.finish_sql,"
    " violated_by = excluded.violated_by, hidden_at = clock_timestamp()";

/* Its parameters end like those above; $10 is whether it is NOT NULL, $11 its comment. format() of a NULL comment is
 * never asked for: the unhide writes it. */
static const char keep_column_sql[] =
    "INSERT INTO zdm.hidden (migration, step, schema_name, table_name, kind, name, hidden_name, by_rollback,"
    " definition, validated, comment, back_sql, long_sql, finish_sql, violated_by)"
    " SELECT $3::text, $4::int4, $5::text, $6::text, 'column', $9::text, $7::text, $8::bool, CASE WHEN $10::bool THEN "
    "'NOT NULL' ELSE 'NULL' END || $12::text,"
    " true, $11::text, NULL, NULL, NULL, NULL WHERE $1::oid <> 0 AND $2::int2 > 0"
    " UNION ALL SELECT $3::text, $4::int4, $5::text, $6::text, 'not null', $9::text, $7::text, $8::bool, 'NOT NULL', "
    "true, NULL,"
    " " PGSQL_NOT_NULL_BACK ", " PGSQL_NOT_NULL_LONG ", " PGSQL_NOT_NULL_FINISH ", format('t.%I IS NULL', $9::text)"
    " FROM (SELECT " HELPER_NAME " AS helper, $5::text AS s, $6::text AS t, $9::text AS c) AS h LEFT JOIN pg_constraint"
    " nn ON nn.conrelid = $1::oid AND nn.contype = 'n' AND nn.conkey = ARRAY[$2::int2] WHERE $10::bool"
    " ON CONFLICT (migration, step, hidden_name, kind, name) DO UPDATE SET state = 'hidden', remark = NULL";

static enum zdm_code keep(struct pgsql_work *w, const struct pgsql_hiding *h, struct zdm_error *err)
{
    char step[16];
    snprintf(step, sizeof step, "%" PRIu32, h->step);
    const char *forget[] = {w->op->migration, step, h->hidden_name, h->table.oid};
    const char *params[] = {h->table.oid,      h->column.number,
                            w->op->migration,  step,
                            h->table.schema,   h->table.name,
                            h->hidden_name,    h->by_rollback ? "t" : "f",
                            h->column.name,    h->column.not_null ? "t" : "f",
                            h->column.comment, h->in_place ? IN_PLACE : ""};
    enum zdm_code code = pgsql_query(w->s, forget_sql, 4, forget, NULL, err);
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, keep_constraints_sql, 9, params, NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, keep_indexes_sql, 9, params, NULL, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_query(w->s, keep_column_sql, 12, params, NULL, err);
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while writing zdm.hidden");
}

static enum zdm_code drop_constraints(struct pgsql_work *w, const struct pgsql_hiding *h, struct zdm_error *err)
{
    static const char sql[] = "SELECT string_agg(format('DROP CONSTRAINT %I', c.conname), ', ' ORDER BY c.conname)"
                              " FROM pg_constraint c WHERE " OWN_CONSTRAINTS;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer drop = ZDM_BUFFER_INIT;
    const char *params[] = {h->table.oid, h->column.number};
    enum zdm_code code = pgsql_query(w->s, sql, 2, params, &res, err);
    if (code != ZDM_OK || pgsql_text(res, 0, 0) == NULL) {
        return code;
    }
    pgsql_put_alter(&drop, h->name);
    zdm_buffer_printf(&drop, " %s", pgsql_text(res, 0, 0));
    return pgsql_script(w->s, zdm_buffer_text(&drop), NULL, err);
}

enum zdm_code pgsql_hidden_drop_not_null(struct pgsql_work *w, const struct pgsql_table *table, const char *column,
                                         struct zdm_error *err)
{
    static const char own_sql[] =
        "SELECT format('ALTER TABLE %I.%I ALTER COLUMN %I DROP NOT NULL', n.nspname, c.relname, a.attname) FROM"
        " pg_partition_tree($1::oid::regclass) t JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid ="
        " c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 AND NOT a.attisdropped WHERE"
        " a.attnotnull ORDER BY t.level";
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    pgsql_put_alter(&sql, &(struct zdm_table){(char *)(uintptr_t)table->schema, (char *)(uintptr_t)table->name});
    zdm_buffer_puts(&sql, " ALTER COLUMN ");
    pgsql_put_name(&sql, column);
    zdm_buffer_puts(&sql, " DROP NOT NULL");
    enum zdm_code code = pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err);
    if (code == ZDM_OK && table->kind == 'p') {
        code = pgsql_query(w->s, own_sql, 2, (const char *const[]){table->oid, column}, &res, err);
    }
    for (int i = 0; code == ZDM_OK && res != NULL && i < PQntuples(res); i++) {
        code = pgsql_script(w->s, pgsql_text(res, i, 0), NULL, err);
    }
    return code;
}

static enum zdm_code drop_unique_indexes(struct pgsql_work *w, const struct pgsql_hiding *h, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT 'DROP INDEX ' || string_agg(format('%I.%I', n.nspname, i.relname), ', ' ORDER BY i.relname) ||"
        " ' RESTRICT' FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid ="
        " i.relnamespace WHERE x.indrelid = $1::oid AND " OWN_UNIQUE_INDEX;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {h->table.oid, h->column.number};
    enum zdm_code code = pgsql_query(w->s, sql, 2, params, &res, err);
    bool any = code == ZDM_OK && pgsql_text(res, 0, 0) != NULL;
    return any ? pgsql_script(w->s, pgsql_text(res, 0, 0), NULL, err) : code;
}

static enum zdm_code rename_column(struct pgsql_work *w, const struct pgsql_hiding *h, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    char mark[ZDM_NAME_MAX + 8];
    enum zdm_code code = h->column.not_null ? pgsql_hidden_drop_not_null(w, &h->table, h->column.name, err) : ZDM_OK;
    pgsql_owner_mark(mark, w->op->migration);
    if (!h->in_place) {
        pgsql_put_alter(&sql, h->name);
        zdm_buffer_puts(&sql, " RENAME COLUMN ");
        pgsql_put_name(&sql, h->column.name);
        zdm_buffer_puts(&sql, " TO ");
        pgsql_put_name(&sql, h->hidden_name);
        zdm_buffer_puts(&sql, "; ");
    }
    zdm_buffer_puts(&sql, "COMMENT ON COLUMN ");
    pgsql_put_table(&sql, h->name);
    zdm_buffer_puts(&sql, ".");
    pgsql_put_name(&sql, h->in_place ? h->column.name : h->hidden_name);
    zdm_buffer_puts(&sql, " IS ");
    pgsql_put_literal(&sql, mark);
    return code == ZDM_OK ? pgsql_script(w->s, zdm_buffer_text(&sql), NULL, err) : code;
}

enum zdm_code pgsql_hidden_put(struct pgsql_work *w, const struct pgsql_hiding *h, struct zdm_error *err)
{
    enum zdm_code code = keep(w, h, err);
    if (code == ZDM_OK) {
        code = drop_constraints(w, h, err);
    }
    if (code == ZDM_OK) {
        code = drop_unique_indexes(w, h, err);
    }
    return code == ZDM_OK ? rename_column(w, h, err) : code;
}

enum zdm_code pgsql_hidden_read(struct pgsql_work *w, uint32_t step, struct pgsql_hidden_state *out,
                                struct zdm_error *err)
{
    static const char sql[] =
        "SELECT count(*) FILTER (WHERE state = 'hidden'), count(*) FILTER (WHERE state = 'back'),"
        " count(*) FILTER (WHERE state = 'proven'),"
        " coalesce(string_agg(remark, '; ' ORDER BY kind, name) FILTER (WHERE state IN ('violated', 'lost')), '')"
        " FROM zdm.hidden WHERE migration = $1 AND step = $2::int4 AND NOT by_rollback";
    char ordinal[16];
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    snprintf(ordinal, sizeof ordinal, "%" PRIu32, step);
    enum zdm_code code = pgsql_query(w->s, sql, 2, (const char *const[]){w->op->migration, ordinal}, &res, err);
    if (code == ZDM_OK) {
        out->hidden = pgsql_int(res, 0, 0);
        out->back = pgsql_int(res, 0, 1);
        out->proven = pgsql_int(res, 0, 2);
        zdm_copy_text(out->remark, sizeof out->remark, pgsql_text(res, 0, 3));
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while reading zdm.hidden");
}
