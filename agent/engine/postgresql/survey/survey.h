/*
 * survey.h - what a plan would meet on this node (common/plan/survey.h): the parts of the engine's survey.
 *
 * All of it reads, in short read-only transactions, but for empty temporary clones that are rolled back or dropped
 * (trial.h, survey_copies.c). What cannot be looked at is said as a finding, "not-surveyed", and never ends the survey;
 * only a lost connection, a cancellation or the end of the time do.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_SURVEY_SURVEY_H
#define AGENT_ENGINE_POSTGRESQL_SURVEY_SURVEY_H

#include "agent/engine/postgresql/session/work.h"
#include "agent/engine/survey.h"

struct pgsql_survey {
    struct pgsql_work *w;
    struct agent_survey common;
};

/* survey.c: the operation. */
enum zdm_code pgsql_survey(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

/* A part that could not be looked at: ZDM_OK with a finding, or the code again when the survey cannot go on. */
enum zdm_code pgsql_survey_miss(struct pgsql_survey *survey, enum zdm_code code, const char *what,
                                struct zdm_error *err) ZDM_CHECKED;
/* Is so much of the survey's time over? A part that goes from step to step ends then, so that what was found until then
 * is not lost. */
bool pgsql_survey_late(const struct pgsql_survey *survey, int percent);
/* A read-only transaction that waits for nobody. */
enum zdm_code pgsql_survey_begin(struct pgsql_survey *survey, struct zdm_error *err) ZDM_CHECKED;
/* survey_tables.c: outline, fingerprint, sizes and columns of the plan's tables. */
enum zdm_code pgsql_survey_tables(struct pgsql_survey *survey, struct zdm_error *err) ZDM_CHECKED;
/* survey_rules.c: the rules that are one query each: of the node, of each table, of the step at hand. */
enum zdm_code pgsql_survey_node_rules(struct pgsql_survey *survey, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_survey_table_rules(struct pgsql_survey *survey, const struct zdm_table *table,
                                       struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_survey_step_rules(struct pgsql_survey *survey, struct zdm_error *err) ZDM_CHECKED;
/* survey_refused.c: what the step at hand would be refused for, by the code that refuses it. */
enum zdm_code pgsql_survey_refused(struct pgsql_survey *survey, struct zdm_error *err) ZDM_CHECKED;
/* survey_node.c: version, rights, pooler, standbys. */
enum zdm_code pgsql_survey_node(struct pgsql_survey *survey, struct zdm_error *err) ZDM_CHECKED;
/* survey_statements.c: what the application is seen to write. */
enum zdm_code pgsql_survey_statements(struct pgsql_survey *survey, struct zdm_error *err) ZDM_CHECKED;
/* survey_copies.c: the derivation of the step at hand on an empty clone that has the plan's columns. */
enum zdm_code pgsql_survey_copies(struct pgsql_survey *survey, struct zdm_error *err) ZDM_CHECKED;
/* survey_steps.c: estimates and trials; the disk. */
enum zdm_code pgsql_survey_steps(struct pgsql_survey *survey, struct zdm_error *err) ZDM_CHECKED;
/* survey_rows.c: rows that are in the way, and those that are counted. */
enum zdm_code pgsql_survey_rows(struct pgsql_survey *survey, struct zdm_error *err) ZDM_CHECKED;
/* The survey's rules that are queries, for the table of rules and its test. */
struct pgsql_survey_rule {
    enum zdm_survey_rule rule;
    enum zdm_level level; /* a third column of the answer may say another: 'note', 'warning', 'error' */
    uint64_t actions;     /* of the step; of rules of node and table: some step of the plan has one. 0: any */
    bool (*when)(const struct pgsql_survey *survey); /* NULL: always */
    const char *sql;                                 /* behind the common WITH x, r: object, message[, level] */
    const char *hint;
};
/* survey_steprules.c */
extern const struct pgsql_survey_rule pgsql_survey_step_table[];
extern const size_t pgsql_survey_step_table_n;

#endif
