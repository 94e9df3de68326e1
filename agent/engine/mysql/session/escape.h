/*
 * escape.h - texts in SQL as the server reads them. Pure.
 *
 * All SQL inside the agent, and in plans, is written as if nothing but a doubled quote were special in a text. The
 * server could be told to read it so (NO_BACKSLASH_ESCAPES), but must not be: measured on MySQL 9.7, a session with
 * that mode which is the first to open a table reads the table's own expressions (defaults, generated columns, checks)
 * by it, and what is opened is shared: every other session then computes wrong values, or cannot write at all (1064,
 * 1033). So backslashes are doubled on the way out, here alone.
 */
#ifndef AGENT_ENGINE_MYSQL_SESSION_ESCAPE_H
#define AGENT_ENGINE_MYSQL_SESSION_ESCAPE_H

#include "common/base/buffer.h"

/* Appends the statement with every backslash in '…' and "…" doubled; names and comments stay as they are. */
void mydb_put_escaped(struct zdm_buffer *b, const char *sql, size_t n);

#endif
