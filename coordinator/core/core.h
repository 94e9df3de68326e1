/*
 * core.h - the coordinator's core: decide (policy, changes nothing) and apply (the only mutator, has no policy).
 *
 * The driver (coordinator/app) takes up to COORD_GROUP_MAX inputs; for each it calls coord_hear (view), coord_decide,
 * gives each event its place in the chain and calls coord_apply at once; then it appends all events in one commit, and
 * only then releases the effects. After each group it decides one COORD_IN_TICK. Replay runs apply only, so that a
 * change of policy never changes history.
 *
 * No I/O, clock, randomness or threads here: `now_ms` comes with the input.
 */
#ifndef COORDINATOR_CORE_CORE_H
#define COORDINATOR_CORE_CORE_H

#include "common/plan/trust.h"
#include "coordinator/core/event.h"
#include "coordinator/core/state.h"

enum { COORD_GROUP_MAX = 256, COORD_LEASE_MS = 300000 };

enum coord_input_kind {
    COORD_IN_REQUEST = 1, /* a person's request; signature and session were checked */
    COORD_IN_JOIN,        /* a joining agent with the secret of a token */
    COORD_IN_REPORT,
    COORD_IN_AGENT_GONE,
    COORD_IN_GATE_RESULT,
    COORD_IN_TICK,
    COORD_IN_TRUST,  /* the driver adopted a newer trust file */
    COORD_IN_RECOVER /* zdm-coordinator recover: an operator's signed word, and what the agents said is in the view */
};

struct coord_input {
    enum coord_input_kind kind;
    int64_t now_ms;
    union {
        struct {
            uint64_t reply_to;                   /* the driver's handle for the answer */
            const struct zdm_request *request;   /* all pointers are borrowed for the call */
            const struct zdm_envelope *envelope; /* of the request */
            struct zdm_id key;
            const char *name; /* the person's, from the trust file */
            uint32_t roles;
            const struct zdm_trust *trust; /* the file in force */
            /* submit: the uploaded plan (signature by an operator checked) and notes; NULL when not uploaded */
            struct zdm_plan *plan;
            const struct zdm_envelope *plan_envelope;
            const uint8_t *notes;
            size_t n_notes;
            /* enroll, approve, rollback: the payload, signature checked; NULL otherwise */
            const struct zdm_enrolment *enrolment;
            const struct zdm_approval *approval;
            const struct zdm_undo_order *undo_order;
            struct zdm_id payload_signer; /* of the payload: not always who sends it */
            /* trust: the uploaded chain, verified, is the next version; NULL otherwise */
            const struct zdm_trust *new_trust;
            struct zdm_hash new_trust_digest;
        } request;
        struct {
            uint64_t reply_to;
            struct zdm_id agent;
            struct zdm_hash public_key;
            struct zdm_hash secret_hash;
        } join;
        struct {
            struct zdm_id agent;
            const struct zdm_report *report;
        } report;
        struct {
            struct zdm_id agent;
        } agent_gone;
        struct {
            const char *migration;
            uint32_t phase, step, run;
            bool passed;
            const char *text;
        } gate_result;
        struct {
            uint32_t version;
            struct zdm_hash digest;
        } trust;
        struct {
            const struct zdm_request *request;
            const struct zdm_envelope *envelope;
            struct zdm_id key;
            const char *name;
        } recover;
    } u;
};

enum coord_effect_kind {
    COORD_DO_SEND_DIRECTIVE = 1, /* to every connected agent of the shard: coord_directive() */
    COORD_DO_SEND_ACK,
    COORD_DO_ANSWER, /* to a person */
    COORD_DO_JOINED, /* to a joining agent: enrolled; the envelope is state->enrolments' */
    COORD_DO_RUN_GATE,
    COORD_DO_CLOSE_AGENT,
    COORD_DO_NOTIFY, /* something that watchers see has changed */
    COORD_DO_STEP_DOWN,
    COORD_DO_ADOPT_TRUST /* write the uploaded chain to the trust file, tell every agent, check every session again */
};

struct coord_effect {
    enum coord_effect_kind kind;
    char migration[ZDM_NAME_MAX + 1];
    uint32_t shard;            /* SEND_DIRECTIVE: index in the migration */
    struct zdm_id agent;       /* SEND_ACK, CLOSE_AGENT; SEND_DIRECTIVE: only this one, zero for all of the shard */
    uint64_t number;           /* SEND_ACK: of the report */
    uint32_t lease_ms;         /* SEND_ACK */
    uint64_t reply_to;         /* ANSWER, JOINED */
    struct zdm_error answer;   /* ANSWER: code ZDM_OK with a message of what was done, or the refusal. JOINED: ditto */
    struct zdm_id enrolment;   /* JOINED: nonce */
    uint32_t phase, step, run; /* RUN_GATE */
    char why[ZDM_TEXT_MAX + 1];
};

struct coord_output {
    struct coord_event *events; /* owned; moved out by the driver */
    size_t n_events, cap_events;
    struct coord_effect *effects;
    size_t n_effects, cap_effects;
    bool failed; /* out of memory: the driver stops the process */
};

void coord_output_init(struct coord_output *out);
void coord_output_fini(struct coord_output *out);

/* Notes a report or a disconnection in the view. False without memory. */
bool coord_hear(const struct coord_state *state, struct coord_view *view, const struct coord_input *input);

/* Policy. Appends events (type, migration and fields; the driver fills the header) and effects to out. */
void coord_decide(const struct coord_state *state, const struct coord_view *view, const struct coord_input *input,
                  struct coord_output *out);

/* The mutator. Total: an event that the log holds is applied, whatever it says; an event about something unknown is
 * ZDM_CORRUPT. Takes what it needs out of the event by copy. header (seq, epoch, at_ms, hash) must be filled. */
enum zdm_code coord_apply(struct coord_state *state, const struct coord_event *event,
                          struct zdm_error *err) ZDM_CHECKED;

/* ---- releasable() ---- */

enum coord_hold {
    COORD_HOLD_NONE = 0,  /* it may go (actor is set), or is going, or has nothing to do */
    COORD_HOLD_ADVANCE,   /* waits for an operator's advance */
    COORD_HOLD_GATE,      /* waits for a flag: advance when it is done */
    COORD_HOLD_WAVE,      /* an earlier wave has not finished */
    COORD_HOLD_SOAK,      /* the wave before soaks: until */
    COORD_HOLD_PARALLEL,  /* max_parallel are moving */
    COORD_HOLD_BARRIER,   /* others have not finished the phase before */
    COORD_HOLD_APPROVALS, /* signatures are missing */
    COORD_HOLD_NO_AGENT,  /* no writable primary has been seen */
    COORD_HOLD_HALTED,
    COORD_HOLD_FROZEN,
    COORD_HOLD_FENCED,
    COORD_HOLD_TRUST, /* a destructive phase, and the actor's trust file is behind */
    COORD_HOLD_STATUS /* held, failed, unsure, undone, excluded: its own status says it */
};

struct coord_release {
    enum coord_hold hold; /* NONE with an actor: the shard is to be released into at + 1 */
    uint32_t count, of;   /* BARRIER: shards missing, of how many; APPROVALS: given, needed; PARALLEL: moving, limit */
    int64_t until_ms;     /* SOAK */
    uint32_t wave;        /* WAVE, SOAK: the wave that is waited for */
    char shard[ZDM_NAME_MAX + 1]; /* BARRIER, WAVE: one of those that are missing */
    bool rolled_back;             /* BARRIER: that one was rolled back; STATUS: this one was */
    struct zdm_id actor;          /* the agent that shall act; zero unless the shard is to be released */
    uint32_t phase;               /* that it waits to enter; 0: none is left */
    enum coord_status status;
};

/* For each shard of the migration (out has n_shards rows): may it enter its next phase now, and if not, why not.
 * Returns the next time (ms) at which the answer can change by itself; INT64_MAX: never. */
int64_t coord_releasable(const struct coord_state *state, const struct coord_view *view,
                         const struct coord_migration *migration, int64_t now_ms, struct coord_release *out);
/* The reason as a sentence part: "barrier: 3 of 12 shards have not finished phase 2 (shard-7, …)". */
void coord_hold_text(char *out, size_t size, const struct coord_migration *migration,
                     const struct coord_release *release, int64_t now_ms);

/* The next time at which a tick can decide something; INT64_MAX: none. */
int64_t coord_next_tick(const struct coord_state *state, const struct coord_view *view, int64_t now_ms);

/* What the shard shall be, from the state. False when it has no directive yet (generation 0). Borrows from the state:
 * do not fini. approvals: room for ZDM_APPROVALS_MAX. */
bool coord_directive(const struct coord_state *state, const struct coord_migration *migration, uint32_t shard,
                     struct zdm_envelope approvals[ZDM_APPROVALS_MAX], struct zdm_directive *out);

/* ---- Approvals and rollbacks, as people see them ---- */

/* One approval of an act. */
struct coord_given {
    struct zdm_id approver, nonce;
    int64_t issued_at_ms, expires_at_ms;
    bool revoked, purge_now;
    enum zdm_approval_verdict verdict; /* ZDM_APPROVAL_COUNTS and so on; of no meaning when it was revoked */
    const char *text;                  /* the same in words, "was withdrawn" among them; static */
};

/* What needs approvals: each phase that does, and the leftovers' purge (PURGE, phase 0) and each rollback (UNDO) for
 * which somebody gave one. */
struct coord_act_overview {
    enum zdm_approval_action action;
    uint32_t phase;
    uint32_t needed, given; /* given: for the shard that has the fewest, among those that have it before them */
    size_t first, n_by;     /* in coord_overview.by */
};

struct coord_overview {
    struct coord_act_overview *acts;
    size_t n_acts, cap_acts;
    struct coord_given *by;
    size_t n_by, cap_by;
};

/* False without memory; out is then empty. */
bool coord_approvals_overview(const struct coord_state *state, const struct coord_view *view,
                              const struct coord_migration *migration, int64_t now_ms, struct coord_overview *out);
void coord_overview_fini(struct coord_overview *overview);

/* How many approvals entering the phase takes, 0 for none; with the action that they must have. */
uint32_t coord_phase_needs(const struct coord_view *view, const struct coord_migration *migration, uint32_t phase,
                           enum zdm_approval_action *out_action);
/* Key id of who signed the plan, from the signed bytes' header. */
struct zdm_id coord_plan_signer(const struct coord_migration *migration);

/* After a recovery: a migration that the agent works in by an order of the past that was given up, and in which this
 * log has no order to put in its place (it does not know the migration, or has never directed the shard); NULL: none.
 * Such an agent gets no lease until a person submits the runbook again. Borrows from the report. */
const char *coord_works_for_lost(const struct coord_state *state, const struct zdm_report *report, const char *shard);
/* Is the shard where a rollback took it, and has nobody sent it forward again? (held or undone) */
bool coord_was_rolled_back(const struct coord_shard *shard);
/* Is it going back: undoing, or failed, unsure or paused in the middle of it? */
bool coord_is_going_back(const struct coord_shard *shard);
/* How far back one rollback may take the selected shards (all: NULL): 0, or the highest switch phase that one of them
 * has gone beyond, whose flag must go off before they go further. */
uint32_t coord_rollback_leg(const struct coord_migration *migration, const bool *selected);

/* ---- The shard machine's table (protocol 9), for the tests and the documentation ---- */

enum coord_stimulus {
    COORD_ON_RELEASE = 1,
    COORD_ON_REACHED,
    COORD_ON_FAILED,
    COORD_ON_RETRYING, /* failed with class retry, parked, throttled, blocked */
    COORD_ON_PAUSE,
    COORD_ON_RESUME,
    COORD_ON_RETRY,
    COORD_ON_ROLLBACK,
    COORD_ON_UNDONE,
    COORD_ON_REGRESSED,
    COORD_ON_UNKNOWN,
    COORD_ON_PROVEN,
    COORD_ON_PRIMARY_SEEN,
    COORD_ON_EXCLUDE,
    COORD_ON_INCLUDE,
    COORD_ON_LOWER_PAIR,
    COORD_ON_HIGHER_PAIR,
    COORD_ON_OTHER_REPORT,
    COORD_ON_PURGE,  /* an approver asks to drop what rollbacks left */
    COORD_ON_PURGED, /* the actor: nothing of it is there any more */
    COORD_ON_FORWARD /* retry --forward: a rollback that failed or was paused is given up where it stands */
};

struct coord_case; /* one shard, one stimulus: coordinator/core/machine.h */

struct coord_rule {
    unsigned number; /* as in protocol 9: 10, 11, … */
    unsigned from;   /* bits: 1u << enum coord_status */
    enum coord_stimulus on;
    const char *guard;                         /* in words */
    const char *does;                          /* events, in words */
    enum coord_status to;                      /* 0: the same */
    bool (*holds)(const struct coord_case *c); /* the guard; NULL: always */
    void (*act)(struct coord_case *c);         /* NULL: nothing */
};

/* All rows in order; *out_n rows. */
const struct coord_rule *coord_rules(size_t *out_n);

#endif
