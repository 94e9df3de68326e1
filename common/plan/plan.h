/*
 * plan.h - the migration model: a runbook compiled, as everybody after the compiler sees it.
 *
 * A plan is made once, by zdmctl, and encoded once (proto/plan_codec.h); its bytes are hashed, signed and sent as they
 * are. Everything here is what those bytes say and nothing else: prose, positions and findings live in struct
 * zdm_notes (notes.h), which is shown and never executed (protocol 2).
 *
 * SQL in a plan comes in two shapes: whole statements (`sql`), sent as they are, and fragments, which the agent puts
 * into fixed templates of its own. Fragments name columns of the row as t."col" (batch), NEW."col" and OLD."col"
 * (trigger); the compiler writes all three so that nobody after it has to parse SQL.
 *
 * Ownership: a plan owns all it points to; it is immutable after it was built and may be shared (zdm_plan_ref).
 */
#ifndef ZDM_PLAN_PLAN_H
#define ZDM_PLAN_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/limits.h"

enum { ZDM_PLAN_FORMAT = 1 };

enum zdm_phase_class {
    ZDM_PHASE_EXPAND = 1,
    ZDM_PHASE_MIGRATE = 2,
    ZDM_PHASE_SWITCH = 3,
    ZDM_PHASE_CONTRACT = 4,
    ZDM_PHASE_PURGE = 5
};

/* Engine bits. MySQL includes MariaDB. ANY: a step of each engine that the plan is for; flags alone are, and all steps
 * of plans that older releases made, which are for PostgreSQL. */
enum zdm_engine { ZDM_ENGINE_ANY = 0, ZDM_ENGINE_POSTGRESQL = 1, ZDM_ENGINE_MYSQL = 2 };

/* What limits a step's wait for locks (design 5). */
enum zdm_lock_class {
    ZDM_LOCK_NONE = 0,  /* row locks of short batches, or reads */
    ZDM_LOCK_SHORT = 1, /* lock_timeout around 100 ms, retried with jitter, never queued in front of traffic */
    ZDM_LOCK_LONG = 2   /* waits for old snapshots; must not be killed by a short timeout */
};

/* Locks on a table, PostgreSQL's, the weakest first; then MySQL's one, of which statements share what changes of the
 * table take alone, for a moment. */
enum zdm_table_lock {
    ZDM_TABLE_LOCK_NONE = 0,
    ZDM_TABLE_LOCK_ACCESS_SHARE,
    ZDM_TABLE_LOCK_ROW_SHARE,
    ZDM_TABLE_LOCK_ROW_EXCLUSIVE,
    ZDM_TABLE_LOCK_SHARE_UPDATE_EXCLUSIVE,
    ZDM_TABLE_LOCK_SHARE,
    ZDM_TABLE_LOCK_SHARE_ROW_EXCLUSIVE,
    ZDM_TABLE_LOCK_EXCLUSIVE,
    ZDM_TABLE_LOCK_ACCESS_EXCLUSIVE,
    ZDM_TABLE_LOCK_METADATA,
    ZDM_TABLE_LOCK_METADATA_SHARED
};

enum zdm_step_kind {
    ZDM_STEP_DDL = 1,
    ZDM_STEP_INDEX = 2,
    ZDM_STEP_VALIDATE = 3,
    ZDM_STEP_SYNC = 4,
    ZDM_STEP_BACKFILL = 5,
    ZDM_STEP_CHECK = 6,
    ZDM_STEP_REBUILD = 7,
    ZDM_STEP_HIDE = 8,
    ZDM_STEP_PURGE = 9,
    ZDM_STEP_GATE = 10
};

/* What exactly a step does; it decides how the agent proves in the catalogue that it is done. The comment says which
 * fields of struct zdm_step it uses besides table, and the proof; on MySQL where `mysql:` stands, other ones. MySQL has
 * no ADD_CHECK, ADD_UNIQUE, ADD_PRIMARY_KEY, DROP_CONSTRAINT, SET_STORAGE, CREATE_TYPE, ADD_VALUE, REINDEX and
 * partitions, and writes its tables with the schema "". */
enum zdm_action {
    ZDM_ACTION_ADD_COLUMN = 1,      /* column, sql; the column exists with an owner comment */
    ZDM_ACTION_ADD_CHECK = 2,       /* object (constraint), column, sql; CHECK … NOT VALID exists */
    ZDM_ACTION_SET_NOT_NULL = 3,    /* column, sql; attnotnull. mysql: sql is the MODIFY, inverse FORMER, rewrite_ok */
    ZDM_ACTION_DROP_CONSTRAINT = 4, /* object, sql; no such constraint */
    ZDM_ACTION_VALIDATE = 5,        /* object, sql; the constraint is validated. mysql: sql is the SELECT of a row
                                       without its parent; it returned none (journal) */
    ZDM_ACTION_CREATE_INDEX = 6,    /* object (index), sql; a valid index of that name on the table */
    ZDM_ACTION_SYNC_INSTALL = 7,    /* derivation; the triggers exist, enabled always, with the function's hash */
    ZDM_ACTION_SYNC_REMOVE = 8,     /* sync_step; no trigger or function of that sync */
    ZDM_ACTION_BACKFILL = 9,        /* derivation; object (images table) iff inverse is IMAGES; the journal's cursor
                                       stands at the end */
    ZDM_ACTION_CHECK_QUERY = 10,    /* sql; returned no row (journal) */
    ZDM_ACTION_CHECK_COMPARE = 11,  /* derivation; every row's target is identical to f(row) (journal) */
    ZDM_ACTION_HIDE_COLUMN = 12,    /* column, object (hidden name), sync_step or 0; only the hidden name exists. mysql:
                                       object is the column itself, which is INVISIBLE */
    ZDM_ACTION_PURGE_COLUMN = 13,   /* column, object (hidden name), sync_step or 0; neither name exists */
    ZDM_ACTION_GATE_FLAG = 14,      /* flag; carried out by the coordinator, nothing to prove on the shard */
    ZDM_ACTION_PURGE_IMAGES = 15,   /* object (table in schema zdm that holds before-images); it does not exist */

    /* Constraints. A person's CHECK is an ADD_CHECK whose column is NULL. */
    ZDM_ACTION_ADD_FOREIGN_KEY = 16, /* object, others[0] (the parent), sql; FOREIGN KEY … NOT VALID exists */
    ZDM_ACTION_ADD_UNIQUE = 17,      /* object (constraint, and the valid unique index of that name), sql */
    ZDM_ACTION_ADD_PRIMARY_KEY = 18, /* likewise */
    ZDM_ACTION_LIFT_CONSTRAINT = 19, /* object; there is no such constraint, and its definition is kept (zdm.hidden) */
    ZDM_ACTION_DROP_NOT_NULL = 20,   /* column, sql; not attnotnull; the way back proves it as SET_NOT_NULL does */

    /* Changes of the catalogue whose former state the agent keeps (zdm.former). */
    ZDM_ACTION_SET_DEFAULT = 21, /* column, sql (SET DEFAULT or DROP DEFAULT); journal, and the default is as written */
    ZDM_ACTION_SET_STORAGE = 22, /* column or NULL, sql (SET (…), RESET (…), SET STATISTICS n) */
    ZDM_ACTION_COMMENT = 23,     /* sql; the table, or column, or object (constraint or index) has that comment */
    ZDM_ACTION_WIDEN_TYPE = 24,  /* column, sql; format_type is the one written. No rewrite, or the step is refused */

    /* Objects. A type's table has a schema and no name. */
    ZDM_ACTION_CREATE_TABLE = 25, /* sql, others (parents of its foreign keys); the table exists, with our mark */
    ZDM_ACTION_CREATE_TYPE = 26,  /* object, sql; the type exists, with our mark */
    ZDM_ACTION_ADD_VALUE = 27,    /* object (type), column (the label), sql; the label exists */
    ZDM_ACTION_HIDE_TABLE = 28,   /* object (schema that it is moved to); the table stands there, with our mark. mysql:
                                     object is the name that it gets */
    ZDM_ACTION_PURGE_TABLE = 29,  /* object (that schema); neither table nor schema exists */
    ZDM_ACTION_HIDE_INDEX = 30,   /* object (index); nothing changes but a row in zdm.hidden: scans are watched. mysql:
                                     table too; the index is INVISIBLE, or IGNORED */
    ZDM_ACTION_PURGE_INDEX = 31,  /* object (index); it does not exist. DROP INDEX CONCURRENTLY: long class */
    ZDM_ACTION_REINDEX = 32,      /* object (index) or NULL for all of the table; each was built anew (journal) */

    /* Partitions: the step's table is the parent, but for the check, whose table is the child. */
    ZDM_ACTION_ADD_PARTITION_CHECK = 33, /* object (constraint), others[0] (parent), sql (FOR VALUES …): the agent asks
                                            the server for the partition's constraint; CHECK … NOT VALID exists */
    ZDM_ACTION_ATTACH_PARTITION = 34,    /* others[0] (child), sql; it is a partition of the parent */
    ZDM_ACTION_DETACH_PARTITION = 35,    /* others[0] (child), sql; it is none */

    ZDM_ACTION_DELETE = 36, /* derivation: filter only; object (archive of rows) iff inverse is IMAGES; as BACKFILL */
    ZDM_ACTION_AS_IS = 37,  /* sql, verbatim, of lock class `lock`; proof_sql returns no row. No approval-free phase */
    ZDM_ACTION_GATE_WAIT = 38,  /* wait; carried out by the agent: the time is over and the condition true (journal) */
    ZDM_ACTION_SHOW_COLUMN = 39 /* mysql alone: column; the column that ADD_COLUMN added INVISIBLE is visible */
};

enum { ZDM_ACTION_LAST = ZDM_ACTION_SHOW_COLUMN };

struct zdm_table {
    char *schema; /* never NULL: the compiler fills in the default. "" on MySQL: the database at hand */
    char *name;
};

/* target := expr, for one column. */
struct zdm_assignment {
    char *target;
    char *expr;     /* over t."col" */
    char *expr_new; /* the same over NEW."col"; NULL when no trigger is derived */
    char *copy_of;  /* the source column when expr is just that column, else NULL */
    char *initial;  /* SQL literal that the target held before anybody wrote it; NULL means SQL NULL */
    bool added;     /* the target was added by this migration */
    bool fill_once; /* volatile expr or now(): written only where the target is identical to initial */
};

/* One UPDATE, taken apart as database.md 3 says. */
struct zdm_derivation {
    struct zdm_assignment *assignments;
    size_t n_assignments;
    char **sources; /* columns read by the expressions and the filter, without the targets */
    size_t n_sources;
    char *guard;      /* terms that name only targets, over t.; NULL for none; batch only */
    char *filter;     /* terms that name only other columns, over t.; NULL for none; batch and trigger */
    char *filter_new; /* the filter over NEW. and OLD. */
    char *filter_old;
    bool both_ways;  /* a pure copy: sync in both directions */
    bool idempotent; /* the batch may add "target is not identical to expr"; false for n = n + 1 */
};

struct zdm_flag {
    char *key;
    char **rollout; /* "internal", "1%", … in order */
    size_t n_rollout;
    int64_t soak_ms;
};

/* A wait inside a phase, on each shard by its own database's clock. */
struct zdm_wait_gate {
    int64_t for_ms;   /* at least so long after the step was reached; 0: no */
    char *until;      /* a SELECT whose first value must be true; NULL: none */
    int64_t every_ms; /* between two looks at `until` */
    int64_t limit_ms; /* the step fails when `until` is not true by then; 0: never */
};

enum zdm_inverse_kind {
    ZDM_INVERSE_NONE = 0, /* nothing to undo */
    ZDM_INVERSE_HIDE = 1, /* what was added is hidden, then purged: a rollback never drops */
    ZDM_INVERSE_UNHIDE = 2,
    ZDM_INVERSE_SQL = 3,        /* inverse_sql */
    ZDM_INVERSE_REMOVE = 4,     /* sync: remove the triggers */
    ZDM_INVERSE_INSTALL = 5,    /* sync removed: install again */
    ZDM_INVERSE_IMAGES = 6,     /* write the before-images back */
    ZDM_INVERSE_IMPOSSIBLE = 7, /* destructive: needs approval */
    ZDM_INVERSE_FORMER = 8      /* what the agent kept of the former state is put back */
};

struct zdm_step {
    uint32_t ordinal; /* 1, 2, … over the whole plan; what the journal and reports count in */
    char id[24];      /* "2.1": phase and place; fence's name= in front where given: "fill" */
    enum zdm_step_kind kind;
    enum zdm_action action;
    enum zdm_engine engine;
    enum zdm_lock_class lock;
    uint32_t superseded_by; /* ordinal of the step after which this one's proof is no longer asked for; 0: never. In no
                               plan's bytes: zdm_plan_link says it */
    uint32_t sync_step;     /* ordinal of the sync step concerned, 0 for none */
    struct zdm_table table;
    char *column;
    char *object;
    char *sql;
    struct zdm_derivation *derivation; /* NULL where the action has none */
    struct zdm_flag *flag;
    uint32_t batch_rows;      /* upper bound of rows in a batch; 0: the agent's own */
    struct zdm_table *others; /* that the statement locks too: parents of foreign keys, the partition */
    size_t n_others;
    char *proof_sql; /* AS_IS: a SELECT that returns a row as long as the statement has not done its work */
    struct zdm_wait_gate *wait;
    bool unguarded;      /* goes on although there are replicas whose readers nobody can look at (database.md 1) */
    bool publication_ok; /* goes on although the table is published (database.md 11) */
    bool skip_triggers;  /* BACKFILL, DELETE: the application's triggers do not fire (database.md 16) */
    bool rewrite_ok;     /* AS_IS: a statement that writes the whole table anew is not refused; mysql: of columns, too
                            (zdm_step_may_rewrite) */
    bool exact_inverse;  /* a rollback would bring everything back; without, and with an inverse, the phase is
                            destructive */
    enum zdm_inverse_kind inverse;
    char *inverse_sql;
};

struct zdm_phase {
    uint32_t number; /* 1, 2, … */
    enum zdm_phase_class class;
    bool destructive;   /* some step's inverse is not exact; a backfill of an existing column (NONE) only warns */
    uint32_t approvals; /* signatures that entering asks for, before the trust file's minimum is applied */
    struct zdm_step *steps;
    size_t n_steps;
    struct zdm_hash digest; /* BLAKE2b-256 of the phase's bytes; filled by the codec */
};

/* One wave: shards matching a selector, or the first `percent` of the remaining fleet. */
struct zdm_wave {
    char *selector; /* NULL when it is a percentage */
    uint32_t percent;
};

/* Zero means the agent's default. */
struct zdm_throttle {
    uint32_t batch_target_ms;
    uint32_t duty_percent; /* share of time that batches may take, 1 to 100; 100 is no pacing */
    uint32_t max_replica_lag_ms;
    uint32_t max_stall_ms; /* that one attempt at a lock may cost the application, where only a long one can succeed */
};

struct zdm_plan {
    uint32_t format;
    char compiler[24]; /* release that made it */
    char id[ZDM_NAME_MAX + 1];
    unsigned engines; /* bits that the bytes name; 0 in those of older releases: ask zdm_plan_engines */
    char *selector;   /* "" for every shard */
    struct zdm_wave *waves;
    size_t n_waves; /* at least 1 */
    int64_t wave_soak_ms;
    uint32_t max_parallel;   /* 0: no limit */
    uint32_t failure_budget; /* failed shards that are tolerated before the migration halts */
    struct zdm_throttle throttle;
    int64_t grace_ms;         /* from hide to purge */
    struct zdm_table *tables; /* that the plan touches */
    size_t n_tables;
    struct zdm_phase *phases;
    size_t n_phases;
    struct zdm_hash hash; /* filled by the codec; what people compare */
    unsigned refs;        /* see zdm_plan_ref; used by one thread at a time or atomically by the functions below */
};

/* A zeroed plan with one reference, or NULL. The builder fills it with malloc'd parts. */
struct zdm_plan *zdm_plan_new(void);
/* Shares and releases; the last release frees. Atomic. NULL is allowed. */
struct zdm_plan *zdm_plan_ref(struct zdm_plan *plan);
void zdm_plan_unref(struct zdm_plan *plan);
void zdm_plan_unrefp(struct zdm_plan **plan);

/* The step with that ordinal, or NULL; its phase number. Borrowed. */
const struct zdm_step *zdm_plan_step(const struct zdm_plan *plan, uint32_t ordinal);
const struct zdm_phase *zdm_plan_phase(const struct zdm_plan *plan, uint32_t number);
uint32_t zdm_plan_phase_of(const struct zdm_plan *plan, uint32_t ordinal);
uint32_t zdm_plan_n_steps(const struct zdm_plan *plan);
/* The number of the last phase. */
uint32_t zdm_plan_last_phase(const struct zdm_plan *plan);
/* What stands between schema and name for people: "public.users"; nothing where there is no schema: "users". */
const char *zdm_table_dot(const struct zdm_table *table);
bool zdm_step_is_for(const struct zdm_step *step, enum zdm_engine engine);
/* May a step of its kind and engine have rewrite_ok? */
bool zdm_step_may_rewrite(const struct zdm_step *step);
/* Bits of the engines that the plan is for, at least one. */
unsigned zdm_plan_engines(const struct zdm_plan *plan);
bool zdm_plan_is_for(const struct zdm_plan *plan, enum zdm_engine engine);
/* MySQL: the step that shows the column which the ADD_COLUMN adds INVISIBLE; NULL: the column is visible at once. */
const struct zdm_step *zdm_plan_shows(const struct zdm_plan *plan, const struct zdm_step *add);
/* Does the plan touch a table of the other? NULL, or the first such table of a. */
const struct zdm_table *zdm_plan_common_table(const struct zdm_plan *a, const struct zdm_plan *b);

/* Derives superseded_by of every step from the plan. Whoever builds a plan calls it last; decoding does. */
void zdm_plan_link(struct zdm_plan *plan);

/* Is the plan whole: numbers in order, every action with its fields, sync_step pointing at a step that exists, bounds
 * kept? Everybody who decodes a plan calls it before anything else. ZDM_INVALID says what is wrong.
 */
enum zdm_code zdm_plan_validate(const struct zdm_plan *plan, struct zdm_error *err) ZDM_CHECKED;

/* Of a whole plan: does every step do what its action says, by SQL of that action's form and nothing beside it, with
 * the inverse that it has, and is what it would lose for good marked so? Plans of the compiler do and are; agents ask
 * it of each plan, because one that was made by hand need not. What functions do that an expression
 * calls is not seen here. ZDM_INVALID names the step. */
enum zdm_code zdm_plan_check_honest(const struct zdm_plan *plan, struct zdm_error *err) ZDM_CHECKED;

/* Frees one step's or derivation's parts (for builders that fail half way). */
void zdm_step_fini(struct zdm_step *step);
void zdm_wait_gate_free(struct zdm_wait_gate *wait);
void zdm_derivation_free(struct zdm_derivation *derivation);

/* The strongest lock that an action takes on its step's table in PostgreSQL (reliability.md D1): what `plan` shows, and
 * what the agent holds the server to on a clone. AS_IS: what its class allows. */
enum zdm_table_lock zdm_action_table_lock(enum zdm_action action);
/* The same of a step of any engine. */
enum zdm_table_lock zdm_step_table_lock(const struct zdm_step *step);

/* Texts as people and JSON see them: "expand", "backfill", "short", "postgresql". "?" for an unknown number. */
const char *zdm_phase_class_name(enum zdm_phase_class class);
const char *zdm_step_kind_name(enum zdm_step_kind kind);
const char *zdm_action_name(enum zdm_action action);
const char *zdm_engine_name(enum zdm_engine engine);
const char *zdm_lock_class_name(enum zdm_lock_class lock);
const char *zdm_inverse_name(enum zdm_inverse_kind kind);
const char *zdm_table_lock_name(enum zdm_table_lock lock); /* "ACCESS EXCLUSIVE" */

#endif
