/*
 * galera.c - DDL on a node of a Galera cluster (MariaDB): all nodes run it at once, and all of the cluster stands still
 * until it is through. So only what takes no time is run: INSTANT changes, and the DROP of an index.
 */
#include <string.h>

#include "agent/engine/mysql/change/judge.h"
#include "agent/engine/mysql/change/judge_rules.h"

bool mydb_galera_takes(const char *sql, const char *algorithm)
{
    bool drops = strstr(sql, "DROP INDEX ") != NULL && strstr(sql, " ADD ") == NULL;
    return strstr(algorithm, "ALGORITHM=INSTANT") != NULL || (drops && strstr(algorithm, "ALGORITHM=NOCOPY") != NULL);
}

enum zdm_code mydb_galera_look(struct mydb_session *s, bool *out, struct zdm_error *err)
{
    static const char sql[] =
        "SELECT COUNT(*) FROM information_schema.GLOBAL_VARIABLES WHERE VARIABLE_NAME = 'WSREP_ON'"
        " AND VARIABLE_VALUE = 'ON'";
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = s->mariadb && !s->galera ? mydb_run(s, sql, &rows, err) : ZDM_OK;
    if (code == ZDM_OK && rows != NULL) {
        s->galera = mydb_int(rows, 0, 0) > 0;
    }
    *out = s->galera;
    return code;
}

enum zdm_code mydb_galera_refuse(const char *table, struct zdm_error *err)
{
    zdm_error_set(err, ZDM_REFUSED, "%s is on a Galera cluster, which would stand still while the statement runs",
                  table[0] == '\0' ? "the database" : table);
    zdm_error_detail(err, "All nodes run a change of the schema at once; only what is INSTANT takes no time.");
    return zdm_error_hint(err, "Make the change by a rolling upgrade of the schema (wsrep_OSU_method = 'RSU') on each "
                               "node, and leave it out of the runbook.");
}
