/*
 * test_requests.c - who may ask for what: submit, joining, repeats, roles, expectations, and polite refusals.
 */
#include "fleet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"

static struct zdm_plan *plan_over(const char *id, const char *table)
{
    struct zdm_plan *plan = plan_of(id, "em");
    free(plan->tables[0].name);
    plan->tables[0].name = zdm_strdup(table);
    return plan;
}

static void same_plan_again_is_the_same_request_and_another_plan_of_that_id_is_refused(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 2);
    assert_int_equal(fleet_submit(&f, plan_of("m", "em")), ZDM_OK);
    size_t events = f.n_log;
    assert_int_equal(fleet_submit(&f, plan_of("m", "em")), ZDM_OK);
    assert_string_equal(f.answer.message,
                        "migration m was submitted before with this plan, over 2 shards: nothing changes");
    assert_int_equal(f.n_log, events);
    struct zdm_plan *other = plan_of("m", "emm");
    other->hash.bytes[0] = 2;
    assert_int_equal(fleet_submit(&f, other), ZDM_EXISTS);
    fleet_fini(&f);
}

static void submit_refuses_what_cannot_go_well(void **unused)
{
    (void)unused;
    struct fleet f;
    char id[8];
    fleet_init(&f, 2);
    struct zdm_plan *plan = plan_of("m", "em");
    free(plan->selector);
    plan->selector = zdm_strdup("tier=none");
    assert_int_equal(fleet_submit(&f, plan), ZDM_REFUSED);
    assert_int_equal(f.state->n_migrations, 0);
    assert_int_equal(f.state->n_requests, 0); /* a refusal leaves no trace */
    assert_int_equal(fleet_submit(&f, plan_of("m", "em")), ZDM_OK);
    assert_int_equal(fleet_submit(&f, plan_of("n", "em")), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "migration m is at work on table public.users");
    for (int i = 1; i < ZDM_MIGRATIONS_ACTIVE_MAX; i++) {
        snprintf(id, sizeof id, "m%d", i);
        assert_int_equal(fleet_submit(&f, plan_over(id, id)), ZDM_OK);
    }
    assert_int_equal(fleet_submit(&f, plan_over("one-more", "t")), ZDM_LIMIT);
    fleet_ask(&f, ZDM_VERB_FREEZE, NULL);
    assert_int_equal(fleet_submit(&f, plan_over("frozen", "t")), ZDM_REFUSED);
    fleet_fini(&f);
}

static struct zdm_plan *plan_for(const char *id, unsigned engines)
{
    struct zdm_plan *plan = plan_over(id, id);
    plan->engines = engines;
    return plan;
}

static void submit_refuses_shards_whose_engine_the_plan_is_not_for_and_names_them(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    fleet_init(&f, 5);
    assert_int_equal(fleet_submit(&f, plan_for("n", ZDM_ENGINE_MYSQL)), ZDM_OK); /* nobody has said yet what it runs */
    for (uint8_t i = 0; i < 5; i++) {
        tell(&f, i, 0, 0, &told);
        fleet_report(&f, &told);
    }
    assert_int_equal(fleet_submit(&f, plan_for("m", ZDM_ENGINE_MYSQL)), ZDM_REFUSED);
    assert_string_equal(f.answer.message,
                        "the plan is not for postgresql: 5 selected shards are (s00000, s00001, s00002 "
                        "and 2 more)");
    assert_string_equal(f.answer.detail, "It is compiled for mysql.");
    assert_int_equal(fleet_submit(&f, plan_for("b", ZDM_ENGINE_POSTGRESQL | ZDM_ENGINE_MYSQL)), ZDM_OK);
    assert_int_equal(fleet_submit(&f, plan_of("m", "e")), ZDM_OK);
    fleet_fini(&f);
}

static void waves_take_selectors_first_and_percentages_of_the_rest_by_name(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 10);
    struct zdm_plan *plan = plan_of("m", "em");
    plan->waves[0].percent = 30;
    plan->waves[1].selector = zdm_strdup("tier=odd");
    plan->n_waves = 2;
    assert_int_equal(fleet_submit(&f, plan), ZDM_OK);
    static const uint32_t wave[10] = {0, 1, 0, 1, 2, 1, 2, 1, 2, 1};
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(shard(&f, i)->wave, wave[i]);
    fleet_fini(&f);
}

static void request_id_that_was_seen_is_answered_and_not_done_again(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 2);
    fleet_submit(&f, plan_of("m", "em"));
    struct zdm_request request = {.verb = ZDM_VERB_ADVANCE, .shards = {.all = true}, .request_id = {{42}}};
    zdm_copy_text(request.migration, sizeof request.migration, "m");
    assert_int_equal(fleet_request(&f, &request, NULL), ZDM_OK);
    size_t events = f.n_log;
    assert_int_equal(fleet_request(&f, &request, NULL), ZDM_OK);
    assert_int_equal(f.n_log, events);
    assert_int_equal(migration(&f)->opened_phase, 1);
    fleet_fini(&f);
}

static void event_about_a_phase_that_the_plan_does_not_have_is_a_damaged_log(void **unused)
{
    (void)unused;
    struct fleet f;
    struct zdm_error err = ZDM_ERROR_INIT;
    uint8_t bits[] = {1};
    fleet_init(&f, 2);
    fleet_submit(&f, plan_of("m", "em"));
    struct coord_event event = {.type = COORD_EVENT_SHARDS_DIRECTED, .migration = "m", .seq = f.state->head_seq + 1};
    event.u.directed.shards = bits;
    event.u.directed.n_bytes = sizeof bits;
    event.u.directed.mode = ZDM_MODE_RUN;
    event.u.directed.set_goal = true;
    event.u.directed.goal = 3;
    assert_int_equal(coord_apply(f.state, &event, &err), ZDM_CORRUPT);
    event.u.directed.goal = UINT32_MAX;
    assert_int_equal(coord_apply(f.state, &event, &err), ZDM_CORRUPT);
    event.u.directed.goal = 2;
    assert_int_equal(coord_apply(f.state, &event, &err), ZDM_OK);
    fleet_fini(&f);
}

static void advance_is_refused_when_the_migration_moved_since_the_person_looked(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 2);
    fleet_submit(&f, plan_of("m", "emm"));
    fleet_heartbeat(&f);
    struct zdm_request request = {.verb = ZDM_VERB_ADVANCE, .shards = {.all = true}, .has_expect = true};
    zdm_copy_text(request.migration, sizeof request.migration, "m");
    request.expect_generation = migration(&f)->moved_seq;
    assert_int_equal(fleet_request(&f, &request, NULL), ZDM_OK);
    request.request_id = (struct zdm_id){{0}};
    assert_int_equal(fleet_request(&f, &request, NULL), ZDM_REFUSED);
    assert_string_equal(f.answer.message, "the migration moved since you looked");
    request.request_id = (struct zdm_id){{0}};
    request.expect_phase = 1;
    assert_int_equal(fleet_request(&f, &request, NULL), ZDM_REFUSED); /* the log position is the old one */
    request.request_id = (struct zdm_id){{0}};
    request.expect_generation = f.state->head_seq;
    assert_int_equal(fleet_request(&f, &request, NULL), ZDM_OK);
    fleet_fini(&f);
}

static void selection_that_names_an_unknown_shard_or_nothing_is_refused(void **unused)
{
    (void)unused;
    struct fleet f;
    char *names[] = {(char *)"nobody"};
    fleet_init(&f, 2);
    fleet_submit(&f, plan_of("m", "em"));
    struct zdm_request request = {.verb = ZDM_VERB_PAUSE, .shards = {.names = names, .n_names = 1}};
    zdm_copy_text(request.migration, sizeof request.migration, "m");
    assert_int_equal(fleet_request(&f, &request, NULL), ZDM_NOT_FOUND);
    request.shards.n_names = 0;
    assert_int_equal(fleet_request(&f, &request, NULL), ZDM_INVALID);
    assert_int_equal(fleet_ask(&f, ZDM_VERB_PAUSE, "tier=none"), ZDM_NOT_FOUND);
    fleet_fini(&f);
}

static void verbs_that_need_a_signature_inside_are_refused_without_one(void **unused)
{
    (void)unused;
    static const struct {
        enum zdm_verb verb;
        enum zdm_code code;
        const char *message;
    } rows[] = {
        {ZDM_VERB_ROLLBACK, ZDM_INVALID, "the request carries no undo order"},
        {ZDM_VERB_APPROVE, ZDM_INVALID, "the request carries no approval"},
        {ZDM_VERB_PURGE, ZDM_INVALID, "the request carries no approval"},
        {ZDM_VERB_REVOKE_APPROVAL, ZDM_NOT_FOUND, "migration m has no such approval"},
        {ZDM_VERB_EXCLUDE, ZDM_INVALID, "a shard is excluded for a reason, and none is given"},
        {ZDM_VERB_INCLUDE, ZDM_REFUSED, "nothing to include: s00000 is not excluded"},
        {ZDM_VERB_TRUST, ZDM_INVALID, "the new trust file was not uploaded"},
        {ZDM_VERB_RECOVER, ZDM_REFUSED, "a running coordinator cannot be recovered"},
    };
    struct fleet f;
    fleet_init(&f, 1);
    fleet_submit(&f, plan_of("m", "em"));
    size_t events = f.n_log;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(fleet_ask(&f, rows[i].verb, NULL), rows[i].code);
        assert_string_equal(f.answer.message, rows[i].message);
    }
    assert_int_equal(f.n_log, events);
    fleet_fini(&f);
}

static void person_without_the_role_is_refused(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 1);
    struct zdm_request request = {.verb = ZDM_VERB_FREEZE};
    struct coord_input input = {.kind = COORD_IN_REQUEST, .now_ms = f.now_ms};
    input.u.request.request = &request;
    input.u.request.name = "eve";
    input.u.request.roles = ZDM_ROLE_VIEWER;
    fleet_input(&f, &input);
    assert_int_equal(f.out.effects[0].answer.code, ZDM_REFUSED);
    assert_false(f.state->frozen);
    fleet_fini(&f);
}

/* ---- Joining ---- */

static enum zdm_code join(struct fleet *f, uint8_t agent, uint8_t secret)
{
    struct coord_input input = {.kind = COORD_IN_JOIN, .now_ms = f->now_ms};
    input.u.join.agent.bytes[0] = agent;
    input.u.join.secret_hash.bytes[0] = secret;
    fleet_input(f, &input);
    f->answer = f->out.effects[f->out.n_effects - 1].answer;
    return f->answer.code;
}

static enum zdm_code enroll(struct fleet *f, const char *name, uint8_t secret, int64_t expires_at_ms)
{
    struct zdm_enrolment enrolment = {.expires_at_ms = expires_at_ms};
    struct zdm_envelope envelope = {.bytes = (uint8_t *)"signed", .len = 6};
    struct zdm_request request = {.verb = ZDM_VERB_ENROLL, .payload = envelope, .request_id = {{0xe0, secret}}};
    struct coord_input input = {.kind = COORD_IN_REQUEST, .now_ms = f->now_ms};
    zdm_copy_text(enrolment.shard, sizeof enrolment.shard, name);
    enrolment.secret_hash.bytes[0] = enrolment.nonce.bytes[0] = secret;
    input.u.request.request = &request;
    input.u.request.envelope = &envelope;
    input.u.request.enrolment = &enrolment;
    input.u.request.name = "ann";
    input.u.request.roles = ZDM_ROLE_OPERATOR;
    fleet_input(f, &input);
    return f->out.effects[f->out.n_effects - 1].answer.code;
}

static void token_lets_one_agent_join_once_until_it_expires(void **unused)
{
    (void)unused;
    struct fleet f;
    fleet_init(&f, 0);
    assert_int_equal(join(&f, 1, 9), ZDM_AUTH);
    assert_int_equal(enroll(&f, "shop-1", 9, f.now_ms + 1000), ZDM_OK);
    assert_int_equal(enroll(&f, "shop-2", 10, f.now_ms), ZDM_REFUSED);
    assert_int_equal(join(&f, 1, 9), ZDM_OK);
    assert_int_equal(f.out.effects[f.out.n_effects - 1].enrolment.bytes[0], 9);
    assert_int_equal(join(&f, 1, 9), ZDM_OK); /* the answer was lost: the same agent asks again */
    assert_int_equal(f.state->n_agents, 1);
    assert_int_equal(join(&f, 2, 9), ZDM_REFUSED);
    assert_int_equal(enroll(&f, "shop-1", 11, f.now_ms + 1000), ZDM_OK);
    f.now_ms += 1001;
    assert_int_equal(join(&f, 2, 11), ZDM_REFUSED);
    assert_int_equal(enroll(&f, "shop-1", 12, f.now_ms + 1000), ZDM_OK);
    assert_int_equal(join(&f, 2, 12), ZDM_OK); /* a replica's */
    assert_int_equal(f.state->n_shards, 1);
    fleet_fini(&f);
}

static void revoked_agent_is_closed_and_its_shard_is_not_submitted_over(void **unused)
{
    (void)unused;
    struct fleet f;
    struct told told;
    fleet_init(&f, 2);
    struct zdm_request request = {.verb = ZDM_VERB_REVOKE_AGENT, .target = agent_id(0, 0)};
    assert_int_equal(fleet_request(&f, &request, NULL), ZDM_OK);
    assert_int_equal(count_effects(&f, COORD_DO_CLOSE_AGENT), 1);
    fleet_submit(&f, plan_of("m", "em"));
    assert_int_equal(migration(&f)->n_shards, 1);
    tell(&f, 1, 0, 0, &told);
    told.agent = agent_id(0, 0);
    fleet_report(&f, &told);
    assert_int_equal(count_effects(&f, COORD_DO_CLOSE_AGENT), 1);
    assert_int_equal(count_effects(&f, COORD_DO_SEND_ACK), 0);
    fleet_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_plan_again_is_the_same_request_and_another_plan_of_that_id_is_refused),
        cmocka_unit_test(submit_refuses_what_cannot_go_well),
        cmocka_unit_test(submit_refuses_shards_whose_engine_the_plan_is_not_for_and_names_them),
        cmocka_unit_test(waves_take_selectors_first_and_percentages_of_the_rest_by_name),
        cmocka_unit_test(request_id_that_was_seen_is_answered_and_not_done_again),
        cmocka_unit_test(event_about_a_phase_that_the_plan_does_not_have_is_a_damaged_log),
        cmocka_unit_test(advance_is_refused_when_the_migration_moved_since_the_person_looked),
        cmocka_unit_test(selection_that_names_an_unknown_shard_or_nothing_is_refused),
        cmocka_unit_test(verbs_that_need_a_signature_inside_are_refused_without_one),
        cmocka_unit_test(person_without_the_role_is_refused),
        cmocka_unit_test(token_lets_one_agent_join_once_until_it_expires),
        cmocka_unit_test(revoked_agent_is_closed_and_its_shard_is_not_submitted_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
