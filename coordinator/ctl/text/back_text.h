/*
 * back_text.h - going back over one step, in words: for the page of a rollback, and for whoever signs a phase.
 */
#ifndef COORDINATOR_CTL_TEXT_BACK_TEXT_H
#define COORDINATOR_CTL_TEXT_BACK_TEXT_H

#include "common/plan/undo.h"
#include "coordinator/ctl/text/text.h"

/* What going back over one step does, in words, when all from ordinal `from` down to `floor` are undone; "" for nothing
 * to do. */
void ctl_back_text(char *out, size_t size, const struct zdm_plan *plan, const struct zdm_step *step, uint32_t floor,
                   uint32_t from);
/* What of a step whose inverse is exact is there all the same after all down to `floor` was undone; "" for nothing: it
 * harms nobody, and what holds it may go as well. */
void ctl_stays_text(char *out, size_t size, const struct zdm_plan *plan, const struct zdm_step *step, uint32_t floor);
/* Why a rollback over the step would not bring everything back, NULL when it does. */
const char *ctl_inexact_text(const struct zdm_step *step);
/* rests.c: a line for each thing of these steps that does not come back exactly, or stays; steps that say the same of
 * the same thing, as those of two engines do, share it. floor: as above. False: all of it is undone, and nothing said.
 */
bool ctl_put_rests(struct zdm_buffer *out, const struct ctl_look *look, const struct zdm_plan *plan,
                   const struct zdm_step *const *steps, size_t n, uint32_t floor);
/* What new application code loses by a rollback, and why: step is that of zdm_plan_undo_loses. */
void ctl_loss_text(char *out, size_t size, const struct zdm_step *step);
/* What a step is about, in a word or a few: an as-is statement may name no table at all. Returns out. */
const char *ctl_subject_text(char *out, size_t size, const struct zdm_step *step);

#endif
