/*
 * honest.h - what the files of zdm_plan_check_honest share: see honest.c.
 */
#ifndef ZDM_PLAN_HONEST_H
#define ZDM_PLAN_HONEST_H

#include "common/plan/plan.h"

/* One way to write a step of that action. A step fits if one row of its action does; an action without a row is none
 * of the engine's. */
struct zdm_honest_row {
    enum zdm_action action;
    enum zdm_inverse_kind inverse;
    const char *form, *inverse_form; /* form.h; NULL: no SQL, or SQL that is judged by itself */
    const char *never;               /* words that must not stand in it */
};

/* honest_mysql.c */
const struct zdm_honest_row *zdm_honest_mysql_rows(size_t *out_n);
/* SQL and names that no form tells; NULL when nothing is wrong. */
const char *zdm_honest_mysql_fault(const struct zdm_step *step);

#endif
