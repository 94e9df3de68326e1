/*
 * trust.h - who is who: the trust file, roles, enrolment; and the requests that people sign (protocol 6).
 */
#ifndef ZDM_PLAN_TRUST_H
#define ZDM_PLAN_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/id.h"
#include "common/base/limits.h"
#include "common/base/selector.h"
#include "common/plan/directive.h"

enum zdm_role { ZDM_ROLE_VIEWER = 1, ZDM_ROLE_OPERATOR = 2, ZDM_ROLE_APPROVER = 4 }; /* bits */

struct zdm_person {
    struct zdm_hash public_key;
    char name[ZDM_NAME_MAX + 1];
    uint32_t roles; /* bits of enum zdm_role; operator and approver include viewer */
};

enum { ZDM_ROOTS_MAX = 16, ZDM_COORDINATORS_MAX = 16 };

struct zdm_trust {
    char fleet_name[ZDM_NAME_MAX + 1];
    uint32_t version;
    struct zdm_hash roots[ZDM_ROOTS_MAX];
    size_t n_roots;
    uint32_t root_threshold;
    struct zdm_hash coordinators[ZDM_COORDINATORS_MAX];
    size_t n_coordinators;
    struct zdm_person *people;
    size_t n_people;
    uint32_t approvals_min;
    bool four_eyes;
};

void zdm_trust_fini(struct zdm_trust *trust);
/* The bounds, distinct keys, threshold within the roots, at least one root, coordinator and operator. */
enum zdm_code zdm_trust_validate(const struct zdm_trust *trust, struct zdm_error *err) ZDM_CHECKED;

/* Enrolment (type 5 verb enroll carries it, type 6): one shard may join once with a secret. */
struct zdm_enrolment {
    char shard[ZDM_NAME_MAX + 1];
    struct zdm_labels labels;
    struct zdm_hash secret_hash; /* BLAKE2b-256 of the 16-byte secret in the token */
    int64_t expires_at_ms;
    struct zdm_id nonce;
};

enum zdm_verb {
    ZDM_VERB_SUBMIT = 1,
    ZDM_VERB_ADVANCE = 2,
    ZDM_VERB_PAUSE = 3,
    ZDM_VERB_RESUME = 4,
    ZDM_VERB_RETRY = 5,
    ZDM_VERB_ROLLBACK = 6,
    ZDM_VERB_THROTTLE = 7,
    ZDM_VERB_APPROVE = 8,
    ZDM_VERB_REVOKE_APPROVAL = 9,
    ZDM_VERB_ENROLL = 10,
    ZDM_VERB_REVOKE_AGENT = 11,
    ZDM_VERB_EXCLUDE = 12,
    ZDM_VERB_INCLUDE = 13,
    ZDM_VERB_FREEZE = 14,
    ZDM_VERB_THAW = 15,
    ZDM_VERB_PURGE = 16,
    ZDM_VERB_TRUST = 17,  /* publish a new trust file: the roots' signatures are its authority */
    ZDM_VERB_RECOVER = 18 /* signed for zdm-coordinator recover; never sent over a session */
};

/* Which shards a request is about: all, or names, or a selector. */
struct zdm_selection {
    bool all;
    char *selector; /* NULL: not by selector */
    char **names;
    size_t n_names;
};

enum { ZDM_SELECTION_NAMES_MAX = 500 };

/* Body of a request (type 5). Fields that a verb does not use are zero. */
struct zdm_request {
    struct zdm_id request_id;
    struct zdm_hash session; /* transcript hash of the session it is sent in */
    char migration[ZDM_NAME_MAX + 1];
    enum zdm_verb verb;
    struct zdm_selection shards;
    bool has_expect;
    uint32_t expect_phase;      /* advance: the opened phase that the person saw */
    uint64_t expect_generation; /* and the log position */
    uint32_t to_phase;          /* advance, rollback; 0: the next */
    bool only_unfinished;
    struct zdm_hash plan_hash; /* submit; trust: BLAKE2b-256 of the uploaded chain */
    bool amend;
    struct zdm_throttle throttle;
    struct zdm_envelope payload; /* enroll: enrolment; approve, purge: approval; rollback: undo order; else empty */
    struct zdm_id target;        /* revoke-agent: the agent's key id; revoke-approval: the approval's nonce */
    char reason[ZDM_TEXT_MAX + 1];
    bool flags_off; /* rollback: the person states that every flag above to_phase is off and no new code runs */
    bool forward;   /* retry: a shard whose rollback failed or was paused stays where it is and goes forward again */
};

void zdm_selection_fini(struct zdm_selection *selection);
void zdm_request_fini(struct zdm_request *request);
const char *zdm_verb_name(enum zdm_verb verb);
/* The role bit that a verb asks for. */
enum zdm_role zdm_verb_role(enum zdm_verb verb);
/* "operator, approver"; out has at least 32 bytes. */
void zdm_roles_text(char *out, size_t size, uint32_t roles);

#endif
