/*
 * sqlite.h - what the files of the SQLite store share: the connection and how its errors are told.
 */
#ifndef COORDINATOR_STORE_SQLITE_H
#define COORDINATOR_STORE_SQLITE_H

#include <sqlite3.h>

#include "coordinator/store/store.h"

struct sqlite_store {
    sqlite3 *db;
    sqlite3_stmt *insert;
    char *path;
    struct store_head head; /* what the file holds: kept here because nobody else can change it */
    int wal_pages;          /* in the WAL since the last checkpoint */
    bool broken;            /* the medium failed once: nothing is written any more by this process */
};

/* sqlite_open.c: opens path, checks or makes the schema, fills head. */
enum store_result sqlite_store_open(struct sqlite_store *store, const char *path, const struct zdm_id *fleet,
                                    struct zdm_error *err);
/* sqlite_backup.c */
enum store_result sqlite_store_backup(void *self, const char *path, struct zdm_error *err);

/* Fills err from the connection's last error; the result that it means. */
enum store_result sqlite_failure(sqlite3 *db, const char *doing, struct zdm_error *err);
/* Runs statements that return nothing. */
enum store_result sqlite_run(sqlite3 *db, const char *sql, const char *doing, struct zdm_error *err);
/* One number; 0 where the query has no row. */
enum store_result sqlite_number(sqlite3 *db, const char *sql, const char *doing, int64_t *out, struct zdm_error *err);

#endif
