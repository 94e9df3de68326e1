/*
 * state.h - what the coordinator knows: the state, which is the fold of the log, and the view, which is hearsay.
 *
 * The state changes only in coord_apply. The view is what reports said, with the time each was heard; it is empty after
 * a restart, and absence means something only after COORD_VIEW_SETTLE_MS of uptime (protocol 7).
 */
#ifndef COORDINATOR_CORE_STATE_H
#define COORDINATOR_CORE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/plan/authority.h"
#include "common/plan/report.h"
#include "coordinator/core/event.h"

enum {
    COORD_VIEW_SETTLE_MS = 30000,
    COORD_SILENT_MS = 15000,
    COORD_WAVES_MAX = ZDM_WAVES_MAX + 1 /* one more for shards that no wave of the plan names */
};

/* Protocol 9. */
enum coord_status {
    COORD_READY = 1, /* at = goal */
    COORD_MOVING,    /* goal = at + 1, run */
    COORD_HELD,      /* paused; resume_to says what it was */
    COORD_FAILED,
    COORD_UNDOING,
    COORD_UNSURE,
    COORD_DONE,
    COORD_UNDONE,
    COORD_EXCLUDED
};

struct coord_shard {
    char name[ZDM_NAME_MAX + 1];
    uint32_t wave;
    enum coord_status status;
    enum coord_status resume_to;
    uint32_t at;       /* phases proven */
    uint32_t high;     /* the highest `at` it ever had: what a loss does not take away from the barrier's history */
    uint32_t opened;   /* the highest phase that an advance let it into */
    uint32_t entered;  /* the highest phase that it was sent into since it last came back: it may be half done */
    uint32_t switched; /* mark of common/plan/undo.h: what it holds of new code's outlasts a rollback in several legs */
    bool late;         /* included again after others had gone on: the barrier did not wait for it */
    uint32_t goal;
    enum zdm_mode mode;
    uint32_t attempt;
    uint32_t stopped_attempt; /* the highest that its agent reported as failed: the next one is above it */
    struct zdm_id actor;      /* zero: none yet */
    uint64_t generation;      /* position of the event that last changed the desired state; 0: none yet */
    struct zdm_hash anchor;   /* chain hash there */
    uint64_t run_generation;  /* generation of the last directive in mode run or undo */
    int64_t entered_at_ms;    /* when it took this status */
    int64_t reached_at_ms;    /* when it last reached a phase */
    uint32_t undo;            /* position + 1 in the migration's undos of the last one that concerned it; 0: none */
    uint64_t undone_seq;      /* of that order: approvals of later phases that are older than this are spent */
    uint64_t back_seq;   /* when it last came back (shard_undone): older approvals of rollbacks are spent; 0: never */
    uint64_t purge_seq;  /* when mode purge was last ordered: only approvals before it are part of that order */
    uint64_t purged_seq; /* when what rollbacks left was last dropped: older approvals of that are spent */
    char *remark;        /* what its last rollback could not bring back exactly, NULL for nothing */
    char *failure;       /* text, NULL for none */
    char *hint;          /* what helps against it, NULL where nobody knows */
    uint32_t failed_step;
    bool failed_back;
};

enum coord_migration_mode { COORD_OPEN = 1, COORD_HALTED, COORD_ENDED };
enum coord_gate_state { COORD_GATE_WAITING = 1, COORD_GATE_RUNNING, COORD_GATE_PASSED, COORD_GATE_VETOED };

struct coord_gate {
    uint32_t phase;
    uint32_t step;
    enum coord_gate_state state;
    uint32_t run;
    int64_t changed_at_ms;
};

struct coord_approval {
    struct zdm_approval approval;
    bool sorted; /* the names in it: not as signed, but so that a fleet of 10,000 can be asked about */
    struct zdm_envelope envelope;
    struct zdm_id approver;
    uint64_t added_seq;
    uint64_t revoked_seq; /* 0: not revoked */
};

/* An undo order that was acted upon; shards going back under it refer to it. Its bytes are kept as long as one does. */
struct coord_undo {
    struct zdm_envelope envelope;
    struct zdm_id nonce;
    uint32_t to_phase;
    bool referred; /* by a shard */
    uint64_t seq;
};

struct coord_migration {
    char id[ZDM_NAME_MAX + 1];
    uint64_t submitted_seq;
    int64_t submitted_at_ms;
    char submitted_by[ZDM_NAME_MAX + 1];
    int64_t amended_at_ms; /* when another plan took the place of the one that was submitted; 0: never */
    char amended_by[ZDM_NAME_MAX + 1];
    struct zdm_plan *plan; /* a reference */
    struct zdm_envelope plan_envelope;
    uint8_t *notes;
    size_t n_notes;
    enum coord_migration_mode mode;
    enum coord_halt_cause halt_cause;
    enum coord_end outcome;
    uint32_t opened_phase; /* 0: none */
    int64_t opened_at_ms;
    uint64_t moved_seq;   /* last event that changed what people decide on (phases, gates, mode, plan): what a request's
                             expect_generation must not be older than */
    uint32_t opened_wave; /* of the opened phase: the highest wave opened */
    uint32_t wave_of[ZDM_PHASES_MAX]; /* by phase - 1: the highest wave that was let in */
    int64_t wave_reached_ms[ZDM_PHASES_MAX]
                           [COORD_WAVES_MAX]; /* last shard_reached there; 0: none: soak counts from it */
    uint32_t barrier_phase;                   /* highest phase whose barrier was opened (audit) */
    struct coord_gate gates[ZDM_PHASES_MAX];  /* one flag gate a phase at most; by phase - 1; state 0: none started */
    struct zdm_throttle throttle;             /* set by operators over the plan's; 0: as the plan says */
    struct coord_approval *approvals;
    size_t n_approvals, cap_approvals;
    struct coord_shard *shards; /* sorted by wave, then name: the order in which they are released */
    size_t n_shards;
    struct coord_undo *undos;
    size_t n_undos, cap_undos;
};

/* Positions of something by its 16-byte id, O(1). */
struct coord_index {
    struct coord_index_slot *slots;
    size_t n_slots, used;
};

struct coord_agent {
    struct zdm_id id;
    struct zdm_hash public_key;
    char shard[ZDM_NAME_MAX + 1];
    bool revoked;
    int64_t enrolled_at_ms;
    uint32_t next_of_shard; /* position + 1 of the next agent of the same shard; 0: none */
};

struct coord_fleet_shard {
    char name[ZDM_NAME_MAX + 1];
    struct zdm_labels *labels; /* owned; never NULL. Apart, because most shards have few and the array is searched */
    uint32_t first_agent;      /* position + 1 in state->agents; 0: none */
};

struct coord_enrolment {
    struct zdm_enrolment enrolment;
    struct zdm_envelope envelope;
    bool used;
};

/* A request that was acted upon: the same id again gets the same answer. */
struct coord_request_mark {
    struct zdm_id request_id;
    uint64_t seq;
    enum zdm_verb verb;
};

/* Where the log directed shards: what an agent's anchor is compared with. */
struct coord_anchor {
    uint64_t seq;
    struct zdm_hash hash;
};

struct coord_state {
    struct zdm_id fleet;
    uint64_t head_seq;
    struct zdm_hash head_hash;
    int64_t head_at_ms;
    uint64_t epoch;
    struct zdm_id instance;
    uint32_t feature_level;
    uint32_t trust_version;
    struct zdm_hash trust_digest;
    bool frozen;
    bool fenced;
    uint64_t recovered_epoch; /* reports about lower epochs speak of a past that was given up: they fence nobody */
    uint64_t seen_epoch;      /* while fenced: the highest epoch seen elsewhere */
    struct coord_agent *agents;
    size_t n_agents, cap_agents;
    struct coord_fleet_shard *shards; /* sorted by name */
    size_t n_shards, cap_shards;
    struct coord_enrolment *enrolments;
    size_t n_enrolments, cap_enrolments;
    struct coord_migration **migrations; /* in order of submission */
    size_t n_migrations, cap_migrations;
    struct coord_request_mark *requests;
    size_t n_requests, cap_requests;
    struct coord_anchor *anchors; /* rising */
    size_t n_anchors, cap_anchors;
    struct coord_index agents_by_id, requests_by_id;
};

struct coord_state *coord_state_new(void);
void coord_state_free(struct coord_state *state);

/* Lookups; NULL or -1 when there is none. Borrowed. */
struct coord_migration *coord_find_migration(const struct coord_state *state, const char *id); /* newest of that id */
const struct coord_agent *coord_find_agent(const struct coord_state *state, const struct zdm_id *id);
const struct coord_fleet_shard *coord_find_fleet_shard(const struct coord_state *state, const char *name);
long coord_find_shard(const struct coord_migration *migration, const char *name);
const struct coord_request_mark *coord_find_request(const struct coord_state *state, const struct zdm_id *id);
/* The chain's hash at the position of an event that directed shards; NULL for any other position. */
const struct zdm_hash *coord_anchor_at(const struct coord_state *state, uint64_t seq);

/* ---- The view ---- */

struct coord_heard {
    struct zdm_id agent;
    char shard[ZDM_NAME_MAX + 1];
    bool connected; /* a session is open */
    int64_t heard_at_ms;
    bool journal;             /* in this session it has spoken of its shard's journal: before, it is told no orders */
    bool fresh;               /* its last report was the first that did */
    int64_t gone_at_ms;       /* when the session ended; 0 while connected */
    struct zdm_report report; /* owned copy of the last one */
};

struct coord_view {
    struct zdm_authority authority; /* the trust file in force, set by the driver; owned */
    int64_t started_at_ms;
    struct coord_heard *heard; /* one per agent */
    size_t n_heard, cap_heard;
    struct coord_index by_agent;
};

void coord_view_init(struct coord_view *view, int64_t now_ms);
void coord_view_fini(struct coord_view *view);
/* What the agent last said, NULL for nothing since the start. */
/* The engine that some agent of the shard reported; ZDM_ENGINE_ANY: not known. */
enum zdm_engine coord_engine_of(const struct coord_state *state, const struct coord_view *view, const char *shard);
const struct coord_heard *coord_view_find(const struct coord_view *view, const struct zdm_id *agent);
/* What the actor's last report says of one migration, NULL for nothing. */
const struct zdm_migration_report *coord_view_report(const struct coord_view *view, const struct zdm_id *agent,
                                                     const char *migration);

const char *coord_status_name(enum coord_status status); /* "moving" */

#endif
