/*
 * mysql.h - a private MariaDB server for a test: real, in a directory of its own, gone afterwards.
 *
 * The server is a direct child of the test process, listens on a unix socket in its directory and on a free loopback
 * port, and is stopped by pid. It dies with the thread that started it. Failures end the test with a message: nothing
 * here returns an error. The binary log is on, in row format, so that replicas can be attached.
 */
#ifndef TESTS_SUPPORT_MYSQL_H
#define TESTS_SUPPORT_MYSQL_H

#include <stdbool.h>
#include <sys/types.h>

struct test_mysql;

/* Makes the data directory and starts; args: more options ("--performance-schema=ON"), ended by NULL, or NULL. root has
 * no password over the socket. */
struct test_mysql *test_mysql_start(const char *const args[]);
/* Stops the server if it runs, removes its directory, frees. NULL is allowed. */
void test_mysql_free(struct test_mysql *my);

/* SIGKILL, returns when it is gone. */
void test_mysql_kill(struct test_mysql *my);
/* Orderly shutdown; the directory stays. */
void test_mysql_stop(struct test_mysql *my);
/* Starts on the same directory and port after kill or stop, and waits until connections are accepted. */
void test_mysql_resume(struct test_mysql *my);

int test_mysql_port(const struct test_mysql *my);
pid_t test_mysql_pid(const struct test_mysql *my);
const char *test_mysql_directory(const struct test_mysql *my);
const char *test_mysql_socket(const struct test_mysql *my);

#endif
