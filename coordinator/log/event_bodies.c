/*
 * event_bodies.c - what each type of event says, as tables over struct coord_event. See event_bodies.h.
 */
#include "coordinator/log/event_bodies.h"

#include "coordinator/core/event.h"
#include "event.pb-c.h"

enum { BITS_MAX = ZDM_SHARDS_MAX / 8 + 1, NOTES_MAX = ZDM_NOTES_MAX };

_Static_assert(COORD_HALT_VETO == (int)ZDM__LOG__V1__HALT_CAUSE__HALT_CAUSE_VETO, "enum HaltCause");
_Static_assert(COORD_END_ABANDONED == (int)ZDM__LOG__V1__OUTCOME__OUTCOME_ABANDONED, "enum Outcome");

/* A body's table: the members it names are those of struct coord_event. */
#define BODY(name)                                                                                                     \
    static const struct zdm_message name##_message =                                                                   \
        ZDM_MESSAGE(coord_event, zdm__log__v1__##name##__descriptor, name##_fields, NULL)

static const struct zdm_field log_opened_fields[] = {
    F_ID(coord_event, u.log_opened.fleet, ZDM_REQUIRED),
    F_U32(coord_event, u.log_opened.format, ZDM_REQUIRED),
    F_TEXT(coord_event, u.log_opened.release, 0),
};
BODY(log_opened);

static const struct zdm_field epoch_started_fields[] = {
    F_ID(coord_event, u.epoch_started.instance, ZDM_REQUIRED),
    F_TEXT(coord_event, u.epoch_started.release, 0),
    F_TEXT(coord_event, u.epoch_started.host, 0),
};
BODY(epoch_started);

static const struct zdm_field features_enabled_fields[] = {F_U32(coord_event, u.features_enabled.level, 0)};
BODY(features_enabled);

static const struct zdm_field trust_adopted_fields[] = {
    F_U32(coord_event, u.trust_adopted.version, ZDM_REQUIRED),
    F_HASH(coord_event, u.trust_adopted.digest, ZDM_REQUIRED),
};
BODY(trust_adopted);

static enum zdm_code check_agent_enrolled(void *object, struct zdm_error *err)
{
    return zdm_labels_check(&((const struct coord_event *)object)->u.agent_enrolled.labels, err);
}

static const struct zdm_field agent_enrolled_fields[] = {
    F_ID(coord_event, u.agent_enrolled.agent, ZDM_REQUIRED),
    F_HASH(coord_event, u.agent_enrolled.public_key, ZDM_REQUIRED),
    F_TEXT(coord_event, u.agent_enrolled.shard, ZDM_REQUIRED | ZDM_NAMED),
    F_FIXED(coord_event, u.agent_enrolled.labels.items, u.agent_enrolled.labels.n, &zdm_label_message),
    F_ID(coord_event, u.agent_enrolled.enrolment, 0),
    F_TEXT(coord_event, u.agent_enrolled.by, 0),
};
static const struct zdm_message agent_enrolled_message =
    ZDM_MESSAGE(coord_event, zdm__log__v1__agent_enrolled__descriptor, agent_enrolled_fields, check_agent_enrolled);

static const struct zdm_field agent_revoked_fields[] = {
    F_ID(coord_event, u.agent_revoked.agent, ZDM_REQUIRED),
    F_TEXT(coord_event, u.agent_revoked.by, 0),
    F_TEXT(coord_event, u.agent_revoked.reason, 0),
};
BODY(agent_revoked);

static const struct zdm_field operator_acted_fields[] = {
    F_ID(coord_event, u.operator_acted.request_id, ZDM_REQUIRED),
    F_ID(coord_event, u.operator_acted.key, 0),
    F_ENUM(coord_event, u.operator_acted.verb, zdm_verb, ZDM_REQUIRED),
    F_TEXT(coord_event, u.operator_acted.name, 0),
    F_TEXT(coord_event, u.operator_acted.reason, 0),
    F_MESSAGE(coord_event, u.operator_acted.signed_request, &zdm_envelope_message),
};
BODY(operator_acted);

static const struct zdm_field enrolment_issued_fields[] = {
    F_MESSAGE(coord_event, u.enrolment_issued.signed_enrolment, &zdm_envelope_message),
};
BODY(enrolment_issued);

static const struct zdm_field submitted_shard_fields[] = {
    F_TEXT(coord_submitted_shard, name, ZDM_REQUIRED | ZDM_NAMED),
    F_U32(coord_submitted_shard, wave, 0),
};
static const struct zdm_message submitted_shard_message =
    ZDM_MESSAGE(coord_submitted_shard, zdm__log__v1__submitted_shard__descriptor, submitted_shard_fields, NULL);

static const struct zdm_field migration_submitted_fields[] = {
    F_MESSAGE(coord_event, u.migration_submitted.plan_envelope, &zdm_envelope_message),
    F_BYTES(coord_event, u.migration_submitted.notes, u.migration_submitted.n_notes, NOTES_MAX, 0),
    F_ARRAY(coord_event, u.migration_submitted.shards, u.migration_submitted.n_shards, ZDM_SHARDS_MAX,
            &submitted_shard_message),
    F_TEXT(coord_event, u.migration_submitted.by, 0),
};
BODY(migration_submitted);

static const struct zdm_field approval_added_fields[] = {
    F_MESSAGE(coord_event, u.approval_added.signed_approval, &zdm_envelope_message),
    F_ID(coord_event, u.approval_added.approver, ZDM_REQUIRED),
};
BODY(approval_added);

static const struct zdm_field approval_revoked_fields[] = {
    F_ID(coord_event, u.approval_revoked.nonce, ZDM_REQUIRED),
    F_TEXT(coord_event, u.approval_revoked.by, 0),
};
BODY(approval_revoked);

static const struct zdm_field shard_bits_fields[] = {
    F_BYTES(coord_shard_bits, bytes, n_bytes, BITS_MAX, 0),
    F_U32(coord_shard_bits, first, 0),
};
static const struct zdm_message shard_bits_message =
    ZDM_MESSAGE(coord_shard_bits, zdm__log__v1__shard_bits__descriptor, shard_bits_fields, NULL);

static const struct zdm_field phase_opened_fields[] = {
    F_U32(coord_event, u.phase_opened.phase, ZDM_REQUIRED),
    F_TEXT(coord_event, u.phase_opened.by, 0),
    F_MESSAGE(coord_event, u.phase_opened.only, &shard_bits_message),
};
BODY(phase_opened);

static const struct zdm_field barrier_opened_fields[] = {F_U32(coord_event, u.barrier_opened.phase, ZDM_REQUIRED)};
BODY(barrier_opened);

static const struct zdm_field wave_opened_fields[] = {
    F_U32(coord_event, u.wave_opened.phase, ZDM_REQUIRED),
    F_U32(coord_event, u.wave_opened.wave, 0),
};
BODY(wave_opened);

static const struct zdm_field gate_fields[] = {
    F_U32(coord_event, u.gate.phase, 0),
    F_U32(coord_event, u.gate.step, 0),
    F_U32(coord_event, u.gate.run, 0),
    F_TEXT(coord_event, u.gate.detail, 0),
};
BODY(gate);

static const struct zdm_field shards_directed_fields[] = {
    F_BYTES(coord_event, u.directed.shards, u.directed.n_bytes, BITS_MAX, ZDM_REQUIRED),
    F_U32(coord_event, u.directed.first, 0),
    F_BOOL(coord_event, u.directed.keep_status),
    F_BOOL(coord_event, u.directed.set_goal),
    F_U32(coord_event, u.directed.goal, 0),
    F_ENUM(coord_event, u.directed.mode, zdm_mode, ZDM_REQUIRED),
    F_BOOL(coord_event, u.directed.set_actor),
    F_ID(coord_event, u.directed.actor, 0),
    F_BOOL(coord_event, u.directed.next_attempt),
    F_MESSAGE(coord_event, u.directed.undo_order, &zdm_envelope_message),
    F_TEXT(coord_event, u.directed.why, 0),
};
BODY(shards_directed);

static const struct zdm_field shard_reached_fields[] = {
    F_U32(coord_event, u.reached.shard, 0),     F_U32(coord_event, u.reached.phase, 0),
    F_ID(coord_event, u.reached.agent, 0),      F_U64(coord_event, u.reached.generation, 0),
    F_HASH(coord_event, u.reached.evidence, 0), F_TEXT(coord_event, u.reached.remark, 0),
};
BODY(shard_reached);

static const struct zdm_field shard_failed_fields[] = {
    F_U32(coord_event, u.failed.shard, 0), F_U32(coord_event, u.failed.phase, 0),
    F_U32(coord_event, u.failed.step, 0),  F_BOOL(coord_event, u.failed.back),
    F_CODE(coord_event, u.failed.code),    F_TEXT(coord_event, u.failed.sqlstate, 0),
    F_TEXT(coord_event, u.failed.text, 0), F_U32(coord_event, u.failed.attempt, 0),
    F_TEXT(coord_event, u.failed.hint, 0),
};
BODY(shard_failed);

static const struct zdm_field shard_regressed_fields[] = {
    F_U32(coord_event, u.regressed.shard, 0),
    F_U32(coord_event, u.regressed.from, 0),
    F_U32(coord_event, u.regressed.to, 0),
    F_TEXT(coord_event, u.regressed.cause, 0),
};
BODY(shard_regressed);

static const struct zdm_field shard_unsure_fields[] = {
    F_U32(coord_event, u.unsure.shard, 0),
    F_U32(coord_event, u.unsure.step, 0),
    F_U32(coord_event, u.unsure.at, 0),
    F_TEXT(coord_event, u.unsure.text, 0),
};
BODY(shard_unsure);

static const struct zdm_field shard_excluded_fields[] = {
    F_U32(coord_event, u.excluded.shard, 0),
    F_TEXT(coord_event, u.excluded.by, 0),
    F_TEXT(coord_event, u.excluded.reason, 0),
};
BODY(shard_excluded);

static const struct zdm_field migration_halted_fields[] = {
    F_ENUM(coord_event, u.halted.cause, coord_halt_cause, 0),
    F_U32(coord_event, u.halted.failed, 0),
    F_TEXT(coord_event, u.halted.by, 0),
};
BODY(migration_halted);

static const struct zdm_field throttle_set_fields[] = {
    F_MESSAGE(coord_event, u.throttle_set.throttle, &zdm_throttle_message),
    F_TEXT(coord_event, u.throttle_set.by, 0),
};
BODY(throttle_set);

static const struct zdm_field fleet_frozen_fields[] = {
    F_TEXT(coord_event, u.fleet.by, 0),
    F_TEXT(coord_event, u.fleet.reason, 0),
};
BODY(fleet_frozen);

static const struct zdm_field migration_ended_fields[] = {
    F_ENUM(coord_event, u.ended.outcome, coord_end, ZDM_REQUIRED)};
BODY(migration_ended);

static const struct zdm_field fenced_fields[] = {
    F_U64(coord_event, u.fenced.seen_epoch, 0),
    F_ID(coord_event, u.fenced.seen_instance, 0),
    F_ID(coord_event, u.fenced.agent, 0),
    F_TEXT(coord_event, u.fenced.text, 0),
};
BODY(fenced);

static const struct zdm_message *const bodies[] = {
    [COORD_EVENT_LOG_OPENED] = &log_opened_message,
    [COORD_EVENT_EPOCH_STARTED] = &epoch_started_message,
    [COORD_EVENT_FEATURES_ENABLED] = &features_enabled_message,
    [COORD_EVENT_TRUST_ADOPTED] = &trust_adopted_message,
    [COORD_EVENT_AGENT_ENROLLED] = &agent_enrolled_message,
    [COORD_EVENT_AGENT_REVOKED] = &agent_revoked_message,
    [COORD_EVENT_OPERATOR_ACTED] = &operator_acted_message,
    [COORD_EVENT_ENROLMENT_ISSUED] = &enrolment_issued_message,
    [COORD_EVENT_MIGRATION_SUBMITTED] = &migration_submitted_message,
    [COORD_EVENT_PLAN_AMENDED] = &migration_submitted_message,
    [COORD_EVENT_APPROVAL_ADDED] = &approval_added_message,
    [COORD_EVENT_APPROVAL_REVOKED] = &approval_revoked_message,
    [COORD_EVENT_PHASE_OPENED] = &phase_opened_message,
    [COORD_EVENT_BARRIER_OPENED] = &barrier_opened_message,
    [COORD_EVENT_WAVE_OPENED] = &wave_opened_message,
    [COORD_EVENT_GATE_STARTED] = &gate_message,
    [COORD_EVENT_GATE_PASSED] = &gate_message,
    [COORD_EVENT_GATE_VETOED] = &gate_message,
    [COORD_EVENT_SHARDS_DIRECTED] = &shards_directed_message,
    [COORD_EVENT_SHARD_REACHED] = &shard_reached_message,
    [COORD_EVENT_SHARD_UNDONE] = &shard_reached_message,
    [COORD_EVENT_SHARD_FAILED] = &shard_failed_message,
    [COORD_EVENT_SHARD_REGRESSED] = &shard_regressed_message,
    [COORD_EVENT_SHARD_UNSURE] = &shard_unsure_message,
    [COORD_EVENT_SHARD_RESOLVED] = &shard_unsure_message,
    [COORD_EVENT_SHARD_EXCLUDED] = &shard_excluded_message,
    [COORD_EVENT_SHARD_INCLUDED] = &shard_excluded_message,
    [COORD_EVENT_MIGRATION_HALTED] = &migration_halted_message,
    [COORD_EVENT_MIGRATION_RESUMED] = &migration_halted_message,
    [COORD_EVENT_THROTTLE_SET] = &throttle_set_message,
    [COORD_EVENT_FLEET_FROZEN] = &fleet_frozen_message,
    [COORD_EVENT_FLEET_THAWED] = &fleet_frozen_message,
    [COORD_EVENT_MIGRATION_ENDED] = &migration_ended_message,
    [COORD_EVENT_FENCED] = &fenced_message,
    [COORD_EVENT_RECOVERED] = &fenced_message,
    [COORD_EVENT_SHARD_PURGED] = &shard_reached_message,
};

const struct zdm_message *coord_event_body(unsigned type)
{
    return type < sizeof bodies / sizeof *bodies ? bodies[type] : NULL;
}
