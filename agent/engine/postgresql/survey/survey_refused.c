/*
 * survey_refused.c - what the agent itself would refuse at the step at hand, asked of the very functions that refuse it
 * there (survey.h).
 */
#include <stdio.h>

#include "agent/engine/postgresql/change/ddl.h"
#include "agent/engine/postgresql/change/lift.h"
#include "agent/engine/postgresql/hide/hidden.h"
#include "agent/engine/postgresql/online/leaf.h"
#include "agent/engine/postgresql/survey/survey.h"

static enum zdm_code ask_key(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    (void)w;
    return pgsql_refuse_key(table, err);
}

static enum zdm_code ask_index(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    return table->kind == 'p' ? pgsql_leaf_refuse(w, table, err) : ZDM_OK;
}

static enum zdm_code ask_lift(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    return pgsql_lift_refuse(w, table, w->step->object, err);
}

static enum zdm_code ask_hide(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err)
{
    struct pgsql_hiding h = {
        .step = w->step->ordinal, .name = &w->step->table, .table = *table, .hidden_name = w->step->object};
    enum zdm_code code = pgsql_column_find(w->s, table, w->step->column, &h.column, err);
    if (code == ZDM_OK) {
        code = pgsql_hidden_refuse_unsurveyed(w, &h, err);
    }
    pgsql_column_fini(&h.column);
    return code;
}

static const struct {
    enum zdm_action action;
    enum zdm_code (*ask)(struct pgsql_work *w, const struct pgsql_table *table, struct zdm_error *err);
} asks[] = {
    {ZDM_ACTION_ADD_UNIQUE, ask_key},       {ZDM_ACTION_ADD_PRIMARY_KEY, ask_key}, {ZDM_ACTION_CREATE_INDEX, ask_index},
    {ZDM_ACTION_LIFT_CONSTRAINT, ask_lift}, {ZDM_ACTION_HIDE_COLUMN, ask_hide},
};

static enum zdm_code ask(struct pgsql_work *w, size_t which, struct zdm_error *err)
{
    struct pgsql_table table;
    enum zdm_code code = pgsql_table_find(w->s, &w->step->table, &table, err);
    return code == ZDM_OK ? asks[which].ask(w, &table, err) : code;
}

enum zdm_code pgsql_survey_refused(struct pgsql_survey *survey, struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step;
    struct pgsql_work *w = survey->w;
    enum zdm_code code = ZDM_OK;
    size_t which = 0;
    while (which < sizeof asks / sizeof *asks && asks[which].action != step->action) {
        which++;
    }
    if (which == sizeof asks / sizeof *asks) {
        return ZDM_OK;
    }
    w->step = step;
    code = pgsql_survey_begin(survey, err);
    if (code == ZDM_OK) {
        code = ask(w, which, err);
    }
    w->step = NULL;
    pgsql_rollback(w->s);
    if (code == ZDM_NOT_FOUND) { /* other rules say that, where the plan does not make it */
        zdm_error_clear(err);
        return ZDM_OK;
    }
    if (code != ZDM_REFUSED && code != ZDM_UNSUPPORTED) {
        return code == ZDM_OK ? ZDM_OK : pgsql_survey_miss(survey, code, "what the step would be refused for", err);
    }
    struct zdm_error why = *err;
    char object[3 * ZDM_IDENTIFIER_MAX];
    zdm_error_clear(err);
    (void)snprintf(object, sizeof object, "%s.%s", step->table.schema, step->table.name);
    return agent_survey_say(&survey->common, ZDM_SURVEY_STEP_REFUSED, ZDM_LEVEL_ERROR, object, why.message, why.hint)
               ? ZDM_OK
               : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}
