/*
 * session.c - opening a session and making it what the engine relies on, whatever account, option file or server have
 * set; transactions (session.h).
 *
 * Every setting is written and read back (database.md 19): a proxy that swallows SET or a server that does not know a
 * name shows here, not as a strange batch in the night.
 */
#include "agent/engine/mysql/session/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <poll.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/session/wire.h"

enum { BOTH = 0, MARIADB_ALONE, MYSQL_ALONE };

struct pin {
    const char *name;  /* of the session's variable */
    const char *value; /* as a literal */
    const char *shown; /* as SELECT @@name shows it; NULL: the same, without quotes */
    int flavour;
};

/* In the order in which both servers print it. Strict, so that nothing is cut or guessed; no NO_BACKSLASH_ESCAPES
 * (escape.h); a row with the key 0 comes back as it was. Zero dates are not refused: an application that has some
 * must be able to keep them in a copied column. */
#define SQL_MODE                                                                                                       \
    "NO_AUTO_VALUE_ON_ZERO,STRICT_TRANS_TABLES,STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,"                          \
    "NO_ENGINE_SUBSTITUTION"

/* Statements of the long class run without limit: each operation has a deadline of its own, after which it is stopped
 * by KILL QUERY. A session that says nothing for a minute is ended by the server, with what it holds: an agent that
 * is cut off must not keep rows locked. utf8mb4_bin is the one collation by bytes that both flavours have. */
static const struct pin pins[] = {
    {"autocommit", "1", NULL, BOTH},
    {"sql_mode", "'" SQL_MODE "'", SQL_MODE, BOTH},
    {"time_zone", "'+00:00'", "+00:00", BOTH},
    {"character_set_client", "utf8mb4", NULL, BOTH},
    {"character_set_results", "utf8mb4", NULL, BOTH},
    {"character_set_connection", "utf8mb4", NULL, BOTH},
    {"collation_connection", "utf8mb4_bin", NULL, BOTH},
    {"foreign_key_checks", "1", NULL, BOTH},
    {"unique_checks", "1", NULL, BOTH},
    {"innodb_lock_wait_timeout", "1", NULL, BOTH},
    {"lock_wait_timeout", "1", NULL, BOTH},
    {"sql_safe_updates", "0", NULL, BOTH},
    {"sql_big_selects", "1", NULL, BOTH},
    {"sql_select_limit", "18446744073709551615", NULL, BOTH},
    {"sql_auto_is_null", "0", NULL, BOTH},
    {"sql_quote_show_create", "1", NULL, BOTH},
    {"group_concat_max_len", "16777216", NULL, BOTH},
    {"completion_type", "0", "NO_CHAIN", BOTH},
    {"default_storage_engine", "InnoDB", NULL, BOTH},
    {"lc_messages", "'en_US'", "en_US", BOTH},
    {"lc_time_names", "'en_US'", "en_US", BOTH},
    {"wait_timeout", "60", NULL, BOTH},
    {"max_statement_time", "0", "0.000000", MARIADB_ALONE},
    {"check_constraint_checks", "1", NULL, MARIADB_ALONE},
    {"sql_if_exists", "0", NULL, MARIADB_ALONE},
    {"max_execution_time", "0", NULL, MYSQL_ALONE},
    {"information_schema_stats_expiry", "0", NULL, MYSQL_ALONE},
};

bool mydb_is_open(const struct mydb_session *s)
{
    if (s->conn == NULL) {
        return false;
    }
    /* A server that is done with us says so unasked, and closes. */
    struct pollfd fd = {.fd = mysql_get_socket(s->conn), .events = POLLIN};
    return s->in_transaction || poll(&fd, 1, 0) == 0;
}

void mydb_close(struct mydb_session *s)
{
    if (s->beside != NULL) {
        mydb_close(s->beside);
        free(s->beside);
        s->beside = NULL;
    }
    mydb_hang_up(s->conn, s->gave_up || s->timed_out);
    s->conn = NULL;
    s->in_transaction = false;
}

static enum zdm_code dial(struct mydb_session *s, struct zdm_error *err)
{
    int64_t limit_ms = mydb_now_ms() + s->target->connect_timeout_ms;
    s->conn = mydb_dial(s, limit_ms < s->deadline_ms ? limit_ms : s->deadline_ms, true, err);
    if (s->conn == NULL) {
        return err->code;
    }
    s->thread = mysql_thread_id(s->conn);
    return ZDM_OK;
}

static enum zdm_code learn_version(struct mydb_session *s, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    unsigned major = 0, minor = 0, patch = 0;
    enum zdm_code code = mydb_run(s, "SELECT VERSION()", &rows, err);
    if (code != ZDM_OK) {
        return code;
    }
    zdm_copy_text(s->version, sizeof s->version, mydb_text(rows, 0, 0));
    s->mariadb = strcasestr(s->version, "mariadb") != NULL || mariadb_connection(s->conn);
    (void)sscanf(s->version, "%u.%u.%u", &major, &minor, &patch);
    s->version_num = major * 10000 + minor * 100 + patch;
    s->version[strcspn(s->version, "-")] = '\0';
    if (s->version_num >= (s->mariadb ? MYDB_MARIADB_MIN : MYDB_MYSQL_MIN)) {
        size_t n = strlen(s->version);
        zdm_copy_text(s->version + n, sizeof s->version - n, s->mariadb ? "-MariaDB" : "");
        return ZDM_OK;
    }
    return zdm_error_set(err, ZDM_UNSUPPORTED, "%s %.20s is too old; %s is the oldest that works",
                         s->mariadb ? "MariaDB" : "MySQL", s->version, s->mariadb ? "10.6" : "8.0.23");
}

static bool is_for(const struct mydb_session *s, const struct pin *pin)
{
    return pin->flavour == BOTH || (pin->flavour == MARIADB_ALONE) == s->mariadb;
}

/* MariaDB learnt the other name with 11.1. */
static const char *isolation_of(const struct mydb_session *s)
{
    return s->mariadb && s->version_num < 110100 ? "tx_isolation" : "transaction_isolation";
}

static enum zdm_code set_pins(struct mydb_session *s, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    const char *comma = "SET ";
    for (size_t i = 0; i < sizeof pins / sizeof *pins; i++) {
        if (is_for(s, &pins[i])) {
            zdm_buffer_printf(&sql, "%sSESSION %s = %s", comma, pins[i].name, pins[i].value);
            comma = ", ";
        }
    }
    enum zdm_code code = mydb_run(s, zdm_buffer_text(&sql), NULL, err);
    if (code == ZDM_OK) {
        code = mydb_run(s, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE", NULL, err);
    }
    return code;
}

static enum zdm_code stays(const char *name, const char *value, struct zdm_error *err)
{
    zdm_error_set(err, ZDM_REFUSED, "the session's %s stays at \"%.200s\"", name, value == NULL ? "NULL" : value);
    return zdm_error_hint(err, "Let the agent connect to the server itself, with an account that may set it.");
}

static enum zdm_code read_pins(struct mydb_session *s, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    zdm_buffer_printf(&sql, "SELECT @@SESSION.%s", isolation_of(s));
    for (size_t i = 0; i < sizeof pins / sizeof *pins; i++) {
        if (is_for(s, &pins[i])) {
            zdm_buffer_printf(&sql, ", @@SESSION.%s", pins[i].name);
        }
    }
    enum zdm_code code = mydb_run(s, zdm_buffer_text(&sql), &rows, err);
    if (code != ZDM_OK) {
        return code;
    }
    const char *level = mydb_text(rows, 0, 0);
    if (level == NULL || strcmp(level, "READ-COMMITTED") != 0) {
        return stays("transaction_isolation", level, err);
    }
    for (size_t i = 0, column = 1; i < sizeof pins / sizeof *pins; i++) {
        if (!is_for(s, &pins[i])) {
            continue;
        }
        const char *value = mydb_text(rows, 0, column++);
        if (value == NULL || strcmp(value, pins[i].shown == NULL ? pins[i].value : pins[i].shown) != 0) {
            return stays(pins[i].name, value, err);
        }
    }
    return ZDM_OK;
}

static enum zdm_code pin_settings(struct mydb_session *s, struct zdm_error *err)
{
    enum zdm_code code = set_pins(s, err);
    if (code == ZDM_OK) {
        code = read_pins(s, err);
    }
    return code == ZDM_OK ? code : zdm_error_wrap(err, "while setting up the session");
}

/* A statement binlog would replay a batch on other rows than it found here, and under READ COMMITTED the server refuses
 * every write (1665). Writes that stay out of the binlog are lost on the replicas. */
static enum zdm_code refuse_binlog(struct mydb_session *s, struct zdm_error *err)
{
    static const char sql[] = "SHOW VARIABLES WHERE Variable_name IN ('binlog_format', 'log_bin', 'sql_log_bin')";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_run(s, sql, &rows, err);
    const char *format = "ROW";
    bool log = false, logged = true;
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        const char *name = mydb_text(rows, i, 0);
        if (strcmp(name, "binlog_format") == 0) {
            format = mydb_text(rows, i, 1);
        } else if (strcmp(name, "log_bin") == 0) {
            log = mydb_true(rows, i, 1);
        } else {
            logged = mydb_true(rows, i, 1);
        }
    }
    if (code != ZDM_OK || !log || (logged && strcmp(format, "STATEMENT") != 0)) {
        return code;
    }
    zdm_error_set(err, ZDM_REFUSED, logged ? "binlog_format is STATEMENT" : "sql_log_bin is off for this account");
    return zdm_error_hint(err, logged ? "Set binlog_format=ROW on the server."
                                      : "Let the agent's writes go to the binary log: replicas need them.");
}

/* A proxy in between hands statements of one client to several servers or connections: the number that the server has
 * for this connection is then another one than the greeting said, or another one each time. */
static enum zdm_code same_server(struct mydb_session *s, const struct mydb_rows *rows, size_t column,
                                 struct zdm_error *err)
{
    /* The greeting has room for the lower half alone. */
    if ((uint32_t)mydb_uint(rows, 0, column) == (uint32_t)s->thread) {
        return ZDM_OK;
    }
    zdm_error_set(err, ZDM_REFUSED, "a proxy stands between the agent and the database");
    return zdm_error_hint(err, "Give the agent the address of the server itself.");
}

static enum zdm_code learn_server(struct mydb_session *s, struct zdm_error *err)
{
    /* Early minor versions of MariaDB's branches (10.6: before .19) have no server_uid: there a server is where its
     * data are. */
    static const char mariadb[] =
        "SELECT COALESCE((SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_VARIABLES WHERE VARIABLE_NAME ="
        " 'SERVER_UID'), SHA1(CONCAT_WS(':', @@hostname, @@port, @@datadir))), UNIX_TIMESTAMP() - VARIABLE_VALUE,"
        " @@GLOBAL.read_only, @@GLOBAL.innodb_read_only, DATABASE(), CONNECTION_ID() FROM"
        " information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'UPTIME'";
    static const char mysql[] = "SELECT @@server_uuid, UNIX_TIMESTAMP() - VARIABLE_VALUE, @@GLOBAL.read_only,"
                                " @@GLOBAL.innodb_read_only OR @@GLOBAL.super_read_only, DATABASE(), CONNECTION_ID()"
                                " FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Uptime'";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_run(s, s->mariadb ? mariadb : mysql, &rows, err);
    if (code == ZDM_OK && rows->n != 1) {
        code = zdm_error_set(err, ZDM_DATABASE, "the server does not say since when it runs");
    }
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while asking who the server is");
    }
    const char *database = mydb_text(rows, 0, 4);
    /* Both numbers are of the moment when the statement began: the difference stays the same until a restart. */
    snprintf(s->identity, sizeof s->identity, "%.36s/%.20s", mydb_text(rows, 0, 0), mydb_text(rows, 0, 1));
    const char *read_only = mydb_text(rows, 0, 2);
    s->writable = (strcmp(read_only, "0") == 0 || strcmp(read_only, "OFF") == 0) && !mydb_true(rows, 0, 3);
    zdm_copy_text(s->database, sizeof s->database, database == NULL ? "" : database);
    return same_server(s, rows, 5, err);
}

enum zdm_code mydb_identify(struct mydb_session *s, struct zdm_error *err)
{
    enum zdm_code code = learn_server(s, err);
    if (code == ZDM_OK && s->database[0] == '\0') {
        zdm_error_set(err, ZDM_INVALID, "the connection string names no database");
        return zdm_error_hint(err, "Add database=NAME: the one that the application's tables are in.");
    }
    return code;
}

enum zdm_code mydb_open(struct mydb_session *s, struct zdm_error *err)
{
    enum zdm_code (*const steps[])(struct mydb_session *, struct zdm_error *) = {dial, learn_version, pin_settings,
                                                                                 mydb_identify, refuse_binlog};
    mydb_close(s);
    s->opened++;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        enum zdm_code code = steps[i](s, err);
        if (code != ZDM_OK) {
            mydb_close(s);
            return code;
        }
    }
    return ZDM_OK;
}

/* The role is asked for inside of the transaction: a server that has become a replica since takes no writes, also not
 * from an account that read_only does not stop (database.md 27). */
static enum zdm_code still_primary(struct mydb_session *s, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_run(s, "SELECT @@GLOBAL.read_only, CONNECTION_ID()", &rows, err);
    if (code == ZDM_OK) {
        code = same_server(s, rows, 1, err);
    }
    const char *read_only = code == ZDM_OK ? mydb_text(rows, 0, 0) : "0";
    if (read_only != NULL && strcmp(read_only, "0") != 0 && strcmp(read_only, "OFF") != 0) {
        return zdm_error_set(err, ZDM_UNAVAILABLE, "the node is a replica and takes no writes");
    }
    return code;
}

enum zdm_code mydb_begin(struct mydb_session *s, struct zdm_error *err)
{
    s->in_transaction = true;
    enum zdm_code code = mydb_run(s, "START TRANSACTION", NULL, err);
    if (code == ZDM_OK) {
        code = still_primary(s, err);
    }
    if (code != ZDM_OK) {
        mydb_rollback(s);
    }
    return code;
}

enum zdm_code mydb_begin_reading(struct mydb_session *s, struct zdm_error *err)
{
    s->in_transaction = true;
    return mydb_run(s, "START TRANSACTION READ ONLY", NULL, err);
}

enum zdm_code mydb_commit(struct mydb_session *s, struct zdm_error *err)
{
    enum zdm_code code = mydb_run(s, "COMMIT", NULL, err);
    if (code == ZDM_OK) {
        s->in_transaction = false;
        return ZDM_OK;
    }
    if (s->conn != NULL && (code == ZDM_CONFLICT || code == ZDM_LOCK)) {
        return code; /* certification failed: all of it is rolled back */
    }
    err->code = ZDM_UNKNOWN;
    mydb_close(s);
    return zdm_error_wrap(err, "while the answer to COMMIT was on its way");
}

void mydb_rollback(struct mydb_session *s)
{
    struct zdm_error ignored = ZDM_ERROR_INIT;
    if (s->conn != NULL && s->in_transaction && mydb_run(s, "ROLLBACK", NULL, &ignored) != ZDM_OK) {
        mydb_close(s);
    }
    s->in_transaction = false;
}

struct mydb_session *mydb_beside(struct mydb_session *s, struct zdm_error *err)
{
    if (s->beside == NULL) {
        s->beside = calloc(1, sizeof *s->beside);
    }
    struct mydb_session *b = s->beside;
    if (b == NULL) {
        zdm_error_set(err, ZDM_NOMEM, "out of memory");
        return NULL;
    }
    b->target = s->target;
    b->wake_fd = s->wake_fd;
    b->give_up = s->give_up;
    b->gave_up = b->timed_out = false;
    b->deadline_ms = mydb_now_ms() + MYDB_GRACE_MS;
    if (mydb_is_open(b)) {
        return b;
    }
    if (mydb_open(b, err) != ZDM_OK) {
        return NULL;
    }
    if (strcmp(b->identity, s->identity) != 0) {
        mydb_close(b);
        zdm_error_set(err, ZDM_REFUSED, "two connections to the database came to two servers");
        return NULL;
    }
    return b;
}
