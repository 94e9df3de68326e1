/*
 * mysql.h - the MySQL and MariaDB dialect of runbooks, as the rest of the compiler calls it.
 *
 * A pass of engine ZDM_ENGINE_MYSQL hands the text of its fences to these functions and nothing to PostgreSQL's
 * grammar. What they share with the other dialect is in compile.h: positions (rb_place_in_fence), findings, the model
 * (rb_step_add sets the step's engine; rb_quote, rb_table_sql and rb_plain write as the pass's engine does), names
 * (rb_trash_name, rb_images_name); in ddl.h what is known of objects. Tables have the schema "".
 *
 * What a fence says for its steps is set when the plan is made (unguarded, publication_ok, skip_triggers, and
 * rewrite_ok of those that may have it: one word for one permission, as for as-is statements). A column that is added
 * without {visible} (fence->visible) needs nothing more than its ADD_COLUMN step: assemble.c adds the SHOW_COLUMN.
 *
 * rb->neutral: the fence is compiled for PostgreSQL too; what has another meaning there, or none, is an error of rule
 * "not-neutral" (rb_not_neutral in compile.h).
 */
#ifndef ZDM_RUNBOOK_MYSQL_MYSQL_H
#define ZDM_RUNBOOK_MYSQL_MYSQL_H

#include "common/runbook/compile.h"

/* An sql fence, statement by statement; fence->check: queries that must return no row. As-is fences and their parts
 * are not given to it. Findings of rule attribute-unused and no-undo-unused included. */
void rb_mysql_compile(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence);

/* The statements of an as-is fence, or of its way back: verbatim, without the semicolons at their ends, with ";\n"
 * between two. What no fence may hold (SET, transactions, LOCK …) is a finding. */
void rb_mysql_as_is(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence, struct rb_as_is_text *out);

/* The one SELECT of a fence as agents run it: the proof of an as-is statement, the condition of a wait. NULL with
 * findings; `rule` is that of "there is not one SELECT". */
const char *rb_mysql_query(struct rb *rb, struct rb_phase *phase, struct rb_fence *fence, const char *rule);

/* Must a name that is this word be quoted, in MySQL or in MariaDB? Lower case. */
bool rb_mysql_is_reserved(const char *word);

#endif
