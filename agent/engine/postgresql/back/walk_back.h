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
    uint64_t rows_told, rows_left, rows_kept; /* that the remark counts */
    char why_kept[200];                       /* what the server said of the first that it refused */
};
void pgsql_walk_back_fini(struct pgsql_walk_back *place);

/* The place's cursor is there now; NULL: it stays. */
enum zdm_code pgsql_walk_back_to(struct pgsql_walk_back *place, const char *cursor, struct zdm_error *err) ZDM_CHECKED;

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
/* Are the rows still to be counted that hold in a new column what the old one cannot? So it is where new code has
 * written, and not every value fits. */
enum zdm_code pgsql_walk_back_counts(struct pgsql_work *w, const struct zdm_step *sync, bool *out,
                                     struct zdm_error *err) ZDM_CHECKED;
/* Before a new rollback: what walks of earlier ones told was about those. */
enum zdm_code pgsql_walk_back_untell(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* SQL over a row b that is over: "1,204 rows were …", NULL when there is nothing to tell. */
#define PGSQL_WALK_BACK_ROWS(n)                                                                                        \
    "trim(to_char(b." n ", '999,999,999,999,999')) || CASE b." n " WHEN 1 THEN ' row was ' ELSE ' rows were ' END"
#define PGSQL_WALK_BACK_TOLD "CASE WHEN b.rows_told > 0 THEN " PGSQL_WALK_BACK_ROWS("rows_told") " || b.told END"
#define PGSQL_WALK_BACK_LEFT "CASE WHEN b.rows_left > 0 THEN " PGSQL_WALK_BACK_ROWS("rows_left") " || b.why_left END"
/* Of a standby whose primary no agent of this release has written on, the table may lack these columns yet. */
#define PGSQL_WALK_BACK_KEPT                                                                                           \
    "CASE WHEN (to_jsonb(b) ->> 'rows_kept')::int8 > 0 THEN (SELECT " PGSQL_WALK_BACK_ROWS(                            \
        "n") " || b.why FROM (SELECT (to_jsonb(b) ->> 'rows_kept')::int8 AS n, to_jsonb(b) ->> 'why_kept' AS why) AS " \
             "b) END"
#define PGSQL_WALK_BACK_REMARK                                                                                         \
    "nullif(concat_ws('; ', " PGSQL_WALK_BACK_TOLD ", " PGSQL_WALK_BACK_LEFT ", " PGSQL_WALK_BACK_KEPT "), '')"
/* The same into the result's remark, when the walk is over and there are any. */
enum zdm_code pgsql_walk_back_remark(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

/* ---- Rows that the table refuses ---- */

/* How a way takes the next rows behind the place's cursor: at most so many, in one statement or several, and moves the
 * cursor. *out: how many there were; fewer than asked for means that there are no more. */
typedef enum zdm_code pgsql_take_fn(struct pgsql_work *w, struct pgsql_walk_back *place, void *ctx, uint32_t rows,
                                    uint32_t *out, struct zdm_error *err);
/* Moves the cursor over one row, which stays where it is. */
typedef enum zdm_code pgsql_skip_fn(struct pgsql_work *w, struct pgsql_walk_back *place, void *ctx,
                                    struct zdm_error *err);
/* In a savepoint. *refused, with *err as the server said it: nothing was done, the table refuses some of the rows. */
enum zdm_code pgsql_walk_back_try(struct pgsql_work *w, struct pgsql_walk_back *place, pgsql_take_fn *take, void *ctx,
                                  uint32_t rows, uint32_t *out, bool *refused, struct zdm_error *err) ZDM_CHECKED;
/* A batch of the operation's rows, in the transaction at hand. Where a constraint, a trigger or a partition that is
 * gone refuses them, it is tried with half as many, down to the one that is refused: that is passed over, counted in
 * rows_kept, and what the server said of the first is in why_kept, behind `words`. *out_over: there are no more. */
enum zdm_code pgsql_walk_back_take(struct pgsql_work *w, struct pgsql_walk_back *place, pgsql_take_fn *take,
                                   pgsql_skip_fn *skip, void *ctx, const char *words, bool *out_over,
                                   struct zdm_error *err) ZDM_CHECKED;

#endif
