/*
 * owned.c - zdm.owned: what a migration made, written down before it is made (journal.h).
 *
 * MySQL's objects carry no mark of ours: a comment on a column would be a change of its definition. The row is all that
 * says whose an object is.
 */
#include "agent/engine/mysql/journal/journal.h"

#include "agent/engine/journal.h"

enum zdm_code mydb_owned_put(struct mydb_work *w, const char *kind, const char *object, struct zdm_error *err)
{
    static const char sql[] = "INSERT INTO zdm.owned (home, migration, step, kind, object) VALUES ($1, $2, $3, $4, $5)"
                              " ON DUPLICATE KEY UPDATE migration = $2, step = $3, since = NOW(3)";
    char step[AGENT_NUMBER_SIZE];
    const char *params[] = {w->s->database, w->op->migration, agent_number(step, w->op->step), kind, object};
    enum zdm_code code = mydb_query(w->s, sql, 5, params, NULL, err);
    return code == ZDM_OK ? ZDM_OK : mydb_journal_failed(err, "writing zdm.owned");
}

enum zdm_code mydb_owned_forget(struct mydb_work *w, const char *kind, const char *object, struct zdm_error *err)
{
    static const char sql[] = "DELETE FROM zdm.owned WHERE home = $1 AND migration = $2 AND kind = $3 AND object = $4";
    const char *params[] = {w->s->database, w->op->migration, kind, object};
    enum zdm_code code = mydb_query(w->s, sql, 4, params, NULL, err);
    return code == ZDM_OK ? ZDM_OK : mydb_journal_failed(err, "writing zdm.owned");
}

enum zdm_code mydb_owned_is(struct mydb_work *w, const char *kind, const char *object, bool *out, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT COUNT(*) FROM zdm.owned WHERE home = $1 AND migration = $2 AND kind = $3 AND object = $4";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    const char *params[] = {w->s->database, w->op->migration, kind, object};
    enum zdm_code code = mydb_query(w->s, sql, 4, params, &rows, err);
    if (code == ZDM_OK) {
        *out = mydb_int(rows, 0, 0) > 0;
    }
    return code == ZDM_OK ? ZDM_OK : zdm_error_wrap(err, "while reading zdm.owned");
}
