/*
 * authority.h - do these signatures suffice? The rules of protocol 6 about approvals and undo orders, pure: signatures
 * were verified before, keys are ids, time is an argument. Agent and coordinator ask the same functions.
 */
#ifndef ZDM_PLAN_AUTHORITY_H
#define ZDM_PLAN_AUTHORITY_H

#include "common/plan/directive.h"
#include "common/plan/trust.h"

enum { ZDM_CLOCK_TOLERANCE_MS = 10 * 60 * 1000 };

/* The people of the trust file in force, keys as ids. */
struct zdm_authority_person {
    struct zdm_id key_id;
    uint32_t roles; /* bits of enum zdm_role */
    char name[ZDM_NAME_MAX + 1];
};
struct zdm_authority {
    uint32_t version;
    uint32_t approvals_min;
    bool four_eyes; /* who submitted the plan does not count as an approver */
    struct zdm_authority_person *people;
    size_t n_people;
};
void zdm_authority_fini(struct zdm_authority *authority);
/* False without memory; out then untouched. */
bool zdm_authority_copy(struct zdm_authority *out, const struct zdm_authority *authority);
/* NULL when there is none with that key. Borrowed. */
const struct zdm_authority_person *zdm_authority_find(const struct zdm_authority *authority,
                                                      const struct zdm_id *key_id);

/* An approval whose signature was verified with the key of `signer`. */
struct zdm_signed_approval {
    struct zdm_approval approval;
    struct zdm_id signer;
    bool spent; /* by an earlier entering on this shard, as far as whoever asks knows */
};

/* Why an approval counts or does not, in the order in which it is looked at. */
enum zdm_approval_verdict {
    ZDM_APPROVAL_COUNTS = 1,
    ZDM_APPROVAL_OTHER,       /* another migration, plan, phase, digest, action or shard */
    ZDM_APPROVAL_NO_APPROVER, /* its signer is not, or no longer, an approver */
    ZDM_APPROVAL_SUBMITTER,   /* four_eyes: signed by who submitted the plan */
    ZDM_APPROVAL_NEWER_TRUST, /* signed under a trust file that is newer than the one in force here */
    ZDM_APPROVAL_EXPIRED,
    ZDM_APPROVAL_FROM_FUTURE, /* issued more than 10 min from now: this host's clock is behind */
    ZDM_APPROVAL_SPENT,
    ZDM_APPROVAL_NOT_NOW,  /* `now` is asked for and the approval does not say so */
    ZDM_APPROVAL_SAME_KEY, /* its signer counts already */
    ZDM_APPROVAL_ENOUGH    /* it would count; as many as are needed were found before it */
};
const char *zdm_approval_verdict_text(enum zdm_approval_verdict verdict); /* "has expired" */

/* What is to be allowed. */
struct zdm_act {
    const struct zdm_plan *plan;
    enum zdm_approval_action action;
    uint32_t phase; /* ENTER, PURGE: the phase, PURGE 0: leftovers of rollbacks; UNDO: to_phase */
    const char *shard;
    struct zdm_id submitter; /* key id of who signed the plan */
    bool now;                /* PURGE: before the grace period is over: only approvals that say so count */
    int64_t wall_ms;
};

struct zdm_judgement {
    uint32_t needed, given;                                /* given is at most needed */
    enum zdm_approval_verdict verdicts[ZDM_APPROVALS_MAX]; /* of approvals[i]; for the first ZDM_APPROVALS_MAX */
};

/* How many approvals the act needs: max(trust file, plan), at least 1 for what destroys; 0 when none are. */
uint32_t zdm_act_needs(const struct zdm_authority *authority, const struct zdm_act *act);
/* Judges up to ZDM_APPROVALS_MAX approvals; true when they suffice. */
bool zdm_act_allowed(const struct zdm_authority *authority, const struct zdm_act *act,
                     const struct zdm_signed_approval *const *approvals, size_t n, struct zdm_judgement *out);
/* "1 of 2 approvals; bob's has expired": for status and errors. */
void zdm_judgement_text(char *out, size_t size, const struct zdm_authority *authority,
                        const struct zdm_signed_approval *const *approvals, size_t n,
                        const struct zdm_judgement *judgement);

/* May this undo order take this shard to goal_phase? Signature verified with the key of `signer`. ZDM_REFUSED with a
 * message and a hint; whether its nonce is spent is the journal's business. */
enum zdm_code zdm_undo_order_judge(const struct zdm_authority *authority, const struct zdm_undo_order *order,
                                   const struct zdm_id *signer, const struct zdm_plan *plan, const char *shard,
                                   uint32_t goal_phase, int64_t wall_ms, struct zdm_error *err) ZDM_CHECKED;

#endif
