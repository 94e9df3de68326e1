/*
 * running.h - sessions of an agent that is gone.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_SESSION_RUNNING_H
#define AGENT_ENGINE_POSTGRESQL_SESSION_RUNNING_H

#include "agent/engine/postgresql/session/work.h"

/* A server that does not notice that its client's host is gone goes on with what it runs. Before a statement that no
 * transaction holds together with the journal: ZDM_LOCK, and the blocker's name, as long as another session of the
 * agent's role runs the same one in this database. */
enum zdm_code pgsql_not_running(struct pgsql_work *w, const char *sql, struct zdm_error *err) ZDM_CHECKED;

#endif
