/*
 * walk_back.h - ways back that walk over rows, batch by batch: before-images written back (images.c), deleted rows
 * brought back (delete_back.c), and old columns brought in step after triggers were installed again.
 *
 * Such a walk keeps its place in zdm.walk_back and not in the journal's row, whose cursor may still be that of a walk
 * forward. The row of the place is written in the batch's transaction, which holds the journal's fence.
 */
#ifndef AGENT_ENGINE_MYSQL_BACK_WALK_BACK_H
#define AGENT_ENGINE_MYSQL_BACK_WALK_BACK_H

#include "agent/engine/mysql/session/work.h"

struct mydb_walk_back {
    bool there, over;
    char *cursor, *bound, *walk_key;
    uint64_t rows_walked, rows_total;
    uint64_t rows_told, rows_left, rows_kept; /* that the remark counts */
    char why_kept[256];                       /* what the server said of the first that the table refuses */
};
void mydb_walk_back_fini(struct mydb_walk_back *place);

/* The table refuses a row for good: it stays where it is kept. Counts it, and clears the error; `words` go in front of
 * what the server said of the first. */
void mydb_walk_back_keep(struct mydb_walk_back *place, const char *words, struct zdm_error *err);

/* In the transaction at hand: the walk of the operation's step starts from the beginning. */
enum zdm_code mydb_walk_back_begin(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_walk_back_forget(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_walk_back_read(struct mydb_work *w, struct mydb_walk_back *out, struct zdm_error *err) ZDM_CHECKED;
/* Writes the row, and the progress into the result. */
enum zdm_code mydb_walk_back_write(struct mydb_work *w, const struct mydb_walk_back *place,
                                   struct zdm_error *err) ZDM_CHECKED;
/* No walk was begun, or it is at its end. */
enum zdm_code mydb_walk_back_over(struct mydb_work *w, bool *out, struct zdm_error *err) ZDM_CHECKED;
/* What it counted, as words, into the result's remark, when the walk is over and there is something to tell. */
enum zdm_code mydb_walk_back_remark(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;

#endif
