/*
 * draft.h - drafts from MySQL's SQL: shared by draft.c (which phase a statement belongs into), draft_alter.c (an action
 * of ALTER TABLE), draft_add.c and draft_column.c (columns that are added, that change), draft_type.c (from type to
 * type) and draft_rest.c (what stands behind a column's type).
 */
#ifndef ZDM_RUNBOOK_MYSQL_DRAFT_H
#define ZDM_RUNBOOK_MYSQL_DRAFT_H

#include "common/runbook/draft.h"
#include "common/runbook/mysql/parse.h"

/* An action of ALTER TABLE, alone. */
struct my_piece {
    struct rb_draft *d;
    struct my *m;
    struct rb_table table;
    const char *name; /* of the table, as people write it */
    const char *lead; /* what stands in front of them: "", or "ADD " for one of a list */
    size_t from, end; /* its tokens */
};

/* It as a statement of its own; title and id of the draft, where it has none. */
const char *my_piece_text(const struct my_piece *p);
void my_piece_title(const struct my_piece *p, const char *word, const char *what);

/* Is it read to its end? False with a finding. */
bool my_piece_ends(const struct my_piece *p);

/* ---- draft.c ---- */

void my_draft_say_condition(struct rb_draft *d); /* that IF EXISTS is left out */
void my_draft_rename_table(struct rb_draft *d, const struct rb_table *table, const char *to);

/* ---- draft_alter.c ---- */

/* Behind ALTER. */
void my_draft_alter(struct rb_draft *d, struct my *m);
void my_draft_index(const struct my_piece *p, const char *sql, bool unique);
/* Behind the last token of the action at hand, `most` at most. */
size_t my_end_of_action(const struct my *m, size_t most);

/* ---- draft_add.c, draft_column.c ---- */

/* Behind ADD. */
void my_draft_add_column(const struct my_piece *p);
/* MODIFY … NOT NULL of a column that the script adds. */
void my_draft_now_not_null(const struct my_piece *p, const struct my_definition *def);
/* def NULL: the SQL does not say it. */
void my_draft_rename_column(const struct my_piece *p, const char *from, const char *to,
                            const struct my_definition *def);
/* Says that new code may leave the column out before it is dropped. */
void my_draft_free(const struct my_piece *p, const char *column);
/* A MODIFY: another type, or the same one with another answer to NULL. */
void my_draft_change_type(const struct my_piece *p, struct my_definition *def);

/* ---- draft_type.c ---- */

/* The present type of the column, as far as it is known: the one that was given is of one column. NULL. */
const char *my_known_type(const struct my_piece *p, const char *column);
bool my_is_same_type(struct rb *rb, const char *a, const char *b);
/* What a value needs so that it becomes one of the type, NULL: nothing; and the type that takes every such value. */
const char *my_cast_of(const struct my_piece *p, const struct my_definition *def);
const char *my_type_for(const struct my_piece *p, const struct my_definition *def);
/* Does the server change the catalogue alone, as far as the words tell? It is asked on a clone. */
bool my_may_widen(const struct my_piece *p, const struct my_definition *def);

/* ---- draft_rest.c ---- */

bool my_draft_has_value(const struct my_definition *def); /* a default that is not NULL */
/* A fence that proves it, of a condition in parentheses. */
void my_draft_check(const struct my_piece *p, const char *condition);
/* The constraints of a definition, for a column that was added and filled under that name; and all but the type. */
void my_draft_constraints(const struct my_piece *p, const char *name, const struct my_definition *def);
void my_draft_rest(const struct my_piece *p, const char *name, const struct my_definition *def);
/* rebuilds: NULL is allowed or forbidden, for which the server builds the table anew. */
void my_draft_modify(const struct my_piece *p, enum rb_draft_phase phase, const char *name,
                     const struct my_definition *def, bool rebuilds);

#endif
