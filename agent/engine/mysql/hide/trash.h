/*
 * trash.h - tables out of sight: under another name in the same database, where triggers stay with their table
 * (database.md 23; a move to another database fails as long as there are any: 1435).
 *
 * One ALTER TABLE drops the foreign keys that point from it at other tables, which would go on binding those, and
 * renames: INSTANT without foreign keys, INPLACE with them, on both servers, and all or nothing. Those that point at it
 * would follow the name: they are an error.
 */
#ifndef AGENT_ENGINE_MYSQL_HIDE_TRASH_H
#define AGENT_ENGINE_MYSQL_HIDE_TRASH_H

#include "agent/engine/mysql/change/ddl.h"

/* The foreign keys of a table, each a malloc'd name; freed with mydb_names_free. */
struct mydb_names {
    char **name;
    size_t n;
};
void mydb_names_free(struct mydb_names *names);
enum zdm_code mydb_foreign_keys(struct mydb_work *w, const char *table, struct mydb_names *out,
                                struct zdm_error *err) ZDM_CHECKED;
/* body.c: does the body of a trigger use the table of that database? Pure. */
bool mydb_body_uses(const char *body, const char *database, const char *table);
/* ZDM_REFUSED names the foreign key of another table, the view, its trigger or the sync that is in the way. */
enum zdm_code mydb_trash_refuse(struct mydb_work *w, const char *table, struct zdm_error *err) ZDM_CHECKED;
/* The statement itself, under the lock rules of DDL. */
enum zdm_code mydb_trash_rename(struct mydb_work *w, const char *from, const char *to,
                                struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_trash_exists(struct mydb_work *w, const char *table, bool *out, struct zdm_error *err) ZDM_CHECKED;
/* DROP TABLE, where it is there. */
enum zdm_code mydb_trash_drop(struct mydb_work *w, const char *table, struct zdm_error *err) ZDM_CHECKED;

#endif
