/*
 * check.h - running a part of a check on a replica (database.md 24): one that has replayed what the primary had written
 * when it was asked for, so that it certifies nothing old. What is found there is looked up again on the primary.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_WALK_CHECK_H
#define AGENT_ENGINE_POSTGRESQL_WALK_CHECK_H

#include "agent/engine/postgresql/session/work.h"

/* Looks, in the reading transaction that it is called in; `at` is the work with the session of the replica. */
typedef enum zdm_code pgsql_check_fn(struct pgsql_work *at, void *ctx, struct zdm_error *err);

/* Calls `look` on the first replica that is fit, in a transaction with these settings ("SET LOCAL …"), within the
 * limit. *ran says whether one answered: none is configured, reachable, near enough or undisturbed, and the primary has
 * to do it. ZDM_CONFLICT: replay cancelled it, a smaller chunk may go through; after the second time that replica
 * rests. The session of the primary must be outside of a transaction: nothing there is held while a replica is waited
 * for. */
enum zdm_code pgsql_check_there(struct pgsql_work *w, const char *settings, uint32_t limit_ms, pgsql_check_fn *look,
                                void *ctx, bool *ran, struct zdm_error *err) ZDM_CHECKED;

#endif
