/*
 * judge.h - the server is the judge: an ALTER TABLE is tried on an empty clone first (database.md 17).
 *
 * The clone is zdm.judge_<8 hex>: CREATE TABLE … LIKE, with the table's foreign keys added from the catalogue, since
 * LIKE leaves them out. It is made on a writable node alone, in the order of the attempt, and dropped afterwards, also
 * when an earlier agent left it.
 *
 * Order: ALGORITHM=INSTANT; then MariaDB NOCOPY, INPLACE, and MySQL INPLACE, each with LOCK=NONE. An INPLACE that
 * writes the table anew (NOT NULL, a changed row format) passes only where the step says rewrite-ok. INSTANT is left
 * out on MySQL 8.0.29 to 8.0.31, and where the real table is near its limit of row versions
 * (INNODB_TABLES.TOTAL_ROW_VERSIONS). On a Galera cluster nothing but INSTANT is asked for. What only a copy could do
 * is ZDM_REFUSED: the hint says expand-contract.
 */
#ifndef AGENT_ENGINE_MYSQL_CHANGE_JUDGE_H
#define AGENT_ENGINE_MYSQL_CHANGE_JUDGE_H

#include "agent/engine/mysql/catalog/catalog.h"
#include "agent/engine/mysql/session/work.h"

enum { MYDB_ALGORITHM_MAX = 48 };

/* galera.c: is the session on a node of a Galera cluster? ZDM_REFUSED for what the cluster would stand still for. */
enum zdm_code mydb_galera_look(struct mydb_session *s, bool *out, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_galera_refuse(const char *table, struct zdm_error *err);

/* Has a person allowed it to write the table anew? */
bool mydb_may_rewrite(const struct mydb_work *w);

/* Tries "ALTER TABLE `t` <what>" and gives ", ALGORITHM=…, LOCK=…" to put behind it. The answer is kept in the lane's
 * memory for the step's own statement. before and after (may be NULL): the column `column` on the clone, as it was and
 * as it became, for the caller to compare; freed by the caller. */
enum zdm_code mydb_judge(struct mydb_work *w, const struct mydb_table *table, const char *alter_sql,
                         char out[MYDB_ALGORITHM_MAX], const char *column, struct mydb_column *before,
                         struct mydb_column *after, struct zdm_error *err) ZDM_CHECKED;

/* The same judgement of a clone that first_sql (an ALTER TABLE of the same table; NULL: none) has changed already. */
enum zdm_code mydb_judge_behind(struct mydb_work *w, const struct mydb_table *table, const char *first_sql,
                                const char *alter_sql, char out[MYDB_ALGORITHM_MAX], struct zdm_error *err) ZDM_CHECKED;

/* The line of SHOW CREATE TABLE about a column, an index or a constraint. */
enum mydb_line { MYDB_LINE_COLUMN = 1, MYDB_LINE_INDEX, MYDB_LINE_CONSTRAINT };
/* The same judgement; *out_line (malloc'd) is how the clone shows what the statement has made, NULL when it does not
 * show it. */
enum zdm_code mydb_judge_made(struct mydb_work *w, const struct mydb_table *table, const char *alter_sql,
                              char out[MYDB_ALGORITHM_MAX], enum mydb_line kind, const char *name, char **out_line,
                              struct zdm_error *err) ZDM_CHECKED;
/* made.c: that line of a table; schema NULL: of the session's database. Pure: the line in a printed definition. */
enum zdm_code mydb_line_read(struct mydb_session *s, const char *schema, const char *table, enum mydb_line kind,
                             const char *name, char **out_line, struct zdm_error *err) ZDM_CHECKED;
char *mydb_line_in(const char *create_table, enum mydb_line kind, const char *name);

#endif
