/*
 * event_samples.c - see event_samples.h.
 */
#include "tests/unit/log/event_samples.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/os/crypto.h"
#include "proto/codec.h"
#include "proto/signed.h"
#include "tests/unit/proto/sample.h"

#define SET(member, words) zdm_copy_text(event->u.member, sizeof event->u.member, words)

static uint8_t *bits(size_t *out_n)
{
    static const uint8_t bytes[] = {0x05, 0x80};
    *out_n = sizeof bytes;
    return zdm_memdup(bytes, sizeof bytes);
}

static struct zdm_envelope sign_and_reset(unsigned type, struct zdm_buffer *body)
{
    struct zdm_envelope envelope = sample_envelope(type, body->data, body->len);
    zdm_buffer_fini(body);
    return envelope;
}

static struct zdm_envelope signed_approval(void)
{
    struct zdm_approval approval;
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    sample_approval(&approval);
    zdm_approval_encode(&approval, &body);
    zdm_approval_fini(&approval);
    return sign_and_reset(ZDM_SIGNED_APPROVAL, &body);
}

static struct zdm_envelope signed_undo_order(void)
{
    struct zdm_undo_order order;
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    sample_undo_order(&order);
    zdm_undo_order_encode(&order, &body);
    zdm_undo_order_fini(&order);
    return sign_and_reset(ZDM_SIGNED_UNDO_ORDER, &body);
}

static void fill_submitted(struct coord_event *event)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    event->u.migration_submitted.plan = sample_plan();
    zdm_plan_encode(zdm_crypto_sodium(), event->u.migration_submitted.plan, &body);
    event->u.migration_submitted.plan_envelope = sign_and_reset(ZDM_SIGNED_PLAN, &body);
    event->u.migration_submitted.notes = zdm_memdup("notes", 5);
    event->u.migration_submitted.n_notes = 5;
    event->u.migration_submitted.shards = calloc(2, sizeof *event->u.migration_submitted.shards);
    event->u.migration_submitted.n_shards = 2;
    SET(migration_submitted.shards[0].name, "eu-1");
    SET(migration_submitted.shards[1].name, "eu-2");
    event->u.migration_submitted.shards[1].wave = 1;
    SET(migration_submitted.by, "ann");
}

static void fill_enrolment(struct coord_event *event)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    sample_enrolment(&event->u.enrolment_issued.enrolment);
    zdm_enrolment_encode(&event->u.enrolment_issued.enrolment, &body);
    event->u.enrolment_issued.signed_enrolment = sign_and_reset(ZDM_SIGNED_ENROLMENT, &body);
}

static void fill_directed(struct coord_event *event)
{
    event->u.directed.shards = bits(&event->u.directed.n_bytes);
    event->u.directed.first = 16;
    event->u.directed.keep_status = true;
    event->u.directed.set_goal = true;
    event->u.directed.goal = 2;
    event->u.directed.mode = ZDM_MODE_UNDO;
    event->u.directed.set_actor = true;
    event->u.directed.actor = sample_id(0x71);
    event->u.directed.next_attempt = true;
    event->u.directed.undo_order = signed_undo_order();
    SET(directed.why, "released");
}

static void fill_agents_and_people(struct coord_event *event)
{
    if (event->type == COORD_EVENT_AGENT_ENROLLED) {
        event->u.agent_enrolled.agent = sample_id(0x72);
        event->u.agent_enrolled.public_key = sample_hash(0x73);
        SET(agent_enrolled.shard, "eu-1");
        event->u.agent_enrolled.labels.n = 1;
        SET(agent_enrolled.labels.items[0].key, "region");
        SET(agent_enrolled.labels.items[0].value, "eu");
        event->u.agent_enrolled.enrolment = sample_id(0x74);
        SET(agent_enrolled.by, "ann");
    } else if (event->type == COORD_EVENT_AGENT_REVOKED) {
        event->u.agent_revoked.agent = sample_id(0x72);
        SET(agent_revoked.by, "ann");
        SET(agent_revoked.reason, "host is gone");
    } else if (event->type == COORD_EVENT_OPERATOR_ACTED) {
        event->u.operator_acted.request_id = sample_id(0x75);
        event->u.operator_acted.key = sample_id(0x76);
        event->u.operator_acted.verb = ZDM_VERB_PAUSE;
        SET(operator_acted.name, "ann");
        SET(operator_acted.reason, "checkout is slow");
        event->u.operator_acted.signed_request = signed_approval();
    } else if (event->type == COORD_EVENT_APPROVAL_ADDED) {
        sample_approval(&event->u.approval_added.approval);
        event->u.approval_added.signed_approval = signed_approval();
        event->u.approval_added.approver = sample_id(0x77);
    } else if (event->type == COORD_EVENT_APPROVAL_REVOKED) {
        event->u.approval_revoked.nonce = sample_id(0x43);
        SET(approval_revoked.by, "ann");
    } else if (event->type == COORD_EVENT_ENROLMENT_ISSUED) {
        fill_enrolment(event);
    }
}

static void fill_fleet(struct coord_event *event)
{
    if (event->type == COORD_EVENT_LOG_OPENED) {
        event->u.log_opened.fleet = sample_id(2);
        event->u.log_opened.format = COORD_LOG_FORMAT;
        SET(log_opened.release, "0.1.0");
    } else if (event->type == COORD_EVENT_EPOCH_STARTED) {
        event->u.epoch_started.instance = sample_id(0x78);
        SET(epoch_started.release, "0.1.0");
        SET(epoch_started.host, "db-admin-1");
    } else if (event->type == COORD_EVENT_FEATURES_ENABLED) {
        event->u.features_enabled.level = 1;
    } else if (event->type == COORD_EVENT_TRUST_ADOPTED) {
        event->u.trust_adopted.version = 1;
        event->u.trust_adopted.digest = sample_hash(0x79);
    } else if (event->type == COORD_EVENT_FLEET_FROZEN || event->type == COORD_EVENT_FLEET_THAWED) {
        SET(fleet.by, "ann");
        SET(fleet.reason, "sale");
    } else if (event->type == COORD_EVENT_FENCED || event->type == COORD_EVENT_RECOVERED) {
        event->u.fenced.seen_epoch = 9;
        event->u.fenced.seen_instance = sample_id(0x7a);
        event->u.fenced.agent = sample_id(0x72);
        SET(fenced.text, "eu-1 has seen epoch 9");
    }
}

static void fill_migration(struct coord_event *event)
{
    if (event->type == COORD_EVENT_PHASE_OPENED) {
        event->u.phase_opened.phase = 1;
        SET(phase_opened.by, "ann");
        event->u.phase_opened.only.bytes = bits(&event->u.phase_opened.only.n_bytes);
        event->u.phase_opened.only.first = 8;
    } else if (event->type == COORD_EVENT_BARRIER_OPENED) {
        event->u.barrier_opened.phase = 3;
    } else if (event->type == COORD_EVENT_WAVE_OPENED) {
        event->u.wave_opened.phase = 1;
        event->u.wave_opened.wave = 2;
    } else if (event->type >= COORD_EVENT_GATE_STARTED && event->type <= COORD_EVENT_GATE_VETOED) {
        event->u.gate.phase = 3;
        event->u.gate.step = 4;
        event->u.gate.run = 1;
        SET(gate.detail, "100%");
    } else if (event->type == COORD_EVENT_MIGRATION_HALTED || event->type == COORD_EVENT_MIGRATION_RESUMED) {
        event->u.halted.cause = COORD_HALT_BUDGET;
        event->u.halted.failed = 2;
        SET(halted.by, "ann");
    } else if (event->type == COORD_EVENT_THROTTLE_SET) {
        event->u.throttle_set.throttle.batch_target_ms = 100;
        event->u.throttle_set.throttle.duty_percent = 20;
        event->u.throttle_set.throttle.max_replica_lag_ms = 900;
        SET(throttle_set.by, "ann");
    } else if (event->type == COORD_EVENT_MIGRATION_ENDED) {
        event->u.ended.outcome = COORD_END_DONE;
    }
}

static void fill_shard(struct coord_event *event)
{
    if (event->type == COORD_EVENT_SHARD_REACHED || event->type == COORD_EVENT_SHARD_UNDONE ||
        event->type == COORD_EVENT_SHARD_PURGED) {
        event->u.reached.shard = 17;
        event->u.reached.phase = event->type == COORD_EVENT_SHARD_PURGED ? 0 : 2;
        event->u.reached.agent = sample_id(0x72);
        event->u.reached.generation = 42;
        event->u.reached.evidence = sample_hash(0x57);
    } else if (event->type == COORD_EVENT_SHARD_FAILED) {
        event->u.failed.shard = 17;
        event->u.failed.phase = 2;
        event->u.failed.step = 3;
        event->u.failed.back = true;
        event->u.failed.code = ZDM_DATABASE;
        SET(failed.sqlstate, "23514");
        SET(failed.text, "check violated");
        event->u.failed.attempt = 4;
    } else if (event->type == COORD_EVENT_SHARD_REGRESSED) {
        event->u.regressed.shard = 17;
        event->u.regressed.from = 2;
        event->u.regressed.to = 1;
        SET(regressed.cause, "timeline 5");
    } else if (event->type == COORD_EVENT_SHARD_UNSURE || event->type == COORD_EVENT_SHARD_RESOLVED) {
        event->u.unsure.shard = 17;
        event->u.unsure.step = 3;
        event->u.unsure.at = 1;
        SET(unsure.text, "looked three times");
    } else if (event->type == COORD_EVENT_SHARD_EXCLUDED || event->type == COORD_EVENT_SHARD_INCLUDED) {
        event->u.excluded.shard = 17;
        SET(excluded.by, "bob");
        SET(excluded.reason, "host is gone");
    }
}

bool sample_event(unsigned type, struct coord_event *event)
{
    memset(event, 0, sizeof *event);
    event->type = (enum coord_event_type)type;
    if (strcmp(coord_event_type_name(event->type), "?") == 0)
        return false;
    event->seq = 7;
    event->epoch = 3;
    event->at_ms = 1700000000000;
    event->prev_hash = sample_hash(0x7b);
    zdm_copy_text(event->migration, sizeof event->migration, "rename-users-name");
    if (type == COORD_EVENT_MIGRATION_SUBMITTED || type == COORD_EVENT_PLAN_AMENDED)
        fill_submitted(event);
    else if (type == COORD_EVENT_SHARDS_DIRECTED)
        fill_directed(event);
    fill_agents_and_people(event);
    fill_fleet(event);
    fill_migration(event);
    fill_shard(event);
    return true;
}
