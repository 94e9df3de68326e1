/*
 * rules.c - what is to be known of each action of a plan and of each run of the engine: one row each, for all files.
 */
#include "agent/core/internal.h"

#define HIDES (AGENT_CAN_HIDE_BY_RENAME | AGENT_CAN_HIDE_BY_INVISIBLE)

static const struct agent_action_rule action_rules[] = {
    /*                            run                    walk   long   adds   capabilities */
    [ZDM_ACTION_ADD_COLUMN] = {AGENT_RUN_DDL, false, false, true, 0},
    [ZDM_ACTION_ADD_CHECK] = {AGENT_RUN_DDL, false, false, true, 0},
    [ZDM_ACTION_SET_NOT_NULL] = {AGENT_RUN_DDL, false, false, true, 0},
    [ZDM_ACTION_DROP_CONSTRAINT] = {AGENT_RUN_DDL, false, false, false, 0},
    [ZDM_ACTION_VALIDATE] = {AGENT_RUN_VALIDATE, false, true, false, 0},
    [ZDM_ACTION_CREATE_INDEX] = {AGENT_RUN_INDEX_BUILD, false, true, true, AGENT_CAN_CONCURRENT_INDEX},
    [ZDM_ACTION_SYNC_INSTALL] = {AGENT_RUN_INSTALL_SYNC, false, false, true, 0},
    [ZDM_ACTION_SYNC_REMOVE] = {AGENT_RUN_REMOVE_SYNC, false, false, false, 0},
    [ZDM_ACTION_BACKFILL] = {AGENT_RUN_BATCH, true, false, true, 0},
    [ZDM_ACTION_CHECK_QUERY] = {AGENT_RUN_CHECK_CHUNK, false, true, false, 0},
    [ZDM_ACTION_CHECK_COMPARE] = {AGENT_RUN_CHECK_CHUNK, true, false, false, 0},
    [ZDM_ACTION_HIDE_COLUMN] = {AGENT_RUN_HIDE, false, false, false, HIDES},
    [ZDM_ACTION_PURGE_COLUMN] = {AGENT_RUN_PURGE, false, false, false, 0},
    [ZDM_ACTION_GATE_FLAG] = {AGENT_RUN_NONE, false, false, false, 0},
    [ZDM_ACTION_PURGE_IMAGES] = {AGENT_RUN_PURGE, false, false, false, 0},
    [ZDM_ACTION_ADD_FOREIGN_KEY] = {AGENT_RUN_DDL, false, false, true, 0},
    [ZDM_ACTION_ADD_UNIQUE] = {AGENT_RUN_DDL, false, false, true, 0},
    [ZDM_ACTION_ADD_PRIMARY_KEY] = {AGENT_RUN_DDL, false, false, true, 0},
    [ZDM_ACTION_LIFT_CONSTRAINT] = {AGENT_RUN_DDL, false, false, false, 0},
    [ZDM_ACTION_DROP_NOT_NULL] = {AGENT_RUN_DDL, false, false, false, 0},
    [ZDM_ACTION_SET_DEFAULT] = {AGENT_RUN_DDL, false, false, true, 0},
    [ZDM_ACTION_SET_STORAGE] = {AGENT_RUN_DDL, false, false, true, 0},
    [ZDM_ACTION_COMMENT] = {AGENT_RUN_DDL, false, false, true, 0},
    [ZDM_ACTION_WIDEN_TYPE] = {AGENT_RUN_DDL, false, false, false, 0},
    [ZDM_ACTION_CREATE_TABLE] = {AGENT_RUN_DDL, false, false, true, 0},
    [ZDM_ACTION_CREATE_TYPE] = {AGENT_RUN_DDL, false, false, true, 0},
    [ZDM_ACTION_ADD_VALUE] = {AGENT_RUN_DDL, false, false, false, 0},
    [ZDM_ACTION_HIDE_TABLE] = {AGENT_RUN_HIDE, false, false, false, HIDES},
    [ZDM_ACTION_PURGE_TABLE] = {AGENT_RUN_PURGE, false, false, false, 0},
    [ZDM_ACTION_HIDE_INDEX] = {AGENT_RUN_HIDE, false, false, false, 0},
    [ZDM_ACTION_PURGE_INDEX] = {AGENT_RUN_PURGE, false, true, false, AGENT_CAN_CONCURRENT_INDEX},
    [ZDM_ACTION_REINDEX] = {AGENT_RUN_REINDEX, false, true, false, AGENT_CAN_CONCURRENT_INDEX},
    [ZDM_ACTION_ADD_PARTITION_CHECK] = {AGENT_RUN_DDL, false, false, true, 0},
    [ZDM_ACTION_ATTACH_PARTITION] = {AGENT_RUN_DDL, false, false, true, 0},
    [ZDM_ACTION_DETACH_PARTITION] = {AGENT_RUN_DDL, false, false, true, 0},
    [ZDM_ACTION_DELETE] = {AGENT_RUN_BATCH, true, false, true, 0},
    [ZDM_ACTION_AS_IS] = {AGENT_RUN_DDL, false, false, false, 0}, /* of the long class: is_long_statement */
    [ZDM_ACTION_GATE_WAIT] = {AGENT_RUN_WAIT, false, false, false, 0},
    [ZDM_ACTION_SHOW_COLUMN] = {AGENT_RUN_DDL, false, false, false, AGENT_CAN_HIDE_BY_INVISIBLE},
};
_Static_assert(sizeof action_rules / sizeof *action_rules == ZDM_ACTION_LAST + 1, "every action has a rule");

static const struct agent_run_rule run_rules[] = {
    [AGENT_RUN_NONE] = {AGENT_WORK_LOOK, AGENT_SIDE_NEITHER, AGENT_LIMIT_LOOK, false, false, false},
    [AGENT_RUN_DDL] = {AGENT_WORK_SHORT, AGENT_SIDE_FORWARD, AGENT_LIMIT_SHORT, false, false, false},
    [AGENT_RUN_INSTALL_SYNC] = {AGENT_WORK_SHORT, AGENT_SIDE_FORWARD, AGENT_LIMIT_SHORT, false, false, false},
    [AGENT_RUN_REMOVE_SYNC] = {AGENT_WORK_CLEAN, AGENT_SIDE_FORWARD, AGENT_LIMIT_SHORT, false, false, false},
    [AGENT_RUN_BOUND] = {AGENT_WORK_WALK, AGENT_SIDE_FORWARD, AGENT_LIMIT_LOOK, true, false, false},
    [AGENT_RUN_BATCH] = {AGENT_WORK_WALK, AGENT_SIDE_FORWARD, AGENT_LIMIT_WALK, true, false, false},
    [AGENT_RUN_VALIDATE] = {AGENT_WORK_LONG, AGENT_SIDE_FORWARD, AGENT_LIMIT_NONE, true, false, false},
    [AGENT_RUN_INDEX_BUILD] = {AGENT_WORK_LONG, AGENT_SIDE_FORWARD, AGENT_LIMIT_NONE, true, true, false},
    [AGENT_RUN_INDEX_DROP_INVALID] = {AGENT_WORK_CLEAN, AGENT_SIDE_NEITHER, AGENT_LIMIT_NONE, false, false, false},
    [AGENT_RUN_CHECK_CHUNK] = {AGENT_WORK_WALK, AGENT_SIDE_FORWARD, AGENT_LIMIT_WALK, true, false, false},
    [AGENT_RUN_HIDE] = {AGENT_WORK_SHORT, AGENT_SIDE_FORWARD, AGENT_LIMIT_SHORT, false, false, false},
    [AGENT_RUN_PURGE] = {AGENT_WORK_PURGING, AGENT_SIDE_FORWARD, AGENT_LIMIT_SHORT, false, false, false},
    [AGENT_RUN_REINDEX] = {AGENT_WORK_LONG, AGENT_SIDE_FORWARD, AGENT_LIMIT_NONE, true, true, false},
    [AGENT_RUN_LONG_SQL] = {AGENT_WORK_LONG, AGENT_SIDE_FORWARD, AGENT_LIMIT_NONE, true, false, false},
    [AGENT_RUN_WAIT] = {AGENT_WORK_WAIT, AGENT_SIDE_FORWARD, AGENT_LIMIT_ASK, false, false, false},
    [AGENT_RUN_PURGE_LEFTOVERS] = {AGENT_WORK_PURGING, AGENT_SIDE_NEITHER, AGENT_LIMIT_SHORT, false, false, true},
    [AGENT_RUN_UNDO_DDL] = {AGENT_WORK_CLEAN, AGENT_SIDE_BACK, AGENT_LIMIT_SHORT, false, false, false},
    [AGENT_RUN_UNDO_SYNC] = {AGENT_WORK_CLEAN, AGENT_SIDE_BACK, AGENT_LIMIT_SHORT, false, false, false},
    [AGENT_RUN_UNDO_REMOVE] = {AGENT_WORK_SHORT, AGENT_SIDE_BACK, AGENT_LIMIT_SHORT, false, false, false},
    [AGENT_RUN_UNHIDE] = {AGENT_WORK_SHORT, AGENT_SIDE_BACK, AGENT_LIMIT_SHORT, false, false, false},
    [AGENT_RUN_RESTORE] = {AGENT_WORK_LONG, AGENT_SIDE_BACK, AGENT_LIMIT_NONE, true, false, false},
    [AGENT_RUN_INDEX_DROP] = {AGENT_WORK_CLEAN, AGENT_SIDE_BACK, AGENT_LIMIT_NONE, false, false, false},
    [AGENT_RUN_IMAGES_BACK] = {AGENT_WORK_WALK, AGENT_SIDE_BACK, AGENT_LIMIT_WALK, true, false, false},
    [AGENT_RUN_UNDO_BEGIN] = {AGENT_WORK_JOURNAL, AGENT_SIDE_JOURNAL, AGENT_LIMIT_LOOK, false, false, true},
    [AGENT_RUN_UNDO_END] = {AGENT_WORK_JOURNAL, AGENT_SIDE_JOURNAL, AGENT_LIMIT_LOOK, false, false, true},
    [AGENT_RUN_SPEND_APPROVALS] = {AGENT_WORK_JOURNAL, AGENT_SIDE_JOURNAL, AGENT_LIMIT_LOOK, false, false, true},
    [AGENT_RUN_STEP_DONE] = {AGENT_WORK_JOURNAL, AGENT_SIDE_JOURNAL, AGENT_LIMIT_LOOK, false, false, false},
    [AGENT_RUN_STEP_BACK] = {AGENT_WORK_JOURNAL, AGENT_SIDE_JOURNAL, AGENT_LIMIT_LOOK, false, false, false},
    [AGENT_RUN_STOP] = {AGENT_WORK_HALTING, AGENT_SIDE_JOURNAL, AGENT_LIMIT_LOOK, false, false, false},
};
_Static_assert(sizeof run_rules / sizeof *run_rules == AGENT_RUN_STOP + 1, "every run has a rule");

const struct agent_action_rule *agent_action_rule(const struct zdm_step *step)
{
    size_t n = sizeof action_rules / sizeof action_rules[0];
    return (size_t)step->action < n ? &action_rules[step->action] : &action_rules[0];
}

const struct agent_run_rule *agent_run_rule(enum agent_run run)
{
    size_t n = sizeof run_rules / sizeof run_rules[0];
    return (size_t)run < n ? &run_rules[run] : &run_rules[0];
}

/* One whose class the plan says: as it is, or a rebuild of the table that the fence allows. */
static bool is_long_statement(const struct zdm_step *step)
{
    return agent_action_rule(step)->run == AGENT_RUN_DDL && step->lock == ZDM_LOCK_LONG;
}

enum agent_run agent_action_run(const struct zdm_step *step)
{
    bool as_is = step->action == ZDM_ACTION_AS_IS;
    return as_is && is_long_statement(step) ? AGENT_RUN_LONG_SQL : agent_action_rule(step)->run;
}

bool agent_is_long(const struct zdm_step *step)
{
    return is_long_statement(step) || agent_action_rule(step)->long_class;
}

bool agent_is_bulk(const struct zdm_step *step)
{
    return agent_action_rule(step)->walk || agent_is_long(step);
}
