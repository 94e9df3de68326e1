/*
 * spend_tests.h - the tests of undo orders and approvals, for the program of each engine.
 */
#ifndef TESTS_INTEGRATION_SPEND_TESTS_H
#define TESTS_INTEGRATION_SPEND_TESTS_H

#include "tests/support/engine_rig.h"

#define SPEND_TESTS(X)                                                                                                 \
    X(approvals_let_a_phase_in_once)                                                                                   \
    X(approvals_that_say_now_come_later)                                                                               \
    X(approvals_of_leftovers_hold_for_one_order)                                                                       \
    X(undo_order_counts_once_and_going_forward_ends_it)                                                                \
    X(rollback_spends_what_was_approved_before_it)                                                                     \
    X(rollback_ends_what_a_purge_of_leftovers_was_allowed)                                                             \
    X(loss_is_spent_with_the_order_that_it_allows)                                                                     \
    X(another_plan_of_the_same_id_begins_without_what_was_let_in)                                                      \
    X(orders_let_in_and_a_rollback_takes_back)                                                                         \
    X(mark_of_the_switch_rises_with_a_rollback_and_falls_at_its_end)                                                   \
    X(another_plan_of_the_same_id_begins_at_its_own_goal)                                                              \
    X(rollback_over_a_purge_is_refused)                                                                                \
    X(spending_is_fenced)                                                                                              \
    X(plan_signed_anew_replaces_its_envelope)
#define DECLARE(name) void name(void **state);
SPEND_TESTS(DECLARE)
#undef DECLARE

#endif
