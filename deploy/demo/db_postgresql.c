/*
 * db_postgresql.c - the demo application's connection to PostgreSQL.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "deploy/demo/db.h"

static void close_connection(struct db *db)
{
    PQfinish(db->connection);
    db->connection = NULL;
}

static bool connect_anew(struct db *db)
{
    close_connection(db);
    db->connection = PQconnectdb(db->dsn);
    if (PQstatus(db->connection) == CONNECTION_OK)
        return true;
    db_set_error(db, PQerrorMessage(db->connection));
    return false;
}

static bool is_lost(struct db *db)
{
    return PQstatus(db->connection) != CONNECTION_OK;
}

static bool run(struct db *db, const char *sql, const char *a, const char *b, struct db_answer *out)
{
    const char *values[] = {a, b};
    int n = (a != NULL) + (b != NULL);
    PGresult *result = PQexecParams(db->connection, sql, n, NULL, values, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(result);
    bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
    if (ok) {
        *out = (struct db_answer){.has_row = PQntuples(result) == 1, .changed = strtol(PQcmdTuples(result), NULL, 10)};
        if (out->has_row)
            snprintf(out->value, sizeof out->value, "%s", PQgetvalue(result, 0, 0));
    } else {
        db_set_error(db, PQerrorMessage(db->connection));
    }
    PQclear(result);
    return ok;
}

const struct db_ops db_postgresql = {
    .connect = connect_anew, .run = run, .is_lost = is_lost, .close = close_connection};
