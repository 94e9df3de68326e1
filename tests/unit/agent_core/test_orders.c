/*
 * test_orders.c - protocol 3, rules 4 and 6 through the core: what is accepted, repeated, refused, and when it asks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buffer.h"
#include "tests/unit/agent_core/rig.h"

/* What an agent that has accepted (epoch 2, generation 5, content 0) does with another order. */
static const struct {
    const char *what;
    uint64_t epoch, generation;
    uint8_t instance, content;
    uint64_t then_epoch, then_generation;
    bool alarm;
} rows[] = {
    {"newer generation", 2, 6, 2, 0, 2, 6, false},
    {"newer epoch, lower generation", 3, 1, 3, 0, 3, 1, false},
    {"older generation", 2, 4, 2, 0, 2, 5, false},
    {"older epoch, higher generation", 1, 9, 1, 0, 2, 5, false},
    {"a repeat", 2, 5, 2, 0, 2, 5, false},
    {"equal pair, other content", 2, 5, 2, 1, 2, 5, true},
    {"equal pair, other instance", 2, 5, 7, 0, 2, 5, true},
    {"equal epoch, newer generation, other instance", 2, 6, 7, 0, 2, 5, true},
};

static struct rig *rig_at_two_five(void)
{
    struct rig *rig = rig_new();
    struct zdm_directive first = rig_order(2, 5, ZDM_MODE_RUN, 0);
    rig_started(rig);
    rig_answer(rig);
    rig_link(rig, true);
    rig_send(rig, &first, 0);
    rig_plan_ready(rig);
    rig_run(rig, 1000);
    assert_int_equal(rig_look(rig).accepted.generation, 5);
    return rig;
}

static void orders_are_accepted_by_rule_four(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig *rig = rig_at_two_five();
        struct zdm_directive d = rig_order(rows[i].epoch, rows[i].generation, ZDM_MODE_RUN, 0);
        d.fence.instance.bytes[0] = rows[i].instance;
        rig_send(rig, &d, rows[i].content);
        rig_run(rig, 1000);
        if (rig_look(rig).accepted.epoch != rows[i].then_epoch)
            print_error("%s\n", rows[i].what);
        assert_int_equal(rig_look(rig).accepted.epoch, rows[i].then_epoch);
        assert_int_equal(rig_look(rig).accepted.generation, rows[i].then_generation);
        assert_int_equal(rig_said(rig)->equivocation, rows[i].alarm);
        rig_free(rig);
    }
}

static void order_of_another_shard_is_ignored(void **state)
{
    (void)state;
    struct rig *rig = rig_at_two_five();
    struct zdm_directive d = rig_order(2, 6, ZDM_MODE_RUN, 0);
    zdm_copy_text(d.shard, sizeof d.shard, "shard-2");
    rig_send(rig, &d, 0);
    rig_run(rig, 1000);
    assert_int_equal(rig_look(rig).accepted.generation, 5);
    rig_free(rig);
}

static void restarted_agent_asks_until_its_order_is_repeated(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    rig->rows = 100000;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 2000);
    rig_replace_agent(rig);
    unsigned before = rig->runs[AGENT_RUN_BATCH];
    rig_started(rig);
    rig_link(rig, true);
    rig_run(rig, 20000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_ASKING);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], before);
    struct zdm_directive d = rig_order(1, 1, ZDM_MODE_RUN, 2);
    rig_send(rig, &d, 0);
    rig_run(rig, 2000);
    assert_true(rig->runs[AGENT_RUN_BATCH] > before);
    rig_free(rig);
}

static void change_of_role_makes_the_agent_ask(void **state)
{
    (void)state;
    struct rig *rig = rig_at_two_five();
    rig->writable = false;
    rig_run(rig, 6000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_OBSERVING);
    rig->writable = true;
    rig_run(rig, 6000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_ASKING);
    rig_free(rig);
}

static void agent_that_is_not_the_actor_observes(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    rig->rows = 100000;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 2000);
    struct zdm_directive d = rig_order(1, 2, ZDM_MODE_RUN, 2);
    d.actor = rig_other;
    rig_send(rig, &d, 0);
    unsigned before = rig->runs[AGENT_RUN_BATCH] + (rig_in_flight(rig, AGENT_RUN_BATCH) != NULL);
    rig_run(rig, 5000);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], before);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_OBSERVING);
    rig_free(rig);
}

static void order_that_came_while_blind_is_judged_by_the_journal(void **state)
{
    (void)state;
    struct rig *rig = rig_at_two_five();
    rig_replace_agent(rig);
    rig->up = false;
    rig_started(rig);
    rig_link(rig, true);
    struct zdm_directive old = rig_order(2, 4, ZDM_MODE_RUN, 4);
    rig_send(rig, &old, 0);
    rig->up = true;
    rig_run(rig, 5000);
    assert_int_equal(rig_look(rig).accepted.generation, 5);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_ASKING);
    rig_free(rig);
}

static void newest_of_several_orders_wins_whatever_their_sequence(void **state)
{
    (void)state;
    struct rig *rig = rig_at_two_five();
    static const uint64_t generations[] = {7, 9, 8, 6, 9};
    for (size_t i = 0; i < sizeof generations / sizeof generations[0]; i++) {
        struct zdm_directive d = rig_order(2, generations[i], ZDM_MODE_RUN, 0);
        rig_send(rig, &d, 0);
    }
    rig_run(rig, 1000);
    assert_int_equal(rig_look(rig).accepted.generation, 9);
    assert_false(rig_said(rig)->equivocation);
    rig_free(rig);
}

static void pause_replaced_before_its_commit_still_holds_until_the_go_is_committed(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    rig->rows = 100000;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 2000);
    rig->fault.kind = AGENT_OP_ACCEPT;
    rig->fault.outcome = AGENT_RETRY;
    rig->fault.code = ZDM_CONFLICT;
    rig->fault.times = 1000;
    struct zdm_directive pause = rig_order(1, 2, ZDM_MODE_PAUSE, 2);
    struct zdm_directive run = rig_order(1, 3, ZDM_MODE_RUN, 2);
    rig_send(rig, &pause, 0);
    rig_send(rig, &run, 0);
    rig_run(rig, 200);
    unsigned before = rig->runs[AGENT_RUN_BATCH];
    rig_run(rig, 5000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_PAUSED);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], before);
    rig->fault.times = 0;
    rig_run(rig, 15000);
    assert_true(rig->runs[AGENT_RUN_BATCH] > before);
    rig_free(rig);
}

static void refused_plan_is_reported_and_not_fetched_again(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct zdm_directive d = rig_order(1, 1, ZDM_MODE_RUN, 1);
    rig_started(rig);
    rig_answer(rig);
    rig_link(rig, true);
    rig_send(rig, &d, 0);
    assert_int_equal(rig->fetches, 1);
    struct agent_input input = {.kind = AGENT_IN_PLAN_REFUSED};
    input.u.plan_refused.hash = rig->plan->hash;
    input.u.plan_refused.why = "signed by nobody";
    rig_input(rig, &input);
    rig_run(rig, 60000);
    assert_int_equal(rig->fetches, 1);
    assert_int_equal(rig_said(rig)->error_code, ZDM_REFUSED);
    assert_string_equal(rig_said(rig)->error, "plan refused: signed by nobody");
    assert_false(rig->has_row);
    rig_free(rig);
}

static void row_that_another_agent_took_is_read_and_asked_for(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    rig->rows = 100000;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 2000);
    rig->row_order.fence.generation = 7; /* another agent accepted a later order in this database */
    rig->row_order.actor = rig_us;
    unsigned before = rig->runs[AGENT_RUN_BATCH];
    rig_run(rig, 5000);
    assert_int_equal(rig->runs[AGENT_RUN_BATCH], before);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_ASKING);
    assert_int_equal(rig_look(rig).accepted.generation, 7);
    rig_free(rig);
}

static void journal_that_was_restored_to_before_the_order_starts_anew(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 5000);
    rig->has_row = false;
    rig->done[STEP_COLUMN] = rig->done[STEP_SYNC] = false;
    zdm_copy_text(rig->identity, sizeof rig->identity, "system-1/2/start-9");
    rig_run(rig, 6000);
    struct agent_core_look look;
    assert_false(agent_core_look(rig->core, "rename", &look));
    struct zdm_directive d = rig_order(1, 1, ZDM_MODE_RUN, 1);
    rig_send(rig, &d, 0);
    rig_plan_ready(rig);
    rig_run(rig, 5000);
    assert_int_equal(rig_look(rig).proven_phase, 1);
    assert_int_equal(rig->runs[AGENT_RUN_DDL], 2);
    rig_free(rig);
}

/* Whoever has the coordinator's key must not be able to use up the epochs. */
static void order_of_an_epoch_that_leaves_no_later_ones_is_ignored(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct zdm_directive d = rig_order(ZDM_EPOCH_FIRST_MAX + 1, 1, ZDM_MODE_RUN, 1);
    rig_started(rig);
    rig_answer(rig);
    rig_link(rig, true);
    rig_send(rig, &d, 0);
    rig_plan_ready(rig);
    rig_run(rig, 5000);
    assert_false(rig->has_row);
    d = rig_order(ZDM_EPOCH_FIRST_MAX, 1, ZDM_MODE_RUN, 1);
    rig_send(rig, &d, 0);
    rig_plan_ready(rig);
    rig_run(rig, 5000);
    assert_int_equal(rig_look(rig).proven_phase, 1);
    d = rig_order(ZDM_EPOCH_FIRST_MAX + ZDM_EPOCH_STEP_MAX + 1, 1, ZDM_MODE_PAUSE, 1);
    rig_send(rig, &d, 0);
    rig_run(rig, 5000);
    assert_int_equal(rig_look(rig).accepted.epoch, ZDM_EPOCH_FIRST_MAX);
    d = rig_order(ZDM_EPOCH_FIRST_MAX + ZDM_EPOCH_STEP_MAX, 1, ZDM_MODE_PAUSE, 1);
    rig_send(rig, &d, 0);
    rig_run(rig, 5000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_PAUSED);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_are_accepted_by_rule_four),
        cmocka_unit_test(order_of_another_shard_is_ignored),
        cmocka_unit_test(restarted_agent_asks_until_its_order_is_repeated),
        cmocka_unit_test(change_of_role_makes_the_agent_ask),
        cmocka_unit_test(agent_that_is_not_the_actor_observes),
        cmocka_unit_test(order_that_came_while_blind_is_judged_by_the_journal),
        cmocka_unit_test(newest_of_several_orders_wins_whatever_their_sequence),
        cmocka_unit_test(pause_replaced_before_its_commit_still_holds_until_the_go_is_committed),
        cmocka_unit_test(refused_plan_is_reported_and_not_fetched_again),
        cmocka_unit_test(row_that_another_agent_took_is_read_and_asked_for),
        cmocka_unit_test(journal_that_was_restored_to_before_the_order_starts_anew),
        cmocka_unit_test(order_of_an_epoch_that_leaves_no_later_ones_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
