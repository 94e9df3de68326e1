/*
 * survey_copies.c - would the derivation of a step work here? Asked of an empty temporary clone that has the columns
 * which the plan adds before; all of it in a transaction that is rolled back (survey.h, database.md 5).
 *
 * The same questions are asked again before triggers are installed (validate_sync.c), where an answer refuses the step.
 */
#include "agent/engine/postgresql/survey/survey.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/postgresql/clone/clone.h"
#include "agent/engine/postgresql/walk/meaning.h"
#include "agent/engine/postgresql/walk/sync.h"
#include "agent/engine/postgresql/walk/validate_sync.h"

#define PROBE "pg_temp.zdm_survey_probe"

static enum zdm_code out_of_memory(struct zdm_error *err)
{
    return zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

static void put_column(char *out, size_t size, const struct zdm_step *step, const char *column)
{
    (void)snprintf(out, size, "%s.%s.%s", step->table.schema, step->table.name, column);
}

static enum zdm_code say(struct pgsql_survey *survey, enum zdm_survey_rule rule, enum zdm_level level,
                         const char *column, const char *message, const char *hint, struct zdm_error *err)
{
    char object[4 * ZDM_IDENTIFIER_MAX];
    put_column(object, sizeof object, survey->common.step, column);
    return agent_survey_add(&survey->common, rule, level, object, message, hint) ? ZDM_OK : out_of_memory(err);
}

/* What the step would be refused for. */
static enum zdm_code say_table(struct pgsql_survey *survey, enum zdm_survey_rule rule, const struct zdm_error *why,
                               struct zdm_error *err)
{
    char object[3 * ZDM_IDENTIFIER_MAX];
    const struct zdm_table *table = &survey->common.step->table;
    (void)snprintf(object, sizeof object, "%s.%s", table->schema, table->name);
    bool added = agent_survey_add(&survey->common, rule, ZDM_LEVEL_ERROR, object, why->message, why->hint);
    return added ? ZDM_OK : out_of_memory(err);
}

/* ---- The clone ---- */

static enum zdm_code find_temp(struct pgsql_survey *survey, const char *name, struct pgsql_table *out,
                               struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code =
        pgsql_query(survey->w->s, "SELECT $1::regclass::oid", 1, (const char *const[]){name}, &res, err);
    memset(out, 0, sizeof *out);
    if (code == ZDM_OK) {
        out->kind = 'r';
        zdm_copy_text(out->oid, sizeof out->oid, pgsql_text(res, 0, 0));
        zdm_copy_text(out->schema, sizeof out->schema, survey->common.step->table.schema);
        zdm_copy_text(out->name, sizeof out->name, survey->common.step->table.name);
    }
    return code;
}

static enum zdm_code make_clone(struct pgsql_survey *survey, struct pgsql_stage *stage, struct pgsql_table *clone,
                                struct zdm_error *err)
{
    enum zdm_code code = pgsql_stage_begin(survey->w, survey->common.step, err);
    if (code == ZDM_OK) {
        code = pgsql_stage_set(stage, survey->w, survey->common.step, err);
    }
    return code == ZDM_OK ? find_temp(survey, PGSQL_CLONE, clone, err) : code;
}

/* A view over the expressions: the server says what types they have. */
static enum zdm_code make_probe(struct pgsql_survey *survey, const struct pgsql_stage *stage, struct pgsql_table *probe,
                                struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer turned = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    const struct zdm_derivation *d = survey->common.step->derivation;
    zdm_buffer_puts(&sql, "CREATE TEMPORARY VIEW zdm_survey_probe AS SELECT 1 AS one");
    for (size_t i = 0; i < d->n_assignments; i++) {
        zdm_buffer_printf(&sql, ", (%s) AS \"%zu\"", d->assignments[i].expr, i);
    }
    zdm_buffer_puts(&sql, " FROM " PGSQL_CLONE " AS t WHERE true");
    if (d->filter != NULL) {
        zdm_buffer_printf(&sql, " AND (%s)", d->filter);
    }
    if (d->guard != NULL) {
        zdm_buffer_printf(&sql, " AND (%s)", d->guard);
    }
    pgsql_stage_names(stage, zdm_buffer_text(&sql), &turned);
    enum zdm_code code = pgsql_query(survey->w->s, zdm_buffer_text(&turned), 0, NULL, NULL, err);
    return code == ZDM_OK ? find_temp(survey, PROBE, probe, err) : code;
}

/* ---- What fits ---- */

/* Triggers make writes fail that work today; a batch alone only fails itself. */
static enum zdm_level level(const struct pgsql_survey *survey)
{
    return survey->common.step->action == ZDM_ACTION_SYNC_INSTALL ? ZDM_LEVEL_ERROR : ZDM_LEVEL_WARNING;
}

static enum zdm_code say_narrow(struct pgsql_survey *survey, const struct zdm_assignment *a,
                                const struct pgsql_column *from, const struct pgsql_column *to, struct zdm_error *err)
{
    char message[700], hint[320];
    (void)snprintf(message, sizeof message, "of type %s, it cannot hold every value of %.200s, which is of type %s",
                   to->type, a->copy_of != NULL ? a->copy_of : a->expr, from->type);
    (void)snprintf(hint, sizeof hint, "Give the new column the type %s, or cast the expression.", from->type);
    return say(survey, ZDM_SURVEY_COPY_NARROW, level(survey), a->target, message, hint, err);
}

static enum zdm_code judge_reverse(struct pgsql_survey *survey, const struct zdm_assignment *a,
                                   const struct pgsql_column *source, const struct pgsql_column *target,
                                   struct zdm_error *err)
{
    char message[700];
    enum pgsql_fit fit = pgsql_fit(target, source);
    if (fit == PGSQL_FITS_NOT || strcmp(source->collation, target->collation) != 0) {
        (void)snprintf(message, sizeof message, "%s (%s) and %s (%s) cannot be kept in step in both directions",
                       source->name, source->type, target->name, target->type);
        return say(survey, ZDM_SURVEY_COPY_NARROW, ZDM_LEVEL_ERROR, a->target, message,
                   "Give the new column the type and collation of the old one.", err);
    }
    bool nulls = source->not_null && !target->not_null;
    if (!pgsql_has_value(source, target)) {
        (void)snprintf(message, sizeof message,
                       "%s (%s) is NOT NULL and %s is not: an INSERT of new code without a value would fail, since of "
                       "that type no value is known that stands for none",
                       source->name, source->type, target->name);
        return say(survey, ZDM_SURVEY_COPY_NO_VALUE, ZDM_LEVEL_ERROR, a->target, message,
                   "Add the new column with a constant DEFAULT and NOT NULL, or give the old one a DEFAULT first.",
                   err);
    }
    if (fit == PGSQL_FITS && !nulls) {
        return ZDM_OK;
    }
    (void)snprintf(message, sizeof message,
                   "%s (%s%s) cannot follow every value of %s (%s): where it cannot, it keeps its former value, and a "
                   "rollback is not exact for such rows",
                   source->name, source->type, nulls ? ", NOT NULL" : "", target->name, target->type);
    return say(
        survey, ZDM_SURVEY_COPY_GUARDED, ZDM_LEVEL_WARNING, a->target, message,
        "Check again once new code runs: the rows are counted then. Same type and NOT NULL on both sides avoid it.",
        err);
}

/* What new code can violate through the copy: constraints of the old column. */
static enum zdm_code judge_constraints(struct pgsql_survey *survey, const struct zdm_assignment *a,
                                       const struct pgsql_table *table, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT format('constraint %I (%s) of the old column binds what is written into the new one, through the copy',"
        " conname, pg_get_constraintdef(k.oid)) FROM pg_constraint k JOIN pg_attribute c ON c.attrelid = k.conrelid AND"
        " c.attname = $2 WHERE k.conrelid = $1::oid AND k.contype IN ('c', 'f', 'u', 'x') AND c.attnum = ANY (k.conkey)"
        " UNION ALL SELECT format('the old column is of domain %s, whose checks bind what is written into the new one,"
        " through the copy', t.oid::regtype) FROM pg_attribute c JOIN pg_type t ON t.oid = c.atttypid WHERE c.attrelid "
        "="
        " $1::oid AND c.attname = $2 AND t.typtype = 'd' UNION ALL SELECT format('unique index %s of the old column "
        "binds what is written into the new one,"
        " through the copy', i.indexrelid::regclass) FROM pg_index i JOIN pg_attribute c ON c.attrelid = i.indrelid AND"
        " c.attname = $2 WHERE i.indrelid = $1::oid AND i.indisunique AND c.attnum = ANY (i.indkey::int2[]) AND NOT"
        " EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid)";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(survey->w->s, sql, 2, (const char *const[]){table->oid, a->copy_of}, &res, err);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        code = say(survey, ZDM_SURVEY_COPY_CONSTRAINT, ZDM_LEVEL_WARNING, a->copy_of, pgsql_text(res, i, 0),
                   "New code that breaks it gets the old column's error until Contract: does it keep the constraint?",
                   err);
    }
    return code;
}

/* Where a sequence would be drawn from, or the default fails, it is another value: read-only, as when the step asks. */
static enum zdm_code judge_default(struct pgsql_survey *survey, const struct zdm_assignment *a,
                                   const struct pgsql_table *clone, const struct pgsql_column *column,
                                   const struct pgsql_column *target, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    struct zdm_error why = ZDM_ERROR_INIT;
    struct pgsql_session *s = survey->w->s;
    pgsql_put_default_differs(&sql, column, target, a->initial);
    enum zdm_code code = pgsql_script(s, "SAVEPOINT usual; SET LOCAL transaction_read_only = on", NULL, err);
    if (code != ZDM_OK) {
        return code;
    }
    bool same = pgsql_query(s, zdm_buffer_text(&sql), 0, NULL, &res, &why) == ZDM_OK && !pgsql_true(res, 0, 0);
    code = pgsql_script(s, "ROLLBACK TO usual; RELEASE usual", NULL, err);
    if (code != ZDM_OK || same) {
        return code;
    }
    (void)pgsql_default_refused(clone, column, a->initial, &why);
    return say(survey, ZDM_SURVEY_DEFAULT_DIFFERS, ZDM_LEVEL_ERROR, column->name, why.message, why.hint, err);
}

static enum zdm_code judge_pair(struct pgsql_survey *survey, size_t i, const struct pgsql_table *clone,
                                const struct pgsql_table *probe, const struct pgsql_table *table, struct zdm_error *err)
{
    const struct zdm_derivation *d = survey->common.step->derivation;
    const struct zdm_assignment *a = &d->assignments[i];
    struct pgsql_column target = {.default_expr = NULL}, from = {.default_expr = NULL};
    char name[24];
    (void)snprintf(name, sizeof name, "%zu", i);
    enum zdm_code code = pgsql_column_find(survey->w->s, clone, a->target, &target, err);
    if (code == ZDM_OK) {
        code = a->copy_of != NULL ? pgsql_column_find(survey->w->s, clone, a->copy_of, &from, err)
                                  : pgsql_column_find(survey->w->s, probe, name, &from, err);
    }
    if (code == ZDM_OK && target.generated) {
        code = say(survey, ZDM_SURVEY_DERIVATION_FAILS, ZDM_LEVEL_ERROR, a->target,
                   "it is generated and cannot be assigned", "Assign the columns that it is made of.", err);
    } else if (code == ZDM_OK && (a->copy_of != NULL || d->n_sources > 0) && pgsql_fit(&from, &target) != PGSQL_FITS) {
        code = say_narrow(survey, a, &from, &target, err);
    } else if (code == ZDM_OK && a->copy_of != NULL && d->both_ways) {
        code = judge_reverse(survey, a, &from, &target, err);
    }
    if (code == ZDM_OK && a->copy_of != NULL && d->both_ways) {
        code = judge_constraints(survey, a, table, err);
    }
    bool syncs = survey->common.step->action == ZDM_ACTION_SYNC_INSTALL;
    if (code == ZDM_OK && syncs) {
        code = judge_default(survey, a, clone, &target, &target, err);
    }
    if (code == ZDM_OK && syncs && a->copy_of != NULL && d->both_ways && a->initial != NULL) {
        code = judge_default(survey, a, clone, &from, &target, err);
    }
    pgsql_column_fini(&target);
    pgsql_column_fini(&from);
    return code;
}

/* ---- The key ---- */

static bool makes_key(const struct pgsql_survey *survey)
{
    for (uint32_t i = 1; i < survey->common.step->ordinal; i++) {
        if (zdm_plan_step(survey->common.plan, i)->action == ZDM_ACTION_ADD_PRIMARY_KEY) {
            return true;
        }
    }
    return false;
}

/* Rows may not move along the key that they are walked by. */
static enum zdm_code judge_targets(struct pgsql_survey *survey, const struct pgsql_table *table,
                                   const struct pgsql_key *key, struct zdm_error *err)
{
    enum zdm_code code = pgsql_key_keeps(survey->w->s, table, key, survey->common.step->derivation, err);
    if (code != ZDM_REFUSED) {
        return code;
    }
    struct zdm_error why = *err;
    zdm_error_clear(err);
    return say_table(survey, ZDM_SURVEY_KEY_CHANGES, &why, err);
}

static enum zdm_code judge_key(struct pgsql_survey *survey, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_key key = {.n = 0};
    char object[3 * ZDM_IDENTIFIER_MAX];
    enum zdm_code code = pgsql_key_find(survey->w->s, table, &key, err);
    if (code == ZDM_OK && survey->common.step->action == ZDM_ACTION_BACKFILL) {
        code = judge_targets(survey, table, &key, err);
    }
    pgsql_key_fini(&key);
    if (code != ZDM_REFUSED && code != ZDM_UNSUPPORTED && code != ZDM_NOT_FOUND) {
        return code;
    }
    (void)snprintf(object, sizeof object, "%s.%s", table->schema, table->name);
    if (makes_key(survey) ||
        agent_survey_add(&survey->common, ZDM_SURVEY_NO_KEY, ZDM_LEVEL_ERROR, object, err->message, err->hint)) {
        *err = (struct zdm_error)ZDM_ERROR_INIT;
        return ZDM_OK;
    }
    return out_of_memory(err);
}

/* ---- One step ---- */

/* Where an earlier step that no clone shows may make what is missing, it is said as a note. */
static enum zdm_code say_fails(struct pgsql_survey *survey, const struct pgsql_stage *stage, struct zdm_error *err)
{
    char message[700];
    if (stage->missing == NULL) {
        (void)snprintf(message, sizeof message, "the server refuses what is written: %.400s", err->message);
        return say(survey, ZDM_SURVEY_DERIVATION_FAILS, ZDM_LEVEL_ERROR, "*", message,
                   "Columns and functions must be on this shard as the plan names them.", err);
    }
    (void)snprintf(message, sizeof message,
                   "the expressions were not tried: they build on step %s, which cannot be carried out on an empty "
                   "clone: %.400s",
                   stage->missing->id, err->message);
    return say(survey, ZDM_SURVEY_NOT_TRIED, ZDM_LEVEL_NOTE, "*", message,
               "Try them on a copy of the database, behind that step.", err);
}

/* ---- What it means ---- */

/* Texts with the names that they have on stage; the caller frees them. */
static bool turn_texts(const struct pgsql_stage *stage, struct pgsql_meaning *m)
{
    bool whole = true;
    for (size_t i = 0; i < m->n; i++) {
        struct zdm_buffer turned = ZDM_BUFFER_INIT;
        pgsql_stage_names(stage, m->texts[i], &turned);
        m->texts[i] = zdm_buffer_take(&turned);
        whole = whole && m->texts[i] != NULL;
    }
    return whole;
}

static void free_texts(struct pgsql_meaning *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free((void *)(uintptr_t)m->texts[i]);
    }
}

/* *out_clear: nothing was found. */
static enum zdm_code judge_meaning(struct pgsql_survey *survey, const struct pgsql_stage *stage,
                                   const struct pgsql_table *table, bool *out_clear, struct zdm_error *err)
{
    static const enum zdm_survey_rule rules[] = {ZDM_SURVEY_OPERATOR_DIFFERS, ZDM_SURVEY_READS_ITSELF};
    struct pgsql_meaning m = {.from = PGSQL_CLONE, .oid = table->oid, .schema = table->schema};
    pgsql_meaning_texts(survey->common.step->derivation, &m);
    enum zdm_code code = turn_texts(stage, &m) ? ZDM_OK : out_of_memory(err);
    *out_clear = true;
    for (size_t i = 0; code == ZDM_OK && i < sizeof rules / sizeof *rules; i++) {
        code = i == 0 ? pgsql_meaning_same(survey->w->s, &m, err) : pgsql_meaning_outside(survey->w->s, &m, err);
        if (code == ZDM_REFUSED) {
            struct zdm_error why = *err;
            zdm_error_clear(err);
            *out_clear = false;
            code = say_table(survey, rules[i], &why, err);
        }
    }
    free_texts(&m);
    return code;
}

static enum zdm_code judge_begin(struct pgsql_survey *survey, const struct pgsql_table *clone, struct zdm_error *err)
{
    enum zdm_code code = pgsql_fill_begins(survey->w->s, clone, survey->common.plan, survey->common.step, err);
    if (code != ZDM_REFUSED) {
        return code;
    }
    struct zdm_error why = *err;
    zdm_error_clear(err);
    return say_table(survey, ZDM_SURVEY_DEFAULT_DIFFERS, &why, err);
}

static enum zdm_code judge_on_stage(struct pgsql_survey *survey, struct pgsql_stage *stage,
                                    const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_table clone, probe;
    bool clear = false;
    enum zdm_code code = make_clone(survey, stage, &clone, err);
    if (code != ZDM_OK) {
        return pgsql_survey_miss(survey, code, "an empty clone with the plan's columns", err);
    }
    code = judge_meaning(survey, stage, table, &clear, err);
    if (code != ZDM_OK || !clear) {
        pgsql_rollback(survey->w->s);
        return code == ZDM_OK ? ZDM_OK : pgsql_survey_miss(survey, code, "what the derivation means", err);
    }
    code = make_probe(survey, stage, &probe, err);
    if (code == ZDM_DATABASE || code == ZDM_INVALID || code == ZDM_NOT_FOUND) {
        pgsql_rollback(survey->w->s);
        code = say_fails(survey, stage, err);
        zdm_error_clear(err);
        return code;
    }
    if (code == ZDM_OK) {
        code = judge_begin(survey, &clone, err);
    }
    for (size_t i = 0; code == ZDM_OK && i < survey->common.step->derivation->n_assignments; i++) {
        code = judge_pair(survey, i, &clone, &probe, table, err);
    }
    pgsql_rollback(survey->w->s);
    return code == ZDM_OK ? ZDM_OK : pgsql_survey_miss(survey, code, "the derivation", err);
}

static enum zdm_code judge_derivation(struct pgsql_survey *survey, const struct pgsql_table *table,
                                      struct zdm_error *err)
{
    struct pgsql_stage stage = {.n_checks = 0};
    enum zdm_code code = judge_on_stage(survey, &stage, table, err);
    pgsql_stage_fini(&stage);
    return code;
}

enum zdm_code pgsql_survey_copies(struct pgsql_survey *survey, struct zdm_error *err)
{
    static const uint64_t derives = AGENT_DOES(SYNC_INSTALL) | AGENT_DOES(BACKFILL) | AGENT_DOES(DELETE);
    const struct zdm_survey_table *known = agent_survey_table(&survey->common, &survey->common.step->table);
    struct pgsql_table table;
    bool derived = (derives >> survey->common.step->action & 1) != 0 && survey->common.step->derivation != NULL;
    if (!derived || known == NULL || !known->exists) {
        return ZDM_OK;
    }
    enum zdm_code code = pgsql_table_find(survey->w->s, &survey->common.step->table, &table, err);
    if (code == ZDM_OK && table.kind != 'r' && table.kind != 'p') {
        return ZDM_OK; /* said by a rule */
    }
    if (code == ZDM_OK) {
        code = judge_key(survey, &table, err);
    }
    return code == ZDM_OK ? judge_derivation(survey, &table, err) : pgsql_survey_miss(survey, code, table.name, err);
}
