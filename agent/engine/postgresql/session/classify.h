/*
 * classify.h - what an answer of the server means: the only place that knows SQLSTATEs.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_SESSION_CLASSIFY_H
#define AGENT_ENGINE_POSTGRESQL_SESSION_CLASSIFY_H

#include <libpq-fe.h>

#include "agent/engine/engine.h"
#include "common/base/error.h"

/* The code of a SQLSTATE. */
enum zdm_code pgsql_code_of(const char *sqlstate);
/* Fills err from a failed answer: message, detail and hint as the server wrote them, and its SQLSTATE. */
enum zdm_code pgsql_classify(const PGresult *res, struct zdm_error *err);
/* Fills err from a connection that is gone or never came to be. */
enum zdm_code pgsql_classify_connection(const PGconn *conn, struct zdm_error *err);
/* What the core is told for a code. */
enum agent_outcome pgsql_outcome(enum zdm_code code);
/* The same statement would fail again: the database refuses it, or what it names is not there. */
bool pgsql_is_final(enum zdm_code code);

/* Did the statement fail because of existing rows (a violated constraint)? */
bool pgsql_is_violation(const struct zdm_error *err);
/* … because something depends on what it would drop? */
bool pgsql_is_dependency(const struct zdm_error *err);
/* … because the row security of a table would hide rows? */
bool pgsql_is_privilege(const struct zdm_error *err);

#endif
