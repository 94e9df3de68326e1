/*
 * fake_fleet.c - see fake_fleet.h.
 */
#include "tests/unit/agent_app/fake_fleet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/os/crypto.h"

static int64_t wall_ms(void *self)
{
    return 1700000000000 + ((struct fake_fleet *)self)->now_ms;
}

static int64_t boot_ms(void *self)
{
    return ((struct fake_fleet *)self)->now_ms;
}

static void fill(void *self, void *bytes, size_t n)
{
    struct fake_fleet *fleet = self;
    for (size_t i = 0; i < n; i++) {
        fleet->seed = fleet->seed * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)bytes)[i] = (uint8_t)(fleet->seed >> 56);
    }
}

static void make_key(struct zdm_signing_key *out, uint8_t n)
{
    uint8_t seed[32] = {n};
    zdm_signing_key_make(out, seed);
}

static void make_trust(struct fake_fleet *fleet)
{
    static const char *const names[] = {"olga", "vera", "anna"};
    const struct zdm_signing_key *roots[] = {&fleet->root};
    struct zdm_error err;
    struct zdm_trust *trust = &fleet->trust;
    zdm_copy_text(trust->fleet_name, sizeof trust->fleet_name, "test");
    trust->version = 1;
    trust->roots[0] = fleet->root.public_key;
    trust->n_roots = trust->root_threshold = 1;
    trust->coordinators[0] = fleet->coordinator.public_key;
    trust->n_coordinators = 1;
    trust->people = calloc(3, sizeof *trust->people);
    trust->n_people = 3;
    trust->people[0].public_key = fleet->operator_key.public_key;
    trust->people[0].roles = ZDM_ROLE_OPERATOR | ZDM_ROLE_APPROVER;
    trust->people[1].public_key = fleet->viewer.public_key;
    trust->people[1].roles = ZDM_ROLE_VIEWER;
    trust->people[2].public_key = fleet->approver.public_key;
    trust->people[2].roles = ZDM_ROLE_APPROVER;
    for (size_t i = 0; i < 3; i++)
        zdm_copy_text(trust->people[i].name, sizeof trust->people[i].name, names[i]);
    trust->approvals_min = 1;
    if (zdm_trust_chain_start(fleet->crypto, trust, roots, 1, &fleet->chain, &err) != ZDM_OK)
        fail_msg("%s", err.message);
}

static void sign_for(const struct fake_fleet *fleet, const struct zdm_signing_key *key, const struct zdm_id *of,
                     enum zdm_signed_type type, struct zdm_buffer *body, struct zdm_envelope *out)
{
    struct zdm_error err;
    assert_false(body->failed);
    zdm_envelope_fini(out);
    memset(out, 0, sizeof *out);
    if (zdm_signed_make(fleet->crypto, key, of, type, body->data, body->len, out, &err) != ZDM_OK)
        fail_msg("%s", err.message);
    zdm_buffer_fini(body);
}

static void sign(const struct fake_fleet *fleet, const struct zdm_signing_key *key, enum zdm_signed_type type,
                 struct zdm_buffer *body, struct zdm_envelope *out)
{
    sign_for(fleet, key, &fleet->chain.fleet, type, body, out);
}

static void make_enrolment(struct fake_fleet *fleet)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_error err;
    struct zdm_enrolment enrolment = {.shard = "shard-1", .expires_at_ms = 1800000000000, .nonce = {.bytes = {5}}};
    assert_int_equal(zdm_labels_add(&enrolment.labels, "tier=gold", &err), ZDM_OK);
    zdm_hash_bytes(fleet->crypto, enrolment.secret_hash.bytes, 32, fleet->token.secret, 16);
    zdm_enrolment_encode(&enrolment, &body);
    sign(fleet, &fleet->operator_key, ZDM_SIGNED_ENROLMENT, &body, &fleet->enrolment);
}

static void make_token(struct fake_fleet *fleet)
{
    struct zdm_token *token = &fleet->token;
    zdm_copy_text(token->urls[0], sizeof token->urls[0], "tcp://first:1");
    token->n_urls = 1;
    token->fleet = fleet->chain.fleet;
    token->trust_hash = fleet->chain.hash;
    zdm_copy_text(token->shard, sizeof token->shard, "shard-1");
    token->expires_at_ms = 1800000000000;
    memset(token->secret, 7, sizeof token->secret);
}

/* ---- The plan and the orders ---- */

static void fill_step(struct zdm_step *step, uint32_t ordinal, const char *column)
{
    static const char *const ids[] = {"1.1", "1.2", "2.1", "3.1", "4.1"};
    step->ordinal = ordinal;
    zdm_copy_text(step->id, sizeof step->id, ids[ordinal - 1]);
    step->kind = ZDM_STEP_DDL;
    step->action = ZDM_ACTION_ADD_COLUMN;
    step->lock = ZDM_LOCK_SHORT;
    step->table.schema = zdm_strdup("public");
    step->table.name = zdm_strdup("users");
    step->column = zdm_strdup(column);
    char sql[96];
    (void)snprintf(sql, sizeof sql, "ALTER TABLE \"public\".\"users\" ADD COLUMN \"%s\" text", column);
    step->sql = zdm_strdup(sql);
    step->exact_inverse = true;
    step->inverse = ZDM_INVERSE_HIDE;
}

static void fill_hide(struct zdm_step *step, uint32_t ordinal)
{
    fill_step(step, ordinal, "e");
    free(step->sql);
    step->sql = NULL;
    step->kind = ZDM_STEP_HIDE;
    step->action = ZDM_ACTION_HIDE_COLUMN;
    step->object = zdm_strdup("~zdm_e");
    step->exact_inverse = false;
    step->inverse = ZDM_INVERSE_UNHIDE;
}

static void fill_purge(struct zdm_step *step)
{
    fill_hide(step, 5);
    step->kind = ZDM_STEP_PURGE;
    step->action = ZDM_ACTION_PURGE_COLUMN;
    step->inverse = ZDM_INVERSE_IMPOSSIBLE;
}

static void fill_phase(struct zdm_phase *phase, uint32_t number, enum zdm_phase_class class, size_t n_steps)
{
    phase->number = number;
    phase->class = class;
    phase->steps = calloc(n_steps, sizeof *phase->steps);
    phase->n_steps = n_steps;
}

static struct zdm_plan *make_plan(const char *selector)
{
    struct zdm_plan *plan = zdm_plan_new();
    plan->format = ZDM_PLAN_FORMAT;
    zdm_copy_text(plan->compiler, sizeof plan->compiler, "0.1.0");
    zdm_copy_text(plan->id, sizeof plan->id, "rename");
    plan->selector = zdm_strdup(selector);
    plan->waves = calloc(1, sizeof *plan->waves);
    plan->n_waves = 1;
    plan->waves[0].percent = 100;
    plan->failure_budget = 1;
    plan->grace_ms = 1000;
    plan->tables = calloc(1, sizeof *plan->tables);
    plan->n_tables = 1;
    plan->tables[0].schema = zdm_strdup("public");
    plan->tables[0].name = zdm_strdup("users");
    plan->phases = calloc(4, sizeof *plan->phases);
    plan->n_phases = 4;
    fill_phase(&plan->phases[0], 1, ZDM_PHASE_EXPAND, 2);
    fill_phase(&plan->phases[1], 2, ZDM_PHASE_MIGRATE, 1);
    fill_step(&plan->phases[0].steps[0], 1, "a");
    fill_step(&plan->phases[0].steps[1], 2, "b");
    fill_step(&plan->phases[1].steps[0], 3, "c");
    fill_phase(&plan->phases[2], 3, ZDM_PHASE_CONTRACT, 1);
    fill_hide(&plan->phases[2].steps[0], 4);
    plan->phases[2].destructive = true;
    fill_phase(&plan->phases[3], 4, ZDM_PHASE_PURGE, 1);
    fill_purge(&plan->phases[3].steps[0]);
    plan->phases[3].destructive = true;
    return plan;
}

/* Takes the plan. */
static void sign_plan(struct fake_fleet *fleet, const struct zdm_signing_key *signer, struct zdm_plan *plan)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    zdm_plan_encode(fleet->crypto, plan, &body);
    fleet->plan_hash = plan->hash;
    for (size_t i = 0; i < plan->n_phases; i++)
        fleet->digests[i] = plan->phases[i].digest;
    sign(fleet, signer, ZDM_SIGNED_PLAN, &body, &fleet->plan);
    zdm_plan_unref(plan);
}

void fake_fleet_plan(struct fake_fleet *fleet, const struct zdm_signing_key *signer, const char *selector)
{
    sign_plan(fleet, signer, make_plan(selector));
}

void fake_fleet_plan_by_hand(struct fake_fleet *fleet, const char *sql)
{
    struct zdm_plan *plan = make_plan("tier=gold");
    free(plan->phases[0].steps[0].sql);
    plan->phases[0].steps[0].sql = zdm_strdup(sql);
    sign_plan(fleet, &fleet->operator_key, plan);
}

void fake_fleet_plan_of_column(struct fake_fleet *fleet, const struct zdm_signing_key *signer, const char *column)
{
    struct zdm_plan *plan = make_plan("tier=gold");
    struct zdm_step *step = &plan->phases[0].steps[0];
    zdm_step_fini(step);
    *step = (struct zdm_step){.ordinal = 0};
    fill_step(step, 1, column);
    sign_plan(fleet, signer, plan);
}

struct zdm_directive fake_fleet_directive(const struct fake_fleet *fleet, uint64_t generation, enum zdm_mode mode,
                                          uint32_t goal)
{
    struct zdm_directive d = {.migration = "rename",
                              .plan_hash = fleet->plan_hash,
                              .shard = "shard-1",
                              .actor = fleet->agent.id,
                              .goal_phase = goal,
                              .mode = mode,
                              .attempt = 1};
    d.fence.epoch = 1;
    d.fence.instance.bytes[0] = 1;
    d.fence.generation = generation;
    d.fence.anchor.bytes[0] = (uint8_t)generation;
    return d;
}

struct zdm_undo_order fake_fleet_undo_order(const struct fake_fleet *fleet, uint32_t to_phase, uint8_t nonce)
{
    return (struct zdm_undo_order){.migration = "rename",
                                   .plan_hash = fleet->plan_hash,
                                   .to_phase = to_phase,
                                   .nonce = {.bytes = {nonce, 1}},
                                   .issued_at_ms = wall_ms((void *)(uintptr_t)fleet),
                                   .expires_at_ms = wall_ms((void *)(uintptr_t)fleet) + 86400000};
}

struct zdm_approval fake_fleet_approval(const struct fake_fleet *fleet, enum zdm_approval_action action, uint32_t phase,
                                        uint8_t nonce)
{
    struct zdm_approval a = {.migration = "rename",
                             .plan_hash = fleet->plan_hash,
                             .phase = phase,
                             .action = action,
                             .trust_version = 1,
                             .nonce = {.bytes = {nonce, 2}},
                             .issued_at_ms = wall_ms((void *)(uintptr_t)fleet),
                             .expires_at_ms = wall_ms((void *)(uintptr_t)fleet) + 86400000};
    if (phase > 0 && action != ZDM_APPROVE_UNDO)
        a.phase_digest = fleet->digests[phase - 1];
    return a;
}

struct zdm_envelope fake_fleet_sign_undo(struct fake_fleet *fleet, const struct zdm_signing_key *signer,
                                         const struct zdm_undo_order *order)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_envelope out = {.bytes = NULL};
    zdm_undo_order_encode(order, &body);
    sign(fleet, signer, ZDM_SIGNED_UNDO_ORDER, &body, &out);
    return out;
}

struct zdm_envelope fake_fleet_sign_approval(struct fake_fleet *fleet, const struct zdm_signing_key *signer,
                                             const struct zdm_approval *approval)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_envelope out = {.bytes = NULL};
    zdm_approval_encode(approval, &body);
    sign(fleet, signer, ZDM_SIGNED_APPROVAL, &body, &out);
    return out;
}

void fake_fleet_sign_order(struct fake_fleet *fleet, const struct zdm_signing_key *signer, const struct zdm_id *of,
                           const struct zdm_directive *d)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    zdm_directive_encode(d, &body);
    sign_for(fleet, signer, of, ZDM_SIGNED_DIRECTIVE, &body, &fleet->order);
}

void fake_fleet_order(struct fake_fleet *fleet, const struct zdm_signing_key *signer, uint64_t generation,
                      enum zdm_mode mode, uint32_t goal, const char *shard)
{
    struct zdm_directive d = fake_fleet_directive(fleet, generation, mode, goal);
    zdm_copy_text(d.shard, sizeof d.shard, shard);
    fake_fleet_sign_order(fleet, signer, &fleet->chain.fleet, &d);
    fleet->has_order = true;
    fleet->order_generation = generation;
}

/* ---- The coordinator's side of the wire ---- */

static void send_sealed(struct fake_fleet *fleet, const void *plain, size_t n)
{
    struct zdm_error err;
    uint8_t *sealed = malloc(n + ZDM_SEAL_OVERHEAD);
    assert_int_equal(zdm_session_seal(fleet->session, plain, n, sealed, &err), ZDM_OK);
    (void)fleet->net.ops->send(fleet->net.self, fleet->conn, sealed, n + ZDM_SEAL_OVERHEAD);
    free(sealed);
}

void fake_fleet_send(struct fake_fleet *fleet, const struct zdm_frame *frame)
{
    struct zdm_buffer plain = ZDM_BUFFER_INIT;
    zdm_frame_encode(frame, &plain);
    assert_false(plain.failed);
    send_sealed(fleet, plain.data, plain.len);
    zdm_buffer_fini(&plain);
}

void fake_fleet_send_trust(struct fake_fleet *fleet, uint32_t from_version)
{
    size_t first = from_version < fleet->chain.n_envelopes ? from_version : fleet->chain.n_envelopes;
    const struct zdm_frame frame = {
        .type = ZDM_FRAME_TRUST,
        .u.envelopes = {.items = fleet->chain.envelopes + first, .n = fleet->chain.n_envelopes - first}};
    fake_fleet_send(fleet, &frame);
}

void fake_fleet_send_order(struct fake_fleet *fleet)
{
    const struct zdm_frame frame = {.type = ZDM_FRAME_ORDERS, .u.envelopes = {.items = &fleet->order, .n = 1}};
    fake_fleet_send(fleet, &frame);
}

static bool wants_order(const struct fake_fleet *fleet)
{
    const struct zdm_report *report = &fleet->report;
    return report->n_migrations == 0 || report->migrations[0].state == ZDM_AGENT_ASKING ||
           report->migrations[0].accepted.generation < fleet->order_generation;
}

void fake_fleet_send_survey_order(struct fake_fleet *fleet, uint64_t id, bool wanted)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_SURVEY_ORDER};
    frame.u.survey_order.id = id;
    if (wanted)
        frame.u.survey_order.plan_hash = fleet->plan_hash;
    fake_fleet_send(fleet, &frame);
}

static void take_report(struct fake_fleet *fleet, struct zdm_frame *frame)
{
    const struct zdm_frame ack = {.type = ZDM_FRAME_ACK,
                                  .u.ack = {.number = frame->u.report.number, .lease_ms = 60000}};
    zdm_report_fini(&fleet->report);
    fleet->report = frame->u.report;
    memset(&frame->u.report, 0, sizeof frame->u.report);
    fleet->reports++;
    fake_fleet_send(fleet, &ack);
    if (fleet->has_order && wants_order(fleet))
        fake_fleet_send_order(fleet);
}

static void send_piece(struct fake_fleet *fleet, const struct zdm_piece *asked)
{
    struct zdm_buffer flat = ZDM_BUFFER_INIT;
    struct zdm_frame frame = {.type = ZDM_FRAME_PLAN_PIECE};
    fleet->plan_requests++;
    if (fleet->keeps_plans)
        return;
    zdm_envelope_flatten(&fleet->plan, &flat);
    size_t left = flat.len - asked->offset;
    frame.u.piece.hash = asked->hash;
    frame.u.piece.total = (uint32_t)flat.len;
    frame.u.piece.offset = asked->offset;
    frame.u.piece.bytes = flat.data + asked->offset;
    frame.u.piece.n = left < fleet->piece_size ? left : fleet->piece_size;
    if (fleet->breaks_pieces) {
        frame.u.piece.offset++;
        frame.u.piece.n--;
    }
    fake_fleet_send(fleet, &frame);
    zdm_buffer_fini(&flat);
}

static void take_join(struct fake_fleet *fleet, const struct zdm_frame *frame)
{
    fleet->joins++;
    if (!fleet->spent && memcmp(frame->u.join.secret, fleet->token.secret, 16) == 0) {
        const struct zdm_frame joined = {.type = ZDM_FRAME_JOINED, .u.joined.enrolment = fleet->enrolment};
        fleet->knows_agent = true;
        fake_fleet_send(fleet, &joined);
        return;
    }
    const struct zdm_frame bye = {.type = ZDM_FRAME_BYE, .u.bye = {.why = "no such enrolment"}};
    fake_fleet_send(fleet, &bye);
}

/* Pieces must come in order, with a length that stays. */
static void take_survey(struct fake_fleet *fleet, const struct zdm_frame *frame)
{
    fleet->survey_code = frame->u.survey.code;
    fleet->survey_id = frame->u.survey.id;
    zdm_copy_text(fleet->survey_why, sizeof fleet->survey_why, frame->u.survey.message);
    if (frame->u.survey.offset == 0)
        zdm_buffer_fini(&fleet->survey);
    assert_int_equal(frame->u.survey.offset, fleet->survey.len);
    zdm_buffer_append(&fleet->survey, frame->u.survey.bytes, frame->u.survey.n);
    fleet->survey_pieces++;
    fleet->surveys += fleet->survey.len == frame->u.survey.total;
}

static void take_frame(struct fake_fleet *fleet, struct zdm_frame *frame)
{
    if (frame->type == ZDM_FRAME_REPORT)
        take_report(fleet, frame);
    else if (frame->type == ZDM_FRAME_PLAN_REQUEST)
        send_piece(fleet, &frame->u.piece);
    else if (frame->type == ZDM_FRAME_TRUST_REQUEST)
        fake_fleet_send_trust(fleet, frame->u.trust_request.from_version);
    else if (frame->type == ZDM_FRAME_SURVEY)
        take_survey(fleet, frame);
    else if (frame->type == ZDM_FRAME_JOIN)
        take_join(fleet, frame);
}

static bool find_agent(void *ctx, const struct zdm_id *key_id, struct zdm_hash *out_public_key)
{
    const struct fake_fleet *fleet = ctx;
    *out_public_key = fleet->agent.public_key;
    return fleet->knows_agent && zdm_id_equal(key_id, &fleet->agent.id);
}

static void on_opened(void *ctx, zdm_conn conn, bool incoming, const char *peer)
{
    struct fake_fleet *fleet = ctx;
    const struct zdm_id instance = {.bytes = {1}};
    (void)incoming;
    (void)peer;
    zdm_session_free(fleet->session);
    fleet->conn = conn;
    fleet->session =
        zdm_session_listen(fleet->crypto, &fleet->random, &fleet->coordinator, &fleet->chain.fleet, &instance);
}

static void greet(struct fake_fleet *fleet)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_WELCOME,
                              .u.welcome = {.epoch = 1, .trust_version = fleet->chain.trust.version}};
    zdm_copy_text(frame.u.welcome.name, sizeof frame.u.welcome.name, "shard-1");
    zdm_copy_text(frame.u.welcome.release, sizeof frame.u.welcome.release, "0.1.0");
    fake_fleet_send(fleet, &frame);
}

static void on_frame(void *ctx, zdm_conn conn, const uint8_t *bytes, size_t n)
{
    struct fake_fleet *fleet = ctx;
    struct zdm_error err;
    struct zdm_id key_id;
    struct zdm_hash key;
    uint8_t welcome[ZDM_WELCOME_SIZE], plain[ZDM_FRAME_MAX];
    if (conn != fleet->conn)
        return;
    if (zdm_session_state_of(fleet->session) == ZDM_SESSION_NEW) {
        assert_int_equal(zdm_session_take_hello(fleet->session, bytes, n, welcome, &err), ZDM_OK);
        (void)fleet->net.ops->send(fleet->net.self, conn, welcome, sizeof welcome);
    } else if (zdm_session_state_of(fleet->session) == ZDM_SESSION_WELCOMED) {
        assert_int_equal(
            zdm_session_take_auth(fleet->session, bytes, n, find_agent, fleet, &key_id, &key, &fleet->joiner, &err),
            ZDM_OK);
        if (!fleet->joiner)
            greet(fleet);
    } else {
        struct zdm_frame frame;
        size_t plain_n;
        assert_int_equal(zdm_session_open(fleet->session, bytes, n, plain, &plain_n, &err), ZDM_OK);
        assert_int_equal(zdm_frame_decode(plain, plain_n, &frame, &err), ZDM_OK);
        take_frame(fleet, &frame);
        zdm_frame_fini(&frame);
    }
}

static void on_closed(void *ctx, zdm_conn conn, const char *why)
{
    (void)ctx;
    (void)conn;
    (void)why;
}

struct zdm_envelope fake_fleet_forge_trust(struct fake_fleet *fleet, uint32_t version,
                                           const struct zdm_signing_key *signer)
{
    struct zdm_buffer body = ZDM_BUFFER_INIT;
    struct zdm_envelope out = {.bytes = NULL};
    struct zdm_trust trust = fleet->trust;
    trust.version = version;
    zdm_trust_encode(&trust, &body);
    sign(fleet, signer, ZDM_SIGNED_TRUST, &body, &out);
    return out;
}

void fake_fleet_new_trust(struct fake_fleet *fleet)
{
    enum { VERSIONS_MAX = 4 };
    struct zdm_error err;
    struct zdm_trust_chain longer;
    struct zdm_envelope all[VERSIONS_MAX];
    size_t held = fleet->chain.n_envelopes;
    assert_true(held < VERSIONS_MAX);
    memcpy(all, fleet->chain.envelopes, held * sizeof *all);
    all[held] = fake_fleet_forge_trust(fleet, fleet->trust.version + 1, &fleet->root);
    if (zdm_trust_chain_verify(fleet->crypto, all, held + 1, &longer, &err) != ZDM_OK)
        fail_msg("%s", err.message);
    zdm_trust_chain_fini(&fleet->chain);
    fleet->chain = longer;
    fleet->trust.version++;
    zdm_envelope_fini(&all[held]);
}

struct fake_fleet *fake_fleet_new(void)
{
    struct fake_fleet *fleet = calloc(1, sizeof *fleet);
    fleet->crypto = zdm_crypto_sodium();
    fleet->now_ms = 5000;
    fleet->seed = 99;
    fleet->piece_size = 100;
    fleet->clock = (struct zdm_clock){.wall_ms = wall_ms, .boot_ms = boot_ms, .self = fleet};
    fleet->random = (struct zdm_random){.fill = fill, .self = fleet};
    make_key(&fleet->root, 1);
    make_key(&fleet->coordinator, 2);
    make_key(&fleet->operator_key, 3);
    make_key(&fleet->viewer, 4);
    make_key(&fleet->agent, 5);
    make_key(&fleet->stranger, 6);
    make_key(&fleet->approver, 7);
    make_trust(fleet);
    make_token(fleet);
    make_enrolment(fleet);
    fake_fleet_plan(fleet, &fleet->operator_key, "tier=gold");
    fleet->loop = loop_net_new();
    fleet->net = loop_net_end(fleet->loop, true);
    const struct zdm_net_upcalls upcalls = {.opened = on_opened, .frame = on_frame, .closed = on_closed, .ctx = fleet};
    loop_net_upcalls(fleet->loop, true, &upcalls);
    return fleet;
}

void fake_fleet_free(struct fake_fleet *fleet)
{
    zdm_session_free(fleet->session);
    zdm_report_fini(&fleet->report);
    zdm_buffer_fini(&fleet->survey);
    zdm_trust_fini(&fleet->trust);
    zdm_trust_chain_fini(&fleet->chain);
    zdm_envelope_fini(&fleet->enrolment);
    zdm_envelope_fini(&fleet->plan);
    zdm_envelope_fini(&fleet->order);
    loop_net_free(fleet->loop);
    free(fleet);
}
