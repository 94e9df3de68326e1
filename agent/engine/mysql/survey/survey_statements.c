/*
 * survey_statements.c - what the application is seen to write to the plan's tables: statements of the digest table that
 * change their meaning when a table gets or loses a column (survey.h).
 *
 * Digests are texts that the server has normalised: names in backquotes, values as `?`. They are searched, not parsed:
 * a hit is a warning with the text beside it, and a person reads it.
 */
#include "agent/engine/mysql/survey/survey.h"

#include <stdio.h>
#include <string.h>

static const struct {
    enum zdm_survey_rule rule;
    uint64_t actions;
    const char *condition; /* on digest_text; $1: the table's name in backquotes, as a pattern */
    const char *what, *hint;
} searches[] = {
    {ZDM_SURVEY_SELECT_STAR, AGENT_DOES(SHOW_COLUMN) | AGENT_DOES(HIDE_COLUMN),
     "digest_text REGEXP concat('^SELECT (DISTINCT |ALL )?(`[^`]+` *[.] *)?[*].*(FROM|JOIN) (`[^`]+` *[.] *)?', $1)",
     "SELECT * is seen",
     "Its rows get or lose a column at once, also in the middle of a deployment: name the columns."},
    {ZDM_SURVEY_INSERT_NO_COLUMNS, AGENT_DOES(SHOW_COLUMN) | AGENT_DOES(HIDE_COLUMN),
     "digest_text REGEXP concat('^(INSERT|REPLACE) (IGNORE )?INTO (`[^`]+` *[.] *)?', $1, ' "
     "*(VALUES|VALUE|SELECT|TABLE)')",
     "an INSERT without a list of columns is seen",
     "Its values stand for columns by their place: name the columns before one comes into sight or goes."},
    {ZDM_SURVEY_UPSERT, AGENT_DOES(SYNC_INSTALL),
     "digest_text REGEXP concat('^INSERT (IGNORE )?INTO (`[^`]+` *[.] *)?', $1, '.*ON DUPLICATE KEY')",
     "INSERT … ON DUPLICATE KEY UPDATE is seen",
     "While two unique indexes are kept in step, several sessions at once can meet the index that the statement does "
     "not"
     " mean: retry there."},
};

static enum zdm_code are_seen(struct mydb_survey *survey, bool *out, struct zdm_error *err)
{
    static const char sql[] = "SELECT @@performance_schema = 1 AND (SELECT enabled FROM"
                              " performance_schema.setup_consumers WHERE name = 'statements_digest') = 'YES'";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(survey->w->s, sql, 0, NULL, &rows, err);
    *out = code == ZDM_OK && mydb_true(rows, 0, 0);
    return code;
}

static enum zdm_code search(struct mydb_survey *survey, size_t which, const char *table, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer name = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    char message[512];
    zdm_buffer_puts(&name, "`");
    for (const char *c = table; *c != '\0'; c++) {
        zdm_buffer_printf(&name, strchr(".^$*+?()[]{}|\\", *c) != NULL ? "[%c]" : "%c", *c);
    }
    zdm_buffer_puts(&name, "`");
    zdm_buffer_printf(&sql,
                      "SELECT count_star, left(digest_text, 160) FROM"
                      " performance_schema.events_statements_summary_by_digest WHERE schema_name = database() AND %s"
                      " ORDER BY count_star DESC LIMIT 3",
                      searches[which].condition);
    enum zdm_code code =
        mydb_query(survey->w->s, zdm_buffer_text(&sql), 1, (const char *const[]){zdm_buffer_text(&name)}, &rows, err);
    for (size_t i = 0; code == ZDM_OK && i < rows->n; i++) {
        const char *calls = mydb_text(rows, i, 0);
        (void)snprintf(message, sizeof message, "%s, %s time%s: %s", searches[which].what, calls,
                       strcmp(calls, "1") == 0 ? "" : "s", mydb_text(rows, i, 1));
        code =
            mydb_survey_say(survey, searches[which].rule, ZDM_LEVEL_WARNING, table, message, searches[which].hint, err);
    }
    return code;
}

/* Each table once for each search that concerns it. */
static bool concerns(const struct mydb_survey *survey, uint64_t actions, const char *table)
{
    for (uint32_t i = 1; i <= zdm_plan_n_steps(survey->common.plan); i++) {
        const struct zdm_step *step = zdm_plan_step(survey->common.plan, i);
        if (zdm_step_is_for(step, ZDM_ENGINE_MYSQL) && (actions >> step->action & 1) != 0 && step->table.name != NULL &&
            strcmp(step->table.name, table) == 0) {
            return true;
        }
    }
    return false;
}

static enum zdm_code search_all(struct mydb_survey *survey, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    for (size_t t = 0; code == ZDM_OK && t < survey->common.out->n_tables; t++) {
        const struct zdm_survey_table *table = &survey->common.out->tables[t];
        for (size_t i = 0; code == ZDM_OK && i < sizeof searches / sizeof *searches; i++) {
            if (table->exists && concerns(survey, searches[i].actions, table->name.name)) {
                code = search(survey, i, table->name.name, err);
            }
        }
    }
    return code;
}

enum zdm_code mydb_survey_statements(struct mydb_survey *survey, struct zdm_error *err)
{
    bool seen = false;
    uint64_t all = 0;
    for (size_t i = 0; i < sizeof searches / sizeof *searches; i++) {
        all |= searches[i].actions;
    }
    if (!agent_survey_has(&survey->common, all)) {
        return ZDM_OK;
    }
    enum zdm_code code = mydb_begin_reading(survey->w->s, err);
    if (code == ZDM_OK) {
        code = are_seen(survey, &seen, err);
    }
    if (code == ZDM_OK && seen) {
        code = search_all(survey, err);
    } else if (code == ZDM_OK) {
        code =
            mydb_survey_say(survey, ZDM_SURVEY_NO_STATEMENTS, ZDM_LEVEL_NOTE, "",
                            "the server keeps no digests of statements: nobody can see here whether the application"
                            " writes SELECT *, or INSERT without columns",
                            "performance_schema = ON in my.cnf and a restart, or search the application's code.", err);
    }
    mydb_rollback(survey->w->s);
    return code == ZDM_OK ? ZDM_OK : mydb_survey_miss(survey, code, "the digests of statements", err);
}
