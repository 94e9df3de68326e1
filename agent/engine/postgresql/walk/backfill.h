/*
 * backfill.h - walking a table by its key (database.md 21): shared by backfill and compare.
 *
 * A cursor is a JSON array of the key's columns as text: canonical, since the session's settings are pinned, and bound
 * back with the column's own type, so that the column's collation orders it. The upper bound is fixed at the start;
 * rows that come later are the triggers' business. A walk counts rows, never distances between keys.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_WALK_BACKFILL_H
#define AGENT_ENGINE_POSTGRESQL_WALK_BACKFILL_H

#include "agent/engine/postgresql/walk/sync.h"
#include "agent/engine/postgresql/session/work.h"

/* The statements of one walk; $1 is the cursor, $2 the end of the range or the bound, $3 the number of rows. */
struct pgsql_walk {
    struct pgsql_table table;
    char *walk_key;
    char *full_first, *full;     /* where a chunk of the full size ends; no row when fewer are left */
    char *next_first, *next;     /* where the next chunk ends and how many rows it has; without and with a cursor */
    char *lock_first, *lock;     /* locks the rows of a range in key order */
    char *change_first, *change; /* UPDATE or DELETE of a range */
    char *columns;               /* of a DELETE: the table's, which that keeps; else NULL */
    char *left_first, *left;     /* how many rows of a range the old column cannot follow: of a SYNC_REMOVE, and of a
                                    comparison after the switch; else NULL */
    char *differ_first, *differ; /* key of a row in the range whose target is not what it should be */
    char *differ_one;            /* the same of one row */
};

/* The walk of the operation's step, from memory or built now. */
enum zdm_code pgsql_walk_get(struct pgsql_work *w, const struct pgsql_walk **out, struct zdm_error *err) ZDM_CHECKED;
void pgsql_walk_free(struct pgsql_walk *walk);

/* SQL of a key: t."a", t."b"; the same as a cursor's text; ROW(t."a", t."b") <op> the key that parameter $param names.
 */
void pgsql_put_key(struct zdm_buffer *b, const struct pgsql_key *key, const char *alias, const char *after);
void pgsql_put_key_text(struct zdm_buffer *b, const struct pgsql_key *key, const char *alias);
void pgsql_put_compare(struct zdm_buffer *b, const struct pgsql_key *key, const char *op, int param);

/* Rows of the table: counted where that is quick, else what the statistics say. */
enum zdm_code pgsql_rows_estimate(struct pgsql_work *w, const struct pgsql_table *table, uint64_t *out,
                                  struct zdm_error *err) ZDM_CHECKED;
/* The last key of the step's table as text, NULL when it is empty. */
enum zdm_code pgsql_last_key(struct pgsql_work *w, const struct pgsql_key *key, char **out,
                             struct zdm_error *err) ZDM_CHECKED;

/* Where the next chunk behind the cursor ends. */
struct pgsql_chunk {
    char *last; /* cursor text; NULL when there is nothing left */
    uint32_t rows;
};
enum zdm_code pgsql_walk_next(struct pgsql_work *w, const struct pgsql_walk *walk, struct pgsql_chunk *out,
                              struct zdm_error *err) ZDM_CHECKED;
/* Runs one of the range statements over (cursor, last]. */
enum zdm_code pgsql_walk_range(struct pgsql_work *w, const char *first, const char *later, const char *last,
                               PGresult **out, struct zdm_error *err) ZDM_CHECKED;
/* Of a walk that was not at hand: has the key changed since its bound was fixed (*stale)? Then it starts again from
 * the beginning; ZDM_REFUSED where rows would be changed twice. */
enum zdm_code pgsql_walk_check_key(struct pgsql_work *w, const struct pgsql_walk *walk, bool *stale,
                                   struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_walk_start_again(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* The transaction of a chunk: index scans only, so that rows are read and locked in key order. */
enum zdm_code pgsql_walk_begin(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Does the walk end with this chunk? */
bool pgsql_walk_is_over(const struct pgsql_work *w, const struct pgsql_chunk *chunk);
/* The journal's part: cursor to the chunk's end. */
enum zdm_code pgsql_walk_move(struct pgsql_work *w, const struct pgsql_chunk *chunk, struct zdm_error *err) ZDM_CHECKED;

#endif
