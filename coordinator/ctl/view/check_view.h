/*
 * check_view.h - what `check` found out, for people and as JSON (docs/JSON.md).
 */
#ifndef COORDINATOR_CTL_VIEW_CHECK_VIEW_H
#define COORDINATOR_CTL_VIEW_CHECK_VIEW_H

#include "common/plan/notes.h"
#include "common/plan/plan.h"
#include "coordinator/ctl/client/fleet_survey.h"
#include "coordinator/ctl/text/text.h"

struct ctl_check {
    const struct zdm_plan *plan;
    const struct zdm_notes *notes;
    const struct ctl_fleet_survey *fleet;
    const struct ctl_grouped *grouped;
};

/* Of compiler and shards together, without what is waived. */
size_t ctl_check_count(const struct ctl_check *check, enum zdm_level level);
size_t ctl_check_waived(const struct ctl_check *check);

void ctl_check_text(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check);
void ctl_check_json(struct zdm_buffer *out, const struct ctl_check *check);

/* "every shard", "shard-1, shard-2 and 5 more" */
void ctl_check_shards_text(struct zdm_buffer *out, const struct ctl_fleet_survey *fleet,
                           const struct ctl_shard_list *list);
/* 940 B, 12.3 MB, 4.56 GB */
void ctl_bytes_text(char *out, size_t size, int64_t bytes);

/* What is picked of a survey for ctl_range_of: of a table (what: its struct zdm_table), of a step (its ordinal). */
int64_t ctl_pick_rows(const struct zdm_survey *survey, const void *table);
int64_t ctl_pick_bytes(const struct zdm_survey *survey, const void *table);
int64_t ctl_pick_index_bytes(const struct zdm_survey *survey, const void *table);
int64_t ctl_pick_estimate(const struct zdm_survey *survey, const void *ordinal);
int64_t ctl_pick_room(const struct zdm_survey *survey, const void *ordinal);

#endif
