/*
 * test_model.c - the rules of the model: which plans are whole, which directives are accepted, which trust files hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buffer.h"
#include "common/plan/plan.h"
#include "tests/unit/proto/sample.h"

/* ---- plans ---- */

static void set_text(char **member, const char *words)
{
    free(*member);
    *member = zdm_strdup(words);
}

static struct zdm_step *step(struct zdm_plan *plan, uint32_t ordinal)
{
    return (struct zdm_step *)(uintptr_t)zdm_plan_step(plan, ordinal);
}

static void no_phases(struct zdm_plan *plan)
{
    for (size_t i = 0; i < plan->n_phases; i++) {
        for (size_t j = 0; j < plan->phases[i].n_steps; j++)
            zdm_step_fini(&plan->phases[i].steps[j]);
        free(plan->phases[i].steps);
    }
    plan->n_phases = 0;
}

#define BREAK(name, ...)                                                                                               \
    static void name(struct zdm_plan *plan)                                                                            \
    {                                                                                                                  \
        __VA_ARGS__;                                                                                                   \
    }

BREAK(other_format, plan->format = 2)
BREAK(bad_id, plan->id[0] = 'R')
BREAK(no_compiler, plan->compiler[0] = '\0')
BREAK(bad_selector, set_text(&plan->selector, "=="))
BREAK(negative_soak, plan->wave_soak_ms = -1)
BREAK(too_much_duty, plan->throttle.duty_percent = 101)
BREAK(wave_both, plan->waves[0].percent = 5)
BREAK(wave_percent, plan->waves[1].percent = 101)
BREAK(wave_selector, set_text(&plan->waves[0].selector, "!!"))
BREAK(phase_number, plan->phases[1].number = 3)
BREAK(phase_class, plan->phases[1].class = (enum zdm_phase_class)9)
BREAK(too_many_approvals, plan->phases[1].approvals = 17)
BREAK(step_ordinal, step(plan, 3)->ordinal = 4)
BREAK(step_id, memcpy(step(plan, 3)->id, "1.1", 4))
BREAK(step_action, step(plan, 3)->action = (enum zdm_action)99)
BREAK(step_kind, step(plan, 3)->kind = ZDM_STEP_DDL)
BREAK(no_sql, step(plan, 1)->sql[0] = '\0')
BREAK(stray_sql, set_text(&step(plan, 3)->sql, "DROP TABLE users"))
BREAK(no_column, set_text(&step(plan, 1)->column, ""))
BREAK(other_table, set_text(&step(plan, 1)->table.name, "orders"))
BREAK(no_flag_key, set_text(&step(plan, 4)->flag->key, ""))
BREAK(bad_sync, step(plan, 3)->sync_step = 1)
BREAK(no_trigger_form, set_text(&step(plan, 2)->derivation->assignments[0].expr_new, ""))
BREAK(no_trigger_filter, set_text(&step(plan, 2)->derivation->filter_old, ""))
BREAK(not_a_copy, free(step(plan, 2)->derivation->assignments[0].copy_of);
      step(plan, 2)->derivation->assignments[0].copy_of = NULL)
BREAK(no_inverse_sql, set_text(&step(plan, 1)->inverse_sql, ""))
BREAK(stray_inverse_sql, set_text(&step(plan, 3)->inverse_sql, "DROP TABLE users"))
BREAK(hidden_destruction, plan->phases[3].destructive = false)
BREAK(purge_not_destructive, step(plan, 5)->inverse = ZDM_INVERSE_NONE; plan->phases[3].destructive = false)
BREAK(inexact_not_destructive, step(plan, 2)->exact_inverse = false)
BREAK(unknown_inverse, step(plan, 3)->inverse = (enum zdm_inverse_kind)9)
BREAK(inverse_of_another, step(plan, 3)->inverse = ZDM_INVERSE_UNHIDE; step(plan, 3)->exact_inverse = true)
BREAK(endless_grace, plan->grace_ms = INT64_C(366) * 24 * 3600 * 1000 + 1)

/* The backfill keeps before-images, and the purge step drops them. */
static void keep_images(struct zdm_plan *plan, const char *kept, const char *dropped)
{
    struct zdm_step *fill = step(plan, 3), *purge = step(plan, 5);
    fill->inverse = ZDM_INVERSE_IMAGES;
    fill->exact_inverse = true;
    set_text(&fill->object, kept);
    purge->action = ZDM_ACTION_PURGE_IMAGES;
    free(purge->column);
    purge->column = NULL;
    set_text(&purge->object, dropped);
}
BREAK(images_of_nobody, keep_images(plan, "undo_0badcafe", "undo_0badcaff"))
BREAK(images_elsewhere, keep_images(plan, "undo_0badcafe", "spent"))
BREAK(images_upper_case, keep_images(plan, "undo_0BADCAFE", "undo_0BADCAFE"))
BREAK(images_long, keep_images(plan, "undo_0badcafe1", "undo_0badcafe1"))
BREAK(images_nowhere, keep_images(plan, "undo_0badcafe", "undo_0badcafe"); free(step(plan, 3)->object);
      step(plan, 3)->object = NULL)
BREAK(images_not_kept, set_text(&step(plan, 3)->object, "undo_0badcafe"))
BREAK(images_inexact, keep_images(plan, "undo_0badcafe", "undo_0badcafe"); step(plan, 3)->exact_inverse = false)
BREAK(purge_elsewhere, plan->phases[3].class = ZDM_PHASE_CONTRACT)

static void a_plan_that_is_not_whole_is_refused_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct zdm_plan *plan);
        const char *why;
    } cases[] = {
        {other_format, "format 2"},
        {bad_id, "valid id"},
        {no_compiler, "which release"},
        {bad_selector, "selector of the plan"},
        {negative_soak, "negative soak"},
        {too_much_duty, "100 percent"},
        {wave_both, "wave 1"},
        {wave_percent, "wave 2"},
        {wave_selector, "wave 1"},
        {no_phases, "0 phases"},
        {phase_number, "phase 3 stands at place 2"},
        {phase_class, "unknown class 9"},
        {too_many_approvals, "approvals"},
        {step_ordinal, "step 4 stands at place 3"},
        {step_id, "same id 1.1"},
        {step_action, "unknown action 99"},
        {step_kind, "another kind"},
        {no_sql, "step 1.1 (add-column) has no SQL"},
        {stray_sql, "SQL that it would not run"},
        {no_column, "no usable column"},
        {other_table, "does not list"},
        {no_flag_key, "names no flag"},
        {bad_sync, "synchronization that is none"},
        {no_trigger_form, "without an expression"},
        {no_trigger_filter, "trigger cannot evaluate"},
        {not_a_copy, "not a copy"},
        {no_inverse_sql, "no SQL for its inverse"},
        {stray_inverse_sql, "inverse of another kind"},
        {hidden_destruction, "not marked destructive"},
        {purge_not_destructive, "purges, but its phase"},
        {inexact_not_destructive, "not undone exactly"},
        {unknown_inverse, "unknown inverse"},
        {inverse_of_another, "inverse of another action"},
        {endless_grace, "grace time"},
        {images_of_nobody, "no backfill before it keeps"},
        {images_elsewhere, "no usable table for before-images"},
        {images_upper_case, "no usable table for before-images"},
        {images_long, "no usable table for before-images"},
        {images_nowhere, "no usable table for before-images"},
        {images_not_kept, "that it does not keep"},
        {images_inexact, "not undone exactly"},
        {purge_elsewhere, "mixes purging"},
    };
    struct zdm_error err = ZDM_ERROR_INIT;
    struct zdm_plan *plan = sample_plan();
    assert_int_equal(zdm_plan_validate(plan, &err), ZDM_OK);
    zdm_plan_unref(plan);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        plan = sample_plan();
        cases[i].change(plan);
        assert_int_equal(zdm_plan_validate(plan, &err), ZDM_INVALID);
        if (strstr(err.message, cases[i].why) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.message, cases[i].why);
        zdm_plan_unref(plan);
    }
}

static void steps_are_found_by_ordinal_over_all_phases(void **state)
{
    (void)state;
    struct zdm_plan *plan = sample_plan(), *other = sample_plan();
    static const uint32_t phases[] = {0, 1, 1, 2, 3, 4, 0};
    for (uint32_t ordinal = 0; ordinal < 7; ordinal++) {
        const struct zdm_step *found = zdm_plan_step(plan, ordinal);
        assert_int_equal(zdm_plan_phase_of(plan, ordinal), phases[ordinal]);
        assert_int_equal(found != NULL ? found->ordinal : 0, phases[ordinal] != 0 ? ordinal : 0);
    }
    assert_int_equal(zdm_plan_n_steps(plan), 5);
    assert_int_equal(zdm_plan_last_phase(plan), 4);
    assert_null(zdm_plan_phase(plan, 0));
    assert_null(zdm_plan_phase(plan, 5));
    assert_string_equal(zdm_plan_common_table(plan, other)->name, "users");
    set_text(&other->tables[0].schema, "shop");
    assert_null(zdm_plan_common_table(plan, other));
    zdm_plan_unref(zdm_plan_ref(plan));
    zdm_plan_unref(plan);
    zdm_plan_unref(other);
}

/* ---- directives (protocol 3, rule 4) ---- */

static struct zdm_fence fence(uint64_t epoch, uint8_t instance, uint64_t generation, uint8_t anchor)
{
    return (struct zdm_fence){
        .epoch = epoch, .instance = sample_id(instance), .generation = generation, .anchor = sample_hash(anchor)};
}

static void directives_are_judged_by_pair_instance_anchor_and_digest(void **state)
{
    (void)state;
    static const struct {
        uint64_t epoch;
        uint8_t instance;
        uint64_t generation;
        uint8_t anchor, digest;
        enum zdm_acceptance wanted;
    } cases[] = {
        {5, 1, 11, 2, 9, ZDM_ACCEPT},       {6, 2, 1, 2, 9, ZDM_ACCEPT},        {5, 1, 10, 1, 1, ZDM_REPEAT},
        {5, 1, 9, 1, 1, ZDM_STALE},         {4, 7, 99, 1, 1, ZDM_STALE},        {5, 1, 10, 1, 2, ZDM_EQUIVOCATION},
        {5, 1, 10, 2, 1, ZDM_EQUIVOCATION}, {5, 2, 10, 1, 1, ZDM_EQUIVOCATION}, {5, 2, 11, 1, 1, ZDM_EQUIVOCATION},
        {5, 2, 9, 1, 1, ZDM_EQUIVOCATION},
    };
    const struct zdm_fence accepted = fence(5, 1, 10, 1), nothing = {.epoch = 0};
    const struct zdm_hash digest = sample_hash(1), zero = {{0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct zdm_fence offered = fence(cases[i].epoch, cases[i].instance, cases[i].generation, cases[i].anchor);
        struct zdm_hash offered_digest = sample_hash(cases[i].digest);
        assert_int_equal(zdm_directive_judge(&accepted, &digest, &offered, &offered_digest), cases[i].wanted);
    }
    assert_int_equal(zdm_directive_judge(&nothing, &zero, &accepted, &digest), ZDM_ACCEPT);
}

/* ---- trust files ---- */

static void a_trust_file_needs_distinct_keys_and_an_operator(void **state)
{
    (void)state;
    struct zdm_trust trust;
    struct zdm_error err = ZDM_ERROR_INIT;
    sample_trust(&trust);
    assert_int_equal(zdm_trust_validate(&trust, &err), ZDM_OK);
    trust.people[0].roles = ZDM_ROLE_APPROVER;
    assert_int_equal(zdm_trust_validate(&trust, &err), ZDM_INVALID);
    trust.people[0].roles = 8 | ZDM_ROLE_OPERATOR;
    assert_int_equal(zdm_trust_validate(&trust, &err), ZDM_INVALID);
    trust.people[0].roles = ZDM_ROLE_OPERATOR;
    trust.people[0].public_key = trust.coordinators[0];
    assert_int_equal(zdm_trust_validate(&trust, &err), ZDM_INVALID);
    trust.people[0].public_key = trust.roots[0]; /* one person in all roles */
    assert_int_equal(zdm_trust_validate(&trust, &err), ZDM_OK);
    trust.root_threshold = 2;
    assert_int_equal(zdm_trust_validate(&trust, &err), ZDM_INVALID);
    trust.n_roots = 2;
    trust.roots[1] = trust.roots[0];
    assert_int_equal(zdm_trust_validate(&trust, &err), ZDM_INVALID);
    zdm_trust_fini(&trust);
}

static void every_verb_has_a_name_and_a_role(void **state)
{
    (void)state;
    for (unsigned verb = ZDM_VERB_SUBMIT; verb <= ZDM_VERB_PURGE; verb++) {
        assert_string_not_equal(zdm_verb_name((enum zdm_verb)verb), "?");
        enum zdm_role role = zdm_verb_role((enum zdm_verb)verb);
        assert_true(role == ZDM_ROLE_OPERATOR || role == ZDM_ROLE_APPROVER);
    }
    assert_string_equal(zdm_verb_name((enum zdm_verb)99), "?");
    char text[32];
    zdm_roles_text(text, sizeof text, ZDM_ROLE_OPERATOR | ZDM_ROLE_APPROVER | ZDM_ROLE_VIEWER);
    assert_string_equal(text, "operator, approver");
    zdm_roles_text(text, sizeof text, ZDM_ROLE_VIEWER);
    assert_string_equal(text, "viewer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_that_is_not_whole_is_refused_with_the_reason),
        cmocka_unit_test(steps_are_found_by_ordinal_over_all_phases),
        cmocka_unit_test(directives_are_judged_by_pair_instance_anchor_and_digest),
        cmocka_unit_test(a_trust_file_needs_distinct_keys_and_an_operator),
        cmocka_unit_test(every_verb_has_a_name_and_a_role),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
