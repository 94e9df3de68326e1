/*
 * wire.h - between session.c and wire.c: waiting on a socket, dialling, collecting an answer.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_SESSION_WIRE_H
#define AGENT_ENGINE_POSTGRESQL_SESSION_WIRE_H

#include "agent/engine/postgresql/session/session.h"

enum pgsql_woken { PGSQL_READY, PGSQL_GIVE_UP, PGSQL_LATE };

/* Waits for the descriptor, the deadline or (when listening) the lane's wish to give up. */
enum pgsql_woken pgsql_wait(struct pgsql_session *s, int fd, short events, int64_t deadline_ms, bool listen);

/* A connection, possibly a failed one (PQstatus tells); NULL without memory, when late or given up. */
PGconn *pgsql_dial(struct pgsql_session *s, int64_t deadline_ms, bool listen);

/* Forgets which statements are prepared. */
void pgsql_forget_prepared(struct pgsql_session *s);

/* The answer to what was sent. */
enum zdm_code pgsql_await(struct pgsql_session *s, PGresult **out, struct zdm_error *err) ZDM_CHECKED;

#endif
