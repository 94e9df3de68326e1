/*
 * test_back.c - the way back: from every point of every phase, behind the reverse barrier, and forward again; shards
 * that are taken out and come back; what rollbacks left.
 */
#include "fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

static void begin(struct fleet *f, size_t n, const char *phases)
{
    fleet_init(f, n);
    struct zdm_plan *plan = plan_of("m", phases);
    plan->failure_budget = 9;
    assert_int_equal(fleet_submit(f, plan), ZDM_OK);
    fleet_heartbeat(f);
}

/* Everybody to the end of a phase, signatures given. */
static void walk_to(struct fleet *f, uint32_t to)
{
    for (uint32_t p = migration(f)->opened_phase + 1; p <= to; p++) {
        enum zdm_approval_action action;
        if (coord_phase_needs(&f->view, migration(f), p, &action) > 0)
            assert_int_equal(fleet_approve(f, BOB, action, p), ZDM_OK);
        if (fleet_ask(f, ZDM_VERB_ADVANCE, NULL) != ZDM_OK)
            fail_msg("advance: %s", f->answer.message);
        fleet_obey_all(f);
    }
}

/* ---- From everywhere ---- */

enum point { AT_REST, MOVING, PAUSED, PAUSED_MOVING, FAILED, PAUSED_FAILED, UNSURE, UNSURE_MOVING, POINTS };

static void doubt(struct fleet *f, size_t i)
{
    struct told told;
    tell(f, i, 0, shard(f, i)->at, &told);
    told.of.state = ZDM_AGENT_UNSURE;
    fleet_report(f, &told);
}

/* The shard stands at the end of phase at, or half way in the next. */
static void bring_to(struct fleet *f, uint32_t at, enum point point)
{
    bool half = point == MOVING || point == PAUSED_MOVING || point == FAILED || point == PAUSED_FAILED ||
                point == UNSURE_MOVING;
    begin(f, 1, "emcm");
    walk_to(f, at);
    if (half)
        assert_int_equal(fleet_ask(f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
    if (point == FAILED || point == PAUSED_FAILED)
        fleet_fail(f, 0, "no");
    if (point == UNSURE || point == UNSURE_MOVING)
        doubt(f, 0);
    if (point == PAUSED || point == PAUSED_MOVING || point == PAUSED_FAILED)
        assert_int_equal(fleet_ask(f, ZDM_VERB_PAUSE, NULL), ZDM_OK);
}

static void check_undone(struct fleet *f, uint32_t to)
{
    assert_status(f, 0, COORD_UNDOING);
    assert_int_equal(shard(f, 0)->goal, to);
    assert_true(shard(f, 0)->opened <= to);
    fleet_obey(f, 0);
    assert_int_equal(shard(f, 0)->at, to);
    assert_int_equal(shard(f, 0)->entered, to);
    assert_int_equal(migration(f)->opened_phase, to);
    assert_true(coord_was_rolled_back(shard(f, 0)));
    if (to > 0) {
        assert_status(f, 0, COORD_HELD);
        assert_int_equal(shard(f, 0)->resume_to, COORD_READY);
    } else {
        assert_status(f, 0, COORD_UNDONE);
        assert_int_equal(migration(f)->outcome, COORD_END_UNDONE);
    }
}

static void rollback_works_from_every_point_of_every_phase_half_phases_included(void **unused)
{
    (void)unused;
    for (uint32_t at = 0; at <= 3; at++)
        for (enum point point = AT_REST; point < POINTS; point++)
            for (uint32_t to = 0; to <= at + 1 && to <= 4; to++) {
                struct fleet f;
                bring_to(&f, at, point);
                uint32_t attempt = shard(&f, 0)->attempt;
                bool may = to < shard(&f, 0)->entered && to <= at && shard(&f, 0)->generation != 0;
                enum zdm_code code = fleet_rollback(&f, NULL, to, false);
                if ((code == ZDM_OK) != may)
                    fail_msg("at %u, point %d, to %u: %s", at, (int)point, to, f.answer.message);
                if (may) {
                    assert_true(shard(&f, 0)->attempt > attempt); /* who had stopped does not stay so */
                    check_undone(&f, to);
                } else {
                    assert_string_equal(f.answer.hint, "See where they are: zdmctl status m.");
                }
                assert_fold_is_the_same(&f);
                fleet_fini(&f);
            }
}

static void rollback_goes_further_back_while_it_is_under_way_and_after_it_failed(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 1, "emmm");
    walk_to(&f, 3);
    assert_int_equal(fleet_rollback(&f, NULL, 2, false), ZDM_OK);
    assert_int_equal(fleet_rollback(&f, NULL, 2, false), ZDM_REFUSED); /* it is on its way there */
    assert_int_equal(fleet_rollback(&f, NULL, 1, false), ZDM_OK);
    assert_int_equal(shard(&f, 0)->goal, 1);
    fleet_fail(&f, 0, "cannot");
    assert_status(&f, 0, COORD_FAILED);
    assert_true(shard(&f, 0)->failed_back);
    assert_int_equal(fleet_rollback(&f, NULL, 0, false), ZDM_OK);
    fleet_obey(&f, 0);
    assert_status(&f, 0, COORD_UNDONE);
    assert_int_equal(migration(&f)->n_undos, 3);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void going_back_is_no_loss_and_keeps_its_order_through_pause_failure_and_doubt(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    struct zdm_envelope approvals[ZDM_APPROVALS_MAX];
    struct zdm_directive d;
    begin(&f, 1, "emmm");
    walk_to(&f, 3);
    fleet_rollback(&f, NULL, 0, false);
    tell(&f, 0, 0, 1, &told); /* phases fall */
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_UNDOING);
    assert_int_equal(shard(&f, 0)->at, 3);
    doubt(&f, 0);
    assert_status(&f, 0, COORD_UNSURE);
    assert_true(coord_is_going_back(shard(&f, 0)));
    tell(&f, 0, 0, 3, &told); /* proof of a phase does not end a rollback */
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_UNSURE);
    fleet_ask(&f, ZDM_VERB_PAUSE, NULL);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RESUME, NULL), ZDM_OK);
    assert_status(&f, 0, COORD_UNSURE);
    assert_true(coord_directive(f.state, migration(&f), 0, approvals, &d));
    assert_int_equal(d.mode, ZDM_MODE_UNDO); /* mode run would end it at the agent */
    assert_non_null(d.undo_order);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RETRY, NULL), ZDM_OK); /* row 32 */
    assert_status(&f, 0, COORD_UNDOING);
    fleet_fail(&f, 0, "cannot");
    fleet_ask(&f, ZDM_VERB_PAUSE, NULL);
    fleet_ask(&f, ZDM_VERB_RESUME, NULL);
    assert_status(&f, 0, COORD_FAILED);
    assert_int_equal(shard(&f, 0)->mode, ZDM_MODE_UNDO);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RETRY, NULL), ZDM_OK);
    fleet_ask(&f, ZDM_VERB_PAUSE, NULL);
    tell(&f, 0, 0, 0, &told);
    told.of.undone = true;
    zdm_copy_text(told.of.remark, sizeof told.of.remark, "3 rows kept");
    fleet_report(&f, &told); /* finished before the pause arrived */
    assert_status(&f, 0, COORD_HELD);
    assert_int_equal(shard(&f, 0)->resume_to, COORD_UNDONE);
    assert_string_equal(shard(&f, 0)->remark, "3 rows kept");
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void undone_counts_only_when_the_goal_is_proven(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f, 1, "emm");
    walk_to(&f, 2);
    fleet_rollback(&f, NULL, 1, false);
    tell(&f, 0, 0, 1, &told);
    told.of.undone = true;
    told.of.proven = false;
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_UNDOING);
    told.of.proven = true;
    told.of.proven_phase = 0;
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_UNDOING);
    told.of.proven_phase = 1;
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_HELD);
    fleet_fini(&f);
}

/* ---- Forward again ---- */

static void rolled_back_shard_goes_forward_again_only_after_resume_and_a_new_advance(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 2, "emm");
    walk_to(&f, 2);
    fleet_rollback(&f, NULL, 1, false);
    fleet_obey_all(&f);
    assert_int_equal(migration(&f)->opened_phase, 1);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RESUME, NULL), ZDM_OK);
    assert_non_null(strstr(f.answer.hint, "2 of them had been rolled back"));
    assert_status(&f, 0, COORD_READY);
    assert_false(coord_was_rolled_back(shard(&f, 0)));
    fleet_heartbeat(&f);
    assert_status(&f, 0, COORD_READY);
    walk_to(&f, 3);
    assert_int_equal(migration(&f)->outcome, COORD_END_DONE);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

/* s00001 is wave 1 and moves into phase `to` + 1; s00000 waits for it. */
static void begin_two_waves(struct fleet *f, uint32_t to)
{
    fleet_init(f, 2);
    struct zdm_plan *plan = plan_of("m", "emm");
    plan->waves[0].selector = zdm_strdup("tier=odd");
    plan->waves[1].percent = 100;
    plan->n_waves = 2;
    assert_int_equal(fleet_submit(f, plan), ZDM_OK);
    fleet_heartbeat(f);
    for (uint32_t p = 1; p <= to; p++) {
        assert_int_equal(fleet_ask(f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
        fleet_obey(f, 1);
        fleet_obey(f, 0);
    }
    assert_int_equal(fleet_ask(f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
    assert_status(f, 1, COORD_MOVING);
    assert_status(f, 0, COORD_READY);
}

static void rollback_takes_whoever_waits_for_a_wave_out_of_the_phase_it_had_open(void **unused)
{
    (void)unused;
    for (uint32_t to = 0; to <= 2; to++) {
        struct fleet f;
        begin_two_waves(&f, to);
        assert_int_equal(fleet_rollback(&f, NULL, to, false), ZDM_OK);
        fleet_obey_all(&f);
        for (size_t i = 0; i < 2; i++) {
            assert_true(coord_was_rolled_back(shard(&f, i)));
            assert_int_equal(shard(&f, i)->opened, to);
            assert_int_equal(shard(&f, i)->at, to);
        }
        assert_int_equal(migration(&f)->opened_phase, to);
        if (to == 0) {
            assert_int_equal(migration(&f)->outcome, COORD_END_UNDONE);
        } else {
            assert_int_equal(fleet_ask(&f, ZDM_VERB_RESUME, NULL), ZDM_OK);
            fleet_heartbeat(&f);
            assert_status(&f, 0, COORD_READY);
            walk_to(&f, 3);
        }
        assert_fold_is_the_same(&f);
        fleet_fini(&f);
    }
}

static void undone_shard_is_resumed_to_before_the_first_phase_while_others_go_on(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 2, "emm");
    walk_to(&f, 1);
    fleet_rollback(&f, "shard=s00001", 0, false);
    fleet_obey(&f, 1);
    assert_status(&f, 1, COORD_UNDONE);
    assert_int_equal(migration(&f)->mode, COORD_OPEN);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, NULL), ZDM_OK); /* lets nobody in who was taken back */
    assert_int_equal(shard(&f, 1)->opened, 0);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RESUME, "shard=s00001"), ZDM_OK);
    assert_status(&f, 1, COORD_READY);
    fleet_heartbeat(&f);
    assert_status(&f, 1, COORD_READY);
    assert_int_equal(fleet_advance_to(&f, "shard=s00001", 2), ZDM_OK);
    assert_status(&f, 1, COORD_MOVING);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void rollback_is_given_up_where_the_agent_proves_it_stands(void **unused)
{
    (void)unused;
    for (unsigned how = 0; how < 4; how++) {
        struct fleet f;
        struct told told;
        begin(&f, 1, "emmm");
        walk_to(&f, 3);
        assert_int_equal(fleet_forward(&f, NULL), ZDM_REFUSED); /* it is not going back */
        fleet_rollback(&f, NULL, 0, false);
        if (how == 1)
            fleet_fail(&f, 0, "cannot");
        if (how == 2)
            fleet_ask(&f, ZDM_VERB_PAUSE, NULL);
        if (how == 3)
            doubt(&f, 0);
        f.now_ms += COORD_SILENT_MS;
        assert_int_equal(fleet_forward(&f, NULL), ZDM_REFUSED); /* nobody knows where it stands */
        assert_non_null(strstr(f.answer.hint, "Try again when its agent has spoken"));
        tell(&f, 0, 0, 2, &told);
        told.of.state = how == 1 ? ZDM_AGENT_STOPPED : how == 3 ? ZDM_AGENT_UNSURE : told.of.state;
        fleet_report(&f, &told);
        assert_int_equal(fleet_forward(&f, NULL), ZDM_OK);
        assert_status(&f, 0, COORD_READY);
        assert_int_equal(shard(&f, 0)->at, 2);
        assert_int_equal(shard(&f, 0)->opened, 2);
        assert_int_equal(shard(&f, 0)->mode, ZDM_MODE_RUN);
        assert_int_equal(count_events(&f, COORD_EVENT_SHARD_REGRESSED), 1);
        fleet_heartbeat(&f);
        fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
        assert_status(&f, 0, COORD_MOVING);
        assert_fold_is_the_same(&f);
        fleet_fini(&f);
    }
}

static void same_plan_is_submitted_again_when_it_was_undone_everywhere(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 2, "em");
    walk_to(&f, 1);
    fleet_rollback(&f, NULL, 0, false);
    fleet_obey_all(&f);
    assert_int_equal(migration(&f)->mode, COORD_ENDED);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, NULL), ZDM_REFUSED);
    assert_non_null(strstr(f.answer.hint, "submit the same runbook again"));
    uint32_t attempt = shard(&f, 0)->attempt;
    assert_int_equal(fleet_submit(&f, plan_of("m", "em")), ZDM_OK);
    assert_int_equal(f.state->n_migrations, 2);
    assert_int_equal(shard(&f, 0)->attempt, attempt);
    fleet_heartbeat(&f);
    walk_to(&f, 2);
    assert_int_equal(migration(&f)->outcome, COORD_END_DONE);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

/* ---- The reverse barrier ---- */

static void below_a_switch_goes_nobody_before_all_are_back_at_it_and_the_flag_is_off(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 3, "emscc");
    walk_to(&f, 4);
    assert_int_equal(migration(&f)->gates[2].state, COORD_GATE_PASSED);
    assert_int_equal(coord_rollback_leg(migration(&f), NULL), 3);
    assert_int_equal(fleet_rollback(&f, NULL, 0, true), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "reverse barrier: 3 of 3 shards stand beyond phase 3 (switch)");
    assert_non_null(strstr(f.answer.hint, "zdmctl rollback m --all-shards --to 3"));
    assert_non_null(strstr(f.answer.hint, "zdmctl rollback m --all-shards --to 0 --flag-off"));
    assert_int_equal(fleet_rollback(&f, NULL, 3, false), ZDM_OK);
    fleet_obey(&f, 0);
    fleet_obey(&f, 1);
    assert_int_equal(fleet_rollback(&f, NULL, 0, true), ZDM_REFUSED); /* one is still on its way */
    assert_string_equal(f.answer.message, "reverse barrier: 1 of 3 shards stand beyond phase 3 (switch)");
    fleet_obey(&f, 2);
    assert_int_equal(coord_rollback_leg(migration(&f), NULL), 0);
    assert_int_equal(fleet_rollback(&f, NULL, 1, false), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "reverse barrier: flag use-new of phase 3 may still be on");
    assert_int_equal(migration(&f)->gates[2].state, COORD_GATE_PASSED);
    if (fleet_rollback(&f, NULL, 1, true) != ZDM_OK)
        fail_msg("%s; %s", f.answer.message, f.answer.detail);
    assert_int_equal(migration(&f)->gates[2].state, COORD_GATE_WAITING);
    fleet_obey_all(&f);
    fleet_ask(&f, ZDM_VERB_RESUME, NULL);
    assert_int_equal(fleet_advance_to(&f, NULL, 4), ZDM_REFUSED); /* the gate is passed by its own advance again */
    walk_to(&f, 5);
    assert_int_equal(count_events(&f, COORD_EVENT_GATE_PASSED), 2);
    assert_int_equal(migration(&f)->outcome, COORD_END_DONE);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void gate_goes_back_only_when_the_last_shard_does(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 2, "esc");
    walk_to(&f, 2);
    fleet_advance_to(&f, NULL, 3);
    assert_int_equal(fleet_rollback(&f, NULL, 2, false), ZDM_OK); /* half a phase */
    fleet_obey_all(&f);
    fleet_ask(&f, ZDM_VERB_RESUME, "shard=s00001");
    fleet_advance_to(&f, "shard=s00001", 3);
    assert_int_equal(shard(&f, 1)->opened, 3);
    assert_int_equal(fleet_rollback(&f, "shard=s00000", 1, false), ZDM_REFUSED);
    assert_non_null(strstr(f.answer.detail, "1 shard not selected stands beyond phase 2 (s00001)"));
    assert_int_equal(fleet_rollback(&f, "shard=s00000", 1, true), ZDM_OK);
    assert_int_equal(migration(&f)->gates[1].state, COORD_GATE_PASSED);
    assert_int_equal(fleet_rollback(&f, "shard=s00001", 1, true), ZDM_REFUSED); /* it is in phase 3 */
    assert_int_equal(fleet_rollback(&f, "shard=s00001", 2, false), ZDM_OK);
    fleet_obey_all(&f);
    assert_int_equal(migration(&f)->gates[1].state, COORD_GATE_PASSED);
    assert_int_equal(fleet_rollback(&f, "shard=s00001", 0, true), ZDM_OK);
    assert_int_equal(migration(&f)->gates[1].state, COORD_GATE_WAITING);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

/* ---- What would be lost ---- */

static struct zdm_plan *lossy_plan_of(const char *classes)
{
    struct zdm_plan *plan = plan_of("m", classes);
    struct zdm_step *add = &plan->phases[1].steps[0], *fill = &plan->phases[2].steps[0];
    add->action = ZDM_ACTION_ADD_COLUMN;
    add->kind = ZDM_STEP_DDL;
    add->column = zdm_strdup("full_name");
    fill->action = ZDM_ACTION_BACKFILL;
    fill->kind = ZDM_STEP_BACKFILL;
    fill->derivation = calloc(1, sizeof *fill->derivation);
    fill->derivation->assignments = calloc(1, sizeof *fill->derivation->assignments);
    fill->derivation->n_assignments = 1;
    fill->derivation->assignments[0].target = zdm_strdup("full_name");
    fill->derivation->assignments[0].added = true;
    return plan;
}

static struct zdm_plan *lossy_plan(void)
{
    return lossy_plan_of("emmsc");
}

static void rollback_that_loses_what_new_code_wrote_needs_approvals_beside_the_order(void **unused)
{
    (void)unused;
    struct fleet f;
    struct zdm_envelope approvals[ZDM_APPROVALS_MAX];
    struct zdm_directive d;
    fleet_init(&f, 2);
    f.view.authority.approvals_min = 2;
    fleet_submit(&f, lossy_plan());
    fleet_heartbeat(&f);
    walk_to(&f, 4);
    assert_int_equal(fleet_rollback(&f, NULL, 1, true), ZDM_REFUSED);
    assert_string_equal(f.answer.message,
                        "a rollback to phase 1 would lose what new code wrote on 2 shards: 0 of 2 approvals");
    assert_string_equal(f.answer.hint,
                        "Approvers say \"zdmctl approve m --rollback-to 1\", then an operator rolls back again.");
    assert_int_equal(fleet_approve(&f, BOB, ZDM_APPROVE_UNDO, 1), ZDM_OK);
    assert_string_equal(f.answer.hint, "Another approver says: zdmctl approve m --rollback-to 1.");
    assert_int_equal(fleet_rollback(&f, NULL, 1, true), ZDM_REFUSED);
    assert_int_equal(fleet_approve(&f, CAT, ZDM_APPROVE_UNDO, 1), ZDM_OK);
    assert_int_equal(fleet_rollback(&f, NULL, 1, true), ZDM_OK);
    assert_true(coord_directive(f.state, migration(&f), 0, approvals, &d));
    assert_int_equal(d.n_approvals, 2);
    fleet_obey_all(&f);
    /* Forward and back again: what was said once about losing is used up. */
    fleet_ask(&f, ZDM_VERB_RESUME, NULL);
    walk_to(&f, 4);
    assert_int_equal(fleet_rollback(&f, NULL, 1, true), ZDM_REFUSED);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

/* What new code wrote into the column alone outlasts a leg that does not touch it: the next one asks. */
static void second_leg_below_an_entered_switch_asks_for_what_the_first_left_there(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 2);
    f.view.authority.approvals_min = 2;
    fleet_submit(&f, lossy_plan());
    fleet_heartbeat(&f);
    walk_to(&f, 4);
    assert_int_equal(shard(&f, 0)->switched, 4);
    assert_int_equal(fleet_rollback(&f, NULL, 3, true), ZDM_OK);
    assert_int_equal(shard(&f, 0)->switched, 4); /* on its way */
    fleet_obey_all(&f);
    assert_int_equal(shard(&f, 0)->switched, 3);
    assert_int_equal(fleet_rollback(&f, NULL, 0, false), ZDM_REFUSED);
    assert_string_equal(f.answer.message,
                        "a rollback to phase 0 would lose what new code wrote on 2 shards: 0 of 2 approvals");
    assert_non_null(strstr(f.answer.detail, "Step 3.1 does not run backwards"));
    assert_int_equal(fleet_rollback(&f, NULL, 2, false), ZDM_REFUSED); /* it hides the column, and adds it anew */
    assert_int_equal(fleet_approve(&f, BOB, ZDM_APPROVE_UNDO, 2), ZDM_OK);
    assert_int_equal(fleet_approve(&f, CAT, ZDM_APPROVE_UNDO, 2), ZDM_OK);
    assert_int_equal(fleet_rollback(&f, NULL, 0, false), ZDM_REFUSED); /* that is another loss than they know of */
    assert_int_equal(fleet_approve(&f, BOB, ZDM_APPROVE_UNDO, 0), ZDM_OK);
    assert_int_equal(fleet_approve(&f, CAT, ZDM_APPROVE_UNDO, 0), ZDM_OK);
    assert_int_equal(fleet_rollback(&f, NULL, 0, false), ZDM_OK);
    fleet_obey_all(&f);
    assert_int_equal(shard(&f, 0)->switched, 0);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

/* Forward after the first leg: what a phase makes anew, new code has not seen before its switch. */
static void way_forward_after_a_first_leg_asks_for_nothing_above_where_it_ended(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 1);
    f.view.authority.approvals_min = 1;
    fleet_submit(&f, lossy_plan());
    fleet_heartbeat(&f);
    walk_to(&f, 4);
    fleet_approve(&f, BOB, ZDM_APPROVE_UNDO, 1);
    assert_int_equal(fleet_rollback(&f, NULL, 1, true), ZDM_OK);
    fleet_obey_all(&f);
    assert_int_equal(shard(&f, 0)->switched, 1);
    fleet_ask(&f, ZDM_VERB_RESUME, NULL);
    walk_to(&f, 3);
    assert_int_equal(shard(&f, 0)->switched, 1);
    assert_int_equal(fleet_rollback(&f, NULL, 1, false), ZDM_OK);
    fleet_obey_all(&f);
    assert_int_equal(fleet_rollback(&f, NULL, 0, false), ZDM_OK); /* phase 1 adds nothing that can be written to */
    fleet_obey_all(&f);
    assert_int_equal(shard(&f, 0)->switched, 0);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

/* The log knows of no switch any more, of which the shard's new code wrote: the mark is not the plan's. */
static void amended_plan_without_its_switch_takes_nothing_of_the_mark_away(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 1);
    f.view.authority.approvals_min = 1;
    fleet_submit(&f, lossy_plan());
    fleet_heartbeat(&f);
    walk_to(&f, 4);
    assert_int_equal(fleet_rollback(&f, NULL, 3, true), ZDM_OK);
    fleet_obey_all(&f);
    fleet_ask(&f, ZDM_VERB_RESUME, NULL);
    fleet_heartbeat(&f);
    struct zdm_plan *plan = lossy_plan_of("emmm");
    struct zdm_request request = {.verb = ZDM_VERB_SUBMIT, .amend = true};
    plan->hash.bytes[1] = 7;
    plan->phases[3].digest.bytes[0] = 7;
    request.plan_hash = plan->hash;
    zdm_copy_text(request.migration, sizeof request.migration, plan->id);
    if (fleet_request(&f, &request, plan) != ZDM_OK)
        fail_msg("%s; %s", f.answer.message, f.answer.detail);
    zdm_plan_unref(plan);
    assert_int_equal(migration(&f)->plan->phases[3].class, ZDM_PHASE_MIGRATE);
    assert_int_equal(shard(&f, 0)->switched, 3);
    assert_int_equal(fleet_rollback(&f, NULL, 0, false), ZDM_REFUSED);
    assert_non_null(strstr(f.answer.message, "would lose what new code wrote on 1 shard"));
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

/* ---- What would be done a second time ---- */

/* Phase 4 fills a column that phase 2 adds: back to the end of phase 3 means to the start of phase 2, and forward. */
static struct zdm_plan *repeating_plan(enum zdm_action action)
{
    struct zdm_plan *plan = plan_of("m", "emmm");
    struct zdm_plan *lossy = lossy_plan_of("emmm");
    struct zdm_step *add = &plan->phases[1].steps[0], *fill = &plan->phases[3].steps[0];
    add->action = ZDM_ACTION_ADD_COLUMN;
    add->column = zdm_strdup("full_name");
    fill->action = ZDM_ACTION_BACKFILL;
    fill->derivation = lossy->phases[2].steps[0].derivation;
    lossy->phases[2].steps[0].derivation = NULL;
    zdm_plan_unref(lossy);
    plan->phases[2].steps[0].action = action;
    return plan;
}

static void rollback_over_what_nobody_does_twice_is_refused_beforehand_with_the_way_on(void **unused)
{
    (void)unused;
    static const enum zdm_action actions[] = {ZDM_ACTION_DELETE, ZDM_ACTION_AS_IS};
    for (size_t i = 0; i < 2; i++) {
        struct fleet f;
        char message[200];
        fleet_init(&f, 2);
        fleet_submit(&f, repeating_plan(actions[i]));
        fleet_heartbeat(&f);
        walk_to(&f, 3);
        assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
        fleet_obey(&f, 1); /* the other one has not begun, for all that is known */
        assert_int_equal(fleet_rollback(&f, NULL, 3, false), ZDM_REFUSED);
        snprintf(message, sizeof message, "step 3.1 (%s) would be undone and done a second time: roll back to phase 2",
                 zdm_action_name(actions[i]));
        assert_string_equal(f.answer.message, message);
        assert_non_null(strstr(f.answer.detail, "So it is on 1 shard (s00001)"));
        assert_string_equal(f.answer.hint, "An operator says \"zdmctl rollback m --all-shards --to 2\".");
        assert_int_equal(fleet_rollback(&f, "tier=odd", 3, false), ZDM_REFUSED);
        assert_int_equal(fleet_rollback(&f, "!tier", 3, false), ZDM_OK); /* its agent is the judge */
        assert_int_equal(fleet_rollback(&f, NULL, 1, false), ZDM_OK);
        assert_fold_is_the_same(&f);
        fleet_fini(&f);
    }
}

static void rollback_that_would_enter_a_phase_again_that_people_let_in_is_refused_beforehand(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 1);
    struct zdm_plan *plan = repeating_plan(ZDM_ACTION_CREATE_INDEX);
    plan->phases[2].approvals = 1;
    fleet_submit(&f, plan);
    fleet_heartbeat(&f);
    walk_to(&f, 4);
    assert_int_equal(fleet_rollback(&f, NULL, 3, false), ZDM_REFUSED);
    assert_string_equal(f.answer.message,
                        "phase 3 would have to be entered again and needs approvals: roll back to phase 2");
    assert_int_equal(fleet_rollback(&f, NULL, 2, false), ZDM_OK);
    fleet_fini(&f);
}

static void what_was_purged_does_not_come_back(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 2, "ep");
    walk_to(&f, 1);
    fleet_approve(&f, BOB, ZDM_APPROVE_PURGE, 2);
    fleet_advance_to(&f, NULL, 2);
    fleet_obey(&f, 0);
    assert_status(&f, 0, COORD_DONE);
    assert_int_equal(fleet_rollback(&f, "shard=s00000", 0, false), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "shard s00000 has purged what a rollback would bring back");
    assert_int_equal(fleet_rollback(&f, NULL, 0, false), ZDM_OK); /* the other one still can */
    assert_string_equal(f.answer.detail,
                        "1 of those selected stays as it is: there or on the way already, excluded, or purged.");
    assert_status(&f, 1, COORD_UNDOING);
    fleet_fini(&f);
}

/* ---- The order ---- */

static void undo_order_has_to_be_the_requests_own_and_good(void **unused)
{
    (void)unused;
    struct fleet f;
    char *names[] = {(char *)"s00000"};
    begin(&f, 2, "em");
    walk_to(&f, 1);
    struct zdm_undo_order order = order_of(&f, 0);
    order.plan_hash.bytes[5] ^= 1;
    assert_int_equal(fleet_order(&f, &order, NULL, false), ZDM_REFUSED);
    order = order_of(&f, 0);
    order.expires_at_ms = f.now_ms - 1;
    assert_int_equal(fleet_order(&f, &order, NULL, false), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "undo order has expired");
    order = order_of(&f, 0);
    zdm_copy_text(order.migration, sizeof order.migration, "other");
    assert_int_equal(fleet_order(&f, &order, NULL, false), ZDM_REFUSED);
    order = order_of(&f, 0);
    order.shards = names;
    order.n_shards = 1;
    assert_int_equal(fleet_order(&f, &order, NULL, false), ZDM_INVALID);
    assert_non_null(strstr(f.answer.message, "does not name shard s00001"));
    f.who = BOB; /* no operator */
    order = order_of(&f, 0);
    assert_int_equal(fleet_order(&f, &order, NULL, false), ZDM_REFUSED);
    f.who = ANN;
    size_t events = f.n_log;
    order = order_of(&f, 0);
    assert_int_equal(fleet_order(&f, &order, "shard=s00000", false), ZDM_OK);
    assert_true(f.n_log > events);
    assert_int_equal(fleet_order(&f, &order, "shard=s00001", false), ZDM_EXISTS);
    assert_string_equal(f.answer.message, "this undo order was used before");
    order.issued_at_ms += 1; /* signed once more: the shard has spent its nonce all the same */
    assert_int_equal(fleet_order(&f, &order, "shard=s00001", false), ZDM_EXISTS);
    fleet_fini(&f);
}

static void orders_that_nobody_follows_any_more_are_forgotten_but_for_their_nonces(void **unused)
{
    (void)unused;
    struct fleet f;
    size_t kept = 0;
    begin(&f, 2, "em");
    struct zdm_undo_order first;
    for (unsigned round = 0; round < 20; round++) {
        walk_to(&f, 1);
        fleet_advance_to(&f, NULL, 2);
        struct zdm_undo_order order = order_of(&f, 1);
        if (round == 0)
            first = order;
        assert_int_equal(fleet_order(&f, &order, round % 2 == 0 ? NULL : "shard=s00001", false), ZDM_OK);
        fleet_obey_all(&f);
        fleet_ask(&f, ZDM_VERB_RESUME, NULL);
    }
    for (size_t i = 0; i < migration(&f)->n_undos; i++)
        kept += migration(&f)->undos[i].envelope.len > 0;
    assert_int_equal(migration(&f)->n_undos, 20);
    assert_true(kept <= 2);
    assert_int_equal(fleet_order(&f, &first, NULL, false), ZDM_EXISTS);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

/* ---- Out and in ---- */

static void excluded_shard_comes_back_through_proof(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 3, "emc");
    walk_to(&f, 1);
    fleet_advance_to(&f, NULL, 2);
    assert_int_equal(fleet_exclude(&f, "shard=s00002", ""), ZDM_INVALID);
    assert_int_equal(fleet_exclude(&f, NULL, "all of it"), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "no shard of migration m would be left");
    assert_int_equal(fleet_exclude(&f, "shard=s00002", "its host burns"), ZDM_OK);
    assert_status(&f, 2, COORD_EXCLUDED);
    assert_int_equal(fleet_exclude(&f, "shard=s00002", "again"), ZDM_REFUSED);
    fleet_obey(&f, 0);
    fleet_obey(&f, 1);
    fleet_ask(&f, ZDM_VERB_ADVANCE, NULL);
    assert_status(&f, 0, COORD_MOVING);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_INCLUDE, "shard=s00002"), ZDM_OK);
    assert_status(&f, 2, COORD_UNSURE);
    assert_true(shard(&f, 2)->late);
    fleet_obey(&f, 2); /* paused, and proves where it stands: it had been half way */
    assert_int_equal(shard(&f, 2)->at, 1);
    assert_status(&f, 2, COORD_MOVING); /* phase 2 was open for it */
    assert_int_equal(fleet_ask(&f, ZDM_VERB_INCLUDE, "shard=s00002"), ZDM_REFUSED);
    for (int i = 0; i < 4; i++)
        fleet_obey_all(&f);
    assert_int_equal(migration(&f)->outcome, COORD_END_DONE);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void migration_ends_undone_when_all_but_the_excluded_are(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 2, "em");
    walk_to(&f, 1);
    fleet_exclude(&f, "shard=s00001", "gone");
    fleet_rollback(&f, NULL, 0, false);
    fleet_obey(&f, 0);
    assert_int_equal(migration(&f)->mode, COORD_ENDED);
    assert_int_equal(migration(&f)->outcome, COORD_END_UNDONE);
    fleet_fini(&f);
}

/* ---- What rollbacks left ---- */

static void leftovers_are_purged_by_as_many_approvers_as_it_takes_also_after_the_end(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    struct zdm_envelope approvals[ZDM_APPROVALS_MAX];
    struct zdm_directive d;
    begin(&f, 2, "em");
    f.view.authority.approvals_min = 2;
    walk_to(&f, 1);
    assert_int_equal(fleet_purge(&f, BOB, 0, NULL), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "no selected shard is done or undone");
    fleet_rollback(&f, NULL, 0, false);
    for (size_t i = 0; i < 2; i++) {
        tell(&f, i, 0, 0, &told);
        told.of.undone = true;
        told.of.hidden_total = i == 0;
        fleet_report(&f, &told);
    }
    assert_int_equal(migration(&f)->mode, COORD_ENDED);
    assert_int_equal(fleet_purge(&f, BOB, 0, NULL), ZDM_OK);
    assert_string_equal(f.answer.message, "the purge of what rollbacks left of m is approved: 1 of 2 approvals");
    assert_int_equal(fleet_purge(&f, CAT, 0, NULL), ZDM_OK);
    assert_string_equal(f.answer.message, "1 shard purges what rollbacks left");
    assert_status(&f, 0, COORD_UNDONE);
    assert_int_equal(shard(&f, 0)->mode, ZDM_MODE_PURGE);
    assert_int_equal(shard(&f, 1)->mode, ZDM_MODE_UNDO); /* nothing is hidden there */
    assert_true(coord_directive(f.state, migration(&f), 0, approvals, &d));
    assert_int_equal(d.n_approvals, 2);
    uint64_t generation = d.fence.generation;
    assert_int_equal(fleet_purge(&f, FAY, 0, NULL), ZDM_OK); /* one more than needed changes no order */
    assert_string_equal(f.answer.message, "the purge of what rollbacks left is under way on 1 shard");
    assert_true(coord_directive(f.state, migration(&f), 0, approvals, &d));
    assert_int_equal(d.fence.generation, generation);
    assert_int_equal(d.n_approvals, 2);
    fleet_obey(&f, 0);
    assert_int_equal(shard(&f, 0)->mode, ZDM_MODE_RUN);
    assert_int_equal(count_events(&f, COORD_EVENT_SHARD_PURGED), 1);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

/* An order goes to who is there: whoever asked has to learn that one shard was not. */
static void purge_of_leftovers_says_which_shards_it_did_not_reach(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f, 2, "em");
    walk_to(&f, 1);
    fleet_rollback(&f, NULL, 0, false);
    for (size_t i = 0; i < 2; i++) {
        tell(&f, i, 0, 0, &told);
        told.of.undone = true;
        told.of.hidden_total = 1;
        fleet_report(&f, &told);
    }
    tell(&f, 1, 0, 0, &told);
    told.report.connected = told.report.writable = false;
    fleet_report(&f, &told);
    assert_int_equal(fleet_purge(&f, BOB, 0, NULL), ZDM_OK);
    assert_string_equal(f.answer.message, "1 shard purges what rollbacks left; no agent of 1 other reports a writable "
                                          "primary, and nothing is ordered there");
    assert_string_equal(f.answer.hint, "Say it again when they are back: zdmctl purge m.");
    assert_int_equal(shard(&f, 1)->mode, ZDM_MODE_UNDO);
    tell(&f, 1, 0, 0, &told);
    told.of.undone = true;
    told.of.hidden_total = 1;
    fleet_report(&f, &told);
    assert_int_equal(fleet_purge(&f, CAT, 0, NULL), ZDM_OK);
    assert_int_equal(shard(&f, 1)->mode, ZDM_MODE_PURGE);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

/* Nobody else would finish it: the migration has ended. And it is the same attempt, so that agents ask nobody anew. */
static void purge_of_leftovers_moves_to_the_new_primary_also_when_the_migration_has_ended(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    begin(&f, 1, "em");
    fleet_enroll(&f, 0, 1);
    walk_to(&f, 1);
    fleet_rollback(&f, NULL, 0, false);
    tell(&f, 0, 0, 0, &told);
    told.of.undone = true;
    told.of.hidden_total = 1;
    fleet_report(&f, &told);
    assert_int_equal(migration(&f)->mode, COORD_ENDED);
    tell(&f, 0, 1, 0, &told);
    told.report.timeline = 9;
    fleet_report(&f, &told);
    struct zdm_id first = agent_id(0, 0), second = agent_id(0, 1);
    assert_true(zdm_id_equal(&shard(&f, 0)->actor, &first)); /* it does nothing: who acts is no matter */
    tell(&f, 0, 0, 0, &told);
    told.of.hidden_total = 1;
    fleet_report(&f, &told);
    assert_int_equal(fleet_purge(&f, BOB, 0, NULL), ZDM_OK);
    uint32_t attempt = shard(&f, 0)->attempt;
    uint64_t generation = shard(&f, 0)->generation;
    tell(&f, 0, 1, 0, &told); /* cannot be ranked */
    zdm_copy_text(told.report.identity, sizeof told.report.identity, "elsewhere");
    fleet_report(&f, &told);
    assert_status(&f, 0, COORD_UNDONE);
    assert_int_equal(shard(&f, 0)->generation, generation);
    told.report.timeline = 9;
    fleet_report(&f, &told);
    assert_true(zdm_id_equal(&shard(&f, 0)->actor, &second));
    assert_int_equal(shard(&f, 0)->mode, ZDM_MODE_PURGE);
    assert_int_equal(shard(&f, 0)->attempt, attempt);
    assert_true(shard(&f, 0)->generation > generation);
    tell(&f, 0, 1, 0, &told);
    told.report.timeline = 9;
    told.of.purged = true;
    fleet_report(&f, &told);
    assert_int_equal(count_events(&f, COORD_EVENT_SHARD_PURGED), 1);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void purge_opens_the_purge_phase_for_those_who_have_it_before_them(void **unused)
{
    (void)unused;
    struct fleet f;
    begin(&f, 3, "ep");
    f.view.authority.approvals_min = 2;
    fleet_advance_to(&f, NULL, 1);
    assert_int_equal(fleet_purge(&f, BOB, 2, NULL), ZDM_REFUSED);
    assert_string_equal(f.answer.hint,
                        "To approve it before they get there: zdmctl approve m --phase 2 --runbook FILE.");
    fleet_obey(&f, 0);
    fleet_obey(&f, 1);
    assert_int_equal(fleet_purge(&f, BOB, 2, NULL), ZDM_OK);
    assert_string_equal(f.answer.message, "phase 2 (purge) is open for 2 of 3 shards: 1 of 2 approvals");
    assert_int_equal(shard(&f, 2)->opened, 1);
    fleet_obey(&f, 2);
    assert_int_equal(fleet_purge(&f, CAT, 2, NULL), ZDM_OK);
    for (size_t i = 0; i < 3; i++)
        assert_status(&f, i, COORD_MOVING);
    fleet_obey_all(&f);
    assert_int_equal(migration(&f)->outcome, COORD_END_DONE);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void what_is_done_everywhere_goes_back_until_its_purge_and_forward_again(void **state)
{
    struct fleet f;
    (void)state;
    begin(&f, 2, "em");
    walk_to(&f, 2);
    assert_int_equal(migration(&f)->mode, COORD_ENDED);
    assert_int_equal(fleet_rollback(&f, "tier=odd", 1, false), ZDM_OK);
    assert_int_equal(migration(&f)->mode, COORD_OPEN);
    assert_status(&f, 0, COORD_DONE);
    fleet_obey_all(&f);
    assert_status(&f, 1, COORD_HELD);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_RESUME, NULL), ZDM_OK);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_ADVANCE, NULL), ZDM_OK);
    fleet_obey_all(&f);
    assert_int_equal(migration(&f)->mode, COORD_ENDED);
    assert_int_equal(migration(&f)->outcome, COORD_END_DONE);
    fleet_fini(&f);
}

static void what_is_done_goes_back_with_approvals_where_new_code_wrote(void **state)
{
    struct fleet f;
    (void)state;
    fleet_init(&f, 2);
    f.view.authority.approvals_min = 1;
    fleet_submit(&f, lossy_plan_of("emms"));
    fleet_heartbeat(&f);
    walk_to(&f, 4);
    assert_int_equal(migration(&f)->mode, COORD_ENDED);
    assert_int_equal(fleet_rollback(&f, NULL, 1, true), ZDM_REFUSED);
    assert_string_equal(f.answer.hint,
                        "Approvers say \"zdmctl approve m --rollback-to 1\", then an operator rolls back again.");
    assert_int_equal(fleet_approve(&f, BOB, ZDM_APPROVE_UNDO, 1), ZDM_OK);
    assert_int_equal(migration(&f)->mode, COORD_ENDED);
    assert_int_equal(fleet_rollback(&f, NULL, 1, true), ZDM_OK);
    fleet_obey_all(&f);
    assert_int_equal(migration(&f)->mode, COORD_OPEN);
    assert_fold_is_the_same(&f);
    fleet_fini(&f);
}

static void what_is_done_does_not_go_back_beside_another_migration_on_its_table(void **state)
{
    struct fleet f;
    (void)state;
    begin(&f, 1, "em");
    walk_to(&f, 2);
    struct zdm_undo_order order = order_of(&f, 0);
    assert_int_equal(fleet_submit(&f, plan_of("other", "em")), ZDM_OK);
    assert_int_equal(fleet_order_about(&f, "m", &order, NULL, false), ZDM_REFUSED);
    assert_non_null(strstr(f.answer.message, "migration other is at work on table"));
    fleet_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rollback_works_from_every_point_of_every_phase_half_phases_included),
        cmocka_unit_test(rollback_goes_further_back_while_it_is_under_way_and_after_it_failed),
        cmocka_unit_test(going_back_is_no_loss_and_keeps_its_order_through_pause_failure_and_doubt),
        cmocka_unit_test(undone_counts_only_when_the_goal_is_proven),
        cmocka_unit_test(rolled_back_shard_goes_forward_again_only_after_resume_and_a_new_advance),
        cmocka_unit_test(rollback_takes_whoever_waits_for_a_wave_out_of_the_phase_it_had_open),
        cmocka_unit_test(undone_shard_is_resumed_to_before_the_first_phase_while_others_go_on),
        cmocka_unit_test(rollback_is_given_up_where_the_agent_proves_it_stands),
        cmocka_unit_test(same_plan_is_submitted_again_when_it_was_undone_everywhere),
        cmocka_unit_test(below_a_switch_goes_nobody_before_all_are_back_at_it_and_the_flag_is_off),
        cmocka_unit_test(gate_goes_back_only_when_the_last_shard_does),
        cmocka_unit_test(rollback_that_loses_what_new_code_wrote_needs_approvals_beside_the_order),
        cmocka_unit_test(second_leg_below_an_entered_switch_asks_for_what_the_first_left_there),
        cmocka_unit_test(way_forward_after_a_first_leg_asks_for_nothing_above_where_it_ended),
        cmocka_unit_test(amended_plan_without_its_switch_takes_nothing_of_the_mark_away),
        cmocka_unit_test(rollback_over_what_nobody_does_twice_is_refused_beforehand_with_the_way_on),
        cmocka_unit_test(rollback_that_would_enter_a_phase_again_that_people_let_in_is_refused_beforehand),
        cmocka_unit_test(what_was_purged_does_not_come_back),
        cmocka_unit_test(undo_order_has_to_be_the_requests_own_and_good),
        cmocka_unit_test(orders_that_nobody_follows_any_more_are_forgotten_but_for_their_nonces),
        cmocka_unit_test(excluded_shard_comes_back_through_proof),
        cmocka_unit_test(migration_ends_undone_when_all_but_the_excluded_are),
        cmocka_unit_test(leftovers_are_purged_by_as_many_approvers_as_it_takes_also_after_the_end),
        cmocka_unit_test(purge_of_leftovers_says_which_shards_it_did_not_reach),
        cmocka_unit_test(purge_of_leftovers_moves_to_the_new_primary_also_when_the_migration_has_ended),
        cmocka_unit_test(purge_opens_the_purge_phase_for_those_who_have_it_before_them),
        cmocka_unit_test(what_is_done_everywhere_goes_back_until_its_purge_and_forward_again),
        cmocka_unit_test(what_is_done_goes_back_with_approvals_where_new_code_wrote),
        cmocka_unit_test(what_is_done_does_not_go_back_beside_another_migration_on_its_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
