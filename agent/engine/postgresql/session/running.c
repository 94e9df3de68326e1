/*
 * running.c - is the statement still being run by a session that has outlived its agent (running.h)?
 */
#include "agent/engine/postgresql/session/running.h"

enum zdm_code pgsql_not_running(struct pgsql_work *w, const char *sql, struct zdm_error *err)
{
    /* The server shows as much of a statement as it has room for, and whole characters. */
    static const char ask[] =
        "SELECT format('pid %s, running it since %s', pid, query_start) FROM pg_stat_activity WHERE pid <>"
        " pg_backend_pid() AND state = 'active' AND usename = session_user AND datname = current_database() AND"
        " (query = $1 OR (octet_length(query) > pg_size_bytes(current_setting('track_activity_query_size')) - 8 AND"
        " starts_with($1, query))) LIMIT 1";
    ZDM_CLEANUP(pgsql_clearp) PGresult *res = NULL;
    enum zdm_code code = pgsql_query(w->s, ask, 1, (const char *const[]){sql}, &res, err);
    if (code != ZDM_OK || PQntuples(res) == 0) {
        return code;
    }
    zdm_copy_text(w->result->blocker, sizeof w->result->blocker, pgsql_text(res, 0, 0));
    return zdm_error_set(err, ZDM_LOCK, "the statement is still being run by %s", w->result->blocker);
}
