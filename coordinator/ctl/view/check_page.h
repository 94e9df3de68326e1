/*
 * check_page.h - what the parts of the page of `check` share.
 */
#ifndef COORDINATOR_CTL_VIEW_CHECK_PAGE_H
#define COORDINATOR_CTL_VIEW_CHECK_PAGE_H

#include "coordinator/ctl/view/check_view.h"

void ctl_check_heading(struct zdm_buffer *out, const struct ctl_look *look, const char *text);
/* A paragraph, its further lines indented by two more. */
void ctl_check_line(struct zdm_buffer *out, const struct ctl_look *look, enum ctl_style style, const char *text,
                    size_t indent);
/* "shard-1, shard-2, shard-3, shard-4 and 5 more" */
void ctl_check_names_text(struct zdm_buffer *out, const struct ctl_fleet_survey *fleet,
                          const struct ctl_shard_list *list);

void ctl_check_servers(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check);
/* Who did not answer, grouped by why. */
void ctl_check_silent(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check);

#endif
