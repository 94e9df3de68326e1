/*
 * form.h - SQL compared with forms: see honest.c. The engine asks it where tokens end, so that both read the same.
 *
 * Nothing is parsed. A scanner (scan.h) knows where quoted texts, comments and words begin and end as the lexers of
 * PostgreSQL (with standard_conforming_strings, which the agent's sessions set) and of MySQL do, and refuses what two
 * releases or settings read differently. MySQL's text has less in it, because the compiler writes no more: no comments,
 * no double quotes, no variables; a backslash in a text of a plan is a backslash, which agents double when they send
 * it.
 */
#ifndef ZDM_PLAN_FORM_H
#define ZDM_PLAN_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/plan/plan.h"

/* Has the SQL that form, for the names of the step? %t is its table, %s the schema of that, %c its column, %o its
 * object, %p its first other table, %l its column as a literal; what stands between is one closed piece each: %* with
 * no comma outside of parentheses, %, with commas, %? none at all or one behind a blank, %' one text in single quotes.
 * Names and the text are quoted and read as the step's engine does. False where a name is NULL. */
bool zdm_form_fits(const char *form, const struct zdm_step *step, const char *sql);

/* Is it one piece that nothing before or behind it can change: no statement, list entry (but with `list`) or comment
 * ends in it? NULL is. */
bool zdm_sql_is_closed(enum zdm_engine engine, const char *sql, bool list);

/* Is it one closed query: SELECT or WITH? MySQL: one that writes no file and no variable. */
bool zdm_sql_is_query(enum zdm_engine engine, const char *sql);

/* The first of the words (in lower case, a blank between them) that stands outside of parentheses and quotes, or with
 * `anywhere` inside of parentheses, too; NULL. Borrowed from the words. */
const char *zdm_sql_find_word(enum zdm_engine engine, const char *sql, const char *words, bool anywhere);

/* Does an entry of the first list in parentheses begin with the word? */
bool zdm_sql_lists(enum zdm_engine engine, const char *sql, const char *word);

/* PostgreSQL: is it CREATE [UNIQUE] INDEX CONCURRENTLY of that name, on that table? */
bool zdm_sql_is_index_on(const char *sql, const char *name, const struct zdm_table *table);

/* PostgreSQL: where the token ends that begins at byte `at` of the n bytes: a word, a quoted text, a comment, a sign, a
 * blank. One that does not end goes to n. */
size_t zdm_sql_token_end(const char *sql, size_t n, size_t at);

/* How many statements of a person's own are these? NULL, or what is wrong with them: not whole, or one that ends the
 * agent's transaction or outlives it in the session. MySQL's is one: routines have semicolons inside, and the agent's
 * sessions send no second statement behind the first. */
const char *zdm_sql_statements(enum zdm_engine engine, const char *sql, size_t *out_n);

#endif
