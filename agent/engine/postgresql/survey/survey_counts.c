/*
 * survey_counts.c - what a person would learn only after having approved a phase: rows that a DELETE takes, rows that
 * differ or cannot be followed when the phase's own comparison looks, rows that a check of the runbook finds
 * (survey_look.h).
 */
#include "agent/engine/postgresql/survey/survey_look.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/walk/backfill.h"
#include "agent/engine/postgresql/walk/walk_sql.h"

static void put_object(char *out, size_t size, const struct zdm_step *step)
{
    bool named = step->table.schema != NULL && step->table.name != NULL;
    (void)snprintf(out, size, "%s%s%s", named ? step->table.schema : "", named ? "." : "",
                   named ? step->table.name : "");
}

static enum zdm_code say(struct pgsql_survey *survey, enum zdm_survey_rule rule, enum zdm_level level,
                         const char *message, const char *hint, struct zdm_error *err)
{
    char object[3 * ZDM_IDENTIFIER_MAX];
    put_object(object, sizeof object, survey->common.step);
    return agent_survey_add(&survey->common, rule, level, object, message, hint)
               ? ZDM_OK
               : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static enum zdm_code say_unseen(struct pgsql_survey *survey, const struct pgsql_look *look, const char *what,
                                struct zdm_error *err)
{
    char message[600];
    if (look->late) {
        (void)snprintf(message, sizeof message, "%s was not looked through to the end: that took longer than %d s",
                       what, PGSQL_LOOK_MS / 1000);
    } else {
        (void)snprintf(message, sizeof message, "%s could not be looked through: %.300s", what, look->why);
    }
    return say(survey, ZDM_SURVEY_ROWS_UNSEEN, ZDM_LEVEL_NOTE, message,
               "It shows when the step runs; ask a copy of the database.", err);
}

/* ---- DELETE ---- */

static enum zdm_code count_deleted(struct pgsql_survey *survey, struct pgsql_look *look, struct zdm_error *err)
{
    const struct zdm_derivation *d = survey->common.step->derivation;
    struct pgsql_stage stage = {.n_checks = 0};
    char message[200];
    enum zdm_code code = pgsql_stage_begin(survey->w, survey->common.step, err);
    if (code == ZDM_OK) {
        code = pgsql_stage_set(&stage, survey->w, survey->common.step, err);
    }
    if (code == ZDM_OK) {
        zdm_buffer_puts(&look->all, "SELECT count(*), NULL, NULL FROM (SELECT FROM ");
        code = pgsql_future_put(survey, &stage, &survey->common.step->table, "t", &look->all, err);
        zdm_buffer_printf(&look->all, " WHERE (%s) AND (%s) LIMIT %d) AS found", d->filter == NULL ? "true" : d->filter,
                          d->guard == NULL ? "true" : d->guard, PGSQL_LOOK_ROWS);
    }
    pgsql_rollback(survey->w->s);
    /* With types that the plan makes there is no asking without them. */
    if (code == ZDM_OK && stage.n_types == 0) {
        code = pgsql_look_run(survey, NULL, look, err);
    }
    pgsql_stage_fini(&stage);
    if (code != ZDM_OK || !look->whole || look->rows == 0) {
        return code != ZDM_OK || look->whole || stage.n_types > 0 ? code
                                                                  : say_unseen(survey, look, "what it deletes", err);
    }
    (void)snprintf(message, sizeof message, "%s%" PRId64 " row%s would be deleted%s",
                   look->rows >= PGSQL_LOOK_ROWS ? "more than " : "",
                   look->rows >= PGSQL_LOOK_ROWS ? PGSQL_LOOK_ROWS - 1 : look->rows, look->rows == 1 ? "" : "s",
                   survey->common.step->inverse == ZDM_INVERSE_IMPOSSIBLE ? ", for good"
                                                                          : "; they are kept until the purge");
    return say(survey, ZDM_SURVEY_DELETE_ROWS, ZDM_LEVEL_NOTE, message, "Is that about what you expect?", err);
}

/* ---- Comparisons ---- */

/* Every fill of the table before the comparison is done: what it looks at is there. */
static bool is_filled(const struct pgsql_survey *survey)
{
    for (uint32_t o = survey->common.from; o < survey->common.step->ordinal; o++) {
        const struct zdm_step *step = zdm_plan_step(survey->common.plan, o);
        bool same = step->table.name != NULL && strcmp(step->table.name, survey->common.step->table.name) == 0 &&
                    strcmp(step->table.schema, survey->common.step->table.schema) == 0;
        uint64_t does = UINT64_C(1) << step->action;
        if (same && (does & (AGENT_DOES(BACKFILL) | AGENT_DOES(ADD_COLUMN) | AGENT_DOES(SYNC_INSTALL))) != 0) {
            return false;
        }
    }
    return survey->common.from > 1;
}

static bool is_switched(const struct pgsql_survey *survey)
{
    const struct zdm_step *step = survey->common.step;
    const struct zdm_phase *phase =
        zdm_plan_phase(survey->common.plan, zdm_plan_phase_of(survey->common.plan, step->ordinal));
    return step->derivation->both_ways && phase != NULL && phase->class == ZDM_PHASE_CONTRACT;
}

/* form: the walk's statement in it, as a count and a key. */
static enum zdm_code ask_walk(struct pgsql_survey *survey, struct pgsql_look *look, const char *before, char *walk,
                              const char *after, struct zdm_error *err)
{
    zdm_buffer_reset(&look->all);
    zdm_buffer_printf(&look->all, "%s%s%s", before, walk == NULL ? "" : walk, after);
    enum zdm_code code =
        walk == NULL ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : pgsql_look_run(survey, NULL, look, err);
    free(walk);
    return code;
}

static enum zdm_code say_compared(struct pgsql_survey *survey, const struct pgsql_look *look, bool left,
                                  struct zdm_error *err)
{
    char message[400];
    if (!look->whole) {
        return say_unseen(survey, look, left ? "what the old column cannot follow" : "the comparison", err);
    }
    if (look->rows == 0) {
        return ZDM_OK;
    }
    if (!left) {
        (void)snprintf(message, sizeof message, "row %s does not hold what it should: the comparison would stop there",
                       look->first);
        return say(survey, ZDM_SURVEY_ROWS_DIFFER, ZDM_LEVEL_ERROR, message,
                   "Look at who writes this row, and put it right before the phase.", err);
    }
    (void)snprintf(message, sizeof message,
                   "in %" PRId64
                   " row%s the old column cannot hold what the new one has now: a rollback leaves there what "
                   "the old one had",
                   look->rows, look->rows == 1 ? "" : "s");
    return say(survey, ZDM_SURVEY_COPY_GUARDED, ZDM_LEVEL_WARNING, message,
               "Look at these rows before you approve the phase: they are those that new code wrote.", err);
}

static enum zdm_code compare(struct pgsql_survey *survey, const struct pgsql_facts *facts, struct pgsql_look *look,
                             struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step;
    bool switched = is_switched(survey);
    enum zdm_code code = ask_walk(survey, look, "SELECT count(*), min(k), NULL FROM (",
                                  pgsql_walk_differ_text(facts, &step->table, 0, switched), ") AS found (k)", err);
    if (code == ZDM_OK) {
        code = say_compared(survey, look, false, err);
    }
    if (code == ZDM_OK && switched) {
        code = ask_walk(survey, look, "SELECT n, NULL, NULL FROM (", pgsql_walk_left_text(facts, step, 0),
                        ") AS found (n)", err);
        code = code == ZDM_OK ? say_compared(survey, look, true, err) : code;
    }
    return code;
}

static enum zdm_code count_compared(struct pgsql_survey *survey, struct pgsql_look *look, struct zdm_error *err)
{
    struct pgsql_facts facts;
    struct pgsql_work *w = survey->w;
    w->step = survey->common.step;
    enum zdm_code code = pgsql_survey_begin(survey, err);
    if (code == ZDM_OK) {
        code = pgsql_facts_read(w, survey->common.step, 0, &facts, err);
        if (code == ZDM_OK) {
            code = pgsql_last_key(w, &facts.key, &look->param, err);
        }
        pgsql_rollback(w->s);
        if (code == ZDM_OK && look->param != NULL) {
            code = compare(survey, &facts, look, err);
        }
        pgsql_facts_fini(&facts);
    }
    w->step = NULL;
    return code;
}

/* ---- Checks of the runbook ---- */

/* Everything before it but other checks is done: what it finds now it will find then. Never before the migration has
 * begun: a query of a plan that nobody has let in is nobody's. */
static bool is_next(const struct pgsql_survey *survey)
{
    for (uint32_t o = survey->common.from; o < survey->common.step->ordinal; o++) {
        enum zdm_action action = zdm_plan_step(survey->common.plan, o)->action;
        if (action != ZDM_ACTION_CHECK_QUERY && action != ZDM_ACTION_CHECK_COMPARE) {
            return false;
        }
    }
    return survey->common.from > 1;
}

static enum zdm_code ask_check(struct pgsql_survey *survey, struct pgsql_look *look, struct zdm_error *err)
{
    const char *sql = survey->common.step->sql;
    size_t n = strlen(sql);
    while (n > 0 && strchr("; \t\r\n", sql[n - 1]) != NULL) {
        n--;
    }
    zdm_buffer_puts(&look->all, "SELECT count(*), NULL, NULL FROM (SELECT FROM (\n");
    zdm_buffer_append(&look->all, sql, n);
    zdm_buffer_puts(&look->all, "\n) AS zdm_check LIMIT 1) AS found");
    enum zdm_code code = pgsql_look_run(survey, NULL, look, err);
    if (code != ZDM_OK || (look->whole && look->rows == 0)) {
        return code;
    }
    if (!look->whole) {
        return say_unseen(survey, look, "what the check asks for", err);
    }
    return say(survey, ZDM_SURVEY_CHECK_FINDS, ZDM_LEVEL_WARNING, "the check would find a row now, and stop the phase",
               "Run its query, and put right what it finds, before the phase.", err);
}

enum zdm_code pgsql_survey_counts(struct pgsql_survey *survey, struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step;
    const struct zdm_survey_table *t = agent_survey_table(&survey->common, &step->table);
    struct pgsql_look look = {.rows = 0};
    enum zdm_code code = ZDM_OK;
    bool there = t != NULL && t->exists;
    if (step->action == ZDM_ACTION_DELETE && there) {
        code = count_deleted(survey, &look, err);
    } else if (step->action == ZDM_ACTION_CHECK_COMPARE && there && is_filled(survey)) {
        code = count_compared(survey, &look, err);
    } else if (step->action == ZDM_ACTION_CHECK_QUERY && is_next(survey)) {
        code = ask_check(survey, &look, err);
    }
    pgsql_look_fini(&look);
    return code == ZDM_OK ? ZDM_OK : pgsql_survey_miss(survey, code, "the rows of a table", err);
}
