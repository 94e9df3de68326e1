/*
 * fleet.h - what a command has to know of the fleet before it acts: which migration is meant, how far it is, labels.
 */
#ifndef COORDINATOR_CTL_CLIENT_FLEET_H
#define COORDINATOR_CTL_CLIENT_FLEET_H

#include <jansson.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/limits.h"
#include "common/plan/plan.h"
#include "common/plan/trust.h"
#include "coordinator/ctl/client/client.h"

struct ctl_target {
    char migration[ZDM_NAME_MAX + 1];
    int64_t phase;       /* opened */
    uint64_t generation; /* log position of its last change */
};

/* Finds the migration in a `fleet` answer: the one named, or the only one that has not ended. ZDM_NOT_FOUND,
 * ZDM_INVALID when it is not clear which one. */
enum zdm_code ctl_target_find(const json_t *fleet, const char *named, struct ctl_target *out,
                              struct zdm_error *err) ZDM_CHECKED;

/* The number of the phase that `text` names by number, title or class, out of a `status`. */
enum zdm_code ctl_phase_find(const json_t *status, const char *text, uint32_t *out, struct zdm_error *err) ZDM_CHECKED;

/* Is the plan for the engine of each shard that its selector chooses? ZDM_REFUSED as the coordinator would; what nobody
 * knows yet is nothing against it. */
enum zdm_code ctl_fleet_fits(const json_t *fleet, const struct zdm_plan *plan, struct zdm_error *err) ZDM_CHECKED;

/* Is a shard of a `status` meant by the selection? labels: the `fleet` answer, needed for selectors only. */
bool ctl_selection_has(const struct zdm_selection *selection, const char *shard, const json_t *fleet);
/* Are the shards that it names among those of a `status`? ZDM_NOT_FOUND. */
enum zdm_code ctl_selection_check(const struct zdm_selection *selection, const json_t *shards,
                                  struct zdm_error *err) ZDM_CHECKED;

#endif
