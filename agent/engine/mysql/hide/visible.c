/*
 * visible.c - INVISIBLE, and what belongs to it (visible.h).
 *
 * Measured: MySQL 9.7 and MariaDB 10.11 do each of these by INSTANT. MariaDB writes the column's whole definition anew,
 * and refuses INVISIBLE for NOT NULL without a default (4108). MySQL takes a default of a text column only as an
 * expression that is more than a literal in parentheses (1101).
 */
#include "agent/engine/mysql/hide/visible.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/catalog/dependents.h"
#include "agent/engine/mysql/change/locks.h"
#include "agent/engine/mysql/walk/triggers.h"

#define INSTANT ", ALGORITHM=INSTANT"

/* ---- Statements ---- */

/* The place of a word outside of quotes and parentheses, at the beginning of a word; NULL: not there. */
static const char *find_word(const char *sql, const char *word)
{
    char quote = '\0';
    int depth = 0;
    for (const char *p = sql; *p != '\0'; p++) {
        if (quote != '\0') {
            quote = *p == quote ? '\0' : quote;
        } else if (*p == '\'' || *p == '`' || *p == '"') {
            quote = *p;
        } else if (*p == '(' || *p == ')') {
            depth += *p == '(' ? 1 : -1;
        } else if (depth == 0 && (p == sql || p[-1] == ' ') && strncasecmp(p, word, strlen(word)) == 0) {
            return p;
        }
    }
    return NULL;
}

void mydb_put_invisible(struct zdm_buffer *b, const char *definition)
{
    const char *check = find_word(definition, "CHECK (");
    size_t n = check == NULL ? strlen(definition) : (size_t)(check - definition);
    zdm_buffer_append(b, definition, n);
    zdm_buffer_printf(b, "%sINVISIBLE%s%s", check == NULL ? " " : "", check == NULL ? "" : " ",
                      check == NULL ? "" : check);
}

static void put_show(struct zdm_buffer *b, const struct mydb_session *s, const char *table,
                     const struct mydb_column *column, bool visible)
{
    mydb_put_alter(b, table);
    zdm_buffer_puts(b, s->mariadb ? "MODIFY COLUMN " : "ALTER COLUMN ");
    mydb_put_name(b, column->name);
    zdm_buffer_puts(b, " ");
    if (!s->mariadb) {
        zdm_buffer_puts(b, visible ? "SET VISIBLE" : "SET INVISIBLE");
    } else if (visible) {
        zdm_buffer_puts(b, column->definition);
    } else {
        mydb_put_invisible(b, column->definition);
    }
    zdm_buffer_puts(b, INSTANT);
}

enum zdm_code mydb_column_show(struct mydb_work *w, const char *table, const char *name, bool visible,
                               struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct mydb_column column = {0};
    enum zdm_code code = mydb_column_find(w->s, table, name, &column, err);
    if (code == ZDM_OK && column.invisible == visible) {
        if (w->s->mariadb && column.definition == NULL) {
            code = zdm_error_set(err, ZDM_UNSUPPORTED, "the definition of column %s of %s cannot be read", name, table);
        } else {
            put_show(&sql, w->s, table, &column, visible);
            code = mydb_ddl(w, table, zdm_buffer_text(&sql), err);
        }
    }
    mydb_column_fini(&column);
    return code;
}

bool mydb_column_needs_default(const struct mydb_column *column)
{
    return column->not_null && !column->explicit_default && !column->auto_increment && !column->generated;
}

static bool is_long(const struct mydb_column *column)
{
    return strstr(column->base, "text") != NULL || strstr(column->base, "blob") != NULL;
}

bool mydb_column_put_default(struct zdm_buffer *b, const struct mydb_session *s, const struct mydb_column *column)
{
    if (!s->mariadb && is_long(column)) {
        zdm_buffer_puts(b, "(CONCAT(''))");
        return true;
    }
    if (!s->mariadb && column->family == MYDB_JSON) {
        zdm_buffer_puts(b, "(CAST('null' AS JSON))");
        return true;
    }
    return mydb_put_zero(b, column);
}

enum zdm_code mydb_column_set_default(struct mydb_work *w, const char *table, const struct mydb_column *column,
                                      struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    mydb_put_alter(&sql, table);
    zdm_buffer_puts(&sql, "ALTER COLUMN ");
    mydb_put_name(&sql, column->name);
    zdm_buffer_puts(&sql, " SET DEFAULT ");
    if (!mydb_column_put_default(&sql, w->s, column)) {
        zdm_error_set(err, ZDM_REFUSED, "column %s of %s is NOT NULL and has no default", column->name, table);
        zdm_error_detail(err, "Out of sight it would make each INSERT fail that does not name it.");
        return zdm_error_hint(err, "Give it a default in an earlier phase: ALTER COLUMN %s SET DEFAULT …",
                              column->name);
    }
    zdm_buffer_puts(&sql, INSTANT);
    return mydb_ddl(w, table, zdm_buffer_text(&sql), err);
}

enum zdm_code mydb_column_drop_default(struct mydb_work *w, const char *table, const char *column,
                                       struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    mydb_put_alter(&sql, table);
    zdm_buffer_puts(&sql, "ALTER COLUMN ");
    mydb_put_name(&sql, column);
    zdm_buffer_puts(&sql, " DROP DEFAULT" INSTANT);
    return mydb_ddl(w, table, zdm_buffer_text(&sql), err);
}

/* ---- What stands against it ---- */

static bool is_of_a_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* The column's name at p, in backquotes or not. */
static bool name_at(const char *p, const char *column)
{
    size_t n = strlen(column);
    if (*p == '`') {
        return strncasecmp(p + 1, column, n) == 0 && p[n + 1] == '`';
    }
    return strncasecmp(p, column, n) == 0 && !is_of_a_name(p[n]);
}

bool mydb_body_names(const char *body, const char *column)
{
    for (const char *p = body; *p != '\0'; p++) {
        bool row =
            (strncasecmp(p, "NEW", 3) == 0 || strncasecmp(p, "OLD", 3) == 0) && (p == body || !is_of_a_name(p[-1]));
        const char *c = p + 3;
        if (!row) {
            continue;
        }
        c += *c == '`';
        c += strspn(c, " \t\r\n");
        if (*c == '.' && name_at(c + 1 + strspn(c + 1, " \t\r\n"), column)) {
            return true;
        }
    }
    return false;
}

static enum zdm_code refuse_triggers(struct mydb_work *w, const struct mydb_table *table,
                                     const struct mydb_column *column, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT trigger_name, action_statement FROM information_schema.triggers WHERE trigger_schema = $1 AND"
        " event_object_schema = $1 AND event_object_table = $2 ORDER BY trigger_name";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(w->s, sql, 2, (const char *const[]){w->s->database, table->name}, &rows, err);
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        const char *body = mydb_text(rows, i, 1);
        if (mydb_trigger_is_ours(mydb_text(rows, i, 0)) || body == NULL || !mydb_body_names(body, column->name)) {
            continue;
        }
        zdm_error_set(err, ZDM_REFUSED, "column %s cannot be hidden: trigger %s of %s names it", column->name,
                      mydb_text(rows, i, 0), table->name);
        zdm_error_detail(err, "Once the column is dropped, every write that fires it would fail.");
        return zdm_error_hint(err, "Drop or change that trigger first, then retry the shard.");
    }
    return code;
}

static const struct {
    const char *sql; /* the name of what is in the way; $1 database, $2 table, $3 column, $4 migration */
    const char *what, *hint;
} rules[] = {
    {"SELECT index_name FROM information_schema.statistics WHERE table_schema = $1 AND table_name = $2 AND column_name "
     "="
     " $3 AND index_name = 'PRIMARY'",
     "is part of the primary key:", "Choose another key first."},
    /* One that the migration itself has hidden is dropped before the column: the purge keeps the order of the hides. */
    {"SELECT s.index_name FROM information_schema.statistics s JOIN information_schema.statistics o ON o.table_schema ="
     " $1 AND o.table_name = $2 AND o.index_name = s.index_name AND COALESCE(o.column_name, '') "
     "<>"
     " s.column_name WHERE s.table_schema = $1 AND s.table_name = $2 AND s.column_name = $3 AND s.non_unique = 0"
     " AND NOT EXISTS (SELECT 1 FROM zdm.hidden h WHERE h.home = $1 AND h.migration = $4 AND h.kind = 'index' AND"
     " h.table_name = $2 AND h.hidden_name = s.index_name AND NOT h.by_rollback)",
     "is part of a unique index with other columns:",
     "Drop that index first: without the column it would be unique over the others alone."},
    {"SELECT partition_name FROM information_schema.partitions WHERE table_schema = $1 AND table_name = $2 AND"
     " partition_name IS NOT NULL AND (INSTR(CONCAT(',', REPLACE(COALESCE(partition_expression, ''), '`', ','), ','),"
     " CONCAT(',', $3, ',')) > 0 OR INSTR(CONCAT(',', REPLACE(COALESCE(subpartition_expression, ''), '`', ','), ','),"
     " CONCAT(',', $3, ',')) > 0)",
     "is part of the partition key:", "The rows are placed by it."},
    {"SELECT constraint_name FROM information_schema.key_column_usage WHERE table_schema = $1 AND"
     " referenced_table_schema = $1 AND referenced_table_name = $2 AND referenced_column_name = $3",
     "is what a foreign key points at:", "Drop that foreign key first."},
    /* The server prints the tables of a view with their database, and its columns behind a dot. */
    {"SELECT CONCAT(table_schema, '.', table_name) FROM information_schema.views WHERE table_schema = $1 AND"
     " INSTR(view_definition, CONCAT('`', REPLACE($1, '`', '``'), '`.`', REPLACE($2, '`', '``'), '`')) > 0 AND "
     "INSTR(view_definition,"
     " CONCAT('`.`', REPLACE($3, '`', '``'), '`')) > 0",
     "is read by view", "Drop or change that view first, then retry the shard."},
};

static enum zdm_code refuse_foreign(struct mydb_work *w, const struct mydb_table *table,
                                    const struct mydb_column *column, struct zdm_error *err)
{
    char what[MYDB_DEPENDENT_MAX];
    enum zdm_code code = mydb_foreign_child(w, table->name, column->name, false, what, err);
    if (code == ZDM_OK && what[0] == '\0') {
        code = mydb_foreign_view(w, table->name, column->name, what, err);
    }
    if (code != ZDM_OK || what[0] == '\0') {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED, "column %s of %s cannot be hidden: %s uses it", column->name, table->name, what);
    return zdm_error_hint(err, "That is another database: drop or change it there first, then retry the shard.");
}

enum zdm_code mydb_column_refuse(struct mydb_work *w, const struct mydb_table *table, const struct mydb_column *column,
                                 struct zdm_error *err)
{
    const char *const params[] = {w->s->database, table->name, column->name, w->op->migration};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
        enum zdm_code code = mydb_query(w->s, rules[i].sql, 4, params, &rows, err);
        if (code != ZDM_OK) {
            return code;
        }
        if (rows->n > 0) {
            zdm_error_set(err, ZDM_REFUSED, "column %s of %s %s %s", column->name, table->name, rules[i].what,
                          mydb_text(rows, 0, 0));
            return zdm_error_hint(err, "%s", rules[i].hint);
        }
    }
    enum zdm_code code = refuse_triggers(w, table, column, err);
    return code == ZDM_OK ? refuse_foreign(w, table, column, err) : code;
}
