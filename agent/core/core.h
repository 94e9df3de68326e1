/*
 * core.h - the agent's reconciler: one pure function from inputs to effects (protocol 10).
 *
 * agent_core_step takes one input and appends effects; it does no I/O, reads no clock and draws no random number: time
 * (boot_ms of the agent's own host) and 64 random bits come with every input. The loop that it embodies:
 *
 *   newest confirmed order -> first step of the path that is not proven done -> inspect -> run -> inspect -> next
 *
 * and the same downwards in mode undo.
 *
 * Invariants, asserted after every step: at most one operation in flight per migration's work lane; no go order acts
 * before it is journalled; nothing is started while asking, without lease, paused, read-only or not the actor; a paused
 * migration starts no batch; nothing that destroys begins in a phase that was not entered, nor without a fresh lease;
 * nothing is undone but in mode undo, by the undo order whose nonce the journal has spent; what rollbacks left is
 * dropped in mode purge alone, under approvals spent for that very order.
 */
#ifndef AGENT_CORE_CORE_H
#define AGENT_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/engine/engine.h"
#include "common/plan/authority.h"
#include "common/plan/directive.h"
#include "common/plan/plan.h"
#include "common/plan/report.h"

struct agent_core;

struct agent_core_config {
    char shard[ZDM_NAME_MAX + 1];
    struct zdm_id key_id;                    /* this agent's: compared with a directive's actor */
    uint32_t batch_target_ms;                /* 20 */
    uint32_t duty_percent;                   /* 20: batches take at most this share of time */
    uint32_t batch_rows_min, batch_rows_max; /* 50, 50000 */
    uint32_t max_replica_lag_ms;             /* 5000 */
    uint32_t max_slot_wal_mb;                /* 10240: WAL that a replication slot may keep back */
    uint32_t lock_wait_ms;                   /* 50: short class, when it queues at all */
    uint32_t max_stall_ms;    /* 0: how long one attempt at a lock in ten may be where a plan does not say (pacing.h) */
    uint32_t nowait_attempts; /* 80: NOWAIT tries, 100 ms apart, before the first attempt that queues */
    uint32_t report_idle_ms;  /* 10000 */
    uint32_t report_working_ms; /* 1000 */
    uint32_t signals_ms;        /* 1000: how often signals are asked for; older than 3 times this is stale */
    uint32_t fresh_lease_ms; /* 30000: a destructive step begins only when a report sent within this was acknowledged */
};

/* The numbers in the comments above. */
void agent_core_config_default(struct agent_core_config *config);

enum agent_input_kind {
    AGENT_IN_STARTED = 1,
    AGENT_IN_OP_DONE,
    AGENT_IN_ORDER,        /* a directive whose signature, fleet, shard and signer were checked by the driver */
    AGENT_IN_PLAN_READY,   /* a plan whose hash, signature and selector were checked by the driver */
    AGENT_IN_PLAN_REFUSED, /* its hash is right but signature, role or selector is not */
    AGENT_IN_LINK_UP,      /* a session with a coordinator is open */
    AGENT_IN_LINK_DOWN,
    AGENT_IN_ACKED,
    AGENT_IN_TICK,
    AGENT_IN_TRUST /* a trust file is in force (at the start, and each new version) */
};

/* What people signed, as it came with a directive: each signature was verified by the driver with a key of the trust
 * file in force; what does not verify is not in here. Roles, expiry and the rest are the core's to judge. */
struct agent_authority {
    const struct zdm_undo_order *undo_order; /* NULL: none, or it does not verify: undo_refusal says why */
    struct zdm_id undo_signer;
    const char *undo_refusal;
    const struct zdm_signed_approval *approvals;
    size_t n_approvals;
};

struct agent_input {
    enum agent_input_kind kind;
    int64_t now_ms;  /* boot clock */
    int64_t wall_ms; /* wall clock: only for the expiry of approvals and undo orders */
    uint64_t random;
    union {
        struct agent_result *op_done; /* borrowed. Beside a CONNECT result the driver puts the decoded parts of each
                                         journal row whose envelopes verify, or why they do not: */
        struct {
            const struct zdm_directive *directive; /* borrowed */
            const struct zdm_envelope *envelope;   /* borrowed */
            struct zdm_hash digest;
            struct agent_authority authority; /* borrowed; a repeat brings it again */
        } order;
        struct {
            struct zdm_plan *plan;               /* the core takes a reference of its own */
            const struct zdm_envelope *envelope; /* borrowed */
            struct zdm_id signer;                /* who submitted it */
        } plan_ready;
        struct {
            struct zdm_hash hash;
            const char *why;
        } plan_refused;
        struct {
            uint64_t number;
            uint32_t lease_ms;
        } acked;
        const struct zdm_authority *trust; /* borrowed; the core keeps a copy */
    } u;
    /* OP_DONE of CONNECT: the decoded directive and plan of journals[i]; NULL arrays otherwise. Borrowed. */
    const struct zdm_directive *const *journal_directives;
    struct zdm_plan *const *journal_plans;
    const struct zdm_id *journal_signers; /* who signed journal_plans[i] */
    /* Why journals[i] does not verify; NULL where it does. NULL: all do. Its directive and plan are there all the same
     * when whoever signed the plan was an operator once: they count as no order, but tell what was done. */
    const char *const *journal_whys;
};

enum agent_effect_kind {
    AGENT_DO_START_OP = 1,
    AGENT_DO_CANCEL_OP,
    AGENT_DO_REPORT, /* send a report now: agent_core_report() */
    AGENT_DO_FETCH_PLAN
};

struct agent_effect {
    enum agent_effect_kind kind;
    struct agent_op op; /* START_OP; pointers in it are valid until the next agent_core_step */
    uint64_t cancel;    /* CANCEL_OP */
    struct zdm_hash plan_hash;
};

enum { AGENT_EFFECTS_MAX = 64 };

struct agent_effects {
    struct agent_effect items[AGENT_EFFECTS_MAX];
    size_t n;
    int64_t wake_at_ms; /* the next time at which a TICK can change something; INT64_MAX: none. Set by every step. */
};

/* NULL without memory. */
struct agent_core *agent_core_new(const struct agent_core_config *config);
void agent_core_free(struct agent_core *core);

/* The one function. out->n is set anew. */
void agent_core_step(struct agent_core *core, const struct agent_input *input, struct agent_effects *out);

/* What the agent says of itself now, with the next number; remembers now_ms as that report's sending time, from which
 * the lease counts. The driver fills trust_version and release. False without memory. */
bool agent_core_report(struct agent_core *core, int64_t now_ms, struct zdm_report *out);

/* The same without a number and without being a report: for the log of the program. */
bool agent_core_describe(const struct agent_core *core, struct zdm_report *out);
/* Changes when something changes that people or the coordinator act upon. */
uint64_t agent_core_view(const struct agent_core *core);

/* For the simulator and the invariants: read-only looks at one migration (NULL when unknown). */
struct agent_core_look {
    enum zdm_agent_state state;
    struct zdm_fence accepted;
    enum zdm_mode mode;
    uint32_t goal_phase;
    uint32_t proven_phase;
    uint32_t journal_step;
    bool in_flight;
};
bool agent_core_look(const struct agent_core *core, const char *migration, struct agent_core_look *out);
/* A step of the plan at hand, for who names it to people; NULL when there is none. Valid until the next step. */
const struct zdm_step *agent_core_plan_step(const struct agent_core *core, const char *migration, uint32_t ordinal);

#endif
