/*
 * survey.c - see survey.h.
 */
#include "agent/engine/survey.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

enum { MESSAGE_MAX = 1000, HINT_MAX = 1000, OBJECT_MAX = 240 };

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

char *agent_survey_text(const char *text, size_t most)
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

static bool append(struct agent_survey *survey, enum zdm_survey_rule rule, enum zdm_level level, const char *object,
                   const char *message, const char *hint)
{
    struct zdm_survey *out = survey->out;
    struct zdm_survey_finding f = {.level = level,
                                   .rule = agent_survey_text(zdm_survey_rule_name(rule), ZDM_NAME_MAX),
                                   .step = survey->step == NULL ? 0 : survey->step->ordinal,
                                   .object = agent_survey_text(object, OBJECT_MAX),
                                   .message = agent_survey_text(message, MESSAGE_MAX),
                                   .hint = agent_survey_text(hint, HINT_MAX)};
    bool whole = f.rule != NULL && f.object != NULL && f.message != NULL && f.hint != NULL;
    if (!whole || was_said(out, f.rule, f.object, f.message)) {
        finding_fini(&f);
        return whole;
    }
    out->findings[out->n_findings++] = f;
    return true;
}

bool agent_survey_add(struct agent_survey *survey, enum zdm_survey_rule rule, enum zdm_level level, const char *object,
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

void agent_survey_words(const struct zdm_error *err, char *out, size_t size)
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

bool agent_survey_cut(struct agent_survey *survey, const char *part)
{
    char message[256];
    const struct zdm_step *step = survey->step;
    (void)snprintf(message, sizeof message, "from step %s on, %s: the time of a check was over", step->id, part);
    survey->step = NULL;
    bool added = agent_survey_add(survey, ZDM_SURVEY_NOT_SURVEYED, ZDM_LEVEL_WARNING, "", message,
                                  "Check again in a quieter hour, or make several runbooks of it.");
    survey->step = step;
    return added;
}

/* ---- What the plan makes ---- */

bool agent_survey_is_done(const struct agent_survey *survey)
{
    return survey->step != NULL && survey->step->ordinal < survey->from;
}

/* The next step of the survey's engine behind *ordinal and before the step at hand. */
static const struct zdm_step *earlier(const struct agent_survey *survey, uint32_t *ordinal)
{
    uint32_t end = survey->step == NULL ? 0 : survey->step->ordinal;
    while (++*ordinal < end) {
        const struct zdm_step *step = zdm_plan_step(survey->plan, *ordinal);
        if (zdm_step_is_for(step, survey->engine)) {
            return step;
        }
    }
    return NULL;
}

static bool same_table(const struct zdm_table *a, const struct zdm_table *b)
{
    return a->schema != NULL && a->name != NULL && b->schema != NULL && b->name != NULL &&
           strcmp(a->schema, b->schema) == 0 && strcmp(a->name, b->name) == 0;
}

bool agent_survey_makes_table(const struct agent_survey *survey, const struct zdm_table *table)
{
    const struct zdm_step *step;
    for (uint32_t i = 0; (step = earlier(survey, &i)) != NULL;) {
        if (step->action == ZDM_ACTION_CREATE_TABLE && same_table(&step->table, table)) {
            return true;
        }
    }
    return false;
}

bool agent_survey_makes_column(const struct agent_survey *survey, const char *column)
{
    const struct zdm_step *step;
    if (agent_survey_makes_table(survey, &survey->step->table)) {
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

bool agent_survey_makes_object(const struct agent_survey *survey, const char *object)
{
    static const uint64_t makes = AGENT_DOES(ADD_CHECK) | AGENT_DOES(CREATE_INDEX) | AGENT_DOES(ADD_FOREIGN_KEY) |
                                  AGENT_DOES(ADD_UNIQUE) | AGENT_DOES(ADD_PRIMARY_KEY) | AGENT_DOES(CREATE_TYPE) |
                                  AGENT_DOES(ADD_PARTITION_CHECK);
    const struct zdm_step *step;
    for (uint32_t i = 0; (step = earlier(survey, &i)) != NULL;) {
        if ((makes >> step->action & 1) != 0 && step->object != NULL && strcmp(step->object, object) == 0) {
            return true;
        }
    }
    return agent_survey_makes_table(survey, &survey->step->table);
}

const char *agent_survey_not_null(const struct agent_survey *survey)
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

bool agent_survey_has(const struct agent_survey *survey, uint64_t actions)
{
    for (uint32_t i = 1; i <= zdm_plan_n_steps(survey->plan); i++) {
        const struct zdm_step *step = zdm_plan_step(survey->plan, i);
        if (zdm_step_is_for(step, survey->engine) && (actions >> step->action & 1) != 0) {
            return true;
        }
    }
    return false;
}

struct zdm_survey_table *agent_survey_table(const struct agent_survey *survey, const struct zdm_table *table)
{
    for (size_t i = 0; i < survey->out->n_tables; i++) {
        if (same_table(&survey->out->tables[i].name, table)) {
            return &survey->out->tables[i];
        }
    }
    return NULL;
}

/* What is there now, and may be otherwise when an earlier step has run as it is. */
static bool is_passing(enum zdm_survey_rule rule)
{
    static const enum zdm_survey_rule rules[] = {
        ZDM_SURVEY_TABLE_MISSING,      ZDM_SURVEY_COLUMN_MISSING,      ZDM_SURVEY_OBJECT_MISSING,
        ZDM_SURVEY_DEPENDENTS,         ZDM_SURVEY_KEY_COLUMN,          ZDM_SURVEY_IDENTITY_COLUMN,
        ZDM_SURVEY_CHECK_OVER_WIDENED, ZDM_SURVEY_INDEX_OF_CONSTRAINT, ZDM_SURVEY_ALREADY_THERE};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i] == rule) {
            return true;
        }
    }
    return false;
}

static bool names_table(const struct zdm_step *as_is, const struct zdm_table *table)
{
    bool named = as_is->table.name == NULL || as_is->table.name[0] == '\0' || table->name == NULL ||
                 (strcmp(as_is->table.schema, table->schema) == 0 && strcmp(as_is->table.name, table->name) == 0);
    for (size_t i = 0; !named && i < as_is->n_others; i++) {
        named = strcmp(as_is->others[i].schema, table->schema) == 0 && strcmp(as_is->others[i].name, table->name) == 0;
    }
    return named;
}

const struct zdm_step *agent_survey_as_is_before(const struct agent_survey *survey)
{
    for (uint32_t o = survey->from; survey->step != NULL && o < survey->step->ordinal; o++) {
        const struct zdm_step *step = zdm_plan_step(survey->plan, o);
        if (step->action == ZDM_ACTION_AS_IS && names_table(step, &survey->step->table)) {
            return step;
        }
    }
    return NULL;
}

bool agent_survey_say(struct agent_survey *survey, enum zdm_survey_rule rule, enum zdm_level level, const char *object,
                      const char *message, const char *hint)
{
    char lowered[MESSAGE_MAX];
    const struct zdm_step *as_is =
        level == ZDM_LEVEL_ERROR && is_passing(rule) ? agent_survey_as_is_before(survey) : NULL;
    if (as_is == NULL) {
        return agent_survey_add(survey, rule, level, object, message, hint);
    }
    (void)snprintf(lowered, sizeof lowered, "%.800s; unless step %s, which runs as it is before this one, changes that",
                   message, as_is->id);
    return agent_survey_add(survey, rule, ZDM_LEVEL_NOTE, object, lowered, hint);
}

bool agent_survey_is_only_as_is(const struct zdm_plan *plan, const struct zdm_table *table)
{
    for (uint32_t o = 1; o <= zdm_plan_n_steps(plan); o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        if (step->action != ZDM_ACTION_AS_IS && step->table.name != NULL && names_table(step, table)) {
            return false;
        }
    }
    return true;
}

bool agent_survey_begin(struct agent_survey *survey, const struct zdm_plan *plan, enum zdm_engine engine, uint32_t from)
{
    size_t tables = plan->n_tables < ZDM_SURVEY_TABLES_MAX ? plan->n_tables : ZDM_SURVEY_TABLES_MAX;
    struct zdm_survey *out = calloc(1, sizeof *out);
    *survey = (struct agent_survey){.plan = plan, .out = out, .engine = engine, .from = from};
    if (out == NULL) {
        return false;
    }
    out->engine = engine;
    out->disk_free_bytes = -1;
    out->findings = calloc(ZDM_SURVEY_FINDINGS_MAX, sizeof *out->findings);
    out->tables = calloc(tables + 1, sizeof *out->tables);
    out->steps = calloc(zdm_plan_n_steps(plan) + 1, sizeof *out->steps);
    return out->findings != NULL && out->tables != NULL && out->steps != NULL;
}

/* MySQL's tables are in the database of the connection: a plan gives them no schema. */
static bool is_of_engine(const struct agent_survey *survey, const struct zdm_table *table)
{
    bool without = table->schema == NULL || table->schema[0] == '\0';
    return without == (survey->engine == ZDM_ENGINE_MYSQL);
}

enum zdm_code agent_survey_put_tables(struct agent_survey *survey, struct zdm_error *err)
{
    struct zdm_survey *out = survey->out;
    for (size_t i = 0; i < survey->plan->n_tables && out->n_tables < ZDM_SURVEY_TABLES_MAX; i++) {
        const struct zdm_table *name = &survey->plan->tables[i];
        if (!is_of_engine(survey, name)) {
            continue;
        }
        struct zdm_survey_table *t = &out->tables[out->n_tables++];
        *t = (struct zdm_survey_table){.rows = -1};
        t->outline = zdm_strdup("");
        t->name.schema = zdm_strdup(name->schema == NULL ? "" : name->schema);
        t->name.name = zdm_strdup(name->name == NULL ? "" : name->name);
        if (t->outline == NULL || t->name.schema == NULL || t->name.name == NULL) {
            return zdm_error_set(err, ZDM_NOMEM, "out of memory");
        }
    }
    return ZDM_OK;
}
