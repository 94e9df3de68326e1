/*
 * db.c - see db.h.
 */
#include "deploy/demo/db.h"

#include <stdio.h>
#include <string.h>

void db_init(struct db *db, const char *dsn)
{
    *db = (struct db){.ops = strncmp(dsn, "mysql:", 6) == 0 ? &db_mysql : &db_postgresql, .dsn = dsn};
}

void db_set_error(struct db *db, const char *text)
{
    snprintf(db->error, sizeof db->error, "%s", text);
    db->error[strcspn(db->error, "\n\"\\")] = '\0';
}
