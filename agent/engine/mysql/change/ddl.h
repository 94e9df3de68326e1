/*
 * ddl.h - what the files that change the catalogue share.
 *
 * A change is written down, made, and confirmed (work.h). What is written down: a row of zdm.owned for what is made, of
 * zdm.hidden for what goes out of sight, of zdm.former for what is put back by a statement. A name alone does not prove
 * that an object is ours, as long as the change is not confirmed: part MYDB_FINGERPRINT of zdm.former holds how the
 * object looked on the judge's clone, and one that looks different was made by somebody else.
 */
#ifndef AGENT_ENGINE_MYSQL_CHANGE_DDL_H
#define AGENT_ENGINE_MYSQL_CHANGE_DDL_H

#include "agent/engine/mysql/actions.h"
#include "agent/engine/mysql/journal/journal.h"
#include "agent/engine/mysql/change/judge.h"

/* Parts of zdm.former; the way back's own begin at 1, and CREATE_INDEX has none of these. */
enum { MYDB_FINGERPRINT = 0, MYDB_BUILT = 1, MYDB_PUSHED = 8 /* and above: index.c's, for the way back */ };

/* inspect.c: looks at the step, in whatever transaction there is. FOREIGN fills err without being a failure. */
enum zdm_code mydb_look(struct mydb_work *w, enum agent_proof *out_proof, struct zdm_error *err) ZDM_CHECKED;
/* The same of the way back: proof, next_run and remark of the result. */
enum zdm_code mydb_look_back(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;
enum agent_proof mydb_done_if(bool done);
/* Is there nothing to look at, since a rollback took the table away that an earlier step made? */
enum zdm_code mydb_created_is_gone(struct mydb_work *w, bool *out, struct zdm_error *err) ZDM_CHECKED;

/* ddl.c: one short transaction with the fence: begin, the part (may be NULL), hold or step on, commit. */
enum zdm_code mydb_note(struct mydb_work *w, mydb_part_fn *part, const struct mydb_table *table, bool step_on,
                        struct zdm_error *err) ZDM_CHECKED;
/* Tries an ALTER TABLE on a clone, puts what the server allows behind it, and runs it (judge.h, locks.h). */
enum zdm_code mydb_alter(struct mydb_work *w, const struct mydb_table *table, const char *sql,
                         struct zdm_error *err) ZDM_CHECKED;
/* … with foreign_key_checks = 0 for that statement alone. */
enum zdm_code mydb_alter_unchecked(struct mydb_work *w, const struct mydb_table *table, const char *sql,
                                   struct zdm_error *err) ZDM_CHECKED;
/* Asks the table itself, one algorithm after the other: one that is refused has changed nothing, and mydb_is_not_online
 * tells where all were. For what a clone cannot show. */
enum zdm_code mydb_alter_itself(struct mydb_work *w, const char *table, const char *sql,
                                struct zdm_error *err) ZDM_CHECKED;
/* Rows are not looked at when a foreign key is made while they are off. Whatever happens in between, they are on again
 * or the session is closed. */
enum zdm_code mydb_fk_checks(struct mydb_session *s, bool on, struct zdm_error *err) ZDM_CHECKED;
/* Appends "ALTER TABLE `name` ". */
void mydb_put_alter(struct zdm_buffer *b, const char *table);
/* "table.name" as zdm.owned has it. */
void mydb_owned_name(struct zdm_buffer *out, const char *table, const char *name);
/* A name for what a rollback puts out of sight: "zdm_u" and eight digits, another one each time. */
enum zdm_code mydb_leftover_name(struct mydb_session *s, char out[ZDM_IDENTIFIER_MAX + 2],
                                 struct zdm_error *err) ZDM_CHECKED;
/* The row of zdm.hidden of that step and kind which is in that state (NULL: any); *out_found false: none. Freed with
 * mydb_hidden_free(out, 1). */
enum zdm_code mydb_hidden_find(struct mydb_work *w, uint32_t step, const char *kind, const char *state, bool *out_found,
                               struct mydb_hidden **out, struct zdm_error *err) ZDM_CHECKED;

/* column.c: what ADD_COLUMN and CREATE_INDEX share. Tries the statement on a clone and keeps the line that it made in
 * w->made; writes the owner's row, and that line, in the transaction at hand; is what is there the same, as long as the
 * step is not journalled as done? And after a final failure (err, whose code it returns): nothing was made. */
enum zdm_code mydb_learn_made(struct mydb_work *w, const struct mydb_table *table, const char *sql, enum mydb_line kind,
                              const char *name, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_intend_made(struct mydb_work *w, const char *kind, const char *table, const char *name,
                               struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_is_as_intended(struct mydb_work *w, enum mydb_line kind, const char *name, bool *out,
                                  struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_withdraw(struct mydb_work *w, const char *kind, const char *table, const char *name,
                            struct zdm_error *err);
/* The statement of ADD_COLUMN, with INVISIBLE where the definition ends. Pure. */
void mydb_put_add_column(struct zdm_buffer *out, const char *sql, bool invisible);

/* index_show.c. Tries the step's index on a clone, keeps its line in w->made, and gives the statement that builds it:
 * out of the optimizer's sight, where the server can. Is the line that of the intended index, hidden or not? Is it in
 * sight, unless it was hidden again after the step? Shows it as soon as no snapshot is left that cannot read it
 * (ZDM_LOCK names who has one). */
enum zdm_code mydb_index_learn(struct mydb_work *w, const struct mydb_table *table, struct zdm_buffer *out_sql,
                               struct zdm_error *err) ZDM_CHECKED;
bool mydb_index_is_same(const struct mydb_session *s, const char *line, const char *intended);
enum zdm_code mydb_index_is_shown(struct mydb_work *w, const struct mydb_index *index, bool *out,
                                  struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_index_show(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err) ZDM_CHECKED;

/* foreign_key.c: what kind of constraint the table has under that name: "FOREIGN KEY", "CHECK", "UNIQUE", "PRIMARY
 * KEY",
 * "" for none. */
enum zdm_code mydb_constraint_look(struct mydb_work *w, const char *table, const char *name, char out_kind[32],
                                   struct zdm_error *err) ZDM_CHECKED;
/* lift.c: how the server prints a constraint, as SQL of the agent (*out malloc'd; NULL: there is none); and that kept
 * in a row of zdm.hidden with the statement that brings it back, in the transaction at hand. */
enum zdm_code mydb_constraint_text(struct mydb_work *w, const char *table, const char *name, char **out,
                                   struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_constraint_keep(struct mydb_work *w, const char *kind, const char *table, const char *name,
                                   struct zdm_error *err) ZDM_CHECKED;
/* column_rules.c, pure: does the SQL say that word outside of texts, names and comments? May the step's MODIFY turn the
 * column so? ZDM_REFUSED says what is not written, with the words to write. */
bool mydb_says(const char *sql, const char *word);
enum zdm_code mydb_column_compare(const struct zdm_step *step, const struct mydb_column *before,
                                  const struct mydb_column *after, struct zdm_error *err) ZDM_CHECKED;

mydb_look_fn mydb_look_added_column, mydb_look_index, mydb_look_constraint, mydb_look_validated, mydb_look_former,
    mydb_look_created_table, mydb_look_lifted, mydb_look_as_is, mydb_look_nothing;
mydb_look_back_fn mydb_back_of_column, mydb_back_of_index, mydb_back_of_constraint, mydb_back_of_former,
    mydb_back_of_created_table, mydb_back_of_lifted, mydb_back_of_as_is;
mydb_part_fn mydb_may_add_column, mydb_intend_column, mydb_add_column;
mydb_part_fn mydb_back_change_column;
mydb_part_fn mydb_may_add_foreign_key, mydb_intend_foreign_key, mydb_add_foreign_key;
mydb_part_fn mydb_drop_foreign_key, mydb_forget_foreign_key;
mydb_part_fn mydb_may_set, mydb_keep_former, mydb_change_setting;
mydb_part_fn mydb_restore_former, mydb_confirm_fingerprint;
mydb_part_fn mydb_may_create_table, mydb_intend_table, mydb_create_table;
mydb_part_fn mydb_back_intend_table, mydb_back_change_table, mydb_back_confirm_table;
mydb_part_fn mydb_may_lift, mydb_intend_lift, mydb_lift, mydb_confirm_lift;
mydb_part_fn mydb_may_run_as_is, mydb_intend_as_is, mydb_run_as_is;
mydb_part_fn mydb_undo_as_is, mydb_forget_as_is;

/* What hide.c and purge.c name by the step's action. */
mydb_run_fn mydb_unlift;
/* Of HIDE_TABLE and LIFT_CONSTRAINT: reads the rows once for the next foreign key that came back. */
mydb_run_fn mydb_restore_foreign_key;

/* purge.c: really drops what rollbacks of this migration left on the step's table; NULL step: the next thing there is.
 */
enum zdm_code mydb_leftovers_look(struct mydb_work *w, bool *out_none, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_purge_leftovers_of_table(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Before the grace is over: false, and the result says how long. Rows of that step, or what rollbacks left of the
 * table. */
enum zdm_code mydb_purge_is_due(struct mydb_work *w, bool *out, struct zdm_error *err) ZDM_CHECKED;

#endif
