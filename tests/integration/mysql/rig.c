/*
 * rig.c - servers, accounts, databases and connections of the tests (rig.h).
 */
#include "tests/integration/mysql/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/engine/mysql/session/dsn.h"
#include "agent/engine/mysql/session/options.h"
#include "common/base/buffer.h"

#define PASSWORD "zdm-test-s3cret"

enum { SQL_MAX = 16384, PATH_SIZE = 256 };

/* Of one test. */
struct rig_mysql {
    MYSQL *root, *app;
    char folder[PATH_SIZE];
    char file[PATH_SIZE * 2];
    char dsn[1024];
};

/* Of one turn: where the server is, and how to come in as one that may do everything. */
static struct {
    struct test_mysql *own; /* NULL: the server of the environment */
    const char *const *args;
    bool mariadb;
    char host[128], user[64], password[128];
    int port;
} server;
static unsigned n_databases;

bool rig_turn(unsigned turn, const char *const args[])
{
    turn += getenv("ZDM_TEST_MYSQL_ALONE") == NULL ? 0 : 1;
    server.args = args;
    server.mariadb = turn == 0;
    if (turn == 1 && getenv("ZDM_TEST_MYSQL_DSN") == NULL) {
        fputs("[  SKIPPED ] MySQL: ZDM_TEST_MYSQL_DSN names no server\n", stderr);
        return false;
    }
    return turn <= 1;
}

const char *rig_turn_name(void)
{
    return server.mariadb ? "MariaDB" : "MySQL";
}

static void find_server(void)
{
    struct mydb_target target;
    struct mydb_options options;
    struct zdm_error err = ZDM_ERROR_INIT;
    if (mydb_target_read(getenv("ZDM_TEST_MYSQL_DSN"), &target, &err) != ZDM_OK ||
        mydb_options_read(&target, &options, &err) != ZDM_OK) {
        fail_msg("ZDM_TEST_MYSQL_DSN: %s", err.message);
    }
    snprintf(server.host, sizeof server.host, "%s", target.host == NULL ? "127.0.0.1" : target.host);
    snprintf(server.user, sizeof server.user, "%s", target.user == NULL ? options.user : target.user);
    snprintf(server.password, sizeof server.password, "%s", options.password == NULL ? "" : options.password);
    server.port = (int)target.port;
    mydb_options_fini(&options);
    mydb_target_fini(&target);
}

static MYSQL *connect_as(const char *user, const char *password, const char *database)
{
    MYSQL *conn = mysql_init(NULL);
    if (!server.mariadb) { /* caching_sha2_password */
        mysql_options(conn, MYSQL_OPT_SSL_ENFORCE, &(my_bool){1});
    }
    mysql_options(conn, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    const char *socket = server.own != NULL && strcmp(user, "root") == 0 ? test_mysql_socket(server.own) : NULL;
    if (mysql_real_connect(conn, socket == NULL ? server.host : NULL, user, password, database, (unsigned)server.port,
                           socket, CLIENT_MULTI_STATEMENTS) == NULL) {
        fail_msg("cannot connect as %s: %s", user, mysql_error(conn));
    }
    return conn;
}

static MYSQL *connect_root(const char *database)
{
    return server.own != NULL ? connect_as("root", "", database) : connect_as(server.user, server.password, database);
}

MYSQL *rig_connect(struct rig *r, const char *role)
{
    return strcmp(role, "root") == 0 ? connect_root(r->database) : connect_as(role, PASSWORD, r->database);
}

void rig_reconnect(struct rig *r)
{
    mysql_close(r->mysql->root);
    mysql_close(r->mysql->app);
    r->mysql->root = rig_connect(r, "root");
    r->mysql->app = rig_connect(r, "app_user");
}

void rig_exec(MYSQL *conn, const char *sql)
{
    int state = mysql_query(conn, sql);
    while (state == 0) {
        mysql_free_result(mysql_store_result(conn));
        state = mysql_next_result(conn);
    }
    if (state > 0) {
        fail_msg("%s\n%u %s", sql, mysql_errno(conn), mysql_error(conn));
    }
}

int rig_group_setup(void **state)
{
    (void)state;
    if (server.mariadb) {
        server.own = test_mysql_start(server.args);
        server.port = test_mysql_port(server.own);
        snprintf(server.host, sizeof server.host, "127.0.0.1");
    } else {
        server.own = NULL;
        find_server();
    }
    MYSQL *conn = connect_root(NULL);
    rig_exec(conn, "CREATE USER IF NOT EXISTS zdm_agent@'%' IDENTIFIED BY '" PASSWORD "'");
    rig_exec(conn, "CREATE USER IF NOT EXISTS app_user@'%' IDENTIFIED BY '" PASSWORD "'");
    rig_exec(conn, "SET GLOBAL log_bin_trust_function_creators = 1");
    mysql_close(conn);
    return 0;
}

int rig_group_teardown(void **state)
{
    (void)state;
    test_mysql_free(server.own);
    server.own = NULL;
    return 0;
}

/* deploy/sql/mysql-grants.sql with this database instead of `shop`. */
static void grant(MYSQL *conn, const char *database)
{
    char text[SQL_MAX];
    struct zdm_buffer sql = ZDM_BUFFER_INIT;
    FILE *in = fopen(ZDM_SOURCE_DIR "/deploy/sql/mysql-grants.sql", "r");
    assert_non_null(in);
    text[fread(text, 1, sizeof text - 1, in)] = '\0';
    fclose(in);
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, "--", 2) == 0) {
            continue;
        }
        char *shop = strstr(line, "`shop`");
        if (shop == NULL) {
            zdm_buffer_printf(&sql, "%s\n", line);
        } else {
            *shop = '\0';
            zdm_buffer_printf(&sql, "%s`%s`%s\n", line, database, shop + 6);
        }
    }
    save = NULL;
    for (char *one = strtok_r((char *)sql.data, ";", &save); one != NULL; one = strtok_r(NULL, ";", &save)) {
        /* What is the other flavour's alone is an empty statement here. */
        if (strspn(one, " \n") < strlen(one) && mysql_query(conn, one) != 0 && mysql_errno(conn) != 1065) {
            fail_msg("%s\n%s", one, mysql_error(conn));
        }
    }
    zdm_buffer_fini(&sql);
}

int rig_base_setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    struct rig_mysql *m = r->mysql = calloc(1, sizeof *m);
    char sql[256];
    r->schema = "";
    r->quote = '`';
    r->engines = ZDM_ENGINE_MYSQL;
    rig_begin_results(r);
    snprintf(r->database, sizeof r->database, "t%d_%u", (int)getpid(), ++n_databases);
    snprintf(m->folder, sizeof m->folder, "/tmp/zdm-my-XXXXXX");
    assert_non_null(mkdtemp(m->folder));
    MYSQL *conn = connect_root(NULL);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s CHARACTER SET utf8mb4", r->database);
    rig_exec(conn, sql);
    grant(conn, r->database);
    snprintf(sql, sizeof sql, "GRANT SELECT, INSERT, UPDATE, DELETE ON %s.* TO app_user@'%%'", r->database);
    rig_exec(conn, sql);
    mysql_close(conn);
    m->root = rig_connect(r, "root");
    m->app = rig_connect(r, "app_user");
    *state = r;
    return 0;
}

int rig_base_teardown(void **state)
{
    struct rig *r = *state;
    char command[PATH_SIZE + 16];
    if (server.own == NULL) {
        rig_sql(r, "DROP DATABASE %s", r->database);
    }
    mysql_close(r->mysql->root);
    mysql_close(r->mysql->app);
    snprintf(command, sizeof command, "rm -rf '%s'", r->mysql->folder);
    assert_int_equal(system(command), 0);
    rig_end_results(r);
    free(r->mysql);
    free(r);
    return 0;
}

bool rig_is_mariadb(const struct rig *r)
{
    (void)r;
    return server.mariadb;
}

struct test_mysql *rig_server(const struct rig *r)
{
    (void)r;
    return server.own;
}

int rig_port(const struct rig *r)
{
    (void)r;
    return server.port;
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
    char sql[SQL_MAX];
    FORMAT_SQL(sql, fmt);
    rig_exec(r->mysql->root, sql);
}

/* The tables of MySQL have no owner. */
void rig_super(struct rig *r, const char *fmt, ...)
{
    char sql[SQL_MAX];
    FORMAT_SQL(sql, fmt);
    rig_exec(r->mysql->root, sql);
}

void rig_app(struct rig *r, const char *fmt, ...)
{
    char sql[SQL_MAX];
    FORMAT_SQL(sql, fmt);
    rig_exec(r->mysql->app, sql);
}

static const char *value(struct rig *r, const char *sql)
{
    MYSQL *conn = r->mysql->root;
    MYSQL_RES *res = mysql_query(conn, sql) == 0 ? mysql_store_result(conn) : NULL;
    MYSQL_ROW row = res == NULL ? NULL : mysql_fetch_row(res);
    if (row == NULL) {
        fail_msg("%s\n%s", sql, mysql_error(conn));
        return NULL;
    }
    snprintf(r->text, sizeof r->text, "%s", row[0] == NULL ? "NULL" : row[0]);
    mysql_free_result(res);
    return r->text;
}

const char *rig_value(struct rig *r, const char *fmt, ...)
{
    char sql[SQL_MAX];
    FORMAT_SQL(sql, fmt);
    return value(r, sql);
}

long rig_number(struct rig *r, const char *fmt, ...)
{
    char sql[SQL_MAX];
    FORMAT_SQL(sql, fmt);
    return strtol(value(r, sql), NULL, 10);
}

unsigned rig_app_fails(struct rig *r, const char *sql)
{
    MYSQL *conn = r->mysql->app;
    if (mysql_query(conn, sql) != 0) {
        return mysql_errno(conn);
    }
    mysql_free_result(mysql_store_result(conn));
    return 0;
}

/* A column of all rows of an answer, a line each. */
static void put_column(MYSQL *conn, const char *sql, unsigned column, struct zdm_buffer *out)
{
    MYSQL_RES *res = mysql_query(conn, sql) == 0 ? mysql_store_result(conn) : NULL;
    if (res == NULL) {
        fail_msg("%s\n%s", sql, mysql_error(conn));
    }
    for (MYSQL_ROW row; (row = mysql_fetch_row(res)) != NULL;) {
        zdm_buffer_printf(out, "%s\n", row[column]);
    }
    mysql_free_result(res);
}

char *rig_dump(struct rig *r, const char *table)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    char sql[512];
    snprintf(sql, sizeof sql, "SHOW CREATE TABLE `%s`", table);
    put_column(r->mysql->root, sql, 1, &text);
    snprintf(sql, sizeof sql,
             "SELECT CONCAT_WS(' ', TRIGGER_NAME, ACTION_TIMING, EVENT_MANIPULATION, DEFINER, ACTION_STATEMENT) FROM "
             "information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = '%s' AND EVENT_OBJECT_TABLE = '%s' ORDER BY "
             "EVENT_MANIPULATION, ACTION_ORDER",
             r->database, table);
    put_column(r->mysql->root, sql, 0, &text);
    return zdm_buffer_take(&text);
}

const char *rig_file(struct rig *r, const char *name, const char *text, unsigned mode)
{
    struct rig_mysql *m = r->mysql;
    snprintf(m->file, sizeof m->file, "%s/%s", m->folder, name);
    unlink(m->file);
    FILE *out = fopen(m->file, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    assert_int_equal(chmod(m->file, mode), 0);
    return m->file;
}

const char *rig_dsn(struct rig *r, const char *more)
{
    struct rig_mysql *m = r->mysql;
    const char *file = rig_file(r, "agent.cnf", "[client]\npassword=" PASSWORD "\n", 0600);
    snprintf(m->dsn, sizeof m->dsn, "mysql:host=%s port=%d user=zdm_agent database=%s defaults-file=%s %s", server.host,
             server.port, r->database, file, more);
    return m->dsn;
}

struct held {
    struct mydb_session session;
    struct mydb_target target;
    atomic_bool give_up;
};

struct mydb_session *rig_session(struct rig *r, const char *dsn)
{
    (void)r;
    struct held *h = calloc(1, sizeof *h);
    struct zdm_error err = ZDM_ERROR_INIT;
    if (mydb_target_read(dsn, &h->target, &err) != ZDM_OK) {
        fail_msg("%s", err.message);
    }
    h->target.application_name = zdm_strdup("zdm-agent test");
    h->target.connect_timeout_ms = 3000;
    h->session = (struct mydb_session){.target = &h->target,
                                       .wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                                       .give_up = &h->give_up,
                                       .deadline_ms = INT64_MAX};
    return &h->session;
}

void rig_session_free(struct mydb_session *s)
{
    struct held *h = (struct held *)s;
    mydb_close(s);
    close(s->wake_fd);
    mydb_target_fini(&h->target);
    free(h);
}
