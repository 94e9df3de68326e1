/*
 * test_audit.c - what an audit finds, and what it does not take for a fault.
 *
 * A small log with one of everything that people sign is made by the same encoder as the coordinator's; each test
 * changes it as somebody with the file would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/os/crypto.h"
#include "coordinator/log/audit.h"
#include "coordinator/log/event_codec.h"
#include "proto/signed.h"
#include "proto/trust_file.h"
#include "tests/unit/proto/sample.h"

enum { EVENTS_MAX = 64 };

struct stored {
    uint64_t seq;
    struct zdm_hash prev_hash, hash;
    struct zdm_buffer bytes;
};

struct log {
    struct zdm_signing_key root, ann, bob, agent;
    struct zdm_trust_chain chain;
    struct zdm_buffer trust; /* the file */
    struct zdm_plan *plan;
    struct zdm_envelope plan_envelope, undo_order;
    struct stored events[EVENTS_MAX];
    size_t n;
    uint64_t epoch;
    struct zdm_hash head;
    /* Where the events that tests change stand. */
    size_t enrolment, enrolled, submitted, opened, reached, approval, undo, acted;
};

static const struct zdm_crypto *crypto(void)
{
    return zdm_crypto_sodium();
}

/* ---- Making it ---- */

static void rehash(struct log *log, size_t from)
{
    for (size_t i = from; i < log->n; i++) {
        struct stored *event = &log->events[i];
        memset(&event->prev_hash, 0, sizeof event->prev_hash);
        if (i > 0)
            event->prev_hash = log->events[i - 1].hash;
        zdm_hash_pair(crypto(), event->hash.bytes, 32, event->prev_hash.bytes, 32, event->bytes.data, event->bytes.len);
    }
}

/* Encodes at place i (0, 1, …), which may be the end. */
static void write_event(struct log *log, size_t i, struct coord_event *event)
{
    struct stored *stored = &log->events[i];
    event->seq = i + 1;
    event->epoch = log->epoch;
    event->at_ms = 1700000000000 + (int64_t)i;
    memset(&event->prev_hash, 0, sizeof event->prev_hash);
    if (i > 0)
        event->prev_hash = log->events[i - 1].hash;
    zdm_buffer_reset(&stored->bytes);
    coord_event_encode(crypto(), event, &stored->bytes);
    assert_false(stored->bytes.failed);
    stored->seq = event->seq;
    stored->prev_hash = event->prev_hash;
    stored->hash = event->hash;
}

static size_t append(struct log *log, struct coord_event *event, enum coord_event_type type, const char *migration)
{
    assert_true(log->n < EVENTS_MAX);
    event->type = type;
    zdm_copy_text(event->migration, sizeof event->migration, migration);
    write_event(log, log->n, event);
    log->head = log->events[log->n].hash;
    return log->n++;
}

static struct zdm_envelope sign_body(const struct log *log, const struct zdm_signing_key *key,
                                     enum zdm_signed_type type, struct zdm_buffer *body)
{
    struct zdm_envelope envelope;
    struct zdm_error err;
    if (zdm_signed_make(crypto(), key, &log->chain.fleet, type, body->data, body->len, &envelope, &err) != ZDM_OK)
        fail_msg("%s", err.message);
    zdm_buffer_fini(body);
    return envelope;
}

static void start_epoch(struct log *log, uint64_t epoch)
{
    struct coord_event event = {.u.epoch_started = {.instance = sample_id((uint8_t)epoch), .host = "a"}};
    log->epoch = epoch;
    append(log, &event, COORD_EVENT_EPOCH_STARTED, "");
}

/* What `key` asks for, as the coordinator writes it. */
static size_t append_request(struct log *log, const struct zdm_signing_key *key, const char *name,
                             struct zdm_request *request)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    request->request_id = sample_id((uint8_t)(0x80 + log->n));
    if (zdm_hash_is_zero(&request->session))
        request->session = sample_hash(9);
    zdm_request_encode(request, &body);
    struct coord_event event = {
        .u.operator_acted = {.request_id = request->request_id, .key = key->id, .verb = request->verb}};
    zdm_copy_text(event.u.operator_acted.name, sizeof event.u.operator_acted.name, name);
    zdm_copy_text(event.u.operator_acted.reason, sizeof event.u.operator_acted.reason, request->reason);
    event.u.operator_acted.signed_request = sign_body(log, key, ZDM_SIGNED_REQUEST, &body);
    size_t at = append(log, &event, COORD_EVENT_OPERATOR_ACTED, request->migration);
    coord_event_fini(&event);
    return at;
}

static void append_verb(struct log *log, enum zdm_verb verb)
{
    struct zdm_request request = {.verb = verb, .shards = {.all = true}, .reason = "why not"};
    if (verb != ZDM_VERB_ENROLL)
        zdm_copy_text(request.migration, sizeof request.migration, log->plan->id);
    if (verb == ZDM_VERB_SUBMIT)
        request.plan_hash = log->plan->hash;
    log->acted = append_request(log, &log->ann, "ann", &request);
}

static void append_trust(struct log *log)
{
    struct coord_event event = {.u.trust_adopted = {.version = 1, .digest = log->chain.hash}};
    append(log, &event, COORD_EVENT_TRUST_ADOPTED, "");
}

static void append_enrolment(struct log *log)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct coord_event event = {.seq = 0};
    append_verb(log, ZDM_VERB_ENROLL);
    sample_enrolment(&event.u.enrolment_issued.enrolment);
    zdm_enrolment_encode(&event.u.enrolment_issued.enrolment, &body);
    event.u.enrolment_issued.signed_enrolment = sign_body(log, &log->ann, ZDM_SIGNED_ENROLMENT, &body);
    log->enrolment = append(log, &event, COORD_EVENT_ENROLMENT_ISSUED, "");
    coord_event_fini(&event);
    struct coord_event joined = {.u.agent_enrolled = {.agent = log->agent.id,
                                                      .public_key = log->agent.public_key,
                                                      .shard = "eu-1",
                                                      .enrolment = sample_id(0x55)}};
    log->enrolled = append(log, &joined, COORD_EVENT_AGENT_ENROLLED, "");
}

static void append_submission(struct log *log)
{
    struct coord_event event = {.seq = 0};
    append_verb(log, ZDM_VERB_SUBMIT);
    event.u.migration_submitted.plan = zdm_plan_ref(log->plan);
    assert_true(zdm_envelope_copy(&event.u.migration_submitted.plan_envelope, &log->plan_envelope));
    event.u.migration_submitted.shards = calloc(1, sizeof *event.u.migration_submitted.shards);
    event.u.migration_submitted.n_shards = 1;
    zdm_copy_text(event.u.migration_submitted.shards[0].name, 5, "eu-1");
    zdm_copy_text(event.u.migration_submitted.by, 4, "ann");
    log->submitted = append(log, &event, COORD_EVENT_MIGRATION_SUBMITTED, log->plan->id);
    coord_event_fini(&event);
}

static void append_directed(struct log *log, enum zdm_mode mode)
{
    static uint8_t first = 1;
    struct coord_event event = {
        .u.directed = {.shards = &first, .n_bytes = 1, .set_goal = true, .goal = 1, .mode = mode}};
    if (mode == ZDM_MODE_UNDO)
        event.u.directed.undo_order = log->undo_order;
    log->undo = append(log, &event, COORD_EVENT_SHARDS_DIRECTED, log->plan->id);
}

static void append_reached(struct log *log)
{
    struct coord_event event = {.u.reached = {.phase = 1, .agent = log->agent.id}};
    log->reached = append(log, &event, COORD_EVENT_SHARD_REACHED, log->plan->id);
}

static void append_approval(struct log *log)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_request request = {.verb = ZDM_VERB_APPROVE};
    struct coord_event event = {.u.approval_added = {.approver = log->bob.id}};
    zdm_copy_text(request.migration, sizeof request.migration, log->plan->id);
    append_request(log, &log->bob, "bob", &request);
    sample_approval(&event.u.approval_added.approval);
    zdm_approval_encode(&event.u.approval_added.approval, &body);
    event.u.approval_added.signed_approval = sign_body(log, &log->bob, ZDM_SIGNED_APPROVAL, &body);
    log->approval = append(log, &event, COORD_EVENT_APPROVAL_ADDED, log->plan->id);
    coord_event_fini(&event);
}

static void make_trust(struct log *log)
{
    struct zdm_person people[] = {{.public_key = log->ann.public_key, .name = "ann", .roles = ZDM_ROLE_OPERATOR},
                                  {.public_key = log->bob.public_key, .name = "bob", .roles = ZDM_ROLE_APPROVER}};
    struct zdm_trust trust = {.fleet_name = "shop",
                              .version = 1,
                              .roots = {log->root.public_key},
                              .n_roots = 1,
                              .root_threshold = 1,
                              .coordinators = {sample_key(3).public_key},
                              .n_coordinators = 1,
                              .people = people,
                              .n_people = 2,
                              .approvals_min = 1};
    const struct zdm_signing_key *roots[] = {&log->root};
    struct zdm_error err;
    if (zdm_trust_chain_start(crypto(), &trust, roots, 1, &log->chain, &err) != ZDM_OK)
        fail_msg("%s", err.message);
    zdm_trust_chain_write(&log->chain, &log->trust);
}

static void sign_plan_and_order(struct log *log)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_undo_order order;
    log->plan = sample_plan();
    zdm_plan_encode(crypto(), log->plan, &body);
    log->plan_envelope = sign_body(log, &log->ann, ZDM_SIGNED_PLAN, &body);
    sample_undo_order(&order);
    zdm_undo_order_encode(&order, &body);
    log->undo_order = sign_body(log, &log->ann, ZDM_SIGNED_UNDO_ORDER, &body);
    zdm_undo_order_fini(&order);
}

static int make_log(void **state)
{
    struct log *log = calloc(1, sizeof *log);
    struct zdm_error err;
    if (log == NULL || zdm_crypto_start(&err) != ZDM_OK)
        return -1;
    log->root = sample_key(1);
    log->ann = sample_key(4);
    log->bob = sample_key(5);
    log->agent = sample_key(6);
    make_trust(log);
    sign_plan_and_order(log);
    struct coord_event opened = {.u.log_opened = {.fleet = log->chain.fleet, .format = COORD_LOG_FORMAT}};
    log->epoch = 1;
    append(log, &opened, COORD_EVENT_LOG_OPENED, "");
    start_epoch(log, 1);
    append_trust(log);
    append_enrolment(log);
    append_submission(log);
    append_verb(log, ZDM_VERB_ADVANCE);
    struct coord_event phase = {.u.phase_opened = {.phase = 1, .by = "ann"}};
    log->opened = append(log, &phase, COORD_EVENT_PHASE_OPENED, log->plan->id);
    append_directed(log, ZDM_MODE_RUN);
    append_reached(log);
    append_approval(log);
    append_verb(log, ZDM_VERB_ROLLBACK);
    append_directed(log, ZDM_MODE_UNDO);
    start_epoch(log, 2);
    append_reached(log);
    *state = log;
    return 0;
}

static int free_log(void **state)
{
    struct log *log = *state;
    for (size_t i = 0; i < EVENTS_MAX; i++)
        zdm_buffer_fini(&log->events[i].bytes);
    zdm_envelope_fini(&log->plan_envelope);
    zdm_envelope_fini(&log->undo_order);
    zdm_plan_unref(log->plan);
    zdm_buffer_fini(&log->trust);
    zdm_trust_chain_fini(&log->chain);
    free(log);
    return 0;
}

/* ---- Auditing it ---- */

/* An anchor as an agent of that epoch would hold it, at event `seq` as it is now. */
static struct coord_audit_anchor anchor_at(const struct log *log, uint64_t seq, uint64_t epoch)
{
    struct coord_audit_anchor anchor = {
        .who = "agent ab12 of eu-1",
        .fence = {.epoch = epoch, .generation = seq, .instance = sample_id((uint8_t)epoch)}};
    anchor.fence.anchor = log->events[seq - 1].hash;
    return anchor;
}

static struct coord_audit_result audit(const struct log *log, const struct coord_audit_anchor *anchors, size_t n)
{
    struct coord_audit *audit = NULL;
    struct coord_audit_result result;
    struct zdm_error err;
    if (coord_audit_new(crypto(), log->trust.data, log->trust.len, &log->chain.fleet, &audit, &err) != ZDM_OK)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < n; i++)
        assert_true(coord_audit_anchor(audit, &anchors[i]));
    for (size_t i = 0; i < log->n; i++) {
        const struct stored *event = &log->events[i];
        const struct store_record record = {.seq = event->seq,
                                            .prev_hash = event->prev_hash,
                                            .hash = event->hash,
                                            .bytes = event->bytes.data,
                                            .n = event->bytes.len};
        assert_true(coord_audit_feed(audit, &record));
    }
    coord_audit_finish(audit, &result);
    coord_audit_free(audit);
    return result;
}

static void expect(const struct coord_audit_result *result, enum coord_audit_finding finding, uint64_t from,
                   uint64_t to)
{
    if (result->finding != finding || result->bad_seq != from || result->bad_to != to)
        fail_msg("%s at %llu to %llu: %s", coord_audit_finding_name(result->finding),
                 (unsigned long long)result->bad_seq, (unsigned long long)result->bad_to, result->what);
}

static void expect_sound(const struct coord_audit_result *result)
{
    expect(result, COORD_AUDIT_SOUND, 0, 0);
}

static void expect_words(const struct coord_audit_result *result, const char *words)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    coord_audit_tell(result, &text);
    if (strstr(zdm_buffer_text(&text), words) == NULL)
        fail_msg("not said: %s in: %s", words, zdm_buffer_text(&text));
    zdm_buffer_fini(&text);
}

static void swap_rows(struct log *log, size_t a, size_t b)
{
    struct stored held = log->events[a];
    log->events[a] = log->events[b];
    log->events[b] = held;
}

/* Takes out place i; with renumbering, the rest moves up. */
static void take_out(struct log *log, size_t i, bool renumber)
{
    zdm_buffer_fini(&log->events[i].bytes);
    for (; i + 1 < log->n; i++) {
        log->events[i] = log->events[i + 1];
        if (renumber)
            log->events[i].seq--;
    }
    log->n--;
    log->events[log->n] = (struct stored){.seq = 0};
}

/* ---- Sound ---- */

static void an_untouched_log_is_sound_and_proven_by_the_highest_anchor(void **state)
{
    struct log *log = *state;
    struct coord_audit_anchor anchors[] = {anchor_at(log, log->undo + 1, 1), anchor_at(log, log->submitted + 1, 1)};
    struct coord_audit_result result = audit(log, anchors, 2);
    expect_sound(&result);
    assert_int_equal(result.events, log->n);
    assert_int_equal(result.head_seq, log->n);
    assert_int_equal(result.epochs, 2);
    assert_int_equal(result.n_signed, 9);
    assert_int_equal(result.proven_seq, log->undo + 1);
    assert_int_equal(result.n_confirmed, 2);
    expect_words(&result, "the log is sound: 18 events, 2 epochs, 9 signatures");
    expect_words(&result, "by agent ab12 of eu-1; 2 events follow that nobody has confirmed");
}

static void without_anchors_nothing_is_proven(void **state)
{
    struct coord_audit_result result = audit(*state, NULL, 0);
    expect_sound(&result);
    assert_int_equal(result.proven_seq, 0);
    expect_words(&result, "nothing is proven");
}

/* ---- The chain ---- */

static void each_changed_byte_of_each_event_is_found_where_it_is(void **state)
{
    struct log *log = *state;
    struct coord_audit_anchor anchor = anchor_at(log, log->undo + 1, 1);
    for (size_t i = 0; i < log->n; i++)
        for (size_t at = 0; at < log->events[i].bytes.len; at += 7) {
            log->events[i].bytes.data[at] ^= 0x10;
            struct coord_audit_result result = audit(log, &anchor, 1);
            expect(&result, COORD_AUDIT_CHANGED, i + 1, i + 1);
            log->events[i].bytes.data[at] ^= 0x10;
            /* Of what follows, the agent's word still stands. */
            assert_int_equal(result.after_seq, i <= log->undo ? log->undo + 1 : 0);
        }
}

static void a_change_with_its_own_hash_computed_anew_is_found(void **state)
{
    struct log *log = *state;
    size_t i = log->opened;
    struct stored *event = &log->events[i];
    event->bytes.data[event->bytes.len - 1] ^= 1;
    zdm_hash_pair(crypto(), event->hash.bytes, 32, event->prev_hash.bytes, 32, event->bytes.data, event->bytes.len);
    struct coord_audit_result result = audit(log, NULL, 0);
    assert_true(result.finding != COORD_AUDIT_SOUND);
    assert_int_equal(result.bad_seq, i + 1);
}

static void a_removed_event_is_found(void **state)
{
    struct log *log = *state;
    struct coord_audit_anchor anchor = anchor_at(log, log->submitted + 1, 1);
    take_out(log, log->reached - 1, false);
    struct coord_audit_result result = audit(log, &anchor, 1);
    expect(&result, COORD_AUDIT_MISSING, log->reached, log->reached);
    assert_int_equal(result.proven_seq, log->submitted + 1);
    expect_words(&result, "is missing");
}

static void a_removed_event_is_found_when_the_rest_is_renumbered(void **state)
{
    struct log *log = *state;
    take_out(log, log->opened, true);
    struct coord_audit_result result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_MISSING, log->opened + 1, log->opened + 1);
}

static void two_swapped_events_are_found(void **state)
{
    struct log *log = *state;
    size_t i = log->opened;
    swap_rows(log, i, i + 1);
    log->events[i].seq = i + 1;
    log->events[i + 1].seq = i + 2;
    struct coord_audit_result result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_MOVED, i + 1, i + 2);
    expect_words(&result, "were exchanged");
}

static void two_events_that_are_far_apart_and_swapped_are_found(void **state)
{
    struct log *log = *state;
    size_t i = log->enrolled, j = log->opened;
    struct zdm_buffer held = log->events[i].bytes; /* the bytes alone: the hashes stay where they are */
    log->events[i].bytes = log->events[j].bytes;
    log->events[j].bytes = held;
    struct coord_audit_result result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_MOVED, i + 1, j + 1);
}

static void an_inserted_event_is_found(void **state)
{
    struct log *log = *state;
    size_t i = log->opened;
    for (size_t k = log->n; k > i; k--) {
        log->events[k] = log->events[k - 1];
        log->events[k].seq++;
    }
    log->n++;
    log->events[i].bytes = (struct zdm_buffer)ZDM_BUFFER_INIT;
    struct coord_event event = {.type = COORD_EVENT_FEATURES_ENABLED, .u.features_enabled = {.level = 1}};
    log->epoch = 1;
    write_event(log, i, &event);
    struct coord_audit_result result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_INSERTED, i + 1, i + 1);
}

static void an_event_that_stands_twice_is_found(void **state)
{
    struct log *log = *state;
    log->events[log->n - 1].seq--;
    struct coord_audit_result result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_MOVED, log->n - 1, log->n - 1);
}

/* ---- Anchors ---- */

static void a_chain_that_was_computed_anew_is_found_by_anchors(void **state)
{
    struct log *log = *state;
    struct coord_audit_anchor anchors[] = {anchor_at(log, log->submitted + 1, 1), anchor_at(log, log->undo + 1, 1)};
    struct coord_event event = {.u.reached = {.phase = 2, .agent = log->agent.id}};
    event.type = COORD_EVENT_SHARD_REACHED;
    zdm_copy_text(event.migration, sizeof event.migration, log->plan->id);
    log->epoch = 1;
    size_t i = log->opened + 2; /* the first shard_reached */
    write_event(log, i, &event);
    rehash(log, i);
    struct coord_audit_result without = audit(log, NULL, 0), result = audit(log, anchors, 2);
    expect_sound(&without); /* nobody signed it: only what agents hold shows it */
    expect(&result, COORD_AUDIT_REWRITTEN, log->submitted + 2, log->undo + 1);
    assert_int_equal(result.proven_seq, log->submitted + 1);
    expect_words(&result, "was rewritten between");
    expect_words(&result, "agent ab12 of eu-1 confirmed another event");
}

static void a_cut_tail_is_found_by_anchors(void **state)
{
    struct log *log = *state;
    struct coord_audit_anchor anchors[] = {anchor_at(log, log->submitted + 1, 1), anchor_at(log, log->undo + 1, 1)};
    while (log->n > log->undo - 1)
        take_out(log, log->n - 1, false);
    struct coord_audit_result result = audit(log, anchors, 2);
    expect(&result, COORD_AUDIT_CUT, log->n + 1, log->undo + 1);
    assert_int_equal(result.proven_seq, log->submitted + 1);
    expect_words(&result, "but agent ab12 of eu-1 confirmed event");
}

/* The order is old, the epoch under which it was given again is not in the log. */
static void a_cut_tail_is_found_by_an_epoch_that_is_not_there(void **state)
{
    struct log *log = *state;
    struct coord_audit_anchor anchor = anchor_at(log, log->undo + 1, 3);
    struct coord_audit_result result = audit(log, &anchor, 1);
    expect(&result, COORD_AUDIT_CUT, log->n + 1, log->n + 1);
    expect_words(&result, "follows a coordinator of epoch 3");
}

/* ---- Signatures: the chain is computed anew after each change, as somebody with the file would ---- */

/* Changes byte `back` from the end of an event, behind which the signature stands. */
static void a_change_shows(struct log *log, size_t i, size_t back)
{
    struct zdm_buffer *bytes = &log->events[i].bytes;
    bytes->data[bytes->len - back] ^= 1;
    rehash(log, i);
    struct coord_audit_result result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_UNSIGNED, i + 1, i + 1);
    bytes->data[bytes->len - back] ^= 1;
    rehash(log, i);
}

static void a_forged_signature_of_each_kind_is_found(void **state)
{
    struct log *log = *state;
    a_change_shows(log, log->acted, 4);      /* of a request */
    a_change_shows(log, log->enrolment, 4);  /* of an enrolment */
    a_change_shows(log, log->submitted, 40); /* of a plan: by and shards stand behind it */
    a_change_shows(log, log->approval, 30);  /* of an approval: the approver stands behind it */
    a_change_shows(log, log->undo, 4);       /* of an undo order */
    struct coord_audit_result result = audit(log, NULL, 0);
    expect_sound(&result);
}

/* Writes an event of another make at place i and computes the chain anew. */
static struct coord_audit_result audit_with(struct log *log, size_t i, struct coord_event *event,
                                            enum coord_event_type type, const char *migration)
{
    event->type = type;
    zdm_copy_text(event->migration, sizeof event->migration, migration);
    log->epoch = 1;
    write_event(log, i, event);
    rehash(log, i);
    return audit(log, NULL, 0);
}

static void a_phase_that_nobody_asked_for_is_found(void **state)
{
    struct log *log = *state;
    struct coord_event event = {.u.phase_opened = {.phase = 3, .by = "ann"}};
    struct coord_audit_result result =
        audit_with(log, log->reached - 2, &event, COORD_EVENT_PHASE_OPENED, log->plan->id);
    expect(&result, COORD_AUDIT_MISSTATED, log->reached - 1, log->reached - 1);
    expect_words(&result, "nobody signed a request that it could follow from");
}

static void a_phase_that_is_laid_to_another_person_is_found(void **state)
{
    struct log *log = *state;
    struct coord_event event = {.u.phase_opened = {.phase = 1, .by = "bob"}};
    struct coord_audit_result result = audit_with(log, log->opened, &event, COORD_EVENT_PHASE_OPENED, log->plan->id);
    expect(&result, COORD_AUDIT_MISSTATED, log->opened + 1, log->opened + 1);
    expect_words(&result, "another person");
}

static void an_approval_that_is_laid_to_another_key_is_found(void **state)
{
    struct log *log = *state;
    struct zdm_buffer *bytes = &log->events[log->approval].bytes;
    bytes->data[bytes->len - 1] ^= 1; /* of the approver's id */
    rehash(log, log->approval);
    struct coord_audit_result result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_MISSTATED, log->approval + 1, log->approval + 1);
}

static void an_approval_by_somebody_without_the_role_is_found(void **state)
{
    struct log *log = *state;
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct coord_event event = {.u.approval_added = {.approver = log->ann.id}};
    struct zdm_approval approval;
    sample_approval(&approval);
    zdm_approval_encode(&approval, &body);
    zdm_approval_fini(&approval);
    event.u.approval_added.signed_approval = sign_body(log, &log->ann, ZDM_SIGNED_APPROVAL, &body);
    struct coord_audit_result result =
        audit_with(log, log->approval, &event, COORD_EVENT_APPROVAL_ADDED, log->plan->id);
    expect(&result, COORD_AUDIT_UNSIGNED, log->approval + 1, log->approval + 1);
    expect_words(&result, "lacks the role");
    zdm_envelope_fini(&event.u.approval_added.signed_approval);
}

static void a_request_that_says_something_else_than_was_signed_is_found(void **state)
{
    struct log *log = *state;
    struct store_record record = {.seq = log->events[log->acted].seq,
                                  .prev_hash = log->events[log->acted].prev_hash,
                                  .hash = log->events[log->acted].hash,
                                  .bytes = log->events[log->acted].bytes.data,
                                  .n = log->events[log->acted].bytes.len};
    struct coord_event event;
    struct zdm_error err;
    assert_int_equal(coord_event_decode(crypto(), &record, &event, &err), ZDM_OK);
    zdm_copy_text(event.u.operator_acted.reason, sizeof event.u.operator_acted.reason, "because ann wanted it");
    struct coord_audit_result result = audit_with(log, log->acted, &event, COORD_EVENT_OPERATOR_ACTED, event.migration);
    expect(&result, COORD_AUDIT_MISSTATED, log->acted + 1, log->acted + 1);
    coord_event_fini(&event);
}

static void an_agent_without_a_token_is_found(void **state)
{
    struct log *log = *state;
    struct coord_event event = {.u.agent_enrolled = {.agent = log->agent.id,
                                                     .public_key = log->agent.public_key,
                                                     .shard = "eu-1",
                                                     .enrolment = sample_id(0x66)}};
    struct coord_audit_result result = audit_with(log, log->enrolled, &event, COORD_EVENT_AGENT_ENROLLED, "");
    expect(&result, COORD_AUDIT_MISSTATED, log->enrolled + 1, log->enrolled + 1);
    event.u.agent_enrolled.enrolment = sample_id(0x55);
    zdm_copy_text(event.u.agent_enrolled.shard, sizeof event.u.agent_enrolled.shard, "eu-2");
    result = audit_with(log, log->enrolled, &event, COORD_EVENT_AGENT_ENROLLED, "");
    expect(&result, COORD_AUDIT_MISSTATED, log->enrolled + 1, log->enrolled + 1);
}

static void another_trust_file_of_the_same_version_is_found(void **state)
{
    struct log *log = *state;
    struct coord_event event = {.u.trust_adopted = {.version = 1, .digest = sample_hash(0x33)}};
    struct coord_audit_result result = audit_with(log, 2, &event, COORD_EVENT_TRUST_ADOPTED, "");
    expect(&result, COORD_AUDIT_UNSIGNED, 3, 3);
    event.u.trust_adopted.version = 2;
    result = audit_with(log, 2, &event, COORD_EVENT_TRUST_ADOPTED, "");
    expect(&result, COORD_AUDIT_UNSIGNED, 3, 3);
    expect_words(&result, "take the newest");
}

static void another_fleets_trust_file_is_refused(void **state)
{
    struct log *log = *state;
    struct coord_audit *audit = NULL;
    struct zdm_error err;
    struct zdm_id other = sample_id(1);
    assert_int_equal(coord_audit_new(crypto(), log->trust.data, log->trust.len, &other, &audit, &err), ZDM_AUTH);
}

/* ---- What an event says, against what was signed ---- */

/* The event at place i as it stands, to be changed. */
static struct coord_event event_at(const struct log *log, size_t i)
{
    const struct stored *stored = &log->events[i];
    struct store_record record = {.seq = stored->seq,
                                  .prev_hash = stored->prev_hash,
                                  .hash = stored->hash,
                                  .bytes = stored->bytes.data,
                                  .n = stored->bytes.len};
    struct coord_event event;
    struct zdm_error err;
    if (coord_event_decode(crypto(), &record, &event, &err) != ZDM_OK)
        fail_msg("%s", err.message);
    return event;
}

/* Puts it at place i, with the chain computed anew: what the audit says must be about that very event. */
static void expect_misstated(struct log *log, size_t i, struct coord_event *event, const char *words)
{
    char migration[ZDM_NAME_MAX + 1];
    zdm_copy_text(migration, sizeof migration, event->migration);
    struct coord_audit_result result = audit_with(log, i, event, event->type, migration);
    expect(&result, COORD_AUDIT_MISSTATED, i + 1, i + 1);
    expect_words(&result, words);
    coord_event_fini(event);
}

static void each_thing_that_an_act_says_of_its_request_is_compared(void **state)
{
    struct log *log = *state;
    struct coord_event event = event_at(log, log->acted);
    event.u.operator_acted.key = log->bob.id;
    expect_misstated(log, log->acted, &event, "another person than the one who signed");
    event = event_at(log, log->acted);
    event.u.operator_acted.key = log->ann.id;
    zdm_copy_text(event.u.operator_acted.name, sizeof event.u.operator_acted.name, "bob");
    expect_misstated(log, log->acted, &event, "another person than the one who signed");
    event = event_at(log, log->acted);
    zdm_copy_text(event.u.operator_acted.name, sizeof event.u.operator_acted.name, "ann");
    event.u.operator_acted.verb = ZDM_VERB_ADVANCE; /* of the same role */
    expect_misstated(log, log->acted, &event, "something else than the request");
    event = event_at(log, log->acted);
    event.u.operator_acted.verb = ZDM_VERB_ROLLBACK;
    event.u.operator_acted.request_id.bytes[5] ^= 1;
    expect_misstated(log, log->acted, &event, "something else than the request");
    event = event_at(log, log->acted);
    event.u.operator_acted.request_id.bytes[5] ^= 1;
    zdm_copy_text(event.migration, sizeof event.migration, "other");
    expect_misstated(log, log->acted, &event, "something else than the request");
}

/* Whoever can write the log has all requests that were ever signed: one of them once more, and what follows from it. */
static void a_request_that_acts_twice_is_found(void **state)
{
    struct log *log = *state;
    char migration[ZDM_NAME_MAX + 1];
    struct coord_event event = event_at(log, log->acted);
    zdm_copy_text(migration, sizeof migration, event.migration);
    size_t again = append(log, &event, COORD_EVENT_OPERATOR_ACTED, migration);
    coord_event_fini(&event);
    struct coord_audit_result result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_MISSTATED, again + 1, again + 1);
    expect_words(&result, "nobody signed it twice");
}

static void what_follows_from_a_request_is_of_its_verb_person_and_migration(void **state)
{
    struct log *log = *state;
    struct coord_event event = event_at(log, log->opened);
    zdm_copy_text(event.migration, sizeof event.migration, "other");
    expect_misstated(log, log->opened, &event, "another migration than the request");
    struct coord_event phase = {.type = COORD_EVENT_PHASE_OPENED, .u.phase_opened = {.phase = 1, .by = "ann"}};
    zdm_copy_text(phase.migration, sizeof phase.migration, log->plan->id);
    expect_misstated(log, log->submitted, &phase, "nobody signed a request");
    /* Right behind the trust file: before anybody has asked for anything. */
    struct coord_event early = {.type = COORD_EVENT_FLEET_FROZEN, .u.fleet = {.by = "ann"}};
    expect_misstated(log, 3, &early, "nobody signed a request");
}

/* Ann said "advance" long ago, and nobody has asked for anything since. */
static void a_phase_that_is_laid_to_a_request_that_was_over_is_found(void **state)
{
    struct log *log = *state;
    struct coord_event phase = {.u.phase_opened = {.phase = 1, .by = "ann"}};
    append_verb(log, ZDM_VERB_ADVANCE);
    size_t asked = append(log, &phase, COORD_EVENT_PHASE_OPENED, log->plan->id);
    struct coord_audit_result result = audit(log, NULL, 0);
    expect_sound(&result);
    append_reached(log);
    phase.u.phase_opened.phase = 2;
    append(log, &phase, COORD_EVENT_PHASE_OPENED, log->plan->id);
    result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_MISSTATED, asked + 3, asked + 3);
    expect_words(&result, "nobody signed a request that it could follow from");
}

static void another_plan_than_the_request_named_is_found(void **state)
{
    struct log *log = *state;
    struct zdm_request request = {.verb = ZDM_VERB_SUBMIT, .shards = {.all = true}, .plan_hash = sample_hash(0x12)};
    struct coord_event plan = event_at(log, log->submitted);
    size_t n = log->n;
    zdm_copy_text(request.migration, sizeof request.migration, log->plan->id);
    log->epoch = 1;
    log->n = log->submitted - 1; /* in the place of the request to submit */
    append_request(log, &log->ann, "ann", &request);
    log->n = n;
    rehash(log, log->submitted - 1);
    expect_misstated(log, log->submitted, &plan, "another one than the request named");
}

static void an_agent_whose_id_is_not_of_its_key_is_found(void **state)
{
    struct log *log = *state;
    struct coord_event joined = event_at(log, log->enrolled);
    joined.u.agent_enrolled.agent.bytes[3] ^= 1;
    expect_misstated(log, log->enrolled, &joined, "id is not that of its key");
}

static void a_token_that_is_used_twice_is_found(void **state)
{
    struct log *log = *state;
    struct coord_event again = event_at(log, log->enrolled);
    append(log, &again, COORD_EVENT_AGENT_ENROLLED, "");
    struct coord_audit_result result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_MISSTATED, log->n, log->n);
    expect_words(&result, "token was used before");
    coord_event_fini(&again);
}

static void an_approval_or_an_undo_order_that_is_laid_to_another_migration_is_found(void **state)
{
    struct log *log = *state;
    struct coord_event event = event_at(log, log->undo);
    zdm_copy_text(event.migration, sizeof event.migration, "other");
    expect_misstated(log, log->undo, &event, "undo order is of another migration");
    event = (struct coord_event){.type = COORD_EVENT_SHARDS_DIRECTED};
    static uint8_t first = 1;
    event.u.directed.shards = &first;
    event.u.directed.n_bytes = 1;
    event.u.directed.set_goal = true;
    event.u.directed.goal = 0;
    event.u.directed.mode = ZDM_MODE_UNDO;
    event.u.directed.undo_order = log->undo_order; /* to phase 1 */
    struct coord_audit_result result = audit_with(log, log->undo, &event, event.type, log->plan->id);
    expect(&result, COORD_AUDIT_MISSTATED, log->undo + 1, log->undo + 1);
    expect_words(&result, "further than the undo order says");
    /* The request to approve is about "other" as well: only the signed approval says what it is for. */
    struct zdm_request request = {.verb = ZDM_VERB_APPROVE, .migration = "other"};
    struct coord_event approval = event_at(log, log->approval);
    size_t n = log->n;
    log->n = log->approval - 1;
    append_request(log, &log->bob, "bob", &request);
    log->n = n;
    rehash(log, log->approval - 1);
    zdm_copy_text(approval.migration, sizeof approval.migration, "other");
    expect_misstated(log, log->approval, &approval, "the approval is of another migration");
}

static void an_approval_is_revoked_by_the_request_that_names_it(void **state)
{
    struct log *log = *state;
    struct zdm_request request = {.verb = ZDM_VERB_REVOKE_APPROVAL, .target = sample_id(0x43)};
    struct coord_event event = {.u.approval_revoked = {.nonce = sample_id(0x43), .by = "bob"}};
    zdm_copy_text(request.migration, sizeof request.migration, log->plan->id);
    append_request(log, &log->bob, "bob", &request);
    append(log, &event, COORD_EVENT_APPROVAL_REVOKED, log->plan->id);
    struct coord_audit_result result = audit(log, NULL, 0);
    expect_sound(&result);
    event.u.approval_revoked.nonce = sample_id(0x44);
    event.type = COORD_EVENT_APPROVAL_REVOKED;
    log->epoch = 2;
    write_event(log, log->n - 1, &event);
    result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_MISSTATED, log->n, log->n);
    expect_words(&result, "another approval than the request named");
}

static void a_trust_file_that_is_adopted_twice_is_found(void **state)
{
    struct log *log = *state;
    append_trust(log);
    struct coord_audit_result result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_MISSTATED, log->n, log->n);
    expect_words(&result, "went back to an older version");
}

/* At place i, with another time than its own. */
static void write_event_at(struct log *log, size_t i, struct coord_event *event, int64_t at_ms)
{
    write_event(log, i, event);
    event->at_ms = at_ms;
    zdm_buffer_reset(&log->events[i].bytes);
    coord_event_encode(crypto(), event, &log->events[i].bytes);
    rehash(log, i);
}

static void time_and_epoch_that_go_back_are_found(void **state)
{
    struct log *log = *state;
    size_t last = log->n - 1;
    struct coord_event event = event_at(log, last);
    int64_t at_ms = event.at_ms;
    write_event_at(log, last, &event, 1600000000000);
    struct coord_audit_result result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_MISSTATED, last + 1, last + 1);
    expect_words(&result, "older than the one before it");
    log->epoch = 1;
    write_event_at(log, last, &event, at_ms);
    result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_MISSTATED, last + 1, last + 1);
    expect_words(&result, "is of epoch 1, behind one of epoch 2");
    coord_event_fini(&event);
}

static void the_log_of_another_fleet_is_found(void **state)
{
    struct log *log = *state;
    struct coord_event opened = {.u.log_opened = {.fleet = sample_id(9), .format = COORD_LOG_FORMAT}};
    struct coord_audit_result result = audit_with(log, 0, &opened, COORD_EVENT_LOG_OPENED, "");
    expect(&result, COORD_AUDIT_MISSTATED, 1, 1);
    expect_words(&result, "another fleet");
}

static void a_link_that_names_another_event_before_it_is_found(void **state)
{
    struct log *log = *state;
    log->events[log->opened].prev_hash.bytes[7] ^= 1; /* beside bytes and hash that fit */
    struct coord_audit_result result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_CHANGED, log->opened + 1, log->opened + 1);
}

static void what_is_wrong_first_is_named_and_not_what_an_agent_holds_behind_it(void **state)
{
    struct log *log = *state;
    struct coord_audit_anchor anchor = anchor_at(log, log->undo + 1, 1);
    struct coord_event phase = event_at(log, log->opened);
    zdm_copy_text(phase.u.phase_opened.by, sizeof phase.u.phase_opened.by, "bob");
    log->epoch = 1;
    write_event(log, log->opened, &phase);
    rehash(log, log->opened);
    struct coord_audit_result result = audit(log, &anchor, 1);
    expect(&result, COORD_AUDIT_MISSTATED, log->opened + 1, log->opened + 1);
    coord_event_fini(&phase);
}

static void a_version_that_two_roots_signed_is_one_version(void **state)
{
    struct log *log = *state;
    struct zdm_envelope twice = log->chain.envelopes[0];
    struct zdm_buffer file = ZDM_BUFFER_INIT;
    struct zdm_trust_chain both = log->chain;
    struct zdm_envelope envelopes[] = {twice, twice};
    both.envelopes = envelopes;
    both.n_envelopes = 2;
    zdm_trust_chain_write(&both, &file);
    zdm_buffer_fini(&log->trust);
    log->trust = file;
    struct coord_event event = {.u.trust_adopted = {.version = 2, .digest = log->chain.hash}};
    append(log, &event, COORD_EVENT_TRUST_ADOPTED, "");
    struct coord_audit_result result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_UNSIGNED, log->n, log->n);
    expect_words(&result, "the one at hand ends with version 1");
}

/* ---- Recovery ---- */

static void append_recovery(struct log *log, uint64_t seen_epoch, const struct zdm_hash *place)
{
    struct zdm_request request = {.verb = ZDM_VERB_RECOVER, .session = *place};
    struct coord_event event = {.u.fenced = {.seen_epoch = seen_epoch, .text = "2 of 2 agents heard"}};
    log->epoch = seen_epoch + 1;
    append_request(log, &log->ann, "ann", &request);
    append(log, &event, COORD_EVENT_RECOVERED, "");
}

/* The original went on in epoch 2 and began epoch 3 after the backup from which this log was recovered. */
static void what_agents_hold_of_a_given_up_history_is_no_fault(void **state)
{
    struct log *log = *state;
    struct coord_audit_anchor anchors[] = {anchor_at(log, log->undo + 1, 1), anchor_at(log, log->n, 2),
                                           anchor_at(log, log->n, 3)};
    anchors[1].fence.generation += 2; /* of the same epoch, behind the backup */
    anchors[2].fence.generation += 9;
    anchors[1].fence.anchor = anchors[2].fence.anchor = sample_hash(0x77);
    struct zdm_hash place = log->head;
    append_recovery(log, 3, &place);
    start_epoch(log, 5);
    append_reached(log);
    struct coord_audit_result result = audit(log, anchors, 3);
    expect_sound(&result);
    assert_int_equal(result.n_given_up, 2);
    assert_int_equal(result.n_confirmed, 1);
    expect_words(&result, "2 confirmations are of a history that a recovery gave up");
}

static void a_recovery_does_not_excuse_what_was_rewritten_before_it(void **state)
{
    struct log *log = *state;
    struct coord_audit_anchor anchor = anchor_at(log, log->undo + 1, 1);
    struct zdm_hash place = log->head;
    append_recovery(log, 3, &place);
    anchor.fence.anchor = sample_hash(0x77);
    struct coord_audit_result result = audit(log, &anchor, 1);
    expect(&result, COORD_AUDIT_REWRITTEN, 1, log->undo + 1);
}

static void a_recovery_that_was_signed_for_another_place_is_found(void **state)
{
    struct log *log = *state;
    struct zdm_hash place = sample_hash(0x78);
    append_recovery(log, 3, &place);
    struct coord_audit_result result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_MISSTATED, log->n, log->n);
    expect_words(&result, "another place in the log");
}

static void a_recovery_excuses_no_epoch_above_what_it_had_seen(void **state)
{
    struct log *log = *state;
    struct coord_audit_anchor anchor = anchor_at(log, log->n, 9);
    struct zdm_hash place = log->head;
    anchor.fence.generation += 20;
    anchor.fence.anchor = sample_hash(0x77);
    append_recovery(log, 3, &place);
    struct coord_audit_result result = audit(log, &anchor, 1);
    expect(&result, COORD_AUDIT_CUT, log->n + 1, anchor.fence.generation);
    assert_int_equal(result.n_given_up, 0);
}

static void a_recovery_stands_right_behind_its_request(void **state)
{
    struct log *log = *state;
    struct zdm_request request = {.verb = ZDM_VERB_RECOVER, .session = log->head};
    struct coord_event event = {.u.fenced = {.seen_epoch = 3}};
    log->epoch = 4;
    append_request(log, &log->ann, "ann", &request);
    append_directed(log, ZDM_MODE_RUN);
    append(log, &event, COORD_EVENT_RECOVERED, "");
    struct coord_audit_result result = audit(log, NULL, 0);
    expect(&result, COORD_AUDIT_MISSTATED, log->n, log->n);
    expect_words(&result, "another place in the log");
}

/* ---- Anchors as JSON ---- */

static void anchors_are_read_from_json(void **state)
{
    struct log *log = *state;
    struct coord_audit *audit = NULL;
    struct coord_audit_result result;
    struct zdm_error err;
    char text[512];
    static const char row[] = "{\"anchors\": [{\"shard\": \"eu-1\", \"agent\": \"%032x\", \"migration\": \"m\", "
                              "\"epoch\": 1, \"instance\": \"%032x\", \"generation\": %d, \"anchor\": \"%064x\"}]}";
    (void)snprintf(text, sizeof text, row, 7, 1, 400, 5);
    assert_int_equal(coord_audit_new(crypto(), log->trust.data, log->trust.len, NULL, &audit, &err), ZDM_OK);
    assert_int_equal(coord_audit_anchors(audit, text, strlen(text), &err), ZDM_OK);
    assert_int_equal(coord_audit_anchors(audit, "{\"anchors\": [{}]}", 17, &err), ZDM_INVALID);
    assert_int_equal(coord_audit_anchors(audit, "{}", 2, &err), ZDM_INVALID);
    assert_int_equal(coord_audit_anchors(audit, "?", 1, &err), ZDM_INVALID);
    coord_audit_finish(audit, &result);
    assert_int_equal(result.n_anchors, 1);
    assert_int_equal(result.finding, COORD_AUDIT_CUT);
    assert_non_null(strstr(result.what, "agent 000000000000 of eu-1 confirmed event 400"));
    coord_audit_free(audit);
}

static void anchors_that_are_negative_or_say_a_thing_twice_are_none(void **state)
{
    struct log *log = *state;
    struct coord_audit *audit = NULL;
    struct zdm_error err;
    char text[512];
    static const char row[] = "[{\"shard\": \"eu-1\", \"agent\": \"%032x\", \"migration\": \"m\", \"epoch\": 1, "
                              "\"instance\": \"%032x\", \"generation\": %s, \"anchor\": \"%064x\"}]";
    assert_int_equal(coord_audit_new(crypto(), log->trust.data, log->trust.len, NULL, &audit, &err), ZDM_OK);
    (void)snprintf(text, sizeof text, row, 7, 1, "4", 5);
    assert_int_equal(coord_audit_anchors(audit, text, strlen(text), &err), ZDM_OK);
    (void)snprintf(text, sizeof text, row, 7, 1, "-4", 5);
    assert_int_equal(coord_audit_anchors(audit, text, strlen(text), &err), ZDM_INVALID);
    (void)snprintf(text, sizeof text, row, 7, 1, "4, \"generation\": 5", 5);
    assert_int_equal(coord_audit_anchors(audit, text, strlen(text), &err), ZDM_INVALID);
    coord_audit_free(audit);
}

#define A_TEST(name) cmocka_unit_test_setup_teardown(name, make_log, free_log)

/* ---- Plans that were amended ---- */

enum amending { ALTERS_THE_LAST, ALTERS_THE_FIRST, ALTERS_SHARDS, ALTERS_NOTHING };

static struct zdm_plan *altered_plan(const struct log *log, enum amending what, struct zdm_envelope *out_envelope)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_plan *plan = sample_plan();
    if (what == ALTERS_THE_LAST)
        plan->phases[plan->n_phases - 1].approvals += 2;
    if (what == ALTERS_THE_FIRST)
        plan->phases[0].approvals += 2;
    if (what == ALTERS_SHARDS) {
        free(plan->selector);
        plan->selector = zdm_strdup("tier=canary");
    }
    zdm_plan_encode(crypto(), plan, &body);
    *out_envelope = sign_body(log, &log->ann, ZDM_SIGNED_PLAN, &body);
    return plan;
}

/* The request to amend, and what the coordinator made of it. Returns the event's position. */
static uint64_t append_amendment(struct log *log, enum amending what, bool asked)
{
    struct zdm_request request = {.verb = ZDM_VERB_SUBMIT, .amend = asked, .shards = {.all = true}};
    struct coord_event event = {.seq = 0};
    struct zdm_plan *plan = altered_plan(log, what, &event.u.migration_submitted.plan_envelope);
    event.u.migration_submitted.plan = plan;
    zdm_copy_text(event.u.migration_submitted.by, sizeof event.u.migration_submitted.by, "ann");
    zdm_copy_text(request.migration, sizeof request.migration, plan->id);
    request.plan_hash = plan->hash;
    append_request(log, &log->ann, "ann", &request);
    size_t at = append(log, &event, COORD_EVENT_PLAN_AMENDED, plan->id);
    coord_event_fini(&event);
    return at + 1;
}

static void a_plan_that_was_amended_behind_what_was_done_is_sound_also_twice(void **state)
{
    struct log *log = *state;
    append_amendment(log, ALTERS_THE_LAST, true);
    append_amendment(log, ALTERS_NOTHING, true);
    append_amendment(log, ALTERS_NOTHING, false); /* the same plan, signed anew */
    struct coord_audit_result result = audit(log, NULL, 0);
    expect_sound(&result);
}

static void an_amendment_that_nobody_asked_for_or_that_changes_too_much_is_found(void **state)
{
    static const struct {
        enum amending what;
        bool asked;
        const char *words;
    } rows[] = {
        {ALTERS_THE_LAST, false, "nobody asked to amend it"},
        {ALTERS_THE_FIRST, true, "it changes a phase that a shard had finished"},
        {ALTERS_SHARDS, true, "for other shards than the one that it amends"},
    };
    struct log *log = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t at = append_amendment(log, rows[i].what, rows[i].asked);
        struct coord_audit_result result = audit(log, NULL, 0);
        expect(&result, COORD_AUDIT_MISSTATED, at, at);
        expect_words(&result, rows[i].words);
        take_out(log, log->n - 1, false);
        take_out(log, log->n - 1, false);
    }
    struct coord_audit_result result = audit(log, NULL, 0);
    expect_sound(&result);
}

static void an_amendment_of_what_was_never_submitted_is_found(void **state)
{
    struct log *log = *state;
    struct coord_event event = event_at(log, log->submitted);
    event.type = COORD_EVENT_PLAN_AMENDED;
    expect_misstated(log, log->submitted, &event, "was not submitted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        A_TEST(an_untouched_log_is_sound_and_proven_by_the_highest_anchor),
        A_TEST(without_anchors_nothing_is_proven),
        A_TEST(each_changed_byte_of_each_event_is_found_where_it_is),
        A_TEST(a_change_with_its_own_hash_computed_anew_is_found),
        A_TEST(a_removed_event_is_found),
        A_TEST(a_removed_event_is_found_when_the_rest_is_renumbered),
        A_TEST(two_swapped_events_are_found),
        A_TEST(two_events_that_are_far_apart_and_swapped_are_found),
        A_TEST(an_inserted_event_is_found),
        A_TEST(an_event_that_stands_twice_is_found),
        A_TEST(a_chain_that_was_computed_anew_is_found_by_anchors),
        A_TEST(a_cut_tail_is_found_by_anchors),
        A_TEST(a_cut_tail_is_found_by_an_epoch_that_is_not_there),
        A_TEST(a_forged_signature_of_each_kind_is_found),
        A_TEST(a_phase_that_nobody_asked_for_is_found),
        A_TEST(a_phase_that_is_laid_to_another_person_is_found),
        A_TEST(an_approval_that_is_laid_to_another_key_is_found),
        A_TEST(an_approval_by_somebody_without_the_role_is_found),
        A_TEST(a_request_that_says_something_else_than_was_signed_is_found),
        A_TEST(an_agent_without_a_token_is_found),
        A_TEST(another_trust_file_of_the_same_version_is_found),
        A_TEST(another_fleets_trust_file_is_refused),
        A_TEST(what_agents_hold_of_a_given_up_history_is_no_fault),
        A_TEST(a_recovery_does_not_excuse_what_was_rewritten_before_it),
        A_TEST(a_recovery_that_was_signed_for_another_place_is_found),
        A_TEST(anchors_are_read_from_json),
        A_TEST(each_thing_that_an_act_says_of_its_request_is_compared),
        A_TEST(a_request_that_acts_twice_is_found),
        A_TEST(what_follows_from_a_request_is_of_its_verb_person_and_migration),
        A_TEST(a_phase_that_is_laid_to_a_request_that_was_over_is_found),
        A_TEST(another_plan_than_the_request_named_is_found),
        A_TEST(a_plan_that_was_amended_behind_what_was_done_is_sound_also_twice),
        A_TEST(an_amendment_that_nobody_asked_for_or_that_changes_too_much_is_found),
        A_TEST(an_amendment_of_what_was_never_submitted_is_found),
        A_TEST(an_agent_whose_id_is_not_of_its_key_is_found),
        A_TEST(a_token_that_is_used_twice_is_found),
        A_TEST(an_approval_or_an_undo_order_that_is_laid_to_another_migration_is_found),
        A_TEST(an_approval_is_revoked_by_the_request_that_names_it),
        A_TEST(a_trust_file_that_is_adopted_twice_is_found),
        A_TEST(time_and_epoch_that_go_back_are_found),
        A_TEST(the_log_of_another_fleet_is_found),
        A_TEST(a_link_that_names_another_event_before_it_is_found),
        A_TEST(what_is_wrong_first_is_named_and_not_what_an_agent_holds_behind_it),
        A_TEST(a_version_that_two_roots_signed_is_one_version),
        A_TEST(a_recovery_excuses_no_epoch_above_what_it_had_seen),
        A_TEST(a_recovery_stands_right_behind_its_request),
        A_TEST(anchors_that_are_negative_or_say_a_thing_twice_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
