/*
 * survey_values.c - would an expression of a fill fail on a row that is there? (survey_look.h)
 *
 * It is computed, and cast as the assignment would, over the rows that the fill will meet, as many as one look may
 * read. Of what it meets only the SQLSTATE is said: the server's words quote the value.
 */
#include "agent/engine/postgresql/survey/survey_look.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static enum zdm_code say(struct pgsql_survey *survey, enum zdm_survey_rule rule, enum zdm_level level,
                         const char *column, const char *message, const char *hint, struct zdm_error *err)
{
    char object[4 * ZDM_IDENTIFIER_MAX];
    const struct zdm_table *table = &survey->common.step->table;
    (void)snprintf(object, sizeof object, "%s.%s.%s", table->schema, table->name, column);
    bool added = agent_survey_add(&survey->common, rule, level, object, message, hint);
    return added ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

/* As an assignment casts: one of varchar(n) refuses what an explicit cast would cut. */
static void put_value(struct zdm_buffer *b, const struct zdm_assignment *a, const struct pgsql_column *target)
{
    bool varying = strncmp(target->type, "character varying(", 18) == 0;
    if (varying) {
        zdm_buffer_printf(b, "pg_catalog.\"varchar\"((%s)::character varying, %d, false)", a->expr, target->typmod);
    } else {
        zdm_buffer_printf(b, "(%s)::%s", a->expr, target->type);
    }
}

static void put_conditions(struct zdm_buffer *b, const struct zdm_derivation *d)
{
    const char *const conditions[] = {d->filter, d->guard};
    zdm_buffer_puts(b, " WHERE true");
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
        if (conditions[i] != NULL) {
            zdm_buffer_printf(b, " AND (%s)", conditions[i]);
        }
    }
}

/* How many of the rows would be NULL in a column that must not be; counting the others has them all computed. */
static enum zdm_code put_look(struct pgsql_survey *survey, const struct pgsql_stage *stage,
                              const struct zdm_assignment *a, const struct pgsql_column *target,
                              struct pgsql_look *look, struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step;
    zdm_buffer_printf(&look->all, "SELECT count(*) FILTER (WHERE v IS NULL AND %s), count(v)::text, NULL FROM (SELECT ",
                      target->not_null ? "true" : "false");
    put_value(&look->all, a, target);
    zdm_buffer_puts(&look->all, " AS v FROM ");
    enum zdm_code code = pgsql_future_put(survey, stage, &step->table, "t", &look->all, err);
    put_conditions(&look->all, step->derivation);
    zdm_buffer_printf(&look->all, " LIMIT %d) AS found", PGSQL_LOOK_ROWS - 1);
    return code;
}

/* On stage: how the target will look. *out_ready false: there is nothing to compute there. */
static enum zdm_code prepare(struct pgsql_survey *survey, const struct zdm_assignment *a, struct pgsql_look *look,
                             bool *out_ready, struct zdm_error *err)
{
    struct pgsql_stage stage = {.n_checks = 0};
    struct pgsql_column target = {.default_expr = NULL};
    struct pgsql_table clone = {.kind = 'r'};
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    bool found = false;
    enum zdm_code code = pgsql_stage_begin(survey->w, survey->common.step, err);
    if (code == ZDM_OK) {
        code = pgsql_stage_set(&stage, survey->w, survey->common.step, err);
    }
    if (code == ZDM_OK) {
        code =
            pgsql_query(survey->w->s, "SELECT to_regclass($1)::oid", 1, (const char *const[]){PGSQL_CLONE}, &res, err);
    }
    bool there = code == ZDM_OK && pgsql_text(res, 0, 0) != NULL;
    if (there) {
        zdm_copy_text(clone.oid, sizeof clone.oid, pgsql_text(res, 0, 0));
        code = pgsql_column_look(survey->w->s, &clone, a->target, &found, &target, err);
    }
    /* With types that the plan makes there is no asking without them; what the plan lacks is said elsewhere. */
    *out_ready = code == ZDM_OK && found && !target.generated && stage.n_types == 0 && stage.missing == NULL;
    if (*out_ready) {
        code = put_look(survey, &stage, a, &target, look, err);
    }
    pgsql_rollback(survey->w->s);
    pgsql_column_fini(&target);
    pgsql_stage_fini(&stage);
    /* Numbers of a sequence fit, and asking for them would use them up. */
    *out_ready = *out_ready && code == ZDM_OK && strstr(zdm_buffer_text(&look->all), "nextval(") == NULL;
    return code;
}

static const char *words_of(const char *sqlstate)
{
    static const struct {
        const char *state, *words;
    } known[] = {
        {"22001", "a value is too long"},
        {"22003", "a number is out of range"},
        {"22007", "a value is no date or time"},
        {"22008", "a date or time is out of range"},
        {"22012", "a division by zero"},
        {"22P02", "a value cannot be read as what it is cast to"},
        {"23514", "a value breaks a CHECK of the domain"},
        {"21000", "a subquery gives more than one row"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].state, sqlstate) == 0) {
            return known[i].words;
        }
    }
    return "the server refuses a value";
}

/* Classes of what rows hold; any other refusal is no row's. */
static bool is_of_rows(const char *sqlstate)
{
    static const char *const classes[] = {"21", "22", "23", "2F", "38", "P0"};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strncmp(classes[i], sqlstate, 2) == 0) {
            return true;
        }
    }
    return false;
}

static enum zdm_code say_met(struct pgsql_survey *survey, const struct zdm_assignment *a, const struct pgsql_look *look,
                             struct zdm_error *err)
{
    static const char hint[] = "Leave such rows out with WHERE, write CASE around the expression, or put them right in "
                               "a step before: the batch would fail there.";
    bool undone = agent_survey_as_is_before(&survey->common) != NULL;
    enum zdm_level level = undone ? ZDM_LEVEL_NOTE : ZDM_LEVEL_ERROR;
    char message[600];
    if (look->whole) {
        (void)snprintf(message, sizeof message, "%s%" PRId64 " row%s would be NULL in it, and it is NOT NULL (23502)",
                       look->rows >= PGSQL_LOOK_ROWS - 1 ? "at least " : "", look->rows, look->rows == 1 ? "" : "s");
        return look->rows == 0 ? ZDM_OK
                               : say(survey, ZDM_SURVEY_DERIVATION_FAILS, level, a->target, message, hint, err);
    }
    if (is_of_rows(look->sqlstate)) {
        (void)snprintf(message, sizeof message, "its expression fails on a row that is there: %s (%s)",
                       words_of(look->sqlstate), look->sqlstate);
        return say(survey, ZDM_SURVEY_DERIVATION_FAILS, level, a->target, message, hint, err);
    }
    (void)snprintf(message, sizeof message, "whether its expression fails on some row was not seen: %.300s",
                   look->late ? "that took longer than a look may" : look->why);
    return say(survey, ZDM_SURVEY_ROWS_UNSEEN, ZDM_LEVEL_NOTE, a->target, message,
               "It shows when the step runs; ask a copy of the database.", err);
}

static enum zdm_code compute(struct pgsql_survey *survey, const struct zdm_assignment *a, struct zdm_error *err)
{
    struct pgsql_look look = {.rows = 0};
    bool ready = false;
    enum zdm_code code = prepare(survey, a, &look, &ready, err);
    if (code == ZDM_OK && ready) {
        code = pgsql_look_run(survey, NULL, &look, err);
    }
    if (code == ZDM_OK && ready) {
        code = say_met(survey, a, &look, err);
    }
    pgsql_look_fini(&look);
    return code;
}

enum zdm_code pgsql_survey_values(struct pgsql_survey *survey, struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step;
    const struct zdm_survey_table *t = agent_survey_table(&survey->common, &step->table);
    enum zdm_code code = ZDM_OK;
    if (step->action != ZDM_ACTION_BACKFILL || step->derivation == NULL || t == NULL || !t->exists) {
        return ZDM_OK;
    }
    for (size_t i = 0; code == ZDM_OK && i < step->derivation->n_assignments; i++) {
        const struct zdm_assignment *a = &step->derivation->assignments[i];
        code = a->expr == NULL ? ZDM_OK : compute(survey, a, err);
    }
    return code == ZDM_OK ? ZDM_OK : pgsql_survey_miss(survey, code, "the values of a fill", err);
}
