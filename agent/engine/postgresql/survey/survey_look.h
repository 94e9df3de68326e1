/*
 * survey_look.h - bounded reads of rows for a survey (survey_rows.c, survey_counts.c), and the table as the plan will
 * have it by then.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_SURVEY_SURVEY_LOOK_H
#define AGENT_ENGINE_POSTGRESQL_SURVEY_SURVEY_LOOK_H

#include "agent/engine/postgresql/catalog/catalog.h"
#include "agent/engine/postgresql/clone/clone.h"
#include "agent/engine/postgresql/survey/survey.h"

enum {
    PGSQL_LOOK_MS = 2000,     /* for a query */
    PGSQL_LOOK_ROWS = 100001, /* are counted at most */
    PGSQL_LOOKS_PERCENT = 92  /* of the survey's time */
};

struct pgsql_look {
    struct zdm_buffer all; /* how many, a key or NULL, another key or NULL */
    struct zdm_buffer one; /* the same of at most one row, which is asked first; empty: none */
    char *param;           /* $1 of both, or NULL. Owned */
    struct pgsql_key key;
    bool here_only; /* it names what only the session of the primary has */
    /* What came of it. */
    int64_t rows;
    bool whole; /* all rows were seen, or as many as are counted */
    bool late;  /* the time was over before */
    char first[96], second[96], why[320];
    char sqlstate[6]; /* of what the server refuses */
};

/* survey_look.c */
/* The key of the step's table, in which rows are named; without one they are not. */
enum zdm_code pgsql_look_key(struct pgsql_survey *survey, struct pgsql_look *look, struct zdm_error *err) ZDM_CHECKED;
void pgsql_look_put_key(const struct pgsql_look *look, struct zdm_buffer *out);
/* Both queries from one that selects the key, as k, of every row that is looked for. */
void pgsql_look_rows(struct pgsql_look *look, const char *rows);
/* On a replica where one is fit, else on the primary: a reading transaction that waits for nobody. The session is
 * outside of a transaction, before and afterwards. stage: for names of what the plan makes, or NULL. What the server
 * refuses is no error, but `why`. */
enum zdm_code pgsql_look_run(struct pgsql_survey *survey, const struct pgsql_stage *stage, struct pgsql_look *look,
                             struct zdm_error *err) ZDM_CHECKED;
void pgsql_look_fini(struct pgsql_look *look);

/* survey_future.c: appends "… AS alias" with the rows that the table will have when the step comes: the fills and
 * deletes that the plan does before are expressions of it. */
enum zdm_code pgsql_future_put(struct pgsql_survey *survey, const struct pgsql_stage *stage,
                               const struct zdm_table *table, const char *alias, struct zdm_buffer *out,
                               struct zdm_error *err) ZDM_CHECKED;

/* survey_counts.c: rows of the step at hand that are counted for a person. */
enum zdm_code pgsql_survey_counts(struct pgsql_survey *survey, struct zdm_error *err) ZDM_CHECKED;
/* survey_values.c: what the fill at hand computes, on rows that are there. */
enum zdm_code pgsql_survey_values(struct pgsql_survey *survey, struct zdm_error *err) ZDM_CHECKED;

#endif
