/*
 * survey_steps.c - what each step's statement did to an empty clone (survey.h, trial.h), beside its figures.
 */
#include "agent/engine/postgresql/survey/survey.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "agent/engine/postgresql/session/classify.h"
#include "agent/engine/postgresql/catalog/owner.h"
#include "agent/engine/postgresql/clone/trial.h"

enum { TRIALS_PERCENT = 85 /* of the survey's time */ };

/* ---- Trials ---- */

/* The table, or of what has none the type or the schema. */
static void put_object(char *out, size_t size, const struct zdm_step *step)
{
    const char *name = step->table.name != NULL && step->table.name[0] != '\0' ? step->table.name : step->object;
    const char *schema = step->table.schema == NULL ? "" : step->table.schema;
    (void)snprintf(out, size, "%s%s%s", schema, name == NULL ? "" : ".", name == NULL ? "" : name);
}

static enum zdm_code say_of_trial(struct pgsql_survey *survey, const struct pgsql_trial *trial, struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step;
    char object[3 * ZDM_IDENTIFIER_MAX];
    enum zdm_survey_rule rule = trial->rewritten ? ZDM_SURVEY_CLONE_REWRITES : ZDM_SURVEY_LONG_LOCK;
    if (trial->why[0] == '\0') {
        return ZDM_OK;
    }
    put_object(object, sizeof object, step);
    return agent_survey_add(&survey->common, rule, ZDM_LEVEL_ERROR, object, trial->why, trial->hint)
               ? ZDM_OK
               : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

/* By the server; what has no SQLSTATE the agent itself refuses, there as here. */
static enum zdm_code say_refused(struct pgsql_survey *survey, struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step;
    char object[3 * ZDM_IDENTIFIER_MAX], message[700];
    put_object(object, sizeof object, step);
    bool server = err->sqlstate[0] != '\0';
    (void)snprintf(message, sizeof message, "%s: %.500s",
                   server ? "the server refuses the statement, tried on an empty clone" : "the step would be refused",
                   err->message);
    bool added = agent_survey_add(&survey->common, server ? ZDM_SURVEY_CLONE_REFUSED : ZDM_SURVEY_STEP_REFUSED,
                                  ZDM_LEVEL_ERROR, object, message, err->hint);
    *err = (struct zdm_error)ZDM_ERROR_INIT;
    return added ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static enum zdm_code say_not_tried(struct pgsql_survey *survey, const struct pgsql_trial *trial, struct zdm_error *err)
{
    char object[3 * ZDM_IDENTIFIER_MAX], message[2 * ZDM_TEXT_MAX];
    if (trial->tried || trial->why_not[0] == '\0') {
        return ZDM_OK;
    }
    put_object(object, sizeof object, survey->common.step);
    (void)snprintf(message, sizeof message, "the statement was not tried: %s", trial->why_not);
    return agent_survey_add(&survey->common, ZDM_SURVEY_NOT_TRIED, ZDM_LEVEL_WARNING, object, message,
                            "Try it on a copy of the database, or read it once more: what it locks, reads and writes "
                            "anew shows only when it runs.")
               ? ZDM_OK
               : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

/* Was an error said of this step before? What the server says then is the same once more. */
static bool is_bad(const struct pgsql_survey *survey)
{
    for (size_t i = 0; i < survey->common.out->n_findings; i++) {
        const struct zdm_survey_finding *f = &survey->common.out->findings[i];
        if (f->step == survey->common.step->ordinal && f->level == ZDM_LEVEL_ERROR) {
            return true;
        }
    }
    return false;
}

/* What has no table to be tried on is said by a rule. */
static bool can_be_tried(const struct pgsql_survey *survey, const struct zdm_survey_table *t)
{
    const struct zdm_step *step = survey->common.step;
    bool has_table = step->table.name != NULL && step->table.name[0] != '\0';
    bool ground = !has_table || (t != NULL && t->exists) || step->action == ZDM_ACTION_CREATE_TABLE ||
                  agent_survey_makes_table(&survey->common, &step->table);
    return ground && !is_bad(survey);
}

static enum zdm_code try_step(struct pgsql_survey *survey, struct zdm_survey_step *out, struct zdm_error *err)
{
    struct pgsql_trial trial = {.tried = false};
    struct pgsql_work *w = survey->w;
    w->step = survey->common.step;
    enum zdm_code code = pgsql_try_on_clone(w, survey->common.step, &trial, err);
    w->step = NULL;
    if (code == ZDM_OK) {
        out->tried = trial.tried;
        out->observed_lock = trial.tried ? trial.lock : ZDM_TABLE_LOCK_NONE;
        code = say_of_trial(survey, &trial, err);
        return code == ZDM_OK ? say_not_tried(survey, &trial, err) : code;
    }
    pgsql_rollback(w->s);
    if (pgsql_is_open(w->s) && (code == ZDM_NOT_FOUND || pgsql_outcome(code) == AGENT_FAIL)) {
        return say_refused(survey, err);
    }
    return pgsql_survey_miss(survey, code, "an empty clone", err);
}

/* Whose what the step makes will be. Not known, or without a right: the step would be refused. */
static enum zdm_code look_at_owner(struct pgsql_survey *survey, struct zdm_error *err)
{
    struct pgsql_work *w = survey->w;
    struct pgsql_owner owner;
    bool added = true;
    if (!pgsql_runs_as_owner(survey->common.step)) {
        return ZDM_OK;
    }
    w->step = survey->common.step;
    enum zdm_code code = pgsql_survey_begin(survey, err);
    if (code == ZDM_OK) {
        code = pgsql_owner_find(w, &owner, err);
    }
    w->step = NULL;
    pgsql_rollback(w->s);
    if (code == ZDM_REFUSED) {
        added = agent_survey_add(&survey->common, ZDM_SURVEY_OWNER_UNCLEAR, ZDM_LEVEL_ERROR,
                                 survey->common.step->table.schema, err->message, err->hint);
        *err = (struct zdm_error)ZDM_ERROR_INIT;
        return added ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    return code == ZDM_OK ? ZDM_OK : pgsql_survey_miss(survey, code, "the owner of the tables", err);
}

/* ---- The disk ---- */

/* The data directory, where the agent stands beside the server and its role may see where that is. */
static enum zdm_code look_at_disk(struct pgsql_survey *survey, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    struct pgsql_session *s = survey->w->s;
    const char *host = PQhost(s->conn);
    struct statvfs disk;
    struct stat folder;
    bool local = host != NULL && (host[0] == '/' || strcmp(host, "localhost") == 0 || strcmp(host, "127.0.0.1") == 0 ||
                                  strcmp(host, "::1") == 0);
    enum zdm_code code =
        pgsql_query(s, "SELECT setting FROM pg_settings WHERE name = 'data_directory'", 0, NULL, &res, err);
    if (code != ZDM_OK || !local || PQntuples(res) == 0 || pgsql_text(res, 0, 0) == NULL) {
        return code;
    }
    if (stat(pgsql_text(res, 0, 0), &folder) == 0 && S_ISDIR(folder.st_mode) &&
        statvfs(pgsql_text(res, 0, 0), &disk) == 0) {
        survey->common.out->disk_free_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    }
    return ZDM_OK;
}

/* ---- All of them ---- */

static enum zdm_code survey_step(struct pgsql_survey *survey, struct zdm_error *err)
{
    const struct zdm_survey_table *t = agent_survey_table(&survey->common, &survey->common.step->table);
    struct zdm_survey_step *out = &survey->common.out->steps[survey->common.out->n_steps++];
    *out = (struct zdm_survey_step){.ordinal = survey->common.step->ordinal};
    if (agent_survey_is_done(&survey->common)) {
        return ZDM_OK;
    }
    out->estimate_ms = agent_survey_estimate(&survey->common, t);
    out->room_bytes = agent_survey_room(&survey->common, t);
    if (survey->common.no_more) {
        return ZDM_OK;
    }
    if (pgsql_survey_late(survey, TRIALS_PERCENT)) {
        survey->common.no_more = true;
        return agent_survey_cut(&survey->common, "statements were not tried on a clone")
                   ? ZDM_OK
                   : zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    enum zdm_code code = look_at_owner(survey, err);
    return code == ZDM_OK && can_be_tried(survey, t) ? try_step(survey, out, err) : code;
}

enum zdm_code pgsql_survey_steps(struct pgsql_survey *survey, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (uint32_t i = 1; code == ZDM_OK && i <= zdm_plan_n_steps(survey->common.plan); i++) {
        survey->common.step = zdm_plan_step(survey->common.plan, i);
        if (zdm_step_is_for(survey->common.step, ZDM_ENGINE_POSTGRESQL)) {
            code = survey_step(survey, err);
        }
    }
    survey->common.step = NULL;
    if (code == ZDM_OK && (code = look_at_disk(survey, err)) != ZDM_OK) {
        code = pgsql_survey_miss(survey, code, "the disk", err);
    }
    return code == ZDM_OK ? agent_survey_judge_room(&survey->common, err) : code;
}
