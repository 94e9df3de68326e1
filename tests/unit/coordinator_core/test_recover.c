/*
 * test_recover.c - a log from the past that an operator declares to be the one that goes on: nothing of the other past
 * counts any more, and every agent that followed it is stopped.
 */
#include "fleet.h"

#include <string.h>

#include "common/base/buffer.h"

/* Two shards: s00000 moving into phase 1, s00001 never directed; both agents follow a log that was lost. */
static void begin(struct fleet *f)
{
    fleet_init(f, 2);
    assert_int_equal(fleet_submit(f, plan_of("m", "emm")), ZDM_OK);
    fleet_heartbeat(f);
    assert_int_equal(fleet_ask(f, ZDM_VERB_ADVANCE, "shard=s00000"), ZDM_OK);
}

static struct zdm_fence lost_order(struct fleet *f, uint64_t generation)
{
    struct zdm_fence fence = {.epoch = f->state->epoch + 4, .generation = generation};
    fence.anchor.bytes[0] = 0xff;
    return fence;
}

static void say(struct fleet *f, size_t i, uint32_t proven, struct zdm_fence accepted)
{
    struct told told;
    tell(f, i, 0, proven, &told);
    told.of.state = ZDM_AGENT_WORKING;
    told.of.accepted = accepted;
    fleet_report(f, &told);
}

static void start_epoch(struct fleet *f)
{
    struct coord_event event = {.type = COORD_EVENT_EPOCH_STARTED};
    event.u.epoch_started.instance.bytes[0] = 0x77;
    fleet_event(f, &event);
}

static void recovery_goes_above_every_epoch_that_was_seen_and_pauses_who_is_on_the_way(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f);
    uint64_t before = f.state->epoch;
    say(&f, 0, 1, lost_order(&f, 500));
    assert_true(f.state->fenced);
    fleet_recover(&f);
    assert_false(f.state->fenced);
    assert_int_equal(f.state->recovered_epoch, before + 5);
    assert_int_equal(f.state->epoch, before + 5);
    assert_status(&f, 0, COORD_HELD);
    assert_status(&f, 1, COORD_HELD);
    assert_int_equal(shard(&f, 0)->resume_to, COORD_MOVING);
    assert_int_equal(migration(&f)->mode, COORD_OPEN);
    assert_int_equal(count_events(&f, COORD_EVENT_OPERATOR_ACTED), 3);
    start_epoch(&f);
    assert_int_equal(f.state->epoch, before + 6);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void reports_of_the_past_that_was_given_up_fence_nobody_and_are_answered_with_the_newest_order(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f);
    struct zdm_fence lost = lost_order(&f, 500);
    say(&f, 0, 1, lost);
    fleet_recover(&f);
    start_epoch(&f);
    say(&f, 0, 1, lost);
    assert_false(f.state->fenced);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 1);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_ACK), 1);
    assert_int_equal(shard(&f, 0)->at, 0); /* of another order: it counts for nothing */
    fleet_obey(&f, 0);                     /* the pause */
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RESUME, "shard=s00000"), ZDM_OK);
    fleet_obey(&f, 0);
    assert_status(&f, 0, COORD_READY);
    assert_int_equal(shard(&f, 0)->at, 1);
    /* An epoch that nobody gave up still fences. */
    lost.epoch = f.state->epoch + 1;
    say(&f, 0, 1, lost);
    assert_true(f.state->fenced);
    fleet_fini(&f);
}

static void position_of_the_lost_log_is_not_taken_for_one_of_ours(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f);
    struct zdm_fence lost = lost_order(&f, 500);
    say(&f, 0, 0, lost);
    fleet_recover(&f);
    start_epoch(&f);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RESUME, "shard=s00000"), ZDM_OK);
    assert_status(&f, 0, COORD_MOVING);
    lost.generation = shard(&f, 0)->generation; /* by accident */
    say(&f, 0, 1, lost);
    assert_status(&f, 0, COORD_MOVING);
    fleet_obey(&f, 0);
    assert_status(&f, 0, COORD_READY);
    fleet_fini(&f);
}

static void agent_that_follows_a_lost_order_of_a_shard_that_was_never_directed_is_stopped(void **unused)
{
    (void)unused;
    struct fleet f;
    struct zdm_envelope approvals[ZDM_APPROVALS_MAX];
    struct zdm_directive d;
    begin(&f);
    struct zdm_fence lost = lost_order(&f, 500);
    say(&f, 1, 0, lost);
    fleet_recover(&f);
    start_epoch(&f);
    assert_true(zdm_id_is_zero(&shard(&f, 1)->actor)); /* nobody to tell yet */
    say(&f, 1, 1, lost);
    assert_status(&f, 1, COORD_HELD);
    assert_true(
        coord_directive(f.state, migration(&f), (uint32_t)(shard(&f, 1) - migration(&f)->shards), approvals, &d));
    assert_int_equal(d.mode, ZDM_MODE_PAUSE);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 1);
    /* A migration that the log did not know at all, submitted again: its shards were never directed either. */
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RESUME, "shard=s00001"), ZDM_OK);
    assert_status(&f, 1, COORD_READY);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void migration_that_is_submitted_again_after_a_recovery_stops_who_still_follows_the_lost_one(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    fleet_init(&f, 1);
    tell(&f, 0, 0, 0, &told);
    zdm_copy_text(told.of.migration, sizeof told.of.migration, "m");
    told.of.accepted = lost_order(&f, 90);
    told.report.n_migrations = 1;
    fleet_report(&f, &told);
    assert_true(f.state->fenced);
    fleet_recover(&f);
    start_epoch(&f);
    fleet_report(&f, &told);
    assert_false(f.state->fenced);
    assert_int_equal(fleet_submit(&f, plan_of("m", "em")), ZDM_OK);
    assert_status(&f, 0, COORD_READY);
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_HELD);
    assert_int_equal(shard(&f, 0)->resume_to, COORD_READY);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 1);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static enum zdm_mode told_mode(struct fleet *f, size_t i)
{
    struct zdm_envelope approvals[ZDM_APPROVALS_MAX];
    struct zdm_directive d;
    uint32_t index = (uint32_t)(shard(f, i) - migration(f)->shards);
    assert_true(coord_directive(f->state, migration(f), index, approvals, &d));
    return d.mode;
}

/* The past that was given up may have taken them back: an order to run would send them forward again. */
static void finished_shards_keep_their_status_and_are_told_to_stay_also_when_the_migration_has_ended(void **unused)
{
    (void)unused;
    for (unsigned ended = 0; ended < 2; ended++) {
        struct fleet f;
        fleet_init(&f, 2);
        fleet_submit(&f, plan_of("m", "e"));
        fleet_heartbeat(&f);
        fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
        fleet_obey(&f, 0);
        if (ended)
            fleet_obey(&f, 1);
        assert_status(&f, 0, COORD_DONE);
        assert_int_equal(migration(&f)->mode, ended ? COORD_ENDED : COORD_OPEN);
        struct zdm_fence lost = lost_order(&f, 500);
        say(&f, 0, 0, lost);
        fleet_recover(&f);
        start_epoch(&f);
        assert_status(&f, 0, COORD_DONE);
        assert_int_equal(told_mode(&f, 0), ZDM_MODE_PAUSE);
        say(&f, 0, 0, lost);
        assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 1);
        assert_int_equal(count_effects(&f, COORD_DO_SEND_ACK), 1);
        assert_fold_is_the_same(&f);
        fleet_fini(&f);
    }
}

static void purge_of_leftovers_does_not_outlive_a_recovery(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    fleet_init(&f, 1);
    fleet_submit(&f, plan_of("m", "e"));
    fleet_heartbeat(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    fleet_obey(&f, 0);
    tell(&f, 0, 0, 1, &told);
    told.of.hidden_total = 1;
    fleet_report(&f, &told);
    assert_int_equal(fleet_purge(&f, BOB, 0, NULL), ZDM_OK);
    assert_int_equal(shard(&f, 0)->mode, ZDM_MODE_PURGE);
    say(&f, 0, 1, lost_order(&f, 500));
    fleet_recover(&f);
    start_epoch(&f);
    assert_status(&f, 0, COORD_DONE);
    assert_int_equal(told_mode(&f, 0), ZDM_MODE_PAUSE);
    tell(&f, 0, 0, 1, &told);
    told.of.hidden_total = 1;
    fleet_report(&f, &told);
    assert_int_equal(fleet_purge(&f, CAT, 0, NULL), ZDM_OK); /* said again */
    assert_int_equal(shard(&f, 0)->mode, ZDM_MODE_PURGE);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void agent_at_work_in_a_migration_that_was_lost_gets_no_lease_until_it_is_submitted_again(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    fleet_init(&f, 1);
    tell(&f, 0, 0, 0, &told);
    zdm_copy_text(told.of.migration, sizeof told.of.migration, "m");
    told.of.accepted = lost_order(&f, 90);
    told.of.state = ZDM_AGENT_WORKING;
    told.report.n_migrations = 1;
    fleet_report(&f, &told);
    fleet_recover(&f);
    start_epoch(&f);
    fleet_report(&f, &told);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_ACK), 0);
    told.of.state = ZDM_AGENT_WAITING; /* its lease is gone: it waits for one */
    fleet_report(&f, &told);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_ACK), 0);
    assert_string_equal(coord_works_for_lost(f.state, &told.report, "s00000"), "m");
    told.of.state = ZDM_AGENT_RESTING; /* an order that was carried out harms nobody */
    fleet_report(&f, &told);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_ACK), 1);
    told.of.state = ZDM_AGENT_WAITING;
    assert_int_equal(fleet_submit(&f, plan_of("m", "em")), ZDM_OK);
    fleet_report(&f, &told); /* is paused with this one, and acknowledged from the next on */
    assert_status(&f, 0, COORD_HELD);
    fleet_report(&f, &told);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_ACK), 1);
    fleet_fini(&f);
}

/* The journal's failed attempt may be one of the past that was given up: a retry goes above it. */
static void retry_goes_above_every_attempt_that_the_journal_knows_of(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f);
    tell(&f, 0, 0, 0, &told);
    told.of.state = ZDM_AGENT_STOPPED;
    told.of.failed_attempt = 7;
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_FAILED);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RETRY, "shard=s00000"), ZDM_OK);
    assert_int_equal(shard(&f, 0)->attempt, 8);
    tell(&f, 0, 0, 0, &told);
    told.of.state = ZDM_AGENT_STOPPED;
    told.of.failed_attempt = UINT32_MAX; /* made up */
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_FAILED);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RETRY, "shard=s00000"), ZDM_OK);
    assert_int_equal(shard(&f, 0)->attempt, 9);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

/* ---- An agent's key that was stolen ---- */

static void agent_that_claims_an_epoch_that_nobody_can_have_come_to_is_sent_away(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f);
    struct zdm_fence made_up = lost_order(&f, 500);
    made_up.epoch = UINT64_MAX;
    say(&f, 1, 0, made_up);
    assert_false(f.state->fenced);
    assert_int_equal(count_effects(&f, COORD_DO_CLOSE_AGENT), 1);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_ACK), 0);
    say(&f, 0, 0, lost_order(&f, 500));
    assert_true(f.state->fenced);
    uint64_t before = f.state->epoch;
    fleet_recover(&f);
    assert_int_equal(f.state->recovered_epoch, before + 5);
    fleet_fini(&f);
}

static void fenced_coordinator_revokes_the_agent_that_lies_and_its_word_counts_no_more(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f);
    struct zdm_request request = {.verb = ZDM_VERB_REVOKE_AGENT, .target = agent_id(1, 0)};
    struct zdm_fence lie = lost_order(&f, 500);
    uint64_t before = f.state->epoch;
    lie.epoch += 1000;
    say(&f, 1, 0, lie);
    assert_true(f.state->fenced);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_PAUSE, "shard=s00000"), ZDM_FENCED);
    assert_int_equal(fleet_request(&f, &request, NULL), ZDM_OK);
    assert_int_equal(count_effects(&f, COORD_DO_CLOSE_AGENT), 1);
    assert_true(f.state->fenced);
    fleet_recover(&f);
    assert_false(f.state->fenced);
    assert_int_equal(f.state->recovered_epoch, before + 1005); /* what fenced it stands in the log */
    start_epoch(&f);
    lie.epoch += 1000;
    say(&f, 1, 0, lie);
    assert_false(f.state->fenced);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recovery_goes_above_every_epoch_that_was_seen_and_pauses_who_is_on_the_way),
        cmocka_unit_test(reports_of_the_past_that_was_given_up_fence_nobody_and_are_answered_with_the_newest_order),
        cmocka_unit_test(position_of_the_lost_log_is_not_taken_for_one_of_ours),
        cmocka_unit_test(agent_that_follows_a_lost_order_of_a_shard_that_was_never_directed_is_stopped),
        cmocka_unit_test(migration_that_is_submitted_again_after_a_recovery_stops_who_still_follows_the_lost_one),
        cmocka_unit_test(finished_shards_keep_their_status_and_are_told_to_stay_also_when_the_migration_has_ended),
        cmocka_unit_test(purge_of_leftovers_does_not_outlive_a_recovery),
        cmocka_unit_test(agent_at_work_in_a_migration_that_was_lost_gets_no_lease_until_it_is_submitted_again),
        cmocka_unit_test(retry_goes_above_every_attempt_that_the_journal_knows_of),
        cmocka_unit_test(agent_that_claims_an_epoch_that_nobody_can_have_come_to_is_sent_away),
        cmocka_unit_test(fenced_coordinator_revokes_the_agent_that_lies_and_its_word_counts_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
