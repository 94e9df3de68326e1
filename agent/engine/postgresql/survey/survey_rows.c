/*
 * survey_rows.c - rows that are in the way of what is to come: of a unique index, of a constraint that will be
 * validated (survey.h).
 *
 * What the step means is read from an empty clone on which the plan was carried out up to it (clone.h); which rows
 * there will be by then, from a query over the table as it is, in which the plan's own fills and deletes are
 * expressions (survey_future.c). Each look is one bounded read, on a replica where one is fit; of a row only its key is
 * said.
 */
#include "agent/engine/postgresql/survey/survey_look.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- What is wanted ---- */

static bool is_unique(const struct zdm_step *step)
{
    static const char head[] = "CREATE UNIQUE INDEX ";
    return step->action == ZDM_ACTION_CREATE_INDEX && strncmp(step->sql, head, strlen(head)) == 0;
}

/* Of a CHECK that nobody validates: rows that break it fail at their next UPDATE. */
static bool is_validated_later(const struct pgsql_survey *survey)
{
    for (uint32_t o = survey->common.step->ordinal + 1; o <= zdm_plan_n_steps(survey->common.plan); o++) {
        const struct zdm_step *step = zdm_plan_step(survey->common.plan, o);
        if (step->action == ZDM_ACTION_VALIDATE && strcmp(step->object, survey->common.step->object) == 0 &&
            step->table.name != NULL && strcmp(step->table.name, survey->common.step->table.name) == 0) {
            return true;
        }
    }
    return false;
}

static bool wants_rows(const struct pgsql_survey *survey)
{
    const struct zdm_step *step = survey->common.step;
    return is_unique(step) || step->action == ZDM_ACTION_VALIDATE ||
           (step->action == ZDM_ACTION_ADD_CHECK && !is_validated_later(survey));
}

/* What breaks it: of a CHECK its expression; of a foreign key what stands before its parent and what behind, as two
   columns, because a name in them may hold any mark. $1 clone, $2 object. */
static const char constraint_sql[] =
    "SELECT k.contype, pg_get_expr(k.conbin, k.conrelid), k.confrelid::regclass::text,"
    " e.own || ' AND NOT EXISTS (SELECT FROM ', ' WHERE ' || e.pair || ')' FROM pg_constraint k, LATERAL (SELECT"
    " string_agg(format('t.%I IS NOT NULL', a.attname), ' AND ' ORDER BY u.n) AS own,"
    " string_agg(format('p.%I = t.%I', b.attname, a.attname), ' AND ' ORDER BY u.n) AS pair"
    " FROM unnest(k.conkey, k.confkey) WITH ORDINALITY AS u(own, other, n) JOIN pg_attribute a ON a.attrelid ="
    " k.conrelid AND a.attnum = u.own JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = u.other) AS e"
    " WHERE k.conrelid = to_regclass($1) AND k.conname = $2 AND k.contype IN ('c', 'f')"
    /* Of one over a PERIOD (PostgreSQL 18) equal columns say nothing. */
    " AND (to_jsonb(k) ->> 'conperiod') IS DISTINCT FROM 'true'";

static const char index_sql[] =
    "SELECT string_agg(format('(%s)%s AS c%s', pg_get_indexdef(i.indexrelid, g, false), CASE WHEN i.indcollation[g - 1]"
    " <> 0 THEN ' COLLATE ' || i.indcollation[g - 1]::regcollation ELSE '' END, g), ', ' ORDER BY g),"
    " string_agg(format('c%s', g), ', ' ORDER BY g), CASE WHEN (to_jsonb(i)->>'indnullsnotdistinct')::bool THEN 'true'"
    " ELSE string_agg(format('c%s IS NOT NULL', g), ' AND ' ORDER BY g) END, coalesce(pg_get_expr(i.indpred,"
    " i.indrelid), 'true') FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid, generate_series(1, i.indnkeyatts) g"
    " WHERE i.indrelid = to_regclass($1) AND c.relname = $2 GROUP BY i.*, i.indexrelid, i.indrelid, i.indpred";

static enum zdm_code want_index(struct pgsql_survey *survey, const struct pgsql_stage *stage, struct pgsql_look *look,
                                bool *out_there, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {PGSQL_CLONE, survey->common.step->object};
    enum zdm_code code = pgsql_query(survey->w->s, index_sql, 2, params, &res, err);
    *out_there = code == ZDM_OK && PQntuples(res) == 1;
    if (!*out_there) {
        return code;
    }
    struct zdm_buffer *b = &look->all;
    zdm_buffer_printf(b, "SELECT count(*), (array_agg(a))[1], (array_agg(b))[1] FROM (SELECT min(k) AS a, max(k) AS b"
                         " FROM (SELECT ");
    pgsql_look_put_key(look, b);
    zdm_buffer_printf(b, " AS k, %s FROM ", pgsql_text(res, 0, 0));
    code = pgsql_future_put(survey, stage, &survey->common.step->table, "t", b, err);
    zdm_buffer_printf(b, " WHERE %s) AS d WHERE %s GROUP BY %s HAVING count(*) > 1 LIMIT %d) AS found",
                      pgsql_text(res, 0, 3), pgsql_text(res, 0, 2), pgsql_text(res, 0, 1), PGSQL_LOOK_ROWS);
    return code;
}

/* The foreign key's parent as it will be, between the two halves. */
static enum zdm_code put_condition(struct pgsql_survey *survey, const struct pgsql_stage *stage, const PGresult *res,
                                   struct zdm_buffer *b, bool *out_there, struct zdm_error *err)
{
    const char *before = pgsql_text(res, 0, 3), *behind = pgsql_text(res, 0, 4);
    if (pgsql_text(res, 0, 0)[0] == 'c') {
        zdm_buffer_printf(b, "(%s) IS FALSE", pgsql_text(res, 0, 1));
        return ZDM_OK;
    }
    const struct zdm_table *parent = pgsql_stage_table(stage, pgsql_text(res, 0, 2));
    *out_there = before != NULL && behind != NULL && parent != NULL && !pgsql_stage_makes(stage, parent);
    if (!*out_there) {
        return ZDM_OK;
    }
    zdm_buffer_puts(b, before);
    enum zdm_code code = pgsql_future_put(survey, stage, parent, "p", b, err);
    zdm_buffer_puts(b, behind);
    return code;
}

static enum zdm_code want_constraint(struct pgsql_survey *survey, const struct pgsql_stage *stage,
                                     struct pgsql_look *look, bool *out_there, struct zdm_error *err)
{
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer rows = ZDM_BUFFER_INIT;
    const char *params[] = {PGSQL_CLONE, survey->common.step->object};
    enum zdm_code code = pgsql_query(survey->w->s, constraint_sql, 2, params, &res, err);
    *out_there = code == ZDM_OK && PQntuples(res) == 1;
    if (!*out_there) {
        return code;
    }
    zdm_buffer_puts(&rows, "SELECT ");
    pgsql_look_put_key(look, &rows);
    zdm_buffer_puts(&rows, " AS k FROM ");
    code = pgsql_future_put(survey, stage, &survey->common.step->table, "t", &rows, err);
    zdm_buffer_puts(&rows, " WHERE ");
    if (code == ZDM_OK) {
        code = put_condition(survey, stage, res, &rows, out_there, err);
    }
    pgsql_look_rows(look, zdm_buffer_text(&rows));
    return code;
}

/* ---- What is found ---- */

static void put_count(char out[48], const struct pgsql_look *look, const char *one, const char *many)
{
    const char *more = !look->whole ? "at least " : look->rows >= PGSQL_LOOK_ROWS ? "more than " : "";
    int64_t n = look->rows >= PGSQL_LOOK_ROWS ? PGSQL_LOOK_ROWS - 1 : look->rows;
    (void)snprintf(out, 48, "%s%" PRId64 " %s", more, n, n == 1 ? one : many);
}

static bool say_found(struct pgsql_survey *survey, const struct pgsql_look *look, const char *object)
{
    const struct zdm_step *step = survey->common.step;
    char message[900], count[48];
    bool index = is_unique(step), check = step->action == ZDM_ACTION_ADD_CHECK;
    const char *column = agent_survey_not_null(&survey->common);
    put_count(count, look, index ? "value" : "row", index ? "values" : "rows");
    if (index) {
        (void)snprintf(message, sizeof message, "%s of %s would stand in more than one row%s%.80s%s%.80s", count,
                       step->object, look->first[0] == '\0' ? "" : ", as in rows ", look->first,
                       look->second[0] == '\0' ? "" : " and ", look->second);
    } else {
        (void)snprintf(message, sizeof message, "%s %s%s%s%.80s", count,
                       column != NULL ? "would be NULL in "
                       : check        ? (look->rows == 1 ? "breaks " : "break ")
                                      : "would break ",
                       column != NULL ? column : step->object, look->first[0] == '\0' ? "" : ", as row ", look->first);
    }
    enum zdm_survey_rule rule = index            ? ZDM_SURVEY_DUPLICATE_ROWS
                                : column != NULL ? ZDM_SURVEY_NULL_ROWS
                                                 : ZDM_SURVEY_ROWS_IN_THE_WAY;
    return agent_survey_add(
        &survey->common, rule,
        agent_survey_as_is_before(&survey->common) != NULL ? ZDM_LEVEL_NOTE
        : check                                            ? ZDM_LEVEL_WARNING
                                                           : ZDM_LEVEL_ERROR,
        object, message,
        index ? "Put these rows right, or let the runbook do it in a step before: the build would fail, and "
                "leave nothing."
        : column != NULL
            ? "Fill them with an UPDATE in the migrate phase; else the validation fails and nothing is changed."
        : check ? "Nobody validates it, but every UPDATE of such a row fails from the step on."
                : "Put these rows right, or let the runbook do it in a step before: the validation would fail, and "
                  "nothing is changed.");
}

/* The statistics know of NULLs even where there was no time to look. */
static enum zdm_code null_share(struct pgsql_survey *survey, const char *column, char out[64], struct zdm_error *err)
{
    static const char sql[] = "SELECT round((100 * null_frac)::numeric, 1) FROM pg_stats WHERE schemaname = $1 AND"
                              " tablename = $2 AND attname = $3 AND null_frac > 0";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    const char *params[] = {survey->common.step->table.schema, survey->common.step->table.name, column};
    enum zdm_code code = pgsql_query(survey->w->s, sql, 3, params, &res, err);
    out[0] = '\0';
    if (code == ZDM_OK && PQntuples(res) > 0) {
        (void)snprintf(out, 64, "; by the statistics %s %% are NULL now", pgsql_text(res, 0, 0));
    }
    return code;
}

static enum zdm_code say_unseen(struct pgsql_survey *survey, const struct pgsql_look *look, const char *object,
                                struct zdm_error *err)
{
    char message[700], share[64] = "";
    const char *column = agent_survey_not_null(&survey->common);
    enum zdm_code code = column == NULL ? ZDM_OK : null_share(survey, column, share, err);
    if (look->late) {
        (void)snprintf(message, sizeof message,
                       "its rows were not looked through to the end for %s: that took longer than %d s%s",
                       survey->common.step->object, PGSQL_LOOK_MS / 1000, share);
    } else {
        (void)snprintf(message, sizeof message, "its rows could not be looked through for %s: %.300s%s",
                       survey->common.step->object, look->why, share);
    }
    bool added = agent_survey_add(&survey->common, ZDM_SURVEY_ROWS_UNSEEN, ZDM_LEVEL_NOTE, object, message,
                                  "Whether a row is in the way shows when the step runs; ask a copy of the database.");
    return code == ZDM_OK && !added ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : code;
}

/* ---- One step ---- */

/* The clones, with the step itself; kept only where they have types of the plan that the look needs. */
static enum zdm_code prepare(struct pgsql_survey *survey, struct pgsql_stage *stage, struct pgsql_look *look,
                             bool *out_there, struct zdm_error *err)
{
    struct pgsql_session *s = survey->w->s;
    struct zdm_error why = ZDM_ERROR_INIT;
    bool done = false;
    enum zdm_code code = pgsql_stage_begin(survey->w, survey->common.step, err);
    if (code == ZDM_OK) {
        code = pgsql_stage_set(stage, survey->w, survey->common.step, err);
    }
    if (code == ZDM_OK) {
        code = pgsql_look_key(survey, look, err);
    }
    if (code == ZDM_OK && survey->common.step->action != ZDM_ACTION_VALIDATE) {
        code = pgsql_stage_do(stage, survey->common.step, &done, &why, err);
    }
    if (code == ZDM_OK) {
        code = is_unique(survey->common.step) ? want_index(survey, stage, look, out_there, err)
                                              : want_constraint(survey, stage, look, out_there, err);
    }
    look->here_only = stage->n_types > 0;
    if (code == ZDM_OK && *out_there && look->here_only) {
        return pgsql_commit(s, err);
    }
    pgsql_rollback(s);
    return code;
}

static enum zdm_code look_at_rows(struct pgsql_survey *survey, struct pgsql_stage *stage, struct pgsql_look *look,
                                  struct zdm_error *err)
{
    char object[3 * ZDM_IDENTIFIER_MAX];
    struct zdm_error later = ZDM_ERROR_INIT;
    bool there = false;
    (void)snprintf(object, sizeof object, "%s.%s", survey->common.step->table.schema, survey->common.step->table.name);
    enum zdm_code code = prepare(survey, stage, look, &there, err);
    /* Numbers of a sequence are neither NULL nor twice there, and asking for them would use them up. */
    there = there && strstr(zdm_buffer_text(&look->all), "nextval(") == NULL;
    if (code == ZDM_OK && there) {
        code = pgsql_look_run(survey, stage, look, err);
    }
    if (look->here_only && pgsql_is_open(survey->w->s) && pgsql_drop_clones(survey->w, &later) != ZDM_OK) {
        pgsql_close(survey->w->s);
    }
    if (code != ZDM_OK || !there) {
        return code == ZDM_OK ? ZDM_OK : pgsql_survey_miss(survey, code, "the rows of a table", err);
    }
    if (look->rows > 0) {
        return say_found(survey, look, object) ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    return look->whole ? ZDM_OK : say_unseen(survey, look, object, err);
}

static enum zdm_code survey_step(struct pgsql_survey *survey, struct zdm_error *err)
{
    const struct zdm_survey_table *t = agent_survey_table(&survey->common, &survey->common.step->table);
    if (!wants_rows(survey) || t == NULL || !t->exists) {
        return ZDM_OK;
    }
    struct pgsql_stage stage = {.n_checks = 0};
    struct pgsql_look look = {.rows = 0};
    enum zdm_code code = look_at_rows(survey, &stage, &look, err);
    pgsql_stage_fini(&stage);
    pgsql_look_fini(&look);
    return code;
}

enum zdm_code pgsql_survey_rows(struct pgsql_survey *survey, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (uint32_t i = survey->common.from; code == ZDM_OK && i <= zdm_plan_n_steps(survey->common.plan); i++) {
        survey->common.step = zdm_plan_step(survey->common.plan, i);
        if (!zdm_step_is_for(survey->common.step, ZDM_ENGINE_POSTGRESQL)) {
            continue;
        }
        if (pgsql_survey_late(survey, PGSQL_LOOKS_PERCENT)) {
            bool added = agent_survey_cut(&survey->common, "rows were not looked through");
            code = added ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
            break;
        }
        code = survey_step(survey, err);
        if (code == ZDM_OK) {
            code = pgsql_survey_counts(survey, err);
        }
        if (code == ZDM_OK) {
            code = pgsql_survey_values(survey, err);
        }
    }
    survey->common.step = NULL;
    return code;
}
