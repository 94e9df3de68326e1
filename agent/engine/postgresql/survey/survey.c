/*
 * survey.c - the survey's frame: which parts in which order, and how findings are written down (survey.h).
 */
#include "agent/engine/postgresql/survey/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/journal/journal.h"

enum { RULES_PERCENT = 60 /* of the time, then the trials */ };

enum zdm_code pgsql_survey_miss(struct pgsql_survey *survey, enum zdm_code code, const char *what,
                                struct zdm_error *err)
{
    struct pgsql_session *s = survey->w->s;
    char message[2 * ZDM_TEXT_MAX], why[320];
    bool over = !pgsql_is_open(s) || s->gave_up || s->timed_out || code == ZDM_NOMEM || code == ZDM_BUG;
    pgsql_rollback(s);
    if (over || !pgsql_is_open(s)) {
        return code;
    }
    agent_survey_words(err, why, sizeof why);
    (void)snprintf(message, sizeof message, "%s could not be looked at: %s", what, why);
    *err = (struct zdm_error)ZDM_ERROR_INIT;
    return agent_survey_add(&survey->common, ZDM_SURVEY_NOT_SURVEYED, ZDM_LEVEL_WARNING, "", message, "")
               ? ZDM_OK
               : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

bool pgsql_survey_late(const struct pgsql_survey *survey, int percent)
{
    const struct pgsql_work *w = survey->w;
    return w->op->time_limit_ms > 0 &&
           pgsql_now_ms() > w->s->deadline_ms - (int64_t)w->op->time_limit_ms * (100 - percent) / 100;
}

enum zdm_code pgsql_survey_begin(struct pgsql_survey *survey, struct zdm_error *err)
{
    return pgsql_script(survey->w->s,
                        "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL statement_timeout = 3000; "
                        "SET LOCAL lock_timeout = 100",
                        NULL, err);
}

/* Where the journal of this migration stands; 1 where there is none. */
static uint32_t journal_place(struct pgsql_work *w)
{
    struct pgsql_place place = {0};
    struct zdm_error ignored = ZDM_ERROR_INIT;
    return pgsql_journal_place(w, &place, &ignored) == ZDM_OK && place.step > 0 ? place.step : 1;
}

/* ---- All of it ---- */

static enum zdm_code survey_tables(struct pgsql_survey *survey, struct zdm_error *err)
{
    enum zdm_code code = pgsql_survey_tables(survey, err);
    for (size_t i = 0; code == ZDM_OK && i < survey->common.out->n_tables; i++) {
        if (survey->common.out->tables[i].exists) {
            code = pgsql_survey_table_rules(survey, &survey->common.out->tables[i].name, err);
        }
    }
    return code;
}

static enum zdm_code survey_each_step(struct pgsql_survey *survey, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (uint32_t i = 1; code == ZDM_OK && i <= zdm_plan_n_steps(survey->common.plan); i++) {
        survey->common.step = zdm_plan_step(survey->common.plan, i);
        if (!zdm_step_is_for(survey->common.step, ZDM_ENGINE_POSTGRESQL) || agent_survey_is_done(&survey->common)) {
            continue;
        }
        if (pgsql_survey_late(survey, RULES_PERCENT)) {
            bool added = agent_survey_cut(&survey->common, "steps were not looked at");
            code = added ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
            break;
        }
        code = pgsql_survey_step_rules(survey, err);
        if (code == ZDM_OK) {
            code = pgsql_survey_refused(survey, err);
        }
        if (code == ZDM_OK) {
            code = pgsql_survey_copies(survey, err);
        }
    }
    survey->common.step = NULL;
    return code;
}

enum zdm_code pgsql_survey(struct pgsql_work *w, struct zdm_error *err)
{
    static enum zdm_code (*const parts[])(struct pgsql_survey *, struct zdm_error *) = {
        pgsql_survey_node,       pgsql_survey_node_rules, survey_tables,     survey_each_step,
        pgsql_survey_statements, pgsql_survey_steps,      pgsql_survey_rows,
    };
    if (w->op->plan == NULL) {
        return zdm_error_set(err, ZDM_BUG, "a survey without a plan");
    }
    struct pgsql_survey survey = {.w = w};
    bool room = agent_survey_begin(&survey.common, w->op->plan, ZDM_ENGINE_POSTGRESQL, journal_place(w));
    enum zdm_code code = room ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
    for (size_t i = 0; code == ZDM_OK && i < sizeof parts / sizeof *parts; i++) {
        code = parts[i](&survey, err);
    }
    if (code != ZDM_OK) {
        zdm_survey_free(survey.common.out);
        return code;
    }
    w->result->survey = survey.common.out;
    return ZDM_OK;
}
