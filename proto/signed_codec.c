/*
 * signed_codec.c - the bodies of signed messages. See codec.h; how tables work is in fields.h.
 */
#include "proto/codec.h"

#include "common/base/selector.h"
#include "proto/messages.h"
#include "zdm/v1/signed.pb-c.h"

enum { SHARDS_MAX = ZDM_SELECTION_NAMES_MAX };

_Static_assert(ZDM_MODE_PURGE == (int)ZDM__V1__MODE__MODE_PURGE, "enum Mode");
_Static_assert(ZDM_VERB_RECOVER == (int)ZDM__V1__VERB__VERB_RECOVER, "enum Verb");
_Static_assert(ZDM_APPROVE_UNDO == (int)ZDM__V1__APPROVAL_ACTION__APPROVAL_ACTION_UNDO, "enum ApprovalAction");

/* ---- directive ---- */

static enum zdm_code check_directive(void *object, struct zdm_error *err)
{
    const struct zdm_directive *directive = object;
    if ((directive->mode == ZDM_MODE_UNDO) != (directive->undo_order != NULL))
        return zdm_error_set(err, ZDM_PROTOCOL, "undo_order: goes with mode undo and with no other");
    return ZDM_OK;
}

static const struct zdm_field directive_fields[] = {
    F_TEXT(zdm_directive, migration, ZDM_REQUIRED | ZDM_NAMED),
    F_HASH(zdm_directive, plan_hash, ZDM_REQUIRED),
    F_TEXT(zdm_directive, shard, ZDM_REQUIRED | ZDM_NAMED),
    F_ID(zdm_directive, actor, 0),
    F_MESSAGE(zdm_directive, fence, &zdm_fence_message),
    F_U32(zdm_directive, goal_phase, 0),
    F_ENUM(zdm_directive, mode, zdm_mode, ZDM_REQUIRED),
    F_U32(zdm_directive, attempt, 0),
    F_MESSAGE(zdm_directive, throttle, &zdm_throttle_message),
    F_ARRAY(zdm_directive, approvals, n_approvals, ZDM_APPROVALS_MAX, &zdm_envelope_message),
    F_POINTER(zdm_directive, undo_order, &zdm_envelope_message),
};
const struct zdm_message zdm_directive_message =
    ZDM_MESSAGE(zdm_directive, zdm__v1__directive__descriptor, directive_fields, check_directive);

/* ---- approval and undo order ---- */

static enum zdm_code check_approval(void *object, struct zdm_error *err)
{
    const struct zdm_approval *approval = object;
    bool has_digest = approval->action != ZDM_APPROVE_UNDO && approval->phase != 0;
    if (approval->action == ZDM_APPROVE_ENTER && approval->phase == 0)
        return zdm_error_set(err, ZDM_PROTOCOL, "phase: an approval to enter names one");
    if (has_digest == zdm_hash_is_zero(&approval->phase_digest))
        return zdm_error_set(err, ZDM_PROTOCOL, "phase_digest: goes with a phase that is entered or purged");
    if (approval->purge_now && approval->action != ZDM_APPROVE_PURGE)
        return zdm_error_set(err, ZDM_PROTOCOL, "purge_now: goes with action purge and with no other");
    return ZDM_OK;
}

static const struct zdm_field approval_fields[] = {
    F_TEXT(zdm_approval, migration, ZDM_REQUIRED | ZDM_NAMED),
    F_HASH(zdm_approval, plan_hash, ZDM_REQUIRED),
    F_U32(zdm_approval, phase, 0),
    F_HASH(zdm_approval, phase_digest, 0),
    F_ENUM(zdm_approval, action, zdm_approval_action, ZDM_REQUIRED),
    F_BOOL(zdm_approval, purge_now),
    F_STRINGS(zdm_approval, shards, n_shards, SHARDS_MAX, ZDM_NAME_MAX, ZDM_REQUIRED | ZDM_NAMED),
    F_U32(zdm_approval, trust_version, ZDM_REQUIRED),
    F_I64(zdm_approval, issued_at_ms, ZDM_REQUIRED),
    F_I64(zdm_approval, expires_at_ms, ZDM_REQUIRED),
    F_ID(zdm_approval, nonce, ZDM_REQUIRED),
};
const struct zdm_message zdm_approval_message =
    ZDM_MESSAGE(zdm_approval, zdm__v1__approval__descriptor, approval_fields, check_approval);

static const struct zdm_field undo_order_fields[] = {
    F_TEXT(zdm_undo_order, migration, ZDM_REQUIRED | ZDM_NAMED),
    F_HASH(zdm_undo_order, plan_hash, ZDM_REQUIRED),
    F_U32(zdm_undo_order, to_phase, 0),
    F_STRINGS(zdm_undo_order, shards, n_shards, SHARDS_MAX, ZDM_NAME_MAX, ZDM_REQUIRED | ZDM_NAMED),
    F_ID(zdm_undo_order, nonce, ZDM_REQUIRED),
    F_I64(zdm_undo_order, issued_at_ms, ZDM_REQUIRED),
    F_I64(zdm_undo_order, expires_at_ms, ZDM_REQUIRED),
};
const struct zdm_message zdm_undo_order_message =
    ZDM_MESSAGE(zdm_undo_order, zdm__v1__undo_order__descriptor, undo_order_fields, NULL);

/* ---- trust ---- */

static const struct zdm_field person_fields[] = {
    F_HASH(zdm_person, public_key, ZDM_REQUIRED),
    F_TEXT(zdm_person, name, ZDM_REQUIRED | ZDM_NAMED),
    F_U32(zdm_person, roles, ZDM_REQUIRED),
};
static const struct zdm_message person_message =
    ZDM_MESSAGE(zdm_person, zdm__v1__person__descriptor, person_fields, NULL);

static enum zdm_code check_trust(void *object, struct zdm_error *err)
{
    enum zdm_code code = zdm_trust_validate(object, err);
    return code == ZDM_OK ? ZDM_OK : (err->code = ZDM_PROTOCOL);
}

static const struct zdm_field trust_fields[] = {
    F_TEXT(zdm_trust, fleet_name, ZDM_REQUIRED | ZDM_NAMED),
    F_U32(zdm_trust, version, ZDM_REQUIRED),
    F_HASHES(zdm_trust, roots, n_roots),
    F_U32(zdm_trust, root_threshold, ZDM_REQUIRED),
    F_HASHES(zdm_trust, coordinators, n_coordinators),
    F_ARRAY(zdm_trust, people, n_people, ZDM_PEOPLE_MAX, &person_message),
    F_U32(zdm_trust, approvals_min, 0),
    F_BOOL(zdm_trust, four_eyes),
};
const struct zdm_message zdm_trust_message =
    ZDM_MESSAGE(zdm_trust, zdm__v1__trust__descriptor, trust_fields, check_trust);

/* ---- enrolment ---- */

static enum zdm_code check_enrolment(void *object, struct zdm_error *err)
{
    return zdm_labels_check(&((const struct zdm_enrolment *)object)->labels, err);
}

static const struct zdm_field enrolment_fields[] = {
    F_TEXT(zdm_enrolment, shard, ZDM_REQUIRED | ZDM_NAMED),
    F_FIXED(zdm_enrolment, labels.items, labels.n, &zdm_label_message),
    F_HASH(zdm_enrolment, secret_hash, ZDM_REQUIRED),
    F_I64(zdm_enrolment, expires_at_ms, ZDM_REQUIRED),
    F_ID(zdm_enrolment, nonce, ZDM_REQUIRED),
};
const struct zdm_message zdm_enrolment_message =
    ZDM_MESSAGE(zdm_enrolment, zdm__v1__enrolment__descriptor, enrolment_fields, check_enrolment);

/* ---- request ---- */

static enum zdm_code check_selection(void *object, struct zdm_error *err)
{
    const struct zdm_selection *selection = object;
    int ways = (selection->all ? 1 : 0) + (selection->selector != NULL ? 1 : 0) + (selection->n_names != 0 ? 1 : 0);
    if (ways > 1)
        return zdm_error_set(err, ZDM_PROTOCOL, "chooses shards in more than one way");
    if (selection->selector != NULL && zdm_selector_check(selection->selector, err) != ZDM_OK)
        return err->code = ZDM_PROTOCOL;
    return ZDM_OK;
}

static const struct zdm_field selection_fields[] = {
    F_BOOL(zdm_selection, all),
    F_STRING(zdm_selection, selector, ZDM_FRAME_MAX, 0),
    F_STRINGS(zdm_selection, names, n_names, SHARDS_MAX, ZDM_NAME_MAX, ZDM_REQUIRED | ZDM_NAMED),
};
static const struct zdm_message selection_message =
    ZDM_MESSAGE(zdm_selection, zdm__v1__selection__descriptor, selection_fields, check_selection);

static const struct zdm_field request_fields[] = {
    F_ID(zdm_request, request_id, ZDM_REQUIRED),
    F_HASH(zdm_request, session, ZDM_REQUIRED),
    F_TEXT(zdm_request, migration, ZDM_NAMED),
    F_ENUM(zdm_request, verb, zdm_verb, ZDM_REQUIRED),
    F_MESSAGE(zdm_request, shards, &selection_message),
    F_BOOL(zdm_request, has_expect),
    F_U32(zdm_request, expect_phase, 0),
    F_U64(zdm_request, expect_generation, 0),
    F_U32(zdm_request, to_phase, 0),
    F_BOOL(zdm_request, only_unfinished),
    F_HASH(zdm_request, plan_hash, 0),
    F_BOOL(zdm_request, amend),
    F_MESSAGE(zdm_request, throttle, &zdm_throttle_message),
    F_MESSAGE(zdm_request, payload, &zdm_envelope_message),
    F_ID(zdm_request, target, 0),
    F_TEXT(zdm_request, reason, 0),
    F_BOOL(zdm_request, flags_off),
    F_BOOL(zdm_request, forward),
};
const struct zdm_message zdm_request_message =
    ZDM_MESSAGE(zdm_request, zdm__v1__request__descriptor, request_fields, NULL);

/* ---- the functions of codec.h: one pair a type ---- */

#define CODEC(name, type, what)                                                                                        \
    void zdm_##name##_encode(const struct type *object, struct zdm_buffer *out)                                        \
    {                                                                                                                  \
        zdm_message_encode(&zdm_##name##_message, object, out);                                                        \
    }                                                                                                                  \
    enum zdm_code zdm_##name##_decode(const void *bytes, size_t n, struct type *out, struct zdm_error *err)            \
    {                                                                                                                  \
        return zdm_message_decode(&zdm_##name##_message, what, bytes, n, ZDM_UNPACK_MAX, out, err);                    \
    }

CODEC(directive, zdm_directive, "directive")
CODEC(approval, zdm_approval, "approval")
CODEC(undo_order, zdm_undo_order, "undo order")
CODEC(trust, zdm_trust, "trust file")
CODEC(request, zdm_request, "request")
CODEC(enrolment, zdm_enrolment, "enrolment")
