/*
 * survey_tables.c - the plan's tables as the catalogue has them: an outline that is the same on equal shards, its hash,
 * sizes, and the columns (survey.h).
 *
 * Names of partitions and numbers of rows are not in the outline: they differ where nothing is wrong. So do the rows
 * that the server keeps of a foreign key for each partition of the table it points at, and the names that version 18
 * gives to NOT NULL, which stands with its column.
 */
#include "agent/engine/postgresql/survey/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OUTLINES_MAX = 256 * 1024, /* bytes of all outlines */
    OUTLINE_MAX = 64 * 1024,
    COLUMNS_MAX = 3200, /* of all tables */
    TYPE_MAX = 400,
    DEFAULT_MAX = 400
};

static const char outline_sql[] =
    "WITH t AS (SELECT c.* FROM pg_class c WHERE c.oid = $1::oid), line AS ("
    "SELECT format('table kind %s persistence %s security %s%s identity %s%s%s', relkind, relpersistence, "
    "relrowsecurity,"
    " relforcerowsecurity, relreplident, coalesce(' options ' || array_to_string(reloptions, ','), ''),"
    " coalesce(' partitioned by ' || pg_get_partkeydef(oid), '')) AS text FROM t"
    " UNION ALL SELECT format('column %I %s%s%s%s%s', attname, format_type(atttypid, atttypmod),"
    " CASE WHEN " PGSQL_NO_NULLS " THEN ' not null' WHEN attnotnull THEN ' not null not valid' ELSE '' END,"
    " coalesce(' collate ' || nullif(attcollation, y.typcollation)"
    "::regcollation::text, ''), coalesce(CASE WHEN attgenerated <> '' THEN ' generated ' ELSE ' default ' END"
    " || pg_get_expr(d.adbin, d.adrelid), ' domain default ' || coalesce(pg_get_expr(y.typdefaultbin, 0),"
    " y.typdefault), ''), CASE WHEN attidentity <> '' THEN ' identity ' || attidentity::text ELSE "
    "'' "
    "END)"
    " FROM t JOIN pg_attribute a ON attrelid = t.oid JOIN pg_type y ON y.oid = atttypid LEFT JOIN pg_attrdef d"
    " ON d.adrelid = attrelid AND d.adnum = attnum WHERE attnum > 0 AND NOT attisdropped"
    " UNION ALL SELECT format('constraint %I %s', conname, pg_get_constraintdef(k.oid)) FROM t JOIN pg_constraint k"
    " ON conrelid = t.oid AND contype <> 'n' AND NOT EXISTS (SELECT FROM pg_constraint a WHERE a.oid = k.conparentid"
    " AND a.conrelid = k.conrelid)"
    " UNION ALL SELECT format('referenced by %I of %s %s', conname, conrelid::regclass, pg_get_constraintdef(k.oid))"
    " FROM t JOIN pg_constraint k ON confrelid = t.oid AND conrelid <> t.oid AND conparentid = 0"
    " UNION ALL SELECT pg_get_indexdef(indexrelid) || CASE WHEN indisvalid THEN '' ELSE ' INVALID' END"
    " FROM t JOIN pg_index ON indrelid = t.oid"
    " UNION ALL SELECT format('%s enabled %s', pg_get_triggerdef(g.oid), tgenabled) FROM t JOIN pg_trigger g"
    " ON tgrelid = t.oid AND NOT tgisinternal"
    " UNION ALL SELECT DISTINCT format('function %s %s', tgfoid::regprocedure, md5(p.prosrc)) FROM t JOIN pg_trigger g"
    " ON tgrelid = t.oid AND NOT tgisinternal JOIN pg_proc p ON p.oid = tgfoid"
    " UNION ALL SELECT format('policy %I %s %s using %s check %s', polname, polcmd, polpermissive,"
    " pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) FROM t JOIN pg_policy ON polrelid = t.oid"
    ") SELECT string_agg(text, E'\\n' ORDER BY text COLLATE \"C\"),"
    " encode(sha256(convert_to(coalesce(string_agg(text, E'\\n' ORDER BY text COLLATE \"C\"), ''), 'UTF8')), 'hex')"
    " FROM line";

static const char sizes_sql[] =
    "WITH RECURSIVE r AS (SELECT $1::oid AS oid UNION ALL SELECT i.inhrelid FROM r JOIN pg_inherits i ON i.inhparent ="
    " r.oid JOIN pg_class k ON k.oid = i.inhrelid AND k.relispartition)"
    " SELECT CASE WHEN bool_or((reltuples < 0 OR (reltuples = 0 AND relpages = 0)) AND relkind = 'r' AND"
    " pg_relation_size(c.oid) > 0) THEN -1"
    " ELSE coalesce(sum(greatest(reltuples, 0)) FILTER (WHERE relkind <> 'p'), 0)::int8 END,"
    " coalesce(sum(pg_table_size(c.oid)), 0)::int8, coalesce(sum(pg_indexes_size(c.oid)), 0)::int8"
    " FROM r JOIN pg_class c ON c.oid = r.oid";

static const char columns_sql[] =
    "SELECT attname, format_type(atttypid, atttypmod), " PGSQL_NO_NULLS ", CASE WHEN attgenerated = '' THEN"
    " coalesce(pg_get_expr(adbin, adrelid), pg_get_expr(y.typdefaultbin, 0), quote_literal(y.typdefault)) END FROM"
    " pg_attribute a JOIN pg_type y ON y.oid = atttypid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
    " WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum";

static enum zdm_code no_memory(struct zdm_error *err)
{
    return zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static bool read_hash(const char *hex, struct zdm_hash *out)
{
    for (size_t i = 0; i < sizeof out->bytes; i++) {
        unsigned byte;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
            return false;
        }
        out->bytes[i] = (uint8_t)byte;
    }
    return true;
}

static enum zdm_code read_outline(struct pgsql_survey *survey, const char *oid, struct zdm_survey_table *t,
                                  struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    size_t most = OUTLINES_MAX / (survey->common.plan->n_tables > 0 ? survey->common.plan->n_tables : 1);
    enum zdm_code code = pgsql_query(survey->w->s, outline_sql, 1, (const char *const[]){oid}, &res, err);
    if (code != ZDM_OK) {
        return code;
    }
    if (!read_hash(PQgetvalue(res, 0, 1), &t->fingerprint)) {
        return zdm_error_set(err, ZDM_BUG, "the server made no hash");
    }
    free(t->outline);
    t->outline = agent_survey_text(pgsql_text(res, 0, 0), most < OUTLINE_MAX ? most : OUTLINE_MAX);
    return t->outline != NULL ? ZDM_OK : no_memory(err);
}

static enum zdm_code read_sizes(struct pgsql_survey *survey, const char *oid, struct zdm_survey_table *t,
                                struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(survey->w->s, sizes_sql, 1, (const char *const[]){oid}, &res, err);
    if (code != ZDM_OK) {
        return code;
    }
    t->rows = pgsql_int(res, 0, 0);
    t->bytes = pgsql_int(res, 0, 1);
    t->index_bytes = pgsql_int(res, 0, 2);
    return ZDM_OK;
}

static bool read_column(const PGresult *res, int row, struct zdm_survey_column *out)
{
    const char *expr = pgsql_text(res, row, 3);
    out->name = agent_survey_text(pgsql_text(res, row, 0), ZDM_IDENTIFIER_MAX);
    out->type = agent_survey_text(pgsql_text(res, row, 1), TYPE_MAX);
    out->not_null = pgsql_true(res, row, 2);
    out->default_expr = expr == NULL ? NULL : agent_survey_text(expr, DEFAULT_MAX);
    return out->name != NULL && out->type != NULL && (expr == NULL || out->default_expr != NULL);
}

static enum zdm_code read_columns(struct pgsql_survey *survey, const char *oid, struct zdm_survey_table *t,
                                  size_t *left, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(survey->w->s, columns_sql, 1, (const char *const[]){oid}, &res, err);
    size_t n = code == ZDM_OK ? (size_t)PQntuples(res) : 0;
    n = n < *left ? n : *left;
    if (n == 0) {
        return code;
    }
    t->columns = calloc(n, sizeof *t->columns);
    for (size_t i = 0; t->columns != NULL && i < n; i++) {
        t->n_columns = i + 1;
        if (!read_column(res, (int)i, &t->columns[i])) {
            return no_memory(err);
        }
    }
    *left -= n;
    return t->columns != NULL ? ZDM_OK : no_memory(err);
}

static enum zdm_code read_table(struct pgsql_survey *survey, struct zdm_survey_table *t, size_t *left,
                                struct zdm_error *err)
{
    struct pgsql_table table;
    enum zdm_code code = pgsql_survey_begin(survey, err);
    if (code == ZDM_OK) {
        code = pgsql_table_find(survey->w->s, &t->name, &table, err);
    }
    if (code == ZDM_NOT_FOUND) {
        pgsql_rollback(survey->w->s);
        return ZDM_OK;
    }
    t->exists = code == ZDM_OK;
    if (code == ZDM_OK) {
        code = read_outline(survey, table.oid, t, err);
    }
    if (code == ZDM_OK) {
        code = read_columns(survey, table.oid, t, left, err);
    }
    if (code == ZDM_OK) {
        code = read_sizes(survey, table.oid, t, err); /* last: it waits for a lock, if for a moment */
    }
    pgsql_rollback(survey->w->s);
    return code;
}

enum zdm_code pgsql_survey_tables(struct pgsql_survey *survey, struct zdm_error *err)
{
    size_t left = COLUMNS_MAX;
    enum zdm_code code = agent_survey_put_tables(&survey->common, err);
    for (size_t i = 0; code == ZDM_OK && i < survey->common.out->n_tables; i++) {
        struct zdm_survey_table *t = &survey->common.out->tables[i];
        code = read_table(survey, t, &left, err);
        if (code != ZDM_OK) {
            code = pgsql_survey_miss(survey, code, t->name.name, err);
        }
    }
    return code;
}
