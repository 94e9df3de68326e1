/*
 * catalog.c - reading information_schema and SHOW CREATE TABLE (catalog.h). value.c says how values are written.
 */
#include "agent/engine/mysql/catalog/catalog.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/engine/mysql/catalog/definition.h"

static const char *or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

enum zdm_code mydb_table_find(struct mydb_session *s, const char *name, struct mydb_table *out, struct zdm_error *err)
{
    static const char sql[] = "SELECT table_name, engine, table_collation, table_type, create_options LIKE"
                              " '%partitioned%', table_rows, data_length, index_length FROM information_schema.tables"
                              " WHERE table_schema = $1 AND table_name = $2";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(s, sql, 2, (const char *const[]){s->database, name}, &rows, err);
    memset(out, 0, sizeof *out);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while looking at %s", name);
    }
    if (rows->n == 0) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "table %s does not exist", name);
    }
    zdm_copy_text(out->name, sizeof out->name, mydb_text(rows, 0, 0));
    zdm_copy_text(out->engine, sizeof out->engine, or_empty(mydb_text(rows, 0, 1)));
    zdm_copy_text(out->collation, sizeof out->collation, or_empty(mydb_text(rows, 0, 2)));
    /* Views, sequences and tables with versions. */
    out->view = strcmp(or_empty(mydb_text(rows, 0, 3)), "BASE TABLE") != 0;
    out->partitioned = mydb_true(rows, 0, 4);
    out->rows = mydb_uint(rows, 0, 5);
    out->data_bytes = mydb_uint(rows, 0, 6);
    out->index_bytes = mydb_uint(rows, 0, 7);
    return ZDM_OK;
}

enum zdm_code mydb_table_fit(const struct mydb_table *table, struct zdm_error *err)
{
    if (table->view) {
        return zdm_error_set(err, ZDM_UNSUPPORTED, "%s is no ordinary table", table->name);
    }
    if (strcasecmp(table->engine, "InnoDB") != 0) {
        zdm_error_set(err, ZDM_UNSUPPORTED, "%s is kept by %s, not by InnoDB", table->name,
                      table->engine[0] == '\0' ? "no engine" : table->engine);
        return zdm_error_detail(err,
                                "Without transactions a batch cannot be taken back with its place in the journal.");
    }
    return ZDM_OK;
}

/* ---- Columns ---- */

static const struct {
    const char *base;
    enum mydb_family family;
} families[] = {
    {"tinyint", MYDB_INTEGER}, {"smallint", MYDB_INTEGER}, {"mediumint", MYDB_INTEGER}, {"int", MYDB_INTEGER},
    {"bigint", MYDB_INTEGER},  {"decimal", MYDB_DECIMAL},  {"float", MYDB_FLOAT},       {"double", MYDB_FLOAT},
    {"char", MYDB_TEXT},       {"varchar", MYDB_TEXT},     {"tinytext", MYDB_TEXT},     {"text", MYDB_TEXT},
    {"mediumtext", MYDB_TEXT}, {"longtext", MYDB_TEXT},    {"binary", MYDB_BINARY},     {"varbinary", MYDB_BINARY},
    {"tinyblob", MYDB_BINARY}, {"blob", MYDB_BINARY},      {"mediumblob", MYDB_BINARY}, {"longblob", MYDB_BINARY},
    {"date", MYDB_TIME},       {"datetime", MYDB_TIME},    {"timestamp", MYDB_TIME},    {"time", MYDB_TIME},
    {"year", MYDB_TIME},       {"enum", MYDB_ENUM},        {"set", MYDB_ENUM},          {"bit", MYDB_BIT},
    {"json", MYDB_JSON},       {"uuid", MYDB_NATIVE},      {"inet6", MYDB_NATIVE},      {"inet4", MYDB_NATIVE},
};

static enum mydb_family family_of(const char *base)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        if (strcmp(families[i].base, base) == 0) {
            return families[i].family;
        }
    }
    return MYDB_OTHER;
}

enum {
    AT_NAME,
    AT_BASE,
    AT_TYPE,
    AT_CHARSET,
    AT_COLLATION,
    AT_LENGTH,
    AT_PRECISION,
    AT_SCALE,
    AT_FRACTION,
    AT_NULLABLE,
    AT_EXTRA,
    AT_DEFAULT,
    AT_COMMENT,
    AT_ORDINAL
};
static const char column_sql[] =
    "SELECT column_name, data_type, column_type, character_set_name, collation_name, character_maximum_length,"
    " numeric_precision, numeric_scale, datetime_precision, is_nullable, extra, column_default, column_comment,"
    " ordinal_position FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2 AND column_name = "
    "$3";

static void read_extra(const char *extra, struct mydb_column *out)
{
    out->auto_increment = strstr(extra, "auto_increment") != NULL;
    out->stored = strstr(extra, "STORED GENERATED") != NULL;
    out->generated = out->stored || strstr(extra, "VIRTUAL GENERATED") != NULL;
    out->invisible = strstr(extra, "INVISIBLE") != NULL;
}

static bool read_column(const struct mydb_rows *rows, struct mydb_column *out)
{
    zdm_copy_text(out->name, sizeof out->name, mydb_text(rows, 0, AT_NAME));
    zdm_copy_text(out->base, sizeof out->base, mydb_text(rows, 0, AT_BASE));
    bool cut = !zdm_copy_text(out->type, sizeof out->type, mydb_text(rows, 0, AT_TYPE));
    out->long_type = cut ? zdm_strdup(mydb_text(rows, 0, AT_TYPE)) : NULL;
    zdm_copy_text(out->charset, sizeof out->charset, or_empty(mydb_text(rows, 0, AT_CHARSET)));
    zdm_copy_text(out->collation, sizeof out->collation, or_empty(mydb_text(rows, 0, AT_COLLATION)));
    out->family = family_of(out->base);
    out->length = mydb_uint(rows, 0, AT_LENGTH);
    out->precision = (unsigned)mydb_uint(rows, 0, AT_PRECISION);
    out->scale = (unsigned)mydb_uint(rows, 0, AT_SCALE);
    out->fraction = (unsigned)mydb_uint(rows, 0, AT_FRACTION);
    out->is_unsigned = strstr(out->type, " unsigned") != NULL && out->family != MYDB_ENUM;
    out->not_null = strcmp(or_empty(mydb_text(rows, 0, AT_NULLABLE)), "NO") == 0;
    out->ordinal = (unsigned)mydb_uint(rows, 0, AT_ORDINAL);
    out->comment = zdm_strdup(or_empty(mydb_text(rows, 0, AT_COMMENT)));
    read_extra(or_empty(mydb_text(rows, 0, AT_EXTRA)), out);
    return out->comment != NULL && (!cut || out->long_type != NULL);
}

/* MariaDB has no type of its own for JSON, but a check; where that stands in the definition, NULL else. */
static char *json_check(const struct mydb_column *column)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer check = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&check, " CHECK (json_valid(");
    mydb_put_name(&check, column->name);
    zdm_buffer_puts(&check, "))");
    return strcmp(column->base, "longtext") == 0 && column->definition != NULL
               ? strstr(column->definition, zdm_buffer_text(&check))
               : NULL;
}

static const char *behind(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0 ? text + strlen(word) : text;
}

/* Its long form is not the same type to a MODIFY, which would copy the table (measured on 10.11): "json" is. */
static void write_json(struct mydb_column *column, char *check)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer b = ZDM_BUFFER_INIT;
    const char *rest = behind(column->definition, "longtext");
    rest = behind(behind(rest, " CHARACTER SET utf8mb4"), " COLLATE utf8mb4_bin");
    if (strcmp(column->collation, "utf8mb4_bin") == 0 && check >= rest) {
        zdm_buffer_puts(&b, "json");
        zdm_buffer_append(&b, rest, (size_t)(check - rest));
        free(column->definition);
        column->definition = zdm_buffer_take(&b);
    }
}

/* MariaDB says the default as SQL, with NULL in words; MySQL says its value, and only SHOW CREATE TABLE has the SQL. */
static enum zdm_code read_definition(struct mydb_session *s, const char *database, const char *table,
                                     const char *column_default, struct mydb_column *out, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    ZDM_CLEANUP(zdm_freep) char *in_definition = NULL;
    zdm_buffer_puts(&sql, "SHOW CREATE TABLE ");
    mydb_put_name(&sql, database);
    zdm_buffer_puts(&sql, ".");
    mydb_put_name(&sql, table);
    enum zdm_code code = mydb_run(s, zdm_buffer_text(&sql), &rows, err);
    if (code != ZDM_OK || rows->n == 0 || mydb_text(rows, 0, 1) == NULL) {
        return code;
    }
    out->definition = mydb_definition_of(mydb_text(rows, 0, 1), out->name, &in_definition);
    if (!s->mariadb) {
        out->default_sql = in_definition;
        in_definition = NULL;
    } else if (column_default != NULL && strcmp(column_default, "NULL") != 0) {
        out->default_sql = mydb_plain_strings(column_default);
    }
    out->explicit_default = out->default_sql != NULL;
    char *check = s->mariadb ? json_check(out) : NULL;
    if (check != NULL) {
        out->family = MYDB_JSON;
        write_json(out, check);
    }
    return ZDM_OK;
}

static enum zdm_code look_in(struct mydb_session *s, const char *database, const char *table, const char *name,
                             bool *found, struct mydb_column *out, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    memset(out, 0, sizeof *out);
    *found = false;
    enum zdm_code code = mydb_query(s, column_sql, 3, (const char *const[]){database, table, name}, &rows, err);
    if (code == ZDM_OK && rows->n > 0) {
        code = read_column(rows, out) ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
        if (code == ZDM_OK) {
            code = read_definition(s, database, table, mydb_text(rows, 0, AT_DEFAULT), out, err);
        }
        *found = code == ZDM_OK;
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while looking at column %s of %s", name, table);
}

enum zdm_code mydb_column_look(struct mydb_session *s, const char *table, const char *name, bool *found,
                               struct mydb_column *out, struct zdm_error *err)
{
    return look_in(s, s->database, table, name, found, out, err);
}

enum zdm_code mydb_column_of(struct mydb_session *s, const char *database, const char *table, const char *name,
                             struct mydb_column *out, struct zdm_error *err)
{
    bool found = false;
    enum zdm_code code = look_in(s, database, table, name, &found, out, err);
    if (code == ZDM_OK && !found) {
        return zdm_error_set(err, ZDM_NOT_FOUND, "column %s of %s does not exist", name, table);
    }
    return code;
}

enum zdm_code mydb_column_find(struct mydb_session *s, const char *table, const char *name, struct mydb_column *out,
                               struct zdm_error *err)
{
    return mydb_column_of(s, s->database, table, name, out, err);
}

void mydb_column_fini(struct mydb_column *column)
{
    free(column->long_type);
    free(column->default_sql);
    free(column->comment);
    free(column->definition);
    column->long_type = column->default_sql = column->comment = column->definition = NULL;
}

const char *mydb_column_type(const struct mydb_column *column)
{
    return column->long_type != NULL ? column->long_type : column->type;
}

/* ---- Indexes and keys ---- */

enum zdm_code mydb_index_look(struct mydb_session *s, const char *table, const char *name, struct mydb_index *out,
                              struct zdm_error *err)
{
    static const char of_mariadb[] = "SELECT column_name, non_unique, index_type, ignored = 'YES' FROM"
                                     " information_schema.statistics WHERE table_schema = $1 AND table_name = $2 AND"
                                     " index_name = $3 ORDER BY seq_in_index";
    static const char of_mysql[] = "SELECT column_name, non_unique, index_type, is_visible = 'NO' FROM"
                                   " information_schema.statistics WHERE table_schema = $1 AND table_name = $2 AND"
                                   " index_name = $3 ORDER BY seq_in_index";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *const params[] = {s->database, table, name};
    memset(out, 0, sizeof *out);
    enum zdm_code code = mydb_query(s, s->mariadb ? of_mariadb : of_mysql, 3, params, &rows, err);
    if (code != ZDM_OK || rows->n == 0) {
        return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while looking at index %s of %s", name, table);
    }
    out->there = true;
    out->unique = !mydb_true(rows, 0, 1);
    zdm_copy_text(out->type, sizeof out->type, or_empty(mydb_text(rows, 0, 2)));
    out->ignored = mydb_true(rows, 0, 3);
    for (size_t i = 0; i < rows->n && i < sizeof out->columns / sizeof *out->columns; i++, out->n++) {
        zdm_copy_text(out->columns[i], sizeof out->columns[i], or_empty(mydb_text(rows, i, 0)));
    }
    return ZDM_OK;
}

/* One row for a column of each index that might serve, the best index first: unique, over whole columns that cannot be
 * NULL, in one direction, and one that the optimizer may use. */
#define KEYS_SQL(hidden)                                                                                               \
    "SELECT s.index_name, s.column_name FROM information_schema.statistics s JOIN (SELECT index_name, count(*) AS n"   \
    " FROM information_schema.statistics x WHERE table_schema = $1 AND table_name = $2 AND non_unique = 0 GROUP BY"    \
    " index_name HAVING sum(sub_part IS NOT NULL OR nullable <> '' OR column_name IS NULL OR index_type <> 'BTREE'"    \
    " OR " hidden ") = 0 AND count(DISTINCT x.collation) = 1) k ON k.index_name = s.index_name WHERE s.table_schema =" \
    " $1 AND s.table_name = $2 ORDER BY k.index_name <> 'PRIMARY', k.n, k.index_name, s.seq_in_index"
static const char keys_of_mariadb[] = KEYS_SQL("ignored = 'YES'");
static const char keys_of_mysql[] = KEYS_SQL("is_visible = 'NO'");

static bool has_order(const struct mydb_column *column)
{
    return column->family != MYDB_FLOAT && column->family != MYDB_JSON && column->family != MYDB_OTHER;
}

static enum zdm_code no_key(const struct mydb_table *table, struct zdm_error *err)
{
    zdm_error_set(err, ZDM_UNSUPPORTED, "%s has no key to walk by", table->name);
    return zdm_error_hint(err, "Add a primary key, or a unique index over whole columns that are NOT NULL.");
}

/* Texts are ordered by their collation, which a release may change; so it did the order of uuid. */
static enum zdm_code sign(const struct mydb_session *s, struct mydb_key *key, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer b = ZDM_BUFFER_INIT;
    struct zdm_buffer known_by = ZDM_BUFFER_INIT;
    bool by_release = false;
    for (size_t i = 0; i < key->n; i++) {
        const struct mydb_column *column = &key->columns[i];
        zdm_buffer_printf(&b, "%s%s %s %s", i == 0 ? "" : ", ", column->name, mydb_column_type(column),
                          column->collation);
        zdm_buffer_puts(&known_by, i == 0 ? "" : ", ");
        mydb_put_name(&known_by, column->name);
        zdm_buffer_printf(&known_by, " %s", column->base);
        by_release = by_release || column->family == MYDB_TEXT || column->family == MYDB_NATIVE;
    }
    if (by_release) {
        zdm_buffer_printf(&b, "; %s", s->version);
    }
    key->signature = zdm_buffer_take(&b);
    key->known_by = zdm_buffer_take(&known_by);
    bool whole = key->signature != NULL && key->known_by != NULL;
    return whole ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static void drop_key(struct mydb_key *key)
{
    for (size_t i = 0; i < key->n; i++) {
        mydb_column_fini(&key->columns[i]);
    }
    free(key->signature);
    free(key->known_by);
    memset(key, 0, sizeof *key);
}

/* The columns of the index whose rows begin at `from`; *out_next is where the next index begins. *out_walked: it
 * serves; else err says why not. */
static enum zdm_code read_key(struct mydb_session *s, const struct mydb_table *table, const struct mydb_rows *rows,
                              size_t from, struct mydb_key *out, bool *out_walked, struct zdm_error *err)
{
    const char *index = mydb_text(rows, from, 0);
    enum zdm_code code = ZDM_OK;
    *out_walked = true;
    zdm_copy_text(out->index, sizeof out->index, index);
    for (size_t i = from; code == ZDM_OK && i < rows->n && strcmp(mydb_text(rows, i, 0), index) == 0; i++) {
        if (out->n == MYDB_KEY_MAX) {
            *out_walked = false;
            return no_key(table, err);
        }
        code = mydb_column_find(s, table->name, mydb_text(rows, i, 1), &out->columns[out->n], err);
        out->n++;
        if (code == ZDM_OK && !has_order(&out->columns[out->n - 1])) {
            *out_walked = false;
            zdm_error_set(err, ZDM_UNSUPPORTED, "%s cannot be walked by %s of type %s", table->name,
                          out->columns[out->n - 1].name, out->columns[out->n - 1].type);
            return zdm_error_hint(err, "Add a unique index over integer, text, binary, date or datetime columns that "
                                       "are NOT NULL.");
        }
    }
    return code;
}

/* The first that serves, or the one that is known by that text; none: *found is false, and err says why no other did.
 */
static enum zdm_code find_key(struct mydb_session *s, const struct mydb_table *table, const char *known_by,
                              struct mydb_key *out, bool *found, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *const params[] = {s->database, table->name};
    memset(out, 0, sizeof *out);
    *found = false;
    enum zdm_code code = mydb_query(s, s->mariadb ? keys_of_mariadb : keys_of_mysql, 2, params, &rows, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while looking for the key of %s", table->name);
    }
    code = no_key(table, err);
    for (size_t i = 0; i < rows->n && !*found; i++) {
        bool walked = false;
        if (i > 0 && strcmp(mydb_text(rows, i, 0), mydb_text(rows, i - 1, 0)) == 0) {
            continue;
        }
        drop_key(out);
        code = read_key(s, table, rows, i, out, &walked, err);
        if (walked && code == ZDM_OK) {
            code = sign(s, out, err);
        }
        if (walked && code != ZDM_OK) {
            return code;
        }
        *found = walked && (known_by == NULL || strcmp(out->known_by, known_by) == 0);
    }
    return *found ? ZDM_OK : code;
}

enum zdm_code mydb_key_find(struct mydb_session *s, const struct mydb_table *table, struct mydb_key *out,
                            struct zdm_error *err)
{
    bool found = false;
    return find_key(s, table, NULL, out, &found, err);
}

/* What stands against other keys does not matter here, but that they could not be read does. */
static bool is_no_key(enum zdm_code code)
{
    return code == ZDM_OK || code == ZDM_UNSUPPORTED;
}

enum zdm_code mydb_key_known_by(struct mydb_session *s, const struct mydb_table *table, const char *known_by,
                                struct mydb_key *out, struct zdm_error *err)
{
    bool found = false;
    enum zdm_code code = find_key(s, table, known_by, out, &found, err);
    if (!found && is_no_key(code)) {
        zdm_error_clear(err);
        zdm_error_set(err, ZDM_REFUSED, "the rows kept of %s are known by (%s), which is no key of it any more",
                      table->name, known_by);
        return zdm_error_hint(err, "Make these columns NOT NULL and of those types again, with a unique index over "
                                   "them, then retry the shard.");
    }
    return code;
}

void mydb_key_fini(struct mydb_key *key)
{
    drop_key(key);
}
