/*
 * survey_tables.c - the plan's tables as the catalogue has them: an outline that is the same on equal shards, its hash,
 * sizes, and the columns (survey.h).
 *
 * Names of databases and partitions, counters and numbers of rows are not in the outline: they differ where nothing is
 * wrong. What this migration made, hid or installed is in it: shards of one fleet stand where they stand.
 */
#include "agent/engine/mysql/survey/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OUTLINES_MAX = 256 * 1024, /* bytes of all outlines */
    OUTLINE_MAX = 64 * 1024,
    COLUMNS_MAX = 3200,        /* of all tables */
    FILE_ITSELF = 1024 * 1024, /* what a file may take beyond its rows */
    TYPE_MAX = 400,
    DEFAULT_MAX = 400
};

/* A query a kind of line; each is sorted by its text. InnoDB does the same for NO ACTION and RESTRICT, of which each
 * server calls the default by another one. */
static const char *const outline_sql[] = {
    "SELECT concat_ws(' ', 'table', table_type, coalesce(engine, ''), coalesce(row_format, ''),"
    " coalesce(table_collation, '')) FROM information_schema.tables WHERE table_schema = database() AND table_name = "
    "$1",
    "SELECT concat_ws(' ', if(non_unique = 0, 'unique index', 'index'), index_name, index_type, group_concat(concat("
    "coalesce(column_name, '(expression)'), coalesce(concat('(', sub_part, ')'), ''), if(collation = 'D', ' desc', ''))"
    " ORDER BY seq_in_index SEPARATOR ', ')) FROM information_schema.statistics WHERE table_schema = database() AND"
    " table_name = $1 GROUP BY index_name, non_unique, index_type ORDER BY 1",
    "SELECT concat_ws(' ', 'foreign key', k.constraint_name, group_concat(k.column_name ORDER BY k.ordinal_position),"
    " 'references', k.referenced_table_name, group_concat(k.referenced_column_name ORDER BY k.ordinal_position),"
    " 'on update', replace(r.update_rule, 'NO ACTION', 'RESTRICT'), 'on delete', replace(r.delete_rule, 'NO ACTION',"
    " 'RESTRICT')) FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r ON"
    " r.constraint_schema = database() AND r.table_name = $1 AND r.constraint_name = k.constraint_name WHERE"
    " k.table_schema = database() AND k.table_name = $1 AND k.referenced_table_name IS NOT NULL GROUP BY"
    " k.constraint_name, k.referenced_table_name, r.update_rule, r.delete_rule ORDER BY 1",
    "SELECT concat_ws(' ', 'trigger', trigger_name, action_timing, event_manipulation, action_order, sha2("
    "action_statement, 256)) FROM information_schema.triggers WHERE event_object_schema = database() AND"
    " event_object_table = $1 ORDER BY 1",
};

/* In the same words on both servers: MySQL tells no width of an integer, quotes no default that is a value, and has a
 * word for one that is an expression. */
#define COLUMN(type, default_value)                                                                                    \
    "SELECT concat_ws(' ', 'column', column_name, " type ", collation_name, if(is_nullable = 'NO', 'not null', NULL)," \
    " concat('default ', " default_value "), nullif(trim(replace(replace(lower(extra), 'default_generated', ''),"      \
    " 'current_timestamp()', 'current_timestamp')), ''), nullif(generation_expression, '')) FROM"                      \
    " information_schema.columns WHERE table_schema = database() AND table_name = $1 ORDER BY 1"
#define MARIADB_TYPE                                                                                                   \
    "regexp_replace(column_type, '^((small|medium|big)?int|tinyint(?!.1.)|year)[(][0-9]+[)](?!.*zerofill)', '\\1')"
static const char mariadb_columns_sql[] =
    COLUMN(MARIADB_TYPE, "nullif(replace(column_default, 'current_timestamp()', 'current_timestamp'), 'NULL')");
static const char mysql_columns_sql[] =
    COLUMN("column_type",
           "if(extra LIKE '%DEFAULT_GENERATED%', replace(column_default, 'CURRENT_TIMESTAMP', 'current_timestamp'),"
           " if(numeric_precision IS NOT NULL, column_default, concat('''', replace(column_default, '''', ''''''),"
           " '''')))");

/* MariaDB's checks are named within their table, MySQL's within the database. */
static const char mariadb_checks_sql[] =
    "SELECT concat_ws(' ', 'check', constraint_name, check_clause) FROM information_schema.check_constraints WHERE"
    " constraint_schema = database() AND table_name = $1 ORDER BY 1";
static const char mysql_checks_sql[] =
    "SELECT concat_ws(' ', 'check', c.constraint_name, c.check_clause) FROM information_schema.check_constraints c JOIN"
    " information_schema.table_constraints t ON t.constraint_schema = c.constraint_schema AND t.constraint_name ="
    " c.constraint_name AND t.constraint_type = 'CHECK' WHERE t.table_schema = database() AND t.table_name = $1 ORDER "
    "BY"
    " 1";

static const char sizes_sql[] =
    "SELECT table_rows, coalesce(data_length, 0), coalesce(index_length, 0), coalesce(data_free, 0) FROM"
    " information_schema.tables WHERE table_schema = database() AND table_name = $1";

/* The table's files, its partitions' too: the statistics above lag behind a load, and are taken anew in the background.
 * NULL: it has no file of its own. MariaDB writes the names as the file system has them. */
static const char mariadb_files_sql[] =
    "SELECT sum(file_size) FROM information_schema.innodb_sys_tablespaces WHERE convert(substring_index(name, '#P#', 1)"
    " USING binary) = concat(convert(convert(database() USING filename) USING binary), '/',"
    " convert(convert($1 USING filename) USING binary))";
static const char mysql_files_sql[] =
    "SELECT sum(file_size) FROM information_schema.innodb_tablespaces WHERE substring_index(name, '#p#', 1) ="
    " concat(database(), '/', $1)";

#define TYPES(type)                                                                                                    \
    "SELECT column_name, " type ", is_nullable = 'NO', column_default FROM information_schema.columns WHERE"           \
    " table_schema = database() AND table_name = $1 ORDER BY ordinal_position"
static const char mariadb_types_sql[] = TYPES(MARIADB_TYPE);
static const char mysql_types_sql[] = TYPES("column_type");

static enum zdm_code no_memory(struct zdm_error *err)
{
    return zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static enum zdm_code put_lines(struct mydb_survey *survey, const char *sql, const char *table, struct zdm_buffer *text,
                               struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(survey->w->s, sql, 1, (const char *const[]){table}, &rows, err);
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        zdm_buffer_printf(text, "%s%s", text->len == 0 ? "" : "\n", mydb_text(rows, i, 0));
    }
    return code;
}

/* By the server: this box has no hash function of its own. */
static enum zdm_code hash_text(struct mydb_survey *survey, const char *text, struct zdm_hash *out,
                               struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(survey->w->s, "SELECT SHA2($1, 256)", 1, (const char *const[]){text}, &rows, err);
    if (code == ZDM_OK && !zdm_unhex(out->bytes, sizeof out->bytes, mydb_text(rows, 0, 0))) {
        return zdm_error_set(err, ZDM_BUG, "no hash could be made");
    }
    return code;
}

static enum zdm_code read_outline(struct mydb_survey *survey, struct zdm_survey_table *t, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer text = ZDM_BUFFER_INIT;
    size_t most = OUTLINES_MAX / (survey->common.out->n_tables > 0 ? survey->common.out->n_tables : 1);
    bool mariadb = survey->w->s->mariadb;
    enum zdm_code code = put_lines(survey, outline_sql[0], t->name.name, &text, err);
    if (code == ZDM_OK) {
        code = put_lines(survey, mariadb ? mariadb_columns_sql : mysql_columns_sql, t->name.name, &text, err);
    }
    for (size_t i = 1; code == ZDM_OK && i < sizeof outline_sql / sizeof *outline_sql; i++) {
        code = put_lines(survey, outline_sql[i], t->name.name, &text, err);
    }
    if (code == ZDM_OK) {
        code = put_lines(survey, mariadb ? mariadb_checks_sql : mysql_checks_sql, t->name.name, &text, err);
    }
    if (code != ZDM_OK) {
        return code;
    }
    code = hash_text(survey, zdm_buffer_text(&text), &t->fingerprint, err);
    if (code != ZDM_OK) {
        return code;
    }
    free(t->outline);
    t->outline = agent_survey_text(zdm_buffer_text(&text), most < OUTLINE_MAX ? most : OUTLINE_MAX);
    return t->outline != NULL ? ZDM_OK : no_memory(err);
}

/* Where the files hold much more than the statistics know of, these are older than the rows. */
static enum zdm_code read_files(struct mydb_survey *survey, struct zdm_survey_table *t, int64_t free_bytes,
                                struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *sql = survey->w->s->mariadb ? mariadb_files_sql : mysql_files_sql;
    enum zdm_code code = mydb_query(survey->w->s, sql, 1, (const char *const[]){t->name.name}, &rows, err);
    if (code != ZDM_OK || rows->n == 0 || mydb_text(rows, 0, 0) == NULL) {
        return code;
    }
    int64_t held = mydb_int(rows, 0, 0) - free_bytes, known = t->bytes + t->index_bytes;
    if (held > 2 * known + FILE_ITSELF) {
        t->bytes = held - t->index_bytes;
    }
    return ZDM_OK;
}

static enum zdm_code read_sizes(struct mydb_survey *survey, struct zdm_survey_table *t, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(survey->w->s, sizes_sql, 1, (const char *const[]){t->name.name}, &rows, err);
    t->exists = code == ZDM_OK && rows->n > 0;
    if (!t->exists) {
        return code;
    }
    t->rows = mydb_text(rows, 0, 0) == NULL ? -1 : mydb_int(rows, 0, 0);
    t->bytes = mydb_int(rows, 0, 1);
    t->index_bytes = mydb_int(rows, 0, 2);
    return read_files(survey, t, mydb_int(rows, 0, 3), err);
}

static bool read_column(const struct mydb_rows *rows, size_t row, struct zdm_survey_column *out)
{
    const char *expr = mydb_text(rows, row, 3);
    out->name = agent_survey_text(mydb_text(rows, row, 0), ZDM_IDENTIFIER_MAX);
    out->type = agent_survey_text(mydb_text(rows, row, 1), TYPE_MAX);
    out->not_null = mydb_true(rows, row, 2);
    out->default_expr = expr == NULL ? NULL : agent_survey_text(expr, DEFAULT_MAX);
    return out->name != NULL && out->type != NULL && (expr == NULL || out->default_expr != NULL);
}

static enum zdm_code read_columns(struct mydb_survey *survey, struct zdm_survey_table *t, size_t *left,
                                  struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(survey->w->s, survey->w->s->mariadb ? mariadb_types_sql : mysql_types_sql, 1,
                                    (const char *const[]){t->name.name}, &rows, err);
    size_t n = code == ZDM_OK ? rows->n : 0;
    n = n < *left ? n : *left;
    if (n == 0) {
        return code;
    }
    t->columns = calloc(n, sizeof *t->columns);
    for (size_t i = 0; t->columns != NULL && i < n; i++) {
        t->n_columns = i + 1;
        if (!read_column(rows, i, &t->columns[i])) {
            return no_memory(err);
        }
    }
    *left -= n;
    return t->columns != NULL ? ZDM_OK : no_memory(err);
}

enum zdm_code mydb_survey_tables(struct mydb_survey *survey, struct zdm_error *err)
{
    size_t left = COLUMNS_MAX;
    enum zdm_code code = agent_survey_put_tables(&survey->common, err);
    for (size_t i = 0; code == ZDM_OK && i < survey->common.out->n_tables; i++) {
        struct zdm_survey_table *t = &survey->common.out->tables[i];
        code = read_sizes(survey, t, err);
        if (code == ZDM_OK && t->exists) {
            code = read_outline(survey, t, err);
        }
        if (code == ZDM_OK && t->exists) {
            code = read_columns(survey, t, &left, err);
        }
        if (code != ZDM_OK) {
            code = mydb_survey_miss(survey, code, t->name.name, err);
        }
    }
    return code;
}
