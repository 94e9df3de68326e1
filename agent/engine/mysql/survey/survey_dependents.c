/*
 * survey_dependents.c - what of other databases stands against the step at hand (survey.h): the same looks by which the
 * step itself would refuse.
 */
#include <stdio.h>

#include "agent/engine/mysql/catalog/dependents.h"
#include "agent/engine/mysql/survey/survey.h"

typedef enum zdm_code look_fn(struct mydb_work *w, const struct zdm_step *step, char out[MYDB_DEPENDENT_MAX],
                              struct zdm_error *err);

static enum zdm_code child(struct mydb_work *w, const struct zdm_step *step, char out[MYDB_DEPENDENT_MAX],
                           struct zdm_error *err)
{
    const char *column = step->action == ZDM_ACTION_HIDE_COLUMN ? step->column : NULL;
    return mydb_foreign_child(w, step->table.name, column, step->action == ZDM_ACTION_DELETE, out, err);
}

static enum zdm_code view(struct mydb_work *w, const struct zdm_step *step, char out[MYDB_DEPENDENT_MAX],
                          struct zdm_error *err)
{
    const char *column = step->action == ZDM_ACTION_HIDE_COLUMN ? step->column : NULL;
    return mydb_foreign_view(w, step->table.name, column, out, err);
}

static const struct {
    enum zdm_action action;
    look_fn *look;
    enum zdm_survey_rule rule;
    const char *says, *hint;
} rules[] = {
    {ZDM_ACTION_HIDE_TABLE, child, ZDM_SURVEY_DEPENDENTS, "of another database points at it: a hide does not begin",
     "Drop the foreign key there before."},
    {ZDM_ACTION_HIDE_TABLE, view, ZDM_SURVEY_DEPENDENTS, "of another database reads it: a hide does not begin",
     "Change the view there before."},
    {ZDM_ACTION_HIDE_COLUMN, child, ZDM_SURVEY_DEPENDENTS, "of another database needs it: a hide does not begin",
     "Drop the foreign key there before."},
    {ZDM_ACTION_HIDE_COLUMN, view, ZDM_SURVEY_DEPENDENTS, "of another database reads it: a hide does not begin",
     "Change the view there before."},
    {ZDM_ACTION_DELETE, child, ZDM_SURVEY_DELETE_CASCADES,
     "of another database acts on its rows when the parent's are deleted: no before-image is kept of them",
     "Write {no-undo}: those rows go or change for good."},
};

static enum zdm_code look(struct mydb_survey *survey, size_t rule, struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step;
    char what[MYDB_DEPENDENT_MAX], message[2 * MYDB_DEPENDENT_MAX];
    enum zdm_code code = rules[rule].look(survey->w, step, what, err);
    if (code != ZDM_OK) {
        return mydb_survey_miss(survey, code, "other databases", err);
    }
    if (what[0] == '\0') {
        return ZDM_OK;
    }
    (void)snprintf(message, sizeof message, "%s %s", what, rules[rule].says);
    return mydb_survey_say(survey, rules[rule].rule, ZDM_LEVEL_ERROR, step->table.name, message, rules[rule].hint, err);
}

enum zdm_code mydb_survey_dependents(struct mydb_survey *survey, struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step;
    bool keeps = step->action != ZDM_ACTION_DELETE || step->inverse == ZDM_INVERSE_IMAGES;
    enum zdm_code code = ZDM_OK;
    for (size_t i = 0; code == ZDM_OK && keeps && i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].action == step->action) {
            code = look(survey, i, err);
        }
    }
    return code;
}
