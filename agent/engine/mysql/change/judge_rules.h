/*
 * judge_rules.h - what is asked of a server for an ALTER TABLE, and in which order. Pure.
 */
#ifndef AGENT_ENGINE_MYSQL_CHANGE_JUDGE_RULES_H
#define AGENT_ENGINE_MYSQL_CHANGE_JUDGE_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buffer.h"

struct mydb_attempt {
    const char *algorithm; /* ", ALGORITHM=…" behind the statement; NULL: the end of the list */
    bool rebuilds;         /* it was taken here, and not before: the table is written anew */
    bool may_rebuild;      /* that is to be looked for */
};

/* The attempts in their order, ended by one without an algorithm. */
const struct mydb_attempt *mydb_attempts(bool mariadb, bool instant);

/* Does a Galera cluster run that statement, with that algorithm behind it (or in it), in no time? */
bool mydb_galera_takes(const char *sql, const char *algorithm);

/* A pattern (LIKE … ESCAPE '|') of what a table is called inside InnoDB, "db/table", and of its partitions behind
 * "#p#". What is no ASCII letter, digit or underscore is written in another way there: other characters of ASCII
 * exactly, the rest by what they have in common, so that a table may stand for another one as well. */
void mydb_put_inner_name(struct zdm_buffer *out, const char *database, const char *table);

/* Is INSTANT to be asked for, with so many row versions in the table? Not on MySQL 8.0.29 to 8.0.31, whose redo of an
 * instant change may not be read after a crash, and not near the limit. */
bool mydb_may_be_instant(bool mariadb, unsigned version_num, unsigned row_versions);
/* How many a table of MySQL may have: 64, 255 from 9.1 on. */
unsigned mydb_row_versions_max(unsigned version_num);

#endif
