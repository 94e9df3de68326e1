/*
 * test_amend.c - another plan for a migration that is under way: what may change, what falls away, what is refused.
 */
#include "fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

/* A plan whose phases have the digests of the letters in `marks`, one for each phase. */
static struct zdm_plan *marked(const char *phases, const char *marks)
{
    struct zdm_plan *plan = plan_of("m", phases);
    for (size_t i = 0; i < plan->n_phases; i++) {
        plan->phases[i].digest.bytes[0] = (uint8_t)marks[i];
        plan->hash.bytes[i] = (uint8_t)marks[i];
    }
    return plan;
}

/* Takes the plan. */
static enum zdm_code amend(struct fleet *f, struct zdm_plan *plan)
{
    struct zdm_request request = {.verb = ZDM_VERB_SUBMIT, .plan_hash = plan->hash, .amend = true};
    zdm_copy_text(request.migration, sizeof request.migration, plan->id);
    enum zdm_code code = fleet_request(f, &request, plan);
    zdm_plan_unref(plan);
    return code;
}

/* n shards, all of which have finished `done` phases of "eemd" marked "abcd". */
static void begin(struct fleet *f, size_t n, uint32_t done)
{
    fleet_init(f, n);
    assert_int_equal(fleet_submit(f, marked("eemd", "abcd")), ZDM_OK);
    fleet_heartbeat(f);
    for (uint32_t p = 1; p <= done; p++) {
        fleet_ask(f, ZDM_VERB_ADVANCE, NULL);
        fleet_obey_all(f);
    }
}

static void phases_that_nobody_has_entered_may_become_others(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 2, 1);
    uint64_t before = shard(&f, 0)->generation;
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    assert_int_equal(migration(&f)->opened_phase, 2);
    assert_int_equal(amend(&f, marked("eemd", "abxy")), ZDM_OK);
    assert_string_equal(f.answer.message, "the plan of m is amended from phase 3 on");
    assert_int_equal(count_events(&f, COORD_EVENT_PLAN_AMENDED), 1);
    assert_int_equal(migration(&f)->plan->phases[2].digest.bytes[0], 'x');
    assert_int_equal(migration(&f)->opened_phase, 2);
    assert_string_equal(migration(&f)->amended_by, "ann");
    assert_true(shard(&f, 0)->generation > before);
    assert_status(&f, 0, COORD_MOVING); /* phase 2 is the same: it goes on */
    assert_true(count_effects(&f, COORD_DO_SEND_DIRECTIVE) >= 2);
    fleet_obey_all(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    fleet_obey_all(&f);
    assert_int_equal(shard(&f, 1)->at, 3);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void phase_that_a_shard_has_entered_cannot_change_and_the_refusal_names_both(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 2, 2);
    size_t events = f.n_log;
    assert_int_equal(amend(&f, marked("eemd", "axcd")), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "phase 2 (expand) is another one, and shard s00000 has entered it");
    assert_string_equal(f.answer.detail,
                        "Shard s00000 has entered phase 2: up to there the plan has to stay as it is.");
    assert_non_null(strstr(f.answer.hint, "zdmctl rollback m --all-shards --to 1"));
    assert_int_equal(amend(&f, marked("e", "a")), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "phase 2 (expand) is gone, and shard s00000 has entered it");
    assert_int_equal(amend(&f, marked("eemd", "xbcd")), ZDM_REFUSED);
    assert_non_null(strstr(f.answer.hint, "submit it anew"));
    assert_int_equal(f.n_log, events);
    fleet_fini(&f);
}

static void plan_whose_signer_has_left_is_signed_anew_before_it_is_amended(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 2, 1);
    f.view.authority.people[ANN].roles = ZDM_ROLE_APPROVER;
    f.who = DAN;
    size_t events = f.n_log;
    assert_int_equal(amend(&f, marked("eemd", "abxy")), ZDM_REFUSED);
    assert_string_equal(f.answer.message,
                        "the plan of m that is in force was signed by ann, who is no operator any more");
    assert_non_null(strstr(f.answer.hint, "Sign it anew first: zdmctl submit RUNBOOK"));
    assert_int_equal(f.n_log, events);
    assert_int_equal(fleet_submit(&f, marked("eemd", "abcd")), ZDM_OK);
    assert_string_equal(f.answer.message, "the plan of m is signed anew by dan");
    assert_int_equal(amend(&f, marked("eemd", "abxy")), ZDM_OK);
    assert_int_equal(count_events(&f, COORD_EVENT_PLAN_AMENDED), 2);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void one_shard_that_is_ahead_decides(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 3, 1);
    fleet_ask(&f, ZDM_VERB_ADVANCE, "tier=odd"); /* s00001, which is only on its way */
    assert_int_equal(amend(&f, marked("eemd", "axcd")), ZDM_REFUSED);
    assert_non_null(strstr(f.answer.message, "shard s00001 has entered it"));
    fleet_ask(&f, ZDM_VERB_PAUSE, NULL);
    assert_int_equal(amend(&f, marked("eemd", "axcd")), ZDM_REFUSED);
    assert_int_equal(fleet_exclude(&f, "tier=odd", "gone"), ZDM_OK); /* it may come back */
    assert_int_equal(amend(&f, marked("eemd", "axcd")), ZDM_REFUSED);
    fleet_fini(&f);
}

static void phase_that_is_open_and_changed_closes_again(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 1, 1);
    fleet_ask(&f, ZDM_VERB_PAUSE, NULL);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL); /* open, and nobody goes in */
    assert_int_equal(migration(&f)->opened_phase, 2);
    assert_int_equal(amend(&f, marked("eemd", "axcd")), ZDM_OK);
    assert_string_equal(f.answer.hint, "Phase 2 is closed again: zdmctl advance m opens it.");
    assert_int_equal(migration(&f)->opened_phase, 1);
    assert_int_equal(shard(&f, 0)->opened, 1);
    fleet_ask(&f, ZDM_VERB_RESUME, NULL);
    assert_status(&f, 0, COORD_READY);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    assert_status(&f, 0, COORD_MOVING);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void approvals_of_the_plan_as_it_was_count_no_more_and_the_answer_says_whose(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 1, 3);
    assert_int_equal(fleet_approve(&f, BOB, ZDM_APPROVE_ENTER, 4), ZDM_OK);
    assert_int_equal(fleet_approve(&f, CAT, ZDM_APPROVE_UNDO, 1),
                     ZDM_OK); /* behind every shard, and of use until now */
    assert_int_equal(amend(&f, marked("eemd", "abcx")), ZDM_OK);
    assert_string_equal(f.answer.detail, "Approvals of the plan as it was count no more: bob's for phase 4, cat's for "
                                         "phase 1. Approvers sign the new one.");
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    assert_status(&f, 0, COORD_READY); /* it waits */
    assert_int_equal(fleet_approve(&f, BOB, ZDM_APPROVE_ENTER, 4), ZDM_OK);
    assert_status(&f, 0, COORD_MOVING);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void shard_inside_an_approved_phase_goes_on(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 1);
    assert_int_equal(fleet_submit(&f, marked("edep", "abcd")), ZDM_OK);
    fleet_heartbeat(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    fleet_obey_all(&f);
    assert_int_equal(fleet_approve(&f, BOB, ZDM_APPROVE_ENTER, 2), ZDM_OK);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    assert_status(&f, 0, COORD_MOVING);
    assert_int_equal(amend(&f, marked("edep", "abxd")), ZDM_OK);
    assert_string_equal(f.answer.detail, ""); /* it is in: nobody needs them any more */
    assert_status(&f, 0, COORD_MOVING);
    fleet_obey_all(&f);
    assert_int_equal(shard(&f, 0)->at, 2);
    fleet_fini(&f);
}

static void who_had_finished_has_more_to_do_and_who_waited_has_finished(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 2);
    assert_int_equal(fleet_submit(&f, marked("ee", "ab")), ZDM_OK);
    fleet_heartbeat(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    fleet_obey_all(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, "tier=odd");
    fleet_obey_all(&f);
    assert_status(&f, 1, COORD_DONE);
    assert_int_equal(amend(&f, marked("eee", "abc")), ZDM_OK);
    assert_status(&f, 1, COORD_READY);
    assert_int_equal(amend(&f, marked("ee", "ab")), ZDM_OK);
    assert_status(&f, 1, COORD_DONE);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    fleet_obey_all(&f);
    assert_int_equal(migration(&f)->mode, COORD_ENDED);
    assert_int_equal(amend(&f, marked("eee", "abc")), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "migration m has ended");
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void nobody_amends_under_a_shard_that_goes_back(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 2, 2);
    assert_int_equal(fleet_rollback(&f, NULL, 1, false), ZDM_OK);
    assert_int_equal(amend(&f, marked("eemd", "abcx")), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "shard s00000 is on its way back by an order that names the plan as it is");
    fleet_obey_all(&f);
    assert_int_equal(amend(&f, marked("eemd", "axcd")), ZDM_REFUSED); /* its agent may still be on the way */
    assert_string_equal(f.answer.hint, "Let it take part again first: zdmctl resume m --shard s00000.");
    fleet_ask(&f, ZDM_VERB_RESUME, NULL);
    assert_int_equal(amend(&f, marked("eemd", "axcd")), ZDM_REFUSED);
    assert_string_equal(f.answer.hint, "Amend when its agent has been heard: zdmctl status m.");
    fleet_heartbeat(&f);
    assert_int_equal(amend(&f, marked("eemd", "axcd")), ZDM_OK); /* phase 2 is nobody's any more */
    assert_string_equal(f.answer.message, "the plan of m is amended from phase 2 on");
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    fleet_obey_all(&f);
    assert_int_equal(shard(&f, 0)->at, 2);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void shard_that_was_rolled_back_all_the_way_is_resumed_first(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 2, 1);
    assert_int_equal(fleet_rollback(&f, "tier=odd", 0, false), ZDM_OK);
    fleet_obey_all(&f);
    assert_status(&f, 1, COORD_UNDONE);
    assert_int_equal(amend(&f, marked("eemd", "abcx")), ZDM_REFUSED);
    assert_string_equal(f.answer.hint, "Let it take part again first: zdmctl resume m --shard s00001.");
    fleet_ask(&f, ZDM_VERB_RESUME, "tier=odd");
    fleet_heartbeat(&f);
    assert_int_equal(amend(&f, marked("eemd", "abcx")), ZDM_OK);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void header_keeps_its_shards_and_waves_and_may_change_its_budget(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 2, 1);
    struct zdm_plan *plan = marked("eemd", "abcx");
    free(plan->selector);
    plan->selector = zdm_strdup("tier=odd");
    assert_int_equal(amend(&f, plan), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "\"shards\" of a plan that is under way cannot change");
    plan = marked("eemd", "abcx");
    plan->waves[0].percent = 50;
    assert_int_equal(amend(&f, plan), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "\"waves\" of a plan that is under way cannot change");
    plan = marked("eemd", "abcd");
    plan->hash.bytes[9] = 1;
    plan->failure_budget = 3;
    plan->grace_ms = 5;
    assert_int_equal(amend(&f, plan), ZDM_OK);
    assert_string_equal(f.answer.message, "the plan of m is amended: every phase stays as it was");
    assert_int_equal(migration(&f)->plan->failure_budget, 3);
    fleet_fini(&f);
}

static void grace_period_stays_for_who_waits_in_the_purge_phase(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 1);
    assert_int_equal(fleet_submit(&f, marked("ep", "ab")), ZDM_OK);
    fleet_heartbeat(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    fleet_obey_all(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    assert_int_equal(fleet_purge(&f, BOB, 2, NULL), ZDM_OK);
    assert_status(&f, 0, COORD_MOVING);
    struct zdm_plan *plan = marked("ep", "ab");
    plan->hash.bytes[9] = 1;
    plan->grace_ms = 1;
    assert_int_equal(amend(&f, plan), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "\"grace\" of a plan that is under way cannot change");
    fleet_fini(&f);
}

static void new_tables_may_not_be_those_of_another_migration(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 1, 1);
    struct zdm_plan *other = plan_of("other", "e");
    free(other->tables[0].name);
    other->tables[0].name = zdm_strdup("orders");
    assert_int_equal(fleet_submit(&f, other), ZDM_OK);
    struct zdm_plan *plan = marked("eemd", "abxd");
    free(plan->tables[0].name);
    plan->tables[0].name = zdm_strdup("orders");
    assert_int_equal(amend(&f, plan), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "migration other is at work on table public.orders");
    fleet_fini(&f);
}

static void what_was_never_submitted_or_is_the_same_is_said(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 1);
    assert_int_equal(amend(&f, marked("e", "a")), ZDM_NOT_FOUND);
    assert_string_equal(f.answer.hint, "Submit it without --amend.");
    assert_int_equal(fleet_submit(&f, marked("e", "a")), ZDM_OK);
    size_t events = f.n_log;
    assert_int_equal(amend(&f, marked("e", "a")), ZDM_OK);
    assert_string_equal(f.answer.message, "migration m has this plan already: nothing changes");
    assert_int_equal(f.n_log, events);
    assert_int_equal(fleet_submit(&f, marked("e", "b")), ZDM_EXISTS);
    assert_non_null(strstr(f.answer.hint, "zdmctl submit --amend"));
    fleet_ask(&f, ZDM_VERB_FREEZE, NULL);
    assert_int_equal(amend(&f, marked("e", "b")), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "the fleet is frozen");
    fleet_fini(&f);
}

static void who_compared_with_an_older_plan_looks_again(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 1, 1);
    uint64_t seen = migration(&f)->moved_seq;
    assert_int_equal(amend(&f, marked("eemd", "abcx")), ZDM_OK);
    struct zdm_plan *plan = marked("eemd", "abcy");
    struct zdm_request request = {.verb = ZDM_VERB_SUBMIT, .plan_hash = plan->hash, .amend = true};
    request.has_expect = true;
    request.expect_phase = 1;
    request.expect_generation = seen;
    zdm_copy_text(request.migration, sizeof request.migration, "m");
    assert_int_equal(fleet_request(&f, &request, plan), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "the migration moved since you looked");
    zdm_plan_unref(plan);
    fleet_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_that_nobody_has_entered_may_become_others),
        cmocka_unit_test(phase_that_a_shard_has_entered_cannot_change_and_the_refusal_names_both),
        cmocka_unit_test(plan_whose_signer_has_left_is_signed_anew_before_it_is_amended),
        cmocka_unit_test(one_shard_that_is_ahead_decides),
        cmocka_unit_test(phase_that_is_open_and_changed_closes_again),
        cmocka_unit_test(approvals_of_the_plan_as_it_was_count_no_more_and_the_answer_says_whose),
        cmocka_unit_test(shard_inside_an_approved_phase_goes_on),
        cmocka_unit_test(who_had_finished_has_more_to_do_and_who_waited_has_finished),
        cmocka_unit_test(nobody_amends_under_a_shard_that_goes_back),
        cmocka_unit_test(shard_that_was_rolled_back_all_the_way_is_resumed_first),
        cmocka_unit_test(header_keeps_its_shards_and_waves_and_may_change_its_budget),
        cmocka_unit_test(grace_period_stays_for_who_waits_in_the_purge_phase),
        cmocka_unit_test(new_tables_may_not_be_those_of_another_migration),
        cmocka_unit_test(what_was_never_submitted_or_is_the_same_is_said),
        cmocka_unit_test(who_compared_with_an_older_plan_looks_again),
    };
    return cmocka_run_group_tests_name("coordinator core: amend", tests, NULL, NULL);
}
