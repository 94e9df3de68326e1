/*
 * sim_schema.h - what is physically true of one migration in a simulated database, whatever its journal says.
 *
 * Every step of a plan owns a place in `made`: what the step's object is now. Steps that change an object of another
 * one (VALIDATE, DROP CONSTRAINT, SYNC REMOVE, UNHIDE, PURGE) write into that one's place. So two schemas are the same
 * exactly when their places are, which is how a rollback is judged: after it, the schema is as it was when the phase
 * was first proven. What a rollback hid lies beside, in `leftovers`.
 *
 * A structure without pointers: a backup of a database copies it as it is.
 */
#ifndef TESTS_SIM_SIM_SCHEMA_H
#define TESTS_SIM_SIM_SCHEMA_H

#include "agent/engine/engine.h"

enum {
    SIM_STEPS_MAX = 40,
    SIM_PHASES_MAX = 8,
    SIM_ROWS_MAX = 512,
    SIM_FILLS_MAX = 5, /* backfills and deletions of one plan */
    SIM_LEFTOVERS_MAX = 64
};

enum sim_made {
    SIM_ABSENT = 0,
    SIM_THERE = 1,
    SIM_VALID = 2,    /* a constraint that was validated */
    SIM_INVALID = 3,  /* an index that was not built to its end */
    SIM_REVERSE = 4,  /* triggers that only write into a hidden column */
    SIM_HIDDEN = 5,   /* a column that was there before the migration */
    SIM_PURGED = 6,   /* such a column, gone for good */
    SIM_UNPROVEN = 7, /* such a column, back, with constraints that are not validated again */
};

enum { SIM_OWN = 1, SIM_APART = 2 /* no trigger was there to carry it into the old column */ };

struct sim_picture {
    uint8_t made[SIM_STEPS_MAX + 1];
    uint32_t filled[SIM_FILLS_MAX]; /* changes of rows by each backfill, added up */
};

struct sim_schema {
    uint8_t made[SIM_STEPS_MAX + 1]; /* enum sim_made, by ordinal */
    bool written[SIM_STEPS_MAX + 1]; /* a column or table that new code has written to, and nothing copies that back */
    uint8_t counters[SIM_FILLS_MAX][SIM_ROWS_MAX];
    uint8_t own[SIM_FILLS_MAX][SIM_ROWS_MAX]; /* rows that new code has written: SIM_OWN, and SIM_APART */
    int64_t gap_ms;                           /* triggers were not what was installed, seen last then; 0: no note */
    int64_t compared_ms;                      /* when the last comparison began */
    bool again[SIM_FILLS_MAX]; /* journalled as undone, and its rows are still filled: it passes over them */
    int64_t hidden_at_ms[SIM_STEPS_MAX + 1];   /* of HIDE COLUMN, and of images: when they were begun */
    int64_t waits_since_ms[SIM_STEPS_MAX + 1]; /* a wait was begun; 0: no */
    int64_t leftovers[SIM_LEFTOVERS_MAX];      /* when rollbacks hid something that is still there */
    size_t n_leftovers;
    struct sim_picture proven[SIM_PHASES_MAX + 1]; /* as it was when each phase was first proven */
    bool is_proven[SIM_PHASES_MAX + 1];
};

/* Is the step done, or with `back` undone (out_next: what comes next)? `journalled`: what the journal says of steps
 * that leave no object. */
enum agent_proof sim_schema_look(const struct sim_schema *schema, const struct zdm_plan *plan, uint32_t step,
                                 bool journalled);
enum agent_proof sim_schema_look_back(const struct sim_schema *schema, const struct zdm_plan *plan, uint32_t step,
                                      enum agent_run *out_next);
/* Which of the plan's backfills the step is: 0, 1, … */
unsigned sim_schema_fill(const struct zdm_plan *plan, uint32_t step);
/* Makes what the step makes. NULL, or what must never happen. */
const char *sim_schema_do(struct sim_schema *schema, const struct zdm_plan *plan, uint32_t step, int64_t now_ms);
/* Would the server refuse to install the triggers of that sync, because a column that they write is not there? */
bool sim_schema_lacks_target(const struct sim_schema *schema, const struct zdm_plan *plan, uint32_t sync);
/* One part of the way back. `signed_away`: people have said that what new code wrote may be lost. */
const char *sim_schema_undo(struct sim_schema *schema, const struct agent_op *op, int64_t now_ms, bool signed_away);
/* Orders let the shard be in that phase: where a switch is behind it new code writes into whatever earlier phases have
 * made for it. */
void sim_schema_write(struct sim_schema *schema, const struct zdm_plan *plan, uint32_t reached);
/* Somebody takes the triggers of a sync away that keeps step behind a switch, and new code writes on; false: there is
 * none. `reached`: the highest phase that orders let it be in. */
bool sim_schema_cut_sync(struct sim_schema *schema, const struct zdm_plan *plan, uint32_t reached, int64_t now_ms);
/* May new code have written on what the step's phase made? */
bool sim_schema_is_behind_switch(const struct zdm_plan *plan, uint32_t step, uint32_t reached);
/* Does the row hold something else than the comparison asks for? */
bool sim_schema_differs(const struct sim_schema *schema, const struct zdm_plan *plan, uint32_t compare, uint32_t row);
/* A person puts all rows right by hand. */
void sim_schema_mend(struct sim_schema *schema, const struct zdm_plan *plan, uint32_t rows);
/* One look at a wait: 0, it is over and done; else milliseconds until the next look. */
int64_t sim_schema_wait(struct sim_schema *schema, const struct zdm_plan *plan, uint32_t step, int64_t now_ms);
/* Another plan has the same first phases, `common` of them: what is remembered of the others is forgotten. NULL, or
 * what must never happen: something of them is still there. */
const char *sim_schema_amend(struct sim_schema *schema, const struct zdm_plan *plan, uint32_t common);
/* A batch of before-images is written back; the last one takes their table away. How many rows. */
uint32_t sim_schema_images_back(struct sim_schema *schema, const struct agent_op *op, uint32_t rows);
/* A backfill is journalled as undone: when it goes forward again before its column is hidden, it finds it filled. */
void sim_schema_unfilled(struct sim_schema *schema, const struct zdm_plan *plan, uint32_t step);
/* A backfill keeps what it overwrites: since now, unless it does already. */
void sim_schema_keep_images(struct sim_schema *schema, uint32_t step, int64_t now_ms);
/* When the grace period of what a PURGE step drops, or of the oldest leftover (step 0), began; 0: nothing is hidden. */
int64_t sim_schema_hidden_since(const struct sim_schema *schema, const struct zdm_plan *plan, uint32_t step);
void sim_schema_drop_leftover(struct sim_schema *schema);
/* Remembers how it looks now that a phase is proven for the first time. */
void sim_schema_remember(struct sim_schema *schema, uint32_t phase);
/* Does it look as it did when the phase was proven? */
bool sim_schema_is_as_at(const struct sim_schema *schema, uint32_t phase);
/* The last step that hides what the PURGE step drops, 0 for none. */
uint32_t sim_schema_hides(const struct zdm_plan *plan, const struct zdm_step *purge);

#endif
