/*
 * wait_rule.h - is what `wait` waits for there? A pure judgement over one status.
 */
#ifndef COORDINATOR_CTL_MODEL_WAIT_RULE_H
#define COORDINATOR_CTL_MODEL_WAIT_RULE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/plan/trust.h"

enum ctl_wait_kind { CTL_WAIT_PHASE, CTL_WAIT_DONE, CTL_WAIT_PAUSED, CTL_WAIT_ROLLED_BACK };

struct ctl_wait_for {
    enum ctl_wait_kind kind;
    int64_t phase; /* CTL_WAIT_PHASE */
};

/* "phase=2", "done", "paused", "rolled-back". */
enum zdm_code ctl_wait_parse(const char *text, struct ctl_wait_for *out, struct zdm_error *err) ZDM_CHECKED;

struct ctl_wait_score {
    size_t there, of; /* shards that are meant */
    bool over;        /* nothing more can come of it */
    char text[160];   /* "2 of 4 shards have finished phase 2" */
};

/* Counts. ZDM_NOT_FOUND when a shard that is named is not one of the migration's, or no shard matches; ZDM_DATABASE
 * when one that is meant has failed; ZDM_REFUSED when the migration ended otherwise. fleet: see ctl_selection_has. */
enum zdm_code ctl_wait_judge(const struct ctl_wait_for *wanted, const struct zdm_selection *selection,
                             const json_t *status, const json_t *fleet, struct ctl_wait_score *out,
                             struct zdm_error *err) ZDM_CHECKED;

#endif
