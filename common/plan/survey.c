/*
 * survey.c - see survey.h.
 */
#include "common/plan/survey.h"

#include <stdlib.h>

const char *zdm_survey_rule_name(enum zdm_survey_rule rule)
{
    static const char *const names[] = {
#define X(id, name) name,
        ZDM_SURVEY_RULES(X)
#undef X
    };
    return (size_t)rule < sizeof names / sizeof *names ? names[rule] : "?";
}

static void table_fini(struct zdm_survey_table *table)
{
    free(table->name.schema);
    free(table->name.name);
    free(table->outline);
    for (size_t i = 0; i < table->n_columns; i++) {
        free(table->columns[i].name);
        free(table->columns[i].type);
        free(table->columns[i].default_expr);
    }
    free(table->columns);
}

void zdm_survey_free(struct zdm_survey *survey)
{
    if (survey == NULL)
        return;
    for (size_t i = 0; i < survey->n_findings; i++) {
        free(survey->findings[i].rule);
        free(survey->findings[i].object);
        free(survey->findings[i].message);
        free(survey->findings[i].hint);
    }
    for (size_t i = 0; i < survey->n_tables; i++)
        table_fini(&survey->tables[i]);
    free(survey->findings);
    free(survey->tables);
    free(survey->steps);
    free(survey);
}
