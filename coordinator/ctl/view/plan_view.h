/*
 * plan_view.h - a compiled runbook as `zdmctl plan` shows it: for people, and as JSON (docs/JSON.md).
 */
#ifndef COORDINATOR_CTL_VIEW_PLAN_VIEW_H
#define COORDINATOR_CTL_VIEW_PLAN_VIEW_H

#include "common/plan/notes.h"
#include "common/plan/plan.h"
#include "coordinator/ctl/text/text.h"

enum { CTL_PLAN_WIDTH_MAX = 100 }; /* columns; narrower terminals get less */

/* What is written, what is done instead, its lock and how it is undone, phase by phase; findings at the end. plan is
 * NULL where the runbook has errors: findings only. Failure of memory shows in the buffer. */
void ctl_plan_text(struct zdm_buffer *out, const struct ctl_look *look, const struct zdm_plan *plan,
                   const struct zdm_notes *notes);
/* One phase, with the SQL of every step: what a signature for it stands for. */
void ctl_plan_phase_text(struct zdm_buffer *out, const struct ctl_look *look, const struct zdm_plan *plan,
                         const struct zdm_notes *notes, uint32_t phase);
/* One JSON object and a newline; without a plan id and hash are null and phases is empty. */
void ctl_plan_json(struct zdm_buffer *out, const struct zdm_plan *plan, const struct zdm_notes *notes);

#endif
