/*
 * perform.h - from an operation to the function that carries it out.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_PERFORM_H
#define AGENT_ENGINE_POSTGRESQL_PERFORM_H

#include "agent/engine/postgresql/session/work.h"

/* Runs the operation on its session; on success result->outcome may say ALREADY. */
enum zdm_code pgsql_perform(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

#endif
