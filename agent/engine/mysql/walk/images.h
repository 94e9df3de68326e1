/*
 * images.h - tables of database zdm that hold what a walk took away: before-images of a backfill, and the archive of
 * deleted rows (delete.h), both called "images" in zdm.hidden (database.md 12).
 *
 * A table of before-images holds one row for each row that was changed: its key (k0, k1, …), each target's old value
 * (o0, …) and the one that was written (n0, …). They are written in the batch's transaction and read back into every
 * column that still holds, byte for byte, what was written. `batch` marks those of the batch at hand.
 *
 * One server may hold several shards, and a rollback may leave an archive behind: the table's real name is the object
 * of the step with eight digits behind it, which zdm.hidden knows (name: the object; hidden_name: the table).
 */
#ifndef AGENT_ENGINE_MYSQL_WALK_IMAGES_H
#define AGENT_ENGINE_MYSQL_WALK_IMAGES_H

#include "agent/engine/mysql/walk/sync.h"
#include "agent/engine/mysql/back/walk_back.h"

enum { MYDB_IMAGES_NAME_MAX = ZDM_IDENTIFIER_MAX + 2 };

/* The table that holds what the object names, of this migration; "" when there is none. */
enum zdm_code mydb_images_find(struct mydb_work *w, const char *object, char out[MYDB_IMAGES_NAME_MAX],
                               struct zdm_error *err) ZDM_CHECKED;
/* Is there one? */
enum zdm_code mydb_images_exist(struct mydb_work *w, const char *object, bool *out, struct zdm_error *err) ZDM_CHECKED;
/* The key of the step's walk: where rows are kept the one that these are known by, as the table's comment says, else
 * the one that is found now. It is another one only when these columns are no key any more: ZDM_REFUSED. */
enum zdm_code mydb_images_key(struct mydb_work *w, const struct zdm_step *step, const struct mydb_table *table,
                              struct mydb_key *out, struct zdm_error *err) ZDM_CHECKED;
/* zdm.`name` */
void mydb_put_images(struct zdm_buffer *b, const char *name);

/* Before the bound of the walk, outside of a transaction: the row of zdm.hidden with the fence, then the table. */
enum zdm_code mydb_images_make(struct mydb_work *w, const struct mydb_facts *facts, struct zdm_error *err) ZDM_CHECKED;
/* An archive gets columns that the table has by now; outside of a transaction. */
enum zdm_code mydb_images_widen(struct mydb_work *w, const struct mydb_facts *facts, const char *name,
                                struct zdm_error *err) ZDM_CHECKED;
/* In the batch's transaction: the time from which its grace counts. */
enum zdm_code mydb_images_touch(struct mydb_work *w, const char *name, struct zdm_error *err) ZDM_CHECKED;
/* A number that marks the rows of one batch and no other. */
enum zdm_code mydb_batch_mark(struct mydb_work *w, char out[24], struct zdm_error *err) ZDM_CHECKED;
/* The batch: holds the rows that are to be changed, with what they have; changes them; writes down what they got. */
enum zdm_code mydb_images_change(struct mydb_work *w, const struct mydb_facts *facts, const char *last,
                                 uint32_t *out_changed, struct zdm_error *err) ZDM_CHECKED;

/* What walk_back.c does of images alone: how much there is to do, and a batch in the transaction at hand. */
enum zdm_code mydb_images_total(struct mydb_work *w, const char *name, uint64_t *out,
                                struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_images_batch(struct mydb_work *w, const char *name, struct mydb_walk_back *place,
                                const struct mydb_facts *facts, struct zdm_error *err) ZDM_CHECKED;
/* In the transaction at hand: nobody finds the table by its object any more. It is what a rollback left, until it is
 * dropped. */
enum zdm_code mydb_images_aside(struct mydb_work *w, const char *name, struct zdm_error *err) ZDM_CHECKED;
/* DROP TABLE, where it is there, and forgets its row; outside of a transaction. */
enum zdm_code mydb_images_drop(struct mydb_work *w, const char *name, struct zdm_error *err) ZDM_CHECKED;

#endif
