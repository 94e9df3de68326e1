/*
 * dependents.h - what of other databases depends on a table of this one.
 *
 * information_schema tells an account only of databases where it has a right. InnoDB's own tables tell of all foreign
 * keys, and need PROCESS, which deploy/sql/mysql-grants.sql gives. Views of other databases are seen where the account
 * may see them (SHOW VIEW and SELECT there), in the first 64 databases; what it may not see is not looked for.
 */
#ifndef AGENT_ENGINE_MYSQL_CATALOG_DEPENDENTS_H
#define AGENT_ENGINE_MYSQL_CATALOG_DEPENDENTS_H

#include "agent/engine/mysql/session/work.h"

enum { MYDB_DEPENDENT_MAX = 240 };

/* A foreign key of another database that points at the table; at that column of it, where column is not NULL; one whose
 * ON DELETE changes or deletes its rows, where on_delete. "foreign key f of other.child"; "": none. */
enum zdm_code mydb_foreign_child(struct mydb_work *w, const char *table, const char *column, bool on_delete,
                                 char out[MYDB_DEPENDENT_MAX], struct zdm_error *err) ZDM_CHECKED;
/* A view of another database that reads the table; that column of it, where column is not NULL. "view other.v". */
enum zdm_code mydb_foreign_view(struct mydb_work *w, const char *table, const char *column,
                                char out[MYDB_DEPENDENT_MAX], struct zdm_error *err) ZDM_CHECKED;

#endif
