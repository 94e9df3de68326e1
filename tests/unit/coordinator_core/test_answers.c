/*
 * test_answers.c - what people are told who ask for something of many shards: how many, why the others stay as they
 * are, and what comes next.
 */
#include "fleet.h"

#include <stdio.h>

/* The whole answer: "message|detail|hint". */
static void assert_answer(struct fleet *f, enum zdm_code code, const char *text)
{
    char now[ZDM_MESSAGE_MAX + ZDM_DETAIL_MAX + ZDM_HINT_MAX];
    snprintf(now, sizeof now, "%s|%s|%s", f->answer.message, f->answer.detail, f->answer.hint);
    assert_string_equal(now, text);
    assert_int_equal(f->answer.code, code);
}

/* Four shards, phase 1 open and under way. */
static void under_way(struct fleet *f)
{
    fleet_init(f, 4);
    struct zdm_plan *plan = plan_of("m", "emm");
    plan->failure_budget = 1;
    fleet_submit(f, plan);
    fleet_heartbeat(f);
}

static void a_plan_that_was_submitted_before_says_so(void **unused)
{
    (void)unused;
    struct fleet f;
    under_way(&f);
    assert_answer(&f, ZDM_OK,
                  "migration m is submitted over 4 shards||Open its first phase: zdmctl advance m --all-shards.");
    struct zdm_plan *again = plan_of("m", "emm");
    again->failure_budget = 1;
    fleet_submit(&f, again);
    assert_answer(&f, ZDM_OK,
                  "migration m was submitted before with this plan, over 4 shards: nothing changes||See where it "
                  "stands: zdmctl status m.");
    fleet_fini(&f);
}

static void pausing_and_resuming_say_to_how_many_and_why_the_others_stay(void **unused)
{
    (void)unused;
    struct fleet f;
    under_way(&f);
    fleet_ask(&f, ZDM_VERB_RESUME, NULL);
    assert_answer(&f, ZDM_REFUSED, "nothing to resume: 4 are not paused||");
    fleet_ask(&f, ZDM_VERB_RESUME, "shard=s00002");
    assert_answer(&f, ZDM_REFUSED, "nothing to resume: s00002 is not paused||");
    fleet_ask(&f, ZDM_VERB_PAUSE, "shard=s00000");
    assert_answer(&f, ZDM_OK, "paused 1 shard||To go on: zdmctl resume m -l shard=s00000.");
    fleet_ask(&f, ZDM_VERB_PAUSE, NULL);
    assert_answer(
        &f, ZDM_OK,
        "paused 3 shards|One stays as it is: s00000 is paused already.|To go on: zdmctl resume m --all-shards.");
    fleet_ask(&f, ZDM_VERB_PAUSE, NULL);
    assert_answer(&f, ZDM_OK, "4 are paused already||");
    fleet_ask(&f, ZDM_VERB_RESUME, "tier=odd");
    assert_answer(&f, ZDM_OK, "resumed 2 shards||To open the next phase: zdmctl advance m.");
    fleet_ask(&f, ZDM_VERB_RESUME, NULL);
    assert_answer(&f, ZDM_OK,
                  "resumed 2 shards|2 stay as they are: 2 are not paused.|To open the next phase: zdmctl advance m.");
    fleet_fini(&f);
}

static void what_failed_is_named_with_what_helps(void **unused)
{
    (void)unused;
    struct fleet f;
    under_way(&f);
    fleet_ask(&f, ZDM_VERB_RETRY, NULL);
    assert_answer(&f, ZDM_REFUSED, "nothing to retry: 4 have not failed||");
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    fleet_fail(&f, 1, "x");
    fleet_ask(&f, ZDM_VERB_RESUME, NULL);
    assert_answer(&f, ZDM_REFUSED,
                  "nothing to resume: s00001 has failed, 3 are not paused||See why: zdmctl status m. Then \"zdmctl "
                  "retry m --shard s00001\", or \"zdmctl rollback\".");
    fleet_ask(&f, ZDM_VERB_PAUSE, "shard=s00001");
    fleet_ask(&f, ZDM_VERB_RETRY, "shard=s00001");
    assert_answer(&f, ZDM_REFUSED,
                  "nothing to retry: s00001 is paused||Let it go on first: zdmctl resume m --shard s00001.");
    fleet_ask(&f, ZDM_VERB_RESUME, "shard=s00001");
    assert_answer(&f, ZDM_OK,
                  "resumed 1 shard||s00001 had failed before it was paused, and stands there again: zdmctl retry m "
                  "--shard s00001.");
    fleet_ask(&f, ZDM_VERB_RETRY, NULL);
    assert_answer(&f, ZDM_OK,
                  "retrying 1 shard|3 stay as they are: 3 have not failed.|See how it goes: zdmctl status m --watch.");
    fleet_fini(&f);
}

static void a_halted_migration_that_is_opened_again_says_that_first(void **unused)
{
    (void)unused;
    struct fleet f;
    under_way(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    fleet_fail(&f, 0, "x");
    fleet_fail(&f, 1, "x");
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    assert_answer(&f, ZDM_REFUSED,
                  "migration m is halted||See to what failed: zdmctl status m. Then \"zdmctl resume m --all-shards\" "
                  "opens it again; \"zdmctl advance m --only-unfinished\" takes up only what has begun.");
    fleet_ask(&f, ZDM_VERB_RETRY, "shard=s00000");
    fleet_ask(&f, ZDM_VERB_PAUSE, "shard=s00003");
    fleet_ask(&f, ZDM_VERB_RESUME, NULL);
    assert_answer(&f, ZDM_OK,
                  "migration m is open again; resumed 1 shard|3 stay as they are: s00001 has failed, 2 are not "
                  "paused.|See why: zdmctl status m. Then \"zdmctl retry m --shard s00001\", or \"zdmctl rollback\".");
    fleet_fail(&f, 0, "y");
    fleet_ask(&f, ZDM_VERB_RETRY, NULL);
    fleet_ask(&f, ZDM_VERB_RESUME, NULL);
    assert_answer(&f, ZDM_OK, "migration m is open again|No shard changes by that: 4 are not paused.|");
    fleet_fini(&f);
}

static void taking_out_and_back_in_says_how_to_go_on(void **unused)
{
    (void)unused;
    struct fleet f;
    under_way(&f);
    fleet_exclude(&f, "shard=s00000", "host is gone");
    assert_answer(&f, ZDM_OK, "excluded 1 shard||An approver takes that back: zdmctl include m -l shard=s00000.");
    fleet_exclude(&f, "shard=s00000", "host is gone");
    assert_answer(
        &f, ZDM_REFUSED,
        "nothing to exclude: s00000 is excluded already||An approver brings it back: zdmctl include m --shard s00000.");
    fleet_ask(&f, ZDM_VERB_PAUSE, "shard=s00000");
    assert_answer(&f, ZDM_REFUSED,
                  "nothing to pause: s00000 is excluded||An approver brings it back: zdmctl include m --shard s00000.");
    fleet_ask(&f, ZDM_VERB_INCLUDE, NULL);
    assert_answer(&f, ZDM_OK,
                  "included 1 shard|3 stay as they are: 3 are not excluded.|Each takes part again when its agent has "
                  "proven where it stands.");
    fleet_fini(&f);
}

static void nobody_who_can_go_further_or_back_is_said_with_the_reason(void **unused)
{
    (void)unused;
    struct fleet f;
    under_way(&f);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    fleet_obey_all(&f);
    fleet_rollback(&f, NULL, 0, false);
    assert_answer(&f, ZDM_OK, "4 shards go back to the start||See how it goes: zdmctl status m --watch.");
    fleet_rollback(&f, NULL, 0, false);
    assert_answer(&f, ZDM_REFUSED,
                  "every selected shard is on its way back already||See where they are: zdmctl status m.");
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    assert_answer(&f, ZDM_REFUSED, "no selected shard can go further: 4 are on their way back||");
    fleet_obey(&f, 0);
    fleet_ask(&f, ZDM_VERB_ADVANCE, "shard=s00000");
    assert_answer(&f, ZDM_REFUSED,
                  "no selected shard can go further: s00000 was rolled back||To let it go forward again: zdmctl resume "
                  "m --shard s00000.");
    fleet_rollback(&f, "shard=s00000", 0, false);
    assert_answer(
        &f, ZDM_REFUSED,
        "there is nothing to take back: no selected shard is beyond the start||See where they are: zdmctl status m.");
    fleet_ask(&f, ZDM_VERB_PAUSE, "shard=nobody");
    assert_answer(&f, ZDM_NOT_FOUND,
                  "no shard of migration m matches \"shard=nobody\"||See the labels of each shard: zdmctl agents.");
    fleet_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_that_was_submitted_before_says_so),
        cmocka_unit_test(pausing_and_resuming_say_to_how_many_and_why_the_others_stay),
        cmocka_unit_test(what_failed_is_named_with_what_helps),
        cmocka_unit_test(a_halted_migration_that_is_opened_again_says_that_first),
        cmocka_unit_test(taking_out_and_back_in_says_how_to_go_on),
        cmocka_unit_test(nobody_who_can_go_further_or_back_is_said_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
