/*
 * place.h - where the shards of a migration stand, out of a `status`: what going back and signing are decided by.
 */
#ifndef COORDINATOR_CTL_MODEL_PLACE_H
#define COORDINATOR_CTL_MODEL_PLACE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/plan/plan.h"
#include "common/plan/trust.h"

struct ctl_place {
    const char *shard;      /* borrowed from the status */
    const char *status;     /* "moving" */
    enum zdm_engine engine; /* ANY: not known */
    uint32_t at;            /* phases proven */
    uint32_t entered;       /* the phase it is in: at, or at + 1 once that was begun */
    uint32_t switched;      /* up to this phase new code has written: common/plan/undo.h */
    uint32_t next_step;     /* ordinal of the first step that may not be done */
    bool excluded;
    const char *remark; /* what a rollback could not bring back exactly there, or would not; "" for nothing */
};

struct ctl_places {
    struct ctl_place *items; /* excluded ones too */
    size_t n;
    bool all; /* every shard of the migration was chosen, without naming them */
};

/* The chosen shards. fleet: labels, for selectors. ZDM_NOT_FOUND when a named shard is none of the migration's, or none
 * is chosen. The caller frees the list. */
enum zdm_code ctl_places_read(const json_t *status, const struct zdm_selection *selection, const json_t *fleet,
                              const struct zdm_plan *plan, struct ctl_places *out, struct zdm_error *err) ZDM_CHECKED;
/* The engine of all of them; ANY: of several, or not known of each. */
enum zdm_engine ctl_places_engine(const struct ctl_places *places);
/* Can a rollback to that phase lose what new code wrote, from wherever these shards may be then? As
 * zdm_plan_undo_loses: who signs may do so before they get there. */
bool ctl_places_may_lose(const struct ctl_places *places, const struct zdm_plan *plan, uint32_t to_phase,
                         const struct zdm_step **out_step);
void ctl_places_fini(struct ctl_places *places);

/* The names that a signed body carries: none when all were chosen, else each that is not excluded. ZDM_LIMIT when
 * there are more than fit. *out_names is malloc'd and owns its texts (ctl_names_free). */
enum zdm_code ctl_places_names(const struct ctl_places *places, char ***out_names, size_t *out_n,
                               struct zdm_error *err) ZDM_CHECKED;
void ctl_names_free(char **names, size_t n);

/* "shard-1, shard-2 and 7 more", in at most `size` bytes. */
void ctl_names_text(char *out, size_t size, const struct ctl_place *const *places, size_t n);

#endif
