/*
 * undo.h - the way back, as far as the plan alone decides it: from where to where, what stands in between, what is
 * lost.
 *
 * A rollback to phase q undoes steps in reverse order, from the journal's step down to the *floor*, and then, where the
 * floor lies inside a phase up to q, works forward again to the end of q. The floor is usually the first step after
 * phase q. It is lower when a column that an earlier phase added was filled or kept in sync by what is undone: the
 * filled column is hidden together with its triggers, and added anew, empty, as it was after q. So nothing that went
 * stale while no trigger stood guard is taken for good by the next backfill (database.md 12).
 *
 * `engine` is the shard's: steps of another one are never done there. ANY where it is not known: all steps count.
 */
#ifndef ZDM_PLAN_UNDO_H
#define ZDM_PLAN_UNDO_H

#include "common/plan/plan.h"

/* The first ordinal after the end of phase q (0: before the first): one past the last step where q is the last. */
uint32_t zdm_plan_first_after(const struct zdm_plan *plan, uint32_t phase);
/* Where a rollback to `to_phase` stops going back, when `journal_step` is the first step that is not journalled as
 * done: at least 1, at most zdm_plan_first_after(to_phase). */
uint32_t zdm_plan_undo_floor(const struct zdm_plan *plan, enum zdm_engine engine, uint32_t to_phase,
                             uint32_t journal_step);
/* The step that adds the column which an assignment of `sync` fills, NULL when the migration did not add it. */
const struct zdm_step *zdm_plan_adds(const struct zdm_plan *plan, const struct zdm_table *table, const char *column);

/* The highest switch phase in (to_phase, entered], 0 for none: its flag must be off before a shard goes below it. */
uint32_t zdm_plan_switch_between(const struct zdm_plan *plan, uint32_t to_phase, uint32_t entered);
/* New code wrote on what the phases up to this one made: the highest switch phase that a shard has entered, or where
 * the last rollback ended that went below it; 0: nothing that it wrote can be there any more. So the mark outlasts a
 * rollback in several legs. `switched` is the mark as it was kept, `entered` the highest phase that was entered since.
 */
uint32_t zdm_plan_switched(const struct zdm_plan *plan, uint32_t switched, uint32_t entered);
/* Would a rollback to `to_phase`, of a shard that has entered phase `entered` and whose mark is `switched`
 * (zdm_plan_switched), lose what new application code wrote? So it is when it goes below the mark, or its floor
 * does, and a column that would be hidden is not copied back (protocol 1), or a whole table would be hidden: then M
 * approvals of action UNDO are asked for. *out_step: the sync or backfill that does not run backwards, or the step that
 * adds the table, or a column which nothing fills. */
bool zdm_plan_undo_loses(const struct zdm_plan *plan, enum zdm_engine engine, uint32_t to_phase, uint32_t entered,
                         uint32_t switched, const struct zdm_step **out_step);
/* The first sync on the way, of those with an ordinal above `behind`, that copies back what new code wrote: exactly
 * only as far as the old column can hold it, which the plan does not know. NULL: none, or new code has not written. */
const struct zdm_step *zdm_plan_undo_copies(const struct zdm_plan *plan, enum zdm_engine engine, uint32_t to_phase,
                                            uint32_t entered, uint32_t switched, uint32_t behind);
/* The first purge step in (to_phase, …) with an ordinal below journal_step: what it dropped cannot be brought back.
 * NULL: none. */
const struct zdm_step *zdm_plan_purged(const struct zdm_plan *plan, enum zdm_engine engine, uint32_t to_phase,
                                       uint32_t journal_step);
/* Once begun, does doing it a second time do something else than doing it once? Nobody repeats it unasked: a deletion
 * takes rows that came since, a statement as it is nobody knows. */
bool zdm_plan_overwrites(const struct zdm_step *step);
/* What a rollback to `to_phase` would undo and then do again, because the floor lies below the goal, and what nobody
 * does again unasked: a step that does something else the second time (zdm_plan_overwrites), or any step of a phase
 * that people let in. journal_step as for zdm_plan_undo_floor. */
struct zdm_undo_repeat {
    const struct zdm_phase *phase;
    const struct zdm_step *step; /* NULL: the whole phase, which needs approvals */
    uint32_t below;              /* the highest phase below that can be gone back to: the way on */
};
bool zdm_plan_undo_repeats(const struct zdm_plan *plan, enum zdm_engine engine, uint32_t to_phase,
                           uint32_t journal_step, struct zdm_undo_repeat *out);
/* One sentence, for the agent that refuses and for who is told beforehand. */
void zdm_undo_repeat_text(char *out, size_t size, const struct zdm_undo_repeat *repeat);

/* The number of the purge phase, 0 when the plan has none. */
uint32_t zdm_plan_purge_phase(const struct zdm_plan *plan);

#endif
