/*
 * work.h - one operation while a lane carries it out, and the functions that do.
 *
 * Every function here runs on the lane's thread, returns a code that classify.c turns into the outcome, and may leave
 * a transaction open when it fails: the lane rolls back after each operation, whatever it was.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_SESSION_WORK_H
#define AGENT_ENGINE_POSTGRESQL_SESSION_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/engine/lanes.h"
#include "agent/engine/postgresql/catalog/catalog.h"
#include "agent/engine/postgresql/session/session.h"

/* What a lane remembers between operations of one step; dropped when the step, the plan or the session changes. */
struct pgsql_memory {
    struct agent_lane_scope scope;
    bool clone_proved;       /* the statement was tried on an empty clone */
    struct pgsql_walk *walk; /* key and statements of a walk */
    bool stale;              /* those are to be made anew */
};

struct pgsql_replicas; /* replica.h */

struct pgsql_work {
    struct pgsql_session *s;
    struct pgsql_replicas *replicas; /* of the lane */
    const struct agent_op *op;
    const struct zdm_step *step; /* NULL for operations that concern none */
    struct agent_result *result;
    struct pgsql_memory *memory;
    int64_t waited_ms;   /* for a replica: it says nothing about the cost of a batch */
    char checked_on[80]; /* the replica on which a check ran; "" for the primary */
};

void pgsql_memory_forget(struct pgsql_memory *memory);
/* Only the walk: key and columns are looked up again. */
void pgsql_walk_forget(struct pgsql_memory *memory);

/* inspect.c */
enum zdm_code pgsql_inspect(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* ddl.c: add column, add check, set not null, drop constraint; validate.c */
enum zdm_code pgsql_run_ddl(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_run_validate(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* sync.c */
enum zdm_code pgsql_run_install_sync(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_run_remove_sync(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* backfill.c, check.c */
enum zdm_code pgsql_run_bound(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_run_batch(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_run_check(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* index.c */
enum zdm_code pgsql_run_index_build(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_run_index_drop_invalid(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* hide.c */
enum zdm_code pgsql_run_hide(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* The way back: undo.c, unhide.c, restore.c, index.c, walk_back.c and images.c */
enum zdm_code pgsql_run_undo_ddl(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_run_undo_sync(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_run_undo_remove(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_run_unhide(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_run_restore(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_run_index_drop(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_run_images_back(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* purge.c */
enum zdm_code pgsql_run_purge(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_run_purge_leftovers(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* spend.c */
enum zdm_code pgsql_run_undo_begin(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_run_undo_end(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_run_spend_approvals(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* signals.c */
enum zdm_code pgsql_signals(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

#endif
