/*
 * perform.c - the table of operations (perform.h).
 */
#include "agent/engine/postgresql/perform.h"

#include <string.h>

#include "agent/engine/postgresql/change/as_is.h"
#include "agent/engine/postgresql/online/gate.h"
#include "agent/engine/postgresql/online/index.h"
#include "agent/engine/postgresql/journal/journal.h"
#include "agent/engine/postgresql/change/partition.h"
#include "agent/engine/postgresql/survey/survey.h"
#include "agent/engine/postgresql/watch.h"

static enum zdm_code connect_node(struct pgsql_work *w, struct zdm_error *err)
{
    struct agent_result *r = w->result;
    struct pgsql_session *s = w->s;
    r->writable = s->writable;
    r->timeline = s->timeline;
    r->capabilities =
        AGENT_CAN_TRANSACTIONAL_DDL | AGENT_CAN_NOWAIT | AGENT_CAN_CONCURRENT_INDEX | AGENT_CAN_HIDE_BY_RENAME;
    zdm_copy_text(r->identity, sizeof r->identity, s->identity);
    zdm_copy_text(r->server_version, sizeof r->server_version, s->version);
    enum zdm_code code = s->writable ? pgsql_journal_make(s, err) : ZDM_OK;
    return code == ZDM_OK ? pgsql_journal_load(s, r, err) : code;
}

/* A detached partition comes back by a part of its own (partition.c), the rest as a hide does. */
static enum zdm_code restore(struct pgsql_work *w, struct zdm_error *err)
{
    return w->step->action == ZDM_ACTION_DETACH_PARTITION ? pgsql_run_partition_restore(w, err)
                                                          : pgsql_run_restore(w, err);
}

/* An index that somebody else's session has built to its end gets its mark with the step. */
static enum zdm_code step_done(struct pgsql_work *w, struct zdm_error *err)
{
    const struct zdm_step *step = w->op->plan == NULL ? NULL : zdm_plan_step(w->op->plan, w->op->step);
    if (step != NULL && w->op->lets_pass) {
        w->step = step;
        return pgsql_run_let_pass(w, err);
    }
    if (step == NULL || step->action != ZDM_ACTION_CREATE_INDEX || !zdm_step_is_for(step, ZDM_ENGINE_POSTGRESQL)) {
        return pgsql_run_step_done(w, err);
    }
    w->step = step;
    return pgsql_index_step_done(w, err);
}

typedef enum zdm_code run_fn(struct pgsql_work *w, struct zdm_error *err);

static run_fn *const runs[] = {
    [AGENT_RUN_DDL] = pgsql_run_ddl,
    [AGENT_RUN_INSTALL_SYNC] = pgsql_run_install_sync,
    [AGENT_RUN_REMOVE_SYNC] = pgsql_run_remove_sync,
    [AGENT_RUN_BOUND] = pgsql_run_bound,
    [AGENT_RUN_BATCH] = pgsql_run_batch,
    [AGENT_RUN_VALIDATE] = pgsql_run_validate,
    [AGENT_RUN_INDEX_BUILD] = pgsql_run_index_build,
    [AGENT_RUN_INDEX_DROP_INVALID] = pgsql_run_index_drop_invalid,
    [AGENT_RUN_CHECK_CHUNK] = pgsql_run_check,
    [AGENT_RUN_HIDE] = pgsql_run_hide,
    [AGENT_RUN_LONG_SQL] = pgsql_run_long_sql,
    [AGENT_RUN_WAIT] = pgsql_run_wait,
    [AGENT_RUN_REINDEX] = pgsql_run_reindex,
    [AGENT_RUN_STEP_DONE] = step_done,
    [AGENT_RUN_STEP_BACK] = pgsql_run_step_back,
    [AGENT_RUN_STOP] = pgsql_run_stop,
    [AGENT_RUN_PURGE] = pgsql_run_purge,
    [AGENT_RUN_PURGE_LEFTOVERS] = pgsql_run_purge_leftovers,
    [AGENT_RUN_UNDO_DDL] = pgsql_run_undo_ddl,
    [AGENT_RUN_UNDO_SYNC] = pgsql_run_undo_sync,
    [AGENT_RUN_UNDO_REMOVE] = pgsql_run_undo_remove,
    [AGENT_RUN_UNHIDE] = pgsql_run_unhide,
    [AGENT_RUN_RESTORE] = restore,
    [AGENT_RUN_INDEX_DROP] = pgsql_run_index_drop,
    [AGENT_RUN_IMAGES_BACK] = pgsql_run_images_back,
    [AGENT_RUN_UNDO_BEGIN] = pgsql_run_undo_begin,
    [AGENT_RUN_UNDO_END] = pgsql_run_undo_end,
    [AGENT_RUN_SPEND_APPROVALS] = pgsql_run_spend_approvals,
};

static enum zdm_code run(struct pgsql_work *w, struct zdm_error *err)
{
    size_t run = (size_t)w->op->run;
    if (run >= sizeof runs / sizeof *runs || runs[run] == NULL) {
        return zdm_error_set(err, ZDM_BUG, "an operation without an action");
    }
    return runs[run](w, err);
}

/* Journal-only actions need no step of the plan. */
static bool needs_step(const struct agent_op *op)
{
    return op->kind == AGENT_OP_INSPECT ||
           (op->kind == AGENT_OP_RUN && op->run != AGENT_RUN_STEP_DONE && op->run != AGENT_RUN_STEP_BACK &&
            op->run != AGENT_RUN_STOP && op->run != AGENT_RUN_SPEND_APPROVALS && op->run != AGENT_RUN_UNDO_BEGIN &&
            op->run != AGENT_RUN_UNDO_END && op->run != AGENT_RUN_PURGE_LEFTOVERS);
}

enum zdm_code pgsql_perform(struct pgsql_work *w, struct zdm_error *err)
{
    const struct agent_op *op = w->op;
    if (needs_step(op)) {
        w->step = op->plan == NULL ? NULL : zdm_plan_step(op->plan, op->step);
        if (w->step == NULL) {
            return zdm_error_set(err, ZDM_BUG, "the plan has no step %u", (unsigned)op->step);
        }
    }
    switch (op->kind) {
    case AGENT_OP_CONNECT:
        return connect_node(w, err);
    case AGENT_OP_STORE_PLAN:
        return pgsql_journal_store_plan(w, err);
    case AGENT_OP_ACCEPT:
        return pgsql_journal_accept(w, err);
    case AGENT_OP_INSPECT:
        return pgsql_inspect(w, err);
    case AGENT_OP_RUN:
        return run(w, err);
    case AGENT_OP_SIGNALS:
        return pgsql_signals(w, err);
    case AGENT_OP_SURVEY:
        return pgsql_survey(w, err);
    }
    return zdm_error_set(err, ZDM_BUG, "an operation of no kind");
}
