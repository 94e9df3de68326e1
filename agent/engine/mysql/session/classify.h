/*
 * classify.h - what an answer of the server means: the only place that knows error numbers.
 */
#ifndef AGENT_ENGINE_MYSQL_SESSION_CLASSIFY_H
#define AGENT_ENGINE_MYSQL_SESSION_CLASSIFY_H

#include <mysql.h>

#include "agent/engine/engine.h"
#include "common/base/error.h"

/* The code of an error number: 1205, 1213, 3572 and 1317 are told apart (lock, retry, lock, cancelled), as are those
 * of a connection that is lost. */
enum zdm_code mydb_code_of(unsigned number);
/* Fills err from the connection's last error: the server's message, its number and SQLSTATE as detail. */
enum zdm_code mydb_classify(MYSQL *conn, struct zdm_error *err);
/* What the core is told for a code. */
enum agent_outcome mydb_outcome(enum zdm_code code);
/* The same statement would fail again: the database refuses it, or what it names is not there. */
bool mydb_is_final(enum zdm_code code);

/* Did the statement fail because of existing rows (1062, 1452, 3819, 4025, 1048, 1265, 1406 …)? */
bool mydb_is_violation(const struct zdm_error *err);
/* … because of those or of those that it was to write: a trigger's SIGNAL and a partition that is gone, too? */
bool mydb_is_of_rows(const struct zdm_error *err);
/* … because a value is taken, or what a foreign key points at is not there (1062, 1452 …)? */
bool mydb_is_of_others(const struct zdm_error *err);
/* … because the algorithm or lock that was asked for is not possible for it (1845, 1846)? */
bool mydb_is_not_online(const struct zdm_error *err);
/* … because an index cannot be INVISIBLE or IGNORED (3522, 4174)? */
bool mydb_is_not_hidden(const struct zdm_error *err);
/* … because the server could not print a text in the character set of its own table (3854)? */
bool mydb_is_garbled(const struct zdm_error *err);
/* … because a right is missing? */
bool mydb_is_privilege(const struct zdm_error *err);

#endif
