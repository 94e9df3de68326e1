/*
 * delete.h - DELETE of many rows in batches, with the rows kept (database.md 12).
 *
 * A table of zdm (images.h) holds each deleted row whole, by the names that its columns had then, with the key of the
 * walk as its primary key and the mark of its batch. The way back inserts them where key, unique values and parents
 * allow; what cannot come back stays in a table that is purged later, and is counted.
 */
#ifndef AGENT_ENGINE_MYSQL_WALK_DELETE_H
#define AGENT_ENGINE_MYSQL_WALK_DELETE_H

#include "agent/engine/mysql/walk/sync.h"
#include "agent/engine/mysql/back/walk_back.h"

/* Before the bound is fixed: refuses foreign keys that would change rows of other tables, and that triggers should not
 * fire. Of backfills too. */
enum zdm_code mydb_walk_refuse(struct mydb_work *w, const struct mydb_table *table, struct zdm_error *err) ZDM_CHECKED;

/* Before a walk: the archive gets columns that the table has by now; *out_columns: their names and types, malloc'd. */
enum zdm_code mydb_archive_look(struct mydb_work *w, const struct mydb_facts *facts, char **out_columns,
                                struct zdm_error *err) ZDM_CHECKED;
/* A batch: keeps the rows and deletes them. columns: as above; ZDM_CONFLICT when they are others by now. */
enum zdm_code mydb_delete_change(struct mydb_work *w, const struct mydb_facts *facts, const char *columns,
                                 const char *last, uint32_t *out_changed, struct zdm_error *err) ZDM_CHECKED;

/* What walk_back.c does of archives alone: how much there is to do, and a batch in the transaction at hand. */
enum zdm_code mydb_archive_total(struct mydb_work *w, const char *name, uint64_t *out,
                                 struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_archive_batch(struct mydb_work *w, const char *name, struct mydb_walk_back *place,
                                 const struct mydb_facts *facts, struct zdm_error *err) ZDM_CHECKED;

#endif
