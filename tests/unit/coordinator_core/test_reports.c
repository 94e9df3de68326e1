/*
 * test_reports.c - what agents say: whom the coordinator believes, when it fences itself, who acts, when it repeats.
 */
#include "fleet.h"

#include <string.h>

/* Two shards moving into phase 1 of "m"; shard 0 has a second agent. */
static void begin(struct fleet *f, const char *phases)
{
    fleet_init(f, 2);
    fleet_enroll(f, 0, 1);
    assert_int_equal(fleet_submit(f, plan_of("m", phases)), ZDM_OK);
    fleet_heartbeat(f);
    assert_int_equal(fleet_ask(f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
    assert_status(f, 0, COORD_MOVING);
}

static void assert_fences(const char *what, void (*change)(struct fleet *, struct told *))
{
    struct fleet f;
    struct told told;
    begin(&f, "em");
    tell(&f, 0, 0, 1, &told);
    change(&f, &told);
    fleet_report(&f, &told);
    if (!f.state->fenced || count_effects(&f, COORD_DO_SEND_ACK) != 0)
        fail_msg("not fenced by %s", what);
    assert_status(&f, 0, COORD_MOVING);
    tell(&f, 1, 0, 1, &told); /* a report that is in order changes nothing any more, and gets no lease */
    fleet_report(&f, &told);
    assert_status(&f, 1, COORD_MOVING);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_ACK), 0);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_PAUSE, NULL), ZDM_FENCED);
    fleet_fini(&f);
}

static void later_epoch(struct fleet *f, struct told *told)
{
    told->of.accepted.epoch = f->state->epoch + 1;
}

static void foreign_instance(struct fleet *f, struct told *told)
{
    (void)f;
    told->of.accepted.instance.bytes[0] ^= 1;
}

static void longer_log(struct fleet *f, struct told *told)
{
    told->of.accepted.generation = f->state->head_seq + 1;
}

static void other_history(struct fleet *f, struct told *told)
{
    (void)f;
    told->of.accepted.anchor.bytes[0] ^= 1;
}

static void position_that_directed_nobody(struct fleet *f, struct told *told)
{
    (void)f;
    told->of.accepted.generation = 1;
}

static void coordinator_fences_itself_when_an_agent_is_ahead_of_it(void **unused)
{
    (void)unused;
    assert_fences("a later epoch", later_epoch);
    assert_fences("a foreign instance", foreign_instance);
    assert_fences("a longer log", longer_log);
    assert_fences("another history", other_history);
    assert_fences("a position that directed nobody", position_that_directed_nobody);
}

static void recovered_coordinator_has_every_shard_paused(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, "em");
    struct coord_event event = {.type = COORD_EVENT_FENCED};
    fleet_event(&f, &event);
    event = (struct coord_event){.type = COORD_EVENT_RECOVERED};
    fleet_event(&f, &event);
    assert_false(f.state->fenced);
    assert_status(&f, 0, COORD_HELD);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RESUME, NULL), ZDM_OK);
    assert_status(&f, 0, COORD_MOVING);
    fleet_fini(&f);
}

static void reached_counts_only_from_the_actor_and_the_current_generation(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told, old;
    begin(&f, "em");
    tell(&f, 0, 1, 1, &told); /* the other agent, of a node that takes no writes */
    told.report.writable = false;
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_MOVING);
    tell(&f, 0, 0, 1, &old);
    fleet_ask(&f, ZDM_VERB_PAUSE, NULL);
    fleet_ask(&f, ZDM_VERB_RESUME, NULL);
    fleet_report(&f, &old);
    assert_status(&f, 0, COORD_MOVING);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 1); /* it is told what holds */
    tell(&f, 0, 0, 1, &told);
    told.of.state = ZDM_AGENT_ASKING; /* it only repeats its journal */
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_MOVING);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 1); /* and waits to be answered */
    tell(&f, 0, 0, 1, &told);
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_READY);
    fleet_fini(&f);
}

static void directive_is_sent_at_the_first_report_of_a_session_and_not_at_the_next(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f, "em");
    tell(&f, 0, 0, 0, &told);
    fleet_report(&f, &told);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 0);
    fleet_input(&f, &(struct coord_input){
                        .kind = COORD_IN_AGENT_GONE, .now_ms = f.now_ms, .u.agent_gone.agent = agent_id(0, 0)});
    fleet_report(&f, &told);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 1);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_ACK), 1);
    fleet_fini(&f);
}

static void after_a_new_epoch_the_same_generation_is_sent_again_and_still_counts(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f, "em");
    tell(&f, 0, 0, 1, &told);
    struct coord_event event = {.type = COORD_EVENT_EPOCH_STARTED};
    event.u.epoch_started.instance.bytes[0] = 8;
    fleet_event(&f, &event);
    fleet_report(&f, &told);
    assert_false(f.state->fenced);
    assert_status(&f, 0, COORD_READY);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 1);
    fleet_fini(&f);
}

/* The second agent of shard 0 reports a writable primary on that timeline. */
static void second_primary(struct fleet *f, uint64_t timeline)
{
    struct told told;
    tell(f, 0, 1, 0, &told);
    told.report.timeline = timeline;
    fleet_report(f, &told);
}

static void assert_actor(struct fleet *f, unsigned replica)
{
    struct zdm_id id = agent_id(0, replica);
    assert_true(zdm_id_equal(&shard(f, 0)->actor, &id));
}

static void actor_moves_to_the_new_primary_and_stays_where_the_timeline_is_higher(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, "em");
    uint64_t generation = shard(&f, 0)->generation;
    second_primary(&f, 2);
    assert_actor(&f, 1);
    assert_status(&f, 0, COORD_MOVING);
    assert_true(shard(&f, 0)->generation > generation);
    struct told told;
    tell(&f, 0, 0, 1, &told); /* the old primary still believes in itself */
    fleet_report(&f, &told);
    assert_actor(&f, 1);
    assert_status(&f, 0, COORD_MOVING);
    fleet_fini(&f);
}

static void actor_moves_when_it_is_silent_or_takes_no_writes(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f, "em");
    fleet_ask(&f, ZDM_VERB_PAUSE, NULL);
    f.now_ms += COORD_SILENT_MS;
    second_primary(&f, 1);
    assert_actor(&f, 1);
    assert_status(&f, 0, COORD_HELD);
    tell(&f, 0, 1, 0, &told);
    told.report.writable = false;
    fleet_report(&f, &told);
    tell(&f, 0, 0, 0, &told);
    fleet_report(&f, &told);
    assert_actor(&f, 0);
    fleet_fini(&f);
}

static void two_primaries_that_cannot_be_ranked_make_the_shard_unsure_until_one_is_left(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f, "em");
    second_primary(&f, 1);
    assert_status(&f, 0, COORD_UNSURE);
    assert_int_equal(shard(&f, 0)->mode, ZDM_MODE_PAUSE);
    size_t events = f.n_log;
    second_primary(&f, 1);
    assert_int_equal(f.n_log, events);
    tell(&f, 0, 0, 1, &told);
    fleet_report(&f, &told); /* proven, but which of the two counts is open */
    assert_status(&f, 0, COORD_UNSURE);
    tell(&f, 0, 1, 0, &told);
    told.report.writable = false;
    fleet_report(&f, &told);
    tell(&f, 0, 0, 1, &told);
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_READY);
    assert_int_equal(shard(&f, 0)->at, 1);
    fleet_fini(&f);
}

/* A log that was restored knows of fewer attempts than the journal. */
static void failure_of_a_later_attempt_than_the_log_knows_counts(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f, "em");
    tell(&f, 0, 0, 0, &told);
    told.of.state = ZDM_AGENT_STOPPED;
    told.of.error_code = ZDM_DATABASE;
    told.of.failed_attempt = shard(&f, 0)->attempt + 2;
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_FAILED);
    fleet_fini(&f);
}

static void unsure_shard_waits_for_a_person_when_only_the_phases_before_are_proven(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f, "em");
    tell(&f, 0, 0, 0, &told);
    told.of.state = ZDM_AGENT_UNSURE;
    told.of.step = 1;
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_UNSURE);
    tell(&f, 0, 0, 0, &told);
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_UNSURE);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RETRY, "shard=s00000"), ZDM_OK);
    assert_status(&f, 0, COORD_MOVING);
    fleet_fini(&f);
}

static void lost_expand_is_done_again_and_a_lost_switch_makes_the_shard_unsure(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f, "ems");
    fleet_obey_all(&f);
    tell(&f, 0, 0, 0, &told); /* a restored backup: nothing is there */
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_MOVING);
    assert_int_equal(shard(&f, 0)->goal, 1);
    fleet_obey(&f, 0);
    fleet_advance_to(&f, NULL, 3);
    fleet_obey_all(&f);
    fleet_obey(&f, 0);
    fleet_obey(&f, 1);
    assert_int_equal(migration(&f)->mode, COORD_ENDED);
    fleet_fini(&f);

    begin(&f, "ems");
    fleet_obey_all(&f);
    fleet_advance_to(&f, NULL, 3);
    fleet_obey_all(&f);
    fleet_obey(&f, 0); /* done, while shard 1 is on its way */
    assert_status(&f, 0, COORD_DONE);
    tell(&f, 0, 0, 1, &told);
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_UNSURE);
    assert_int_equal(shard(&f, 0)->at, 1);
    fleet_fini(&f);
}

static void loss_that_the_agent_does_not_dare_to_make_good_waits_for_a_person(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f, "em");
    fleet_obey_all(&f);
    tell(&f, 0, 0, 0, &told);
    told.of.state = ZDM_AGENT_UNSURE;
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_UNSURE);
    assert_int_equal(shard(&f, 0)->at, 0);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RETRY, "shard=s00000"), ZDM_OK);
    assert_status(&f, 0, COORD_MOVING);
    assert_int_equal(shard(&f, 0)->attempt, 1);
    fleet_fini(&f);
}

static void agent_that_nobody_enrolled_is_closed(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f, "em");
    tell(&f, 0, 0, 1, &told);
    told.agent.bytes[0] = 1;
    fleet_report(&f, &told);
    assert_int_equal(count_effects(&f, COORD_DO_CLOSE_AGENT), 1);
    assert_status(&f, 0, COORD_MOVING);
    fleet_fini(&f);
}

/* A restored log whose restarts have raised its epoch would win over the journal's: the journal is heard first. */
static void an_agent_is_ordered_nothing_before_its_journal_was_heard(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    fleet_init(&f, 1);
    fleet_submit(&f, plan_of("m", "em"));
    fleet_heartbeat(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    fleet_input(&f, &(struct coord_input){
                        .kind = COORD_IN_AGENT_GONE, .now_ms = f.now_ms, .u.agent_gone.agent = agent_id(0, 0)});
    tell(&f, 0, 0, 0, &told); /* a new session; its database is away, and with it what it has accepted */
    told.report.connected = told.report.writable = false;
    told.report.n_migrations = 0;
    fleet_report(&f, &told);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 0);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_ACK), 1);
    tell(&f, 0, 0, 0, &told);
    told.of.state = ZDM_AGENT_ASKING;
    fleet_report(&f, &told);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 1);
    told.report.connected = told.report.writable = false; /* away again: what it had accepted is known */
    told.of.state = ZDM_AGENT_BLIND;
    told.of.accepted = (struct zdm_fence){.epoch = 0};
    fleet_report(&f, &told);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 1);
    fleet_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agent_is_ordered_nothing_before_its_journal_was_heard),
        cmocka_unit_test(coordinator_fences_itself_when_an_agent_is_ahead_of_it),
        cmocka_unit_test(recovered_coordinator_has_every_shard_paused),
        cmocka_unit_test(reached_counts_only_from_the_actor_and_the_current_generation),
        cmocka_unit_test(directive_is_sent_at_the_first_report_of_a_session_and_not_at_the_next),
        cmocka_unit_test(after_a_new_epoch_the_same_generation_is_sent_again_and_still_counts),
        cmocka_unit_test(actor_moves_to_the_new_primary_and_stays_where_the_timeline_is_higher),
        cmocka_unit_test(actor_moves_when_it_is_silent_or_takes_no_writes),
        cmocka_unit_test(two_primaries_that_cannot_be_ranked_make_the_shard_unsure_until_one_is_left),
        cmocka_unit_test(failure_of_a_later_attempt_than_the_log_knows_counts),
        cmocka_unit_test(unsure_shard_waits_for_a_person_when_only_the_phases_before_are_proven),
        cmocka_unit_test(lost_expand_is_done_again_and_a_lost_switch_makes_the_shard_unsure),
        cmocka_unit_test(loss_that_the_agent_does_not_dare_to_make_good_waits_for_a_person),
        cmocka_unit_test(agent_that_nobody_enrolled_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
