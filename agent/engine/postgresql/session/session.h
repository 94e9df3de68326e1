/*
 * session.h - one connection to PostgreSQL as the agent uses it: pinned settings, answers that can be waited for with
 * a deadline and given up, transactions whose outcome is always told apart.
 *
 * libpq is driven in non-blocking mode so that every wait also listens to the lane's wake descriptor: a cancelled
 * operation asks the server to stop (pg_cancel_backend from a short connection of its own, since PQcancel of libpq 15
 * speaks in the clear) and takes whatever answer comes. A server that answers nothing within the grace is hung up on.
 *
 * A session belongs to one thread. Results (PGresult) belong to the caller.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_SESSION_SESSION_H
#define AGENT_ENGINE_POSTGRESQL_SESSION_SESSION_H

#include <libpq-fe.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buffer.h"
#include "common/base/error.h"

enum {
    PGSQL_PREPARED_MAX = 16, /* statements kept prepared in one session */
    PGSQL_PARAMS_MAX = 20,   /* parameters of one statement */
    PGSQL_GRACE_MS = 3000,   /* for the answer after a cancellation was asked for */
    PGSQL_VERSION_MIN = 130000
};

/* How to reach the server; shared by all lanes, never changes. */
struct pgsql_target {
    char *dsn;
    char *application_name;
    char *owner; /* the role that owns the application's tables (owner.h); NULL: the catalogue tells */
    uint32_t connect_timeout_ms;
};

struct pgsql_session {
    const struct pgsql_target *target;
    PGconn *conn;         /* NULL while closed */
    int wake_fd;          /* becomes readable when somebody wants the operation to end; borrowed */
    atomic_bool *give_up; /* and then this tells whether it is the running one; borrowed */
    int64_t deadline_ms;  /* of the running operation, by pgsql_now_ms(); INT64_MAX: none */
    bool gave_up;         /* the running operation was cancelled on purpose */
    bool timed_out;       /* … or ran into its deadline */
    bool hangs_up;        /* does not wait until a statement has been stopped: closes the connection at once */
    uint64_t opened;      /* how often: tells one connection from the next, which may have the same address */
    int version_num;
    bool writable; /* when it was opened */
    bool may_set_deadlock_timeout;
    uint32_t deadlock_timeout_ms; /* the server's, for this role */
    char identity[64];            /* system identifier, timeline, start of the postmaster */
    uint64_t timeline;
    char version[32];
    char *prepared[PGSQL_PREPARED_MAX];
    size_t n_prepared;
};

/* Milliseconds of the monotonic clock. */
int64_t pgsql_now_ms(void);

/* Opens the connection, pins the settings and reads them back, learns who the server is. Closes a former one. */
enum zdm_code pgsql_open(struct pgsql_session *s, struct zdm_error *err) ZDM_CHECKED;
void pgsql_close(struct pgsql_session *s);
bool pgsql_is_open(const struct pgsql_session *s);
/* Reads role, identity and timeline again. */
enum zdm_code pgsql_identify(struct pgsql_session *s, struct zdm_error *err) ZDM_CHECKED;

/* Runs one statement with text parameters; out (may be NULL) gets the answer. */
enum zdm_code pgsql_query(struct pgsql_session *s, const char *sql, size_t n, const char *const *params, PGresult **out,
                          struct zdm_error *err) ZDM_CHECKED;
/* The same, kept prepared in the session under its text. */
enum zdm_code pgsql_query_prepared(struct pgsql_session *s, const char *sql, size_t n, const char *const *params,
                                   PGresult **out, struct zdm_error *err) ZDM_CHECKED;
/* Runs one or more statements without parameters; out gets the last answer with rows, or the last one. */
enum zdm_code pgsql_script(struct pgsql_session *s, const char *sql, PGresult **out, struct zdm_error *err) ZDM_CHECKED;

/* BEGIN ISOLATION LEVEL READ COMMITTED, then the settings ("SET LOCAL …;" texts, may be NULL), then asks
 * whether the node is still the primary: ZDM_UNAVAILABLE when it is not. */
enum zdm_code pgsql_begin(struct pgsql_session *s, const char *settings, struct zdm_error *err) ZDM_CHECKED;
/* READ ONLY; allowed on a standby. */
enum zdm_code pgsql_begin_reading(struct pgsql_session *s, struct zdm_error *err) ZDM_CHECKED;
/* ZDM_UNKNOWN when the answer was lost: it may or may not have been committed. */
enum zdm_code pgsql_commit(struct pgsql_session *s, struct zdm_error *err) ZDM_CHECKED;
/* Ends whatever transaction there is; closes the session when that does not work. Keeps no error. */
void pgsql_rollback(struct pgsql_session *s);

/* The field as text, NULL for SQL NULL; as numbers and truth. */
const char *pgsql_text(const PGresult *res, int row, int col);
int64_t pgsql_int(const PGresult *res, int row, int col);
bool pgsql_true(const PGresult *res, int row, int col);
/* Clean-up attribute for results. */
void pgsql_clearp(PGresult **res);

/* Appends "identifier" and 'literal', quoted. */
void pgsql_put_name(struct zdm_buffer *b, const char *name);
void pgsql_put_literal(struct zdm_buffer *b, const char *text);

#endif
