/*
 * test_survey.c - an agent that is asked what a plan would meet: it looks only for an operator's plan, one at a time,
 * beside its work, and for nobody who is gone.
 */
#include "tests/unit/agent_app/bench.h"

#include <string.h>

#include "common/os/crypto.h"

static void open_bench(struct bench *b)
{
    bench_start(b);
    bench_run(b, 2000);
    assert_true(b->fleet->reports > 0);
}

static void expect_words(const struct bench *b, uint64_t id, enum zdm_code code, const char *words)
{
    assert_int_equal(b->fleet->survey_id, id);
    assert_int_equal(b->fleet->survey_code, code);
    if (strstr(b->fleet->survey_why, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", b->fleet->survey_why, words);
}

static void a_plan_of_an_operator_is_fetched_and_what_was_found_is_answered(void **state)
{
    struct bench *b = *state;
    struct zdm_survey *survey = NULL;
    struct zdm_error err;
    open_bench(b);
    fake_fleet_send_survey_order(b->fleet, 7, true);
    bench_run(b, 3000);
    assert_int_equal(b->engine.surveys, 1);
    assert_int_equal(b->fleet->surveys, 1);
    assert_int_equal(b->fleet->survey_code, ZDM_OK);
    assert_int_equal(b->fleet->survey_id, 7);
    assert_int_equal(zdm_survey_decode(b->fleet->survey.data, b->fleet->survey.len, &survey, &err), ZDM_OK);
    assert_string_equal(survey->tables[0].name.name, "users");
    zdm_survey_free(survey);
    assert_int_equal(b->fleet->report.n_migrations, 0); /* it is no migration */
    assert_int_equal(b->errors, 0);
    assert_true((b->engine.survey_op & (UINT64_C(1) << 63)) != 0); /* no number of the core's */
}

static void a_long_answer_leaves_in_pieces_beside_reports(void **state)
{
    struct bench *b = *state;
    open_bench(b);
    b->engine.outline = 200 * 1024;
    fake_fleet_send_survey_order(b->fleet, 7, true);
    bench_run(b, 3000);
    assert_int_equal(b->fleet->surveys, 1);
    assert_int_equal(b->fleet->survey_pieces, 5);
    assert_true(b->fleet->survey.len > 200 * 1024);
    b->engine.outline = 2 * ZDM_SURVEY_MAX;
    fake_fleet_send_survey_order(b->fleet, 8, true);
    bench_run(b, 3000);
    expect_words(b, 8, ZDM_LIMIT, "does not fit");
}

static void a_plan_that_no_operator_signed_is_not_looked_at(void **state)
{
    struct bench *b = *state;
    const struct zdm_signing_key *signers[] = {&b->fleet->viewer, &b->fleet->coordinator, &b->fleet->stranger,
                                               &b->fleet->approver};
    open_bench(b);
    for (size_t i = 0; i < sizeof signers / sizeof *signers; i++) {
        fake_fleet_plan(b->fleet, signers[i], "");
        fake_fleet_send_survey_order(b->fleet, 10 + i, true);
        bench_run(b, 3000);
        assert_int_equal(b->engine.surveys, 0);
        assert_int_equal(b->fleet->surveys, i + 1);
        expect_words(b, 10 + i, ZDM_AUTH, "");
    }
}

static void a_plan_for_other_shards_or_with_foreign_sql_is_not_looked_at(void **state)
{
    struct bench *b = *state;
    open_bench(b);
    fake_fleet_plan(b->fleet, &b->fleet->operator_key, "shard=elsewhere");
    fake_fleet_send_survey_order(b->fleet, 1, true);
    bench_run(b, 3000);
    expect_words(b, 1, ZDM_REFUSED, "does not choose this shard");
    fake_fleet_plan_by_hand(b->fleet, "ALTER TABLE public.users ADD COLUMN a text; DROP TABLE public.orders");
    fake_fleet_send_survey_order(b->fleet, 2, true);
    bench_run(b, 3000);
    assert_int_equal(b->fleet->survey_id, 2);
    assert_int_not_equal(b->fleet->survey_code, ZDM_OK);
    assert_int_equal(b->engine.surveys, 0);
}

static void one_is_made_at_a_time_and_others_wait(void **state)
{
    struct bench *b = *state;
    open_bench(b);
    b->engine.survey_waits = true;
    for (uint64_t id = 1; id <= 9; id++)
        fake_fleet_send_survey_order(b->fleet, id, true);
    bench_run(b, 2000);
    assert_int_equal(b->engine.surveys, 1);
    expect_words(b, 9, ZDM_LIMIT, "too many");
    b->engine.survey_waits = false;
    fake_fleet_send_survey_order(b->fleet, 1, false); /* not wanted any more */
    bench_run(b, 3000);
    assert_int_equal(b->engine.surveys, 8);
    assert_int_equal(b->fleet->survey_id, 8);
    assert_int_equal(b->fleet->surveys, 7 + 1);
    assert_true(b->engine.cancels > 0);
}

static void what_the_database_cannot_answer_is_said_and_what_takes_too_long_is_given_up(void **state)
{
    struct bench *b = *state;
    open_bench(b);
    b->engine.survey_fails = true;
    fake_fleet_send_survey_order(b->fleet, 1, true);
    bench_run(b, 2000);
    expect_words(b, 1, ZDM_UNAVAILABLE, "went away");
    b->engine.survey_fails = false;
    b->engine.survey_waits = true;
    fake_fleet_send_survey_order(b->fleet, 2, true);
    bench_run(b, 55000);
    expect_words(b, 2, ZDM_TIMEOUT, "did not answer in time");
    assert_int_equal(b->fleet->surveys, 2);
    b->engine.survey_waits = false;
    b->fleet->keeps_plans = true;
    fake_fleet_send_survey_order(b->fleet, 3, true);
    bench_run(b, 55000);
    expect_words(b, 3, ZDM_TIMEOUT, "the plan did not come");
    b->engine.refuse_starts = true;
    b->fleet->keeps_plans = false;
    fake_fleet_send_survey_order(b->fleet, 4, true);
    bench_run(b, 3000);
    expect_words(b, 4, ZDM_FULL, "in flight");
}

static void a_survey_ends_with_the_session_and_is_not_answered_in_the_next(void **state)
{
    struct bench *b = *state;
    open_bench(b);
    b->engine.survey_waits = true;
    fake_fleet_send_survey_order(b->fleet, 1, true);
    fake_fleet_send_survey_order(b->fleet, 2, true);
    bench_run(b, 2000);
    unsigned cancels = b->engine.cancels;
    loop_net_cut(b->fleet->loop);
    bench_run(b, 30000);
    assert_int_equal(b->engine.cancels, cancels + 1);
    assert_int_equal(b->engine.surveys, 1);
    assert_int_equal(b->fleet->survey_pieces, 0);
    b->engine.survey_waits = false;
    fake_fleet_send_survey_order(b->fleet, 3, true);
    bench_run(b, 3000);
    assert_int_equal(b->fleet->survey_id, 3);
    assert_int_equal(b->fleet->surveys, 1);
}

static void the_work_of_a_migration_goes_on_beside_a_survey(void **state)
{
    struct bench *b = *state;
    bench_start(b);
    b->engine.survey_waits = true;
    bench_order(b, 10, ZDM_MODE_RUN, 1);
    bench_run(b, 4000);
    fake_fleet_send_survey_order(b->fleet, 1, true);
    bench_run(b, 2000);
    assert_int_equal(b->engine.surveys, 1);
    bench_order(b, 11, ZDM_MODE_RUN, 2);
    bench_run(b, 15000);
    assert_int_equal(bench_said(b)->proven_phase, 2);
    assert_int_equal(b->errors, 0);
}

int main(void)
{
    struct zdm_error err;
    const struct CMUnitTest tests[] = {
        BENCH_TEST(a_plan_of_an_operator_is_fetched_and_what_was_found_is_answered),
        BENCH_TEST(a_long_answer_leaves_in_pieces_beside_reports),
        BENCH_TEST(a_plan_that_no_operator_signed_is_not_looked_at),
        BENCH_TEST(a_plan_for_other_shards_or_with_foreign_sql_is_not_looked_at),
        BENCH_TEST(one_is_made_at_a_time_and_others_wait),
        BENCH_TEST(what_the_database_cannot_answer_is_said_and_what_takes_too_long_is_given_up),
        BENCH_TEST(a_survey_ends_with_the_session_and_is_not_answered_in_the_next),
        BENCH_TEST(the_work_of_a_migration_goes_on_beside_a_survey),
    };
    if (zdm_crypto_start(&err) != ZDM_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
