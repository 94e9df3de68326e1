/*
 * actions.h - one rule a kind of step: how it is looked at both ways, and how its change of the catalogue is made.
 *
 * inspect.c and ddl.c read these rules and know no kind by name. Whoever adds a kind writes its functions and adds one
 * row to actions.c; what a row leaves out, the kind does not have.
 */
#ifndef AGENT_ENGINE_MYSQL_ACTIONS_H
#define AGENT_ENGINE_MYSQL_ACTIONS_H

#include "agent/engine/mysql/catalog/catalog.h"
#include "agent/engine/mysql/session/work.h"

/* Is the step done? FOREIGN fills err without being a failure. The table is NULL for kinds that are not about one. */
typedef enum zdm_code mydb_look_fn(struct mydb_work *w, const struct mydb_table *table, enum agent_proof *out_proof,
                                   struct zdm_error *err);
/* Which part of the way back comes next: fills proof, next_run and remark of the result. */
typedef enum zdm_code mydb_look_back_fn(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err);
/* One of the three parts of a change (work.h). */
typedef enum zdm_code mydb_part_fn(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err);

struct mydb_action {
    bool of_table; /* the step's table must be there; looks and parts are given it */
    mydb_look_fn *look;
    mydb_look_back_fn *look_back; /* NULL: there is nothing to undo */

    /* AGENT_RUN_DDL, in this order; NULL: no such part. `may` reads and refuses; `intend` writes within the transaction
     * that holds the fence; `change` is the statement; `confirm` writes within the transaction that moves the journal.
     */
    mydb_part_fn *may, *intend, *change, *confirm;
    /* AGENT_RUN_UNDO_DDL, likewise. */
    mydb_part_fn *back_intend, *back_change, *back_confirm;
};

/* The rule of the step's kind, or NULL. */
const struct mydb_action *mydb_action_of(const struct zdm_step *step);

/* Fills proof and next_run of the result. */
enum zdm_code mydb_answer_back(struct mydb_work *w, bool undone, enum agent_run next);
enum zdm_code mydb_look_foreign(enum agent_proof *out_proof, const char *what, const char *table, const char *name,
                                struct zdm_error *err);

/* sync.c, hide_column.c: SYNC_INSTALL, SYNC_REMOVE, HIDE_COLUMN, PURGE_COLUMN, SHOW_COLUMN */
mydb_look_fn mydb_look_sync, mydb_look_removed_sync, mydb_look_hidden_column, mydb_look_purged_column, mydb_look_shown;
mydb_look_back_fn mydb_back_of_sync, mydb_back_of_removal, mydb_back_of_hidden_column, mydb_back_of_shown;
mydb_part_fn mydb_show_column, mydb_unshow_column;
/* hide_column.c: the column parts of hide.c and purge.c */
mydb_run_fn mydb_hide_column, mydb_unhide_column, mydb_purge_column;
/* trash.c, index_hide.c: HIDE_TABLE, PURGE_TABLE, HIDE_INDEX, PURGE_INDEX, and their parts of hide.c and purge.c */
mydb_look_fn mydb_look_hidden_table, mydb_look_purged_table, mydb_look_hidden_index, mydb_look_purged_index;
mydb_look_back_fn mydb_back_of_hidden_table, mydb_back_of_hidden_index;
mydb_run_fn mydb_hide_table, mydb_unhide_table, mydb_purge_table, mydb_hide_index, mydb_unhide_index, mydb_purge_index;
/* walk.c: BACKFILL, DELETE, CHECK_QUERY, CHECK_COMPARE, GATE_WAIT; images.c: PURGE_IMAGES */
mydb_look_fn mydb_look_walk, mydb_look_images;
mydb_look_back_fn mydb_back_of_walk;
mydb_run_fn mydb_purge_images;
/* gate.c: GATE_WAIT on the way back: .look_back, .back_confirm */
mydb_look_back_fn mydb_back_of_wait;
mydb_part_fn mydb_forget_wait;

#endif
