/*
 * survey.c - the survey's frame: which parts in which order, and how findings are written down (survey.h).
 */
#include "agent/engine/postgresql/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/journal.h"

enum {
    MESSAGE_MAX = 1000,
    HINT_MAX = 1000,
    OBJECT_MAX = 240,
    RULES_PERCENT = 60 /* of the time, then the trials */
};

/* ---- Texts ---- */

/* Bytes of the UTF-8 character at c, 0 for none. */
static size_t character(const unsigned char *c)
{
    size_t n = *c < 0x80                 ? 1
               : *c >= 0xc2 && *c < 0xe0 ? 2
               : *c >= 0xe0 && *c < 0xf0 ? 3
               : *c >= 0xf0 && *c < 0xf5 ? 4
                                         : 0;
    for (size_t i = 1; i < n; i++) {
        if ((c[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (*c == 0xe0 && c[1] < 0xa0) || (*c == 0xf0 && c[1] < 0x90);
    bool beyond = (*c == 0xed && c[1] >= 0xa0) || (*c == 0xf4 && c[1] >= 0x90);
    return overlong || beyond ? 0 : n;
}

char *pgsql_survey_text(const char *text, size_t most)
{
    const unsigned char *c = (const unsigned char *)(text == NULL ? "" : text);
    char *out = malloc(most + 1);
    size_t at = 0;
    for (size_t n; out != NULL && *c != '\0' && at < most; c += n == 0 ? 1 : n) {
        n = character(c);
        if (n > most - at) {
            break;
        }
        if (n == 0 || (n == 1 && (*c < 0x20 || *c == 0x7f) && *c != '\n')) {
            out[at++] = n == 0 ? '?' : ' ';
        } else {
            memcpy(out + at, c, n);
            at += n;
        }
    }
    if (out == NULL) {
        return NULL;
    }
    out[at] = '\0';
    char *fits = realloc(out, at + 1);
    return fits == NULL ? out : fits;
}

/* ---- Findings ---- */

static bool was_said(const struct zdm_survey *out, const char *rule, const char *object, const char *message)
{
    for (size_t i = 0; i < out->n_findings; i++) {
        const struct zdm_survey_finding *f = &out->findings[i];
        if (strcmp(f->rule, rule) == 0 && strcmp(f->object, object) == 0 && strcmp(f->message, message) == 0) {
            return true;
        }
    }
    return false;
}

static void finding_fini(struct zdm_survey_finding *f)
{
    free(f->rule);
    free(f->object);
    free(f->message);
    free(f->hint);
    memset(f, 0, sizeof *f);
}

static bool append(struct pgsql_survey *survey, enum zdm_survey_rule rule, enum zdm_level level, const char *object,
                   const char *message, const char *hint)
{
    struct zdm_survey *out = survey->out;
    struct zdm_survey_finding f = {.level = level,
                                   .rule = pgsql_survey_text(zdm_survey_rule_name(rule), ZDM_NAME_MAX),
                                   .step = survey->step == NULL ? 0 : survey->step->ordinal,
                                   .object = pgsql_survey_text(object, OBJECT_MAX),
                                   .message = pgsql_survey_text(message, MESSAGE_MAX),
                                   .hint = pgsql_survey_text(hint, HINT_MAX)};
    bool whole = f.rule != NULL && f.object != NULL && f.message != NULL && f.hint != NULL;
    if (!whole || was_said(out, f.rule, f.object, f.message)) {
        finding_fini(&f);
        return whole;
    }
    out->findings[out->n_findings++] = f;
    return true;
}

bool pgsql_survey_add(struct pgsql_survey *survey, enum zdm_survey_rule rule, enum zdm_level level, const char *object,
                      const char *message, const char *hint)
{
    if (survey->out->n_findings + 1 < ZDM_SURVEY_FINDINGS_MAX) {
        return append(survey, rule, level, object, message, hint);
    }
    if (survey->full) {
        return true;
    }
    survey->full = true;
    return append(survey, ZDM_SURVEY_NOT_SURVEYED, ZDM_LEVEL_WARNING, "", "there is more than is shown here",
                  "Mend what is shown, then check again.");
}

void pgsql_survey_words(const struct zdm_error *err, char *out, size_t size)
{
    /* Wrong values, values that break a constraint, what functions raise. */
    static const char *const quoting[] = {"22", "23", "P0"};
    for (size_t i = 0; i < sizeof quoting / sizeof *quoting; i++) {
        if (strncmp(err->sqlstate, quoting[i], 2) == 0) {
            (void)snprintf(out, size, "the server refuses a value of some row (%s)", err->sqlstate);
            return;
        }
    }
    (void)snprintf(out, size, "%.300s", err->message);
}

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
    pgsql_survey_words(err, why, sizeof why);
    (void)snprintf(message, sizeof message, "%s could not be looked at: %s", what, why);
    *err = (struct zdm_error)ZDM_ERROR_INIT;
    return pgsql_survey_add(survey, ZDM_SURVEY_NOT_SURVEYED, ZDM_LEVEL_NOTE, "", message, "")
               ? ZDM_OK
               : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

bool pgsql_survey_late(const struct pgsql_survey *survey, int percent)
{
    const struct pgsql_work *w = survey->w;
    return w->op->time_limit_ms > 0 &&
           pgsql_now_ms() > w->s->deadline_ms - (int64_t)w->op->time_limit_ms * (100 - percent) / 100;
}

bool pgsql_survey_cut(struct pgsql_survey *survey, const char *part)
{
    char message[256];
    const struct zdm_step *step = survey->step;
    (void)snprintf(message, sizeof message, "from step %s on, %s: the time of a check was over", step->id, part);
    survey->step = NULL;
    bool added = pgsql_survey_add(survey, ZDM_SURVEY_NOT_SURVEYED, ZDM_LEVEL_WARNING, "", message,
                                  "Check again in a quieter hour, or make several runbooks of it.");
    survey->step = step;
    return added;
}

enum zdm_code pgsql_survey_begin(struct pgsql_survey *survey, struct zdm_error *err)
{
    return pgsql_script(survey->w->s,
                        "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL statement_timeout = 3000; "
                        "SET LOCAL lock_timeout = 100",
                        NULL, err);
}

/* ---- What the plan makes ---- */

bool pgsql_survey_is_done(const struct pgsql_survey *survey)
{
    return survey->step != NULL && survey->step->ordinal < survey->from;
}

/* Where the journal of this migration stands; 1 where there is none. */
static uint32_t journal_place(struct pgsql_work *w)
{
    struct pgsql_place place = {0};
    struct zdm_error ignored = ZDM_ERROR_INIT;
    return pgsql_journal_place(w, &place, &ignored) == ZDM_OK && place.step > 0 ? place.step : 1;
}

static const struct zdm_step *earlier(const struct pgsql_survey *survey, uint32_t *ordinal)
{
    uint32_t end = survey->step == NULL ? 0 : survey->step->ordinal;
    return ++*ordinal < end ? zdm_plan_step(survey->plan, *ordinal) : NULL;
}

static bool same_table(const struct zdm_table *a, const struct zdm_table *b)
{
    return a->schema != NULL && a->name != NULL && b->schema != NULL && b->name != NULL &&
           strcmp(a->schema, b->schema) == 0 && strcmp(a->name, b->name) == 0;
}

bool pgsql_survey_makes_table(const struct pgsql_survey *survey, const struct zdm_table *table)
{
    const struct zdm_step *step;
    for (uint32_t i = 0; (step = earlier(survey, &i)) != NULL;) {
        if (step->action == ZDM_ACTION_CREATE_TABLE && same_table(&step->table, table)) {
            return true;
        }
    }
    return false;
}

bool pgsql_survey_makes_column(const struct pgsql_survey *survey, const char *column)
{
    const struct zdm_step *step;
    if (pgsql_survey_makes_table(survey, &survey->step->table)) {
        return true;
    }
    for (uint32_t i = 0; (step = earlier(survey, &i)) != NULL;) {
        if (step->action == ZDM_ACTION_ADD_COLUMN && same_table(&step->table, &survey->step->table) &&
            strcmp(step->column, column) == 0) {
            return true;
        }
    }
    return false;
}

bool pgsql_survey_makes_object(const struct pgsql_survey *survey, const char *object)
{
    static const uint64_t makes = PGSQL_DOES(ADD_CHECK) | PGSQL_DOES(CREATE_INDEX) | PGSQL_DOES(ADD_FOREIGN_KEY) |
                                  PGSQL_DOES(ADD_UNIQUE) | PGSQL_DOES(ADD_PRIMARY_KEY) | PGSQL_DOES(CREATE_TYPE) |
                                  PGSQL_DOES(ADD_PARTITION_CHECK);
    const struct zdm_step *step;
    for (uint32_t i = 0; (step = earlier(survey, &i)) != NULL;) {
        if ((makes >> step->action & 1) != 0 && step->object != NULL && strcmp(step->object, object) == 0) {
            return true;
        }
    }
    return pgsql_survey_makes_table(survey, &survey->step->table);
}

const char *pgsql_survey_not_null(const struct pgsql_survey *survey)
{
    const struct zdm_step *step = survey->step;
    for (uint32_t o = 1; step->object != NULL && o <= step->ordinal; o++) {
        const struct zdm_step *check = zdm_plan_step(survey->plan, o);
        if (check->action == ZDM_ACTION_ADD_CHECK && same_table(&check->table, &step->table) &&
            strcmp(check->object, step->object) == 0) {
            return check->column;
        }
    }
    return NULL;
}

bool pgsql_survey_has(const struct zdm_plan *plan, uint64_t actions)
{
    for (uint32_t i = 1; i <= zdm_plan_n_steps(plan); i++) {
        if ((actions >> zdm_plan_step(plan, i)->action & 1) != 0) {
            return true;
        }
    }
    return false;
}

struct zdm_survey_table *pgsql_survey_table(const struct pgsql_survey *survey, const struct zdm_table *table)
{
    for (size_t i = 0; i < survey->out->n_tables; i++) {
        if (same_table(&survey->out->tables[i].name, table)) {
            return &survey->out->tables[i];
        }
    }
    return NULL;
}

/* ---- All of it ---- */

static bool make_room(struct zdm_survey *out, const struct zdm_plan *plan)
{
    size_t tables = plan->n_tables < ZDM_SURVEY_TABLES_MAX ? plan->n_tables : ZDM_SURVEY_TABLES_MAX;
    out->engine = ZDM_ENGINE_POSTGRESQL;
    out->disk_free_bytes = -1;
    out->findings = calloc(ZDM_SURVEY_FINDINGS_MAX, sizeof *out->findings);
    out->tables = calloc(tables + 1, sizeof *out->tables);
    out->steps = calloc(zdm_plan_n_steps(plan) + 1, sizeof *out->steps);
    return out->findings != NULL && out->tables != NULL && out->steps != NULL;
}

static enum zdm_code survey_tables(struct pgsql_survey *survey, struct zdm_error *err)
{
    enum zdm_code code = pgsql_survey_tables(survey, err);
    for (size_t i = 0; code == ZDM_OK && i < survey->out->n_tables; i++) {
        if (survey->out->tables[i].exists) {
            code = pgsql_survey_table_rules(survey, &survey->out->tables[i].name, err);
        }
    }
    return code;
}

static enum zdm_code survey_each_step(struct pgsql_survey *survey, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (uint32_t i = 1; code == ZDM_OK && i <= zdm_plan_n_steps(survey->plan); i++) {
        survey->step = zdm_plan_step(survey->plan, i);
        if (!zdm_step_is_for(survey->step, ZDM_ENGINE_POSTGRESQL) || pgsql_survey_is_done(survey)) {
            continue;
        }
        if (pgsql_survey_late(survey, RULES_PERCENT)) {
            bool added = pgsql_survey_cut(survey, "steps were not looked at");
            code = added ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
            break;
        }
        code = pgsql_survey_step_rules(survey, err);
        if (code == ZDM_OK) {
            code = pgsql_survey_copies(survey, err);
        }
    }
    survey->step = NULL;
    return code;
}

enum zdm_code pgsql_survey(struct pgsql_work *w, struct zdm_error *err)
{
    static enum zdm_code (*const parts[])(struct pgsql_survey *, struct zdm_error *) = {
        pgsql_survey_node,       pgsql_survey_node_rules, survey_tables,     survey_each_step,
        pgsql_survey_statements, pgsql_survey_steps,      pgsql_survey_rows,
    };
    struct zdm_survey *out = calloc(1, sizeof *out);
    if (w->op->plan == NULL) {
        free(out);
        return zdm_error_set(err, ZDM_BUG, "a survey without a plan");
    }
    if (out == NULL || !make_room(out, w->op->plan)) {
        zdm_survey_free(out);
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    struct pgsql_survey survey = {.w = w, .plan = w->op->plan, .out = out, .from = journal_place(w)};
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < sizeof parts / sizeof *parts; i++) {
        code = parts[i](&survey, err);
    }
    if (code != ZDM_OK) {
        zdm_survey_free(out);
        return code;
    }
    w->result->survey = out;
    return ZDM_OK;
}
