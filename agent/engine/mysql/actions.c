/*
 * actions.c - the rules, a row a kind (actions.h).
 */
#include "agent/engine/mysql/actions.h"

#include "agent/engine/mysql/ddl.h"

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
                               .back_intend = mydb_back_intend_column,
                               .back_change = mydb_back_change_column,
                               .back_confirm = mydb_back_confirm_column},
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
};

const struct mydb_action *mydb_action_of(const struct zdm_step *step)
{
    size_t action = (size_t)step->action;
    return action < sizeof actions / sizeof *actions && actions[action].look != NULL ? &actions[action] : NULL;
}
