/*
 * rig.h - one database of a MySQL or MariaDB server, and an engine on it, driven as the agent's core would.
 *
 * Each test program runs twice: over a private MariaDB server (not with ZDM_TEST_MYSQL_ALONE), and over the MySQL
 * server of ZDM_TEST_MYSQL_DSN, when it is set (an account that may do everything). The database, the connections and
 * the engine are of one test. Accounts: app_user reads and writes the tables and has no right on database zdm,
 * zdm_agent has what deploy/sql grants and nothing more.
 */
#ifndef TESTS_INTEGRATION_MYSQL_RIG_H
#define TESTS_INTEGRATION_MYSQL_RIG_H

#include <mysql.h>

#include "agent/engine/mysql/session/session.h"
#include "tests/support/engine_rig.h"
#include "tests/support/mysql.h"

/* main(): the tests over every server that there is. args: more options of the private server (test_mysql_start). */
#define RIG_MAIN_WITH(args, ...)                                                                                       \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                                               \
        int failed = 0;                                                                                                \
        for (unsigned turn = 0; rig_turn(turn, args); turn++) {                                                        \
            failed += cmocka_run_group_tests_name(rig_turn_name(), tests, rig_group_setup, rig_group_teardown);        \
        }                                                                                                              \
        return failed;                                                                                                 \
    }
#define RIG_MAIN(...) RIG_MAIN_WITH(NULL, __VA_ARGS__)
bool rig_turn(unsigned turn, const char *const args[]);
const char *rig_turn_name(void);
int rig_group_setup(void **state);
int rig_group_teardown(void **state);

/* Per test: database and connections; then engine and CONNECT as well. */
int rig_base_setup(void **state);
int rig_base_teardown(void **state);
int rig_setup(void **state);
int rig_teardown(void **state);
#define RIG_BASE_TEST(name) cmocka_unit_test_setup_teardown(name, rig_base_setup, rig_base_teardown)
#define RIG_TEST(name)      cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

bool rig_is_mariadb(const struct rig *r);
/* The private server; NULL over MySQL, which nobody here starts or stops. */
struct test_mysql *rig_server(const struct rig *r);
int rig_port(const struct rig *r);

/* The server's number of the error of a statement of the application; 0 when it works. */
unsigned rig_app_fails(struct rig *r, const char *sql);
/* role: "root", "app_user", "zdm_agent". */
MYSQL *rig_connect(struct rig *r, const char *role);
/* The rig's own connections anew, after the server was started again. */
void rig_reconnect(struct rig *r);
void rig_exec(MYSQL *conn, const char *sql);
/* SHOW CREATE TABLE and the table's triggers; the caller frees. */
char *rig_dump(struct rig *r, const char *table);

/* A file in the test's folder, with that mode; borrowed until the next call. */
const char *rig_file(struct rig *r, const char *name, const char *text, unsigned mode);
/* The agent's connection string; `more` behind it. Borrowed until the next call. */
const char *rig_dsn(struct rig *r, const char *more);
/* A closed session of the agent's over that connection string, with a descriptor and a flag of the rig's. */
struct mydb_session *rig_session(struct rig *r, const char *dsn);
void rig_session_free(struct mydb_session *s);

#endif
