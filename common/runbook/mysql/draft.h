/*
 * draft.h - drafts from MySQL's SQL: shared by draft.c (which phase a statement belongs into) and draft_column.c (what
 * becomes of columns).
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
    size_t from, end; /* its tokens */
};

/* It as a statement of its own; title and id of the draft, where it has none. */
const char *my_piece_text(const struct my_piece *p);
void my_piece_title(const struct my_piece *p, const char *word, const char *what);

/* ---- draft_column.c ---- */

/* Behind ADD. */
void my_draft_add_column(const struct my_piece *p);
/* def NULL: the SQL does not say it. */
void my_draft_rename_column(const struct my_piece *p, const char *from, const char *to,
                            const struct my_definition *def);
void my_draft_change_type(const struct my_piece *p, const struct my_definition *def);
/* New code may leave the column out before it is dropped. */
void my_draft_free(const struct my_piece *p, const char *column);
/* NOT NULL of that column once all rows have a value. */
void my_draft_not_null(const struct my_piece *p, enum rb_draft_phase phase, const char *name,
                       const struct my_definition *def);

#endif
