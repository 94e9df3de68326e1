/*
 * survey.h - what a plan would meet on this node (common/plan/survey.h): the parts of the engine's survey.
 *
 * All of it reads, in short read-only transactions, but for the empty clone of judge.h. What cannot be looked at is
 * said as a finding, "not-surveyed", and never ends the survey; only a lost connection, a cancellation or the end of
 * the time do. Rules, severities and words are those of docs/RULES.md, the same for all engines where both know the
 * thing.
 */
#ifndef AGENT_ENGINE_MYSQL_SURVEY_SURVEY_H
#define AGENT_ENGINE_MYSQL_SURVEY_SURVEY_H

#include "agent/engine/mysql/catalog/catalog.h"
#include "agent/engine/mysql/session/work.h"
#include "agent/engine/survey.h"

struct mydb_survey {
    struct mydb_work *w;
    struct agent_survey common;
};

/* survey.c: the operation. */
enum zdm_code mydb_survey(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;
/* A part that could not be looked at: ZDM_OK with a finding, or the code again when the survey cannot go on. */
enum zdm_code mydb_survey_miss(struct mydb_survey *survey, enum zdm_code code, const char *what,
                               struct zdm_error *err) ZDM_CHECKED;
/* Is so much of the survey's time over? */
bool mydb_survey_late(const struct mydb_survey *survey, int percent);
/* agent_survey_say, ZDM_NOMEM where that has no memory. */
enum zdm_code mydb_survey_say(struct mydb_survey *survey, enum zdm_survey_rule rule, enum zdm_level level,
                              const char *object, const char *message, const char *hint,
                              struct zdm_error *err) ZDM_CHECKED;

/* survey_tables.c: outline, fingerprint, sizes and columns of the plan's tables. */
enum zdm_code mydb_survey_tables(struct mydb_survey *survey, struct zdm_error *err) ZDM_CHECKED;
/* survey_rules.c: the rules that are one query each: of the node, of each table, of the step at hand. */
enum zdm_code mydb_survey_node_rules(struct mydb_survey *survey, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_survey_table_rules(struct mydb_survey *survey, const char *table, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_survey_step_rules(struct mydb_survey *survey, struct zdm_error *err) ZDM_CHECKED;
/* survey_dependents.c: what of other databases stands against the step at hand. */
enum zdm_code mydb_survey_dependents(struct mydb_survey *survey, struct zdm_error *err) ZDM_CHECKED;
/* survey_as_is.c: the rights and the words of the step at hand, where it is a statement of a person's own. */
enum zdm_code mydb_survey_as_is(struct mydb_survey *survey, struct zdm_error *err) ZDM_CHECKED;
/* survey_steps.c: estimates, trials on an empty clone, copies of the step at hand, the disk. */
enum zdm_code mydb_survey_steps(struct mydb_survey *survey, struct zdm_error *err) ZDM_CHECKED;
/* survey_rows.c: rows that are in the way. */
enum zdm_code mydb_survey_rows(struct mydb_survey *survey, struct zdm_error *err) ZDM_CHECKED;
/* Appends "SELECT ", with a limit of two seconds. */
void mydb_survey_put_limited(const struct mydb_survey *survey, struct zdm_buffer *b);
/* survey_values.c: what the fill at hand computes, on rows that are there. */
enum zdm_code mydb_survey_values(struct mydb_survey *survey, struct zdm_error *err) ZDM_CHECKED;
/* survey_statements.c: what the application is seen to write. */
enum zdm_code mydb_survey_statements(struct mydb_survey *survey, struct zdm_error *err) ZDM_CHECKED;

/* The survey's rules that are queries, for the table of rules and its test. */
struct mydb_survey_rule {
    enum zdm_survey_rule rule;
    enum zdm_level level; /* a third column of the answer may say another: 'note', 'warning', 'error' */
    uint64_t actions;     /* of the step; of rules of node and table: some step of the plan has one. 0: any */
    bool (*when)(const struct mydb_survey *survey); /* NULL: always */
    const char
        *sql; /* object, message[, level]; $1 table, $2 column (of a rule of tables: the table inside InnoDB), $3
                 object, $4 migration, $5 other table, $6 the columns that the step writes or copies, between commas */
    const char *hint;
};
/* survey_steprules.c */
extern const struct mydb_survey_rule mydb_survey_step_table[];
extern const size_t mydb_survey_step_table_n;

#endif
