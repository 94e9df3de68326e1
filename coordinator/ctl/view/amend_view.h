/*
 * amend_view.h - two plans of one migration beside each other: what submit --amend would change.
 */
#ifndef COORDINATOR_CTL_VIEW_AMEND_VIEW_H
#define COORDINATOR_CTL_VIEW_AMEND_VIEW_H

#include <jansson.h>

#include "common/plan/plan.h"
#include "coordinator/ctl/text/text.h"

struct ctl_amendment {
    const struct zdm_plan *before, *after; /* digests filled */
    const json_t *status;                  /* who has entered what */
};

/* "same", "changed", "new", "gone" */
const char *ctl_amend_word(const struct zdm_plan *before, const struct zdm_plan *after, uint32_t phase);
void ctl_amend_text(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_amendment *amendment);

#endif
