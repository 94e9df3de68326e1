/*
 * step_text.h - one step of a plan in SQL and in words, as the views of a plan show it.
 */
#ifndef COORDINATOR_CTL_TEXT_STEP_TEXT_H
#define COORDINATOR_CTL_TEXT_STEP_TEXT_H

#include "common/base/buffer.h"
#include "common/plan/notes.h"
#include "common/plan/plan.h"

/* The SQL of a step as the plan shows it; nothing where it is made from the catalogue. */
void ctl_step_sql(struct zdm_buffer *out, const struct zdm_step *step);
/* What a rollback does to take the step back: words, or its SQL. NULL where there is nothing to do. Borrowed. */
const char *ctl_undo_text(const struct zdm_step *step);

/* What the compiler notes of a step, empty where it says nothing; the title of a phase, "" where it has none. */
const struct zdm_step_notes *ctl_notes_of(const struct zdm_notes *notes, const struct zdm_step *step);
const char *ctl_title_of(const struct zdm_notes *notes, const struct zdm_phase *phase);

#endif
