/*
 * test_refusals.c - what the agent refuses, through the real driver and with real signatures: forged, redirected,
 * replayed, outdated and equivocating directives, plans that nobody entitled signed, trust files that go back.
 */
#include "tests/unit/agent_app/bench.h"

#include <string.h>

#include "common/os/crypto.h"

static void directive_of_a_stranger_is_refused(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    fake_fleet_order(b->fleet, &b->fleet->stranger, 10, ZDM_MODE_RUN, 1, "shard-1");
    bench_run(b, 5000);
    assert_int_equal(b->fleet->report.n_migrations, 0);
    assert_true(b->errors > 0);
}

static void directive_of_an_operator_is_refused(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    fake_fleet_order(b->fleet, &b->fleet->operator_key, 10, ZDM_MODE_RUN, 1, "shard-1");
    bench_run(b, 5000);
    assert_int_equal(b->fleet->report.n_migrations, 0);
}

static void directive_that_was_redirected_from_another_shard_is_refused(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    fake_fleet_order(b->fleet, &b->fleet->coordinator, 10, ZDM_MODE_RUN, 1, "shard-2");
    bench_run(b, 5000);
    assert_int_equal(b->fleet->report.n_migrations, 0);
    assert_true(b->errors > 0);
}

static void directive_with_a_flipped_bit_is_refused(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    bench_order(b, 10, ZDM_MODE_RUN, 1);
    b->fleet->order.bytes[b->fleet->order.len - 1] ^= 1;
    bench_run(b, 5000);
    assert_int_equal(b->fleet->report.n_migrations, 0);
}

static void outdated_directive_is_not_acted_upon(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    bench_order(b, 10, ZDM_MODE_RUN, 1);
    bench_run(b, 3000);
    bench_order(b, 9, ZDM_MODE_RUN, 2);
    struct zdm_frame frame = {.type = ZDM_FRAME_ORDERS, .u.envelopes = {.items = &b->fleet->order, .n = 1}};
    fake_fleet_send(b->fleet, &frame);
    bench_run(b, 15000);
    assert_int_equal(bench_said(b)->accepted.generation, 10);
    assert_int_equal(bench_said(b)->proven_phase, 1);
}

/* A directive that differs from the one accepted as `forge` says, sent by the right coordinator in a good session. */
static void send_directive(struct bench *b, const struct zdm_directive *d)
{
    fake_fleet_sign_order(b->fleet, &b->fleet->coordinator, &b->fleet->chain.fleet, d);
    fake_fleet_send_order(b->fleet);
    bench_run(b, 15000);
}

static void assert_still_at_ten(const struct bench *b)
{
    assert_int_equal(bench_said(b)->accepted.epoch, 1);
    assert_int_equal(bench_said(b)->accepted.generation, 10);
    assert_int_equal(bench_said(b)->proven_phase, 1);
    assert_int_equal(b->engine.runs[AGENT_RUN_DDL], 2);
}

static void directive_of_another_fleet_is_refused(void **state)
{
    struct bench *b = *state;
    const struct zdm_id other = {.bytes = {42}};
    bench_settle(b);
    struct zdm_directive d = fake_fleet_directive(b->fleet, 11, ZDM_MODE_RUN, 2);
    fake_fleet_sign_order(b->fleet, &b->fleet->coordinator, &other, &d);
    fake_fleet_send_order(b->fleet);
    bench_run(b, 15000);
    assert_still_at_ten(b);
    assert_int_equal(b->errors, 1);
}

static void signed_plan_in_the_place_of_a_directive_is_refused(void **state)
{
    struct bench *b = *state;
    bench_settle(b);
    const struct zdm_frame frame = {.type = ZDM_FRAME_ORDERS, .u.envelopes = {.items = &b->fleet->plan, .n = 1}};
    fake_fleet_send(b->fleet, &frame);
    bench_run(b, 15000);
    assert_still_at_ten(b);
    assert_int_equal(b->errors, 1);
}

static void replayed_directive_is_answered_and_changes_nothing(void **state)
{
    struct bench *b = *state;
    bench_settle(b);
    unsigned before = b->fleet->reports;
    for (int i = 0; i < 5; i++) {
        fake_fleet_send_order(b->fleet);
        bench_run(b, 1000);
    }
    assert_still_at_ten(b);
    assert_true(b->fleet->reports > before);
    assert_int_equal(b->errors, 0);
}

static void directive_for_another_agent_is_observed_and_not_carried_out(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    struct zdm_directive d = fake_fleet_directive(b->fleet, 10, ZDM_MODE_RUN, 2);
    d.actor = b->fleet->stranger.id;
    bench_run(b, 1000);
    send_directive(b, &d);
    assert_int_equal(bench_said(b)->state, ZDM_AGENT_OBSERVING);
    assert_int_equal(b->engine.runs[AGENT_RUN_DDL], 0);
}

static void directive_of_an_older_epoch_is_not_acted_upon(void **state)
{
    struct bench *b = *state;
    bench_settle(b);
    struct zdm_directive d = fake_fleet_directive(b->fleet, 99, ZDM_MODE_RUN, 2);
    d.fence.epoch = 0;
    send_directive(b, &d);
    assert_still_at_ten(b);
    assert_false(bench_said(b)->equivocation);
}

static void equal_place_with_other_content_is_an_alarm_and_the_first_is_kept(void **state)
{
    struct bench *b = *state;
    bench_settle(b);
    struct zdm_directive d = fake_fleet_directive(b->fleet, 10, ZDM_MODE_RUN, 2);
    send_directive(b, &d);
    assert_still_at_ten(b);
    assert_true(bench_said(b)->equivocation);
    assert_int_equal(b->errors, 1);
}

static void equal_epoch_of_another_instance_is_an_alarm_and_the_first_is_kept(void **state)
{
    struct bench *b = *state;
    bench_settle(b);
    struct zdm_directive d = fake_fleet_directive(b->fleet, 11, ZDM_MODE_RUN, 2);
    d.fence.instance.bytes[0] = 9;
    send_directive(b, &d);
    assert_still_at_ten(b);
    assert_true(bench_said(b)->equivocation);
}

static void undo_without_an_undo_order_is_not_carried_out(void **state)
{
    struct bench *b = *state;
    bench_settle(b);
    struct zdm_directive d = fake_fleet_directive(b->fleet, 11, ZDM_MODE_UNDO, 0);
    send_directive(b, &d);
    assert_int_equal(b->engine.runs[AGENT_RUN_UNDO_DDL], 0);
    assert_int_equal(b->engine.runs[AGENT_RUN_UNDO_BEGIN], 0);
    assert_int_equal(bench_said(b)->proven_phase, 1);
    assert_still_at_ten(b); /* such a directive does not even decode */
    assert_int_equal(b->errors, 1);
}

static void plan_with_a_broken_signature_is_refused_and_reported(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    b->fleet->plan.signature[7] ^= 1;
    bench_order(b, 10, ZDM_MODE_RUN, 1);
    bench_run(b, 5000);
    assert_int_equal(bench_said(b)->error_code, ZDM_REFUSED);
    assert_false(b->engine.has_row);
}

static void plan_signed_by_the_coordinator_is_refused_and_reported(void **state)
{
    struct bench *b = *state;
    fake_fleet_plan(b->fleet, &b->fleet->coordinator, "tier=gold");
    bench_start(b);
    bench_order(b, 10, ZDM_MODE_RUN, 1);
    bench_run(b, 5000);
    assert_int_equal(bench_said(b)->error_code, ZDM_REFUSED);
    assert_false(b->engine.has_row);
}

static void plan_that_no_operator_signed_is_refused_and_reported(void **state)
{
    struct bench *b = *state;
    fake_fleet_plan(b->fleet, &b->fleet->viewer, "tier=gold");
    bench_start(b);
    bench_order(b, 10, ZDM_MODE_RUN, 1);
    bench_run(b, 5000);
    assert_int_equal(bench_said(b)->error_code, ZDM_REFUSED);
    assert_false(b->engine.has_row);
}

static void plan_for_other_labels_is_refused_and_reported(void **state)
{
    struct bench *b = *state;
    fake_fleet_plan(b->fleet, &b->fleet->operator_key, "tier=silver");
    bench_start(b);
    bench_order(b, 10, ZDM_MODE_RUN, 1);
    bench_run(b, 5000);
    assert_int_equal(bench_said(b)->error_code, ZDM_REFUSED);
    assert_non_null(strstr(bench_said(b)->error, "tier=silver"));
    assert_false(b->engine.has_row);
}

/* Of a stolen operator's key: nobody has to approve an expand phase, so nothing but what its steps say may be in it. */
static void plan_whose_sql_does_more_than_its_step_says_is_refused_and_reported(void **state)
{
    struct bench *b = *state;
    fake_fleet_plan_by_hand(b->fleet, "ALTER TABLE \"public\".\"users\" ADD COLUMN \"a\" text, DROP COLUMN \"name\"");
    bench_start(b);
    bench_order(b, 10, ZDM_MODE_RUN, 1);
    bench_run(b, 5000);
    assert_int_equal(bench_said(b)->error_code, ZDM_REFUSED);
    assert_non_null(strstr(bench_said(b)->error, "step 1.1 (add-column) has SQL that does something else"));
    assert_false(b->engine.has_row);
}

static void other_plan_than_the_directive_names_is_never_stored(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    bench_order(b, 10, ZDM_MODE_RUN, 1);
    fake_fleet_plan(b->fleet, &b->fleet->operator_key, ""); /* valid, but another hash */
    bench_run(b, 5000);
    assert_int_equal(bench_said(b)->wait, ZDM_WAIT_PLAN);
    assert_false(b->engine.has_row);
}

static void pieces_out_of_order_end_the_session(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    bench_order(b, 10, ZDM_MODE_RUN, 1);
    b->fleet->breaks_pieces = true;
    bench_run(b, 4000);
    assert_false(b->engine.has_row);
    b->fleet->breaks_pieces = false;
    bench_run(b, 30000);
    assert_int_equal(bench_said(b)->proven_phase, 1);
}

static void send_one_trust(struct bench *b, const struct zdm_envelope *envelope)
{
    const struct zdm_frame frame = {.type = ZDM_FRAME_TRUST,
                                    .u.envelopes = {.items = (struct zdm_envelope *)envelope, .n = 1}};
    fake_fleet_send(b->fleet, &frame);
    bench_run(b, 1000);
}

static void trust_file_never_goes_back(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    bench_run(b, 1000);
    fake_fleet_new_trust(b->fleet);
    fake_fleet_send_trust(b->fleet, 1);
    bench_run(b, 1000);
    assert_int_equal(agent_driver_trust_version(b->driver), 2);
    send_one_trust(b, &b->fleet->chain.envelopes[0]);
    send_one_trust(b, &b->fleet->chain.envelopes[1]);
    assert_int_equal(agent_driver_trust_version(b->driver), 2);
}

static void trust_file_of_another_root_or_with_a_gap_is_refused(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    bench_run(b, 1000);
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
    bench_settle(b);
    b->fleet->trust.coordinators[0] = b->fleet->stranger.public_key;
    fake_fleet_new_trust(b->fleet);
    fake_fleet_send_trust(b->fleet, 1);
    unsigned before = b->fleet->reports;
    bench_order(b, 11, ZDM_MODE_RUN, 2);
    bench_run(b, 20000);
    assert_int_equal(agent_driver_trust_version(b->driver), 2);
    assert_int_equal(b->fleet->reports, before); /* no session with the old key */
    assert_int_equal(b->engine.row.accepted.generation, 10);
    assert_non_null(strstr(zdm_buffer_text(&b->log), "does not name this coordinator any more"));
}

static void row_of_the_journal_that_was_tampered_with_is_left_out_and_reported(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    bench_order(b, 10, ZDM_MODE_RUN, 1);
    bench_run(b, 5000);
    b->fleet->has_order = false;
    b->engine.row.accepted.generation = 99;
    zdm_copy_text(b->engine.identity, sizeof b->engine.identity, "start-2");
    bench_run(b, 20000);
    assert_int_equal(b->fleet->report.n_migrations, 0);
    assert_non_null(strstr(b->fleet->report.db_error, "does not verify"));
    bench_order(b, 11, ZDM_MODE_RUN,
                1); /* nothing that it says would be taken for true: it is not written over either */
    bench_run(b, 20000);
    assert_int_equal(b->fleet->report.n_migrations, 1);
    assert_non_null(
        strstr(b->fleet->report.migrations[0].error,
               "the journal holds a later order, which does not verify: row and the directive in it differ"));
    assert_int_equal(b->engine.row.accepted.generation, 99);
}

int main(void)
{
    struct zdm_error err;
    const struct CMUnitTest tests[] = {
        BENCH_TEST(directive_of_a_stranger_is_refused),
        BENCH_TEST(directive_of_an_operator_is_refused),
        BENCH_TEST(directive_that_was_redirected_from_another_shard_is_refused),
        BENCH_TEST(directive_with_a_flipped_bit_is_refused),
        BENCH_TEST(outdated_directive_is_not_acted_upon),
        BENCH_TEST(directive_of_another_fleet_is_refused),
        BENCH_TEST(signed_plan_in_the_place_of_a_directive_is_refused),
        BENCH_TEST(replayed_directive_is_answered_and_changes_nothing),
        BENCH_TEST(directive_for_another_agent_is_observed_and_not_carried_out),
        BENCH_TEST(directive_of_an_older_epoch_is_not_acted_upon),
        BENCH_TEST(equal_place_with_other_content_is_an_alarm_and_the_first_is_kept),
        BENCH_TEST(equal_epoch_of_another_instance_is_an_alarm_and_the_first_is_kept),
        BENCH_TEST(undo_without_an_undo_order_is_not_carried_out),
        BENCH_TEST(plan_with_a_broken_signature_is_refused_and_reported),
        BENCH_TEST(plan_signed_by_the_coordinator_is_refused_and_reported),
        BENCH_TEST(plan_that_no_operator_signed_is_refused_and_reported),
        BENCH_TEST(plan_for_other_labels_is_refused_and_reported),
        BENCH_TEST(plan_whose_sql_does_more_than_its_step_says_is_refused_and_reported),
        BENCH_TEST(other_plan_than_the_directive_names_is_never_stored),
        BENCH_TEST(pieces_out_of_order_end_the_session),
        BENCH_TEST(trust_file_never_goes_back),
        BENCH_TEST(trust_file_of_another_root_or_with_a_gap_is_refused),
        BENCH_TEST(coordinator_that_the_trust_file_no_longer_names_is_left_and_its_orders_are_refused),
        BENCH_TEST(row_of_the_journal_that_was_tampered_with_is_left_out_and_reported),
    };
    if (zdm_crypto_start(&err) != ZDM_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
