/*
 * walk_sql.h - the statements of a walk as SQL, with the ends of the span as literals.
 *
 * The key's own index is forced: rows are then read and locked in its order, and nobody's statistics turn a batch into
 * a scan of the table. Each function appends; what fails is a cursor that does not fit the key.
 */
#ifndef AGENT_ENGINE_MYSQL_WALK_WALK_SQL_H
#define AGENT_ENGINE_MYSQL_WALK_WALK_SQL_H

#include "agent/engine/mysql/walk/walk.h"

/* Rows behind one cursor (NULL: from the first) up to another (NULL: to the last). */
struct mydb_span {
    const char *after, *to;
};
/* Rows of the alias in the span; "TRUE" for all. */
enum zdm_code mydb_put_span(struct zdm_buffer *b, const struct mydb_key *key, const char *alias, struct mydb_span span,
                            struct zdm_error *err) ZDM_CHECKED;
/* `table` AS t FORCE INDEX (`index of the key`) */
void mydb_put_walked(struct zdm_buffer *b, const char *table, const struct mydb_key *key);
/* a.`x` = c.`y` AND …, over the columns of both keys; an alias comes with its dot. */
void mydb_put_join(struct zdm_buffer *b, const char *alias_a, const struct mydb_key *a, const char *alias_c,
                   const struct mydb_key *c);
/* The key under other names, "k0", "k1", …, with the index PRIMARY: as a table of images has it. Borrows from `key`. */
void mydb_key_of_images(struct mydb_key *out, const struct mydb_key *key);

/* The key where a chunk of so many rows ends, as mydb_put_key_text has it; no row when fewer are left. `from`: a table
 * with its alias t (mydb_put_walked). */
enum zdm_code mydb_walk_end_text(struct zdm_buffer *b, const char *from, const struct mydb_key *key,
                                 struct mydb_span span, uint32_t rows, struct zdm_error *err) ZDM_CHECKED;
/* The keys of so many rows at most, in order. */
enum zdm_code mydb_walk_rest_text(struct zdm_buffer *b, const char *from, const struct mydb_key *key,
                                  struct mydb_span span, uint32_t rows, struct zdm_error *err) ZDM_CHECKED;

/* "the target is not identical to what it should be", or for a value that is filled once "is still as added". */
void mydb_put_todo(struct zdm_buffer *b, const struct mydb_pair *pair);
/* t.`target` = what it should be, …; each target's own assignment in the order of the plan. */
void mydb_put_assignments(struct zdm_buffer *b, const struct mydb_facts *facts);
/* , t.`c` = t.`c`, …: behind the assignments of an UPDATE, so that the server leaves its times of the last write as
 * they are (both do, measured); not those that the UPDATE assigns itself, the targets of the pairs, or their sources.
 */
enum mydb_assigned { MYDB_TARGETS, MYDB_SOURCES };
void mydb_put_stamps(struct zdm_buffer *b, const struct mydb_facts *facts, enum mydb_assigned assigned);
/* The rows of the span that a batch is to change. */
enum zdm_code mydb_put_todo_where(struct zdm_buffer *b, const struct mydb_facts *facts, struct mydb_span span,
                                  struct zdm_error *err) ZDM_CHECKED;

/* Locks the rows of the span in key order. */
enum zdm_code mydb_walk_lock_text(struct zdm_buffer *b, const struct mydb_facts *facts, struct mydb_span span,
                                  struct zdm_error *err) ZDM_CHECKED;
/* The UPDATE of the span. */
enum zdm_code mydb_walk_change_text(struct zdm_buffer *b, const struct mydb_facts *facts, struct mydb_span span,
                                    struct zdm_error *err) ZDM_CHECKED;
/* The old column of a pair brought in step where the two differ and the value fits: after a sync was installed again;
 * and how many rows of the span that leaves as they are. */
enum zdm_code mydb_walk_catch_up_text(struct zdm_buffer *b, const struct mydb_facts *facts, struct mydb_span span,
                                      struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_walk_left_text(struct zdm_buffer *b, const struct mydb_facts *facts, struct mydb_span span,
                                  struct zdm_error *err) ZDM_CHECKED;
/* The key of a row whose target is not what it should be: in the span, or (key not NULL) that very row. switched: new
 * code has written since, so that a row which the old column cannot follow is none of them. */
enum zdm_code mydb_walk_differ_text(struct zdm_buffer *b, const struct mydb_facts *facts, struct mydb_span span,
                                    const char *key, bool switched, struct zdm_error *err) ZDM_CHECKED;

#endif
