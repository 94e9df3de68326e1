/*
 * audit_private.h - what the files of the audit share: audit.c has the chain and the anchors, audit_signed.c what
 * people signed, audit_text.c the words, audit_anchors.c the JSON. Inside coordinator/log only.
 */
#ifndef COORDINATOR_LOG_AUDIT_PRIVATE_H
#define COORDINATOR_LOG_AUDIT_PRIVATE_H

#include "common/plan/trust.h"
#include "coordinator/core/event.h"
#include "coordinator/log/audit.h"

enum audit_fit { AUDIT_NOT_SEEN = 0, AUDIT_FITS, AUDIT_DIFFERS };

struct audit_anchor {
    struct coord_audit_anchor given;
    enum audit_fit fit;
};

/* The events of one epoch, and whose it was. */
struct audit_epoch {
    uint64_t epoch, last;
    struct zdm_id instance;
};

struct audit_recovery {
    uint64_t seq, seen_epoch;
};

/* An enrolment that was issued: what an agent may join with, once. */
struct audit_enrolment {
    struct zdm_id nonce;
    char shard[ZDM_NAME_MAX + 1];
    bool used;
};

/* One version of the trust file. */
struct audit_trust {
    struct zdm_trust trust;
    struct zdm_hash hash;
};

/* A request that was acted upon: no person signs one twice. */
struct audit_act {
    struct zdm_id request_id;
    uint64_t seq;
};

/* The request that the events behind it follow from. */
struct audit_request {
    uint64_t seq; /* 0: none */
    enum zdm_verb verb;
    char name[ZDM_NAME_MAX + 1];
    char migration[ZDM_NAME_MAX + 1];
    struct zdm_hash plan_hash;
    struct zdm_id target;
    bool here;  /* recover: it was signed for this place in this log */
    bool amend; /* submit: of another plan for a migration that is under way */
};

/* The plan of a migration, as it is at this place in the log. */
struct audit_plan {
    char migration[ZDM_NAME_MAX + 1];
    struct zdm_plan *plan; /* a reference */
    uint32_t *reached;     /* by shard: the phases that it has finished and not gone back over */
    size_t n_shards;
};

struct coord_audit {
    const struct zdm_crypto *crypto;
    struct zdm_id fleet;
    struct audit_trust *versions; /* 1, 2, … */
    size_t n_versions, cap_versions;
    struct coord_audit_result result;

    struct audit_anchor *anchors;
    size_t n_anchors, cap_anchors, next_anchor;
    bool started; /* the anchors are sorted */

    uint64_t last_seq;    /* of what was fed */
    struct zdm_hash hash; /* the chain's, computed; behind a break, as stored */
    uint64_t broken_at;   /* the first event that does not fit the chain; 0: none */
    unsigned breaks;
    uint64_t moved_to; /* the event that stood too early, while it may still be a swap */

    uint64_t epoch;
    int64_t at_ms;
    uint32_t trust_version; /* adopted */
    struct audit_request request;
    struct audit_act *acts;
    size_t n_acts, cap_acts;
    struct audit_epoch *epochs;
    size_t n_epochs, cap_epochs;
    struct audit_recovery *recoveries;
    size_t n_recoveries, cap_recoveries;
    struct audit_enrolment *enrolments;
    size_t n_enrolments, cap_enrolments;
    struct audit_plan *plans;
    size_t n_plans, cap_plans;
    struct zdm_hash *undo_orders; /* digests of those that were verified */
    size_t n_undo_orders, cap_undo_orders;
};

/* Notes what is wrong, unless something before it was. */
void audit_found(struct coord_audit *audit, enum coord_audit_finding finding, uint64_t from, uint64_t to,
                 const char *fmt, ...) ZDM_PRINTF(5, 6);
/* Finds what was acted upon twice. */
void audit_check_acts(struct coord_audit *audit);
/* Verifies what the event holds of signed bytes, and that it says what they say. False without memory. */
bool audit_check_signed(struct coord_audit *audit, const struct coord_event *event);

#endif
