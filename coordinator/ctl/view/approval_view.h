/*
 * approval_view.h - an approval before it is signed, for the person who signs it. Pure.
 */
#ifndef COORDINATOR_CTL_VIEW_APPROVAL_VIEW_H
#define COORDINATOR_CTL_VIEW_APPROVAL_VIEW_H

#include <jansson.h>

#include "common/plan/directive.h"
#include "common/plan/notes.h"
#include "common/plan/plan.h"
#include "coordinator/ctl/model/place.h"
#include "coordinator/ctl/text/text.h"

struct ctl_approval_page {
    const struct zdm_plan *plan;
    const struct zdm_notes *notes;
    const struct zdm_approval *approval;
    const struct ctl_places *places;
    const char *runbook;   /* the approver's own file that the plan was compiled from, NULL for none */
    const char *submitter; /* "ann", or the id of a key that the trust file does not name */
    uint32_t needed;
};

/* Who, what, which shards, until when; the SQL with its locks; what would not come back. */
void ctl_approval_text(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_approval_page *page);

/* What shards have to say that a person who decides should know: rows that a rollback would not bring back exactly, a
 * sync that was interrupted. Nothing where there is nothing. status: as the coordinator answered. */
void ctl_remarks_text(struct zdm_buffer *out, const struct ctl_look *look, const json_t *status);

/* Are both plans the same? ZDM_REFUSED names the first phase that differs. */
enum zdm_code ctl_plan_compare(const struct zdm_plan *own, const struct zdm_plan *submitted, const char *runbook,
                               struct zdm_error *err) ZDM_CHECKED;

#endif
