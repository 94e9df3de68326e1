/*
 * audit_signed.c - what people signed, verified again as the coordinator should have done it: under the trust file in
 * force at that event, by somebody with the role; and the event says what the signed bytes say. See audit.h.
 *
 * The events that follow from a request stand right behind it in the log. So each of them that names a person, or could
 * not happen without one, must have that person's request before it, and nothing between that has another cause.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/log/audit_private.h"
#include "proto/codec.h"
#include "proto/signed.h"
#include "proto/trust_file.h"

#define VERB(name) (UINT32_C(1) << ZDM_VERB_##name)

static void unsigned_at(struct coord_audit *audit, const struct coord_event *event, const char *what, const char *why)
{
    audit_found(audit, COORD_AUDIT_UNSIGNED, event->seq, event->seq, "event %" PRIu64 " (%s): %s: %s", event->seq,
                coord_event_type_name(event->type), what, why);
}

static void misstated(struct coord_audit *audit, const struct coord_event *event, const char *what)
{
    audit_found(audit, COORD_AUDIT_MISSTATED, event->seq, event->seq, "event %" PRIu64 " (%s): %s", event->seq,
                coord_event_type_name(event->type), what);
}

/* ---- Whose keys count ---- */

struct finder {
    const struct coord_audit *audit;
    uint32_t role;
    const struct zdm_person *person; /* found */
};

static const struct zdm_trust *trust_in_force(const struct coord_audit *audit)
{
    return audit->trust_version != 0 ? &audit->versions[audit->trust_version - 1].trust : NULL;
}

static bool find_person(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    struct finder *finder = ctx;
    const struct zdm_trust *trust = trust_in_force(finder->audit);
    const struct zdm_person *person = trust != NULL ? zdm_trust_person(finder->audit->crypto, trust, key_id) : NULL;
    if (person == NULL || ((person->roles | (uint32_t)ZDM_ROLE_VIEWER) & finder->role) != finder->role)
        return false;
    finder->person = person;
    *out_public_key = person->public_key;
    return true;
}

/* The body of what somebody with that role signed; NULL when it is not so, which is then noted. */
static const uint8_t *verified(struct coord_audit *audit, const struct coord_event *event, const char *what,
                               const struct zdm_envelope *envelope, enum zdm_signed_type type, enum zdm_role role,
                               size_t *out_n, const struct zdm_person **out_person, struct zdm_id *out_signer)
{
    struct finder finder = {.audit = audit, .role = (uint32_t)role};
    struct zdm_error err;
    const uint8_t *body;
    if (zdm_signed_check(audit->crypto, envelope, type, &audit->fleet, find_person, &finder, &body, out_n, out_signer,
                         &err) != ZDM_OK) {
        unsigned_at(audit, event, what, err.message);
        return NULL;
    }
    audit->result.n_signed++;
    *out_person = finder.person;
    return body;
}

/* ---- Requests ---- */

static void compare_request(struct coord_audit *audit, const struct coord_event *event,
                            const struct zdm_request *request, const struct zdm_person *person,
                            const struct zdm_id *signer)
{
    if (!zdm_id_equal(&event->u.operator_acted.key, signer) || strcmp(event->u.operator_acted.name, person->name) != 0)
        misstated(audit, event, "it names another person than the one who signed");
    else if (!zdm_id_equal(&event->u.operator_acted.request_id, &request->request_id) ||
             event->u.operator_acted.verb != request->verb ||
             strcmp(event->u.operator_acted.reason, request->reason) != 0 ||
             strcmp(event->migration, request->migration) != 0)
        misstated(audit, event, "it says something else than the request that was signed");
}

static void note_request(struct coord_audit *audit, const struct coord_event *event, const struct zdm_request *request,
                         const struct zdm_person *person)
{
    struct audit_request *r = &audit->request;
    *r = (struct audit_request){.seq = event->seq,
                                .verb = request->verb,
                                .plan_hash = request->plan_hash,
                                .target = request->target,
                                .here = zdm_hash_equal(&request->session, &event->prev_hash),
                                .amend = request->amend};
    zdm_copy_text(r->name, sizeof r->name, person->name);
    zdm_copy_text(r->migration, sizeof r->migration, request->migration);
}

static int by_request(const void *a, const void *b)
{
    const struct audit_act *x = a, *y = b;
    int order = memcmp(x->request_id.bytes, y->request_id.bytes, sizeof x->request_id.bytes);
    return order != 0 ? order : (x->seq > y->seq) - (x->seq < y->seq);
}

/* Whoever can write the log holds every request that was ever signed, and could have one act a second time. */
void audit_check_acts(struct coord_audit *audit)
{
    struct coord_audit_result *r = &audit->result;
    if (audit->n_acts > 1)
        qsort(audit->acts, audit->n_acts, sizeof *audit->acts, by_request);
    for (size_t i = 1; i < audit->n_acts; i++) {
        const struct audit_act *first = &audit->acts[i - 1], *again = &audit->acts[i];
        if (!zdm_id_equal(&first->request_id, &again->request_id) ||
            (r->finding != COORD_AUDIT_SOUND && r->bad_seq <= again->seq))
            continue;
        r->finding = COORD_AUDIT_SOUND; /* what was found comes later in the log */
        audit_found(audit, COORD_AUDIT_MISSTATED, again->seq, again->seq,
                    "event %" PRIu64 " (operator_acted): the request that event %" PRIu64
                    " carried out already: nobody signed it twice",
                    again->seq, first->seq);
    }
}

static bool check_request(struct coord_audit *audit, const struct coord_event *event)
{
    struct zdm_request request;
    struct zdm_error err;
    struct zdm_id signer;
    const struct zdm_person *person;
    size_t n;
    audit->request.seq = 0;
    const uint8_t *body =
        verified(audit, event, "the request", &event->u.operator_acted.signed_request, ZDM_SIGNED_REQUEST,
                 zdm_verb_role(event->u.operator_acted.verb), &n, &person, &signer);
    if (body == NULL)
        return true;
    if (zdm_request_decode(body, n, &request, &err) != ZDM_OK) {
        unsigned_at(audit, event, "the request", err.message);
        return true;
    }
    compare_request(audit, event, &request, person, &signer);
    note_request(audit, event, &request, person);
    bool room = ZDM_RESERVE(audit->acts, audit->cap_acts, audit->n_acts + 1);
    if (room)
        audit->acts[audit->n_acts++] = (struct audit_act){.request_id = request.request_id, .seq = event->seq};
    zdm_request_fini(&request);
    return room;
}

/* ---- What follows from a request ---- */

struct consequence {
    enum coord_event_type type;
    uint32_t verbs; /* of the request that it may follow from */
    bool always;    /* there is no such event without a person */
};

static const struct consequence consequences[] = {
    {COORD_EVENT_ENROLMENT_ISSUED, VERB(ENROLL), true},
    {COORD_EVENT_AGENT_REVOKED, VERB(REVOKE_AGENT), true},
    {COORD_EVENT_MIGRATION_SUBMITTED, VERB(SUBMIT), true},
    {COORD_EVENT_PLAN_AMENDED, VERB(SUBMIT), true},
    {COORD_EVENT_APPROVAL_ADDED, VERB(APPROVE) | VERB(PURGE), true},
    {COORD_EVENT_APPROVAL_REVOKED, VERB(REVOKE_APPROVAL), true},
    {COORD_EVENT_PHASE_OPENED, VERB(ADVANCE) | VERB(PURGE), true},
    {COORD_EVENT_SHARD_EXCLUDED, VERB(EXCLUDE), true},
    {COORD_EVENT_SHARD_INCLUDED, VERB(INCLUDE), true},
    {COORD_EVENT_MIGRATION_HALTED, VERB(PAUSE) | VERB(ROLLBACK), false},
    {COORD_EVENT_MIGRATION_RESUMED, VERB(RESUME) | VERB(ADVANCE) | VERB(RETRY) | VERB(ROLLBACK), false},
    {COORD_EVENT_THROTTLE_SET, VERB(THROTTLE), true},
    {COORD_EVENT_FLEET_FROZEN, VERB(FREEZE), true},
    {COORD_EVENT_FLEET_THAWED, VERB(THAW), true},
    {COORD_EVENT_RECOVERED, VERB(RECOVER), true},
};

/* What an agent said, the clock did or the coordinator itself: a request has had its say by then, and nothing that
 * comes later follows from it any more. */
static bool ends_request(enum coord_event_type type)
{
    static const enum coord_event_type types[] = {
        COORD_EVENT_EPOCH_STARTED,  COORD_EVENT_FEATURES_ENABLED, COORD_EVENT_AGENT_ENROLLED,
        COORD_EVENT_BARRIER_OPENED, COORD_EVENT_WAVE_OPENED,      COORD_EVENT_SHARD_REACHED,
        COORD_EVENT_SHARD_UNDONE,   COORD_EVENT_SHARD_FAILED,     COORD_EVENT_SHARD_RESOLVED,
        COORD_EVENT_SHARD_PURGED,   COORD_EVENT_MIGRATION_ENDED,  COORD_EVENT_FENCED};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i] == type)
            return true;
    return false;
}

/* The person whom the event names, "" for none. */
static const char *by_of(const struct coord_event *event)
{
    switch ((unsigned)event->type) {
    case COORD_EVENT_AGENT_REVOKED:
        return event->u.agent_revoked.by;
    case COORD_EVENT_MIGRATION_SUBMITTED:
    case COORD_EVENT_PLAN_AMENDED:
        return event->u.migration_submitted.by;
    case COORD_EVENT_APPROVAL_REVOKED:
        return event->u.approval_revoked.by;
    case COORD_EVENT_PHASE_OPENED:
        return event->u.phase_opened.by;
    case COORD_EVENT_SHARD_EXCLUDED:
    case COORD_EVENT_SHARD_INCLUDED:
        return event->u.excluded.by;
    case COORD_EVENT_MIGRATION_HALTED:
    case COORD_EVENT_MIGRATION_RESUMED:
        return event->u.halted.by;
    case COORD_EVENT_THROTTLE_SET:
        return event->u.throttle_set.by;
    case COORD_EVENT_FLEET_FROZEN:
    case COORD_EVENT_FLEET_THAWED:
        return event->u.fleet.by;
    default:
        return "";
    }
}

static void check_consequence(struct coord_audit *audit, const struct coord_event *event)
{
    const struct audit_request *r = &audit->request;
    const char *by = by_of(event);
    for (size_t i = 0; i < sizeof consequences / sizeof *consequences; i++) {
        const struct consequence *c = &consequences[i];
        if (c->type != event->type || (!c->always && by[0] == '\0'))
            continue;
        if (r->seq == 0 || (c->verbs & (UINT32_C(1) << r->verb)) == 0)
            misstated(audit, event, "nobody signed a request that it could follow from");
        else if (by[0] != '\0' && strcmp(by, r->name) != 0)
            misstated(audit, event, "it names another person than the request that it follows from");
        else if (event->migration[0] != '\0' && r->migration[0] != '\0' && strcmp(event->migration, r->migration) != 0)
            misstated(audit, event, "it is about another migration than the request that it follows from");
    }
}

/* ---- What travels inside ---- */

static struct audit_plan *plan_of(struct coord_audit *audit, const char *migration)
{
    for (size_t i = 0; i < audit->n_plans; i++)
        if (strcmp(audit->plans[i].migration, migration) == 0)
            return &audit->plans[i];
    return NULL;
}

/* The newest plan of each migration is kept, so that an amended one can be compared with it. */
static bool keep_plan(struct coord_audit *audit, const struct coord_event *event)
{
    struct audit_plan *kept = plan_of(audit, event->migration);
    size_t n = event->u.migration_submitted.n_shards;
    if (kept == NULL) {
        if (!ZDM_RESERVE(audit->plans, audit->cap_plans, audit->n_plans + 1))
            return false;
        kept = &audit->plans[audit->n_plans++];
        *kept = (struct audit_plan){.plan = NULL};
        zdm_copy_text(kept->migration, sizeof kept->migration, event->migration);
    }
    zdm_plan_unref(kept->plan);
    kept->plan = zdm_plan_ref(event->u.migration_submitted.plan);
    if (event->type != COORD_EVENT_MIGRATION_SUBMITTED)
        return true;
    free(kept->reached);
    kept->reached = calloc(n + 1, sizeof *kept->reached);
    kept->n_shards = kept->reached != NULL ? n : 0;
    return kept->reached != NULL;
}

static void note_reached(struct coord_audit *audit, const struct coord_event *event)
{
    struct audit_plan *kept = plan_of(audit, event->migration);
    if (kept != NULL && event->u.reached.shard < kept->n_shards)
        kept->reached[event->u.reached.shard] = event->u.reached.phase;
}

/* The highest phase that a shard has finished. */
static uint32_t reached_of(const struct audit_plan *plan)
{
    uint32_t highest = 0;
    for (size_t i = 0; i < plan->n_shards; i++)
        highest = plan->reached[i] > highest ? plan->reached[i] : highest;
    return highest;
}

/* The first phase that is another one in b, or that only one of them has. */
static uint32_t first_other(const struct zdm_plan *a, const struct zdm_plan *b)
{
    uint32_t p = 0;
    while (p < a->n_phases && p < b->n_phases && zdm_hash_equal(&a->phases[p].digest, &b->phases[p].digest))
        p++;
    return p + 1;
}

static bool same_selector(const struct zdm_plan *a, const struct zdm_plan *b)
{
    return strcmp(a->selector != NULL ? a->selector : "", b->selector != NULL ? b->selector : "") == 0;
}

/* The same plan, signed by somebody else; or another one, which the person must have asked for by that word, over the
 * same shards and the same in all that any of them has done. */
static void check_amended(struct coord_audit *audit, const struct coord_event *event)
{
    const struct audit_plan *before = plan_of(audit, event->migration);
    const struct zdm_plan *plan = event->u.migration_submitted.plan;
    if (before == NULL)
        misstated(audit, event, "the migration whose plan it amends was not submitted");
    else if (zdm_hash_equal(&before->plan->hash, &plan->hash))
        return;
    else if (!audit->request.amend)
        misstated(audit, event, "the plan is another one, and nobody asked to amend it");
    else if (!same_selector(before->plan, plan))
        misstated(audit, event, "the plan is for other shards than the one that it amends");
    else if (first_other(before->plan, plan) <= reached_of(before))
        misstated(audit, event, "it changes a phase that a shard had finished");
}

static bool check_plan(struct coord_audit *audit, const struct coord_event *event)
{
    const struct zdm_person *person;
    struct zdm_id signer;
    size_t n;
    const struct zdm_plan *plan = event->u.migration_submitted.plan;
    if (verified(audit, event, "the plan", &event->u.migration_submitted.plan_envelope, ZDM_SIGNED_PLAN,
                 ZDM_ROLE_OPERATOR, &n, &person, &signer) == NULL)
        return true;
    if (strcmp(event->migration, plan->id) != 0)
        misstated(audit, event, "the plan is of another migration");
    else if (!zdm_hash_equal(&plan->hash, &audit->request.plan_hash))
        misstated(audit, event, "the plan is another one than the request named");
    else if (event->type == COORD_EVENT_PLAN_AMENDED)
        check_amended(audit, event);
    return keep_plan(audit, event);
}

static bool check_enrolment(struct coord_audit *audit, const struct coord_event *event)
{
    const struct zdm_person *person;
    struct zdm_id signer;
    size_t n;
    if (verified(audit, event, "the enrolment", &event->u.enrolment_issued.signed_enrolment, ZDM_SIGNED_ENROLMENT,
                 ZDM_ROLE_OPERATOR, &n, &person, &signer) == NULL)
        return true;
    if (!ZDM_RESERVE(audit->enrolments, audit->cap_enrolments, audit->n_enrolments + 1))
        return false;
    struct audit_enrolment *issued = &audit->enrolments[audit->n_enrolments++];
    *issued = (struct audit_enrolment){.nonce = event->u.enrolment_issued.enrolment.nonce};
    zdm_copy_text(issued->shard, sizeof issued->shard, event->u.enrolment_issued.enrolment.shard);
    return true;
}

static void check_enrolled(struct coord_audit *audit, const struct coord_event *event)
{
    struct zdm_id id = zdm_key_id(audit->crypto, &event->u.agent_enrolled.public_key);
    if (!zdm_id_equal(&id, &event->u.agent_enrolled.agent))
        misstated(audit, event, "the agent's id is not that of its key");
    for (size_t i = 0; i < audit->n_enrolments; i++) {
        struct audit_enrolment *issued = &audit->enrolments[i];
        if (!zdm_id_equal(&issued->nonce, &event->u.agent_enrolled.enrolment))
            continue;
        if (issued->used)
            misstated(audit, event, "its join token was used before");
        else if (strcmp(issued->shard, event->u.agent_enrolled.shard) != 0)
            misstated(audit, event, "its join token was for another shard");
        issued->used = true;
        return;
    }
    misstated(audit, event, "nobody issued the join token that it used");
}

static void check_approval(struct coord_audit *audit, const struct coord_event *event)
{
    const struct zdm_person *person;
    struct zdm_id signer;
    size_t n;
    if (verified(audit, event, "the approval", &event->u.approval_added.signed_approval, ZDM_SIGNED_APPROVAL,
                 ZDM_ROLE_APPROVER, &n, &person, &signer) == NULL)
        return;
    if (!zdm_id_equal(&signer, &event->u.approval_added.approver))
        misstated(audit, event, "it names another approver than the one who signed");
    else if (strcmp(event->migration, event->u.approval_added.approval.migration) != 0)
        misstated(audit, event, "the approval is of another migration");
}

static void check_approval_revoked(struct coord_audit *audit, const struct coord_event *event)
{
    if (!zdm_id_equal(&event->u.approval_revoked.nonce, &audit->request.target))
        misstated(audit, event, "it revokes another approval than the request named");
}

/* An order that was verified once may be given again after its signer has left. */
static bool is_known_order(const struct coord_audit *audit, const struct zdm_hash *digest)
{
    for (size_t i = 0; i < audit->n_undo_orders; i++)
        if (zdm_hash_equal(&audit->undo_orders[i], digest))
            return true;
    return false;
}

static bool check_undo_order(struct coord_audit *audit, const struct coord_event *event)
{
    const struct zdm_envelope *envelope = &event->u.directed.undo_order;
    struct zdm_undo_order order;
    struct zdm_error err;
    const struct zdm_person *person;
    struct zdm_id signer;
    size_t n;
    if (envelope->len == 0)
        return true;
    struct zdm_hash digest = zdm_signed_digest(audit->crypto, envelope);
    if (is_known_order(audit, &digest))
        return true;
    const uint8_t *body = verified(audit, event, "the undo order", envelope, ZDM_SIGNED_UNDO_ORDER, ZDM_ROLE_OPERATOR,
                                   &n, &person, &signer);
    if (body == NULL)
        return true;
    if (zdm_undo_order_decode(body, n, &order, &err) != ZDM_OK) {
        unsigned_at(audit, event, "the undo order", err.message);
        return true;
    }
    if (strcmp(order.migration, event->migration) != 0)
        misstated(audit, event, "the undo order is of another migration");
    else if (event->u.directed.set_goal && event->u.directed.goal < order.to_phase)
        misstated(audit, event, "it goes back further than the undo order says");
    zdm_undo_order_fini(&order);
    if (!ZDM_RESERVE(audit->undo_orders, audit->cap_undo_orders, audit->n_undo_orders + 1))
        return false;
    audit->undo_orders[audit->n_undo_orders++] = digest;
    return true;
}

/* ---- The coordinator's own ---- */

static void check_adopted(struct coord_audit *audit, const struct coord_event *event)
{
    uint32_t version = event->u.trust_adopted.version;
    if (version > audit->n_versions)
        audit_found(audit, COORD_AUDIT_UNSIGNED, event->seq, event->seq,
                    "event %" PRIu64 ": trust file version %" PRIu32
                    " was adopted, the one at hand ends with version %zu: take the newest",
                    event->seq, version, audit->n_versions);
    else if (version <= audit->trust_version)
        misstated(audit, event, "the trust file went back to an older version");
    else if (!zdm_hash_equal(&audit->versions[version - 1].hash, &event->u.trust_adopted.digest))
        unsigned_at(audit, event, "the trust file", "the roots signed another one of that version");
    else
        audit->trust_version = version;
}

/* A request to recover is sent over no session: in its place it names the chain's hash before it, so that nobody can
 * put it into another log. */
static void check_recovered(struct coord_audit *audit, const struct coord_event *event)
{
    if (audit->request.seq + 1 != event->seq || !audit->request.here)
        misstated(audit, event, "the request to recover was signed for another place in the log");
}

bool audit_check_signed(struct coord_audit *audit, const struct coord_event *event)
{
    if (ends_request(event->type))
        audit->request.seq = 0;
    check_consequence(audit, event);
    switch ((unsigned)event->type) {
    case COORD_EVENT_OPERATOR_ACTED:
        return check_request(audit, event);
    case COORD_EVENT_MIGRATION_SUBMITTED:
    case COORD_EVENT_PLAN_AMENDED:
        return check_plan(audit, event);
    case COORD_EVENT_SHARD_REACHED:
    case COORD_EVENT_SHARD_UNDONE:
        note_reached(audit, event);
        break;
    case COORD_EVENT_ENROLMENT_ISSUED:
        return check_enrolment(audit, event);
    case COORD_EVENT_AGENT_ENROLLED:
        check_enrolled(audit, event);
        break;
    case COORD_EVENT_APPROVAL_ADDED:
        check_approval(audit, event);
        break;
    case COORD_EVENT_APPROVAL_REVOKED:
        check_approval_revoked(audit, event);
        break;
    case COORD_EVENT_SHARDS_DIRECTED:
        return check_undo_order(audit, event);
    case COORD_EVENT_TRUST_ADOPTED:
        check_adopted(audit, event);
        break;
    case COORD_EVENT_RECOVERED:
        check_recovered(audit, event);
        break;
    default:
        break; /* says nothing that a person signed */
    }
    return true;
}
