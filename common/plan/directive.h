/*
 * directive.h - what one shard shall be: the signed desired state, and the fencing pair in it (protocol 3).
 */
#ifndef ZDM_PLAN_DIRECTIVE_H
#define ZDM_PLAN_DIRECTIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/plan/plan.h"

enum zdm_mode {
    ZDM_MODE_RUN = 1,
    ZDM_MODE_PAUSE = 2,
    ZDM_MODE_UNDO = 3,
    ZDM_MODE_PURGE = 4 /* really drop what rollbacks of this migration left hidden; goal_phase is where the shard is */
};

/* A detached-signed message of protocol 1: header and body as signed, and the signature. */
struct zdm_envelope {
    uint8_t *bytes; /* header and body: exactly what is signed */
    size_t len;
    uint8_t signature[64];
};

/* Where in whose log something was decided. All zero: nothing accepted yet. */
struct zdm_fence {
    uint64_t epoch;
    struct zdm_id instance;
    uint64_t generation;
    struct zdm_hash anchor;
};

struct zdm_directive {
    char migration[ZDM_NAME_MAX + 1];
    struct zdm_hash plan_hash;
    char shard[ZDM_NAME_MAX + 1];
    struct zdm_id actor; /* key id of the one agent that may act */
    struct zdm_fence fence;
    uint32_t goal_phase; /* be at the end of this phase; 0 is before the first */
    enum zdm_mode mode;
    uint32_t attempt;
    struct zdm_throttle throttle;
    struct zdm_envelope *approvals;
    size_t n_approvals;
    struct zdm_envelope *undo_order; /* NULL unless mode is undo */
};

/* What an approval allows. ENTER: the phase may be entered. PURGE: the purge phase may be entered, or with phase 0 what
 * rollbacks left hidden may be dropped. UNDO: a rollback to `phase` may be made although it loses what the new
 * application wrote (plan.h, zdm_plan_undo_loses); phase_digest is then all zero, as it is for phase 0. */
enum zdm_approval_action { ZDM_APPROVE_ENTER = 1, ZDM_APPROVE_PURGE = 2, ZDM_APPROVE_UNDO = 3 };

/* Body of an approval and of an undo order (types 3 and 7). `shards` empty means every shard ("*"). */
struct zdm_approval {
    char migration[ZDM_NAME_MAX + 1];
    struct zdm_hash plan_hash;
    uint32_t phase;
    struct zdm_hash phase_digest;
    enum zdm_approval_action action;
    bool purge_now; /* action purge: before the grace period is over */
    char **shards;
    size_t n_shards;
    uint32_t trust_version;
    int64_t issued_at_ms, expires_at_ms;
    struct zdm_id nonce;
};

struct zdm_undo_order {
    char migration[ZDM_NAME_MAX + 1];
    struct zdm_hash plan_hash;
    uint32_t to_phase;
    char **shards;
    size_t n_shards;
    struct zdm_id nonce;
    int64_t issued_at_ms, expires_at_ms;
};

/* How much later the epoch of an order may be than the latest one that an agent has accepted; of its first order, than
 * 0; and how much later one that an agent claims to follow, than the coordinator's own. A coordinator raises it by one
 * with each start. Without an end to it, whoever has its key could send the last epoch that there is, after which no
 * agent ever takes an order again, and whoever has an agent's key could claim it. */
#define ZDM_EPOCH_STEP_MAX  (UINT64_C(1) << 32)
#define ZDM_EPOCH_FIRST_MAX (UINT64_C(1) << 48)
#define ZDM_EPOCH_CLAIM_MAX (UINT64_C(1) << 49)

/* Compares (epoch, generation): negative, 0 or positive. */
int zdm_fence_compare(const struct zdm_fence *a, const struct zdm_fence *b);
bool zdm_fence_equal(const struct zdm_fence *a, const struct zdm_fence *b); /* all four fields */

/* What an agent does with a directive whose signature, fleet, shard, plan and key are right (protocol 3, rule 4). */
enum zdm_acceptance {
    ZDM_ACCEPT,      /* newer: accept */
    ZDM_REPEAT,      /* the one accepted already: same answer, nothing to do */
    ZDM_STALE,       /* older: refused, silently but counted */
    ZDM_EQUIVOCATION /* equal pair with other content, or equal epoch with another instance: an alarm */
};
/* accepted and accepted_digest: what the journal holds (fence all zero: nothing). digest: BLAKE2b-256 of the signed
 * bytes of the directive at hand. */
enum zdm_acceptance zdm_directive_judge(const struct zdm_fence *accepted, const struct zdm_hash *accepted_digest,
                                        const struct zdm_fence *offered, const struct zdm_hash *offered_digest);

/* The phase that it lets its shard be in, as far as the order goes: the goal of one to run, or to stay where it is. The
 * others say where something goes back to, or is cleared up: 0. */
uint32_t zdm_directive_reach(const struct zdm_directive *directive);

const char *zdm_mode_name(enum zdm_mode mode);
const char *zdm_approval_action_name(enum zdm_approval_action action); /* "enter", "purge", "undo" */
const char *zdm_acceptance_name(enum zdm_acceptance acceptance);

void zdm_envelope_fini(struct zdm_envelope *envelope);
/* False without memory; out then untouched. */
bool zdm_envelope_copy(struct zdm_envelope *out, const struct zdm_envelope *envelope);
void zdm_directive_fini(struct zdm_directive *directive);
void zdm_approval_fini(struct zdm_approval *approval);
void zdm_undo_order_fini(struct zdm_undo_order *order);

#endif
