/*
 * open.h - which engine a connection string names: "mysql:…" is MySQL or MariaDB, everything else PostgreSQL's.
 */
#ifndef AGENT_ENGINE_OPEN_H
#define AGENT_ENGINE_OPEN_H

#include "agent/engine/engine.h"

/* Opens no connection. */
enum zdm_code agent_engine_open(const struct agent_engine_config *config, struct agent_engine *out_engine,
                                struct zdm_error *err) ZDM_CHECKED;
/* Can the connection string be read, and does it keep its secrets elsewhere? Without connecting. */
enum zdm_code agent_engine_check_dsn(const char *dsn, struct zdm_error *err) ZDM_CHECKED;

#endif
