/*
 * partition.h - clones of a partitioned table and of what becomes its partition (partition_clone.c); the parent's
 * hidden columns in it (partition_columns.c); what attaching makes there (partition_made.c).
 */
#ifndef AGENT_ENGINE_POSTGRESQL_CHANGE_PARTITION_H
#define AGENT_ENGINE_POSTGRESQL_CHANGE_PARTITION_H

#include "agent/engine/postgresql/change/locks.h"

#define PGSQL_CLONE_CHILD "pg_temp.\"~zdm_child\""

/* In the transaction at hand: an empty partitioned clone of the parent under that name, with its partitions' bounds
 * where the child would be the default one, and a clone of a default partition that holds rows. */
enum zdm_code pgsql_clone_partitioned(struct pgsql_work *w, const struct zdm_table *parent,
                                      const struct zdm_table *child, const char *name,
                                      struct zdm_error *err) ZDM_CHECKED;
/* A clone of the child, PGSQL_CLONE_CHILD. */
enum zdm_code pgsql_clone_partition(struct pgsql_work *w, const struct zdm_table *parent, const struct zdm_table *child,
                                    struct zdm_error *err) ZDM_CHECKED;
/* A hash partition's CHECK names its parent by number: on the child's clone, that of the parent's clone `name`. */
enum zdm_code pgsql_clone_hash_checks(struct pgsql_work *w, const struct zdm_table *parent, const char *name,
                                      struct zdm_error *err) ZDM_CHECKED;
/* The condition that every row of the child meets once it is attached with this bound ("FOR VALUES …", "DEFAULT"),
 * malloc'd, as the server writes it. In the transaction at hand; the clones are rolled back. */
enum zdm_code pgsql_partition_condition(struct pgsql_work *w, const struct zdm_table *parent,
                                        const struct zdm_table *child, const char *bound, char **out,
                                        struct zdm_error *err) ZDM_CHECKED;

/* The parent's default partition; schema and name have room for an identifier each. Does it hold rows? */
enum zdm_code pgsql_default_partition(struct pgsql_work *w, const struct zdm_table *parent, char schema[], char name[],
                                      bool *out_there, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_default_holds_rows(struct pgsql_work *w, const struct zdm_table *parent, bool *out,
                                       struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_partition_holds_rows(struct pgsql_work *w, const struct zdm_table *partition, bool *out,
                                         struct zdm_error *err) ZDM_CHECKED;

/* Would the server read the default partition to attach the child with this bound? As its CHECKs stand now; the
 * condition of a row that belongs to the child, malloc'd. In a transaction of its own, rolled back. */
enum zdm_code pgsql_default_is_read(struct pgsql_work *w, const struct zdm_table *parent, const struct zdm_table *child,
                                    const char *bound, bool *out_read, char **out_condition,
                                    struct zdm_error *err) ZDM_CHECKED;
/* partition_default.c: ZDM_REFUSED where it would, with its rows that belong to the child, or the CHECK to write. */
enum zdm_code pgsql_default_in_the_way(struct pgsql_work *w, const struct zdm_table *parent,
                                       const struct zdm_table *child, const char *bound,
                                       struct zdm_error *err) ZDM_CHECKED;
/* The same for a partition that comes back with that ALTER TABLE … ATTACH PARTITION. */
enum zdm_code pgsql_attach_again_ahead(struct pgsql_work *w, const char *attach, struct zdm_error *err) ZDM_CHECKED;

/* The server attaches only what has all columns of the parent: those that lie hidden there are added to `child`
 * (quoted), which lacks them. */
enum zdm_code pgsql_partition_complete(struct pgsql_work *w, const struct zdm_table *parent, const char *child,
                                       struct zdm_error *err) ZDM_CHECKED;
/* … unless it holds rows that would have no value in one that may come back into sight: ZDM_REFUSED. */
enum zdm_code pgsql_partition_may_complete(struct pgsql_work *w, const struct zdm_table *parent,
                                           const struct zdm_table *child, struct zdm_error *err) ZDM_CHECKED;
/* Right before the partition is detached: the hidden columns that go with it are to be purged there. Right after it was
 * attached: they are the parent's again. */
enum zdm_code pgsql_partition_takes_hidden(struct pgsql_work *w, const struct zdm_table *child,
                                           struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_partition_gives_hidden(struct pgsql_work *w, const struct zdm_table *child,
                                           struct zdm_error *err) ZDM_CHECKED;

/* What the table has before it is attached, malloc'd; what it has beyond that afterwards is kept in zdm.former from
 * that part on; and goes, once it is detached, where it still is what it was. */
enum zdm_code pgsql_partition_has(struct pgsql_work *w, const struct zdm_table *child, char **out,
                                  struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_partition_keep_made(struct pgsql_work *w, const struct zdm_table *child, const char *had,
                                        unsigned part, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_partition_drop_made(struct pgsql_work *w, const struct zdm_table *child,
                                        struct zdm_error *err) ZDM_CHECKED;
/* What foreign keys of the parent point at is locked as well when one of them is added to the partition, or dropped. */
enum zdm_code pgsql_partition_lock_referenced(struct pgsql_short *attempt, const struct pgsql_table *parent, bool drops,
                                              struct zdm_error *err) ZDM_CHECKED;

/* AGENT_RUN_RESTORE of a DETACH_PARTITION: validates the constraint that makes attaching quick. */
enum zdm_code pgsql_run_partition_restore(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

#endif
