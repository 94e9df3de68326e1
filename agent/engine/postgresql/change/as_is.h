/*
 * as_is.h - AGENT_RUN_LONG_SQL; the short class is a row of actions.c.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_CHANGE_AS_IS_H
#define AGENT_ENGINE_POSTGRESQL_CHANGE_AS_IS_H

#include "agent/engine/postgresql/session/work.h"

enum zdm_code pgsql_run_long_sql(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

#endif
