/*
 * index.h - indexes as the rest of the engine sees them: built, dropped and built anew without blocking anybody.
 *
 * The schema is that of the step's table, in which an index always is.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_ONLINE_INDEX_H
#define AGENT_ENGINE_POSTGRESQL_ONLINE_INDEX_H

#include "agent/engine/postgresql/session/work.h"

/* Whose an index is, the one rule: it is that migration's when the last line of its comment says so, or while zdm.owned
 * has the intent to build it, since a build that outlives its agent has nobody to write the comment. SQL, over a row c
 * of pg_class and texts. */
#define PGSQL_INDEX_IS_MARKED(c, migration)                                                                            \
    "coalesce(regexp_replace(obj_description(" c ".oid, 'pg_class'), E'^.*\\n', ''), '') = 'zdm:' || " migration
#define PGSQL_INDEX_IS_OURS(c, schema, name, migration)                                                                \
    "(" PGSQL_INDEX_IS_MARKED(c, migration) " OR EXISTS (SELECT FROM zdm.owned o WHERE o.kind = 'index' AND"           \
                                            " o.schema_name = " schema " AND o.object = " name                         \
                                            " AND o.migration = " migration "))"

/* DONE: valid and ours; LEFTOVER: invalid and ours; FOREIGN: err says what; else NOT_DONE. */
enum zdm_code pgsql_index_look(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                               struct zdm_error *err) ZDM_CHECKED;
/* Of its way back: proof and next_run of the result. */
enum zdm_code pgsql_index_look_back(struct pgsql_work *w, const struct pgsql_table *table,
                                    struct zdm_error *err) ZDM_CHECKED;
/* Builds an index that was there before a hide, with the statement that zdm.hidden keeps. A violation leaves nothing.
 */
enum zdm_code pgsql_index_build_again(struct pgsql_work *w, const struct pgsql_table *table, const char *name,
                                      const char *sql, struct zdm_error *err) ZDM_CHECKED;

/* ---- index_owner.c ---- */

/* A name as the catalogue has it now. */
struct pgsql_index {
    bool there, of_table, valid, owned, building;
    bool marked; /* in its comment */
    char builder[ZDM_TEXT_MAX + 1];
};
enum zdm_code pgsql_index_read(struct pgsql_work *w, const struct pgsql_table *table, const char *name,
                               struct pgsql_index *out, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_index_foreign(const struct pgsql_work *w, const char *name, struct zdm_error *err);
/* ZDM_LOCK: the session of a former agent, which may outlive it, is still at it. */
enum zdm_code pgsql_index_building(struct pgsql_work *w, const struct pgsql_index *index, struct zdm_error *err);
/* Refuses servers that build damaged indexes concurrently. */
enum zdm_code pgsql_index_may_build(const struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* The intent, journalled under the fence before anything is built. It ends with the mark in the index's comment, or is
 * forgotten once there is no index: nobody else's of that name shall pass for ours. */
enum zdm_code pgsql_index_intend(struct pgsql_work *w, const char *name, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_index_forget(struct pgsql_work *w, const char *name, struct zdm_error *err) ZDM_CHECKED;
/* In the transaction at hand: the index of the step gets its mark, and the intent is over. ZDM_UNKNOWN: it is not there
 * any more, or not ours. */
enum zdm_code pgsql_index_settle(struct pgsql_work *w, const struct pgsql_table *table,
                                 struct zdm_error *err) ZDM_CHECKED;
/* The same, and the step is journalled as done; and so for one that a look has found done. */
enum zdm_code pgsql_index_finish(struct pgsql_work *w, const struct pgsql_table *table,
                                 struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_index_step_done(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* After a build that failed for good: with no index there is no intent. Keeps err. */
void pgsql_index_build_failed(struct pgsql_work *w, const struct pgsql_table *table, const char *name,
                              const struct zdm_error *err);
/* In a transaction that has the table locked: indexes that the step's way back has built again, and that no constraint
 * has taken over, go, and the intents with them. */
enum zdm_code pgsql_index_drop_built_again(struct pgsql_work *w, const struct pgsql_table *table,
                                           struct zdm_error *err) ZDM_CHECKED;
/* In a transaction that is rolled back: does the fence hold? For what cannot be in one. */
enum zdm_code pgsql_index_check_fence(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* A statement that may not be in a transaction, with the table's schema searched as the plan expects. */
enum zdm_code pgsql_index_run_alone(struct pgsql_work *w, const char *sql, struct zdm_error *err) ZDM_CHECKED;
/* ZDM_LOCK: who reads the table on a standby, where replay would wait for them. */
enum zdm_code pgsql_index_drop_concurrently(struct pgsql_work *w, const char *name, struct zdm_error *err) ZDM_CHECKED;

/* index_drop.c: DROP INDEX of a plan. HIDE_INDEX only writes a row of zdm.hidden (kind 'index', with the scans counted
 * until then); PURGE_INDEX drops. The looks ask for no table. */
enum zdm_code pgsql_index_look_hidden(struct pgsql_work *w, const struct pgsql_table *table,
                                      enum agent_proof *out_proof, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_index_look_purged(struct pgsql_work *w, const struct pgsql_table *table,
                                      enum agent_proof *out_proof, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_index_run_hide(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_index_run_unhide(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_index_run_purge(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

/* reindex.c: AGENT_RUN_REINDEX builds the next index of the step anew; the looks ask for no table. Its way back is an
 * AGENT_RUN_INDEX_DROP of what an attempt that was ended left behind. */
enum zdm_code pgsql_reindex_look(struct pgsql_work *w, const struct pgsql_table *table, enum agent_proof *out_proof,
                                 struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_reindex_look_back(struct pgsql_work *w, const struct pgsql_table *table,
                                      struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_run_reindex(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_reindex_clean(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

#endif
