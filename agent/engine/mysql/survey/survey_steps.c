/*
 * survey_steps.c - each step's figures, and what its statement did to an empty clone (survey.h, judge.h).
 *
 * The clone is of the table as it is: what an earlier step of the plan adds is not on it. A statement that the server
 * refuses there is a note where such a step comes before it.
 */
#include "agent/engine/mysql/survey/survey.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/change/judge.h"
#include "agent/engine/mysql/survey/survey_copies.h"

enum { TRIALS_PERCENT = 85 /* of the survey's time */ };

#define TRIED                                                                                                          \
    (AGENT_DOES(ADD_COLUMN) | AGENT_DOES(CREATE_INDEX) | AGENT_DOES(SET_DEFAULT) | AGENT_DOES(WIDEN_TYPE) |            \
     AGENT_DOES(SET_NOT_NULL) | AGENT_DOES(DROP_NOT_NULL) | AGENT_DOES(COMMENT))

/* ---- Trials ---- */

/* The first step of the plan that is still to be done, comes before the one at hand and changes the same table. */
static const struct zdm_step *changed_before(const struct mydb_survey *survey)
{
    const struct zdm_step *at = survey->common.step;
    for (uint32_t o = survey->common.from; o < at->ordinal; o++) {
        const struct zdm_step *step = zdm_plan_step(survey->common.plan, o);
        bool changes = ((TRIED | AGENT_DOES(AS_IS) | AGENT_DOES(CREATE_TABLE)) >> step->action & 1) != 0;
        if (zdm_step_is_for(step, ZDM_ENGINE_MYSQL) && changes && step->table.name != NULL &&
            strcmp(step->table.name, at->table.name) == 0) {
            return step;
        }
    }
    return NULL;
}

static enum zdm_code say_refused(struct mydb_survey *survey, struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step, *before = changed_before(survey);
    char message[800], hint[ZDM_TEXT_MAX + 1];
    bool rewrites = mydb_is_not_online(err) || err->code == ZDM_REFUSED;
    zdm_copy_text(hint, sizeof hint, err->hint);
    if (before != NULL) {
        (void)snprintf(message, sizeof message,
                       "the statement was not tried: it may build on step %s, which is not carried out on the empty "
                       "clone: %.400s",
                       before->id, err->message);
    } else {
        (void)snprintf(message, sizeof message, "the server refuses the statement, tried on an empty clone: %.500s",
                       err->message);
    }
    zdm_error_clear(err);
    return mydb_survey_say(survey,
                           before != NULL ? ZDM_SURVEY_NOT_TRIED
                           : rewrites     ? ZDM_SURVEY_CLONE_REWRITES
                                          : ZDM_SURVEY_CLONE_REFUSED,
                           before != NULL ? ZDM_LEVEL_NOTE : ZDM_LEVEL_ERROR, step->table.name, message, hint, err);
}

/* A person has allowed it, and may not know what it costs. */
static enum zdm_code say_rewrites(struct mydb_survey *survey, const struct mydb_table *table, struct zdm_error *err)
{
    char message[300];
    (void)snprintf(message, sizeof message,
                   "the statement writes all of it anew (%" PRIu64 " MB), as {rewrite-ok} allows: a transaction that "
                   "reads by a snapshot, begins meanwhile and comes to this table afterwards gets error 1412 once",
                   (table->data_bytes + table->index_bytes) >> 20);
    return mydb_survey_say(survey, ZDM_SURVEY_CLONE_REWRITES, ZDM_LEVEL_NOTE, table->name, message,
                           "Run it at a quiet hour. Transactions that are open before it are waited for; replicas lag "
                           "for as long as it takes.",
                           err);
}

/* Was an error said of this step before? What the server says then is the same once more. */
static bool is_bad(const struct mydb_survey *survey)
{
    for (size_t i = 0; i < survey->common.out->n_findings; i++) {
        const struct zdm_survey_finding *f = &survey->common.out->findings[i];
        if (f->step == survey->common.step->ordinal && f->level == ZDM_LEVEL_ERROR) {
            return true;
        }
    }
    return false;
}

static enum zdm_code try_step(struct mydb_survey *survey, struct zdm_survey_step *out, struct zdm_error *err)
{
    struct mydb_work *w = survey->w;
    struct mydb_table table;
    char algorithm[MYDB_ALGORITHM_MAX];
    w->step = survey->common.step;
    enum zdm_code code = mydb_table_find(w->s, w->step->table.name, &table, err);
    if (code == ZDM_OK) {
        code = mydb_judge(w, &table, w->step->sql, algorithm, NULL, NULL, NULL, err);
    }
    w->step = NULL;
    out->tried = code == ZDM_OK;
    if (code == ZDM_OK) {
        return w->rebuilds ? say_rewrites(survey, &table, err) : ZDM_OK;
    }
    bool refused = mydb_is_open(w->s) && (code == ZDM_REFUSED || mydb_is_final(code));
    mydb_rollback(w->s);
    return refused ? say_refused(survey, err) : mydb_survey_miss(survey, code, "an empty clone", err);
}

/* ---- The disk ---- */

/* The data directory, where the agent stands beside the server. */
static enum zdm_code look_at_disk(struct mydb_survey *survey, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const struct mydb_target *target = survey->w->s->target;
    const char *host = target->host;
    struct statvfs disk;
    struct stat folder;
    bool local = target->socket != NULL ||
                 (host != NULL &&
                  (strcmp(host, "localhost") == 0 || strcmp(host, "127.0.0.1") == 0 || strcmp(host, "::1") == 0));
    enum zdm_code code = mydb_query(survey->w->s, "SELECT @@datadir", 0, NULL, &rows, err);
    if (code != ZDM_OK || !local || rows->n == 0 || mydb_text(rows, 0, 0) == NULL) {
        return code;
    }
    if (stat(mydb_text(rows, 0, 0), &folder) == 0 && S_ISDIR(folder.st_mode) &&
        statvfs(mydb_text(rows, 0, 0), &disk) == 0) {
        survey->common.out->disk_free_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    }
    return ZDM_OK;
}

/* ---- All of them ---- */

static enum zdm_code survey_step(struct mydb_survey *survey, struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step;
    const struct zdm_survey_table *t = agent_survey_table(&survey->common, &step->table);
    struct zdm_survey_step *out = &survey->common.out->steps[survey->common.out->n_steps++];
    *out = (struct zdm_survey_step){.ordinal = step->ordinal};
    if (agent_survey_is_done(&survey->common)) {
        return ZDM_OK;
    }
    out->estimate_ms = agent_survey_estimate(&survey->common, t);
    out->room_bytes = agent_survey_room(&survey->common, t);
    if (survey->common.no_more || t == NULL || !t->exists || is_bad(survey)) {
        return ZDM_OK;
    }
    if (mydb_survey_late(survey, TRIALS_PERCENT)) {
        survey->common.no_more = true;
        return agent_survey_cut(&survey->common, "statements were not tried on a clone")
                   ? ZDM_OK
                   : zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    enum zdm_code code =
        step->action == ZDM_ACTION_HIDE_COLUMN ? mydb_survey_omitted(survey, err) : mydb_survey_copies(survey, err);
    bool tries = (TRIED >> step->action & 1) != 0 && step->sql != NULL;
    return code == ZDM_OK && tries ? try_step(survey, out, err) : code;
}

enum zdm_code mydb_survey_steps(struct mydb_survey *survey, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (uint32_t i = 1; code == ZDM_OK && i <= zdm_plan_n_steps(survey->common.plan); i++) {
        survey->common.step = zdm_plan_step(survey->common.plan, i);
        if (zdm_step_is_for(survey->common.step, ZDM_ENGINE_MYSQL)) {
            code = survey_step(survey, err);
        }
    }
    survey->common.step = NULL;
    if (code == ZDM_OK && (code = look_at_disk(survey, err)) != ZDM_OK) {
        code = mydb_survey_miss(survey, code, "the disk", err);
    }
    return code == ZDM_OK ? agent_survey_judge_room(&survey->common, err) : code;
}
