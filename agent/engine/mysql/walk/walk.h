/*
 * walk.h - walking a table by its key (database.md 21): shared by backfill, delete and compare.
 *
 * A cursor is a JSON array of the key's columns as text: canonical, since the session's settings are pinned; binary
 * ones in hexadecimal. It goes back into a statement as a literal of the column's own family (mydb_put_value), so that
 * the column's collation orders it. Composite keys are compared in their expanded form, (a > x) OR (a = x AND b > y): a
 * row comparison is no range for the server. The upper bound is fixed at the start; rows that come later are the
 * triggers' business. A walk counts rows, never distances between keys.
 */
#ifndef AGENT_ENGINE_MYSQL_WALK_WALK_H
#define AGENT_ENGINE_MYSQL_WALK_WALK_H

#include "agent/engine/mysql/walk/sync.h"
#include "agent/engine/mysql/session/work.h"

struct mydb_walk {
    struct mydb_facts facts;
    char *walk_key;
    char *columns; /* of a DELETE: the table's, which it keeps; else NULL */
};

/* The walk of the operation's step, from memory or built now. */
enum zdm_code mydb_walk_get(struct mydb_work *w, const struct mydb_walk **out, struct zdm_error *err) ZDM_CHECKED;
void mydb_walk_free(struct mydb_walk *walk);

/* Appends: t.`a`, t.`b`; the same as a cursor needs them; <alias><key> >, <=, < or = the key that the cursor names. */
void mydb_put_key(struct zdm_buffer *b, const struct mydb_key *key, const char *alias, const char *after);
void mydb_put_key_text(struct zdm_buffer *b, const struct mydb_key *key, const char *alias);
enum zdm_code mydb_put_compare(struct zdm_buffer *b, const struct mydb_key *key, const char *alias, const char *op,
                               const char *cursor, struct zdm_error *err) ZDM_CHECKED;
/* The cursor of a row whose columns from `first` on are those of mydb_put_key_text; malloc'd. */
enum zdm_code mydb_cursor_of(const struct mydb_key *key, const struct mydb_rows *rows, size_t row, size_t first,
                             char **out, struct zdm_error *err) ZDM_CHECKED;

/* Rows of the table: counted where that is quick, else what the statistics say. */
enum zdm_code mydb_rows_estimate(struct mydb_work *w, const struct mydb_table *table, uint64_t *out,
                                 struct zdm_error *err) ZDM_CHECKED;
/* The cursor of the last row of the step's table, NULL when it is empty. */
enum zdm_code mydb_last_key(struct mydb_work *w, const struct mydb_key *key, char **out,
                            struct zdm_error *err) ZDM_CHECKED;

/* Where the next chunk behind the cursor ends. */
struct mydb_chunk {
    char *last; /* cursor text; NULL when there is nothing left */
    uint32_t rows;
};
enum zdm_code mydb_walk_next(struct mydb_work *w, const struct mydb_walk *walk, struct mydb_chunk *out,
                             struct zdm_error *err) ZDM_CHECKED;
/* The same of any table: `from` with the alias t, behind a cursor up to a bound, each may be NULL. */
enum zdm_code mydb_chunk_next(struct mydb_work *w, const char *from, const struct mydb_key *key, const char *after,
                              const char *bound, struct mydb_chunk *out, struct zdm_error *err) ZDM_CHECKED;
bool mydb_walk_is_over(const struct mydb_work *w, const struct mydb_chunk *chunk);
/* The journal's part: cursor to the chunk's end. */
enum zdm_code mydb_walk_move(struct mydb_work *w, const struct mydb_chunk *chunk, struct zdm_error *err) ZDM_CHECKED;

/* moving_key.c: refuses a derivation that assigns a column of the key, or one that such a column is generated from, and
 * a key that every UPDATE changes. */
enum zdm_code mydb_key_keeps(const char *table, const struct mydb_key *key, const struct zdm_derivation *d,
                             struct zdm_error *err) ZDM_CHECKED;

#endif
