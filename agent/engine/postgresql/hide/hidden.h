/*
 * hidden.h - zdm.hidden: what was taken out of sight, and the statements that bring it back.
 *
 * A column on its way out of sight leaves a row of kind 'column', and one for each thing that belongs to it alone and
 * goes with it: 'not null', 'check', 'foreign key', 'unique', and 'unique index' where there is no constraint. What is
 * unique over it and other columns goes as well: it would be so over the others and a default. The statements are
 * written while the catalogue still shows all of it, so that what comes back is what was there, byte for byte in a
 * dump:
 *
 *   back_sql    short, in the transaction of the unhide: the constraint, NOT VALID
 *   long_sql    afterwards, without blocking anybody: VALIDATE, or the index built concurrently
 *   finish_sql  short: SET NOT NULL proven by the helper's CHECK, the unique constraint on its index
 *   violated_by condition over t. that names the rows which stand against it
 *
 * States: hidden -> back (long_sql is to be run) -> proven (finish_sql is to be run) -> the row goes. What rows violate
 * ends as 'violated', what cannot be there again as 'lost', each with a remark. Rows of rollbacks stay hidden until
 * they are purged. A row of kind 'images' stands for a table of before-images; its hidden_at is the time of the last
 * batch. Tables and types: trash.h; constraints without a column: lift.h. A row of kind 'index' stands for one that is
 * to be dropped and is still there, with its scans when its grace began (index_drop.c).
 */
#ifndef AGENT_ENGINE_POSTGRESQL_HIDE_HIDDEN_H
#define AGENT_ENGINE_POSTGRESQL_HIDE_HIDDEN_H

#include "agent/engine/postgresql/change/locks.h"

/* A column on its way out of sight. */
struct pgsql_hiding {
    uint32_t step; /* that it is kept under */
    const struct zdm_table *name;
    struct pgsql_table table;
    struct pgsql_column column;
    const char *hidden_name;
    bool by_rollback;
    bool in_place; /* of a published table: it keeps its name, which subscribers know (database.md 11) */
};

/* "ALTER TABLE s.t" */
void pgsql_put_alter(struct zdm_buffer *b, const struct zdm_table *table);
/* Refuses columns that cannot lose their name, or whose own constraints could not be brought back. */
enum zdm_code pgsql_hidden_refuse(struct pgsql_work *w, const struct pgsql_hiding *h,
                                  struct zdm_error *err) ZDM_CHECKED;
/* The same for a survey, but for what rules of its own say (key-column, published). */
enum zdm_code pgsql_hidden_refuse_unsurveyed(struct pgsql_work *w, const struct pgsql_hiding *h,
                                             struct zdm_error *err) ZDM_CHECKED;
/* Was the column of that HIDE_COLUMN or PURGE_COLUMN retired in place? Its row says so. */
enum zdm_code pgsql_hidden_in_place(struct pgsql_work *w, const struct zdm_step *step, bool *out,
                                    struct zdm_error *err) ZDM_CHECKED;
/* Refuses a column that others are generated from: before PostgreSQL 15 the server drops those together with it, and
 * says nothing. `done` is what cannot be done with it. */
enum zdm_code pgsql_hidden_refuse_source(struct pgsql_work *w, const struct zdm_table *table, const char *column,
                                         const char *done, struct zdm_error *err) ZDM_CHECKED;
/* Locks the tables that foreign keys over the column point at: dropping one, by itself or with the column, locks both.
 */
enum zdm_code pgsql_hidden_lock_parents(struct pgsql_short *attempt, const struct pgsql_hiding *h,
                                        struct zdm_error *err) ZDM_CHECKED;
/* Under ACCESS EXCLUSIVE: keeps what belongs to the column, drops it, renames the column and marks it. */
enum zdm_code pgsql_hidden_put(struct pgsql_work *w, const struct pgsql_hiding *h, struct zdm_error *err) ZDM_CHECKED;

/* How the rows of a step's hide stand. */
struct pgsql_hidden_state {
    int64_t hidden, back, proven;
    char remark[ZDM_TEXT_MAX + 1]; /* of what did not come back as it was, "" for all did */
};
enum zdm_code pgsql_hidden_read(struct pgsql_work *w, uint32_t step, struct pgsql_hidden_state *out,
                                struct zdm_error *err) ZDM_CHECKED;

/* unhide.c: proof of the way back of a hide, and which part comes next */
enum zdm_code pgsql_unhide_look(struct pgsql_work *w, const struct pgsql_table *table,
                                struct zdm_error *err) ZDM_CHECKED;
/* purge.c: looks at the age of the rows of zdm.hidden that `where` names, by values from $2 on. False: too early, and
 * the result says how long. What is not there at all is not early. */
enum zdm_code pgsql_hidden_is_due(struct pgsql_work *w, const char *where, size_t n, const char *const *values,
                                  bool *out, struct zdm_error *err) ZDM_CHECKED;
/* purge.c: nothing that rollbacks of this migration left on the step's table */
enum zdm_code pgsql_leftovers_look(struct pgsql_work *w, bool *out_none, struct zdm_error *err) ZDM_CHECKED;

/* … and dropping them, in the transaction of the attempt. */
enum zdm_code pgsql_purge_leftovers_of_table(struct pgsql_short *attempt, struct zdm_error *err) ZDM_CHECKED;

/* The statements that bring a NOT NULL back as it was, and what PostgreSQL 18 and later have of it in pg_constraint:
 * nn, or nothing to join. s, t, c and helper are its schema, table and column, and the name of the helper's CHECK. */
#define PGSQL_NOT_NULL_BACK                                                                                            \
    "CASE WHEN NOT nn.convalidated THEN format('ALTER TABLE %I.%I ADD CONSTRAINT %I NOT NULL %I NOT VALID', s, t,"     \
    " nn.conname, c) ELSE format('ALTER TABLE %I.%I ADD CONSTRAINT %I CHECK (%I IS NOT NULL) NOT VALID', s, t,"        \
    " helper, c) END"
#define PGSQL_NOT_NULL_LONG                                                                                            \
    "CASE WHEN nn.convalidated IS NOT FALSE THEN format('ALTER TABLE %I.%I VALIDATE CONSTRAINT %I', s, t, helper) END"
/* Those that partitions have for themselves first: that of the parent is added to them. */
#define PGSQL_NOT_NULL_OWN                                                                                             \
    "coalesce((SELECT string_agg(format('ALTER TABLE IF EXISTS %I.%I ADD CONSTRAINT %I NOT NULL %I; ', pn.nspname,"    \
    " pc.relname, pk.conname, h.c), '' ORDER BY pt.level DESC, pc.oid) FROM pg_partition_tree(nn.conrelid) pt JOIN"    \
    " pg_class pc ON pc.oid = pt.relid JOIN pg_namespace pn ON pn.oid = pc.relnamespace JOIN pg_attribute pa ON"       \
    " pa.attrelid = pc.oid AND pa.attname = h.c JOIN pg_constraint pk ON pk.conrelid = pc.oid AND pk.contype = 'n'"    \
    " AND pk.conkey = ARRAY[pa.attnum] WHERE pt.level > 0 AND pk.conislocal), '')"
#define PGSQL_NOT_NULL_FINISH                                                                                          \
    "CASE WHEN nn.conname IS NULL THEN format('ALTER TABLE %I.%I ALTER COLUMN %I SET NOT NULL', s, t, c) "             \
    "ELSE " PGSQL_NOT_NULL_OWN                                                                                         \
    " || format('ALTER TABLE %I.%I ADD CONSTRAINT %I NOT NULL %I', s, t, nn.conname, c) || CASE"                       \
    " WHEN nn.connoinherit THEN ' NO INHERIT' ELSE '' END || coalesce('; COMMENT ON CONSTRAINT ' || quote_ident("      \
    "nn.conname) || format(' ON %I.%I IS ', s, t) || quote_literal(obj_description(nn.oid, 'pg_constraint')), '') END" \
    " || format('; ALTER TABLE %I.%I DROP CONSTRAINT %I', s, t, helper)"

/* Drops NOT NULL of the column from the table and its partitions: since PostgreSQL 18 a partition keeps what is its
 * own when that of its parent goes. */
enum zdm_code pgsql_hidden_drop_not_null(struct pgsql_work *w, const struct pgsql_table *table, const char *column,
                                         struct zdm_error *err) ZDM_CHECKED;

#endif
