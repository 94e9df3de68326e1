/*
 * test_driver.c - the whole agent but for its database and its network: joining, orders, plans, trust; and what it
 * refuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/app/driver.h"
#include "agent/net/join.h"
#include "agent/net/link.h"
#include "common/os/crypto.h"
#include "tests/unit/agent_app/fake_engine.h"
#include "tests/unit/agent_app/fake_fleet.h"

struct bench {
    struct fake_fleet *fleet;
    struct fake_engine engine;
    struct agent_driver *driver;
    struct zdm_buffer saved; /* trust */
    unsigned errors;         /* notices of that level */
    struct zdm_buffer log;   /* all of them, a line each */
};

static void notice(void *ctx, const struct agent_note *note)
{
    struct bench *b = ctx;
    assert_true(note->message[0] != '\0');
    b->errors += note->level == ZDM_LOG_ERROR;
    zdm_buffer_printf(&b->log, "%s", note->message);
    for (size_t i = 0; i < AGENT_NOTE_PAIRS && note->pairs[i].key != NULL; i++) {
        assert_true(note->pairs[i].value[0] != '\0');
        zdm_buffer_printf(&b->log, " %s=%s", note->pairs[i].key, note->pairs[i].value);
    }
    zdm_buffer_puts(&b->log, "\n");
}

static bool save_trust(void *ctx, const void *bytes, size_t n)
{
    struct bench *b = ctx;
    zdm_buffer_reset(&b->saved);
    zdm_buffer_append(&b->saved, bytes, n);
    return true;
}

static void start_driver(struct bench *b)
{
    static const char *const urls[] = {"tcp://first:1", "tcp://second:2"};
    struct fake_fleet *fleet = b->fleet;
    struct zdm_buffer trust = ZDM_BUFFER_INIT, enrolment = ZDM_BUFFER_INIT;
    struct zdm_error err;
    zdm_trust_chain_write(&fleet->chain, &trust);
    zdm_envelope_flatten(&fleet->enrolment, &enrolment);
    struct agent_driver_config config = {.clock = &fleet->clock,
                                         .random = &fleet->random,
                                         .crypto = fleet->crypto,
                                         .key = &fleet->agent,
                                         .trust = trust.data,
                                         .trust_n = trust.len,
                                         .enrolment = enrolment.data,
                                         .enrolment_n = enrolment.len,
                                         .urls = urls,
                                         .n_urls = 2,
                                         .engine = fake_engine_seam(&b->engine),
                                         .next_result = fake_engine_next,
                                         .results = &b->engine,
                                         .release = "0.1.0",
                                         .save_trust = save_trust,
                                         .notice = notice,
                                         .ctx = b};
    agent_core_config_default(&config.core);
    if (agent_driver_new(&config, &b->driver, &err) != ZDM_OK)
        fail_msg("%s", err.message);
    zdm_buffer_fini(&trust);
    zdm_buffer_fini(&enrolment);
    const struct zdm_net_upcalls upcalls = agent_driver_upcalls(b->driver);
    loop_net_upcalls(fleet->loop, false, &upcalls);
    agent_driver_start(b->driver, loop_net_end(fleet->loop, false));
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    b->fleet = fake_fleet_new();
    b->fleet->knows_agent = true;
    fake_engine_init(&b->engine);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    agent_driver_free(b->driver);
    fake_engine_fini(&b->engine);
    fake_fleet_free(b->fleet);
    zdm_buffer_fini(&b->saved);
    zdm_buffer_fini(&b->log);
    free(b);
    return 0;
}

static void run(struct bench *b, int64_t ms)
{
    int64_t end = b->fleet->now_ms + ms;
    while (b->fleet->now_ms < end) {
        int64_t wake = agent_driver_turn(b->driver);
        if (loop_net_pump(b->fleet->loop) || b->engine.n > 0)
            continue;
        int64_t next = wake > b->fleet->now_ms ? wake : b->fleet->now_ms + 1;
        b->fleet->now_ms = next < end ? next : end;
    }
}

static void order(struct bench *b, uint64_t generation, enum zdm_mode mode, uint32_t goal)
{
    fake_fleet_order(b->fleet, &b->fleet->coordinator, generation, mode, goal, "shard-1");
}

static const struct zdm_migration_report *said(const struct bench *b)
{
    static const struct zdm_migration_report nothing;
    return b->fleet->report.n_migrations > 0 ? &b->fleet->report.migrations[0] : &nothing;
}

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
    start_driver(b);
    order(b, 10, ZDM_MODE_RUN, 1);
    run(b, 5000);
    assert_true(b->fleet->plan_requests > 3); /* in pieces */
    assert_int_equal(said(b)->state, ZDM_AGENT_RESTING);
    assert_int_equal(said(b)->proven_phase, 1);
    assert_int_equal(b->engine.runs[AGENT_RUN_DDL], 2);
    assert_string_equal(b->fleet->report.release, "0.1.0");
    assert_int_equal(b->fleet->report.trust_version, 1);
    order(b, 11, ZDM_MODE_RUN, 2);
    run(b, 15000);
    assert_int_equal(said(b)->proven_phase, 2);
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

static void directive_of_a_stranger_is_refused(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    fake_fleet_order(b->fleet, &b->fleet->stranger, 10, ZDM_MODE_RUN, 1, "shard-1");
    run(b, 5000);
    assert_int_equal(b->fleet->report.n_migrations, 0);
    assert_true(b->errors > 0);
}

static void directive_of_an_operator_is_refused(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    fake_fleet_order(b->fleet, &b->fleet->operator_key, 10, ZDM_MODE_RUN, 1, "shard-1");
    run(b, 5000);
    assert_int_equal(b->fleet->report.n_migrations, 0);
}

static void directive_that_was_redirected_from_another_shard_is_refused(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    fake_fleet_order(b->fleet, &b->fleet->coordinator, 10, ZDM_MODE_RUN, 1, "shard-2");
    run(b, 5000);
    assert_int_equal(b->fleet->report.n_migrations, 0);
    assert_true(b->errors > 0);
}

static void directive_with_a_flipped_bit_is_refused(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    order(b, 10, ZDM_MODE_RUN, 1);
    b->fleet->order.bytes[b->fleet->order.len - 1] ^= 1;
    run(b, 5000);
    assert_int_equal(b->fleet->report.n_migrations, 0);
}

static void outdated_directive_is_not_acted_upon(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    order(b, 10, ZDM_MODE_RUN, 1);
    run(b, 3000);
    order(b, 9, ZDM_MODE_RUN, 2);
    struct zdm_frame frame = {.type = ZDM_FRAME_ORDERS, .u.envelopes = {.items = &b->fleet->order, .n = 1}};
    fake_fleet_send(b->fleet, &frame);
    run(b, 15000);
    assert_int_equal(said(b)->accepted.generation, 10);
    assert_int_equal(said(b)->proven_phase, 1);
}

/* A directive that differs from the one accepted as `forge` says, sent by the right coordinator in a good session. */
static void send_directive(struct bench *b, const struct zdm_directive *d)
{
    fake_fleet_sign_order(b->fleet, &b->fleet->coordinator, &b->fleet->chain.fleet, d);
    fake_fleet_send_order(b->fleet);
    run(b, 15000);
}

/* The standing order is generation 10, goal 1, and done. */
static void settle_at_ten(struct bench *b)
{
    start_driver(b);
    order(b, 10, ZDM_MODE_RUN, 1);
    run(b, 5000);
    assert_int_equal(said(b)->proven_phase, 1);
    b->fleet->has_order = false;
}

static void assert_still_at_ten(const struct bench *b)
{
    assert_int_equal(said(b)->accepted.epoch, 1);
    assert_int_equal(said(b)->accepted.generation, 10);
    assert_int_equal(said(b)->proven_phase, 1);
    assert_int_equal(b->engine.runs[AGENT_RUN_DDL], 2);
}

static void directive_of_another_fleet_is_refused(void **state)
{
    struct bench *b = *state;
    const struct zdm_id other = {.bytes = {42}};
    settle_at_ten(b);
    struct zdm_directive d = fake_fleet_directive(b->fleet, 11, ZDM_MODE_RUN, 2);
    fake_fleet_sign_order(b->fleet, &b->fleet->coordinator, &other, &d);
    fake_fleet_send_order(b->fleet);
    run(b, 15000);
    assert_still_at_ten(b);
    assert_int_equal(b->errors, 1);
}

static void signed_plan_in_the_place_of_a_directive_is_refused(void **state)
{
    struct bench *b = *state;
    settle_at_ten(b);
    const struct zdm_frame frame = {.type = ZDM_FRAME_ORDERS, .u.envelopes = {.items = &b->fleet->plan, .n = 1}};
    fake_fleet_send(b->fleet, &frame);
    run(b, 15000);
    assert_still_at_ten(b);
    assert_int_equal(b->errors, 1);
}

static void replayed_directive_is_answered_and_changes_nothing(void **state)
{
    struct bench *b = *state;
    settle_at_ten(b);
    unsigned before = b->fleet->reports;
    for (int i = 0; i < 5; i++) {
        fake_fleet_send_order(b->fleet);
        run(b, 1000);
    }
    assert_still_at_ten(b);
    assert_true(b->fleet->reports > before);
    assert_int_equal(b->errors, 0);
}

static void directive_for_another_agent_is_observed_and_not_carried_out(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    struct zdm_directive d = fake_fleet_directive(b->fleet, 10, ZDM_MODE_RUN, 2);
    d.actor = b->fleet->stranger.id;
    run(b, 1000);
    send_directive(b, &d);
    assert_int_equal(said(b)->state, ZDM_AGENT_OBSERVING);
    assert_int_equal(b->engine.runs[AGENT_RUN_DDL], 0);
}

static void directive_of_an_older_epoch_is_not_acted_upon(void **state)
{
    struct bench *b = *state;
    settle_at_ten(b);
    struct zdm_directive d = fake_fleet_directive(b->fleet, 99, ZDM_MODE_RUN, 2);
    d.fence.epoch = 0;
    send_directive(b, &d);
    assert_still_at_ten(b);
    assert_false(said(b)->equivocation);
}

static void equal_place_with_other_content_is_an_alarm_and_the_first_is_kept(void **state)
{
    struct bench *b = *state;
    settle_at_ten(b);
    struct zdm_directive d = fake_fleet_directive(b->fleet, 10, ZDM_MODE_RUN, 2);
    send_directive(b, &d);
    assert_still_at_ten(b);
    assert_true(said(b)->equivocation);
    assert_int_equal(b->errors, 1);
}

static void equal_epoch_of_another_instance_is_an_alarm_and_the_first_is_kept(void **state)
{
    struct bench *b = *state;
    settle_at_ten(b);
    struct zdm_directive d = fake_fleet_directive(b->fleet, 11, ZDM_MODE_RUN, 2);
    d.fence.instance.bytes[0] = 9;
    send_directive(b, &d);
    assert_still_at_ten(b);
    assert_true(said(b)->equivocation);
}

static void undo_without_an_undo_order_is_not_carried_out(void **state)
{
    struct bench *b = *state;
    settle_at_ten(b);
    struct zdm_directive d = fake_fleet_directive(b->fleet, 11, ZDM_MODE_UNDO, 0);
    send_directive(b, &d);
    assert_int_equal(b->engine.runs[AGENT_RUN_UNDO_DDL], 0);
    assert_int_equal(b->engine.runs[AGENT_RUN_UNHIDE], 0);
    assert_int_equal(said(b)->proven_phase, 1);
}

static void plan_with_a_broken_signature_is_refused_and_reported(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    b->fleet->plan.signature[7] ^= 1;
    order(b, 10, ZDM_MODE_RUN, 1);
    run(b, 5000);
    assert_int_equal(said(b)->error_code, ZDM_REFUSED);
    assert_false(b->engine.has_row);
}

static void plan_signed_by_the_coordinator_is_refused_and_reported(void **state)
{
    struct bench *b = *state;
    fake_fleet_plan(b->fleet, &b->fleet->coordinator, "tier=gold");
    start_driver(b);
    order(b, 10, ZDM_MODE_RUN, 1);
    run(b, 5000);
    assert_int_equal(said(b)->error_code, ZDM_REFUSED);
    assert_false(b->engine.has_row);
}

static void plan_that_no_operator_signed_is_refused_and_reported(void **state)
{
    struct bench *b = *state;
    fake_fleet_plan(b->fleet, &b->fleet->viewer, "tier=gold");
    start_driver(b);
    order(b, 10, ZDM_MODE_RUN, 1);
    run(b, 5000);
    assert_int_equal(said(b)->error_code, ZDM_REFUSED);
    assert_false(b->engine.has_row);
}

static void plan_for_other_labels_is_refused_and_reported(void **state)
{
    struct bench *b = *state;
    fake_fleet_plan(b->fleet, &b->fleet->operator_key, "tier=silver");
    start_driver(b);
    order(b, 10, ZDM_MODE_RUN, 1);
    run(b, 5000);
    assert_int_equal(said(b)->error_code, ZDM_REFUSED);
    assert_non_null(strstr(said(b)->error, "tier=silver"));
    assert_false(b->engine.has_row);
}

static void other_plan_than_the_directive_names_is_never_stored(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    order(b, 10, ZDM_MODE_RUN, 1);
    fake_fleet_plan(b->fleet, &b->fleet->operator_key, ""); /* valid, but another hash */
    run(b, 5000);
    assert_int_equal(said(b)->wait, ZDM_WAIT_PLAN);
    assert_false(b->engine.has_row);
}

static void pieces_out_of_order_end_the_session(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    order(b, 10, ZDM_MODE_RUN, 1);
    b->fleet->breaks_pieces = true;
    run(b, 4000);
    assert_false(b->engine.has_row);
    b->fleet->breaks_pieces = false;
    run(b, 30000);
    assert_int_equal(said(b)->proven_phase, 1);
}

static void lost_connection_is_dialled_again_at_the_next_url(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    order(b, 10, ZDM_MODE_RUN, 1);
    run(b, 5000);
    loop_net_cut(b->fleet->loop);
    loop_net_refuse(b->fleet->loop, true);
    run(b, 20000);
    loop_net_refuse(b->fleet->loop, false);
    unsigned before = b->fleet->reports;
    run(b, 15000);
    assert_true(b->fleet->reports > before);
    order(b, 11, ZDM_MODE_RUN, 2);
    run(b, 15000);
    assert_int_equal(said(b)->proven_phase, 2);
}

static void coordinator_that_was_restarted_is_found_within_seconds(void **state)
{
    enum { DOWN_MS = 40000, FOUND_MS = 3500 };
    struct bench *b = *state;
    start_driver(b);
    run(b, 2000);
    loop_net_cut(b->fleet->loop);
    loop_net_refuse(b->fleet->loop, true);
    run(b, DOWN_MS);
    loop_net_refuse(b->fleet->loop, false);
    unsigned before = b->fleet->reports;
    run(b, FOUND_MS);
    assert_true(b->fleet->reports > before);
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
    settle_at_ten(b);
    const char *log = zdm_buffer_text(&b->log);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (strstr(log, lines[i]) == NULL)
            fail_msg("\"%s\" is not in\n%s", lines[i], log);
    assert_null(strstr(log, "cannot be reached"));
}

static void silent_coordinator_is_given_up(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    run(b, 1000);
    zdm_conn before = b->fleet->conn;
    for (int i = 0; i < AGENT_SILENCE_MS / 1000 + 5; i++) {
        b->fleet->conn = 0; /* the coordinator hears nothing of this connection any more */
        run(b, 1000);
        if (b->fleet->conn != 0)
            break;
    }
    assert_true(b->fleet->conn > before);
}

static void newer_trust_file_is_taken_over_and_kept(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    run(b, 1000);
    fake_fleet_new_trust(b->fleet);
    fake_fleet_send_trust(b->fleet, 1);
    run(b, 1000);
    assert_int_equal(agent_driver_trust_version(b->driver), 2);
    assert_true(b->saved.len > 0);
    run(b, 11000);
    assert_int_equal(b->fleet->report.trust_version, 2);
}

static void send_one_trust(struct bench *b, const struct zdm_envelope *envelope)
{
    const struct zdm_frame frame = {.type = ZDM_FRAME_TRUST,
                                    .u.envelopes = {.items = (struct zdm_envelope *)envelope, .n = 1}};
    fake_fleet_send(b->fleet, &frame);
    run(b, 1000);
}

static void trust_file_never_goes_back(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    run(b, 1000);
    fake_fleet_new_trust(b->fleet);
    fake_fleet_send_trust(b->fleet, 1);
    run(b, 1000);
    assert_int_equal(agent_driver_trust_version(b->driver), 2);
    send_one_trust(b, &b->fleet->chain.envelopes[0]);
    send_one_trust(b, &b->fleet->chain.envelopes[1]);
    assert_int_equal(agent_driver_trust_version(b->driver), 2);
}

static void trust_file_of_another_root_or_with_a_gap_is_refused(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    run(b, 1000);
    struct zdm_envelope forged = fake_fleet_forge_trust(b->fleet, 2, &b->fleet->coordinator);
    send_one_trust(b, &forged);
    struct zdm_envelope gap = fake_fleet_forge_trust(b->fleet, 3, &b->fleet->root);
    send_one_trust(b, &gap);
    assert_int_equal(agent_driver_trust_version(b->driver), 1);
    assert_int_equal(b->errors, 2);
    assert_int_equal(b->saved.len, 0);
    zdm_envelope_fini(&forged);
    zdm_envelope_fini(&gap);
}

static void coordinator_that_the_trust_file_no_longer_names_is_left_and_its_orders_are_refused(void **state)
{
    struct bench *b = *state;
    settle_at_ten(b);
    b->fleet->trust.coordinators[0] = b->fleet->stranger.public_key;
    fake_fleet_new_trust(b->fleet);
    fake_fleet_send_trust(b->fleet, 1);
    unsigned before = b->fleet->reports;
    order(b, 11, ZDM_MODE_RUN, 2);
    run(b, 20000);
    assert_int_equal(agent_driver_trust_version(b->driver), 2);
    assert_int_equal(b->fleet->reports, before); /* no session with the old key */
    assert_int_equal(b->engine.row.accepted.generation, 10);
    assert_non_null(strstr(zdm_buffer_text(&b->log), "does not name this coordinator any more"));
}

static void trust_file_that_is_behind_is_asked_for_when_the_coordinator_says_so(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    fake_fleet_new_trust(b->fleet);
    run(b, 3000);
    assert_int_equal(agent_driver_trust_version(b->driver), 2);
}

static void restarted_agent_goes_on_from_its_journal_when_it_is_confirmed(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    order(b, 10, ZDM_MODE_RUN, 1);
    run(b, 5000);
    agent_driver_free(b->driver);
    loop_net_hang_up(b->fleet->loop, false);
    b->engine.n = 0;
    unsigned requests = b->fleet->plan_requests;
    start_driver(b);
    run(b, 5000);
    assert_int_equal(said(b)->state, ZDM_AGENT_RESTING);
    assert_int_equal(said(b)->proven_phase, 1);
    assert_int_equal(b->engine.runs[AGENT_RUN_DDL], 2);
    assert_int_equal(b->fleet->plan_requests, requests); /* the plan came from the journal */
    assert_int_equal(b->errors, 0);
}

static void row_of_the_journal_that_was_tampered_with_is_left_out_and_reported(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    order(b, 10, ZDM_MODE_RUN, 1);
    run(b, 5000);
    b->fleet->has_order = false;
    b->engine.row.accepted.generation = 99;
    zdm_copy_text(b->engine.identity, sizeof b->engine.identity, "start-2");
    run(b, 20000);
    assert_int_equal(b->fleet->report.n_migrations, 0);
    assert_non_null(strstr(b->fleet->report.db_error, "does not verify"));
}

static void operation_that_the_engine_has_no_room_for_is_tried_again(void **state)
{
    struct bench *b = *state;
    start_driver(b);
    b->engine.refuse_starts = true;
    order(b, 10, ZDM_MODE_RUN, 1);
    run(b, 3000);
    b->engine.refuse_starts = false;
    run(b, 20000);
    assert_int_equal(said(b)->proven_phase, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    struct zdm_error err;
    const struct CMUnitTest tests[] = {
        TEST(agent_joins_takes_an_order_fetches_the_plan_and_reaches_the_goal),
        TEST(token_of_another_trust_file_is_refused_before_the_secret_is_sent),
        TEST(coordinator_without_the_key_of_the_trust_file_gets_no_secret),
        TEST(spent_token_is_refused_with_words),
        TEST(enrolment_of_another_shard_than_the_tokens_is_refused),
        TEST(coordinator_that_cannot_be_reached_is_said_with_a_hint),
        TEST(directive_of_a_stranger_is_refused),
        TEST(directive_of_an_operator_is_refused),
        TEST(directive_that_was_redirected_from_another_shard_is_refused),
        TEST(directive_with_a_flipped_bit_is_refused),
        TEST(outdated_directive_is_not_acted_upon),
        TEST(directive_of_another_fleet_is_refused),
        TEST(signed_plan_in_the_place_of_a_directive_is_refused),
        TEST(replayed_directive_is_answered_and_changes_nothing),
        TEST(directive_for_another_agent_is_observed_and_not_carried_out),
        TEST(directive_of_an_older_epoch_is_not_acted_upon),
        TEST(equal_place_with_other_content_is_an_alarm_and_the_first_is_kept),
        TEST(equal_epoch_of_another_instance_is_an_alarm_and_the_first_is_kept),
        TEST(undo_without_an_undo_order_is_not_carried_out),
        TEST(plan_with_a_broken_signature_is_refused_and_reported),
        TEST(plan_signed_by_the_coordinator_is_refused_and_reported),
        TEST(plan_that_no_operator_signed_is_refused_and_reported),
        TEST(plan_for_other_labels_is_refused_and_reported),
        TEST(other_plan_than_the_directive_names_is_never_stored),
        TEST(pieces_out_of_order_end_the_session),
        TEST(lost_connection_is_dialled_again_at_the_next_url),
        TEST(coordinator_that_was_restarted_is_found_within_seconds),
        TEST(log_says_what_it_is_about_and_names_the_steps),
        TEST(silent_coordinator_is_given_up),
        TEST(newer_trust_file_is_taken_over_and_kept),
        TEST(trust_file_never_goes_back),
        TEST(trust_file_of_another_root_or_with_a_gap_is_refused),
        TEST(coordinator_that_the_trust_file_no_longer_names_is_left_and_its_orders_are_refused),
        TEST(trust_file_that_is_behind_is_asked_for_when_the_coordinator_says_so),
        TEST(restarted_agent_goes_on_from_its_journal_when_it_is_confirmed),
        TEST(row_of_the_journal_that_was_tampered_with_is_left_out_and_reported),
        TEST(operation_that_the_engine_has_no_room_for_is_tried_again),
    };
    if (zdm_crypto_start(&err) != ZDM_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
