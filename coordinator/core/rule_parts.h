/*
 * rule_parts.h - the guards and actions that the rows of rules.c name. Guards look, actions write events; neither
 * changes the state.
 */
#ifndef COORDINATOR_CORE_RULE_PARTS_H
#define COORDINATOR_CORE_RULE_PARTS_H

#include "coordinator/core/machine.h"

typedef bool coord_guard(const struct coord_case *c);
typedef void coord_action(struct coord_case *c);

coord_guard guard_may_enter, guard_reached_goal, guard_reached_last, guard_current, guard_held_reached,
    guard_held_undone, guard_held_failed, guard_resumes_to, guard_failed_forward, guard_failed_back, guard_covered,
    guard_undone_here, guard_undone_all, guard_further_back, guard_lost_rows_come_back, guard_lost, guard_lost_held,
    guard_proven, guard_proven_last, guard_was_released, guard_was_last, guard_outranked, guard_outranked_purging,
    guard_unranked, guard_resumes_back, guard_covered_unbegun, guard_forward, guard_forward_last, guard_has_actor,
    guard_purged;
coord_action act_release, act_reached, act_failed, act_pause, act_resume_same, act_resume_here, act_retry_forward,
    act_retry_back, act_retry_here, act_undo, act_undone, act_undone_part, act_undone_unbegun, act_regressed,
    act_regressed_on, act_regressed_unsure, act_unknown, act_proven, act_move_actor, act_two_primaries, act_exclude,
    act_include, act_send_directive, act_fence, act_forward, act_again, act_purge, act_purged;

#endif
