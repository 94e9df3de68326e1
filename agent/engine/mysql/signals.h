/*
 * signals.h - between signals.c and replica.c: what the pacing listens to.
 */
#ifndef AGENT_ENGINE_MYSQL_SIGNALS_H
#define AGENT_ENGINE_MYSQL_SIGNALS_H

#include "agent/engine/mysql/session/replica.h"

/* limit 0: not judged. NULL when there is no room for another one. */
struct zdm_signal *mydb_add_signal(struct agent_result *r, const char *name, int64_t value, int64_t limit);

/* replica.c, for guard.c: asks again whether it follows this node, and how far it is; fails it when it does not. */
enum zdm_code mydb_replica_look(struct mydb_work *w, struct mydb_replica *replica, struct zdm_error *err) ZDM_CHECKED;
/* Notes an error of a replica's session and closes it; it is tried again after a pause. */
void mydb_replica_failed(struct mydb_replica *replica, const struct zdm_error *err);

#endif
