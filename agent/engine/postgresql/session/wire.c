/*
 * wire.c - sending a statement and waiting for its answer, with a deadline and a way to give up (session.h).
 */
#include "agent/engine/postgresql/session/session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/session/wire.h"

int64_t pgsql_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int left_ms(int64_t deadline_ms)
{
    if (deadline_ms == INT64_MAX) {
        return -1;
    }
    int64_t left = deadline_ms - pgsql_now_ms();
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

enum pgsql_woken pgsql_wait(struct pgsql_session *s, int fd, short events, int64_t deadline_ms, bool listen)
{
    for (;;) {
        if (listen && atomic_load(s->give_up)) {
            return PGSQL_GIVE_UP;
        }
        struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = listen ? s->wake_fd : -1, .events = POLLIN}};
        int n = poll(fds, 2, left_ms(deadline_ms));
        if (n > 0 && fds[0].revents != 0) {
            return PGSQL_READY;
        }
        if (n < 0 && errno != EINTR) {
            return PGSQL_READY;
        }
        if (deadline_ms != INT64_MAX && pgsql_now_ms() >= deadline_ms) {
            return PGSQL_LATE;
        }
    }
}

/* Asks the server to stop what this session runs, over a connection of its own; its outcome shows in our answer. A
 * server that hangs is waited for no longer than the grace. */
static void ask_to_stop(struct pgsql_session *s)
{
    int64_t deadline_ms = pgsql_now_ms() + PGSQL_GRACE_MS;
    char pid[16];
    snprintf(pid, sizeof pid, "%d", PQbackendPID(s->conn));
    const char *params[] = {pid};
    PGconn *conn = pgsql_dial(s, deadline_ms, false);
    if (conn == NULL) {
        return;
    }
    bool sent =
        PQstatus(conn) == CONNECTION_OK &&
        PQsendQueryParams(conn, "SELECT pg_catalog.pg_cancel_backend($1::int4)", 1, NULL, params, NULL, NULL, 0) == 1;
    while (sent && PQisBusy(conn) && pgsql_wait(s, PQsocket(conn), POLLIN, deadline_ms, false) == PGSQL_READY) {
        sent = PQconsumeInput(conn) == 1;
    }
    PQfinish(conn);
}

/* The session is of no use any more: nobody knows what is still on its way. */
static enum zdm_code hang_up(struct pgsql_session *s, struct zdm_error *err)
{
    bool gave_up = s->gave_up;
    bool timed_out = s->timed_out;
    pgsql_close(s);
    if (gave_up) {
        return zdm_error_set(err, ZDM_CANCELLED, "cancelled; the database gave no answer");
    }
    if (timed_out) {
        return zdm_error_set(err, ZDM_CLOSED, "the database gave no answer in time");
    }
    return zdm_error_set(err, ZDM_CLOSED, "the connection to the database was lost");
}

/* Waits until libpq can go on; asks the server to stop when the operation is to end. False: hang up. */
static bool wait_for_server(struct pgsql_session *s, short events, int64_t *limit_ms)
{
    bool stopping = s->gave_up || s->timed_out;
    switch (pgsql_wait(s, PQsocket(s->conn), events, *limit_ms, !stopping)) {
    case PGSQL_READY:
        return true;
    case PGSQL_GIVE_UP:
        s->gave_up = true;
        break;
    case PGSQL_LATE:
        if (stopping) {
            return false;
        }
        s->timed_out = true;
        break;
    }
    if (s->hangs_up) {
        return false;
    }
    *limit_ms = pgsql_now_ms() + PGSQL_GRACE_MS;
    ask_to_stop(s);
    return true;
}

static bool flush_out(struct pgsql_session *s, int64_t *limit_ms)
{
    for (;;) {
        int left = PQflush(s->conn);
        if (left <= 0) {
            return left == 0;
        }
        if (!wait_for_server(s, POLLIN | POLLOUT, limit_ms)) {
            return false;
        }
        if (PQconsumeInput(s->conn) == 0) {
            return false;
        }
    }
}

/* Keeps the first error, else the last answer with rows, else the last one. */
static PGresult *better(PGresult *kept, PGresult *next)
{
    if (kept == NULL) {
        return next;
    }
    ExecStatusType a = PQresultStatus(kept);
    ExecStatusType b = PQresultStatus(next);
    bool keep = a == PGRES_FATAL_ERROR || (a == PGRES_TUPLES_OK && b == PGRES_COMMAND_OK);
    PQclear(keep ? next : kept);
    return keep ? kept : next;
}

static enum zdm_code judge(struct pgsql_session *s, PGresult *res, PGresult **out, struct zdm_error *err)
{
    ExecStatusType status = res == NULL ? PGRES_FATAL_ERROR : PQresultStatus(res);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        if (out == NULL) {
            PQclear(res);
        } else {
            *out = res;
        }
        return ZDM_OK;
    }
    if (PQstatus(s->conn) == CONNECTION_BAD) {
        /* The server may have said why before it hung up (57P01); that text is worth more than ours. */
        bool told = res != NULL && PQresultErrorField(res, PG_DIAG_SQLSTATE) != NULL;
        enum zdm_code code = told ? pgsql_classify(res, err) : hang_up(s, err);
        PQclear(res);
        pgsql_close(s);
        return code;
    }
    enum zdm_code code =
        res == NULL ? zdm_error_set(err, ZDM_BUG, "the database gave no result") : pgsql_classify(res, err);
    PQclear(res);
    if (code == ZDM_TIMEOUT && s->gave_up) {
        return zdm_error_set(err, ZDM_CANCELLED, "cancelled");
    }
    return code;
}

enum zdm_code pgsql_await(struct pgsql_session *s, PGresult **out, struct zdm_error *err)
{
    int64_t limit_ms = s->gave_up || s->timed_out ? pgsql_now_ms() + PGSQL_GRACE_MS : s->deadline_ms;
    PGresult *kept = NULL;
    if (!flush_out(s, &limit_ms)) {
        return hang_up(s, err);
    }
    for (;;) {
        while (PQisBusy(s->conn)) {
            if (!wait_for_server(s, POLLIN, &limit_ms)) {
                PQclear(kept);
                return hang_up(s, err);
            }
            if (PQconsumeInput(s->conn) == 0) {
                break; /* PQgetResult tells */
            }
        }
        PGresult *next = PQgetResult(s->conn);
        if (next == NULL) {
            return judge(s, kept, out, err);
        }
        kept = better(kept, next);
    }
}

static bool usable(struct pgsql_session *s, struct zdm_error *err)
{
    if (!pgsql_is_open(s)) {
        zdm_error_set(err, ZDM_CLOSED, "the connection to the database was lost");
        return false;
    }
    return true;
}

static enum zdm_code not_sent(struct pgsql_session *s, struct zdm_error *err)
{
    if (PQstatus(s->conn) == CONNECTION_BAD) {
        return hang_up(s, err);
    }
    return zdm_error_set(err, ZDM_BUG, "could not send a statement: %.200s", PQerrorMessage(s->conn));
}

enum zdm_code pgsql_query(struct pgsql_session *s, const char *sql, size_t n, const char *const *params, PGresult **out,
                          struct zdm_error *err)
{
    if (!usable(s, err)) {
        return err->code;
    }
    if (PQsendQueryParams(s->conn, sql, (int)n, NULL, params, NULL, NULL, 0) == 0) {
        return not_sent(s, err);
    }
    return pgsql_await(s, out, err);
}

enum zdm_code pgsql_script(struct pgsql_session *s, const char *sql, PGresult **out, struct zdm_error *err)
{
    if (!usable(s, err)) {
        return err->code;
    }
    if (PQsendQuery(s->conn, sql) == 0) {
        return not_sent(s, err);
    }
    return pgsql_await(s, out, err);
}

/* The name under which a statement is prepared, preparing it when it is new. */
static enum zdm_code prepare(struct pgsql_session *s, const char *sql, char name[16], struct zdm_error *err)
{
    size_t i = 0;
    while (i < s->n_prepared && strcmp(s->prepared[i], sql) != 0) {
        i++;
    }
    if (i == PGSQL_PREPARED_MAX) {
        enum zdm_code code = pgsql_script(s, "DEALLOCATE ALL", NULL, err);
        if (code != ZDM_OK) {
            return code;
        }
        pgsql_forget_prepared(s);
        i = 0;
    }
    snprintf(name, 16, "zdm%zu", i);
    if (i < s->n_prepared) {
        return ZDM_OK;
    }
    char *copy = zdm_strdup(sql);
    if (copy == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    enum zdm_code code = PQsendPrepare(s->conn, name, sql, 0, NULL) == 0 ? not_sent(s, err) : pgsql_await(s, NULL, err);
    if (code != ZDM_OK) {
        free(copy);
        return code;
    }
    s->prepared[s->n_prepared++] = copy;
    return ZDM_OK;
}

enum zdm_code pgsql_query_prepared(struct pgsql_session *s, const char *sql, size_t n, const char *const *params,
                                   PGresult **out, struct zdm_error *err)
{
    char name[16];
    if (!usable(s, err)) {
        return err->code;
    }
    enum zdm_code code = prepare(s, sql, name, err);
    if (code != ZDM_OK) {
        return code;
    }
    if (PQsendQueryPrepared(s->conn, name, (int)n, params, NULL, NULL, 0) == 0) {
        return not_sent(s, err);
    }
    return pgsql_await(s, out, err);
}
