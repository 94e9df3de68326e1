/*
 * delete.h - DELETE of many rows in batches, with the rows kept (database.md 12).
 *
 * zdm.<object of the step> holds each deleted row whole, by the names that its columns had then, with the key of the
 * walk as its primary key. The way back inserts them where key, unique values and parents allow; what cannot come back
 * stays in "zdm.left_<8 hex>" until it is purged, and is counted.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_WALK_DELETE_H
#define AGENT_ENGINE_POSTGRESQL_WALK_DELETE_H

#include "agent/engine/postgresql/walk/sync.h"
#include "agent/engine/postgresql/back/walk_back.h"
#include "agent/engine/postgresql/session/work.h"

/* Before the bound is fixed: refuses foreign keys that would change rows of other tables, triggers that may not be
 * skipped. Of backfills too. */
enum zdm_code pgsql_walk_refuse(struct pgsql_work *w, const struct pgsql_table *table,
                                struct zdm_error *err) ZDM_CHECKED;

/* With the bound, in its transaction: the archive. */
enum zdm_code pgsql_archive_make(struct pgsql_work *w, const struct pgsql_key *key, struct zdm_error *err) ZDM_CHECKED;
/* The statement of a batch; $1 the end of the range, $2 the cursor where there is one. The archive gets columns that
 * the table has by now. *out_columns: their signature. */
enum zdm_code pgsql_delete_texts(struct pgsql_work *w, const struct pgsql_facts *facts, char **first, char **later,
                                 char **out_columns, struct zdm_error *err) ZDM_CHECKED;
/* Behind the statement, which holds the table: ZDM_CONFLICT when its columns are others than those. */
enum zdm_code pgsql_delete_same_columns(struct pgsql_work *w, const struct pgsql_table *table, const char *columns,
                                        struct zdm_error *err) ZDM_CHECKED;
/* Names the row that a foreign key of another table holds. */
enum zdm_code pgsql_delete_explain(const struct pgsql_work *w, struct zdm_error *err);

/* What walk_back.c does of archives alone: how much there is to do, and a batch in the transaction at hand. */
enum zdm_code pgsql_archive_total(struct pgsql_work *w, const struct pgsql_table *archive, uint64_t *out,
                                  struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_archive_batch(struct pgsql_work *w, struct pgsql_walk_back *place, const struct pgsql_facts *facts,
                                  struct zdm_error *err) ZDM_CHECKED;

#endif
