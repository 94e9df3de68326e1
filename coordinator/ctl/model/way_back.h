/*
 * way_back.h - a rollback before it is signed: how far one command goes, whether a flag stands in the way, and in words
 * what will happen. Pure: plan and places in, decision and text out.
 *
 * The coordinator and the agents decide the same by themselves; this is what a person reads first.
 */
#ifndef COORDINATOR_CTL_MODEL_WAY_BACK_H
#define COORDINATOR_CTL_MODEL_WAY_BACK_H

#include "common/plan/undo.h"
#include "coordinator/ctl/model/place.h"
#include "coordinator/ctl/text/text.h"

struct ctl_way {
    const struct zdm_plan *plan;
    const struct ctl_places *places;
    uint32_t to_phase;
    uint32_t gate;    /* the first leg ends at this switch phase: its flag is to be turned off next; 0: none */
    uint32_t crossed; /* the lowest switch phase that it goes below, 0 for none: its flag must be off */
    bool loses;       /* something that new code wrote would be gone: approvals are asked for */
    const struct zdm_step *loses_step;
    const char *in_doubt; /* a shard whose agent may say no, because of `repeat`; NULL: none */
    struct zdm_undo_repeat repeat;
    uint32_t entered;     /* of the shard that is farthest */
    size_t others_beyond; /* shards that were not chosen and have gone beyond the switch phase `crossed` */
    const char *chosen;   /* how the shards were chosen, for the command of the next leg: "--all-shards"; borrowed */
};

/* to: where --to points, or negative: as far as one command may go. opened: the phase that an advance let shards into.
 * ZDM_REFUSED, with the commands to type instead, when a flag's phase stands between or something was purged;
 * ZDM_INVALID when there is nothing to take back. Borrows plan and places. */
enum zdm_code ctl_way_find(const struct zdm_plan *plan, const struct ctl_places *places, uint32_t opened, int64_t to,
                           struct ctl_way *out, struct zdm_error *err) ZDM_CHECKED;

/* The key of the flag of a switch phase, "" when it has none. */
const char *ctl_way_flag(const struct zdm_plan *plan, uint32_t phase);

/* What will happen, what is not exact, what comes after. needed: approvals for what is lost. */
void ctl_way_text(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_way *way, uint32_t needed);

#endif
