/*
 * test_amend.c - submit --amend as people and agents see it: the order anew with another plan's hash, the plan that is
 * served, and both again after a restart.
 */
#include "tests/unit/coord_app/world.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

/* ann and one agent, which has proven phase 1 of "rename". */
struct scene {
    struct client *ann, *agent;
    struct zdm_directive orders, amended;
};

static void open_scene(struct world *w, struct scene *s)
{
    s->ann = dial_person(w, &w->ann);
    s->agent = join(w, s->ann, 1);
    report(s->agent, 1, NULL, 0, ZDM_AGENT_RESTING);
    expect_ok(submit(s->ann));
    expect_ok(ask_verb(s->ann, ZDM_VERB_ADVANCE, NULL));
    assert_true(take_orders(s->agent, &s->orders));
    report(s->agent, 2, &s->orders, 1, ZDM_AGENT_RESTING);
}

static void amend(struct scene *s)
{
    expect_ok(amend_to(s->ann, ASKS_FOR_APPROVAL));
    assert_true(take_orders(s->agent, &s->amended));
}

static void close_scene(struct scene *s)
{
    zdm_directive_fini(&s->orders);
    zdm_directive_fini(&s->amended);
}

/* What the coordinator serves under that hash is a whole plan, and an agent of the shard gets it. */
static void expect_served(struct client *agent, const struct zdm_hash *hash)
{
    struct zdm_frame frame = {.type = ZDM_FRAME_PLAN_REQUEST};
    struct zdm_envelope envelope;
    struct zdm_error err;
    frame.u.piece.hash = *hash;
    give(agent, &frame);
    assert_true(take(agent, ZDM_FRAME_PLAN_PIECE, &frame));
    assert_true(zdm_hash_equal(&frame.u.piece.hash, hash));
    assert_int_equal(frame.u.piece.total, frame.u.piece.n);
    assert_int_equal(zdm_envelope_unflatten(frame.u.piece.bytes, frame.u.piece.n, &envelope, &err), ZDM_OK);
    zdm_envelope_fini(&envelope);
}

static void the_agent_is_told_anew_with_the_other_plan_and_served_it(void **state)
{
    struct scene s = {.ann = NULL};
    open_scene(*state, &s);
    amend(&s);
    assert_false(zdm_hash_equal(&s.amended.plan_hash, &s.orders.plan_hash));
    assert_true(s.amended.fence.generation > s.orders.fence.generation);
    assert_int_equal(s.amended.goal_phase, s.orders.goal_phase);
    assert_int_equal(s.amended.mode, ZDM_MODE_RUN);
    expect_served(s.agent, &s.amended.plan_hash);
    close_scene(&s);
}

static void after_a_restart_the_amended_plan_is_the_one(void **state)
{
    struct world *w = *state;
    struct scene s = {.ann = NULL};
    struct zdm_directive again;
    open_scene(w, &s);
    amend(&s);
    world_restart(w);
    struct client *agent = dial_agent(w, &w->agents[1]);
    report(agent, 1, &s.orders, 1, ZDM_AGENT_ASKING); /* it had not taken the amended plan yet */
    assert_true(take_orders(agent, &again));
    assert_int_equal(again.fence.epoch, 2);
    assert_int_equal(again.fence.generation, s.amended.fence.generation);
    assert_true(zdm_hash_equal(&again.plan_hash, &s.amended.plan_hash));
    expect_served(agent, &again.plan_hash);
    zdm_directive_fini(&again);
    close_scene(&s);
}

static void status_and_history_say_who_amended(void **state)
{
    struct scene s = {.ann = NULL};
    open_scene(*state, &s);
    char *status = query(s.ann, ZDM_QUERY_STATUS, "rename");
    expect_in(status, "\"amended\":null");
    free(status);
    amend(&s);
    status = query(s.ann, ZDM_QUERY_STATUS, "rename");
    expect_in(status, "\"amended\":{\"by\":\"ann\"");
    expect_in(status, "\"needed\":2");
    free(status);
    char *history = query(s.ann, ZDM_QUERY_HISTORY, "rename");
    expect_in(history, "\"text\":\"ann submitted rename\"");
    expect_in(history, "\"text\":\"ann amended the plan of rename\"");
    expect_in(history, "\"text\":\"the plan of rename is now ");
    free(history);
    close_scene(&s);
}

static void what_cannot_be_amended_is_refused_and_nobody_is_told(void **state)
{
    struct world *w = *state;
    struct scene s = {.ann = NULL};
    struct zdm_frame frame;
    struct client *bob = dial_person(w, &w->bob), *vic = dial_person(w, &w->vic);
    open_scene(w, &s);
    expect_refusal(submit_kind(s.ann, ASKS_FOR_APPROVAL), ZDM_EXISTS, "exists with another plan");
    expect_refusal(amend_to(s.ann, OF_ANOTHER_TABLE), ZDM_NOT_FOUND, "no migration \"other\"");
    expect_refusal(amend_to(bob, ASKS_FOR_APPROVAL), ZDM_REFUSED, "");
    expect_refusal(amend_to(vic, ASKS_FOR_APPROVAL), ZDM_REFUSED, "");
    assert_false(take(s.agent, ZDM_FRAME_ORDERS, &frame));
    expect_ok(ask_verb(s.ann, ZDM_VERB_ADVANCE, NULL));
    assert_true(take(s.agent, ZDM_FRAME_ORDERS, &frame)); /* phase 2: let in */
    zdm_frame_fini(&frame);
    expect_refusal(amend_to(s.ann, ASKS_FOR_APPROVAL), ZDM_REFUSED, "phase 2");
    assert_false(take(s.agent, ZDM_FRAME_ORDERS, &frame));
    close_scene(&s);
}

static void a_frozen_fleet_keeps_its_plans(void **state)
{
    struct scene s = {.ann = NULL};
    struct zdm_request freeze = {.verb = ZDM_VERB_FREEZE}, thaw = {.verb = ZDM_VERB_THAW};
    open_scene(*state, &s);
    expect_ok(ask(s.ann, &freeze));
    expect_refusal(amend_to(s.ann, ASKS_FOR_APPROVAL), ZDM_REFUSED, "frozen");
    expect_ok(ask(s.ann, &thaw));
    amend(&s);
    close_scene(&s);
}

int main(void)
{
#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_start, world_stop)
    const struct CMUnitTest tests[] = {
        WORLD(the_agent_is_told_anew_with_the_other_plan_and_served_it),
        WORLD(after_a_restart_the_amended_plan_is_the_one),
        WORLD(status_and_history_say_who_amended),
        WORLD(what_cannot_be_amended_is_refused_and_nobody_is_told),
        WORLD(a_frozen_fleet_keeps_its_plans),
    };
#undef WORLD
    return cmocka_run_group_tests_name("amend", tests, NULL, NULL);
}
