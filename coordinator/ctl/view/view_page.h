/*
 * view_page.h - what the parts of the page of `status` share: the page under construction. Private to them.
 */
#ifndef COORDINATOR_CTL_VIEW_VIEW_PAGE_H
#define COORDINATOR_CTL_VIEW_VIEW_PAGE_H

#include <jansson.h>

#include "coordinator/ctl/model/shard_state.h"
#include "coordinator/ctl/text/text.h"

enum { CTL_PAGE_INDENT = 4 }; /* of lines that go on */

struct ctl_page {
    struct zdm_buffer *out;
    const struct ctl_look *look;
    const json_t *status;
    int64_t phase; /* opened */
    struct ctl_shard *shards;
    size_t n_shards;
    bool narrow; /* too little room: long titles lose their end, the reason of what comes next is left to the shards */
};

static inline const char *ctl_dot(const struct ctl_look *look)
{
    return look->unicode ? " · " : " - ";
}

/* One line that must not be overlooked. */
void ctl_page_alarm(struct ctl_page *p, enum ctl_style style, const char *label, const char *text);

/* view_authority.c: a line for each act that needs approvals and is near, for each thing that is hidden, and one when
 * the person's own trust file (own_version; 0: not known) is behind. */
void ctl_page_approvals(struct ctl_page *p);
void ctl_page_hidden(struct ctl_page *p);
void ctl_page_trust(struct ctl_page *p, uint32_t own_version);

/* "4 shards: 2 working, 2 finished phase 1 · 230k/800k rows, 36k/s, 22 s left" */
void ctl_page_summary(struct ctl_page *p);
/* One line for each shard, and why it does not move. */
void ctl_page_all(struct ctl_page *p);
/* Lists at most `budget` shards, those that need attention first, then those at work; the rest in groups. */
void ctl_page_grouped(struct ctl_page *p, size_t budget);

#endif
