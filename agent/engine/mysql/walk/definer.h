/*
 * definer.h - the account that sync triggers run as (database.md 6): locked, and never the agent's own, so that the
 * application's writes do not end with the agent's account.
 */
#ifndef AGENT_ENGINE_MYSQL_WALK_DEFINER_H
#define AGENT_ENGINE_MYSQL_WALK_DEFINER_H

#include "agent/engine/mysql/session/session.h"

#define MYDB_DEFINER     "zdm_definer@localhost" /* as the catalogue shows it */
#define MYDB_DEFINER_SQL "zdm_definer@localhost"

enum mydb_definer {
    MYDB_DEFINER_UNKNOWN, /* the agent may not read the tables of accounts */
    MYDB_DEFINER_THERE,
    MYDB_DEFINER_MISSING,   /* every write to a table with our triggers fails */
    MYDB_DEFINER_POWERLESS, /* likewise: it may not read and write the application's database, or has no TRIGGER */
};

enum zdm_code mydb_definer_look(struct mydb_session *s, enum mydb_definer *out, struct zdm_error *err) ZDM_CHECKED;
/* Rights on its database that the agent's own account got or lost count from here on: a session goes on with those that
 * it began with. Outside of a transaction. */
enum zdm_code mydb_read_rights(struct mydb_session *s, struct zdm_error *err) ZDM_CHECKED;
/* Refuses to make a trigger that would make every write fail. */
enum zdm_code mydb_definer_check(struct mydb_session *s, struct zdm_error *err) ZDM_CHECKED;
/* Says in the hint what to do where something could not be made for want of a right. */
void mydb_definer_explain(struct zdm_error *err);

#endif
