/*
 * rig.h - the reconciler on a bench: a clock that the test turns, a coordinator that the test speaks for, and a
 * database small enough to be read at a glance, whose next answer can be replaced.
 *
 * The database keeps one migration's journal row and which steps are done; it checks fence, step and cursor as the real
 * one does. Answers come only when rig_answer is called, so that a test can look at what is in flight.
 */
#ifndef TESTS_UNIT_AGENT_CORE_RIG_H
#define TESTS_UNIT_AGENT_CORE_RIG_H

#include "agent/core/core.h"

enum { RIG_OPS_MAX = 16, RIG_STEPS = 10, RIG_SPENT_MAX = 4096 };

/* The steps of rig_plan(). */
enum {
    STEP_COLUMN = 1,
    STEP_MYSQL = 2, /* of the other engine */
    STEP_SYNC = 3,
    STEP_BACKFILL = 4, /* phase 2 */
    STEP_COMPARE = 5,
    STEP_INDEX = 6,
    STEP_VALIDATE = 7,
    STEP_FLAG = 8,  /* phase 3 */
    STEP_HIDE = 9,  /* phase 4 */
    STEP_PURGE = 10 /* phase 5 */
};

struct rig {
    struct agent_core *core;
    struct agent_core_config config;
    struct agent_effects out;
    int64_t now_ms;
    uint64_t random;
    struct zdm_plan *plan;
    struct zdm_plan *amended;   /* another one of the same migration; NULL: none */
    struct zdm_authority trust; /* given at the start: olga operates, alice, bob and cleo approve; two are needed */

    /* What people signed: it goes with every order. */
    bool has_undo;
    struct zdm_undo_order undo;
    struct zdm_id undo_signer;
    struct zdm_signed_approval approvals[ZDM_APPROVALS_MAX];
    size_t n_approvals;

    struct agent_op ops[RIG_OPS_MAX]; /* in flight */
    size_t n_ops;
    uint64_t cancelled; /* the last operation that was cancelled */
    unsigned fetches, reports;
    struct zdm_report report; /* the last one; owned */
    bool acks;                /* every report is acknowledged with lease_ms */
    uint32_t lease_ms;

    /* The database. */
    bool up, writable;
    char identity[64];
    bool has_row;
    struct zdm_directive row_order;
    struct zdm_hash row_digest;
    const char *row_why; /* why it does not verify; NULL: it does */
    bool row_former;     /* whoever signed its plan was an operator once */
    uint32_t row_step;
    int row_cursor, row_bound; /* -1: NULL */
    bool row_walked;
    uint32_t row_entered, row_reached, row_switched;
    bool row_purge_now, row_purge_generation_now;
    uint64_t row_purge_generation;
    struct zdm_id row_undo_nonce;
    int64_t row_undone_at_ms; /* issued_at of the last undo order; 0: none */
    uint32_t row_undone_to;
    struct zdm_id spent[RIG_SPENT_MAX];
    size_t n_spent;
    int images;             /* before-images of the backfill */
    bool keeps_images;      /* its batches write them */
    int to_count;           /* rows that the way back of the triggers counts before they go */
    int restores, to_come;  /* parts that an UNHIDE leaves to be built anew; of them not done yet */
    int leftovers;          /* hidden by rollbacks */
    bool triggers_only;     /* UNDO_SYNC does not hide the column */
    int64_t hidden_at_ms;   /* wall clock */
    int64_t gate_open_ms;   /* when a wait is over */
    const char *remark;     /* of each UNHIDE; may be NULL */
    const char *row_remark; /* what the journal says of the rollback; may be NULL */
    struct agent_hidden hidden[8];
    size_t n_hidden;
    struct agent_interrupted interrupted; /* migration "" for none */
    struct agent_compared compared[2];
    size_t n_compared;
    uint32_t row_failed_attempt;
    enum zdm_code row_failed_code;
    bool done[RIG_STEPS + 1];
    bool one_transaction; /* DDL journals its step as done by itself */
    bool ddl_vanishes;    /* and what it did is not there afterwards */
    bool gap;             /* a note that triggers were not what was installed: no comparison counts as done */
    bool leftover;        /* an invalid index is in the way */
    int rows;             /* of the table */
    double ms_per_row, ms_per_batch;
    struct zdm_signal signal;
    bool has_signal;
    unsigned runs[AGENT_RUN_STOP + 1]; /* how often each was carried out */
    unsigned nowaits, queued;          /* attempts under a short lock */
    uint32_t stalled_ms;               /* the longest that the last of them was allowed, within its time; 0: none */

    /* Replaces the next answers to this kind of work (run NONE: inspect). */
    struct {
        enum agent_op_kind kind;
        enum agent_run run;
        enum agent_outcome outcome;
        enum agent_proof proof;
        enum zdm_code code;
        bool applied; /* UNKNOWN: it happened */
        bool autovacuum;
        const char *blocker; /* LOCK; NULL: a session of the application */
        bool elsewhere;      /* ditto: on a replica */
        unsigned times;
    } fault;
    /* Called for each operation that is started; may be NULL. */
    void (*watch)(struct rig *rig, const struct agent_op *op);
};

struct rig *rig_new(void);
void rig_free(struct rig *rig);
struct zdm_plan *rig_plan(void);

void rig_input(struct rig *rig, struct agent_input *input);
void rig_started(struct rig *rig);
void rig_link(struct rig *rig, bool up);
int64_t rig_wall_ms(const struct rig *rig);
/* A trust file, as it stands in rig->trust. */
void rig_trust(struct rig *rig);
/* The undo order that goes with every order from here on; `nonce` tells it from others. */
void rig_undo(struct rig *rig, uint32_t to_phase, uint8_t nonce);
/* One more approval: who is the index in rig->trust.people. */
struct zdm_approval *rig_approve(struct rig *rig, size_t who, enum zdm_approval_action action, uint32_t phase,
                                 uint8_t nonce);
/* Lets time pass with a tick at its end. */
void rig_wait(struct rig *rig, int64_t ms);
/* An order of the session at hand; `content` makes the digest. */
struct zdm_directive rig_order(uint64_t epoch, uint64_t generation, enum zdm_mode mode, uint32_t goal);
void rig_send(struct rig *rig, const struct zdm_directive *order, uint8_t content);
void rig_plan_ready(struct rig *rig);
void rig_amended_ready(struct rig *rig);
/* Answers the oldest operation in flight; false when there is none. */
bool rig_answer(struct rig *rig);
/* Answers everything and turns the clock to each wake-up until `ms` have passed. */
void rig_run(struct rig *rig, int64_t ms);
/* Another process, which knows nothing and has not begun; what was in flight is lost. */
void rig_replace_agent(struct rig *rig);
/* The same, and it is started, linked and idle: it asks for its orders. */
void rig_restart(struct rig *rig);
/* Answers and waits until work of this kind was carried out. */
void rig_until(struct rig *rig, enum agent_run run);
/* The next run of this kind is refused by the database. */
void rig_fail_once(struct rig *rig, enum agent_run run, enum zdm_code code);
/* Started, linked, leased, the plan stored and the order (1, 1, mode, goal) accepted, nothing in flight but work. Where
 * that lets it into the switch it has done phases 1 and 2 before, by the order (1, 0, run, 2). */
void rig_ready(struct rig *rig, enum zdm_mode mode, uint32_t goal);

struct agent_core_look rig_look(const struct rig *rig);
const struct zdm_migration_report *rig_said(struct rig *rig);
const struct agent_op *rig_in_flight(const struct rig *rig, enum agent_run run);
enum { RIG_OLGA, RIG_ALICE, RIG_BOB, RIG_CLEO, RIG_PEOPLE };
extern const struct zdm_id rig_us, rig_other;

#endif
