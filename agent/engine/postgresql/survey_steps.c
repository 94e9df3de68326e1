/*
 * survey_steps.c - each step in figures: how long it may take, what room it needs, and what its statement did to an
 * empty clone (survey.h, trial.h).
 *
 * Estimates are arithmetic over the statistics of the table and speeds of an ordinary server; nothing is tried at the
 * table itself. They say minutes or days, not seconds.
 */
#include "agent/engine/postgresql/survey.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "agent/engine/postgresql/classify.h"
#include "agent/engine/postgresql/owner.h"
#include "agent/engine/postgresql/trial.h"

enum {
    BATCH_ROWS_PER_S = 20000, /* that are written while a batch runs */
    CHECK_ROWS_PER_S = 200000,
    INDEX_ROWS_PER_S = 500000, /* sorted */
    READ_BYTES_PER_MS = 200 * 1024,
    DUTY_PERCENT = 20, /* of the agent, where the plan has none */
    SHORT_MS = 100,
    INDEX_ENTRY_BYTES = 32,
    IMAGE_BYTES = 96, /* of a row of before-images without its values */
    WORTH_SAYING_BYTES = 64 * 1024 * 1024,
    TRIALS_PERCENT = 85 /* of the survey's time */
};

/* ---- Figures ---- */

static int64_t per_s(int64_t rows, int64_t rate)
{
    return rows < 0 ? -1 : rows * 1000 / rate;
}

static int64_t paced(const struct pgsql_survey *survey, int64_t ms)
{
    int64_t duty = survey->plan->throttle.duty_percent;
    duty = duty == 0 ? DUTY_PERCENT : duty;
    return ms < 0 ? -1 : ms * 100 / duty;
}

/* Rows by the statistics; a table that was never analysed: by its size. */
static int64_t rows_of(const struct zdm_survey_table *t)
{
    return t->rows >= 0 ? t->rows : t->bytes / 100;
}

static int64_t index_build_ms(const struct zdm_survey_table *t)
{
    return 2 * t->bytes / READ_BYTES_PER_MS + per_s(rows_of(t), INDEX_ROWS_PER_S);
}

static int64_t estimate(const struct pgsql_survey *survey, const struct zdm_survey_table *t)
{
    const struct zdm_step *step = survey->step;
    uint64_t does = UINT64_C(1) << step->action;
    if ((does & (PGSQL_DOES(GATE_FLAG) | PGSQL_DOES(AS_IS) | PGSQL_DOES(CHECK_QUERY))) != 0) {
        return -1; /* people, or what nobody has read */
    }
    if (step->action == ZDM_ACTION_GATE_WAIT) {
        return step->wait == NULL || step->wait->until != NULL ? -1 : step->wait->for_ms;
    }
    if (t == NULL || !t->exists) {
        return SHORT_MS;
    }
    if ((does & (PGSQL_DOES(BACKFILL) | PGSQL_DOES(DELETE))) != 0) {
        return paced(survey, per_s(rows_of(t), BATCH_ROWS_PER_S));
    }
    if (step->action == ZDM_ACTION_CHECK_COMPARE) {
        return paced(survey, per_s(rows_of(t), CHECK_ROWS_PER_S));
    }
    if (step->action == ZDM_ACTION_VALIDATE) {
        return SHORT_MS + t->bytes / READ_BYTES_PER_MS;
    }
    if (step->action == ZDM_ACTION_CREATE_INDEX) {
        return SHORT_MS + index_build_ms(t);
    }
    if (step->action == ZDM_ACTION_REINDEX) {
        return SHORT_MS + index_build_ms(t) + t->index_bytes / READ_BYTES_PER_MS;
    }
    return SHORT_MS;
}

static int64_t room(const struct pgsql_survey *survey, const struct zdm_survey_table *t)
{
    const struct zdm_step *step = survey->step;
    if (t == NULL || !t->exists) {
        return 0;
    }
    if (step->action == ZDM_ACTION_CREATE_INDEX) {
        return rows_of(t) * INDEX_ENTRY_BYTES;
    }
    if (step->action == ZDM_ACTION_REINDEX) {
        return t->index_bytes;
    }
    if (step->action == ZDM_ACTION_DELETE) {
        return step->inverse == ZDM_INVERSE_IMAGES ? t->bytes : 0; /* whole rows */
    }
    if (step->action != ZDM_ACTION_BACKFILL) {
        return 0;
    }
    /* A new version of each row, until the old ones have been vacuumed; and the before-images. */
    return t->bytes + (step->inverse == ZDM_INVERSE_IMAGES ? rows_of(t) * IMAGE_BYTES : 0);
}

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
    const struct zdm_step *step = survey->step;
    char object[3 * ZDM_IDENTIFIER_MAX];
    enum zdm_survey_rule rule = trial->rewritten ? ZDM_SURVEY_CLONE_REWRITES : ZDM_SURVEY_LONG_LOCK;
    if (trial->why[0] == '\0') {
        return ZDM_OK;
    }
    put_object(object, sizeof object, step);
    return pgsql_survey_add(survey, rule, ZDM_LEVEL_ERROR, object, trial->why, trial->hint)
               ? ZDM_OK
               : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static enum zdm_code say_refused(struct pgsql_survey *survey, struct zdm_error *err)
{
    const struct zdm_step *step = survey->step;
    char object[3 * ZDM_IDENTIFIER_MAX], message[700];
    put_object(object, sizeof object, step);
    (void)snprintf(message, sizeof message, "the server refuses the statement, tried on an empty clone: %.500s",
                   err->message);
    bool added = pgsql_survey_add(survey, ZDM_SURVEY_CLONE_REFUSED, ZDM_LEVEL_ERROR, object, message, err->hint);
    *err = (struct zdm_error)ZDM_ERROR_INIT;
    return added ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static enum zdm_code say_not_tried(struct pgsql_survey *survey, const struct pgsql_trial *trial, struct zdm_error *err)
{
    char object[3 * ZDM_IDENTIFIER_MAX], message[2 * ZDM_TEXT_MAX];
    if (trial->tried || trial->why_not[0] == '\0') {
        return ZDM_OK;
    }
    put_object(object, sizeof object, survey->step);
    (void)snprintf(message, sizeof message, "the statement was not tried: %s", trial->why_not);
    return pgsql_survey_add(survey, ZDM_SURVEY_NOT_TRIED, ZDM_LEVEL_NOTE, object, message,
                            "Try it on a copy of the database, or read it once more: what it locks, reads and writes "
                            "anew shows only when it runs.")
               ? ZDM_OK
               : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

/* Was an error said of this step before? What the server says then is the same once more. */
static bool is_bad(const struct pgsql_survey *survey)
{
    for (size_t i = 0; i < survey->out->n_findings; i++) {
        const struct zdm_survey_finding *f = &survey->out->findings[i];
        if (f->step == survey->step->ordinal && f->level == ZDM_LEVEL_ERROR) {
            return true;
        }
    }
    return false;
}

/* What has no table to be tried on is said by a rule. */
static bool can_be_tried(const struct pgsql_survey *survey, const struct zdm_survey_table *t)
{
    const struct zdm_step *step = survey->step;
    bool has_table = step->table.name != NULL && step->table.name[0] != '\0';
    bool ground = !has_table || (t != NULL && t->exists) || step->action == ZDM_ACTION_CREATE_TABLE ||
                  pgsql_survey_makes_table(survey, &step->table);
    return ground && !is_bad(survey);
}

static enum zdm_code try_step(struct pgsql_survey *survey, struct zdm_survey_step *out, struct zdm_error *err)
{
    struct pgsql_trial trial = {.tried = false};
    struct pgsql_work *w = survey->w;
    w->step = survey->step;
    enum zdm_code code = pgsql_try_on_clone(w, survey->step, &trial, err);
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
    if (!pgsql_runs_as_owner(survey->step)) {
        return ZDM_OK;
    }
    w->step = survey->step;
    enum zdm_code code = pgsql_survey_begin(survey, err);
    if (code == ZDM_OK) {
        code = pgsql_owner_find(w, &owner, err);
    }
    w->step = NULL;
    pgsql_rollback(w->s);
    if (code == ZDM_REFUSED) {
        added = pgsql_survey_add(survey, ZDM_SURVEY_OWNER_UNCLEAR, ZDM_LEVEL_ERROR, survey->step->table.schema,
                                 err->message, err->hint);
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
        survey->out->disk_free_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    }
    return ZDM_OK;
}

/* What the plan needs at once at most: indexes stay, versions of rows go again. */
static int64_t room_needed(const struct zdm_survey *out, const struct zdm_plan *plan)
{
    int64_t stays = 0, passes = 0;
    for (size_t i = 0; i < out->n_steps; i++) {
        const struct zdm_step *step = zdm_plan_step(plan, out->steps[i].ordinal);
        if (step->action == ZDM_ACTION_CREATE_INDEX || step->inverse == ZDM_INVERSE_IMAGES) {
            stays += out->steps[i].room_bytes;
        } else if (out->steps[i].room_bytes > passes) {
            passes = out->steps[i].room_bytes;
        }
    }
    return stays + passes;
}

static void put_size(char *out, size_t size, int64_t bytes)
{
    bool giga = bytes >= INT64_C(10) << 30;
    (void)snprintf(out, size, "%" PRId64 " %s", giga ? bytes >> 30 : (bytes >> 20) + 1, giga ? "GiB" : "MiB");
}

static enum zdm_code judge_room(struct pgsql_survey *survey, struct zdm_error *err)
{
    struct zdm_survey *out = survey->out;
    int64_t needed = room_needed(out, survey->plan), left = out->disk_free_bytes;
    char need[40], have[40], message[256];
    put_size(need, sizeof need, needed);
    put_size(have, sizeof have, left);
    bool added = true;
    if (left < 0 && needed >= WORTH_SAYING_BYTES) {
        (void)snprintf(message, sizeof message,
                       "the plan needs up to %s of disk, by an estimate; the agent cannot see how much is free", need);
        added = pgsql_survey_add(survey, ZDM_SURVEY_DISK_ROOM, ZDM_LEVEL_NOTE, "", message,
                                 "Look at the server's disk before you advance.");
    } else if (left >= 0 && needed > left / 2) {
        (void)snprintf(message, sizeof message, "the plan needs up to %s of disk, by an estimate; %s are free", need,
                       have);
        added = pgsql_survey_add(survey, ZDM_SURVEY_DISK_ROOM, needed > left ? ZDM_LEVEL_ERROR : ZDM_LEVEL_WARNING, "",
                                 message, "Make room, or run the phases with a VACUUM between them.");
    }
    return added ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

/* ---- All of them ---- */

static enum zdm_code survey_step(struct pgsql_survey *survey, struct zdm_error *err)
{
    const struct zdm_survey_table *t = pgsql_survey_table(survey, &survey->step->table);
    struct zdm_survey_step *out = &survey->out->steps[survey->out->n_steps++];
    *out = (struct zdm_survey_step){.ordinal = survey->step->ordinal};
    if (pgsql_survey_is_done(survey)) {
        return ZDM_OK;
    }
    out->estimate_ms = estimate(survey, t);
    out->room_bytes = room(survey, t);
    if (survey->no_more) {
        return ZDM_OK;
    }
    if (pgsql_survey_late(survey, TRIALS_PERCENT)) {
        survey->no_more = true;
        return pgsql_survey_cut(survey, "statements were not tried on a clone")
                   ? ZDM_OK
                   : zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    enum zdm_code code = look_at_owner(survey, err);
    return code == ZDM_OK && can_be_tried(survey, t) ? try_step(survey, out, err) : code;
}

enum zdm_code pgsql_survey_steps(struct pgsql_survey *survey, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (uint32_t i = 1; code == ZDM_OK && i <= zdm_plan_n_steps(survey->plan); i++) {
        survey->step = zdm_plan_step(survey->plan, i);
        if (zdm_step_is_for(survey->step, ZDM_ENGINE_POSTGRESQL)) {
            code = survey_step(survey, err);
        }
    }
    survey->step = NULL;
    if (code == ZDM_OK && (code = look_at_disk(survey, err)) != ZDM_OK) {
        code = pgsql_survey_miss(survey, code, "the disk", err);
    }
    return code == ZDM_OK ? judge_room(survey, err) : code;
}
