/*
 * survey_statements.c - what the application is seen to write to the plan's tables: statements of pg_stat_statements
 * that break, or change their meaning, when a table gets or loses a column, or when two columns are kept in step
 * (survey.h).
 *
 * Texts are searched, not parsed: a hit is a warning with the text beside it, and a person reads it. Statements of the
 * agent's own role are left out.
 */
#include "agent/engine/postgresql/survey/survey.h"

#include <stdio.h>
#include <string.h>

static const struct {
    enum zdm_survey_rule rule;
    uint64_t actions;
    const char *condition; /* on the text q, in which n matches the table's name */
    const char *what, *hint;
} searches[] = {
    {ZDM_SURVEY_SELECT_STAR, AGENT_DOES(ADD_COLUMN) | AGENT_DOES(HIDE_COLUMN),
     "q ~* "
     "('(\\mselect\\s+(distinct\\s+|all\\s+)?|,\\s*)((\"[^\"]+\"|[a-z_][a-z0-9_$]*)\\.)?\\*.*\\m(from|join)\\s+("
     "only\\s+)?'"
     " || n)",
     "SELECT * is seen",
     "Prepared ones fail once with \"cached plan must not change result type\", inside of a transaction for good: name "
     "the "
     "columns."},
    {ZDM_SURVEY_RETURNING_STAR, AGENT_DOES(ADD_COLUMN) | AGENT_DOES(HIDE_COLUMN),
     "q ~* ('\\m(insert\\s+into|update|delete\\s+from)\\s+(only\\s+)?' || n ||"
     " '.*\\mreturning\\s+((\"[^\"]+\"|[a-z_][a-z0-9_$]*)\\.)?\\*')",
     "RETURNING * is seen",
     "Prepared ones fail once with \"cached plan must not change result type\", inside of a transaction for good: name "
     "the "
     "columns."},
    {ZDM_SURVEY_INSERT_NO_COLUMNS, AGENT_DOES(HIDE_COLUMN) | AGENT_DOES(ADD_COLUMN),
     "q ~* ('\\minsert\\s+into\\s+' || n || '\\s*(as\\s+\\S+\\s+)?\\m(values|select|with|table|overriding)\\M')",
     "an INSERT without a list of columns is seen",
     "Its values stand for columns by their place: name the columns before one comes or goes."},
    {ZDM_SURVEY_UPSERT, AGENT_DOES(SYNC_INSTALL), "q ~* ('\\minsert\\s+into\\s+' || n || '.*\\mon\\s+conflict\\M')",
     "INSERT … ON CONFLICT is seen",
     "While two unique indexes are kept in step, several sessions at once can meet 23505 in the index that the "
     "statement "
     "does not name: retry there."},
};

/* The table's name in a statement, as a pattern: with or without its schema and quotes; a boundary behind it. */
#define NAMED                                                                                                          \
    "('(\"?' || regexp_replace($1, '([^[:alnum:]_])', '\\\\\\1', 'g') || '\"?\\s*\\.\\s*)?\"?' || regexp_replace($2,"  \
    " '([^[:alnum:]_])', '\\\\\\1', 'g') || '(\"|\\M)')"

static enum zdm_code find_view(struct pgsql_survey *survey, struct zdm_buffer *out, struct zdm_error *err)
{
    static const char sql[] = "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE"
                              " e.extname = 'pg_stat_statements'";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(survey->w->s, sql, 0, NULL, &res, err);
    if (code != ZDM_OK || PQntuples(res) == 0) {
        return code;
    }
    pgsql_put_name(out, pgsql_text(res, 0, 0));
    zdm_buffer_puts(out, ".pg_stat_statements");
    return ZDM_OK;
}

static enum zdm_code search(struct pgsql_survey *survey, const char *view, size_t which, const struct zdm_table *table,
                            struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    char object[3 * ZDM_IDENTIFIER_MAX], message[512];
    enum zdm_survey_rule rule = searches[which].rule;
    zdm_buffer_printf(&sql,
                      "SELECT s.calls, left(q, 160), count(*) OVER () FROM %s s, LATERAL (SELECT"
                      " regexp_replace(s.query, '\\s+', ' ', 'g') AS q, " NAMED
                      " AS n) t WHERE s.dbid = (SELECT oid FROM"
                      " pg_database WHERE datname = current_database()) AND s.userid <> (SELECT oid FROM pg_roles WHERE"
                      " rolname = current_user) AND %s ORDER BY s.calls DESC LIMIT 3",
                      view, searches[which].condition);
    enum zdm_code code = pgsql_query(survey->w->s, zdm_buffer_text(&sql), 2,
                                     (const char *const[]){table->schema, table->name}, &res, err);
    (void)snprintf(object, sizeof object, "%s.%s", table->schema, table->name);
    for (int i = 0; code == ZDM_OK && i < PQntuples(res); i++) {
        const char *calls = pgsql_text(res, i, 0);
        (void)snprintf(message, sizeof message, "%s, %s time%s: %s", searches[which].what, calls,
                       strcmp(calls, "1") == 0 ? "" : "s", pgsql_text(res, i, 1));
        if (!agent_survey_add(&survey->common, rule, ZDM_LEVEL_WARNING, object, message, searches[which].hint)) {
            return zdm_error_set(err, ZDM_NOMEM, "out of memory");
        }
    }
    return code;
}

/* Each table once for each search that concerns it. */
static bool concerns(const struct zdm_plan *plan, uint64_t actions, const struct zdm_table *table)
{
    for (uint32_t i = 1; i <= zdm_plan_n_steps(plan); i++) {
        const struct zdm_step *step = zdm_plan_step(plan, i);
        if ((actions >> step->action & 1) != 0 && step->table.name != NULL &&
            strcmp(step->table.name, table->name) == 0 && strcmp(step->table.schema, table->schema) == 0) {
            return true;
        }
    }
    return false;
}

static enum zdm_code search_all(struct pgsql_survey *survey, const char *view, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (size_t t = 0; code == ZDM_OK && t < survey->common.out->n_tables; t++) {
        for (size_t i = 0; code == ZDM_OK && i < sizeof searches / sizeof *searches; i++) {
            if (survey->common.out->tables[t].exists &&
                concerns(survey->common.plan, searches[i].actions, &survey->common.out->tables[t].name)) {
                code = search(survey, view, i, &survey->common.out->tables[t].name, err);
            }
        }
    }
    return code;
}

static bool any_search(const struct pgsql_survey *survey)
{
    uint64_t all = 0;
    for (size_t i = 0; i < sizeof searches / sizeof *searches; i++) {
        all |= searches[i].actions;
    }
    return agent_survey_has(&survey->common, all);
}

enum zdm_code pgsql_survey_statements(struct pgsql_survey *survey, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer view = ZDM_BUFFER_INIT;
    if (!any_search(survey)) {
        return ZDM_OK;
    }
    enum zdm_code code = pgsql_survey_begin(survey, err);
    if (code == ZDM_OK) {
        code = find_view(survey, &view, err);
    }
    if (code == ZDM_OK && view.len > 0) {
        code = search_all(survey, zdm_buffer_text(&view), err);
    }
    bool unseen = code == ZDM_OK && view.len == 0;
    pgsql_rollback(survey->w->s);
    if (unseen && !agent_survey_add(&survey->common, ZDM_SURVEY_NO_PG_STAT_STATEMENTS, ZDM_LEVEL_NOTE, "",
                                    "extension pg_stat_statements is not in this database: nobody can see here whether "
                                    "the application writes SELECT *, RETURNING * or INSERT without columns",
                                    "CREATE EXTENSION pg_stat_statements, or search the application's code.")) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    return code == ZDM_OK ? ZDM_OK : pgsql_survey_miss(survey, code, "pg_stat_statements", err);
}
