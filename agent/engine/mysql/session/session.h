/*
 * session.h - one connection to MySQL or MariaDB as the agent uses it: pinned settings, answers that can be waited for
 * with a deadline and given up, transactions whose outcome is always told apart.
 *
 * libmariadb is driven through its non-blocking functions, so that every wait also listens to the lane's wake
 * descriptor. A statement that is given up, or that runs into its deadline, is stopped by KILL QUERY from a short
 * connection of its own, and whatever answer comes is taken. A server that answers nothing within the grace is hung up
 * on.
 *
 * Any error inside a transaction rolls all of it back: the server itself rolls back the statement alone after 1205
 * (reliability.md C6). Whoever gets an error calls nothing more in that transaction; the lane rolls back.
 *
 * A session belongs to one thread.
 */
#ifndef AGENT_ENGINE_MYSQL_SESSION_SESSION_H
#define AGENT_ENGINE_MYSQL_SESSION_SESSION_H

#include <mysql.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buffer.h"
#include "common/base/error.h"
#include "common/base/limits.h"

enum {
    MYDB_PARAMS_MAX = 24, /* parameters of one statement */
    MYDB_GRACE_MS = 3000, /* for the answer after KILL QUERY was asked for */
    MYDB_MARIADB_MIN = 100600,
    MYDB_MYSQL_MIN = 80023
};

/* How to reach the server, made by mydb_target_read (dsn.h); shared by all lanes, never changes. */
struct mydb_target {
    char *host, *user, *database, *socket; /* NULL: as the option file or the library says */
    unsigned port;                         /* 0: likewise */
    char *defaults_file, *group;
    enum mydb_tls { MYDB_TLS_UNSET = 0, MYDB_TLS_OFF, MYDB_TLS_REQUIRED, MYDB_TLS_VERIFY } tls;
    char *ssl_ca, *ssl_cert, *ssl_key;
    char *application_name;
    uint32_t connect_timeout_ms;
};

struct mydb_session {
    const struct mydb_target *target;
    MYSQL *conn;          /* NULL while closed */
    int wake_fd;          /* becomes readable when somebody wants the operation to end; borrowed */
    atomic_bool *give_up; /* and then this tells whether it is the running one; borrowed */
    int64_t deadline_ms;  /* of the running operation, by mydb_now_ms(); INT64_MAX: none */
    bool gave_up;         /* the running operation was cancelled on purpose */
    bool timed_out;       /* … or ran into its deadline */
    bool in_transaction;
    bool hangs_up;               /* does not wait until a statement has been stopped: closes the connection at once */
    uint64_t changed;            /* rows that the last statement found which returned none */
    struct mydb_session *beside; /* mydb_beside; NULL: never asked for */
    uint64_t opened;             /* how often: tells one connection from the next */
    uint64_t thread;             /* the server's id of this connection */
    bool mariadb;
    bool galera;          /* galera.c: known to be on a node of a Galera cluster */
    unsigned version_num; /* 101119 for 10.11.19, 80407 for 8.4.7 */
    char version[64];     /* "10.11.19-MariaDB", "8.4.7": common/plan/engines.h tells people which it is */
    bool writable;        /* when it was opened: neither read_only nor super_read_only */
    char identity[64];    /* server_uuid or server_uid, and the time the server started */
    char database[ZDM_IDENTIFIER_MAX + 2]; /* of the application: what the plan's tables are in */
};

/* Milliseconds of the monotonic clock. */
int64_t mydb_now_ms(void);

/* Opens the connection, pins the settings and reads them back, learns who the server is. Closes a former one. */
enum zdm_code mydb_open(struct mydb_session *s, struct zdm_error *err) ZDM_CHECKED;
void mydb_close(struct mydb_session *s);
bool mydb_is_open(const struct mydb_session *s);
/* Reads role and identity again. */
enum zdm_code mydb_identify(struct mydb_session *s, struct zdm_error *err) ZDM_CHECKED;

/* The rows of an answer, all in memory. */
struct mydb_rows {
    size_t n, columns;
    char ***row;      /* [n][columns]; NULL for SQL NULL, else with a NUL behind */
    size_t **len;     /* their bytes */
    char **name;      /* [columns], as the server calls them */
    uint64_t changed; /* rows that the statement found (CLIENT_FOUND_ROWS), where it returns none */
};
void mydb_rows_free(struct mydb_rows *rows);
/* Clean-up attribute. */
void mydb_rows_freep(struct mydb_rows **rows);
/* The column of that name, for answers to SHOW; one that is none (and NULL from mydb_text) when there is no such. */
size_t mydb_column_named(const struct mydb_rows *rows, const char *name);
const char *mydb_text(const struct mydb_rows *rows, size_t row, size_t column);
int64_t mydb_int(const struct mydb_rows *rows, size_t row, size_t column);
uint64_t mydb_uint(const struct mydb_rows *rows, size_t row, size_t column);
bool mydb_true(const struct mydb_rows *rows, size_t row, size_t column);

/* Runs one statement. $1 … $n outside of quotes and comments become literals: 'text' (NULL for SQL NULL). In all SQL
 * a doubled quote alone is special within a text, no backslash (escape.h). Bytes that are no text go in with
 * mydb_put_bytes. out may be NULL; a caller that gets rows frees them. */
enum zdm_code mydb_query(struct mydb_session *s, const char *sql, size_t n, const char *const *params,
                         struct mydb_rows **out, struct zdm_error *err) ZDM_CHECKED;
/* Runs one statement as it is: nothing in it is replaced. For statements of a plan. */
enum zdm_code mydb_run(struct mydb_session *s, const char *sql, struct mydb_rows **out,
                       struct zdm_error *err) ZDM_CHECKED;
/* The same, and calls `look` every `every_ms` while the server works on it; true from it stops the statement by KILL
 * QUERY, and the code is then ZDM_LOCK. */
typedef bool mydb_watch_fn(void *ctx);
enum zdm_code mydb_run_watched(struct mydb_session *s, const char *sql, uint32_t every_ms, mydb_watch_fn *look,
                               void *ctx, struct zdm_error *err) ZDM_CHECKED;
/* Rows found by the last statement that returned none. */
uint64_t mydb_changed(const struct mydb_session *s);

/* START TRANSACTION (READ COMMITTED is pinned), and asks whether the node is still the primary: ZDM_UNAVAILABLE when
 * it is not. */
enum zdm_code mydb_begin(struct mydb_session *s, struct zdm_error *err) ZDM_CHECKED;
/* READ ONLY; allowed on a replica. */
enum zdm_code mydb_begin_reading(struct mydb_session *s, struct zdm_error *err) ZDM_CHECKED;
/* ZDM_UNKNOWN when the answer was lost: it may or may not have been committed. */
enum zdm_code mydb_commit(struct mydb_session *s, struct zdm_error *err) ZDM_CHECKED;
/* Ends whatever transaction there is; closes the session when that does not work. Keeps no error. */
void mydb_rollback(struct mydb_session *s);

/* A second connection to the same server beside the session, for looks at it while it is busy (locks, KILL QUERY):
 * opened when first asked for, closed with the session. Borrowed; NULL with an error when it cannot be had. */
struct mydb_session *mydb_beside(struct mydb_session *s, struct zdm_error *err);

/* Appends `identifier`, 'literal' (NULL: NULL) and X'bytes', quoted. */
void mydb_put_name(struct zdm_buffer *b, const char *name);
void mydb_put_literal(struct zdm_buffer *b, const char *text);
void mydb_put_bytes(struct zdm_buffer *b, const void *bytes, size_t n);

#endif
