/*
 * watch.h - what is looked at with every poll besides role and lag: are the triggers of a sync still what was installed
 * (database.md 16), and is an index that is to be dropped used, on whichever node (database.md 23)?
 *
 * A deviation is noted in zdm.interrupted, so that it is not forgotten when somebody puts the triggers back: as long as
 * the note is there, no comparison of that table counts as done. A comparison that began after the deviation was seen
 * last takes the note away.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_WATCH_H
#define AGENT_ENGINE_POSTGRESQL_WATCH_H

#include "agent/engine/postgresql/session/work.h"

/* Notes what deviates, and lists in the result what is noted, and what comparisons counted. On a writable node. */
enum zdm_code pgsql_watch_syncs(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Is a note there that speaks against the comparison of the step at hand? */
enum zdm_code pgsql_watch_compared(struct pgsql_work *w, bool *out_interrupted, struct zdm_error *err) ZDM_CHECKED;
/* The comparison of the step at hand, which began so long ago, found the table right; in its transaction. */
enum zdm_code pgsql_watch_forget(struct pgsql_work *w, int64_t began_ms_ago, struct zdm_error *err) ZDM_CHECKED;
/* Triggers of the step at hand are installed again where the journal is past it: rows may have passed by meanwhile. In
 * that transaction. */
enum zdm_code pgsql_watch_note(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* STEP_DONE with lets_pass: what speaks against the comparison of the step at hand falls by a person's word. */
enum zdm_code pgsql_run_let_pass(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Counts for the indexes that are to be dropped how often each was used on the replicas since they were seen first. */
enum zdm_code pgsql_watch_indexes(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

#endif
