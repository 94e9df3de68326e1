/*
 * suite.c - what the core may rely on, case by case (suite.h).
 */
#include "tests/contract/engine/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/contract/engine/world.h"

static struct agent *connected(void **state)
{
    struct world *world = *state;
    agent_result_free(connect_engine(&world->first));
    return &world->first;
}

static struct agent *accepted(void **state)
{
    struct agent *a = connected(state);
    accept_plan(a, 1);
    return a;
}

/* Another process with this agent's key. */
static struct agent *another(void **state)
{
    struct world *world = *state;
    open_engine(&world->second);
    agent_result_free(connect_engine(&world->second));
    return &world->second;
}

static void accept_is(struct agent *a, uint64_t epoch, uint64_t generation, uint8_t instance, uint8_t digest,
                      const char *expected)
{
    struct agent_result *result = accept_as(a, epoch, generation, instance, digest);
    assert_string_equal(agent_outcome_name(result->outcome), expected);
    agent_result_free(result);
}

/* The journal as a process that has just started reads it; freed by the caller. */
static struct agent_result *read_journal(void **state)
{
    struct world *world = *state;
    if (world->second.engine.ops == NULL) {
        open_engine(&world->second);
    }
    return connect_engine(&world->second);
}

/* ---- Connecting ---- */

static void connect_says_who_the_server_is_and_what_it_can(void **state)
{
    struct world *world = *state;
    struct agent_result *one = connect_engine(&world->first), *two = connect_engine(&world->first);
    assert_true(one->connected && one->writable);
    assert_int_equal(one->engine, world->backend->engine);
    assert_true(one->capabilities != 0);
    assert_string_not_equal(one->identity, "");
    assert_string_not_equal(one->server_version, "");
    assert_string_equal(one->identity, two->identity);
    assert_int_equal(one->n_journals, 0);
    assert_int_equal(one->kind, AGENT_OP_CONNECT);
    agent_result_free(one);
    agent_result_free(two);
}

static void nothing_is_done_before_a_connect(void **state)
{
    struct world *world = *state;
    struct agent *a = &world->first;
    const struct agent_op look = op_of(a, AGENT_OP_INSPECT, AGENT_RUN_NONE, ADDS);
    outcome_is(a, &look, AGENT_RETRY);
    run_is(a, AGENT_RUN_DDL, ADDS, AGENT_RETRY);
    assert_int_equal(number_of(a, world->backend->columns), 0);
}

static void signals_say_the_role(void **state)
{
    struct agent *a = connected(state);
    const struct agent_op op = op_of(a, AGENT_OP_SIGNALS, AGENT_RUN_NONE, 0);
    struct agent_result *result = perform(a, &op);
    assert_string_equal(agent_outcome_name(result->outcome), "ok");
    assert_true(result->writable);
    assert_string_not_equal(result->identity, "");
    assert_int_equal(result->n_hidden, 0);
    agent_result_free(result);
}

/* ---- The journal ---- */

static void plan_is_stored_once_and_its_envelope_may_be_signed_anew(void **state)
{
    struct agent *a = connected(state);
    struct zdm_envelope envelope = {.bytes = (uint8_t[]){9, 8, 7}, .len = 3};
    static const enum agent_outcome expected[] = {AGENT_OK, AGENT_ALREADY, AGENT_OK};
    for (size_t i = 0; i < 3; i++) {
        struct agent_op op = op_of(a, AGENT_OP_STORE_PLAN, AGENT_RUN_NONE, 0);
        envelope.signature[0] = i == 2 ? 1 : 0;
        op.envelope = &envelope;
        op.digest = a->world->plan->hash;
        outcome_is(a, &op, expected[i]);
    }
}

static void directive_that_rises_is_accepted_and_the_same_again_is_no_news(void **state)
{
    struct agent *a = connected(state);
    accept_is(a, 2, 10, 1, 1, "ok");
    accept_is(a, 2, 10, 1, 1, "already");
    accept_is(a, 2, 10, 1, 2, "fenced");
    accept_is(a, 2, 9, 1, 1, "fenced");
    accept_is(a, 2, 11, 9, 1, "fenced"); /* an epoch has one instance */
    accept_is(a, 1, 99, 1, 1, "fenced");
    accept_is(a, 2, 11, 1, 3, "ok");
    accept_is(a, 3, 5, 9, 4, "ok");
}

static void journal_is_read_back_by_a_process_that_has_just_started(void **state)
{
    struct agent *a = accepted(state);
    run_is(a, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    struct agent_result *result = read_journal(state);
    assert_int_equal(result->n_journals, 1);
    const struct agent_journal *j = &result->journals[0];
    assert_string_equal(j->migration, a->world->plan->id);
    assert_true(zdm_fence_equal(&j->accepted, &a->fence));
    assert_true(zdm_hash_equal(&j->plan_hash, &a->world->plan->hash));
    assert_int_equal(j->plan.len, 3);
    assert_memory_equal(j->plan.bytes, ((const uint8_t[]){9, 8, 7}), 3);
    assert_int_equal(j->directive.len, 3);
    assert_memory_equal(j->directive.bytes, ((const uint8_t[]){1, 2, 3}), 3);
    assert_int_equal(j->step, 2);
    assert_null(j->cursor);
    assert_false(j->walked);
    assert_int_equal(j->failed_attempt, 0);
    agent_result_free(result);
}

static void step_goes_on_and_back(void **state)
{
    struct agent *a = accepted(state);
    run_is(a, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    assert_int_equal(a->journal_step, 2);
    run_is(a, AGENT_RUN_STEP_BACK, 1, AGENT_OK);
    assert_int_equal(a->journal_step, 1);
    a->journal_step = 2; /* what it believed before */
    run_is(a, AGENT_RUN_STEP_DONE, 2, AGENT_FENCED);
    a->journal_step = 1;
    run_is(a, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
}

static void stop_is_durable_and_ends_the_attempt_for_every_process(void **state)
{
    struct agent *a = accepted(state);
    struct agent *b = another(state);
    b->fence = a->fence;
    run_is(a, AGENT_RUN_STOP, 1, AGENT_OK);
    run_is(b, AGENT_RUN_STEP_DONE, 1, AGENT_FENCED);
    run_is(b, AGENT_RUN_DDL, ADDS, AGENT_FENCED);
    assert_int_equal(number_of(a, a->world->backend->columns), 0);
    run_is(b, AGENT_RUN_STOP, 1, AGENT_OK); /* its own failure is the same one */
    struct agent_result *result = read_journal(state);
    assert_int_equal(result->journals[0].failed_attempt, 1);
    assert_int_equal(result->journals[0].failed_step, 1);
    assert_int_equal(result->journals[0].failed_code, ZDM_DATABASE);
    assert_string_equal(result->journals[0].failed_text, "it broke");
    agent_result_free(result);
    a->attempt = 2;
    run_is(a, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
}

static void whoever_lost_the_fence_changes_nothing(void **state)
{
    struct agent *a = accepted(state);
    struct agent *b = another(state);
    accept_is(b, 1, 2, 1, 2, "ok");
    run_is(a, AGENT_RUN_STEP_DONE, 1, AGENT_FENCED);
    run_is(a, AGENT_RUN_STEP_BACK, 1, AGENT_FENCED);
    run_is(a, AGENT_RUN_STOP, 1, AGENT_FENCED);
    run_is(a, AGENT_RUN_DDL, ADDS, AGENT_FENCED);
    assert_int_equal(number_of(a, a->world->backend->columns), 0);
    struct agent_result *result = read_journal(state);
    assert_int_equal(result->journals[0].step, 1);
    assert_int_equal(result->journals[0].failed_attempt, 0);
    agent_result_free(result);
}

/* Each believes the same; one of the two moves, whoever is first. */
static void one_of_two_processes_moves_the_journal(void **state)
{
    struct agent *a = accepted(state);
    struct agent *b = another(state);
    b->fence = a->fence;
    for (uint32_t step = 1; step < STEPS; step++) {
        const struct agent_op op_a = op_of(a, AGENT_OP_RUN, AGENT_RUN_STEP_BACK, step + 1);
        const struct agent_op op_b = op_of(b, AGENT_OP_RUN, AGENT_RUN_STEP_BACK, step + 1);
        uint64_t id_a = begin(a, &op_a), id_b = begin(b, &op_b);
        struct agent_result *result_a = await(a, id_a), *result_b = await(b, id_b);
        bool won_a = result_a->outcome == AGENT_OK, won_b = result_b->outcome == AGENT_OK;
        assert_true(won_a != won_b);
        assert_int_equal((won_a ? result_b : result_a)->outcome, AGENT_FENCED);
        agent_result_free(result_a);
        agent_result_free(result_b);
        a->journal_step = b->journal_step = step + 1;
    }
}

/* Nobody has accepted anything yet: both want to make the row. The newer one stays, whoever is first. */
static void two_processes_accept_at_once(void **state)
{
    struct agent *a = connected(state);
    struct agent *b = another(state);
    uint64_t older = begin_accept(a, 1, 1, 1, 1), newer = begin_accept(b, 1, 2, 1, 2);
    struct agent_result *result_a = await(a, older), *result_b = await(b, newer);
    assert_string_equal(agent_outcome_name(result_b->outcome), "ok");
    assert_true(result_a->outcome == AGENT_OK || result_a->outcome == AGENT_FENCED);
    agent_result_free(result_a);
    agent_result_free(result_b);
    struct agent_result *journal = read_journal(state);
    assert_int_equal(journal->n_journals, 1);
    assert_int_equal(journal->journals[0].accepted.generation, 2);
    agent_result_free(journal);
}

static void signatures_count_once(void **state)
{
    struct agent *a = accepted(state);
    struct agent_spend spend = {.issued_at_ms = 1000};
    memset(spend.nonce.bytes, 7, sizeof spend.nonce.bytes);
    static const enum agent_outcome expected[] = {AGENT_OK, AGENT_ALREADY, AGENT_FAIL};
    for (uint32_t i = 0; i < 3; i++) {
        struct agent_op op = op_of(a, AGENT_OP_RUN, AGENT_RUN_SPEND_APPROVALS, 0);
        op.spend = &spend;
        op.n_spend = 1;
        op.spend_phase = i == 2 ? 3 : 2;
        struct agent_result *result = perform(a, &op);
        assert_string_equal(agent_outcome_name(result->outcome), agent_outcome_name(expected[i]));
        assert_int_equal(result->spent_before, i == 2 ? 1 : 0);
        agent_result_free(result);
    }
}

/* ---- Looks and changes ---- */

static void look_is(struct agent *a, uint32_t step, enum agent_outcome outcome, enum agent_proof proof)
{
    const struct agent_op op = op_of(a, AGENT_OP_INSPECT, AGENT_RUN_NONE, step);
    struct agent_result *result = perform(a, &op);
    assert_string_equal(agent_outcome_name(result->outcome), agent_outcome_name(outcome));
    assert_string_equal(agent_proof_name(result->proof), agent_proof_name(proof));
    agent_result_free(result);
}

static void change_is_made_once_and_found_done(void **state)
{
    struct agent *a = accepted(state);
    run_is(a, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    look_is(a, ADDS, AGENT_OK, AGENT_PROOF_NOT_DONE);
    run_is(a, AGENT_RUN_DDL, ADDS, AGENT_OK);
    assert_int_equal(a->journal_step, ADDS + 1);
    assert_int_equal(number_of(a, a->world->backend->columns), 1);
    look_is(a, ADDS, AGENT_OK, AGENT_PROOF_DONE);
    run_is(a, AGENT_RUN_DDL, ADDS, AGENT_ALREADY); /* a repair: the journal is past it */
    assert_int_equal(a->journal_step, ADDS + 1);
}

static void what_the_look_needs_and_is_not_there_is_absent(void **state)
{
    struct agent *a = accepted(state);
    look_is(a, NOWHERE, AGENT_ABSENT, AGENT_PROOF_NONE);
}

static void step_that_the_plan_does_not_have_is_our_own_mistake(void **state)
{
    struct agent *a = accepted(state);
    look_is(a, 99, AGENT_BUG, AGENT_PROOF_NONE);
    run_is(a, AGENT_RUN_NONE, 1, AGENT_BUG);
}

/* ---- Cancelling, limits, lost connections ---- */

static void cancelled(struct agent *a, uint64_t op)
{
    struct agent_result *result = await(a, op);
    assert_string_equal(agent_outcome_name(result->outcome), "retry");
    assert_int_equal(result->error.code, ZDM_CANCELLED);
    agent_result_free(result);
}

static void running_and_waiting_operations_are_cancelled(void **state)
{
    struct agent *a = accepted(state);
    int64_t begun_ms = now_ms();
    uint64_t running = begin_sleep(a, 1);
    const struct agent_op look = op_of(a, AGENT_OP_INSPECT, AGENT_RUN_NONE, ADDS);
    uint64_t waiting = begin(a, &look);
    a->engine.ops->cancel(a->engine.self, waiting);
    a->engine.ops->cancel(a->engine.self, running);
    a->engine.ops->cancel(a->engine.self, 99999);
    cancelled(a, running);
    cancelled(a, waiting);
    assert_true(now_ms() - begun_ms < 15000);
    look_is(a, ADDS, AGENT_OK, AGENT_PROOF_NOT_DONE); /* the lane goes on */
    assert_int_equal(number_of(a, a->world->backend->sleepers), 0);
}

static void attempt_ends_at_its_time_limit(void **state)
{
    struct agent *a = accepted(state);
    int64_t begun_ms = now_ms();
    a->time_limit_ms = 500;
    const struct agent_op op = op_of(a, AGENT_OP_RUN, AGENT_RUN_CHECK_CHUNK, SLEEPS);
    struct agent_result *result = perform(a, &op);
    assert_true(result->outcome == AGENT_RETRY || result->outcome == AGENT_LOCK);
    assert_true(now_ms() - begun_ms < 10000);
    agent_result_free(result);
    assert_int_equal(number_of(a, a->world->backend->sleepers), 0);
}

static void lanes_do_not_wait_for_each_other(void **state)
{
    struct agent *a = accepted(state);
    uint64_t long_one = begin_sleep(a, 1);
    int64_t begun_ms = now_ms();
    struct agent_op look = op_of(a, AGENT_OP_INSPECT, AGENT_RUN_NONE, ADDS);
    look.lane = 2;
    outcome_is(a, &look, AGENT_OK);
    const struct agent_op signals = op_of(a, AGENT_OP_SIGNALS, AGENT_RUN_NONE, 0);
    outcome_is(a, &signals, AGENT_OK);
    accept_is(a, 1, 2, 1, 2, "ok");
    assert_true(now_ms() - begun_ms < 10000);
    assert_int_equal(number_of(a, a->world->backend->sleepers), 1);
    a->engine.ops->cancel(a->engine.self, long_one);
    cancelled(a, long_one);
}

static void lost_connection_is_a_retry_and_the_next_operation_opens_another(void **state)
{
    struct agent *a = accepted(state);
    uint64_t running = begin_sleep(a, 1);
    a->world->backend->cut();
    struct agent_result *result = await(a, running);
    assert_string_equal(agent_outcome_name(result->outcome), "retry");
    agent_result_free(result);
    look_is(a, ADDS, AGENT_OK, AGENT_PROOF_NOT_DONE);
    run_is(a, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
}

/* After a restart the core has to ask before it acts: nothing moves until it has connected anew. */
static void server_that_was_restarted_is_another_one_until_connect(void **state)
{
    struct agent *a = accepted(state);
    if (a->world->backend->restart == NULL) {
        print_message("%s: not ours to restart\n", a->world->backend->name);
        skip();
    }
    struct agent_result *before = connect_engine(a);
    a->world->backend->restart();
    run_is(a, AGENT_RUN_STEP_DONE, 1, AGENT_RETRY);
    run_is(a, AGENT_RUN_STEP_DONE, 1, AGENT_RETRY);
    struct agent_result *after = connect_engine(a);
    assert_string_not_equal(before->identity, after->identity);
    assert_int_equal(after->journals[0].step, 1);
    run_is(a, AGENT_RUN_STEP_DONE, 1, AGENT_OK);
    agent_result_free(before);
    agent_result_free(after);
}

/* ---- Each operation taken gets one result ---- */

static void operations_of_a_lane_come_back_in_their_order(void **state)
{
    struct agent *a = accepted(state);
    uint64_t ops[6];
    for (uint32_t i = 0; i < 6; i++) {
        /* Each is fenced unless the one before it was carried out. */
        struct agent_op op = op_of(a, AGENT_OP_RUN, AGENT_RUN_STEP_BACK, i % 2 == 0 ? 2 : 1);
        op.journal_step = i % 2 == 0 ? 1 : 2;
        ops[i] = begin(a, &op);
    }
    for (size_t i = 0; i < 6; i++) {
        struct agent_result *result = await(a, ops[i]);
        assert_string_equal(agent_outcome_name(result->outcome), "ok");
        agent_result_free(result);
    }
}

static void full_lane_and_unknown_lane_are_refused_without_a_result(void **state)
{
    struct agent *a = accepted(state);
    struct zdm_error err = ZDM_ERROR_INIT;
    uint64_t running = begin_sleep(a, 1), last = 0;
    enum zdm_code code = ZDM_OK;
    while (code == ZDM_OK && a->world->next_op < RESULTS_MAX - 2) {
        const struct agent_op op = op_of(a, AGENT_OP_INSPECT, AGENT_RUN_NONE, ADDS);
        code = a->engine.ops->start(a->engine.self, &op, &err);
        last = op.id;
    }
    assert_int_equal(code, ZDM_FULL);
    struct agent_op op = op_of(a, AGENT_OP_INSPECT, AGENT_RUN_NONE, ADDS);
    op.lane = AGENT_LANE_SURVEY + 1;
    assert_int_equal(a->engine.ops->start(a->engine.self, &op, &err), ZDM_LIMIT);
    a->engine.ops->cancel(a->engine.self, running);
    cancelled(a, running);
    agent_result_free(await(a, last - 1));
    close_engine(a);
    assert_int_equal(a->answers[last], 0);
    assert_int_equal(a->answers[op.id], 0);
}

static void closing_gives_each_operation_its_one_result(void **state)
{
    struct agent *a = accepted(state);
    uint64_t first = a->world->next_op;
    uint64_t sleeping[] = {begin_sleep(a, 1), begin_sleep(a, 2), begin_sleep(a, 3)};
    for (unsigned i = 0; i < 9; i++) {
        struct agent_op op = op_of(a, AGENT_OP_INSPECT, AGENT_RUN_NONE, ADDS);
        op.lane = 1 + i % 4;
        begin(a, &op);
    }
    int64_t begun_ms = now_ms();
    a->engine.ops->cancel(a->engine.self, sleeping[1]);
    a->engine.ops->close(a->engine.self);
    a->engine = (struct agent_engine){0};
    assert_true(now_ms() - begun_ms < 15000);
    for (uint64_t op = first; op < a->world->next_op; op++) {
        assert_int_equal(a->answers[op], 1);
        assert_true(a->results[op]->outcome == AGENT_OK || a->results[op]->error.code == ZDM_CANCELLED);
    }
}

static void every_operation_gets_one_result_whatever_is_cancelled(void **state)
{
    struct agent *a = accepted(state);
    unsigned seed = 5;
    uint64_t first = a->world->next_op;
    for (unsigned i = 0; i < 120; i++) {
        static const enum agent_op_kind kinds[] = {AGENT_OP_INSPECT, AGENT_OP_RUN, AGENT_OP_SIGNALS};
        enum agent_op_kind kind = kinds[(unsigned)rand_r(&seed) % 3];
        struct agent_op op = op_of(a, kind, kind == AGENT_OP_RUN ? AGENT_RUN_CHECK_CHUNK : AGENT_RUN_NONE, QUICK);
        op.lane = kind == AGENT_OP_SIGNALS ? 0 : 1 + (unsigned)rand_r(&seed) % 3;
        struct zdm_error err = ZDM_ERROR_INIT;
        enum zdm_code code = a->engine.ops->start(a->engine.self, &op, &err);
        assert_true(code == ZDM_OK || code == ZDM_FULL);
        if (code == ZDM_FULL) {
            a->answers[op.id] = 1; /* none is to come */
        }
        a->engine.ops->cancel(a->engine.self, first + (unsigned)rand_r(&seed) % (i + 1));
    }
    a->engine.ops->close(a->engine.self);
    a->engine = (struct agent_engine){0};
    for (uint64_t op = first; op < a->world->next_op; op++) {
        assert_int_equal(a->answers[op], 1);
    }
}

/* ---- */

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int run_suite(const struct backend *backend)
{
    const struct CMUnitTest tests[] = {
        CASE(connect_says_who_the_server_is_and_what_it_can),
        CASE(nothing_is_done_before_a_connect),
        CASE(signals_say_the_role),
        CASE(plan_is_stored_once_and_its_envelope_may_be_signed_anew),
        CASE(directive_that_rises_is_accepted_and_the_same_again_is_no_news),
        CASE(journal_is_read_back_by_a_process_that_has_just_started),
        CASE(step_goes_on_and_back),
        CASE(stop_is_durable_and_ends_the_attempt_for_every_process),
        CASE(whoever_lost_the_fence_changes_nothing),
        CASE(one_of_two_processes_moves_the_journal),
        CASE(two_processes_accept_at_once),
        CASE(signatures_count_once),
        CASE(change_is_made_once_and_found_done),
        CASE(what_the_look_needs_and_is_not_there_is_absent),
        CASE(step_that_the_plan_does_not_have_is_our_own_mistake),
        CASE(running_and_waiting_operations_are_cancelled),
        CASE(attempt_ends_at_its_time_limit),
        CASE(lanes_do_not_wait_for_each_other),
        CASE(lost_connection_is_a_retry_and_the_next_operation_opens_another),
        CASE(server_that_was_restarted_is_another_one_until_connect),
        CASE(operations_of_a_lane_come_back_in_their_order),
        CASE(full_lane_and_unknown_lane_are_refused_without_a_result),
        CASE(closing_gives_each_operation_its_one_result),
        CASE(every_operation_gets_one_result_whatever_is_cancelled),
    };
    world_use(backend);
    backend->start();
    int failures = cmocka_run_group_tests_name(backend->name, tests, NULL, NULL);
    backend->stop();
    return failures;
}
