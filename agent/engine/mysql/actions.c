/*
 * actions.c - the rules, a row a kind (actions.h).
 */
#include "agent/engine/mysql/actions.h"

#include "agent/engine/mysql/change/ddl.h"

/* A change whose former state is kept. */
#define SETTING                                                                                                        \
    .of_table = true, .look = mydb_look_former, .may = mydb_may_set, .intend = mydb_keep_former,                       \
    .change = mydb_change_setting

static const struct mydb_action actions[] = {
    [ZDM_ACTION_ADD_COLUMN] = {.of_table = true,
                               .look = mydb_look_added_column,
                               .look_back = mydb_back_of_column,
                               .may = mydb_may_add_column,
                               .intend = mydb_intend_column,
                               .change = mydb_add_column,
                               .confirm = mydb_confirm_fingerprint,
                               .back_change = mydb_back_change_column},
    [ZDM_ACTION_CREATE_INDEX] = {.of_table = true, .look = mydb_look_index, .look_back = mydb_back_of_index},
    [ZDM_ACTION_ADD_FOREIGN_KEY] = {.of_table = true,
                                    .look = mydb_look_constraint,
                                    .look_back = mydb_back_of_constraint,
                                    .may = mydb_may_add_foreign_key,
                                    .intend = mydb_intend_foreign_key,
                                    .change = mydb_add_foreign_key,
                                    .back_change = mydb_drop_foreign_key,
                                    .back_confirm = mydb_forget_foreign_key},
    [ZDM_ACTION_VALIDATE] = {.of_table = true, .look = mydb_look_validated},

    [ZDM_ACTION_SET_DEFAULT] = {SETTING, .look_back = mydb_back_of_former, .back_change = mydb_restore_former,
                                .back_confirm = mydb_confirm_fingerprint},
    [ZDM_ACTION_SET_NOT_NULL] = {SETTING, .look_back = mydb_back_of_former, .back_change = mydb_restore_former,
                                 .back_confirm = mydb_confirm_fingerprint},
    [ZDM_ACTION_DROP_NOT_NULL] = {SETTING, .look_back = mydb_back_of_former, .back_change = mydb_restore_former,
                                  .back_confirm = mydb_confirm_fingerprint},
    [ZDM_ACTION_COMMENT] = {SETTING, .look_back = mydb_back_of_former, .back_change = mydb_restore_former,
                            .back_confirm = mydb_confirm_fingerprint},
    [ZDM_ACTION_WIDEN_TYPE] = {SETTING}, /* a rollback leaves it wide */
    [ZDM_ACTION_LIFT_CONSTRAINT] = {.of_table = true,
                                    .look = mydb_look_lifted,
                                    .look_back = mydb_back_of_lifted,
                                    .may = mydb_may_lift,
                                    .intend = mydb_intend_lift,
                                    .change = mydb_lift,
                                    .confirm = mydb_confirm_lift},

    /* Objects. */
    [ZDM_ACTION_CREATE_TABLE] = {.look = mydb_look_created_table,
                                 .look_back = mydb_back_of_created_table,
                                 .may = mydb_may_create_table,
                                 .intend = mydb_intend_table,
                                 .change = mydb_create_table,
                                 .back_intend = mydb_back_intend_table,
                                 .back_change = mydb_back_change_table,
                                 .back_confirm = mydb_back_confirm_table},
    [ZDM_ACTION_HIDE_TABLE] = {.look = mydb_look_hidden_table, .look_back = mydb_back_of_hidden_table},
    [ZDM_ACTION_PURGE_TABLE] = {.look = mydb_look_purged_table},
    [ZDM_ACTION_HIDE_INDEX] = {.of_table = true,
                               .look = mydb_look_hidden_index,
                               .look_back = mydb_back_of_hidden_index},
    [ZDM_ACTION_PURGE_INDEX] = {.of_table = true, .look = mydb_look_purged_index},
    [ZDM_ACTION_AS_IS] = {.look = mydb_look_as_is,
                          .look_back = mydb_back_of_as_is,
                          .may = mydb_may_run_as_is,
                          .intend = mydb_intend_as_is,
                          .change = mydb_run_as_is,
                          .back_change = mydb_undo_as_is,
                          .back_confirm = mydb_forget_as_is},

    /* Columns in step, out of sight, and shown again. */
    [ZDM_ACTION_SYNC_INSTALL] = {.of_table = true, .look = mydb_look_sync, .look_back = mydb_back_of_sync},
    [ZDM_ACTION_SYNC_REMOVE] = {.of_table = true, .look = mydb_look_removed_sync, .look_back = mydb_back_of_removal},
    [ZDM_ACTION_HIDE_COLUMN] = {.of_table = true,
                                .look = mydb_look_hidden_column,
                                .look_back = mydb_back_of_hidden_column},
    [ZDM_ACTION_PURGE_COLUMN] = {.of_table = true, .look = mydb_look_purged_column},
    [ZDM_ACTION_SHOW_COLUMN] = {.of_table = true,
                                .look = mydb_look_shown,
                                .look_back = mydb_back_of_shown,
                                .change = mydb_show_column,
                                .back_change = mydb_unshow_column},

    /* Walks, checks and gates. */
    [ZDM_ACTION_BACKFILL] = {.of_table = true, .look = mydb_look_walk, .look_back = mydb_back_of_walk},
    [ZDM_ACTION_DELETE] = {.of_table = true, .look = mydb_look_walk, .look_back = mydb_back_of_walk},
    [ZDM_ACTION_CHECK_QUERY] = {.look = mydb_look_walk},
    [ZDM_ACTION_CHECK_COMPARE] = {.of_table = true, .look = mydb_look_walk},
    [ZDM_ACTION_PURGE_IMAGES] = {.of_table = true, .look = mydb_look_images},
    [ZDM_ACTION_GATE_FLAG] = {.look = mydb_look_nothing},
    [ZDM_ACTION_GATE_WAIT] = {.look = mydb_look_walk, .look_back = mydb_back_of_wait, .back_confirm = mydb_forget_wait},
};

const struct mydb_action *mydb_action_of(const struct zdm_step *step)
{
    size_t action = (size_t)step->action;
    return action < sizeof actions / sizeof *actions && actions[action].look != NULL ? &actions[action] : NULL;
}
