/*
 * steps.h - what follows from a plan alone, for every engine: which walks come after the switch, which fills no trigger
 * follows, and which triggers must go before a step's way back.
 */
#ifndef AGENT_ENGINE_STEPS_H
#define AGENT_ENGINE_STEPS_H

#include "common/plan/plan.h"

/* Does nothing else in the plan fill what the step fills, but its own sync and backfill? */
bool agent_fills_alone(const struct zdm_plan *plan, const struct zdm_step *step);
/* The comparison with which the phase begins that ends a sync in both directions: new code has written since. */
bool agent_step_is_switched(const struct zdm_plan *plan, const struct zdm_step *step);

/* A fill that no trigger follows may read other tables (a count of rows there). Held first, a row gets what they hold
 * when nobody who changes both is under way: the statement that follows sees what those committed. */
bool agent_step_is_once(const struct zdm_step *step);

/* Is that source one of the target's own (database.md 3: the S of t)? The plan lists the sources of all targets of an
 * UPDATE together; each target is derived anew only when what its own expression, or the filter, reads has changed. The
 * compiler writes columns as NEW.<quote>name<quote>: a source that no expression shows so counts for every target. */
bool agent_target_reads(const struct zdm_derivation *d, const struct zdm_assignment *target, const char *source,
                        char quote);

/* The sync steps whose triggers must go before the step's own way back: of a SYNC_INSTALL itself; of a backfill with
 * before-images, those that would carry the old values on. Returns how many were written. */
enum { AGENT_UNDO_SYNCS_MAX = 32 };
size_t agent_undo_syncs(const struct zdm_plan *plan, const struct zdm_step *step,
                        const struct zdm_step *out[AGENT_UNDO_SYNCS_MAX]);

/* Does a person say that nobody looks at the replicas ({unguarded-replicas})? They speak of the step, or where there is
 * none (what rollbacks left behind), of the plan. */
bool agent_is_unguarded(const struct zdm_plan *plan, const struct zdm_step *step);

/* What the remark of a way back counts that walks over rows: rows that it tells of, and rows that it left. */
#define AGENT_IMAGES_TOLD   "changed since and kept"
#define AGENT_IMAGES_LEFT   "deleted or got another key since"
#define AGENT_IMAGES_KEPT   "not changed back, since the table refuses what they held: "
#define AGENT_ARCHIVE_TOLD  "brought back under another key, which a trigger gave them"
#define AGENT_ARCHIVE_KEPT  "not brought back, since the table refuses them: "
#define AGENT_SYNC_DOUBT    "written with what the old column cannot hold: going back further leaves them as they were"
#define AGENT_SYNC_LOST     "not copied back: what new code wrote there does not fit, and stays in the column hidden"
#define AGENT_ARCHIVE_LEFT  "not brought back: the key or another unique value is taken, or what it points at is gone"
#define AGENT_CATCH_UP_TOLD "brought in step with the new column"
#define AGENT_CATCH_UP_LEFT "left, since the old column cannot hold the new value"

#endif
