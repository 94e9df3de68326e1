/*
 * postgres.h - a private PostgreSQL server for a test: real, unprivileged, in a directory of its own, gone afterwards.
 *
 * The server is a direct child of the test process, listens on a unix socket in its directory and on a free loopback
 * port, and is stopped by pid. It dies with the thread that started it. Every test process may have several; they run
 * beside each other. Failures end the test with a message: nothing here returns an error.
 *
 * It is the installed server, or the one whose initdb and postgres are in the folder ZDM_TEST_POSTGRESQL_BIN.
 */
#ifndef TESTS_SUPPORT_POSTGRES_H
#define TESTS_SUPPORT_POSTGRES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct test_pg;

struct test_pg_options {
    bool durable;       /* fsync on: for tests in which the server is killed */
    const char *config; /* lines for postgresql.conf, or NULL */
};

/* initdb and start; NULL options: the fast ones. The superuser is "postgres", authentication is trust. */
struct test_pg *test_pg_start(const struct test_pg_options *options);
/* A streaming replica of the primary, started and connected. */
struct test_pg *test_pg_replica(struct test_pg *primary);
/* The same, streaming under a name, with more lines for postgresql.conf (NULL: none). */
struct test_pg *test_pg_standby(struct test_pg *primary, const char *name, const char *config);
/* Stops the server if it runs, removes its directory, frees. NULL is allowed. */
void test_pg_free(struct test_pg *pg);

/* SIGKILL to the postmaster and all its children at once; returns when they are gone. */
void test_pg_kill(struct test_pg *pg);
/* Fast shutdown; the directory stays. */
void test_pg_stop(struct test_pg *pg);
/* Starts on the same directory and port after kill or stop, and waits until connections are accepted. */
void test_pg_resume(struct test_pg *pg);
/* pg_promote() and wait. */
void test_pg_promote(struct test_pg *pg);

/* A conninfo over the unix socket; borrowed until the next call on this server. */
const char *test_pg_dsn(struct test_pg *pg, const char *role, const char *database);
/* The same over TCP. */
const char *test_pg_tcp_dsn(struct test_pg *pg, const char *role, const char *database);
int test_pg_port(const struct test_pg *pg);
pid_t test_pg_pid(const struct test_pg *pg);
const char *test_pg_directory(const struct test_pg *pg);

/* Runs a program of PostgreSQL's own ("psql", …) as the server's user; args end with NULL and leave the name out. Ends
 * the test unless it exits with 0. */
void test_pg_program(const char *name, const char *const args[]);
/* psql with these variables over deploy/sql/postgresql-grants.sql. */
void test_pg_grant(struct test_pg *pg, const char *database, const char *agent, const char *owner);

#endif
