/*
 * journal.h - schema zdm of the shard: the directive accepted, how far a migration is, the plans, and what we own.
 *
 * One row of zdm.migration holds the fence and the progress together, so that one compare-and-set decides both
 * (protocol 3, rules 7 and 8). It is the last statement of every transaction that changes something for a migration.
 */
#ifndef AGENT_ENGINE_POSTGRESQL_JOURNAL_JOURNAL_H
#define AGENT_ENGINE_POSTGRESQL_JOURNAL_JOURNAL_H

#include "agent/engine/postgresql/session/work.h"

enum { PGSQL_JOURNAL_FORMAT = 1, PGSQL_JOURNAL_PARAMS = 7 };

/* Makes the journal where it is not there yet; safe against another agent doing the same. */
enum zdm_code pgsql_journal_make(struct pgsql_session *s, struct zdm_error *err) ZDM_CHECKED;
/* Every migration of this shard into the result. A node without a journal has none. */
enum zdm_code pgsql_journal_load(struct pgsql_session *s, struct agent_result *result,
                                 struct zdm_error *err) ZDM_CHECKED;

enum zdm_code pgsql_journal_store_plan(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* The comparison of protocol 3, rule 4, in the statement's WHERE. */
enum zdm_code pgsql_journal_accept(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

/* The progress that a compare-and-set writes. */
struct pgsql_move {
    uint32_t step;
    const char *cursor, *bound, *walk_key; /* NULL: none */
    bool walked;
    bool keep_walk;      /* bound, walk_key and rows_total stay as they are */
    bool restart;        /* rows_done starts at 0 again */
    uint64_t rows_added; /* to rows_done */
    uint64_t rows_total;
};

/* Moves the row from (fence, journal_step, cursor) as the operation believes to `move`; ZDM_FENCED when it is not so.
 * The result's journal fields are filled, and count once the transaction is committed: see pgsql_journal_commit. */
enum zdm_code pgsql_journal_move(struct pgsql_work *w, const struct pgsql_move *move,
                                 struct zdm_error *err) ZDM_CHECKED;
/* Writes other columns of the row where the fence and the place hold: "column = $8, …", n values from $8 on. */
enum zdm_code pgsql_journal_write(struct pgsql_work *w, const char *set, size_t n, const char *const *values,
                                  struct zdm_error *err) ZDM_CHECKED;
/* Moves to the step behind the operation's own, with an empty walk. Nothing to do but to hold the fence when the
 * journal is past it already (a repair). */
enum zdm_code pgsql_journal_step_on(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Commits, and marks the journal fields of the result as valid. */
enum zdm_code pgsql_journal_commit(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Checks the fence and locks the row until the transaction ends; for work that must not begin when fenced. */
enum zdm_code pgsql_journal_hold(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

enum zdm_code pgsql_run_step_done(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_run_step_back(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code pgsql_run_stop(struct pgsql_work *w, struct zdm_error *err) ZDM_CHECKED;

/* Where the row of this migration stands; step 0 when there is none. */
struct pgsql_place {
    uint32_t step;
    bool walked;
};
enum zdm_code pgsql_journal_place(struct pgsql_work *w, struct pgsql_place *out, struct zdm_error *err) ZDM_CHECKED;

#endif
