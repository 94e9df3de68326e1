/*
 * survey_rig.h - surveys of a plan on the rig's database, and what they are expected to find.
 */
#ifndef TESTS_SUPPORT_SURVEY_RIG_H
#define TESTS_SUPPORT_SURVEY_RIG_H

#include "tests/support/engine_rig.h"

#define ERROR   ZDM_LEVEL_ERROR
#define WARNING ZDM_LEVEL_WARNING
#define NOTE    ZDM_LEVEL_NOTE

/* A plan of n empty steps on <schema>.<table>, which is its one table. */
void plan_of(struct rig *r, const char *table, size_t n);
/* Makes one; it lives until the next one, or survey_forget. */
const struct zdm_survey *survey(struct rig *r);
void survey_forget(void);
/* The first finding of that rule with the text in message or object; NULL for none. */
const struct zdm_survey_finding *find(const struct zdm_survey *s, const char *rule, const char *text);
void print(const struct zdm_survey *s);
void expect(const struct zdm_survey *s, enum zdm_level level, const char *rule, const char *text);
void expect_none(const struct zdm_survey *s, const char *rule);
/* Nothing that would stop a step, and nothing that could not be looked at. */
void expect_clean(const struct zdm_survey *s);

/* Steps: ADD COLUMN on users; the table that a step points at, another table for it (NULL: none). */
void add_column(struct rig *r, uint32_t ordinal, const char *column, const char *type);
void point_at(struct zdm_step *step, const char *table);
void rename_table(struct zdm_step *step, const char *table);

#endif
