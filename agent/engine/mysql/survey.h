/*
 * survey.h - everything that a plan would meet on this node (common/plan/survey.h); changes nothing but the clone.
 * The rules, their ids and severities are those of docs/RULES.md; what PostgreSQL alone has does not occur.
 */
#ifndef AGENT_ENGINE_MYSQL_SURVEY_H
#define AGENT_ENGINE_MYSQL_SURVEY_H

#include "agent/engine/mysql/work.h"

enum zdm_code mydb_survey(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;

#endif
