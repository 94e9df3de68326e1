/*
 * db.h - the two databases that the demo application speaks to: one connection, one statement at a time.
 */
#ifndef DEPLOY_DEMO_DB_H
#define DEPLOY_DEMO_DB_H

#include <stdbool.h>
#include <stddef.h>

enum { DB_VALUE_MAX = 160, DB_ERROR_MAX = 200 };

/* What one statement answered: the first value of the first row, or how many rows it found. */
struct db_answer {
    bool has_row;
    char value[DB_VALUE_MAX]; /* "" for NULL */
    long changed;
};

struct db;

struct db_ops {
    /* Opens anew; false: see error. */
    bool (*connect)(struct db *db);
    /* $1 and $2 in the statement are a and b, in this order. False: see error. */
    bool (*run)(struct db *db, const char *sql, const char *a, const char *b, struct db_answer *out);
    bool (*is_lost)(struct db *db);
    void (*close)(struct db *db);
};

struct db {
    const struct db_ops *ops;
    const char *dsn;
    void *connection;
    char error[DB_ERROR_MAX]; /* of the last failure, one line */
};

/* "mysql:host=127.0.0.1 port=3306 defaults-file=/x/my.cnf group=shop database=shop" is MySQL's or MariaDB's, everything
 * else is libpq's. Opens nothing. */
void db_init(struct db *db, const char *dsn);
void db_set_error(struct db *db, const char *text);

extern const struct db_ops db_postgresql, db_mysql;

#endif
