/*
 * looks.h - the functions that actions.c names, by file. Signatures: actions.h.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_LOOKS_H
#define AGENT_ENGINE_POSTGRESQL_LOOKS_H

#include "agent/engine/postgresql/actions.h"

#define PGSQL_LOOK(name)                                                                                               \
    enum zdm_code name(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,             \
                       struct zdm_error *err)
#define PGSQL_LOOK_BACK(name)                                                                                          \
    enum zdm_code name(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
#define PGSQL_PART(name)                                                                                               \
    enum zdm_code name(struct pgsql_short *attempt, const struct pgsql_table *table, struct zdm_error *err)

/* inspect.c */
/* Asks with a query that a person wrote, or a part of one, in the transaction at hand and with the table's schema
 * searched as the plan expects. */
enum zdm_code pgsql_query_as_plan(struct pgsql_work *w, const char *sql, PGresult **out,
                                  struct zdm_error *err) ZDM_CHECKED;
enum agent_proof pgsql_done_if(bool done);
/* Is a table that the step is about one which an earlier step of the plan creates, and not there (any more)? Then
 * nothing of the step is there either: it went out of sight with its table. */
enum zdm_code pgsql_created_is_gone(struct pgsql_work *w, bool *out, struct zdm_error *err) ZDM_CHECKED;
/* FOREIGN, and the error that says what of the table is in the way. table NULL: the name says all. */
enum zdm_code pgsql_look_foreign(enum agent_proof *out_proof, const struct pgsql_table *table, const char *what,
                                 const char *name, struct zdm_error *err);
PGSQL_LOOK(pgsql_look_added_column);
PGSQL_LOOK(pgsql_look_not_null);
PGSQL_LOOK(pgsql_look_hidden_column);
PGSQL_LOOK(pgsql_look_walk);
PGSQL_LOOK(pgsql_look_images);
PGSQL_LOOK(pgsql_look_index);
PGSQL_LOOK(pgsql_look_sync);
PGSQL_LOOK(pgsql_look_removed_sync);
PGSQL_LOOK(pgsql_look_nothing);

/* undo.c: fills proof and next_run of the result */
enum zdm_code pgsql_answer_back(struct pgsql_work *w, bool undone, enum agent_run next);
PGSQL_LOOK_BACK(pgsql_back_of_column);
PGSQL_LOOK_BACK(pgsql_back_of_not_null);
PGSQL_LOOK_BACK(pgsql_back_of_sync);
PGSQL_LOOK_BACK(pgsql_back_of_walk);
PGSQL_LOOK_BACK(pgsql_back_of_removal);
PGSQL_PART(pgsql_undo_column);
PGSQL_PART(pgsql_undo_not_null);
/* The step's inverse statement. */
PGSQL_PART(pgsql_undo_by_inverse);

/* ddl.c */
PGSQL_PART(pgsql_may_set_not_null);
PGSQL_PART(pgsql_note_not_null);

/* constraint.c */
PGSQL_LOOK(pgsql_look_constraint);
PGSQL_LOOK(pgsql_look_no_constraint);
PGSQL_LOOK(pgsql_look_validated);
PGSQL_LOOK_BACK(pgsql_back_of_constraint);
PGSQL_PART(pgsql_may_use_index);
PGSQL_PART(pgsql_note_used_index);
/* Locks others, each SHARE ROW EXCLUSIVE; for the way back, ACCESS EXCLUSIVE. */
PGSQL_PART(pgsql_lock_parents);
PGSQL_PART(pgsql_lock_parents_to_drop);
PGSQL_PART(pgsql_add_foreign_key);
PGSQL_PART(pgsql_drop_foreign_key);
/* The step that adds the constraint which the operation's step is about; NULL: this migration does not. */
const struct zdm_step *pgsql_adding_step(const struct pgsql_work *w);
/* COMMENT ON CONSTRAINT … IS the owner's mark. */
enum zdm_code pgsql_mark_constraint(struct pgsql_work *w, const struct zdm_table *table, const char *name,
                                    struct zdm_error *err) ZDM_CHECKED;
/* The leaves of a partitioned table, and what each has under the step's object. */
struct pgsql_leaf {
    struct zdm_table name; /* borrowed from res */
    bool there, valid, ours;
};
struct pgsql_leaves {
    PGresult *res;
    struct pgsql_leaf *leaf;
    size_t n;
};
enum zdm_code pgsql_leaves_read(struct pgsql_work *w, const struct pgsql_table *table, struct pgsql_leaves *out,
                                struct zdm_error *err) ZDM_CHECKED;
void pgsql_leaves_fini(struct pgsql_leaves *leaves);

/* settings.c: SET_DEFAULT, SET_STORAGE, COMMENT, WIDEN_TYPE */
PGSQL_LOOK(pgsql_look_former);
PGSQL_LOOK_BACK(pgsql_back_of_former);
PGSQL_PART(pgsql_change_and_keep);
PGSQL_PART(pgsql_undo_former);
PGSQL_LOOK(pgsql_look_type);
PGSQL_PART(pgsql_may_widen);
PGSQL_PART(pgsql_lock_commented);

/* object.c: CREATE_TABLE, CREATE_TYPE, ADD_VALUE */
PGSQL_LOOK(pgsql_look_created_table);
PGSQL_LOOK(pgsql_look_created_type);
PGSQL_LOOK(pgsql_look_value);
PGSQL_LOOK_BACK(pgsql_back_of_created_table);
PGSQL_LOOK_BACK(pgsql_back_of_created_type);
PGSQL_PART(pgsql_create);
PGSQL_PART(pgsql_undo_created_table);
PGSQL_PART(pgsql_undo_created_type);

/* partition.c */
PGSQL_LOOK(pgsql_look_attached);
PGSQL_LOOK(pgsql_look_detached);
PGSQL_LOOK_BACK(pgsql_back_of_attach);
PGSQL_LOOK_BACK(pgsql_back_of_detach);
PGSQL_PART(pgsql_add_partition_check);
PGSQL_PART(pgsql_lock_partition);
PGSQL_PART(pgsql_keep_attach);
/* partition_default.c: is the default partition in the way of a partition that is to be attached? */
enum zdm_code pgsql_attach_ahead(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
PGSQL_PART(pgsql_attach);
PGSQL_PART(pgsql_note_attach);
PGSQL_PART(pgsql_may_detach);
PGSQL_PART(pgsql_keep_bound);
PGSQL_PART(pgsql_undo_attach);
PGSQL_PART(pgsql_undo_detach);
enum zdm_code pgsql_undo_detach_ahead(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

/* as_is.c */
PGSQL_LOOK(pgsql_look_as_is);
PGSQL_LOOK_BACK(pgsql_back_of_as_is);
PGSQL_PART(pgsql_lock_named);
PGSQL_PART(pgsql_may_run_as_is);
PGSQL_PART(pgsql_run_as_is);
PGSQL_PART(pgsql_undo_as_is);

/* gate.c */
PGSQL_LOOK_BACK(pgsql_back_of_wait);
PGSQL_PART(pgsql_undo_wait);

#endif
