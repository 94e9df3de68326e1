/*
 * test_reads.c - what the agent asks of information_schema is about one table, or one database: MariaDB answers by
 * opening each table that the question may be about, of all databases where it names none, which takes seconds on a
 * server with many.
 *
 * The statements are taken from the sources as the compiler sees them, and each is explained by the server, which says
 * how many databases it would scan. New ones are found by themselves.
 */
#include "tests/integration/mysql/rig.h"

#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/buffer.h"

enum { STATEMENTS_MIN = 60, UNKNOWN_COLUMN = 1054, UNKNOWN_TABLE = 1109, UNKNOWN_CHARSET = 1115 };

/* Statements of one whole database: why. */
static const struct {
    const char *says, *why;
} of_a_database[] = {
    {"referenced_table_name = 'x'", "what points at a table is found by no index"},
    {"information_schema.views", "nothing says which table a view reads"},
    {"event_object_table <> 'x'", "a trigger of any table may use another one"},
    {"table_schema = 'zdm'", "the agent's own database has few tables"},
    {"constraint_type = 'FOREIGN KEY' AND constraint_name = 'x'", "a foreign key's name is the database's"},
};
/* Statements that MariaDB could carry out, and that are for MySQL alone. */
static const char *const of_mysql[] = {"information_schema.check_constraints c JOIN"};

/* ---- Reading the sources ---- */

static char *preprocessed(const char *path)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer out = ZDM_BUFFER_INIT;
    char command[1000], part[4096];
    size_t n = 0;
    snprintf(command, sizeof command, "%s -E -P -D_GNU_SOURCE -I%s -I%s '%s'", ZDM_COMPILER, ZDM_SOURCE_DIR,
             ZDM_MYSQL_HEADERS, path);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    while ((n = fread(part, 1, sizeof part, f)) > 0) {
        zdm_buffer_append(&out, part, n);
    }
    assert_int_equal(pclose(f), 0);
    return zdm_buffer_take(&out);
}

/* Appends the string literals from *p on that the compiler would join; *p is behind them. $1 becomes 'x', and what a
 * format would fill in is nothing. */
static void put_literal(struct zdm_buffer *out, const char **p)
{
    while (**p == '"') {
        for ((*p)++; **p != '"' && **p != '\0'; (*p)++) {
            if (**p == '$' && isdigit((unsigned char)(*p)[1])) {
                zdm_buffer_puts(out, "'x'");
                (*p)++;
            } else if (strncmp(*p, "%s", 2) == 0) {
                (*p)++;
            } else {
                *p += **p == '\\';
                zdm_buffer_append(out, *p, 1);
            }
        }
        *p += **p == '"';
        *p += strspn(*p, " \t\n");
    }
}

static unsigned bad; /* statements of this turn */

typedef void take_fn(struct rig *r, const char *file, const char *sql);

static unsigned each_statement(struct rig *r, const char *path, take_fn *take)
{
    char *text = preprocessed(path);
    unsigned n = 0;
    for (const char *p = text; *p != '\0';) {
        ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer literal = ZDM_BUFFER_INIT;
        if (*p == '\'') { /* a character may be a quote */
            p += p[1] == '\\' ? 4 : 3;
        } else if (*p != '"') {
            p++;
        } else {
            put_literal(&literal, &p);
            if (strcasestr(zdm_buffer_text(&literal), "FROM information_schema.") != NULL) {
                take(r, strrchr(path, '/') + 1, zdm_buffer_text(&literal));
                n++;
            }
        }
    }
    free(text);
    return n;
}

static unsigned all(struct rig *r, take_fn *take)
{
    glob_t files;
    unsigned n = 0;
    assert_int_equal(glob(ZDM_SOURCE_DIR "/agent/engine/mysql/*.c", 0, NULL, &files), 0);
    assert_int_equal(glob(ZDM_SOURCE_DIR "/agent/engine/mysql/*/*.c", GLOB_APPEND, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        n += each_statement(r, files.gl_pathv[i], take);
    }
    globfree(&files);
    return n;
}

/* ---- Asking the server ---- */

/* The answers' last fields, joined; NULL: the statement is the other server's. */
static char *explain(struct rig *r, const char *file, const char *sql)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer statement = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer extra = ZDM_BUFFER_INIT;
    MYSQL *conn = rig_connect(r, "root");
    zdm_buffer_printf(&statement, "EXPLAIN %s", sql);
    int failed = mysql_query(conn, zdm_buffer_text(&statement));
    unsigned number = mysql_errno(conn);
    if (failed != 0 && number != UNKNOWN_COLUMN && number != UNKNOWN_TABLE && number != UNKNOWN_CHARSET) {
        fail_msg("%s: %s\n%s", file, mysql_error(conn), sql);
    }
    MYSQL_RES *res = failed != 0 ? NULL : mysql_store_result(conn);
    for (MYSQL_ROW row; res != NULL && (row = mysql_fetch_row(res)) != NULL;) {
        const char *last = row[mysql_num_fields(res) - 1];
        zdm_buffer_printf(&extra, "%s; ", last == NULL ? "" : last);
    }
    mysql_free_result(res);
    mysql_close(conn);
    return failed != 0 ? NULL : strdup(zdm_buffer_text(&extra));
}

static bool may_scan_a_database(const char *sql)
{
    for (size_t i = 0; i < sizeof of_a_database / sizeof *of_a_database; i++) {
        if (strcasestr(sql, of_a_database[i].says) != NULL) {
            return true;
        }
    }
    return false;
}

static bool is_of_mysql(const char *sql)
{
    for (size_t i = 0; i < sizeof of_mysql / sizeof *of_mysql; i++) {
        if (strcasestr(sql, of_mysql[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* MySQL keeps all of it in tables with indexes, and says nothing of databases: there the statement must be one. */
static void judge(struct rig *r, const char *file, const char *sql)
{
    if (strncasecmp(sql, "SELECT", 6) != 0) {
        fail_msg("%s: a part of a statement cannot be explained: write it as a whole\n%s", file, sql);
    }
    char *extra = explain(r, file, sql);
    bool explained = extra != NULL && rig_is_mariadb(r) && !is_of_mysql(sql);
    const char *missing = !explained                                                                 ? NULL
                          : strstr(extra, "Scanned all databases") != NULL                           ? "database"
                          : strstr(extra, "Scanned 1 database") != NULL && !may_scan_a_database(sql) ? "table"
                                                                                                     : NULL;
    if (missing != NULL) {
        print_error("%s: name the %s by a constant, of each table of information_schema\n%s\n", file, missing, sql);
        bad++;
    }
    free(extra);
}

static void no_statement_opens_the_tables_of_other_databases(void **state)
{
    struct rig *r = *state;
    rig_sql(r, "CREATE TABLE x (k int PRIMARY KEY)");
    bad = 0;
    unsigned n = all(r, judge);
    print_message("%u statements\n", n);
    assert_int_equal(bad, 0);
    assert_true(n >= STATEMENTS_MIN);
}

static void statement_without_a_database_would_be_found(void **state)
{
    struct rig *r = *state;
    char *extra = explain(r, "here", "SELECT table_name FROM information_schema.columns WHERE column_name = 'x'");
    assert_non_null(extra);
    assert_true(!rig_is_mariadb(r) || strstr(extra, "Scanned all databases") != NULL);
    free(extra);
}

RIG_MAIN(RIG_TEST(no_statement_opens_the_tables_of_other_databases),
         RIG_TEST(statement_without_a_database_would_be_found))
