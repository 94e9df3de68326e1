/*
 * rig.c - see rig.h.
 */
#include "tests/integration/postgresql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

static void ignore_notice(void *ctx, const char *message)
{
    (void)ctx;
    (void)message;
}

static PGconn *connect_to(struct test_pg *pg, const char *role, const char *database)
{
    PGconn *conn = PQconnectdb(test_pg_dsn(pg, role, database));
    if (PQstatus(conn) != CONNECTION_OK) {
        fail_msg("cannot connect as %s: %s", role, PQerrorMessage(conn));
    }
    PQsetNoticeProcessor(conn, ignore_notice, NULL);
    return conn;
}

void rig_exec(PGconn *conn, const char *sql)
{
    PGresult *res = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(res);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fail_msg("%s\n%s", sql, PQerrorMessage(conn));
    }
    PQclear(res);
}

static struct test_pg *server;
static unsigned n_databases;

static int start_server(const struct test_pg_options *options)
{
    server = test_pg_start(options);
    PGconn *conn = connect_to(server, "postgres", "postgres");
    rig_exec(conn, "CREATE ROLE app_owner LOGIN; CREATE ROLE app_user LOGIN;");
    rig_exec(conn, "CREATE DATABASE shop OWNER app_owner");
    PQfinish(conn);
    test_pg_grant(server, "shop", "zdm_agent", "app_owner");
    conn = connect_to(server, "postgres", "shop");
    rig_exec(conn, "GRANT ALL ON SCHEMA public TO app_owner; GRANT USAGE ON SCHEMA public TO app_user;"
                   "ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT ALL ON TABLES TO app_user;"
                   "ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT ALL ON SEQUENCES TO app_user;");
    PQfinish(conn);
    return 0;
}

int rig_group_setup(void **state)
{
    (void)state;
    return start_server(&(struct test_pg_options){.config = "autovacuum_naptime = 1s\nautovacuum_max_workers = 8\n"});
}

int rig_group_start(const char *config)
{
    return start_server(&(struct test_pg_options){.config = config});
}

int rig_group_setup_durable(void **state)
{
    (void)state;
    return start_server(&(struct test_pg_options){.durable = true});
}

int rig_group_teardown(void **state)
{
    (void)state;
    test_pg_free(server);
    return 0;
}

PGconn *rig_connect(struct rig *r, const char *role)
{
    return connect_to(r->pg, role, r->database);
}

int rig_setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    struct zdm_error err = ZDM_ERROR_INIT;
    char sql[128];
    r->pg = server;
    r->schema = "public";
    r->quote = '"';
    rig_begin_results(r);
    snprintf(r->database, sizeof r->database, "t%u", ++n_databases);
    PGconn *conn = connect_to(server, "postgres", "postgres");
    snprintf(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE shop OWNER app_owner", r->database);
    rig_exec(conn, sql);
    PQfinish(conn);
    r->super = rig_connect(r, "postgres");
    r->owner = rig_connect(r, "app_owner");
    r->app = rig_connect(r, "app_user");
    char dsn[512];
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(server, "zdm_agent", r->database));
    struct agent_engine_config config = {.dsn = dsn,
                                         .application_name = "zdm-agent test",
                                         .connect_timeout_ms = 5000,
                                         .owner = "app_owner",
                                         .sink = rig_sink(r)};
    assert_int_equal(agent_postgresql_open(&config, &r->engine, &err), ZDM_OK);
    rig_connect_engine(r);
    *state = r;
    return 0;
}

int rig_teardown(void **state)
{
    struct rig *r = *state;
    r->engine.ops->close(r->engine.self);
    PQfinish(r->super);
    PQfinish(r->owner);
    PQfinish(r->app);
    rig_end_results(r);
    free(r);
    return 0;
}

#define FORMAT_SQL(sql, fmt)                                                                                           \
    do {                                                                                                               \
        va_list args;                                                                                                  \
        va_start(args, fmt);                                                                                           \
        vsnprintf(sql, sizeof sql, fmt, args);                                                                         \
        va_end(args);                                                                                                  \
    } while (0)

void rig_sql(struct rig *r, const char *fmt, ...)
{
    char sql[8192];
    FORMAT_SQL(sql, fmt);
    rig_exec(r->owner, sql);
}

void rig_app(struct rig *r, const char *fmt, ...)
{
    char sql[8192];
    FORMAT_SQL(sql, fmt);
    rig_exec(r->app, sql);
}

void rig_super(struct rig *r, const char *fmt, ...)
{
    char sql[8192];
    FORMAT_SQL(sql, fmt);
    rig_exec(r->super, sql);
}

bool rig_since(struct rig *r, int release, const char *what)
{
    bool has = PQserverVersion(r->super) >= release * 10000;
    if (!has) {
        print_message("# PostgreSQL %s, before %d: left out is %s\n", PQparameterStatus(r->super, "server_version"),
                      release, what);
    }
    return has;
}

void rig_may_set(struct rig *r, const char *parameter, bool may)
{
    if (PQserverVersion(r->super) >= 150000) {
        rig_super(r, "%s SET ON PARAMETER %s %s zdm_agent", may ? "GRANT" : "REVOKE", parameter, may ? "TO" : "FROM");
    }
}

void rig_flush(PGconn *conn)
{
    /* Before 15 a session that goes idle sends its counts, unless it has done so within 500 ms. */
    rig_exec(conn, PQserverVersion(conn) >= 150000 ? "SELECT pg_stat_force_next_flush()" : "SELECT pg_sleep(0.6)");
}

static const char *value(struct rig *r, const char *sql)
{
    PGresult *res = PQexec(r->super, sql);
    if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) == 0) {
        fail_msg("%s\n%s", sql, PQerrorMessage(r->super));
    }
    snprintf(r->text, sizeof r->text, "%s", PQgetisnull(res, 0, 0) ? "NULL" : PQgetvalue(res, 0, 0));
    PQclear(res);
    return r->text;
}

const char *rig_value(struct rig *r, const char *fmt, ...)
{
    char sql[8192];
    FORMAT_SQL(sql, fmt);
    return value(r, sql);
}

long rig_number(struct rig *r, const char *fmt, ...)
{
    char sql[8192];
    FORMAT_SQL(sql, fmt);
    return strtol(value(r, sql), NULL, 10);
}

const char *rig_app_fails(struct rig *r, const char *sql)
{
    PGresult *res = PQexec(r->app, sql);
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    snprintf(r->text, sizeof r->text, "%s", state == NULL ? "" : state);
    PQclear(res);
    return r->text;
}

char *rig_dump(struct rig *r, const char *table)
{
    char dsn[512], file[256], option[300], what[128];
    snprintf(dsn, sizeof dsn, "%s", test_pg_dsn(r->pg, "postgres", r->database));
    snprintf(file, sizeof file, "%s/%s.sql", test_pg_directory(r->pg), r->database);
    snprintf(option, sizeof option, "--file=%s", file);
    snprintf(what, sizeof what, "--table=%s", table);
    test_pg_program("pg_dump", (const char *const[]){"--schema-only", what, option, dsn, NULL});
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    char line[1024];
    FILE *in = fopen(file, "r");
    assert_non_null(in);
    while (fgets(line, sizeof line, in) != NULL) {
        /* "\restrict …" has a random word. */
        zdm_buffer_puts(&text, line[0] == '\\' ? "" : line);
    }
    fclose(in);
    return zdm_buffer_take(&text);
}
