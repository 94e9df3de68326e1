/*
 * perform.c - the table of operations (perform.h).
 */
#include "agent/engine/postgresql/perform.h"

#include <string.h>

#include "agent/engine/postgresql/journal.h"

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

static enum zdm_code run(struct pgsql_work *w, struct zdm_error *err)
{
    switch (w->op->run) {
    case AGENT_RUN_DDL:
        return pgsql_run_ddl(w, err);
    case AGENT_RUN_INSTALL_SYNC:
        return pgsql_run_install_sync(w, err);
    case AGENT_RUN_REMOVE_SYNC:
        return pgsql_run_remove_sync(w, err);
    case AGENT_RUN_BOUND:
        return pgsql_run_bound(w, err);
    case AGENT_RUN_BATCH:
        return pgsql_run_batch(w, err);
    case AGENT_RUN_VALIDATE:
        return pgsql_run_validate(w, err);
    case AGENT_RUN_INDEX_BUILD:
        return pgsql_run_index_build(w, err);
    case AGENT_RUN_INDEX_DROP_INVALID:
        return pgsql_run_index_drop_invalid(w, err);
    case AGENT_RUN_CHECK_CHUNK:
        return pgsql_run_check(w, err);
    case AGENT_RUN_HIDE:
        return pgsql_run_hide(w, err);
    case AGENT_RUN_STEP_DONE:
        return pgsql_run_step_done(w, err);
    case AGENT_RUN_STEP_BACK:
        return pgsql_run_step_back(w, err);
    case AGENT_RUN_STOP:
        return pgsql_run_stop(w, err);
    case AGENT_RUN_PURGE:
        return pgsql_run_purge(w, err);
    case AGENT_RUN_PURGE_LEFTOVERS:
        return pgsql_run_purge_leftovers(w, err);
    case AGENT_RUN_UNDO_DDL:
        return pgsql_run_undo_ddl(w, err);
    case AGENT_RUN_UNDO_SYNC:
        return pgsql_run_undo_sync(w, err);
    case AGENT_RUN_UNDO_REMOVE:
        return pgsql_run_undo_remove(w, err);
    case AGENT_RUN_UNHIDE:
        return pgsql_run_unhide(w, err);
    case AGENT_RUN_RESTORE:
        return pgsql_run_restore(w, err);
    case AGENT_RUN_INDEX_DROP:
        return pgsql_run_index_drop(w, err);
    case AGENT_RUN_IMAGES_BACK:
        return pgsql_run_images_back(w, err);
    case AGENT_RUN_UNDO_BEGIN:
        return pgsql_run_undo_begin(w, err);
    case AGENT_RUN_SPEND_APPROVALS:
        return pgsql_run_spend_approvals(w, err);
    case AGENT_RUN_NONE:
        break;
    }
    return zdm_error_set(err, ZDM_BUG, "an operation without an action");
}

/* Journal-only actions need no step of the plan. */
static bool needs_step(const struct agent_op *op)
{
    return op->kind == AGENT_OP_INSPECT ||
           (op->kind == AGENT_OP_RUN && op->run != AGENT_RUN_STEP_DONE && op->run != AGENT_RUN_STEP_BACK &&
            op->run != AGENT_RUN_STOP && op->run != AGENT_RUN_SPEND_APPROVALS && op->run != AGENT_RUN_UNDO_BEGIN &&
            op->run != AGENT_RUN_PURGE_LEFTOVERS);
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
    }
    return zdm_error_set(err, ZDM_BUG, "an operation of no kind");
}
