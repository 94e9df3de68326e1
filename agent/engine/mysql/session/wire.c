/*
 * wire.c - sending a statement and waiting for its answer, with a deadline and a way to give up (session.h).
 */
#include "agent/engine/mysql/session/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/session/escape.h"

int64_t mydb_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int left_ms(int64_t until_ms)
{
    int64_t left = until_ms == INT64_MAX ? INT64_MAX : until_ms - mydb_now_ms();
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

enum mydb_woken mydb_wait(struct mydb_session *s, int fd, short events, int64_t deadline_ms, int64_t look_ms,
                          bool listen)
{
    for (;;) {
        if (listen && atomic_load(s->give_up)) {
            return MYDB_GIVE_UP;
        }
        struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = listen ? s->wake_fd : -1, .events = POLLIN}};
        int n = poll(fds, 2, left_ms(deadline_ms < look_ms ? deadline_ms : look_ms));
        if ((n > 0 && fds[0].revents != 0) || (n < 0 && errno != EINTR)) {
            return MYDB_READY;
        }
        int64_t now_ms = mydb_now_ms();
        if (deadline_ms != INT64_MAX && now_ms >= deadline_ms) {
            return MYDB_LATE;
        }
        if (look_ms != INT64_MAX && now_ms >= look_ms) {
            return MYDB_LOOK;
        }
    }
}

/* One statement on its way, and what is waited for. */
struct wait {
    struct mydb_session *s;
    struct mydb_watch *watch; /* NULL: none */
    int64_t limit_ms, look_ms;
    bool stopping; /* KILL QUERY was sent: the answer is waited for until limit_ms */
};

/* Asks the server to stop what this session runs, over a connection of its own; its outcome shows in our answer. A
 * server that hangs is waited for no longer than the grace. */
static void ask_to_stop(struct mydb_session *s)
{
    struct zdm_error ignored = ZDM_ERROR_INIT;
    int64_t deadline_ms = mydb_now_ms() + MYDB_GRACE_MS;
    char sql[48];
    MYSQL *conn = mydb_dial(s, deadline_ms, false, &ignored);
    if (conn == NULL) {
        return;
    }
    int failed = 0;
    int n = snprintf(sql, sizeof sql, "KILL QUERY %llu", (unsigned long long)s->thread);
    int status = mysql_real_query_start(&failed, conn, sql, (unsigned long)n);
    while (status != 0) {
        short events = (status & MYSQL_WAIT_WRITE) != 0 ? POLLOUT : POLLIN;
        if (mydb_wait(s, mysql_get_socket(conn), events, deadline_ms, INT64_MAX, false) != MYDB_READY) {
            break;
        }
        status = mysql_real_query_cont(&failed, conn, status & ~MYSQL_WAIT_TIMEOUT);
    }
    mydb_hang_up(conn, status != 0);
}

static bool stop(struct wait *w)
{
    if (w->s->hangs_up) {
        return false;
    }
    w->stopping = true;
    w->limit_ms = mydb_now_ms() + MYDB_GRACE_MS;
    w->look_ms = INT64_MAX;
    ask_to_stop(w->s);
    return true;
}

static bool look(struct wait *w)
{
    if (w->watch->look(w->watch->ctx)) {
        w->watch->stopped = true;
        return stop(w);
    }
    w->look_ms = mydb_now_ms() + w->watch->every_ms;
    return true;
}

/* Waits until the library can go on; asks the server to stop when the operation is to end. Gives the library's word for
 * what has happened, 0: hang up. */
static int wait_for_server(struct wait *w, int status)
{
    struct mydb_session *s = w->s;
    short events =
        (short)(((status & MYSQL_WAIT_READ) != 0 ? POLLIN : 0) | ((status & MYSQL_WAIT_WRITE) != 0 ? POLLOUT : 0));
    for (;;) {
        bool goes_on = true;
        switch (mydb_wait(s, mysql_get_socket(s->conn), events, w->limit_ms, w->look_ms, !w->stopping)) {
        case MYDB_READY:
            return status & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE);
        case MYDB_GIVE_UP:
            s->gave_up = true;
            goes_on = stop(w);
            break;
        case MYDB_LATE:
            s->timed_out = s->timed_out || !w->stopping;
            goes_on = !w->stopping && stop(w);
            break;
        case MYDB_LOOK:
            goes_on = look(w);
            break;
        }
        if (!goes_on) {
            return 0;
        }
    }
}

/* The session is of no use any more: nobody knows what is still on its way. */
static enum zdm_code hang_up(struct mydb_session *s, struct zdm_error *err)
{
    mydb_hang_up(s->conn, true);
    s->conn = NULL;
    s->in_transaction = false;
    if (s->gave_up) {
        return zdm_error_set(err, ZDM_CANCELLED, "cancelled; the database gave no answer");
    }
    if (s->timed_out) {
        return zdm_error_set(err, ZDM_CLOSED, "the database gave no answer in time");
    }
    return zdm_error_set(err, ZDM_CLOSED, "the connection to the database was lost");
}

static enum zdm_code judge(struct wait *w, struct zdm_error *err)
{
    struct mydb_session *s = w->s;
    enum zdm_code code = mydb_classify(s->conn, err);
    if (code == ZDM_CLOSED) {
        char why[128];
        zdm_copy_text(why, sizeof why, mysql_error(s->conn));
        code = hang_up(s, err);
        if (!s->gave_up && !s->timed_out && why[0] != '\0') {
            zdm_error_detail(err, "%s.", why);
        }
        return code;
    }
    if (code != ZDM_CANCELLED && code != ZDM_TIMEOUT) {
        return code;
    }
    if (w->watch != NULL && w->watch->stopped) {
        return zdm_error_set(err, ZDM_LOCK, "the statement was stopped: it waited too long for a lock");
    }
    if (s->gave_up) {
        return zdm_error_set(err, ZDM_CANCELLED, "cancelled");
    }
    return zdm_error_set(err, ZDM_TIMEOUT,
                         s->timed_out ? "the statement did not end in time"
                                      : "the statement was stopped by somebody else's KILL");
}

/* Sends it and waits until the first answer begins. -1: hang up. */
static int send_it(struct wait *w, const char *sql, size_t n)
{
    int failed = 0;
    int status = mysql_real_query_start(&failed, w->s->conn, sql, (unsigned long)n);
    while (status != 0) {
        status = wait_for_server(w, status);
        if (status == 0) {
            return -1;
        }
        status = mysql_real_query_cont(&failed, w->s->conn, status);
    }
    return failed == 0 ? 0 : 1;
}

static int take_rows(struct wait *w, MYSQL_RES **out)
{
    int status = mysql_store_result_start(out, w->s->conn);
    while (status != 0) {
        status = wait_for_server(w, status);
        if (status == 0) {
            return -1;
        }
        status = mysql_store_result_cont(out, w->s->conn, status);
    }
    return *out == NULL && mysql_field_count(w->s->conn) != 0 ? 1 : 0;
}

/* 0: there is one more answer; -2: there is none. */
static int next_answer(struct wait *w)
{
    int more = 0;
    int status = mysql_next_result_start(&more, w->s->conn);
    while (status != 0) {
        status = wait_for_server(w, status);
        if (status == 0) {
            return -1;
        }
        status = mysql_next_result_cont(&more, w->s->conn, status);
    }
    return more == 0 ? 0 : more < 0 ? -2 : 1;
}

/* All answers of the statement; a procedure gives several. The first rows count. */
static int take_all(struct wait *w, MYSQL_RES **kept)
{
    struct mydb_session *s = w->s;
    int state = 0;
    while (state == 0) {
        MYSQL_RES *res = NULL;
        state = take_rows(w, &res);
        if (state == 0 && res == NULL) {
            s->changed = mysql_affected_rows(s->conn);
        }
        if (*kept == NULL) {
            *kept = res;
        } else {
            mysql_free_result(res);
        }
        state = state == 0 ? next_answer(w) : state;
    }
    return state == -2 ? 0 : state;
}

static enum zdm_code hand_over(struct mydb_session *s, MYSQL_RES *res, struct mydb_rows **out, struct zdm_error *err)
{
    struct mydb_rows *rows = out == NULL ? NULL : mydb_rows_from(res);
    mysql_free_result(res);
    if (out == NULL) {
        return ZDM_OK;
    }
    if (rows == NULL) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    rows->changed = s->changed;
    *out = rows;
    return ZDM_OK;
}

/* What is stopped may have been quicker, and some statements take KILL QUERY for an answer (MySQL: SELECT SLEEP(30) is
 * 1). Nothing comes after that but the end of the transaction. */
static bool is_over(const struct mydb_session *s, const char *sql)
{
    return (s->gave_up || s->timed_out) && strcmp(sql, "COMMIT") != 0 && strcmp(sql, "ROLLBACK") != 0;
}

enum zdm_code mydb_ask(struct mydb_session *s, const char *sql, size_t n, struct mydb_watch *watch,
                       struct mydb_rows **out, struct zdm_error *err)
{
    if (is_over(s, sql)) {
        return s->gave_up ? zdm_error_set(err, ZDM_CANCELLED, "cancelled")
                          : zdm_error_set(err, ZDM_TIMEOUT, "the operation did not end in time");
    }
    if (s->conn == NULL) {
        return zdm_error_set(err, ZDM_CLOSED, "the connection to the database was lost");
    }
    bool stopping = s->gave_up || s->timed_out;
    struct wait w = {.s = s,
                     .watch = watch,
                     .limit_ms = stopping ? mydb_now_ms() + MYDB_GRACE_MS : s->deadline_ms,
                     .look_ms = watch == NULL || stopping ? INT64_MAX : mydb_now_ms() + watch->every_ms,
                     .stopping = stopping};
    MYSQL_RES *res = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sent = ZDM_BUFFER_INIT;
    mydb_put_escaped(&sent, sql, n);
    if (sent.failed) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    s->changed = 0;
    int state = send_it(&w, zdm_buffer_text(&sent), sent.len);
    if (state == 0) {
        state = take_all(&w, &res);
    }
    if (state == 0) {
        return hand_over(s, res, out, err);
    }
    mysql_free_result(res);
    return state < 0 ? hang_up(s, err) : judge(&w, err);
}
