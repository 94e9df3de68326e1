/*
 * journal.h - database `zdm` of the shard's server: the directive accepted, how far a migration is, the plans, and what
 * we own. Tables and columns: schema.c, which names what differs from PostgreSQL's schema zdm. InnoDB, in binary or
 * utf8mb4_bin. `cursor` and `over` are words of the server's and are quoted.
 *
 * One server may hold several shards in several databases: `home` (the application's database) leads every primary key,
 * and every function here works on the rows of the session's database alone.
 *
 * One row of zdm.migration holds the fence and the progress together, so that one compare-and-set decides both
 * (protocol 3, rules 7 and 8). It is the last statement of every transaction that changes something for a migration,
 * and its row count is looked at.
 */
#ifndef AGENT_ENGINE_MYSQL_JOURNAL_JOURNAL_H
#define AGENT_ENGINE_MYSQL_JOURNAL_JOURNAL_H

#include "agent/engine/mysql/session/work.h"

enum { MYDB_JOURNAL_FORMAT = 1 };

/* Makes the journal where it is not there yet; safe against another agent doing the same (GET_LOCK). Where the database
 * cannot be made, the hint names deploy/sql/mysql-grants.sql. */
enum zdm_code mydb_journal_make(struct mydb_session *s, struct zdm_error *err) ZDM_CHECKED;
/* Every migration of this shard into the result. A node without a journal has none. */
enum zdm_code mydb_journal_load(struct mydb_session *s, struct agent_result *result, struct zdm_error *err) ZDM_CHECKED;

/* A replica of a primary on which no agent was yet has none. */
enum zdm_code mydb_journal_exists(struct mydb_session *s, bool *out, struct zdm_error *err) ZDM_CHECKED;

enum zdm_code mydb_journal_store_plan(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;
/* The comparison of protocol 3, rule 4, in the statement's WHERE. */
enum zdm_code mydb_journal_accept(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;

/* The progress that a compare-and-set writes. */
struct mydb_move {
    uint32_t step;
    const char *cursor, *bound, *walk_key; /* NULL: none */
    bool walked;
    bool keep_walk;      /* bound, walk_key and rows_total stay as they are */
    bool restart;        /* rows_done starts at 0 again */
    uint64_t rows_added; /* to rows_done */
    uint64_t rows_total;
};

/* Moves the row from (fence, journal_step, cursor) as the operation believes to `move`; ZDM_FENCED when it is not so.
 * The result's journal fields are filled, and count once the transaction is committed: see mydb_journal_commit. */
enum zdm_code mydb_journal_move(struct mydb_work *w, const struct mydb_move *move, struct zdm_error *err) ZDM_CHECKED;
/* Writes other columns of the row where the fence and the place hold: "column = $9, …", n values from $9 on. The server
 * carries out assignments from left to right, each seeing what those before it wrote. */
enum zdm_code mydb_journal_write(struct mydb_work *w, const char *set, size_t n, const char *const *values,
                                 struct zdm_error *err) ZDM_CHECKED;
/* Moves to the step behind the operation's own, with an empty walk. Nothing to do but to hold the fence when the
 * journal is past it already (a repair). */
enum zdm_code mydb_journal_step_on(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Commits, and marks the journal fields of the result as valid. */
enum zdm_code mydb_journal_commit(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Checks the fence and locks the row until the transaction ends; for work that must not begin when fenced. */
enum zdm_code mydb_journal_hold(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Begins, holds the fence and commits: before a statement that no transaction can hold together with the journal, when
 * there is no intent to write. */
enum zdm_code mydb_journal_check_fence(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;

/* Reads the row into the result's journal fields, without a look at the fence. */
enum zdm_code mydb_journal_fill(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Of a statement on database zdm: "while <what>: …". Who waited for a row there in vain tries again: nobody holds a
 * table. */
enum zdm_code mydb_journal_failed(struct zdm_error *err, const char *what);

/* Where the row of this migration stands; step 0 when there is none. walk_key: malloc'd. */
struct mydb_place {
    uint32_t step;
    bool walked;
};
enum zdm_code mydb_journal_place(struct mydb_work *w, struct mydb_place *out, struct zdm_error *err) ZDM_CHECKED;
/* What the walk of the row's step was begun with; *out malloc'd, NULL for none. */
enum zdm_code mydb_journal_walk_key(struct mydb_work *w, char **out, struct zdm_error *err) ZDM_CHECKED;

/* ---- owned.c: what a migration made, written down before it is made (zdm.owned) ---- */

/* kind: "column" (object "t.c"), "index" ("t.i"), "constraint" ("t.n"), "table" ("t"), "trigger" ("t"). In the
 * transaction at hand. A row of another migration is taken over: the caller has seen that the object is not there. */
enum zdm_code mydb_owned_put(struct mydb_work *w, const char *kind, const char *object,
                             struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_owned_forget(struct mydb_work *w, const char *kind, const char *object,
                                struct zdm_error *err) ZDM_CHECKED;
/* Is it this migration's by that row? */
enum zdm_code mydb_owned_is(struct mydb_work *w, const char *kind, const char *object, bool *out,
                            struct zdm_error *err) ZDM_CHECKED;

/* ---- former.c: what a step's way back runs, one statement a row (zdm.former) ---- */
enum zdm_code mydb_former_keep(struct mydb_work *w, unsigned part, const char *back_sql, const char *made,
                               struct zdm_error *err) ZDM_CHECKED;
/* The statement of a part and how the catalogue stood after the change; malloc'd, NULL when there is none. */
enum zdm_code mydb_former_read(struct mydb_work *w, unsigned part, char **out_back_sql, char **out_made,
                               struct zdm_error *err) ZDM_CHECKED;
enum zdm_code mydb_former_forget(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Parts below that one alone. */
enum zdm_code mydb_former_forget_below(struct mydb_work *w, unsigned part, struct zdm_error *err) ZDM_CHECKED;

/* ---- hidden.c: what was taken out of sight (zdm.hidden) ---- */
struct mydb_hidden {
    char *kind;  /* "column", "table", "index", "images", "default", … */
    char *table; /* unhidden name */
    char *name, *hidden_name;
    char *definition, *back_sql, *remark; /* "" and NULL as they were put */
    char *state;                          /* "hiding", "hidden", "back" */
    bool by_rollback;
    int64_t hidden_at_ms; /* by the database's clock */
};
/* In the transaction at hand: writes (or writes anew) a row under that step. hidden_at_ms 0: now, by the database's
 * clock; else that time is kept. */
enum zdm_code mydb_hidden_put(struct mydb_work *w, uint32_t step, const struct mydb_hidden *h,
                              struct zdm_error *err) ZDM_CHECKED;
/* Rows of the operation's migration: of that step (0: of all), of that kind (NULL: of all). Freed with
 * mydb_hidden_free. */
enum zdm_code mydb_hidden_list(struct mydb_work *w, uint32_t step, const char *kind, struct mydb_hidden **out,
                               size_t *out_n, struct zdm_error *err) ZDM_CHECKED;
void mydb_hidden_free(struct mydb_hidden *hidden, size_t n);
/* kind and hidden_name NULL: of all. */
enum zdm_code mydb_hidden_forget(struct mydb_work *w, uint32_t step, const char *kind, const char *hidden_name,
                                 struct zdm_error *err) ZDM_CHECKED;
/* In the transaction that finds the operation's step done: what was on its way out of sight is so by now. */
enum zdm_code mydb_hidden_settle(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;
/* What is hidden on this shard, of every migration, into the result (SIGNALS): kinds "column", "table", "index" and
 * "images", once they are hidden (not "hiding", not "back"). A node without a journal has none. The definition of
 * images of deleted rows is MYDB_HOLDS_ROWS. */
#define MYDB_HOLDS_ROWS "rows"
enum zdm_code mydb_hidden_show(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;
/* Is its grace over (or purge_now)? Else *out_wait_ms is what is left. */
bool mydb_hidden_is_due(const struct mydb_work *w, const struct mydb_hidden *h, int64_t now_ms, int64_t *out_wait_ms);
/* SQL over a row b of zdm.walk_back that is over: "1,204 rows were …; …", NULL when there is nothing to tell. */
#define MYDB_WALK_BACK_ROWS(n) "CONCAT(FORMAT(b." n ", 0, 'en_US'), IF(b." n " = 1, ' row was ', ' rows were '))"
/* Of a replica whose primary no agent of this release has written on, the table may lack these columns yet: then their
 * names are those of `none`. */
#define MYDB_WALK_BACK_KEPT                                                                                            \
    "(SELECT (SELECT IF(rows_kept > 0, CONCAT(FORMAT(rows_kept, 0, 'en_US'), IF(rows_kept = 1, ' row was ',"           \
    " ' rows were '), why_kept), NULL) FROM zdm.walk_back k WHERE k.home = b.home AND k.migration = b.migration AND"   \
    " k.step = b.step) FROM (SELECT 0 AS rows_kept, '' AS why_kept) none)"
#define MYDB_WALK_BACK_REMARK                                                                                          \
    "NULLIF(CONCAT_WS('; ', IF(b.rows_told > 0, CONCAT(" MYDB_WALK_BACK_ROWS(                                          \
        "rows_told") ", b.told), NULL),"                                                                               \
                     " IF(b.rows_left > 0, CONCAT(" MYDB_WALK_BACK_ROWS(                                               \
                         "rows_left") ", b.why_left), NULL), " MYDB_WALK_BACK_KEPT "), '')"
/* In the transaction at hand. What walks of earlier rollbacks told was about those. */
enum zdm_code mydb_journal_untell(struct mydb_work *w, struct zdm_error *err) ZDM_CHECKED;
/* … What comparisons counted, of that step and those behind it: nobody should be told of it any more. */
enum zdm_code mydb_journal_uncount(struct mydb_work *w, uint32_t step, struct zdm_error *err) ZDM_CHECKED;
/* The database's clock. */
enum zdm_code mydb_clock(struct mydb_session *s, int64_t *out_ms, struct zdm_error *err) ZDM_CHECKED;

#endif
