/*
 * engine_rig.h - an engine driven step by step, as the agent's core would: what the rigs of all engines share.
 */
#ifndef TESTS_SUPPORT_ENGINE_RIG_H
#define TESTS_SUPPORT_ENGINE_RIG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>

#include "agent/engine/engine.h"

enum { RIG_RESULTS_MAX = 64, RIG_TEXT_MAX = 1024 };

struct rig {
    /* Of the rig of one engine. */
    struct test_pg *pg;
    struct pg_conn *owner, *app, *super;
    struct rig_mysql *mysql;
    const char *schema; /* of the plan's tables */
    char quote;         /* around names */
    unsigned engines;   /* of the plan */
    char database[32];

    struct agent_engine engine;
    struct zdm_plan *plan;
    struct zdm_fence fence;
    uint32_t journal_step;
    char *cursor, *bound;
    bool walked;
    uint64_t next_op;
    uint32_t lock_wait_ms; /* for the next operations */
    uint32_t max_stall_ms;
    uint32_t max_slot_wal_mb;
    uint32_t time_limit_ms;
    bool locked_form;
    uint32_t attempt;       /* of the order at hand */
    uint32_t trust_version; /* for ACCEPT */
    enum zdm_mode mode;     /* for ACCEPT */
    uint32_t goal_phase;    /* ditto */
    /* For the next operations, on the way back and in the purge phase. */
    uint32_t floor, to_phase, switched_phase, spend_phase;
    struct zdm_id undo_nonce;
    int64_t undo_issued_at_ms;
    struct agent_spend spend[4];
    size_t n_spend;
    int64_t grace_ms;
    bool purge_now, looking_back, purge_goes_on;
    /* The journal's row, as the last result gave it. */
    struct agent_journal row;
    char remark[ZDM_TEXT_MAX + 1]; /* of the last result that had one */
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct agent_result *results[RIG_RESULTS_MAX];
    size_t n_results;
    char text[RIG_TEXT_MAX]; /* of rig_value */
};

/* ---- What the rig of each engine defines ---- */

/* SQL as the tables' owner, as the application, as one that may do everything; the first field of the answer. All fail
 * the test on an error. */
void rig_sql(struct rig *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rig_app(struct rig *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rig_super(struct rig *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *rig_value(struct rig *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
long rig_number(struct rig *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- What they share ---- */

/* Which rows of the journal's tables are of this test's database, as a condition. */
const char *rig_home(const struct rig *r);
/* Bytes that nobody made, so many, as an expression in the engine's SQL. */
void rig_bytes(const struct rig *r, char *out, size_t size, unsigned n);

/* Before the engine is opened; after it is closed. */
void rig_begin_results(struct rig *r);
void rig_end_results(struct rig *r);
/* Fails the test when the outcome is another one. */
void rig_expect(const struct agent_result *result, enum agent_outcome expected);

/* A plan of n empty steps on <schema>.<table>, all in phase 1. */
void rig_plan(struct rig *r, const char *table, size_t n);
/* The step with that ordinal, to be filled. */
struct zdm_step *rig_step(struct rig *r, uint32_t ordinal);
struct zdm_step *rig_ddl(struct rig *r, uint32_t ordinal, enum zdm_action action, const char *column,
                         const char *object, const char *sql);
/* target := expr; expr over t., expr_new over NEW. */
struct zdm_derivation *rig_derive(struct rig *r, uint32_t ordinal, enum zdm_action action, const char *target,
                                  const char *expr, const char *expr_new, const char *const *sources, size_t n_sources);
/* Another target of the same UPDATE; its sources are among those of the derivation. */
void rig_derive_more(struct zdm_derivation *d, const char *target, const char *expr, const char *expr_new);
/* A pure copy in both directions. */
struct zdm_derivation *rig_copy(struct rig *r, uint32_t ordinal, enum zdm_action action, const char *target,
                                const char *source);

/* Stores the plan and accepts a directive with this generation. */
void rig_accept(struct rig *r, uint64_t generation);
struct agent_result *rig_try_accept(struct rig *r, uint64_t epoch, uint64_t generation, uint8_t instance,
                                    uint8_t digest);
/* Starts an operation and waits for its result, which the caller frees; the believed journal follows the result. */
struct agent_result *rig_do(struct rig *r, enum agent_op_kind kind, enum agent_run run, uint32_t step, uint32_t rows);
uint64_t rig_begin(struct rig *r, enum agent_op_kind kind, enum agent_run run, uint32_t step, uint32_t rows);
struct agent_result *rig_await(struct rig *r, uint64_t op);
/* The same, with the outcome asserted. */
void rig_run(struct rig *r, enum agent_run run, uint32_t step, enum agent_outcome expected);
/* Expects FAIL with this text in message, detail or hint. */
void rig_refused(struct rig *r, enum agent_run run, uint32_t step, const char *text);
void rig_inspect(struct rig *r, uint32_t step, enum agent_proof expected);
void rig_connect_engine(struct rig *r);
/* Where results of another engine of the same test go. */
struct agent_engine_sink rig_sink(struct rig *r);
/* Bound and batches (or check chunks) until the walk is at its end; returns the number of batches. */
unsigned rig_walk(struct rig *r, uint32_t step, uint32_t rows);
/* Looks at the way back; the expected proof, and with NOT_DONE the part that comes next. */
void rig_back(struct rig *r, uint32_t step, enum agent_proof expected, enum agent_run next_run);
/* Looks and runs part after part until the step is undone, then STEP_BACK; returns the number of parts. */
unsigned rig_undo(struct rig *r, uint32_t step);
/* Reads the journal's row as a fresh agent would. */
void rig_reload(struct rig *r);

#endif
