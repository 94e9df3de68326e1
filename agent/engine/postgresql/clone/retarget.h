/*
 * retarget.h - the plan's own statements, about another table: a clone of it, or one of its partitions.
 *
 * Each function copies the statement with the one name changed, and refuses (false) what does not begin as the
 * compiler writes it, or names another table than the step says.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_CLONE_RETARGET_H
#define AGENT_ENGINE_POSTGRESQL_CLONE_RETARGET_H

#include <stdbool.h>

#include "common/base/buffer.h"
#include "common/plan/plan.h"

/* ALTER TABLE [IF EXISTS] [ONLY] <table> …; `other` is quoted SQL. */
bool pgsql_retarget(struct zdm_buffer *out, const char *sql, const struct zdm_table *table, const char *other);
/* … REFERENCES <table> …, the first one outside of quotes and parentheses. parent NULL: whatever it names. */
bool pgsql_retarget_reference(struct zdm_buffer *out, const char *sql, const struct zdm_table *parent,
                              const char *other);
/* … ATTACH PARTITION <table> …, DETACH PARTITION <table> …; word: which. */
bool pgsql_retarget_partition(struct zdm_buffer *out, const char *sql, const char *word, const struct zdm_table *child,
                              const char *other);
/* CREATE [UNIQUE] INDEX [CONCURRENTLY] <name> ON [ONLY] <table> …: without CONCURRENTLY. */
bool pgsql_retarget_index(struct zdm_buffer *out, const char *sql, const struct zdm_table *table, const char *other);

/* <words> <name> …, as in CREATE TABLE, CREATE TYPE, ALTER TYPE: the two words, then the name. */
bool pgsql_retarget_head(struct zdm_buffer *out, const char *sql, const char *word, const char *second,
                         const struct zdm_table *name, const char *other);

/* Names within a statement: of a table only behind REFERENCES, of a type anywhere where its schema stands in front. */
struct pgsql_rename {
    struct zdm_table from; /* borrowed */
    const char *to;        /* quoted SQL */
    bool referenced;
};
void pgsql_retarget_names(struct zdm_buffer *out, const char *sql, const struct pgsql_rename *renames, size_t n);

/* The next statement of a script, up to its semicolon outside of quotes, comments and parentheses; false at the end.
 * *sql is moved behind it. */
bool pgsql_next_statement(const char **sql, struct zdm_buffer *out);
/* Behind the next comma outside of quotes, comments and parentheses: the next command of an ALTER TABLE; NULL for none.
 */
const char *pgsql_next_command(const char *commands);
/* Does it begin with these words (upper case, one blank between two)? */
bool pgsql_begins_with(const char *sql, const char *words);

#endif
