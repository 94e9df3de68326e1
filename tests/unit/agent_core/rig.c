/*
 * rig.c - see rig.h.
 */
#include "tests/unit/agent_core/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buffer.h"

const struct zdm_id rig_us = {.bytes = {1, 2, 3}};
const struct zdm_id rig_other = {.bytes = {9, 9, 9}};

static struct zdm_envelope an_envelope(void)
{
    struct zdm_envelope envelope = {.bytes = zdm_memdup("signed", 6), .len = 6};
    return envelope;
}

/* ---- The plan ---- */

static void add_phase(struct zdm_plan *plan, enum zdm_phase_class class, size_t n_steps)
{
    struct zdm_phase *phase = &plan->phases[plan->n_phases++];
    phase->number = (uint32_t)plan->n_phases;
    phase->class = class;
    phase->steps = calloc(n_steps, sizeof *phase->steps);
    phase->digest.bytes[0] = (uint8_t)phase->number;
    phase->approvals = class == ZDM_PHASE_PURGE ? 1 : 0;
}

static struct zdm_step *add_step(struct zdm_plan *plan, uint32_t ordinal, enum zdm_step_kind kind,
                                 enum zdm_action action)
{
    struct zdm_phase *phase = &plan->phases[plan->n_phases - 1];
    struct zdm_step *step = &phase->steps[phase->n_steps++];
    step->ordinal = ordinal;
    step->kind = kind;
    step->action = action;
    step->table = (struct zdm_table){.schema = zdm_strdup("public"), .name = zdm_strdup("users")};
    snprintf(step->id, sizeof step->id, "%u.%zu", phase->number, phase->n_steps);
    return step;
}

/* full_name := name, and back. */
static struct zdm_derivation *fills_the_column(void)
{
    struct zdm_derivation *d = calloc(1, sizeof *d);
    d->assignments = calloc(1, sizeof *d->assignments);
    d->n_assignments = 1;
    d->assignments[0] =
        (struct zdm_assignment){.target = zdm_strdup("full_name"), .expr = zdm_strdup("t.\"name\""), .added = true};
    d->idempotent = d->both_ways = true;
    return d;
}

struct zdm_plan *rig_plan(void)
{
    struct zdm_plan *plan = zdm_plan_new();
    zdm_copy_text(plan->id, sizeof plan->id, "rename");
    plan->hash.bytes[0] = 77;
    plan->grace_ms = 72 * 3600000;
    plan->phases = calloc(5, sizeof *plan->phases);
    add_phase(plan, ZDM_PHASE_EXPAND, 3);
    add_step(plan, STEP_COLUMN, ZDM_STEP_DDL, ZDM_ACTION_ADD_COLUMN)->column = zdm_strdup("full_name");
    struct zdm_step *other = add_step(plan, STEP_MYSQL, ZDM_STEP_DDL, ZDM_ACTION_ADD_COLUMN);
    other->engine = ZDM_ENGINE_MYSQL;
    other->column = zdm_strdup("full_name");
    struct zdm_step *sync = add_step(plan, STEP_SYNC, ZDM_STEP_SYNC, ZDM_ACTION_SYNC_INSTALL);
    sync->superseded_by = STEP_HIDE;
    sync->derivation = fills_the_column();
    add_phase(plan, ZDM_PHASE_MIGRATE, 4);
    add_step(plan, STEP_BACKFILL, ZDM_STEP_BACKFILL, ZDM_ACTION_BACKFILL)->derivation = fills_the_column();
    add_step(plan, STEP_COMPARE, ZDM_STEP_CHECK, ZDM_ACTION_CHECK_COMPARE)->derivation = fills_the_column();
    add_step(plan, STEP_INDEX, ZDM_STEP_INDEX, ZDM_ACTION_CREATE_INDEX);
    add_step(plan, STEP_VALIDATE, ZDM_STEP_VALIDATE, ZDM_ACTION_VALIDATE);
    add_phase(plan, ZDM_PHASE_SWITCH, 1);
    add_step(plan, STEP_FLAG, ZDM_STEP_GATE, ZDM_ACTION_GATE_FLAG);
    add_phase(plan, ZDM_PHASE_CONTRACT, 1);
    add_step(plan, STEP_HIDE, ZDM_STEP_HIDE, ZDM_ACTION_HIDE_COLUMN)->superseded_by = STEP_PURGE;
    add_phase(plan, ZDM_PHASE_PURGE, 1);
    add_step(plan, STEP_PURGE, ZDM_STEP_PURGE, ZDM_ACTION_PURGE_COLUMN);
    return plan;
}

/* ---- The people ---- */

static void make_trust(struct zdm_authority *trust)
{
    static const char *const names[RIG_PEOPLE] = {"olga", "alice", "bob", "cleo"};
    *trust = (struct zdm_authority){.version = 3, .approvals_min = 2, .four_eyes = true, .n_people = RIG_PEOPLE};
    trust->people = calloc(RIG_PEOPLE, sizeof *trust->people);
    for (size_t i = 0; i < RIG_PEOPLE; i++) {
        trust->people[i].key_id.bytes[0] = (uint8_t)(50 + i);
        trust->people[i].roles = ZDM_ROLE_VIEWER | (i == RIG_OLGA ? ZDM_ROLE_OPERATOR : ZDM_ROLE_APPROVER);
        zdm_copy_text(trust->people[i].name, sizeof trust->people[i].name, names[i]);
    }
}

int64_t rig_wall_ms(const struct rig *rig)
{
    return 1764000000000 + rig->now_ms;
}

void rig_trust(struct rig *rig)
{
    struct agent_input input = {.kind = AGENT_IN_TRUST, .u.trust = &rig->trust};
    rig_input(rig, &input);
}

void rig_undo(struct rig *rig, uint32_t to_phase, uint8_t nonce)
{
    rig->has_undo = true;
    rig->undo_signer = rig->trust.people[RIG_OLGA].key_id;
    rig->undo = (struct zdm_undo_order){.migration = "rename",
                                        .plan_hash = rig->plan->hash,
                                        .to_phase = to_phase,
                                        .issued_at_ms = rig_wall_ms(rig),
                                        .expires_at_ms = rig_wall_ms(rig) + 24 * 3600000};
    rig->undo.nonce.bytes[0] = 200;
    rig->undo.nonce.bytes[1] = nonce;
}

struct zdm_approval *rig_approve(struct rig *rig, size_t who, enum zdm_approval_action action, uint32_t phase,
                                 uint8_t nonce)
{
    struct zdm_signed_approval *s = &rig->approvals[rig->n_approvals++];
    *s = (struct zdm_signed_approval){.signer = rig->trust.people[who].key_id};
    s->approval = (struct zdm_approval){.migration = "rename",
                                        .plan_hash = rig->plan->hash,
                                        .phase = phase,
                                        .action = action,
                                        .trust_version = rig->trust.version,
                                        .issued_at_ms = rig_wall_ms(rig),
                                        .expires_at_ms = rig_wall_ms(rig) + 7 * 24 * (int64_t)3600000};
    if (phase != 0 && action != ZDM_APPROVE_UNDO)
        s->approval.phase_digest = zdm_plan_phase(rig->plan, phase)->digest;
    s->approval.nonce.bytes[0] = 100;
    s->approval.nonce.bytes[1] = nonce;
    return &s->approval;
}

/* ---- The bench ---- */

struct rig *rig_new(void)
{
    struct rig *rig = calloc(1, sizeof *rig);
    agent_core_config_default(&rig->config);
    zdm_copy_text(rig->config.shard, sizeof rig->config.shard, "shard-1");
    rig->config.key_id = rig_us;
    rig->core = agent_core_new(&rig->config);
    rig->plan = rig_plan();
    make_trust(&rig->trust);
    rig->now_ms = 1000000;
    rig->random = 42;
    rig->acks = true;
    rig->lease_ms = 300000;
    rig->up = rig->writable = true;
    rig->row_cursor = rig->row_bound = -1;
    rig->rows = 2000;
    rig->ms_per_row = 0.1;
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/1/start-1");
    return rig;
}

void rig_free(struct rig *rig)
{
    agent_core_free(rig->core);
    zdm_plan_unref(rig->plan);
    zdm_plan_unref(rig->amended);
    zdm_authority_fini(&rig->trust);
    zdm_report_fini(&rig->report);
    free(rig);
}

static void take_effects(struct rig *rig)
{
    struct agent_effects out = rig->out;
    for (size_t i = 0; i < out.n; i++) {
        const struct agent_effect *effect = &out.items[i];
        switch (effect->kind) {
        case AGENT_DO_START_OP:
            assert_true(rig->n_ops < RIG_OPS_MAX);
            rig->ops[rig->n_ops++] = effect->op;
            if (rig->watch != NULL)
                rig->watch(rig, &effect->op);
            break;
        case AGENT_DO_CANCEL_OP:
            rig->cancelled = effect->cancel;
            break;
        case AGENT_DO_FETCH_PLAN:
            rig->fetches++;
            break;
        case AGENT_DO_REPORT:
            rig->reports++;
            zdm_report_fini(&rig->report);
            assert_true(agent_core_report(rig->core, rig->now_ms, &rig->report));
            break;
        }
    }
    if (!rig->acks)
        return;
    for (size_t i = 0; i < out.n; i++)
        if (out.items[i].kind == AGENT_DO_REPORT) {
            struct agent_input ack = {.kind = AGENT_IN_ACKED};
            ack.u.acked.number = rig->report.number;
            ack.u.acked.lease_ms = rig->lease_ms;
            rig_input(rig, &ack);
            return;
        }
}

void rig_input(struct rig *rig, struct agent_input *input)
{
    rig->random = rig->random * 6364136223846793005u + 1442695040888963407u;
    input->now_ms = rig->now_ms;
    input->wall_ms = rig_wall_ms(rig);
    input->random = rig->random;
    agent_core_step(rig->core, input, &rig->out);
    take_effects(rig);
}

static void simple_input(struct rig *rig, enum agent_input_kind kind)
{
    struct agent_input input = {.kind = kind};
    rig_input(rig, &input);
}

void rig_started(struct rig *rig)
{
    rig_trust(rig);
    simple_input(rig, AGENT_IN_STARTED);
}

void rig_link(struct rig *rig, bool up)
{
    simple_input(rig, up ? AGENT_IN_LINK_UP : AGENT_IN_LINK_DOWN);
}

void rig_replace_agent(struct rig *rig)
{
    agent_core_free(rig->core);
    rig->core = agent_core_new(&rig->config);
    rig->n_ops = 0;
}

void rig_wait(struct rig *rig, int64_t ms)
{
    rig->now_ms += ms;
    simple_input(rig, AGENT_IN_TICK);
}

struct zdm_directive rig_order(uint64_t epoch, uint64_t generation, enum zdm_mode mode, uint32_t goal)
{
    struct zdm_directive d = {.migration = "rename",
                              .shard = "shard-1",
                              .plan_hash = {.bytes = {77}},
                              .actor = rig_us,
                              .goal_phase = goal,
                              .mode = mode,
                              .attempt = 1};
    d.fence.epoch = epoch;
    d.fence.generation = generation;
    d.fence.instance.bytes[0] = (uint8_t)epoch;
    d.fence.anchor.bytes[0] = (uint8_t)generation;
    return d;
}

void rig_send(struct rig *rig, const struct zdm_directive *order, uint8_t content)
{
    struct agent_input input = {.kind = AGENT_IN_ORDER};
    struct zdm_envelope envelope = an_envelope();
    input.u.order.directive = order;
    input.u.order.envelope = &envelope;
    input.u.order.digest.bytes[0] = (uint8_t)order->fence.generation;
    input.u.order.digest.bytes[1] = content;
    input.u.order.authority =
        (struct agent_authority){.undo_order = rig->has_undo ? &rig->undo : NULL,
                                 .undo_signer = rig->undo_signer,
                                 .undo_refusal = rig->has_undo ? NULL : "no key of the trust file",
                                 .approvals = rig->approvals,
                                 .n_approvals = rig->n_approvals};
    rig_input(rig, &input);
    zdm_envelope_fini(&envelope);
}

static void plan_ready(struct rig *rig, struct zdm_plan *plan)
{
    struct agent_input input = {.kind = AGENT_IN_PLAN_READY};
    struct zdm_envelope envelope = an_envelope();
    input.u.plan_ready.plan = plan;
    input.u.plan_ready.envelope = &envelope;
    input.u.plan_ready.signer = rig->trust.people[RIG_OLGA].key_id;
    rig_input(rig, &input);
    zdm_envelope_fini(&envelope);
}

void rig_plan_ready(struct rig *rig)
{
    plan_ready(rig, rig->plan);
}

void rig_amended_ready(struct rig *rig)
{
    plan_ready(rig, rig->amended);
}

void rig_run(struct rig *rig, int64_t ms)
{
    int64_t end = rig->now_ms + ms;
    for (unsigned i = 0; i < 2000000; i++) {
        if (rig->now_ms <= end && rig_answer(rig))
            continue;
        if (rig->now_ms >= end || rig->out.wake_at_ms > end)
            break;
        if (rig->out.wake_at_ms > rig->now_ms)
            rig->now_ms = rig->out.wake_at_ms;
        simple_input(rig, AGENT_IN_TICK);
    }
    if (rig->now_ms < end)
        rig->now_ms = end;
    simple_input(rig, AGENT_IN_TICK);
}

void rig_restart(struct rig *rig)
{
    rig_replace_agent(rig);
    rig_started(rig);
    rig_link(rig, true);
    rig_run(rig, 1000);
}

void rig_until(struct rig *rig, enum agent_run run)
{
    while (rig->runs[run] == 0)
        if (!rig_answer(rig))
            rig_wait(rig, 10);
}

void rig_fail_once(struct rig *rig, enum agent_run run, enum zdm_code code)
{
    rig->fault.kind = AGENT_OP_RUN;
    rig->fault.run = run;
    rig->fault.outcome = AGENT_FAIL;
    rig->fault.code = code;
    rig->fault.times = 1;
}

static void accept_first(struct rig *rig, const struct zdm_directive *order)
{
    rig_send(rig, order, 0);
    rig_plan_ready(rig);
    while (rig->n_ops > 0 && rig->ops[0].lane == 0)
        rig_answer(rig);
}

/* No coordinator orders anybody into a switch who has not proven what comes before it. */
void rig_ready(struct rig *rig, enum zdm_mode mode, uint32_t goal)
{
    struct zdm_directive order = rig_order(1, 1, mode, goal), before = rig_order(1, 0, mode, 2);
    rig_started(rig);
    rig_answer(rig); /* CONNECT */
    rig_link(rig, true);
    if (mode == ZDM_MODE_RUN && goal > 2) {
        for (int i = 0; i < 6; i++) { /* whatever was broken may have it ask again */
            accept_first(rig, &before);
            rig_run(rig, 10000);
        }
    }
    accept_first(rig, &order);
}

struct agent_core_look rig_look(const struct rig *rig)
{
    struct agent_core_look look = {.state = 0};
    assert_true(agent_core_look(rig->core, "rename", &look));
    return look;
}

const struct zdm_migration_report *rig_said(struct rig *rig)
{
    static const struct zdm_migration_report nothing;
    zdm_report_fini(&rig->report);
    assert_true(agent_core_report(rig->core, rig->now_ms, &rig->report));
    return rig->report.n_migrations > 0 ? &rig->report.migrations[0] : &nothing;
}

const struct agent_op *rig_in_flight(const struct rig *rig, enum agent_run run)
{
    for (size_t i = 0; i < rig->n_ops; i++)
        if (rig->ops[i].kind == AGENT_OP_RUN && rig->ops[i].run == run)
            return &rig->ops[i];
    return NULL;
}
