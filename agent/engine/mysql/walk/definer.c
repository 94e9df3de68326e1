/*
 * definer.c - is the triggers' account there, and may it do what they do (definer.h)?
 *
 * Measured: MariaDB makes a trigger whose definer does not exist, with no more than a warning, and then every write of
 * the application fails (1449). Rights that come by a role do not count for a definer.
 */
#include "agent/engine/mysql/walk/definer.h"

#include "agent/engine/mysql/session/classify.h"

#define OF_DEFINER "User = 'zdm_definer' AND Host = 'localhost'"

static const char there_sql[] = "SELECT EXISTS (SELECT 1 FROM mysql.user WHERE " OF_DEFINER ")";

/* $1: the application's database. Each may be all that there is; names of databases in mysql.db are patterns. */
static const char *const rights_sql[] = {
    "SELECT EXISTS (SELECT 1 FROM mysql.db WHERE " OF_DEFINER " AND $1 LIKE Db ESCAPE '\\' AND Select_priv = 'Y' AND"
    " Update_priv = 'Y' AND Trigger_priv = 'Y')",
    "SELECT EXISTS (SELECT 1 FROM mysql.tables_priv WHERE " OF_DEFINER " AND Db = $1 AND FIND_IN_SET('Trigger',"
    " Table_priv) > 0)",
    "SELECT EXISTS (SELECT 1 FROM mysql.user WHERE " OF_DEFINER " AND Select_priv = 'Y' AND Update_priv = 'Y' AND"
    " Trigger_priv = 'Y')",
};

/* A look that is not allowed is no failure, but answers nothing. */
static enum zdm_code ask(struct mydb_session *s, const char *sql, bool *known, bool *out, struct zdm_error *err)
{
    ZDM_CLEANUP(mydb_rows_freep) struct mydb_rows *rows = NULL;
    enum zdm_code code = mydb_query(s, sql, 1, (const char *const[]){s->database}, &rows, err);
    *known = code == ZDM_OK;
    *out = code == ZDM_OK && mydb_true(rows, 0, 0);
    if (code != ZDM_OK && mydb_is_privilege(err)) {
        zdm_error_clear(err);
        return ZDM_OK;
    }
    return code;
}

enum zdm_code mydb_definer_look(struct mydb_session *s, enum mydb_definer *out, struct zdm_error *err)
{
    bool known = false, yes = false, all_known = true;
    enum zdm_code code = ask(s, there_sql, &known, &yes, err);
    *out = code != ZDM_OK || !known ? MYDB_DEFINER_UNKNOWN : yes ? MYDB_DEFINER_THERE : MYDB_DEFINER_MISSING;
    if (code != ZDM_OK || *out != MYDB_DEFINER_THERE) {
        return code;
    }
    yes = false;
    for (size_t i = 0; code == ZDM_OK && !yes && i < sizeof rights_sql / sizeof *rights_sql; i++) {
        code = ask(s, rights_sql[i], &known, &yes, err);
        all_known = all_known && known;
    }
    *out = code != ZDM_OK || (!yes && !all_known) ? MYDB_DEFINER_UNKNOWN
           : yes                                  ? MYDB_DEFINER_THERE
                                                  : MYDB_DEFINER_POWERLESS;
    return code;
}

#define RUN_GRANTS "Run deploy/sql/mysql-grants.sql as an administrator of this server."

enum zdm_code mydb_definer_check(struct mydb_session *s, struct zdm_error *err)
{
    enum mydb_definer definer;
    enum zdm_code code = mydb_definer_look(s, &definer, err);
    if (code != ZDM_OK || definer == MYDB_DEFINER_THERE) {
        return code;
    }
    if (definer == MYDB_DEFINER_UNKNOWN && !s->mariadb) {
        return ZDM_OK; /* MySQL refuses by itself */
    }
    zdm_error_set(err, ZDM_REFUSED, "%s",
                  definer == MYDB_DEFINER_UNKNOWN   ? "the agent may not see whether " MYDB_DEFINER " exists"
                  : definer == MYDB_DEFINER_MISSING ? "the account " MYDB_DEFINER " does not exist"
                                                    : "the account " MYDB_DEFINER " has no rights on this database");
    zdm_error_detail(err, "Sync triggers run as this account: without it every write of the application would fail.");
    return zdm_error_hint(err, RUN_GRANTS);
}

enum zdm_code mydb_read_rights(struct mydb_session *s, struct zdm_error *err)
{
    ZDM_CLEANUP(zdm_buffer_fini) struct zdm_buffer sql = ZDM_BUFFER_INIT;
    zdm_buffer_puts(&sql, "USE ");
    mydb_put_name(&sql, s->database);
    return mydb_run(s, zdm_buffer_text(&sql), NULL, err);
}

void mydb_definer_explain(struct zdm_error *err)
{
    if (err->number == 1419) {
        zdm_error_hint(err, "Set log_bin_trust_function_creators = 1 in the server's configuration (my.cnf, [mysqld]),"
                            " or give the agent's account SUPER.");
    } else if (mydb_is_privilege(err) || err->number == 1449) {
        zdm_error_hint(err, RUN_GRANTS);
    }
}
