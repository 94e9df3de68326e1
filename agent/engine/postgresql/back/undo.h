/*
 * undo.h - the way back as the rest of the engine sees it: which part of a step's way back comes next.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_BACK_UNDO_H
#define AGENT_ENGINE_POSTGRESQL_BACK_UNDO_H

#include "agent/engine/postgresql/session/work.h"

/* Fills proof, next_run and remark of the result. FOREIGN fills err without being a failure. */
enum zdm_code pgsql_look_back(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

#endif
