/*
 * catalog.c - reading pg_class, pg_attribute and pg_index (catalog.h).
 */
#include "agent/engine/postgresql/catalog/catalog.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum zdm_code pgsql_table_find(struct pgsql_session *s, const struct zdm_table *table, struct pgsql_table *out,
                               struct zdm_error *err)
{
    static const char sql[] =
        "SELECT c.oid, c.relkind, c.relispartition, EXISTS (SELECT FROM pg_inherits i JOIN pg_class k ON k.oid ="
        " inhrelid WHERE (inhparent = c.oid OR inhrelid = c.oid) AND NOT k.relispartition), row_security_active(c.oid)"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = $1 AND relname = $2";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(s, sql, 2, (const char *const[]){table->schema, table->name}, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while looking at %s.%s", table->schema, table->name);
    }
    if (PQntuples(res) == 0) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "table %s.%s does not exist", table->schema, table->name);
    }
    memset(out, 0, sizeof *out);
    zdm_copy_text(out->oid, sizeof out->oid, pgsql_text(res, 0, 0));
    out->kind = pgsql_text(res, 0, 1)[0];
    out->partition = pgsql_true(res, 0, 2);
    out->inherits = pgsql_true(res, 0, 3);
    out->hides_rows = pgsql_true(res, 0, 4);
    zdm_copy_text(out->schema, sizeof out->schema, table->schema);
    zdm_copy_text(out->name, sizeof out->name, table->name);
    return ZDM_OK;
}

enum zdm_code pgsql_table_plain(const struct pgsql_table *table, struct zdm_error *err)
{
    if (table->kind != 'r' && table->kind != 'p') {
        return zdm_error_set(err, ZDM_UNSUPPORTED, "%s.%s is no ordinary table", table->schema, table->name);
    }
    if (table->inherits) {
        zdm_error_set(err, ZDM_UNSUPPORTED, "%s.%s takes part in table inheritance", table->schema, table->name);
        return zdm_error_detail(err, "Rows of a child would pass by the triggers, and keys repeat across children.");
    }
    return ZDM_OK;
}

enum zdm_code pgsql_table_fit(const struct pgsql_table *table, struct zdm_error *err)
{
    enum zdm_code code = pgsql_table_plain(table, err);
    if (code == ZDM_OK && table->hides_rows) {
        zdm_error_set(err, ZDM_REFUSED, "row level security of %s.%s hides rows from the agent", table->schema,
                      table->name);
        return zdm_error_hint(err, "Give the agent's role BYPASSRLS, or make it a member of the owner without FORCE "
                                   "ROW LEVEL SECURITY.");
    }
    return code;
}

#define WALKED_TYPES EXACT_TYPES ",'text','varchar','bpchar','name','numeric'"
#define EXACT_TYPES  "'int2','int4','int8','oid','bool','uuid','date','time','timestamp','timestamptz','bytea'"

/* b: the type below a domain. */
static const char column_sql[] =
    "SELECT a.attname, a.attnum, format_type(a.atttypid, a.atttypmod), b.typname, a.atttypid, b.typcategory,"
    " b.typtype = 'e', CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END, a.attcollation,"
    " b.typtype = 'e' OR b.typname IN (" EXACT_TYPES ")"
    " OR (b.typname IN ('text','varchar') AND coalesce(c.collisdeterministic, true)),"
    " a.attnotnull, a.attgenerated <> '' OR a.attidentity = 'a', coalesce(pg_get_expr(d.adbin,"
    " d.adrelid), pg_get_expr(t.typdefaultbin, 0), quote_literal(t.typdefault)),"
    " col_description(a.attrelid, a.attnum), t.typtype = 'd' AND (t.typnotnull OR EXISTS (SELECT FROM pg_constraint k"
    " WHERE k.contypid = t.oid)), NOT " PGSQL_NO_NULLS " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
    " JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END"
    " LEFT JOIN pg_collation c ON c.oid = a.attcollation"
    " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
    " WHERE a.attrelid = $1::oid AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped";

static bool read_column(const PGresult *res, struct pgsql_column *out)
{
    const char *default_expr = pgsql_text(res, 0, 12);
    const char *comment = pgsql_text(res, 0, 13);
    memset(out, 0, sizeof *out);
    bool fits = zdm_copy_text(out->name, sizeof out->name, pgsql_text(res, 0, 0)) &&
                zdm_copy_text(out->number, sizeof out->number, pgsql_text(res, 0, 1)) &&
                zdm_copy_text(out->type, sizeof out->type, pgsql_text(res, 0, 2)) &&
                zdm_copy_text(out->base, sizeof out->base, pgsql_text(res, 0, 3)) &&
                zdm_copy_text(out->type_oid, sizeof out->type_oid, pgsql_text(res, 0, 4)) &&
                zdm_copy_text(out->collation, sizeof out->collation, pgsql_text(res, 0, 8));
    out->category = pgsql_text(res, 0, 5)[0];
    out->is_enum = pgsql_true(res, 0, 6);
    out->typmod = (int)pgsql_int(res, 0, 7);
    out->exact = pgsql_true(res, 0, 9);
    out->not_null = pgsql_true(res, 0, 10);
    out->may_hold_nulls = pgsql_true(res, 0, 15);
    out->generated = pgsql_true(res, 0, 11);
    out->checked = pgsql_true(res, 0, 14);
    out->default_expr = zdm_strdup(default_expr);
    out->comment = zdm_strdup(comment);
    return fits && (default_expr == NULL || out->default_expr != NULL) && (comment == NULL || out->comment != NULL);
}

enum zdm_code pgsql_column_look(struct pgsql_session *s, const struct pgsql_table *table, const char *name, bool *found,
                                struct pgsql_column *out, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    *found = false;
    enum zdm_code code = pgsql_query(s, column_sql, 2, (const char *const[]){table->oid, name}, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while looking at column %s of %s.%s", name, table->schema, table->name);
    }
    if (PQntuples(res) == 0) {
        return ZDM_OK;
    }
    if (!read_column(res, out)) {
        pgsql_column_fini(out);
        return zdm_error_set(err, ZDM_LIMIT, "the type of %s.%s.%s has too long a name", table->schema, table->name,
                             name);
    }
    *found = true;
    return ZDM_OK;
}

enum zdm_code pgsql_column_find(struct pgsql_session *s, const struct pgsql_table *table, const char *name,
                                struct pgsql_column *out, struct zdm_error *err)
{
    bool found = false;
    enum zdm_code code = pgsql_column_look(s, table, name, &found, out, err);
    if (code == ZDM_OK && !found) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "column %s of %s.%s does not exist", name, table->schema, table->name);
    }
    return code;
}

void pgsql_column_fini(struct pgsql_column *column)
{
    free(column->default_expr);
    free(column->comment);
    column->default_expr = NULL;
    column->comment = NULL;
}

/* One row per column of the best index, in its order. An index serves when its order is the order of its columns'
 * own comparison: default operator class, the column's collation, and one direction for all. Which one is the best
 * follows from what stands in the columns' list, never from when an index was made: a REINDEX changes nothing. $2: the
 * text of the only key that serves, NULL for any. */
#define KEY_TEXT                                                                                                       \
    "(SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, NULL)), ', ' ORDER BY g) FROM"              \
    " generate_series(0, i.indnkeyatts - 1) g JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum ="           \
    " i.indkey[g])"
static const char key_sql[] =
    "WITH best AS (SELECT i.*, " KEY_TEXT
    " AS known_by FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am m ON m.oid = "
    "ic.relam"
    " WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indisready AND i.indimmediate"
    " AND i.indpred IS NULL AND i.indexprs IS NULL AND m.amname = 'btree'"
    " AND NOT EXISTS (SELECT FROM generate_series(0, i.indnkeyatts - 1) g"
    " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[g]"
    " JOIN pg_opclass o ON o.oid = i.indclass[g] WHERE NOT " PGSQL_NO_NULLS " OR NOT o.opcdefault"
    " OR a.attcollation <> i.indcollation[g] OR (i.indoption[g] & 1) <> (i.indoption[0] & 1))"
    " AND ($2::text IS NULL OR " KEY_TEXT " = $2)"
    /* One that cannot be walked only where there is no other. */
    " ORDER BY EXISTS (SELECT FROM generate_series(0, i.indnkeyatts - 1) g JOIN pg_attribute a ON a.attrelid ="
    " i.indrelid AND a.attnum = i.indkey[g] JOIN pg_type t ON t.oid = a.atttypid JOIN pg_type b ON b.oid = CASE WHEN"
    " t.typtype = 'd' THEN t.typbasetype ELSE t.oid END WHERE NOT (b.typtype = 'e' OR b.typname IN (" WALKED_TYPES
    "))), i.indisprimary DESC, i.indnkeyatts, " KEY_TEXT " COLLATE \"C\" LIMIT 1)"
    " SELECT a.attname, format_type(a.atttypid, a.atttypmod), b.typtype = 'e' OR b.typname IN (" WALKED_TYPES
    "), a.attcollation::text, coalesce(c.collversion, ''),"
    " b.typtype = 'e' OR b.typname IN (" EXACT_TYPES ")"
    " OR (b.typname IN ('text','varchar') AND coalesce(c.collisdeterministic, true)), i.known_by"
    " FROM best i CROSS JOIN generate_series(0, i.indnkeyatts - 1) g"
    " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[g] JOIN pg_type t ON t.oid = a.atttypid"
    " JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END"
    " LEFT JOIN pg_collation c ON c.oid = a.attcollation ORDER BY g";

static enum zdm_code no_key(const struct pgsql_table *table, struct zdm_error *err)
{
    zdm_error_set(err, ZDM_UNSUPPORTED, "%s.%s has no key to walk by", table->schema, table->name);
    return zdm_error_hint(err, "Add a primary key, or a unique index without WHERE over columns that are NOT NULL.");
}

static enum zdm_code read_key(const PGresult *res, const struct pgsql_table *table, struct pgsql_key *out,
                              struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer signature = ZDM_BUFFER_INIT;
    out->n = (size_t)PQntuples(res);
    for (size_t i = 0; i < out->n; i++) {
        int row = (int)i;
        if (!pgsql_true(res, row, 2)) {
            zdm_error_set(err, ZDM_UNSUPPORTED, "%s.%s cannot be walked by %s of type %s", table->schema, table->name,
                          pgsql_text(res, row, 0), pgsql_text(res, row, 1));
            return zdm_error_hint(err, "Add a unique index over integer, text, uuid, date or timestamp columns that "
                                       "are NOT NULL.");
        }
        if (!zdm_copy_text(out->names[i], sizeof out->names[i], pgsql_text(res, row, 0)) ||
            !zdm_copy_text(out->types[i], sizeof out->types[i], pgsql_text(res, row, 1))) {
            return zdm_error_set(err, ZDM_LIMIT, "the key of %s.%s has too long a name", table->schema, table->name);
        }
        out->exact[i] = pgsql_true(res, row, 5);
        zdm_buffer_printf(&signature, "%s%s %s %s %s", i == 0 ? "" : ", ", pgsql_text(res, row, 0),
                          pgsql_text(res, row, 1), pgsql_text(res, row, 3), pgsql_text(res, row, 4));
    }
    out->signature = zdm_buffer_take(&signature);
    out->known_by = zdm_strdup(pgsql_text(res, 0, 6));
    return out->signature != NULL && out->known_by != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

/* Without rows where there is none. */
static enum zdm_code find_key(struct pgsql_session *s, const struct pgsql_table *table, const char *known_by,
                              PGresult **out, struct zdm_error *err)
{
    enum zdm_code code = pgsql_query(s, key_sql, 2, (const char *const[]){table->oid, known_by}, out, err);
    return code == ZDM_OK ? ZDM_OK
                          : zdm_error_wrap(err, "while looking for the key of %s.%s", table->schema, table->name);
}

enum zdm_code pgsql_key_find(struct pgsql_session *s, const struct pgsql_table *table, struct pgsql_key *out,
                             struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = find_key(s, table, NULL, &res, err);
    if (code == ZDM_OK && (PQntuples(res) == 0 || PQntuples(res) > PGSQL_KEY_MAX)) {
        code = no_key(table, err);
    }
    return code == ZDM_OK ? read_key(res, table, out, err) : code;
}

enum zdm_code pgsql_key_known_by(struct pgsql_session *s, const struct pgsql_table *table, const char *known_by,
                                 struct pgsql_key *out, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = find_key(s, table, known_by, &res, err);
    if (code == ZDM_OK && (PQntuples(res) == 0 || PQntuples(res) > PGSQL_KEY_MAX)) {
        zdm_error_set(err, ZDM_REFUSED, "the rows kept of %s.%s are known by (%s), which is no key of it any more",
                      table->schema, table->name, known_by);
        return zdm_error_hint(err, "Make these columns NOT NULL and of those types again, with a unique index over "
                                   "them, then retry the shard.");
    }
    return code == ZDM_OK ? read_key(res, table, out, err) : code;
}

void pgsql_key_fini(struct pgsql_key *key)
{
    free(key->signature);
    free(key->known_by);
    key->signature = key->known_by = NULL;
}

void pgsql_put_table(struct zdm_buffer *b, const struct zdm_table *table)
{
    pgsql_put_name(b, table->schema);
    zdm_buffer_puts(b, ".");
    pgsql_put_name(b, table->name);
}

void pgsql_put_differs(struct zdm_buffer *b, const char *a, const char *c, bool exact)
{
    zdm_buffer_printf(b, exact ? "(%s IS DISTINCT FROM %s)" : "pg_catalog.record_image_ne(ROW(%s), ROW(%s))", a, c);
}

/* By the type below domains, else by its category. An array, a composite or a set of bits has no name of its own. */
static const struct {
    char category;
    const char *base, *zero;
} zeroes[] = {
    {0, "uuid", "'00000000-0000-0000-0000-000000000000'"},
    {0, "bytea", "''"},
    {0, "json", "'null'"},
    {0, "jsonb", "'null'"},
    {0, "time", "'00:00'"},
    {0, "timetz", "'00:00+00'"},
    {0, "inet", "'0.0.0.0'"},
    {0, "cidr", "'0.0.0.0/32'"},
    {0, "macaddr", "'00:00:00:00:00:00'"},
    {0, "macaddr8", "'00:00:00:00:00:00:00:00'"},
    {0, "char", "''"},
    {0, "varbit", "''"},
    {0, "tsvector", "''"},
    {0, "tsquery", "''"},
    {0, "xml", "''"},
    {0, "hstore", "''"},
    {0, "pg_lsn", "'0/0'"},
    {0, "point", "'(0,0)'"},
    {'A', NULL, "'{}'"},
    {'B', NULL, "false"},
    {'D', NULL, "'epoch'"},
    {'N', NULL, "0"},
    {'S', NULL, "''"},
    {'T', NULL, "'0'"},
};

static const char *zero_of(const struct pgsql_column *column)
{
    for (size_t i = 0; i < sizeof zeroes / sizeof *zeroes; i++) {
        if (zeroes[i].base == NULL ? zeroes[i].category == column->category
                                   : strcmp(zeroes[i].base, column->base) == 0) {
            return zeroes[i].zero;
        }
    }
    return NULL;
}

bool pgsql_put_zero(struct zdm_buffer *b, const struct pgsql_column *column)
{
    const char *literal = zero_of(column);
    bool multirange = strstr(column->base, "multirange") != NULL;
    if (column->checked) {
        return false; /* who knows what its CHECK allows */
    }
    if (column->is_enum) {
        zdm_buffer_printf(b, "pg_catalog.enum_first(NULL::%s)", column->type);
    } else if (strcmp(column->base, "bit") == 0 && column->typmod > 0) {
        zdm_buffer_printf(b, "pg_catalog.repeat('0', %d)::%s", column->typmod, column->type);
    } else if (column->category == 'R') {
        zdm_buffer_printf(b, "'%s'::%s", multirange ? "{}" : "empty", column->type);
    } else if (literal != NULL) {
        zdm_buffer_printf(b, "%s::%s", literal, column->type);
    } else {
        return false;
    }
    return true;
}

void pgsql_owner_mark(char out[ZDM_NAME_MAX + 8], const char *migration)
{
    snprintf(out, ZDM_NAME_MAX + 8, "zdm:%.*s", ZDM_NAME_MAX, migration);
}

bool pgsql_is_owner(const char *comment, const char *migration)
{
    char mark[ZDM_NAME_MAX + 8];
    pgsql_owner_mark(mark, migration);
    const char *line = comment == NULL ? NULL : strrchr(comment, '\n');
    return comment != NULL && strcmp(line == NULL ? comment : line + 1, mark) == 0;
}

void pgsql_short_name(char out[9], const char *migration)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *c = migration; *c != '\0'; c++) {
        hash = (hash ^ (uint8_t)*c) * 16777619u;
    }
    snprintf(out, 9, "%08" PRIx32, hash);
}
