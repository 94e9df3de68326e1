/*
 * perform.c - from an operation to the function that carries it out (work.h).
 */
#include "agent/engine/mysql/change/ddl.h"
#include "agent/engine/mysql/journal/journal.h"
#include "agent/engine/mysql/survey/survey.h"
#include "agent/engine/mysql/walk/sync.h"

static enum zdm_code connect_node(struct mydb_work *w, struct zdm_error *err)
{
    struct agent_result *r = w->result;
    struct mydb_session *s = w->s;
    r->writable = s->writable;
    r->capabilities = AGENT_CAN_CONCURRENT_INDEX | AGENT_CAN_HIDE_BY_INVISIBLE | (s->mariadb ? AGENT_CAN_NOWAIT : 0);
    zdm_copy_text(r->identity, sizeof r->identity, s->identity);
    zdm_copy_text(r->server_version, sizeof r->server_version, s->version);
    enum zdm_code code = s->writable ? mydb_journal_make(s, err) : ZDM_OK;
    return code == ZDM_OK ? mydb_journal_load(s, r, err) : code;
}

/* ---- A step that was found done ---- */

static enum zdm_code settle(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err)
{
    const struct mydb_action *action = mydb_action_of(w->step);
    enum zdm_code code = action->confirm == NULL ? ZDM_OK : action->confirm(w, table, err);
    return code == ZDM_OK ? mydb_hidden_settle(w, err) : code;
}

/* Whoever made the change may be gone, or be somebody else: who finds it done confirms it. */
static enum zdm_code step_done(struct mydb_work *w, struct zdm_error *err)
{
    const struct zdm_step *step = w->op->plan == NULL ? NULL : zdm_plan_step(w->op->plan, w->op->step);
    bool ours = step != NULL && zdm_step_is_for(step, ZDM_ENGINE_MYSQL) && w->op->step == w->op->journal_step;
    const struct mydb_action *action = ours ? mydb_action_of(step) : NULL;
    struct mydb_table table;
    if (step != NULL && w->op->lets_pass) {
        w->step = step;
        return mydb_run_let_pass(w, err);
    }
    if (action == NULL) {
        return mydb_run_step_done(w, err);
    }
    bool of_table = action->of_table && action->confirm != NULL;
    w->step = step;
    enum zdm_code code = of_table ? mydb_table_find(w->s, step->table.name, &table, err) : ZDM_OK;
    return code == ZDM_OK ? mydb_note(w, settle, of_table ? &table : NULL, true, err) : code;
}

/* ---- The table ---- */

static mydb_run_fn *const runs[] = {
    [AGENT_RUN_DDL] = mydb_run_ddl,
    [AGENT_RUN_INSTALL_SYNC] = mydb_run_install_sync,
    [AGENT_RUN_REMOVE_SYNC] = mydb_run_remove_sync,
    [AGENT_RUN_BOUND] = mydb_run_bound,
    [AGENT_RUN_BATCH] = mydb_run_batch,
    [AGENT_RUN_VALIDATE] = mydb_run_validate,
    [AGENT_RUN_INDEX_BUILD] = mydb_run_index_build,
    [AGENT_RUN_CHECK_CHUNK] = mydb_run_check,
    [AGENT_RUN_HIDE] = mydb_run_hide,
    [AGENT_RUN_LONG_SQL] = mydb_run_long_sql,
    [AGENT_RUN_WAIT] = mydb_run_wait,
    [AGENT_RUN_STEP_DONE] = step_done,
    [AGENT_RUN_STEP_BACK] = mydb_run_step_back,
    [AGENT_RUN_STOP] = mydb_run_stop,
    [AGENT_RUN_PURGE] = mydb_run_purge,
    [AGENT_RUN_PURGE_LEFTOVERS] = mydb_run_purge_leftovers,
    [AGENT_RUN_UNDO_DDL] = mydb_run_undo_ddl,
    [AGENT_RUN_UNDO_SYNC] = mydb_run_undo_sync,
    [AGENT_RUN_UNDO_REMOVE] = mydb_run_undo_remove,
    [AGENT_RUN_UNHIDE] = mydb_run_unhide,
    [AGENT_RUN_RESTORE] = mydb_run_restore,
    [AGENT_RUN_INDEX_DROP] = mydb_run_index_drop,
    [AGENT_RUN_IMAGES_BACK] = mydb_run_images_back,
    [AGENT_RUN_UNDO_BEGIN] = mydb_run_undo_begin,
    [AGENT_RUN_UNDO_END] = mydb_run_undo_end,
    [AGENT_RUN_SPEND_APPROVALS] = mydb_run_spend_approvals,
};

static enum zdm_code run(struct mydb_work *w, struct zdm_error *err)
{
    size_t run = (size_t)w->op->run;
    if (run >= sizeof runs / sizeof *runs || runs[run] == NULL) {
        return zdm_error_set(err, ZDM_BUG, "an operation without an action");
    }
    return runs[run](w, err);
}

/* Of the journal alone, or of whatever comes next: no step of the plan is asked for. */
static bool needs_no_step(enum agent_run run)
{
    static const enum agent_run free_of_steps[] = {AGENT_RUN_STEP_DONE,       AGENT_RUN_STEP_BACK,  AGENT_RUN_STOP,
                                                   AGENT_RUN_SPEND_APPROVALS, AGENT_RUN_UNDO_BEGIN, AGENT_RUN_UNDO_END,
                                                   AGENT_RUN_PURGE_LEFTOVERS};
    for (size_t i = 0; i < sizeof free_of_steps / sizeof *free_of_steps; i++) {
        if (free_of_steps[i] == run) {
            return true;
        }
    }
    return false;
}

static enum zdm_code find_step(struct mydb_work *w, struct zdm_error *err)
{
    const struct agent_op *op = w->op;
    if (op->kind != AGENT_OP_INSPECT && (op->kind != AGENT_OP_RUN || needs_no_step(op->run))) {
        return ZDM_OK;
    }
    w->step = op->plan == NULL ? NULL : zdm_plan_step(op->plan, op->step);
    return w->step != NULL ? ZDM_OK : zdm_error_set(err, ZDM_BUG, "the plan has no step %u", (unsigned)op->step);
}

enum zdm_code mydb_perform(struct mydb_work *w, struct zdm_error *err)
{
    enum zdm_code code = find_step(w, err);
    if (code != ZDM_OK) {
        return code;
    }
    switch (w->op->kind) {
    case AGENT_OP_CONNECT:
        return connect_node(w, err);
    case AGENT_OP_STORE_PLAN:
        return mydb_journal_store_plan(w, err);
    case AGENT_OP_ACCEPT:
        return mydb_journal_accept(w, err);
    case AGENT_OP_INSPECT:
        return mydb_inspect(w, err);
    case AGENT_OP_RUN:
        return run(w, err);
    case AGENT_OP_SIGNALS:
        return mydb_signals(w, err);
    case AGENT_OP_SURVEY:
        return mydb_survey(w, err);
    }
    return zdm_error_set(err, ZDM_BUG, "an operation of no kind");
}
