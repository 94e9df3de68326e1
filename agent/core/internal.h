/*
 * internal.h - what the files of agent/core share: the state of the reconciler. Nobody outside includes it.
 *
 *   core.c   the one function: dispatches an input, drives what follows from it, plans reports and the next wake-up
 *   order.c  directives: judging, holding, storing the plan, accepting
 *   amend.c  may another plan take the place of the one at hand?
 *   link.c   the database as a whole: connecting, reading the journal, role and identity, signals
 *   path.c   one migration's way forward: which step is looked at or run next
 *   regress.c  a step that was done is not any more: back to it, or a person is asked
 *   written.c  the same behind a switch: nothing is written over what new code wrote
 *   back.c   the way back: the undo order, the walk down to the floor
 *   rules.c  one row for each action and for each run: what all these files ask
 *   launch.c starting an operation, with which limits
 *   authority.c  what people signed: copies of it, entering a phase
 *   purge.c  what is hidden, grace periods, and what rollbacks left
 *   react.c  what follows from an operation's outcome: one table
 *   check.c  the invariants
 *   state.c  which of the ten states a migration is in: one table; reports
 */
#ifndef AGENT_CORE_INTERNAL_H
#define AGENT_CORE_INTERNAL_H

#include "agent/core/core.h"
#include "agent/core/pacing.h"

/* In every build: an agent that breaks a rule of its own ends, and asks before it acts when it is started again. */
#define AGENT_REQUIRE(condition)                                                                                       \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            __builtin_trap();                                                                                          \
    } while (0)

enum {
    AGENT_MIGRATIONS_MAX = 256, /* known at once, those that have ended included */
    AGENT_REPORTED_MAX = 32,    /* in one report: it must fit a frame */
    AGENT_HINTED_MAX = 12,      /* of these with a hint: all with theirs would not fit */
    AGENT_SLOTS = ZDM_MIGRATIONS_ACTIVE_MAX,
    AGENT_SENT_MAX = 64, /* reports whose sending time is remembered */
    AGENT_UNKNOWNS_MAX = 3,
    AGENT_FUTILE_MAX = 3,
    AGENT_DEADLOCKS_MAX = 3
};

/* What people signed, as it came with an order: a copy of struct agent_authority. */
struct agent_signed {
    bool has_undo;
    struct zdm_undo_order undo;
    struct zdm_id undo_signer;
    char undo_refusal[ZDM_TEXT_MAX + 1];
    struct zdm_signed_approval *approvals;
    size_t n_approvals;
};

/* An order of a live session that is not in the journal yet. */
struct agent_order {
    bool set;
    struct agent_signed authority;
    struct zdm_directive directive;
    struct zdm_envelope envelope;
    struct zdm_hash digest;
    struct zdm_plan *plan; /* NULL: to be fetched */
    struct zdm_id plan_signer;
    struct zdm_envelope plan_envelope;
    bool plan_stored;
    bool plan_refused;
    struct zdm_error refusal; /* of a plan that does not fit what was done, or that nobody can judge by it */
    int64_t fetch_at_ms;      /* when to ask for the plan (again) */
    int64_t reread_at_ms;     /* refused: when to read the journal (again), which another process may have moved */
    unsigned rereads;
};

/* The order that the journal holds. */
struct agent_standing {
    bool set;
    struct zdm_fence fence;
    struct zdm_hash digest;
    struct zdm_id actor;
    uint32_t goal_phase;
    enum zdm_mode mode;
    uint32_t attempt;
    struct zdm_throttle throttle;
};

struct agent_flight {
    uint64_t op; /* 0: nothing is in flight */
    enum agent_op_kind kind;
    enum agent_run run;
    uint32_t step;
    uint32_t rows;
    int64_t started_ms;
    uint64_t connection; /* of which CONNECT its session is */
    bool back;           /* a look or a part of the way back */
    bool unlimited;      /* has no time limit of its own: a pause ends it at once */
    bool cancelled;
};

/* Where a rollback stands. Not journalled: it follows from the journal's step (back.c). */
struct agent_back {
    uint32_t at;    /* ordinal at hand; 0: the walk is to be taken up at the journal's step */
    uint32_t floor; /* the walk ends with this ordinal */
    uint32_t redo;  /* it has ended, and from there on all is made anew up to the goal; 0: that is over, or unknown */
    bool turned;    /* it has ended: what is missing up to the goal is worked forward */
    bool partly;    /* half undone: looking ended at the first step that is not done any more */
    enum agent_run next_run, last_run;
    unsigned repeated; /* how often last_run was asked for again without progress */
    struct zdm_id remark_nonce;
    char remark[ZDM_TEXT_MAX + 1];
    size_t remark_from; /* where the text of the walk at hand begins */
};

struct agent_migration {
    char id[ZDM_NAME_MAX + 1];
    int slot; /* -1: none */

    /* As journalled. */
    struct agent_standing accepted;
    struct zdm_plan *plan;
    uint32_t step;
    char *cursor, *bound;
    bool walked;
    uint64_t rows_done, rows_total;
    uint32_t compared_step; /* the last comparison that is done; 0: none */
    int64_t compared_left;  /* rows that it counted */
    int64_t interrupted_ms; /* triggers of a sync were not what was installed, first seen then; 0: they are */
    char interrupted[ZDM_TEXT_MAX / 2];
    uint32_t failed_attempt;
    enum zdm_code failed_code; /* not ZDM_OK: stopped, unless the accepted attempt is higher */
    uint32_t entered_phase, reached_phase, switched_phase;
    bool purge_now;
    uint64_t purge_generation;
    bool purge_generation_now;
    struct zdm_id undo_nonce;
    struct zdm_id signer;          /* of the plan */
    struct agent_signed authority; /* of the standing order */

    /* Orders under way. */
    struct agent_order accepting; /* its ACCEPT is in flight */
    struct agent_order pending;   /* the newest */
    bool hold;                    /* a stop order acts before it is journalled */
    int64_t hold_since_ms;
    struct zdm_fence hold_fence; /* of the newest stop order: only a later one, journalled, lets go on */
    int64_t accept_at_ms;
    unsigned accept_failures;
    bool asking;
    bool equivocation;

    /* What was looked at since the last change of identity. */
    uint32_t looked; /* the first ordinal that was not */
    bool proven;
    uint32_t proven_phase;
    uint32_t regress_to;    /* 0, or the step to go back to */
    uint32_t repair;        /* 0, or the step to be done again where the journal stands (written.c) */
    uint32_t asked;         /* 0, or the comparison that a person was asked about … */
    uint32_t let_pass;      /* … and has let pass: a retry came */
    uint32_t phase_checked; /* this phase's steps can all be done by this release */
    enum agent_proof proof; /* of the step at hand; NONE: look first */
    bool ran;               /* its run succeeded, the proof is outstanding */
    uint32_t ran_step;      /* this step's run moved the journal on by itself; 0: none */
    unsigned vanished;      /* how often what such a run did was not there right after */
    bool unsure;
    bool stop_wanted; /* a failure is to be journalled */
    uint32_t stop_step;
    struct zdm_error stop_error;

    struct agent_flight flight;
    int64_t next_ms; /* nothing is started before */
    bool backing_off;
    unsigned failures; /* in a row */
    unsigned unknowns, futile, deadlocks;
    bool locked_form;
    struct agent_lock_pacing lock;
    char blocked_by[ZDM_TEXT_MAX + 1];
    uint32_t batch_rows; /* size of the next batch; 0: not walked yet */
    struct zdm_progress progress;
    struct agent_rate rate;
    bool throttled;
    enum zdm_wait waits; /* APPROVALS, GRACE, GATE, LEASE (a fresh one): why nothing is started */
    char waits_for[ZDM_TEXT_MAX + 1];
    struct agent_back back;
    bool purged;                       /* mode purge: nothing is left */
    int64_t early_ms;                  /* a purge is not tried, a wait not looked at before; 0: no matter */
    enum zdm_wait early_wait;          /* GRACE or GATE */
    char early_text[ZDM_TEXT_MAX + 1]; /* "until 2026-11-25 10:00:00 UTC (grace 72h)" */
    struct agent_spend spend[ZDM_APPROVALS_MAX];
    size_t n_spend;
    bool spend_now;
    struct zdm_hidden hidden[ZDM_HIDDEN_MAX]; /* the oldest */
    size_t n_hidden;
    uint32_t hidden_total;
    struct zdm_error error;
};

/* A row of the journal that does not verify. */
struct agent_unread {
    char migration[ZDM_NAME_MAX + 1];
    struct zdm_hash plan_hash, digest;
    struct zdm_fence accepted;
    char why[ZDM_TEXT_MAX + 1];
    /* Where its plan was signed by an operator of that time, the row as it would be read; its plan is NULL else. */
    struct agent_migration *former;
};

struct agent_control {
    struct agent_flight flight;
    char migration[ZDM_NAME_MAX + 1]; /* STORE_PLAN, ACCEPT */
};

struct agent_core {
    struct agent_core_config config;
    int64_t now_ms, wall_ms;
    uint64_t random;
    struct agent_effects *out; /* during a step */
    bool trusted;              /* a trust file is in force: */
    struct zdm_authority trust;
    uint64_t last_op;

    bool connected, writable;
    bool connect_wanted;
    int64_t connect_at_ms;
    unsigned connect_failures;
    uint64_t connection; /* counts successful CONNECTs */
    enum zdm_engine engine;
    unsigned capabilities;
    char identity[64];
    uint64_t timeline;
    char server_version[32];
    char db_error[ZDM_TEXT_MAX + 1];
    struct zdm_signal signals[ZDM_SIGNALS_MAX];
    size_t n_signals;
    bool signals_known;
    int64_t signals_ms, signals_asked_ms;
    bool signals_soon; /* what they say of hidden things has changed */
    struct agent_control control;

    bool link_up;
    int64_t lease_until_ms; /* 0: never had one */
    int64_t acked_ms;       /* when the newest acknowledged report was sent; 0: none was */
    uint64_t report_number;
    struct {
        uint64_t number;
        int64_t at_ms;
    } sent[AGENT_SENT_MAX];
    int64_t reported_ms;
    bool report_soon;
    uint64_t reported_view; /* digest of what the last report said */

    struct agent_migration *migrations[AGENT_MIGRATIONS_MAX];
    size_t n_migrations;
    struct agent_unread *unread;
    size_t n_unread;
};

/* ---- rules.c ---- */

/* How an action is done. */
struct agent_action_rule {
    enum agent_run run;    /* NONE: this release cannot; see agent_action_run */
    bool walk;             /* begins with BOUND, goes on in batches */
    bool long_class;       /* no time limit; cancelled at once by a pause */
    bool adds;             /* what it did may be there although the journal stands before it, and is in the way; or the
                              agent keeps what was there before, which says whether it was done */
    unsigned capabilities; /* any one of the bits is enough; 0: none is needed */
};

/* Kinds of work that take the same outcome in the same way: react.c. */
enum agent_work {
    AGENT_WORK_LOOK,    /* inspect */
    AGENT_WORK_JOURNAL, /* step done, step back, approvals, the beginning of a rollback */
    AGENT_WORK_HALTING, /* stop: a failure to journal a failure must not make another one */
    AGENT_WORK_SHORT,   /* under a short lock */
    AGENT_WORK_LONG,    /* waits for old snapshots */
    AGENT_WORK_WALK,    /* bound, batch, chunk */
    AGENT_WORK_CLEAN,   /* takes something away: absent is as good as done */
    AGENT_WORK_PURGING, /* drops what is hidden, when it is time */
    AGENT_WORK_WAIT,    /* one look at a wait of the plan */
    AGENT_WORKS
};

enum agent_side { AGENT_SIDE_NEITHER, AGENT_SIDE_FORWARD, AGENT_SIDE_BACK, AGENT_SIDE_JOURNAL };

enum agent_limit { AGENT_LIMIT_NONE, AGENT_LIMIT_LOOK, AGENT_LIMIT_ASK, AGENT_LIMIT_SHORT, AGENT_LIMIT_WALK };

struct agent_run_rule {
    enum agent_work work;
    enum agent_side side;
    enum agent_limit limit;
    bool bulk;       /* waits for the signals */
    bool beside;     /* checks the fence before and looks afterwards: an ACCEPT may go on beside it */
    bool of_no_step; /* not shown as one */
};

const struct agent_action_rule *agent_action_rule(const struct zdm_step *step);
const struct agent_run_rule *agent_run_rule(enum agent_run run);
/* The run of an action's own work. */
enum agent_run agent_action_run(const struct zdm_step *step);
/* Has it no time limit? */
bool agent_is_long(const struct zdm_step *step);
/* Does it wait for the signals? */
bool agent_is_bulk(const struct zdm_step *step);

/* core.c */
uint64_t agent_random(struct agent_core *core);
void agent_wake_at(struct agent_core *core, int64_t at_ms);
struct agent_effect *agent_effect_add(struct agent_core *core, enum agent_effect_kind kind);
/* Starts an operation: gives it a number and notes it in the flight. NULL without room. */
struct agent_op *agent_op_start(struct agent_core *core, struct agent_flight *flight, enum agent_op_kind kind,
                                unsigned lane);
void agent_cancel(struct agent_core *core, struct agent_flight *flight);
struct agent_migration *agent_find(const struct agent_core *core, const char *id);
/* Finds or makes it; NULL without room. */
struct agent_migration *agent_make(struct agent_core *core, const char *id);
void agent_forget(struct agent_core *core, size_t index);

/* check.c */
void agent_check(const struct agent_core *core);

/* order.c */
void agent_order_drop(struct agent_order *order);
void agent_on_order(struct agent_core *core, const struct agent_input *input);
void agent_on_plan_ready(struct agent_core *core, const struct agent_input *input);
void agent_on_plan_refused(struct agent_core *core, const struct agent_input *input);
void agent_fetch_plans_anew(struct agent_core *core);
void agent_drive_orders(struct agent_core *core);
void agent_on_accept_done(struct agent_core *core, const struct agent_result *result);
/* The pending order's plan is in the journal only if the journal says so. */
void agent_order_plan_anew(struct agent_migration *m);
/* Judges orders under way against a journal row that was just read. */
void agent_rejudge(struct agent_core *core, struct agent_migration *m);
bool agent_is_actor(const struct agent_core *core, const struct agent_migration *m);

/* amend.c */
/* Does the journal say that something of the step at hand was begun? */
bool agent_is_begun(const struct agent_migration *m);
/* The highest phase that an order let this shard into, or people did; of which, then, something may have been done.
 * What the coordinator calls entered, in the middle of a rollback apart: where that one ends is all that is left of it.
 */
uint32_t agent_entered_phase(const struct agent_migration *m);
/* Up to there the plan has to stay as it is: all of it in the middle of a rollback, else what was entered. */
uint32_t agent_fixed_phase(const struct agent_migration *m);
/* Is it another plan than the one that something was done by? */
bool agent_amends(const struct agent_migration *m, const struct zdm_plan *plan);
bool agent_may_amend(const struct agent_migration *m, const struct zdm_plan *plan, struct zdm_error *err);

/* unread.c */
/* Those of a CONNECT; false without memory. */
bool agent_unread_take(struct agent_core *core, const struct agent_input *input);
void agent_unread_fini(struct agent_core *core);
/* An order was accepted in its place; was there one? */
bool agent_unread_forget(struct agent_core *core, const char *migration);
/* An ACCEPT names the row whose place it takes. */
void agent_unread_name(const struct agent_core *core, const char *migration, struct agent_op *op);
/* Is there one whose place the pending order cannot take? Then its refusal says so. */
bool agent_is_barred(struct agent_core *core, struct agent_migration *m);
/* The pending order is refused by what the journal says: reads the journal again, now and then. */
void agent_reread(struct agent_core *core, struct agent_order *order);
/* A newer trust file: that is done at once. */
void agent_reread_refused(struct agent_core *core);

/* link.c */
void agent_connection_lost(struct agent_core *core, const struct zdm_error *error);
void agent_reload(struct agent_core *core, int64_t delay_ms);
void agent_drive_control(struct agent_core *core);
void agent_drive_signals(struct agent_core *core);
void agent_on_connect_done(struct agent_core *core, const struct agent_input *input);
void agent_on_signals_done(struct agent_core *core, const struct agent_result *result);
bool agent_usable(const struct agent_core *core);
bool agent_leased(const struct agent_core *core);
/* Was a report acknowledged that is young enough to begin something that destroys? */
bool agent_freshly_leased(const struct agent_core *core);
enum agent_brake { AGENT_BRAKE_NONE, AGENT_BRAKE_QUIET /* an answer is due any moment */, AGENT_BRAKE_ON };
/* Do the signals allow bulk work? text (64 bytes) says what holds it back. What keeps WAL does not matter to what only
 * reads, and does not stop a way back. */
enum agent_brake agent_braked(const struct agent_core *core, bool but_slots, char text[64]);

/* path.c */
void agent_path_reset(struct agent_migration *m);
void agent_step_reset(struct agent_migration *m);
void agent_step_at_hand_reset(struct agent_migration *m);
bool agent_goal_reached(const struct agent_migration *m);
/* The highest phase whose steps, and those of all before it, lie below the ordinal. */
uint32_t agent_complete_phase(const struct agent_migration *m, uint32_t before_ordinal);
void agent_want_stop(struct agent_migration *m, uint32_t step, const struct zdm_error *error);
void agent_drive_path(struct agent_core *core, struct agent_migration *m);
/* Nothing is to be done or undone for it on this shard: a gate, or a step for the other engine. */
bool agent_is_trivial(const struct agent_core *core, const struct zdm_step *step);
bool agent_phase_destroys(const struct zdm_phase *phase);

/* regress.c */
/* The step is journalled as done and was looked at: it is not. */
void agent_regress(struct agent_migration *m, uint32_t ordinal);
/* The highest phase that a rollback can go back to, of those that are proven; false: what lies above is purged.
 * ordinal: the step at which something was seen. */
bool agent_way_out(const struct agent_migration *m, uint32_t ordinal, uint32_t *out_phase);

/* written.c */
/* May new code have written on what the phase of this step made? */
bool agent_is_written(const struct agent_migration *m, uint32_t ordinal);
/* Would doing the step go over that? */
bool agent_writes_over(const struct agent_migration *m, const struct zdm_step *step);
/* The step was done and is not: false where that is treated as before a switch. */
bool agent_regress_written(struct agent_migration *m, const struct zdm_step *step);
/* m->repair, where the journal stands. */
void agent_drive_repair(struct agent_core *core, struct agent_migration *m);
void agent_on_let_pass(struct agent_migration *m);
/* A person's retry was taken. */
void agent_take_answer(struct agent_migration *m);
/* The step at hand writes over: true, its rows are left to the comparison behind it; false, the shard is unsure. */
bool agent_passes_over(struct agent_migration *m, const struct zdm_step *step);
/* A comparison that failed: true where a person has to look at its rows, and the shard is unsure. */
bool agent_doubts_rows(struct agent_migration *m, const struct agent_result *result);

/* back.c */
/* Takes the walk up anew at the journal's step. */
void agent_back_restart(struct agent_migration *m);
/* Mode undo: true while the walk back has the say, false once it has turned. */
bool agent_drive_back(struct agent_core *core, struct agent_migration *m);
/* At its goal: true while that is still to be noted. */
bool agent_drive_back_end(struct agent_core *core, struct agent_migration *m);
void agent_on_back_done(struct agent_core *core, struct agent_migration *m, const struct agent_result *result);
void agent_on_back_begun(struct agent_migration *m, const struct agent_result *result);
void agent_on_back_ended(struct agent_migration *m, const struct agent_result *result);

/* launch.c */
struct zdm_throttle agent_throttle_now(const struct agent_core *core, const struct agent_migration *m);
struct agent_batch_limits agent_limits_now(const struct agent_core *core, const struct agent_migration *m,
                                           const struct zdm_step *step);
/* Starts an operation in the migration's lane; NULL when there is no room. */
struct agent_op *agent_launch(struct agent_core *core, struct agent_migration *m, enum agent_op_kind kind,
                              enum agent_run run, uint32_t step);
/* A change of the journal alone: STEP_DONE, STEP_BACK, STOP, UNDO_BEGIN, UNDO_END, SPEND_APPROVALS. */
struct agent_op *agent_launch_journal(struct agent_core *core, struct agent_migration *m, enum agent_run run,
                                      uint32_t step);
void agent_launch_look(struct agent_core *core, struct agent_migration *m, uint32_t step);
void agent_limit_look(struct agent_op *op);
void agent_limit_short(struct agent_core *core, struct agent_migration *m, struct agent_op *op);
/* No limit: what it waits for is waited for, and only a stop order ends it. */
void agent_limit_none(struct agent_migration *m);
/* By the run's rule. `step` is the one at hand. */
void agent_limit(struct agent_core *core, struct agent_migration *m, const struct zdm_step *step, struct agent_op *op);
void agent_limit_walk(struct agent_core *core, struct agent_migration *m, const struct zdm_step *step,
                      struct agent_op *op);
/* Bulk work: do the signals hold it back now? but_slots: see agent_braked. */
bool agent_is_held_back(struct agent_core *core, struct agent_migration *m, bool but_slots);
/* A stop order ends what may take long at once, and anything else that is not over soon. */
void agent_watch_flight(struct agent_core *core, struct agent_migration *m);
/* The step at hand as an ordinal that the plan has. */
uint32_t agent_step_named(const struct agent_migration *m);

/* authority.c */
void agent_signed_fini(struct agent_signed *parts);
/* Replaces *out by a copy; false without memory, *out is then as it was. */
bool agent_signed_take(struct agent_signed *out, const struct agent_authority *authority);
void agent_on_trust(struct agent_core *core, const struct zdm_authority *trust);
/* Do the approvals of the standing order allow it? act's plan, shard, submitter and wall_ms are filled in. */
bool agent_is_allowed(const struct agent_core *core, const struct agent_migration *m, struct zdm_act *act,
                      struct zdm_judgement *out, char text[ZDM_TEXT_MAX + 1]);
/* Was the phase entered? If not: spends what lets it in, or says what it waits for. */
bool agent_drive_entering(struct agent_core *core, struct agent_migration *m, const struct zdm_phase *phase);
/* Mode purge: the same for what rollbacks left. */
bool agent_drive_allowing(struct agent_core *core, struct agent_migration *m);
void agent_on_spent(struct agent_migration *m, const struct agent_result *result);
/* Those that count, to be spent by the operation that is started next. */
void agent_choose_spend(struct agent_migration *m, const struct zdm_judgement *judgement);
/* These of them (bits of m->spend) were spent before: they count no more. */
void agent_on_spend_refused(struct agent_migration *m, uint32_t which);
void agent_wait(struct agent_migration *m, enum zdm_wait wait, const char *text);
bool agent_waits_for_fresh_lease(struct agent_core *core, struct agent_migration *m);

/* purge.c */
void agent_fill_purge(const struct agent_migration *m, struct agent_op *op, bool now);
void agent_drive_leftovers(struct agent_core *core, struct agent_migration *m);
/* A purge before its grace is over, or a wait of the plan before the next look. */
bool agent_is_early(struct agent_core *core, struct agent_migration *m);
void agent_on_early(struct agent_core *core, struct agent_migration *m, const struct agent_result *result);
void agent_on_leftover_gone(struct agent_migration *m, const struct agent_result *result);
void agent_take_interrupted(struct agent_core *core, const struct agent_result *result);
void agent_take_compared(struct agent_core *core, const struct agent_result *result);
void agent_take_hidden(struct agent_core *core, const struct agent_result *result);
enum { AGENT_TIME_SIZE = 80 };
/* "2026-11-25 10:00:00 UTC". */
void agent_time_text(char out[AGENT_TIME_SIZE], int64_t unix_ms);

/* react.c */
void agent_on_work_done(struct agent_core *core, struct agent_migration *m, const struct agent_result *result);
/* Takes step, cursor and the rest of a journal row that a result carries. */
void agent_take_journal(struct agent_migration *m, const struct agent_result *result);
/* Cursor, bound and counts of a walk are over. */
void agent_forget_walk(struct agent_migration *m);
void agent_went_well(struct agent_migration *m);
void agent_back_off(struct agent_core *core, struct agent_migration *m);
/* It may have happened or not, and looking did not tell. */
void agent_lost(struct agent_core *core, struct agent_migration *m, const struct agent_result *result);
/* Run without an effect that can be seen: our mistake, or somebody undoes it behind our back. */
void agent_want_futile_stop(struct agent_migration *m, uint32_t ordinal, unsigned times);
/* A batch is over: notes its rate, chooses the size of the next and when it may start. */
void agent_pace(struct agent_core *core, struct agent_migration *m, const struct agent_result *result);

/* state.c */
enum zdm_agent_state agent_state_of(const struct agent_core *core, const struct agent_migration *m,
                                    enum zdm_wait *out_wait);
bool agent_is_stopped(const struct agent_migration *m);
bool agent_is_paused(const struct agent_migration *m);
bool agent_is_busy(const struct agent_core *core);
uint64_t agent_view_digest(const struct agent_core *core);

/* What makes a report of AGENT_REPORTED_MAX migrations fit a frame, whatever they say (test_report.c): only the first
 * AGENT_HINTED_MAX that have a hint keep it. What is wrong is said of all. */
void agent_report_fit(struct zdm_report *report);

#endif
