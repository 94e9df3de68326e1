/*
 * dependents.c - see dependents.h.
 */
#include "agent/engine/mysql/catalog/dependents.h"

#include <stdio.h>
#include <string.h>

#include "agent/engine/mysql/session/classify.h"

/* ---- Foreign keys ---- */

/* Of $1, the database's name as the server stores it, and $2, the table's; $3: a column or NULL; $4: '1' for those that
 * change rows when the parent's are deleted (TYPE: 1 is ON DELETE CASCADE, 2 ON DELETE SET NULL). */
static const char of_mysql[] =
    "SELECT SUBSTRING_INDEX(f.ID, '/', -1), SUBSTRING_INDEX(f.FOR_NAME, '/', 1), SUBSTRING_INDEX(f.FOR_NAME, '/', -1)"
    " FROM information_schema.INNODB_FOREIGN f WHERE CAST(f.REF_NAME AS BINARY) = CAST(CONCAT($1, '/', $2) AS BINARY)"
    " AND SUBSTRING_INDEX(f.FOR_NAME, '/', 1) NOT IN ($1, 'zdm') AND ($3 IS NULL OR EXISTS (SELECT 1 FROM"
    " information_schema.INNODB_FOREIGN_COLS c WHERE c.ID = f.ID AND c.REF_COL_NAME = $3)) AND ($4 = '0' OR f.TYPE & 3"
    " <> 0) ORDER BY 1 LIMIT 1";
/* There names are written as those of files. */
static const char of_mariadb[] =
    "SELECT SUBSTRING_INDEX(f.ID, '/', -1), CONVERT(CONVERT(CAST(SUBSTRING_INDEX(f.FOR_NAME, '/', 1) AS BINARY) USING"
    " filename) USING utf8mb4), CONVERT(CONVERT(CAST(SUBSTRING_INDEX(f.FOR_NAME, '/', -1) AS BINARY) USING filename)"
    " USING utf8mb4) FROM information_schema.INNODB_SYS_FOREIGN f WHERE CAST(f.REF_NAME AS BINARY) ="
    " CONCAT(CAST(CONVERT($1 USING filename) AS BINARY), '/', CAST(CONVERT($2 USING filename) AS BINARY)) AND"
    " CAST(SUBSTRING_INDEX(f.FOR_NAME, '/', 1) AS BINARY) NOT IN (CAST(CONVERT($1 USING filename) AS BINARY), 'zdm')"
    " AND ($3 IS NULL OR EXISTS (SELECT 1 FROM information_schema.INNODB_SYS_FOREIGN_COLS c WHERE c.ID = f.ID AND"
    " c.REF_COL_NAME = $3)) AND ($4 = '0' OR f.TYPE & 3 <> 0) ORDER BY 1 LIMIT 1";

/* As the server stores names: in small letters where it does not tell them apart. */
static enum zdm_code read_stored(struct mydb_work *w, const char *table, struct mydb_rows **out, struct zdm_error *err)
{
    static const char sql[] = "SELECT IF(@@lower_case_table_names = 0, $1, LOWER($1)), IF(@@lower_case_table_names = 0,"
                              " $2, LOWER($2))";
    return mydb_query(w->s, sql, 2, (const char *const[]){w->s->database, table}, out, err);
}

/* Nobody need give the right to look. */
static enum zdm_code forgive(enum zdm_code code, struct zdm_error *err)
{
    if (code == ZDM_OK || !mydb_is_privilege(err)) {
        return code;
    }
    zdm_error_clear(err);
    return ZDM_OK;
}

enum zdm_code mydb_foreign_child(struct mydb_work *w, const char *table, const char *column, bool on_delete,
                                 char out[MYDB_DEPENDENT_MAX], struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *stored = NULL;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    out[0] = '\0';
    enum zdm_code code = read_stored(w, table, &stored, err);
    if (code != ZDM_OK) {
        return code;
    }
    const char *const params[] = {mydb_text(stored, 0, 0), mydb_text(stored, 0, 1), column, on_delete ? "1" : "0"};
    code = forgive(mydb_query(w->s, w->s->mariadb ? of_mariadb : of_mysql, 4, params, &rows, err), err);
    if (code == ZDM_OK && rows != NULL && rows->n > 0) {
        (void)snprintf(out, MYDB_DEPENDENT_MAX, "foreign key %s of %s.%s", mydb_text(rows, 0, 0), mydb_text(rows, 0, 1),
                       mydb_text(rows, 0, 2));
    }
    return code == ZDM_OK ? code : zdm_error_wrap(err, "while looking for foreign keys of other databases");
}

/* ---- Views ---- */

/* One database at a time: asked for all of them, MariaDB would open every table that there is. */
static enum zdm_code look_into(struct mydb_work *w, const char *database, const char *table, const char *column,
                               char out[MYDB_DEPENDENT_MAX], struct zdm_error *err)
{
    static const char sql[] =
        "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = $1 AND INSTR(VIEW_DEFINITION,"
        " CONCAT('`', REPLACE(DATABASE(), '`', '``'), '`.`', REPLACE($2, '`', '``'), '`')) > 0 AND ($3 IS NULL OR"
        " INSTR(VIEW_DEFINITION, CONCAT('`.`', REPLACE($3, '`', '``'), '`')) > 0) ORDER BY 1 LIMIT 1";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code =
        forgive(mydb_query(w->s, sql, 3, (const char *const[]){database, table, column}, &rows, err), err);
    if (code == ZDM_OK && rows != NULL && rows->n > 0) {
        (void)snprintf(out, MYDB_DEPENDENT_MAX, "view %s.%s", database, mydb_text(rows, 0, 0));
    }
    return code;
}

enum zdm_code mydb_foreign_view(struct mydb_work *w, const char *table, const char *column,
                                char out[MYDB_DEPENDENT_MAX], struct zdm_error *err)
{
    static const char sql[] =
        "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ('mysql', 'information_schema',"
        " 'performance_schema', 'sys', 'zdm', $1) ORDER BY 1 LIMIT 64";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    out[0] = '\0';
    enum zdm_code code = mydb_query(w->s, sql, 1, (const char *const[]){w->s->database}, &rows, err);
    for (size_t i = 0; code == ZDM_OK && out[0] == '\0' && i < rows->n; i++) {
        code = look_into(w, mydb_text(rows, i, 0), table, column, out, err);
    }
    return code == ZDM_OK ? code : zdm_error_wrap(err, "while looking for views of other databases");
}
