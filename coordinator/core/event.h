/*
 * event.h - what is decided and never changes: the events of the log (protocol 8).
 *
 * An event in memory is this structure; as bytes it is what coordinator/log encodes, hashed and kept as written. An
 * event owns what it points to.
 */
#ifndef COORDINATOR_CORE_EVENT_H
#define COORDINATOR_CORE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/id.h"
#include "common/base/selector.h"
#include "common/plan/directive.h"
#include "common/plan/plan.h"
#include "common/plan/trust.h"

enum { COORD_LOG_FORMAT = 1 };

/* name, text for history. The numbers are those of the log: never changed, never used again. */
#define COORD_EVENT_TYPES(X)                                                                                           \
    X(LOG_OPENED, 1, "log_opened")                                                                                     \
    X(EPOCH_STARTED, 2, "epoch_started")                                                                               \
    X(FEATURES_ENABLED, 3, "features_enabled")                                                                         \
    X(TRUST_ADOPTED, 4, "trust_adopted")                                                                               \
    X(AGENT_ENROLLED, 5, "agent_enrolled")                                                                             \
    X(AGENT_REVOKED, 6, "agent_revoked")                                                                               \
    X(OPERATOR_ACTED, 7, "operator_acted")                                                                             \
    X(ENROLMENT_ISSUED, 8, "enrolment_issued")                                                                         \
    X(MIGRATION_SUBMITTED, 9, "migration_submitted")                                                                   \
    X(PLAN_AMENDED, 10, "plan_amended")                                                                                \
    X(APPROVAL_ADDED, 11, "approval_added")                                                                            \
    X(APPROVAL_REVOKED, 12, "approval_revoked")                                                                        \
    X(PHASE_OPENED, 13, "phase_opened")                                                                                \
    X(BARRIER_OPENED, 14, "barrier_opened")                                                                            \
    X(WAVE_OPENED, 15, "wave_opened")                                                                                  \
    X(GATE_STARTED, 16, "gate_started")                                                                                \
    X(GATE_PASSED, 17, "gate_passed")                                                                                  \
    X(GATE_VETOED, 18, "gate_vetoed")                                                                                  \
    X(SHARDS_DIRECTED, 19, "shards_directed")                                                                          \
    X(SHARD_REACHED, 20, "shard_reached")                                                                              \
    X(SHARD_UNDONE, 21, "shard_undone")                                                                                \
    X(SHARD_FAILED, 22, "shard_failed")                                                                                \
    X(SHARD_REGRESSED, 23, "shard_regressed")                                                                          \
    X(SHARD_UNSURE, 24, "shard_unsure")                                                                                \
    X(SHARD_RESOLVED, 25, "shard_resolved")                                                                            \
    X(SHARD_EXCLUDED, 26, "shard_excluded")                                                                            \
    X(SHARD_INCLUDED, 27, "shard_included")                                                                            \
    X(MIGRATION_HALTED, 28, "migration_halted")                                                                        \
    X(MIGRATION_RESUMED, 29, "migration_resumed")                                                                      \
    X(THROTTLE_SET, 30, "throttle_set")                                                                                \
    X(FLEET_FROZEN, 31, "fleet_frozen")                                                                                \
    X(FLEET_THAWED, 32, "fleet_thawed")                                                                                \
    X(MIGRATION_ENDED, 33, "migration_ended")                                                                          \
    X(FENCED, 34, "fenced")                                                                                            \
    X(RECOVERED, 35, "recovered")                                                                                      \
    X(SHARD_PURGED, 36, "shard_purged")

enum coord_event_type {
#define X(name, number, text) COORD_EVENT_##name = number,
    COORD_EVENT_TYPES(X)
#undef X
};

enum coord_halt_cause { COORD_HALT_BUDGET = 1, COORD_HALT_OPERATOR = 2, COORD_HALT_DEADMAN = 3, COORD_HALT_VETO = 4 };
enum coord_end { COORD_END_DONE = 1, COORD_END_UNDONE = 2, COORD_END_ABANDONED = 3 };

/* One shard as a migration is submitted over it. */
struct coord_submitted_shard {
    char name[ZDM_NAME_MAX + 1];
    uint32_t wave; /* 0, 1, … */
};

/* A set of the migration's shards, as a bitmap: bit (i - first), lowest bit of a byte first. */
struct coord_shard_bits {
    uint8_t *bytes;
    size_t n_bytes;
    uint32_t first; /* a multiple of 8 */
};

struct coord_event {
    /* Header. seq, epoch and at_ms are given by the driver; hash is the chain's hash at this event:
     * BLAKE2b-256(hash of the event before || bytes). */
    uint64_t seq;
    uint64_t epoch;
    int64_t at_ms;
    struct zdm_hash prev_hash, hash;
    enum coord_event_type type;

    char migration[ZDM_NAME_MAX + 1]; /* "" where none is concerned */
    union {
        struct {
            struct zdm_id fleet;
            uint32_t format;
            char release[24];
        } log_opened;
        struct {
            struct zdm_id instance; /* epoch: in the header */
            char release[24];
            char host[ZDM_NAME_MAX + 1];
        } epoch_started;
        struct {
            uint32_t level;
        } features_enabled;
        struct {
            uint32_t version;
            struct zdm_hash digest;
        } trust_adopted;
        struct {
            struct zdm_id agent;
            struct zdm_hash public_key;
            char shard[ZDM_NAME_MAX + 1];
            struct zdm_labels labels;
            struct zdm_id enrolment; /* nonce of the enrolment that it used up */
            char by[ZDM_NAME_MAX + 1];
        } agent_enrolled;
        struct {
            struct zdm_id agent;
            char by[ZDM_NAME_MAX + 1];
            char reason[ZDM_TEXT_MAX + 1];
        } agent_revoked;
        struct {
            struct zdm_id request_id;
            struct zdm_id key;
            enum zdm_verb verb;
            char name[ZDM_NAME_MAX + 1];
            char reason[ZDM_TEXT_MAX + 1];
            struct zdm_envelope signed_request; /* for submit: of the request, not of the plan */
        } operator_acted;
        struct {
            struct zdm_enrolment enrolment;
            struct zdm_envelope signed_enrolment;
        } enrolment_issued;
        struct {
            struct zdm_plan *plan; /* decoded from the envelope's body */
            struct zdm_envelope plan_envelope;
            uint8_t *notes; /* encoded notes, kept as they came */
            size_t n_notes;
            struct coord_submitted_shard *shards;
            size_t n_shards;
            char by[ZDM_NAME_MAX + 1];
        } migration_submitted; /* plan_amended too; shards then empty */
        struct {
            struct zdm_approval approval;
            struct zdm_envelope signed_approval;
            struct zdm_id approver;
        } approval_added;
        struct {
            struct zdm_id nonce;
            char by[ZDM_NAME_MAX + 1];
        } approval_revoked;
        struct {
            uint32_t phase;
            char by[ZDM_NAME_MAX + 1];
            struct coord_shard_bits only; /* the shards that may enter it; empty: every shard */
        } phase_opened;
        struct {
            uint32_t phase;
        } barrier_opened;
        struct {
            uint32_t phase;
            uint32_t wave;
        } wave_opened;
        struct {
            uint32_t phase;
            uint32_t step; /* ordinal of the gate's step */
            uint32_t run;
            char detail[ZDM_TEXT_MAX + 1];
        } gate; /* started, passed, vetoed */
        struct {
            uint8_t *shards; /* bitmap over the migration's shards: bit (i - first), lowest bit of a byte first */
            size_t n_bytes;
            uint32_t first;   /* index of the shard that bit 0 stands for; a multiple of 8 */
            bool keep_status; /* only the orders change: the shard stays unsure, excluded, or what it was */
            bool set_goal;    /* false: each shard keeps its goal */
            uint32_t goal;
            enum zdm_mode mode;
            bool set_actor;
            struct zdm_id actor;
            bool next_attempt;              /* attempt + 1 */
            struct zdm_envelope undo_order; /* empty unless mode is undo */
            struct zdm_id undo_nonce;       /* what is signed in it; zero without one */
            char why[ZDM_TEXT_MAX + 1];
        } directed;
        struct {
            uint32_t shard; /* index in the migration */
            uint32_t phase;
            struct zdm_id agent;
            uint64_t generation;
            struct zdm_hash evidence;
            char remark[ZDM_TEXT_MAX + 1]; /* shard_undone: what could not be brought back exactly; "" for nothing */
        } reached;                         /* shard_reached, shard_undone, shard_purged (phase 0) */
        struct {
            uint32_t shard;
            uint32_t phase;
            uint32_t step;
            bool back;        /* while undoing */
            uint32_t attempt; /* that the agent stopped in; 0: the shard's */
            enum zdm_code code;
            char sqlstate[6];
            char text[ZDM_TEXT_MAX + 1];
            char hint[ZDM_HINT_MAX]; /* what helps; "" where the agent knew nothing */
        } failed;
        struct {
            uint32_t shard;
            uint32_t from, to;
            char cause[ZDM_TEXT_MAX + 1];
        } regressed;
        struct {
            uint32_t shard;
            uint32_t step;
            uint32_t at; /* shard_resolved */
            char text[ZDM_TEXT_MAX + 1];
        } unsure; /* shard_unsure, shard_resolved */
        struct {
            uint32_t shard;
            char by[ZDM_NAME_MAX + 1];
            char reason[ZDM_TEXT_MAX + 1];
        } excluded; /* shard_excluded, shard_included */
        struct {
            enum coord_halt_cause cause;
            uint32_t failed;
            char by[ZDM_NAME_MAX + 1];
        } halted; /* migration_halted, migration_resumed */
        struct {
            struct zdm_throttle throttle;
            char by[ZDM_NAME_MAX + 1];
        } throttle_set;
        struct {
            char by[ZDM_NAME_MAX + 1];
            char reason[ZDM_TEXT_MAX + 1];
        } fleet; /* fleet_frozen, fleet_thawed */
        struct {
            enum coord_end outcome;
        } ended;
        struct {
            uint64_t seen_epoch;
            struct zdm_id seen_instance;
            struct zdm_id agent;
            char text[ZDM_TEXT_MAX + 1];
        } fenced; /* fenced, recovered */
    } u;
};

/* Is shard i in a bitmap of n bytes that begins at shard `first`? */
static inline bool coord_bits_have(const uint8_t *bytes, size_t n_bytes, uint32_t first, uint32_t i)
{
    return i >= first && (i - first) / 8 < n_bytes && ((unsigned)bytes[(i - first) / 8] >> ((i - first) % 8) & 1U) != 0;
}

/* Frees what the event owns; the structure is the caller's. */
void coord_event_fini(struct coord_event *event);
/* "shard_reached"; "?" for an unknown number. */
const char *coord_event_type_name(enum coord_event_type type);

#endif
