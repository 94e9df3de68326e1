/*
 * former.c - zdm.former: the statements that put a step's former state back, and what the step made of it (journal.h).
 *
 * The first former state stays when a step runs again: somebody else's change in between is not ours to keep. What was
 * made of it is always the latest.
 */
#include "agent/engine/mysql/journal/journal.h"

#include <stdlib.h>

#include "agent/engine/journal.h"

/* $1 to $3 */
#define OF_STEP " WHERE home = $1 AND migration = $2 AND step = $3"

enum zdm_code mydb_former_keep(struct mydb_work *w, unsigned part, const char *back_sql, const char *made,
                               struct zdm_error *err)
{
    static const char sql[] = "INSERT INTO zdm.former (home, migration, step, part, back_sql, made)"
                              " VALUES ($1, $2, $3, $4, $5, $6) ON DUPLICATE KEY UPDATE made = $6";
    char step[AGENT_NUMBER_SIZE], number[AGENT_NUMBER_SIZE];
    const char *params[] = {w->s->database,
                            w->op->migration,
                            agent_number(step, w->step->ordinal),
                            agent_number(number, part),
                            back_sql,
                            made};
    enum zdm_code code = mydb_query(w->s, sql, 6, params, NULL, err);
    return code == ZDM_OK ? ZDM_OK : mydb_journal_failed(err, "writing zdm.former");
}

static bool copy(char **out, const struct mydb_rows *rows, size_t column)
{
    const char *text = rows->n == 0 ? NULL : mydb_text(rows, 0, column);
    *out = zdm_strdup(text);
    return text == NULL || *out != NULL;
}

enum zdm_code mydb_former_read(struct mydb_work *w, unsigned part, char **out_back_sql, char **out_made,
                               struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    char step[AGENT_NUMBER_SIZE], number[AGENT_NUMBER_SIZE];
    const char *params[] = {w->s->database, w->op->migration, agent_number(step, w->step->ordinal),
                            agent_number(number, part)};
    enum zdm_code code =
        mydb_query(w->s, "SELECT back_sql, made FROM zdm.former" OF_STEP " AND part = $4", 4, params, &rows, err);
    if (code != ZDM_OK) {
        return zdm_error_wrap(err, "while reading zdm.former");
    }
    if (!copy(out_back_sql, rows, 0)) {
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    if (!copy(out_made, rows, 1)) {
        zdm_freep(out_back_sql);
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    }
    return ZDM_OK;
}

enum zdm_code mydb_former_forget_below(struct mydb_work *w, unsigned part, struct zdm_error *err)
{
    char step[AGENT_NUMBER_SIZE], number[AGENT_NUMBER_SIZE];
    const char *params[] = {w->s->database, w->op->migration, agent_number(step, w->step->ordinal),
                            agent_number(number, part)};
    enum zdm_code code = mydb_query(w->s, "DELETE FROM zdm.former" OF_STEP " AND part < $4", 4, params, NULL, err);
    return code == ZDM_OK ? ZDM_OK : mydb_journal_failed(err, "writing zdm.former");
}

enum zdm_code mydb_former_forget(struct mydb_work *w, struct zdm_error *err)
{
    return mydb_former_forget_below(w, UINT8_MAX, err);
}
