/*
 * test_walk.c - a migration from its submission to its end, and the ways a person stops and starts it.
 */
#include "fleet.h"

#include <string.h>

#include "common/base/buffer.h"

static void migration_ends_done_when_every_shard_has_finished_the_last_phase(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 4);
    assert_int_equal(fleet_submit(&f, plan_of("m", "emsc")), ZDM_OK);
    fleet_heartbeat(&f);
    for (uint32_t p = 1; p <= 4; p++) {
        assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
        for (size_t i = 0; i < 4; i++)
            assert_status(&f, i, COORD_MOVING);
        fleet_obey_all(&f);
    }
    assert_int_equal(migration(&f)->mode, COORD_ENDED);
    assert_int_equal(migration(&f)->outcome, COORD_END_DONE);
    assert_int_equal(count_events(&f, COORD_EVENT_GATE_PASSED), 1);
    assert_int_equal(count_events(&f, COORD_EVENT_BARRIER_OPENED), 2);
    assert_int_equal(count_events(&f, COORD_EVENT_SHARD_REACHED), 16);
    /* Four events name actors; from then on all four shards share one event a phase. */
    assert_int_equal(count_events(&f, COORD_EVENT_SHARDS_DIRECTED), 4 + 3);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void pause_of_all_shards_is_one_event_and_resume_brings_each_back_to_what_it_was(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 4);
    fleet_submit(&f, plan_of("m", "em"));
    fleet_heartbeat(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    fleet_obey(&f, 0);
    size_t before = count_events(&f, COORD_EVENT_SHARDS_DIRECTED);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_PAUSE, NULL), ZDM_OK);
    assert_int_equal(count_events(&f, COORD_EVENT_SHARDS_DIRECTED), before + 1);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 4);
    for (size_t i = 0; i < 4; i++)
        assert_status(&f, i, COORD_HELD);
    size_t events = f.n_log;
    assert_int_equal(fleet_ask(&f, ZDM_VERB_PAUSE, NULL), ZDM_OK); /* already paused: nothing to log */
    assert_int_equal(f.n_log, events);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RESUME, NULL), ZDM_OK);
    assert_status(&f, 0, COORD_READY);
    assert_status(&f, 1, COORD_MOVING);
    fleet_fini(&f);
}

static void paused_shard_that_had_finished_before_the_pause_arrived_counts_as_finished(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    fleet_init(&f, 2);
    fleet_submit(&f, plan_of("m", "em"));
    fleet_heartbeat(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    tell(&f, 0, 0, 1, &told);
    fleet_ask(&f, ZDM_VERB_PAUSE, "shard=s00000");
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_HELD);
    assert_int_equal(shard(&f, 0)->at, 1);
    assert_int_equal(shard(&f, 0)->resume_to, COORD_READY);
    /* It reported the old generation: the pause is sent again. */
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 1);
    fleet_ask(&f, ZDM_VERB_RESUME, "shard=s00000");
    assert_status(&f, 0, COORD_READY);
    fleet_fini(&f);
}

static void failed_shard_moves_again_only_when_it_is_retried(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 2);
    struct zdm_plan *plan = plan_of("m", "em");
    plan->failure_budget = 1;
    fleet_submit(&f, plan);
    fleet_heartbeat(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    fleet_fail(&f, 0, "null value in column");
    assert_status(&f, 0, COORD_FAILED);
    assert_string_equal(shard(&f, 0)->failure, "null value in column");
    assert_string_equal(shard(&f, 0)->hint, "Look at the rows.");
    assert_int_equal(migration(&f)->mode, COORD_OPEN);
    size_t events = f.n_log;
    fleet_fail(&f, 0, "null value in column"); /* it says so again */
    assert_int_equal(f.n_log, events);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RESUME, "shard=s00000"), ZDM_REFUSED);
    assert_non_null(strstr(f.answer.hint, "retry"));
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RETRY, "shard=s00000"), ZDM_OK);
    assert_status(&f, 0, COORD_MOVING);
    assert_int_equal(shard(&f, 0)->attempt, 1);
    struct told told;
    tell(&f, 0, 0, 0, &told);
    told.of.state = ZDM_AGENT_STOPPED; /* of the attempt before: the new order has not arrived */
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_MOVING);
    fleet_obey(&f, 0);
    assert_status(&f, 0, COORD_READY);
    fleet_fini(&f);
}

static void migration_halts_when_more_shards_fail_than_the_budget_allows_and_the_others_finish_their_phase(
    void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 4);
    struct zdm_plan *plan = plan_of("m", "em");
    plan->failure_budget = 1;
    fleet_submit(&f, plan);
    fleet_heartbeat(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    fleet_fail(&f, 0, "null value in column");
    fleet_fail(&f, 1, "null value in column");
    assert_int_equal(migration(&f)->mode, COORD_HALTED);
    fleet_obey(&f, 2);
    assert_status(&f, 2, COORD_READY);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, NULL), ZDM_REFUSED);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RETRY, "tier=odd"), ZDM_OK);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RESUME, NULL), ZDM_OK);
    assert_int_equal(migration(&f)->mode, COORD_OPEN);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
    assert_status(&f, 2, COORD_MOVING);
    fleet_fini(&f);
}

static void throttle_gives_every_directed_shard_a_new_generation(void **unused)
{
    (void)unused;
    struct fleet f;
    struct zdm_envelope approvals[ZDM_APPROVALS_MAX];
    struct zdm_directive before, after;
    fleet_init(&f, 2);
    fleet_submit(&f, plan_of("m", "em"));
    fleet_heartbeat(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    assert_true(coord_directive(f.state, migration(&f), 0, approvals, &before));
    struct zdm_request request = {.verb = ZDM_VERB_THROTTLE, .shards = {.all = true}, .throttle = {.duty_percent = 5}};
    zdm_copy_text(request.migration, sizeof request.migration, "m");
    assert_int_equal(fleet_request(&f, &request, NULL), ZDM_OK);
    assert_true(coord_directive(f.state, migration(&f), 0, approvals, &after));
    assert_int_equal(after.throttle.duty_percent, 5);
    assert_true(zdm_fence_compare(&before.fence, &after.fence) < 0);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_DIRECTIVE), 2);
    fleet_obey(&f, 0);
    assert_status(&f, 0, COORD_READY);
    fleet_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(migration_ends_done_when_every_shard_has_finished_the_last_phase),
        cmocka_unit_test(pause_of_all_shards_is_one_event_and_resume_brings_each_back_to_what_it_was),
        cmocka_unit_test(paused_shard_that_had_finished_before_the_pause_arrived_counts_as_finished),
        cmocka_unit_test(failed_shard_moves_again_only_when_it_is_retried),
        cmocka_unit_test(
            migration_halts_when_more_shards_fail_than_the_budget_allows_and_the_others_finish_their_phase),
        cmocka_unit_test(throttle_gives_every_directed_shard_a_new_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
