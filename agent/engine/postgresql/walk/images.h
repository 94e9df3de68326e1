/*
 * images.h - before-images (database.md 12): what a backfill of a column that existed before has overwritten.
 *
 * zdm.<object of the step> holds one row for each row that was changed: its key (k0, k1, …), each target's old value
 * (o0, …) and the one that was written (n0, …). It is written by the statement that changes the rows, and read back
 * into every column that still holds, byte for byte, what was written.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_WALK_IMAGES_H
#define AGENT_ENGINE_POSTGRESQL_WALK_IMAGES_H

#include "agent/engine/postgresql/walk/sync.h"
#include "agent/engine/postgresql/back/walk_back.h"

/* The definition of an archive of deleted rows in zdm.hidden; "" is that of before-images. */
#define PGSQL_HOLDS_ROWS "rows"

/* Is the table there, and this migration's? */
enum zdm_code pgsql_images_exist(struct pgsql_work *w, const char *object, bool *out,
                                 struct zdm_error *err) ZDM_CHECKED;
/* The key of the step's walk: where rows are kept the one that these are known by, as the table's comment says, else
 * the one that is found now. It is another one only when these columns are no key any more: ZDM_REFUSED. */
enum zdm_code pgsql_images_key(struct pgsql_work *w, const struct zdm_step *step, const struct pgsql_table *table,
                               struct pgsql_key *out, struct zdm_error *err) ZDM_CHECKED;
/* With the table, in its transaction. */
enum zdm_code pgsql_images_note_key(struct pgsql_work *w, const struct pgsql_key *key,
                                    struct zdm_error *err) ZDM_CHECKED;
/* With the bound of the backfill, in its transaction. */
enum zdm_code pgsql_images_make(struct pgsql_work *w, const struct pgsql_key *key, struct zdm_error *err) ZDM_CHECKED;
/* In the batch's transaction: the time from which its grace counts. */
enum zdm_code pgsql_images_touch(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* What walk_back.c does of images alone: a batch in the transaction at hand. */
enum zdm_code pgsql_images_batch(struct pgsql_work *w, struct pgsql_walk_back *place, const struct pgsql_facts *facts,
                                 struct zdm_error *err) ZDM_CHECKED;
/* What did not go back is kept under another name, "left_<8 hex>", until somebody purges it. */
enum zdm_code pgsql_images_put_aside(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Drops the table and forgets it, in the transaction at hand. */
enum zdm_code pgsql_images_drop(struct pgsql_work *w, const char *object, struct zdm_error *err) ZDM_CHECKED;

#endif
