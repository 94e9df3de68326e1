/*
 * survey.c - the survey's frame: which parts in which order (survey.h).
 */
#include "agent/engine/mysql/survey/survey.h"

#include <stdio.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/walk/definer.h"
#include "agent/engine/mysql/journal/journal.h"
#include "agent/engine/mysql/change/locks.h"

enum { RULES_PERCENT = 60 /* of the time, then the trials */ };

enum zdm_code mydb_survey_say(struct mydb_survey *survey, enum zdm_survey_rule rule, enum zdm_level level,
                              const char *object, const char *message, const char *hint, struct zdm_error *err)
{
    return agent_survey_say(&survey->common, rule, level, object, message, hint)
               ? ZDM_OK
               : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code mydb_survey_miss(struct mydb_survey *survey, enum zdm_code code, const char *what, struct zdm_error *err)
{
    struct mydb_session *s = survey->w->s;
    char message[2 * ZDM_TEXT_MAX], why[320];
    bool over = !mydb_is_open(s) || s->gave_up || s->timed_out || code == ZDM_NOMEM || code == ZDM_BUG;
    mydb_rollback(s);
    if (over || !mydb_is_open(s)) {
        return code;
    }
    if (mydb_is_violation(err)) {
        (void)snprintf(why, sizeof why, "the server refuses a value of some row (%s)", err->sqlstate);
    } else {
        agent_survey_words(err, why, sizeof why);
    }
    (void)snprintf(message, sizeof message, "%s could not be looked at: %s", what, why);
    *err = (struct zdm_error)ZDM_ERROR_INIT;
    return agent_survey_add(&survey->common, ZDM_SURVEY_NOT_SURVEYED, ZDM_LEVEL_NOTE, "", message, "")
               ? ZDM_OK
               : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

bool mydb_survey_late(const struct mydb_survey *survey, int percent)
{
    const struct mydb_work *w = survey->w;
    return w->op->time_limit_ms > 0 &&
           mydb_now_ms() > w->s->deadline_ms - (int64_t)w->op->time_limit_ms * (100 - percent) / 100;
}

/* Where the journal of this migration stands; 1 where there is none. */
static uint32_t journal_place(struct mydb_work *w)
{
    struct mydb_place place = {0};
    struct zdm_error ignored = ZDM_ERROR_INIT;
    return mydb_journal_place(w, &place, &ignored) == ZDM_OK && place.step > 0 ? place.step : 1;
}

/* Those that read the binary log here. The agent may know of one that is cut off just now. */
static enum zdm_code count_replicas(struct mydb_survey *survey, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    struct zdm_survey *out = survey->common.out;
    struct mydb_session *s = survey->w->s;
    char sql[120];
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE command LIKE 'Binlog Dump%%'", mydb_processlist(s));
    enum zdm_code code = mydb_query_shown(s, &(struct mydb_look){.sql = sql}, 0, NULL, &rows, err);
    unsigned seen = code == ZDM_OK ? (unsigned)mydb_uint(rows, 0, 0) : 0;
    out->replicas = seen > out->guarded ? seen : out->guarded;
    return code;
}

static enum zdm_code survey_node(struct mydb_survey *survey, struct zdm_error *err)
{
    const struct mydb_session *s = survey->w->s;
    struct zdm_survey *out = survey->common.out;
    (void)snprintf(out->server_version, sizeof out->server_version, "%.31s", s->version);
    (void)snprintf(out->node, sizeof out->node, "%.30s:%u/%.24s", s->conn->host == NULL ? "" : s->conn->host,
                   s->conn->port, s->database);
    out->guarded = (unsigned)survey->w->n_replicas;
    enum zdm_code code = count_replicas(survey, err);
    return code == ZDM_OK ? mydb_survey_node_rules(survey, err) : code;
}

static enum zdm_code survey_tables(struct mydb_survey *survey, struct zdm_error *err)
{
    enum zdm_code code = mydb_survey_tables(survey, err);
    for (size_t i = 0; code == ZDM_OK && i < survey->common.out->n_tables; i++) {
        if (survey->common.out->tables[i].exists) {
            code = mydb_survey_table_rules(survey, survey->common.out->tables[i].name.name, err);
        }
    }
    return code;
}

static enum zdm_code survey_each_step(struct mydb_survey *survey, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (uint32_t i = 1; code == ZDM_OK && i <= zdm_plan_n_steps(survey->common.plan); i++) {
        survey->common.step = zdm_plan_step(survey->common.plan, i);
        if (!zdm_step_is_for(survey->common.step, ZDM_ENGINE_MYSQL) || agent_survey_is_done(&survey->common)) {
            continue;
        }
        if (mydb_survey_late(survey, RULES_PERCENT)) {
            bool added = agent_survey_cut(&survey->common, "steps were not looked at");
            code = added ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
            break;
        }
        code = mydb_survey_step_rules(survey, err);
        if (code == ZDM_OK) {
            code = mydb_survey_as_is(survey, err);
        }
        code = code == ZDM_OK ? mydb_survey_dependents(survey, err) : code;
    }
    survey->common.step = NULL;
    return code;
}

enum zdm_code mydb_survey(struct mydb_work *w, struct zdm_error *err)
{
    static enum zdm_code (*const parts[])(struct mydb_survey *, struct zdm_error *) = {
        survey_node, survey_tables, survey_each_step, mydb_survey_statements, mydb_survey_steps, mydb_survey_rows,
    };
    if (w->op->plan == NULL) {
        return zdm_error_set(err, ZDM_BUG, "a survey without a plan");
    }
    struct mydb_survey survey = {.w = w};
    bool room = agent_survey_begin(&survey.common, w->op->plan, ZDM_ENGINE_MYSQL, journal_place(w));
    enum zdm_code code = room ? mydb_read_rights(w->s, err) : zdm_error_set(err, ZDM_NOMEM, "out of memory");
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
