/*
 * test_postgresql.c - the contract over PostgreSQL, as the role of deploy/sql.
 */
#include "tests/contract/engine/suite.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/postgres.h"

static struct test_pg *server;
static char database[32];

static void quiet(void *ctx, const char *message)
{
    (void)ctx;
    (void)message;
}

static long ask(const char *in, const char *sql)
{
    PGconn *conn = PQconnectdb(test_pg_dsn(server, "postgres", in));
    PQsetNoticeProcessor(conn, quiet, NULL);
    PGresult *res = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(res);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fail_msg("%s\n%s", sql, PQerrorMessage(conn));
    }
    long number = PQntuples(res) > 0 ? strtol(PQgetvalue(res, 0, 0), NULL, 10) : 0;
    PQclear(res);
    PQfinish(conn);
    return number;
}

static void start(void)
{
    server = test_pg_start(NULL);
    ask("postgres", "CREATE ROLE app_owner LOGIN");
    ask("postgres", "CREATE DATABASE shop OWNER app_owner");
    test_pg_grant(server, "shop", "zdm_agent", "app_owner");
    ask("shop", "GRANT ALL ON SCHEMA public TO app_owner");
}

static void stop(void)
{
    test_pg_free(server);
}

static const char *fresh(void)
{
    static unsigned serial;
    char sql[128];
    snprintf(database, sizeof database, "t%u", ++serial);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE shop OWNER app_owner", database);
    ask("postgres", sql);
    ask(database, "SET ROLE app_owner; CREATE TABLE w (id int PRIMARY KEY, a varchar(40));"
                  " INSERT INTO w SELECT g, 'v' FROM generate_series(1, 100) g");
    return test_pg_dsn(server, "zdm_agent", database);
}

static long number(const char *sql)
{
    return ask(database, sql);
}

static void cut(void)
{
    number("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'zdm_agent'"
           " AND datname = current_database()");
}

static void restart(void)
{
    test_pg_stop(server);
    test_pg_resume(server);
}

int main(void)
{
    static const struct backend postgresql = {
        .name = "postgresql",
        .engine = ZDM_ENGINE_POSTGRESQL,
        .open = agent_postgresql_open,
        .start = start,
        .stop = stop,
        .fresh = fresh,
        .number = number,
        .cut = cut,
        .restart = restart,
        .schema = "public",
        .sleeps = "SELECT pg_sleep(30)",
        .sleepers = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active' AND"
                    " datname = current_database() AND pid <> pg_backend_pid()",
        .add_column = "ALTER TABLE w ADD COLUMN c int",
        .columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'public.w'::regclass AND attname = 'c'",
    };
    return run_suite(&postgresql);
}
