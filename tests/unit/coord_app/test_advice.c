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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rollback_that_loses_nothing_is_named),
        cmocka_unit_test(a_rollback_that_would_be_refused_for_want_of_approvals_is_approved_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
