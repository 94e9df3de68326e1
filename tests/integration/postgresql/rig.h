/*
 * rig.h - one engine on one database of a private server, driven step by step as the agent's core would.
 *
 * The server lasts for the test program, the database and the engine for one test. Roles: app_owner owns the tables,
 * app_user reads and writes them and has no right on schema zdm, zdm_agent has what deploy/sql grants and nothing more.
 */
#ifndef TESTS_INTEGRATION_POSTGRESQL_RIG_H
#define TESTS_INTEGRATION_POSTGRESQL_RIG_H

#include <libpq-fe.h>

#include "tests/support/engine_rig.h"
#include "tests/support/postgres.h"

/* Group setup and teardown: the server. */
int rig_group_setup(void **state);
/* The same with these lines of postgresql.conf. */
int rig_group_start(const char *config);
int rig_group_teardown(void **state);
/* The same with fsync, for programs that kill it. */
int rig_group_setup_durable(void **state);
/* Per test: database, connections, engine, CONNECT. */
int rig_setup(void **state);
int rig_teardown(void **state);

/* Is the server that release of PostgreSQL, or a newer one? When not, says what is left out therefore. */
bool rig_since(struct rig *r, int release, const char *what);
/* May the agent's role set that parameter? Before 15 nobody can grant it: only a superuser may, and it stays so. */
void rig_may_set(struct rig *r, const char *parameter, bool may);
/* What the session has counted so far reaches the statistics when it is idle next. */
void rig_flush(PGconn *conn);
/* SQLSTATE of a statement of the application that must fail, "" when it works. */
const char *rig_app_fails(struct rig *r, const char *sql);
PGconn *rig_connect(struct rig *r, const char *role);
void rig_exec(PGconn *conn, const char *sql);

/* What pg_dump says of the schema of that table; the caller frees. */
char *rig_dump(struct rig *r, const char *table);
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

#endif
