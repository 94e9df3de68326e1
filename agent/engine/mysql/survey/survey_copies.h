/*
 * survey_copies.h - do the columns of a derivation fit each other, and may one go out of sight?
 */
#ifndef AGENT_ENGINE_MYSQL_SURVEY_SURVEY_COPIES_H
#define AGENT_ENGINE_MYSQL_SURVEY_SURVEY_COPIES_H

#include "agent/engine/mysql/survey/survey.h"

/* Of the step at hand, whose table is there: both directions, what the old column's constraints bind, and whether the
 * expressions can be evaluated. A column that the plan adds is taken from an empty clone. */
enum zdm_code mydb_survey_copies(struct mydb_survey *survey, struct zdm_error *err) ZDM_CHECKED;

/* Of a HIDE_COLUMN: would a CHECK refuse the rows of new code, which leave the column out? */
enum zdm_code mydb_survey_omitted(struct mydb_survey *survey, struct zdm_error *err) ZDM_CHECKED;

/* A column as it is, or as the plan will make it. *found false: it is neither, or nobody can tell. */
enum zdm_code mydb_survey_column(struct mydb_survey *survey, const struct mydb_table *table, const char *name,
                                 struct mydb_column *out, bool *found, struct zdm_error *err) ZDM_CHECKED;

#endif
