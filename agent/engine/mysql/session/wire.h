/*
 * wire.h - between session.c and wire.c: waiting on a socket, dialling, collecting an answer.
 */
#ifndef AGENT_ENGINE_MYSQL_SESSION_WIRE_H
#define AGENT_ENGINE_MYSQL_SESSION_WIRE_H

#include "agent/engine/mysql/session/session.h"

enum mydb_woken { MYDB_READY, MYDB_GIVE_UP, MYDB_LATE, MYDB_LOOK };

/* Waits for the descriptor, the deadline, the time of a look (INT64_MAX: none) or (when listening) the lane's wish to
 * give up. */
enum mydb_woken mydb_wait(struct mydb_session *s, int fd, short events, int64_t deadline_ms, int64_t look_ms,
                          bool listen);

/* A connection that is logged in; NULL with an error. */
MYSQL *mydb_dial(struct mydb_session *s, int64_t deadline_ms, bool listen, struct zdm_error *err);
/* Closes without a word to the server when `abruptly`: somebody may be in the middle of a packet. */
void mydb_hang_up(MYSQL *conn, bool abruptly);

/* What is looked at while a statement runs (mydb_run_watched). */
struct mydb_watch {
    uint32_t every_ms;
    mydb_watch_fn *look;
    void *ctx;
    bool stopped;
};

/* Sends the statement and takes all of its answer; watch and out may be NULL. */
enum zdm_code mydb_ask(struct mydb_session *s, const char *sql, size_t n, struct mydb_watch *watch,
                       struct mydb_rows **out, struct zdm_error *err) ZDM_CHECKED;
/* The rows of a stored answer, in memory of our own; NULL without memory. */
struct mydb_rows *mydb_rows_from(MYSQL_RES *res);

#endif
