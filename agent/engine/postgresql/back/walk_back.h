/*
 * walk_back.h - ways back that walk over rows, batch by batch: before-images written back (images.c), deleted rows
 * brought back (delete_back.c), and old columns brought in step after triggers were installed again.
 *
 * Such a walk keeps its place in zdm.walk_back and not in the journal's row, whose cursor may still be that of a walk
 * forward. The row of the place is written in the batch's transaction, which holds the journal's fence.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_BACK_WALK_BACK_H
#define AGENT_ENGINE_POSTGRESQL_BACK_WALK_BACK_H

#include "agent/engine/postgresql/session/work.h"

struct pgsql_walk_back {
    bool there, over;
    char *cursor, *bound, *walk_key;
    uint64_t rows_walked, rows_total;
    uint64_t rows_told, rows_left; /* that the remark counts */
};
void pgsql_walk_back_fini(struct pgsql_walk_back *place);

/* In the transaction at hand: the walk of the operation's step starts from the beginning. */
enum zdm_code pgsql_walk_back_begin(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_walk_back_forget(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_walk_back_read(struct pgsql_work *w, struct pgsql_walk_back *out,
                                   struct zdm_error *err) ZDM_CHECKED;
/* Writes the row, and the progress into the result. */
enum zdm_code pgsql_walk_back_write(struct pgsql_work *w, const struct pgsql_walk_back *place,
                                    struct zdm_error *err) ZDM_CHECKED;
/* No walk was begun, or it is at its end. */
enum zdm_code pgsql_walk_back_over(struct pgsql_work *w, bool *out, struct zdm_error *err) ZDM_CHECKED;
/* Before a new rollback: what walks of earlier ones told was about those. */
enum zdm_code pgsql_walk_back_untell(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* SQL over a row b that is over: "1,204 rows were …", NULL when there is nothing to tell. */
#define PGSQL_WALK_BACK_ROWS(n)                                                                                        \
    "trim(to_char(b." n ", '999,999,999,999,999')) || CASE b." n " WHEN 1 THEN ' row was ' ELSE ' rows were ' END"
#define PGSQL_WALK_BACK_TOLD   "CASE WHEN b.rows_told > 0 THEN " PGSQL_WALK_BACK_ROWS("rows_told") " || b.told END"
#define PGSQL_WALK_BACK_LEFT   "CASE WHEN b.rows_left > 0 THEN " PGSQL_WALK_BACK_ROWS("rows_left") " || b.why_left END"
#define PGSQL_WALK_BACK_REMARK "nullif(concat_ws('; ', " PGSQL_WALK_BACK_TOLD ", " PGSQL_WALK_BACK_LEFT "), '')"
/* The same into the result's remark, when the walk is over and there are any. */
enum zdm_code pgsql_walk_back_remark(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

#endif
