/*
 * survey_as_is.c - may the agent run a statement of a person's own, and does the server understand it (survey.h)?
 *
 * It is prepared, and never run: the server reads it and asks for the rights that it needs, which nothing else tells
 * before the step. What it names may be made by a step before it, so that all other answers mean nothing; nor does each
 * server prepare every kind of statement.
 */
#include "agent/engine/mysql/survey/survey.h"

#include <stdio.h>
#include <string.h>

#include "agent/engine/mysql/session/classify.h"
#include "agent/engine/mysql/session/escape.h"

enum { NOT_SQL = 1064 };

static enum zdm_code say(struct mydb_survey *survey, bool right, struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step;
    char message[700];
    (void)snprintf(message, sizeof message, "the server refuses the statement%s: %.500s",
                   right ? ", which the agent's account has no right to run" : "", err->message);
    zdm_error_clear(err);
    return mydb_survey_say(survey, right ? ZDM_SURVEY_MISSING_GRANT : ZDM_SURVEY_CLONE_REFUSED, ZDM_LEVEL_ERROR,
                           step->table.name == NULL ? "" : step->table.name, message,
                           right
                               ? "Run deploy/sql/mysql-grants.sql as an administrator of this server; a right that it "
                                 "does not give, GRANT to the agent's account until the step is done."
                               : "Write it as this server reads it.",
                           err);
}

static enum zdm_code look(struct mydb_survey *survey, const char *statement, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sent = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    struct mydb_session *s = survey->w->s;
    mydb_put_escaped(&sent, statement, strlen(statement)); /* once for what is prepared, and once when it is sent */
    zdm_buffer_puts(&sql, "PREPARE zdm_look FROM ");
    mydb_put_literal(&sql, zdm_buffer_text(&sent));
    enum zdm_code code = mydb_run(s, zdm_buffer_text(&sql), NULL, err);
    if (code == ZDM_OK) {
        return mydb_run(s, "DEALLOCATE PREPARE zdm_look", NULL, err);
    }
    bool right = mydb_is_privilege(err);
    if (right || err->number == NOT_SQL) {
        return say(survey, right, err);
    }
    if (!mydb_is_open(s) || s->gave_up || s->timed_out || code == ZDM_NOMEM) {
        return code;
    }
    zdm_error_clear(err);
    return ZDM_OK;
}

enum zdm_code mydb_survey_as_is(struct mydb_survey *survey, struct zdm_error *err)
{
    const struct zdm_step *step = survey->common.step;
    if (step->action != ZDM_ACTION_AS_IS) {
        return ZDM_OK;
    }
    enum zdm_code code = step->sql == NULL ? ZDM_OK : look(survey, step->sql, err);
    return code == ZDM_OK && step->inverse_sql != NULL ? look(survey, step->inverse_sql, err) : code;
}
