/*
 * db_mysql.c - the demo application's connection to MySQL and MariaDB.
 */
#include <errmsg.h>
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deploy/demo/db.h"

enum { SQL_MAX = 1024, TIMEOUT_S = 30 };

/* The value of a key of the connection string into out; "" when it is not there. */
static void read_key(const char *dsn, const char *key, char *out, size_t size)
{
    size_t n = strlen(key);
    const char *at = strchr(dsn, ':') + 1;
    out[0] = '\0';
    while (*at != '\0') {
        size_t length = strcspn(at, " ");
        if (length > n && strncmp(at, key, n) == 0 && at[n] == '=')
            snprintf(out, size, "%.*s", (int)(length - n - 1), at + n + 1);
        at += length;
        at += strspn(at, " ");
    }
}

static void close_connection(struct db *db)
{
    if (db->connection != NULL)
        mysql_close(db->connection);
    db->connection = NULL;
}

static bool connect_anew(struct db *db)
{
    char host[256], port[16], user[64], database[64], file[512], group[64];
    unsigned timeout = TIMEOUT_S;
    close_connection(db);
    read_key(db->dsn, "host", host, sizeof host);
    read_key(db->dsn, "port", port, sizeof port);
    read_key(db->dsn, "user", user, sizeof user);
    read_key(db->dsn, "database", database, sizeof database);
    read_key(db->dsn, "defaults-file", file, sizeof file);
    read_key(db->dsn, "group", group, sizeof group);
    MYSQL *connection = mysql_init(NULL);
    if (connection == NULL) {
        db_set_error(db, "out of memory");
        return false;
    }
    db->connection = connection;
    mysql_options(connection, MYSQL_OPT_CONNECT_TIMEOUT, &timeout);
    mysql_options(connection, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (file[0] != '\0')
        mysql_options(connection, MYSQL_READ_DEFAULT_FILE, file);
    if (group[0] != '\0')
        mysql_options(connection, MYSQL_READ_DEFAULT_GROUP, group);
    if (mysql_real_connect(connection, host[0] == '\0' ? NULL : host, user[0] == '\0' ? NULL : user, NULL, database,
                           (unsigned)strtoul(port, NULL, 10), NULL, CLIENT_FOUND_ROWS) != NULL)
        return true;
    db_set_error(db, mysql_error(connection));
    return false;
}

static bool is_lost(struct db *db)
{
    unsigned number = mysql_errno(db->connection);
    return number == CR_SERVER_GONE_ERROR || number == CR_SERVER_LOST || number == 1927 || number == 1053;
}

/* Writes the statement with its parameters as literals; false when it does not fit. */
static bool write_statement(struct db *db, const char *sql, const char *a, const char *b, char out[SQL_MAX])
{
    const char *values[] = {a, b};
    size_t n = 0;
    for (const char *at = sql; *at != '\0'; at++) {
        const char *value = at[0] == '$' && (at[1] == '1' || at[1] == '2') ? values[at[1] - '1'] : NULL;
        if (n + 4 + 2 * (value == NULL ? 0 : strlen(value)) > SQL_MAX)
            return false;
        if (value == NULL) {
            out[n++] = *at;
            continue;
        }
        out[n++] = '\'';
        n += mysql_real_escape_string(db->connection, out + n, value, (unsigned long)strlen(value));
        out[n++] = '\'';
        at++;
    }
    out[n] = '\0';
    return true;
}

static void read_answer(struct db *db, struct db_answer *out)
{
    MYSQL_RES *rows = mysql_store_result(db->connection);
    *out = (struct db_answer){.changed = (long)mysql_affected_rows(db->connection)};
    MYSQL_ROW row = rows == NULL ? NULL : mysql_fetch_row(rows);
    out->has_row = row != NULL;
    if (row != NULL && row[0] != NULL)
        snprintf(out->value, sizeof out->value, "%s", row[0]);
    if (rows != NULL)
        mysql_free_result(rows);
}

static bool run(struct db *db, const char *sql, const char *a, const char *b, struct db_answer *out)
{
    char text[SQL_MAX];
    if (!write_statement(db, sql, a, b, text)) {
        db_set_error(db, "the statement is too long");
        return false;
    }
    if (mysql_query(db->connection, text) != 0) {
        db_set_error(db, mysql_error(db->connection));
        return false;
    }
    read_answer(db, out);
    return true;
}

const struct db_ops db_mysql = {.connect = connect_anew, .run = run, .is_lost = is_lost, .close = close_connection};
