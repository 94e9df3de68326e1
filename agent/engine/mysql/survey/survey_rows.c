/*
 * survey_rows.c - rows that are in the way of what is to come: of a unique index, of NOT NULL, of a foreign key; and
 * how many a DELETE would take (survey.h).
 *
 * Each look is one read of at most two seconds. Columns that the plan adds or fills are looked at when they are there;
 * of a row only its key is said.
 */
#include "agent/engine/mysql/survey/survey.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/engine/mysql/walk/walk.h"

enum { LOOK_MS = 2000, LOOK_ROWS = 1001, LOOKS_PERCENT = 95 };

/* ---- What is wanted ---- */

static bool is_unique(const struct zdm_step *step)
{
    return step->action == ZDM_ACTION_CREATE_INDEX && strstr(step->sql, " ADD UNIQUE INDEX ") != NULL;
}

/* Does an earlier step that is still to be done write or make one of the columns that stand in the text? */
static bool changes_before(const struct mydb_survey *survey, const char *sql)
{
    const struct zdm_step *at = survey->common.step;
    for (uint32_t o = survey->common.from; o < at->ordinal; o++) {
        const struct zdm_step *step = zdm_plan_step(survey->common.plan, o);
        const struct zdm_derivation *d = step->derivation;
        if (!zdm_step_is_for(step, ZDM_ENGINE_MYSQL) || step->table.name == NULL ||
            strcmp(step->table.name, at->table.name) != 0) {
            continue;
        }
        if (step->action == ZDM_ACTION_DELETE || step->action == ZDM_ACTION_AS_IS ||
            (step->action == ZDM_ACTION_ADD_COLUMN && strstr(sql, step->column) != NULL)) {
            return true;
        }
        for (size_t i = 0; d != NULL && i < d->n_assignments; i++) {
            if (strstr(sql, d->assignments[i].target) != NULL) {
                return true;
            }
        }
    }
    return false;
}

/* The list between the outer parentheses of "… ADD UNIQUE INDEX `i` (…)"; false where it has expressions or prefixes,
 * which only the build itself judges. */
static bool find_list(const char *sql, struct zdm_buffer *out)
{
    const char *open = strchr(sql, '(');
    const char *close = strrchr(sql, ')');
    if (open == NULL || close == NULL || memchr(open + 1, '(', (size_t)(close - open - 1)) != NULL) {
        return false;
    }
    zdm_buffer_append(out, open + 1, (size_t)(close - open - 1));
    return strcasestr(zdm_buffer_text(out), " desc") == NULL;
}

void mydb_survey_put_limited(const struct mydb_survey *survey, struct zdm_buffer *b)
{
    if (survey->w->s->mariadb) {
        zdm_buffer_printf(b, "SET STATEMENT max_statement_time=%d FOR SELECT ", LOOK_MS / 1000);
    } else {
        zdm_buffer_printf(b, "SELECT /*+ MAX_EXECUTION_TIME(%d) */ ", LOOK_MS);
    }
}

static bool put_duplicates(const struct mydb_survey *survey, struct zdm_buffer *b)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer list = ZDM_BUFFER_INIT;
    if (!find_list(survey->common.step->sql, &list)) {
        return false;
    }
    mydb_survey_put_limited(survey, b);
    zdm_buffer_puts(b, "count(*) FROM (SELECT 1 FROM ");
    mydb_put_name(b, survey->common.step->table.name);
    zdm_buffer_puts(b, " WHERE ");
    /* NULLs are never equal. */
    ZDM_CLEANUP(zdm_freep) char *columns = zdm_strdup(zdm_buffer_text(&list));
    char *rest = columns;
    for (char *column; columns != NULL && (column = strsep(&rest, ",")) != NULL;) {
        zdm_buffer_printf(b, "%s IS NOT NULL AND ", column);
    }
    zdm_buffer_printf(b, "TRUE GROUP BY %s HAVING count(*) > 1 LIMIT %d) AS found", zdm_buffer_text(&list), LOOK_ROWS);
    return true;
}

static void put_nulls(const struct mydb_survey *survey, struct zdm_buffer *b)
{
    mydb_survey_put_limited(survey, b);
    zdm_buffer_puts(b, "count(*) FROM (SELECT 1 FROM ");
    mydb_put_name(b, survey->common.step->table.name);
    zdm_buffer_puts(b, " WHERE ");
    mydb_put_name(b, survey->common.step->column);
    zdm_buffer_printf(b, " IS NULL LIMIT %d) AS found", LOOK_ROWS);
}

/* The plan's own look for rows without a parent ends with LIMIT 1. */
static void put_orphans(const struct mydb_survey *survey, struct zdm_buffer *b)
{
    mydb_survey_put_limited(survey, b);
    zdm_buffer_printf(b, "count(*) FROM (%s) AS found", survey->common.step->sql);
}

static void put_deleted(const struct mydb_survey *survey, const struct zdm_derivation *d, struct zdm_buffer *b)
{
    mydb_survey_put_limited(survey, b);
    zdm_buffer_puts(b, "count(*) FROM (SELECT 1 FROM ");
    mydb_put_name(b, survey->common.step->table.name);
    zdm_buffer_printf(b, " AS t WHERE (%s) AND (%s) LIMIT %d) AS found", d->filter == NULL ? "TRUE" : d->filter,
                      d->guard == NULL ? "TRUE" : d->guard, LOOK_ROWS);
}

/* ---- One look ---- */

static enum zdm_code say_deleted(struct mydb_survey *survey, int64_t n, struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step;
    char message[200];
    (void)snprintf(message, sizeof message, "%s%" PRId64 " row%s would be deleted%s",
                   n >= LOOK_ROWS ? "more than " : "", n >= LOOK_ROWS ? LOOK_ROWS - 1 : n, n == 1 ? "" : "s",
                   step->inverse == ZDM_INVERSE_IMPOSSIBLE ? ", for good" : "; they are kept until the purge");
    return mydb_survey_say(survey, ZDM_SURVEY_DELETE_ROWS, ZDM_LEVEL_NOTE, step->table.name, message,
                           "Is that about what you expect?", err);
}

static enum zdm_code say_found(struct mydb_survey *survey, int64_t n, struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step;
    bool unique = is_unique(step), nulls = step->action == ZDM_ACTION_SET_NOT_NULL;
    char message[400];
    if (step->action == ZDM_ACTION_DELETE) {
        return say_deleted(survey, n, err);
    }
    const char *more = n >= LOOK_ROWS ? "more than " : step->action == ZDM_ACTION_VALIDATE ? "at least " : "";
    n = n >= LOOK_ROWS ? LOOK_ROWS - 1 : n;
    if (unique) {
        (void)snprintf(message, sizeof message, "%s%" PRId64 " value%s of %s would stand in more than one row", more, n,
                       n == 1 ? "" : "s", step->object);
    } else {
        (void)snprintf(message, sizeof message, "%s%" PRId64 " row%s would %s %s", more, n, n == 1 ? "" : "s",
                       nulls ? "be NULL in" : "break", nulls ? step->column : step->object);
    }
    return mydb_survey_say(survey,
                           unique  ? ZDM_SURVEY_DUPLICATE_ROWS
                           : nulls ? ZDM_SURVEY_NULL_ROWS
                                   : ZDM_SURVEY_ROWS_IN_THE_WAY,
                           ZDM_LEVEL_ERROR, step->table.name, message,
                           "Put these rows right, or let the runbook do it in a step before: the step would fail, and "
                           "nothing is changed.",
                           err);
}

static enum zdm_code look(struct mydb_survey *survey, const char *sql, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    char message[500];
    enum zdm_code code = mydb_begin_reading(survey->w->s, err);
    if (code == ZDM_OK) {
        code = mydb_run(survey->w->s, sql, &rows, err);
    }
    int64_t n = code == ZDM_OK && rows->n > 0 ? mydb_int(rows, 0, 0) : 0;
    mydb_rollback(survey->w->s);
    if (code == ZDM_OK) {
        return n == 0 ? ZDM_OK : say_found(survey, n, err);
    }
    if (!mydb_is_open(survey->w->s) || survey->w->s->gave_up) {
        return code;
    }
    (void)snprintf(message, sizeof message, "its rows were not looked through to the end: %.200s", err->message);
    zdm_error_clear(err);
    return mydb_survey_say(survey, ZDM_SURVEY_ROWS_UNSEEN, ZDM_LEVEL_NOTE, survey->common.step->table.name, message,
                           "Whether a row is in the way shows when the step runs; ask a copy of the database.", err);
}

static enum zdm_code survey_step(struct mydb_survey *survey, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    const struct zdm_step *step = survey->common.step;
    const struct zdm_survey_table *t = agent_survey_table(&survey->common, &step->table);
    if (t == NULL || !t->exists) {
        return ZDM_OK;
    }
    if (step->action == ZDM_ACTION_DELETE) {
        put_deleted(survey, step->derivation, &sql);
        return changes_before(survey, zdm_buffer_text(&sql)) ? ZDM_OK : look(survey, zdm_buffer_text(&sql), err);
    }
    if (step->action == ZDM_ACTION_BACKFILL) {
        return mydb_survey_values(survey, err);
    }
    if (step->sql == NULL || changes_before(survey, step->sql)) {
        return ZDM_OK;
    }
    bool wants = false;
    if (is_unique(step)) {
        wants = put_duplicates(survey, &sql);
    } else if (step->action == ZDM_ACTION_SET_NOT_NULL) {
        put_nulls(survey, &sql);
        wants = true;
    } else if (step->action == ZDM_ACTION_VALIDATE) {
        put_orphans(survey, &sql);
        wants = true;
    }
    return wants ? look(survey, zdm_buffer_text(&sql), err) : ZDM_OK;
}

enum zdm_code mydb_survey_rows(struct mydb_survey *survey, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (uint32_t i = survey->common.from; code == ZDM_OK && i <= zdm_plan_n_steps(survey->common.plan); i++) {
        survey->common.step = zdm_plan_step(survey->common.plan, i);
        if (!zdm_step_is_for(survey->common.step, ZDM_ENGINE_MYSQL)) {
            continue;
        }
        if (mydb_survey_late(survey, LOOKS_PERCENT)) {
            bool added = agent_survey_cut(&survey->common, "rows were not looked through");
            code = added ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
            break;
        }
        code = survey_step(survey, err);
    }
    survey->common.step = NULL;
    return code;
}
