/*
 * engine.h - the database seam of the agent: what every engine must be able to do, as one vtable.
 *
 * All work is asynchronous: start(op) takes an operation, and exactly one result comes back for it through the sink,
 * whatever happens (also after cancel and close). The core asks for capabilities, never for a name.
 *
 * Lanes. Operations of one lane run one after the other in the order in which they were started; lanes do not wait for
 * each other. Lane 0 is the control lane: connect, journal, accept, signals. Lane 1 + slot is the work of one
 * migration: inspect and run. AGENT_LANE_SURVEY is for surveys alone. A lane has a database session of its own, opened
 * when it is first needed.
 *
 * Fencing (protocol 3, rule 8). Everything that changes the database on behalf of a migration ends with
 *   UPDATE zdm.migration SET … WHERE migration AND epoch AND generation AND step AND cursor are as the core believes
 * in the same transaction, and a row count other than 1 rolls all of it back: AGENT_FENCED. What cannot be in a
 * transaction (concurrent index builds) checks the fence just before, and looks afterwards. A stop that is journalled
 * fences too: every run of an attempt up to the failed one, whichever process it is of. A stop itself asks for epoch
 * and generation only.
 *
 * Who may call: start, cancel and close from one thread. The sink is called from any thread, never from inside start.
 */
#ifndef AGENT_ENGINE_ENGINE_H
#define AGENT_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/plan/directive.h"
#include "common/plan/plan.h"
#include "common/plan/report.h"
#include "common/plan/survey.h"

enum { AGENT_LANE_SURVEY = 1 + 2 * ZDM_MIGRATIONS_ACTIVE_MAX, AGENT_REPLICAS_MAX = 8 };

enum agent_capability {
    AGENT_CAN_TRANSACTIONAL_DDL = 1, /* DDL and journal in one transaction */
    AGENT_CAN_NOWAIT = 2,            /* a lock request that never queues */
    AGENT_CAN_CONCURRENT_INDEX = 4,
    AGENT_CAN_HIDE_BY_RENAME = 8,
    AGENT_CAN_HIDE_BY_INVISIBLE = 16
};

/* How far a migration is on this node: one row of zdm.migration. Everything below step `step` was journalled as done.
 */
struct agent_journal {
    char migration[ZDM_NAME_MAX + 1];
    struct zdm_hash plan_hash;
    struct zdm_fence accepted;
    struct zdm_hash digest;        /* of the directive's signed bytes */
    struct zdm_envelope directive; /* as accepted; verified again by the driver */
    struct zdm_envelope plan;      /* from zdm.plan; verified again by the driver */
    uint32_t step;                 /* ordinal of the first step that is not journalled as done */
    char *cursor;                  /* canonical text of the last key done in that step; NULL before the first batch */
    char *bound;                   /* text of the last key of the walk; NULL before it is fixed */
    bool walked;                   /* the walk of that step is at its end */
    uint64_t rows_done, rows_total;
    uint32_t failed_attempt; /* STOPPED is durable; 0: not stopped */
    uint32_t failed_step;
    enum zdm_code failed_code;
    char failed_text[ZDM_TEXT_MAX + 1];
    uint32_t trust_version;    /* highest ever seen by this shard's journal */
    uint32_t entered_phase;    /* highest phase whose approvals were spent; falls with a rollback */
    uint32_t reached_phase;    /* highest zdm_directive_reach of the orders that were accepted for this plan; falls with
                                  a rollback, too */
    uint32_t switched_phase;   /* mark of common/plan/undo.h: kept when a rollback begins, lowered when it has ended */
    bool purge_now;            /* the approvals that let the purge phase in say `now` */
    uint64_t purge_generation; /* mode purge: generation of the order whose approvals were spent; 0: none */
    bool purge_generation_now; /* and these say `now` */
    struct zdm_id undo_nonce;  /* of the rollback under way; zero: none. Going forward ends it */
    char remark[ZDM_TEXT_MAX + 1]; /* of that rollback: what did not come back as it was; "" for nothing */
};

void agent_journal_fini(struct agent_journal *journal);

enum agent_op_kind {
    AGENT_OP_CONNECT = 1, /* opens (or opens anew) all sessions; makes or upgrades the journal on a writable node */
    AGENT_OP_STORE_PLAN,  /* plan: envelope, one transaction, idempotent */
    AGENT_OP_ACCEPT,  /* accept the directive: insert or compare-and-set of the migration's row. Of another plan than
                         the row's only while the row is as `fence` and `journal_step` say: AGENT_FENCED else */
    AGENT_OP_INSPECT, /* look at one step; changes nothing */
    AGENT_OP_RUN,     /* one action of one step */
    AGENT_OP_SIGNALS, /* role, identity, and the signals of the pacing */
    AGENT_OP_SURVEY   /* everything that a plan would meet on this node (common/plan/survey.h); changes nothing */
};

enum agent_run {
    AGENT_RUN_NONE = 0,
    AGENT_RUN_DDL,          /* add column, add check, set not null, drop constraint: short class */
    AGENT_RUN_INSTALL_SYNC, /* validates the derivation against the catalogue first */
    AGENT_RUN_REMOVE_SYNC,
    AGENT_RUN_BOUND,       /* fixes the walk: last key, estimate of rows; for backfills and compare checks */
    AGENT_RUN_BATCH,       /* the next rows behind the cursor */
    AGENT_RUN_VALIDATE,    /* long class */
    AGENT_RUN_INDEX_BUILD, /* long class */
    AGENT_RUN_INDEX_DROP_INVALID,
    AGENT_RUN_CHECK_CHUNK, /* compare: the next rows; query: all of it */
    AGENT_RUN_HIDE,
    AGENT_RUN_PURGE,    /* really drops what the step names, and what rollbacks left behind for the same object; before
                           `grace_ms` have passed since it was hidden, unless purge_now: AGENT_EARLY */
    AGENT_RUN_REINDEX,  /* long: builds the next index of the step anew, without blocking */
    AGENT_RUN_LONG_SQL, /* long: an as-is statement outside of a transaction */
    AGENT_RUN_WAIT,     /* one look at a wait; not over: AGENT_EARLY, with the time until the next look */
    AGENT_RUN_PURGE_LEFTOVERS, /* mode purge: drops the next thing that a rollback hid; AGENT_ALREADY: nothing is left
                                */
    /* The way back, one part at a time: INSPECT with `back` says which part comes next. */
    AGENT_RUN_UNDO_DDL,    /* short: hides what ADD COLUMN added, or runs the step's inverse, where it was ours */
    AGENT_RUN_UNDO_SYNC,   /* short: removes the triggers; in the same transaction hides the columns they fill whose
                              ADD COLUMN step has an ordinal of `floor` or more */
    AGENT_RUN_UNDO_REMOVE, /* short: installs again what SYNC_REMOVE removed */
    AGENT_RUN_UNHIDE,      /* short: the column, its triggers both ways, its constraints NOT VALID; once more after
                              RESTORE, for what that has proven */
    AGENT_RUN_RESTORE,     /* long: validates or builds anew one of the things that an UNHIDE brought back */
    AGENT_RUN_INDEX_DROP,  /* long: drops the step's index without blocking */
    AGENT_RUN_IMAGES_BACK, /* a batch: writes before-images back where the column still holds what was written; of a
                              SYNC_REMOVE, after UNDO_REMOVE: brings the old column in step with the new one. The first
                              one fixes the walk itself; of a backfill, it moves the journal to the step */
    /* Journal only, each with the fence in the same transaction. */
    AGENT_RUN_UNDO_BEGIN,      /* spends undo_nonce (AGENT_FAIL, ZDM_REFUSED: spent before), `spend`, and all approvals
                                  of phases after to_phase, and of leftovers, that were issued up to
                                  undo_issued_at_ms; entered_phase and reached_phase fall to it, and what mode purge was
                                  allowed is over; switched_phase rises to the given one. Checks nothing was purged
                                  there */
    AGENT_RUN_UNDO_END,        /* the rollback is at its goal: switched_phase falls to to_phase */
    AGENT_RUN_SPEND_APPROVALS, /* notes `spend` and that their phase was entered (AGENT_FAIL, ZDM_REFUSED: spent) */
    AGENT_RUN_STEP_DONE,       /* journal only: the step is proven, go to the next (cursor, bound, rows cleared) */
    AGENT_RUN_STEP_BACK,       /* journal only: step := the given one (regression; undo: that step is undone) */
    AGENT_RUN_STOP             /* journal only: failed_attempt and the error */
};

/* An approval that lets a phase in: noted in the journal, so that it never counts twice on this shard. */
struct agent_spend {
    struct zdm_id nonce;
    struct zdm_id approver;
    int64_t issued_at_ms; /* an order to go back that was issued later has spent it, where it goes below the phase */
};

/* An operation. Strings and pointers are borrowed by start(), which copies what it keeps; plan is shared by reference.
 */
struct agent_op {
    uint64_t id; /* never 0, never twice */
    unsigned lane;
    enum agent_op_kind kind;
    enum agent_run run;
    struct zdm_plan *plan;  /* start() takes a reference of its own */
    uint32_t step;          /* ordinal */
    struct zdm_fence fence; /* accepted: what the compare-and-set expects */
    char migration[ZDM_NAME_MAX + 1];
    uint32_t journal_step; /* step of the journal row as the core believes */
    const char *cursor;    /* cursor as the core believes; NULL: none */
    const char *bound;
    bool lets_pass; /* STEP_DONE of a comparison that the journal is past: a person lets the rows stay as they are, and
                       the note of an interruption that speaks against it falls */
    uint32_t rows;  /* BATCH, CHECK_CHUNK: rows to walk */
    uint32_t lock_wait_ms;     /* short class: 0 is NOWAIT, else the budget over the sum of locks */
    uint32_t max_stall_ms;     /* short class: … and so long, for an autovacuum to give way; 0: no longer */
    uint32_t time_limit_ms;    /* the attempt ends after this; 0: none (long class) */
    bool locked_form;          /* BATCH: lock the rows in key order first (after deadlocks, database.md 21) */
    uint32_t attempt;          /* RUN: of the order at hand; STOP: it failed */
    enum zdm_code failed_code; /* STOP */
    const char *failed_text;   /* STOP */
    const struct zdm_directive *directive; /* ACCEPT */
    const struct zdm_envelope *envelope;   /* ACCEPT: of the directive; STORE_PLAN: of the plan */
    struct zdm_hash digest;                /* ACCEPT: of the directive; STORE_PLAN: the plan's hash */
    uint32_t trust_version;                /* ACCEPT: of the trust file in force; the journal's is only ever raised */
    bool purge_goes_on; /* ACCEPT: mode purge, and the same attempt as the standing order of mode purge: what was spent
                           for that one stands for this one */
    bool amends; /* ACCEPT: the plan is another one, with the same phases as far as any was entered: what let those in
                    stands */
    uint32_t max_replica_lag_ms;     /* SIGNALS: limits to judge by */
    uint32_t max_slot_wal_mb;        /* … of what a replication slot keeps of WAL; 0: none */
    bool back;                       /* INSPECT: is the step undone, and if not, what comes next? */
    uint32_t floor;                  /* on the way back: common/plan/undo.h; INSPECT too */
    uint32_t to_phase;               /* UNDO_BEGIN; UNDO_END: the goal */
    uint32_t switched_phase;         /* UNDO_BEGIN */
    struct zdm_id undo_nonce;        /* UNDO_BEGIN */
    int64_t undo_issued_at_ms;       /* UNDO_BEGIN */
    const struct agent_spend *spend; /* SPEND_APPROVALS; UNDO_BEGIN: those that allow the loss */
    size_t n_spend;
    uint32_t spend_phase; /* SPEND_APPROVALS: the phase that is entered; 0: mode purge, under fence.generation */
    int64_t grace_ms;     /* PURGE, PURGE_LEFTOVERS */
    bool purge_now;       /* PURGE, PURGE_LEFTOVERS; SPEND_APPROVALS: the approvals say so */
};

enum agent_outcome {
    AGENT_OK = 1,
    AGENT_ALREADY, /* was so before: also a success */
    AGENT_ABSENT,  /* what the operation needs is not there */
    AGENT_RETRY,   /* deadlock, serialization, connection refused: the same again may work */
    AGENT_LOCK,    /* the lock was not got; blocker says who holds it */
    AGENT_FENCED,  /* the compare-and-set found another owner: nothing was changed */
    AGENT_UNKNOWN, /* the answer was lost: it may or may not have happened */
    AGENT_EARLY,   /* a purge or a wait before its time: wait_ms says how long it is to be waited */
    AGENT_FAIL,    /* refused by the database or by a rule; a person decides */
    AGENT_BUG
};

enum agent_proof {
    AGENT_PROOF_NONE = 0,
    AGENT_PROOF_DONE, /* with `back`: undone, or never done */
    AGENT_PROOF_NOT_DONE,
    AGENT_PROOF_LEFTOVER, /* an invalid index of ours is in the way */
    AGENT_PROOF_FOREIGN,  /* an object of that name is there that is not this migration's: error says which */
    AGENT_PROOF_UNKNOWN
};

/* Triggers of a sync that were found not to be what was installed: until a comparison of the table has been through
 * since, what the triggers kept in step is not proven. */
struct agent_interrupted {
    char migration[ZDM_NAME_MAX + 1];
    uint32_t step;               /* ordinal of the sync */
    char what[ZDM_TEXT_MAX / 2]; /* "trigger x of users is disabled" */
    int64_t first_ms;            /* when it was seen first, by the database's clock */
};

/* A comparison of old and new, as far as it went, and the rows that it counted whose old column cannot hold what the
 * new one has. */
struct agent_compared {
    char migration[ZDM_NAME_MAX + 1];
    uint32_t step; /* ordinal of the comparison */
    int64_t rows_left;
};

/* One row of zdm.hidden that stands for a column, table or index. */
struct agent_hidden {
    char migration[ZDM_NAME_MAX + 1];
    char what[ZDM_TEXT_MAX / 2]; /* "column public.users.name" */
    int64_t hidden_at_ms;
    bool by_rollback;
    int64_t scans; /* of an index, since then, on all nodes that are known; -1: no index, or no longer used */
};

struct agent_result {
    uint64_t op;
    unsigned lane;
    enum agent_op_kind kind;
    enum agent_run run;
    enum agent_outcome outcome;
    struct zdm_error error;         /* for LOCK, RETRY, FAIL, UNKNOWN, BUG */
    char blocker[ZDM_TEXT_MAX + 1]; /* LOCK: "pid 4242 app@shop, idle in transaction for 12 s: UPDATE …" */
    bool blocker_is_autovacuum;     /* an ordinary one: the next attempt may make it give way */
    bool blocker_is_elsewhere; /* a reader on a replica, or a replica whose readers nobody sees: nothing was asked for
                                  on the primary */

    /* CONNECT and SIGNALS */
    bool connected, writable;
    enum zdm_engine engine;
    unsigned capabilities;
    char identity[64];
    uint64_t timeline;
    char server_version[32];
    struct zdm_signal signals[ZDM_SIGNALS_MAX];
    size_t n_signals;
    struct agent_journal *journals; /* CONNECT: every migration of this shard; owned by the result */
    size_t n_journals;

    /* INSPECT */
    enum agent_proof proof;
    enum agent_run next_run;       /* with `back` and NOT_DONE: the part of the way back that comes next */
    char remark[ZDM_TEXT_MAX + 1]; /* with `back`, and of runs on the way back: what is not exact; "" for nothing */

    /* SIGNALS: what is hidden on this shard, by the database's clock; owned by the result */
    struct agent_hidden *hidden;
    size_t n_hidden;
    /* SIGNALS: owned by the result */
    struct agent_interrupted *interrupted;
    size_t n_interrupted;
    struct agent_compared *compared;
    size_t n_compared;

    struct zdm_survey *survey; /* SURVEY: owned by the result */

    /* RUN, AGENT_EARLY */
    int64_t wait_ms;
    /* SPEND_APPROVALS and UNDO_BEGIN that were refused: bit i: spend[i] was spent before; 0: something else */
    uint32_t spent_before;

    /* RUN and ACCEPT. A VALIDATE that fails drops its constraint and moves the journal back to the step that added it:
     * that FAIL has a valid journal too. */
    bool journal_valid; /* the row below is what the database holds now */
    uint32_t journal_step;
    char *cursor; /* after BOUND, BATCH, CHECK_CHUNK, STEP_*; owned by the result */
    char *bound;
    bool walked;
    uint64_t rows_done, rows_total;
    uint32_t entered_phase; /* as in struct agent_journal, valid with journal_valid */
    uint32_t reached_phase;
    uint32_t switched_phase;
    bool purge_now;
    uint64_t purge_generation;
    bool purge_generation_now;
    struct zdm_id undo_nonce;
    uint32_t rows_walked; /* of this batch */
    uint32_t rows_changed;
    uint32_t elapsed_ms;
};

void agent_result_free(struct agent_result *result);

/* Takes the result. Called from any thread. */
struct agent_engine_sink {
    void (*op_done)(void *ctx, struct agent_result *result);
    void *ctx;
};

struct agent_engine_ops {
    const char *name;
    /* Takes the operation or refuses it at once (ZDM_FULL: too many in the lane); a taken one gets its result. */
    enum zdm_code (*start)(void *self, const struct agent_op *op, struct zdm_error *err);
    /* Asks a running or waiting operation to end soon (its result is AGENT_RETRY with ZDM_CANCELLED, unless it was
     * quicker). Unknown ids are ignored. Never blocks. */
    void (*cancel)(void *self, uint64_t op);
    /* Cancels everything, waits for the results to be delivered, frees. */
    void (*close)(void *self);
};

struct agent_engine {
    const struct agent_engine_ops *ops;
    void *self;
};

/* What an engine is opened with. */
struct agent_engine_config {
    const char *dsn; /* libpq conninfo without password, or with passfile/service; "mysql:…" (mysql/session/dsn.h) */
    const char *application_name; /* "zdm-agent shard-1" */
    uint32_t connect_timeout_ms;
    const char *const *replicas; /* conninfos of the node's standbys: readers there are waited for, checks run there */
    size_t n_replicas;           /* AGENT_REPLICAS_MAX at most */
    const char *owner; /* the role that owns the application's tables, and will own what plans make; NULL: found out */
    struct agent_engine_sink sink;
};

/* The PostgreSQL engine (agent/engine/postgresql). Opens no connection yet. */
enum zdm_code agent_postgresql_open(const struct agent_engine_config *config, struct agent_engine *out_engine,
                                    struct zdm_error *err) ZDM_CHECKED;

/* The engine for MySQL and MariaDB (agent/engine/mysql), likewise. */
enum zdm_code agent_mysql_open(const struct agent_engine_config *config, struct agent_engine *out_engine,
                               struct zdm_error *err) ZDM_CHECKED;

/* Refuse a connection string that cannot be read. Never say a part of it: it could be of a password. */
enum zdm_code agent_postgresql_check_dsn(const char *dsn, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code agent_mysql_check_dsn(const char *dsn, struct zdm_error *err) ZDM_CHECKED;

/* What the core is told for the code of an error. */
enum agent_outcome agent_outcome_of(enum zdm_code code);

const char *agent_outcome_name(enum agent_outcome outcome);
const char *agent_run_name(enum agent_run run);
const char *agent_proof_name(enum agent_proof proof);

#endif
