/*
 * schema.h - the files of schema/ as texts in the program: a store is made and upgraded without any file beside it.
 */
#ifndef COORDINATOR_STORE_SCHEMA_H
#define COORDINATOR_STORE_SCHEMA_H

/* Element n takes a file from schema version n to n + 1; schema_sqlite_count elements. */
extern const char *const schema_sqlite[];
extern const unsigned schema_sqlite_count;

#endif
