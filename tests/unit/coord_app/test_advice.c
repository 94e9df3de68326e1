/*
 * test_advice.c - a shard that only a rollback helps: what is advised is what this release would not refuse.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/app/private.h"
#include "coordinator/core/index.h"

/* Each phase adds a column, which nothing fills: whoever goes below the mark loses what is in it. */
static struct zdm_plan *make_plan(void)
{
    static const enum zdm_phase_class classes[] = {ZDM_PHASE_EXPAND, ZDM_PHASE_MIGRATE, ZDM_PHASE_SWITCH};
    struct zdm_plan *plan = zdm_plan_new();
    plan->n_phases = sizeof classes / sizeof *classes;
    plan->phases = calloc(plan->n_phases, sizeof *plan->phases);
    for (uint32_t i = 0; i < plan->n_phases; i++) {
        struct zdm_phase *phase = &plan->phases[i];
        *phase = (struct zdm_phase){.number = i + 1, .class = classes[i], .n_steps = i < 2 ? 1 : 0};
        if (phase->n_steps == 0)
            continue;
        phase->steps = calloc(1, sizeof *phase->steps);
        phase->steps->ordinal = i + 1;
        (void)snprintf(phase->steps->id, sizeof phase->steps->id, "%u.1", i + 1);
        phase->steps->kind = ZDM_STEP_DDL;
        phase->steps->action = ZDM_ACTION_ADD_COLUMN;
        phase->steps->table = (struct zdm_table){zdm_strdup("public"), zdm_strdup("users")};
        phase->steps->column = zdm_strdup(i == 0 ? "a" : "b");
    }
    return plan;
}

/* Of a shard that came back from behind the switch when switched is not 0, and whose agent then gave up in phase 2. */
static void expect_advice(uint32_t switched, const char *expected_command, const char *expected_why)
{
    char shard_name[] = "s1", failure[] = "step 2.1 is lost: " ZDM_ERROR_ROLL_BACK "1, or put it back";
    struct coord_shard shard = {.status = COORD_FAILED,
                                .at = 1,
                                .entered = 2,
                                .opened = 2,
                                .goal = 2,
                                .switched = switched,
                                .failure = failure};
    struct coord_migration migration = {
        .plan = make_plan(), .shards = &shard, .n_shards = 1, .mode = COORD_OPEN, .opened_phase = 2};
    const struct coord_release release = {.hold = COORD_HOLD_STATUS};
    struct coord_state state = {.head_seq = 1};
    struct coord_driver *d = calloc(1, sizeof *d);
    char command[256], why[1024];
    (void)zdm_copy_text(shard.name, sizeof shard.name, shard_name);
    (void)zdm_copy_text(migration.id, sizeof migration.id, "rename");
    d->state = &state;
    next_step(d, &migration, &release, command, sizeof command, why, sizeof why);
    assert_string_equal(command, expected_command);
    if (strstr(why, expected_why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, expected_why);
    zdm_plan_unref(migration.plan);
    free(d);
}

static void a_rollback_that_loses_nothing_is_named(void **state)
{
    (void)state;
    expect_advice(0, "zdmctl rollback rename --shard s1 --to 1", "s1 failed");
}

static void a_rollback_that_would_be_refused_for_want_of_approvals_is_approved_first(void **state)
{
    (void)state;
    expect_advice(2, "zdmctl approve rename --rollback-to 1", "that loses what new code wrote (step 2.1)");
}

/* Of a shard whose agent, behind the switch or beyond it, found rows that differ. */
static void expect_way_back(uint32_t at, uint32_t entered, uint32_t to, const char *expected_why)
{
    struct coord_shard shard = {.status = COORD_UNSURE,
                                .name = "s1",
                                .at = at,
                                .entered = entered,
                                .opened = entered,
                                .goal = entered,
                                .switched = 3};
    char failure[128], command[256], why[1024];
    struct coord_migration migration = {
        .plan = make_plan(), .id = "rename", .shards = &shard, .n_shards = 1, .mode = COORD_OPEN, .opened_phase = 3};
    const struct coord_release release = {.hold = COORD_HOLD_STATUS};
    struct coord_state state = {.head_seq = 1};
    struct coord_driver *d = calloc(1, sizeof *d);
    (void)snprintf(failure, sizeof failure, "row 77 differs; retry, which compares again, or " ZDM_ERROR_ROLL_BACK "%u",
                   to);
    shard.failure = failure;
    d->state = &state;
    next_step(d, &migration, &release, command, sizeof command, why, sizeof why);
    assert_string_equal(command, "zdmctl retry rename --shard s1");
    if (strstr(why, expected_why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, expected_why);
    zdm_plan_unref(migration.plan);
    free(d);
}

static void behind_a_switch_the_rollback_stands_beside_the_retry(void **state)
{
    (void)state;
    expect_way_back(3, 3, 2,
                    "; or back: turn new code off everywhere, then zdmctl rollback rename --shard s1 --to 2 "
                    "--flag-off");
    expect_way_back(2, 3, 1,
                    "turn new code off everywhere, then zdmctl approve rename --rollback-to 1, then zdmctl "
                    "rollback rename --shard s1 --to 1 --flag-off");
}

/* What it said before it went away, or of the order that it has taken, is no refusal. */
static void expect_refused(const char *hint, enum coord_status status, bool connected, uint64_t accepted,
                           const char *expected_command, const char *expected_why)
{
    const struct zdm_id agent = {{7}};
    struct coord_shard shard = {
        .status = status, .name = "s1", .at = 1, .entered = 2, .opened = 2, .goal = 2, .generation = 9, .actor = agent};
    struct coord_migration migration = {
        .plan = make_plan(), .id = "rename", .shards = &shard, .n_shards = 1, .mode = COORD_OPEN, .opened_phase = 2};
    const struct coord_release release = {.hold = COORD_HOLD_STATUS};
    struct zdm_migration_report said = {.migration = "rename",
                                        .accepted = {.generation = accepted},
                                        .state = ZDM_AGENT_PAUSED,
                                        .error_code = ZDM_REFUSED,
                                        .error = "the journal stands under plan ab"};
    struct zdm_report report = {.connected = true, .writable = true, .migrations = &said, .n_migrations = 1};
    struct coord_agent known = {.id = agent, .shard = "s1"};
    const struct coord_input input = {
        .kind = COORD_IN_REPORT, .now_ms = 1000, .u.report = {.agent = agent, .report = &report}};
    struct coord_state state = {.head_seq = 1, .agents = &known, .n_agents = 1};
    struct coord_driver *d = calloc(1, sizeof *d);
    char command[256], why[1024], reason[1024];
    (void)zdm_copy_text(said.hint, sizeof said.hint, hint);
    coord_view_init(&d->view, 1000);
    assert_true(coord_index_put(&state.agents_by_id, &agent, 0));
    assert_true(coord_hear(&state, &d->view, &input));
    d->view.heard[0].connected = connected;
    d->state = &state;
    next_step(d, &migration, &release, command, sizeof command, why, sizeof why);
    assert_string_equal(command, expected_command);
    if (strstr(why, expected_why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, expected_why);
    shard_reason(d, &migration, &shard, &release, reason, sizeof reason);
    assert_int_equal(strcmp(reason, "its agent does not take the order: the journal stands under plan ab") == 0,
                     connected && accepted != 9);
    coord_view_fini(&d->view);
    coord_index_fini(&state.agents_by_id);
    zdm_plan_unref(migration.plan);
    free(d);
}

static void an_order_that_is_refused_is_said_with_what_leads_out(void **state)
{
    static const char amend[] = ZDM_HINT_AMEND "phases 1 to 2 as they were. Or leave the shard out, zdmctl exclude.";
    static const char leave[] =
        "Leave the shard out, zdmctl exclude with --shard, or let a trust file have the signer.";
    static const char says[] = "the agent of s1 does not take its order: the journal stands under plan ab. ";
    (void)state;
    expect_refused(amend, COORD_MOVING, true, 0, "zdmctl submit --amend RUNBOOK", says);
    expect_refused(amend, COORD_MOVING, true, 0, "zdmctl submit --amend RUNBOOK", "Or leave the shard out");
    expect_refused(amend, COORD_UNDOING, true, 0, "zdmctl exclude rename --shard s1", says);
    expect_refused(leave, COORD_READY, true, 4, "zdmctl exclude rename --shard s1", says);
    expect_refused("Restore its own backup.", COORD_MOVING, true, 0, "", "Restore its own backup.");
    expect_refused(leave, COORD_MOVING, false, 0, "", "runs on 1 of 1 shards");
    expect_refused(leave, COORD_MOVING, true, 9, "", "runs on 1 of 1 shards");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rollback_that_loses_nothing_is_named),
        cmocka_unit_test(a_rollback_that_would_be_refused_for_want_of_approvals_is_approved_first),
        cmocka_unit_test(behind_a_switch_the_rollback_stands_beside_the_retry),
        cmocka_unit_test(an_order_that_is_refused_is_said_with_what_leads_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
