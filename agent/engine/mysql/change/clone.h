/*
 * clone.h - empty clones in database zdm: of a table, and of those at the other end of its foreign keys.
 *
 * CREATE TABLE … LIKE leaves foreign keys out, and with them what the server refuses because of one: MODIFY of a column
 * that refers, or is referred to (1832, 1833, 3780). So the other side of each is cloned as well: no statement about
 * the clones ever names a table of the application but to read its definition.
 */
#ifndef AGENT_ENGINE_MYSQL_CHANGE_CLONE_H
#define AGENT_ENGINE_MYSQL_CHANGE_CLONE_H

#include "agent/engine/mysql/catalog/catalog.h"
#include "agent/engine/mysql/session/work.h"

enum { MYDB_CLONE_MAX = 24, MYDB_CLONES_MAX = 24 };

/* One judgement under way. */
struct mydb_trial {
    struct mydb_work *w;
    const struct mydb_table *table;
    char clone[MYDB_CLONE_MAX];
    /* Tables at the other end of foreign keys; their clones are "<clone>_<i>". */
    char other[MYDB_CLONES_MAX][ZDM_IDENTIFIER_MAX + 2];
    size_t n_others;
};

/* Its name is of the shard's database, the migration, and who asks. */
void mydb_clone_name(struct mydb_trial *t);
/* Drops what interrupted agents left, then makes them: by turns with the other agents of the server. */
enum zdm_code mydb_clone_make(struct mydb_trial *t, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_clone_drop(struct mydb_trial *t, struct zdm_error *err) ZDM_CHECKED;
/* Appends the statement, about the clone; parents of foreign keys that it makes are cloned, and *out_unchecked says
 * that there are such. */
enum zdm_code mydb_clone_statement(struct mydb_trial *t, const char *sql, struct zdm_buffer *out, bool *out_unchecked,
                                   struct zdm_error *err) ZDM_CHECKED;

#endif
