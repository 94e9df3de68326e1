/*
 * test_driver.c - the whole agent but for its database and its network: joining, orders, plans, trust, reconnects, log.
 * What it refuses is in test_refusals.c.
 */
#include "tests/unit/agent_app/bench.h"

#include <stdlib.h>
#include <string.h>

#include "agent/net/join.h"
#include "agent/net/link.h"
#include "common/os/crypto.h"

static enum agent_join_state join_with(struct fake_fleet *fleet, struct zdm_error *err)
{
    enum agent_join_state state;
    const struct agent_join_config config = {.clock = &fleet->clock,
                                             .random = &fleet->random,
                                             .crypto = fleet->crypto,
                                             .key = &fleet->agent,
                                             .token = &fleet->token,
                                             .release = "0.1.0"};
    struct agent_join *join = agent_join_new(&config);
    const struct zdm_net_upcalls upcalls = agent_join_net_upcalls(join);
    loop_net_upcalls(fleet->loop, false, &upcalls);
    agent_join_attach(join, loop_net_end(fleet->loop, false));
    while ((state = agent_join_turn(join, err)) == AGENT_JOIN_PENDING)
        if (!loop_net_pump(fleet->loop))
            fleet->now_ms += 1000;
    if (state == AGENT_JOIN_DONE)
        assert_int_equal(agent_join_chain(join)->trust.version, fleet->chain.trust.version);
    agent_join_free(join);
    while (loop_net_pump(fleet->loop))
        ;
    return state;
}

static void agent_joins_takes_an_order_fetches_the_plan_and_reaches_the_goal(void **state)
{
    struct bench *b = *state;
    struct zdm_error err;
    b->fleet->knows_agent = false;
    assert_int_equal(join_with(b->fleet, &err), AGENT_JOIN_DONE);
    assert_true(b->fleet->knows_agent);
    bench_start(b);
    bench_order(b, 10, ZDM_MODE_RUN, 1);
    bench_run(b, 5000);
    assert_true(b->fleet->plan_requests > 3); /* in pieces */
    assert_int_equal(bench_said(b)->state, ZDM_AGENT_RESTING);
    assert_int_equal(bench_said(b)->proven_phase, 1);
    assert_int_equal(b->engine.runs[AGENT_RUN_DDL], 2);
    assert_string_equal(b->fleet->report.release, "0.1.0");
    assert_int_equal(b->fleet->report.trust_version, 1);
    bench_order(b, 11, ZDM_MODE_RUN, 2);
    bench_run(b, 15000);
    assert_int_equal(bench_said(b)->proven_phase, 2);
    assert_int_equal(b->errors, 0);
}

static void token_of_another_trust_file_is_refused_before_the_secret_is_sent(void **state)
{
    struct bench *b = *state;
    struct zdm_error err;
    b->fleet->knows_agent = false;
    b->fleet->token.trust_hash.bytes[0] ^= 1;
    assert_int_equal(join_with(b->fleet, &err), AGENT_JOIN_FAILED);
    assert_int_equal(err.code, ZDM_AUTH);
    assert_int_equal(b->fleet->joins, 0);
}

static void coordinator_without_the_key_of_the_trust_file_gets_no_secret(void **state)
{
    struct bench *b = *state;
    struct zdm_error err;
    b->fleet->knows_agent = false;
    b->fleet->coordinator = b->fleet->stranger;
    assert_int_equal(join_with(b->fleet, &err), AGENT_JOIN_FAILED);
    assert_int_equal(b->fleet->joins, 0);
}

static void spent_token_is_refused_with_words(void **state)
{
    struct bench *b = *state;
    struct zdm_error err;
    b->fleet->knows_agent = false;
    b->fleet->spent = true;
    assert_int_equal(join_with(b->fleet, &err), AGENT_JOIN_FAILED);
    assert_string_equal(err.message, "coordinator refused: no such enrolment");
}

static void enrolment_of_another_shard_than_the_tokens_is_refused(void **state)
{
    struct bench *b = *state;
    struct zdm_error err;
    b->fleet->knows_agent = false;
    zdm_copy_text(b->fleet->token.shard, sizeof b->fleet->token.shard, "shard-2");
    assert_int_equal(join_with(b->fleet, &err), AGENT_JOIN_FAILED);
    assert_non_null(strstr(err.message, "shard-1"));
}

static void coordinator_that_cannot_be_reached_is_said_with_a_hint(void **state)
{
    struct bench *b = *state;
    struct zdm_error err;
    loop_net_refuse(b->fleet->loop, true);
    assert_int_equal(join_with(b->fleet, &err), AGENT_JOIN_FAILED);
    assert_int_equal(err.code, ZDM_UNAVAILABLE);
    assert_true(err.hint[0] != '\0');
}

static void lost_connection_is_dialled_again_at_the_next_url(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    bench_order(b, 10, ZDM_MODE_RUN, 1);
    bench_run(b, 5000);
    loop_net_cut(b->fleet->loop);
    loop_net_refuse(b->fleet->loop, true);
    bench_run(b, 20000);
    loop_net_refuse(b->fleet->loop, false);
    unsigned before = b->fleet->reports;
    bench_run(b, 15000);
    assert_true(b->fleet->reports > before);
    bench_order(b, 11, ZDM_MODE_RUN, 2);
    bench_run(b, 15000);
    assert_int_equal(bench_said(b)->proven_phase, 2);
}

static void coordinator_that_was_restarted_is_found_within_seconds(void **state)
{
    enum { DOWN_MS = 40000, FOUND_MS = 3500 };
    struct bench *b = *state;
    bench_start(b);
    bench_run(b, 2000);
    loop_net_cut(b->fleet->loop);
    loop_net_refuse(b->fleet->loop, true);
    bench_run(b, DOWN_MS);
    loop_net_refuse(b->fleet->loop, false);
    unsigned before = b->fleet->reports;
    bench_run(b, FOUND_MS);
    assert_true(b->fleet->reports > before);
    const char *first = strstr(zdm_buffer_text(&b->log), "could not reach");
    assert_non_null(first);
    assert_null(strstr(first + 1, "could not reach")); /* once is enough */
}

static void log_says_what_it_is_about_and_names_the_steps(void **state)
{
    static const char *const lines[] = {
        "connected to the coordinator url=tcp://first:1\n",
        "directive accepted migration=rename epoch=1 generation=10\n",
        "step begun migration=rename step=1.1 add-column users\n",
        "step begun migration=rename step=1.2 add-column users\n",
        "phase done migration=rename phase=1\n",
    };
    struct bench *b = *state;
    bench_settle(b);
    const char *log = zdm_buffer_text(&b->log);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (strstr(log, lines[i]) == NULL)
            fail_msg("\"%s\" is not in\n%s", lines[i], log);
    assert_null(strstr(log, "cannot be reached"));
}

static void silent_coordinator_is_given_up(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    bench_run(b, 1000);
    zdm_conn before = b->fleet->conn;
    for (int i = 0; i < AGENT_SILENCE_MS / 1000 + 5; i++) {
        b->fleet->conn = 0; /* the coordinator hears nothing of this connection any more */
        bench_run(b, 1000);
        if (b->fleet->conn != 0)
            break;
    }
    assert_true(b->fleet->conn > before);
}

static void newer_trust_file_is_taken_over_and_kept(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    bench_run(b, 1000);
    fake_fleet_new_trust(b->fleet);
    fake_fleet_send_trust(b->fleet, 1);
    bench_run(b, 1000);
    assert_int_equal(agent_driver_trust_version(b->driver), 2);
    assert_true(b->saved.len > 0);
    bench_run(b, 11000);
    assert_int_equal(b->fleet->report.trust_version, 2);
}

static void trust_file_that_is_behind_is_asked_for_when_the_coordinator_says_so(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    fake_fleet_new_trust(b->fleet);
    bench_run(b, 3000);
    assert_int_equal(agent_driver_trust_version(b->driver), 2);
}

static void restarted_agent_goes_on_from_its_journal_when_it_is_confirmed(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    bench_order(b, 10, ZDM_MODE_RUN, 1);
    bench_run(b, 5000);
    agent_driver_free(b->driver);
    loop_net_hang_up(b->fleet->loop, false);
    b->engine.n = 0;
    unsigned requests = b->fleet->plan_requests;
    bench_start(b);
    bench_run(b, 5000);
    assert_int_equal(bench_said(b)->state, ZDM_AGENT_RESTING);
    assert_int_equal(bench_said(b)->proven_phase, 1);
    assert_int_equal(b->engine.runs[AGENT_RUN_DDL], 2);
    assert_int_equal(b->fleet->plan_requests, requests); /* the plan came from the journal */
    assert_int_equal(b->errors, 0);
}

static void operation_that_the_engine_has_no_room_for_is_tried_again(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    b->engine.refuse_starts = true;
    bench_order(b, 10, ZDM_MODE_RUN, 1);
    bench_run(b, 3000);
    b->engine.refuse_starts = false;
    bench_run(b, 20000);
    assert_int_equal(bench_said(b)->proven_phase, 1);
}

int main(void)
{
    struct zdm_error err;
    const struct CMUnitTest tests[] = {
        BENCH_TEST(agent_joins_takes_an_order_fetches_the_plan_and_reaches_the_goal),
        BENCH_TEST(token_of_another_trust_file_is_refused_before_the_secret_is_sent),
        BENCH_TEST(coordinator_without_the_key_of_the_trust_file_gets_no_secret),
        BENCH_TEST(spent_token_is_refused_with_words),
        BENCH_TEST(enrolment_of_another_shard_than_the_tokens_is_refused),
        BENCH_TEST(coordinator_that_cannot_be_reached_is_said_with_a_hint),
        BENCH_TEST(lost_connection_is_dialled_again_at_the_next_url),
        BENCH_TEST(coordinator_that_was_restarted_is_found_within_seconds),
        BENCH_TEST(log_says_what_it_is_about_and_names_the_steps),
        BENCH_TEST(silent_coordinator_is_given_up),
        BENCH_TEST(newer_trust_file_is_taken_over_and_kept),
        BENCH_TEST(trust_file_that_is_behind_is_asked_for_when_the_coordinator_says_so),
        BENCH_TEST(restarted_agent_goes_on_from_its_journal_when_it_is_confirmed),
        BENCH_TEST(operation_that_the_engine_has_no_room_for_is_tried_again),
    };
    if (zdm_crypto_start(&err) != ZDM_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
