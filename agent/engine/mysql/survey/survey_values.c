/*
 * survey_values.c - would an expression of a fill fail on a row that is there? (survey.h)
 *
 * A SELECT only warns of what a batch's UPDATE fails with in strict mode, and assigns nothing: so warnings count, and
 * whether each value fits the column is asked beside. Of what is met only the error's number is said: the server's
 * words quote the value.
 */
#include "agent/engine/mysql/survey/survey_copies.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/mysql/session/classify.h"

enum { VALUES_ROWS = 100000 };

static bool same_table(const struct zdm_step *a, const struct zdm_step *b)
{
    return a->table.name != NULL && strcmp(a->table.name, b->table.name) == 0;
}

/* ---- Which rows ---- */

/* What rows hold in a column that an earlier step adds: NULL, or what the fill knows it began with. False: that cannot
 * be said from here. */
static bool put_added(const struct zdm_step *add, const struct zdm_derivation *d, struct zdm_buffer *b)
{
    const char *initial = NULL;
    bool known = add->sql != NULL && strcasestr(add->sql, " DEFAULT ") == NULL &&
                 strcasestr(add->sql, " NOT NULL") == NULL && strcasestr(add->sql, " AS (") == NULL;
    for (size_t i = 0; i < d->n_assignments; i++) {
        if (strcmp(d->assignments[i].target, add->column) == 0) {
            initial = d->assignments[i].initial;
            known = known || initial != NULL;
        }
    }
    zdm_buffer_printf(b, ", %s AS ", initial == NULL ? "NULL" : initial);
    mydb_put_name(b, add->column);
    return known;
}

/* The table as the fill will meet it. False: steps before it change what it reads in ways that are not followed. */
static bool put_rows(const struct mydb_survey *survey, const char *texts, struct zdm_buffer *b)
{
    const struct zdm_step *at = survey->common.step;
    zdm_buffer_puts(b, "(SELECT u.*");
    for (uint32_t o = survey->common.from; o < at->ordinal; o++) {
        const struct zdm_step *step = zdm_plan_step(survey->common.plan, o);
        const struct zdm_derivation *d = step->action == ZDM_ACTION_BACKFILL ? step->derivation : NULL;
        if (step->action == ZDM_ACTION_AS_IS) {
            return false;
        }
        if (!zdm_step_is_for(step, ZDM_ENGINE_MYSQL) || !same_table(step, at)) {
            continue;
        }
        if (step->action == ZDM_ACTION_DELETE ||
            (step->action == ZDM_ACTION_ADD_COLUMN && strstr(texts, step->column) != NULL &&
             !put_added(step, at->derivation, b))) {
            return false;
        }
        for (size_t i = 0; d != NULL && i < d->n_assignments; i++) {
            if (strstr(texts, d->assignments[i].target) != NULL) {
                return false;
            }
        }
    }
    zdm_buffer_puts(b, " FROM ");
    mydb_put_name(b, at->table.name);
    zdm_buffer_puts(b, " AS u) AS t");
    return true;
}

/* ---- What does not fit ---- */

static void put_integer_limits(struct zdm_buffer *b, const struct mydb_column *target)
{
    static const struct {
        const char *base;
        unsigned bits;
    } sizes[] = {{"tinyint", 8}, {"smallint", 16}, {"mediumint", 24}, {"int", 32}, {"bigint", 64}};
    unsigned bits = 64;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        bits = strcmp(sizes[i].base, target->base) == 0 ? sizes[i].bits : bits;
    }
    uint64_t most = UINT64_MAX >> (64 - (target->is_unsigned ? bits : bits - 1));
    if (target->is_unsigned) {
        zdm_buffer_printf(b, "(zdm_v < 0 OR ROUND(zdm_v) > %" PRIu64 ")", most);
    } else {
        zdm_buffer_printf(b, "NOT (ROUND(zdm_v) BETWEEN -%" PRIu64 " AND %" PRIu64 ")", most + 1, most);
    }
}

/* MySQL copies a varchar column into a shorter one without cutting blanks off, and fails with 1265; what is computed of
 * the same column it cuts. */
static bool keeps_blanks(const struct mydb_survey *survey, const struct zdm_assignment *a,
                         const struct mydb_column *target)
{
    bool mariadb = survey->w->s->mariadb;
    size_t n = strncmp(a->expr, "t.`", 3) == 0 ? 3 + strcspn(a->expr + 3, "`") : 0;
    return !mariadb && strcmp(target->base, "varchar") == 0 && n > 0 && strcmp(a->expr + n, "`") == 0;
}

/* A condition on zdm_v, a name by which statements about statements know it for the agent's own. What no condition is
 * known for is computed all the same. The server rounds a fraction into an integer before it looks whether it fits, but
 * none below 0 into an unsigned one, and cuts blanks off the end of what is too long for a char or varchar. */
static void put_misfits(struct zdm_buffer *b, const struct mydb_column *target, bool blanks)
{
    bool counted = strcmp(target->base, "varchar") == 0 || strcmp(target->base, "char") == 0;
    if (target->family == MYDB_INTEGER) {
        put_integer_limits(b, target);
    } else if (target->family == MYDB_DECIMAL && target->precision >= target->scale) {
        zdm_buffer_printf(b, "NOT (ABS(zdm_v) < 1e%u)", target->precision - target->scale);
    } else if (target->family == MYDB_TEXT && target->length > 0) {
        const char *length = !counted ? "LENGTH(zdm_v)" : blanks ? "CHAR_LENGTH(zdm_v)" : "CHAR_LENGTH(RTRIM(zdm_v))";
        zdm_buffer_printf(b, "%s > %" PRIu64, length, target->length);
    } else if (target->family == MYDB_BINARY && target->length > 0) {
        zdm_buffer_printf(b, "LENGTH(zdm_v) > %" PRIu64, target->length);
    } else if (target->family == MYDB_JSON) {
        zdm_buffer_puts(b, "NOT JSON_VALID(zdm_v)");
    } else if (target->family == MYDB_TIME && strcmp(target->base, "year") != 0 && strcmp(target->base, "time") != 0) {
        zdm_buffer_puts(b, "zdm_v IS NOT NULL AND CAST(zdm_v AS DATETIME) IS NULL");
    } else {
        zdm_buffer_puts(b, "LENGTH(zdm_v) < 0");
    }
}

static bool put_look(const struct mydb_survey *survey, const struct zdm_assignment *a, const struct mydb_column *target,
                     struct zdm_buffer *b)
{
    const struct zdm_derivation *d = survey->common.step->derivation;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer texts = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&texts, "(%s) AND (%s)", d->filter == NULL ? "TRUE" : d->filter,
                      d->guard == NULL ? "TRUE" : d->guard);
    ZDM_CLEANUP(zdm_freep) char *conditions = zdm_strdup(zdm_buffer_text(&texts));
    zdm_buffer_printf(&texts, " %s", a->expr);
    mydb_survey_put_limited(survey, b);
    zdm_buffer_printf(b, "count(*), COALESCE(SUM(zdm_v IS NULL), 0) FROM (SELECT (%s) AS zdm_v FROM ", a->expr);
    bool known = conditions != NULL && put_rows(survey, zdm_buffer_text(&texts), b);
    zdm_buffer_printf(b, " WHERE %s LIMIT %d) AS found WHERE (", conditions == NULL ? "TRUE" : conditions, VALUES_ROWS);
    put_misfits(b, target, keeps_blanks(survey, a, target));
    zdm_buffer_printf(b, ")%s", target->not_null ? " OR zdm_v IS NULL" : "");
    return known;
}

/* ---- What is said ---- */

static enum zdm_code say(struct mydb_survey *survey, enum zdm_survey_rule rule, enum zdm_level level,
                         const char *column, const char *message, const char *hint, struct zdm_error *err)
{
    char object[2 * ZDM_IDENTIFIER_MAX + 2];
    (void)snprintf(object, sizeof object, "%s.%s", survey->common.step->table.name, column);
    return mydb_survey_say(survey, rule, level, object, message, hint, err);
}

static enum zdm_code say_fails(struct mydb_survey *survey, const char *column, const char *message,
                               struct zdm_error *err)
{
    return say(survey, ZDM_SURVEY_DERIVATION_FAILS, ZDM_LEVEL_ERROR, column, message,
               "Leave such rows out with WHERE, write CASE around the expression, or put them right in a step before: "
               "the batch would fail there.",
               err);
}

/* The SQLSTATE of what strict mode makes an error of; NULL for other warnings. */
static const char *state_of(int64_t number)
{
    static const struct {
        int64_t number;
        const char *state;
    } strict[] = {{1292, "22007"}, {1264, "22003"}, {1265, "01000"}, {1365, "22012"}, {1366, "22007"},
                  {1406, "22001"}, {1411, "HY000"}, {1441, "22008"}, {3020, "2201E"}};
    for (size_t i = 0; i < sizeof strict / sizeof *strict; i++) {
        if (strict[i].number == number) {
            return strict[i].state;
        }
    }
    return NULL;
}

/* *out_said: one of the warnings of the statement before is an error to a batch. */
static enum zdm_code say_warned(struct mydb_survey *survey, const char *column, bool *out_said, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    char message[300];
    enum zdm_code code = mydb_run(survey->w->s, "SHOW WARNINGS", &rows, err);
    for (size_t i = 0; code == ZDM_OK && i < rows->n && !*out_said; i++) {
        int64_t number = mydb_int(rows, i, 1);
        const char *state = strcmp(mydb_text(rows, i, 0), "Warning") == 0 ? state_of(number) : NULL;
        if (state != NULL) {
            *out_said = true;
            (void)snprintf(message, sizeof message,
                           "its expression fails on a row that is there, as strict mode has it: error %" PRId64 " (%s)",
                           number, state);
            code = say_fails(survey, column, message, err);
        }
    }
    return code;
}

static enum zdm_code say_misfits(struct mydb_survey *survey, const struct mydb_column *target,
                                 const struct mydb_rows *rows, struct zdm_error *err)
{
    int64_t n = rows->n == 0 ? 0 : mydb_int(rows, 0, 0), nulls = rows->n == 0 ? 0 : mydb_int(rows, 0, 1);
    char message[500];
    if (n == 0) {
        return ZDM_OK;
    }
    bool null = nulls == n;
    (void)snprintf(message, sizeof message, "%s%" PRId64 " row%s would %s, and it is %.200s%s",
                   n >= VALUES_ROWS ? "at least " : "", n, n == 1 ? "" : "s",
                   null ? "be NULL in it" : "hold in it what does not fit", mydb_column_type(target),
                   null ? " NOT NULL (23000)" : " (22000)");
    return say_fails(survey, target->name, message, err);
}

static enum zdm_code say_refused(struct mydb_survey *survey, const char *column, struct zdm_error *err)
{
    char message[500], words[320];
    bool values = strncmp(err->sqlstate, "22", 2) == 0 || strncmp(err->sqlstate, "21", 2) == 0;
    agent_survey_words(err, words, sizeof words);
    (void)snprintf(message, sizeof message, "%s: %s",
                   values ? "its expression fails on a row that is there"
                          : "whether its expression fails on some row was not seen",
                   values ? err->sqlstate : words);
    zdm_error_clear(err);
    return values ? say_fails(survey, column, message, err)
                  : say(survey, ZDM_SURVEY_ROWS_UNSEEN, ZDM_LEVEL_NOTE, column, message,
                        "It shows when the step runs; ask a copy of the database.", err);
}

/* ---- One assignment ---- */

static enum zdm_code look(struct mydb_survey *survey, const struct mydb_column *target, const char *sql,
                          struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    struct mydb_session *s = survey->w->s;
    bool said = false;
    enum zdm_code code = mydb_begin_reading(s, err);
    if (code != ZDM_OK) {
        return code;
    }
    code = mydb_run(s, sql, &rows, err);
    if (code == ZDM_OK) {
        code = say_warned(survey, target->name, &said, err);
        code = code == ZDM_OK && !said ? say_misfits(survey, target, rows, err) : code;
    } else if (mydb_is_open(s) && !s->gave_up) {
        code = say_refused(survey, target->name, err);
    }
    mydb_rollback(s);
    return code;
}

static enum zdm_code compute(struct mydb_survey *survey, const struct mydb_table *table, const struct zdm_assignment *a,
                             struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct mydb_column target = {.ordinal = 0};
    bool found = false;
    enum zdm_code code = mydb_survey_column(survey, table, a->target, &target, &found, err);
    if (code == ZDM_OK && found && !target.generated && put_look(survey, a, &target, &sql)) {
        code = look(survey, &target, zdm_buffer_text(&sql), err);
    }
    mydb_column_fini(&target);
    return code;
}

enum zdm_code mydb_survey_values(struct mydb_survey *survey, struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step;
    struct mydb_table table;
    if (step->action != ZDM_ACTION_BACKFILL || step->derivation == NULL) {
        return ZDM_OK;
    }
    enum zdm_code code = mydb_table_find(survey->w->s, step->table.name, &table, err);
    for (size_t i = 0; code == ZDM_OK && i < step->derivation->n_assignments; i++) {
        code = compute(survey, &table, &step->derivation->assignments[i], err);
    }
    return code == ZDM_OK ? ZDM_OK : mydb_survey_miss(survey, code, "the values of a fill", err);
}
