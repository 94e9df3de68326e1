/*
 * test_wait.c - what `wait` waits for, judged over statuses; and which migration and shards are meant.
 */
#include "support.h"

#include <stdlib.h>

#include "coordinator/ctl/client/fleet.h"
#include "coordinator/ctl/model/wait_rule.h"

static const struct zdm_selection everything = {.all = true};

/* A status of shards "a", "b", … given as status:goal:observed-phase:state. */
static json_t *status_of(const char *mode, const char *outcome, size_t n, const char *const (*shards)[4])
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:{s:i}, s:{s:i, s:s}}", "shard", name, "status",
                                              shards[i][0], "reason", "why", "desired", "phase", atoi(shards[i][1]),
                                              "observed", "phase", atoi(shards[i][2]), "state", shards[i][3]));
    }
    return json_pack("{s:s, s:s, s:s?, s:o, s:[{}, {}, {}, {}]}", "migration", "m", "mode", mode, "outcome", outcome,
                     "shards", list, "phases");
}

static void phases_are_counted_by_the_coordinators_books(void **state)
{
    static const struct {
        const char *shard[4];
        bool there; /* at phase 2 */
    } rows[] = {
        {{"ready", "1", "1", "resting"}, false},  {{"ready", "2", "2", "resting"}, true},
        {{"ready", "2", "0", "asking"}, true},    /* nothing heard since a restart: the log knows */
        {{"moving", "2", "2", "resting"}, false}, /* reported, but not yet in the log */
        {{"moving", "3", "2", "working"}, true},  {{"held", "2", "1", "paused"}, false},
        {{"held", "2", "2", "paused"}, true},     {{"held", "3", "0", "paused"}, true},
        {{"unsure", "3", "2", "unsure"}, false},  {{"undoing", "1", "2", "working"}, false},
        {{"done", "4", "4", "resting"}, true},
    };
    const struct ctl_wait_for wanted = {.kind = CTL_WAIT_PHASE, .phase = 2};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ctl_wait_score score;
        struct zdm_error err = ZDM_ERROR_INIT;
        json_t *status = status_of("open", NULL, 1, &rows[i].shard);
        assert_int_equal(ctl_wait_judge(&wanted, &everything, status, NULL, &score, &err), ZDM_OK);
        if (score.over != rows[i].there)
            fail_msg("row %zu (%s, goal %s) is %sthere", i, rows[i].shard[0], rows[i].shard[1],
                     score.over ? "" : "not ");
        json_decref(status);
    }
}

static void a_failed_shard_ends_the_wait_unless_it_is_not_meant(void **state)
{
    static const char *const shards[2][4] = {{"failed", "2", "1", "stopped"}, {"ready", "2", "2", "resting"}};
    const struct ctl_wait_for wanted = {.kind = CTL_WAIT_PHASE, .phase = 2};
    char b[] = "b";
    char *names[] = {b};
    const struct zdm_selection only_b = {.names = names, .n_names = 1};
    struct ctl_wait_score score;
    struct zdm_error err = ZDM_ERROR_INIT;
    json_t *status = status_of("open", NULL, 2, shards);
    (void)state;
    assert_int_equal(ctl_wait_judge(&wanted, &everything, status, NULL, &score, &err), ZDM_DATABASE);
    assert_string_equal(err.message, "shard a failed: why");
    assert_string_equal(err.hint, "Mend the cause, then: zdmctl retry --shard a");
    json_object_set_new(json_array_get(json_object_get(status, "shards"), 0), "hint", json_string("Do x."));
    assert_int_equal(ctl_wait_judge(&wanted, &everything, status, NULL, &score, &err), ZDM_DATABASE);
    assert_string_equal(err.hint, "Do x. Then: zdmctl retry --shard a");
    assert_int_equal(ctl_wait_judge(&wanted, &only_b, status, NULL, &score, &err), ZDM_OK);
    assert_true(score.over);
    json_decref(status);
}

static void a_pause_counts_when_the_agent_has_stopped(void **state)
{
    static const char *const shards[2][4] = {{"held", "2", "1", "working"}, {"held", "2", "1", "paused"}};
    const struct ctl_wait_for wanted = {.kind = CTL_WAIT_PAUSED};
    struct ctl_wait_score score;
    struct zdm_error err = ZDM_ERROR_INIT;
    json_t *status = status_of("open", NULL, 2, shards);
    (void)state;
    assert_int_equal(ctl_wait_judge(&wanted, &everything, status, NULL, &score, &err), ZDM_OK);
    assert_int_equal(score.there, 1);
    assert_string_equal(score.text, "1 of 2 shards paused");
    assert_false(score.over);
    json_decref(status);
}

static void what_cannot_come_is_said_at_once(void **state)
{
    static const char *const shards[2][4] = {{"undone", "0", "0", "resting"}, {"excluded", "0", "0", "resting"}};
    const struct ctl_wait_for done = {.kind = CTL_WAIT_DONE}, undone = {.kind = CTL_WAIT_ROLLED_BACK};
    const struct ctl_wait_for ninth = {.kind = CTL_WAIT_PHASE, .phase = 9};
    char x[] = "x";
    char *names[] = {x};
    const struct zdm_selection unknown = {.names = names, .n_names = 1};
    struct ctl_wait_score score;
    struct zdm_error err = ZDM_ERROR_INIT;
    json_t *status = status_of("ended", "undone", 2, shards), *none = parse("{\"migration\": null}");
    (void)state;
    assert_int_equal(ctl_wait_judge(&done, &everything, status, NULL, &score, &err), ZDM_DATABASE);
    assert_has(err.message, "has ended (undone)");
    assert_int_equal(ctl_wait_judge(&ninth, &everything, status, NULL, &score, &err), ZDM_INVALID);
    assert_int_equal(ctl_wait_judge(&done, &unknown, status, NULL, &score, &err), ZDM_NOT_FOUND);
    assert_int_equal(ctl_wait_judge(&done, &everything, none, NULL, &score, &err), ZDM_NOT_FOUND);
    assert_int_equal(ctl_wait_judge(&undone, &everything, status, NULL, &score, &err), ZDM_OK);
    assert_true(score.over); /* an excluded shard is not waited for */
    json_decref(status);
    json_decref(none);
}

static void goals_are_parsed(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } rows[] = {{"phase=2", true}, {"done", true},      {"paused", true},   {"rolled-back", true}, {"phase=0", false},
                {"phase=", false}, {"phase=2x", false}, {"phase 2", false}, {"Done", false}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ctl_wait_for wanted;
        struct zdm_error err = ZDM_ERROR_INIT;
        assert_int_equal(ctl_wait_parse(rows[i].text, &wanted, &err), rows[i].good ? ZDM_OK : ZDM_INVALID);
    }
}

static void selectors_look_at_the_fleets_labels(void **state)
{
    char selector[] = "tier=canary";
    const struct zdm_selection canaries = {.selector = selector};
    json_t *fleet = parse("{\"shards\": [{\"shard\": \"a\", \"labels\": {\"tier\": \"canary\"}}, {\"shard\": \"b\"}]}");
    (void)state;
    assert_true(ctl_selection_has(&canaries, "a", fleet));
    assert_false(ctl_selection_has(&canaries, "b", fleet));
    assert_false(ctl_selection_has(&canaries, "c", fleet));
    json_decref(fleet);
}

static void a_plan_that_shards_cannot_run_is_told_from_one_that_they_can(void **state)
{
    char all[] = "", europe[] = "region=eu";
    struct zdm_plan plan = {.selector = all, .engines = ZDM_ENGINE_POSTGRESQL};
    json_t *fleet =
        parse("{\"shards\": [{\"shard\": \"a\", \"engine\": \"postgresql\", \"labels\": {\"region\": \"eu\"}},"
              " {\"shard\": \"b\", \"engine\": \"mysql\", \"labels\": {}}, {\"shard\": \"c\", \"engine\": null},"
              " {\"shard\": \"d\", \"engine\": \"mysql\"}]}");
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    assert_int_equal(ctl_fleet_fits(fleet, &plan, &err), ZDM_REFUSED);
    assert_string_equal(err.message, "the plan is not for mysql: 2 selected shards are (b, d)");
    plan.selector = europe;
    assert_int_equal(ctl_fleet_fits(fleet, &plan, &err), ZDM_OK);
    plan.engines = ZDM_ENGINE_MYSQL;
    assert_int_equal(ctl_fleet_fits(fleet, &plan, &err), ZDM_REFUSED);
    assert_string_equal(err.message, "the plan is not for postgresql: 1 selected shard is (a)");
    plan.selector = all;
    plan.engines = ZDM_ENGINE_POSTGRESQL | ZDM_ENGINE_MYSQL;
    assert_int_equal(ctl_fleet_fits(fleet, &plan, &err), ZDM_OK);
    json_decref(fleet);
}

static void the_migration_may_be_left_out_while_one_is_active(void **state)
{
    static const char one[] =
        "{\"migrations\": [{\"id\": \"old\", \"mode\": \"ended\", \"phase\": 4, \"generation\": 9},"
        " {\"id\": \"new\", \"mode\": \"open\", \"phase\": 1, \"generation\": 42}]}";
    static const char two[] =
        "{\"migrations\": [{\"id\": \"a\", \"mode\": \"open\"}, {\"id\": \"b\", \"mode\": \"halted\"}]}";
    json_t *with_one = parse(one), *with_two = parse(two), *with_none = parse("{\"migrations\": []}");
    struct ctl_target target;
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)state;
    assert_int_equal(ctl_target_find(with_one, NULL, &target, &err), ZDM_OK);
    assert_string_equal(target.migration, "new");
    assert_int_equal(target.phase, 1);
    assert_int_equal(target.generation, 42);
    assert_int_equal(ctl_target_find(with_one, "old", &target, &err), ZDM_OK);
    assert_int_equal(target.phase, 4);
    assert_int_equal(ctl_target_find(with_one, "nosuch", &target, &err), ZDM_NOT_FOUND);
    assert_int_equal(ctl_target_find(with_two, NULL, &target, &err), ZDM_INVALID);
    assert_has(err.message, "2 migrations are active: a, b");
    assert_int_equal(ctl_target_find(with_none, NULL, &target, &err), ZDM_NOT_FOUND);
    json_decref(with_one);
    json_decref(with_two);
    json_decref(with_none);
}

static void a_shard_is_rolled_back_when_it_is_undone_or_held_where_a_rollback_took_it(void **state)
{
    static const struct {
        const char *shard;
        bool there;
    } rows[] = {
        {"{\"shard\": \"a\", \"status\": \"undone\"}", true},
        {"{\"shard\": \"a\", \"status\": \"held\", \"rolled_back\": true}", true},
        {"{\"shard\": \"a\", \"status\": \"held\", \"rolled_back\": false}", false},
        {"{\"shard\": \"a\", \"status\": \"undoing\", \"rolled_back\": true}", false},
        {"{\"shard\": \"a\", \"status\": \"ready\"}", false},
    };
    const struct ctl_wait_for wanted = {.kind = CTL_WAIT_ROLLED_BACK};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ctl_wait_score score;
        struct zdm_error err = ZDM_ERROR_INIT;
        json_t *status =
            json_pack("{s:s, s:s, s:[o]}", "migration", "m", "mode", "open", "shards", parse(rows[i].shard));
        assert_int_equal(ctl_wait_judge(&wanted, &everything, status, NULL, &score, &err), ZDM_OK);
        assert_int_equal(score.over, rows[i].there);
        json_decref(status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_are_counted_by_the_coordinators_books),
        cmocka_unit_test(a_failed_shard_ends_the_wait_unless_it_is_not_meant),
        cmocka_unit_test(a_pause_counts_when_the_agent_has_stopped),
        cmocka_unit_test(what_cannot_come_is_said_at_once),
        cmocka_unit_test(goals_are_parsed),
        cmocka_unit_test(a_shard_is_rolled_back_when_it_is_undone_or_held_where_a_rollback_took_it),
        cmocka_unit_test(selectors_look_at_the_fleets_labels),
        cmocka_unit_test(a_plan_that_shards_cannot_run_is_told_from_one_that_they_can),
        cmocka_unit_test(the_migration_may_be_left_out_while_one_is_active),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
