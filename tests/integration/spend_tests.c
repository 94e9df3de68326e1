/*
 * spend_tests.c - undo orders and approvals in the journal: each signature counts once on a shard, in one transaction
 * with the row that says what it let in. The same over every engine.
 */
#include "tests/integration/spend_tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void nonce(struct zdm_id *id, uint8_t byte)
{
    memset(id->bytes, byte, sizeof id->bytes);
}

static void accepted(struct rig *r)
{
    rig_sql(r, "CREATE TABLE users (id int PRIMARY KEY)");
    rig_plan(r, "users", 3);
    for (uint32_t i = 1; i <= 3; i++) {
        rig_ddl(r, i, ZDM_ACTION_GATE_FLAG, NULL, NULL, NULL);
    }
    rig_accept(r, 1);
}

static long spent(struct rig *r, const char *condition)
{
    return rig_number(r, "SELECT count(*) FROM zdm.spent WHERE %s AND %s", rig_home(r), condition);
}

/* As if the journal were of another plan of the same id. */
static void forge_plan(struct rig *r)
{
    char hash[64];
    rig_bytes(r, hash, sizeof hash, 32);
    rig_super(r, "UPDATE zdm.migration SET plan_hash = %s WHERE %s", hash, rig_home(r));
}

static void approve(struct rig *r, uint32_t phase, uint8_t first, size_t n)
{
    r->spend_phase = phase;
    r->n_spend = n;
    for (size_t i = 0; i < n; i++) {
        nonce(&r->spend[i].nonce, (uint8_t)(first + i));
        nonce(&r->spend[i].approver, 77);
    }
}

void approvals_let_a_phase_in_once(void **state)
{
    struct rig *r = *state;
    accepted(r);
    approve(r, 2, 10, 2);
    rig_run(r, AGENT_RUN_SPEND_APPROVALS, 0, AGENT_OK);
    assert_int_equal(r->row.entered_phase, 2);
    assert_false(r->row.purge_now);
    rig_run(r, AGENT_RUN_SPEND_APPROVALS, 0, AGENT_ALREADY);
    assert_int_equal(spent(r, "kind = 'enter' AND phase = 2"), 2);
    approve(r, 3, 11, 2);
    rig_refused(r, AGENT_RUN_SPEND_APPROVALS, 0, "approval was used before");
    assert_int_equal(spent(r, "true"), 2);
    rig_reload(r);
    assert_int_equal(r->row.entered_phase, 2);
}

void approvals_that_say_now_come_later(void **state)
{
    struct rig *r = *state;
    accepted(r);
    approve(r, 3, 10, 1);
    rig_run(r, AGENT_RUN_SPEND_APPROVALS, 0, AGENT_OK);
    approve(r, 3, 20, 1);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_SPEND_APPROVALS, 0, AGENT_OK);
    assert_true(r->row.purge_now);
    rig_reload(r);
    assert_true(r->row.purge_now);
    assert_int_equal(r->row.entered_phase, 3);
}

void approvals_of_leftovers_hold_for_one_order(void **state)
{
    struct rig *r = *state;
    accepted(r);
    r->mode = ZDM_MODE_PURGE;
    agent_result_free(rig_try_accept(r, 1, 2, 1, 2));
    approve(r, 0, 10, 1);
    rig_run(r, AGENT_RUN_SPEND_APPROVALS, 0, AGENT_OK);
    assert_int_equal(r->row.purge_generation, 2);
    assert_int_equal(r->row.entered_phase, 0);
    rig_run(r, AGENT_RUN_SPEND_APPROVALS, 0, AGENT_ALREADY);
    rig_reload(r);
    assert_int_equal(r->row.purge_generation, 2);
    assert_false(r->row.purge_generation_now);
    r->purge_goes_on = true; /* the same order, given anew */
    agent_result_free(rig_try_accept(r, 1, 4, 1, 4));
    rig_reload(r);
    assert_int_equal(r->row.purge_generation, 4);
    r->purge_goes_on = false;
    agent_result_free(rig_try_accept(r, 1, 5, 1, 5));
    r->purge_goes_on = true; /* of one that nobody spent anything for */
    agent_result_free(rig_try_accept(r, 1, 6, 1, 6));
    rig_reload(r);
    assert_int_equal(r->row.purge_generation, 4);
}

void undo_order_counts_once_and_going_forward_ends_it(void **state)
{
    struct rig *r = *state;
    struct zdm_id order;
    accepted(r);
    approve(r, 3, 10, 1);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_SPEND_APPROVALS, 0, AGENT_OK);
    assert_true(r->row.purge_now);
    r->purge_now = false;
    r->n_spend = 0;
    r->mode = ZDM_MODE_UNDO;
    agent_result_free(rig_try_accept(r, 1, 2, 1, 2));
    nonce(&r->undo_nonce, 5);
    nonce(&order, 5);
    r->to_phase = 1;
    rig_run(r, AGENT_RUN_UNDO_BEGIN, 0, AGENT_OK);
    assert_int_equal(r->row.entered_phase, 1);
    assert_false(r->row.purge_now); /* a purge that comes later is let in anew */
    assert_memory_equal(r->row.undo_nonce.bytes, order.bytes, sizeof order.bytes);
    rig_run(r, AGENT_RUN_UNDO_BEGIN, 0, AGENT_ALREADY);
    rig_reload(r);
    assert_memory_equal(r->row.undo_nonce.bytes, order.bytes, sizeof order.bytes);
    r->mode = ZDM_MODE_PAUSE;
    agent_result_free(rig_try_accept(r, 1, 3, 1, 3));
    assert_memory_equal(r->row.undo_nonce.bytes, order.bytes, sizeof order.bytes);
    r->mode = ZDM_MODE_RUN;
    agent_result_free(rig_try_accept(r, 1, 4, 1, 4));
    assert_true(zdm_id_is_zero(&r->row.undo_nonce));
    r->mode = ZDM_MODE_UNDO;
    agent_result_free(rig_try_accept(r, 1, 5, 1, 5));
    rig_refused(r, AGENT_RUN_UNDO_BEGIN, 0, "this undo order was used before");
    assert_true(zdm_id_is_zero(&r->row.undo_nonce));
    nonce(&r->undo_nonce, 6);
    rig_run(r, AGENT_RUN_UNDO_BEGIN, 0, AGENT_OK);
}

static void begin_undo(struct rig *r, uint8_t order, uint32_t to_phase, int64_t issued_at_ms)
{
    r->n_spend = 0;
    r->mode = ZDM_MODE_UNDO;
    agent_result_free(rig_try_accept(r, 1, r->fence.generation + 1, 1, 5));
    nonce(&r->undo_nonce, order);
    r->to_phase = to_phase;
    r->undo_issued_at_ms = issued_at_ms;
    rig_run(r, AGENT_RUN_UNDO_BEGIN, 0, AGENT_OK);
}

static void approve_at(struct rig *r, uint32_t phase, uint8_t first, int64_t issued_at_ms)
{
    approve(r, phase, first, 2);
    r->spend[0].issued_at_ms = r->spend[1].issued_at_ms = issued_at_ms;
}

void rollback_spends_what_was_approved_before_it(void **state)
{
    struct rig *r = *state;
    accepted(r);
    begin_undo(r, 5, 1, 1000);
    r->mode = ZDM_MODE_RUN;
    agent_result_free(rig_try_accept(r, 1, r->fence.generation + 1, 1, 6));
    approve_at(r, 2, 10, 1000);
    rig_refused(r, AGENT_RUN_SPEND_APPROVALS, 0, "approval was used before");
    approve_at(r, 0, 10, 999);
    rig_refused(r, AGENT_RUN_SPEND_APPROVALS, 0, "approval was used before");
    approve_at(r, 2, 10, 999);
    r->spend[1].issued_at_ms = 1001;
    struct agent_result *result = rig_do(r, AGENT_OP_RUN, AGENT_RUN_SPEND_APPROVALS, 0, 0);
    assert_int_equal(result->outcome, AGENT_FAIL);
    assert_int_equal(result->spent_before, 1);
    agent_result_free(result);
    assert_int_equal(spent(r, "true"), 1);
    approve_at(r, 1, 20, 999); /* it did not go below that one */
    rig_run(r, AGENT_RUN_SPEND_APPROVALS, 0, AGENT_OK);
    approve_at(r, 2, 10, 1001);
    rig_run(r, AGENT_RUN_SPEND_APPROVALS, 0, AGENT_OK);
    assert_int_equal(r->row.entered_phase, 2);
}

void rollback_ends_what_a_purge_of_leftovers_was_allowed(void **state)
{
    struct rig *r = *state;
    accepted(r);
    r->mode = ZDM_MODE_PURGE;
    agent_result_free(rig_try_accept(r, 1, 2, 1, 2));
    approve(r, 0, 10, 1);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_SPEND_APPROVALS, 0, AGENT_OK);
    r->purge_now = false;
    assert_true(r->row.purge_generation_now);
    begin_undo(r, 5, 1, 1000);
    assert_int_equal(r->row.purge_generation, 0);
    assert_false(r->row.purge_generation_now);
}

void loss_is_spent_with_the_order_that_it_allows(void **state)
{
    struct rig *r = *state;
    accepted(r);
    approve(r, 0, 10, 2);
    r->mode = ZDM_MODE_UNDO;
    agent_result_free(rig_try_accept(r, 1, 2, 1, 2));
    nonce(&r->undo_nonce, 5);
    rig_run(r, AGENT_RUN_UNDO_BEGIN, 0, AGENT_OK);
    assert_int_equal(spent(r, "kind = 'undo'"), 2);
    nonce(&r->undo_nonce, 6);
    rig_refused(r, AGENT_RUN_UNDO_BEGIN, 0, "approval was used before");
    assert_int_equal(spent(r, "true"), 3);
}

void another_plan_of_the_same_id_begins_without_what_was_let_in(void **state)
{
    struct rig *r = *state;
    accepted(r);
    approve(r, 3, 10, 1);
    r->purge_now = true;
    rig_run(r, AGENT_RUN_SPEND_APPROVALS, 0, AGENT_OK);
    assert_int_equal(r->row.entered_phase, 3);
    rig_accept(r, 2);
    assert_int_equal(r->row.entered_phase, 3);
    forge_plan(r);
    rig_super(r, "UPDATE zdm.migration SET purge_generation = 1, purge_generation_now = true WHERE %s", rig_home(r));
    rig_accept(r, 3);
    rig_reload(r);
    assert_int_equal(r->row.entered_phase, 0);
    assert_false(r->row.purge_now || r->row.purge_generation_now);
    assert_int_equal(r->row.purge_generation, 0);
}

/* How far orders let the shard in: a phase without a step leaves no other trace. */
void orders_let_in_and_a_rollback_takes_back(void **state)
{
    struct rig *r = *state;
    r->goal_phase = 2;
    accepted(r);
    rig_reload(r);
    assert_int_equal(r->row.reached_phase, 2);
    r->goal_phase = 3;
    r->mode = ZDM_MODE_PAUSE;
    agent_result_free(rig_try_accept(r, 1, 2, 1, 2));
    r->goal_phase = 1;
    r->mode = ZDM_MODE_RUN; /* a loss took it back */
    agent_result_free(rig_try_accept(r, 1, 3, 1, 3));
    rig_reload(r);
    assert_int_equal(r->row.reached_phase, 3);
    begin_undo(r, 5, 1, 1000);
    rig_reload(r);
    assert_int_equal(r->row.reached_phase, 1);
}

/* Where new code wrote outlasts the beginning of a rollback, and orders after it, until one is at its end. */
void mark_of_the_switch_rises_with_a_rollback_and_falls_at_its_end(void **state)
{
    struct rig *r = *state;
    r->goal_phase = 3;
    accepted(r);
    r->switched_phase = 3;
    begin_undo(r, 5, 1, 1000);
    assert_int_equal(r->row.switched_phase, 3);
    r->mode = ZDM_MODE_RUN;
    agent_result_free(rig_try_accept(r, 1, 5, 1, 5)); /* given up */
    rig_reload(r);
    assert_int_equal(r->row.switched_phase, 3);
    r->switched_phase = 2;
    begin_undo(r, 6, 0, 2000);
    assert_int_equal(r->row.switched_phase, 3); /* it never falls by itself */
    r->to_phase = 1;
    rig_run(r, AGENT_RUN_UNDO_END, 0, AGENT_OK);
    rig_run(r, AGENT_RUN_UNDO_END, 0, AGENT_OK); /* its answer was lost */
    assert_int_equal(r->row.switched_phase, 1);
    r->to_phase = 2;
    rig_run(r, AGENT_RUN_UNDO_END, 0, AGENT_OK);
    rig_reload(r);
    assert_int_equal(r->row.switched_phase, 1);
    forge_plan(r);
    rig_accept(r, 9);
    assert_int_equal(r->row.switched_phase, 0); /* another plan of the same id, which was not amended */
    struct zdm_fence mine = r->fence;
    agent_result_free(rig_try_accept(r, 2, 1, 2, 9));
    r->fence = mine;
    rig_run(r, AGENT_RUN_UNDO_END, 0, AGENT_FENCED);
}

void another_plan_of_the_same_id_begins_at_its_own_goal(void **state)
{
    struct rig *r = *state;
    r->goal_phase = 3;
    accepted(r);
    forge_plan(r);
    r->goal_phase = 1;
    rig_accept(r, 2);
    rig_reload(r);
    assert_int_equal(r->row.reached_phase, 1);
}

void rollback_over_a_purge_is_refused(void **state)
{
    struct rig *r = *state;
    accepted(r);
    rig_step(r, 1)->kind = ZDM_STEP_PURGE;
    rig_step(r, 1)->column = strdup("name");
    rig_run(r, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    nonce(&r->undo_nonce, 5);
    rig_refused(r, AGENT_RUN_UNDO_BEGIN, 0, "there is no way back");
    assert_int_equal(spent(r, "true"), 0);
}

void spending_is_fenced(void **state)
{
    struct rig *r = *state;
    accepted(r);
    struct zdm_fence mine = r->fence;
    agent_result_free(rig_try_accept(r, 2, 1, 2, 9));
    r->fence = mine;
    approve(r, 2, 10, 1);
    rig_run(r, AGENT_RUN_SPEND_APPROVALS, 0, AGENT_FENCED);
    nonce(&r->undo_nonce, 5);
    rig_run(r, AGENT_RUN_UNDO_BEGIN, 0, AGENT_FENCED);
    assert_int_equal(spent(r, "true"), 0);
}

void plan_signed_anew_replaces_its_envelope(void **state)
{
    struct rig *r = *state;
    accepted(r);
    char forged[64];
    rig_bytes(r, forged, sizeof forged, 64);
    rig_super(r, "UPDATE zdm.plan SET signature = %s WHERE %s", forged, rig_home(r));
    rig_accept(r, 2);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM zdm.plan WHERE %s AND signature <> %s", rig_home(r), forged),
                     1);
}
