/*
 * test_remark.c - what polls say of comparisons and triggers is in the report, for as long as it holds; and why a shard
 * stopped stays there whatever is ordered meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buffer.h"
#include "tests/unit/agent_core/rig.h"

static int setup(void **state)
{
    *state = rig_new();
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static void compared(struct rig *rig, size_t i, uint32_t step, int64_t left)
{
    rig->compared[i] = (struct agent_compared){.migration = "rename", .step = step, .rows_left = left};
    rig->n_compared = i + 1;
}

static void rows_that_the_old_column_cannot_follow_are_told_while_a_rollback_is_possible(void **state)
{
    struct rig *rig = *state;
    struct zdm_step *step = &rig->plan->phases[1].steps[1];
    assert_int_equal(step->ordinal, STEP_COMPARE);
    zdm_derivation_free(step->derivation);
    struct zdm_derivation *d = step->derivation = calloc(1, sizeof *d);
    d->assignments = calloc(1, sizeof *d->assignments);
    d->sources = calloc(2, sizeof *d->sources);
    d->n_assignments = d->n_sources = 1;
    d->assignments[0].target = zdm_strdup("full_name");
    d->assignments[0].expr = zdm_strdup("t.\"name\"");
    d->sources[0] = zdm_strdup("name");
    compared(rig, 0, STEP_COMPARE, 12);
    rig_ready(rig, ZDM_MODE_RUN, 1);
    rig_run(rig, 60000);
    assert_string_equal(rig_said(rig)->remark, ""); /* that comparison is not done yet */
    struct zdm_directive d2 = rig_order(1, 2, ZDM_MODE_RUN, 2);
    rig_send(rig, &d2, 0);
    rig_run(rig, 60000);
    assert_non_null(strstr(rig_said(rig)->remark, "12 rows of "));
    assert_non_null(strstr(rig_said(rig)->remark, ": name cannot hold full_name: a rollback is not exact for them"));
    /* The last comparison counts. */
    compared(rig, 0, STEP_BACKFILL, 12);
    compared(rig, 1, STEP_COMPARE, 1);
    rig_run(rig, 60000);
    assert_non_null(strstr(rig_said(rig)->remark, "1 row of "));
    assert_non_null(strstr(rig_said(rig)->remark, "not exact for it"));
    compared(rig, 1, STEP_COMPARE, 0);
    rig_run(rig, 60000);
    assert_string_equal(rig_said(rig)->remark, "");
}

static void interrupted_sync_is_told_until_a_comparison_has_been_through(void **state)
{
    struct rig *rig = *state;
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).proven_phase, 2);
    rig->interrupted = (struct agent_interrupted){
        .migration = "rename", .step = STEP_SYNC, .what = "trigger x of users is disabled", .first_ms = 1};
    rig->done[STEP_SYNC] = false;
    rig_run(rig, 60000);
    const char *remark = rig_said(rig)->remark;
    assert_ptr_equal(strstr(remark, ZDM_REMARK_INTERRUPTED "trigger x of users is disabled"), remark);
    assert_true(rig->runs[AGENT_RUN_STEP_BACK] > 0);
    rig->interrupted.migration[0] = '\0';
    rig_run(rig, 60000);
    assert_string_equal(rig_said(rig)->remark, "");
    assert_int_equal(rig_look(rig).proven_phase, 2);
}

/* The coordinator sends a shard that fell back forward again, and it may have failed by then. */
static void order_of_the_same_attempt_keeps_why_it_stopped(void **state)
{
    struct rig *rig = *state;
    rig_fail_once(rig, AGENT_RUN_INDEX_BUILD, ZDM_DATABASE);
    rig_ready(rig, ZDM_MODE_RUN, 2);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_STOPPED);
    char why[ZDM_TEXT_MAX + 1];
    zdm_copy_text(why, sizeof why, rig_said(rig)->error);
    assert_string_not_equal(why, "");
    struct zdm_directive d = rig_order(1, 2, ZDM_MODE_RUN, 2);
    rig_send(rig, &d, 0);
    rig_run(rig, 60000);
    assert_int_equal(rig_look(rig).accepted.generation, 2);
    assert_int_equal(rig_look(rig).state, ZDM_AGENT_STOPPED);
    assert_string_equal(rig_said(rig)->error, why);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_that_the_old_column_cannot_follow_are_told_while_a_rollback_is_possible),
        TEST(interrupted_sync_is_told_until_a_comparison_has_been_through),
        TEST(order_of_the_same_attempt_keeps_why_it_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
