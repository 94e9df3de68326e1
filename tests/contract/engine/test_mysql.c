/*
 * test_mysql.c - the contract over MariaDB, and over MySQL where there is one, as the account of deploy/sql.
 */
#include "tests/contract/engine/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/open.h"
#include "tests/integration/mysql/rig.h"

static struct rig *database; /* of the test at hand */

static void start(void)
{
    rig_group_setup(NULL);
}

static void leave(void)
{
    if (database != NULL) {
        rig_base_teardown((void **)&database);
        database = NULL;
    }
}

static void stop(void)
{
    leave();
    rig_group_teardown(NULL);
}

static const char *fresh(void)
{
    leave();
    rig_base_setup((void **)&database);
    rig_sql(database,
            "CREATE TABLE w (id int PRIMARY KEY, a varchar(40)); INSERT INTO w WITH RECURSIVE g (n) AS (SELECT"
            " 1 UNION ALL SELECT n + 1 FROM g WHERE n < 100) SELECT n, 'v' FROM g");
    return rig_dsn(database, "");
}

static long number(const char *sql)
{
    return rig_number(database, "%s", sql);
}

static void cut(void)
{
    MYSQL *conn = rig_connect(database, "root");
    static const char sessions[] =
        "SELECT CONCAT('KILL ', ID) FROM information_schema.PROCESSLIST WHERE USER = 'zdm_agent'"
        " AND DB = DATABASE()";
    assert_int_equal(mysql_query(conn, sessions), 0);
    MYSQL_RES *res = mysql_store_result(conn);
    assert_non_null(res);
    for (MYSQL_ROW row = mysql_fetch_row(res); row != NULL; row = mysql_fetch_row(res)) {
        (void)mysql_query(conn, row[0]); /* it may be gone by itself */
    }
    mysql_free_result(res);
    mysql_close(conn);
}

static void restart(void)
{
    test_mysql_stop(rig_server(database));
    test_mysql_resume(rig_server(database));
}

int main(void)
{
    struct backend backend = {
        .engine = ZDM_ENGINE_MYSQL,
        .open = agent_engine_open,
        .start = start,
        .stop = stop,
        .fresh = fresh,
        .number = number,
        .cut = cut,
        .schema = "",
        .sleeps = "SELECT SLEEP(30)",
        .sleepers = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%SLEEP(30)%' AND DB ="
                    " DATABASE() AND ID <> CONNECTION_ID()",
        .add_column = "ALTER TABLE `w` ADD COLUMN `c` int",
        .columns = "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME ="
                   " 'w' AND COLUMN_NAME = 'c'",
    };
    int failures = 0;
    for (unsigned turn = 0; rig_turn(turn, NULL); turn++) {
        backend.name = rig_turn_name();
        backend.restart = strcmp(backend.name, "MariaDB") == 0 ? restart : NULL; /* MySQL is the environment's */
        failures += run_suite(&backend);
    }
    return failures;
}
