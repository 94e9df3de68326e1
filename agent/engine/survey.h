/*
 * survey.h - what the surveys of all engines share: findings about a plan, and what the plan itself makes.
 */
#ifndef AGENT_ENGINE_SURVEY_H
#define AGENT_ENGINE_SURVEY_H

#include "common/base/error.h"
#include "common/plan/plan.h"
#include "common/plan/survey.h"

struct agent_survey {
    const struct zdm_plan *plan;
    struct zdm_survey *out;
    const struct zdm_step *step; /* at hand; NULL: none */
    enum zdm_engine engine;      /* only steps of it count */
    uint32_t from;               /* steps before this one are done here, by the journal */
    bool full;                   /* no room for more findings, which the last one says */
    bool no_more;                /* no time for more trials, which a finding says */
};

#define AGENT_DOES(action) (UINT64_C(1) << ZDM_ACTION_##action)

/* Room for all of a survey of the plan. False without memory; out is the caller's either way (zdm_survey_free). */
bool agent_survey_begin(struct agent_survey *survey, const struct zdm_plan *plan, enum zdm_engine engine,
                        uint32_t from);

/* The plan's tables of this engine, in its order: names, an empty outline and unknown rows. */
enum zdm_code agent_survey_put_tables(struct agent_survey *survey, struct zdm_error *err) ZDM_CHECKED;

/* Adds a finding about the step at hand; nothing when the same was said before. message and hint are copied, cut to
 * what travels, and what is no text in them becomes '?'. False without memory. */
bool agent_survey_add(struct agent_survey *survey, enum zdm_survey_rule rule, enum zdm_level level, const char *object,
                      const char *message, const char *hint);
/* The same, but an error that an earlier step may undo, which runs as it is, is a note that says so. */
bool agent_survey_say(struct agent_survey *survey, enum zdm_survey_rule rule, enum zdm_level level, const char *object,
                      const char *message, const char *hint);
/* The finding that says from which step on the part was left out. False without memory. */
bool agent_survey_cut(struct agent_survey *survey, const char *part);
/* Why the server refuses, as a finding may say it: its message, but where that quotes values of rows, or is a
 * function's own, only which error it is. */
void agent_survey_words(const struct zdm_error *err, char *out, size_t size);
/* malloc'd copy of a text of the database, of at most `most` bytes, in valid UTF-8 without control characters but
 * newlines. NULL without memory. */
char *agent_survey_text(const char *text, size_t most);

/* Is the step at hand done? What it has done is no finding. */
bool agent_survey_is_done(const struct agent_survey *survey);
/* What the plan itself makes before the step at hand. */
bool agent_survey_makes_table(const struct agent_survey *survey, const struct zdm_table *table);
bool agent_survey_makes_column(const struct agent_survey *survey, const char *column);
bool agent_survey_makes_object(const struct agent_survey *survey, const char *object);
/* The survey's part about a table, or NULL. Borrowed. */
struct zdm_survey_table *agent_survey_table(const struct agent_survey *survey, const struct zdm_table *table);
/* Has the plan a step with one of these actions (AGENT_DOES)? */
bool agent_survey_has(const struct agent_survey *survey, uint64_t actions);
/* The column of which the step at hand adds or validates NOT NULL; NULL: none. */
const char *agent_survey_not_null(const struct agent_survey *survey);
/* An earlier step about the same table, or about none, that runs as it is and is still to be done; NULL: none. */
const struct zdm_step *agent_survey_as_is_before(const struct agent_survey *survey);
/* Do only steps that run as they are name the table? */
bool agent_survey_is_only_as_is(const struct zdm_plan *plan, const struct zdm_table *table);

/* survey_figures.c: of the step at hand on that table, which may be NULL: milliseconds, -1 where it cannot be said;
 * bytes of disk. The last one says whether the disk (out->disk_free_bytes) has room for all steps in out->steps. */
int64_t agent_survey_estimate(const struct agent_survey *survey, const struct zdm_survey_table *t);
int64_t agent_survey_room(const struct agent_survey *survey, const struct zdm_survey_table *t);
enum zdm_code agent_survey_judge_room(struct agent_survey *survey, struct zdm_error *err) ZDM_CHECKED;

#endif
