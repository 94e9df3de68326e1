/*
 * test_undo.c - the way back as the plan decides it: where it ends, what it loses, what stands in between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/buffer.h"
#include "common/plan/undo.h"

enum { STEPS_MAX = 16, PHASES_MAX = 6 };

/* A step in one line: its phase, what it does, and the column. */
struct line {
    unsigned phase;
    enum zdm_action action;
    const char *column; /* added, filled or purged */
    bool both_ways;
};

struct shape {
    enum zdm_phase_class classes[PHASES_MAX];
    struct line lines[STEPS_MAX];
};

static struct zdm_derivation *fill_of(const struct line *line)
{
    struct zdm_derivation *d = calloc(1, sizeof *d);
    d->assignments = calloc(1, sizeof *d->assignments);
    d->n_assignments = 1;
    d->assignments[0].target = zdm_strdup(line->column);
    d->assignments[0].added = true;
    d->both_ways = line->both_ways;
    return d;
}

static void add(struct zdm_phase *phase, const struct line *line, uint32_t ordinal)
{
    bool fills = line->action == ZDM_ACTION_SYNC_INSTALL || line->action == ZDM_ACTION_BACKFILL;
    struct zdm_step *step = &phase->steps[phase->n_steps++];
    step->ordinal = ordinal;
    step->action = line->action;
    step->kind = line->action == ZDM_ACTION_PURGE_COLUMN ? ZDM_STEP_PURGE : ZDM_STEP_DDL;
    step->table.schema = zdm_strdup("public");
    step->table.name = zdm_strdup("users");
    step->column = zdm_strdup(line->column);
    if (fills)
        step->derivation = fill_of(line);
}

static struct zdm_plan *make(const struct shape *shape)
{
    struct zdm_plan *plan = zdm_plan_new();
    plan->phases = calloc(PHASES_MAX, sizeof *plan->phases);
    for (; plan->n_phases < PHASES_MAX && shape->classes[plan->n_phases] != 0; plan->n_phases++) {
        struct zdm_phase *phase = &plan->phases[plan->n_phases];
        phase->number = (uint32_t)plan->n_phases + 1;
        phase->class = shape->classes[plan->n_phases];
        phase->steps = calloc(STEPS_MAX, sizeof *phase->steps);
    }
    for (uint32_t i = 0; i < STEPS_MAX && shape->lines[i].phase != 0; i++)
        add(&plan->phases[shape->lines[i].phase - 1], &shape->lines[i], i + 1);
    return plan;
}

/* Expand: 1 add. Migrate: 2 sync, 3 fill, 4 check. Switch: 5 gate. Contract: 6 hide. Purge: 7 purge. */
static const struct shape flagship = {
    .classes = {ZDM_PHASE_EXPAND, ZDM_PHASE_MIGRATE, ZDM_PHASE_SWITCH, ZDM_PHASE_CONTRACT, ZDM_PHASE_PURGE},
    .lines = {{1, ZDM_ACTION_ADD_COLUMN, "full_name", false},
              {2, ZDM_ACTION_SYNC_INSTALL, "full_name", true},
              {2, ZDM_ACTION_BACKFILL, "full_name", true},
              {2, ZDM_ACTION_CHECK_COMPARE, NULL, false},
              {3, ZDM_ACTION_GATE_FLAG, NULL, false},
              {4, ZDM_ACTION_HIDE_COLUMN, "name", false},
              {5, ZDM_ACTION_PURGE_COLUMN, "name", false}}};

/* Of a shard that was never further. */
static bool loses(const struct zdm_plan *plan, uint32_t to, uint32_t entered, const struct zdm_step **step)
{
    return zdm_plan_undo_loses(plan, ZDM_ENGINE_ANY, to, entered, zdm_plan_switched(plan, 0, entered), step);
}

static void the_floor_of_a_rename_is_its_column_once_its_triggers_go(void **state)
{
    (void)state;
    static const struct {
        uint32_t to, step, floor;
    } rows[] = {
        {0, 8, 1}, {0, 1, 1}, {1, 8, 1}, /* the triggers go: the column is added anew */
        {1, 2, 1},                       /* the sync at hand may be begun */
        {1, 1, 2},                       /* nothing filled it */
        {2, 8, 5}, {2, 5, 5}, {3, 8, 6}, {4, 8, 7}, {5, 8, 8}, {9, 8, 8},
    };
    struct zdm_plan *plan = make(&flagship);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(zdm_plan_undo_floor(plan, ZDM_ENGINE_ANY, rows[i].to, rows[i].step), rows[i].floor);
    zdm_plan_unref(plan);
}

static void a_rename_loses_nothing_and_its_switch_stands_in_between(void **state)
{
    (void)state;
    struct zdm_plan *plan = make(&flagship);
    const struct zdm_step *step = NULL;
    for (uint32_t to = 0; to <= 5; to++)
        for (uint32_t entered = 0; entered <= 5; entered++) {
            assert_false(loses(plan, to, entered, &step));
            assert_int_equal(zdm_plan_switch_between(plan, to, entered), to < 3 && entered >= 3 ? 3 : 0);
        }
    assert_int_equal(zdm_plan_purge_phase(plan), 5);
    zdm_plan_unref(plan);
}

static void what_was_purged_is_found_from_wherever_one_goes_back(void **state)
{
    (void)state;
    struct zdm_plan *plan = make(&flagship);
    for (uint32_t to = 0; to <= 4; to++) {
        assert_null(zdm_plan_purged(plan, ZDM_ENGINE_ANY, to, 7));
        assert_int_equal(zdm_plan_purged(plan, ZDM_ENGINE_ANY, to, 8)->ordinal, 7);
    }
    assert_null(zdm_plan_purged(plan, ZDM_ENGINE_ANY, 5, 8));
    zdm_plan_unref(plan);
}

/* Two columns are added first; each is filled in a phase of its own. */
static const struct shape two_columns = {
    .classes = {ZDM_PHASE_EXPAND, ZDM_PHASE_MIGRATE, ZDM_PHASE_MIGRATE, ZDM_PHASE_SWITCH},
    .lines = {{1, ZDM_ACTION_ADD_COLUMN, "a", false},
              {1, ZDM_ACTION_ADD_COLUMN, "b", false},
              {2, ZDM_ACTION_SYNC_INSTALL, "a", false},
              {2, ZDM_ACTION_BACKFILL, "a", false},
              {3, ZDM_ACTION_SYNC_INSTALL, "b", false},
              {3, ZDM_ACTION_BACKFILL, "b", false},
              {4, ZDM_ACTION_GATE_FLAG, NULL, false}}};

static void a_lower_floor_takes_with_it_what_is_filled_above_it(void **state)
{
    (void)state;
    struct zdm_plan *plan = make(&two_columns);
    /* b is hidden; between lies the sync of a: its triggers go too, so a must not stay, half kept up to date. */
    assert_int_equal(zdm_plan_undo_floor(plan, ZDM_ENGINE_ANY, 2, 6), 1);
    assert_int_equal(zdm_plan_undo_floor(plan, ZDM_ENGINE_ANY, 2, 4), 5);
    assert_int_equal(zdm_plan_undo_floor(plan, ZDM_ENGINE_ANY, 3, 8), 7);
    zdm_plan_unref(plan);
}

static void what_only_runs_forward_is_lost_below_an_entered_switch(void **state)
{
    (void)state;
    struct zdm_plan *plan = make(&two_columns);
    const struct zdm_step *step = NULL;
    assert_true(loses(plan, 0, 4, &step));
    assert_int_equal(step->ordinal, 3);
    assert_true(loses(plan, 2, 4, &step)); /* a goes too: see the floor */
    assert_false(loses(plan, 3, 4, &step));
    assert_false(loses(plan, 0, 3, &step)); /* no new code wrote yet */
    zdm_plan_unref(plan);
}

static void what_new_code_wrote_is_still_there_after_a_first_leg_below_its_switch(void **state)
{
    (void)state;
    struct zdm_plan *plan = make(&two_columns);
    const struct zdm_step *step = NULL;
    /* The mark: where the switch is, and, once it is reached, where the first leg ended. */
    assert_int_equal(zdm_plan_switched(plan, 0, 3), 0);
    assert_int_equal(zdm_plan_switched(plan, 0, 4), 4);
    assert_int_equal(zdm_plan_switched(plan, 3, 3), 3);
    assert_int_equal(zdm_plan_switched(plan, 3, 4), 4);
    assert_int_equal(zdm_plan_switched(plan, 9, 4), 9); /* of a plan that was longer before it was amended */
    assert_true(zdm_plan_undo_loses(plan, ZDM_ENGINE_ANY, 0, 3, 3, &step));
    assert_int_equal(step->ordinal, 3);
    assert_true(zdm_plan_undo_loses(plan, ZDM_ENGINE_ANY, 2, 3, 3, &step));
    assert_true(zdm_plan_undo_loses(plan, ZDM_ENGINE_ANY, 1, 3, 2,
                                    &step)); /* forward again into 3: what stood at 2 is older than that */
    assert_true(zdm_plan_undo_loses(plan, ZDM_ENGINE_ANY, 2, 3, 2,
                                    &step)); /* its floor is below the mark: b goes, which was there */
    assert_false(zdm_plan_undo_loses(plan, ZDM_ENGINE_ANY, 3, 4, 3, &step));
    assert_false(zdm_plan_undo_loses(plan, ZDM_ENGINE_ANY, 2, 3, 0, &step));
    assert_false(zdm_plan_undo_loses(plan, ZDM_ENGINE_ANY, 3, 3, 3, &step));
    assert_true(zdm_plan_undo_loses(plan, ZDM_ENGINE_ANY, 0, 0, 4, &step)); /* half undone, and given up */
    assert_true(zdm_plan_undo_loses(plan, ZDM_ENGINE_ANY, 0, 4, 9, &step));
    zdm_plan_unref(plan);
}

/* It does not go below the switch, but what is filled behind it goes with all that new code has written meanwhile. */
static void a_column_that_is_filled_behind_its_switch_is_lost_by_a_rollback_to_it(void **state)
{
    (void)state;
    static const struct shape shape = {.classes = {ZDM_PHASE_EXPAND, ZDM_PHASE_SWITCH, ZDM_PHASE_MIGRATE},
                                       .lines = {{1, ZDM_ACTION_ADD_COLUMN, "a", false},
                                                 {2, ZDM_ACTION_GATE_FLAG, NULL, false},
                                                 {3, ZDM_ACTION_BACKFILL, "a", false}}};
    struct zdm_plan *plan = make(&shape);
    const struct zdm_step *step = NULL;
    assert_true(loses(plan, 2, 3, &step));
    assert_int_equal(step->ordinal, 3);
    assert_false(loses(plan, 2, 2, &step));
    assert_false(loses(plan, 3, 3, &step));
    zdm_plan_unref(plan);
}

static void assert_repeats(const struct zdm_plan *plan, uint32_t to, uint32_t step, uint32_t below, const char *text)
{
    struct zdm_undo_repeat repeat;
    char said[257];
    assert_true(zdm_plan_undo_repeats(plan, ZDM_ENGINE_ANY, to, step, &repeat));
    zdm_undo_repeat_text(said, sizeof said, &repeat);
    assert_string_equal(said, text);
    assert_int_equal(repeat.below, below);
}

/* Filled in phase 3 is a column of phase 1; so a rollback to 2 goes down to the start of phase 1, and works 1 and 2
 * again. */
static void what_nobody_does_twice_is_named_with_the_phase_that_can_be_gone_back_to(void **state)
{
    (void)state;
    static const struct shape shape = {.classes = {ZDM_PHASE_EXPAND, ZDM_PHASE_MIGRATE, ZDM_PHASE_MIGRATE},
                                       .lines = {{1, ZDM_ACTION_CREATE_INDEX, NULL, false},
                                                 {1, ZDM_ACTION_ADD_COLUMN, "a", false},
                                                 {2, ZDM_ACTION_DELETE, NULL, false},
                                                 {3, ZDM_ACTION_BACKFILL, "a", false}}};
    struct zdm_undo_repeat repeat;
    struct zdm_plan *plan = make(&shape);
    zdm_copy_text(plan->phases[1].steps[0].id, sizeof plan->phases[1].steps[0].id, "2.1");
    assert_repeats(plan, 2, 4, 1, "step 2.1 (delete) would be undone and done a second time: roll back to phase 1");
    assert_false(zdm_plan_undo_repeats(plan, ZDM_ENGINE_ANY, 2, 3, &repeat)); /* the column was not filled yet */
    assert_false(zdm_plan_undo_repeats(plan, ZDM_ENGINE_ANY, 1, 4, &repeat));
    assert_false(zdm_plan_undo_repeats(plan, ZDM_ENGINE_ANY, 0, 4, &repeat));
    assert_false(zdm_plan_undo_repeats(plan, ZDM_ENGINE_ANY, 3, 5, &repeat));
    plan->phases[0].approvals = 1; /* and then no part of it can be done again */
    assert_repeats(plan, 1, 4, 0, "phase 1 would have to be entered again and needs approvals: roll back to phase 0");
    assert_repeats(plan, 2, 4, 0, "phase 1 would have to be entered again and needs approvals: roll back to phase 0");
    plan->phases[0].approvals = 0;
    plan->phases[1].destructive = true;
    assert_repeats(plan, 2, 4, 1, "phase 2 would have to be entered again and needs approvals: roll back to phase 1");
    zdm_plan_unref(plan);
}

static void a_column_that_nothing_fills_is_lost_with_what_new_code_wrote(void **state)
{
    (void)state;
    static const struct shape shape = {
        .classes = {ZDM_PHASE_EXPAND, ZDM_PHASE_SWITCH},
        .lines = {{1, ZDM_ACTION_ADD_COLUMN, "note", false}, {2, ZDM_ACTION_GATE_FLAG, NULL, false}}};
    struct zdm_plan *plan = make(&shape);
    const struct zdm_step *step = NULL;
    assert_true(loses(plan, 0, 2, &step));
    assert_int_equal(step->ordinal, 1);
    assert_false(loses(plan, 1, 2, &step));
    assert_false(loses(plan, 0, 1, &step));
    zdm_plan_unref(plan);
}

static void a_table_is_lost_with_the_rows_that_new_code_wrote(void **state)
{
    (void)state;
    static const struct shape shape = {
        .classes = {ZDM_PHASE_EXPAND, ZDM_PHASE_SWITCH},
        .lines = {{1, ZDM_ACTION_CREATE_TABLE, NULL, false}, {2, ZDM_ACTION_GATE_FLAG, NULL, false}}};
    struct zdm_plan *plan = make(&shape);
    const struct zdm_step *step = NULL;
    assert_true(loses(plan, 0, 2, &step));
    assert_int_equal(step->ordinal, 1);
    assert_false(loses(plan, 1, 2, &step));
    assert_false(loses(plan, 0, 1, &step));
    zdm_plan_unref(plan);
}

/* Phases without steps (a switch without flag) are counted like others. */
static void phases_without_steps_have_no_ordinals_of_their_own(void **state)
{
    (void)state;
    static const struct shape shape = {
        .classes = {ZDM_PHASE_EXPAND, ZDM_PHASE_SWITCH, ZDM_PHASE_SWITCH, ZDM_PHASE_CONTRACT},
        .lines = {{1, ZDM_ACTION_ADD_COLUMN, "x", false}, {4, ZDM_ACTION_HIDE_COLUMN, "y", false}}};
    struct zdm_plan *plan = make(&shape);
    static const uint32_t first_after[] = {1, 2, 2, 2, 3, 3};
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(zdm_plan_first_after(plan, i), first_after[i]);
    assert_int_equal(zdm_plan_switch_between(plan, 1, 4), 3);
    assert_int_equal(zdm_plan_switch_between(plan, 2, 4), 3);
    assert_int_equal(zdm_plan_switch_between(plan, 1, 2), 2);
    assert_int_equal(zdm_plan_switch_between(plan, 3, 4), 0);
    assert_int_equal(zdm_plan_purge_phase(plan), 0);
    zdm_plan_unref(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_floor_of_a_rename_is_its_column_once_its_triggers_go),
        cmocka_unit_test(a_rename_loses_nothing_and_its_switch_stands_in_between),
        cmocka_unit_test(what_was_purged_is_found_from_wherever_one_goes_back),
        cmocka_unit_test(a_lower_floor_takes_with_it_what_is_filled_above_it),
        cmocka_unit_test(what_only_runs_forward_is_lost_below_an_entered_switch),
        cmocka_unit_test(what_new_code_wrote_is_still_there_after_a_first_leg_below_its_switch),
        cmocka_unit_test(a_column_that_is_filled_behind_its_switch_is_lost_by_a_rollback_to_it),
        cmocka_unit_test(what_nobody_does_twice_is_named_with_the_phase_that_can_be_gone_back_to),
        cmocka_unit_test(a_column_that_nothing_fills_is_lost_with_what_new_code_wrote),
        cmocka_unit_test(a_table_is_lost_with_the_rows_that_new_code_wrote),
        cmocka_unit_test(phases_without_steps_have_no_ordinals_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
