/*
 * session.c - opening a session and making it what the engine relies on, whatever role, database or server have set;
 * transactions (session.h).
 *
 * Every setting is written and read back (database.md 19): ALTER ROLE … SET default_transaction_isolation, a pooler
 * that swallows SET or a server that does not know a name shows here, not as a strange batch in the night.
 */
#include "agent/engine/postgresql/session/session.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/engine.h"
#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/session/wire.h"

/* As current_setting() shows them. The long class waits without limit, so that statement_timeout and lock_timeout
 * start at 0 and each transaction of the short class sets its own. */
struct pin {
    const char *name, *value;
    int since; /* server_version_num */
};

static const struct pin pins[] = {
    {"default_transaction_isolation", "read committed", 0},
    {"default_transaction_read_only", "off", 0},
    {"default_transaction_deferrable", "off", 0},
    {"statement_timeout", "0", 0},
    {"lock_timeout", "0", 0},
    {"idle_in_transaction_session_timeout", "1min", 0},
    {"idle_session_timeout", "0", 140000},
    {"transaction_timeout", "0", 170000},
    {"client_connection_check_interval", "2s", 140000},
    {"row_security", "off", 0},
    {"search_path", "pg_catalog", 0},
    {"timezone", "UTC", 0},
    {"datestyle", "ISO, YMD", 0},
    {"intervalstyle", "iso_8601", 0},
    {"bytea_output", "hex", 0},
    {"extra_float_digits", "1", 0},
    {"default_text_search_config", "pg_catalog.simple", 0},
    {"standard_conforming_strings", "on", 0},
    {"escape_string_warning", "off", 0},
    {"backslash_quote", "safe_encoding", 0},
    {"check_function_bodies", "on", 0},
    {"client_min_messages", "warning", 0},
    {"default_tablespace", "", 0},
    {"default_table_access_method", "heap", 0},
    {"jit", "off", 0},
    {"plan_cache_mode", "force_custom_plan", 0},
};

bool pgsql_is_open(const struct pgsql_session *s)
{
    return s->conn != NULL && PQstatus(s->conn) == CONNECTION_OK;
}

void pgsql_forget_prepared(struct pgsql_session *s)
{
    for (size_t i = 0; i < s->n_prepared; i++) {
        free(s->prepared[i]);
    }
    s->n_prepared = 0;
}

void pgsql_close(struct pgsql_session *s)
{
    PQfinish(s->conn);
    s->conn = NULL;
    pgsql_forget_prepared(s);
}

PGconn *pgsql_dial(struct pgsql_session *s, int64_t deadline_ms, bool listen)
{
    /* What stands behind dbname overrides what the conninfo says. */
    const char *const names[] = {"dbname",           "application_name", "client_encoding",
                                 "keepalives",       "keepalives_idle",  "keepalives_interval",
                                 "keepalives_count", "tcp_user_timeout", NULL};
    const char *const values[] = {
        s->target->dsn, s->target->application_name, "UTF8", "1", "10", "3", "3", "15000", NULL};
    PGconn *conn = PQconnectStartParams(names, values, 1);
    if (conn == NULL) {
        return NULL;
    }
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    while (PQstatus(conn) != CONNECTION_BAD && next != PGRES_POLLING_OK && next != PGRES_POLLING_FAILED) {
        short events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        if (pgsql_wait(s, PQsocket(conn), events, deadline_ms, listen) != PGSQL_READY) {
            PQfinish(conn);
            return NULL;
        }
        next = PQconnectPoll(conn);
    }
    return conn;
}

/* postgresql://user:p@ss@host: libpq takes what is behind the first '@' for the host, and would name it. */
static bool has_stray_at(const char *dsn)
{
    const char *authority = strstr(dsn, "://");
    if (authority == NULL) {
        return false;
    }
    authority += 3;
    size_t n = strcspn(authority, "/?");
    const char *at = memchr(authority, '@', n);
    return at != NULL && memchr(at + 1, '@', n - (size_t)(at + 1 - authority)) != NULL;
}

enum zdm_code agent_postgresql_check_dsn(const char *dsn, struct zdm_error *err)
{
    char *message = NULL;
    if (strchr(dsn, '=') == NULL && strstr(dsn, "://") == NULL) {
        return ZDM_OK; /* the name of a database */
    }
    PQconninfoOption *options = PQconninfoParse(dsn, &message);
    bool readable = options != NULL && !has_stray_at(dsn);
    PQconninfoFree(options);
    PQfreemem(message);
    if (readable) {
        return ZDM_OK;
    }
    zdm_error_set(err, ZDM_INVALID, "the database's connection string cannot be read");
    return zdm_error_hint(err, "Put values with spaces into single quotes; in a URI, write %%40 for @ in a password.");
}

static enum zdm_code dial(struct pgsql_session *s, struct zdm_error *err)
{
    int64_t deadline_ms = pgsql_now_ms() + s->target->connect_timeout_ms;
    s->conn = pgsql_dial(s, deadline_ms, true);
    if (s->conn == NULL) {
        if (atomic_load(s->give_up)) {
            return zdm_error_set(err, ZDM_CANCELLED, "cancelled");
        }
        return zdm_error_set(err, ZDM_UNAVAILABLE, "could not connect to the database within %u ms",
                             (unsigned)s->target->connect_timeout_ms);
    }
    if (PQstatus(s->conn) != CONNECTION_OK) {
        return pgsql_classify_connection(s->conn, err);
    }
    PQsetnonblocking(s->conn, 1);
    s->version_num = PQserverVersion(s->conn);
    if (s->version_num < PGSQL_VERSION_MIN) {
        return zdm_error_set(err, ZDM_UNSUPPORTED, "PostgreSQL %d is too old; 13 is the oldest that works",
                             s->version_num / 10000);
    }
    return ZDM_OK;
}

/* A list of (name, value) rows for the pins that this server knows. */
static void put_pins(const struct pgsql_session *s, struct zdm_buffer *b)
{
    const char *comma = "";
    zdm_buffer_puts(b, "(VALUES ");
    for (size_t i = 0; i < sizeof pins / sizeof *pins; i++) {
        if (s->version_num >= pins[i].since) {
            zdm_buffer_printf(b, "%s('%s','%s')", comma, pins[i].name, pins[i].value);
            comma = ",";
        }
    }
    zdm_buffer_puts(b, ") AS pin(name, value)");
}

static enum zdm_code pin_settings(struct pgsql_session *s, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    zdm_buffer_puts(&sql, "SELECT pg_catalog.set_config(name, value, false) FROM ");
    put_pins(s, &sql);
    zdm_buffer_puts(&sql, " UNION ALL SELECT pg_catalog.set_config('synchronous_commit', 'on', false) "
                          "WHERE pg_catalog.current_setting('synchronous_commit') = 'off'");
    enum zdm_code code = pgsql_query(s, zdm_buffer_text(&sql), 0, NULL, NULL, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while setting up the session");
    }
    zdm_buffer_reset(&sql);
    zdm_buffer_puts(&sql, "SELECT name, pg_catalog.current_setting(name) FROM ");
    put_pins(s, &sql);
    zdm_buffer_puts(&sql, " WHERE pg_catalog.current_setting(name) IS DISTINCT FROM value UNION ALL SELECT "
                          "'session_replication_role', pg_catalog.current_setting('session_replication_role') WHERE "
                          "pg_catalog.current_setting('session_replication_role') <> 'origin'");
    code = pgsql_query(s, zdm_buffer_text(&sql), 0, NULL, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while setting up the session");
    }
    if (PQntuples(res) > 0) {
        zdm_error_set(err, ZDM_REFUSED, "the session's %s stays at \"%s\"", pgsql_text(res, 0, 0),
                      pgsql_text(res, 0, 1));
        return zdm_error_hint(err, "Let the agent connect to the server itself, with a role that has no such setting.");
    }
    return ZDM_OK;
}

/* A pooler in between hands statements of one client to several backends: its clients see a made-up backend pid. What
 * was set before would stay with a backend that serves the application next: this comes first, and sets nothing. */
static enum zdm_code refuse_pooler(struct pgsql_session *s, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(s, "SELECT pg_catalog.pg_backend_pid()", 0, NULL, &res, err);
    if (code != ZDM_OK) {
        return code;
    }
    if (pgsql_int(res, 0, 0) == PQbackendPID(s->conn)) {
        return ZDM_OK;
    }
    zdm_error_set(err, ZDM_REFUSED, "a connection pooler stands between the agent and the database");
    return zdm_error_hint(err, "Give the agent the address of the server itself.");
}

enum zdm_code pgsql_identify(struct pgsql_session *s, struct zdm_error *err)
{
    /* A primary's checkpoint lags behind a promotion, the name of its WAL file does not. */
    static const char sql[] =
        "SELECT pg_is_in_recovery(), (SELECT system_identifier FROM pg_control_system()),"
        " CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id::int8 FROM pg_control_checkpoint())"
        " ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int8 END,"
        " (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::int8, current_setting('server_version')";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(s, sql, 0, NULL, &res, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while asking who the server is");
    }
    s->writable = !pgsql_true(res, 0, 0);
    s->timeline = (uint64_t)pgsql_int(res, 0, 2);
    snprintf(s->identity, sizeof s->identity, "%s/%s/%s", pgsql_text(res, 0, 1), pgsql_text(res, 0, 2),
             pgsql_text(res, 0, 3));
    zdm_copy_text(s->version, sizeof s->version, pgsql_text(res, 0, 4));
    char *space = strchr(s->version, ' ');
    if (space != NULL) {
        *space = '\0';
    }
    return ZDM_OK;
}

static enum zdm_code learn_privileges(struct pgsql_session *s, struct zdm_error *err)
{
#define TIMEOUT ", (SELECT setting FROM pg_settings WHERE name = 'deadlock_timeout')"
    const char *sql = s->version_num >= 150000 ? "SELECT has_parameter_privilege('deadlock_timeout', 'SET')" TIMEOUT
                                               : "SELECT rolsuper" TIMEOUT
                                                 " FROM pg_roles WHERE rolname = current_user";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(s, sql, 0, NULL, &res, err);
    if (code == ZDM_OK) {
        s->may_set_deadlock_timeout = pgsql_true(res, 0, 0);
        s->deadlock_timeout_ms = (uint32_t)pgsql_int(res, 0, 1);
    }
    return code;
}

enum zdm_code pgsql_open(struct pgsql_session *s, struct zdm_error *err)
{
    enum zdm_code (*const steps[])(struct pgsql_session *, struct zdm_error *) = {dial, refuse_pooler, pin_settings,
                                                                                  pgsql_identify, learn_privileges};
    pgsql_close(s);
    s->opened++;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        enum zdm_code code = steps[i](s, err);
        if (code != ZDM_OK) {
            pgsql_close(s);
            return code;
        }
    }
    return ZDM_OK;
}

enum zdm_code pgsql_begin(struct pgsql_session *s, const char *settings, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    zdm_buffer_printf(&sql, "BEGIN ISOLATION LEVEL READ COMMITTED; %s SELECT pg_is_in_recovery()",
                      settings == NULL ? "" : settings);
    enum zdm_code code = pgsql_script(s, zdm_buffer_text(&sql), &res, err);
    if (code == ZDM_OK && pgsql_true(res, 0, 0)) {
        pgsql_rollback(s);
        return zdm_error_set(err, ZDM_UNAVAILABLE, "the node is a standby and takes no writes");
    }
    return code;
}

enum zdm_code pgsql_begin_reading(struct pgsql_session *s, struct zdm_error *err)
{
    return pgsql_script(s, "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY", NULL, err);
}

enum zdm_code pgsql_commit(struct pgsql_session *s, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_script(s, "COMMIT", &res, err);
    if (code == ZDM_OK) {
        if (strcmp(PQcmdStatus(res), "COMMIT") != 0) {
            return zdm_error_set(err, ZDM_CONFLICT, "the database rolled the transaction back");
        }
        return ZDM_OK;
    }
    if (!pgsql_is_open(s)) {
        err->code = ZDM_UNKNOWN;
        return zdm_error_wrap(err, "while the answer to COMMIT was on its way");
    }
    return code;
}

void pgsql_rollback(struct pgsql_session *s)
{
    struct zdm_error ignored = ZDM_ERROR_INIT;
    if (!pgsql_is_open(s)) {
        pgsql_close(s);
        return;
    }
    if (PQtransactionStatus(s->conn) != PQTRANS_IDLE && pgsql_script(s, "ROLLBACK", NULL, &ignored) != ZDM_OK) {
        pgsql_close(s);
    }
}

const char *pgsql_text(const PGresult *res, int row, int col)
{
    return PQgetisnull(res, row, col) ? NULL : PQgetvalue(res, row, col);
}

int64_t pgsql_int(const PGresult *res, int row, int col)
{
    return strtoll(PQgetvalue(res, row, col), NULL, 10);
}

bool pgsql_true(const PGresult *res, int row, int col)
{
    return PQgetvalue(res, row, col)[0] == 't';
}

void pgsql_clearp(PGresult **res)
{
    PQclear(*res);
    *res = NULL;
}

static void put_quoted(struct zdm_buffer *b, const char *text, char quote)
{
    zdm_buffer_append(b, &quote, 1);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == quote) {
            zdm_buffer_append(b, &quote, 1);
        }
        zdm_buffer_append(b, c, 1);
    }
    zdm_buffer_append(b, &quote, 1);
}

void pgsql_put_name(struct zdm_buffer *b, const char *name)
{
    put_quoted(b, name, '"');
}

void pgsql_put_literal(struct zdm_buffer *b, const char *text)
{
    put_quoted(b, text, '\'');
}
