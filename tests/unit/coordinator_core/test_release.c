/*
 * test_release.c - coord_releasable: barrier, waves, soak, max_parallel, gates, agents that are away; what it says of
 * those who wait, and when it wants to be asked again.
 */
#include "fleet.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

static struct coord_release look(struct fleet *f, size_t i, char text[256])
{
    struct coord_migration *m = migration(f);
    struct coord_release *all = calloc(m->n_shards, sizeof *all);
    coord_releasable(f->state, &f->view, m, f->now_ms, all);
    struct coord_release one = all[shard(f, i) - m->shards];
    free(all);
    coord_hold_text(text, 256, m, &one, f->now_ms);
    return one;
}

static void assert_held(struct fleet *f, size_t i, enum coord_hold hold, const char *text)
{
    char said[256];
    struct coord_release release = look(f, i, said);
    assert_string_equal(said, text);
    assert_int_equal(release.hold, hold);
}

/* Phase 1 is open; shards with an odd number are the first wave. */
static void begin(struct fleet *f, size_t n, const char *phases, int64_t soak_ms, uint32_t parallel)
{
    struct zdm_plan *plan = plan_of("m", phases);
    fleet_init(f, n);
    plan->waves[0].selector = zdm_strdup("tier=odd");
    plan->waves[1].percent = 100;
    plan->n_waves = 2;
    plan->wave_soak_ms = soak_ms;
    plan->max_parallel = parallel;
    plan->failure_budget = 9;
    assert_int_equal(fleet_submit(f, plan), ZDM_OK);
    fleet_heartbeat(f);
    assert_held(f, 0, COORD_HOLD_ADVANCE, "waits for advance to phase 1 (expand)");
    assert_int_equal(fleet_ask(f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
}

static void second_wave_waits_for_the_first_and_then_soaks(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 4, "em", 60000, 0);
    assert_status(&f, 1, COORD_MOVING);
    assert_status(&f, 0, COORD_READY);
    fleet_obey(&f, 1);
    assert_held(&f, 0, COORD_HOLD_WAVE, "wave 1 has not finished phase 1 (expand): s00003");
    fleet_obey(&f, 3);
    assert_held(&f, 0, COORD_HOLD_SOAK, "wave 1 soaks for another 1 min 00 s");
    assert_int_equal(coord_next_tick(f.state, &f.view, f.now_ms), f.now_ms + 60000);
    f.now_ms += 59999;
    fleet_heartbeat(&f);
    assert_status(&f, 0, COORD_READY);
    f.now_ms += 1;
    fleet_tick(&f);
    assert_status(&f, 0, COORD_MOVING);
    assert_int_equal(count_events(&f, COORD_EVENT_WAVE_OPENED), 1);
    assert_int_equal(migration(&f)->opened_wave, 1);
    fleet_fini(&f);
}

static void shard_that_fails_is_paused_or_is_away_does_not_hold_the_next_wave_once_another_got_through(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f, 8, "em", 0, 0);
    fleet_obey(&f, 1);
    tell(&f, 3, 0, 0, &told);
    told.of.state = ZDM_AGENT_STOPPED;
    fleet_report(&f, &told);
    fleet_ask(&f, ZDM_VERB_PAUSE, "shard=s00005");
    assert_held(&f, 0, COORD_HOLD_WAVE, "wave 1 has not finished phase 1 (expand): s00003");
    f.now_ms += COORD_SILENT_MS; /* nobody has heard of s00007 since */
    tell(&f, 0, 0, 0, &told);
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_MOVING);
    fleet_fini(&f);
}

static void wave_of_which_nobody_got_through_keeps_the_next_one_out_unless_a_person_paused_it(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 4, "em", 0, 0);
    f.now_ms += 10 * COORD_SILENT_MS;
    struct told told;
    tell(&f, 0, 0, 0, &told);
    fleet_report(&f, &told);
    assert_held(&f, 0, COORD_HOLD_WAVE, "wave 1 has not finished phase 1 (expand): s00001");
    fleet_ask(&f, ZDM_VERB_PAUSE, "tier=odd");
    assert_status(&f, 0, COORD_MOVING);
    fleet_fini(&f);
}

static void at_most_max_parallel_shards_move_at_a_time(void **unused)
{
    (void)unused;
    struct fleet f;
    struct zdm_plan *plan = plan_of("m", "em");
    plan->max_parallel = 2;
    fleet_init(&f, 5);
    fleet_submit(&f, plan);
    fleet_heartbeat(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    assert_status(&f, 1, COORD_MOVING);
    assert_held(&f, 2, COORD_HOLD_PARALLEL, "2 shards are moving, at most 2 may");
    fleet_obey(&f, 0);
    assert_status(&f, 2, COORD_MOVING);
    assert_status(&f, 3, COORD_READY);
    fleet_fini(&f);
}

static void barrier_before_switch_waits_for_every_shard_and_names_one(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 3);
    fleet_submit(&f, plan_of("m", "ems"));
    fleet_heartbeat(&f);
    assert_int_equal(fleet_advance_to(&f, NULL, 3), ZDM_OK);
    fleet_obey_all(&f);
    fleet_obey(&f, 0);
    assert_held(&f, 0, COORD_HOLD_BARRIER, "barrier: 2 of 3 shards have not finished phase 2 (migrate) (s00001, …)");
    fleet_ask(&f, ZDM_VERB_PAUSE, "shard=s00002");
    fleet_obey(&f, 1);
    assert_held(&f, 0, COORD_HOLD_BARRIER, "barrier: 1 of 3 shards has not finished phase 2 (migrate) (s00002)");
    assert_held(&f, 2, COORD_HOLD_STATUS, "paused: resume it");
    fleet_ask(&f, ZDM_VERB_RESUME, NULL);
    fleet_obey(&f, 2);
    for (size_t i = 0; i < 3; i++)
        assert_status(&f, i, COORD_MOVING);
    fleet_fini(&f);
}

static void gate_is_passed_by_the_advance_behind_it_and_never_jumped_over(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 2);
    fleet_submit(&f, plan_of("m", "esc"));
    fleet_heartbeat(&f);
    assert_int_equal(fleet_advance_to(&f, NULL, 3), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "gate use-new stands between phase 2 and phase 3");
    assert_int_equal(fleet_advance_to(&f, NULL, 2), ZDM_OK);
    fleet_obey_all(&f);
    fleet_obey(&f, 0);
    assert_held(&f, 0, COORD_HOLD_GATE, "flag use-new: roll it out, then advance to phase 3");
    assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, NULL), ZDM_REFUSED); /* shard 1 has not got there */
    fleet_obey(&f, 1);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
    assert_int_equal(migration(&f)->gates[1].state, COORD_GATE_PASSED);
    assert_status(&f, 0, COORD_MOVING);
    fleet_fini(&f);
}

static void advance_with_a_selection_moves_only_those_and_a_later_one_takes_the_others_along(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 4);
    fleet_submit(&f, plan_of("m", "emm"));
    fleet_heartbeat(&f);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, "tier=odd"), ZDM_OK);
    assert_status(&f, 1, COORD_MOVING);
    assert_status(&f, 0, COORD_READY);
    assert_held(&f, 0, COORD_HOLD_ADVANCE, "waits for advance to phase 1 (expand)");
    fleet_obey_all(&f);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, "tier=odd"), ZDM_OK);
    assert_status(&f, 1, COORD_MOVING);
    assert_int_equal(migration(&f)->opened_phase, 2);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, NULL), ZDM_OK); /* the others, into phase 1 */
    assert_status(&f, 0, COORD_MOVING);
    assert_int_equal(shard(&f, 0)->goal, 1);
    assert_int_equal(shard(&f, 1)->opened, 2);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void shard_without_a_writable_primary_waits_and_holds_nobody_up(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    fleet_init(&f, 2);
    fleet_submit(&f, plan_of("m", "em"));
    tell(&f, 0, 0, 0, &told);
    fleet_report(&f, &told);
    tell(&f, 1, 0, 0, &told);
    told.report.connected = told.report.writable = false;
    fleet_report(&f, &told);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    assert_status(&f, 0, COORD_MOVING);
    assert_held(&f, 1, COORD_HOLD_NO_AGENT, "no agent reports a writable primary");
    fleet_fini(&f);
}

static void frozen_fleet_releases_nobody_and_what_moves_goes_on(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 2);
    struct zdm_plan *plan = plan_of("m", "em");
    plan->max_parallel = 1;
    fleet_submit(&f, plan);
    fleet_heartbeat(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    fleet_ask(&f, ZDM_VERB_FREEZE, NULL);
    fleet_obey(&f, 0);
    assert_status(&f, 0, COORD_READY);
    assert_held(&f, 1, COORD_HOLD_FROZEN, "the fleet is frozen: thaw it");
    assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, NULL), ZDM_REFUSED);
    fleet_ask(&f, ZDM_VERB_THAW, NULL);
    assert_status(&f, 1, COORD_MOVING);
    fleet_fini(&f);
}

static void halted_migration_releases_nobody_and_says_that_it_is_halted(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    struct zdm_plan *plan = plan_of("m", "em");
    plan->max_parallel = 1;
    fleet_init(&f, 2);
    fleet_submit(&f, plan);
    fleet_heartbeat(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    assert_status(&f, 0, COORD_MOVING);
    tell(&f, 0, 0, 0, &told);
    told.of.state = ZDM_AGENT_STOPPED;
    told.of.failed_attempt = shard(&f, 0)->attempt;
    fleet_report(&f, &told); /* one more than the budget of none */
    assert_status(&f, 0, COORD_FAILED);
    assert_int_equal(migration(&f)->mode, COORD_HALTED);
    fleet_heartbeat(&f);
    assert_status(&f, 1, COORD_READY);
    char said[256];
    struct coord_release release = look(&f, 1, said);
    assert_int_equal(release.hold, COORD_HOLD_HALTED);
    assert_true(zdm_id_is_zero(&release.actor));
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RESUME, NULL), ZDM_OK);
    assert_status(&f, 1, COORD_MOVING);
    fleet_fini(&f);
}

static void phase_whose_approvals_are_given_is_opened_without_asking_for_them(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 1);
    fleet_submit(&f, plan_of("m", "ed"));
    fleet_heartbeat(&f);
    fleet_advance_to(&f, NULL, 1);
    fleet_obey_all(&f);
    assert_int_equal(fleet_approve(&f, BOB, ZDM_APPROVE_ENTER, 2), ZDM_OK);
    fleet_advance_to(&f, NULL, 2);
    assert_string_equal(f.answer.message, "phase 2 (contract) is open for 1 of 1 shards");
    assert_string_equal(f.answer.hint, "");
    assert_status(&f, 0, COORD_MOVING);
    fleet_fini(&f);
}

static void phase_that_needs_approvals_is_entered_when_they_are_there_and_the_text_says_how_to_give_them(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 1);
    struct zdm_plan *plan = plan_of("m", "edp");
    plan->phases[1].approvals = 2;
    fleet_submit(&f, plan);
    fleet_heartbeat(&f);
    fleet_advance_to(&f, NULL, 2);
    assert_string_equal(
        f.answer.hint, "Entering takes 2 approvals: each approver says \"zdmctl approve m --phase 2 --runbook FILE\".");
    fleet_obey(&f, 0);
    assert_held(&f, 0, COORD_HOLD_APPROVALS,
                "approvals: 0 of 2 for phase 2 (contract): zdmctl approve m --phase 2 --runbook FILE");
    assert_int_equal(fleet_approve(&f, BOB, ZDM_APPROVE_ENTER, 2), ZDM_OK);
    assert_string_equal(f.answer.message, "phase 2 (contract) of m is approved: 1 of 2 approvals");
    assert_held(&f, 0, COORD_HOLD_APPROVALS,
                "approvals: 1 of 2 for phase 2 (contract): zdmctl approve m --phase 2 --runbook FILE");
    assert_int_equal(fleet_approve(&f, ANN, ZDM_APPROVE_ENTER, 2), ZDM_OK);
    assert_status(&f, 0, COORD_MOVING);
    fleet_obey(&f, 0);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
    assert_held(&f, 0, COORD_HOLD_APPROVALS, "approvals: 0 of 1 for phase 3 (purge): zdmctl purge m");
    assert_int_equal(fleet_approve(&f, BOB, ZDM_APPROVE_PURGE, 3), ZDM_OK);
    assert_status(&f, 0, COORD_MOVING);
    fleet_obey(&f, 0);
    assert_int_equal(migration(&f)->mode, COORD_ENDED);
    fleet_fini(&f);
}

static void shard_waits_until_its_agent_has_the_trust_file_in_force_where_a_phase_destroys(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    fleet_init(&f, 1);
    f.state->trust_version = 2;
    fleet_submit(&f, plan_of("m", "ed"));
    fleet_heartbeat(&f);
    fleet_advance_to(&f, NULL, 2);
    fleet_obey(&f, 0);
    tell(&f, 0, 0, 1, &told);
    told.report.trust_version = 1;
    fleet_report(&f, &told);
    fleet_approve(&f, BOB, ZDM_APPROVE_ENTER, 2);
    assert_held(
        &f, 0, COORD_HOLD_TRUST,
        "the agent's trust file is version 1, here version 2 is in force; it takes the newer one when it reports");
    fleet_heartbeat(&f);
    assert_status(&f, 0, COORD_MOVING);
    fleet_fini(&f);
}

static void purge_waits_at_the_barrier_like_contract(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 2);
    fleet_submit(&f, plan_of("m", "ep"));
    fleet_heartbeat(&f);
    fleet_advance_to(&f, NULL, 2);
    fleet_approve(&f, BOB, ZDM_APPROVE_PURGE, 2);
    fleet_obey(&f, 0);
    assert_held(&f, 0, COORD_HOLD_BARRIER, "barrier: 1 of 2 shards has not finished phase 1 (expand) (s00001)");
    fleet_obey(&f, 1);
    assert_status(&f, 0, COORD_MOVING);
    fleet_fini(&f);
}

static void shard_that_was_rolled_back_holds_the_barrier_and_the_text_says_so(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 2);
    fleet_submit(&f, plan_of("m", "emc"));
    fleet_heartbeat(&f);
    fleet_advance_to(&f, NULL, 2);
    fleet_obey_all(&f);
    fleet_obey_all(&f);
    assert_int_equal(fleet_rollback(&f, "shard=s00001", 1, false), ZDM_OK);
    fleet_obey(&f, 1);
    assert_held(&f, 1, COORD_HOLD_STATUS, "rolled back: resume it to go forward again, or exclude it");
    fleet_advance_to(&f, "shard=s00000", 3);
    assert_held(
        &f, 0, COORD_HOLD_BARRIER,
        "barrier: 1 of 2 shards has not finished phase 2 (migrate) (s00001, rolled back: resume and advance it, or "
        "exclude it)");
    assert_int_equal(fleet_rollback(&f, "shard=s00001", 0, false), ZDM_OK);
    fleet_obey(&f, 1);
    assert_status(&f, 1, COORD_UNDONE);
    assert_held(&f, 1, COORD_HOLD_STATUS, "rolled back: resume it to go forward again, or exclude it");
    assert_status(&f, 0, COORD_READY);
    assert_int_equal(fleet_exclude(&f, "shard=s00001", "its host is gone"), ZDM_OK);
    assert_status(&f, 0, COORD_MOVING);
    fleet_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_wave_waits_for_the_first_and_then_soaks),
        cmocka_unit_test(shard_that_fails_is_paused_or_is_away_does_not_hold_the_next_wave_once_another_got_through),
        cmocka_unit_test(wave_of_which_nobody_got_through_keeps_the_next_one_out_unless_a_person_paused_it),
        cmocka_unit_test(at_most_max_parallel_shards_move_at_a_time),
        cmocka_unit_test(barrier_before_switch_waits_for_every_shard_and_names_one),
        cmocka_unit_test(gate_is_passed_by_the_advance_behind_it_and_never_jumped_over),
        cmocka_unit_test(advance_with_a_selection_moves_only_those_and_a_later_one_takes_the_others_along),
        cmocka_unit_test(shard_without_a_writable_primary_waits_and_holds_nobody_up),
        cmocka_unit_test(frozen_fleet_releases_nobody_and_what_moves_goes_on),
        cmocka_unit_test(halted_migration_releases_nobody_and_says_that_it_is_halted),
        cmocka_unit_test(phase_whose_approvals_are_given_is_opened_without_asking_for_them),
        cmocka_unit_test(phase_that_needs_approvals_is_entered_when_they_are_there_and_the_text_says_how_to_give_them),
        cmocka_unit_test(shard_waits_until_its_agent_has_the_trust_file_in_force_where_a_phase_destroys),
        cmocka_unit_test(purge_waits_at_the_barrier_like_contract),
        cmocka_unit_test(shard_that_was_rolled_back_holds_the_barrier_and_the_text_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
