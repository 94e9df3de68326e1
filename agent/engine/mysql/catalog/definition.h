/*
 * definition.h - what SHOW CREATE TABLE says of one column, taken apart. Pure.
 *
 * The server prints texts with backslashes, whatever the session's sql_mode is; here they are written again as all SQL
 * of the agent is: a backslash is an ordinary character, and a quote is doubled.
 * A text with a NUL in it is written by its bytes, X'…'.
 */
#ifndef AGENT_ENGINE_MYSQL_CATALOG_DEFINITION_H
#define AGENT_ENGINE_MYSQL_CATALOG_DEFINITION_H

#include <stdbool.h>

#include "common/base/error.h"

/* All that stands behind the column's name, without INVISIBLE; malloc'd. NULL: no such column, or no
 * memory. *out_default: what stands behind DEFAULT, malloc'd, NULL where there is none or it is NULL; of
 * MySQL, where it is one word, while MariaDB says it in information_schema. */
char *mydb_definition_of(const char *create_table, const char *column, char **out_default);
/* SQL that the server printed, with its strings written without backslashes; malloc'd, NULL without memory. */
char *mydb_plain_strings(const char *sql);

#endif
