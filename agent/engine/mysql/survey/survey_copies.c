/*
 * survey_copies.c - see survey_copies.h.
 */
#include "agent/engine/mysql/survey/survey_copies.h"

#include <stdio.h>
#include <string.h>

#include "agent/engine/mysql/change/judge.h"
#include "agent/engine/mysql/walk/sync.h"
#include "agent/engine/mysql/walk/walk.h"
#include "agent/engine/mysql/hide/visible.h"

/* The step of the plan that adds the column, or NULL. */
static const struct zdm_step *adding_step(const struct mydb_survey *survey, const char *column)
{
    for (uint32_t o = 1; o < survey->common.step->ordinal; o++) {
        const struct zdm_step *step = zdm_plan_step(survey->common.plan, o);
        if (zdm_step_is_for(step, ZDM_ENGINE_MYSQL) && step->action == ZDM_ACTION_ADD_COLUMN &&
            strcmp(step->table.name, survey->common.step->table.name) == 0 && strcmp(step->column, column) == 0) {
            return step;
        }
    }
    return NULL;
}

enum zdm_code mydb_survey_column(struct mydb_survey *survey, const struct mydb_table *table, const char *name,
                                 struct mydb_column *out, bool *found, struct zdm_error *err)
{
    struct mydb_work *w = survey->w;
    const struct zdm_step *before = w->step;
    char algorithm[MYDB_ALGORITHM_MAX];
    enum zdm_code code = mydb_column_look(w->s, table->name, name, found, out, err);
    const struct zdm_step *adds = code == ZDM_OK && !*found ? adding_step(survey, name) : NULL;
    if (adds == NULL) {
        return code;
    }
    mydb_column_fini(out);
    *out = (struct mydb_column){.ordinal = 0};
    w->step = adds;
    code = mydb_judge(w, table, adds->sql, algorithm, name, NULL, out, err);
    w->step = before;
    mydb_memory_forget(w->memory);
    *found = code == ZDM_OK;
    if (code == ZDM_OK || !mydb_is_open(w->s)) {
        return code;
    }
    zdm_error_clear(err); /* the adding step itself says it */
    return ZDM_OK;
}

/* About a column of the step's table. */
static enum zdm_code say(struct mydb_survey *survey, enum zdm_survey_rule rule, enum zdm_level level,
                         const char *column, const char *message, const char *hint, struct zdm_error *err)
{
    char object[2 * ZDM_IDENTIFIER_MAX + 2];
    (void)snprintf(object, sizeof object, "%s.%s", survey->common.step->table.name, column);
    return mydb_survey_say(survey, rule, level, object, message, hint, err);
}

/* Triggers make writes fail that work today; a batch alone only fails itself. */
static enum zdm_level level(const struct mydb_survey *survey)
{
    return survey->common.step->action == ZDM_ACTION_SYNC_INSTALL ? ZDM_LEVEL_ERROR : ZDM_LEVEL_WARNING;
}

static enum zdm_code say_narrow(struct mydb_survey *survey, const struct mydb_column *from,
                                const struct mydb_column *to, struct zdm_error *err)
{
    char message[900], hint[400];
    (void)snprintf(message, sizeof message, "of type %s%s%s, it cannot hold every value of %s, which is of type %s%s%s",
                   to->type, to->charset[0] == '\0' ? "" : " ", to->charset, from->name, from->type,
                   from->charset[0] == '\0' ? "" : " ", from->charset);
    (void)snprintf(hint, sizeof hint, "Give the new column the type %s%s%s, or cast the expression.", from->type,
                   from->charset[0] == '\0' ? "" : " CHARACTER SET ", from->charset);
    return say(survey, ZDM_SURVEY_COPY_NARROW, level(survey), to->name, message, hint, err);
}

static enum zdm_code judge_reverse(struct mydb_survey *survey, const struct mydb_column *source,
                                   const struct mydb_column *target, struct zdm_error *err)
{
    char message[900];
    enum mydb_fit fit = mydb_fit(target, source);
    bool nulls = source->not_null && !target->not_null;
    if (fit == MYDB_FITS_NOT) {
        (void)snprintf(message, sizeof message, "%s (%s) and %s (%s) cannot be kept in step in both directions",
                       source->name, source->type, target->name, target->type);
        return say(survey, ZDM_SURVEY_COPY_NARROW, ZDM_LEVEL_ERROR, target->name, message,
                   "Give the new column the type and collation of the old one.", err);
    }
    if (fit == MYDB_FITS && !nulls) {
        return ZDM_OK;
    }
    (void)snprintf(message, sizeof message,
                   "%s (%s%s) cannot follow every value of %s (%s): where it cannot, it keeps its former value, and a "
                   "rollback is not exact for such rows",
                   source->name, source->type, nulls ? ", NOT NULL" : "", target->name, target->type);
    return say(
        survey, ZDM_SURVEY_COPY_GUARDED, ZDM_LEVEL_WARNING, target->name, message,
        "Check again once new code runs: the rows are counted then. Same type and NOT NULL on both sides avoid it.",
        err);
}

static const char binds_hint[] =
    "New code that breaks it gets the old column's error until Contract: does it keep the constraint?";

/* MariaDB keeps a JSON column's own among them. */
static enum zdm_code judge_checks(struct mydb_survey *survey, const char *column, struct zdm_error *err)
{
#define NAMES_IT                                                                                                       \
    " AND locate(concat('`', replace($2, '`', '``'), '`'), c.check_clause) > 0 AND c.check_clause NOT LIKE"            \
    " 'json\\_valid(`%`)'"
    static const char of_mariadb[] =
        "SELECT concat('check ', c.constraint_name, ' of the old column binds what is written into the new one, through"
        " the copy') FROM information_schema.check_constraints c WHERE c.constraint_schema = database() AND"
        " c.table_name = $1" NAMES_IT;
    static const char of_mysql[] =
        "SELECT concat('check ', c.constraint_name, ' of the old column binds what is written into the new one, through"
        " the copy') FROM information_schema.check_constraints c JOIN information_schema.table_constraints t ON"
        " t.constraint_schema = c.constraint_schema AND t.constraint_name = c.constraint_name WHERE t.table_schema ="
        " database() AND t.table_name = $1 AND t.enforced = 'YES'" NAMES_IT;
#undef NAMES_IT
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *params[] = {survey->common.step->table.name, column};
    struct mydb_session *s = survey->w->s;
    enum zdm_code code = mydb_query(s, s->mariadb ? of_mariadb : of_mysql, 2, params, &rows, err);
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        code =
            say(survey, ZDM_SURVEY_COPY_CONSTRAINT, ZDM_LEVEL_WARNING, column, mydb_text(rows, i, 0), binds_hint, err);
    }
    return code;
}

/* What new code can violate through the copy: keys and checks of the old column. */
static enum zdm_code judge_constraints(struct mydb_survey *survey, const char *column, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT concat('unique index ', index_name, ' of the old column binds what is written into the new one, through"
        " the copy') FROM information_schema.statistics WHERE table_schema = database() AND table_name = $1 AND"
        " column_name = $2 AND non_unique = 0 UNION ALL SELECT concat('foreign key ', constraint_name, ' of the old"
        " column binds what is written into the new one, through the copy') FROM information_schema.key_column_usage"
        " WHERE table_schema = database() AND table_name = $1 AND column_name = $2 AND referenced_table_name IS NOT"
        " NULL";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *params[] = {survey->common.step->table.name, column};
    enum zdm_code code = mydb_query(survey->w->s, sql, 2, params, &rows, err);
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        code =
            say(survey, ZDM_SURVEY_COPY_CONSTRAINT, ZDM_LEVEL_WARNING, column, mydb_text(rows, i, 0), binds_hint, err);
    }
    return code == ZDM_OK ? judge_checks(survey, column, err) : code;
}

static enum zdm_code judge_pair(struct mydb_survey *survey, const struct mydb_table *table,
                                const struct zdm_assignment *a, struct zdm_error *err)
{
    struct mydb_column target = {.ordinal = 0}, source = {.ordinal = 0};
    bool has_target = false, has_source = false;
    bool both = survey->common.step->derivation->both_ways;
    enum zdm_code code = mydb_survey_column(survey, table, a->target, &target, &has_target, err);
    if (code == ZDM_OK && has_target && target.generated) {
        code = say(survey, ZDM_SURVEY_DERIVATION_FAILS, ZDM_LEVEL_ERROR, a->target,
                   "it is generated and cannot be assigned", "Assign the columns that it is made of.", err);
    } else if (code == ZDM_OK && has_target && a->copy_of != NULL) {
        code = mydb_survey_column(survey, table, a->copy_of, &source, &has_source, err);
    }
    if (code == ZDM_OK && has_source && mydb_fit(&source, &target) != MYDB_FITS) {
        code = say_narrow(survey, &source, &target, err);
    } else if (code == ZDM_OK && has_source && both) {
        code = judge_reverse(survey, &source, &target, err);
    }
    if (code == ZDM_OK && has_source && both) {
        code = judge_constraints(survey, a->copy_of, err);
    }
    mydb_column_fini(&target);
    mydb_column_fini(&source);
    return code;
}

/* Columns that are read and that nobody will have made by then. */
static enum zdm_code judge_sources(struct mydb_survey *survey, const struct mydb_table *table, struct zdm_error *err)
{
    const struct zdm_derivation *d = survey->common.step->derivation;
    char message[400];
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && i < d->n_sources; i++) {
        struct mydb_column column = {.ordinal = 0};
        bool found = false;
        code = mydb_column_look(survey->w->s, table->name, d->sources[i], &found, &column, err);
        bool fills = survey->common.step->action == ZDM_ACTION_SYNC_INSTALL && found && column.auto_increment;
        mydb_column_fini(&column);
        if (code == ZDM_OK && !found && adding_step(survey, d->sources[i]) == NULL) {
            (void)snprintf(message, sizeof message, "column %s, which is read, is not on this shard", d->sources[i]);
            code = mydb_survey_say(survey, ZDM_SURVEY_DERIVATION_FAILS, ZDM_LEVEL_ERROR, table->name, message,
                                   "Columns and functions must be on this shard as the plan names them.", err);
        } else if (code == ZDM_OK && fills) {
            (void)snprintf(message, sizeof message,
                           "column %s, which is read, is AUTO_INCREMENT: when a row is inserted it has no value yet",
                           d->sources[i]);
            code = mydb_survey_say(survey, ZDM_SURVEY_DERIVATION_FAILS, ZDM_LEVEL_ERROR, table->name, message,
                                   "Fill from another column, or let the application write the value.", err);
        }
    }
    return code;
}

/* ---- A column that is hidden ---- */

/* Changes an earlier step what a row holds that leaves the column out, or drops the check? */
static bool is_changed_before(const struct mydb_survey *survey, const char *check)
{
    static const uint64_t changes = AGENT_DOES(SET_DEFAULT) | AGENT_DOES(WIDEN_TYPE) | AGENT_DOES(DROP_NOT_NULL);
    const struct zdm_step *at = survey->common.step;
    for (uint32_t o = survey->common.from; o < at->ordinal; o++) {
        const struct zdm_step *step = zdm_plan_step(survey->common.plan, o);
        const char *object = step->action == ZDM_ACTION_LIFT_CONSTRAINT ? step->object : NULL;
        bool lifts = object != NULL && strcmp(object, check) == 0;
        bool sets = (changes >> step->action & 1) != 0 && step->column != NULL && strcmp(step->column, at->column) == 0;
        if ((lifts || sets) && zdm_step_is_for(step, ZDM_ENGINE_MYSQL) &&
            strcmp(step->table.name, at->table.name) == 0) {
            return true;
        }
    }
    return false;
}

/* Where the column follows another one, every row may get its value from there. */
static bool may_follow(const struct mydb_survey *survey)
{
    const struct zdm_step *at = survey->common.step;
    const struct zdm_step *sync = at->sync_step == 0 ? NULL : zdm_plan_step(survey->common.plan, at->sync_step);
    return sync != NULL && sync->derivation != NULL && sync->derivation->both_ways;
}

enum zdm_code mydb_survey_omitted(struct mydb_survey *survey, struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step;
    struct mydb_column column = {.ordinal = 0};
    struct mydb_table table;
    char check[ZDM_IDENTIFIER_MAX + 2] = "", message[400];
    bool found = false;
    enum zdm_code code = mydb_table_find(survey->w->s, step->table.name, &table, err);
    if (code == ZDM_OK) {
        code = mydb_column_look(survey->w->s, step->table.name, step->column, &found, &column, err);
    }
    if (code == ZDM_OK && found) {
        code = mydb_omitted_refused(survey->w, &table, &column, check, err);
    }
    mydb_column_fini(&column);
    if (code != ZDM_OK) {
        return mydb_survey_miss(survey, code, "the checks of a column", err);
    }
    if (*check == '\0' || is_changed_before(survey, check)) {
        return ZDM_OK;
    }
    (void)snprintf(message, sizeof message, "check %s would refuse rows that leave it out: a hide does not begin%s",
                   check, may_follow(survey) ? " unless every value of the new column can be copied into it" : "");
    return say(survey, ZDM_SURVEY_DEPENDENTS, may_follow(survey) ? ZDM_LEVEL_WARNING : ZDM_LEVEL_ERROR, step->column,
               message, "Drop the check in a step before, or give the column a default that passes.", err);
}

/* Rows may not move along the key that they are walked by; that there is none is said by a rule. */
static enum zdm_code judge_key(struct mydb_survey *survey, const struct mydb_table *table, struct zdm_error *err)
{
    struct mydb_key key = {.n = 0};
    const struct zdm_step *step = survey->common.step;
    enum zdm_code code = mydb_key_find(survey->w->s, table, &key, err);
    bool known = code == ZDM_OK;
    if (known && step->action == ZDM_ACTION_BACKFILL) {
        code = mydb_key_keeps(table->name, &key, step->derivation, err);
    }
    mydb_key_fini(&key);
    if (code != ZDM_REFUSED && code != ZDM_UNSUPPORTED && code != ZDM_NOT_FOUND) {
        return code;
    }
    struct zdm_error why = *err;
    zdm_error_clear(err);
    return known ? mydb_survey_say(survey, ZDM_SURVEY_KEY_CHANGES, ZDM_LEVEL_ERROR, table->name, why.message, why.hint,
                                   err)
                 : ZDM_OK;
}

enum zdm_code mydb_survey_copies(struct mydb_survey *survey, struct zdm_error *err)
{
    static const uint64_t derives = AGENT_DOES(SYNC_INSTALL) | AGENT_DOES(BACKFILL) | AGENT_DOES(DELETE);
    const struct zdm_step *step = survey->common.step;
    struct mydb_table table;
    if ((derives >> step->action & 1) == 0 || step->derivation == NULL) {
        return ZDM_OK;
    }
    enum zdm_code code = mydb_table_find(survey->w->s, step->table.name, &table, err);
    if (code == ZDM_OK && (table.view || mydb_table_fit(&table, err) != ZDM_OK)) {
        zdm_error_clear(err);
        return ZDM_OK; /* said by a rule */
    }
    if (code == ZDM_OK) {
        code = judge_key(survey, &table, err);
    }
    if (code == ZDM_OK) {
        code = judge_sources(survey, &table, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < step->derivation->n_assignments; i++) {
        code = judge_pair(survey, &table, &step->derivation->assignments[i], err);
    }
    return code == ZDM_OK ? ZDM_OK : mydb_survey_miss(survey, code, "the derivation", err);
}
