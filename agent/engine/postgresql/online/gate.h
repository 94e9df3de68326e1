/*
 * gate.h - AGENT_RUN_WAIT: one look at a wait (GATE_WAIT).
 */
#ifndef AGENT_ENGINE_POSTGRESQL_ONLINE_GATE_H
#define AGENT_ENGINE_POSTGRESQL_ONLINE_GATE_H

#include "agent/engine/postgresql/session/work.h"

/* Over: the journal goes on. Else AGENT_EARLY, with wait_ms until the next look and what is waited for in blocker. */
enum zdm_code pgsql_run_wait(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

#endif
