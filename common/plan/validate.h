/*
 * validate.h - what the files of zdm_plan_validate share.
 */
#ifndef ZDM_PLAN_VALIDATE_H
#define ZDM_PLAN_VALIDATE_H

#include "common/plan/plan.h"

/* The longest wait, and the longest grace. */
#define ZDM_GRACE_MAX_MS (INT64_C(366) * 24 * 3600 * 1000)

bool zdm_action_is_known(enum zdm_action action);
/* A schema (may be "") and a name, both of a length that SQL takes. */
bool zdm_table_is_named(const struct zdm_table *table);
/* What is wrong with a step of a known action in that phase; NULL: nothing. */
const char *zdm_step_fault(const struct zdm_plan *plan, const struct zdm_phase *phase, const struct zdm_step *step);

#endif
