/*
 * judge_rules.h - what is asked of a server for an ALTER TABLE, and in which order. Pure.
 */
#ifndef AGENT_ENGINE_MYSQL_JUDGE_RULES_H
#define AGENT_ENGINE_MYSQL_JUDGE_RULES_H

#include <stdbool.h>
#include <stdint.h>

struct mydb_attempt {
    const char *algorithm; /* ", ALGORITHM=…" behind the statement; NULL: the end of the list */
    bool rebuilds;         /* it was taken here, and not before: the table is written anew */
    bool may_rebuild;      /* that is to be looked for */
};

/* The attempts in their order, ended by one without an algorithm. */
const struct mydb_attempt *mydb_attempts(bool mariadb, bool instant);

/* Is INSTANT to be asked for, with so many row versions in the table? Not on MySQL 8.0.29 to 8.0.31, whose redo of an
 * instant change may not be read after a crash, and not near the limit. */
bool mydb_may_be_instant(bool mariadb, unsigned version_num, unsigned row_versions);
/* How many a table of MySQL may have: 64, 255 from 9.1 on. */
unsigned mydb_row_versions_max(unsigned version_num);

#endif
